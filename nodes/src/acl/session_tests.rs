//! Sessions through the node: each transition of TCP, each time-out, and what floods leave standing.

use etherparse::PacketBuilder;
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::{Lane, NO_INTERFACE, VECTOR};

use super::Acl;
use crate::acl_filter::AclFilter;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [192, 0, 2, 9];
const INSIDE: u16 = 0;
const OUTSIDE: u16 = 1;
const SECOND: u64 = 1_000_000_000;
/// What a session may last over its time-out: the unit of its clock, twice.
const UNITS: u64 = 2 << 22;

fn kit(settings: &str) -> NodeKit {
    let kit = TestKit::new().interface("inside", "02:00:00:00:00:01", 1500, &[]);
    let kit = kit.interface("outside", "02:00:00:00:00:02", 1500, &[]);
    let rules = r#""rules": [{"name": "out", "action": "permit+reflect", "rx": "inside"}]"#;
    kit.table::<Acl>("rules", &format!("{{{settings}{rules}}}")).node::<AclFilter>("{}").unwrap()
}

/// The edge of a packet from inside, or from outside.
fn edge(kit: &mut NodeKit, from: u16, packet: &[u8]) -> &'static str {
    kit.one(packet, Lane { rx: from, tx: NO_INTERFACE, adj: 0 }).edge
}

/// TCP between A:4000 and B:80; from inside it is A's.
fn tcp(from: u16, flags: &str) -> Vec<u8> {
    let ((source, destination), ports) = if from == INSIDE { ((A, B), (4000, 80)) } else { ((B, A), (80, 4000)) };
    let mut builder = PacketBuilder::ipv4(source, destination, 64).tcp(ports.0, ports.1, 1, 1000);
    for flag in flags.chars() {
        builder = match flag {
            's' => builder.syn(),
            'a' => builder.ack(2),
            'f' => builder.fin(),
            'r' => builder.rst(),
            _ => panic!("{flag}"),
        };
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[]).unwrap();
    bytes
}

fn udp(source: ([u8; 4], u16), destination: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(source.0, destination.0, 64).udp(source.1, destination.1).write(&mut bytes, payload).unwrap();
    bytes
}

fn echo(source: [u8; 4], destination: [u8; 4], reply: bool) -> Vec<u8> {
    let (mut bytes, builder) = (Vec::new(), PacketBuilder::ipv4(source, destination, 64));
    let builder = if reply { builder.icmpv4_echo_reply(7, 1) } else { builder.icmpv4_echo_request(7, 1) };
    builder.write(&mut bytes, &[]).unwrap();
    bytes
}

/// An ICMP message with a quote of a packet.
fn error(source: [u8; 4], destination: [u8; 4], kind: u8, quoted: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(source, destination, 64).icmpv4_raw(kind, 0, [0; 4]).write(&mut bytes, &quoted[..28]).unwrap();
    bytes
}

fn protocol(source: [u8; 4], destination: [u8; 4], number: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(source, destination, 64).write(&mut bytes, etherparse::IpNumber(number), &[0; 8]).unwrap();
    bytes
}

fn open_tcp(kit: &mut NodeKit) {
    for (from, flags) in [(INSIDE, "s"), (OUTSIDE, "sa"), (INSIDE, "a")] {
        assert_eq!(edge(kit, from, &tcp(from, flags)), "permitted", "{flags}");
    }
}

