//! For each value of a field, the set of rules that take it, as bits.
//!
//! Of up to 1024 rules a set is one array of words. Of more it is 64 rules to a word, 8 words to a line, 8 lines to a page. A page has a word
//! of its own that says which of its words are not 0 (the *summary*). Lines that are the same are stored once: of most lines, most values
//! of a field have the same rules, those that do not ask for it.

use hashbrown::HashMap;

/// Rules in a page.
pub(super) const PAGE: usize = 64 * 64;

/// Most rules of which sets are whole arrays, of so many words.
pub(super) const WHOLE: [usize; 3] = [64, 4 * 64, 16 * 64];

/// Most bytes that the lines of one field may take; what is beyond is compared rule by rule.
const MOST_LINES: usize = (64 << 20) / size_of::<Line>();

/// A set of rules by their places, while tables are made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

    /// Takes in another one.
    pub(super) fn add(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// As many words as there are at most.
    pub(super) fn words<const WORDS: usize>(&self) -> [u64; WORDS] {
        std::array::from_fn(|word| self.0.get(word).copied().unwrap_or(0))
    }

    /// What is in both.
    pub(super) fn and(&self, other: &Set) -> Set {
        Set(self.0.iter().zip(&other.0).map(|(word, other)| word & other).collect())
    }
}

/// The sets of all values of a field, for one group of rules.
pub(super) enum Rows {
    One(Vec<[u64; 1]>),
    Four(Vec<[u64; 4]>),
    Sixteen(Vec<[u64; 16]>),
    Paged(Paged),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(align(64))]
struct Line([u64; 8]);

/// Sets in pages.
pub(super) struct Paged {
    // By page, then by value.
    summaries: Vec<u64>,
    places: Vec<[u32; 8]>,
    lines: Vec<Line>,
    values: usize,
}

impl Paged {
    /// The summaries of a page, by value.
    #[inline(always)]
    pub(super) fn summaries(&self, page: usize) -> &[u64] {
        &self.summaries[page * self.values..][..self.values]
    }

    /// Where the lines of a page are, by value.
    #[inline(always)]
    pub(super) fn places(&self, page: usize) -> &[[u32; 8]] {
        &self.places[page * self.values..][..self.values]
    }

    /// A word of a page of the set of rules that take a value, by what [`Paged::places`] says of it.
    #[inline(always)]
    pub(super) fn word(&self, places: &[u32; 8], word: usize) -> u64 {
        self.lines[places[word / 8 % 8] as usize].0[word % 8]
    }

    /// Bytes.
    pub(super) fn memory(&self) -> usize {
        self.summaries.capacity() * 8 + self.places.capacity() * 32 + self.lines.capacity() * size_of::<Line>()
    }
}

/// Makes [`Rows`], value by value.
pub(super) enum Builder {
    Whole(Rows),
    Paged(Pages),
}

pub(super) struct Pages {
    rules: usize,
    // By value, then by page.
    rows: Vec<(u64, [u32; 8])>,
    lines: Vec<Line>,
    known: HashMap<Line, u32>,
}

impl Builder {
    /// For the sets of so many rules.
    pub(super) fn new(rules: usize) -> Builder {
        match WHOLE.iter().position(|most| rules <= *most) {
            Some(0) => Builder::Whole(Rows::One(Vec::new())),
            Some(1) => Builder::Whole(Rows::Four(Vec::new())),
            Some(_) => Builder::Whole(Rows::Sixteen(Vec::new())),
            None => Builder::Paged(Pages { rules, rows: Vec::new(), lines: Vec::new(), known: HashMap::new() }),
        }
    }

    /// The set of the next value.
    pub(super) fn push(&mut self, set: &Set) {
        match self {
            Builder::Whole(Rows::One(rows)) => rows.push(set.words()),
            Builder::Whole(Rows::Four(rows)) => rows.push(set.words()),
            Builder::Whole(Rows::Sixteen(rows)) => rows.push(set.words()),
            Builder::Whole(Rows::Paged(_)) => {}
            Builder::Paged(pages) => pages.push(set),
        }
    }

    /// `None` if the sets take too much memory.
    pub(super) fn finish(self) -> Option<Rows> {
        match self {
            Builder::Whole(rows) => Some(rows),
            Builder::Paged(pages) => pages.finish().map(Rows::Paged),
        }
    }
}

impl Pages {
    fn push(&mut self, set: &Set) {
        for page in set.0.chunks(64) {
            let summary = page.iter().zip(0..).fold(0, |summary, (word, bit)| summary | u64::from(*word != 0) << bit);
            let mut places = [0; 8];
            for (place, words) in places.iter_mut().zip(page.chunks(8)) {
                let mut line = Line::default();
                line.0[..words.len()].copy_from_slice(words);
                *place = *self.known.entry(line).or_insert_with(|| {
                    self.lines.push(line);
                    self.lines.len() as u32 - 1
                });
            }
            self.rows.push((summary, places));
        }
    }

    fn finish(self) -> Option<Paged> {
        if self.lines.len() > MOST_LINES {
            return None;
        }
        let pages = self.rules.div_ceil(PAGE);
        let by_page = |page: usize| self.rows.iter().skip(page).step_by(pages);
        let summaries = (0..pages).flat_map(|page| by_page(page).map(|row| row.0)).collect();
        let places = (0..pages).flat_map(|page| by_page(page).map(|row| row.1)).collect();
        Some(Paged { summaries, places, lines: self.lines, values: self.rows.len() / pages })
    }
}
