//! The kernels for AVX-512 (F, BW, DQ, VL).
//!
//! Packets are taken in rounds of 8 or 16. The descriptors past the frame's end are made copies of
//! the first one, so that every round is full and every address is a packet's. What a packet is, is
//! decided in masks, without a branch, so an exception costs its neighbours nothing. On processors
//! that do 512 bits in two steps, masks are what these kernels gain over AVX2; `ip4_check` would
//! gain nothing.

use core::arch::x86_64::*;

use super::ip4::ip4_check;
use super::ip4_forward::{forward_by_one, only_adjacency};
use super::ip4_route::{arrive, depart, read_ip4};
use super::types::{ETHER_LEN, ETHER_STEP, FORWARD_OFFSET_MIN, IP4_LEN, MAC_MASK};
use super::x86::{PerPacket, Scratch, address, gather_be32, quads4, rewrite, starts};
use super::{EthCheck, EthRewrite, ForwardIds, Kernels, Mask, low_bits};

pub(super) static KERNELS: Kernels = Kernels {
    name: "avx512",
    match_mask,
    compress,
    eth_check,
    ip4_check,
    gather_be32,
    ip4_forward,
    arrive,
    read: read_ip4,
    depart,
};

/// Whether the processor has what the kernels use, and the system saves the registers.
pub(super) fn supported() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("popcnt")
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn match_mask(next: *const u16, n: usize, id: u16) -> Mask {
    let id = _mm512_set1_epi16(id as i16);
    let mut mask = [0; 4];
    for (word, first) in mask.iter_mut().zip((0..n).step_by(64)) {
        // SAFETY: each load that is made starts before the array's end and reads at most 31
        // elements of padding.
        unsafe {
            let from = next.add(first);
            let low = _mm512_cmpeq_epi16_mask(_mm512_loadu_si512(from.cast()), id);
            *word = u64::from(low);
            if n - first > 32 {
                let high = _mm512_cmpeq_epi16_mask(_mm512_loadu_si512(from.add(32).cast()), id);
                *word |= u64::from(high) << 32;
            }
        }
        *word &= low_bits(n - first);
    }
    mask
}

