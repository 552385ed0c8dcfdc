//! Sessions of `acl` through the node `acl-filter`: IPv6 as IPv4, against a model in virtual time, what control asks, and floods.

#[path = "../common/mod.rs"]
mod common;
mod floods;

use std::collections::HashMap;
use std::net::IpAddr;

use common::random::Rng;
use common::{Rig, scaled};
use etherparse::{IpNumber, Ipv6Header, PacketBuilder};
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::{Lane, NO_INTERFACE, VECTOR};
use swath_nodes::acl::Acl;
use swath_nodes::acl_filter::AclFilter;

const INSIDE: u16 = 0;
const OUTSIDE: u16 = 1;
const SECOND: u64 = 1_000_000_000;
const UDP: u8 = 17;
const GRE: u8 = 47;
const ICMP6: u8 = 58;

const OUT: &str = r#"{"name": "out", "action": "permit+reflect", "rx": "inside"}"#;

fn kit(settings: &str) -> NodeKit {
    let kit = TestKit::new().interface("inside", "02:00:00:00:00:01", 1500, &[]);
    let kit = kit.interface("outside", "02:00:00:00:00:02", 1500, &[]);
    kit.table::<Acl>("rules", &format!(r#"{{{settings}"rules": [{OUT}]}}"#)).node::<AclFilter>("{}").unwrap()
}

fn edge(kit: &mut NodeKit, from: u16, packet: &[u8]) -> &'static str {
    kit.one(packet, Lane { rx: from, tx: NO_INTERFACE, adj: 0 }).edge
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// What stands behind the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Upper {
    Udp(u16, u16),
    /// With flags, as `sa`.
    Tcp(u16, u16, &'static str),
    /// An echo request, or an answer.
    Echo(u16, bool),
    Other(u8),
}

/// A packet by etherparse.
fn packet(source: IpAddr, destination: IpAddr, upper: Upper) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => PacketBuilder::ipv4(source.octets(), destination.octets(), 64),
        (IpAddr::V6(source), IpAddr::V6(destination)) => PacketBuilder::ipv6(source.octets(), destination.octets(), 64),
        _ => panic!("one version of IP"),
    };
    let written = match upper {
        Upper::Udp(source, destination) => builder.udp(source, destination).write(&mut bytes, &[7; 40]),
        Upper::Tcp(source, destination, flags) => {
            let builder = flags.chars().fold(builder.tcp(source, destination, 1, 1000), |builder, flag| match flag {
                's' => builder.syn(),
                'a' => builder.ack(2),
                'f' => builder.fin(),
                'r' => builder.rst(),
                _ => panic!("{flag}"),
            });
            builder.write(&mut bytes, &[])
        }
        Upper::Echo(id, false) if source.is_ipv4() => builder.icmpv4_echo_request(id, 1).write(&mut bytes, &[]),
        Upper::Echo(id, true) if source.is_ipv4() => builder.icmpv4_echo_reply(id, 1).write(&mut bytes, &[]),
        Upper::Echo(id, false) => builder.icmpv6_echo_request(id, 1).write(&mut bytes, &[]),
        Upper::Echo(id, true) => builder.icmpv6_echo_reply(id, 1).write(&mut bytes, &[]),
        Upper::Other(number) => builder.write(&mut bytes, IpNumber(number), &[0; 8]),
    };
    written.expect("bytes grow");
    bytes
}

fn host() -> IpAddr {
    address("2001:db8::10")
}

fn server() -> IpAddr {
    address("2001:db8:ffff::9")
}

/// A packet of IPv6 with other headers behind its own: the number of the first, and all of them with what they carry.
fn behind(source: IpAddr, destination: IpAddr, next: u8, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (source, destination) else { panic!("IPv6") };
    let header = Ipv6Header {
        payload_length: payload.len() as u16,
        next_header: IpNumber(next),
        hop_limit: 64,
        source: source.octets(),
        destination: destination.octets(),
        ..Ipv6Header::default()
    };
    [&header.to_bytes()[..], payload].concat()
}

