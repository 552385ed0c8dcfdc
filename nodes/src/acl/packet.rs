//! From bytes to keys.

use swath_api::Packet;
use swath_api::wire::{EtherType, Header, IpProtocol, Ipv4, Ipv6, TcpFlags};

use crate::sessions::{Event, Key4, Probe};

use super::criteria::{Key, NO_PORT, Part};
use super::flowing::network;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// IPv4.
    #[default]
    Ip4,
    /// IPv6.
    Ip6,
    /// Neither.
    Other,
    /// IP with headers that are cut off, or malformed, or longer than is walked.
    Bad,
}

const TCP: u8 = 6;

/// Whether an IPv4 packet is whole, without options, and has all of the header of TCP or UDP: as most are.
#[inline(always)]
fn is_plain4(window: &[u8; 40], ip: &Ipv4, len: usize) -> bool {
    const PLAIN: u8 = 0x45;
    const UDP: u8 = 17;
    let protocol = ip.protocol().0;
    let total = usize::from(ip.total_len()).min(len);
    let least = if protocol == TCP { 40 } else { 28 };
    window[0] == PLAIN && !ip.is_fragment() && total >= least && matches!(protocol, TCP | UDP)
}

/// What sessions ask of an IPv4 packet, if it is as most are.
#[inline(always)]
pub fn plain4(packet: &Packet<'_>) -> Option<Probe<Key4>> {
    let len = packet.len();
    let window = packet.peek::<40>();
    let ip = Ipv4::from_array(window.first_chunk()?);
    if !is_plain4(window, ip, len) {
        return None;
    }
    let addresses = u64::from(ip.src_bits()) << 32 | u64::from(ip.dst_bits());
    let ports = u32::from_be_bytes(*window[20..].first_chunk()?);
    let event = if ip.protocol().0 == TCP { Event::of_tcp(TcpFlags(window[33])) } else { Event::Datagram };
    Some(Probe { key: Key4::new(addresses, ports, ip.protocol(), 0), event, first_fragment: false })
}

/// Takes the key of an IPv4 packet; of others it says what they are.
#[inline(always)]
pub fn ip4(packet: &Packet<'_>, key: &mut Key<u32>) -> Kind {
    let len = packet.len();
    let window = packet.peek::<40>();
    let version = window[0] >> 4;
    let Some(header) = window.first_chunk::<20>() else { return Kind::Bad };
    let ip = Ipv4::from_array(header);
    let protocol = ip.protocol().0;
    if is_plain4(window, ip, len) {
        let port = |at: usize| window[at..].first_chunk().map_or(0, |bytes| u32::from(u16::from_be_bytes(*bytes)));
        *key = Key {
            source: ip.src_bits(),
            destination: ip.dst_bits(),
            source_port: port(20),
            destination_port: port(22),
            protocol,
            part: Part::Whole,
            tcp_flags: if protocol == TCP { window[33] } else { 0 },
            dscp: ip.dscp(),
            vlan: 0,
            rx: packet.lane_ref().rx,
            tx: packet.lane_ref().tx,
            id: 0,
        };
        return Kind::Ip4;
    }
    if len == 0 {
        return Kind::Other;
    }
    match version {
        4 => ip4_slow(packet, key),
        6 => Kind::Ip6,
        _ => Kind::Other,
    }
}

#[inline(never)]
fn ip4_slow(packet: &Packet<'_>, key: &mut Key<u32>) -> Kind {
    let lane = *packet.lane_ref();
    (key.rx, key.tx, key.vlan) = (lane.rx, lane.tx, 0);
    of_ip4(packet.data(), key)
}

fn of_ip4(packet: &[u8], key: &mut Key<u32>) -> Kind {
    let Ok((ip, rest)) = Ipv4::parse(packet) else { return Kind::Bad };
    (key.source, key.destination, key.dscp, key.id) = (ip.src_bits(), ip.dst_bits(), ip.dscp(), ip.id().into());
    key.part = part(ip.fragment_offset(), ip.more_fragments());
    if transport(ip.protocol(), ip.fragment_offset(), ip.payload(rest), key) { Kind::Ip4 } else { Kind::Bad }
}

