//! An instance of a node, and what calling it comes to.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::convert::Bound;
use super::fault::{Running, within};
use super::node::{NodeKind, Origin, Own, OwnerOf};
use super::raw::{Bytes, RawFrame, RawOutbox, RawPool, Sink};
use super::{DONE, NOT_SIMULATED, WorkerTables};
use crate::edges::{Edges, reserved};
use crate::memory::{Cache, Pool};
use crate::node::Info;
use crate::offload::ROLES;
use crate::owner::Owner;
use crate::packet::{Nexts, VECTOR, Vector};
use crate::words::Note;

/// What the `Held`s of a node of one worker give their packets back to: of one instance, and of those that take its place.
#[derive(Debug)]
pub struct Keeper {
    pool: Arc<Pool>,
    /// Packets that came back because a `Held` was dropped, and that no call has reported yet.
    dropped: AtomicU32,
    /// Instances that are out of service, or were.
    faults: AtomicU32,
}

impl Keeper {
    /// Packets that were thrown away and that no call has reported yet.
    pub fn unreported(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How often an instance of the node has gone out of service on this worker.
    pub fn faults(&self) -> u32 {
        self.faults.load(Ordering::Relaxed)
    }

    /// What has been dropped since this was last asked: of a node that is not called any more.
    pub fn report(&self) -> u32 {
        self.take_dropped()
    }

    pub(super) fn new(pool: &Arc<Pool>) -> Keeper {
        Keeper { pool: Arc::clone(pool), dropped: AtomicU32::new(0), faults: AtomicU32::new(0) }
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
        let host = Arc::into_raw(Arc::clone(self)).cast();
        RawPool { host, pool, capacity, retain: Some(retain), release: Some(release), give_back: Some(give_back) }
    }
}

/// An instance of a node.
pub struct NodeInstance {
    kind: NodeKind,
    // Null of a vacant one, which is faulty from the start and for good: so it is never called.
    instance: *mut c_void,
    faulty: bool,
    keeper: Arc<Keeper>,
    // Of a library's kind: what is said if the process dies in it.
    place: Option<Box<Running>>,
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

/// What a node would do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simulated {
    /// It would decide so; the packet is as it would leave.
    Next(u16),
    /// It cannot say without doing it.
    NotSimulated,
    /// It panicked.
    Panicked,
}

/// Where packets go that a node makes or releases: a vector with a decision for each.
#[derive(Debug)]
pub struct Outbox {
    /// The packets.
    pub packets: Vector,
    /// Where they go.
    pub nexts: Nexts,
    made: Vec<u32>,
}

impl Outbox {
    /// An empty one.
    pub fn new(pool: &Arc<Pool>) -> Outbox {
        Outbox { packets: Vector::new(pool), nexts: Nexts::default(), made: Vec::with_capacity(VECTOR) }
    }

    /// The positions of the chunks that the last call has made packets of: what they were before is no concern of whoever has them now.
    pub fn made(&self) -> &[u32] {
        &self.made
    }

    /// Lends itself and the free chunks of the cache to a call, which may fill it with `room` packets.
    fn raw(&mut self, room: usize, cache: &mut Cache) -> RawOutbox {
        self.packets.assert_pool(cache.pool());
        assert!(self.packets.is_empty(), "an outbox is emptied after each call");
        self.made.clear();
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

    /// Takes over what the call has left in it. `false` if its counts cannot be: then nothing is in it, and the chunks stay where they were.
    fn filled(&mut self, raw: &RawOutbox, (room, spares): (u32, u32), cache: &mut Cache, called: &mut Called) -> bool {
        let left = spares.checked_sub(raw.made).filter(|left| *left == raw.spares);
        let adds_up = raw.len <= room && raw.made.checked_add(raw.released) == Some(raw.len);
        let (true, Some(_)) = (adds_up, left) else {
            self.nexts.fill(0, 0);
            return false;
        };
        let left = cache.stack().len() - raw.made as usize;
        self.made.extend_from_slice(&cache.stack()[left..]);
        cache.stack().truncate(left);
        // SAFETY: `Emit`, or a library in its place, has put `len` packets there, each of a chunk that it took from the cache (which has just
        // forgotten as many as were made) or that it had kept.
        unsafe { self.packets.set_len(raw.len as usize) };
        self.nexts.raw(raw.len as usize);
        (called.made, called.released) = (raw.made, raw.released);
        (called.no_room, called.no_buffer) = (raw.no_room, raw.no_buffer);
        true
    }
}

impl NodeInstance {
    /// Of what `create` of the vtable has made.
    pub(super) fn new(kind: NodeKind, instance: *mut c_void, keeper: Arc<Keeper>, place: Option<Box<Running>>) -> NodeInstance {
        NodeInstance { kind, instance, faulty: false, keeper, place }
    }

