//! The library that is linked to DPDK: where it is found, and what is asked of it.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;
use std::mem::offset_of;
use std::path::PathBuf;
use std::sync::atomic::{AtomicIsize, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use libloading::os::unix::{self, RTLD_LOCAL, RTLD_NOW};
use swath_api::memory::{HEAD, HEADROOM};
use swath_api::{Cache, Desc, Pool};
use swath_dpdk_abi::{
    ABI, Arrived, Counts, Entry, FIGURES, Figure, Library, Link, MAGIC, Message, Opened, Packet, PoolRequest, PortRequest, SYMBOL,
    Start,
};

/// Where the library is, if not beside swath.
const VARIABLE: &str = "SWATH_DPDK_LIBRARY";
const FILE: &str = "libswath_dpdk.so";
/// Lines of DPDK's log that an error shows at most.
const LINES: usize = 6;
/// Megabytes of DPDK's own memory without huge pages, of which what is not used is not there.
const MEMORY: u32 = 512;
/// Free huge pages of 2 MiB from which on DPDK's own memory is on them.
pub(super) const HUGE_PAGES: u32 = 32;

/// DPDK, once it was started.
struct Started {
    driver: Driver,
    eal: Vec<String>,
}

static STARTED: Mutex<Option<Started>> = Mutex::new(None);
static POOLS: Mutex<Vec<Weak<Memory>>> = Mutex::new(Vec::new());
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The library, which stays.
#[derive(Debug, Clone, Copy)]
pub(super) struct Driver(&'static Library);

/// Starts DPDK, or finds it started.
///
/// # Errors
/// What is missing, and how it is had; and the setting that is to blame, if it is one.
pub(super) fn start(eal: &[String]) -> Result<Driver, (Option<&'static str>, String)> {
    let mut started = lock(&STARTED);
    if let Some(started) = &*started {
        if started.eal != eal {
            let was = started.eal.join(", ");
            let what =
                format!("DPDK runs with `eal: [{was}]`: all interfaces have the same, and another one takes a restart of swath");
            return Err((Some("eal"), what));
        }
        return Ok(started.driver);
    }
    let driver = load().map_err(|(_, refusal)| (None, refusal.to_string()))?;
    let arguments: Vec<CString> = usual()
        .into_iter()
        .chain(eal.iter().cloned())
        .map(|argument| CString::new(argument).map_err(|_| (Some("eal"), "a zero byte is in no argument".to_owned())))
        .collect::<Result<_, _>>()?;
    let pointers: Vec<*const c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    let request = Start { arguments: pointers.as_ptr(), count: pointers.len() as u32, log };
    let what = "DPDK cannot be started";
    // SAFETY: there are `count` arguments; `log` may be called at any time.
    said(|message| unsafe { (driver.0.start)(&raw const request, message) == 0 })
        .map_err(|why| (if eal.is_empty() { None } else { Some("eal") }, format!("{what}: {why}")))?;
    *started = Some(Started { driver, eal: eal.to_vec() });
    Ok(driver)
}

/// Why the library is not to be had.
#[derive(Debug)]
pub(super) struct Refusal {
    pub what: String,
    /// The command that mends it.
    pub mend: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mend {
            Some(mend) => write!(f, "{}: `{mend}`", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// What is loaded, and what its DPDK is; or where it was found, if it was, and why it is of no use. Nothing is started.
pub(super) fn look() -> Result<(PathBuf, String), (Option<PathBuf>, Refusal)> {
    let driver = load()?;
    // SAFETY: it returns a string that ends with a zero, and is there for as long as the library.
    let version = unsafe { CStr::from_ptr((driver.0.version)()) }.to_string_lossy().into_owned();
    Ok((places().into_iter().find(|place| place.is_file()).unwrap_or_default(), version))
}

/// Opens the library, and makes sure that it is one.
fn load() -> Result<Driver, (Option<PathBuf>, Refusal)> {
    let places = places();
    let Some(file) = places.iter().find(|place| place.is_file()) else {
        let places: Vec<String> = places.iter().map(|place| format!("`{}`", place.display())).collect();
        let what = format!(
            "the library of swath for DPDK is not installed (it was looked for as {}); from the sources",
            places.join(", ")
        );
        let mend = Some("apt install libdpdk-dev clang && cargo build --release -p swath-dpdk".into());
        return Err((None, Refusal { what, mend }));
    };
    let refused = |what: String, mend: Option<&str>| (Some(file.clone()), Refusal { what, mend: mend.map(str::to_owned) });
    // SAFETY: what runs when it is loaded is DPDK's, which waits to be started.
    let shared = unsafe { unix::Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        let error = error.to_string();
        match error.contains("librte_") {
            true => refused(format!("DPDK is not installed ({error})"), Some("apt install dpdk")),
            false => refused(format!("`{}` cannot be opened: {error}", file.display()), None),
        }
    })?;
    // SAFETY: the symbol has this type in all versions.
    let entry = unsafe { shared.get::<Entry>(SYMBOL.to_bytes_with_nul()) };
    let entry = entry.map_err(|_| refused(format!("`{}` is no library of swath", file.display()), None))?;
    // SAFETY: it returns a structure that is there for as long as the library, which is for ever (below).
    let library: &'static Library = unsafe { &*entry() };
    if (library.magic, library.abi, library.size) != (MAGIC, ABI, size_of::<Library>() as u32) {
        let what = format!(
            "`{}` is of another version of swath: its interface is {} of {} bytes, and that of this swath {ABI} of {}: install both of one version",
            file.display(),
            library.abi,
            library.size,
            size_of::<Library>()
        );
        return Err(refused(what, None));
    }
    // DPDK has threads and exit handlers: it is never unloaded.
    std::mem::forget(shared);
    Ok(Driver(library))
}

/// Where the library may be.
fn places() -> Vec<PathBuf> {
    if let Some(file) = std::env::var_os(VARIABLE) {
        return vec![file.into()];
    }
    let beside = std::env::current_exe().ok().and_then(|swath| Some(swath.parent()?.to_path_buf()));
    let beside = beside.into_iter().flat_map(|directory| [directory.join(FILE), directory.join("../lib/swath").join(FILE)]);
    beside.chain([PathBuf::from("/usr/lib/swath").join(FILE)]).collect()
}

/// What DPDK is started with: one thread that may run anywhere, no device but those that are asked for, no files, no socket.
fn usual() -> Vec<String> {
    let mut arguments = vec![format!("--lcores=0@({})", processors())];
    // A list of devices that are allowed keeps it from all others; who is asked for is added to it.
    arguments.extend(["--allow=0000:00:00.0", "--iova-mode=va", "--no-telemetry"].map(str::to_owned));
    match free_huge_pages() {
        Some(free) if free >= HUGE_PAGES => arguments.push("--in-memory".into()),
        _ => arguments.extend(["--no-huge".into(), "--no-shconf".into(), "-m".into(), MEMORY.to_string()]),
    }
    arguments
}

fn processors() -> String {
    let set = rustix::thread::sched_getaffinity(None).unwrap_or_default();
    let known: Vec<String> =
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).map(|cpu| cpu.to_string()).collect();
    if known.is_empty() { "0".into() } else { known.join(",") }
}

pub(super) fn free_huge_pages() -> Option<u32> {
    std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").ok()?.trim().parse().ok()
}

/// Takes what DPDK logs.
unsafe extern "C" fn log(line: *const u8, length: usize) {
    // SAFETY: the library gives `length` bytes.
    let text = String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(line, length) });
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        tracing::debug!(target: "swath::dpdk", "{line}");
        let mut logged = lock(&LOGGED);
        if logged.len() == LINES {
            logged.remove(0);
        }
        logged.push(line.to_owned());
    }
}

