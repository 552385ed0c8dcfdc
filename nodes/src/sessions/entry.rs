//! A session, and how it is referred to.

use serde::{Deserialize, Serialize};
use zerocopy::FromZeros;

use super::key::FlowKey;
use super::state::State;
use super::time::Moment;

/// A session. One cache line with keys of IPv4, two with those of IPv6.
#[derive(Clone, Copy, Debug, FromZeros)]
#[repr(C, align(64))]
pub struct Session<K> {
    /// Odd while it is in use.
    pub(super) generation: u32,
    /// When a packet prolonged it last.
    pub(super) seen: Moment,
    pub(super) created: Moment,
    /// Neighbours in the slot of a wheel, 0 at the ends; of a free one, `next` is the next free one.
    pub(super) next: u32,
    pub(super) previous: u32,
    /// The place of its source's counter, 0 without.
    pub(super) source: u32,
    pub(super) data: u32,
    pub(super) state: u8,
    /// The slot of the wheel of its class that it is in.
    pub(super) slot: u8,
    /// Of the rules that have permitted it last: see `Sessions::set_epoch`.
    pub(super) epoch: u16,
    pub(super) forward: K,
    pub(super) reverse: K,
}

impl<K: FlowKey> Session<K> {
    /// The key of packets as the first was.
    pub fn forward(&self) -> K {
        self.forward
    }

    /// The key of packets of the other direction.
    pub fn reverse(&self) -> K {
        self.reverse
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        State::of(self.state).unwrap_or(State::Other)
    }

    /// What its owner keeps with it.
    pub fn data(&self) -> u32 {
        self.data
    }
}

/// Names a session for as long as it lives, and nothing afterwards: generations come round after 2^31 sessions of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Handle {
    pub(super) place: u32,
    pub(super) generation: u32,
}

impl Handle {
    /// Where it lies in its store, from 1 to the capacity: the place of what its owner keeps of it elsewhere.
    #[inline(always)]
    pub fn place(self) -> usize {
        self.place as usize
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// As the packet that has opened the session.
    Forward,
    /// The other way.
    Reverse,
}

/// What a look-up has found: a session, and which way the packet goes; or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// `place:31 | reverse:1`.
    word: u32,
    generation: u32,
}

impl Found {
    /// Nothing: no session has this generation, which is even.
    pub const NONE: Found = Found { word: 0, generation: u32::MAX - 1 };

    #[inline(always)]
    pub(super) fn new(handle: Handle, reverse: bool) -> Found {
        Found { word: handle.place << 1 | u32::from(reverse), generation: handle.generation }
    }

    /// Whether there was one.
    #[inline(always)]
    pub fn is_some(self) -> bool {
        self.generation & 1 == 1
    }

    /// The session, if there was one.
    #[inline]
    pub fn handle(self) -> Option<Handle> {
        self.is_some().then_some(self.raw_handle())
    }

    /// Which way the packet goes.
    #[inline(always)]
    pub fn direction(self) -> Direction {
        if self.is_reverse() { Direction::Reverse } else { Direction::Forward }
    }

    #[inline(always)]
    pub(super) fn is_reverse(self) -> bool {
        self.word & 1 == 1
    }

    #[inline(always)]
    pub(super) fn raw_handle(self) -> Handle {
        Handle { place: self.word >> 1, generation: self.generation }
    }
}
