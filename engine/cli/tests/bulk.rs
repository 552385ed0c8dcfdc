//! Many changes at once, while packets pass: all of them are there, and no packet is lost.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use common::Place;
use common::running::{ROUTER_OF_TWO, Running, router_with};
use serde_json::{Value, json};

/// Packets of 64 flows, each of which tells its number.
const FLOWS: &str = "{ rate: 50kpps, stamp: true, flows: { sources: [192.168.1.10], destinations: [10.200.0.7], count: 64 } }";

/// How many routes come and go.
const ROUTES: usize = 100_000;

fn routes(running: &Running) -> BTreeSet<String> {
    let listed = running.told(["route", "list", "--limit", "1000000", "--format", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed = listed["routes"].as_array().unwrap();
    let found: BTreeSet<String> = listed.iter().map(|route| route["prefix"].as_str().unwrap().to_string()).collect();
    assert_eq!(found.len(), listed.len(), "each once");
    found
}

/// Of each length one that covers the packets' destination, and then others.
fn prefixes() -> BTreeSet<String> {
    let covering = (9..=32).map(|length| format!("{}/{length}", Ipv4Addr::from(0x0ac8_0007 & (u32::MAX << (32 - length)))));
    let others = (0..).map(|at: u32| format!("{}/24", Ipv4Addr::from(0x0b00_0000 + (at << 8))));
    covering.chain(others).take(ROUTES).collect()
}

#[test]
fn a_hundred_thousand_routes_come_and_go_and_no_packet_is_lost() {
    let place = Place::new();
    let report = place.path("report.json");
    let router = router_with(ROUTER_OF_TWO, FLOWS, "sink: { check: stamps }");
    let running = Running::with(&place, &router, &["--report", report.to_str().unwrap()]);
    let (before, prefixes) = (routes(&running), prefixes());
    assert_eq!(prefixes.len(), ROUTES);
    let mut text = String::new();
    prefixes.iter().for_each(|prefix| writeln!(text, "{prefix} via 203.0.113.1").unwrap());
    let file = place.text("routes.txt", &text);
    let with: BTreeSet<String> = prefixes.union(&before).cloned().collect();
    for _ in 0..2 {
        for (command, expected) in [("add", &with), ("del", &before)] {
            let done = running.ask(["route".as_ref(), command.as_ref(), "--from".as_ref(), file.as_os_str()]);
            assert_eq!(done.code, 0, "{}", done.err);
            // What was measured, for those who read along.
            println!("{}", done.err.trim_end());
            assert!(routes(&running) == *expected, "{command}");
        }
    }
    running.until("/v1/interfaces/wan", |wan| wan["sent"]["packets"].as_u64() > Some(10_000));
    running.end();
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!((&report["dropped"], &report["received"]), (&json!({}), &report["sent"]));
    let checked = &report["interfaces"]["wan"];
    let found = ["flows", "missing", "duplicated", "reordered", "unstamped"].map(|what| checked[what].as_u64().unwrap());
    assert_eq!(found, [64, 0, 0, 0, 0], "{checked}");
}

/// Hosts of 192.168.1.128/25.
const HOSTS: usize = 126;

/// Every flow is a session of its own, and there is room for twice as many as the table is to have; 126 hosts share four addresses. One worker: on a machine that has no time for one of two, packets
/// may find the ring between them full.
fn gateway(sessions: usize, flows: usize, destinations: &str) -> String {
    format!(
        "version: 1
interfaces:
  lan:
    driver: memory
    mac: '02:00:00:00:01:01'
    addresses: [192.168.1.1/24]
    generate: {{ rate: 50kpps, flows: {{ sources: [192.168.1.128/25], destinations: [{destinations}], count: {flows} }} }}
  wan: {{ driver: memory, mac: '02:00:00:00:02:01', addresses: [203.0.113.2/24] }}
tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 203.0.113.1, mac: '02:00:00:00:02:02' }}] }}
  routes: {{ kind: fib4, routes: [{{ prefix: 0.0.0.0/0, via: 203.0.113.1 }}] }}
  nat:
    kind: nat44
    inside: [lan]
    outside: [wan]
    mapping: endpoint-dependent
    pool: [203.0.113.4, 203.0.113.5, 203.0.113.6, 203.0.113.7]
    sessions: {{ capacity: {}, timeouts: {{ udp-unreplied: 1h }} }}
