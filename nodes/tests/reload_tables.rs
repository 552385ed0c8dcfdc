//! Tables whose settings change while packets pass: what they have learnt goes on.

mod common;

use common::Rig;
use common::frames::{ethernet, header, ip4, mac, packet};

const SECOND: u64 = 1_000_000_000;

fn router(more: &str, table: &str) -> String {
    format!(
        "
version: 1
interfaces:
  lan: {{ driver: test, mac: 02:00:00:00:00:01, addresses: [192.168.1.1/24] }}
  wan: {{ driver: test, mac: 02:00:00:00:00:02, addresses: [203.0.113.2/24] }}
{more}
tables:
  neighbours: {{ kind: neighbours{table} }}
  routes: {{ kind: fib4, routes: [{{ prefix: 10.0.0.0/8, via: 203.0.113.1 }}] }}
nodes:
  rx:      {{ kind: rx, interface: lan, to: eth }}
  wan-rx:  {{ kind: rx, interface: wan, to: eth }}
  eth:     {{ kind: ethernet-input, to: {{ ip4: ip4, arp: arp }} }}
  ip4:     {{ kind: ip4-input, to: lookup }}
  lookup:  {{ kind: ip4-lookup, to: rewrite }}
  rewrite: {{ kind: ip4-rewrite, to: {{ ok: tx, unresolved: resolve }} }}
  resolve: {{ kind: ip4-resolve, announce: false, to: {{ resolved: tx, request: tx }} }}
  arp:     {{ kind: arp-input, to: {{ reply: tx }} }}
  tx:      {{ kind: tx }}
"
    )
}

/// An ARP reply of 203.0.113.1.
fn reply() -> Vec<u8> {
    let body = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &mac(0x99), &[203, 0, 113, 1], &mac(2), &[203, 0, 113, 2]].concat();
    ethernet(mac(2), 0x0806, &body)
}

fn through(rig: &mut Rig, number: usize) -> Vec<usize> {
    rig.feed("lan", [ip4(mac(1), [10, 0, 0, 9], 64, number)]);
    rig.engine().step_until(0);
    let sent = rig.sent("wan");
    assert!(sent.iter().all(|frame| frame[..6] == mac(0x99) || frame[12..14] == [8, 6]), "{sent:?}");
    sent.iter().filter(|frame| frame[12..14] == [8, 0]).map(|frame| frame.len() - 34).collect()
}

#[test]
fn neighbours_stay_known_and_packets_that_wait_go_on() {
    let mut rig = Rig::new(&router("", ""));
    assert_eq!(through(&mut rig, 20), [0usize; 0]);
    // With other settings while a packet waits, and with another interface.
    rig.apply(&router("", ", limit: 100")).unwrap();
    assert_eq!(through(&mut rig, 21), [0usize; 0]);
    rig.apply(&router("  other: { driver: test }", ", limit: 200")).unwrap();
    assert_eq!(rig.engine().ledger().held, 2);
    rig.feed("wan", [reply()]);
    rig.engine().step_until(0);
    rig.engine().step_until(SECOND / 100);
    assert_eq!(
        rig.sent("wan").iter().filter(|frame| frame[12..14] == [8, 0]).map(|frame| frame.len() - 34).collect::<Vec<_>>(),
        [20, 21]
    );
    for (at, next) in [
        router("", ", limit: 100"),
        router("", ", reachable-time: 20s"),
        router("", ", static: [{ address: 203.0.113.7, mac: 02:00:00:00:00:07 }]"),
        router("", ""),
        router("  other: { driver: test }", ""),
    ]
    .iter()
    .enumerate()
    {
        rig.apply(next).unwrap();
        assert_eq!(through(&mut rig, 30 + at), [30 + at], "{next}");
    }
    let ledger = rig.engine().ledger();
    assert_eq!((ledger.discrepancies(), ledger.dropped_total(), ledger.held), (vec![], 0, 0));
}

