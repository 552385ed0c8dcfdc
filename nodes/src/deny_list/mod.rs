//! `deny-list`: addresses that nobody wants to hear of, up to a million prefixes.
//!
//! IPv4 is a forwarding table ([`Fib4`]) whose routes all say the same: two loads for an address, and a third where prefixes are longer than
//! /24. IPv6 is a set of ranges that never changes ([`Ranges6`]): a command makes another one beside it, and workers take it at the top of their
//! next sweep. Old ones are kept until no worker has them, so that none is ever freed by one.

mod control;
mod copies;
mod entry;
mod ranges6;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swath_api::prelude::*;
use swath_api::{Copied, Str};

pub use control::{Command, Reply};
pub use entry::Entry;
pub use ranges6::Ranges6;

use crate::acl::{IpPrefix, Prefix};
use crate::fib4::{Fib4, Reader};

use control::{Control, Set};

/// Prefixes of a table, at most, of each version of IP.
pub const MOST_PREFIXES: usize = 1 << 20;
/// Prefixes that are put in place even if nobody will use them.
const SMALL: usize = 1024;
/// Memory for those longer than /24: a line of 64 bytes for each of the old and the new ones while all are replaced, and what is kept for
/// removals. It is used as far as it is needed.
const BLOCK_BYTES: usize = 256 << 20;
/// What a prefix has in the place of a next hop.
const LISTED: u32 = 1;

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is denied: addresses, prefixes as `192.0.2.0/24` or `2001:db8::/32`, and ranges as `192.0.2.1-192.0.2.9`, in any order, also
    /// twice or inside of each other. At most 1048576 prefixes of each version of IP, a range counted as the prefixes that it is made
    /// of. Many stand best in files: `prefixes-from: drop.txt`, or `[drop.txt, level1.netset]`.
    #[serde(default)]
    prefixes: Vec<Entry>,
}

/// The table.
pub struct DenyList {
    ip4: Fib4,
    // Raised after `ip6` was replaced.
    version: AtomicU64,
    // Held only to take or replace the pointer.
    ip6: Mutex<Arc<Ranges6>>,
    control: Mutex<Control>,
    // By worker.
    hits: Vec<Arc<Hits>>,
}

/// Packets that a worker has found in the list. It alone writes.
#[derive(Debug, Default)]
struct Hits {
    sources: AtomicU64,
    destinations: AtomicU64,
}

/// A worker's part.
pub struct Shard {
    reader: Reader,
    ip6: Arc<Ranges6>,
    version: u64,
    hits: Arc<Hits>,
}

impl Shard {
    /// The IPv6 addresses of the list.
    pub fn ip6(&self) -> &Ranges6 {
        &self.ip6
    }

    /// Counts packets whose source, and others whose destination, is in the list.
    pub fn count(&self, sources: u64, destinations: u64) {
        for (counter, packets) in [(&self.hits.sources, sources), (&self.hits.destinations, destinations)] {
            counter.store(counter.load(Ordering::Relaxed) + packets, Ordering::Relaxed);
        }
    }
}

impl DenyList {
    /// Whether each of these IPv4 addresses is in the list: 0 if it is not.
    #[inline]
    pub fn contain4(&self, addresses: &[u32], found: &mut [u32]) {
        self.ip4.lookup_batch(addresses, found);
    }

    /// How many prefixes there are, of IPv4 and of IPv6.
    pub fn len(&self) -> [usize; 2] {
        [self.ip4.len(), self.control().ip6.len()]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == [0, 0]
    }

