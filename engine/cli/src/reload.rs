//! The graph file, read again while it runs.

use std::path::Path;

use swath_core::plan::Fate;
use swath_core::run::{Engine, Refusal, Report};
use swath_ctl::Running;
use swath_ctl::api::{Config, ConfigFile};

use crate::diff::totals;
use crate::exit::Failure;
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
    /// Has the engine go over to what the file says now. If that is refused, nothing has changed. Returns whether it runs another graph.
    pub fn carry_out(&self, running: &mut Running) -> bool {
        let path = self.graph.display();
        match self.apply(&mut running.engine) {
            Ok((report, files)) => {
                running.config = Config { revision: running.config.revision + 1, files };
                self.tell(&report);
                true
            }
            Err(why) => {
                self.terminal.say(format!("{why}\n{path}: not applied, and nothing has changed"));
                if self.events {
                    tracing::error!(target: "swath::engine", graph = %path, "not applied, and nothing has changed: {why}");
                }
                false
            }
        }
    }

    fn apply(&self, engine: &mut Engine) -> Result<(Report, Vec<ConfigFile>), Failure> {
        let mut graph = Graph::open(self.graph)?.colour(self.terminal.colour && !self.events);
        let plan = graph.plan_once(&crate::registry())?;
        let applied = engine.apply(plan, graph.diagnostics_mut());
        if applied.is_ok() && graph.diagnostics().warnings() > 0 {
            self.terminal.say(graph.render());
        }
        match applied {
            Ok(report) => Ok((report, files(&graph))),
            Err(Refusal::Graph) => Err(graph.refused()),
            Err(other) => Err(Failure::config(format!("{}: {other}", graph.name()))),
        }
    }

    fn tell(&self, report: &Report) {
        let Report { number, diff, made_in, longest_pause, spread, .. } = report;
        let totals = totals(diff);
        let totals = totals.trim_end();
        self.terminal.say(format!(
            "graph {number}: {totals}; made in {:.1} ms, longest pause {:.1} µs",
            made_in * 1e3,
            longest_pause * 1e6
        ));
        for worker in &report.incomplete {
            self.terminal.warn(&format!("worker {worker} has not gone over to graph {number} yet"));
        }
        for part in &report.not_carried {
            self.terminal.warn(&format!("`{part}` has lost its state: it, or the one before, has a defect"));
        }
        for error in report.detached.iter().filter_map(|ended| ended.error.as_ref()) {
            self.terminal.warn(error);
        }
        if self.events {
            tracing::info!(target: "swath::engine", number, made_in, longest_pause, spread, "another graph runs: {totals}");
            log(report);
        }
    }
}

/// What stands in the files of a graph.
pub fn files(graph: &Graph) -> Vec<ConfigFile> {
    graph.sources().iter().map(|file| ConfigFile { name: file.name().into(), text: file.text().into() }).collect()
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
            Fate::Fresh => "new",
            Fate::Gone => "gone",
        };
        tracing::info!(target: "swath::engine", name = change.name.as_str(), kind = change.kind.as_str(), lost = change.lost, "{fate}");
    }
}
