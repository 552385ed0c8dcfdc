//! Blocks of ports that hosts get on demand (RFC 6888 REQ-13, REQ-14; the words are those of RFC 7753): who had an address and a port is
//! known from who had the block, so that blocks are noted and not each flow.
//!
//! A host gets a block with its first mapping, and another one when those that it has are full, up to its quota. A block whose last
//! mapping has gone stays the host's for the hold-off (RFC 6888 REQ-8), and then is nobody's.

use swath_api::memory::HugeArray;
use swath_api::{Journal, Record};
use zerocopy::FromZeros;

use crate::sessions::{Index, Seed};

use super::settings::PortBlocks;

/// Notes that a worker may be ahead of the control side: a host each 2 µs, if that looks every 20 ms.
const NOTES: usize = 1 << 14;

/// What somebody may want to know for years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    at: u64,
    inside: u32,
    outside: u32,
    first: u16,
    last: u16,
    given: bool,
}

impl Note {
    pub(super) fn record(&self) -> Record {
        let address = |bits| std::net::Ipv4Addr::from_bits(bits).to_string();
        Record::new(if self.given { "port-block-allocated" } else { "port-block-released" }, self.at)
            .with("inside", address(self.inside))
            .with("outside", address(self.outside))
            .with("first-port", self.first)
            .with("last-port", self.last)
    }
}

/// The two ends of a worker's notes.
pub(super) fn notes() -> (Journal<Note>, swath_api::JournalReader<Note>) {
    swath_api::journal(NOTES)
}

/// A block, at the place of its number: those of the first address from 1 on, then those of the next.
#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C)]
struct Block {
    /// When its last mapping went, if it has none.
    empty_since: u64,
    user: u32,
    mappings: u32,
    /// The user's next one.
    next: u32,
    /// Its neighbours among those without mappings.
    before: u32,
    after: u32,
    _unused: u32,
}

/// The blocks of an address.
#[derive(Debug)]
struct Address {
    address: u32,
    first_port: u16,
    /// The number of its first one.
    base: u32,
    count: u32,
    /// Those that nobody has, by bit.
    free: Vec<u64>,
}

/// The blocks of a worker.
pub(super) struct Blocks {
    blocks: HugeArray<Block>,
    addresses: Vec<Address>,
    /// By user: its first one.
    users: Index,
    seed: Seed,
    size: u16,
    per_user: u16,
    hold_off: u64,
    /// Those without mappings, in the order in which they lost the last one.
    oldest: u32,
    newest: u32,
    counts: BlockCounts,
    journal: Option<Journal<Note>>,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BlockCounts {
    pub(super) all: u64,
    pub(super) given: u64,
    /// Since the start.
    pub(super) allocated: u64,
    pub(super) released: u64,
}

/// A block that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GivenBlock {
    pub(super) inside: u32,
    pub(super) outside: u32,
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) mappings: u32,
}

impl Blocks {
    /// Those of the parts that a worker has of each address: its first port, and how many.
    pub(super) fn new(parts: &[(u32, u16, u32)], settings: PortBlocks) -> std::io::Result<Blocks> {
        let PortBlocks { size, per_user, hold_off } = settings;
        let mut base = 1;
        let addresses: Vec<Address> = parts
            .iter()
            .map(|&(address, first_port, ports)| {
                let count = ports / u32::from(size);
                let free = (0..count.div_ceil(64)).map(|word| !0 >> (64 - (count - word * 64).min(64))).collect();
                let made = Address { address, first_port, base, count, free };
                base += count;
                made
            })
            .collect();
        Ok(Blocks {
            blocks: HugeArray::new(base as usize)?,
            addresses,
            users: Index::new(base as usize)?,
            seed: Seed::random(),
            size,
            per_user,
            hold_off: hold_off.nanoseconds(),
            oldest: 0,
            newest: 0,
            counts: BlockCounts { all: u64::from(base - 1), ..BlockCounts::default() },
            journal: None,
        })
    }

    /// From here on what happens is noted.
    pub(super) fn note_in(&mut self, journal: Journal<Note>) {
        self.journal = Some(journal);
    }

    pub(super) fn counts(&self) -> BlockCounts {
        self.counts
    }

