//! Other addresses and ports in a packet, and checksums by difference (RFC 1624): one that was wrong stays wrong.

use swath_api::Packet;
use swath_api::wire::checksum::{self, update_u16, update_u32, update_udp};
use swath_api::wire::{Header, IpProtocol, Ipv4, icmp};

use crate::sessions::Key4;

use super::{End, INSIDE};

/// Gives the source of a packet (`SIDE` is inside) or its destination the address and port that packets of the other direction are for. The
/// packet is TCP or UDP without options and whole, and has this key.
#[inline(always)]
pub(super) fn plain<const SIDE: u16>(packet: &mut Packet<'_>, key: Key4, reverse: Key4) {
    let bytes: &mut [u8; 40] = packet.window();
    let end = if SIDE == INSIDE { reverse.destination_end() } else { reverse.source_end() };
    // Sums are the same in either order of bytes (RFC 1071 §2 B), so words are taken as they lie there.
    let (address, port) = (end.0.to_be(), end.1.to_be());
    let (address_at, port_at) = if SIDE == INSIDE { (12, 20) } else { (16, 22) };
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| bytes[address_at + at]);
    let of_address = difference(u32::from_ne_bytes([a, b, c, d]), address);
    let of_both = of_address + u32::from(!word(bytes, port_at)) + u32::from(port);
    let of_header = updated(word(bytes, 10), of_address);
    bytes[10..12].copy_from_slice(&of_header.to_ne_bytes());
    bytes[address_at..address_at + 4].copy_from_slice(&address.to_ne_bytes());
    bytes[port_at..port_at + 2].copy_from_slice(&port.to_ne_bytes());
    // Which of both it is nobody can predict, so there is no branch for it.
    let is_udp = key.protocol() == IpProtocol::UDP;
    let check_at = if is_udp { 26 } else { 36 };
    let check = word(bytes, check_at);
    let mut new = updated(check, of_both);
    if check == 0 || new == 0 {
        new = at_the_ends(is_udp, check, new);
    }
    bytes[check_at..check_at + 2].copy_from_slice(&new.to_ne_bytes());
}

/// UDP may have no checksum, and then has none of 0 (RFC 768).
#[cold]
fn at_the_ends(is_udp: bool, check: u16, new: u16) -> u16 {
    match is_udp {
        true if check == 0 => 0,
        true => 0xffff,
        false => new,
    }
}

