//! Which flow a fragment without ports belongs to: that of the first fragment, for a while.

use swath_api::memory::HugeArray;
use swath_api::units::Duration;
use zerocopy::FromZeros;

use super::hash::Seed;
use super::index::Index;
use super::key::{FlowKey, Key4, Key6};
use super::probe::{fragment4, fragment6};
use super::time::{Moment, units};

/// Of packets in fragments, the flow of each: a ring in which a new packet takes the place of the oldest.
///
/// A first fragment ([`Probe::first_fragment`](super::Probe)) is learnt once it is permitted; for one that comes before its first there is
/// nothing, and it should be dropped.
///
/// ```
/// use swath_nodes::sessions::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut fragments: Fragments<Key4> = Fragments::new(1024, "2s".parse()?, Seed::random())?;
/// let flow = Key4::of(&"10.0.0.5:4000 > 192.0.2.1:53 udp".parse()?).ok_or("not IPv4")?;
/// let packet = Key4::fragment(0x0a00_0005_c000_0201, 77, swath_api::wire::IpProtocol::UDP, 0);
/// fragments.learn(packet, flow, 0);
/// assert_eq!(fragments.find(&packet, 1_000_000_000), Some(flow));
/// assert_eq!(fragments.find(&packet, 3_000_000_000), None);
/// # Ok(())
/// # }
/// ```
pub struct Fragments<K> {
    index: Index,
    ring: HugeArray<Entry<K>>,
    seed: Seed,
    timeout: u32,
    /// The next place, from 1 on.
    next: u32,
}

#[derive(Clone, Copy, FromZeros)]
#[repr(C)]
struct Entry<K> {
    packet: K,
    flow: K,
    seen: Moment,
    used: u32,
}

impl<K: FlowKey> Fragments<K> {
    /// Room for so many packets, each for so long. 2 s is the least that RFC 6146 §4 wants (FRAGMENT_MIN).
    ///
    /// # Errors
    /// What `mmap` says when the address space cannot be had.
    ///
    /// # Panics
    /// If the capacity is not between 1 and 2^28.
    pub fn new(capacity: u32, timeout: Duration, seed: Seed) -> std::io::Result<Fragments<K>> {
        assert!((1..=1 << 28).contains(&capacity), "{capacity} packets");
        let ring = HugeArray::new(capacity as usize + 1)?;
        Ok(Fragments { index: Index::new(capacity as usize)?, ring, seed, timeout: units(timeout), next: 1 })
    }

    /// The first fragment of a packet is of this flow.
    pub fn learn(&mut self, packet: K, flow: K, now: u64) {
        let seen = Moment::at(now);
        let hash = packet.hash(&self.seed);
        if let Some(place) = self.place(&packet, hash) {
            let entry = &mut self.ring[place as usize];
            (entry.flow, entry.seen) = (flow, seen);
            return;
        }
        let place = self.next;
        self.next = if place as usize + 1 < self.ring.len() { place + 1 } else { 1 };
        let old = std::mem::replace(&mut self.ring[place as usize], Entry { packet, flow, seen, used: 0 });
        if old.used != 0 {
            self.index.remove(old.packet.hash(&self.seed), place);
        }
        self.ring[place as usize].used = u32::from(self.index.insert(hash, place));
    }

    /// The flow of a packet of which a fragment has come.
    pub fn find(&self, packet: &K, now: u64) -> Option<K> {
        let entry = &self.ring[self.place(packet, packet.hash(&self.seed))? as usize];
        (entry.seen.age(Moment::at(now)) <= self.timeout).then_some(entry.flow)
    }

    fn place(&self, packet: &K, hash: u64) -> Option<u32> {
        self.index.find(hash, |place| self.ring[place as usize].packet == *packet)
    }
}

impl Fragments<Key4> {
    /// [`Fragments::learn`] from the bytes of a packet.
    pub fn learn_from(&mut self, packet: &[u8], flow: Key4, zone: u16, now: u64) {
        if let Some(key) = fragment4(packet, zone) {
            self.learn(key, flow, now);
        }
    }
}

impl Fragments<Key6> {
    /// [`Fragments::learn`] from the bytes of a packet.
    pub fn learn_from(&mut self, packet: &[u8], flow: Key6, zone: u16, now: u64) {
        if let Some(key) = fragment6(packet, zone) {
            self.learn(key, flow, now);
        }
    }
}

impl<K> std::fmt::Debug for Fragments<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fragments({} packets)", self.ring.len() - 1)
    }
}
