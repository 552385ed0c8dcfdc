//! The receive ring: memory that the kernel writes packets to, and that we read them from, without a system call
//! (`Documentation/networking/packet_mmap.rst`, TPACKET_V2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::settings::Fanout;
use super::socket::Socket;
use crate::offload::{Handed, VnetHeader};

/// Bytes of a slot: 64 KiB, which is the most that a sender leaves to be cut, and 2 KiB for what the kernel puts in front. An odd number of
/// cache lines, so that the starts of all slots do not fall into the same sets of a cache.
const SLOT: usize = 1057 * 64;
/// Bytes of a block. A slot lies in one block.
const BLOCK: usize = 1 << 20;
/// Where the address stands in a slot: behind the header, which is a multiple of 16 bytes.
const ADDRESS: usize = size_of::<libc::tpacket2_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);
const SLOTS_IN_BLOCK: usize = BLOCK / SLOT;
/// The tag protocol identifier of a tag of which the kernel does not say it (802.1Q).
const TPID: u16 = 0x8100;

/// How a ring is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct RingSettings {
    pub slots: u32,
    pub promiscuous: bool,
    pub fanout: Fanout,
}

/// A receive ring.
#[derive(Debug)]
pub(super) struct Ring {
    map: MmapRaw,
    socket: Arc<Socket>,
    slots: usize,
    // The slot that the kernel writes next, or has written.
    at: usize,
}

/// What a slot holds.
pub(super) enum Slot<'a> {
    /// A frame.
    Frame(Handed<'a>),
    /// The beginning of a frame that was too long for it.
    Cut,
    /// A frame that the machine has sent: of some kernels, groups of sockets receive them whatever their sockets say.
    Own,
}

impl Ring {
    /// Opens the rings of a device: one for each queue.
    pub fn open_all(index: u32, queues: usize, settings: RingSettings) -> io::Result<Vec<Ring>> {
        let mut group = None;
        let mut rings = Vec::with_capacity(queues);
        for _ in 0..queues {
            let ring = Ring::open(index, settings)?;
            if queues > 1 {
                group = Some(ring.socket.join(group, settings.fanout)?);
            }
            rings.push(ring);
        }
        Ok(rings)
    }

    fn open(index: u32, settings: RingSettings) -> io::Result<Ring> {
        let socket = Socket::new()?;
        socket.set(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as i32))?;
        socket.set(libc::PACKET_VNET_HDR, &1i32)?;
        // What is sent by the device, by ourselves or by the kernel, is not received.
        socket.set(libc::PACKET_IGNORE_OUTGOING, &1i32)?;
        let blocks = (settings.slots as usize).div_ceil(SLOTS_IN_BLOCK);
        let slots = blocks * SLOTS_IN_BLOCK;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: slots as u32,
        };
        socket.set(libc::PACKET_RX_RING, &request)?;
        let map = MmapOptions::new().len(blocks * BLOCK).populate().map_raw(&socket.as_fd())?;
        if settings.promiscuous {
            socket.promiscuous(index)?;
        }
        // Only now do packets come.
        socket.bind(index, libc::ETH_P_ALL as u16)?;
        Ok(Ring { map, socket: Arc::new(socket), slots, at: 0 })
    }

    /// Its socket.
    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// The slot that comes next, if the kernel has written it.
    #[inline]
    pub fn next(&self) -> Option<Slot<'_>> {
        let status = self.status().load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let start = self.start();
        // SAFETY: the slot lies in the mapping (`start`), which is page-aligned, and SLOT is a multiple of 16. That the status says
        // "user" was read with acquire, and so all that the kernel wrote before it said so is seen; it writes nothing more until the
        // status says "kernel", which only `advance` does, and that needs `&mut self`.
        let header = unsafe { start.cast::<libc::tpacket2_hdr>().read() };
        // SAFETY: as above; the kernel writes the address behind the header.
        let address = unsafe { start.add(ADDRESS).cast::<libc::sockaddr_ll>().read() };
        if address.sll_pkttype == libc::PACKET_OUTGOING {
            return Some(Slot::Own);
        }
        let (at, len) = (usize::from(header.tp_mac), header.tp_snaplen as usize);
        if header.tp_len != header.tp_snaplen || at < VnetHeader::LEN || at + len > SLOT {
            return Some(Slot::Cut);
        }
        // SAFETY: as above; the bytes `at - LEN .. at + len` lie in the slot by the check.
        let bytes = unsafe { std::slice::from_raw_parts(start.add(at - VnetHeader::LEN), VnetHeader::LEN + len) };
        let (vnet, frame) = bytes.split_first_chunk()?;
        let tag = (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
            let tpid = if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { header.tp_vlan_tpid } else { TPID };
            let ([a, b], [c, d]) = (tpid.to_be_bytes(), header.tp_vlan_tci.to_be_bytes());
            [a, b, c, d]
        });
        Some(Slot::Frame(Handed { header: VnetHeader::from_bytes(vnet), frame, tag }))
    }

    /// Gives the slot that came last back to the kernel.
    #[inline]
    pub fn advance(&mut self) {
        // Released: the kernel writes only after what was read has been read.
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.at = (self.at + 1) % self.slots;
    }

    #[inline]
    fn start(&self) -> *mut u8 {
        let offset = self.at / SLOTS_IN_BLOCK * BLOCK + self.at % SLOTS_IN_BLOCK * SLOT;
        // SAFETY: `at < slots`, so the slot lies in one of the blocks that are mapped, and `offset + SLOT` within the mapping.
        unsafe { self.map.as_mut_ptr().add(offset) }
    }

    #[inline]
    fn status(&self) -> &AtomicU32 {
        // SAFETY: `tp_status` is the first field of the slot, aligned to 16 bytes, mapped as long as `self` lives; kernel and we
        // access it as a whole word, and we only atomically.
        unsafe { AtomicU32::from_ptr(self.start().cast()) }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
