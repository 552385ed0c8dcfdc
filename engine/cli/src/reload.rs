//! The graph file, read again while it runs.

use std::path::Path;

use swath_core::plan::Fate;
use swath_core::run::{Refusal, Report};
use swath_core::spec::GraphFiles;
use swath_ctl::api::{Applied, Problem};
use swath_ctl::{By, News, Order, Refused, Running};

use crate::diff::totals;
use crate::exit::Failure;
use crate::figures::counted;
use crate::load::Graph;
use crate::terminal::Terminal;

/// Reads the graph again, and says what has come of it.
#[derive(Debug)]
pub struct Reload<'a> {
    /// The file.
    pub graph: &'a Path,
    /// For people; quiet if they are told by log events.
    pub terminal: &'a Terminal,
    /// Whether they are.
    pub events: bool,
}

impl Reload<'_> {
    /// Has the engine go over to what the file says now. If that is refused, nothing has changed. Returns the files that were read, if the
    /// graph was among them.
    pub fn carry_out(&self, running: &mut Running, by: By) -> Option<GraphFiles> {
        let path = self.graph.display();
        let mut graph = Graph::open(self.graph).map(|graph| graph.colour(self.terminal.colour && !self.events));
        match graph.as_mut().map_err(|failure| failure.clone()).and_then(|graph| self.apply(graph, running, by)) {
            Ok(Applied { report: None, revision, .. }) => {
                self.terminal.say(format!("{path}: is what runs as revision {revision}"));
            }
            // What runs now is told as news.
            Ok(_) => {}
            Err(why) => {
                self.terminal.say(format!("{why}\n{path}: not applied, and nothing has changed"));
                if self.events {
                    tracing::error!(target: "swath::engine", graph = %path, "not applied, and nothing has changed: {why}");
                }
            }
        }
        graph.ok().map(|graph| graph.files().clone())
    }

    fn apply(&self, graph: &mut Graph, running: &mut Running, by: By) -> Result<Applied, Failure> {
        let plan = graph.plan_once(&crate::registry())?;
        let files = graph.files().clone();
        let applied = running.apply(plan, files, Order { by, confirm: None }, graph.diagnostics_mut());
        if applied.is_ok() && graph.diagnostics().warnings() > 0 {
            self.terminal.say(graph.render());
        }
        applied.map_err(|refused| match refused {
            Refused::Engine(Refusal::Graph) => graph.refused(),
            other => Failure::config(format!("{}: {other}", graph.name())),
        })
    }

    /// Says what has happened to the graph that runs.
    pub fn tell(&self, news: &News) {
        match news {
            News::Applied(applied) => self.tell_applied(applied),
            News::Confirmed { revision } => {
                self.terminal.say(format!("revision {revision} is confirmed"));
                tracing::info!(target: "swath::engine", revision, "confirmed");
            }
            News::Warning(why) => {
                self.terminal.warn(why);
                tracing::warn!(target: "swath::engine", "{why}");
            }
            News::Stuck { revision, why } => {
                let why = problem(why);
                self.terminal
                    .warn(&format!("revision {revision} was not confirmed, and goes on, since the one before is refused: {why}"));
                tracing::error!(target: "swath::engine", revision, "not confirmed, and goes on, since the one before is refused: {why}");
            }
        }
    }

    fn tell_applied(&self, applied: &Applied) {
        let Some(report) = &applied.report else { return };
        let revision = applied.revision;
        if applied.by == By::Unconfirmed {
            self.terminal.warn("nobody has confirmed the graph in time: the engine goes back");
            tracing::warn!(target: "swath::engine", revision, "nobody has confirmed the graph in time: the engine goes back");
        }
        self.terminal.say(format!("{}: {}", outcome(applied, report), totals(&report.diff).trim_end()));
        problems(report, revision).iter().chain(&applied.warnings).for_each(|problem| self.terminal.warn(problem));
        applied.warnings.iter().for_each(|why| tracing::warn!(target: "swath::engine", revision, "{why}"));
        let Report { made_in, longest_pause, spread, .. } = report;
        let by = applied.by.to_string();
        tracing::info!(target: "swath::engine", revision, by, made_in, longest_pause, spread, "another graph runs: {}", totals(&report.diff).trim_end());
        log(report);
    }
}

/// How an engine went over to a graph, in a line.
pub fn outcome(applied: &Applied, report: &Report) -> String {
    let Report { made_in, longest_pause, spread, workers, .. } = report;
    let pauses: Vec<String> =
        workers.iter().map(|worker| format!("worker {} paused {:.1} µs", worker.worker, worker.pause * 1e6)).collect();
    let pauses = if pauses.len() > 4 { format!("longest pause {:.1} µs", longest_pause * 1e6) } else { pauses.join(", ") };
    let spread = if workers.len() > 1 { format!(", {:.1} µs from first to last", spread * 1e6) } else { String::new() };
    let swaps = counted(workers.len(), "swap");
    format!("revision {} runs: made in {:.1} ms, {swaps}, {pauses}{spread}", applied.revision, made_in * 1e3)
}

/// What has gone wrong with a graph that runs all the same.
pub fn problems(report: &Report, revision: u64) -> Vec<String> {
    let incomplete = report.incomplete.iter().map(|worker| {
        format!("worker {worker} has not gone over to revision {revision} yet: nothing else is applied before it has")
    });
    let not_carried =
        report.not_carried.iter().map(|part| format!("`{part}` has lost its state: it, or the one before, has a defect"));
    let errors = report.detached.iter().filter_map(|ended| ended.error.clone());
    incomplete.chain(not_carried).chain(errors).collect()
}

/// Problem details for people: with the lines that are wrong.
pub fn problem(problem: &Problem) -> String {
    let rendered = problem.diagnostics.iter().filter_map(|diagnostic| diagnostic.rendered.as_ref());
    let rendered: String = rendered.map(|text| format!("{text}\n\n")).collect();
    rendered + problem.detail.as_deref().unwrap_or(&problem.title)
}

/// An event for each part that is not as it was, and for what has gone wrong.
fn log(report: &Report) {
    for &worker in &report.incomplete {
        tracing::warn!(target: "swath::engine", worker, number = report.number, "has not gone over to the graph yet");
    }
    for part in &report.not_carried {
        tracing::warn!(target: "swath::engine", part = part.as_str(), "has lost its state");
    }
    for ended in &report.detached {
        let interface = ended.interface.as_str();
        match &ended.error {
            Some(error) => tracing::warn!(target: "swath::interface", interface, "detached: {error}"),
            None => tracing::info!(target: "swath::interface", interface, "detached: {}", ended.says),
        }
    }
    for change in report.diff.parts().filter(|change| change.fate != Fate::Keep) {
        let fate = match change.fate {
            Fate::Keep => continue,
            Fate::Adopt => "made anew, and has taken over what it knows",
            Fate::Convert => "made anew by another build, and has read what it knows",
            Fate::Fresh => "new",
            Fate::Gone => "gone",
        };
        tracing::info!(target: "swath::engine", name = change.name.as_str(), kind = change.kind.as_str(), lost = &*change.lost, "{fate}");
    }
}
