//! The pass: every node once, in topological order, on what the nodes before it gave it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use swath_api::kernel::tsc;
use swath_api::{Cache, Call, Called, Mask, Nexts, NodeInstance, Outbox, Pool, VECTOR, Vector, WorkerTables, reserved};

use super::counters::{WorkerCounters, slot};
use crate::driver::{Due, Io, RxQueue, TxQueue};

/// Passes of one sweep before it looks at the world outside again.
const PASSES: usize = 16;

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
    /// Ticks wanted: every so many nanoseconds, and when next.
    pub tick: Option<(u64, u64)>,
}

impl Running {
    #[inline]
    fn slot(&self, id: u16) -> usize {
        self.slots.get(usize::from(id)).map_or_else(|| slot(id, self.edges), |slot| usize::from(*slot))
    }
}

/// A receive queue and the node that its packets go to.
pub(super) struct Source {
    pub queue: Box<dyn RxQueue>,
    pub node: usize,
    pub interface: usize,
}

/// The graph of one worker: node instances, vectors between them, and queues. Nothing in it is shared but through tables and
/// counters.
pub struct WorkerGraph {
    pub(super) nodes: Vec<Running>,
    // One inbox for each node, then FREE and TRANSMIT.
    vectors: Vec<Vector>,
    // Which inboxes have packets.
    pending: Box<[u64]>,
    pub(super) sources: Vec<Source>,
    pub(super) ports: Vec<Box<dyn TxQueue>>,
    next_source: usize,
    // Nodes that want to be called when time has passed.
    ticking: Vec<usize>,
    current: Vector,
    rest: Vector,
    other_ports: Vector,
    nexts: Nexts,
    outbox: Outbox,
    // Packets that may still be made in this pass.
    room: usize,
    tally: Vec<u32>,
    cache: Cache,
    tables: WorkerTables,
    counters: WorkerCounters,
}

/// Behind the inboxes: packets to be freed.
pub(super) const FREE: usize = 0;
/// Behind the inboxes: packets to be transmitted.
pub(super) const TRANSMIT: usize = 1;

impl WorkerGraph {
    pub(super) fn new(
        nodes: Vec<Running>,
        sources: Vec<Source>,
        ports: Vec<Box<dyn TxQueue>>,
        tables: WorkerTables,
        counters: WorkerCounters,
        pool: &Arc<Pool>,
    ) -> WorkerGraph {
        let slots = nodes.iter().map(|node| node.to.len()).max().unwrap_or_default();
        WorkerGraph {
            vectors: (0..nodes.len() + 2).map(|_| Vector::new(pool)).collect(),
            pending: vec![0; nodes.len().div_ceil(64)].into(),
            sources,
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
            cache: pool.cache(),
            tables,
            counters,
            nodes,
        }
    }

    /// One sweep: refresh tables, call ticks, then receive and pass until the queues are empty or the budget is used, flush. Returns
    /// whether there was anything to do.
    pub fn sweep(&mut self, now: u64) -> bool {
        self.tables.sync();
        self.start_pass();
        let mut busy = self.tick(now);
        if busy {
            self.pass(now);
        }
        for _ in 0..PASSES {
            if self.receive(now) == 0 {
                break;
            }
            busy = true;
            self.pass(now);
        }
        self.flush(now);
        let [sweeps, idle] = &*self.counters.sweeps;
        sweeps.add(1);
        idle.add(u64::from(!busy));
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
        self.sources.iter().all(|source| source.queue.due() == Due::Ended)
    }

