//! What happens at the limits: no buffers, no room, nobody who takes a packet, nodes that keep, make and consume packets, and nodes
//! that fail. Both ledgers are exact throughout.

mod common;

use common::Rig;
use swath_api::VECTOR;

/// A graph between the interfaces `in` and `out`.
fn graph(interfaces: &str, nodes: &str) -> String {
    format!("version: 1\ninterfaces:\n  in: {{ driver: test }}\n  out: {{ driver: test{interfaces} }}\nnodes:\n{nodes}")
}

/// Packets of four bytes, numbered.
fn numbers(range: std::ops::Range<u32>) -> impl Iterator<Item = Vec<u8>> {
    range.map(|number| number.to_be_bytes().to_vec())
}

fn sent(rig: &Rig) -> Vec<u32> {
    rig.sent("out").iter().map(|frame| u32::from_be_bytes(frame[..].try_into().expect("a number"))).collect()
}

const STRAIGHT: &str = "  rx: { kind: rx, interface: in, to: tx }\n  tx: { kind: tx, interface: out }\n";

#[test]
fn packets_without_a_buffer_are_counted_at_their_rx() {
    let mut rig = Rig::with(&graph("", STRAIGHT), Some(100), &[]);
    rig.feed("in", numbers(0..256));
    rig.run();
    let ledger = rig.check();
    assert_eq!((ledger.received, ledger.sent), (256, 100));
    assert_eq!((rig.count("rx"), rig.count("rx.out"), rig.count("rx.out-of-buffers")), (256, 100, 156));
    assert_eq!(sent(&rig), Vec::from_iter(0..100));
    // Everything came back.
    rig.feed("in", numbers(0..100));
    rig.run();
    assert_eq!(rig.check().sent, 200);
    assert_eq!(rig.count("rx.out-of-buffers"), 156);
}

#[test]
fn a_ring_that_keeps_all_buffers_and_lets_them_go() {
    let mut rig = Rig::with(&graph(", ring: true", STRAIGHT), Some(300), &[]);
    rig.feed("in", numbers(0..300));
    rig.run();
    let ledger = rig.check();
    assert_eq!((ledger.sent, ledger.buffers.rings, ledger.buffers.free + ledger.buffers.cached), (300, 300, 0));
    for batch in 0..3 {
        rig.feed("in", numbers(0..10));
        rig.engine().step_until(batch);
        let ledger = rig.check();
        assert_eq!((ledger.received, ledger.sent), (310 + 10 * batch, 300));
    }
    // However many: what finds no buffer is lost, and what comes behind it is fetched all the same.
    rig.feed("in", numbers(0..1000));
    rig.run();
    let ledger = rig.check();
    assert_eq!((ledger.received, ledger.sent, rig.count("rx.out-of-buffers")), (1330, 300, 1030));
    rig.wire("out").drain_ring();
    rig.engine().step_until(10);
    assert_eq!(rig.check().buffers.rings, 0);
    rig.feed("in", numbers(1000..1300));
    rig.run();
    assert_eq!((rig.check().sent, rig.count("rx.out-of-buffers")), (600, 1030));
    assert_eq!(sent(&rig), Vec::from_iter((0..300).chain(1000..1300)));
}

#[test]
fn what_a_ring_does_not_take_is_dropped_as_ring_full() {
    let mut rig = Rig::new(&graph(", capacity: 30", STRAIGHT));
    rig.feed("in", numbers(0..600));
    rig.run();
    // Three vectors: 256, 256, 88.
    assert_eq!((rig.count("tx"), rig.count("tx.sent"), rig.count("tx.ring-full")), (600, 90, 510));
    assert_eq!(sent(&rig), Vec::from_iter((0..30).chain(256..286).chain(512..542)));
    rig.check();
    let mut rig = Rig::new(&graph(", capacity: 0", STRAIGHT));
    rig.feed("in", numbers(0..600));
    rig.run();
    assert_eq!((rig.check().sent, rig.count("tx.ring-full")), (0, 600));
}

#[test]
fn packets_that_nobody_has_given_an_interface() {
    let mut rig = Rig::new(&graph("", "  rx: { kind: rx, interface: in, to: tx }\n  tx: { kind: tx }\n"));
    rig.feed("in", numbers(0..300));
    rig.run();
    assert_eq!((rig.check().sent, rig.count("tx"), rig.count("tx.no-interface")), (0, 300, 300));
}

