//! Counters: each written by one worker with plain loads and stores, read by whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Packets by edge id, then by [`reserved`] reason.
    edges: Box<[Counter]>,
    /// Calls of `process` by the number of packets, at most [`VECTOR_SIZES`] and above the bound before.
    pub vectors: [Counter; VECTOR_SIZES.len()],
    /// Packets by what they cost, at most [`COSTS`] cycles and above the bound before; last those that cost more.
    pub costs: [Counter; COSTS.len() + 1],
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
            edges: (0..edges + reserved::REASONS.len()).map(|_| Counter::default()).collect(),
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
    /// Packets that the driver has not taken, because its ring was full or the link down.
    pub transmit_drops: Counter,
    /// Packets that the driver has not taken, because the device does not carry packets of their length.
    pub transmit_oversize: Counter,
}

/// What one worker counts.
#[derive(Debug, Clone)]
pub struct WorkerCounters {
    /// By node, in the plan's order.
    pub nodes: Arc<[NodeCounters]>,
    /// By interface.
    pub interfaces: Arc<[InterfaceCounters]>,
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
}

impl Counter {
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
    pub rings: AtomicU64,
    /// In vectors.
    pub frames: AtomicU64,
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
