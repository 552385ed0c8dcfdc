//! Other addresses and ports in a packet, and checksums by difference (RFC 1624): one that was wrong stays wrong.

use swath_api::Packet;
use swath_api::wire::checksum::{self, update_u16, update_u32, update_udp};
use swath_api::wire::{Header, IpProtocol, Ipv4, icmp};

use super::{End, INSIDE};

/// Gives the source of a packet (`SIDE` is inside) or its destination another address and port.
#[inline(always)]
pub(crate) fn translate<const SIDE: u16>(packet: &mut Packet<'_>, end: End) {
    let len = packet.len();
    let bytes: &mut [u8; 40] = packet.window();
    let is_tcp = bytes[9] == IpProtocol::TCP.0;
    if bytes[0] != 0x45 || !(is_tcp && len >= 40 || bytes[9] == IpProtocol::UDP.0 && len >= 28) {
        general::<SIDE>(packet.data_mut(), end);
        return;
    }
    let (address_at, port_at) = if SIDE == INSIDE { (12, 20) } else { (16, 22) };
    let (old, old_port) = (u32_at(bytes, address_at), u16_at(bytes, port_at));
    let update = |check| update_u16(update_u32(check, old, end.address), old_port, end.port);
    let check = update_u32(u16_at(bytes, 10), old, end.address);
    put_u16(bytes, 10, check);
    put_u32(bytes, address_at, end.address);
    put_u16(bytes, port_at, end.port);
    if is_tcp {
        let check = update(u16_at(bytes, 36));
        put_u16(bytes, 36, check);
    } else {
        let check = update_udp(u16_at(bytes, 26), update);
        put_u16(bytes, 26, check);
    }
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

#[inline(always)]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    get_u16(bytes, at).unwrap_or(0)
}

fn get_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|word| u16::from_be_bytes(*word))
}

#[inline(always)]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_be_bytes(*word))
}

#[inline(always)]
fn put_u16(bytes: &mut [u8], at: usize, word: u16) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_be_bytes();
    }
}

#[inline(always)]
fn put_u32(bytes: &mut [u8], at: usize, word: u32) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_be_bytes();
    }
}
