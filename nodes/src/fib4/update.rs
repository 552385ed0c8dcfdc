//! Inserting and removing single routes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::blocks::{self, LINE_BYTES};
use super::rib::Rib;
use super::runs::Runs;
use super::space::Space;
use super::word::{self, BLOCK, PAGE_WORDS, SHORT_WORDS, Tier, rank, rank_of};
use super::{Fib4, Fib4Error, Prefix4};

/// What only the writer knows.
pub(super) struct Control {
    pub(super) rib: Rib,
    pub(super) space: Space,
    /// Replaced blocks, oldest first.
    pub(super) retired: VecDeque<Retired>,
    /// Blocks in use.
    pub(super) blocks: usize,
    /// What was ever written of level 1.
    pub(super) written: Written,
    /// Lines of the second level.
    pub(super) limit: u32,
    /// Lines that inserts leave free: a removal may need a new block as well.
    pub(super) reserve: u32,
}

/// A replaced block.
pub(super) struct Retired {
    block: u32,
    pub(super) lines: u32,
    /// It is free when all readers have seen this.
    epoch: u64,
}

/// The /12 pages of level 1 that were written, a bit each.
pub(super) struct Written([u64; SHORT_WORDS / 64]);

impl Written {
    fn add(&mut self, page: u32) {
        self.0[page as usize / 64] |= 1 << (page % 64);
    }

    pub(super) fn contains(&self, page: u32) -> bool {
        self.0[page as usize / 64] & 1 << (page % 64) != 0
    }

    /// The number of huge pages that these lie in; each holds 128.
    pub(super) fn huge_pages(&self) -> usize {
        self.0.chunks(2).filter(|bits| **bits != [0, 0]).count()
    }
}

/// Replaced blocks to gather before the readers are looked at again, whose
/// lines are usually in other cores' caches.
const RECLAIM_EVERY: usize = 32;

impl Control {
    pub(super) fn new(lines: u32) -> Control {
        Control {
            rib: Rib::new(),
            space: Space::new(lines),
            retired: VecDeque::new(),
            blocks: 0,
            written: Written([0; _]),
            limit: lines,
            reserve: (lines / 16).max(blocks::MAX_LINES),
        }
    }

    fn full(&self) -> Fib4Error {
        let retired: u32 = self.retired.iter().map(|retired| retired.lines).sum();
        Fib4Error::Full { limit: self.limit as usize * LINE_BYTES, retired: retired as usize * LINE_BYTES }
    }
}

impl Fib4 {
    /// Adds a route, or gives one another leaf; returns the leaf before.
    ///
    /// Visits one block for /25 to /32, at most 2048 words for /13 to /24 and at
    /// most 4096 for /0 to /12. Only /25 to /32 can find the table full.
    pub fn insert(&self, prefix: Prefix4, leaf: u32) -> Result<Option<u32>, Fib4Error> {
        check_leaf(leaf)?;
        let control = &mut *self.control();
        let new = word::word(prefix, leaf);
        let reserve = control.reserve;
        self.change(control, prefix, reserve, |old| if rank(old) <= rank(new) { new } else { old })?;
        Ok(control.rib.insert(prefix, leaf))
    }

    /// Removes a route and returns its leaf, if there was one. The work is as
    /// for [`insert`](Fib4::insert). It can find the table full, but only if readers pass no
    /// quiescent points.
    pub fn remove(&self, prefix: Prefix4) -> Result<Option<u32>, Fib4Error> {
        let control = &mut *self.control();
        if control.rib.get(prefix).is_none() {
            return Ok(None);
        }
        let shortest = Tier::of(prefix.len()).shortest();
        let cover = control.rib.longest(prefix.addr(), shortest..prefix.len());
        let cover = cover.map_or(0, |(prefix, leaf)| word::word(prefix, leaf));
        let own = rank_of(prefix.len());
        self.change(control, prefix, 0, |old| if rank(old) == own { cover } else { old })?;
        Ok(control.rib.remove(prefix))
    }

