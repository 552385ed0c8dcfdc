//! Kinds of tables and their instances, on both sides of the vtable.

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::question::{QuestionShims, QuestionVTable};
use super::{
    Bytes, DONE, Interfaces, PANICKED, RawContext, RawEntry, Sink, Tables, check, contain, into_raw, outcome, schema, settings,
};
use crate::journal::Records;
use crate::offload::Copied;
use crate::setup::{ConfigError, TypeKey};
use crate::sharded::Sharded;
use crate::table::{Figure, Table, TableInfo};
use crate::table_setup::{Serves, TableSetup};

#[repr(C)]
struct TableVTable {
    info: TableInfo,
    key: extern "C" fn() -> TypeKey,
    schema: extern "C" fn(&Sink),
    check: unsafe extern "C" fn(Bytes, &Sink) -> i32,
    create: unsafe extern "C" fn(Bytes, *mut c_void, &Sink) -> *mut c_void,
    shard: unsafe extern "C" fn(*const c_void, u32, &Sink) -> *mut c_void,
    sync: unsafe extern "C" fn(*const c_void, *mut c_void) -> i32,
    succeed: unsafe extern "C" fn(*const c_void, *const c_void) -> i32,
    adopt: unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void) -> i32,
    rest: unsafe extern "C" fn(*const c_void, *mut c_void) -> i32,
    link: unsafe extern "C" fn(*const c_void, u16, bool) -> i32,
    follow: unsafe extern "C" fn(*const c_void, u16, *mut c_void) -> i32,
    command: unsafe extern "C" fn(*const c_void, Bytes, &Sink, &Sink) -> i32,
    figures: unsafe extern "C" fn(*const c_void, &Sink),
    state_file: unsafe extern "C" fn(*const c_void, &Sink),
    records: unsafe extern "C" fn(*const c_void, usize, &Sink),
    destroy_shard: unsafe extern "C" fn(*mut c_void),
    destroy: unsafe extern "C" fn(*mut c_void),
    /// Null if the kind answers no questions to its shards.
    questions: Option<&'static QuestionVTable>,
}

struct TableShims<T>(std::marker::PhantomData<T>);

impl<T: Table> TableShims<T> {
    const VTABLE: TableVTable = TableVTable {
        info: T::INFO,
        key: Self::key,
        schema: schema::<T::Config>,
        check: check::<T::Config>,
        create: Self::create,
        shard: Self::shard,
        sync: Self::sync,
        succeed: Self::succeed,
        adopt: Self::adopt,
        rest: Self::rest,
        link: Self::link,
        follow: Self::follow,
        command: Self::command,
        figures: Self::figures,
        state_file: Self::state_file,
        records: Self::records,
        destroy_shard: Self::destroy_shard,
        destroy: Self::destroy,
        questions: None,
    };

    extern "C" fn key() -> TypeKey {
        TypeKey::of::<T>()
    }

