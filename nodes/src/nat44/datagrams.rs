//! Packets in fragments: what became of the first fragment, for the others, which have no ports (RFC 4787 REQ-14).
//!
//! All workers share it, for the fragments of a packet need not come by one worker: which worker has its session only the first one says.
//! Another fragment needs no more than the address that the first one got, so whoever has it can translate it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use swath_api::prelude::*;

use crate::sessions::{FlowKey, Key4, Seed};

/// Places that a packet may be in.
const WAYS: usize = 4;
/// Nanoseconds of a unit of time are 2^20, about 1 ms.
const UNIT: u32 = 20;

/// What is known of a packet of which the first fragment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// It got this address, in the place of the source or of the destination; its own if it was not translated.
    Address(u32),
    /// It is on its way to this worker.
    At(Owner),
}

/// One packet. A sequence lock: odd while somebody writes.
#[derive(Debug, Default)]
struct Entry {
    sequence: AtomicU32,
    when: AtomicU32,
    key: [AtomicU64; 2],
    /// `translated:1 | address or worker:32`.
    value: AtomicU64,
}

const TRANSLATED: u64 = 1 << 32;

/// A bounded number of packets; a new one takes the place of the oldest of four.
#[derive(Debug)]
pub(super) struct Datagrams {
    entries: Box<[Entry]>,
    seed: Seed,
    timeout: u32,
}

impl Datagrams {
    /// Room for so many packets, each for so many nanoseconds.
    pub(super) fn new(capacity: u32, timeout: u64) -> Datagrams {
        let entries = (0..capacity.next_power_of_two() as usize).map(|_| Entry::default()).collect();
        Datagrams { entries, seed: Seed::random(), timeout: timeout.div_ceil(1 << UNIT) as u32 + 1 }
    }

    /// Whether it has as much room as others, for as long.
    pub(super) fn is_like(&self, other: &Datagrams) -> bool {
        (self.entries.len(), self.timeout) == (other.entries.len(), other.timeout)
    }

    /// For how many nanoseconds a packet is remembered.
    pub(super) fn timeout(&self) -> u64 {
        u64::from(self.timeout) << UNIT
    }

