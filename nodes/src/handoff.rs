//! `handoff`: each flow to one worker.

use swath_api::flow::{ethernet_hash, ip_hash};
use swath_api::prelude::*;

/// Apart from the hash by which drivers choose receive queues, which would leave each worker its own.
const SEED: u64 = 0x0068_616e_646f_6666;

/// Moves each flow to the worker that its hash chooses.
pub struct Handoff {
    layer: Layer,
    workers: u32,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What packets start with at this node: `ethernet`, VLAN tags included, or `ip` behind `ip4-input` and its like. Default: `ethernet`.
    #[serde(default)]
    layer: Layer,
}

/// What packets start with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Layer {
    /// An Ethernet header.
    #[default]
    Ethernet,
    /// An IPv4 or an IPv6 header.
    Ip,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// All packets, on the worker of their flow.
        Out = required("out", layer::SAME),
    }
}

impl Node for Handoff {
    const INFO: Info = Info::new("handoff", "Spreads flows over the workers.")
        .about(
            "For an interface with fewer receive queues than there are workers: what follows is done by all of them. Both directions of a flow \
             (addresses, protocol and ports), and all fragments of a datagram, go to the same worker. What has no flow stays where it \
             is. Packets keep their order within a flow. With one worker the node does nothing.\n\nNodes that keep state of flows need none: \
             the engine puts a handoff of its own before each of them, which `swath graph` shows.",
        )
        .hands_off()
        .pure()
        .example(include_str!("../examples/handoff.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Handoff, ConfigError> {
        Ok(Handoff { layer: config.layer, workers: setup.workers() })
    }

    fn reason(&self, packet: &Packet<'_>, _: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        words.say(match (self.workers, self.hash(packet)) {
            (1, _) => "there is one worker",
            (_, Some(_)) => "by the hash of its flow",
            (_, None) => "it has no flow",
        });
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::Out);
    }

    fn owner(&self, frame: &mut Frame<'_, Owner>, _: &Context<'_>) {
        frame.for_each(|packet| self.hash(packet).map_or(Owner::ANY, |hash| Owner::of((hash >> 32) as u32, self.workers)));
    }
}

impl Handoff {
    /// The hash of a packet's flow.
    #[inline(always)]
    fn hash(&self, packet: &Packet<'_>) -> Option<u64> {
        match self.layer {
            Layer::Ethernet => ethernet_hash(packet.data(), SEED),
            Layer::Ip => ip_hash(packet.data(), SEED),
        }
    }
}
