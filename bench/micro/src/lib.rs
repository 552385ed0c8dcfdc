//! Graphs with traffic, the rig that lets it through them, and what callgrind counts of that: what the measurements of `swath-bench` and the
//! limits of `swath-count` have in common.

#![forbid(unsafe_code)]

pub mod callgrind;
pub mod cases;
pub mod limits;
pub mod rig;
pub mod verify;
