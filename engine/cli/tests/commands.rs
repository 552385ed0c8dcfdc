//! Commands to the tables and interfaces of a running engine, and what its packets do then.

mod common;

use common::running::Running;
use common::{Place, Said};
use serde_json::{Value, json};

/// A router with everything that takes commands: 1000 flows through NAT, rules and a list of addresses.
const GATEWAY: &str = "version: 1
engine: { workers: 2 }
interfaces:
  lan:
    driver: memory
    mac: '02:00:00:00:01:01'
    addresses: [192.168.1.1/24]
    generate: { rate: 20kpps, flows: { sources: [192.168.1.10], destinations: [198.51.100.1], count: 1000 } }
  wan: { driver: memory, mac: '02:00:00:00:02:01', addresses: [203.0.113.2/30] }
  dmz: { driver: memory, mac: '02:00:00:00:03:01', addresses: [198.18.0.1/24] }
tables:
  neighbours:
    kind: neighbours
    static: [{ address: 203.0.113.1, mac: '02:00:00:00:02:02' }, { address: 198.18.0.2, mac: '02:00:00:00:03:02' }]
  routes: { kind: fib4, routes: [{ prefix: 0.0.0.0/0, via: 203.0.113.1 }] }
  nat:    { kind: nat44, inside: [lan], outside: [wan] }
  rules:  { kind: acl, default: permit, rules: [{ name: telnet, action: deny, protocol: tcp, destination-port: 23 }] }
  listed: { kind: deny-list, prefixes: [192.0.2.0/24] }
nodes:
  lan-rx:  { kind: rx, interface: lan, to: eth }
  eth:     { kind: ethernet-input, to: { ip4: ip4 } }
  ip4:     { kind: ip4-input, to: listed }
  listed:  { kind: deny, table: listed, to: rules }
  rules:   { kind: acl-filter, table: rules, to: lookup }
  lookup:  { kind: ip4-lookup, to: { forward: by-port } }
  by-port: { kind: switch, by: tx-interface, to: { wan: snat, default: rewrite } }
  snat:    { kind: nat44-in2out, to: rewrite }
  rewrite: { kind: ip4-rewrite, to: tx }
  tx:      { kind: tx }
";

/// What a command says to people, who need no more than that.
fn said(running: &Running, args: &[&str]) -> String {
    let Said { code, out, err } = running.ask(args);
    assert_eq!((code, &*out), (0, ""), "{args:?}: {err}");
    err.trim_end().into()
}

fn refused(running: &Running, args: &[&str], code: i32) -> String {
    let said = running.ask(args);
    assert_eq!((said.code, &*said.out), (code, ""), "{args:?}: {}", said.err);
    said.err
}

fn json_of(running: &Running, args: &[&str]) -> Value {
    serde_json::from_str(&running.told(args)).unwrap()
}

/// Waits until packets leave by an interface, and by no other of these.
fn only_by(running: &Running, interface: &str, others: &[&str]) {
    let sent = |name: &str| running.json(&format!("/v1/interfaces/{name}"))["sent"]["packets"].as_u64().unwrap();
    // Twice as many as can be under way.
    let (start, before) = (sent(interface), others.iter().map(|name| sent(name)).collect::<Vec<_>>());
    running.until(&format!("/v1/interfaces/{interface}"), |now| now["sent"]["packets"].as_u64().unwrap() > start + 1000);
    let middle: Vec<u64> = others.iter().map(|name| sent(name)).collect();
    let start = sent(interface);
    running.until(&format!("/v1/interfaces/{interface}"), |now| now["sent"]["packets"].as_u64().unwrap() > start + 1000);
    assert_eq!(others.iter().map(|name| sent(name)).collect::<Vec<_>>(), middle, "{before:?}");
}

