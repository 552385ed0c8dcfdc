//! `ip4-lookup` and `ip4-rewrite` alone, and the tables that they read: answers, commands, and what they refuse.

mod common;

use common::frames::{header, packet};
use serde_json::{Value, json};
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::wire::{IcmpCause, MacAddr};
use swath_api::{Lane, NO_INTERFACE};
use swath_nodes::ip4_lookup::Ip4Lookup;
use swath_nodes::ip4_rewrite::Ip4Rewrite;
use swath_nodes::neighbours::Neighbours;
use swath_nodes::routes4::Routes4;

fn interfaces() -> TestKit {
    let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &["192.168.1.1/24", "192.168.9.1/32", "fd00::1/64"]);
    let kit = kit.interface("wan", "02:00:00:00:00:02", 1400, &["203.0.113.2/31"]);
    kit.interface("dmz", "02:00:00:00:00:03", 1500, &["192.168.1.129/25"])
}

const STATIC: &str = r#"{"static": [{"address": "203.0.113.3", "mac": "02:00:00:00:00:99"},
                                     {"address": "192.168.1.10", "mac": "02:00:00:00:00:10"}]}"#;

fn tables(routes: &Value) -> TestKit {
    interfaces().table::<Neighbours>("arp", STATIC).table::<Routes4>("routes", &json!({ "routes": routes }).to_string())
}

fn ip(destination: &str) -> Vec<u8> {
    let destination: std::net::Ipv4Addr = destination.parse().expect("an address");
    packet(header(destination.octets(), 64, 8), &[])
}

fn edge_and_tx(kit: &mut NodeKit, destination: &str) -> (&'static str, u16) {
    let out = kit.one(&ip(destination), Lane::received(7));
    assert_eq!((&out.bytes, out.lane.rx), (&ip(destination), 7), "a look-up changes nothing but the way out");
    (out.edge, out.lane.tx)
}

#[test]
fn the_longest_route_decides() {
    let routes = json!([
        { "prefix": "0.0.0.0/0", "via": "203.0.113.3" },
        { "prefix": "10.0.0.0/8", "interface": "dmz" },
        { "prefix": "10.1.0.0/16", "blackhole": true },
        { "prefix": "10.1.1.0/24", "via": "192.168.1.10" },
        { "prefix": "10.1.1.1/32", "via": "192.168.1.200" },
        { "prefix": "10.2.0.0/16", "via": "9.9.9.9", "interface": "lan" },
        { "prefix": "240.1.0.0/16", "via": "203.0.113.3" },
    ]);
    let mut kit = tables(&routes).node::<Ip4Lookup>("{}").unwrap();
    let (lan, wan, dmz, none) = (0, 1, 2, NO_INTERFACE);
    for (destination, edge, tx) in [
        ("8.8.8.8", "forward", wan),
        ("10.0.0.1", "forward", dmz),
        ("10.255.255.255", "forward", dmz),
        ("11.0.0.0", "forward", wan),
        ("10.1.0.255", "blackhole", none),
        ("10.1.1.0", "forward", lan),
        ("10.1.1.1", "forward", dmz),
        ("10.1.1.2", "forward", lan),
        ("10.1.2.0", "blackhole", none),
        ("10.2.3.4", "forward", lan),
        // The subnets of the interfaces, the longer inside the shorter.
        ("192.168.1.2", "forward", lan),
        ("192.168.1.130", "forward", dmz),
        ("192.168.1.1", "local", none),
        ("192.168.1.129", "local", none),
        ("192.168.1.255", "local", none),
        ("192.168.1.127", "forward", lan),
        ("192.168.9.1", "local", none),
        ("192.168.9.0", "forward", wan),
        // A link of two has no broadcast address (RFC 3021).
        ("203.0.113.2", "local", none),
        ("203.0.113.3", "forward", wan),
        ("255.255.255.255", "local", none),
        ("224.0.0.5", "multicast", none),
        ("127.0.0.1", "martian", none),
        ("0.0.0.0", "martian", none),
        ("240.0.255.255", "martian", none),
        ("240.1.0.0", "forward", wan),
    ] {
        assert_eq!(edge_and_tx(&mut kit, destination), (edge, tx), "{destination}");
    }
    assert_eq!(kit.edge(b""), kit.edge(b"x"), "no bytes, no fault");
}

