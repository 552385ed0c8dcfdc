//! `nat44`: hosts inside are known outside by other addresses and ports (RFC 3022, RFC 4787, RFC 5382, RFC 5508, RFC 7857).
//!
//! A session has two keys, which the zone tells apart: that of packets as they are inside, and that of packets as they are outside. What
//! leaves is looked up by the first, what comes in by the second, and each becomes the other.
//!
//! Whose packet it is (design of the workers): an inside address belongs to one worker, by a hash. Of the ports of each address of the
//! pool every worker has a part, so what comes in says by its port where it belongs. An ICMP error belongs to the worker of what it quotes.

mod act;
mod blocks;
mod control;
mod datagrams;
mod deterministic;
mod flows;
mod mappings;
mod pool;
mod rate;
mod rewrite;
mod saved;
mod settings;
mod statics;
mod walk;

use std::sync::{Arc, Mutex, PoisonError};

use swath_api::flow::word_hash;
use swath_api::prelude::*;
use swath_api::wire::{Header, IcmpCause, IpProtocol, Ipv4, icmp};
use swath_api::{JournalReader, Records, Str};

pub(crate) use act::{Act, Refusal};
pub use control::{Command, Question, Reply, Row};
pub(crate) use rewrite::{address, quote, translate};
pub use settings::Config;
pub(crate) use walk::{Space, Walk};

use crate::sessions::{Event, FlowKey, Key4, Probe, quoted4};

use blocks::Note;
use control::Counts;
use datagrams::{Datagrams, First};
use flows::Flows;
use pool::Ports;
use settings::{Rules, Told};

/// The zone of keys of packets as they are inside.
pub(crate) const INSIDE: u16 = 0;
/// The zone of keys of packets as they are outside.
pub(crate) const OUTSIDE: u16 = 1;
/// Added to the zone of keys of ICMP queries that hosts outside ask, and of their answers: two hosts may ask each other with the same
/// identifier (RFC 5508 §3.2).
const ASKED_OUTSIDE: u16 = 2;

/// What divides inside addresses among workers, and among the addresses of the pool.
const BY_WORKER: u64 = 0x6e61_7434_3401;
const BY_ADDRESS: u64 = 0x6e61_7434_3402;

/// Sessions that one tick looks at.
const LOOKS: usize = 1024;

/// An address and a port, or an ICMP identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The address.
    pub address: u32,
    /// The port.
    pub port: u16,
}

impl From<(u32, u16)> for End {
    #[inline(always)]
    fn from((address, port): (u32, u16)) -> End {
        End { address, port }
    }
}

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// Nothing that is translated.
    Other,
    /// A static mapping, whose other end this is.
    Static(End),
    /// A port of the pool.
    Pool,
}

/// The table.
pub struct Nat44 {
    rules: Rules,
    // Those that hosts inside are known by, in order, with the first and the last of them.
    addresses: Vec<u32>,
    span: (u32, u32),
    datagrams: Arc<Datagrams>,
    // Which rules these are: sessions that others have permitted are asked for again.
    epoch: u16,
    waiting_fragments: usize,
    // By worker.
    counts: Vec<Arc<Counts>>,
    notes: Arc<[Mutex<JournalReader<Note>>]>,
    // Until the workers take them.
    flows: Mutex<Vec<Option<Flows>>>,
}

/// A worker's part; without flows if there is no memory for them.
pub struct Shard {
    flows: Option<Flows>,
    counts: Arc<Counts>,
    now: u64,
}

impl Shard {
    /// Removes what is over, and tells what there is.
    pub(crate) fn tick(&mut self, now: u64) {
        self.now = now;
        if let Some(Flows { sessions, behind, totals, .. }) = &mut self.flows {
            behind.now = now;
            sessions.expire(now, LOOKS, &mut |gone, _| behind.gone(gone));
            if let Some(blocks) = &mut behind.blocks {
                blocks.expire(now, LOOKS);
            }
            self.counts.tell(sessions, behind, totals);
        }
    }
}

impl Nat44 {
    /// How often sessions that are over are removed, and fragments looked at that wait.
    pub(crate) const TICK: std::time::Duration = std::time::Duration::from_millis(5);

