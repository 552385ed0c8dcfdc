//! The tables of a graph as one worker has them.

use std::ffi::c_void;
use std::sync::Arc;

use super::raw::TypeKey;
use super::raw::{RawContext, RawEntry, Sink};
use super::{DONE, TableInstance};
use crate::setup::ConfigError;

impl RawEntry {
    pub const VACANT: RawEntry = RawEntry { key: TypeKey::NONE, shared: std::ptr::null(), shard: std::ptr::null_mut() };
}

/// All tables as one worker sees them: the shared parts, and its own shards. A table stands at its *place*; places may be vacant.
pub struct WorkerTables {
    entries: Vec<RawEntry>,
    // Keeps the shared parts alive, by the same place.
    tables: Vec<Option<Arc<TableInstance>>>,
    // What a sweep goes through: the places that are taken.
    synced: Vec<Synced>,
}

/// A shard, and who refreshes it.
struct Synced {
    sync: unsafe extern "C" fn(*const c_void, *mut c_void) -> i32,
    shared: *const c_void,
    shard: *mut c_void,
    // Which of the tables.
    place: usize,
}

// SAFETY: shards are `Send` by `Table`, and belong to this one.
unsafe impl Send for WorkerTables {}

impl WorkerTables {
    /// Makes the shards of one worker.
    ///
    /// # Errors
    /// A table panicked while making its shard.
    pub fn new(worker: u32, tables: &[Arc<TableInstance>]) -> Result<WorkerTables, ConfigError> {
        let places: Vec<_> = tables.iter().cloned().map(Some).collect();
        WorkerTables::at_places(worker, &places, |_| true)
    }

    /// As [`WorkerTables::new`], of tables by place. Those that `makes` does not ask for have no shard, and are not seen, until
    /// [`WorkerTables::keep`] brings it.
    ///
    /// # Errors
    /// As [`WorkerTables::new`].
    pub fn at_places(
        worker: u32,
        tables: &[Option<Arc<TableInstance>>],
        makes: impl Fn(usize) -> bool,
    ) -> Result<WorkerTables, ConfigError> {
        let synced = Vec::with_capacity(tables.len());
        let mut made = WorkerTables { entries: Vec::with_capacity(tables.len()), tables: Vec::new(), synced };
        for (place, table) in tables.iter().enumerate() {
            let mut entry = RawEntry::VACANT;
            if let Some(table) = table.as_ref().filter(|_| makes(place)) {
                let mut error = ConfigError::new("");
                let sink = Sink::collect(&mut error);
                // SAFETY: the shared part is of this vtable and alive.
                let shard = table.within(|| unsafe { (table.entries().shard)(table.shared(), worker, &raw const sink) });
                if shard.is_null() {
                    return Err(error);
                }
                entry = RawEntry { key: table.key(), shared: table.shared(), shard };
            }
            made.entries.push(entry);
            made.tables.push(table.clone());
        }
        made.settle();
        Ok(made)
    }

    /// Takes the shard of a table over that stands at the same place in `old`, and is the same. `false` if it is another.
    pub fn keep(&mut self, place: usize, old: &mut WorkerTables) -> bool {
        let (Some(Some(table)), Some(Some(other))) = (self.tables.get(place), old.tables.get(place)) else { return false };
        if !Arc::ptr_eq(table, other) {
            return false;
        }
        std::mem::swap(&mut self.entries[place], &mut old.entries[place]);
        self.settle();
        old.settle();
        true
    }

    /// Lets the shard at a place take over the state of the one at this place in `old`: of the same kind and build, or piece by piece of another
    /// build whose state it can read. `false` if it cannot, or one of both failed.
    pub fn adopt(&mut self, place: usize, old: &mut WorkerTables) -> bool {
        let (Some(entry), Some(before)) = (self.entries.get(place), old.entries.get(place)) else { return false };
        let (Some(Some(table)), Some(Some(other))) = (self.tables.get(place), old.tables.get(place)) else { return false };
        if entry.shard.is_null() || before.shard.is_null() {
            return false;
        }
        if entry.key != before.key {
            return table.kind().converts(&other.kind()) && table.convert(entry.shard, other, before.shard);
        }
        let Some(adopt) = table.entries().adopt else { return true };
        // SAFETY: the key is that of both tables, whose shared parts are alive; the shards are not null, two, and this thread's.
        table.within(|| unsafe { adopt(entry.shared, entry.shard, before.shard) == DONE })
    }

    /// Lists what a sweep goes through: in the room that was made for it.
    fn settle(&mut self) {
        self.synced.clear();
        for (place, (entry, table)) in self.entries.iter().zip(&self.tables).enumerate() {
            if let Some(sync) = table.as_ref().filter(|_| !entry.shard.is_null()).and_then(|table| table.entries().sync) {
                self.synced.push(Synced { sync, shared: entry.shared, shard: entry.shard, place });
            }
        }
    }

    /// Lets each table refresh its shard; once at the top of each sweep.
    pub fn sync(&mut self) {
        for Synced { sync, shared, shard, place } in &self.synced {
            let Some(Some(table)) = self.tables.get(*place) else { continue };
            // SAFETY: both parts are of this vtable and alive, and the shard is ours alone. A panic leaves the shard as it is.
            table.within(|| unsafe { sync(*shared, *shard) });
        }
    }

    /// Lets each table know that this worker does not look at it until the next [`WorkerTables::sync`].
    pub fn rest(&mut self) {
        for (entry, table) in self.entries.iter().zip(&self.tables) {
            let rest = table.as_ref().filter(|_| !entry.shard.is_null()).and_then(|table| Some((table, table.entries().rest?)));
            if let Some((table, rest)) = rest {
                // SAFETY: as in `sync`.
                table.within(|| unsafe { rest(entry.shared, entry.shard) });
            }
        }
    }

    /// The shared part of a table and the worker's shard of it, if it is one of these.
    pub(super) fn shard_of(&mut self, table: &Arc<TableInstance>) -> Option<(*const c_void, *mut c_void)> {
        let at = self.tables.iter().position(|known| known.as_ref().is_some_and(|known| Arc::ptr_eq(known, table)))?;
        let RawEntry { shared, shard, .. } = self.entries[at];
        (!shard.is_null()).then_some((shared, shard))
    }

    pub(super) fn context(&self, now: u64) -> RawContext {
        RawContext { now, tables: self.entries.as_ptr(), table_count: self.entries.len() as u32 }
    }
}

impl Drop for WorkerTables {
    fn drop(&mut self) {
        for (entry, table) in self.entries.iter().zip(&self.tables) {
            if let Some(table) = table.as_ref().filter(|_| !entry.shard.is_null()) {
                // SAFETY: the shard is of this vtable, and dropped once, before its shared part.
                table.within(|| unsafe { (table.entries().destroy_shard)(entry.shard) });
            }
        }
    }
}

impl std::fmt::Debug for WorkerTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.tables.iter().flatten()).finish()
    }
}
