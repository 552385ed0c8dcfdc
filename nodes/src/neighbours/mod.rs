//! `neighbours`: who is reached over which interface by which hardware address, and the adjacencies that come of it.
//!
//! An *adjacency* is what a packet to one next hop gets on its way out: an Ethernet header, an interface, an MTU. Look-ups answer with
//! an index of one ([`Lane::adj`](swath_api::Lane)); `ip4-rewrite` reads it here. Several forwarding tables can share one table of
//! neighbours, and then share their adjacencies.
//!
//! `arp-input` tells it what it hears, and `ip4-resolve` asks it for what is missing, on any worker at any time. None of them waits: the
//! places of neighbours are words that all workers change by atomic swaps (`entries.rs`), and each worker has a copy of the adjacencies
//! for the way of its packets (`shard.rs`), of which it renews those that have changed.

mod defence;
mod entries;
mod foresee;
mod index;
mod resolve;
mod settings;
mod shard;
mod state;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashSet;
use swath_api::prelude::*;
use swath_api::wire::MacAddr;
use swath_api::{Interface, Str};

use crate::fib4::Prefix4;
use defence::Defences;
use entries::{BLOCK, Entries, Newcomer, PLACES};
use resolve::Times;
use settings::Shown;
use state::{Kind, State};

pub use index::Key;
pub use resolve::{Answer, Heard, Request};
pub use settings::{Command, Config, Neighbour, Reply};
pub use shard::Shard;
pub(crate) use shard::Wait;

/// What `limit` may be at most: leaves room for the next hops of routes.
const LIMIT_MAX: u32 = 32_768;
const SECOND: u64 = 1_000_000_000;

/// The table.
pub struct Neighbours {
    interfaces: Vec<Interface>,
    // Not only made to be checked.
    in_use: bool,
    served: Vec<u16>,
    // Those of the table before, if there was one: who is known stays known, at the place that it has.
    entries: Arc<Entries>,
    // Those of the settings.
    fixed: Vec<(Key, MacAddr)>,
    // Whether adjacencies look as those of the table before.
    same_links: bool,
    limit: u32,
    times: Times,
    counts: Arc<[Counts]>,
    defences: Defences,
    // Where `age` goes on, and when it was called last.
    aged: AtomicU32,
    clock: AtomicU64,
    // Addresses that are answered for, beside those of the interfaces.
    proxies: Vec<(u16, Prefix4)>,
    // Commands one after the other.
    control: Mutex<()>,
}

/// What one worker has counted; it alone writes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    learnt: AtomicU64,
    moved: AtomicU64,
    refused: AtomicU64,
}

impl Neighbours {
    /// How often `ip4-resolve` looks whether there is an answer or something to do: what a packet that waits may wait longer than it must.
    pub const TICK: std::time::Duration = std::time::Duration::from_millis(2);

    /// The adjacency of a next hop, which it keeps for ever, made if there is none yet.
    ///
    /// # Errors
    /// There is no room.
    pub fn adjacency(&self, interface: u16, next_hop: Ipv4Addr) -> Result<u32, ConfigError> {
        let pin = |state: State| state.pinned();
        self.put(Key::new(interface, next_hop.into()), State::of(Kind::Idle, MacAddr::ZERO).pinned(), pin)
    }

    /// The adjacency of a neighbour on the link of an interface, if there is one.
    #[inline]
    pub fn host(&self, interface: u16, address: u32) -> Option<u32> {
        self.entries.find(Key::new(interface, address))
    }

    /// Who an adjacency leads to.
    #[inline]
    pub fn next_hop(&self, adjacency: u32) -> Option<Key> {
        self.entries.get(adjacency).filter(|_| adjacency > 0).map(entries::Entry::key)
    }

    /// An interface that it serves.
    #[inline]
    pub fn interface(&self, index: u16) -> Option<&Interface> {
        self.interfaces.get(usize::from(index)).filter(|_| self.served.contains(&index))
    }

    /// The indexes of the interfaces that it serves.
    pub fn served(&self) -> &[u16] {
        &self.served
    }

    /// Raised with each change.
    #[inline]
    pub fn version(&self) -> u64 {
        self.entries.version()
    }

