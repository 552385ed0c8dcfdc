//! The sessions of a worker with the mappings behind them, and how packets are decided with them.

mod foresee;

use swath_api::wire::IpProtocol;
use swath_api::{Journal, Owner};

use crate::sessions::{Direction, Event, Found, Key4, Opening, Probe, Query, Refused, Seed, Session, Sessions, Sources, Tracked};

use super::act::{Act, Refusal};
use super::blocks::{Blocks, Note};
use super::datagrams::First;
use super::deterministic::Block;
use super::forwards::Known;
use super::mappings::Mappings;
use super::pool::{Ports, Range};
use super::rate::Rates;
use super::settings::{Filtering, Mapping, Pooling, PortBlocks, Rules};
use super::view::{Target, View, fragment_key};
use super::{End, INSIDE, OUTSIDE, chosen};

pub(crate) use foresee::{foresee, translated_by};

/// What belongs to sessions, and goes with them.
pub(super) struct Behind {
    pub(super) mappings: Mappings,
    pub(super) ports: Ports,
    /// By mapping and peer: who may answer.
    peers: Option<Sources>,
    user_sessions: Option<Sources>,
    pub(super) user_ports: Option<Sources>,
    pub(super) blocks: Option<Blocks>,
    rates: Option<Rates>,
    pub(super) seed: Seed,
    /// The time of the frame or tick.
    pub(super) now: u64,
}

/// A worker's part.
pub(super) struct Flows {
    pub(super) sessions: Sessions<Key4>,
    pub(super) behind: Behind,
    pub(super) totals: Refused4,
    pub(super) worker: u32,
    /// Whether there may be sessions that were permitted by other rules.
    has_old: bool,
    /// Of what is known: see [`Known::epoch`].
    epoch: u16,
}

/// What was refused, by reason.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refused4 {
    pub(super) ports: u64,
    pub(super) sessions: u64,
    pub(super) user: u64,
    pub(super) rate: u64,
    pub(super) filtered: u64,
}

impl Flows {
    pub(super) fn new(rules: &Rules, known: &Known, worker: u32) -> std::io::Result<Flows> {
        // A new session has its place before another one gives way to it.
        let capacity = rules.sessions.capacity + 1;
        let counters = |limit: Option<u32>| limit.map(|limit| Sources::new(capacity, limit)).transpose();
        let depends = rules.filtering == Filtering::AddressDependent && rules.mapping == Mapping::EndpointIndependent;
        let mut ports = ports(rules, worker);
        own_ports((rules, known), worker).for_each(|(place, end, protocol)| ports.reserve(place, end, protocol));
        let mappings = if rules.mapping == Mapping::EndpointIndependent { capacity } else { 1 };
        let behind = Behind {
            mappings: Mappings::new(mappings, Seed::random())?,
            ports,
            peers: counters(depends.then_some(u32::MAX))?,
            user_sessions: counters(rules.per_user.sessions)?,
            user_ports: counters(rules.per_user.ports)?,
            blocks: rules
                .port_blocks
                .map(|settings| Blocks::new(&rules.pool.blocks(worker, settings.size), settings))
                .transpose()?,
            rates: rules.per_user.rate().map(|rate| Rates::new(capacity, rate)).transpose()?,
            seed: Seed::random(),
            now: 0,
        };
        let mut sessions = Sessions::new(rules.sessions, Seed::random())?;
        sessions.set_epoch(known.epoch);
        Ok(Flows { sessions, behind, totals: Refused4::default(), worker, has_old: false, epoch: known.epoch })
    }

    /// With blocks that are noted there.
    pub(super) fn noting_in(mut self, journal: Option<Journal<Note>>) -> Flows {
        if let (Some(blocks), Some(journal)) = (&mut self.behind.blocks, journal) {
            blocks.note_in(journal);
        }
        self
    }