#[test]
fn tcp_of_ip6_passes_by_its_states() {
    let (pass, none, invalid, denied) = ("permitted", "no-session", "invalid", "denied-by-default");
    let cases: [&[(u16, &str, &str)]; 5] = [
        &[(OUTSIDE, "s", denied), (OUTSIDE, "sa", denied), (INSIDE, "a", none), (INSIDE, "r", none)],
        &[
            (INSIDE, "s", pass),
            (OUTSIDE, "sa", pass),
            (INSIDE, "a", pass),
            (OUTSIDE, "fa", pass),
            (INSIDE, "fa", pass),
            (OUTSIDE, "s", invalid),
            (INSIDE, "s", pass),
        ],
        &[(INSIDE, "s", pass), (OUTSIDE, "ra", pass), (INSIDE, "s", pass), (OUTSIDE, "sa", pass)],
        &[(INSIDE, "s", pass), (OUTSIDE, "s", pass), (INSIDE, "sa", pass), (OUTSIDE, "a", pass)],
        &[(INSIDE, "s", pass), (OUTSIDE, "sa", pass), (INSIDE, "a", pass), (OUTSIDE, "sf", invalid), (INSIDE, "", invalid)],
    ];
    for case in cases {
        let mut kit = kit("");
        for (step, (from, flags, expected)) in case.iter().enumerate() {
            let bytes = match *from {
                INSIDE => packet(host(), server(), Upper::Tcp(4000, 80, flags)),
                _ => packet(server(), host(), Upper::Tcp(80, 4000, flags)),
            };
            assert_eq!(edge(&mut kit, *from, &bytes), *expected, "{case:?}, step {step}");
        }
    }
}

#[test]
fn whatever_else_ip6_carries_is_answered_to_who_has_asked() {
    let cases = [
        (Upper::Udp(4000, 53), Upper::Udp(53, 4000), Upper::Udp(53, 4001)),
        (Upper::Echo(7, false), Upper::Echo(7, true), Upper::Echo(8, true)),
        (Upper::Other(GRE), Upper::Other(GRE), Upper::Other(GRE + 1)),
    ];
    for (asked, answer, other) in cases {
        let mut kit = kit("");
        assert_eq!(edge(&mut kit, OUTSIDE, &packet(server(), host(), answer)), "denied-by-default");
        assert_eq!(edge(&mut kit, INSIDE, &packet(host(), server(), asked)), "permitted");
        assert_eq!(edge(&mut kit, OUTSIDE, &packet(server(), host(), answer)), "permitted");
        assert_eq!(edge(&mut kit, OUTSIDE, &packet(server(), host(), other)), "denied-by-default", "{other:?}");
        assert_eq!(edge(&mut kit, OUTSIDE, &packet(address("2001:db8:ffff::8"), host(), answer)), "denied-by-default");
        assert_eq!(edge(&mut kit, OUTSIDE, &packet(server(), address("2001:db8::11"), answer)), "denied-by-default");
    }
    // The same numbers in the other version of IP are another flow.
    let mut kit = kit("");
    let (host4, server4) = (address("10.0.0.16"), address("192.0.2.9"));
    assert_eq!(edge(&mut kit, INSIDE, &packet(host(), server(), Upper::Udp(4000, 53))), "permitted");
    assert_eq!(edge(&mut kit, OUTSIDE, &packet(server4, host4, Upper::Udp(53, 4000))), "denied-by-default");
}

