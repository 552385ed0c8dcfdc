//! The one vtable that all nodes and tables go through, built in or from a plugin: `#[repr(C)]`, and nothing but C data and bytes
//! crosses it. Each entry catches panics on its own side.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::edges::{EdgeInfo, Edges, reserved};
use crate::frame::{Emit, Frame, RawFrame, RawOutbox, RawPool};
use crate::memory::{Cache, Pool};
use crate::node::{Info, Node};
use crate::packet::{Nexts, SlotInfo, VECTOR, Vector};
use crate::setup::{ConfigError, Context, Interface, Setup, TableSetup, TypeKey};
use crate::table::{Table, TableInfo};
use crate::text::List;

/// Borrowed bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Bytes {
    first: *const u8,
    len: usize,
}

impl Bytes {
    fn new(bytes: &[u8]) -> Bytes {
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
struct Sink {
    to: *mut c_void,
    put: unsafe extern "C" fn(*mut c_void, Bytes, Bytes),
}

impl Sink {
    fn put(&self, path: &str, message: &str) {
        // SAFETY: the host made both parts, for the time of the call.
        unsafe { (self.put)(self.to, Bytes::new(path.as_bytes()), Bytes::new(message.as_bytes())) };
    }

    fn collect(to: &mut ConfigError) -> Sink {
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

/// What a table is to the nodes and tables that are made after it.
#[repr(C)]
pub(crate) struct RawTable {
    name: Bytes,
    pub key: TypeKey,
    pub shared: *const c_void,
    /// An `Arc<TableInstance>` of the library that `key` names.
    pub instance: *const c_void,
}

impl RawTable {
    pub(crate) fn name(&self) -> &str {
        // SAFETY: the name is that of a table instance, which outlives this description of it.
        std::str::from_utf8(unsafe { self.name.as_slice() }).unwrap_or_default()
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
    /// JSON, as [`Interface`] serialises.
    pub interfaces: Bytes,
    pub tables: *const RawTable,
    pub table_count: usize,
    pub slots: *const RawSlot,
    pub slot_count: usize,
    pub pool: RawPool,
    pub receive: u16,
    pub tick_every: u64,
}

/// A table as one worker sees it.
#[repr(C)]
pub(crate) struct RawEntry {
    pub key: TypeKey,
    pub shared: *const c_void,
    pub shard: *mut c_void,
}

/// What a node finds when it is called.
#[repr(C)]
pub(crate) struct RawContext {
    pub now: u64,
    pub tables: *const RawEntry,
    pub table_count: u32,
}

const DONE: i32 = 0;
const PANICKED: i32 = 1;

#[repr(C)]
struct NodeVTable {
    info: Info,
    edges: List<EdgeInfo>,
    key: extern "C" fn() -> TypeKey,
    schema: extern "C" fn(&Sink),
    create: unsafe extern "C" fn(Bytes, *mut RawSetup, &Sink) -> *mut c_void,
    process: unsafe extern "C" fn(*mut c_void, *mut RawFrame, *const RawContext) -> i32,
    tick: unsafe extern "C" fn(*mut c_void, *mut RawOutbox, *const RawContext) -> i32,
    adopt: unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32,
    destroy: unsafe extern "C" fn(*mut c_void),
}

struct NodeShims<T>(std::marker::PhantomData<T>);

impl<T: Node> NodeShims<T> {
    const VTABLE: NodeVTable = NodeVTable {
        info: T::INFO,
        edges: List::new(T::Next::EDGES),
        key: Self::key,
        schema: schema::<T::Config>,
        create: Self::create,
        process: Self::process,
        tick: Self::tick,
        adopt: Self::adopt,
        destroy: Self::destroy,
    };

    extern "C" fn key() -> TypeKey {
        TypeKey::of::<T>()
    }

    unsafe extern "C" fn create(config: Bytes, setup: *mut RawSetup, error: &Sink) -> *mut c_void {
        let made = contain(|| {
            // SAFETY: the host's bytes and setup are good during this call.
            let (config, mut setup) = unsafe { (config.as_slice(), Setup::new(&mut *setup)?) };
            T::new(settings(config)?, &mut setup)
        });
        into_raw(made, error)
    }

    unsafe extern "C" fn process(node: *mut c_void, frame: *mut RawFrame, cx: *const RawContext) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the host made `node` by `create` of this vtable and calls from one thread at a time; frame and context are as
            // the engine makes them, for the time of this call.
            let (node, mut frame, mut cx) = unsafe { (&mut *node.cast::<T>(), Frame::new(&mut *frame), Context::new(&*cx)) };
            node.process(&mut frame, &mut cx);
        }));
        outcome(done)
    }

    unsafe extern "C" fn tick(node: *mut c_void, outbox: *mut RawOutbox, cx: *const RawContext) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: as in `process`.
            let (node, mut emit, mut cx) = unsafe { (&mut *node.cast::<T>(), Emit::new(&mut *outbox), Context::new(&*cx)) };
            node.tick(&mut emit, &mut cx);
        }));
        outcome(done)
    }

    unsafe extern "C" fn adopt(new: *mut c_void, old: *mut c_void) -> i32 {
        // SAFETY: both are instances of T (the host has compared the keys), and two.
        outcome(catch_unwind(AssertUnwindSafe(|| unsafe { (*new.cast::<T>()).adopt(&mut *old.cast::<T>()) })))
    }

    unsafe extern "C" fn destroy(node: *mut c_void) {
        // SAFETY: made by `create` of this vtable, and destroyed once.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(node.cast::<T>()) })));
        outcome(dropped);
    }
}

