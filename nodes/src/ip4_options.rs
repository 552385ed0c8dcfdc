//! `ip4-options`: checks and processes IPv4 options (RFC 791 §3.1, RFC 1812 §4.2.2.1 and §5.3.13, RFC 7126).

mod list;

use swath_api::Str;
use swath_api::prelude::*;
use swath_api::wire::{Header, IcmpCause, Ipv4};

use crate::leaf4::Meaning;
use crate::own4::Own4;
use crate::routes4::Routes4;
use list::{Area, List, Unreadable};

/// What RFC 7126 §4 says to drop unless there is a reason: obsolete options, and those of experiments.
const DROPPED: [u8; 14] = [11, 12, 30, 82, 94, 136, 142, 145, 147, 149, 151, 152, 158, 222];

/// Processes options.
pub struct Ip4Options {
    routes: Handle<Routes4>,
    own: Own4,
    source_route: SourceRoute,
    record_route: Treatment,
    timestamp: Treatment,
    dropped: [bool; 256],
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The table of routes, of kind `fib4`: that of the `ip4-lookup` behind this node. Default: the only one.
    #[serde(default)]
    table: Option<String>,
    /// What becomes of packets with a source route, loose or strict. Default: `drop` (RFC 7126 §4.3, §4.4).
    #[serde(default)]
    source_route: SourceRoute,
    /// What becomes of packets that record their route. Default: `process` (RFC 1812 §5.3.13.5).
    #[serde(default)]
    record_route: Treatment,
    /// What becomes of packets that collect timestamps. Default: `process` (RFC 1812 §5.3.13.6).
    #[serde(default)]
    timestamp: Treatment,
    /// The types of options whose packets are dropped: whole octets, as in 148. Default: those that RFC 7126 names: 11, 12, 30, 82, 94, 136,
    /// 142, 145, 147, 149, 151, 152, 158, 222.
    #[serde(default)]
    drop: Option<Vec<u8>>,
}

/// What becomes of packets with a source route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceRoute {
    /// They are dropped, as `source-route`.
    #[default]
    Drop,
    /// They go where their route says (RFC 791 §3.1).
    Process,
}

/// What becomes of packets with an option.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// It is processed.
    #[default]
    Process,
    /// They pass as if they did not have it.
    Pass,
    /// They are dropped, as `filtered`.
    Drop,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets with options that are sound, for a look-up.
        Ok = required("ok", layer::IP4),
        /// Packets with an option that cannot be understood, as they came: wire them to `icmp-error`, which tells the sender where it is. A few
        /// are a broken sender.
        ParameterProblem = edge("parameter-problem", layer::IP4),
        /// Packets whose source route cannot be followed, as they came, for `icmp-error`. If a route is missing, add it.
        SourceRouteFailed = edge("source-route-failed", layer::IP4),
        /// The packet has a source route: with it, somebody chooses the way of the packets, and of what answers them, past filters (RFC 7126
        /// §4.3, §4.4). In a network where that is wanted, set `source-route: process`.
        SourceRoute = drop("source-route"),
        /// The packet has an option that is to be dropped. Settings `drop`, `record-route` and `timestamp` say which.
        Filtered = drop("filtered"),
        /// No IPv4 packet, or one that is cut off: put `ip4-input` before.
        Malformed = drop("malformed"),
    }
}

