//! Anything at all through every kind of node alone, and through the whole router: no fault, no packet and no buffer unaccounted for.

mod common;

use std::collections::BTreeSet;

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpEcn, IpFragOffset, IpNumber};

use common::frames::{ethernet, header, ip4, mac, mend, mutate, packet};
use common::random::Rng;
use common::{Rig, scaled};
use swath_api::{EdgeClass, NodeKind, layer};

/// Frames in all, of the run over the kinds and of that over the router.
const FRAMES: usize = 1_000_000;
/// Frames through each kind alone.
const FRAMES_OF_A_KIND: usize = 60_000;

/// Interfaces and tables for any kind.
const SURROUNDINGS: &str = "
version: 1
interfaces:
  a: { driver: test, mac: 02:00:00:00:00:01, addresses: [10.0.0.1/24], mtu: 600, keep: false }
  b: { driver: test, mac: 02:00:00:00:00:02, addresses: [10.0.1.1/24], keep: false, capacity: 5 }
  c: { driver: test, mac: 02:00:00:00:00:03, keep: false }
tables:
  neighbours:
    kind: neighbours
    static: [{ address: 10.0.0.2, mac: 02:00:00:00:00:99 }, { address: 10.0.1.2, mac: 02:00:00:00:00:98 }]
    limit: 12
    retries: 1
    retry-interval: 10ms
    failed-time: 100ms
    requests: 100kpps
  routes:
    kind: fib4
    interfaces: [a, b]
    routes:
      - { prefix: 0.0.0.0/1, via: 10.0.0.2 }
      - { prefix: 128.0.0.0/2, via: 10.0.1.2 }
      - { prefix: 10.0.0.0/9, via: 10.0.0.77 }
      - { prefix: 172.16.0.0/12, blackhole: true }
      - { prefix: 172.16.0.0/13, unreachable: true }
      - { prefix: 172.16.0.0/14, prohibit: true }
      - { prefix: 192.0.0.0/4, via: [{ to: 10.0.0.2, weight: 3 }, { to: 10.0.1.2 }, { interface: b }] }
  default-only:
    kind: fib4
    interfaces: [a]
    routes: [{ prefix: 0.0.0.0/0, via: 10.0.0.2 }]
  stations:
    kind: bridge
    static: [{ mac: 02:00:00:00:00:99, interface: a }, { mac: 02:00:00:00:00:98, interface: b }]
  rules:
    kind: acl
    default: reject
    fragments: follow-first
    rules:
      - { action: count, source: 0.0.0.0/1 }
      - { action: permit, protocol: tcp, tcp-flags: syn }
      - { action: deny, destination: 10.0.0.0/31, rx: a }
      - { action: permit, protocol: icmp, icmp-type: 0-8 }
      - { action: permit, protocol: udp, destination-port: 0-32767 }
  reflecting:
    kind: acl
    sessions: { capacity: 64, per-source: 8, pick-up: true }
    rules:
      - { action: permit+reflect, destination: 10.0.0.0/31 }
      - { action: permit+reflect, family: ip6 }
      - { action: permit, protocol: udp }
  # One connection is all that it has room for.
  full:
    kind: acl
    sessions: { capacity: 1 }
    rules:
      - { action: permit+reflect, protocol: tcp }
  listed: { kind: deny-list, prefixes: [10.0.0.0/31, 0.0.0.0-0.255.255.255, '::/1'] }
  whole:
    kind: acl
    fragments: drop
    rules: []
  nat:
    kind: nat44
    inside-prefixes: [192.168.1.0/24, 10.0.0.2/32, 10.0.0.4/32]
    pool: ['10.0.0.1:515-520']
    static: [{ inside: 192.168.1.11, protocol: tcp, port: 2 }]
    per-user: { ports: 3, sessions: 20 }
    sessions: { capacity: 30 }
    fragment-timeout: 20ms
    waiting-fragments: 2
  one-port:
    kind: nat44
    inside-prefixes: [192.168.1.0/24, 10.0.0.2/32, 10.0.0.4/32]
    pool: ['10.0.0.1:515']
    mapping: endpoint-dependent
    fragment-timeout: 20ms
  paced:
    kind: nat44
    inside-prefixes: [192.168.1.0/24, 10.0.0.2/32, 10.0.0.4/32]
    pool: ['10.0.0.1:515-520']
    per-user: { rate: 1 }
    fragment-timeout: 20ms
  served:
    kind: nat44
    inside-prefixes: [192.168.1.0/24]
    static: [{ inside: 192.168.1.11, outside: 10.0.0.1, protocol: tcp, port: 2 }]
    per-user: { sessions: 1 }
    fragment-timeout: 20ms
  # Who calls is inside.
  called-from-inside:
    kind: nat44
    inside-prefixes: [192.168.1.0/24, 10.0.0.2/32]
    static: [{ inside: 192.168.1.11, outside: 10.0.0.1, protocol: tcp, port: 2 }]
    fragment-timeout: 20ms
  # Two ports lead to one.
  served-twice:
    kind: nat44
    inside-prefixes: [192.168.1.0/24]
    static:
      - { inside: 192.168.1.11, outside: 10.0.0.1, protocol: tcp, port: 2 }
      - { inside: 192.168.1.11, outside: 10.0.0.1, protocol: tcp, port: 6, inside-port: 2 }
    fragment-timeout: 20ms
