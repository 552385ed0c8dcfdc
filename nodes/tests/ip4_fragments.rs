//! `ip4-fragment` and `ip4-reassembly`: against RFC 791 §3.2, against each other, and against scapy.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::frames::{checksum, header, packet};
use common::random::Rng;
use etherparse::{IpEcn, IpFragOffset, IpNumber, Ipv4Header};
use serde_json::{Value, json};
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::wire::IcmpCause;
use swath_api::{Lane, NO_INTERFACE};
use swath_nodes::ip4_fragment::Ip4Fragment;
use swath_nodes::ip4_reassembly::Ip4Reassembly;

const SECOND: u64 = 1_000_000_000;

fn surroundings(buffers: u32) -> TestKit {
    TestKit::with_buffers(buffers).interface("lan", "02:00:00:00:00:01", 1500, &[]).interface("wan", "02:00:00:00:00:02", 1000, &[])
}

fn cutter() -> NodeKit {
    surroundings(1024).node::<Ip4Fragment>("{}").unwrap()
}

fn joiner(settings: &str) -> NodeKit {
    surroundings(1024).node::<Ip4Reassembly>(settings).unwrap()
}

/// As `ip4-rewrite` refuses it.
fn too_big(mtu: u16) -> Lane {
    Lane { adj: IcmpCause::fragmentation_needed(mtu).word(), tx: 1, rx: 0 }
}

fn parse(bytes: &[u8]) -> (Ipv4Header, &[u8]) {
    let (header, payload) = Ipv4Header::from_slice(bytes).unwrap();
    assert_eq!(usize::from(header.total_len), bytes.len());
    assert_eq!(header.header_checksum, checksum(&bytes[..header.header_len()]));
    (header, payload)
}

/// A packet of 192.168.1.10 that may be cut, at a place of another one.
fn part(id: u16, place: u16, more: bool, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut fields = header([10, 0, 0, 1], 64, payload.len());
    // No protocol that scapy knows to look into.
    fields.protocol = IpNumber(253);
    (fields.identification, fields.dont_fragment, fields.more_fragments) = (id, false, more);
    fields.fragment_offset = IpFragOffset::try_new(place / 8).unwrap();
    let mut bytes = packet(fields, options);
    let at = bytes.len() - payload.len();
    bytes[at..].copy_from_slice(payload);
    bytes
}

/// Options, and what of them goes into every fragment (RFC 791 §3.1: those whose first bit is set).
const OPTIONS: [(&[u8], &[u8]); 5] = [
    (&[], &[]),
    (&[148, 4, 0, 0], &[148, 4, 0, 0]),
    (&[7, 7, 4, 0, 0, 0, 0, 0], &[]),
    (&[7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0, 131, 7, 4, 9, 9, 9, 9, 0], &[148, 4, 0, 0, 131, 7, 4, 9, 9, 9, 9, 0]),
    (&[1, 137, 11, 4, 9, 9, 9, 9, 8, 8, 8, 8, 136, 4, 1, 2], &[137, 11, 4, 9, 9, 9, 9, 8, 8, 8, 8, 136, 4, 1, 2, 0]),
];

