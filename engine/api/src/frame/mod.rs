//! A frame: the packets of one call of a node, and the ways to walk them.

mod emit;
mod held;
mod walk;

pub use emit::Emit;
pub(crate) use held::RawPool;
pub use held::{Held, Verdict};
pub use walk::Frame;

use std::ffi::c_void;

use crate::packet::{Desc, Lane, Nexts, Vector};

/// A frame as it crosses the plugin boundary. The arrays have `len` entries and 32 more that may be read and written.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawFrame {
    /// The pool that the packets belong to, as [`RawPool::pool`] names it.
    pub pool: *const c_void,
    pub base: *mut u8,
    pub stride: u32,
    /// At most 256.
    pub len: u32,
    pub descs: *mut Desc,
    pub lanes: *mut Lane,
    pub next: *mut u16,
    pub outbox: *mut RawOutbox,
    /// Whether the node has decided for all packets.
    pub decided: bool,
    /// Packets that the node took into a `Held`; their descriptors are NONE.
    pub taken: u32,
    /// The id that they were taken under.
    pub taken_id: u16,
}

impl RawFrame {
    /// The packets of a vector, of which there are at most 256, with a place for what is decided.
    pub fn new(outbox: &mut RawOutbox, packets: &mut Vector, nexts: &mut Nexts) -> RawFrame {
        let len = packets.len();
        let (descs, lanes) = packets.raw();
        RawFrame {
            pool: outbox.pool,
            base: outbox.base,
            stride: outbox.stride,
            len: len as u32,
            descs,
            lanes,
            next: nexts.raw(len),
            outbox,
            decided: false,
            taken: 0,
            taken_id: 0,
        }
    }
}

/// Where packets go that a node makes or releases, with the chunks to make them of.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawOutbox {
    /// The pool that the packets belong to, as [`RawPool::pool`] names it.
    pub pool: *const c_void,
    pub base: *mut u8,
    pub stride: u32,
    pub len: u32,
    /// Packets that it takes in all.
    pub room: u32,
    /// Chunks left in `spare`; taken from the end.
    pub spares: u32,
    pub spare: *const u32,
    pub descs: *mut Desc,
    pub lanes: *mut Lane,
    pub next: *mut u16,
    /// Packets that came into being.
    pub made: u32,
    /// Packets that left a `Held`.
    pub released: u32,
    /// Packets that would have been made, had there been room; had there been a buffer.
    pub no_room: u32,
    pub no_buffer: u32,
}
