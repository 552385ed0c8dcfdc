//! The table `ipfix`: the flows of all workers, and where they go.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use swath_api::prelude::*;
use swath_api::units;
use swath_api::{schemars, serde};

use crate::exporter::{Exported, Exporter, Feed, Target};
use crate::flow::{End, Flow, Seen};
use crate::flows::{Counted, Flows, Tags};
use crate::ipfix::{SHORTEST, interface_number};

/// How often a worker looks for flows that have ended.
pub const LOOK: Duration = Duration::from_millis(20);
/// Places of eight flows that it looks at then, of a table of up to 65,536 flows: all of them in a second.
const PLACES: usize = 164;
/// Flows of a worker, at least and at most.
const ROOM: std::ops::RangeInclusive<u32> = 1024..=1 << 20;

/// What stands beside `kind: ipfix`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(crate = "schemars")]
pub struct Config {
    /// Address and UDP port of the collector: `192.0.2.9:4739`, or `[2001:db8::9]:4739`.
    collector: String,
    /// The address that messages come from; without it the kernel chooses.
    source: Option<IpAddr>,
    /// The observation domain that flows are of, by which a collector tells several exporters at one address apart. Default: 1.
    #[serde(default = "domain")]
    domain: u32,
    /// A flow that has lasted so long is exported, and goes on as another record: 1s to 1d. Default: 60s.
    active_timeout: Option<units::Duration>,
    /// A flow that no packet has come of for so long has ended: 1s to 1d. Default: 15s.
    idle_timeout: Option<units::Duration>,
    /// Flows that each worker has room for, 1024 to 1048576, rounded up to a power of two. Without room the flow that was idle longest goes,
    /// of eight. Default: 65536, which is 4 MiB.
    #[serde(default = "flows")]
    flows: u32,
    /// The longest packet on the way to the collector, IP header included: 512 to 9000. Where that is not known RFC 7011 wants 512. Default: 1500.
    #[serde(default = "mtu")]
    mtu: u16,
    /// How often templates are sent again, for a collector that has started anew: 1s to 1d. Default: 60s.
    templates: Option<units::Duration>,
}

fn domain() -> u32 {
    1
}

fn flows() -> u32 {
    65536
}

fn mtu() -> u16 {
    1500
}

/// Nanoseconds of a duration within its bounds.
fn within(path: &str, duration: Option<units::Duration>, default: u64) -> Result<u64, ConfigError> {
    let nanoseconds = duration.map_or(default * 1_000_000_000, units::Duration::nanoseconds);
    if (1_000_000_000..=86_400_000_000_000).contains(&nanoseconds) {
        Ok(nanoseconds)
    } else {
        Err(ConfigError::at(path, "it is from 1s to 1d"))
    }
}

/// What one worker has counted since the start of the engine.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    packets: u64,
    bytes: u64,
    ignored_packets: u64,
    ignored_bytes: u64,
    begun: u64,
    ended: [u64; End::ALL.len()],
}

impl Tally {
    fn end(&mut self, end: End) {
        let at = End::ALL.iter().position(|(other, _)| *other == end).expect("one of them");
        self.ended[at] += 1;
    }

    fn words(&self) -> [u64; Counts::WORDS] {
        let [idle, active, forced, evicted] = self.ended;
        [self.packets, self.bytes, self.ignored_packets, self.ignored_bytes, self.begun, idle, active, forced, evicted]
    }
}

/// The tally of one worker, for everybody to be read: it alone writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts([AtomicU64; Counts::WORDS]);

impl Counts {
    const WORDS: usize = 5 + End::ALL.len();
}

/// What was counted, which outlives a change of settings.
#[derive(Debug)]
struct Told {
    workers: Box<[Counts]>,
    /// Flows that were left when a shard went, which no worker counts.
    forced: AtomicU64,
    exported: Arc<Exported>,
}

impl Told {
    fn sum(&self) -> [u64; Counts::WORDS] {
        let of = |at: usize| self.workers.iter().map(|counts| counts.0[at].load(Ordering::Relaxed)).sum();
        let mut sums = std::array::from_fn(of);
        sums[FORCED] += self.forced.load(Ordering::Relaxed);
        sums
    }
}

/// Where the flows are that have ended because the table did.
const FORCED: usize = 7;