    /// An instance that does nothing, in the place of one that is to come: what it is called with gets the id [`reserved::FAULT`].
    pub fn vacant(kind: NodeKind, pool: &Arc<Pool>) -> NodeInstance {
        let keeper = Arc::new(Keeper::new(pool));
        NodeInstance { kind, instance: std::ptr::null_mut(), faulty: true, keeper, place: None }
    }

    /// Where packets go that it throws away.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// What the kind says of itself.
    pub fn info(&self) -> &'static Info {
        self.kind.info()
    }

    /// Whether it has panicked: it is not called any more, and its packets get the id [`reserved::FAULT`].
    pub fn is_faulty(&self) -> bool {
        self.faulty
    }

    /// It is not called any more.
    #[cold]
    fn fail(&mut self) {
        self.faulty = true;
        self.keeper.faults.fetch_add(1, Ordering::Relaxed);
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
        let given = (raw_outbox.room, raw_outbox.spares);
        let mut frame = RawFrame::new(&mut raw_outbox, packets, nexts);
        let context = tables.context(now);
        let process = self.kind.parts().entries.process;
        // SAFETY: the instance is of this vtable; the frame names the vector's own arrays and packets, which nobody else touches
        // during the call; the context's tables are alive, and the shards are this worker's.
        let code = within(&self.place, || unsafe { process(self.instance, &raw mut frame, &raw const context) });
        let RawFrame { taken, taken_id, decided, .. } = frame;
        let fits = outbox.filled(&raw_outbox, given, cache, &mut called);
        called.held_dropped = self.keeper.take_dropped();
        if taken > 0 {
            packets.close_gaps(nexts);
            called.taken = (len - packets.len()) as u32;
            called.taken_id = taken_id;
        }
        if code != DONE || !fits || called.taken != taken {
            self.fail();
            called.panicked = true;
        }
        if called.panicked || decided == 0 {
            nexts.fill(packets.len(), reserved::FAULT);
        }
        called
    }

    /// Asks the node for the owner of each packet of the vector, of which there are at most 256: the ids of `owners` are workers, or
    /// [`Owner::ANY`]. A node that fails here is out of service, and its packets stay where they are.
    pub fn owner(&mut self, packets: &mut Vector, owners: &mut Nexts, call: Call<'_>) {
        let entry = self.kind.parts().entries.owner;
        self.owner_by(entry, packets, owners, call);
    }

    /// As [`NodeInstance::owner`], of packets that are not real: nothing is remembered of them. A node that fails here stays in service.
    pub fn would_own(&mut self, packets: &mut Vector, owners: &mut Nexts, call: Call<'_>) {
        let entry = match self.kind.parts().origin {
            Origin::BuiltIn { own } => Some(own.would_own),
            Origin::Library(_) => self.kind.parts().entries.owner,
        };
        let was_faulty = self.faulty;
        self.owner_by(entry, packets, owners, call);
        self.faulty = was_faulty;
    }

    fn owner_by(&mut self, owner: Option<OwnerOf>, packets: &mut Vector, owners: &mut Nexts, call: Call<'_>) {
        let Call { outbox, cache, tables, now, .. } = call;
        let len = packets.len();
        assert!(len <= VECTOR, "a node sees at most 256 packets at once");
        packets.assert_pool(cache.pool());
        let mut done = false;
        if let (false, Some(owner)) = (self.faulty, owner) {
            // Without room and chunks: nothing can be made or kept here.
            let mut raw_outbox = outbox.raw(0, cache);
            let mut frame = RawFrame::new(&mut raw_outbox, packets, owners);
            let context = tables.context(now);
            // SAFETY: as in `process`.
            let code = within(&self.place, || unsafe { owner(self.instance, &raw mut frame, &raw const context) });
            let fails = code != DONE || frame.taken != 0;
            if fails {
                self.fail();
            }
            done = !fails && frame.decided != 0;
        }
        if !done {
            owners.fill(len, Owner::ANY.id());
        }
    }

    /// Has the node say why it has decided so for the packet of an index, as it leaves the node. A node that fails here says nothing.
    pub fn reason(&self, packets: &mut Vector, index: usize, decided: u16, tables: &WorkerTables, now: u64, note: &mut Note) {
        let Some(reason) = self.kind.parts().entries.reason.filter(|_| !self.faulty) else { return };
        let Some(mut frame) = RawFrame::one(packets, index) else { return };
        let context = tables.context(now);
        note.with(|words| {
            // SAFETY: as in `process`; the note lends bytes of its own.
            within(&self.place, || unsafe { reason(self.instance, &raw mut frame, decided, &raw const context, words) })
        });
    }

