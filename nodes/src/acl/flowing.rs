//! From what rules ask of a packet to the session that it may belong to.

use std::net::IpAddr;

use swath_api::flow::{mix, word_hash};
use swath_api::wire::{Eth, EtherType, Header, IpProtocol, Ipv4, Ipv6, TcpFlags, Vlan, icmp, icmpv6};

use crate::sessions::{Event, FlowKey, Key4, Key6, Probe, quoted4, quoted6};

use super::address::Address;
use super::criteria::{Key, Part};
use super::flows::Flows;
use super::rules::{Family, Rules};
use super::stateful::Stores;

/// An address of packets that have sessions.
pub trait Flowing: Address + Into<u128> {
    /// By what a session is known.
    type Flow: FlowKey;

    /// The flow of a packet with these ports, as one number.
    fn flow(key: &Key<Self>, ports: u32) -> Self::Flow;
    /// What the fragments of a packet share.
    fn datagram(key: &Key<Self>) -> Self::Flow;
    /// The source of a flow, or its destination.
    fn address(address: IpAddr) -> Self;
    /// The probe of the bytes of a packet; that of an ICMP error is of the flow that it is about.
    fn read(packet: &[u8]) -> Probe<Self::Flow>;
    /// The rules of its version of IP.
    fn rules(rules: &Rules) -> &Family<Self>;
    /// The sessions of its version of IP.
    fn flows(stores: &Stores) -> &Flows<Self>;
}

/// Whether all that a session asks is in the key already, so that [`probe`] can be used.
#[inline(always)]
pub fn is_plain<A>(key: &Key<A>) -> bool {
    key.part == Part::Whole && (key.protocol == IpProtocol::TCP.0 || key.protocol == IpProtocol::UDP.0)
}

/// The probe of a packet of TCP or UDP that is whole.
#[inline(always)]
pub fn probe<A: Flowing>(key: &Key<A>) -> Probe<A::Flow> {
    let is_tcp = key.protocol == IpProtocol::TCP.0;
    let event = if is_tcp { Event::of_tcp(TcpFlags(key.tcp_flags)) } else { Event::Datagram };
    Probe { key: A::flow(key, key.source_port << 16 | key.destination_port & 0xffff), event, first_fragment: false }
}

impl Flowing for u32 {
    type Flow = Key4;

    #[inline(always)]
    fn flow(key: &Key<u32>, ports: u32) -> Key4 {
        Key4::new(addresses(key), ports, IpProtocol(key.protocol), 0)
    }

    fn datagram(key: &Key<u32>) -> Key4 {
        Key4::fragment(addresses(key), key.id as u16, IpProtocol(key.protocol), 0)
    }

    fn address(address: IpAddr) -> u32 {
        if let IpAddr::V4(address) = address { address.to_bits() } else { 0 }
    }

    fn read(packet: &[u8]) -> Probe<Key4> {
        let probe = Probe::<Key4>::read(packet, 0);
        match probe.event {
            Event::IcmpError => of_error(probe, about4(packet)),
            _ => probe,
        }
    }

    fn rules(rules: &Rules) -> &Family<u32> {
        &rules.ip4
    }

    fn flows(stores: &Stores) -> &Flows<u32> {
        &stores.ip4
    }
}

impl Flowing for u128 {
    type Flow = Key6;

    #[inline(always)]
    fn flow(key: &Key<u128>, ports: u32) -> Key6 {
        Key6::new(key.source, key.destination, ports, IpProtocol(key.protocol), 0)
    }

    fn datagram(key: &Key<u128>) -> Key6 {
        Key6::fragment(key.source, key.destination, key.id, 0)
    }

    fn address(address: IpAddr) -> u128 {
        if let IpAddr::V6(address) = address { address.to_bits() } else { 0 }
    }

    fn read(packet: &[u8]) -> Probe<Key6> {
        let probe = Probe::<Key6>::read(packet, 0);
        match probe.event {
            Event::IcmpError => of_error(probe, about6(packet)),
            _ => probe,
        }
    }

    fn rules(rules: &Rules) -> &Family<u128> {
        &rules.ip6
    }

    fn flows(stores: &Stores) -> &Flows<u128> {
        &stores.ip6
    }
}

#[inline(always)]
fn addresses(key: &Key<u32>) -> u64 {
    u64::from(key.source) << 32 | u64::from(key.destination)
}

/// An error that is about no flow that one could know is what no host sends.
fn of_error<K: FlowKey>(probe: Probe<K>, about: Option<K>) -> Probe<K> {
    match about {
        Some(key) => Probe { key, ..probe },
        None => Probe { event: Event::Malformed, ..probe },
    }
}

