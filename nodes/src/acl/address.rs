//! Addresses of both families as numbers, and prefixes of them.

use std::hash::Hash;

/// An address as a number.
pub trait Address: Copy + Ord + Hash + Default + Send + Sync + std::fmt::Debug + 'static {
    /// Its length.
    const BITS: u8;

    /// Its first `len` bits; the others are 0.
    fn masked(self, len: u8) -> Self;
    /// Its first 16 bits.
    fn top(self) -> usize;
    /// The 16 bits that have so many to their right, at most its length less 16.
    fn bits_above(self, right: u8) -> u16;
}

impl Address for u32 {
    const BITS: u8 = 32;

    #[inline(always)]
    fn masked(self, len: u8) -> u32 {
        if len == 0 { 0 } else { self & u32::MAX << (32 - len) }
    }

    #[inline(always)]
    fn top(self) -> usize {
        (self >> 16) as usize
    }

    #[inline(always)]
    fn bits_above(self, right: u8) -> u16 {
        self.wrapping_shr(right.into()) as u16
    }
}

impl Address for u128 {
    const BITS: u8 = 128;

    #[inline(always)]
    fn masked(self, len: u8) -> u128 {
        if len == 0 { 0 } else { self & u128::MAX << (128 - len) }
    }

    #[inline(always)]
    fn top(self) -> usize {
        (self >> 112) as usize
    }

    #[inline(always)]
    fn bits_above(self, right: u8) -> u16 {
        self.wrapping_shr(right.into()) as u16
    }
}

/// A prefix; bits behind its length are 0. A prefix sorts before those inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Prefix<A> {
    /// The first address.
    pub address: A,
    /// The length in bits; 0 is every address.
    pub len: u8,
}

impl<A: Address> Prefix<A> {
    /// Whether there is an address that is in both.
    pub(super) fn meets(&self, other: &Prefix<A>) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// Whether all addresses of the other one are in this one.
    pub(super) fn contains(&self, other: &Prefix<A>) -> bool {
        self.len <= other.len && other.address.masked(self.len) == self.address
    }
}
