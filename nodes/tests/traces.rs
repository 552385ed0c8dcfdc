//! Packets that are followed, whatever becomes of them: kept and let go, handed to another worker, thrown away; and chunks that have another packet then.

mod common;

use common::Rig;
use common::frames::{ethernet, header, mac, packet};
use swath_core::run::{Engine, Fate, Order, Seen, Sightings, What};

const SECOND: u64 = 1_000_000_000;

fn follow(engine: &mut Engine) -> Sightings {
    engine.probe(Order { what: What::Trace(Some("a".into())), filter: None, count: 0, snap: 128 }).unwrap()
}

/// Of each packet its way: `node.edge`, with the words behind it where there are any. Hops are numbered without a gap.
fn ways(seen: Vec<Seen>) -> Vec<Vec<String>> {
    let mut ways: Vec<Vec<Seen>> = Vec::new();
    for one in seen {
        let number = one.packet as usize;
        ways.resize(ways.len().max(number), Vec::new());
        ways[number - 1].push(one);
    }
    let in_words = |mut way: Vec<Seen>| {
        way.sort_by_key(|one| one.hop);
        assert_eq!(way.iter().map(|one| one.hop).collect::<Vec<_>>(), (0..way.len() as u32).collect::<Vec<_>>(), "{way:#?}");
        way.iter().map(|one| format!("{}.{} {}", one.node, one.edge, one.note).trim_end().to_owned()).collect()
    };
    ways.into_iter().map(in_words).collect()
}

fn ip4(destination: [u8; 4]) -> Vec<u8> {
    ethernet(mac(1), 0x0800, &packet(header(destination, 64, 40), &[]))
}

const ROUTER: &str = "
version: 1
interfaces:
  a: { driver: test, mac: 02:00:00:00:00:01, addresses: [10.0.0.1/24] }
  b: { driver: test, mac: 02:00:00:00:00:02, addresses: [10.0.1.1/24] }
tables:
  neighbours: { kind: neighbours, retries: 1 }
  routes: { kind: fib4 }
nodes:
  a-rx:    { kind: rx, interface: a, to: eth }
  b-rx:    { kind: rx, interface: b, to: eth }
  eth:     { kind: ethernet-input, to: { ip4: lookup, arp: arp } }
  arp:     { kind: arp-input, to: { reply: tx } }
  lookup:  { kind: ip4-lookup, to: rewrite }
  rewrite: { kind: ip4-rewrite, to: { ok: tx, unresolved: resolve } }
  resolve: { kind: ip4-resolve, to: { resolved: tx, request: tx } }
  tx:      { kind: tx }
";

#[test]
fn a_packet_that_waits_for_its_neighbour_is_followed_to_the_end() {
    let mut rig = Rig::new(ROUTER);
    let mut sightings = follow(rig.engine());
    rig.feed("a", [ip4([10, 0, 1, 7]), ip4([10, 0, 1, 8])]);
    rig.engine().step_until(0);
    let all = sightings.take(100);
    let kept = all.iter().find(|seen| seen.fate == Fate::Held).expect("it is told that the packet is kept");
    assert_eq!((kept.length, kept.layer, &kept.bytes[16..20], kept.leaves.as_deref()), (60, "ip4", &[10, 0, 1, 7][..], Some("b")));
    let way = |last: u8| {
        let waits = format!("resolve.held neighbour 10.0.1.{last} has not answered 1 ARP request yet");
        let route = "lookup.forward route 10.0.1.0/24, connected to b".to_owned();
        vec!["a-rx.out".to_owned(), "eth.ip4".to_owned(), route, "rewrite.unresolved".to_owned(), waits]
    };
    let short = |mut ways: Vec<Vec<String>>| {
        // What look-up and rewrite say is others' business here.
        ways.iter_mut().for_each(|way| {
            way.iter_mut()
                .filter(|hop| !hop.starts_with("re") || hop.starts_with("rewrite"))
                .for_each(|hop| hop.truncate(hop.find(' ').unwrap_or(hop.len())))
        });
        ways
    };
    assert_eq!(short(ways(all)), short(vec![way(7), way(8)]));
    // One neighbour answers.
    let message = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &mac(7), &[10, 0, 1, 7], &mac(2), &[10, 0, 1, 1]].concat();
    rig.feed("b", [ethernet(mac(2), 0x0806, &message)]);
    rig.engine().step_until(SECOND / 2);
    let mut released = sightings.take(100);
    released.sort_by_key(|seen| seen.hop);
    let told: Vec<_> =
        released.iter().map(|seen| (seen.packet, seen.hop, format!("{}.{} {}", seen.node, seen.edge, seen.note))).collect();
    assert_eq!(told, [(1, 5, "resolve.resolved to 02:00:00:00:00:07".into()), (1, 6, "tx.sent ".into())]);
    // The other one does not: its packet is dropped, by name.
    rig.engine().step_until(10 * SECOND);
    let failed = sightings.take(100);
    let told: Vec<_> =
        failed.iter().map(|seen| (seen.packet, seen.hop, seen.node.as_str(), seen.edge.as_str(), seen.fate)).collect();
    assert_eq!(told, [(2, 5, "resolve", "failed", Fate::Dropped)]);
    rig.check();
}

