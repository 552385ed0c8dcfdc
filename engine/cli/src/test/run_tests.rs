//! Time, packets that are kept, and what comes by itself: with a kind that keeps each packet for a second.

use std::time::Duration;

use swath_api::NodeKind;
use swath_api::prelude::*;
use swath_core::Registry;

use super::super::judge::judge;
use super::super::{case, show};
use super::Bench;
use crate::load::Graph;

struct Delay {
    held: Held<u64>,
}

edges! {
    /// Where packets go.
    enum Next {
        /// After a second.
        Out = required("out", layer::ETHERNET),
        /// Until then.
        Kept = held("kept"),
        /// There are too many.
        Full = drop("full"),
        /// Packets of one byte.
        Eaten = consumed("eaten"),
    }
}

impl Node for Delay {
    const INFO: Info = Info::new("delay", "Keeps packets for a second.").input(layer::ETHERNET);
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Delay, ConfigError> {
        setup.every(Duration::from_millis(100));
        Ok(Delay { held: setup.held(2) })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let due = cx.now() + 1_000_000_000;
        frame.for_each_hold(&mut self.held, Next::Kept, Next::Full, |packet| {
            if packet.len() == 1 { Verdict::Go(Next::Eaten) } else { Verdict::Hold(due) }
        });
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        out.release(&mut self.held, |due| (*due <= cx.now()).then_some(Next::Out));
    }
}

/// What is said of the only test of a graph that keeps what comes in on `a` for a second before it leaves by `b`.
fn said(test: &str, workers: u16) -> String {
    let nodes = [swath_nodes::NODES, &[NodeKind::of::<Delay>()]].concat();
    let registry = Registry::new(&nodes, swath_nodes::TABLES, swath_io::DRIVERS).shortcuts(swath_nodes::SHORTCUTS);
    let mut graph = Graph::from_text(
        "delay.yaml",
        &format!(
            "version: 1
interfaces: {{ a: {{ driver: memory }}, b: {{ driver: memory }} }}
nodes:
  rx: {{ kind: rx, interface: a, to: delay }}
  delay: {{ kind: delay, to: tx }}
  tx: {{ kind: tx, interface: b }}
tests: [{{ name: delay, {test} }}]
"
        ),
    );
    let plan = graph.plan(&registry).unwrap();
    let cases = case::prepare(&mut graph, &registry);
    assert_eq!(graph.render(), "");
    let outcome = Bench::new(&mut graph, &registry, &plan.engine, workers).unwrap().run(&cases[0]).unwrap();
    assert_eq!(outcome.discrepancies, Vec::<String>::new());
    show::result("delay.yaml", &cases[0], &outcome, &judge(&cases[0], &outcome), false)
}

const OK: &str = "  ok      delay\n";

#[test]
fn a_step_has_what_happened_since_the_one_before() {
    for workers in [1, 2, 4] {
        let twice = "steps: [{ at: 500ms, in: { a: hex 0001 } }, { at: 600ms, in: { a: hex 0002 } },
            { at: 1499ms }, { at: 1500ms, out: { b: hex 0001 } }, { at: 1h, out: { b: hex 0002 } }]";
        assert_eq!(said(twice, workers), OK);
        assert_eq!(said("steps: [{ in: { a: [hex 0001, hex 0002] } }, { at: 5s, out: { b: [hex 0001, hex 0002] } }]", workers), OK);
    }
    // Within one moment: steps without `at` follow one another.
    assert_eq!(said("steps: [{ at: 1s, in: { a: hex 0001 } }, { in: { a: hex 02 } }, { at: 2s, out: { b: hex 0001 } }]", 1), OK);
}

#[test]
fn what_came_too_early_or_too_late_says_when() {
    let early = said("steps: [{ in: { a: hex 0001 } }, { at: 3s }, { at: 4s, out: { b: hex 0001 } }]", 1);
    let lines = "  FAILED  delay
          delay.yaml:7
    step 2 of 3, at 3s:
      b: an unexpected packet, sent at 1s
        got       hex 0001
    step 3 of 3, at 4s:
      b: a packet is missing (line 7)
        expected  hex 0001
    in all: received 1 = sent 1
";
    assert_eq!(early, lines);
}

#[test]
fn what_was_kept_or_consumed_is_told() {
    let kept = said("in: { a: [hex 0001, hex 02] }, out: { b: hex 0001 }", 1);
    let lines = "  FAILED  delay
          delay.yaml:7
    b: a packet is missing (line 7)
      expected  hex 0001
    in all: received 2 = consumed 1 + held 1
";
    assert_eq!(kept, lines);
    assert_eq!(said("in: { a: [hex 0001, hex 02] }", 1), OK, "neither is a drop");
}

#[test]
fn the_first_packet_that_was_dropped_is_found_by_what_came_before() {
    let full = said("steps: [{ in: { a: hex 0001 } }, { at: 10ms, in: { a: [hex 02, hex 0003, hex 0004, hex 0005] } }]", 1);
    assert!(full.contains("delay.full: expected none to be dropped, got 2\n        first     hex 0004 (line 7)\n"), "{full}");
}
