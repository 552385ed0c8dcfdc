//! The flows of one worker: a table of a fixed size, of which each flow has two places to choose from.

use crate::flow::{End, Flow, Seen};

/// Flows that share a place. Their tags are a quarter of a cache line.
const WAYS: usize = 8;

/// Sixteen bits of the hash of each flow of a place; 0 where there is none.
pub type Tags = [u16; WAYS];

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Its flow was there.
    Known,
    /// It is the first of its flow.
    New,
    /// It is the first of its flow, for which another one had to go.
    Evicted,
    /// It was not counted: no other flow could go.
    Not,
}

/// The flows of one worker.
pub struct Flows {
    seed: u64,
    tags: Box<[Tags]>,
    flows: Box<[[Flow; WAYS]]>,
    /// The place that is looked at next.
    next: usize,
}

impl Flows {
    /// Room for `capacity` flows, a power of two. The seed is a secret: who knows it can send packets of flows that all share a place.
    pub fn new(capacity: usize, seed: u64) -> Flows {
        let places = capacity / WAYS;
        assert!(places.is_power_of_two(), "a number of places that a hash can be cut to");
        let vacant = [Flow::new(&Seen::NONE, 0); WAYS];
        Flows { seed, tags: vec![[0; WAYS]; places].into(), flows: vec![vacant; places].into(), next: 0 }
    }

    /// Flows that there is room for.
    pub fn capacity(&self) -> usize {
        self.tags.len() * WAYS
    }

    /// What hashes begin with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The tags of the first of the two places of a packet's flow.
    #[inline]
    pub fn tags(&self, seen: &Seen) -> &Tags {
        &self.tags[seen.hash as usize & (self.tags.len() - 1)]
    }

    #[inline]
    fn find(&self, place: usize, tag: u16, seen: &Seen) -> Option<usize> {
        let tags = &self.tags[place];
        (0..WAYS).find(|way| tags[*way] == tag && self.flows[place][*way].key == seen.key)
    }

    /// Counts a packet. `export` is asked to take a flow for which there is no room any more; if it cannot, that stays.
    #[inline]
    pub fn count(&mut self, seen: &Seen, now: u64, export: impl FnMut(&Flow) -> bool) -> Counted {
        let mask = self.tags.len() - 1;
        let (first, second) = (seen.hash as usize & mask, (seen.hash >> 24) as usize & mask);
        // Other bits than those that choose the places, of which there are 2^17 at most.
        let tag = (seen.hash >> 48) as u16 | 1;
        for place in [first, second] {
            if let Some(way) = self.find(place, tag, seen) {
                self.flows[place][way].count(seen, now);
                return Counted::Known;
            }
        }
        self.insert([first, second], tag, Flow::new(seen, now), export)
    }

    /// Puts a flow into the emptier of its two places, or in the place of one whose last packet is longest ago.
    #[cold]
    fn insert(&mut self, [first, second]: [usize; 2], tag: u16, flow: Flow, mut export: impl FnMut(&Flow) -> bool) -> Counted {
        let vacant = |place: usize| self.tags[place].iter().filter(|tag| **tag == 0).count();
        let place = if vacant(second) > vacant(first) { second } else { first };
        let way = self.tags[place].iter().position(|tag| *tag == 0);
        let (way, counted) = match way {
            Some(way) => (way, Counted::New),
            None => {
                let oldest = (0..WAYS).min_by_key(|way| self.flows[place][*way].last).expect("there are some");
                if !export(&Flow { end: End::Evicted, ..self.flows[place][oldest] }) {
                    return Counted::Not;
                }
                (oldest, Counted::Evicted)
            }
        };
        self.tags[place][way] = tag;
        self.flows[place][way] = flow;
        counted
    }

    /// Looks at so many places, from where it has looked last, and exports the flows that have ended. One that `export` does not take stays, and is
    /// the first one next time.
    pub fn look(&mut self, places: usize, now: u64, (active, idle): (u64, u64), mut export: impl FnMut(&Flow) -> bool) {
        for _ in 0..places.min(self.tags.len()) {
            for way in 0..WAYS {
                let flow = &self.flows[self.next][way];
                if self.tags[self.next][way] == 0 {
                    continue;
                }
                let end = if now.saturating_sub(flow.last) >= idle {
                    End::Idle
                } else if now.saturating_sub(flow.first) >= active {
                    End::Active
                } else {
                    continue;
                };
                if !export(&Flow { end, ..*flow }) {
                    return;
                }
                self.tags[self.next][way] = 0;
            }
            self.next = (self.next + 1) & (self.tags.len() - 1);
        }
    }

    /// All flows that are there, to be exported because the table ends.
    pub fn iter(&self) -> impl Iterator<Item = Flow> {
        let ways = self.tags.iter().flatten().zip(self.flows.iter().flatten());
        ways.filter(|(tag, _)| **tag != 0).map(|(_, flow)| Flow { end: End::Forced, ..*flow })
    }
}

#[cfg(test)]
#[path = "flows_tests.rs"]
mod tests;
