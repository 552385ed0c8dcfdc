//! What can be asked of the table, what it refuses, its limits and its figures.

use crate::common::Rig;
use crate::packets::{as_seen, ping, pong, source, tcp, udp, udp_of};
use crate::{A, B, Net, R, S, SECOND, X, graph};

fn refusal(nat: &str) -> String {
    Rig::build(&graph(1, nat), None, &[]).map(|_| ()).expect_err("it should be refused")
}

#[test]
fn what_is_refused() {
    for (nat, said) in [
        ("pool: [203.0.113]", "is not an address such as"),
        ("pool: [192.168.1.7]", "`192.168.1.7` is an inside address"),
        ("pool: [203.0.113.9, 203.0.113.8/29]", "`203.0.113.9` is in the pool already"),
        ("pool: ['203.0.113.9:2000-1000']", "is empty"),
        ("pool: ['203.0.113.9:0-1000']", "0 is no port"),
        ("pool: [100.64.0.0/10]", "a pool has 4096 addresses at most"),
        ("static: [{ inside: 172.16.0.1, protocol: tcp, port: 80 }]", "`172.16.0.1` is not inside"),
        ("static: [{ inside: 192.168.1.11, port: 80 }]", "which port is forwarded: `tcp` or `udp`"),
        ("static: [{ inside: 192.168.1.11, protocol: tcp }]", "which port is forwarded"),
        ("static: [{ inside: 192.168.1.11, protocol: tcp, port: 0 }]", "0 is no port"),
        ("static: [{ inside: 192.168.1.11 }]", "the address is in the pool"),
        ("static: [{ inside: 192.168.1.11, outside: 192.168.1.12 }]", "`192.168.1.12` is an inside address"),
        (
            "static: [{ inside: 192.168.1.11, protocol: tcp, port: 80 }, { inside: 192.168.1.10, protocol: tcp, port: 80 }]",
            "another `static` has it already",
        ),
        (
            "static: [{ inside: 192.168.1.11, outside: 203.0.113.9 }, { inside: 192.168.1.10, outside: 203.0.113.9, protocol: tcp, port: 80 }]",
            "another `static` has it already",
        ),
        ("per-user: { ports: 0 }", "at least 1"),
        ("per-user: { rate: 0 }", "1 to 1000000 sessions, and not 0"),
        ("per-user: { rate: 1, burst: 2000000 }", "1 to 1000000 sessions, and not 2000000"),
        ("per-user: { burst: 5 }", "there is no `rate` that it is of"),
        ("mapping: endpoint-dependent\n    per-user: { ports: 3 }", "ports are nobody's"),
        ("deterministic: { ports: 0 }", "at least 1"),
        ("deterministic: { ports: 70000 }", "65535"),
        ("deterministic: { ports: 64 }\n    pooling: arbitrary", "the address outside follows from the inside one"),
        (
            "deterministic: { ports: 64 }",
            "16777472 inside addresses need as many ranges of 64 ports, and the 1 of the pool have 1008",
        ),
        ("port-blocks: { size: 4 }", "8 to 32768 ports, and not 4"),
        ("port-blocks: { size: 64, per-user: 0 }", "1 to 64 blocks, and not 0"),
        ("port-blocks: { size: 64, hold-off: 2h }", "is more than `1h`"),
        ("port-blocks: { size: 64 }\n    mapping: endpoint-dependent", "ports are nobody's"),
        (
            "port-blocks: { size: 64 }\n    pool: ['203.0.113.9:2000-2062']",
            "of `203.0.113.9` a worker has 63 ports: not one block of 64",
        ),
        ("refusal: network", "unknown word `network`"),
        ("sessions: { capacity: 0 }", "sessions, and not 0"),
        ("sessions: { timeouts: { udp: 100ms } }", "is not between `1s` and `30d`"),
        ("fragment-timeout: 1min", "is not in `10ms` to `30s`"),
        ("fragmented-packets: 1", "64 to 1048576 packets"),
        ("waiting-fragments: 0", "1 to 16384 fragments"),
        ("filtering: none", "unknown word `none`"),
    ] {
        let refusal = refusal(nat);
        assert!(refusal.contains(said), "{nat}: {refusal}");
    }
    let both = graph(1, "port-blocks: { size: 64 }\n    deterministic: { ports: 64 }").replace(", 10.0.0.0/8]", "]");
    let refusal = Rig::build(&both, None, &[]).map(|_| ()).expect_err("it should be refused");
    assert!(refusal.contains("with `deterministic` each host has its ports for good"), "{refusal}");
}

