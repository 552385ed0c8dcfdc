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

impl Probe<Key4> {
    /// Of the bytes of a packet.
    pub fn read(packet: &[u8], zone: u16) -> Probe<Key4> {
        read4(packet, zone)
    }
}

impl Probe<Key6> {
    /// Of the bytes of a packet.
    pub fn read(packet: &[u8], zone: u16) -> Probe<Key6> {
        read6(packet, zone)
    }
}

/// The probe of a packet that begins with an IPv4 header that `ip4-input` has found good.
#[inline(always)]
pub fn ip4(packet: &mut Packet<'_>, zone: u16) -> Probe<Key4> {
    let len = packet.len();
    let plain = plain4(packet.window(), len, zone);
    plain.unwrap_or_else(|| read4(packet.data(), zone))
}

/// The probe of TCP or UDP without options and whole, as nearly all packets are; `None` of all else. For who keeps the two ways apart.
#[inline(always)]
pub fn ip4_plain(packet: &Packet<'_>, zone: u16) -> Option<Probe<Key4>> {
    plain4(packet.peek(), packet.len(), zone)
}

/// The probe of a packet that begins with an IPv6 header.
#[inline(always)]
pub fn ip6(packet: &mut Packet<'_>, zone: u16) -> Probe<Key6> {
    let len = packet.len();
    let plain = plain6(packet.window(), len, zone);
    plain.unwrap_or_else(|| read6(packet.data(), zone))
}

#[inline(always)]
fn plain4(bytes: &[u8; 40], len: usize, zone: u16) -> Option<Probe<Key4>> {
    let ip = Ipv4::from_array(bytes.first_chunk()?);
    let is_tcp = ip.protocol() == IpProtocol::TCP;
    let fits = is_tcp && len >= 40 || ip.protocol() == IpProtocol::UDP && len >= 28;
    // Version and header length, and of the fragment's word all but "don't fragment" and what is reserved.
    let begins = u64::from_be_bytes(*bytes.first_chunk()?) & 0xff00_0000_0000_3fff;
    if !fits || begins != 0x4500_0000_0000_0000 {
        return None;
    }
    let ports = u32::from_be_bytes(*bytes[20..].first_chunk()?);
    let event = if is_tcp { Event::of_tcp(TcpFlags(bytes[33])) } else { Event::Datagram };
    Some(Probe { key: Key4::new(addresses(ip), ports, ip.protocol(), zone), event, first_fragment: false })
}

