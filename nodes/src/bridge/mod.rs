//! `bridge`: which stations a learning bridge knows, and at which of its interfaces (IEEE 802.1D-2004 §7.8 and §7.9).
//!
//! Each VLAN is learnt on its own: a station in two VLANs has an entry in each. The VLAN is the identifier of a frame's outermost
//! tag, 802.1Q or 802.1ad, and 0 without a tag; tags are looked at and never changed.

mod control;
mod header;
mod stations;
#[cfg(test)]
mod tests;
mod time;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashSet;
use swath_api::prelude::*;
use swath_api::units::Duration;
use swath_api::wire::MacAddr;
use swath_api::{Interface, Str};

use stations::{Heard, Stations};

pub use control::{Command, Reply, Shown};
pub use header::{Header, PAUSE, is_group, is_reserved};
pub use stations::Key;
pub use time::Moment;

/// What IEEE 802.1D-2004 §7.9.2 recommends, and its upper bound. The lower one there is 10 s; less is of use in tests.
const AGEING: Duration = Duration::from_nanoseconds(300 * SECOND);
const AGEING_MIN: Duration = Duration::from_nanoseconds(SECOND);
const AGEING_MAX: Duration = Duration::from_nanoseconds(1_000_000 * SECOND);
const SECOND: u64 = 1_000_000_000;
const ENTRIES: u32 = 16_384;
const ENTRIES_MAX: u32 = 1 << 20;
/// Buckets that one tick sweeps: 16 KiB of the table.
const SLICE: usize = 256;

/// The table.
pub struct Bridge {
    names: Vec<String>,
    members: Vec<Member>,
    // By interface.
    mtus: Vec<Option<u16>>,
    own: Vec<u64>,
    learn: bool,
    // Those of the bridge before, if there was one of the same size.
    stations: Arc<Stations>,
    ageing: u32,
    // Those of the settings.
    fixed: Vec<(Key, u16)>,
    workers: Arc<[Counts]>,
    // Where the next tick goes on, and the time of the last one.
    swept: AtomicUsize,
    clock: AtomicU32,
    // Commands one after the other.
    control: Mutex<()>,
}

/// An interface of the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its index.
    pub interface: u16,
    /// What it carries behind an Ethernet header and its VLAN tags, in bytes.
    pub mtu: u16,
}

/// What there is to learn of a frame's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learns {
    /// Nothing: it is known there, or static, or is not to be learnt.
    Nothing,
    /// It is not known yet.
    New,
    /// It was known at another interface.
    Moves(u16),
    /// It is not known, and there is no room.
    Full,
}

/// What one worker has counted; it alone writes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    learnt: AtomicU64,
    moved: AtomicU64,
    refused: AtomicU64,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The interfaces between which frames are forwarded, two at least. Default: all, if it is the only bridge.
    #[serde(default)]
    interfaces: Option<Vec<String>>,
    /// How many stations it can know, 1 to 1048576; those above are not learnt, and frames to them are flooded. Each takes 64
    /// bytes of memory, and for that their number is rounded up to a power of two.
    #[serde(default = "default_entries")]
    entries: u32,
    /// How long a station that is silent stays known, `1s` to `1000000s`. Default: `300s`, as IEEE 802.1D recommends.
    #[serde(default = "default_ageing")]
    ageing: Duration,
    /// Whether it learns where stations are. If not, it knows those of `static` and floods all other frames.
    #[serde(default = "default_learn")]
    learn: bool,
    /// Stations that are known from the start, and neither move nor age.
    #[serde(default, rename = "static")]
    stations: Vec<StaticStation>,
}

fn default_entries() -> u32 {
    ENTRIES
}

fn default_ageing() -> Duration {
    AGEING
}

fn default_learn() -> bool {
    true
}

/// A station whose place is known.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticStation {
    /// Its hardware address.
    #[schemars(with = "String")]
    mac: MacAddr,
    /// The interface that it is behind.
    interface: String,
    /// Its VLAN, 1 to 4094; or 0, which is frames without a tag.
    #[serde(default)]
    vlan: u16,
}

impl Bridge {
    /// How often to call [`Bridge::sweep`].
    pub const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

    /// Its interfaces, in the order of the settings.
    #[inline]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What an interface carries, in bytes; `None` if it is not one of the bridge's.
    #[inline]
    pub fn mtu(&self, interface: u16) -> Option<u16> {
        self.mtus.get(usize::from(interface)).copied().flatten()
    }

    /// Whether an address (as in a [`Key`], of VLAN 0) is that of one of its interfaces.
    pub fn is_own(&self, address: u64) -> bool {
        self.own.contains(&address)
    }

    /// Has the memory fetched that a look-up will read.
    #[inline]
    pub fn prefetch(&self, key: Key) {
        self.stations.prefetch(key);
    }

    /// Where a station is.
    #[inline]
    pub fn port(&self, key: Key, now: Moment) -> Option<u16> {
        self.stations.port(key, now)
    }

