//! The shared part of a table, as the engine calls it.

use std::ffi::c_void;

use super::DONE;
use super::convert::Bound;
use super::fault::{Running, within};
use super::node::Origin;
use super::raw::{Bytes, Sink, TypeKey};
use super::table_kind::{QuestionEntries, TableEntries, TableKind};
use crate::journal::Records;
use crate::offload::Copied;
use crate::setup::ConfigError;
use crate::table::{Figure, TableInfo};

/// The shared part of a table.
pub struct TableInstance {
    kind: TableKind,
    name: Box<str>,
    shared: *mut c_void,
    // Of a library's kind: what is said if the process dies in it.
    place: Option<Box<Running>>,
}

// SAFETY: the shared part is a `T: Table`, and `Table: Send + Sync`.
unsafe impl Send for TableInstance {}
// SAFETY: as above.
unsafe impl Sync for TableInstance {}

impl TableInstance {
    /// Of what `create` of the kind has made.
    pub(super) fn new(kind: TableKind, name: Box<str>, shared: *mut c_void, place: Option<Box<Running>>) -> TableInstance {
        TableInstance { kind, name, shared, place }
    }

    pub(super) fn entries(&self) -> &'static TableEntries {
        &self.kind.parts().entries
    }

    /// Runs something of the kind's own.
    #[inline(always)]
    pub(super) fn within<R>(&self, call: impl FnOnce() -> R) -> R {
        within(&self.place, call)
    }

    /// Its kind.
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its kind says of itself.
    pub fn info(&self) -> &'static TableInfo {
        self.kind.info()
    }

    pub(crate) fn key(&self) -> TypeKey {
        self.kind.key()
    }

    pub(super) fn questions(&self) -> Option<&'static QuestionEntries> {
        self.kind.parts().questions
    }

    pub(crate) fn shared(&self) -> *const c_void {
        self.shared
    }

    /// Tells it that it takes the place of another table: of one of its kind and build, or else of one of another build whose state it can
    /// read. `false` if it is neither, or one of both failed.
    pub fn succeed(&self, old: &TableInstance) -> bool {
        if self.key() != old.key() {
            return self.kind.converts(&old.kind) && self.convert(std::ptr::null_mut(), old, std::ptr::null_mut());
        }
        let Some(succeed) = self.entries().succeed else { return true };
        // SAFETY: both shared parts are of the type that the key names, and alive.
        self.within(|| unsafe { succeed(self.shared, old.shared) } == DONE)
    }

    /// Takes over the state of a table of another build, piece by piece: what all share if there are no shards, or else that of a shard.
    pub(super) fn convert(&self, shard: *mut c_void, old: &TableInstance, before: *mut c_void) -> bool {
        let (Some(save), Some(restore)) = (old.entries().save, self.entries().restore) else { return false };
        let version = old.kind.parts().state_version;
        let bound = if shard.is_null() { Bound::CONTROL } else { Bound::WORKER };
        super::convert::all(
            bound,
            // SAFETY: the shared part and its shard, if there is one, are of the kind that saves; sink and number are good during the call.
            |at, sink, next| old.within(|| unsafe { save(old.shared, before, at, sink, next) }),
            // SAFETY: likewise of the kind that restores; bytes and sink are good during the call.
            |piece, sink| self.within(|| unsafe { restore(self.shared, shard, version, Bytes::new(piece), sink) }),
        )
    }

    /// Tells it that packets can no longer leave by an interface, or can again.
    pub fn link(&self, interface: u16, up: bool) {
        let Some(link) = self.entries().link else { return };
        // SAFETY: the shared part is of this vtable and alive. A panic leaves the table as it is.
        self.within(|| unsafe { link(self.shared, interface, up.into()) });
    }

    /// Has the driver of an interface keep a copy of what is in it.
    pub fn follow(&self, interface: u16, copy: Copied) {
        let Origin::BuiltIn { own } = self.kind.parts().origin else { return };
        // SAFETY: the shared part is of this vtable and alive. A panic leaves the table as it is.
        unsafe { own(self.shared, interface, copy) };
    }

    /// Carries a command out: JSON in, JSON out.
    ///
    /// # Errors
    /// Why the table refused; nothing has changed then.
    pub fn command(&self, command: &str) -> Result<String, ConfigError> {
        let (mut reply, mut error) = (ConfigError::new(""), ConfigError::new(""));
        let (reply_sink, error_sink) = (Sink::collect(&mut reply), Sink::collect(&mut error));
        // SAFETY: the shared part is of this vtable and alive.
        let code = self.within(|| unsafe {
            (self.entries().command)(self.shared, Bytes::new(command.as_bytes()), &raw const reply_sink, &raw const error_sink)
        });
        if code == DONE { Ok(reply.message().to_string()) } else { Err(error) }
    }

    /// What there is to see of it in numbers; nothing if it panicked.
    pub fn figures(&self) -> Vec<Figure> {
        let mut json = ConfigError::new("");
        let sink = Sink::collect(&mut json);
        if let Some(figures) = self.entries().figures {
            // SAFETY: the shared part is of this vtable and alive; the sink is good during the call.
            self.within(|| unsafe { figures(self.shared, &raw const sink) });
        }
        serde_json::from_str(json.message()).unwrap_or_default()
    }
}

impl TableInstance {
    /// The file that what it knows is kept in while no engine runs.
    pub fn state_file(&self) -> Option<String> {
        let mut file = ConfigError::new("");
        let sink = Sink::collect(&mut file);
        if let Some(state_file) = self.entries().state_file {
            // SAFETY: the shared part is of this vtable and alive; the sink is good during the call.
            self.within(|| unsafe { state_file(self.shared, &raw const sink) });
        }
        Some(file.message().to_string()).filter(|file| !file.is_empty())
    }

    /// What it has to tell for good since this was last asked, `max` records at most; `None` if there is nothing.
    pub fn records(&self, max: usize) -> Option<Records> {
        let mut json = ConfigError::new("");
        let sink = Sink::collect(&mut json);
        if let Some(records) = self.entries().records {
            // SAFETY: the shared part is of this vtable and alive; the sink is good during the call.
            self.within(|| unsafe { records(self.shared, max, &raw const sink) });
        }
        serde_json::from_str(json.message()).ok()
    }
}

impl Drop for TableInstance {
    fn drop(&mut self) {
        // SAFETY: the shared part is of this vtable, and dropped once.
        self.within(|| unsafe { (self.entries().destroy)(self.shared) });
    }
}

impl std::fmt::Debug for TableInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableInstance({}, {})", self.name, self.info().kind)
    }
}
