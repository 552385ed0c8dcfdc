//! Two questions about a few numbers at once, for tables that are searched: where one belongs among them, and which are not 0.

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
}
