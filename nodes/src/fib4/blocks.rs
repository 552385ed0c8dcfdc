//! Second-level blocks: the routes from /25 to /32 of one /24.
//!
//! A block begins on a cache line and is as long as its runs need. In words of
//! 64 bits:
//!
//! | word | meaning |
//! |---|---|
//! | 0 to 3 | bit per address: a run starts here (never set for address 0) |
//! | 4, low half | base: word of the longest route of /13 to /24 over this /24 |
//! | 4, high half | byte i: how many bits are set in words 0 to i - 1 |
//! | 5 on | words of the runs, two in each, the even one in the low half |
//!
//! Up to 6 runs, which is two prefixes apart from each other with the holes
//! around them, are one line; 256 runs are 17 lines.
//!
//! While a block can be reached, the writer stores in place only the base and
//! words of runs that are and stay routes. All else is a new block.

use std::hint::select_unpredictable;
use std::sync::atomic::{AtomicU64, Ordering};

use super::runs::Runs;
use swath_api::kernel::prefetch_slice as prefetch;
use swath_api::memory::HugeArray;

/// Bytes of a line, the unit of allocation.
pub(super) const LINE_BYTES: usize = 64;
const LINE_WORDS: usize = LINE_BYTES / 8;
const HEAD: usize = 4;
const FIRST_RUN: usize = 5;
/// Lines of the largest block.
pub(super) const MAX_LINES: u32 = (FIRST_RUN as u32 + 256 / 2).div_ceil(LINE_WORDS as u32);

/// Lines of a block of so many runs.
pub(super) fn lines(runs: &Runs) -> u32 {
    lines_for(runs.words().len())
}

fn lines_for(runs: usize) -> u32 {
    (FIRST_RUN + runs.div_ceil(2)).div_ceil(LINE_WORDS) as u32
}

/// The memory of all blocks. A block's number is that of its first line.
pub(super) struct Blocks {
    words: HugeArray<AtomicU64>,
}

impl Blocks {
    /// Room for so many lines, not committed yet.
    pub(super) fn new(lines: u32) -> std::io::Result<Blocks> {
        Ok(Blocks { words: HugeArray::new(lines as usize * LINE_WORDS)? })
    }

    /// The blocks as lookups see them.
    #[inline(always)]
    pub(super) fn lines(&self) -> Lines<'_> {
        Lines(self.words.as_chunks().0)
    }

    /// The word of the longest route of /13 to /24.
    pub(super) fn base(&self, block: u32) -> u32 {
        self.word(block, HEAD).load(Ordering::Relaxed) as u32
    }

    /// Stores the base in place.
    pub(super) fn set_base(&self, block: u32, base: u32) {
        let head = self.word(block, HEAD);
        let counts = head.load(Ordering::Relaxed) & !u64::from(u32::MAX);
        head.store(counts | u64::from(base), Ordering::Release);
    }

    /// The runs of a block.
    pub(super) fn runs(&self, block: u32) -> Runs {
        let mut runs = Runs::new();
        let mut push = |start: usize| {
            let run = runs.words().len();
            let pair = self.word(block, FIRST_RUN + run / 2).load(Ordering::Relaxed);
            runs.push(start as u8, (pair >> (32 * (run % 2))) as u32);
        };
        push(0);
        for quarter in 0..4 {
            let mut starts = self.word(block, quarter).load(Ordering::Relaxed);
            while starts != 0 {
                push(64 * quarter + starts.trailing_zeros() as usize);
                starts &= starts - 1;
            }
        }
        runs
    }

    /// Lines that a block takes.
    pub(super) fn lines_of(&self, block: u32) -> u32 {
        let starts = |quarter| self.word(block, quarter).load(Ordering::Relaxed).count_ones() as usize;
        lines_for(1 + (0..4).map(starts).sum::<usize>())
    }

    /// Writes a block that no reader can reach yet.
    pub(super) fn write(&self, block: u32, base: u32, runs: &Runs) {
        let mut starts = [0u64; 4];
        for &start in &runs.starts()[1..] {
            starts[usize::from(start >> 6)] |= 1 << (start & 63);
        }
        let mut head = u64::from(base);
        let mut before = 0;
        for (quarter, bits) in starts.into_iter().enumerate() {
            head |= before << (32 + 8 * quarter);
            before += u64::from(bits.count_ones());
            self.word(block, quarter).store(bits, Ordering::Relaxed);
        }
        self.word(block, HEAD).store(head, Ordering::Relaxed);
        self.store_runs(block, runs);
    }

    /// Stores the words of runs of the same shape in place.
    pub(super) fn store_runs(&self, block: u32, runs: &Runs) {
        for (i, pair) in runs.words().chunks(2).enumerate() {
            let pair = u64::from(pair[0]) | u64::from(*pair.get(1).unwrap_or(&0)) << 32;
            self.word(block, FIRST_RUN + i).store(pair, Ordering::Release);
        }
    }

    fn word(&self, block: u32, index: usize) -> &AtomicU64 {
        &self.words[block as usize * LINE_WORDS + index]
    }
}

/// All blocks, for a batch of lookups.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a>(&'a [[AtomicU64; LINE_WORDS]]);

impl Lines<'_> {
    /// Begins to load a block.
    #[inline(always)]
    pub(super) fn prefetch(self, block: u32) {
        prefetch(self.0, block as usize);
    }

    /// The word of an address, or the base where that is a hole.
    #[inline(always)]
    pub(super) fn lookup(self, block: u32, addr: u32) -> u32 {
        let Some(line) = self.0.get(block as usize) else {
            return 0;
        };
        // Relaxed: written before the block was published and constant since.
        let (quarter, bit) = (addr >> 6 & 3, addr & 63);
        let starts = line[quarter as usize].load(Ordering::Relaxed) & (u64::MAX >> (63 - bit));
        let head = line[HEAD].load(Ordering::Acquire);
        let before = head >> (32 + 8 * quarter) & 0xff;
        let run = before as usize + starts.count_ones() as usize;
        let pair = self.0.as_flattened().get(block as usize * LINE_WORDS + FIRST_RUN + run / 2);
        let word = (pair.map_or(0, |pair| pair.load(Ordering::Acquire)) >> (32 * (run % 2))) as u32;
        select_unpredictable(word == 0, head as u32, word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6, 7, 22, 23, 246, 247 and 256 runs are the edges of one line, two, 16 and 17.
    #[test]
    fn a_block_gives_back_what_was_written() {
        let blocks = Blocks::new(18).unwrap();
        for (count, expected) in [(1, 1), (2, 1), (6, 1), (7, 2), (22, 2), (23, 3), (246, 16), (247, 17), (256, 17)] {
            let mut runs = Runs::new();
            for run in 0..count {
                let hole = run % 3 == 2;
                runs.push((run * 256 / count) as u8, if hole { 0 } else { run as u32 + 1 });
            }
            blocks.write(1, 77, &runs);
            assert_eq!((blocks.lines_of(1), lines(&runs)), (expected, expected), "{count}");
            assert_eq!(blocks.runs(1), runs);
            assert_eq!(blocks.base(1), 77);
            for host in 0..=255 {
                let run = runs.starts().iter().rposition(|&start| start <= host).unwrap();
                let expected = if runs.words()[run] == 0 { 77 } else { runs.words()[run] };
                assert_eq!(blocks.lines().lookup(1, u32::from(host)), expected, "{count} runs, host {host}");
            }
            blocks.set_base(1, 78);
            assert_eq!((blocks.base(1), blocks.runs(1)), (78, runs));
        }
    }
}
