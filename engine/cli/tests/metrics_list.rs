//! `docs/metrics.md`: the list of all metrics, as a scrape has them.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use common::scrape::{engine, metrics_of};
use swath_ctl::{Format, Settings};

/// All kinds of tables that have figures.
const GRAPH: &str = "version: 1
interfaces:
  a: { driver: memory, addresses: [10.0.0.1/24] }
  b: { driver: memory }
  c: { driver: memory }
tables:
  neighbours: { kind: neighbours }
  routes: { kind: fib4 }
  bridge: { kind: bridge, interfaces: [b, c] }
  listed: { kind: deny-list }
  rules: { kind: acl, sessions: {} }
nodes:
  a-rx:    { kind: rx, interface: a, to: eth }
  eth:     { kind: ethernet-input, to: { ip4: ip4 } }
  ip4:     { kind: ip4-input, to: deny }
  deny:    { kind: deny, to: filter }
  filter:  { kind: acl-filter, to: lookup }
  lookup:  { kind: ip4-lookup, to: rewrite }
  rewrite: { kind: ip4-rewrite, to: tx }
  b-rx:    { kind: rx, interface: b, to: learn }
  c-rx:    { kind: rx, interface: c, to: learn }
  learn:   { kind: bridge-input, to: { forward: tx, flood: flood } }
  flood:   { kind: bridge-flood, to: tx }
  tx:      { kind: tx }
";

const HEAD: &str = "\
# Metrics

What `swath run --metrics 127.0.0.1:9474` serves at `/metrics`. Each series of a node, an interface, a worker or a table ends with what it is
of. Labels are names and never addresses. With `engine.metrics-by-worker` the metrics of nodes marked * have the label `worker`, too.
Reasons of a node are there from the start; those that any node has (`fault`, `inbox-full` and others) from their first packet on.
`swath_interface_info` has the label `mode` where a driver has several ways. Of `af-xdp`: `zero-copy`, where the device writes to packet memory itself;
`copy`, where the kernel copies; `generic`, where it does so behind the driver of the device; and `copy-aligned` and `generic-aligned`, where packets
are copied once more, since the kernel does not take buffers of their length. `swath show interfaces NAME` says why it is not a better one.
`swath_interface_device_total{interface, counter}` has what a device of DPDK has counted (its extended statistics, 256 at most), a second old at most.
`swath_node_restarts_total{node, kind}` is there from the first time on that a node of a plugin was made anew because it was out of service.

<!-- Written by a test: INSTA_UPDATE=always cargo test -p swath --test metrics_list -->

| metric | type | labels | |
|---|---|---|---|
";

fn page() -> String {
    let families = |by_worker| families(&metrics_of(&engine(GRAPH), Settings { by_worker }, Format::Text));
    let (sums, each) = (families(false), families(true));
    let mut page = HEAD.to_string();
    for (name, (kind, help, labels)) in &sums {
        let mark = if each[name].2 == *labels { "" } else { " *" };
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let help = help.replace("\\n", " ");
        let _ = writeln!(page, "| `{name}`{mark} | {kind} | {} | {help} |", labels.join(", "));
    }
    page
}

/// Type, help and labels by name.
fn families(text: &str) -> BTreeMap<String, (String, String, Vec<String>)> {
    let mut found: BTreeMap<String, (String, String, Vec<String>)> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            found.entry(name.into()).or_default().1 = help.into();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            found.entry(name.into()).or_default().0 = kind.into();
        } else {
            let series = line.split(['{', ' ']).next().unwrap();
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| series.strip_suffix(end))
                .filter(|name| found.contains_key(*name));
            let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            let labels = labels.split("\",").filter_map(|label| label.split_once("=\"")).map(|(label, _)| label);
            let family = found.get_mut(name.unwrap_or(series)).unwrap_or_else(|| panic!("no family: {line}"));
            if family.2.is_empty() {
                family.2 = labels.filter(|label| *label != "le").map(Into::into).collect();
            }
        }
    }
    found
}

#[test]
fn the_list_of_metrics_is_that_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = page();
    for line in page.lines().skip_while(|line| !line.starts_with("|---")).skip(1) {
        let cells: Vec<_> = line.split(" | ").collect();
        assert!(cells.len() == 4 && cells[3].len() > 12, "every metric has a help: {line}");
    }
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/metrics.md is stale: run `INSTA_UPDATE=always cargo test -p swath --test metrics_list`");
}
