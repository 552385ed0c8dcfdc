//! The kernels for AVX2: those of AVX-512 with half the width, and vectors for masks.

use core::arch::x86_64::*;

use super::ip4::ip4_check;
use super::ip4_forward::{forward_by_one, only_adjacency};
use super::ip4_route::{arrive, depart, read_ip4};
use super::types::{ETHER_LEN, ETHER_STEP, FORWARD_OFFSET_MIN, IP4_LEN, MAC_MASK};
use super::x86::{Packets, PerPacket, Scratch, gather_be32, quads4, rewrite, starts};
use super::{EthCheck, EthRewrite, ForwardIds, Kernels, Mask, low_bits};

pub(super) static KERNELS: Kernels =
    Kernels { name: "avx2", match_mask, compress, eth_check, ip4_check, gather_be32, ip4_forward, arrive, read: read_ip4, depart };

/// Whether the processor has what the kernels use, and the system saves the registers.
pub(super) fn supported() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}

#[target_feature(enable = "avx2")]
unsafe fn match_mask(next: *const u16, n: usize, id: u16) -> Mask {
    let id = _mm256_set1_epi16(id as i16);
    let mut mask = [0; 4];
    for i in (0..n).step_by(32) {
        // SAFETY: the load starts before the array's end and reads at most 31 elements of padding.
        let hits = unsafe {
            let low = _mm256_cmpeq_epi16(_mm256_loadu_si256(next.add(i).cast()), id);
            let high = _mm256_cmpeq_epi16(_mm256_loadu_si256(next.add(i + 16).cast()), id);
            let bytes = _mm256_packs_epi16(low, high);
            _mm256_movemask_epi8(_mm256_permute4x64_epi64::<0b11_01_10_00>(bytes)) as u32
        };
        mask[i / 64] |= (u64::from(hits) & low_bits(n - i)) << (i % 64);
    }
    mask
}

/// Stores overlap as in the AVX-512 kernel.
#[target_feature(enable = "avx2,popcnt")]
unsafe fn compress(words: *mut u64, n: usize, keep: &Mask) -> usize {
    let full = keep.iter().take_while(|word| **word == !0).count();
    let Some(word) = keep.get(full) else {
        return n;
    };
    let dropped = full * 64 + word.trailing_ones() as usize;
    if dropped >= n {
        return n;
    }
    let mut kept = dropped & !3;
    let mut i = kept;
    while i < n {
        let mut bits = keep[i / 64] >> (i % 64) & low_bits(n - i);
        // To the end of the mask's word.
        let end = n.min((i / 64 + 1) * 64);
        while i < end {
            // SAFETY: the load starts before the array's end and reads at most 3 words of padding;
            // the store starts at or before it.
            unsafe {
                let group = _mm256_loadu_si256(words.add(i).cast());
                let order = _mm256_load_si256(PACKED[bits as usize & 15].0.as_ptr().cast());
                let packed = _mm256_permutevar8x32_epi32(group, order);
                _mm256_storeu_si256(words.add(kept).cast(), packed);
            }
            kept += (bits & 15).count_ones() as usize;
            bits >>= 4;
            i += 4;
        }
    }
    kept
}

/// The dwords of a vector in a new order.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Order([u32; 8]);

/// For each set of four quadwords the order that brings them to the front.
static PACKED: [Order; 16] = {
    let mut table = [Order([0; 8]); 16];
    let mut bits = 0;
    while bits < 16 {
        let (mut from, mut to) = (0, 0);
        while from < 4 {
            if bits >> from & 1 == 1 {
                table[bits].0[to * 2] = from as u32 * 2;
                table[bits].0[to * 2 + 1] = from as u32 * 2 + 1;
                to += 1;
            }
            from += 1;
        }
        bits += 1;
    }
    table
};

