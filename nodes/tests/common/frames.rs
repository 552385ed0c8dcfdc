//! Frames, and what a router makes of them, by an independent implementation (etherparse).

use etherparse::checksum::Sum16BitWords;
use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv4Options};

use super::random::Rng;

/// A hardware address.
pub type Mac = [u8; 6];

/// `02:00:00:00:00:xx`.
pub const fn mac(last: u8) -> Mac {
    [2, 0, 0, 0, 0, last]
}

/// Who sends the frames that come in.
pub const SENDER: Mac = mac(0x77);

/// A frame.
pub fn ethernet(destination: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let header = Ethernet2Header { destination, source: SENDER, ether_type: EtherType(ethertype) };
    [&header.to_bytes()[..], payload].concat()
}

/// An IPv4 header for a UDP payload of this length.
pub fn header(destination: [u8; 4], ttl: u8, payload: usize) -> Ipv4Header {
    Ipv4Header::new(payload as u16, ttl, IpNumber::UDP, [192, 168, 1, 10], destination).expect("a payload of a packet's size")
}

/// A packet with the header, its checksum made right, and a payload of the length that it says.
pub fn packet(mut header: Ipv4Header, options: &[u8]) -> Vec<u8> {
    let payload = usize::from(header.payload_len().expect("at least the header"));
    header.options = Ipv4Options::try_from(options).expect("whole words of options");
    header.set_payload_len(payload).expect("a payload of a packet's size");
    header.header_checksum = header.calc_header_checksum();
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend((0..payload).map(|at| at as u8));
    bytes
}

/// A frame with an IPv4 packet.
pub fn ip4(to: Mac, destination: [u8; 4], ttl: u8, payload: usize) -> Vec<u8> {
    ethernet(to, 0x0800, &packet(header(destination, ttl, payload), &[]))
}

/// The checksum that a header should have (RFC 791), whatever is in its field.
pub fn checksum(header: &[u8]) -> u16 {
    let sum = Sum16BitWords::new().add_slice(&header[..10]).add_slice(&header[12..]);
    sum.ones_complement().to_be()
}

/// The frame as a router sends it on (RFC 1812 §5.3.1): one hop less to live, without padding, from `source` to `destination`.
pub fn forwarded(frame: &[u8], destination: Mac, source: Mac) -> Vec<u8> {
    let (ethernet, rest) = Ethernet2Header::from_slice(frame).expect("an Ethernet header");
    let (old, _) = Ipv4Header::from_slice(rest).expect("an IPv4 header");
    let mut packet = rest[..usize::from(old.total_len)].to_vec();
    packet[8] -= 1;
    let sum = checksum(&packet[..old.header_len()]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    [&Ethernet2Header { destination, source, ..ethernet }.to_bytes()[..], &packet].concat()
}

/// Any change to a frame: bits and bytes, its length, words that matter.
pub fn mutate(frame: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.below(3) {
        let len = frame.len();
        match rng.below(7) {
            0 if len > 0 => frame[rng.below(len)] ^= 1 << rng.below(8),
            1 if len > 0 => frame[rng.below(len)] = rng.bits() as u8,
            2 => frame.truncate(rng.below(len + 1)),
            3 => {
                let more = rng.below(64);
                frame.extend(rng.bytes(more));
            }
            // Version and header length, total length, fragments, TTL.
            4 if len > 14 => frame[14] = rng.pick(&[0x45, 0x46, 0x4f, 0x44, 0x40, 0x65, 0x55, 0x05]),
            5 if len > 17 => frame[16..18].copy_from_slice(&(rng.below(len + 20) as u16).to_be_bytes()),
            6 if len > 22 => frame[22] = rng.pick(&[0, 1, 2, 255]),
            _ => {}
        }
    }
}

/// Makes the header's checksum right, as far as there is a header.
pub fn mend(frame: &mut [u8]) {
    let len = frame.get(14).map_or(0, |first| usize::from(first & 15) * 4);
    if len >= 20
        && let Some(header) = frame.get_mut(14..14 + len)
    {
        let sum = checksum(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}
