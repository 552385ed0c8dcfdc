//! Which lines of the second level are free: a buddy allocator.
//!
//! Lines are taken lowest first, in any number up to [`CHUNK`]; what a power of
//! two has too much goes back at once, and free neighbours join again, so
//! that memory does not decay into pieces that nothing fits in.

/// Lines of the largest free piece, a power of two.
const CHUNK: u32 = 1 << TOP;
const TOP: u32 = 5;

/// The free lines.
pub(super) struct Space {
    /// Free pieces of 1, 2, 4, ... lines, by first line / size.
    free: [BitSet; TOP as usize + 1],
    /// Lines from here on were never taken.
    fresh: u32,
    used: u32,
    lines: u32,
}

impl Space {
    /// `lines` free lines, less what is no whole chunk.
    pub(super) fn new(lines: u32) -> Space {
        Space { free: Default::default(), fresh: 0, used: 0, lines: lines / CHUNK * CHUNK }
    }

    /// Lines taken.
    pub(super) fn used(&self) -> u32 {
        self.used
    }

    /// Lines that were ever part of a chunk in use.
    pub(super) fn touched(&self) -> u32 {
        self.fresh
    }

    /// Takes `lines` neighbouring lines, at most [`CHUNK`]. Fails when there are
    /// none or when less than `keep` lines would stay free.
    pub(super) fn take(&mut self, lines: u32, keep: u32) -> Option<u32> {
        if self.used + lines + keep > self.lines {
            return None;
        }
        let order = lines.next_power_of_two().trailing_zeros();
        let found = (order..=TOP).find_map(|o| Some((self.free[o as usize].take_first()? << o, 1 << o)));
        let (first, size) = found.or_else(|| self.chunk())?;
        self.used += size;
        self.give(first + lines, size - lines);
        Some(first)
    }

    fn chunk(&mut self) -> Option<(u32, u32)> {
        let first = self.fresh;
        (first < self.lines).then(|| {
            self.fresh += CHUNK;
            (first, CHUNK)
        })
    }

    /// Gives lines back.
    pub(super) fn give(&mut self, mut first: u32, mut lines: u32) {
        self.used -= lines;
        while lines > 0 {
            let order = first.trailing_zeros().min(lines.ilog2());
            self.join(first, order);
            first += 1 << order;
            lines -= 1 << order;
        }
    }

    fn join(&mut self, first: u32, mut order: u32) {
        let mut piece = first >> order;
        while order < TOP && self.free[order as usize].remove(piece ^ 1) {
            piece >>= 1;
            order += 1;
        }
        self.free[order as usize].insert(piece);
    }

    /// Bytes of its own bookkeeping.
    pub(super) fn bytes(&self) -> usize {
        self.free.iter().map(BitSet::bytes).sum()
    }
}

/// A set of small numbers that finds its least one fast.
#[derive(Default)]
struct BitSet {
    words: Vec<u64>,
    /// Bit per word of `words` that is not zero.
    summary: Vec<u64>,
    /// Words of `summary` before this one are zero.
    start: usize,
}

impl BitSet {
    fn insert(&mut self, n: u32) {
        let word = n as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.summary.resize(word / 64 + 1, 0);
        }
        self.words[word] |= 1 << (n % 64);
        self.summary[word / 64] |= 1 << (word % 64);
        self.start = self.start.min(word / 64);
    }

    /// Whether `n` was in the set.
    fn remove(&mut self, n: u32) -> bool {
        let word = n as usize / 64;
        let Some(bits) = self.words.get_mut(word) else {
            return false;
        };
        let there = *bits & 1 << (n % 64) != 0;
        *bits &= !(1 << (n % 64));
        if *bits == 0 {
            self.summary[word / 64] &= !(1 << (word % 64));
        }
        there
    }

    fn take_first(&mut self) -> Option<u32> {
        while *self.summary.get(self.start)? == 0 {
            self.start += 1;
        }
        let word = self.start * 64 + self.summary[self.start].trailing_zeros() as usize;
        let n = word as u32 * 64 + self.words[word].trailing_zeros();
        self.remove(n);
        Some(n)
    }

    fn bytes(&self) -> usize {
        (self.words.capacity() + self.summary.capacity()) * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps_and_everything_joins_again() {
        let mut space = Space::new(64 * CHUNK);
        let mut owner = vec![0u32; 64 * CHUNK as usize];
        let mut held = Vec::new();
        let mut random = 1u64;
        for id in 1..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let lines = 1 + (random >> 40) as u32 % 17;
            if let Some(first) = space.take(lines, 0) {
                let taken = &mut owner[first as usize..(first + lines) as usize];
                assert!(taken.iter().all(|&id| id == 0));
                taken.fill(id);
                held.push((first, lines, id));
            }
            if random >> 63 == 0 && !held.is_empty() {
                let (first, lines, id) = held.swap_remove((random >> 20) as usize % held.len());
                let taken = &mut owner[first as usize..(first + lines) as usize];
                assert!(taken.iter().all(|&owner| owner == id));
                taken.fill(0);
                space.give(first, lines);
            }
            assert_eq!(space.used() as usize, owner.iter().filter(|&&id| id != 0).count());
        }
        for (first, lines, _) in held {
            space.give(first, lines);
        }
        assert_eq!(space.used(), 0);
        let chunks: Vec<_> = std::iter::from_fn(|| space.take(CHUNK, 0)).collect();
        assert_eq!(chunks, (0..64).map(|chunk| chunk * CHUNK).collect::<Vec<_>>());
    }

    #[test]
    fn keeps_what_is_asked_for() {
        let mut space = Space::new(CHUNK + 1);
        assert_eq!(space.take(CHUNK - 3, 4), None);
        assert_eq!(space.take(CHUNK - 4, 4), Some(0));
        assert_eq!(space.take(1, 4), None);
        assert_eq!(space.take(4, 0), Some(CHUNK - 4));
        assert_eq!(space.take(1, 0), None);
    }
}
