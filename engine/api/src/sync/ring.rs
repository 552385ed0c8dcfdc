//! A bounded queue from one thread to another (Lamport 1983), with the other side's index cached (FastForward, MCRingBuffer): a batch
//! costs one store that the other side sees, and a load of its index only when the queue looks full or empty.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering;

use super::{Arc, AtomicUsize, UnsafeCell};

/// An index on cache lines of its own: two, for processors fetch them in pairs.
#[repr(align(128))]
struct Index(AtomicUsize);

struct Shared<T> {
    /// How many were ever taken; the receiver's.
    head: Index,
    /// How many were ever put in; the sender's. `head <= tail <= head + capacity`, and the slots from `head` to `tail` hold items.
    tail: Index,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    lost: Box<dyn Fn(T) + Send + Sync>,
}

// SAFETY: a slot is the sender's or the receiver's, never both's, by the indexes: items are handed over and not shared, so that they
// have to be `Send` and no more.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    #[inline]
    fn slot(&self, index: usize) -> &UnsafeCell<MaybeUninit<T>> {
        // A power of two: see `ring_with`.
        &self.slots[index & (self.slots.len() - 1)]
    }

    fn len(&self) -> usize {
        // In this order: a head that is newer than the tail would make the length negative.
        let head = self.head.0.load(Ordering::Acquire);
        self.tail.0.load(Ordering::Acquire).wrapping_sub(head)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let (mut head, tail) = (self.head.0.load(Ordering::Relaxed), self.tail.0.load(Ordering::Relaxed));
        while head != tail {
            // SAFETY: the slots from head to tail hold items, and nobody else is left.
            let item = self.slot(head).with(|slot| unsafe { (*slot).assume_init_read() });
            head = head.wrapping_add(1);
            (self.lost)(item);
        }
    }
}

/// A queue for `capacity` items, rounded up to a power of two. What is in it when both ends are gone is dropped.
pub fn ring<T: Send + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    ring_with(capacity, drop)
}

/// As [`ring`]; what is in it when both ends are gone is given to `lost`.
pub fn ring_with<T: Send + 'static>(capacity: usize, lost: impl Fn(T) + Send + Sync + 'static) -> (Sender<T>, Receiver<T>) {
    let slots = (0..capacity.max(1).next_power_of_two()).map(|_| UnsafeCell::new(MaybeUninit::uninit()));
    let shared = Arc::new(Shared {
        head: Index(AtomicUsize::new(0)),
        tail: Index(AtomicUsize::new(0)),
        slots: slots.collect(),
        lost: Box::new(lost),
    });
    (Sender { shared: Arc::clone(&shared), tail: 0, head: 0 }, Receiver { shared, head: 0, tail: 0 })
}

/// The end of a queue that puts items in.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    tail: usize,
    // As it was when it was last looked at: never more than it is.
    head: usize,
}

impl<T: Send> Sender<T> {
    /// Puts items in, in order, as many of the first `count` as there is room for; returns how many. `item` is asked for each of them
    /// by its index.
    #[inline]
    pub fn push_all(&mut self, count: usize, mut item: impl FnMut(usize) -> T) -> usize {
        let capacity = self.shared.slots.len();
        if capacity - self.tail.wrapping_sub(self.head) < count {
            // Acquire: what the receiver has read from a slot it has read before this thread writes there again.
            self.head = self.shared.head.0.load(Ordering::Acquire);
        }
        let count = count.min(capacity - self.tail.wrapping_sub(self.head));
        for index in 0..count {
            let item = item(index);
            // SAFETY: the slot is not between head and tail, so it is the sender's, of which there is one.
            self.shared.slot(self.tail.wrapping_add(index)).with_mut(|slot| unsafe { (*slot).write(item) });
        }
        self.tail = self.tail.wrapping_add(count);
        // Release: who sees the new tail sees the items.
        self.shared.tail.0.store(self.tail, Ordering::Release);
        count
    }

    /// Puts an item in.
    ///
    /// # Errors
    /// There is no room: here is the item.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        let mut item = Some(item);
        self.push_all(1, |_| item.take().expect("asked once"));
        item.map_or(Ok(()), Err)
    }

    /// What tells the number of items to anybody.
    pub fn gauge(&self) -> Gauge<T> {
        Gauge(Arc::clone(&self.shared))
    }
}

/// The end of a queue that takes items out.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    head: usize,
    // As it was when it was last looked at: never more than it is.
    tail: usize,
}

impl<T: Send> Receiver<T> {
    /// Takes up to `max` items out, in order; returns how many.
    #[inline]
    pub fn pop_all(&mut self, max: usize, take: impl FnMut(T)) -> usize {
        self.pop_while(max, |_| true, take)
    }

