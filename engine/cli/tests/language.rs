//! Graphs of several files, on a real disk with real variables.

mod common;

use std::fmt::Write as _;

use common::{Place, said_by, swath};

const ROUTER: &str = "\
version: 1
include: [\"${PORTS:-ports}/*.yaml\", tables/routes.yaml]
nodes:
  ip4: { kind: ip4-input, to: lookup }
  lookup: { kind: ip4-lookup, to: rewrite }
  rewrite: { kind: ip4-rewrite, to: tx }
  tx: { kind: tx }
";

fn port(site: &str) -> String {
    format!(
        "interfaces:
  p{site}: {{ driver: memory, addresses: [10.{site}.0.1/16] }}
nodes:
  p{site}-rx: {{ kind: rx, interface: p{site}, to: p{site}-eth }}
  p{site}-eth: {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
"
    )
}

fn router() -> Place {
    let place = Place::new();
    for directory in ["ports", "tables/data", "other"] {
        std::fs::create_dir_all(place.path(directory)).unwrap();
    }
    for (file, text) in [
        ("router.yaml", ROUTER.to_owned()),
        ("ports/1.yaml", port("1")),
        ("ports/2.yaml", port("2")),
        // What begins with a dot is not matched: an editor's copy, the directory of a mounted ConfigMap.
        ("ports/.3.yaml", "not: read".to_owned()),
        ("other/4.yaml", port("4").replace("10.4.0.1/16", "\"10.${SITE}.0.1/16\"")),
        (
            "tables/routes.yaml",
            "tables:\n  arp: { kind: neighbours }\n  routes: { kind: fib4, routes-from: data/routes.csv }\n".to_owned(),
        ),
        ("tables/data/routes.csv", "prefix,via\n192.0.2.0/24,10.1.0.9\n".to_owned()),
    ] {
        std::fs::write(place.path(file), text).unwrap();
    }
    place
}

#[test]
fn paths_are_relative_to_the_file_in_which_they_stand() {
    let place = router();
    let said = said_by(swath(["validate", "--deny-warnings"]).arg(place.path("router.yaml")));
    assert_eq!((said.code, said.err.as_str()), (0, format!("{}: ok\n", place.path("router.yaml").display()).as_str()));
    // From within the directory, too.
    let said = said_by(swath(["validate", "router.yaml"]).current_dir(place.path("")));
    assert_eq!((said.code, said.err.as_str()), (0, "router.yaml: ok\n"));
}

#[test]
fn variables_of_the_environment_choose_files_and_values() {
    let place = router();
    let validate = |site: &str| {
        let mut command = swath(["validate", "router.yaml"]);
        command.current_dir(place.path("")).env("PORTS", "other").env("SITE", site);
        said_by(&mut command)
    };
    // The route leads by 10.1.0.9: reached when the site is 1, and not when it is 4.
    assert_eq!(validate("1").code, 0);
    let refused = validate("4");
    assert_eq!(refused.code, 78);
    assert!(refused.err.contains("--> tables/data/routes.csv:2:14"), "{}", refused.err);
    let refused = validate("400");
    assert!(refused.err.contains("`10.400.0.1` is not an IPv4 or IPv6 address"), "{}", refused.err);
    assert!(refused.err.contains("--> other/4.yaml:2:"), "{}", refused.err);
}

/// A million routes in a file, one of them wrong: shown with its line.
#[test]
fn a_mistake_in_line_700000_is_shown_there() {
    let place = router();
    let (mut csv, mut yaml) = ("prefix,via\n".to_owned(), String::new());
    for at in 2..=1_000_001_u32 {
        let prefix = std::net::Ipv4Addr::from((at + 0x40000) << 10);
        let via = if at == 700_000 { "10.1.0.300" } else { "10.1.0.9" };
        writeln!(csv, "{prefix}/22,{via}").unwrap();
        writeln!(yaml, "- {{ prefix: {prefix}/22, via: {via} }}").unwrap();
    }
    std::fs::write(place.path("tables/data/routes.csv"), csv).unwrap();
    std::fs::write(place.path("tables/data/routes.yaml"), yaml).unwrap();
    let validate = || said_by(swath(["validate", "router.yaml"]).current_dir(place.path("")));
    let said = validate();
    assert_eq!(said.code, 78);
    assert!(said.err.contains("--> tables/data/routes.csv:700000:"), "{}", said.err);
    assert!(said.err.contains("10.1.0.300"), "{}", said.err);
    let tables = std::fs::read_to_string(place.path("tables/routes.yaml")).unwrap().replace("routes.csv", "routes.yaml");
    std::fs::write(place.path("tables/routes.yaml"), tables).unwrap();
    let said = validate();
    assert!(said.err.contains("--> tables/data/routes.yaml:699999:"), "{}", said.err);
}

/// A driver's files are beside the file that names them, too.
#[test]
fn files_of_drivers_are_beside_the_file_that_names_them() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("ports")).unwrap();
    place.text("router.yaml", "version: 1\ninclude: [ports/a.yaml]\nnodes: { sink: { kind: drop } }\n");
    place.text(
        "ports/a.yaml",
        "interfaces: { a: { driver: pcap, read: a.pcap } }\nnodes: { rx: { kind: rx, interface: a, to: sink } }\n",
    );
    place.capture("ports/a.pcap", [(0, [0; 60]), (1, [0; 60])]);
    let said = said_by(swath(["run", "router.yaml", "--stats", "none", "--report", "-"]).current_dir(place.path("")));
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &report["received"]), (0, &2.into()), "{}", said.err);
}