nodes:
";

/// Settings for each kind of the product, more than one where they make a difference.
const SETTINGS: &[(&str, &str)] = &[
    ("rx", "interface: a"),
    ("ethernet-input", ""),
    ("ip4-input", "martians: special, options: separate"),
    ("ip4-input", "martians: allow, options: separate"),
    ("ip4-options", "table: routes"),
    ("ip4-options", "table: routes, source-route: process, drop: []"),
    ("deny", ""),
    ("deny", "layer: ethernet, match: both"),
    ("acl-filter", "table: rules"),
    ("acl-filter", "table: rules, layer: ethernet"),
    ("acl-filter", "table: reflecting"),
    ("acl-filter", "table: reflecting, layer: ethernet"),
    ("acl-filter", "table: full"),
    ("acl-filter", "table: whole"),
    ("nat44-in2out", "table: nat"),
    ("nat44-in2out", "table: one-port"),
    ("nat44-in2out", "table: paced"),
    ("nat44-in2out", "table: one-port, hairpin: true"),
    ("nat44-out2in", "table: nat"),
    ("nat44-out2in", "table: served"),
    ("nat44-out2in", "table: called-from-inside"),
    ("nat44-out2in", "table: served-twice"),
    ("ip4-dscp", "dscp: 46"),
    ("tcp-mss", ""),
    ("ip4-fragment", "hold: 1"),
    ("ip4-reassembly", "datagrams: 3, per-source: 2, largest: 1000, timeout: 15s"),
    ("ip4-lookup", "table: routes, neighbours: neighbours"),
    ("ip4-rewrite", "neighbours: neighbours"),
    ("ip4-urpf", "table: routes, mode: strict"),
    ("ip4-urpf", "table: default-only"),
    ("ip4-urpf", "table: routes, mode: feasible, allow-default: true"),
    ("ip4-urpf", "table: routes, mode: loose"),
    ("ethernet-mirror", ""),
    ("bridge-input", ""),
    ("bridge-input", "forward-reserved: true"),
    ("bridge-flood", "table: stations"),
    ("handoff", ""),
    ("handoff", "layer: ip"),
    ("switch", ""),
    ("switch", "by: tx-interface"),
    ("classify", "rules: [{ match: tcp or udp dst port 53, edge: a }, { match: not ip and greater 64, edge: b }]"),
    ("classify", "layer: ip, rules: [{ match: icmp or dscp 3, edge: a }, { match: src net 0.0.0.0/1, edge: b }]"),
    ("hash-switch", ""),
    ("hash-switch", "layer: ip, seed: 7"),
    ("round-robin", ""),
    ("meter", "packets: 1, burst-packets: 1000, bits: 1Mbps, burst: 100KiB"),
    ("tee", ""),
    ("paint", "color: 3"),
    ("check-paint", "colors: { a: 4, b: 5 }"),
    ("counter", ""),
    ("ip4-resolve", "neighbours: neighbours, hold: 8, queue: 2"),
    ("arp-input", "neighbours: neighbours"),
    ("ip4-local", "punt: [udp]"),
    ("icmp-error", "rate: 1pps, burst: 60, host-burst: 20"),
    ("punt", "interfaces: { a: b }"),
    ("tx", ""),
    ("tx", "interface: b"),
    ("drop", ""),
];

