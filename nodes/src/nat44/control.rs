//! What a table tells of its sessions, in numbers and one by one.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::SLICE;
use swath_api::prelude::*;
use swath_api::units::Duration;
use swath_api::wire::IpProtocol;

use crate::sessions::{Filter, Flow, FlowKey, Key4, Record, Sessions, State};

use super::blocks::{BlockCounts, GivenBlock};
use super::deterministic::{Block, Deterministic};
use super::flows::{Behind, Flows, Refused4, is_of_inside};
use super::forwards::{self, Outside};
use super::saved::{self, NOT_TAKEN, Restored};
use super::settings::{Filtering, Forward, Mapping, Pooling};
use super::{End, Nat44, Shard};

/// The position of a slice in which a worker says where its sessions go on: behind all places.
const PART_ENDS: u64 = 1 << 32;

/// Sessions of one answer, if the question does not say.
const LISTED: usize = 1000;
/// From this bit on the position of a list says how many sessions are in it: what is only counted is no row of its own.
const LISTED_AT: u32 = 33;

/// What a worker tells of its sessions. It alone writes.
#[derive(Debug, Default)]
pub(super) struct Counts {
    by_protocol: [AtomicU64; 4],
    gauges: [AtomicU64; GAUGES.len()],
    totals: [AtomicU64; TOTALS.len()],
    block_gauges: [AtomicU64; BLOCK_GAUGES.len()],
    block_totals: [AtomicU64; BLOCK_TOTALS.len()],
}

const PROTOCOLS: [&str; 4] = ["tcp", "udp", "icmp", "other"];

const GAUGES: [(&str, &str); 3] = [
    ("nat44_mappings", "Inside addresses and ports that have an address and port outside; endpoint-independent mapping only."),
    ("nat44_ports", "Ports of the pool, for TCP, UDP and ICMP each."),
    ("nat44_ports_free", "Ports of the pool that nobody has; with endpoint-dependent mapping all of them are anybody's."),
];

/// Of ports in blocks alone.
const BLOCK_GAUGES: [(&str, &str); 2] = [
    ("nat44_port_blocks", "Blocks of ports that hosts may get."),
    ("nat44_port_blocks_given", "Blocks of ports that hosts have, those included that are kept for the hold-off."),
];

const BLOCK_TOTALS: [(&str, &str); 2] = [
    ("nat44_port_blocks_allocated_total", "Blocks of ports given to hosts."),
    ("nat44_port_blocks_released_total", "Blocks of ports taken back from hosts."),
];

const TOTALS: [(&str, &str); 9] = [
    ("nat44_opened_sessions_total", "Sessions opened."),
    ("nat44_expired_sessions_total", "Sessions that were silent for too long."),
    ("nat44_evicted_sessions_total", "Sessions that gave way to new ones because the table was full."),
    ("nat44_ended_sessions_total", "Sessions ended by command."),
    ("nat44_exhausted_ports_total", "Packets that found no port."),
    ("nat44_exhausted_sessions_total", "Packets that found no room for a session, because none gave way."),
    ("nat44_user_limit_total", "Packets of inside addresses that have as much as they may."),
    ("nat44_user_rate_total", "Packets of inside addresses that open sessions faster than they may."),
    ("nat44_filtered_total", "Packets from outside to a mapping that may not be answered by their sender."),
];

impl Counts {
    pub(super) fn tell(&self, sessions: &Sessions<Key4>, behind: &Behind, refused: &Refused4) {
        let by_protocol = sessions.by_protocol().map(u64::from);
        let (free, ports) = behind.ports.count();
        let gauges = [behind.mappings.len().into(), ports, free];
        let totals = sessions.totals();
        let Refused4 { ports, sessions, user, rate, filtered } = *refused;
        let totals = [totals.opened, totals.expired, totals.evicted, totals.removed, ports, sessions, user, rate, filtered];
        let tell =
            |told: &[AtomicU64], now: &[u64]| told.iter().zip(now).for_each(|(told, now)| told.store(*now, Ordering::Relaxed));
        tell(&self.by_protocol, &by_protocol);
        tell(&self.gauges, &gauges);
        tell(&self.totals, &totals);
        if let Some(blocks) = &behind.blocks {
            let BlockCounts { all, given, allocated, released } = blocks.counts();
            tell(&self.block_gauges, &[all, given]);
            tell(&self.block_totals, &[allocated, released]);
        }
    }
}

