//! The queues: a call of DPDK for each vector.

use std::sync::Arc;

use swath_api::memory::{HEAD, WINDOW};
use swath_api::{Desc, Lane, Pool, Vector};
use swath_core::driver::{Io, PortConfig, Received, Refused, RxQueue, TxQueue};
use swath_dpdk_abi::{BURST, Packet};

use super::library::Attached;
use super::watch::Status;
use crate::drivers::af_xdp::checksum;

/// A receive queue.
pub(super) struct ReceiveQueue {
    attached: Arc<Attached>,
    number: u16,
    interface: u16,
    completes: bool,
    packets: Box<[Packet; BURST]>,
    // What is not sound goes back.
    back: Vector,
    // Chunks that DPDK has taken in calls of this queue, less those that it has given.
    held: isize,
}

impl ReceiveQueue {
    pub fn new(attached: &Arc<Attached>, number: u16, config: &PortConfig<'_>, completes: bool) -> ReceiveQueue {
        ReceiveQueue {
            attached: Arc::clone(attached),
            number,
            interface: config.index,
            completes,
            packets: Box::new([Packet::default(); BURST]),
            back: Vector::new(config.pool),
            held: 0,
        }
    }
}

impl RxQueue for ReceiveQueue {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let most = max.min(packets.room()).min(BURST);
        let arrived = self.attached.receive(self.number, &mut self.held, io.cache, &mut self.packets[..most]);
        let stride = io.cache.pool().region().geometry().stride as usize;
        let base = io.cache.pool().region().base();
        let mut received = Received { too_big: arrived.too_big.into(), ..Received::default() };
        let arrived = &self.packets[..usize::from(arrived.packets)];
        let is_sound = |packet: &Packet| {
            let (start, length) = (usize::from(packet.offset), usize::from(packet.length));
            start >= HEAD && start + length.max(WINDOW) <= stride
        };
        for packet in arrived {
            let (start, length) = (usize::from(packet.offset), usize::from(packet.length));
            let sound = is_sound(packet);
            if sound && self.completes {
                // SAFETY: the chunk is ours: DPDK has just given it to us; `start..start + length` lies in it.
                let frame = unsafe { std::slice::from_raw_parts_mut(base.add(packet.position as usize * 64 + start), length) };
                checksum::complete(frame);
            }
            let (vector, offset, length) =
                if sound { (&mut *packets, packet.offset, packet.length) } else { (&mut self.back, HEAD as u16, 0) };
            // SAFETY: the chunk is ours alone as above, and its bounds are checked, or are those of an empty packet. There is room: no more
            // are received than the vector takes.
            unsafe { vector.push_raw(Desc::new(packet.position, offset, length), Lane::received(self.interface)) };
            received.packets += u32::from(sound);
            received.too_big += u32::from(!sound);
        }
        if !self.back.is_empty() {
            io.cache.free(&mut self.back);
        }
        received
    }

    fn in_ring(&self) -> isize {
        self.held
    }
}

impl Drop for ReceiveQueue {
    fn drop(&mut self) {
        self.attached.leave(self.held);
    }
}

/// A transmit queue.
pub(super) struct TransmitQueue {
    attached: Arc<Attached>,
    worker: u16,
    status: Arc<Status>,
    link_down: u32,
    packets: Box<[Packet; BURST]>,
    pool: Arc<Pool>,
    // As of a receive queue.
    held: isize,
}

impl TransmitQueue {
    pub fn new(attached: &Arc<Attached>, worker: u16, status: &Arc<Status>, pool: &Arc<Pool>) -> TransmitQueue {
        let packets = Box::new([Packet::default(); BURST]);
        TransmitQueue {
            attached: Arc::clone(attached),
            worker,
            status: Arc::clone(status),
            link_down: 0,
            packets,
            pool: Arc::clone(pool),
            held: 0,
        }
    }
}

impl TxQueue for TransmitQueue {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        self.link_down = 0;
        if !self.status.link_is_up() {
            self.link_down = packets.len() as u32;
            return;
        }
        assert!(Arc::ptr_eq(&self.pool, packets.pool()), "packets of one pool only");
        while !packets.is_empty() {
            let count = packets.len().min(BURST);
            for (packet, desc) in self.packets.iter_mut().zip(packets.descs()) {
                *packet = Packet { position: desc.position(), offset: desc.offset(), length: desc.length() };
            }
            let sent = self.attached.transmit(self.worker, &mut self.held, io.cache, &self.packets[..count]);
            // Those are DPDK's now.
            packets.take_first(sent);
            if sent < count {
                break;
            }
        }
    }

    fn refused(&self) -> Refused {
        Refused { link_down: self.link_down, ..Refused::default() }
    }

    fn in_ring(&self) -> isize {
        // Each worker has a transmit queue of each interface.
        self.held + if self.worker == 0 { self.attached.outside() } else { 0 }
    }
}

impl Drop for TransmitQueue {
    fn drop(&mut self) {
        self.attached.leave(self.held);
    }
}
