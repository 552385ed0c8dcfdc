//! What a table has to tell for good, one record after the other: who had which ports, say. Workers note it, the control side reads it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sync::{Receiver, Sender, ring};

/// A journal with room for `capacity` notes, rounded up to a power of two, that nobody has read yet.
pub fn journal<E: Send + 'static>(capacity: usize) -> (Journal<E>, JournalReader<E>) {
    let (notes, read) = ring(capacity);
    let lost = Arc::new(AtomicU64::new(0));
    (Journal { notes, lost: Arc::clone(&lost) }, JournalReader { notes: read, lost, known: 0 })
}

/// The end of a worker, part of its shard: it neither waits nor allocates.
pub struct Journal<E> {
    notes: Sender<E>,
    lost: Arc<AtomicU64>,
}

impl<E: Send> Journal<E> {
    /// Notes something. If nobody has read for so long that there is no room, it is counted as lost.
    #[inline]
    pub fn note(&mut self, note: E) {
        if self.notes.push(note).is_err() {
            // This worker alone writes it.
            self.lost.store(self.lost.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
}

/// The end of the control side, part of the table.
pub struct JournalReader<E> {
    notes: Receiver<E>,
    lost: Arc<AtomicU64>,
    known: u64,
}

impl<E: Send> JournalReader<E> {
    /// Reads up to `max` notes, in order. Returns how many were lost since this was last asked.
    pub fn read(&mut self, max: usize, read: impl FnMut(E)) -> u64 {
        self.notes.pop_all(max, read);
        let lost = self.lost.load(Ordering::Relaxed);
        lost - std::mem::replace(&mut self.known, lost)
    }

    /// How many notes were lost since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl<E> fmt::Debug for Journal<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({:?})", self.notes)
    }
}

impl<E> fmt::Debug for JournalReader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalReader({:?})", self.notes)
    }
}

/// What a table has to tell since it was last asked: see [`Table::records`](crate::Table::records).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// The subject, a word that a log is filtered by: `nat`.
    pub subject: Cow<'static, str>,
    /// The file that they are to be kept in, as the graph says it: relative to the graph file.
    pub file: Option<String>,
    /// In order, by worker.
    pub records: Vec<Record>,
    /// How many there would have been, but for a reader that was too slow.
    pub lost: u64,
    /// Whether there may be more already.
    pub more: bool,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What has: `port-block-allocated`.
    pub event: Cow<'static, str>,
    /// When, in nanoseconds of the engine's clock.
    pub at: u64,
    /// What there is to say of it: names and values.
    pub fields: Vec<(Cow<'static, str>, Value)>,
}

impl Record {
    /// What has happened, and when.
    pub const fn new(event: &'static str, at: u64) -> Record {
        Record { event: Cow::Borrowed(event), at, fields: Vec::new() }
    }

    /// With a field more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Record {
        self.fields.push((name.into(), value.into()));
        self
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let (mut journal, mut reader) = journal(4);
        let mut read = Vec::new();
        for round in 0..3 {
            (0..round * 5).for_each(|note| journal.note(note));
            let lost = reader.read(usize::MAX, |note| read.push(note));
            assert_eq!(lost, [0, 1, 6][round as usize]);
        }
        assert_eq!((read, reader.lost(), reader.read(9, |_| ())), (vec![0, 1, 2, 3, 0, 1, 2, 3], 7, 0));
    }

    #[test]
    fn two_threads_account_for_each_note() {
        let (mut journal, mut reader) = journal(64);
        let writer = std::thread::spawn(move || (0..200_000_u64).for_each(|note| journal.note(note)));
        let (mut count, mut last, mut lost) = (0, None, 0);
        loop {
            let ended = writer.is_finished();
            lost += reader.read(50, |note| {
                assert!(last.is_none_or(|last| last < note));
                (count, last) = (count + 1, Some(note));
            });
            if ended && count + lost == 200_000 {
                break;
            }
        }
    }
}