/// The kind behind a source that gives each packet any lane, start and length; its edges lead nowhere, or to `drop`.
fn alone(kind: NodeKind, settings: &str) -> String {
    let name = kind.info().kind.as_str();
    let required = kind.edges().iter().filter(|edge| edge.class == EdgeClass::Required);
    let required = required.map(|edge| edge.name.as_str());
    // After interfaces, which are names as good as any.
    let named: &[&str] = if kind.named().is_some() { &["a", "b"] } else { &[] };
    let to: String = required.chain(named.iter().copied()).map(|edge| format!("{edge}: end, ")).collect();
    let comma = if settings.is_empty() { "" } else { ", " };
    let node = format!("  subject: {{ kind: {name}, {settings}{comma}to: {{ {to} }} }}\n  end: {{ kind: drop }}\n");
    let source = match kind.info() {
        info if info.input.as_str() == layer::NONE => "",
        // Without mappings there is nothing that it could translate.
        info if info.kind.as_str() == "nat44-out2in" && settings == "table: nat" => {
            "  source: { kind: scramble, interface: a, to: leave }\n  leave: { kind: nat44-in2out, table: nat, to: { ok: subject, other: subject } }\n"
        }
        info if info.reads.as_slice().is_empty() => "  source: { kind: scramble, interface: a, to: subject }\n",
        // What it reads has to be written.
        _ => "  source: { kind: scramble, interface: a, to: paint }\n  paint: { kind: paint, color: 3, to: subject }\n",
    };
    format!("{SURROUNDINGS}{source}{node}")
}

/// An ARP message that is right, or nearly.
fn arp(rng: &mut Rng) -> Vec<u8> {
    let ip = |rng: &mut Rng| {
        let host = [10, 0, rng.below(3) as u8, rng.below(256) as u8];
        rng.pick(&[[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 1, 1], host, host, [0; 4], [224, 0, 0, 1]])
    };
    let message = etherparse::ArpEthIpv4Packet {
        operation: etherparse::ArpOperation(rng.pick(&[1, 1, 1, 2, 2, 3])),
        sender_mac: rng.pick(&[mac(0x77), mac(0x78), mac(1), [0; 6], [0xff; 6]]),
        sender_ipv4: ip(rng),
        target_mac: [0; 6],
        target_ipv4: ip(rng),
    };
    ethernet(rng.pick(&[mac(1), [0xff; 6]]), 0x0806, &message.to_bytes())
}

/// A frame that is right, nearly right, or noise.
fn frame(rng: &mut Rng) -> Vec<u8> {
    let mut frame = match rng.below(10) {
        8 => arp(rng),
        // On an interface without addresses, or on one whose neighbours wait.
        9 => ip4(mac(1), [10, 0, rng.below(2) as u8, rng.below(256) as u8], 64, rng.below(100)),
        0 => {
            let len = rng.below(200);
            rng.bytes(len)
        }
        1 => packet(header((rng.bits() as u32).to_be_bytes(), rng.bits() as u8, rng.below(700)), &[]),
        2 => {
            let (ethertype, len) = (rng.pick(&[0x0800, 0x0800, 0x86dd, 0x0806, 0x8100]), rng.below(700));
            let payload = if rng.one_in(4) { vec![0xff; len] } else { rng.bytes(len) };
            let reserved = [0x01, 0x80, 0xc2, 0, 0, rng.below(17) as u8];
            ethernet(rng.pick(&[mac(1), mac(1), [0xff; 6], mac(0x98), mac(0x99), reserved]), ethertype, &payload)
        }
        3 => {
            let options = vec![1; rng.below(11) * 4];
            ethernet(mac(1), 0x0800, &packet(header([10, 0, 1, 2], 64, rng.below(50)), &options))
        }
        // As long as a buffer.
        4 if rng.one_in(20) => rng.bytes(2048),
        5 => {
            let known = [
                [10, 0, 0, 1],
                [10, 0, 0, 2],
                [10, 0, 1, 2],
                [10, 0, 1, 3],
                [172, 16, 0, 1],
                [172, 20, 0, 1],
                [172, 24, 0, 1],
                [224, 0, 0, 1],
                [255; 4],
                [0; 4],
                [192, 0, 2, 1],
            ];
            ip4(mac(1), rng.pick(&known), 64, rng.below(600))
        }
        6 if rng.one_in(4) => tcp(rng),
        6 => icmp(rng),
        7 => fragment(rng),
        _ => ip4(mac(1), (rng.bits() as u32).to_be_bytes(), rng.bits() as u8, rng.below(700)),
    };
    if rng.one_in(2) {
        mutate(&mut frame, rng);
        frame.truncate(2048);
        if rng.one_in(2) {
            mend(&mut frame);
        }
    }
    // For the kinds that take packets without an Ethernet header.
    if rng.one_in(3) {
        frame.drain(..frame.len().min(14));
    }
    frame
}

