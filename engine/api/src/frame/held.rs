//! Packets that a node keeps: for a neighbour's answer, for the other fragments, for a token.

use std::collections::VecDeque;
use std::ffi::c_void;

use crate::abi::RawPool;
use crate::packet::{Desc, Lane};

/// What a node decides in [`Frame::for_each_hold`](super::Frame::for_each_hold).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<N, K> {
    /// The packet goes on by this edge.
    Go(N),
    /// The packet stays, under this key.
    Hold(K),
}

/// A bounded queue of packets that a node has taken out of its frames, each under a key of the node's choice.
///
/// The key should say what the packet waits for (a next hop's address, never an adjacency index: indexes are reused). Packets left in
/// it when it is dropped go back to the pool, and are counted as the node's `held-dropped`.
pub struct Held<K> {
    entries: VecDeque<(Desc, Lane, K)>,
    capacity: usize,
    pool: RawPool,
}

impl<K> Held<K> {
    pub(crate) fn new(capacity: usize, pool: RawPool) -> Held<K> {
        // More than all packets there are it will never hold.
        let capacity = capacity.min(pool.capacity as usize);
        Held { entries: VecDeque::with_capacity(capacity), capacity, pool }
    }

    /// Packets in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many more it takes.
    pub fn room(&self) -> usize {
        self.capacity - self.entries.len()
    }

    /// The keys, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().map(|(_, _, key)| key)
    }

    /// # Panics
    /// If the packets of a frame or an outbox are not of the pool that this gives its chunks back to: it was made for another graph.
    pub(super) fn assert_pool(&self, pool: *const c_void) {
        assert_eq!(self.pool.pool, pool, "packets are held for the pool that they belong to");
    }

    /// Takes the packet over; hands it back if there is no room.
    pub(super) fn put(&mut self, desc: Desc, lane: Lane, key: K) -> bool {
        let fits = self.room() > 0;
        if fits {
            self.entries.push_back((desc, lane, key));
        }
        fits
    }

    /// Hands each packet to `take`, oldest first, which says whether it has taken it.
    pub(super) fn take_if(&mut self, mut take: impl FnMut(&K, &mut Desc, &mut Lane) -> bool) {
        // Removed as soon as it is taken: `take` may panic, but not after it has said so.
        for _ in 0..self.entries.len() {
            let Some((desc, lane, key)) = self.entries.front_mut() else { break };
            let taken = take(key, desc, lane);
            let Some(entry) = self.entries.pop_front() else { break };
            if !taken {
                self.entries.push_back(entry);
            }
        }
    }
}

impl<K> Drop for Held<K> {
    fn drop(&mut self) {
        let positions: Vec<u32> = self.entries.iter().map(|(desc, _, _)| desc.position()).collect();
        if !positions.is_empty() {
            self.pool.give_back(&positions);
        }
    }
}

impl<K> std::fmt::Debug for Held<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} of {})", self.len(), self.capacity)
    }
}

// SAFETY: the host's functions may be called from any thread: behind `host` is an `Arc<Pool>`.
unsafe impl Send for RawPool {}

impl RawPool {
    fn give_back(&self, positions: &[u32]) {
        if let Some(give_back) = self.give_back {
            // SAFETY: `host` is alive as long as this reference counts.
            unsafe { give_back(self.host, positions.as_ptr(), positions.len()) };
        }
    }
}

impl Clone for RawPool {
    fn clone(&self) -> RawPool {
        if let Some(retain) = self.retain {
            // SAFETY: as in `give_back`.
            unsafe { retain(self.host) };
        }
        RawPool {
            host: self.host,
            pool: self.pool,
            capacity: self.capacity,
            retain: self.retain,
            release: self.release,
            give_back: self.give_back,
        }
    }
}

impl Drop for RawPool {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: this reference was counted once, by whoever made it or by `clone`.
            unsafe { release(self.host) };
        }
    }
}
