//! The hot state of a packet: 16 bytes in two words, which travel in the frame and not in the chunk.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute};

use crate::memory::LINE;

/// Which bytes are the packet: `position:32 | offset:16 | length:16`.
///
/// The position is that of the chunk, in units of 64 bytes from the start of the region (so a region may have 256 GiB); the offset
/// is that of the packet's first byte in its chunk. This is the *only* copy of offset and length. One shift extracts each part and
/// one addition moves the start, which is why the order is this one. In memory that is length, offset and position, from the lowest byte on
/// (x86 is little-endian), as drivers write and read it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Desc(u64);

impl Desc {
    /// The place of a packet that was taken out of its frame.
    pub(crate) const NONE: Desc = Desc(u64::MAX);

    /// A packet of `length` bytes, `offset` bytes behind the start of the chunk at `position`.
    #[inline]
    pub const fn new(position: u32, offset: u16, length: u16) -> Desc {
        Desc((position as u64) << 32 | (offset as u64) << 16 | length as u64)
    }

    /// Where the chunk starts, in units of 64 bytes from the start of the region.
    #[inline]
    pub const fn position(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Bytes from the start of the chunk to the packet's first byte.
    #[inline]
    pub const fn offset(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The packet's length in bytes.
    #[inline]
    pub const fn length(self) -> u16 {
        self.0 as u16
    }

    /// It as it lies in memory.
    #[inline]
    pub const fn to_ne_bytes(self) -> [u8; 8] {
        self.0.to_ne_bytes()
    }

    /// Bytes from the start of the region to the packet's first byte.
    #[inline]
    pub(crate) const fn start(self) -> usize {
        self.position() as usize * LINE + self.offset() as usize
    }
}

impl std::fmt::Debug for Desc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Desc({}+{}, {} B)", self.position(), self.offset(), self.length())
    }
}

/// The value of [`Lane::tx`] and [`Lane::rx`] that names no interface.
pub const NO_INTERFACE: u16 = u16::MAX;

/// What travels with the packet beside its place: who received it, where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Lane {
    /// The adjacency that a look-up found, or a word that the nodes of a flow agree on.
    pub adj: u32,
    /// Index of the interface to leave by, or [`NO_INTERFACE`].
    pub tx: u16,
    /// Index of the interface that it was received by, or [`NO_INTERFACE`].
    pub rx: u16,
}

impl Lane {
    /// The lane of a packet just received by an interface.
    #[inline]
    pub const fn received(rx: u16) -> Lane {
        Lane { adj: 0, tx: NO_INTERFACE, rx }
    }
}

impl Lane {
    /// Sets the adjacency and the interface to leave by from one word, `tx:16 | adj:32` in its low 48 bits, with one load and one store:
    /// field by field, the next node's wide loads would wait for the narrow stores.
    #[inline(always)]
    pub fn set_out(&mut self, word: u64) {
        const RX: u64 = 0xffff << 48;
        let old: u64 = transmute!(*self);
        *self = transmute!(old & RX | word & !RX);
    }
}

/// In which bits any of the lanes differs from the first: `rx:16 | tx:16 | adj:32`. Whole words and no early end, so that the compiler
/// makes SIMD of it.
#[inline]
pub(crate) fn differing(lanes: &[Lane]) -> u64 {
    let word = |lane: &Lane| -> u64 { transmute!(*lane) };
    let first = lanes.first().map_or(0, word);
    lanes.iter().fold(0, |bits, lane| bits | (word(lane) ^ first))
}

impl Default for Lane {
    fn default() -> Lane {
        Lane::received(NO_INTERFACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_laid_out_as_the_kernels_expect() {
        let desc = Desc::new(0x0123_4567, 0x89ab, 0xcdef);
        assert_eq!(desc.0, 0x0123_4567_89ab_cdef);
        assert_eq!((desc.position(), desc.offset(), desc.length()), (0x0123_4567, 0x89ab, 0xcdef));
        assert_eq!(desc.start(), 0x0123_4567 * 64 + 0x89ab);
        assert_eq!((size_of::<Lane>(), align_of::<Lane>()), (8, 8));
        let lanes = [Lane { adj: 1, tx: 2, rx: 3 }, Lane { adj: 1, tx: 2, rx: 7 }];
        assert_eq!((differing(&lanes), differing(&lanes[..1]), differing(&[])), (4 << 48, 0, 0));
        assert_eq!((std::mem::offset_of!(Lane, adj), std::mem::offset_of!(Lane, tx), std::mem::offset_of!(Lane, rx)), (0, 4, 6));
    }
}