    /// Finds a port for a mapping of a user: `choose` is asked for one of the range of ports of the address at a place, of blocks that
    /// the user has first. `tried` are the places of the addresses that it may get blocks of; `random` says where to begin there.
    ///
    /// # Errors
    /// `true`: the user has as many blocks as it may. `false`: there is no block that helps.
    pub(super) fn choose<R>(
        &mut self,
        (user, random, now): (u32, u64, u64),
        mut tried: impl Iterator<Item = usize>,
        mut choose: impl FnMut(usize, (u16, u16)) -> Option<R>,
    ) -> Result<R, bool> {
        let (mut number, mut has) = (self.first_of(user), 0);
        while number != 0 {
            let (place, range) = self.range(number);
            if let Some(chosen) = choose(place, range) {
                self.hold(number);
                return Ok(chosen);
            }
            has += 1;
            number = self.blocks[number as usize].next;
        }
        if has >= self.per_user {
            return Err(true);
        }
        let found = tried.find_map(|place| {
            self.free_from(place, random).find_map(|number| Some((number, choose(place, self.range(number).1)?)))
        });
        let (number, chosen) = found.ok_or(false)?;
        self.give(number, user, now);
        self.hold(number);
        Ok(chosen)
    }

    /// As [`Blocks::choose`], and no block is given.
    ///
    /// # Errors
    /// As there.
    pub(super) fn foresee<R>(
        &self,
        user: u32,
        mut tried: impl Iterator<Item = usize>,
        choose: impl Fn(usize, (u16, u16)) -> Option<R>,
    ) -> Result<R, bool> {
        let (mut number, mut has) = (self.first_of(user), 0);
        while number != 0 {
            let (place, range) = self.range(number);
            if let Some(chosen) = choose(place, range) {
                return Ok(chosen);
            }
            has += 1;
            number = self.blocks[number as usize].next;
        }
        if has >= self.per_user {
            return Err(true);
        }
        let free = |place: usize| self.free_from(place, 0).find_map(|number| choose(place, self.range(number).1));
        tried.find_map(free).ok_or(false)
    }

    /// A mapping of a user comes back, with a port of the address at a place: the user has that block, or gets it.
    ///
    /// # Errors
    /// `true`: the user has as many blocks as it may. `false`: it is somebody else's.
    pub(super) fn take(&mut self, (place, port): (usize, u16), user: u32, now: u64) -> Result<(), bool> {
        let number = self.number(place, port).ok_or(false)?;
        if self.is_free(place, number) {
            if self.held_by(user) >= self.per_user {
                return Err(true);
            }
            self.give(number, user, now);
        } else if self.blocks[number as usize].user != user {
            return Err(false);
        }
        self.hold(number);
        Ok(())
    }

    /// How many blocks a user has.
    fn held_by(&self, user: u32) -> u16 {
        let (mut number, mut count) = (self.first_of(user), 0);
        while number != 0 {
            (number, count) = (self.blocks[number as usize].next, count + 1);
        }
        count
    }

    /// The ports of an address at a place: one mapping less.
    pub(super) fn release(&mut self, place: usize, port: u16, now: u64) {
        let Some(number) = self.number(place, port) else { return };
        let block = &mut self.blocks[number as usize];
        block.mappings -= 1;
        if block.mappings == 0 {
            (block.empty_since, block.before, block.after) = (now, self.newest, 0);
            let before = std::mem::replace(&mut self.newest, number);
            match before {
                0 => self.oldest = number,
                before => self.blocks[before as usize].after = number,
            }
        }
    }

    /// Takes blocks back that have been without mappings for the hold-off, `most` at most.
    pub(super) fn expire(&mut self, now: u64, most: usize) {
        for _ in 0..most {
            let number = self.oldest;
            if number == 0 || now.saturating_sub(self.blocks[number as usize].empty_since) < self.hold_off {
                return;
            }
            self.unlink(number);
            self.take_back(number, now);
        }
    }

    /// The blocks that somebody has, of up to `most` from a number on (0 at first), and where to go on.
    pub(super) fn list(&self, from: u32, most: u32, mut visit: impl FnMut(GivenBlock)) -> Option<u32> {
        let from = from.max(1);
        let end = from.saturating_add(most).min(self.blocks.len() as u32);
        for number in from..end {
            let (place, (first, last)) = self.range(number);
            if !self.is_free(place, number) {
                let Block { user: inside, mappings, .. } = self.blocks[number as usize];
                visit(GivenBlock { inside, outside: self.addresses[place].address, first, last, mappings });
            }
        }
        (end < self.blocks.len() as u32).then_some(end)
    }

    fn first_of(&self, user: u32) -> u32 {
        self.users.find(self.hash(user), |number| self.blocks[number as usize].user == user).unwrap_or(0)
    }

