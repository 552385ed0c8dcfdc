//! Counters: each written by one worker with plain loads and stores, read by whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use swath_api::reserved;

/// A number that one thread writes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds. Only the worker that owns the counter may: two that add at once would lose counts, and nothing worse.
    #[inline]
    pub fn add(&self, n: u64) {
        // A load and a store instead of a locked addition: there is one writer.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The count as of some moment not long ago.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counts of one node. On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct NodeCounters {
    /// Packets that came in.
    pub packets: Counter,
    /// TSC cycles spent in the node and in moving its packets on.
    pub cycles: Counter,
    /// Packets that it made, or would have made.
    pub made: Counter,
    /// Packets that it let go from a `Held`.
    pub released: Counter,
    /// Times that it was made anew because it was out of service.
    pub restarts: Counter,
    /// Packets by edge id, then by [`reserved`] reason.
    edges: Box<[Counter]>,
    /// By counter slot: when a packet was last dropped there, in nanoseconds of the engine's clock; 0 for never.
    seen: Box<[Counter]>,
    /// By edge id: what became of packets before the edge was wired as it is now.
    before: Box<[Before]>,
    /// Calls of `process` by the number of packets, at most [`VECTOR_SIZES`] and above the bound before.
    pub vectors: [Counter; VECTOR_SIZES.len()],
    /// Packets by what they cost, at most [`COSTS`] cycles and above the bound before; last those that cost more.
    pub costs: [Counter; COSTS.len() + 1],
}

/// What an edge has counted while it was wired otherwise.
#[derive(Debug, Default)]
struct Before {
    /// All of it.
    all: Counter,
    /// What was counted while it was not wired.
    unwired: Counter,
}

/// Bounds of the histogram of vector sizes, in packets.
pub const VECTOR_SIZES: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// Bounds of the histogram of costs, in TSC cycles for each packet.
pub const COSTS: [u64; 9] = [8, 16, 32, 64, 128, 256, 512, 1024, 2048];
const FIRST_COST: u32 = COSTS[0].ilog2();
const LAST_COST: u32 = COSTS[COSTS.len() - 1].ilog2();

impl NodeCounters {
    /// Counters for a node with this many edges and drop reasons of its own.
    pub fn new(edges: usize) -> NodeCounters {
        NodeCounters {
            packets: Counter::default(),
            cycles: Counter::default(),
            made: Counter::default(),
            released: Counter::default(),
            restarts: Counter::default(),
            edges: (0..edges + reserved::REASONS.len()).map(|_| Counter::default()).collect(),
            seen: (0..edges + reserved::REASONS.len()).map(|_| Counter::default()).collect(),
            before: (0..edges).map(|_| Before::default()).collect(),
            vectors: Default::default(),
            costs: Default::default(),
        }
    }

    /// Calls of `process`.
    pub fn calls(&self) -> u64 {
        self.vectors.iter().map(Counter::get).sum()
    }

    /// Counts a call of `process` with so many packets, 1 to 256.
    #[inline]
    pub fn called(&self, packets: usize) {
        self.vectors[log2_up(packets as u64).min(VECTOR_SIZES.len() - 1)].add(1);
    }

    /// Counts the cycles that so many packets took together: what one of them cost is their mean.
    #[inline]
    pub fn spent(&self, cycles: u64, packets: usize) {
        self.cycles.add(cycles);
        // The smallest `k` with cycles <= packets * 2^k, without a division: it is this or the next.
        let packets = (packets as u64).max(1);
        let k = ((cycles | 1).ilog2()).saturating_sub(packets.ilog2()).min(LAST_COST);
        let k = k + u32::from(cycles > packets << k);
        self.costs[k.saturating_sub(FIRST_COST) as usize].add(packets);
    }

    /// Of the packets on an edge, those that took it while it was not wired. `wired` is how it is now.
    pub fn unwired(&self, edge: usize, wired: bool) -> u64 {
        let (all, before) = (self.edges[edge].get(), &self.before[edge]);
        before.unwired.get() + if wired { 0 } else { all.saturating_sub(before.all.get()) }
    }

    /// Packets dropped by a slot: of an edge, those that took it while it was not wired, as it is not now.
    pub fn dropped(&self, slot: usize) -> u64 {
        if slot < self.before.len() { self.unwired(slot, false) } else { self.edges[slot].get() }
    }

