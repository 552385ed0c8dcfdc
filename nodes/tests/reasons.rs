//! What nodes say of why they decide so, as `swath explain` and `swath trace` show it.

mod common;

use std::collections::BTreeSet;

use common::Rig;
use common::frames::{SENDER, ethernet, header, mac, packet};
use etherparse::{PacketBuilder, TcpOptionElement};
use swath_api::wire::MacAddr;
use swath_core::run::{Order, Seen, What};

/// A graph of one node between two interfaces, or three.
fn said(nodes: &str, tables: &str, interface: &str, frame: &[u8]) -> Vec<(String, String, String)> {
    let mut rig = Rig::new(&format!(
        "
version: 1
interfaces:
  a: {{ driver: test, mac: 02:00:00:00:00:01, addresses: [10.0.0.1/24] }}
  b: {{ driver: test, mac: 02:00:00:00:00:02, addresses: [10.0.1.1/24], mtu: 600 }}
  c: {{ driver: test, mac: 02:00:00:00:00:03 }}
{tables}
nodes:
  a-rx: {{ kind: rx, interface: a, to: first }}
  b-rx: {{ kind: rx, interface: b, to: first }}
  c-rx: {{ kind: rx, interface: c, to: first }}
{nodes}
"
    ));
    let seen = rig.engine().explain(interface, frame).expect("a packet that can be explained");
    seen.into_iter().map(|seen| (seen.node, seen.edge, seen.note)).collect()
}

/// What a node says of an IPv4 packet that comes in by `a`.
fn of_packet(node: &str, tables: &str, bytes: &[u8]) -> (String, String) {
    let nodes = format!("  first: {{ kind: ethernet-input, to: {{ ip4: it }} }}\n  it: {node}\n  end: {{ kind: drop }}");
    let said = said(&nodes, tables, "a", &ethernet(mac(1), 0x0800, bytes));
    let (_, edge, note) = said.into_iter().find(|(node, ..)| node == "it").expect("the packet comes to the node");
    (edge, note)
}

fn good() -> Vec<u8> {
    packet(header([8, 8, 8, 8], 64, 40), &[])
}

#[test]
fn ip4_input_says_what_is_wrong_with_a_header() {
    let changed = |at: usize, bytes: &[u8]| {
        let mut packet = good();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        packet
    };
    let sum = u16::from_be_bytes([good()[10], good()[11]]);
    let martian = |source: [u8; 4]| {
        let mut header = header([8, 8, 8, 8], 64, 40);
        header.source = source;
        packet(header, &[])
    };
    let table = [
        ("{}", good(), "ok", String::new()),
        ("{}", good()[..12].to_vec(), "too-short", "12 bytes, where a header has 20".into()),
        ("{}", good()[..30].to_vec(), "too-short", "30 bytes, where the header says 60".into()),
        ("{}", changed(0, &[0x65]), "bad-version", "version 6".into()),
        ("{}", changed(0, &[0x43]), "bad-header-length", "a header of 12 bytes".into()),
        ("{}", changed(2, &[0, 19]), "bad-length", "19 bytes in all, 20 of them the header".into()),
        ("{}", changed(10, &[0xbe, 0xef]), "bad-checksum", format!("checksum 0xbeef, where {sum:#06x} is right")),
        ("{}", martian([127, 0, 0, 1]), "martian-source", "from 127.0.0.1".into()),
        ("{ martians: special }", martian([192, 0, 2, 1]), "special-purpose", "from 192.0.2.1 to 8.8.8.8".into()),
        ("{ options: separate }", packet(header([8, 8, 8, 8], 64, 40), &[148, 4, 0, 0]), "options", "4 bytes of options".into()),
    ];
    for (settings, bytes, edge, note) in table {
        let node = settings.replacen('{', "{ kind: ip4-input, to: { ok: end },", 1);
        assert_eq!(of_packet(&node, "", &bytes), (edge.into(), note));
    }
}

#[test]
fn ip4_options_says_which_there_are() {
    let tables = "tables: { neighbours: { kind: neighbours }, routes: { kind: fib4, interfaces: [a, b] } }";
    let node = "{ kind: ip4-options, source-route: process, to: { ok: end } }";
    for (destination, options, edge, note) in [
        ([8, 8, 8, 8], &[148, 4, 0, 0][..], "ok", "router alert"),
        ([8, 8, 8, 8], &[7, 7, 4, 0, 0, 0, 0, 0], "ok", "record route"),
        ([8, 8, 8, 8], &[0x55, 4, 0, 0, 148, 4, 0, 0], "ok", "option 85, router alert"),
        ([8, 8, 8, 8], &[148, 44, 0, 0], "parameter-problem", "byte 21 of the header cannot be understood"),
        // By the router itself to where no route leads.
        ([10, 0, 0, 1], &[131, 7, 4, 9, 9, 9, 9, 0], "source-route-failed", "loose source route"),
    ] {
        assert_eq!(of_packet(node, tables, &packet(header(destination, 64, 40), options)), (edge.into(), note.into()));
    }
}