#[repr(C)]
struct TableVTable {
    info: TableInfo,
    key: extern "C" fn() -> TypeKey,
    schema: extern "C" fn(&Sink),
    create: unsafe extern "C" fn(Bytes, *mut c_void, &Sink) -> *mut c_void,
    shard: unsafe extern "C" fn(*const c_void, u32, &Sink) -> *mut c_void,
    sync: unsafe extern "C" fn(*const c_void, *mut c_void) -> i32,
    command: unsafe extern "C" fn(*const c_void, Bytes, &Sink, &Sink) -> i32,
    destroy_shard: unsafe extern "C" fn(*mut c_void),
    destroy: unsafe extern "C" fn(*mut c_void),
}

struct TableShims<T>(std::marker::PhantomData<T>);

impl<T: Table> TableShims<T> {
    const VTABLE: TableVTable = TableVTable {
        info: T::INFO,
        key: Self::key,
        schema: schema::<T::Config>,
        create: Self::create,
        shard: Self::shard,
        sync: Self::sync,
        command: Self::command,
        destroy_shard: Self::destroy_shard,
        destroy: Self::destroy,
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

extern "C" fn schema<C: schemars::JsonSchema>(sink: &Sink) {
    let made = catch_unwind(|| serde_json::to_string(&schemars::schema_for!(C)));
    match made {
        Ok(Ok(text)) => sink.put("", &text),
        Ok(Err(_)) => (),
        Err(payload) => discard(payload),
    }
}

/// Settings from JSON, with the path of what is wrong.
fn settings<C: DeserializeOwned>(bytes: &[u8]) -> Result<C, ConfigError> {
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

/// Runs what may refuse, and may panic.
fn contain<R>(f: impl FnOnce() -> Result<R, ConfigError>) -> Result<R, ConfigError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
        discard(payload);
        Err(ConfigError::new(format!("this kind has a defect: it panicked ({text})")))
    })
}

fn into_raw<R>(made: Result<R, ConfigError>, error: &Sink) -> *mut c_void {
    match made {
        Ok(made) => Box::into_raw(Box::new(made)).cast(),
        Err(refusal) => {
            error.put(refusal.path(), refusal.message());
            std::ptr::null_mut()
        }
    }
}

