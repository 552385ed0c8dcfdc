//! Kinds of nodes and their instances, on both sides of the vtable.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::fault::{Running, within};
use super::instance::Keeper;
use super::library::Library;
use super::raw::{
    Bytes, NodeVTable, RawContext, RawEdge, RawEdges, RawFrame, RawInfo, RawOutbox, RawSetup, RawSlot, RawSlotInfo, RawSlots,
    RawTexts, RawWords, Sink, TypeKey,
};
use super::{DONE, Interfaces, NOT_SIMULATED, NodeInstance, PANICKED, Tables, check, contain, into_raw, outcome, schema, settings};
use crate::edges::{EdgeInfo, Edges};
use crate::frame::{Emit, Frame};
use crate::memory::Pool;
use crate::node::{Info, Node};
use crate::offload::{Offload, ROLES};
use crate::owner::Ownership;
use crate::packet::{NO_INTERFACE, Packet, SlotInfo};
use crate::setup::{ConfigError, Context, Setup};
use crate::text::{List, Str};
use crate::words::{Decided, Words};

/// The calls of the author's code.
pub(super) struct NodeShims<T>(std::marker::PhantomData<T>);

impl<T: Node> NodeShims<T> {
    pub const VTABLE: NodeVTable = NodeVTable {
        size: size_of::<NodeVTable>() as u32,
        state_version: T::STATE_VERSION,
        info: RawInfo::of(&T::INFO),
        edges: RawEdges::of(T::Next::EDGES),
        named: match T::Next::NAMED {
            Some(named) => (&raw const *named).cast(),
            None => std::ptr::null(),
        },
        key: Some(Self::key),
        schema: Some(schema::<T::Config>),
        check: Some(check::<T::Config>),
        create: Some(Self::create),
        process: Some(Self::process),
        owner: Some(Self::owner),
        tick: Some(Self::tick),
        adopt: Some(Self::adopt),
        save: Some(Self::save),
        restore: Some(Self::restore),
        destroy: Some(Self::destroy),
        reason: Some(Self::reason),
        simulate: Some(Self::simulate),
    };

    const PARTS: NodeParts = NodeParts {
        info: T::INFO,
        edges: List::new(T::Next::EDGES),
        named: T::Next::NAMED,
        state_version: T::STATE_VERSION,
        entries: NodeEntries {
            key: Self::key,
            create: Self::create,
            process: Self::process,
            owner: Some(Self::owner),
            tick: Some(Self::tick),
            adopt: Some(Self::adopt),
            save: Some(Self::save),
            restore: Some(Self::restore),
            schema: Some(schema::<T::Config>),
            check: Some(check::<T::Config>),
            destroy: Self::destroy,
            reason: Some(Self::reason),
            simulate: Some(Self::simulate),
        },
        origin: Origin::BuiltIn { own: Own { offloaded: Self::offloaded, would_own: Self::would_own } },
    };

    unsafe extern "C" fn key() -> TypeKey {
        TypeKey::of::<T>()
    }

