//! The places of neighbours: a fixed number of them, which all workers read and write at once, without a lock.
//!
//! The number of a place is that of the adjacency. A place goes from hand to hand like this:
//!
//! * Who swaps its state for *busy* owns it; all other changes are swaps of the state that was read, which fail if anything has come between.
//! * A new neighbour is filled in, made live, and then entered in the index. It leaves in the opposite order.
//! * After a change its block is marked and then the version raised. So a worker that finds a neighbour, or sees a version, and looks at the
//!   blocks then, sees the change.
//! * A packet's lane may hold the number of a place within a sweep, and never longer. So each worker says at the top of a sweep which version
//!   it has seen, and a place is not given to another neighbour before all have seen the version at which it became free
//!   (`fib4/readers.rs` has the argument, which is McKenney's).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::index::{Index, Inserted, Key};
use super::state::{Kind, State};

/// Places: the index has 16 bits for them. Place 0 is nobody's.
pub(super) const PLACES: usize = 1 << 16;
/// Places that share a mark.
pub(super) const BLOCK: usize = 64;
/// Places that are looked at to find a free one, before one is taken that has never been used.
const SEARCH: u32 = 64;
const OFFLINE: u64 = u64::MAX;

/// A neighbour. `since` is when its address was confirmed last, or when asking failed.
/// `asked` is when the last request was sent, and how many were: `microseconds:56 | count:8`.
#[derive(Default)]
#[repr(align(32))]
pub(super) struct Entry {
    key: AtomicU64,
    state: AtomicU64,
    pub since: AtomicU64,
    pub asked: AtomicU64,
}

impl Entry {
    pub fn state(&self) -> State {
        State(self.state.load(Ordering::Acquire))
    }

    pub fn key(&self) -> Key {
        Key(self.key.load(Ordering::Relaxed))
    }

