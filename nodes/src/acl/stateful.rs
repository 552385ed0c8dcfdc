//! A worker's sessions, and what control asks of those of all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::prelude::*;
use swath_api::units::Duration;

use crate::sessions::{Filter, Record, Settings, State, Totals};

use super::control::Reply;
use super::flows::Flows;
use super::{Acl, Shard};

/// Sessions that one tick looks at, of each version of IP.
const LOOKS: usize = 1024;
/// Sessions of one answer, if the question does not say.
const LISTED: usize = 1000;
/// Positions of a question from here on are of IPv6.
const OF_IP6: u64 = 1 << 32;
/// From this bit on a position says how many sessions are listed: what is only counted is no row of its own.
const LISTED_AT: u32 = 33;

/// The sessions of one worker.
pub struct Stores {
    pub(super) ip4: Flows<u32>,
    pub(super) ip6: Flows<u128>,
    /// When the worker has looked last.
    pub(super) now: u64,
    counts: Arc<Counts>,
}

/// What a worker tells of its sessions. It alone writes.
#[derive(Debug, Default)]
pub(super) struct Counts {
    by_protocol: [AtomicU64; 4],
    totals: [AtomicU64; TOTALS.len()],
}

const PROTOCOLS: [&str; 4] = ["tcp", "udp", "icmp", "other"];

/// Name, what it means, and the number: from the totals of the sessions, and from the packets that have passed.
type Total = (&'static str, &'static str, fn(&Totals, u64) -> u64);

const TOTALS: [Total; 7] = [
    ("acl_session_packets_total", "Packets that have passed because they belong to a session.", |_, passed| passed),
    ("acl_opened_sessions_total", "Sessions opened.", |totals, _| totals.opened),
    ("acl_expired_sessions_total", "Sessions that were silent for too long.", |totals, _| totals.expired),
    ("acl_evicted_sessions_total", "Sessions that gave way to new ones because the table was full.", |totals, _| totals.evicted),
    ("acl_ended_sessions_total", "Sessions ended by command, or because rules do not permit them any more.", |totals, _| {
        totals.removed
    }),
    ("acl_source_limit_sessions_total", "Sessions refused because of the limit of their source.", |totals, _| totals.source_limit),
    ("acl_full_sessions_total", "Sessions refused because none gave way.", |totals, _| totals.full),
];

impl Stores {
    pub(super) fn new(settings: Settings, fragmented_packets: u32, counts: &Arc<Counts>) -> std::io::Result<Stores> {
        let (ip4, ip6) = (Flows::new(settings, fragmented_packets)?, Flows::new(settings, fragmented_packets)?);
        Ok(Stores { ip4, ip6, now: 0, counts: Arc::clone(counts) })
    }

    /// Goes on with the settings that others were made with, which stay empty.
    pub(super) fn take_settings(&mut self, other: &mut Stores) {
        self.ip4.take_settings(&mut other.ip4, self.now);
        self.ip6.take_settings(&mut other.ip6, self.now);
    }

    /// Removes what is over, and tells what there is.
    pub(super) fn tick(&mut self, now: u64) {
        self.now = now;
        self.ip4.expire(now, LOOKS);
        self.ip6.expire(now, LOOKS);
        let (ip4, ip6) = (self.ip4.sessions(), self.ip6.sessions());
        let by_protocol = ip4.by_protocol().into_iter().zip(ip6.by_protocol()).map(|(a, b)| u64::from(a) + u64::from(b));
        self.counts.by_protocol.iter().zip(by_protocol).for_each(|(told, now)| told.store(now, Ordering::Relaxed));
        let totals = [(ip4.totals(), self.ip4.passed), (ip6.totals(), self.ip6.passed)];
        // Each is stored once: who reads in the meantime must not see one go back.
        for (told, (_, _, of)) in self.counts.totals.iter().zip(&TOTALS) {
            told.store(totals.iter().map(|(totals, passed)| of(totals, *passed)).sum(), Ordering::Relaxed);
        }
    }
}

