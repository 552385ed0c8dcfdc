//! The receive queue.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};

use libc::xdp_desc;
use swath_api::kernel::prefetch_at;
use swath_api::memory::{DATA, HEAD, LINE, WINDOW};
use swath_api::{Cache, Desc, Lane, Pool, VECTOR, Vector};
use swath_core::driver::{Io, Offloaded, Received, RxQueue};

use super::checksum;
use super::chunks::{Chunks, on_one_page};
use super::neighbours::{Answer, answer};
use super::ring::{Consumer, Producer};
use super::sieve::Counts;
use super::socket::{FRAME, Memory, Socket};
use super::totals::Figures;
use crate::drivers::kernel::watch::{Mailbox, Status};

/// Chunks that are missing in the fill ring before it is filled again; of a short one, half of it.
const FILL: usize = 64;
/// Frames that are taken at once of those which the kernel copies. To send one costs it fifty times what a graph does, so that nothing is
/// gained by long vectors, while who waits for an answer waits for all of its vector to be sent.
const COPIED: usize = 64;
/// Frames whose headers are under way to the cache while others are looked at.
const AHEAD: usize = 8;
/// The bits of an address that name the chunk; those above are the offset in it.
const CHUNK: u64 = libc::XSK_UNALIGNED_BUF_ADDR_MASK;

/// The receiving side of a socket.
pub(super) struct Receiving {
    socket: Arc<Socket>,
    rx: Consumer<xdp_desc>,
    fill: Producer<u64>,
    // What the kernel has to write to.
    out: Chunks,
    // How much it shall have.
    wanted: usize,
    // Bytes of a page, if no chunk may leave one.
    page: Option<u64>,
    // On their way back to the pool.
    back: Vector,
}

impl Receiving {
    /// `page`: the length of a page in bytes, if the device writes to memory itself.
    pub fn new(
        socket: &Arc<Socket>,
        rx: Consumer<xdp_desc>,
        fill: Producer<u64>,
        wanted: usize,
        page: Option<u64>,
        pool: &Arc<Pool>,
    ) -> Receiving {
        let mut receiving = Receiving {
            socket: Arc::clone(socket),
            rx,
            fill,
            out: Chunks::new(socket.memory().bytes()),
            wanted,
            page,
            back: Vector::new(pool),
        };
        if let Memory::Frames(_) = socket.memory() {
            // The second half is for sending.
            for frame in 0..wanted as u64 {
                receiving.give_frame(frame * FRAME as u64);
            }
            receiving.fill.publish();
        } else {
            receiving.fill(&mut pool.cache());
        }
        receiving
    }

    fn give_frame(&mut self, address: u64) {
        if self.fill.write(address) {
            self.out.insert((address / LINE as u64) as u32);
        }
    }

    /// How many chunks may be missing.
    fn low(&self) -> usize {
        FILL.min(self.wanted.div_ceil(2))
    }

