//! Another graph in the place of the one that runs, in virtual time: what stays goes on, what is counted goes on, and no packet is lost.

mod common;

use std::collections::BTreeMap;

use common::driver::Sent;
use common::frames::{ethernet, header, mac, packet};
use common::random::Rng;
use common::{Rig, scaled};

const FLOWS: u32 = 61;

fn graph(workers: usize, nodes: &str) -> String {
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces:
  in:  {{ driver: test, batch: 50 }}
  out: {{ driver: test }}
nodes:
  rx: {{ kind: rx, interface: in, to: n0 }}
{nodes}
  tx: {{ kind: tx, interface: out }}
"
    )
}

/// A frame with its flow and its number in the payload.
fn frame(flow: u32, number: u32) -> Vec<u8> {
    let mut bytes = packet(header([10, 1, (flow >> 8) as u8, flow as u8], 64, 9), &[]);
    bytes.truncate(20);
    bytes.extend([&flow.to_be_bytes()[..], &number.to_be_bytes(), &[(flow * 37) as u8]].concat());
    ethernet(mac(1), 0x0800, &bytes)
}

fn frames(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| frame(0, number)).collect()
}

fn label(frame: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
    (word(34), word(38))
}

fn dropped(rig: &mut Rig) -> Vec<(String, u64)> {
    let ledger = rig.engine().ledger();
    assert_eq!(ledger.discrepancies(), Vec::<String>::new());
    let of = |(node, reasons): (String, BTreeMap<String, u64>)| {
        reasons.into_iter().map(move |(reason, count)| (format!("{node}.{reason}"), count))
    };
    ledger.dropped.into_iter().flat_map(of).collect()
}

/// What was dropped stays dropped when the edge leads to a node, and what the node has counted goes on.
#[test]
fn edges_are_wired_and_unwired() {
    let unwired = graph(1, "  n0: { kind: fan, to: { a: tx } }");
    let wired = graph(1, "  n0: { kind: fan, to: { a: tx, b: tx, c: tx, out: tx } }");
    let mut rig = Rig::new(&unwired);
    let (mut all, mut lost) = (0, 0);
    for (round, next) in [&wired, &unwired, &unwired, &wired, &wired].into_iter().enumerate() {
        rig.feed("in", (0..100).map(|flow| frame(flow, 0)));
        rig.run();
        all += 100;
        let sent = rig.sent("out").len() as u64;
        lost += 100 - sent;
        let total: u64 = dropped(&mut rig).iter().map(|(_, count)| count).sum();
        assert_eq!((total, rig.count("n0"), rig.engine().ledger().received), (lost, all, all), "round {round}");
        let report = rig.apply(next).unwrap();
        assert_eq!((report.number, report.workers.len(), report.incomplete.len()), (round as u64 + 1, 1, 0));
    }
    assert!(lost > 0);
}

/// Packets that a node keeps go on with it, wherever it stands; those of one that goes are dropped, and counted.
#[test]
fn packets_that_are_kept() {
    let keep = |count: usize| graph(1, &format!("  n0: {{ kind: keep, every: 1000, count: {count}, to: {{ out: tx }} }}"));
    let mut rig = Rig::new(&keep(50));
    rig.feed("in", frames(30));
    rig.engine().step_until(0);
    let held = |rig: &mut Rig| rig.engine().ledger().held;
    assert_eq!(held(&mut rig), 30);
    // At another index; with other settings; both.
    let behind =
        |graph: String| graph.replace("to: n0 }", "to: a }").replace("  n0:", "  a: { kind: pass, to: { out: n0 } }\n  n0:");
    for next in [behind(keep(50)), behind(keep(40)), keep(60)] {
        rig.apply(&next).unwrap();
        assert_eq!((held(&mut rig), dropped(&mut rig)), (30, vec![]));
    }
    let other = graph(1, "  n0: { kind: pass, to: { out: n1 } }\n  n1: { kind: pass, to: { out: tx } }");
    let report = rig.apply(&other).unwrap();
    assert!(report.diff.nodes.iter().any(|change| change.name == "n0" && change.drops_held));
    let lost = vec![("n0.held-dropped".to_string(), 30)];
    assert_eq!((held(&mut rig), dropped(&mut rig)), (0, lost.clone()));
    // And nobody counts them twice when there is such a node again.
    rig.apply(&keep(50)).unwrap();
    rig.feed("in", frames(30));
    rig.engine().step_until(5_000);
    assert_eq!((rig.sent("out").len(), dropped(&mut rig)), (30, lost));
}

