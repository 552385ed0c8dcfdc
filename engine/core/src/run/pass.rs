//! The pass: every node once, in topological order, on what the nodes before it gave it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use swath_api::kernel::tsc;
use swath_api::{Cache, Call, Called, Nexts, NodeInstance, Outbox, Pool, VECTOR, Vector, WorkerTables, reserved};

use super::counters::{InterfaceCounters, WorkerCounters, slot};
use super::handoff::Handoffs;
use super::mail::Task;
use super::offload::Stead;
use super::probe::{LOOKS, Names, Probe, Sampler, Selection};
use super::shortcut::{Spared, Through};
use crate::driver::{Due, Io, RxQueue, TxQueue};

/// Passes of one sweep before it looks at the world outside again.
const PASSES: usize = 16;

/// Of the packets of a pass, those that other workers may send: what has been begun goes first, for to drop it would waste what was done,
/// and the queues get a share all the same.
const FROM_WORKERS: usize = VECTOR * 3 / 4;

/// A node as a worker runs it.
pub(super) struct Running {
    pub instance: NodeInstance,
    /// By counter slot: the index of the vector that its packets go to.
    pub to: Box<[u16]>,
    /// The counter slot of each edge. That of a *held* one is the fault's: what the node keeps is gone from the vector, so a packet
    /// that is still there was only said to be kept.
    pub slots: Box<[u16]>,
    /// Number of edges of the node's own.
    pub edges: usize,
    /// The slot of its edge of class transmit, if it has one.
    pub transmit: Option<usize>,
    /// The edge that most packets took last.
    pub majority: u16,
    /// For a handoff: the node that says who owns a packet.
    pub asks: Option<usize>,
    /// For a handoff: how other workers know the node behind it.
    pub target: u32,
    /// Ticks wanted: every so many nanoseconds, and when next.
    pub tick: Option<(u64, u64)>,
    /// If a chain of nodes begins here that packets can go through in one step: what they go by.
    pub through: Option<Box<Through>>,
    /// If it is in such a chain: what it was spared.
    pub spared: Option<Box<Spared>>,
}

impl Running {
    #[inline]
    pub fn slot(&self, id: u16) -> usize {
        self.slots.get(usize::from(id)).map_or_else(|| slot(id, self.edges), |slot| usize::from(*slot))
    }
}

/// A receive queue and the node that its packets go to.
pub(super) struct Source {
    pub queue: Box<dyn RxQueue>,
    pub node: usize,
    /// The place of its interface, and its own there.
    pub interface: usize,
    pub number: usize,
    /// For whom it drops packets, if it does.
    pub stead: Option<Stead>,
}

/// What a worker graph is made of.
pub(super) struct Ingredients {
    pub nodes: Vec<Running>,
    pub sources: Vec<Source>,
    /// Queues whose packets no node takes. Nobody asks them.
    pub parked: Vec<Source>,
    /// By place of their interface.
    pub ports: Vec<Box<dyn TxQueue>>,
    pub tables: WorkerTables,
    pub counters: WorkerCounters,
    /// By place.
    pub interfaces: Vec<Arc<InterfaceCounters>>,
    pub handoffs: Option<Handoffs>,
    /// Where packets of other workers go, by how they know it.
    pub targets: Box<[Option<u16>]>,
    pub names: Arc<Names>,
}

/// The graph of one worker: node instances, vectors between them, and queues. Nothing in it is shared but through tables and
/// counters.
pub struct WorkerGraph {
    /// Which of the graphs of the process this is, from 0.
    pub(super) number: u64,
    pub(super) nodes: Vec<Running>,
    // One inbox for each node, then FREE and TRANSMIT, then those that wait at the end of a shortcut.
    pub(super) vectors: Vec<Vector>,
    // Which inboxes have packets.
    pub(super) pending: Box<[u64]>,
    pub(super) sources: Vec<Source>,
    pub(super) parked: Vec<Source>,
    // Chunks in the rings of those that are parked.
    pub(super) parked_chunks: isize,
    pub(super) ports: Vec<Box<dyn TxQueue>>,
    next_source: usize,
    // Sources that drop packets for a node.
    pub(super) offloading: Vec<usize>,
    // Nodes that want to be called when time has passed.
    ticking: Vec<usize>,
    pub(super) current: Vector,
    pub(super) rest: Vector,
    pub(super) other_ports: Vector,
    pub(super) nexts: Nexts,
    pub(super) outbox: Outbox,
    // Packets that may still be made in this pass.
    pub(super) room: usize,
    pub(super) tally: Vec<u32>,
    // Cycles of the node at hand that are others' share.
    pub(super) lent: u64,
    pub(super) cache: Cache,
    pub(super) tables: WorkerTables,
    pub(super) counters: WorkerCounters,
    // By place, where the counters of the worker have them in the order of the plan.
    pub(super) interfaces: Vec<Arc<InterfaceCounters>>,
    /// To and from other workers, if there are any.
    pub(super) handoffs: Option<Handoffs>,
    pub(super) targets: Box<[Option<u16>]>,
    pub(super) names: Arc<Names>,
    pub(super) sampler: Sampler,
    /// Who looks at packets that pass.
    pub(super) probes: Vec<Probe>,
    /// What they are about here, if this is a graph that is to come; and behind it, what they were about before.
    pub(super) selections: Vec<(u64, Selection)>,
}

