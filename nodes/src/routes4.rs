//! `fib4`: the routes of an IPv4 router, and what each of them means for a packet.
//!
//! The look-up structure is [`Fib4`]: it answers with a small number. Here the number stands for a [`Leaf`]: where the packet goes and
//! by which adjacency, in the very layout of a packet's lane.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};
use swath_api::prelude::*;
use swath_api::{Interface, Str, TableRef};

use crate::fib4::{Fib4, Fib4Error, Prefix4, Reader};
pub use crate::leaf4::{BY_DESTINATION, Leaf, Leaves, Meaning};
use crate::leaf4::{MAX_LEAVES, leaves};
use crate::neighbours::{Neighbours, find_served};

/// Routes that fit into any table.
const SMALL: usize = 1024;

/// Destinations that are never forwarded (RFC 1812 §5.3.7, RFC 6890): this network, loopback, and the reserved class E.
const MARTIANS: [&str; 3] = ["0.0.0.0/8", "127.0.0.0/8", "240.0.0.0/4"];
/// Class D (RFC 5771).
const MULTICAST: &str = "224.0.0.0/4";

/// The table.
pub struct Routes4 {
    fib: Fib4,
    leaves: Box<[AtomicU64; MAX_LEAVES]>,
    neighbours: TableRef<Neighbours>,
    served: Vec<u16>,
    interfaces: Arc<[Interface]>,
    // Prefixes of the routes that follow from the interfaces and from RFCs. No other route takes their place.
    standing: HashSet<Prefix4>,
    control: Mutex<HashMap<Leaf, u32>>,
}

/// A worker's part: what tells the table that no look-up of this worker is under way.
pub struct Shard(Reader);

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The interfaces whose addresses and subnets it knows. Default: all, if it is the only table of its kind.
    #[serde(default)]
    interfaces: Option<Vec<String>>,
    /// The table of neighbours. Default: the only one.
    #[serde(default)]
    neighbours: Option<String>,
    /// Routes beside those to the interfaces' own subnets.
    #[serde(default)]
    routes: Vec<Route>,
    /// Memory for routes longer than /24, in MiB. Default: 512, which is enough for four million of them in random places. It is used as
    /// far as it is needed.
    #[serde(default = "default_memory")]
    memory_mib: u16,
}

fn default_memory() -> u16 {
    512
}

/// A route: `via` a next hop, or directly out of an `interface`, or `blackhole`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The destinations, as `10.0.0.0/8`.
    prefix: Prefix4,
    /// The next hop.
    #[serde(default)]
    via: Option<Ipv4Addr>,
    /// The interface to leave by. Default: the one whose subnet has the next hop. Without a next hop the destinations are themselves
    /// neighbours on this interface.
    #[serde(default)]
    interface: Option<String>,
    /// Drop packets to these destinations, counted as `blackhole`, and answer nothing.
    #[serde(default)]
    blackhole: bool,
}

/// What the control side may ask. Changes take effect while workers forward.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Adds a route, or replaces that of the same prefix.
    Add(Route),
    /// Removes the route of exactly this prefix.
    Remove {
        /// The prefix.
        prefix: Prefix4,
    },
    /// Says what would be done with a packet to this address.
    Lookup {
        /// The destination.
        address: Ipv4Addr,
    },
    /// Says how large the table is.
    Show {},
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Done.
    Done {},
    /// The longest route to an address.
    Route {
        /// Its prefix.
        prefix: Option<Prefix4>,
        /// What it means.
        meaning: String,
        /// The interface to leave by.
        interface: Option<String>,
    },
    /// Sizes.
    Table {
        /// Routes, those to subnets and to the router itself included.
        routes: usize,
        /// Bytes.
        memory: usize,
    },
}

impl Routes4 {
    /// Looks addresses up: for each the leaf of its longest route.
    #[inline]
    pub fn lookup(&self, addresses: &[u32], leaves: &mut [u32]) {
        self.fib.lookup_batch(addresses, leaves);
    }

