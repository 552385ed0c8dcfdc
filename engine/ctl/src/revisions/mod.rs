//! The graphs that ran, by number: what to go back to, and what to start with again.

mod disk;

use std::collections::VecDeque;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use swath_core::spec::GraphFiles;
use utoipa::ToSchema;

use crate::api::RevisionInfo;
use crate::change::By;

pub use disk::{Disk, last_good, usual};

/// How many are kept in memory.
const RECENT: usize = 8;

/// A graph that has run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Revision {
    /// Its number.
    pub number: u64,
    /// When it came, in seconds since 1970.
    pub at: f64,
    /// What has brought it.
    pub by: By,
    /// Its files.
    pub files: GraphFiles,
}

/// The graph that runs, and those before it.
#[derive(Debug)]
pub struct Revisions {
    current: Revision,
    /// The last one first.
    before: VecDeque<Revision>,
    /// Where they outlive the process.
    disk: Option<Disk>,
    /// Why the one that runs is not there.
    unkept: Option<String>,
    good: Option<u64>,
}

impl Revisions {
    /// A process that begins with this graph. It is the last revision of before if that had the same files, or else the next.
    pub fn new(files: GraphFiles, disk: Option<Disk>) -> Revisions {
        let last = disk.as_ref().and_then(|disk| disk.numbers().first().copied());
        let known = disk.as_ref().zip(last).and_then(|(disk, last)| disk.read(last).ok());
        let known = known.filter(|revision| revision.files == files);
        let is_new = known.is_none();
        let current = known.unwrap_or_else(|| Revision::now(last.unwrap_or(0) + 1, By::Start, files));
        let good = disk.as_ref().and_then(Disk::good);
        let mut revisions = Revisions { current, before: VecDeque::new(), disk, unkept: None, good };
        if is_new {
            revisions.keep();
        }
        revisions
    }

    /// The one that runs.
    pub fn current(&self) -> &Revision {
        &self.current
    }

    /// From now on another one runs.
    pub fn add(&mut self, files: GraphFiles, by: By) {
        let next = Revision::now(self.current.number + 1, by, files);
        self.before.push_front(std::mem::replace(&mut self.current, next));
        self.before.truncate(RECENT - 1);
        self.keep();
    }

    fn keep(&mut self) {
        let kept = self.disk.as_ref().map_or(Ok(()), |disk| disk.write(&self.current));
        self.unkept = kept.err().map(|error| {
            let number = self.current.number;
            format!("revision {number} runs, and is not kept for the next start: {error}")
        });
    }

    /// What somebody should know of the one that runs: that it is not kept.
    pub fn warning(&self) -> Option<&str> {
        self.unkept.as_deref()
    }

    /// The one that runs is good: `--last-good` starts with it.
    ///
    /// # Errors
    /// That cannot be written. It is not tried again.
    pub fn mark_good(&mut self) -> io::Result<()> {
        let number = self.current.number;
        if self.good.replace(number) == Some(number) || self.unkept.is_some() {
            return Ok(());
        }
        self.disk.as_ref().map_or(Ok(()), |disk| disk.set_good(number))
    }

    /// The number of the one that ran before.
    pub fn before(&self) -> Option<u64> {
        self.numbers().into_iter().find(|number| *number < self.current.number)
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Option<Revision> {
        let recent = std::iter::once(&self.current).chain(&self.before).find(|revision| revision.number == number);
        recent.cloned().or_else(|| self.disk.as_ref()?.read(number).ok())
    }

    /// The numbers of those that there are, the last first.
    pub fn numbers(&self) -> Vec<u64> {
        let recent = std::iter::once(&self.current).chain(&self.before).map(|revision| revision.number);
        let mut numbers: Vec<u64> = recent.chain(self.disk.iter().flat_map(Disk::numbers)).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.dedup();
        numbers
    }

    /// What there is to say of each, the last first. One whose file is damaged is left out.
    pub fn list(&self) -> Vec<RevisionInfo> {
        let kept = self.disk.as_ref().map(Disk::numbers).unwrap_or_default();
        let good = self.disk.as_ref().and_then(Disk::good);
        let info = |revision: Revision| RevisionInfo {
            number: revision.number,
            at: revision.at,
            by: revision.by,
            graph: revision.files.name().into(),
            running: revision.number == self.current.number,
            good: Some(revision.number) == good,
            kept: kept.contains(&revision.number),
        };
        self.numbers().into_iter().filter_map(|number| self.get(number)).map(info).collect()
    }
}

impl Revision {
    fn now(number: u64, by: By, files: GraphFiles) -> Revision {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Revision { number, at, by, files }
    }
}
