//! Which chunks the kernel has: what it gives back is only believed if it was given.

/// Bytes of a unit of positions.
const LINE: u64 = swath_api::memory::LINE as u64;

/// A set of chunks, by position in units of 64 bytes.
#[derive(Debug)]
pub(super) struct Chunks {
    words: Box<[u64]>,
    count: usize,
}

impl Chunks {
    /// An empty set of chunks of so many bytes of memory.
    pub fn new(bytes: usize) -> Chunks {
        let lines = bytes.div_ceil(LINE as usize);
        Chunks { words: vec![0; lines.div_ceil(64)].into(), count: 0 }
    }

    /// How many there are.
    #[inline]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Puts one in that is not in it.
    #[inline]
    pub fn insert(&mut self, position: u32) {
        if let Some(word) = self.words.get_mut(position as usize / 64) {
            debug_assert_eq!(*word >> (position % 64) & 1, 0, "a chunk is given away once");
            *word |= 1 << (position % 64);
            self.count += 1;
        }
    }

    /// Takes the chunk out that starts at this byte. `None` if there is none.
    #[inline]
    pub fn remove(&mut self, address: u64) -> Option<u32> {
        let position = u32::try_from(address / LINE).ok()?;
        let word = self.words.get_mut(position as usize / 64)?;
        if !address.is_multiple_of(LINE) || *word >> (position % 64) & 1 == 0 {
            return None;
        }
        *word &= !(1 << (position % 64));
        self.count -= 1;
        Some(position)
    }

    /// Takes all of them out.
    pub fn drain(&mut self) -> Vec<u32> {
        let mut all = Vec::with_capacity(self.count);
        for (at, word) in self.words.iter_mut().enumerate() {
            let mut bits = std::mem::take(word);
            while bits != 0 {
                all.push((at * 64) as u32 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        self.count = 0;
        all
    }
}

/// Whether bytes lie on one page. A kernel that hands pages to a device takes no others, and silently: pages that follow each other in our
/// memory need not do so in the machine's.
#[inline]
pub(super) fn on_one_page(start: u64, bytes: u64, page: u64) -> bool {
    start / page == (start + bytes.max(1) - 1) / page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((any::<bool>(), 0u32..700), 0..300)) {
            let (mut chunks, mut model) = (Chunks::new(640 * 64), BTreeSet::new());
            for (insert, position) in steps {
                if insert && position < 640 {
                    if model.insert(position) {
                        chunks.insert(position);
                    }
                } else {
                    let expected = model.remove(&position).then_some(position);
                    prop_assert_eq!(chunks.remove(u64::from(position) * 64), expected);
                }
                prop_assert_eq!(chunks.count(), model.len());
            }
            prop_assert_eq!(chunks.drain(), model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(chunks.count(), 0);
        }

        /// Against each byte's page.
        #[test]
        fn a_page_is_not_left(start in 0u64..20_000, bytes in 1u64..5000, page in prop_oneof![Just(4096u64), Just(8192)]) {
            let pages: BTreeSet<u64> = (start..start + bytes).map(|byte| byte / page).collect();
            prop_assert_eq!(on_one_page(start, bytes, page), pages.len() == 1);
        }
    }

    #[test]
    fn what_was_not_given_does_not_come_back() {
        let mut chunks = Chunks::new(4096);
        chunks.insert(3);
        assert_eq!(chunks.remove(3 * 64 + 1), None, "not the start of a chunk");
        for address in [0, 4096, 1 << 40, u64::MAX] {
            assert_eq!(chunks.remove(address), None);
        }
        assert_eq!(chunks.remove(3 * 64), Some(3));
        assert_eq!(chunks.remove(3 * 64), None, "twice");
    }

    /// How many chunks of the default size a device without huge pages could be given: what makes copying the better choice there.
    #[test]
    fn of_normal_pages_few_chunks_are_whole() {
        let whole = |page| (0..16_384u64).filter(|chunk| on_one_page(chunk * 2496, 2496, page)).count();
        // A chunk is 39 lines long, a page 64, so all 64 places are as frequent, and at 26 of them a chunk is whole.
        assert_eq!(whole(4096), 16_384 * 26 / 64);
        // 39 MiB have 19 borders.
        assert_eq!(whole(2 << 20), 16_384 - 19);
    }
}
