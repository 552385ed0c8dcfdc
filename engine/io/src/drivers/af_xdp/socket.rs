//! Sockets of the family AF_XDP: their memory, their rings, and the queue that they are bound to.

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use libc::xdp_desc;
use memmap2::{MmapOptions, MmapRaw};
use rustix::io::Errno;
use swath_api::memory::{DATA, HEADROOM};
use swath_api::{Desc, Lane, Pool, Vector};

use super::ring::{Consumer, Entry, Offsets, Producer};

/// Bytes that the kernel leaves free before a frame, beside the headroom that it was told (`XDP_PACKET_HEADROOM`).
const KERNEL_HEADROOM: usize = 256;
const _: () = assert!(DATA == KERNEL_HEADROOM + HEADROOM, "the kernel writes a frame to where a packet starts");
/// Bytes of a chunk in a region that is not the pool.
pub(super) const FRAME: usize = 4096;
/// Lengths of chunks that the kernel takes (`xdp_umem_reg` of Linux: `XDP_UMEM_MIN_CHUNK_SIZE` to a page).
pub(super) const CHUNK: std::ops::RangeInclusive<u32> = 2048..=4096;
/// Bytes that wait in the kernel to be sent, at most, as of af-packet.
const SEND_BUFFER: usize = 4 << 20;
/// A queue is busy for a while after a socket has left it: how often it is tried for again, and how long it is waited for each time.
const RETRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// The memory of a socket.
#[derive(Debug, Clone)]
pub(super) enum Memory {
    /// The pool itself: its chunks go to the kernel and come back.
    Pool(Arc<Pool>),
    /// A region of frames of 4096 bytes, aligned as the kernel wants them where it does not take the pool's; packets are copied.
    Frames(Arc<MmapRaw>),
}

impl Memory {
    /// A region of so many frames.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn frames(count: usize) -> io::Result<Memory> {
        let map = MmapOptions::new().len(count * FRAME).populate().map_anon()?;
        Ok(Memory::Frames(Arc::new(MmapRaw::from(map))))
    }

    /// Its first byte.
    pub fn base(&self) -> *mut u8 {
        match self {
            Memory::Pool(pool) => pool.region().base(),
            Memory::Frames(map) => map.as_mut_ptr(),
        }
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Memory::Pool(pool) => pool.region().geometry().bytes(),
            Memory::Frames(map) => map.len(),
        }
    }

    /// The most bytes of a frame.
    pub fn room(&self) -> usize {
        match self {
            Memory::Pool(pool) => pool.region().geometry().data(),
            Memory::Frames(_) => FRAME - KERNEL_HEADROOM,
        }
    }

    fn registration(&self) -> libc::xdp_umem_reg {
        let (chunk_size, headroom, flags) = match self {
            Memory::Pool(pool) => (pool.region().geometry().stride, HEADROOM as u32, libc::XDP_UMEM_UNALIGNED_CHUNK_FLAG),
            Memory::Frames(_) => (FRAME as u32, 0, 0),
        };
        let (addr, len) = (self.base() as u64, self.bytes() as u64);
        libc::xdp_umem_reg { addr, len, chunk_size, headroom, flags, tx_metadata_len: 0 }
    }
}

/// A socket that is bound to a queue of a device.
#[derive(Debug)]
pub(super) struct Socket {
    // None only while it is dropped.
    fd: Option<OwnedFd>,
    memory: Memory,
    /// Whether the device reads and writes the memory itself.
    pub zero_copy: bool,
    // Chunks of the pool that the kernel may still use: theirs is the socket's end.
    left: Mutex<Vec<u32>>,
    // Chunks that are in the rings of this queue.
    gauge: Arc<AtomicUsize>,
}

/// A socket and its rings.
pub(super) struct Bound {
    pub socket: Arc<Socket>,
    pub rx: Consumer<xdp_desc>,
    pub fill: Producer<u64>,
    pub tx: Producer<xdp_desc>,
    pub completion: Consumer<u64>,
}

/// A queue of a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queue {
    pub device: u32,
    pub number: u32,
}

/// Sockets that share the registration of their memory: it is pinned, and counted against the limit of locked memory, once.
static BOUND: Mutex<Vec<Weak<Socket>>> = Mutex::new(Vec::new());