    unsafe extern "C" fn create(config: Bytes, setup: *mut RawSetup, error: *const Sink) -> *mut c_void {
        let made = contain(|| {
            // SAFETY: the host's bytes and setup are good during this call.
            let (config, mut setup) = unsafe { (config.as_slice(), Setup::new(&mut *setup)) };
            T::new(settings(config)?, &mut setup)
        });
        // SAFETY: the host's sink is good during this call.
        into_raw(made, unsafe { &*error })
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

    unsafe extern "C" fn would_own(node: *const c_void, frame: *mut RawFrame, cx: *const RawContext) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: as in `process`.
            let (node, mut frame, cx) = unsafe { (&*node.cast::<T>(), Frame::new(&mut *frame), Context::new(&*cx)) };
            node.would_own(&mut frame, &cx);
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

    unsafe extern "C" fn reason(
        node: *const c_void,
        frame: *mut RawFrame,
        decided: u16,
        cx: *const RawContext,
        words: *mut RawWords,
    ) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: as in `process`; the frame has one packet.
            let (node, packet, cx) = unsafe { (&*node.cast::<T>(), first(&mut *frame), Context::new(&*cx)) };
            // SAFETY: the words are the host's, for the time of this call.
            node.reason(&packet, Decided::new(decided), &cx, &mut unsafe { Words::new(&mut *words) });
        }));
        outcome(done)
    }

    unsafe extern "C" fn simulate(node: *mut c_void, frame: *mut RawFrame, cx: *const RawContext, words: *mut RawWords) -> i32 {
        let mut decided = NOT_SIMULATED;
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: as in `reason`, and nobody else has the node.
            let (node, frame, mut cx) = unsafe { (&mut *node.cast::<T>(), &mut *frame, Context::new(&*cx)) };
            // SAFETY: as in `reason`.
            let mut packet = unsafe { first(frame) };
            // SAFETY: as in `reason`.
            let next = node.simulate(&mut packet, &mut cx, &mut unsafe { Words::new(&mut *words) });
            decided = next.map_or(NOT_SIMULATED, |next| i32::from(next.id()));
            // SAFETY: the frame has one packet, which is closed as it was opened.
            unsafe { *frame.descs = packet.close(*frame.descs) };
        }));
        if outcome(done) == DONE { decided } else { NOT_SIMULATED - PANICKED }
    }

    unsafe extern "C" fn adopt(new: *mut c_void, old: *mut c_void) -> i32 {
        // SAFETY: both are instances of T (the host has compared the keys), and two.
        outcome(catch_unwind(AssertUnwindSafe(|| unsafe { (*new.cast::<T>()).adopt(&mut *old.cast::<T>()) })))
    }

    unsafe extern "C" fn save(node: *mut c_void, at: u64, pieces: *const Sink, next: *mut u64) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            let mut piece = Vec::new();
            // SAFETY: as in `process`; the sink and the number are good during this call.
            unsafe {
                *next = (*node.cast::<T>()).save(at, &mut piece).unwrap_or(0);
                (*pieces).put_bytes("", &piece);
            }
        }));
        outcome(done)
    }

    unsafe extern "C" fn restore(node: *mut c_void, version: u32, piece: Bytes, error: *const Sink) -> i32 {
        // SAFETY: as in `process`; the bytes are good during this call.
        let done = contain(|| unsafe { (*node.cast::<T>()).restore(version, piece.as_slice()) });
        let Err(refusal) = done else { return DONE };
        // SAFETY: the host's sink is good during this call.
        unsafe { &*error }.put(refusal.path(), refusal.message());
        PANICKED
    }

    unsafe extern "C" fn destroy(node: *mut c_void) {
        // SAFETY: made by `create` of this vtable, and destroyed once.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(node.cast::<T>()) })));
        outcome(dropped);
    }
}

/// The first packet of a frame.
///
/// # Safety
/// The frame is as the engine made it, and has one.
unsafe fn first<'a>(frame: &mut RawFrame) -> Packet<'a> {
    // SAFETY: as in `Frame::new`: the descriptor keeps the invariant of `Vector`, and the packet is ours during the call.
    unsafe { Packet::open(frame.base, frame.stride, *frame.descs, &mut *frame.lanes) }
}

impl RawInfo {
    const fn of(info: &Info) -> RawInfo {
        const fn slots(list: &List<SlotInfo>) -> RawSlots {
            // `SlotInfo` and `RawSlotInfo` are laid out alike: asserted below.
            RawSlots { first: list.as_slice().as_ptr().cast(), len: list.as_slice().len() }
        }
        RawInfo {
            kind: Bytes::text(info.kind),
            summary: Bytes::text(info.summary),
            about: Bytes::text(info.about),
            input: Bytes::text(info.input),
            carries: Bytes::text(info.carries),
            example: Bytes::text(info.example),
            reads: slots(&info.reads),
            writes: slots(&info.writes),
            uses: RawTexts::of(info.uses),
            ownership: info.ownership as u32,
            pure: info.pure as u32,
        }
    }
}

