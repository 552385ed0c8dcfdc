//! Several workers on devices of the kernel: what comes in leaves as it came, whoever forwards it; and a router under overload is still a
//! neighbour.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use common::hosts::Net;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use swath_io::text::Mac;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire.py");
const FLOWS: u32 = 23;
const FRAMES: u32 = 1000;

/// What `wire.py` does in a namespace. Returns when it is ready, if it says so.
fn wire(net: &Net, host: &str, what: &str, says_ready: bool) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = net.command(host, &format!("python3 {SCRIPT} {what}")).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    if says_ready {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
    }
    (child, out)
}

/// Frames of a sender: flows of its own, each frame with its flow and its number in the payload.
fn frames(sender: u32) -> Vec<Vec<u8>> {
    let (from, to) = (Mac([2, 0, 0, 0, 1, 2]), Mac([2, 0, 0, 0, 2, 2]));
    let frame = |number: u32| {
        let flow = number * 7 % FLOWS;
        let text = format!("udp 10.0.1.{}:{} > 10.0.2.2:9 len 60", 2 + sender, 1000 + flow);
        let mut frame = common::frame(&text, from, to);
        let at = frame.len() - 12;
        frame[at..].copy_from_slice(&[sender.to_be_bytes(), flow.to_be_bytes(), number.to_be_bytes()].concat());
        frame
    };
    (0..FRAMES).map(frame).collect()
}

/// By flow the frames, in order.
fn by_flow(frames: impl IntoIterator<Item = Vec<u8>>) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut flows: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for frame in frames {
        let flow = frame[frame.len() - 12..frame.len() - 4].to_vec();
        flows.entry(flow).or_default().push(frame);
    }
    flows
}

fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// How packets come to workers: receive queues, and what stands behind them.
struct Way {
    queues: &'static str,
    handoff: bool,
}

/// From one queue, from one for each worker, to which the kernel deals flows, and from these with flows dealt anew.
const WAYS: [Way; 3] =
    [Way { queues: ", queues: 1", handoff: true }, Way { queues: "", handoff: false }, Way { queues: "", handoff: true }];

#[test]
fn any_number_of_workers_gives_the_same() {
    let Some(net) = Net::new(&["a", "b", "r"]) else { return };
    net.host("a", 1);
    net.host("b", 2);
    let place = common::Place::new();
    let sent: Vec<Vec<u8>> = (0..2).flat_map(frames).collect();
    let files = [0, 1].map(|sender| {
        let lines: String = frames(sender).iter().map(|frame| hex(frame) + "\n").collect();
        place.text(&format!("frames-{sender}"), &lines)
    });
    // No ring between workers takes less than half of all, so none can overflow, however late a worker gets a core.
    const { assert!(FRAMES <= 1024) };
    for (way, workers) in WAYS.iter().flat_map(|way| [1, 2, 4].map(|workers| (way, workers))) {
        let graph = format!(
            "version: 1
engine: {{ workers: {workers} }}
interfaces:
  a: {{ driver: af-packet, device: r-a, ring: 1024{} }}
  b: {{ driver: af-packet, device: r-b, ring: 16, queues: 1 }}
nodes:
  a-rx:   {{ kind: rx, interface: a, to: spread }}
  spread: {{ kind: {}, to: count }}
  count:  {{ kind: counter, to: b-tx }}
  b-tx:   {{ kind: tx, interface: b }}
  b-rx:   {{ kind: rx, interface: b, to: a-tx }}
  a-tx:   {{ kind: tx, interface: a }}
",
            way.queues,
            if way.handoff { "handoff" } else { "counter" },
        );
        let swath = net.swath("r", &graph);
        let (mut receiver, mut received) = wire(&net, "b", &format!("receive {}", sent.len()), true);
        // Of each processor, if there are two.
        let last = std::thread::available_parallelism().map_or(0, |cpus| cpus.get().min(2) - 1);
        let senders = [0, 1].map(|at| wire(&net, "a", &format!("send {} {}", at.min(last), files[at].display()), false).0);
        for mut sender in senders {
            assert!(sender.wait().unwrap().success());
        }
        let mut text = String::new();
        received.read_to_string(&mut text).unwrap();
        assert!(receiver.wait().unwrap().success());
        let (report, log) = swath.end();
        let case = format!("{workers} workers{}, handoff: {}\n{report}\n{log}", way.queues, way.handoff);
        let received = by_flow(text.split_whitespace().map(bytes));
        assert!(received == by_flow(sent.clone()), "{} of {} frames, {case}", text.lines().count(), sent.len());
        // The first worker has the only queue of `a`; who else forwards was handed it.
        let one = "worker 0: a queue 0\nworker 1: b queue 0\n";
        assert!(workers == 1 || log.contains(one) != way.queues.is_empty(), "{case}");
    }
}

/// The kernel drops what a busy worker has no room for; the rest is served, ARP included, and who watches has an answer.
#[test]
fn a_router_under_overload_answers_arp_and_scrapes() {
    let Some(net) = Net::new(&["a", "b", "r"]) else { return };
    net.host("a", 1);
    net.host("b", 2);
    let graph = "version: 1
engine: { metrics: '127.0.0.1:9474' }
interfaces:
  a: { driver: af-packet, device: r-a, mac: '02:00:00:00:00:01', addresses: [10.0.1.1/24], ring: 16 }
  b: { driver: af-packet, device: r-b, mac: '02:00:00:00:00:02', addresses: [10.0.2.1/24] }
tables:
  neighbours: { kind: neighbours, static: [{ address: 10.0.2.2, mac: '02:00:00:00:02:02' }] }
  routes: { kind: fib4 }
nodes:
  a-rx:     { kind: rx, interface: a, to: ethernet }
  b-rx:     { kind: rx, interface: b, to: ethernet }
  ethernet: { kind: ethernet-input, to: { ip4: ip4, arp: arp } }
  arp:      { kind: arp-input, to: { reply: tx } }
  ip4:      { kind: ip4-input, to: lookup }
  lookup:   { kind: ip4-lookup, to: rewrite }
  rewrite:  { kind: ip4-rewrite, to: tx }
  tx:       { kind: tx }
";
    let swath = net.swath("r", graph);
    let (mut flood, _out) = wire(&net, "a", "flood", true);
    // Until there is more than it takes.
    let missed =
        net.sh("r", &format!("python3 {SCRIPT} scrape 127.0.0.1:9474 swath_interface_receive_missed_total{{interface=\"a\"}}"));
    let answer = net.sh("a", &format!("python3 {SCRIPT} arp 02:00:00:00:01:02 10.0.1.1"));
    kill_process(Pid::from_child(&flood), Signal::TERM).unwrap();
    flood.wait().unwrap();
    assert_eq!(answer.trim(), "02:00:00:00:00:01");
    let (report, log) = swath.end();
    let count = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    assert!(missed.trim().parse::<f64>().unwrap() > 0.0, "{missed}");
    assert!(count("/interfaces/a/kernel-drops") > 0 && count("/sent") > 0, "{report}\n{log}");
}
