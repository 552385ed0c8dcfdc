//! `nat44-in2out`: gives packets that leave a source address of the pool (RFC 3022).

use swath_api::Str;
use swath_api::prelude::*;
use swath_api::wire::IcmpCause;

use crate::nat44::{self, Act, INSIDE, Nat44, Refusal, Space, View, Walk};
use crate::sessions::Key4;

/// Translates the sources of packets.
pub struct Nat44In2out {
    table: Handle<Nat44>,
    hairpin: bool,
    waiting: Held<(Key4, u64)>,
    space: Box<Space>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The table, of kind `nat44`. Default: the only one.
    #[serde(default)]
    table: Option<String>,
    /// Translates only packets to addresses that hosts inside are known by: those with which inside hosts reach each other by their outside
    /// addresses (RFC 4787 §6). Put `nat44-out2in` behind it. Default: `false`.
    #[serde(default)]
    hairpin: bool,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Translated packets.
        Ok = required("ok", layer::IP4),
        /// Packets that are not translated: not from inside, or to somebody inside; with `hairpin: true` all that are not for an address that
        /// hosts inside are known by. They are unchanged. Unwired, it drops them: nobody leaves by an address of their own.
        Other = edge("other", layer::IP4),
        /// There is no port left, or no room for a session: a larger pool, or `sessions: { capacity: N }`. Wire it to `icmp-error`, which
        /// tells the sender (RFC 5508 REQ-8); unwired, it drops them.
        Exhausted = edge("exhausted", layer::IP4),
        /// The sender has as many sessions or ports as `per-user` allows it. Wire it to `icmp-error` as `exhausted`; unwired, it drops them.
        UserLimit = edge("user-limit", layer::IP4),
        /// The sender opens sessions faster than `rate` of `per-user` allows it: a scan, or something that is infected. Packets of its
        /// sessions pass. Wire it as `user-limit`, or not: unwired, it drops them, and nobody is told.
        UserRate = edge("user-rate", layer::IP4),
        /// Fragments that wait for the first one of their packet.
        Waiting = held("waiting"),
        /// The packet belongs to no session and opens none: TCP without SYN, an ICMP error or answer that is about nothing. After a restart,
        /// `sessions: { pick-up: true }` of the table lets TCP connections go on.
        NoSession = drop("no-session"),
        /// The packet does not fit the state of its session: flags of TCP that exclude each other, say.
        Invalid = drop("invalid"),
        /// A protocol without ports, which only hosts with a `static` address can use.
        Protocol = drop("protocol"),
        /// A fragment whose first one has not come within `fragment-timeout` of the table, or was dropped.
        FirstFragmentMissing = drop("first-fragment-missing"),
        /// As many fragments as `waiting-fragments` of the table says wait for the first one of their packet: an attack, or a network that reorders much.
        FragmentsFull = drop("fragments-full"),
        /// Cut off, a fragment that would overwrite TCP flags that were looked at (RFC 1858 §3), or an ICMP error with a wrong checksum (RFC 5508
        /// REQ-3).
        Malformed = drop("malformed"),
    }
}

