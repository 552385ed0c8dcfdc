//! Questions to a table that only all shards together can answer.

use serde::de::DeserializeOwned;

use crate::setup::ConfigError;
use crate::table::Table;

/// Entries that one slice of a question looks at, at most: what keeps a worker from its packets is short.
pub const SLICE: usize = 256;

/// A table whose control commands may need the shards: a list of its sessions, an end to those of one host. It is listed by
/// [`TableKind::sharded`](crate::TableKind::sharded).
///
/// A question goes to every worker as a message. Between two sweeps a worker lets the table [visit](Sharded::visit) at most [`SLICE`]
/// entries of its shard, sends the rows back, and goes on with its packets until it is asked to go on. When all workers are through,
/// the table makes an [answer](Sharded::answer) of the rows. Entries come and go meanwhile: what is there from the first slice to the last
/// is visited once, if positions are places in the table and entries do not move.
pub trait Sharded: Table {
    /// What may be asked, externally tagged as [`Table::Command`], with other names.
    type Question: DeserializeOwned + Clone + Send;
    /// What a worker finds.
    type Row: Send;

    /// On a worker: looks at up to [`SLICE`] entries of its shard from position `at` on, and returns the position to go on from; `None`
    /// at the end. The first position is 0. It may change the entries. It must not allocate, as all that a worker does.
    fn visit(&self, shard: &mut Self::Shard, question: &Self::Question, at: u64, rows: &mut Rows<Self::Row>) -> Option<u64>;

    /// On a control thread: the answer, of all rows: those of each worker in the order in which it found them, by worker.
    ///
    /// # Errors
    /// Why there is none.
    fn answer(&self, question: Self::Question, rows: Vec<Vec<Self::Row>>) -> Result<Self::Reply, ConfigError>;
}

/// What a worker finds in one slice: at most [`SLICE`] rows.
#[derive(Debug)]
pub struct Rows<R> {
    rows: Vec<R>,
}

impl<R> Rows<R> {
    pub(crate) fn new() -> Rows<R> {
        Rows { rows: Vec::with_capacity(SLICE) }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If there are more than [`SLICE`]: a mistake of the table, of which the question fails.
    #[inline]
    pub fn push(&mut self, row: R) {
        assert!(self.rows.len() < SLICE, "a slice has at most {SLICE} rows");
        self.rows.push(row);
    }

    pub(crate) fn move_to(&mut self, all: &mut Vec<R>) {
        all.append(&mut self.rows);
    }
}