    /// Whether an address is inside.
    pub(crate) fn is_inside(&self, address: u32) -> bool {
        self.rules.inside.iter().any(|prefix| prefix.contains(address))
    }

    /// Whether an address is one that hosts inside are known by.
    #[inline(always)]
    pub(crate) fn is_ours(&self, address: u32) -> bool {
        let (first, last) = self.span;
        (first..=last).contains(&address) && self.addresses.binary_search(&address).is_ok()
    }

    /// Whether a packet is from inside and for somebody who is not.
    fn leaves(&self, source: u32, destination: u32) -> bool {
        self.is_inside(source) && !self.is_inside(destination)
    }

    /// What a packet from inside is for.
    fn leaving(&self, probe: &Probe<Key4>, hairpin: bool) -> Target {
        let (source, destination) = (End::from(probe.key.source_end()), probe.key.destination_end().0);
        // The answer to a query for the router itself comes back by the session, too.
        let is_ours = || match probe.key.protocol() {
            IpProtocol::ICMP => self.is_ours(destination),
            _ => self.target(probe) != Target::Other,
        };
        if !self.leaves(source.address, destination) || hairpin && !is_ours() {
            return Target::Other;
        }
        self.rules.statics.outside_of(source, probe.key.protocol()).map_or(Target::Pool, Target::Static)
    }

    /// Whether a session between these ends may be on this worker.
    fn allows(&self, (inside, outside): (End, End), protocol: IpProtocol, worker: u32) -> bool {
        if !self.is_inside(inside.address) {
            return false;
        }
        match self.rules.statics.outside_of(inside, protocol) {
            Some(fixed) => fixed == outside && self.rules.owner_of_inside(inside.address) == Owner::worker(worker),
            None => {
                let place = self.rules.pool.find(outside.address);
                let owner = place.and_then(|place| self.rules.owner_of_port(place, outside.port));
                Ports::has_protocol(protocol) && !self.is_static(outside, protocol) && owner == Some(Owner::worker(worker))
            }
        }
    }

    /// Whether what is outside is that of a static mapping.
    fn is_static(&self, outside: End, protocol: IpProtocol) -> bool {
        self.rules.statics.inside_of(outside, protocol).is_some()
    }

    /// What a packet from outside is for.
    fn target(&self, probe: &Probe<Key4>) -> Target {
        self.target_of(probe.key.destination_end().into(), probe.key.protocol())
    }

    fn target_of(&self, outside: End, protocol: IpProtocol) -> Target {
        if let Some(inside) = self.rules.statics.inside_of(outside, protocol) {
            return Target::Static(inside);
        }
        let place = self.rules.pool.find(outside.address);
        let is_pool = place.is_some_and(|place| self.rules.pool.has(place, outside.port));
        if is_pool && Ports::has_protocol(protocol) { Target::Pool } else { Target::Other }
    }

    /// The probe of a packet that is not plain TCP or UDP.
    fn read_special<const SIDE: u16>(&self, packet: &[u8]) -> Probe<Key4> {
        let probe = Probe::<Key4>::read(packet, SIDE);
        match probe.event {
            Event::IcmpError => self.of_error::<SIDE>(packet),
            Event::Query if SIDE == OUTSIDE => asked_outside(probe),
            Event::Answer if SIDE == INSIDE => asked_outside(probe),
            Event::Malformed => malformed(packet, SIDE),
            _ => probe,
        }
    }

    /// The probe of an ICMP error: its key is that of packets which answer what it quotes.
    fn of_error<const SIDE: u16>(&self, packet: &[u8]) -> Probe<Key4> {
        let none = nobodys(SIDE);
        let Ok((ip, rest)) = Ipv4::parse(packet) else { return none };
        let message = ip.payload(rest);
        let about = about(ip, message, SIDE);
        let concerned = match about {
            Some(key) => self.concerns::<SIDE>(key.source_end().0, key.destination_end().0),
            None => self.concerns::<SIDE>(ip.src_bits(), ip.dst_bits()),
        };
        match about {
            _ if !concerned => none,
            Some(key) if rewrite::is_good_error(message) => Probe { key, event: Event::IcmpError, ..none },
            Some(key) => Probe { key, ..none },
            None => malformed(packet, SIDE),
        }
    }

