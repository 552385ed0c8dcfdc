//! From `ip4-lookup` to `ip4-rewrite`.

use swath_api::Passed;
use swath_api::kernel::{ROUTE_MAX, Routing};
use swath_api::prelude::*;

use super::Ways;
use crate::{ip4_lookup, ip4_rewrite};

pub struct Departure {
    ways: Ways,
    routing: Box<Routing>,
}

impl Node for Departure {
    const INFO: Info = Info::new("ip4-departure", "From `ip4-lookup` to `ip4-rewrite`.");
    type Config = (ip4_lookup::Config, ip4_rewrite::Config);
    type Next = Passed;

    fn new((lookup, rewrite): Self::Config, setup: &mut Setup<'_>) -> Result<Departure, ConfigError> {
        Ok(Departure { ways: Ways::new(lookup, &rewrite, setup)?, routing: Routing::new() })
    }

    fn process(&mut self, frame: &mut Frame<'_, Passed>, cx: &mut Context<'_>) {
        for first in (0..frame.len()).step_by(ROUTE_MAX) {
            let mut route = frame.read_ip4(first, &mut self.routing);
            self.ways.find(&mut route, cx);
            self.ways.depart(route, cx);
        }
    }
}
