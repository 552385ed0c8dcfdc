//! The only owner of free chunks: a shared depot of batches, and a LIFO cache per worker.
//!
//! Workers exchange whole batches of 256 with the depot through lock-free queues, so a chunk costs a push or a pop on a vector that
//! is hot in L1, and two workers meet once per 256 packets at most. What does not fill a batch lies in a list behind a mutex that a
//! worker only tries and never waits for.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;

use super::{DATA, Region};
use crate::packet::{Desc, Lane, Vector};

/// Chunks that workers and depot exchange at once: one vector.
const BATCH: usize = 256;
/// A cache holds at most this many chunks before it gives a batch back.
const CACHE: usize = 3 * BATCH;

/// How often a worker tries for the chunks that fill no batch.
const PATIENCE: usize = 256;

type Batch = Box<[u32; BATCH]>;

/// The free chunks of a region. Exhaustion is not an error here: who asks gets nothing and counts a drop.
pub struct Pool {
    region: Region,
    full: ArrayQueue<Batch>,
    // The boxes of batches that are with the workers, so that giving back allocates nothing.
    empty: ArrayQueue<Batch>,
    loose: Mutex<Vec<u32>>,
    // Free chunks in `full` and `loose`.
    depot: AtomicUsize,
    caches: Mutex<Vec<Arc<AtomicUsize>>>,
}

impl Pool {
    /// A pool with every chunk of the region free.
    pub fn new(region: Region) -> Arc<Pool> {
        let chunks = region.geometry().chunks as usize;
        let batches = chunks / BATCH;
        let pool = Pool {
            full: ArrayQueue::new(batches.max(1)),
            empty: ArrayQueue::new(batches.max(1)),
            loose: Mutex::new(Vec::with_capacity(2 * BATCH)),
            depot: AtomicUsize::new(chunks),
            caches: Mutex::new(Vec::new()),
            region,
        };
        for batch in 0..batches {
            let first = (batch * BATCH) as u32;
            let batch = Box::new(std::array::from_fn(|i| pool.region.position(first + i as u32)));
            // Cannot be full: it has room for every batch that there is.
            let _ = pool.full.push(batch);
        }
        let rest = (batches * BATCH..chunks).map(|index| pool.region.position(index as u32));
        pool.loose.lock().unwrap_or_else(PoisonError::into_inner).extend(rest);
        Arc::new(pool)
    }

    /// A cache for one worker. What it holds when it is dropped goes back to the depot.
    pub fn cache(self: &Arc<Pool>) -> Cache {
        let gauge = Arc::new(AtomicUsize::new(0));
        self.caches.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&gauge));
        Cache { stack: Vec::with_capacity(CACHE + BATCH), pool: Arc::clone(self), gauge }
    }

    /// The memory that the chunks lie in.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// All chunks, free or not.
    pub fn capacity(&self) -> usize {
        self.region.geometry().chunks as usize
    }

    /// Free chunks in the depot.
    pub fn free(&self) -> usize {
        self.depot.load(Ordering::Relaxed)
    }

    /// Free chunks in the caches of workers, as of each worker's last [`Cache::publish`].
    pub fn cached(&self) -> usize {
        let caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.iter().map(|gauge| gauge.load(Ordering::Relaxed)).sum()
    }

    /// Gives chunks back from a thread that has no cache.
    pub(crate) fn give_back(&self, positions: &[u32]) {
        // Counted before they can be taken, so that the count never runs below zero.
        self.depot.fetch_add(positions.len(), Ordering::Relaxed);
        let mut loose = self.loose.lock().unwrap_or_else(PoisonError::into_inner);
        loose.extend_from_slice(positions);
        while loose.len() >= BATCH {
            let mut batch: Batch = self.empty.pop().unwrap_or_else(|| Box::new([0; BATCH]));
            let keep = loose.len() - BATCH;
            batch.copy_from_slice(&loose[keep..]);
            loose.truncate(keep);
            // Cannot be full: it has room for every batch that there is.
            let _ = self.full.push(batch);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool {{ capacity: {}, free: {}, cached: {} }}", self.capacity(), self.free(), self.cached())
    }
}

/// A worker's own stack of free chunks; last in, first out, so that the next packet lands in memory that is still in cache.
pub struct Cache {
    stack: Vec<u32>,
    pool: Arc<Pool>,
    gauge: Arc<AtomicUsize>,
}