    /// Goes on with the sessions of the table before, which are asked for again when their next packets come.
    pub(super) fn adopt(&mut self, old: &mut Flows) {
        let (behind, before) = (&mut self.behind, &mut old.behind);
        std::mem::swap(&mut self.sessions, &mut old.sessions);
        self.sessions.take_settings(&mut old.sessions, before.now);
        std::mem::swap(&mut behind.mappings, &mut before.mappings);
        std::mem::swap(&mut behind.peers, &mut before.peers);
        for (new, old) in [(&mut behind.user_sessions, &mut before.user_sessions), (&mut behind.user_ports, &mut before.user_ports)]
        {
            std::mem::swap(new, old);
            // A limit that goes away is one that nobody comes to.
            new.iter_mut().for_each(|counted| counted.set_limit(old.as_ref().map_or(u32::MAX, Sources::limit)));
        }
        std::mem::swap(&mut behind.blocks, &mut before.blocks);
        // With another rate all buckets are full.
        if behind.rates.as_ref().map(Rates::rate) == before.rates.as_ref().map(Rates::rate) {
            std::mem::swap(&mut behind.rates, &mut before.rates);
        }
        std::mem::swap(&mut behind.seed, &mut before.seed);
        let Behind { mappings, ports, .. } = behind;
        ports.adopt(&mut before.ports, |end, protocol| mappings.of_outside(end, protocol).is_some());
        self.totals = old.totals;
        self.sessions.set_epoch(self.epoch);
        self.has_old = true;
    }

    /// Goes on with what is known now of addresses outside; sessions are asked for again when their next packets come.
    #[inline]
    pub(super) fn sync(&mut self, rules: &Rules, known: &Known) {
        if known.epoch != self.epoch {
            self.go_over(rules, known);
        }
    }

    #[cold]
    fn go_over(&mut self, rules: &Rules, known: &Known) {
        let Behind { mappings, ports, .. } = &mut self.behind;
        let is_used = |end, protocol| mappings.of_outside(end, protocol).is_some();
        ports.reserve_others(own_ports((rules, known), self.worker), is_used);
        self.epoch = known.epoch;
        self.sessions.set_epoch(known.epoch);
        self.has_old = true;
    }

    /// What was found, if it is permitted still; a session that is not ends.
    #[inline(never)]
    fn ask_again(&mut self, nat: View<'_>, found: Found) -> Found {
        if self.still_allows(nat, found) {
            self.sessions.renew(found);
            return found;
        }
        if let Some(handle) = found.handle() {
            let behind = &mut self.behind;
            self.sessions.remove_one(handle, &mut |gone, _| behind.gone(gone));
        }
        Found::NONE
    }

    /// Whether what was found is permitted still.
    fn still_allows(&self, nat: View<'_>, found: Found) -> bool {
        let Some(session) = self.sessions.old(found) else { return true };
        let (forward, reverse) = (session.forward(), session.reverse());
        let (inside, outside) = if is_of_inside(&forward) { (forward, reverse) } else { (reverse, forward) };
        let (inside, outside) = (End::from(inside.source_end()), End::from(outside.destination_end()));
        let protocol = forward.protocol();
        let mapped = || match nat.table.rules.mapping {
            // From outside, only who may reach a static one opens any.
            Mapping::EndpointDependent => is_of_inside(&forward),
            Mapping::EndpointIndependent => self.behind.mappings.of_outside(outside, protocol).is_some(),
        };
        nat.allows((inside, outside), protocol, self.worker) && (nat.is_static(outside, protocol) || mapped())
    }

    /// Begins the look-up of a packet.
    #[inline(always)]
    pub(super) fn query(&self, probe: Probe<Key4>) -> Query<Key4> {
        self.sessions.query_translated(probe)
    }

    /// Goes on with the look-up of the packets of a frame.
    #[inline]
    pub(super) fn locate(&mut self, queries: &mut [Query<Key4>], now: u64) {
        self.behind.now = now;
        self.sessions.locate(queries);
    }

    /// The key of packets of the other direction, of nearly all packets: see [`Sessions::prolong`].
    #[inline(always)]
    pub(super) fn prolong(&mut self, query: &Query<Key4>, now: u64) -> Option<Key4> {
        self.sessions.prolong(query, now)
    }

