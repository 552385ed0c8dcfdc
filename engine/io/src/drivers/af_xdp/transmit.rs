//! The transmit queue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libc::xdp_desc;
use rustix::io::Errno;
use swath_api::memory::{DATA, LINE};
use swath_api::{Cache, Desc, Lane, Mask, Pool, Vector};
use swath_core::driver::{Io, Refused, TxQueue};

use super::chunks::{Chunks, on_one_page};
use super::ring::{Consumer, Producer};
use super::socket::{FRAME, Memory, Socket};
use super::totals::Figures;
use crate::drivers::kernel::Totals;
use crate::drivers::kernel::watch::Status;

/// Bytes of an Ethernet header with a tag, which an MTU does not count.
const ETHERNET: usize = 18;

/// The sending side of a socket.
pub(super) struct Sending {
    socket: Arc<Socket>,
    tx: Producer<xdp_desc>,
    completion: Consumer<u64>,
    // What the kernel has to read from.
    out: Chunks,
    // Frames of memory that is not the pool's.
    free: Vec<u64>,
    page: Option<u64>,
    // On their way back to the pool.
    back: Vector,
    // Written, and the kernel has not been called for it.
    unsent: bool,
}

impl Sending {
    pub fn new(
        socket: &Arc<Socket>,
        tx: Producer<xdp_desc>,
        completion: Consumer<u64>,
        frames: std::ops::Range<usize>,
        page: Option<u64>,
        pool: &Arc<Pool>,
    ) -> Sending {
        let free = match socket.memory() {
            Memory::Pool(_) => Vec::new(),
            Memory::Frames(_) => frames.map(|frame| (frame * FRAME) as u64).collect(),
        };
        let out = Chunks::new(socket.memory().bytes());
        let back = Vector::new(pool);
        Sending { socket: Arc::clone(socket), tx, completion, out, free, page, back, unsent: false }
    }

    /// Takes back what the kernel has sent.
    fn reclaim(&mut self, cache: &mut Cache) {
        let mut taken = 0;
        while let Some(address) = self.completion.read() {
            let is_pool = matches!(self.socket.memory(), Memory::Pool(_));
            let chunk = if is_pool { address & libc::XSK_UNALIGNED_BUF_ADDR_MASK } else { address };
            // What it has not been given, it cannot give back.
            let Some(position) = self.out.remove(chunk) else { continue };
            taken += 1;
            if is_pool {
                if self.back.room() == 0 {
                    cache.free(&mut self.back);
                }
                // SAFETY: the chunk is ours again: the kernel had it (`out`), and has given it back. DATA and WINDOW lie within each.
                unsafe { self.back.push_raw(Desc::new(position, DATA as u16, 0), Lane::default()) };
            } else {
                self.free.push(chunk);
            }
        }
        if taken > 0 {
            self.completion.release();
            if matches!(self.socket.memory(), Memory::Pool(_)) {
                self.socket.gauge().fetch_sub(taken, Ordering::Relaxed);
                cache.free(&mut self.back);
            }
        }
    }

    /// Hands the first packets to the kernel, as many as there is room for. Returns how many, which have left the vector.
    fn put(&mut self, packets: &mut Vector, figures: &Figures, cache: &mut Cache) -> usize {
        // Each is in one of the two rings, or will be in the second.
        let count = packets.len().min(self.tx.size().saturating_sub(self.out.count()));
        if let Memory::Frames(_) = self.socket.memory() {
            return self.copy(packets, count, figures, cache);
        }
        let mut put = 0;
        while put < count {
            let mut desc = packets.descs()[put];
            if let Some(page) = self.page.filter(|page| !is_on_one_page(desc, *page)) {
                let Some(other) = self.elsewhere(packets.bytes(put).unwrap_or_default(), page, cache) else { break };
                // SAFETY: the chunk is the vector's, which forgets it below, before the pool gets it; the descriptor is the vector's own.
                unsafe { self.back.push_raw(desc, Lane::default()) };
                desc = other;
                figures.copied(1);
            }
            let address = u64::from(desc.position()) * LINE as u64;
            let addr = address | u64::from(desc.offset()) << libc::XSK_UNALIGNED_BUF_OFFSET_SHIFT;
            // There is room: the ring holds no more than is out.
            self.tx.write(xdp_desc { addr, len: desc.length().into(), options: 0 });
            self.out.insert(desc.position());
            put += 1;
        }
        // From here on the chunks are the kernel's.
        packets.take_first(put);
        self.socket.gauge().fetch_add(put, Ordering::Relaxed);
        cache.free(&mut self.back);
        put
    }

    /// A copy of a packet in a chunk that it leaves no page in. `None` if there is none at hand.
    #[cold]
    fn elsewhere(&mut self, bytes: &[u8], page: u64, cache: &mut Cache) -> Option<Desc> {
        // Of chunks on huge pages one in hundreds is not whole.
        for _ in 0..4 {
            let mut buffer = cache.take()?;
            if self.back.room() < 2 || !buffer.fill(bytes) {
                return None;
            }
            let desc = Desc::new(buffer.into_position(), DATA as u16, bytes.len() as u16);
            if is_on_one_page(desc, page) {
                return Some(desc);
            }
            // SAFETY: the chunk has just been taken out of the pool, and the packet has been found to fit in it.
            unsafe { self.back.push_raw(desc, Lane::default()) };
        }
        None
    }

