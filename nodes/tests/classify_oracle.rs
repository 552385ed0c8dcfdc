//! `classify` against tcpdump: random expressions over random packets choose the same ones.
//!
//! Left to the tests of the node is where it means to differ: VLAN tags, IPv6 extension headers, and packets that are cut off.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::random::Rng;
use common::scaled;
use swath_api::Lane;
use swath_api::testkit::TestKit;
use swath_nodes::classify::Classify;

/// Expressions, each over as many packets as a vector has.
const EXPRESSIONS: usize = 300;
const PACKETS: usize = 256;

const PORTS: [u16; 5] = [22, 53, 80, 443, 1000];
const PROTOCOLS: [u8; 6] = [6, 17, 132, 1, 58, 47];

/// A frame that is whole: an IPv4 packet with options or a fragment, an IPv6 packet, ARP, or something else.
fn frame(rng: &mut Rng) -> Vec<u8> {
    let ether_type: u16 = rng.pick(&[0x0800, 0x0800, 0x0800, 0x86dd, 0x86dd, 0x0806, 0x88cc]);
    let mac = |rng: &mut Rng| [2, 0, 0, 0, 0, rng.below(3) as u8];
    let mut frame = [&mac(rng)[..], &mac(rng), &ether_type.to_be_bytes()].concat();
    let protocol = rng.pick(&PROTOCOLS);
    // Behind the network header: ports, and enough of what follows.
    let len = 44 + rng.below(200);
    match ether_type {
        0x0800 => {
            let words = 5 + rng.pick(&[0, 0, 0, 1, 10]);
            let fragment: u16 = rng.pick(&[0, 0, 0, 0x4000, 0x2000, 0x2001, 0x0007]);
            let mut header = vec![0; words * 4];
            (header[0], header[1]) = (0x40 | words as u8, rng.bits() as u8);
            header[2..4].copy_from_slice(&((words * 4 + len) as u16).to_be_bytes());
            header[6..8].copy_from_slice(&fragment.to_be_bytes());
            (header[8], header[9]) = (64, protocol);
            header[12..16].copy_from_slice(&address(rng));
            header[16..20].copy_from_slice(&address(rng));
            frame.extend(header);
        }
        0x86dd => {
            let mut header = vec![0; 40];
            header[..2].copy_from_slice(&(0x6000 | rng.bits() as u16 & 0x0fff).to_be_bytes());
            header[4..6].copy_from_slice(&(len as u16).to_be_bytes());
            (header[6], header[7]) = (protocol, 64);
            header[8..24].copy_from_slice(&address6(rng));
            header[24..40].copy_from_slice(&address6(rng));
            frame.extend(header);
        }
        0x0806 => {
            frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1]);
            frame.extend(address(rng));
            frame.extend([0; 6]);
            frame.extend(address(rng));
        }
        _ => {}
    }
    frame.extend(rng.pick(&PORTS).to_be_bytes());
    frame.extend(rng.pick(&PORTS).to_be_bytes());
    frame.extend(rng.bytes(len - 4));
    frame
}

fn address(rng: &mut Rng) -> [u8; 4] {
    rng.pick(&[[10, 0, 0, 1], [10, 0, 0, 2], [10, 9, 0, 1], [192, 0, 2, 1], [0; 4]])
}

fn address6(rng: &mut Rng) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, rng.pick(&[0xb8, 0xb9])]);
    address[15] = rng.below(3) as u8;
    address
}

/// A number: one that is known, the length, bytes of a header that lie within all frames, or what is computed of them. One that is `bytes` begins
/// with bytes: of `5 * ip[0]` libpcap 1.10.3 forgets that there must be an IPv4 header.
fn number(rng: &mut Rng, header: &str, depth: usize, bytes: bool) -> String {
    if depth > 0 && rng.one_in(2) {
        let a = number(rng, header, depth - 1, bytes);
        return match rng.below(4) {
            // How tightly `%` and `^` bind libpcap 1.10.3 does not say: both take all that is on their right.
            0 => format!("(({a}) {} {})", rng.pick(&["/", "%"]), 1 + rng.below(9)),
            1 => format!("({a} {} {})", rng.pick(&["<<", ">>"]), rng.below(9)),
            2 => format!("(({a}) ^ ({}))", number(rng, header, depth - 1, false)),
            // Which binds more tightly is a question of its own.
            _ => format!("{a} {} {}", rng.pick(&["+", "-", "*", "&", "|"]), number(rng, header, depth - 1, false)),
        };
    }
    let at = rng.below(36);
    match rng.below(6) {
        0 if !bytes => rng.below(70_000).to_string(),
        1 if !bytes => "len".into(),
        2 if header == "tcp" => "tcp[tcpflags]".into(),
        3 if header == "ip" => "ip[(ip[0] & 0x0f) * 4]".into(),
        _ => format!("{header}[{at}{}]", rng.pick(&["", "", ":1", ":2", ":4"])),
    }
}

