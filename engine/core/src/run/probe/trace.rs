//! Packets that are followed, from node to node and from worker to worker.
//!
//! A chunk's tag says whether it has a packet that is followed, and where that goes, for all workers to see. What its worker has on the way itself
//! it remembers beside that, with the place in the vector where each is to come: as long as no packet is elsewhere (in a ring, or kept by a
//! node), the others need not be looked at to know that nobody follows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use swath_api::filter::Filter;
use swath_api::{Cache, Desc, Lane, Pool, VECTOR, Vector};

use super::explain::say_worker;
use super::names::Fate;
use super::slip::Pen;
use super::worker::{Leaving, Shared};

/// Packets that one trace follows, at most.
pub(super) const MOST: u64 = 1 << 20;
/// Bytes that are kept of a packet that is followed: all headers.
pub(super) const HEADERS: usize = 128;
/// Packets that a worker remembers the places of, at most.
const REMEMBERED: usize = 1024;

/// Who is followed.
pub(in crate::run) struct Trace {
    /// By chunk. The worker that has the packet writes; with it, the tag goes from one to the other.
    tags: Box<[AtomicU64]>,
    /// What a position is to be multiplied with to get the number of a chunk.
    inverse: u32,
    /// The packets that were chosen.
    chosen: AtomicU32,
    /// Tags of packets that no worker remembers.
    elsewhere: AtomicU32,
}

/// A chunk's tag: `packet:24 | hops:8 | graph:16 | node:16`, where the node is the one that it goes to. 0 if it has no packet that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag(u64);

impl Tag {
    const NONE: Tag = Tag(0);

    fn first(packet: u32) -> Tag {
        Tag(u64::from(packet) << 40)
    }

    fn packet(self) -> u32 {
        (self.0 >> 40) as u32
    }

    fn hops(self) -> u32 {
        (self.0 >> 32) as u32 & 0xff
    }

    /// Behind one more node, on the way to another one.
    fn to(self, graph: u16, node: usize) -> Tag {
        let hops = (self.hops() + 1).min(0xff);
        Tag(u64::from(self.packet()) << 40 | u64::from(hops) << 32 | u64::from(graph) << 16 | node as u64 & 0xffff)
    }

    /// Whether its packet may be at a node. If not, the packet is gone, and its chunk has another one. The nodes of another graph have other
    /// indexes.
    fn may_be_at(self, graph: u16, node: usize) -> bool {
        (self.0 >> 16) as u16 != graph || self.0 as u16 == node as u16
    }
}

/// Who is followed, as one worker has it.
pub(in crate::run) struct Followed {
    trace: Arc<Trace>,
    /// The interface whose packets are chosen, or any.
    receives: Option<u16>,
    /// Packets in inboxes of this worker.
    here: Vec<Here>,
    /// Room for them while they are gone through.
    room: Vec<Here>,
    /// What was just given to a driver, which may refuse it.
    sending: Vec<(Desc, Tag)>,
    /// Who has come to a node that may keep packets.
    arrived: Vec<Arrived>,
    /// A copy of one of them, for the node to say why it keeps it.
    copy: Vector,
}

/// A packet that a node has kept.
pub(in crate::run) struct Kept<'a> {
    pub packet: u32,
    pub hop: u32,
    pub length: u16,
    pub copy: &'a mut Vector,
}

/// A packet as it has come to a node.
struct Arrived {
    desc: Desc,
    lane: Lane,
    kept: usize,
    bytes: [u8; HEADERS],
}

/// A packet in an inbox.
#[derive(Debug, Clone, Copy)]
struct Here {
    desc: Desc,
    node: u16,
    /// Its index there, if none before it went another way.
    at: u16,
}

/// Where a trace writes.
type Ends<'a> = (&'a mut Pen, &'a Shared);