#[test]
fn copies_are_sent_or_counted() {
    let nodes = "
  rx: { kind: rx, interface: in, to: flood }
  flood: { kind: flood, count: 3, to: { a: tx } }
  tx: { kind: tx, interface: out }
";
    // One packet: three copies on each edge; `b` and `out` lead nowhere.
    let mut rig = Rig::new(&graph("", nodes));
    rig.feed("in", numbers(7..8));
    rig.run();
    assert_eq!(rig.check().made, 6);
    assert_eq!((rig.count("flood.a"), rig.count("flood.b"), rig.count("flood.out")), (3, 3, 1));
    assert_eq!(sent(&rig), [7, 7, 7]);
    // A full vector: 1536 attempts, 256 fit into a pass.
    rig.feed("in", numbers(0..256));
    rig.run();
    assert_eq!(rig.check().made, 6 + 1536);
    assert_eq!((rig.count("flood.a"), rig.count("flood.b"), rig.count("flood.inbox-full")), (3 + 128, 3 + 128, 1280));
    // The first packets have all their copies.
    assert_eq!(sent(&rig), Vec::from_iter((0..43).flat_map(|number| [number; 3]).take(128)));
    // 300 buffers: 44 copies, then there is no buffer.
    let mut rig = Rig::with(&graph("", nodes), Some(300), &[]);
    rig.feed("in", numbers(0..256));
    rig.run();
    assert_eq!(rig.check().made, 1536);
    assert_eq!((rig.count("flood.a") + rig.count("flood.b"), rig.count("flood.out-of-buffers")), (44, 1492));
}

#[test]
fn a_pass_makes_256_packets_in_all() {
    let nodes = "
  rx: { kind: rx, interface: in, to: first }
  first: { kind: flood, count: 1, to: { out: second, a: join, b: join } }
  second: { kind: flood, count: 1, to: { out: join, a: join, b: join } }
  join: { kind: pass, to: tx }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::new(&graph("", nodes));
    rig.feed("in", numbers(0..100));
    rig.run();
    // 200 by the first; of 200 by the second the room is left for 56.
    assert_eq!((rig.count("first+made"), rig.count("first.inbox-full")), (200, 0));
    assert_eq!((rig.count("second+made"), rig.count("second.inbox-full")), (200, 144));
    assert_eq!((rig.count("join"), rig.check().sent), (356, 356));
    // In an inbox with more than a vector the node is called as often as it takes.
    let calls = rig.engine().nodes().into_iter().find(|node| node.name == "join").map(|node| node.calls);
    assert_eq!(calls, Some(2));
    rig.feed("in", numbers(0..256));
    rig.run();
    assert_eq!((rig.count("join"), rig.check().sent), (356 + 512, 356 + 512));
    assert_eq!((rig.count("first.inbox-full"), rig.count("second.inbox-full")), (256, 144 + 512));
}

#[test]
fn packets_are_held_and_released_by_ticks() {
    let nodes = "
  rx: { kind: rx, interface: in, to: keep }
  keep: { kind: keep, count: 700, every: 1000, to: tx }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::new(&graph("", nodes));
    rig.feed("in", numbers(0..1000));
    rig.run();
    let ledger = rig.check();
    assert_eq!((ledger.held, ledger.buffers.held, ledger.sent), (700, 700, 0));
    assert_eq!((rig.count("keep.kept"), rig.count("keep.full")), (700, 300));
    // A tick releases as many as a pass takes, the oldest first.
    for (tick, left) in [(1, 444), (2, 188), (3, 0), (4, 0)] {
        rig.engine().step_until(tick * 1000);
        let ledger = rig.check();
        assert_eq!((ledger.held, ledger.buffers.held), (left, left), "tick {tick}");
    }
    assert_eq!(sent(&rig), Vec::from_iter(0..700));
    assert_eq!((rig.count("keep+released"), rig.count("keep.out"), rig.check().made), (700, 700, 0));
    // There is room again; what is held at the end comes back with the node.
    rig.feed("in", numbers(0..500));
    rig.run();
    assert_eq!(rig.check().held, 500);
}