    /// Takes up to 256 packets from the receive queues, each queue in turn being the first. Returns how many arrived, those lost for want
    /// of a buffer included.
    pub fn receive(&mut self, now: u64) -> usize {
        let mut left = VECTOR;
        let count = self.sources.len();
        let mut arrived = 0;
        for turn in 0..count {
            let at = (self.next_source + turn) % count;
            let source = &mut self.sources[at];
            let inbox = &mut self.vectors[source.node];
            let before = inbox.len();
            let received = source.queue.receive(inbox, left, &mut Io { cache: &mut self.cache, now });
            if received.arrived() == 0 {
                continue;
            }
            let packets = received.packets as usize;
            let interface = &self.counters.interfaces[source.interface];
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
                    counters.edges()[slot(reason, edges)].add(u64::from(count));
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
        if count > 0 {
            self.next_source = (self.next_source + 1) % count;
        }
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
                let packets = self.vectors[node].len();
                self.run(node, now);
                let after = tsc();
                self.counters.nodes[node].spent(after.wrapping_sub(before), packets);
                before = after;
            }
        }
    }

    /// Hands what is left to the drivers, and publishes where the buffers are.
    pub fn flush(&mut self, now: u64) {
        for port in &mut self.ports {
            port.flush(&mut Io { cache: &mut self.cache, now });
        }
        self.cache.publish();
        let rings: usize = self.ports.iter().map(|port| port.in_ring()).sum();
        let rings = rings + self.sources.iter().map(|source| source.queue.in_ring()).sum::<usize>();
        let frames: usize = self.waiting().map(|node| self.vectors[node].len()).sum();
        self.counters.buffers.rings.store(rings as u64, Ordering::Relaxed);
        self.counters.buffers.frames.store(frames as u64, Ordering::Relaxed);
    }

    /// Nodes whose inbox has packets: none, but within a pass.
    fn waiting(&self) -> impl Iterator<Item = usize> {
        let words = self.pending.iter().enumerate().filter(|(_, word)| **word != 0);
        words.flat_map(|(at, word)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit))
    }

    /// Says to the tables that this worker does not look at them until its next sweep.
    pub fn rest(&mut self) {
        self.tables.rest();
    }

    /// A pass may make as many packets as it takes: so an inbox, which has room for twice a vector, never overflows.
    fn start_pass(&mut self) {
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
            self.account(index, called);
            sent |= self.dispatch_outbox(index, now);
        }
        sent
    }

    fn run(&mut self, index: usize, now: u64) {
        std::mem::swap(&mut self.vectors[index], &mut self.current);
        loop {
            if self.current.len() > VECTOR {
                self.current.split_off(VECTOR, &mut self.rest);
            }
            let Self { nodes, current, nexts, outbox, room, cache, tables, .. } = self;
            let counters = &self.counters.nodes[index];
            counters.called(current.len());
            counters.packets.add(current.len() as u64);
            let called = nodes[index].instance.process(current, nexts, Call { outbox, room: *room, cache, tables, now });
            self.account(index, called);
            let guess = self.nodes[index].majority;
            self.nodes[index].majority = self.dispatch(index, guess, now);
            self.dispatch_outbox(index, now);
            if self.rest.is_empty() {
                break;
            }
            std::mem::swap(&mut self.current, &mut self.rest);
        }
    }

    /// Counts what a call did beside deciding.
    #[inline]
    fn account(&mut self, index: usize, called: Called) {
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

    /// Moves the packets of `current` to where `nexts` says, and counts them: with one addition for each edge that any took. Returns
    /// the edge that most took; `guess` is what it may be.
    ///
    /// A vector whose packets all take one edge moves as a whole. Of another the majority is compacted in place and moves as a whole;
    /// only the others are touched one by one.
    fn dispatch(&mut self, index: usize, guess: u16, now: u64) -> u16 {
        let Self { nodes, vectors, pending, current, nexts, tally, counters, cache, .. } = self;
        let (inboxes, node, counters) = (nodes.len(), &nodes[index], &counters.nodes[index]);
        let len = current.len();
        if len == 0 {
            return guess;
        }
        let (mut majority, mut keep) = (guess, nexts.matching(guess));
        let mut count = keep.count();
        if count * 2 < len {
            majority = vote(nexts.ids());
            keep = nexts.matching(majority);
            count = keep.count();
        }
        let mut mark = |to: usize| {
            if to < inboxes {
                pending[to / 64] |= 1 << (to % 64);
            }
        };
        let mut lost = 0;
        let (main, to) = (node.slot(majority), usize::from(node.to[node.slot(majority)]));
        let majority_count = count;
        if count < len && to < inboxes {
            // Edges that lead to the same node move together, so that packets keep their order.
            for (id, slot) in node.slots.iter().enumerate().filter(|(id, _)| *id != usize::from(majority)) {
                if usize::from(node.to[usize::from(*slot)]) == to {
                    let same = nexts.matching(id as u16);
                    counters.edges()[usize::from(*slot)].add(same.count() as u64);
                    keep = keep.union(&same);
                }
            }
            count = keep.count();
        }
        if count < len {
            let ids = nexts.ids();
            lost = current.split(&keep, vectors, |at| {
                let slot = node.slot(ids[at]);
                tally[slot] += 1;
                usize::from(node.to[slot])
            });
            for (slot, count) in tally.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
                let to = usize::from(node.to[slot]);
                if to != inboxes + TRANSMIT {
                    counters.edges()[slot].add(u64::from(*count));
                }
                mark(to);
                *count = 0;
            }
        }
        // What is transmitted is counted when the driver has taken it.
        if to != inboxes + TRANSMIT {
            counters.edges()[main].add(majority_count as u64);
        }
        mark(to);
        vectors[to].append(current);
        if lost + current.len() > 0 {
            // Cannot be: see `start_pass`. If it were, the packets would be counted as dropped here.
            let lost = (lost + current.len()) as u64;
            debug_assert_eq!(lost, 0, "an inbox has room for a vector received and one made");
            counters.edges()[slot(reserved::INBOX_FULL, node.edges)].add(lost);
            cache.free(current);
        }
        if !self.vectors[inboxes + FREE].is_empty() {
            self.cache.free(&mut self.vectors[inboxes + FREE]);
        }
        if !self.vectors[inboxes + TRANSMIT].is_empty() {
            self.transmit(index, now);
        }
        majority
    }

    /// Sends the packets of the transmit vector, interface by interface.
    #[inline(never)]
    fn transmit(&mut self, index: usize, now: u64) {
        let at = self.nodes.len() + TRANSMIT;
        loop {
            let packets = &mut self.vectors[at];
            let Some(first) = packets.lanes().first() else { break };
            let tx = first.tx;
            if !packets.same_tx() {
                let same = Mask::from_fn(packets.len(), |at| packets.lanes()[at].tx == tx);
                packets.split(&same, std::slice::from_mut(&mut self.other_ports), |_| 0);
            }
            self.send(index, usize::from(tx), now);
            std::mem::swap(&mut self.vectors[at], &mut self.other_ports);
        }
    }

    /// Sends the packets of the transmit vector, which are all for one interface. What its driver does not take is dropped.
    fn send(&mut self, index: usize, tx: usize, now: u64) {
        let packets = &mut self.vectors[self.nodes.len() + TRANSMIT];
        let (len, size) = (packets.len(), bytes(packets, 0));
        let (node, edges) = (&self.nodes[index], self.counters.nodes[index].edges());
        if let Some(port) = self.ports.get_mut(tx) {
            port.transmit(packets, &mut Io { cache: &mut self.cache, now });
            let (interface, sent) = (&self.counters.interfaces[tx], (len - packets.len()) as u64);
            interface.sent.add(sent);
            interface.sent_bytes.add(size - bytes(packets, 0));
            if let Some(slot) = node.transmit {
                edges[slot].add(sent);
            }
        }
        if !packets.is_empty() {
            let refused = self.ports.get(tx).map(|port| port.refused()).unwrap_or_default();
            let rest = (packets.len() as u64).saturating_sub(u64::from(refused.link_down) + u64::from(refused.too_big));
            let reason = if tx < self.ports.len() { reserved::RING_FULL } else { reserved::NO_INTERFACE };
            edges[slot(reason, node.edges)].add(rest);
            edges[slot(reserved::LINK_DOWN, node.edges)].add(refused.link_down.into());
            edges[slot(reserved::TOO_BIG, node.edges)].add(refused.too_big.into());
            if let Some(interface) = self.counters.interfaces.get(tx) {
                interface.transmit_drops.add(rest + u64::from(refused.link_down));
                interface.transmit_oversize.add(refused.too_big.into());
            }
            self.cache.free(packets);
        }
    }
}

impl std::fmt::Debug for WorkerGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorkerGraph({} nodes, {} queues)", self.nodes.len(), self.sources.len())
    }
}

/// An id that more than half of the packets have, if there is one (Boyer and Moore's vote); else any that occurs.
fn vote(ids: &[u16]) -> u16 {
    let (mut candidate, mut lead) = (ids[0], 0u32);
    for &id in ids {
        if lead == 0 {
            candidate = id;
        }
        lead = if id == candidate { lead + 1 } else { lead - 1 };
    }
    candidate
}

fn bytes(vector: &Vector, from: usize) -> u64 {
    vector.descs()[from..].iter().map(|desc| u64::from(desc.length())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vote_finds_a_majority() {
        assert_eq!(vote(&[1, 2, 1, 2, 1]), 1);
        assert_eq!(vote(&[3, 3, 1, 2, 3]), 3);
        assert_eq!(vote(&[7]), 7);
        let spread = [1, 2, 3, 4];
        assert!(spread.contains(&vote(&spread)));
    }
}
