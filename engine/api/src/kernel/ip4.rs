//! `ip4_check` for AVX2 and AVX-512: 256 bits suffice, wider vectors were not faster (Zen 4).

use core::arch::x86_64::*;

use super::Ip4Class;
use super::avx2::{even_dwords, in_order, store_edges};
use super::scalar::ip4_check_one;
use super::types::IP4_LEN;
use super::x86::{Packets, PerPacket};
use super::{ROUND, low_bits};

/// Takes every packet for a plain good one, and has another look at the frame if any is not: one
/// branch per frame, which is the same for most frames of one traffic.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn ip4_check(base: *const u8, descs: *mut u64, next: *mut u16, n: usize, ids: &[u16; 8]) {
    // SAFETY: the caller keeps the contract.
    let mut headers = unsafe { headers(Packets::new(base.cast_mut(), descs, n), n) };
    let dwords = |value: u32| _mm256_set1_epi32(value as i32);
    let shortest = dwords(IP4_LEN as u32);
    let good = _mm_set1_epi16(ids[Ip4Class::Ok as usize] as i16);
    let mut all_ok = dwords(!0);
    for i in (0..n).step_by(8) {
        // SAFETY: `descs` has padding for a round; the headers of whole rounds have been read.
        let (words, sums, firsts) = unsafe {
            let (low, high) = (descs.add(i), descs.add(i + 4));
            (
                [_mm256_loadu_si256(low.cast()), _mm256_loadu_si256(high.cast())],
                _mm256_load_si256(headers.sums.place(i).cast()),
                _mm256_load_si256(headers.firsts.place(i).cast()),
            )
        };
        let lengths = lengths(words);
        let totals = _mm256_shuffle_epi8(firsts, total_length_bytes());
        // The sum's halves add up to 0xffff in the upper half.
        let folded = _mm256_add_epi32(sums, _mm256_slli_epi32::<16>(sums));
        let summed = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(folded), dwords(0xffff));
        let plain = _mm256_cmpeq_epi32(_mm256_and_si256(firsts, dwords(0xff)), dwords(0x45));
        let cut = _mm256_cmpgt_epi32(totals, lengths);
        let failed = _mm256_or_si256(cut, _mm256_cmpgt_epi32(shortest, totals));
        let ok = _mm256_andnot_si256(failed, _mm256_and_si256(plain, summed));
        all_ok = _mm256_and_si256(all_ok, ok);

        let trimmed = _mm256_blendv_epi8(lengths, totals, ok);
        let low = _mm256_cvtepu32_epi64(_mm256_castsi256_si128(trimmed));
        let high = _mm256_cvtepu32_epi64(_mm256_extracti128_si256::<1>(trimmed));
        // SAFETY: the arrays have padding for a round.
        unsafe {
            _mm_storeu_si128(next.add(i).cast(), good);
            let low = _mm256_blend_epi16::<0b0001_0001>(words[0], low);
            _mm256_storeu_si256(descs.add(i).cast(), low);
            let high = _mm256_blend_epi16::<0b0001_0001>(words[1], high);
            _mm256_storeu_si256(descs.add(i + 4).cast(), high);
            // The sums are of no more use.
            _mm256_store_si256(headers.sums.place(i).cast(), ok);
        }
    }
    if _mm256_movemask_epi8(all_ok) != -1 {
        // SAFETY: the caller keeps the contract; the sums are replaced in every round.
        unsafe { ip4_classify(base, descs, next, n, ids, &mut headers) };
    }
}

/// Finds the class of packets that are not plain and good. Those that are have been trimmed, and in
/// the place of its sum each packet has a mask that says so.
///
/// # Safety
///
/// The contract of [`super`], with `headers` read and then changed as above.
#[target_feature(enable = "avx2")]
unsafe fn ip4_classify(base: *const u8, descs: *mut u64, next: *mut u16, n: usize, ids: &[u16; 8], headers: &mut Headers) {
    let dwords = |value: u32| _mm256_set1_epi32(value as i32);
    let edge = |class: Ip4Class| dwords(u32::from(ids[class as usize]));
    let shortest = dwords(IP4_LEN as u32);
    for i in (0..n).step_by(8) {
        // SAFETY: `descs` has padding for a round; the headers of whole rounds have been read.
        let (words, ok, firsts) = unsafe {
            let (low, high) = (descs.add(i), descs.add(i + 4));
            (
                [_mm256_loadu_si256(low.cast()), _mm256_loadu_si256(high.cast())],
                _mm256_load_si256(headers.sums.place(i).cast()),
                _mm256_load_si256(headers.firsts.place(i).cast()),
            )
        };
        let lengths = lengths(words);
        let totals = _mm256_shuffle_epi8(firsts, total_length_bytes());
        let header = _mm256_slli_epi32::<2>(_mm256_and_si256(firsts, dwords(0x0f)));
        let version = _mm256_and_si256(firsts, dwords(0xf0));
        let version = _mm256_cmpeq_epi32(version, dwords(0x40));
        let bad_version = _mm256_andnot_si256(version, dwords(!0));
        let bad_length = _mm256_cmpgt_epi32(header, totals);
        let cut = _mm256_cmpgt_epi32(totals, lengths);
        let mut edges = _mm256_blendv_epi8(edge(Ip4Class::BadChecksum), edge(Ip4Class::Ok), ok);
        // From the last check to the first, so that the first to fail decides.
        for (failed, class) in [
            (cut, Ip4Class::TooShort),
            (bad_length, Ip4Class::BadLength),
            (_mm256_cmpgt_epi32(shortest, header), Ip4Class::BadHeaderLength),
            (bad_version, Ip4Class::BadVersion),
            (_mm256_cmpgt_epi32(shortest, lengths), Ip4Class::TooShort),
        ] {
            edges = _mm256_blendv_epi8(edges, edge(class), failed);
        }
        // SAFETY: `next` has padding for a round.
        unsafe { store_edges(next.add(i), edges) };

        // Sums were of 20 bytes, and none was right where the source is odd. What has options, an odd
        // source or a wrong sum is left to the scalar twin.
        let decided = _mm256_or_si256(_mm256_or_si256(bad_version, bad_length), _mm256_or_si256(cut, ok));
        let open = !(_mm256_movemask_ps(_mm256_castsi256_ps(decided)) as u64);
        let mut open = open & 0xff & low_bits(n - i);
        while open != 0 {
            let k = i + open.trailing_zeros() as usize;
            // SAFETY: k < n.
            unsafe { ip4_check_one(base, descs.add(k), next.add(k), ids) };
            open &= open - 1;
        }
    }
}

