//! `swath graph`.

mod common;

use std::path::Path;

use common::{Place, forwarder, graph, said};
use roxmltree::Document;
use serde_json::Value;

fn drawn(arguments: &[&str], graph: &Path) -> common::Said {
    said([&["graph", graph.to_str().unwrap()], arguments].concat())
}

fn json(graph: &Path) -> Value {
    let said = drawn(&["--format", "json"], graph);
    assert_eq!((said.code, &*said.err), (0, ""));
    serde_json::from_str(&said.out).unwrap()
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// The picture in the README. After a change: `swath graph graphs/ip4-router.yaml -o docs/images/ip4-router.svg`, and look at it.
#[test]
fn the_picture_that_is_shown_is_the_one_that_is_drawn() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images/ip4-router.svg");
    let said = drawn(&["--format", "svg"], &graph("ip4-router.yaml"));
    assert_eq!((said.code, &*said.err), (0, ""));
    assert!(std::fs::read_to_string(file).unwrap() == said.out, "docs/images/ip4-router.svg is not what `swath graph` draws");
    let xml = Document::parse(&said.out).unwrap();
    let nodes: Vec<&str> = xml.descendants().filter_map(|element| element.attribute("data-node")).collect();
    let boxes = [
        "lan-rx",
        "ethernet",
        "arp",
        "ip4",
        "options",
        "lookup",
        "rewrite",
        "resolve",
        "fragment",
        "reassembly",
        "local",
        "own/lookup",
        "tx",
    ];
    assert!(boxes.iter().all(|name| nodes.contains(name)), "{nodes:?}");
}

#[test]
fn columns_are_drawn_for_a_terminal() {
    let said = drawn(&[], &forwarder());
    let lines = [
        "forwarder.yaml: 7 nodes, 2 interfaces, 2 tables",
        "",
        "FROM    NODE      KIND            EDGE         TO        TABLES",
        "lan ─►  lan-rx    rx              out      ─►  ethernet",
        "wan ─►  wan-rx    rx              out      ─►  ethernet",
        "        ethernet  ethernet-input  ip4      ─►  ip4",
        "        ip4       ip4-input       ok       ─►  lookup",
        "        lookup    ip4-lookup      forward  ─►  rewrite   neighbours, routes",
        "        rewrite   ip4-rewrite     ok       ─►  tx        neighbours",
        "        tx        tx                       ─►  lan, wan",
        "",
    ];
    assert_eq!((said.code, &*said.err, &*said.out), (0, "", &*lines.join("\n")));
}

