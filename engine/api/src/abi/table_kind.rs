//! Kinds of tables, as the engine knows them.

use std::ffi::c_void;
use std::sync::Arc;

use super::fault::{Running, within};
use super::library::Library;
use super::node::{Origin, check_by, schema_by};
use super::raw::{Bytes, RawTable, Sink, TypeKey};
use super::raw_table::{QuestionVTable, RawTableSetup};
use super::table_shims::TableShims;
use super::{Interfaces, TableInstance, Tables};
use crate::offload::Copied;
use crate::setup::ConfigError;
use crate::sharded::Sharded;
use crate::table::{Table, TableInfo};
use crate::table_setup::{BY_VIRTUAL_TIME, Serves};

type OnShard = unsafe extern "C" fn(*const c_void, *mut c_void) -> i32;
type Put = unsafe extern "C" fn(*const c_void, *const Sink);
type Save = unsafe extern "C" fn(*const c_void, *mut c_void, u64, *const Sink, *mut u64) -> i32;
type Restore = unsafe extern "C" fn(*const c_void, *mut c_void, u32, Bytes, *const Sink) -> i32;

/// The entries of a vtable, of which those are there that must be.
#[derive(Clone, Copy)]
pub(super) struct TableEntries {
    pub key: unsafe extern "C" fn() -> TypeKey,
    pub schema: Option<unsafe extern "C" fn(*const Sink)>,
    pub check: Option<unsafe extern "C" fn(Bytes, *const Sink) -> i32>,
    pub create: unsafe extern "C" fn(Bytes, *mut RawTableSetup, *const Sink) -> *mut c_void,
    pub shard: unsafe extern "C" fn(*const c_void, u32, *const Sink) -> *mut c_void,
    pub sync: Option<OnShard>,
    pub succeed: Option<unsafe extern "C" fn(*const c_void, *const c_void) -> i32>,
    pub adopt: Option<unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void) -> i32>,
    pub rest: Option<OnShard>,
    pub link: Option<unsafe extern "C" fn(*const c_void, u16, u32) -> i32>,
    pub command: unsafe extern "C" fn(*const c_void, Bytes, *const Sink, *const Sink) -> i32,
    pub figures: Option<Put>,
    pub state_file: Option<Put>,
    pub records: Option<unsafe extern "C" fn(*const c_void, usize, *const Sink)>,
    pub save: Option<Save>,
    pub restore: Option<Restore>,
    pub destroy_shard: unsafe extern "C" fn(*mut c_void),
    pub destroy: unsafe extern "C" fn(*mut c_void),
}

/// The entries of questions, all of which must be there.
#[derive(Clone, Copy)]
pub(super) struct QuestionEntries {
    pub read: unsafe extern "C" fn(Bytes, *const Sink) -> *mut c_void,
    pub visit: unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void) -> i32,
    pub collect: unsafe extern "C" fn(*mut c_void) -> i32,
    pub answer: unsafe extern "C" fn(*const c_void, *const *mut c_void, usize, *const Sink, *const Sink) -> i32,
    pub destroy: unsafe extern "C" fn(*mut c_void),
}

impl QuestionEntries {
    /// Those of a vtable; `None` if one is missing.
    pub const fn of(vtable: &QuestionVTable) -> Option<QuestionEntries> {
        match (vtable.read, vtable.visit, vtable.collect, vtable.answer, vtable.destroy) {
            (Some(read), Some(visit), Some(collect), Some(answer), Some(destroy)) => {
                Some(QuestionEntries { read, visit, collect, answer, destroy })
            }
            _ => None,
        }
    }
}

type Follow = unsafe fn(*const c_void, u16, Copied);

/// A kind as the engine knows it: its own words in Rust, and its entries.
pub(super) struct TableParts {
    pub info: TableInfo,
    pub state_version: u32,
    pub entries: TableEntries,
    pub questions: Option<&'static QuestionEntries>,
    pub origin: Origin<Follow>,
}