/// The figures of all workers.
pub(super) fn figures(workers: &[Arc<Counts>], capacity: u32) -> Vec<Figure> {
    let sum = |of: &dyn Fn(&Counts) -> &AtomicU64| workers.iter().map(|counts| of(counts).load(Ordering::Relaxed)).sum();
    let known = "Sessions, those included that are over and not removed yet.";
    let of = |(index, name)| Figure::gauge("acl_sessions", known, sum(&|counts| &counts.by_protocol[index])).of("protocol", name);
    let mut figures: Vec<Figure> = (0..).zip(PROTOCOLS).map(of).collect();
    figures.push(Figure::gauge("acl_sessions_capacity", "Sessions that there can be of each version of IP.", capacity.into()));
    let totals = TOTALS.iter().enumerate();
    figures.extend(totals.map(|(index, (name, help, _))| Figure::total(name, help, sum(&|counts| &counts.totals[index]))));
    figures
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
    /// Ends sessions. Their next packets ask the rules again.
    EndSessions {
        /// Which; all that every given word fits.
        which: Filter,
    },
}

fn listed() -> usize {
    LISTED
}

/// A session, or a number of them.
#[derive(Debug)]
pub enum Row {
    /// One, and the interface of its first packet.
    Session(Record, u16),
    /// So many that are not listed.
    More(u64),
    /// So many have ended.
    Ended(u64),
}

/// A session as it is told.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its first packet, as `10.0.0.5:4000 > 192.0.2.1:53 udp`. Of ICMP queries, ports are the identifier.
    flow: String,
    /// Where it stands.
    state: State,
    /// How long it has been there.
    age: Duration,
    /// How long ago a packet prolonged it.
    idle: Duration,
    /// The interface that its first packet came in by.
    #[serde(skip_serializing_if = "Option::is_none")]
    rx: Option<String>,
}

impl Sharded for Acl {
    type Question = Question;
    type Row = Row;

    fn visit(&self, shard: &mut Shard, question: &Question, at: u64, rows: &mut Rows<Row>) -> Option<u64> {
        let stores = shard.stores.as_mut()?;
        let (now, place, is_ip6, mut listed) = (stores.now, at as u32, at & OF_IP6 != 0, at >> LISTED_AT);
        let next = match question {
            Question::Sessions { which, limit } => {
                let room = limit.saturating_sub(listed as usize);
                let push = |record, rx| {
                    listed += 1;
                    rows.push(Row::Session(record, rx));
                };
                let (more, next) = match is_ip6 {
                    false => stores.ip4.list(place, now, which, room, push),
                    true => stores.ip6.list(place, now, which, room, push),
                };
                if more > 0 {
                    rows.push(Row::More(more));
                }
                next
            }
            Question::EndSessions { which } => {
                let mut ended = 0;
                let next = match is_ip6 {
                    false => stores.ip4.remove(place, which, &mut ended),
                    true => stores.ip6.remove(place, which, &mut ended),
                };
                rows.push(Row::Ended(ended));
                next
            }
        };
        let listed = listed << LISTED_AT;
        match next {
            Some(next) => Some(listed | at & OF_IP6 | u64::from(next)),
            None => (!is_ip6).then_some(listed | OF_IP6),
        }
    }

    fn answer(&self, question: Question, rows: Vec<Vec<Row>>) -> Result<Reply, ConfigError> {
        let Question::Sessions { limit, .. } = question else {
            let ended = rows.iter().flatten().map(|row| if let Row::Ended(ended) = row { *ended } else { 0 });
            return Ok(Reply::Ended { sessions: ended.sum() });
        };
        let name = |rx: u16| self.interfaces.get(usize::from(rx)).map(|interface| interface.name.clone());
        let (mut found, mut sessions) = (0, Vec::new());
        for row in rows.into_iter().flatten() {
            match row {
                Row::More(more) => found += more,
                Row::Session(Record { forward, state, age, idle, .. }, rx) => {
                    found += 1;
                    if sessions.len() < limit {
                        sessions.push(Shown { flow: forward.to_string(), state, age, idle, rx: name(rx) });
                    }
                }
                Row::Ended(_) => {}
            }
        }
        Ok(Reply::Sessions { found, sessions })
    }
}