    /// All prefixes, those of IPv4 first, each before those inside of it.
    pub fn prefixes(&self) -> impl Iterator<Item = IpPrefix> {
        let ip6 = self.control().ip6.clone();
        let of = |prefix: crate::fib4::Prefix4| IpPrefix::V4(Prefix { address: prefix.addr(), len: prefix.len() });
        self.ip4.routes().into_iter().map(move |(prefix, _)| of(prefix)).chain(ip6.into_iter().map(IpPrefix::V6))
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current6(&self) -> MutexGuard<'_, Arc<Ranges6>> {
        self.ip6.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packets that were found by their source, and by their destination.
    fn hits(&self) -> (u64, u64) {
        let sum = |of: fn(&Hits) -> &AtomicU64| self.hits.iter().map(|hits| of(hits).load(Ordering::Relaxed)).sum();
        (sum(|hits| &hits.sources), sum(|hits| &hits.destinations))
    }
}

impl Table for DenyList {
    const INFO: TableInfo = TableInfo::new("deny-list", "Addresses whose packets are dropped: up to a million prefixes.")
        .about(
            "The node `deny` asks it. Lists as they are published are read as they are, by `prefixes-from`: one address, prefix or range in a \
             line, and comments behind `#` or `;` (FireHOL's `.netset` and `.ipset`, Spamhaus DROP as `.txt`). An address is in the list if any \
             prefix of it has the address. Changes take effect while packets pass.",
        )
        .loses("prefixes added or removed by commands")
        .ignores_interfaces()
        .reads(&[const { Str::new("show") }, const { Str::new("lookup") }])
        .example(include_str!("../../examples/deny-list.yaml"));
    type Config = Config;
    type Shard = Shard;
    type Command = Command;
    type Reply = Reply;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<DenyList, ConfigError> {
        let no_memory = |error| ConfigError::new(format!("there is no memory for a list: {error}"));
        let set = Set::of(&config.prefixes)?;
        for (at, entry) in config.prefixes.iter().enumerate() {
            if entry
                .prefixes()
                .any(|prefix| matches!(prefix, IpPrefix::V4(Prefix { len: 0, .. }) | IpPrefix::V6(Prefix { len: 0, .. })))
            {
                setup.warn(&format!("prefixes[{at}]"), "this denies every address there is");
            }
        }
        let table = DenyList {
            ip4: Fib4::new(BLOCK_BYTES).map_err(no_memory)?,
            version: AtomicU64::new(0),
            ip6: Mutex::default(),
            control: Mutex::default(),
            hits: match setup.old::<DenyList>() {
                Some(old) => old.hits.clone(),
                None => (0..setup.workers()).map(|_| Arc::default()).collect(),
            },
        };
        if setup.in_use() || set.len() <= SMALL {
            table.replace(set)?;
        }
        Ok(table)
    }

    fn shard(&self, worker: u32) -> Shard {
        // Nothing waits for a worker that has not started.
        let mut reader = self.ip4.register_reader();
        reader.offline();
        let ip6 = self.current6();
        let hits = self.hits.get(worker as usize).map(Arc::clone).unwrap_or_default();
        Shard { reader, ip6: Arc::clone(&ip6), version: self.version.load(Ordering::Acquire), hits }
    }

    fn rest(&self, shard: &mut Shard) {
        shard.reader.offline();
    }

    fn sync(&self, shard: &mut Shard) {
        shard.reader.quiescent();
        let version = self.version.load(Ordering::Acquire);
        // If control has the pointer just now, the next sweep will find it.
        if version != shard.version
            && let Ok(current) = self.ip6.try_lock()
        {
            // Not the last reference: control keeps one of each set until nobody else has one.
            shard.ip6 = Arc::clone(&current);
            shard.version = version;
        }
    }

    fn follow(&self, _: u16, copy: Copied) {
        let Copied::Addresses(set) = copy else { return };
        let mut control = self.control();
        let ip6 = Arc::clone(&self.current6());
        control.copies.push(set, &self.ip4, &ip6);
    }

    fn figures(&self) -> Vec<Figure> {
        let (prefixes, memory) = ("Prefixes in a list of addresses to deny.", "Memory that a list of addresses to deny takes.");
        let hits = "Packets that were dropped because of a list, by the address that was in it.";
        let (sources, destinations) = self.hits();
        let control = self.control();
        vec![
            Figure::gauge("deny_list_prefixes", prefixes, self.ip4.len() as u64).of("family", "ip4"),
            Figure::gauge("deny_list_prefixes", prefixes, control.ip6.len() as u64).of("family", "ip6"),
            Figure::gauge("deny_list_memory_bytes", memory, self.ip4.memory().total() as u64).of("family", "ip4"),
            Figure::gauge("deny_list_memory_bytes", memory, self.memory6(&control) as u64).of("family", "ip6"),
            Figure::total("deny_list_packets_total", hits, sources).of("address", "source"),
            Figure::total("deny_list_packets_total", hits, destinations).of("address", "destination"),
        ]
    }

    fn command(&self, command: Command) -> Result<Reply, ConfigError> {
        self.carry_out(command)
    }
}