/// Calls the library for something that may fail. What DPDK has logged meanwhile is part of the error: it says most of it there alone.
fn said(call: impl FnOnce(*mut Message) -> bool) -> Result<(), String> {
    lock(&LOGGED).clear();
    let mut message = Message::default();
    if call(&raw mut message) {
        return Ok(());
    }
    let logged = lock(&LOGGED).join("; ");
    Err(if logged.is_empty() { message.text() } else { format!("{} ({logged})", message.text()) })
}

/// What calls from the library are about.
#[derive(Debug)]
struct Shared {
    pool: Arc<Pool>,
    // Chunks that DPDK has taken, less those that it has given, outside of calls of queues that are there.
    outside: AtomicIsize,
}

/// A pool that DPDK knows.
#[derive(Debug)]
struct Memory {
    driver: Driver,
    // In a place of its own, which the library knows.
    shared: Box<Shared>,
    // The library's.
    raw: Raw,
    // Which ports there are: the first of them says how many chunks DPDK has, lest they be counted twice.
    ports: Mutex<Vec<u64>>,
    speaker: AtomicU64,
}

/// A pointer that is the library's, and means nothing here.
#[derive(Debug, Clone, Copy)]
struct Raw(*mut c_void);

// SAFETY: the library promises that any thread may call it with the pointer.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Memory {
    /// The memory of a pool, which is entered when it is first asked for.
    fn of(driver: Driver, pool: &Arc<Pool>) -> Result<Arc<Memory>, String> {
        let mut pools = lock(&POOLS);
        pools.retain(|memory| memory.strong_count() > 0);
        if let Some(known) = pools.iter().filter_map(Weak::upgrade).find(|memory| Arc::ptr_eq(&memory.shared.pool, pool)) {
            return Ok(known);
        }
        let shared = Box::new(Shared { pool: Arc::clone(pool), outside: AtomicIsize::new(0) });
        let region = pool.region();
        let geometry = region.geometry();
        let request = PoolRequest {
            base: region.base(),
            bytes: geometry.bytes(),
            chunks: geometry.chunks,
            stride: geometry.stride,
            head: HEAD as u32,
            headroom: HEADROOM as u32,
            page: rustix::param::page_size(),
            pool: (&raw const *shared).cast_mut().cast(),
            take,
            give,
        };
        let mut raw = std::ptr::null_mut();
        said(|message| {
            // SAFETY: the region and the pool live as long as the memory, which forgets them first.
            raw = unsafe { (driver.0.pool)(&raw const request, message) };
            !raw.is_null()
        })
        .map_err(|why| format!("DPDK cannot use the packet memory: {why}"))?;
        let memory = Memory { driver, shared, raw: Raw(raw), ports: Mutex::default(), speaker: AtomicU64::new(0) };
        let memory = Arc::new(memory);
        pools.push(Arc::downgrade(&memory));
        Ok(memory)
    }

    fn enter(&self, port: u64) {
        let mut ports = lock(&self.ports);
        ports.push(port);
        self.speaker.store(ports[0], Ordering::Relaxed);
    }

    fn leave(&self, port: u64) {
        let mut ports = lock(&self.ports);
        ports.retain(|known| *known != port);
        self.speaker.store(ports.first().copied().unwrap_or(0), Ordering::Relaxed);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: each port holds the memory, so all are closed.
        unsafe { (self.driver.0.forget_pool)(self.raw.0) };
    }
}