#[test]
fn fixed_neighbours_come_and_go() {
    let fixed = |last: u8| format!(", static: [{{ address: 203.0.113.1, mac: 02:00:00:00:00:{last:02x} }}]");
    let mut rig = Rig::new(&router("", &fixed(0x99)));
    assert_eq!(through(&mut rig, 20), [20]);
    // One that is refused has not changed who is where.
    let bad = router("", &fixed(0x55)).replace("kind: fib4", "kind: fib4, memory-mib: 0");
    rig.apply(&bad).unwrap_err();
    assert_eq!(through(&mut rig, 21), [21]);
    rig.apply(&router("", "")).unwrap();
    assert_eq!(through(&mut rig, 22), [0usize; 0]);
    rig.apply(&router("", &fixed(0x99))).unwrap();
    rig.engine().step_until(SECOND / 100);
    assert_eq!(rig.sent("wan").iter().filter(|frame| frame[12..14] == [8, 0]).count(), 1);
}

fn firewall(rules: &str) -> String {
    format!(
        "
version: 1
interfaces:
  in:  {{ driver: test }}
  out: {{ driver: test }}
tables:
  rules:
    kind: acl
    rules: {rules}
nodes:
  in-rx:  {{ kind: rx, interface: in, to: acl }}
  out-rx: {{ kind: rx, interface: out, to: acl }}
  acl:    {{ kind: acl-filter, layer: ethernet, to: {{ permitted: way }} }}
  way:    {{ kind: switch, by: rx-interface, to: {{ in: to-out, default: to-in }} }}
  to-out: {{ kind: tx, interface: out }}
  to-in:  {{ kind: tx, interface: in }}
"
    )
}

/// A datagram between 192.168.1.10 and 10.0.0.9, there or back, with these ports.
fn datagram(back: bool, ports: (u16, u16)) -> Vec<u8> {
    let mut ip = header([10, 0, 0, 9], 64, 8);
    let mut ports = [ports.0.to_be_bytes(), ports.1.to_be_bytes()];
    if back {
        (ip.source, ip.destination) = (ip.destination, ip.source);
        ports.reverse();
    }
    let mut bytes = packet(ip, &[]);
    bytes.truncate(20);
    bytes.extend([&ports.concat()[..], &[0, 8, 0, 0]].concat());
    ethernet(mac(1), 0x0800, &bytes)
}

