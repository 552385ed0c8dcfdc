//! Rules change while flows pass: those that are still permitted lose nothing, and the others pass no more from the change on.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::frames::mac;
use common::random::Rng;
use common::{Rig, scaled};
use etherparse::PacketBuilder;
use swath_api::TableInstance;

const FLOWS: u32 = 64;
/// Rounds of a phase, one packet of each flow in each direction.
const ROUNDS: usize = 60;

fn graph(workers: usize) -> String {
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces: {{ inside: {{ driver: test, batch: 40 }}, outside: {{ driver: test, batch: 40 }} }}
tables: {{ rules: {{ kind: acl, rules: [{OUT}] }} }}
nodes:
  inside-rx:  {{ kind: rx, interface: inside, to: out }}
  outside-rx: {{ kind: rx, interface: outside, to: in }}
  out:        {{ kind: acl-filter, layer: ethernet, to: outside-tx }}
  in:         {{ kind: acl-filter, layer: ethernet, to: inside-tx }}
  inside-tx:  {{ kind: tx, interface: inside }}
  outside-tx: {{ kind: tx, interface: outside }}
"
    )
}

const OUT: &str = r#"{"name": "out", "action": "permit+reflect", "rx": "inside"}"#;
const ALL: &str = r#"{"name": "all", "action": "count"}"#;
/// What is wanted no more: network 2, and answers of network 3.
const NO: &str = r#"{"name": "no", "action": "deny", "rx": "inside", "destination": "192.0.2.0/24"}"#;
const ONE_WAY: &str = r#"{"name": "one-way", "action": "permit", "rx": "inside", "destination": "192.0.3.0/24"}"#;

/// Flows have one of four networks as their target, and are UDP or TCP.
const fn network(flow: u32) -> u8 {
    (flow % 4) as u8
}

const fn is_tcp(flow: u32) -> bool {
    flow / 4 % 2 == 1
}

/// A packet of a flow from inside, or one from outside, with its number; of TCP with these flags beside, and without a number an ACK.
fn frame(flow: u32, from_inside: bool, number: u32, (syn, ack): (bool, bool)) -> Vec<u8> {
    let (host, target) = ([10, 0, 0, flow as u8], [192, 0, network(flow), flow as u8]);
    let (source, destination, ports) = if from_inside { (host, target, (4000, 80)) } else { (target, host, (80, 4000)) };
    let builder = PacketBuilder::ethernet2(mac(1), mac(2)).ipv4(source, destination, 64);
    let (mut bytes, payload) = (Vec::new(), [flow.to_be_bytes(), number.to_be_bytes()].concat());
    if is_tcp(flow) {
        let builder = builder.tcp(ports.0, ports.1, number, 1000);
        let builder = if syn { builder.syn() } else { builder };
        let builder = if ack { builder.ack(1) } else { builder };
        builder.write(&mut bytes, &payload).expect("bytes grow");
    } else {
        builder.udp(ports.0, ports.1).write(&mut bytes, &payload).expect("bytes grow");
    }
    bytes
}

/// The numbers of the packets that have left by an interface since this was asked last, by flow; in their order, none twice.
fn left(rig: &Rig, interface: &str) -> BTreeMap<u32, Vec<u32>> {
    let mut flows: BTreeMap<u32, Vec<u32>> = (0..FLOWS).map(|flow| (flow, Vec::new())).collect();
    for bytes in rig.sent(interface) {
        let word = |at: usize| u32::from_be_bytes(bytes[bytes.len() - at..][..4].try_into().expect("four bytes"));
        let numbers = flows.get_mut(&word(8)).expect("a flow of ours");
        assert!(numbers.last().is_none_or(|last| *last < word(4)), "flow {}: {} is late", word(8), word(4));
        numbers.push(word(4));
    }
    flows
}

/// Both directions of all flows, with numbers that go on.
struct Load {
    workers: usize,
    number: u32,
}

