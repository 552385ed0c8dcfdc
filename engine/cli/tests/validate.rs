//! `swath validate`.

mod common;

use std::ffi::OsString;

use common::{Place, graph, said};
use serde_json::Value;

fn validate(arguments: &[&str], graphs: &[std::path::PathBuf]) -> common::Said {
    let arguments = arguments.iter().map(OsString::from).chain(graphs.iter().map(OsString::from));
    said([OsString::from("validate")].into_iter().chain(arguments))
}

#[test]
fn all_shipped_graphs_are_valid() {
    let mut graphs: Vec<_> = std::fs::read_dir(graph("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    graphs.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    assert!(graphs.len() >= 2);
    let said = validate(&["--deny-warnings"], &graphs);
    assert_eq!((said.code, &*said.out), (0, ""), "{}", said.err);
    for graph in graphs {
        assert!(said.err.contains(&format!("{}: ok\n", graph.display())), "{}", said.err);
        let text = std::fs::read_to_string(&graph).unwrap();
        assert!(text.starts_with("# "), "{} opens with prose", graph.display());
    }
}

#[test]
fn all_mistakes_are_shown_with_their_places() {
    let place = Place::new();
    let graph = place.text(
        "bad.yaml",
        "version: 1
interfaces:
  lan: { driver: pcap, raed: in.pcap, loop: 0 }
  wan: { driver: memory, generate: { packets: [udp 10.0.0.1:1 > 10.0.0:2] } }
tables:
  arp: { kind: neighbours, static: [{ address: 192.0.2.1, mac: 02:00:00:00:00:01 }] }
nodes:
  rx:   { kind: rx, interface: lan, to: sink }
  sink: { kind: drop }
  left: { kind: drop }
",
    );
    let said = validate(&[], std::slice::from_ref(&graph));
    assert_eq!((said.code, &*said.out), (78, ""));
    let name = graph.display();
    for (code, position, words) in [
        ("error[SW0104]: unknown key `raed`", "3:24", "= help: did you mean `read`?"),
        ("error[SW0107]: expected a number of rounds from 1", "3:45", "found integer 0"),
        ("error[SW0110]: ", "4:48", "found `10.0.0:2`"),
        ("error[SW0222]: `192.0.2.1` is on no subnet of an interface", "6:48", "give an interface an address on its subnet"),
        ("warning[SW0209]: no packet can reach the node `left`", "10:3", "or remove it"),
    ] {
        let all = &said.err;
        assert!(all.contains(code) && all.contains(&format!("{name}:{position}\n")) && all.contains(words), "{code}: {all}");
    }
    assert!(said.err.ends_with(&format!("{name}: 4 errors, 1 warning\n")), "{}", said.err);
}

#[test]
fn tables_and_nodes_are_made() {
    let place = Place::new();
    let text = "version: 1
engine: { workers: 2, cores: [200, 201], hugepages: required }
interfaces: { lan: { driver: pcap, read: /no/such/file.pcap, write: /no/such/directory/out.pcap, mtu: 9000 } }
nodes:
  rx:   { kind: rx, interface: lna, to: sink }
  sink: { kind: drop }
";
    let graph = place.text("graph.yaml", text);
    let said = validate(&[], std::slice::from_ref(&graph));
    assert_eq!(said.code, 78);
    assert!(said.err.contains("packets of 9000 bytes do not fit into a buffer"), "{}", said.err);
    // Without it the node is reached; neither this machine's cores and pages nor the files are looked at.
    let graph = place.text("graph.yaml", &text.replace(", mtu: 9000", ""));
    let said = validate(&[], std::slice::from_ref(&graph));
    assert_eq!(said.code, 78);
    assert!(said.err.contains("unknown interface `lna`"), "{}", said.err);
    assert!(said.err.contains("graph.yaml:5:32\n"), "{}", said.err);
    let graph = place.text("graph.yaml", &text.replace(", mtu: 9000", "").replace("lna", "lan"));
    assert_eq!(validate(&[], std::slice::from_ref(&graph)).code, 0);
}

#[test]
fn an_interface_is_not_opened() {
    let place = Place::new();
    let text = "{ version: 1, interfaces: { lan: { driver: pcap, write: out.pcap } }, nodes: { sink: { kind: drop } } }";
    let graph = place.text("graph.yaml", text);
    assert_eq!(validate(&[], &[graph]).code, 0);
    assert!(!place.path("out.pcap").exists());
}

#[test]
fn warnings_can_be_denied() {
    let place = Place::new();
    let graph = place.text("graph.yaml", "version: 1\nnodes:\n  sink: { kind: drop }\n");
    let said = validate(&[], std::slice::from_ref(&graph));
    assert_eq!(said.code, 0);
    assert!(said.err.ends_with("graph.yaml: ok, 1 warning\n"), "{}", said.err);
    let said = validate(&["--deny-warnings"], std::slice::from_ref(&graph));
    assert_eq!(said.code, 78);
    assert!(said.err.ends_with("graph.yaml: 1 warning, which are denied\n"), "{}", said.err);
}

#[test]
fn json_has_all_graphs() {
    let place = Place::new();
    let bad = place.text("bad.yaml", "version: 1\nnodes:\n  a: { kind: drpo }\n");
    let missing = place.path("missing.yaml");
    let said = validate(&["--format", "json"], &[graph("quickstart.yaml"), bad.clone(), missing.clone()]);
    assert_eq!((said.code, &*said.err), (66, ""));
    let json: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let valid: Vec<&Value> = json.iter().map(|graph| &graph["valid"]).collect();
    assert_eq!(valid, [true, false, false]);
    assert_eq!(json[0]["diagnostics"], Value::Array(Vec::new()));
    let diagnostic = &json[1]["diagnostics"][0];
    assert_eq!(json[1]["graph"], bad.to_str().unwrap());
    assert_eq!((&diagnostic["code"], &diagnostic["severity"]), (&"SW0201".into(), &"error".into()));
    assert_eq!((&diagnostic["line"], &diagnostic["column"]), (&3.into(), &14.into()));
    assert_eq!(diagnostic["help"], "did you mean `drop`?");
    assert_eq!(json[2]["error"], format!("cannot read {}: there is no such file", missing.display()));
    assert_eq!(validate(&["--format", "json"], &[bad]).code, 78);
}