impl Bound {
    /// Binds a socket to a queue, with rings of `size` entries, a power of two.
    ///
    /// # Errors
    /// What the kernel says: EPERM without CAP_NET_RAW, EBUSY if another socket is bound to the queue and stays so, EOPNOTSUPP if the
    /// device does not read and write memory itself.
    pub fn open(queue: Queue, memory: &Memory, size: u32, zero_copy: bool, gauge: &Arc<AtomicUsize>) -> io::Result<Bound> {
        let mut tried = 0;
        loop {
            match Bound::try_open(queue, memory, size, zero_copy, gauge) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && tried < RETRIES => {
                    tried += 1;
                    std::thread::sleep(PAUSE);
                }
                done => return done,
            }
        }
    }

    fn try_open(queue: Queue, memory: &Memory, size: u32, zero_copy: bool, gauge: &Arc<AtomicUsize>) -> io::Result<Bound> {
        let flags = if zero_copy { libc::XDP_ZEROCOPY } else { libc::XDP_COPY } | libc::XDP_USE_NEED_WAKEUP;
        // What can share: a device that reads and writes memory itself prepares it for itself.
        let others = if zero_copy { Vec::new() } else { sharers(memory) };
        for other in others {
            let fd = unbound()?;
            let rings = Rings::new(&fd, size)?;
            match bind(&fd, queue, libc::XDP_SHARED_UMEM, other.as_fd().as_raw_fd()) {
                Ok(()) => return rings.bound(fd, memory, false, gauge),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => return Err(error),
                // The other's device has gone meanwhile.
                Err(_) => {}
            }
        }
        let fd = unbound()?;
        set(&fd, libc::XDP_UMEM_REG, &memory.registration())?;
        let rings = Rings::new(&fd, size)?;
        bind(&fd, queue, flags, 0)?;
        rings.bound(fd, memory, zero_copy, gauge)
    }
}

/// Bound sockets with this memory.
fn sharers(memory: &Memory) -> Vec<Arc<Socket>> {
    let mut bound = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    bound.retain(|socket| socket.strong_count() > 0);
    let all = bound.iter().filter_map(Weak::upgrade);
    all.filter(|socket| !socket.zero_copy && socket.memory.base() == memory.base()).collect()
}

/// The rings of a socket, whose memory is mapped before it is bound.
struct Rings {
    size: u32,
    maps: [Arc<MmapRaw>; 4],
    at: [Offsets; 4],
}

impl Rings {
    fn new(fd: &OwnedFd, size: u32) -> io::Result<Rings> {
        for ring in [libc::XDP_RX_RING, libc::XDP_TX_RING, libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING] {
            set(fd, ring, &size)?;
        }
        // SAFETY: all zeros is a value of it.
        let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
        get(fd, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
        let at: [Offsets; 4] = [offsets.rx, offsets.tx, offsets.fr, offsets.cr].map(Offsets::from);
        let (frames, addresses) = (size_of::<xdp_desc>(), size_of::<u64>());
        let map = |page: u64, at: Offsets, entry: usize| {
            let len = at.entries as usize + entry * size as usize;
            let map = MmapOptions::new().offset(page).len(len).populate().map_raw(fd)?;
            Ok::<_, io::Error>(Arc::new(map))
        };
        let maps = [
            map(libc::XDP_PGOFF_RX_RING as u64, at[0], frames)?,
            map(libc::XDP_PGOFF_TX_RING as u64, at[1], frames)?,
            map(libc::XDP_UMEM_PGOFF_FILL_RING, at[2], addresses)?,
            map(libc::XDP_UMEM_PGOFF_COMPLETION_RING, at[3], addresses)?,
        ];
        Ok(Rings { size, maps, at })
    }

    fn bound(self, fd: OwnedFd, memory: &Memory, zero_copy: bool, gauge: &Arc<AtomicUsize>) -> io::Result<Bound> {
        // The privilege to raise it above the system's limit may be missing: then it is as large as may be.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&fd, SEND_BUFFER)
            .or_else(|_| rustix::net::sockopt::set_socket_send_buffer_size(&fd, SEND_BUFFER));
        let left = Mutex::default();
        let socket = Arc::new(Socket { fd: Some(fd), memory: memory.clone(), zero_copy, left, gauge: Arc::clone(gauge) });
        BOUND.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&socket));
        let Rings { size, maps: [rx, tx, fill, completion], at } = self;
        let rings = (
            consumer(rx, at[0], size)?,
            producer(tx, at[1], size)?,
            producer(fill, at[2], size)?,
            consumer(completion, at[3], size)?,
        );
        Ok(Bound { socket, rx: rings.0, tx: rings.1, fill: rings.2, completion: rings.3 })
    }
}

fn consumer<T: Entry>(map: Arc<MmapRaw>, at: Offsets, size: u32) -> io::Result<Consumer<T>> {
    Consumer::new(map, at, size).ok_or_else(unknown)
}

fn producer<T: Entry>(map: Arc<MmapRaw>, at: Offsets, size: u32) -> io::Result<Producer<T>> {
    Producer::new(map, at, size).ok_or_else(unknown)
}

fn unknown() -> io::Error {
    io::Error::other("the kernel's rings are not as they are known")
}

