//! From `ethernet-input` to `ip4-input`.

use swath_api::Passed;
use swath_api::kernel::{ROUTE_MAX, Routing};
use swath_api::prelude::*;

use super::{Stations, may_be_forwarded};
use crate::ip4_input;

pub struct Arrival {
    stations: Stations,
    routing: Box<Routing>,
}

impl Node for Arrival {
    const INFO: Info = Info::new("ip4-arrival", "From `ethernet-input` to `ip4-input`.");
    type Config = (NoConfig, ip4_input::Config);
    type Next = Passed;

    fn new((_, input): Self::Config, setup: &mut Setup<'_>) -> Result<Arrival, ConfigError> {
        Ok(Arrival { stations: Stations::new(&input, setup)?, routing: Routing::new() })
    }

    fn process(&mut self, frame: &mut Frame<'_, Passed>, _: &mut Context<'_>) {
        let Some(mac) = self.stations.of(frame) else { return frame.rest(0, Passed::Rest) };
        for first in (0..frame.len()).step_by(ROUTE_MAX) {
            let mut route = frame.arrive(first, mac, &mut self.routing);
            if !route.all_plain() && route.any_other(|packet| may_be_forwarded(packet, mac)) {
                return frame.rest(first, Passed::Rest);
            }
            route.enter(Passed::Done, Passed::Rest);
        }
    }
}
