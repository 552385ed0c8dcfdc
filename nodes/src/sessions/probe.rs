//! From a packet to the key of its session, and to what the packet is to that.

use swath_api::Packet;
use swath_api::wire::{Header, IpProtocol, Ipv4, Ipv6, TcpFlags, icmp, icmpv6};

use super::flow::Flow;
use super::key::{FlowKey, Key4, Key6};
use super::state::Event;

/// What a look-up and a session need to know of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe<K> {
    /// The key of its session, in its direction. Of a fragment that is not the first it is that of [`Fragments`](super::Fragments), and of
    /// an ICMP error or what is malformed nobody's.
    pub key: K,
    /// What it is to its session.
    pub event: Event,
    /// Whether other fragments follow, which will have no ports.
    pub first_fragment: bool,
}

impl<K: FlowKey> Probe<K> {
    /// Of a packet that is none: `None` if the flow is of the other family.
    pub fn flow(flow: &Flow, event: Event) -> Option<Probe<K>> {
        K::of(flow).map(|key| Probe { key, event, first_fragment: false })
    }

    fn of(event: Event) -> Probe<K> {
        Probe { key: K::new_zeroed(), event, first_fragment: false }
    }
}

/// The probe of a packet that begins with an IPv4 header that `ip4-input` has found good.
#[inline(always)]
pub fn ip4(packet: &mut Packet<'_>, zone: u16) -> Probe<Key4> {
    let len = packet.len();
    let bytes = packet.window::<40>();
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let protocol = IpProtocol(bytes[9]);
    let is_tcp = protocol == IpProtocol::TCP;
    let is_whole = word(4) & 0x3fff == 0 && bytes[0] == 0x45;
    if !(is_whole && (is_tcp && len >= 40 || protocol == IpProtocol::UDP && len >= 28)) {
        return read4(packet.data(), zone);
    }
    let addresses = u64::from(word(12)) << 32 | u64::from(word(16));
    let event = if is_tcp { Event::of_tcp(TcpFlags(bytes[33])) } else { Event::Datagram };
    Probe { key: Key4::new(addresses, word(20), protocol, zone), event, first_fragment: false }
}

/// The probe of a packet that begins with an IPv6 header.
#[inline(always)]
pub fn ip6(packet: &mut Packet<'_>, zone: u16) -> Probe<Key6> {
    let len = packet.len();
    let bytes = packet.window::<60>();
    let protocol = IpProtocol(bytes[6]);
    let is_tcp = protocol == IpProtocol::TCP;
    if !(is_tcp && len >= 60 || protocol == IpProtocol::UDP && len >= 48) {
        return read6(packet.data(), zone);
    }
    let address = |at: usize| bytes[at..].first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let ports = u32::from_be_bytes([bytes[40], bytes[41], bytes[42], bytes[43]]);
    let event = if is_tcp { Event::of_tcp(TcpFlags(bytes[53])) } else { Event::Datagram };
    Probe { key: Key6::new(address(8), address(24), ports, protocol, zone), event, first_fragment: false }
}

/// Any packet: with options, fragments, ICMP, other protocols.
#[inline(never)]
fn read4(bytes: &[u8], zone: u16) -> Probe<Key4> {
    let Ok((ip, rest)) = Ipv4::parse(bytes) else { return Probe::of(Event::Malformed) };
    let protocol = ip.protocol();
    if ip.fragment_offset() > 0 {
        // What would write over the ports and flags of the first (RFC 1858 §3, RFC 3128).
        let tiny = ip.fragment_offset() < 20 && protocol == IpProtocol::TCP;
        let event = if tiny { Event::Malformed } else { Event::Fragment };
        return Probe { key: fragment_key4(ip, zone), event, first_fragment: false };
    }
    let Some((ports, event)) = read_upper(protocol, ip.payload(rest)) else { return Probe::of(Event::Malformed) };
    if event == Event::IcmpError {
        return Probe::of(event);
    }
    Probe { key: Key4::new(addresses(ip), ports, protocol, zone), event, first_fragment: ip.more_fragments() }
}

