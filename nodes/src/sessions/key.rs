//! What a flow is known by, in as few words as hold it.

use std::fmt::Debug;
use std::hint::select_unpredictable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use swath_api::wire::IpProtocol;
use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::flow::Flow;
use super::hash::Seed;

/// A key of IPv4 or of IPv6, in the direction of one packet.
pub trait FlowKey: Copy + Eq + Debug + FromZeros + Send + Sync + 'static {
    /// 0 if the other is the same, as a number that needs no branch.
    fn differs(&self, other: &Self) -> u64;
    /// The other if `other` says so, or else itself, without a branch.
    fn either(self, that: Self, other: bool) -> Self;
    /// The key of packets the other way.
    fn reversed(self) -> Self;
    /// The same key for both directions.
    fn ordered(self) -> Self;
    /// Its hash.
    fn hash(&self, seed: &Seed) -> u64;
    /// Its source and zone.
    fn source(&self) -> [u64; 4];
    /// In words for people, and for what is saved.
    fn flow(&self) -> Flow;
    /// From these words; `None` if an address is of the other family.
    fn of(flow: &Flow) -> Option<Self>;
}

/// The key of a flow of IPv4: `source:32 | port:16 | protocol:16`, `destination:32 | port:16 | zone:16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromZeros, IntoBytes, Immutable)]
#[repr(C)]
pub struct Key4(pub(super) [u64; 2]);

/// The key of a flow of IPv6: source and destination in two words each, then `port:16 | port:16 | zone:16 | protocol:16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromZeros, IntoBytes, Immutable)]
#[repr(C)]
pub struct Key6(pub(super) [u64; 5]);

/// Marks the keys of [`Fragments`](super::Fragments), so that none is that of a flow.
const FRAGMENT: u16 = 0x100;
/// All of a word but the protocol or the zone.
const END: u64 = !0xffff;

impl Key4 {
    /// The key of a packet; `addresses` and `ports` are source and destination as one number, as they stand in the headers.
    #[inline(always)]
    pub fn new(addresses: u64, ports: u32, protocol: IpProtocol, zone: u16) -> Key4 {
        Key4::with(addresses, ports, protocol.0.into(), zone)
    }

    /// The key of the fragments of one packet (RFC 791 §3.2).
    pub fn fragment(addresses: u64, id: u16, protocol: IpProtocol, zone: u16) -> Key4 {
        Key4::with(addresses, id.into(), FRAGMENT | u16::from(protocol.0), zone)
    }

    /// Where its packets come from: address and port.
    #[inline(always)]
    pub fn source_end(self) -> (u32, u16) {
        ((self.0[0] >> 32) as u32, (self.0[0] >> 16) as u16)
    }

    /// Where its packets go: address and port.
    #[inline(always)]
    pub fn destination_end(self) -> (u32, u16) {
        ((self.0[1] >> 32) as u32, (self.0[1] >> 16) as u16)
    }

    /// The protocol.
    #[inline(always)]
    pub fn protocol(self) -> IpProtocol {
        IpProtocol(self.0[0] as u8)
    }

    /// Its words, as they are compared.
    #[inline(always)]
    pub fn words(self) -> [u64; 2] {
        self.0
    }

    /// The zone.
    #[inline(always)]
    pub fn zone(self) -> u16 {
        self.0[1] as u16
    }

    #[inline(always)]
    fn with(addresses: u64, ports: u32, protocol: u16, zone: u16) -> Key4 {
        let (from, to) = (u64::from(ports) & 0xffff_0000, (u64::from(ports) & 0xffff) << 16);
        Key4([addresses & !0xffff_ffff | from | u64::from(protocol), addresses << 32 | to | u64::from(zone)])
    }
}

impl FlowKey for Key4 {
    #[inline(always)]
    fn differs(&self, other: &Key4) -> u64 {
        self.0[0] ^ other.0[0] | self.0[1] ^ other.0[1]
    }

    #[inline(always)]
    fn either(self, that: Key4, other: bool) -> Key4 {
        Key4(std::array::from_fn(|at| select_unpredictable(other, that.0[at], self.0[at])))
    }

    #[inline(always)]
    fn reversed(self) -> Key4 {
        let [from, to] = self.0;
        Key4([to & END | from & !END, from & END | to & !END])
    }

    #[inline(always)]
    fn ordered(self) -> Key4 {
        let ([a, b], [c, d]) = (self.0, self.reversed().0);
        let in_order = a & END <= b & END;
        Key4([select_unpredictable(in_order, a, c), select_unpredictable(in_order, b, d)])
    }

    #[inline(always)]
    fn hash(&self, seed: &Seed) -> u64 {
        seed.hash(self.0)
    }

    fn source(&self) -> [u64; 4] {
        [self.0[0] >> 32, 0, self.0[1] & !END, 0]
    }

    fn flow(&self) -> Flow {
        let [from, to] = self.0;
        Flow {
            source: Ipv4Addr::from_bits((from >> 32) as u32).into(),
            destination: Ipv4Addr::from_bits((to >> 32) as u32).into(),
            source_port: (from >> 16) as u16,
            destination_port: (to >> 16) as u16,
            protocol: from as u8,
            zone: to as u16,
        }
    }

