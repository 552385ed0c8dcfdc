//! Cutting a frame of up to 64 KiB into packets, as `net/ipv4/tcp_offload.c`, `udp_offload.c` and `af_inet.c` of Linux do.

use swath_api::wire::checksum::{Pseudo, Sum, nonzero};
use swath_api::wire::{Eth, EtherType, Header, IpProtocol, Ipv4, Ipv6, Tcp, Udp, Vlan};

use super::{BadOffload, Checksum, Handed, VnetHeader, complete};

/// How a frame is cut. Which bytes it has is told again with each segment.
#[derive(Debug, Clone)]
pub struct Segments {
    // Where headers begin, in the frame without the tag that the kernel has taken off.
    network: usize,
    transport: usize,
    payload: usize,
    is_ipv6: bool,
    is_tcp: bool,
    /// Bytes of payload in each segment but the last.
    size: usize,
    count: usize,
    /// What the checksum covers beside the segment, without the length.
    pseudo: Sum,
}

mod field {
    pub const IP4_LENGTH: usize = 2;
    pub const IP4_ID: usize = 4;
    pub const IP4_CHECKSUM: usize = 10;
    pub const IP6_LENGTH: usize = 4;
    pub const TCP_SEQUENCE: usize = 4;
    pub const TCP_FLAGS: usize = 13;
    pub const TCP_CHECKSUM: usize = 16;
    pub const UDP_LENGTH: usize = 4;
    pub const UDP_CHECKSUM: usize = 6;
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// What a frame is, up to its transport header.
struct Layers {
    network: usize,
    transport: usize,
    is_ipv6: bool,
    protocol: IpProtocol,
    pseudo: Pseudo,
}

impl Segments {
    /// How a frame is cut. `checksum` is the one that its header says is not complete.
    pub(super) fn new(handed: &Handed<'_>, checksum: Option<Checksum>) -> Result<Segments, BadOffload> {
        let frame = handed.frame;
        let Layers { network, transport, is_ipv6, protocol, pseudo } = layers(frame).ok_or(BadOffload)?;
        let is_tcp = protocol == IpProtocol::TCP;
        let right = match handed.header.gso_type & !VnetHeader::GSO_ECN {
            VnetHeader::GSO_TCPV4 => is_tcp && !is_ipv6,
            VnetHeader::GSO_TCPV6 => is_tcp && is_ipv6,
            VnetHeader::GSO_UDP_L4 => protocol == IpProtocol::UDP,
            _ => false,
        };
        let size = usize::from(handed.header.gso_size);
        if !right || size == 0 {
            return Err(BadOffload);
        }
        let rest = &frame[transport..];
        let (header, offset) = if is_tcp {
            let tcp = Tcp::from_array(rest.first_chunk().ok_or(BadOffload)?);
            (tcp.header_len(), field::TCP_CHECKSUM)
        } else {
            (size_of::<Udp>(), field::UDP_CHECKSUM)
        };
        if header < if is_tcp { size_of::<Tcp>() } else { size_of::<Udp>() } || rest.len() <= header {
            return Err(BadOffload);
        }
        let pseudo = match checksum {
            // A checksum elsewhere is that of a packet within a tunnel, whose outer headers would have to be cut, too.
            Some(Checksum { start, offset: at }) if start != transport || at != offset => return Err(BadOffload),
            // The sum of the pseudo header, and with it what a routing header would make of the destination. It has the whole length.
            Some(_) => {
                let sum = u16::from_be_bytes([rest[offset], rest[offset + 1]]);
                Sum::new().add_u16(sum).add_u32(!(rest.len() as u32))
            }
            None => pseudo.sum(0),
        };
        let payload = transport + header;
        let count = (frame.len() - payload).div_ceil(size);
        Ok(Segments { network, transport, payload, is_ipv6, is_tcp, size, count, pseudo })
    }

    /// How many segments there are: one or more.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Writes a segment as a whole frame. Returns its length; `None` if there is no room, or no such segment, or the frame is not the
    /// one that [`Work::new`](super::Work::new) has seen.
    pub fn write(&self, handed: &Handed<'_>, index: usize, out: &mut [u8]) -> Option<usize> {
        let payload = handed.frame.get(self.payload..)?;
        let from = index.checked_mul(self.size)?;
        let payload = payload.get(from..payload.len().min(from.saturating_add(self.size))).filter(|payload| !payload.is_empty())?;
        let head = handed.write_head(self.payload, out)?;
        out.get_mut(head..head + payload.len())?.copy_from_slice(payload);
        let out = &mut out[..head + payload.len()];
        let shift = head - self.payload;
        self.network_header(&mut out[shift + self.network..], index)?;
        self.transport_header(&mut out[shift + self.transport..], index)?;
        Some(out.len())
    }

