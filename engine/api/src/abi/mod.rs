//! The one vtable that all nodes and tables go through, built in or from a plugin: `#[repr(C)]`, and nothing but C data and bytes
//! crosses it. Each entry catches panics on its own side.

mod instance;
mod interfaces;
mod node;
mod question;
mod table;
mod tables;

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;

use crate::frame::RawPool;
use crate::offload::Offload;
use crate::packet::SlotInfo;
use crate::setup::{ConfigError, TypeKey};

pub use instance::{Call, Called, Keeper, NodeInstance, Outbox};
pub use interfaces::Interfaces;
pub(crate) use interfaces::{Known, RawInterfaces};
pub use node::{NodeHost, NodeKind, Wishes};
pub use question::Question;
pub use table::{TableHost, TableInstance, TableKind, TableTies, WorkerTables};
pub(crate) use tables::RawTable;
pub use tables::Tables;

/// Borrowed bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Bytes {
    first: *const u8,
    len: usize,
}

impl Bytes {
    pub(super) fn new(bytes: &[u8]) -> Bytes {
        Bytes { first: bytes.as_ptr(), len: bytes.len() }
    }

    /// # Safety
    /// What it was made of must be alive during `'a`.
    pub(crate) unsafe fn as_slice<'a>(&self) -> &'a [u8] {
        // SAFETY: made of a slice in `new`, alive by the caller's contract.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}

/// Where a callee leaves bytes: an error's path and message, a schema, a reply.
#[repr(C)]
pub(super) struct Sink {
    to: *mut c_void,
    put: unsafe extern "C" fn(*mut c_void, Bytes, Bytes),
}

impl Sink {
    pub(super) fn put(&self, path: &str, message: &str) {
        // SAFETY: the host made both parts, for the time of the call.
        unsafe { (self.put)(self.to, Bytes::new(path.as_bytes()), Bytes::new(message.as_bytes())) };
    }

    pub(super) fn collect(to: &mut ConfigError) -> Sink {
        unsafe extern "C" fn put(to: *mut c_void, path: Bytes, message: Bytes) {
            // SAFETY: `to` is the ConfigError below, which outlives the call; the bytes are alive during it.
            unsafe {
                let text = |bytes: Bytes| String::from_utf8_lossy(bytes.as_slice()).into_owned();
                *to.cast::<ConfigError>() = ConfigError::at(text(path), text(message));
            }
        }
        Sink { to: (&raw mut *to).cast(), put }
    }
}

/// A slot with its place.
#[repr(C)]
pub(crate) struct RawSlot {
    pub info: SlotInfo,
    pub at: u16,
}

/// What a node finds when it is made; the last fields are its wishes.
#[repr(C)]
pub(crate) struct RawSetup {
    pub worker: u32,
    pub workers: u32,
    pub interfaces: RawInterfaces,
    pub tables: *const RawTable,
    pub table_count: usize,
    pub slots: *const RawSlot,
    pub slot_count: usize,
    /// Texts: the names of the named edges.
    pub edges: *const Bytes,
    pub edge_count: usize,
    pub pool: RawPool,
    pub receive: u16,
    pub tick_every: u64,
    pub any_worker: bool,
    pub offload: Offload,
    /// One for each table, and one for each interface: set where the node has found it.
    pub found_tables: *mut bool,
    pub found_interfaces: *mut bool,
}

/// A table as one worker sees it.
#[repr(C)]
pub(crate) struct RawEntry {
    pub key: TypeKey,
    /// Both are null, and the key that of no type, where nothing is.
    pub shared: *const c_void,
    pub shard: *mut c_void,
}

impl RawEntry {
    pub(crate) const VACANT: RawEntry = RawEntry { key: TypeKey::NONE, shared: std::ptr::null(), shard: std::ptr::null_mut() };
}

/// What a node finds when it is called.
#[repr(C)]
pub(crate) struct RawContext {
    pub now: u64,
    pub tables: *const RawEntry,
    pub table_count: u32,
}

/// What an entry answers when all went well.
pub(super) const DONE: i32 = 0;
/// What an entry answers when it panicked, or refused.
pub(super) const PANICKED: i32 = 1;

/// The JSON Schema of settings.
pub(super) extern "C" fn schema<C: schemars::JsonSchema>(sink: &Sink) {
    let made = catch_unwind(|| serde_json::to_string(&schemars::schema_for!(C)));
    match made {
        Ok(Ok(text)) => sink.put("", &text),
        Ok(Err(_)) => (),
        Err(payload) => discard(payload),
    }
}

/// Settings from JSON, with the path of what is wrong.
pub(super) fn settings<C: DeserializeOwned>(bytes: &[u8]) -> Result<C, ConfigError> {
    // To keep the path makes reading half as slow again. Who reads a million routes that are right does not pay for it.
    let read = std::str::from_utf8(bytes).ok().and_then(|text| serde_json::from_str(text).ok());
    read.map_or_else(|| settings_with_path(bytes), Ok)
}

fn settings_with_path<C: DeserializeOwned>(bytes: &[u8]) -> Result<C, ConfigError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let read = C::deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let read = read.and_then(|settings| json.end().map(|()| settings));
    read.map_err(|error| {
        let path = track.path().to_string();
        // serde_json adds a place in the JSON, which nobody has seen.
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        ConfigError::at(if path == "." { String::new() } else { path }, message)
    })
}

/// Whether these are settings of the type, whatever they say.
pub(super) unsafe extern "C" fn check<C: DeserializeOwned>(config: Bytes, error: &Sink) -> i32 {
    let checked = contain(|| {
        // SAFETY: the host's bytes are good during this call.
        settings::<C>(unsafe { config.as_slice() }).map(drop)
    });
    match checked {
        Ok(()) => DONE,
        Err(refusal) => {
            error.put(refusal.path(), refusal.message());
            PANICKED
        }
    }
}

/// Runs what may refuse, and may panic.
pub(super) fn contain<R>(f: impl FnOnce() -> Result<R, ConfigError>) -> Result<R, ConfigError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
        discard(payload);
        Err(ConfigError::new(format!("this kind has a defect: it panicked ({text})")))
    })
}

/// A made instance as the host keeps it; null, and the reason told, for a refusal.
pub(super) fn into_raw<R>(made: Result<R, ConfigError>, error: &Sink) -> *mut c_void {
    match made {
        Ok(made) => Box::into_raw(Box::new(made)).cast(),
        Err(refusal) => {
            error.put(refusal.path(), refusal.message());
            std::ptr::null_mut()
        }
    }
}

/// The code for what came of a call.
pub(super) fn outcome(done: std::thread::Result<()>) -> i32 {
    match done {
        Ok(()) => DONE,
        Err(payload) => {
            discard(payload);
            PANICKED
        }
    }
}

/// A panic's payload may panic when it is dropped; what comes out of that is forgotten.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}
