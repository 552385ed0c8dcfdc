//! From a hash to the place of an entry: two buckets of seven ways for each key, one cache line each.
//!
//! A way is 31 bits of the hash and a place; whether the key is the right one is seen in the entry, which is needed anyway. The second
//! bucket is looked at only if the first says that keys of its own live there: about one look-up in a hundred of a full table. With two
//! keys or fewer per bucket on average, that both of them are full is expected less than once in 10^10 insertions (Azar, Broder,
//! Karlin, Upfal: Balanced Allocations, 1994, for the tail above `CROWDED`), unless keys collide by somebody's choice.

use swath_api::kernel::prefetch_slice;
use swath_api::memory::HugeArray;
use zerocopy::FromZeros;

/// Ways of a bucket.
const WAYS: usize = 7;
/// From so many ways in use on, the emptier bucket is taken.
const CROWDED: usize = 5;

/// `tags[7]` is 0, which is no tag; `places[7]` is the number of keys that live in their second bucket and have this as their first.
#[derive(Clone, Copy, FromZeros)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u32; WAYS + 1],
    places: [u32; WAYS + 1],
}

impl Bucket {
    /// The places under a tag, all of them or-ed, which almost always is one: no branch, and one vector comparison.
    #[inline(always)]
    fn candidate(&self, tag: u32) -> u32 {
        let ways = self.tags.iter().zip(&self.places);
        ways.fold(0, |found, (known, place)| found | if *known == tag { *place } else { 0 })
    }

    fn overflow(&self) -> u32 {
        self.places[WAYS]
    }

    fn used(&self) -> usize {
        self.tags[..WAYS].iter().filter(|tag| **tag != 0).count()
    }
}

pub(crate) struct Index {
    buckets: HugeArray<Bucket>,
    mask: usize,
}

impl Index {
    /// An index of so many keys.
    pub fn new(keys: usize) -> std::io::Result<Index> {
        let buckets = (keys / 2).next_power_of_two().max(2);
        Ok(Index { buckets: HugeArray::new(buckets)?, mask: buckets - 1 })
    }

    /// What it takes once it is in use.
    pub fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>()
    }

    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        prefetch_slice(&self.buckets, self.first(hash));
    }

    /// The place of the key with this hash if there is one, and if no other key of its bucket has the same tag: who finds another key
    /// there asks [`Index::find`]. 0 if there is none.
    #[inline(always)]
    pub fn candidate(&self, hash: u64) -> u32 {
        let bucket = &self.buckets[self.first(hash)];
        let found = bucket.candidate(tag(hash));
        if found == 0 && bucket.overflow() != 0 { self.buckets[self.second(hash)].candidate(tag(hash)) } else { found }
    }

    /// The place of which `is_it` says that it is the key's. It is asked at most 14 times.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        // One comparison each of two vectors says that there is none, as it is with each key that is about to be entered.
        if self.candidate(hash) == 0 { None } else { self.find_way(hash, is_it) }
    }

    fn find_way(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let first = &self.buckets[self.first(hash)];
        let second = (first.overflow() != 0).then(|| &self.buckets[self.second(hash)]);
        let ways = [first].into_iter().chain(second).flat_map(|bucket| bucket.tags[..WAYS].iter().zip(&bucket.places));
        ways.filter(|(known, _)| **known == tag(hash)).map(|(_, place)| *place).find(|place| is_it(*place))
    }

    /// Enters a key that is not in it. `false` if both buckets are full.
    #[must_use]
    pub fn insert(&mut self, hash: u64, place: u32) -> bool {
        let (first, second) = (self.first(hash), self.second(hash));
        let used = self.buckets[first].used();
        let other = used >= CROWDED && self.buckets[second].used() < used;
        let bucket = &mut self.buckets[if other { second } else { first }];
        let Some(way) = bucket.tags[..WAYS].iter().position(|tag| *tag == 0) else { return false };
        bucket.tags[way] = tag(hash);
        bucket.places[way] = place;
        self.buckets[first].places[WAYS] += u32::from(other);
        true
    }

    /// Takes a key out that is in it.
    pub fn remove(&mut self, hash: u64, place: u32) {
        let (first, second) = (self.first(hash), self.second(hash));
        for bucket in [first, second] {
            let ways = self.buckets[bucket].tags[..WAYS].iter().zip(&self.buckets[bucket].places);
            if let Some(way) = ways.into_iter().position(|(known, found)| (*known, *found) == (tag(hash), place)) {
                self.buckets[bucket].tags[way] = 0;
                self.buckets[bucket].places[way] = 0;
                self.buckets[first].places[WAYS] -= u32::from(bucket != first);
                return;
            }
        }
        debug_assert!(false, "the key is not in the index");
    }

    #[inline(always)]
    fn first(&self, hash: u64) -> usize {
        hash as usize & self.mask
    }

    /// Another one than the first.
    #[inline(always)]
    fn second(&self, hash: u64) -> usize {
        let step = (tag(hash).wrapping_mul(0x9e37_79b1) >> 3) as usize | 1;
        self.first(hash) ^ step & self.mask
    }
}