fn outcome(done: std::thread::Result<()>) -> i32 {
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

/// A kind of node, as the registry lists it.
#[derive(Clone, Copy)]
pub struct NodeKind(&'static NodeVTable);

impl NodeKind {
    /// The kind that a type implements.
    pub const fn of<T: Node>() -> NodeKind {
        NodeKind(&NodeShims::<T>::VTABLE)
    }

    /// What it says of itself.
    pub fn info(&self) -> &'static Info {
        &self.0.info
    }

    /// Its edges and drop reasons, by id.
    pub fn edges(&self) -> &'static [EdgeInfo] {
        self.0.edges.as_slice()
    }

    /// The JSON Schema of its settings.
    pub fn schema(&self) -> String {
        let mut text = ConfigError::new("");
        (self.0.schema)(&Sink::collect(&mut text));
        text.message().to_string()
    }

    /// Makes an instance. `config` is its settings as JSON.
    ///
    /// # Errors
    /// What the kind says is wrong with the settings.
    pub fn create(&self, config: &[u8], host: &NodeHost<'_>) -> Result<(NodeInstance, Wishes), ConfigError> {
        let interfaces = serde_json::to_vec(host.interfaces).map_err(|error| ConfigError::new(error.to_string()))?;
        let tables: Vec<RawTable> = host.tables.iter().map(describe).collect();
        let slots: Vec<RawSlot> = host.slots.iter().map(|&(info, at)| RawSlot { info, at }).collect();
        let mut setup = RawSetup {
            worker: host.worker,
            workers: host.workers,
            interfaces: Bytes::new(&interfaces),
            tables: tables.as_ptr(),
            table_count: tables.len(),
            slots: slots.as_ptr(),
            slot_count: slots.len(),
            pool: pool_reference(host.pool),
            receive: crate::packet::NO_INTERFACE,
            tick_every: 0,
        };
        let mut error = ConfigError::new("");
        // SAFETY: everything that the setup points to is alive during the call.
        let instance = unsafe { (self.0.create)(Bytes::new(config), &raw mut setup, &Sink::collect(&mut error)) };
        if instance.is_null() {
            return Err(error);
        }
        let receive = (setup.receive != crate::packet::NO_INTERFACE).then_some(setup.receive);
        let wishes = Wishes { receive, tick_every: (setup.tick_every != 0).then_some(setup.tick_every) };
        Ok((NodeInstance { vtable: self.0, instance, faulty: false }, wishes))
    }
}

impl std::fmt::Debug for NodeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKind({})", self.info().kind)
    }
}

/// What an instance is made with.
#[derive(Debug)]
pub struct NodeHost<'a> {
    /// The worker that it is for, from 0.
    pub worker: u32,
    /// How many workers there are.
    pub workers: u32,
    /// All interfaces, by index.
    pub interfaces: &'a [Interface],
    /// All tables, by index: those of [`WorkerTables::new`], in the same order.
    pub tables: &'a [Arc<TableInstance>],
    /// Slots with their places.
    pub slots: &'a [(SlotInfo, u16)],
    /// Where the packets live.
    pub pool: &'a Arc<Pool>,
}

/// What an instance asked for while it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// The interface whose packets it wants.
    pub receive: Option<u16>,
    /// Nanoseconds between calls of its `tick`.
    pub tick_every: Option<u64>,
}

fn pool_reference(pool: &Arc<Pool>) -> RawPool {
    unsafe extern "C" fn retain(host: *const c_void) {
        // SAFETY: `host` came from `Arc::into_raw` and is alive: the caller holds a count.
        unsafe { Arc::increment_strong_count(host.cast::<Pool>()) };
    }
    unsafe extern "C" fn release(host: *const c_void) {
        // SAFETY: as in `retain`, and the caller gives its count up.
        unsafe { Arc::decrement_strong_count(host.cast::<Pool>()) };
    }
    unsafe extern "C" fn give_back(host: *const c_void, positions: *const u32, count: usize) {
        // SAFETY: as in `retain`; the positions are those of packets that the caller owned.
        unsafe { (*host.cast::<Pool>()).give_back(std::slice::from_raw_parts(positions, count)) };
    }
    let capacity = pool.region().geometry().chunks;
    RawPool { host: Arc::into_raw(Arc::clone(pool)).cast(), capacity, retain, release, give_back }
}