#[target_feature(enable = "avx2")]
unsafe fn eth_check(base: *const u8, descs: *mut u64, next: *mut u16, n: usize, check: &EthCheck) {
    // SAFETY: the caller keeps the contract.
    let packets = unsafe { Packets::new(base.cast_mut(), descs, n) };
    let dwords = |value: u32| _mm256_set1_epi32(value as i32);
    for i in (0..n).step_by(8) {
        // SAFETY: `descs` and `next` have padding for a round, and the packets of a round exist.
        unsafe {
            let (low, high) = (descs.add(i), descs.add(i + 4));
            // Packets 0 1 | 4 5 and 2 3 | 6 7, so that taking dwords from both restores the order.
            let (foreign_a, group_a, rest_a) = eth_pairs(packets, i, check);
            let (foreign_b, group_b, rest_b) = eth_pairs(packets, i + 2, check);
            let foreign = even_dwords(foreign_a, foreign_b);
            let group = even_dwords(group_a, group_b);
            let types = _mm256_and_si256(odd_dwords(rest_a, rest_b), dwords(0xffff));

            let words = [_mm256_loadu_si256(low.cast()), _mm256_loadu_si256(high.cast())];
            let offset_length = in_order(even_dwords(words[0], words[1]));
            let length = _mm256_and_si256(offset_length, dwords(0xffff));
            let offset = _mm256_srli_epi32::<16>(offset_length);
            let short = _mm256_cmpgt_epi32(dwords(ETHER_LEN as u32), length);
            let deep = _mm256_cmpgt_epi32(offset, dwords(u32::from(check.max_offset)));

            let (mut edges, mut known) = (dwords(u32::from(check.other)), _mm256_setzero_si256());
            for &(ether_type, edge) in check.types().iter().rev() {
                let is = _mm256_cmpeq_epi32(types, dwords(u32::from(ether_type)));
                edges = _mm256_blendv_epi8(edges, dwords(u32::from(edge)), is);
                known = _mm256_or_si256(known, is);
            }
            let of_group = _mm256_cmpeq_epi32(types, dwords(u32::from(check.group.0)));
            edges = _mm256_blendv_epi8(edges, dwords(u32::from(check.group.1)), _mm256_and_si256(of_group, group));
            edges = _mm256_blendv_epi8(edges, dwords(u32::from(check.other)), deep);
            edges = _mm256_blendv_epi8(edges, dwords(u32::from(check.not_ours)), foreign);
            edges = _mm256_blendv_epi8(edges, dwords(u32::from(check.too_short)), short);
            store_edges(next.add(i), edges);

            let stays = _mm256_or_si256(_mm256_or_si256(deep, foreign), short);
            let step = _mm256_and_si256(_mm256_andnot_si256(stays, known), dwords(ETHER_STEP as u32));
            let step_low = _mm256_cvtepu32_epi64(_mm256_castsi256_si128(step));
            let step_high = _mm256_cvtepu32_epi64(_mm256_extracti128_si256::<1>(step));
            _mm256_storeu_si256(low.cast(), _mm256_add_epi64(words[0], step_low));
            _mm256_storeu_si256(high.cast(), _mm256_add_epi64(words[1], step_high));
        }
    }
}

/// Of packets `i`, `i + 1`, `i + 4` and `i + 5`: which are for another station, which for a group, and bytes 8 to 15.
///
/// # Safety
///
/// These packets exist.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn eth_pairs(packets: Packets, i: usize, check: &EthCheck) -> (__m256i, __m256i, __m256i) {
    // SAFETY: 16 bytes of every packet are inside its window.
    let (even, odd) = unsafe {
        let load = |k| _mm_loadu_si128(packets.start(i + k).cast());
        (_mm256_set_m128i(load(4), load(0)), _mm256_set_m128i(load(5), load(1)))
    };
    let destinations = _mm256_unpacklo_epi64(even, odd);
    let rest = _mm256_unpackhi_epi64(even, odd);
    let mac_mask = _mm256_set1_epi64x(MAC_MASK as i64);
    let same = _mm256_cmpeq_epi64(_mm256_and_si256(destinations, mac_mask), _mm256_set1_epi64x(check.mac as i64));
    let group_bit = _mm256_set1_epi64x(1);
    let group = _mm256_cmpeq_epi64(_mm256_and_si256(destinations, group_bit), group_bit);
    (_mm256_andnot_si256(_mm256_or_si256(same, group), _mm256_set1_epi64x(-1)), group, rest)
}

/// The even dwords of two vectors, those of `a` before those of `b` in each half.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn even_dwords(a: __m256i, b: __m256i) -> __m256i {
    let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
    _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(a, b))
}

/// The odd dwords of two vectors, likewise.
#[inline]
#[target_feature(enable = "avx2")]
fn odd_dwords(a: __m256i, b: __m256i) -> __m256i {
    let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
    _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(a, b))
}

/// All that came from the first vector before all that came from the second.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn in_order(halves: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(halves)
}

/// Stores eight edges that are dwords.
///
/// # Safety
///
/// 8 elements at `next` are writable.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn store_edges(next: *mut u16, edges: __m256i) {
    let edges = in_order(_mm256_packus_epi32(edges, edges));
    // SAFETY: the caller's promise.
    unsafe { _mm_storeu_si128(next.cast(), _mm256_castsi256_si128(edges)) };
}