/// A kind of table, as the registry lists it.
#[derive(Clone, Copy)]
pub struct TableKind(&'static TableParts);

impl TableKind {
    /// The kind that a type implements.
    pub const fn of<T: Table>() -> TableKind {
        TableKind(&TableShims::<T>::PARTS)
    }

    /// As [`TableKind::of`], for a type that answers questions to its shards.
    pub const fn sharded<T: Sharded>() -> TableKind {
        TableKind(&TableShims::<T>::SHARDED_PARTS)
    }

    /// Of what a library exports, which was checked.
    pub(super) fn from_parts(parts: &'static TableParts) -> TableKind {
        TableKind(parts)
    }

    pub(super) fn parts(self) -> &'static TableParts {
        self.0
    }

    /// The library that its code is in, if that is not the program itself.
    pub fn library(&self) -> Option<&'static Library> {
        match self.0.origin {
            Origin::BuiltIn { .. } => None,
            Origin::Library(library) => Some(library),
        }
    }

    pub(super) fn key(&self) -> TypeKey {
        // SAFETY: it takes nothing, and is there for as long as its library: for ever.
        unsafe { (self.0.entries.key)() }
    }

    /// Whether a table of this kind can go on with the state of one of another build of it, which it reads as that has written it.
    pub fn converts(&self, old: &TableKind) -> bool {
        let saves = old.0.state_version != 0 && old.0.entries.save.is_some();
        self.info().kind == old.info().kind && saves && self.0.state_version != 0 && self.0.entries.restore.is_some()
    }

    /// What it says of itself.
    pub fn info(&self) -> &'static TableInfo {
        &self.0.info
    }

    /// Whether tables of both are of one type of one build: one can take over the state of the other.
    pub fn is_same(&self, other: &TableKind) -> bool {
        self.key() == other.key()
    }

    /// The JSON Schema of its settings.
    pub fn schema(&self) -> String {
        schema_by(self.0.entries.schema)
    }

    /// Whether settings, as JSON, have the form that the kind wants. What they mean is looked at by [`TableKind::create`] alone.
    ///
    /// # Errors
    /// The first mistake in them.
    pub fn check(&self, config: &[u8]) -> Result<(), ConfigError> {
        check_by(self.0.entries.check, config)
    }

    /// Makes a table. `config` is its settings as JSON.
    ///
    /// # Errors
    /// What the kind says is wrong with the settings.
    pub fn create(&self, config: &[u8], host: &TableHost<'_>) -> Result<(Arc<TableInstance>, TableTies), ConfigError> {
        let tables = host.tables.raw();
        let mut used = vec![0_u8; tables.len()];
        let mut bound = Bound { interfaces: host.interfaces.list().len(), serves: None, warnings: Vec::new() };
        let mut setup = RawTableSetup {
            size: size_of::<RawTableSetup>() as u32,
            workers: host.workers,
            siblings: u32::try_from(host.siblings).unwrap_or(u32::MAX),
            in_use: match (host.in_use, host.virtual_time) {
                (false, _) => 0,
                (true, false) => 1,
                (true, true) => BY_VIRTUAL_TIME,
            },
            name: Bytes::new(host.name.as_bytes()),
            kind: Bytes::new(self.info().kind.as_str().as_bytes()),
            interfaces: host.interfaces.raw(),
            tables: tables.as_ptr(),
            table_count: tables.len(),
            used: used.as_mut_ptr(),
            old: host.old.filter(|old| old.key() == self.key()).map_or_else(RawTable::none, RawTable::of),
            to: (&raw mut bound).cast(),
            serves: Some(Bound::serves),
            warn: Some(Bound::warn),
        };
        let mut error = ConfigError::new("");
        let place = self.library().map(|library| {
            Box::new(Running { class: "table", name: host.name.into(), kind: self.info().kind.as_str(), library: library.file() })
        });
        let (config, sink) = (Bytes::new(config), Sink::collect(&mut error));
        // SAFETY: everything that the setup points to is alive during the call.
        let shared = within(&place, || unsafe { (self.0.entries.create)(config, &raw mut setup, &raw const sink) });
        if shared.is_null() {
            return Err(error);
        }
        let tables = used.iter().enumerate().filter(|(_, used)| **used != 0).map(|(index, _)| index).collect();
        let table = Arc::new(TableInstance::new(*self, host.name.into(), shared, place));
        Ok((table, TableTies { tables, serves: bound.serves, warnings: bound.warnings }))
    }
}

/// What a table says while it is made.
struct Bound {
    interfaces: usize,
    serves: Option<Serves>,
    warnings: Vec<ConfigError>,
}

impl Bound {
    unsafe extern "C" fn serves(to: *mut c_void, path: Bytes, interfaces: *const u16, count: usize, by_address: u32) {
        // SAFETY: `to` is the `Bound` of the setup, which is alive; the caller's arguments are good during this call.
        unsafe {
            let bound = &mut *to.cast::<Bound>();
            let path = String::from_utf8_lossy(path.as_slice()).into_owned();
            let interfaces = if count == 0 { &[] } else { std::slice::from_raw_parts(interfaces, count) };
            let known = interfaces.iter().copied().filter(|index| usize::from(*index) < bound.interfaces);
            bound.serves = Some(Serves { path, interfaces: known.collect(), by_address: by_address != 0 });
        }
    }

    unsafe extern "C" fn warn(to: *mut c_void, path: Bytes, message: Bytes) {
        // SAFETY: as in `serves`.
        unsafe {
            let text = |bytes: Bytes| String::from_utf8_lossy(bytes.as_slice()).into_owned();
            (*to.cast::<Bound>()).warnings.push(ConfigError::at(text(path), text(message)));
        }
    }
}

impl std::fmt::Debug for TableKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableKind({})", self.info().kind)
    }
}

/// What a table is made with.
#[derive(Debug)]
pub struct TableHost<'a> {
    /// Its name.
    pub name: &'a str,
    /// All interfaces, by index.
    pub interfaces: &'a Interfaces,
    /// Those that it may refer to.
    pub tables: &'a Tables,
    /// How many tables of its kind the graph has, itself included.
    pub siblings: usize,
    /// How many workers there are.
    pub workers: u32,
    /// Whether it is made to be used, and not only to see whether it can be made.
    pub in_use: bool,
    /// Whether the engine goes by a virtual clock.
    pub virtual_time: bool,
    /// The table whose place it will take, if that is of its kind.
    pub old: Option<&'a Arc<TableInstance>>,
}

/// What a table has bound itself to while it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableTies {
    /// Indexes of the tables that it refers to.
    pub tables: Vec<usize>,
    /// The interfaces that it serves, if it is of a kind that serves interfaces.
    pub serves: Option<Serves>,
    /// What it finds allowed and hardly meant in its settings.
    pub warnings: Vec<ConfigError>,
}