#[test]
fn without_a_default_route_the_rest_has_no_route() {
    let mut kit = tables(&json!([])).node::<Ip4Lookup>("{}").unwrap();
    for destination in ["1.0.0.0", "8.8.8.8", "192.168.0.255", "192.168.2.0", "203.0.113.4", "223.255.255.255"] {
        assert_eq!(edge_and_tx(&mut kit, destination), ("no-route", NO_INTERFACE), "{destination}");
    }
}

#[test]
fn rewriting_by_the_adjacency_of_a_look_up() {
    let kit = tables(&json!([{ "prefix": "0.0.0.0/0", "via": "203.0.113.3" }]));
    let mut lookup = kit.node::<Ip4Lookup>("{}").unwrap();
    let adjacency = |lookup: &mut NodeKit, to: &str| lookup.one(&ip(to), Lane::received(0)).lane;
    let gateway = adjacency(&mut lookup, "8.8.8.8");
    let unknown = adjacency(&mut lookup, "192.168.1.77");
    assert_eq!(unknown.adj, 0, "nobody's");
    let mut rewrite = tables(&json!([{ "prefix": "0.0.0.0/0", "via": "203.0.113.3" }])).node::<Ip4Rewrite>("{}").unwrap();
    let sized = |ttl, length: usize| packet(header([8, 8, 8, 8], ttl, length - 20), &[]);
    for (name, bytes, lane, edge) in [
        ("forwarded", sized(64, 100), gateway, "ok"),
        ("the MTU", sized(2, 1400), gateway, "ok"),
        ("one more", sized(64, 1401), gateway, "too-big"),
        ("TTL 1", sized(1, 1401), gateway, "ttl-expired"),
        ("TTL 0", sized(0, 100), gateway, "ttl-expired"),
        ("nobody", sized(64, 100), unknown, "unresolved"),
        ("nobody, TTL 1", sized(1, 100), unknown, "ttl-expired"),
        ("no such adjacency", sized(64, 100), Lane { adj: 1000, ..gateway }, "no-adjacency"),
        ("no adjacency", sized(64, 100), Lane { adj: u32::MAX, ..gateway }, "no-adjacency"),
        ("no header", sized(64, 100)[..19].to_vec(), gateway, "no-adjacency"),
        ("nothing", Vec::new(), gateway, "no-adjacency"),
    ] {
        let out = rewrite.one(&bytes, lane);
        assert_eq!(out.edge, edge, "{name}");
        if edge == "ok" {
            let mut frame = [[0xee; 14].to_vec(), bytes].concat();
            frame[12..14].copy_from_slice(&[8, 0]);
            assert_eq!(out.bytes, common::frames::forwarded(&frame, common::frames::mac(0x99), common::frames::mac(2)), "{name}");
            assert_eq!((out.lane.tx, out.lane.rx), (1, 0));
        } else {
            let why = match edge {
                "too-big" => IcmpCause::fragmentation_needed(1400).word(),
                "ttl-expired" => IcmpCause::TTL_EXCEEDED.word(),
                _ => lane.adj,
            };
            assert_eq!((out.bytes, out.lane), (bytes, Lane { adj: why, ..lane }), "{name}: as it arrived");
        }
    }
}

