//! A mempool that owns nothing: its objects are the chunks of Swath's pool, and all that DPDK asks of it is asked of the pool.
//!
//! A chunk is `[64 B object header][128 B rte_mbuf][64 B of the pool's own][headroom][data]` with a stride of an odd number of lines, which is what a
//! dense mempool of objects of `stride - 64` bytes looks like, where each `rte_mbuf` has 64 bytes of private area.
//!
//! DPDK puts a cache for each of its threads above it; threads are [registered](register) when they first send or receive.

use std::cell::Cell;
use std::ffi::{CString, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dpdk_sys as dpdk;
use swath_dpdk_abi::{BURST, Message, PoolRequest};

use crate::eal::{last_error, words};
use crate::mbuf::{self, Mbuf};

/// The unit of positions.
pub const LINE: usize = 64;
/// Bytes before the `rte_mbuf`: what DPDK writes before each object of a mempool.
const HEADER: usize = 64;
/// Objects that each thread may keep.
const CACHE: c_uint = 512;
/// Objects that are handed over at once.
const BATCH: usize = 512;

/// A pool that DPDK knows.
pub struct Memory {
    mempool: *mut dpdk::rte_mempool,
    base: *mut u8,
    bytes: usize,
    page: usize,
    pub stride: usize,
    pub head: usize,
    pool: *mut c_void,
    take: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut u32, u32) -> bool,
    give: unsafe extern "C" fn(*mut c_void, *mut c_void, *const u32, u32),
    // While the mempool is filled with what the pool keeps, or emptied of it.
    is_passive: AtomicBool,
    // Whether devices can be told where it is: once for all of them.
    is_registered: AtomicBool,
}

impl Memory {
    /// # Safety
    /// A pointer that [`pool`] has returned, and that was not given to [`forget_pool`].
    pub unsafe fn of<'a>(pool: *mut c_void) -> &'a Memory {
        // SAFETY: as the caller promises.
        unsafe { &*pool.cast::<Memory>() }
    }

    pub fn mempool(&self) -> *mut dpdk::rte_mempool {
        self.mempool
    }

    /// The `rte_mbuf` of a chunk.
    ///
    /// # Safety
    /// The position is that of a chunk of the pool.
    #[inline(always)]
    pub unsafe fn mbuf(&self, position: u32) -> *mut dpdk::rte_mbuf {
        // SAFETY: the chunk lies in the region.
        unsafe { self.base.add(position as usize * LINE + HEADER).cast() }
    }

    /// A byte of a chunk.
    ///
    /// # Safety
    /// The position is that of a chunk of the pool, which has as many bytes.
    #[inline(always)]
    pub unsafe fn byte(&self, position: u32, offset: u16) -> *mut u8 {
        // SAFETY: the chunk lies in the region.
        unsafe { self.base.add(position as usize * LINE + usize::from(offset)) }
    }

    /// The chunk of an `rte_mbuf` of this mempool.
    #[inline(always)]
    pub fn position(&self, mbuf: *const c_void) -> u32 {
        ((mbuf as usize - self.base as usize - HEADER) / LINE) as u32
    }

    /// Makes an `rte_mbuf` of each chunk. Of the rest of a chunk nothing is touched: packets may be in it.
    fn make_mbufs(&self) {
        let chunks = self.bytes / self.stride;
        for chunk in 0..chunks {
            let at = chunk * self.stride;
            // SAFETY: bytes 64..192 of each chunk are set apart for this; nobody else touches them, and DPDK does not yet.
            unsafe {
                let mbuf = Mbuf(self.base.add(at + HEADER).cast());
                mbuf.make(self.base.add(at + self.head), (self.stride - self.head) as u16, self.private(), self.mempool);
            }
        }
    }

    /// Bytes of a chunk between its `rte_mbuf` and its headroom.
    fn private(&self) -> u16 {
        (self.head - HEADER - mbuf::SIZE) as u16
    }

    /// Lets a device write to the region itself, if it is one that does.
    ///
    /// # Safety
    /// The device is one of DPDK's.
    pub unsafe fn map_for(&self, device: *mut dpdk::rte_device) -> Result<(), String> {
        if !self.is_registered.swap(true, Ordering::Relaxed) {
            // SAFETY: the region is mapped as long as the pool lives. With no table of physical addresses those are the virtual ones.
            let status = unsafe { dpdk::rte_extmem_register(self.base.cast(), self.mapped(), null_mut(), 0, self.page) };
            if status < 0 {
                self.is_registered.store(false, Ordering::Relaxed);
                return Err(format!("the packet memory cannot be registered: {}", words(last_error())));
            }
        }
        // SAFETY: as above.
        let status = unsafe { dpdk::rte_dev_dma_map(device, self.base.cast(), self.base as u64, self.mapped()) };
        // A bus without an IOMMU has nothing to map.
        if status < 0 && ![ENOTSUP, EEXIST].contains(&last_error()) {
            return Err(format!("the device cannot reach the packet memory: {}", words(last_error())));
        }
        Ok(())
    }

