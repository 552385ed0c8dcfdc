//! Frame-wide kernels: what a node does to all packets of its frame at once.
//!
//! Each kernel exists as a scalar function (the definition), for AVX2 and for AVX-512.
//! All three give the same bytes for every input that the contract below allows; the tests hold the
//! vector ones against the scalar one. [`kernels`] picks a set once, from the processor's features,
//! so nothing here depends on the target features that the crate is built with.
//!
//! # Contract
//!
//! This holds for every function pointer of [`Kernels`]; a caller that keeps it is sound.
//!
//! - **Frame.** `n <= 256`. `descs`, `lanes`, `next`, `words` and `out` are arrays of `n` elements,
//!   each followed by padding of at least 32 `u16`, 16 `u32` or 16 `u64` in the same allocation,
//!   initialised and not shared with anyone. Kernels read and overwrite padding; it holds junk.
//!   Different arrays do not overlap each other or the region.
//! - **Words.** A descriptor is `position << 32 | offset << 16 | length`; the packet's data starts at
//!   `base + position * 64 + offset`. A lane is the little-endian word of
//!   `#[repr(C)] struct { adj: u32, tx: u16, rx: u16 }`. No two descriptors name the same chunk.
//! - **Region.** `base` points to the packet region, which is initialised memory. For every
//!   descriptor, `offset >= HEAD_MIN`, `offset + length <= 65535`, and the bytes from the chunk's
//!   start to the packet's end, and to [`WINDOW`] bytes after its start, lie inside its chunk.
//!   The caller alone uses these chunks during the call; `ip4_forward` also writes to them.
//! - **Result.** `next[i]` is the edge of packet `i`. Kernels that move the start of a packet keep
//!   the region's invariants.
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bits;
mod cpu;
#[cfg(target_arch = "x86_64")]
mod ip4;
#[cfg(target_arch = "x86_64")]
mod ip4_forward;
#[cfg(target_arch = "x86_64")]
mod ip4_route;
mod route;
mod scalar;
mod select;
mod types;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

pub use bits::{chosen8, nonzero4, rank8, within8};
pub use cpu::{prefetch, prefetch_at, prefetch_slice, tsc};
pub use route::{Arrival, ROUTE_MAX, Routing};
pub use select::{Selection, all_supported, kernels, selection};
pub use types::{ETHER_TYPES_MAX, EthCheck, EthRewrite, ForwardIds, Ip4Class};

const _: () = assert!(cfg!(target_endian = "little"), "descriptors and lanes are little-endian words");

/// The bytes at the start of a chunk that are never packet data.
pub const HEAD_MIN: usize = 256;

/// The bytes from a packet's start that may be read whatever its length.
pub const WINDOW: usize = 128;

/// Most packets in a frame.
pub const FRAME_MAX: usize = 256;

/// Packets per round of a vector kernel at most; arrays of packets have as many words of padding.
const ROUND: usize = 16;

/// One bit per packet of a frame.
pub type Mask = [u64; FRAME_MAX / 64];

/// The lowest `n` bits; all of them from 64 on.
#[inline(always)]
pub(crate) fn low_bits(n: usize) -> u64 {
    if n < 64 { (1 << n) - 1 } else { !0 }
}

/// One implementation of every kernel. See the [module](self) for the contract of the pointers.
#[derive(Debug)]
pub struct Kernels {
    /// `scalar`, `avx2` or `avx512`.
    pub name: &'static str,

    /// `(next, n, id)`: the packets whose edge is `id`; bits from `n` on are clear.
    pub match_mask: unsafe fn(*const u16, usize, u16) -> Mask,

    /// `(words, n, keep)`: moves the words whose bit is set to the front, in order, and returns how
    /// many there are. Words before the first one dropped are not touched.
    pub compress: unsafe fn(*mut u64, usize, &Mask) -> usize,

    /// `(base, descs, next, n, check)`: sorts Ethernet frames by destination and type, and advances
    /// those of a known type past the header. See [`EthCheck`].
    pub eth_check: unsafe fn(*const u8, *mut u64, *mut u16, usize, &EthCheck),

    /// `(base, descs, next, n, ids)`: the checks of RFC 1812, 5.2.2, without the TTL, and that of the
    /// source, 5.3.7. The edge is `ids[class as usize]`. Packets of class [`Ip4Class::Ok`],
    /// [`Ip4Class::Options`] and [`Ip4Class::BadSource`] are trimmed to their total length, which
    /// removes Ethernet's padding.
    pub ip4_check: unsafe fn(*const u8, *mut u64, *mut u16, usize, &[u16; 8]),

    /// `(base, descs, n, at, out)`: the big-endian word at byte `at` of each packet, in native
    /// order. `at + 4 <= WINDOW`.
    pub gather_be32: unsafe fn(*const u8, *mut u64, usize, usize, *mut u32),

    /// `(base, descs, lanes, next, n, rewrites, count, ids)`: for each packet the last steps of
    /// forwarding (RFC 1812, 5.2.1 and 5.3.1) by the entry of `rewrites[..count]` that its lane's
    /// `adj` names. The first of these that applies decides; only `ok` changes the packet, its
    /// descriptor and its lane:
    ///
    /// 1. `bad`: shorter than an IPv4 header, or `adj >= count`;
    /// 2. `ttl_expired`: a TTL of 0 or 1;
    /// 3. `too_big`: longer than the entry's `mtu`;
    /// 4. `unresolved`: the entry's `ready` is 0;
    /// 5. `bad`: `offset < HEAD_MIN + 14`, no room for the header;
    /// 6. `ok`: TTL and checksum updated, the entry's 14 header bytes put in front, and `tx` of the
    ///    lane set to the entry's.
    ///
    /// No byte outside the new header, the TTL and the checksum changes.
    #[allow(clippy::type_complexity, reason = "naming it would only move the list")]
    pub ip4_forward: unsafe fn(*mut u8, *mut u64, *mut u64, *mut u16, usize, *const EthRewrite, usize, &ForwardIds),

    /// `(base, descs, n, arrival, routing)`, with `n <= ROUTE_MAX`: which frames are to this station exactly and carry a good IPv4 packet
    /// without options, from a source that can be a host's; a bit each. What later steps want of them is in `routing`. Nothing changes.
    pub arrive: unsafe fn(*mut u8, *mut u64, usize, &Arrival, &mut Routing) -> u64,

    /// `(base, descs, n, routing)`, with `n <= ROUTE_MAX`: as `arrive`, of packets that begin with the IPv4 header, which was checked. Those are in
    /// the mask that have one, and room for an Ethernet header in front.
    pub read: unsafe fn(*mut u8, *mut u64, usize, &mut Routing) -> u64,

    /// `(descs, lanes, n, rewrites, count, routing)`, of the packets that `routing` was filled of by `arrive` or `read`, which have not changed
    /// since, and whose leaves have been found. Those that are in that mask, whose leaf has the meaning 0 and names one of
    /// `rewrites[..count]` that is ready and whose `mtu` is no less than they are long, and whose TTL is at least 2, become what `ip4_forward`
    /// makes of them, with the leaf's adjacency in their lane. They are the mask returned; the others do not change.
    pub depart: unsafe fn(*mut u64, *mut u64, usize, *const EthRewrite, usize, &mut Routing) -> u64,
}
