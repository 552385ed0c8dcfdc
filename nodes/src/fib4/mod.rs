//! The IPv4 forwarding table: longest-prefix match from an address to a leaf
//! (RFC 1812 section 5.2.4.3), DIR-24-8 (Gupta, Lin, McKeown 1998) with a short
//! tier before it and compressed blocks behind it.
//!
//! ```text
//!  address ─► level 1, a word per /24 ─┬─ word of a route of /13 to /24
//!                                      ├─ block: /25 to /32, one cache line as a rule
//!                                      └─ 0 ─► short tier, a word per /12: /0 to /12
//! ```
//!
//! A tier that has nothing falls through to the next shorter one. So a default
//! route is 4096 words of the short tier and level 1 stays untouched, and no
//! update visits more than 4096 words (see `word`).
//!
//! # What readers see
//!
//! Lookups take no lock and never wait. An answer is always one that was right
//! at some moment of the lookup:
//!
//! * A route is one word, stored at once. Every store that makes something
//!   reachable is a release, every load on the way an acquire.
//! * Which addresses of a block are holes never changes while the block lives
//!   (see `blocks`); such a change is a new block, published by one store.
//!   A replaced block is never written again until it is reclaimed (see
//!   `readers`), so who still reads it sees its last state, which was right when
//!   it was replaced.
//! * A word of 0 and the short word loaded after it are two loads, between which
//!   a route of /13 to /24 may have come and one of /0 to /12 gone. So a lookup
//!   is made again if a change of the short tier has begun since its start. If
//!   none has, then the only change of it that the lookup can meet was under way
//!   when it started; the one writer changes nothing else until that is done, so
//!   the short word is right for as long as the 0 is. In orderings: the writer
//!   stores the version (release: behind all it has published), fences
//!   (release), stores the short words; the lookup loads the version
//!   (acquire: then it sees what was published before), its words, fences
//!   (acquire), loads the version. Who has loaded a new short word loads the new
//!   version. A lookup is made a fixed number of times at most, so it stays
//!   wait-free; for each of these a route of /0 to /12 must have changed within
//!   that very microsecond.
//!
//! Blocks are reused once every registered reader has passed a quiescent point:
//! threads that look up while others write hold a [`Reader`].

#![forbid(unsafe_code)]

mod blocks;
mod prefix;
mod readers;
mod replace;
mod rib;
mod runs;
mod space;
#[cfg(test)]
mod tests;
mod update;
mod word;

use std::collections::BTreeSet;
use std::fmt;
use std::hint::select_unpredictable;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blocks::{Blocks, LINE_BYTES, Lines};
pub use prefix::{Prefix4, Prefix4Error};
pub use readers::Reader;
use readers::Readers;
use swath_api::memory::HugeArray;
use update::Control;
use word::{BLOCK, LEAF, MIDDLE_WORDS, SHORT_WORDS};

/// Most addresses that go through one stage together.
const BATCH: usize = 256;
/// How often a lookup is made while the short tier is being changed.
const ATTEMPTS: usize = 4;

/// An IPv4 forwarding table, shared by all workers and one writer at a time.
pub struct Fib4 {
    level1: HugeArray<AtomicU32>,
    short: Box<[AtomicU32; SHORT_WORDS]>,
    /// Raised before each change of `short`.
    short_version: AtomicU32,
    blocks: Blocks,
    readers: Arc<Readers>,
    /// In a box of its own, so that writing does not take the line of the
    /// fields above from the readers.
    control: Box<Mutex<Control>>,
}

impl Fib4 {
    /// The largest leaf; 0 means no route.
    pub const MAX_LEAF: u32 = LEAF;

    /// An empty table whose second level takes at most `block_bytes`: 64 per
    /// /24 with routes of /25 to /32, more where these are many. A sixteenth is
    /// kept for removals. At least 4 KiB, at most 8 GiB.
    ///
    /// # Errors
    /// What `mmap` says when the address space cannot be had.
    pub fn new(block_bytes: usize) -> std::io::Result<Fib4> {
        let lines = (block_bytes / LINE_BYTES).clamp(64, LEAF as usize) as u32;
        Ok(Fib4 {
            level1: HugeArray::new(MIDDLE_WORDS)?,
            short: Box::new([const { AtomicU32::new(0) }; SHORT_WORDS]),
            short_version: AtomicU32::new(0),
            blocks: Blocks::new(lines)?,
            readers: Arc::default(),
            control: Box::new(Mutex::new(Control::new(lines))),
        })
    }

