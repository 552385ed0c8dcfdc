//! Entries of a list as they are written: an address, a prefix, or a range of addresses.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::acl::{IpPrefix, Prefix};

/// Addresses from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    first: u128,
    last: u128,
    /// Bits of an address: 32 or 128.
    bits: u8,
}

impl Entry {
    /// The fewest prefixes that are just these addresses, in order: one, or of a range 62 at most, of IPv6 254.
    pub fn prefixes(self) -> impl Iterator<Item = IpPrefix> {
        let Entry { last, bits, .. } = self;
        let mut next = Some(self.first);
        std::iter::from_fn(move || {
            let first = next?;
            // As many as the first address is aligned to, and as there are left.
            let left = (last - first).checked_add(1).map_or(128, u128::ilog2);
            let free = first.trailing_zeros().min(bits.into()).min(left);
            let end = first + (u128::MAX.checked_shr(128 - free).unwrap_or(0));
            next = end.checked_add(1).filter(|next| *next <= last);
            let len = bits - free as u8;
            Some(match bits {
                32 => IpPrefix::V4(Prefix { address: first as u32, len }),
                _ => IpPrefix::V6(Prefix { address: first, len }),
            })
        })
    }

    fn new(first: IpAddr, last: IpAddr) -> Result<Entry, String> {
        let entry = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Entry { first: first.to_bits().into(), last: last.to_bits().into(), bits: 32 },
            (IpAddr::V6(first), IpAddr::V6(last)) => Entry { first: first.to_bits(), last: last.to_bits(), bits: 128 },
            _ => return Err(format!("the range `{first}-{last}` begins with one version of IP and ends with the other")),
        };
        match entry.first <= entry.last {
            true => Ok(entry),
            false => Err(format!("the range `{first}-{last}` ends before it begins: write `{last}-{first}`")),
        }
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Entry, String> {
        let address = |text: &str| {
            let text = text.trim();
            text.parse::<IpAddr>().map_err(|_| {
                format!("`{text}` is not an IP address: write an address, a prefix such as `192.0.2.0/24`, or a range such as `192.0.2.1-192.0.2.9`")
            })
        };
        if let Some((first, last)) = text.split_once('-') {
            return Entry::new(address(first)?, address(last)?);
        }
        match text.contains('/').then(|| text.parse()).transpose()? {
            Some(IpPrefix::V4(Prefix { address, len })) => {
                let last = address | u32::MAX.checked_shr(len.into()).unwrap_or(0);
                Ok(Entry { first: address.into(), last: last.into(), bits: 32 })
            }
            Some(IpPrefix::V6(Prefix { address, len })) => {
                Ok(Entry { first: address, last: address | u128::MAX.checked_shr(len.into()).unwrap_or(0), bits: 128 })
            }
            None => {
                let address = address(text)?;
                Entry::new(address, address)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entry, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, a prefix such as `192.0.2.0/24`, or a range such as `192.0.2.1-192.0.2.9`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Entry, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Entry {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Entry".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "addresses", "type": "string",
            "examples": ["192.0.2.0/24", "192.0.2.7", "192.0.2.1-192.0.2.9", "2001:db8::/32"],
        })
    }
}
