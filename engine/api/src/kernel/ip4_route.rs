//! `arrive`, `read` and `depart` for AVX2 and AVX-512: see [`super::route`], which has them one packet at a time.

use core::arch::x86_64::*;

use super::avx2::{even_dwords, in_order};
use super::ip4::{odd_sources, total_length_bytes};
use super::route::{Arrival, Routing, TYPE_IP4};
use super::types::{ETHER_LEN, ETHER_STEP, FORWARD_OFFSET_MIN, IP4_LEN};
use super::x86::{Scratch, address, quads4, rewrite, rewrite_alike, starts_into};
use super::{EthRewrite, ROUND, low_bits};

/// 32 bytes of each frame are loaded from byte 2 on, so that the upper half begins with the second dword of the IPv4 header, and the lower half
/// ends with its first; and eight frames at a time are transposed.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn arrive(base: *mut u8, descs: *mut u64, n: usize, arrival: &Arrival, routing: &mut Routing) -> u64 {
    const SKIP: usize = 2;
    let dwords = |value: u32| _mm256_set1_epi32(value as i32);
    let rounds = n.next_multiple_of(ROUND);
    let frames = routing.frames.as_ptr();
    // SAFETY: the caller keeps the contract; n <= ROUTE_MAX, which is a number of whole rounds, and the arrays are aligned to a cache line.
    unsafe { starts_into(routing.frames.as_mut_ptr(), base, descs, n) };

    // Which of four packets are for this station.
    let for_us = |i: usize| {
        // SAFETY: the addresses of whole rounds are those of packets, whose windows are readable.
        let stations = _mm256_slli_epi64::<16>(unsafe { quads4(frames, i, 0) });
        _mm256_cmpeq_epi64(stations, _mm256_set1_epi64x((arrival.mac << 16) as i64))
    };
    // Two packets, a and b: dwords a0 b0 a1 b1 | a4 b4 a5 b5 and a2 b2 a3 b3 | a6 b6 a7 b7.
    let two = |i: usize| {
        // SAFETY: as above: SKIP + 32 bytes are inside the window.
        let load = |i| unsafe { _mm256_loadu_si256(address(frames, i).add(SKIP).cast()) };
        let (a, b) = (load(i), load(i + 1));
        (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b))
    };
    // Four packets: their dwords 0 | 4, 1 | 5, 2 | 6 and 3 | 7.
    let four = |i: usize| {
        let ((low, high), (other_low, other_high)) = (two(i), two(i + 2));
        [
            _mm256_unpacklo_epi64(low, other_low),
            _mm256_unpackhi_epi64(low, other_low),
            _mm256_unpacklo_epi64(high, other_high),
            _mm256_unpackhi_epi64(high, other_high),
        ]
    };
    let lower = |a, b| _mm256_permute2x128_si256::<0x20>(a, b);
    let upper = |a, b| _mm256_permute2x128_si256::<0x31>(a, b);
    // The sum of the two words of each dword. `vpmaddwd` takes words as signed: flipping the top bit makes each one 0x8000 too small.
    let halves = |dword| _mm256_madd_epi16(_mm256_xor_si256(dword, _mm256_set1_epi16(i16::MIN)), _mm256_set1_epi16(1));
    let mut plain = 0;
    for i in (0..rounds).step_by(8) {
        let ours = in_order(even_dwords(for_us(i), for_us(i + 4)));
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (four(i), four(i + 4));
        let (types, firsts) = (lower(a2, b2), lower(a3, b3));
        let (seconds, heads) = (upper(a0, b0), upper(a1, b1));
        let (sources, destinations) = (upper(a2, b2), upper(a3, b3));
        let sums = _mm256_add_epi32(_mm256_add_epi32(halves(firsts), halves(seconds)), halves(heads));
        let sums = _mm256_add_epi32(sums, _mm256_add_epi32(halves(sources), halves(destinations)));
        let sums = _mm256_add_epi32(sums, dwords(10 * 0x8000));
        // SAFETY: `descs` has padding for a round.
        let words = unsafe { [_mm256_loadu_si256(descs.add(i).cast()), _mm256_loadu_si256(descs.add(i + 4).cast())] };
        let offset_length = in_order(even_dwords(words[0], words[1]));
        let lengths = _mm256_and_si256(offset_length, dwords(0xffff));
        let offsets = _mm256_srli_epi32::<16>(offset_length);
        let totals = _mm256_shuffle_epi8(firsts, total_length_bytes());
        let whole = _mm256_add_epi32(totals, dwords(ETHER_LEN as u32));

        let ip4 = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(types), dwords(TYPE_IP4.into()));
        let bare = _mm256_cmpeq_epi32(_mm256_and_si256(firsts, dwords(0xff)), dwords(0x45));
        // The sum's halves add up to 0xffff in the upper half.
        let folded = _mm256_add_epi32(sums, _mm256_slli_epi32::<16>(sums));
        let summed = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(folded), dwords(0xffff));
        let cut = _mm256_or_si256(_mm256_cmpgt_epi32(whole, lengths), _mm256_cmpgt_epi32(dwords(IP4_LEN as u32), totals));
        let deep = _mm256_cmpgt_epi32(offsets, dwords(arrival.max_offset.into()));
        let failed = _mm256_or_si256(_mm256_or_si256(cut, deep), odd_sources(sources));
        let ok = _mm256_and_si256(_mm256_and_si256(ip4, bare), _mm256_and_si256(summed, ours));
        let ok = _mm256_andnot_si256(failed, ok);
        plain |= (_mm256_movemask_ps(_mm256_castsi256_ps(ok)) as u64) << i;

        let low = _mm256_blend_epi16::<0b0001_0001>(words[0], _mm256_cvtepu32_epi64(_mm256_castsi256_si128(whole)));
        let high = _mm256_blend_epi16::<0b0001_0001>(words[1], _mm256_cvtepu32_epi64(_mm256_extracti128_si256::<1>(whole)));
        // SAFETY: the arrays have room for whole rounds, and are aligned.
        unsafe {
            store(&mut routing.leaving, i, low);
            store(&mut routing.leaving, i + 4, high);
            store(&mut routing.heads, i, heads);
            store(&mut routing.lengths, i, totals);
            store(&mut routing.destinations, i, _mm256_shuffle_epi8(destinations, swap_bytes()));
        }
    }
    let plain = plain & low_bits(n);
    if plain != low_bits(rounds) {
        routing.keep_back(n, plain);
    }
    plain
}