/// A fragment of one of a few datagrams.
fn fragment(rng: &mut Rng) -> Vec<u8> {
    let mut ip = header([10, 0, 0, 1], 64, rng.pick(&[0, 8, 8, 16, 16, 24, 24, 25, 700]));
    ip.source = [10, 0, 0, rng.pick(&[2, 3, 4])];
    ip.identification = rng.below(4) as u16;
    ip.protocol = rng.pick(&[IpNumber::UDP, IpNumber::UDP, IpNumber::TCP]);
    (ip.dont_fragment, ip.more_fragments) = (false, rng.one_in(2));
    ip.fragment_offset = IpFragOffset::try_new(rng.pick(&[0, 0, 1, 2, 3, 100, 8191])).expect("at most 8191");
    ip.ecn = IpEcn::try_new(rng.pick(&[0, 0, 3])).expect("two bits");
    ethernet(mac(1), 0x0800, &packet(ip, &[]))
}

/// A step of one of a few TCP connections, by either side.
fn tcp(rng: &mut Rng) -> Vec<u8> {
    let (caller, called) = (([10, 0, 0, 2], [0, rng.pick(&[1, 3])]), ([10, 0, 0, 1], [0, rng.pick(&[2, 2, 2, 6])]));
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    let (from, to, flags) = rng.pick(&[(caller, called, SYN), (called, caller, SYN | ACK), (caller, called, ACK)]);
    let mut ip = header(to.0, 64, 20);
    (ip.source, ip.protocol) = (from.0, IpNumber::TCP);
    let mut packet = packet(ip, &[]);
    packet[20..].fill(0);
    packet[20..22].copy_from_slice(&from.1);
    packet[22..24].copy_from_slice(&to.1);
    // The header's length in words of 32 bits (RFC 9293 §3.1).
    (packet[32], packet[33]) = (5 << 4, flags);
    ethernet(mac(1), 0x0800, &packet)
}

/// An ICMP message with any options.
fn icmp(rng: &mut Rng) -> Vec<u8> {
    let destination = rng.pick(&[[10, 0, 0, 1], [10, 0, 1, 1], [10, 0, 0, 255], [8, 8, 8, 8]]);
    let mut ip = header(destination, rng.pick(&[0, 1, 64]), 8 + rng.below(600));
    ip.protocol = IpNumber::ICMP;
    ip.source = rng.pick(&[[10, 0, 0, 2], [8, 8, 8, 8], [127, 0, 0, 1], [10, 0, 1, 255]]);
    // None, none, the route recorded, malformed, source routes, obsolete (RFC 791 §3.1, RFC 7126).
    let options: &[u8] = rng.pick(&[
        &[],
        &[1, 1, 1, 0],
        &[7, 7, 4, 0, 0, 0, 0, 0],
        &[7, 3, 4, 0],
        &[7, 90, 4, 0],
        &[131, 7, 4, 10, 0, 0, 2, 0],
        &[137, 7, 4, 8, 8, 8, 8, 0],
        &[136, 4, 0, 1],
    ]);
    let mut packet = packet(ip, options);
    let message = &mut packet[20 + options.len()..];
    message[..2].copy_from_slice(&[rng.pick(&[8, 8, 0, 3, 99]), 0]);
    message[2..4].fill(0);
    let sum = Sum16BitWords::new().add_slice(message).ones_complement();
    message[2..4].copy_from_slice(&sum.to_ne_bytes());
    ethernet(mac(1), 0x0800, &packet)
}

fn fuzz(rig: &mut Rig, interfaces: &[&str], mut left: usize, rng: &mut Rng, mut now: u64) {
    while left > 0 {
        let count = 1 + rng.below(600);
        for _ in 0..count {
            rig.feed(rng.pick(interfaces), [frame(rng)]);
        }
        rig.run();
        // What waits for a neighbour that is not there waits no longer than this.
        now += 30_000_000;
        // Longer than the longest time that anything is kept for, now and then.
        if rng.one_in(20) {
            now += 60_000_000_000;
        }
        rig.engine().step_until(now);
        let ledger = rig.check();
        assert_eq!((ledger.held, ledger.in_transit, ledger.buffers.rings), (0, 0, 0));
        let faults = ledger.dropped.values().filter_map(|reasons| reasons.get("fault")).sum::<u64>();
        assert_eq!(faults, 0, "{:?}", ledger.dropped);
        left = left.saturating_sub(count);
    }
}

