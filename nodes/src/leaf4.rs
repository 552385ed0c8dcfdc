//! What IPv4 routes mean: the answers of a forwarding table, in the layout of a packet's lane.

use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::prelude::*;
use swath_api::wire::IcmpCause;
use swath_api::zerocopy::FromZeros;

/// Next hops, and other things that a route can mean, at most: what the array of leaves has room for.
pub(crate) const MAX_LEAVES: usize = 1 << 16;

/// What a route means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Meaning {
    /// Forward: by the adjacency, or [`BY_DESTINATION`].
    Forward = 0,
    /// The router itself.
    Local = 1,
    /// There is no route.
    NoRoute = 2,
    /// A multicast group.
    Multicast = 3,
    /// Drop, and answer nothing.
    Blackhole = 4,
    /// Never a destination.
    Martian = 5,
}

/// In place of an adjacency: the destination is itself a neighbour, on the subnet of the interface to leave by.
pub const BY_DESTINATION: u32 = u32::MAX;

/// One answer of the table: `meaning:16 | tx:16 | adjacency:32`, so that the low 48 bits are those of the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leaf(u64);

impl Leaf {
    /// The answer where there is no route, which the look-up knows by the number 0. In the lane it says so to `icmp-error`.
    pub const NO_ROUTE: Leaf = Leaf::new(Meaning::NoRoute, NO_INTERFACE, IcmpCause::NET_UNREACHABLE.word());

    pub(crate) const fn new(meaning: Meaning, tx: u16, adj: u32) -> Leaf {
        Leaf((meaning as u64) << 48 | (tx as u64) << 32 | adj as u64)
    }

    /// What the route means.
    #[inline]
    pub fn meaning(self) -> Meaning {
        match self.0 >> 48 {
            0 => Meaning::Forward,
            1 => Meaning::Local,
            3 => Meaning::Multicast,
            4 => Meaning::Blackhole,
            5 => Meaning::Martian,
            _ => Meaning::NoRoute,
        }
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
}

/// All leaves of a table.
#[derive(Clone, Copy)]
pub struct Leaves<'a>(pub(crate) &'a [AtomicU64; MAX_LEAVES]);

impl Leaves<'_> {
    /// The leaf that a look-up has answered with.
    #[inline(always)]
    pub fn get(self, number: u32) -> Leaf {
        // No number that was given out is as large as the array; the mask spares the test.
        Leaf(self.0[number as usize % MAX_LEAVES].load(Ordering::Relaxed))
    }
}

/// Leaves of which none was given out but that of number 0. Their memory is taken when they are written.
pub(crate) fn leaves() -> Result<Box<[AtomicU64; MAX_LEAVES]>, ConfigError> {
    let leaves = <[AtomicU64; MAX_LEAVES]>::new_box_zeroed().map_err(|_| ConfigError::new("no memory for next hops"))?;
    leaves[0].store(Leaf::NO_ROUTE.0, Ordering::Relaxed);
    Ok(leaves)
}
