//! `swath validate`: everything that can be said of a graph without its machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use swath_api::Pool;
use swath_api::wire::MacAddr;
use swath_core::Registry;
use swath_core::driver::PortConfig;
use swath_core::plan::InterfacePlan;
use swath_core::spec::{BUFFERS, Diagnostic, EngineSpec, Hugepages};

use crate::args::Format;
use crate::attach;
use crate::exit::{Exit, Failure};
use crate::figures::counted;
use crate::load::{Graph, Time, packet_memory};
use crate::schema::Schema;
use crate::terminal::{Style, Terminal, paint};

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It reads a graph, plans it and makes all its tables and nodes, on interfaces that are not attached
to anything. All mistakes are reported at once. Whether the devices and files of this machine are as
the graph says is not looked at.

Examples:
  swath validate graphs/quickstart.yaml
  swath validate graphs/*.yaml --deny-warnings")]
pub struct ValidateArgs {
    /// The graph files
    #[arg(required = true, value_name = "GRAPH")]
    pub graphs: Vec<PathBuf>,
    /// Refuse graphs with warnings, too
    #[arg(long)]
    pub deny_warnings: bool,
    /// How to report: for people, or as a JSON list with one entry for each graph
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Checks all graphs, whatever is wrong with one of them.
///
/// # Errors
/// The result could not be written.
pub fn validate(args: &ValidateArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let registry = crate::registry();
    let mut exit = Exit::Ok;
    let mut results = Vec::new();
    for path in &args.graphs {
        let graph = match check(path, &registry, terminal) {
            Ok(graph) => graph,
            Err(failure) => {
                if args.format == Format::Text {
                    terminal.fail(&failure);
                }
                results.push(json!({ "graph": path.display().to_string(), "valid": false, "error": failure.to_string() }));
                // What was not looked at is worse than what was found.
                exit = failure.exit();
                continue;
            }
        };
        let (errors, warnings) = (graph.diagnostics().errors(), graph.diagnostics().warnings());
        let valid = errors == 0 && !(args.deny_warnings && warnings > 0);
        if !valid && exit == Exit::Ok {
            exit = Exit::Config;
        }
        results.push(json!({
            "graph": graph.name(), "valid": valid, "errors": errors, "warnings": warnings,
            "diagnostics": graph.diagnostics().to_json(graph.sources()),
        }));
        if args.format == Format::Text {
            terminal.say(format!("{}{}: {}", graph.render(), graph.name(), verdict(errors, warnings, valid, terminal.colour)));
        }
    }
    if args.format == Format::Json {
        let json = serde_json::to_string_pretty(&results).unwrap_or_default();
        terminal.data(&(json + "\n"))?;
    }
    Ok(exit)
}

/// Reads, plans and builds a graph; what is wrong with it is in its diagnostics.
fn check(path: &Path, registry: &Registry, terminal: &Terminal) -> Result<Graph, Failure> {
    let mut graph = Graph::open(path)?.colour(terminal.colour);
    let plan = graph.plan(registry);
    crate::test::check(&mut graph, registry);
    let Ok(mut plan) = plan else { return Ok(graph) };
    // As many buffers as must be: nothing is received.
    plan.engine = EngineSpec { buffers: *BUFFERS.start(), hugepages: Hugepages::Never, cores: None, ..plan.engine };
    let (pool, _) = packet_memory(&plan.engine)?;
    for (index, interface) in plan.interfaces.iter_mut().enumerate() {
        let workers = plan.engine.workers.into();
        for mistake in check_driver(interface, index as u16, workers, &pool, graph.directory()) {
            graph.diagnostics_mut().push(mistake);
        }
        attach::to_nothing(interface);
    }
    // Its refusal is in the diagnostics.
    let _ = graph.build(plan, &pool, Time::Real);
    Ok(graph)
}

/// What is wrong with the settings of an interface's driver.
fn check_driver(interface: &InterfacePlan, index: u16, workers: u32, pool: &Arc<Pool>, directory: &Path) -> Vec<Diagnostic> {
    let settings = &interface.spec.settings;
    if !attach::is_virtual(interface) {
        // To open it would touch the world: its settings are held against its schema.
        let schema = serde_json::from_str(&(interface.driver.schema)()).unwrap_or_default();
        let mistakes = Schema::new(&schema).check(&settings.to_json());
        return mistakes.iter().map(|(path, message)| Diagnostic::at_path(settings, path, message)).collect();
    }
    let spec = &interface.spec;
    let opened = (interface.driver.open)(&PortConfig {
        name: &spec.name.value,
        index,
        settings: &settings.to_json_bytes(),
        mac: spec.mac.as_ref().map(|mac| MacAddr::from(mac.value.0)),
        mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
        workers,
        pool,
        directory,
        virtual_time: false,
    });
    opened.err().map(|error| Diagnostic::at_path(settings, error.path(), error.message())).into_iter().collect()
}

fn verdict(errors: usize, warnings: usize, valid: bool, colour: bool) -> String {
    let counts = match (errors, warnings) {
        (0, 0) => "ok".into(),
        (0, warnings) if valid => format!("ok, {}", counted(warnings, "warning")),
        (0, warnings) => format!("{}, which are denied", counted(warnings, "warning")),
        (errors, 0) => counted(errors, "error"),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    paint(&counts, if valid { Style::Good } else { Style::Error }, colour)
}