    /// What became of the first fragment of this packet.
    pub(super) fn find(&self, key: &Key4, now: u64) -> Option<First> {
        let entry = self.ways(key).find(|entry| entry.is_of(key))?;
        let before = entry.sequence.load(Ordering::Acquire);
        let (is_it, when, value) = (entry.is_of(key), entry.when.load(Ordering::Relaxed), entry.value.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let is_whole = before & 1 == 0 && entry.sequence.load(Ordering::Relaxed) == before && is_it;
        (is_whole && age(now, when) <= self.timeout && before != 0).then(|| match value & TRANSLATED != 0 {
            true => First::Address(value as u32),
            false => First::At(Owner::worker(value as u32)),
        })
    }

    /// The first fragment of this packet has got this address.
    pub(super) fn translated(&self, key: &Key4, address: u32, now: u64) {
        self.write(key, TRANSLATED | u64::from(address), now);
    }

    /// The first fragment of this packet goes to this worker, to be translated there.
    pub(super) fn on_its_way(&self, key: &Key4, owner: Owner, now: u64) {
        self.write(key, owner.id().into(), now);
    }

    fn write(&self, key: &Key4, value: u64, now: u64) {
        let age = |entry: &&Entry| match entry.sequence.load(Ordering::Relaxed) {
            0 => u32::MAX,
            _ => age(now, entry.when.load(Ordering::Relaxed)),
        };
        let known = self.ways(key).find(|entry| entry.is_of(key));
        let Some(entry) = known.or_else(|| self.ways(key).max_by_key(age)) else { return };
        let sequence = entry.sequence.load(Ordering::Relaxed);
        // Whoever finds another at it leaves it to that one: fragments of this packet will not find their first.
        let free = sequence & 1 == 0
            && entry.sequence.compare_exchange(sequence, sequence | 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !free {
            return;
        }
        fence(Ordering::Release);
        entry.key.iter().zip(key.words()).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
        entry.when.store(moment(now), Ordering::Relaxed);
        entry.value.store(value, Ordering::Relaxed);
        // 0 is that of an entry that was never written.
        entry.sequence.store(sequence.wrapping_add(2).max(2), Ordering::Release);
    }

    fn ways(&self, key: &Key4) -> impl Iterator<Item = &Entry> {
        let first = key.hash(&self.seed) as usize;
        (0..WAYS).map(move |way| &self.entries[(first + way) & (self.entries.len() - 1)])
    }
}

impl Entry {
    fn is_of(&self, key: &Key4) -> bool {
        self.key.iter().zip(key.words()).all(|(word, value)| word.load(Ordering::Relaxed) == value)
    }
}

fn moment(now: u64) -> u32 {
    (now >> UNIT) as u32
}

/// How long ago something was written. The worker that has written it may be ahead of who asks.
fn age(now: u64, when: u32) -> u32 {
    let age = moment(now).wrapping_sub(when);
    if age >> 31 == 0 { age } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::wire::IpProtocol;

    fn key(id: u16) -> Key4 {
        Key4::fragment(0x0a00_0001_c000_0201, id, IpProtocol::UDP, 0)
    }

    #[test]
    fn for_as_long_as_it_says() {
        let (datagrams, second) = (Datagrams::new(64, 2_000_000_000), 1_000_000_000);
        assert_eq!(datagrams.find(&key(1), 0), None);
        datagrams.on_its_way(&key(1), Owner::worker(3), 0);
        assert_eq!(datagrams.find(&key(1), 0), Some(First::At(Owner::worker(3))));
        datagrams.translated(&key(1), 7, second);
        assert_eq!(datagrams.find(&key(1), 3 * second), Some(First::Address(7)));
        assert_eq!((datagrams.find(&key(2), second), datagrams.find(&key(1), 3 * second + 10_000_000)), (None, None));
    }

    /// Each worker has the time of the frame that it is at.
    #[test]
    fn what_a_worker_has_written_that_is_ahead_is_known_and_new() {
        let (datagrams, second) = (Datagrams::new(WAYS as u32, 2_000_000_000), 1_000_000_000);
        for id in 1..=WAYS as u16 {
            datagrams.translated(&key(id), id.into(), second + u64::from(id) * 10_000_000);
        }
        assert_eq!(datagrams.find(&key(4), second), Some(First::Address(4)));
        // Another takes the place of one that is as old as it, and not of more.
        datagrams.translated(&key(9), 9, second);
        let known = (1..=4).filter(|id| datagrams.find(&key(*id), second + 1).is_some()).count();
        assert_eq!((known, datagrams.find(&key(9), second)), (3, Some(First::Address(9))));
        assert_eq!(datagrams.find(&key(9), 4 * second), None);
    }

    #[test]
    fn it_is_bounded_and_the_newest_stay() {
        let datagrams = Datagrams::new(64, 2_000_000_000);
        for id in 0..10_000 {
            datagrams.translated(&key(id), id.into(), u64::from(id) << UNIT >> 4);
            assert_eq!(datagrams.find(&key(id), u64::from(id) << UNIT >> 4), Some(First::Address(id.into())));
        }
        let now = 10_000 << UNIT >> 4;
        let known = (0..10_000).filter(|id| datagrams.find(&key(*id), now).is_some()).count();
        assert!((32..=64).contains(&known), "{known}");
    }

    #[test]
    fn nobody_reads_half_of_it() {
        let datagrams = Datagrams::new(64, 2_000_000_000);
        std::thread::scope(|scope| {
            for worker in 0..2_u32 {
                let datagrams = &datagrams;
                scope.spawn(move || {
                    for round in 0..100_000_u32 {
                        let id = (round * 7 + worker) as u16 % 500;
                        datagrams.translated(&key(id), id.into(), 0);
                        let other = (round % 500) as u16;
                        let found = datagrams.find(&key(other), 0);
                        assert!(found.is_none_or(|first| first == First::Address(other.into())), "{found:?}");
                    }
                });
            }
        });
    }
}
