//! Packets, and what they are under other addresses, by etherparse: every checksum is computed from all the bytes that it covers.

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpFragOffset, Ipv4Header, PacketBuilder, TcpHeader, UdpHeader};

pub type Address = [u8; 4];
/// An address and a port, or an ICMP identifier.
pub type End = (Address, u16);

pub fn udp(from: End, to: End) -> Vec<u8> {
    udp_of(from, to, b"a datagram")
}

pub fn udp_of(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(from.0, to.0, 64).udp(from.1, to.1).write(&mut bytes, payload).expect("a vector takes all");
    unfixed(bytes)
}

/// Flags: s, a, f, r.
pub fn tcp(from: End, to: End, flags: &str) -> Vec<u8> {
    let mut builder = PacketBuilder::ipv4(from.0, to.0, 64).tcp(from.1, to.1, 7, 1000);
    for flag in flags.chars() {
        builder = match flag {
            's' => builder.syn(),
            'a' => builder.ack(9),
            'f' => builder.fin(),
            _ => builder.rst(),
        };
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes, b"data").expect("a vector takes all");
    unfixed(bytes)
}

pub fn ping(from: Address, to: Address, id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(from, to, 64).icmpv4_echo_request(id, 1).write(&mut bytes, b"ping").expect("a vector takes all");
    unfixed(bytes)
}

pub fn pong(from: Address, to: Address, id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(from, to, 64).icmpv4_echo_reply(id, 1).write(&mut bytes, b"ping").expect("a vector takes all");
    unfixed(bytes)
}

/// Without DF, and with an identification.
fn unfixed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[4..8].copy_from_slice(&[0x12, 0x34, 0, 0]);
    mend(&mut bytes);
    bytes
}

/// An ICMP error about a packet, of which it quotes so many bytes.
pub fn error(from: Address, to: Address, kind: [u8; 2], about: &[u8], quoted: usize) -> Vec<u8> {
    let mut body = vec![kind[0], kind[1], 0, 0, 0, 0, 0, 0];
    body.extend(&about[..quoted.min(about.len())]);
    let mut bytes =
        Ipv4Header::new(body.len() as u16, 64, etherparse::IpNumber::ICMP, from, to).expect("short").to_bytes().to_vec();
    bytes.extend(body);
    mend(&mut bytes);
    bytes
}

/// A packet as the other side sees it: another source or destination, one hop less to live.
pub fn as_seen(packet: &[u8], from: Option<End>, to: Option<End>) -> Vec<u8> {
    let mut bytes = with_ends(packet, from, to);
    bytes[8] -= 1;
    mend(&mut bytes);
    bytes
}

/// With another source or destination, and checksums that are right; one that UDP does not have stays so.
pub fn with_ends(packet: &[u8], from: Option<End>, to: Option<End>) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    set_ends(&mut bytes, from, to);
    mend(&mut bytes);
    bytes
}

fn set_ends(bytes: &mut [u8], from: Option<End>, to: Option<End>) {
    let at = usize::from(bytes[0] & 15) * 4;
    let is_first = bytes[6] & 0x1f == 0 && bytes[7] == 0;
    for (end, address_at, port_at) in [(from, 12, at), (to, 16, at + 2)] {
        let Some((address, port)) = end else { continue };
        bytes[address_at..address_at + 4].copy_from_slice(&address);
        if is_first {
            let port_at = if bytes[9] == 1 { at + 4 } else { port_at };
            bytes[port_at..port_at + 2].copy_from_slice(&port.to_be_bytes());
        }
    }
}

/// What a packet is as the quote of an error: as [`with_ends`] of all of it, cut off.
pub fn quote_of(packet: &[u8], from: Option<End>, to: Option<End>, quoted: usize) -> Vec<u8> {
    let whole = with_ends(packet, from, to);
    whole[..quoted.min(whole.len())].to_vec()
}

/// Makes checksums right: of the header, and of UDP, TCP and ICMP where the packet is whole. UDP's stays 0.
pub fn mend(bytes: &mut [u8]) {
    let at = usize::from(bytes[0] & 15) * 4;
    bytes[10..12].copy_from_slice(&[0, 0]);
    let sum = sum(&bytes[..at]);
    bytes[10..12].copy_from_slice(&sum);
    let is_fragment = bytes[6] & 0x3f != 0 || bytes[7] != 0;
    if is_fragment {
        return;
    }
    let (ip, _) = Ipv4Header::from_slice(bytes).expect("an IPv4 header");
    let payload = bytes[at..].to_vec();
    let (place, sum) = match bytes[9] {
        17 if payload[6..8] == [0, 0] => return,
        17 => {
            let (header, rest) = UdpHeader::from_slice(&payload).expect("a UDP header");
            (6, header.calc_checksum_ipv4(&ip, rest).expect("short").to_be_bytes())
        }
        6 => {
            let (header, rest) = TcpHeader::from_slice(&payload).expect("a TCP header");
            (16, header.calc_checksum_ipv4(&ip, rest).expect("short").to_be_bytes())
        }
        1 => {
            bytes[at + 2..at + 4].copy_from_slice(&[0, 0]);
            (2, self::sum(&bytes[at..]))
        }
        _ => return,
    };
    bytes[at + place..at + place + 2].copy_from_slice(&sum);
}

fn sum(bytes: &[u8]) -> [u8; 2] {
    Sum16BitWords::new().add_slice(bytes).ones_complement().to_ne_bytes()
}

/// Checks that checksums are right.
pub fn verify(packet: &[u8]) {
    let mut right = packet.to_vec();
    mend(&mut right);
    assert_eq!(packet, right, "a checksum is wrong");
}

/// Where a packet comes from and where it goes.
pub fn ends(packet: &[u8]) -> (End, End) {
    let at = usize::from(packet[0] & 15) * 4;
    let address = |at: usize| packet[at..at + 4].try_into().expect("four bytes");
    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let ports = if packet[9] == 1 { (port(at + 4), port(at + 4)) } else { (port(at), port(at + 2)) };
    ((address(12), ports.0), (address(16), ports.1))
}

pub fn source(packet: &[u8]) -> End {
    ends(packet).0
}

/// A packet in fragments of so many bytes of payload, in order.
pub fn fragmented(packet: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let count = payload.len().div_ceil(size);
    let fragment = |(at, part): (usize, &[u8])| {
        let (mut ip, _) = Ipv4Header::from_slice(header).expect("an IPv4 header");
        (ip.identification, ip.dont_fragment, ip.more_fragments) = (id, false, at + 1 < count);
        ip.fragment_offset = IpFragOffset::try_new((at * size / 8) as u16).expect("at most 8191");
        ip.set_payload_len(part.len()).expect("short");
        ip.header_checksum = ip.calc_header_checksum();
        [&ip.to_bytes()[..], part].concat()
    };
    payload.chunks(size).enumerate().map(fragment).collect()
}

/// A packet with a number in its payload, by which it is known again.
pub fn labelled(mut packet: Vec<u8>, label: usize) -> Vec<u8> {
    let at = payload_at(&packet);
    packet[at..at + 2].copy_from_slice(&(label as u16).to_be_bytes());
    mend(&mut packet);
    packet
}

/// The number in a packet's payload.
pub fn label(packet: &[u8]) -> usize {
    let at = payload_at(packet);
    usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]))
}

fn payload_at(packet: &[u8]) -> usize {
    if packet[9] == 6 { 40 } else { 28 }
}