    /// Undoes [`Memory::map_for`], if there is something to undo.
    ///
    /// # Safety
    /// The device is one of DPDK's, and is stopped.
    pub unsafe fn unmap_for(&self, device: *mut dpdk::rte_device) {
        if self.is_registered.load(Ordering::Relaxed) {
            // SAFETY: as above. A device of software has nothing to undo, and says so.
            unsafe { dpdk::rte_dev_dma_unmap(device, self.base.cast(), self.base as u64, self.mapped()) };
        }
    }

    /// Bytes of whole pages.
    fn mapped(&self) -> usize {
        self.bytes.next_multiple_of(self.page)
    }
}

const EEXIST: c_int = 17;
const ENOTSUP: c_int = 95;

/// # Safety
/// As [`swath_dpdk_abi::Library::pool`] says.
pub unsafe extern "C" fn pool(request: *const PoolRequest, message: *mut Message) -> *mut c_void {
    // SAFETY: both are what the caller promises.
    let (request, message) = unsafe { (&*request, &mut *message) };
    match make(request) {
        Ok(memory) => Box::into_raw(memory).cast(),
        Err(error) => {
            message.set(&error);
            null_mut()
        }
    }
}

fn make(request: &PoolRequest) -> Result<Box<Memory>, String> {
    static OPS: Once = Once::new();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (head, stride) = (request.head as usize, request.stride as usize);
    if head < HEADER + mbuf::SIZE || request.headroom != dpdk::RTE_PKTMBUF_HEADROOM {
        return Err(format!(
            "this DPDK has an rte_mbuf of {} bytes and a headroom of {}, for which chunks have no room",
            mbuf::SIZE,
            dpdk::RTE_PKTMBUF_HEADROOM
        ));
    }
    OPS.call_once(register_ops);
    let mut memory = Box::new(Memory {
        mempool: null_mut(),
        base: request.base,
        bytes: request.chunks as usize * stride,
        page: request.page,
        stride,
        head,
        pool: request.pool,
        take: request.take,
        give: request.give,
        is_passive: AtomicBool::new(true),
        is_registered: AtomicBool::new(false),
    });
    let name = CString::new(format!("swath_{}", NUMBER.fetch_add(1, Ordering::Relaxed))).unwrap_or_default();
    // One thread's worth and a half must be there.
    let cache = CACHE.min(request.chunks * 2 / 3);
    let private = size_of::<dpdk::rte_pktmbuf_pool_private>() as c_uint;
    let element = (stride - HEADER) as c_uint;
    // Objects lie as densely as chunks, across the borders of pages too: devices are given virtual addresses, which are contiguous.
    let flags = dpdk::RTE_MEMPOOL_F_NO_SPREAD | dpdk::RTE_MEMPOOL_F_NO_IOVA_CONTIG;
    // SAFETY: the name ends with a zero, and is copied.
    let mempool =
        unsafe { dpdk::rte_mempool_create_empty(name.as_ptr(), request.chunks, element, cache, private, SOCKET_ID_ANY, flags) };
    if mempool.is_null() {
        return Err(format!("no mempool: {}", words(last_error())));
    }
    memory.mempool = mempool;
    let at: *mut Memory = &raw mut *memory;
    let mut settings = dpdk::rte_pktmbuf_pool_private {
        mbuf_data_room_size: (stride - head) as u16,
        mbuf_priv_size: memory.private(),
        ..Default::default()
    };
    // SAFETY: the mempool is ours and empty; `at` outlives it; the region has room for as many objects as it was made for, and its first
    // byte is the start of a page.
    let populated = unsafe {
        dpdk::rte_mempool_set_ops_byname(mempool, OPS_NAME.as_ptr().cast(), at.cast());
        dpdk::rte_pktmbuf_pool_init(mempool, (&raw mut settings).cast());
        dpdk::rte_mempool_populate_iova(mempool, request.base.cast(), request.base as u64, memory.bytes, None, null_mut())
    };
    if populated != request.chunks as c_int {
        // SAFETY: nobody has it.
        unsafe { dpdk::rte_mempool_free(mempool) };
        return Err(format!("the mempool has taken {populated} of {} chunks", request.chunks));
    }
    memory.make_mbufs();
    memory.is_passive.store(false, Ordering::Release);
    Ok(memory)
}

const SOCKET_ID_ANY: c_int = -1;

/// # Safety
/// As [`swath_dpdk_abi::Library::forget_pool`] says.
pub unsafe extern "C" fn forget_pool(pool: *mut c_void) {
    // SAFETY: the caller gives it back.
    let memory = unsafe { Box::from_raw(pool.cast::<Memory>()) };
    // SAFETY: all ports are closed, so no thread is in a call of DPDK that knows the mempool; what their caches hold goes back.
    unsafe {
        dpdk::swath_rte_mempool_flush_all(memory.mempool);
        memory.is_passive.store(true, Ordering::Release);
        if memory.is_registered.load(Ordering::Relaxed) {
            dpdk::rte_extmem_unregister(memory.base.cast(), memory.mapped());
        }
        dpdk::rte_mempool_free(memory.mempool);
    }
}