// What is declared with types of Rust is read as what it is in C.
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Str>() == size_of::<Bytes>() && align_of::<Str>() == align_of::<Bytes>());
    assert!(size_of::<SlotInfo>() == size_of::<RawSlotInfo>() && offset_of!(SlotInfo, size) == offset_of!(RawSlotInfo, bytes));
    assert!(offset_of!(SlotInfo, name) == 0 && offset_of!(SlotInfo, align) == offset_of!(RawSlotInfo, align));
    assert!(size_of::<EdgeInfo>() == size_of::<RawEdge>() && offset_of!(EdgeInfo, class) == offset_of!(RawEdge, class_id));
    assert!(offset_of!(EdgeInfo, name) == offset_of!(RawEdge, name) && offset_of!(EdgeInfo, doc) == offset_of!(RawEdge, doc));
    assert!(offset_of!(EdgeInfo, layer) == offset_of!(RawEdge, layer));
};

impl Bytes {
    pub const fn text(text: Str) -> Bytes {
        Bytes::new(text.as_str().as_bytes())
    }
}

impl RawTexts {
    pub const fn of(list: List<Str>) -> RawTexts {
        // `Str` and `Bytes` are laid out alike: asserted above.
        RawTexts { first: list.as_slice().as_ptr().cast(), len: list.as_slice().len() }
    }
}

impl RawEdges {
    const fn of(edges: &'static [EdgeInfo]) -> RawEdges {
        // `EdgeInfo` and `RawEdge` are laid out alike: asserted above.
        RawEdges { first: edges.as_ptr().cast(), len: edges.len() }
    }
}

impl RawSlot {
    pub(crate) fn is(&self, info: &SlotInfo) -> bool {
        // SAFETY: the host keeps the name alive as long as the setup.
        let name = unsafe { self.info.name.as_slice() };
        name == info.name.as_str().as_bytes() && (self.info.bytes, self.info.align) == (info.size, info.align)
    }
}

pub(super) type Create = unsafe extern "C" fn(Bytes, *mut RawSetup, *const Sink) -> *mut c_void;
pub(super) type Process = unsafe extern "C" fn(*mut c_void, *mut RawFrame, *const RawContext) -> i32;
pub(super) type OwnerOf = unsafe extern "C" fn(*const c_void, *mut RawFrame, *const RawContext) -> i32;
type Tick = unsafe extern "C" fn(*mut c_void, *mut RawOutbox, *const RawContext) -> i32;
type Offloaded = unsafe extern "C" fn(*mut c_void, *const [u64; ROLES], *const RawContext) -> i32;

/// Entries of kinds in the program that those of libraries have not.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub offloaded: Offloaded,
    pub would_own: unsafe extern "C" fn(*const c_void, *mut RawFrame, *const RawContext) -> i32,
}
type Save = unsafe extern "C" fn(*mut c_void, u64, *const Sink, *mut u64) -> i32;
type Reason = unsafe extern "C" fn(*const c_void, *mut RawFrame, u16, *const RawContext, *mut RawWords) -> i32;
type Simulate = unsafe extern "C" fn(*mut c_void, *mut RawFrame, *const RawContext, *mut RawWords) -> i32;
type Restore = unsafe extern "C" fn(*mut c_void, u32, Bytes, *const Sink) -> i32;

/// The entries of a vtable, of which those are there that must be.
#[derive(Clone, Copy)]
pub(super) struct NodeEntries {
    pub key: unsafe extern "C" fn() -> TypeKey,
    pub create: Create,
    pub process: Process,
    pub owner: Option<OwnerOf>,
    pub tick: Option<Tick>,
    pub adopt: Option<unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32>,
    pub save: Option<Save>,
    pub restore: Option<Restore>,
    pub schema: Option<unsafe extern "C" fn(*const Sink)>,
    pub check: Option<unsafe extern "C" fn(Bytes, *const Sink) -> i32>,
    pub destroy: unsafe extern "C" fn(*mut c_void),
    pub reason: Option<Reason>,
    pub simulate: Option<Simulate>,
}

