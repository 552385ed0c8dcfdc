//! `acl-filter`: permits and denies packets by the rules of a table.

use std::cell::RefCell;

use swath_api::prelude::*;
use swath_api::wire::IcmpCause;
use swath_api::{Offload, Str};

use crate::acl::{self, Acl, Asker, Asking, Flowing, Flows, Fragments, Key, Kind, Outcome, Part, Ruling, Scratch, Verdict};
use crate::sessions::{Key4, Key6, Probe, Query, Tracked};

/// Asks a table of rules about packets.
pub struct AclFilter {
    table: Handle<Acl>,
    layer: Layer,
    drop_fragments: bool,
    follow: bool,
    stateful: bool,
    workers: u32,
    // Scratch space, kept so that it need not be made for each vector.
    space: Box<Space>,
    // The same for packets that somebody follows or asks about.
    scratch: RefCell<Box<Scratch>>,
}

struct Space {
    kinds: [Kind; VECTOR],
    keys4: [Key<u32>; VECTOR],
    keys6: [Key<u128>; VECTOR],
    verdicts4: [Verdict; VECTOR],
    verdicts6: [Verdict; VECTOR],
    nexts: [Result<Outcome, Next>; VECTOR],
    queries4: [Query<Key4>; VECTOR],
    queries6: [Query<Key6>; VECTOR],
    rulings: [Ruling; VECTOR],
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The table of rules, of kind `acl`. Default: the only one.
    #[serde(default)]
    table: Option<String>,
    /// What packets start with at this node: `ip` behind `ip4-input` and its like, or `ethernet`, VLAN tags included. Default: `ip`.
    #[serde(default)]
    layer: Layer,
    /// Whether a driver that can drops packets in the place of the node, before they are copied: `xdp`, by the program in the kernel of
    /// `af-xdp`. It does so for rules `deny` that ask for nothing but addresses and `rx`, if no other rule before them (`permit`, `count`,
    /// `deny` by ports) is about some of the same addresses: put them first. The node has to stand right behind `rx` nodes, with `layer:
    /// ethernet`, `denied` must not be wired, and the table must keep no sessions and not follow first fragments, since what a session
    /// lets pass no rule is asked about. Counters are the same, those of rules, too. Where the driver is another one, or refuses, the
    /// node does all by itself, and the log says so. Default: it does all by itself.
    #[serde(default)]
    offload: Option<Way>,
}

/// In which way packets are dropped before the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Way {
    /// By the program of `af-xdp`.
    Xdp,
}

/// What packets start with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Layer {
    /// An Ethernet header.
    Ethernet,
    /// An IPv4 or an IPv6 header.
    #[default]
    Ip,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets that a rule permits, or the default.
        Permitted = required("permitted", layer::SAME),
        /// Packets that a rule rejects, or the default. Wire it to `icmp-error`, which tells the sender that a filter forbids it (RFC 1812
        /// §5.2.7.1); unwired, it drops them.
        Rejected = edge("rejected", layer::SAME),
        /// Packets that are neither IPv4 nor IPv6, such as ARP; rules do not speak of them.
        NotIp = edge("not-ip", layer::SAME),
        /// A rule denies the packet. Which one, its counter says; if the packet is wanted, put a rule that permits it before that one.
        Denied = drop("denied"),
        /// No rule holds for the packet, and the table says `default: deny`. If it is wanted, add a rule that permits it.
        DeniedByDefault = drop("denied-by-default"),
        /// A fragment, where the table says `fragments: drop`. If fragments are wanted, choose another policy, or put packets together
        /// before.
        Fragment = drop("fragment"),
        /// A fragment whose packet's first one has not come, or too long ago, where the table says `fragments: follow-first`. If there are
        /// many, the network reorders, or `fragmented-packets` is too small.
        FirstFragmentUnknown = drop("first-fragment-unknown"),
        /// A rule `permit+reflect` holds for the packet, but it begins nothing: TCP without SYN, an ICMP answer or error that nobody has asked
        /// for, a fragment before its first one. After a restart, `sessions: { pick-up: true }` lets TCP connections go on.
        NoSession = drop("no-session"),
        /// The packet does not fit the state of its session: a SYN of the side that was called, say, or flags of TCP that exclude each
        /// other. If there are many, somebody forges packets.
        Invalid = drop("invalid"),
        /// Its source has as many sessions as `sessions: { per-source: N }` allows it: it scans, or many hosts are behind it.
        SourceLimit = drop("source-limit"),
        /// There is no room for another session, and none gives way: all are established TCP. Raise `sessions: { capacity: N }`, or limit
        /// sources.
        SessionsFull = drop("sessions-full"),
        /// The headers that rules ask for are cut off, malformed, or behind more IPv6 extension headers than are walked; or a fragment would
        /// overwrite TCP flags that were looked at (RFC 1858 §3). No honest host sends such: find it by the source in a capture.
        BadHeader = drop("bad-header"),
    }
}

