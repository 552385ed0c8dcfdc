//! `swath test`: the tests that graphs hold.
//!
//! ```text
//! words ─case─► Case ─run─► Outcome ─judge─► Verdict ─► show, json
//!                     (a fresh engine between ports in memory)
//! ```

mod case;
mod compare;
mod diff;
mod json;
mod judge;
mod packet;
mod place;
mod port;
mod run;
mod show;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swath_core::Registry;
use swath_core::spec::WORKERS;

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::figures::counted;
use crate::load::Graph;
use crate::terminal::{Style, Terminal, paint};
use case::Case;
use run::Bench;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A test says what comes in by which interface, and what is to leave and to be dropped; anything else
fails. Each has an engine of its own, with all interfaces in memory, by virtual time, so it needs no
privileges. What fails is shown packet beside packet.

With --format json it writes a list with one entry for each graph: graph, valid, and tests, a list of
{name, line, result: ok or failed, problems, ledger}; error or diagnostics of a graph that is refused.
A problem has its kind in `problem`: differs, missing, unexpected, order, elsewhere, unreceived,
dropped, ledger. docs/tests-of-graphs.md says what each of them holds, and how tests are written.

Examples:
  swath test graphs/*.yaml
  swath test graphs/ip4-router.yaml --filter TTL --workers 4")]
pub struct TestArgs {
    /// The graph files
    #[arg(required = true, value_name = "GRAPH")]
    pub graphs: Vec<PathBuf>,
    /// Run only the tests with this in their name
    #[arg(long, value_name = "SUBSTRING")]
    pub filter: Option<String>,
    /// The number of workers
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(i64::from(*WORKERS.start())..=i64::from(*WORKERS.end())))]
    pub workers: u16,
    /// Show the tests, and do not run them
    #[arg(long)]
    pub list: bool,
    /// Fail for a graph without tests, too
    #[arg(long)]
    pub require_tests: bool,
    /// How to report: for people, or as a JSON list with one entry for each graph
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// What was found in all graphs.
#[derive(Debug, Default)]
struct Totals {
    passed: usize,
    failed: usize,
    left_out: usize,
    /// Graphs that have no tests.
    without: usize,
    /// Graphs that could not be tested.
    refused: usize,
}

/// Runs the tests of all graphs, whatever is wrong with one of them.
///
/// # Errors
/// The result could not be written; or no test has the filter in its name.
pub fn test(args: &TestArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let registry = crate::registry();
    let (mut totals, mut exit, mut results) = (Totals::default(), Exit::Ok, Vec::new());
    for path in &args.graphs {
        let tested = test_graph(path, args, &registry, terminal, &mut totals);
        match tested {
            Ok(result) => results.push(result),
            Err(Refused { failure, diagnostics }) => {
                totals.refused += 1;
                let mut result = json!({ "graph": path.display().to_string(), "valid": false });
                match diagnostics {
                    Some(diagnostics) => result["diagnostics"] = diagnostics,
                    None => result["error"] = failure.to_string().into(),
                }
                results.push(result);
                if args.format == Format::Text {
                    terminal.fail(&failure);
                }
                // What was not looked at is worse than what was found.
                exit = failure.exit();
            }
        }
    }
    if args.format == Format::Json {
        let json = serde_json::to_string_pretty(&results).unwrap_or_default();
        terminal.data(&(json + "\n"))?;
    } else if !args.list {
        terminal.data(&totals.line(terminal.data_colour))?;
    }
    if exit != Exit::Ok {
        return Ok(exit);
    }
    if let Some(filter) = args.filter.as_ref().filter(|_| totals.passed + totals.failed == 0 && totals.left_out > 0) {
        return Err(Failure::other(format!("no test has `{filter}` in its name")));
    }
    let failed = totals.failed > 0 || args.require_tests && totals.without > 0;
    Ok(if failed { Exit::Failed } else { Exit::Ok })
}

/// Adds what is wrong with the tests of a graph to its diagnostics, without running them.
pub fn check(graph: &mut Graph, registry: &Registry) {
    case::prepare(graph, registry);
}

/// A graph that cannot be tested.
struct Refused {
    failure: Failure,
    /// What is wrong with it, if it could be read.
    diagnostics: Option<Value>,
}

fn test_graph(
    path: &Path,
    args: &TestArgs,
    registry: &Registry,
    terminal: &Terminal,
    totals: &mut Totals,
) -> Result<Value, Refused> {
    let unreadable = |failure| Refused { failure, diagnostics: None };
    let mut graph = Graph::open(path).map_err(unreadable)?.colour(terminal.colour);
    let plan = graph.plan(registry);
    let cases = case::prepare(&mut graph, registry);
    let refused =
        |graph: &Graph| Refused { failure: graph.refused(), diagnostics: Some(graph.diagnostics().to_json(graph.sources())) };
    let Some(plan) = plan.ok().filter(|_| graph.diagnostics().errors() == 0) else { return Err(refused(&graph)) };
    let text = args.format == Format::Text;
    if text && graph.diagnostics().warnings() > 0 {
        terminal.say(graph.render());
    }
    let (name, colour) = (graph.name().to_owned(), terminal.data_colour);
    let chosen: Vec<&Case> = cases.iter().filter(|case| args.filter.as_ref().is_none_or(|part| case.name.contains(part))).collect();
    totals.left_out += cases.len() - chosen.len();
    let say = |line: &str| if text { terminal.data(line).map_err(unreadable) } else { Ok(()) };
    let mut results = Vec::with_capacity(chosen.len());
    if args.list {
        totals.passed += chosen.len();
        for case in chosen {
            say(&format!("{name}:{}: {}\n", case.line, case.name))?;
            results.push(json::listed(case));
        }
        return Ok(json!({ "graph": name, "valid": true, "tests": results }));
    }
    say(&format!("{}\n", paint(&name, Style::Bold, colour)))?;
    if cases.is_empty() {
        totals.without += 1;
        say(&format!("  {}\n", paint("has no tests", Style::Warning, colour)))?;
    }
    let mut bench = Bench::new(&mut graph, registry, &plan.engine, args.workers).map_err(unreadable)?;
    for case in chosen {
        let outcome = match bench.run(case) {
            Ok(outcome) => outcome,
            Err(_) => return Err(refused(&graph)),
        };
        let verdict = judge::judge(case, &outcome);
        *(if verdict.passed() { &mut totals.passed } else { &mut totals.failed }) += 1;
        say(&show::result(&name, case, &outcome, &verdict, colour))?;
        results.push(json::result(case, &outcome, &verdict));
    }
    Ok(json!({ "graph": name, "valid": true, "tests": results }))
}

impl Totals {
    fn line(&self, colour: bool) -> String {
        let mut parts = vec![paint(&format!("{} passed", self.passed), Style::Good, colour && self.failed + self.refused == 0)];
        let mut add = |count: usize, text: String, style| {
            if count > 0 {
                parts.push(paint(&text, style, colour));
            }
        };
        add(self.failed, format!("{} failed", self.failed), Style::Error);
        add(self.left_out, format!("{} left out", self.left_out), Style::Bold);
        add(self.refused, format!("{} refused", counted(self.refused, "graph")), Style::Error);
        add(self.without, format!("{} without tests", counted(self.without, "graph")), Style::Warning);
        format!("{}\n", parts.join(", "))
    }
}
