//! A filter on several workers: packets change workers only where something is remembered of them, and the same ones pass.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::driver::Sent;
use common::frames::{ethernet, mac};
use common::random::Rng;
use common::{Rig, scaled};
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header};

const FLOWS: usize = 61;

/// Between two interfaces, with the settings of the table.
fn graph(workers: usize, table: &str) -> String {
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces: {{ in: {{ driver: test, batch: 50 }}, out: {{ driver: test }} }}
tables: {{ rules: {{ kind: acl, {table} }} }}
nodes:
  rx:     {{ kind: rx, interface: in, to: filter }}
  filter: {{ kind: acl-filter, layer: ethernet, to: tx }}
  tx:     {{ kind: tx, interface: out }}
"
    )
}

const PORTS: &str = "rules: [{ action: deny, protocol: udp, destination-port: 1000-1029 }, { action: permit, source: 10.0.0.0/9 }]";

/// A frame of a flow, with its number at the end.
fn frame(flow: usize, number: u32) -> Vec<u8> {
    let payload = [&udp(flow)[..], &(flow as u32).to_be_bytes(), &number.to_be_bytes()].concat();
    ethernet(mac(1), 0x0800, &ip4(flow, 0, None, &payload))
}

/// A header of UDP with ports of the flow.
fn udp(flow: usize) -> [u8; 8] {
    let [high, low] = (1000 + flow as u16).to_be_bytes();
    [0x0f, 0xa0, high, low, 0, 0, 0, 0]
}

/// The fields of a fragment: its offset in units of 8 bytes, and whether there are more.
type Place = Option<(u16, bool)>;

fn ip4(flow: usize, id: u16, place: Place, payload: &[u8]) -> Vec<u8> {
    let source = [10, [0, 200][flow % 2], 0, flow as u8];
    let mut header =
        Ipv4Header::new(payload.len() as u16, 64, IpNumber::UDP, source, [192, 0, 2, flow as u8]).expect("a short one");
    if let Some((offset, more)) = place {
        header.fragment_offset = IpFragOffset::try_new(offset).expect("a short one");
        (header.identification, header.dont_fragment, header.more_fragments) = (id, false, more);
    }
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], payload].concat()
}

fn ip6(flow: usize, id: u32, (offset, more): (u16, bool), payload: &[u8]) -> Vec<u8> {
    let end = |net: u16| [0x2001, 0xdb8, net, 0, 0, 0, 0, flow as u16].map(u16::to_be_bytes).concat().try_into().expect("16 bytes");
    let header = Ipv6Header {
        payload_length: payload.len() as u16 + 8,
        next_header: IpNumber::IPV6_FRAGMENTATION_HEADER,
        hop_limit: 64,
        source: end(1),
        destination: end(2),
        ..Ipv6Header::default()
    };
    let fragment = Ipv6FragmentHeader::new(IpNumber::UDP, IpFragOffset::try_new(offset).expect("a short one"), more, id);
    [&header.to_bytes()[..], &fragment.to_bytes()[..], payload].concat()
}

/// Flow and number of a frame.
fn label(frame: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_be_bytes(frame[frame.len() - at..][..4].try_into().expect("four bytes"));
    (word(8), word(4))
}

/// Frames of all flows in random order.
fn frames(count: usize, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut next = [0; FLOWS];
    let frame = |_| {
        let flow = rng.below(FLOWS);
        next[flow] += 1;
        frame(flow, next[flow])
    };
    (0..count).map(frame).collect()
}

/// The names of the nodes.
fn nodes(rig: &mut Rig) -> Vec<String> {
    rig.engine().plan().nodes.iter().map(|node| node.spec.name.value.clone()).collect()
}

