//! `paint`: a mark on packets, for a node behind it.

use swath_api::prelude::*;

/// The mark of a packet, which `paint` writes and `check-paint` reads.
pub const PAINT: SlotName<u32> = SlotName::new("paint");

/// Writes a colour beside the packet.
pub struct Paint {
    color: u32,
    slot: Slot<u32>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The colour, 0 to 4294967295. It replaces an earlier one.
    color: u32,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// All packets, painted.
        Ok = required("ok", layer::SAME),
    }
}

impl Node for Paint {
    const INFO: Info = Info::new("paint", "Marks packets with a colour.")
        .about(
            "The colour is not in the packet: it stays with it, and with copies of it, as long as it is in the graph. `check-paint` sends \
             packets by it. The engine refuses a graph in which a packet can come to `check-paint` without a colour.",
        )
        .writes(&[PAINT.info()])
        .pure()
        .example(include_str!("../examples/paint.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Paint, ConfigError> {
        Ok(Paint { color: config.color, slot: setup.slot(&PAINT)? })
    }

    fn reason(&self, _: &Packet<'_>, _: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        words.say(format_args!("painted {}", self.color));
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            packet.meta().set(self.slot, self.color);
            Next::Ok
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::TestKit;

    #[test]
    fn the_packet_stays_as_it_is() {
        let mut kit = TestKit::new().node::<Paint>(r#"{"color": 4294967295}"#).unwrap();
        let out = kit.one(b"abc", Lane::received(1));
        assert_eq!((out.edge, &out.bytes[..], out.lane), ("ok", &b"abc"[..], Lane::received(1)));
        for wrong in [r#"{"color": -1}"#, r#"{"color": 4294967296}"#, "{}"] {
            assert!(TestKit::new().node::<Paint>(wrong).is_err(), "{wrong}");
        }
    }
}
