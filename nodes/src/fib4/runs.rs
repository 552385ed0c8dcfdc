//! A /24 as the writer sees it: the words of its 256 addresses as runs.

/// Runs of equal words over the 256 addresses of a /24, in order and without
/// gaps; the first starts at 0, neighbours differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Runs {
    len: usize,
    starts: [u8; 256],
    words: [u32; 256],
}

impl Runs {
    /// No runs yet; the first [`push`](Runs::push) must be at 0.
    pub(super) fn new() -> Runs {
        Runs { len: 0, starts: [0; 256], words: [0; 256] }
    }

    /// One run: no route of the long tier.
    pub(super) fn hole() -> Runs {
        Runs { len: 1, ..Runs::new() }
    }

    /// Whether it is one hole.
    pub(super) fn is_hole(&self) -> bool {
        self.words() == [0]
    }

    /// First address of each run.
    pub(super) fn starts(&self) -> &[u8] {
        &self.starts[..self.len]
    }

    /// Word of each run.
    pub(super) fn words(&self) -> &[u32] {
        &self.words[..self.len]
    }

    /// Appends a run that begins at `start`, joined with the one before if equal.
    pub(super) fn push(&mut self, start: u8, word: u32) {
        if self.words().last() != Some(&word) {
            self.starts[self.len] = start;
            self.words[self.len] = word;
            self.len += 1;
        }
    }

    /// The runs after `change` of the words from `first` to `last`.
    pub(super) fn paint(&self, first: u8, last: u8, change: impl Fn(u32) -> u32) -> Runs {
        let mut painted = Runs::new();
        for (i, (&start, &word)) in self.starts().iter().zip(self.words()).enumerate() {
            let end = self.starts().get(i + 1).map_or(255, |next| next - 1);
            if end < first || last < start {
                painted.push(start, word);
                continue;
            }
            if start < first {
                painted.push(start, word);
            }
            painted.push(start.max(first), change(word));
            if last < end {
                painted.push(last + 1, word);
            }
        }
        painted
    }

    /// Whether a block of `self` can become one of `new` by storing words in
    /// place: equal starts, and no hole made or filled. A hole must stay one as
    /// long as its block lives, since readers ask for the base after they saw it.
    pub(super) fn same_shape(&self, new: &Runs) -> bool {
        let holes = |runs: &Runs, i: usize| runs.words[i] == 0;
        self.starts() == new.starts() && (0..self.len).all(|i| holes(self, i) == holes(new, i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn painting_splits_joins_and_keeps() {
        let one = Runs::hole().paint(64, 127, |_| 7);
        assert_eq!((one.starts(), one.words()), (&[0, 64, 128][..], &[0, 7, 0][..]));
        let two = one.paint(128, 255, |_| 7);
        assert_eq!((two.starts(), two.words()), (&[0, 64][..], &[0, 7][..]));
        let three = two.paint(100, 100, |_| 9);
        assert_eq!((three.starts(), three.words()), (&[0, 64, 100, 101][..], &[0, 7, 9, 7][..]));
        assert!(three.paint(0, 255, |_| 0).is_hole());
        assert_eq!(three.paint(0, 255, |word| word), three);
    }

    #[test]
    fn every_address_a_run() {
        let runs = (0..=255).fold(Runs::hole(), |runs, at| runs.paint(at, at, |_| u32::from(at) + 1));
        assert_eq!(runs.words().len(), 256);
        assert!(runs.words().iter().zip(1..).all(|(&word, n)| word == n));
    }

    #[test]
    fn shape_is_starts_and_holes() {
        let a = Runs::hole().paint(0, 9, |_| 1);
        assert!(a.same_shape(&Runs::hole().paint(0, 9, |_| 2)));
        assert!(!a.same_shape(&Runs::hole().paint(0, 8, |_| 1)));
        assert!(!a.same_shape(&a.paint(10, 255, |_| 3)), "a filled hole");
    }
}
