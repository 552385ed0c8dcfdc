//! Which frames must keep their order: the flow that a frame belongs to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Icmpv4Type, Icmpv6Type, IpNumber, Ipv6ExtensionSlice, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice,
    TransportSlice,
};

use super::{LinkType, Record};
use crate::text::Mac;

/// What the frames of one flow have in common. The two directions are two flows, VLAN tags do not
/// count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// IPv4 or IPv6 with what follows.
    Ip {
        /// The source address.
        source: IpAddr,
        /// The destination address.
        destination: IpAddr,
        /// The IPv4 protocol, or the IPv6 next header behind the extension headers.
        protocol: u8,
        /// What tells flows between the same addresses apart.
        detail: Detail,
    },
    /// Any other Ethernet frame.
    Ethernet {
        /// The EtherType behind the VLAN tags; 0 in a frame too short for one.
        ether_type: u16,
        /// The source address.
        source: Mac,
        /// The destination address.
        destination: Mac,
    },
    /// All frames that are not Ethernet.
    Other(LinkType),
}

/// What tells flows between the same addresses with the same protocol apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// Nothing that this module knows.
    None,
    /// UDP or TCP ports, source and destination.
    Ports(u16, u16),
    /// The identifier of an ICMP query or its reply.
    IcmpId(u16),
    /// The flow that an ICMP error is about.
    About(Box<Flow>),
    /// The identification of a datagram that comes in fragments, of which only the first has ports.
    Fragment(u32),
}

impl Flow {
    /// The flow of a captured frame.
    pub fn of(record: &Record<'_>) -> Self {
        if record.link_type != LinkType::ETHERNET {
            return Self::Other(record.link_type);
        }
        match LaxSlicedPacket::from_ethernet(record.data) {
            Ok(packet) => Self::of_ip(&packet, true).unwrap_or_else(|| Self::of_ethernet(&packet)),
            Err(_) => Self::Ethernet { ether_type: 0, source: Mac::default(), destination: Mac::default() },
        }
    }

    fn of_ethernet(packet: &LaxSlicedPacket<'_>) -> Self {
        let (mut ether_type, mut source, mut destination) = (EtherType(0), Mac::default(), Mac::default());
        if let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link {
            ether_type = ethernet.ether_type();
            source = Mac(ethernet.source());
            destination = Mac(ethernet.destination());
        }
        for tag in &packet.link_exts {
            if let LaxLinkExtSlice::Vlan(tag) = tag {
                ether_type = tag.ether_type();
            }
        }
        Self::Ethernet { ether_type: ether_type.0, source, destination }
    }

    /// The flow of an IP packet; that of an ICMP error is about another if it is the `outer` one.
    fn of_ip(packet: &LaxSlicedPacket<'_>, outer: bool) -> Option<Self> {
        let (source, destination, payload, fragment): (IpAddr, IpAddr, _, _) = match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                let id = u32::from(header.identification());
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                    ip.payload(),
                    ip.is_payload_fragmented().then_some(id),
                )
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                let fragment = ip.extensions().clone().into_iter().find_map(|extension| match extension {
                    Ipv6ExtensionSlice::Fragment(fragment) if fragment.is_fragmenting_payload() => Some(fragment.identification()),
                    _ => None,
                });
                (header.source_addr().into(), header.destination_addr().into(), ip.payload(), fragment)
            }
            _ => return None,
        };
        let detail = match (fragment, &packet.transport) {
            (Some(id), _) => Detail::Fragment(id),
            (None, Some(transport)) => Detail::of(transport, outer),
            (None, None) => Detail::None,
        };
        Some(Self::Ip { source, destination, protocol: payload.ip_number.0, detail })
    }
}

impl Detail {
    fn of(transport: &TransportSlice<'_>, outer: bool) -> Self {
        match transport {
            TransportSlice::Udp(udp) => Self::Ports(udp.source_port(), udp.destination_port()),
            TransportSlice::Tcp(tcp) => Self::Ports(tcp.source_port(), tcp.destination_port()),
            TransportSlice::Icmpv4(icmp) => match icmp.icmp_type() {
                Icmpv4Type::EchoRequest(echo) | Icmpv4Type::EchoReply(echo) => Self::IcmpId(echo.id),
                Icmpv4Type::TimestampRequest(query) | Icmpv4Type::TimestampReply(query) => Self::IcmpId(query.id),
                Icmpv4Type::DestinationUnreachable(_)
                | Icmpv4Type::Redirect(_)
                | Icmpv4Type::TimeExceeded(_)
                | Icmpv4Type::ParameterProblem(_) => Self::about(icmp.payload(), outer),
                _ => Self::None,
            },
            TransportSlice::Icmpv6(icmp) => match icmp.icmp_type() {
                Icmpv6Type::EchoRequest(echo) | Icmpv6Type::EchoReply(echo) => Self::IcmpId(echo.id),
                // RFC 4443, 2.1: error messages have types below 128.
                _ if icmp.type_u8() < 128 => Self::about(icmp.payload(), outer),
                _ => Self::None,
            },
            TransportSlice::Igmp(_) => Self::None,
        }
    }