/// A call of the library for packets, during which it may ask for chunks.
struct Call<'a> {
    cache: &'a mut Cache,
    /// Chunks that DPDK has taken, less those that it has given.
    taken: isize,
}

/// Takes chunks for DPDK, all or none.
unsafe extern "C" fn take(memory: *mut c_void, call: *mut c_void, positions: *mut u32, count: u32) -> bool {
    // SAFETY: there is room for `count` positions, and what is written to it may be anything.
    let positions = unsafe { std::slice::from_raw_parts_mut(positions, count as usize) };
    // SAFETY: see `within`.
    unsafe {
        within(memory, call, |cache, taken| {
            for at in 0..positions.len() {
                let Some(buffer) = cache.take() else {
                    // SAFETY: they were taken above.
                    cache.free_raw(&positions[..at]);
                    return false;
                };
                positions[at] = buffer.into_position();
            }
            *taken += positions.len() as isize;
            true
        })
    }
}

/// Takes chunks back.
unsafe extern "C" fn give(memory: *mut c_void, call: *mut c_void, positions: *const u32, count: u32) {
    // SAFETY: there are `count` positions.
    let positions = unsafe { std::slice::from_raw_parts(positions, count as usize) };
    // SAFETY: see `within`; the chunks were taken by `take`, or sent, and are DPDK's no more.
    unsafe {
        within(memory, call, |cache, taken| {
            cache.free_raw(positions);
            *taken -= positions.len() as isize;
        });
    }
}

/// Does something with the cache of the worker in whose call DPDK is, or with one for the moment; and with the count of what DPDK has.
///
/// # Safety
/// `memory` is the [`Shared`] of a [`Memory`], and `call` null or the [`Call`] that this thread has given [`Library::receive`] or
/// [`Library::transmit`].
unsafe fn within<T>(shared: *mut c_void, call: *mut c_void, work: impl FnOnce(&mut Cache, &mut isize) -> T) -> T {
    if !call.is_null() {
        // SAFETY: as the caller promises; the call waits for the library, and touches nothing.
        let call = unsafe { &mut *call.cast::<Call<'_>>() };
        return work(call.cache, &mut call.taken);
    }
    // SAFETY: as the caller promises; the memory outlives all that DPDK does with it.
    let shared = unsafe { &*shared.cast_const().cast::<Shared>() };
    let mut taken = 0;
    let result = work(&mut shared.pool.cache(), &mut taken);
    shared.outside.fetch_add(taken, Ordering::Relaxed);
    result
}

/// That a [`Packet`] is a [`Desc`]: as large, no stricter aligned, and the same parts in the same places.
const _: () = {
    assert!(size_of::<Packet>() == size_of::<Desc>() && align_of::<Packet>() <= align_of::<Desc>());
    assert!(offset_of!(Packet, length) == 0 && offset_of!(Packet, offset) == 2 && offset_of!(Packet, position) == 4);
    let bytes = Desc::new(0x0807_0605, 0x0403, 0x0201).to_ne_bytes();
    let mut at = 0;
    while at < bytes.len() {
        assert!(bytes[at] == at as u8 + 1);
        at += 1;
    }
};

/// A device as it is asked for.
pub(super) struct Wanted<'a> {
    pub device: &'a CStr,
    pub receive_queues: u16,
    pub transmit_queues: u16,
    pub receive_descriptors: u16,
    pub transmit_descriptors: u16,
    pub mtu: u16,
    pub promiscuous: bool,
    pub revives: bool,
}