    unsafe extern "C" fn create(config: Bytes, setup: *mut c_void, error: &Sink) -> *mut c_void {
        let made = contain(|| {
            // SAFETY: the host passes a `TableSetup` of this build and bytes that are good during this call.
            let (config, setup) = unsafe { (config.as_slice(), &mut *setup.cast::<TableSetup<'_>>()) };
            T::new(settings(config)?, setup)
        });
        into_raw(made, error)
    }

    unsafe extern "C" fn shard(table: *const c_void, worker: u32, error: &Sink) -> *mut c_void {
        // SAFETY: made by `create` of this vtable, and alive.
        into_raw(contain(|| Ok(unsafe { &*table.cast::<T>() }.shard(worker))), error)
    }

    unsafe extern "C" fn sync(table: *const c_void, shard: *mut c_void) -> i32 {
        // SAFETY: made by `create` and `shard` of this vtable; the shard is this thread's.
        let done = catch_unwind(AssertUnwindSafe(|| unsafe { (*table.cast::<T>()).sync(&mut *shard.cast::<T::Shard>()) }));
        outcome(done)
    }

    unsafe extern "C" fn succeed(table: *const c_void, old: *const c_void) -> i32 {
        // SAFETY: both were made by `create` of T (the host has compared the keys), and are alive.
        outcome(catch_unwind(AssertUnwindSafe(|| unsafe { (*table.cast::<T>()).succeed(&*old.cast::<T>()) })))
    }

    unsafe extern "C" fn adopt(table: *const c_void, shard: *mut c_void, old: *mut c_void) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: made by `create` and `shard` of T (the host has compared the keys); the shards are two, and this thread's.
            unsafe { (*table.cast::<T>()).adopt(&mut *shard.cast::<T::Shard>(), &mut *old.cast::<T::Shard>()) }
        }));
        outcome(done)
    }

    unsafe extern "C" fn rest(table: *const c_void, shard: *mut c_void) -> i32 {
        // SAFETY: as in `sync`.
        let done = catch_unwind(AssertUnwindSafe(|| unsafe { (*table.cast::<T>()).rest(&mut *shard.cast::<T::Shard>()) }));
        outcome(done)
    }

    unsafe extern "C" fn link(table: *const c_void, interface: u16, up: bool) -> i32 {
        // SAFETY: made by `create` of this vtable, and alive.
        outcome(catch_unwind(AssertUnwindSafe(|| unsafe { &*table.cast::<T>() }.link(interface, up))))
    }

    unsafe extern "C" fn follow(table: *const c_void, interface: u16, copy: *mut c_void) -> i32 {
        // SAFETY: the host passes a copy of this build, which is ours from here on; the table as in `link`.
        let (table, copy) = unsafe { (&*table.cast::<T>(), Box::from_raw(copy.cast::<Copied>())) };
        outcome(catch_unwind(AssertUnwindSafe(|| table.follow(interface, *copy))))
    }

    unsafe extern "C" fn command(table: *const c_void, command: Bytes, reply: &Sink, error: &Sink) -> i32 {
        let answer = contain(|| {
            // SAFETY: as in `shard`; the bytes are good during this call.
            let (table, command) = unsafe { (&*table.cast::<T>(), command.as_slice()) };
            let answer = table.command(settings(command)?)?;
            serde_json::to_string(&answer).map_err(|error| ConfigError::new(error.to_string()))
        });
        match answer {
            Ok(answer) => {
                reply.put("", &answer);
                DONE
            }
            Err(refusal) => {
                error.put(refusal.path(), refusal.message());
                PANICKED
            }
        }
    }

    unsafe extern "C" fn figures(table: *const c_void, sink: &Sink) {
        // SAFETY: as in `shard`.
        let figures = contain(|| Ok(unsafe { &*table.cast::<T>() }.figures()));
        if let Some(json) = figures.ok().and_then(|figures| serde_json::to_string(&figures).ok()) {
            sink.put("", &json);
        }
    }

    unsafe extern "C" fn state_file(table: *const c_void, sink: &Sink) {
        // SAFETY: as in `shard`.
        let file = contain(|| Ok(unsafe { &*table.cast::<T>() }.state_file().map(String::from)));
        if let Ok(Some(file)) = file {
            sink.put("", &file);
        }
    }

    unsafe extern "C" fn records(table: *const c_void, max: usize, sink: &Sink) {
        // SAFETY: as in `shard`.
        let records = contain(|| Ok(unsafe { &*table.cast::<T>() }.records(max)));
        // Most have none, ever.
        let told = records.ok().filter(|records| !records.records.is_empty() || records.lost > 0 || records.file.is_some());
        if let Some(json) = told.and_then(|records| serde_json::to_string(&records).ok()) {
            sink.put("", &json);
        }
    }

    unsafe extern "C" fn destroy_shard(shard: *mut c_void) {
        // SAFETY: made by `shard` of this vtable, and destroyed once.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(shard.cast::<T::Shard>()) })));
        outcome(dropped);
    }

    unsafe extern "C" fn destroy(table: *mut c_void) {
        // SAFETY: made by `create` of this vtable, and destroyed once.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(table.cast::<T>()) })));
        outcome(dropped);
    }
}

impl<T: Sharded> TableShims<T> {
    const SHARDED: TableVTable = TableVTable { questions: Some(&QuestionShims::<T>::VTABLE), ..Self::VTABLE };
}

