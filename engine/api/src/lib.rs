//! The author's API of Swath: everything that a node, a table or a plugin needs, and the one crate that it imports.
//!
//! Read [`Node`] first: a node decides a `Next` for each packet of a [`Frame`], and the engine moves the packets. Then the ways to
//! walk a frame, on [`Frame`]; the enum of edges and drop reasons, at [`edges!`]; shared state, at [`Table`]; header views, in
//! [`wire`]; and how to test a node with a table of packets, in [`testkit`]. What makes a library of nodes a plugin is
//! [`export_nodes!`].
//!
//! A node's crate can `forbid(unsafe_code)`. The `unsafe` of this one is in `memory`, `packet`, `frame`, `abi`, `text` and `kernel`.

#![deny(unsafe_op_in_unsafe_fn)]

mod abi;
mod edges;
pub mod filter;
pub mod flow;
mod frame;
mod journal;
pub mod kernel;
pub mod memory;
mod node;
mod offload;
pub mod owner;
mod packet;
mod refusal;
mod setup;
mod sharded;
mod shortcut;
pub mod sync;
mod table;
mod table_setup;
pub mod testkit;
mod text;
pub mod units;
pub mod wire;
mod words;

pub use abi::{
    ABI, Call, Called, Host, Interfaces, Keeper, LAYOUT, Library, MAGIC, MINOR, NodeHost, NodeInstance, NodeKind, Outbox, Question,
    Running, SYMBOL, Simulated, TableHost, TableInstance, TableKind, TableTies, Tables, TypeKey, Wishes, WorkerTables, c_header,
    frozen, plugin, running,
};
pub use edges::{Branch, EdgeClass, EdgeInfo, Edges, MAX_EDGES, NamedEdges, layer, reserved};
pub use frame::{Emit, Frame, Held, Route, Verdict};
pub use journal::{Journal, JournalReader, Record, Records, journal};
pub use kernel::{EthRewrite, Ip4Class};
pub use memory::{Cache, Pool};
pub use node::{Info, NoConfig, Node};
pub use offload::{AddressSet, Copied, Denial, DenialSet, NO_EDGE, Offload, Parts, ROLES};
pub use owner::{Owner, Ownership};
#[cfg(debug_assertions)]
pub use packet::meta_accesses;
pub use packet::{
    Desc, HandoffGauge, HandoffReceiver, HandoffSender, INBOX, Lane, Mask, Meta, NO_INTERFACE, Nexts, Packet, Slot, SlotInfo,
    SlotName, VECTOR, Vector, handoff,
};
pub use setup::{ConfigError, Context, Handle, Interface, Setup};
pub use sharded::{Rows, SLICE, Sharded};
pub use shortcut::{Passed, Shortcut};
pub use table::{Figure, Table, TableInfo};
pub use table_setup::{Serves, TableRef, TableSetup};
pub use text::{List, Str};
pub use words::{Decided, Note, Words};

pub use {schemars, serde, serde_json, zerocopy};

/// What the file of a node begins with: `use swath_api::prelude::*;`.
pub mod prelude {
    pub use crate::edges;
    pub use crate::{
        Branch, ConfigError, Context, Decided, EdgeInfo, Edges, Emit, Figure, Frame, Handle, Held, Info, Ip4Class, Lane,
        NO_INTERFACE, NamedEdges, NoConfig, Node, Owner, Packet, Rows, Setup, Sharded, Slot, SlotName, Table, TableInfo,
        TableSetup, VECTOR, Verdict, Words, layer,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}