/// An instance of a node.
pub struct NodeInstance {
    vtable: &'static NodeVTable,
    instance: *mut c_void,
    faulty: bool,
}

// SAFETY: the instance is a `T: Node`, and `Node: Send`.
unsafe impl Send for NodeInstance {}

/// What a node is called with, beside the packets.
#[derive(Debug)]
pub struct Call<'a> {
    /// Takes what the node makes and releases; empty.
    pub outbox: &'a mut Outbox,
    /// How many packets the node may make or release.
    pub room: usize,
    /// Gives the chunks for what it makes.
    pub cache: &'a mut Cache,
    /// The tables of its worker.
    pub tables: &'a mut WorkerTables,
    /// Nanoseconds of the engine's monotonic clock.
    pub now: u64,
}

/// What a call of a node did beside deciding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Called {
    /// Packets that it took into a `Held`, and the id that they are counted by.
    pub taken: u32,
    /// See `taken`.
    pub taken_id: u16,
    /// Packets that it made; those are in the outbox.
    pub made: u32,
    /// Packets that it let go from a `Held`; those are in the outbox.
    pub released: u32,
    /// Packets that it would have made, had there been room in the pass.
    pub no_room: u32,
    /// Packets that it would have made, had there been a buffer.
    pub no_buffer: u32,
    /// It panicked in this call.
    pub panicked: bool,
}

/// Where packets go that a node makes or releases: a vector with a decision for each.
#[derive(Debug)]
pub struct Outbox {
    /// The packets.
    pub packets: Vector,
    /// Where they go.
    pub nexts: Nexts,
}

impl Outbox {
    /// An empty one.
    pub fn new(pool: &Arc<Pool>) -> Outbox {
        Outbox { packets: Vector::new(pool), nexts: Nexts::default() }
    }

    /// Lends itself and the free chunks of the cache to a call, which may fill it with `room` packets.
    fn raw(&mut self, room: usize, cache: &mut Cache) -> RawOutbox {
        self.packets.assert_pool(cache.pool());
        assert!(self.packets.is_empty(), "an outbox is emptied after each call");
        let room = room.min(VECTOR);
        let spares = cache.stack().len().min(room);
        let first = cache.stack().len() - spares;
        let (descs, lanes) = self.packets.raw();
        RawOutbox {
            pool: Arc::as_ptr(cache.pool()).cast(),
            base: cache.pool().region().base(),
            stride: cache.pool().region().geometry().stride,
            len: 0,
            room: room as u32,
            spares: spares as u32,
            spare: cache.stack()[first..].as_ptr(),
            descs,
            lanes,
            next: self.nexts.raw(0),
            made: 0,
            released: 0,
            no_room: 0,
            no_buffer: 0,
        }
    }

    fn filled(&mut self, raw: &RawOutbox, cache: &mut Cache, called: &mut Called) {
        let left = cache.stack().len() - raw.made as usize;
        cache.stack().truncate(left);
        // SAFETY: `Emit` has put `len` packets there, each of a chunk that it took from the cache (which has just forgotten as many as
        // were made) or from a `Held`.
        unsafe { self.packets.set_len(raw.len as usize) };
        self.nexts.raw(raw.len as usize);
        (called.made, called.released) = (raw.made, raw.released);
        (called.no_room, called.no_buffer) = (raw.no_room, raw.no_buffer);
    }
}

