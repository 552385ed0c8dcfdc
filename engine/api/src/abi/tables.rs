//! The tables of a graph as those are told of them that are made later: nodes, and other tables.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Arc;

use super::TableInstance;
use super::raw::{Bytes, RawTable, TypeKey};

/// The kind of what is not there: no kind has it, and it is not an unknown one.
const VACANT: &str = "-";

impl RawTable {
    fn unmade(name: &str, kind: &str) -> RawTable {
        RawTable {
            name: Bytes::new(name.as_bytes()),
            kind: Bytes::new(kind.as_bytes()),
            key: TypeKey::NONE,
            shared: std::ptr::null(),
            instance: std::ptr::null(),
            retain: None,
            release: None,
        }
    }

    /// As it is told of to others, while the table is alive.
    pub(super) fn of(table: &Arc<TableInstance>) -> RawTable {
        unsafe extern "C" fn retain(instance: *const c_void) {
            // SAFETY: `instance` is from `Arc::as_ptr` of an instance that is alive: the caller has seen it in a setup, or holds a count.
            unsafe { Arc::increment_strong_count(instance.cast::<TableInstance>()) };
        }
        unsafe extern "C" fn release(instance: *const c_void) {
            // SAFETY: as in `retain`, and the caller gives its count up.
            unsafe { Arc::decrement_strong_count(instance.cast::<TableInstance>()) };
        }
        RawTable {
            name: Bytes::new(table.name().as_bytes()),
            kind: Bytes::new(table.info().kind.as_str().as_bytes()),
            key: table.key(),
            shared: table.shared(),
            instance: Arc::as_ptr(table).cast(),
            retain: Some(retain),
            release: Some(release),
        }
    }

    /// In the place of one that there is not.
    pub(super) fn none() -> RawTable {
        RawTable::unmade("", VACANT)
    }

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
    instances: Vec<Option<Arc<TableInstance>>>,
    // What `raw` points to for those that were refused.
    _refused: Vec<(Box<str>, Box<str>)>,
}

impl Tables {
    /// None yet.
    pub fn new() -> Tables {
        Tables::default()
    }

    /// So many places, all vacant.
    pub fn vacant(places: usize) -> Tables {
        let mut tables = Tables::new();
        tables.grow(places);
        tables
    }

    /// Adds one that was made.
    pub fn push(&mut self, table: Arc<TableInstance>) {
        self.put(self.raw.len(), table);
    }

    /// Puts one that was made at a place.
    pub fn put(&mut self, place: usize, table: Arc<TableInstance>) {
        self.grow(place + 1);
        self.raw[place] = RawTable::of(&table);
        self.instances[place] = Some(table);
    }

    /// Adds one that could not be made, of a kind that may be unknown: who refers to it is not told that there is none.
    pub fn push_refused(&mut self, name: &str, kind: Option<&str>) {
        self.put_refused(self.raw.len(), name, kind);
    }

    /// As [`Tables::push_refused`], at a place.
    pub fn put_refused(&mut self, place: usize, name: &str, kind: Option<&str>) {
        self.grow(place + 1);
        let (name, kind) = (Box::<str>::from(name), Box::<str>::from(kind.unwrap_or_default()));
        self.raw[place] = RawTable::unmade(&name, &kind);
        self._refused.push((name, kind));
    }

    fn grow(&mut self, places: usize) {
        while self.raw.len() < places {
            self.raw.push(RawTable::unmade("", VACANT));
            self.used.push(Cell::new(false));
            self.instances.push(None);
        }
    }

    /// By place: those that were made.
    pub fn instances(&self) -> &[Option<Arc<TableInstance>>] {
        &self.instances
    }

    /// Whether a node that was made uses the table at this index.
    pub fn is_used(&self, index: usize) -> bool {
        self.used.get(index).is_some_and(Cell::get)
    }

    pub(super) fn raw(&self) -> &[RawTable] {
        &self.raw
    }

    /// Takes down that a node uses the tables at these places.
    pub fn mark_used(&self, indexes: &[u16]) {
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