/// TCP or UDP without extension headers.
#[inline(always)]
fn plain6(bytes: &[u8; 60], len: usize, zone: u16) -> Option<Probe<Key6>> {
    let ip = Ipv6::from_array(bytes.first_chunk()?);
    let is_tcp = ip.next_header() == IpProtocol::TCP;
    if !(is_tcp && len >= 60 || ip.next_header() == IpProtocol::UDP && len >= 48) {
        return None;
    }
    let ports = u32::from_be_bytes(*bytes[40..].first_chunk()?);
    let event = if is_tcp { Event::of_tcp(TcpFlags(bytes[53])) } else { Event::Datagram };
    Some(Probe { key: Key6::new(ip.src_bits(), ip.dst_bits(), ports, ip.next_header(), zone), event, first_fragment: false })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::{quoted4, quoted6};
    use etherparse::PacketBuilder;

    const A4: [u8; 4] = [10, 0, 0, 5];
    const B4: [u8; 4] = [192, 0, 2, 1];
    const A6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    const B6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

    /// Packets of IPv4 and of IPv6 with the same contents.
    fn both(build: impl Fn(etherparse::PacketBuilderStep<etherparse::IpHeaders>, bool) -> Vec<u8>) -> [Vec<u8>; 2] {
        [build(PacketBuilder::ipv4(A4, B4, 64), false), build(PacketBuilder::ipv6(A6, B6, 64), true)]
    }

    fn tcp(flags: &str) -> [Vec<u8>; 2] {
        both(|ip, _| {
            let mut tcp = ip.tcp(4000, 80, 1, 2);
            for flag in flags.chars() {
                tcp = match flag {
                    's' => tcp.syn(),
                    'a' => tcp.ack(3),
                    'f' => tcp.fin(),
                    _ => tcp.rst(),
                };
            }
            let mut bytes = Vec::new();
            tcp.write(&mut bytes, &[]).unwrap();
            bytes
        })
    }

    fn udp() -> [Vec<u8>; 2] {
        both(|ip, _| {
            let mut bytes = Vec::new();
            ip.udp(4000, 53).write(&mut bytes, &[0; 24]).unwrap();
            bytes
        })
    }

    fn echo(request: bool) -> [Vec<u8>; 2] {
        both(|ip, is_v6| {
            let mut bytes = Vec::new();
            match (is_v6, request) {
                (false, true) => ip.icmpv4_echo_request(7, 1).write(&mut bytes, &[]),
                (false, false) => ip.icmpv4_echo_reply(7, 1).write(&mut bytes, &[]),
                (true, true) => ip.icmpv6_echo_request(7, 1).write(&mut bytes, &[]),
                (true, false) => ip.icmpv6_echo_reply(7, 1).write(&mut bytes, &[]),
            }
            .unwrap();
            bytes
        })
    }

    /// What both readers and the quotes say of a packet; the short way must say the same where it says anything.
    fn check([v4, v6]: &[Vec<u8>; 2], text: &str, event: Event) {
        let text6 =
            |text: &str| text.replace("10.0.0.5", "[2001:db8::5]").replace("192.0.2.1", "[2001:db8::9]").replace("icmp", "icmp6");
        let (key4, key6) = (Key4::of(&text.parse().unwrap()).unwrap(), Key6::of(&text6(text).parse().unwrap()).unwrap());
        let expected = Probe { key: key4, event, first_fragment: false };
        assert_eq!(read4(v4, 0), expected);
        assert!(plain4(&window(v4), v4.len(), 0).is_none_or(|probe| probe == expected));
        let expected = Probe { key: key6, event, first_fragment: false };
        assert_eq!(read6(v6, 0), expected);
        assert!(plain6(&window(v6), v6.len(), 0).is_none_or(|probe| probe == expected));
        // A quote cut short anywhere says the key or nothing (RFC 792: at least 8 bytes of the payload).
        for length in 0..=v4.len() {
            let known = length >= 26 || length >= 24 && !text.ends_with("icmp");
            assert_eq!(quoted4(&v4[..length], 0), known.then_some(key4), "{length}");
        }
        for length in 0..=v6.len() {
            let known = length >= 46 || length >= 44 && !text.ends_with("icmp");
            assert_eq!(quoted6(&v6[..length], 0), known.then_some(key6), "{length}");
        }
    }

    fn window<const N: usize>(bytes: &[u8]) -> [u8; N] {
        std::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0xee))
    }

    #[test]
    fn packets_of_etherparse() {
        let ports = "10.0.0.5:4000 > 192.0.2.1:80 tcp";
        for (flags, event) in [
            ("s", Event::Syn),
            ("sa", Event::SynAck),
            ("a", Event::Ack),
            ("fa", Event::Fin),
            ("r", Event::Rst),
            ("sf", Event::Malformed),
        ] {
            check(&tcp(flags), ports, event);
            let [v4, v6] = tcp(flags);
            assert!(plain4(&window(&v4), 40, 0).is_some() && plain6(&window(&v6), 60, 0).is_some());
        }
        check(&udp(), "10.0.0.5:4000 > 192.0.2.1:53 udp", Event::Datagram);
        assert!(plain4(&window(&udp()[0]), 52, 3).is_some_and(|probe| probe.key.flow().zone == 3));
        check(&echo(true), "10.0.0.5:7 > 192.0.2.1:7 icmp", Event::Query);
        check(&echo(false), "10.0.0.5:7 > 192.0.2.1:7 icmp", Event::Answer);
    }

    #[test]
    fn fragments_and_what_is_cut_short() {
        let [mut first, _] = udp();
        first[6] = 0x20;
        let probe = read4(&first, 0);
        assert!(probe.first_fragment && plain4(&window(&first), first.len(), 0).is_none());
        let mut rest = first.clone();
        (rest[6], rest[7]) = (0, 1);
        let fragment = read4(&rest, 0);
        assert_eq!((fragment.event, Some(fragment.key)), (Event::Fragment, fragment4(&first, 0)));
        assert!(fragment.key != probe.key && quoted4(&rest, 0).is_none());
        // RFC 3128: a fragment at 8 bytes would overwrite the flags.
        rest[9] = 6;
        assert_eq!(read4(&rest, 0).event, Event::Malformed);
        let [v4, v6] = tcp("s");
        for length in 0..40 {
            assert_eq!(read4(&v4[..length], 0).event, Event::Malformed);
        }
        for length in 0..60 {
            assert_eq!(read6(&v6[..length], 0).event, Event::Malformed);
        }
    }

    #[test]
    fn icmp_errors_are_nobodys() {
        let [mut v4, mut v6] = echo(true);
        (v4[20], v6[40]) = (3, 1);
        assert_eq!((read4(&v4, 0), read6(&v6, 0)), (Probe::of(Event::IcmpError), Probe::of(Event::IcmpError)));
        assert!(quoted4(&v4, 0).is_none() && quoted6(&v6, 0).is_none(), "no error is caused by an error");
    }
}