impl Trace {
    pub fn new(pool: &Pool) -> Trace {
        let lines = pool.region().geometry().stride / 64;
        // Newton's iteration for the inverse modulo 2^32 of an odd number, which a stride is in lines: each step doubles the bits that are right.
        let inverse = (0..5).fold(lines, |x: u32, _| x.wrapping_mul(2_u32.wrapping_sub(lines.wrapping_mul(x))));
        let tags = (0..pool.capacity()).map(|_| AtomicU64::new(0)).collect();
        Trace { tags, inverse, chosen: AtomicU32::new(0), elsewhere: AtomicU32::new(0) }
    }

    fn place(&self, desc: Desc) -> Option<&AtomicU64> {
        self.place_at(desc.position())
    }

    fn place_at(&self, position: u32) -> Option<&AtomicU64> {
        self.tags.get(position.wrapping_mul(self.inverse) as usize)
    }

    fn tag(&self, desc: Desc) -> Tag {
        Tag(self.place(desc).map_or(0, |place| place.load(Ordering::Relaxed)))
    }

    fn set(&self, desc: Desc, Tag(tag): Tag) {
        self.place(desc).into_iter().for_each(|place| place.store(tag, Ordering::Relaxed));
    }

    fn any_elsewhere(&self) -> bool {
        // Whoever gets a packet from another worker by a ring sees what that has done before.
        self.elsewhere.load(Ordering::Relaxed) > 0
    }
}

impl Followed {
    /// As one worker has it.
    pub fn new(trace: Arc<Trace>, receives: Option<u16>, pool: &Arc<Pool>) -> Followed {
        let [here, room] = [(); 2].map(|()| Vec::with_capacity(REMEMBERED));
        let (sending, arrived) = (Vec::with_capacity(VECTOR), Vec::with_capacity(VECTOR));
        Followed { trace, receives, here, room, sending, arrived, copy: Vector::new(pool) }
    }

    /// Follows packets on their way, and chooses among those that come in.
    pub fn look(&mut self, leaving: &mut Leaving<'_>, filter: Option<&Filter>, (pen, shared): Ends<'_>) {
        self.sending.clear();
        if let Some(place) = leaving.receives {
            if self.trace.any_elsewhere() {
                // Whatever a chunk had before has gone, seen or not.
                (0..leaving.packets.len()).for_each(|at| self.forget(leaving.packets.descs()[at]));
            }
            if self.receives.is_none_or(|wanted| wanted == place) {
                self.choose(leaving, filter, (pen, shared));
            }
            return;
        }
        if self.trace.any_elsewhere() || !self.are_here(leaving) {
            return self.search(leaving, (pen, shared));
        }
        let mut all = std::mem::replace(&mut self.here, std::mem::take(&mut self.room));
        for one in all.drain(..) {
            if usize::from(one.node) == leaving.index {
                self.step(leaving, one.at.into(), (&mut *pen, shared));
            } else {
                self.remember(one);
            }
        }
        self.room = all;
    }

    /// Whether all that are to come to this node are where they are to be.
    fn are_here(&self, leaving: &Leaving<'_>) -> bool {
        let (node, descs) = (leaving.index as u16, leaving.packets.descs());
        let is_there = |one: &Here| descs.get(usize::from(one.at)).is_some_and(|desc| desc.position() == one.desc.position());
        self.here.iter().all(|one| one.node != node || is_there(one))
    }

    /// Looks for those that are followed by their tags.
    fn search(&mut self, leaving: &mut Leaving<'_>, (pen, shared): Ends<'_>) {
        for at in 0..leaving.packets.len() {
            let desc = leaving.packets.descs()[at];
            match self.trace.tag(desc) {
                Tag::NONE => {}
                tag if tag.may_be_at(leaving.graph, leaving.index) => {
                    self.take(desc);
                    self.step(leaving, at, (&mut *pen, shared));
                }
                _ => self.forget(desc),
            }
        }
        // Who has not come is still in the inbox: the tag will tell.
        let before = self.here.len();
        self.here.retain(|one| usize::from(one.node) != leaving.index);
        self.trace.elsewhere.fetch_add((before - self.here.len()) as u32, Ordering::Relaxed);
    }

