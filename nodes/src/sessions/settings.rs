//! What users may set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use swath_api::ConfigError;
use swath_api::units::Duration;

use super::state::{CLASSES, Class};

/// How long a session lasts without a packet, by what it is. Each from 1 s to 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Timeouts {
    /// TCP, before both sides have answered each other. Default: 4min, the least of RFC 5382 REQ-5.
    pub tcp_opening: Duration,
    /// TCP, established, or closed by one side. Default: 124min, the least of RFC 5382 REQ-5.
    pub tcp_established: Duration,
    /// TCP, closed by both sides; not prolonged by packets. Default: 4min, twice the maximum segment lifetime (RFC 5382 REQ-5).
    pub tcp_closing: Duration,
    /// TCP, after a reset; not prolonged by packets. Default: 4min (RFC 7857 §2.2).
    pub tcp_reset: Duration,
    /// UDP, without an answer yet. Default: 2min, the least of RFC 4787 REQ-5.
    pub udp_unreplied: Duration,
    /// UDP, answered. Default: 5min, as RFC 4787 REQ-5 recommends.
    pub udp: Duration,
    /// ICMP queries. Default: 60s, the least of RFC 5508 REQ-2.
    pub icmp: Duration,
    /// Other protocols. Default: 10min, as the Linux kernel has it.
    pub other: Duration,
}

const SECOND: u64 = 1_000_000_000;

impl Default for Timeouts {
    fn default() -> Timeouts {
        let seconds = |seconds: u64| Duration::from_nanoseconds(seconds * SECOND);
        Timeouts {
            tcp_opening: seconds(240),
            tcp_established: seconds(7440),
            tcp_closing: seconds(240),
            tcp_reset: seconds(240),
            udp_unreplied: seconds(120),
            udp: seconds(300),
            icmp: seconds(60),
            other: seconds(600),
        }
    }
}

impl Timeouts {
    /// Whether each is in its range. `path` is the setting that they stand under.
    ///
    /// # Errors
    /// Which is not.
    pub fn check(&self, path: &str) -> Result<(), ConfigError> {
        let named = [
            ("tcp-opening", self.tcp_opening),
            ("tcp-established", self.tcp_established),
            ("tcp-closing", self.tcp_closing),
            ("tcp-reset", self.tcp_reset),
            ("udp-unreplied", self.udp_unreplied),
            ("udp", self.udp),
            ("icmp", self.icmp),
            ("other", self.other),
        ];
        match named.iter().find(|(_, time)| !(SECOND..=30 * 86_400 * SECOND).contains(&time.nanoseconds())) {
            Some((name, time)) => Err(ConfigError::at(format!("{path}.{name}"), format!("`{time}` is not between `1s` and `30d`"))),
            None => Ok(()),
        }
    }

    pub(super) fn by_class(&self) -> [Duration; CLASSES] {
        let mut times = [Duration::default(); CLASSES];
        times[Class::TcpReset as usize] = self.tcp_reset;
        times[Class::TcpClosing as usize] = self.tcp_closing;
        times[Class::TcpOpening as usize] = self.tcp_opening;
        times[Class::UdpUnreplied as usize] = self.udp_unreplied;
        times[Class::IcmpQuery as usize] = self.icmp;
        times[Class::Other as usize] = self.other;
        times[Class::Udp as usize] = self.udp;
        times[Class::TcpEstablished as usize] = self.tcp_established;
        times
    }
}

/// What a store is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most sessions, at least 1 and at most 2^28.
    pub capacity: u32,
    /// How the two directions of a session are known.
    pub pairing: Pairing,
    /// Most sessions whose first packet came from one address of a zone; `None` for any number.
    pub per_source: Option<u32>,
    /// Whether TCP sessions are picked up in the middle: by an ACK that belongs to none.
    pub pickup: bool,
    /// Whether a session that is not established TCP gives way to a new one when there is no room.
    pub make_room: bool,
    /// How long sessions last.
    pub timeouts: Timeouts,
}

impl Settings {
    /// So many sessions, and all else as it is by default: no limit per source, no pick-up, and room is made.
    pub fn new(capacity: u32, pairing: Pairing) -> Settings {
        Settings { capacity, pairing, per_source: None, pickup: false, make_room: true, timeouts: Timeouts::default() }
    }
}

/// How the two directions of a session are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// The key of one is that of the other reversed: one entry of the index.
    Symmetric,
    /// Each has a key of its own, as with address translation: two entries.
    Translated,
}
