//! `neighbours`: who is reached over which interface by which hardware address, and the adjacencies that come of it.
//!
//! An *adjacency* is what a packet to one next hop gets on its way out: an Ethernet header, an interface, an MTU. Look-ups answer with
//! an index of one ([`Lane::adj`](swath_api::Lane)); `ip4-rewrite` reads it here. Several forwarding tables can share one table of
//! neighbours, and then share their adjacencies.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use hashbrown::{HashMap, HashSet};
use swath_api::prelude::*;
use swath_api::wire::{EtherType, MacAddr};
use swath_api::{EthRewrite, Interface};

use crate::fib4::Prefix4;

/// The table.
pub struct Neighbours {
    interfaces: Arc<[Interface]>,
    served: Vec<u16>,
    subnets: Subnets,
    state: Mutex<State>,
    published: ArcSwap<Adjacencies>,
    // Raised after each publication, so that a worker's sweep costs one load when nothing has changed.
    version: AtomicU64,
}

/// What workers read: a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Adjacencies {
    rewrites: Vec<EthRewrite>,
    // By interface and address. The hasher's seed is secret: the keys come from packets.
    hosts: HashMap<(u16, u32), u32>,
}

/// A worker's view of the table, refreshed once per sweep.
#[derive(Debug)]
pub struct Shard {
    version: u64,
    snapshot: Arc<Adjacencies>,
}

impl Shard {
    /// All adjacencies, by index. The first is nobody's, and never ready.
    #[inline]
    pub fn adjacencies(&self) -> &[EthRewrite] {
        &self.snapshot.rewrites
    }

    /// The adjacency of a neighbour on the subnet of an interface, if it is known.
    #[inline]
    pub fn host(&self, interface: u16, address: u32) -> Option<u32> {
        self.snapshot.hosts.get(&(interface, address)).copied()
    }
}

#[derive(Default)]
struct State {
    current: Adjacencies,
    // By adjacency.
    entries: BTreeMap<u32, Entry>,
    // Snapshots that a worker may still read. The last reference is dropped here, and never on a worker.
    retired: Vec<Arc<Adjacencies>>,
}

#[derive(Debug, Clone, Serialize)]
struct Entry {
    interface: String,
    address: Ipv4Addr,
    mac: MacAddr,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The interfaces whose neighbours it has. Default: all, if it is the only table of its kind.
    #[serde(default)]
    interfaces: Option<Vec<String>>,
    /// Neighbours that are known from the start and never expire.
    #[serde(default, rename = "static")]
    entries: Vec<Neighbour>,
}

/// One neighbour.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Its address.
    address: Ipv4Addr,
    /// Its hardware address.
    mac: MacAddr,
    /// The interface that it is reached over. Default: the one whose subnet has the address.
    #[serde(default)]
    interface: Option<String>,
}

/// What the control side may ask.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Adds a neighbour, or changes its hardware address.
    Add(Neighbour),
    /// Lists all neighbours.
    Show {},
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Reply {
    neighbours: Vec<Entry>,
}