#[test]
fn sessions_go_on_as_far_as_the_rules_permit_them() {
    let permit = |port: &str| format!("[{{ name: out, action: permit+reflect, rx: in, protocol: udp, destination-port: {port} }}]");
    let mut rig = Rig::new(&firewall(&permit("1-100")));
    let pass = |rig: &mut Rig, interface: &str, other: &str, back: bool, port: u16| {
        rig.feed(interface, [datagram(back, (4000, port))]);
        rig.run();
        rig.sent(other).len() == 1
    };
    for port in [10, 20, 30] {
        assert!(pass(&mut rig, "in", "out", false, port) && pass(&mut rig, "out", "in", true, port));
    }
    // The same rules, others that permit it, and some that do not permit one of three.
    for (rules, permitted) in [("1-100", [10, 20, 30].as_slice()), ("5-200", &[10, 20, 30]), ("1-25", &[10, 20])] {
        rig.apply(&firewall(&permit(rules)).replace("kind: acl\n", "kind: acl\n    default: deny\n")).unwrap();
        for port in [10, 20, 30] {
            assert_eq!(pass(&mut rig, "out", "in", true, port), permitted.contains(&port), "{rules} {port}");
        }
    }
    // It has ended, and does not come back with the rule.
    rig.apply(&firewall(&permit("1-100"))).unwrap();
    assert!(!pass(&mut rig, "out", "in", true, 30) && pass(&mut rig, "out", "in", true, 10));
    let shown = rig.engine().command("rules", r#"{"hits": {}}"#).unwrap();
    // What the rule has counted goes on: one packet for each session that it has opened.
    assert!(shown.contains(r#""packets":3"#), "{shown}");
    let with =
        |sessions: &str| firewall(&permit("1-100")).replace("kind: acl\n", &format!("kind: acl\n    sessions: {{ {sessions} }}\n"));
    let said = rig.apply(&with("capacity: 9")).unwrap_err();
    assert!(said.contains("capacity: 9") && said.contains("cannot change"), "{said}");
    // The sessions to port 10 and 20 are there, and do not count where no source had a limit.
    rig.apply(&with("per-source: 1, timeouts: { udp: 10s }")).unwrap();
    for (port, passes) in [(10, true), (40, true), (50, false)] {
        assert_eq!(pass(&mut rig, "in", "out", false, port), passes, "{port}");
    }
    rig.apply(&with("per-source: 2, timeouts: { udp: 10s }")).unwrap();
    assert!(pass(&mut rig, "in", "out", false, 50) && pass(&mut rig, "out", "in", true, 10));
    rig.engine().step_until(12_000_000_000);
    assert!(!pass(&mut rig, "out", "in", true, 10));
}

#[test]
fn stations_stay_known() {
    let bridge = |settings: &str| {
        format!(
            "
version: 1
interfaces: {{ a: {{ driver: test }}, b: {{ driver: test }}, c: {{ driver: test }} }}
tables: {{ bridge: {{ kind: bridge{settings} }} }}
nodes:
  a: {{ kind: rx, interface: a, to: in }}
  b: {{ kind: rx, interface: b, to: in }}
  c: {{ kind: rx, interface: c, to: in }}
  in: {{ kind: bridge-input, to: {{ forward: tx, flood: flood }} }}
  flood: {{ kind: bridge-flood, to: tx }}
  tx: {{ kind: tx }}
"
        )
    };
    let mut rig = Rig::new(&bridge(""));
    let reaches = |rig: &mut Rig, from: &str, source: u8, destination: u8| {
        rig.feed(from, [[&mac(destination)[..], &mac(source), &[0x88, 0xb5, 0, 0]].concat()]);
        rig.run();
        ["a", "b", "c"].into_iter().filter(|port| !rig.sent(port).is_empty()).collect::<String>()
    };
    assert_eq!(reaches(&mut rig, "a", 0x51, 0x52), "bc");
    let fixed = |port: &str| format!(", static: [{{ mac: 02:00:00:00:00:60, interface: {port} }}]");
    for (settings, at) in [(", ageing: 100s", ""), (", entries: 99", ""), (&fixed("b"), "b"), (&fixed("c"), "c"), ("", "")] {
        rig.apply(&bridge(settings)).unwrap();
        assert_eq!(reaches(&mut rig, "b", 0x52, 0x51), "a", "{settings}");
        let expected = if at.is_empty() { "bc" } else { at };
        assert_eq!(reaches(&mut rig, "a", 0x51, 0x60), expected, "{settings}");
    }
    // An interface that is no longer the bridge's has no stations.
    rig.apply(&bridge(", interfaces: [b, c]")).unwrap();
    assert_eq!(reaches(&mut rig, "b", 0x52, 0x51), "c");
}

/// A list looks at no interface: what commands have added stays while these come and go.
#[test]
fn a_deny_list_stays_while_interfaces_change() {
    let graph = |more: &str, prefixes: &str| {
        format!(
            "
version: 1
interfaces:
  lan: {{ driver: test }}
  wan: {{ driver: test }}
{more}
tables:
  listed: {{ kind: deny-list, prefixes: [{prefixes}] }}
nodes:
  rx:   {{ kind: rx, interface: lan, to: deny }}
  deny: {{ kind: deny, layer: ethernet, table: listed, to: {{ ok: tx, not-ip: tx }} }}
  tx:   {{ kind: tx, interface: wan }}
"
        )
    };
    let mut rig = Rig::new(&graph("", "192.0.2.0/24"));
    let listed = |rig: &mut Rig, address: &str| {
        let reply = rig.engine().command("listed", &format!(r#"{{"lookup": {{"address": "{address}"}}}}"#)).unwrap();
        !reply.contains("null")
    };
    rig.engine().command("listed", r#"{"add": {"prefixes": ["10.0.0.9"]}}"#).unwrap();
    rig.engine().command("listed", r#"{"remove": {"prefixes": ["192.0.2.0/24"]}}"#).unwrap();
    for more in ["  other: { driver: test }", "  other: { driver: test, batch: 7 }", ""] {
        rig.apply(&graph(more, "192.0.2.0/24")).unwrap();
        assert!(listed(&mut rig, "10.0.0.9") && !listed(&mut rig, "192.0.2.1"), "{more}");
    }
    // Its own settings do change it.
    rig.apply(&graph("", "192.0.2.0/24, 198.51.100.0/24")).unwrap();
    assert!(!listed(&mut rig, "10.0.0.9") && listed(&mut rig, "192.0.2.1"));
}
