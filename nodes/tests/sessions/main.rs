//! The store of sessions against the RFCs, a brute-force model, packets built by etherparse, and a counting allocator.

mod alloc;
mod limits;
mod model;
mod states;

use swath_api::units::Duration;
use swath_nodes::sessions::*;

/// A nanosecond clock's second.
const SECOND: u64 = 1_000_000_000;
/// When tests begin.
const START: u64 = 1_000 * SECOND;

fn seconds(seconds: u64) -> Duration {
    Duration::from_nanoseconds(seconds * SECOND)
}

fn probe(flow: &str, event: Event) -> Probe<Key4> {
    Probe::flow(&flow.parse().unwrap(), event).unwrap()
}

fn back(probe: &Probe<Key4>, event: Event) -> Probe<Key4> {
    Probe { key: probe.key.reversed(), event, ..*probe }
}

fn store(change: impl FnOnce(&mut Settings)) -> Sessions<Key4> {
    let mut settings = Settings::new(100, Pairing::Symmetric);
    change(&mut settings);
    Sessions::new(settings, Seed::fixed(1)).unwrap()
}

fn open(store: &mut Sessions<Key4>, probe: &Probe<Key4>, now: u64) -> Result<Found, Refused> {
    store.open(Opening::symmetric(probe, 0), now, &mut |_, _| ())
}
