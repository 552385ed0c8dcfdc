//! `fib4`: the routes of an IPv4 router, and what each of them means for a packet.
//!
//! The look-up structure is [`Fib4`]: it answers with a small number. Here the number stands for a [`Leaf`]: where the packet goes and
//! by which adjacency, in the very layout of a packet's lane; or a group of next hops, of which the hash of the flow chooses one.

mod buckets;
mod control;
mod entry;
mod resolve;
mod rpf;
mod settings;
mod show;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashSet;
use swath_api::flow;
use swath_api::prelude::*;
use swath_api::{Interface, Str, TableRef};

use crate::fib4::{Fib4, Fib4Error, Prefix4, Reader};
use crate::leaf4::LeafStore;
pub use crate::leaf4::{BY_DESTINATION, Leaf, Leaves, Meaning};
use crate::neighbours::Neighbours;
use control::{Control, Published};
use entry::{Entry, Member, To};
use rpf::Rpf;
pub use rpf::WayBack;
pub use settings::{Command, Config, Hop, Reply, Route, ShownHop, ShownRoute, Via};

/// Routes that fit into any table.
const SMALL: usize = 1024;

/// Destinations that are never forwarded (RFC 1812 §5.3.7, RFC 6890): this network, loopback, and the reserved class E.
const MARTIANS: [&str; 3] = ["0.0.0.0/8", "127.0.0.0/8", "240.0.0.0/4"];
/// Class D (RFC 5771).
const MULTICAST: &str = "224.0.0.0/4";

/// The table.
pub struct Routes4 {
    published: Published,
    neighbours: TableRef<Neighbours>,
    served: Vec<u16>,
    interfaces: Arc<[Interface]>,
    // Prefixes of the routes that follow from the interfaces and from RFCs. No other route takes their place.
    standing: HashSet<Prefix4>,
    seed: u64,
    control: Mutex<Control>,
}

/// A worker's part: what tells the table that no look-up of this worker is under way.
pub struct Shard(Reader);

impl Routes4 {
    /// Looks addresses up: for each the number of its longest route, for [`Routes4::leaves`] and [`Routes4::way_back`].
    #[inline]
    pub fn lookup(&self, addresses: &[u32], numbers: &mut [u32]) {
        self.published.fib.lookup_batch(addresses, numbers);
    }

    /// The prefix of the longest route to an address, for who asks why. `None` if somebody changes routes right now, for whom nobody waits.
    pub fn longest(&self, address: u32) -> Option<Option<Prefix4>> {
        self.published.fib.try_longest_match(address)
    }

