//! `swath test`. The snapshots are meant to be read: does one see at once what is wrong?

mod common;

use std::path::{Path, PathBuf};

use common::router::{router, run_in};
use common::{Place, UPLINK, WAN, frame, graph, said, said_by, swath};
use insta::assert_snapshot;

/// What is said of a graph with these tests, one of which fails.
fn failing(tests: &str) -> String {
    let place = Place::new();
    router(&place, tests);
    let said = run_in(&place, &["router.yaml"]);
    assert_eq!((said.code, &*said.err), (1, ""), "{}", said.out);
    assert!(!place.path("out.pcap").exists(), "no driver of the graph is used");
    said.out
}

/// The examples of the catalogue: one of each kind.
#[test]
fn examples_of_kinds_do_what_their_tests_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = ["nodes/examples", "engine/io/examples"].map(|directory| std::fs::read_dir(root.join(directory)).unwrap());
    let mut files: Vec<PathBuf> = files.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10);
    let said = said_by(swath(["test", "--require-tests"]).args(&files));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn shipped_graphs_pass_with_any_number_of_workers() {
    let mut graphs: Vec<_> = std::fs::read_dir(graph("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    graphs.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    graphs.sort();
    assert!(graphs.len() >= 2);
    for workers in ["1", "2", "4"] {
        let options = ["test", "--require-tests", "--workers", workers].map(std::ffi::OsString::from);
        let said = said(options.into_iter().chain(graphs.iter().map(Into::into)));
        assert_eq!((said.code, &*said.err), (0, ""), "{}", said.out);
        assert!(said.out.lines().last().unwrap().ends_with(" passed"), "{}", said.out);
        assert!(!said.out.contains("FAILED"));
    }
}

/// A graph that is changed is another graph: its tests must say so.
#[test]
fn shipped_graphs_fail_when_they_are_changed() {
    let place = Place::new();
    std::fs::create_dir(place.path("templates")).unwrap();
    std::fs::copy(graph("templates/ip4-origin.yaml"), place.path("templates/ip4-origin.yaml")).unwrap();
    let mutate = |name: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(graph(name)).unwrap();
        assert!(text.contains(from), "{name}: {from}");
        place.text(name, &text.replacen(from, to, 1));
        let said = run_in(&place, &[name]);
        // A test that expects a drop on an edge that is wired now is refused.
        assert!([1, 78].contains(&said.code), "{name}: {from} -> {to}: {}{}", said.out, said.err);
        assert!(said.out.contains("FAILED") || said.err.contains("error[SW0404]"), "{}", said.err);
    };
    for (from, to) in [
        // A route that is missing, or leads elsewhere; neighbours; addresses; the MTU.
        ("{ prefix: 0.0.0.0/0, via: 203.0.113.1 }", "{ prefix: 8.8.8.0/24, via: 203.0.113.1 }"),
        ("via: 203.0.113.1", "via: 192.168.1.10"),
        ("mac: 02:00:00:00:01:11", "mac: 02:00:00:00:01:12"),
        ("mac: 02:00:00:00:02:02", "mac: 02:00:00:00:02:03"),
        ("      - { address: 192.168.1.11, mac: 02:00:00:00:01:11 }\n", ""),
        ("addresses: [203.0.113.2/30]", "addresses: [203.0.113.3/29]"),
        ("lan: { driver: memory,", "lan: { driver: memory, mtu: 1400,"),
        ("wan: { driver: memory,", "wan: { driver: memory, mtu: 1400,"),
        ("wan: { driver: memory,", "wan: { driver: memory, mtu: 1600,"),
        // Edges: a step that is left out, or put in; drops under another name; frames that are sent by another interface.
        ("to: { ip4: ip4,", "to: { ip4: lookup,"),
        (
            "{ ok: lookup, options: options } }",
            "{ ok: mark, options: options } }\n  mark:     { kind: ip4-dscp, dscp: 1, to: lookup }",
        ),
        ("options: separate, ", ""),
        (", options: options }", " }"),
        ("{ ok: lookup, parameter-problem: icmp-error,", "{ ok: lookup,"),
        ("local: reassembly,", "local: local,"),
        (", time-exceeded: icmp-error }", " }"),
        (", too-big: fragment }", " }"),
        (", too-big: fragment } }\n  fragment:", " } }\n  fragment:"),
        (", dont-fragment: icmp-error }", " }"),
        (", unreachable: icmp-error, prohibit: icmp-error }", ", prohibit: icmp-error }"),
        (", prohibit: icmp-error }", " }"),
        ("to: { forward: rewrite,", "to: { forward: rewrite, multicast: rewrite,"),
        ("ttl-expired: icmp-error, ", ""),
        (", failed: icmp-error", ""),
        ("  tx:       { kind: tx }", "  tx:       { kind: tx, interface: lan }"),
        ("  wan-rx:   { kind: rx, interface: wan, to: ethernet }\n", ""),
    ] {
        mutate("ip4-router.yaml", from, to);
    }
    for (from, to) in [
        ("      - { prefix: 9.9.9.0/24, via: 203.0.113.1 }\n", ""),
        ("prefix: 8.8.8.0/24", "prefix: 0.0.0.0/0"),
        ("mac: 02:00:00:00:02:02", "mac: 02:00:00:00:02:03"),
        ("to: { ip4: ip4 }", "to: { ip4: lookup }"),
        ("  tx:       { kind: tx }", "  tx:       { kind: tx, interface: lan }"),
    ] {
        mutate("quickstart.yaml", from, to);
    }
}

#[test]
fn what_passes_is_a_line() {
    let place = Place::new();
    router(
        &place,
        "  - name: forwarded
    in: { lan: udp 192.168.1.10:4000 > 8.8.8.8:53 }
    out: { wan: udp 192.168.1.10:4000 > 8.8.8.8:53 ttl 63 }
  - name: not forwarded
    in: { lan: [udp 192.168.1.10:4000 > 9.9.9.9:53, udp 192.168.1.10:4000 > 9.9.9.9:53 ttl 1] }
    drops: { lookup.no-route: 2 }
",
    );
    let said = run_in(&place, &["router.yaml"]);
    assert_eq!((said.code, &*said.err), (0, ""));
    assert_eq!(said.out, "router.yaml\n  ok      forwarded\n  ok      not forwarded\n2 passed\n");
}

#[test]
fn fields_that_differ_are_marked() {
    assert_snapshot!(failing(
        "  - name: the TTL is another one
    in: { lan: udp 192.168.1.10:4000 > 8.8.8.8:53 payload \"query\" }
    out: { wan: udp 192.168.1.10:4000 > 8.8.8.8:53 payload \"query\" }
  - name: a byte of the payload, a flag and addresses
    in:
      lan:
        - udp 192.168.1.10:4000 > 8.8.8.8:53 payload \"query\"
        - tcp 192.168.1.10:4000 > 8.8.8.8:53 flags syn
    out:
      wan:
        - udp 192.168.1.10:4000 > 8.8.8.8:53 payload \"quern\" ttl 63 dst-mac 02:00:00:00:02:03
        - tcp 203.0.113.2:4000 > 8.8.8.8:53 flags syn df ttl 63 src-mac 02:00:00:00:02:03
  - name: a byte that no text shows
    in: { lan: 'udp 192.168.1.10:1 > 8.8.8.8:2 payload hex SHOWN02' }
    out: { wan: 'udp 192.168.1.10:1 > 8.8.8.8:2 ttl 63 payload hex SHOWN01' }
"
        .replace("SHOWN", &"5a".repeat(64))
        .as_str()
    ));
}

#[test]
fn packets_that_are_missing_or_unexpected_are_shown() {
    assert_snapshot!(failing(
        "  - name: one is missing and one unexpected
    in: { lan: [udp 192.168.1.10:4000 > 8.8.8.8:53, icmp 192.168.1.10 > 192.168.1.10] }
    out:
      wan:
        - udp 192.168.1.10:4000 > 8.8.8.8:53 ttl 63
        - udp 192.168.1.10:4000 > 8.8.8.8:53 ttl 63
  - name: it has left by another interface
    in: { lan: icmp 192.168.1.10 > 192.168.1.10 }
    out: { wan: icmp 192.168.1.10 > 192.168.1.10 ttl 63 dst-mac 02:00:00:00:01:10 }
  - name: nobody receives
    in: { wan: [udp 8.8.8.8:53 > 192.168.1.10:4000, hex 00] }
    out: { lan: udp 8.8.8.8:53 > 192.168.1.10:4000 ttl 63 }
"
    ));
}

#[test]
fn the_order_within_a_flow_counts() {
    assert_snapshot!(failing(
        "  - name: the second flow is in a wrong order
    in:
      lan:
        - udp 192.168.1.10:1 > 8.8.8.8:53 payload \"a\"
        - udp 192.168.1.10:2 > 8.8.8.8:53 payload \"b\"
        - udp 192.168.1.10:2 > 8.8.8.8:53 payload \"c\"
    out:
      wan:
        - udp 192.168.1.10:2 > 8.8.8.8:53 payload \"c\" ttl 63
        - udp 192.168.1.10:2 > 8.8.8.8:53 payload \"b\" ttl 63
        - udp 192.168.1.10:1 > 8.8.8.8:53 payload \"a\" ttl 63
"
    ));
}

#[test]
fn drops_are_counted_explained_and_traced_to_the_first_packet() {
    assert_snapshot!(failing(
        "  - name: other drops than expected
    in:
      lan:
        - udp 192.168.1.10:4000 > 8.8.8.8:53 bad-ip-checksum
        - udp 192.168.1.10:4001 > 8.8.8.8:53 bad-ip-checksum
        - udp 192.168.1.10:4000 > 9.9.9.9:53 src-mac 02:00:00:00:01:10
        - hex 0000
    drops: { ip4.bad-checksum: 1, rewrite.ttl-expired: 1, ethernet.too-short: 1 }
"
    ));
}

#[test]
fn time_passes_from_step_to_step() {
    // Nothing of these kinds waits, so what is told is what each step has brought.
    assert_snapshot!(failing(
        "  - name: the last of three steps
    steps:
      - in: { lan: udp 192.168.1.10:1 > 8.8.8.8:53 }
        out: { wan: udp 192.168.1.10:1 > 8.8.8.8:53 ttl 63 }
      - { at: 30s }
      - at: 2min
        in: { lan: udp 192.168.1.10:2 > 8.8.8.8:53 }
        drops: { lookup.no-route: 1 }
"
    ));
}

#[test]
fn captures_are_relative_to_the_graph_and_compared_to_the_byte() {
    let place = Place::new();
    let udp = "udp 192.168.1.10:4000 > 8.8.8.8:53 payload \"query\"";
    let lan = frame(udp, common::HOST, common::LAN);
    place.capture("in.pcap", [(5, lan.clone()), (9, lan)]);
    let good = frame(&format!("{udp} ttl 63"), WAN, UPLINK);
    let padded = frame(&format!("{udp} ttl 63 pad 13"), WAN, UPLINK);
    place.capture("good.pcap", [(0, good.clone()), (0, good.clone())]);
    place.capture("padded.pcap", [(0, good), (0, padded)]);
    let test = |name: &str| {
        format!("  - {{ name: {name}, in: {{ lan: {{ pcap: in.pcap }} }}, out: {{ wan: [{{ pcap: {name}.pcap }}] }} }}\n")
    };
    router(&place, &(test("good") + &test("padded")));
    // From another directory.
    let said = said([Path::new("test"), &place.path("router.yaml")]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("  ok      good\n"), "{}", said.out);
    assert!(said.out.contains("wan: a packet differs (line 21: padded.pcap, packet 2)\n"), "{}", said.out);
    assert!(said.out.contains("payload \"query\" pad 13 dst-mac"), "{}", said.out);
}

#[test]
fn mistakes_are_diagnostics() {
    let place = Place::new();
    place.capture("empty.pcap", [(0, [0u8; 0]); 0]);
    router(
        &place,
        "  - name: unknown names
    in: { lna: udp 10.0.0.1:1 > 10.0.0.2:2 }
    out: { dmz: [] }
    drops: { ipp4.bad-checksum: 1, ip4.bad-cheksum: 1, ip4.nothing: 2, ethernet.ip4: 1, tx.sent: 1, arp: 1, tx.ring-full: 1 }
  - name: texts
    in:
      lan:
        - udp 10.0.0.1:1 > 10.0.0.2:2 tll 3
        - 'udp 10.0.0.1:1 > 10.0.0.2:2 payload \"it''s\" ttl 256'
        - udp 10.0.0.1:1 >
          10.0.0.2:2 ttl
        - udp 10.0.0.1:1 > 10.0.0.2:2 via wan
        - udp 10.0.0.1:1 > 10.0.0.2:2 len 3000
    out: { wan: [tcp 10.0.0.1:1 > 10.0.0.2:2 flags syn,ack] }
  - in: { lan: [{ pcap: none.pcap }, { pcap: router.yaml }, { pcap: empty.pcap }] }
",
    );
    for command in ["test", "validate"] {
        let said = said_by(swath([command, "router.yaml"]).current_dir(place.path("")));
        assert_eq!(said.code, 78, "{}", said.err);
        assert_snapshot!("mistakes", said.err.trim_end());
        assert_eq!(said.out, if command == "test" { "0 passed, 1 graph refused\n" } else { "" });
    }
}

#[test]
fn what_is_wrong_with_the_graph_is_said_with_what_is_wrong_with_its_tests() {
    let place = Place::new();
    let text = "version: 1
interfaces: { lan: { mtu: 1500 } }
nodes: { rx: { kind: rxx, interface: lan, to: gone }, gone: 5 }
tests:
  - { name: of what is left out nothing is said, in: { lan: hex 00 }, drops: { gone.dropped: 1, rx.fault: 1 } }
  - { name: of the rest it is, in: { wan: hex 0 } }
";
    place.text("router.yaml", text);
    let said = run_in(&place, &["router.yaml"]);
    assert_eq!(said.code, 78);
    let titles: Vec<&str> = said.err.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(
        titles,
        [
            "error[SW0105]: `lan` has no `driver`",
            "error[SW0201]: unknown kind of node `rxx`",
            "error[SW0106]: expected a mapping, found integer 5",
            "error[SW0214]: unknown interface `wan`",
            "error[SW0401]: expected the frame in hexadecimal digits, two for each byte, found `0`",
        ]
    );
}

#[test]
fn graphs_without_tests_are_told() {
    let place = Place::new();
    place.text("empty.yaml", "version: 1\nnodes: { sink: { kind: drop } }\ntests: []\n");
    let said = run_in(&place, &["empty.yaml"]);
    assert_eq!((said.code, &*said.out), (0, "empty.yaml\n  has no tests\n0 passed, 1 graph without tests\n"));
    assert!(said.err.starts_with("warning[SW0209]"), "{}", said.err);
    assert_eq!(run_in(&place, &["empty.yaml", "--require-tests"]).code, 1);
}

/// Two interfaces and a node between them.
const WIRE: &str = "version: 1
interfaces: { left: { driver: memory }, right: { driver: memory } }
nodes:
  left-rx:  { kind: rx, interface: left, to: right-tx }
  right-tx: { kind: tx, interface: right }
  right-rx: { kind: rx, interface: right, to: left-tx }
  left-tx:  { kind: tx, interface: left }
tests:
";

#[test]
fn a_test_goes_over_to_other_graphs_and_goes_on() {
    let place = Place::new();
    let tests = "
  - name: a meter keeps what it has, interfaces come, go and are others, and drops are those of the graph that runs
    steps:
      - reload: { nodes: { left-rx: { kind: rx, interface: left, to: meter }, meter: { kind: meter, packets: 1, burst-packets: 3, to: right-tx } } }
        in: { left: [hex 01, hex 02] }
        out: { right: [hex 01, hex 02] }
      # Of its three one is left, also for a meter of another rate.
      - reload: { nodes: { left-rx: { kind: rx, interface: left, to: meter }, meter: { kind: meter, packets: 2, burst-packets: 3, to: right-tx } } }
        in: { left: [hex 03, hex 04] }
        out: { right: hex 03 }
        drops: { meter.exceeded: 1 }
      - at: 10s
        reload:
          interfaces: { more: { driver: memory }, right: null }
          nodes: { left-rx: { kind: rx, interface: left, to: more-tx }, more-tx: { kind: tx, interface: more }, right-tx: null, right-rx: null, more-rx: { kind: rx, interface: more, to: left-tx } }
        links: { more: up }
        in: { left: hex 05, more: hex 06 }
        out: { more: hex 05, left: hex 06 }
      - at: 20s
        reload: { interfaces: { left: { driver: memory, mtu: 1400 } } }
        in: { left: hex 07, right: hex 08 }
        out: { right: hex 07, left: hex 08 }
      - reload: {}
        in: { left: hex 09 }
        out: { right: hex 09 }
  - name: another test begins with the graph of the file
    in: { left: hex 01 }
    out: { right: hex 01 }
";
    let graph = place.text("wire.yaml", &format!("{WIRE}{tests}"));
    let said = said(["test".as_ref(), graph.as_os_str()]);
    assert_eq!((said.code, &*said.err), (0, ""), "{}", said.out);
}

#[test]
fn mistakes_in_other_graphs_are_told_where_they_stand() {
    let place = Place::new();
    let refused = |test: &str| {
        let graph = place.text("wire.yaml", &format!("{WIRE}  - {{ name: a, {test} }}\n"));
        let said = said(["test".as_ref(), graph.as_os_str()]);
        assert_eq!(said.code, 78, "{}{}", said.out, said.err);
        let mut lines = said.err.lines();
        let (message, at) = (lines.next().unwrap().to_string(), lines.next().unwrap().to_string());
        // Where the other graph is written; or what in the file does not go with it.
        assert!(at.contains(if test.contains("{ right-tx: null } }") { "wire.yaml:4:" } else { "wire.yaml:9:" }), "{}", said.err);
        message
    };
    for (test, message) in [
        ("reload: 5", "error[SW0106]: expected a mapping of sections, found integer 5"),
        ("reload: { engine: {} }", "error[SW0104]: unknown key `engine`"),
        ("reload: { nodes: [] }", "error[SW0106]: expected a mapping, found a list"),
        ("reload: { tables: { nope: null } }", "error[SW0107]: there is no `nope` in `tables` that could go"),
        ("reload: { nodes: { left-tx: { kind: tx, interface: lefd } } }", "error[SW0214]: unknown interface `lefd`"),
        ("reload: { nodes: { right-tx: null } }", "error[SW0202]: unknown node `right-tx`"),
        (
            "reload: { nodes: { more: { kind: counter, to: left-tx } } }, drops: { moor.full: 1 }",
            "error[SW0404]: unknown node `moor`",
        ),
        (
            "reload: { interfaces: { right: null }, nodes: { right-tx: null, right-rx: null, left-rx: { kind: rx, interface: left, to: left-tx } } }, out: { right: hex 01 }",
            "error[SW0214]: unknown interface `right`",
        ),
    ] {
        assert_eq!(refused(test), message, "{test}");
    }
}
