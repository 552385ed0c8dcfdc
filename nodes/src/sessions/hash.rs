//! The hash of keys that come from packets: whoever does not know the seed cannot choose keys that collide.

use std::hash::{BuildHasher, RandomState};

/// Secret numbers of one process, or fixed ones for who wants the same run again.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed {
    words: [u64; 6],
    last: [u64; 2],
}

impl Seed {
    /// One that nobody knows, from the system's source of randomness.
    pub fn random() -> Seed {
        Seed::expand(|index| RandomState::new().hash_one(index))
    }

    /// Always the same for the same number.
    pub fn fixed(number: u64) -> Seed {
        Seed::expand(|index| mix(number.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index + 1))))
    }

    fn expand(number: impl Fn(u64) -> u64) -> Seed {
        Seed { words: std::array::from_fn(|index| number(index as u64)), last: [number(6), number(7)] }
    }

    /// NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, CRYPTO '99, section 5): a sum of products of words to each of which a
    /// secret one was added. Two keys that somebody has chosen share a sum with a probability of 2^-64 over the seeds. A second such
    /// product spreads it over the 64 bits of which the index takes some.
    #[inline(always)]
    pub(crate) fn hash<const N: usize>(&self, words: [u64; N]) -> u64 {
        const { assert!(N <= 6 && N.is_multiple_of(2)) };
        let mut sum = 0_u128;
        for at in (0..N).step_by(2) {
            let (a, b) = (words[at].wrapping_add(self.words[at]), words[at + 1].wrapping_add(self.words[at + 1]));
            sum = sum.wrapping_add(u128::from(a) * u128::from(b));
        }
        let (low, high) = (sum as u64, (sum >> 64) as u64);
        let product = u128::from(low.wrapping_add(self.last[0])) * u128::from(high.wrapping_add(self.last[1]));
        (product >> 64) as u64 ^ product as u64
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

/// The finalizer of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nh_as_it_is_defined() {
        let seed = Seed { words: [1, 2, 3, 4, 5, 6], last: [7, 8] };
        // (10 + 1)(20 + 2) + (30 + 3)(40 + 4) = 1694; (1694 + 7)(0 + 8) = 13608.
        assert_eq!(seed.hash([10, 20, 30, 40]), 13_608);
        // 2^63 * 2^63 = 2^126: (0 + 7)(2^62 + 8), whose high half is 1.
        let seed = Seed { words: [0; 6], last: [7, 8] };
        assert_eq!(seed.hash([1 << 63, 1 << 63]), (7_u128 * ((1 << 62) + 8)) as u64 ^ 1);
    }

    #[test]
    fn seeds() {
        assert_eq!(Seed::fixed(3), Seed::fixed(3));
        assert_ne!(Seed::fixed(3), Seed::fixed(4));
        assert_ne!(Seed::random(), Seed::random());
    }

    /// Of all bits of the input, each changes each bit of the output about half of the time (Webster and Tavares 1985).
    #[test]
    fn each_bit_counts() {
        for bit in 0..128 {
            let mut changed = [0_u32; 64];
            for number in 0..1000 {
                let (seed, key) = (Seed::fixed(number), [number, mix(number)]);
                let other = if bit < 64 { [key[0] ^ 1 << bit, key[1]] } else { [key[0], key[1] ^ 1 << (bit - 64)] };
                let difference = seed.hash(key) ^ seed.hash(other);
                changed.iter_mut().enumerate().for_each(|(at, count)| *count += (difference >> at & 1) as u32);
            }
            assert!(changed.iter().all(|count| (400..=600).contains(count)), "bit {bit}: {changed:?}");
        }
    }
}
