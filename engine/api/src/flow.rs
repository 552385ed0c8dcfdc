//! Hashes by which packets that belong together come to the same place: a receive queue, a worker, an edge.
//!
//! Both directions of a flow have the same hash, and so have all fragments of a datagram, for which ports do not count. Who divides
//! what somebody else has divided by the same hash wants another seed, or has only packets of one part.

use crate::wire::{Eth, EtherType, Header, IpProtocol, Ipv4, Ipv6, Vlan};

/// The hash of a frame's flow: addresses, protocol, and ports of TCP, UDP, UDP-Lite, SCTP and DCCP, behind any VLAN tags. `None` for what
/// is neither IPv4 nor IPv6, or cut off within the header.
pub fn ethernet_hash(frame: &[u8], seed: u64) -> Option<u64> {
    let (eth, mut rest) = Eth::parse(frame).ok()?;
    let mut ether_type = eth.ether_type();
    while ether_type.is_vlan() {
        let (tag, inner) = Vlan::parse(rest).ok()?;
        (ether_type, rest) = (tag.ether_type(), inner);
    }
    matches!(ether_type, EtherType::IPV4 | EtherType::IPV6).then(|| ip_hash(rest, seed)).flatten()
}

/// As [`ethernet_hash`], for a packet that starts with its IPv4 or IPv6 header.
pub fn ip_hash(packet: &[u8], seed: u64) -> Option<u64> {
    match packet.first()? >> 4 {
        4 => {
            let (header, rest) = packet.split_first_chunk()?;
            let ip = Ipv4::from_array(header);
            if ip.header_len() < size_of::<Ipv4>() {
                return None;
            }
            let ports = if ip.is_fragment() { [0; 2] } else { ports(ip.protocol(), ip.payload(rest)) };
            Some(hash(seed, [ip.src_bits().into(), ip.dst_bits().into()], ip.protocol(), ports))
        }
        6 => {
            let (header, rest) = packet.split_first_chunk()?;
            let ip = Ipv6::from_array(header);
            let addresses = [u128::from_be_bytes(ip.src().octets()), u128::from_be_bytes(ip.dst().octets())];
            let (protocol, ports) = match ip.upper(rest) {
                // Fragments need not agree on what is behind their header (RFC 8200 §4.5).
                Ok(upper) if upper.fragment.is_some_and(|fragment| !fragment.is_atomic()) => (IpProtocol::FRAGMENT, [0; 2]),
                Ok(upper) => (upper.protocol, ports(upper.protocol, packet.get(upper.offset..).unwrap_or_default())),
                Err(_) => (ip.next_header(), [0; 2]),
            };
            Some(hash(seed, addresses, protocol, ports))
        }
        _ => None,
    }
}

/// A hash that all fragments of an IPv4 datagram share and two datagrams do not: of source, destination, protocol and identification
/// (RFC 791 §3.2). `None` for what is no fragment.
pub fn fragment_hash(packet: &[u8], seed: u64) -> Option<u32> {
    let ip = Ipv4::from_array(packet.first_chunk()?);
    if ip.version() != 4 || !ip.is_fragment() {
        return None;
    }
    let addresses = u64::from(ip.src_bits()) << 32 | u64::from(ip.dst_bits());
    Some((mix(mix(addresses ^ seed) ^ u64::from(ip.id()) << 8 ^ u64::from(ip.protocol().0)) >> 32) as u32)
}

/// The hash of a word, as an address.
#[inline]
pub fn word_hash(word: u64, seed: u64) -> u32 {
    (mix(word ^ mix(seed)) >> 32) as u32
}

/// Source and destination port, where the protocol has them at its start.
fn ports(protocol: IpProtocol, payload: &[u8]) -> [u16; 2] {
    let has_ports = matches!(protocol.0, 6 | 17 | 33 | 132 | 136);
    match payload {
        [a, b, c, d, ..] if has_ports => [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])],
        _ => [0; 2],
    }
}

/// The same for both directions: each end has its hash, and their sum does not know an order.
fn hash(seed: u64, [src, dst]: [u128; 2], protocol: IpProtocol, [from, to]: [u16; 2]) -> u64 {
    let end = |address: u128, port: u16| mix(mix(seed ^ (address >> 64) as u64) ^ address as u64 ^ u64::from(port) << 48);
    mix(end(src, from).wrapping_add(end(dst, to)) ^ u64::from(protocol.0))
}

/// The finalizer of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), begun off zero: every bit of
/// the result depends on every bit of `word`.
#[inline]
pub fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
