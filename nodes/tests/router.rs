//! The whole IPv4 router, packet by packet: what leaves, or where and why it is dropped, and every counter on the way.

mod common;

use std::collections::BTreeMap;

use common::Rig;
use common::frames::{Mac, ethernet, forwarded, header, ip4, mac, packet};
use common::random::Rng;

const GRAPH: &str = "
version: 1
interfaces:
  lan: { driver: test, mac: 02:00:00:00:00:01, addresses: [192.168.1.1/24] }
  wan: { driver: test, mac: 02:00:00:00:00:02, addresses: [203.0.113.2/30], mtu: 1400 }
tables:
  neighbours:
    kind: neighbours
    static:
      - { address: 192.168.1.10, mac: 02:00:00:00:00:10 }
      - { address: 203.0.113.1, mac: 02:00:00:00:00:99 }
      - { address: 100.64.0.5, mac: 02:00:00:00:00:55, interface: wan }
  routes:
    kind: fib4
    routes:
      - { prefix: 198.51.100.0/24, via: 203.0.113.1 }
      - { prefix: 198.51.100.128/25, via: 192.168.1.10 }
      - { prefix: 198.51.100.200/32, via: 203.0.113.1 }
      - { prefix: 198.18.0.0/15, via: 192.168.1.77 }
      - { prefix: 100.64.0.0/10, interface: wan }
      - { prefix: 10.66.0.0/16, blackhole: true }
      - { prefix: 10.66.7.0/24, via: 203.0.113.1 }
nodes:
  lan-rx:   { kind: rx, interface: lan, to: ethernet }
  wan-rx:   { kind: rx, interface: wan, to: ethernet }
  ethernet: { kind: ethernet-input, to: ip4 }
  ip4:      { kind: ip4-input, to: lookup }
  lookup:   { kind: ip4-lookup, to: rewrite }
  rewrite:  { kind: ip4-rewrite, to: tx }
  tx:       { kind: tx }
";

const LAN: Mac = mac(1);
const WAN: Mac = mac(2);
const GROUP: Mac = [0x01, 0, 0x5e, 0, 0, 1];

/// The nodes of a packet's way and the edges that lead on.
const WAY: [(&str, &str); 5] = [("ethernet", "ip4"), ("ip4", "ok"), ("lookup", "forward"), ("rewrite", "ok"), ("tx", "sent")];

#[derive(Debug, Clone)]
enum Expect {
    /// It leaves by this interface to this address.
    Out(&'static str, Mac),
    /// It is dropped at this node for this reason.
    Drop(&'static str, &'static str),
}
use Expect::{Drop, Out};

struct Case {
    name: &'static str,
    rx: &'static str,
    frame: Vec<u8>,
    expect: Expect,
}

impl Case {
    /// Everything that the engine counts about the packet.
    fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        let mut step = |node: &str, edge: &str| {
            counts.insert(node.to_string(), 1);
            counts.insert(format!("{node}.{edge}"), 1);
        };
        step(&format!("{}-rx", self.rx), "out");
        for (node, edge) in WAY {
            match self.expect {
                Drop(at, reason) if at == node => {
                    step(node, reason);
                    break;
                }
                _ => step(node, edge),
            }
        }
        counts
    }

    /// What leaves, and where.
    fn out(&self) -> Option<(&'static str, Vec<u8>)> {
        match self.expect {
            Out(interface, to) => Some((interface, forwarded(&self.frame, to, if interface == "lan" { LAN } else { WAN }))),
            Drop(..) => None,
        }
    }
}

/// A frame of which one byte of the IPv4 header is another, with a right checksum.
fn changed(at: usize, value: u8) -> Vec<u8> {
    let mut frame = ip4(LAN, [198, 51, 100, 7], 64, 40);
    frame[14 + at] = value;
    common::frames::mend(&mut frame);
    frame
}

fn damaged() -> Vec<u8> {
    let mut frame = ip4(LAN, [198, 51, 100, 7], 64, 40);
    frame[14 + 13] ^= 0x10;
    frame
}

fn cut(length: usize) -> Vec<u8> {
    ip4(LAN, [198, 51, 100, 7], 64, 40)[..length].to_vec()
}

fn padded(payload: usize) -> Vec<u8> {
    let mut frame = ip4(LAN, [198, 51, 100, 7], 64, payload);
    frame.resize(60, 0xaa);
    frame
}

