//! Rules as settings say them.

use swath_api::Interface;
use swath_api::prelude::*;

use crate::sessions::{MAX_SESSIONS, Pairing, Settings, Timeouts};

use super::address::Prefix;
use super::criteria::{Criteria, Others, Part};
use super::words::{IpPrefix, Protocol, Range, TcpFlags, Written};

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What becomes of packets for which no rule holds. Default: `deny`.
    #[serde(default)]
    pub(super) default: Default_,
    /// What becomes of fragments other than the first of their packet, which have no ports. Default: `skip-l4-rules`.
    #[serde(default)]
    pub(super) fragments: Fragments,
    /// Packets whose first fragment is remembered, for each worker: 64 to 1048576. Only for `fragments: follow-first`, and with sessions.
    /// Default: 4096.
    #[serde(default, rename = "fragmented-packets")]
    pub(super) fragmented_packets: Option<u32>,
    /// What is remembered of flows that a rule `permit+reflect` has let pass. Default: as with `sessions: {}` if there is such a rule, and
    /// nothing if not. It is for as long as the table lives: say `sessions: {}` where rules `permit+reflect` may come later, by command.
    /// A table without sessions refuses them, and several workers share its packets at no cost.
    #[serde(default)]
    pub(super) sessions: Option<Keeping>,
    /// The rules, 131072 at most. The first one that holds for a packet decides.
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

/// How sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Sessions")]
pub(super) struct Keeping {
    /// Most sessions of IPv4, and most of IPv6, for all workers together, each of which has its share: 1 to 268435456. One of IPv4 takes
    /// about 120 bytes. Default: 262144.
    pub(super) capacity: u32,
    /// Most sessions that one source address may open, at least 1. Default: any number.
    pub(super) per_source: Option<u32>,
    /// Whether a TCP connection of which the beginning was not seen may go on: after a restart, say. Default: false.
    pub(super) pick_up: bool,
    /// How long a session lasts without packets.
    pub(super) timeouts: Timeouts,
}

impl Default for Keeping {
    fn default() -> Keeping {
        Keeping { capacity: 1 << 18, per_source: None, pick_up: false, timeouts: Timeouts::default() }
    }
}

impl Keeping {
    /// Checks what serde cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_SESSIONS).contains(&self.capacity) {
            let text = format!("a table has 1 to {MAX_SESSIONS} sessions, and not {}", self.capacity);
            return Err(ConfigError::at("sessions.capacity", text));
        }
        if self.per_source == Some(0) {
            return Err(ConfigError::at("sessions.per-source", "at least 1; leave it out for any number"));
        }
        self.timeouts.check("sessions.timeouts")
    }

    /// The settings of the store of one of so many workers.
    pub(super) fn share(&self, workers: u32) -> Settings {
        let Keeping { capacity, per_source, pick_up: pickup, timeouts } = *self;
        Settings { per_source, pickup, timeouts, ..Settings::new(capacity.div_ceil(workers.max(1)), Pairing::Symmetric) }
    }
}

/// What becomes of packets for which no rule holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Default")]
pub(super) enum Default_ {
    /// They pass.
    Permit,
    /// They are dropped.
    #[default]
    Deny,
    /// As `deny`, but on the edge `rejected`, which can lead to an answer.
    Reject,
}

/// What becomes of fragments other than the first of their packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fragments {
    /// A rule that asks for ports, ICMP types or TCP flags does not hold for them.
    #[default]
    SkipL4Rules,
    /// They are not asked for ports, ICMP types and TCP flags.
    L3Only,
    /// They go the way of the first one. If that was not seen by this worker within 30 s, they are dropped.
    FollowFirst,
    /// All fragments are dropped, the first of a packet, too.
    Drop,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The packet passes.
    Permit,
    /// The packet passes and opens a session: packets of the same flow, in both directions, and ICMP errors about them pass from then on
    /// without asking the rules, for as long as the rules would still permit the first of them.
    #[serde(rename = "permit+reflect")]
    PermitReflect,
    /// The packet is dropped.
    Deny,
    /// As `deny`, but on the edge `rejected`, which can lead to an answer.
    Reject,
    /// The packet is counted, and the rules behind this one decide.
    Count,
}

/// Versions of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Family {
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
}

/// Parts of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fragment {
    /// Packets that are not fragments.
    None,
    /// The first fragment of a packet.
    First,
    /// All fragments but the first.
    Later,
    /// All fragments.
    Any,
}

/// A rule. It holds for packets for which all holds that it says.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// What it is called in counters. No two rules have the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// What becomes of packets for which it holds.
    pub(super) action: Action,
    /// The version of IP. Default: that of the prefixes, or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    family: Option<Family>,
    /// Sources, as `10.0.0.0/8` or `2001:db8::/32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Written<IpPrefix>>,
    /// Destinations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destination: Option<Written<IpPrefix>>,
    /// What IP carries, IPv6 behind its extension headers: `tcp`, `udp`, `icmp`, `icmp6`, `gre` and their like, or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Written<Protocol>>,
    /// Source ports, as `53` or `1024-65535`. Of protocols that have ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_port: Option<Written<Range<{ u16::MAX }>>>,
    /// Destination ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destination_port: Option<Written<Range<{ u16::MAX }>>>,
    /// Types of ICMP, as `8` or `0-3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    icmp_type: Option<Written<Range<255>>>,
    /// Codes of ICMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    icmp_code: Option<Written<Range<255>>>,
    /// Flags of TCP that are set, or with `!` are not: `syn !ack` begins a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_flags: Option<Written<TcpFlags>>,
    /// Whether it is a fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fragment: Option<Fragment>,
    /// The differentiated services code point, 0 to 63.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dscp: Option<u8>,
    /// The VLAN of the outermost tag, 1 to 4094; 0 is frames without a tag. Only where packets begin with an Ethernet header: `layer:
    /// ethernet` of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vlan: Option<u16>,
    /// The interface that has received the packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rx: Option<String>,
    /// The interface that the packet will leave by. Only behind the node that decides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tx: Option<String>,
}

