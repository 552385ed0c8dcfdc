//! When nothing is on its way between threads any more: each says how much it has ever sent and taken, and none begins anything new.
//!
//! The sums alone do not tell: of two things, one may have been taken and not yet be counted as sent, and the other the other way round. So a
//! thread says before it takes anything that it is at work, and counts before it says that it rests again. Who finds all of them at rest, and
//! at rest since, has seen counts that were all true at one moment; if they are equal then, nothing was on its way, and since nobody was at work,
//! nothing can have come after.

use std::fmt;
use std::sync::atomic::Ordering;

use super::{Arc, AtomicUsize, fence};

/// What a thread says, on cache lines of its own.
#[repr(align(128))]
struct Word {
    /// The ebb that it takes part in, by number.
    joined: AtomicUsize,
    /// Odd while it is at work.
    round: AtomicUsize,
    sent: AtomicUsize,
    taken: AtomicUsize,
}

struct Shared {
    /// The last ebb that has come, by number.
    come: AtomicUsize,
    words: Box<[Word]>,
}

/// One for each of so many threads.
pub fn ebbs(threads: usize) -> Vec<Ebb> {
    let new = || AtomicUsize::new(0);
    let words = (0..threads).map(|_| Word { joined: new(), round: new(), sent: new(), taken: new() });
    let shared = Arc::new(Shared { come: new(), words: words.collect() });
    (0..threads).map(|thread| Ebb { shared: Arc::clone(&shared), thread, round: 0 }).collect()
}

/// What one thread waits by.
pub struct Ebb {
    shared: Arc<Shared>,
    thread: usize,
    round: usize,
}

impl Ebb {
    /// Takes part in an ebb, whose number is higher than that of all before. From here on this thread begins nothing new, and sends and takes
    /// only between [`Ebb::work`] and [`Ebb::rest`]. So much it has sent and taken until now.
    pub fn join(&mut self, number: usize, sent: usize, taken: usize) {
        self.work();
        self.rest(sent, taken);
        // Release: who sees it sees the counts.
        self.shared.words[self.thread].joined.store(number, Ordering::Release);
    }

    /// Before this thread takes anything.
    pub fn work(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.shared.words[self.thread].round.store(self.round, Ordering::Relaxed);
        // Before all that is taken and sent from here on.
        fence(Ordering::SeqCst);
    }

    /// After it has sent what came of that. So much it has ever sent and taken.
    pub fn rest(&mut self, sent: usize, taken: usize) {
        let word = &self.shared.words[self.thread];
        word.sent.store(sent, Ordering::Relaxed);
        word.taken.store(taken, Ordering::Relaxed);
        self.round = self.round.wrapping_add(1);
        // Release: who sees it at rest sees the counts, and all that it has seen itself.
        word.round.store(self.round, Ordering::Release);
    }

    /// Whether nothing is on its way, nor can be until all have gone on. To be asked at rest.
    pub fn has_come(&self, number: usize) -> bool {
        let Shared { come, words } = &*self.shared;
        if come.load(Ordering::Acquire) == number {
            return true;
        }
        // Of whoever has gone on already, the ebb had come.
        let joined = |word: &Word| word.joined.load(Ordering::Acquire) == number;
        if !words.iter().all(joined) {
            return false;
        }
        let sum =
            |of: fn(&Word) -> &AtomicUsize| words.iter().map(|word| of(word).load(Ordering::Acquire)).fold(0, usize::wrapping_add);
        let at_rest = |word: &Word| word.round.load(Ordering::Acquire).is_multiple_of(2);
        // The sum of rounds stands for all of them: each only goes up.
        let before = sum(|word| &word.round);
        if !words.iter().all(at_rest) {
            return false;
        }
        let (taken, sent) = (sum(|word| &word.taken), sum(|word| &word.sent));
        fence(Ordering::SeqCst);
        let still = sum(|word| &word.round) == before;
        if still && taken == sent {
            come.store(number, Ordering::Release);
        }
        still && taken == sent
    }
}

impl fmt::Debug for Ebb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ebb(thread {} of {})", self.thread, self.shared.words.len())
    }
}
