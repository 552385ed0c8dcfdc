//! Several next hops over reloads: a flow stays with its next hop unless that goes, or one that comes is due its share.

mod common;

use common::Rig;
use common::frames::{ethernet, header, mac, packet};
use serde_json::Value;

const FLOWS: u16 = 2000;

/// A router with these next hops, each `(last byte, weight)`, the even ones behind `wan`, and something else that differs.
fn router(hops: &[(u8, u16)], more: &str) -> String {
    let net = |hop: u8| if hop.is_multiple_of(2) { 0 } else { 1 };
    let via = |(hop, weight): &(u8, u16)| format!("{{ to: 203.0.{}.{hop}, weight: {weight} }}", net(*hop));
    let via: Vec<String> = hops.iter().map(via).collect();
    let fixed: Vec<String> =
        (10..30).map(|hop| format!("{{ address: 203.0.{}.{hop}, mac: 02:00:00:00:00:{hop:02x} }}", net(hop))).collect();
    format!(
        "
version: 1
interfaces:
  lan:  {{ driver: test, mac: 02:00:00:00:00:01, addresses: [192.168.1.1/24] }}
  wan:  {{ driver: test, mac: 02:00:00:00:00:02, addresses: [203.0.0.1/24] }}
  wan2: {{ driver: test, mac: 02:00:00:00:00:03, addresses: [203.0.1.1/24] }}
tables:
  neighbours: {{ kind: neighbours, static: [{}] }}
  routes: {{ kind: fib4, routes: [{{ prefix: 10.0.0.0/8, via: [{}] }}{more}] }}
nodes:
  rx:      {{ kind: rx, interface: lan, to: eth }}
  wan-rx:  {{ kind: rx, interface: wan, to: eth }}
  wan2-rx: {{ kind: rx, interface: wan2, to: eth }}
  eth:     {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
  ip4:     {{ kind: ip4-input, to: lookup }}
  lookup:  {{ kind: ip4-lookup, to: rewrite }}
  rewrite: {{ kind: ip4-rewrite, to: {{ ok: tx }} }}
  tx:      {{ kind: tx }}
",
        fixed.join(", "),
        via.join(", ")
    )
}

/// The next hop of each flow.
fn choices(rig: &mut Rig) -> Vec<u8> {
    let datagram = |flow: u16| {
        let mut bytes = packet(header([10, 0, 0, 9], 64, 8), &[]);
        bytes.truncate(20);
        bytes.extend([&flow.to_be_bytes()[..], &[0, 53, 0, 8, 0, 0]].concat());
        ethernet(mac(1), 0x0800, &bytes)
    };
    rig.feed("lan", (0..FLOWS).map(datagram));
    rig.run();
    let mut chosen = vec![0; usize::from(FLOWS)];
    for frame in ["wan", "wan2"].iter().flat_map(|interface| rig.sent(interface)) {
        chosen[usize::from(u16::from_be_bytes([frame[34], frame[35]]))] = frame[5];
    }
    assert!(!chosen.contains(&0), "each flow has a next hop");
    chosen
}

/// How many buckets each next hop has.
fn buckets(rig: &mut Rig) -> Vec<(String, u64)> {
    let shown: Value =
        serde_json::from_str(&rig.engine().command("routes", r#"{"lookup": {"address": "10.0.0.9"}}"#).unwrap()).unwrap();
    let of = |hop: &Value| (hop["to"].as_str().unwrap().to_string(), hop["buckets"].as_u64().unwrap());
    let mut all: Vec<_> = shown["route"]["via"].as_array().unwrap_or_else(|| panic!("{shown}")).iter().map(of).collect();
    all.sort();
    all
}

/// What has moved from where to where.
fn moved(before: &[u8], after: &[u8]) -> Vec<(u8, u8)> {
    before.iter().zip(after).filter(|(before, after)| before != after).map(|(before, after)| (*before, *after)).collect()
}

#[test]
fn flows_keep_their_next_hop_over_reloads() {
    let four = [(10, 1), (11, 1), (12, 1), (13, 1)];
    let mut rig = Rig::new(&router(&four, ""));
    let first = choices(&mut rig);
    // The table is made anew for something else.
    rig.apply(&router(&four, ", { prefix: 20.0.0.0/8, via: 203.0.0.10 }")).unwrap();
    assert_eq!(choices(&mut rig), first);
    // One goes: all of its flows, and no other.
    rig.apply(&router(&four[..3], "")).unwrap();
    let three = choices(&mut rig);
    let of_13 = first.iter().filter(|hop| **hop == 13).count();
    let gone = moved(&first, &three);
    assert!(gone.len() == of_13 && gone.iter().all(|(from, to)| *from == 13 && *to != 13), "{gone:?}");
    // Another one comes: what moves goes to it, and its share is whole.
    rig.apply(&router(&[(10, 1), (11, 1), (12, 1), (14, 1)], "")).unwrap();
    let other = choices(&mut rig);
    let come = moved(&three, &other);
    assert!(come.iter().all(|(_, to)| *to == 14), "{come:?}");
    assert_eq!(come.len(), other.iter().filter(|hop| **hop == 14).count());
    assert_eq!(buckets(&mut rig).iter().map(|(_, buckets)| *buckets).collect::<Vec<_>>(), [64; 4]);
    // It has a history: an engine that begins with that graph chooses otherwise.
    let fresh = choices(&mut Rig::new(&router(&[(10, 1), (11, 1), (12, 1), (14, 1)], "")));
    assert!(!moved(&other, &fresh).is_empty());
    // Which the next ones go on with, whatever the order in which next hops are written.
    rig.apply(&router(&[(14, 1), (12, 1), (11, 1), (10, 1)], ", { prefix: 20.0.0.0/8, via: 203.0.0.10 }")).unwrap();
    assert_eq!(choices(&mut rig), other);
    // A weight grows: others lose, and it loses nothing.
    rig.apply(&router(&[(10, 1), (11, 1), (12, 1), (14, 3)], "")).unwrap();
    let heavy = choices(&mut rig);
    assert!(moved(&other, &heavy).iter().all(|(_, to)| *to == 14));
    // Half of 256, and thirds of the rest.
    assert_eq!(buckets(&mut rig).iter().map(|(_, buckets)| *buckets).collect::<Vec<_>>(), [43, 43, 128, 42]);
    assert_eq!(rig.engine().ledger().dropped_total(), 0);
}

/// What commands have made of a route is what the next graph begins with, and a link that is down stays so.
#[test]
fn flows_that_had_to_move_do_not_come_back_for_a_reload() {
    let four = [(10, 1), (11, 1), (12, 1), (13, 1)];
    let mut rig = Rig::new(&router(&four, ""));
    let command = |rig: &mut Rig, via: &str| {
        let command = format!(r#"{{"replace": {{"prefix": "10.0.0.0/8", "via": [{via}]}}}}"#);
        rig.engine().command("routes", &command).unwrap_or_else(|error| panic!("{error}"));
    };
    let hop = |hop: u8| format!(r#"{{"to": "203.0.{}.{hop}"}}"#, hop % 2);
    command(&mut rig, &[10, 11, 12].map(hop).join(","));
    command(&mut rig, &[10, 11, 12, 13].map(hop).join(","));
    let chosen = choices(&mut rig);
    assert!(!moved(&chosen, &choices(&mut Rig::new(&router(&four, "")))).is_empty());
    rig.apply(&router(&four, ", { prefix: 20.0.0.0/8, via: 203.0.0.10 }")).unwrap();
    assert_eq!(choices(&mut rig), chosen);

    rig.engine().set_admin("wan2", false).unwrap();
    rig.engine().step_until(0);
    let down = choices(&mut rig);
    assert!(down.iter().all(|hop| hop % 2 == 0));
    rig.apply(&router(&four, "")).unwrap();
    assert_eq!(choices(&mut rig), down);
    rig.engine().set_admin("wan2", true).unwrap();
    rig.engine().step_until(0);
    let up = choices(&mut rig);
    assert!(moved(&down, &up).iter().all(|(from, to)| from % 2 == 0 && to % 2 == 1));
    assert_eq!(buckets(&mut rig).iter().map(|(_, buckets)| *buckets).collect::<Vec<_>>(), [64; 4]);
}
