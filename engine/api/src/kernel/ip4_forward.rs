//! `ip4_forward` of a vector whose packets all leave by one adjacency, as those of most vectors do: much need not be asked of each then. For AVX2
//! and AVX-512.

use core::arch::x86_64::*;

use super::avx2::{even_dwords, in_order, store_edges};
use super::types::{ETHER_LEN, ETHER_STEP, FORWARD_OFFSET_MIN, IP4_LEN};
use super::x86::{Scratch, address, rewrite_alike, starts};
use super::{EthRewrite, ForwardIds, low_bits};

/// The adjacency of all packets, if they have the same one, and it is ready.
///
/// # Safety
///
/// The contract of [`super`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn only_adjacency(lanes: *const u64, n: usize, rewrites: *const EthRewrite, count: usize) -> Option<EthRewrite> {
    if n == 0 {
        return None;
    }
    // SAFETY: n > 0.
    let first = unsafe { *lanes };
    let (pattern, mut differ) = (_mm256_set1_epi64x(first as i64), _mm256_setzero_si256());
    let vectors = n & !3;
    for i in (0..vectors).step_by(4) {
        // SAFETY: i + 4 <= n.
        let lane = unsafe { _mm256_loadu_si256(lanes.add(i).cast()) };
        differ = _mm256_or_si256(differ, _mm256_xor_si256(pattern, lane));
    }
    // SAFETY: i < n.
    let differs = (vectors..n).any(|i| unsafe { *lanes.add(i) } as u32 != first as u32);
    let adj = first as u32 as usize;
    if differs || _mm256_testz_si256(differ, _mm256_set1_epi64x(0xffff_ffff)) == 0 || adj >= count {
        return None;
    }
    // SAFETY: adj < count.
    let entry = unsafe { *rewrites.add(adj) };
    (entry.ready != 0).then_some(entry)
}

/// Does what `ip4_forward` does with packets that all have this adjacency.
///
/// # Safety
///
/// The contract of [`super`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn forward_by_one(
    base: *mut u8,
    descs: *mut u64,
    lanes: *mut u64,
    next: *mut u16,
    n: usize,
    entry: &EthRewrite,
    ids: &ForwardIds,
) {
    let dwords = |value: u32| _mm256_set1_epi32(value as i32);
    let edge = |id: u16| dwords(id.into());
    let mtu = dwords(entry.mtu.into());
    let tx = _mm256_set1_epi64x((u64::from(entry.tx) << 32) as i64);
    let step = _mm256_set1_epi64x(ETHER_STEP as i64);
    let mut scratch = Scratch::new();
    let scratch = _mm256_set1_epi64x(scratch.address() as i64);
    // SAFETY: the caller keeps the contract.
    let mut frames = unsafe { starts(base.wrapping_sub(ETHER_LEN), descs, n) };
    let mut carries = [0; 4];
    for i in (0..n).step_by(8) {
        // TTL, protocol and checksum.
        let four = |i: usize| {
            let one = |i: usize| {
                // SAFETY: the addresses of whole rounds are 14 bytes before packets, whose windows are readable.
                unsafe { address(frames.all(), i).add(ETHER_LEN + 8).cast::<i32>().read_unaligned() }
            };
            _mm_set_epi32(one(i + 3), one(i + 2), one(i + 1), one(i))
        };
        let heads = _mm256_set_m128i(four(i + 4), four(i));
        // SAFETY: `descs` has padding for a round.
        let words = unsafe { [_mm256_loadu_si256(descs.add(i).cast()), _mm256_loadu_si256(descs.add(i + 4).cast())] };
        let offset_length = in_order(even_dwords(words[0], words[1]));
        let lengths = _mm256_and_si256(offset_length, dwords(0xffff));
        let offsets = _mm256_srli_epi32::<16>(offset_length);

        let tight = _mm256_cmpgt_epi32(dwords(FORWARD_OFFSET_MIN as u32), offsets);
        let big = _mm256_cmpgt_epi32(lengths, mtu);
        let expired = _mm256_cmpeq_epi32(_mm256_and_si256(heads, dwords(0xfe)), _mm256_setzero_si256());
        let absent = _mm256_cmpgt_epi32(dwords(IP4_LEN as u32), lengths);
        let (mut edges, mut stays) = (edge(ids.ok), _mm256_setzero_si256());
        // From the last check to the first, so that the first to fail decides.
        for (failed, id) in [(tight, ids.bad), (big, ids.too_big), (expired, ids.ttl_expired), (absent, ids.bad)] {
            edges = _mm256_blendv_epi8(edges, edge(id), failed);
            stays = _mm256_or_si256(stays, failed);
        }
        let carry = _mm256_cmpeq_epi32(_mm256_and_si256(heads, dwords(0xfffe_0000)), dwords(0xfffe_0000));
        let carry = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_andnot_si256(stays, carry)));
        carries[i / 64] |= (u64::from(carry as u32) & low_bits(n - i)) << (i % 64);
        let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(stays));
        let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(stays));
        // SAFETY: the arrays have padding for a round.
        unsafe {
            store_edges(next.add(i), edges);
            for (i, word, stays) in [(i, words[0], low), (i + 4, words[1], high)] {
                _mm256_storeu_si256(descs.add(i).cast(), _mm256_sub_epi64(word, _mm256_andnot_si256(stays, step)));
                let lane = _mm256_loadu_si256(lanes.add(i).cast());
                let moved = _mm256_blend_epi16::<0b0100_0100>(lane, tx);
                _mm256_storeu_si256(lanes.add(i).cast(), _mm256_blendv_epi8(moved, lane, stays));
                let frame = frames.place(i).cast();
                _mm256_store_si256(frame, _mm256_blendv_epi8(_mm256_load_si256(frame), scratch, stays));
            }
        }
    }
    // SAFETY: a packet that does not stay has 14 bytes of its chunk in front and at least 20 of its own; the others have the address of scratch.
    unsafe { rewrite_alike(frames.all(), entry, n, &carries) };
}
