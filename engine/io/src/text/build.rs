//! From the words of an IP packet to its bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header, Ipv6FlowLabel,
    Ipv6FragmentHeader, Ipv6Header, TcpHeader, TcpOptions, TransportHeader, UdpHeader,
};

use super::vocabulary::{Protocol, TCP_FLAGS};

/// The addresses of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Addresses {
    /// `None` if they are of different families.
    pub(super) fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4(source, destination)),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6(source, destination)),
            _ => None,
        }
    }
}

/// An IP packet as its words say. Ranges are checked by who fills it in.
#[derive(Clone, Debug)]
pub(super) struct IpPacket {
    pub protocol: Protocol,
    pub addresses: Addresses,
    pub ports: (u16, u16),
    pub ttl: u8,
    pub tos: u8,
    pub id: u32,
    pub df: bool,
    pub mf: bool,
    pub offset: IpFragOffset,
    pub flow_label: Ipv6FlowLabel,
    pub number: u8,
    pub flags: u16,
    pub seq: u32,
    pub ack: u32,
    pub win: u16,
    pub options: TcpOptions,
    pub icmp_type: u8,
    pub icmp_code: u8,
    pub icmp_rest: [u8; 4],
    pub bad_checksum: bool,
    pub bad_ip_checksum: bool,
    pub no_checksum: bool,
}

/// The packet cannot be longer than a 16-bit length says.
pub(super) struct TooLong;

impl IpPacket {
    pub(super) fn is_fragment(&self) -> bool {
        self.mf || self.has_offset()
    }

    /// Whether this is a fragment without the header that the packet is named after.
    pub(super) fn has_offset(&self) -> bool {
        self.offset != IpFragOffset::ZERO
    }

    /// The length of all headers from IP on.
    pub(super) fn headers_len(&self) -> usize {
        let ip = match self.addresses {
            Addresses::V4(..) => Ipv4Header::MIN_LEN,
            Addresses::V6(..) if self.is_fragment() => Ipv6Header::LEN + Ipv6FragmentHeader::LEN,
            Addresses::V6(..) => Ipv6Header::LEN,
        };
        ip + self.transport().map_or(0, |transport| transport.header_len())
    }

    /// The packet from the IP header on.
    pub(super) fn bytes(&self, payload: &[u8]) -> Result<Vec<u8>, TooLong> {
        let mut transport = self.transport();
        if let Some(TransportHeader::Udp(udp)) = &mut transport {
            udp.length = (UdpHeader::LEN + payload.len()).try_into().map_err(|_| TooLong)?;
        }
        let ip_payload_len = transport.as_ref().map_or(0, |transport| transport.header_len()) + payload.len();
        let mut bytes = Vec::with_capacity(self.headers_len() + payload.len());
        match self.addresses {
            Addresses::V4(source, destination) => {
                let header = self.ipv4(source, destination, ip_payload_len)?;
                if let Some(transport) = &mut transport {
                    transport.update_checksum_ipv4(&header, payload).map_err(|_| TooLong)?;
                }
                bytes.extend_from_slice(&header.to_bytes());
            }
            Addresses::V6(source, destination) => {
                let fragment = self.is_fragment().then(|| self.ipv6_fragment());
                let fragment_len = fragment.as_ref().map_or(0, Ipv6FragmentHeader::header_len);
                let header = self.ipv6(source, destination, fragment_len + ip_payload_len)?;
                if let Some(transport) = &mut transport {
                    transport.update_checksum_ipv6(&header, payload).map_err(|_| TooLong)?;
                }
                bytes.extend_from_slice(&header.to_bytes());
                if let Some(fragment) = fragment {
                    bytes.extend_from_slice(&fragment.to_bytes());
                }
            }
        }
        if let Some(mut transport) = transport {
            let checksum = checksum_of(&mut transport);
            if self.no_checksum {
                *checksum = 0;
            } else if self.bad_checksum {
                *checksum = wrong(*checksum);
            }
            match transport {
                TransportHeader::Udp(header) => bytes.extend_from_slice(&header.to_bytes()),
                TransportHeader::Tcp(header) => bytes.extend_from_slice(&header.to_bytes()),
                TransportHeader::Icmpv4(header) => bytes.extend_from_slice(&header.to_bytes()),
                TransportHeader::Icmpv6(header) => bytes.extend_from_slice(&header.to_bytes()),
                TransportHeader::Igmp(header) => bytes.extend_from_slice(&header.to_bytes()),
            }
        }
        bytes.extend_from_slice(payload);
        Ok(bytes)
    }