#[test]
fn a_pool_that_is_held_empty_fills_again() {
    let nodes = "
  rx: { kind: rx, interface: in, to: keep }
  keep: { kind: keep, count: 100000, every: 1000, to: tx }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::with(&graph("", nodes), Some(64), &[]);
    for round in 1..20 {
        rig.feed("in", numbers(0..100));
        rig.engine().step_until(round * 1000);
        rig.check();
    }
    rig.engine().step_until(100_000);
    let ledger = rig.check();
    assert_eq!((ledger.received, ledger.held), (1900, 0));
    assert_eq!(ledger.sent + rig.count("rx.out-of-buffers"), 1900);
    assert!(ledger.sent > 64, "{ledger:?}");
}

#[test]
fn consumed_packets_are_no_drops() {
    let nodes = "
  rx: { kind: rx, interface: in, to: eat }
  eat: { kind: eat, to: tx }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::new(&graph("", nodes));
    rig.feed("in", numbers(0..1001));
    rig.run();
    let ledger = rig.check();
    assert_eq!((ledger.consumed, ledger.sent, ledger.dropped_total()), (500, 501, 0));
    assert_eq!(sent(&rig), Vec::from_iter((0..1001).filter(|number| number % 2 == 0)));
}

#[test]
fn packets_made_by_ticks() {
    let nodes = "
  few: { kind: make, count: 10, every: 1000, interface: out, to: tx }
  many: { kind: make, count: 300, every: 5000, interface: out, to: tx }
  tx: { kind: tx }
";
    let mut rig = Rig::new(&graph("", nodes));
    rig.engine().step_until(9_999);
    let ledger = rig.check();
    assert_eq!((rig.count("few+made"), rig.count("many+made")), (100, 600));
    // At 0 and 5 microseconds both tick, and share the room for 256.
    let both = |edge: &str| rig.count(&format!("few{edge}")) + rig.count(&format!("many{edge}"));
    assert_eq!((both(".out"), both(".inbox-full")), (8 * 10 + 2 * 256, 2 * 54));
    assert_eq!((ledger.made, ledger.sent), (700, 592));
    let mut rig = Rig::with(&graph("", nodes), Some(50), &[]);
    rig.engine().step_until(0);
    let both = |edge: &str| rig.count(&format!("few{edge}")) + rig.count(&format!("many{edge}"));
    assert_eq!((both(".out"), both(".inbox-full"), both(".out-of-buffers")), (50, 0, 260));
    rig.check();
}

#[test]
fn a_node_that_panics_is_out_of_service_and_the_rest_goes_on() {
    let nodes = "
  rx: { kind: rx, interface: in, to: fan }
  fan: { kind: fan, to: { out: tx, a: trip, b: tx, c: tx } }
  trip: { kind: trip, count: 10, to: { out: tx, a: tx } }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::new(&graph("", nodes));
    rig.feed("in", numbers(0..40));
    rig.run();
    let ledger = rig.check();
    assert_eq!((rig.count("trip"), rig.count("trip.out"), rig.count("trip.kept"), ledger.held), (10, 7, 3, 3));
    assert_eq!((rig.count("trip.a"), ledger.sent), (10, 30 + 7 + 10));
    // The eleventh: those of its vector are lost, but for what it had kept or copied before; none had been kept in this one.
    rig.feed("in", numbers(0..40));
    rig.run();
    let ledger = rig.check();
    assert_eq!((rig.count("trip"), rig.count("trip.fault"), rig.count("trip.out"), ledger.held), (20, 10, 7, 3));
    assert_eq!((rig.count("trip.a"), ledger.sent), (20, 47 + 30 + 10));
    // It is not called again.
    rig.feed("in", numbers(0..4000));
    rig.run();
    let ledger = rig.check();
    assert_eq!((rig.count("trip"), rig.count("trip.fault"), rig.count("trip.a")), (1020, 1010, 20));
    assert_eq!((ledger.sent, ledger.held), (87 + 3000, 3));
}