#[inline(always)]
fn word(bytes: &[u8; 40], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

/// What the sum of two words becomes more by, in one's complement: at most 0x1fffe.
#[inline(always)]
fn difference(old: u32, new: u32) -> u32 {
    let (sum, carry) = (!old).overflowing_add(new);
    let sum = sum + u32::from(carry);
    (sum & 0xffff) + (sum >> 16)
}

/// A checksum whose sum becomes more by so much, at most 0x3fffc (RFC 1624, equation 3).
#[inline(always)]
fn updated(check: u16, difference: u32) -> u16 {
    let sum = u32::from(!check) + difference;
    let sum = (sum & 0xffff) + (sum >> 16); // <= 0x10003
    !((sum + (sum >> 16)) as u16)
}

/// Gives the source of a packet (`SIDE` is inside) or its destination another address and port.
pub(crate) fn translate<const SIDE: u16>(packet: &mut Packet<'_>, end: End) {
    general::<SIDE>(packet.data_mut(), end);
}

/// As [`translate`], for any packet: with options, ICMP queries, protocols that are not known. `bytes` may be cut off anywhere, as
/// in the quote of an ICMP error. Returns by what the sum of its bytes was changed, as a checksum of 0 that was updated.
#[inline(never)]
fn general<const SIDE: u16>(bytes: &mut [u8], end: End) -> u16 {
    let Some(header) = bytes.first_chunk::<20>() else { return 0 };
    let ip = Ipv4::from_array(header);
    let (protocol, at) = (ip.protocol(), ip.header_len());
    let is_source = SIDE == INSIDE;
    let old = if is_source { ip.src_bits() } else { ip.dst_bits() };
    let mut delta = Delta(0);
    let check = u16_at(bytes, 10);
    delta.put_u32(bytes, if is_source { 12 } else { 16 }, end.address);
    delta.put_u16(bytes, 10, update_u32(check, old, end.address));
    let (port_at, check_at, is_pseudo) = match protocol {
        IpProtocol::TCP => (Some(if is_source { 0 } else { 2 }), 16, true),
        IpProtocol::UDP => (Some(if is_source { 0 } else { 2 }), 6, true),
        IpProtocol::ICMP => (Some(4), 2, false),
        // Those that are translated with all of an address: ports stay. Their checksums have a pseudo header (RFC 3828 §3.1, RFC 4340 §9).
        IpProtocol(33 | 136) => (None, 6, true),
        _ => return delta.0,
    };
    let old_port = port_at.and_then(|port_at| get_u16(bytes, at + port_at));
    if let (Some(port_at), Some(_)) = (port_at, old_port) {
        delta.put_u16(bytes, at + port_at, end.port);
    }
    let Some(check) = get_u16(bytes, at + check_at) else { return delta.0 };
    let update = |check| {
        let check = if is_pseudo { update_u32(check, old, end.address) } else { check };
        old_port.map_or(check, |old| update_u16(check, old, end.port))
    };
    let new = match protocol {
        IpProtocol::UDP => update_udp(check, update),
        IpProtocol::ICMP => of_icmp(update(check), &bytes[at..]),
        // UDP-Lite has no packet without a checksum (RFC 3828 §3.1).
        IpProtocol(136) => checksum::nonzero(update(check)),
        _ => update(check),
    };
    delta.put_u16(bytes, at + check_at, new);
    delta.0
}

/// An echo reply that is zero throughout has the other zero for a checksum: 0xffff.
fn of_icmp(check: u16, message: &[u8]) -> u16 {
    let rest = message.iter().skip(4).all(|byte| *byte == 0);
    if check == 0 && rest && message.starts_with(&[icmp::ECHO_REPLY, 0]) { 0xffff } else { check }
}

/// Gives a fragment without ports another address.
pub(crate) fn address<const SIDE: u16>(packet: &mut Packet<'_>, address: u32) {
    let Some(ip) = packet.ip4() else { return };
    let old = if SIDE == INSIDE { ip.src_bits() } else { ip.dst_bits() };
    let check = update_u32(ip.checksum(), old, address);
    ip.set_checksum(check);
    if SIDE == INSIDE { ip.set_src_bits(address) } else { ip.set_dst_bits(address) }
}

/// Gives the packet that an ICMP error quotes another destination (the error leaves, `SIDE` is inside) or source, and the error the address
/// at its other end (RFC 5508 REQ-4, REQ-5); its source only `if_source` says so.
pub(crate) fn quote<const SIDE: u16>(packet: &mut Packet<'_>, end: End, if_source: impl Fn(u32) -> bool) {
    let Some(ip) = packet.ip4() else { return };
    let (at, own) = (ip.header_len(), ip.src_bits());
    if SIDE != INSIDE || if_source(own) {
        address::<SIDE>(packet, end.address);
    }
    let Some(message) = packet.data_mut().get_mut(at..) else { return };
    let Some((header, quoted)) = message.split_at_mut_checked(8) else { return };
    // What has come from inside is quoted by those outside, and the other way round.
    let delta = if SIDE == INSIDE { general::<1>(quoted, end) } else { general::<INSIDE>(quoted, end) };
    // The words of the quote are at even places of the message.
    let check = u16_at(header, 2);
    put_u16(header, 2, update_u16(check, 0xffff, delta));
}

/// Whether an ICMP error and the header that it quotes are as they were sent (RFC 5508 REQ-3). The checksum of what is behind that is not
/// looked at: it may be cut off.
pub(super) fn is_good_error(message: &[u8]) -> bool {
    let Some(quoted) = message.get(8..) else { return false };
    let Some(header) = quoted.first_chunk::<20>().map(Ipv4::from_array) else { return false };
    let length = header.header_len();
    length >= 20 && checksum::verify(message) && quoted.get(..length).is_some_and(checksum::verify)
}

/// How the one's complement sum of some bytes changes: what is written is added, what was there is taken away.
struct Delta(u16);

impl Delta {
    fn put_u16(&mut self, bytes: &mut [u8], at: usize, new: u16) {
        let old = u16_at(bytes, at);
        put_u16(bytes, at, new);
        // The sum of words and of the complements of those before.
        self.0 = !update_u16(!self.0, old, new);
    }

    fn put_u32(&mut self, bytes: &mut [u8], at: usize, new: u32) {
        self.put_u16(bytes, at, (new >> 16) as u16);
        self.put_u16(bytes, at + 2, new as u16);
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    get_u16(bytes, at).unwrap_or(0)
}

fn get_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|word| u16::from_be_bytes(*word))
}

fn put_u16(bytes: &mut [u8], at: usize, word: u16) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same as word for word: of the header, and of all of it.
    fn check_updated(check: u16, (old, old_port): (u32, u16), (new, new_port): (u32, u16)) {
        let of_address = update_u32(check, old, new);
        assert_eq!(updated(check, difference(old, new)), of_address);
        let both = difference(old, new) + u32::from(!old_port) + u32::from(new_port);
        assert_eq!(updated(check, both), update_u16(of_address, old_port, new_port));
    }

    proptest! {
        #[test]
        fn all_at_once(check: u16, old: (u32, u16), new: (u32, u16)) {
            check_updated(check, old, new);
        }

        /// Where sums are nearly or quite 0 and 0xffff.
        #[test]
        fn at_the_ends(check in prop::sample::select(vec![0_u16, 1, 0xfffe, 0xffff]),
                       words in prop::array::uniform6(prop::sample::select(vec![0_u16, 1, 0xfffe, 0xffff]))) {
            let [a, b, c, d, old_port, new_port] = words;
            let (old, new) = (u32::from(a) << 16 | u32::from(b), u32::from(c) << 16 | u32::from(d));
            check_updated(check, (old, old_port), (new, new_port));
        }
    }
}