/// The figures of all workers.
pub(super) fn figures(workers: &[Arc<Counts>], capacity: u32, in_blocks: bool, lost: u64) -> Vec<Figure> {
    let sum = |of: &dyn Fn(&Counts) -> &AtomicU64| workers.iter().map(|counts| of(counts).load(Ordering::Relaxed)).sum();
    let known = "Sessions, those included that are over and not removed yet.";
    let of = |(index, name)| Figure::gauge("nat44_sessions", known, sum(&|counts| &counts.by_protocol[index])).of("protocol", name);
    let mut figures: Vec<Figure> = (0..).zip(PROTOCOLS).map(of).collect();
    figures.push(Figure::gauge("nat44_sessions_capacity", "Sessions that there can be.", capacity.into()));
    let gauges = GAUGES.iter().enumerate();
    figures.extend(gauges.map(|(index, (name, help))| Figure::gauge(name, help, sum(&|counts| &counts.gauges[index]))));
    let totals = TOTALS.iter().enumerate();
    figures.extend(totals.map(|(index, (name, help))| Figure::total(name, help, sum(&|counts| &counts.totals[index]))));
    if in_blocks {
        let gauges = BLOCK_GAUGES.iter().enumerate();
        figures.extend(gauges.map(|(index, (name, help))| Figure::gauge(name, help, sum(&|counts| &counts.block_gauges[index]))));
        let totals = BLOCK_TOTALS.iter().enumerate();
        figures.extend(totals.map(|(index, (name, help))| Figure::total(name, help, sum(&|counts| &counts.block_totals[index]))));
        let help = "Blocks given or taken back that are not in the log, because it was not written fast enough.";
        figures.push(Figure::total("nat44_log_lost_total", help, lost));
    }
    figures
}

/// What the control side may ask.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Says how large the table is.
    Show {},
    /// Lists hosts and ports that are reached from outside, as `static` of the settings and commands have made them.
    Forwards {},
    /// Adds a host or a port that is reached from outside, as one of `static`. A session that has its port ends with its next packet.
    AddForward(Forward),
    /// Removes one, of the settings, too. Its sessions end with their next packets.
    RemoveForward(Outside),
    /// With `deterministic`: the address and ports outside of an inside address.
    OutsideOf {
        /// The inside address.
        inside: Ipv4Addr,
    },
    /// With `deterministic`: whose an address and port outside are.
    InsideOf {
        /// Address and port, `203.0.113.2:20000`.
        outside: SocketAddrV4,
    },
}

/// What may be asked of the sessions of all workers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// Lists sessions.
    Sessions {
        /// Which; all that every given word fits.
        #[serde(default)]
        which: Filter,
        /// Sessions of the answer, at most.
        #[serde(default = "listed")]
        limit: usize,
    },
    /// With `port-blocks`: lists the blocks that hosts have.
    Blocks {
        /// Those of this inside address. Default: of all.
        #[serde(default)]
        inside: Option<Ipv4Addr>,
        /// The one of this address and port outside. Default: all.
        #[serde(default)]
        outside: Option<SocketAddrV4>,
    },
    /// Sessions of a worker, to be saved: a part of them.
    Save {
        /// Which worker.
        worker: u32,
        /// Where to begin: 0, and then what the last answer says.
        #[serde(default)]
        from: u32,
    },
    /// Takes sessions in that were saved, with their mappings, if the settings allow them. None that is there gives way.
    Restore {
        /// Those, as saved.
        sessions: Vec<Record>,
        /// How long ago.
        elapsed: Duration,
    },
    /// Ends sessions. Their ports are free when they were the last of a mapping.
    EndSessions {
        /// Which; all that every given word fits.
        which: Filter,
    },
}

fn listed() -> usize {
    LISTED
}

