//! `nat44-out2in`: gives packets that come in for an address of the pool the inside address that they are meant for (RFC 3022).

use swath_api::Str;
use swath_api::prelude::*;

use crate::nat44::{self, Act, Nat44, OUTSIDE, Refusal, Space, Walk};
use crate::sessions::Key4;

/// Translates the destinations of packets.
pub struct Nat44Out2in {
    table: Handle<Nat44>,
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
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Translated packets.
        Ok = required("ok", layer::IP4),
        /// Packets that are not for hosts inside: for other addresses, or for the router itself, where a pool address is its own: to ports that are
        /// not of the pool, pings, protocols without ports. They are unchanged.
        Other = required("other", layer::IP4),
        /// Fragments that wait for the first one of their packet.
        Waiting = held("waiting"),
        /// For a port of the pool that nobody inside has, or TCP that does not begin there, or an ICMP error that is about nothing. Nothing is
        /// answered (RFC 5382 REQ-4): a scan, or what is left of connections that are over.
        NoSession = drop("no-session"),
        /// The host inside has a port open, and not for this sender: see `filtering` of the table.
        Filtered = drop("filtered"),
        /// The packet does not fit the state of its session.
        Invalid = drop("invalid"),
        /// It would open a session, and says to be from an inside address: nobody outside has one. What hosts inside send to addresses of the pool
        /// is for `nat44-in2out` with `hairpin: true` first.
        Spoofed = drop("spoofed"),
        /// Two ports outside lead to one port inside, and the sender uses one port of its own for both at the same time: inside, they
        /// would be one. The first session lasts.
        Taken = drop("taken"),
        /// The host that it is for has as many sessions as `per-user` of the table allows it, or the table has no room for one more.
        NoRoom = drop("no-room"),
        /// A fragment whose first one has not come within `fragment-timeout` of the table, or was dropped.
        FirstFragmentMissing = drop("first-fragment-missing"),
        /// As many fragments as `waiting-fragments` of the table says wait for the first one of their packet: an attack, or a network that reorders much.
        FragmentsFull = drop("fragments-full"),
        /// Cut off, a fragment that would overwrite TCP flags that were looked at (RFC 1858 §3), or an ICMP error with a wrong checksum (RFC 5508
        /// REQ-3).
        Malformed = drop("malformed"),
    }
}

impl Node for Nat44Out2in {
    const INFO: Info = Info::new(
        "nat44-out2in",
        "Gives packets for an address of a NAT's pool the inside address that they are for.",
    )
    .about(
        "Put it before `ip4-lookup`, which then finds the way inside. Behind `icmp-error` another instance gives the errors \
             that the router itself sends to translated packets the address of who has sent them, with the header that they quote. \
             A packet belongs to the worker that has its port.",
    )
    .input(layer::IP4)
    .owned()
    .uses(&[const { Str::new("nat44") }])
    .carries("fragments that wait for the first one")
    .example(include_str!("../examples/nat44-out2in.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Nat44Out2in, ConfigError> {
        let table: Handle<Nat44> = setup.table("table", config.table.as_deref())?;
        setup.every(Nat44::TICK);
        Ok(Nat44Out2in { table, waiting: setup.held(setup.shared(table).waiting_fragments()), space: Box::default() })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let (now, table) = (cx.now(), cx.table(self.table));
        let known = table.known();
        let nat = table.view(&known);
        let Nat44Out2in { waiting, space, .. } = self;
        let (translated, held, full) = (Next::Ok, Next::Waiting, Next::FragmentsFull);
        let walk = Walk { nat, space, waiting, now, translated, held, full };
        walk.translate::<OUTSIDE, false>(frame, cx.shard(self.table), apply);
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        let table = cx.table(self.table);
        let known = table.known();
        let (nat, shard) = (table.view(&known), cx.peek(self.table));
        if decided.is(Next::Ok) {
            nat44::translated_by::<OUTSIDE>(nat, shard, packet, words);
        } else {
            nat44::foresee::<OUTSIDE>(nat, shard, packet, (false, cx.now()), words);
        }
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let table = cx.table(self.table);
        let known = table.known();
        let shard = cx.peek(self.table);
        Some(match nat44::foresee::<OUTSIDE>(table.view(&known), shard, packet, (false, cx.now()), words) {
            Act::Wait if self.waiting.room() == 0 => Next::FragmentsFull,
            Act::Wait => Next::Waiting,
            act => apply(packet, act),
        })
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        let (now, nat) = (cx.now(), cx.table(self.table));
        cx.shard(self.table).tick(now);
        if !self.waiting.is_empty() {
            out.release_with(&mut self.waiting, |(key, due), packet| match nat.waited(key, now) {
                Some(address) if address == key.destination_end().0 => Some(Next::Other),
                Some(address) => {
                    nat44::address::<OUTSIDE>(packet, address);
                    Some(Next::Ok)
                }
                None => (now >= *due).then_some(Next::FirstFragmentMissing),
            });
        }
    }

    fn owner(&self, frame: &mut Frame<'_, Owner>, cx: &Context<'_>) {
        let (now, nat) = (cx.now(), cx.table(self.table));
        let known = nat.known();
        frame.for_each(|packet| nat.view(&known).owner_outside(packet.data(), now, true));
    }

    fn would_own(&self, frame: &mut Frame<'_, Owner>, cx: &Context<'_>) {
        let (now, nat) = (cx.now(), cx.table(self.table));
        let known = nat.known();
        frame.for_each(|packet| nat.view(&known).owner_outside(packet.data(), now, false));
    }

    fn adopt(&mut self, old: &mut Nat44Out2in) {
        std::mem::swap(&mut self.waiting, &mut old.waiting);
    }
}

/// Does what is to be done with a packet that needed more than its session.
#[cold]
#[inline(never)]
fn apply(packet: &mut Packet<'_>, act: Act) -> Next {
    match act {
        Act::Translate(end) => nat44::translate::<OUTSIDE>(packet, end),
        Act::Quote(end) => nat44::quote::<OUTSIDE>(packet, end, |_| true),
        Act::Address(address) => nat44::address::<OUTSIDE>(packet, address),
        Act::Other | Act::Wait => return Next::Other,
        Act::Refuse(refusal) => return refuse(refusal),
    }
    Next::Ok
}

#[cold]
fn refuse(refusal: Refusal) -> Next {
    match refusal {
        Refusal::Exhausted | Refusal::UserLimit | Refusal::UserRate => Next::NoRoom,
        Refusal::Filtered => Next::Filtered,
        Refusal::Spoofed => Next::Spoofed,
        Refusal::Taken => Next::Taken,
        Refusal::Invalid => Next::Invalid,
        Refusal::Malformed => Next::Malformed,
        Refusal::NoSession | Refusal::Protocol => Next::NoSession,
    }
}