    /// Decides one packet that leaves (`SIDE` is inside) or comes in, whatever it is. A probe of which nothing is known is read from it again.
    #[cold]
    #[inline(never)]
    pub(super) fn one<const SIDE: u16>(&mut self, asking: &Asking<'_>, probe: &Probe<Key4>, packet: &[u8]) -> Act {
        let special = (probe.event == Event::Malformed).then(|| asking.nat.read_special::<SIDE>(packet));
        let probe = special.as_ref().unwrap_or(probe);
        let mut found = self.sessions.find(&probe.key);
        if self.has_old {
            found = self.ask_again(asking.nat, found);
        }
        let act = match self.sessions.track(found, probe.event, asking.now) {
            Tracked::Pass => self.pass::<SIDE>(probe, found),
            tracked => self.without::<SIDE>(asking, probe, tracked),
        };
        if probe.first_fragment {
            asking.learn::<SIDE>(probe, &fragment_key(packet, SIDE), act);
        }
        act
    }

    /// A packet of a session.
    fn pass<const SIDE: u16>(&self, probe: &Probe<Key4>, found: Found) -> Act {
        let Some(session) = self.sessions.get(found) else { return Act::Refuse(Refusal::NoSession) };
        let other = if found.direction() == Direction::Forward { session.reverse() } else { session.forward() };
        let end = translated_end::<SIDE>(other);
        if probe.event == Event::IcmpError { Act::Quote(end) } else { Act::Translate(end) }
    }

    /// A packet that has no session, one whose session is over, or does not allow it.
    fn without<const SIDE: u16>(&mut self, asking: &Asking<'_>, probe: &Probe<Key4>, tracked: Tracked) -> Act {
        let Asking { nat, hairpin, now } = *asking;
        let ends = (probe.key.source_end().0, probe.key.destination_end().0);
        match probe.event {
            Event::Fragment => return asking.fragment::<SIDE>(probe),
            Event::Malformed if nat.concerns::<SIDE>(ends.0, ends.1) => return Act::Refuse(Refusal::Malformed),
            Event::Malformed => return Act::Other,
            _ => {}
        }
        if tracked == Tracked::Invalid {
            return Act::Refuse(Refusal::Invalid);
        }
        // With it go its port, and who may answer.
        let behind = &mut self.behind;
        self.sessions.expire_key(&probe.key, now, &mut |gone, _| behind.gone(gone));
        let target = if SIDE == INSIDE { nat.leaving(probe, hairpin) } else { nat.target(probe) };
        let opened = match target {
            Target::Other => return Act::Other,
            // RFC 5508 REQ-4, REQ-5: what it is about is nobody's.
            _ if probe.event == Event::IcmpError => Err(Refusal::NoSession),
            target if SIDE == INSIDE => self.leave(nat, probe, target, now),
            target => match self.enter(nat, probe, target, now) {
                // A host that asks whether the router is there.
                Err(Refusal::NoSession) if probe.event == Event::Query => return Act::Other,
                done => done,
            },
        };
        opened.map_or_else(
            |refusal| {
                match refusal {
                    Refusal::UserLimit => self.totals.user += 1,
                    Refusal::UserRate => self.totals.rate += 1,
                    Refusal::Filtered => self.totals.filtered += 1,
                    _ => {}
                }
                Act::Refuse(refusal)
            },
            Act::Translate,
        )
    }

    /// Opens a session for a packet that leaves, and says what its source becomes.
    fn leave(&mut self, nat: View<'_>, probe: &Probe<Key4>, target: Target, now: u64) -> Result<End, Refusal> {
        let (rules, protocol, inside) = (&nat.table.rules, probe.key.protocol(), End::from(probe.key.source_end()));
        if !self.sessions.opens(probe) {
            return Err(Refusal::NoSession);
        }
        if let Some(rates) = &mut self.behind.rates
            && !rates.admit(inside.address, now)
        {
            return Err(Refusal::UserRate);
        }
        let (outside, mapping) = match target {
            Target::Static(outside) => (outside, 0),
            _ if !Ports::has_protocol(protocol) => return Err(Refusal::Protocol),
            _ => match rules.mapping {
                Mapping::EndpointIndependent => self.mapping(nat, inside, protocol)?,
                Mapping::EndpointDependent => (self.for_peer(rules, probe, inside)?, 0),
            },
        };
        self.open(probe, outside_key(&probe.key, outside), mapping, now).map(|()| outside)
    }

