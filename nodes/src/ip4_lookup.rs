//! `ip4-lookup`: where an IPv4 packet goes (RFC 1812 §5.2.4).

use std::net::Ipv4Addr;

use swath_api::Str;
use swath_api::prelude::*;

use crate::neighbours::Neighbours;
use crate::routes4::{BY_DESTINATION, Leaf, Meaning, Routes4};

/// Finds the longest route to each packet's destination.
pub struct Ip4Lookup {
    routes: Handle<Routes4>,
    neighbours: Handle<Neighbours>,
    // Scratch space, kept so that it need not be zeroed for each vector.
    destinations: Box<[u32; VECTOR]>,
    numbers: Box<[u32; VECTOR]>,
    leaves: Box<[Leaf; VECTOR]>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The table of routes, of kind `fib4`. Default: the only one.
    #[serde(default)]
    table: Option<String>,
    /// The table of neighbours that the routes use. Default: the only one.
    #[serde(default)]
    neighbours: Option<String>,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets for somebody else. Their lane names the adjacency and the interface to leave by.
        Forward = required("forward", layer::IP4),
        /// Packets for the router itself: one of its addresses, or a broadcast. If they drop here, it answers nobody, pings included.
        Local = edge("local", layer::IP4),
        /// No route leads to the destination: add one, or a default route (`prefix: 0.0.0.0/0`). If the routes are as they should be, a sender
        /// scans, or has a wrong address.
        NoRoute = edge("no-route", layer::IP4),
        /// Packets for a multicast group (224.0.0.0/4). Hosts send some by themselves (mDNS, SSDP), so drops are usual where nobody forwards
        /// them.
        Multicast = edge("multicast", layer::IP4),
        /// The longest route to the destination says `unreachable: true`. Wire it to `icmp-error`, which answers that the host is unreachable.
        Unreachable = edge("unreachable", layer::IP4),
        /// The longest route to the destination says `prohibit: true`. Wire it to `icmp-error`, which answers that it is administratively
        /// prohibited.
        Prohibit = edge("prohibit", layer::IP4),
        /// The longest route to the destination says `blackhole: true`. If the packets are wanted after all, remove it, or add a longer route.
        Blackhole = drop("blackhole"),
        /// The destination is no address of a host (0.0.0.0/8, 127.0.0.0/8, 240.0.0.0/4; RFC 1812 §5.3.7): the sender is broken, or has a
        /// placeholder in its configuration. Find it by the source address in a capture of the interface.
        Martian = drop("martian"),
    }
}

impl Node for Ip4Lookup {
    const INFO: Info = Info::new("ip4-lookup", "Looks the destination of IPv4 packets up in a table of routes.")
        .about(
            "The longest prefix wins (RFC 1812 §5.2.4.3). The packet itself stays as it is; what was found goes with it, to the \
             `ip4-rewrite` that sends it on. Of several next hops of a route the hash of the packet's flow chooses one.",
        )
        .input(layer::IP4)
        .uses(&[const { Str::new("fib4") }, const { Str::new("neighbours") }])
        .pure()
        .example(include_str!("../examples/ip4-lookup.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Ip4Lookup, ConfigError> {
        let (routes, neighbours) = Ip4Lookup::tables(&config, setup)?;
        Ok(Ip4Lookup {
            routes,
            neighbours,
            destinations: Box::new([0; VECTOR]),
            numbers: Box::new([0; VECTOR]),
            leaves: Box::new([Leaf::NO_ROUTE; VECTOR]),
        })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        let (routes, neighbours) = (cx.table(self.routes), cx.table(self.neighbours));
        let Some(destination) = packet.data().get(16..20).and_then(|bytes| bytes.first_chunk().copied()) else { return };
        match routes.longest(u32::from_be_bytes(destination)) {
            Some(Some(prefix)) => _ = words.also().text("route ").address(prefix.addr()).text("/").octet(prefix.len()),
            Some(None) => words.say(format_args!("no route leads to {}", Ipv4Addr::from(destination))),
            None => {}
        }
        let lane = packet.lane_ref();
        if decided.is(Next::Forward)
            && let Some(interface) = neighbours.interface(lane.tx)
        {
            match neighbours.next_hop(lane.adj) {
                Some(key) => _ = words.also().text("via ").address(key.address()).text(" by ").text(&interface.name),
                None => words.say(format_args!("on the link of {}", interface.name)),
            }
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        const DESTINATION: usize = 16;
        let destinations = frame.gather_be32::<DESTINATION>(&mut self.destinations);
        let numbers = &mut self.numbers[..destinations.len()];
        let routes = cx.table(self.routes);
        routes.lookup(destinations, numbers);
        let leaves = &mut self.leaves[..destinations.len()];
        let table = routes.leaves();
        for (leaf, number) in leaves.iter_mut().zip(numbers) {
            *leaf = table.get(*number);
        }
        let special = leaves.iter().fold(false, |any, leaf| any | leaf.is_special());
        if special && leaves.iter().any(|leaf| leaf.is_group()) {
            table.settle();
            frame.decide(leaves, |packet, leaf| {
                let leaf = if leaf.is_group() { table.member(*leaf, routes.hash(packet.data())) } else { *leaf };
                packet.lane().set_out(leaf.out());
                next(leaf)
            });
        } else {
            // A loop of its own: the compiler makes SIMD of it.
            frame.decide_lanes(leaves, |lane, leaf| {
                lane.set_out(leaf.out());
                next(*leaf)
            });
        }
        if special {
            let neighbours = cx.table(self.neighbours);
            for (lane, destination) in frame.lanes().iter_mut().zip(destinations) {
                if lane.adj == BY_DESTINATION {
                    // Unknown so far: adjacency 0 is nobody's, and `ip4-rewrite` says `unresolved`.
                    lane.adj = neighbours.host(lane.tx, *destination).unwrap_or(0);
                }
            }
        }
    }
}

impl Ip4Lookup {
    /// The routes, and the neighbours that they use.
    pub(crate) fn tables(config: &Config, setup: &mut Setup<'_>) -> Result<(Handle<Routes4>, Handle<Neighbours>), ConfigError> {
        let routes: Handle<Routes4> = setup.table("table", config.table.as_deref())?;
        let neighbours = setup.table("neighbours", config.neighbours.as_deref())?;
        if !std::ptr::eq(setup.shared(neighbours), setup.shared(routes).neighbours()) {
            return Err(ConfigError::at("neighbours", "the routes of this table use another table of neighbours"));
        }
        Ok((routes, neighbours))
    }
}

#[inline(always)]
fn next(leaf: Leaf) -> Next {
    match leaf.meaning() {
        Meaning::Forward => Next::Forward,
        Meaning::Local => Next::Local,
        Meaning::NoRoute => Next::NoRoute,
        Meaning::Multicast => Next::Multicast,
        Meaning::Blackhole => Next::Blackhole,
        Meaning::Martian => Next::Martian,
        Meaning::Unreachable => Next::Unreachable,
        Meaning::Prohibit => Next::Prohibit,
    }
}
