//! The 32-bit forwarding word and the three tiers of prefix lengths.
//!
//! | bits | meaning |
//! |---|---|
//! | 31 | level 1 only: the other bits are the number of a second-level block |
//! | 27 to 30 | rank: place of the prefix length within its tier, from 1 |
//! | 0 to 26 | leaf, from 1 |
//!
//! A word of 0 says: nothing in this tier, ask the tier of shorter prefixes.
//! The rank is for the writer: a route overwrites exactly the words whose rank
//! is not above its own, and its removal those of exactly its rank.

use super::Prefix4;

/// Longest prefix of the short tier, which lives in an array of its own so
/// that neither a default route nor its removal visits level 1. With 12 no
/// insert and no remove visits more than 4096 words.
pub(super) const SHORT_LEN: u8 = 12;
/// Longest prefix of the middle tier, which lives in level 1.
pub(super) const MIDDLE_LEN: u8 = 24;

/// Words of the short tier.
pub(super) const SHORT_WORDS: usize = 1 << SHORT_LEN;
/// Words of level 1.
pub(super) const MIDDLE_WORDS: usize = 1 << MIDDLE_LEN;
/// Words of level 1 that share one word of the short tier.
pub(super) const PAGE_WORDS: usize = MIDDLE_WORDS / SHORT_WORDS;

/// Marks a word of level 1 that holds the number of a block.
pub(super) const BLOCK: u32 = 1 << 31;
/// The leaf of a word, or the block's number.
pub(super) const LEAF: u32 = (1 << RANK_SHIFT) - 1;
/// With any leaf, also 0: an answer that does not fall through.
pub(super) const EXPLICIT: u32 = 1 << RANK_SHIFT;
const RANK_SHIFT: u32 = 27;

/// Where prefixes of a length live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// /0 to /12, in the short array.
    Short,
    /// /13 to /24, in level 1 or, where a /24 has a block, in its base.
    Middle,
    /// /25 to /32, in blocks.
    Long,
}

impl Tier {
    /// The tier of a prefix length.
    pub(super) fn of(len: u8) -> Tier {
        if len <= SHORT_LEN {
            Tier::Short
        } else if len <= MIDDLE_LEN {
            Tier::Middle
        } else {
            Tier::Long
        }
    }

    /// Its shortest prefix length.
    pub(super) fn shortest(self) -> u8 {
        match self {
            Tier::Short => 0,
            Tier::Middle => SHORT_LEN + 1,
            Tier::Long => MIDDLE_LEN + 1,
        }
    }
}

/// The word of a route.
pub(super) fn word(prefix: Prefix4, leaf: u32) -> u32 {
    rank_of(prefix.len()) << RANK_SHIFT | leaf
}

/// The rank of a prefix length within its tier.
pub(super) fn rank_of(len: u8) -> u32 {
    u32::from(len - Tier::of(len).shortest()) + 1
}

/// The rank of a word; 0 for none.
pub(super) fn rank(word: u32) -> u32 {
    word >> RANK_SHIFT
}

/// The block that a word of level 1 names.
pub(super) fn block(word: u32) -> Option<u32> {
    (word & BLOCK != 0).then_some(word & LEAF)
}