/// 16 bytes of each header are loaded from the TTL on: TTL, source, destination; and eight packets at a time transposed.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn read_ip4(base: *mut u8, descs: *mut u64, n: usize, routing: &mut Routing) -> u64 {
    let dwords = |value: u32| _mm256_set1_epi32(value as i32);
    let rounds = n.next_multiple_of(ROUND);
    let frames = routing.frames.as_ptr();
    // SAFETY: as in `arrive`.
    unsafe { starts_into(routing.frames.as_mut_ptr(), base.wrapping_sub(ETHER_LEN), descs, n) };
    let mut whole = 0;
    for i in (0..rounds).step_by(8) {
        // Packets i and i + 4.
        let two = |i: usize| {
            // SAFETY: the addresses of whole rounds are 14 bytes before packets, whose windows are readable.
            unsafe {
                let load = |i| _mm_loadu_si128(address(frames, i).add(ETHER_LEN + 8).cast());
                _mm256_set_m128i(load(i + 4), load(i))
            }
        };
        let (a, b, c, d) = (two(i), two(i + 1), two(i + 2), two(i + 3));
        let heads = _mm256_unpacklo_epi64(_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let destinations = _mm256_unpacklo_epi64(_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        // SAFETY: `descs` has padding for a round.
        let words = unsafe { [_mm256_loadu_si256(descs.add(i).cast()), _mm256_loadu_si256(descs.add(i + 4).cast())] };
        let offset_length = in_order(even_dwords(words[0], words[1]));
        let lengths = _mm256_and_si256(offset_length, dwords(0xffff));
        let offsets = _mm256_srli_epi32::<16>(offset_length);
        let cut = _mm256_cmpgt_epi32(dwords(IP4_LEN as u32), lengths);
        let tight = _mm256_cmpgt_epi32(dwords(FORWARD_OFFSET_MIN as u32), offsets);
        let failed = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_or_si256(cut, tight)));
        whole |= (!failed as u64 & 0xff) << i;
        let step = _mm256_set1_epi64x(ETHER_STEP as i64);
        // SAFETY: the arrays have room for whole rounds, and are aligned.
        unsafe {
            store(&mut routing.leaving, i, _mm256_sub_epi64(words[0], step));
            store(&mut routing.leaving, i + 4, _mm256_sub_epi64(words[1], step));
            store(&mut routing.heads, i, heads);
            store(&mut routing.lengths, i, lengths);
            store(&mut routing.destinations, i, _mm256_shuffle_epi8(destinations, swap_bytes()));
        }
    }
    let whole = whole & low_bits(n);
    if whole != low_bits(rounds) {
        routing.keep_back(n, whole);
    }
    whole
}

