//! Kinds of nodes and their instances, on both sides of the vtable.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::instance::Keeper;
use super::{
    Bytes, DONE, Interfaces, NodeInstance, RawContext, RawSetup, RawSlot, Sink, Tables, check, contain, into_raw, outcome, schema,
    settings,
};
use crate::edges::{EdgeInfo, Edges};
use crate::frame::{Emit, Frame, RawFrame, RawOutbox};
use crate::memory::Pool;
use crate::node::{Info, Node};
use crate::offload::{Offload, ROLES};
use crate::owner::Ownership;
use crate::packet::{NO_INTERFACE, SlotInfo};
use crate::setup::{ConfigError, Context, Setup, TypeKey};
use crate::text::List;

#[repr(C)]
pub(super) struct NodeVTable {
    pub info: Info,
    edges: List<EdgeInfo>,
    /// Null if a graph may not name edges.
    named: Option<&'static EdgeInfo>,
    pub key: extern "C" fn() -> TypeKey,
    schema: extern "C" fn(&Sink),
    check: unsafe extern "C" fn(Bytes, &Sink) -> i32,
    create: unsafe extern "C" fn(Bytes, *mut RawSetup, &Sink) -> *mut c_void,
    pub process: unsafe extern "C" fn(*mut c_void, *mut RawFrame, *const RawContext) -> i32,
    pub owner: unsafe extern "C" fn(*const c_void, *mut RawFrame, *const RawContext) -> i32,
    pub tick: unsafe extern "C" fn(*mut c_void, *mut RawOutbox, *const RawContext) -> i32,
    pub offloaded: unsafe extern "C" fn(*mut c_void, *const [u64; ROLES], *const RawContext) -> i32,
    pub adopt: unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32,
    pub destroy: unsafe extern "C" fn(*mut c_void),
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
        owner: Self::owner,
        tick: Self::tick,
        offloaded: Self::offloaded,
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

    unsafe extern "C" fn owner(node: *const c_void, frame: *mut RawFrame, cx: *const RawContext) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: as in `process`.
            let (node, mut frame, cx) = unsafe { (&*node.cast::<T>(), Frame::new(&mut *frame), Context::new(&*cx)) };
            node.owner(&mut frame, &cx);
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

    unsafe extern "C" fn offloaded(node: *mut c_void, packets: *const [u64; ROLES], cx: *const RawContext) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: as in `process`; the counts are good during this call.
            let (node, packets, mut cx) = unsafe { (&mut *node.cast::<T>(), *packets, Context::new(&*cx)) };
            node.offloaded(packets, &mut cx);
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

    pub(super) fn vtable(self) -> &'static NodeVTable {
        self.0
    }

    /// Whether instances of both are of one type of one build: one can take over the state of the other.
    pub fn is_same(&self, other: &NodeKind) -> bool {
        (self.0.key)() == (other.0.key)()
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
        let keeper = host.keeper.map_or_else(|| Arc::new(Keeper::new(host.pool)), Arc::clone);
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
            any_worker: false,
            offload: Offload::NONE,
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
        let owned = self.info().ownership == Ownership::Owned && !setup.any_worker;
        let offload = (setup.offload != Offload::NONE).then_some(setup.offload);
        let wishes = Wishes { receive, tick_every, owned, offload, tables, interfaces };
        Ok((NodeInstance::new(self.0, instance, keeper), wishes))
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
    /// All tables, by index: those of `WorkerTables::new`, in the same order.
    pub tables: &'a Tables,
    /// Slots with their places.
    pub slots: &'a [(SlotInfo, u16)],
    /// Names of the edges that the graph names: their ids follow those of the kind's own.
    pub edges: &'a [&'a str],
    /// Where the packets live.
    pub pool: &'a Arc<Pool>,
    /// Of an instance that will take the place of another one: that of the other.
    pub keeper: Option<&'a Arc<Keeper>>,
}

/// What an instance asked for, and found, while it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The interface whose packets it wants.
    pub receive: Option<u16>,
    /// Nanoseconds between calls of its `tick`.
    pub tick_every: Option<u64>,
    /// Whether its packets have owners: it is of a kind that is owned, and has not asked for [`Setup::any_worker`].
    pub owned: bool,
    /// What it asks of the drivers whose packets it gets.
    pub offload: Option<Offload>,
    /// The tables that it found, by index.
    pub tables: Vec<u16>,
    /// The interfaces that it found by name, by index.
    pub interfaces: Vec<u16>,
}