impl Cache {
    /// The pool behind it.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// A free chunk, or `None` if neither cache nor depot has one.
    #[inline]
    pub fn take(&mut self) -> Option<Buffer<'_>> {
        let position = self.pop()?;
        Some(Buffer { position, length: 0, cache: self })
    }

    /// Makes sure that `count` (at most 256) chunks are in the cache; returns how many of them there are.
    pub fn ensure(&mut self, count: usize) -> usize {
        let count = count.min(BATCH);
        while self.stack.len() < count && self.refill() {}
        self.stack.len().min(count)
    }

    /// Frees every packet of the vector, which is empty then.
    pub fn free(&mut self, vector: &mut Vector) {
        vector.assert_pool(&self.pool);
        for desc in vector.descs() {
            self.stack.push(desc.position());
            if self.stack.len() > CACHE {
                self.spill();
            }
        }
        vector.forget();
    }

    /// Frees chunks by their positions: those that a device has given back.
    ///
    /// # Safety
    /// Each names a chunk of this pool that nothing else names.
    pub unsafe fn free_raw(&mut self, positions: &[u32]) {
        for position in positions {
            self.stack.push(*position);
            if self.stack.len() > CACHE {
                self.spill();
            }
        }
    }

    /// Makes the number of cached chunks visible to [`Pool::cached`]. A worker does this once per sweep.
    #[inline]
    pub fn publish(&self) {
        self.gauge.store(self.stack.len(), Ordering::Relaxed);
    }

    #[inline]
    fn pop(&mut self) -> Option<u32> {
        if self.stack.is_empty() && !self.refill() {
            return None;
        }
        self.stack.pop()
    }

    /// The stack itself, for [`Emit`](crate::Emit): who takes from it owns the chunk.
    pub(crate) fn stack(&mut self) -> &mut Vec<u32> {
        &mut self.stack
    }

    #[cold]
    fn refill(&mut self) -> bool {
        if let Some(batch) = self.pool.full.pop() {
            self.stack.extend_from_slice(&batch[..]);
            self.pool.depot.fetch_sub(BATCH, Ordering::Relaxed);
            // One box too many (a batch that was made of loose chunks) is simply dropped.
            let _ = self.pool.empty.push(batch);
            return true;
        }
        // Held for the time of a copy, and tried for a short time: a worker does not wait for another thread that sleeps in it.
        let Some(mut loose) = (0..PATIENCE).find_map(|_| {
            std::hint::spin_loop();
            self.pool.loose.try_lock().ok()
        }) else {
            return false;
        };
        let count = loose.len().min(BATCH);
        let keep = loose.len() - count;
        self.stack.extend(loose.drain(keep..));
        self.pool.depot.fetch_sub(count, Ordering::Relaxed);
        count > 0
    }

    #[cold]
    fn spill(&mut self) {
        let mut batch: Batch = self.pool.empty.pop().unwrap_or_else(|| Box::new([0; BATCH]));
        // The oldest, which are the coldest.
        batch.copy_from_slice(&self.stack[..BATCH]);
        self.stack.drain(..BATCH);
        // Counted before it can be taken, so that the count never runs below zero.
        self.pool.depot.fetch_add(BATCH, Ordering::Relaxed);
        // Cannot be full: it has room for every batch that there is.
        let _ = self.pool.full.push(batch);
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.pool.give_back(&self.stack);
        let mut caches = self.pool.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.retain(|gauge| !Arc::ptr_eq(gauge, &self.gauge));
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({})", self.stack.len())
    }
}

/// A chunk on its way to become a packet: how drivers receive. Dropped without being pushed, it goes back to its cache.
#[derive(Debug)]
pub struct Buffer<'a> {
    cache: &'a mut Cache,
    position: u32,
    length: u16,
}