thread_local! {
    /// What this thread has passed, while it sends or receives.
    static CALL: Cell<*mut c_void> = const { Cell::new(null_mut()) };
    static REGISTERED: Registered = Registered::new();
}

/// A thread that DPDK knows, until it ends: it has a cache of chunks of its own.
struct Registered(bool);

impl Registered {
    fn new() -> Registered {
        // SAFETY: it may be called by any thread that DPDK does not know. Without a number that is free the thread does without a cache.
        Registered(unsafe { dpdk::rte_thread_register() } == 0)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: this thread is registered. What its cache holds is the next thread's that gets its number.
            unsafe { dpdk::rte_thread_unregister() };
        }
    }
}

/// Calls DPDK for packets: the pool is told meanwhile in which call of its own it is asked for chunks.
#[inline]
pub fn within<T>(call: *mut c_void, work: impl FnOnce() -> T) -> T {
    REGISTERED.with(|_| ());
    CALL.set(call);
    let result = work();
    CALL.set(null_mut());
    result
}

const OPS_NAME: &[u8; 6] = b"swath\0";

fn register_ops() {
    let mut ops = dpdk::rte_mempool_ops::default();
    for (to, from) in ops.name.iter_mut().zip(OPS_NAME) {
        *to = *from as std::ffi::c_char;
    }
    ops.alloc = Some(alloc);
    ops.free = Some(free);
    ops.enqueue = Some(enqueue);
    ops.dequeue = Some(dequeue);
    ops.get_count = Some(count);
    // SAFETY: it copies the structure.
    unsafe { dpdk::rte_mempool_register_ops(&raw const ops) };
}

/// # Safety
/// DPDK calls these with a mempool that [`make`] has made.
unsafe fn memory_of<'a>(mempool: *const dpdk::rte_mempool) -> &'a Memory {
    // SAFETY: as the caller promises; `pool_config` is what `rte_mempool_set_ops_byname` was given.
    unsafe { &*(*mempool).pool_config.cast::<Memory>() }
}

unsafe extern "C" fn alloc(_: *mut dpdk::rte_mempool) -> c_int {
    0
}

unsafe extern "C" fn free(_: *mut dpdk::rte_mempool) {}

unsafe extern "C" fn enqueue(mempool: *mut dpdk::rte_mempool, objects: *const *mut c_void, count: c_uint) -> c_int {
    // SAFETY: see `memory_of`.
    let memory = unsafe { memory_of(mempool) };
    // What it is filled with is not given to it: the pool keeps it.
    if memory.is_passive.load(Ordering::Acquire) {
        return 0;
    }
    let mut positions = [0; BATCH];
    let mut done = 0;
    while done < count as usize {
        let part = (count as usize - done).min(BATCH);
        for (at, position) in positions[..part].iter_mut().enumerate() {
            // SAFETY: DPDK gives `count` objects of this mempool.
            *position = memory.position(unsafe { *objects.add(done + at) });
        }
        // SAFETY: these chunks were DPDK's, and are the pool's again. The call is that in which this thread is, or none.
        unsafe { (memory.give)(memory.pool, CALL.get(), positions.as_ptr(), part as u32) };
        done += part;
    }
    0
}

unsafe extern "C" fn dequeue(mempool: *mut dpdk::rte_mempool, objects: *mut *mut c_void, count: c_uint) -> c_int {
    // SAFETY: see `memory_of`.
    let memory = unsafe { memory_of(mempool) };
    // It takes out one by one what it was filled with, to forget it.
    if memory.is_passive.load(Ordering::Acquire) {
        return 0;
    }
    let mut positions = [0; BATCH];
    let mut done = 0;
    while done < count as usize {
        let part = (count as usize - done).min(BATCH);
        // SAFETY: there is room for `part` positions; the call is that in which this thread is, or none.
        if !unsafe { (memory.take)(memory.pool, CALL.get(), positions.as_mut_ptr(), part as u32) } {
            // All or nothing: what was taken goes back.
            // SAFETY: the first `done` objects were written above.
            unsafe { enqueue(mempool, objects, done as c_uint) };
            return -ENOBUFS;
        }
        for (at, position) in positions[..part].iter().enumerate() {
            // SAFETY: the chunk is the pool's, and there is room for `count` objects.
            unsafe { *objects.add(done + at) = memory.mbuf(*position).cast() };
        }
        done += part;
    }
    0
}

const ENOBUFS: c_int = 105;

/// DPDK asks this for its own figures alone: as if all were free.
unsafe extern "C" fn count(mempool: *const dpdk::rte_mempool) -> c_uint {
    // SAFETY: DPDK calls it with a mempool.
    unsafe { (*mempool).size }
}

const _: () = assert!(BURST <= BATCH);