    /// Whether a packet of these addresses is one to translate.
    fn concerns<const SIDE: u16>(&self, source: u32, destination: u32) -> bool {
        if SIDE == INSIDE { self.leaves(source, destination) } else { self.is_ours(destination) }
    }

    /// What a host is told that gets no port or no session.
    pub(crate) fn refusal(&self) -> IcmpCause {
        match self.rules.refusal {
            Told::Prohibited => IcmpCause::PROHIBITED,
            Told::HostUnreachable => IcmpCause::HOST_UNREACHABLE,
        }
    }

    /// What becomes of a fragment that waits for the first one of its packet: its new address, if that has come.
    pub(crate) fn waited(&self, key: &Key4, now: u64) -> Option<u32> {
        match self.datagrams.find(key, now)? {
            First::Address(address) => Some(address),
            First::At(_) => None,
        }
    }

    /// How many fragments each node keeps that wait for the first one.
    pub(crate) fn waiting_fragments(&self) -> usize {
        self.waiting_fragments
    }

    /// For how many nanoseconds a fragment waits for the first one.
    pub(crate) fn fragment_timeout(&self) -> u64 {
        self.datagrams.timeout()
    }

    /// The worker that a packet from inside belongs to.
    pub(crate) fn owner_inside(&self, packet: &[u8], hairpin: bool) -> Owner {
        let Some((ip, message)) = headers(packet) else { return Owner::ANY };
        let (source, destination) = match about(ip, message, INSIDE) {
            Some(key) => (key.source_end().0, key.destination_end().0),
            None => (ip.src_bits(), ip.dst_bits()),
        };
        let concerned = self.leaves(source, destination) && (!hairpin || self.is_ours(destination));
        if concerned { self.rules.owner_of_inside(source) } else { Owner::ANY }
    }

    /// The worker that a packet from outside belongs to.
    pub(crate) fn owner_outside(&self, packet: &[u8], now: u64) -> Owner {
        let Some((ip, message)) = headers(packet) else { return Owner::ANY };
        if !self.is_ours(ip.dst_bits()) {
            return Owner::ANY;
        }
        let datagram = || fragment_key(packet, OUTSIDE);
        if ip.fragment_offset() > 0 {
            return match self.datagrams.find(&datagram(), now) {
                Some(First::At(owner)) => owner,
                _ => Owner::ANY,
            };
        }
        let key = about(ip, message, OUTSIDE).unwrap_or_else(|| Probe::<Key4>::read(packet, OUTSIDE).key);
        let (outside, protocol) = (End::from(key.destination_end()), key.protocol());
        let owner = match self.rules.statics.inside_of(outside, protocol) {
            Some(inside) => self.rules.owner_of_inside(inside.address),
            None => {
                let place = self.rules.pool.find(outside.address);
                place.and_then(|place| self.rules.owner_of_port(place, outside.port)).unwrap_or(Owner::ANY)
            }
        };
        if ip.more_fragments() && owner != Owner::ANY {
            self.datagrams.on_its_way(&datagram(), owner, now);
        }
        owner
    }

    /// What workers have noted, in the order of time as far as it is read.
    fn read_notes(&self, max: usize) -> Records {
        let mut all = Records { subject: "nat".into(), file: self.rules.block_log.clone(), ..Records::default() };
        for reader in self.notes.iter() {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let left = max - all.records.len();
            all.lost += reader.read(left, |note| all.records.push(note.record()));
        }
        all.more = all.records.len() == max;
        all.records.sort_by_key(|record| record.at);
        all
    }

    fn notes_lost(&self) -> u64 {
        self.notes.iter().map(|reader| reader.lock().unwrap_or_else(PoisonError::into_inner).lost()).sum()
    }

    fn take(&self, worker: u32) -> Option<Flows> {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let made = flows.get_mut(worker as usize).and_then(Option::take);
        made.or_else(|| Flows::new(&self.rules, worker).ok())
    }
}

