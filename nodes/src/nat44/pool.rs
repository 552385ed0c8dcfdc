//! The addresses outside with their ports: whose they are, and which are free.

use std::net::Ipv4Addr;

use swath_api::flow::mix;
use swath_api::wire::IpProtocol;
use swath_api::{ConfigError, Owner};

use super::End;

/// An address with the ports that hosts get of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoolAddress {
    pub(super) address: u32,
    pub(super) first: u16,
    pub(super) last: u16,
}

/// All of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pool {
    // In order.
    addresses: Vec<PoolAddress>,
    workers: u32,
}

impl Pool {
    pub(super) fn new(mut addresses: Vec<PoolAddress>, workers: u32) -> Pool {
        addresses.sort_unstable_by_key(|entry| entry.address);
        Pool { addresses, workers }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    pub(super) fn addresses(&self) -> &[PoolAddress] {
        &self.addresses
    }

    /// The place of an address.
    pub(super) fn find(&self, address: u32) -> Option<usize> {
        match &self.addresses[..] {
            [only] => (only.address == address).then_some(0),
            several => several.binary_search_by_key(&address, |entry| entry.address).ok(),
        }
    }

    /// The address that is meant: the one that is named, or the only one.
    ///
    /// # Errors
    /// There is no only one.
    pub(super) fn one(&self, named: Option<Ipv4Addr>) -> Result<u32, ConfigError> {
        match (named, &self.addresses[..]) {
            (Some(named), _) => Ok(named.to_bits()),
            (None, [only]) => Ok(only.address),
            (None, _) => Err(ConfigError::at("outside", "the pool has not one address: say which is meant")),
        }
    }

    /// Whether hosts get this port of the address at a place.
    pub(super) fn has(&self, place: usize, port: u16) -> bool {
        self.addresses.get(place).is_some_and(|entry| (entry.first..=entry.last).contains(&port))
    }

    /// The worker that a port of the address at a place belongs to.
    pub(super) fn owner(&self, place: usize, port: u16) -> Option<Owner> {
        let PoolAddress { first, last, .. } = self.addresses.get(place).filter(|_| self.has(place, port))?;
        Some(Owner::of_range(u32::from(port - first), u32::from(last - first) + 1, self.workers))
    }

    /// An address of which a worker has less than so many ports, and how many these are.
    pub(super) fn least_part(&self, ports: u16) -> Option<(u32, u32)> {
        let parts = (0..self.addresses.len()).flat_map(|place| (0..self.workers).map(move |worker| (place, worker)));
        let size = |(first, last)| u32::from(last) - u32::from(first) + 1;
        let mut parts = parts.map(|(place, worker)| (self.addresses[place].address, self.part(place, worker).map_or(0, size)));
        parts.find(|(_, size)| *size < u32::from(ports))
    }

    /// The whole blocks that a worker has of each address: the address, the first port, and how many ports.
    pub(super) fn blocks(&self, worker: u32, size: u16) -> Vec<(u32, u16, u32)> {
        let of = |(place, entry): (usize, &PoolAddress)| {
            let (first, ports) = self.part(place, worker).map_or((0, 0), |(first, last)| (first, u32::from(last - first) + 1));
            (entry.address, first, ports - ports % u32::from(size))
        };
        self.addresses.iter().enumerate().map(of).collect()
    }

    /// The ports that a worker has of the address at a place, the last included; `None` if they do not suffice for it.
    fn part(&self, place: usize, worker: u32) -> Option<(u16, u16)> {
        let PoolAddress { first, last, .. } = self.addresses.get(place)?;
        let part = Owner::range(worker, u32::from(last - first) + 1, self.workers);
        (!part.is_empty()).then(|| (first + part.start as u16, first + (part.end - 1) as u16))
    }
}

/// Words of 64 ports of an address and a protocol.
const WORDS: usize = 1024;
/// Those whose ports are given away.
const PROTOCOLS: [IpProtocol; KINDS] = [IpProtocol::TCP, IpProtocol::UDP, IpProtocol::ICMP];
const KINDS: usize = 3;
/// Ports below are those of services (RFC 4787 REQ-3).
const WELL_KNOWN: u16 = 1024;
/// How many ports are tried for one peer where a port serves many.
const TRIES: usize = 512;

/// The ports that a host may get of an address, the last included; `None`: all that its worker has.
pub(super) type Range = Option<(u16, u16)>;

/// The ports of a worker.
pub(super) struct Ports {
    // By address and protocol: a bit is set if somebody has the port, or it is reserved.
    taken: Vec<Box<[u64]>>,
    // By address and protocol.
    free: Vec<u32>,
    // Ports of static mappings, by row.
    reserved: Vec<(usize, u16)>,
    // By address; `None` where a worker has no ports, or those of hosts alone.
    parts: Vec<Option<(u16, u16)>>,
    all: u64,
    // Whether they are those of hosts, which are the same for as long as there are sessions.
    of_hosts: bool,
    addresses: Vec<u32>,
    random: u64,
}

impl Ports {
    /// All ports of a worker's part of the pool.
    pub(super) fn new(pool: &Pool, worker: u32, seed: u64) -> Ports {
        let parts: Vec<_> = (0..pool.addresses.len()).map(|place| pool.part(place, worker)).collect();
        let ports = |part: &Option<(u16, u16)>| part.map_or(0, |(first, last)| u32::from(last - first) + 1);
        let counts = parts.iter().map(ports).collect();
        Ports::with((pool, false), worker, seed, parts, counts)
    }

