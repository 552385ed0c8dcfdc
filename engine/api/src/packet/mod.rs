//! A packet on its way: two words that travel in vectors, the chunk that they name, and the views on it.

mod desc;
mod handoff;
mod meta;
mod vector;
mod view;

pub(crate) use desc::differing;
pub use desc::{Desc, Lane, NO_INTERFACE};
pub use handoff::{HandoffGauge, HandoffReceiver, HandoffSender, handoff};
pub use meta::{Meta, Slot, SlotInfo, SlotName};
pub use vector::{Mask, Nexts, Vector};
pub use view::Packet;
#[cfg(debug_assertions)]
pub use view::meta_accesses;

/// Packets that a node sees at most in one call.
pub const VECTOR: usize = 256;
/// Packets that an inbox holds: a vector received, and as many made on the way.
pub const INBOX: usize = 2 * VECTOR;
/// Entries behind the last one that SIMD kernels may read and write.
pub(crate) const PAD: usize = 32;
