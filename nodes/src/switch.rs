//! `switch`: a way for each interface.

use swath_api::prelude::*;

/// Sends packets by an interface in their lane; no byte of them is loaded.
pub struct Switch {
    by: By,
    // By index of the interface.
    ways: Box<[Branch<Next>]>,
    // Of interfaces, by index.
    names: Box<[String]>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which interface decides. Default: `rx-interface`.
    #[serde(default)]
    by: By,
}

/// Which interface of a packet is looked at.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum By {
    /// The one that has received the packet.
    #[default]
    RxInterface,
    /// The one that a node before has chosen for it to leave by.
    TxInterface,
}

edges! {
    /// Where packets go that have no edge of their own.
    pub enum Next {
        /// Packets of every interface that has no edge, and those of no interface: what a node has made has not been received.
        Default = edge("default", layer::SAME),
    }
}

impl NamedEdges for Next {
    const NAMED: EdgeInfo = EdgeInfo::named("INTERFACE", layer::SAME).doc("Packets of the interface of this name.");
}

impl Node for Switch {
    const INFO: Info = Info::new("switch", "Sends packets by their interface.").about(
        "The edges are named after interfaces: `to: { wan: snat, dmz: filter, default: forward }`. It looks at what the engine knows of a \
         packet and not at the packet, so it can stand anywhere.",
    )
        .pure()
        .example(include_str!("../examples/switch.yaml"));
    type Config = Config;
    type Next = Branch<Next>;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Switch, ConfigError> {
        let mut ways = vec![Branch::Fixed(Next::Default); setup.interfaces().len()];
        for (name, edge) in setup.edges().zip(0..) {
            let interface = setup.interface(&format!("to.{name}"), name)?;
            ways[usize::from(interface)] = Branch::Named(edge);
        }
        let names = setup.interfaces().iter().map(|interface| interface.name.clone());
        Ok(Switch { by: config.by, ways: ways.into(), names: names.collect() })
    }

    fn reason(&self, packet: &Packet<'_>, _: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        let lane = packet.lane_ref();
        let (how, interface) = match self.by {
            By::RxInterface => ("received by", lane.rx),
            By::TxInterface => ("to leave by", lane.tx),
        };
        words.say(format_args!("{how} {}", self.names.get(usize::from(interface)).map_or("no interface", String::as_str)));
    }

    fn process(&mut self, frame: &mut Frame<'_, Branch<Next>>, _: &mut Context<'_>) {
        let way = |interface: u16| self.ways.get(usize::from(interface)).copied().unwrap_or(Branch::Fixed(Next::Default));
        match self.by {
            By::RxInterface => frame.decide_lanes(&[(); VECTOR], |lane, ()| way(lane.rx)),
            By::TxInterface => frame.decide_lanes(&[(); VECTOR], |lane, ()| way(lane.tx)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::NO_INTERFACE;
    use swath_api::testkit::{NodeKit, TestKit};

    fn kit(edges: &'static [&'static str], config: &str) -> Result<NodeKit, ConfigError> {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &[]);
        let kit = kit.interface("wan", "02:00:00:00:00:02", 1500, &[]).interface("dmz", "02:00:00:00:00:03", 1500, &[]);
        kit.edges(edges).node::<Switch>(config)
    }

    fn ways(kit: &mut NodeKit, lane: impl Fn(u16) -> Lane) -> Vec<&'static str> {
        let lanes = [0, 1, 2, 3, NO_INTERFACE].map(|interface| (&[][..], lane(interface)));
        kit.run(&lanes).iter().map(|out| out.edge).collect()
    }

    #[test]
    fn each_interface_has_its_way() {
        let mut rx = kit(&["dmz", "lan"], "{}").unwrap();
        assert_eq!(ways(&mut rx, Lane::received), ["lan", "default", "dmz", "default", "default"]);
        let tx = |tx| Lane { tx, ..Lane::received(0) };
        assert_eq!(ways(&mut rx, tx), ["lan"; 5]);
        let mut out = kit(&["dmz", "wan"], r#"{"by": "tx-interface"}"#).unwrap();
        assert_eq!(ways(&mut out, tx), ["default", "wan", "dmz", "default", "default"]);
        assert_eq!(ways(&mut kit(&[], "{}").unwrap(), Lane::received), ["default"; 5]);
    }

    #[test]
    fn an_edge_is_an_interface() {
        let refused = kit(&["dmz", "wam"], "{}").unwrap_err();
        assert_eq!((refused.path(), refused.message()), ("to.wam", "unknown interface `wam`, expected one of `lan`, `wan`, `dmz`"));
        assert!(kit(&[], r#"{"by": "wan"}"#).unwrap_err().message().contains("rx-interface"));
    }
}
