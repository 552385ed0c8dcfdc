//! What Swath and its DPDK driver say to each other.
//!
//! The driver is a library of its own, `libswath_dpdk.so`, which is linked to DPDK and opened when a graph first asks for it: so one `swath` runs with
//! and without DPDK. Between both there is nothing but C: the structures below, and one symbol, [`SYMBOL`], of type [`Entry`].

#![forbid(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};

/// The name of the function that the library exports.
pub const SYMBOL: &CStr = c"swath_dpdk_library";
/// What [`Library::magic`] is.
pub const MAGIC: u64 = u64::from_le_bytes(*b"swathdpk");
/// What [`Library::abi`] is. Another number is another interface.
pub const ABI: u32 = 2;

/// Bytes of a [`Message`].
pub const MESSAGE: usize = 1024;
/// The most packets of a call.
pub const BURST: usize = 256;
/// The most [figures](Figure) of a device.
pub const FIGURES: usize = 256;

/// The function that the library exports.
pub type Entry = unsafe extern "C" fn() -> *const Library;

/// Text that the library writes for its caller, most often about what went wrong.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Message {
    /// UTF-8, as far as `length` goes.
    pub bytes: [u8; MESSAGE],
    /// Bytes that are text.
    pub length: u32,
}

impl Default for Message {
    fn default() -> Message {
        Message { bytes: [0; MESSAGE], length: 0 }
    }
}

impl Message {
    /// Replaces the text; what does not fit is cut off.
    pub fn set(&mut self, text: &str) {
        let mut length = text.len().min(MESSAGE);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        self.bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.length = length as u32;
    }

    /// The text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes.get(..self.length as usize).unwrap_or(&self.bytes)).into_owned()
    }
}

/// What starts DPDK's environment abstraction layer (EAL), once in a process.
#[derive(Debug)]
#[repr(C)]
pub struct Start {
    /// The arguments behind the name of the program, each of which ends with a zero.
    pub arguments: *const *const c_char,
    /// How many there are.
    pub count: u32,
    /// Takes a line that DPDK has logged, at any time and from any thread.
    pub log: unsafe extern "C" fn(line: *const u8, length: usize),
}

/// A pool, whose chunks DPDK is to use as `rte_mbuf`s.
#[derive(Debug)]
#[repr(C)]
pub struct PoolRequest {
    /// The first byte of the region.
    pub base: *mut u8,
    /// Bytes of the region, which is mapped as a whole.
    pub bytes: usize,
    /// Chunks in it.
    pub chunks: u32,
    /// Bytes from a chunk to the next.
    pub stride: u32,
    /// Bytes at the start of each chunk that are never packet data: 64 for the mempool, 128 for the `rte_mbuf`, and the pool's own.
    pub head: u32,
    /// Bytes left free before a packet that is received.
    pub headroom: u32,
    /// Bytes of a page of the region.
    pub page: usize,
    /// What the functions below are called with.
    pub pool: *mut c_void,
    /// Takes `count` free chunks, or none: their positions, in units of 64 bytes. `call` is what the thread has passed to
    /// [`Library::receive`] or [`Library::transmit`], or null outside of both.
    pub take: unsafe extern "C" fn(pool: *mut c_void, call: *mut c_void, positions: *mut u32, count: u32) -> bool,
    /// Gives chunks back.
    pub give: unsafe extern "C" fn(pool: *mut c_void, call: *mut c_void, positions: *const u32, count: u32),
}

/// A device, to be opened as a port.
#[derive(Debug)]
#[repr(C)]
pub struct PortRequest {
    /// A pool that was [entered](Library::pool).
    pub pool: *mut c_void,
    /// What `rte_dev_probe` takes: a PCI address, or a virtual device with its arguments. Ends with a zero.
    pub device: *const c_char,
    /// Receive queues that are wanted: the device may have fewer.
    pub receive_queues: u16,
    /// Transmit queues that are wanted: the device may have fewer, which are shared then.
    pub transmit_queues: u16,
    /// Descriptors of each receive queue; 0 for what the device likes.
    pub receive_descriptors: u16,
    /// Descriptors of each transmit queue; 0 for what the device likes.
    pub transmit_descriptors: u16,
    /// The MTU in bytes; 0 for the device's own.
    pub mtu: u16,
    /// Whether packets for others are received.
    pub promiscuous: bool,
    /// Whether it is open although it cannot be started now, because the other end is not there: [`Library::revive`] tries again.
    pub revives: bool,
}

