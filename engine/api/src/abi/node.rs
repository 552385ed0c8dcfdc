//! Kinds of nodes and their instances, on both sides of the vtable.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::table::WorkerTables;
use super::{
    Bytes, DONE, Interfaces, RawContext, RawSetup, RawSlot, Sink, Tables, check, contain, into_raw, outcome, schema, settings,
};
use crate::edges::{EdgeInfo, Edges, reserved};
use crate::frame::{Emit, Frame, RawFrame, RawOutbox, RawPool};
use crate::memory::{Cache, Pool};
use crate::node::{Info, Node};
use crate::packet::{NO_INTERFACE, Nexts, SlotInfo, VECTOR, Vector};
use crate::setup::{ConfigError, Context, Setup, TypeKey};
use crate::text::List;

#[repr(C)]
struct NodeVTable {
    info: Info,
    edges: List<EdgeInfo>,
    /// Null if a graph may not name edges.
    named: Option<&'static EdgeInfo>,
    key: extern "C" fn() -> TypeKey,
    schema: extern "C" fn(&Sink),
    check: unsafe extern "C" fn(Bytes, &Sink) -> i32,
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
        named: T::Next::NAMED,
        key: Self::key,
        schema: schema::<T::Config>,
        check: check::<T::Config>,
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
            let (config, mut setup) = unsafe { (config.as_slice(), Setup::new(&mut *setup)) };
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

    /// What the edges are like that a graph names beside these, if it may. Their ids follow.
    pub fn named(&self) -> Option<&'static EdgeInfo> {
        self.0.named
    }

    /// The JSON Schema of its settings.
    pub fn schema(&self) -> String {
        let mut text = ConfigError::new("");
        (self.0.schema)(&Sink::collect(&mut text));
        text.message().to_string()
    }

    /// Whether settings, as JSON, have the form that the kind wants. What they mean is looked at by [`NodeKind::create`] alone.
    ///
    /// # Errors
    /// The first mistake in them.
    pub fn check(&self, config: &[u8]) -> Result<(), ConfigError> {
        let mut error = ConfigError::new("");
        // SAFETY: the bytes are alive during the call.
        let code = unsafe { (self.0.check)(Bytes::new(config), &Sink::collect(&mut error)) };
        if code == DONE { Ok(()) } else { Err(error) }
    }

    /// Makes an instance. `config` is its settings as JSON.
    ///
    /// # Errors
    /// What the kind says is wrong with the settings.
    pub fn create(&self, config: &[u8], host: &NodeHost<'_>) -> Result<(NodeInstance, Wishes), ConfigError> {
        let slots: Vec<RawSlot> = host.slots.iter().map(|&(info, at)| RawSlot { info, at }).collect();
        let edges: Vec<Bytes> = host.edges.iter().map(|name| Bytes::new(name.as_bytes())).collect();
        let tables = host.tables.raw();
        let keeper = Arc::new(Keeper { pool: Arc::clone(host.pool), dropped: AtomicU32::new(0) });
        let mut found_tables = vec![false; tables.len()];
        let mut found_interfaces = vec![false; host.interfaces.list().len()];
        let mut setup = RawSetup {
            worker: host.worker,
            workers: host.workers,
            interfaces: host.interfaces.raw(),
            tables: tables.as_ptr(),
            table_count: tables.len(),
            slots: slots.as_ptr(),
            slot_count: slots.len(),
            edges: edges.as_ptr(),
            edge_count: edges.len(),
            pool: keeper.reference(),
            receive: NO_INTERFACE,
            tick_every: 0,
            found_tables: found_tables.as_mut_ptr(),
            found_interfaces: found_interfaces.as_mut_ptr(),
        };
        let mut error = ConfigError::new("");
        // SAFETY: everything that the setup points to is alive during the call.
        let instance = unsafe { (self.0.create)(Bytes::new(config), &raw mut setup, &Sink::collect(&mut error)) };
        let (tables, interfaces) = (indexes(&found_tables), indexes(&found_interfaces));
        // Of a node that refuses, too: what it is about is not without use.
        host.tables.mark_used(&tables);
        if instance.is_null() {
            return Err(error);
        }
        let receive = (setup.receive != NO_INTERFACE).then_some(setup.receive);
        let tick_every = (setup.tick_every != 0).then_some(setup.tick_every);
        let wishes = Wishes { receive, tick_every, tables, interfaces };
        Ok((NodeInstance { vtable: self.0, instance, faulty: false, keeper }, wishes))
    }
}

