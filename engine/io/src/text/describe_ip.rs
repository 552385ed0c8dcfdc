//! From an IP packet in a frame back to its text.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, TcpHeader,
    TransportHeader, UdpHeader,
};

use super::build::{checksum_of, flags_of};
use super::describe::{Ethernet, Hex, push};
use super::vocabulary::{Protocol, TCP_FLAGS, icmp_names};

/// An IP packet in a frame.
pub(super) struct Ip<'a> {
    header: Header,
    number: IpNumber,
    id: u32,
    mf: bool,
    /// In bytes.
    offset: u16,
    payload: &'a [u8],
    pad: usize,
    /// Whether the frame ends before the packet.
    is_cut: bool,
}

enum Header {
    V4(Ipv4Header),
    V6(Ipv6Header),
}

impl<'a> Ip<'a> {
    pub(super) fn new(ethernet: &Ethernet<'a>) -> Option<Self> {
        match ethernet.ether_type {
            EtherType::IPV4 => {
                let (header, rest) = Ipv4Header::from_slice(ethernet.rest).ok()?;
                let len = usize::from(header.payload_len().ok()?);
                let (payload, pad) = rest.split_at(len.min(rest.len()));
                Some(Self {
                    number: header.protocol,
                    id: header.identification.into(),
                    mf: header.more_fragments,
                    offset: header.fragment_offset.byte_offset(),
                    header: Header::V4(header),
                    payload,
                    pad: pad.len(),
                    is_cut: len > rest.len(),
                })
            }
            EtherType::IPV6 => {
                let (header, rest) = Ipv6Header::from_slice(ethernet.rest).ok()?;
                let len = usize::from(header.payload_length);
                let (payload, pad) = rest.split_at(len.min(rest.len()));
                let mut ip = Self {
                    number: header.next_header,
                    id: 0,
                    mf: false,
                    offset: 0,
                    header: Header::V6(header),
                    payload,
                    pad: pad.len(),
                    is_cut: len > rest.len(),
                };
                if ip.number == IpNumber::IPV6_FRAGMENTATION_HEADER
                    && let Ok((fragment, payload)) = Ipv6FragmentHeader::from_slice(ip.payload)
                    && fragment.is_fragmenting_payload()
                {
                    ip.number = fragment.next_header;
                    ip.id = fragment.identification;
                    ip.mf = fragment.more_fragments;
                    ip.offset = fragment.fragment_offset.byte_offset();
                    ip.payload = payload;
                }
                Some(ip)
            }
            _ => None,
        }
    }

    fn addresses(&self) -> (IpAddr, IpAddr) {
        match &self.header {
            Header::V4(header) => (header.source.into(), header.destination.into()),
            Header::V6(header) => (header.source.into(), header.destination.into()),
        }
    }

    /// The name of a packet with this protocol number.
    fn protocol(&self) -> Protocol {
        let of_v6 = matches!(self.header, Header::V6(_));
        [Protocol::Udp, Protocol::Tcp, Protocol::Icmp, Protocol::Icmp6]
            .into_iter()
            .filter(|protocol| !protocol.is_icmp() || (*protocol == Protocol::Icmp6) == of_v6)
            .find(|protocol| protocol.number() == Some(self.number.0))
            .unwrap_or(Protocol::Ip)
    }

