//! The one vtable that all nodes and tables go through, built in or from a plugin: `#[repr(C)]`, and nothing but C data and bytes
//! crosses it. Each entry catches panics on its own side.
//!
//! `raw` and `raw_table` have the structures; `header` writes them in C. The rest is both sides of them: what calls the author's code
//! (`Shims`), and what the engine calls. `library` is what a library exports, and `plugin` what its author needs to export it.

mod convert;
mod examine;
mod fault;
mod header;
mod instance;
mod interfaces;
mod layout;
mod library;
mod node;
pub mod plugin;
mod question;
mod raw;
mod raw_table;
mod sinks;
mod table;
mod table_kind;
mod table_shims;
mod tables;
mod worker_tables;

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;

use crate::setup::ConfigError;

pub use fault::{Running, running};
pub use header::{c_header, frozen};
pub use instance::{Call, Called, Keeper, NodeInstance, Outbox, Simulated};
pub use interfaces::Interfaces;
pub(crate) use interfaces::Known;
pub use library::{ABI, Host, LAYOUT, Library, MAGIC, MINOR, SYMBOL};
pub use node::{NodeHost, NodeKind, Wishes};
pub use question::Question;
use raw::Sink;
pub use raw::TypeKey;
pub(crate) use raw::{Bytes, RawContext, RawFrame, RawOutbox, RawPool, RawSetup, RawTable, RawWords};
pub(crate) use raw_table::RawTableSetup;
pub use table::TableInstance;
pub use table_kind::{TableHost, TableKind, TableTies};
pub use tables::Tables;
pub use worker_tables::WorkerTables;

/// What an entry answers when all went well.
pub(super) const DONE: i32 = 0;
/// What an entry answers when it panicked, or refused.
pub(super) const PANICKED: i32 = 1;
/// What `simulate` answers if the node cannot say.
pub(super) const NOT_SIMULATED: i32 = -1;

/// The JSON Schema of settings.
pub(super) unsafe extern "C" fn schema<C: schemars::JsonSchema>(sink: *const Sink) {
    // SAFETY: the host's sink is good during this call.
    let sink = unsafe { &*sink };
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
pub(super) unsafe extern "C" fn check<C: DeserializeOwned>(config: Bytes, error: *const Sink) -> i32 {
    // SAFETY: the host's sink is good during this call.
    let error = unsafe { &*error };
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
