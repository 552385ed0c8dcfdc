//! Running a plan: ports opened, tables and node instances made, workers started, counted and stopped.

mod build;
mod counters;
mod engine;
mod ledger;
mod observer;
mod pass;
mod worker;

pub use build::BuildOptions;
pub use counters::{BufferGauges, COSTS, Counter, InterfaceCounters, NodeCounters, VECTOR_SIZES, WorkerCounters, slot};
pub use engine::{Engine, NodeTotals};
pub use ledger::{Buffers, Ledger};
pub use observer::{ObservedEdge, ObservedInterface, ObservedNode, Observer};
pub use pass::WorkerGraph;