impl Neighbours {
    /// Opens the table for changes, which workers see when all are made.
    pub fn edit(&self) -> Edit<'_> {
        Edit { table: self, state: self.state.lock().unwrap_or_else(PoisonError::into_inner), changed: false }
    }

    /// The interface on whose subnet an address lies; of several the one with the longest prefix.
    pub fn interface_of(&self, address: Ipv4Addr) -> Option<u16> {
        self.subnets.interface_of(u32::from(address))
    }

    /// Whether an address is one of the interfaces' own.
    pub fn is_own(&self, address: Ipv4Addr) -> bool {
        self.subnets.own.contains(&u32::from(address))
    }

    /// All interfaces, by index.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn add(&self, edit: &mut Edit<'_>, neighbour: &Neighbour) -> Result<(), ConfigError> {
        let Neighbour { address, mac, interface } = neighbour;
        let interface = match interface {
            Some(name) => {
                let names = self.interfaces.iter().map(|interface| interface.name.as_str());
                find_served(names, &self.served, name)?
            }
            None => self.interface_of(*address).ok_or_else(|| ConfigError::off_subnet("address", *address))?,
        };
        if self.is_own(*address) {
            return Err(ConfigError::at("address", format!("`{address}` is the router's own address: a neighbour has another")));
        }
        if mac.is_group() {
            return Err(ConfigError::at("mac", format!("`{mac}` is a group address, and not that of one neighbour")));
        }
        let own = &self.interfaces[usize::from(interface)];
        let index = edit.adjacency(interface, neighbour.address);
        edit.changed = true;
        let rewrite = &mut edit.state.current.rewrites[index as usize];
        rewrite.header[..6].copy_from_slice(&neighbour.mac.octets());
        rewrite.header[6..12].copy_from_slice(&own.mac.octets());
        rewrite.header[12..].copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
        rewrite.ready = 1;
        let entry = Entry { interface: own.name.clone(), address: neighbour.address, mac: neighbour.mac };
        edit.state.entries.insert(index, entry);
        Ok(())
    }
}

/// The IPv4 subnets of the interfaces that a table serves.
#[derive(Debug, Default)]
struct Subnets {
    /// By prefix.
    interfaces: HashMap<Prefix4, u16>,
    /// The lengths of the prefixes, longest first.
    lengths: BTreeSet<Reverse<u8>>,
    own: HashSet<u32>,
}

impl Subnets {
    fn of(interfaces: &[Interface], served: &[u16]) -> Subnets {
        let mut subnets = Subnets::default();
        for index in served {
            for (address, len) in &interfaces[usize::from(*index)].addresses {
                let IpAddr::V4(address) = address else { continue };
                subnets.own.insert(u32::from(*address));
                subnets.lengths.insert(Reverse(*len));
                subnets.interfaces.insert(Prefix4::containing(u32::from(*address), *len), *index);
            }
        }
        subnets
    }

    fn interface_of(&self, address: u32) -> Option<u16> {
        let prefixes = self.lengths.iter().map(|Reverse(len)| Prefix4::containing(address, *len));
        prefixes.into_iter().find_map(|prefix| self.interfaces.get(&prefix).copied())
    }
}

/// The index of the interface that the setting `interface` names, out of all `names`; a table knows only those that it serves.
pub(crate) fn find_served<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    served: &[u16],
    name: &str,
) -> Result<u16, ConfigError> {
    match names.clone().position(|known| known == name) {
        Some(index) if served.contains(&(index as u16)) => Ok(index as u16),
        Some(_) => {
            let text = format!("this table does not serve the interface `{name}`: add it to its `interfaces`");
            Err(ConfigError::at("interface", text))
        }
        None => Err(ConfigError::unknown_interface("interface", name, names)),
    }
}

/// The table, open for changes. When it is dropped, workers see them.
pub struct Edit<'a> {
    table: &'a Neighbours,
    state: MutexGuard<'a, State>,
    changed: bool,
}

impl Edit<'_> {
    /// The adjacency of a next hop, made if there is none yet.
    pub fn adjacency(&mut self, interface: u16, next_hop: Ipv4Addr) -> u32 {
        let key = (interface, u32::from(next_hop));
        let Adjacencies { rewrites, hosts } = &mut self.state.current;
        *hosts.entry(key).or_insert_with(|| {
            self.changed = true;
            let mtu = self.table.interfaces.get(usize::from(interface)).map_or(0, |interface| interface.mtu);
            rewrites.push(EthRewrite::new([0; 14], mtu, interface, false));
            rewrites.len() as u32 - 1
        })
    }
}

impl Drop for Edit<'_> {
    fn drop(&mut self) {
        if self.changed {
            let old = self.table.published.swap(Arc::new(self.state.current.clone()));
            self.state.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
            self.state.retired.push(old);
            self.table.version.fetch_add(1, Ordering::Release);
        }
    }
}

