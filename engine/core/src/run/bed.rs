//! Where a worker sleeps, and how others wake it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use swath_api::sync::Sleeper;

/// A flag that says that the worker sleeps, and a descriptor that wakes it. It is written only if the worker sleeps: to hand packets to
/// one that is awake is no system call.
#[derive(Debug)]
pub(super) struct Bed {
    sleeper: Sleeper,
    event: OwnedFd,
}

impl Bed {
    /// # Errors
    /// The process has no descriptor left.
    pub fn new() -> io::Result<Bed> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Bed { sleeper: Sleeper::default(), event })
    }

    /// To be called after work was put down: wakes the worker if it sleeps.
    #[inline]
    pub fn wake(&self) {
        if self.sleeper.must_wake() {
            // It can only fail if 2^64 - 2 writes were not read: then it is readable, too.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Calls `sleep` unless there is something to do after all. Returns whether it has slept.
    pub fn lie_down(&self, nothing: impl FnOnce() -> bool, sleep: impl FnOnce(BorrowedFd<'_>)) -> bool {
        if !self.sleeper.may_sleep(nothing) {
            return false;
        }
        sleep(self.event.as_fd());
        self.sleeper.awake();
        true
    }

    /// Whether somebody has woken the worker since this was last asked.
    pub fn was_woken(&self) -> bool {
        rustix::io::read(&self.event, &mut [0u8; 8]).is_ok()
    }
}