/// What panics when it is made refuses the graph: for a worker that is not the first, too, when all else is made. Nothing else has changed.
#[test]
fn what_panics_when_it_is_made_is_refused_and_the_rest_goes_on() {
    let good = graph(2, "  n0: { kind: keep, every: 1000, count: 50, to: { out: tx } }");
    let mut rig = Rig::new(&good);
    rig.feed("in", frames(30));
    rig.engine().step_until(0);
    let with = |node: &str| {
        good.replace("to: n0 }", "to: new }").replace("  n0:", &format!("  new: {{ {node}, to: {{ out: n0 }} }}\n  n0:"))
    };
    let broken = good.replace("  out: { driver: test }", "  out: { driver: test }\n  more: { driver: test, broken: true }");
    for (bad, why) in [
        (
            with("kind: stillborn, count: 0"),
            "this kind has a defect: it panicked (assertion `left != right` failed: not for this worker",
        ),
        (
            with("kind: stillborn, count: 1"),
            "this kind has a defect: it panicked (assertion `left != right` failed: not for this worker",
        ),
        (broken, "this driver has a defect: it panicked (no such thing)"),
    ] {
        let free = rig.engine().pool().free();
        for _ in 0..10 {
            let said = rig.apply(&bad).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let ledger = rig.engine().ledger();
        assert_eq!((rig.engine().number(), rig.engine().pool().free(), ledger.held), (0, free, 30));
    }
    rig.apply(&with("kind: stillborn, count: 2")).unwrap();
    rig.engine().step_until(5_000);
    assert_eq!((rig.sent("out").len(), dropped(&mut rig)), (30, vec![]));
}

/// A graph of random shape; every packet leaves.
fn random_graph(rng: &mut Rng, workers: usize) -> String {
    let count = 1 + rng.below(6);
    let mut nodes = String::new();
    let mut names: Vec<String> = (1..9).map(|at| format!("n{at}")).collect();
    rng.shuffle(&mut names);
    names.insert(0, "n0".into());
    for at in 0..count {
        let next = if at + 1 == count { "tx" } else { &names[at + 1] };
        let kind = match rng.below(4) {
            0 => "kind: handoff, to: ",
            1 => "kind: flow-count, to: ",
            _ => "kind: pass, to: ",
        };
        nodes += &format!("  {}: {{ {kind}{next} }}\n", names[at]);
    }
    let table = if nodes.contains("flow-count") { "tables: { flows: { kind: flows, entries: 100 } }\n" } else { "" };
    graph(workers, &nodes).replace("nodes:\n", &format!("{table}nodes:\n"))
}

/// By flow the numbers that left, in order.
fn by_flow(sent: Vec<Sent>) -> BTreeMap<u32, Vec<u32>> {
    let mut flows: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for sent in sent {
        let (flow, number) = label(&sent.bytes);
        flows.entry(flow).or_default().push(number);
    }
    flows
}

#[test]
fn graphs_come_and_go_and_every_packet_leaves_in_its_order() {
    let mut rng = Rng::new();
    for _ in 0..scaled(60) {
        let rng = &mut rng;
        let workers = 1 + rng.below(3);
        let mut rig = Rig::new(&random_graph(rng, workers));
        let mut next = vec![0; FLOWS as usize];
        for _ in 0..8 {
            for _ in 0..rng.below(300) {
                let flow = rng.below(FLOWS as usize);
                rig.wire("in").feed(flow % workers, [frame(flow as u32, next[flow])]);
                next[flow] += 1;
            }
            if rng.below(2) == 0 {
                rig.run();
            }
            rig.apply(&random_graph(rng, workers)).unwrap();
        }
        rig.run();
        for (flow, numbers) in by_flow(rig.wire("out").take_sent()) {
            assert_eq!(numbers, (0..next[flow as usize]).collect::<Vec<u32>>(), "flow {flow}");
        }
        let all: u32 = next.iter().sum();
        let ledger = rig.engine().ledger();
        assert_eq!((ledger.sent, dropped(&mut rig)), (u64::from(all), vec![]));
    }
}

/// Whatever is wrong with a graph, the one that runs goes on as it was.
#[test]
fn refused_graphs_change_nothing() {
    let good = graph(2, "  n0: { kind: handoff, to: tx }");
    let refused = [
        (good.replace("kind: handoff", "kind: handof"), "unknown kind"),
        (good.replace("workers: 2", "workers: 1"), "`engine` cannot change while it runs, and differs in `workers`"),
        (good.replace("out: { driver: test }", "out: { driver: test, batch: no }"), "found string \"no\""),
        (good.replace("kind: handoff, to: tx", "kind: handoff, to: nobody"), "nobody"),
    ];
    let mut rig = Rig::with(&good, None, &[]);
    for round in 0..250u32 {
        for (bad, why) in &refused {
            let said = rig.apply(bad).unwrap_err();
            assert!(said.contains(why), "{said}");
            assert_eq!(rig.engine().number(), 0);
        }
        rig.wire("in").feed(round as usize % 2, (0..10).map(|at| frame(round, at)));
        rig.run();
    }
    assert_eq!(rig.check().sent, 2500);
}