/// A session, a block, or a number of sessions.
#[derive(Debug)]
pub enum Row {
    /// A block.
    Block(ShownBlock),
    /// Where a worker's sessions go on.
    Next(u32),
    /// What has become of sessions.
    Restored(Restored),
    /// One.
    Session(Record),
    /// So many that are not listed.
    More(u64),
    /// So many have ended.
    Ended(u64),
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Sizes.
    #[serde(rename_all = "kebab-case")]
    Table {
        /// Sessions that there are, as of the last tick of each worker.
        sessions: u64,
        /// Sessions that there can be.
        capacity: u32,
        /// Mappings that there are.
        mappings: u64,
        /// Addresses of the pool.
        addresses: usize,
        /// Ports of the pool that nobody has, of the three protocols together.
        ports_free: u64,
        /// All of those.
        ports: u64,
        /// How ports are given.
        mapping: Mapping,
        /// Who may answer.
        filtering: Filtering,
        /// Which address a host gets.
        pooling: Pooling,
        /// Whether ports follow from inside addresses.
        deterministic: bool,
        /// With `port-blocks`: blocks that hosts have, and all of them.
        #[serde(skip_serializing_if = "Option::is_none")]
        port_blocks: Option<[u64; 2]>,
    },
    /// Done.
    Done {},
    /// Hosts and ports that are reached from outside, in the order in which they were made.
    Forwards {
        /// Those.
        forwards: Vec<forwards::Shown>,
    },
    /// The ports of an inside address: what `outside-of` and `inside-of` say.
    #[serde(rename_all = "kebab-case")]
    Ports {
        /// The inside address.
        inside: Ipv4Addr,
        /// Its address outside.
        outside: Ipv4Addr,
        /// The first of its ports, of TCP, UDP and ICMP each.
        first_port: u16,
        /// The last of them.
        last_port: u16,
    },
    /// Sessions.
    Sessions {
        /// How many there are of what was asked for.
        found: u64,
        /// Those, as many as were asked for.
        sessions: Vec<Shown>,
    },
    /// A part of a worker's sessions.
    #[serde(rename_all = "kebab-case")]
    Saved {
        /// How many workers there are.
        workers: u32,
        /// Where to go on, if there are more.
        next: Option<u32>,
        /// Sessions as they are now.
        sessions: Vec<Record>,
    },
    /// What has become of sessions that were saved.
    #[serde(rename_all = "kebab-case")]
    Restored {
        /// Those that were taken in.
        restored: u64,
        /// Those that were not, by reason.
        not_taken: BTreeMap<&'static str, u64>,
    },
    /// Blocks of ports, by inside address.
    Blocks {
        /// Those.
        blocks: Vec<ShownBlock>,
    },
    /// How many sessions were ended.
    Ended {
        /// Sessions.
        sessions: u64,
    },
}

/// A block of ports as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShownBlock {
    /// Who has it.
    inside: Ipv4Addr,
    /// The address outside.
    outside: Ipv4Addr,
    /// The first of its ports, of TCP, UDP and ICMP each.
    first_port: u16,
    /// The last of them.
    last_port: u16,
    /// Mappings that it has: with none it is kept for the hold-off.
    mappings: u32,
}

/// A session as it is told.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its packets from inside, as they are there: `10.0.0.5:4000 > 192.0.2.1:53 udp`. Of ICMP queries, ports are the identifier.
    flow: String,
    /// What the inside end is outside.
    outside: String,
    /// Whether its first packet came from outside.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    inbound: bool,
    /// Where it stands.
    state: State,
    /// How long it has been there.
    age: Duration,
    /// How long ago a packet prolonged it.
    idle: Duration,
}

impl Nat44 {
    pub(super) fn carry_out(&self, command: Command) -> Result<Reply, ConfigError> {
        match command {
            Command::Show {} => Ok(self.show()),
            Command::Forwards {} => Ok(Reply::Forwards { forwards: self.forwards.list() }),
            Command::AddForward(forward) => self.forwards.add(&forward, &self.rules).map(|()| Reply::Done {}),
            Command::RemoveForward(which) => self.forwards.remove(&which, &self.rules).map(|()| Reply::Done {}),
            Command::OutsideOf { inside } => self.ports_of(inside),
            Command::InsideOf { outside } => {
                let all = self.deterministic()?;
                let pool = &self.rules.pool;
                let place = pool.find(outside.ip().to_bits());
                let inside = place.and_then(|place| all.of_outside(place, outside.port(), pool));
                let nobodys = || ConfigError::at("outside", format!("`{outside}` is nobody's"));
                self.ports_of(inside.map(Ipv4Addr::from_bits).ok_or_else(nobodys)?)
            }
        }
    }