    /// The mapping of what is inside, a new one if it has none.
    fn mapping(&mut self, nat: View<'_>, inside: End, protocol: IpProtocol) -> Result<(End, u32), Refusal> {
        let (rules, behind) = (&nat.table.rules, &mut self.behind);
        if let Some(place) = behind.mappings.of_inside(inside, protocol) {
            let outside = behind.mappings.get(place).map(|mapped| mapped.outside()).ok_or(Refusal::NoSession)?;
            if !self.has_old || nat.allows((inside, outside), protocol, self.worker) {
                return Ok((outside, place));
            }
            behind.mappings.retire(place);
        }
        if let Some(users) = &mut behind.user_ports
            && users.add(user(inside.address), &behind.seed).is_none()
        {
            return Err(Refusal::UserLimit);
        }
        let Behind { mappings, ports, blocks, now, .. } = behind;
        let random = ports.next_random();
        let mut choose = |(place, range): (usize, Range)| {
            let port = ports.choose(place, range, inside.port, protocol)?;
            let outside = End { address: rules.pool.addresses()[place].address, port };
            let mapping = mappings.enter(inside, outside, protocol);
            if mapping.is_none() {
                ports.give_back(outside, protocol);
            }
            mapping.map(|mapping| (outside, mapping))
        };
        let mut tried = places(rules, inside.address);
        let made = match blocks {
            None => tried.find_map(&mut choose).ok_or(false),
            Some(blocks) => {
                let tried = tried.map(|(place, _)| place);
                blocks.choose((inside.address, random, *now), tried, |place, range| choose((place, Some(range))))
            }
        };
        made.map_err(|is_limit| {
            if let Some(users) = &mut self.behind.user_ports {
                users.remove_key(user(inside.address), &self.behind.seed);
            }
            if is_limit {
                return Refusal::UserLimit;
            }
            self.totals.ports += 1;
            Refusal::Exhausted
        })
    }

    /// A port for one peer, which may be others' for others.
    fn for_peer(&mut self, rules: &Rules, probe: &Probe<Key4>, inside: End) -> Result<End, Refusal> {
        let Flows { sessions, behind, totals, .. } = self;
        let choose = |(place, range): (usize, Range)| {
            let address = rules.pool.addresses()[place].address;
            let is_free = |port: u16| !sessions.find(&outside_key(&probe.key, End { address, port })).is_some();
            let port = behind.ports.choose_for_peer((place, range), inside.port, probe.key.protocol(), is_free)?;
            Some(End { address, port })
        };
        places(rules, inside.address).find_map(choose).ok_or_else(|| {
            totals.ports += 1;
            Refusal::Exhausted
        })
    }

    /// Opens a session for a packet that comes in, and says what its destination becomes.
    fn enter(&mut self, nat: View<'_>, probe: &Probe<Key4>, target: Target, now: u64) -> Result<End, Refusal> {
        let outside = End::from(probe.key.destination_end());
        if nat.table.is_inside(probe.key.source_end().0) {
            return Err(Refusal::Spoofed);
        }
        let (inside, mapping) = match target {
            Target::Static(inside) => (inside, 0),
            // It is the router that is asked.
            _ if probe.event == Event::Query => return Err(Refusal::NoSession),
            _ => {
                let mappings = &self.behind.mappings;
                let place = mappings.of_outside(outside, probe.key.protocol()).ok_or(Refusal::NoSession)?;
                let inside = mappings.get(place).map(|mapped| mapped.inside()).ok_or(Refusal::NoSession)?;
                let may_answer = match nat.table.rules.filtering {
                    Filtering::EndpointIndependent => true,
                    Filtering::AddressDependent => self.behind.knows(outside, &probe.key),
                    Filtering::AddressAndPortDependent => false,
                };
                if self.has_old && !nat.allows((inside, outside), probe.key.protocol(), self.worker) {
                    return Err(Refusal::NoSession);
                }
                if !may_answer {
                    return Err(Refusal::Filtered);
                }
                (inside, place)
            }
        };
        self.open(probe, inside_key(&probe.key, inside), mapping, now).map(|()| inside)
    }