    fn ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr, payload_len: usize) -> Result<Ipv4Header, TooLong> {
        let mut header = Ipv4Header {
            dscp: IpDscp::try_new(self.tos >> 2).unwrap_or_default(),
            ecn: IpEcn::try_new(self.tos & 3).unwrap_or_default(),
            identification: self.id as u16,
            dont_fragment: self.df,
            more_fragments: self.mf,
            fragment_offset: self.offset,
            time_to_live: self.ttl,
            protocol: IpNumber(self.number),
            source: source.octets(),
            destination: destination.octets(),
            ..Ipv4Header::default()
        };
        header.set_payload_len(payload_len).map_err(|_| TooLong)?;
        header.header_checksum = header.calc_header_checksum();
        if self.bad_ip_checksum {
            header.header_checksum = wrong(header.header_checksum);
        }
        Ok(header)
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr, payload_len: usize) -> Result<Ipv6Header, TooLong> {
        Ok(Ipv6Header {
            traffic_class: self.tos,
            flow_label: self.flow_label,
            payload_length: payload_len.try_into().map_err(|_| TooLong)?,
            next_header: if self.is_fragment() { IpNumber::IPV6_FRAGMENTATION_HEADER } else { IpNumber(self.number) },
            hop_limit: self.ttl,
            source: source.octets(),
            destination: destination.octets(),
        })
    }

    fn ipv6_fragment(&self) -> Ipv6FragmentHeader {
        Ipv6FragmentHeader {
            next_header: IpNumber(self.number),
            fragment_offset: self.offset,
            more_fragments: self.mf,
            identification: self.id,
        }
    }

    /// The header that the packet is named after, without length and checksum.
    fn transport(&self) -> Option<TransportHeader> {
        if self.has_offset() {
            return None;
        }
        let (source_port, destination_port) = self.ports;
        let (type_u8, code_u8, bytes5to8) = (self.icmp_type, self.icmp_code, self.icmp_rest);
        match self.protocol {
            Protocol::Udp => Some(TransportHeader::Udp(UdpHeader { source_port, destination_port, ..UdpHeader::default() })),
            Protocol::Tcp => {
                let mut header = TcpHeader::new(source_port, destination_port, self.seq, self.win);
                header.acknowledgment_number = self.ack;
                for (flag, (_, bit)) in flags_of(&mut header).into_iter().zip(TCP_FLAGS) {
                    *flag = self.flags & bit != 0;
                }
                header.options = self.options.clone();
                Some(TransportHeader::Tcp(header))
            }
            Protocol::Icmp => Some(TransportHeader::Icmpv4(Icmpv4Header {
                icmp_type: Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8 },
                checksum: 0,
            })),
            Protocol::Icmp6 => Some(TransportHeader::Icmpv6(Icmpv6Header {
                icmp_type: Icmpv6Type::Unknown { type_u8, code_u8, bytes5to8 },
                checksum: 0,
            })),
            Protocol::Ip | Protocol::Arp | Protocol::Eth | Protocol::Hex => None,
        }
    }
}

/// The flags of a header in the order of [`TCP_FLAGS`].
pub(super) fn flags_of(header: &mut TcpHeader) -> [&mut bool; 9] {
    let TcpHeader { fin, syn, rst, psh, ack, urg, ece, cwr, ns, .. } = header;
    [fin, syn, rst, psh, ack, urg, ece, cwr, ns]
}

pub(super) fn checksum_of(transport: &mut TransportHeader) -> &mut u16 {
    match transport {
        TransportHeader::Udp(header) => &mut header.checksum,
        TransportHeader::Tcp(header) => &mut header.checksum,
        TransportHeader::Icmpv4(header) => &mut header.checksum,
        TransportHeader::Icmpv6(header) => &mut header.checksum,
        TransportHeader::Igmp(header) => &mut header.checksum,
    }
}

/// Another checksum that is not 0, which UDP takes for none.
fn wrong(checksum: u16) -> u16 {
    match checksum ^ 1 {
        0 => 2,
        wrong => wrong,
    }
}