#[test]
fn switch_says_by_which_interface() {
    let frame = ethernet(mac(1), 0x0800, &good());
    for (by, interface, edge, note) in [
        ("rx-interface", "a", "a", "received by a"),
        ("rx-interface", "b", "default", "received by b"),
        ("tx-interface", "a", "default", "to leave by no interface"),
    ] {
        let node = format!("  first: {{ kind: switch, by: {by}, to: {{ a: end, default: end }} }}\n  end: {{ kind: drop }}");
        let said = said(&node, "", interface, &frame);
        assert_eq!((said[1].1.as_str(), said[1].2.as_str()), (edge, note));
    }
}

#[test]
fn tcp_mss_says_what_fits() {
    let segment = |options: &[TcpOptionElement]| {
        let builder = PacketBuilder::ipv4([10, 0, 0, 9], [8, 8, 8, 8], 64).tcp(4000, 80, 7, 1024).syn();
        let mut bytes = Vec::new();
        builder.options(options).unwrap().write(&mut bytes, b"").unwrap();
        bytes
    };
    let node = "{ kind: tcp-mss, max: 1400, to: end }";
    for (bytes, note) in [
        (segment(&[TcpOptionElement::MaximumSegmentSize(1460)]), "segments of up to 1400 bytes, 1400 bytes fit"),
        (segment(&[TcpOptionElement::MaximumSegmentSize(900)]), "segments of up to 900 bytes, 1400 bytes fit"),
        (segment(&[]), "it says nothing of its segments, 1400 bytes fit"),
        (good(), ""),
    ] {
        assert_eq!(of_packet(node, "", &bytes), ("ok".into(), note.into()));
    }
}

#[test]
fn marks_are_told() {
    let frame = ethernet(mac(1), 0x0800, &good());
    let painted = "  first: { kind: paint, color: 7, to: check }
  check: { kind: check-paint, colors: { voice: 3, bulk: 7 }, to: { voice: end, bulk: again } }
  again: { kind: paint, color: 9, to: last }
  last:  { kind: check-paint, colors: { voice: 3 }, to: { voice: count, other: count } }
  count: { kind: counter, to: end }
  end:   { kind: drop }";
    let notes: Vec<String> =
        said(painted, "", "a", &frame).into_iter().map(|(node, edge, note)| format!("{node}.{edge} {note}")).collect();
    let expected = [
        "a-rx.out ",
        "first.ok painted 7",
        "check.bulk painted 7",
        "again.ok painted 9",
        "last.other painted 9",
        "count.ok counted",
    ];
    assert_eq!(notes[..6], expected);
    for (dscp, note) in [
        (0, "marked CS0 (0)"),
        (46, "marked EF (46)"),
        (34, "marked AF41 (34)"),
        (14, "marked AF13 (14)"),
        (48, "marked CS6 (48)"),
        (1, "marked LE (1)"),
        (44, "marked VOICE-ADMIT (44)"),
        (42, "marked DSCP 42"),
        (63, "marked DSCP 63"),
    ] {
        let node = format!("{{ kind: ip4-dscp, dscp: {dscp}, to: end }}");
        assert_eq!(of_packet(&node, "", &good()), ("ok".into(), note.into()));
    }
    let short = "{ kind: ip4-dscp, dscp: 46, to: end }";
    assert_eq!(of_packet(short, "", &[0x45; 12]), ("too-short".into(), "12 bytes, where a header has 20".into()));
}

#[test]
fn ethernet_mirror_says_whom_it_is_for_now() {
    let nodes = "  first: { kind: ethernet-mirror, to: end }\n  end: { kind: drop }";
    let frame = ethernet(mac(1), 0x0800, &good());
    let turned = said(nodes, "", "a", &frame);
    let source = MacAddr::from(SENDER);
    let note = format!("back to {source}, as from 02:00:00:00:00:01");
    assert_eq!(turned[1], ("first".into(), "ok".into(), note));
    let short = said(nodes, "", "a", &frame[..13]);
    assert_eq!(short[1], ("first".into(), "too-short".into(), "13 bytes, where a header has 14".into()));
}