impl NodeInstance {
    /// What the kind says of itself.
    pub fn info(&self) -> &'static Info {
        &self.vtable.info
    }

    /// Whether it has panicked: it is not called any more, and its packets get the id [`reserved::FAULT`].
    pub fn is_faulty(&self) -> bool {
        self.faulty
    }

    /// Has the node decide for each packet of the vector, of which there are at most 256. What it keeps is gone from the vector;
    /// what it makes and releases is in the outbox, at most `room` packets.
    pub fn process(&mut self, packets: &mut Vector, nexts: &mut Nexts, call: Call<'_>) -> Called {
        let Call { outbox, room, cache, tables, now } = call;
        let len = packets.len();
        assert!(len <= VECTOR, "a node sees at most 256 packets at once");
        packets.assert_pool(cache.pool());
        let mut called = Called::default();
        if self.faulty {
            outbox.nexts.fill(0, 0);
            nexts.fill(len, reserved::FAULT);
            return called;
        }
        let mut raw_outbox = outbox.raw(room, cache);
        let (descs, lanes) = packets.raw();
        let mut frame = RawFrame {
            pool: raw_outbox.pool,
            base: raw_outbox.base,
            stride: raw_outbox.stride,
            len: len as u32,
            descs,
            lanes,
            next: nexts.raw(len),
            outbox: &raw mut raw_outbox,
            decided: false,
            taken: 0,
            taken_id: 0,
        };
        let context = tables.context(now);
        // SAFETY: the instance is of this vtable; the frame names the vector's own arrays and packets, which nobody else touches
        // during the call; the context's tables are alive, and the shards are this worker's.
        let code = unsafe { (self.vtable.process)(self.instance, &raw mut frame, &raw const context) };
        (called.taken, called.taken_id) = (frame.taken, frame.taken_id);
        outbox.filled(&raw_outbox, cache, &mut called);
        if called.taken > 0 {
            packets.close_gaps(nexts);
        }
        self.faulty = code != DONE;
        called.panicked = self.faulty;
        if self.faulty || !frame.decided {
            nexts.fill(packets.len(), reserved::FAULT);
        }
        called
    }

    /// Lets the node act on the time. What it makes and releases is in the outbox, at most `room` packets.
    pub fn tick(&mut self, call: Call<'_>) -> Called {
        let Call { outbox, room, cache, tables, now } = call;
        let mut called = Called::default();
        if self.faulty {
            outbox.nexts.fill(0, 0);
            return called;
        }
        let mut raw = outbox.raw(room, cache);
        let context = tables.context(now);
        // SAFETY: as in `process`.
        let code = unsafe { (self.vtable.tick)(self.instance, &raw mut raw, &raw const context) };
        outbox.filled(&raw, cache, &mut called);
        self.faulty = code != DONE;
        called.panicked = self.faulty;
        called
    }

    /// Has this instance take over the state of the one that it replaces. `false` if they are not of the same kind and build, or it
    /// panicked.
    pub fn adopt(&mut self, old: &mut NodeInstance) -> bool {
        if (self.vtable.key)() != (old.vtable.key)() || old.faulty || self.faulty {
            return false;
        }
        // SAFETY: both are instances of the type that the key names, and two.
        self.faulty = unsafe { (self.vtable.adopt)(self.instance, old.instance) } != DONE;
        !self.faulty
    }
}

impl Drop for NodeInstance {
    fn drop(&mut self) {
        // SAFETY: the instance is of this vtable, and dropped once.
        unsafe { (self.vtable.destroy)(self.instance) };
    }
}

impl std::fmt::Debug for NodeInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeInstance({})", self.info().kind)
    }
}