fn with_options(words: usize) -> Vec<u8> {
    // NOPs, and the end of the list.
    let mut options = vec![1; words * 4];
    options[words * 4 - 1] = 0;
    ethernet(LAN, 0x0800, &packet(header([198, 51, 100, 7], 64, 32), &options))
}

fn fragment() -> Vec<u8> {
    let mut header = header([198, 51, 100, 7], 64, 64);
    (header.more_fragments, header.fragment_offset) = (true, 185.try_into().unwrap());
    (header.dscp, header.ecn) = (46.try_into().unwrap(), 3.try_into().unwrap());
    ethernet(LAN, 0x0800, &packet(header, &[]))
}

fn cases() -> Vec<Case> {
    let to = |to, destination| ip4(to, destination, 64, 40);
    let ttl = |ttl, destination| ip4(LAN, destination, ttl, 40);
    let size = |to, destination, length: usize| ip4(to, destination, 64, length - 20);
    let typed = |ethertype| ethernet(LAN, ethertype, &[0x55; 46]);
    let gateway = || Out("wan", mac(0x99));
    let host = || Out("lan", mac(0x10));
    let table: Vec<(&str, &str, Vec<u8>, Expect)> = vec![
        ("by a gateway", "lan", to(LAN, [198, 51, 100, 7]), gateway()),
        ("by a gateway, the last address", "lan", to(LAN, [198, 51, 100, 127]), gateway()),
        ("the longer route", "lan", to(LAN, [198, 51, 100, 128]), host()),
        ("the longest route", "lan", to(LAN, [198, 51, 100, 200]), gateway()),
        ("beside the longest route", "wan", to(WAN, [198, 51, 100, 201]), host()),
        ("a longer route in a blackhole", "lan", to(LAN, [10, 66, 7, 255]), gateway()),
        ("a neighbour", "wan", to(WAN, [192, 168, 1, 10]), host()),
        ("a neighbour, back to where it came from", "lan", to(LAN, [192, 168, 1, 10]), host()),
        ("the gateway itself", "lan", to(LAN, [203, 0, 113, 1]), gateway()),
        ("a neighbour of an on-link route", "lan", to(LAN, [100, 64, 0, 5]), Out("wan", mac(0x55))),
        ("an unknown neighbour", "wan", to(WAN, [192, 168, 1, 99]), Drop("rewrite", "unresolved")),
        ("an unknown neighbour of an on-link route", "lan", to(LAN, [100, 64, 0, 6]), Drop("rewrite", "unresolved")),
        ("an unknown next hop", "lan", to(LAN, [198, 19, 0, 1]), Drop("rewrite", "unresolved")),
        ("an unknown next hop as a destination", "wan", to(WAN, [192, 168, 1, 77]), Drop("rewrite", "unresolved")),
        ("the subnet's own address", "wan", to(WAN, [192, 168, 1, 0]), Drop("rewrite", "unresolved")),
        ("the router", "lan", to(LAN, [192, 168, 1, 1]), Drop("lookup", "local")),
        ("the router, by its other address", "lan", to(LAN, [203, 0, 113, 2]), Drop("lookup", "local")),
        ("the router, TTL 1", "lan", ttl(1, [192, 168, 1, 1]), Drop("lookup", "local")),
        ("the router, TTL 0", "lan", ttl(0, [192, 168, 1, 1]), Drop("lookup", "local")),
        ("a subnet's broadcast", "lan", to([0xff; 6], [192, 168, 1, 255]), Drop("lookup", "local")),
        ("a broadcast directed to the other subnet", "lan", to(LAN, [203, 0, 113, 3]), Drop("lookup", "local")),
        ("the limited broadcast", "lan", to([0xff; 6], [255, 255, 255, 255]), Drop("lookup", "local")),
        ("a multicast group", "lan", to(GROUP, [224, 0, 0, 1]), Drop("lookup", "multicast")),
        ("the last multicast group", "wan", to(GROUP, [239, 255, 255, 255]), Drop("lookup", "multicast")),
        ("this network", "lan", to(LAN, [0, 0, 0, 0]), Drop("lookup", "martian")),
        ("a host of this network", "lan", to(LAN, [0, 255, 255, 255]), Drop("lookup", "martian")),
        ("loopback", "lan", to(LAN, [127, 0, 0, 1]), Drop("lookup", "martian")),
        ("class E", "lan", to(LAN, [240, 0, 0, 0]), Drop("lookup", "martian")),
        ("the last of class E", "lan", to(LAN, [255, 255, 255, 254]), Drop("lookup", "martian")),
        ("a blackhole", "lan", to(LAN, [10, 66, 6, 255]), Drop("lookup", "blackhole")),
        ("no route", "lan", to(LAN, [8, 8, 8, 8]), Drop("lookup", "no-route")),
        ("no route, one below a route", "lan", to(LAN, [198, 51, 99, 255]), Drop("lookup", "no-route")),
        ("no route, one above a route", "lan", to(LAN, [198, 51, 101, 0]), Drop("lookup", "no-route")),
        ("no route, TTL 1", "lan", ttl(1, [8, 8, 8, 8]), Drop("lookup", "no-route")),
        ("TTL 255", "lan", ttl(255, [198, 51, 100, 7]), gateway()),
        ("TTL 2", "lan", ttl(2, [198, 51, 100, 7]), gateway()),
        ("TTL 1", "lan", ttl(1, [198, 51, 100, 7]), Drop("rewrite", "ttl-expired")),
        ("TTL 0", "lan", ttl(0, [198, 51, 100, 7]), Drop("rewrite", "ttl-expired")),
        ("the MTU", "lan", size(LAN, [198, 51, 100, 7], 1400), gateway()),
        ("more than the MTU", "lan", size(LAN, [198, 51, 100, 7], 1401), Drop("rewrite", "too-big")),
        ("the MTU of the other side", "wan", size(WAN, [192, 168, 1, 10], 1500), host()),
        ("more than the MTU of the other side", "wan", size(WAN, [192, 168, 1, 10], 1501), Drop("rewrite", "too-big")),
        ("no payload", "lan", size(LAN, [198, 51, 100, 7], 20), gateway()),
        ("one word of options", "lan", with_options(1), gateway()),
        ("ten words of options", "lan", with_options(10), gateway()),
        ("padding", "lan", padded(5), gateway()),
        ("padding behind a header", "lan", padded(0), gateway()),
        ("a fragment with a mark", "lan", fragment(), gateway()),
        ("a reserved flag", "lan", changed(6, 0x80), gateway()),
        ("damage", "lan", damaged(), Drop("ip4", "bad-checksum")),
        ("version 6", "lan", changed(0, 0x65), Drop("ip4", "bad-version")),
        ("a header of 16 bytes", "lan", changed(0, 0x44), Drop("ip4", "bad-header-length")),
        ("a total length below the header's", "lan", changed(3, 19), Drop("ip4", "bad-length")),
        ("a total length beyond the frame", "lan", changed(3, 61), Drop("ip4", "too-short")),
        ("a packet that is cut", "lan", cut(14 + 59), Drop("ip4", "too-short")),
        ("a header that is cut", "lan", cut(14 + 19), Drop("ip4", "too-short")),
        ("an Ethernet header alone", "lan", cut(14), Drop("ip4", "too-short")),
        ("an Ethernet header that is cut", "lan", cut(13), Drop("ethernet", "too-short")),
        ("nothing", "lan", cut(0), Drop("ethernet", "too-short")),
        ("ARP", "lan", ethernet([0xff; 6], 0x0806, &[0; 46]), Drop("ethernet", "arp")),
        ("IPv6", "lan", typed(0x86dd), Drop("ethernet", "ip6")),
        ("an 802.1Q tag", "lan", typed(0x8100), Drop("ethernet", "vlan")),
        ("an 802.1ad tag", "lan", typed(0x88a8), Drop("ethernet", "vlan")),
        ("LLDP", "lan", typed(0x88cc), Drop("ethernet", "other")),
        ("an 802.3 length", "lan", typed(0x002e), Drop("ethernet", "other")),
        ("another station", "lan", to(mac(3), [198, 51, 100, 7]), Drop("ethernet", "not-ours")),
        ("the other interface's address", "lan", to(WAN, [198, 51, 100, 7]), Drop("ethernet", "not-ours")),
        ("ARP to another station", "lan", ethernet(mac(3), 0x0806, &[0; 46]), Drop("ethernet", "not-ours")),
    ];
    table.into_iter().map(|(name, rx, frame, expect)| Case { name, rx, frame, expect }).collect()
}

