//! From `ethernet-input` to `ip4-rewrite`: all of a router.

use swath_api::Passed;
use swath_api::kernel::{ROUTE_MAX, Routing};
use swath_api::prelude::*;

use super::{Stations, Ways, may_be_forwarded};
use crate::{ip4_input, ip4_lookup, ip4_rewrite};

pub struct Router {
    stations: Stations,
    ways: Ways,
    routing: Box<Routing>,
}

impl Node for Router {
    const INFO: Info = Info::new("ip4-router", "From `ethernet-input` to `ip4-rewrite`.");
    type Config = (NoConfig, ip4_input::Config, ip4_lookup::Config, ip4_rewrite::Config);
    type Next = Passed;

    fn new((_, input, lookup, rewrite): Self::Config, setup: &mut Setup<'_>) -> Result<Router, ConfigError> {
        let stations = Stations::new(&input, setup)?;
        Ok(Router { stations, ways: Ways::new(lookup, &rewrite, setup)?, routing: Routing::new() })
    }

    fn process(&mut self, frame: &mut Frame<'_, Passed>, cx: &mut Context<'_>) {
        let Some(mac) = self.stations.of(frame) else { return frame.rest(0, Passed::Rest) };
        for first in (0..frame.len()).step_by(ROUTE_MAX) {
            let mut route = frame.arrive(first, mac, &mut self.routing);
            // What is behind such a packet must not overtake it.
            if !route.all_plain() && route.any_other(|packet| may_be_forwarded(packet, mac)) {
                return frame.rest(first, Passed::Rest);
            }
            self.ways.find(&mut route, cx);
            self.ways.depart(route, cx);
        }
    }
}