/// Compresses in a register and stores all of it: Zen 4 compresses to memory in microcode, ten times
/// slower. A store at `kept <= i` ends before the next load starts, and what it writes past the kept
/// words is overwritten by the next store or lies behind the result.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,popcnt")]
unsafe fn compress(words: *mut u64, n: usize, keep: &Mask) -> usize {
    let full = keep.iter().take_while(|word| **word == !0).count();
    let Some(word) = keep.get(full) else {
        return n;
    };
    let dropped = full * 64 + word.trailing_ones() as usize;
    if dropped >= n {
        return n;
    }
    let mut kept = dropped & !7;
    let mut i = kept;
    while i < n {
        let mut bits = keep[i / 64] >> (i % 64) & low_bits(n - i);
        // To the end of the mask's word.
        let end = n.min((i / 64 + 1) * 64);
        while i < end {
            // SAFETY: the load starts before the array's end and reads at most 7 words of padding;
            // the store starts at or before it.
            unsafe {
                let group = _mm512_loadu_si512(words.add(i).cast());
                let packed = _mm512_maskz_compress_epi64(bits as u8, group);
                _mm512_storeu_si512(words.add(kept).cast(), packed);
            }
            kept += (bits as u8).count_ones() as usize;
            bits >>= 8;
            i += 8;
        }
    }
    kept
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn eth_check(base: *const u8, descs: *mut u64, next: *mut u16, n: usize, check: &EthCheck) {
    // SAFETY: the caller keeps the contract.
    let starts = unsafe { starts(base.cast_mut(), descs, n) };
    let all = |value: u16| _mm256_set1_epi16(value as i16);
    let (other, not_ours, too_short) = (all(check.other), all(check.not_ours), all(check.too_short));
    let max_offset = _mm512_set1_epi32((u32::from(check.max_offset) << 16 | 0xffff) as i32);
    let step = _mm512_set1_epi64(ETHER_STEP as i64);
    for i in (0..n).step_by(16) {
        // SAFETY: `descs` and `next` have padding for a round, and the packets of a round exist.
        unsafe {
            let (low, high) = (descs.add(i), descs.add(i + 8));
            let (low_rest, low_foreign, low_group) = eth_heads8(&starts, i, check.mac);
            let (high_rest, high_foreign, high_group) = eth_heads8(&starts, i + 8, check.mac);
            let ether_types = _mm512_permutex2var_epi16(low_rest, TYPE_WORDS.vector(), high_rest);
            let ether_types = _mm512_castsi512_si256(ether_types);
            let (mut edges, mut known) = (other, 0);
            for &(ether_type, edge) in check.types().iter().rev() {
                let is = _mm256_cmpeq_epi16_mask(ether_types, all(ether_type));
                edges = _mm256_mask_mov_epi16(edges, is, all(edge));
                known |= is;
            }
            let words = [_mm512_loadu_si512(low.cast()), _mm512_loadu_si512(high.cast())];
            let places = _mm512_permutex2var_epi32(words[0], LENGTH_DWORDS.vector(), words[1]);
            let lengths = _mm512_and_si512(places, _mm512_set1_epi32(0xffff));
            let short = _mm512_cmplt_epu32_mask(lengths, _mm512_set1_epi32(ETHER_LEN as i32));
            let deep = _mm512_cmpgt_epu32_mask(places, max_offset);
            let foreign = u16::from(low_foreign) | u16::from(high_foreign) << 8;
            let group = u16::from(low_group) | u16::from(high_group) << 8;
            let of_group = _mm256_mask_cmpeq_epi16_mask(group, ether_types, all(check.group.0));
            edges = _mm256_mask_mov_epi16(edges, of_group, all(check.group.1));
            edges = _mm256_mask_mov_epi16(edges, deep, other);
            edges = _mm256_mask_mov_epi16(edges, foreign, not_ours);
            edges = _mm256_mask_mov_epi16(edges, short, too_short);
            _mm256_storeu_si256(next.add(i).cast(), edges);

            let advanced = known & !(deep | foreign | short);
            let [low_step, high_step] = [advanced, advanced >> 8].map(|k| _mm512_maskz_mov_epi64(k as u8, step));
            _mm512_storeu_si512(low.cast(), _mm512_add_epi64(words[0], low_step));
            _mm512_storeu_si512(high.cast(), _mm512_add_epi64(words[1], high_step));
        }
    }
}

/// A vector of indices that is computed at compile time.
#[repr(align(64))]
struct Indices([u16; 32]);

impl Indices {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn vector(&self) -> __m512i {
        // SAFETY: the array is 64 bytes, and aligned.
        unsafe { _mm512_load_si512(self.0.as_ptr().cast()) }
    }
}

/// The third word of each quadword of two vectors: bytes 12 and 13 of the frame, its EtherType.
static TYPE_WORDS: Indices = Indices({
    let mut words = [0; 32];
    let mut packet = 0;
    while packet < 16 {
        words[packet] = packet as u16 * 4 + 2;
        packet += 1;
    }
    words
});

/// Of eight packets: bytes 8 to 15 of each, which are for another station, and which for a group.
///
/// # Safety
///
/// Addresses `i` to `i + 7` have been written, and are those of packets.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn eth_heads8(starts: &PerPacket<u64>, i: usize, mac: u64) -> (__m512i, u8, u8) {
    // SAFETY: 16 bytes of every packet are inside its window.
    let (even, odd) = unsafe {
        let load = |k| _mm_loadu_si128(address(starts.all(), i + k).cast());
        let four = |k| {
            let low = _mm256_set_m128i(load(k + 2), load(k));
            let high = _mm256_set_m128i(load(k + 6), load(k + 4));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        };
        (four(0), four(1))
    };
    let destinations = _mm512_unpacklo_epi64(even, odd);
    // (destination ^ mac) & MAC_MASK, then those of them whose group bit is clear.
    let mac = _mm512_set1_epi64(mac as i64);
    let mac_mask = _mm512_set1_epi64(MAC_MASK as i64);
    let differs = _mm512_ternarylogic_epi64::<0x28>(destinations, mac, mac_mask);
    let differs = _mm512_test_epi64_mask(differs, differs);
    let group = _mm512_test_epi64_mask(destinations, _mm512_set1_epi64(1));
    (_mm512_unpackhi_epi64(even, odd), differs & !group, group)
}

/// The lower dword of each quadword of two vectors.
static LENGTH_DWORDS: Indices = Indices({
    let mut words = [0; 32];
    let mut packet = 0;
    while packet < 16 {
        words[packet * 2] = packet as u16 * 2;
        packet += 1;
    }
    words
});