/// Behind the inboxes: packets to be freed.
pub(super) const FREE: usize = 0;
/// Behind the inboxes: packets to be transmitted.
pub(super) const TRANSMIT: usize = 1;

impl WorkerGraph {
    pub(super) fn new(ingredients: Ingredients, pool: &Arc<Pool>) -> WorkerGraph {
        let Ingredients { nodes, sources, parked, ports, tables, counters, interfaces, handoffs, targets, names } = ingredients;
        let slots = nodes.iter().map(|node| node.to.len()).max().unwrap_or_default();
        WorkerGraph {
            number: 0,
            vectors: (0..nodes.len() + 2).map(|_| Vector::new(pool)).collect(),
            pending: vec![0; nodes.len().div_ceil(64)].into(),
            offloading: (0..sources.len()).filter(|at| sources[*at].stead.is_some()).collect(),
            sources,
            parked_chunks: parked.iter().map(|source| source.queue.in_ring()).sum(),
            parked,
            ports,
            next_source: 0,
            ticking: nodes.iter().enumerate().filter(|(_, node)| node.tick.is_some()).map(|(index, _)| index).collect(),
            current: Vector::new(pool),
            rest: Vector::new(pool),
            other_ports: Vector::new(pool),
            nexts: Nexts::default(),
            outbox: Outbox::new(pool),
            room: VECTOR,
            tally: vec![0; slots],
            lent: 0,
            cache: pool.cache(),
            tables,
            counters,
            interfaces,
            handoffs,
            targets,
            sampler: Sampler::new(&names, None),
            probes: Vec::new(),
            selections: Vec::new(),
            names,
            nodes,
        }
    }

    /// One sweep: refresh tables, call ticks, then receive and pass until the queues are empty or the budget is used, flush. Returns
    /// whether there was anything to do.
    pub fn sweep(&mut self, now: u64) -> bool {
        self.sweep_in(PASSES, now)
    }

    /// A sweep of so many passes at most.
    pub(super) fn sweep_in(&mut self, passes: usize, now: u64) -> bool {
        self.tables.sync();
        self.start_pass();
        let mut busy = self.tick(now);
        if busy {
            self.pass(now);
        }
        for _ in 0..passes {
            if self.receive(now) == 0 {
                break;
            }
            busy = true;
            self.pass(now);
        }
        self.flush(now);
        self.counters.time.sweeps.add(1);
        self.counters.time.empty_sweeps.add(u64::from(!busy));
        busy
    }

    /// The earliest time at which a queue or a tick has something to do.
    pub fn due(&self) -> Due {
        let ticks = self.ticking.iter().filter_map(|node| self.nodes[*node].tick).map(|(_, at)| Due::At(at));
        self.sources.iter().map(|source| source.queue.due()).chain(ticks).min().unwrap_or(Due::Ended)
    }

