//! `ip4-rewrite`: the last step of forwarding: time to live, checksum, MTU, Ethernet header (RFC 1812 §5.3.1).

use swath_api::Str;
use swath_api::prelude::*;
use swath_api::wire::{IcmpCause, MacAddr};

use crate::ip4_resolve::key_of;
use crate::neighbours::Neighbours;

/// Makes IPv4 packets ready to leave by the adjacency that a look-up has found.
pub struct Ip4Rewrite {
    neighbours: Handle<Neighbours>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The table of neighbours that the look-up's routes use. Default: the only one.
    #[serde(default)]
    pub(crate) neighbours: Option<String>,
}

edges! {
    /// Where packets go. All but those of `ok` are unchanged, and can go to `icmp-error`, which finds in the lane what is wrong.
    pub enum Next {
        /// Ethernet frames for `tx`.
        Ok = required("ok", layer::ETHERNET),
        /// The next hop's hardware address is not known, or was confirmed too long ago: wire it to `ip4-resolve`, or add the neighbour to the
        /// `static` entries of the table of neighbours. If it is there, compare its address with the route's `via`.
        Unresolved = edge("unresolved", layer::IP4),
        /// The time to live is used up. A few are a traceroute. Many to one destination are a routing loop: compare the route to it here with
        /// that of the next hop.
        TtlExpired = edge("ttl-expired", layer::IP4),
        /// Longer than the MTU of the interface to leave by. If they drop here, connections stall once they send much: give the senders this
        /// MTU, or raise `mtu` of the interface if all of its link carries more.
        TooBig = edge("too-big", layer::IP4),
        /// No look-up has chosen a next hop for the packet, or it is no IPv4 packet. The graph is wrong: wire `forward` of an `ip4-lookup` to this
        /// node, and nothing else.
        NoAdjacency = drop("no-adjacency"),
    }
}

impl Node for Ip4Rewrite {
    const INFO: Info = Info::new("ip4-rewrite", "Decrements the TTL and puts the Ethernet header of the next hop on.")
        .about(
            "The last step of forwarding (RFC 1812 §5.3.1): the next hop is the one that `ip4-lookup` has found. A packet that does not \
             leave is not changed, so that an error message can quote it as it came.",
        )
        .input(layer::IP4)
        .uses(&[const { Str::new("neighbours") }])
        .pure()
        .example(include_str!("../examples/ip4-rewrite.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Ip4Rewrite, ConfigError> {
        Ok(Ip4Rewrite { neighbours: setup.table("neighbours", config.neighbours.as_deref())? })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        let (neighbours, lane, data) = (cx.table(self.neighbours), packet.lane_ref(), packet.data());
        if decided.is(Next::Ok) {
            let (mac, ttl) = (data.first_chunk::<6>(), data.get(22));
            mac.into_iter().for_each(|mac| _ = words.also().text("to ").mac(MacAddr::from(*mac)));
            ttl.into_iter().for_each(|ttl| _ = words.also().text("ttl ").octet(*ttl));
        } else if decided.is(Next::TtlExpired) {
            data.get(8).into_iter().for_each(|ttl| words.say(format_args!("ttl {ttl}")));
        } else if decided.is(Next::TooBig) {
            let mtu = neighbours.interface(lane.tx).map_or(0, |interface| interface.mtu);
            words.say(format_args!("{} bytes, where the MTU is {mtu}", data.len()));
        } else if decided.is(Next::Unresolved)
            && let Some(next_hop) = key_of(neighbours, packet)
        {
            neighbours.say(next_hop, cx.now(), words);
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let (table, neighbours) = (cx.table(self.neighbours), cx.shard(self.neighbours));
        // A route or a neighbour may have come within this sweep, and its adjacency with it: who has seen the one sees the other.
        neighbours.catch_up(table);
        let adjacencies = neighbours.adjacencies();
        frame.ip4_forward(adjacencies, Next::Ok, Next::TtlExpired, Next::TooBig, Next::Unresolved, Next::NoAdjacency);
        frame.exceptions(Next::Ok, |next, lane| {
            if next == Next::TtlExpired.id() {
                lane.adj = IcmpCause::TTL_EXCEEDED.word();
            } else if next == Next::TooBig.id() {
                let mtu = adjacencies.get(lane.adj as usize).map_or(0, |adjacency| adjacency.mtu);
                lane.adj = IcmpCause::fragmentation_needed(mtu).word();
            }
        });
    }
}