    /// Those of the whole blocks of a worker.
    pub(super) fn of_blocks(pool: &Pool, worker: u32, seed: u64, blocks: &[(u32, u16, u32)]) -> Ports {
        let part = |&(_, first, ports): &(u32, u16, u32)| (ports > 0).then(|| (first, first + (ports - 1) as u16));
        let counts = blocks.iter().map(|(.., ports)| *ports).collect();
        Ports::with((pool, false), worker, seed, blocks.iter().map(part).collect(), counts)
    }

    /// Those of the hosts of a worker, by address: so many.
    pub(super) fn of_hosts(pool: &Pool, worker: u32, seed: u64, counts: Vec<u32>) -> Ports {
        Ports::with((pool, true), worker, seed, vec![None; pool.addresses.len()], counts)
    }

    fn with((pool, of_hosts): (&Pool, bool), worker: u32, seed: u64, parts: Vec<Option<(u16, u16)>>, counts: Vec<u32>) -> Ports {
        let all = counts.iter().map(|count| u64::from(*count)).sum::<u64>() * KINDS as u64;
        let free = counts.iter().flat_map(|count| [*count; KINDS]).collect();
        let taken = (0..parts.len() * KINDS).map(|_| vec![0; WORDS].into()).collect();
        let addresses = pool.addresses.iter().map(|entry| entry.address).collect();
        Ports { taken, free, reserved: Vec::new(), parts, all, of_hosts, addresses, random: seed ^ u64::from(worker) << 32 }
    }

    /// Whether ports of this protocol are given away.
    pub(super) fn has_protocol(protocol: IpProtocol) -> bool {
        kind(protocol).is_some()
    }

    /// Takes a port of this worker for good.
    pub(super) fn reserve(&mut self, place: usize, end: End, protocol: IpProtocol) {
        let Some(row) = row(place, protocol) else { return };
        if self.is_part(row, end.port) {
            self.take(row, end.port);
            self.reserved.push((row, end.port));
        }
    }

    /// Goes on with who has which port of the addresses that `old` has, too. `is_used` says which of those that were reserved somebody has.
    /// It takes as long as there are addresses and static mappings, and no longer with more mappings.
    pub(super) fn adopt(&mut self, old: &mut Ports, is_used: impl Fn(End, IpProtocol) -> bool) {
        let fresh = std::mem::take(&mut self.reserved);
        for place in 0..self.addresses.len() {
            let Ok(before) = old.addresses.binary_search(&self.addresses[place]) else { continue };
            for kind in 0..KINDS {
                let (row, other) = (place * KINDS + kind, before * KINDS + kind);
                std::mem::swap(&mut self.taken[row], &mut old.taken[other]);
                if self.parts[place] == old.parts[before] {
                    self.free[row] = old.free[other];
                } else {
                    self.free[row] = self.count_free(row);
                }
            }
        }
        for (other, port) in old.reserved.drain(..) {
            let address = old.addresses[other / KINDS];
            let Ok(place) = self.addresses.binary_search(&address) else { continue };
            self.unreserve_row(place * KINDS + other % KINDS, port, &is_used);
        }
        fresh.into_iter().for_each(|(row, port)| self.reserve_row(row, port));
    }