    /// Takes note that `worker` has heard a station.
    #[inline]
    pub fn hear(&self, worker: u32, key: Key, interface: u16, now: Moment) {
        if !self.learn {
            return;
        }
        // What claims to be one of the bridge's interfaces is a loop, or lies.
        let heard = self.stations.hear(key, interface, now, || !self.is_own(key.address()));
        if heard != Heard::Known {
            self.count(worker, heard);
        }
    }

    /// Whether a station is known at an interface once it was heard there now.
    pub fn would_learn(&self, key: Key, interface: u16, now: Moment) -> Learns {
        match self.stations.known(key, now) {
            _ if !self.learn => Learns::Nothing,
            Some(station) if station.port == interface || station.seen.is_none() => Learns::Nothing,
            Some(station) => Learns::Moves(station.port),
            None if self.is_own(key.address()) => Learns::Nothing,
            None if self.stations.used() >= self.stations.capacity() => Learns::Full,
            None => Learns::New,
        }
    }

    /// Who a key is, in words.
    pub fn tell(&self, key: Key) -> impl std::fmt::Display {
        struct Told(Key);
        impl std::fmt::Display for Told {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.0.vlan() {
                    0 => write!(f, "{}", self.0.mac()),
                    vlan => write!(f, "{} in VLAN {vlan}", self.0.mac()),
                }
            }
        }
        Told(key)
    }

    #[cold]
    fn count(&self, worker: u32, heard: Heard) {
        let Some(counts) = self.workers.get(worker as usize) else { return };
        let counter = match heard {
            Heard::New => &counts.learnt,
            Heard::Moved => &counts.moved,
            Heard::Full => &counts.refused,
            Heard::Known => return,
        };
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Forgets stations of the next slice of the table that were silent for too long.
    pub fn sweep(&self, now: Moment) {
        self.clock.store(now.0, Ordering::Relaxed);
        let buckets = self.stations.buckets();
        let first = self.swept.fetch_add(SLICE, Ordering::Relaxed) % buckets;
        self.stations.sweep(first..(first + SLICE).min(buckets), now);
    }

    fn add(&self, path: &str, station: &StaticStation) -> Result<(), ConfigError> {
        let (key, interface) = self.check(path, station)?;
        self.fix(key, interface)
    }

    fn fix(&self, key: Key, interface: u16) -> Result<(), ConfigError> {
        match self.stations.fix(key, interface) {
            true => Ok(()),
            false => Err(ConfigError::new(format!("all {} entries are in use ('entries')", self.stations.capacity()))),
        }
    }

    /// Where a station is that is set.
    fn check(&self, path: &str, station: &StaticStation) -> Result<(Key, u16), ConfigError> {
        let field = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        let StaticStation { mac, interface, vlan } = station;
        let interface = self.member(&field("interface"), interface)?;
        let key = key(&field("vlan"), *mac, *vlan)?;
        if mac.is_group() || *mac == MacAddr::ZERO {
            return Err(ConfigError::at(field("mac"), format!("{mac} is not the address of one station")));
        }
        if self.is_own(key.address()) {
            return Err(ConfigError::at(field("mac"), format!("{mac} is the address of one of the bridge's own interfaces")));
        }
        Ok((key, interface))
    }

    /// The index of the member that the setting at `path` names.
    fn member(&self, path: &str, name: &str) -> Result<u16, ConfigError> {
        let known = self.members.iter().find(|member| self.name(member.interface) == name);
        known.map(|member| member.interface).ok_or_else(|| {
            let names: Vec<&str> = self.members.iter().map(|member| self.name(member.interface)).collect();
            ConfigError::at(path, format!("the bridge has no interface `{name}`; it has `{}`", names.join("`, `")))
        })
    }

    /// The time, as the data path has told it last.
    fn now(&self) -> Moment {
        Moment(self.clock.load(Ordering::Relaxed))
    }

    /// The name of an interface.
    pub fn name(&self, interface: u16) -> &str {
        self.names.get(usize::from(interface)).map_or("", String::as_str)
    }
}

impl Key {
    /// The key of an address, which is the low 48 bits of a little-endian load, in a VLAN.
    #[inline]
    pub fn new(address: u64, vlan: u16) -> Key {
        Key(u64::from(vlan) << 48 | address)
    }

    /// The address alone.
    #[inline]
    pub fn address(self) -> u64 {
        self.0 & 0xffff_ffff_ffff
    }

    fn mac(self) -> MacAddr {
        let [a, b, c, d, e, f, _, _] = self.0.to_le_bytes();
        MacAddr::new([a, b, c, d, e, f])
    }

