//! Which worker a packet belongs to.
//!
//! Workers share nothing: state that packets change lies in a shard of one worker, so all packets that need the same state have to be on
//! the same worker, its *owner*. A kind says so by [`Info::owned`](crate::Info::owned) and computes the owner in
//! [`Node::owner`](crate::Node::owner). Some owners, and what they are computed of:
//!
//! | kind | owner of a packet |
//! |---|---|
//! | sessions of an ACL | [`Owner::of`] a hash of both addresses, which both directions share; not of ports, which fragments lack |
//! | source NAT, leaving | [`Owner::of`] [`flow::word_hash`](crate::flow::word_hash) of the inside address |
//! | source NAT, coming back | the worker that has the external port: [`Owner::of_range`], or a look-up in the shared part of the table |
//! | an ICMP error | as the packet that it quotes |
//! | fragments, at a node that assembles them | [`Owner::of`] [`flow::fragment_hash`](crate::flow::fragment_hash); all else is [`Owner::ANY`] |
//!
//! What is reassembled has ports again, and goes from there to the owner that the next node names.

use crate::edges::{EdgeInfo, Edges};

/// Whether it matters which worker the packets of a kind are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ownership {
    /// It does not.
    Any = 0,
    /// Each packet has an owner.
    Owned = 1,
    /// The node itself moves packets to their owners.
    HandsOff = 2,
}

/// The worker that a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(u16);

impl Owner {
    /// Whoever has it.
    pub const ANY: Owner = Owner(u16::MAX);

    /// This worker, from 0. Packets for one that there is not are dropped as a `fault`.
    #[inline]
    pub const fn worker(worker: u32) -> Owner {
        // Nobody's, and not `ANY`.
        Owner(if worker < u16::MAX as u32 { worker as u16 } else { u16::MAX - 1 })
    }

    /// One of so many workers for a hash: each has the same share of all hashes.
    #[inline]
    pub const fn of(hash: u32, workers: u32) -> Owner {
        Owner::worker(((hash as u64 * workers as u64) >> 32) as u32)
    }

    /// One of so many workers for a number below `count`, as a port: each has a range of them, those of the first worker first.
    /// [`Owner::range`] is the other way round.
    #[inline]
    pub const fn of_range(number: u32, count: u32, workers: u32) -> Owner {
        let per_worker = count.div_ceil(workers);
        match number.checked_div(per_worker) {
            Some(worker) => Owner::worker(worker),
            None => Owner::worker(0),
        }
    }

    /// The numbers below `count` that [`Owner::of_range`] gives to a worker.
    pub const fn range(worker: u32, count: u32, workers: u32) -> std::ops::Range<u32> {
        let per_worker = count.div_ceil(workers) as u64;
        let (first, end) = (worker as u64 * per_worker, (worker as u64 + 1) * per_worker);
        let count = count as u64;
        (if first < count { first } else { count }) as u32..(if end < count { end } else { count }) as u32
    }
}

/// So that all walks over a frame can decide it.
impl Edges for Owner {
    const EDGES: &'static [EdgeInfo] = &[];

    #[inline(always)]
    fn id(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_ranges_have_owners() {
        assert_eq!([0, 1 << 31, u32::MAX].map(|hash| Owner::of(hash, 2)), [0, 1, 1].map(Owner::worker));
        assert_eq!(Owner::of(u32::MAX, 1), Owner::worker(0));
        for (count, workers) in [(65536, 1), (65536, 3), (10, 4), (3, 8), (u32::MAX, 64)] {
            let mut next = 0;
            for worker in 0..workers {
                let range = Owner::range(worker, count, workers);
                assert_eq!(range.start, next.min(count));
                next = range.end;
                for number in [range.start, range.end.saturating_sub(1)].into_iter().filter(|number| range.contains(number)) {
                    assert_eq!(Owner::of_range(number, count, workers), Owner::worker(worker), "{number} of {count}");
                }
            }
            assert_eq!(next, count);
        }
        assert_ne!(Owner::worker(u32::MAX), Owner::ANY);
    }
}
