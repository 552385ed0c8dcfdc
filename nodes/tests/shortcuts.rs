//! Graphs whose chains of nodes are gone through in one step, and the same without: what leaves is the same, in the same order, and every count.

mod common;

use std::fmt::Write as _;

use common::frames::{ethernet, header, ip4, mutate, packet};
use common::random::Rng;
use common::{Rig, scaled};

/// The graphs that are shipped, with the station and the subnet of each interface, and how many chains they have.
const SHIPPED: [(&str, usize, &[Port]); 6] = [
    ("bridge.yaml", 0, &[("a", [2, 0, 0, 0, 0, 0xa], [192, 168, 1]), ("b", [2, 0, 0, 0, 0, 0xb], [192, 168, 1])]),
    ("cgnat.yaml", 4, &[("inside", LAN, [100, 64, 0]), ("outside", WAN, [203, 0, 113])]),
    ("firewall.yaml", 4, &[("inside", LAN, [192, 168, 1]), ("outside", WAN, [203, 0, 113])]),
    ("ip4-router.yaml", 4, &[("lan", LAN, [192, 168, 1]), ("wan", WAN, [203, 0, 113])]),
    (
        "multi-wan.yaml",
        7,
        &[
            ("lan", LAN, [192, 168, 1]),
            ("guest", [2, 0, 0, 0, 5, 1], [192, 168, 50]),
            ("wan1", [2, 0, 0, 0, 0xa, 1], [203, 0, 113]),
            ("wan2", [2, 0, 0, 0, 0xb, 1], [198, 51, 100]),
        ],
    ),
    ("nat-gateway.yaml", 4, &[("inside", LAN, [192, 168, 1]), ("outside", WAN, [203, 0, 113])]),
];

type Port = (&'static str, [u8; 6], [u8; 3]);
const LAN: [u8; 6] = [2, 0, 0, 0, 1, 1];
const WAN: [u8; 6] = [2, 0, 0, 0, 2, 1];

/// A frame that comes in by a port of a router: mostly of a packet to be sent on.
fn frame(rng: &mut Rng, (_, mac, net): Port, ports: &[Port]) -> Vec<u8> {
    let (_, _, other) = rng.pick(ports);
    let host = |rng: &mut Rng, [a, b, c]: [u8; 3]| [a, b, c, rng.pick(&[1, 2, 10, 11, 11, 11, 12, 77, 255])];
    let destination = match rng.below(8) {
        0 => host(rng, net),
        1 | 2 => host(rng, other),
        3 => rng.pick(&[[255; 4], [224, 0, 0, 5], [10, 1, 2, 3], [127, 0, 0, 1]]),
        _ => [8, 8, rng.below(4) as u8, rng.below(256) as u8],
    };
    let ttl = if rng.one_in(12) { rng.below(3) as u8 } else { 64 };
    let payload = if rng.one_in(20) { 8 + rng.below(1460) } else { 8 + rng.below(80) };
    let mut header = header(destination, ttl, payload);
    header.source = host(rng, net);
    header.dont_fragment = rng.one_in(2);
    let options: &[u8] = if rng.one_in(60) { &[148, 4, 0, 0] } else { &[] };
    let to = if rng.one_in(60) { [0xff; 6] } else { mac };
    let mut bytes = packet(header, options);
    // Flows of UDP with few ports: some come again.
    let at = bytes.len() - payload;
    bytes[at..at + 4].copy_from_slice(&[4, rng.below(8) as u8, 0, 53]);
    let mut frame = match rng.below(40) {
        0 => ethernet([0xff; 6], 0x0806, &rng.bytes(28)),
        1 => ethernet(to, 0x86dd, &bytes),
        _ => ethernet(to, 0x0800, &bytes),
    };
    if rng.one_in(25) {
        mutate(&mut frame, rng);
    }
    // Ethernet pads what is short.
    frame.resize(frame.len().max(if rng.one_in(3) { 60 } else { 0 }), 0);
    frame
}

/// What every node has counted but time.
fn counted(rig: &mut Rig) -> String {
    let mut text = String::new();
    for node in rig.engine().nodes() {
        let (name, edges) = (node.name, node.edges);
        writeln!(text, "{name} {} {} {} {} {edges:?}", node.calls, node.packets, node.made, node.released).unwrap();
    }
    text
}

#[test]
fn shipped_graphs_do_the_same_with_and_without() {
    let mut rng = Rng::new();
    for (graph, chains, ports) in SHIPPED {
        let mut with = Rig::shipped(graph, swath_nodes::SHORTCUTS);
        let mut without = Rig::shipped(graph, &[]);
        let open = |rig: &mut Rig| rig.engine().graphs_mut()[0].shortcuts();
        assert_eq!((open(&mut with), open(&mut without)), (chains, 0), "{graph}");
        let mut forwarded = 0;
        for round in 0..scaled(60) {
            for port in ports {
                let count = rng.pick(&[0, 1, 3, 60, 64, 130, 256, 400]);
                // Rounds of nothing unusual go through as a whole.
                let plain = rng.one_in(3);
                let frames: Vec<Vec<u8>> = (0..count)
                    .map(|_| match plain {
                        true => ip4(port.1, [8, 8, 8, rng.below(256) as u8], 64, 20),
                        false => frame(&mut rng, *port, ports),
                    })
                    .collect();
                with.feed(port.0, frames.clone());
                without.feed(port.0, frames);
            }
            with.run();
            without.run();
            for port in ports {
                let (mut sent, mut expected) = (with.sent(port.0), without.sent(port.0));
                if graph.contains("nat") {
                    // Ports are chosen at random: what is looked at is what is before them.
                    sent.iter_mut().chain(&mut expected).for_each(|frame| frame.truncate(34));
                }
                let differs = sent.iter().zip(&expected).position(|(sent, expected)| sent != expected);
                assert_eq!(differs, None, "{graph}, round {round}: frame of {} by {}", sent.len(), port.0);
                assert_eq!(sent.len(), expected.len(), "{graph}, round {round}: by {}", port.0);
                forwarded += sent.len();
            }
            assert_eq!(counted(&mut with), counted(&mut without), "{graph}, round {round}");
        }
        with.check();
        without.check();
        assert!(forwarded > 200, "{graph}: {forwarded} frames left");
    }
}
