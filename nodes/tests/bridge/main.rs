//! The bridge against an oracle, a map that does what IEEE 802.1D says frame by frame: with stations that move, fall silent and
//! come back, commands, capacity, one worker and several; and what happens when copies find no room or no buffer.

#[path = "../common/mod.rs"]
mod common;
mod oracle;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use common::random::Rng;
use common::{Rig, scaled};
use oracle::{Entry, Oracle, vlan};

const PORTS: [&str; 4] = ["a", "b", "c", "d"];
/// What the last port carries, in bytes.
const SMALL_MTU: usize = 200;
const SECOND: u64 = 1_000_000_000;

fn graph(workers: usize, bridge: &str) -> String {
    let nodes: String = PORTS.iter().map(|port| format!("  {port}-rx: {{ kind: rx, interface: {port}, to: bridge }}\n")).collect();
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces:
  a: {{ driver: test, mac: 02:00:00:00:00:0a }}
  b: {{ driver: test, mac: 02:00:00:00:00:0b }}
  c: {{ driver: test, mac: 02:00:00:00:00:0c }}
  d: {{ driver: test, mac: 02:00:00:00:00:0d, mtu: {SMALL_MTU} }}
tables:
  stations: {{ kind: bridge{bridge} }}
nodes:
{nodes}
  bridge: {{ kind: bridge-input, to: {{ forward: tx, flood: flood }} }}
  flood: {{ kind: bridge-flood, to: tx }}
  tx: {{ kind: tx }}
"
    )
}

type Mac = [u8; 6];
/// The frames that leave by each port.
type Sent = [Vec<Vec<u8>>; 4];

fn station(number: usize) -> Mac {
    [2, 0, 0, 1, (number >> 8) as u8, number as u8]
}

