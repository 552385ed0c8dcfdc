//! `flow-export`: counts the packets and bytes of IPv4 flows, and exports the flows to a collector by IPFIX (RFC 7011).
//!
//! Two kinds: the node, which passes all packets on unchanged, and the table `ipfix` with the flows. Each worker counts in a shard of its own,
//! of a fixed size; a thread of the table takes the flows that have ended, and sends them.

#![deny(unsafe_code)]

mod exporter;
mod flow;
mod flows;
mod ipfix;
mod message;
mod table;

use swath_api::kernel::prefetch;
use swath_api::prelude::*;
use swath_api::{schemars, serde};

use flow::Seen;
use table::Ipfix;

/// Counts packets, and passes them on.
pub struct FlowExport {
    table: Handle<Ipfix>,
    /// What was seen of the packets of a frame.
    seen: Box<[Seen; VECTOR]>,
}

/// What stands beside `kind: flow-export`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(crate = "schemars")]
pub struct Config {
    /// The table that the flows are in; without it, the only one of kind `ipfix`.
    table: Option<String>,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// All packets, unchanged.
        Ok = required("ok", layer::SAME),
    }
}

impl Node for FlowExport {
    const INFO: Info = Info::new("flow-export", "Counts IPv4 flows, and exports them by IPFIX.")
        .about(
            "A flow is what has the same addresses, protocol, ports, DSCP and interface of receive; for ICMP type and code are what ports are \
             elsewhere. Fragments behind the first have no ports and are a flow of their own: put `ip4-reassembly` before it to have none. \
             Where it stands decides what is counted: behind `ip4-lookup` flows also tell the interface that they leave by. Two of them that see the same packets \
             want two tables.",
        )
        .input(layer::IP4)
        .uses(&[IPFIX]);
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<FlowExport, ConfigError> {
        let table = setup.table::<Ipfix>("table", config.table.as_deref())?;
        setup.every(table::LOOK);
        Ok(FlowExport { table, seen: Box::new([Seen::NONE; VECTOR]) })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let now = cx.now();
        let shard = cx.shard(self.table);
        // All places are asked for before the first is needed: most are not in a cache.
        let seen = frame.read(&mut self.seen, |packet| {
            let seen = Seen::of(packet, shard.seed());
            prefetch(shard.tags(&seen));
            seen
        });
        for seen in seen {
            shard.count(seen, now);
        }
        shard.tell(now);
        frame.all(Next::Ok);
    }

    fn tick(&mut self, _: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        let now = cx.now();
        let shard = cx.shard(self.table);
        shard.look(now);
        shard.tell(now);
    }
}

const IPFIX: swath_api::Str = swath_api::Str::new("ipfix");

swath_api::export_nodes!(nodes: [FlowExport], tables: [Ipfix]);

#[cfg(test)]
mod tests;