/// What the kernel has counted of a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Frames for which there was no chunk, or which are longer than one.
    pub dropped: u64,
    /// Frames for which the receive ring had no room.
    pub ring_full: u64,
    /// How often there was no chunk.
    pub fill_empty: u64,
    /// Chunks and frames that the kernel refused: a defect of ours.
    pub invalid: u64,
}

impl Lost {
    pub fn add(&mut self, other: Lost) {
        self.dropped += other.dropped;
        self.ring_full += other.ring_full;
        self.fill_empty += other.fill_empty;
        self.invalid += other.invalid;
    }
}

impl Socket {
    /// Its memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// How many chunks of the pool are in the rings of its queue, or were in those of sockets before it that are not closed yet.
    pub fn gauge(&self) -> &AtomicUsize {
        &self.gauge
    }

    /// What the kernel has counted.
    pub fn lost(&self) -> Lost {
        // SAFETY: all zeros is a value of it.
        let mut statistics: libc::xdp_statistics = unsafe { std::mem::zeroed() };
        if get(self, libc::XDP_STATISTICS, &mut statistics).is_err() {
            return Lost::default();
        }
        Lost {
            dropped: statistics.rx_dropped,
            ring_full: statistics.rx_ring_full,
            fill_empty: statistics.rx_fill_ring_empty_descs,
            invalid: statistics.rx_invalid_descs + statistics.tx_invalid_descs,
        }
    }

    /// Calls the kernel to send what is in the transmit ring.
    pub fn wake_to_send(&self) -> Result<(), Errno> {
        // SAFETY: no memory is handed over.
        let done = unsafe { libc::sendto(self.as_fd().as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
        check(done as i32).map(drop).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// Calls the kernel to take chunks from the fill ring.
    pub fn wake_to_receive(&self) {
        let (fd, none) = (self.as_fd().as_raw_fd(), std::ptr::null_mut());
        // SAFETY: no memory is handed over.
        let _ = unsafe { libc::recvfrom(fd, none, 0, libc::MSG_DONTWAIT, std::ptr::null_mut(), std::ptr::null_mut()) };
    }

    /// Leaves chunks with the socket until it is closed: the kernel may use them until then.
    pub fn leave(&self, chunks: Vec<u32>) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).extend(chunks);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("it is there until the socket is dropped").as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The kernel waits until nobody writes by this socket any more (`xsk_release`: `synchronize_net`).
        self.fd = None;
        if self.zero_copy {
            // A device is told later, by a work queue.
            std::thread::sleep(PAUSE);
        }
        let Memory::Pool(pool) = &self.memory else { return };
        let chunks = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        let count = chunks.len();
        let mut vector = Vector::new(pool);
        for chunk in chunks {
            if vector.room() == 0 {
                vector = Vector::new(pool);
            }
            // SAFETY: the chunk was taken out of the pool, and given to the kernel by this socket, which is closed: nobody else has it.
            // DATA and WINDOW lie within each chunk.
            unsafe { vector.push_raw(Desc::new(chunk, DATA as u16, 0), Lane::default()) };
        }
        drop(vector);
        self.gauge.fetch_sub(count, Ordering::Relaxed);
    }
}

/// A socket that is bound to nothing.
pub(super) fn unbound() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    let fd = check(unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bind(fd: &OwnedFd, queue: Queue, flags: u16, shared: i32) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: flags,
        sxdp_ifindex: queue.device,
        sxdp_queue_id: queue.number,
        sxdp_shared_umem_fd: shared as u32,
    };
    // SAFETY: the address lives during the call, and the length is its own.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32) }).map(drop)
}

/// Sets an option of the layer.
fn set<T: Copy>(fd: &OwnedFd, option: i32, value: &T) -> io::Result<()> {
    let (at, len) = ((&raw const *value).cast(), size_of_val(value) as u32);
    // SAFETY: the kernel reads `len` bytes at `at`, which are the value's; it lives during the call. The memory that a registration names
    // is kept by whoever holds the socket (`Socket::memory`), and the kernel pins its pages besides.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, at, len) }).map(drop)
}

/// Reads an option of the layer into a value of integers.
fn get<T: Copy>(fd: &impl AsFd, option: i32, value: &mut T) -> io::Result<()> {
    let mut len = size_of_val(value) as u32;
    let at = (&raw mut *value).cast();
    // SAFETY: the kernel writes at most `len` bytes to the value; callers hand over structures of integers, of which any pattern is one.
    check(unsafe { libc::getsockopt(fd.as_fd().as_raw_fd(), libc::SOL_XDP, option, at, &raw mut len) }).map(drop)
}

fn check(done: i32) -> io::Result<i32> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
}