impl Node for Ip4Options {
    const INFO: Info = Info::new("ip4-options", "Checks IPv4 options, and processes those that are for routers.")
        .about(
            "It takes `options` of an `ip4-input` with `options: separate`, and stands before the look-up. It asks the same table for \
             the way of a packet that wants to know it: record route and timestamp get the address of the interface to leave by. \
             Timestamps count the milliseconds of this machine's own clock and say so by their high bit (RFC 791 §3.1). A packet for the router itself \
             gets a timestamp, and its route is recorded by who answers it. Router alert, security options and those that are not \
             known pass as they are (RFC 1812 §4.2.2.6, RFC 7126).",
        )
        .input(layer::IP4)
        .uses(&[const { Str::new("fib4") }])
        .pure()
        .example(include_str!("../examples/ip4-options.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Ip4Options, ConfigError> {
        let mut dropped = [false; 256];
        for kind in config.drop.as_deref().unwrap_or(&DROPPED) {
            if *kind <= list::NOP {
                return Err(ConfigError::at("drop", format!("`{kind}` is padding, and no option")));
            }
            dropped[usize::from(*kind)] = true;
        }
        dropped[usize::from(list::RECORD_ROUTE)] |= config.record_route == Treatment::Drop;
        dropped[usize::from(list::TIMESTAMP)] |= config.timestamp == Treatment::Drop;
        Ok(Ip4Options {
            routes: setup.table("table", config.table.as_deref())?,
            own: Own4::new(setup.interfaces())?,
            source_route: config.source_route,
            record_route: config.record_route,
            timestamp: config.timestamp,
            dropped,
        })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        let Ok((ip, rest)) = Ipv4::parse(packet.data()) else { return };
        let options = ip.option_bytes(rest);
        if decided.is(Next::ParameterProblem)
            && let Err(Unreadable { at }) = List::read(options, &self.dropped)
        {
            return words.say(format_args!("byte {} of the header cannot be understood", size_of::<Ipv4>() + at));
        }
        for option in ip.options(rest).flatten() {
            match list::name(option.kind) {
                Some(name) => words.say(name),
                None => words.say(format_args!("option {}", option.kind)),
            }
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let (routes, milliseconds) = (cx.table(self.routes), cx.now() / 1_000_000);
        frame.for_each(|packet| {
            let refused = self.take(packet, routes, milliseconds as u32).err();
            match refused {
                None => Next::Ok,
                Some(Refusal::Plain(next)) => next,
                Some(Refusal::With(next, cause)) => {
                    packet.lane().adj = cause.word();
                    next
                }
            }
        });
    }
}

/// Why a packet does not go on; it is unchanged.
enum Refusal {
    Plain(Next),
    With(Next, IcmpCause),
}

impl From<Unreadable> for Refusal {
    fn from(Unreadable { at }: Unreadable) -> Refusal {
        // The pointer counts from the start of the header, from 0 (RFC 792).
        Refusal::With(Next::ParameterProblem, IcmpCause::parameter_problem((size_of::<Ipv4>() + at) as u8))
    }
}

/// Where a packet goes, as far as options ask.
enum Way {
    /// To the router itself.
    Here,
    /// Out; the router's address on the interface to leave by.
    Out(u32),
    /// Nowhere.
    None,
}

impl Ip4Options {
    fn take(&self, packet: &mut Packet<'_>, routes: &Routes4, milliseconds: u32) -> Result<(), Refusal> {
        let (ip, rest) = packet.header::<Ipv4>().map_err(|_| Refusal::Plain(Next::Malformed))?;
        let mut copy = [0; list::LONGEST];
        let options = ip.option_bytes_mut(rest);
        let length = options.len();
        let new = &mut copy[..length];
        new.copy_from_slice(options);
        let list = List::read(new, &self.dropped)?;
        if list.dropped {
            return Err(Refusal::Plain(Next::Filtered));
        }
        let mut destination = ip.dst_bits();
        if let Some(route) = list.source_route {
            if self.source_route == SourceRoute::Drop {
                return Err(Refusal::With(Next::SourceRoute, IcmpCause::SOURCE_ROUTE_FAILED));
            }
            destination = self
                .follow(new, route, list.strict, destination, routes)
                .ok_or(Refusal::With(Next::SourceRouteFailed, IcmpCause::SOURCE_ROUTE_FAILED))?;
        }
        let way = match (list.record_route, list.timestamp) {
            (None, None) => Way::None,
            _ => self.way(destination, routes),
        };
        // What is not forwarded is quoted as it came.
        let forwarded = match way {
            Way::Out(own) if ip.ttl() > 1 => Some(own),
            _ => None,
        };
        if let Some(area) = list.record_route.filter(|_| self.record_route == Treatment::Process)
            && let Some(own) = forwarded
        {
            area.push(new, &[own]);
        }
        let stamper = if matches!(way, Way::Here) { Some(destination) } else { forwarded };
        if let Some(area) = list.timestamp.filter(|_| self.timestamp == Treatment::Process)
            && let Some(own) = stamper
        {
            // Not since midnight UT: the high bit says so.
            area.stamp(new, own, milliseconds | 1 << 31, |address| self.own.is_own(address))?;
        }
        ip.set_dst_bits(destination);
        ip.option_bytes_mut(rest).copy_from_slice(new);
        ip.fill_checksum(rest);
        Ok(())
    }

    /// Takes the next address of a source route, and records the router in its place; returns the new destination, if there is a way.
    fn follow(&self, options: &mut [u8], route: Area, strict: bool, destination: u32, routes: &Routes4) -> Option<u32> {
        let mut to = destination;
        // A route may name several of the router's addresses.
        while self.own.is_own(to)
            && let Some(next) = route.next(options)
        {
            let recorded = if self.own.is_own(next) {
                next
            } else {
                match self.way(next, routes) {
                    Way::Out(own) if self.own.is_host(next) => own,
                    _ => return None,
                }
            };
            route.push(options, &[recorded]);
            to = next;
        }
        // A strict route goes from neighbour to neighbour.
        (!strict || self.own.is_own(to) || self.own.is_neighbour(to)).then_some(to)
    }

    fn way(&self, destination: u32, routes: &Routes4) -> Way {
        let mut number = [0];
        routes.lookup(&[destination], &mut number);
        let leaf = routes.leaves().get(number[0]);
        match leaf.meaning() {
            Meaning::Forward => Way::Out(self.own.speak_from(leaf.tx(), destination)),
            Meaning::Local => Way::Here,
            _ => Way::None,
        }
    }
}
