//! Packets looked at while they pass: samples of those that are dropped, taps on edges, captures of drops, and the paths of chosen packets.
//!
//! ```text
//! worker: dispatch ─ any probe? ─► look ─► a free slip is filled ─► ring ─► control: Sightings, DropLog
//!                                             ▲                               │
//!                                             └──────── ring of free slips ◄──┘
//! ```
//!
//! All of it is at the boundary of vectors, where the engine has the packets of one node and what was decided for them. While nobody looks, this
//! costs one branch a vector that is always taken the same way; what is dropped is sampled where dropped packets are freed. Slips are
//! allocated by the control side and go round: a worker that finds no free one does not wait, and counts what nobody saw.

/// Whether there is anything of this in the loop of a worker. Without it, by the feature `bare`, it is measured what it costs that there is.
pub(super) const LOOKS: bool = cfg!(not(feature = "bare"));

mod control;
mod explain;
mod names;
mod samples;
mod slip;
mod trace;
mod worker;

pub use control::{Order, Place, Sightings, What};
pub use names::Fate;
pub use slip::Seen;

pub(super) use control::{Known, known_selections};
pub(super) use explain::Walk;
pub(super) use names::Names;
pub(super) use samples::{DropLog, Sampler};
pub(super) use worker::{Leaving, Probe, Selection, look_at_handed, look_at_refused};
