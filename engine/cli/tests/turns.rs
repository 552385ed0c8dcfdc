//! Workers that take turns by hand, one pass at a time: what is lost between them, and why.

mod common;

use common::scrape::engine;
use swath_core::run::Engine;

/// A router, all of whose workers receive as much as they can take and hand over what is not theirs.
fn spread(workers: usize, limit: u64) -> Engine {
    engine(&format!(
        "version: 1
engine: {{ workers: {workers} }}
interfaces:
  in:
    driver: memory
    generate: {{ flows: {{ sources: [10.0.0.0/24], destinations: [10.1.0.0/16], count: 1024 }}, limit: {limit}, stamp: true }}
  out: {{ driver: memory, sink: {{ check: stamps }} }}
nodes:
  rx:     {{ kind: rx, interface: in, to: spread }}
  spread: {{ kind: handoff, to: count }}
  count:  {{ kind: counter, to: tx }}
  tx:     {{ kind: tx, interface: out }}
"
    ))
}

/// Lets workers take turns, a pass each, until nothing is left.
fn turns(engine: &mut Engine) {
    let mut busy = true;
    while busy {
        busy = false;
        for graph in engine.graphs_mut() {
            busy |= graph.receive(0) > 0;
            graph.pass(0);
            graph.flush(0);
        }
    }
    engine.stop();
    assert_eq!(engine.ledger().discrepancies(), Vec::<String>::new());
}

/// Packets that were lost between workers.
fn lost(engine: &Engine) -> u64 {
    let nodes = engine.nodes();
    let spread = nodes.iter().find(|node| node.name == "spread").unwrap();
    spread.edges.iter().find(|edge| edge.0 == "handoff-full").map_or(0, |edge| edge.3)
}

/// What a worker takes of others and of its queues in a pass is what the others can hand over in one: so rings do not fill, however much
/// is offered.
#[test]
fn workers_of_one_pace_lose_nothing_at_any_load() {
    for workers in [2, 3, 4, 8] {
        let mut engine = spread(workers, 200_000);
        turns(&mut engine);
        let ledger = engine.ledger();
        assert_eq!((ledger.received, ledger.sent, lost(&engine)), (200_000, 200_000, 0), "{workers} workers");
        let said = engine.finish();
        assert_eq!(said[1].1.as_ref().unwrap()["reordered"], 0, "{said:?}");
    }
}

/// A worker that stands still, as on a core that it shares with others, loses nothing until the ring to it is full: what is lost then is
/// what does not fit, and is counted.
#[test]
fn who_stands_still_loses_what_its_ring_does_not_hold() {
    // By default there are buffers for rings of 4096 packets between two workers.
    const RING: u64 = 4096;
    for passes in [1, 8, 24, 48, 100] {
        let mut engine = spread(2, 1_000_000);
        // Worker 0 alone; of what it receives the other has about half.
        for _ in 0..passes {
            let graph = &mut engine.graphs_mut()[0];
            assert_eq!(graph.receive(0), 256);
            graph.pass(0);
        }
        let handed = engine.counters()[0].handed[1].get();
        let lost = lost(&engine);
        assert_eq!(handed, (handed + lost).min(RING), "{passes} passes");
        // That is so of 24 passes unless the other one has more than two thirds of the flows, and of 48 unless less than one.
        assert_eq!(lost > 0, passes >= 48, "{passes} passes: {handed} handed over, {lost} lost");
        engine.stop();
        let ledger = engine.ledger();
        assert_eq!((ledger.received, ledger.sent + lost), (passes * 256, passes * 256));
        assert_eq!(ledger.discrepancies(), Vec::<String>::new());
    }
}
