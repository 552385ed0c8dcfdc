//! What the control side may ask of a bridge.

use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::prelude::*;
use swath_api::wire::MacAddr;

use super::stations::Station;
use super::{Bridge, Counts, StaticStation, key};

/// Entries of one answer.
pub(super) const PAGE: usize = 256;

/// What the control side may ask, while workers forward.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Adds a static station, in the place of what was known of it.
    Add(StaticStation),
    /// Forgets a station, static or learnt.
    Remove {
        /// Its hardware address.
        mac: MacAddr,
        /// Its VLAN.
        #[serde(default)]
        vlan: u16,
    },
    /// Forgets all learnt stations: those of an interface, of a VLAN, or all.
    Flush {
        /// Only those behind this interface.
        #[serde(default)]
        interface: Option<String>,
        /// Only those of this VLAN.
        #[serde(default)]
        vlan: Option<u16>,
    },
    /// Lists stations, about 256 at a time.
    Show {
        /// Where to go on: `next` of the answer before.
        #[serde(default)]
        from: usize,
        /// Only those behind this interface.
        #[serde(default)]
        interface: Option<String>,
    },
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Done.
    Done {},
    /// What a flush has done.
    Flushed {
        /// Stations forgotten.
        stations: usize,
    },
    /// Stations, and what has been counted.
    Stations {
        /// By address and VLAN.
        stations: Vec<Shown>,
        /// Where to go on, unless this was all.
        next: Option<usize>,
        /// Entries in use, those included that are too old and not swept yet.
        used: u32,
        /// Entries that there can be.
        capacity: u32,
        /// Stations learnt, from the start.
        learnt: u64,
        /// Stations that were heard at another interface than before.
        moved: u64,
        /// Frames whose sender was not learnt because all entries were in use.
        refused: u64,
    },
}

/// A station as `show` tells it.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    mac: MacAddr,
    vlan: u16,
    interface: String,
    /// Seconds since it was heard last; none of a static one.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u64>,
}

impl Bridge {
    pub(super) fn carry_out(&self, command: Command) -> Result<Reply, ConfigError> {
        let member = |name: Option<String>| name.map(|name| self.member("interface", &name)).transpose();
        match command {
            Command::Add(station) => self.add("", &station).map(|()| Reply::Done {}),
            Command::Remove { mac, vlan } => match self.stations.remove(key("vlan", mac, vlan)?, self.now()) {
                true => Ok(Reply::Done {}),
                false => Err(ConfigError::at("mac", format!("{mac} is not known in VLAN {vlan}"))),
            },
            Command::Flush { interface, vlan } => {
                let interface = member(interface)?;
                let forget = |station: Station| {
                    station.seen.is_some()
                        && interface.is_none_or(|port| port == station.port)
                        && vlan.is_none_or(|vlan| vlan == station.key.vlan())
                };
                Ok(Reply::Flushed { stations: self.stations.forget(0..self.stations.buckets(), forget) })
            }
            Command::Show { from, interface } => Ok(self.show(from, member(interface)?)),
        }
    }

    fn show(&self, from: usize, interface: Option<u16>) -> Reply {
        let now = self.now();
        let (mut shown, mut next) = (Vec::new(), from);
        while next < self.stations.buckets() && shown.len() < PAGE {
            let stations = self.stations.bucket(next, now).filter(|station| interface.is_none_or(|port| port == station.port));
            shown.extend(stations.map(|Station { key, port, seen }| Shown {
                mac: key.mac(),
                vlan: key.vlan(),
                interface: self.name(port).into(),
                age: seen.map(|seen| seen.seconds_before(now)),
            }));
            next += 1;
        }
        shown.sort();
        let sum = |count: fn(&Counts) -> &AtomicU64| self.workers.iter().map(|counts| count(counts).load(Ordering::Relaxed)).sum();
        Reply::Stations {
            stations: shown,
            next: (next < self.stations.buckets()).then_some(next),
            used: self.stations.used(),
            capacity: self.stations.capacity(),
            learnt: sum(|counts| &counts.learnt),
            moved: sum(|counts| &counts.moved),
            refused: sum(|counts| &counts.refused),
        }
    }
}
