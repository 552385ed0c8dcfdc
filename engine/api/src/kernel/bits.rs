//! Questions about a few numbers at once, for tables that are searched: where one belongs among them, which are not 0, and which of eight rows
//! take some numbers.

/// How many of the borders are at or below a value. If they ascend, the interval between them that it is in.
#[inline(always)]
pub fn rank8(borders: &[u16; 8], value: u16) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::*;
        // SAFETY: SSE2 is part of every x86-64; 16 bytes are read from the array, which is as long.
        let at_or_below = unsafe {
            let borders = _mm_loadu_si128(borders.as_ptr().cast());
            // What is left of a border that a value was taken off is 0 where it is not above it.
            let above = _mm_subs_epu16(borders, _mm_set1_epi16(value.cast_signed()));
            _mm_movemask_epi8(_mm_cmpeq_epi16(above, _mm_setzero_si128()))
        };
        at_or_below.count_ones() as usize / 2
    }
    #[cfg(not(target_arch = "x86_64"))]
    rank8_scalar(borders, value)
}

/// Which words are not 0, a bit each.
#[inline(always)]
pub fn nonzero4(words: &[u64; 4]) -> u32 {
    #[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
    {
        use core::arch::x86_64::*;
        // SAFETY: the crate is built for processors that have AVX2; 32 bytes are read from the array, which is as long.
        let zero = unsafe {
            let words = _mm256_loadu_si256(words.as_ptr().cast());
            _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(words, _mm256_setzero_si256())))
        };
        zero as u32 ^ 0xf
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
    nonzero4_scalar(words)
}

/// Which of eight rows have each of three numbers in their range, a bit each. A range is where it begins and how much longer than one number
/// it is, and does not come round. Where `any` is `u16::MAX`, and not 0, all ranges of that number take it.
#[inline(always)]
pub fn within8(low: &[[u16; 8]; 3], span: &[[u16; 8]; 3], values: [u16; 3], any: [u16; 3]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::*;
        // SAFETY: SSE2 is part of every x86-64; 16 bytes are read from each array, which is as long.
        let bits = unsafe {
            let mut outside = _mm_setzero_si128();
            for field in 0..3 {
                let (low, span) = (_mm_loadu_si128(low[field].as_ptr().cast()), _mm_loadu_si128(span[field].as_ptr().cast()));
                // What is left of the distance from its begin when its length is taken off: 0 inside.
                let beyond = _mm_subs_epu16(_mm_sub_epi16(_mm_set1_epi16(values[field].cast_signed()), low), span);
                outside = _mm_or_si128(outside, _mm_andnot_si128(_mm_set1_epi16(any[field].cast_signed()), beyond));
            }
            let inside = _mm_cmpeq_epi16(outside, _mm_setzero_si128());
            _mm_movemask_epi8(_mm_packs_epi16(inside, _mm_setzero_si128()))
        };
        bits as u32
    }
    #[cfg(not(target_arch = "x86_64"))]
    within8_scalar(low, span, values, any)
}