/// A kind of table, as the registry lists it.
#[derive(Clone, Copy)]
pub struct TableKind(&'static TableVTable);

impl TableKind {
    /// The kind that a type implements.
    pub const fn of<T: Table>() -> TableKind {
        TableKind(&TableShims::<T>::VTABLE)
    }

    /// As [`TableKind::of`], for a type that answers questions to its shards.
    pub const fn sharded<T: Sharded>() -> TableKind {
        TableKind(&TableShims::<T>::SHARDED)
    }

    /// What it says of itself.
    pub fn info(&self) -> &'static TableInfo {
        &self.0.info
    }

    /// Whether tables of both are of one type of one build: one can take over the state of the other.
    pub fn is_same(&self, other: &TableKind) -> bool {
        (self.0.key)() == (other.0.key)()
    }

    /// The JSON Schema of its settings.
    pub fn schema(&self) -> String {
        let mut text = ConfigError::new("");
        (self.0.schema)(&Sink::collect(&mut text));
        text.message().to_string()
    }

    /// Whether settings, as JSON, have the form that the kind wants. What they mean is looked at by [`TableKind::create`] alone.
    ///
    /// # Errors
    /// The first mistake in them.
    pub fn check(&self, config: &[u8]) -> Result<(), ConfigError> {
        let mut error = ConfigError::new("");
        // SAFETY: the bytes are alive during the call.
        let code = unsafe { (self.0.check)(Bytes::new(config), &Sink::collect(&mut error)) };
        if code == DONE { Ok(()) } else { Err(error) }
    }

    /// Makes a table. `config` is its settings as JSON.
    ///
    /// # Errors
    /// What the kind says is wrong with the settings.
    pub fn create(&self, config: &[u8], host: &TableHost<'_>) -> Result<(Arc<TableInstance>, TableTies), ConfigError> {
        let used: Vec<Cell<bool>> = host.tables.raw().iter().map(|_| Cell::new(false)).collect();
        let mut setup = TableSetup {
            name: host.name,
            interfaces: host.interfaces.known(),
            tables: host.tables.raw(),
            kind: self.info().kind.as_str(),
            siblings: host.siblings,
            workers: host.workers,
            in_use: host.in_use,
            used: &used,
            old: host.old,
            serves: None,
            warnings: Vec::new(),
        };
        let mut error = ConfigError::new("");
        // SAFETY: everything that the setup points to is alive during the call.
        let shared = unsafe { (self.0.create)(Bytes::new(config), (&raw mut setup).cast(), &Sink::collect(&mut error)) };
        if shared.is_null() {
            return Err(error);
        }
        let tables = used.iter().enumerate().filter(|(_, used)| used.get()).map(|(index, _)| index).collect();
        let table = Arc::new(TableInstance { vtable: self.0, name: host.name.into(), shared });
        Ok((table, TableTies { tables, serves: setup.serves, warnings: setup.warnings }))
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

/// The shared part of a table.
pub struct TableInstance {
    vtable: &'static TableVTable,
    name: Box<str>,
    shared: *mut c_void,
}

// SAFETY: the shared part is a `T: Table`, and `Table: Send + Sync`.
unsafe impl Send for TableInstance {}
// SAFETY: as above.
unsafe impl Sync for TableInstance {}

impl TableInstance {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its kind says of itself.
    pub fn info(&self) -> &'static TableInfo {
        &self.vtable.info
    }

    pub(crate) fn key(&self) -> TypeKey {
        (self.vtable.key)()
    }

    pub(super) fn questions(&self) -> Option<&'static QuestionVTable> {
        self.vtable.questions
    }

    pub(crate) fn shared(&self) -> *const c_void {
        self.shared
    }

    /// Tells it that it takes the place of another table, of its kind and build. `false` if it is not, or it panicked.
    pub fn succeed(&self, old: &TableInstance) -> bool {
        // SAFETY: both shared parts are of the type that the key names, and alive.
        self.key() == old.key() && unsafe { (self.vtable.succeed)(self.shared, old.shared) } == DONE
    }

    /// Tells it that packets can no longer leave by an interface, or can again.
    pub fn link(&self, interface: u16, up: bool) {
        // SAFETY: the shared part is of this vtable and alive. A panic leaves the table as it is.
        unsafe { (self.vtable.link)(self.shared, interface, up) };
    }

    /// Has the driver of an interface keep a copy of what is in it.
    pub fn follow(&self, interface: u16, copy: Copied) {
        let copy = Box::into_raw(Box::new(copy));
        // SAFETY: the shared part is of this vtable and alive; the copy is handed over. A panic leaves the table as it is.
        unsafe { (self.vtable.follow)(self.shared, interface, copy.cast()) };
    }

    /// Carries a command out: JSON in, JSON out.
    ///
    /// # Errors
    /// Why the table refused; nothing has changed then.
    pub fn command(&self, command: &str) -> Result<String, ConfigError> {
        let (mut reply, mut error) = (ConfigError::new(""), ConfigError::new(""));
        let (reply_sink, error_sink) = (Sink::collect(&mut reply), Sink::collect(&mut error));
        // SAFETY: the shared part is of this vtable and alive.
        let code = unsafe { (self.vtable.command)(self.shared, Bytes::new(command.as_bytes()), &reply_sink, &error_sink) };
        if code == DONE { Ok(reply.message().to_string()) } else { Err(error) }
    }

    /// What there is to see of it in numbers; nothing if it panicked.
    pub fn figures(&self) -> Vec<Figure> {
        let mut json = ConfigError::new("");
        // SAFETY: the shared part is of this vtable and alive.
        unsafe { (self.vtable.figures)(self.shared, &Sink::collect(&mut json)) };
        serde_json::from_str(json.message()).unwrap_or_default()
    }
}

