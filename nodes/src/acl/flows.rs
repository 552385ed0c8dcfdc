//! The sessions of one worker and one version of IP, and how packets are decided with them.

use swath_api::VECTOR;
use swath_api::memory::HugeArray;
use zerocopy::FromZeros;

use crate::sessions::{
    Event, Filter, FlowKey, Found, Fragments, Handle, Opening, Probe, Query, Record, Refused, Seed, Sessions, Settings, Tracked,
};

use super::classifier::Scratch;
use super::criteria::{Key, Part};
use super::first_fragments::FirstFragments;
use super::flowing::{Flowing, is_plain, probe};
use super::rules::{Hits, Outcome, Rules, Verdict};
use super::settings::Fragments as Policy;

/// How long the other fragments of a packet may take: as long as Linux keeps them (`ipfrag_time`).
const FRAGMENTS_KEPT: &str = "30s";

/// What is decided of a packet where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It belongs to a session, or opens one.
    Session,
    /// What the rules say, where they are asked.
    Rules(Outcome),
    /// A rule reflects it, and it can open no session.
    NoSession,
    /// Its session does not allow it.
    Invalid,
    /// Its source has as many sessions as it may.
    SourceLimit,
    /// There is no room for a session.
    Full,
    /// A fragment, and the policy is to drop them.
    Fragment,
    /// A fragment whose first one is not known.
    FirstFragmentUnknown,
}

/// The rules that are asked.
pub struct Asking<'a> {
    pub(super) rules: &'a Rules,
    pub(super) hits: Hits<'a>,
    pub(super) scratch: &'a mut Scratch,
    pub(super) first_fragments: &'a mut Option<FirstFragments>,
    pub(super) policy: Policy,
    /// Which rules these are: sessions that were permitted by others are asked again.
    pub(super) epoch: u32,
    pub(super) now: u64,
}

impl Asking<'_> {
    /// Whether a packet is dropped for being a fragment.
    fn drops<A>(&self, key: &Key<A>) -> bool {
        self.policy == Policy::Drop && key.part != Part::Whole
    }
}

/// What rules were asked about the first packet of a session, beside what its key says.
#[derive(Debug, Clone, Copy, Default, FromZeros)]
#[repr(C)]
pub(super) struct Origin {
    source_port: u32,
    destination_port: u32,
    vlan: u16,
    rx: u16,
    tx: u16,
    tcp_flags: u8,
    dscp: u8,
    is_fragment: u8,
    unused: [u8; 3],
}

/// Sessions, with what belongs to them.
pub struct Flows<A: Flowing> {
    sessions: Sessions<A::Flow>,
    fragments: Fragments<A::Flow>,
    /// By the place of the session.
    pub(super) origins: HugeArray<Origin>,
    /// Keys about which rules are asked, kept so that they need not be made for each vector.
    asked: Box<[Key<A>; VECTOR]>,
    /// Packets that have passed by their sessions.
    pub(super) passed: u64,
}

impl<A: Flowing> Flows<A> {
    pub(super) fn new(settings: Settings, fragmented_packets: u32) -> std::io::Result<Flows<A>> {
        let kept = FRAGMENTS_KEPT.parse().unwrap_or_default();
        Ok(Flows {
            sessions: Sessions::new(settings, Seed::random())?,
            fragments: Fragments::new(fragmented_packets, kept, Seed::random())?,
            origins: HugeArray::new(settings.capacity as usize + 1)?,
            asked: Box::new([Key::default(); VECTOR]),
            passed: 0,
        })
    }

    /// Goes on with the settings of sessions that others were made with, which stay empty.
    pub(super) fn take_settings(&mut self, other: &mut Flows<A>, now: u64) {
        self.sessions.take_settings(&mut other.sessions, now);
    }

    /// Begins the look-up of a packet.
    #[inline(always)]
    pub fn query(&self, probe: Probe<A::Flow>) -> Query<A::Flow> {
        self.sessions.query(probe)
    }

    /// Begins the look-up of a packet that is not [plain](super::is_plain), or may not be: `read` reads it.
    pub fn query_any(&self, asking: &Asking<'_>, key: &Key<A>, read: impl FnOnce() -> Probe<A::Flow>) -> Query<A::Flow> {
        if asking.drops(key) {
            return Query::none();
        }
        let mut probe = if is_plain(key) { probe(key) } else { read() };
        self.of_first_fragment(key, &mut probe, asking.now);
        self.sessions.query(probe)
    }

    /// Lets those packets of a frame pass that belong to sessions. Returns how many do; which are unknown is to be decided by
    /// [`Flows::decide`].
    #[inline]
    pub fn follow(&mut self, asking: &Asking<'_>, queries: &[Query<A::Flow>], tracked: &mut [Tracked; VECTOR]) -> usize {
        let passed = self.sessions.follow(queries, asking.epoch, asking.now, tracked);
        self.passed += passed as u64;
        passed
    }