/// RFC 4443 §2.1: errors have types below 128, of which four are known; neighbour discovery (RFC 4861) is of no session.
#[test]
fn errors_of_ip6_pass_by_the_packet_that_they_quote() {
    let query = packet(host(), server(), Upper::Udp(4000, 53));
    let router = address("2001:db8:eeee::1");
    let error = |to: IpAddr, kind: u8, quoted: &[u8]| behind(router, to, ICMP6, &[&[kind, 0, 0, 0, 0, 0, 0, 0], quoted].concat());
    let mut kit = kit("");
    assert_eq!(edge(&mut kit, OUTSIDE, &error(host(), 1, &query)), "denied-by-default");
    assert_eq!(edge(&mut kit, INSIDE, &query), "permitted");
    for kind in 1..=4 {
        assert_eq!(edge(&mut kit, OUTSIDE, &error(host(), kind, &query)), "permitted", "type {kind}");
        // As much as has to be there: the header and the ports.
        assert_eq!(edge(&mut kit, OUTSIDE, &error(host(), kind, &query[..48])), "permitted", "type {kind}");
    }
    for kind in [0, 5, 127, 133, 134, 135, 136, 137] {
        assert_eq!(edge(&mut kit, OUTSIDE, &error(host(), kind, &query)), "denied-by-default", "type {kind}");
    }
    assert_eq!(edge(&mut kit, OUTSIDE, &error(host(), 1, &packet(host(), server(), Upper::Udp(4001, 53)))), "denied-by-default");
    assert_eq!(edge(&mut kit, OUTSIDE, &error(address("2001:db8::11"), 1, &query)), "denied-by-default");
    // The other way: a host inside refuses an answer.
    let refused = |port| {
        behind(
            host(),
            server(),
            ICMP6,
            &[&[1, 4, 0, 0, 0, 0, 0, 0][..], &packet(server(), host(), Upper::Udp(port, 4000))].concat(),
        )
    };
    assert_eq!((edge(&mut kit, INSIDE, &refused(53)), edge(&mut kit, INSIDE, &refused(54))), ("permitted", "no-session"));
}

/// RFC 8200 §4.5; a hop-by-hop header before it (§4.3).
#[test]
fn fragments_of_ip6_go_by_their_first_one() {
    let udp = |from: u16, to: u16| [&from.to_be_bytes()[..], &to.to_be_bytes(), &[0, 48, 0, 0], &[5; 40]].concat();
    let fragments = |source: IpAddr, destination: IpAddr, datagram: &[u8], id: u32| {
        [(0u16, &datagram[..16]), (16, &datagram[16..])].map(|(offset, data)| {
            let more = u16::from(offset == 0);
            let header = [&[UDP, 0][..], &(offset | more).to_be_bytes(), &id.to_be_bytes()].concat();
            behind(source, destination, 0, &[&[44, 0, 1, 4, 0, 0, 0, 0][..], &header, data].concat())
        })
    };
    let mut kit = kit("");
    let [first, rest] = fragments(host(), server(), &udp(4000, 53), 1);
    assert_eq!(edge(&mut kit, INSIDE, &rest), "no-session");
    assert_eq!((edge(&mut kit, INSIDE, &first), edge(&mut kit, INSIDE, &rest)), ("permitted", "permitted"));
    let [first, rest] = fragments(server(), host(), &udp(53, 4000), 2);
    assert_eq!(edge(&mut kit, OUTSIDE, &rest), "denied-by-default");
    assert_eq!((edge(&mut kit, OUTSIDE, &first), edge(&mut kit, OUTSIDE, &rest)), ("permitted", "permitted"));
    let [first, rest] = fragments(server(), host(), &udp(54, 4000), 3);
    assert_eq!((edge(&mut kit, OUTSIDE, &first), edge(&mut kit, OUTSIDE, &rest)), ("denied-by-default", "denied-by-default"));
}

/// A flow of the model: from inside, with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Flow {
    six: bool,
    host: u8,
    network: u8,
    kind: u8,
}

impl Flow {
    fn any(rng: &mut Rng) -> Flow {
        Flow { six: rng.below(2) == 1, host: rng.below(3) as u8, network: rng.below(3) as u8, kind: rng.below(3) as u8 }
    }

    fn packet(self, from: u16) -> Vec<u8> {
        let Flow { six, host, network, kind } = self;
        let inside = if six { format!("2001:db8::{host}") } else { format!("10.0.0.{host}") };
        let outside = if six { format!("2001:db8:{network}::9") } else { format!("192.0.{network}.9") };
        let back = from == OUTSIDE;
        let upper = match (kind, back) {
            (0, false) => Upper::Udp(4000, 53),
            (0, true) => Upper::Udp(53, 4000),
            (1, _) => Upper::Echo(9, back),
            _ => Upper::Other(GRE),
        };
        if back { packet(address(&outside), address(&inside), upper) } else { packet(address(&inside), address(&outside), upper) }
    }