    fn deterministic(&self) -> Result<&Deterministic, ConfigError> {
        let text = "ports follow from inside addresses only with `deterministic`";
        self.rules.deterministic.as_ref().ok_or_else(|| ConfigError::new(text))
    }

    fn ports_of(&self, inside: Ipv4Addr) -> Result<Reply, ConfigError> {
        let pool = &self.rules.pool;
        let block = self.deterministic()?.of_inside(inside.to_bits(), pool);
        let Block { place, first, last } = block.ok_or_else(|| ConfigError::at("inside", format!("`{inside}` is not inside")))?;
        let outside = Ipv4Addr::from_bits(pool.addresses()[place].address);
        Ok(Reply::Ports { inside, outside, first_port: first, last_port: last })
    }

    fn show(&self) -> Reply {
        let sum = |of: &dyn Fn(&Counts) -> u64| self.counts.iter().map(|counts| of(counts)).sum::<u64>();
        let gauge = |index: usize| sum(&|counts| counts.gauges[index].load(Ordering::Relaxed));
        Reply::Table {
            sessions: sum(&|counts| counts.by_protocol.iter().map(|count| count.load(Ordering::Relaxed)).sum()),
            capacity: self.rules.capacity,
            mappings: gauge(0),
            addresses: self.rules.pool.addresses().len(),
            ports_free: gauge(2),
            ports: gauge(1),
            mapping: self.rules.mapping,
            filtering: self.rules.filtering,
            pooling: self.rules.pooling,
            deterministic: self.rules.deterministic.is_some(),
            port_blocks: self.rules.port_blocks.map(|_| {
                let gauge = |index: usize| sum(&|counts| counts.block_gauges[index].load(Ordering::Relaxed));
                [gauge(1), gauge(0)]
            }),
        }
    }
}

impl Sharded for Nat44 {
    type Question = Question;
    type Row = Row;

    fn visit(&self, shard: &mut Shard, question: &Question, at: u64, rows: &mut Rows<Row>) -> Option<u64> {
        let (now, place) = (shard.now, at as u32);
        if let Question::Restore { sessions, elapsed } = question {
            let first = (at as usize).min(sessions.len());
            let slice = &sessions[first..(first + SLICE).min(sessions.len())];
            rows.push(Row::Restored(self.restore(shard.flows.as_mut()?, slice, *elapsed, now)));
            return (first + SLICE < sessions.len()).then_some((first + SLICE) as u64);
        }
        let Flows { sessions, behind, worker: ours, .. } = shard.flows.as_mut()?;
        let next = match question {
            Question::Sessions { which, limit } => {
                let mut listed = at >> LISTED_AT;
                let room = limit.saturating_sub(listed as usize);
                let (more, next) = sessions.list_some(place, now, which, room, |_, record| {
                    listed += 1;
                    rows.push(Row::Session(record));
                });
                if more > 0 {
                    rows.push(Row::More(more));
                }
                return next.map(|next| listed << LISTED_AT | u64::from(next));
            }
            Question::Save { worker, .. } if worker != ours => None,
            Question::Save { from, .. } if at == PART_ENDS => {
                let end = saved::end_of_part(*from);
                if end < sessions.places() {
                    rows.push(Row::Next(end));
                }
                None
            }
            Question::Save { from, .. } => {
                let push = |_, record| rows.push(Row::Session(saved::saved(record)));
                let next = sessions.list(place.max(*from), now, &Filter::default(), push);
                let next = next.filter(|next| *next < saved::end_of_part(*from));
                // A slice of its own, for this one may be full.
                return Some(next.map_or(PART_ENDS, u64::from));
            }
            Question::Restore { .. } => None,
            Question::Blocks { inside, outside } => {
                let fits = |block: &ShownBlock| {
                    let ports = block.first_port..=block.last_port;
                    inside.is_none_or(|inside| inside == block.inside)
                        && outside.is_none_or(|end| *end.ip() == block.outside && ports.contains(&end.port()))
                };
                let shown = |block: GivenBlock| ShownBlock {
                    inside: Ipv4Addr::from_bits(block.inside),
                    outside: Ipv4Addr::from_bits(block.outside),
                    first_port: block.first,
                    last_port: block.last,
                    mappings: block.mappings,
                };
                let mut push = |block| Some(shown(block)).filter(fits).into_iter().for_each(|block| rows.push(Row::Block(block)));
                behind.blocks.as_ref()?.list(place, SLICE as u32, &mut push)
            }
            Question::EndSessions { which } => {
                behind.now = now;
                let mut ended = 0;
                let next = sessions.remove_where(place, which, &mut |session, _| {
                    behind.gone(session);
                    ended += 1;
                });
                rows.push(Row::Ended(ended));
                next
            }
        };
        next.map(u64::from)
    }