    fn open(&mut self, probe: &Probe<Key4>, reverse: Key4, mapping: u32, now: u64) -> Result<(), Refusal> {
        let Flows { sessions, behind, totals, .. } = self;
        let (inside, outside) = if is_of_inside(&probe.key) { (probe.key, reverse) } else { (reverse, probe.key) };
        // Before others give way to this session, so that its mapping is not among what goes with them.
        if !behind.hold(inside, outside, mapping) {
            return Err(Refusal::UserLimit);
        }
        let opened = sessions.open(Opening { probe, reverse, data: mapping }, now, &mut |gone, _| behind.gone(gone));
        opened.map(|_| ()).map_err(|refused| {
            behind.release(inside, outside, mapping);
            match refused {
                Refused::Full => {
                    totals.sessions += 1;
                    Refusal::Exhausted
                }
                Refused::Taken => Refusal::Taken,
                _ => Refusal::NoSession,
            }
        })
    }
}

impl Behind {
    /// A session more. `false`, and nothing has changed, if the inside address may not have it.
    pub(super) fn hold(&mut self, inside: Key4, outside: Key4, mapping: u32) -> bool {
        if let Some(users) = &mut self.user_sessions
            && users.add(user(inside.source_end().0), &self.seed).is_none()
        {
            // A mapping that was made for this session goes with it.
            if mapping != 0 {
                self.mappings.hold(mapping);
                self.release_mapping(mapping);
            }
            return false;
        }
        if mapping != 0 {
            self.mappings.hold(mapping);
            if let Some(peers) = &mut self.peers {
                // There are as many places as sessions.
                let _ = peers.add(peer(&outside), &self.seed);
            }
        }
        true
    }

    /// A session less.
    pub(super) fn release(&mut self, inside: Key4, outside: Key4, mapping: u32) {
        if let Some(users) = &mut self.user_sessions {
            users.remove_key(user(inside.source_end().0), &self.seed);
        }
        if mapping != 0 {
            if let Some(peers) = &mut self.peers {
                peers.remove_key(peer(&outside), &self.seed);
            }
            self.release_mapping(mapping);
        }
    }

    fn release_mapping(&mut self, mapping: u32) {
        let Some(gone) = self.mappings.release(mapping) else { return };
        let (inside, outside, protocol) = (gone.inside(), gone.outside(), gone.protocol());
        self.ports.give_back(outside, protocol);
        if let (Some(blocks), Some(place)) = (&mut self.blocks, self.ports.place(outside.address)) {
            blocks.release(place, outside.port, self.now);
        }
        if let Some(users) = &mut self.user_ports {
            users.remove_key(user(inside.address), &self.seed);
        }
    }

    /// To be told of each session that goes.
    pub(super) fn gone(&mut self, session: &Session<Key4>) {
        let (forward, reverse) = (session.forward(), session.reverse());
        let (inside, outside) = if is_of_inside(&forward) { (forward, reverse) } else { (reverse, forward) };
        self.release(inside, outside, session.data());
    }

    /// Whether what is outside has spoken to the sender of a packet.
    fn knows(&self, outside: End, key: &Key4) -> bool {
        debug_assert_eq!(End::from(key.destination_end()), outside);
        self.peers.as_ref().is_some_and(|peers| peers.count(peer(key), &self.seed) > 0)
    }
}

/// What packets are asked about.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) nat: View<'a>,
    /// Whether only packets from inside to the outside of others inside are meant.
    pub(super) hairpin: bool,
    pub(super) now: u64,
}

impl Asking<'_> {
    /// A fragment that has no ports.
    fn fragment<const SIDE: u16>(&self, probe: &Probe<Key4>) -> Act {
        let (source, destination) = (probe.key.source_end().0, probe.key.destination_end().0);
        let own = if SIDE == INSIDE { source } else { destination };
        let concerned = self.nat.concerns::<SIDE>(source, destination) && (!self.hairpin || self.nat.is_ours(destination));
        match self.nat.table.datagrams.find(&probe.key, self.now) {
            _ if !concerned => Act::Other,
            Some(First::Address(address)) if address == own => Act::Other,
            Some(First::Address(address)) => Act::Address(address),
            _ => Act::Wait,
        }
    }

    /// Remembers what becomes of a first fragment.
    fn learn<const SIDE: u16>(&self, probe: &Probe<Key4>, first: &Key4, act: Act) {
        let own = if SIDE == INSIDE { probe.key.source_end() } else { probe.key.destination_end() };
        match act {
            Act::Translate(end) => self.nat.table.datagrams.translated(first, end.address, self.now),
            Act::Other => self.nat.table.datagrams.translated(first, own.0, self.now),
            _ => {}
        }
    }
}

