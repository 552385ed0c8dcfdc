//! The library as its host sees it. That it is one of C is seen by opening it as one.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{Library as Shared, RTLD_LOCAL, RTLD_NOW};
use swath_dpdk_abi::{ABI, Entry, Library, MAGIC, Message, Opened, Packet, PoolRequest, PortRequest, SYMBOL, Start};

const CHUNKS: u32 = 4096;
const STRIDE: usize = 39 * 64;
const HEAD: usize = 256;

/// A pool that is a list.
struct List(Mutex<Vec<u32>>);

impl List {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

unsafe extern "C" fn take(pool: *mut c_void, _: *mut c_void, positions: *mut u32, count: u32) -> bool {
    // SAFETY: the pool is the list below, and there is room for `count` positions.
    unsafe {
        let mut list = (*pool.cast::<List>()).lock();
        if list.len() < count as usize {
            return false;
        }
        (0..count as usize).for_each(|at| *positions.add(at) = list.pop().unwrap());
        true
    }
}

unsafe extern "C" fn give(pool: *mut c_void, _: *mut c_void, positions: *const u32, count: u32) {
    // SAFETY: as in `take`.
    unsafe {
        let mut list = (*pool.cast::<List>()).lock();
        list.extend((0..count as usize).map(|at| *positions.add(at)));
    }
}

unsafe extern "C" fn log(line: *const u8, length: usize) {
    // SAFETY: the library gives `length` bytes.
    print!("{}", String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(line, length) }));
}

fn library() -> &'static Library {
    let directory = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let places = [directory.join("libswath_dpdk.so"), directory.join("../libswath_dpdk.so")];
    let file: &PathBuf = places.iter().find(|place| place.is_file()).expect("it was built with this test");
    // SAFETY: it is the library of this package.
    unsafe {
        let shared = Shared::open(Some(file), RTLD_NOW | RTLD_LOCAL).unwrap();
        let entry = shared.get::<Entry>(SYMBOL.to_bytes_with_nul()).unwrap();
        let library = &*entry();
        std::mem::forget(shared);
        library
    }
}

/// From a ring to itself: what was sent comes back, in its chunk; in the end all chunks are the pool's again.
#[test]
fn packets_go_round_and_no_chunk_is_lost() {
    let library = library();
    assert_eq!((library.magic, library.abi, library.size as usize), (MAGIC, ABI, size_of::<Library>()));
    // SAFETY: it returns a string that ends with a zero.
    let version = unsafe { CStr::from_ptr((library.version)()) }.to_str().unwrap();
    assert!(version.starts_with("DPDK "), "{version}");
    let arguments: Vec<CString> =
        ["--allow=0000:00:00.0", "--iova-mode=va", "--no-telemetry", "--no-huge", "--no-shconf", "-m", "128"]
            .map(|argument| CString::new(argument).unwrap())
            .into();
    let pointers: Vec<*const c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    let mut message = Message::default();
    let start = Start { arguments: pointers.as_ptr(), count: pointers.len() as u32, log };
    // SAFETY: the arguments live as long as the call.
    assert_eq!(unsafe { (library.start)(&raw const start, &raw mut message) }, 0, "{}", message.text());

    let mut region = vec![0_u8; CHUNKS as usize * STRIDE + 4096];
    let base = region.as_mut_ptr();
    // SAFETY: a page more was asked for.
    let base = unsafe { base.add(base.align_offset(4096)) };
    let list = List(Mutex::new((0..CHUNKS).map(|chunk| chunk * (STRIDE / 64) as u32).collect()));
    let pool = PoolRequest {
        base,
        bytes: CHUNKS as usize * STRIDE,
        chunks: CHUNKS,
        stride: STRIDE as u32,
        head: HEAD as u32,
        headroom: 128,
        page: 4096,
        pool: (&raw const list).cast_mut().cast(),
        take,
        give,
    };
    // SAFETY: region and list outlive the pool, which is forgotten below.
    let pool = unsafe { (library.pool)(&raw const pool, &raw mut message) };
    assert!(!pool.is_null(), "{}", message.text());
    assert_eq!(list.lock().len(), CHUNKS as usize, "it takes none by being known");

    let mut request = PortRequest {
        pool,
        device: c"net_nothing0".as_ptr(),
        receive_queues: 1,
        transmit_queues: 1,
        receive_descriptors: 0,
        transmit_descriptors: 0,
        mtu: 0,
        promiscuous: true,
        revives: false,
    };
    let mut opened = Opened::default();
    // SAFETY: names end with a zero; the pool is known.
    let nothing = unsafe { (library.open)(&raw const request, &raw mut opened, &raw mut message) };
    assert!(nothing.is_null() && message.text().starts_with("DPDK does not find it"), "{}", message.text());
    request.device = c"net_ring0".as_ptr();
    // SAFETY: as above.
    let port = unsafe { (library.open)(&raw const request, &raw mut opened, &raw mut message) };
    assert!(!port.is_null(), "{}", message.text());
    assert_eq!((opened.receive_queues, opened.transmit_queues), (1, 1));

    let chunks: Vec<u32> = list.lock().drain(..100).collect();
    let sent: Vec<Packet> =
        chunks.iter().zip(0_u16..).map(|(chunk, at)| Packet { position: *chunk, offset: 384 + at, length: 60 + at }).collect();
    // SAFETY: the packets are ours until they are sent, and there is room for as many as are asked for.
    unsafe {
        assert_eq!((library.transmit)(port, 0, null_mut(), sent.as_ptr(), 100), 100);
        let mut back = [Packet::default(); 256];
        let arrived = (library.receive)(port, 0, null_mut(), back.as_mut_ptr(), 256);
        assert_eq!((arrived.packets, arrived.too_big), (100, 0));
        assert_eq!(back[..100], sent);
        assert_eq!((library.receive)(port, 0, null_mut(), back.as_mut_ptr(), 256).packets, 0);
        // Some are on their way when it ends: those come home, as what was sent does.
        assert_eq!((library.transmit)(port, 0, null_mut(), sent.as_ptr(), 60), 60);
        assert!((library.link)(port).is_up);
        (library.close)(port);
        (library.forget_pool)(pool);
    }
    list.lock().extend(&chunks[60..]);
    let mut free = list.lock().clone();
    free.sort_unstable();
    assert_eq!(free.len(), CHUNKS as usize);
    assert!(free.iter().zip(0..).all(|(position, chunk)| *position == chunk * (STRIDE / 64) as u32), "each once");
}
