//! The settings of the driver, and their words.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use swath_api::units::PacketRate;
use swath_api::wire::MacAddr;

/// An interface without a network: packets are generated on receive, and checked on transmit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    /// The packets that it receives. Default: none.
    pub generate: Option<Generate>,
    /// What becomes of the packets that are sent. Default: they are counted.
    pub sink: SinkSettings,
}

/// The packets that an interface receives: exactly one of `packets`, `file` and `flows`, and how they come.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Generate {
    /// Packets in text form, each a flow of its own. Where the text does not say the MAC addresses, they are those of `flows`.
    pub packets: Option<Vec<String>>,
    /// A capture (pcap or pcapng, Ethernet) whose records are the packets; its times do not count. Relative to the graph file.
    pub file: Option<PathBuf>,
    /// UDP flows by their number.
    pub flows: Option<FlowSettings>,
    /// Packets per second, over all receive queues: `2Mpps`, or a number. What the engine does not take in time it takes later.
    /// Default: as fast as they are asked for; in virtual time all at once, and `limit` is required.
    pub rate: Option<PacketRate>,
    /// Packets that come at once. With `rate` they are due together, default 1; without it they are the most that a queue gives in
    /// one call, default 256.
    pub burst: Option<NonZeroU32>,
    /// Packets in all, over all receive queues. Default: no end.
    pub limit: Option<u64>,
    /// The order of the flows. Default: `round-robin`.
    #[serde(default)]
    pub pattern: Pattern,
    /// Where `random` starts; the same seed gives the same packets. Default: 0.
    #[serde(default)]
    pub seed: u64,
    /// Whether each packet tells its interface, its flow and its number within the flow in the first 16 bytes of its UDP payload,
    /// for `sink.check: stamps` of any interface. Default: false.
    #[serde(default)]
    pub stamp: bool,
}

/// The order of the flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Pattern {
    /// Each flow in turn, and for each flow each size in turn.
    #[default]
    RoundRobin,
    /// Flow and size of each packet by chance.
    Random,
}

/// UDP flows. Flow `i` is from source `i mod n` of the `n` prefixes of `sources` to destination `i mod m` of the `m` of
/// `destinations`; of each prefix the hosts are taken one after the other, and again from the first. Its source port is 1024 + `i`
/// mod 64512, its destination port 9 (discard), and one higher for each further 64512 flows: so no two flows are the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FlowSettings {
    /// Prefixes, or single addresses, that the packets come from.
    pub sources: Vec<Prefix>,
    /// Prefixes, or single addresses, that they go to: all IPv4 or all IPv6, as the sources.
    pub destinations: Vec<Prefix>,
    /// How many flows there are, at most 16777216. Default: 1.
    #[serde(default = "one")]
    pub count: NonZeroU32,
    /// Bytes of a frame without its check sequence: a number, a list of numbers, a range as `64-1500`, or `imix`: seven of 60, four
    /// of 590 and one of 1514 in twelve. Default: the smallest, which is 60, or 62 with IPv6, or 78 with IPv6 and `stamp`.
    pub size: Option<Sizes>,
    /// TTL or hop limit. Default: 64.
    #[serde(default = "ttl")]
    pub ttl: u8,
    /// Source MAC address. Default: 02:00:00:00:00:01.
    pub src_mac: Option<MacAddr>,
    /// Destination MAC address. Default: that of the interface, so that a router takes the packets.
    pub dst_mac: Option<MacAddr>,
}

/// What becomes of the packets that are sent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SinkSettings {
    /// What is checked. Default: `none`.
    pub check: CheckKind,
    /// Packets that one call takes, as a ring that is nearly full would: the rest are `ring-full` drops. Default: all.
    pub capacity: Option<u32>,
}

/// What is checked in packets that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CheckKind {
    /// Nothing: packets and bytes are counted.
    #[default]
    None,
    /// That no stamped packet is missing, comes twice or is overtaken within its flow.
    Stamps,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

fn ttl() -> u8 {
    64
}

/// A prefix whose hosts are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Prefix {
    first: u128,
    hosts: u128,
    pub is_ipv4: bool,
}

impl Prefix {
    /// The address of a host, as a number. Those behind the last begin again.
    pub fn host(&self, index: u32) -> u128 {
        self.first + u128::from(index) % self.hosts
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Prefix, String> {
        let wrong = || format!("`{text}` is neither a prefix such as `10.0.0.0/8` nor an address");
        let (address, length) = text.split_once('/').map_or((text.as_str(), None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (bits, width, is_ipv4) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32, true),
            IpAddr::V6(address) => (address.to_bits(), 128, false),
        };
        let length = length.map_or(Ok(width), |length| length.parse().map_err(|_| wrong()))?;
        if length > width {
            return Err(wrong());
        }
        let mask = 1u128.checked_shl(width - length).map_or(u128::MAX, |size| size - 1);
        if bits & mask != 0 {
            let network = bits & !mask;
            let network: IpAddr =
                if is_ipv4 { Ipv4Addr::from_bits(network as u32).into() } else { Ipv6Addr::from_bits(network).into() };
            return Err(format!("`{text}` has bits behind its prefix: write `{network}/{length}`"));
        }
        Ok(match width - length {
            0 => Prefix { first: bits, hosts: 1, is_ipv4 },
            // Both addresses are hosts: RFC 3021, RFC 6164.
            1 => Prefix { first: bits, hosts: 2, is_ipv4 },
            // The first names the network (RFC 1122 §3.2.1.3) or any router (RFC 4291 §2.6.1); IPv4 broadcasts to the last.
            _ => Prefix { first: bits + 1, hosts: mask - u128::from(is_ipv4), is_ipv4 },
        })
    }
}

impl JsonSchema for Prefix {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Prefix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "prefix", "type": "string", "examples": ["10.0.0.0/8"],
            "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}(/[0-9]+)?$|^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(/[0-9]+)?$",
        })
    }
}

