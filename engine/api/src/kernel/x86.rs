//! What the AVX2 and the AVX-512 kernels share: how packets get into registers and back.
//!
//! Kernels work in passes over the frame and keep what a pass finds in arrays, which stay in the
//! first-level cache. In a single pass, the chain from a descriptor over its address and its header
//! to its edge is so long that too few rounds fit into the reorder window to hide it.

use core::arch::x86_64::*;
use core::mem::MaybeUninit;

use super::types::ETHER_LEN;
use super::{EthRewrite, FRAME_MAX, ROUND};

/// The packets of a frame.
#[derive(Clone, Copy)]
pub(super) struct Packets {
    base: *mut u8,
    descs: *mut u64,
}

impl Packets {
    /// Fills the padding of `descs` with its first word, so that a round that is not full has a
    /// packet's address in every place.
    ///
    /// # Safety
    ///
    /// The contract of [`super`].
    #[inline(always)]
    pub(super) unsafe fn new(base: *mut u8, descs: *mut u64, n: usize) -> Packets {
        if !n.is_multiple_of(ROUND) {
            // SAFETY: n > 0, so there is a first word; the others are padding.
            unsafe { descs.add(n).cast::<[u64; ROUND]>().write_unaligned([*descs; ROUND]) };
        }
        Packets { base, descs }
    }

    /// Where the data of packet `i` starts. Volatile, or LLVM joins the two narrow loads, which leave
    /// one shift, and takes the word apart with four instructions, or even in a vector.
    ///
    /// # Safety
    ///
    /// `i` is in a round of the frame.
    #[inline(always)]
    pub(super) unsafe fn start(self, i: usize) -> *mut u8 {
        // SAFETY: both parts are inside the word, and the packet's start inside the region.
        unsafe {
            let desc = self.descs.add(i);
            let position = desc.cast::<u32>().add(1).read_volatile() as usize;
            let offset = desc.cast::<u16>().add(1).read_volatile() as usize;
            self.base.add(position * 64).add(offset)
        }
    }
}

/// One value per packet of a frame, from one pass to the next.
#[repr(align(64))]
pub(super) struct PerPacket<T>(MaybeUninit<[T; FRAME_MAX]>);

impl<T: Copy> PerPacket<T> {
    /// Room for values; none may be read yet.
    #[inline(always)]
    pub(super) const fn new() -> PerPacket<T> {
        PerPacket(MaybeUninit::uninit())
    }

    /// The place of packet `i`'s value; aligned for a vector at the start of its round.
    #[inline(always)]
    pub(super) fn place(&mut self, i: usize) -> *mut T {
        debug_assert!(i < FRAME_MAX);
        self.0.as_mut_ptr().cast::<T>().wrapping_add(i)
    }
}

impl PerPacket<u64> {
    /// All of them, for who knows which have been written.
    #[inline(always)]
    pub(super) fn all(&self) -> *const u64 {
        self.0.as_ptr().cast()
    }
}

/// Entry `i` of an array of exposed addresses.
///
/// # Safety
///
/// It has been written.
#[inline(always)]
pub(super) unsafe fn address(of: *const u64, i: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    let address = unsafe { *of.add(i) };
    std::ptr::with_exposed_provenance_mut(address as usize)
}

/// Where the packets of whole rounds start, as exposed addresses.
///
/// # Safety
///
/// The contract of [`super`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn starts(base: *mut u8, descs: *mut u64, n: usize) -> PerPacket<u64> {
    let mut starts = PerPacket::<u64>::new();
    // SAFETY: the caller's promise; there is room for whole rounds.
    unsafe { starts_into(starts.place(0), base, descs, n) };
    starts
}

/// As [`starts`], into an array for whole rounds, aligned for a vector.
///
/// # Safety
///
/// The contract of [`super`], and there is such an array.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn starts_into(starts: *mut u64, base: *mut u8, descs: *mut u64, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { Packets::new(base, descs, n) };
    let base = _mm256_set1_epi64x(base.expose_provenance() as i64);
    for i in (0..n.next_multiple_of(ROUND)).step_by(4) {
        // SAFETY: both arrays have room for whole rounds.
        unsafe {
            let words = _mm256_loadu_si256(descs.add(i).cast());
            let position = _mm256_srli_epi64::<26>(words);
            let position = _mm256_and_si256(position, _mm256_set1_epi64x(!63));
            let offset = _mm256_srli_epi64::<16>(words);
            let offset = _mm256_and_si256(offset, _mm256_set1_epi64x(0xffff));
            let start = _mm256_add_epi64(base, _mm256_add_epi64(position, offset));
            _mm256_store_si256(starts.add(i).cast(), start);
        }
    }
}