#[test]
fn a_handoff_is_there_if_something_is_remembered() {
    let (plain, with) = (vec!["rx", "filter", "tx"], vec!["rx", "handoff-to-filter", "filter", "tx"]);
    for (table, several) in [
        (PORTS, &plain),
        ("default: permit", &plain),
        ("fragments: drop", &plain),
        ("fragments: l3-only", &plain),
        ("fragments: follow-first", &with),
        ("sessions: {}", &with),
        ("rules: [{ action: permit+reflect }]", &with),
        ("sessions: {}, fragments: drop", &with),
    ] {
        for (workers, expected) in [(1, &plain), (2, several), (4, several)] {
            assert_eq!(nodes(&mut Rig::new(&graph(workers, table))), *expected, "{table}, {workers} workers");
        }
    }
}

/// With another filter that remembers, and a handoff of the graph's own: each as it should be.
#[test]
fn handoffs_stand_before_the_right_nodes() {
    let text = "
version: 1
engine: { workers: 2, buffers: 8192 }
interfaces: { in: { driver: test }, out: { driver: test } }
tables:
  plain:      { kind: acl, rules: [{ action: permit }] }
  reflecting: { kind: acl, rules: [{ action: permit+reflect }] }
nodes:
  rx:     { kind: rx, interface: in, to: first }
  first:  { kind: acl-filter, layer: ethernet, table: plain, to: second }
  second: { kind: acl-filter, layer: ethernet, table: reflecting, to: spread }
  spread: { kind: handoff, to: third }
  third:  { kind: acl-filter, layer: ethernet, table: plain, to: fourth }
  fourth: { kind: acl-filter, layer: ethernet, table: reflecting, to: tx }
  tx:     { kind: tx, interface: out }
";
    let mut rig = Rig::new(text);
    let expected = ["rx", "first", "handoff-to-second", "second", "spread", "third", "handoff-to-fourth", "fourth", "tx"];
    assert_eq!(nodes(&mut rig), expected);
    let frames = frames(500, &mut Rng::new());
    rig.feed("in", frames.iter().cloned());
    rig.run();
    let sent = rig.sent("out");
    assert_eq!(sorted(sent), sorted(frames));
    for node in &expected[1..] {
        assert_eq!(rig.count(node), 500, "{node}");
    }
    rig.check();
}

fn sorted(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.sort_unstable();
    frames
}

