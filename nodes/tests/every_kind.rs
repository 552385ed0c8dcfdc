//! What `swath explain` and `swath trace` say at each kind of node there is. A kind that is new fails here until it has a place in the list.

mod common;

use std::collections::BTreeSet;

use common::Rig;
use common::frames::{SENDER, ethernet, header, mac, packet};
use etherparse::{PacketBuilder, TcpOptionElement};
use swath_core::run::{Fate, Order, Seen, What};

/// Kinds whose edge is the whole decision, with nothing to add to it: `rx` receives, `tx` sends by the interface that is told beside it, and `drop`
/// drops.
const EDGE_IS_ALL: [&str; 3] = ["rx", "tx", "drop"];

/// A packet at a node `it` of a kind: the kind, tables, the other nodes and `it` itself, the frame that comes in by `a`, the edge by which it leaves;
/// and the words, of an explanation and of a packet that is followed.
struct Case {
    kind: &'static str,
    tables: &'static str,
    nodes: &'static str,
    frame: Vec<u8>,
    edge: &'static str,
    words: [&'static str; 2],
}

const NEIGHBOURS: &str = "neighbours: { kind: neighbours, interfaces: [a, b] }";
const TABLES: &str =
    "neighbours: { kind: neighbours, interfaces: [a, b], static: [{ address: 10.0.1.9, mac: '02:00:00:00:00:09' }] },
  routes: { kind: fib4, interfaces: [a, b], routes: [{ prefix: 8.0.0.0/8, via: 10.0.1.9 }] }";
const BRIDGE: &str = "bridge: { kind: bridge, interfaces: [a, b, c] }";

/// A datagram that the router `a` of 10.0.0.1 receives.
fn udp(source: [u8; 4], destination: [u8; 4], payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(source, destination, 64).udp(4000, 53).write(&mut bytes, &vec![0; payload]).unwrap();
    ethernet(mac(1), 0x0800, &bytes)
}

fn arp(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let message = [&[0, 1, 8, 0, 6, 4, 0, operation][..], &SENDER, &sender, &[0; 6], &target].concat();
    ethernet(mac(1), 0x0806, &message)
}

fn cases() -> Vec<Case> {
    const HOST: [u8; 4] = [10, 0, 0, 9];
    const FAR: [u8; 4] = [8, 8, 8, 8];
    let plain = || udp(HOST, FAR, 12);
    let fragment = {
        let mut header = header([10, 0, 0, 1], 64, 48);
        (header.identification, header.dont_fragment, header.more_fragments) = (77, false, true);
        ethernet(mac(1), 0x0800, &packet(header, &[]))
    };
    let large = {
        let mut header = header(FAR, 64, 1000);
        header.dont_fragment = false;
        ethernet(mac(1), 0x0800, &packet(header, &[]))
    };
    let syn = {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4(HOST, FAR, 64).tcp(4000, 80, 7, 1024).syn();
        builder.options(&[TcpOptionElement::MaximumSegmentSize(1460)]).unwrap().write(&mut bytes, b"").unwrap();
        ethernet(mac(1), 0x0800, &bytes)
    };
    let of = |kind, tables, nodes, frame, edge, words| Case { kind, tables, nodes, frame, edge, words: [words, words] };
    let both = |kind, tables, nodes, frame, edge, words| Case { kind, tables, nodes, frame, edge, words };
    vec![
        of("rx", "", "it: { kind: rx, interface: a, to: end }", plain(), "out", ""),
        of(
            "ethernet-input",
            "",
            "rx: RX, it: { kind: ethernet-input, to: { ip4: end } }",
            ethernet(mac(9), 0x0800, &[]),
            "not-ours",
            "for 02:00:00:00:00:09, where the interface is 02:00:00:00:00:01",
        ),
        both(
            "arp-input",
            NEIGHBOURS,
            "rx: ETH, it: { kind: arp-input, to: { reply: end } }",
            arp(1, HOST, [10, 0, 0, 1]),
            "reply",
            [
                "10.0.0.9 (02:00:00:00:00:77) asks for 10.0.0.1 on a, neighbour 10.0.0.9 is 02:00:00:00:00:77, which is learnt",
                "10.0.0.1 is 02:00:00:00:00:01, by a",
            ],
        ),
        of(
            "ip4-input",
            "",
            "rx: ETH, it: { kind: ip4-input, to: end }",
            ethernet(mac(1), 0x0800, &[0x45; 12]),
            "too-short",
            "12 bytes, where a header has 20",
        ),
        of(
            "ip4-options",
            TABLES,
            "rx: ETH, it: { kind: ip4-options, to: end }",
            ethernet(mac(1), 0x0800, &packet(header(FAR, 64, 40), &[148, 4, 0, 0])),
            "ok",
            "router alert",
        ),
        of(
            "deny",
            "list: { kind: deny-list, prefixes: [10.0.0.9/32] }",
            "rx: ETH, it: { kind: deny, to: end }",
            plain(),
            "source-listed",
            "source 10.0.0.9 is in the list",
        ),
        both(
            "acl-filter",
            "rules: { kind: acl, default: deny, rules: [{ action: permit, protocol: udp }] }",
            "rx: ETH, it: { kind: acl-filter, to: end }",
            plain(),
            "permitted",
            ["rule 1 permits it", "rule 1 permits it"],
        ),
        both(
            "nat44-out2in",
            "nat: { kind: nat44, inside: [b], static: [{ inside: 10.0.1.10, outside: 10.0.0.2 }] }",
            "rx: ETH, it: { kind: nat44-out2in, to: { ok: end, other: end } }",
            udp(HOST, [10, 0, 0, 2], 12),
            "ok",
            [
                "by the static mapping 10.0.1.10:53 = 10.0.0.2:53",
                "session 10.0.1.10:53 > 10.0.0.9:4000 udp (not answered), static 10.0.0.2:53 outside",
            ],
        ),
        of("ip4-dscp", "", "rx: ETH, it: { kind: ip4-dscp, dscp: 46, to: end }", plain(), "ok", "marked EF (46)"),
        of(
            "ip4-urpf",
            TABLES,
            "rx: ETH, it: { kind: ip4-urpf, to: end }",
            udp([10, 0, 1, 9], FAR, 12),
            "wrong-interface",
            "route back 10.0.1.0/24",
        ),
        of(
            "ip4-lookup",
            TABLES,
            "rx: ETH, it: { kind: ip4-lookup, to: end }",
            plain(),
            "forward",
            "route 8.0.0.0/8, via 10.0.1.9 by b",
        ),
        of(
            "tcp-mss",
            "",
            "rx: ETH, it: { kind: tcp-mss, max: 1400, to: end }",
            syn,
            "ok",
            "segments of up to 1400 bytes, 1400 bytes fit",
        ),
        both(
            "nat44-in2out",
            "nat: { kind: nat44, inside: [a], pool: ['10.0.1.1:20000-20000'], port-seed: 1 }",
            "rx: ETH, it: { kind: nat44-in2out, to: end }",
            plain(),
            "ok",
            [
                "a new session, with some free port of 10.0.1.1:20000-20000",
                "session 10.0.0.9:4000 > 8.8.8.8:53 udp (not answered), as 10.0.1.1:20000 outside",
            ],
        ),
        of("ip4-rewrite", TABLES, "rx: LOOKUP, it: { kind: ip4-rewrite, to: end }", plain(), "ok", "to 02:00:00:00:00:09, ttl 63"),
        both(
            "ip4-fragment",
            TABLES,
            "rx: LOOKUP, rewrite: { kind: ip4-rewrite, to: { ok: end, too-big: it } }, it: { kind: ip4-fragment, to: end }",
            large,
            "ok",
            ["1020 bytes, where the MTU is 600: 2 fragments, and this is the first", "the fragment of bytes 576 to 1000, the last"],
        ),
        both(
            "ip4-resolve",
            TABLES,
            "rx: LOOKUP, rewrite: { kind: ip4-rewrite, to: { ok: end, unresolved: it } }, it: { kind: ip4-resolve, to: { resolved: end, request: end } }",
            udp(HOST, [10, 0, 1, 7], 12),
            "held",
            ["neighbour 10.0.1.7 is not known, it is asked for by ARP", "neighbour 10.0.1.7 has not answered 1 ARP request yet"],
        ),
        both(
            "ip4-reassembly",
            "",
            "rx: ETH, it: { kind: ip4-reassembly, to: end }",
            fragment,
            "collected",
            ["48 bytes of datagram 77 from 192.168.1.10", "bytes 0 to 48 of datagram 77"],
        ),
        of(
            "ip4-local",
            "",
            "rx: ETH, it: { kind: ip4-local, to: { reply: end } }",
            udp(HOST, [10, 0, 0, 1], 12),
            "unreachable",
            "nobody listens at port 53 of 10.0.0.1",
        ),
        of(
            "icmp-error",
            "",
            "rx: ETH, it: { kind: icmp-error, cause: prohibited, to: end }",
            plain(),
            "ok",
            "ICMP type 3 code 13 to 10.0.0.9",
        ),
        of("punt", "", "rx: ETH, it: { kind: punt, interfaces: { a: c }, to: end }", plain(), "ok", "to the kernel by c"),
        both(
            "bridge-input",
            BRIDGE,
            "rx: RX, it: { kind: bridge-input, to: { forward: end, flood: end } }",
            ethernet(mac(9), 0x88b5, &[0; 46]),
            "flood",
            [
                "02:00:00:00:00:77 is learnt behind a, nobody knows where 02:00:00:00:00:09 is",
                "nobody knows where 02:00:00:00:00:09 is",
            ],
        ),
        of(
            "bridge-flood",
            BRIDGE,
            "rx: RX, it: { kind: bridge-flood, to: end }",
            ethernet(mac(9), 0x88b5, &[0; 46]),
            "ok",
            "a copy to b, the frame itself to c",
        ),
        of(
            "ethernet-mirror",
            "",
            "rx: RX, it: { kind: ethernet-mirror, to: end }",
            plain(),
            "ok",
            "back to 02:00:00:00:00:77, as from 02:00:00:00:00:01",
        ),
        of("switch", "", "rx: RX, it: { kind: switch, to: { a: end } }", plain(), "a", "received by a"),
        of(
            "classify",
            "",
            "rx: RX, it: { kind: classify, rules: [{ match: udp port 53, edge: dns }], to: { dns: end } }",
            plain(),
            "dns",
            "rule 1: udp port 53",
        ),
        of("hash-switch", "", "rx: RX, it: { kind: hash-switch, to: { one: end } }", plain(), "one", "hash bucket 9138 of 16384"),
        of("round-robin", "", "rx: RX, it: { kind: round-robin, to: { one: end, two: end } }", plain(), "one", "turn 1 of 2"),
        of("handoff", "", "rx: RX, it: { kind: handoff, to: end }", plain(), "out", "there is one worker"),
        of(
            "meter",
            "",
            "rx: RX, it: { kind: meter, bits: 8bps, burst: 10, to: end }",
            plain(),
            "exceeded",
            "54 bytes, and 10 may pass now",
        ),
        both(
            "tee",
            "",
            "rx: RX, it: { kind: tee, to: { out: end, copy: end } }",
            plain(),
            "out",
            ["1 copy goes by the other edge, of the 256 packets that a pass can make", "1 copy goes by the other edge"],
        ),
        of("paint", "", "rx: RX, it: { kind: paint, color: 7, to: end }", plain(), "ok", "painted 7"),
        of(
            "check-paint",
            "",
            "rx: RX, paint: { kind: paint, color: 7, to: it }, it: { kind: check-paint, colors: { voice: 7 }, to: { voice: end } }",
            plain(),
            "voice",
            "painted 7",
        ),
        of("counter", "", "rx: RX, it: { kind: counter, to: end }", plain(), "ok", "counted"),
        of("tx", "", "rx: RX, it: { kind: tx, interface: b }", plain(), "sent", ""),
        of("drop", "", "rx: RX, it: { kind: drop }", plain(), "dropped", ""),
    ]
}

/// The nodes of a case, written out.
fn nodes(case: &Case) -> String {
    let to = |node: &str| format!("{{ kind: rx, interface: a, to: {node} }}");
    let eth = |node: &str| {
        format!(
            "{}, eth: {{ kind: ethernet-input, to: {{ {}: {node} }} }}",
            to("eth"),
            if case.kind == "arp-input" { "arp" } else { "ip4" }
        )
    };
    let lookup = format!(
        "{}, lookup: {{ kind: ip4-lookup, to: {} }}",
        eth("lookup"),
        if case.nodes.contains("rewrite:") { "rewrite" } else { "it" }
    );
    let end = if case.nodes.contains("end") { ", end: { kind: drop }" } else { "" };
    case.nodes
        .replace("rx: RX", &format!("rx: {}", to(if case.nodes.contains("paint:") { "paint" } else { "it" })))
        .replace("rx: ETH", &format!("rx: {}", eth("it")))
        .replace("rx: LOOKUP", &format!("rx: {lookup}"))
        + end
}

#[test]
fn each_says_why_and_changes_nothing_when_it_is_asked() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let Case { kind, tables, frame, edge, words, .. } = case;
        let tables = if tables.is_empty() { String::new() } else { format!("tables: {{ {} }}", tables) };
        let rig = Rig::build(
            &format!(
                "
version: 1
interfaces:
  a: {{ driver: test, mac: 02:00:00:00:00:01, addresses: [10.0.0.1/24] }}
  b: {{ driver: test, mac: 02:00:00:00:00:02, addresses: [10.0.1.1/24], mtu: 600 }}
  c: {{ driver: test, mac: 02:00:00:00:00:03 }}
{tables}
nodes: {{ {} }}
",
                nodes(case)
            ),
            None,
            &[],
        );
        let mut rig = match rig {
            Ok(rig) => rig,
            Err(refusal) => {
                wrong.push(refusal);
                continue;
            }
        };
        let engine = rig.engine();
        let dump = |engine: &mut swath_core::run::Engine| {
            let names: Vec<String> = engine.plan().tables.iter().map(|table| table.spec.name.value.clone()).collect();
            let shown: Vec<_> =
                names.iter().map(|name| engine.ask(name, r#"{"show": {}}"#).map(|answer| answer.reply).ok()).collect();
            (engine.ledger(), engine.nodes(), shown)
        };
        let before = dump(engine);
        let [first, second] = [(); 2].map(|()| engine.explain("a", frame).unwrap());
        assert_eq!(dump(engine), before, "{kind}: to ask changes nothing");
        assert_eq!(first, second, "{kind}: nor what is said next");
        let order = Order { what: What::Trace(None), filter: None, count: 0, snap: 128 };
        let mut sightings = engine.probe(order).unwrap();
        rig.feed("a", [frame.clone()]);
        rig.run();
        let followed = sightings.take(1000);
        let at = |seen: &[Seen]| {
            let it =
                seen.iter().find(|seen| seen.node == "it").map(|seen| (seen.kind, seen.edge.clone(), seen.note.clone(), seen.fate));
            it.unwrap_or_else(|| ("", String::new(), format!("{seen:#?}"), Fate::NotSimulated))
        };
        for ((said_by, said, note, fate), words) in [at(&first), at(&followed)].into_iter().zip(words) {
            if (said_by, &*said, &*note) != (*kind, *edge, *words) || fate == Fate::NotSimulated {
                wrong.push(format!("{said_by} {said}: {note:?} {fate:?}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{wrong:#?}");
    let listed: BTreeSet<&str> = cases.iter().map(|case| case.kind).collect();
    let there: BTreeSet<&str> = swath_nodes::NODES.iter().map(|kind| kind.info().kind.as_str()).collect();
    assert_eq!(listed, there);
    let silent: Vec<&str> = cases.iter().filter(|case| case.words == ["", ""]).map(|case| case.kind).collect();
    assert_eq!(silent, EDGE_IS_ALL);
}