/// Flows, and where they go.
pub struct Ipfix {
    timeouts: (u64, u64),
    capacity: usize,
    /// None of a table that is not used, and none by a virtual clock.
    exporter: Option<Arc<Exporter>>,
    names: Vec<(u32, String)>,
    told: Arc<Told>,
}

/// The flows of one worker.
pub struct Shard {
    flows: Flows,
    timeouts: (u64, u64),
    places: usize,
    feed: Option<Feed>,
    tally: Tally,
    told: Arc<Told>,
    worker: usize,
}

/// Hands a flow over that has ended. Where nobody exports it has gone anyway.
fn export(feed: &mut Option<Feed>, tally: &mut Tally, flow: &Flow) -> bool {
    let taken = feed.as_mut().is_none_or(|feed| feed.push(flow));
    if taken {
        tally.end(flow.end);
    }
    taken
}

impl Shard {
    /// What hashes begin with.
    pub fn seed(&self) -> u64 {
        self.flows.seed()
    }

    /// What is looked at first when a packet is counted.
    #[inline]
    pub fn tags(&self, seen: &Seen) -> &Tags {
        self.flows.tags(seen)
    }

    /// Counts a packet.
    #[inline]
    pub fn count(&mut self, seen: &Seen, now: u64) {
        let Shard { flows, feed, tally, .. } = self;
        let counted = if seen.bytes == 0 { Counted::Not } else { flows.count(seen, now, |flow| export(feed, tally, flow)) };
        match counted {
            Counted::Not => {
                tally.ignored_packets += 1;
                tally.ignored_bytes += u64::from(seen.bytes);
                return;
            }
            Counted::New | Counted::Evicted => tally.begun += 1,
            Counted::Known => (),
        }
        tally.packets += 1;
        tally.bytes += u64::from(seen.bytes);
    }

    /// Looks at some of the flows, and hands over those that have ended.
    pub fn look(&mut self, now: u64) {
        let Shard { flows, feed, tally, timeouts, places, .. } = self;
        flows.look(*places, now, *timeouts, |flow| export(feed, tally, flow));
    }

    /// Tells everybody what there is to know.
    pub fn tell(&self, now: u64) {
        for (count, word) in self.told.workers[self.worker].0.iter().zip(self.tally.words()) {
            count.store(word, Ordering::Relaxed);
        }
        if let Some(feed) = &self.feed {
            feed.tell(now);
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        let left: Vec<Flow> = self.flows.iter().collect();
        self.told.forced.fetch_add(left.len() as u64, Ordering::Relaxed);
        if let Some(feed) = self.feed.take() {
            feed.leave(left);
        }
    }
}

/// What may be asked.
#[derive(Debug, Deserialize)]
#[serde(crate = "serde", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// What was counted and exported.
    Show {},
}

impl Table for Ipfix {
    const INFO: TableInfo = TableInfo::new("ipfix", "Keeps IPv4 flows, and exports those that have ended by IPFIX.")
        .about(
            "Messages of IPFIX (RFC 7011) by UDP. A flow ends when it is idle or has lasted long, when its room is needed, and when the table \
             ends: then it is exported, once. In tests of graphs and in `swath replay` nothing is sent.",
        )
        .carries("its flows, unless `flows` changes")
        .loses("nothing: the flows that it has are exported")
        .reads(&[swath_api::Str::new("show")]);
    type Config = Config;
    type Shard = Shard;
    type Command = Command;
    type Reply = BTreeMap<String, u64>;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<Ipfix, ConfigError> {
        let collector: SocketAddr = config
            .collector
            .parse()
            .map_err(|_| ConfigError::at("collector", "it is an address and a port: `192.0.2.9:4739`, or `[2001:db8::9]:4739`"))?;
        if collector.port() == 0 {
            return Err(ConfigError::at("collector", "port 0 is nobody's: the usual one is 4739"));
        }
        if config.source.is_some_and(|source| source.is_ipv4() != collector.is_ipv4()) {
            return Err(ConfigError::at("source", "it has to be of the same version as the address of the collector"));
        }
        if !ROOM.contains(&config.flows) {
            return Err(ConfigError::at("flows", format!("each worker has room for {} to {} flows", ROOM.start(), ROOM.end())));
        }
        if !(512..=9000).contains(&config.mtu) {
            return Err(ConfigError::at("mtu", "it is from 512 to 9000 bytes"));
        }
        let timeouts = (within("active-timeout", config.active_timeout, 60)?, within("idle-timeout", config.idle_timeout, 15)?);
        let templates = Duration::from_nanos(within("templates", config.templates, 60)?);
        let target = Target { collector, source: config.source, domain: config.domain, mtu: config.mtu, templates };
        let named = setup.interfaces().iter().zip(0..).filter(|(interface, _)| !interface.is_vacant());
        let names = named.map(|(interface, index)| (interface_number(index), interface.name.clone())).collect();
        let capacity = if setup.in_use() { config.flows.next_power_of_two() as usize } else { 8 };
        let old = setup.old::<Ipfix>().filter(|_| setup.in_use());
        let told = old.as_ref().map_or_else(
            || {
                let workers = (0..setup.workers()).map(|_| Counts::default()).collect();
                Arc::new(Told { workers, forced: AtomicU64::new(0), exported: Arc::default() })
            },
            |old| Arc::clone(&old.told),
        );
        let running = old.as_ref().and_then(|old| old.exporter.as_ref()).filter(|running| *running.target() == target);
        let exporter = match running {
            Some(running) => Some(Arc::clone(running)),
            None if setup.in_use() && !setup.virtual_time() => {
                let started = Exporter::start(target, Arc::clone(&told.exported));
                let exporter = started.map_err(|error| ConfigError::new(format!("no thread to export flows: {error}")))?;
                exporter.names(Vec::clone(&names));
                Some(Arc::new(exporter))
            }
            None => None,
        };
        Ok(Ipfix { timeouts, capacity, exporter, names, told })
    }

