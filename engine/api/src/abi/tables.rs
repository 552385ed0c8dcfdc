//! The tables of a graph as those are told of them that are made later: nodes, and other tables.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Arc;

use super::{Bytes, TableInstance};
use crate::setup::TypeKey;

/// What a table is to the nodes and tables that are made after it.
#[repr(C)]
pub(crate) struct RawTable {
    pub name: Bytes,
    /// Its kind; empty if nobody knows it.
    pub kind: Bytes,
    pub key: TypeKey,
    /// Null for a table that was refused.
    pub shared: *const c_void,
    /// By [`Arc::as_ptr`] from an `Arc<TableInstance>` of the library that `key` names.
    pub instance: *const c_void,
}

impl RawTable {
    pub(crate) fn name(&self) -> &str {
        // SAFETY: the name is that of a table instance or of an entry in `Tables`, which outlive this description of it.
        std::str::from_utf8(unsafe { self.name.as_slice() }).unwrap_or_default()
    }

    pub(crate) fn is_named(&self, name: &str) -> bool {
        // SAFETY: as in `name`.
        unsafe { self.name.as_slice() == name.as_bytes() }
    }

    pub(crate) fn kind(&self) -> &str {
        // SAFETY: as in `name`.
        std::str::from_utf8(unsafe { self.kind.as_slice() }).unwrap_or_default()
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.shared.is_null()
    }
}

/// All tables of a graph, by index: made, or refused. A graph with refused ones does not run, but what refers to them can be made to see
/// what else is wrong.
#[derive(Default)]
pub struct Tables {
    raw: Vec<RawTable>,
    used: Vec<Cell<bool>>,
    instances: Vec<Arc<TableInstance>>,
    // What `raw` points to for those that were refused.
    _refused: Vec<(Box<str>, Box<str>)>,
}

impl Tables {
    /// None yet.
    pub fn new() -> Tables {
        Tables::default()
    }

    /// Adds one that was made.
    pub fn push(&mut self, table: Arc<TableInstance>) {
        self.raw.push(RawTable {
            name: Bytes::new(table.name().as_bytes()),
            kind: Bytes::new(table.info().kind.as_str().as_bytes()),
            key: table.key(),
            shared: table.shared(),
            instance: Arc::as_ptr(&table).cast(),
        });
        self.used.push(Cell::new(false));
        self.instances.push(table);
    }

    /// Adds one that could not be made, of a kind that may be unknown: who refers to it is not told that there is none.
    pub fn push_refused(&mut self, name: &str, kind: Option<&str>) {
        let (name, kind) = (Box::<str>::from(name), Box::<str>::from(kind.unwrap_or_default()));
        self.raw.push(RawTable {
            name: Bytes::new(name.as_bytes()),
            kind: Bytes::new(kind.as_bytes()),
            key: TypeKey::NONE,
            shared: std::ptr::null(),
            instance: std::ptr::null(),
        });
        self.used.push(Cell::new(false));
        self._refused.push((name, kind));
    }

    /// Those that were made, in order: by index, if none was refused.
    pub fn instances(&self) -> &[Arc<TableInstance>] {
        &self.instances
    }

    /// Whether a node that was made uses the table at this index.
    pub fn is_used(&self, index: usize) -> bool {
        self.used.get(index).is_some_and(Cell::get)
    }

    pub(super) fn raw(&self) -> &[RawTable] {
        &self.raw
    }

    pub(super) fn mark_used(&self, indexes: &[u16]) {
        indexes.iter().filter_map(|index| self.used.get(usize::from(*index))).for_each(|used| used.set(true));
    }
}

impl FromIterator<Arc<TableInstance>> for Tables {
    fn from_iter<I: IntoIterator<Item = Arc<TableInstance>>>(tables: I) -> Tables {
        let mut all = Tables::new();
        tables.into_iter().for_each(|table| all.push(table));
        all
    }
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.raw.iter().map(RawTable::name)).finish()
    }
}