/// The address of the pool that a host gets.
fn chosen(inside: u32, count: usize) -> usize {
    ((u64::from(word_hash(inside.into(), BY_ADDRESS)) * count as u64) >> 32) as usize
}

fn headers(packet: &[u8]) -> Option<(&Ipv4, &[u8])> {
    let (ip, rest) = Ipv4::parse(packet).ok()?;
    Some((ip, ip.payload(rest)))
}

/// The probe of a packet that is not to be translated.
fn nobodys(side: u16) -> Probe<Key4> {
    Probe { key: Key4::new(0, 0, IpProtocol(0), side), event: Event::Malformed, first_fragment: false }
}

/// Of a query that a host outside asks, or of its answer.
fn asked_outside(probe: Probe<Key4>) -> Probe<Key4> {
    Probe { key: with_zone(probe.key, probe.key.zone() | ASKED_OUTSIDE), ..probe }
}

/// A key with another zone.
fn with_zone(key: Key4, zone: u16) -> Key4 {
    let (source, destination) = (key.source_end(), key.destination_end());
    let addresses = u64::from(source.0) << 32 | u64::from(destination.0);
    Key4::new(addresses, u32::from(source.1) << 16 | u32::from(destination.1), key.protocol(), zone)
}

/// The probe of what no host sends: of its addresses.
fn malformed(packet: &[u8], side: u16) -> Probe<Key4> {
    let addresses = packet.first_chunk().map_or(0, |header| addresses(Ipv4::from_array(header)));
    let key = Key4::new(addresses, 0, IpProtocol(0), side);
    Probe { key, event: Event::Malformed, first_fragment: false }
}

fn addresses(ip: &Ipv4) -> u64 {
    u64::from(ip.src_bits()) << 32 | u64::from(ip.dst_bits())
}

/// What the fragments of a packet are known by.
fn fragment_key(packet: &[u8], side: u16) -> Key4 {
    let ip = packet.first_chunk().map_or(Ipv4::default(), |header| *Ipv4::from_array(header));
    Key4::fragment(addresses(&ip), ip.id(), ip.protocol(), side)
}

/// For an ICMP error, the key of packets that answer what it quotes. Errors that hosts must not be told by others (RFC 5508 REQ-10, RFC 6633)
/// are about nothing, nor is one that is not for the sender of what it quotes (RFC 5927 §4).
fn about(ip: &Ipv4, message: &[u8], side: u16) -> Option<Key4> {
    let told = [icmp::DESTINATION_UNREACHABLE, icmp::TIME_EXCEEDED, icmp::PARAMETER_PROBLEM];
    if ip.protocol() != IpProtocol::ICMP || ip.fragment_offset() > 0 || !told.contains(message.first()?) {
        return None;
    }
    let quote = message.get(8..)?;
    let quoted = quoted4(quote, side)?;
    (quoted.source_end().0 == ip.dst_bits()).then(|| with_zone(quoted.reversed(), side | who_asked(quote, side)))
}

/// [`ASKED_OUTSIDE`] if an error from `side` quotes an ICMP query of a host outside, or an answer to one.
fn who_asked(quote: &[u8], side: u16) -> u16 {
    let Some(ip) = quote.first_chunk().map(Ipv4::from_array) else { return 0 };
    let is_query = quote.get(ip.header_len()).is_some_and(|kind| [icmp::ECHO_REQUEST, icmp::TIMESTAMP].contains(kind));
    // The other side has sent it.
    if ip.protocol() == IpProtocol::ICMP && is_query == (side == INSIDE) { ASKED_OUTSIDE } else { 0 }
}

