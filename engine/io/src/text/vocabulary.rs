//! The words that [`parse`](super::parse) reads and [`describe`](super::describe) writes.

/// What a packet is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Udp,
    Tcp,
    Icmp,
    Icmp6,
    Ip,
    Arp,
    Eth,
    Hex,
}

use Protocol::{Arp, Eth, Hex, Icmp, Icmp6, Ip, Tcp, Udp};

impl Protocol {
    pub(super) const ALL: [Self; 8] = [Udp, Tcp, Icmp, Icmp6, Ip, Arp, Eth, Hex];

    pub(super) fn name(self) -> &'static str {
        match self {
            Udp => "udp",
            Tcp => "tcp",
            Icmp => "icmp",
            Icmp6 => "icmp6",
            Ip => "ip",
            Arp => "arp",
            Eth => "eth",
            Hex => "hex",
        }
    }

    /// The IP protocol number, where the name implies one.
    pub(super) fn number(self) -> Option<u8> {
        match self {
            Udp => Some(17),
            Tcp => Some(6),
            Icmp => Some(1),
            Icmp6 => Some(58),
            Ip | Arp | Eth | Hex => None,
        }
    }

    pub(super) fn is_icmp(self) -> bool {
        matches!(self, Icmp | Icmp6)
    }
}

const L4: &[Protocol] = &[Udp, Tcp, Icmp, Icmp6];
const L3: &[Protocol] = &[Udp, Tcp, Icmp, Icmp6, Ip];
const ICMP: &[Protocol] = &[Icmp, Icmp6];

/// Each word and the protocols that it may follow.
pub(super) const WORDS: &[(&str, &[Protocol])] = &[
    ("via", &Protocol::ALL),
    ("src-mac", &[Udp, Tcp, Icmp, Icmp6, Ip, Arp]),
    ("dst-mac", &[Udp, Tcp, Icmp, Icmp6, Ip, Arp]),
    ("vlan", &[Udp, Tcp, Icmp, Icmp6, Ip, Arp, Eth]),
    ("svlan", &[Udp, Tcp, Icmp, Icmp6, Ip, Arp, Eth]),
    ("payload", &[Udp, Tcp, Icmp, Icmp6, Ip, Eth]),
    ("len", &[Udp, Tcp, Icmp, Icmp6, Ip, Eth]),
    ("pad", &[Udp, Tcp, Icmp, Icmp6, Ip, Arp, Eth]),
    ("ttl", L3),
    ("tos", L3),
    ("dscp", L3),
    ("id", L3),
    ("ip-id", L3),
    ("df", L3),
    ("mf", L3),
    ("frag", L3),
    ("flow-label", L3),
    ("proto", &[Ip]),
    ("flags", &[Tcp]),
    ("seq", &[Tcp, Icmp, Icmp6]),
    ("ack", &[Tcp]),
    ("win", &[Tcp]),
    ("mss", &[Tcp]),
    ("options", &[Tcp]),
    ("type", &[Icmp, Icmp6, Eth]),
    ("code", ICMP),
    ("mtu", ICMP),
    ("bad-checksum", L3),
    ("bad-ip-checksum", L3),
    ("no-checksum", &[Udp]),
];

/// The words that set a field of the UDP, TCP or ICMP header, which a fragment with an offset has
/// not.
pub(super) fn is_in_header_of(word: &str, protocol: Protocol) -> bool {
    let header_word = match word {
        "flags" | "seq" | "ack" | "win" | "mss" | "options" | "type" | "code" | "mtu" | "bad-checksum" | "no-checksum" => true,
        "id" => protocol.is_icmp(),
        _ => false,
    };
    header_word && L4.contains(&protocol)
}

/// The names of ICMP types (RFC 792, RFC 1256) and ICMPv6 types (RFC 4443, RFC 4861).
pub(super) const ICMP_NAMES: &[(&str, Option<u8>, Option<u8>)] = &[
    ("echo-request", Some(8), Some(128)),
    ("echo-reply", Some(0), Some(129)),
    ("unreachable", Some(3), Some(1)),
    ("time-exceeded", Some(11), Some(3)),
    ("packet-too-big", None, Some(2)),
    ("redirect", Some(5), Some(137)),
    ("parameter-problem", Some(12), Some(4)),
    ("router-solicitation", Some(10), Some(133)),
    ("router-advertisement", Some(9), Some(134)),
    ("neighbor-solicitation", None, Some(135)),
    ("neighbor-advertisement", None, Some(136)),
];

/// The names that `protocol` knows, with their types.
pub(super) fn icmp_names(protocol: Protocol) -> impl Iterator<Item = (&'static str, u8)> {
    ICMP_NAMES.iter().filter_map(move |(name, v4, v6)| {
        let icmp_type = match protocol {
            Icmp => *v4,
            Icmp6 => *v6,
            _ => None,
        };
        Some((*name, icmp_type?))
    })
}

/// The TCP flags by their bits in the data offset and flags word.
pub(super) const TCP_FLAGS: [(&str, u16); 9] = [
    ("fin", 0x001),
    ("syn", 0x002),
    ("rst", 0x004),
    ("psh", 0x008),
    ("ack", 0x010),
    ("urg", 0x020),
    ("ece", 0x040),
    ("cwr", 0x080),
    ("ns", 0x100),
];