impl TableInstance {
    /// The file that what it knows is kept in while no engine runs.
    pub fn state_file(&self) -> Option<String> {
        let mut file = ConfigError::new("");
        // SAFETY: the shared part is of this vtable and alive.
        unsafe { (self.vtable.state_file)(self.shared, &Sink::collect(&mut file)) };
        Some(file.message().to_string()).filter(|file| !file.is_empty())
    }

    /// What it has to tell for good since this was last asked, `max` records at most; `None` if there is nothing.
    pub fn records(&self, max: usize) -> Option<Records> {
        let mut json = ConfigError::new("");
        // SAFETY: the shared part is of this vtable and alive.
        unsafe { (self.vtable.records)(self.shared, max, &Sink::collect(&mut json)) };
        serde_json::from_str(json.message()).ok()
    }
}

impl Drop for TableInstance {
    fn drop(&mut self) {
        // SAFETY: the shared part is of this vtable, and dropped once.
        unsafe { (self.vtable.destroy)(self.shared) };
    }
}

impl std::fmt::Debug for TableInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableInstance({}, {})", self.name, self.info().kind)
    }
}

/// All tables as one worker sees them: the shared parts, and its own shards. A table stands at its *place*; places may be vacant.
pub struct WorkerTables {
    entries: Vec<RawEntry>,
    // Keeps the shared parts alive, by the same place.
    tables: Vec<Option<Arc<TableInstance>>>,
    // What a sweep goes through: the places that are taken.
    synced: Vec<Synced>,
}

/// A shard, and who refreshes it.
struct Synced {
    sync: unsafe extern "C" fn(*const c_void, *mut c_void) -> i32,
    shared: *const c_void,
    shard: *mut c_void,
}

// SAFETY: shards are `Send` by `Table`, and belong to this one.
unsafe impl Send for WorkerTables {}

impl WorkerTables {
    /// Makes the shards of one worker.
    ///
    /// # Errors
    /// A table panicked while making its shard.
    pub fn new(worker: u32, tables: &[Arc<TableInstance>]) -> Result<WorkerTables, ConfigError> {
        let places: Vec<_> = tables.iter().cloned().map(Some).collect();
        WorkerTables::at_places(worker, &places, |_| true)
    }