    /// The table of neighbours whose adjacencies its leaves name.
    pub fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// All leaves, by the numbers that look-ups answer with.
    #[inline]
    pub fn leaves(&self) -> Leaves<'_> {
        Leaves(&self.leaves)
    }

    fn control(&self) -> MutexGuard<'_, HashMap<Leaf, u32>> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a leaf, which is stored before anybody can look it up: routes are published after it, by a release.
    fn number(&self, known: &mut HashMap<Leaf, u32>, leaf: Leaf) -> Result<u32, ConfigError> {
        if let Some(number) = known.get(&leaf) {
            return Ok(*number);
        }
        // 0 is "no route".
        let number = known.len() as u32 + 1;
        let place = self.leaves.get(number as usize);
        let place =
            place.ok_or_else(|| ConfigError::new(format!("the table has room for {} different next hops", MAX_LEAVES - 1)))?;
        place.store(leaf.out(), Ordering::Relaxed);
        known.insert(leaf, number);
        Ok(number)
    }

    fn insert(&self, known: &mut HashMap<Leaf, u32>, prefix: Prefix4, leaf: Leaf) -> Result<(), ConfigError> {
        let number = self.number(known, leaf)?;
        self.fib.insert(prefix, number).map(drop).map_err(full)
    }

    /// Refuses a route in the place of a standing one.
    fn check_standing(&self, prefix: Prefix4) -> Result<(), ConfigError> {
        if !self.standing.contains(&prefix) {
            return Ok(());
        }
        let text =
            format!("the route `{prefix}` stands by itself: it is of an interface's own address or subnet, or never forwarded");
        Err(ConfigError::at("prefix", text))
    }

    /// What a route means.
    fn resolve(&self, route: &Route) -> Result<Leaf, ConfigError> {
        let Route { via, interface, blackhole, .. } = route;
        if *blackhole {
            if via.is_some() || interface.is_some() {
                return Err(ConfigError::at("blackhole", "a blackhole has neither next hop nor interface"));
            }
            return Ok(Leaf::new(Meaning::Blackhole, NO_INTERFACE, 0));
        }
        let names = || self.interfaces.iter().map(|interface| interface.name.as_str());
        let named = interface.as_ref().map(|name| find_served(names(), &self.served, name)).transpose()?;
        match (via, named) {
            (None, None) => Err(ConfigError::new("a route says where to: `via`, `interface` or `blackhole: true`")),
            (None, Some(interface)) => Ok(Leaf::new(Meaning::Forward, interface, BY_DESTINATION)),
            (Some(next_hop), _) if self.neighbours.is_own(*next_hop) => {
                Err(ConfigError::at("via", format!("the next hop `{next_hop}` is the router's own address")))
            }
            (Some(next_hop), named) => {
                let found = named.or_else(|| self.neighbours.interface_of(*next_hop).filter(|index| self.served.contains(index)));
                let interface = found.ok_or_else(|| ConfigError::off_subnet("via", *next_hop))?;
                Ok(Leaf::new(Meaning::Forward, interface, self.neighbours.adjacency(interface, *next_hop)?))
            }
        }
    }

    /// The routes of the settings, with the numbers of their leaves.
    fn read(&self, routes: &[Route], numbered: &mut Vec<(Prefix4, u32)>) -> Result<(), ConfigError> {
        let mut known = self.control();
        let mut first: HashMap<Prefix4, usize> = HashMap::with_capacity(routes.len());
        // A million routes have few next hops.
        let mut next_hops: HashMap<Ipv4Addr, u32> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            let mut read = || {
                self.check_standing(route.prefix)?;
                if let Some(first) = first.insert(route.prefix, index) {
                    return Err(ConfigError::twice("prefix", &route.prefix.to_string(), &format!("routes[{first}].prefix")));
                }
                let only_next_hop = route.via.filter(|_| route.interface.is_none() && !route.blackhole);
                if let Some(number) = only_next_hop.and_then(|next_hop| next_hops.get(&next_hop)) {
                    return Ok(*number);
                }
                let leaf = self.resolve(route)?;
                let number = self.number(&mut known, leaf)?;
                next_hops.extend(only_next_hop.map(|next_hop| (next_hop, number)));
                Ok(number)
            };
            let number = read().map_err(|error| error.inside(&format!("routes[{index}]")))?;
            numbered.push((route.prefix, number));
        }
        Ok(())
    }

    /// Routes that follow from the interfaces' addresses, and those that RFCs ask for.
    fn standing_routes(&self, interfaces: &[Interface]) -> Vec<(Prefix4, Leaf)> {
        let fixed = |text: &str, meaning| text.parse().ok().map(|prefix: Prefix4| (prefix, Leaf::new(meaning, NO_INTERFACE, 0)));
        let mut routes: Vec<(Prefix4, Leaf)> = MARTIANS.iter().filter_map(|text| fixed(text, Meaning::Martian)).collect();
        routes.extend(fixed(MULTICAST, Meaning::Multicast));
        let local = Leaf::new(Meaning::Local, NO_INTERFACE, 0);
        // The limited broadcast is for whoever hears it (RFC 1812 §5.3.5.1).
        routes.push((Prefix4::containing(u32::MAX, 32), local));
        let mut own = Vec::new();
        for index in &self.served {
            for (address, len) in &interfaces[usize::from(*index)].addresses {
                let IpAddr::V4(address) = address else { continue };
                let subnet = Prefix4::containing(u32::from(*address), *len);
                routes.push((subnet, Leaf::new(Meaning::Forward, *index, BY_DESTINATION)));
                // A subnet's broadcast address; links of two and single addresses have none (RFC 3021).
                if *len < 31 {
                    own.push((Prefix4::containing(subnet.last(), 32), local));
                }
                own.push((Prefix4::containing(u32::from(*address), 32), local));
            }
        }
        // Last, so that an interface that is a single /32 is still the router itself.
        routes.extend(own);
        routes
    }
}

