//! The table `dns-counts`: queries by type, of all workers.

use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::prelude::*;
use swath_api::serde;

/// Types that are counted by name, RFC 1035 and those that followed; all others are `other`.
const TYPES: [(u16, &str); 12] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (48, "DNSKEY"),
    (65, "HTTPS"),
    (255, "ANY"),
];
/// Behind them: all others.
const OTHER: usize = TYPES.len();

/// What one worker has counted: it alone writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counted([AtomicU64; OTHER + 1]);

impl Counted {
    /// One query more.
    #[inline]
    pub fn add(&self, of_type: u16) {
        let count = &self.0[TYPES.iter().position(|(number, _)| *number == of_type).unwrap_or(OTHER)];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// Queries by type.
#[derive(Debug)]
pub struct Counts {
    // By worker. Other settings, of which there are none, or other workers make another table: it shares what was counted.
    workers: std::sync::Arc<[Counted]>,
}

impl Counts {
    /// Of one worker.
    #[inline]
    pub fn of(&self, worker: usize) -> &Counted {
        &self.workers[worker]
    }

    fn sum(&self, at: usize) -> u64 {
        self.workers.iter().map(|counted| counted.0[at].load(Ordering::Relaxed)).sum()
    }
}

/// What may be asked.
#[derive(Debug, Deserialize)]
#[serde(crate = "serde", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Queries by type.
    Show {},
}

impl Table for Counts {
    const INFO: TableInfo = TableInfo::new("dns-counts", "Counts DNS queries by type.")
        .ignores_interfaces()
        .carries("what was counted")
        .reads(&[swath_api::Str::new("show")]);
    type Config = NoConfig;
    type Shard = ();
    type Command = Command;
    type Reply = std::collections::BTreeMap<&'static str, u64>;
    const STATE_VERSION: u32 = 1;

    fn new(_: NoConfig, setup: &mut TableSetup<'_>) -> Result<Counts, ConfigError> {
        let fresh = || (0..setup.workers()).map(|_| Counted::default()).collect();
        let workers = setup.old::<Counts>().map_or_else(fresh, |old| std::sync::Arc::clone(&old.workers));
        Ok(Counts { workers })
    }

    fn shard(&self, _: u32) {}

    fn command(&self, Command::Show {}: Command) -> Result<Self::Reply, ConfigError> {
        let named = TYPES.iter().map(|(_, name)| *name).chain(["other"]).enumerate();
        Ok(named.map(|(at, name)| (name, self.sum(at))).filter(|(_, count)| *count > 0).collect())
    }

    fn figures(&self) -> Vec<Figure> {
        let named = TYPES.iter().map(|(_, name)| *name).chain(["other"]).enumerate();
        let figure = |(at, name): (usize, &'static str)| {
            Figure::total("dns_queries_total", "DNS queries that have passed, by type.", self.sum(at)).of("type", name)
        };
        named.map(figure).collect()
    }

    // The sums: which worker has counted what is nobody's business later. What workers count from then on in the old build is lost.
    fn save(&self, shard: Option<&mut ()>, _: u64, piece: &mut Vec<u8>) -> Option<u64> {
        if shard.is_none() {
            (0..=OTHER).for_each(|at| piece.extend(self.sum(at).to_le_bytes()));
        }
        None
    }

    fn restore(&self, shard: Option<&mut ()>, version: u32, piece: &[u8]) -> Result<(), ConfigError> {
        if shard.is_some() {
            return Ok(());
        }
        let (counts, []) = piece.as_chunks::<8>() else { return Err(ConfigError::new("this is no list of counts")) };
        if version != 1 || counts.len() != OTHER + 1 {
            return Err(ConfigError::new(format!("counts of version {version} are not known")));
        }
        let first = self.workers.first().into_iter().flat_map(|counted| &counted.0);
        first.zip(counts).for_each(|(count, saved)| count.store(u64::from_le_bytes(*saved), Ordering::Relaxed));
        Ok(())
    }
}