nodes:
  rx:      {{ kind: rx, interface: lan, to: eth }}
  eth:     {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
  ip4:     {{ kind: ip4-input, to: lookup }}
  lookup:  {{ kind: ip4-lookup, to: snat }}
  snat:    {{ kind: nat44-in2out, to: rewrite }}
  rewrite: {{ kind: ip4-rewrite, to: tx }}
  tx:      {{ kind: tx }}
",
        2 * sessions
    )
}

/// A number that grows with SWATH_TEST_SCALE.
fn scaled(count: usize) -> usize {
    let scale = std::env::var("SWATH_TEST_SCALE").ok().and_then(|scale| scale.parse::<usize>().ok()).unwrap_or(1);
    count * scale
}

#[test]
fn many_sessions_are_listed_counted_ended_saved_and_restored_and_no_packet_is_lost() {
    let sessions = scaled(HOSTS * 400);
    let place = Place::new();
    let (report, kept) = (place.path("report.json"), place.path("kept"));
    let options = ["--report", report.to_str().unwrap()];
    let first = Running::with(&place, &gateway(sessions, sessions, "198.51.100.0/24"), &options);
    let count = |running: &Running, options: &[&str]| -> usize {
        running.told([&["nat", "sessions", "count"], options].concat()).trim().parse().unwrap()
    };
    first.until("/v1", |_| count(&first, &[]) == sessions);
    let limit = sessions.to_string();
    let list = |options: &[&str]| -> Value {
        let command = [&["nat", "sessions", "list", "--format", "json"], options].concat();
        serde_json::from_str(&first.told(command)).unwrap()
    };
    let listed = list(&["--limit", &limit]);
    let listed = listed["sessions"]["sessions"].as_array().unwrap();
    let of = |key: &str| listed.iter().map(|session| session[key].as_str().unwrap().to_string()).collect::<BTreeSet<_>>();
    assert_eq!((listed.len(), of("flow").len()), (sessions, sessions), "each once");
    let host = ["--address", "192.168.1.170"];
    assert_eq!(count(&first, &host), sessions / HOSTS);
    // As many as are asked for, and how many there are.
    for (options, found) in [(&[][..], sessions), (&host[..], sessions / HOSTS)] {
        let some = &list(&[&["--limit", "300"], options].concat())["sessions"];
        assert_eq!((some["sessions"].as_array().unwrap().len(), &some["found"]), (300, &json!(found)));
    }
    // Those that a packet opens again meanwhile may be met again.
    let ended = first.ask([&["nat", "sessions", "remove"], &host[..]].concat()).err;
    let ended: usize = ended.split(' ').next().unwrap().replace(',', "").parse().unwrap();
    assert!(ended >= sessions / HOSTS, "{ended}");
    first.until("/v1", |_| count(&first, &[]) == sessions);
    assert_eq!(count(&first, &host), sessions / HOSTS);
    let file = |running: &Running, what: &str| -> Value {
        let said = ["nat", what, kept.to_str().unwrap(), "--format", "json"];
        serde_json::from_str(&running.told(said)).unwrap()
    };
    assert_eq!(file(&first, "save"), json!({ "saved": sessions }));
    first.end();
    check_exact(&report);
    // Another engine, whose hosts speak to others meanwhile, goes on with all of them.
    let others = HOSTS * 4;
    let second = Running::with(&place, &gateway(sessions, others, "198.51.101.0/24"), &options);
    second.until("/v1", |_| count(&second, &[]) == others);
    assert_eq!(file(&second, "restore"), json!({ "restored": sessions, "not-taken": {} }));
    assert_eq!((count(&second, &[]), count(&second, &host)), (sessions + others, (sessions + others) / HOSTS));
    second.end();
    check_exact(&report);
}

/// All that was received was sent.
fn check_exact(report: &std::path::Path) {
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!((&report["dropped"], &report["received"]), (&json!({}), &report["sent"]));
}
