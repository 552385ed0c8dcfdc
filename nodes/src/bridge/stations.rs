//! Which station was heard at which port: a table of fixed size that all workers read and write at once, without a lock.
//!
//! A key has two buckets of four ways, one cache line each, by a hash whose seed is secret: keys come from packets. There are at
//! least as many buckets as stations may be, so that a line holds one station on average and a new one finds a free way but in
//! theory.
//!
//! A way is two words, the key and its [`State`]. They change together as by a sequence lock that belongs to one way:
//!
//! * Who swaps a free state for a busy one of the next version owns the way. It stores the key, then a live state of that version.
//! * A reader takes the state, the key, and the state again: with the same version and never busy, the key is that of the version.
//!   (The owner fences between its swap and the key, and the reader between the key and its second look: who sees the key sees the
//!   version.)
//! * All else, to refresh, to move and to free, is one swap of the state that was read. It fails if anything has come between, a
//!   new owner included, for that is another version. Versions come round after 16,384 owners, each of which was aged out or
//!   removed.
//!
//! Nobody ever waits: who loses a swap leaves things to the winner, and learns with the station's next frame.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::time::Moment;

/// Ways of a bucket: what a cache line has room for.
const WAYS: usize = 4;

/// A station in a VLAN: `vlan:12 | address:48`, the address as its first six bytes are read by a little-endian load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key(pub u64);

/// What is known of a station: `kind:2 | version:14 | port:16 | seen:32`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

const KIND: u64 = 3 << 62;
const FREE: u64 = 0;
const BUSY: u64 = 1 << 62;
const LEARNT: u64 = 2 << 62;
const STATIC: u64 = 3 << 62;
const VERSION: u64 = 0x3fff << 48;
const NEXT_VERSION: u64 = 1 << 48;

impl State {
    fn kind(self) -> u64 {
        self.0 & KIND
    }

    fn is_live(self) -> bool {
        self.kind() >= LEARNT
    }

    fn port(self) -> u16 {
        (self.0 >> 32) as u16
    }

    fn seen(self) -> Moment {
        Moment(self.0 as u32)
    }

    fn claimed(self) -> State {
        State(BUSY | self.0.wrapping_add(NEXT_VERSION) & VERSION)
    }

    fn freed(self) -> State {
        State(FREE | self.0 & VERSION)
    }

    fn live(self, kind: u64, port: u16, seen: Moment) -> State {
        State(kind | self.0 & VERSION | u64::from(port) << 32 | u64::from(seen.0))
    }

    fn is_known_at(self, now: Moment, ageing: u32) -> bool {
        self.kind() == STATIC || !self.seen().is_older_than(ageing, now)
    }
}

#[derive(Default)]
struct Way {
    key: AtomicU64,
    state: AtomicU64,
}

impl Way {
    /// The state, if the way belongs to the key.
    #[inline]
    fn read(&self, key: Key) -> Option<State> {
        let before = State(self.state.load(Ordering::Acquire));
        let found = self.key.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let state = State(self.state.load(Ordering::Relaxed));
        let whole = before.is_live() && state.is_live() && (before.0 ^ state.0) & VERSION == 0;
        (whole && found == key.0).then_some(state)
    }

    fn swap(&self, old: State, new: State) -> bool {
        self.state.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

#[derive(Default)]
#[repr(align(64))]
struct Bucket([Way; WAYS]);

impl Bucket {
    #[inline]
    fn find(&self, key: Key) -> Option<(&Way, State)> {
        // A look at the key alone first: what is not there costs four loads.
        let mut ways = self.0.iter().filter(|way| way.key.load(Ordering::Relaxed) == key.0);
        ways.find_map(|way| way.read(key).map(|state| (way, state)))
    }

    fn free_ways(&self) -> usize {
        self.0.iter().filter(|way| State(way.state.load(Ordering::Relaxed)).kind() == FREE).count()
    }
}

/// What became of a station that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is known there, or it is static.
    Known,
    /// It was not known, and is now.
    New,
    /// It was known at another port.
    Moved,
    /// It is not known, for the table is full.
    Full,
}

/// An entry as `show` reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station {
    /// Who.
    pub key: Key,
    /// Index of the interface.
    pub port: u16,
    /// When it was heard last; `None` of a static one.
    pub seen: Option<Moment>,
}

/// The table.
pub struct Stations {
    buckets: Box<[Bucket]>,
    seed: u64,
    ageing: AtomicU32,
    capacity: u32,
    used: Used,
}

/// On a line of its own, away from what all look-ups read.
#[repr(align(128))]
struct Used(AtomicU32);

impl Stations {
    /// Room for so many stations, which are forgotten when they were silent for more than `ageing` units of [`Moment`].
    pub fn new(capacity: u32, ageing: u32, seed: u64) -> Stations {
        let buckets = capacity.next_power_of_two().max(2);
        let buckets = (0..buckets).map(|_| Bucket::default()).collect();
        Stations { buckets, seed, ageing: AtomicU32::new(ageing), capacity, used: Used(AtomicU32::new(0)) }
    }