impl Node for AclFilter {
    const INFO: Info = Info::new("acl-filter", "Permits and denies IP packets by the rules of a table.")
        .about(
            "Several nodes can ask the same table. Packets are not changed. A rule that binds to `tx` holds only where that interface is \
             known: behind `ip4-lookup`, before `ip4-rewrite`. Where the table keeps sessions, packets of both directions must pass a node \
             that asks it, and all packets between two addresses are one worker's: of several workers, each hands the others theirs, for which \
             `swath graph` shows a handoff. Where it keeps none, every worker decides what it has received. With `fragments: \
             follow-first`, it is fragments alone that are handed over. Against a flood, `offload: xdp` drops in the kernel what plain rules \
             deny.",
        )
        .owned()
        .uses(&[const { Str::new("acl") }])
        .example(include_str!("../examples/acl-filter.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<AclFilter, ConfigError> {
        let table: Handle<Acl> = setup.table("table", config.table.as_deref())?;
        let acl = setup.shared(table);
        if config.layer == Layer::Ip {
            acl.without_vlan().map_err(|error| error.inside("table"))?;
        }
        if let Some(Way::Xdp) = config.offload {
            can_offload(acl, config.layer)?;
            setup.offload(Offload::RULES, table, [Some(Next::Denied), None], acl.plain_denials());
        }
        let fragments = acl.fragments();
        let verdict = Verdict { rule: 0, outcome: Outcome::Deny };
        let space = Space {
            kinds: [Kind::Other; VECTOR],
            keys4: [Key::default(); VECTOR],
            keys6: [Key::default(); VECTOR],
            verdicts4: [verdict; VECTOR],
            verdicts6: [verdict; VECTOR],
            nexts: [Err(Next::BadHeader); VECTOR],
            queries4: [Query::none(); VECTOR],
            queries6: [Query::none(); VECTOR],
            rulings: [Ruling::Full; VECTOR],
        };
        let (stateful, follow) = (acl.is_stateful(), fragments == Fragments::FollowFirst);
        if stateful {
            setup.every(Acl::TICK);
        }
        if !stateful && !follow {
            setup.any_worker();
        }
        Ok(AclFilter {
            table,
            layer: config.layer,
            drop_fragments: fragments == Fragments::Drop,
            follow,
            stateful,
            workers: setup.workers(),
            space: Box::new(space),
            scratch: RefCell::default(),
        })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        if self.stateful {
            self.process_sessions(frame, cx);
            return;
        }
        let special = match self.layer {
            Layer::Ip => self.space.gather4(frame, acl::ip4),
            Layer::Ethernet => self.space.gather4(frame, acl::ethernet4),
        };
        let (count, now) = (frame.len(), cx.now());
        let shard = cx.shard(self.table);
        let Space { kinds, keys4, verdicts4, .. } = &mut *self.space;
        let (kinds, keys4) = (&kinds[..count], &keys4[..count]);
        let uncounted = |part: Part| part != Part::Whole && self.drop_fragments || part == Part::Later && self.follow;
        shard.ip4(keys4, verdicts4, |packet| kinds[packet] == Kind::Ip4 && !uncounted(keys4[packet].part));
        if !special {
            shard.count(&verdicts4[..count]);
            frame.decide_lanes(&verdicts4[..count], |lane, verdict| decide(lane, verdict.outcome));
            return;
        }
        if kinds.contains(&Kind::Ip6) {
            let Space { kinds, keys6, verdicts6, .. } = &mut *self.space;
            match self.layer {
                Layer::Ip => gather6(frame, kinds, keys6, acl::ip6),
                Layer::Ethernet => gather6(frame, kinds, keys6, acl::ethernet6),
            }
            let keys6 = &keys6[..count];
            shard.ip6(keys6, verdicts6, |packet| kinds[packet] == Kind::Ip6 && !uncounted(keys6[packet].part));
        }
        let Space { kinds, keys4, keys6, verdicts4, verdicts6, nexts, .. } = &mut *self.space;
        for (packet, next) in nexts[..count].iter_mut().enumerate() {
            let (part, followed) = match kinds[packet] {
                Kind::Ip4 => (keys4[packet].part, shard.follow(&keys4[packet], verdicts4[packet], now)),
                Kind::Ip6 => (keys6[packet].part, shard.follow(&keys6[packet], verdicts6[packet], now)),
                Kind::Other => {
                    *next = Err(Next::NotIp);
                    continue;
                }
                Kind::Bad => {
                    *next = Err(Next::BadHeader);
                    continue;
                }
            };
            *next = match followed {
                _ if part != Part::Whole && self.drop_fragments => Err(Next::Fragment),
                None => Err(Next::FirstFragmentUnknown),
                Some(verdict) => {
                    shard.count(&[verdict]);
                    Ok(verdict.outcome)
                }
            };
        }
        frame.decide_lanes(&nexts[..count], |lane, next| match *next {
            Ok(outcome) => decide(lane, outcome),
            Err(next) => next,
        });
    }
    fn tick(&mut self, _: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        let now = cx.now();
        cx.shard(self.table).tick(now);
    }

    fn reason(&self, packet: &Packet<'_>, _: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        // The packet is as it came, and a session that it has opened is there now.
        if let Ok(mut scratch) = self.scratch.try_borrow_mut() {
            let _ = self.foresee(packet, cx, &mut scratch, words);
        }
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let foreseen = self.foresee(packet, cx, &mut self.scratch.borrow_mut(), words);
        Some(foreseen.map_or_else(|next| next, |outcome| decide(packet.lane(), outcome)))
    }

    fn owner(&self, frame: &mut Frame<'_, Owner>, _: &Context<'_>) {
        // Without sessions only first fragments are remembered: those of a packet meet, and all else stays where it is.
        let hash = if self.stateful { acl::pair_hash } else { acl::fragment_hash };
        frame.for_each(|packet| {
            let bytes = self.layer.network(packet.data());
            hash(bytes).map_or(Owner::ANY, |hash| Owner::of(hash, self.workers))
        });
    }
}

/// Whether a driver that sees frames as they arrive decides as the node does.
fn can_offload(acl: &Acl, layer: Layer) -> Result<(), ConfigError> {
    let what = if layer != Layer::Ethernet {
        "a driver drops frames as they arrive: put the node right behind `rx`, with `layer: ethernet`"
    } else if acl.is_stateful() {
        "the table keeps sessions, and a driver would drop what belongs to one, which no rule is asked about: leave `offload` out, or \
         give what is to be denied in any case to a node in front of this one, with a table without `permit+reflect` and `sessions`"
    } else if acl.fragments() == Fragments::FollowFirst {
        "the table follows first fragments, of which a driver knows nothing: choose another `fragments`, or leave `offload` out"
    } else {
        return Ok(());
    };
    Err(ConfigError::at("offload", what))
}

impl AclFilter {
    /// What is decided for a packet that is as it came, and why.
    fn foresee(
        &self,
        packet: &Packet<'_>,
        cx: &Context<'_>,
        scratch: &mut Scratch,
        words: &mut Words<'_>,
    ) -> Result<Outcome, Next> {
        let (mut key4, mut key6) = (Key::default(), Key::default());
        let kind = match self.layer {
            Layer::Ip => acl::ip4(packet, &mut key4),
            Layer::Ethernet => acl::ethernet4(packet, &mut key4),
        };
        let kind = match (kind, self.layer) {
            (Kind::Ip6, Layer::Ip) => acl::ip6(packet, &mut key6),
            (Kind::Ip6, Layer::Ethernet) => acl::ethernet6(packet, &mut key6),
            (kind, _) => kind,
        };
        let (acl, bytes) = (cx.table(self.table), self.layer.network(packet.data()));
        let mut asker = Asker::new(cx.peek(self.table), cx.now(), scratch);
        match kind {
            Kind::Ip4 => ruled(asker.foresee(acl, &key4, bytes, words)),
            Kind::Ip6 => ruled(asker.foresee(acl, &key6, bytes, words)),
            Kind::Other => Err(Next::NotIp),
            Kind::Bad => Err(Next::BadHeader),
        }
    }