    /// Remembers the flow of a first fragment that has passed.
    pub fn learn(&mut self, asking: &Asking<'_>, key: &Key<A>, query: &Query<A::Flow>) {
        if query.probe.first_fragment {
            self.fragments.learn(A::datagram(key), query.probe.key, asking.now);
        }
    }

    /// Decides those packets of a frame that are `unknown`.
    pub fn decide(
        &mut self,
        asking: &mut Asking<'_>,
        (keys, queries): (&[Key<A>; VECTOR], &[Query<A::Flow>; VECTOR]),
        unknown: &[u8],
        rulings: &mut [Ruling; VECTOR],
    ) {
        let mut found = [Found::NONE; VECTOR];
        let found = &mut found[..unknown.len()];
        for (packet, found) in unknown.iter().zip(&mut *found) {
            *found = self.sessions.find_queried(&queries[usize::from(*packet)]);
        }
        self.ask_again(asking, found);
        // The rules are asked about the others, all at once.
        let policy = asking.policy;
        let mut missed = 0;
        for (packet, found) in unknown.iter().zip(&*found) {
            let key = &keys[usize::from(*packet)];
            if !found.is_some() && !asking.drops(key) {
                self.asked[missed] = *key;
                missed += 1;
            }
        }
        let mut verdicts = [Verdict { rule: 0, outcome: Outcome::Deny }; VECTOR];
        if missed > 0 {
            let counted = |packet: usize| policy != Policy::FollowFirst || self.asked[packet].part != Part::Later;
            let count = |packet: usize, rule: u32| {
                if counted(packet) {
                    asking.hits.count(rule, 1);
                }
            };
            A::rules(asking.rules).decide(&self.asked[..missed], &mut verdicts, asking.scratch, count);
        }
        let mut verdicts = verdicts.iter();
        for (packet, found) in unknown.iter().zip(&*found) {
            let packet = usize::from(*packet);
            let (key, probe) = (&keys[packet], &queries[packet].probe);
            if asking.drops(key) {
                rulings[packet] = Ruling::Fragment;
                continue;
            }
            let verdict = if found.is_some() { None } else { verdicts.next().copied() };
            rulings[packet] = match self.sessions.track(*found, probe.event, asking.now) {
                Tracked::Pass => self.pass(key, probe, asking.now),
                Tracked::Invalid => Ruling::Invalid,
                Tracked::Unknown => self.without(asking, key, probe, verdict),
            };
        }
    }

    /// A fragment without ports is of the flow of its first one.
    pub(super) fn of_first_fragment(&self, key: &Key<A>, probe: &mut Probe<A::Flow>, now: u64) {
        if probe.event == Event::Fragment
            && let Some(flow) = self.fragments.find(&A::datagram(key), now)
        {
            probe.key = flow;
        }
    }

    fn pass(&mut self, key: &Key<A>, probe: &Probe<A::Flow>, now: u64) -> Ruling {
        self.passed += 1;
        if probe.first_fragment {
            self.fragments.learn(A::datagram(key), probe.key, now);
        }
        Ruling::Session
    }

    /// A packet that had no session when its frame was looked up, or one that is over.
    fn without(&mut self, asking: &mut Asking<'_>, key: &Key<A>, probe: &Probe<A::Flow>, verdict: Option<Verdict>) -> Ruling {
        // A packet before it in its frame may have opened one, or be its first fragment.
        let mut probe = *probe;
        self.of_first_fragment(key, &mut probe, asking.now);
        let mut found = [self.sessions.find(&probe.key)];
        self.ask_again(asking, &mut found);
        match self.sessions.track(found[0], probe.event, asking.now) {
            Tracked::Pass => return self.pass(key, &probe, asking.now),
            Tracked::Invalid => return Ruling::Invalid,
            Tracked::Unknown => {}
        }
        let mut verdict = verdict.unwrap_or_else(|| self.ask(asking, key));
        if let Some(seen) = asking.first_fragments {
            match key.part {
                Part::Whole => {}
                Part::First => seen.first(key, verdict, asking.now),
                Part::Later => match seen.later(key, asking.now) {
                    Some(first) => verdict = first,
                    None => return Ruling::FirstFragmentUnknown,
                },
            }
        }
        asking.hits.count(verdict.rule, 1);
        match verdict.outcome {
            Outcome::Reflect => self.open(asking, key, &probe),
            outcome => Ruling::Rules(outcome),
        }
    }

