//! Another graph in the place of the one that runs, and the way back: each change is one transaction of the thread that has the engine.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use swath_core::plan::Plan;
use swath_core::run::{Refusal, Report};
use swath_core::spec::{Diagnostics, GraphFiles};
use utoipa::ToSchema;

use crate::api::{Applied, Problem};
use crate::candidate::Candidate;
use crate::control::Running;

/// What has brought a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The start of the process.
    Start,
    /// The control API.
    Apply,
    /// SIGHUP, which has the file read again.
    Hangup,
    /// The file, which is another one now.
    File,
    /// The control API, back to a revision.
    Rollback,
    /// Nobody has confirmed the revision before in time.
    Unconfirmed,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Start => "start",
            By::Apply => "apply",
            By::Hangup => "hangup",
            By::File => "file",
            By::Rollback => "rollback",
            By::Unconfirmed => "unconfirmed",
        })
    }
}

/// How a graph is to be applied.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// What brings it.
    pub by: By,
    /// Go back to the last graph that was confirmed, unless this one is within this time.
    pub confirm: Option<Duration>,
}

/// A graph that is given up unless somebody confirms it.
#[derive(Debug)]
pub(crate) struct Trial {
    /// When.
    pub deadline: Instant,
    /// The revision to go back to.
    pub confirmed: u64,
}

/// Why a graph was not applied. Nothing has changed.
#[derive(Debug)]
pub enum Refused {
    /// The engine refuses it.
    Engine(Refusal),
    /// The one that runs waits for somebody to confirm it.
    Unconfirmed {
        /// Which.
        revision: u64,
        /// How long it does.
        left: Duration,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Engine(refusal) => refusal.fmt(f),
            Refused::Unconfirmed { revision, left } => write!(
                f,
                "revision {revision} waits to be confirmed, for {:.0} s more: `swath confirm` keeps it, `swath rollback` gives it up",
                left.as_secs_f64()
            ),
        }
    }
}

/// What has happened to the graph that runs, for whoever watches it.
#[derive(Debug)]
pub enum News {
    /// Another one runs.
    Applied(Box<Applied>),
    /// The one that runs is kept.
    Confirmed {
        /// Which.
        revision: u64,
    },
    /// It was to be given up, and cannot be.
    Stuck {
        /// Which.
        revision: u64,
        /// Why.
        why: Box<Problem>,
    },
    /// Something that somebody should look at.
    Warning(String),
}

impl Running {
    /// Has the engine go over to a graph that was read from these files. The same files again change nothing.
    ///
    /// # Errors
    /// It is refused; the diagnostics say more.
    pub fn apply(
        &mut self,
        plan: Plan,
        files: GraphFiles,
        order: Order,
        diagnostics: &mut Diagnostics,
    ) -> Result<Applied, Refused> {
        self.may_change(order)?;
        let report = match files == self.revisions.current().files {
            true => None,
            false => Some(self.engine.apply(plan, diagnostics).map_err(Refused::Engine)?),
        };
        Ok(self.applied(report, files, order))
    }

    /// A graph on trial may only be followed by another one on trial, or by one that was confirmed.
    fn may_change(&self, order: Order) -> Result<(), Refused> {
        let Some(trial) = &self.trial else { return Ok(()) };
        if order.confirm.is_some() || matches!(order.by, By::Rollback | By::Unconfirmed) {
            return Ok(());
        }
        let left = trial.deadline.saturating_duration_since(Instant::now());
        Err(Refused::Unconfirmed { revision: self.revision(), left })
    }

    fn applied(&mut self, report: Option<Report>, files: GraphFiles, order: Order) -> Applied {
        let before = self.trial.as_ref().map_or(self.revision(), |trial| trial.confirmed);
        let is_new = report.is_some();
        if is_new {
            self.revisions.add(files, order.by);
        }
        let deadline = order.confirm.map(|time| Instant::now() + time);
        self.trial = deadline.map(|deadline| Trial { deadline, confirmed: before });
        let applied = Applied {
            revision: self.revision(),
            by: order.by,
            report,
            confirm_within: order.confirm.map(|time| time.as_secs_f64()),
            diagnostics: Vec::new(),
            warnings: self.revisions.warning().filter(|_| is_new).map(Into::into).into_iter().collect(),
        };
        if is_new {
            self.news.push(News::Applied(Box::new(applied.clone())));
        }
        applied
    }

    /// Keeps the graph that is on trial. Returns its revision.
    ///
    /// # Errors
    /// None is.
    pub fn confirm(&mut self) -> Result<u64, Problem> {
        let revision = self.revision();
        self.trial.take().ok_or_else(|| Problem::nothing_to_confirm(revision))?;
        self.news.push(News::Confirmed { revision });
        Ok(revision)
    }

    /// Goes back to a revision; without a number to the one that was confirmed last, or if the one that runs was, to the one before.
    ///
    /// # Errors
    /// There is none, or it cannot be had any more.
    pub fn roll_back(&mut self, to: Option<u64>, order: Order) -> Result<Applied, Box<Problem>> {
        let to = to.or(self.trial.as_ref().map(|trial| trial.confirmed)).or(self.revisions.before());
        let to = to.ok_or_else(|| Box::new(Problem::no_revision_before(self.revision())))?;
        let known = self.revisions.numbers();
        let files = self.revisions.get(to).map(|revision| revision.files);
        let files = files.ok_or_else(|| Box::new(Problem::unknown_revision(to, &known)))?;
        let Candidate { files, plan, mut findings } = Candidate::read(files, &self.registry)?;
        let name = files.name().to_string();
        let applied = self.apply(plan, files, order, &mut findings.diagnostics);
        let applied = applied.map_err(|refused| Problem::refused_graph(&refused, &name, &findings))?;
        Ok(Applied { diagnostics: findings.list(), ..applied })
    }

    /// Gives up a graph that nobody has confirmed in time, and notes that one is good when all workers run it and nobody has to confirm it. To
    /// be called often.
    pub fn look_after(&mut self, now: Instant) {
        let is_over = match &self.trial {
            Some(trial) => now >= trial.deadline,
            None if self.engine.incomplete().is_empty() => return self.mark_good(),
            None => false,
        };
        if is_over {
            self.give_up();
        }
    }

    fn mark_good(&mut self) {
        if let Err(error) = self.revisions.mark_good() {
            let revision = self.revision();
            self.news.push(News::Warning(format!("the next start with --last-good will not be with revision {revision}: {error}")));
        }
    }

    fn give_up(&mut self) {
        let revision = self.revision();
        if let Err(why) = self.roll_back(None, Order { by: By::Unconfirmed, confirm: None }) {
            // It goes on: there is nothing else that could.
            self.trial = None;
            self.news.push(News::Stuck { revision, why });
        }
    }

    /// The revision that runs.
    pub fn revision(&self) -> u64 {
        self.revisions.current().number
    }

    /// What has happened since this was last asked.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }
}
