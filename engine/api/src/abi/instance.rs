//! An instance of a node, and what calling it comes to.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::node::{NodeKind, NodeVTable};
use super::{DONE, WorkerTables};
use crate::edges::{Edges, reserved};
use crate::frame::{RawFrame, RawOutbox, RawPool};
use crate::memory::{Cache, Pool};
use crate::node::Info;
use crate::offload::ROLES;
use crate::owner::Owner;
use crate::packet::{Nexts, VECTOR, Vector};

/// What the `Held`s of a node of one worker give their packets back to: of one instance, and of those that take its place.
#[derive(Debug)]
pub struct Keeper {
    pool: Arc<Pool>,
    /// Packets that came back because a `Held` was dropped, and that no call has reported yet.
    dropped: AtomicU32,
}

impl Keeper {
    /// Packets that were thrown away and that no call has reported yet.
    pub fn unreported(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What has been dropped since this was last asked: of a node that is not called any more.
    pub fn report(&self) -> u32 {
        self.take_dropped()
    }

    pub(super) fn new(pool: &Arc<Pool>) -> Keeper {
        Keeper { pool: Arc::clone(pool), dropped: AtomicU32::new(0) }
    }

    /// What has been dropped since this was last asked.
    #[inline]
    fn take_dropped(&self) -> u32 {
        // A load first: a swap would cost more than all the rest of a call.
        if self.dropped.load(Ordering::Relaxed) == 0 { 0 } else { self.dropped.swap(0, Ordering::Relaxed) }
    }

    pub(super) fn reference(self: &Arc<Keeper>) -> RawPool {
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
    // Null of a vacant one, which is faulty from the start and for good: so it is never called.
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
    /// Of what `create` of the vtable has made.
    pub(super) fn new(vtable: &'static NodeVTable, instance: *mut c_void, keeper: Arc<Keeper>) -> NodeInstance {
        NodeInstance { vtable, instance, faulty: false, keeper }
    }

    /// An instance that does nothing, in the place of one that is to come: what it is called with gets the id [`reserved::FAULT`].
    pub fn vacant(kind: NodeKind, pool: &Arc<Pool>) -> NodeInstance {
        let keeper = Arc::new(Keeper::new(pool));
        NodeInstance { vtable: kind.vtable(), instance: std::ptr::null_mut(), faulty: true, keeper }
    }

    /// Where packets go that it throws away.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

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
        let mut frame = RawFrame::new(&mut raw_outbox, packets, nexts);
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

    /// Asks the node for the owner of each packet of the vector, of which there are at most 256: the ids of `owners` are workers, or
    /// [`Owner::ANY`]. A node that fails here is out of service, and its packets stay where they are.
    pub fn owner(&mut self, packets: &mut Vector, owners: &mut Nexts, call: Call<'_>) {
        let Call { outbox, cache, tables, now, .. } = call;
        let len = packets.len();
        assert!(len <= VECTOR, "a node sees at most 256 packets at once");
        packets.assert_pool(cache.pool());
        let mut done = false;
        if !self.faulty {
            // Without room and chunks: nothing can be made or kept here.
            let mut raw_outbox = outbox.raw(0, cache);
            let mut frame = RawFrame::new(&mut raw_outbox, packets, owners);
            let context = tables.context(now);
            // SAFETY: as in `process`.
            let code = unsafe { (self.vtable.owner)(self.instance, &raw mut frame, &raw const context) };
            self.faulty = code != DONE;
            done = code == DONE && frame.decided;
        }
        if !done {
            owners.fill(len, Owner::ANY.id());
        }
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

    /// Tells the node of packets that a driver has dropped in its place, by role.
    pub fn offloaded(&mut self, packets: [u64; ROLES], tables: &mut WorkerTables, now: u64) {
        if self.faulty {
            return;
        }
        let context = tables.context(now);
        // SAFETY: as in `process`.
        let code = unsafe { (self.vtable.offloaded)(self.instance, &raw const packets, &raw const context) };
        self.faulty = code != DONE;
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
        if !self.instance.is_null() {
            // SAFETY: the instance is of this vtable, and dropped once.
            unsafe { (self.vtable.destroy)(self.instance) };
        }
    }
}

impl std::fmt::Debug for NodeInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeInstance({})", self.info().kind)
    }
}
