//! What queues count beside the ledger.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Figures of an interface, which its queues count.
#[derive(Debug, Default)]
pub(super) struct Figures {
    completed: AtomicU64,
    copied: AtomicU64,
    offloaded: AtomicU64,
    mtu: AtomicU32,
}

impl Figures {
    /// Counts checksums that were completed.
    #[inline]
    pub fn completed(&self, count: u64) {
        if count > 0 {
            self.completed.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Counts packets that were copied between the pool and other memory.
    #[inline]
    pub fn copied(&self, count: usize) {
        if count > 0 {
            self.copied.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Counts packets that the program has dropped in the place of a node.
    #[inline]
    pub fn dropped(&self, count: u64) {
        if count > 0 {
            self.offloaded.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Packets that the program has dropped in the place of a node.
    pub fn offloaded(&self) -> u64 {
        self.offloaded.load(Ordering::Relaxed)
    }

    /// Says what the device's MTU is, in bytes.
    pub fn set_mtu(&self, mtu: u32) {
        self.mtu.store(mtu, Ordering::Relaxed);
    }

    /// The device's MTU in bytes.
    #[inline]
    pub fn mtu(&self) -> usize {
        self.mtu.load(Ordering::Relaxed) as usize
    }

    /// Both counts: checksums completed, packets copied.
    pub fn counts(&self) -> (u64, u64) {
        (self.completed.load(Ordering::Relaxed), self.copied.load(Ordering::Relaxed))
    }
}