    pub fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    pub fn swap(&self, old: State, new: State) -> bool {
        self.state.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// On lines of its own, away from what others write.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// All of them.
pub(super) struct Entries {
    entries: Box<[Entry]>,
    // By place: the version at which it became free. Not in the entry, where a worker may be late to write what it has heard of who was there.
    freed: Box<[AtomicU64]>,
    index: Index,
    marks: Box<[AtomicU64]>,
    version: Apart<AtomicU64>,
    // Places from here on have never been used.
    high: Apart<AtomicU32>,
    free: AtomicU32,
    hint: AtomicU32,
    // By interface.
    used: Box<[AtomicU32]>,
    // By worker: the version that it has seen at the top of its sweep.
    seen: Box<[Apart<AtomicU64>]>,
}

/// What a new neighbour is like.
pub(super) struct Newcomer {
    pub key: Key,
    /// Kind, hardware address, whether it is pinned.
    pub state: State,
    /// The time.
    pub now: u64,
    /// The most that its interface may have.
    pub limit: u32,
}

impl Entries {
    /// So many places, a multiple of [`BLOCK`].
    pub fn new(places: usize, interfaces: usize, workers: u32, seed: u64) -> Entries {
        Entries {
            entries: (0..places).map(|_| Entry::default()).collect(),
            freed: (0..places).map(|_| AtomicU64::new(0)).collect(),
            index: Index::new(places, seed),
            marks: (0..places / BLOCK).map(|_| AtomicU64::new(0)).collect(),
            version: Apart::default(),
            high: Apart(AtomicU32::new(1)),
            free: AtomicU32::new(0),
            hint: AtomicU32::new(0),
            used: (0..interfaces).map(|_| AtomicU32::new(0)).collect(),
            seen: (0..workers).map(|_| Apart(AtomicU64::new(OFFLINE))).collect(),
        }
    }

    #[inline]
    pub fn version(&self) -> u64 {
        self.version.0.load(Ordering::Acquire)
    }

    /// The number of places that were ever used.
    pub fn high(&self) -> u32 {
        self.high.0.load(Ordering::Acquire)
    }

    /// A place that was ever used.
    pub fn get(&self, place: u32) -> Option<&Entry> {
        self.entries.get(place as usize).filter(|_| place < self.high())
    }

    #[inline]
    pub fn find(&self, key: Key) -> Option<u32> {
        self.index.find(key)
    }

    /// The place of a neighbour, and what is known of it.
    pub fn look(&self, key: Key) -> Option<(u32, &Entry, State)> {
        let place = self.find(key)?;
        let entry = self.get(place)?;
        let state = entry.state();
        state.is_live().then_some((place, entry, state))
    }

    /// Neighbours of an interface.
    #[cfg(test)]
    pub fn used(&self, interface: u16) -> u32 {
        self.used[usize::from(interface)].load(Ordering::Relaxed)
    }

    /// How often the places of a block have changed.
    pub fn mark_of(&self, block: usize) -> u64 {
        self.marks[block].load(Ordering::Acquire)
    }

    /// Has the workers look at a place again. Returns the version from which on they do.
    pub fn mark(&self, place: u32) -> u64 {
        self.marks[place as usize / BLOCK].fetch_add(1, Ordering::AcqRel);
        self.version.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether an interface may have one more of at most so many.
    pub fn has_room(&self, interface: u16, limit: u32) -> bool {
        let used = self.used.get(usize::from(interface)).map(|used| used.load(Ordering::Relaxed));
        used.is_some_and(|used| used < limit)
            && ((self.high() as usize) < self.entries.len() || self.free.load(Ordering::Relaxed) > 0)
    }

    /// Takes a neighbour in, unless another worker does so in the same moment: its place, and whether it is as `newcomer` says. `None` if
    /// there is no room.
    pub fn create(&self, newcomer: &Newcomer) -> Option<(u32, bool)> {
        let Newcomer { key, state, now, limit } = *newcomer;
        let used = self.used.get(usize::from(key.interface()))?;
        // Looked at before it is raised: when there are enough, no worker writes to this line.
        if used.load(Ordering::Relaxed) >= limit {
            return None;
        }
        let place = (used.fetch_add(1, Ordering::Relaxed) < limit).then(|| self.claim()).flatten();
        let Some((place, old)) = place else {
            used.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        let entry = &self.entries[place as usize];
        entry.key.store(key.0, Ordering::Relaxed);
        entry.since.store(now, Ordering::Relaxed);
        entry.asked.store(0, Ordering::Relaxed);
        entry.state.store(old.filled(state).0, Ordering::Release);
        self.mark(place);
        let inserted = self.index.insert(key, place);
        if !entry.state().is_live() {
            // Forgotten before it was entered: who forgot it has found nothing to take out.
            self.index.remove(key, place);
        }
        match inserted {
            Inserted::Alone => Some((place, true)),
            Inserted::Twice { kept, places, count } => {
                places[..count].iter().filter(|other| **other != kept).for_each(|other| self.remove(*other, key));
                Some((kept, kept == place))
            }
            Inserted::Lost => self.find(key).map(|place| (place, false)),
            Inserted::Full => {
                self.remove(place, key);
                None
            }
        }
    }

    /// Frees a place if it is this neighbour's.
    fn remove(&self, place: u32, key: Key) {
        while let Some(entry) = self.get(place) {
            let state = entry.state();
            if !state.is_live() || entry.key() != key || self.free(place, state) {
                return;
            }
        }
    }

    /// Forgets a neighbour whose state is still the one that was read. `false` if it is not.
    pub fn free(&self, place: u32, state: State) -> bool {
        let Some(entry) = self.get(place) else { return false };
        if !entry.swap(state, state.with(Kind::Busy)) {
            return false;
        }
        let key = entry.key();
        self.index.remove(key, place);
        if let Some(used) = self.used.get(usize::from(key.interface())) {
            used.fetch_sub(1, Ordering::Relaxed);
        }
        let version = self.mark(place);
        self.freed[place as usize].store(version, Ordering::Relaxed);
        entry.state.store(state.freed().0, Ordering::Release);
        self.free.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// A place of one's own, and the state of its last owner.
    fn claim(&self) -> Option<(u32, State)> {
        let high = self.high();
        if self.free.load(Ordering::Relaxed) > 0 {
            // No later one, though all may rest now: who begins after this has seen as much, and may find a place that is freed later.
            let now = self.version();
            fence(Ordering::SeqCst);
            let seen = self.seen.iter().map(|seen| seen.0.load(Ordering::Acquire)).fold(now, u64::min);
            let first = self.hint.fetch_add(SEARCH, Ordering::Relaxed);
            let places = (0..SEARCH.min(high - 1)).map(|at| 1 + first.wrapping_add(at) % (high - 1));
            for place in places {
                let entry = &self.entries[place as usize];
                let state = entry.state();
                let freed = self.freed[place as usize].load(Ordering::Relaxed);
                if state.kind() == Kind::Free && freed <= seen && entry.swap(state, state.with(Kind::Busy)) {
                    self.free.fetch_sub(1, Ordering::Relaxed);
                    return Some((place, state));
                }
            }
        }
        let next = |high: u32| ((high as usize) < self.entries.len()).then_some(high + 1);
        let place = self.high.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next).ok()?;
        Some((place, self.entries[place as usize].state()))
    }

    /// The worker has seen this version, and no lane of its packets holds a place that it found before.
    pub fn seen(&self, worker: u32, version: u64) {
        let Some(Apart(seen)) = self.seen.get(worker as usize) else { return };
        let before = seen.load(Ordering::Relaxed);
        if before != version {
            seen.store(version, Ordering::Release);
            if before == OFFLINE {
                fence(Ordering::SeqCst);
            }
        }
    }

    /// The worker looks at nothing until it says again what it has seen.
    pub fn rest(&self, worker: u32) {
        self.seen(worker, OFFLINE);
    }
}
