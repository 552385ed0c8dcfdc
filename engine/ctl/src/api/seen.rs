//! Packets that were looked at, as data: what clients ask for, and what they are told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which packets to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Look {
    /// Nodes, edges and drop reasons: `lookup`, `lookup.no-route`, `lan-*`. Of drops: all of them, if there is none.
    #[serde(default)]
    pub at: Vec<String>,
    /// Of these packets, those for which this holds: an expression of pcap-filter(7), such as `udp port 53`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// So many packets; 0 for as many as come.
    #[serde(default)]
    pub count: u64,
    /// The first bytes of each that are told; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snap: Option<usize>,
}

/// Which packets to follow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TraceOrder {
    /// Those that come in by this interface; without it, by any.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Of these packets, those for which this holds when they come in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// So many packets; 0 for as many as come.
    #[serde(default)]
    pub count: u64,
}

/// A line of what is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LookLine {
    /// From here on nothing is missed but what is told as missed.
    Begins,
    /// A packet.
    Seen(Box<Seen>),
    /// So many packets came faster than they were read, and were not looked at.
    Missed(u64),
}

/// A packet where it has left a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// When: RFC 3339, UTC, to the nanosecond. It is the time of the round in which its worker had it.
    pub time: String,
    /// Of a packet that is followed: which it is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<u32>,
    /// And how many nodes it had passed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<u32>,
    /// The worker that had it.
    pub worker: usize,
    /// The node.
    pub node: String,
    /// Its kind.
    pub kind: String,
    /// The edge or the drop reason.
    pub edge: String,
    /// What becomes of it there.
    pub becomes: Becomes,
    /// The node that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What the node says of its decision: the route, the rule, the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of one that is dropped: what the reason means, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// The interface that it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<String>,
    /// The interface that it is to leave by, if that is known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<String>,
    /// What its bytes start with: `ethernet`, `ip4`, `ip6`, `arp`, `vlan` or a word of a plugin; empty if that is not known.
    pub layer: String,
    /// Its length in bytes; 0 if there was no buffer for it.
    pub length: u16,
    /// Its bytes in hexadecimal, the first of them.
    pub bytes: String,
}

/// What becomes of a packet on an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Becomes {
    /// It goes on to another node.
    Goes,
    /// It is handed to a driver, which may refuse it: then there is another line.
    Sent,
    /// It is lost.
    Dropped,
    /// The node keeps it for later.
    Held,
    /// It has done its work.
    Consumed,
    /// Of a packet that is not real: the node cannot say without doing it.
    NotSimulated,
}

/// A packet that is not real.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExplainOrder {
    /// The interface that it would come in by.
    #[serde(rename = "in")]
    pub interface: String,
    /// The Ethernet frame in hexadecimal, without its check sequence.
    pub frame: String,
}

/// What would become of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Explained {
    /// Where it would leave nodes, one after the other.
    pub steps: Vec<Seen>,
}

/// Bytes in hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

/// Bytes from hexadecimal. `None` if it is none.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<u8>>>();
    bytes.filter(|_| rest.is_empty())
}
