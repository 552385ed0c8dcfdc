//! What a graph says of a table of neighbours, and what the control side may ask and hears.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;

use swath_api::prelude::*;
use swath_api::units::{Duration, PacketRate};
use swath_api::wire::MacAddr;

use crate::fib4::Prefix4;

use super::SECOND;
use super::resolve::Times;

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The interfaces whose neighbours it has. Default: all, if it is the only table of its kind.
    #[serde(default)]
    pub(super) interfaces: Option<Vec<String>>,
    /// Neighbours that are known from the start and never expire.
    #[serde(default, rename = "static")]
    pub(super) entries: Vec<Neighbour>,
    /// Addresses that are nobody's on the link, and that ARP requests are answered for as for the interface's own: those of a NAT's pool
    /// (RFC 1027).
    #[serde(default)]
    pub(super) proxy: Vec<Proxy>,
    /// The most neighbours of one interface that are taken in by themselves, 1 to 32768; those that do not answer count, too. The last
    /// eighth is for neighbours that introduce themselves, so that a scan of empty addresses cannot keep them out. Default: 4096.
    #[serde(default = "default_limit")]
    pub(super) limit: u32,
    /// How long a neighbour is believed to be where it was heard last, `100ms` to `1d`. After that the next packet to it still goes there,
    /// and has it asked. Default: `30s`.
    #[serde(default = "default_reachable_time")]
    pub(super) reachable_time: Duration,
    /// How long a neighbour is kept after `reachable-time` while there are no packets for it, up to `1d`. Default: `60s`.
    #[serde(default = "default_stale_time")]
    pub(super) stale_time: Duration,
    /// How many requests a neighbour is sent before it is given up, 1 to 100. Default: 3.
    #[serde(default = "default_retries")]
    pub(super) retries: u8,
    /// How long to wait for an answer before the next request, `10ms` to `1min`. Default: `1s`, the least that RFC 1122 §2.3.2.1 wants.
    #[serde(default = "default_retry_interval")]
    pub(super) retry_interval: Duration,
    /// How long packets to a neighbour that did not answer fail at once, before it is asked for again: `100ms` to `1h`. Default: `3s`.
    #[serde(default = "default_failed_time")]
    pub(super) failed_time: Duration,
    /// The most requests in a second, to all neighbours together; a tenth of them may be sent at once. Those above wait their turn.
    /// Default: `1kpps`.
    #[serde(default = "default_requests")]
    pub(super) requests: PacketRate,
}

fn default_limit() -> u32 {
    4096
}

fn default_reachable_time() -> Duration {
    Duration::from_nanoseconds(30 * SECOND)
}

fn default_stale_time() -> Duration {
    Duration::from_nanoseconds(60 * SECOND)
}

fn default_retries() -> u8 {
    3
}

fn default_retry_interval() -> Duration {
    Duration::from_nanoseconds(SECOND)
}

fn default_failed_time() -> Duration {
    Duration::from_nanoseconds(3 * SECOND)
}

fn default_requests() -> PacketRate {
    PacketRate::from_packets_per_second(1000)
}

impl Config {
    pub(super) fn times(&self) -> Result<Times, ConfigError> {
        let between = |path: &str, duration: Duration, least: &str, most: &str| {
            let parse = |text: &str| text.parse::<Duration>().map_or(0, Duration::nanoseconds);
            let nanoseconds = duration.nanoseconds();
            let fits = (parse(least)..=parse(most)).contains(&nanoseconds);
            fits.then_some(nanoseconds)
                .ok_or_else(|| ConfigError::at(path, format!("`{duration}` is not in `{least}` to `{most}`")))
        };
        let rate = self.requests.packets_per_second();
        if rate == 0 {
            return Err(ConfigError::at("requests", "without requests no neighbour is found: at least `1pps`"));
        }
        if !(1..=100).contains(&self.retries) {
            return Err(ConfigError::at("retries", format!("`{}` is not in 1 to 100", self.retries)));
        }
        let gap = (SECOND / rate).max(1);
        Ok(Times {
            reachable: between("reachable-time", self.reachable_time, "100ms", "1d")?,
            stale: between("stale-time", self.stale_time, "0ns", "1d")?,
            failed: between("failed-time", self.failed_time, "100ms", "1h")?,
            retry: between("retry-interval", self.retry_interval, "10ms", "1min")?,
            retries: self.retries.into(),
            gap,
            burst: gap * (rate / 10).saturating_sub(1),
            next: AtomicU64::new(0),
        })
    }
}

/// One neighbour.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Its address.
    pub(super) address: Ipv4Addr,
    /// Its hardware address.
    pub(super) mac: MacAddr,
    /// The interface that it is reached over. Default: the one whose subnet has the address.
    #[serde(default)]
    pub(super) interface: Option<String>,
}

/// Addresses that are answered for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Proxy {
    /// The interface that the requests come in by.
    pub(super) interface: String,
    /// The addresses.
    pub(super) prefixes: Vec<Prefix4>,
}

/// What the control side may ask, while workers forward.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Adds a static neighbour, in the place of what was known of it.
    Add(Neighbour),
    /// Forgets a neighbour, static or learnt.
    Remove {
        /// Its address.
        address: Ipv4Addr,
        /// The interface that it is reached over. Default: the one whose subnet has the address.
        #[serde(default)]
        interface: Option<String>,
    },
    /// Forgets all neighbours that are not static: those of an interface, or all.
    Flush {
        /// Only those of this interface.
        #[serde(default)]
        interface: Option<String>,
    },
    /// Lists all neighbours.
    Show {},
}

/// The answer: what there is after the command.
#[derive(Debug, Serialize)]
pub struct Reply {
    pub(super) neighbours: Vec<Shown>,
    /// How many were learnt, and learnt again after they had been forgotten.
    pub(super) learnt: u64,
    /// How often one had another hardware address.
    pub(super) moved: u64,
    /// How often one was not taken in for want of room.
    pub(super) refused: u64,
}

/// A neighbour.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Shown {
    pub(super) interface: String,
    pub(super) address: Ipv4Addr,
    /// None while it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mac: Option<MacAddr>,
    pub(super) state: &'static str,
    /// Seconds since it was confirmed last; none of one that is static or not resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age: Option<u64>,
}