impl Buffer<'_> {
    /// Bytes that fit.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.cache.pool.region.geometry().data()
    }

    /// The packet's bytes from the default headroom on to the end of the chunk. What is in them is left from an earlier packet.
    #[inline]
    pub fn data(&mut self) -> &mut [u8] {
        let start = self.position as usize * super::LINE + DATA;
        // SAFETY: the position was in the pool's free list, so it names a chunk of the region and nobody else has it while this
        // buffer exists; DATA.. to the end of the chunk (`capacity` bytes) lies inside of it, and the mapping is initialised.
        unsafe { std::slice::from_raw_parts_mut(self.cache.pool.region.base().add(start), self.capacity()) }
    }

    /// Says how many bytes of [`Buffer::data`] are the packet. More than the capacity is held at the capacity.
    #[inline]
    pub fn set_len(&mut self, length: usize) {
        self.length = length.min(self.capacity()) as u16;
    }

    /// Copies the frame in; `false`, and nothing happens, if it does not fit.
    #[inline]
    pub fn fill(&mut self, frame: &[u8]) -> bool {
        if frame.len() > self.capacity() {
            return false;
        }
        self.data()[..frame.len()].copy_from_slice(frame);
        self.length = frame.len() as u16;
        true
    }

    /// Takes the chunk out of the pool, for a driver that hands it to the kernel or to a device; returns its position. It comes back as
    /// a packet by [`Vector::push_raw`].
    #[inline]
    pub fn into_position(self) -> u32 {
        let position = self.position;
        std::mem::forget(self);
        position
    }

    /// Appends the packet to a vector. A full vector does not take it: `false`, and the chunk goes back.
    #[inline]
    pub fn push(self, vector: &mut Vector, lane: Lane) -> bool {
        vector.assert_pool(&self.cache.pool);
        // SAFETY: the chunk is ours alone (see `data`), DATA >= HEAD, DATA + length <= stride by `set_len` and `fill`, and
        // DATA + WINDOW <= stride by `Geometry::new`. On success the vector owns it and `self` forgets it.
        let taken = unsafe { vector.push_raw(Desc::new(self.position, DATA as u16, self.length), lane) };
        if taken {
            std::mem::forget(self);
        }
        taken
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.cache.stack.push(self.position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Geometry;

    fn pool(chunks: u32) -> Arc<Pool> {
        Pool::new(Region::anonymous(Geometry::new(chunks, 512)).unwrap())
    }

    #[test]
    fn every_chunk_is_given_out_once_and_then_none() {
        for chunks in [1, 255, 256, 257, 1000] {
            let pool = pool(chunks);
            let mut cache = pool.cache();
            let mut vectors = Vec::new();
            let mut count = 0;
            'all: loop {
                let mut vector = Vector::new(&pool);
                for _ in 0..256 {
                    let Some(buffer) = cache.take() else {
                        vectors.push(vector);
                        break 'all;
                    };
                    assert!(buffer.push(&mut vector, Lane::default()));
                    count += 1;
                }
                vectors.push(vector);
            }
            assert_eq!(count, chunks);
            assert_eq!(pool.free(), 0);
            let mut seen: Vec<u32> = vectors.iter().flat_map(|v| v.descs().iter().map(|d| d.position())).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), chunks as usize);
            for vector in &mut vectors {
                cache.free(vector);
            }
            cache.publish();
            assert_eq!(pool.free() + pool.cached(), chunks as usize);
            drop(cache);
            assert_eq!((pool.free(), pool.cached()), (chunks as usize, 0));
        }
    }

    #[test]
    fn a_buffer_that_is_not_used_goes_back() {
        let pool = pool(1);
        let mut cache = pool.cache();
        for _ in 0..3 {
            let mut buffer = cache.take().unwrap();
            assert!(!buffer.fill(&[0; 4096]));
            assert!(buffer.fill(&[7; 60]));
        }
        let mut vector = Vector::new(&pool);
        let mut buffer = cache.take().unwrap();
        buffer.fill(&[7; 60]);
        assert!(buffer.push(&mut vector, Lane::default()));
        assert!(cache.take().is_none());
        assert_eq!(vector.bytes(0), Some(&[7u8; 60][..]));
        cache.free(&mut vector);
    }

    #[test]
    fn chunks_wander_between_workers_without_loss() {
        let pool = pool(4096);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut cache = pool.cache();
                    let mut vector = Vector::new(&pool);
                    for round in 0..200 {
                        for _ in 0..(round * 37) % 512 {
                            if let Some(buffer) = cache.take() {
                                buffer.push(&mut vector, Lane::default());
                            }
                        }
                        cache.free(&mut vector);
                    }
                });
            }
        });
        assert_eq!((pool.free(), pool.cached()), (4096, 0));
    }
}
