//! Several workers, in threads and step by step: the same packets leave in the same order within each flow, whatever the number of
//! workers, also while routes change.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::driver::Sent;
use common::frames::{Mac, forwarded, header, mac, packet};
use common::random::Rng;
use common::{Rig, scaled};

const FLOWS: u32 = 97;

fn graph(workers: usize) -> String {
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces:
  in:    {{ driver: test, mac: 02:00:00:00:00:01, addresses: [192.168.1.1/24], batch: 50 }}
  left:  {{ driver: test, mac: 02:00:00:00:00:02, addresses: [10.9.1.1/24] }}
  right: {{ driver: test, mac: 02:00:00:00:00:03, addresses: [10.9.2.1/24] }}
tables:
  neighbours:
    kind: neighbours
    static: [{{ address: 10.9.1.2, mac: 02:00:00:00:00:a1 }}, {{ address: 10.9.2.2, mac: 02:00:00:00:00:a2 }}]
  routes:
    kind: fib4
    routes:
      - {{ prefix: 10.1.0.0/16, via: 10.9.1.2 }}
      - {{ prefix: 10.2.0.0/16, via: 10.9.2.2 }}
      - {{ prefix: 10.4.0.0/16, blackhole: true }}
nodes:
  rx:      {{ kind: rx, interface: in, to: eth }}
  eth:     {{ kind: ethernet-input, to: ip4 }}
  ip4:     {{ kind: ip4-input, to: lookup }}
  lookup:  {{ kind: ip4-lookup, to: rewrite }}
  rewrite: {{ kind: ip4-rewrite, to: tx }}
  tx:      {{ kind: tx }}
"
    )
}

/// A frame of a flow to this address, with its number in the payload.
fn frame(flow: u32, number: u32, destination: [u8; 4]) -> Vec<u8> {
    let ttl = if flow % 10 == 3 { 1 } else { 64 };
    let mut bytes = packet(header(destination, ttl, 8), &[]);
    bytes.truncate(20);
    bytes.extend([flow.to_be_bytes(), number.to_be_bytes()].concat());
    common::frames::ethernet(mac(1), 0x0800, &bytes)
}

/// Flow and number of a frame.
fn label(frame: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
    (word(34), word(38))
}

/// Where a flow goes.
fn destination(flow: u32) -> [u8; 4] {
    [10, [1, 2, 4, 3, 1, 2, 2][flow as usize % 7], flow as u8, 1]
}

/// Frames of all flows in random order, from `first` on.
fn frames(count: usize, next: &mut [u32], rng: &mut Rng) -> Vec<Vec<u8>> {
    let frame = |_| {
        let flow = rng.below(FLOWS as usize);
        next[flow] += 1;
        frame(flow as u32, next[flow] - 1, destination(flow as u32))
    };
    (0..count).map(frame).collect()
}

fn feed(rig: &Rig, workers: usize, frames: &[Vec<u8>]) {
    // As a network card does: each flow to one queue.
    for frame in frames {
        let queue = label(frame).0 as usize % workers;
        rig.wire("in").feed(queue, [frame.clone()]);
    }
}

/// What should leave by `left` and `right`, sorted by flow and number.
fn expected(frames: &[Vec<u8>]) -> [Vec<Vec<u8>>; 2] {
    [(1, mac(0xa1), mac(2)), (2, mac(0xa2), mac(3))].map(|(network, to, from)| {
        let leaves = |frame: &&Vec<u8>| frame[31] == network && frame[22] > 1;
        let mut frames: Vec<Vec<u8>> = frames.iter().filter(leaves).map(|frame| forwarded(frame, to, from)).collect();
        frames.sort_by_key(|frame| label(frame));
        frames
    })
}