/// A frame with its number in the last four bytes.
fn frame(source: Mac, destination: Mac, vlan: u16, len: usize, number: u32) -> Vec<u8> {
    let mut frame = [destination, source].concat();
    if vlan > 0 {
        frame.extend([&[0x81, 0][..], &vlan.to_be_bytes()].concat());
    }
    frame.extend([0x88, 0xb5]);
    frame.resize(len.max(frame.len() + 4), 0);
    let end = frame.len();
    frame[end - 4..].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> u32 {
    frame.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Frames of random stations, of which each is where `places` says.
struct Traffic {
    places: Vec<usize>,
    numbered: u32,
}

impl Traffic {
    fn frame(&mut self, rng: &mut Rng) -> (usize, Vec<u8>) {
        let (from, to) = (rng.below(self.places.len()), rng.below(self.places.len()));
        let destination = match rng.below(20) {
            0 => [0xff; 6],
            1 => [1, 0, 0x5e, 0, 0, rng.below(4) as u8],
            2 => [1, 0x80, 0xc2, 0, 0, rng.below(20) as u8],
            3 => [2, 0, 0, 0, 0, 0xa + rng.below(4) as u8],
            _ => station(to),
        };
        let (place, source) = match rng.below(60) {
            0 => (0, rng.pick(&[[0; 6], [0xff; 6], [1, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 0xa]])),
            _ => (self.places[from], station(from)),
        };
        let vlan = rng.pick(&[0, 0, 0, 5, 5, 6, 0x6005, 0xffff]);
        let len = rng.pick(&[0, 60, 60, 60, 18 + SMALL_MTU, 19 + SMALL_MTU, 1000]);
        self.numbered += 1;
        let mut frame = frame(source, destination, vlan, len, self.numbered);
        if rng.one_in(100) {
            frame.truncate(rng.below(18));
        }
        (place, frame)
    }
}

/// Checks that a port got these frames, each sender's to each destination in order. Those that were cut have no number.
fn check_port(port: &str, mut sent: Vec<Vec<u8>>, mut expected: Vec<Vec<u8>>, step: usize) {
    let mut last: HashMap<Vec<u8>, u32> = HashMap::new();
    for frame in sent.iter().filter(|frame| frame.len() >= 18) {
        let before = last.insert([&frame[..12], &vlan(frame).to_be_bytes()].concat(), number(frame));
        assert!(before.is_none_or(|before| before < number(frame)), "step {step}, {port}: frame {} is late", number(frame));
    }
    sent.sort();
    expected.sort();
    assert!(sent == expected, "step {step}, {port}: {} frames instead of {}", sent.len(), expected.len());
}

fn against_the_oracle(workers: usize, capacity: usize, stations: usize) {
    let mut rng = Rng::new();
    let fixed = format!(
        ", entries: {capacity}, static: [{{ mac: 02:00:00:01:00:00, interface: b }}, {{ mac: 02:00:00:01:00:01, interface: c, vlan: 5 }}]"
    );
    let mut rig = Rig::new(&graph(workers, &fixed));
    let mut oracle = Oracle { capacity, ..Oracle::default() };
    oracle.stations.insert((0, station(0)), Entry { port: 1, seen: None });
    oracle.stations.insert((5, station(1)), Entry { port: 2, seen: None });
    let mut traffic = Traffic { places: (0..stations).map(|_| rng.below(4)).collect(), numbered: 0 };
    let (mut now, mut fed) = (0, 0);
    for step in 0..scaled(500) {
        if rng.one_in(3) {
            now += rng.pick(&[1, 5, 60, 100, 299, 300, 301]);
            rig.engine().step_until(now * SECOND);
            oracle.expire(now);
        }
        match rng.below(40) {
            0 => {
                rig.engine().command("stations", r#"{"flush": {}}"#).unwrap();
                oracle.stations.retain(|_, entry| entry.seen.is_none());
            }
            1 => {
                let port = rng.below(4);
                rig.engine()
                    .command("stations", &format!(r#"{{"flush": {{"vlan": 5, "interface": "{}"}}}}"#, PORTS[port]))
                    .unwrap();
                oracle.stations.retain(|(vlan, _), entry| entry.seen.is_none() || *vlan != 5 || entry.port != port);
            }
            2 => {
                let gone = station(rng.below(stations));
                let [.., high, low] = gone;
                let done =
                    rig.engine().command("stations", &format!(r#"{{"remove": {{"mac": "02:00:00:01:{high:02x}:{low:02x}"}}}}"#));
                assert_eq!(done.is_ok(), oracle.stations.remove(&(0, gone)).is_some(), "step {step}");
            }
            _ => {}
        }
        // Nobody moves within a step: which of two ports is the later then is up to the order of the receive queues.
        for place in &mut traffic.places {
            if rng.one_in(50) {
                *place = rng.below(4);
            }
        }
        let mut expected: Sent = Default::default();
        for worker in 0..workers {
            // Few enough for one vector, and for their copies. If not all can be learnt the order counts: that of one queue is
            // known.
            let only = (capacity < stations).then(|| rng.below(4));
            let frames: Vec<(usize, Vec<u8>)> = (0..1 + rng.below(80)).map(|_| traffic.frame(&mut rng)).collect();
            let frames: Vec<(usize, Vec<u8>)> =
                frames.into_iter().filter(|(port, _)| only.is_none_or(|only| only == *port)).collect();
            for (port, frame) in &frames {
                rig.wire(PORTS[*port]).feed(worker, [frame.clone()]);
            }
            fed += frames.len() as u64;
            expected.iter_mut().zip(oracle.bridge(now, &frames)).for_each(|(all, more)| all.extend(more));
        }
        rig.run();
        for (port, expected) in PORTS.into_iter().zip(expected) {
            check_port(port, rig.sent(port), expected, step);
        }
    }
    // Long enough for all of the table to be swept.
    now += 5;
    rig.engine().step_until(now * SECOND);
    oracle.expire(now);
    let ledger = rig.check();
    let counts = rig.counts();
    let drops: BTreeMap<&str, u64> =
        oracle.drops.keys().map(|reason| (*reason, counts.get(*reason).copied().unwrap_or_default())).collect();
    assert_eq!(drops, oracle.drops);
    assert_eq!(
        (ledger.received, ledger.dropped_total()),
        (fed, oracle.drops.values().sum()),
        "and nothing else is dropped: {counts:?}"
    );
    assert_eq!(rig.count("flood+made"), 2 * rig.count("flood"), "n - 1 copies, of four ports but the one it came from");
    let shown: serde_json::Value = serde_json::from_str(&rig.engine().command("stations", r#"{"show": {}}"#).unwrap()).unwrap();
    assert_eq!((&shown["stations"]["moved"], &shown["stations"]["used"]), (&oracle.moved.into(), &oracle.stations.len().into()));
    assert!(drops.len() == 8 && oracle.moved > 0, "everything happens: {drops:?}, {} moves", oracle.moved);
}

#[test]
fn one_worker_does_as_the_oracle() {
    against_the_oracle(1, 16_384, 60);
}

#[test]
fn several_workers_do_as_the_oracle() {
    for workers in [2, 4] {
        against_the_oracle(workers, 16_384, 60);
    }
}

#[test]
fn a_full_table_does_as_the_oracle() {
    against_the_oracle(1, 20, 60);
    against_the_oracle(2, 20, 60);
}

#[test]
fn what_one_worker_learns_the_others_know() {
    for workers in [2, 4] {
        let mut rig = Rig::new(&graph(workers, ""));
        rig.wire("a").feed(0, [frame(station(1), [0xff; 6], 0, 60, 0)]);
        rig.run();
        PORTS.iter().for_each(|port| drop(rig.sent(port)));
        for worker in 0..workers {
            rig.wire("b").feed(worker, [frame(station(2), station(1), 0, 60, 1)]);
        }
        rig.run();
        assert_eq!(rig.sent("a").len(), workers);
        assert_eq!((rig.count("bridge.forward"), rig.count("bridge.flood")), (workers as u64, 1));
        rig.check();
    }
}

#[test]
fn any_number_of_workers_gives_the_same() {
    const STATIONS: usize = 40;
    let mut rng = Rng::new();
    let places: Vec<usize> = (0..STATIONS).map(|_| rng.below(4)).collect();
    let flow = |from: usize, to: usize| from * STATIONS + to;
    let count = scaled(20_000);
    let pairs: Vec<(usize, usize)> = (0..count).map(|_| (rng.below(STATIONS), rng.below(STATIONS))).collect();
    let mut totals: Vec<(Sent, BTreeMap<String, u64>)> = Vec::new();
    for (workers, threads) in [(1, false), (2, false), (4, false), (1, true), (2, true), (4, true)] {
        let mut rig = Rig::new(&graph(workers, ""));
        // Who is known from the start is never flooded, so that it does not count who learns first.
        for (from, place) in places.iter().enumerate() {
            rig.wire(PORTS[*place]).feed(from % workers, [frame(station(from), [0xff; 6], 0, 60, 0)]);
        }
        rig.run();
        PORTS.iter().for_each(|port| drop(rig.sent(port)));
        if threads {
            rig.engine().start().expect("threads");
        }
        for (number, (from, to)) in pairs.iter().enumerate() {
            // As a network card does: each flow to one queue.
            let queue = flow(*from, *to) % workers;
            rig.wire(PORTS[places[*from]]).feed(queue, [frame(station(*from), station(*to), 0, 60, number as u32)]);
        }
        if threads {
            let deadline = Instant::now() + Duration::from_secs(60);
            while PORTS.iter().any(|port| rig.wire(port).waiting() > 0) {
                assert!(Instant::now() < deadline, "frames that were not fetched");
                std::thread::sleep(Duration::from_millis(1));
            }
            rig.engine().stop();
        } else {
            rig.run();
        }
        let ports = PORTS.map(|port| {
            let sent = rig.sent(port);
            let mut sorted = sent.clone();
            sorted.sort();
            check_port(port, sent, sorted.clone(), workers);
            sorted
        });
        rig.check();
        let mut counts = rig.counts();
        counts.retain(|name, _| name != "bridge.out-of-buffers");
        totals.push((ports, counts));
    }
    assert!(totals.iter().all(|total| *total == totals[0]), "{:?}", totals.iter().map(|(_, counts)| counts).collect::<Vec<_>>());
    assert!(totals[0].1["bridge.forward"] > 0 && totals[0].1["bridge.same-port"] > 0);
}

#[test]
fn copies_beyond_a_pass_are_counted() {
    let mut rig = Rig::new(&graph(1, ""));
    rig.feed("a", (0..256).map(|number| frame(station(1), [0xff; 6], 0, 60, number)));
    rig.run();
    let ledger = rig.check();
    // Two copies of each are wanted; a pass takes 256. The last port gets the frames themselves.
    assert_eq!((rig.count("flood+made"), rig.count("flood.inbox-full"), rig.count("flood.ok")), (512, 256, 512));
    assert_eq!((rig.sent("b").len(), rig.sent("c").len(), rig.sent("d").len()), (128, 128, 256));
    assert_eq!((ledger.received, ledger.made, ledger.sent, ledger.dropped_total()), (256, 512, 512, 256));
}

#[test]
fn a_flood_without_buffers_is_counted() {
    for buffers in [300, 320, 400] {
        let mut rig = Rig::with(&graph(1, ""), Some(buffers), &[]);
        for round in 0..5 {
            rig.feed("a", (0..100).map(|number| frame(station(1), [0xff; 6], 0, 60, round * 100 + number)));
            rig.feed("b", (0..156).map(|number| frame(station(2), station(3), 0, 60, round * 200 + number)));
            rig.run();
        }
        let ledger = rig.check();
        let (none, full) = (rig.count("flood.out-of-buffers"), rig.count("flood.inbox-full"));
        assert!(none > 0, "{buffers} buffers are too many for this test");
        let received = ledger.received - rig.count("a-rx.out-of-buffers") - rig.count("b-rx.out-of-buffers");
        assert_eq!((ledger.made, ledger.sent), (2 * received, 3 * received - none - full));
        // It goes on when there are buffers again.
        PORTS.iter().for_each(|port| drop(rig.sent(port)));
        rig.feed("c", [frame(station(9), station(1), 0, 60, 0)]);
        rig.run();
        assert_eq!(rig.sent("a").len(), 1);
    }
}

#[cfg(debug_assertions)]
#[test]
fn known_unicast_never_touches_the_cold_line() {
    let mut rig = Rig::new(&graph(1, ""));
    rig.feed("a", [frame(station(1), [0xff; 6], 0, 60, 0)]);
    rig.feed("b", [frame(station(2), [0xff; 6], 5, 60, 0)]);
    rig.run();
    rig.feed("b", (0..1000).map(|number| frame(station(3), station(1), 0, 60, number)));
    rig.feed("c", (0..1000).map(|number| frame(station(4), station(2), 5, 60, number)));
    let before = swath_api::meta_accesses();
    while rig.wire("b").waiting() + rig.wire("c").waiting() > 0 {
        assert!(rig.engine().graphs_mut()[0].sweep(0));
    }
    assert_eq!(swath_api::meta_accesses() - before, 0);
    assert_eq!(rig.count("bridge.forward"), 2000);
    rig.check();
}
