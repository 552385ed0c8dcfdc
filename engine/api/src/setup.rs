//! What nodes and tables find when they are made, and what a node finds when it is called.

use std::any::TypeId;
use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::abi::{Known, RawContext, RawSetup, RawTable, TypeKey};
use crate::edges::Edges;
use crate::frame::Held;
use crate::offload::{NO_EDGE, Offload, ROLES};
use crate::packet::{Slot, SlotName};
use crate::table::Table;
use crate::table_setup::find_table;
use crate::text::Str;
use crate::wire::MacAddr;

/// What is wrong with settings: a place in them, and a sentence. The loader makes file, line and column of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    path: String,
    message: String,
}

impl ConfigError {
    /// An error of the settings as a whole.
    pub fn new(message: impl Into<String>) -> ConfigError {
        ConfigError::at("", message)
    }

    /// An error at a place, as `routes[3].via`.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> ConfigError {
        ConfigError { path: path.into(), message: message.into() }
    }

    /// The same error, where the settings that it is about stand at a place in others.
    #[must_use]
    pub fn inside(self, outer: &str) -> ConfigError {
        let dot = if self.path.is_empty() || self.path.starts_with('[') || outer.is_empty() { "" } else { "." };
        ConfigError { path: format!("{outer}{dot}{}", self.path), message: self.message }
    }

    /// The place in the settings; empty for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for ConfigError {}

/// An interface as nodes and tables see it. Its index is what [`Lane::rx`](crate::Lane) and [`Lane::tx`](crate::Lane) hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Interface {
    /// Its name in the graph file.
    pub name: String,
    /// Its hardware address.
    pub mac: MacAddr,
    /// The longest layer 3 packet it carries, in bytes.
    pub mtu: u16,
    /// Its addresses, each with the length of its subnet's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Interface {
    /// What stands at a place that no interface has: it has no name, so that nobody can mean it.
    pub fn vacant() -> Interface {
        Interface { name: String::new(), mac: MacAddr::ZERO, mtu: 0, addresses: Vec::new() }
    }

    /// Whether no interface has its place.
    pub fn is_vacant(&self) -> bool {
        self.name.is_empty()
    }
}

impl TypeKey {
    /// The key of no type.
    pub(crate) const NONE: TypeKey = TypeKey { id: [0; 2], library: 0 };

    /// The key of a type.
    pub fn of<T: 'static>() -> TypeKey {
        /// Its address differs between copies of this crate, whose types must not be taken for each other.
        static LIBRARY: u8 = 0;
        // SAFETY: a TypeId is 16 initialised bytes (checked by the compiler: transmute wants equal sizes).
        let id = unsafe { std::mem::transmute::<TypeId, [u64; 2]>(TypeId::of::<T>()) };
        TypeKey { id, library: &raw const LIBRARY as usize }
    }
}

/// A table that a node has found by name; good for the graph that the node was made for.
pub struct Handle<T> {
    index: u32,
    table: PhantomData<fn() -> T>,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Handle<T> {
        *self
    }
}
impl<T> Copy for Handle<T> {}

/// What a node finds when it is made.
pub struct Setup<'a> {
    raw: &'a mut RawSetup,
    interfaces: Rc<Known>,
}

impl<'a> Setup<'a> {
    /// # Safety
    /// All pointers of the raw setup are good during `'a`, the bytes of edges are those of `str`s, those to flags for as many as there are tables and interfaces, and nothing
    /// else reaches the flags.
    pub(crate) unsafe fn new(raw: &'a mut RawSetup) -> Setup<'a> {
        // SAFETY: the caller's contract.
        let interfaces = unsafe { Known::of(raw.interfaces) };
        Setup { raw, interfaces }
    }

    /// The name of the node in the graph.
    pub fn name(&self) -> &'a str {
        // SAFETY: `new`'s contract: it is the text of a `str`.
        unsafe { std::str::from_utf8_unchecked(self.raw.name.as_slice()) }
    }

    /// The worker that the instance is for, from 0.
    pub fn worker(&self) -> u32 {
        self.raw.worker
    }