/// RFC 9293 §3.3.2, as RFC 6146 §3.5.2.2 has it for who stands between: from inside and outside what passes, and what not.
#[test]
fn tcp_passes_by_its_states() {
    let (pass, none, invalid, denied) = ("permitted", "no-session", "invalid", "denied-by-default");
    let cases: [&[(u16, &str, &str)]; 9] = [
        // Nothing begins from outside, and nothing in the middle.
        &[(OUTSIDE, "s", denied), (OUTSIDE, "sa", denied), (OUTSIDE, "a", denied), (INSIDE, "a", none), (INSIDE, "r", none)],
        // A connection, its closing by both sides, what is left of it, and another one of the same ports.
        &[
            (INSIDE, "s", pass),
            (OUTSIDE, "sa", pass),
            (INSIDE, "a", pass),
            (OUTSIDE, "a", pass),
            (INSIDE, "fa", pass),
            (OUTSIDE, "a", pass),
            (OUTSIDE, "fa", pass),
            (INSIDE, "a", pass),
            (OUTSIDE, "s", invalid),
            (INSIDE, "s", pass),
            (OUTSIDE, "sa", pass),
        ],
        // Closed by the other side first.
        &[(INSIDE, "s", pass), (OUTSIDE, "sa", pass), (INSIDE, "a", pass), (OUTSIDE, "fa", pass), (INSIDE, "fa", pass)],
        // The SYN again, and its answer again.
        &[(INSIDE, "s", pass), (INSIDE, "s", pass), (OUTSIDE, "sa", pass), (OUTSIDE, "sa", pass), (INSIDE, "a", pass)],
        // Refused.
        &[(INSIDE, "s", pass), (OUTSIDE, "ra", pass), (INSIDE, "s", pass), (OUTSIDE, "sa", pass)],
        // A simultaneous open (RFC 5382 REQ-2).
        &[(INSIDE, "s", pass), (OUTSIDE, "s", pass), (INSIDE, "sa", pass), (OUTSIDE, "a", pass)],
        // To a SYN of a connection that it still has, a host answers with an ACK (RFC 9293 §3.5.1).
        &[(INSIDE, "s", pass), (OUTSIDE, "a", pass), (INSIDE, "r", pass), (INSIDE, "s", pass)],
        // What no host sends.
        &[(INSIDE, "s", pass), (OUTSIDE, "sa", pass), (INSIDE, "a", pass), (OUTSIDE, "sf", invalid), (INSIDE, "", invalid)],
        // Before the SYN is answered, there is nothing to close.
        &[(INSIDE, "s", pass), (OUTSIDE, "fa", invalid)],
    ];
    for case in cases {
        let mut kit = kit("");
        for (step, (from, flags, expected)) in case.iter().enumerate() {
            assert_eq!(edge(&mut kit, *from, &tcp(*from, flags)), *expected, "{case:?}, step {step}");
        }
    }
}

/// Each class of time-outs, of the length that is set: one packet of the other side just before, or just after.
#[test]
fn sessions_are_over_by_their_time_outs() {
    let times = r#""sessions": {"timeouts": {"tcp-opening": "11s", "tcp-established": "12s", "tcp-closing": "13s", "tcp-reset": "14s",
        "udp-unreplied": "15s", "udp": "16s", "icmp": "17s", "other": "18s"}}, "#;
    let (query, answer) = (udp((A, 4000), (B, 53), b""), udp((B, 53), (A, 4000), b""));
    type Steps = Vec<(u16, Vec<u8>)>;
    let by_tcp = |steps: &[(u16, &str)]| steps.iter().map(|(from, flags)| (*from, tcp(*from, flags))).collect::<Steps>();
    let established = [(INSIDE, "s"), (OUTSIDE, "sa"), (INSIDE, "a")];
    let and = |more: &[(u16, &str)]| by_tcp(&[&established, more].concat());
    let cases: [(u64, Steps, Vec<u8>); 9] = [
        (11, by_tcp(&[(INSIDE, "s")]), tcp(OUTSIDE, "sa")),
        (12, and(&[]), tcp(OUTSIDE, "a")),
        (12, and(&[(OUTSIDE, "fa")]), tcp(OUTSIDE, "a")),
        (13, and(&[(INSIDE, "fa"), (OUTSIDE, "fa")]), tcp(OUTSIDE, "a")),
        (14, and(&[(OUTSIDE, "r")]), tcp(OUTSIDE, "a")),
        (15, vec![(INSIDE, query.clone())], answer.clone()),
        (16, vec![(INSIDE, query), (OUTSIDE, answer.clone())], answer),
        (17, vec![(INSIDE, echo(A, B, false))], echo(B, A, true)),
        (18, vec![(INSIDE, protocol(A, B, 47))], protocol(B, A, 47)),
    ];
    for (seconds, steps, last) in cases {
        for (wait, expected) in [(seconds * SECOND - UNITS, "permitted"), (seconds * SECOND + UNITS, "denied-by-default")] {
            let mut kit = kit(times);
            kit.tick(SECOND);
            for (from, packet) in &steps {
                assert_eq!(edge(&mut kit, *from, packet), "permitted");
            }
            kit.tick(SECOND + wait);
            assert_eq!(edge(&mut kit, OUTSIDE, &last), expected, "{seconds} s, after {wait} ns");
        }
    }
}