    /// From here on stations are forgotten after so many units of silence.
    pub fn set_ageing(&self, ageing: u32) {
        self.ageing.store(ageing, Ordering::Relaxed);
    }

    #[inline]
    fn ageing(&self) -> u32 {
        self.ageing.load(Ordering::Relaxed)
    }

    /// Takes over what other stations know, as far as there is room.
    pub fn take_in(&self, other: &Stations, now: Moment) {
        for station in (0..other.buckets()).flat_map(|index| other.bucket(index, now)) {
            match station.seen {
                Some(seen) => _ = self.hear(station.key, station.port, seen, || true),
                None => _ = self.fix(station.key, station.port),
            }
        }
    }

    /// Asks for the line that a look-up of this key reads first.
    #[inline]
    pub fn prefetch(&self, key: Key) {
        swath_api::kernel::prefetch_slice(&self.buckets, self.places(key).0);
    }

    /// The port of a station.
    #[inline]
    pub fn port(&self, key: Key, now: Moment) -> Option<u16> {
        let (_, state) = self.find(key)?;
        state.is_known_at(now, self.ageing()).then(|| state.port())
    }

    /// What is known of a station.
    pub fn known(&self, key: Key, now: Moment) -> Option<Station> {
        let (_, state) = self.find(key)?;
        let seen = (state.kind() == LEARNT).then(|| state.seen());
        state.is_known_at(now, self.ageing()).then(|| Station { key, port: state.port(), seen })
    }

    /// A station was heard at a port. `may_learn` is asked before one that is not in the table is taken in.
    #[inline]
    pub fn hear(&self, key: Key, port: u16, now: Moment, may_learn: impl FnOnce() -> bool) -> Heard {
        let Some((way, state)) = self.find(key) else {
            return if may_learn() { self.insert(key, LEARNT, port, now) } else { Heard::Known };
        };
        let here = state.port() == port;
        if state.kind() == STATIC || here && !state.seen().is_before(now) {
            return Heard::Known;
        }
        let known = state.is_known_at(now, self.ageing());
        match way.swap(state, state.live(LEARNT, port, now)) {
            true if !known => Heard::New,
            true if !here => Heard::Moved,
            _ => Heard::Known,
        }
    }

    /// Makes a station static. `false` if the table is full.
    pub fn fix(&self, key: Key, port: u16) -> bool {
        while let Some((way, state)) = self.find(key) {
            if way.swap(state, state.live(STATIC, port, Moment(0))) {
                return true;
            }
        }
        self.insert(key, STATIC, port, Moment(0)) == Heard::New
    }

    /// Forgets a station, static or not. `false` if it is not known.
    pub fn remove(&self, key: Key, now: Moment) -> bool {
        while let Some((way, state)) = self.find(key) {
            if self.free(way, state) {
                return state.is_known_at(now, self.ageing());
            }
        }
        false
    }

    /// Forgets those stations of a range of buckets for which `forget` says so. Returns how many.
    pub fn forget(&self, range: std::ops::Range<usize>, forget: impl Fn(Station) -> bool) -> usize {
        let mut forgotten = 0;
        for way in self.buckets[range].iter().flat_map(|bucket| &bucket.0) {
            while let Some((_, state)) = read_any(way).filter(|(station, _)| forget(*station)) {
                if self.free(way, state) {
                    forgotten += 1;
                    break;
                }
            }
        }
        forgotten
    }

    /// Forgets the stations of a range of buckets that were silent for too long.
    pub fn sweep(&self, range: std::ops::Range<usize>, now: Moment) {
        self.forget(range, |station| !self.knows(station, now));
    }

    /// The stations of a bucket.
    pub fn bucket(&self, index: usize, now: Moment) -> impl Iterator<Item = Station> {
        let found = self.buckets[index].0.iter().filter_map(|way| read_any(way).map(|(station, _)| station));
        found.filter(move |station| self.knows(*station, now))
    }

    fn knows(&self, station: Station, now: Moment) -> bool {
        station.seen.is_none_or(|seen| !seen.is_older_than(self.ageing(), now))
    }

    /// Number of buckets.
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Entries in use, those included that are too old and not yet swept.
    pub fn used(&self) -> u32 {
        self.used.0.load(Ordering::Relaxed)
    }

    /// Entries at most.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Two buckets that are not the same.
    #[inline]
    fn places(&self, key: Key) -> (usize, usize) {
        // The high and the low half of a product: what is hard to guess without the seed, and cheap.
        let product = u128::from(key.0 ^ self.seed) * u128::from(0x9e37_79b9_7f4a_7c15 ^ self.seed.rotate_left(32) | 1);
        let hash = (product >> 64) as u64 ^ product as u64;
        let mask = self.buckets.len() - 1;
        let first = hash as usize & mask;
        (first, first ^ ((hash >> 32) as usize | 1) & mask)
    }

    #[inline]
    fn find(&self, key: Key) -> Option<(&Way, State)> {
        let (first, second) = self.places(key);
        self.buckets[first].find(key).or_else(|| self.buckets[second].find(key))
    }