/// Which of eight rows have chosen a bit of a word that is set, a bit each. A row chooses a byte of the word by its `bytes`, of which
/// the three lower bits count if the fourth and the highest are 0, and the bits there by its `bits`.
#[inline(always)]
pub fn chosen8(word: u64, bytes: &[u8; 8], bits: &[u8; 8]) -> u32 {
    #[cfg(all(target_arch = "x86_64", target_feature = "ssse3"))]
    {
        use core::arch::x86_64::*;
        // SAFETY: the crate is built for processors that have SSSE3; 8 bytes are read from each array, which is as long.
        let not_set = unsafe {
            let (bytes, bits) = (_mm_loadl_epi64(bytes.as_ptr().cast()), _mm_loadl_epi64(bits.as_ptr().cast()));
            let chosen = _mm_and_si128(_mm_shuffle_epi8(_mm_cvtsi64_si128(word.cast_signed()), bytes), bits);
            _mm_movemask_epi8(_mm_cmpeq_epi8(chosen, _mm_setzero_si128()))
        };
        !not_set as u32 & 0xff
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "ssse3")))]
    chosen8_scalar(word, bytes, bits)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn within8_scalar(low: &[[u16; 8]; 3], span: &[[u16; 8]; 3], values: [u16; 3], any: [u16; 3]) -> u32 {
    let inside =
        |row: usize| (0..3).all(|field| any[field] == u16::MAX || values[field].wrapping_sub(low[field][row]) <= span[field][row]);
    (0..8).fold(0, |rows, row| rows | u32::from(inside(row)) << row)
}

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "ssse3"))))]
fn chosen8_scalar(word: u64, bytes: &[u8; 8], bits: &[u8; 8]) -> u32 {
    let word = word.to_le_bytes();
    (0..8).fold(0, |rows, row| rows | u32::from(word[usize::from(bytes[row] & 7)] & bits[row] != 0) << row)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn rank8_scalar(borders: &[u16; 8], value: u16) -> usize {
    borders.iter().filter(|border| **border <= value).count()
}

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "avx2"))))]
fn nonzero4_scalar(words: &[u64; 4]) -> u32 {
    (0..).zip(words).fold(0, |bits, (bit, word)| bits | u32::from(*word != 0) << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_a_loop() {
        let edges = [0, 1, 2, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];
        for borders in [edges, [0; 8], [0xffff; 8], [5, 5, 5, 9, 9, 0x9000, 0xffff, 0xffff]] {
            for value in edges.into_iter().chain([3, 5, 6, 9, 0x9000]) {
                assert_eq!(rank8(&borders, value), rank8_scalar(&borders, value), "{value} in {borders:?}");
            }
        }
    }

    #[test]
    fn words_that_are_not_0_are_those_of_a_loop() {
        for bits in 0..16u32 {
            for word in [1, 1 << 32, u64::MAX, 1 << 63] {
                let words = [0, 1, 2, 3].map(|bit| if bits >> bit & 1 != 0 { word } else { 0 });
                assert_eq!((nonzero4(&words), nonzero4_scalar(&words)), (bits, bits));
            }
        }
    }

    #[test]
    fn rows_that_take_numbers_are_those_of_a_loop() {
        let edges = [0, 1, 2, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];
        let mut random = 1u64;
        let mut bits = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as u16
        };
        for _ in 0..20_000 {
            let mut row = |_| {
                let (a, b) =
                    (edges[usize::from(bits() % 8)], if bits() % 2 == 0 { bits() } else { edges[usize::from(bits() % 8)] });
                (a.min(b), a.max(b) - a.min(b))
            };
            let ranges: [[(u16, u16); 8]; 3] = std::array::from_fn(|_| std::array::from_fn(&mut row));
            let (low, span) = (ranges.map(|field| field.map(|range| range.0)), ranges.map(|field| field.map(|range| range.1)));
            let values = std::array::from_fn(|_| if bits() % 2 == 0 { bits() } else { edges[usize::from(bits() % 8)] });
            let any = std::array::from_fn(|_| if bits() % 4 == 0 { u16::MAX } else { 0 });
            let found = within8(&low, &span, values, any);
            assert_eq!(found, within8_scalar(&low, &span, values, any), "{values:?} in {low:?} + {span:?}, any {any:?}");
            let field = |field: usize, row: usize| {
                let (first, last) = (u32::from(low[field][row]), u32::from(low[field][row]) + u32::from(span[field][row]));
                any[field] != 0 || (first..=last).contains(&u32::from(values[field]))
            };
            assert!((0..8).all(|row| (found >> row & 1 != 0) == (0..3).all(|at| field(at, row))));

            let word = (0..4).fold(0, |word, _| word << 16 | u64::from(bits()));
            let bytes = std::array::from_fn(|_| bits() as u8 & 0x77);
            let chosen = std::array::from_fn(|_| if bits() % 8 == 0 { 0 } else { 1 << (bits() % 8) });
            assert_eq!(chosen8(word, &bytes, &chosen), chosen8_scalar(word, &bytes, &chosen), "{word:x} {bytes:?} {chosen:?}");
        }
    }
}