fn indexes(found: &[bool]) -> Vec<u16> {
    found.iter().zip(0..).filter_map(|(found, index)| found.then_some(index)).collect()
}

impl std::fmt::Debug for NodeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKind({})", self.info().kind)
    }
}

/// What an instance is made with.
#[derive(Debug, Clone, Copy)]
pub struct NodeHost<'a> {
    /// The worker that it is for, from 0.
    pub worker: u32,
    /// How many workers there are.
    pub workers: u32,
    /// All interfaces, by index.
    pub interfaces: &'a Interfaces,
    /// All tables, by index: those of [`WorkerTables::new`], in the same order.
    pub tables: &'a Tables,
    /// Slots with their places.
    pub slots: &'a [(SlotInfo, u16)],
    /// Names of the edges that the graph names: their ids follow those of the kind's own.
    pub edges: &'a [&'a str],
    /// Where the packets live.
    pub pool: &'a Arc<Pool>,
}

/// What an instance asked for, and found, while it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The interface whose packets it wants.
    pub receive: Option<u16>,
    /// Nanoseconds between calls of its `tick`.
    pub tick_every: Option<u64>,
    /// The tables that it found, by index.
    pub tables: Vec<u16>,
    /// The interfaces that it found by name, by index.
    pub interfaces: Vec<u16>,
}

/// What the `Held`s of one instance give their packets back to.
#[derive(Debug)]
struct Keeper {
    pool: Arc<Pool>,
    /// Packets that came back because a `Held` was dropped, and that no call has reported yet.
    dropped: AtomicU32,
}

impl Keeper {
    /// What has been dropped since this was last asked.
    #[inline]
    fn take_dropped(&self) -> u32 {
        // A load first: a swap would cost more than all the rest of a call.
        if self.dropped.load(Ordering::Relaxed) == 0 { 0 } else { self.dropped.swap(0, Ordering::Relaxed) }
    }

    fn reference(self: &Arc<Keeper>) -> RawPool {
        unsafe extern "C" fn retain(host: *const c_void) {
            // SAFETY: `host` came from `Arc::into_raw` and is alive: the caller holds a count.
            unsafe { Arc::increment_strong_count(host.cast::<Keeper>()) };
        }
        unsafe extern "C" fn release(host: *const c_void) {
            // SAFETY: as in `retain`, and the caller gives its count up.
            unsafe { Arc::decrement_strong_count(host.cast::<Keeper>()) };
        }
        unsafe extern "C" fn give_back(host: *const c_void, positions: *const u32, count: usize) {
            // SAFETY: as in `retain`; the positions are those of packets that the caller owned.
            let (keeper, positions) = unsafe { (&*host.cast::<Keeper>(), std::slice::from_raw_parts(positions, count)) };
            keeper.dropped.fetch_add(count as u32, Ordering::Relaxed);
            keeper.pool.give_back(positions);
        }
        let (pool, capacity) = (Arc::as_ptr(&self.pool).cast(), self.pool.region().geometry().chunks);
        RawPool { host: Arc::into_raw(Arc::clone(self)).cast(), pool, capacity, retain, release, give_back }
    }
}

/// An instance of a node.
pub struct NodeInstance {
    vtable: &'static NodeVTable,
    instance: *mut c_void,
    faulty: bool,
    keeper: Arc<Keeper>,
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
    /// Packets that it had kept and has thrown away.
    pub held_dropped: u32,
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
        called.held_dropped = self.keeper.take_dropped();
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
        called.held_dropped = self.keeper.take_dropped();
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
