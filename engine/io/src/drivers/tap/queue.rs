//! The queues: a packet is a `read` or a `write`.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::io::{Errno, read, writev};
use swath_api::{Pool, Vector};
use swath_core::driver::{Io, Received, Refused, RxQueue, TxQueue};

use crate::drivers::kernel::Totals;
use crate::drivers::kernel::intake::Intake;
use crate::drivers::kernel::watch::{Mailbox, Status};
use crate::offload::{Handed, VnetHeader};

/// The most that a sender leaves to be cut, with its link-layer header.
const LONGEST: usize = 65_536 + 64;

/// A receive queue.
pub(super) struct ReceiveQueue {
    file: Arc<File>,
    intake: Intake,
    status: Arc<Status>,
    mailbox: Arc<Mailbox<Arc<File>>>,
    seen: u32,
    frame: Box<[u8]>,
    // Bytes of a frame that is still being cut.
    left: Option<usize>,
}

impl ReceiveQueue {
    pub fn new(file: &Arc<File>, interface: u16, status: &Arc<Status>, mailbox: &Arc<Mailbox<Arc<File>>>) -> ReceiveQueue {
        ReceiveQueue {
            file: Arc::clone(file),
            intake: Intake::new(interface),
            status: Arc::clone(status),
            mailbox: Arc::clone(mailbox),
            seen: status.events(),
            frame: vec![0; VnetHeader::LEN + LONGEST].into(),
            left: None,
        }
    }
}

impl RxQueue for ReceiveQueue {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let events = self.status.events();
        if events != self.seen && self.mailbox.fetch(&mut self.file) {
            self.seen = events;
        }
        let most = max.min(packets.room()) as u32;
        let mut received = Received::default();
        while received.arrived() < most {
            let len = match self.left.take() {
                Some(len) => len,
                None => match read(&*self.file, &mut *self.frame) {
                    Ok(len) => len,
                    Err(Errno::INTR) => continue,
                    // Nothing has come, or the device is down or gone.
                    Err(_) => break,
                },
            };
            let Some((header, frame)) = self.frame.get(..len).and_then(|bytes| bytes.split_first_chunk()) else { break };
            let handed = Handed { header: VnetHeader::from_bytes(header), frame, tag: None };
            if !self.intake.take(&handed, packets, most, &mut received, io.cache) {
                self.left = Some(len);
                break;
            }
        }
        received
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        self.status.is_up().then(|| self.file.as_fd())
    }
}

/// A transmit queue.
pub(super) struct TransmitQueue {
    file: Arc<File>,
    status: Arc<Status>,
    mailbox: Arc<Mailbox<Arc<File>>>,
    seen: u32,
    totals: Arc<Totals>,
    refused: Refused,
    rest: Vector,
}

impl TransmitQueue {
    pub fn new(
        file: &Arc<File>,
        status: &Arc<Status>,
        mailbox: &Arc<Mailbox<Arc<File>>>,
        totals: &Arc<Totals>,
        pool: &Arc<Pool>,
    ) -> TransmitQueue {
        TransmitQueue {
            file: Arc::clone(file),
            status: Arc::clone(status),
            mailbox: Arc::clone(mailbox),
            seen: status.events(),
            totals: Arc::clone(totals),
            refused: Refused::default(),
            rest: Vector::new(pool),
        }
    }

    /// Sends packets in their order. Returns how many, and whether the device did not take the next because it is down or gone.
    fn send(&self, packets: &Vector) -> (usize, bool) {
        let nothing = VnetHeader::default().to_bytes();
        let mut sent = 0;
        while let Some(frame) = packets.bytes(sent) {
            match writev(&*self.file, &[IoSlice::new(&nothing), IoSlice::new(frame)]) {
                Ok(_) => sent += 1,
                Err(Errno::INTR) => {}
                Err(Errno::IO | Errno::BADFD) => return (sent, true),
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => break,
                Err(error) => {
                    self.totals.failed(&error.into());
                    break;
                }
            }
        }
        (sent, false)
    }
}

impl TxQueue for TransmitQueue {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let events = self.status.events();
        if events != self.seen && self.mailbox.fetch(&mut self.file) {
            self.seen = events;
        }
        self.refused = Refused::default();
        let (sent, link_down) = if self.status.is_up() { self.send(packets) } else { (0, true) };
        if link_down {
            self.refused.link_down = (packets.len() - sent) as u32;
        }
        packets.split_off(sent, &mut self.rest);
        io.cache.free(packets);
        packets.append(&mut self.rest);
    }

    fn refused(&self) -> Refused {
        self.refused
    }
}