#[test]
fn routes_come_and_go_while_packets_pass() {
    let place = Place::new();
    // One worker: between two a ring may be full on a machine that has no time for one of them.
    let running = Running::start(&place, &GATEWAY.replace("workers: 2", "workers: 1"));
    assert_eq!(running.told(["route", "get", "198.51.100.1"]), "0.0.0.0/0 dev wan\n");
    only_by(&running, "wan", &["dmz"]);
    assert_eq!(said(&running, &["route", "add", "198.51.100.0/24", "via", "198.18.0.2"]), "added in `routes`");
    assert_eq!(running.told(["route", "get", "198.51.100.1"]), "198.51.100.0/24 dev dmz\n");
    only_by(&running, "dmz", &["wan"]);
    // A next hop that is not there yet, and two.
    assert_eq!(
        said(&running, &["route", "replace", "198.51.100.0/24 nexthop via 203.0.113.1 weight 3 nexthop via 198.18.0.2"]),
        "replaced in `routes`"
    );
    let list = running.told(["route", "list", "--within", "198.51.100.0/24"]);
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["198.51.100.0/24", "203.0.113.1", "dev", "wan", "weight", "3", "0", "active"]);
    assert_eq!(lines[2], ["198.18.0.2", "dev", "dmz", "weight", "1"]);
    let hops = running.told(["route", "get", "198.51.100.1"]);
    assert!(hops.starts_with("198.51.100.0/24\n  via 203.0.113.1 dev wan weight 3, ") && hops.lines().count() == 3, "{hops}");
    assert_eq!(said(&running, &["route", "del", "198.51.100.0/24"]), "removed in `routes`");
    assert_eq!(said(&running, &["route", "add", "blackhole", "203.0.114.0/24", "metric", "7"]), "added in `routes`");
    assert_eq!(running.told(["route", "get", "203.0.114.9"]), "203.0.114.0/24 blackhole\n");
    only_by(&running, "wan", &["dmz"]);
    let listed = running.ask(["route", "list", "--limit", "2"]);
    assert_eq!((listed.out.lines().count(), listed.err.contains("the first 2 routes")), (3, true), "{}", listed.err);
    let why = refused(&running, &["route", "add", "10.0.0.0/8", "via", "8.8.8.8"], 1);
    assert!(why.starts_with("error: ") && why.contains("8.8.8.8"), "{why}");
    refused(&running, &["route", "add", "10.0.0.0/8", "proto", "static"], 64);
    refused(&running, &["route", "del", "10.99.0.0/16"], 1);
    assert_eq!(json_of(&running, &["route", "get", "203.0.114.9", "--format", "json"])["route"]["meaning"], "blackhole");
    let drops = running.json("/v1/drops");
    assert_eq!(drops, json!([]), "no packet was lost by any of this");
    running.end();
}

#[test]
fn a_file_of_routes_is_taken_to_its_first_mistake() {
    let place = Place::new();
    let running = Running::start(&place, GATEWAY);
    let file = place
        .text("routes.txt", "# prefixes\n10.0.0.0/8 via 203.0.113.1\n\n10.1.0.0/16 via 198.18.0.2 # a host\n10.2.0.1 dev dmz\n");
    let file = file.to_str().unwrap();
    let added = said(&running, &["route", "add", "--from", file]);
    assert!(added.starts_with("3 routes added in `routes`, ") && added.ends_with("/s"), "{added}");
    assert_eq!(running.told(["route", "get", "10.1.2.3"]), "10.1.0.0/16 dev dmz\n");
    let bad = place.text(
        "bad.txt",
        "11.0.0.0/8 via 203.0.113.1\n11.1.0.0/16 via 203.0.113.1\n11.2.0.0/16 via 9.9.9.9\n11.3.0.0/16 via 203.0.113.1\n",
    );
    let why = refused(&running, &["route", "add", "--from", bad.to_str().unwrap()], 1);
    assert!(why.contains("bad.txt:3: ") && why.contains("9.9.9.9") && why.contains("; 2 routes before it added"), "{why}");
    assert_eq!(
        json_of(&running, &["route", "list", "--within", "11.0.0.0/8", "--format", "json"])["routes"].as_array().unwrap().len(),
        2
    );
    // What cannot be read changes nothing.
    let worse = place.text("worse.txt", "12.0.0.0/8 via 203.0.113.1\n12.1.0.0/16 over 203.0.113.1\n");
    let why = refused(&running, &["route", "add", "--from", worse.to_str().unwrap()], 1);
    assert!(why.contains("worse.txt:2: `over` is not expected here"), "{why}");
    assert_eq!(running.told(["route", "get", "12.0.0.1"]), "0.0.0.0/0 dev wan\n");
    let removed = said(&running, &["route", "del", "--from", file]);
    assert!(removed.starts_with("3 routes removed in `routes`, "), "{removed}");
    assert_eq!(running.told(["route", "get", "10.1.2.3"]), "0.0.0.0/0 dev wan\n");
    refused(&running, &["route", "add", "--from", "/nowhere"], 66);
    running.end();
}

