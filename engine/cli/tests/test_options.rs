//! What `swath test` is told, and how it tells its results to programs.

mod common;

use common::router::{router, run_in};
use common::{Place, UPLINK, WAN, frame, said};
use serde_json::{Value, json};

const TWO: &str = "  - { name: the first of two, in: { lan: hex 00 }, drops: { ethernet.too-short: 1 } }
  - { name: the second of two, in: { lan: hex 0000 } }
";

#[test]
fn tests_are_chosen_and_listed() {
    let place = Place::new();
    router(&place, TWO);
    let said = run_in(&place, &["router.yaml", "--filter", "first"]);
    assert_eq!((said.code, &*said.out), (0, "router.yaml\n  ok      the first of two\n1 passed, 1 left out\n"));
    assert_eq!(run_in(&place, &["router.yaml", "--filter", "of two"]).code, 1);
    let said = run_in(&place, &["router.yaml", "--filter", "third"]);
    assert_eq!((said.code, &*said.err), (1, "error: no test has `third` in its name\n"));
    let said = run_in(&place, &["router.yaml", "--list"]);
    assert_eq!((said.code, &*said.out), (0, "router.yaml:20: the first of two\nrouter.yaml:21: the second of two\n"));
    let said = run_in(&place, &["router.yaml", "--list", "--filter", "second", "--format", "json"]);
    let listed: Value = serde_json::from_str(&said.out).unwrap();
    let tests = json!([{ "name": "the second of two", "line": 21 }]);
    assert_eq!(listed, json!([{ "graph": "router.yaml", "valid": true, "tests": tests }]));
}

#[test]
fn json_has_everything() {
    let place = Place::new();
    router(&place, TWO);
    place.text("bad.yaml", "version: 1\nnodes: { a: { kind: drpo } }\n");
    let said = run_in(&place, &["router.yaml", "bad.yaml", "missing.yaml", "--format", "json"]);
    assert_eq!((said.code, &*said.err), (66, ""));
    let all: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let meaning = "Shorter than the 14 bytes of an Ethernet header, which no wire carries: look for a defect in the driver, or for a broken capture.";
    let problem = json!({
        "problem": "dropped", "step": 1, "at_ns": 0, "node": "ethernet", "reason": "too-short", "expected": 0, "got": 1,
        "meaning": meaning, "first": { "text": "hex 0000", "origin": "line 21" },
    });
    assert_eq!(
        all[0],
        json!({
            "graph": "router.yaml", "valid": true, "tests": [
                { "name": "the first of two", "line": 20, "result": "ok" },
                { "name": "the second of two", "line": 21, "result": "failed", "problems": [problem], "ledger": {
                    "received": 1, "made": 0, "sent": 0, "dropped": { "ethernet": { "too-short": 1 } }, "consumed": 0, "held": 0,
                    "in_transit": 0,
                }},
            ],
        })
    );
    assert_eq!((&all[1]["valid"], &all[1]["diagnostics"][0]["code"]), (&json!(false), &json!("SW0201")));
    assert_eq!(
        all[2],
        json!({ "graph": "missing.yaml", "valid": false, "error": "cannot read missing.yaml: there is no such file" })
    );
}