    /// Other ports are taken for good, from now on. `is_used` says which of those before somebody has.
    pub(super) fn reserve_others(
        &mut self,
        ports: impl Iterator<Item = (usize, End, IpProtocol)>,
        is_used: impl Fn(End, IpProtocol) -> bool,
    ) {
        let mut reserved = std::mem::take(&mut self.reserved);
        reserved.drain(..).for_each(|(row, port)| self.unreserve_row(row, port, &is_used));
        self.reserved = reserved;
        for (place, end, protocol) in ports {
            if let Some(row) = row(place, protocol).filter(|row| self.is_part(*row, end.port)) {
                self.reserve_row(row, end.port);
            }
        }
    }

    /// A port was reserved.
    fn unreserve_row(&mut self, row: usize, port: u16, is_used: impl Fn(End, IpProtocol) -> bool) {
        let end = End { address: self.addresses[row / KINDS], port };
        if !is_used(end, PROTOCOLS[row % KINDS]) {
            self.clear(row, port);
        }
    }

    /// A port is reserved, which somebody may have.
    fn reserve_row(&mut self, row: usize, port: u16) {
        if !self.is_taken(row, port) {
            self.take(row, port);
        }
        self.reserved.push((row, port));
    }

    fn count_free(&self, row: usize) -> u32 {
        let Some((first, last)) = self.parts[row / KINDS] else { return 0 };
        (first..=last).filter(|port| !self.is_taken(row, *port)).count() as u32
    }

    /// Takes a free port of a range of the address at a place, by default of all that the worker has, as near to the one inside as can be (RFC 4787 REQ-3, REQ-4): the same; one of the same
    /// range, well-known or not, and with UDP of the same parity, too; of the same range; any.
    pub(super) fn choose(&mut self, place: usize, range: Range, wanted: u16, protocol: IpProtocol) -> Option<u16> {
        let (row, part) = (row(place, protocol)?, range.or(self.parts.get(place).copied().flatten())?);
        if self.free[row] == 0 {
            return None;
        }
        let port = self.search(row, part, wanted, protocol)?;
        self.take(row, port);
        Some(port)
    }

    /// A port that [`Ports::choose`] may take, and whether it is sure that it does: else it takes any that is as near.
    pub(super) fn foresee(&self, place: usize, range: Range, wanted: u16, protocol: IpProtocol) -> Option<(u16, bool)> {
        let (row, (first, last)) = (row(place, protocol)?, range.or(self.parts.get(place).copied().flatten())?);
        if self.free[row] == 0 {
            return None;
        }
        if (first..=last).contains(&wanted) && !self.is_taken(row, wanted) {
            return Some((wanted, true));
        }
        self.first_free(row, (first, last), first, !0).map(|port| (port, false))
    }

    /// As [`Ports::foresee`], of [`Ports::choose_for_peer`].
    pub(super) fn foresee_for_peer(
        &self,
        (place, range): (usize, Range),
        wanted: u16,
        protocol: IpProtocol,
        is_free: impl Fn(u16) -> bool,
    ) -> Option<(u16, bool)> {
        let (row, (first, last)) = (row(place, protocol)?, range.or(self.parts.get(place).copied().flatten())?);
        let usable = |port: &u16| !self.is_taken(row, *port) && is_free(*port);
        if (first..=last).contains(&wanted) && usable(&wanted) {
            return Some((wanted, true));
        }
        (first..=last).find(usable).map(|port| (port, false))
    }

    fn search(&mut self, row: usize, (first, last): (u16, u16), wanted: u16, protocol: IpProtocol) -> Option<u16> {
        if (first..=last).contains(&wanted) && !self.is_taken(row, wanted) {
            return Some(wanted);
        }
        let low = (first, last.min(WELL_KNOWN - 1));
        let high = (first.max(WELL_KNOWN), last);
        let ranges = if wanted < WELL_KNOWN { [low, high] } else { [high, low] };
        // Bits of even ports.
        let same = if wanted.is_multiple_of(2) { 0x5555_5555_5555_5555 } else { 0xaaaa_aaaa_aaaa_aaaa };
        let parity = if protocol == IpProtocol::UDP { same } else { !0 };
        let random = self.next_random();
        let ranges = ranges.into_iter().filter(|(first, last)| first <= last);
        ranges.into_iter().find_map(|range| {
            let start = range.0 + (random % (u64::from(range.1 - range.0) + 1)) as u16;
            [parity, !0].into_iter().find_map(|mask| self.first_free(row, range, start, mask))
        })
    }

