//! Rings that the kernel and we share (`Documentation/networking/af_xdp.rst`): one side writes entries and moves `producer`, the other reads
//! them and moves `consumer`. Both indexes only grow, and wrap; an entry stands at its index modulo the size, a power of two.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::MmapRaw;

/// What a ring can hold.
pub(super) trait Entry: Copy + Send {}
/// Of the fill and the completion ring: bytes from the start of the memory.
impl Entry for u64 {}
/// Of the receive and the transmit ring: a frame.
impl Entry for libc::xdp_desc {}

/// Where the parts of a ring lie in its mapping, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offsets {
    pub producer: u64,
    pub consumer: u64,
    pub flags: u64,
    pub entries: u64,
}

impl From<libc::xdp_ring_offset> for Offsets {
    fn from(ring: libc::xdp_ring_offset) -> Offsets {
        Offsets { producer: ring.producer, consumer: ring.consumer, flags: ring.flags, entries: ring.desc }
    }
}

/// A mapped ring, of whose two ends the other is the kernel's.
struct Ring<T> {
    map: Arc<MmapRaw>,
    at: Offsets,
    size: u32,
    _entry: PhantomData<T>,
}

impl<T: Entry> Ring<T> {
    /// `None` if the parts do not lie in the mapping, each where its type may, or the size is no power of two.
    fn new(map: Arc<MmapRaw>, at: Offsets, size: u32) -> Option<Ring<T>> {
        let fits = |offset: u64, bytes: usize, align: usize| {
            let end = usize::try_from(offset).ok()?.checked_add(bytes)?;
            (end <= map.len() && (map.as_ptr() as usize + offset as usize).is_multiple_of(align)).then_some(())
        };
        for word in [at.producer, at.consumer, at.flags] {
            fits(word, size_of::<u32>(), align_of::<u32>())?;
        }
        fits(at.entries, size_of::<T>().checked_mul(size as usize)?, align_of::<T>())?;
        size.is_power_of_two().then_some(Ring { map, at, size, _entry: PhantomData })
    }