#[test]
fn fragments_are_those_of_rfc_791() {
    let mut rng = Rng::new();
    for _ in 0..common::scaled(3000) {
        let (options, copied) = rng.pick(&OPTIONS);
        let more = rng.one_in(2);
        let len = if more { 8 * (1 + rng.below(200)) } else { 1 + rng.below(1800) };
        let (place, mtu) = (8 * rng.below(7900) as u16, 68 + rng.below(1500) as u16);
        let bytes = part(7, place, more, options, &rng.bytes(len));
        if bytes.len() <= usize::from(mtu) {
            continue;
        }
        let (whole, payload) = parse(&bytes);
        let mut kit = cutter();
        assert_eq!(kit.run(&[(&bytes, too_big(mtu))]), [], "it is cut");
        let mut at = 0;
        let fragments = kit.emitted().to_vec();
        for (index, out) in fragments.iter().enumerate() {
            assert_eq!((out.edge, out.lane), ("ok", Lane::received(0)));
            let (fields, data) = parse(&out.bytes);
            let last = index + 1 == fragments.len();
            assert_eq!(fields.fragment_offset.byte_offset(), place + at as u16);
            assert_eq!(fields.more_fragments, !last || more);
            assert_eq!(&fields.options[..], if index == 0 { options } else { copied });
            assert_eq!(data, &payload[at..at + data.len()]);
            // As few as can be (RFC 1812 §4.2.2.7).
            let fits = (usize::from(mtu) - fields.header_len()) / 8 * 8;
            assert!(if last { fields.header_len() + data.len() <= usize::from(mtu) } else { data.len() == fits });
            let same = |fields: &Ipv4Header| {
                (fields.source, fields.destination, fields.identification, fields.protocol, fields.time_to_live, fields.dscp)
            };
            assert_eq!((same(&fields), fields.dont_fragment), (same(&whole), false));
            at += data.len();
        }
        assert_eq!(at, payload.len());
    }
}

