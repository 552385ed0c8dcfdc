//! Running a plan: ports opened, tables and node instances made, workers started, counted and stopped.

mod apply;
mod bed;
mod before;
mod book;
mod build;
mod counters;
mod cpus;
mod dispatch;
mod engine;
mod figures;
mod handoff;
mod ledger;
mod links;
mod mail;
mod observer;
mod offload;
mod pass;
mod probe;
mod revive;
mod shortcut;
mod succeed;
mod swap;
mod totals;
mod worker;

pub use apply::{Ended, Refusal, Report, WorkerReport};
pub use build::BuildOptions;
pub use counters::{
    BufferGauges, COSTS, Counter, InterfaceCounters, NodeCounters, TimeCounters, VECTOR_SIZES, WorkerCounters, slot,
};
pub use cpus::{Placement, place};
pub use engine::Engine;
pub use figures::{Figure, WorkerFigures};
pub use ledger::{Buffers, Ledger};
pub use mail::Answer;
pub use observer::{ObservedEdge, ObservedInterface, ObservedNode, Observer};
pub use pass::WorkerGraph;
pub use probe::{Fate, Order, Place, Seen, Sightings, What};
pub use revive::Revived;
pub use totals::NodeTotals;