    fn shard(&self, worker: u32) -> Shard {
        Shard {
            flows: Flows::new(self.capacity, RandomState::new().hash_one(worker)),
            timeouts: self.timeouts,
            places: PLACES * (self.capacity >> 16).clamp(1, 4),
            feed: self.exporter.as_ref().map(|exporter| exporter.feed()),
            tally: Tally::default(),
            told: Arc::clone(&self.told),
            worker: worker as usize,
        }
    }

    fn succeed(&self, _: &Ipfix) {
        if let Some(exporter) = &self.exporter {
            exporter.names(self.names.clone());
        }
    }

    fn adopt(&self, shard: &mut Shard, old: &mut Shard) {
        shard.tally = old.tally;
        // Otherwise the old ones are exported when the old shard goes.
        if shard.flows.capacity() == old.flows.capacity() {
            std::mem::swap(&mut shard.flows, &mut old.flows);
        }
    }

    fn command(&self, Command::Show {}: Command) -> Result<Self::Reply, ConfigError> {
        let name = |figure: Figure| match figure.of {
            Some((_, of)) => (format!("{}_{of}", figure.name), figure.value),
            None => (figure.name.into_owned(), figure.value),
        };
        Ok(self.figures().into_iter().map(name).collect())
    }

    fn figures(&self) -> Vec<Figure> {
        let sums = self.told.sum();
        let [packets, bytes, ignored_packets, ignored_bytes, begun, ..] = sums;
        let ended = &sums[5..];
        let exported = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Exported { messages, flows, lost, failures } = &*self.told.exported;
        let now = begun.saturating_sub(ended.iter().sum());
        let mut figures = vec![
            Figure::gauge("ipfix_flows", "Flows that are counted now.", now),
            Figure::total("ipfix_packets_total", "Packets that were counted.", packets),
            Figure::total("ipfix_bytes_total", "Bytes that were counted, from the IPv4 header on.", bytes),
            Figure::total(
                "ipfix_ignored_packets_total",
                "Packets that were not counted: no IPv4, or a new flow while no other one could go because the collector cannot be reached.",
                ignored_packets,
            ),
            Figure::total("ipfix_ignored_bytes_total", "Bytes of packets that were not counted.", ignored_bytes),
            Figure::total("ipfix_messages_total", "Messages that were sent.", exported(messages)),
            Figure::total("ipfix_exported_flows_total", "Flows that were sent.", exported(flows)),
            Figure::total("ipfix_lost_flows_total", "Flows that could not be sent before the table ended.", exported(lost)),
            Figure::total(
                "ipfix_failures_total",
                "Messages that could not be sent and were tried again, or that came to nobody.",
                exported(failures),
            ),
        ];
        let ended = End::ALL.iter().zip(ended).map(|((_, reason), count)| {
            Figure::total("ipfix_ended_flows_total", "Flows that have ended, by why.", *count).of("reason", reason)
        });
        figures.extend(ended);
        figures
    }
}

const _: () = assert!(SHORTEST <= 512 - 48);
