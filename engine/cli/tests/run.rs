//! `swath run`: threads, the clock and signals.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use common::{Place, graph, said, without_buffers};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn the_quickstart_runs_and_adds_up() {
    let place = Place::new();
    let report = place.path("report.json");
    let said = said([
        "run".as_ref(),
        graph("quickstart.yaml").as_os_str(),
        "--duration".as_ref(),
        "1".as_ref(),
        "--report".as_ref(),
        report.as_os_str(),
    ]);
    assert_eq!((said.code, &*said.out), (0, ""), "{}", said.err);
    let live = said.err.lines().find(|line| line.contains("  rx ")).expect("a line for the second");
    // It says the time that it took, which on a busy machine is more than what was asked for.
    let seconds = |text: &str| text.trim_start().split_once(" s").and_then(|(number, _)| number.parse::<f64>().ok()).expect(text);
    assert!(seconds(live) >= 1.0 && live.contains("/s  drop ") && live.contains("no-route"), "{live}");
    let end = said.err.lines().find_map(|line| line.strip_prefix("ended after ")).expect("what ended it");
    assert!(seconds(end) >= 1.0 && end.ends_with(" s"), "{end}");
    for line in ["NODE ", "INTERFACE ", "DROPPED ", "lookup.no-route ", "the ledger adds up"] {
        assert!(said.err.lines().any(|said| said.starts_with(line)), "{line}\n{}", said.err);
    }
    let report = without_buffers(&std::fs::read_to_string(report).unwrap());
    let count = |value: &serde_json::Value| value.as_u64().unwrap();
    let reasons =
        [("ethernet", "arp"), ("ip4", "bad-checksum"), ("lookup", "local"), ("lookup", "no-route"), ("rewrite", "ttl-expired")];
    let dropped: u64 = reasons.iter().map(|(node, reason)| count(&report["dropped"][node][reason])).sum();
    assert!(reasons.iter().all(|(node, reason)| count(&report["dropped"][node][reason]) > 0));
    assert!(count(&report["sent"]) > 0);
    assert_eq!(count(&report["received"]), count(&report["sent"]) + dropped);
}

#[test]
fn a_run_ends_when_its_inputs_do() {
    let place = Place::new();
    let text = "version: 1
engine: { workers: 2 }
interfaces:
  a: { driver: memory, generate: { flows: { sources: [10.0.0.0/24], destinations: [10.1.0.0/24], count: 100 }, limit: 5000, stamp: true } }
  b: { driver: memory, sink: { check: stamps } }
  slow: { driver: memory, generate: { packets: [udp 10.0.0.1:1 > 10.0.0.2:2], rate: 5, limit: 6 } }
nodes:
  a-rx:    { kind: rx, interface: a, to: b-tx }
  slow-rx: { kind: rx, interface: slow, to: nowhere }
  b-tx:    { kind: tx, interface: b }
  nowhere: { kind: drop }
";
    let graph = place.text("graph.yaml", text);
    let said = said(
        ["run".as_ref(), graph.as_os_str()]
            .into_iter()
            .chain(["--stats", "none", "--api", "off", "--report", "-"].map(AsRef::as_ref)),
    );
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("\nall inputs have ended\n"), "{}", said.err);
    assert!(!said.err.contains("/s"), "{}", said.err);
    let report = without_buffers(&said.out);
    assert_eq!((&report["received"], &report["sent"]), (&5006.into(), &5000.into()));
    assert_eq!(report["dropped"], serde_json::json!({ "nowhere": { "dropped": 6 } }));
    let checked = &report["interfaces"]["b"];
    let found = ["flows", "missing", "duplicated", "reordered", "unstamped"].map(|what| checked[what].as_u64().unwrap());
    assert_eq!(found, [100, 0, 0, 0, 0]);
}

#[test]
fn a_pause_is_not_the_end() {
    let place = Place::new();
    place.capture("in.pcap", [(0, [1; 60]), (2_500_000_000, [2; 60])]);
    let text = "version: 1
interfaces: { a: { driver: pcap, read: in.pcap } }
nodes:
  rx:   { kind: rx, interface: a, to: drop }
  drop: { kind: drop }
";
    let said = said(["run".as_ref(), place.text("graph.yaml", text).as_os_str(), "--report".as_ref(), "-".as_ref()]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(without_buffers(&said.out)["received"], 2);
}

#[test]
fn a_signal_ends_it_with_a_report() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_swath"))
            .args(["run".as_ref(), graph("quickstart.yaml").as_os_str(), "--stats".as_ref(), "line".as_ref()])
            .args(["--report", "-"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (mut line, mut lines) = (String::new(), 0);
        while !line.contains("  rx ") {
            line.clear();
            lines += 1;
            assert!(lines < 10, "no line for a second: {line}");
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it has ended by itself");
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (mut err, mut out) = (String::new(), String::new());
        stderr.read_to_string(&mut err).unwrap();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
        assert!(err.contains("ended by a signal\n") && err.ends_with("the ledger adds up\n"), "{err}");
        assert!(without_buffers(&out)["received"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_worker_that_cannot_be_pinned_is_said() {
    let place = Place::new();
    let text = "version: 1
engine: { cores: [1000] }
interfaces: { a: { driver: memory } }
nodes:
  rx:   { kind: rx, interface: a, to: drop }
  drop: { kind: drop }
";
    let said = said(["run".as_ref(), place.text("graph.yaml", text).as_os_str()]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("error: `engine.cores` names core 1000, which this process may not use: it has "), "{}", said.err);
}

#[test]
fn a_dry_run_says_which_worker_receives_what() {
    let place = Place::new();
    let text = "version: 1
engine: { workers: 3, metrics: '127.0.0.1:1' }
interfaces:
  a: { driver: memory, generate: { packets: [udp 10.0.0.1:1 > 10.0.0.2:2] } }
  b: { driver: pcap, read: in.pcap, write: out.pcap }
nodes:
  a-rx: { kind: rx, interface: a, to: tx }
  b-rx: { kind: rx, interface: b, to: tx }
  tx:   { kind: tx, interface: b }
";
    place.capture("in.pcap", [(0, [1; 60])]);
    let graph = place.text("graph.yaml", text);
    let dry = said(["run".as_ref(), graph.as_os_str(), "--dry-run".as_ref()]);
    assert_eq!(dry.code, 0, "{}", dry.err);
    let lines: Vec<&str> = dry.out.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(lines, ["a queue 0, b queue 0", "a queue 1, b queue 1", "a queue 2, b queue 2"], "{}", dry.out);
    assert!(dry.out.lines().enumerate().all(|(at, line)| line.starts_with(&format!("worker {at}"))), "{}", dry.out);
    // A graph that cannot run cannot be tried either.
    std::fs::remove_file(place.path("in.pcap")).unwrap();
    assert_ne!(said(["run".as_ref(), graph.as_os_str(), "--dry-run".as_ref()]).code, 0);
}
