//! Deterministic ports (RFC 7422): the address outside of a host, and its range of ports, follow from its inside address, and the other
//! way round. Nothing needs to be logged.
//!
//! The inside addresses, in order, get the blocks of the first address of the pool, then those of the next: RFC 7422 §2, algorithm 0
//! (sequential), without a dynamic part.

use crate::fib4::Prefix4;

use super::pool::{Pool, PoolAddress};

/// The blocks of ports of all hosts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Deterministic {
    /// Inside addresses in order: the first and the last, and how many there are before.
    inside: Vec<(u32, u32, u64)>,
    /// How many hosts addresses of the pool have, all up to each of them.
    hosts: Vec<u64>,
    ports: u16,
}

/// Ports of an address of the pool, the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// The place of the address.
    pub(super) place: usize,
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Deterministic {
    /// Blocks of so many ports.
    ///
    /// # Errors
    /// Why there are none: prefixes overlap, or the pool does not suffice.
    pub(super) fn new(prefixes: &[Prefix4], pool: &Pool, ports: u16) -> Result<Deterministic, String> {
        let mut ranges: Vec<(u32, u32)> = prefixes.iter().map(|prefix| (prefix.addr(), prefix.last())).collect();
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[0].1 >= pair[1].0) {
            return Err("inside prefixes overlap: an address would have two ranges of ports".into());
        }
        let mut count = 0;
        let inside = ranges.into_iter().map(|(first, last)| {
            let before = count;
            count += u64::from(last - first) + 1;
            (first, last, before)
        });
        let inside = inside.collect();
        let mut all = 0;
        let hosts: Vec<u64> = pool
            .addresses()
            .iter()
            .map(|entry| {
                all += blocks(entry, ports);
                all
            })
            .collect();
        if all < count {
            let addresses = hosts.len();
            return Err(format!(
                "{count} inside addresses need as many ranges of {ports} ports, and the {addresses} of the pool have {all}: fewer \
                 ports for each, a larger pool, or smaller `inside-prefixes`"
            ));
        }
        Ok(Deterministic { inside, hosts, ports })
    }

    /// The ports of an inside address.
    pub(super) fn of_inside(&self, address: u32, pool: &Pool) -> Option<Block> {
        let at = self.inside.partition_point(|(_, last, _)| *last < address);
        let (first, _, before) = self.inside.get(at).filter(|(first, ..)| *first <= address)?;
        let host = before + u64::from(address - first);
        let place = self.hosts.partition_point(|hosts| *hosts <= host);
        let entry = pool.addresses().get(place)?;
        let block = host - if place == 0 { 0 } else { self.hosts[place - 1] };
        // Fewer blocks than ports.
        let first = entry.first + block as u16 * self.ports;
        Some(Block { place, first, last: first + (self.ports - 1) })
    }

    /// The inside address that has a port of the address at a place.
    pub(super) fn of_outside(&self, place: usize, port: u16, pool: &Pool) -> Option<u32> {
        let entry = pool.addresses().get(place).filter(|entry| (entry.first..=entry.last).contains(&port))?;
        let block = u64::from((port - entry.first) / self.ports);
        if block >= blocks(entry, self.ports) {
            return None;
        }
        let host = block + if place == 0 { 0 } else { self.hosts[place - 1] };
        let at = self.inside.partition_point(|(first, last, before)| before + u64::from(last - first) < host);
        let (first, _, before) = self.inside.get(at)?;
        Some(first + (host - before) as u32)
    }

    /// All inside addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = u32> {
        self.inside.iter().flat_map(|(first, last, _)| *first..=*last)
    }
}

