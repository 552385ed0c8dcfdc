//! `rx`: where the packets of an interface enter the graph.

use swath_api::prelude::*;

/// Sends on what its interface receives.
pub struct Rx;

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The interface to receive from.
    interface: String,
}

edges! {
    /// Where received packets go.
    pub enum Next {
        /// Frames as they were received.
        Out = required("out", layer::ETHERNET),
    }
}

impl Node for Rx {
    const INFO: Info = Info::new("rx", "Receives the packets of an interface.")
        .about(
            "Each interface has at most one `rx`. A packet for which the pool has no buffer is counted here as `out-of-buffers`.",
        )
        .input(layer::NONE)
        .pure()
        .example(include_str!("../examples/rx.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Rx, ConfigError> {
        let interface = setup.interface("interface", &config.interface)?;
        setup.receive(interface);
        Ok(Rx)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::Out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::TestKit;

    #[test]
    fn frames_go_on_as_they_came() {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &[]);
        let mut kit = kit.node::<Rx>(r#"{"interface": "lan"}"#).unwrap();
        let out = kit.one(b"any bytes", Lane::received(0));
        assert_eq!((out.edge, &out.bytes[..]), ("out", &b"any bytes"[..]));
    }

    #[test]
    fn an_unknown_interface_is_refused_by_name() {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &[]);
        let error = kit.node::<Rx>(r#"{"interface": "wan"}"#).unwrap_err();
        assert_eq!(error, ConfigError::at("interface", "unknown interface `wan`, expected one of `lan`"));
    }
}