    /// The leaf of the longest route over `addr`, 0 if there is none.
    #[inline]
    pub fn lookup(&self, addr: u32) -> u32 {
        let mut leaf = [0];
        self.lookup_batch(&[addr], &mut leaf);
        leaf[0]
    }

    /// Looks up `addrs` into `leaves`, as far as both reach.
    #[inline]
    pub fn lookup_batch(&self, addrs: &[u32], leaves: &mut [u32]) {
        let count = addrs.len().min(leaves.len());
        for (addrs, leaves) in addrs[..count].chunks(BATCH).zip(leaves[..count].chunks_mut(BATCH)) {
            for _ in 0..ATTEMPTS {
                let version = self.short_version.load(Ordering::Acquire);
                self.lookup_stages(addrs, leaves);
                fence(Ordering::Acquire);
                if self.short_version.load(Ordering::Relaxed) == version {
                    break;
                }
            }
        }
    }

    /// Level 1 and the short tier for all, then the blocks that this needs.
    #[inline]
    fn lookup_stages(&self, addrs: &[u32], leaves: &mut [u32]) {
        let Some(level1) = self.level1.first_chunk::<MIDDLE_WORDS>() else {
            return;
        };
        let short = &*self.short;
        let mut any = 0;
        let mut look_up = |addr: u32, leaf: &mut u32| {
            let word = level1[(addr >> 8) as usize].load(Ordering::Acquire);
            let fallback = short[(addr >> 20) as usize].load(Ordering::Acquire);
            *leaf = select_unpredictable(word == 0, fallback, word);
            any |= word;
        };
        // LLVM does not unroll a loop with atomic loads.
        let ((fours, last), (four_leaves, last_leaves)) = (addrs.as_chunks::<4>(), leaves.as_chunks_mut::<4>());
        for (addrs, leaves) in fours.iter().zip(four_leaves) {
            addrs.iter().zip(leaves).for_each(|(addr, leaf)| look_up(*addr, leaf));
        }
        last.iter().zip(last_leaves).for_each(|(addr, leaf)| look_up(*addr, leaf));
        if any & BLOCK == 0 {
            leaves.iter_mut().for_each(|leaf| *leaf &= LEAF);
        } else {
            lookup_blocks(addrs, leaves, short, self.blocks.lines());
        }
    }

    /// Registers the calling thread, or the one that this is sent to, as a reader.
    pub fn register_reader(&self) -> Reader {
        Reader::register(&self.readers)
    }

    /// Says that a leaf is in no route any more. It can mean something else when [`Fib4::seen_by_all`] has come as far as this.
    pub(crate) fn unlinked(&self) -> u64 {
        let _one_writer = self.control();
        let epoch = self.readers.next_epoch();
        self.readers.advance();
        epoch
    }

    /// How far all readers have come.
    pub(crate) fn seen_by_all(&self) -> u64 {
        self.readers.seen_by_all()
    }

    /// The leaf of exactly this prefix.
    pub fn get(&self, prefix: Prefix4) -> Option<u32> {
        self.control().rib.get(prefix)
    }

    /// The longest route over `addr`, as the control plane has it.
    pub fn longest_match(&self, addr: u32) -> Option<(Prefix4, u32)> {
        self.control().rib.longest(addr, 0..=32)
    }

    /// As [`Fib4::longest_match`], without waiting: `None` if routes are being changed.
    pub fn try_longest_match(&self, addr: u32) -> Option<Option<Prefix4>> {
        let control = self.control.try_lock().ok()?;
        Some(control.rib.longest(addr, 0..=32).map(|(prefix, _)| prefix))
    }

    /// All routes, by address and then length.
    pub fn routes(&self) -> Vec<(Prefix4, u32)> {
        self.control().rib.routes()
    }

