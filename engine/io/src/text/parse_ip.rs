//! The endpoints of an IP packet and the words that set its fields.

use etherparse::{IpFragOffset, Ipv6FlowLabel, TcpOptions};

use super::build::{Addresses, IpPacket};
use super::cursor::Words;
use super::lex::TextError;
use super::vocabulary::Protocol;

/// Where the endpoints stand and which of them has a port.
pub(super) struct Endpoints {
    pub(super) columns: [usize; 2],
    pub(super) with_port: [bool; 2],
}

pub(super) fn endpoints(words: &mut Words, protocol: Protocol) -> Result<(Endpoints, IpPacket), TextError> {
    let (source, source_port, source_column) = words.endpoint(protocol)?;
    words.literal(">")?;
    let (destination, destination_port, destination_column) = words.endpoint(protocol)?;
    let Some(addresses) = Addresses::new(source, destination) else {
        let message = format!("{destination} is not of the same family as {source}");
        return Err(TextError::new(destination_column, message));
    };
    match (protocol, addresses) {
        (Protocol::Icmp, Addresses::V6(..)) => {
            return Err(TextError::new(source_column, "icmp needs IPv4 addresses; over IPv6 it is icmp6"));
        }
        (Protocol::Icmp6, Addresses::V4(..)) => {
            return Err(TextError::new(source_column, "icmp6 needs IPv6 addresses; over IPv4 it is icmp"));
        }
        _ => {}
    }
    let echo_request = if protocol == Protocol::Icmp { 8 } else { 128 };
    let ip = IpPacket {
        protocol,
        addresses,
        ports: (source_port.unwrap_or(0), destination_port.unwrap_or(0)),
        ttl: 64,
        tos: 0,
        id: 0,
        df: false,
        mf: false,
        offset: IpFragOffset::ZERO,
        flow_label: Ipv6FlowLabel::ZERO,
        number: protocol.number().unwrap_or(253),
        flags: 0,
        seq: 0,
        ack: 0,
        win: 65535,
        options: TcpOptions::default(),
        icmp_type: echo_request,
        icmp_code: 0,
        icmp_rest: [0; 4],
        bad_checksum: false,
        bad_ip_checksum: false,
        no_checksum: false,
    };
    let endpoints =
        Endpoints { columns: [source_column, destination_column], with_port: [source_port.is_some(), destination_port.is_some()] };
    Ok((endpoints, ip))
}

/// A word that sets a field of the IP header or of the one after it.
pub(super) fn ip_word(ip: &mut IpPacket, name: &str, words: &mut Words) -> Result<(), TextError> {
    match name {
        "ttl" => ip.ttl = words.number("a TTL", 255)? as u8,
        "tos" => ip.tos = words.number("a TOS", 255)? as u8,
        "dscp" => ip.tos = (words.number("a DSCP", 63)? as u8) << 2,
        "id" if ip.protocol.is_icmp() => {
            let [high, low] = (words.number("an identifier", 0xffff)? as u16).to_be_bytes();
            let [_, _, c, d] = ip.icmp_rest;
            ip.icmp_rest = [high, low, c, d];
        }
        "seq" if ip.protocol.is_icmp() => {
            let [high, low] = (words.number("a sequence number", 0xffff)? as u16).to_be_bytes();
            let [a, b, _, _] = ip.icmp_rest;
            ip.icmp_rest = [a, b, high, low];
        }
        "mtu" => ip.icmp_rest = words.number_u32("an MTU")?.to_be_bytes(),
        "type" => ip.icmp_type = words.number("an ICMP type", 255)? as u8,
        "code" => ip.icmp_code = words.number("an ICMP code", 255)? as u8,
        "id" | "ip-id" => ip.id = words.number_u32("an identification")?,
        "df" => ip.df = true,
        "mf" => ip.mf = true,
        "frag" => ip.offset = words.fragment_offset()?,
        "flow-label" => {
            let column = words.column();
            let label = words.number("a flow label", 0xf_ffff)? as u32;
            ip.flow_label = Ipv6FlowLabel::try_new(label).map_err(|error| TextError::new(column, error.to_string()))?;
        }
        "proto" => ip.number = words.number("a protocol number", 255)? as u8,
        "flags" => ip.flags = words.tcp_flags()?,
        "seq" => ip.seq = words.number_u32("a sequence number")?,
        "ack" => ip.ack = words.number_u32("an acknowledgment number")?,
        "win" => ip.win = words.number("a window", 0xffff)? as u16,
        "mss" => {
            let [high, low] = (words.number("an MSS", 0xffff)? as u16).to_be_bytes();
            ip.options = TcpOptions::from([2, 4, high, low]);
        }
        "options" => {
            let column = words.column();
            let options = words.hex("TCP options in hexadecimal digits")?;
            ip.options =
                TcpOptions::try_from_slice(&options).map_err(|_| TextError::new(column, "TCP options have at most 40 bytes"))?;
        }
        "bad-checksum" if ip.protocol == Protocol::Ip => ip.bad_ip_checksum = true,
        "bad-checksum" => ip.bad_checksum = true,
        "bad-ip-checksum" => ip.bad_ip_checksum = true,
        "no-checksum" => ip.no_checksum = true,
        _ => {}
    }
    Ok(())
}