    /// Chooses among packets that come in.
    fn choose(&mut self, leaving: &mut Leaving<'_>, filter: Option<&Filter>, (pen, shared): Ends<'_>) {
        if !shared.wants_more() {
            return;
        }
        let mut next = 0;
        while let Some(at) = leaving.find(next, filter, |_| true) {
            if !shared.claim() {
                return;
            }
            let tag = Tag::first(self.trace.chosen.fetch_add(1, Ordering::Relaxed) + 1);
            self.trace.set(leaving.packets.descs()[at], tag);
            self.step(leaving, at, (&mut *pen, shared));
            next = at + 1;
        }
    }

    /// Writes down what has become of a packet that is followed, and remembers where it goes.
    fn step(&mut self, leaving: &mut Leaving<'_>, at: usize, (pen, shared): Ends<'_>) {
        let (desc, slot) = (leaving.packets.descs()[at], leaving.slot(at));
        let Some(place) = self.trace.place(desc) else { return };
        let tag = Tag(place.load(Ordering::Relaxed));
        write(leaving, (at, slot), tag, (pen, shared));
        let edge = &leaving.names.nodes[leaving.index].edges[slot];
        let next = match (edge.fate, edge.to) {
            (Fate::Goes, Some(node)) => {
                let next = tag.to(leaving.graph, node);
                place.store(next.0, Ordering::Relaxed);
                return self.remember(Here { desc, node: node as u16, at: at as u16 });
            }
            (Fate::Sent, _) => {
                self.sending.push((desc, tag.to(leaving.graph, leaving.index)));
                Tag::NONE
            }
            (Fate::Goes | Fate::Dropped | Fate::Held | Fate::Consumed | Fate::NotSimulated, _) => Tag::NONE,
        };
        place.store(next.0, Ordering::Relaxed);
    }