    /// What becomes readable when packets come. `None` if a queue does not say when that is.
    pub(super) fn readable(&self) -> Option<Vec<BorrowedFd<'_>>> {
        let waiting = self.sources.iter().filter(|source| source.queue.due() == Due::Unknown);
        waiting.map(|source| source.queue.readable()).collect()
    }

    /// Whether no queue will ever have packets again.
    pub fn ended(&self) -> bool {
        self.sources.iter().all(|source| source.queue.due() == Due::Ended) && !self.has_incoming()
    }

    /// Takes up to 256 packets: those that other workers have handed over, then from the receive queues, of those that have packets
    /// each in turn being the first. Returns how many arrived, those lost for want of a buffer included.
    pub fn receive(&mut self, now: u64) -> usize {
        let mut arrived = self.take_over(FROM_WORKERS);
        let mut left = VECTOR - arrived;
        let count = self.sources.len();
        let mut next = None;
        for turn in 0..count {
            let at = (self.next_source + turn) % count;
            let source = &mut self.sources[at];
            let inbox = &mut self.vectors[source.node];
            let before = inbox.len();
            let received = source.queue.receive(inbox, left, &mut Io { cache: &mut self.cache, now });
            if received.arrived() == 0 {
                continue;
            }
            // The one behind: if it were the next by number, who stands behind an idle queue would be the first twice as often.
            next.get_or_insert((at + 1) % count);
            let packets = received.packets as usize;
            let interface = &self.interfaces[source.interface];
            interface.received.add(u64::from(received.arrived()));
            interface.received_bytes.add(bytes(inbox, before));
            if received.lost() > 0 {
                interface.receive_drops.add(received.no_buffer.into());
                interface.receive_errors.add(u64::from(received.too_big) + u64::from(received.bad_offload));
                let (counters, edges) = (&self.counters.nodes[source.node], self.nodes[source.node].edges);
                counters.packets.add(u64::from(received.lost()));
                for (reason, count) in [
                    (reserved::OUT_OF_BUFFERS, received.no_buffer),
                    (reserved::TOO_BIG, received.too_big),
                    (reserved::BAD_OFFLOAD, received.bad_offload),
                ] {
                    if count > 0 {
                        let slot = slot(reason, edges);
                        counters.edges()[slot].add(u64::from(count));
                        counters.seen(slot, now);
                        self.sampler.take(&self.names, (source.node, slot), None, now);
                    }
                }
            }
            if packets > 0 {
                self.pending[source.node / 64] |= 1 << (source.node % 64);
            }
            // Lost ones too: there may be more behind them.
            arrived += received.arrived() as usize;
            left -= packets.min(left);
            if left == 0 {
                break;
            }
        }
        self.next_source = next.unwrap_or(self.next_source);
        self.start_pass();
        arrived
    }

    /// Visits every node that has packets, once, in topological order.
    pub fn pass(&mut self, now: u64) {
        let mut before = tsc();
        for word in 0..self.pending.len() {
            // Nodes send only to nodes behind them, so bits that are set meanwhile are higher ones.
            while self.pending[word] != 0 {
                let node = word * 64 + self.pending[word].trailing_zeros() as usize;
                self.pending[word] &= self.pending[word] - 1;
                let (mut packets, mut borrowed) = (self.vectors[node].len(), 0);
                if let Some(spared) = &mut self.nodes[node].spared {
                    packets += spared.packets as usize;
                    borrowed = std::mem::take(&mut spared.cycles);
                }
                self.run(node, now);
                let after = tsc();
                let lent = std::mem::take(&mut self.lent);
                self.counters.nodes[node].spent(after.wrapping_sub(before).saturating_sub(lent) + borrowed, packets);
                before = after;
            }
        }
        self.wake_others();
    }

    /// Hands what is left to the drivers, and publishes where the buffers are.
    pub fn flush(&mut self, now: u64) {
        for port in &mut self.ports {
            port.flush(&mut Io { cache: &mut self.cache, now });
        }
        self.publish_buffers();
    }

    /// Says where the buffers are.
    fn publish_buffers(&self) {
        self.cache.publish();
        let rings: isize = self.ports.iter().map(|port| port.in_ring()).sum();
        let rings = self.parked_chunks + rings + self.sources.iter().map(|source| source.queue.in_ring()).sum::<isize>();
        let frames: usize = self.waiting().map(|node| self.vectors[node].len()).sum();
        self.counters.buffers.rings.store(rings as i64, Ordering::Relaxed);
        self.counters.buffers.frames.store(frames as u64, Ordering::Relaxed);
    }

    /// Nodes whose inbox has packets: none, but within a pass.
    fn waiting(&self) -> impl Iterator<Item = usize> {
        let words = self.pending.iter().enumerate().filter(|(_, word)| **word != 0);
        words.flat_map(|(at, word)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit))
    }

    /// Processes up to a vector of what other workers have handed over, and receives nothing. Returns whether there was anything.
    pub(super) fn drain(&mut self, now: u64) -> bool {
        if !self.has_incoming() {
            return false;
        }
        self.tables.sync();
        let taken = self.take_over(VECTOR);
        self.start_pass();
        self.pass(now);
        self.flush(now);
        taken > 0
    }

    /// Does a task of the control side, or a slice of it.
    pub(super) fn carry_out(&mut self, task: &mut Task) {
        match task {
            Task::Ask(question) => question.visit(&mut self.tables),
            Task::Probe(probe) => self.probes.extend(probe.take().map(|probe| *probe)),
            Task::Unprobe(id, back) => {
                let at = self.probes.iter().position(|probe| probe.id == *id);
                *back = at.map(|at| Box::new(self.probes.swap_remove(at)));
            }
            Task::Walk(walk) => self.walk(walk),
            Task::Renew(renewal) => self.renew(renewal),
        }
    }

    /// Says to the tables that this worker does not look at them until its next sweep, and where the buffers are, once more: queues that
    /// share a ring may have used it after this worker's last sweep. Counts what was dropped for nodes until now.
    pub fn rest(&mut self, now: u64) {
        self.count_offloaded(now);
        self.tables.rest();
        self.publish_buffers();
    }

    /// A pass may make as many packets as it takes: so an inbox, which has room for twice a vector, never overflows.
    pub(super) fn start_pass(&mut self) {
        self.room = VECTOR;
        self.cache.ensure(VECTOR);
    }

    fn tick(&mut self, now: u64) -> bool {
        let mut sent = false;
        for at in 0..self.ticking.len() {
            let index = self.ticking[at];
            let node = &mut self.nodes[index];
            let Some((every, at)) = node.tick else { continue };
            if now < at {
                continue;
            }
            node.tick = Some((every, now.saturating_add(every)));
            let Self { outbox, room, cache, tables, .. } = self;
            let called = node.instance.tick(Call { outbox, room: *room, cache, tables, now });
            self.account(index, called, now);
            if LOOKS && !self.probes.is_empty() {
                self.look_behind(index, called, now);
            }
            sent |= self.dispatch_outbox(index, now);
        }
        sent
    }

    fn run(&mut self, index: usize, now: u64) {
        std::mem::swap(&mut self.vectors[index], &mut self.current);
        let spared = self.settle_spared(index);
        self.count_calls(index, self.current.len() + spared);
        // What is left of many could not go.
        if self.current.len() * 4 > spared {
            self.go_through(index, now);
        }
        if self.current.is_empty() {
            return;
        }
        let asks = self.nodes[index].asks;
        loop {
            if self.current.len() > VECTOR {
                self.current.split_off(VECTOR, &mut self.rest);
            }
            if let Some(asks) = asks {
                self.hand_off(index, asks, now);
                if self.rest.is_empty() {
                    break;
                }
                std::mem::swap(&mut self.current, &mut self.rest);
                continue;
            }
            let looks = LOOKS && !self.probes.is_empty();
            if looks {
                self.look_before(index);
            }
            let Self { nodes, current, nexts, outbox, room, cache, tables, .. } = self;
            let called = nodes[index].instance.process(current, nexts, Call { outbox, room: *room, cache, tables, now });
            self.account(index, called, now);
            if looks {
                self.look_behind(index, called, now);
            }
            let guess = self.nodes[index].majority;
            self.nodes[index].majority = self.dispatch(index, guess, now);
            self.dispatch_outbox(index, now);
            if self.rest.is_empty() {
                break;
            }
            std::mem::swap(&mut self.current, &mut self.rest);
        }
    }

    /// Counts packets of a node, which come to it in vectors of at most 256.
    #[inline]
    fn count_calls(&self, index: usize, mut packets: usize) {
        let counters = &self.counters.nodes[index];
        counters.packets.add(packets as u64);
        while packets > VECTOR {
            counters.called(VECTOR);
            packets -= VECTOR;
        }
        counters.called(packets);
    }

    /// Counts what a call did beside deciding.
    #[inline]
    fn account(&mut self, index: usize, called: Called, now: u64) {
        if called == Called::default() {
            return;
        }
        let counters = &self.counters.nodes[index];
        let edges = self.nodes[index].edges;
        counters.made.add(u64::from(called.made) + u64::from(called.no_room) + u64::from(called.no_buffer));
        // What was thrown away is let go, too: as a drop.
        counters.released.add(u64::from(called.released) + u64::from(called.held_dropped));
        counters.edges()[slot(reserved::HELD_DROPPED, edges)].add(u64::from(called.held_dropped));
        counters.edges()[slot(called.taken_id, edges)].add(u64::from(called.taken));
        counters.edges()[slot(reserved::INBOX_FULL, edges)].add(u64::from(called.no_room));
        counters.edges()[slot(reserved::OUT_OF_BUFFERS, edges)].add(u64::from(called.no_buffer));
        self.room -= (called.made + called.released) as usize;
        for (reason, count) in [
            (reserved::HELD_DROPPED, called.held_dropped),
            (reserved::INBOX_FULL, called.no_room),
            (reserved::OUT_OF_BUFFERS, called.no_buffer),
        ] {
            if count > 0 {
                counters.seen(slot(reason, edges), now);
                self.sampler.take(&self.names, (index, slot(reason, edges)), None, now);
            }
        }
    }

    fn dispatch_outbox(&mut self, index: usize, now: u64) -> bool {
        if self.outbox.packets.is_empty() {
            return false;
        }
        std::mem::swap(&mut self.current, &mut self.outbox.packets);
        std::mem::swap(&mut self.nexts, &mut self.outbox.nexts);
        let guess = self.nexts.ids()[0];
        self.dispatch(index, guess, now);
        true
    }
}

impl std::fmt::Debug for WorkerGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorkerGraph({} nodes, {} queues)", self.nodes.len(), self.sources.len())
    }
}

/// Bytes of the packets from an index on.
pub(super) fn bytes(vector: &Vector, from: usize) -> u64 {
    vector.descs()[from..].iter().map(|desc| u64::from(desc.length())).sum()
}