    fn hash(&self, user: u32) -> u64 {
        self.seed.hash([user.into(), 0])
    }

    fn place(&self, number: u32) -> usize {
        self.addresses.partition_point(|entry| entry.base + entry.count <= number)
    }

    /// The place of a block's address, and its ports.
    fn range(&self, number: u32) -> (usize, (u16, u16)) {
        let place = self.place(number);
        let Address { first_port, base, .. } = self.addresses[place];
        let first = first_port + (number - base) as u16 * self.size;
        (place, (first, first + (self.size - 1)))
    }

    fn number(&self, place: usize, port: u16) -> Option<u32> {
        let entry = self.addresses.get(place)?;
        let block = u32::from(port.checked_sub(entry.first_port)? / self.size);
        (block < entry.count).then_some(entry.base + block)
    }

    fn is_free(&self, place: usize, number: u32) -> bool {
        let Address { base, ref free, .. } = self.addresses[place];
        let at = (number - base) as usize;
        free[at / 64] >> (at % 64) & 1 != 0
    }

    /// The free blocks of the address at a place, from anywhere on and round.
    fn free_from(&self, place: usize, random: u64) -> impl Iterator<Item = u32> {
        let Address { base, count, ref free, .. } = self.addresses[place];
        let start = (random % u64::from(count.max(1))) as u32;
        let is_free = |at: &u32| free[*at as usize / 64] >> (at % 64) & 1 != 0;
        let none = |at: u32| at.is_multiple_of(64) && free[at as usize / 64] == 0;
        let mut at = (0, start);
        // Words in which there is none are skipped whole.
        std::iter::from_fn(move || {
            while at.0 < count {
                let here = at.1;
                let step = if none(here) { 64.min(count - here) } else { 1 };
                at = (at.0 + step, if here + step >= count { 0 } else { here + step });
                if step == 1 && is_free(&here) {
                    return Some(base + here);
                }
            }
            None
        })
    }

    fn hold(&mut self, number: u32) {
        let block = &mut self.blocks[number as usize];
        block.mappings += 1;
        if block.mappings == 1 && (block.empty_since != NEVER) {
            self.unlink(number);
        }
        self.blocks[number as usize].empty_since = NEVER;
    }

    /// Takes a block out of those without mappings.
    fn unlink(&mut self, number: u32) {
        let Block { before, after, .. } = self.blocks[number as usize];
        match before {
            0 => self.oldest = after,
            before => self.blocks[before as usize].after = after,
        }
        match after {
            0 => self.newest = before,
            after => self.blocks[after as usize].before = before,
        }
    }

    fn give(&mut self, number: u32, user: u32, now: u64) {
        let place = self.place(number);
        let at = (number - self.addresses[place].base) as usize;
        self.addresses[place].free[at / 64] &= !(1 << (at % 64));
        let (hash, first) = (self.hash(user), self.first_of(user));
        let entry = Block { user, empty_since: NEVER, ..Block::new_zeroed() };
        // Behind the first, so that the index need not change.
        if first != 0 {
            let next = std::mem::replace(&mut self.blocks[first as usize].next, number);
            self.blocks[number as usize] = Block { next, ..entry };
        } else {
            self.blocks[number as usize] = entry;
            // There is room for as many users as blocks.
            let _ = self.users.insert(hash, number);
        }
        self.counts.given += 1;
        self.counts.allocated += 1;
        self.note(number, true, now);
    }

    fn take_back(&mut self, number: u32, now: u64) {
        self.note(number, false, now);
        let Block { user, next, .. } = self.blocks[number as usize];
        let (hash, first) = (self.hash(user), self.first_of(user));
        if first == number {
            self.users.remove(hash, number);
            if next != 0 {
                let _ = self.users.insert(hash, next);
            }
        } else {
            let mut at = first;
            while self.blocks[at as usize].next != number {
                at = self.blocks[at as usize].next;
            }
            self.blocks[at as usize].next = next;
        }
        let place = self.place(number);
        let at = (number - self.addresses[place].base) as usize;
        self.addresses[place].free[at / 64] |= 1 << (at % 64);
        self.counts.given -= 1;
        self.counts.released += 1;
    }

    fn note(&mut self, number: u32, given: bool, at: u64) {
        let (place, (first, last)) = self.range(number);
        let (inside, outside) = (self.blocks[number as usize].user, self.addresses[place].address);
        if let Some(journal) = &mut self.journal {
            journal.note(Note { at, inside, outside, first, last, given });
        }
    }
}

