//! How fast each host may open sessions (RFC 6888 REQ-4 C): the generic cell rate algorithm (ITU-T I.371), which is a token bucket in one word.

use swath_api::memory::HugeArray;
use zerocopy::FromZeros;

use crate::sessions::{Index, Seed};

/// Hosts that are looked at to find one whose bucket is full, and which need not be remembered.
const LOOKS: u32 = 8;

/// So many a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) per_second: u32,
    pub(super) burst: u32,
}

#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C)]
struct Host {
    /// When its bucket is full again, in nanoseconds.
    full_at: u64,
    address: u32,
    is_there: u32,
}

/// The hosts of a worker whose buckets are not full.
pub(super) struct Rates {
    index: Index,
    hosts: HugeArray<Host>,
    seed: Seed,
    /// Where the next host is put, unless that one is needed.
    hand: u32,
    interval: u64,
    /// The time that it takes to fill an empty bucket.
    whole: u64,
}

impl Rates {
    /// Room for so many hosts; if there are more, those are forgotten whose buckets are full the soonest, of a few.
    pub(super) fn new(hosts: u32, rate: Rate) -> std::io::Result<Rates> {
        let interval = 1_000_000_000 / u64::from(rate.per_second);
        let whole = interval * u64::from(rate.burst);
        let (index, hosts) = (Index::new(hosts as usize)?, HugeArray::new(hosts as usize + 1)?);
        Ok(Rates { index, hosts, seed: Seed::random(), hand: 1, interval, whole })
    }

    /// The time of a session, and that of all that may be opened at once, in nanoseconds.
    pub(super) fn rate(&self) -> (u64, u64) {
        (self.interval, self.whole)
    }

    /// Whether a host may open a session now; then that counts.
    pub(super) fn admit(&mut self, address: u32, now: u64) -> bool {
        let hash = self.hash(address);
        let place = match self.index.find(hash, |place| self.hosts[place as usize].address == address) {
            Some(place) => place,
            None => match self.enter(address, hash, now) {
                Some(place) => place,
                // Keys collide: what cannot be counted is not refused.
                None => return true,
            },
        };
        let host = &mut self.hosts[place as usize];
        let full_at = host.full_at.max(now) + self.interval;
        let is_admitted = full_at <= now + self.whole;
        if is_admitted {
            host.full_at = full_at;
        }
        is_admitted
    }

    /// What [`Rates::admit`] would say.
    pub(super) fn would_admit(&self, address: u32, now: u64) -> bool {
        let place = self.index.find(self.hash(address), |place| self.hosts[place as usize].address == address);
        // Of one that is not remembered the bucket is full, and takes one at least.
        place.is_none_or(|place| self.hosts[place as usize].full_at.max(now) + self.interval <= now + self.whole)
    }

    fn enter(&mut self, address: u32, hash: u64, now: u64) -> Option<u32> {
        let last = self.hosts.len() as u32 - 1;
        let looked_at = (0..LOOKS.min(last)).map(|step| (self.hand - 1 + step) % last + 1);
        let place = looked_at.min_by_key(|place| self.hosts[*place as usize].full_at.saturating_sub(now))?;
        let host = self.hosts[place as usize];
        if host.is_there != 0 {
            self.index.remove(self.hash(host.address), place);
        }
        self.hosts[place as usize] = Host { full_at: 0, address, is_there: 0 };
        if !self.index.insert(hash, place) {
            return None;
        }
        self.hosts[place as usize].is_there = 1;
        self.hand = place % last + 1;
        Some(place)
    }

    fn hash(&self, address: u32) -> u64 {
        self.seed.hash([address.into(), 0])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The same as with a bucket of tokens for each host, counted in nanoseconds.
        #[test]
        fn as_tokens(
            per_second in prop::sample::select(vec![1_u32, 7, 100, 1000]),
            burst in 1_u32..20,
            asked in prop::collection::vec((0_u32..5, 0_u64..300_000_000), 1..300),
        ) {
            let mut rates = Rates::new(100, Rate { per_second, burst }).unwrap();
            let interval = 1_000_000_000 / u64::from(per_second);
            let whole = interval * u64::from(burst);
            let mut buckets = BTreeMap::<u32, (u64, u64)>::new();
            let mut now = 0;
            for (address, step) in asked {
                now += step;
                let (tokens, at) = buckets.entry(address).or_insert((whole, now));
                *tokens = (*tokens + (now - *at)).min(whole);
                *at = now;
                let expected = *tokens >= interval;
                if expected {
                    *tokens -= interval;
                }
                prop_assert_eq!(rates.admit(address, now), expected);
            }
        }
    }

    /// More hosts than there is room for: none is refused that has not opened too much, and one that opens all the time is not forgotten
    /// while others have full buckets.
    #[test]
    fn there_is_room_for_so_many() {
        let mut rates = Rates::new(64, Rate { per_second: 1000, burst: 10 }).unwrap();
        let mut admitted = 0;
        for now in 0..10_000_u64 {
            admitted += u64::from(rates.admit(1, now * 100_000));
            assert!(rates.admit(1000 + now as u32, now * 100_000));
        }
        // In one second, and what it had at first.
        assert_eq!(admitted, 1000 + 9);
    }
}