    /// What the node would do with the one packet of a vector, which is changed as it would be; and why, as far as it can say. Nothing else
    /// is changed.
    pub fn simulate(&mut self, packet: &mut Vector, nexts: &mut Nexts, call: Call<'_>, note: &mut Note) -> Simulated {
        assert_eq!(packet.len(), 1, "one packet is asked about");
        if self.faulty {
            note.say("it has failed before");
            self.place.iter().for_each(|place| note.say(format_args!("its code is of the plugin {}", place.library)));
            return Simulated::Next(reserved::FAULT);
        }
        let Call { outbox, cache, tables, now, .. } = call;
        if self.kind.info().pure {
            // Without room, so that nothing can be made: such a node does not.
            let called = self.process(packet, nexts, Call { outbox, room: 0, cache, tables, now });
            // Nobody's packet was lost: it is not out of service for it.
            let failed = std::mem::take(&mut self.faulty);
            self.keeper.faults.fetch_sub(failed.into(), Ordering::Relaxed);
            if failed || called != Called::default() || packet.len() != 1 {
                return Simulated::Panicked;
            }
            let decided = nexts.ids()[0];
            self.reason(packet, 0, decided, tables, now, note);
            return Simulated::Next(decided);
        }
        let Some(simulate) = self.kind.parts().entries.simulate else { return Simulated::NotSimulated };
        let Some(mut frame) = RawFrame::one(packet, 0) else { return Simulated::NotSimulated };
        let context = tables.context(now);
        let code = note.with(|words| {
            // SAFETY: as in `reason`.
            within(&self.place, || unsafe { simulate(self.instance, &raw mut frame, &raw const context, words) })
        });
        match u16::try_from(code) {
            Ok(id) => Simulated::Next(id),
            Err(_) if code == NOT_SIMULATED => Simulated::NotSimulated,
            Err(_) => Simulated::Panicked,
        }
    }

    /// Lets the node act on the time. What it makes and releases is in the outbox, at most `room` packets.
    pub fn tick(&mut self, call: Call<'_>) -> Called {
        let Call { outbox, room, cache, tables, now } = call;
        let mut called = Called::default();
        let Some(tick) = self.kind.parts().entries.tick.filter(|_| !self.faulty) else {
            outbox.nexts.fill(0, 0);
            return called;
        };
        let mut raw = outbox.raw(room, cache);
        let given = (raw.room, raw.spares);
        let context = tables.context(now);
        // SAFETY: as in `process`.
        let code = within(&self.place, || unsafe { tick(self.instance, &raw mut raw, &raw const context) });
        let fits = outbox.filled(&raw, given, cache, &mut called);
        called.held_dropped = self.keeper.take_dropped();
        if code != DONE || !fits {
            self.fail();
            called.panicked = true;
        }
        called
    }

    /// Tells the node of packets that a driver has dropped in its place, by role.
    pub fn offloaded(&mut self, packets: [u64; ROLES], tables: &mut WorkerTables, now: u64) {
        let (false, Origin::BuiltIn { own: Own { offloaded, .. } }) = (self.faulty, self.kind.parts().origin) else { return };
        let context = tables.context(now);
        // SAFETY: as in `process`.
        let code = unsafe { offloaded(self.instance, &raw const packets, &raw const context) };
        if code != DONE {
            self.fail();
        }
    }

    /// Has this instance take over the state of the one that it replaces: at once if both are of one kind and build, or else piece by piece, as
    /// the other writes it and this one reads it. `false` if they are of two kinds, or one of both panicked or refused; what was carried until
    /// then stays.
    pub fn adopt(&mut self, old: &mut NodeInstance) -> bool {
        if self.faulty || old.faulty {
            return false;
        }
        if !self.kind.is_same(&old.kind) {
            return self.kind.converts(&old.kind) && self.convert(old);
        }
        let Some(adopt) = self.kind.parts().entries.adopt else { return true };
        // SAFETY: both are instances of the type that the key names, and two.
        let adopted = within(&self.place, || unsafe { adopt(self.instance, old.instance) }) == DONE;
        if !adopted {
            self.fail();
        }
        adopted
    }

    fn convert(&mut self, old: &mut NodeInstance) -> bool {
        let (before, after) = (old.kind.parts(), self.kind.parts());
        let (Some(save), Some(restore)) = (before.entries.save, after.entries.restore) else { return false };
        let (save, restore) = (
            |at, sink: &Sink, next: &mut u64| {
                // SAFETY: the instance is of the kind that saves; sink and number are good during the call.
                within(&old.place, || unsafe { save(old.instance, at, sink, next) })
            },
            |piece: &[u8], sink: &Sink| {
                // SAFETY: the instance is of the kind that restores; the bytes and the sink are good during the call.
                within(&self.place, || unsafe { restore(self.instance, before.state_version, Bytes::new(piece), sink) })
            },
        );
        super::convert::all(Bound::WORKER, save, restore)
    }
}

impl Drop for NodeInstance {
    fn drop(&mut self) {
        if !self.instance.is_null() {
            let destroy = self.kind.parts().entries.destroy;
            // SAFETY: the instance is of this vtable, and dropped once.
            within(&self.place, || unsafe { destroy(self.instance) });
        }
    }
}

impl std::fmt::Debug for NodeInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeInstance({})", self.info().kind)
    }
}