/// Rules alone: each worker decides what it has received, and all decide the same.
#[test]
fn any_number_of_workers_decides_the_same() {
    let mut rng = Rng::new();
    let frames = frames(scaled(6_000), &mut rng);
    let mut first = None;
    for (workers, threads) in [(1, false), (2, false), (4, false), (2, true), (4, true)] {
        let mut rig = Rig::new(&graph(workers, PORTS));
        if threads {
            rig.engine().start().expect("threads");
        }
        for frame in &frames {
            rig.wire("in").feed(label(frame).0 as usize % workers, [frame.clone()]);
        }
        if threads {
            let deadline = Instant::now() + Duration::from_secs(60);
            while rig.wire("in").waiting() > 0 {
                assert!(Instant::now() < deadline, "{} frames were not fetched", rig.wire("in").waiting());
                std::thread::yield_now();
            }
            rig.engine().stop();
        } else {
            rig.run();
        }
        assert_eq!(rig.check().in_transit, 0);
        let mut flows: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for Sent { worker, bytes } in rig.wire("out").take_sent() {
            let (flow, number) = label(&bytes);
            assert_eq!(flow as usize % workers, worker, "who has received a packet sends it");
            let flow = flows.entry(flow).or_default();
            assert!(flow.last().is_none_or(|last| label(last).1 < number), "{number} is late");
            flow.push(bytes);
        }
        let hits = rig.engine().command("rules", r#"{"hits": {}}"#).expect("an answer");
        let mut counts = rig.counts();
        counts.retain(|name, _| !name.ends_with(".out-of-buffers"));
        let found = (flows, counts, hits);
        assert!(*first.get_or_insert(found.clone()) == found, "{workers} workers, threads: {threads}");
    }
    let (flows, counts, _) = first.expect("it has run");
    let permitted = |flow: &usize| *flow >= 30 && flow.is_multiple_of(2);
    assert!(flows.keys().all(|flow| permitted(&(*flow as usize))));
    let of = |wanted: &dyn Fn(usize) -> bool| frames.iter().filter(|frame| wanted(label(frame).0 as usize)).count() as u64;
    assert_eq!(counts["filter.permitted"], of(&|flow| permitted(&flow)));
    assert_eq!(counts["filter.denied"], of(&|flow| flow < 30));
    assert_eq!(counts["filter.denied-by-default"], of(&|flow| flow >= 30 && !permitted(&flow)));
}

/// Fragments of a packet meet on one worker, whichever has received them; packets that are whole stay where they are.
#[test]
fn fragments_find_their_first_one_on_any_worker() {
    let mut rng = Rng::new();
    // A fifth packet that falls into one place displaces one: with 60 in 65536 places that is expected once in 10^12 runs.
    const PACKETS: usize = 30;
    let table = "fragments: follow-first, fragmented-packets: 262144, default: permit, \
                 rules: [{ action: deny, protocol: udp, destination-port: 1000-1029 }]";
    for workers in [1, 2, 4].into_iter().cycle().take(3 * scaled(1)) {
        let mut rig = Rig::new(&graph(workers, table));
        let packets: Vec<usize> = (0..PACKETS).map(|_| rng.below(FLOWS)).collect();
        let pieces = |at: usize, last: bool| {
            let (flow, payload) = (packets[at], [&udp(packets[at])[..], &[at as u8; 8]].concat());
            let (place, payload) = if last { ((1, false), &[7; 8][..]) } else { ((0, true), &payload[..8]) };
            [
                ethernet(mac(1), 0x0800, &ip4(flow, at as u16, Some(place), payload)),
                ethernet(mac(1), 0x86dd, &ip6(flow, at as u32, place, payload)),
            ]
        };
        let permitted: usize = packets.iter().filter(|flow| **flow >= 30).count();
        for last in [false, true] {
            for at in 0..packets.len() {
                for piece in pieces(at, last) {
                    rig.wire("in").feed(rng.below(workers), [piece]);
                }
            }
            rig.run();
            assert_eq!(rig.sent("out").len(), 2 * permitted, "{workers} workers, last: {last}, {:?}", rig.counts());
        }
        assert_eq!(rig.count("filter.denied"), 4 * (packets.len() - permitted) as u64);
        // Nobody has begun these.
        rig.feed("in", (0..5).map(|id| ethernet(mac(1), 0x0800, &ip4(60, 50_000 + id, Some((1, false)), &[0; 8]))));
        rig.run();
        assert_eq!(rig.count("filter.first-fragment-unknown"), 5);
        for number in 0..100 {
            rig.wire("in").feed(number % workers, [frame(30 + number % 30, number as u32)]);
        }
        rig.run();
        let sent = rig.wire("out").take_sent();
        assert_eq!(sent.len(), 100);
        assert!(sent.iter().all(|sent| sent.worker == label(&sent.bytes).1 as usize % workers), "{workers} workers");
        rig.check();
    }
}

/// A table that keeps no sessions goes on without: what would need them is refused, and changes nothing.
#[test]
fn rules_that_reflect_do_not_come_by_command_where_nothing_is_remembered() {
    let lacks = "the table keeps no sessions: give it `sessions: {}`";
    for (command, expected) in [
        (r#"{"add": {"rule": {"action": "permit+reflect"}}}"#, format!("rule.action: {lacks}")),
        (r#"{"replace": {"rules": [{"action": "permit"}, {"action": "permit+reflect"}]}}"#, format!("rules[1].action: {lacks}")),
    ] {
        let mut rig = Rig::new(&graph(2, PORTS));
        let before = rig.engine().command("rules", r#"{"hits": {}}"#).expect("an answer");
        assert_eq!(rig.engine().command("rules", command).unwrap_err().to_string(), expected);
        assert_eq!(rig.engine().command("rules", r#"{"hits": {}}"#).expect("an answer"), before);
        // One that keeps them from the start takes it.
        let mut rig = Rig::new(&graph(2, &format!("sessions: {{}}, {PORTS}")));
        rig.engine().command("rules", command).expect("it is taken");
    }
}
