//! For each value of a field, the set of rules that take it, as bits: 64 rules to a word, 64 words to a page.
//!
//! A page has a word of its own that says which of its words are not 0 (the *summary*), and only these are stored. Pages that are the same
//! are stored once: neighbouring values of a field mostly agree in all pages but one, which keeps the sum of all sets small.

use hashbrown::HashMap;

/// Rules in a page.
pub(super) const PAGE: usize = 64 * 64;

/// Most bytes that the words of one field may take; what is beyond is compared rule by rule.
const MOST_WORDS: usize = 8 << 20;

/// A set of rules by their places, while tables are made.
#[derive(Clone)]
pub(super) struct Set(Vec<u64>);

impl Set {
    /// An empty one for so many rules.
    pub(super) fn new(rules: usize) -> Set {
        Set(vec![0; rules.div_ceil(64)])
    }

    pub(super) fn insert(&mut self, place: u32) {
        self.0[place as usize / 64] |= 1 << (place % 64);
    }

    pub(super) fn remove(&mut self, place: u32) {
        self.0[place as usize / 64] &= !(1 << (place % 64));
    }
}

/// The sets of all values of a field, for one group of rules.
pub(super) struct Rows {
    // By page, then by value.
    summaries: Vec<u64>,
    bases: Vec<u32>,
    words: Vec<u64>,
    values: usize,
}

impl Rows {
    /// A word of a page of the set of rules that take a value.
    #[inline(always)]
    pub(super) fn word(&self, page: usize, value: u32, bit: u32) -> u64 {
        let at = page * self.values + value as usize;
        let summary = self.summaries[at];
        let below = summary & ((1 << bit) - 1);
        let word = self.words.get((self.bases[at] + below.count_ones()) as usize).copied().unwrap_or(0);
        // All bits or none, without a branch.
        word & 0u64.wrapping_sub(summary >> bit & 1)
    }

    /// The summaries of a page, by value. Of a group of at most 64 rules they are the sets themselves.
    #[inline(always)]
    pub(super) fn summaries(&self, page: usize) -> &[u64] {
        &self.summaries[page * self.values..][..self.values]
    }

    /// Bytes.
    pub(super) fn memory(&self) -> usize {
        (self.summaries.capacity() + self.words.capacity()) * 8 + self.bases.capacity() * 4
    }
}

/// Makes [`Rows`], value by value.
pub(super) struct Builder {
    rules: usize,
    // By value, then by page.
    rows: Vec<(u64, u32)>,
    words: Vec<u64>,
    known: HashMap<Box<[u64]>, u32>,
}

impl Builder {
    pub(super) fn new(rules: usize) -> Builder {
        Builder { rules, rows: Vec::new(), words: Vec::new(), known: HashMap::new() }
    }

    /// The set of the next value.
    pub(super) fn push(&mut self, set: &Set) {
        if self.rules <= 64 {
            self.rows.push((set.0.first().copied().unwrap_or(0), 0));
            return;
        }
        for page in set.0.chunks(64) {
            let summary = page.iter().zip(0..).fold(0, |summary, (word, bit)| summary | u64::from(*word != 0) << bit);
            let base = match self.known.get(page) {
                Some(base) => *base,
                None => {
                    let base = self.words.len() as u32;
                    self.words.extend(page.iter().filter(|word| **word != 0));
                    self.known.insert(page.into(), base);
                    base
                }
            };
            self.rows.push((summary, base));
        }
    }

    /// `None` if the sets take too much memory.
    pub(super) fn finish(self) -> Option<Rows> {
        let pages = self.rules.div_ceil(PAGE);
        if self.words.len() > MOST_WORDS || pages == 0 {
            return None;
        }
        let values = self.rows.len() / pages;
        let by_page = |page: usize| self.rows.iter().skip(page).step_by(pages);
        let summaries = (0..pages).flat_map(|page| by_page(page).map(|row| row.0)).collect();
        let bases = (0..pages).flat_map(|page| by_page(page).map(|row| row.1)).collect();
        Some(Rows { summaries, bases, words: self.words, values })
    }
}