/// Never 0.
#[inline(always)]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::hash::Seed;

    fn places(index: &Index, hash: u64) -> Vec<u32> {
        let mut found = Vec::new();
        index.find(hash, |place| {
            found.push(place);
            false
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn keys_of_one_hash_fill_two_buckets_and_no_more() {
        let mut index = Index::new(1 << 10).unwrap();
        let hash = 0x1234_5678_0000_0042;
        for place in 1..=14 {
            assert!(index.insert(hash, place));
        }
        assert!(!index.insert(hash, 15), "both are full, and nothing else is touched");
        assert_eq!(places(&index, hash), Vec::from_iter(1..=14));
        (1..=14).for_each(|place| index.remove(hash, place));
        assert_eq!((places(&index, hash), index.candidate(hash)), (vec![], 0));
        assert!(index.buckets.iter().all(|bucket| bucket.tags == [0; 8] && bucket.places == [0; 8]));
    }

    #[test]
    fn a_full_index_takes_all_keys_and_finds_them_in_the_first_bucket() {
        let (seed, keys) = (Seed::fixed(1), 1 << 18);
        let mut index = Index::new(keys as usize).unwrap();
        for key in 1..=keys {
            assert!(index.insert(seed.hash([key, 0]), key as u32));
        }
        assert!((1..=keys).all(|key| places(&index, seed.hash([key, 0])).contains(&(key as u32))));
        let second: u32 = index.buckets.iter().map(Bucket::overflow).sum();
        // Poisson with a mean of 2: a key comes after five or more others of its bucket with 5.3 % at the very end, 1.5 % on average.
        assert!(f64::from(second) < 0.02 * keys as f64, "{second} keys live in their second bucket");
    }

    /// Keys that fall into one pair of buckets under a seed that the attacker knows, and looks for at random.
    #[test]
    fn keys_that_collide_under_another_seed_do_not() {
        let (known, secret) = (Seed::fixed(1), Seed::fixed(2));
        let bucket = |hash: u64| hash & 0x3ff;
        let aimed = known.hash([0, 0]);
        let keys: Vec<u64> = (0..).filter(|key| bucket(known.hash([*key, 0])) == bucket(aimed)).take(1500).collect();
        let entered = |seed: &Seed| {
            let mut index = Index::new(2048).unwrap();
            let entered = keys.iter().zip(1..).filter(|(key, place)| index.insert(seed.hash([**key, 0]), *place)).count();
            let mut asked = 0;
            for key in &keys {
                index.find(seed.hash([*key, 0]), |_| {
                    asked += 1;
                    false
                });
            }
            (entered, asked)
        };
        assert_eq!(entered(&secret), (1500, 1500), "all have room, and no look-up meets another key");
    }
}
