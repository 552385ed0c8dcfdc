//! A router that finds its neighbours by ARP: requests, answers, packets that wait, neighbours that move, fall silent and come back. By
//! virtual time, with one worker and with several; expected frames are etherparse's.

mod common;

use std::time::{Duration, Instant};

use common::frames::{Mac, SENDER, ethernet, forwarded, ip4, mac, mutate};
use common::random::Rng;
use common::{Rig, scaled};
use etherparse::{ArpEthIpv4Packet, ArpOperation, EtherType, Ethernet2Header};

const LAN: Mac = mac(1);
const WAN: Mac = mac(2);
const HOST: Mac = mac(0x50);
const HOST_IP: [u8; 4] = [192, 168, 1, 50];
const ROUTER_IP: [u8; 4] = [192, 168, 1, 1];
const ALL: Mac = [0xff; 6];
const MS: u64 = 1_000_000;

fn graph(workers: usize, table: &str, resolve: &str) -> String {
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces:
  lan: {{ driver: test, mac: 02:00:00:00:00:01, addresses: [192.168.1.1/24] }}
  wan: {{ driver: test, mac: 02:00:00:00:00:02, addresses: [203.0.113.2/30, 10.0.0.1/8], mtu: 1400 }}
tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 192.168.1.9, mac: 02:00:00:00:00:09 }}]{table} }}
  routes:
    kind: fib4
    routes: [{{ prefix: 198.51.100.0/24, via: 203.0.113.1 }}, {{ prefix: 100.64.0.0/10, interface: lan }}]
nodes:
  lan-rx:   {{ kind: rx, interface: lan, to: ethernet }}
  wan-rx:   {{ kind: rx, interface: wan, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4, arp: arp }} }}
  arp:      {{ kind: arp-input, to: {{ reply: tx, defence: tx }} }}
  ip4:      {{ kind: ip4-input, to: lookup }}
  lookup:   {{ kind: ip4-lookup, to: rewrite }}
  rewrite:  {{ kind: ip4-rewrite, to: {{ ok: tx, unresolved: resolve }} }}
  resolve:  {{ kind: ip4-resolve, to: {{ resolved: tx, request: tx }}{resolve} }}
  tx:       {{ kind: tx }}
"
    )
}

fn rig(table: &str, resolve: &str) -> Rig {
    Rig::new(&graph(1, table, resolve))
}

fn arp(operation: u16, from: (Mac, [u8; 4]), to: (Mac, [u8; 4])) -> [u8; 28] {
    let operation = ArpOperation(operation);
    ArpEthIpv4Packet { operation, sender_mac: from.0, sender_ipv4: from.1, target_mac: to.0, target_ipv4: to.1 }.to_bytes()
}

/// What the router sends.
fn frame(source: Mac, destination: Mac, message: [u8; 28]) -> Vec<u8> {
    let header = Ethernet2Header { destination, source, ether_type: EtherType::ARP };
    [&header.to_bytes()[..], &message].concat()
}

/// Who has this address? Asked by the router on lan.
fn asks(address: [u8; 4]) -> Vec<u8> {
    frame(LAN, ALL, arp(1, (LAN, ROUTER_IP), ([0; 6], address)))
}

/// As it comes in, padded as Ethernet pads.
fn padded(to: Mac, message: [u8; 28]) -> Vec<u8> {
    let mut frame = ethernet(to, 0x0806, &message);
    frame.resize(60, 0);
    frame
}

/// The answer of a host on lan.
fn answers(from: Mac, address: [u8; 4]) -> Vec<u8> {
    padded(LAN, arp(2, (from, address), (LAN, ROUTER_IP)))
}

/// A packet from wan for a host on lan, with a number as its length.
fn packet(to: [u8; 4], number: usize) -> Vec<u8> {
    ip4(WAN, to, 64, number)
}

fn at(rig: &mut Rig, milliseconds: u64) {
    rig.engine().step_until(milliseconds * MS);
}

fn wan(rig: &mut Rig, frames: impl IntoIterator<Item = Vec<u8>>) {
    rig.feed("wan", frames);
    rig.run();
}

fn lan(rig: &mut Rig, frames: impl IntoIterator<Item = Vec<u8>>) {
    rig.feed("lan", frames);
    rig.run();
}