    /// How many workers there are.
    pub fn workers(&self) -> u32 {
        self.raw.workers
    }

    /// All interfaces, by index.
    pub fn interfaces(&self) -> &[Interface] {
        self.interfaces.list()
    }

    /// The index of the interface that the setting at `path` names.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn interface(&self, path: &str, name: &str) -> Result<u16, ConfigError> {
        let index = self.interfaces.find(path, name)?;
        // SAFETY: `new`'s contract: there is a flag for each interface, and `index` is that of one.
        unsafe { *self.raw.found_interfaces.add(index.into()) = 1 };
        Ok(index)
    }

    /// Asks for the packets that the interface receives: they come in as frames. A node can receive from one interface.
    pub fn receive(&mut self, interface: u16) {
        self.raw.receive = interface;
    }

    /// Asks for [`Node::tick`](crate::Node::tick) about every `period`.
    pub fn every(&mut self, period: Duration) {
        self.raw.tick_every = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    }

    /// Says that any worker may have the packets of this node, as its settings and tables are, though its kind is
    /// [`owned`](crate::Info::owned): a filter whose table keeps no sessions, say. There is no handoff before it, then, and
    /// [`Node::owner`](crate::Node::owner) is not asked. To be said for each worker alike; the first one's word counts.
    pub fn any_worker(&mut self) {
        self.raw.any_worker = 1;
    }

    /// Asks the drivers of the interfaces whose packets the node gets to do some of its work beforehand, where they can: see [`Offload`].
    /// All its packets have to come from nodes that receive, otherwise the graph is refused, at the setting `offload`. `edges` are those
    /// that packets would be dropped by, by role; `prefixes` is how long the list in the table is, of IPv4 and of IPv6. No driver does so
    /// for a kind of a plugin: its node sees each packet.
    pub fn offload<T: Table, N: Edges>(
        &mut self,
        work: &'static str,
        table: Handle<T>,
        edges: [Option<N>; ROLES],
        prefixes: [usize; 2],
    ) {
        // SAFETY: it is null, or an `Offload` of this build that is good during 'a and nobody else's.
        let Some(offload) = (unsafe { self.raw.native.cast::<Offload>().as_mut() }) else { return };
        *offload = Offload {
            work: Str::new(work),
            table: table.index as u16,
            edges: edges.map(|edge| edge.map_or(NO_EDGE, N::id)),
            prefixes: prefixes.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        };
    }

    /// The table that the setting at `path` names; without a name the only table of its kind.
    ///
    /// # Errors
    /// There is no such table, or it is of another kind; without a name: there is none of the kind, or more than one.
    pub fn table<T: Table>(&mut self, path: &str, name: Option<&str>) -> Result<Handle<T>, ConfigError> {
        let tables = self.tables();
        let index = find_table::<T>(tables, path, name)?;
        // SAFETY: `new`'s contract: there is a flag for each table, and `index` is that of one.
        unsafe { *self.raw.found_tables.add(index) = 1 };
        Ok(Handle { index: index as u32, table: PhantomData })
    }

    /// The shared part of a table.
    pub fn shared<T: Table>(&self, handle: Handle<T>) -> &'a T {
        let found = self.tables().get(handle.index as usize).filter(|table| table.key == TypeKey::of::<T>());
        // SAFETY: the key is that of T, and the table lives during 'a.
        unsafe { &*found.expect("the handle is of another graph").shared.cast::<T>() }
    }

    /// The place of a slot, which the node has declared in its [`Info`](crate::Info).
    ///
    /// # Errors
    /// The node has not declared it.
    pub fn slot<T: zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable + 'static>(
        &self,
        name: &SlotName<T>,
    ) -> Result<Slot<T>, ConfigError> {
        let info = name.info();
        // SAFETY: `new`'s contract.
        let slots = unsafe { std::slice::from_raw_parts(self.raw.slots, self.raw.slot_count) };
        let found = slots.iter().find(|slot| slot.is(&info));
        found
            .map(|slot| Slot::at(slot.at))
            .ok_or_else(|| ConfigError::new(format!("the node uses the slot `{}` and does not declare it in its INFO", info.name)))
    }

    /// The names of the edges that the graph names, for a kind whose `Next` is a [`Branch`](crate::Branch): no two are the same, and
    /// their order says nothing. What is wrong with one is said at the path `to.NAME`.
    pub fn edges(&self) -> impl ExactSizeIterator<Item = &'a str> {
        // SAFETY: `new`'s contract.
        let names = unsafe { std::slice::from_raw_parts(self.raw.edges.first, self.raw.edges.len) };
        // SAFETY: `new`'s contract: each is the text of a `str`, which lives during 'a.
        names.iter().map(|name| unsafe { std::str::from_utf8_unchecked(name.as_slice()) })
    }

    /// A place for at most `capacity` packets that the node will keep.
    pub fn held<K>(&self, capacity: usize) -> Held<K> {
        Held::new(capacity, self.raw.pool.clone())
    }

    fn tables(&self) -> &'a [RawTable] {
        // SAFETY: `new`'s contract.
        unsafe { std::slice::from_raw_parts(self.raw.tables, self.raw.table_count) }
    }
}

