//! UDP flows by their number: a header prebuilt for each size, into which a flow's addresses, ports and checksums are patched.

use swath_api::ConfigError;
use swath_api::wire::checksum::{Sum, nonzero, update_u16};
use swath_api::wire::{Eth, EtherType, Header, IpProtocol, Ipv4, Ipv6, MacAddr, Udp};

use super::Source;
use super::settings::{FlowSettings, Prefix};
use super::stamp::{STAMP, stamped_checksum};

/// Bytes of a frame that are prebuilt: all headers, over IPv6 too.
const HEAD: usize = 64;
/// The shortest Ethernet frame without its check sequence (IEEE 802.3 §4.2.3.3).
const SHORTEST: usize = 60;
/// The first source port.
const FIRST_PORT: u32 = 1024;
/// The first destination port: discard (RFC 863).
const DISCARD: u32 = 9;

/// Bytes of addresses and ports, which lie one behind the other in both versions of IP.
pub(super) const V4: usize = 4 + 4 + 4;
/// See [`V4`].
pub(super) const V6: usize = 16 + 16 + 4;

/// Where the checksum of IPv4 is.
const IP4_CHECKSUM: usize = 24;

/// The flows of one version of IP, told by the bytes of its addresses and ports.
#[derive(Debug)]
pub(super) struct Flows<const N: usize> {
    heads: Box<[Head]>,
    flows: Box<[Flow<N>]>,
}

/// The headers of all packets of one size; addresses and ports are zero.
#[derive(Debug)]
struct Head {
    bytes: [u8; HEAD],
    size: u16,
    ip_checksum: u16,
    udp_checksum: u16,
}

#[derive(Debug)]
struct Flow<const N: usize> {
    endpoints: [u8; N],
    // What the endpoints add to the checksums of IPv4 and of UDP.
    addresses: u16,
    all: u16,
}

impl<const N: usize> Flows<N> {
    const UDP: usize = size_of::<Eth>() + if N == V4 { size_of::<Ipv4>() } else { size_of::<Ipv6>() };
    /// The ports are the last of the endpoints and the first of UDP.
    const ENDPOINTS: usize = Self::UDP + 4 - N;
    const PAYLOAD: usize = Self::UDP + size_of::<Udp>();

    /// Makes the flows that the settings describe.
    pub fn new(settings: &FlowSettings, stamp: bool, src: MacAddr, dst: MacAddr, room: usize) -> Result<Flows<N>, ConfigError> {
        let sizes = Self::sizes_of(settings, stamp, room)?;
        let heads = sizes.iter().map(|size| Self::head(*size, settings.ttl, src, dst)).collect();
        let flows = (0..settings.count.get()).map(|index| Self::flow(index, &settings.sources, &settings.destinations)).collect();
        Ok(Flows { heads, flows })
    }

    /// The sizes of frames, if there can be such flows.
    pub fn sizes_of(settings: &FlowSettings, stamp: bool, room: usize) -> Result<Vec<u16>, ConfigError> {
        if settings.count.get() > 1 << 24 {
            return Err(ConfigError::at("generate.flows.count", "at most 16777216 flows"));
        }
        let smallest = if stamp { SHORTEST.max(Self::PAYLOAD + STAMP) } else { SHORTEST.max(Self::PAYLOAD) };
        let sizes = settings.size.as_ref().map_or_else(|| vec![smallest as u16], |sizes| sizes.0.clone());
        if let Some(size) = sizes.iter().find(|size| usize::from(**size) < smallest || usize::from(**size) > room) {
            let what = if stamp { "stamped UDP packet" } else { "UDP packet" };
            return Err(ConfigError::at(
                "generate.flows.size",
                format!("{size} bytes, but a {what} has {smallest} or more, and a buffer takes {room}"),
            ));
        }
        Ok(sizes)
    }