#[test]
fn no_route_leads_to_an_interface_that_is_switched_off() {
    let place = Place::new();
    let running = Running::start(&place, GATEWAY);
    said(&running, &["route", "add", "0.0.0.0/0", "via", "198.18.0.2", "metric", "10"]);
    only_by(&running, "wan", &["dmz"]);
    assert_eq!(said(&running, &["interface", "down", "wan"]), "`wan` is switched off");
    only_by(&running, "dmz", &["wan"]);
    assert!(running.told(["show", "--over", "0"]).contains("\n! wan is switched off: `swath interface up wan` switches it on\n"));
    assert_eq!(said(&running, &["interface", "up", "wan"]), "`wan` is switched on");
    only_by(&running, "wan", &["dmz"]);
    let why = refused(&running, &["interface", "down", "wlan"], 1);
    assert!(why.contains("there is no interface `wlan`; did you mean "), "{why}");
    let log = running.end();
    assert_eq!(log.matches("switched by the control API").count(), 2, "{log}");
}

#[test]
fn sessions_are_listed_counted_and_ended() {
    let place = Place::new();
    let running = Running::start(&place, GATEWAY);
    let count =
        |options: &[&str]| -> u64 { running.told([&["nat", "sessions", "count"], options].concat()).trim().parse().unwrap() };
    running.until("/v1/drops", |_| count(&[]) == 1000);
    assert_eq!((count(&["--protocol", "udp"]), count(&["--protocol", "tcp"])), (1000, 0));
    assert_eq!((count(&["--address", "192.168.1.10"]), count(&["--address", "192.168.1.11"])), (1000, 0));
    assert_eq!(count(&["--port", "1100"]), 1);
    let list = running.told(["nat", "sessions", "list", "--port", "1100"]);
    let words: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words[..6], ["192.168.1.10:1100", ">", "198.51.100.1:9", "udp", "203.0.113.2:1100", "udp-unreplied"], "{list}");
    let some = running.ask(["nat", "sessions", "list", "--limit", "10"]);
    assert_eq!((some.out.lines().count(), some.err.contains("these are 10 of 1,000")), (11, true), "{}", some.err);
    let all = json_of(&running, &["nat", "sessions", "list", "--format", "json"]);
    assert_eq!((all["sessions"]["found"].as_u64(), all["sessions"]["sessions"].as_array().unwrap().len()), (Some(1000), 1000));
    refused(&running, &["nat", "sessions", "remove"], 64);
    // The next packet opens it again.
    assert_eq!(said(&running, &["nat", "sessions", "remove", "--port", "1100"]), "1 session ended in `nat`");
    running.until("/v1/drops", |_| count(&[]) == 1000);
    assert_eq!(said(&running, &["nat", "sessions", "remove", "--protocol", "tcp"]), "0 sessions ended in `nat`");
    assert!(said(&running, &["nat", "sessions", "remove", "--all"]).ends_with(" sessions ended in `nat`"));
    running.until("/v1/drops", |_| count(&[]) == 1000);
    let show = running.told(["nat", "show"]);
    assert!(show.starts_with("sessions   ") && show.contains(", endpoint-independent\n"), "{show}");
    running.end();
}

