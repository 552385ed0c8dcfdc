//! How many sessions each source has, or whatever else is counted by a key: exact, and never more counters than sessions.

use swath_api::memory::HugeArray;
use zerocopy::FromZeros;

use super::hash::Seed;
use super::index::Index;

#[derive(Clone, Copy, FromZeros)]
#[repr(C)]
struct Source {
    key: [u64; 4],
    sessions: u32,
    /// The next free one.
    next: u32,
}

pub(crate) struct Sources {
    index: Index,
    sources: HugeArray<Source>,
    /// The first free place below `high`.
    free: u32,
    /// Places from here on were never used.
    high: u32,
    limit: u32,
}

impl Sources {
    pub fn new(sessions: u32, limit: u32) -> std::io::Result<Sources> {
        let sources = HugeArray::new(sessions as usize + 1)?;
        Ok(Sources { index: Index::new(sessions as usize)?, sources, free: 0, high: 1, limit })
    }

    /// Most sessions of a source.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Another limit. Who has more keeps them, and gets no new ones.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// How many sessions a source has.
    pub fn count(&self, key: [u64; 4], seed: &Seed) -> u32 {
        self.find(key, seed.hash(key)).map_or(0, |place| self.sources[place as usize].sessions)
    }

    /// Whether [`Sources::add`] would refuse, if the source had so many sessions less.
    pub fn is_full(&self, key: [u64; 4], less: u32, seed: &Seed) -> bool {
        self.find(key, seed.hash(key)).is_some_and(|place| self.sources[place as usize].sessions - less >= self.limit)
    }

    /// Counts one session more. `None` if the source has as many as it may, or if there is no room for it, which is when keys collide.
    pub fn add(&mut self, key: [u64; 4], seed: &Seed) -> Option<u32> {
        let hash = seed.hash(key);
        let place = match self.find(key, hash) {
            Some(place) if self.sources[place as usize].sessions >= self.limit => return None,
            Some(place) => place,
            None => self.enter(key, hash)?,
        };
        self.sources[place as usize].sessions += 1;
        Some(place)
    }

    /// Counts one session less.
    pub fn remove(&mut self, place: u32, seed: &Seed) {
        let source = &mut self.sources[place as usize];
        source.sessions -= 1;
        if source.sessions == 0 {
            source.next = std::mem::replace(&mut self.free, place);
            self.index.remove(seed.hash(source.key), place);
        }
    }

    /// As [`Sources::remove`], by the key.
    pub fn remove_key(&mut self, key: [u64; 4], seed: &Seed) {
        if let Some(place) = self.find(key, seed.hash(key)) {
            self.remove(place, seed);
        }
    }

    fn find(&self, key: [u64; 4], hash: u64) -> Option<u32> {
        self.index.find(hash, |place| self.sources[place as usize].key == key)
    }

    fn enter(&mut self, key: [u64; 4], hash: u64) -> Option<u32> {
        let place = if self.free != 0 { self.free } else { self.high };
        if place as usize >= self.sources.len() || !self.index.insert(hash, place) {
            return None;
        }
        let source = &mut self.sources[place as usize];
        if self.free != 0 {
            self.free = source.next;
        } else {
            self.high += 1;
        }
        *source = Source { key, sessions: 0, next: 0 };
        Some(place)
    }
}
