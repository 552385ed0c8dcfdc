//! What IPv4 routes mean: the answers of a forwarding table, in the layout of a packet's lane.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use swath_api::memory::HugeArray;
use swath_api::prelude::*;
use swath_api::wire::IcmpCause;
use swath_api::zerocopy::FromZeros;

/// Next hops, and other things that a route can mean, at most: what the array of leaves has room for.
pub(crate) const MAX_LEAVES: usize = 1 << 16;
/// Buckets that are allocated together: those of the smallest group.
pub(crate) const UNIT: usize = 256;
/// Buckets of all groups of a table.
pub(crate) const MAX_BUCKETS: usize = 1 << 22;

/// What a route means. In the order of the edges of `ip4-lookup`: then one is the other, without a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Meaning {
    /// Forward: by the adjacency, [`BY_DESTINATION`], or by a member of a group ([`Leaf::is_group`]).
    Forward = 0,
    /// The router itself.
    Local = 1,
    /// There is no route.
    NoRoute = 2,
    /// A multicast group.
    Multicast = 3,
    /// Answer that the host is unreachable.
    Unreachable = 4,
    /// Answer that it is prohibited.
    Prohibit = 5,
    /// Drop, and answer nothing.
    Blackhole = 6,
    /// Never a destination.
    Martian = 7,
}

impl Meaning {
    /// How it is called in answers to commands.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Meaning::Forward => "forward",
            Meaning::Local => "local",
            Meaning::NoRoute => "no-route",
            Meaning::Multicast => "multicast",
            Meaning::Blackhole => "blackhole",
            Meaning::Martian => "martian",
            Meaning::Unreachable => "unreachable",
            Meaning::Prohibit => "prohibit",
        }
    }
}

/// In place of an adjacency: the destination is itself a neighbour, on the subnet of the interface to leave by.
pub const BY_DESTINATION: u32 = u32::MAX;

/// In place of an adjacency, from here on: a look at the packet says more. `15:4 | log2 of units:4 | first unit:24` is a group.
const SPECIAL: u32 = 0xf << 28;

/// One answer of the table: `meaning:16 | tx:16 | adjacency:32`, so that the low 48 bits are those of the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leaf(u64);

impl Leaf {
    /// The answer where there is no route, which the look-up knows by the number 0. In the lane it says so to `icmp-error`.
    pub const NO_ROUTE: Leaf = Leaf::new(Meaning::NoRoute, NO_INTERFACE, IcmpCause::NET_UNREACHABLE.word());

    pub(crate) const fn new(meaning: Meaning, tx: u16, adj: u32) -> Leaf {
        Leaf((meaning as u64) << 48 | (tx as u64) << 32 | adj as u64)
    }

    /// One that leads nowhere. What it says to `icmp-error` is what Linux sends (RFC 1812 §5.2.7.1).
    pub(crate) const fn nowhere(meaning: Meaning) -> Leaf {
        let cause = match meaning {
            Meaning::NoRoute => IcmpCause::NET_UNREACHABLE.word(),
            Meaning::Unreachable => IcmpCause::HOST_UNREACHABLE.word(),
            Meaning::Prohibit => IcmpCause::PROHIBITED.word(),
            _ => 0,
        };
        Leaf::new(meaning, NO_INTERFACE, cause)
    }

    /// One whose packets are spread over `UNIT << log2` buckets.
    pub(crate) const fn group(unit: u32, log2: u32) -> Leaf {
        Leaf::new(Meaning::Forward, NO_INTERFACE, SPECIAL | log2 << 24 | unit)
    }

    /// What the route means.
    #[inline]
    pub fn meaning(self) -> Meaning {
        match self.0 >> 48 {
            0 => Meaning::Forward,
            1 => Meaning::Local,
            3 => Meaning::Multicast,
            4 => Meaning::Unreachable,
            5 => Meaning::Prohibit,
            6 => Meaning::Blackhole,
            7 => Meaning::Martian,
            _ => Meaning::NoRoute,
        }
    }

    /// As [`Leaf::out`] has it.
    #[inline]
    pub(crate) fn from_out(out: u64) -> Leaf {
        Leaf(out)
    }

