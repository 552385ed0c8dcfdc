//! What would become of a packet that is not real, and why, in words: the same as for a real one, and no session, mapping or port is made, and
//! none goes.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use swath_api::prelude::*;
use swath_api::wire::IpProtocol;

use crate::nat44::act::{Act, Refusal};
use crate::nat44::pool::{Ports, Range};
use crate::nat44::settings::{Filtering, Mapping};
use crate::nat44::view::{Target, View, asked_by};
use crate::nat44::{End, INSIDE, OUTSIDE, Shard};
use crate::sessions::{Event, FlowKey, Found, Key4, Opening, Probe, Refused, Session, Tracked};

use super::{Asking, Flows, inside_key, is_of_inside, outside_key, places, translated_end, user};

/// What would become of a packet that leaves (`SIDE` is inside) or comes in, as [`Flows::one`] decides it.
pub(crate) fn foresee<const SIDE: u16>(
    nat: View<'_>,
    shard: &Shard,
    packet: &Packet<'_>,
    (hairpin, now): (bool, u64),
    words: &mut Words<'_>,
) -> Act {
    let Some(flows) = &shard.flows else { return Act::Refuse(Refusal::Exhausted) };
    if hairpin
        && !packet.data().get(16..20).and_then(|bytes| bytes.first_chunk()).is_some_and(|to| nat.is_ours(u32::from_be_bytes(*to)))
    {
        return Act::Other;
    }
    let probe = nat.read_special::<SIDE>(packet.data());
    Foresight { nat, flows, asking: Asking { nat, hairpin, now }, now }.one::<SIDE>(&probe, words)
}

/// Says by which session a packet was translated, which it is already.
pub(crate) fn translated_by<const SIDE: u16>(nat: View<'_>, shard: &Shard, packet: &Packet<'_>, words: &mut Words<'_>) {
    let Some(flows) = &shard.flows else { return };
    // Answers to it would come from there.
    let other = if SIDE == INSIDE { OUTSIDE } else { INSIDE };
    let probe = Probe::<Key4>::read(packet.data(), other);
    let found = flows.sessions.find(&asked_by::<SIDE>(probe).key.reversed());
    if let Some(session) = flows.sessions.get(found) {
        say_session(nat, session, words);
    }
}

/// One look at a worker's part.
struct Foresight<'a> {
    nat: View<'a>,
    flows: &'a Flows,
    asking: Asking<'a>,
    now: u64,
}

