//! Replacing all routes at once.
//!
//! First the blocks of the new table are written beside those of the old one,
//! which may fail and changes nothing. Then every address goes from its old
//! answer to its new one without another between, though two words decide where
//! a /24 falls through to the short tier: where both change, the /24 gets the new
//! answer of the short tier as a base of its own, then the short tier is
//! stored, then the /24 falls through again.

use std::sync::atomic::Ordering;

use super::rib::Rib;
use super::runs::Runs;
use super::update::{Control, check_leaf, set};
use super::word::{self, BLOCK, EXPLICIT, LEAF, PAGE_WORDS, SHORT_WORDS, Tier};
use super::{Fib4, Fib4Error, Prefix4};

/// A route with its word.
type Route = (Prefix4, u32);

/// What is to be published.
struct Plan {
    /// All words of the short tier.
    short: Vec<u32>,
    /// Routes of /13 to /24, covers first.
    middle: Vec<Route>,
    /// Index in level 1 and block of each /24 that has longer ones.
    blocks: Vec<(u32, u32)>,
}

impl Fib4 {
    /// Makes these the routes of the table; of several leaves for a prefix the
    /// last one counts. Routes in both tables are not disturbed. The second level
    /// must have room for the old and the new blocks, where these differ.
    pub fn replace_all(&self, routes: impl IntoIterator<Item = (Prefix4, u32)>) -> Result<(), Fib4Error> {
        let mut routes: Vec<_> = routes.into_iter().collect();
        routes.iter().try_for_each(|&(_, leaf)| check_leaf(leaf))?;
        routes.sort_by_key(|&(prefix, _)| prefix);
        routes.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });

        let control = &mut *self.control();
        self.reclaim(control);
        let blocks = self.build_blocks(control, &routes)?;
        let tier = |tier| {
            let routes = routes.iter().filter(move |(prefix, _)| Tier::of(prefix.len()) == tier);
            routes.map(|&(prefix, leaf)| (prefix, word::word(prefix, leaf)))
        };
        let mut short = vec![0; SHORT_WORDS];
        for (prefix, word) in tier(Tier::Short) {
            short[(prefix.addr() >> 20) as usize..=(prefix.last() >> 20) as usize].fill(word);
        }
        let plan = Plan { short, middle: tier(Tier::Middle).collect(), blocks };

        self.publish(control, &plan);
        if self.short.iter().zip(&plan.short).any(|(old, &new)| old.load(Ordering::Relaxed) != new) {
            self.begin_short();
            self.short.iter().zip(&plan.short).for_each(|(short, &word)| _ = set(short, word));
            self.publish(control, &plan);
        }
        self.readers.advance();
        self.reclaim(control);
        control.rib = Rib::of(&routes);
        Ok(())
    }

    /// Writes the blocks for these sorted routes; one that is as it is now is
    /// taken over.
    fn build_blocks(&self, control: &mut Control, routes: &[(Prefix4, u32)]) -> Result<Vec<(u32, u32)>, Fib4Error> {
        let mut built = Vec::new();
        let mut long = routes.iter().filter(|(prefix, _)| Tier::of(prefix.len()) == Tier::Long).peekable();
        while let Some(&&(first, _)) = long.peek() {
            let index = first.addr() >> 8;
            let mut runs = Runs::hole();
            while let Some(&(prefix, leaf)) = long.next_if(|(prefix, _)| prefix.addr() >> 8 == index) {
                runs = runs.paint(prefix.addr() as u8, prefix.last() as u8, |_| word::word(prefix, leaf));
            }
            let now = self.block_at(index);
            let block = match now.filter(|&block| self.blocks.runs(block) == runs) {
                Some(block) => Ok(block),
                None => self.new_block(control, 0, &runs, control.reserve),
            };
            match block {
                Ok(block) => built.push((index, block)),
                Err(error) => {
                    for (index, block) in built {
                        if self.block_at(index) != Some(block) {
                            control.blocks -= 1;
                            control.space.give(block, self.blocks.lines_of(block));
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(built)
    }

    fn block_at(&self, index: u32) -> Option<u32> {
        word::block(self.level1[index as usize].load(Ordering::Relaxed))
    }

    /// Stores the words of level 1 and the bases of blocks.
    fn publish(&self, control: &mut Control, plan: &Plan) {
        let (mut middle, mut blocks) = (&plan.middle[..], &plan.blocks[..]);
        let mut bases = [0; PAGE_WORDS];
        let mut news = [None; PAGE_WORDS];
        for (page, &short) in (0..).zip(&plan.short) {
            let middle = split_off(&mut middle, |(prefix, _)| prefix.addr() >> 20 == page);
            let blocks = split_off(&mut blocks, |(index, _)| index >> 12 == page);
            if middle.is_empty() && blocks.is_empty() && !control.written.contains(page) {
                continue;
            }
            bases.fill(0);
            news.fill(None);
            let place = |index: u32| index as usize % PAGE_WORDS;
            for &(prefix, word) in middle {
                bases[place(prefix.addr() >> 8)..=place(prefix.last() >> 8)].fill(word);
            }
            for &(index, block) in blocks {
                news[place(index)] = Some(block);
            }
            let moves = self.short[page as usize].load(Ordering::Relaxed) != short;
            let own = moves.then_some(EXPLICIT | short & LEAF);
            let first = page * PAGE_WORDS as u32;
            for (index, (&base, &new)) in (first..).zip(bases.iter().zip(&news)) {
                self.publish_one(control, index, base, new, own);
            }
        }
    }

    /// Gives a /24 its base and its block, in one store that readers see. If it
    /// falls through or will do so, the base is `own` as long as that is there.
    fn publish_one(&self, control: &mut Control, index: u32, base: u32, new: Option<u32>, own: Option<u32>) {
        let entry = self.level1[index as usize].load(Ordering::Relaxed);
        let untouched = entry == 0 && base == 0 && new.is_none();
        if untouched {
            return;
        }
        let base = own.filter(|_| base == 0).unwrap_or(base);
        if let Some(block) = new {
            self.blocks.set_base(block, base);
        }
        self.set_level1(control, index, new.map_or(base, |block| BLOCK | block));
        let old = word::block(entry);
        if let Some(block) = old.filter(|_| old != new) {
            self.retire(control, block);
        }
    }
}

/// Takes the items at the front that are `wanted`.
fn split_off<'a, T>(items: &mut &'a [T], wanted: impl Fn(&T) -> bool) -> &'a [T] {
    let (front, rest) = items.split_at(items.iter().take_while(|item| wanted(item)).count());
    *items = rest;
    front
}