    /// The prefixes of routes inside of these, without them themselves unless one is inside of another; in any order. The fewer addresses
    /// they have, the less it takes.
    pub fn inside(&self, prefixes: &BTreeSet<Prefix4>) -> Vec<Prefix4> {
        self.control().rib.inside(prefixes)
    }

    /// The number of routes.
    pub fn len(&self) -> usize {
        self.control().rib.len()
    }

    /// Whether there are no routes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it takes.
    pub fn memory(&self) -> Fib4Memory {
        let control = self.control();
        let retired = control.retired.iter().map(|retired| retired.lines as usize).sum::<usize>();
        let used = control.space.used() as usize - retired;
        Fib4Memory {
            level1: control.written.huge_pages() * HUGE_PAGE,
            short: SHORT_WORDS * size_of::<AtomicU32>(),
            blocks: (control.space.touched() as usize * LINE_BYTES).next_multiple_of(HUGE_PAGE),
            blocks_used: used * LINE_BYTES,
            overflow: (used - control.blocks) * LINE_BYTES,
            retired: retired * LINE_BYTES,
            rib: control.rib.bytes(),
            bookkeeping: control.space.bytes() + control.retired.capacity() * size_of::<update::Retired>(),
        }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rest of a batch: `words` are those of level 1, and become leaves. Not
/// inlined, or both loops lack registers.
#[inline(never)]
fn lookup_blocks(addrs: &[u32], words: &mut [u32], short: &[AtomicU32; SHORT_WORDS], lines: Lines<'_>) {
    let mut pending = [0u8; BATCH];
    let mut count = 0;
    for (i, word) in words.iter_mut().enumerate() {
        pending[count % BATCH] = i as u8;
        count += (*word / BLOCK) as usize;
        *word &= LEAF;
    }
    let pending = pending.get(..count).unwrap_or_default();
    for &i in pending {
        if let Some(&block) = words.get(usize::from(i)) {
            lines.prefetch(block);
        }
    }
    for &i in pending {
        if let (Some(&addr), Some(word)) = (addrs.get(usize::from(i)), words.get_mut(usize::from(i))) {
            let found = lines.lookup(*word, addr);
            let fallback = short[(addr >> 20) as usize].load(Ordering::Acquire);
            *word = select_unpredictable(found == 0, fallback, found) & LEAF;
        }
    }
}

const HUGE_PAGE: usize = 2 << 20;

/// Bytes that a [`Fib4`] takes, by part. Level 1 and the blocks are counted in
/// huge pages of 2 MiB once anything was written there; without huge pages they
/// take less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fib4Memory {
    /// Level 1, at most 64 MiB.
    pub level1: usize,
    /// The short tier.
    pub short: usize,
    /// Memory of the second level, used now or ever.
    pub blocks: usize,
    /// Of `blocks`: in use.
    pub blocks_used: usize,
    /// Of `blocks_used`: beyond the first line of each block.
    pub overflow: usize,
    /// Of `blocks`: replaced, waiting for readers.
    pub retired: usize,
    /// The control plane's copy of the routes.
    pub rib: usize,
    /// Lists of free and retired blocks.
    pub bookkeeping: usize,
}

impl Fib4Memory {
    /// All of it.
    pub fn total(&self) -> usize {
        self.level1 + self.short + self.blocks + self.rib + self.bookkeeping
    }
}

/// Why a change of a [`Fib4`] was refused; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fib4Error {
    /// The leaf is 0 or above [`Fib4::MAX_LEAF`].
    Leaf {
        /// The leaf.
        leaf: u32,
    },
    /// The second level has reached its limit.
    Full {
        /// The limit in bytes.
        limit: usize,
        /// Bytes of it that were replaced and wait for readers.
        retired: usize,
    },
}

impl fmt::Display for Fib4Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fib4Error::Leaf { leaf } => write!(f, "leaf {leaf} is not between 1 and {}", Fib4::MAX_LEAF),
            Fib4Error::Full { limit, retired } => write!(
                f,
                "the memory for routes of /25 to /32 is full ({limit} bytes, of which {retired} wait for readers); raise its limit"
            ),
        }
    }
}

impl std::error::Error for Fib4Error {}