/// The ports of a worker that are forwarded: the place of the address, and the end.
fn own_ports<'a>((rules, known): (&'a Rules, &'a Known), worker: u32) -> impl Iterator<Item = (usize, End, IpProtocol)> + 'a {
    known.statics.ports().filter_map(move |forward| {
        let place = rules.pool.find(forward.outside.address)?;
        let is_own = rules.owner_of_port(place, forward.outside.port) == Some(Owner::worker(worker));
        is_own.then_some((place, forward.outside, forward.protocol))
    })
}

/// The ports of a worker: its part of all, or those of its hosts.
fn ports(rules: &Rules, worker: u32) -> Ports {
    let seed = rules.port_seed.unwrap_or_else(|| Seed::random().hash([0, 0]));
    if let Some(PortBlocks { size, .. }) = rules.port_blocks {
        return Ports::of_blocks(&rules.pool, worker, seed, &rules.pool.blocks(worker, size));
    }
    let Some(all) = &rules.deterministic else { return Ports::new(&rules.pool, worker, seed) };
    let mut counts = vec![0; rules.pool.addresses().len()];
    for address in all.addresses().filter(|address| rules.owner_of_inside(*address) == Owner::worker(worker)) {
        if let Some(Block { place, first, last }) = all.of_inside(address, &rules.pool) {
            counts[place] += u32::from(last - first) + 1;
        }
    }
    Ports::of_hosts(&rules.pool, worker, seed, counts)
}

/// The places of the addresses that a host may get, in their order, and which ports of them.
fn places(rules: &Rules, inside: u32) -> impl Iterator<Item = (usize, Range)> + Clone {
    let count = rules.pool.addresses().len();
    let own = rules.deterministic.as_ref().map(|all| all.of_inside(inside, &rules.pool));
    let first = chosen(inside, count);
    let tried = match (own, rules.pooling) {
        (Some(own), _) => usize::from(own.is_some()),
        (None, Pooling::Paired) => count.min(1),
        (None, Pooling::Arbitrary) => count,
    };
    (0..tried).map(move |step| match own.flatten() {
        Some(Block { place, first, last }) => (place, Some((first, last))),
        None => ((first + step) % count, None),
    })
}

/// The end of a key of the other side that packets of `SIDE` get.
#[inline(always)]
fn translated_end<const SIDE: u16>(other: Key4) -> End {
    // Outside packets go to the outside end; inside ones come from the inside end.
    End::from(if SIDE == INSIDE { other.destination_end() } else { other.source_end() })
}

/// The key of answers from outside, for a packet from inside that leaves from this end.
pub(super) fn outside_key(inside: &Key4, outside: End) -> Key4 {
    key(inside.destination_end().into(), outside, inside.protocol(), inside.zone() | OUTSIDE)
}

/// The key of answers from inside, for a packet from outside that is for this end.
pub(super) fn inside_key(outside: &Key4, inside: End) -> Key4 {
    key(inside, outside.source_end().into(), outside.protocol(), outside.zone() & !OUTSIDE)
}

fn key(source: End, destination: End, protocol: IpProtocol, zone: u16) -> Key4 {
    // An ICMP query has one identifier, which stands for both ports.
    let both = protocol == IpProtocol::ICMP;
    let inside_port = if zone & OUTSIDE == INSIDE { source.port } else { destination.port };
    let (from, to) = if both { (inside_port, inside_port) } else { (source.port, destination.port) };
    let addresses = u64::from(source.address) << 32 | u64::from(destination.address);
    Key4::new(addresses, u32::from(from) << 16 | u32::from(to), protocol, zone)
}

/// Whether a key is that of packets as they are inside.
pub(super) fn is_of_inside(key: &Key4) -> bool {
    key.zone() & OUTSIDE == INSIDE
}

pub(super) fn user(inside: u32) -> [u64; 4] {
    [inside.into(), 0, 0, 0]
}

/// Who may answer to what: the key of packets from there, without the port that they come from.
fn peer(outside: &Key4) -> [u64; 4] {
    let [from, to] = outside.words();
    [from & !0xffff_0000, to, 0, 0]
}