#[test]
fn each_packet_alone() {
    for case in cases() {
        let mut rig = Rig::new(GRAPH);
        rig.feed(case.rx, [case.frame.clone()]);
        rig.run();
        assert_eq!(rig.counts(), case.counts(), "{}", case.name);
        let sent = ["lan", "wan"].map(|name| rig.sent(name).into_iter().map(|frame| (name, frame)).collect::<Vec<_>>()).concat();
        assert_eq!(sent, Vec::from_iter(case.out()), "{}", case.name);
        let ledger = rig.check();
        assert_eq!((ledger.received, ledger.sent), (1, u64::from(case.out().is_some())));
    }
}

#[test]
fn all_packets_in_mixed_vectors() {
    let mut rng = Rng::new();
    let cases = cases();
    let mut rig = Rig::new(GRAPH);
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..30 {
        let mut order: Vec<&Case> = cases.iter().chain(&cases).chain(&cases).chain(&cases).chain(&cases).collect();
        rng.shuffle(&mut order);
        order.truncate(1 + rng.below(order.len()));
        for case in &order {
            rig.feed(case.rx, [case.frame.clone()]);
            case.counts().into_iter().for_each(|(name, count)| *expected.entry(name).or_default() += count);
        }
        rig.run();
        assert_eq!(rig.counts(), expected, "round {round}");
        for name in ["lan", "wan"] {
            // What came from one interface leaves in the order in which it came.
            let mut sent = rig.sent(name);
            let mut left: Vec<Vec<u8>> =
                order.iter().filter_map(|case| case.out()).filter(|out| out.0 == name).map(|out| out.1).collect();
            if name == "wan" {
                assert_eq!(sent, left, "round {round}");
            }
            sent.sort();
            left.sort();
            assert_eq!(sent, left, "round {round}");
        }
        rig.check();
    }
}