/// The flow that an error is about: one that hosts have to be told of, and told who has sent the packet (RFC 5927 §4). Redirects and
/// source quenches belong to nobody's session (RFC 6633 §4).
fn about4(packet: &[u8]) -> Option<Key4> {
    let (ip, rest) = Ipv4::parse(packet).ok()?;
    let message = ip.payload(rest);
    let told = [icmp::DESTINATION_UNREACHABLE, icmp::TIME_EXCEEDED, icmp::PARAMETER_PROBLEM].contains(message.first()?);
    let about = quoted4(message.get(8..)?, 0)?;
    (told && u32::address(about.flow().source) == ip.dst_bits()).then_some(about)
}

/// As [`about4`]: the four errors of RFC 4443.
fn about6(packet: &[u8]) -> Option<Key6> {
    let (ip, rest) = Ipv6::parse(packet).ok()?;
    let upper = ip.upper(rest).ok()?;
    let message = packet.get(upper.offset..)?;
    let about = quoted6(message.get(8..)?, 0)?;
    ((1..=4).contains(message.first()?) && u128::address(about.flow().source) == ip.dst_bits()).then_some(about)
}

/// What is behind the Ethernet header, VLAN tags included, with its type and the outermost VLAN.
pub fn network(frame: &[u8]) -> Option<(EtherType, u16, &[u8])> {
    let (eth, mut rest) = Eth::parse(frame).ok()?;
    let (mut ether_type, mut vlan) = (eth.ether_type(), None);
    while ether_type.is_vlan() {
        let (tag, inner) = Vlan::parse(rest).ok()?;
        vlan = vlan.or(Some(tag.vid()));
        (ether_type, rest) = (tag.ether_type(), inner);
    }
    Some((ether_type, vlan.unwrap_or(0), rest))
}

/// Of two addresses, whatever their order.
fn pair(source: u128, destination: u128) -> u32 {
    /// Not that by which queues or other nodes divide.
    const SEED: u64 = 0x5e55_1045;
    let end = |address: u128| mix(mix((address >> 64) as u64) ^ address as u64);
    word_hash(end(source).wrapping_add(end(destination)), SEED)
}

/// A hash of both addresses of a fragment, which all fragments between them share. `None` of what is whole.
pub fn fragment_hash(packet: &[u8]) -> Option<u32> {
    match packet.first()? >> 4 {
        4 => {
            let (ip, _) = Ipv4::parse(packet).ok().filter(|(ip, _)| ip.is_fragment())?;
            Some(pair(ip.src_bits().into(), ip.dst_bits().into()))
        }
        6 => {
            let (ip, rest) = Ipv6::parse(packet).ok()?;
            ip.upper(rest).ok()?.fragment.filter(|fragment| !fragment.is_atomic())?;
            Some(pair(ip.src_bits(), ip.dst_bits()))
        }
        _ => None,
    }
}

/// A hash of both addresses of an IP packet that does not know their order, and for an ICMP error of the packet that it quotes: whatever
/// may belong to a session has the same, fragments and errors included, of which ports are not known. `None` of anything else.
pub fn pair_hash(packet: &[u8]) -> Option<u32> {
    match packet.first()? >> 4 {
        4 => {
            let (ip, rest) = Ipv4::parse(packet).ok()?;
            let message = if ip.protocol() == IpProtocol::ICMP && ip.fragment_offset() == 0 { ip.payload(rest) } else { &[] };
            let is_error =
                matches!(message.first(), Some(&(icmp::DESTINATION_UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM)));
            let quoted = message.get(8..).and_then(<[u8]>::first_chunk).filter(|_| is_error).map(Ipv4::from_array);
            let of = quoted.unwrap_or(ip);
            Some(pair(of.src_bits().into(), of.dst_bits().into()))
        }
        6 => {
            let (ip, rest) = Ipv6::parse(packet).ok()?;
            let upper = ip.upper(rest).ok()?;
            let begins = upper.fragment.is_none_or(|fragment| fragment.offset == 0);
            let is_icmp = upper.protocol == IpProtocol::ICMPV6 && begins;
            let message = if is_icmp { packet.get(upper.offset..).unwrap_or_default() } else { &[] };
            let is_error = message.first().is_some_and(|kind| *kind < icmpv6::ECHO_REQUEST);
            let quoted = message.get(8..).and_then(<[u8]>::first_chunk).filter(|_| is_error).map(Ipv6::from_array);
            let of = quoted.unwrap_or(ip);
            Some(pair(of.src_bits(), of.dst_bits()))
        }
        _ => None,
    }
}