    /// Where the table keeps sessions: they are asked first, and rules only about packets that have none.
    fn process_sessions(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let (now, layer) = (cx.now(), self.layer);
        let Space { kinds, keys4, keys6, queries4, queries6, rulings, nexts, .. } = &mut *self.space;
        let shard = cx.shard(self.table);
        let Some((asking, flows)) = shard.flows4(now) else {
            self.space.without_memory(frame, layer);
            return;
        };
        let walk = Walk { frame, layer, asking, flows, keys: keys4, queries: queries4, kinds, rulings };
        let done = match layer {
            Layer::Ip => walk.decide(Kind::Ip4, |packet, _| acl::plain4(packet), acl::ip4),
            Layer::Ethernet => walk.decide(Kind::Ip4, plain(Kind::Ip4, acl::ethernet4), acl::ethernet4),
        };
        let count = frame.len();
        match done {
            Done::Passed => return frame.all(Next::Permitted),
            Done::Ruled => {
                return frame.decide_lanes(&rulings[..count], |lane, ruling| match ruled(*ruling) {
                    Ok(outcome) => decide(lane, outcome),
                    Err(next) => next,
                });
            }
            Done::Partly => {}
        }
        if kinds[..count].contains(&Kind::Ip6)
            && let Some((asking, flows)) = shard.flows6(now)
        {
            let walk = Walk { frame, layer, asking, flows, keys: keys6, queries: queries6, kinds, rulings };
            let done = match layer {
                Layer::Ip => walk.decide(Kind::Ip6, plain(Kind::Ip6, acl::ip6), acl::ip6),
                Layer::Ethernet => walk.decide(Kind::Ip6, plain(Kind::Ip6, acl::ethernet6), acl::ethernet6),
            };
            if done == Done::Passed {
                frame.all(Next::Permitted);
                return;
            }
        }
        for (ruling, (next, kind)) in rulings.iter().zip(nexts.iter_mut().zip(&*kinds)) {
            *next = match kind {
                Kind::Ip4 | Kind::Ip6 => ruled(*ruling),
                Kind::Other => Err(Next::NotIp),
                Kind::Bad => Err(Next::BadHeader),
            };
        }
        frame.decide_lanes(&nexts[..count], |lane, next| match *next {
            Ok(outcome) => decide(lane, outcome),
            Err(next) => next,
        });
    }
}

/// What is known after the packets of one version of IP were decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    /// All packets of the frame are of that version, and have passed by their sessions.
    Passed,
    /// All packets of the frame are of that version, and there is a ruling for each.
    Ruled,
    /// There is a ruling for each of that version.
    Partly,
}