    /// From here on the edge is wired otherwise than `was_wired` says. For the worker that owns the counters.
    pub(super) fn rewire(&self, edge: usize, was_wired: bool) {
        let (unwired, before) = (self.unwired(edge, was_wired), &self.before[edge]);
        before.unwired.set(unwired);
        before.all.set(self.edges[edge].get());
    }

    /// Goes on from where the counters of the same node stand that had other edges: `edges` are pairs of an old id and a new one. For the
    /// worker that owns both.
    pub(super) fn go_on_from(&self, old: &NodeCounters, edges: &[(usize, usize)]) {
        let add = |to: &[Counter], from: &[Counter]| to.iter().zip(from).for_each(|(to, from)| to.add(from.get()));
        for (to, from) in [
            (&self.packets, &old.packets),
            (&self.cycles, &old.cycles),
            (&self.made, &old.made),
            (&self.released, &old.released),
            (&self.restarts, &old.restarts),
        ] {
            to.add(from.get());
        }
        add(&self.vectors, &old.vectors);
        add(&self.costs, &old.costs);
        add(&self.edges[self.before.len()..], &old.edges[old.before.len()..]);
        let raise = |to: &[Counter], from: &[Counter]| to.iter().zip(from).for_each(|(to, from)| to.raise(from.get()));
        raise(&self.seen[self.before.len()..], &old.seen[old.before.len()..]);
        for &(from, to) in edges {
            self.seen[to].raise(old.seen[from].get());
            self.edges[to].add(old.edges[from].get());
            self.before[to].all.add(old.before[from].all.get());
            self.before[to].unwired.add(old.before[from].unwired.get());
        }
    }

    /// A packet was dropped at a slot. For the worker that owns the counters.
    #[inline]
    pub(super) fn seen(&self, slot: usize, now: u64) {
        // 0 says never.
        self.seen[slot].set(now.max(1));
    }

    /// When a packet was last dropped at a slot, in nanoseconds of the engine's clock.
    pub fn last_seen(&self, slot: usize) -> Option<u64> {
        Some(self.seen[slot].get()).filter(|at| *at > 0)
    }

    /// The counters by slot: see [`slot`].
    #[inline]
    pub fn edges(&self) -> &[Counter] {
        &self.edges
    }
}

/// The exponent of the smallest power of two that is not smaller; 0 for 0.
#[inline]
fn log2_up(n: u64) -> usize {
    (u64::BITS - n.saturating_sub(1).leading_zeros()) as usize
}

/// Where an edge id is counted: its own slot, or one of the [`reserved`] ones behind the node's. An id that the node does not have
/// is a fault.
#[inline]
pub fn slot(id: u16, edges: usize) -> usize {
    let id = usize::from(id);
    if id < edges {
        return id;
    }
    let reason = usize::from(u16::MAX) - id;
    edges + if reason < reserved::REASONS.len() { reason } else { 0 }
}

/// What one worker counts of one interface.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct InterfaceCounters {
    /// Packets received, those lost for want of a buffer included.
    pub received: Counter,
    /// Their bytes.
    pub received_bytes: Counter,
    /// Packets that the driver has taken to send.
    pub sent: Counter,
    /// Their bytes.
    pub sent_bytes: Counter,
    /// Of those received: lost for want of a buffer.
    pub receive_drops: Counter,
    /// Of those received: lost because they are longer than a buffer, or left work that cannot be done.
    pub receive_errors: Counter,
    /// Of those received: dropped by the driver in the place of a node.
    pub offloaded: Counter,
    /// Packets that the driver has not taken, because its ring was full or the link down.
    pub transmit_drops: Counter,
    /// Packets that the driver has not taken, because the device does not carry packets of their length.
    pub transmit_oversize: Counter,
}

/// What one worker counts.
#[derive(Debug, Clone, Default)]
pub struct WorkerCounters {
    /// By node, in the plan's order. They outlive the graph: a node of the same name and kind in the next one goes on with them.
    pub nodes: Arc<[Arc<NodeCounters>]>,
    /// By interface, in the plan's order; as those of nodes.
    pub interfaces: Arc<[Arc<InterfaceCounters>]>,
    /// How it spends its time.
    pub time: Arc<TimeCounters>,
    /// Packets that it has handed to each worker.
    pub handed: Arc<[Counter]>,
    /// Chunks in rings and frames, as of the last sweep: the worker's part of the buffer ledger.
    pub buffers: Arc<BufferGauges>,
}