    fn vlan(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

fn key(path: &str, mac: MacAddr, vlan: u16) -> Result<Key, ConfigError> {
    if vlan > 4094 {
        return Err(ConfigError::at(path, format!("a VLAN is 1 to 4094, or 0 for frames without a tag, and not {vlan}")));
    }
    Ok(Key::new(address(mac), vlan))
}

fn address(mac: MacAddr) -> u64 {
    let [a, b, c, d, e, f] = mac.octets();
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

impl Table for Bridge {
    const INFO: TableInfo =
        TableInfo::new("bridge", "The interfaces of a learning bridge, and which stations are behind each of them.")
            .carries("stations")
            .reads(&[const { Str::new("show") }])
            .example(include_str!("../../examples/bridge.yaml"));
    type Config = Config;
    type Shard = ();
    type Command = Command;
    type Reply = Reply;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<Bridge, ConfigError> {
        let Config { interfaces: names, entries, ageing, learn, stations } = config;
        if !(1..=ENTRIES_MAX).contains(&entries) {
            return Err(ConfigError::at("entries", format!("a bridge knows 1 to {ENTRIES_MAX} stations, and not {entries}")));
        }
        if !(AGEING_MIN..=AGEING_MAX).contains(&ageing) {
            let text = format!("stations age in `{AGEING_MIN}` to `1000000s`, and not in `{ageing}`");
            return Err(ConfigError::at("ageing", text));
        }
        let served = setup.serves("interfaces", names.as_deref())?;
        if let Some(second) = (1..served.len()).find(|at| served[..*at].contains(&served[*at])) {
            return Err(ConfigError::at(format!("interfaces[{second}]"), "this interface is named twice"));
        }
        if served.len() < 2 {
            let path = if names.is_some() { "interfaces" } else { "" };
            return Err(ConfigError::at(path, "a bridge has two interfaces at least"));
        }
        let all = setup.interfaces();
        let of = |index: &u16| &all[usize::from(*index)];
        let mut mtus = vec![None; all.len()];
        served.iter().for_each(|index| mtus[usize::from(*index)] = Some(of(index).mtu));
        let seed = RandomState::new().hash_one(setup.name());
        let old = setup.old::<Bridge>().filter(|_| setup.in_use());
        let known = old.as_ref().filter(|old| old.stations.capacity() == entries).map(|old| Arc::clone(&old.stations));
        let mut bridge = Bridge {
            names: all.iter().map(|interface: &Interface| interface.name.clone()).collect(),
            members: served.iter().map(|index| Member { interface: *index, mtu: of(index).mtu }).collect(),
            mtus,
            own: served.iter().map(|index| address(of(index).mac)).collect(),
            learn,
            stations: known.unwrap_or_else(|| Arc::new(Stations::new(entries, Moment::units(ageing), seed))),
            ageing: Moment::units(ageing),
            fixed: Vec::new(),
            workers: match &old {
                Some(old) => Arc::clone(&old.workers),
                None => (0..setup.workers()).map(|_| Counts::default()).collect(),
            },
            swept: AtomicUsize::new(0),
            clock: AtomicU32::new(old.as_ref().map_or(0, |old| old.clock.load(Ordering::Relaxed))),
            control: Mutex::new(()),
        };
        for (index, station) in stations.iter().enumerate() {
            let path = format!("static[{index}]");
            if stations[..index].iter().any(|other| (other.mac, other.vlan) == (station.mac, station.vlan)) {
                return Err(ConfigError::at(path, format!("{} is named twice", station.mac)));
            }
            let (key, interface) = bridge.check(&path, station)?;
            if old.is_none() {
                bridge.fix(key, interface)?;
            }
            bridge.fixed.push((key, interface));
        }
        Ok(bridge)
    }

    fn succeed(&self, old: &Bridge) {
        let now = old.now();
        if !Arc::ptr_eq(&self.stations, &old.stations) {
            self.stations.take_in(&old.stations, now);
        }
        self.stations.set_ageing(self.ageing);
        let fixed: HashSet<u64> = self.fixed.iter().map(|(key, _)| key.0).collect();
        old.fixed.iter().filter(|(key, _)| !fixed.contains(&key.0)).for_each(|(key, _)| _ = self.stations.remove(*key, now));
        let is_gone = |port: u16| !self.members.iter().any(|member| member.interface == port);
        self.stations.forget(0..self.stations.buckets(), |station| is_gone(station.port));
        for (key, interface) in &self.fixed {
            // Without room frames to it are flooded.
            let _ = self.fix(*key, *interface);
        }
    }

    fn shard(&self, _: u32) {}

    fn figures(&self) -> Vec<Figure> {
        let sum = |count: fn(&Counts) -> &AtomicU64| self.workers.iter().map(|counts| count(counts).load(Ordering::Relaxed)).sum();
        let known = "Stations that a bridge knows, those included that are silent for too long and not forgotten yet.";
        let refused = "Frames whose sender a bridge has not learnt because all its entries were in use.";
        vec![
            Figure::gauge("bridge_stations", known, self.stations.used().into()),
            Figure::gauge("bridge_stations_capacity", "Stations that a bridge can know.", self.stations.capacity().into()),
            Figure::total("bridge_learnt_stations_total", "Stations that a bridge has learnt.", sum(|counts| &counts.learnt)),
            Figure::total(
                "bridge_moved_stations_total",
                "Stations heard at another interface than before.",
                sum(|counts| &counts.moved),
            ),
            Figure::total("bridge_refused_stations_total", refused, sum(|counts| &counts.refused)),
        ]
    }

    fn command(&self, command: Command) -> Result<Reply, ConfigError> {
        let _one_at_a_time = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        self.carry_out(command)
    }
}