    /// The interface on whose subnet an address lies; of several the one with the longest prefix.
    pub fn interface_of(&self, address: Ipv4Addr) -> Option<u16> {
        let on = |index: u16| {
            let subnets = self.own(index).filter(|(own, len)| is_on_subnet(*own, *len, address));
            subnets.map(|(_, len)| len).max().map(|len| (len, index))
        };
        let found = (0..self.interfaces.len() as u16).filter_map(on);
        found.max_by_key(|(len, _)| *len).map(|(_, index)| index)
    }

    /// Whether an address is one of the interfaces' own.
    pub fn is_own(&self, address: Ipv4Addr) -> bool {
        let own = |interface: &Interface| interface.addresses.iter().any(|(own, _)| *own == IpAddr::V4(address));
        self.interfaces.iter().any(own)
    }

    /// Whether requests for an address that come in by an interface are answered.
    pub fn answers_for(&self, interface: u16, address: Ipv4Addr) -> bool {
        let own = || self.own(interface).any(|(own, _)| own == address);
        let proxied = |(at, prefix): &(u16, Prefix4)| *at == interface && prefix.contains(address.to_bits());
        own() || self.proxies.iter().any(proxied)
    }

    /// Whether a hardware address is one of the interfaces' own.
    pub fn has_mac(&self, mac: MacAddr) -> bool {
        self.interfaces.iter().any(|interface| interface.mac == mac)
    }

    /// Changes a neighbour, or takes it in as `new`.
    fn put(&self, key: Key, new: State, change: impl Fn(State) -> State) -> Result<u32, ConfigError> {
        let now = self.clock.load(Ordering::Relaxed);
        // Each time that it comes round, a worker has changed or forgotten the neighbour in between.
        loop {
            if let Some((place, entry, state)) = self.entries.look(key) {
                let changed = change(state);
                if entry.swap(state, changed) {
                    if changed != state {
                        self.entries.mark(place);
                    }
                    return Ok(place);
                }
            } else {
                match self.entries.create(&Newcomer { key, state: new, now, limit: PLACES as u32 }) {
                    Some((place, true)) => return Ok(place),
                    Some((_, false)) => {}
                    None if !self.in_use => return Ok(0),
                    None => return Err(ConfigError::new(format!("a table of neighbours has room for {} of them", PLACES - 1))),
                }
            }
        }
    }

    fn add(&self, neighbour: &Neighbour) -> Result<(), ConfigError> {
        let (key, mac) = self.check(neighbour)?;
        self.fix(key, mac)
    }

    fn fix(&self, key: Key, mac: MacAddr) -> Result<(), ConfigError> {
        let fix = |state: State| state.with(Kind::Static).with_mac(mac);
        self.put(key, State::of(Kind::Static, mac), fix).map(drop)
    }

    /// Where a neighbour is that is set.
    fn check(&self, neighbour: &Neighbour) -> Result<(Key, MacAddr), ConfigError> {
        let Neighbour { address, mac, .. } = neighbour;
        let interface = self.which(*address, neighbour.interface.as_deref())?;
        if self.is_own(*address) {
            return Err(ConfigError::at("address", format!("`{address}` is the router's own address: a neighbour has another")));
        }
        if mac.is_group() {
            return Err(ConfigError::at("mac", format!("`{mac}` is a group address, and not that of one neighbour")));
        }
        Ok((Key::new(interface, (*address).into()), *mac))
    }