    fn remember(&mut self, one: Here) {
        if self.here.len() < REMEMBERED {
            self.here.push(one);
        } else {
            self.trace.elsewhere.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a packet that has a tag from where it is remembered.
    fn take(&mut self, desc: Desc) {
        match self.here.iter().position(|one| one.desc.position() == desc.position()) {
            Some(number) => _ = self.here.remove(number),
            None => _ = self.trace.elsewhere.fetch_sub(1, Ordering::Relaxed),
        }
    }

    /// Ends what a chunk had, if it had something.
    fn forget(&mut self, desc: Desc) {
        if self.trace.tag(desc) != Tag::NONE {
            self.take(desc);
            self.trace.set(desc, Tag::NONE);
        }
    }

    /// Remembers who comes to a node that may keep packets.
    pub fn arrive(&mut self, node: usize, graph: u16, packets: &Vector) {
        self.arrived.clear();
        if self.here.is_empty() && !self.trace.any_elsewhere() {
            return;
        }
        for (at, (desc, lane)) in packets.descs().iter().zip(packets.lanes()).enumerate().take(VECTOR) {
            let tag = self.trace.tag(*desc);
            if tag != Tag::NONE && tag.may_be_at(graph, node) {
                let all = packets.bytes(at).unwrap_or_default();
                let mut one = Arrived { desc: *desc, lane: *lane, kept: all.len().min(HEADERS), bytes: [0; HEADERS] };
                one.bytes[..one.kept].copy_from_slice(&all[..one.kept]);
                self.arrived.push(one);
            }
        }
        // The first is taken first.
        self.arrived.reverse();
    }

    /// One of those who have come to a node and are not among what has left it: it has kept the packet, and will let it go by itself.
    /// Returns who it is, and a copy of the packet as it came, if there is a buffer for one; which is the cache's again when the next is asked for.
    pub fn next_kept(&mut self, left: [&Vector; 2], (graph, node): (u16, usize), cache: &mut Cache) -> Option<Kept<'_>> {
        cache.free(&mut self.copy);
        let has_left = |one: &Arrived| left.iter().flat_map(|left| left.descs()).any(|desc| desc.position() == one.desc.position());
        let Arrived { desc, lane, kept, bytes } = std::iter::from_fn(|| self.arrived.pop()).find(|one| !has_left(one))?;
        let tag = self.trace.tag(desc);
        if let Some(number) = self.here.iter().position(|one| one.desc.position() == desc.position()) {
            self.here.remove(number);
            self.trace.elsewhere.fetch_add(1, Ordering::Relaxed);
        }
        // It comes out of this node again.
        self.trace.set(desc, tag.to(graph, node));
        if let Some(mut buffer) = cache.take()
            && buffer.fill(&bytes[..kept])
        {
            buffer.push(&mut self.copy, lane);
        }
        Some(Kept { packet: tag.packet(), hop: tag.hops(), length: desc.length(), copy: &mut self.copy })
    }

    /// Packets that a node has made: they are followed by nobody, whatever their chunks had before.
    pub fn forget_made(&mut self, positions: &[u32]) {
        if !self.trace.any_elsewhere() {
            return;
        }
        for place in positions.iter().filter_map(|position| self.trace.place_at(*position)) {
            if place.swap(Tag::NONE.0, Ordering::Relaxed) != Tag::NONE.0 {
                // It was in no inbox, for it was free.
                self.trace.elsewhere.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Packets that a driver has refused, or a ring between workers.
    pub fn look_at_refused(&mut self, leaving: &Leaving<'_>, slot: usize, (pen, shared): Ends<'_>) {
        // Cold, and of few packets: the walk is over those that are followed.
        for at in 0..leaving.packets.len() {
            let desc = leaving.packets.descs()[at];
            let sent = self
                .sending
                .iter()
                .filter(|_| leaving.node.transmit.is_some())
                .find(|(sent, _)| sent.position() == desc.position());
            let tag = sent.map_or_else(|| self.trace.tag(desc), |(_, tag)| *tag);
            if tag != Tag::NONE {
                write_refused(leaving, (at, slot), tag, (&mut *pen, shared));
                self.forget(desc);
            }
        }
    }

    /// A packet that goes to another worker.
    pub fn look_at_handed(&mut self, leaving: &mut Leaving<'_>, at: usize, worker: u16, (pen, shared): Ends<'_>) {
        let desc = leaving.packets.descs()[at];
        let tag = self.trace.tag(desc);
        if tag == Tag::NONE {
            return;
        }
        if !tag.may_be_at(leaving.graph, leaving.index) {
            return self.forget(desc);
        }
        let written = pen.write(|slip| {
            leaving.write(slip, at, 0);
            (slip.packet, slip.hop) = (tag.packet(), tag.hops());
            say_worker(worker, leaving.worker, &mut slip.note);
            leaving.say_why(at, 0, slip);
        });
        miss(written, shared);
        let to = leaving.names.nodes[leaving.index].edges[0].to.unwrap_or(leaving.index);
        self.trace.set(desc, tag.to(leaving.graph, to));
        if self.here.iter().any(|one| one.desc.position() == desc.position()) {
            self.trace.elsewhere.fetch_add(1, Ordering::Relaxed);
            self.take(desc);
        }
    }
}

pub(super) fn miss(written: bool, shared: &Shared) {
    if !written {
        shared.missed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes down where a packet goes, and why if the node says so.
fn write(leaving: &mut Leaving<'_>, (at, slot): (usize, usize), tag: Tag, (pen, shared): Ends<'_>) {
    let written = pen.write(|slip| {
        leaving.write(slip, at, slot);
        (slip.packet, slip.hop) = (tag.packet(), tag.hops());
        if leaving.node.asks.is_some() {
            say_worker(leaving.worker, leaving.worker, &mut slip.note);
        }
        leaving.say_why(at, leaving.nexts.ids()[at], slip);
    });
    miss(written, shared);
}

fn write_refused(leaving: &Leaving<'_>, (at, slot): (usize, usize), tag: Tag, (pen, shared): Ends<'_>) {
    let written = pen.write(|slip| {
        leaving.write(slip, at, slot);
        (slip.packet, slip.hop) = (tag.packet(), tag.hops());
    });
    miss(written, shared);
}