    /// Milliseconds without a packet: those that [`TIMES`] says.
    fn timeout(self, replied: bool) -> u64 {
        match (self.kind, replied) {
            (0, false) => 11_500,
            (0, true) => 17_500,
            (1, _) => 7_500,
            _ => 23_500,
        }
    }
}

const TIMES: &str =
    r#""sessions": {"timeouts": {"udp-unreplied": "11500ms", "udp": "17500ms", "icmp": "7500ms", "other": "23500ms"}}, "#;

/// All rules: networks that are denied, for both versions of IP, and what passes.
fn rules(denied: [bool; 3]) -> String {
    let deny = |(network, _): (usize, &bool)| {
        let rule = |prefix: String| format!(r#"{{"action": "deny", "rx": "inside", "destination": "{prefix}"}}"#);
        [
            rule(format!("192.0.{network}.0/24")),
            rule(format!("2001:db8:{network}:8000::/50")),
            rule(format!("2001:db8:{network}::9/128")),
        ]
    };
    let rules: Vec<String> = denied.iter().enumerate().filter(|(_, denied)| **denied).flat_map(deny).collect();
    format!(r#"{{"replace": {{"rules": [{}]}}}}"#, [rules, vec![OUT.to_owned()]].concat().join(", "))
}

/// Packets of flows in both directions, time that passes in whole seconds, which are never a time-out, and rules that change.
#[test]
fn flows_of_both_versions_are_as_a_model_has_them() {
    let mut rng = Rng::new();
    for _ in 0..scaled(40) {
        let mut kit = kit(TIMES);
        // When the last packet of a session was, in seconds, and whether an answer has come.
        let mut sessions: HashMap<Flow, (u64, bool)> = HashMap::new();
        let (mut now, mut denied) = (1, [false; 3]);
        kit.tick(now * SECOND);
        for _ in 0..scaled(500) {
            match rng.below(60) {
                0..=1 => {
                    now += 1 + rng.below(9) as u64;
                    kit.tick(now * SECOND);
                }
                2 => {
                    denied = [(); 3].map(|()| rng.one_in(4));
                    kit.command("rules", &rules(denied)).expect("rules");
                }
                _ => {
                    let flow = Flow::any(&mut rng);
                    let from = rng.pick(&[INSIDE, OUTSIDE]);
                    let is_denied = denied[usize::from(flow.network)];
                    let live = sessions
                        .get(&flow)
                        .filter(|(last, replied)| (now - last) * 1000 < flow.timeout(*replied) && !is_denied)
                        .map(|(_, replied)| *replied);
                    let expected = match (live, from) {
                        (Some(_), _) => "permitted",
                        (None, INSIDE) if is_denied => "denied",
                        (None, INSIDE) => "permitted",
                        (None, _) => "denied-by-default",
                    };
                    assert_eq!(edge(&mut kit, from, &flow.packet(from)), expected, "{flow:?} {from} at {now} s");
                    match expected {
                        "permitted" => _ = sessions.insert(flow, (now, live == Some(true) || live.is_some() && from == OUTSIDE)),
                        _ => _ = sessions.remove(&flow),
                    }
                }
            }
        }
    }
}

/// A filter between two interfaces of an engine.
fn graph(workers: usize, sessions: &str) -> String {
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces: {{ inside: {{ driver: test }}, outside: {{ driver: test }} }}
tables: {{ rules: {{ kind: acl, {sessions} rules: [{OUT}] }} }}
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

fn frame(packet: &[u8]) -> Vec<u8> {
    let ether_type = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    common::frames::ethernet(common::frames::mac(1), ether_type, packet)
}

/// Sends packets and counts those that come through.
fn through(rig: &mut Rig, from: &str, packets: impl IntoIterator<Item = Vec<u8>>) -> usize {
    rig.feed(from, packets.into_iter().map(|packet| frame(&packet)));
    rig.run();
    rig.sent(if from == "inside" { "outside" } else { "inside" }).len()
}

fn ask(rig: &mut Rig, question: &str) -> serde_json::Value {
    let answer = rig.engine().command("rules", question).unwrap_or_else(|refused| panic!("{question}: {refused}"));
    serde_json::from_str(&answer).expect("JSON")
}

#[test]
fn sessions_are_listed_and_ended() {
    let hosts: Vec<(IpAddr, IpAddr)> = (1..=20)
        .flat_map(|n| [(format!("10.0.0.{n}"), format!("192.0.2.{n}")), (format!("2001:db8::{n}"), format!("2001:db8:1::{n}"))])
        .map(|(inside, outside)| (address(&inside), address(&outside)))
        .collect();
    let asked = |(inside, outside): &(IpAddr, IpAddr)| packet(*inside, *outside, Upper::Udp(4000, 53));
    let answer = |(inside, outside): &(IpAddr, IpAddr)| packet(*outside, *inside, Upper::Udp(53, 4000));
    for workers in [1, 2, 4] {
        let mut rig = Rig::new(&graph(workers, ""));
        assert_eq!(through(&mut rig, "inside", hosts.iter().map(asked)), 40);
        assert_eq!(through(&mut rig, "outside", hosts[..10].iter().map(answer)), 10);
        let pings = |reply| {
            hosts[..4].iter().map(move |(inside, outside)| match reply {
                false => packet(*inside, *outside, Upper::Echo(9, false)),
                true => packet(*outside, *inside, Upper::Echo(9, true)),
            })
        };
        assert_eq!(through(&mut rig, "inside", pings(false)), 4);
        let all = ask(&mut rig, r#"{"sessions": {}}"#);
        assert_eq!(all["sessions"]["found"], 44);
        let listed = all["sessions"]["sessions"].as_array().expect("a list");
        for (at, (inside, outside)) in hosts.iter().enumerate() {
            let end = |address: &IpAddr, port: u16| std::net::SocketAddr::new(*address, port);
            let flow = format!("{} > {} udp", end(inside, 4000), end(outside, 53));
            let row = listed.iter().find(|row| row["flow"] == *flow).unwrap_or_else(|| panic!("{flow}: {all}"));
            assert_eq!((&row["state"], &row["rx"]), (&if at < 10 { "udp" } else { "udp-unreplied" }.into(), &"inside".into()));
        }
        let mut found =
            |which: &str| ask(&mut rig, &format!(r#"{{"sessions": {{"which": {which}}}}}"#))["sessions"]["found"].as_u64();
        assert_eq!(found(r#"{"address": "10.0.0.1"}"#), Some(2));
        assert_eq!(found(r#"{"address": "2001:db8:1::1"}"#), Some(2));
        assert_eq!(
            (found(r#"{"port": 53}"#), found(r#"{"protocol": 1}"#), found(r#"{"protocol": 58}"#)),
            (Some(40), Some(2), Some(2))
        );
        assert_eq!((found(r#"{"state": "udp"}"#), found(r#"{"state": "udp", "address": "10.0.0.20"}"#)), (Some(10), Some(0)));
        let some = ask(&mut rig, r#"{"sessions": {"limit": 7}}"#);
        assert_eq!(
            (some["sessions"]["found"].as_u64(), some["sessions"]["sessions"].as_array().map(Vec::len)),
            (Some(44), Some(7))
        );
        // Those of one host end, of each version of IP; then all UDP.
        for (which, ended) in [(r#"{"address": "10.0.0.1"}"#, 2), (r#"{"address": "2001:db8::1"}"#, 2), (r#"{"protocol": 17}"#, 38)]
        {
            assert_eq!(
                ask(&mut rig, &format!(r#"{{"end-sessions": {{"which": {which}}}}}"#))["ended"]["sessions"],
                ended,
                "{which}"
            );
        }
        assert_eq!(ask(&mut rig, r#"{"sessions": {}}"#)["sessions"]["found"], 2);
        assert_eq!(through(&mut rig, "outside", hosts.iter().map(answer)), 0);
        assert_eq!(through(&mut rig, "outside", pings(true)), 2);
        assert_eq!(rig.count("in.denied-by-default"), 40 + 2);
        assert_eq!(through(&mut rig, "inside", hosts.iter().map(asked)), 40);
        assert_eq!(through(&mut rig, "outside", hosts.iter().map(answer)), 40);
        rig.check();
    }
}