/// What one worker counts of itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct TimeCounters {
    /// Sweeps.
    pub sweeps: Counter,
    /// Those of them that found nothing to do.
    pub empty_sweeps: Counter,
    /// Nanoseconds spent in sweeps that found something to do.
    pub busy: Counter,
    /// Nanoseconds spent looking for something to do.
    pub idle: Counter,
    /// Nanoseconds blocked.
    pub asleep: Counter,
    /// How often it has blocked.
    pub sleeps: Counter,
    /// How often another thread has woken it.
    pub woken: Counter,
    /// Slices of questions to tables that it has answered between sweeps.
    pub slices: Counter,
    /// The longest of them, in nanoseconds.
    pub longest_slice: Counter,
    /// Graphs that it has gone over to.
    pub swaps: Counter,
    /// The longest time for which it looked after no packets because of that, in nanoseconds.
    pub longest_swap: Counter,
}

impl Counter {
    /// As [`Counter::add`], for the worker that owns the counter.
    fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    /// Raises it to a value that is higher. As [`Counter::add`], for the worker that owns it.
    #[inline]
    pub fn raise(&self, to: u64) {
        if to > self.get() {
            self.0.store(to, Ordering::Relaxed);
        }
    }
}

/// Where a worker's chunks are, apart from its cache.
#[derive(Debug, Default)]
pub struct BufferGauges {
    /// In rings of drivers.
    pub rings: AtomicI64,
    /// In vectors.
    pub frames: AtomicU64,
}

/// Chunks in the rings of drivers: a worker's part of them may be negative, the sum of all is not.
pub(super) fn in_rings(workers: &[WorkerCounters]) -> u64 {
    let rings: i64 = workers.iter().map(|worker| worker.buffers.rings.load(Ordering::Relaxed)).sum();
    u64::try_from(rings).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_counted_under_the_first_bound_that_is_not_smaller() {
        for packets in 1..=256 {
            let node = NodeCounters::new(0);
            node.called(packets);
            let counted = node.vectors.iter().position(|bin| bin.get() == 1);
            assert_eq!(counted, VECTOR_SIZES.iter().position(|bound| packets as u64 <= *bound), "{packets}");
        }
        for packets in [1, 3, 256] {
            for cycles in (0..packets as u64 * 2100).chain([u64::MAX]) {
                let node = NodeCounters::new(0);
                node.spent(cycles, packets);
                let counted = node.costs.iter().position(|bin| bin.get() == packets as u64);
                // In integers: cycles / packets <= bound.
                let within = COSTS.iter().position(|bound| u128::from(cycles) <= u128::from(*bound) * packets as u128);
                assert_eq!(counted, within.or(Some(COSTS.len())), "{cycles} / {packets}");
                assert_eq!(node.cycles.get(), cycles);
            }
        }
    }

    #[test]
    fn what_was_dropped_stays_dropped_when_an_edge_is_wired() {
        let node = NodeCounters::new(2);
        node.edges()[1].add(10);
        assert_eq!((node.unwired(1, false), node.unwired(1, true)), (10, 0));
        node.rewire(1, false);
        node.edges()[1].add(5);
        assert_eq!(node.unwired(1, true), 10);
        node.rewire(1, true);
        node.edges()[1].add(2);
        assert_eq!((node.unwired(1, false), node.edges()[1].get()), (12, 17));
        // With other edges it goes on as another block, in which this edge is the first.
        node.edges()[slot(reserved::INBOX_FULL, 2)].add(3);
        node.packets.add(20);
        let other = NodeCounters::new(3);
        other.go_on_from(&node, &[(1, 0)]);
        assert_eq!((other.unwired(0, false), other.edges()[0].get(), other.packets.get()), (12, 17, 20));
        assert_eq!(other.edges()[slot(reserved::INBOX_FULL, 3)].get(), 3);
    }

    #[test]
    fn ids_that_do_not_exist_count_as_faults() {
        assert_eq!(slot(0, 3), 0);
        assert_eq!(slot(2, 3), 2);
        assert_eq!(slot(reserved::FAULT, 3), 3);
        assert_eq!(slot(reserved::INBOX_FULL, 3), 4);
        assert_eq!(slot(reserved::RING_FULL, 3), 6);
        assert_eq!(slot(3, 3), 3);
        assert_eq!(slot(1000, 3), 3);
        assert_eq!(NodeCounters::new(3).edges().len(), 3 + reserved::REASONS.len());
    }
}
