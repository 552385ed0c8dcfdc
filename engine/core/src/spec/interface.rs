//! The section `interfaces`: named attachments to the world outside.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::entry::Declared;
use super::source::Spanned;
use super::value::{Entry, Value};

/// The smallest MTU: every IPv4 host must take a datagram of 68 bytes (RFC 791, section 3.2).
pub const MIN_MTU: u16 = 68;
/// The largest MTU: the jumbo frames that network cards and switches agree on. It fits in the largest
/// buffer; whether it fits in the buffers of this engine is checked when the graph is planned.
pub const MAX_MTU: u16 = 9216;

/// An interface as written.
#[derive(Debug, Clone, PartialEq)]
pub struct InterfaceSpec {
    /// Its name in this file.
    pub name: Spanned<String>,
    /// The driver.
    pub driver: Spanned<String>,
    /// Its own addresses, for the tables that ask for them.
    pub addresses: Vec<Spanned<InterfaceAddress>>,
    /// Its MAC address; without it, the driver's.
    pub mac: Option<Spanned<MacAddress>>,
    /// The largest packet that it sends; without it, the driver's.
    pub mtu: Option<Spanned<u16>>,
    /// The settings of the driver.
    pub settings: Value,
    /// The directory of the file that it stands in, to which relative paths in its settings are relative.
    pub directory: PathBuf,
}

impl InterfaceSpec {
    pub(super) fn read(entry: Entry, diagnostics: &mut Diagnostics) -> Option<Self> {
        let keys = ["driver", "addresses", "mac", "mtu"];
        let mut declared = Declared::read(entry, "an interface", &keys, diagnostics)?;
        let addresses = declared.take("addresses");
        let mac = declared.take("mac");
        let mtu = declared.take("mtu");
        let addresses = addresses.map(|list| read_addresses(&list, diagnostics));
        let mac = mac.and_then(|value| diagnostics.ok(parse(&value, "a MAC address such as `02:00:00:00:00:01`")));
        let mtu = mtu.and_then(|value| diagnostics.ok(read_mtu(&value)));
        let driver = declared.word("driver", diagnostics)?;
        Some(Self {
            name: declared.name,
            driver,
            addresses: addresses.unwrap_or_default(),
            mac,
            mtu,
            settings: declared.settings,
            directory: PathBuf::new(),
        })
    }
}

fn read_mtu(value: &Value) -> Result<Spanned<u16>, Diagnostic> {
    let mtu = value.expect_integer(MIN_MTU.into(), MAX_MTU.into())?;
    Ok(Spanned::new(u16::try_from(mtu).unwrap_or(MAX_MTU), value.span))
}

fn read_addresses(list: &Value, diagnostics: &mut Diagnostics) -> Vec<Spanned<InterfaceAddress>> {
    let mut addresses = Vec::new();
    let mut first = HashMap::new();
    for value in diagnostics.ok(list.expect_seq()).unwrap_or_default().iter() {
        let what = "an address with its prefix length, such as `192.0.2.1/24`";
        let Some(parsed) = diagnostics.ok(parse::<InterfaceAddress>(value, what)) else {
            continue;
        };
        let address = parsed.address;
        match first.insert(address, parsed.span) {
            None => addresses.push(parsed),
            Some(before) => diagnostics.push(
                Diagnostic::error(Code::Conflict, format!("the address {address} is given twice"))
                    .primary(parsed.span, "given again")
                    .secondary(before, "first given here")
                    .help("remove one of the two"),
            ),
        }
    }
    addresses
}

/// Reads a string as a type, whose error says what to do.
fn parse<T: FromStr<Err = String>>(value: &Value, what: &str) -> Result<Spanned<T>, Diagnostic> {
    let text = value.expect_str()?;
    match text.parse() {
        Ok(parsed) => Ok(Spanned::new(parsed, value.span)),
        Err(help) => Err(value.mismatch(Code::BadValue, what).help(help)),
    }
}