#[test]
fn json_shows_both_packets_and_the_fields() {
    let place = Place::new();
    router(
        &place,
        "  - name: x
    steps:
      - in: { lan: [ip 192.168.1.10 > 8.8.8.8 id 1, ip 192.168.1.10 > 8.8.8.8 id 2] }
        out: { wan: [ip 192.168.1.10 > 8.8.8.8 id 2 ttl 63, ip 192.168.1.10 > 8.8.8.8 id 1 ttl 63] }
      - at: 1s
        in: { lan: [ip 192.168.1.10 > 8.8.8.8 id 3, ip 192.168.1.10 > 192.168.1.10] }
        out: { wan: [ip 192.168.1.10 > 8.8.8.8 id 4 ttl 63, ip 192.168.1.10 > 192.168.1.10 ttl 63, hex 00] }
      - in: { wan: hex 00, lan: ip 192.168.1.10 > 8.8.8.8 }
",
    );
    let said = run_in(&place, &["router.yaml", "--format", "json"]);
    let all: Value = serde_json::from_str(&said.out).unwrap();
    let problems = all[0]["tests"][0]["problems"].as_array().unwrap();
    let kinds: Vec<_> = problems.iter().map(|one| (one["problem"].as_str().unwrap(), &one["step"], &one["at_ns"])).collect();
    let (second, zero) = (json!(1_000_000_000), json!(0));
    assert_eq!(
        kinds,
        [
            ("order", &json!(1), &zero),
            ("differs", &json!(2), &second),
            ("elsewhere", &json!(2), &second),
            ("missing", &json!(2), &second),
            ("unexpected", &json!(3), &second),
            ("unreceived", &json!(3), &second),
        ]
    );
    let packet = "ip 192.168.1.10 > 8.8.8.8 proto 253 ttl 63";
    assert_eq!(problems[1]["fields"], json!([{ "expected": "id 4", "got": "id 3" }]));
    assert_eq!(problems[1]["expected"]["text"], format!("{packet} id 4"));
    assert_eq!(problems[1]["got"]["text"], format!("{packet} id 3 dst-mac {UPLINK}"));
    let sent = frame(&format!("{packet} id 3"), WAN, UPLINK);
    assert_eq!(problems[1]["got"]["hex"], sent.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    assert_eq!((&problems[2]["left_by"], &problems[3]["expected"]["text"]), (&json!("lan"), &json!("hex 00")));
    assert_eq!(problems[5]["packets"], 1);
}

#[test]
fn help_says_how_and_wrong_arguments_are_refused() {
    let help = said(["test", "--help"]);
    assert_eq!((help.code, &*help.err), (0, ""));
    for part in ["Usage: swath test [OPTIONS] <GRAPH>...", "--require-tests", "docs/tests-of-graphs.md", "  swath test graphs/"] {
        assert!(help.out.contains(part), "{}", help.out);
    }
    for arguments in [&["test"][..], &["test", "x.yaml", "--workers", "0"], &["test", "x.yaml", "--workers", "65"]] {
        assert_eq!(said(arguments).code, 64);
    }
    let missing = said(["test", "/no/such/graph.yaml"]);
    let told = "error: cannot read /no/such/graph.yaml: there is no such file\n";
    assert_eq!((missing.code, &*missing.out, &*missing.err), (66, "0 passed, 1 graph refused\n", told));
}

/// A table that refuses its settings is found when the engine is made.
#[test]
fn a_graph_that_cannot_be_built_is_refused() {
    let place = Place::new();
    router(&place, TWO);
    let text = std::fs::read_to_string(place.path("router.yaml")).unwrap();
    place.text("router.yaml", &text.replace("via: 203.0.113.1", "via: 198.51.100.1"));
    let said = run_in(&place, &["router.yaml"]);
    assert_eq!((said.code, &*said.out), (78, "router.yaml\n0 passed, 1 graph refused\n"));
    assert!(said.err.contains("  --> router.yaml:11:") && said.err.ends_with("router.yaml: 1 error\n"), "{}", said.err);
}

#[test]
fn colours_are_for_who_asks() {
    let place = Place::new();
    router(&place, TWO);
    let plain = run_in(&place, &["router.yaml"]).out;
    let coloured = run_in(&place, &["router.yaml", "--color", "always"]).out;
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[32mok\x1b[0m") && coloured.contains("\x1b[1;31mFAILED\x1b[0m"));
    let mut stripped = String::new();
    for (index, part) in coloured.split("\x1b[").enumerate() {
        stripped += if index == 0 { part } else { part.split_once('m').unwrap().1 };
    }
    assert_eq!(stripped, plain);
}
