//! Packets go to the workers that own them: whatever the graph, the traffic and the number of workers, the same frames leave in the same
//! order within each flow, all packets of a flow are on one worker, and questions to its shards cost no packet.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::driver::Sent;
use common::frames::{ethernet, header, mac, packet};
use common::random::Rng;
use common::{Rig, scaled};

const FLOWS: u32 = 61;

/// A graph of random shape on one receive interface; every packet leaves or is dropped by an edge that is not wired.
fn random_graph(rng: &mut Rng, workers: usize) -> String {
    let count = 3 + rng.below(8);
    let mut nodes = String::from("  rx: { kind: rx, interface: in, to: n0 }\n");
    for at in 0..count {
        // To nodes behind it; the first edge to the next one, so that each is reached.
        let mut to = || if rng.below(3) == 0 { "tx".into() } else { format!("n{}", at + 1 + rng.below(count - at)) };
        let (a, b, c) = (to(), to(), to());
        let kind = match rng.below(4) {
            0 => format!("kind: fan, count: {}, to: {{ out: n{}, a: {a}, b: {b}, c: {c} }}", rng.below(6), at + 1),
            1 => format!("kind: handoff, to: n{}", at + 1),
            2 => format!("kind: pass, to: n{}", at + 1),
            _ => format!("kind: flow-count, to: n{}", at + 1),
        };
        nodes += &format!("  n{at}: {{ {kind} }}\n");
    }
    nodes += &format!("  n{count}: {{ kind: flow-count, to: tx }}\n");
    graph(workers, &nodes, 0)
}

fn graph(workers: usize, nodes: &str, entries: u64) -> String {
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces:
  in:  {{ driver: test, batch: 50 }}
  out: {{ driver: test }}
tables: {{ flows: {{ kind: flows, entries: {entries} }} }}
nodes:
{nodes}
  tx: {{ kind: tx, interface: out }}
"
    )
}

const COUNTED: &str = "  rx: { kind: rx, interface: in, to: n0 }\n  n0: { kind: flow-count, to: tx }";

/// A frame with its flow and its number in the payload. Its last byte, which says which way it takes, is that of the flow.
fn frame(flow: u32, number: u32) -> Vec<u8> {
    let mut bytes = packet(header([10, 1, (flow >> 8) as u8, flow as u8], 64, 9), &[]);
    bytes.truncate(20);
    bytes.extend([&flow.to_be_bytes()[..], &number.to_be_bytes(), &[(flow * 37) as u8]].concat());
    ethernet(mac(1), 0x0800, &bytes)
}

fn label(frame: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
    (word(34), word(38))
}

fn frames(count: usize, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut next = vec![0; FLOWS as usize];
    let frame = |_| {
        let flow = rng.below(FLOWS as usize);
        next[flow] += 1;
        frame(flow as u32, next[flow])
    };
    (0..count).map(frame).collect()
}

/// By flow what left, in order. Nothing is overtaken, and a flow is sent by one worker.
fn by_flow(sent: Vec<Sent>) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut flows: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    let mut workers: BTreeMap<u32, usize> = BTreeMap::new();
    for Sent { worker, bytes } in sent {
        let (flow, number) = label(&bytes);
        assert_eq!(*workers.entry(flow).or_insert(worker), worker, "flow {flow} is sent by two workers");
        let flow = flows.entry(flow).or_default();
        assert!(flow.last().is_none_or(|last| label(last).1 < number), "{number} is late");
        flow.push(bytes);
    }
    flows
}

/// Sends frames through threads, few at a time, so that no ring overflows while a thread does not get a core.
fn feed_slowly(rig: &mut Rig, frames: &[Vec<u8>]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    for some in frames.chunks(200) {
        rig.feed("in", some.iter().cloned());
        while rig.wire("in").waiting() > 0 || rig.engine().ledger().in_transit > 0 {
            assert!(Instant::now() < deadline, "{:?}", rig.engine().ledger());
            std::thread::yield_now();
        }
    }
}

