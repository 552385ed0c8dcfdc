//! `graphs/bridge.yaml`, as it is shipped, on captures; and the two pairs of `rx` and `tx` that its text tells of.

mod common;

use std::path::Path;

use common::{Place, at, graph, records, said};
use serde_json::{Value, json};
use swath_io::text::TextPacket;

const SECOND: u64 = 1_000_000_000;
/// What all times are counted from.
const START: u64 = 1_700_000_000 * SECOND;

fn frame(from: u8, to: u8, more: &str) -> Vec<u8> {
    let text = format!("udp 10.0.0.{from}:1 > 10.0.0.{to}:2 src-mac 02:00:00:00:01:0{from} dst-mac 02:00:00:00:01:0{to} {more}");
    TextPacket::parse(&text).unwrap().frame()
}

fn eth(text: &str) -> Vec<u8> {
    TextPacket::parse(&format!("eth {text}")).unwrap().frame()
}

/// Replays the frames, each with its second and the interface that it comes in by; what leaves by each interface, and the report.
fn replay(graph: &Path, names: &[&str], frames: &[(u64, &str, Vec<u8>)]) -> (Vec<Vec<Vec<u8>>>, Value) {
    let place = Place::new();
    let mut arguments = vec!["replay".to_string(), graph.display().to_string(), "--report".into(), "-".into()];
    for name in names {
        let input = frames.iter().filter(|(_, interface, _)| interface == name);
        let input: Vec<(u64, &Vec<u8>)> = input.map(|(second, _, frame)| (START + second * SECOND, frame)).collect();
        if !input.is_empty() {
            arguments.extend(["--in".into(), at(name, &place.capture(&format!("{name}.pcap"), input))]);
        }
        arguments.extend(["--out".into(), at(name, &place.path(&format!("to-{name}.pcap")))]);
    }
    let said = said(&arguments);
    assert_eq!(said.code, 0, "{}", said.err);
    let out =
        names.iter().map(|name| records(&place.path(&format!("to-{name}.pcap"))).into_iter().map(|(_, frame)| frame).collect());
    (out.collect(), serde_json::from_str(&said.out).unwrap())
}

#[test]
fn the_bridge_that_is_shipped() {
    let first = frame(1, 2, "");
    let answer = frame(2, 1, "");
    let tagged = frame(1, 2, "vlan 5");
    let broadcast = eth("02:00:00:00:01:03 > ff:ff:ff:ff:ff:ff type 0x88b5 payload \"anybody?\"");
    let frames = [
        (0, "a", first.clone()),
        (1, "b", answer.clone()),
        (2, "a", first.clone()),
        // Each VLAN on its own.
        (3, "a", tagged.clone()),
        (4, "c", broadcast.clone()),
        (5, "c", frame(3, 3, "")),
        (6, "c", eth("02:00:00:00:01:03 > 01:80:c2:00:00:0e type 0x88cc")),
        (7, "c", eth("ff:ff:ff:ff:ff:ff > 02:00:00:00:01:01 type 0x88b5")),
        (8, "c", frame(3, 1, "")[..13].to_vec()),
        (9, "c", eth("02:00:00:00:01:03 > 02:00:00:00:00:0a type 0x88b5")),
        (10, "c", frame(3, 2, "len 1515")),
        // Silent since second 2, and since second 1.
        (302, "c", frame(3, 1, "")),
        (303, "c", frame(3, 2, "")),
    ];
    let (out, report) = replay(&graph("bridge.yaml"), &["a", "b", "c"], &frames);
    assert_eq!(out[0], [answer, broadcast.clone(), frame(3, 1, ""), frame(3, 2, "")]);
    assert_eq!(out[1], [first.clone(), first.clone(), tagged.clone(), broadcast, frame(3, 2, "")]);
    assert_eq!(out[2], [first, tagged]);
    let dropped = json!({"bridge": {"same-port": 1, "reserved": 1, "bad-source": 1, "too-short": 1, "local": 1, "too-big": 1}});
    assert_eq!(report["dropped"], dropped, "{report}");
}

#[test]
fn a_wire_of_two_pairs_of_rx_and_tx() {
    let place = Place::new();
    let graph = place.text(
        "wire.yaml",
        "version: 1
interfaces: { a: { driver: memory }, b: { driver: memory } }
nodes:
  a-rx: { kind: rx, interface: a, to: b-tx }
  b-tx: { kind: tx, interface: b }
  b-rx: { kind: rx, interface: b, to: a-tx }
  a-tx: { kind: tx, interface: a }
",
    );
    let lldp = eth("02:00:00:00:01:03 > 01:80:c2:00:00:0e type 0x88cc");
    let (out, report) = replay(&graph, &["a", "b"], &[(0, "a", frame(1, 2, "")), (1, "b", lldp.clone()), (2, "a", vec![1, 2, 3])]);
    assert_eq!(out, [vec![lldp], vec![frame(1, 2, ""), vec![1, 2, 3]]]);
    assert_eq!(report["dropped"], json!({}), "{report}");
}