    /// The first free port of a range from `start` on, and then from its beginning.
    fn first_free(&self, row: usize, (first, last): (u16, u16), start: u16, mask: u64) -> Option<u16> {
        let words = &self.taken[row];
        let from = |first: u16, last: u16| {
            (first / 64..=last / 64).find_map(|at| {
                let below = if at == first / 64 { !0 << (first % 64) } else { !0 };
                let above = if at == last / 64 { !0 >> (63 - last % 64) } else { !0 };
                let free = !words[usize::from(at)] & mask & below & above;
                (free != 0).then(|| at * 64 + free.trailing_zeros() as u16)
            })
        };
        from(start, last).or_else(|| from(first, start))
    }

    /// Takes this port of the address at a place. `false` if somebody has it, or it is none that is given away.
    pub(super) fn take_one(&mut self, place: usize, port: u16, protocol: IpProtocol) -> bool {
        let Some(row) = row(place, protocol).filter(|row| self.is_part(*row, port) && !self.is_taken(*row, port)) else {
            return false;
        };
        self.take(row, port);
        true
    }

    /// A port for one peer where ports are nobody's: one that `is_free`, as near to the one inside as can be.
    pub(super) fn choose_for_peer(
        &mut self,
        (place, range): (usize, Range),
        wanted: u16,
        protocol: IpProtocol,
        is_free: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let (row, (first, last)) = (row(place, protocol)?, range.or(self.parts.get(place).copied().flatten())?);
        let usable = |ports: &Ports, port: u16| (first..=last).contains(&port) && !ports.is_taken(row, port) && is_free(port);
        if usable(self, wanted) {
            return Some(wanted);
        }
        (0..TRIES).find_map(|attempt| {
            let random = first + (self.next_random() % (u64::from(last - first) + 1)) as u16;
            // Most of them with the parity of the one inside.
            let port = if attempt < TRIES / 2 { random & !1 | wanted & 1 } else { random };
            usable(self, port).then_some(port)
        })
    }

    /// The place of an address.
    pub(super) fn place(&self, address: u32) -> Option<usize> {
        self.addresses.binary_search(&address).ok()
    }

    /// Gives a port back.
    pub(super) fn give_back(&mut self, end: End, protocol: IpProtocol) {
        let place = self.addresses.binary_search(&end.address).ok();
        let Some(row) = place.and_then(|place| row(place, protocol)) else { return };
        if !self.reserved.contains(&(row, end.port)) {
            self.clear(row, end.port);
        }
    }

    /// Of what is no longer the worker's, too: it is in nobody's way.
    fn clear(&mut self, row: usize, port: u16) {
        self.taken[row][usize::from(port / 64)] &= !(1 << (port % 64));
        self.free[row] += u32::from(self.is_part(row, port));
    }

    /// Whether it is one of those that are given away.
    fn is_part(&self, row: usize, port: u16) -> bool {
        self.of_hosts || self.parts[row / KINDS].is_some_and(|(first, last)| (first..=last).contains(&port))
    }

    /// Ports that can still be had, and all of them, of the three protocols together.
    pub(super) fn count(&self) -> (u64, u64) {
        (self.free.iter().map(|free| u64::from(*free)).sum(), self.all)
    }

    fn take(&mut self, row: usize, port: u16) {
        self.taken[row][usize::from(port / 64)] |= 1 << (port % 64);
        self.free[row] -= 1;
    }

    fn is_taken(&self, row: usize, port: u16) -> bool {
        self.taken[row][usize::from(port / 64)] >> (port % 64) & 1 != 0
    }

    /// Splitmix64: its seed is what nobody knows.
    pub(super) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }
}

fn kind(protocol: IpProtocol) -> Option<usize> {
    PROTOCOLS.iter().position(|known| *known == protocol)
}

