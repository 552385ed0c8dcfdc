//! The command line itself: help, and what is said to wrong arguments.

mod common;

use common::{Place, forwarder, said, said_by, swath};

#[test]
fn help_goes_to_standard_output() {
    for args in [&["--help"][..], &["run", "--help"], &["validate", "--help"], &["replay", "--help"], &["nodes", "--help"]] {
        let said = said(args);
        assert_eq!((said.code, &*said.err), (0, ""), "{args:?}");
        assert!(said.out.contains("Usage: swath"), "{args:?}");
        assert!(said.out.contains("  swath "), "an example: {args:?}");
    }
    let help = said(["--help"]).out;
    for code in ["  0 ", "  1 ", "  64 ", "  66 ", "  78 "] {
        assert!(help.contains(code), "{help}");
    }
    assert_eq!(said(["--version"]).out, format!("swath {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_arguments_end_with_64() {
    let graph = forwarder();
    let graph = graph.to_str().unwrap();
    for args in [
        &[][..],
        &["rnu"],
        &["run"],
        &["run", graph, "--duration", "soon"],
        &["run", graph, "--duration", "-1"],
        &["run", graph, "--stats", "all"],
        &["validate"],
        &["replay"],
        &["replay", graph, "--workers", "0"],
        &["replay", graph, "--workers", "65"],
        &["replay", graph, "--in", "lan"],
        &["replay", graph, "--limit", "5"],
        &["replay", "--compare", "a.pcap"],
        &["replay", graph, "--compare", "a.pcap", "b.pcap"],
        &["nodes", "--format", "xml"],
    ] {
        let said = said(args);
        assert_eq!((said.code, &*said.out), (64, ""), "{args:?}: {}", said.err);
        assert!(said.err.contains("Usage: ") || said.err.contains("try '--help'"), "{args:?}: {}", said.err);
    }
}

#[test]
fn files_that_cannot_be_read_end_with_66() {
    let place = Place::new();
    let missing = place.path("missing.yaml");
    let missing = missing.to_str().unwrap();
    for args in [&["run", missing][..], &["validate", missing], &["replay", missing]] {
        let said = said(args);
        let expected = format!("error: cannot read {missing}: there is no such file\n");
        assert_eq!((said.code, &*said.out, &*said.err), (66, "", &*expected), "{args:?}");
    }
    let directory = place.path("");
    let said = said(["run".as_ref(), directory.as_os_str()]);
    assert_eq!(said.code, 66);
    assert!(said.err.ends_with(": it is a directory\n"), "{}", said.err);
}

#[test]
fn a_graph_that_is_refused_ends_with_78() {
    let place = Place::new();
    let graph = place.text("bad.yaml", "version: 1\nnodes:\n  a: { kind: ip4-lokup }\n");
    for command in ["run", "validate", "replay"] {
        let said = said([command.as_ref(), graph.as_os_str()]);
        assert_eq!((said.code, &*said.out), (78, ""), "{command}");
        assert!(said.err.starts_with("error[SW0201]: unknown kind of node `ip4-lokup`\n"), "{}", said.err);
        assert!(said.err.contains(&format!("{}:3:14\n", graph.display())), "{}", said.err);
        assert!(said.err.contains("= help: did you mean `ip4-lookup`?\n"), "{}", said.err);
        assert!(said.err.ends_with("bad.yaml: 1 error\n"), "{}", said.err);
    }
}

#[test]
fn output_that_cannot_be_written_ends_with_1() {
    let place = Place::new();
    let report = place.path("no/such/directory/report.json");
    for command in ["run", "replay"] {
        let said = said([command.as_ref(), forwarder().as_os_str(), "--report".as_ref(), report.as_os_str()]);
        let expected = format!("error: cannot write {}: there is no such directory\n", report.display());
        assert_eq!(said.code, 1, "{command}");
        assert!(said.err.ends_with(&expected), "{}", said.err);
    }
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let place = Place::new();
    let missing = place.path("missing.yaml");
    let run = |args: &[&str]| swath(args.iter().map(AsRef::as_ref).chain(["run".as_ref(), missing.as_os_str()]));
    let is_coloured = |said: common::Said| said.err.contains('\x1b');
    assert!(!is_coloured(said_by(&mut run(&[]))));
    assert!(is_coloured(said_by(&mut run(&["--color", "always"]))));
    assert!(is_coloured(said_by(run(&["--color", "always"]).env("NO_COLOR", "1"))), "who asks by name is heard");
    assert!(is_coloured(said_by(run(&[]).env("SWATH_COLOR", "always"))));
    assert!(!is_coloured(said_by(run(&["--color", "never"]).env("SWATH_COLOR", "always"))));
}