/// Workers hand packets over only before a node that remembers something of them.
#[test]
fn handoffs_are_those_that_are_needed() {
    let place = Place::new();
    for (action, expected) in
        [("permit", vec!["rx", "filter", "tx"]), ("permit+reflect", vec!["rx", "handoff-to-filter", "filter", "tx"])]
    {
        let file = place.text(
            "filter.yaml",
            &format!(
                "version: 1
engine: {{ workers: 2 }}
interfaces: {{ lan: {{ driver: memory }}, wan: {{ driver: memory }} }}
tables: {{ rules: {{ kind: acl, rules: [{{ action: {action} }}] }} }}
nodes:
  rx:     {{ kind: rx, interface: lan, to: filter }}
  filter: {{ kind: acl-filter, layer: ethernet, to: tx }}
  tx:     {{ kind: tx, interface: wan }}
"
            ),
        );
        let said = drawn(&["--format", "json"], &file);
        let json: Value = serde_json::from_str(&said.out).unwrap();
        let names: Vec<&str> = json["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
        assert_eq!((said.code, names), (0, expected), "{action}");
    }
}

/// Neither graph names all of its tables: a node takes the only one of its kind.
#[test]
fn tables_are_those_that_nodes_have_found() {
    for file in [forwarder(), graph("quickstart.yaml")] {
        let json = json(&file);
        let tables = json["nodes"].as_array().unwrap().iter().map(|node| (node["name"].as_str().unwrap(), words(&node["tables"])));
        let used: Vec<_> = tables.filter(|(_, tables)| !tables.is_empty()).collect();
        assert_eq!(used, [("lookup", vec!["neighbours", "routes"]), ("rewrite", vec!["neighbours"])], "{}", file.display());
    }
}

#[test]
fn interfaces_are_those_that_packets_come_and_leave_by() {
    let place = Place::new();
    let graph = place.text(
        "graph.yaml",
        "version: 1
interfaces:
  lan: { driver: pcap, read: /no/such/file.pcap, addresses: [192.168.1.1/24], mtu: 1400 }
  wan: { driver: pcap, write: /no/such/directory/out.pcap, mac: '02:00:00:00:00:01' }
  unused: { driver: memory }
nodes:
  rx: { kind: rx, interface: lan, to: tx }
  tx: { kind: tx, interface: wan }
",
    );
    let json = json(&graph);
    assert_eq!((&json["version"], &json["graph"]), (&1.into(), &"graph.yaml".into()));
    let [lan, wan, unused] = &json["interfaces"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!((&lan["driver"], &lan["mtu"], &lan["mac"]), (&"pcap".into(), &1400.into(), &Value::Null));
    assert_eq!((words(&lan["addresses"]), &wan["mac"]), (vec!["192.168.1.1/24"], &"02:00:00:00:00:01".into()));
    assert_eq!(unused["driver"], "memory");
    let [rx, tx] = &json["nodes"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!((&rx["receives"], &rx["role"], words(&rx["transmits"])), (&"lan".into(), &"receive".into(), vec![]));
    assert_eq!((&tx["receives"], &tx["role"], words(&tx["transmits"])), (&Value::Null, &"transmit".into(), vec!["wan"]));
    let edge = &json["edges"][0];
    assert_eq!((&edge["from"], &edge["name"], &edge["to"]), (&"rx".into(), &"out".into(), &"tx".into()));
    assert_eq!((&edge["class"], &edge["main"], &edge["layer"]), (&"required".into(), &true.into(), &"ethernet".into()));
    assert_eq!(words(&json["layers"]), ["ethernet"]);
    // What nothing comes from and nothing goes to is not drawn.
    let svg = drawn(&["--format", "svg"], &graph).out;
    assert!(svg.contains("data-interface=\"lan\"") && !svg.contains("data-interface=\"unused\""));
}

#[test]
fn drops_are_shown_on_request() {
    let router = forwarder();
    for format in ["text", "svg", "dot", "mermaid"] {
        let (plain, drops) = (drawn(&["--format", format], &router), drawn(&["--format", format, "--drops"], &router));
        assert_eq!((plain.code, drops.code), (0, 0));
        // A drop reason, and an edge that is not wired.
        for reason in ["bad-checksum", "no-route"] {
            assert!(!plain.out.contains(reason) && drops.out.contains(reason), "{format} {reason}");
        }
        // A wired edge is none.
        assert!(drops.out.matches("forward").count() == plain.out.matches("forward").count(), "{format}");
    }
}

#[test]
fn a_file_is_written_in_the_form_of_its_name() {
    let place = Place::new();
    for (name, start) in
        [("a.svg", "<svg "), ("a.dot", "digraph "), ("a.mmd", "flowchart TB\n"), ("a.json", "{"), ("a.txt", "ip4-router")]
    {
        let file = place.path(name);
        let said = drawn(&["--direction", "tb", "-o", file.to_str().unwrap()], &graph("ip4-router.yaml"));
        assert_eq!((said.code, &*said.out, &*said.err), (0, "", ""), "{name}");
        assert!(std::fs::read_to_string(&file).unwrap().starts_with(start), "{name}");
    }
    let said = drawn(&["-o", "-"], &graph("ip4-router.yaml"));
    assert!(said.out.starts_with("ip4-router"));
    let said = drawn(&["-o", place.path("router").to_str().unwrap()], &graph("ip4-router.yaml"));
    assert_eq!(said.code, 64);
    assert!(
        said.err.contains("does not say how to draw: end it in .svg, .dot, .mmd, .json or .txt, or add --format"),
        "{}",
        said.err
    );
    let said = drawn(&["-o", "/no/such/directory/a.svg"], &graph("ip4-router.yaml"));
    assert_eq!(said.code, 1);
    assert!(said.err.ends_with("cannot write /no/such/directory/a.svg: there is no such directory\n"), "{}", said.err);
}

#[test]
fn a_broken_graph_is_not_drawn() {
    let place = Place::new();
    for (text, words) in [
        ("version: 1\nnodes:\n  a: { kind: drpo }\n", "did you mean `drop`?"),
        ("version: 1\nnodes:\n  a: { kind: ip4-dscp, to: b }\n  b: { kind: ip4-dscp, to: a }\n", "a.ok → b.ok → a"),
        ("version: 1\nnodes:\n  a: { kind: rx, interface: lan, to: b }\n  b: { kind: drop }\n", "unknown interface `lan`"),
    ] {
        let graph = place.text("bad.yaml", text);
        let file = place.path("bad.svg");
        let said = drawn(&["-o", file.to_str().unwrap()], &graph);
        assert_eq!((said.code, &*said.out), (78, ""));
        assert!(said.err.contains(words) && said.err.contains("bad.yaml: ") && said.err.contains(" error"), "{}", said.err);
        assert!(!file.exists());
    }
    let said = drawn(&[], &place.path("missing.yaml"));
    assert_eq!(said.code, 66);
}

/// Warnings do not keep a graph from being drawn, but are said.
#[test]
fn warnings_are_shown() {
    let place = Place::new();
    let said = drawn(&[], &place.text("graph.yaml", "version: 1\nnodes:\n  sink: { kind: drop }\n"));
    assert_eq!(said.code, 0);
    assert!(
        said.err.contains("warning[SW0209]") && said.out.contains("graph.yaml: 1 node, 0 interfaces, 0 tables"),
        "{}",
        said.err
    );
}