#[test]
fn commands_change_what_is_looked_up() {
    let mut kit = tables(&json!([{ "prefix": "10.0.0.0/8", "via": "203.0.113.3" }])).node::<Ip4Lookup>("{}").unwrap();
    let command = |kit: &NodeKit, command: Value| -> Value {
        serde_json::from_str(&kit.command("routes", &command.to_string()).expect("a command that is taken")).expect("JSON")
    };
    let lookup = |kit: &NodeKit, address: &str| command(kit, json!({ "lookup": { "address": address } }))["route"].clone();
    assert_eq!(lookup(&kit, "10.1.2.3"), json!({ "prefix": "10.0.0.0/8", "meaning": "forward", "interface": "wan" }));
    assert_eq!(lookup(&kit, "11.1.2.3"), json!({ "prefix": null, "meaning": "no-route", "interface": null }));
    assert_eq!(lookup(&kit, "192.168.1.1"), json!({ "prefix": "192.168.1.1/32", "meaning": "local", "interface": null }));
    let count = |kit: &NodeKit| command(kit, json!({ "show": {} }))["table"]["routes"].as_u64().unwrap();
    let before = count(&kit);
    let done = json!({ "done": {} });

    assert_eq!(command(&kit, json!({ "add": { "prefix": "10.1.0.0/16", "via": "192.168.1.10" } })), done);
    assert_eq!((edge_and_tx(&mut kit, "10.1.2.3"), edge_and_tx(&mut kit, "10.2.2.3")), (("forward", 0), ("forward", 1)));
    assert_eq!(count(&kit), before + 1);
    // The same prefix again: replaced.
    assert_eq!(command(&kit, json!({ "add": { "prefix": "10.1.0.0/16", "blackhole": true } })), done);
    assert_eq!(edge_and_tx(&mut kit, "10.1.2.3").0, "blackhole");
    assert_eq!(count(&kit), before + 1);
    assert_eq!(command(&kit, json!({ "remove": { "prefix": "10.1.0.0/16" } })), done);
    assert_eq!(edge_and_tx(&mut kit, "10.1.2.3"), ("forward", 1));
    assert_eq!(command(&kit, json!({ "remove": { "prefix": "10.0.0.0/8" } })), done);
    assert_eq!(edge_and_tx(&mut kit, "10.1.2.3").0, "no-route");
    assert_eq!(count(&kit), before - 1);
    assert!(command(&kit, json!({ "show": {} }))["table"]["memory"].as_u64().unwrap() > 0);

    for (refused, path, message) in [
        (json!({ "remove": { "prefix": "10.0.0.0/8" } }), "prefix", "there is no route 10.0.0.0/8"),
        (json!({ "add": { "prefix": "10.0.0.1/8", "blackhole": true } }), "add.prefix", "10.0.0.0/8"),
        (json!({ "add": { "prefix": "10.0.0.0/8" } }), "", "a route says where to"),
        (json!({ "add": { "prefix": "10.0.0.0/8", "via": "9.9.9.9" } }), "via", "`9.9.9.9` is on no interface's subnet"),
        (json!({ "add": { "prefix": "10.0.0.0/8", "interface": "wlan" } }), "interface", "unknown interface `wlan`"),
        (json!({ "add": { "prefix": "10.0.0.0/8", "blackhole": true, "via": "203.0.113.3" } }), "blackhole", "neither"),
        (json!({ "lookup": { "address": "10.0.0" } }), "lookup.address", "invalid IPv4 address"),
        (json!({ "delete": {} }), "", "unknown variant `delete`"),
    ] {
        let error = kit.command("routes", &refused.to_string()).unwrap_err();
        assert_eq!(error.path(), path, "{refused}: {error}");
        assert!(error.message().contains(message), "{refused}: {error}");
    }
    assert_eq!(count(&kit), before - 1, "what was refused has changed nothing");
}