#[test]
fn a_packet_that_is_kept_goes_on_in_the_graph_that_comes() {
    let mut rig = Rig::new(ROUTER);
    let mut sightings = follow(rig.engine());
    rig.feed("a", [ip4([10, 0, 1, 7])]);
    rig.engine().step_until(0);
    assert_eq!(sightings.take(100).len(), 5);
    // All nodes have other places then.
    let other =
        ROUTER.replace("ip4: lookup", "ip4: count").replace("  arp:  ", "  count:   { kind: counter, to: lookup }\n  arp:  ");
    rig.apply(&other).unwrap();
    let message = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &mac(7), &[10, 0, 1, 7], &mac(2), &[10, 0, 1, 1]].concat();
    rig.feed("b", [ethernet(mac(2), 0x0806, &message)]);
    rig.engine().step_until(SECOND / 2);
    let told: Vec<_> =
        sightings.take(100).iter().map(|seen| (seen.packet, seen.hop, format!("{}.{}", seen.node, seen.edge))).collect();
    assert_eq!(told, [(1, 5, "resolve.resolved".into()), (1, 6, "tx.sent".into())]);
    assert_eq!(rig.engine().ledger().discrepancies(), Vec::<String>::new());
}

/// `node` keeps the packets of `a`; `make` makes one each second.
fn keeper(buffers: usize, node: &str) -> String {
    format!(
        "
version: 1
engine: {{ buffers: {buffers} }}
interfaces:
  a: {{ driver: test }}
  b: {{ driver: test }}
nodes:
  rx:    {{ kind: rx, interface: a, to: it }}
  it:    {{ {node}, to: {{ out: tx }} }}
  make:  {{ kind: make, count: 300, every: {SECOND}, interface: b, to: count }}
  count: {{ kind: counter, to: tx }}
  tx:    {{ kind: tx, interface: b }}
"
    )
}

#[test]
fn who_never_comes_out_leaves_nothing_behind() {
    let mut rig = Rig::new(&keeper(1024, "kind: forget"));
    let mut sightings = follow(rig.engine());
    rig.feed("a", (0..1000).map(|_| ip4([10, 0, 1, 7])));
    rig.engine().step_until(0);
    let kept = ways(sightings.take(10_000));
    assert_eq!(kept.len(), 1000);
    // A vector of 256, which the next one throws away with itself.
    assert!(kept.iter().all(|way| way[..] == ["rx.out", "it.kept"]), "{kept:#?}");
    assert!(rig.count("it.held-dropped") > 0);
    // Their chunks have packets that nobody follows, by and by all of them.
    for second in 1..10 {
        rig.engine().step_until(second * SECOND);
    }
    assert!(rig.count("make+made") >= 2048);
    assert_eq!(sightings.take(10_000), []);
    rig.feed("a", [ip4([10, 0, 1, 7])]);
    rig.engine().step_until(20 * SECOND);
    assert_eq!(
        sightings.take(10_000).iter().map(|seen| (seen.packet, seen.hop)).collect::<Vec<_>>(),
        [(1001, 0), (1001, 1), (1001, 2)]
    );
}

#[test]
fn a_packet_in_the_chunk_of_another_one_is_not_taken_for_it() {
    // Kept packets of a node that is gone go home by the control side; what a node makes is given their chunks.
    let mut rig = Rig::new(&keeper(1024, "kind: keep, count: 1000, every: 1000000000000"));
    let mut sightings = follow(rig.engine());
    rig.feed("a", (0..1000).map(|_| ip4([10, 0, 1, 7])));
    rig.engine().step_until(0);
    assert_eq!(sightings.take(10_000).iter().filter(|seen| seen.fate == Fate::Held).count(), 1000);
    rig.apply(&keeper(1024, "kind: pass")).unwrap();
    assert_eq!(rig.count("it.held-dropped"), 0);
    for second in 1..12 {
        rig.engine().step_until(second * SECOND);
    }
    assert_eq!(sightings.take(10_000), []);
    assert_eq!(rig.engine().ledger().discrepancies(), Vec::<String>::new());
}

#[test]
fn a_full_ring_between_workers_is_told() {
    let mut rig = Rig::new(
        "
version: 1
engine: { workers: 2, buffers: 4096 }
interfaces:
  a: { driver: test, batch: 50 }
  b: { driver: test }
nodes:
  rx:    { kind: rx, interface: a, to: it }
  it:    { kind: handoff, layer: ethernet, to: count }
  count: { kind: counter, to: tx }
  tx:    { kind: tx, interface: b }
",
    );
    let mut sightings = follow(rig.engine());
    // One flow, of the other worker.
    let frame = (0..=255).map(|last| ip4([10, 0, 1, last])).find(|frame| {
        let explained = rig.engine().explain("a", frame).unwrap();
        explained[1].note.starts_with("worker 1 owns it")
    });
    let frame = frame.expect("a flow of the other worker");
    rig.feed("a", (0..1100).map(|_| frame.clone()));
    // The other worker stands still, and its ring has room for a quarter of the buffers.
    let mut seen = Vec::new();
    for now in 0..50 {
        rig.engine().graphs_mut()[0].sweep(now);
        seen.extend(sightings.take(10_000));
    }
    let full = rig.count("it.handoff-full");
    assert_eq!(full, 1100 - 1024);
    rig.run();
    seen.extend(sightings.take(100_000));
    assert_eq!(sightings.missed(), 0);
    let ways = ways(seen);
    assert_eq!(ways.len(), 1100);
    let words = "it.out worker 1 owns it, by the hash of its flow";
    let (dropped, sent): (Vec<_>, Vec<_>) = ways.into_iter().partition(|way| way.last().unwrap() == "it.handoff-full");
    assert_eq!((dropped.len() as u64, sent.len() as u64), (full, 1100 - full));
    assert!(dropped.iter().all(|way| way[..] == ["rx.out", words, "it.handoff-full"]), "{:#?}", dropped[0]);
    assert!(sent.iter().all(|way| way[..] == ["rx.out", words, "count.ok counted", "tx.sent"]), "{:#?}", sent[0]);
    rig.check();
}