impl Foresight<'_> {
    fn one<const SIDE: u16>(&self, probe: &Probe<Key4>, words: &mut Words<'_>) -> Act {
        let Foresight { nat, flows, now, .. } = *self;
        let mut found = flows.sessions.find(&probe.key);
        if flows.has_old && !flows.still_allows(nat, found) {
            words.say("its session ends: settings do not allow it any more");
            found = Found::NONE;
        }
        match (flows.sessions.would_track(found, probe.event, now), flows.sessions.get(found)) {
            (Tracked::Pass, Some(session)) => {
                say_session(nat, session, words);
                flows.pass::<SIDE>(probe, found)
            }
            (Tracked::Invalid, Some(session)) if !matches!(probe.event, Event::Fragment | Event::Malformed) => {
                say_session(nat, session, words);
                Act::Refuse(Refusal::Invalid)
            }
            _ => self.without::<SIDE>(probe, words),
        }
    }

    /// A packet that has no session, or one whose session is over.
    fn without<const SIDE: u16>(&self, probe: &Probe<Key4>, words: &mut Words<'_>) -> Act {
        let nat = self.nat;
        let ends = (probe.key.source_end().0, probe.key.destination_end().0);
        match probe.event {
            Event::Fragment => return self.asking.fragment::<SIDE>(probe),
            Event::Malformed if nat.concerns::<SIDE>(ends.0, ends.1) => return Act::Refuse(Refusal::Malformed),
            Event::Malformed => return Act::Other,
            _ => {}
        }
        let target = if SIDE == INSIDE { nat.leaving(probe, self.asking.hairpin) } else { nat.target(probe) };
        let opened = match target {
            Target::Other => return Act::Other,
            _ if probe.event == Event::IcmpError => Err(Refusal::NoSession),
            target if SIDE == INSIDE => self.leave(probe, target, words),
            target => match self.enter(probe, target, words) {
                Err(Refusal::NoSession) if probe.event == Event::Query => return Act::Other,
                done => done,
            },
        };
        opened.map_or_else(Act::Refuse, Act::Translate)
    }

    fn leave(&self, probe: &Probe<Key4>, target: Target, words: &mut Words<'_>) -> Result<End, Refusal> {
        let Foresight { nat, flows, now, .. } = *self;
        let (rules, protocol, inside) = (&nat.table.rules, probe.key.protocol(), End::from(probe.key.source_end()));
        if !flows.sessions.opens(probe) {
            return Err(Refusal::NoSession);
        }
        if flows.behind.rates.as_ref().is_some_and(|rates| !rates.would_admit(inside.address, now)) {
            words.say(format_args!("{} opens sessions too fast", Ipv4Addr::from(inside.address)));
            return Err(Refusal::UserRate);
        }
        let outside = match target {
            Target::Static(outside) => {
                words.say(format_args!("a new session by the static mapping {} = {}", Told(inside), Told(outside)));
                outside
            }
            _ if !Ports::has_protocol(protocol) => return Err(Refusal::Protocol),
            _ => match rules.mapping {
                Mapping::EndpointIndependent => self.mapping(probe, inside, words)?,
                Mapping::EndpointDependent => self.for_peer(probe, inside, words)?,
            },
        };
        self.open(probe, outside_key(&probe.key, outside), words).map(|()| outside)
    }

    fn mapping(&self, probe: &Probe<Key4>, inside: End, words: &mut Words<'_>) -> Result<End, Refusal> {
        let Foresight { nat, flows, .. } = *self;
        let (protocol, behind, rules) = (probe.key.protocol(), &flows.behind, &nat.table.rules);
        let known = behind.mappings.of_inside(inside, protocol).and_then(|place| Some((place, behind.mappings.get(place)?)));
        let stays = |place: u32, outside: End, sessions: u32| {
            // One session that is over may be the last of it.
            let over = flows.sessions.over(flows.sessions.find(&probe.key), self.now);
            let is_last = sessions == 1 && over.is_some_and(|session| session.data() == place);
            !is_last && (!flows.has_old || nat.allows((inside, outside), protocol, flows.worker))
        };
        if let Some((_, mapped)) = known.filter(|(place, mapped)| stays(*place, mapped.outside(), mapped.sessions())) {
            words.say(format_args!("a new session by the mapping {} = {}", Told(inside), Told(mapped.outside())));
            return Ok(mapped.outside());
        }
        if behind.user_ports.as_ref().is_some_and(|users| users.is_full(user(inside.address), 0, &behind.seed)) {
            words.say(format_args!("{} has as many ports as it may", Ipv4Addr::from(inside.address)));
            return Err(Refusal::UserLimit);
        }
        let free = |place: usize, range: Range| {
            let (port, is_sure) = behind.ports.foresee(place, range, inside.port, protocol)?;
            Some((place, range, port, is_sure))
        };
        let tried = places(rules, inside.address);
        let found = match &behind.blocks {
            None => tried.clone().find_map(|(place, range)| free(place, range)).ok_or(false),
            Some(blocks) => {
                blocks.foresee(inside.address, tried.clone().map(|(place, _)| place), |place, range| free(place, Some(range)))
            }
        };
        let (place, range, port, is_sure) = found.map_err(|is_limit| {
            if is_limit {
                words.say(format_args!(
                    "{} has as many blocks of ports as it may, and they are full",
                    Ipv4Addr::from(inside.address)
                ));
                return Refusal::UserLimit;
            }
            self.say_exhausted(tried, protocol, words);
            Refusal::Exhausted
        })?;
        Ok(self.new_port((place, range), port, is_sure, words))
    }

    fn for_peer(&self, probe: &Probe<Key4>, inside: End, words: &mut Words<'_>) -> Result<End, Refusal> {
        let Foresight { nat, flows, .. } = *self;
        let (rules, protocol) = (&nat.table.rules, probe.key.protocol());
        let found = |(place, range): (usize, Range)| {
            let address = rules.pool.addresses()[place].address;
            let is_free = |port: u16| !flows.sessions.find(&outside_key(&probe.key, End { address, port })).is_some();
            let (port, is_sure) = flows.behind.ports.foresee_for_peer((place, range), inside.port, protocol, is_free)?;
            Some((place, range, port, is_sure))
        };
        let tried = places(rules, inside.address);
        let Some((place, range, port, is_sure)) = tried.clone().find_map(found) else {
            self.say_exhausted(tried, protocol, words);
            return Err(Refusal::Exhausted);
        };
        Ok(self.new_port((place, range), port, is_sure, words))
    }

    /// A port that the packet gets; where it is not sure which, any that it may get.
    fn new_port(&self, (place, range): (usize, Range), port: u16, is_sure: bool, words: &mut Words<'_>) -> End {
        let outside = End { address: self.nat.table.rules.pool.addresses()[place].address, port };
        match is_sure {
            true => words.say(format_args!("a new session, as {} outside", Told(outside))),
            false => words.say(format_args!("a new session, with some free port of {}", self.ports((place, range)))),
        }
        outside
    }

    fn ports(&self, (place, range): (usize, Range)) -> PortsOf {
        let entry = self.nat.table.rules.pool.addresses()[place];
        let (first, last) = range.unwrap_or((entry.first, entry.last));
        PortsOf { address: entry.address.into(), first, last }
    }

    fn say_exhausted(&self, tried: impl Iterator<Item = (usize, Range)>, protocol: IpProtocol, words: &mut Words<'_>) {
        let mut tried = tried;
        let Some(first) = tried.next() else { return words.say("the pool has no address for it") };
        match tried.count() {
            0 => words.say(format_args!("no {protocol} port of {} is free", self.ports(first))),
            others => words.say(format_args!("no {protocol} port is free of {} and {others} others", self.ports(first))),
        }
    }

    fn enter(&self, probe: &Probe<Key4>, target: Target, words: &mut Words<'_>) -> Result<End, Refusal> {
        let Foresight { nat, flows, .. } = *self;
        let outside = End::from(probe.key.destination_end());
        if nat.table.is_inside(probe.key.source_end().0) {
            return Err(Refusal::Spoofed);
        }
        let inside = match target {
            Target::Static(inside) => {
                words.say(format_args!("by the static mapping {} = {}", Told(inside), Told(outside)));
                inside
            }
            _ if probe.event == Event::Query => return Err(Refusal::NoSession),
            _ => {
                let mappings = &flows.behind.mappings;
                let mapped = mappings.of_outside(outside, probe.key.protocol()).and_then(|place| mappings.get(place));
                let Some(mapped) = mapped else {
                    words.say(format_args!("nobody inside has {} {}", Told(outside), probe.key.protocol()));
                    return Err(Refusal::NoSession);
                };
                if flows.has_old && !nat.allows((mapped.inside(), outside), probe.key.protocol(), flows.worker) {
                    return Err(Refusal::NoSession);
                }
                words.say(format_args!("by the mapping {} = {}", Told(mapped.inside()), Told(outside)));
                let may_answer = match nat.table.rules.filtering {
                    Filtering::EndpointIndependent => true,
                    Filtering::AddressDependent => flows.behind.knows(outside, &probe.key),
                    Filtering::AddressAndPortDependent => false,
                };
                if !may_answer {
                    words.say(format_args!("which has not spoken to {}", Ipv4Addr::from(probe.key.source_end().0)));
                    return Err(Refusal::Filtered);
                }
                mapped.inside()
            }
        };
        self.open(probe, inside_key(&probe.key, inside), words).map(|()| inside)
    }

    fn open(&self, probe: &Probe<Key4>, reverse: Key4, words: &mut Words<'_>) -> Result<(), Refusal> {
        let Flows { sessions, behind, .. } = self.flows;
        let inside = if is_of_inside(&probe.key) { probe.key } else { reverse };
        let host = inside.source_end().0;
        if behind.user_sessions.as_ref().is_some_and(|users| users.is_full(user(host), 0, &behind.seed)) {
            words.say(format_args!("{} has as many sessions as it may", Ipv4Addr::from(host)));
            return Err(Refusal::UserLimit);
        }
        sessions.would_open(&Opening { probe, reverse, data: 0 }, self.now).map_err(|refused| {
            words.say(refused);
            match refused {
                Refused::Full => Refusal::Exhausted,
                Refused::Taken => Refusal::Taken,
                _ => Refusal::NoSession,
            }
        })
    }
}

/// As it is known inside, and the end that it has outside.
fn say_session(nat: View<'_>, session: &Session<Key4>, words: &mut Words<'_>) {
    let (forward, reverse) = (session.forward(), session.reverse());
    let (inside, outside) = if is_of_inside(&forward) { (forward, reverse) } else { (reverse, forward) };
    let end = translated_end::<INSIDE>(outside);
    let known = if nat.is_static(end, forward.protocol()) { "static" } else { "as" };
    let (from, to) = (End::from(inside.source_end()), End::from(inside.destination_end()));
    words.say(format_args!("session {} > {} {} ({})", Told(from), Told(to), forward.protocol(), session.state()));
    words.say(format_args!("{known} {} outside", Told(end)));
}

/// An address with its port.
struct Told(End);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&SocketAddrV4::new(self.0.address.into(), self.0.port), f)
    }
}

/// Ports of an address.
struct PortsOf {
    address: Ipv4Addr,
    first: u16,
    last: u16,
}

impl fmt::Display for PortsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.address, self.first, self.last)
    }
}