fn full(error: Fib4Error) -> ConfigError {
    ConfigError::new(format!("{error} (`memory-mib`)"))
}

impl Table for Routes4 {
    const INFO: TableInfo = TableInfo::new("fib4", "IPv4 routes: longest prefix match from destinations to next hops.")
        .about(
            "Routes to the subnets of the interfaces, and to the router's own addresses, are in it by themselves, and so are the \
             destinations that are never forwarded (RFC 1812 §5.3.7, RFC 6890) and multicast.",
        )
        .uses(&[const { Str::new("neighbours") }])
        .example(include_str!("../examples/fib4.yaml"));
    type Config = Config;
    type Shard = Shard;
    type Command = Command;
    type Reply = Reply;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<Routes4, ConfigError> {
        if config.memory_mib == 0 {
            return Err(ConfigError::at("memory-mib", "a table needs memory: 1 MiB at least"));
        }
        let neighbours = setup.table("neighbours", config.neighbours.as_deref())?;
        let served = setup.serves_addresses("interfaces", config.interfaces.as_deref())?;
        let fib =
            Fib4::new(usize::from(config.memory_mib) << 20).map_err(|error| ConfigError::new(format!("no memory: {error}")))?;
        let mut table = Routes4 {
            fib,
            leaves: leaves()?,
            neighbours,
            served,
            interfaces: Arc::clone(setup.interfaces()),
            standing: HashSet::new(),
            control: Mutex::default(),
        };
        let standing = table.standing_routes(setup.interfaces());
        table.standing = standing.iter().map(|(prefix, _)| *prefix).collect();
        let mut numbered: Vec<(Prefix4, u32)> = Vec::with_capacity(config.routes.len() + standing.len());
        for (prefix, leaf) in standing {
            let number = table.number(&mut table.control(), leaf)?;
            numbered.push((prefix, number));
        }
        table.read(&config.routes, &mut numbered)?;
        if setup.in_use() || numbered.len() > SMALL {
            table.fib.replace_all(numbered).map_err(full)?;
        }
        Ok(table)
    }

    fn shard(&self, _: u32) -> Shard {
        // Nothing waits for a worker that has not started.
        let mut reader = self.fib.register_reader();
        reader.offline();
        Shard(reader)
    }

    fn rest(&self, shard: &mut Shard) {
        shard.0.offline();
    }

    fn sync(&self, shard: &mut Shard) {
        shard.0.quiescent();
    }

    fn figures(&self) -> Vec<Figure> {
        let routes = "Routes in a table of routes, those included that follow from the addresses of interfaces.";
        let memory = "Memory that a table of routes takes.";
        vec![
            Figure::gauge("fib_routes", routes, self.fib.len() as u64).of("family", "ip4"),
            Figure::gauge("fib_memory_bytes", memory, self.fib.memory().total() as u64).of("family", "ip4"),
        ]
    }

    fn command(&self, command: Command) -> Result<Reply, ConfigError> {
        match command {
            Command::Add(route) => {
                self.check_standing(route.prefix)?;
                let leaf = self.resolve(&route)?;
                self.insert(&mut self.control(), route.prefix, leaf)?;
                Ok(Reply::Done {})
            }
            Command::Remove { prefix } => {
                self.check_standing(prefix)?;
                let removed = self.fib.remove(prefix).map_err(full)?;
                removed.map(|_| Reply::Done {}).ok_or_else(|| ConfigError::at("prefix", format!("there is no route {prefix}")))
            }
            Command::Lookup { address } => {
                let found = self.fib.longest_match(u32::from(address));
                let leaf = found.map_or(Leaf::NO_ROUTE, |(_, number)| self.leaves().get(number));
                Ok(Reply::Route {
                    prefix: found.map(|(prefix, _)| prefix),
                    meaning: format!("{:?}", leaf.meaning()).to_lowercase(),
                    interface: self.interfaces.get(usize::from(leaf.tx())).map(|interface| interface.name.clone()),
                })
            }
            Command::Show {} => Ok(Reply::Table { routes: self.fib.len(), memory: self.fib.memory().total() }),
        }
    }
}