    fn head(size: u16, ttl: u8, src: MacAddr, dst: MacAddr) -> Head {
        let mut udp = Udp::default();
        udp.set_datagram_len(size - Self::UDP as u16);
        let mut eth = Eth::default();
        eth.set_src(src);
        eth.set_dst(dst);
        let (ip, pseudo, ip_checksum) = if N == V4 {
            eth.set_ether_type(EtherType::IPV4);
            let mut ip = Ipv4::default();
            ip.set_total_len(size - size_of::<Eth>() as u16);
            ip.set_ttl(ttl);
            ip.set_protocol(IpProtocol::UDP);
            ip.fill_checksum(&[]);
            (ip.as_array().to_vec(), ip.pseudo(), ip.checksum())
        } else {
            eth.set_ether_type(EtherType::IPV6);
            let mut ip = Ipv6::default();
            ip.set_payload_len(udp.datagram_len());
            ip.set_hop_limit(ttl);
            ip.set_next_header(IpProtocol::UDP);
            (ip.as_array().to_vec(), ip.pseudo(IpProtocol::UDP), 0)
        };
        // The payload is zeros.
        udp.fill_checksum(pseudo, &[]);
        let headers = [eth.as_array().as_slice(), &ip, udp.as_array()].concat();
        let mut bytes = [0; HEAD];
        bytes[..Self::PAYLOAD].copy_from_slice(&headers);
        Head { bytes, size, ip_checksum, udp_checksum: udp.checksum() }
    }

    fn flow(index: u32, sources: &[Prefix], destinations: &[Prefix]) -> Flow<N> {
        let host = |prefixes: &[Prefix]| {
            let count = prefixes.len() as u32;
            prefixes[(index % count) as usize].host(index / count).to_be_bytes()
        };
        let ports = u32::from(u16::MAX) + 1 - FIRST_PORT;
        let source_port = (FIRST_PORT + index % ports) as u16;
        let destination_port = (DISCARD + index / ports) as u16;
        let address = (N - 4) / 2;
        let mut endpoints = [0; N];
        endpoints[..address].copy_from_slice(&host(sources)[16 - address..]);
        endpoints[address..2 * address].copy_from_slice(&host(destinations)[16 - address..]);
        endpoints[N - 4..N - 2].copy_from_slice(&source_port.to_be_bytes());
        endpoints[N - 2..].copy_from_slice(&destination_port.to_be_bytes());
        let sum = |bytes: &[u8]| Sum::new().add_bytes(bytes).fold();
        Flow { endpoints, addresses: sum(&endpoints[..N - 4]), all: sum(&endpoints) }
    }
}

impl<const N: usize> Source for Flows<N> {
    fn flows(&self) -> u32 {
        self.flows.len() as u32
    }

    fn sizes(&self) -> u32 {
        self.heads.len() as u32
    }

