//! Quiescent-state-based reclamation (McKenney's QSBR): when memory that the
//! writer has unlinked can be used again.
//!
//! The writer unlinks blocks, then raises the epoch, and takes a block back
//! when every reader has been seen at the epoch of its retirement or later.
//!
//! * A reader that loads epoch `e` (acquire) sees every unlinking before `e` was
//!   stored (release), so from there on it cannot reach those blocks.
//! * Its loads from before are done when the writer sees its slot at `e` (store
//!   release, load acquire), so the writer's next stores cannot reach into them.
//! * A reader that comes online stores its slot, then fences, then loads from the
//!   table; the writer unlinks, then fences, then loads the slots. Of two
//!   sequentially consistent fences one is first: either the writer sees the
//!   slot or the reader sees the unlinking. The same holds for registering,
//!   by the lock.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const OFFLINE: u64 = u64::MAX;

/// The epoch and who has seen which.
#[derive(Default)]
pub(super) struct Readers {
    epoch: AtomicU64,
    slots: Mutex<Vec<Arc<Slot>>>,
}

/// The epoch that a reader saw last, on two lines of its own (pairs of lines
/// are prefetched together).
#[repr(align(128))]
struct Slot(AtomicU64);

impl Readers {
    /// The epoch that the next [`advance`](Readers::advance) begins.
    pub(super) fn next_epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed) + 1
    }

    /// Begins an epoch, after unlinking. One writer at a time.
    pub(super) fn advance(&self) {
        self.epoch.store(self.next_epoch(), Ordering::Release);
    }

    /// The epoch that every reader has seen.
    pub(super) fn seen_by_all(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.slots().iter().map(|slot| slot.0.load(Ordering::Acquire)).min().unwrap_or(OFFLINE)
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's registration as a reader of one table; dropped, it is none.
///
/// While any reader is registered, replaced memory is used again only after
/// each has passed a quiescent point.
pub struct Reader {
    readers: Arc<Readers>,
    slot: Arc<Slot>,
    seen: u64,
}

impl Reader {
    pub(super) fn register(readers: &Arc<Readers>) -> Reader {
        let mut slots = readers.slots();
        let seen = readers.epoch.load(Ordering::Acquire);
        let slot = Arc::new(Slot(AtomicU64::new(seen)));
        slots.push(Arc::clone(&slot));
        drop(slots);
        Reader { readers: Arc::clone(readers), slot, seen }
    }

    /// Says that this thread is between two lookups. Call it once per sweep: a
    /// load, and a store if the table has changed. Ends being offline.
    #[inline]
    pub fn quiescent(&mut self) {
        let epoch = self.readers.epoch.load(Ordering::Acquire);
        if epoch != self.seen {
            self.pass(epoch);
        }
    }

    #[cold]
    fn pass(&mut self, epoch: u64) {
        self.slot.0.store(epoch, Ordering::Release);
        if self.seen == OFFLINE {
            fence(Ordering::SeqCst);
        }
        self.seen = epoch;
    }

    /// Says that this thread looks nothing up until it calls
    /// [`quiescent`](Reader::quiescent) again: to be called before sleeping.
    pub fn offline(&mut self) {
        self.slot.0.store(OFFLINE, Ordering::Release);
        self.seen = OFFLINE;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.slots().retain(|slot| !Arc::ptr_eq(slot, &self.slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_reader_counts() {
        fn sent_to_a_worker(_: &impl Send) {}
        let readers = Arc::new(Readers::default());
        assert_eq!(readers.seen_by_all(), OFFLINE, "nobody to wait for");
        let mut slow = Reader::register(&readers);
        sent_to_a_worker(&slow);
        readers.advance();
        let mut fast = Reader::register(&readers);
        assert_eq!(readers.seen_by_all(), 0);
        slow.quiescent();
        assert_eq!(readers.seen_by_all(), 1);
        readers.advance();
        fast.quiescent();
        assert_eq!(readers.seen_by_all(), 1);
        slow.offline();
        assert_eq!(readers.seen_by_all(), 2);
        slow.quiescent();
        readers.advance();
        assert_eq!(readers.seen_by_all(), 2);
        drop(fast);
        drop(slow);
        assert_eq!(readers.seen_by_all(), OFFLINE);
    }
}
