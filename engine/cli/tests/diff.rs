//! `swath diff`.

mod common;

use common::{Place, Said, forwarder, said, said_by, swath};
use serde_json::{Value, json};

/// What is said of a change of the shipped router.
fn diff(changes: &[(&str, &str)], options: &[&str]) -> Said {
    let (place, old) = (Place::new(), forwarder());
    let mut text = std::fs::read_to_string(&old).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let new = place.text("new.yaml", &text);
    said(["diff".as_ref(), old.as_os_str(), new.as_os_str()].into_iter().chain(options.iter().map(AsRef::as_ref)))
}

const ROUTE: &str = "- { prefix: 0.0.0.0/0, via: 203.0.113.1 }";

#[test]
fn nothing_differs() {
    for options in [&[][..], &["--exit-code"]] {
        let said =
            diff(&[("# A router", "# Another router"), ("{ kind: rx, interface: lan,", "{ interface: lan, kind: rx,")], options);
        assert_eq!((said.code, &*said.out, &*said.err), (0, "nothing differs: 11 kept\n", ""));
    }
    let all = diff(&[], &["--all"]).out;
    assert!(all.starts_with("interfaces\n  keep   lan  memory: goes on as it is\n  keep   wan  memory:"), "{all}");
    assert_eq!(all.lines().count(), 3 + 11 + 1, "{all}");
}

#[test]
fn a_route_that_goes_elsewhere() {
    let changes = [(ROUTE, "- { prefix: 0.0.0.0/0, via: 203.0.113.3 }\n      - { prefix: 10.0.0.0/8, via: 203.0.113.1 }")];
    let said = diff(&changes, &[]);
    let expected = "\
tables
  adopt  routes      fib4: made anew, and takes over which of several next hops flows take; lost: routes added or removed by commands
           routes[0].via: 203.0.113.1 → 203.0.113.3 (prefix 0.0.0.0/0)
           routes[1]: added { prefix: 10.0.0.0/8, via: 203.0.113.1 }
nodes
  adopt  1 node whose settings are the same: what they know is carried over; made anew because of the table `routes`
9 kept, 2 adopted, 0 fresh, 0 gone
";
    assert_eq!((said.code, &*said.out, &*said.err), (0, expected, ""));
    assert_eq!(diff(&changes, &["--exit-code"]).code, 2);
}

/// A file is the one that a path leads to, whatever the words are.
#[test]
fn files_of_drivers_are_compared_by_where_they_lie() {
    let place = Place::new();
    let graph = |read: &str| {
        format!(
            "version: 1\ninterfaces: {{ in: {{ driver: pcap, read: {read} }} }}\nnodes: {{ rx: {{ kind: rx, interface: in, to: end }}, end: {{ kind: drop }} }}\n"
        )
    };
    std::fs::create_dir(place.path("other")).unwrap();
    let absolute = place.path("in.pcap").display().to_string();
    let one = place.text("one.yaml", &graph("in.pcap"));
    for (name, read, same) in [
        ("two.yaml", "./in.pcap", true),
        ("two.yaml", absolute.as_str(), true),
        ("other/three.yaml", absolute.as_str(), true),
        ("two.yaml", "out.pcap", false),
        ("other/three.yaml", "in.pcap", false),
    ] {
        let other = place.text(name, &graph(read));
        let said = said(["diff".as_ref(), one.as_os_str(), other.as_os_str()]);
        assert_eq!(said.out.contains("nothing differs"), same, "{name} {read}: {}", said.out);
        if read == "in.pcap" {
            let changed = format!("read: \"{absolute}\" → \"{}\"", place.path("other/in.pcap").display());
            assert!(said.out.contains(&changed) && said.out.contains("fresh  in"), "{}", said.out);
        }
    }
}

#[test]
fn of_many_routes_there_is_a_count() {
    let routes = |range: std::ops::Range<u8>, via: u8| {
        let lines = range.map(|net| format!("- {{ prefix: 10.{net}.0.0/16, via: 203.0.113.{via} }}\n      "));
        lines.collect::<String>()
    };
    let place = Place::new();
    let base = std::fs::read_to_string(forwarder()).unwrap();
    let old = place.text("old.yaml", &base.replacen(ROUTE, &(routes(0..3, 1) + &routes(3..13, 1)), 1));
    let new = place.text("new.yaml", &base.replacen(ROUTE, &(routes(20..32, 1) + &routes(3..12, 1) + &routes(12..13, 3)), 1));
    let of = |options: &[&str]| {
        said(["diff".as_ref(), old.as_os_str(), new.as_os_str()].into_iter().chain(options.iter().map(AsRef::as_ref)))
    };
    let out = of(&[]).out;
    assert!(out.contains("\n           routes: 12 added, 3 removed, 1 changed, by `prefix`\n"), "{out}");
    let all = of(&["--all"]).out;
    assert_eq!(all.lines().filter(|line| line.contains(": added {")).count(), 12, "{all}");
    assert!(all.contains("           routes[2]: removed { prefix: 10.2.0.0/16, via: 203.0.113.1 }\n"), "{all}");
    assert!(all.contains("           routes[21].via: 203.0.113.1 → 203.0.113.3 (prefix 10.12.0.0/16)\n"), "{all}");
}

