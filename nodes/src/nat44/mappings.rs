//! Endpoint-independent mappings: which address and port an inside address and port have outside (RFC 4787 REQ-1).

use swath_api::memory::HugeArray;
use swath_api::wire::IpProtocol;
use zerocopy::FromZeros;

use crate::sessions::{Index, Seed};

use super::End;

/// One of them, for as long as it has sessions.
#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C)]
pub(super) struct Mapped {
    inside: u64,
    outside: u64,
    sessions: u32,
    /// The next free one.
    next: u32,
}

impl Mapped {
    pub(super) fn inside(&self) -> End {
        end(self.inside)
    }

    pub(super) fn outside(&self) -> End {
        end(self.outside)
    }

    pub(super) fn sessions(&self) -> u32 {
        self.sessions
    }

    pub(super) fn protocol(&self) -> IpProtocol {
        IpProtocol(self.inside as u8)
    }
}

/// All of a worker.
pub(super) struct Mappings {
    index: Index,
    entries: HugeArray<Mapped>,
    seed: Seed,
    /// The first free place below `high`.
    free: u32,
    /// Places from here on were never used.
    high: u32,
    len: u32,
}

/// What tells keys of one side from those of the other.
const INSIDE: u64 = 0;
const OUTSIDE: u64 = 1;
/// A bit that no word of an address, a port and a protocol has.
const RETIRED: u64 = 1 << 8;

impl Mappings {
    pub(super) fn new(capacity: u32, seed: Seed) -> std::io::Result<Mappings> {
        let entries = HugeArray::new(capacity as usize + 1)?;
        Ok(Mappings { index: Index::new(capacity as usize * 2)?, entries, seed, free: 0, high: 1, len: 0 })
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn get(&self, place: u32) -> Option<&Mapped> {
        self.entries.get(place as usize).filter(|_| place != 0)
    }

    /// The mapping of what is inside.
    pub(super) fn of_inside(&self, inside: End, protocol: IpProtocol) -> Option<u32> {
        let word = word(inside, protocol);
        self.index.find(self.seed.hash([word, INSIDE]), |place| self.entries[place as usize].inside == word)
    }

    /// The mapping of what is outside.
    pub(super) fn of_outside(&self, outside: End, protocol: IpProtocol) -> Option<u32> {
        let word = word(outside, protocol);
        self.index.find(self.seed.hash([word, OUTSIDE]), |place| self.entries[place as usize].outside == word)
    }

    /// Enters one without sessions; `None` if there is no room.
    pub(super) fn enter(&mut self, inside: End, outside: End, protocol: IpProtocol) -> Option<u32> {
        let place = if self.free != 0 { self.free } else { self.high };
        if place as usize >= self.entries.len() {
            return None;
        }
        let (inside, outside) = (word(inside, protocol), word(outside, protocol));
        let (first, second) = (self.seed.hash([inside, INSIDE]), self.seed.hash([outside, OUTSIDE]));
        if !self.index.insert(first, place) {
            return None;
        }
        if !self.index.insert(second, place) {
            self.index.remove(first, place);
            return None;
        }
        if self.free != 0 {
            self.free = self.entries[place as usize].next;
        } else {
            self.high += 1;
        }
        self.entries[place as usize] = Mapped { inside, outside, sessions: 0, next: 0 };
        self.len += 1;
        Some(place)
    }

    /// Nobody inside finds it any more. It stays for the sessions that it has, and goes with the last of them.
    pub(super) fn retire(&mut self, place: u32) {
        let inside = &mut self.entries[place as usize].inside;
        let first = self.seed.hash([*inside, INSIDE]);
        *inside |= RETIRED;
        self.index.remove(first, place);
    }

    /// One session more.
    pub(super) fn hold(&mut self, place: u32) {
        self.entries[place as usize].sessions += 1;
    }

    /// One session less; what the mapping was if that was the last one.
    pub(super) fn release(&mut self, place: u32) -> Option<Mapped> {
        let entry = &mut self.entries[place as usize];
        entry.sessions -= 1;
        if entry.sessions > 0 {
            return None;
        }
        entry.next = std::mem::replace(&mut self.free, place);
        let gone = *entry;
        // So that nobody finds it any more.
        (entry.inside, entry.outside) = (0, 0);
        if gone.inside & RETIRED == 0 {
            self.index.remove(self.seed.hash([gone.inside, INSIDE]), place);
        }
        self.index.remove(self.seed.hash([gone.outside, OUTSIDE]), place);
        self.len -= 1;
        Some(gone)
    }
}

fn word(end: End, protocol: IpProtocol) -> u64 {
    u64::from(end.address) << 32 | u64::from(end.port) << 16 | u64::from(protocol.0)
}

fn end(word: u64) -> End {
    End { address: (word >> 32) as u32, port: (word >> 16) as u16 }
}