#[target_feature(enable = "avx2")]
pub(super) unsafe fn depart(
    descs: *mut u64,
    lanes: *mut u64,
    n: usize,
    rewrites: *const EthRewrite,
    count: usize,
    routing: &mut Routing,
) -> u64 {
    if count == 0 {
        return 0;
    }
    let first = _mm256_set1_epi64x(routing.leaves[0] as i64);
    let mut differ = _mm256_setzero_si256();
    for i in (0..n).step_by(4) {
        // SAFETY: the arrays have room for whole rounds, and are aligned.
        differ = _mm256_or_si256(differ, _mm256_xor_si256(first, unsafe { load(&routing.leaves, i) }));
    }
    // Most packets of a vector go one way, and where all do, much need not be asked of each.
    // SAFETY: the caller keeps the contract; the leaves are all alike if none differs from the first.
    unsafe {
        match _mm256_testz_si256(differ, differ) {
            0 => depart_by_any(descs, lanes, n, rewrites, count, routing),
            _ => depart_by_one(descs, lanes, n, rewrites, count, routing),
        }
    }
}

/// As [`depart`], where all leaves are the same.
///
/// # Safety
///
/// The contract of [`super`]; `count` is not 0.
#[target_feature(enable = "avx2")]
unsafe fn depart_by_one(
    descs: *mut u64,
    lanes: *mut u64,
    n: usize,
    rewrites: *const EthRewrite,
    count: usize,
    routing: &mut Routing,
) -> u64 {
    let leaf = routing.leaves[0];
    let adj = leaf as u32 as usize;
    if leaf >> 48 != 0 || adj >= count {
        return 0;
    }
    // SAFETY: adj < count.
    let entry = unsafe { *rewrites.add(adj) };
    if entry.ready == 0 {
        return 0;
    }
    let dwords = |value: u32| _mm256_set1_epi32(value as i32);
    let (mtu, zero) = (dwords(entry.mtu.into()), _mm256_setzero_si256());
    let way = _mm256_set1_epi64x((leaf & 0xffff_ffff | u64::from(entry.tx) << 32) as i64);
    let mut scratch = Scratch::new();
    let scratch = _mm256_set1_epi64x(scratch.address() as i64);
    let (mut stay, mut carries) = (0, 0);
    for i in (0..n).step_by(8) {
        // SAFETY: the arrays have room for whole rounds, and are aligned.
        let (heads, lengths) = unsafe { (load(&routing.heads, i), load(&routing.lengths, i)) };
        let expired = _mm256_cmpeq_epi32(_mm256_and_si256(heads, dwords(0xfe)), zero);
        let stays = _mm256_or_si256(expired, _mm256_cmpgt_epi32(lengths, mtu));
        stay |= u64::from(_mm256_movemask_ps(_mm256_castsi256_ps(stays)) as u32) << i;
        let carry = _mm256_cmpeq_epi32(_mm256_and_si256(heads, dwords(0xfffe_0000)), dwords(0xfffe_0000));
        carries |= u64::from(_mm256_movemask_ps(_mm256_castsi256_ps(carry)) as u32) << i;
        let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(stays));
        let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(stays));
        for (i, stays) in [(i, low), (i + 4, high)] {
            // SAFETY: as above, and `descs` and `lanes` have padding for a round.
            unsafe {
                let word = _mm256_loadu_si256(descs.add(i).cast());
                let lane = _mm256_loadu_si256(lanes.add(i).cast());
                // From the lane the interface that it came by.
                let moved = _mm256_blend_epi16::<0b1000_1000>(way, lane);
                _mm256_storeu_si256(descs.add(i).cast(), _mm256_blendv_epi8(load(&routing.leaving, i), word, stays));
                _mm256_storeu_si256(lanes.add(i).cast(), _mm256_blendv_epi8(moved, lane, stays));
                let frame = _mm256_blendv_epi8(load(&routing.frames, i), scratch, stays);
                store(&mut routing.frames, i, frame);
            }
        }
    }
    let done = !stay & low_bits(n);
    // SAFETY: as in `depart_by_any`.
    unsafe { rewrite_alike(routing.frames.as_ptr(), &entry, n, &[carries & done]) };
    done
}