/// Of a block that has mappings.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use swath_api::units::Duration;

    use super::*;

    fn blocks(parts: &[(u32, u16, u32)], size: u16, per_user: u16) -> (Blocks, swath_api::JournalReader<Note>) {
        let settings = PortBlocks { size, per_user, hold_off: Duration::from_nanoseconds(100) };
        let (journal, reader) = notes();
        let mut made = Blocks::new(parts, settings).unwrap();
        made.note_in(journal);
        (made, reader)
    }

    /// As one does it by hand: a list of who has what, and of blocks that are empty.
    #[test]
    fn as_by_hand() {
        for seed in 0..50_u64 {
            let parts = [(1, 1000, 1009), (2, 64, 16 * 70), (3, 5, 15)];
            let (size, per_user) = (16_u16, 3);
            let (mut blocks, mut reader) = blocks(&parts, size, per_user);
            // By the first port: user, ports.
            let mut by_hand = BTreeMap::<(usize, u16), (u32, Vec<u16>)>::new();
            let (mut empty, mut log, mut read) = (VecDeque::<((usize, u16), u64)>::new(), Vec::new(), Vec::new());
            let (mut random, mut now) = (seed, 0);
            for _ in 0..4000 {
                random = swath_api::flow::mix(random.wrapping_add(0x9e37_79b9_7f4a_7c15));
                now += random % 7;
                let user = (random >> 8) as u32 % 60;
                let place = user as usize % 2;
                if random >> 60 < 9 {
                    let taken: BTreeMap<_, _> = by_hand.iter().map(|(key, (_, ports))| (*key, ports.clone())).collect();
                    let mut asked = Vec::new();
                    let chosen = blocks.choose((user, random, now), [place].into_iter(), |place, (first, last)| {
                        assert_eq!(last - first, size - 1);
                        asked.push((place, first));
                        let none = Vec::new();
                        let ports = taken.get(&(place, first)).unwrap_or(&none);
                        (first..=last).find(|port| !ports.contains(port)).map(|port| ((place, first), port))
                    });
                    let own: Vec<_> = by_hand.iter().filter(|(_, (owner, _))| *owner == user).map(|(key, _)| *key).collect();
                    assert!(asked.iter().all(|key| own.contains(key) || !by_hand.contains_key(key)), "somebody else's");
                    match chosen {
                        Ok((key, port)) => {
                            if !own.contains(&key) {
                                assert!(own.iter().all(|key| by_hand[key].1.len() == usize::from(size)));
                                log.push((now, user, key, true));
                            }
                            empty.retain(|(known, _)| *known != key);
                            by_hand.entry(key).or_insert((user, Vec::new())).1.push(port);
                        }
                        Err(quota) => {
                            assert_eq!(quota, own.len() == usize::from(per_user));
                            let all = parts[place].2 as usize / usize::from(size);
                            assert!(quota || by_hand.keys().filter(|key| key.0 == place).count() == all);
                        }
                    }
                } else if let Some(key) = by_hand.keys().nth((random >> 16) as usize % by_hand.len().max(1)).copied()
                    && let Some(port) = by_hand.get_mut(&key).and_then(|(_, ports)| ports.pop())
                {
                    blocks.release(key.0, port, now);
                    if by_hand[&key].1.is_empty() {
                        empty.push_back((key, now));
                    }
                }
                blocks.expire(now, 2);
                for _ in 0..2 {
                    if empty.front().is_some_and(|(_, since)| now - since >= 100) {
                        let (key, _) = empty.pop_front().unwrap();
                        log.push((now, by_hand.remove(&key).unwrap().0, key, false));
                    }
                }
                assert_eq!(reader.read(usize::MAX, |note| read.push(note)), 0);
                let counts = blocks.counts();
                assert_eq!((counts.given as usize, counts.allocated - counts.released), (by_hand.len(), counts.given));
            }
            let mut held = Vec::new();
            let mut at = Some(0);
            while let Some(from) = at {
                at = blocks
                    .list(from, 10, |block| held.push((block.outside as usize - 1, block.first, block.inside, block.mappings)));
            }
            let expected: Vec<_> = by_hand.iter().map(|(key, (user, ports))| (key.0, key.1, *user, ports.len() as u32)).collect();
            assert_eq!(held, expected, "seed {seed}");
            let noted: Vec<_> =
                read.iter().map(|note| (note.at, note.inside, (note.outside as usize - 1, note.first), note.given)).collect();
            assert_eq!(noted, log, "seed {seed}");
            assert!(read.iter().all(|note| note.last == note.first + 15));
        }
    }
}