#[inline(never)]
fn read6(bytes: &[u8], zone: u16) -> Probe<Key6> {
    let Ok((ip, rest)) = Ipv6::parse(bytes) else { return Probe::of(Event::Malformed) };
    let Ok(upper) = ip.upper(rest) else { return Probe::of(Event::Malformed) };
    if let Some(fragment) = upper.fragment.filter(|fragment| fragment.offset > 0) {
        let tiny = fragment.offset < 20 && upper.protocol == IpProtocol::TCP;
        let event = if tiny { Event::Malformed } else { Event::Fragment };
        return Probe { key: Key6::fragment(ip.src_bits(), ip.dst_bits(), fragment.id, zone), event, first_fragment: false };
    }
    let payload = ip.payload(rest).get(upper.offset - size_of::<Ipv6>()..).unwrap_or_default();
    let Some((ports, event)) = read_upper(upper.protocol, payload) else { return Probe::of(Event::Malformed) };
    if event == Event::IcmpError {
        return Probe::of(event);
    }
    let key = Key6::new(ip.src_bits(), ip.dst_bits(), ports, upper.protocol, zone);
    Probe { key, event, first_fragment: upper.fragment.is_some_and(|fragment| fragment.more) }
}

/// The key that the fragments of an IPv4 packet share; `None` of a packet that is none.
pub(super) fn fragment4(bytes: &[u8], zone: u16) -> Option<Key4> {
    let (ip, _) = Ipv4::parse(bytes).ok()?;
    ip.is_fragment().then(|| fragment_key4(ip, zone))
}

/// The key that the fragments of an IPv6 packet share; `None` of a packet that is none.
pub(super) fn fragment6(bytes: &[u8], zone: u16) -> Option<Key6> {
    let (ip, rest) = Ipv6::parse(bytes).ok()?;
    let fragment = ip.upper(rest).ok()?.fragment?;
    Some(Key6::fragment(ip.src_bits(), ip.dst_bits(), fragment.id, zone))
}

fn fragment_key4(ip: &Ipv4, zone: u16) -> Key4 {
    Key4::fragment(addresses(ip), ip.id(), ip.protocol(), zone)
}

pub(super) fn addresses(ip: &Ipv4) -> u64 {
    u64::from(ip.src_bits()) << 32 | u64::from(ip.dst_bits())
}

/// Ports, or what stands for them; `None` if the header is cut short.
fn read_upper(protocol: IpProtocol, bytes: &[u8]) -> Option<(u32, Event)> {
    match protocol {
        IpProtocol::TCP => {
            let header = bytes.first_chunk::<20>()?;
            Some((read_ports(protocol, bytes)?, Event::of_tcp(TcpFlags(header[13]))))
        }
        IpProtocol::ICMP | IpProtocol::ICMPV6 => {
            let header = bytes.first_chunk::<8>()?;
            let event = match (protocol, header[0]) {
                (IpProtocol::ICMP, icmp::ECHO_REQUEST | icmp::TIMESTAMP) | (IpProtocol::ICMPV6, icmpv6::ECHO_REQUEST) => {
                    Event::Query
                }
                (IpProtocol::ICMP, icmp::ECHO_REPLY | icmp::TIMESTAMP_REPLY) | (IpProtocol::ICMPV6, icmpv6::ECHO_REPLY) => {
                    Event::Answer
                }
                (
                    IpProtocol::ICMP,
                    icmp::DESTINATION_UNREACHABLE
                    | icmp::SOURCE_QUENCH
                    | icmp::REDIRECT
                    | icmp::TIME_EXCEEDED
                    | icmp::PARAMETER_PROBLEM,
                )
                | (IpProtocol::ICMPV6, 0..=127) => Event::IcmpError,
                // A message of routers or of neighbours, which opens nothing.
                _ => return Some((0, Event::Datagram)),
            };
            Some((read_ports(protocol, bytes).unwrap_or(0), event))
        }
        IpProtocol::UDP if bytes.len() < 8 => None,
        _ => Some((read_ports(protocol, bytes)?, Event::Datagram)),
    }
}

/// Ports of TCP, UDP and SCTP; the identifier of an ICMP query or answer, twice; 0 of other protocols. `None` if they are cut off.
pub(super) fn read_ports(protocol: IpProtocol, bytes: &[u8]) -> Option<u32> {
    match protocol {
        IpProtocol::TCP | IpProtocol::UDP | IpProtocol::SCTP => bytes.first_chunk().map(|ports| u32::from_be_bytes(*ports)),
        IpProtocol::ICMP | IpProtocol::ICMPV6 => {
            let [kind, _, _, _, high, low, ..] = bytes else { return None };
            let is_query = match protocol {
                IpProtocol::ICMP => [icmp::ECHO_REQUEST, icmp::ECHO_REPLY, icmp::TIMESTAMP, icmp::TIMESTAMP_REPLY].contains(kind),
                _ => [icmpv6::ECHO_REQUEST, icmpv6::ECHO_REPLY].contains(kind),
            };
            is_query.then(|| u32::from_be_bytes([*high, *low, *high, *low]))
        }
        _ => Some(0),
    }
}