/// The blocks of an address: those of which it has all ports.
fn blocks(entry: &PoolAddress, ports: u16) -> u64 {
    (u64::from(entry.last - entry.first) + 1) / u64::from(ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix4 {
        text.parse().unwrap()
    }

    fn pool(addresses: &[(u32, u16, u16)]) -> Pool {
        Pool::new(
            addresses.iter().map(|(address, first, last)| PoolAddress { address: *address, first: *first, last: *last }).collect(),
            1,
        )
    }

    /// The example of RFC 7422 §2.2 has a ratio of 256:1 and 252 ports each; ours keeps 1024 ports for nobody, as it does.
    #[test]
    fn a_ratio_of_256_to_1() {
        let (pool, prefixes) = (pool(&[(1, 1024, 65535), (2, 1024, 65535)]), [prefix("198.51.100.0/23")]);
        let all = Deterministic::new(&prefixes, &pool, 252).unwrap();
        let first = prefixes[0].addr();
        let block = |host: u32| all.of_inside(first + host, &pool).unwrap();
        assert_eq!(block(0), Block { place: 0, first: 1024, last: 1275 });
        assert_eq!(block(255), Block { place: 0, first: 1024 + 255 * 252, last: 65535 });
        assert_eq!(block(256), Block { place: 1, first: 1024, last: 1275 });
        assert_eq!(all.of_inside(first - 1, &pool), None);
        assert_eq!(all.of_inside(first + 512, &pool), None);
        assert_eq!(all.of_outside(1, 1023, &pool), None);
    }

    #[test]
    fn what_does_not_fit() {
        let prefixes = [prefix("10.0.0.0/29"), prefix("10.0.0.4/30")];
        assert!(Deterministic::new(&prefixes, &pool(&[(1, 1, 65535)]), 1000).unwrap_err().contains("overlap"));
        let error = Deterministic::new(&prefixes[..1], &pool(&[(1, 1000, 1999), (2, 1000, 1999)]), 300).unwrap_err();
        assert!(error.starts_with("8 inside addresses need as many ranges of 300 ports, and the 2 of the pool have 6"), "{error}");
    }

    proptest! {
        /// Each host has its own ports, by counting them one by one; and who has a port is found again.
        #[test]
        fn as_by_counting(
            ranges in prop::collection::vec((1_u16..3000, 0_u16..600), 1..6),
            lens in prop::collection::vec(26_u8..=32, 1..5),
            ports in 1_u16..200,
        ) {
            let addresses: Vec<(u32, u16, u16)> =
                ranges.iter().zip(1..).map(|((first, more), address)| (address, *first, first + more)).collect();
            let pool = pool(&addresses);
            // Apart from each other.
            let prefixes: Vec<Prefix4> = lens.iter().zip(10..).map(|(len, at)| Prefix4::containing(at << 24, *len)).collect();
            let hosts: Vec<u32> = prefixes.iter().flat_map(|prefix| prefix.addr()..=prefix.last()).collect();
            let mut expected = Vec::new();
            for (place, (_, first, last)) in addresses.iter().enumerate() {
                let mut at = u32::from(*first);
                while at + u32::from(ports) - 1 <= u32::from(*last) {
                    expected.push(Block { place, first: at as u16, last: at as u16 + (ports - 1) });
                    at += u32::from(ports);
                }
            }
            match Deterministic::new(&prefixes, &pool, ports) {
                Err(_) => prop_assert!(expected.len() < hosts.len()),
                Ok(all) => {
                    prop_assert_eq!(all.addresses().collect::<Vec<_>>(), hosts.clone());
                    for (host, block) in hosts.iter().zip(&expected) {
                        prop_assert_eq!(all.of_inside(*host, &pool), Some(*block));
                    }
                    for (place, (_, first, last)) in addresses.iter().enumerate() {
                        for port in *first..=*last {
                            let owner = expected.iter().position(|block| block.place == place && (block.first..=block.last).contains(&port));
                            let owner = owner.and_then(|owner| hosts.get(owner)).copied();
                            prop_assert_eq!(all.of_outside(place, port, &pool), owner, "{} {}", place, port);
                        }
                    }
                }
            }
        }
    }
}
