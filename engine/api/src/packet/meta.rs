//! The cold cache line of a packet: typed slots that nodes agree on by name.
//!
//! Nothing on a plain path touches it: the line costs as much as the header itself. A node declares in its
//! [`Info`](crate::Info) which slots it reads and writes; a read that is not preceded by a write on every path is a load error, so
//! what is left over from an earlier packet is never seen.

use std::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::text::Str;

/// Bytes of the line.
const BYTES: usize = 64;
/// The engine's own bytes at its start: trace id, flags, timestamp.
const RESERVED: usize = 16;

/// A slot by name and type, before the graph is loaded.
///
/// ```
/// use swath_api::{Info, SlotName};
/// /// The class that `classify` found.
/// const CLASS: SlotName<u32> = SlotName::new("class");
/// const INFO: Info = Info::new("mark", "Reads the class.").reads(&[CLASS.info()]);
/// ```
pub struct SlotName<T>(&'static str, PhantomData<fn() -> T>);

impl<T: FromBytes + IntoBytes + Immutable + 'static> SlotName<T> {
    /// The slot that all nodes of the graph know by this name.
    pub const fn new(name: &'static str) -> SlotName<T> {
        SlotName(name, PhantomData)
    }

    /// The declaration for [`Info::reads`](crate::Info::reads) and [`Info::writes`](crate::Info::writes).
    pub const fn info(&self) -> SlotInfo {
        SlotInfo { name: Str::new(self.0), size: size_of::<T>() as u16, align: align_of::<T>() as u16 }
    }
}

/// A slot as declared: two nodes mean the same one if name, size and alignment agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SlotInfo {
    /// Its name.
    pub name: Str,
    /// Bytes of its type.
    pub size: u16,
    /// Alignment of its type.
    pub align: u16,
}

/// A slot with its place in the line, from [`Setup::slot`](crate::Setup::slot).
pub struct Slot<T> {
    at: u16,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Slot<T> {
        *self
    }
}
impl<T> Copy for Slot<T> {}

impl<T> Slot<T> {
    pub(crate) fn at(at: u16) -> Slot<T> {
        Slot { at, kind: PhantomData }
    }
}

/// The cold line itself.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Meta {
    bytes: [u8; BYTES],
}

impl Meta {
    /// Bytes that all slots of a process share.
    pub const CAPACITY: usize = BYTES - RESERVED;

    /// Finds a place for a slot behind those that have one. `None` if the bytes run out.
    ///
    /// `used` are the (offset, size) of the slots placed before, in any order; the offset returned is for [`Setup`](crate::Setup).
    pub fn place(used: &[(u16, u16)], slot: &SlotInfo) -> Option<u16> {
        let end = used.iter().map(|&(at, size)| usize::from(at) + usize::from(size)).max().unwrap_or(RESERVED);
        let at = end.next_multiple_of(usize::from(slot.align.max(1)));
        (at + usize::from(slot.size) <= BYTES).then_some(at as u16)
    }

    /// What the slot holds.
    pub fn get<T: FromBytes + IntoBytes + Immutable>(&self, slot: Slot<T>) -> T {
        let at = usize::from(slot.at);
        let bytes = self.bytes.get(at..at + size_of::<T>());
        bytes.and_then(|bytes| T::read_from_bytes(bytes).ok()).unwrap_or_else(T::new_zeroed)
    }

    /// Puts a value into the slot.
    pub fn set<T: FromBytes + IntoBytes + Immutable>(&mut self, slot: Slot<T>, value: T) {
        let at = usize::from(slot.at);
        if let Some(bytes) = self.bytes.get_mut(at..at + size_of::<T>()) {
            bytes.copy_from_slice(value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_overlap_and_run_out() {
        const A: SlotName<u8> = SlotName::new("a");
        const B: SlotName<u64> = SlotName::new("b");
        let mut used = Vec::new();
        let a = Meta::place(&used, &A.info()).unwrap();
        used.push((a, 1));
        let b = Meta::place(&used, &B.info()).unwrap();
        used.push((b, 8));
        assert_eq!((a, b), (16, 24));
        let mut meta = Meta { bytes: [0xff; 64] };
        let (a, b) = (Slot::<u8>::at(a), Slot::<u64>::at(b));
        meta.set(a, 7);
        meta.set(b, 0x0102_0304_0506_0708);
        assert_eq!((meta.get(a), meta.get(b)), (7, 0x0102_0304_0506_0708));
        for _ in 0..4 {
            used.push((Meta::place(&used, &B.info()).unwrap(), 8));
        }
        assert_eq!(Meta::place(&used, &B.info()), None);
    }
}
