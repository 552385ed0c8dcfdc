//! The receive queue.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use swath_api::Vector;
use swath_core::driver::{Io, Received, RxQueue};

use super::ring::{Ring, Slot};
use crate::drivers::kernel::intake::Intake;
use crate::drivers::kernel::watch::{Mailbox, Status};

/// A receive queue.
pub(super) struct ReceiveQueue {
    ring: Ring,
    intake: Intake,
    status: Arc<Status>,
    mailbox: Arc<Mailbox<Ring>>,
    // As of when the mailbox was last looked into.
    seen: u32,
}

impl ReceiveQueue {
    pub fn new(ring: Ring, interface: u16, status: &Arc<Status>, mailbox: &Arc<Mailbox<Ring>>) -> ReceiveQueue {
        let seen = status.events();
        ReceiveQueue { ring, intake: Intake::new(interface), status: Arc::clone(status), mailbox: Arc::clone(mailbox), seen }
    }

    #[cold]
    fn refresh(&mut self, events: u32) {
        let before = Arc::as_ptr(self.ring.socket());
        if self.mailbox.fetch(&mut self.ring) {
            self.seen = events;
        }
        if before != Arc::as_ptr(self.ring.socket()) {
            // What was left of a frame has gone with the old ring.
            self.intake.forget();
        }
        self.ring.socket().clear_error();
    }
}

impl RxQueue for ReceiveQueue {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let events = self.status.events();
        if events != self.seen {
            self.refresh(events);
        }
        let most = max.min(packets.room()) as u32;
        let mut received = Received::default();
        while received.arrived() < most {
            match self.ring.next() {
                None => break,
                Some(Slot::Own) => {}
                Some(Slot::Cut) => received.too_big += 1,
                Some(Slot::Frame(handed)) => {
                    if !self.intake.take(&handed, packets, most, &mut received, io.cache) {
                        break;
                    }
                }
            }
            self.ring.advance();
        }
        received
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        // A socket whose device is gone is always ready, and has nothing.
        self.status.is_up().then(|| self.ring.as_fd())
    }
}