    /// As [`WorkerTables::new`], of tables by place. Those that `makes` does not ask for have no shard, and are not seen, until
    /// [`WorkerTables::keep`] brings it.
    ///
    /// # Errors
    /// As [`WorkerTables::new`].
    pub fn at_places(
        worker: u32,
        tables: &[Option<Arc<TableInstance>>],
        makes: impl Fn(usize) -> bool,
    ) -> Result<WorkerTables, ConfigError> {
        let synced = Vec::with_capacity(tables.len());
        let mut made = WorkerTables { entries: Vec::with_capacity(tables.len()), tables: Vec::new(), synced };
        for (place, table) in tables.iter().enumerate() {
            let mut entry = RawEntry::VACANT;
            if let Some(table) = table.as_ref().filter(|_| makes(place)) {
                let mut error = ConfigError::new("");
                // SAFETY: the shared part is of this vtable and alive.
                let shard = unsafe { (table.vtable.shard)(table.shared, worker, &Sink::collect(&mut error)) };
                if shard.is_null() {
                    return Err(error);
                }
                entry = RawEntry { key: table.key(), shared: table.shared, shard };
            }
            made.entries.push(entry);
            made.tables.push(table.clone());
        }
        made.settle();
        Ok(made)
    }

    /// Takes the shard of a table over that stands at the same place in `old`, and is the same. `false` if it is another.
    pub fn keep(&mut self, place: usize, old: &mut WorkerTables) -> bool {
        let (Some(Some(table)), Some(Some(other))) = (self.tables.get(place), old.tables.get(place)) else { return false };
        if !Arc::ptr_eq(table, other) {
            return false;
        }
        std::mem::swap(&mut self.entries[place], &mut old.entries[place]);
        self.settle();
        old.settle();
        true
    }

    /// Lets the shard at a place take over the state of the one at this place in `old`. `false` if they are not of the same kind and
    /// build, or the table panicked.
    pub fn adopt(&mut self, place: usize, old: &mut WorkerTables) -> bool {
        let (Some(entry), Some(before)) = (self.entries.get(place), old.entries.get(place)) else { return false };
        let Some(Some(table)) = self.tables.get(place) else { return false };
        if entry.shard.is_null() || before.shard.is_null() || entry.key != before.key {
            return false;
        }
        // SAFETY: the key is that of both tables, whose shared parts are alive; the shards are not null, two, and this thread's.
        unsafe { (table.vtable.adopt)(entry.shared, entry.shard, before.shard) == DONE }
    }

    /// Lists what a sweep goes through: in the room that was made for it.
    fn settle(&mut self) {
        self.synced.clear();
        for (entry, table) in self.entries.iter().zip(&self.tables) {
            if let Some(table) = table.as_ref().filter(|_| !entry.shard.is_null()) {
                self.synced.push(Synced { sync: table.vtable.sync, shared: entry.shared, shard: entry.shard });
            }
        }
    }

    /// Lets each table refresh its shard; once at the top of each sweep.
    pub fn sync(&mut self) {
        for Synced { sync, shared, shard } in &self.synced {
            // SAFETY: both parts are of this vtable and alive, and the shard is ours alone. A panic leaves the shard as it is.
            unsafe { sync(*shared, *shard) };
        }
    }

    /// Lets each table know that this worker does not look at it until the next [`WorkerTables::sync`].
    pub fn rest(&mut self) {
        for (entry, table) in self.entries.iter().zip(&self.tables) {
            if let Some(table) = table.as_ref().filter(|_| !entry.shard.is_null()) {
                // SAFETY: as in `sync`.
                unsafe { (table.vtable.rest)(entry.shared, entry.shard) };
            }
        }
    }

    /// The shared part of a table and the worker's shard of it, if it is one of these.
    pub(super) fn shard_of(&mut self, table: &Arc<TableInstance>) -> Option<(*const c_void, *mut c_void)> {
        let at = self.tables.iter().position(|known| known.as_ref().is_some_and(|known| Arc::ptr_eq(known, table)))?;
        let RawEntry { shared, shard, .. } = self.entries[at];
        (!shard.is_null()).then_some((shared, shard))
    }

    pub(super) fn context(&self, now: u64) -> RawContext {
        RawContext { now, tables: self.entries.as_ptr(), table_count: self.entries.len() as u32 }
    }
}

impl Drop for WorkerTables {
    fn drop(&mut self) {
        for (entry, table) in self.entries.iter().zip(&self.tables) {
            if let Some(table) = table.as_ref().filter(|_| !entry.shard.is_null()) {
                // SAFETY: the shard is of this vtable, and dropped once, before its shared part.
                unsafe { (table.vtable.destroy_shard)(entry.shard) };
            }
        }
    }
}

impl std::fmt::Debug for WorkerTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.tables.iter().flatten()).finish()
    }
}