#[test]
fn every_kind_has_settings_here() {
    let known: BTreeSet<&str> = SETTINGS.iter().map(|(kind, _)| *kind).collect();
    let kinds: BTreeSet<&str> = swath_nodes::NODES.iter().map(|kind| kind.info().kind.as_str()).collect();
    assert_eq!(kinds, known);
}

#[test]
fn anything_through_every_kind() {
    let mut rng = Rng::new();
    for kind in swath_nodes::NODES {
        let name = kind.info().kind.as_str();
        // With different settings, some edges exclude each other.
        let settings = SETTINGS.iter().filter(|(of, _)| *of == name);
        let mut rigs: Vec<Rig> = Vec::new();
        let mut never: Vec<String> = kind.edges().iter().map(|edge| format!("subject.{}", edge.name)).collect();
        for (_, settings) in settings {
            let mut rig = Rig::new(&alone(*kind, settings));
            fuzz(&mut rig, &["a"], scaled(FRAMES_OF_A_KIND), &mut rng, 0);
            never.retain(|edge| rig.count(edge) == 0);
            rigs.push(rig);
        }
        // What is rare takes longer by chance.
        for round in 1..=300 {
            if never.is_empty() {
                break;
            }
            for rig in &mut rigs {
                fuzz(rig, &["a"], scaled(FRAMES_OF_A_KIND), &mut rng, round * 3_600_000_000_000);
                never.retain(|edge| rig.count(edge) == 0);
            }
        }
        assert!(never.is_empty() || scaled(100) < 100, "the packets for {name} are too tame: {never:?} never occurred");
    }
}

#[test]
fn anything_through_the_router() {
    let nodes = "
  a-rx: { kind: rx, interface: a, to: eth }
  b-rx: { kind: rx, interface: b, to: eth }
  eth: { kind: ethernet-input, to: { ip4: ip4, arp: arp, not-ours: strangers } }
  arp: { kind: arp-input, to: { reply: tx, defence: tx } }
  strangers: { kind: drop }
  ip4: { kind: ip4-input, to: mark }
  mark: { kind: ip4-dscp, dscp: 10, to: lookup }
  lookup: { kind: ip4-lookup, table: routes, to: { forward: rewrite, multicast: strangers, local: local, no-route: error } }
  rewrite: { kind: ip4-rewrite, to: { ok: tx, ttl-expired: error, too-big: error, unresolved: resolve } }
  resolve: { kind: ip4-resolve, to: { resolved: tx, request: tx, failed: error } }
  local: { kind: ip4-local, to: { reply: own-lookup, unreachable: error } }
  error: { kind: icmp-error, rate: 1Mpps, burst: 1000000, host-burst: 1000000, to: own-lookup }
  own-lookup: { kind: ip4-lookup, table: routes, to: own-rewrite }
  own-rewrite: { kind: ip4-rewrite, to: tx }
  tx: { kind: tx }
";
    let mut rng = Rng::new();
    let mut rig = Rig::new(&format!("{SURROUNDINGS}{nodes}"));
    fuzz(&mut rig, &["a", "b"], scaled(FRAMES), &mut rng, 0);
    assert!(rig.count("tx.sent") > 0 && rig.count("tx.ring-full") > 0, "{:?}", rig.counts());
}

#[test]
fn anything_through_the_router_after_anything_was_done_to_it() {
    let nodes = "
  source: { kind: scramble, interface: a, to: fan }
  fan: { kind: fan, to: { out: eth, a: ip4, b: lookup, c: fan2 } }
  fan2: { kind: fan, count: 2, to: { out: rewrite, a: tx, b: flood, c: eat } }
  flood: { kind: flood, count: 2, to: { out: eth, a: ip4, b: rewrite } }
  eat: { kind: eat, to: mark }
  eth: { kind: ethernet-input, to: ip4 }
  ip4: { kind: ip4-input, to: mark }
  mark: { kind: ip4-dscp, dscp: 10, to: lookup }
  lookup: { kind: ip4-lookup, table: routes, to: rewrite }
  rewrite: { kind: ip4-rewrite, to: tx }
  tx: { kind: tx }
";
    let mut rng = Rng::new();
    // Few buffers, so that copies run out of them.
    let mut rig = Rig::with(&format!("{SURROUNDINGS}{nodes}"), Some(300), &[]);
    fuzz(&mut rig, &["a"], scaled(FRAMES / 2), &mut rng, 0);
    assert!(rig.count("flood.out-of-buffers") > 0 && rig.count("eat.done") > 0, "{:?}", rig.counts());
}
