//! What is taken from the kernel.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use swath_api::wire::MacAddr;

/// How many ranges the program has room for (`RANGES` in ebpf/capture.bpf.c).
const RANGES: usize = 16;
/// How many prefixes of a version of IP (`PREFIXES`).
const PREFIXES: usize = 1024;

/// What is taken from the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Capture {
    own_mac: bool,
    destinations: Option<Vec<Prefix>>,
    protocols: Option<Vec<Range>>,
    except: Vec<Range>,
}

/// As [`Capture`], written as a mapping: a frame is captured that meets all of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Conditions {
    /// Only frames to the MAC address of the interface, and to groups. Default: false.
    #[serde(default)]
    own_mac: bool,
    /// Only IPv4 and IPv6 packets to one of these prefixes, and ARP packets that ask for an address in one, or answer it.
    destinations: Option<Vec<Prefix>>,
    /// Only packets of these protocols, `udp`, `icmp`, or a number, and to these ports, as in `tcp/80` and `udp/5000-5999`. Fragments
    /// beyond the first have no ports, and stay with the kernel.
    protocols: Option<Vec<Range>>,
    /// Not packets of these protocols and ports, from them or to them. Fragments beyond the first stay with the kernel, whatever their
    /// ports; of IPv6 also those that do not say their protocol, as extension headers stand behind the fragment header (RFC 8200 §4.5).
    #[serde(default)]
    except: Vec<Range>,
}

/// A protocol, and its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    protocol: u8,
    first: u16,
    last: u16,
}

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    pub address: IpAddr,
    pub length: u8,
}

const SSH: Range = Range { protocol: 6, first: 22, last: 22 };

impl Capture {
    /// Whether the kernel has to be told who a neighbour is: it asks as before, and the answers are captured.
    pub fn takes_answers_of_the_kernel(&self) -> bool {
        !self.except.is_empty() && self.destinations.is_none() && self.protocols.is_none()
    }

    /// The prefixes that packets must be for.
    pub fn destinations(&self) -> &[Prefix] {
        self.destinations.as_deref().unwrap_or_default()
    }

    /// What the program is told (`struct capture` in ebpf/capture.bpf.c).
    pub fn constants(&self, mac: MacAddr) -> Vec<u8> {
        let flags = u32::from(self.own_mac)
            | u32::from(self.destinations.is_some()) << 1
            | u32::from(self.protocols.is_some()) << 2
            | u32::from(!self.except.is_empty()) << 3;
        let protocols = self.protocols.as_deref().unwrap_or_default();
        let mut bytes = flags.to_ne_bytes().to_vec();
        bytes.extend(mac.octets());
        bytes.extend([protocols.len() as u8, self.except.len() as u8]);
        for ranges in [protocols, &self.except] {
            let none = Range { protocol: 0, first: 0, last: 0 };
            for range in ranges.iter().chain(std::iter::repeat(&none)).take(RANGES) {
                bytes.extend([u16::from(range.protocol), range.first, range.last].map(u16::to_ne_bytes).concat());
            }
        }
        bytes
    }
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ranges: &[Range]| ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut parts = Vec::new();
        if self.own_mac {
            parts.push("to its own MAC address and to groups".to_owned());
        }
        if let Some(prefixes) = &self.destinations {
            let prefixes: Vec<String> = prefixes.iter().map(|prefix| format!("{}/{}", prefix.address, prefix.length)).collect();
            parts.push(format!("to {}", prefixes.join(", ")));
        }
        if let Some(protocols) = &self.protocols {
            parts.push(format!("of {}", list(protocols)));
        }
        if !self.except.is_empty() {
            parts.push(format!("but {}", list(&self.except)));
        }
        f.write_str(if parts.is_empty() { "all packets" } else { "packets " })?;
        f.write_str(&parts.join(" "))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PROTOCOLS.iter().find(|(_, number)| *number == self.protocol) {
            Some((name, _)) => f.write_str(name)?,
            None => write!(f, "{}", self.protocol)?,
        }
        match (self.first, self.last) {
            (0, u16::MAX) => Ok(()),
            (first, last) if first == last => write!(f, "/{first}"),
            (first, last) => write!(f, "/{first}-{last}"),
        }
    }
}

/// Protocols by name (IANA's "Assigned Internet Protocol Numbers").
const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("icmpv6", 58),
    ("ospf", 89),
    ("vrrp", 112),
    ("sctp", 132),
];
/// Those that have ports.
const WITH_PORTS: [u8; 3] = [6, 17, 132];

impl std::str::FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Range, String> {
        let wrong = || format!("`{text}` is no protocol with ports, such as `tcp/80`, `udp/5000-5999`, `icmp` or `89`");
        let (name, ports) = text.split_once('/').map_or((text, None), |(name, ports)| (name, Some(ports)));
        let known = PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        let protocol = known.or_else(|| name.parse().ok()).ok_or_else(wrong)?;
        let Some(ports) = ports else { return Ok(Range { protocol, first: 0, last: u16::MAX }) };
        if !WITH_PORTS.contains(&protocol) {
            return Err(format!("`{name}` has no ports: `tcp`, `udp` and `sctp` have"));
        }
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (first, last) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
        if first > last { Err(wrong()) } else { Ok(Range { protocol, first, last }) }
    }
}