fn show(rig: &mut Rig) -> serde_json::Value {
    let reply = rig.engine().command("neighbours", r#"{"show": {}}"#).expect("an answer");
    serde_json::from_str(&reply).expect("JSON")
}

/// State and hardware address of a neighbour.
fn state(rig: &mut Rig, address: [u8; 4]) -> Option<(String, Option<String>)> {
    let address = std::net::Ipv4Addr::from(address).to_string();
    let shown = show(rig);
    let found = shown["neighbours"].as_array().expect("a list").iter().find(|shown| shown["address"] == address.as_str())?;
    Some((found["state"].as_str()?.into(), found["mac"].as_str().map(String::from)))
}

fn known(state: &str, last: u8) -> Option<(String, Option<String>)> {
    Some((state.into(), Some(format!("02:00:00:00:00:{last:02x}"))))
}

#[test]
fn rfc_826_packet_reception() {
    let request = |target| padded(ALL, arp(1, (HOST, HOST_IP), ([0; 6], target)));
    let from = |mac, ip| padded(LAN, arp(1, (mac, ip), ([0; 6], ROUTER_IP)));
    let changed = |at: usize, value: u8| {
        let mut message = arp(1, (HOST, HOST_IP), ([0; 6], ROUTER_IP));
        message[at] = value;
        padded(ALL, message)
    };
    let table: Vec<(&str, Vec<u8>, &str, bool)> = vec![
        ("a request for us: its sender is learnt", request(ROUTER_IP), "reply", true),
        ("to our hardware address, as a poll (RFC 1122 2.3.2.1)", from(HOST, HOST_IP), "reply", true),
        ("a probe (RFC 5227 2.1.1): nothing is learnt", from(HOST, [0; 4]), "reply", false),
        ("a request for another station", request([192, 168, 1, 51]), "not-ours", false),
        ("for our address on the other link", request([203, 0, 113, 2]), "not-ours", false),
        ("a reply that nobody asked for", answers(HOST, HOST_IP), "unsolicited", false),
        ("an announcement of a stranger", request(HOST_IP), "unsolicited", false),
        ("?Do I have the hardware type", changed(1, 6), "bad-format", false),
        ("the length of hardware addresses", changed(4, 8), "bad-format", false),
        ("?Do I speak the protocol", changed(2, 0x86), "bad-format", false),
        ("the length of protocol addresses", changed(5, 16), "bad-format", false),
        ("RARP (RFC 903)", changed(7, 3), "bad-operation", false),
        ("no operation", changed(7, 0), "bad-operation", false),
        ("cut", ethernet(ALL, 0x0806, &arp(1, (HOST, HOST_IP), ([0; 6], ROUTER_IP))[..27]), "too-short", false),
        ("a broadcast sender", from(ALL, HOST_IP), "bad-sender", false),
        ("a group as sender", from([1, 0, 0x5e, 0, 0, 1], HOST_IP), "bad-sender", false),
        ("nobody as sender", from([0; 6], HOST_IP), "bad-sender", false),
        ("the subnet's broadcast as sender", from(HOST, [192, 168, 1, 255]), "bad-sender", false),
        ("the subnet as sender", from(HOST, [192, 168, 1, 0]), "bad-sender", false),
        ("a multicast group as sender", from(HOST, [224, 0, 0, 1]), "bad-sender", false),
        ("nobody answers", answers(HOST, [0; 4]), "bad-sender", false),
        ("of another subnet", from(HOST, [192, 168, 2, 50]), "off-subnet", false),
        ("ours comes back", from(WAN, HOST_IP), "looped", false),
        ("our address at another station (RFC 5227 2.4)", from(HOST, ROUTER_IP), "defence", false),
        ("our address is announced", padded(ALL, arp(1, (HOST, ROUTER_IP), ([0; 6], ROUTER_IP))), "defence", false),
        ("our address in a reply", answers(HOST, ROUTER_IP), "defence", false),
        ("our address on the other link at another station", from(HOST, [203, 0, 113, 2]), "conflict", false),
    ];
    for (name, message, edge, learnt) in table {
        let mut rig = rig("", "");
        let sender: [u8; 4] = message.get(28..32).map_or([0; 4], |bytes| bytes.try_into().unwrap());
        lan(&mut rig, [message]);
        assert_eq!((rig.count("arp"), rig.count(&format!("arp.{edge}"))), (1, 1), "{name}: {:?}", rig.counts());
        assert_eq!(state(&mut rig, HOST_IP), if learnt { known("reachable", 0x50) } else { None }, "{name}");
        let reply = frame(LAN, HOST, arp(2, (LAN, ROUTER_IP), (HOST, sender)));
        let sent = match edge {
            "reply" => vec![reply],
            "defence" => vec![announces()],
            _ => vec![],
        };
        assert_eq!(rig.sent("lan"), sent, "{name}");
        // Who has introduced itself gets packets at once.
        wan(&mut rig, [packet(HOST_IP, 9)]);
        assert_eq!(rig.count("rewrite.ok"), u64::from(learnt), "{name}");
        assert_eq!(rig.check().held, u64::from(!learnt), "{name}");
    }
}

/// The router announces its address (RFC 5227 §2.3).
fn announces() -> Vec<u8> {
    frame(LAN, ALL, arp(1, (LAN, ROUTER_IP), ([0; 6], ROUTER_IP)))
}

/// RFC 5227 §2.4 (c): once in DEFEND_INTERVAL, whoever claims it.
#[test]
fn an_address_is_defended_once_in_ten_seconds() {
    let mut rig = rig("", "");
    let claim = |mac| frame(mac, ALL, arp(1, (mac, ROUTER_IP), ([0; 6], HOST_IP)));
    lan(&mut rig, [claim(HOST), claim(HOST), claim([2, 0, 0, 0, 1, 0x66])]);
    assert_eq!(rig.sent("lan"), [announces()]);
    at(&mut rig, 9_999);
    lan(&mut rig, [claim(HOST)]);
    assert_eq!((rig.sent("lan").len(), rig.count("arp.conflict")), (0, 3));
    at(&mut rig, 10_000);
    lan(&mut rig, [claim(HOST)]);
    assert_eq!((rig.sent("lan"), rig.count("arp.defence")), (vec![announces()], 2));
}

#[test]
fn request_reply_release() {
    let mut rig = rig("", "");
    let packets: Vec<Vec<u8>> = (1..4).map(|number| packet(HOST_IP, number)).collect();
    wan(&mut rig, packets[..2].to_vec());
    assert_eq!(rig.sent("lan"), [asks(HOST_IP)], "one request for both");
    assert_eq!(state(&mut rig, HOST_IP), Some(("incomplete".into(), None)));
    at(&mut rig, 500);
    wan(&mut rig, packets[2..].to_vec());
    assert_eq!((rig.sent("lan").len(), rig.check().held), (0, 3));
    lan(&mut rig, [answers(HOST, HOST_IP)]);
    at(&mut rig, 504);
    let out: Vec<Vec<u8>> = packets.iter().map(|packet| forwarded(packet, HOST, LAN)).collect();
    assert_eq!(rig.sent("lan"), out);
    assert_eq!((rig.count("resolve.resolved"), rig.count("rewrite.ok"), rig.check().held), (3, 0, 0));
    wan(&mut rig, packets.clone());
    assert_eq!(rig.sent("lan"), out);
    assert_eq!((rig.count("resolve"), rig.count("rewrite.ok")), (3, 3), "the fast way");
    at(&mut rig, 5_000);
    assert_eq!((rig.sent("lan").len(), rig.check().dropped_total()), (0, 0), "nothing more is asked");
}

#[test]
fn the_next_hop_of_a_route() {
    let mut rig = rig("", "");
    let packets = [[198, 51, 100, 7], [198, 51, 100, 8]].map(|to| ip4(LAN, to, 64, 40));
    lan(&mut rig, packets.clone());
    // Asked from the address on its subnet, of several (RFC 1812 4.3.2.4).
    assert_eq!(rig.sent("wan"), [frame(WAN, ALL, arp(1, (WAN, [203, 0, 113, 2]), ([0; 6], [203, 0, 113, 1])))]);
    wan(&mut rig, [padded(WAN, arp(2, (mac(0x99), [203, 0, 113, 1]), (WAN, [203, 0, 113, 2])))]);
    at(&mut rig, 4);
    assert_eq!(rig.sent("wan"), packets.map(|packet| forwarded(&packet, mac(0x99), WAN)));
    // A neighbour on another subnet of the interface.
    lan(&mut rig, [ip4(LAN, [10, 1, 2, 3], 64, 40)]);
    assert_eq!(rig.sent("wan"), [frame(WAN, ALL, arp(1, (WAN, [10, 0, 0, 1]), ([0; 6], [10, 1, 2, 3])))]);
    // And one of an on-link route, on no subnet: its answer is taken all the same.
    wan(&mut rig, [ip4(WAN, [100, 64, 0, 5], 64, 40)]);
    assert_eq!(rig.sent("lan"), [asks([100, 64, 0, 5])]);
    lan(&mut rig, [answers(mac(5), [100, 64, 0, 5])]);
    at(&mut rig, 8);
    assert_eq!(rig.sent("lan"), [forwarded(&ip4(WAN, [100, 64, 0, 5], 64, 40), mac(5), LAN)]);
    // Longer than the MTU, which a look-up without adjacency does not know.
    lan(&mut rig, [ip4(LAN, [10, 1, 2, 4], 64, 1381)]);
    assert_eq!((rig.count("resolve.too-big"), rig.sent("wan").len()), (1, 0));
    rig.check();
}

#[test]
fn no_answer() {
    let mut rig = rig("", "");
    wan(&mut rig, (1..4).map(|number| packet(HOST_IP, number)));
    // RFC 1122 2.3.2.1: at most one request a second.
    for (until, requests) in [(999, 1), (1_010, 1), (1_999, 0), (2_020, 1), (2_999, 0)] {
        at(&mut rig, until);
        assert_eq!(rig.sent("lan"), vec![asks(HOST_IP); requests], "until {until} ms");
        assert_eq!((rig.check().held, rig.count("resolve.failed")), (3, 0));
    }
    at(&mut rig, 3_030);
    assert_eq!((rig.check().held, rig.count("resolve.failed")), (0, 3));
    assert_eq!(state(&mut rig, HOST_IP), Some(("failed".into(), None)));
    // For a while packets fail at once.
    for time in [3_100, 4_000, 5_900] {
        at(&mut rig, time);
        wan(&mut rig, [packet(HOST_IP, 9)]);
    }
    assert_eq!((rig.count("resolve.failed"), rig.sent("lan").len()), (6, 0));
    at(&mut rig, 6_100);
    assert_eq!(state(&mut rig, HOST_IP), None);
    wan(&mut rig, [packet(HOST_IP, 9)]);
    assert_eq!(rig.sent("lan"), [asks(HOST_IP)]);
    // It is there after all.
    at(&mut rig, 8_000);
    lan(&mut rig, [answers(HOST, HOST_IP)]);
    at(&mut rig, 8_004);
    assert_eq!(rig.sent("lan").pop(), Some(forwarded(&packet(HOST_IP, 9), HOST, LAN)));
    rig.check();
}

#[test]
fn packets_that_wait_are_bounded_and_keep_their_order() {
    let mut rig = rig("", ", hold: 20, queue: 8");
    wan(&mut rig, (1..=10).map(|number| packet(HOST_IP, number)));
    assert_eq!((rig.check().held, rig.count("resolve.queue-full")), (8, 2));
    wan(&mut rig, (0..30).map(|host| packet([192, 168, 1, 100 + host], 1)));
    assert_eq!((rig.check().held, rig.count("resolve.hold-full")), (20, 18));
    rig.sent("lan");
    // The answer, and packets behind it before the next tick: none overtakes those that wait.
    lan(&mut rig, [answers(HOST, HOST_IP)]);
    wan(&mut rig, (11..=13).map(|number| packet(HOST_IP, number)));
    wan(&mut rig, (14..=40).map(|number| packet(HOST_IP, number)));
    at(&mut rig, 4);
    let numbers: Vec<usize> = (1..=8).chain(11..=40).collect();
    // There is no room for some of them, which the first of them have made for the others.
    let lost = rig.count("resolve.hold-full") - 18;
    let sent = rig.sent("lan");
    assert_eq!(sent.len() as u64 + lost, numbers.len() as u64);
    let out: Vec<Vec<u8>> = numbers.iter().map(|number| forwarded(&packet(HOST_IP, *number), HOST, LAN)).collect();
    let mut all = out.iter();
    assert!(sent.iter().all(|frame| all.any(|out| out == frame)), "in their order");
    assert!(rig.count("rewrite.ok") > 0, "the last of them go the fast way");
    assert_eq!(rig.check().held, 12);
}

#[test]
fn a_scan_of_empty_addresses() {
    let mut rig = rig(", limit: 64, requests: 20pps", ", hold: 100");
    lan(&mut rig, [padded(ALL, arp(1, (HOST, HOST_IP), ([0; 6], ROUTER_IP)))]);
    rig.sent("lan");
    let mut requests = 0;
    for second in 0..20_u64 {
        for round in 0..5 {
            at(&mut rig, second * 1000 + round * 100);
            wan(&mut rig, (0..255).map(|host| packet([100, 64, second as u8, host], 9)));
            // Those who are there are reached meanwhile.
            wan(&mut rig, [packet(HOST_IP, 1)]);
        }
        let ledger = rig.check();
        assert!(ledger.held <= 100);
        assert!(show(&mut rig)["neighbours"].as_array().unwrap().len() <= 65, "the limit, and a static one");
        let sent = rig.sent("lan");
        let asked = sent.iter().filter(|frame| frame[12..14] == [8, 6]).count();
        assert_eq!(sent.len() - asked, 5, "the host's packets");
        requests += asked;
        // Two at once, and 20 in a second, of which a second here has but the part that was stepped through.
        assert!(requests as u64 <= 2 + 20 * (second + 1), "{requests} requests in {second} s");
    }
    assert!(requests > 200 && rig.count("resolve.table-full") > 0, "{requests}");
    // Who introduces itself is taken in.
    lan(&mut rig, [padded(ALL, arp(1, (mac(7), [192, 168, 1, 7]), ([0; 6], ROUTER_IP)))]);
    assert_eq!(state(&mut rig, [192, 168, 1, 7]), known("reachable", 7));
    at(&mut rig, 60_000);
    let ledger = rig.check();
    assert_eq!((ledger.held, rig.count("resolve.held")), (0, rig.count("resolve+released")));
    assert!(rig.count("resolve.failed") > 0);
}

#[test]
fn a_neighbour_in_use_is_polled_and_another_is_forgotten() {
    let mut rig = rig("", "");
    let other = [192, 168, 1, 51];
    lan(&mut rig, [(HOST, HOST_IP), (mac(0x51), other)].map(|host| padded(ALL, arp(1, host, ([0; 6], ROUTER_IP)))));
    at(&mut rig, 29_990);
    wan(&mut rig, [packet(HOST_IP, 1)]);
    assert_eq!((rig.count("rewrite.ok"), rig.sent("lan").len()), (1, 3));
    at(&mut rig, 30_010);
    assert_eq!((state(&mut rig, HOST_IP), rig.sent("lan").len()), (known("stale", 0x50), 0), "nothing is asked without packets");
    // RFC 1122 2.3.2.1 (2): a point-to-point request. The packet does not wait for it.
    let poll = frame(LAN, HOST, arp(1, (LAN, ROUTER_IP), ([0; 6], HOST_IP)));
    wan(&mut rig, [packet(HOST_IP, 1)]);
    let mut sent = rig.sent("lan");
    sent.sort();
    let mut expected = vec![forwarded(&packet(HOST_IP, 1), HOST, LAN), poll.clone()];
    expected.sort();
    assert_eq!(sent, expected);
    wan(&mut rig, [packet(HOST_IP, 1)]);
    assert_eq!((rig.count("rewrite.ok"), rig.sent("lan").len()), (2, 1), "the fast way while it is asked");
    lan(&mut rig, [answers(HOST, HOST_IP)]);
    at(&mut rig, 59_000);
    assert_eq!((state(&mut rig, HOST_IP), rig.sent("lan").len()), (known("reachable", 0x50), 0));
    // The other one had no packets.
    at(&mut rig, 90_010);
    assert_eq!(state(&mut rig, other), None);
    // No answer to the polls: after the last one it is asked for anew, by broadcast.
    wan(&mut rig, [packet(HOST_IP, 1)]);
    at(&mut rig, 92_990);
    assert_eq!(state(&mut rig, HOST_IP), known("probe", 0x50));
    assert_eq!(rig.sent("lan").iter().filter(|frame| **frame == poll).count(), 3);
    at(&mut rig, 93_100);
    assert_eq!(state(&mut rig, HOST_IP), None);
    wan(&mut rig, [packet(HOST_IP, 1)]);
    assert_eq!((rig.sent("lan"), rig.check().held), (vec![asks(HOST_IP)], 1));
    // A static one stays.
    wan(&mut rig, [packet([192, 168, 1, 9], 1)]);
    assert_eq!(rig.sent("lan"), [forwarded(&packet([192, 168, 1, 9], 1), mac(9), LAN)]);
}

#[test]
fn a_neighbour_that_moves_and_one_that_must_not() {
    let mut rig = rig("", "");
    lan(&mut rig, [padded(ALL, arp(1, (HOST, HOST_IP), ([0; 6], ROUTER_IP)))]);
    rig.sent("lan");
    // Announcements (RFC 5227 2.3), as requests and as replies, both of them gratuitous ARP.
    for (operation, to) in [(1, 0x61), (2, 0x62)] {
        lan(&mut rig, [padded(ALL, arp(operation, (mac(to), HOST_IP), ([0; 6], HOST_IP)))]);
        assert_eq!(state(&mut rig, HOST_IP), known("reachable", to));
        wan(&mut rig, [packet(HOST_IP, 1)]);
        assert_eq!(rig.sent("lan"), [forwarded(&packet(HOST_IP, 1), mac(to), LAN)]);
    }
    assert_eq!((show(&mut rig)["moved"].as_u64(), show(&mut rig)["learnt"].as_u64()), (Some(2), Some(1)));
    assert_eq!(rig.count("arp.learnt"), 2);
    let fixed = [192, 168, 1, 9];
    lan(&mut rig, [padded(ALL, arp(1, (HOST, fixed), ([0; 6], fixed))), answers(HOST, fixed)]);
    assert_eq!((state(&mut rig, fixed), show(&mut rig)["moved"].as_u64()), (known("static", 9), Some(2)));
    at(&mut rig, 200_000);
    assert_eq!((state(&mut rig, fixed), state(&mut rig, HOST_IP)), (known("static", 9), None));
    // By command.
    let command = |rig: &mut Rig, text: &str| rig.engine().command("neighbours", text).map(drop).map_err(|error| error.to_string());
    command(&mut rig, r#"{"remove": {"address": "192.168.1.9"}}"#).unwrap();
    assert_eq!(command(&mut rig, r#"{"remove": {"address": "192.168.1.9"}}"#), Err("address: `192.168.1.9` is not known".into()));
    assert_eq!(state(&mut rig, fixed), None);
    command(&mut rig, r#"{"add": {"address": "192.168.1.50", "mac": "02:00:00:00:00:33"}}"#).unwrap();
    lan(&mut rig, [padded(ALL, arp(1, (mac(0x40), [192, 168, 1, 0x40]), ([0; 6], ROUTER_IP)))]);
    command(&mut rig, r#"{"flush": {"interface": "wan"}}"#).unwrap();
    assert_eq!(show(&mut rig)["neighbours"].as_array().unwrap().len(), 2);
    command(&mut rig, r#"{"flush": {}}"#).unwrap();
    assert_eq!((show(&mut rig)["neighbours"].as_array().unwrap().len(), state(&mut rig, HOST_IP)), (1, known("static", 0x33)));
    rig.check();
}

#[test]
fn our_own_announcements() {
    let mut rig = rig("", ", announce: true");
    at(&mut rig, 100);
    let own = |mac, ip| frame(mac, ALL, arp(1, (mac, ip), ([0; 6], ip)));
    let (lan, wan) = ([own(LAN, ROUTER_IP)], [own(WAN, [203, 0, 113, 2]), own(WAN, [10, 0, 0, 1])]);
    assert_eq!((&rig.sent("lan")[..], &rig.sent("wan")[..]), (&lan[..], &wan[..]));
    at(&mut rig, 1_900);
    assert_eq!(rig.sent("lan").len(), 0);
    at(&mut rig, 2_100);
    assert_eq!((&rig.sent("lan")[..], &rig.sent("wan")[..]), (&lan[..], &wan[..]));
    at(&mut rig, 60_000);
    assert_eq!(rig.sent("lan").len(), 0);
}

#[test]
fn asked_by_one_worker_and_heard_by_another() {
    let packets: Vec<Vec<u8>> = (1..4).map(|number| packet(HOST_IP, number)).collect();
    let out: Vec<Vec<u8>> = packets.iter().map(|packet| forwarded(packet, HOST, LAN)).collect();
    // Step by step.
    let mut rig = Rig::new(&graph(2, "", ""));
    rig.wire("wan").feed(0, packets.clone());
    rig.run();
    rig.wire("wan").feed(1, [packet(HOST_IP, 9)]);
    rig.run();
    assert_eq!(rig.sent("lan"), [asks(HOST_IP)], "both workers ask once");
    assert_eq!(rig.check().held, 4);
    rig.wire("lan").feed(1, [answers(HOST, HOST_IP)]);
    rig.run();
    at(&mut rig, 4);
    let sent = rig.wire("lan").take_sent();
    let of = |worker: usize| sent.iter().filter(|sent| sent.worker == worker).map(|sent| sent.bytes.clone()).collect::<Vec<_>>();
    assert_eq!((of(0), of(1)), (out.clone(), vec![forwarded(&packet(HOST_IP, 9), HOST, LAN)]), "each sends what it held");
    for worker in [0, 1] {
        rig.wire("wan").feed(worker, packets.clone());
    }
    rig.run();
    assert_eq!((rig.count("rewrite.ok"), rig.check().held), (6, 0), "both go the fast way now");
    drop(rig);
    // In threads.
    let mut rig = Rig::new(&graph(2, "", ""));
    rig.engine().start().expect("threads");
    rig.wire("wan").feed(0, packets);
    let wait = |rig: &Rig, frames: u64| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while rig.wire("lan").left() < frames {
            assert!(Instant::now() < deadline, "{} of {frames} frames", rig.wire("lan").left());
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    wait(&rig, 1);
    rig.wire("lan").feed(1, [answers(HOST, HOST_IP)]);
    wait(&rig, 4);
    rig.engine().stop();
    let mut sent = rig.sent("lan");
    sent.retain(|frame| frame[12..14] == [8, 0]);
    assert_eq!((sent, rig.check().held), (out, 0));
}

#[test]
fn anything_at_all() {
    let mut rng = Rng::new();
    let mut rig = Rig::new(&graph(2, ", limit: 40, retry-interval: 10ms, failed-time: 100ms", ", hold: 50"));
    let mut now = 0;
    let mut left = scaled(200_000);
    while left > 0 {
        for _ in 0..400 {
            let interface = rng.pick(&["lan", "wan"]);
            let ip = |rng: &mut Rng| {
                rng.pick(&[
                    ROUTER_IP,
                    HOST_IP,
                    [192, 168, 1, 9],
                    [192, 168, 1, rng.clone().bits() as u8],
                    [0; 4],
                    [255; 4],
                    [203, 0, 113, 1],
                ])
            };
            let sender = rng.pick(&[HOST, LAN, mac(9), mac(0x61), ALL, [0; 6]]);
            let message = arp(rng.pick(&[1, 1, 2, 2, 3]), (sender, ip(&mut rng)), (rng.pick(&[[0; 6], LAN]), ip(&mut rng)));
            let mut frame = match rng.below(3) {
                0 => ip4(if interface == "lan" { LAN } else { WAN }, ip(&mut rng), 64, 20),
                _ => padded(rng.pick(&[ALL, LAN, WAN]), message),
            };
            if rng.one_in(4) {
                mutate(&mut frame, &mut rng);
            }
            let queue = rng.below(2);
            rig.wire(interface).feed(queue, [frame]);
        }
        rig.run();
        now += rng.below(20) as u64;
        at(&mut rig, now);
        let ledger = rig.check();
        assert!(ledger.held <= 100);
        let faults = ledger.dropped.values().filter_map(|reasons| reasons.get("fault")).sum::<u64>();
        assert_eq!(faults, 0, "{:?}", ledger.dropped);
        left = left.saturating_sub(400);
    }
    at(&mut rig, now + 10_000);
    assert_eq!(rig.check().held, 0);
    assert_eq!(state(&mut rig, [192, 168, 1, 9]), known("static", 9));
    assert!(rig.count("arp.reply") > 0 && rig.count("resolve.resolved") > 0 && SENDER != HOST);
}