    /// Gives the kernel chunks of the pool to write to.
    fn fill(&mut self, cache: &mut Cache) {
        let before = self.out.count();
        let missing = self.wanted.saturating_sub(before).min(self.fill.room());
        let stride = u64::from(cache.pool().region().geometry().stride);
        let mut given = 0;
        while given < missing {
            let Some(buffer) = cache.take() else { break };
            let position = buffer.into_position();
            let address = u64::from(position) * LINE as u64;
            if self.page.is_some_and(|page| !on_one_page(address, stride, page)) {
                // SAFETY: the chunk has just been taken out of the pool; DATA and WINDOW lie within each.
                unsafe { self.back.push_raw(Desc::new(position, DATA as u16, 0), Lane::default()) };
                if self.back.room() == 0 {
                    break;
                }
                continue;
            }
            if !self.fill.write(address) {
                // Cannot be: there is room for what is missing.
                self.socket.leave(vec![position]);
                self.socket.gauge().fetch_add(1, Ordering::Relaxed);
                break;
            }
            self.out.insert(position);
            given += 1;
        }
        self.fill.publish();
        self.socket.gauge().fetch_add(given, Ordering::Relaxed);
        cache.free(&mut self.back);
        if self.fill.needs_wakeup() {
            self.socket.wake_to_receive();
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if let Memory::Pool(_) = self.socket.memory() {
            self.socket.leave(self.out.drain());
        }
    }
}

/// A receive queue.
pub(super) struct ReceiveQueue {
    side: Box<Receiving>,
    interface: u16,
    completes: bool,
    // Where answers go that the kernel may have asked for.
    answers: Option<SyncSender<Answer>>,
    status: Arc<Status>,
    mailbox: Arc<Mailbox<Box<Receiving>>>,
    // As of when the mailbox was last looked into.
    seen: u32,
    figures: Arc<Figures>,
    // What the program has dropped of this queue in the place of a node, if it does.
    counts: Arc<OnceLock<Counts>>,
    number: usize,
    told: Offloaded,
}

impl ReceiveQueue {
    pub fn new(
        side: Receiving,
        interface: u16,
        completes: bool,
        answers: Option<SyncSender<Answer>>,
        status: &Arc<Status>,
        mailbox: &Arc<Mailbox<Box<Receiving>>>,
        figures: &Arc<Figures>,
    ) -> ReceiveQueue {
        ReceiveQueue {
            side: Box::new(side),
            interface,
            completes,
            answers,
            status: Arc::clone(status),
            mailbox: Arc::clone(mailbox),
            seen: status.events(),
            figures: Arc::clone(figures),
            counts: Arc::default(),
            number: 0,
            told: Offloaded::default(),
        }
    }

    /// Of the queue of this number, with what the program counts once it drops packets for a node.
    pub fn counted(mut self, number: usize, counts: &Arc<OnceLock<Counts>>) -> ReceiveQueue {
        (self.number, self.counts) = (number, Arc::clone(counts));
        self
    }

    #[cold]
    fn refresh(&mut self, events: u32) {
        if self.mailbox.fetch(&mut self.side) {
            self.seen = events;
        }
    }

    /// What is done with the bytes of each frame.
    #[inline]
    fn look(&self, frame: &mut [u8], completed: &mut u64) {
        if self.completes {
            *completed += u64::from(checksum::complete(frame));
        }
        if let Some(answers) = &self.answers
            && let Some(answer) = answer(frame)
        {
            // Where too many wait, the kernel asks again.
            let _ = answers.try_send(answer);
        }
    }

    /// Asks for the headers of a frame that is yet to be taken: the kernel may have written them on another core.
    #[inline]
    fn prefetch(&self, base: *const u8, behind: usize) {
        if let Some(xdp_desc { addr, .. }) = self.side.rx.peek(behind) {
            let start = (addr & CHUNK) + (addr >> libc::XSK_UNALIGNED_BUF_OFFSET_SHIFT);
            prefetch_at(base.wrapping_add(start as usize));
        }
    }