#[test]
fn errors_pass_by_the_packet_that_they_quote() {
    let mut kit = kit("");
    let query = udp((A, 4000), (B, 53), b"");
    let router = [198, 51, 100, 1];
    assert_eq!(edge(&mut kit, OUTSIDE, &error(router, A, 11, &query)), "denied-by-default");
    assert_eq!(edge(&mut kit, INSIDE, &query), "permitted");
    for (kind, expected) in
        [(3, "permitted"), (11, "permitted"), (12, "permitted"), (5, "denied-by-default"), (4, "denied-by-default")]
    {
        assert_eq!(edge(&mut kit, OUTSIDE, &error(router, A, kind, &query)), expected, "type {kind}");
    }
    // About another flow, or told to somebody else than who has sent the packet.
    assert_eq!(edge(&mut kit, OUTSIDE, &error(router, A, 11, &udp((A, 4001), (B, 53), b""))), "denied-by-default");
    assert_eq!(edge(&mut kit, OUTSIDE, &error(router, [10, 0, 0, 2], 11, &query)), "denied-by-default");
    // The other way: a host inside refuses an answer.
    assert_eq!(edge(&mut kit, INSIDE, &error(A, B, 3, &udp((B, 53), (A, 4000), b""))), "permitted");
    assert_eq!(edge(&mut kit, INSIDE, &error(A, B, 3, &udp((B, 54), (A, 4000), b""))), "no-session");
}

/// The fragments of a datagram by etherparse's header: the first 16 bytes behind IP, and the rest.
fn cut(packet: &[u8], id: u16) -> [Vec<u8>; 2] {
    let (header, payload) = etherparse::Ipv4Header::from_slice(packet).unwrap();
    [(0, &payload[..16]), (2, &payload[16..])].map(|(offset, data)| {
        let mut header = header.clone();
        header.set_payload_len(data.len()).unwrap();
        (header.identification, header.dont_fragment, header.more_fragments) = (id, false, offset == 0);
        header.fragment_offset = etherparse::IpFragOffset::try_new(offset).unwrap();
        header.header_checksum = header.calc_header_checksum();
        [&header.to_bytes()[..], data].concat()
    })
}