impl Table for Neighbours {
    const INFO: TableInfo = TableInfo::new("neighbours", "Hardware addresses of next hops, and the adjacencies made of them.")
        .about(
            "A neighbour is reached over the interface on whose subnet its address is. Several tables of routes may share one table of \
             neighbours.",
        )
        .example(include_str!("../examples/neighbours.yaml"));
    type Config = Config;
    type Shard = Shard;
    type Command = Command;
    type Reply = Reply;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<Neighbours, ConfigError> {
        let served = setup.serves_addresses("interfaces", config.interfaces.as_deref())?;
        let interfaces = Arc::clone(setup.interfaces());
        let nobody = EthRewrite::new([0; 14], u16::MAX, NO_INTERFACE, false);
        let current = Adjacencies { rewrites: vec![nobody], hosts: HashMap::new() };
        let table = Neighbours {
            subnets: Subnets::of(&interfaces, &served),
            interfaces,
            served,
            published: ArcSwap::from_pointee(current.clone()),
            state: Mutex::new(State { current, ..State::default() }),
            version: AtomicU64::new(0),
        };
        let mut edit = table.edit();
        for (index, neighbour) in config.entries.iter().enumerate() {
            table.add(&mut edit, neighbour).map_err(|error| error.inside(&format!("static[{index}]")))?;
        }
        drop(edit);
        Ok(table)
    }

    fn shard(&self, _: u32) -> Shard {
        Shard { version: self.version.load(Ordering::Acquire), snapshot: self.published.load_full() }
    }

    fn sync(&self, shard: &mut Shard) {
        let version = self.version.load(Ordering::Acquire);
        if version != shard.version {
            *shard = Shard { version, snapshot: self.published.load_full() };
        }
    }

    fn command(&self, command: Command) -> Result<Reply, ConfigError> {
        match command {
            Command::Add(neighbour) => self.add(&mut self.edit(), &neighbour)?,
            Command::Show {} => {}
        }
        Ok(Reply { neighbours: self.edit().state.entries.values().cloned().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::TestKit;

    fn kit() -> TestKit {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &["192.168.1.1/24", "192.168.1.129/25"]);
        kit.interface("wan", "02:00:00:00:00:02", 1400, &["203.0.113.2/30"])
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let table = [
            (
                r#"{"static": [{"address": "192.168.2.9", "mac": "02:00:00:00:00:09"}]}"#,
                "static[0].address",
                "`192.168.2.9` is on no interface's subnet",
            ),
            (r#"{"static": [{"address": "192.168.1.9", "mac": "03:00:00:00:00:09"}]}"#, "static[0].mac", "group address"),
            (r#"{"static": [{"address": "192.168.1.9", "mac": "02:00:00:00:00"}]}"#, "static[0].mac", ""),
            (
                r#"{"static": [{"address": "1.1.1.1", "mac": "02:00:00:00:00:09", "interface": "dmz"}]}"#,
                "static[0].interface",
                "unknown interface `dmz`",
            ),
            (r#"{"interfaces": ["lan", "dmz"]}"#, "interfaces[1]", "unknown interface `dmz`, expected one of `lan`, `wan`"),
            (r#"{"statik": []}"#, "statik", "unknown field"),
        ];
        for (config, path, message) in table {
            let error = kit().try_table::<Neighbours>("arp", config).unwrap_err();
            assert_eq!(error.path(), path, "{error}");
            assert!(error.message().contains(message), "{error}");
        }
    }

    #[test]
    fn an_address_belongs_to_the_longest_subnet() {
        let setup_and = |address: &str| {
            let interfaces = kit();
            let entry = format!(r#"{{"static": [{{"address": "{address}", "mac": "02:00:00:00:00:09"}}]}}"#);
            interfaces.try_table::<Neighbours>("arp", &entry).is_ok()
        };
        assert!(setup_and("192.168.1.200"));
        assert!(setup_and("203.0.113.1"));
        assert!(!setup_and("203.0.113.4"));
    }
}