/// The lengths in eight descriptors, as dwords.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn lengths(words: [__m256i; 2]) -> __m256i {
    let words = in_order(even_dwords(words[0], words[1]));
    _mm256_and_si256(words, _mm256_set1_epi32(0xffff))
}

/// The IPv4 headers of a frame: for each packet the sum of the ten little-endian 16-bit words of a
/// header without options, or 0 if its source is odd, and its first dword.
struct Headers {
    sums: PerPacket<u32>,
    firsts: PerPacket<u32>,
}

/// Reads the headers of whole rounds of packets.
///
/// 32 bytes of each packet are loaded and, eight packets at a time, halfway transposed. `vpmaddwd`
/// adds pairs of words and, by factors of zero, leaves out what follows the header. It takes words as
/// signed: flipping the top bit makes each one 0x8000 too small, which the end puts right.
///
/// # Safety
///
/// The contract of [`super`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn headers(packets: Packets, n: usize) -> Headers {
    const ONES: i64 = 0x0001_0001_0001_0001;
    // In the upper halves are the last dwords of two headers, then what follows them.
    let factors = [_mm256_set_epi64x(0, ONES, ONES, ONES), _mm256_set_epi64x(0, 0, ONES, ONES)];
    // SAFETY: a local. Volatile, or LLVM sees the zeros, narrows half of the loads, and so doubles
    // their number.
    let [low_factors, high_factors] = unsafe { (&raw const factors).read_volatile() };
    let flip = _mm256_set1_epi16(i16::MIN);
    // Two packets, a and b: dwords a0 b0 a1 b1 | a4 b4 .. .. and a2 b2 a3 b3 | .., and their sums
    // a b a b | a b 0 0.
    let two = |i: usize| {
        // SAFETY: 32 bytes of a packet are inside its window.
        let load = |i| unsafe { _mm256_loadu_si256(packets.start(i).cast()) };
        let (a, b) = (load(i), load(i + 1));
        let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let low_sums = _mm256_madd_epi16(_mm256_xor_si256(low, flip), low_factors);
        let high_sums = _mm256_madd_epi16(_mm256_xor_si256(high, flip), high_factors);
        (low, high, _mm256_add_epi32(low_sums, high_sums))
    };
    // Four packets: their first dwords | .., their sources | .., and two parts of each sum.
    let four = |i: usize| {
        let ((low, high, sums), (other_low, other_high, other_sums)) = (two(i), two(i + 2));
        let even = _mm256_unpacklo_epi64(sums, other_sums);
        let odd = _mm256_unpackhi_epi64(sums, other_sums);
        let (firsts, sources) = (_mm256_unpacklo_epi64(low, other_low), _mm256_unpackhi_epi64(high, other_high));
        (firsts, sources, _mm256_add_epi32(even, odd))
    };
    let mut headers = Headers { sums: PerPacket::new(), firsts: PerPacket::new() };
    for i in (0..n.next_multiple_of(ROUND)).step_by(8) {
        let ((low, sources, sums), (other_low, other_sources, other_sums)) = (four(i), four(i + 4));
        let sums = _mm256_add_epi32(
            _mm256_permute2x128_si256::<0x20>(sums, other_sums),
            _mm256_permute2x128_si256::<0x31>(sums, other_sums),
        );
        let sums = _mm256_add_epi32(sums, _mm256_set1_epi32(10 * 0x8000));
        let firsts = _mm256_permute2x128_si256::<0x20>(low, other_low);
        let sources = _mm256_permute2x128_si256::<0x20>(sources, other_sources);
        let sums = _mm256_andnot_si256(odd_sources(sources), sums);
        // SAFETY: whole rounds fit, aligned.
        unsafe {
            _mm256_store_si256(headers.sums.place(i).cast(), sums);
            _mm256_store_si256(headers.firsts.place(i).cast(), firsts);
        }
    }
    headers
}

/// Which source addresses may be no host's: those of network 0 or 127, or from 224 on.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn odd_sources(sources: __m256i) -> __m256i {
    let dwords = |value: i32| _mm256_set1_epi32(value);
    // The first octet is the lowest byte of the dword.
    let network = _mm256_and_si256(sources, dwords(0xff));
    let zero = _mm256_cmpeq_epi32(network, dwords(0));
    let loopback = _mm256_cmpeq_epi32(network, dwords(127));
    let beyond = _mm256_cmpgt_epi32(network, dwords(223));
    _mm256_or_si256(_mm256_or_si256(zero, loopback), beyond)
}

/// The shuffle that turns the first dword of an IPv4 header into its total length.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn total_length_bytes() -> __m256i {
    let bytes = _mm_set_epi8(-1, -1, 14, 15, -1, -1, 10, 11, -1, -1, 6, 7, -1, -1, 2, 3);
    _mm256_broadcastsi128_si256(bytes)
}
