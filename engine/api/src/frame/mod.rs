//! A frame: the packets of one call of a node, and the ways to walk them.

mod emit;
mod held;
mod route;
mod walk;

pub use emit::Emit;
pub use held::{Held, Verdict};
pub use route::Route;
pub use walk::Frame;

use crate::abi::{RawFrame, RawOutbox};
use crate::packet::{Nexts, Vector};

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
            decided: 0,
            taken: 0,
            taken_id: 0,
        }
    }

    /// One packet of a vector, to be looked at: without a place for a decision, and without an outbox. `None` if there is no such packet.
    pub fn one(packets: &mut Vector, index: usize) -> Option<RawFrame> {
        if index >= packets.len() {
            return None;
        }
        let pool = std::sync::Arc::as_ptr(packets.pool());
        let region = packets.pool().region();
        let (base, stride) = (region.base(), region.geometry().stride);
        let (descs, lanes) = packets.raw();
        Some(RawFrame {
            pool: pool.cast(),
            base,
            stride,
            len: 1,
            // SAFETY: index < len.
            descs: unsafe { descs.add(index) },
            // SAFETY: index < len.
            lanes: unsafe { lanes.add(index) },
            next: std::ptr::null_mut(),
            outbox: std::ptr::null_mut(),
            decided: 0,
            taken: 0,
            taken_id: 0,
        })
    }
}