/// The sizes of frames, each as often as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes(pub Vec<u16>);

impl Sizes {
    /// The simple IMIX: packets of 40, 576 and 1500 bytes at 7 to 4 to 1, in Ethernet frames, of which the smallest is padded.
    fn imix() -> Sizes {
        Sizes(vec![60, 590, 60, 590, 60, 590, 60, 590, 60, 60, 60, 1514])
    }
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sizes, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Sizes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, a list of them, a range such as `64-1500`, or `imix`")
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Sizes, E> {
                let bytes = u16::try_from(bytes).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(bytes), &self))?;
                Ok(Sizes(vec![bytes]))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sizes, E> {
                if text == "imix" {
                    return Ok(Sizes::imix());
                }
                let range = text.split_once('-').and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
                let sizes: Vec<u16> = range.map(|(from, to)| (from..=to).collect()).unwrap_or_default();
                if sizes.is_empty() { Err(E::invalid_value(de::Unexpected::Str(text), &self)) } else { Ok(Sizes(sizes)) }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sizes, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = list.next_element()? {
                    sizes.push(size);
                }
                if sizes.is_empty() { Err(de::Error::invalid_length(0, &self)) } else { Ok(Sizes(sizes)) }
            }
        }

        deserializer.deserialize_any(Words)
    }
}

impl JsonSchema for Sizes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sizes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bytes of a frame: a number, a list of numbers, a range as `64-1500`, or `imix`.",
            "oneOf": [
                { "type": "integer", "minimum": 60, "maximum": 65535 },
                { "type": "array", "items": { "type": "integer", "minimum": 60, "maximum": 65535 }, "minItems": 1 },
                { "type": "string", "pattern": "^([0-9]+-[0-9]+|imix)$" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn hosts_of_a_prefix() {
        let v4 = |text, index| Ipv4Addr::from_bits(prefix(text).host(index) as u32).to_string();
        assert_eq!([0, 253, 254].map(|index| v4("10.1.2.0/24", index)), ["10.1.2.1", "10.1.2.254", "10.1.2.1"]);
        assert_eq!([0, 1, 2].map(|index| v4("10.1.2.4/30", index)), ["10.1.2.5", "10.1.2.6", "10.1.2.5"]);
        assert_eq!([0, 1, 2].map(|index| v4("10.1.2.4/31", index)), ["10.1.2.4", "10.1.2.5", "10.1.2.4"]);
        assert_eq!([0, 1].map(|index| v4("10.1.2.3", index)), ["10.1.2.3", "10.1.2.3"]);
        assert_eq!([0, 65536].map(|index| v4("0.0.0.0/0", index)), ["0.0.0.1", "0.1.0.1"]);
        let v6 = |text, index| Ipv6Addr::from_bits(prefix(text).host(index)).to_string();
        assert_eq!([0, 2, 3].map(|index| v6("2001:db8::/126", index)), ["2001:db8::1", "2001:db8::3", "2001:db8::1"]);
        assert_eq!([0, 1, 2].map(|index| v6("2001:db8::/127", index)), ["2001:db8::", "2001:db8::1", "2001:db8::"]);
        assert_eq!([0, 9].map(|index| v6("::/0", index)), ["::1", "::a"]);
    }

    #[test]
    fn what_is_no_prefix() {
        for text in ["", "10.0.0.0/33", "10.0.0/24", "10.0.0.0/", "10.0.0.0/x", "2001:db8::/129"] {
            assert!(Prefix::try_from(text.to_owned()).unwrap_err().starts_with(&format!("`{text}` is neither")), "{text}");
        }
        let error = Prefix::try_from("10.0.0.5/16".to_owned()).unwrap_err();
        assert_eq!(error, "`10.0.0.5/16` has bits behind its prefix: write `10.0.0.0/16`");
        let error = Prefix::try_from("2001:db8::1/64".to_owned()).unwrap_err();
        assert_eq!(error, "`2001:db8::1/64` has bits behind its prefix: write `2001:db8::/64`");
    }

    #[test]
    fn sizes_in_all_their_forms() {
        let sizes = |json: &str| serde_json::from_str::<Sizes>(json).map(|sizes| sizes.0);
        assert_eq!(sizes("60").unwrap(), [60]);
        assert_eq!(sizes("[60, 1514]").unwrap(), [60, 1514]);
        assert_eq!(sizes("\"60-63\"").unwrap(), [60, 61, 62, 63]);
        let imix = sizes("\"imix\"").unwrap();
        let count = |size| imix.iter().filter(|&&other| other == size).count();
        assert_eq!((imix.len(), count(60), count(590), count(1514)), (12, 7, 4, 1));
        for json in ["70000", "-1", "[]", "\"63-60\"", "\"many\"", "true", "[70000]"] {
            assert!(sizes(json).is_err(), "{json}");
        }
    }
}
