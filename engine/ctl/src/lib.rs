//! What watches an engine of Swath from outside of its workers: metrics and health by HTTP, logs, and what a service manager wants to
//! know.
//!
//! ```text
//! workers ─count─► WorkerCounters ◄─read─ Observer ─┬► /metrics   figures.rs, sheet.rs
//!                                                   ├► /readyz    live.rs
//!                                                   └► WATCHDOG=1 service.rs
//! ```
//!
//! Nothing of it is in the way of a packet: it reads words that workers write anyway, on threads of its own.

#![forbid(unsafe_code)]

mod clock;
mod events;
mod figures;
mod live;
pub mod log;
mod server;
mod service;
mod sheet;

pub use live::{Live, Phase, Settings};
pub use server::Server;
pub use service::Service;
pub use sheet::Format;
