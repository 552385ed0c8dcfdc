//! How rules are written: prefixes, ports, protocols, flags.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::address::{Address as _, Prefix};
use super::criteria::Ports;
use crate::fib4::Prefix4;

/// Something that is written as a text or as a number.
pub(super) trait Word: Sized {
    /// What it is, with examples.
    const WHAT: &'static str;
    /// Its schema.
    fn schema() -> Schema;
    /// From a text.
    fn text(text: &str) -> Result<Self, String>;
}

/// A [`Word`] in settings, with how it was written.
#[derive(Debug, Clone)]
pub struct Written<T> {
    pub(super) value: T,
    text: String,
}

impl<'de, T: Word> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written<T>, D::Error> {
        struct Text<T>(PhantomData<T>);
        impl<T: Word> de::Visitor<'_> for Text<T> {
            type Value = Written<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::WHAT)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Written<T>, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Written<T>, E> {
                T::text(text).map(|value| Written { value, text: text.into() }).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text(PhantomData))
    }
}

impl<T> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<T: Word> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

/// A prefix of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpPrefix {
    /// IPv4.
    V4(Prefix<u32>),
    /// IPv6.
    V6(Prefix<u128>),
}

impl Word for IpPrefix {
    const WHAT: &'static str = "a prefix such as `10.0.0.0/8` or `2001:db8::/32`";

    fn schema() -> Schema {
        json_schema!({ "title": "prefix", "type": "string", "examples": ["10.0.0.0/8", "2001:db8::/32"] })
    }

    fn text(text: &str) -> Result<IpPrefix, String> {
        let address = text.split('/').next().unwrap_or_default();
        match address.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => prefix6(text, address).map(IpPrefix::V6),
            Ok(IpAddr::V4(_)) => {
                let prefix: Prefix4 = text.parse().map_err(|error| format!("{error}"))?;
                Ok(IpPrefix::V4(Prefix { address: prefix.addr(), len: prefix.len() }))
            }
            Err(_) => Err(format!("`{address}` is not an IP address; write {}", IpPrefix::WHAT)),
        }
    }
}

impl FromStr for IpPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<IpPrefix, String> {
        IpPrefix::text(text)
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpPrefix::V4(prefix) => write!(f, "{}/{}", Ipv4Addr::from_bits(prefix.address), prefix.len),
            IpPrefix::V6(prefix) => write!(f, "{}/{}", Ipv6Addr::from_bits(prefix.address), prefix.len),
        }
    }
}

fn prefix6(text: &str, address: Ipv6Addr) -> Result<Prefix<u128>, String> {
    let Some((_, len)) = text.split_once('/') else {
        return Err(format!("no prefix length; write `{address}/128` for this one address"));
    };
    let plain = !len.starts_with(['0', '+']) || len == "0";
    let len: u8 = len.parse().ok().filter(|len| plain && *len <= 128).ok_or("the prefix length must be a number from 0 to 128")?;
    let first = address.to_bits().masked(len);
    if first != address.to_bits() {
        let first = Ipv6Addr::from_bits(first);
        return Err(format!("`{text}` has bits set beyond its length; the prefix is `{first}/{len}`"));
    }
    Ok(Prefix { address: first, len })
}

/// A number or a range of numbers, up to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<const MOST: u16>(pub(super) Ports);

impl<const MOST: u16> Word for Range<MOST> {
    const WHAT: &'static str = if MOST == u16::MAX {
        "a port such as `443`, or a range such as `1024-65535`"
    } else {
        "a number such as `8`, or a range such as `0-3`"
    };

    fn schema() -> Schema {
        json_schema!({ "title": "number or range", "type": ["integer", "string"], "examples": ["443", "1024-65535"] })
    }

    fn text(text: &str) -> Result<Range<MOST>, String> {
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|number| *number <= MOST && !text.contains('+'));
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Range((first, last))),
            (Some(first), Some(last)) => Err(format!("`{text}` is empty: write `{last}-{first}`")),
            _ => Err(format!("`{text}` is not {}, up to {MOST}", Self::WHAT)),
        }
    }
}

/// A protocol behind IP, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol(pub(super) u8);

/// Names of protocols, as IANA has them, or as people say.
const PROTOCOLS: [(&str, u8); 17] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("icmp6", 58),
    ("sctp", 132),
    ("dccp", 33),
    ("udplite", 136),
    ("igmp", 2),
    ("ipip", 4),
    ("ip6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
];

impl Protocol {
    pub(super) const TCP: Protocol = Protocol(6);

    /// Whether its header begins with ports.
    pub(super) fn has_ports(self) -> bool {
        matches!(self.0, 6 | 17 | 33 | 132 | 136)
    }

    /// Whether it is ICMP of either family.
    pub(super) fn is_icmp(self) -> bool {
        matches!(self.0, 1 | 58)
    }
}

impl Word for Protocol {
    const WHAT: &'static str = "a protocol such as `tcp`, or its number";

    fn schema() -> Schema {
        json_schema!({ "title": "protocol", "type": ["integer", "string"], "examples": ["tcp", "udp", "icmp", "47"] })
    }

    fn text(text: &str) -> Result<Protocol, String> {
        let known = PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
        let names = || PROTOCOLS.map(|(name, _)| name).join("`, `");
        known
            .or_else(|| text.parse().ok())
            .map(Protocol)
            .ok_or_else(|| format!("unknown protocol `{text}`: write its number, or one of `{}`", names()))
    }
}

/// Flags of TCP: which are looked at, and how they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags(pub(super) (u8, u8));

const FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

impl Word for TcpFlags {
    const WHAT: &'static str = "flags such as `syn !ack`";

    fn schema() -> Schema {
        json_schema!({ "title": "TCP flags", "type": "string", "examples": ["syn !ack", "ack", "rst"] })
    }

    fn text(text: &str) -> Result<TcpFlags, String> {
        let (mut mask, mut value) = (0, 0);
        for word in text.split_ascii_whitespace() {
            let name = word.strip_prefix('!').unwrap_or(word);
            let bit = FLAGS.iter().position(|flag| *flag == name);
            let bit = 1 << bit.ok_or_else(|| format!("unknown flag `{name}`, expected some of `{}`", FLAGS.join("`, `")))?;
            if mask & bit != 0 {
                return Err(format!("the flag `{name}` is given twice"));
            }
            mask |= bit;
            value |= if name == word { bit } else { 0 };
        }
        if mask == 0 { Err(format!("no flags: write {}", TcpFlags::WHAT)) } else { Ok(TcpFlags((mask, value))) }
    }
}