impl fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setup(worker {} of {})", self.worker(), self.workers())
    }
}

/// What a node finds when it is called.
pub struct Context<'a> {
    raw: &'a RawContext,
}

impl<'a> Context<'a> {
    /// # Safety
    /// All pointers of the raw context are good during `'a`, and the shards are nobody else's.
    pub(crate) unsafe fn new(raw: &'a RawContext) -> Context<'a> {
        Context { raw }
    }

    /// Nanoseconds of the engine's monotonic clock, read once per sweep.
    #[inline]
    pub fn now(&self) -> u64 {
        self.raw.now
    }

    /// The shared part of a table.
    ///
    /// # Panics
    /// If the handle is of another graph, as after a mistaken `adopt`; the engine contains it as a fault.
    #[inline]
    pub fn table<T: Table>(&self, handle: Handle<T>) -> &'a T {
        // SAFETY: `entry` has checked the key; the shared part lives during 'a.
        unsafe { &*self.entry::<T>(handle.index).0.cast::<T>() }
    }

    /// This worker's shard of a table.
    ///
    /// # Panics
    /// As [`Context::table`].
    #[inline]
    pub fn shard<T: Table>(&mut self, handle: Handle<T>) -> &mut T::Shard {
        // SAFETY: `entry` has checked the key of T, whose shard this is; `&mut self` makes it the only one that is borrowed.
        unsafe { &mut *self.entry::<T>(handle.index).1.cast::<T::Shard>() }
    }

    /// This worker's shard of a table, to be looked at.
    ///
    /// # Panics
    /// As [`Context::table`].
    pub fn peek<T: Table>(&self, handle: Handle<T>) -> &T::Shard {
        // SAFETY: as in `shard`; while `&self` is borrowed nobody has one to be changed.
        unsafe { &*self.entry::<T>(handle.index).1.cast::<T::Shard>() }
    }

    /// This worker's shards of two tables.
    ///
    /// # Panics
    /// As [`Context::table`], and if both are the same table.
    #[inline]
    pub fn shards<A: Table, B: Table>(&mut self, a: Handle<A>, b: Handle<B>) -> (&mut A::Shard, &mut B::Shard) {
        assert_ne!(a.index, b.index, "two shards at once are of two tables");
        // SAFETY: as in `shard`, and the two are not the same.
        unsafe { (&mut *self.entry::<A>(a.index).1.cast(), &mut *self.entry::<B>(b.index).1.cast()) }
    }

    #[inline]
    fn entry<T: Table>(&self, index: u32) -> (*const c_void, *mut c_void) {
        assert!(index < self.raw.table_count, "the handle is of another graph");
        // SAFETY: index < table_count, and `new`'s contract.
        let entry = unsafe { &*self.raw.tables.add(index as usize) };
        assert!(entry.key == TypeKey::of::<T>(), "the handle is of another graph");
        (entry.shared, entry.shard)
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context(at {} ns)", self.now())
    }
}