impl Driver {
    /// Opens a device for packets of a pool.
    pub fn open(self, pool: &Arc<Pool>, wanted: &Wanted<'_>) -> Result<Attached, String> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let memory = Memory::of(self, pool)?;
        let request = PortRequest {
            pool: memory.raw.0,
            device: wanted.device.as_ptr(),
            receive_queues: wanted.receive_queues,
            transmit_queues: wanted.transmit_queues,
            receive_descriptors: wanted.receive_descriptors,
            transmit_descriptors: wanted.transmit_descriptors,
            mtu: wanted.mtu,
            promiscuous: wanted.promiscuous,
            revives: wanted.revives,
        };
        let (mut opened, mut port) = (Opened::default(), std::ptr::null_mut());
        said(|message| {
            // SAFETY: the pool is known, and the name ends with a zero.
            port = unsafe { (self.0.open)(&raw const request, &raw mut opened, message) };
            !port.is_null()
        })?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        memory.enter(number);
        Ok(Attached { memory, port: Raw(port), number, opened })
    }
}

/// A device that is open. It is closed with the last of its queues.
#[derive(Debug)]
pub(super) struct Attached {
    memory: Arc<Memory>,
    port: Raw,
    number: u64,
    opened: Opened,
}

impl Attached {
    fn library(&self) -> &'static Library {
        self.memory.driver.0
    }

    /// What it is like.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Its driver within DPDK.
    pub fn driver(&self) -> String {
        let name = &self.opened.driver;
        String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
    }

    /// How its link stands.
    pub fn link(&self) -> Link {
        // SAFETY: it is open.
        unsafe { (self.library().link)(self.port.0) }
    }

    /// Tries to start it again.
    pub fn revive(&self) {
        // SAFETY: it is open.
        unsafe { (self.library().revive)(self.port.0) }
    }

    /// What it has counted.
    pub fn counts(&self) -> Counts {
        // SAFETY: it is open.
        unsafe { (self.library().counts)(self.port.0) }
    }

    /// What else it has counted, by names of its driver.
    pub fn figures(&self) -> Vec<(String, u64)> {
        let mut figures = vec![Figure { name: [0; 64], value: 0 }; FIGURES];
        // SAFETY: it is open, and there is room for as many as there may be.
        let count = unsafe { (self.library().figures)(self.port.0, figures.as_mut_ptr()) };
        figures.truncate(count as usize);
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        figures.iter().map(|figure| (name(&figure.name), figure.value)).collect()
    }

    /// Chunks that DPDK has, beside those that queues count, if it is this device that says so.
    pub fn outside(&self) -> isize {
        let speaks = self.memory.speaker.load(Ordering::Relaxed) == self.number;
        if speaks { self.memory.shared.outside.load(Ordering::Relaxed) } else { 0 }
    }

    /// Of a queue that is gone: what DPDK has of it.
    pub fn leave(&self, held: isize) {
        self.memory.shared.outside.fetch_add(held, Ordering::Relaxed);
    }

    /// Receives packets, whose chunks are the caller's then, and says where they are; `held` counts those that are not.
    #[inline]
    pub fn receive(&self, queue: u16, held: &mut isize, cache: &mut Cache, packets: &mut [Desc]) -> Arrived {
        debug_assert!(Arc::ptr_eq(cache.pool(), &self.memory.shared.pool));
        let mut call = Call { cache, taken: 0 };
        let context = (&raw mut call).cast();
        // SAFETY: the queue is asked by its worker alone; the call is lent for as long as it lasts; there is room for as many packets,
        // each of which is a descriptor (as is asserted below).
        let arrived =
            unsafe { (self.library().receive)(self.port.0, queue, context, packets.as_mut_ptr().cast(), packets.len() as u16) };
        *held += call.taken - arrived.packets as isize;
        arrived
    }

    /// Sends packets, of which as many as it returns are DPDK's then; `held` counts those.
    #[inline]
    pub fn transmit(&self, queue: u16, held: &mut isize, cache: &mut Cache, packets: &[Desc]) -> usize {
        debug_assert!(Arc::ptr_eq(cache.pool(), &self.memory.shared.pool));
        let mut call = Call { cache, taken: 0 };
        let context = (&raw mut call).cast();
        // SAFETY: as in `receive`; the packets are the caller's.
        let sent = unsafe { (self.library().transmit)(self.port.0, queue, context, packets.as_ptr().cast(), packets.len() as u16) };
        *held += call.taken + sent as isize;
        usize::from(sent)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: its queues are gone, each of which held it.
        unsafe { (self.library().close)(self.port.0) };
        self.memory.leave(self.number);
    }
}
