//! `tx`: where packets leave the graph.

use swath_api::prelude::*;

/// Hands packets to the driver of the interface that their lane names.
pub struct Tx {
    interface: Option<u16>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The interface to send by, whatever an earlier node has chosen. Default: the one that it has chosen.
    #[serde(default)]
    interface: Option<String>,
}

edges! {
    /// What becomes of packets.
    pub enum Next {
        /// Taken by the driver. What it does not take is dropped as `ring-full`; what has no interface to leave by, as `no-interface`.
        Sent = transmit("sent"),
    }
}

impl Node for Tx {
    const INFO: Info = Info::new("tx", "Sends packets by an interface.")
        .about("One `tx` serves all interfaces: packets leave by the interface that a look-up or a rewrite has chosen.")
        .input(layer::ETHERNET)
        .pure()
        .example(include_str!("../examples/tx.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Tx, ConfigError> {
        let interface = config.interface.map(|name| setup.interface("interface", &name)).transpose()?;
        Ok(Tx { interface })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        if let Some(interface) = self.interface {
            frame.lanes().iter_mut().for_each(|lane| lane.tx = interface);
        }
        frame.all(Next::Sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::TestKit;

    fn kit(config: &str) -> swath_api::testkit::NodeKit {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &[]);
        kit.interface("wan", "02:00:00:00:00:02", 1500, &[]).node::<Tx>(config).unwrap()
    }

    #[test]
    fn packets_leave_by_the_interface_of_their_lane() {
        let lane = |tx| Lane { tx, ..Lane::received(0) };
        let out = kit("{}").run(&[0, 1].map(|tx| (&b"x"[..], lane(tx))));
        assert_eq!(out.iter().map(|out| (out.edge, out.lane.tx)).collect::<Vec<_>>(), [("sent", 0), ("sent", 1)]);
    }

    #[test]
    fn a_fixed_interface_overrides_the_lane() {
        let out = kit(r#"{"interface": "wan"}"#).one(b"x", Lane::received(0));
        assert_eq!((out.edge, out.lane.tx), ("sent", 1));
    }
}
