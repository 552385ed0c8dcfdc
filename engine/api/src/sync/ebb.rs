//! When nothing is on its way between threads any more: each says how much it has ever sent and taken, and none begins anything new.
//!
//! The sums alone do not tell: of two things, one may have been taken and not yet be counted as sent, and the other the other way round. So a
//! thread says before it takes anything that it is at work, and counts before it says that it rests again. Who finds all of them at rest, and
//! at rest since, has seen counts that were all true at one moment; if they are equal then, nothing was on its way, and since nobody was at work,
//! nothing can have come after.
//!
//! Nobody waits for one that does not come: a thread *announces* that it could begin, and goes on with what it does until all have; and one
//! that has waited for too long *leaves*. That ends the attempt for all of them: whether it has come or was left is decided by one word, so that
//! no thread believes the one and another the other. The next attempt has the next number, for which all announce themselves anew.

use std::fmt;
use std::sync::atomic::Ordering;

use super::{Arc, AtomicUsize, fence};

/// What a thread says, on cache lines of its own.
#[repr(align(128))]
struct Word {
    /// The attempt that it could begin.
    announced: AtomicUsize,
    /// The attempt that it takes part in.
    joined: AtomicUsize,
    /// Odd while it is at work.
    round: AtomicUsize,
    sent: AtomicUsize,
    taken: AtomicUsize,
}

struct Shared {
    /// The number of the attempt, and in the lowest bit whether it has come.
    state: AtomicUsize,
    words: Box<[Word]>,
}

/// One for each of so many threads.
pub fn ebbs(threads: usize) -> Vec<Ebb> {
    let new = || AtomicUsize::new(0);
    let words = (0..threads).map(|_| Word { announced: new(), joined: new(), round: new(), sent: new(), taken: new() });
    let shared = Arc::new(Shared { state: AtomicUsize::new(COME), words: words.collect() });
    (0..threads).map(|thread| Ebb { shared: Arc::clone(&shared), thread, round: 0, attempt: 0 }).collect()
}

/// The bit that says that an attempt has come.
const COME: usize = 1;

/// What one thread waits by.
pub struct Ebb {
    shared: Arc<Shared>,
    thread: usize,
    round: usize,
    /// The attempt that it has announced, as a state that has not come.
    attempt: usize,
}

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tide {
    /// Something may be on its way.
    Runs,
    /// Nothing is, nor can be until all have gone on.
    Out,
    /// Somebody has left.
    Broken,
}

impl Ebb {
    /// Says that this thread could begin. Returns whether all could: then it is to [`Ebb::join`].
    pub fn announce(&mut self) -> bool {
        let Shared { state, words } = &*self.shared;
        let mut attempt = state.load(Ordering::Acquire);
        if attempt & COME != 0 {
            // The one before; the first who comes begins the next, and nobody can have got further without this thread.
            attempt = match state.compare_exchange(attempt, attempt + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(come) => come + 1,
                Err(begun) => begun,
            };
        }
        self.attempt = attempt;
        words[self.thread].announced.store(attempt, Ordering::Release);
        words.iter().all(|word| word.announced.load(Ordering::Acquire) == attempt)
    }

    /// Takes part. From here on this thread begins nothing new, and sends and takes only between [`Ebb::work`] and [`Ebb::rest`], until it
    /// is [`Tide::Out`], or this thread has [left](Ebb::leave). So much it has sent and taken until now.
    pub fn join(&mut self, sent: usize, taken: usize) {
        self.work();
        self.rest(sent, taken);
        // Release: who sees it sees the counts.
        self.shared.words[self.thread].joined.store(self.attempt, Ordering::Release);
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

    /// How it stands. To be asked at rest.
    pub fn tide(&self) -> Tide {
        let Shared { state, words } = &*self.shared;
        match state.load(Ordering::Acquire) {
            now if now == self.attempt => {}
            // Of whoever has gone on already, the ebb had come.
            now if now == self.attempt + COME => return Tide::Out,
            _ => return Tide::Broken,
        }
        let joined = |word: &Word| word.joined.load(Ordering::Acquire) == self.attempt;
        if !words.iter().all(joined) {
            return Tide::Runs;
        }
        let sum =
            |of: fn(&Word) -> &AtomicUsize| words.iter().map(|word| of(word).load(Ordering::Acquire)).fold(0, usize::wrapping_add);
        let at_rest = |word: &Word| word.round.load(Ordering::Acquire).is_multiple_of(2);
        // The sum of rounds stands for all of them: each only goes up.
        let before = sum(|word| &word.round);
        if !words.iter().all(at_rest) {
            return Tide::Runs;
        }
        let (taken, sent) = (sum(|word| &word.taken), sum(|word| &word.sent));
        fence(Ordering::SeqCst);
        let still = sum(|word| &word.round) == before;
        if !still || taken != sent {
            return Tide::Runs;
        }
        match self.decide(COME) {
            true => Tide::Out,
            false => Tide::Broken,
        }
    }

    /// Waits no longer: this thread goes on as before, and so do all. Returns whether it had come instead. To be asked at rest.
    pub fn leave(&mut self) -> bool {
        // The next attempt is begun with it.
        !self.decide(2) && self.shared.state.load(Ordering::Acquire) == self.attempt + COME
    }

    /// Puts an end to the attempt. Returns whether it is this one.
    fn decide(&self, end: usize) -> bool {
        let next = self.attempt + end;
        let decided = self.shared.state.compare_exchange(self.attempt, next, Ordering::AcqRel, Ordering::Acquire);
        decided.is_ok() || end == COME && decided == Err(next)
    }
}

impl fmt::Debug for Ebb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ebb(thread {} of {})", self.thread, self.shared.words.len())
    }
}
