//! Packets come and go: where an `rte_mbuf` becomes a packet of Swath, and the other way round. Nothing is copied.

use std::ffi::c_void;
use std::ptr::null_mut;

use dpdk_sys as dpdk;
use swath_dpdk_abi::{Arrived, BURST, Packet};

use crate::mbuf::Mbuf;
use crate::memory::{Memory, within};
use crate::port::Port;

/// Bytes of an Ethernet header up to its type.
const ADDRESSES: usize = 12;
/// Bytes of a VLAN tag.
const TAG: usize = 4;
/// `ETH_P_8021Q`.
const VLAN: u16 = 0x8100;

/// Packets that a device is asked for, or given, at once. Of so many, the `rte_mbuf`s (two lines each) are still in the first cache when the
/// other side looks at what the one has written: of 256 they are not.
const STRIP: u16 = 64;

/// # Safety
/// As [`swath_dpdk_abi::Library::receive`] says.
pub unsafe extern "C" fn receive(port: *mut c_void, queue: u16, call: *mut c_void, packets: *mut Packet, count: u16) -> Arrived {
    // SAFETY: the caller has it from `open`.
    let port = unsafe { Port::of(port) };
    let memory = port.memory();
    let Some(_pass) = port.pass() else { return Arrived::default() };
    let mut mbufs = [null_mut(); STRIP as usize];
    let (mut arrived, mut left) = (Arrived::default(), count.min(BURST as u16));
    within(call, || {
        while left > 0 {
            let most = left.min(STRIP);
            // SAFETY: the queue is one of the port's, which one thread at a time asks, and there is room for as many.
            let got = unsafe { dpdk::swath_rte_eth_rx_burst(port.id, queue, mbufs.as_mut_ptr(), most) };
            let got = &mbufs[..usize::from(got)];
            // SAFETY: DPDK has given them to us, and there is room for `count` packets.
            unsafe {
                let place = packets.add(usize::from(arrived.packets));
                if plain(memory, got, place) {
                    arrived.packets += got.len() as u16;
                } else {
                    one_by_one(memory, got, packets, &mut arrived);
                }
            }
            left -= got.len() as u16;
            if got.len() < usize::from(most) {
                break;
            }
        }
    });
    arrived
}

/// Writes where packets lie. `false` if some of them want a closer look; there is no branch for each of them.
///
/// # Safety
/// The `rte_mbuf`s are ours, and there is room for as many packets.
#[inline(always)]
unsafe fn plain(memory: &Memory, mbufs: &[*mut dpdk::rte_mbuf], packets: *mut Packet) -> bool {
    let (mempool, head) = (memory.mempool(), memory.head as u16);
    // SAFETY: DPDK exports the number.
    let stripped = unsafe { dpdk::SWATH_RX_VLAN_STRIPPED };
    let mut odd = 0;
    for (at, mbuf) in mbufs.iter().enumerate() {
        // SAFETY: as the caller promises.
        unsafe {
            let fields = Mbuf(*mbuf);
            let (offset, length) = fields.place();
            odd |= fields.oddities(mempool, stripped);
            let position = memory.position(mbuf.cast());
            packets.add(at).write(Packet { position, offset: head.wrapping_add(offset), length });
        }
    }
    odd == 0
}

/// As [`plain`], for packets some of which are in several pieces, or have lost a tag.
///
/// # Safety
/// As of [`plain`], of `packets` behind those that have arrived.
#[cold]
unsafe fn one_by_one(memory: &Memory, mbufs: &[*mut dpdk::rte_mbuf], packets: *mut Packet, arrived: &mut Arrived) {
    for mbuf in mbufs {
        // SAFETY: as the caller promises.
        match unsafe { packet(memory, *mbuf) } {
            Some(packet) => {
                // SAFETY: as above.
                unsafe { packets.add(usize::from(arrived.packets)).write(packet) };
                arrived.packets += 1;
            }
            None => {
                // SAFETY: it is ours, and goes back to the pool.
                unsafe { dpdk::swath_rte_pktmbuf_free(*mbuf) };
                arrived.too_big += 1;
            }
        }
    }
}

/// The packet in a chunk. `None` if it is in several, or not in one of ours.
///
/// # Safety
/// The `rte_mbuf` is ours.
unsafe fn packet(memory: &Memory, mbuf: *mut dpdk::rte_mbuf) -> Option<Packet> {
    let fields = Mbuf(mbuf);
    // SAFETY: as the caller promises.
    let (whole, (offset, length), tag) = unsafe { (fields.is_whole(memory.mempool()), fields.place(), fields.stripped()) };
    if !whole {
        return None;
    }
    let position = memory.position(mbuf.cast());
    let packet = Packet { position, offset: memory.head as u16 + offset, length };
    Some(match tag {
        // SAFETY: the chunk is ours.
        Some(tag) if usize::from(offset) >= TAG && usize::from(length) >= ADDRESSES => unsafe { tagged(memory, packet, tag) },
        _ => packet,
    })
}

/// Puts a VLAN tag back that a device has taken off: nodes look for it in the packet.
///
/// # Safety
/// The chunk is ours, with room for a tag before the packet.
#[cold]
unsafe fn tagged(memory: &Memory, packet: Packet, tag: u16) -> Packet {
    let offset = packet.offset - TAG as u16;
    // SAFETY: as the caller promises.
    unsafe {
        let start = memory.byte(packet.position, offset);
        start.copy_from(start.add(TAG), ADDRESSES);
        start.add(ADDRESSES).cast::<[u8; 2]>().write(VLAN.to_be_bytes());
        start.add(ADDRESSES + 2).cast::<[u8; 2]>().write(tag.to_be_bytes());
    }
    Packet { offset, length: packet.length + TAG as u16, ..packet }
}

/// # Safety
/// As [`swath_dpdk_abi::Library::transmit`] says.
pub unsafe extern "C" fn transmit(port: *mut c_void, queue: u16, call: *mut c_void, packets: *const Packet, count: u16) -> u16 {
    // SAFETY: the caller has it from `open`.
    let port = unsafe { Port::of(port) };
    let memory = port.memory();
    let Some(_pass) = port.pass() else { return 0 };
    let mut mbufs = [null_mut(); STRIP as usize];
    let count = count.min(BURST as u16);
    let queue = port.transmit_queue(queue);
    within(call, || {
        let mut sent = 0;
        let lock = queue.lock();
        while sent < count {
            let most = (count - sent).min(STRIP);
            for (at, mbuf) in mbufs[..usize::from(most)].iter_mut().enumerate() {
                // SAFETY: there are `count` packets, whose chunks are the caller's, and with them their `rte_mbuf`s.
                *mbuf = unsafe {
                    let packet = *packets.add(usize::from(sent) + at);
                    let mbuf = memory.mbuf(packet.position);
                    Mbuf(mbuf).describe(packet.offset - memory.head as u16, packet.length);
                    mbuf
                };
            }
            // SAFETY: the queue is one of the port's, and ours alone while the lock is held; the packets are ours until it takes them.
            let taken = unsafe { dpdk::swath_rte_eth_tx_burst(port.id, queue.number, mbufs.as_mut_ptr(), most) };
            sent += taken;
            // Some devices take fewer at once than they have room for.
            if taken == 0 {
                break;
            }
        }
        drop(lock);
        sent
    })
}
