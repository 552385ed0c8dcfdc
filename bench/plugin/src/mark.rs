//! A node that does next to nothing: it looks at the first byte of each packet, marks it, and counts. `mark.c` is the same in C.

use swath_api::prelude::*;
use swath_api::{schemars, serde};

/// Marks packets.
pub struct Mark {
    mark: u32,
    seen: u64,
}

/// The mark.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct Config {
    /// What is written into the lane of each packet.
    mark: u32,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// All others.
        Ok = required("ok", layer::SAME),
        /// Packets that begin with 0xff.
        Odd = drop("odd"),
    }
}

impl Node for Mark {
    const INFO: Info = Info::new("mark", "Marks packets.");
    type Config = Config;
    type Next = Next;

    fn new(config: Config, _: &mut Setup<'_>) -> Result<Mark, ConfigError> {
        Ok(Mark { mark: config.mark, seen: 0 })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            self.seen += 1;
            packet.lane().adj = self.mark;
            if packet.window::<1>()[0] == 0xff { Next::Odd } else { Next::Ok }
        });
    }
}
