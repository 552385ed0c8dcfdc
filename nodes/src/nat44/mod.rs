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
mod forwards;
mod mappings;
mod pool;
mod rate;
mod rewrite;
mod saved;
mod settings;
mod statics;
mod view;
mod walk;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::Guard;
use swath_api::flow::word_hash;
use swath_api::prelude::*;
use swath_api::wire::IcmpCause;
use swath_api::{JournalReader, Records, Str};

pub(crate) use act::{Act, Refusal};
pub use control::{Command, Question, Reply, Row};
pub(crate) use flows::{foresee, translated_by};
pub(crate) use rewrite::{address, quote, translate};
pub use settings::Config;
pub(crate) use view::View;
pub(crate) use walk::{Space, Walk};

use crate::sessions::Key4;

use blocks::Note;
use control::Counts;
use datagrams::{Datagrams, First};
use flows::Flows;
use forwards::{Forwards, Known};
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

/// The table.
pub struct Nat44 {
    rules: Rules,
    forwards: Forwards,
    datagrams: Arc<Datagrams>,
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

    /// What is known of addresses outside just now.
    #[inline]
    pub(crate) fn known(&self) -> Guard<Arc<Known>> {
        self.forwards.now()
    }

    /// The table with what is known.
    #[inline]
    pub(crate) fn view<'a>(&'a self, known: &'a Known) -> View<'a> {
        View { table: self, known }
    }

    /// Whether an address is inside.
    pub(crate) fn is_inside(&self, address: u32) -> bool {
        self.rules.inside.iter().any(|prefix| prefix.contains(address))
    }

    /// Whether a packet is from inside and for somebody who is not.
    fn leaves(&self, source: u32, destination: u32) -> bool {
        self.is_inside(source) && !self.is_inside(destination)
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
        made.or_else(|| Flows::new(&self.rules, &self.known(), worker).ok())
    }
}

/// The address of the pool that a host gets.
fn chosen(inside: u32, count: usize) -> usize {
    ((u64::from(word_hash(inside.into(), BY_ADDRESS)) * count as u64) >> 32) as usize
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
             ends with its next packet. So it is with forwards that `swath nat forward` adds and removes. Other time-outs and \
             limits hold for the sessions that are there, too, and nobody loses one to a lower limit. How many sessions there can be, `mapping` and `filtering` \
             cannot change while the table keeps sessions, and no limit of `per-user` can come but `rate`: nobody has counted.",
        )
        .carries("sessions, mappings and ports")
        .reads(&[const { Str::new("show") }, const { Str::new("forwards") }, const { Str::new("outside-of") }, const { Str::new("inside-of") }, const { Str::new("sessions") }, const { Str::new("blocks") }, const { Str::new("save") }])
        .loses("forwards added or removed by commands")
        .example(include_str!("../../examples/nat44.yaml"));
    type Config = Config;
    type Shard = Shard;
    type Command = Command;
    type Reply = Reply;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<Nat44, ConfigError> {
        let (rules, statics) = config.check(setup)?;
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
        let epoch = old.as_ref().map_or(0, |old| old.known().epoch.wrapping_add(1));
        let forwards = Forwards::new(Known::new(&rules.pool, statics, epoch));
        let mut journals = journals.into_iter();
        let flows = (0..workers).map(|worker| {
            let made = Flows::new(&rules, &forwards.now(), worker).map(|flows| flows.noting_in(journals.next()));
            made.map(Some).map_err(|error| ConfigError::at("sessions", format!("there is no memory for so many sessions: {error}")))
        });
        let flows = Mutex::new(flows.collect::<Result<_, _>>()?);
        let datagrams = Datagrams::new(config.fragmented_packets, config.fragment_timeout.nanoseconds());
        let like = old.as_ref().filter(|old| old.datagrams.is_like(&datagrams)).map(|old| Arc::clone(&old.datagrams));
        let datagrams = like.unwrap_or_else(|| Arc::new(datagrams));
        Ok(Nat44 { rules, forwards, datagrams, waiting_fragments: config.waiting_fragments, counts, notes, flows })
    }

    fn shard(&self, worker: u32) -> Shard {
        let counts = self.counts.get(worker as usize).map(Arc::clone).unwrap_or_default();
        Shard { flows: self.take(worker), counts, now: 0 }
    }

    fn adopt(&self, shard: &mut Shard, old: &mut Shard) {
        if let (Some(flows), Some(before)) = (&mut shard.flows, &mut old.flows) {
            flows.adopt(before);
        }
        shard.now = old.now;
    }

    fn sync(&self, shard: &mut Shard) {
        if let Some(flows) = &mut shard.flows {
            flows.sync(&self.rules, &self.known());
        }
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
