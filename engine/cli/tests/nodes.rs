//! `swath nodes`.

mod common;

use common::said;
use serde_json::Value;

#[test]
fn all_kinds_are_listed() {
    let said = said(["nodes"]);
    assert_eq!((said.code, &*said.err), (0, ""));
    let lines: Vec<&str> = said.out.lines().collect();
    let registry = swath::registry();
    for kind in registry.nodes() {
        let (name, summary) = (kind.info().kind.as_str(), kind.info().summary.as_str());
        assert!(lines.iter().any(|line| line.starts_with(&format!("{name} ")) && line.ends_with(summary)), "{name}");
    }
    for (name, summary) in [("fib4", "longest prefix match"), ("pcap", "capture")] {
        assert!(lines.iter().any(|line| line.starts_with(name) && line.contains(summary)), "{name}");
    }
    let json: Vec<Value> = serde_json::from_str(&common::said(["nodes", "--format", "json"]).out).unwrap();
    let count = registry.nodes().len() + registry.tables().len() + registry.drivers().len();
    assert_eq!(json.len(), count);
    assert_eq!(json[0]["class"], "node");
}

#[test]
fn a_kind_says_everything() {
    let said = said(["nodes", "ip4-lookup"]);
    assert_eq!(said.code, 0);
    for part in [
        "ip4-lookup (node)\n  Looks the destination",
        "Takes\n  ip4\n",
        "  table: a string\n      The table of routes, of kind `fib4`.",
        "  forward (ip4): must be wired\n      Packets for somebody else.",
        "  no-route (ip4): drops by this name if it is not wired\n      No route leads to the destination",
        "Drop reasons\n  blackhole\n      The longest route to the destination says `blackhole: true`.",
    ] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    let (page, example) = said.out.split_once("\nExample\n").unwrap();
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    assert_eq!(example, include_str!("../../../nodes/examples/ip4-lookup.yaml"));
    let table = common::said(["nodes", "fib4"]).out;
    assert!(
        table.contains(
            "  routes[].prefix: an IPv4 prefix such as `10.0.0.0/8`; required\n      The destinations, as `10.0.0.0/8`.\n"
        ),
        "{table}"
    );
    assert!(table.contains("Refers to\n  a table of kind neighbours\n"), "{table}");
    let driver = common::said(["nodes", "memory"]).out;
    assert!(driver.contains("  generate.pattern: `round-robin` or `random`"), "{driver}");
    assert!(driver.contains("  generate.flows.ttl: an integer from 0 to 255; default 64\n"), "{driver}");
}

#[test]
fn a_kind_as_json() {
    let json: Value = serde_json::from_str(&said(["nodes", "ip4-dscp", "--format", "json"]).out).unwrap();
    assert_eq!((&json["class"], &json["kind"], &json["input"]), (&"node".into(), &"ip4-dscp".into(), &"ip4".into()));
    assert_eq!(json["settings"]["properties"]["dscp"]["type"], "integer");
    let edges = json["edges"].as_array().unwrap();
    let classes = edges.iter().map(|edge| (edge["name"].as_str().unwrap(), edge["class"].as_str().unwrap()));
    let classes: Vec<(&str, &str)> = classes.collect();
    assert_eq!(classes, [("ok", "required"), ("too-short", "drop")]);
}

#[test]
fn an_unknown_kind_has_a_suggestion() {
    let said = said(["nodes", "ip4-lokup"]);
    let expected = "error: there is no kind `ip4-lokup`; did you mean `ip4-lookup`?\n";
    assert_eq!((said.code, &*said.out, &*said.err), (64, "", expected));
}
