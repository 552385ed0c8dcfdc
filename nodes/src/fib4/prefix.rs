//! [`Prefix4`], an IPv4 prefix in CIDR notation (RFC 4632 section 3.1).

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An IPv4 prefix such as `10.0.0.0/8`. Host bits are always zero, and the
/// order is by address, then by length: a prefix stands before those inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix4 {
    addr: u32,
    len: u8,
}

impl Prefix4 {
    /// `0.0.0.0/0`.
    pub const DEFAULT: Prefix4 = Prefix4 { addr: 0, len: 0 };

    /// The prefix of `len` bits that is written with exactly this address.
    pub fn new(addr: u32, len: u8) -> Result<Prefix4, Prefix4Error> {
        if len > 32 {
            return Err(Prefix4Error::Length);
        }
        let prefix = Prefix4::containing(addr, len);
        match prefix.addr == addr {
            true => Ok(prefix),
            false => Err(Prefix4Error::HostBits { addr, prefix }),
        }
    }

    /// The prefix of `len` bits, at most 32, that contains `addr`.
    pub const fn containing(addr: u32, len: u8) -> Prefix4 {
        let len = if len > 32 { 32 } else { len };
        Prefix4 { addr: addr & mask(len), len }
    }

    /// Its first address.
    pub const fn addr(self) -> u32 {
        self.addr
    }

    /// Its last address.
    pub const fn last(self) -> u32 {
        self.addr | !mask(self.len)
    }

    /// Its length in bits, 0 to 32.
    #[expect(clippy::len_without_is_empty, reason = "a length in bits, not a number of items")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether `addr` lies inside.
    pub const fn contains(self, addr: u32) -> bool {
        addr & mask(self.len) == self.addr
    }
}

/// The network mask of a length up to 32.
const fn mask(len: u8) -> u32 {
    if len == 0 { 0 } else { u32::MAX << (32 - len) }
}

impl fmt::Display for Prefix4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.addr), self.len)
    }
}

impl FromStr for Prefix4 {
    type Err = Prefix4Error;

    fn from_str(text: &str) -> Result<Prefix4, Prefix4Error> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr = addr.parse::<Ipv4Addr>().map_err(|_| Prefix4Error::Address)?.to_bits();
        let len = len.ok_or(Prefix4Error::NoLength { addr })?;
        // `u8::from_str` also takes "+8" and "08".
        let plain = len.bytes().all(|b| b.is_ascii_digit()) && (len == "0" || !len.starts_with('0'));
        let len = len.parse().ok().filter(|_| plain).ok_or(Prefix4Error::Length)?;
        Prefix4::new(addr, len)
    }
}

impl Serialize for Prefix4 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix4 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Prefix4, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Prefix4;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an IPv4 prefix such as 10.0.0.0/8")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Prefix4, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Prefix4 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Prefix4".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "IPv4 prefix", "type": "string", "examples": ["10.0.0.0/8"],
            "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}/([0-9]|[12][0-9]|3[0-2])$",
        })
    }
}

/// Why a text or a pair of numbers is no [`Prefix4`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix4Error {
    /// What stands before the `/` is no IPv4 address.
    Address,
    /// There is no `/` after this address.
    NoLength {
        /// The address.
        addr: u32,
    },
    /// The length is not a plain number from 0 to 32.
    Length,
    /// The address has bits set beyond the length.
    HostBits {
        /// The address as written.
        addr: u32,
        /// The prefix of that length that contains it.
        prefix: Prefix4,
    },
}

impl fmt::Display for Prefix4Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Prefix4Error::Address => f.write_str("not an IPv4 address; write a prefix such as `10.0.0.0/8`"),
            Prefix4Error::NoLength { addr } => {
                write!(f, "no prefix length; write `{}/32` for this one address", Ipv4Addr::from_bits(addr))
            }
            Prefix4Error::Length => f.write_str("the prefix length must be a number from 0 to 32"),
            Prefix4Error::HostBits { addr, prefix } => {
                let addr = Ipv4Addr::from_bits(addr);
                write!(f, "`{addr}/{}` has bits set beyond its length; the prefix is `{prefix}`", prefix.len)
            }
        }
    }
}

impl std::error::Error for Prefix4Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.128/25", "255.255.255.255/32"] {
            let prefix: Prefix4 = text.parse().unwrap();
            assert_eq!(prefix.to_string(), text);
            let json = serde_json::to_string(&prefix).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Prefix4>(&json).unwrap(), prefix);
        }
    }

    #[test]
    fn first_and_last_address() {
        let cases = [
            ("0.0.0.0/0", 0, u32::MAX),
            ("10.0.0.0/8", 0x0a00_0000, 0x0aff_ffff),
            ("192.0.2.128/25", 0xc000_0280, 0xc000_02ff),
            ("192.0.2.1/32", 0xc000_0201, 0xc000_0201),
        ];
        for (text, first, last) in cases {
            let prefix: Prefix4 = text.parse().unwrap();
            assert_eq!((prefix.addr(), prefix.last()), (first, last), "{text}");
            assert!(prefix.contains(first) && prefix.contains(last));
            assert!(first == 0 || !prefix.contains(first - 1));
            assert!(last == u32::MAX || !prefix.contains(last + 1));
        }
    }

    #[test]
    fn errors_name_the_remedy() {
        let cases = [
            ("10.1.0.0/8", "`10.1.0.0/8` has bits set beyond its length; the prefix is `10.0.0.0/8`"),
            ("0.0.0.1/0", "`0.0.0.1/0` has bits set beyond its length; the prefix is `0.0.0.0/0`"),
            ("10.0.0.1", "no prefix length; write `10.0.0.1/32` for this one address"),
            ("10.0.0.0/33", "the prefix length must be a number from 0 to 32"),
            ("10.0.0.0/+8", "the prefix length must be a number from 0 to 32"),
            ("10.0.0.0/08", "the prefix length must be a number from 0 to 32"),
            ("10.0.0.0/", "the prefix length must be a number from 0 to 32"),
            ("10.0.0.0/300", "the prefix length must be a number from 0 to 32"),
            ("10.0.0/8", "not an IPv4 address; write a prefix such as `10.0.0.0/8`"),
            ("010.0.0.0/8", "not an IPv4 address; write a prefix such as `10.0.0.0/8`"),
            ("", "not an IPv4 address; write a prefix such as `10.0.0.0/8`"),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Prefix4>().unwrap_err().to_string(), message, "{text:?}");
        }
        assert!(serde_json::from_str::<Prefix4>("\"10.0.0.1/8\"").unwrap_err().to_string().contains("10.0.0.0/8"));
        assert!(serde_json::from_str::<Prefix4>("8").is_err());
    }

    #[test]
    fn a_cover_sorts_before_what_it_covers() {
        let mut prefixes =
            ["10.0.0.0/24", "9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/32", "10.1.0.0/16"].map(|text| text.parse::<Prefix4>().unwrap());
        prefixes.sort();
        assert_eq!(prefixes.map(|p| p.to_string()), ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/32", "10.1.0.0/16"]);
    }
}
