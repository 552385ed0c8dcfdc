//! Something new for several threads at once: each finds its own in a box when the number of what is published has gone up, and gives it
//! back when it has no more use for it.

use std::fmt;
use std::sync::atomic::Ordering;

use super::{Arc, AtomicUsize, Receiver, Sender, ring};

/// The number of what was published last, on cache lines of its own: every thread reads it all the time.
#[repr(align(128))]
struct Number(AtomicUsize);

/// A publisher, and a subscriber for each of so many threads. There is one thing for each of them at a time.
pub fn post<T: Send + 'static>(threads: usize) -> (Publisher<T>, Vec<Subscriber<T>>) {
    let number = Arc::new(Number(AtomicUsize::new(0)));
    let ends = (0..threads).map(|_| {
        let ((put, inbox), (back, taken)) = (ring(1), ring(1));
        (Desk { put, taken }, Subscriber { number: Arc::clone(&number), seen: 0, inbox, back })
    });
    let (desks, subscribers) = ends.unzip();
    (Publisher { number, desks }, subscribers)
}

struct Desk<T> {
    put: Sender<T>,
    taken: Receiver<T>,
}

/// The end that publishes.
pub struct Publisher<T> {
    number: Arc<Number>,
    desks: Vec<Desk<T>>,
}

impl<T: Send> Publisher<T> {
    /// Lays something down for a thread, which does not see it before it is [published](Publisher::publish).
    ///
    /// # Errors
    /// The thread has not taken what it was given before: here it is.
    pub fn put(&mut self, thread: usize, news: T) -> Result<(), T> {
        self.desks[thread].put.push(news)
    }

    /// Has all threads take what was laid down for them.
    pub fn publish(&mut self) {
        // Release: who sees the number finds what was put before. There is one publisher, so nothing is lost between load and store.
        let next = self.number.0.load(Ordering::Relaxed).wrapping_add(1);
        self.number.0.store(next, Ordering::Release);
    }

    /// What a thread has given back.
    pub fn back(&mut self, thread: usize) -> Option<T> {
        self.desks[thread].taken.pop()
    }
}

/// The end of one thread.
pub struct Subscriber<T> {
    number: Arc<Number>,
    seen: usize,
    inbox: Receiver<T>,
    back: Sender<T>,
}

impl<T: Send> Subscriber<T> {
    /// Whether there is something to [take](Subscriber::take): one load.
    #[inline]
    pub fn has_news(&self) -> bool {
        // Acquire: what was put before it was published is there.
        self.number.0.load(Ordering::Acquire) != self.seen
    }

    /// Takes what was published.
    pub fn take(&mut self) -> Option<T> {
        self.seen = self.number.0.load(Ordering::Acquire);
        self.inbox.pop()
    }

    /// Gives something back.
    ///
    /// # Errors
    /// The other side has not taken back what was given before: here it is.
    pub fn give_back(&mut self, used: T) -> Result<(), T> {
        self.back.push(used)
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publisher(to {} threads)", self.desks.len())
    }
}

impl<T> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscriber(has seen {})", self.seen)
    }
}