    fn free(&self, way: &Way, state: State) -> bool {
        let freed = way.swap(state, state.freed());
        if freed {
            self.used.0.fetch_sub(1, Ordering::Relaxed);
        }
        freed
    }

    #[cold]
    fn insert(&self, key: Key, kind: u64, port: u16, now: Moment) -> Heard {
        // Looked at before it is raised: with a full table no worker writes to this line.
        if self.used() >= self.capacity {
            return Heard::Full;
        }
        if self.used.0.fetch_add(1, Ordering::Relaxed) < self.capacity && self.claim(key, kind, port, now) {
            self.keep_one(key);
            return Heard::New;
        }
        self.used.0.fetch_sub(1, Ordering::Relaxed);
        Heard::Full
    }

    /// Takes a free way, in the emptier of the two buckets.
    fn claim(&self, key: Key, kind: u64, port: u16, now: Moment) -> bool {
        let (first, second) = self.places(key);
        let (first, second) = (&self.buckets[first], &self.buckets[second]);
        let (better, other) = if second.free_ways() > first.free_ways() { (second, first) } else { (first, second) };
        for way in better.0.iter().chain(&other.0) {
            let old = State(way.state.load(Ordering::Relaxed));
            if old.kind() == FREE && way.swap(old, old.claimed()) {
                fence(Ordering::Release);
                way.key.store(key.0, Ordering::Relaxed);
                way.state.store(old.claimed().live(kind, port, now).0, Ordering::Release);
                return true;
            }
        }
        false
    }

    /// Two workers that heard a new station at once have both taken a way: one is kept, a static one or else the first, and the
    /// others are freed. Of the workers' fences one is first, so that at least one of them sees both ways.
    fn keep_one(&self, key: Key) {
        fence(Ordering::SeqCst);
        let (first, second) = self.places(key);
        let ways = || self.buckets[first].0.iter().chain(&self.buckets[second].0);
        let fixed = ways().position(|way| way.read(key).is_some_and(|state| state.kind() == STATIC));
        let Some(kept) = fixed.or_else(|| ways().position(|way| way.read(key).is_some())) else { return };
        for (_, way) in ways().enumerate().filter(|(at, _)| *at != kept) {
            while let Some(state) = way.read(key) {
                self.free(way, state);
            }
        }
    }
}

/// Whatever a way holds, if it holds anything.
fn read_any(way: &Way) -> Option<(Station, State)> {
    let key = Key(way.key.load(Ordering::Relaxed));
    let state = way.read(key)?;
    let seen = (state.kind() == LEARNT).then(|| state.seen());
    Some((Station { key, port: state.port(), seen }, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key(0x0102_0000_0002);
    const NOW: Moment = Moment(0);

    /// What two workers do that hear a station at once: each has looked and not found it, and takes a way.
    fn claimed_twice(kinds: [u64; 2]) -> Stations {
        let stations = Stations::new(8, 10, 7);
        for (port, kind) in kinds.into_iter().enumerate() {
            stations.used.0.fetch_add(1, Ordering::Relaxed);
            assert!(stations.claim(KEY, kind, port as u16, NOW));
        }
        stations
    }

    #[test]
    fn a_station_that_two_workers_hear_at_once_has_one_entry() {
        for (kinds, kept) in [([LEARNT, LEARNT], None), ([LEARNT, STATIC], Some(1)), ([STATIC, LEARNT], Some(0))] {
            let stations = claimed_twice(kinds);
            stations.keep_one(KEY);
            // The second to come finds nothing left to do.
            stations.keep_one(KEY);
            let found: Vec<Station> = (0..stations.buckets()).flat_map(|bucket| stations.bucket(bucket, NOW)).collect();
            assert_eq!((found.len(), stations.used()), (1, 1));
            assert_eq!(stations.port(KEY, NOW), Some(found[0].port));
            assert!(kept.is_none_or(|port| port == found[0].port), "a static entry is kept");
        }
    }

    #[test]
    fn a_swap_fails_when_the_way_has_a_new_owner() {
        let stations = Stations::new(1, 10, 7);
        assert_eq!(stations.hear(KEY, 3, NOW, || true), Heard::New);
        let (way, old) = stations.find(KEY).unwrap();
        assert!(stations.remove(KEY, NOW));
        // The same bits, but for the version.
        assert_eq!(stations.hear(KEY, 3, NOW, || true), Heard::New);
        let (again, new) = stations.find(KEY).unwrap();
        assert!(std::ptr::eq(way, again) && old.port() == new.port() && old.seen() == new.seen());
        assert!(!way.swap(old, old.live(LEARNT, 9, NOW)));
        assert_eq!(stations.port(KEY, NOW), Some(3));
    }

    #[test]
    fn a_way_that_changes_hands_is_nobodys() {
        let stations = Stations::new(1, 10, 7);
        stations.hear(KEY, 3, NOW, || true);
        let (way, state) = stations.find(KEY).unwrap();
        way.state.store(state.claimed().0, Ordering::Relaxed);
        assert_eq!(stations.port(KEY, NOW), None);
        assert!(stations.bucket(0, NOW).chain(stations.bucket(1, NOW)).next().is_none());
    }
}