#[allow(clippy::too_many_arguments, reason = "the signature of the kernel")]
#[target_feature(enable = "avx2")]
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
    // Every value compared below is less than 2^63, so signed comparisons do.
    let quads = |value: u64| _mm256_set1_epi64x(value as i64);
    let edge = |id: u16| quads(u64::from(id));
    let zero = _mm256_setzero_si256();
    let count = quads(count as u64);
    let mut scratch = Scratch::new();
    let scratch = quads(scratch.address());
    let first_entry = quads(rewrites.expose_provenance() as u64);

    // SAFETY: the caller keeps the contract.
    let mut frames = unsafe { starts(base.wrapping_sub(ETHER_LEN), descs, n) };
    let mut entries = PerPacket::<u64>::new();
    for i in (0..n).step_by(4) {
        // SAFETY: `lanes` has padding for a round.
        unsafe {
            let adj = _mm256_loadu_si256(lanes.add(i).cast());
            let adj = _mm256_and_si256(adj, quads(0xffff_ffff));
            let adj = _mm256_and_si256(adj, _mm256_cmpgt_epi64(count, adj));
            let entry = _mm256_add_epi64(first_entry, _mm256_slli_epi64::<5>(adj));
            _mm256_store_si256(entries.place(i).cast(), entry);
        }
    }
    let mut carries = [0; 4];
    for i in (0..n).step_by(4) {
        // SAFETY: the arrays have padding for a round. The bytes around the start of every packet
        // are in its chunk, and every entry is one of `rewrites[..count]`.
        let (words, lane, frame, heads, entry) = unsafe {
            (
                _mm256_loadu_si256(descs.add(i).cast()),
                _mm256_loadu_si256(lanes.add(i).cast()),
                _mm256_load_si256(frames.place(i).cast()),
                // TTL, protocol, checksum and source.
                quads4(frames.all(), i, ETHER_LEN + 8),
                // MTU, interface, readiness.
                quads4(entries.all(), i, ETHER_LEN),
            )
        };
        let adj = _mm256_and_si256(lane, quads(0xffff_ffff));
        let known = _mm256_cmpgt_epi64(count, adj);
        let length = _mm256_and_si256(words, quads(0xffff));
        let offset = _mm256_and_si256(words, quads(0xffff_0000));
        let whole = _mm256_cmpgt_epi64(length, quads(IP4_LEN as u64 - 1));
        let absent = _mm256_andnot_si256(_mm256_and_si256(whole, known), quads(!0));
        let expired = _mm256_cmpeq_epi64(_mm256_and_si256(heads, quads(0xfe)), zero);
        let big = _mm256_cmpgt_epi64(length, _mm256_and_si256(entry, quads(0xffff)));
        let unready = _mm256_cmpeq_epi64(_mm256_and_si256(entry, quads(0xffff << 32)), zero);
        let tight = _mm256_cmpgt_epi64(quads(FORWARD_OFFSET_MIN << 16), offset);

        let mut edges = edge(ids.ok);
        let mut stays = _mm256_cmpgt_epi64(_mm256_set_epi64x(4, 3, 2, 1), quads((n - i) as u64));
        // From the last check to the first, so that the first to fail decides.
        for (failed, id) in
            [(tight, ids.bad), (unready, ids.unresolved), (big, ids.too_big), (expired, ids.ttl_expired), (absent, ids.bad)]
        {
            edges = _mm256_blendv_epi8(edges, edge(id), failed);
            stays = _mm256_or_si256(stays, failed);
        }
        let carry = _mm256_and_si256(heads, quads(0xfffe_0000));
        let carry = _mm256_cmpeq_epi64(carry, quads(0xfffe_0000));
        let carry = _mm256_castsi256_pd(_mm256_andnot_si256(stays, carry));
        carries[i / 64] |= (_mm256_movemask_pd(carry) as u64) << (i % 64);
        // SAFETY: the arrays have padding for a round.
        unsafe {
            let frame = _mm256_blendv_epi8(frame, scratch, stays);
            _mm256_store_si256(frames.place(i).cast(), frame);
            let low = _mm256_castsi256_si128(edges);
            let edges = _mm_packus_epi32(low, _mm256_extracti128_si256::<1>(edges));
            _mm_storel_epi64(next.add(i).cast(), _mm_packus_epi32(edges, edges));
            let step = _mm256_andnot_si256(stays, quads(ETHER_STEP));
            _mm256_storeu_si256(descs.add(i).cast(), _mm256_sub_epi64(words, step));
            let moved = _mm256_blend_epi16::<0b0100_0100>(lane, _mm256_slli_epi64::<16>(entry));
            let lane = _mm256_blendv_epi8(moved, lane, stays);
            _mm256_storeu_si256(lanes.add(i).cast(), lane);
        }
    }
    // SAFETY: a packet that does not stay has 14 bytes of its chunk in front and at least 20 of its
    // own; the others, and what is past the frame's end, have the address of scratch.
    unsafe { rewrite(frames.all(), entries.all(), n, &carries) };
}