#[test]
fn rules_are_shown_added_removed_and_replaced() {
    let place = Place::new();
    let running = Running::start(&place, GATEWAY);
    let rules = |running: &Running| -> Vec<String> {
        let answer = json_of(running, &["acl", "show", "--format", "json"]);
        answer["hits"]["rules"].as_array().unwrap().iter().map(|rule| rule["rule"]["name"].to_string()).collect()
    };
    assert_eq!(
        said(&running, &["acl", "add", "{ name: flood, action: deny, source: 192.168.1.10/32 }", "--at", "0"]),
        "added in `rules`"
    );
    assert_eq!(rules(&running), [r#""flood""#, r#""telnet""#]);
    running.until("/v1/drops", |drops| drops[0]["node"] == "rules" && drops[0]["packets"].as_u64() > Some(10));
    let shown = running.told(["acl", "show"]);
    let flood: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
    assert!(flood[0] == "0" && flood[1].replace(',', "").parse::<u64>().unwrap() > 10, "{shown}");
    assert_eq!(flood[2..], ["deny", "flood", "source", "192.168.1.10/32"], "{shown}");
    assert_eq!(said(&running, &["acl", "remove", "flood"]), "removed in `rules`");
    only_by(&running, "wan", &["dmz"]);
    let file = place.text("rules.yaml", "rules:\n  - { name: a, action: permit, protocol: udp }\n  - { name: b, action: deny }\n");
    assert_eq!(said(&running, &["acl", "replace", file.to_str().unwrap()]), "2 rules in force in `rules`");
    assert_eq!(rules(&running), [r#""a""#, r#""b""#]);
    // All of a file or nothing.
    let bad = place.text("bad.yaml", "- { action: permit }\n- { action: permit, source: nowhere }\n");
    let why = refused(&running, &["acl", "replace", bad.to_str().unwrap()], 1);
    assert!(why.contains("nowhere") && why.contains("rules[1].source"), "{why}");
    let torn = place.text("torn.yaml", "- { action: permit\n");
    let why = refused(&running, &["acl", "replace", torn.to_str().unwrap()], 78);
    assert!(why.contains("SW0003") && why.contains("torn.yaml:"), "{why}");
    assert_eq!(rules(&running), [r#""a""#, r#""b""#]);
    assert_eq!(said(&running, &["acl", "remove", "0"]), "removed in `rules`");
    refused(&running, &["acl", "remove", "zero"], 1);
    running.end();
}

#[test]
fn lists_of_addresses_and_neighbours_are_changed() {
    let place = Place::new();
    let running = Running::start(&place, GATEWAY);
    assert_eq!(running.told(["deny", "lookup", "192.0.2.7"]), "denied by 192.0.2.0/24\n");
    assert_eq!(said(&running, &["deny", "add", "192.168.1.0/28", "192.0.2.0/24"]), "1 added and 0 removed in `listed`");
    running.until("/v1/drops", |drops| drops[0]["node"] == "listed" && drops[0]["packets"].as_u64() > Some(10));
    let file = place.text("drop.txt", "; nobody\n192.0.2.0/24 # documentation\n\n2001:db8::/32\n");
    assert_eq!(said(&running, &["deny", "replace", "--from", file.to_str().unwrap()]), "1 added and 1 removed in `listed`");
    only_by(&running, "wan", &["dmz"]);
    assert_eq!(running.told(["deny", "lookup", "192.168.1.10"]), "not denied\n");
    assert_eq!(said(&running, &["deny", "remove", "2001:db8::/32"]), "0 added and 1 removed in `listed`");
    assert!(running.told(["deny", "show"]).starts_with("prefixes  1 of IPv4, 0 of IPv6\n"));
    assert_eq!(said(&running, &["neighbour", "add", "203.0.113.1", "02:00:00:00:02:99"]), "added in `neighbours`");
    let list = running.told(["neighbour", "list", "--interface", "wan"]);
    let words: Vec<Vec<&str>> = list.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words, [["203.0.113.1", "02:00:00:00:02:99", "wan", "static", "-"]]);
    assert_eq!(said(&running, &["neighbour", "flush"]), "flushed in `neighbours`");
    assert_eq!(said(&running, &["neighbour", "del", "198.18.0.2"]), "forgotten in `neighbours`");
    assert_eq!(json_of(&running, &["neighbour", "list", "--interface", "dmz", "--format", "json"]), json!({ "neighbours": [] }));
    refused(&running, &["neighbour", "del", "198.18.0.77"], 1);
    running.end();
}

#[test]
fn any_table_takes_its_commands() {
    let place = Place::new();
    let running = Running::start(&place, GATEWAY);
    assert_eq!(json_of(&running, &["table", "routes", r#"{"lookup": {"address": "8.8.8.8"}}"#])["route"]["prefix"], "0.0.0.0/0");
    assert_eq!(json_of(&running, &["table", "listed", "show"])["list"]["ip4"], 1);
    let two = json_of(&running, &["table", "nat", r#"[{"show": {}}, {"sessions": {"limit": 0}}]"#]);
    assert!(two[0]["table"]["capacity"].is_u64() && two[1]["sessions"]["sessions"] == json!([]), "{two}");
    let file = place.text("commands.json", r#"[{"add": {"prefixes": ["10.0.0.0/8"]}}, {"add": {"prefixes": ["10.0.0.0/8"]}}]"#);
    let answers = json_of(&running, &["table", "listed", "--from", file.to_str().unwrap()]);
    assert_eq!(answers, json!([{ "changed": { "added": 1, "removed": 0 } }, { "changed": { "added": 0, "removed": 0 } }]));
    let why = refused(&running, &["table", "rotes", "show"], 1);
    assert!(why.contains("there is no table `rotes`; did you mean `routes`?"), "{why}");
    let why = refused(&running, &["table", "routes", "shoe"], 1);
    assert!(why.contains("shoe"), "{why}");
    let why = refused(&running, &["bridge", "list"], 1);
    assert!(why.contains("the graph has no table of kind `bridge`"), "{why}");
    let why = refused(&running, &["route", "list", "--table", "nat"], 64);
    assert!(why.contains("there is no table `nat` of kind `fib4`"), "{why}");
    running.end();
}

#[test]
fn stations_of_a_bridge() {
    let place = Place::new();
    let running = Running::start(
        &place,
        "version: 1
interfaces:
  a: { driver: memory, generate: { rate: 1kpps, packets: ['udp 10.0.0.1:1 > 10.0.0.2:2'], } }
  b: { driver: memory }
tables:
  stations: { kind: bridge, static: [{ mac: '02:00:00:00:01:07', interface: b }] }
nodes:
  a-rx:   { kind: rx, interface: a, to: bridge }
  b-rx:   { kind: rx, interface: b, to: bridge }
  bridge: { kind: bridge-input, to: { forward: tx, flood: flood } }
  flood:  { kind: bridge-flood, to: tx }
  tx:     { kind: tx }
",
    );
    let stations = |options: &[&str]| -> Vec<Vec<String>> {
        let list = running.told([&["bridge", "list"], options].concat());
        list.lines().skip(1).map(|line| line.split_whitespace().map(Into::into).collect()).collect()
    };
    running.until("/v1", |_| stations(&["--interface", "a"]).len() == 1);
    assert_eq!(stations(&["--interface", "b"]), [["02:00:00:00:01:07", "0", "b", "static"]]);
    assert_eq!(said(&running, &["bridge", "add", "02:00:00:00:00:55", "b"]), "added in `stations`");
    assert_eq!(said(&running, &["bridge", "del", "02:00:00:00:01:07"]), "forgotten in `stations`");
    assert_eq!(stations(&["--interface", "b"])[0][0], "02:00:00:00:00:55");
    let flushed = said(&running, &["bridge", "flush"]);
    assert!(flushed == "1 station forgotten in `stations`", "{flushed}");
    running.end();
}