    /// Takes chunks that the kernel has written a frame to.
    fn take_chunks(&mut self, packets: &mut Vector, most: usize, received: &mut Received, cache: &mut Cache) {
        let (base, stride) = (cache.pool().region().base(), cache.pool().region().geometry().stride as usize);
        let (mut taken, mut completed) = (0, 0);
        let ready = self.side.rx.ready().min(most);
        for next in 0..ready.min(AHEAD) {
            self.prefetch(base, next);
        }
        for _ in 0..ready {
            self.prefetch(base, AHEAD);
            let Some(xdp_desc { addr, len, .. }) = self.side.rx.read() else { break };
            // What it has not been given, it cannot give back.
            let Some(position) = self.side.out.remove(addr & CHUNK) else { continue };
            taken += 1;
            let (start, len) = ((addr >> libc::XSK_UNALIGNED_BUF_OFFSET_SHIFT) as usize, len as usize);
            let sound = start >= HEAD && start + len.max(WINDOW) <= stride;
            let desc = if sound { Desc::new(position, start as u16, len as u16) } else { Desc::new(position, DATA as u16, 0) };
            if sound {
                // SAFETY: the chunk is ours again: the kernel had it (`out`), and has given it back. `start..start + len` lies in it.
                let frame = unsafe { std::slice::from_raw_parts_mut(base.add((addr & CHUNK) as usize + start), len) };
                self.look(frame, &mut completed);
            }
            let vector = if sound { &mut *packets } else { &mut self.side.back };
            // SAFETY: the chunk is ours as above, nobody else has a descriptor of it, and its bounds were checked (`sound`), or are those
            // of an empty packet. There is room: no more are read than the vector takes.
            unsafe { vector.push_raw(desc, Lane::received(self.interface)) };
            received.packets += u32::from(sound);
            received.too_big += u32::from(!sound);
        }
        if taken > 0 {
            self.side.rx.release();
            self.side.socket.gauge().fetch_sub(taken, Ordering::Relaxed);
            self.figures.completed(completed);
            cache.free(&mut self.side.back);
        }
        if self.side.wanted.saturating_sub(self.side.out.count()) >= self.side.low() {
            self.side.fill(cache);
        }
    }

    /// Copies frames out of memory that is not the pool's.
    fn copy_frames(&mut self, packets: &mut Vector, most: usize, received: &mut Received, cache: &mut Cache) {
        let memory = self.side.socket.memory().clone();
        let (mut taken, mut completed) = (0, 0);
        for _ in 0..most {
            let Some(xdp_desc { addr, len, .. }) = self.side.rx.read() else { break };
            let (frame, len) = (addr - addr % FRAME as u64, len as usize);
            if self.side.out.remove(frame).is_none() {
                continue;
            }
            taken += 1;
            if (addr % FRAME as u64) as usize + len <= FRAME {
                // SAFETY: the frame is ours again: the kernel had it (`out`), and has given it back. The bytes lie in it.
                let bytes = unsafe { std::slice::from_raw_parts_mut(memory.base().add(addr as usize), len) };
                self.look(bytes, &mut completed);
                match cache.take() {
                    None => received.no_buffer += 1,
                    Some(mut buffer) => {
                        if buffer.fill(bytes) && buffer.push(packets, Lane::received(self.interface)) {
                            received.packets += 1;
                        } else {
                            received.too_big += 1;
                        }
                    }
                }
            } else {
                received.too_big += 1;
            }
            self.side.give_frame(frame);
        }
        if taken > 0 {
            self.side.rx.release();
            self.side.fill.publish();
            self.figures.completed(completed);
            self.figures.copied(taken);
        }
    }
}

impl RxQueue for ReceiveQueue {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let events = self.status.events();
        if events != self.seen {
            self.refresh(events);
        }
        let most = max.min(packets.room()).min(if self.side.socket.zero_copy { VECTOR } else { COPIED });
        let mut received = Received::default();
        if let Memory::Pool(pool) = self.side.socket.memory() {
            debug_assert!(Arc::ptr_eq(pool, packets.pool()));
            self.take_chunks(packets, most, &mut received, io.cache);
        } else {
            self.copy_frames(packets, most, &mut received, io.cache);
        }
        received
    }

    fn offloaded(&mut self) -> Offloaded {
        let Some(counts) = self.counts.get() else { return Offloaded::default() };
        let now = counts.of_queue(self.number);
        let before = std::mem::replace(&mut self.told, now);
        let [first, second] = [0, 1].map(|role: usize| now.packets[role] - before.packets[role]);
        self.figures.dropped(first + second);
        Offloaded { packets: [first, second], bytes: now.bytes - before.bytes }
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        // Where frames are missing because the pool was empty, nothing comes, and only asking again helps.
        let starved = self.side.out.count() < self.side.low();
        (self.status.is_up() && !starved).then(|| self.side.socket.as_fd())
    }
}
