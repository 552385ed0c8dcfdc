//! The engine of Swath: from a graph file to packets moving through it.
//!
//! ```text
//! text ─► spec::Spec ─► plan::Plan ─► run::Engine ─► one WorkerGraph for each worker
//! ```
//!
//! It names no protocol: what an edge carries is a word that it compares, and what a header says is the nodes' business.

#![forbid(unsafe_code)]

pub mod driver;
mod parts;
pub mod plan;
pub mod privileges;
mod registry;
pub mod run;
pub mod spec;

pub use registry::{PluginRefusal, Plugins, Registry};
