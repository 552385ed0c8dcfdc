//! The queues: a call of DPDK for each vector.

use std::sync::Arc;

use swath_api::memory::{HEAD, LINE};
use swath_api::{Desc, Lane, Pool, Vector};
use swath_core::driver::{Io, PortConfig, Received, Refused, RxQueue, TxQueue};
use swath_dpdk_abi::BURST;

use super::library::Attached;
use super::watch::Status;
use crate::drivers::af_xdp::checksum;

/// A receive queue.
pub(super) struct ReceiveQueue {
    attached: Arc<Attached>,
    number: u16,
    interface: u16,
    completes: bool,
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
            back: Vector::new(config.pool),
            held: 0,
        }
    }
}

/// Leaves those of the first `count` places behind the packets that are sound, in their order, and moves the chunks of others to `back`. Returns
/// how many are left.
///
/// # Safety
/// The chunks of these places are the caller's.
#[cold]
unsafe fn sort_out(packets: &mut Vector, back: &mut Vector, count: usize) -> usize {
    let mut sound = 0;
    for at in 0..count {
        packets.spare(count).swap(sound, at);
        if packets.is_sound(sound + 1) {
            sound += 1;
            continue;
        }
        let desc = Desc::new(packets.spare(count)[sound].position(), HEAD as u16, 0);
        // SAFETY: the chunk is the caller's, and its place is taken by another one, or is behind those that are left. The packet is empty.
        unsafe { back.push_raw(desc, Lane::default()) };
    }
    sound
}

impl RxQueue for ReceiveQueue {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        assert!(Arc::ptr_eq(io.cache.pool(), packets.pool()), "packets of one pool only");
        let arrived = self.attached.receive(self.number, &mut self.held, io.cache, packets.spare(max.min(BURST)));
        let count = usize::from(arrived.packets);
        let mut sound = count;
        if !packets.is_sound(count) {
            // SAFETY: DPDK has just given these chunks to us.
            sound = unsafe { sort_out(packets, &mut self.back, count) };
            io.cache.free(&mut self.back);
        }
        if self.completes {
            let base = packets.pool().region().base();
            for desc in packets.spare(sound) {
                let start = desc.position() as usize * LINE + usize::from(desc.offset());
                // SAFETY: the chunk is ours: DPDK has just given it to us; and the packet lies in it, as was checked.
                let frame = unsafe { std::slice::from_raw_parts_mut(base.add(start), usize::from(desc.length())) };
                checksum::complete(frame);
            }
        }
        // SAFETY: the chunks are ours alone as above, and where packets are was checked.
        unsafe { packets.accept_raw(sound, Lane::received(self.interface)) };
        let too_big = u32::from(arrived.too_big) + (count - sound) as u32;
        Received { packets: sound as u32, too_big, ..Received::default() }
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
    pool: Arc<Pool>,
    // As of a receive queue.
    held: isize,
}

impl TransmitQueue {
    pub fn new(attached: &Arc<Attached>, worker: u16, status: &Arc<Status>, pool: &Arc<Pool>) -> TransmitQueue {
        TransmitQueue {
            attached: Arc::clone(attached),
            worker,
            status: Arc::clone(status),
            link_down: 0,
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
            let sent = self.attached.transmit(self.worker, &mut self.held, io.cache, &packets.descs()[..count]);
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

#[cfg(test)]
mod tests {
    use swath_api::memory::{Geometry, Region};

    use super::*;

    #[test]
    fn what_is_not_sound_goes_back() {
        let pool = Pool::new(Region::anonymous(Geometry::new(64, 2048)).unwrap());
        let mut cache = pool.cache();
        let (mut packets, mut back) = (Vector::new(&pool), Vector::new(&pool));
        // Lengths of packets, of which those above 2,048 end behind their chunks.
        let lengths = [60_u16, 3000, 61, 62, 4000, 5000, 63, 6000];
        let places = lengths.map(|length| Desc::new(cache.take().unwrap().into_position(), HEAD as u16, length));
        packets.spare(8).copy_from_slice(&places);
        // SAFETY: the chunks have just been taken out of the pool.
        let sound = unsafe { sort_out(&mut packets, &mut back, 8) };
        assert_eq!(packets.spare(sound), [0, 2, 3, 6].map(|at: usize| places[at]));
        let positions = |descs: &[Desc]| descs.iter().map(|desc| desc.position()).collect::<Vec<_>>();
        assert_eq!(positions(back.descs()), positions(&[1, 4, 5, 7].map(|at: usize| places[at])));
        // SAFETY: as above; these places are sound.
        unsafe { packets.accept_raw(sound, Lane::received(0)) };
        cache.free(&mut packets);
        cache.free(&mut back);
        cache.publish();
        assert_eq!(pool.free() + pool.cached(), 64);
    }
}