/// A kind of table, as the registry lists it.
#[derive(Clone, Copy)]
pub struct TableKind(&'static TableVTable);

impl TableKind {
    /// The kind that a type implements.
    pub const fn of<T: Table>() -> TableKind {
        TableKind(&TableShims::<T>::VTABLE)
    }

    /// What it says of itself.
    pub fn info(&self) -> &'static TableInfo {
        &self.0.info
    }

    /// The JSON Schema of its settings.
    pub fn schema(&self) -> String {
        let mut text = ConfigError::new("");
        (self.0.schema)(&Sink::collect(&mut text));
        text.message().to_string()
    }

    /// Makes a table. `config` is its settings as JSON; `tables` are those that it may refer to; `siblings` is how many tables of
    /// its kind the graph has.
    ///
    /// # Errors
    /// What the kind says is wrong with the settings.
    pub fn create(
        &self,
        name: &str,
        config: &[u8],
        interfaces: &[Interface],
        tables: &[Arc<TableInstance>],
        siblings: usize,
        workers: u32,
    ) -> Result<Arc<TableInstance>, ConfigError> {
        let tables: Vec<RawTable> = tables.iter().map(describe).collect();
        let mut setup = TableSetup { name, interfaces, tables: &tables, siblings, workers };
        let mut error = ConfigError::new("");
        // SAFETY: everything that the setup points to is alive during the call.
        let shared = unsafe { (self.0.create)(Bytes::new(config), (&raw mut setup).cast(), &Sink::collect(&mut error)) };
        if shared.is_null() {
            return Err(error);
        }
        Ok(Arc::new(TableInstance { vtable: self.0, name: name.into(), shared }))
    }
}

impl std::fmt::Debug for TableKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableKind({})", self.info().kind)
    }
}

fn describe(table: &Arc<TableInstance>) -> RawTable {
    RawTable {
        name: Bytes::new(table.name.as_bytes()),
        key: (table.vtable.key)(),
        shared: table.shared,
        instance: (&raw const *table).cast(),
    }
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

    pub(crate) fn shared(&self) -> *const c_void {
        self.shared
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

/// All tables as one worker sees them: the shared parts, and its own shards.
pub struct WorkerTables {
    entries: Vec<RawEntry>,
    // Keeps the shared parts alive, by the same index.
    tables: Vec<Arc<TableInstance>>,
}

// SAFETY: shards are `Send` by `Table`, and belong to this one.
unsafe impl Send for WorkerTables {}

impl WorkerTables {
    /// Makes the shards of one worker.
    ///
    /// # Errors
    /// A table panicked while making its shard.
    pub fn new(worker: u32, tables: &[Arc<TableInstance>]) -> Result<WorkerTables, ConfigError> {
        let mut made = WorkerTables { entries: Vec::new(), tables: Vec::new() };
        for table in tables {
            let mut error = ConfigError::new("");
            // SAFETY: the shared part is of this vtable and alive.
            let shard = unsafe { (table.vtable.shard)(table.shared, worker, &Sink::collect(&mut error)) };
            if shard.is_null() {
                return Err(error);
            }
            made.entries.push(RawEntry { key: (table.vtable.key)(), shared: table.shared, shard });
            made.tables.push(Arc::clone(table));
        }
        Ok(made)
    }

    /// Lets each table refresh its shard; once at the top of each sweep.
    pub fn sync(&mut self) {
        for (entry, table) in self.entries.iter().zip(&self.tables) {
            // SAFETY: both parts are of this vtable and alive, and the shard is ours alone. A panic leaves the shard as it is.
            unsafe { (table.vtable.sync)(entry.shared, entry.shard) };
        }
    }

    fn context(&self, now: u64) -> RawContext {
        RawContext { now, tables: self.entries.as_ptr(), table_count: self.entries.len() as u32 }
    }
}

impl Drop for WorkerTables {
    fn drop(&mut self) {
        for (entry, table) in self.entries.iter().zip(&self.tables) {
            // SAFETY: the shard is of this vtable, and dropped once, before its shared part.
            unsafe { (table.vtable.destroy_shard)(entry.shard) };
        }
    }
}

impl std::fmt::Debug for WorkerTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.tables).finish()
    }
}
