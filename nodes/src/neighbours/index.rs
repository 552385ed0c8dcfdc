//! From interface and address to the place of a neighbour: a hash table of fixed size that all workers read and write at once.
//!
//! A key has two buckets of eight ways, one cache line each, by a hash whose seed is secret: addresses come from packets. There are two ways
//! for each place, so that buckets overflow but in theory. A way is one word, so that it is never half written.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Ways of a bucket: what a cache line has room for.
const WAYS: usize = 8;
const KEY: u64 = (1 << 48) - 1;

/// A neighbour: `interface:16 | address:32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) u64);

impl Key {
    /// The key of an address on the link of an interface.
    #[inline]
    pub fn new(interface: u16, address: u32) -> Key {
        Key(u64::from(interface) << 32 | u64::from(address))
    }

    /// The index of the interface.
    #[inline]
    pub fn interface(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// The address.
    #[inline]
    pub fn address(self) -> u32 {
        self.0 as u32
    }
}

#[derive(Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; WAYS]);

/// `place:16 | key:48` in each way; 0 in a free one, for no neighbour has place 0.
pub(super) struct Index {
    buckets: Box<[Bucket]>,
    seed: u64,
}

impl Index {
    /// An index of so many places.
    pub fn new(places: usize, seed: u64) -> Index {
        let buckets = (places * 2 / WAYS).next_power_of_two().max(2);
        Index { buckets: (0..buckets).map(|_| Bucket::default()).collect(), seed }
    }

    /// The place of a neighbour.
    #[inline]
    pub fn find(&self, key: Key) -> Option<u32> {
        let (first, second) = self.pair(key);
        self.find_in(first, key).or_else(|| self.find_in(second, key))
    }

    #[inline]
    fn find_in(&self, bucket: usize, key: Key) -> Option<u32> {
        // Acquire: whoever finds a place sees what has been stored there before.
        let ways = self.buckets[bucket].0.iter().map(|way| way.load(Ordering::Acquire));
        ways.filter(|word| word & KEY == key.0).map(|word| (word >> 48) as u32).find(|place| *place != 0)
    }

    /// Enters a neighbour. Two workers that enter one at once both have a place for a moment; then all go by the same.
    pub fn insert(&self, key: Key, place: u32) -> Inserted {
        let word = u64::from(place) << 48 | key.0;
        let (first, second) = self.pair(key);
        let free = |bucket: usize| self.buckets[bucket].0.iter().filter(|way| way.load(Ordering::Relaxed) == 0).count();
        let (better, other) = if free(second) > free(first) { (second, first) } else { (first, second) };
        let mut ways = self.buckets[better].0.iter().chain(&self.buckets[other].0);
        if !ways.any(|way| way.compare_exchange(0, word, Ordering::Release, Ordering::Relaxed).is_ok()) {
            return Inserted::Full;
        }
        // Of two workers' fences one is first, so that at least one of them sees both ways.
        fence(Ordering::SeqCst);
        let mut others = [0; 2 * WAYS];
        let mut count = 0;
        for way in self.buckets[first].0.iter().chain(&self.buckets[second].0) {
            let found = way.load(Ordering::Acquire);
            if found != 0 && found & KEY == key.0 {
                others[count] = (found >> 48) as u32;
                count += 1;
            }
        }
        match others[..count] {
            [] => Inserted::Lost,
            [kept] if kept == place => Inserted::Alone,
            _ => Inserted::Twice { kept: others[0], places: others, count },
        }
    }

    /// Takes a neighbour out. `false` if this place was not entered under this key.
    pub fn remove(&self, key: Key, place: u32) -> bool {
        let word = u64::from(place) << 48 | key.0;
        let (first, second) = self.pair(key);
        let mut ways = self.buckets[first].0.iter().chain(&self.buckets[second].0);
        ways.any(|way| way.compare_exchange(word, 0, Ordering::Release, Ordering::Relaxed).is_ok())
    }

    /// Two buckets that are not the same.
    #[inline]
    fn pair(&self, key: Key) -> (usize, usize) {
        // The high and the low half of a product: what is hard to guess without the seed, and cheap.
        let product = u128::from(key.0 ^ self.seed) * u128::from(0x9e37_79b9_7f4a_7c15 ^ self.seed.rotate_left(32) | 1);
        let hash = (product >> 64) as u64 ^ product as u64;
        let mask = self.buckets.len() - 1;
        let first = hash as usize & mask;
        (first, first ^ ((hash >> 32) as usize | 1) & mask)
    }
}

/// What became of a neighbour that was entered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    /// It has this place.
    Alone,
    /// Other workers have entered it, too: the first place is kept.
    Twice {
        /// The place that is kept.
        kept: u32,
        /// All places; `count` of them.
        places: [u32; 2 * WAYS],
        /// How many.
        count: usize,
    },
    /// Another worker has kept its own place, and removed this one and then its own.
    Lost,
    /// Both buckets are full.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn as_a_map() {
        // Bits of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), the same in each run.
        let mut state = 7_u64;
        let mut random = move |end: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ mixed >> 27) % end
        };
        let index = Index::new(1 << 12, 0x1234_5678);
        let mut known: HashMap<u64, u32> = HashMap::new();
        for _ in 0..100_000 {
            let key = Key::new(random(3) as u16, random(4000) as u32);
            assert_eq!(index.find(key), known.get(&key.0).copied());
            let place = 1 + random(u64::from(u16::MAX)) as u32;
            match known.get(&key.0) {
                Some(place) if random(2) == 0 => {
                    assert!(index.remove(key, *place) && !index.remove(key, *place));
                    known.remove(&key.0);
                }
                None if known.len() < 1 << 12 => {
                    assert_eq!(index.insert(key, place), Inserted::Alone);
                    known.insert(key.0, place);
                }
                _ => {}
            }
        }
        assert!(known.len() > 3000);
    }

    #[test]
    fn of_two_places_all_go_by_the_same() {
        let index = Index::new(16, 1);
        let key = Key::new(0, 0);
        assert_eq!((index.find(key), index.insert(key, 5)), (None, Inserted::Alone));
        let Inserted::Twice { kept, places, count } = index.insert(key, 9) else { panic!("both are there") };
        assert_eq!(index.find(key), Some(kept));
        assert!(places[..count].contains(&5) && places[..count].contains(&9) && count == 2);
    }
}
