//! `swath validate`: everything that can be said of a graph without its machine.

use std::path::{Path, PathBuf};

use serde_json::json;
use swath_core::Registry;

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::figures::counted;
use crate::load::Graph;
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

/// Reads and plans a graph and makes its parts; what is wrong with it is in its diagnostics.
fn check(path: &Path, registry: &Registry, terminal: &Terminal) -> Result<Graph, Failure> {
    let mut graph = Graph::open(path)?.colour(terminal.colour);
    crate::test::check(&mut graph, registry);
    // A refusal is in the diagnostics.
    if let Ok(plan) = graph.plan_once(registry) {
        graph.check(&plan);
    }
    Ok(graph)
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
