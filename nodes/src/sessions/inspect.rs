//! What control may ask of a store: to count, to list, to remove, to save and to restore. All that goes over many sessions goes in steps.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use swath_api::units::Duration;

use super::Sessions;
use super::entry::{Handle, Session};
use super::flow::Flow;
use super::key::FlowKey;
use super::life::{Cause, Gone, Refused};
use super::state::State;
use super::time::{Moment, duration, units};

/// Places that are looked at in one step.
const STEP: u32 = 256;

/// A session, for people, and to be kept over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// Packets as the first was.
    pub forward: Flow,
    /// Packets of the other direction, if this is not `forward` reversed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverse: Option<Flow>,
    /// Where it stands.
    pub state: State,
    /// How long it has been there, to 4 ms.
    pub age: Duration,
    /// How long ago it was prolonged, to 4 ms.
    pub idle: Duration,
    /// What its owner keeps with it.
    #[serde(default)]
    pub data: u32,
}

/// Which sessions: all that every given word fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Filter {
    /// An address of either end, in either direction.
    pub address: Option<IpAddr>,
    /// A port of either end, in either direction.
    pub port: Option<u16>,
    /// Protocol number (6 is TCP, 17 UDP).
    pub protocol: Option<u8>,
    /// The zone.
    pub zone: Option<u16>,
    /// The state.
    pub state: Option<State>,
}

impl Filter {
    fn fits<K: FlowKey>(&self, session: &Session<K>) -> bool {
        if *self == Filter::default() {
            return true;
        }
        let flows = [session.forward.flow(), session.reverse.flow()];
        let is = |wanted: Option<State>| wanted.is_none_or(|state| state == session.state());
        is(self.state)
            && self.protocol.is_none_or(|protocol| flows[0].protocol == protocol)
            && self.zone.is_none_or(|zone| flows.iter().any(|flow| flow.zone == zone))
            && self.address.is_none_or(|address| flows.iter().any(|flow| [flow.source, flow.destination].contains(&address)))
            && self.port.is_none_or(|port| flows.iter().any(|flow| [flow.source_port, flow.destination_port].contains(&port)))
    }
}

/// How many sessions there are; those that are over and not yet removed are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// All of them.
    pub sessions: u32,
    /// Most that there may be.
    pub capacity: u32,
    /// Of TCP.
    pub tcp: u32,
    /// Of UDP.
    pub udp: u32,
    /// ICMP queries.
    pub icmp: u32,
    /// Of other protocols.
    pub other: u32,
    /// By state; those with any.
    pub states: Vec<(State, u32)>,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// Sessions opened; restored ones are not counted.
    pub opened: u64,
    /// Sessions that were silent for too long.
    pub expired: u64,
    /// Sessions that gave way to new ones.
    pub evicted: u64,
    /// Sessions removed by somebody.
    pub removed: u64,
    /// Packets that would have had to open a session and could not.
    pub not_opening: u64,
    /// Sessions that were refused because of the limit of their source.
    pub source_limit: u64,
    /// Sessions that were refused because none gave way.
    pub full: u64,
}

impl<K: FlowKey> Sessions<K> {
    /// Number of sessions; those that are over and not yet removed are counted.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What has happened since the start.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Bytes that it takes now: those of the index, and of as many sessions as there were at most at a time.
    pub fn memory(&self) -> usize {
        let index = if self.high > 1 { self.index.bytes() } else { 0 };
        index + self.high as usize * size_of::<Session<K>>()
    }

    /// How many sessions there are of what.
    pub fn counts(&self) -> Counts {
        let states = || State::ALL.into_iter().map(|state| (state, self.states[state as usize])).filter(|(_, count)| *count > 0);
        let of = |protocol: u8| states().filter(|(state, _)| state.fits(protocol)).map(|(_, count)| count).sum();
        Counts {
            sessions: self.len,
            capacity: self.capacity,
            tcp: of(6),
            udp: of(17),
            icmp: of(1),
            other: self.states[State::Other as usize],
            states: states().collect(),
        }
    }

    /// How many sessions there are of TCP, of UDP, of ICMP queries and of other protocols, in this order.
    pub fn by_protocol(&self) -> [u32; 4] {
        let mut counts = [0; 4];
        for state in State::ALL {
            let protocol = match state {
                State::UdpUnreplied | State::Udp => 1,
                State::IcmpQuery => 2,
                State::Other => 3,
                _ => 0,
            };
            counts[protocol] += self.states[state as usize];
        }
        counts
    }

    /// How many sessions the source of this key has: its address and zone. 0 without a limit.
    pub fn of_source(&self, key: &K) -> u32 {
        self.sources.as_ref().map_or(0, |sources| sources.count(key.source(), &self.seed))
    }