#[test]
fn fragments_go_by_their_first_one() {
    let (query, answer) = (udp((A, 4000), (B, 53), &[1; 40]), udp((B, 53), (A, 4000), &[2; 40]));
    let mut kit = kit("");
    let [first, rest] = cut(&query, 1);
    assert_eq!(edge(&mut kit, INSIDE, &rest), "no-session");
    assert_eq!((edge(&mut kit, INSIDE, &first), edge(&mut kit, INSIDE, &rest)), ("permitted", "permitted"));
    let [first, rest] = cut(&answer, 2);
    // Both in one frame.
    let lane = Lane { rx: OUTSIDE, tx: NO_INTERFACE, adj: 0 };
    let edges: Vec<&str> = kit.run(&[(&first, lane), (&rest, lane)]).iter().map(|out| out.edge).collect();
    assert_eq!(edges, ["permitted"; 2]);
    // Of another datagram.
    assert_eq!(edge(&mut kit, OUTSIDE, &cut(&answer, 3)[1]), "denied-by-default");
    let mut kit = self::kit(r#""fragments": "drop", "#);
    assert_eq!((edge(&mut kit, INSIDE, &cut(&query, 1)[0]), edge(&mut kit, INSIDE, &query)), ("fragment", "permitted"));
}

#[test]
fn sessions_go_on_only_while_the_rules_permit_them() {
    let mut kit = kit("");
    open_tcp(&mut kit);
    let answer = udp((B, 53), (A, 4000), b"");
    assert_eq!(edge(&mut kit, INSIDE, &udp((A, 4000), (B, 53), b"")), "permitted");
    // A rule before it that is about something else; then one that is about TCP.
    kit.command("rules", r#"{"add": {"at": 0, "rule": {"action": "deny", "protocol": "tcp", "destination-port": 23}}}"#).unwrap();
    assert_eq!(edge(&mut kit, OUTSIDE, &tcp(OUTSIDE, "a")), "permitted");
    kit.command(
        "rules",
        r#"{"add": {"at": 0, "rule": {"name": "no", "action": "deny", "destination": "192.0.2.9/32", "protocol": "tcp"}}}"#,
    )
    .unwrap();
    assert_eq!((edge(&mut kit, OUTSIDE, &tcp(OUTSIDE, "a")), edge(&mut kit, OUTSIDE, &answer)), ("denied-by-default", "permitted"));
    assert_eq!(edge(&mut kit, INSIDE, &tcp(INSIDE, "a")), "denied");
    kit.command("rules", r#"{"remove": {"name": "no"}}"#).unwrap();
    // It has ended.
    assert_eq!(edge(&mut kit, OUTSIDE, &tcp(OUTSIDE, "a")), "denied-by-default");
    // Where a packet may go but is not reflected, its answers may not come.
    kit.command("rules", r#"{"replace": {"rules": [{"action": "permit", "rx": "inside"}]}}"#).unwrap();
    assert_eq!(edge(&mut kit, OUTSIDE, &answer), "denied-by-default");
}

#[test]
fn one_source_has_its_limit_and_floods_leave_established_flows_alone() {
    let mut kit = kit(r#""sessions": {"capacity": 512, "per-source": 500}, "fragmented-packets": 64, "#);
    open_tcp(&mut kit);
    let lane = Lane { rx: INSIDE, tx: NO_INTERFACE, adj: 0 };
    let mut passed = [0; 2];
    // SYNs of forged sources, and datagrams that are cut, of one: 8192 each.
    for round in 0..32_u16 {
        let syn = |n: usize| {
            let mut bytes = Vec::new();
            PacketBuilder::ipv4([10, 1, round as u8, n as u8], B, 64).tcp(1000, 80, 1, 9).syn().write(&mut bytes, &[]).unwrap();
            bytes
        };
        let part =
            |n: usize| cut(&udp(([10, 2, 0, 1], round * 256 + n as u16), (B, 53), &[0; 40]), round * 256 + n as u16)[0].clone();
        for (kind, passed) in passed.iter_mut().enumerate() {
            let packets: Vec<Vec<u8>> = (0..VECTOR).map(|n| if kind == 0 { syn(n) } else { part(n) }).collect();
            let packets: Vec<(&[u8], Lane)> = packets.iter().map(|packet| (&packet[..], lane)).collect();
            *passed += kit.run(&packets).iter().filter(|out| out.edge == "permitted").count();
        }
    }
    // Each SYN has taken the place of an older one; of one source only so many fit as it may have.
    assert_eq!(passed, [8192, 500]);
    assert_eq!(
        (edge(&mut kit, OUTSIDE, &tcp(OUTSIDE, "a")), edge(&mut kit, INSIDE, &tcp(INSIDE, "a"))),
        ("permitted", "permitted")
    );
    // Established TCP does not give way: with as many as there may be, who comes later is told so.
    let mut kit = self::kit(r#""sessions": {"capacity": 1}, "#);
    open_tcp(&mut kit);
    assert_eq!(edge(&mut kit, INSIDE, &udp((A, 1), (B, 2), b"")), "sessions-full");
    let mut kit = self::kit(r#""sessions": {"per-source": 1}, "#);
    assert_eq!(edge(&mut kit, INSIDE, &udp((A, 1), (B, 2), b"")), "permitted");
    assert_eq!(edge(&mut kit, INSIDE, &udp((A, 2), (B, 2), b"")), "source-limit");
}

#[test]
fn rules_that_reflect_need_sessions() {
    let kit = TestKit::new().table::<Acl>("rules", r#"{"rules": [{"action": "permit"}]}"#).node::<AclFilter>("{}").unwrap();
    let refused = kit.command("rules", r#"{"add": {"rule": {"action": "permit+reflect"}}}"#).unwrap_err();
    assert_eq!(refused.to_string(), "rule.action: the table keeps no sessions: give it `sessions: {}`");
    for (settings, message) in [
        (r#""capacity": 0"#, "sessions.capacity: a table has 1 to 268435456 sessions, and not 0"),
        (r#""per-source": 0"#, "sessions.per-source: at least 1; leave it out for any number"),
        (r#""timeouts": {"udp": "0s"}"#, "sessions.timeouts.udp: `0ns` is not between `1s` and `30d`"),
    ] {
        let refused =
            TestKit::new().try_table::<Acl>("rules", &format!(r#"{{"sessions": {{{settings}}}}}"#)).map(drop).unwrap_err();
        assert_eq!(refused.to_string(), message);
    }
}