/// The kernel of that name.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn gather_be32(base: *const u8, descs: *mut u64, n: usize, at: usize, out: *mut u32) {
    // SAFETY: the caller keeps the contract.
    let starts = unsafe { starts(base.cast_mut().wrapping_add(at), descs, n) };
    for i in 0..n {
        // SAFETY: the word is inside the packet's window.
        unsafe {
            let word = address(starts.all(), i).cast::<u32>().read_unaligned();
            *out.add(i) = word.swap_bytes();
        }
    }
}

/// Four quadwords from memory.
///
/// # Safety
///
/// Addresses `i` to `i + 3` have been written, and 8 bytes `skip` after each are readable.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn quads4(at: *const u64, i: usize, skip: usize) -> __m256i {
    let pair = |i| {
        // SAFETY: the caller's promise.
        unsafe {
            let low = _mm_loadl_epi64(address(at, i).add(skip).cast());
            let high = address(at, i + 1).add(skip);
            _mm_castpd_si128(_mm_loadh_pd(_mm_castsi128_pd(low), high.cast()))
        }
    };
    _mm256_set_m128i(pair(i + 2), pair(i))
}

/// Where packets that must not change are loaded from and stored to, so that forwarding needs no
/// branch per packet.
#[repr(align(32))]
pub(super) struct Scratch(MaybeUninit<[u8; 32]>);

impl Scratch {
    /// A scratch buffer.
    #[inline(always)]
    pub(super) const fn new() -> Scratch {
        Scratch(MaybeUninit::zeroed())
    }

    /// Its address, exposed.
    #[inline(always)]
    pub(super) fn address(&mut self) -> u64 {
        self.0.as_mut_ptr().expose_provenance() as u64
    }
}

/// What is added to the words of 32 bytes that begin with an Ethernet header, so that the IPv4 header behind it loses one from its TTL and
/// gains one in its checksum. As little-endian words: the TTL is the low byte of word 11, behind it come the protocol and the checksum. A TTL of
/// at least 2 does not borrow.
#[inline]
#[target_feature(enable = "avx2")]
fn ttl_step() -> __m256i {
    _mm256_set_epi16(0, 0, 0, 1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

/// The bytes of an Ethernet header, of 32.
#[inline]
#[target_feature(enable = "avx2")]
fn header_bytes() -> __m256i {
    _mm256_set_epi64x(0, 0, (1 << 48) - 1, !0)
}

/// The last pass of forwarding: of the 32 bytes at each of `frames`, the first 14 become the header
/// of its entry; the IPv4 header behind them loses one from its TTL and gains one in its checksum.
/// Then packets whose bit is set in `carries` gain one more: see `checksum_after_ttl_step`.
///
/// # Safety
///
/// `n` addresses of each kind have been written, and `carries` names some of these packets. Entries are readable [`EthRewrite`]s, and
/// frames are 32 bytes that the caller alone uses.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn rewrite(frames: *const u64, entries: *const u64, n: usize, carries: &[u64]) {
    const { assert!(size_of::<EthRewrite>() == 32) };
    for i in 0..n {
        // SAFETY: the caller's promise; entries are aligned to their size.
        unsafe {
            let header = _mm256_load_si256(address(entries, i).cast());
            let frame = address(frames, i).cast();
            let packet = _mm256_add_epi16(_mm256_loadu_si256(frame), ttl_step());
            _mm256_storeu_si256(frame, _mm256_blendv_epi8(packet, header, header_bytes()));
        }
    }
    // SAFETY: the caller's promise.
    unsafe { carry(frames, carries) };
}

/// As [`rewrite`], by one entry for all.
///
/// # Safety
///
/// As for [`rewrite`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn rewrite_alike(frames: *const u64, entry: &EthRewrite, n: usize, carries: &[u64]) {
    // SAFETY: an entry is as long, and aligned.
    let header = unsafe { _mm256_load_si256(std::ptr::from_ref(entry).cast()) };
    let change = _mm256_blendv_epi8(ttl_step(), header, header_bytes());
    for i in 0..n {
        // SAFETY: the caller's promise. Added to no header, the change is the header.
        unsafe {
            let frame = address(frames, i).cast();
            let packet = _mm256_andnot_si256(header_bytes(), _mm256_loadu_si256(frame));
            _mm256_storeu_si256(frame, _mm256_add_epi16(packet, change));
        }
    }
    // SAFETY: the caller's promise.
    unsafe { carry(frames, carries) };
}

/// Packets whose checksum becomes one more than a step makes it.
///
/// # Safety
///
/// As for [`rewrite`].
#[inline]
unsafe fn carry(frames: *const u64, carries: &[u64]) {
    for (group, carries) in carries.iter().enumerate() {
        let mut carries = *carries;
        while carries != 0 {
            let i = group * 64 + carries.trailing_zeros() as usize;
            // SAFETY: the checksum is inside the frame.
            unsafe {
                let sum = address(frames, i).add(ETHER_LEN + 10).cast::<u16>();
                sum.write_unaligned(sum.read_unaligned().wrapping_add(1));
            }
            carries &= carries - 1;
        }
    }
}