    #[inline]
    fn write(&self, flow: u32, size: u32, stamp: Option<&[u8; STAMP]>, data: &mut [u8]) -> usize {
        let (head, flow) = (&self.heads[size as usize], &self.flows[flow as usize]);
        let size = usize::from(head.size);
        let Some((first, rest)) = data.split_first_chunk_mut::<HEAD>() else { return 0 };
        *first = head.bytes;
        first[Self::ENDPOINTS..Self::ENDPOINTS + N].copy_from_slice(&flow.endpoints);
        if N == V4 {
            let checksum = update_u16(head.ip_checksum, 0, flow.addresses);
            first[IP4_CHECKSUM..IP4_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
        }
        let mut checksum = nonzero(update_u16(head.udp_checksum, 0, flow.all));
        if size > HEAD {
            let Some(rest) = rest.get_mut(..size - HEAD) else { return 0 };
            rest.fill(0);
        }
        if let Some(stamp) = stamp
            && let Some(place) = data.get_mut(Self::PAYLOAD..Self::PAYLOAD + STAMP)
        {
            place.copy_from_slice(stamp);
            checksum = stamped_checksum(checksum, stamp);
        }
        if let Some(place) = data.get_mut(Self::UDP + 6..Self::PAYLOAD) {
            place.copy_from_slice(&checksum.to_be_bytes());
        }
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::memory::stamp::Stamp;
    use crate::text::{Mac, TextPacket};

    const DST: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);

    fn flows<const N: usize>(json: &str, stamp: bool) -> Result<Flows<N>, ConfigError> {
        Flows::new(&serde_json::from_str(json).unwrap(), stamp, MacAddr::new(Mac::SOURCE.0), DST, 2048)
    }

    fn frame(source: &impl Source, flow: u32, size: u32, stamp: Option<&[u8; STAMP]>) -> Vec<u8> {
        // What is left from an earlier packet must not be seen.
        let mut data = vec![0xee; 2048];
        let len = source.write(flow, size, stamp, &mut data);
        data.truncate(len);
        data
    }

    /// What etherparse makes of the same packet.
    fn text(packet: &str) -> Vec<u8> {
        TextPacket::parse(packet).unwrap().frame_with(Mac::SOURCE, Mac(DST.octets()))
    }

    #[test]
    fn frames_are_what_another_implementation_makes() {
        let four = flows::<V4>(
            r#"{"sources": ["10.0.0.0/30"], "destinations": ["10.1.0.0/24", "172.16.0.1"], "count": 70000, "size": [60, 64, 65, 1514],
                "ttl": 7}"#,
            false,
        )
        .unwrap();
        assert_eq!((four.flows(), four.sizes()), (70_000, 4));
        for (flow, endpoints) in [
            (0, "10.0.0.1:1024 > 10.1.0.1:9"),
            (1, "10.0.0.2:1025 > 172.16.0.1:9"),
            (2, "10.0.0.1:1026 > 10.1.0.2:9"),
            (64_511, "10.0.0.2:65535 > 172.16.0.1:9"),
            // Its destination is number 32256 of a prefix of 254 hosts.
            (64_512, "10.0.0.1:1024 > 10.1.0.253:10"),
        ] {
            for (index, size) in [60, 64, 65, 1514].into_iter().enumerate() {
                let expected = text(&format!("udp {endpoints} ttl 7 len {size}"));
                assert_eq!(frame(&four, flow, index as u32, None), expected, "{endpoints} {size}");
            }
        }
        let six = flows::<V6>(r#"{"sources": ["2001:db8::/64"], "destinations": ["2001:db8:1::/64"], "count": 9}"#, false).unwrap();
        assert_eq!(frame(&six, 8, 0, None), text("udp [2001:db8::9]:1032 > [2001:db8:1::9]:9 len 62"));
    }

    #[test]
    fn hosts_begin_again_where_the_prefix_ends() {
        // 10.0.0.1 and 10.0.0.2 in turn, 254 hosts of 10.1.0.0/24 at every second flow.
        let json = r#"{"sources": ["10.0.0.0/30"], "destinations": ["10.1.0.0/24", "172.16.0.1"], "count": 600}"#;
        let four = flows::<V4>(json, false).unwrap();
        assert_eq!(frame(&four, 508, 0, None), text("udp 10.0.0.1:1532 > 10.1.0.1:9 len 60"));
    }

    #[test]
    fn stamped_frames_are_right_too() {
        let stamp = Stamp { interface: 1, flow: 2, sequence: 77 };
        let hex: String = stamp.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let json = r#"{"sources": ["10.0.0.1"], "destinations": ["10.1.0.1"], "size": [60, 300]}"#;
        let four = flows::<V4>(json, true).unwrap();
        for (index, size) in [60, 300].into_iter().enumerate() {
            let zeros = "00".repeat(size - 42 - 16);
            let expected = text(&format!("udp 10.0.0.1:1024 > 10.1.0.1:9 payload hex {hex}{zeros}"));
            assert_eq!(frame(&four, 0, index as u32, Some(&stamp.to_bytes())), expected);
        }
        let six = flows::<V6>(r#"{"sources": ["2001:db8::1"], "destinations": ["2001:db8::2"]}"#, true).unwrap();
        let expected = text(&format!("udp [2001:db8::1]:1024 > [2001:db8::2]:9 payload hex {hex}"));
        assert_eq!(frame(&six, 0, 0, Some(&stamp.to_bytes())), expected);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refused = |size: &str, stamp| {
            let json = format!(r#"{{"sources": ["2001:db8::1"], "destinations": ["2001:db8::2"], "size": {size}}}"#);
            flows::<V6>(&json, stamp).unwrap_err().to_string()
        };
        let expected = "generate.flows.size: 61 bytes, but a UDP packet has 62 or more, and a buffer takes 2048";
        assert_eq!(refused("61", false), expected);
        let expected = "generate.flows.size: 77 bytes, but a stamped UDP packet has 78 or more, and a buffer takes 2048";
        assert_eq!(refused("[78, 77]", true), expected);
        assert!(refused("2049", false).contains("2049 bytes"));
        let json = r#"{"sources": ["10.0.0.1"], "destinations": ["10.1.0.1"], "count": 16777217}"#;
        assert_eq!(flows::<V4>(json, false).unwrap_err().path(), "generate.flows.count");
    }
}