#[test]
fn what_is_more_than_a_pass_takes_goes_on_in_order() {
    // 39 fragments each: 8 bytes beside the 60 of the first header, 48 beside the 20 of the others.
    let datagrams: Vec<Vec<u8>> = (0..10).map(|id| part(id, 0, false, &[0; 40], &[id as u8; 1800])).collect();
    let mut kit = surroundings(1024).node::<Ip4Fragment>(r#"{"hold": 9}"#).unwrap();
    let packets: Vec<(&[u8], Lane)> = datagrams.iter().map(|bytes| (&bytes[..], too_big(68))).collect();
    let full = kit.run(&packets);
    assert_eq!(full.iter().map(|out| out.edge).collect::<Vec<_>>(), ["hold-full"]);
    let mut sent = kit.emitted().to_vec();
    assert!((200..=256).contains(&sent.len()), "{} in one pass", sent.len());
    kit.tick(1);
    sent.extend_from_slice(kit.emitted());
    let place = |index: u16| if index == 0 { 0 } else { 8 + (index - 1) * 48 };
    let expected: Vec<_> = (0..9).flat_map(|id| (0..39).map(move |index| (id, place(index)))).collect();
    let places: Vec<_> = sent.iter().map(|out| parse(&out.bytes).0).collect();
    assert_eq!(places.iter().map(|ip| (ip.identification, ip.fragment_offset.byte_offset())).collect::<Vec<_>>(), expected);
    kit.tick(2);
    assert_eq!(kit.emitted(), []);
}

#[test]
fn without_buffers_packets_wait() {
    let bytes = part(7, 0, false, &[], &[5; 900]);
    // Each is two fragments; the pass has one spare buffer.
    let mut kit = surroundings(5).node::<Ip4Fragment>("{}").unwrap();
    assert_eq!(kit.run(&[(&bytes[..], too_big(500)); 4]), []);
    let mut sent = kit.emitted().len();
    for now in 1..9 {
        kit.tick(now);
        sent += kit.emitted().len();
    }
    assert_eq!(sent, 8);
}

#[test]
fn who_is_not_cut() {
    let bytes = part(7, 0, false, &[], &[5; 1100]);
    let mut forbidden = bytes.clone();
    forbidden[6] |= 0x40;
    let padded = [&bytes[..100], &[0xaa; 9]].concat();
    let refused = |mtu| IcmpCause::fragmentation_needed(mtu).word();
    for (name, bytes, lane, edge, adj) in [
        ("DF", &forbidden[..], too_big(1000), "dont-fragment", refused(1000)),
        // From `ip4-resolve`, which leaves the adjacency: by the interface.
        ("DF, by the interface", &forbidden, Lane { adj: 3, tx: 1, rx: 0 }, "dont-fragment", refused(1000)),
        ("less than RFC 791 asks of links", &bytes, too_big(67), "no-mtu", refused(67)),
        ("no interface", &bytes, Lane { adj: 0, tx: NO_INTERFACE, rx: 0 }, "no-mtu", 0),
        ("cut off", &padded, too_big(68), "malformed", refused(68)),
    ] {
        let out = cutter().one(bytes, lane);
        assert_eq!((out.edge, &out.bytes[..], out.lane), (edge, bytes, Lane { adj, ..lane }), "{name}");
    }
    let beyond = part(7, 65528, false, &[], &[5; 16]);
    assert_eq!(cutter().one(&beyond, too_big(68)).edge, "malformed");
    for hold in [0, 65537] {
        let error = surroundings(8).node::<Ip4Fragment>(&format!(r#"{{"hold": {hold}}}"#)).err().unwrap();
        assert_eq!((error.path(), error.message()), ("hold", &*format!("`{hold}` is not in 1 to 65536")));
    }
}

/// Cut at random places, in any order, some of them twice.
fn shuffled(bytes: &[u8], rng: &mut Rng) -> Vec<Vec<u8>> {
    let (whole, payload) = parse(bytes);
    let mut parts = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let len = (8 * (1 + rng.below(20))).min(payload.len() - at);
        let options = if at == 0 { &whole.options[..] } else { &[] };
        parts.push(part(whole.identification, at as u16, at + len < payload.len(), options, &payload[at..at + len]));
        at += len;
    }
    for at in (1..parts.len()).rev() {
        parts.swap(at, rng.below(at + 1));
    }
    parts
}

#[test]
fn any_order_gives_the_datagram() {
    let mut rng = Rng::new();
    let mut kit = joiner("{}");
    for id in 0..common::scaled(1000) as u16 {
        let payload = 9 + rng.below(1700);
        let bytes = part(id, 0, false, OPTIONS[usize::from(id) % 5].0, &rng.bytes(payload));
        let mut parts = shuffled(&bytes, &mut rng);
        if parts.len() < 2 {
            continue;
        }
        let last = parts.pop().unwrap();
        for part in &parts {
            assert_eq!(kit.one(part, Lane::received(0)).edge, "collected");
            // Doubled by the network.
            if rng.one_in(3) {
                assert_eq!(kit.one(part, Lane::received(0)).edge, "duplicate");
            }
        }
        let out = kit.one(&last, Lane::received(0));
        assert_eq!((out.edge, out.bytes), ("ok", bytes));
    }
    let whole = part(7, 0, false, &[], b"whole");
    let lane = Lane { adj: 3, tx: 4, rx: 1 };
    let out = kit.one(&whole, lane);
    assert_eq!((out.edge, out.bytes, out.lane), ("ok", whole, lane));
}

/// A name, fragments, and the edge of each.
type Fragments = (&'static str, Vec<Vec<u8>>, &'static [&'static str]);

#[test]
fn fragments_that_contradict_or_deceive() {
    let a = [1; 16];
    let b = [2; 16];
    let udp = |place, more, payload: &[u8]| part(7, place, more, &[], payload);
    let tcp = |place, more, payload: &[u8]| {
        let mut bytes = udp(place, more, payload);
        bytes[9] = 6;
        bytes
    };
    let table: [Fragments; 16] = [
        ("RFC 791: overlap", vec![udp(0, true, &a), udp(8, false, &b)], &["collected", "overlap"]),
        ("all that follows", vec![udp(0, true, &a), udp(8, true, &a), udp(16, false, &a)], &["collected", "overlap", "overlap"]),
        ("the same place, other data", vec![udp(0, true, &a), udp(0, true, &b)], &["collected", "overlap"]),
        ("the same twice", vec![udp(0, true, &a), udp(0, true, &a)], &["collected", "duplicate"]),
        ("a part of what is there, the same", vec![udp(0, true, &a), udp(0, true, &a[..8])], &["collected", "duplicate"]),
        ("two ends", vec![udp(32, false, &a), udp(64, false, &a)], &["collected", "overlap"]),
        ("behind the end", vec![udp(32, false, &a), udp(64, true, &a)], &["collected", "overlap"]),
        ("an end before what is there", vec![udp(32, true, &a), udp(16, false, &a)], &["collected", "overlap"]),
        ("no end any more", vec![udp(32, true, &a), udp(32, false, &a)], &["collected", "overlap"]),
        ("no data", vec![udp(0, true, &[])], &["bad-fragment"]),
        ("no multiple of eight", vec![udp(0, true, &a[..9])], &["bad-fragment"]),
        ("beyond 65,535 bytes", vec![udp(65528, false, &a)], &["bad-fragment"]),
        ("RFC 1858 §3.1: tiny", vec![tcp(0, true, &a)], &["tiny-fragment"]),
        ("RFC 1858 §3.2: into the header", vec![tcp(8, false, &a)], &["tiny-fragment"]),
        ("RFC 3128: into the header", vec![tcp(16, false, &a)], &["tiny-fragment"]),
        ("the rest of TCP", vec![tcp(0, true, &[3; 24]), tcp(24, false, &a)], &["collected", "ok"]),
    ];
    for (name, fragments, edges) in table {
        let mut kit = joiner("{}");
        let found: Vec<_> = fragments.iter().map(|bytes| kit.one(bytes, Lane::received(0)).edge).collect();
        assert_eq!(found, edges, "{name}");
    }
}

#[test]
fn rfc_3168_5_3_congestion() {
    for (first, second, expected) in
        [(1, 1, Some(1)), (2, 3, Some(3)), (3, 2, Some(3)), (0, 0, Some(0)), (3, 0, None), (0, 2, Some(0))]
    {
        let with = |mut bytes: Vec<u8>, ecn: u8| {
            bytes[1] = ecn;
            bytes
        };
        let mut kit = joiner("{}");
        kit.one(&with(part(7, 0, true, &[], &[1; 8]), first), Lane::received(0));
        let out = kit.one(&with(part(7, 8, false, &[], &[2; 8]), second), Lane::received(0));
        match expected {
            Some(ecn) => assert_eq!((out.edge, parse(&out.bytes).0.ecn), ("ok", IpEcn::try_new(ecn).unwrap())),
            None => assert_eq!(out.edge, "bad-ecn"),
        }
    }
}

#[test]
fn memory_is_bounded() {
    let from = |source: u8, id: u16| {
        let mut bytes = part(id, 0, true, &[], &[1; 8]);
        bytes[15] = source;
        bytes
    };
    let mut kit = joiner(r#"{"datagrams": 3, "per-source": 2, "largest": 576}"#);
    let mut edge = |bytes: &[u8]| kit.one(bytes, Lane::received(0)).edge;
    assert_eq!([edge(&from(1, 1)), edge(&from(1, 2)), edge(&from(1, 3))], ["collected", "collected", "source-full"]);
    assert_eq!([edge(&from(2, 1)), edge(&from(2, 2)), edge(&from(3, 1))], ["collected", "table-full", "table-full"]);
    assert_eq!(edge(&part(9, 560, false, &[], &[1; 8])), "too-big");
    // One that has all makes room.
    let mut rest = part(1, 8, false, &[], &[2; 8]);
    rest[15] = 1;
    assert_eq!([edge(&rest), edge(&from(3, 1))], ["ok", "collected"]);
    // Longer than a buffer: of a test they have 2048 bytes of room.
    let mut kit = joiner("{}");
    assert_eq!(kit.one(&part(7, 0, true, &[], &[1; 1600]), Lane::received(0)).edge, "collected");
    assert_eq!(kit.one(&part(7, 1600, false, &[], &[1; 1600]), Lane::received(0)).edge, "too-big");
    for (settings, path, message) in [
        (r#"{"datagrams": 0}"#, "datagrams", "`0` is not in 1 to 4096"),
        (r#"{"per-source": 0}"#, "per-source", "at least 1"),
        (r#"{"largest": 575}"#, "largest", "`575` is not in 576 to 65535"),
        (r#"{"timeout": "14s"}"#, "timeout", "`14s` is not in 15s to 120s"),
    ] {
        let error = surroundings(8).node::<Ip4Reassembly>(settings).err().unwrap();
        assert_eq!((error.path(), error.message()), (path, message));
    }
}

#[test]
fn rfc_1122_3_3_2_the_time_is_that_of_the_first_to_come() {
    let mut kit = joiner(r#"{"timeout": "15s"}"#);
    let first = part(7, 0, true, &[148, 4, 0, 0], &[1; 16]);
    assert_eq!(kit.one(&part(7, 32, true, &[], &[1; 8]), Lane::received(1)).edge, "collected");
    assert_eq!(kit.one(&part(8, 8, true, &[], &[1; 8]), Lane::received(1)).edge, "collected");
    kit.tick(10 * SECOND);
    assert_eq!(kit.one(&first, Lane { adj: 5, tx: 0, rx: 1 }).edge, "collected");
    kit.tick(15 * SECOND - 1);
    assert_eq!(kit.emitted(), []);
    kit.tick(15 * SECOND);
    let given_up: Vec<_> = kit.emitted().iter().map(|out| (out.edge, out.bytes.clone(), out.lane.adj >> 16, out.lane.rx)).collect();
    assert_eq!(given_up[0], ("time-exceeded", first.clone(), 11 << 8 | 1, 1));
    assert_eq!(given_up[1].0, "incomplete");
    let (fields, data) = parse(&given_up[1].1);
    assert_eq!((fields.source, fields.destination, fields.identification, data.len()), ([192, 168, 1, 10], [10, 0, 0, 1], 8, 0));
    assert_eq!(given_up.len(), 2);
    // Nothing of it is left.
    kit.tick(99 * SECOND);
    assert_eq!(kit.emitted(), []);
    assert_eq!(kit.one(&first, Lane::received(1)).edge, "collected");
}

/// What scapy says, if there is one.
fn scapy(questions: &[Value]) -> Option<Vec<Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("python");
    let made = Command::new(root.join("../.ci/python")).arg(&environment).output().unwrap();
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr).into_owned();
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), ".ci/python: {why}");
        eprintln!("skipped: .ci/python cannot make an environment with scapy: {why}");
        return None;
    }
    let mut child = Command::new(environment.join("bin/python"))
        .arg(root.join("tests/scapy_fragments.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn scapy_puts_our_fragments_together_and_we_put_those_of_scapy_together() {
    let mut rng = Rng::new();
    let datagrams: Vec<Vec<u8>> = (0..100)
        .map(|id| {
            let len = 600 + rng.below(1200);
            part(id, 0, false, &[], &rng.bytes(len))
        })
        .collect();
    let mut questions = Vec::new();
    for bytes in &datagrams {
        let mut kit = cutter();
        kit.run(&[(bytes, too_big(68 + rng.below(500) as u16))]);
        let fragments: Vec<String> = kit.emitted().iter().map(|out| hex(&out.bytes)).collect();
        assert!(fragments.len() > 1);
        questions.push(json!({ "join": fragments }));
        questions.push(json!({ "cut": hex(bytes), "size": 8 * (1 + rng.below(60)) }));
    }
    let Some(answers) = scapy(&questions) else { return };
    assert_eq!(answers.len(), questions.len());
    let mut kit = joiner("{}");
    for (bytes, answers) in datagrams.iter().zip(answers.as_chunks::<2>().0) {
        assert_eq!(&unhex(&answers[0]), bytes);
        let fragments: Vec<Vec<u8>> = answers[1].as_array().unwrap().iter().map(unhex).collect();
        let outcomes: Vec<_> = fragments.iter().map(|fragment| kit.one(fragment, Lane::received(0))).collect();
        let (last, others) = outcomes.split_last().unwrap();
        assert!(others.iter().all(|out| out.edge == "collected"));
        assert_eq!((last.edge, &last.bytes), ("ok", bytes));
    }
}