#[test]
fn several_interfaces_through_one_chain() {
    const COUNT: u8 = 5;
    let name = |index: u8| format!("if{index}");
    let interface = |index: u8| {
        format!(
            "  if{index}: {{ driver: test, mac: 02:00:00:00:00:0{index}, addresses: [10.0.{index}.1/24], mtu: {} }}\n",
            1000 + u16::from(index)
        )
    };
    let neighbour = |index: u8| format!("{{ address: 10.0.{index}.2, mac: 02:00:00:00:01:0{index} }}");
    let mut graph = format!("version: 1\ninterfaces:\n{}", (0..COUNT).map(interface).collect::<String>());
    graph +=
        &format!("tables:\n  n: {{ kind: neighbours, static: [{}] }}\n", (0..COUNT).map(neighbour).collect::<Vec<_>>().join(", "));
    graph += "  r: { kind: fib4 }\nnodes:\n";
    (0..COUNT).for_each(|index| graph += &format!("  rx{index}: {{ kind: rx, interface: if{index}, to: ethernet }}\n"));
    graph += "  ethernet: { kind: ethernet-input, to: ip4 }\n  ip4: { kind: ip4-input, to: lookup }\n";
    graph += "  lookup: { kind: ip4-lookup, to: rewrite }\n  rewrite: { kind: ip4-rewrite, to: tx }\n  tx: { kind: tx }\n";
    let mut rig = Rig::new(&graph);
    let (mut sent, mut not_ours, mut too_big) = (vec![Vec::new(); COUNT.into()], 0, 0);
    let mut rng = Rng::new();
    for _ in 0..2000 {
        let (rx, of, tx) = (rng.below(COUNT.into()) as u8, rng.below(COUNT.into()) as u8, rng.below(COUNT.into()) as u8);
        // To the address of the interface that receives it, or of another one; as long as the MTU, or one byte longer.
        let of = if rng.one_in(4) { of } else { rx };
        let longer = rng.one_in(4);
        let frame = ip4(mac(of), [10, 0, tx, 2], 1 + 63, 980 + usize::from(tx) + usize::from(longer));
        match (of == rx, longer) {
            (false, _) => not_ours += 1,
            (true, true) => too_big += 1,
            (true, false) => sent[usize::from(tx)].push(forwarded(&frame, [2, 0, 0, 0, 1, tx], mac(tx))),
        }
        rig.feed(&name(rx), [frame]);
    }
    rig.run();
    for (index, mut expected) in sent.into_iter().enumerate() {
        let mut left = rig.sent(&name(index as u8));
        expected.sort();
        left.sort();
        assert_eq!(left, expected, "if{index}");
    }
    assert_eq!((rig.count("ethernet.not-ours"), rig.count("rewrite.too-big")), (not_ours, too_big));
    rig.check();
}
