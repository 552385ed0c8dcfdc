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
    /// Calls of `process`.
    pub calls: Counter,
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
}

impl NodeCounters {
    /// Counters for a node with this many edges and drop reasons of its own.
    pub fn new(edges: usize) -> NodeCounters {
        NodeCounters {
            calls: Counter::default(),
            packets: Counter::default(),
            cycles: Counter::default(),
            made: Counter::default(),
            released: Counter::default(),
            edges: (0..edges + reserved::REASONS.len()).map(|_| Counter::default()).collect(),
        }
    }

    /// The counters by slot: see [`slot`].
    #[inline]
    pub fn edges(&self) -> &[Counter] {
        &self.edges
    }
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
}

/// What one worker counts.
#[derive(Debug, Clone)]
pub struct WorkerCounters {
    /// By node, in the plan's order.
    pub nodes: Arc<[NodeCounters]>,
    /// By interface.
    pub interfaces: Arc<[InterfaceCounters]>,
    /// Sweeps, and those of them that found nothing to do.
    pub sweeps: Arc<[Counter; 2]>,
    /// Chunks in rings and frames, as of the last sweep: the worker's part of the buffer ledger.
    pub buffers: Arc<BufferGauges>,
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