    fn of(flow: &Flow) -> Option<Key4> {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (flow.source, flow.destination) else { return None };
        let addresses = u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits());
        Some(Key4::new(addresses, ports(flow), IpProtocol(flow.protocol), flow.zone))
    }
}

impl Key6 {
    /// The key of a packet; `ports` are source and destination as one number.
    #[inline(always)]
    pub fn new(source: u128, destination: u128, ports: u32, protocol: IpProtocol, zone: u16) -> Key6 {
        Key6::with(source, destination, ports, protocol.0.into(), zone)
    }

    /// The key of the fragments of one packet (RFC 8200 §4.5: of source, destination and id).
    pub fn fragment(source: u128, destination: u128, id: u32, zone: u16) -> Key6 {
        Key6::with(source, destination, id, FRAGMENT, zone)
    }

    #[inline(always)]
    fn with(source: u128, destination: u128, ports: u32, protocol: u16, zone: u16) -> Key6 {
        let last = u64::from(ports) << 32 | u64::from(zone) << 16 | u64::from(protocol);
        Key6([(source >> 64) as u64, source as u64, (destination >> 64) as u64, destination as u64, last])
    }
}

impl FlowKey for Key6 {
    #[inline(always)]
    fn differs(&self, other: &Key6) -> u64 {
        self.0.iter().zip(&other.0).fold(0, |differs, (a, b)| differs | a ^ b)
    }

    #[inline(always)]
    fn either(self, that: Key6, other: bool) -> Key6 {
        Key6(std::array::from_fn(|at| select_unpredictable(other, that.0[at], self.0[at])))
    }

    #[inline(always)]
    fn reversed(self) -> Key6 {
        let [a, b, c, d, last] = self.0;
        let ports = ((last >> 32) as u32).rotate_left(16);
        Key6([c, d, a, b, u64::from(ports) << 32 | last & 0xffff_ffff])
    }

    #[inline(always)]
    fn ordered(self) -> Key6 {
        let [a, b, c, d, last] = self.0;
        let in_order = (a, b, last >> 48) <= (c, d, last >> 32 & 0xffff);
        let other = self.reversed().0;
        Key6(std::array::from_fn(|at| select_unpredictable(in_order, self.0[at], other[at])))
    }

    #[inline(always)]
    fn hash(&self, seed: &Seed) -> u64 {
        let [a, b, c, d, last] = self.0;
        seed.hash([a, b, c, d, last, 0])
    }

    fn source(&self) -> [u64; 4] {
        [self.0[0], self.0[1], self.0[4] >> 16 & 0xffff, 1]
    }

    fn flow(&self) -> Flow {
        let [a, b, c, d, last] = self.0;
        let address = |high: u64, low: u64| Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into();
        Flow {
            source: address(a, b),
            destination: address(c, d),
            source_port: (last >> 48) as u16,
            destination_port: (last >> 32) as u16,
            protocol: last as u8,
            zone: (last >> 16) as u16,
        }
    }

    fn of(flow: &Flow) -> Option<Key6> {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (flow.source, flow.destination) else { return None };
        Some(Key6::new(source.to_bits(), destination.to_bits(), ports(flow), IpProtocol(flow.protocol), flow.zone))
    }
}

fn ports(flow: &Flow) -> u32 {
    u32::from(flow.source_port) << 16 | u32::from(flow.destination_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<K: FlowKey>(flow: Flow) {
        let key = K::of(&flow).unwrap();
        assert_eq!(key.flow(), flow);
        let back = Flow {
            source: flow.destination,
            destination: flow.source,
            source_port: flow.destination_port,
            destination_port: flow.source_port,
            ..flow
        };
        assert_eq!((key.reversed().flow(), key.reversed().reversed()), (back, key));
        assert_eq!(key.ordered(), key.reversed().ordered());
        assert!(key.ordered() == key || key.ordered() == key.reversed());
    }

    #[test]
    fn the_parts_of_a_key() {
        let flow = "10.0.0.5:4000 > 192.0.2.1:53 udp zone 3".parse().unwrap();
        let key = Key4::of(&flow).unwrap();
        assert_eq!((key.source_end(), key.destination_end()), ((0x0a00_0005, 4000), (0xc000_0201, 53)));
        assert_eq!((key.protocol(), key.zone()), (IpProtocol::UDP, 3));
    }

    proptest! {
        #[test]
        fn both_ways(a: u128, b: u128, near: bool, source_port: u16, destination_port: u16, protocol: u8, zone: u16) {
            // Half of the time only the ports tell the ends apart.
            let b = if near { a } else { b };
            let flow = |source, destination| Flow { source, destination, source_port, destination_port, protocol, zone };
            check::<Key6>(flow(Ipv6Addr::from_bits(a).into(), Ipv6Addr::from_bits(b).into()));
            check::<Key4>(flow(Ipv4Addr::from_bits(a as u32).into(), Ipv4Addr::from_bits(b as u32).into()));
            prop_assert!(Key4::of(&flow(Ipv6Addr::from_bits(a).into(), Ipv6Addr::from_bits(b).into())).is_none());
        }
    }
}