    /// Copies the first packets into memory that is not the pool's.
    fn copy(&mut self, packets: &mut Vector, count: usize, figures: &Figures, cache: &mut Cache) -> usize {
        let mut put = 0;
        while put < count {
            let (Some(frame), Some(bytes)) = (self.free.pop(), packets.bytes(put)) else { break };
            let len = bytes.len().min(FRAME);
            // SAFETY: the frame lies in the region, and is ours: the kernel has given it back, or never had it. `len` bytes lie in it.
            unsafe {
                let to = self.socket.memory().base().add(frame as usize);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, len);
            }
            // There is room: the ring holds no more than is out.
            self.tx.write(xdp_desc { addr: frame, len: len as u32, options: 0 });
            self.out.insert((frame / LINE as u64) as u32);
            put += 1;
        }
        packets.split_off(put, &mut self.back);
        cache.free(packets);
        packets.append(&mut self.back);
        figures.copied(put);
        put
    }

    /// Calls the kernel until it has taken everything, or takes no more.
    fn send(&mut self, totals: &Totals) {
        self.tx.publish();
        let mut pending = self.tx.pending();
        while pending > 0 && self.tx.needs_wakeup() {
            match self.socket.wake_to_send() {
                // AGAIN: it takes 32 in a call. BUSY: the device has dropped one, and counts it.
                Ok(()) | Err(Errno::AGAIN | Errno::BUSY | Errno::NOBUFS | Errno::INTR) => {}
                Err(Errno::NETDOWN | Errno::NXIO | Errno::NODEV) => break,
                Err(error) => {
                    totals.failed(&error.into());
                    break;
                }
            }
            let left = self.tx.pending();
            if left == pending || self.socket.zero_copy {
                break;
            }
            pending = left;
        }
        self.unsent = pending > 0;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Memory::Pool(_) = self.socket.memory() {
            self.socket.leave(self.out.drain());
        }
    }
}

/// A transmit queue. Several workers share a queue of the device if it has fewer than there are workers.
pub(super) struct TransmitQueue {
    side: Arc<Mutex<Sending>>,
    // Of the queues of the device that this one answers for: how many chunks are in their rings.
    gauges: Vec<Arc<AtomicUsize>>,
    status: Arc<Status>,
    totals: Arc<Totals>,
    figures: Arc<Figures>,
    refused: Refused,
    apart: Vector,
}

impl TransmitQueue {
    pub fn new(
        side: Arc<Mutex<Sending>>,
        gauges: Vec<Arc<AtomicUsize>>,
        status: &Arc<Status>,
        totals: &Arc<Totals>,
        figures: &Arc<Figures>,
        pool: &Arc<Pool>,
    ) -> TransmitQueue {
        TransmitQueue {
            side,
            gauges,
            status: Arc::clone(status),
            totals: Arc::clone(totals),
            figures: Arc::clone(figures),
            refused: Refused::default(),
            apart: Vector::new(pool),
        }
    }
}

fn is_on_one_page(desc: Desc, page: u64) -> bool {
    let start = u64::from(desc.position()) * LINE as u64 + u64::from(desc.offset());
    on_one_page(start, desc.length().into(), page)
}

fn lock(side: &Mutex<Sending>) -> MutexGuard<'_, Sending> {
    side.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TxQueue for TransmitQueue {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        self.refused = Refused::default();
        if !self.status.is_up() {
            self.refused.link_down = packets.len() as u32;
            return;
        }
        let mut side = lock(&self.side);
        let longest = (self.figures.mtu() + ETHERNET).min(side.socket.memory().room());
        let fits = |desc: &Desc| (1..=longest).contains(&usize::from(desc.length()));
        if !packets.descs().iter().all(fits) {
            let keep = Mask::from_fn(packets.len(), |at| fits(&packets.descs()[at]));
            packets.split(&keep, std::slice::from_mut(&mut self.apart), |_| 0);
            self.refused.too_big = self.apart.len() as u32;
        }
        side.reclaim(io.cache);
        side.put(packets, &self.figures, io.cache);
        if !packets.is_empty() {
            side.send(&self.totals);
            side.reclaim(io.cache);
            side.put(packets, &self.figures, io.cache);
        }
        side.unsent = true;
        packets.append(&mut self.apart);
    }

    fn refused(&self) -> Refused {
        self.refused
    }

    fn flush(&mut self, io: &mut Io<'_>) {
        let mut side = lock(&self.side);
        if side.unsent && self.status.is_up() {
            side.send(&self.totals);
        }
        if side.out.count() > 0 {
            side.reclaim(io.cache);
        }
    }

    fn in_ring(&self) -> isize {
        self.gauges.iter().map(|gauge| gauge.load(Ordering::Relaxed) as isize).sum()
    }
}