#[test]
fn random_graphs_give_the_same_with_any_number_of_workers() {
    let mut rng = Rng::new();
    for _ in 0..scaled(12) {
        let shape = rng.clone();
        let frames = frames(2_000, &mut rng);
        let mut first = None;
        for (workers, threads) in [(1, false), (2, false), (4, false), (2, true), (4, true)] {
            let text = random_graph(&mut shape.clone(), workers);
            let mut rig = Rig::new(&text);
            if threads {
                rig.engine().start().expect("threads");
                feed_slowly(&mut rig, &frames);
                rig.engine().stop();
            } else {
                rig.feed("in", frames.iter().cloned());
                rig.run();
            }
            assert_eq!(rig.check().in_transit, 0);
            let sent = by_flow(rig.wire("out").take_sent());
            let mut counts = rig.counts();
            counts.retain(|name, _| !name.starts_with("handoff-to-"));
            let asked = rig.engine().command("flows", r#"{"dump": {}}"#).expect("an answer");
            assert!(asked.ends_with(r#""shared":0}}"#), "{asked}\n{text}");
            let found = (sent, counts, asked);
            assert!(*first.get_or_insert(found.clone()) == found, "{workers} workers, threads: {threads}\n{text}");
        }
    }
}

#[test]
fn a_handoff_is_there_for_several_workers_only() {
    let names = |workers: usize| {
        let mut rig = Rig::new(&graph(workers, COUNTED, 0));
        let nodes = &rig.engine().plan().nodes;
        nodes.iter().map(|node| format!("{} {}", node.spec.name.value, node.kind.info().kind)).collect::<Vec<_>>()
    };
    assert_eq!(names(1), ["rx rx", "n0 flow-count", "tx tx"]);
    assert_eq!(names(2), ["rx rx", "handoff-to-n0 handoff", "n0 flow-count", "tx tx"]);
}

#[test]
fn steps_are_the_same_in_every_run() {
    let frames = frames(3_000, &mut Rng::new());
    let run = |workers: usize| {
        let mut rig = Rig::new(&graph(workers, COUNTED, 0));
        rig.feed("in", frames.iter().cloned());
        rig.run();
        rig.wire("out").take_sent()
    };
    for workers in [2, 3, 4] {
        assert!(run(workers) == run(workers), "{workers} workers");
    }
}

#[test]
fn what_a_ring_does_not_take_is_counted() {
    // Both rings together may hold half of the buffers.
    const RING: u64 = 8192 / 2 / 2;
    let mut rig = Rig::new(&graph(2, COUNTED, 0));
    rig.feed("in", frames(6_000, &mut Rng::new()));
    // The other worker stands still.
    for now in 0..200 {
        rig.engine().graphs_mut()[0].sweep(now);
    }
    let ledger = rig.engine().ledger();
    assert_eq!(ledger.discrepancies(), Vec::<String>::new());
    assert_eq!((ledger.received, ledger.in_transit, ledger.buffers.handoff), (6_000, RING, RING));
    let full = rig.count("handoff-to-n0.handoff-full");
    assert_eq!((full > 0, ledger.sent + full + RING), (true, 6_000));
    let handed = rig.engine().workers();
    assert_eq!((&handed[0].handed[..], &handed[1].handed[..]), (&[0, RING][..], &[0, 0][..]));
    // It goes on, and all is there.
    rig.run();
    assert_eq!(rig.check().sent, 6_000 - full);
}

#[test]
fn packets_on_their_way_to_another_worker_go_home_with_the_engine() {
    let mut rig = Rig::new(&graph(2, COUNTED, 0));
    rig.feed("in", frames(1_000, &mut Rng::new()));
    rig.engine().graphs_mut()[0].sweep(0);
    assert!(rig.engine().ledger().buffers.handoff > 0);
    // `Rig` checks that all buffers are free.
}

#[test]
fn a_million_entries_are_dumped_while_packets_pass() {
    for workers in [1, 2] {
        let mut rig = Rig::new(&graph(workers, COUNTED, 1_000_000 / workers as u64));
        rig.engine().start().expect("threads");
        let frames = frames(scaled(40_000), &mut Rng::new());
        let done = std::thread::scope(|scope| {
            let wires = (rig.wire("in").clone(), rig.wire("out").clone());
            let feeding = scope.spawn(move || {
                for some in frames.chunks(100) {
                    wires.0.feed(0, some.iter().cloned());
                    // What has left is read first: more may arrive, and leave, meanwhile.
                    let on_their_way = || {
                        let left = wires.1.left();
                        wires.0.arrived() - left
                    };
                    while wires.0.waiting() > 100 || on_their_way() > 400 {
                        std::thread::yield_now();
                    }
                }
                frames.len() as u64
            });
            let mut answers = Vec::new();
            while answers.is_empty() || !feeding.is_finished() && answers.len() < 3 {
                answers.push(rig.engine().ask("flows", r#"{"dump": {}}"#).expect("an answer"));
            }
            let fed = feeding.join().expect("all was fed");
            (fed, answers)
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        while rig.wire("out").left() < done.0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        // While they run: who is asked may sleep, and is woken.
        let last = rig.engine().ask("flows", r#"{"dump": {}}"#).expect("an answer");
        let total = 1_000_000 + u64::from(FLOWS);
        assert_eq!(last.reply, format!(r#"{{"flows":{{"count":{total},"packets":{},"shared":0}}}}"#, done.0));
        for answer in &done.1 {
            assert!(answer.slices >= 1_000_000 / 256 && answer.longest_pause > Duration::ZERO);
        }
        println!("{workers} workers: longest pause {:?}", done.1.iter().map(|answer| answer.longest_pause).max());
        rig.engine().stop();
        let ledger = rig.check();
        assert_eq!((ledger.received, ledger.sent, ledger.in_transit), (done.0, done.0, 0));
        // A question that changes things, of workers that stand still; a plain command; and what goes wrong.
        let clear = |rig: &mut Rig| rig.engine().command("flows", r#"{"clear": {}}"#);
        assert_eq!(clear(&mut rig).unwrap(), format!(r#"{{"cleared":{FLOWS}}}"#));
        assert_eq!(clear(&mut rig).unwrap(), r#"{"cleared":0}"#);
        assert_eq!(rig.engine().command("flows", r#"{"size": {}}"#).unwrap(), format!(r#"{{"size":{}}}"#, 1_000_000 / workers));
        let error = rig.engine().command("flows", r#"{"drop": {}}"#).unwrap_err();
        assert_eq!(error.message(), "unknown variant `drop`, expected `size`");
        let error = rig.engine().command("flows", r#"{"dump": 3}"#).unwrap_err();
        assert_eq!(error.path(), "dump");
        for running in [false, true] {
            if running {
                rig.engine().start().expect("threads");
            }
            let error = rig.engine().command("flows", r#"{"trip": {}}"#).unwrap_err();
            assert_eq!(error.message(), "`flows` has a defect: it panicked at this question");
            assert_eq!(clear(&mut rig).unwrap(), r#"{"cleared":0}"#);
        }
        rig.engine().stop();
    }
}