/// An expression as the node reads it, and as tcpdump does.
fn expression(rng: &mut Rng, depth: usize) -> (String, String) {
    if depth > 0 && rng.one_in(2) {
        let word = rng.pick(&["and", "or", "not"]);
        let (ours, theirs) = expression(rng, depth - 1);
        if word == "not" {
            return (format!("{} ({ours})", rng.pick(&["not", "!"])), format!("not ({theirs})"));
        }
        let (more, others) = expression(rng, depth - 1);
        return (format!("({ours}) {word} ({more})"), format!("({theirs}) {word} ({others})"));
    }
    let side = rng.pick(&["", "src ", "dst "]);
    let same = match rng.below(18) {
        0 => rng.pick(&["ip", "ip6", "arp", "tcp", "udp", "sctp", "icmp", "icmp6"]).to_owned(),
        1 => format!("{} proto {}", rng.pick(&["ip", "ip6"]), rng.pick(&PROTOCOLS)),
        2 | 3 => format!("{}{side}host {}", rng.pick(&["", "ip ", "arp "]), std::net::Ipv4Addr::from(address(rng))),
        4 => format!("{}{side}host {}", rng.pick(&["", "ip6 "]), std::net::Ipv6Addr::from(address6(rng))),
        5 => format!(
            "{side}net {}",
            rng.pick(&["10.0.0.0/8", "10.0.0.0/31", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "2001:d00::/24"])
        ),
        6 | 7 => format!("{}{side}port {}", rng.pick(&["", "tcp ", "udp ", "sctp "]), rng.pick(&PORTS)),
        8 => format!("{}{side}portrange {}", rng.pick(&["", "tcp ", "udp "]), rng.pick(&["0-65535", "22-53", "54-79", "443-443"])),
        9 => format!("ether {}02:00:00:00:00:0{}", rng.pick(&["src ", "dst ", "host "]), rng.below(4)),
        10 => format!("ether proto {}", rng.pick(&["0x0800", "0x86dd", "2054", "0x1234"])),
        11 => format!("{} {}", rng.pick(&["less", "greater", "len <", "len <=", "len >", "len >=", "len ="]), rng.below(300)),
        12 => {
            let sign = rng.pick(&["==", "!="]);
            let value = rng.pick(&["tcp-syn", "0", "(tcp-syn|tcp-ack)"]);
            format!("(ip and tcp[tcpflags] & {} {sign} {value})", rng.pick(&["tcp-syn", "(tcp-syn|tcp-ack)", "0x11"]))
        }
        13..17 => {
            let header = rng.pick(&["ether", "ip", "ip", "ip6", "arp", "tcp", "tcp", "udp", "icmp"]);
            let (left, right) = (number(rng, header, 3, true), number(rng, header, 1, false));
            let sign = rng.pick(&["<", "<=", ">", ">=", "=", "==", "!="]);
            // Of what is above IPv6 the oracle has no bytes.
            let only = if ["tcp", "udp"].contains(&header) { "ip and " } else { "" };
            format!("({only}{left} {sign} {right})")
        }
        _ => {
            let dscp = rng.below(64);
            let theirs = format!("((ip and ip[1] & 0xfc = {}) or (ip6 and ip6[0:2] & 0x0fc0 = {}))", dscp << 2, dscp << 6);
            return (format!("dscp {dscp}"), theirs);
        }
    };
    (same.clone(), same)
}

/// The packets that tcpdump chooses, by index: each has its own as time stamp.
fn tcpdump(capture: &[u8], expression: &str) -> std::io::Result<Vec<usize>> {
    let mut command = Command::new("tcpdump");
    // libpcap 1.10.3 optimises too much: of `(tcp port 22 and not greater 104) or not (src net 0.0.0.0/0 or not len < 146)` its program chooses
    // frames of any length that are neither IPv4, IPv6, ARP nor RARP.
    command.args(["-O", "-r", "-", "-w", "-", expression]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut stdin, capture) = (child.stdin.take().expect("it is piped"), capture.to_vec());
    // It may stop reading where no packet can be chosen.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&capture)));
    let output = child.wait_with_output()?;
    writer.join().expect("the writer does not panic");
    let said = String::from_utf8_lossy(&output.stderr);
    // It finds out by itself that no packet can be chosen, and says so.
    if said.contains("expression rejects all packets") {
        return Ok(Vec::new());
    }
    assert!(output.status.success(), "{expression}: {said}");
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
    let (mut chosen, mut rest) = (Vec::new(), &output.stdout[24..]);
    while !rest.is_empty() {
        chosen.push(word(rest));
        rest = &rest[16 + word(&rest[8..])..];
    }
    Ok(chosen)
}

#[test]
fn tcpdump_chooses_the_same() {
    let mut rng = Rng::new();
    let frames: Vec<Vec<u8>> = (0..PACKETS).map(|_| frame(&mut rng)).collect();
    let mut capture: Vec<u8> = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65535, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    for (at, frame) in frames.iter().enumerate() {
        let len = frame.len() as u32;
        capture.extend([at as u32, 0, len, len].iter().flat_map(|word| word.to_le_bytes()));
        capture.extend(frame);
    }
    let (mut some, mut tests) = (0, 0);
    for _ in 0..scaled(EXPRESSIONS) {
        let (ours, theirs) = expression(&mut rng, 4);
        let expected = match tcpdump(&capture, &theirs) {
            Ok(chosen) => chosen,
            Err(error) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("tcpdump cannot be run: {error}"),
            Err(error) => return eprintln!("skipped: tcpdump cannot be run: {error}"),
        };
        let config = format!(r#"{{"rules": [{{"match": "{ours}", "edge": "chosen"}}]}}"#);
        let mut kit = TestKit::new().edges(&["chosen"]).node::<Classify>(&config).unwrap_or_else(|error| panic!("{ours}: {error}"));
        let packets: Vec<(&[u8], Lane)> = frames.iter().map(|frame| (&frame[..], Lane::received(0))).collect();
        let outcomes = kit.run(&packets);
        let chosen: Vec<usize> = (0..PACKETS).filter(|at| outcomes[*at].edge == "chosen").collect();
        assert_eq!(chosen, expected, "{ours}");
        some += usize::from(!chosen.is_empty() && chosen.len() < PACKETS);
        tests += 1;
    }
    assert!(some * 3 > tests, "the expressions are too tame: {some} of {tests} choose some and not all");
}