impl std::str::FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        let wrong = || format!("`{text}` is no prefix, such as `192.0.2.0/24`, `2001:db8::/32` or `192.0.2.1`");
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if length > most { Err(wrong()) } else { Ok(Prefix { address, length }) }
    }
}

/// Reads a type from its text.
macro_rules! from_text {
    ($type:ty, $name:literal, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

from_text!(Range, "ProtocolAndPorts", { "type": "string" });
from_text!(Prefix, "CapturedPrefix", { "type": "string" });

impl<'de> Deserialize<'de> for Capture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Capture;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all`, `own-mac`, `all-but-ssh`, or a mapping of conditions")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Capture, E> {
                match word {
                    "all" => Ok(Capture::default()),
                    "own-mac" => Ok(Capture { own_mac: true, ..Capture::default() }),
                    "all-but-ssh" => Ok(Capture { except: vec![SSH], ..Capture::default() }),
                    _ => Err(E::custom(format!(
                        "`{word}` is none of `all`, `own-mac` and `all-but-ssh`, nor a mapping of conditions"
                    ))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Capture, A::Error> {
                let Conditions { own_mac, destinations, protocols, except } =
                    Conditions::deserialize(MapAccessDeserializer::new(map))?;
                for (key, ranges) in [("protocols", protocols.as_ref()), ("except", Some(&except))] {
                    if let Some(count) = ranges.map(Vec::len).filter(|count| *count > RANGES) {
                        return Err(A::Error::custom(format!("`{key}` has {count} entries, and there may be {RANGES}")));
                    }
                }
                if let Some(count) = destinations.as_ref().map(Vec::len).filter(|count| *count > PREFIXES) {
                    return Err(A::Error::custom(format!("`destinations` has {count} prefixes, and there may be {PREFIXES}")));
                }
                Ok(Capture { own_mac, destinations, protocols, except })
            }
        }

        deserializer.deserialize_any(Words)
    }
}

impl JsonSchema for Capture {
    fn schema_name() -> Cow<'static, str> {
        "Capture".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "enum": ["all", "own-mac", "all-but-ssh"] }, generator.subschema_for::<Conditions>()] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(json: &str) -> Result<Capture, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn words_and_conditions() {
        for (json, text) in [
            (r#""all""#, "all packets"),
            ("{}", "all packets"),
            (r#""own-mac""#, "packets to its own MAC address and to groups"),
            (r#""all-but-ssh""#, "packets but tcp/22"),
            (r#"{"except": ["tcp/22"]}"#, "packets but tcp/22"),
            (
                r#"{"own-mac": true, "destinations": ["10.0.0.0/8", "2001:db8::1"], "protocols": ["udp/53", "tcp/80-90", "icmp", "99"]}"#,
                "packets to its own MAC address and to groups to 10.0.0.0/8, 2001:db8::1/128 of udp/53, tcp/80-90, icmp, 99",
            ),
        ] {
            assert_eq!(capture(json).unwrap().to_string(), text, "{json}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let wrong = |text: &str| format!("`{text}` is no protocol with ports, such as `tcp/80`, `udp/5000-5999`, `icmp` or `89`");
        for text in ["tpc/80", "tcp/", "tcp/90-80", "tcp/70000", "256", "tcp/1-2-3", ""] {
            assert_eq!(text.parse::<Range>(), Err(wrong(text)));
        }
        assert_eq!("icmp/8".parse::<Range>(), Err("`icmp` has no ports: `tcp`, `udp` and `sctp` have".into()));
        for text in ["10.0.0.0/33", "10.0.0/8", "::/129", "x", "10.0.0.0/"] {
            assert!(text.parse::<Prefix>().unwrap_err().starts_with(&format!("`{text}` is no prefix, such as ")));
        }
        assert!(capture(r#""everything""#).unwrap_err().starts_with("`everything` is none of `all`, `own-mac` and `all-but-ssh`"));
        let many = format!(r#"{{"protocols": [{}]}}"#, vec![r#""udp""#; 17].join(","));
        assert!(capture(&many).unwrap_err().starts_with("`protocols` has 17 entries, and there may be 16"));
    }

    #[test]
    fn constants_are_laid_out_as_the_program_has_them() {
        let capture = capture(r#"{"protocols": ["udp/1-2", "icmp"], "except": ["tcp/22"]}"#).unwrap();
        let bytes = capture.constants(MacAddr::from([2, 0, 0, 0, 0, 9]));
        assert_eq!(bytes.len(), 4 + 6 + 2 + 2 * RANGES * 6);
        assert_eq!(bytes[..4], 12u32.to_ne_bytes());
        assert_eq!(bytes[4..12], [2, 0, 0, 0, 0, 9, 2, 1]);
        let words: Vec<u16> = bytes[12..].as_chunks().0.iter().map(|word| u16::from_ne_bytes(*word)).collect();
        assert_eq!(words[..6], [17, 1, 2, 1, 0, u16::MAX]);
        assert_eq!(words[3 * RANGES..3 * RANGES + 6], [6, 22, 22, 0, 0, 0]);
    }
}