    /// Looks at 256 places from `cursor` (0 at first) on, and visits the sessions there that fit. Returns the next cursor, or `None` at the
    /// end. Who asks again between sweeps sees each session that was there all the time exactly once.
    pub fn list(&self, cursor: u32, now: u64, filter: &Filter, mut visit: impl FnMut(Handle, Record)) -> Option<u32> {
        let (first, end) = self.step(cursor);
        for place in first..end {
            if self.fits(place, filter) && !self.is_over(place, now) {
                let session = &self.sessions[place as usize];
                visit(session.handle(place), self.record(session, now));
            }
        }
        (end < self.high).then_some(end)
    }

    /// As [`Sessions::list`], but visits the first `room` sessions only. Returns how many more there are, too.
    pub fn list_some(
        &self,
        cursor: u32,
        now: u64,
        filter: &Filter,
        mut room: usize,
        mut visit: impl FnMut(Handle, Record),
    ) -> (u64, Option<u32>) {
        let (first, end) = self.step(cursor);
        let mut more = 0;
        for place in (first..end).filter(|place| self.fits(*place, filter) && !self.is_over(*place, now)) {
            if room > 0 {
                let session = &self.sessions[place as usize];
                room -= 1;
                visit(session.handle(place), self.record(session, now));
            } else {
                more += 1;
            }
        }
        (more, (end < self.high).then_some(end))
    }

    /// As [`Sessions::list`], but removes them.
    pub fn remove_where(&mut self, cursor: u32, filter: &Filter, gone: Gone<'_, K>) -> Option<u32> {
        let (first, end) = self.step(cursor);
        for place in first..end {
            if self.fits(place, filter) {
                self.remove(place, Cause::Removed, gone);
            }
        }
        (end < self.high).then_some(end)
    }

    /// Removes one session. `false` if it is not there any more.
    pub fn remove_one(&mut self, handle: Handle, gone: Gone<'_, K>) -> bool {
        let is_there = self.by_handle(handle).is_some();
        if is_there {
            self.remove(handle.place, Cause::Removed, gone);
        }
        is_there
    }

    /// Takes in a session that was saved, as old and as idle as it was then. It counts for its source.
    ///
    /// # Errors
    /// As [`Sessions::open`]; and [`Refused::BadRecord`] if it is of the other family, its state is not one of its protocol, it has been
    /// idle for too long, or it has no key of its own for the other direction where it needs one.
    pub fn restore(&mut self, record: &Record, now: u64, gone: Gone<'_, K>) -> Result<Handle, Refused> {
        let forward = K::of(&record.forward).ok_or(Refused::BadRecord)?;
        let reverse = match &record.reverse {
            Some(reverse) => K::of(reverse).ok_or(Refused::BadRecord)?,
            None => forward.reversed(),
        };
        let idle = units(record.idle);
        let fits = record.state.fits(record.forward.protocol) && idle <= self.timeouts[record.state as usize];
        if !fits || self.symmetric && reverse != forward.reversed() {
            return Err(Refused::BadRecord);
        }
        let handle = self.enter([forward, reverse], record.state, record.data, now, gone)?;
        let session = &mut self.sessions[handle.place as usize];
        session.seen = Moment::at(now).before(idle);
        session.created = Moment::at(now).before(units(record.age).min(i32::MAX as u32));
        self.relink(handle.place, record.state.class() as usize, now);
        Ok(handle)
    }

    /// Whether a session that was saved has been idle for too long to be taken in.
    pub fn is_record_over(&self, record: &Record) -> bool {
        units(record.idle) > self.timeouts[record.state as usize]
    }

    /// Where the places of sessions end: the cursor of [`Sessions::list`] comes up to there.
    pub fn places(&self) -> u32 {
        self.high
    }

    fn step(&self, cursor: u32) -> (u32, u32) {
        let first = cursor.max(1);
        (first, first.saturating_add(STEP).min(self.high))
    }

    fn fits(&self, place: u32, filter: &Filter) -> bool {
        let session = &self.sessions[place as usize];
        session.generation & 1 == 1 && filter.fits(session)
    }

    /// A session as people see it.
    pub fn record(&self, session: &Session<K>, now: u64) -> Record {
        let now = Moment::at(now);
        let reverse = (session.reverse != session.forward.reversed()).then(|| session.reverse.flow());
        Record {
            forward: session.forward.flow(),
            reverse,
            state: session.state(),
            age: duration(session.created.age(now)),
            idle: duration(session.seen.age(now)),
            data: session.data,
        }
    }
}