    /// Changes the words of a prefix's tier over its addresses.
    fn change(&self, control: &mut Control, prefix: Prefix4, reserve: u32, change: impl Fn(u32) -> u32) -> Result<(), Fib4Error> {
        let (first, last) = (prefix.addr(), prefix.last());
        match Tier::of(prefix.len()) {
            Tier::Short => {
                self.begin_short();
                for short in &self.short[(first >> 20) as usize..=(last >> 20) as usize] {
                    set(short, change(short.load(Ordering::Relaxed)));
                }
                Ok(())
            }
            Tier::Middle => {
                for index in first >> 8..=last >> 8 {
                    let old = self.level1[index as usize].load(Ordering::Relaxed);
                    match word::block(old) {
                        Some(block) => self.blocks.set_base(block, change(self.blocks.base(block))),
                        None => self.set_level1(control, index, change(old)),
                    }
                }
                Ok(())
            }
            Tier::Long => self.change_block(control, first, last, reserve, change),
        }
    }

    /// To be called before the first store to the short tier. The release store
    /// puts all changes of level 1 before it, the fence all of the short tier
    /// behind it.
    pub(super) fn begin_short(&self) {
        let version = self.short_version.load(Ordering::Relaxed);
        self.short_version.store(version.wrapping_add(1), Ordering::Release);
        fence(Ordering::Release);
    }

    /// Stores a word of level 1.
    pub(super) fn set_level1(&self, control: &mut Control, index: u32, word: u32) {
        if set(&self.level1[index as usize], word) {
            control.written.add(index / PAGE_WORDS as u32);
        }
    }

    /// Changes the words from `first` to `last`, which are in one /24.
    fn change_block(
        &self,
        control: &mut Control,
        first: u32,
        last: u32,
        reserve: u32,
        change: impl Fn(u32) -> u32,
    ) -> Result<(), Fib4Error> {
        let index = first >> 8;
        let entry = self.level1[index as usize].load(Ordering::Relaxed);
        let old_block = word::block(entry);
        let (base, old) = match old_block {
            Some(block) => (self.blocks.base(block), self.blocks.runs(block)),
            None => (entry, Runs::hole()),
        };
        let new = old.paint(first as u8, last as u8, change);
        if let Some(block) = old_block.filter(|_| old.same_shape(&new)) {
            self.blocks.store_runs(block, &new);
            return Ok(());
        }
        let word = match new.is_hole() {
            true => base,
            false => BLOCK | self.new_block(control, base, &new, reserve)?,
        };
        self.set_level1(control, index, word);
        if let Some(block) = old_block {
            self.retire(control, block);
            self.readers.advance();
            if control.retired.len() % RECLAIM_EVERY == 1 {
                self.reclaim(control);
            }
        }
        Ok(())
    }

    /// Writes a block that is to be published.
    pub(super) fn new_block(&self, control: &mut Control, base: u32, runs: &Runs, reserve: u32) -> Result<u32, Fib4Error> {
        let lines = blocks::lines(runs);
        let block = control.space.take(lines, reserve).or_else(|| {
            self.reclaim(control);
            control.space.take(lines, reserve)
        });
        let block = block.ok_or_else(|| control.full())?;
        control.blocks += 1;
        self.blocks.write(block, base, runs);
        Ok(block)
    }

    /// Puts a block that was just unlinked among those that wait for the readers
    /// to see the next epoch.
    pub(super) fn retire(&self, control: &mut Control, block: u32) {
        control.blocks -= 1;
        let lines = self.blocks.lines_of(block);
        control.retired.push_back(Retired { block, lines, epoch: self.readers.next_epoch() });
    }

    /// Takes back the blocks that no reader can hold any more.
    pub(super) fn reclaim(&self, control: &mut Control) {
        let seen = self.readers.seen_by_all();
        while let Some(free) = control.retired.pop_front_if(|retired| retired.epoch <= seen) {
            control.space.give(free.block, free.lines);
        }
    }
}

/// Refuses a leaf that a word cannot hold.
pub(super) fn check_leaf(leaf: u32) -> Result<(), Fib4Error> {
    match leaf {
        1..=Fib4::MAX_LEAF => Ok(()),
        _ => Err(Fib4Error::Leaf { leaf }),
    }
}

/// Stores a word if it is another one; pages of zeros stay uncommitted so.
pub(super) fn set(word: &AtomicU32, new: u32) -> bool {
    let changed = word.load(Ordering::Relaxed) != new;
    if changed {
        word.store(new, Ordering::Release);
    }
    changed
}
