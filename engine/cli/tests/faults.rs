//! Deliberate faults: for each, `swath drops` and `swath explain` name the cause.

mod common;
#[allow(dead_code)]
#[path = "plugins/build.rs"]
mod plugin;

use std::fmt::Write as _;

use common::Place;
use common::running::Running;
use serde_json::Value;

/// A router with a filter and a NAT, whose `%PACKET%` comes in again and again.
const ROUTER: &str = "version: 1
interfaces:
  lan:
    driver: memory
    mac: '02:00:00:00:01:01'
    addresses: [192.168.1.1/24]
    generate: { rate: 500pps, packets: ['%PACKET%'] }
  wan: { driver: memory, mac: '02:00:00:00:02:01', addresses: [203.0.113.2/30], mtu: 1400 }
tables:
  neighbours: { kind: neighbours, static: [{ address: 203.0.113.1, mac: '02:00:00:00:00:fe' }] }
  routes: { kind: fib4, routes: [{ prefix: 10.0.0.0/8, via: 203.0.113.1 }] }
  rules: { kind: acl, default: permit, rules: [{ action: deny, protocol: tcp, destination-port: 25 }] }
nodes:
  rx:       { kind: rx, interface: lan, to: ethernet }
  ethernet: { kind: ethernet-input, to: { ip4: ip4 } }
  ip4:      { kind: ip4-input, to: filter }
  filter:   { kind: acl-filter, to: lookup }
  lookup:   { kind: ip4-lookup, to: rewrite }
  rewrite:  { kind: ip4-rewrite, to: tx }
  tx:       { kind: tx }
";

/// A fault: its name, the packet, and what is other in the graph.
type Fault = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const FAULTS: [Fault; 13] = [
    ("wrong hardware address", "udp 192.168.1.2:1 > 10.0.0.1:2 dst-mac 02:00:00:00:09:09", &[]),
    ("TTL 1", "udp 192.168.1.2:1 > 10.0.0.1:2 ttl 1", &[]),
    ("no route", "udp 192.168.1.2:1 > 172.16.0.1:2", &[]),
    ("a rule denies it", "tcp 192.168.1.2:1 > 10.0.0.1:25 flags syn", &[]),
    (
        "the NAT has no port left",
        "udp 192.168.1.2:1 > 10.0.0.1:2",
        &[
            ("  rules:", "  nat: { kind: nat44, inside-prefixes: [192.168.1.0/24], pool: ['203.0.113.2:20000-20001'] }\n  rules:"),
            ("packets: ['", "packets: [udp 192.168.1.2:2 > 10.0.0.1:2, udp 192.168.1.2:3 > 10.0.0.1:2, '"),
            ("to: rewrite }", "to: snat }\n  snat:     { kind: nat44-in2out, to: rewrite }"),
        ],
    ),
    ("longer than the MTU, with DF", "udp 192.168.1.2:1 > 10.0.0.1:2 df len 1500", &[]),
    ("bad checksum", "udp 192.168.1.2:1 > 10.0.0.1:2 bad-ip-checksum", &[]),
    ("unresolved neighbour", "udp 192.168.1.2:1 > 192.168.1.77:2", &[]),
    ("the ring is full", "udp 192.168.1.2:1 > 10.0.0.1:2", &[("mtu: 1400", "mtu: 1400, sink: { capacity: 0 }")]),
    ("unknown EtherType", "eth 02:00:00:00:00:01 > 02:00:00:00:01:01 type 0x88cc payload hex 0207", &[]),
    (
        "more copies than a pass has room for",
        "udp 192.168.1.2:1 > 10.0.0.1:2",
        &[
            ("500pps", "500pps, burst: 256"),
            ("to: ethernet }", "to: copy }\n  copy:     { kind: tee, to: { out: ethernet, a: ethernet, b: ethernet } }"),
        ],
    ),
    (
        "a node of a plugin fails",
        "udp 192.168.1.2:1 > 10.0.0.1:2",
        &[
            ("interfaces:", "plugins: { third: libbroken.so }\ninterfaces:"),
            ("to: filter }", "to: third }\n  third:    { kind: broken, to: filter }"),
        ],
    ),
    (
        "the pool is empty, for packets wait for a neighbour",
        "udp 192.168.1.2:1 > 192.168.1.77:2",
        &[
            ("interfaces:", "engine: { buffers: 1024, hugepages: never }\ninterfaces:"),
            ("kind: neighbours,", "kind: neighbours, retries: 100,"),
            ("500pps", "5kpps"),
            ("packets: ['", "packets: [udp 192.168.1.2:1 > 192.168.1.78:2, '"),
            (
                "to: tx }",
                "to: { ok: tx, unresolved: resolve } }\n  resolve:  { kind: ip4-resolve, hold: 4096, queue: 1024, to: { resolved: tx, request: tx } }",
            ),
        ],
    ),
];

#[test]
fn each_fault_is_named_by_drops_and_by_explain() {
    let mut text = String::new();
    for (fault, packet, changes) in FAULTS {
        let graph = changes.iter().fold(ROUTER.replace("%PACKET%", packet), |graph, (from, to)| graph.replace(from, to));
        let place = Place::new();
        if graph.contains("libbroken") {
            let source = plugin::root().join("engine/cli/tests/plugins/defects.c");
            plugin::c(&place, &source, "broken", &["-DKIND=\"broken\"", "-DDEFECT=return SWATH_FAILED"]);
        }
        let directory = place.path("");
        let directory = directory.to_str().unwrap();
        let running = Running::with(&place, &graph, &["--plugin-path", directory]);
        running.until("/v1/drops", |drops| !drops.as_array().unwrap().is_empty());
        let drops: Vec<Value> = serde_json::from_value(running.json("/v1/drops")).unwrap();
        let _ = writeln!(text, "=== {fault}\n$ swath drops");
        for one in drops {
            let name = |member: &str| one[member].as_str().unwrap().to_owned();
            let _ = writeln!(text, "{}.{}\n{}", name("node"), name("reason"), name("meaning"));
        }
        let explained = running.ask(["explain", "--in", "lan", packet]);
        let _ = writeln!(text, "$ swath explain --in lan '{packet}'\n{}{}", explained.out.replace(directory, ""), explained.err);
        running.end();
    }
    insta::assert_snapshot!(text);
}