#[test]
fn handoff_says_who_gets_the_packet_and_by_what() {
    let graph = |workers: usize, layer: &str| {
        format!(
            "version: 1
engine: {{ workers: {workers} }}
interfaces: {{ a: {{ driver: test }} }}
nodes:
  rx:  {{ kind: rx, interface: a, to: it }}
  it:  {{ kind: handoff, layer: {layer}, to: end }}
  end: {{ kind: drop }}
"
        )
    };
    let flow = |last: u8| {
        let mut header = header([8, 8, 8, last], 64, 40);
        header.source = [10, 0, 0, last];
        ethernet(mac(1), 0x0800, &packet(header, &[]))
    };
    let no_flow = ethernet(mac(1), 0x0806, &[0; 28]);
    // Explained and followed, the same; and what is said is where it goes.
    for (workers, layer, frames) in
        [(1, "ethernet", vec![flow(1)]), (2, "ethernet", (0..20).map(flow).chain([no_flow]).collect()), (2, "ip", vec![flow(1)])]
    {
        let mut told = BTreeSet::new();
        for frame in frames {
            let mut rig = Rig::new(&graph(workers, layer));
            let explained = rig.engine().explain("a", &frame).unwrap();
            let order = Order { what: What::Trace(None), filter: None, count: 0, snap: 128 };
            let mut sightings = rig.engine().probe(order).unwrap();
            rig.feed("a", [frame]);
            rig.run();
            let mut followed = sightings.take(100);
            followed.sort_by_key(|seen| seen.hop);
            let of =
                |seen: &[Seen]| seen.iter().map(|seen| (seen.node.clone(), seen.note.clone(), seen.worker)).collect::<Vec<_>>();
            assert_eq!(of(&explained), of(&followed));
            assert_eq!(explained[1].node, "it");
            told.insert((explained[1].note.clone(), explained[2].worker));
        }
        let expected = match (workers, layer) {
            (1, _) => vec![("there is one worker", 0)],
            (_, "ip") => vec![("it stays on worker 0, it has no flow", 0)],
            _ => vec![
                ("it stays on worker 0, by the hash of its flow", 0),
                ("it stays on worker 0, it has no flow", 0),
                ("worker 1 owns it, by the hash of its flow", 1),
            ],
        };
        let expected: BTreeSet<_> = expected.into_iter().map(|(note, worker)| (note.to_owned(), worker)).collect();
        assert_eq!(told, expected);
    }
}

/// What the node `it` has said of packets that are followed from `a`.
fn traced(tables: &str, nodes: &str, frames: &[Vec<u8>]) -> Vec<(String, String)> {
    let mut rig = Rig::new(&format!(
        "
version: 1
interfaces:
  a: {{ driver: test, mac: 02:00:00:00:00:01 }}
  b: {{ driver: test, mac: 02:00:00:00:00:02 }}
  c: {{ driver: test, mac: 02:00:00:00:00:03 }}
{tables}
nodes: {{ {nodes} }}
"
    ));
    let order = Order { what: What::Trace(Some("a".into())), filter: None, count: 100, snap: 128 };
    let mut sightings = rig.engine().probe(order).unwrap();
    rig.feed("a", frames.iter().cloned());
    rig.run();
    let seen = sightings.take(1000).into_iter().filter(|seen| seen.node == "it");
    seen.map(|seen| (seen.edge, seen.note)).collect()
}

#[test]
fn copies_are_told() {
    let frame = [ethernet(mac(9), 0x0800, &good())];
    let tee =
        "rx: { kind: rx, interface: a, to: it }, it: { kind: tee, to: { out: end, one: end, two: end } }, end: { kind: drop }";
    assert_eq!(traced("", tee, &frame), [("out".into(), "2 copies go by the other edges".into())]);
    let bridge = "tables: { bridge: { kind: bridge, interfaces: [a, b, c] } }";
    let flood = "rx: { kind: rx, interface: a, to: it }, it: { kind: bridge-flood, to: end }, end: { kind: drop }";
    assert_eq!(traced(bridge, flood, &frame), [("ok".into(), "a copy to b, the frame itself to c".into())]);
}

#[test]
fn round_robin_says_whose_turn_it_was() {
    let ways =
        "rx: { kind: rx, interface: a, to: it }, it: { kind: round-robin, to: { p: end, q: end, r: end } }, end: { kind: drop }";
    let frames = [(); 4].map(|()| ethernet(mac(9), 0x0800, &good()));
    let turns = [("p", "turn 1 of 3"), ("q", "turn 2 of 3"), ("r", "turn 3 of 3"), ("p", "turn 1 of 3")];
    assert_eq!(traced("", ways, &frames), turns.map(|(edge, note)| (edge.into(), note.into())));
    let explained = said("  first: { kind: round-robin, to: { p: end, q: end } }\n  end: { kind: drop }", "", "a", &frames[0]);
    assert_eq!(explained[1], ("first".into(), "p".into(), "turn 1 of 2".into()));
}

#[test]
fn ip4_reassembly_says_which_part_of_which_datagram() {
    let fragment = |offset: u16, more: bool| {
        let mut header = header([10, 0, 0, 1], 64, 48);
        header.identification = 77;
        header.dont_fragment = false;
        header.more_fragments = more;
        header.fragment_offset = (offset / 8).try_into().unwrap();
        packet(header, &[])
    };
    let nodes =
        "eth: { kind: ethernet-input, to: { ip4: it } }, it: { kind: ip4-reassembly, to: { ok: end } }, end: { kind: drop }";
    let frames = [fragment(48, false), fragment(0, true), good()].map(|bytes| ethernet(mac(1), 0x0800, &bytes));
    let notes = traced("", &format!("rx: {{ kind: rx, interface: a, to: eth }}, {nodes}"), &frames);
    let expected = [("collected", "bytes 48 to 96 and last of datagram 77"), ("ok", "whole, 116 bytes"), ("ok", "whole, 60 bytes")];
    assert_eq!(notes, expected.map(|(edge, note)| (edge.into(), note.into())));
}
