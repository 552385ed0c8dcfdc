//! Which session an ICMP error is about: that of the packet that it quotes.

use swath_api::wire::{Header, Ipv4, Ipv6};

use super::key::{Key4, Key6};
use super::probe::{addresses, read_ports};

/// The key of the packet that an ICMP error quotes, in the direction of that packet: the error goes the other way. `quote` is what stands
/// behind the 8 bytes of the ICMP header; it may be cut short anywhere (RFC 792: behind 8 bytes of the payload). `None` if it says too
/// little: ports are missing, or it is a fragment that has none, or an ICMP message that is no query, which must not cause an error
/// (RFC 1122 §3.2.2).
pub fn quoted4(quote: &[u8], zone: u16) -> Option<Key4> {
    let ip = Ipv4::from_array(quote.first_chunk()?);
    let payload = quote.get(ip.header_len()..)?;
    if ip.version() != 4 || ip.header_len() < size_of::<Ipv4>() || ip.fragment_offset() > 0 {
        return None;
    }
    Some(Key4::new(addresses(ip), read_ports(ip.protocol(), payload)?, ip.protocol(), zone))
}

/// The same of an ICMPv6 error (RFC 4443 §3), over extension headers.
pub fn quoted6(quote: &[u8], zone: u16) -> Option<Key6> {
    let (fixed, rest) = quote.split_first_chunk()?;
    let ip = Ipv6::from_array(fixed);
    let upper = ip.upper(rest).ok().filter(|_| ip.version() == 6)?;
    if upper.fragment.is_some_and(|fragment| fragment.offset > 0) {
        return None;
    }
    let ports = read_ports(upper.protocol, quote.get(upper.offset..)?)?;
    Some(Key6::new(ip.src_bits(), ip.dst_bits(), ports, upper.protocol, zone))
}