    fn answer(&self, question: Question, rows: Vec<Vec<Row>>) -> Result<Reply, ConfigError> {
        let limit = match question {
            Question::Sessions { limit, .. } => limit,
            Question::EndSessions { .. } => {
                let ended = rows.iter().flatten().map(|row| if let Row::Ended(ended) = row { *ended } else { 0 });
                return Ok(Reply::Ended { sessions: ended.sum() });
            }
            Question::Save { .. } => {
                let (mut next, mut sessions) = (None, Vec::new());
                rows.into_iter().flatten().for_each(|row| match row {
                    Row::Session(record) => sessions.push(record),
                    Row::Next(place) => next = Some(place),
                    _ => {}
                });
                return Ok(Reply::Saved { workers: self.rules.workers, next, sessions });
            }
            Question::Restore { .. } => {
                let mut sum = Restored::default();
                rows.iter().flatten().for_each(|row| {
                    if let Row::Restored(more) = row {
                        sum.add(more)
                    }
                });
                let reasons = NOT_TAKEN.iter().copied().zip(sum.not_taken).filter(|(_, count)| *count > 0);
                return Ok(Reply::Restored { restored: sum.taken, not_taken: reasons.collect() });
            }
            Question::Blocks { .. } if self.rules.port_blocks.is_none() => {
                return Err(ConfigError::new("hosts have blocks of ports only with `port-blocks`"));
            }
            Question::Blocks { .. } => {
                let blocks =
                    rows.into_iter().flatten().filter_map(|row| if let Row::Block(block) = row { Some(block) } else { None });
                let mut blocks: Vec<ShownBlock> = blocks.collect();
                blocks.sort_unstable();
                return Ok(Reply::Blocks { blocks });
            }
        };
        let mut found = 0;
        let mut sessions = Vec::new();
        for row in rows.into_iter().flatten() {
            match row {
                Row::More(more) => found += more,
                Row::Session(record) => {
                    found += 1;
                    sessions.extend(Some(record).filter(|_| sessions.len() < limit).and_then(|record| shown(&record)));
                }
                _ => {}
            }
        }
        Ok(Reply::Sessions { found, sessions })
    }
}

fn shown(record: &Record) -> Option<Shown> {
    let (forward, reverse) = (Key4::of(&record.forward)?, Key4::of(record.reverse.as_ref()?)?);
    let inbound = !is_of_inside(&forward);
    let (inside, outside) = if inbound { (reverse, forward) } else { (forward, reverse) };
    let (flow, end) = (Flow { zone: 0, ..inside.flow() }, End::from(outside.destination_end()));
    let address = Ipv4Addr::from_bits(end.address);
    let has_port = [IpProtocol::TCP, IpProtocol::UDP, IpProtocol::ICMP, IpProtocol::SCTP].contains(&inside.protocol());
    let outside = if has_port { SocketAddrV4::new(address, end.port).to_string() } else { address.to_string() };
    Some(Shown { flow: flow.to_string(), outside, inbound, state: record.state, age: record.age, idle: record.idle })
}