#[allow(clippy::too_many_arguments, reason = "the signature of the kernel")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn ip4_forward(
    base: *mut u8,
    descs: *mut u64,
    lanes: *mut u64,
    next: *mut u16,
    n: usize,
    rewrites: *const EthRewrite,
    count: usize,
    ids: &ForwardIds,
) {
    if count == 0 {
        // SAFETY: `next` has `n` elements.
        unsafe { std::slice::from_raw_parts_mut(next, n) }.fill(ids.bad);
        return;
    }
    // SAFETY: the caller keeps the contract.
    unsafe {
        if let Some(entry) = only_adjacency(lanes, n, rewrites, count) {
            return forward_by_one(base, descs, lanes, next, n, &entry, ids);
        }
    }
    let quads = |value: u64| _mm512_set1_epi64(value as i64);
    let edge = |id: u16| _mm_set1_epi16(id as i16);
    let mut scratch = Scratch::new();
    let scratch = quads(scratch.address());
    let first_entry = quads(rewrites.expose_provenance() as u64);

    // SAFETY: the caller keeps the contract.
    let mut frames = unsafe { starts(base.wrapping_sub(ETHER_LEN), descs, n) };
    let mut entries = PerPacket::<u64>::new();
    for i in (0..n).step_by(8) {
        // SAFETY: `lanes` has padding for a round.
        unsafe {
            let adj = _mm512_loadu_si512(lanes.add(i).cast());
            let adj = _mm512_and_si512(adj, quads(0xffff_ffff));
            let known = _mm512_cmplt_epu64_mask(adj, quads(count as u64));
            let entry = _mm512_slli_epi64::<5>(adj);
            let entry = _mm512_mask_add_epi64(first_entry, known, first_entry, entry);
            _mm512_store_si512(entries.place(i).cast(), entry);
        }
    }
    let mut carries = [0; 4];
    for i in (0..n).step_by(8) {
        // SAFETY: the arrays have padding for a round. The bytes around the start of every packet
        // are in its chunk, and every entry is one of `rewrites[..count]`.
        let (words, lane, frame, heads, entry) = unsafe {
            (
                _mm512_loadu_si512(descs.add(i).cast()),
                _mm512_loadu_si512(lanes.add(i).cast()),
                _mm512_load_si512(frames.place(i).cast()),
                // TTL, protocol, checksum and source.
                quads8(&frames, i, ETHER_LEN + 8),
                // MTU, interface, readiness.
                quads8(&entries, i, ETHER_LEN),
            )
        };
        let adj = _mm512_and_si512(lane, quads(0xffff_ffff));
        let known = _mm512_cmplt_epu64_mask(adj, quads(count as u64));
        let offset = _mm512_and_si512(words, quads(0xffff_0000));
        let length = _mm512_and_si512(words, quads(0xffff));
        let whole = _mm512_cmpge_epu64_mask(length, quads(IP4_LEN as u64));
        let alive = _mm512_test_epi64_mask(heads, quads(0xfe));
        let fits = _mm512_cmple_epu64_mask(length, _mm512_and_si512(entry, quads(0xffff)));
        let ready = _mm512_test_epi64_mask(entry, quads(0xffff << 32));
        let room = _mm512_cmpge_epu64_mask(offset, quads(FORWARD_OFFSET_MIN << 16));
        let present = whole & known;
        let ok = present & alive & fits & ready & room & low_bits(n - i) as u8;

        let mut edges = edge(ids.ok);
        // From the last check to the first, so that the first to fail decides.
        for (passed, id) in
            [(room, ids.bad), (ready, ids.unresolved), (fits, ids.too_big), (alive, ids.ttl_expired), (present, ids.bad)]
        {
            edges = _mm_mask_mov_epi16(edges, !passed, edge(id));
        }
        let carry = _mm512_and_si512(heads, quads(0xfffe_0000));
        let carry = _mm512_mask_cmpeq_epi64_mask(ok, carry, quads(0xfffe_0000));
        carries[i / 64] |= u64::from(carry) << (i % 64);
        // SAFETY: the arrays have padding for a round.
        unsafe {
            let frame = _mm512_mask_mov_epi64(scratch, ok, frame);
            _mm512_store_si512(frames.place(i).cast(), frame);
            _mm_storeu_si128(next.add(i).cast(), edges);
            let step = _mm512_maskz_mov_epi64(ok, quads(ETHER_STEP));
            _mm512_storeu_si512(descs.add(i).cast(), _mm512_sub_epi64(words, step));
            let tx = _mm512_slli_epi64::<16>(entry);
            let lane = _mm512_mask_ternarylogic_epi64::<0xb8>(lane, ok, quads(0xffff << 32), tx);
            _mm512_storeu_si512(lanes.add(i).cast(), lane);
        }
    }
    // SAFETY: a packet that is ok has 14 bytes of its chunk in front and at least 20 of its own; the
    // others, and what is past the frame's end, have the address of scratch.
    unsafe { rewrite(frames.all(), entries.all(), n, &carries) };
}

/// Eight quadwords from memory.
///
/// # Safety
///
/// Addresses `i` to `i + 7` have been written, and 8 bytes `skip` after each are readable.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn quads8(at: &PerPacket<u64>, i: usize, skip: usize) -> __m512i {
    // SAFETY: the caller's promise.
    let (low, high) = unsafe { (quads4(at.all(), i, skip), quads4(at.all(), i + 4, skip)) };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}
