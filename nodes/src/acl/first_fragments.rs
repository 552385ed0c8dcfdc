//! What was decided for the first fragments of packets, for a while, so that the others go the same way.

use std::hash::{BuildHasher, RandomState};

use super::address::Address;
use super::criteria::Key;
use super::rules::Verdict;

/// How long the others may take: Linux waits as long to put a packet together (`ipfrag_time`).
const KEPT: u64 = 30_000_000_000;
/// Packets that may be in one place.
const WAYS: usize = 4;

/// What the fragments of a packet share (RFC 791 §3.2, RFC 8200 §4.5), as numbers of either family.
type Packet = (u128, u128, u32, u8);

#[derive(Clone, Copy)]
struct Seen {
    packet: Packet,
    at: u64,
    verdict: Verdict,
}

/// A table of a fixed size: of four packets in one place the oldest is forgotten for a fifth.
pub(super) struct FirstFragments {
    // Secret, since whoever sends fragments could fill one place otherwise.
    hasher: RandomState,
    seen: Box<[[Option<Seen>; WAYS]]>,
}

impl FirstFragments {
    pub(super) fn new(packets: usize) -> FirstFragments {
        let places = packets.div_ceil(WAYS).next_power_of_two();
        FirstFragments { hasher: RandomState::new(), seen: vec![[None; WAYS]; places].into() }
    }

    /// Takes over what others have seen, if they have as many places.
    pub(super) fn adopt(&mut self, old: &mut FirstFragments) {
        if self.seen.len() == old.seen.len() {
            std::mem::swap(self, old);
        }
    }

    /// Remembers what was decided for a first fragment.
    pub(super) fn first<A: Address + Into<u128>>(&mut self, key: &Key<A>, verdict: Verdict, now: u64) {
        let packet = packet(key);
        let place = self.place(packet);
        let ways = &mut self.seen[place];
        let same = ways.iter().position(|way| way.is_some_and(|seen| seen.packet == packet));
        let oldest = || (0..WAYS).min_by_key(|way| ways[*way].map(|seen| seen.at)).unwrap_or(0);
        let way = same.unwrap_or_else(oldest);
        ways[way] = Some(Seen { packet, at: now, verdict });
    }

    /// What was decided for the first fragment of this one's packet.
    pub(super) fn later<A: Address + Into<u128>>(&self, key: &Key<A>, now: u64) -> Option<Verdict> {
        let packet = packet(key);
        let found = self.seen[self.place(packet)].iter().flatten().find(|seen| seen.packet == packet);
        found.filter(|seen| now.saturating_sub(seen.at) < KEPT).map(|seen| seen.verdict)
    }

    fn place(&self, packet: Packet) -> usize {
        self.hasher.hash_one(packet) as usize & (self.seen.len() - 1)
    }
}

fn packet<A: Address + Into<u128>>(key: &Key<A>) -> Packet {
    // Protocols of IPv6 fragments are what the fragment header names, the first one's perhaps behind more headers: the addresses and
    // the identification name a packet there.
    let protocol = if A::BITS == 32 { key.protocol } else { 0 };
    (key.source.into(), key.destination.into(), key.id, protocol)
}
