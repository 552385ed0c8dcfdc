//! `swath run --watch-config`: files that change are read again, however they are written.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::Place;
use common::running::Running;
use serde_json::json;

fn graph(marker: &str) -> String {
    format!(
        "version: 1
include: ['ports/*.yaml']
interfaces:
  a: {{ driver: memory, generate: {{ rate: 1kpps, packets: [udp 10.0.0.1:1 > 10.0.0.2:2] }} }}
nodes:
  rx: {{ kind: rx, interface: a, to: {marker} }}
  {marker}: {{ kind: counter, to: sink }}
  sink: {{ kind: drop }}
"
    )
}

fn run(place: &Place, graph: &Path) -> Running {
    let socket = place.path("control.sock");
    let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
    command.arg("run").arg(graph).args(["--watch-config", "--stats", "none", "--log-format", "json", "--api"]).arg(&socket);
    Running::of(command, socket)
}

fn until_marker(running: &Running, marker: &str) {
    running.until("/v1/nodes", |nodes| nodes.as_array().unwrap().iter().any(|node| node["name"] == marker));
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn files_that_change_are_read_again() {
    let place = Place::new();
    let (directory, file) = (place.path("etc"), place.path("etc/graph.yaml"));
    write(&file, &graph("one"));
    let running = run(&place, &file);
    write(&file, &graph("two"));
    until_marker(&running, "two");
    // As editors do it.
    write(&directory.join("graph.yaml~"), &graph("three"));
    fs::rename(directory.join("graph.yaml~"), &file).unwrap();
    until_marker(&running, "three");
    // A file that a pattern matches now, and what becomes of it.
    let port = |marker: &str| {
        format!(
            "interfaces: {{ {marker}: {{ driver: memory }} }}\nnodes: {{ {marker}-rx: {{ kind: rx, interface: {marker}, to: sink }} }}\n"
        )
    };
    write(&directory.join("ports/b.yaml"), &port("b"));
    until_marker(&running, "b-rx");
    write(&directory.join("ports/b.yaml"), &port("c"));
    until_marker(&running, "c-rx");
    fs::remove_file(directory.join("ports/b.yaml")).unwrap();
    running.until("/v1/nodes", |nodes| nodes.as_array().unwrap().len() == 3);
    // What is beside the graph is none of it.
    let before = running.json("/v1")["revision"].clone();
    write(&directory.join("notes.txt"), "later");
    // What is refused changes nothing, and is said once.
    write(&file, &graph("four").replace("kind: counter", "kind: conuter"));
    write(&place.path("seen"), "");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(running.json("/v1")["revision"], before);
    write(&file, &graph("five"));
    until_marker(&running, "five");
    let log = running.end();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("not applied, and nothing has changed")).collect();
    assert_eq!(refused.len(), 1, "{log}");
    assert!(refused[0].contains("did you mean `counter`?"), "{log}");
    assert!(log.contains(r#""by":"file""#), "{log}");
}

#[test]
fn a_config_map_is_followed() {
    let place = Place::new();
    let at = |name: &str| place.path("config").join(name);
    write(&at("..2026_1/graph.yaml"), &graph("v1"));
    write(&at("..2026_1/b.yaml"), "interfaces: { b: { driver: memory } }\n");
    symlink("..2026_1", at("..data")).unwrap();
    for name in ["graph.yaml", "b.yaml"] {
        symlink(format!("..data/{name}"), at(name)).unwrap();
    }
    let running = run(&place, &at("graph.yaml"));
    for n in 2..6 {
        write(&at(&format!("..2026_{n}/graph.yaml")), &graph(&format!("v{n}")).replace("ports/*.yaml", "[a-c].yaml"));
        write(&at(&format!("..2026_{n}/b.yaml")), "interfaces: { b: { driver: memory } }\n");
        symlink(format!("..2026_{n}"), at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        fs::remove_dir_all(at(&format!("..2026_{}", n - 1))).unwrap();
        until_marker(&running, &format!("v{n}"));
    }
    assert_eq!(running.json("/v1")["revision"], json!(5), "each once");
    running.end();
}