#[test]
fn everything_at_once() {
    let said = diff(
        &[
            ("interfaces:\n  lan", "engine: { workers: 2 }\ninterfaces:\n  lan"),
            ("wan: { driver: memory, mac", "wan: { driver: memory, mtu: 1400, mac"),
            ("lan: { driver: memory,", "lan: { driver: pcap,"),
            ("to: { ip4: ip4 }", "to: { ip4: ip4, arp: rest }"),
            ("kind: ip4-input", "kind: ip4-dscp, dscp: 46"),
            ("kind: tx }", "kind: tx }\n  rest:     { kind: drop }"),
        ],
        &[],
    );
    let expected = "\
engine: needs a restart
    workers: 1 → 2
interfaces
  fresh  lan  driver `memory` → `pcap`: detached, and attached anew
  fresh  wan  memory: detached, and attached anew
           mtu: added 1400
tables
  adopt  neighbours  neighbours: made anew, and takes over neighbours; because of changed interfaces
  adopt  routes      fib4: made anew, and takes over which of several next hops flows take; lost: routes added or removed by commands; because of changed interfaces and the table `neighbours`
nodes
  adopt  ethernet  ethernet-input: made anew; because of changed interfaces
           arp: nowhere, a drop → `rest`
  fresh  ip4       kind `ip4-input` → `ip4-dscp`: starts without state
  fresh  rest      drop: starts without state
  adopt  5 nodes whose settings are the same: what they know is carried over; made anew because of changed interfaces
0 kept, 8 adopted, 4 fresh, 0 gone
";
    assert_eq!((said.code, &*said.out, &*said.err), (0, expected, ""));
}

#[test]
fn a_node_that_is_put_between_others() {
    let said = diff(&[("to: lookup }", "to: mark }\n  mark:     { kind: ip4-dscp, dscp: 46, to: lookup }")], &[]);
    let expected = "\
nodes
  keep   ip4       ip4-input: rewired, and keeps its state
           ok: `lookup` → `mark`
  fresh  mark      ip4-dscp: starts without state
11 kept (1 rewired), 0 adopted, 1 fresh, 0 gone
";
    assert_eq!((said.code, &*said.out, &*said.err), (0, expected, ""));
}

#[test]
fn as_json() {
    let said = diff(&[(ROUTE, "- { prefix: 0.0.0.0/0, via: 203.0.113.3 }")], &["--format", "json", "--exit-code"]);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &json["equal"], &json["restart"], &json["engine"]), (2, &json!(false), &json!(false), &json!([])));
    let element = json!({ "list": "routes", "index": 0, "key": ["prefix", "0.0.0.0/0"] });
    let setting =
        json!({ "path": "routes[0].via", "what": "changed", "old": "203.0.113.1", "new": "203.0.113.3", "element": element });
    let lost = "routes added or removed by commands";
    let carried = "which of several next hops flows take";
    let routes =
        json!({ "name": "routes", "fate": "adopt", "kind": "fib4", "carried": carried, "lost": lost, "settings": [setting] });
    assert_eq!(json["tables"], json!([{ "name": "neighbours", "fate": "keep", "kind": "neighbours" }, routes]));
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["old", "new", "equal", "restart", "engine", "interfaces", "tables", "nodes"]);
}

#[test]
fn colours_are_of_the_fates() {
    let changes = [("to: lookup }", "to: look }"), ("  lookup: ", "  look: ")];
    let said = diff(&changes, &["--color", "always"]);
    for part in ["\x1b[1mnodes\x1b[0m\n  keep ", "\x1b[32mfresh\x1b[0m  look ", "\x1b[1;31mgone\x1b[0m   lookup"] {
        assert!(said.out.contains(part), "{}", said.out);
    }
    assert!(!diff(&changes, &[]).out.contains('\x1b'));
}

#[test]
fn a_graph_that_is_refused_is_not_compared() {
    let place = Place::new();
    let bad = place.text("bad.yaml", "version: 1\nnodes:\n  a: { kind: ip4-lokup }\n");
    let good = forwarder();
    for (old, new) in [(&bad, &good), (&good, &bad)] {
        let said = said(["diff".as_ref(), old.as_os_str(), new.as_os_str()]);
        assert_eq!((said.code, &*said.out), (78, ""));
        assert!(said.err.starts_with("error[SW0201]: unknown kind of node `ip4-lokup`\n"), "{}", said.err);
    }
    let said = said_by(&mut swath(["diff".as_ref(), good.as_os_str(), place.path("missing.yaml").as_os_str()]));
    assert_eq!(said.code, 66);
}