/// An address of an interface with the length of its subnet's prefix: `192.0.2.1/24`. The bits
/// behind the prefix say which host of the subnet it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// How many bits of it are the subnet's.
    pub prefix_len: u8,
}

impl FromStr for InterfaceAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix_len) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| format!("`{address}` is not an IPv4 or IPv6 address"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix_len.is_empty() {
            let usual = if address.is_ipv4() { 24 } else { 64 };
            return Err(format!("add the prefix length, such as `{address}/{usual}`"));
        }
        let is_number = prefix_len.bytes().all(|b| b.is_ascii_digit());
        let length = prefix_len.parse().ok().filter(|&length| is_number && length <= longest);
        let prefix_len = length.ok_or(format!("the prefix length is 0 to {longest}, not `{prefix_len}`"))?;
        if address.is_unspecified() || address.is_multicast() || address == IpAddr::from([255; 4]) {
            return Err(format!("{address} cannot be the address of one host"));
        }
        Ok(Self { address, prefix_len })
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

/// The MAC address of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl FromStr for MacAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "write six pairs of hexadecimal digits with colons between them".to_owned();
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or_else(form)?;
            let is_hex = pair.bytes().all(|b| b.is_ascii_hexdigit());
            *byte = u8::from_str_radix(pair, 16).ok().filter(|_| is_hex).ok_or_else(form)?;
        }
        if pairs.next().is_some() {
            return Err(form());
        }
        // IEEE 802: the lowest bit of the first octet marks groups.
        if bytes[0] & 1 == 1 {
            return Err("this is a group address: the second digit of an interface's own is even".to_owned());
        }
        if bytes == [0; 6] {
            return Err("all zeros is no address".to_owned());
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_interfaces() {
        for text in ["192.0.2.1/24", "10.0.0.0/8", "2001:db8::1/64", "fe80::1/128", "127.0.0.1/0"] {
            assert_eq!(text.parse::<InterfaceAddress>().unwrap().to_string(), text);
        }
        for (text, help) in [
            ("192.0.2.1", "add the prefix length, such as `192.0.2.1/24`"),
            ("2001:db8::1", "add the prefix length, such as `2001:db8::1/64`"),
            ("192.0.2.1/33", "the prefix length is 0 to 32, not `33`"),
            ("2001:db8::1/+1", "the prefix length is 0 to 128, not `+1`"),
            ("192.0.2.1/24/1", "the prefix length is 0 to 32, not `24/1`"),
            ("192.0.2/24", "`192.0.2` is not an IPv4 or IPv6 address"),
            ("192.0.2.01/24", "`192.0.2.01` is not an IPv4 or IPv6 address"),
            ("224.0.0.1/24", "224.0.0.1 cannot be the address of one host"),
            ("0.0.0.0/0", "0.0.0.0 cannot be the address of one host"),
            ("ff02::1/64", "ff02::1 cannot be the address of one host"),
        ] {
            assert_eq!(text.parse::<InterfaceAddress>().unwrap_err(), help);
        }
    }

    #[test]
    fn mac_addresses() {
        let mac: MacAddress = "02:00:5E:10:00:Ff".parse().unwrap();
        assert_eq!(mac.0, [0x02, 0x00, 0x5e, 0x10, 0x00, 0xff]);
        assert_eq!(mac.to_string(), "02:00:5e:10:00:ff");
        for text in [
            "",
            "02",
            "02:00:5e:10:00",
            "02:00:5e:10:00:ff:00",
            "02:0:5e:10:00:fff",
            "02-00-5e-10-00-ff",
            "+2:00:5e:10:00:ff",
            "zz:00:5e:10:00:ff",
            "0é:00:5e:10:00:ff",
        ] {
            assert!(text.parse::<MacAddress>().unwrap_err().starts_with("write six pairs"), "{text}");
        }
        assert!("01:00:5e:00:00:01".parse::<MacAddress>().is_err());
        assert!("00:00:00:00:00:00".parse::<MacAddress>().is_err());
    }
}