/// A rule as it is compiled: for IPv4, for IPv6, or for both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parsed {
    pub(super) ip4: Option<Criteria<u32>>,
    pub(super) ip6: Option<Criteria<u128>>,
}

impl Rule {
    /// Checks what serde cannot.
    pub(super) fn parse(&self, interfaces: &[Interface]) -> Result<Parsed, ConfigError> {
        let others = self.others(interfaces)?;
        let family = self.family()?;
        let prefix = |prefix: &Option<Written<IpPrefix>>| prefix.as_ref().map(|written| written.value);
        let ip4 = |prefix| if let Some(IpPrefix::V4(prefix)) = prefix { prefix } else { Prefix::default() };
        let ip6 = |prefix| if let Some(IpPrefix::V6(prefix)) = prefix { prefix } else { Prefix::default() };
        let (source, destination) = (prefix(&self.source), prefix(&self.destination));
        Ok(Parsed {
            ip4: (family != Some(Family::Ip6)).then(|| Criteria { source: ip4(source), destination: ip4(destination), others }),
            ip6: (family != Some(Family::Ip4)).then(|| Criteria { source: ip6(source), destination: ip6(destination), others }),
        })
    }

    fn family(&self) -> Result<Option<Family>, ConfigError> {
        let of = |prefix: &Option<Written<IpPrefix>>| {
            prefix.as_ref().map(|written| if matches!(written.value, IpPrefix::V4(_)) { Family::Ip4 } else { Family::Ip6 })
        };
        let icmp = self.protocol.as_ref().and_then(|protocol| match protocol.value.0 {
            1 => Some(Family::Ip4),
            58 => Some(Family::Ip6),
            _ => None,
        });
        let mut family = self.family;
        for (key, says) in [("source", of(&self.source)), ("destination", of(&self.destination)), ("protocol", icmp)] {
            match (family, says) {
                (Some(family), Some(says)) if family != says => {
                    return Err(ConfigError::at(key, "this is of the other version of IP than the rest of the rule"));
                }
                _ => family = family.or(says),
            }
        }
        Ok(family)
    }

    fn others(&self, interfaces: &[Interface]) -> Result<Others, ConfigError> {
        let mut others = Others::default();
        let protocol = self.protocol.as_ref().map(|written| written.value);
        others.protocol = protocol.map(|protocol| protocol.0);
        let ports = [("source-port", &self.source_port), ("destination-port", &self.destination_port)];
        for ((key, range), of_rule) in ports.into_iter().zip([&mut others.source_ports, &mut others.destination_ports]) {
            let Some(range) = range else { continue };
            if !protocol.is_some_and(Protocol::has_ports) {
                return Err(ConfigError::at(
                    key,
                    "ports are of `tcp`, `udp`, `sctp`, `dccp` or `udplite`: say which as `protocol`",
                ));
            }
            *of_rule = range.value.0;
        }
        let types = [("icmp-type", &self.icmp_type), ("icmp-code", &self.icmp_code)];
        for ((key, range), of_rule) in types.into_iter().zip([&mut others.source_ports, &mut others.destination_ports]) {
            let Some(range) = range else { continue };
            if !protocol.is_some_and(Protocol::is_icmp) {
                return Err(ConfigError::at(key, "types and codes are of `icmp` or `icmp6`: say which as `protocol`"));
            }
            *of_rule = range.value.0;
        }
        if let Some(flags) = &self.tcp_flags {
            if protocol != Some(Protocol::TCP) {
                return Err(ConfigError::at("tcp-flags", "these are flags of TCP: say `protocol: tcp`"));
            }
            others.tcp_flags = flags.value.0;
        }
        let bit = |part: Part| 1u8 << part as u16;
        others.parts = match self.fragment {
            None => others.parts,
            Some(Fragment::None) => bit(Part::Whole),
            Some(Fragment::First) => bit(Part::First),
            Some(Fragment::Later) => bit(Part::Later),
            Some(Fragment::Any) => bit(Part::First) | bit(Part::Later),
        };
        if let Some(dscp) = self.dscp.filter(|dscp| *dscp > 63) {
            return Err(ConfigError::at("dscp", format!("a code point is 0 to 63, and not {dscp}")));
        }
        if let Some(vlan) = self.vlan.filter(|vlan| *vlan > 4094) {
            return Err(ConfigError::at("vlan", format!("a VLAN is 1 to 4094, or 0 for frames without a tag, and not {vlan}")));
        }
        (others.dscp, others.vlan) = (self.dscp, self.vlan);
        let find = |key: &str, name: &Option<String>| {
            let Some(name) = name else { return Ok(None) };
            let index = interfaces.iter().position(|interface| interface.name == *name);
            let names: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
            let unknown = || ConfigError::at(key, format!("unknown interface `{name}`, expected one of `{}`", names.join("`, `")));
            index.map(|index| Some(index as u16)).ok_or_else(unknown)
        };
        (others.rx, others.tx) = (find("rx", &self.rx)?, find("tx", &self.tx)?);
        Ok(others)
    }
}