#[test]
fn a_neighbour_that_becomes_known() {
    let mut kit = tables(&json!([{ "prefix": "10.0.0.0/8", "via": "192.168.1.77" }])).node::<Ip4Lookup>("{}").unwrap();
    let show = |kit: &NodeKit| -> Vec<Value> {
        let reply: Value = serde_json::from_str(&kit.command("arp", r#"{"show": {}}"#).unwrap()).unwrap();
        reply["neighbours"].as_array().unwrap().clone()
    };
    assert_eq!(show(&kit).len(), 2, "an adjacency that waits for its address is no neighbour");
    let by_route = kit.one(&ip("10.1.1.1"), Lane::received(0)).lane.adj;
    kit.command("arp", r#"{"add": {"address": "192.168.1.77", "mac": "02:00:00:00:00:77"}}"#).unwrap();
    let direct = kit.one(&ip("192.168.1.77"), Lane::received(0)).lane.adj;
    assert_eq!(by_route, direct, "one adjacency for the next hop of a route and for the host");
    kit.command("arp", r#"{"add": {"address": "192.168.1.77", "mac": "02:00:00:00:00:78"}}"#).unwrap();
    let expected = json!({ "interface": "lan", "address": "192.168.1.77", "mac": "02:00:00:00:00:78", "state": "static" });
    assert_eq!(show(&kit).len(), 3);
    assert!(show(&kit).contains(&expected), "{:?}", show(&kit));
    for (refused, path) in [
        (r#"{"add": {"address": "9.9.9.9", "mac": "02:00:00:00:00:77"}}"#, "address"),
        (r#"{"add": {"address": "192.168.1.3", "mac": "ff:ff:ff:ff:ff:ff"}}"#, "mac"),
        (r#"{"add": {"address": "192.168.1.3", "mac": "02:00:00:00:00:77", "interface": "wlan"}}"#, "interface"),
        (r#"{"add": {"address": "192.168.1.3"}}"#, "add"),
    ] {
        assert_eq!(kit.command("arp", refused).unwrap_err().path(), path, "{refused}");
    }
    assert_eq!(show(&kit).len(), 3);
    assert!(show(&kit).iter().all(|entry| entry["mac"].as_str().unwrap().parse::<MacAddr>().is_ok()));
}

#[test]
fn routes_that_are_refused_say_where() {
    for (settings, path, message) in [
        (json!({ "routes": [{ "prefix": "10.0.0.0/33", "blackhole": true }] }), "routes[0].prefix", "0 to 32"),
        (json!({ "routes": [{ "prefix": "10.0.0.0", "blackhole": true }] }), "routes[0].prefix", "10.0.0.0/32"),
        (json!({ "routes": [{ "prefix": "10.0.0.1/24", "blackhole": true }] }), "routes[0].prefix", "10.0.0.0/24"),
        (json!({ "routes": [{ "via": "203.0.113.3" }] }), "routes[0]", "missing field `prefix`"),
        (json!({ "routes": [{ "prefix": "10.0.0.0/8", "via": "nobody" }] }), "routes[0].via", "invalid IPv4 address"),
        (json!({ "routes": [{ "prefix": "10.0.0.0/8", "dev": "lan" }] }), "routes[0].dev", "unknown field `dev`"),
        (json!({ "routes": [{ "prefix": "10.0.0.0/8" }] }), "routes[0]", "`via`, `interface` or `blackhole: true`"),
        (
            json!({ "routes": [{ "prefix": "10.0.0.0/8", "via": "203.0.113.4" }] }),
            "routes[0].via",
            "`203.0.113.4` is on no interface's subnet",
        ),
        (json!({ "routes": [{ "prefix": "10.0.0.0/8", "interface": "wlan" }] }), "routes[0].interface", "unknown interface `wlan`"),
        (
            json!({ "routes": [{ "prefix": "10.0.0.0/8", "interface": "lan", "blackhole": true }] }),
            "routes[0].blackhole",
            "neither next hop nor interface",
        ),
        (
            json!({ "routes": [{ "prefix": "10.0.0.0/8", "blackhole": true }, { "prefix": "10.0.0.0/8", "via": "203.0.113.3" }] }),
            "routes[1].prefix",
            "`10.0.0.0/8` is given twice, first in `routes[0].prefix`",
        ),
        (
            json!({ "interfaces": ["lan", "wlan"] }),
            "interfaces[1]",
            "unknown interface `wlan`, expected one of `lan`, `wan`, `dmz`",
        ),
        (
            json!({ "interfaces": ["lan"], "routes": [{ "prefix": "10.0.0.0/8", "via": "203.0.113.3" }] }),
            "routes[0].via",
            "`203.0.113.3` is on no interface's subnet",
        ),
        (
            json!({ "interfaces": ["lan"], "routes": [{ "prefix": "10.0.0.0/8", "interface": "wan" }] }),
            "routes[0].interface",
            "does not serve the interface `wan`",
        ),
        (json!({ "neighbours": "nd" }), "neighbours", "unknown table `nd` of kind `neighbours`, expected one of `arp`"),
        (json!({ "memory-mib": -1 }), "memory-mib", ""),
        (json!({ "memory": 1 }), "memory", "unknown field `memory`"),
    ] {
        let error =
            interfaces().table::<Neighbours>("arp", STATIC).try_table::<Routes4>("routes", &settings.to_string()).unwrap_err();
        assert_eq!(error.path(), path, "{settings}: {error}");
        assert!(error.message().contains(message), "{settings}: {error}");
    }
    let error = interfaces().try_table::<Routes4>("routes", "{}").unwrap_err();
    assert_eq!((error.path(), error.message()), ("neighbours", "a table of kind `neighbours` is needed, there is none"));
}

#[test]
fn a_table_that_is_full_says_how_to_enlarge_it() {
    let hosts = |count: usize| -> Vec<Value> {
        let prefix = |host: usize| format!("10.{}.{}.1/32", host >> 8, host & 255);
        (0..count).map(|host| json!({ "prefix": prefix(host), "blackhole": true })).collect()
    };
    // A block of at least a line of 64 bytes for each /24 that has longer routes in it.
    let settings = json!({ "memory-mib": 1, "routes": hosts((1 << 20) / 64) });
    let error = interfaces().table::<Neighbours>("arp", "{}").try_table::<Routes4>("routes", &settings.to_string()).unwrap_err();
    assert!(error.message().ends_with("raise its limit (`memory-mib`)"), "{error}");
    let settings = json!({ "memory-mib": 1, "routes": hosts(1000) });
    assert!(interfaces().table::<Neighbours>("arp", "{}").try_table::<Routes4>("routes", &settings.to_string()).is_ok());
}

#[test]
fn next_hops_are_limited() {
    let hop = |hop: usize| json!({ "prefix": format!("10.{}.{}.0/24", hop >> 8, hop & 255), "via": format!("172.16.{}.{}", hop >> 8, hop & 255) });
    let with = |count: usize| {
        let settings = json!({ "routes": (0..count).map(hop).collect::<Vec<_>>() }).to_string();
        let kit = TestKit::new().interface("a", "02:00:00:00:00:01", 1500, &["172.16.255.255/16"]).table::<Neighbours>("n", "{}");
        kit.try_table::<Routes4>("r", &settings)
    };
    // 65,535 in all, with those of the router itself: martians, multicast, local, the subnet.
    assert!(with(65_531).is_ok());
    let error = with(65_532).unwrap_err();
    assert_eq!(error.message(), "the table has room for 65535 different next hops");
}

#[test]
fn tables_are_found_by_name_or_by_being_the_only_one() {
    let two = || {
        let kit = interfaces().table::<Neighbours>("arp", r#"{"interfaces": ["lan", "dmz"]}"#);
        let kit = kit.try_table::<Neighbours>("arp2", "{}");
        assert_eq!(
            kit.unwrap_err().message(),
            "several tables of kind `neighbours`: say in `interfaces` which interfaces this one serves"
        );
        let kit = interfaces().table::<Neighbours>("arp", r#"{"interfaces": ["lan", "dmz"]}"#);
        let kit = kit.table::<Neighbours>("arp2", r#"{"interfaces": ["wan"]}"#);
        kit.table::<Routes4>("routes", r#"{"neighbours": "arp"}"#)
    };
    let refused = |result: Result<NodeKit, swath_api::ConfigError>| {
        let error = result.unwrap_err();
        (error.path().to_string(), error.message().to_string())
    };
    let several = "several tables of kind `neighbours`: say in `neighbours` which, expected one of `arp`, `arp2`";
    assert_eq!(refused(two().node::<Ip4Lookup>("{}")), ("neighbours".into(), several.into()));
    assert_eq!(refused(two().node::<Ip4Rewrite>("{}")), ("neighbours".into(), several.into()));
    let wrong_kind = "the table `arp` is of kind `neighbours` and not of kind `fib4`, expected one of `routes`";
    assert_eq!(refused(two().node::<Ip4Lookup>(r#"{"table": "arp", "neighbours": "arp"}"#)), ("table".into(), wrong_kind.into()));
    let unknown = "unknown table `fib` of kind `fib4`, expected one of `routes`";
    assert_eq!(refused(two().node::<Ip4Lookup>(r#"{"table": "fib", "neighbours": "arp"}"#)), ("table".into(), unknown.into()));
    let none = "a table of kind `fib4` is needed, there is none";
    assert_eq!(refused(interfaces().table::<Neighbours>("arp", "{}").node::<Ip4Lookup>("{}")), ("table".into(), none.into()));
    assert_eq!(refused(two().node::<Ip4Rewrite>(r#"{"neighbors": "arp"}"#)).0, "neighbors");
    assert!(two().node::<Ip4Lookup>(r#"{"neighbours": "arp"}"#).is_ok());
    assert!(two().node::<Ip4Rewrite>(r#"{"neighbours": "arp2"}"#).is_ok());
}