impl Load {
    /// One packet of each flow in each direction; returns when they have been dealt with, so that no ring between workers overflows.
    fn round(&mut self, rig: &mut Rig) {
        self.number += 1;
        for flow in 0..FLOWS {
            for (interface, from_inside) in [("inside", true), ("outside", false)] {
                let bytes = frame(flow, from_inside, self.number, (false, true));
                rig.wire(interface).feed(flow as usize % self.workers, [bytes]);
            }
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        let waiting = |rig: &Rig| rig.wire("inside").waiting() + rig.wire("outside").waiting();
        while waiting(rig) > 0 || rig.engine().ledger().in_transit > 0 {
            assert!(Instant::now() < deadline, "{:?}", rig.engine().ledger());
            std::thread::yield_now();
        }
    }

    /// Rounds until all workers have the rules that there are. The numbers of those behind.
    fn until_seen(&mut self, rig: &mut Rig) -> u32 {
        while !command(&table(rig), r#"{"show": {}}"#).ends_with(r#""old":0}}"#) {
            self.round(rig);
        }
        self.number + 1
    }
}

fn table(rig: &mut Rig) -> Arc<TableInstance> {
    Arc::clone(rig.engine().table("rules").expect("the table of the graph"))
}

fn command(table: &TableInstance, command: &str) -> String {
    table.command(command).unwrap_or_else(|refused| panic!("{command}: {refused}"))
}

/// Other rules, which all mean the same to these flows: added, removed, replaced, many and few.
fn churn(table: &TableInstance, rng: &mut Rng, done: &AtomicBool) {
    let other =
        |rng: &mut Rng| format!(r#"{{"action": "deny", "destination": "198.{}.{}.0/24"}}"#, 18 + rng.below(2), rng.below(256));
    while !done.load(Ordering::Relaxed) {
        match rng.below(3) {
            0 => _ = command(table, &format!(r#"{{"add": {{"at": 0, "rule": {}}}}}"#, other(rng))),
            1 => {
                command(table, &format!(r#"{{"add": {{"at": 0, "rule": {}}}}}"#, other(rng)));
                command(table, r#"{"remove": {"at": 0}}"#);
            }
            _ => {
                let others: Vec<String> = (0..rng.below(200)).map(|_| other(rng)).collect();
                let rules = [&others[..], &[ALL.to_owned(), OUT.to_owned()]].concat().join(", ");
                command(table, &format!(r#"{{"replace": {{"rules": [{rules}]}}}}"#));
            }
        }
    }
}

/// Packets that a rule has counted, of those that have a name, and those of the default.
fn hits(table: &TableInstance) -> BTreeMap<String, u64> {
    let reply: serde_json::Value = serde_json::from_str(&command(table, r#"{"hits": {}}"#)).expect("JSON");
    let rules = reply["hits"]["rules"].as_array().expect("a list");
    let named =
        rules.iter().filter_map(|counted| Some((counted["rule"]["name"].as_str()?.to_owned(), counted["packets"].as_u64()?)));
    named.chain([("default".to_owned(), reply["hits"]["default"].as_u64().expect("a number"))]).collect()
}

/// Opens all flows: UDP by a packet, TCP by its handshake. Number 0.
fn open(rig: &mut Rig, flows: &[u32]) {
    for (interface, from_inside, flags) in
        [("inside", true, (true, false)), ("outside", false, (true, true)), ("inside", true, (false, true))]
    {
        rig.feed(interface, flows.iter().map(|flow| frame(*flow, from_inside, 0, flags)));
        rig.run();
    }
    // One packet twice is none that is late.
    rig.sent("inside");
    rig.sent("outside");
}

#[test]
fn what_is_still_permitted_loses_nothing() {
    let mut rng = Rng::new();
    for workers in [1, 2] {
        let mut rig = Rig::new(&graph(workers));
        let table = table(&mut rig);
        command(&table, &format!(r#"{{"replace": {{"rules": [{ALL}, {OUT}]}}}}"#));
        open(&mut rig, &Vec::from_iter(0..FLOWS));
        let mut load = Load { workers, number: 0 };
        rig.engine().start().expect("threads");

        // Rules change all the time, and not for these flows.
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| churn(&table, &mut rng, &done));
            (0..scaled(ROUNDS)).for_each(|_| load.round(&mut rig));
            done.store(true, Ordering::Relaxed);
        });
        rig.engine().stop();
        let all: Vec<u32> = (1..=load.number).collect();
        for interface in ["inside", "outside"] {
            assert!(left(&rig, interface).values().all(|numbers| *numbers == all), "{interface}");
        }
        assert_eq!(hits(&table), of([("all", FLOWS), ("out", FLOWS), ("default", 0)]));
        assert_eq!(rig.check().dropped_total(), 0);

        // From some moment on two networks are not wanted any more.
        let first = load.number + 1;
        rig.engine().start().expect("threads");
        (0..5).for_each(|_| load.round(&mut rig));
        command(&table, &format!(r#"{{"replace": {{"rules": [{ALL}, {NO}, {ONE_WAY}, {OUT}]}}}}"#));
        let after = load.until_seen(&mut rig);
        (0..scaled(ROUNDS)).for_each(|_| load.round(&mut rig));
        rig.engine().stop();
        let lost = after_the_change(&rig, first..=load.number, after);
        assert_eq!(rig.count("out.denied"), lost.inside);
        assert_eq!(rig.count("in.denied-by-default"), lost.outside);
        assert_eq!(rig.check().dropped_total(), lost.inside + lost.outside);
        let counted = hits(&table);
        assert_eq!((counted["no"], counted["default"], counted["out"]), (lost.inside, lost.outside, FLOWS.into()));
        assert_eq!(counted["all"], counted["no"] + counted["one-way"] + counted["out"] + counted["default"]);

        // They are wanted again: who was silent had nothing to lose. UDP begins anew from inside, TCP needs its beginning.
        command(&table, &format!(r#"{{"replace": {{"rules": [{ALL}, {OUT}]}}}}"#));
        open(&mut rig, &[0]);
        assert!(command(&table, r#"{"show": {}}"#).ends_with(r#""old":0}}"#));
        rig.engine().start().expect("threads");
        let first = load.number + 1;
        (0..5).for_each(|_| load.round(&mut rig));
        rig.engine().stop();
        let expected: Vec<u32> = (first..=load.number).collect();
        let rounds = expected.len() as u64;
        for (flow, numbers) in left(&rig, "outside") {
            assert_eq!(numbers, if network(flow) >= 2 && is_tcp(flow) { &[][..] } else { &expected }, "flow {flow}");
        }
        for (flow, numbers) in left(&rig, "inside") {
            // The first answer may have come before the question.
            let behind = numbers.strip_prefix(&expected[..1]).unwrap_or(&numbers);
            assert_eq!(behind, if network(flow) >= 2 && is_tcp(flow) { &[][..] } else { &expected[1..] }, "flow {flow}");
        }
        let tcp = (0..FLOWS).filter(|flow| network(*flow) >= 2 && is_tcp(*flow)).count() as u64;
        assert_eq!((rig.count("out.no-session"), tcp), (tcp * rounds, u64::from(FLOWS) / 4));
        rig.check();
    }
}

fn of<const N: usize>(hits: [(&str, u32); N]) -> BTreeMap<String, u64> {
    hits.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
}

/// Packets that did not leave, from inside and from outside.
struct Lost {
    inside: u64,
    outside: u64,
}

/// What has left of packets with these numbers, where all workers have had the new rules from the number `after` on.
fn after_the_change(rig: &Rig, numbers: std::ops::RangeInclusive<u32>, after: u32) -> Lost {
    let all: Vec<u32> = numbers.collect();
    let mut lost = [0; 2];
    for ((interface, lost), stays) in ["outside", "inside"].into_iter().zip(&mut lost).zip([&[0, 1, 3][..], &[0, 1]]) {
        for (flow, left) in left(rig, interface) {
            if stays.contains(&network(flow)) {
                assert!(left == all, "{interface}: flow {flow} lost {}", all.len() - left.len());
                continue;
            }
            // Nothing passes once something has not.
            assert!(all.starts_with(&left) && left.last().is_none_or(|last| *last < after), "{interface}: flow {flow}");
            *lost += (all.len() - left.len()) as u64;
        }
    }
    Lost { inside: lost[0], outside: lost[1] }
}