/// Takes the key of an IPv6 packet.
pub fn ip6(packet: &Packet<'_>, key: &mut Key<u128>) -> Kind {
    let lane = *packet.lane_ref();
    (key.rx, key.tx, key.vlan) = (lane.rx, lane.tx, 0);
    of_ip6(packet.data(), key)
}

fn of_ip6(packet: &[u8], key: &mut Key<u128>) -> Kind {
    let Ok((ip, rest)) = Ipv6::parse(packet) else { return Kind::Bad };
    let Ok(upper) = ip.upper(rest) else { return Kind::Bad };
    (key.source, key.destination, key.dscp) = (ip.src_bits(), ip.dst_bits(), ip.dscp());
    let fragment = upper.fragment;
    let offset = fragment.map_or(0, |fragment| fragment.offset);
    key.id = fragment.map_or(0, |fragment| fragment.id);
    key.part = fragment.map_or(Part::Whole, |fragment| part(fragment.offset, fragment.more));
    let end = (size_of::<Ipv6>() + usize::from(ip.payload_len())).min(packet.len());
    let payload = packet.get(upper.offset..end).unwrap_or_default();
    if transport(upper.protocol, offset, payload, key) { Kind::Ip6 } else { Kind::Bad }
}

/// As [`ip4`], of a packet that begins with an Ethernet header, VLAN tags behind it.
pub fn ethernet4(packet: &Packet<'_>, key: &mut Key<u32>) -> Kind {
    let lane = *packet.lane_ref();
    (key.rx, key.tx) = (lane.rx, lane.tx);
    match network(packet.data()) {
        Some((EtherType::IPV4, vlan, packet)) => {
            key.vlan = vlan;
            of_ip4(packet, key)
        }
        Some((EtherType::IPV6, ..)) => Kind::Ip6,
        _ => Kind::Other,
    }
}

/// As [`ip6`], of a packet that begins with an Ethernet header.
pub fn ethernet6(packet: &Packet<'_>, key: &mut Key<u128>) -> Kind {
    let lane = *packet.lane_ref();
    (key.rx, key.tx) = (lane.rx, lane.tx);
    let Some((EtherType::IPV6, vlan, packet)) = network(packet.data()) else { return Kind::Other };
    key.vlan = vlan;
    of_ip6(packet, key)
}

fn part(offset: u16, more: bool) -> Part {
    match (offset, more) {
        (0, false) => Part::Whole,
        (0, true) => Part::First,
        _ => Part::Later,
    }
}

/// Ports, ICMP types and flags. `false` if the header is not whole: rules would be asked for what nobody can know (RFC 1858 §3).
fn transport<A>(protocol: IpProtocol, offset: u16, payload: &[u8], key: &mut Key<A>) -> bool {
    const FLAGS: usize = 13;
    (key.protocol, key.tcp_flags) = (protocol.0, 0);
    (key.source_port, key.destination_port) = (NO_PORT, NO_PORT);
    if key.part == Part::Later {
        // It would overwrite the flags of the first one (RFC 1858 §3.2.2).
        return protocol.0 != TCP || offset != 8;
    }
    let least = match protocol.0 {
        TCP => 20,
        17 | 136 => 8,
        33 | 132 => 12,
        1 | 58 => 4,
        _ => return true,
    };
    let ([a, b, c, d, ..], true) = (payload, payload.len() >= least) else { return false };
    if matches!(protocol.0, 1 | 58) {
        (key.source_port, key.destination_port) = (u32::from(*a), u32::from(*b));
    } else {
        let port = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
        (key.source_port, key.destination_port) = (port(*a, *b), port(*c, *d));
    }
    if protocol.0 == TCP {
        key.tcp_flags = payload.get(FLAGS).copied().unwrap_or(0);
    }
    true
}