    /// Length, identification and checksum of the network header that `packet` begins with.
    fn network_header(&self, packet: &mut [u8], index: usize) -> Option<()> {
        if self.is_ipv6 {
            let length = u16::try_from(packet.len() - size_of::<Ipv6>()).ok()?;
            put(packet, field::IP6_LENGTH, length);
            return Some(());
        }
        let length = u16::try_from(packet.len()).ok()?;
        put(packet, field::IP4_LENGTH, length);
        let id = u16::from_be_bytes([packet[field::IP4_ID], packet[field::IP4_ID + 1]]);
        put(packet, field::IP4_ID, id.wrapping_add(index as u16));
        put(packet, field::IP4_CHECKSUM, 0);
        let header = &packet[..self.transport - self.network];
        let checksum = Sum::new().add_bytes(header).checksum();
        put(packet, field::IP4_CHECKSUM, checksum);
        Some(())
    }

    /// Sequence number, flags, length and checksum of the transport header that `segment` begins with.
    fn transport_header(&self, segment: &mut [u8], index: usize) -> Option<()> {
        let length = u16::try_from(segment.len()).ok()?;
        let (checksum, form): (usize, fn(u16) -> u16) = if self.is_tcp {
            let sequence: [u8; 4] = *segment[field::TCP_SEQUENCE..].first_chunk()?;
            let sequence = u32::from_be_bytes(sequence).wrapping_add((index * self.size) as u32);
            segment[field::TCP_SEQUENCE..field::TCP_SEQUENCE + 4].copy_from_slice(&sequence.to_be_bytes());
            // What ends the data is for the last segment, and that the window was reduced (RFC 3168 §6.1.2) is said once.
            let flags = &mut segment[field::TCP_FLAGS];
            if index + 1 < self.count {
                *flags &= !(FIN | PSH);
            }
            if index > 0 {
                *flags &= !CWR;
            }
            (field::TCP_CHECKSUM, |checksum| checksum)
        } else {
            put(segment, field::UDP_LENGTH, length);
            // 0 would mean that there is none (RFC 768).
            (field::UDP_CHECKSUM, nonzero)
        };
        put(segment, checksum, self.pseudo.add_u16(length).fold());
        complete(segment, checksum, form);
        Some(())
    }
}

fn put(bytes: &mut [u8], at: usize, word: u16) {
    bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

/// Ethernet, VLAN tags, IPv4 or IPv6: `None` for anything else, and for fragments.
fn layers(frame: &[u8]) -> Option<Layers> {
    let (eth, _) = Eth::parse(frame).ok()?;
    let (mut ether_type, mut network) = (eth.ether_type(), size_of::<Eth>());
    while ether_type.is_vlan() {
        let (tag, _) = Vlan::parse(frame.get(network..)?).ok()?;
        ether_type = tag.ether_type();
        network += size_of::<Vlan>();
    }
    let packet = frame.get(network..)?;
    match ether_type {
        EtherType::IPV4 => {
            let ip = Ipv4::from_array(packet.first_chunk()?);
            let header = ip.header_len();
            if ip.version() != 4 || header < size_of::<Ipv4>() || header > packet.len() || ip.is_fragment() {
                return None;
            }
            let (protocol, transport) = (ip.protocol(), network + header);
            Some(Layers { network, transport, is_ipv6: false, protocol, pseudo: ip.pseudo() })
        }
        EtherType::IPV6 => {
            let (header, rest) = packet.split_first_chunk()?;
            let ip = Ipv6::from_array(header);
            let upper = ip.upper(rest).ok()?;
            if ip.version() != 6 || upper.fragment.is_some() {
                return None;
            }
            let (protocol, transport) = (upper.protocol, network + upper.offset);
            (transport <= frame.len()).then(|| Layers { network, transport, is_ipv6: true, protocol, pseudo: ip.pseudo(protocol) })
        }
        _ => None,
    }
}