    /// Errors of different flows to one sender are made independently, so each belongs to the flow
    /// of the packet that it quotes.
    fn about(quoted: &[u8], outer: bool) -> Self {
        if !outer {
            return Self::None;
        }
        match LaxSlicedPacket::from_ip(quoted) {
            Ok(packet) => Flow::of_ip(&packet, false).map_or(Self::None, |flow| Self::About(Box::new(flow))),
            Err(_) => Self::None,
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination, protocol, detail) = match self {
            Self::Ip { source, destination, protocol, detail } => (*source, *destination, *protocol, detail),
            Self::Ethernet { ether_type, source, destination } => {
                return write!(f, "eth {source} > {destination} type {ether_type:#06x}");
            }
            Self::Other(link_type) => return write!(f, "{link_type} frames"),
        };
        match IpNumber(protocol) {
            IpNumber::UDP => f.write_str("udp ")?,
            IpNumber::TCP => f.write_str("tcp ")?,
            IpNumber::ICMP => f.write_str("icmp ")?,
            IpNumber::IPV6_ICMP => f.write_str("icmp6 ")?,
            _ => f.write_str("ip ")?,
        }
        match detail {
            Detail::Ports(from, to) => {
                let source = SocketAddr::new(source, *from);
                return write!(f, "{source} > {}", SocketAddr::new(destination, *to));
            }
            _ => write!(f, "{source} > {destination}")?,
        }
        match detail {
            Detail::IcmpId(id) => write!(f, " id {id}"),
            Detail::About(flow) => write!(f, " about {flow}"),
            Detail::Fragment(id) => write!(f, " fragments of id {id}"),
            Detail::Ports(..) | Detail::None => match IpNumber(protocol) {
                IpNumber::UDP | IpNumber::TCP | IpNumber::ICMP | IpNumber::IPV6_ICMP => Ok(()),
                _ => write!(f, " proto {protocol}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::TextPacket;

    fn flow(text: &str) -> String {
        let frame = TextPacket::parse(text).unwrap().frame();
        Flow::of(&Record {
            timestamp_ns: 0,
            interface: 0,
            original_len: frame.len() as u32,
            link_type: LinkType::ETHERNET,
            data: &frame,
        })
        .to_string()
    }

    #[test]
    fn a_flow_is_what_the_frame_says() {
        // From scapy: udp 10.0.0.5:4000 > 8.8.8.8:53 with TTL 1.
        let quoted = "450000240000000001119fb50a000005080808080fa000350010d5e40000000000000000";
        let cases = [
            ("udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 9 vlan 7", "udp 10.0.0.5:4000 > 8.8.8.8:53"),
            ("tcp [2001:db8::1]:1 > [2001:db8::2]:2", "tcp [2001:db8::1]:1 > [2001:db8::2]:2"),
            ("icmp 10.0.0.1 > 10.0.0.2 echo-request id 5 seq 9", "icmp 10.0.0.1 > 10.0.0.2 id 5"),
            ("icmp6 fe80::1 > fe80::2 echo-reply id 6", "icmp6 fe80::1 > fe80::2 id 6"),
            ("ip 10.0.0.1 > 10.0.0.2 proto 47", "ip 10.0.0.1 > 10.0.0.2 proto 47"),
            ("udp 10.0.0.1:1 > 10.0.0.2:2 mf id 77", "udp 10.0.0.1 > 10.0.0.2 fragments of id 77"),
            ("udp 10.0.0.1 > 10.0.0.2 frag 8 id 77", "udp 10.0.0.1 > 10.0.0.2 fragments of id 77"),
            ("udp fe80::1 > fe80::2 frag 8 id 70000", "udp fe80::1 > fe80::2 fragments of id 70000"),
            ("arp who-has 10.0.0.1 tell 10.0.0.2", "eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff type 0x0806"),
            (
                "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 type 0x88cc vlan 1 vlan 2",
                "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 type 0x88cc",
            ),
            ("hex 0011", "eth 00:00:00:00:00:00 > 00:00:00:00:00:00 type 0x0000"),
        ];
        for (text, expected) in cases {
            assert_eq!(flow(text), expected, "{text}");
        }
        assert_eq!(
            flow(&format!("icmp 10.0.0.1 > 10.0.0.5 time-exceeded payload hex {quoted}")),
            "icmp 10.0.0.1 > 10.0.0.5 about udp 10.0.0.5:4000 > 8.8.8.8:53"
        );
    }

    #[test]
    fn other_link_types_are_one_flow() {
        let record = Record { timestamp_ns: 0, interface: 0, original_len: 1, link_type: LinkType(101), data: &[0x45] };
        assert_eq!(Flow::of(&record).to_string(), "link type 101 frames");
    }
}
