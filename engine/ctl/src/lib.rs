//! What watches an engine of Swath from outside of its workers, and what tells it what to do: metrics, health and the control API by
//! HTTP, logs, and what a service manager wants to know.
//!
//! ```text
//! workers ─count─► WorkerCounters ◄─read─ Observer ─┬► /metrics   figures.rs, sheet.rs
//!                                                   ├► /readyz    live.rs
//!                                                   └► WATCHDOG=1 service.rs
//!
//! clients ─HTTP─► api ─jobs─► the control thread, which has the Engine      control.rs
//! ```
//!
//! Nothing of it is in the way of a packet: it reads words that workers write anyway, on threads of its own; and who wants to change
//! something has it done by the one thread that has the engine.

#![forbid(unsafe_code)]

pub mod api;
mod candidate;
mod change;
mod client;
mod clock;
mod control;
mod events;
mod figures;
mod file_watch;
mod http;
mod live;
pub mod log;
mod peer;
mod records;
pub mod revisions;
mod server;
mod service;
mod sheet;
pub mod socket;
mod state;
mod token;
mod watchdog;

pub use api::{ApiServer, TcpApiServer};
pub use candidate::{Candidate, Findings};
pub use change::{By, News, Order, Refused};
pub use client::{Client, ClientError, ServerUrl};
pub use control::{Control, Desk, Gone, Jobs, Running, control};
pub use file_watch::FileWatch;
pub use live::{Live, Phase, Settings};
pub use records::RecordKeeper;
pub use revisions::{Disk, Revision};
pub use server::Server;
pub use service::Service;
pub use sheet::Format;
pub use state::{Restored, restore, save};
pub use token::Token;
pub use watchdog::Watchdog;
