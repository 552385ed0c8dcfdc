//! Checksums that a sender has left to a network card.
//!
//! The field holds the sum of the pseudo header then. A packet of which that is right by chance is not changed by completing it: its
//! checksum is that sum.

use swath_api::wire::checksum::{Sum, nonzero};

/// Bytes of an Ethernet header, and of a tag in it.
const ETHERNET: usize = 14;
const TAG: usize = 4;
const TPIDS: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Completes the TCP or UDP checksum of a frame whose field holds no more than the sum of the pseudo header; says whether it did.
#[inline]
pub(in crate::drivers) fn complete(frame: &mut [u8]) -> bool {
    find(frame).is_some_and(|Place { start, end, field, .. }| {
        let Some(bytes) = frame.get_mut(start..end) else { return false };
        let checksum = nonzero(Sum::new().add_bytes(bytes).checksum());
        let Some(at) = bytes.get_mut(field..field + 2) else { return false };
        let changes = at != checksum.to_be_bytes();
        at.copy_from_slice(&checksum.to_be_bytes());
        changes
    })
}

/// Where the segment or datagram of a frame is, and its checksum in it.
struct Place {
    start: usize,
    end: usize,
    field: usize,
}

/// The place of a checksum that is to be completed.
#[inline]
fn find(frame: &[u8]) -> Option<Place> {
    let mut at = ETHERNET;
    let mut kind: [u8; 2] = *frame.get(12..)?.first_chunk()?;
    for _ in 0..2 {
        if TPIDS.contains(&kind) {
            kind = *frame.get(at + 2..)?.first_chunk()?;
            at += TAG;
        }
    }
    let packet = frame.get(at..)?;
    let (header, length, protocol, addresses) = match kind {
        [0x08, 0x00] => {
            let fixed: &[u8; 20] = packet.first_chunk()?;
            let is_fragment = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0;
            let header = usize::from(fixed[0] & 15) * 4;
            if is_fragment || header < 20 {
                return None;
            }
            (header, usize::from(u16::from_be_bytes([fixed[2], fixed[3]])), fixed[9], &packet[12..20])
        }
        [0x86, 0xdd] => {
            let fixed: &[u8; 40] = packet.first_chunk()?;
            let (header, protocol) = behind_extensions(packet, fixed[6])?;
            (header, 40 + usize::from(u16::from_be_bytes([fixed[4], fixed[5]])), protocol, &packet[8..40])
        }
        _ => return None,
    };
    let field = match protocol {
        TCP => 16,
        UDP => 6,
        _ => return None,
    };
    let segment = packet.get(header..length)?;
    let found: [u8; 2] = *segment.get(field..)?.first_chunk()?;
    let pseudo = Sum::new().add_bytes(addresses).add_u16(protocol.into()).add_u32(segment.len() as u32).fold();
    let (start, end) = (at + header, at + length);
    (u16::from_be_bytes(found) == pseudo).then_some(Place { start, end, field })
}

/// Where the payload of an IPv6 packet starts, and its protocol (RFC 8200 §4). `None` of fragments, and of what is not understood.
#[inline]
fn behind_extensions(packet: &[u8], first: u8) -> Option<(usize, u8)> {
    let (mut at, mut next) = (40, first);
    for _ in 0..8 {
        match next {
            // Hop-by-hop options, routing, destination options.
            0 | 43 | 60 => {
                let [following, length] = *packet.get(at..)?.first_chunk()?;
                next = following;
                at += (usize::from(length) + 1) * 8;
            }
            protocol => return Some((at, protocol)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    /// A frame with its checksum as etherparse computes it, and where that stands.
    fn frame(is_ipv6: bool, is_tcp: bool, tags: usize, payload: &[u8]) -> (Vec<u8>, usize) {
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let mut out = Vec::new();
        macro_rules! build {
            ($below:expr) => {{
                let ip = if is_ipv6 {
                    $below.ipv6([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0xfe; 16], 64)
                } else {
                    $below.ipv4([10, 0, 0, 1], [198, 51, 100, 255], 64)
                };
                if is_tcp {
                    ip.tcp(1000, 80, 77, 4096).write(&mut out, payload).unwrap();
                } else {
                    ip.udp(1000, 53).write(&mut out, payload).unwrap();
                }
            }};
        }
        match tags {
            0 => build!(ethernet),
            1 => build!(ethernet.single_vlan(7.try_into().unwrap())),
            _ => build!(ethernet.double_vlan(7.try_into().unwrap(), 8.try_into().unwrap())),
        }
        let at = 14 + tags * 4 + if is_ipv6 { 40 } else { 20 } + if is_tcp { 16 } else { 6 };
        (out, at)
    }

    /// The sum of the pseudo header, word by word (RFC 9293 §3.1, RFC 8200 §8.1).
    fn pseudo(frame: &[u8], is_ipv6: bool, is_tcp: bool, tags: usize) -> u16 {
        let ip = &frame[14 + 4 * tags..];
        let (addresses, header) = if is_ipv6 { (&ip[8..40], 40) } else { (&ip[12..20], 20) };
        let mut sum: u32 = addresses.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
        sum += (ip.len() - header) as u32 + if is_tcp { 6 } else { 17 };
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn what_was_left_is_completed_and_nothing_else_is_touched() {
        for (is_ipv6, is_tcp) in [(false, false), (false, true), (true, false), (true, true)] {
            for tags in 0..3 {
                for len in [0usize, 1, 2, 31, 32, 33, 1400] {
                    let payload: Vec<u8> = (0..len).map(|at| (at * 7 + 1) as u8).collect();
                    let (expected, at) = frame(is_ipv6, is_tcp, tags, &payload);
                    let mut same = expected.clone();
                    assert!(!complete(&mut same) && same == expected, "complete already");
                    let mut left = expected.clone();
                    left[at..at + 2].copy_from_slice(&pseudo(&expected, is_ipv6, is_tcp, tags).to_be_bytes());
                    // What an Ethernet card pads with does not count.
                    left.extend([0xee; 3]);
                    assert!(complete(&mut left));
                    assert_eq!(left[..expected.len()], expected, "{is_ipv6} {is_tcp} {tags} {len}");
                    assert_eq!(left[expected.len()..], [0xee; 3]);
                    let mut wrong = expected.clone();
                    wrong[at] ^= 0x55;
                    let before = wrong.clone();
                    assert!(!complete(&mut wrong) && wrong == before, "a wrong checksum stays wrong");
                }
            }
        }
    }

    #[test]
    fn no_frame_is_too_short_or_too_odd() {
        for (is_ipv6, is_tcp) in [(false, false), (false, true), (true, false), (true, true)] {
            let (whole, at) = frame(is_ipv6, is_tcp, 1, &[1; 40]);
            let mut left = whole.clone();
            left[at..at + 2].copy_from_slice(&pseudo(&whole, is_ipv6, is_tcp, 1).to_be_bytes());
            for len in 0..left.len() {
                assert!(!complete(&mut left[..len].to_vec()), "cut at {len}");
            }
            // Any byte of the headers may say anything.
            for at in 12..40 {
                for value in 0..=255 {
                    let mut odd = left.clone();
                    odd[at] = value;
                    complete(&mut odd);
                }
            }
        }
        // A fragment's checksum is that of the whole.
        let (whole, at) = frame(false, false, 0, &[1; 40]);
        let mut fragment = whole.clone();
        fragment[at..at + 2].copy_from_slice(&pseudo(&whole, false, false, 0).to_be_bytes());
        fragment[20] = 0x20;
        assert!(!complete(&mut fragment));
    }
}