    /// The interface that a neighbour is on, by its name or by the address.
    fn which(&self, address: Ipv4Addr, name: Option<&str>) -> Result<u16, ConfigError> {
        match name {
            Some(name) => find_served(self.names(), &self.served, name),
            None => self.interface_of(address).ok_or_else(|| ConfigError::off_subnet("address", address)),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.interfaces.iter().map(|interface| interface.name.as_str())
    }

    fn remove(&self, address: Ipv4Addr, interface: u16) -> Result<(), ConfigError> {
        let key = Key::new(interface, address.into());
        while let Some((place, _, state)) = self.entries.look(key).filter(|(_, _, state)| state.kind() != Kind::Idle) {
            if self.forget(place, state) {
                return Ok(());
            }
        }
        Err(ConfigError::at("address", format!("`{address}` is not known")))
    }

    fn flush(&self, interface: Option<u16>) {
        for place in 1..self.entries.high() {
            let Some(entry) = self.entries.get(place) else { break };
            loop {
                let state = entry.state();
                let stays = !state.is_live() || matches!(state.kind(), Kind::Idle | Kind::Static);
                if stays || interface.is_some_and(|one| one != entry.key().interface()) || self.forget(place, state) {
                    break;
                }
            }
        }
    }

    fn counted(&self) -> Vec<Figure> {
        let sum = |count: fn(&Counts) -> &AtomicU64| self.counts.iter().map(|counts| count(counts).load(Ordering::Relaxed)).sum();
        let states = [
            ("incomplete", Kind::Incomplete),
            ("failed", Kind::Failed),
            ("stale", Kind::Stale),
            ("probe", Kind::Probe),
            ("reachable", Kind::Reachable),
            ("static", Kind::Static),
        ];
        // One look at each of at most some ten thousand words.
        let kinds: Vec<Kind> = (1..self.entries.high()).filter_map(|place| Some(self.entries.get(place)?.state().kind())).collect();
        let known = "Neighbours in a table of neighbours, by what is known of them (states of RFC 4861 §7.3.2).";
        let counted = |kind: Kind| kinds.iter().filter(|found| **found == kind).count() as u64;
        let mut figures: Vec<Figure> =
            states.into_iter().map(|(name, kind)| Figure::gauge("neighbours", known, counted(kind)).of("state", name)).collect();
        let refused = "Neighbours that were not learnt because the table was full.";
        let moved = "Neighbours that were heard with another hardware address than before.";
        figures.push(Figure::total("neighbours_learnt_total", "Neighbours that were learnt.", sum(|counts| &counts.learnt)));
        figures.push(Figure::total("neighbours_moved_total", moved, sum(|counts| &counts.moved)));
        figures.push(Figure::total("neighbours_refused_total", refused, sum(|counts| &counts.refused)));
        figures
    }

    fn show(&self) -> Reply {
        let shown = |place: u32| {
            let entry = self.entries.get(place)?;
            let (state, key) = (entry.state(), entry.key());
            let name = match state.kind() {
                Kind::Busy | Kind::Free | Kind::Idle => return None,
                Kind::Incomplete => "incomplete",
                Kind::Failed => "failed",
                Kind::Stale => "stale",
                Kind::Probe => "probe",
                Kind::Reachable => "reachable",
                Kind::Static => "static",
            };
            let ages = matches!(state.kind(), Kind::Stale | Kind::Probe | Kind::Reachable);
            Some(Shown {
                interface: self.interfaces.get(usize::from(key.interface()))?.name.clone(),
                address: key.address().into(),
                mac: state.is_resolved().then(|| state.mac()),
                state: name,
                age: ages.then(|| self.clock.load(Ordering::Relaxed).saturating_sub(entry.since()) / SECOND),
            })
        };
        let sum = |count: fn(&Counts) -> &AtomicU64| self.counts.iter().map(|counts| count(counts).load(Ordering::Relaxed)).sum();
        Reply {
            neighbours: (1..self.entries.high()).filter_map(shown).collect(),
            learnt: sum(|counts| &counts.learnt),
            moved: sum(|counts| &counts.moved),
            refused: sum(|counts| &counts.refused),
        }
    }
}

pub(crate) fn is_on_subnet(own: Ipv4Addr, len: u8, address: Ipv4Addr) -> bool {
    Prefix4::containing(own.into(), len).contains(address.into())
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

impl Table for Neighbours {
    const INFO: TableInfo = TableInfo::new("neighbours", "Hardware addresses of next hops, and the adjacencies made of them.")
        .about(
            "A neighbour is reached over the interface on whose subnet its address is. Several tables of routes may share one table of \
             neighbours. When its settings change, neighbours that it has learnt or that commands have added stay, but for those of \
             interfaces that it no longer serves.",
        )
        .carries("neighbours")
        .reads(&[const { Str::new("show") }])
        .example(include_str!("../../examples/neighbours.yaml"));
    type Config = Config;
    type Shard = Shard;
    type Command = Command;
    type Reply = Reply;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<Neighbours, ConfigError> {
        let served = setup.serves_addresses("interfaces", config.interfaces.as_deref())?;
        let mut interfaces = setup.interfaces().to_vec();
        for (index, interface) in interfaces.iter_mut().enumerate() {
            if !served.contains(&(index as u16)) {
                interface.addresses.clear();
            }
        }
        if !(1..=LIMIT_MAX).contains(&config.limit) {
            return Err(ConfigError::at("limit", format!("`{}` is not in 1 to {LIMIT_MAX}", config.limit)));
        }
        let mut proxies = Vec::new();
        for (index, proxy) in config.proxy.iter().enumerate() {
            let names = interfaces.iter().map(|interface| &*interface.name);
            let at = find_served(names, &served, &proxy.interface).map_err(|error| error.inside(&format!("proxy[{index}]")))?;
            proxies.extend(proxy.prefixes.iter().map(|prefix| (at, *prefix)));
        }
        // What is made only to be checked takes little memory, and is not full because of that.
        let places = if setup.in_use() { PLACES } else { 4 * BLOCK };
        let old = setup.old::<Neighbours>().filter(|_| setup.in_use());
        let seed = || RandomState::new().hash_one(setup.name());
        // Interfaces may come.
        let links = if setup.in_use() { usize::from(u16::MAX) } else { interfaces.len() };
        let entries = old.as_ref().map(|old| Arc::clone(&old.entries));
        let same = |(index, interface): (usize, &Interface)| {
            let before = old.as_ref().and_then(|old| old.interfaces.get(index));
            before.is_some_and(|before| (before.mac, before.mtu) == (interface.mac, interface.mtu))
        };
        let mut table = Neighbours {
            entries: entries.unwrap_or_else(|| Arc::new(Entries::new(places, links, setup.workers(), seed()))),
            fixed: Vec::new(),
            same_links: served.iter().all(|index| same((usize::from(*index), &interfaces[usize::from(*index)]))),
            in_use: setup.in_use(),
            defences: Defences::of(&interfaces),
            interfaces,
            served,
            limit: config.limit,
            times: config.times()?,
            counts: match &old {
                Some(old) => Arc::clone(&old.counts),
                None => (0..setup.workers()).map(|_| Counts::default()).collect(),
            },
            aged: AtomicU32::new(0),
            clock: AtomicU64::new(old.as_ref().map_or(0, |old| old.clock.load(Ordering::Relaxed))),
            proxies,
            control: Mutex::new(()),
        };
        for (index, neighbour) in config.entries.iter().enumerate() {
            // Nothing is changed yet in what the table before uses.
            let fixed = table.check(neighbour).and_then(|(key, mac)| match old {
                Some(_) => Ok((key, mac)),
                None => table.fix(key, mac).map(|()| (key, mac)),
            });
            table.fixed.push(fixed.map_err(|error| error.inside(&format!("static[{index}]")))?);
        }
        Ok(table)
    }

    fn succeed(&self, old: &Neighbours) {
        let forget = |key: Key| {
            while let Some((place, _, state)) = self.entries.look(key).filter(|(_, _, state)| state.kind() == Kind::Static) {
                if self.forget(place, state) {
                    break;
                }
            }
        };
        let fixed: HashSet<u64> = self.fixed.iter().map(|(key, _)| key.0).collect();
        old.fixed.iter().filter(|(key, _)| !fixed.contains(&key.0)).for_each(|(key, _)| forget(*key));
        for (key, mac) in &self.fixed {
            // Without room it is learnt when somebody asks for it.
            let _ = self.fix(*key, *mac);
        }
        for interface in old.served.iter().filter(|interface| !self.served.contains(interface)) {
            self.flush(Some(*interface));
        }
    }

    fn adopt(&self, shard: &mut Shard, old: &mut Shard) {
        shard.adopt(old, self.same_links);
    }

    fn shard(&self, worker: u32) -> Shard {
        let mut shard = Shard::new(worker);
        shard.catch_up(self);
        shard
    }

    fn sync(&self, shard: &mut Shard) {
        shard.catch_up(self);
        self.entries.seen(shard.worker(), shard.version());
    }

    fn rest(&self, shard: &mut Shard) {
        self.entries.rest(shard.worker());
    }

    fn figures(&self) -> Vec<Figure> {
        self.counted()
    }

    fn command(&self, command: Command) -> Result<Reply, ConfigError> {
        let _one_at_a_time = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        match command {
            Command::Add(neighbour) => self.add(&neighbour)?,
            Command::Remove { address, interface } => self.remove(address, self.which(address, interface.as_deref())?)?,
            Command::Flush { interface } => {
                let interface = interface.map(|name| find_served(self.names(), &self.served, &name)).transpose()?;
                self.flush(interface);
            }
            Command::Show {} => {}
        }
        Ok(self.show())
    }
}
