//! `ip4-urpf`: unicast reverse-path forwarding: whether a packet can have come the way it came (RFC 3704, RFC 8704, BCP 38).

use std::net::Ipv4Addr;

use swath_api::Str;
use swath_api::prelude::*;

use crate::routes4::Routes4;

/// In place of a number: the source is none yet. No number that a look-up answers with is as large.
const EXEMPT: u32 = u32::MAX;

/// Checks the sources of packets against the routes back to them.
pub struct Ip4Urpf {
    routes: Handle<Routes4>,
    mode: Mode,
    allow_default: bool,
    // Scratch space, kept so that it need not be zeroed for each vector.
    sources: Box<[u32; VECTOR]>,
    destinations: Box<[u32; VECTOR]>,
    numbers: Box<[u32; VECTOR]>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The table of routes, of kind `fib4`. Default: the only one.
    #[serde(default)]
    table: Option<String>,
    /// How strict it is. Default: `strict`.
    #[serde(default)]
    mode: Mode,
    /// Whether the route 0.0.0.0/0 is a way back. On an uplink that the default route leads out of it has to be; in mode `loose` it lets
    /// everything pass then. Default: `false`.
    #[serde(default)]
    allow_default: bool,
}

/// Which ways back count.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// The route to the source must lead out of the interface that the packet came in by, with any of its next hops (RFC 3704 §2.2). For
    /// networks with one way in.
    #[default]
    Strict,
    /// As `strict`, and routes of the same prefix that stand by with a higher `metric` count, too (feasible path, RFC 3704 §2.3). For
    /// networks with several ways in.
    Feasible,
    /// There must be a route to the source, out of any interface (RFC 3704 §2.4). For uplinks whose traffic is asymmetric.
    Loose,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets that can have come this way.
        Ok = required("ok", layer::IP4),
        /// No route leads to a host of the source's address: there is none, or it is a blackhole and its like, or the address is the
        /// router's own. The source is forged, or the router lacks a route.
        NoWayBack = drop("no-way-back"),
        /// The route to the source leads out of another interface. The source is forged, or the network behind the interface has several
        /// ways to the router: then use the mode `feasible` or `loose`.
        WrongInterface = drop("wrong-interface"),
        /// Only the default route leads to the source. If that is right on this interface, say `allow-default: true`.
        OnlyDefault = drop("only-default"),
    }
}

impl Node for Ip4Urpf {
    const INFO: Info = Info::new("ip4-urpf", "Drops IPv4 packets whose source cannot be where they came from.")
        .about(
            "It looks the source up among the routes (unicast reverse-path forwarding, RFC 3704) and drops what is forged. Put it between \
             `ip4-input` and `ip4-lookup`, behind a `switch` if interfaces differ. It can say which of the ways that the *table* knows \
             a packet may have come; ways that BGP knows and the table does not (RFC 8704) have to be there as routes of a higher \
             `metric`. A host that has no address yet may speak from 0.0.0.0 to 255.255.255.255 (DHCP; RFC 1812 §4.2.2.11). Packets \
             that no interface has received pass.",
        )
        .input(layer::IP4)
        .uses(&[const { Str::new("fib4") }])
        .pure()
        .example(include_str!("../examples/ip4-urpf.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Ip4Urpf, ConfigError> {
        Ok(Ip4Urpf {
            routes: setup.table("table", config.table.as_deref())?,
            mode: config.mode,
            allow_default: config.allow_default,
            sources: Box::new([0; VECTOR]),
            destinations: Box::new([0; VECTOR]),
            numbers: Box::new([0; VECTOR]),
        })
    }

    fn reason(&self, packet: &Packet<'_>, _: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        let Some(source) = packet.data().get(12..16).and_then(|bytes| bytes.first_chunk().copied()) else { return };
        match cx.table(self.routes).longest(u32::from_be_bytes(source)) {
            Some(Some(prefix)) => words.say(format_args!("route back {prefix}")),
            Some(None) => words.say(format_args!("no route leads back to {}", Ipv4Addr::from(source))),
            None => {}
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        const SOURCE: usize = 12;
        const DESTINATION: usize = 16;
        let routes = cx.table(self.routes);
        let sources = frame.gather_be32::<SOURCE>(&mut self.sources);
        let numbers = &mut self.numbers[..sources.len()];
        routes.lookup(sources, numbers);
        if sources.contains(&0) {
            // Only they are worth a look at the destination.
            let destinations = frame.gather_be32::<DESTINATION>(&mut self.destinations);
            let unborn = sources.iter().zip(destinations).map(|(source, destination)| *source == 0 && *destination == u32::MAX);
            numbers.iter_mut().zip(unborn).filter(|(_, unborn)| *unborn).for_each(|(number, _)| *number = EXEMPT);
        }
        let (mode, allow_default) = (self.mode, self.allow_default);
        frame.decide_lanes(numbers, |lane, number| {
            let back = routes.way_back(*number);
            let is_here = match mode {
                Mode::Strict => back.is_best(lane.rx),
                Mode::Feasible => back.is_feasible(lane.rx),
                Mode::Loose => true,
            };
            match (back.exists(), is_here) {
                _ if lane.rx == NO_INTERFACE || *number == EXEMPT => Next::Ok,
                (false, _) => Next::NoWayBack,
                (true, false) => Next::WrongInterface,
                (true, true) if back.is_default() && !allow_default => Next::OnlyDefault,
                (true, true) => Next::Ok,
            }
        });
    }
}
