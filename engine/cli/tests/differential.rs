//! The shipped router against the kernel's: the same packets into both, valid ones, odd ones and damaged ones, and the same packets out, but
//! for the differences that docs/differences-from-linux.md lists. Needs root, for a network namespace of its own.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use common::{Place, at, records, said};

/// What the document must explain.
const DIFFERENCES: &str = include_str!("../../../docs/differences-from-linux.md");
const HOSTS: [[u8; 4]; 2] = [[192, 168, 1, 10], [8, 8, 8, 8]];
const OWN: [[u8; 4]; 2] = [[192, 168, 1, 1], [203, 0, 113, 2]];
const PORTS: [&str; 2] = ["lan", "wan"];
/// IPv4 options, sound and not: nothing, router alert, record route with room and without, with a pointer before it, and longer than they are;
/// one that nobody knows; a loose source route.
const OPTIONS: [&[u8]; 8] = [
    &[1, 1, 1, 0],
    &[148, 4, 0, 0],
    &[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[7, 7, 8, 1, 2, 3, 4, 0],
    &[7, 7, 3, 0, 0, 0, 0, 0],
    &[7, 11, 4, 0],
    &[25, 4, 1, 2],
    &[131, 7, 4, 9, 9, 9, 9, 0],
];

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Rng(u64);

impl Rng {
    fn new() -> Rng {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = std::env::var("SWATH_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now);
        println!("SWATH_TEST_SEED={seed}");
        Rng(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// A packet and the port that it comes in by. Most are as they should be but for one thing.
fn packet(rng: &mut Rng, number: u16) -> (usize, Vec<u8>) {
    let port = rng.below(2);
    let odd = |rng: &mut Rng| rng.below(8) == 0;
    let mut source = HOSTS[port];
    if odd(rng) {
        source = rng.pick(&[[0; 4], [127, 0, 0, 1], [224, 0, 0, 1], [240, 0, 0, 1], [255; 4], [192, 168, 1, 11], [0, 1, 2, 3]]);
    }
    let mut target = HOSTS[1 - port];
    if odd(rng) {
        target = rng.pick(&[OWN[0], OWN[1], [9, 9, 9, 9], [127, 0, 0, 1], [240, 0, 0, 1], [255; 4], [224, 0, 0, 5], [0; 4]]);
    } else if rng.below(5) == 0 {
        target = OWN[port];
    }
    if target == [9, 9, 9, 9] {
        // Without a route. What Linux sends to one host of such errors cannot be set free in a network namespace
        // (`net.ipv4.route.error_burst` is the machine's): five at once, so each comes from another host.
        if port == 0 {
            target = HOSTS[1];
        } else {
            source = [8, rng.below(256) as u8, rng.below(256) as u8, rng.below(254) as u8 + 1];
        }
    }
    let protocol = rng.pick(&[17, 17, 17, 6, 1, 1, 50, 132, 255]);
    let mut payload: Vec<u8> =
        (0..rng.pick(&[0, 1, 8, 20, 64, 65, 500, 600, 1380, 1381, 1476])).map(|_| rng.below(256) as u8).collect();
    // A veth carries no packet that is longer than the MTU of its other end; with the longest options it is not.
    payload.truncate([1468, 1368][port]);
    match (protocol, payload.len()) {
        (17, 8..) => {
            let len = payload.len() as u16;
            // The ports of nobody; no checksum (RFC 768).
            payload[..4].copy_from_slice(&[0x9c, 0x40, 0x82, 0x9a]);
            payload[4..6].copy_from_slice(&len.to_be_bytes());
            payload[6..8].fill(0);
        }
        (1, 8..) => {
            (payload[0], payload[1]) = (rng.pick(&[8, 8, 8, 0, 3, 11, 5, 12, 42]), 0);
            if rng.below(8) > 0 {
                payload[2..4].fill(0);
                let sum = checksum(&payload);
                payload[2..4].copy_from_slice(&sum.to_be_bytes());
            }
        }
        _ => {}
    }
    let options = if rng.below(10) == 0 { rng.pick(&OPTIONS) } else { &[] };
    let mut head = vec![0; 20];
    head[0] = 0x45 + (options.len() / 4) as u8;
    head[1] = if odd(rng) { rng.below(256) as u8 } else { 0 };
    let total = (20 + options.len() + payload.len()) as u16;
    head[2..4].copy_from_slice(&total.to_be_bytes());
    head[4..6].copy_from_slice(&number.to_be_bytes());
    let fragment: u16 =
        if odd(rng) { rng.pick(&[0x2000, 1, 0x2001, 0x1fff, 0x8000, 0x6000]) } else { rng.pick(&[0, 0x4000, 0x4000]) };
    head[6..8].copy_from_slice(&fragment.to_be_bytes());
    (head[8], head[9]) = (if odd(rng) { rng.pick(&[0, 1, 1, 2, 255]) } else { 64 }, protocol);
    head[12..16].copy_from_slice(&source);
    head[16..20].copy_from_slice(&target);
    let damage = if rng.below(10) == 0 { rng.below(7) } else { usize::MAX };
    match damage {
        0 => head[0] = 0x55,
        1 => head[0] = 0x44,
        2 => head[0] = 0x4f,
        3 => head[2..4].copy_from_slice(&(total + 1).to_be_bytes()),
        4 => head[2..4].copy_from_slice(&19u16.to_be_bytes()),
        _ => {}
    }
    head.extend_from_slice(options);
    let sum = checksum(&head) ^ u16::from(damage == 5);
    head[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 1 + port as u8, 1, 2, 0, 0, 0, 1 + port as u8, 0x10 - 14 * port as u8, 8, 0];
    frame.extend(head);
    frame.extend(payload);
    match damage {
        6 => frame.truncate(14 + rng.below(20)),
        // What Ethernet pads is no part of the packet.
        _ if frame.len() < 60 && rng.below(2) == 0 => frame.resize(60, 0xee),
        _ => {}
    }
    (port, frame)
}

/// An echo request to the router in two fragments, in any order.
fn fragments(rng: &mut Rng, number: u16) -> [(usize, Vec<u8>); 2] {
    let port = rng.below(2);
    let mut message: Vec<u8> = (0..16 + rng.below(1300)).map(|_| rng.below(256) as u8).collect();
    message[..4].copy_from_slice(&[8, 0, 0, 0]);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let cut = 8 * (1 + rng.below((message.len() - 1) / 8));
    let piece = |at: usize, data: &[u8], more: u16| {
        let mut head = vec![0x45, 0];
        for word in [20 + data.len() as u16, number, more | (at / 8) as u16, 64 << 8 | 1, 0] {
            head.extend(word.to_be_bytes());
        }
        head.extend([HOSTS[port], OWN[port]].concat());
        let sum = checksum(&head);
        head[10..12].copy_from_slice(&sum.to_be_bytes());
        let ethernet = [2, 0, 0, 0, 1 + port as u8, 1, 2, 0, 0, 0, 1 + port as u8, 0x10 - 14 * port as u8, 8, 0];
        (port, [&ethernet[..], &head, data].concat())
    };
    let mut pair = [piece(0, &message[..cut], 0x2000), piece(cut, &message[cut..], 0)];
    if rng.below(2) == 0 {
        pair.reverse();
    }
    pair
}

/// What came out, by the number of the packet that went in: ports and frames.
type Out = BTreeMap<usize, Vec<(usize, Vec<u8>)>>;

const START: u64 = 1_700_000_000_000_000_000;
const STEP: u64 = 1_000_000;

fn ours(packets: &[(usize, Vec<u8>)]) -> Out {
    let place = Place::new();
    let mut graph = said(["new", "router"]).out;
    for (from, to) in [
        ("prefix: 0.0.0.0/0,", "prefix: 8.0.0.0/8,"),
        ("wan: { driver: memory,", "wan: { driver: memory, mtu: 1400,"),
        ("kind: ip4-reassembly,", "kind: ip4-reassembly, datagrams: 4096, per-source: 4096, largest: 2000,"),
        ("kind: icmp-error,", "kind: icmp-error, rate: 1Mpps, burst: 100000, host-rate: 1Mpps, host-burst: 100000,"),
    ] {
        assert!(graph.contains(from), "{from}");
        graph = graph.replacen(from, to, 1);
    }
    let graph = place.text("router.yaml", &graph);
    let mut args = vec!["replay".into(), graph.into_os_string()];
    for (index, port) in PORTS.iter().enumerate() {
        let of_port = packets.iter().zip(0..).filter(|((port, _), _)| *port == index);
        let input = place.capture(&format!("{port}-in.pcap"), of_port.map(|((_, frame), number)| (START + number * STEP, frame)));
        args.extend([
            "--in".into(),
            at(port, &input).into(),
            "--out".into(),
            at(port, &place.path(&format!("{port}.pcap"))).into(),
        ]);
    }
    let replayed = said(&args);
    assert_eq!(replayed.code, 0, "{}", replayed.err);
    let mut out = Out::new();
    for (index, port) in PORTS.iter().enumerate() {
        for (time, frame) in records(&place.path(&format!("{port}.pcap"))) {
            out.entry(((time - START) / STEP) as usize).or_default().push((index, frame));
        }
    }
    out
}

/// What leaves the kernel; or why there is nothing.
fn theirs(packets: &[(usize, Vec<u8>)]) -> Result<Out, String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/router_kernel.py");
    let mut child = Command::new("timeout")
        .args(["-k", "1", "60", "unshare", "--net", "python3", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("unshare: {error}"))?;
    let script: String = packets.iter().map(|(port, frame)| format!("{port} {}\n", hex(frame))).collect();
    let _ = child.stdin.take().expect("piped").write_all(script.as_bytes());
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_string());
    }
    let mut out = Out::new();
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let byte = |at: usize| u8::from_str_radix(&words[2][at..at + 2], 16).unwrap();
        let frame = (0..words[2].len()).step_by(2).map(byte).collect();
        out.entry(words[0].parse().unwrap()).or_default().push((words[1].parse().unwrap(), frame));
    }
    Ok(out)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A frame without what an RFC leaves to whoever sends it: of the router's own ICMP messages identification and DF (RFC 6864), and of errors
/// the type of service. Both checksums must be right before.
fn normal(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame.len() < 34 || frame[12..14] != [8, 0] {
        return frame;
    }
    let end = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    frame.truncate(end);
    let head = 14 + usize::from(frame[14] & 15) * 4;
    assert_eq!(checksum(&frame[14..head]), 0, "{}", hex(&frame));
    let is_own = OWN.iter().any(|own| frame[26..30] == own[..]);
    if is_own && frame[23] == 1 {
        assert_eq!(checksum(&frame[head..]), 0, "{}", hex(&frame));
        frame[18..22].fill(0);
        frame[24..26].fill(0);
        if matches!(frame[head], 3 | 11 | 12) {
            frame[15] = 0;
        }
    }
    frame
}

/// Whether it is one ICMP error, and all of a frame but the address that it comes from.
fn is_error(out: &[(usize, Vec<u8>)]) -> bool {
    matches!(out, [(_, frame)] if frame.get(23) == Some(&1) && matches!(frame.get(34), Some(3 | 11 | 12)))
}

fn without_source(out: &[(usize, Vec<u8>)]) -> Vec<(usize, Vec<u8>)> {
    let without = |(port, frame): &(usize, Vec<u8>)| (*port, [&frame[..26], &frame[30..]].concat());
    out.iter().map(without).collect()
}

/// The name under which a difference is explained, if it is.
fn name(input: &[u8], ours: &[(usize, Vec<u8>)], theirs: &[(usize, Vec<u8>)]) -> Option<&'static str> {
    let ip = input.get(14..).filter(|ip| ip.len() >= 20)?;
    let word = |at: usize| u16::from_be_bytes([ip[at], ip[at + 1]]);
    let is_own = OWN.iter().any(|own| ip[16..20] == own[..]);
    let is_kernels_only = ours.is_empty() && !theirs.is_empty();
    let is_reserved = |address: &[u8]| matches!(address[0], 0 | 240..);
    let has_options = ip[0] & 15 > 5;
    let payload = ip.get(usize::from(ip[0] & 15) * 4).copied();
    let is_problem = |out: &[(usize, Vec<u8>)]| is_error(out) && out[0].1[34] == 12;
    let echoes_options = matches!(theirs, [(_, frame)] if frame.len() > 34 && frame[14] > 0x45 && frame[23] == 1);
    let is_reply = |out: &[(usize, Vec<u8>)]| matches!(out, [(_, frame)] if frame.len() > 34 && frame[23] == 1);
    let end = usize::from(word(6) & 0x1fff) * 8 + usize::from(word(2)).saturating_sub(usize::from(ip[0] & 15) * 4);
    match () {
        () if is_own && ip[9] == 17 && is_error(ours) && is_error(theirs) && ours[0].1.len() == theirs[0].1.len() + 1 => {
            Some("quoted-length")
        }
        () if ip[9] == 1 && is_error(ours) && theirs.is_empty() && matches!(payload, Some(1 | 2 | 6 | 7 | 9 | 10)) => {
            Some("unassigned-types")
        }
        () if is_kernels_only && word(2) > 1400 && end > 65_535 => Some("fragment-beyond-the-end"),
        () if has_options && ours.len() > 1 && ours.first() == theirs.first() => Some("options-of-fragments"),
        () if has_options && is_own && ip[9] == 1 && is_reply(ours) && is_reply(theirs) && !is_error(ours) => {
            Some("options-of-replies")
        }
        () if has_options && is_error(ours) && echoes_options => Some("options-of-errors"),
        () if has_options && is_problem(ours) && is_problem(theirs) => Some("place-of-an-option"),
        () if has_options && is_problem(ours) && theirs.is_empty() && matches!(ip[16], 0 | 127 | 224..) => Some("options-first"),
        () if is_own && ip[9] == 6 => Some("tcp-reset"),
        () if word(6) & 0x8000 != 0 && word(2) > 1400 && theirs.len() > 1 => Some("reserved-bit"),
        () if is_kernels_only && (is_reserved(&ip[12..16]) || is_reserved(&ip[16..20])) => Some("reserved-addresses"),
        () if is_error(ours) && without_source(ours) == without_source(theirs) => Some("error-source"),
        () => None,
    }
}

#[test]
fn the_kernels_router_does_the_same() {
    let mut rng = Rng::new();
    let mut packets = Vec::new();
    while packets.len() < 3000 {
        let number = packets.len() as u16;
        match rng.below(50) {
            0 => packets.extend(fragments(&mut rng, number)),
            _ => packets.push(packet(&mut rng, number)),
        }
    }
    let theirs = match theirs(&packets) {
        Ok(out) => out,
        Err(error) if error.contains("Operation not permitted") || error.starts_with("unshare:") => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "this needs root, iproute2 and python3: {error}");
            println!("not run, for this needs root, iproute2 and python3: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let ours = ours(&packets);
    let (mut named, mut unknown) = (BTreeSet::new(), Vec::new());
    for (number, (_, input)) in packets.iter().enumerate() {
        let of = |out: &Out| -> Vec<(usize, Vec<u8>)> {
            out.get(&number).into_iter().flatten().map(|(port, frame)| (*port, normal(frame))).collect()
        };
        let (ours, theirs) = (of(&ours), of(&theirs));
        if ours == theirs {
            continue;
        }
        let show = |out: &[(usize, Vec<u8>)]| {
            out.iter().map(|(port, frame)| format!("{port} {}", hex(&frame[..frame.len().min(80)]))).collect::<Vec<_>>()
        };
        match name(input, &ours, &theirs) {
            Some(name) => drop(named.insert(name)),
            None => unknown.push(format!(
                "in {}\nours {:?}\nkernel {:?}\n",
                hex(&input[..input.len().min(60)]),
                show(&ours),
                show(&theirs)
            )),
        }
    }
    assert!(unknown.is_empty(), "{} unknown differences:\n{}", unknown.len(), unknown[..unknown.len().min(20)].join("\n"));
    for name in named {
        assert!(DIFFERENCES.contains(&format!("## `{name}`\n")), "docs/differences-from-linux.md does not explain `{name}`");
    }
    assert!(ours.len() > 1000, "hardly anything has come out");
}