    /// The table of neighbours whose adjacencies its leaves name.
    pub fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// All leaves, by the numbers that look-ups answer with.
    #[inline]
    pub fn leaves(&self) -> Leaves<'_> {
        self.published.store.view()
    }

    /// The ways back to an address, by the number that its look-up has answered with.
    #[inline]
    pub fn way_back(&self, number: u32) -> WayBack<'_> {
        self.published.rpf.of(number)
    }

    /// The hash of a packet's flow, for [`Leaves::member`].
    #[inline]
    pub fn hash(&self, packet: &[u8]) -> u64 {
        flow::ip_hash(packet, self.seed).unwrap_or(0)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Routes that follow from the interfaces' addresses, and those that RFCs ask for.
    fn standing_routes(&self) -> Vec<(Prefix4, Entry)> {
        let nowhere = |meaning| Entry::one(To::Fixed(Leaf::nowhere(meaning)));
        let fixed = |text: &str, meaning| text.parse().ok().map(|prefix: Prefix4| (prefix, nowhere(meaning)));
        let mut routes: Vec<(Prefix4, Entry)> = MARTIANS.iter().filter_map(|text| fixed(text, Meaning::Martian)).collect();
        routes.extend(fixed(MULTICAST, Meaning::Multicast));
        // The limited broadcast is for whoever hears it (RFC 1812 §5.3.5.1).
        routes.push((Prefix4::containing(u32::MAX, 32), nowhere(Meaning::Local)));
        let mut own = Vec::new();
        for index in &self.served {
            for (address, len) in &self.interfaces[usize::from(*index)].addresses {
                let IpAddr::V4(address) = address else { continue };
                let subnet = Prefix4::containing(u32::from(*address), *len);
                routes.push((subnet, Entry::one(To::One(Member { tx: *index, adj: BY_DESTINATION, weight: 1 }))));
                // A subnet's broadcast address; links of two and single addresses have none (RFC 3021).
                if *len < 31 {
                    own.push((Prefix4::containing(subnet.last(), 32), nowhere(Meaning::Local)));
                }
                own.push((Prefix4::containing(u32::from(*address), 32), nowhere(Meaning::Local)));
            }
        }
        // Last, so that an interface that is a single /32 is still the router itself.
        routes.extend(own);
        routes
    }

    /// The number of a prefix with one more route, in the place of the one of the same metric.
    fn with(&self, control: &mut Control, route: &Route) -> Result<u32, ConfigError> {
        let way = self.resolve(route)?;
        let before = control.get(&self.published, route.prefix);
        let is_default = route.prefix == Prefix4::DEFAULT;
        let entry = match before {
            Some(number) => control.entry(number).with(way),
            None => Entry { is_default, ways: vec![way] },
        };
        control.number(&self.published, entry, before, &|_| None)
    }

    fn add(&self, route: &Route, must_be_there: bool) -> Result<(), ConfigError> {
        self.check_standing(route.prefix)?;
        let control = &mut *self.control();
        if must_be_there {
            self.find(control, route.prefix, Some(route.metric))?;
        }
        let number = self.with(control, route)?;
        control.put(&self.published, route.prefix, Some(number)).map_err(full)
    }

    fn remove(&self, prefix: Prefix4, metric: Option<u32>) -> Result<(), ConfigError> {
        self.check_standing(prefix)?;
        let control = &mut *self.control();
        let number = self.find(control, prefix, metric)?;
        let rest = metric.and_then(|metric| control.entry(number).without(metric));
        let rest = rest.map(|entry| control.number(&self.published, entry, Some(number), &|_| None)).transpose()?;
        control.put(&self.published, prefix, rest).map_err(full)
    }

    /// The number of a prefix that has a route of this metric, or of any.
    fn find(&self, control: &Control, prefix: Prefix4, metric: Option<u32>) -> Result<u32, ConfigError> {
        let Some(number) = control.get(&self.published, prefix) else {
            return Err(ConfigError::at("prefix", format!("there is no route {prefix}")));
        };
        match metric.filter(|metric| !control.entry(number).has(*metric)) {
            Some(metric) => Err(ConfigError::at("metric", format!("there is no route {prefix} of metric {metric}"))),
            None => Ok(number),
        }
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
}

fn full(error: Fib4Error) -> ConfigError {
    ConfigError::new(format!("{error} (`memory-mib`)"))
}

impl Table for Routes4 {
    const INFO: TableInfo = TableInfo::new("fib4", "IPv4 routes: longest prefix match from destinations to next hops.")
        .about(
            "Routes to the subnets of the interfaces, and to the router's own addresses, are in it by themselves, and so are the \
             destinations that are never forwarded (RFC 1812 §5.3.7, RFC 6890) and multicast.\n\n\
             Several next hops share the flows of a route by their weights. Packets of one flow (addresses, protocol and ports, in \
             either direction) go one way; all fragments of a datagram go one way, too, for which ports do not count, so that it may \
             be another than that of the flow's whole packets. When a next hop is removed, or its interface goes down, only its flows \
             move; one that is added takes its fair share from the others (a table of buckets, as in Linux's resilient next-hop \
             groups). Prefixes with the same next hops share such a table. So it is when another graph is applied that changes a route.\n\n\
             A route whose interface is down does not count: then another next hop of it takes over, or the route of the next higher \
             `metric`, or that of a shorter prefix. When the interface is up again, so is the route. The router's own addresses stay.\n\n\
             A next hop is a neighbour, and is not looked up among the routes itself: who speaks BGP to the table resolves next hops \
             first, as routing daemons do for kernels.\n\n\
             With several tables, `switch` on the receiving interface chooses between their `ip4-lookup` nodes. Each has the addresses \
             and subnets of its own `interfaces`, and knows no others.",
        )
        .uses(&[const { Str::new("neighbours") }])
        .carries("which of several next hops flows take")
        .loses("routes added or removed by commands")
        .reads(&[const { Str::new("show") }, const { Str::new("list") }, const { Str::new("lookup") }])
        .example(include_str!("../../examples/fib4.yaml"));
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
        let interfaces = Arc::clone(setup.interfaces());
        let old = setup.old::<Routes4>();
        // What is up is said when it changes: flows that have moved because of it do not come back for a moment.
        let mut up = old.as_ref().map(|old| old.control().up().to_vec()).unwrap_or_default();
        up.resize(interfaces.len(), true);
        let mut table = Routes4 {
            published: Published { fib, store: LeafStore::new()?, rpf: Rpf::new(interfaces.len())? },
            neighbours,
            served,
            standing: HashSet::new(),
            // Other flows together than in a `hash-switch` of the same seed.
            seed: flow::mix(config.hash_seed ^ 0x6669_6234),
            control: Mutex::new(Control::new(up)),
            interfaces,
        };
        let standing = table.standing_routes();
        table.standing = standing.iter().map(|(prefix, _)| *prefix).collect();
        let numbered = table.load(standing, &config.routes, old.as_deref())?;
        if setup.in_use() || numbered.len() > SMALL {
            table.published.fib.replace_all(numbered).map_err(full)?;
        }
        Ok(table)
    }

    fn shard(&self, _: u32) -> Shard {
        // Nothing waits for a worker that has not started.
        let mut reader = self.published.fib.register_reader();
        reader.offline();
        Shard(reader)
    }

    fn rest(&self, shard: &mut Shard) {
        shard.0.offline();
    }

    fn sync(&self, shard: &mut Shard) {
        shard.0.quiescent();
    }

    fn link(&self, interface: u16, up: bool) {
        self.control().link(&self.published, interface, up);
    }

    fn figures(&self) -> Vec<Figure> {
        let routes = "Routes in a table of routes, those included that follow from the addresses of interfaces.";
        let memory = "Memory that a table of routes takes.";
        vec![
            Figure::gauge("fib_routes", routes, self.published.fib.len() as u64).of("family", "ip4"),
            Figure::gauge("fib_memory_bytes", memory, self.published.fib.memory().total() as u64).of("family", "ip4"),
        ]
    }

    fn command(&self, command: Command) -> Result<Reply, ConfigError> {
        match command {
            Command::Add(route) => self.add(&route, false).map(|()| Reply::Done {}),
            Command::Replace(route) => self.add(&route, true).map(|()| Reply::Done {}),
            Command::Remove { prefix, metric } => self.remove(prefix, metric).map(|()| Reply::Done {}),
            Command::Lookup { address } => Ok(self.show_route_to(address)),
            Command::Show {} => Ok(self.show()),
            Command::List { within, limit } => Ok(Reply::Routes(self.list(within, limit))),
        }
    }
}
