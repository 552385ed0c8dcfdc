//! What is shipped beside the program for service managers, Prometheus and Grafana, held against the program.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::hosts::Net;
use common::scrape::{engine, metrics_of};
use common::{Place, graph, has, said};
use swath_ctl::{Format, Settings};

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(packaging(file)).unwrap()
}

/// Must succeed. Returns all that it wrote.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

const UNIT: &str = "systemd/swath.service";

#[test]
fn systemd_accepts_the_unit() {
    if !has("systemd-analyze") {
        return;
    }
    let place = Place::new();
    // Not installed where the tests run.
    let unit = place.text("swath.service", &read(UNIT).replace("/usr/bin/swath ", &format!("{} ", env!("CARGO_BIN_EXE_swath"))));
    // It warns of words that it does not know, and succeeds.
    assert_eq!(succeed(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit)), "");
    // In tenths; it fails above. 10 is a service that may do anything.
    succeed(Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=30"]).arg(&unit));
}

/// The commands of the unit are commands of this program.
#[test]
fn the_program_accepts_what_the_unit_says() {
    let unit = read(UNIT);
    let of = |key: &str| -> Vec<String> {
        let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=/usr/bin/swath "))).expect(key);
        line.replace("/etc/swath/swath.yaml", graph("quickstart.yaml").to_str().unwrap()).split(' ').map(Into::into).collect()
    };
    assert_eq!(said(of("ExecStartPre")).code, 0);
    let run = of("ExecStart").into_iter().chain(["--duration".into(), "100ms".into()]);
    assert_eq!(said(run).code, 0);
    let help = said(["--help"]).out;
    for variable in unit.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|word| word.starts_with("SWATH_")) {
        assert!(help.contains(variable), "{variable}");
    }
    // Those that a restart does not mend.
    let codes = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    assert_eq!(codes, "64 66 78");
    assert_eq!(said(["run", "--no-such-option"]).code, 64);
    assert_eq!(said(["run", "/nowhere/graph.yaml"]).code, 66);
    let place = Place::new();
    assert_eq!(said([Path::new("run"), &place.text("graph.yaml", "version: 2\n")]).code, 78);
}

/// With the capabilities of the unit, and no other, all drivers attach.
#[test]
fn the_capabilities_of_the_unit_are_enough() {
    if !has("setpriv") {
        return;
    }
    let Some(net) = Net::new(&["a", "b"]) else { return };
    net.cable("a", "va", "02:00:00:00:00:0a", "b", "vb");
    net.cable("a", "wa", "02:00:00:00:01:0a", "b", "wb");
    let place = Place::new();
    let graph = place.text(
        "graph.yaml",
        "version: 1
# As much as anybody may lock: the unit sets LimitMEMLOCK.
engine: { buffers: 1024 }
interfaces:
  x: { driver: af-xdp, device: va, capture: all-but-ssh }
  p: { driver: af-packet, device: wa }
  t: { driver: tap, device: swath0 }
nodes:
  x-rx: { kind: rx, interface: x, to: out }
  p-rx: { kind: rx, interface: p, to: out }
  t-rx: { kind: rx, interface: t, to: out }
  out:  { kind: drop }
",
    );
    let unit = read(UNIT);
    let line = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let capabilities = line("CapabilityBoundingSet=");
    assert_eq!(line("AmbientCapabilities="), capabilities);
    let set: Vec<_> =
        capabilities.split(' ').map(|name| format!(",+{}", name.strip_prefix("CAP_").unwrap().to_lowercase())).collect();
    // Root that may do no more: the account of the unit cannot read what is in the directories of a test.
    let limit = format!("setpriv --no-new-privs --inh-caps=-all --bounding-set=-all{}", set.concat());
    let run = format!("run {} --duration 200ms --stats none", graph.display());
    let said = net.try_sh("a", &format!("{limit} {} {run}", env!("CARGO_BIN_EXE_swath")));
    assert!(said.contains("the ledger adds up"), "{said}");
}

#[test]
fn promtool_accepts_the_rules_and_they_fire_when_they_should() {
    if !has("promtool") {
        return;
    }
    succeed(Command::new("promtool").args(["check", "rules"]).arg(packaging("prometheus/swath.rules.yml")));
    succeed(Command::new("promtool").args(["test", "rules"]).arg(packaging("prometheus/swath.test.yml")));
}

/// The names of the series of an engine.
fn known() -> BTreeSet<String> {
    let text = "version: 1\ninterfaces: { lan: { driver: memory } }\nnodes: { in: { kind: rx, interface: lan, to: out }, out: { kind: drop } }";
    let text = metrics_of(&engine(text), Settings::default(), Format::Text);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| Some(line.split(['{', ' ']).next()?.to_string())).collect()
}

/// The names of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("swath_")).map(Into::into).collect()
}

#[test]
fn rules_and_dashboard_ask_for_what_there_is() {
    let known = known();
    for file in ["prometheus/swath.rules.yml", "prometheus/swath.test.yml", "grafana/swath.json"] {
        let unknown: Vec<_> = named(&read(file)).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    // What one looks at when something is wrong is all there.
    let shown = named(&read("grafana/swath.json"));
    let hidden: Vec<_> = known.difference(&shown).filter(|name| !name.ends_with("_sum") && !name.ends_with("_count")).collect();
    assert_eq!(hidden, ["swath_interface_info", "swath_worker_slices_total"]);
}

#[test]
fn the_dashboard_is_of_any_prometheus() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("grafana/swath.json")).unwrap();
    assert_eq!(dashboard["uid"], "swath");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    let panels = dashboard["panels"].as_array().unwrap();
    let rows: Vec<_> = panels.iter().filter(|panel| panel["type"] == "row").map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Health", "Interfaces", "Nodes", "Drops", "Workers", "Buffers"]);
    let (mut expressions, mut places) = (Vec::new(), BTreeSet::new());
    for panel in panels {
        let place = ["x", "y", "w"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(place[0] + place[2] <= 24 && places.insert((place[1], place[0])), "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            for datasource in [&panel["datasource"], &target["datasource"]] {
                assert_eq!(datasource["uid"], "${datasource}", "{panel}");
            }
            expressions.push(target["expr"].as_str().unwrap().to_string());
        }
    }
    assert!(expressions.len() > 30);
    if !has("promtool") {
        return;
    }
    // As rules, after Grafana has put in its variables.
    let rules: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(index, expression)| {
            let expression = expression.replace("$__rate_interval", "1m").replace("$__range", "1h");
            serde_json::json!({ "record": format!("panel:{index}"), "expr": expression })
        })
        .collect();
    let rules = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let place = Place::new();
    succeed(Command::new("promtool").args(["check", "rules"]).arg(place.text("rules.yml", &rules.to_string())));
}