/// Checks what left, and that each flow kept its order and its worker.
fn check_sent(rig: &Rig, frames: &[Vec<u8>]) -> BTreeMap<String, u64> {
    for (name, expected) in ["left", "right"].into_iter().zip(expected(frames)) {
        let sent = rig.wire(name).take_sent();
        let mut last: BTreeMap<u32, (usize, u32)> = BTreeMap::new();
        for Sent { worker, bytes } in &sent {
            let (flow, number) = label(bytes);
            let before = last.insert(flow, (*worker, number));
            assert!(
                before.is_none_or(|before| before < (*worker, number) && before.0 == *worker),
                "flow {flow}, {before:?}, {number}"
            );
        }
        let mut sent: Vec<Vec<u8>> = sent.into_iter().map(|sent| sent.bytes).collect();
        sent.sort_by_key(|frame| label(frame));
        assert!(sent == expected, "{name}: {} frames instead of {}", sent.len(), expected.len());
    }
    let ledger = rig.check();
    assert_eq!(ledger.in_transit, 0);
    let mut counts = rig.counts();
    counts.retain(|name, _| !name.ends_with(".out-of-buffers"));
    counts
}

fn wait_until_fetched(rig: &Rig) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while rig.wire("in").waiting() > 0 {
        assert!(Instant::now() < deadline, "{} frames were not fetched", rig.wire("in").waiting());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn any_number_of_workers_gives_the_same() {
    let mut rng = Rng::new();
    let frames = frames(scaled(20_000), &mut vec![0; FLOWS as usize], &mut rng);
    let mut totals = Vec::new();
    for workers in [1, 2, 4] {
        let mut rig = Rig::new(&graph(workers));
        feed(&rig, workers, &frames);
        rig.run();
        totals.push(check_sent(&rig, &frames));
        let mut rig = Rig::new(&graph(workers));
        rig.engine().start().expect("threads");
        feed(&rig, workers, &frames);
        wait_until_fetched(&rig);
        rig.engine().stop();
        totals.push(check_sent(&rig, &frames));
    }
    for other in &totals[1..] {
        assert_eq!(other, &totals[0]);
    }
    // Every way out is used.
    for name in ["tx.sent", "lookup.blackhole", "lookup.no-route", "rewrite.ttl-expired"] {
        assert!(totals[0][name] > 0, "{name}");
    }
}

#[test]
fn steps_are_the_same_in_every_run() {
    let mut rng = Rng::new();
    let frames = frames(5_000, &mut vec![0; FLOWS as usize], &mut rng);
    let run = |workers: usize| {
        let mut rig = Rig::new(&graph(workers));
        feed(&rig, workers, &frames);
        rig.run();
        ["left", "right"].map(|name| rig.wire(name).take_sent())
    };
    for workers in [1, 2, 4] {
        assert!(run(workers) == run(workers), "{workers} workers");
    }
}

#[test]
fn stopped_and_started_again() {
    let mut rng = Rng::new();
    for workers in [1, 2, 4] {
        let mut rig = Rig::new(&graph(workers));
        let mut next = vec![0; FLOWS as usize];
        for round in 0..4 {
            // In threads and step by step by turns; while it stands still packets wait.
            let frames = frames(scaled(3_000), &mut next, &mut rng);
            if round % 2 == 0 {
                rig.engine().start().expect("threads");
                feed(&rig, workers, &frames);
                wait_until_fetched(&rig);
                rig.engine().stop();
            } else {
                feed(&rig, workers, &frames);
                rig.check();
                rig.run();
            }
            check_sent(&rig, &frames);
        }
        // Stopped at any moment: what was fetched has gone all the way.
        rig.engine().start().expect("threads");
        feed(&rig, workers, &frames(scaled(3_000), &mut next, &mut rng));
        rig.engine().stop();
        let ledger = rig.check();
        assert_eq!(ledger.in_transit, 0);
        // Twice is as good as once.
        rig.engine().stop();
        rig.engine().start().expect("threads");
        wait_until_fetched(&rig);
        rig.engine().stop();
        rig.check();
    }
}

#[test]
fn routes_change_while_workers_forward() {
    for workers in [1, 2] {
        let mut rng = Rng::new();
        let mut rig = Rig::new(&graph(workers));
        let table = Arc::clone(rig.engine().table("routes").expect("the table of the graph"));
        rig.engine().start().expect("threads");
        let (mut fed, mut number) = (0, 0);
        std::thread::scope(|scope| {
            let updates = scope.spawn(move || churn(&mut rng, |command| table.command(command), scaled(100_000)));
            while !updates.is_finished() {
                if rig.wire("in").waiting() < 500 {
                    for flow in 0..FLOWS {
                        // To a stable route, or to one that changes.
                        let to = if flow % 2 == 0 { [10, 1, flow as u8, 1] } else { [10, 2, (flow % 8) as u8, flow as u8] };
                        rig.wire("in").feed(flow as usize % workers, [frame(flow, number, to)]);
                        fed += 1;
                    }
                    number += 1;
                }
                // The main thread may ask meanwhile.
                let reply = rig.engine().command("routes", r#"{"lookup": {"address": "10.1.2.3"}}"#).expect("an answer");
                assert_eq!(reply, r#"{"route":{"prefix":"10.1.0.0/16","meaning":"forward","interface":"left"}}"#);
                std::thread::sleep(Duration::from_micros(200));
            }
            updates.join().expect("all commands are taken");
        });
        wait_until_fetched(&rig);
        rig.engine().stop();
        let ledger = rig.check();
        assert_eq!(
            (ledger.received, ledger.sent, ledger.dropped_total()),
            (fed, fed - rig.count("rewrite.ttl-expired"), rig.count("rewrite.ttl-expired"))
        );
        let way = |name: &str, to: Mac, from: Mac| {
            let sent = rig.wire(name).take_sent();
            for frame in &sent {
                let (flow, number) = label(&frame.bytes);
                let destination = frame.bytes[30..34].try_into().expect("an address");
                assert_eq!(frame.bytes, forwarded(&self::frame(flow, number, destination), to, from));
                assert!(name == "left" || destination[1] == 2, "a stable route goes left");
            }
            sent.iter().filter(|frame| frame.bytes[31] == 2).count()
        };
        let (left, right) = (way("left", mac(0xa1), mac(2)), way("right", mac(0xa2), mac(3)));
        assert!(left > 0 && right > 0, "the changing routes went {left} times left, {right} times right");
    }
}

/// Routes that come, change and go: inside of 10.2.0.0/16, whose packets may go either way, around 10.1.0.0/16, and elsewhere.
fn churn(rng: &mut Rng, command: impl Fn(&str) -> Result<String, swath_api::ConfigError>, count: usize) {
    let mut known: Vec<String> = Vec::new();
    for _ in 0..count / 2 {
        let prefix = match rng.below(5) {
            0 => format!("10.2.{}.0/24", rng.below(8)),
            1 => format!("10.2.{}.{}/32", rng.below(8), rng.below(FLOWS as usize)),
            2 => format!("10.2.{}.{}/28", rng.below(8), rng.below(8) * 16),
            3 => rng.pick(&["10.0.0.0/8", "10.0.0.0/15", "0.0.0.0/0", "10.0.0.0/12"]).to_string(),
            _ => format!("11.{}.{}.0/{}", rng.below(256), rng.below(4) * 64, 18 + rng.below(15)),
        };
        let via = rng.pick(&["10.9.1.2", "10.9.2.2"]);
        command(&format!(r#"{{"add": {{"prefix": "{prefix}", "via": "{via}"}}}}"#)).expect("a route is taken");
        if !known.contains(&prefix) {
            known.push(prefix);
        }
        if known.len() > 40 {
            let gone = known.swap_remove(rng.below(known.len()));
            command(&format!(r#"{{"remove": {{"prefix": "{gone}"}}}}"#)).expect("a known route is removed");
        }
    }
}

/// Nanoseconds for which the thread of a worker has had a core.
fn cpu_time(worker: usize) -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux").flatten().map(|entry| entry.path());
    let is_worker = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == format!("worker-{worker}"))
    };
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path.join("schedstat")).expect("the kernel counts");
        text.split(' ').next().and_then(|time| time.parse::<u64>().ok()).expect("a number")
    };
    // Of other tests of this process there may be workers, too.
    threads.filter(is_worker).map(read).max().expect("the thread of the worker")
}

#[test]
fn idle_workers_leave_the_core_to_others() {
    // A number that no other test of this file has, for their threads have the same names.
    let workers = 6;
    let mut rig = Rig::new(&graph(workers));
    rig.engine().start().expect("threads");
    std::thread::sleep(Duration::from_millis(200));
    let (before, figures) = (cpu_time(5), rig.engine().workers());
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_time(5) - before;
    // Below 1 % on an idle machine; this is to see that it does not spin.
    assert!(used < 50_000_000, "{used} ns of a second");
    let now = rig.engine().workers();
    let asleep = now[5].asleep - figures[5].asleep;
    assert!(asleep > Duration::from_millis(500), "{asleep:?}");
    assert!(now[5].sleeps > figures[5].sleeps && now[5].load_since(&figures[5]) < 0.05);
    // Asked, it wakes; told to stop, too.
    rig.engine().stop();
    rig.check();
    // Who wants it so gets a core that is always busy.
    let mut rig = Rig::new(&graph(workers).replace("workers: 6", "workers: 1, idle: busy"));
    rig.engine().start().expect("a thread");
    let turned = |rig: &mut Rig| rig.engine().workers()[0].idle + rig.engine().workers()[0].busy;
    let deadline = Instant::now() + Duration::from_secs(60);
    while turned(&mut rig) < Duration::from_millis(200) {
        assert!(Instant::now() < deadline, "{:?}", turned(&mut rig));
        std::thread::sleep(Duration::from_millis(10));
    }
    rig.engine().stop();
    let figures = &rig.engine().workers()[0];
    assert_eq!((figures.sleeps, figures.asleep), (0, Duration::ZERO));
}

/// Under overload each queue gets its share of the passes, and an idle one between them changes nothing.
#[test]
fn full_queues_get_equal_shares() {
    let graph = "
version: 1
interfaces: { a: { driver: test }, b: { driver: test }, c: { driver: test }, out: { driver: test } }
nodes:
  a-rx: { kind: rx, interface: a, to: tx }
  b-rx: { kind: rx, interface: b, to: tx }
  c-rx: { kind: rx, interface: c, to: tx }
  tx:   { kind: tx, interface: out }
";
    for full in [&["a"][..], &["a", "b"], &["a", "c"], &["b", "c"], &["a", "b", "c"]] {
        let mut rig = Rig::new(graph);
        for name in full {
            rig.feed(name, (0..4_000).map(|number| frame(1, number, [10, 1, 1, 1])));
        }
        for _ in 0..4 * full.len() {
            let graph = &mut rig.engine().graphs_mut()[0];
            assert_eq!(graph.receive(0), 256);
            graph.pass(0);
        }
        for name in full {
            assert_eq!(rig.wire(name).arrived(), 4 * 256, "{name} of {full:?}");
        }
        rig.run();
        rig.check();
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_plain_router_never_touches_the_cold_line() {
    let mut rng = Rng::new();
    let mut rig = Rig::new(&graph(1));
    feed(&rig, 1, &frames(5_000, &mut vec![0; FLOWS as usize], &mut rng));
    let before = swath_api::meta_accesses();
    while rig.wire("in").waiting() > 0 {
        assert!(rig.engine().graphs_mut()[0].sweep(0));
    }
    assert_eq!(swath_api::meta_accesses() - before, 0);
    assert!(rig.check().sent > 2_000);
}
