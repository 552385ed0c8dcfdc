//! The transmit queue.

use std::sync::Arc;

use rustix::io::Errno;
use swath_api::{Mask, Pool, Vector};
use swath_core::driver::{Io, Refused, TxQueue};

use super::socket::{BATCH, Socket};
use crate::drivers::kernel::Totals;
use crate::drivers::kernel::watch::{Mailbox, Status};

/// A transmit queue.
pub(super) struct TransmitQueue {
    socket: Socket,
    status: Arc<Status>,
    mailbox: Arc<Mailbox<Socket>>,
    seen: u32,
    totals: Arc<Totals>,
    refused: Refused,
    // Packets that were sent, or were not: what has to be apart.
    apart: Vector,
}

/// What became of the packets of a vector.
struct Outcome {
    /// All before this one were sent, or are in `too_big`.
    sent: usize,
    /// Those that the device does not carry.
    too_big: Vec<usize>,
    /// Whether the rest was not sent because the device is down or gone.
    link_down: bool,
}

impl TransmitQueue {
    pub fn new(
        socket: Socket,
        status: &Arc<Status>,
        mailbox: &Arc<Mailbox<Socket>>,
        totals: &Arc<Totals>,
        pool: &Arc<Pool>,
    ) -> TransmitQueue {
        TransmitQueue {
            socket,
            status: Arc::clone(status),
            mailbox: Arc::clone(mailbox),
            seen: status.events(),
            totals: Arc::clone(totals),
            refused: Refused::default(),
            apart: Vector::new(pool),
        }
    }

    #[cold]
    fn refresh(&mut self, events: u32) {
        if self.mailbox.fetch(&mut self.socket) {
            self.seen = events;
        }
        self.socket.clear_error();
    }

    fn send(&self, packets: &Vector) -> Outcome {
        let mut outcome = Outcome { sent: 0, too_big: Vec::new(), link_down: false };
        while outcome.sent < packets.len() {
            let mut frames: [&[u8]; BATCH] = [&[]; BATCH];
            let count = (packets.len() - outcome.sent).min(BATCH);
            for (at, frame) in frames[..count].iter_mut().enumerate() {
                *frame = packets.bytes(outcome.sent + at).unwrap_or_default();
            }
            match self.socket.send(&frames[..count]) {
                Ok(sent) => outcome.sent += sent,
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::INTR) => {}
                    Some(Errno::MSGSIZE) => {
                        outcome.too_big.push(outcome.sent);
                        outcome.sent += 1;
                    }
                    Some(Errno::NETDOWN | Errno::NXIO | Errno::NODEV) => {
                        outcome.link_down = true;
                        break;
                    }
                    // The device's queue is full, or the socket's buffer.
                    Some(Errno::NOBUFS | Errno::AGAIN) => break,
                    _ => {
                        self.totals.failed(&error);
                        break;
                    }
                },
            }
        }
        outcome
    }
}

impl TxQueue for TransmitQueue {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let events = self.status.events();
        if events != self.seen {
            self.refresh(events);
        }
        self.refused = Refused::default();
        if !self.status.is_up() {
            self.refused.link_down = packets.len() as u32;
            return;
        }
        let Outcome { sent, too_big, link_down } = self.send(packets);
        let stays = packets.len() - sent;
        self.refused.too_big = too_big.len() as u32;
        self.refused.link_down = if link_down { stays as u32 } else { 0 };
        if too_big.is_empty() {
            packets.split_off(sent, &mut self.apart);
            io.cache.free(packets);
            packets.append(&mut self.apart);
        } else {
            let keep = Mask::from_fn(packets.len(), |at| at >= sent || too_big.contains(&at));
            packets.split(&keep, std::slice::from_mut(&mut self.apart), |_| 0);
            io.cache.free(&mut self.apart);
        }
    }

    fn refused(&self) -> Refused {
        self.refused
    }
}
