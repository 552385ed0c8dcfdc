//! One packet as a node sees it.

use std::marker::PhantomData;

use super::{Desc, Lane, Meta};
use crate::memory::{HEAD, LINE, META_AT, WINDOW};
use crate::wire::{Eth, Header, Ipv4, WireError};

/// A packet lent to a node for one decision.
///
/// It cannot be kept, copied, sent elsewhere or made up: only the engine moves packets. Header views borrow from it, so none
/// outlives a change of where the packet starts.
pub struct Packet<'a> {
    chunk: *mut u8,
    offset: u32,
    length: u32,
    stride: u32,
    lane: &'a mut Lane,
    // Invariant in 'a: a packet of one frame is not a packet of another.
    frame: PhantomData<fn(&'a ()) -> &'a ()>,
}

impl<'a> Packet<'a> {
    /// # Safety
    /// The descriptor keeps the invariant of [`Vector`](super::Vector) for a region with this base and stride, and nobody else
    /// touches the chunk during `'a`.
    #[inline(always)]
    pub(crate) unsafe fn open(base: *mut u8, stride: u32, desc: Desc, lane: &'a mut Lane) -> Packet<'a> {
        Packet {
            // SAFETY: the position lies in the region.
            chunk: unsafe { base.add(desc.position() as usize * LINE) },
            offset: u32::from(desc.offset()),
            length: u32::from(desc.length()),
            stride,
            lane,
            frame: PhantomData,
        }
    }

    /// The descriptor as the node leaves it.
    #[inline(always)]
    pub(crate) fn close(&self, before: Desc) -> Desc {
        Desc::new(before.position(), self.offset as u16, self.length as u16)
    }

    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether it has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What travels with the packet.
    #[inline]
    pub fn lane(&mut self) -> &mut Lane {
        self.lane
    }

    /// What travels with the packet.
    #[inline]
    pub fn lane_ref(&self) -> &Lane {
        self.lane
    }

    /// All bytes.
    #[inline]
    pub fn data(&self) -> &[u8] {
        // SAFETY: offset + length <= stride, so the bytes lie in the chunk, which is ours during 'a.
        unsafe { std::slice::from_raw_parts(self.start(), self.len()) }
    }

    /// All bytes, to be changed.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`; `&mut self` makes it the only view.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len()) }
    }

    /// The first `N` bytes, if the packet has as many.
    #[inline(always)]
    pub fn head<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        if self.len() < N {
            return None;
        }
        // SAFETY: N <= length, and as in `data_mut`.
        Some(unsafe { &mut *self.start().cast::<[u8; N]>() })
    }

    /// `N` (at most 128) bytes from the start, whether the packet has as many or not: behind its end they are what they are.
    #[inline(always)]
    pub fn window<const N: usize>(&mut self) -> &mut [u8; N] {
        const { assert!(N <= WINDOW) };
        // SAFETY: offset + WINDOW <= stride, so the window lies in the chunk, and as in `data_mut`.
        unsafe { &mut *self.start().cast::<[u8; N]>() }
    }

    /// As [`Packet::window`], not to be changed.
    #[inline(always)]
    pub fn peek<const N: usize>(&self) -> &[u8; N] {
        const { assert!(N <= WINDOW) };
        // SAFETY: as in `window`.
        unsafe { &*self.start().cast::<[u8; N]>() }
    }

    /// The Ethernet header at the start, if the packet has as many bytes.
    #[inline(always)]
    pub fn eth(&mut self) -> Option<&mut Eth> {
        self.head().map(Eth::from_array_mut)
    }

    /// The IPv4 header (without options) at the start, if the packet has as many bytes. Nothing in it is checked.
    #[inline(always)]
    pub fn ip4(&mut self) -> Option<&mut Ipv4> {
        self.head().map(Ipv4::from_array_mut)
    }

    /// Any header at the start, checked for length, and what follows its fixed part.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn header<H: Header>(&mut self) -> Result<(&mut H, &mut [u8]), WireError> {
        H::parse_mut(self.data_mut())
    }

    /// Takes `n` bytes off the start. `false`, and nothing happens, if the packet has fewer, or if less than 128 bytes of its chunk
    /// would be left behind the new start.
    #[inline(always)]
    pub fn advance(&mut self, n: u16) -> bool {
        let n = u32::from(n);
        let fits = n <= self.length && self.offset + n + WINDOW as u32 <= self.stride;
        if fits {
            self.offset += n;
            self.length -= n;
        }
        fits
    }

    /// Puts `N` bytes before the start. `None` if the headroom is used up.
    #[inline(always)]
    pub fn prepend<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        const { assert!(N <= u16::MAX as usize) };
        if self.offset < (HEAD + N) as u32 || self.length + N as u32 > u32::from(u16::MAX) {
            return None;
        }
        self.offset -= N as u32;
        self.length += N as u32;
        // SAFETY: offset >= HEAD still holds, the end has not moved, and as in `data_mut`.
        Some(unsafe { &mut *self.start().cast::<[u8; N]>() })
    }

    /// Cuts the packet behind its first `length` bytes; longer than it is, it stays as it is.
    #[inline]
    pub fn truncate(&mut self, length: usize) {
        if length < self.len() {
            self.length = length as u32;
        }
    }

    /// Puts `n` bytes behind the end and gives them out; what is in them is left from an earlier packet. `None` if the chunk ends
    /// before.
    pub fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        let room = self.stride as usize - (self.offset + self.length) as usize;
        if n > room {
            return None;
        }
        let end = self.len();
        self.length += n as u32;
        self.data_mut().get_mut(end..)
    }

    /// The cold line. A debug build counts each access: see [`meta_accesses`].
    pub fn meta(&mut self) -> &mut Meta {
        #[cfg(debug_assertions)]
        META_ACCESSES.with(|count| count.set(count.get() + 1));
        // SAFETY: the 64 bytes at META_AT lie in the chunk before HEAD, aligned since chunks are multiples of 64 bytes; any bytes
        // are a Meta; they are never part of the packet's data, and `&mut self` makes it the only view.
        unsafe { &mut *self.chunk.add(META_AT).cast::<Meta>() }
    }

    /// As [`Packet::meta`], not to be changed: for those who say why, and not counted.
    pub fn meta_ref(&self) -> &Meta {
        // SAFETY: as in `meta`; nobody changes it while `&self` is lent.
        unsafe { &*self.chunk.add(META_AT).cast::<Meta>() }
    }

    #[inline(always)]
    fn start(&self) -> *mut u8 {
        // SAFETY: HEAD <= offset < stride.
        unsafe { self.chunk.add(self.offset as usize) }
    }

    /// What a copy needs: the bytes, where in the chunk they start, and the cold line.
    pub(crate) fn parts(&self) -> (&[u8], usize, *const u8) {
        // SAFETY: META_AT lies in the chunk.
        (self.data(), self.offset as usize, unsafe { self.chunk.add(META_AT) })
    }
}

#[cfg(debug_assertions)]
thread_local! {
    static META_ACCESSES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How often nodes on this thread have touched the cold line of a packet. Counted in debug builds only.
#[cfg(debug_assertions)]
pub fn meta_accesses() -> u64 {
    META_ACCESSES.with(std::cell::Cell::get)
}