    #[inline]
    fn word(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: the word lies in the mapping and is aligned by `new`; the mapping lives as long as `self`; kernel and we access it as a
        // whole word, and we only atomically.
        unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().add(offset as usize).cast()) }
    }

    #[inline]
    fn entry(&self, index: u32) -> *mut T {
        let slot = (index & (self.size - 1)) as usize;
        // SAFETY: `slot < size`, and `size` entries lie in the mapping by `new`.
        unsafe { self.map.as_mut_ptr().add(self.at.entries as usize).cast::<T>().add(slot) }
    }

    /// Whether the kernel has to be called for it to go on with this ring.
    #[inline]
    fn needs_wakeup(&self) -> bool {
        self.word(self.at.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// The end that writes: of the fill ring and the transmit ring.
pub(super) struct Producer<T> {
    ring: Ring<T>,
    // Entries written, published or not.
    next: u32,
    // How far the kernel was known to have read.
    read: u32,
}

impl<T: Entry> Producer<T> {
    pub fn new(map: Arc<MmapRaw>, at: Offsets, size: u32) -> Option<Producer<T>> {
        let ring = Ring::new(map, at, size)?;
        let next = ring.word(ring.at.producer).load(Ordering::Relaxed);
        let read = ring.word(ring.at.consumer).load(Ordering::Acquire);
        Some(Producer { ring, next, read })
    }

    /// Entries that it holds at most.
    pub fn size(&self) -> usize {
        self.ring.size as usize
    }

    /// Entries that can be written.
    #[inline]
    pub fn room(&mut self) -> usize {
        // Acquired: the kernel has read the entries that we overwrite.
        self.read = self.ring.word(self.ring.at.consumer).load(Ordering::Acquire);
        self.ring.size.saturating_sub(self.next.wrapping_sub(self.read)) as usize
    }

    /// Writes an entry, which the kernel does not see before [`Producer::publish`]. `false` if there is no room.
    #[inline]
    pub fn write(&mut self, entry: T) -> bool {
        if self.next.wrapping_sub(self.read) >= self.ring.size && self.room() == 0 {
            return false;
        }
        // SAFETY: the entry lies in the mapping (`entry`). The kernel has read the one that was there before (`room`), and does not look at
        // this one until `publish`.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Shows the kernel what was written.
    #[inline]
    pub fn publish(&mut self) {
        // Released: the kernel sees the entries when it sees the index.
        self.ring.word(self.ring.at.producer).store(self.next, Ordering::Release);
    }

    /// Entries that the kernel has not read yet.
    #[inline]
    pub fn pending(&mut self) -> usize {
        self.ring.size as usize - self.room()
    }

    /// See [`Ring::needs_wakeup`].
    #[inline]
    pub fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// The end that reads: of the receive ring and the completion ring.
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    // Entries read, given back or not.
    next: u32,
    // How far the kernel was known to have written.
    written: u32,
}

impl<T: Entry> Consumer<T> {
    pub fn new(map: Arc<MmapRaw>, at: Offsets, size: u32) -> Option<Consumer<T>> {
        let ring = Ring::new(map, at, size)?;
        let next = ring.word(ring.at.consumer).load(Ordering::Relaxed);
        Some(Consumer { ring, next, written: next })
    }

    /// Entries that can be read.
    #[inline]
    pub fn ready(&mut self) -> usize {
        // Acquired: what was written before the index is seen with it.
        self.written = self.ring.word(self.ring.at.producer).load(Ordering::Acquire);
        // Never more than the ring holds, whatever the index says.
        if self.written.wrapping_sub(self.next) > self.ring.size {
            self.written = self.next;
        }
        self.written.wrapping_sub(self.next) as usize
    }

    /// The entry behind so many others, which is not read by this. `None` of one that was not there when somebody last looked.
    #[inline]
    pub fn peek(&self, behind: usize) -> Option<T> {
        let known = self.written.wrapping_sub(self.next) as usize;
        // SAFETY: the entry lies in the mapping (`entry`), any pattern is one, and the kernel has written it before it moved its index to
        // behind it; it writes there again only after `release`.
        (behind < known).then(|| unsafe { self.ring.entry(self.next.wrapping_add(behind as u32)).read() })
    }

    /// The next entry.
    #[inline]
    pub fn read(&mut self) -> Option<T> {
        if self.next == self.written && self.ready() == 0 {
            return None;
        }
        let entry = self.peek(0);
        self.next = self.next.wrapping_add(1);
        entry
    }

    /// Gives what was read back to the kernel.
    #[inline]
    pub fn release(&mut self) {
        // Released: the kernel writes only after we have read.
        self.ring.word(self.ring.at.consumer).store(self.next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use memmap2::MmapMut;
    use proptest::prelude::*;

    use super::*;

    const AT: Offsets = Offsets { producer: 0, consumer: 64, flags: 128, entries: 192 };

    /// Both ends of a ring in memory of our own; each believes the other to be the kernel's.
    fn ends(size: u32, start: u32) -> (Producer<u64>, Consumer<u64>) {
        let mut map = MmapMut::map_anon(4096).unwrap();
        map[..4].copy_from_slice(&start.to_ne_bytes());
        map[64..68].copy_from_slice(&start.to_ne_bytes());
        let map = Arc::new(MmapRaw::from(map));
        (Producer::new(Arc::clone(&map), AT, size).unwrap(), Consumer::new(map, AT, size).unwrap())
    }

    proptest! {
        /// Against a queue, from any index on: also one that is about to wrap.
        #[test]
        fn what_goes_in_comes_out_in_order(
            steps in prop::collection::vec((0u8..4, 1usize..20), 1..200),
            start in prop_oneof![Just(0u32), Just(u32::MAX - 7), any::<u32>()],
            bits in 0u32..6,
        ) {
            let size = 1u32 << bits;
            let (mut producer, mut consumer) = ends(size, start);
            let (mut written, mut published, mut read) = (VecDeque::new(), VecDeque::new(), 0usize);
            let mut number = 0u64;
            for (step, count) in steps {
                match step {
                    0 => for _ in 0..count {
                        let room = written.len() + published.len() + read < size as usize;
                        prop_assert_eq!(producer.write(number), room);
                        if room {
                            written.push_back(number);
                        }
                        number += 1;
                    },
                    1 => {
                        producer.publish();
                        published.append(&mut written);
                    }
                    2 => for _ in 0..count {
                        let next = published.pop_front();
                        prop_assert_eq!(consumer.read(), next);
                        read += usize::from(next.is_some());
                    },
                    _ => {
                        consumer.release();
                        read = 0;
                    }
                }
                prop_assert_eq!(producer.pending(), written.len() + published.len() + read);
            }
        }
    }

    #[test]
    fn two_threads_pass_everything_on() {
        const COUNT: u64 = 100_000;
        let (mut producer, mut consumer) = ends(64, u32::MAX - 1000);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..COUNT {
                    while !producer.write(number) {
                        producer.publish();
                        std::thread::yield_now();
                    }
                }
                producer.publish();
            });
            let mut expected = 0;
            while expected < COUNT {
                match consumer.read() {
                    Some(number) => {
                        assert_eq!(number, expected);
                        expected += 1;
                    }
                    None => std::thread::yield_now(),
                }
                consumer.release();
            }
        });
    }

    #[test]
    fn an_index_that_cannot_be_is_not_followed() {
        let (mut producer, mut consumer) = ends(8, 0);
        producer.next = 1000;
        producer.publish();
        assert_eq!(consumer.read(), None);
        assert_eq!(producer.room(), 0);
        assert!(!producer.write(1));
    }

    #[test]
    fn a_ring_lies_in_its_mapping() {
        let map = || Arc::new(MmapRaw::from(MmapMut::map_anon(4096).unwrap()));
        assert!(Producer::<u64>::new(map(), AT, 256).is_some());
        assert!(Producer::<u64>::new(map(), AT, 255).is_none(), "no power of two");
        assert!(Producer::<u64>::new(map(), AT, 512).is_none(), "too long");
        assert!(Consumer::<libc::xdp_desc>::new(map(), AT, 256).is_none(), "too long");
        assert!(Consumer::<u64>::new(map(), Offsets { consumer: 4094, ..AT }, 8).is_none());
        assert!(Consumer::<u64>::new(map(), Offsets { flags: u64::MAX, ..AT }, 8).is_none());
        assert!(Consumer::<u64>::new(map(), Offsets { entries: 100, ..AT }, 8).is_none(), "not aligned");
    }
}
