//! What the author of a plugin needs to export it, and to say something to whoever runs it.
//!
//! ```
//! use swath_api::prelude::*;
//!
//! pub struct Pass;
//!
//! edges! {
//!     pub enum Next {
//!         /// All packets.
//!         Ok = required("ok", layer::SAME),
//!     }
//! }
//!
//! impl Node for Pass {
//!     const INFO: Info = Info::new("pass", "Passes packets on.");
//!     type Config = NoConfig;
//!     type Next = Next;
//!
//!     fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Pass, ConfigError> {
//!         Ok(Pass)
//!     }
//!
//!     fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
//!         frame.all(Next::Ok);
//!     }
//! }
//!
//! swath_api::export_nodes!(Pass);
//! # fn main() {}
//! ```

use std::ffi::c_void;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::library::{ABI, Host, LAYOUT, Library, MAGIC, MINOR, RawHost, RawLibrary};
use super::node::NodeShims;
use super::raw::{Bytes, NodeVTable};
use super::raw_table::TableVTable;
use super::table_shims::TableShims;
use super::{DONE, PANICKED};
use crate::node::Node;
use crate::sharded::Sharded;
use crate::table::Table;

/// Exports kinds of nodes and tables from a `cdylib`. Beside the types of nodes it takes those of tables:
/// `export_nodes!(nodes: [Counted], tables: [Counts], sharded: [Flows])`, the latter of which answer questions to their shards
/// ([`Sharded`]).
#[macro_export]
macro_rules! export_nodes {
    (nodes: [$($node:ty),* $(,)?] $(, tables: [$($table:ty),* $(,)?])? $(, sharded: [$($sharded:ty),* $(,)?])? $(,)?) => {
        #[cfg(not(panic = "unwind"))]
        compile_error!("a plugin is built with `panic = \"unwind\"`: otherwise a panic in it ends the engine");

        #[allow(unsafe_code)]
        const _: () = {
            const NODES: &[$crate::plugin::NodeEntry] = &[$($crate::plugin::NodeEntry::of::<$node>()),*];
            const TABLES: &[$crate::plugin::TableEntry] = &[
                $($($crate::plugin::TableEntry::of::<$table>(),)*)?
                $($($crate::plugin::TableEntry::sharded::<$sharded>(),)*)?
            ];
            #[unsafe(no_mangle)]
            pub static SWATH_PLUGIN: $crate::plugin::Export =
                $crate::plugin::Export::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), NODES, TABLES);
        };
    };
    ($($node:ty),+ $(,)?) => {
        $crate::export_nodes!(nodes: [$($node),+]);
    };
}

/// A kind of node, for [`export_nodes!`](crate::export_nodes).
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct NodeEntry(&'static NodeVTable);

impl NodeEntry {
    /// The kind that a type implements.
    pub const fn of<T: Node>() -> NodeEntry {
        NodeEntry(&NodeShims::<T>::VTABLE)
    }
}

/// A kind of table, for [`export_nodes!`](crate::export_nodes).
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct TableEntry(&'static TableVTable);

impl TableEntry {
    /// The kind that a type implements.
    pub const fn of<T: Table>() -> TableEntry {
        TableEntry(&TableShims::<T>::VTABLE)
    }

    /// As [`TableEntry::of`], for a type that answers questions to its shards.
    pub const fn sharded<T: Sharded>() -> TableEntry {
        TableEntry(&TableShims::<T>::SHARDED)
    }
}

/// What [`export_nodes!`](crate::export_nodes) exports.
#[repr(transparent)]
pub struct Export(RawLibrary);

// SAFETY: what it points to is constant data.
unsafe impl Sync for Export {}

impl Export {
    /// All that the engine has to know of a library.
    ///
    /// # Panics
    /// If the name or the version is too long: when it is compiled.
    pub const fn new(name: &str, version: &str, nodes: &'static [NodeEntry], tables: &'static [TableEntry]) -> Export {
        Export(RawLibrary {
            magic: MAGIC,
            abi: ABI,
            minor: MINOR,
            layout: LAYOUT,
            size: size_of::<RawLibrary>() as u32,
            reserved: 0,
            name: padded(name),
            version: padded(version),
            built_with: padded(concat!("swath-api ", env!("CARGO_PKG_VERSION"))),
            nodes: nodes.as_ptr().cast(),
            node_count: nodes.len(),
            tables: tables.as_ptr().cast(),
            table_count: tables.len(),
            start: Some(start),
        })
    }

    /// What the engine makes of it, as of a library that was opened from `file`: for kinds that are in the program itself, and are to be measured or
    /// tested as if they were not.
    ///
    /// # Errors
    /// As of a library.
    pub fn open(&'static self, file: &str, host: Host) -> Result<&'static Library, String> {
        // SAFETY: it is what a library exports, and stays as long as the program.
        unsafe { Library::of(self.address(), file, host) }
    }

    /// Its address, for who tests it without a file.
    #[doc(hidden)]
    pub fn address(&self) -> *const c_void {
        (&raw const self.0).cast()
    }
}

const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let (mut padded, bytes) = ([0; N], text.as_bytes());
    assert!(bytes.len() < N, "the name or the version of the package is too long");
    let mut at = 0;
    while at < bytes.len() {
        padded[at] = bytes[at];
        at += 1;
    }
    padded
}

/// Who runs this library; null in who is not one.
static HOST: AtomicPtr<RawHost> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn start(host: *const RawHost) -> i32 {
    if HOST.swap(host.cast_mut(), Ordering::AcqRel).is_null() {
        let hooked = std::panic::catch_unwind(|| std::panic::set_hook(Box::new(tell)));
        return if hooked.is_ok() { DONE } else { PANICKED };
    }
    DONE
}

/// A library has a panic hook of its own, whose words are the engine's to say.
fn tell(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map_or(String::new(), |place| format!(" at {place}"));
    log(Level::Error, &format!("panicked{place}: {text}"));
}

/// How urgent something is that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something does not work.
    Error = 1,
    /// Something may not be as it was meant.
    Warning = 2,
    /// Something that is good to know.
    Information = 3,
}

/// Has the engine log something. Not for [`Node::process`] and what else runs on a worker. Without an engine, as in a test, it goes to standard
/// error.
pub fn log(level: Level, text: &str) {
    // SAFETY: it is null, or what the engine has handed to `start`, which stays for ever.
    match unsafe { HOST.load(Ordering::Acquire).as_ref() } {
        // SAFETY: the host's function takes its own first argument, and text that is good during the call.
        Some(RawHost { to, log: Some(log), .. }) => unsafe { log(*to, level as u32, Bytes::new(text.as_bytes())) },
        _ => eprintln!("{text}"),
    }
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Export({} kinds of nodes, {} of tables)", self.0.node_count, self.0.table_count)
    }
}
impl std::fmt::Debug for NodeEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeEntry")
    }
}
impl std::fmt::Debug for TableEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TableEntry")
    }
}