#[test]
fn a_panic_after_some_packets_were_kept() {
    let nodes = "
  rx: { kind: rx, interface: in, to: trip }
  trip: { kind: trip, count: 100, to: tx }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::new(&graph("", nodes));
    rig.feed("in", numbers(0..256));
    rig.run();
    // 33 of the first 100 were kept. The others have no decision; copies of all have been made.
    let ledger = rig.check();
    assert_eq!((rig.count("trip.kept"), rig.count("trip.fault"), rig.count("trip.a"), ledger.sent), (33, 223, 256, 0));
    assert_eq!((ledger.held, ledger.buffers.held), (33, 33));
}

#[test]
fn a_packet_that_was_only_said_to_be_held_is_a_fault() {
    let nodes = "
  rx: { kind: rx, interface: in, to: liar }
  liar: { kind: liar, to: tx }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::new(&graph("", nodes));
    rig.feed("in", numbers(0..101));
    rig.run();
    let ledger = rig.check();
    assert_eq!((rig.count("liar.fault"), rig.count("liar.kept"), ledger.held, ledger.sent), (50, 0, 0, 51));
    // All of a vector.
    rig.feed("in", numbers(0..2).filter(|number| number[3] == 1));
    rig.run();
    assert_eq!((rig.count("liar.fault"), rig.check().held), (51, 0));
}

#[test]
fn a_chain_of_300_nodes() {
    let mut nodes = "  rx: { kind: rx, interface: in, to: n0 }\n".to_string();
    // In the file backwards: the order in which they are visited is that of the edges.
    (0..300).rev().for_each(|at| {
        nodes += &format!("  n{at}: {{ kind: pass, to: {} }}\n", if at == 299 { "tx".into() } else { format!("n{}", at + 1) })
    });
    nodes += "  tx: { kind: tx, interface: out }\n";
    let mut rig = Rig::new(&graph("", &nodes));
    rig.feed("in", numbers(0..1000));
    rig.run();
    assert_eq!(sent(&rig), Vec::from_iter(0..1000));
    (0..300).for_each(|at| assert_eq!(rig.count(&format!("n{at}.out")), 1000));
    rig.check();
}

#[test]
fn fan_out_and_fan_in() {
    let nodes = "
  rx: { kind: rx, interface: in, to: copies }
  copies: { kind: flood, count: 1, to: { out: fan, a: fan, b: fan } }
  fan: { kind: fan, to: { out: p0, a: p1, b: p2, c: p3 } }
  p0: { kind: pass, to: join }
  p1: { kind: pass, to: p11 }
  p11: { kind: pass, to: join }
  p2: { kind: fan, to: { b: join } }
  p3: { kind: pass, to: join }
  join: { kind: pass, to: tx }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::new(&graph("", nodes));
    rig.feed("in", numbers(0..VECTOR as u32));
    rig.run();
    // 256 received and 256 made of 512 attempts: 128 packets have two copies, and all go through the inbox of `fan` at once.
    assert_eq!(
        (rig.count("copies+made"), rig.count("copies.inbox-full"), rig.count("fan"), rig.check().sent),
        (512, 256, 512, 512)
    );
    let sent = sent(&rig);
    for way in 0..4 {
        let through: Vec<u32> = sent.iter().copied().filter(|number| number % 4 == way).collect();
        // Both copies of a packet go to one node and keep the order in which they were made: next to each other.
        let copies = (0..128).filter(|number| number % 4 == way).flat_map(|number| [number, number]);
        let packets = (0..256).filter(|number| number % 4 == way);
        assert_eq!(through, packets.chain(copies).collect::<Vec<u32>>());
    }
}

#[test]
fn packets_that_a_node_kept_and_threw_away_are_counted() {
    let mut rig = Rig::new(&graph(
        "",
        "  rx: { kind: rx, interface: in, to: forget }\n  forget: { kind: forget, to: tx }\n  tx: { kind: tx, interface: out }\n",
    ));
    // Four vectors are kept and thrown away, one goes through.
    rig.feed("in", numbers(0..5 * VECTOR as u32));
    rig.run();
    let ledger = rig.check();
    assert_eq!((ledger.sent, ledger.held, ledger.dropped_total()), (VECTOR as u64, 0, 4 * VECTOR as u64));
    assert_eq!(rig.count("forget.held-dropped"), 4 * VECTOR as u64);
}