    /// The header after IP, if there is a whole one, and the bytes after it.
    fn transport(&self) -> Option<(TransportHeader, &'a [u8])> {
        if self.offset > 0 {
            return None;
        }
        let icmp = || {
            let (&[type_u8, code_u8, c0, c1, r0, r1, r2, r3], rest) = self.payload.split_first_chunk()?;
            let checksum = u16::from_be_bytes([c0, c1]);
            Some((type_u8, code_u8, checksum, [r0, r1, r2, r3], rest))
        };
        match self.protocol() {
            Protocol::Udp => {
                let (header, rest) = UdpHeader::from_slice(self.payload).ok()?;
                Some((TransportHeader::Udp(header), rest))
            }
            Protocol::Tcp => {
                let (header, rest) = TcpHeader::from_slice(self.payload).ok()?;
                Some((TransportHeader::Tcp(header), rest))
            }
            Protocol::Icmp => {
                let (type_u8, code_u8, checksum, bytes5to8, rest) = icmp()?;
                let icmp_type = Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8 };
                Some((TransportHeader::Icmpv4(Icmpv4Header { icmp_type, checksum }), rest))
            }
            Protocol::Icmp6 => {
                let (type_u8, code_u8, checksum, bytes5to8, rest) = icmp()?;
                let icmp_type = Icmpv6Type::Unknown { type_u8, code_u8, bytes5to8 };
                Some((TransportHeader::Icmpv6(Icmpv6Header { icmp_type, checksum }), rest))
            }
            Protocol::Ip | Protocol::Arp | Protocol::Eth | Protocol::Hex => None,
        }
    }

    /// What may describe the packet, best first: by the header after IP, and as bytes.
    pub(super) fn texts(&self, ethernet: &Ethernet<'_>) -> Vec<String> {
        let mut texts = Vec::new();
        let transport = self.transport();
        if transport.is_some() || self.offset > 0 {
            texts.push(self.text(self.protocol(), ethernet, transport));
        }
        texts.push(self.text(Protocol::Ip, ethernet, None));
        texts
    }

    fn text(&self, protocol: Protocol, ethernet: &Ethernet<'_>, transport: Option<(TransportHeader, &[u8])>) -> String {
        let (source, destination) = self.addresses();
        let name = protocol.name();
        let mut text = match transport.as_ref().and_then(|(transport, _)| ports(transport)) {
            Some((from, to)) => {
                let source = SocketAddr::new(source, from);
                let destination = SocketAddr::new(destination, to);
                format!("{name} {source} > {destination}")
            }
            None => format!("{name} {source} > {destination}"),
        };
        if protocol == Protocol::Ip {
            push(&mut text, "proto", self.number.0);
        }
        if let Some((transport, _)) = &transport {
            push_transport(&mut text, protocol, transport);
        }
        self.push_header(&mut text, protocol);
        let payload = match &transport {
            Some((_, payload)) => payload,
            None => self.payload,
        };
        if let Some((transport, payload)) = &transport
            && !self.is_cut
        {
            self.push_checksum(&mut text, transport, payload);
        }
        ethernet.push_payload(&mut text, payload, self.pad);
        ethernet.push_tags(&mut text);
        ethernet.push_macs(&mut text, ethernet.usual);
        text
    }

    fn push_header(&self, text: &mut String, protocol: Protocol) {
        let (ttl, tos, flow_label, df) = match &self.header {
            Header::V4(header) => {
                let tos = (header.dscp.value() << 2) | header.ecn.value();
                (header.time_to_live, tos, 0, header.dont_fragment)
            }
            Header::V6(header) => (header.hop_limit, header.traffic_class, header.flow_label.value(), false),
        };
        if ttl != 64 {
            push(text, "ttl", ttl);
        }
        if tos != 0 {
            push(text, "tos", tos);
        }
        if flow_label != 0 {
            push(text, "flow-label", flow_label);
        }
        if self.id != 0 {
            push(text, if protocol.is_icmp() { "ip-id" } else { "id" }, self.id);
        }
        if df {
            text.push_str(" df");
        }
        if self.mf {
            text.push_str(" mf");
        }
        if self.offset > 0 {
            push(text, "frag", self.offset);
        }
        if let Header::V4(header) = &self.header
            && header.header_checksum != header.calc_header_checksum()
        {
            text.push_str(" bad-ip-checksum");
        }
    }

    fn push_checksum(&self, text: &mut String, transport: &TransportHeader, payload: &[u8]) {
        let mut right = transport.clone();
        let updated = match &self.header {
            Header::V4(header) => right.update_checksum_ipv4(header, payload).is_ok(),
            Header::V6(header) => right.update_checksum_ipv6(header, payload).is_ok(),
        };
        let found = *checksum_of(&mut transport.clone());
        if updated && *checksum_of(&mut right) != found {
            let none = found == 0 && matches!(transport, TransportHeader::Udp(_));
            text.push_str(if none { " no-checksum" } else { " bad-checksum" });
        }
    }
}

fn ports(transport: &TransportHeader) -> Option<(u16, u16)> {
    match transport {
        TransportHeader::Udp(udp) => Some((udp.source_port, udp.destination_port)),
        TransportHeader::Tcp(tcp) => Some((tcp.source_port, tcp.destination_port)),
        _ => None,
    }
}

fn push_transport(text: &mut String, protocol: Protocol, transport: &TransportHeader) {
    match transport {
        TransportHeader::Tcp(tcp) => push_tcp(text, tcp.clone()),
        TransportHeader::Icmpv4(icmp) => {
            if let Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8 } = icmp.icmp_type {
                push_icmp(text, protocol, type_u8, code_u8, bytes5to8, (3, 4));
            }
        }
        TransportHeader::Icmpv6(icmp) => {
            if let Icmpv6Type::Unknown { type_u8, code_u8, bytes5to8 } = icmp.icmp_type {
                push_icmp(text, protocol, type_u8, code_u8, bytes5to8, (2, 0));
            }
        }
        TransportHeader::Udp(_) | TransportHeader::Igmp(_) => {}
    }
}

fn push_tcp(text: &mut String, mut tcp: TcpHeader) {
    let set: Vec<&str> =
        flags_of(&mut tcp).into_iter().zip(TCP_FLAGS).filter_map(|(flag, (name, _))| flag.then_some(name)).collect();
    if !set.is_empty() {
        push(text, "flags", set.join(","));
    }
    if tcp.sequence_number != 0 {
        push(text, "seq", tcp.sequence_number);
    }
    if tcp.acknowledgment_number != 0 {
        push(text, "ack", tcp.acknowledgment_number);
    }
    if tcp.window_size != 65535 {
        push(text, "win", tcp.window_size);
    }
    match *tcp.options.as_slice() {
        [] => {}
        [2, 4, high, low] => push(text, "mss", u16::from_be_bytes([high, low])),
        ref options => push(text, "options", Hex(options)),
    }
}

/// `too_big` is the type and code of the message that carries an MTU.
fn push_icmp(text: &mut String, protocol: Protocol, icmp_type: u8, code: u8, rest: [u8; 4], too_big: (u8, u8)) {
    match icmp_names(protocol).find(|(_, named)| *named == icmp_type) {
        Some((name, _)) => {
            text.push(' ');
            text.push_str(name);
        }
        None => push(text, "type", icmp_type),
    }
    if code != 0 {
        push(text, "code", code);
    }
    let [a, b, c, d] = rest;
    if (icmp_type, code) == too_big {
        if rest != [0; 4] {
            push(text, "mtu", u32::from_be_bytes(rest));
        }
        return;
    }
    if (a, b) != (0, 0) {
        push(text, "id", u16::from_be_bytes([a, b]));
    }
    if (c, d) != (0, 0) {
        push(text, "seq", u16::from_be_bytes([c, d]));
    }
}
