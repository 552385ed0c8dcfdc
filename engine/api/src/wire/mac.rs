//! MAC addresses.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

use super::WireError;

/// A 48-bit MAC address (IEEE 802), as on the wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    /// All stations: `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// No address: `00:00:00:00:00:00`.
    pub const ZERO: Self = Self([0; 6]);

    /// The address of these six bytes.
    #[inline]
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The six bytes.
    #[inline]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// The address as a number below 2^48: a key for tables.
    #[inline]
    pub fn to_bits(self) -> u64 {
        // Two whole loads: as a shift over six bytes it would be six.
        let Split { high, low } = transmute!(self);
        u64::from(high.get()) << 16 | u64::from(low.get())
    }

    /// The address that [`to_bits`](Self::to_bits) gives `bits` for; the high 16 bits are ignored.
    #[inline]
    pub fn from_bits(bits: u64) -> Self {
        transmute!(Split { high: U32::new((bits >> 16) as u32), low: U16::new(bits as u16) })
    }

    /// Whether it is a group (multicast or broadcast) address: the I/G bit.
    #[inline]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether it is the broadcast address.
    #[inline]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }
}

#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Split {
    high: U32,
    low: U16,
}

impl From<[u8; 6]> for MacAddr {
    fn from(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = WireError;

    /// Six pairs of hexadecimal digits, separated by `:` or by `-` throughout.
    fn from_str(text: &str) -> Result<Self, WireError> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut pairs = text.split(separator);
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            *byte = pairs.next().and_then(pair).ok_or(WireError::BadMac)?;
        }
        if pairs.next().is_some() {
            return Err(WireError::BadMac);
        }
        Ok(Self(bytes))
    }
}

/// Two hexadecimal digits. `from_str_radix` alone would take `+f` and `f`.
fn pair(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if digits { u8::from_str_radix(text, 16).ok() } else { None }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = MacAddr;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a MAC address like 02:00:5e:10:00:01")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MacAddr, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for MacAddr {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "MacAddr".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "MAC address", "type": "string", "examples": ["02:00:5e:10:00:01"],
            "pattern": "^[0-9A-Fa-f]{2}((:[0-9A-Fa-f]{2}){5}|(-[0-9A-Fa-f]{2}){5})$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr::new([0x02, 0x00, 0x5e, 0x10, 0xab, 0x01]);

    #[test]
    fn text_both_ways() {
        assert_eq!(MAC.to_string(), "02:00:5e:10:ab:01");
        for text in ["02:00:5e:10:ab:01", "02-00-5E-10-AB-01"] {
            assert_eq!(text.parse(), Ok(MAC), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_address() {
        for text in [
            "",
            "02",
            "02:00:5e:10:ab",
            "02:00:5e:10:ab:01:02",
            "02:00:5e:10:ab:01:",
            ":02:00:5e:10:ab:01",
            "2:0:5e:10:ab:1",
            "02:00:5e:10:ab:1g",
            "+2:00:5e:10:ab:01",
            "02:00-5e:10:ab:01",
            "02005e10ab01",
            "02:00:5e:10:ab:01 ",
            "é2:00:5e:10:ab:01",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(WireError::BadMac), "{text}");
        }
    }

    #[test]
    fn bits_are_in_wire_order() {
        assert_eq!(MAC.to_bits(), 0x0200_5e10_ab01);
        assert_eq!(MacAddr::from_bits(0xdead_0200_5e10_ab01), MAC);
        assert_eq!(MacAddr::BROADCAST.to_bits(), 0xffff_ffff_ffff);
    }

    #[test]
    fn groups() {
        for (text, group, broadcast) in [
            ("ff:ff:ff:ff:ff:ff", true, true),
            ("01:00:5e:00:00:01", true, false),
            ("33:33:00:00:00:01", true, false),
            ("02:ff:ff:ff:ff:ff", false, false),
            ("00:00:00:00:00:00", false, false),
        ] {
            let mac: MacAddr = text.parse().unwrap();
            assert_eq!((mac.is_group(), mac.is_broadcast()), (group, broadcast), "{text}");
        }
    }

    #[test]
    fn serde_is_text() {
        assert_eq!(serde_json::to_string(&MAC).unwrap(), r#""02:00:5e:10:ab:01""#);
        assert_eq!(serde_json::from_str::<MacAddr>(r#""02:00:5e:10:ab:01""#).unwrap(), MAC);
        let error = serde_json::from_str::<MacAddr>(r#""02:00""#).unwrap_err().to_string();
        assert!(error.starts_with("a MAC address is six hexadecimal pairs"), "{error}");
        assert!(serde_json::from_str::<MacAddr>("7").is_err());
    }
}
