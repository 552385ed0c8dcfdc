//! `swath replay`: a graph on captures, by one thread and virtual time.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use swath_core::plan::{BUFFERS_PER_WORKER, InterfacePlan, Plan};
use swath_core::spec::{Hugepages, Node, WORKERS, suggestion};
use swath_io::capture::Reader;

use crate::args::time;
use crate::attach;
use crate::compare::unreadable_capture;
use crate::exit::{Exit, Failure};
use crate::load::{Graph, Time, packet_memory};
use crate::report::{Destination, Report};
use crate::terminal::Terminal;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "swath replay [OPTIONS] <GRAPH>\n       swath replay --compare <A> <B> [--limit <N>]",
    after_help = "\
Every interface is replaced: those named by --in and --out read and write captures, the others
neither receive nor keep anything. Only an interface whose driver is `memory` keeps its generator,
unless --in names it. Captures are merged by their times. N workers run as one thread, in turns: the
same input and N give the same output, to the byte.

Two captures are equal if on each interface the same frames came, and those of each flow in the same
order; if they are not, the command fails with 1.

Examples:
  swath replay graphs/ip4-router.yaml --in lan=in.pcap --out wan=one.pcap --report -
  swath replay graphs/ip4-router.yaml --in lan=in.pcap --out wan=two.pcap --workers 2
  swath replay --compare one.pcap two.pcap"
)]
pub struct ReplayArgs {
    /// The graph file
    #[arg(required_unless_present = "compare")]
    pub graph: Option<PathBuf>,
    /// Receive the records of a capture (pcap or pcapng) on an interface; repeatable
    #[arg(long = "in", value_name = "IF=FILE", value_parser = assignment)]
    pub inputs: Vec<(String, PathBuf)>,
    /// Write what an interface sends to a pcap file; repeatable
    #[arg(long = "out", value_name = "IF=FILE", value_parser = assignment)]
    pub outputs: Vec<(String, PathBuf)>,
    /// The number of workers, instead of the graph's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(i64::from(*WORKERS.start())..=i64::from(*WORKERS.end())))]
    pub workers: Option<u16>,
    /// Stop when so much virtual time has passed, `10s` or a number of seconds; without it when all inputs have ended
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Duration>,
    /// Write the ledgers to a file as JSON, or to standard output (-)
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Compare two captures, or two directories of captures, instead
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["graph", "inputs", "outputs", "workers", "until", "report"])]
    pub compare: Option<Vec<PathBuf>>,
    /// Differences to show at most
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "graph")]
    pub limit: usize,
}

fn assignment(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((interface, file)) if !interface.is_empty() && !file.is_empty() => Ok((interface.into(), file.into())),
        _ => Err("an interface and a file are expected, such as `lan=in.pcap`".into()),
    }
}

/// Sends captures through a graph.
///
/// # Errors
/// The graph or a capture cannot be read; the graph is refused; or its ledger does not add up.
pub fn replay(args: &ReplayArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let path = args.graph.as_deref().unwrap_or(Path::new(""));
    let mut graph = Graph::open(path)?.colour(terminal.colour);
    let mut plan = graph.plan_once(&crate::registry())?;
    graph.check_interfaces(&plan)?;
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
            "the interface `{0}` generates packets without end: say when to stop (--until TIME), or what to read instead \
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_an_equals_sign() {
        assert_eq!(assignment("lan=a=b.pcap"), Ok(("lan".into(), "a=b.pcap".into())));
        for text in ["", "lan", "lan=", "=x"] {
            assert!(assignment(text).is_err(), "{text}");
        }
    }
}