fn row(place: usize, protocol: IpProtocol) -> Option<usize> {
    Some(place * KINDS + kind(protocol)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(first: u16, last: u16, workers: u32, worker: u32) -> Ports {
        let pool = Pool::new(vec![PoolAddress { address: 1, first, last }], workers);
        Ports::new(&pool, worker, 7)
    }

    #[test]
    fn all_ports_are_given_away_once() {
        for (first, last) in [(1, 65535), (1024, 65535), (1000, 1100), (64, 127), (63, 128), (5, 5)] {
            let mut ports = ports(first, last, 1, 0);
            let mut given: Vec<u16> = (0..=last - first).map(|_| ports.choose(0, None, 40, IpProtocol::UDP).unwrap()).collect();
            assert_eq!(ports.choose(0, None, 40, IpProtocol::UDP), None);
            given.sort_unstable();
            assert_eq!(given, Vec::from_iter(first..=last));
            ports.give_back(End { address: 1, port: first }, IpProtocol::UDP);
            assert_eq!(ports.choose(0, None, 40, IpProtocol::UDP), Some(first));
            // Those of other protocols are others.
            assert!(ports.choose(0, None, 40, IpProtocol::TCP).is_some());
        }
    }

    /// RFC 4787 REQ-3 and REQ-4.
    #[test]
    fn range_and_parity() {
        for wanted in [1, 80, 1023, 1024, 5000, 65535] {
            let mut ports = ports(1, 65535, 1, 0);
            assert_eq!(ports.choose(0, None, wanted, IpProtocol::UDP), Some(wanted));
            for _ in 0..300 {
                let port = ports.choose(0, None, wanted, IpProtocol::UDP).unwrap();
                assert_eq!((port % 2, port < 1024), (wanted % 2, wanted < 1024), "{port} for {wanted}");
            }
        }
    }

    #[test]
    fn ports_go_on_with_another_pool() {
        let pool = |addresses: &[(u32, u16, u16)]| {
            let entry = |&(address, first, last)| PoolAddress { address, first, last };
            Pool::new(addresses.iter().map(entry).collect(), 1)
        };
        let (udp, end) = (IpProtocol::UDP, |port| End { address: 2, port });
        let mut old = Ports::new(&pool(&[(1, 10, 19), (2, 10, 19)]), 0, 7);
        old.reserve(1, end(12), udp);
        old.reserve(1, end(13), udp);
        let given: Vec<u16> = (0..3).map(|_| old.choose(1, None, 10, udp).unwrap()).collect();
        // The address has another place and more ports; 13 is reserved again, 12 not, and so is one that somebody has.
        let mut new = Ports::new(&pool(&[(2, 10, 24), (3, 10, 19)]), 0, 7);
        new.reserve(0, end(13), udp);
        new.reserve(0, end(given[0]), udp);
        new.adopt(&mut old, |_, _| false);
        assert_eq!(new.count().0, 15 * 3 + 10 * 3 - 4);
        let mut rest: Vec<u16> = std::iter::from_fn(|| new.choose(0, None, 10, udp)).collect();
        rest.sort_unstable();
        let expected: Vec<u16> = (10..25).filter(|port| *port != 13 && !given.contains(port)).collect();
        assert_eq!(rest, expected);
        // Given back, what is reserved stays so, and what is not the worker's does no harm.
        new.give_back(end(given[0]), udp);
        assert_eq!(new.choose(0, None, given[0], udp), None);
        new.give_back(end(given[1]), udp);
        assert_eq!(new.choose(0, None, 10, udp), Some(given[1]));
        let mut less = Ports::new(&pool(&[(2, 20, 24)]), 0, 7);
        less.adopt(&mut new, |_, _| false);
        less.give_back(end(10), udp);
        assert_eq!(less.choose(0, None, 10, udp), None);
        less.give_back(end(22), udp);
        assert_eq!((less.choose(0, None, 10, udp), less.choose(0, None, 10, udp)), (Some(22), None));
    }

    #[test]
    fn workers_have_parts_of_their_own() {
        let pool = Pool::new(vec![PoolAddress { address: 1, first: 1024, last: 2023 }], 3);
        let mut all = Vec::new();
        for worker in 0..3 {
            let mut ports = Ports::new(&pool, worker, 1);
            while let Some(port) = ports.choose(0, None, 1500, IpProtocol::TCP) {
                assert_eq!(pool.owner(0, port), Some(Owner::worker(worker)));
                all.push(port);
            }
        }
        all.sort_unstable();
        assert_eq!(all, Vec::from_iter(1024..=2023));
        assert_eq!((pool.owner(0, 1023), pool.owner(0, 2024)), (None, None));
    }
}
