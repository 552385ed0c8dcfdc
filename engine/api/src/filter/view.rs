//! From bytes to what the tests know: each header once, and only as far as it is there.

use crate::wire::{Eth, EtherType, Header, Ipv4, Ipv6, Vlan};

use super::program::{Network, View};

/// A packet that starts with an Ethernet header. Addresses and protocols are looked for behind VLAN tags.
pub(super) fn ethernet(frame: &[u8]) -> View<'_> {
    let mut view = unknown(frame);
    let Ok((eth, rest)) = Eth::parse(frame) else { return view };
    view.macs = frame.first_chunk::<12>().map(|macs| {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *macs;
        [[a, b, c, d, e, f], [g, h, i, j, k, l]]
    });
    content(eth.ether_type(), rest, &mut view);
    view
}

/// A packet that starts behind the EtherType of a VLAN tag, with the tag's other half.
pub(super) fn vlan(packet: &[u8]) -> View<'_> {
    let mut view = unknown(packet);
    content(EtherType::VLAN, packet, &mut view);
    view
}

/// A packet of which nothing is known.
pub(super) fn unknown(packet: &[u8]) -> View<'_> {
    View { bytes: packet, ..View::default() }
}

/// Where a part begins that reaches to the end of a packet.
fn place(part: &[u8], view: &View<'_>) -> Option<u16> {
    u16::try_from(view.bytes.len() - part.len()).ok()
}

/// What an EtherType says that there is.
fn content(mut ether_type: EtherType, mut rest: &[u8], view: &mut View<'_>) {
    while ether_type.is_vlan() {
        let Ok((tag, inner)) = Vlan::parse(rest) else { break };
        view.vlan = view.vlan.or(Some(tag.vid()));
        (ether_type, rest) = (tag.ether_type(), inner);
    }
    view.ether_type = ether_type.0;
    view.network_at = place(rest, view);
    match ether_type {
        EtherType::IPV4 => ip4(rest, view),
        EtherType::IPV6 => ip6(rest, view),
        EtherType::ARP => addresses(rest, view),
        _ => {}
    }
}

/// An ARP message.
pub(super) fn arp(message: &[u8]) -> View<'_> {
    let mut view = View { ether_type: EtherType::ARP.0, network_at: Some(0), ..unknown(message) };
    addresses(message, &mut view);
    view
}

/// A packet that starts with an IPv4 or an IPv6 header.
pub(super) fn ip(packet: &[u8]) -> View<'_> {
    let mut view = View { network_at: Some(0), ..unknown(packet) };
    match packet.first().map(|first| first >> 4) {
        Some(4) => ip4(packet, &mut view),
        Some(6) => ip6(packet, &mut view),
        _ => {}
    }
    view
}

fn ip4(packet: &[u8], view: &mut View<'_>) {
    let Some((header, rest)) = packet.split_first_chunk() else { return };
    let ip = Ipv4::from_array(header);
    view.network = Network::Ip4([ip.src_bits(), ip.dst_bits()]);
    (view.dscp, view.protocol) = (ip.dscp(), ip.protocol().0);
    if ip.fragment_offset() == 0 && ip.header_len() >= size_of::<Ipv4>() {
        let at = view.network_at.map(|at| at + ip.header_len() as u16);
        transport(ip.payload(rest), at, view);
    }
}

fn ip6(packet: &[u8], view: &mut View<'_>) {
    let Some((header, rest)) = packet.split_first_chunk() else { return };
    let ip = Ipv6::from_array(header);
    view.network = Network::Ip6([u128::from_be_bytes(ip.src().octets()), u128::from_be_bytes(ip.dst().octets())]);
    (view.dscp, view.protocol) = (ip.dscp(), ip.next_header().0);
    let Ok(upper) = ip.upper(rest) else { return };
    view.protocol = upper.protocol.0;
    if upper.fragment.is_none_or(|fragment| fragment.offset == 0) {
        let at = view.network_at.and_then(|at| at.checked_add(upper.offset as u16));
        transport(packet.get(upper.offset..).unwrap_or_default(), at, view);
    }
}

/// Addresses of an ARP message for IPv4 over Ethernet (RFC 826).
fn addresses(message: &[u8], view: &mut View<'_>) {
    let address = |at: usize| message.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    if let (Some(sender), Some(target)) = (address(14), address(24)) {
        view.network = Network::Arp([sender, target]);
    }
}

/// Ports of TCP, UDP and SCTP, and where the header is.
fn transport(payload: &[u8], at: Option<u16>, view: &mut View<'_>) {
    view.transport_at = at.filter(|_| !payload.is_empty());
    if let ([a, b, c, d, ..], 6 | 17 | 132) = (payload, view.protocol) {
        view.ports = Some([u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])]);
    }
}