/// As [`depart`].
///
/// # Safety
///
/// The contract of [`super`]; `count` is not 0.
#[target_feature(enable = "avx2")]
unsafe fn depart_by_any(
    descs: *mut u64,
    lanes: *mut u64,
    n: usize,
    rewrites: *const EthRewrite,
    count: usize,
    routing: &mut Routing,
) -> u64 {
    // Every value compared below is less than 2^63, so signed comparisons do.
    let quads = |value: u64| _mm256_set1_epi64x(value as i64);
    let zero = _mm256_setzero_si256();
    let mut scratch = Scratch::new();
    let scratch = quads(scratch.address());
    let (count, first_entry) = (quads(count as u64), quads(rewrites.expose_provenance() as u64));
    for i in (0..n).step_by(4) {
        // SAFETY: the arrays have room for whole rounds, and are aligned.
        unsafe {
            let adj = _mm256_and_si256(load(&routing.leaves, i), quads(0xffff_ffff));
            let adj = _mm256_and_si256(adj, _mm256_cmpgt_epi64(count, adj));
            store(&mut routing.entries, i, _mm256_add_epi64(first_entry, _mm256_slli_epi64::<5>(adj)));
        }
    }
    let (mut done, mut carries) = (0, 0);
    for i in (0..n).step_by(4) {
        // SAFETY: as above, and `descs` and `lanes` have padding for a round; every entry is one of `rewrites[..count]`.
        let (word, lane, frame, leaf, leaving, head, length, entry) = unsafe {
            (
                _mm256_loadu_si256(descs.add(i).cast()),
                _mm256_loadu_si256(lanes.add(i).cast()),
                load(&routing.frames, i),
                load(&routing.leaves, i),
                load(&routing.leaving, i),
                _mm256_cvtepu32_epi64(_mm_load_si128(routing.heads.as_ptr().add(i).cast())),
                _mm256_cvtepu32_epi64(_mm_load_si128(routing.lengths.as_ptr().add(i).cast())),
                // MTU, interface, readiness.
                quads4(routing.entries.as_ptr(), i, ETHER_LEN),
            )
        };
        let adj = _mm256_and_si256(leaf, quads(0xffff_ffff));
        // Leaves of other meanings are larger.
        let known = _mm256_and_si256(_mm256_cmpgt_epi64(count, adj), _mm256_cmpgt_epi64(quads(1 << 48), leaf));
        let expired = _mm256_cmpeq_epi64(_mm256_and_si256(head, quads(0xfe)), zero);
        let big = _mm256_cmpgt_epi64(length, _mm256_and_si256(entry, quads(0xffff)));
        let unready = _mm256_cmpeq_epi64(_mm256_and_si256(entry, quads(0xffff << 32)), zero);
        let stays = _mm256_or_si256(_mm256_or_si256(expired, big), unready);
        let leaves = _mm256_andnot_si256(stays, known);
        done |= (_mm256_movemask_pd(_mm256_castsi256_pd(leaves)) as u64) << i;
        let carry = _mm256_cmpeq_epi64(_mm256_and_si256(head, quads(0xfffe_0000)), quads(0xfffe_0000));
        carries |= (_mm256_movemask_pd(_mm256_castsi256_pd(carry)) as u64) << i;

        // From the lane the interface that it came by, from the entry the one to leave by.
        let moved = _mm256_blend_epi16::<0b1000_1000>(adj, lane);
        let moved = _mm256_blend_epi16::<0b0100_0100>(moved, _mm256_slli_epi64::<16>(entry));
        // SAFETY: as above.
        unsafe {
            _mm256_storeu_si256(descs.add(i).cast(), _mm256_blendv_epi8(word, leaving, leaves));
            _mm256_storeu_si256(lanes.add(i).cast(), _mm256_blendv_epi8(lane, moved, leaves));
            store(&mut routing.frames, i, _mm256_blendv_epi8(scratch, frame, leaves));
        }
    }
    let done = done & low_bits(n);
    // SAFETY: what leaves has 14 bytes of its chunk where its Ethernet header is or is to be, and behind them at least 20 of its own; the others
    // have the address of scratch.
    unsafe { rewrite(routing.frames.as_ptr(), routing.entries.as_ptr(), n, &[carries & done]) };
    done
}

/// A vector of an array of a [`Routing`], from element `i` on.
///
/// # Safety
///
/// It lies within the array; `i` is a multiple of a vector's elements.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load<T, const N: usize>(from: &[T; N], i: usize) -> __m256i {
    // SAFETY: the caller's promise; arrays are aligned to a cache line.
    unsafe { _mm256_load_si256(from.as_ptr().add(i).cast()) }
}

/// The opposite of [`load`].
///
/// # Safety
///
/// As for [`load`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store<T, const N: usize>(to: &mut [T; N], i: usize, vector: __m256i) {
    // SAFETY: the caller's promise; arrays are aligned to a cache line.
    unsafe { _mm256_store_si256(to.as_mut_ptr().add(i).cast(), vector) };
}

/// The shuffle that reverses the bytes of each dword.
#[inline]
#[target_feature(enable = "avx2")]
fn swap_bytes() -> __m256i {
    _mm256_broadcastsi128_si256(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3))
}