    /// By another adjacency.
    #[inline]
    pub(crate) fn with_adj(self, adj: u32) -> Leaf {
        Leaf(self.0 & !0xffff_ffff | u64::from(adj))
    }

    /// Interface and adjacency for [`Lane::set_out`](swath_api::Lane::set_out).
    #[inline]
    pub fn out(self) -> u64 {
        self.0
    }

    /// The interface to leave by.
    #[inline]
    pub fn tx(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// The adjacency, or [`BY_DESTINATION`].
    #[inline]
    pub fn adj(self) -> u32 {
        self.0 as u32
    }

    /// Whether it takes a look at the packet to say where it goes: a group, or [`BY_DESTINATION`].
    #[inline]
    pub fn is_special(self) -> bool {
        self.adj() >= SPECIAL
    }

    /// Whether one of several may be special, if this is all their bits.
    #[inline]
    pub(crate) fn may_be_special(self) -> bool {
        self.adj() & SPECIAL == SPECIAL
    }

    /// Whether it stands for several next hops, of which [`Leaves::member`] names one.
    #[inline]
    pub fn is_group(self) -> bool {
        self.adj() >= SPECIAL && self.adj() != BY_DESTINATION
    }

    /// Of a group: the first of its buckets, and how many there are.
    pub(crate) fn buckets(self) -> (usize, usize) {
        ((self.adj() as usize & 0xff_ffff) * UNIT, UNIT << (self.adj() >> 24 & 7))
    }
}

/// All leaves of a table.
#[derive(Clone, Copy)]
pub struct Leaves<'a> {
    pub(crate) leaves: &'a [AtomicU64; MAX_LEAVES],
    pub(crate) buckets: &'a [AtomicU64],
}

impl Leaves<'_> {
    /// The leaf that a look-up has answered with.
    #[inline(always)]
    pub fn get(self, number: u32) -> Leaf {
        // No number that was given out is as large as the array; the mask spares the test.
        Leaf(self.leaves[number as usize % MAX_LEAVES].load(Ordering::Relaxed))
    }

    /// To be called between [`Leaves::get`] of a group and [`Leaves::member`]: a leaf may be new, and its buckets with it.
    #[inline]
    pub fn settle(self) {
        fence(Ordering::Acquire);
    }

    /// The member of a group that the hash of a flow chooses.
    #[inline]
    pub fn member(self, group: Leaf, hash: u64) -> Leaf {
        let (first, count) = group.buckets();
        let bucket = self.buckets.get(first + (hash as usize & (count - 1)));
        bucket.map_or(Leaf::NO_ROUTE, |bucket| Leaf(bucket.load(Ordering::Relaxed)))
    }
}

/// What workers read: the leaves by number, and the buckets of groups.
pub(crate) struct LeafStore {
    leaves: Box<[AtomicU64; MAX_LEAVES]>,
    buckets: HugeArray<AtomicU64>,
}

impl LeafStore {
    /// Of which none was given out but that of number 0. Its memory is taken when it is written.
    pub(crate) fn new() -> Result<LeafStore, ConfigError> {
        let no_memory = || ConfigError::new("no memory for next hops");
        let leaves = <[AtomicU64; MAX_LEAVES]>::new_box_zeroed().map_err(|_| no_memory())?;
        leaves[0].store(Leaf::NO_ROUTE.0, Ordering::Relaxed);
        Ok(LeafStore { leaves, buckets: HugeArray::new(MAX_BUCKETS).map_err(|_| no_memory())? })
    }

    pub(crate) fn view(&self) -> Leaves<'_> {
        Leaves { leaves: &self.leaves, buckets: &self.buckets }
    }

    /// Stores a leaf behind the buckets that it names (release, for [`Leaves::settle`]).
    pub(crate) fn store(&self, number: u32, leaf: Leaf) {
        self.leaves[number as usize].store(leaf.0, Ordering::Release);
    }

    /// Stores the member that a bucket leads to, if it is another one.
    pub(crate) fn store_bucket(&self, bucket: usize, member: Leaf) {
        let bucket = &self.buckets[bucket];
        if bucket.load(Ordering::Relaxed) != member.0 {
            bucket.store(member.0, Ordering::Release);
        }
    }
}
