//! The graphs that ran, by number: what to go back to.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use swath_core::spec::GraphFiles;
use utoipa::ToSchema;

use crate::change::By;

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
}

impl Revisions {
    /// A process that begins with this graph.
    pub fn new(files: GraphFiles) -> Revisions {
        Revisions { current: Revision::now(1, By::Start, files), before: VecDeque::new() }
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
    }

    /// The number of the one that ran before.
    pub fn before(&self) -> Option<u64> {
        self.before.front().map(|revision| revision.number)
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Option<&Revision> {
        self.all().find(|revision| revision.number == number)
    }

    /// The numbers of those that there are, the last first.
    pub fn numbers(&self) -> Vec<u64> {
        self.all().map(|revision| revision.number).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Revision> {
        std::iter::once(&self.current).chain(&self.before)
    }
}

impl Revision {
    fn now(number: u64, by: By, files: GraphFiles) -> Revision {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Revision { number, at, by, files }
    }
}