    /// As [`Receiver::pop_all`], up to the first item that is not `wanted`, which stays.
    #[inline]
    pub fn pop_while(&mut self, max: usize, mut wanted: impl FnMut(&T) -> bool, mut take: impl FnMut(T)) -> usize {
        /// Says what was taken, also if `take` panics: an item that was read is nobody else's.
        struct Publish<'a, T>(&'a mut Receiver<T>);

        impl<T> Drop for Publish<'_, T> {
            fn drop(&mut self) {
                // Release: the sender writes to a slot after this thread has read it.
                self.0.shared.head.0.store(self.0.head, Ordering::Release);
            }
        }

        if self.tail.wrapping_sub(self.head) < max {
            // Acquire: the items that this tail names are there to be read.
            self.tail = self.shared.tail.0.load(Ordering::Acquire);
        }
        let count = max.min(self.tail.wrapping_sub(self.head));
        if count == 0 {
            return 0;
        }
        let receiver = Publish(self);
        for taken in 0..count {
            let slot = receiver.0.shared.slot(receiver.0.head);
            // SAFETY: head < tail, so the slot holds an item, which is the receiver's, of which there is one.
            if !slot.with(|slot| wanted(unsafe { (*slot).assume_init_ref() })) {
                return taken;
            }
            // SAFETY: as above; it is read once, for head moves on.
            let item = slot.with(|slot| unsafe { (*slot).assume_init_read() });
            receiver.0.head = receiver.0.head.wrapping_add(1);
            take(item);
        }
        count
    }

    /// Takes an item out.
    pub fn pop(&mut self) -> Option<T> {
        let mut item = None;
        self.pop_all(1, |taken| item = Some(taken));
        item
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.shared.len() == 0
    }
}

/// Tells how full a queue is, to any thread: exact while both ends stand still.
pub struct Gauge<T>(Arc<Shared<T>>);

impl<T> Gauge<T> {
    /// Items in the queue.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({} of {})", self.shared.len(), self.shared.slots.len())
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({} of {})", self.shared.len(), self.shared.slots.len())
    }
}

impl<T> fmt::Debug for Gauge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gauge({})", self.len())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn items_come_out_as_they_went_in() {
        let (mut sender, mut receiver) = ring(3);
        let gauge = sender.gauge();
        assert_eq!(sender.push_all(9, |index| index), 4);
        assert_eq!((gauge.len(), sender.push(7)), (4, Err(7)));
        assert_eq!(receiver.pop(), Some(0));
        assert_eq!(sender.push(4), Ok(()));
        let mut taken = Vec::new();
        assert_eq!(receiver.pop_all(3, |item| taken.push(item)), 3);
        assert_eq!(receiver.pop_all(3, |item| taken.push(item)), 1);
        assert_eq!((taken, receiver.pop(), receiver.is_empty()), (vec![1, 2, 3, 4], None, true));
    }

    #[test]
    fn what_nobody_took_is_lost_to_who_asked_for_it() {
        let lost = std::sync::Arc::new(AtomicUsize::new(0));
        let counter = std::sync::Arc::clone(&lost);
        let (mut sender, mut receiver) = ring_with(8, move |item: usize| {
            counter.fetch_add(item, Ordering::Relaxed);
        });
        sender.push_all(5, |index| index + 1);
        assert_eq!(receiver.pop(), Some(1));
        drop(receiver);
        assert_eq!(lost.load(Ordering::Relaxed), 0);
        drop(sender);
        assert_eq!(lost.load(Ordering::Relaxed), 2 + 3 + 4 + 5);
    }

    #[test]
    fn a_panic_while_taking_leaves_what_was_not_taken() {
        let (mut sender, mut receiver) = ring(4);
        sender.push_all(3, Box::new);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| receiver.pop_all(3, |item| assert_ne!(*item, 1))));
        assert!(panic.is_err());
        assert_eq!((receiver.pop(), receiver.pop()), (Some(Box::new(2)), None));
    }

    #[test]
    fn two_threads_lose_nothing() {
        let (mut sender, mut receiver) = ring(16);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut next = 0;
                while next < 100_000 {
                    next += sender.push_all((100_000 - next).min(next % 20 + 1), |index| next + index);
                }
            });
            let mut expected = 0;
            while expected < 100_000 {
                receiver.pop_all(expected % 7 + 1, |item| {
                    assert_eq!(item, expected);
                    expected += 1;
                });
                std::thread::yield_now();
            }
        });
    }
}
