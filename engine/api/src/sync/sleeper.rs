//! How a thread falls asleep without missing what others put down for it meanwhile.

use std::sync::atomic::Ordering;

use super::{AtomicBool, fence};

/// The flag of a thread that may sleep. What it sleeps *on*, and what wakes it, is its owner's business: an eventfd, a condition variable.
///
/// Each side writes and then looks: the sleeper says that it sleeps and then looks for work; the others put work down and then look
/// whether it sleeps. Of two such sides one sees the other (Dekker), if between its write and its look each has a sequentially
/// consistent fence.
#[derive(Debug)]
pub struct Sleeper {
    asleep: AtomicBool,
}

impl Default for Sleeper {
    fn default() -> Sleeper {
        Sleeper { asleep: AtomicBool::new(false) }
    }
}

impl Sleeper {
    /// Says that the thread sleeps, and then looks whether there is `nothing` to do after all. `true`: it may block on what
    /// [`Sleeper::must_wake`] makes others write to, and has to call [`Sleeper::awake`] behind that.
    pub fn may_sleep(&self, nothing: impl FnOnce() -> bool) -> bool {
        // All changes of the flag are exchanges, so that nobody's late one takes the place of a newer.
        self.asleep.swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let nothing = nothing();
        if !nothing {
            self.awake();
        }
        nothing
    }

    /// Says that the thread is awake.
    pub fn awake(&self) {
        self.asleep.swap(false, Ordering::Relaxed);
    }

    /// To be asked by who has just put work down: whether the thread has to be woken. Of several who ask about one sleep one is told.
    #[inline]
    pub fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed)
    }
}