/// The packets of one version of IP of a frame, on their way through sessions and rules.
struct Walk<'a, 'f, A: Flowing> {
    frame: &'a mut Frame<'f, Next>,
    layer: Layer,
    asking: Asking<'a>,
    flows: &'a mut Flows<A>,
    keys: &'a mut [Key<A>; VECTOR],
    queries: &'a mut [Query<A::Flow>; VECTOR],
    kinds: &'a mut [Kind; VECTOR],
    rulings: &'a mut [Ruling; VECTOR],
}

impl<A: Flowing> Walk<'_, '_, A> {
    /// Decides all packets of a kind: of IPv4 it finds out which those are, of IPv6 they are known. `plain` reads those that are as most
    /// are, `any` reads all.
    #[inline(always)]
    fn decide(
        mut self,
        own: Kind,
        plain: impl Fn(&Packet<'_>, &mut Key<A>) -> Option<Probe<A::Flow>>,
        any: impl Fn(&Packet<'_>, &mut Key<A>) -> Kind,
    ) -> Done {
        let Walk { frame, flows, queries, .. } = &mut self;
        let (mut is_plain, mut key) = (true, Key::default());
        frame.read(queries, |packet| {
            let probe = plain(packet, &mut key);
            is_plain &= probe.is_some();
            probe.map_or(Query::none(), |probe| flows.query(probe))
        });
        if !is_plain {
            self.read_others(own, &plain, &any);
        }
        let mut tracked = [Tracked::Unknown; VECTOR];
        let count = self.frame.len();
        let passed = self.flows.follow(&self.asking, &self.queries[..count], &mut tracked);
        if passed == count && is_plain {
            return Done::Passed;
        }
        if is_plain {
            self.decide_rest(|_| true, &tracked, any);
            return Done::Ruled;
        }
        // A first fragment is remembered, and so is none that is plain.
        let kinds = *self.kinds;
        let ours = |packet: usize| kinds[packet] == own;
        for packet in (0..count).filter(|packet| ours(*packet) && tracked[*packet] == Tracked::Pass) {
            self.flows.learn(&self.asking, &self.keys[packet], &self.queries[packet]);
        }
        self.decide_rest(ours, &tracked, any);
        Done::Partly
    }

    /// Reads the packets that are not as most are.
    #[inline(never)]
    fn read_others(
        &mut self,
        own: Kind,
        plain: impl Fn(&Packet<'_>, &mut Key<A>) -> Option<Probe<A::Flow>>,
        any: impl Fn(&Packet<'_>, &mut Key<A>) -> Kind,
    ) {
        let Walk { frame, asking, flows, keys, queries, kinds, layer, .. } = self;
        let mut slots = keys.iter_mut().zip(queries.iter_mut()).zip(kinds.iter_mut());
        frame.read(&mut [(); VECTOR], |packet| {
            let Some(((key, query), kind)) = slots.next() else { return };
            if own == Kind::Ip6 && *kind != Kind::Ip6 {
                return;
            }
            if plain(packet, key).is_some() {
                *kind = own;
                return;
            }
            *kind = any(packet, key);
            if *kind == own {
                *query = flows.query_any(asking, key, || A::read(layer.network(packet.data())));
            }
        });
    }

    /// After those of `ours` that belong to sessions have passed.
    #[inline(always)]
    fn decide_rest(
        self,
        ours: impl Fn(usize) -> bool,
        tracked: &[Tracked; VECTOR],
        any: impl Fn(&Packet<'_>, &mut Key<A>) -> Kind,
    ) {
        let Walk { frame, mut asking, flows, keys, queries, rulings, .. } = self;
        let (mut unknown, mut count) = ([0_u8; VECTOR], 0);
        for (packet, (tracked, ruling)) in (0..frame.len()).zip(tracked.iter().zip(&mut *rulings)) {
            if !ours(packet) {
                continue;
            }
            *ruling = if *tracked == Tracked::Pass { Ruling::Session } else { Ruling::Invalid };
            // No branch: which they are nobody can predict.
            unknown[count] = packet as u8;
            count += usize::from(*tracked == Tracked::Unknown);
        }
        let unknown = &unknown[..count];
        for packet in unknown {
            let packet = usize::from(*packet);
            frame.read_one(packet, |bytes| any(bytes, &mut keys[packet]));
        }
        if !unknown.is_empty() {
            flows.decide(&mut asking, (keys, queries), unknown, rulings);
        }
    }
}

/// Reads a packet by its key, and says what sessions ask if that is all.
#[inline(always)]
fn plain<A: Flowing>(
    own: Kind,
    key_of: impl Fn(&Packet<'_>, &mut Key<A>) -> Kind,
) -> impl Fn(&Packet<'_>, &mut Key<A>) -> Option<Probe<A::Flow>> {
    move |packet, key| (key_of(packet, key) == own && acl::is_plain(key)).then(|| acl::probe(key))
}

impl Layer {
    /// The IP packet in the bytes of a packet.
    fn network(self, bytes: &[u8]) -> &[u8] {
        match self {
            Layer::Ip => bytes,
            Layer::Ethernet => acl::network(bytes).map_or(&[], |(_, _, packet)| packet),
        }
    }
}

fn ruled(ruling: Ruling) -> Result<Outcome, Next> {
    match ruling {
        Ruling::Session => Ok(Outcome::Reflect),
        Ruling::Rules(outcome) => Ok(outcome),
        Ruling::NoSession => Err(Next::NoSession),
        Ruling::Invalid => Err(Next::Invalid),
        Ruling::SourceLimit => Err(Next::SourceLimit),
        Ruling::Full => Err(Next::SessionsFull),
        Ruling::Fragment => Err(Next::Fragment),
        Ruling::FirstFragmentUnknown => Err(Next::FirstFragmentUnknown),
    }
}

impl Space {
    /// No session can be opened.
    #[cold]
    fn without_memory(&mut self, frame: &mut Frame<'_, Next>, layer: Layer) {
        match layer {
            Layer::Ip => self.gather4(frame, acl::ip4),
            Layer::Ethernet => self.gather4(frame, acl::ethernet4),
        };
        frame.decide_lanes(&self.kinds, |_, kind| match kind {
            Kind::Ip4 | Kind::Ip6 => Next::SessionsFull,
            Kind::Other => Next::NotIp,
            Kind::Bad => Next::BadHeader,
        });
    }

    /// Takes the keys of IPv4 packets. `true` if there are others among them, or fragments.
    #[inline(always)]
    fn gather4(&mut self, frame: &mut Frame<'_, Next>, of: impl Fn(&Packet<'_>, &mut Key<u32>) -> Kind) -> bool {
        let (mut keys, mut special) = (self.keys4.iter_mut(), false);
        frame.read(&mut self.kinds, |packet| {
            let Some(key) = keys.next() else { return Kind::Bad };
            let kind = of(packet, key);
            special |= kind != Kind::Ip4 || key.part != Part::Whole;
            kind
        });
        special
    }
}

/// Takes the keys of IPv6 packets, and corrects what they are.
fn gather6(
    frame: &mut Frame<'_, Next>,
    kinds: &mut [Kind; VECTOR],
    keys: &mut [Key<u128>; VECTOR],
    of: impl Fn(&Packet<'_>, &mut Key<u128>) -> Kind,
) {
    let mut packet_of = keys.iter_mut().zip(*kinds);
    frame.read(kinds, |packet| match packet_of.next() {
        Some((key, Kind::Ip6)) => of(packet, key),
        Some((_, kind)) => kind,
        None => Kind::Bad,
    });
}

#[inline(always)]
fn decide(lane: &mut Lane, outcome: Outcome) -> Next {
    match outcome {
        Outcome::Permit | Outcome::Reflect => Next::Permitted,
        Outcome::Deny => Next::Denied,
        Outcome::DenyByDefault => Next::DeniedByDefault,
        Outcome::Reject => {
            lane.adj = IcmpCause::PROHIBITED.word();
            Next::Rejected
        }
    }
}