/// Where the code of a kind is.
#[derive(Clone, Copy)]
pub(super) enum Origin<B> {
    /// In the program: with an entry that those of libraries have not.
    BuiltIn { own: B },
    /// In a library.
    Library(&'static Library),
}

/// A kind as the engine knows it: its own words in Rust, and its entries.
pub(super) struct NodeParts {
    pub info: Info,
    pub edges: List<EdgeInfo>,
    pub named: Option<&'static EdgeInfo>,
    pub state_version: u32,
    pub entries: NodeEntries,
    pub origin: Origin<Own>,
}

/// A kind of node, as the registry lists it.
#[derive(Clone, Copy)]
pub struct NodeKind(&'static NodeParts);

impl NodeKind {
    /// The kind that a type implements.
    pub const fn of<T: Node>() -> NodeKind {
        NodeKind(&NodeShims::<T>::PARTS)
    }

    /// Of what a library exports, which was checked.
    pub(super) fn from_parts(parts: &'static NodeParts) -> NodeKind {
        NodeKind(parts)
    }

    /// What it says of itself.
    pub fn info(&self) -> &'static Info {
        &self.0.info
    }

    pub(super) fn parts(self) -> &'static NodeParts {
        self.0
    }

    /// The library that its code is in, if that is not the program itself.
    pub fn library(&self) -> Option<&'static Library> {
        match self.0.origin {
            Origin::BuiltIn { .. } => None,
            Origin::Library(library) => Some(library),
        }
    }

    /// Whether instances of both are of one type of one build: one can take over the state of the other.
    pub fn is_same(&self, other: &NodeKind) -> bool {
        self.key() == other.key()
    }

    /// Whether an instance of this kind can go on with the state of one of another build of it, which it reads as that has written it.
    pub fn converts(&self, old: &NodeKind) -> bool {
        let saves = old.0.state_version != 0 && old.0.entries.save.is_some();
        self.info().kind == old.info().kind && saves && self.0.state_version != 0 && self.0.entries.restore.is_some()
    }

    pub(super) fn key(&self) -> TypeKey {
        // SAFETY: it takes nothing, and is there for as long as its library: for ever.
        unsafe { (self.0.entries.key)() }
    }

    /// Its edges and drop reasons, by id.
    pub fn edges(&self) -> &'static [EdgeInfo] {
        self.0.edges.as_slice()
    }

    /// What the edges are like that a graph names beside these, if it may. Their ids follow.
    pub fn named(&self) -> Option<&'static EdgeInfo> {
        self.0.named
    }

    /// The JSON Schema of its settings; of any, if a library says nothing of them.
    pub fn schema(&self) -> String {
        schema_by(self.0.entries.schema)
    }

    /// Whether settings, as JSON, have the form that the kind wants. What they mean is looked at by [`NodeKind::create`] alone.
    ///
    /// # Errors
    /// The first mistake in them.
    pub fn check(&self, config: &[u8]) -> Result<(), ConfigError> {
        check_by(self.0.entries.check, config)
    }

    /// Makes an instance. `config` is its settings as JSON.
    ///
    /// # Errors
    /// What the kind says is wrong with the settings.
    pub fn create(&self, config: &[u8], host: &NodeHost<'_>) -> Result<(NodeInstance, Wishes), ConfigError> {
        let slot = |(info, at): &(SlotInfo, u16)| {
            let info = RawSlotInfo { name: Bytes::text(info.name), bytes: info.size, align: info.align };
            RawSlot { info, at: *at }
        };
        let slots: Vec<RawSlot> = host.slots.iter().map(slot).collect();
        let edges: Vec<Bytes> = host.edges.iter().map(|name| Bytes::new(name.as_bytes())).collect();
        let tables = host.tables.raw();
        let keeper = host.keeper.map_or_else(|| Arc::new(Keeper::new(host.pool)), Arc::clone);
        let mut found_tables = vec![0; tables.len()];
        let mut found_interfaces = vec![0; host.interfaces.list().len()];
        let mut offload = Offload::NONE;
        let mut setup = RawSetup {
            size: size_of::<RawSetup>() as u32,
            worker: host.worker,
            workers: host.workers,
            any_worker: 0,
            name: Bytes::new(host.name.as_bytes()),
            interfaces: host.interfaces.raw(),
            tables: tables.as_ptr(),
            table_count: tables.len(),
            slots: slots.as_ptr(),
            slot_count: slots.len(),
            edges: RawTexts { first: edges.as_ptr(), len: edges.len() },
            pool: keeper.reference(),
            found_tables: found_tables.as_mut_ptr(),
            found_interfaces: found_interfaces.as_mut_ptr(),
            receive: NO_INTERFACE,
            tick_every: 0,
            native: match self.0.origin {
                Origin::BuiltIn { .. } => (&raw mut offload).cast(),
                Origin::Library(_) => std::ptr::null_mut(),
            },
        };
        let mut error = ConfigError::new("");
        let place = self.place(host.name);
        let (config, sink) = (Bytes::new(config), Sink::collect(&mut error));
        // SAFETY: everything that the setup points to is alive during the call.
        let instance = within(&place, || unsafe { (self.0.entries.create)(config, &raw mut setup, &raw const sink) });
        let (tables, interfaces) = (indexes(&found_tables), indexes(&found_interfaces));
        // Of a node that refuses, too: what it is about is not without use.
        host.tables.mark_used(&tables);
        if instance.is_null() {
            return Err(error);
        }
        let receive = (setup.receive != NO_INTERFACE).then_some(setup.receive);
        let tick_every = (setup.tick_every != 0).then_some(setup.tick_every);
        let owned = self.info().ownership == Ownership::Owned && setup.any_worker == 0;
        let offload = (offload != Offload::NONE).then_some(offload);
        let wishes = Wishes { receive, tick_every, owned, offload, tables, interfaces };
        let instance = NodeInstance::new(*self, instance, keeper, place);
        if wishes.receive.is_some_and(|receive| usize::from(receive) >= host.interfaces.list().len()) {
            return Err(ConfigError::new("this kind has a defect: it wants to receive from an interface that there is not"));
        }
        Ok((instance, wishes))
    }

    fn place(&self, name: &str) -> Option<Box<Running>> {
        let library = self.library()?;
        Some(Box::new(Running { class: "node", name: name.into(), kind: self.info().kind.as_str(), library: library.file() }))
    }
}