impl Table for Nat44 {
    const INFO: TableInfo = TableInfo::new("nat44", "Address translation: hosts inside are known outside by addresses of a pool.")
        .about(
            "`nat44-in2out` asks it about packets that leave, `nat44-out2in` about those that come in. TCP, UDP and ICMP queries get a \
             port (an identifier) of a pool address, the same for all peers; it stays the inside one wherever it is free. Sessions are \
             kept by the states of TCP, and by time. ICMP errors are translated with the header that they quote, fragments \
             behind their first one, in any order. Hosts and ports that are `static` are reached from outside. What it does for each \
             requirement of RFC 4787, RFC 5382, RFC 5508 and RFC 7857 is in docs/nat44-rfcs.md.\n\n\
             When settings change, sessions go on: one whose host, pool address, port or static mapping they do not allow any more \
             ends with its next packet. How many sessions there can be, how long they last, `mapping`, `filtering` and `per-user` \
             cannot change while the table keeps sessions.",
        )
        .carries("sessions, mappings and ports")
        .reads(&[const { Str::new("show") }, const { Str::new("outside-of") }, const { Str::new("inside-of") }, const { Str::new("sessions") }, const { Str::new("blocks") }, const { Str::new("save") }])
        .example(include_str!("../../examples/nat44.yaml"));
    type Config = Config;
    type Shard = Shard;
    type Command = Command;
    type Reply = Reply;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<Nat44, ConfigError> {
        let rules = config.check(setup)?;
        let old = setup.old::<Nat44>().filter(|_| setup.in_use());
        old.as_ref().map_or(Ok(()), |old| rules.check_same_stores(&old.rules))?;
        let counts: Vec<Arc<Counts>> = match &old {
            Some(old) => old.counts.clone(),
            None => (0..rules.workers).map(|_| Arc::default()).collect(),
        };
        // Whether there is memory is to be known before packets come.
        let workers = if setup.in_use() { rules.workers } else { 0 };
        let mut journals = Vec::new();
        let notes = match &old {
            Some(old) => Arc::clone(&old.notes),
            None if rules.port_blocks.is_none() => Arc::default(),
            None => {
                let (made, readers): (Vec<_>, Vec<_>) = (0..workers).map(|_| blocks::notes()).unzip();
                journals = made;
                readers.into_iter().map(Mutex::new).collect()
            }
        };
        let mut journals = journals.into_iter();
        let flows = (0..workers).map(|worker| {
            let made = Flows::new(&rules, worker).map(|flows| flows.noting_in(journals.next()));
            made.map(Some).map_err(|error| ConfigError::at("sessions", format!("there is no memory for so many sessions: {error}")))
        });
        let flows = Mutex::new(flows.collect::<Result<_, _>>()?);
        let datagrams = Datagrams::new(config.fragmented_packets, config.fragment_timeout.nanoseconds());
        let known = old.as_ref().filter(|old| old.datagrams.is_like(&datagrams)).map(|old| Arc::clone(&old.datagrams));
        let datagrams = known.unwrap_or_else(|| Arc::new(datagrams));
        let epoch = old.as_ref().map_or(0, |old| old.epoch.wrapping_add(1));
        let mut addresses: Vec<u32> = rules.pool.addresses().iter().map(|entry| entry.address).collect();
        addresses.extend(rules.statics.addresses());
        addresses.sort_unstable();
        addresses.dedup();
        let span = addresses.first().copied().zip(addresses.last().copied()).unwrap_or((1, 0));
        Ok(Nat44 { rules, addresses, span, datagrams, epoch, waiting_fragments: config.waiting_fragments, counts, notes, flows })
    }

    fn shard(&self, worker: u32) -> Shard {
        let counts = self.counts.get(worker as usize).map(Arc::clone).unwrap_or_default();
        Shard { flows: self.take(worker), counts, now: 0 }
    }

    fn adopt(&self, shard: &mut Shard, old: &mut Shard) {
        if let (Some(flows), Some(before)) = (&mut shard.flows, &mut old.flows) {
            flows.adopt(before, self.epoch);
        }
        shard.now = old.now;
    }

    fn command(&self, command: Command) -> Result<Reply, ConfigError> {
        self.carry_out(command)
    }

    fn figures(&self) -> Vec<Figure> {
        control::figures(&self.counts, self.rules.capacity, self.rules.port_blocks.is_some(), self.notes_lost())
    }

    fn records(&self, max: usize) -> Records {
        self.read_notes(max)
    }

    fn state_file(&self) -> Option<&str> {
        self.rules.persist.as_deref()
    }
}