#[test]
fn sessions_are_listed_and_ended() {
    let mut net = Net::new("static: [{ inside: 192.168.1.11, protocol: tcp, port: 443 }]");
    net.leaves(&udp((A, 4000), (R, 53)));
    net.leaves(&ping(B, R, 7000));
    net.enters(&tcp((S, 9), (X, 443), "s"));
    let all = net.ask(r#"{"sessions": {}}"#);
    let mut told: Vec<String> = all["sessions"]["sessions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| format!("{} {} {} {}", row["flow"], row["outside"], row["state"], row["inbound"]))
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            r#""192.168.1.10:4000 > 198.51.100.3:53 udp" "203.0.113.2:4000" "udp-unreplied" null"#,
            r#""192.168.1.11:443 > 198.51.100.4:9 tcp" "203.0.113.2:443" "tcp-syn" true"#,
            r#""192.168.1.11:7000 > 198.51.100.3:7000 icmp" "203.0.113.2:7000" "icmp-query" null"#,
        ]
    );
    let of_udp = net.ask(r#"{"sessions": {"which": {"protocol": 17}}}"#);
    assert_eq!(of_udp["sessions"]["found"], 1);
    let limited = net.ask(r#"{"sessions": {"limit": 2}}"#);
    assert_eq!((&limited["sessions"]["found"], limited["sessions"]["sessions"].as_array().map(Vec::len)), (&3.into(), Some(2)));
    assert_eq!(net.ask(r#"{"end-sessions": {"which": {"address": "192.168.1.11"}}}"#)["ended"]["sessions"], 2);
    net.kept_out(&[pong(R, X, 7000)], "dnat.no-session");
    net.enters(&udp((R, 53), (X, 4000)));
    let shown = net.ask(r#"{"show": {}}"#)["table"].clone();
    assert_eq!((&shown["sessions"], &shown["mappings"], &shown["addresses"]), (&1.into(), &1.into(), &1.into()));
    // 64,512 ports of three protocols, one of which is in use. That which is forwarded is not of the pool.
    assert_eq!((&shown["ports"], &shown["ports-free"]), (&193_536.into(), &193_535.into()));
    assert_eq!(shown["filtering"], "address-dependent");
}

#[test]
fn limits_of_a_user_are_its_own_and_come_back() {
    let mut net = Net::new("per-user: { ports: 2, sessions: 3 }");
    net.leaves(&udp((A, 4000), (R, 53)));
    net.leaves(&udp((A, 4001), (R, 53)));
    let refused = |net: &mut Net, packet: Vec<u8>| {
        let [told, left] = net.inside(&[packet]);
        assert_eq!((told.len(), left.len()), (1, 0));
    };
    refused(&mut net, udp((A, 4002), (R, 53)));
    net.leaves(&udp((A, 4000), (S, 53)));
    refused(&mut net, udp((A, 4001), (S, 53)));
    // Not the neighbour's.
    net.leaves(&udp((B, 4000), (R, 53)));
    net.wait(121 * SECOND);
    assert_eq!(net.sessions(), 0);
    net.leaves(&udp((A, 4002), (R, 53)));
    net.leaves(&udp((A, 4003), (R, 53)));
    refused(&mut net, udp((A, 4004), (R, 53)));
    assert_eq!(net.rig.count("snat.user-limit"), 3);
}

#[test]
fn a_full_table_makes_room_and_keeps_its_books() {
    let mut net = Net::new("sessions: { capacity: 8 }");
    for port in 0..40 {
        net.leaves(&udp((A, 4000 + port), (R, 53)));
    }
    let shown = net.ask(r#"{"show": {}}"#)["table"].clone();
    assert_eq!((&shown["sessions"], &shown["mappings"], &shown["ports-free"]), (&8.into(), &8.into(), &(193_536 - 8).into()));
    // Established TCP stays, and then there is no room.
    let mut net = Net::new("sessions: { capacity: 2 }");
    for port in [5000, 5001] {
        net.leaves(&tcp((A, port), (R, 80), "s"));
        net.enters(&tcp((R, 80), (X, port), "sa"));
        net.leaves(&tcp((A, port), (R, 80), "a"));
    }
    let [told, left] = net.inside(&[udp((A, 4000), (R, 53))]);
    assert_eq!((told.len(), left.len(), net.rig.count("snat.exhausted")), (1, 0, 1));
    let shown = net.ask(r#"{"show": {}}"#)["table"].clone();
    assert_eq!((&shown["mappings"], &shown["ports-free"]), (&2.into(), &(193_536 - 2).into()));
}

#[test]
fn static_ports_and_hosts() {
    let mut net = Net::new(
        "static: [{ inside: 192.168.1.11, protocol: udp, port: 2000, inside-port: 53 }, { inside: 192.168.1.10, outside: 203.0.113.9 }]",
    );
    let packet = udp((R, 9), (X, 2000));
    assert_eq!(net.enters(&packet), as_seen(&packet, None, Some((B, 53))));
    // What the server itself begins has the same port outside; another host does not get it.
    let packet = udp((B, 53), (S, 9));
    assert_eq!(net.leaves(&packet), as_seen(&packet, Some((X, 2000)), None));
    assert_ne!(source(&net.leaves(&udp(([10, 0, 0, 1], 2000), (S, 9)))), (X, 2000));
    // A host with an address of its own: all ports, both ways, and protocols that have none.
    let own = [203, 0, 113, 9];
    let packet = tcp((R, 9), (own, 22), "s");
    assert_eq!(net.enters(&packet), as_seen(&packet, None, Some((A, 22))));
    let packet = udp((A, 1), (R, 2));
    assert_eq!(net.leaves(&packet), as_seen(&packet, Some((own, 1)), None));
    for protocol in [47, 50, 132, 4] {
        let with = |bytes: Vec<u8>| {
            let mut bytes = bytes;
            bytes[9] = protocol;
            crate::packets::mend(&mut bytes);
            bytes
        };
        let leaving = with(udp_of((A, 7), (R, 8), b"anything"));
        let mut expected = as_seen(&leaving, None, None);
        expected[12..16].copy_from_slice(&own);
        crate::packets::mend(&mut expected);
        assert_eq!(net.leaves(&leaving), expected, "{protocol}");
        net.kept_in(&[with(udp_of((B, 7), (R, 8), b"anything"))], "snat.protocol");
    }
}

#[test]
fn picked_up_in_the_middle() {
    let mut net = Net::new("sessions: { pick-up: true }");
    let packet = tcp((A, 5000), (R, 80), "a");
    assert_eq!(net.leaves(&packet), as_seen(&packet, Some((X, 5000)), None));
    net.enters(&tcp((R, 80), (X, 5000), "a"));
}

#[test]
fn one_address_serves_sixty_thousand_flows_to_one_server() {
    for mapping in ["endpoint-independent", "endpoint-dependent"] {
        let mut net = Net::new(&format!("mapping: {mapping}"));
        let mut ports = std::collections::BTreeSet::new();
        for host in 0..60 {
            let packets: Vec<Vec<u8>> = (0..1000).map(|flow| udp(([10, 0, 0, host], 2000 + flow), (R, 53))).collect();
            let [_, left] = net.inside(&packets);
            assert_eq!(left.len(), 1000, "{mapping}: {:?}", net.rig.counts());
            ports.extend(left.iter().map(|packet| source(packet)));
        }
        assert_eq!(ports.len(), 60_000, "{mapping}");
    }
}

/// RFC 826, RFC 1027.
#[test]
fn addresses_of_the_pool_are_answered_for() {
    let graph = "
version: 1
interfaces:
  lan: { driver: test, mac: 02:00:00:00:00:01, addresses: [192.168.1.1/24] }
  wan: { driver: test, mac: 02:00:00:00:00:02, addresses: [203.0.113.2/24] }
tables: { neighbours: { kind: neighbours, proxy: [{ interface: wan, prefixes: [203.0.113.8/29] }] } }
nodes:
  lan-rx: { kind: rx, interface: lan, to: ethernet }
  wan-rx: { kind: rx, interface: wan, to: ethernet }
  ethernet: { kind: ethernet-input, to: { ip4: drop, arp: arp } }
  arp: { kind: arp-input, to: { reply: tx } }
  tx: { kind: tx }
  drop: { kind: drop }
";
    let message = |operation, to: [u8; 6], from: [u8; 6], sender: [u8; 4], target_mac, target: [u8; 4]| {
        let arp =
            etherparse::ArpEthIpv4Packet { operation, sender_mac: from, sender_ipv4: sender, target_mac, target_ipv4: target };
        [&to[..], &from, &[8, 6], &arp.to_bytes()].concat()
    };
    let (host, router) = ([2, 0, 0, 0, 0, 0x77], [2, 0, 0, 0, 0, 2]);
    let asks = |target| message(etherparse::ArpOperation::REQUEST, [0xff; 6], host, [203, 0, 113, 1], [0; 6], target);
    let mut rig = Rig::new(graph);
    rig.feed("wan", [7, 8, 15, 16].map(|last| asks([203, 0, 113, last])));
    rig.run();
    let answer = |target| message(etherparse::ArpOperation::REPLY, host, router, target, host, [203, 0, 113, 1]);
    assert_eq!(rig.sent("wan"), [answer([203, 0, 113, 8]), answer([203, 0, 113, 15])]);
    // Not on another interface.
    rig.feed("lan", [message(etherparse::ArpOperation::REQUEST, [0xff; 6], host, [192, 168, 1, 9], [0; 6], [203, 0, 113, 8])]);
    rig.run();
    assert_eq!(rig.sent("lan"), Vec::<Vec<u8>>::new());
    rig.check();
}