fn indexes(found: &[u8]) -> Vec<u16> {
    found.iter().zip(0..).filter_map(|(found, index)| (*found != 0).then_some(index)).collect()
}

/// The JSON Schema that an entry puts; that of any settings, where there is no entry.
pub(super) fn schema_by(schema: Option<unsafe extern "C" fn(*const Sink)>) -> String {
    let Some(schema) = schema else { return r#"{"type":"object"}"#.into() };
    let mut text = ConfigError::new("");
    let sink = Sink::collect(&mut text);
    // SAFETY: the sink is good during the call.
    unsafe { schema(&raw const sink) };
    text.message().to_string()
}

pub(super) fn check_by(check: Option<unsafe extern "C" fn(Bytes, *const Sink) -> i32>, config: &[u8]) -> Result<(), ConfigError> {
    let Some(check) = check else { return Ok(()) };
    let mut error = ConfigError::new("");
    let sink = Sink::collect(&mut error);
    // SAFETY: the bytes and the sink are alive during the call.
    let code = unsafe { check(Bytes::new(config), &raw const sink) };
    if code == DONE { Ok(()) } else { Err(error) }
}

impl std::fmt::Debug for NodeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKind({})", self.info().kind)
    }
}

/// What an instance is made with.
#[derive(Debug, Clone, Copy)]
pub struct NodeHost<'a> {
    /// Its name in the graph.
    pub name: &'a str,
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
