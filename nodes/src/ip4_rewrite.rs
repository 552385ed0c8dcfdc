//! `ip4-rewrite`: the last step of forwarding: time to live, checksum, MTU, Ethernet header (RFC 1812 §5.3.1).

use swath_api::prelude::*;

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
    neighbours: Option<String>,
}

edges! {
    /// Where packets go. All but those of `ok` are unchanged.
    pub enum Next {
        /// Ethernet frames for `tx`.
        Ok = required("ok", layer::ETHERNET),
        /// The next hop's hardware address is not known: add it to the table of neighbours.
        Unresolved = edge("unresolved", layer::IP4),
        /// The time to live is used up: a traceroute, or a routing loop.
        TtlExpired = edge("ttl-expired", layer::IP4),
        /// Longer than the MTU of the interface to leave by.
        TooBig = edge("too-big", layer::IP4),
        /// No look-up has chosen an adjacency for this packet, or it is no IPv4 packet: check what is wired to this node.
        NoAdjacency = drop("no-adjacency"),
    }
}

impl Node for Ip4Rewrite {
    const INFO: Info =
        Info::new("ip4-rewrite", "Decrements the TTL and puts the Ethernet header of the next hop on.").input(layer::IP4);
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Ip4Rewrite, ConfigError> {
        Ok(Ip4Rewrite { neighbours: setup.table("neighbours", config.neighbours.as_deref())? })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let (table, neighbours) = (cx.table(self.neighbours), cx.shard(self.neighbours));
        // A route may have come within this sweep, and its adjacency with it: who has seen the one sees the other.
        table.sync(neighbours);
        let adjacencies = neighbours.adjacencies();
        frame.ip4_forward(adjacencies, Next::Ok, Next::TtlExpired, Next::TooBig, Next::Unresolved, Next::NoAdjacency);
    }
}