    fn ask(&self, asking: &mut Asking<'_>, key: &Key<A>) -> Verdict {
        let mut verdicts = [Verdict { rule: 0, outcome: Outcome::Deny }; VECTOR];
        let count = |_, rule: u32| asking.hits.count(rule, 1);
        A::rules(asking.rules).decide(std::slice::from_ref(key), &mut verdicts, asking.scratch, count);
        verdicts[0]
    }

    fn open(&mut self, asking: &Asking<'_>, key: &Key<A>, probe: &Probe<A::Flow>) -> Ruling {
        match self.sessions.open(Opening::symmetric(probe, asking.epoch), asking.now, &mut |_, _| ()) {
            Ok(found) => {
                if let Some(origin) = found.handle().and_then(|handle| self.origins.get_mut(handle.place())) {
                    *origin = Origin::of(key);
                }
                if probe.first_fragment {
                    self.fragments.learn(A::datagram(key), probe.key, asking.now);
                }
                Ruling::Session
            }
            Err(Refused::SourceLimit) => Ruling::SourceLimit,
            Err(Refused::Full) => Ruling::Full,
            Err(Refused::NotOpening | Refused::Taken | Refused::BadRecord) => Ruling::NoSession,
        }
    }

    /// Ends those sessions among the found ones that the rules do not permit any more.
    fn ask_again(&mut self, asking: &mut Asking<'_>, found: &mut [Found]) {
        let is_old = |found: &Found| self.sessions.get(*found).is_some_and(|session| session.data() != asking.epoch);
        if found.iter().any(is_old) {
            self.ask_old(asking, found);
        }
    }

    fn ask_old(&mut self, asking: &mut Asking<'_>, found: &mut [Found]) {
        let mut old = [0; VECTOR];
        let mut count = 0;
        for (packet, found) in found.iter().enumerate() {
            let Some(session) = self.sessions.get(*found).filter(|session| session.data() != asking.epoch) else { continue };
            let origin = found.handle().and_then(|handle| self.origins.get(handle.place())).copied().unwrap_or_default();
            self.asked[count] = origin.key(session.forward());
            old[count] = packet;
            count += 1;
        }
        let mut verdicts = [Verdict { rule: 0, outcome: Outcome::Deny }; VECTOR];
        A::rules(asking.rules).decide(&self.asked[..count], &mut verdicts, asking.scratch, |_, _| ());
        for (packet, verdict) in old[..count].iter().zip(verdicts) {
            let found = &mut found[*packet];
            if verdict.outcome == Outcome::Reflect {
                self.sessions.set_data(*found, asking.epoch);
            } else {
                if let Some(handle) = found.handle() {
                    self.sessions.remove_one(handle, &mut |_, _| ());
                }
                *found = Found::NONE;
            }
        }
    }

    /// Removes sessions that are over, looking at so many at most.
    pub(super) fn expire(&mut self, now: u64, budget: usize) {
        self.sessions.expire(now, budget, &mut |_, _| ());
    }

    pub(super) fn sessions(&self) -> &Sessions<A::Flow> {
        &self.sessions
    }

    /// Lists sessions from a position on, `room` at most, each with the interface that its first packet came in by. Returns how many more there
    /// are.
    pub(super) fn list(
        &self,
        at: u32,
        now: u64,
        filter: &Filter,
        room: usize,
        mut visit: impl FnMut(Record, u16),
    ) -> (u64, Option<u32>) {
        let rx = |handle: Handle| self.origins.get(handle.place()).map_or(u16::MAX, |origin| origin.rx);
        self.sessions.list_some(at, now, filter, room, |handle, record| visit(record, rx(handle)))
    }

    /// Removes sessions from a position on.
    pub(super) fn remove(&mut self, at: u32, filter: &Filter, removed: &mut u64) -> Option<u32> {
        self.sessions.remove_where(at, filter, &mut |_, _| *removed += 1)
    }
}

impl Origin {
    fn of<A>(key: &Key<A>) -> Origin {
        Origin {
            source_port: key.source_port,
            destination_port: key.destination_port,
            vlan: key.vlan,
            rx: key.rx,
            tx: key.tx,
            tcp_flags: key.tcp_flags,
            dscp: key.dscp,
            is_fragment: u8::from(key.part == Part::First),
            unused: [0; 3],
        }
    }

    pub(super) fn key<A: Flowing>(&self, flow: A::Flow) -> Key<A> {
        let flow = flow.flow();
        Key {
            source: A::address(flow.source),
            destination: A::address(flow.destination),
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol: flow.protocol,
            part: if self.is_fragment == 0 { Part::Whole } else { Part::First },
            tcp_flags: self.tcp_flags,
            dscp: self.dscp,
            vlan: self.vlan,
            rx: self.rx,
            tx: self.tx,
            id: 0,
        }
    }
}