/// A port that was opened.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Opened {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its MTU in bytes.
    pub mtu: u16,
    /// Receive queues that there are, at least one.
    pub receive_queues: u16,
    /// Transmit queues that there are, at least one; a number beyond it shares one of them.
    pub transmit_queues: u16,
    /// The driver within DPDK, such as `net_ixgbe`.
    pub driver: [u8; 32],
}

/// How a link stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Link {
    /// Whether packets can come and go.
    pub is_up: bool,
    /// Mbit/s, or 0 if nobody knows.
    pub speed: u32,
    /// Whether the device was taken away.
    pub is_gone: bool,
}

/// What a device has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counts {
    /// Packets for which the device had no descriptor.
    pub missed: u64,
    /// Packets that were not received for an error.
    pub receive_errors: u64,
    /// Packets for which there was no chunk.
    pub no_buffer: u64,
    /// Packets that were not sent though the driver had taken them.
    pub transmit_errors: u64,
}

/// What a device has counted under a name of its driver: DPDK's extended statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Figure {
    /// The name, which ends with a zero.
    pub name: [u8; 64],
    /// The value.
    pub value: u64,
}

/// A packet: its chunk and where it lies in it. In this order it is a descriptor of Swath in memory, and one becomes the other by being copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    /// Bytes of the packet.
    pub length: u16,
    /// Bytes from the start of the chunk.
    pub offset: u16,
    /// The chunk, in units of 64 bytes from the start of the region.
    pub position: u32,
}

/// What a call of [`Library::receive`] has brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Arrived {
    /// Packets.
    pub packets: u16,
    /// Packets that were dropped because they are in several pieces, or none that can be used.
    pub too_big: u16,
}

/// What the library can do. Pointers to pools and ports are those that it has returned. All of it may be called by any thread; a queue by one at
/// a time.
#[derive(Debug)]
#[repr(C)]
pub struct Library {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI`].
    pub abi: u32,
    /// Bytes of this structure.
    pub size: u32,
    /// The version of DPDK, such as `DPDK 22.11.11`. Ends with a zero.
    pub version: unsafe extern "C" fn() -> *const c_char,
    /// Starts the environment. 0, or -1 and a message. To be called once.
    pub start: unsafe extern "C" fn(start: *const Start, message: *mut Message) -> i32,
    /// Has DPDK know a pool. Null and a message if it cannot be.
    pub pool: unsafe extern "C" fn(request: *const PoolRequest, message: *mut Message) -> *mut c_void,
    /// Has DPDK forget a pool, all ports of which are closed. All chunks are given back.
    pub forget_pool: unsafe extern "C" fn(pool: *mut c_void),
    /// Opens a device, and starts it. Null and a message if it cannot be.
    pub open: unsafe extern "C" fn(request: *const PortRequest, opened: *mut Opened, message: *mut Message) -> *mut c_void,
    /// Stops and closes a port; the device is DPDK's no more.
    pub close: unsafe extern "C" fn(port: *mut c_void),
    /// Receives at most `count` packets, 256 at most.
    pub receive:
        unsafe extern "C" fn(port: *mut c_void, queue: u16, call: *mut c_void, packets: *mut Packet, count: u16) -> Arrived,
    /// Sends packets, 256 at most, in their order. Returns how many the device has taken.
    pub transmit: unsafe extern "C" fn(port: *mut c_void, queue: u16, call: *mut c_void, packets: *const Packet, count: u16) -> u16,
    /// Tries to start a port again that [revives](PortRequest::revives) and is down.
    pub revive: unsafe extern "C" fn(port: *mut c_void),
    /// How the link stands.
    pub link: unsafe extern "C" fn(port: *mut c_void) -> Link,
    /// What the device has counted.
    pub counts: unsafe extern "C" fn(port: *mut c_void) -> Counts,
    /// Writes the first figures of a device, [`FIGURES`] at most, and returns how many.
    pub figures: unsafe extern "C" fn(port: *mut c_void, figures: *mut Figure) -> u32,
}
