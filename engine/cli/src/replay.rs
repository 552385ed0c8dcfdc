//! `swath replay`: a graph on captures, by one thread and virtual time.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use swath_core::plan::{BUFFERS_PER_WORKER, InterfacePlan, Plan};
use swath_core::spec::{Hugepages, Node, suggestion};
use swath_io::capture::Reader;

use crate::args::ReplayArgs;
use crate::attach;
use crate::compare::unreadable_capture;
use crate::exit::{Exit, Failure};
use crate::load::{Graph, Time, packet_memory};
use crate::report::{Destination, Report};
use crate::terminal::Terminal;

/// Sends captures through a graph.
///
/// # Errors
/// The graph or a capture cannot be read; the graph is refused; or its ledger does not add up.
pub fn replay(args: &ReplayArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let path = args.graph.as_deref().unwrap_or(Path::new(""));
    let mut graph = Graph::open(path)?.colour(terminal.colour);
    let mut plan = graph.plan(&crate::registry())?;
    if let Some(workers) = args.workers {
        plan.engine.workers = workers;
        plan.engine.buffers = plan.engine.buffers.max(usize::from(workers) * BUFFERS_PER_WORKER);
    }
    plan.engine.cores = None;
    // Speed is no part of what a replay says, and it shall run everywhere.
    if plan.engine.hugepages == Hugepages::Required {
        plan.engine.hugepages = Hugepages::Auto;
    }
    connect(&mut plan, args, terminal)?;
    let (pool, _) = packet_memory(&plan.engine)?;
    let mut engine = graph.build(plan, &pool, Time::Virtual)?;
    let destination = args.report.as_deref().map(Destination::open).transpose()?;
    if graph.diagnostics().warnings() > 0 {
        terminal.say(graph.render());
    }
    let until = args.until.map_or(u64::MAX, |until| u64::try_from(until.as_nanos()).unwrap_or(u64::MAX));
    engine.step_until(until);
    let whole = engine.ended() || args.until.is_some();
    let exit = Report::of(&mut engine).deliver(&engine, destination, terminal)?;
    if whole { Ok(exit) } else { Err(Failure::other("the replay stopped before its inputs had ended: are there enough buffers?")) }
}

/// Attaches the interfaces to captures as the arguments say, and the others to nothing.
fn connect(plan: &mut Plan, args: &ReplayArgs, terminal: &Terminal) -> Result<(), Failure> {
    let names: Vec<&str> = plan.interfaces.iter().map(|interface| interface.spec.name.value.as_str()).collect();
    known_once("--in", &args.inputs, &names)?;
    known_once("--out", &args.outputs, &names)?;
    check_outputs(args)?;
    let base = earliest(&args.inputs)?.unwrap_or(0);
    for interface in &mut plan.interfaces {
        let file =
            |list: &[(String, PathBuf)]| list.iter().find(|(name, _)| *name == *interface.spec.name).map(|(_, file)| file.clone());
        let (input, output) = (file(&args.inputs), file(&args.outputs));
        // One base for all: so that their packets come in the order of their times.
        let mut settings = vec![("base", i64::try_from(base).map_or(Node::Uint(base), Node::Int))];
        for (key, file) in [("read", &input), ("write", &output)] {
            if let Some(file) = file {
                settings.push((key, Node::Str(absolute(file)?.into())));
            }
        }
        match (input, output) {
            (None, None) if attach::is_virtual(interface) => ends(interface, args)?,
            (None, None) => {
                if interface.spec.settings.get("read").is_some() {
                    let name = &interface.spec.name.value;
                    terminal
                        .say(format!("warning: a replay does not read what the graph says of `{name}`: use `--in {name}=FILE`"));
                }
                attach::to_nothing(interface);
            }
            (None, Some(_)) if attach::generates(interface) => {
                ends(interface, args)?;
                attach::to_output(interface, settings);
            }
            _ => attach::to_captures(interface, settings),
        }
    }
    Ok(())
}

/// Each interface exists, and is named once.
fn known_once(option: &str, list: &[(String, PathBuf)], names: &[&str]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for (name, _) in list {
        if !names.contains(&name.as_str()) {
            let help = suggestion(name, "its interfaces are", names).map_or(String::new(), |help| format!("; {help}"));
            return Err(Failure::usage(format!("{option}: the graph has no interface `{name}`{help}")));
        }
        if !seen.insert(name) {
            return Err(Failure::usage(format!("{option}: the interface `{name}` is named twice")));
        }
    }
    Ok(())
}

/// No output is written over another one or over an input.
fn check_outputs(args: &ReplayArgs) -> Result<(), Failure> {
    let real = |file: &Path| std::fs::canonicalize(file).or_else(|_| std::path::absolute(file)).unwrap_or_else(|_| file.into());
    let mut taken: HashSet<PathBuf> = args.inputs.iter().map(|(_, file)| real(file)).collect();
    for (name, file) in &args.outputs {
        if !taken.insert(real(file)) {
            return Err(Failure::usage(format!("--out {name}={}: this file is read or written already", file.display())));
        }
    }
    Ok(())
}

/// The time of the earliest first record of all captures.
fn earliest(inputs: &[(String, PathBuf)]) -> Result<Option<u64>, Failure> {
    let mut earliest = None;
    for (_, file) in inputs {
        let mut reader = Reader::open(file).map_err(unreadable_capture)?;
        let first = reader.next_record().map_err(unreadable_capture)?.map(|record| record.timestamp_ns);
        earliest = [earliest, first].into_iter().flatten().min();
    }
    Ok(earliest)
}

/// What generates packets for ever must be told when to stop.
fn ends(interface: &InterfacePlan, args: &ReplayArgs) -> Result<(), Failure> {
    let generate = interface.spec.settings.get("generate").filter(|_| attach::generates(interface));
    match generate {
        Some(generate) if generate.get("limit").is_none() && args.until.is_none() => Err(Failure::usage(format!(
            "the interface `{0}` generates packets without end: say when to stop (--until SECONDS), or what to read instead \
             (--in {0}=FILE)",
            interface.spec.name.value
        ))),
        _ => Ok(()),
    }
}

/// A path for settings, which would be relative to the graph file otherwise.
fn absolute(file: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    path.into_os_string().into_string().map_err(|path| Failure::usage(format!("{} is not UTF-8", path.display())))
}