impl Node for Nat44In2out {
    const INFO: Info = Info::new("nat44-in2out", "Gives packets that leave a source address and port of a NAT's pool.")
        .about(
            "Put it where the interface to leave by is known, before `ip4-rewrite`: a `switch` on `tx-interface` sends those for the \
             outside to it. What the packet needs to leave stays with it. An ICMP error is translated with the header that it quotes. \
             All packets of one inside address are one worker's.",
        )
        .input(layer::IP4)
        .owned()
        .uses(&[const { Str::new("nat44") }])
        .carries("fragments that wait for the first one")
        .example(include_str!("../examples/nat44-in2out.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Nat44In2out, ConfigError> {
        let table: Handle<Nat44> = setup.table("table", config.table.as_deref())?;
        setup.every(Nat44::TICK);
        let waiting = setup.held(setup.shared(table).waiting_fragments());
        Ok(Nat44In2out { table, hairpin: config.hairpin, waiting, space: Box::default() })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let (now, table) = (cx.now(), cx.table(self.table));
        let known = table.known();
        let nat = table.view(&known);
        let Nat44In2out { hairpin, waiting, space, .. } = self;
        if *hairpin && !frame.gather_be32::<16>(&mut space.destinations).iter().any(|destination| nat.is_ours(*destination)) {
            frame.all(Next::Other);
            return;
        }
        let (translated, held, full) = (Next::Ok, Next::Waiting, Next::FragmentsFull);
        let walk = Walk { nat, space, waiting, now, translated, held, full };
        let (shard, others) = (cx.shard(self.table), |packet: &mut Packet<'_>, act| apply(nat, packet, act));
        match *hairpin {
            true => walk.translate::<INSIDE, true>(frame, shard, others),
            false => walk.translate::<INSIDE, false>(frame, shard, others),
        }
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        let table = cx.table(self.table);
        let known = table.known();
        let (nat, shard) = (table.view(&known), cx.peek(self.table));
        if decided.is(Next::Ok) {
            nat44::translated_by::<INSIDE>(nat, shard, packet, words);
        } else {
            nat44::foresee::<INSIDE>(nat, shard, packet, (self.hairpin, cx.now()), words);
        }
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let table = cx.table(self.table);
        let known = table.known();
        let nat = table.view(&known);
        Some(match nat44::foresee::<INSIDE>(nat, cx.peek(self.table), packet, (self.hairpin, cx.now()), words) {
            Act::Wait if self.waiting.room() == 0 => Next::FragmentsFull,
            Act::Wait => Next::Waiting,
            act => apply(nat, packet, act),
        })
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        let (now, nat) = (cx.now(), cx.table(self.table));
        cx.shard(self.table).tick(now);
        if !self.waiting.is_empty() {
            out.release_with(&mut self.waiting, |(key, due), packet| match nat.waited(key, now) {
                Some(address) if address == key.source_end().0 => Some(Next::Other),
                Some(address) => {
                    nat44::address::<INSIDE>(packet, address);
                    Some(Next::Ok)
                }
                None => (now >= *due).then_some(Next::FirstFragmentMissing),
            });
        }
    }

    fn owner(&self, frame: &mut Frame<'_, Owner>, cx: &Context<'_>) {
        let nat = cx.table(self.table);
        let known = nat.known();
        frame.for_each(|packet| nat.view(&known).owner_inside(packet.data(), self.hairpin));
    }

    fn adopt(&mut self, old: &mut Nat44In2out) {
        std::mem::swap(&mut self.waiting, &mut old.waiting);
    }
}

/// Does what is to be done with a packet that needed more than its session.
#[cold]
#[inline(never)]
fn apply(nat: View<'_>, packet: &mut Packet<'_>, act: Act) -> Next {
    match act {
        Act::Translate(end) => nat44::translate::<INSIDE>(packet, end),
        Act::Quote(end) => nat44::quote::<INSIDE>(packet, end, |source| nat.table.is_inside(source)),
        Act::Address(address) => nat44::address::<INSIDE>(packet, address),
        Act::Other | Act::Wait => return Next::Other,
        Act::Refuse(refusal) => return refuse(packet, refusal, nat.table.refusal()),
    }
    Next::Ok
}

#[cold]
fn refuse(packet: &mut Packet<'_>, refusal: Refusal, told: IcmpCause) -> Next {
    let tell = |packet: &mut Packet<'_>, next| {
        packet.lane().adj = told.word();
        next
    };
    match refusal {
        Refusal::Exhausted => tell(packet, Next::Exhausted),
        Refusal::UserLimit => tell(packet, Next::UserLimit),
        Refusal::UserRate => tell(packet, Next::UserRate),
        Refusal::Invalid => Next::Invalid,
        Refusal::Protocol => Next::Protocol,
        Refusal::Malformed => Next::Malformed,
        // All but the first are of packets from outside alone.
        Refusal::NoSession | Refusal::Filtered | Refusal::Spoofed | Refusal::Taken => Next::NoSession,
    }
}
