//! A storm of graphs between hosts: numbered packets from one process through a network of the kernel, an engine that always has another graph, and
//! a network again, to a process that looks at the numbers.
//!
//! Nobody waits for anybody: what a ring of the kernel has no room for is lost, and counted by it. First it is tried how much can be forwarded without
//! a loss while nothing is applied; four fifths of that are offered to the storm.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::Place;
use common::hosts::{Net, Swath};
use serde_json::{Value, json};
use swath_ctl::Client;

/// Graphs that are applied; a thousand with `SWATH_TEST_SCALE=20`, as `make test-long` has it.
fn changes() -> usize {
    let scale = std::env::var("SWATH_TEST_SCALE").ok().and_then(|scale| scale.parse::<f64>().ok()).unwrap_or(1.0);
    (50.0 * scale.clamp(0.4, 20.0)) as usize
}

/// Packets per second that are tried first, and as long as nothing is lost, twice as many.
const FIRST_RATE: u64 = 25_000;
/// More than any device of the kernel forwards.
const LAST_RATE: u64 = 12_800_000;
/// How long a rate is tried.
const TRY: Duration = Duration::from_millis(500);
/// Packets that a receive ring of the kernel takes: some tenths of a second, for which a program may have to wait for a core.
const RING: u32 = 2048;
/// The share that is offered to a storm, in percent. What was tried holds no longer where other programs take the cores, so that a ring overflows:
/// then it is tried again.
const SHARES: [u64; 4] = [80, 80, 50, 20];

/// Forwards from one device to the other, by these nodes in between.
fn way(workers: u16, api: &Path, tables: &str, first: &str, between: &str) -> String {
    format!(
        "version: 1
engine: {{ workers: {workers}, api: {} }}
interfaces:
  in:  {{ driver: af-packet, device: r-in, ring: {RING} }}
  out: {{ driver: af-packet, device: r-out }}
{tables}nodes:
  rx:   {{ kind: rx, interface: in, to: {first} }}
{between}  tx:   {{ kind: tx, interface: out }}
  back: {{ kind: rx, interface: out, to: end }}
  end:  {{ kind: drop }}
",
        api.display()
    )
}

/// A node more, a node less, a handoff that comes and goes, other settings, another table.
fn ways(workers: u16, api: &Path) -> [String; 5] {
    let list = |prefix: &str| format!("tables: {{ more: {{ kind: deny-list, prefixes: [{prefix}] }} }}\n");
    [
        way(workers, api, "", "tx", ""),
        way(workers, api, "", "count", "  count: { kind: counter, to: tx }\n"),
        way(workers, api, "", "spread", "  spread: { kind: handoff, to: count }\n  count: { kind: counter, to: tx }\n"),
        way(workers, api, &list("192.0.2.0/24"), "spread", "  spread: { kind: handoff, to: tx }\n"),
        way(
            workers,
            api,
            &list("198.51.100.0/24"),
            "fan",
            "  fan: { kind: hash-switch, to: { a: one, b: tx } }\n  one: { kind: counter, to: tx }\n",
        ),
    ]
}

/// Makes so many packets a second, each with its flow and its number.
fn generator(rate: u64) -> String {
    format!(
        "version: 1
engine: {{ api: off }}
interfaces:
  make: {{ driver: memory, generate: {{ flows: {{ sources: [10.0.0.0/24], destinations: [10.1.0.0/24], count: 100 }}, stamp: true, rate: {rate} }} }}
  net:  {{ driver: af-packet, device: eth0 }}
nodes:
  rx: {{ kind: rx, interface: make, to: tx }}
  tx: {{ kind: tx, interface: net }}
"
    )
}

fn sink(api: &Path) -> String {
    format!(
        "version: 1
engine: {{ api: {} }}
interfaces:
  net:  {{ driver: af-packet, device: eth0, ring: {RING} }}
  look: {{ driver: memory, sink: {{ check: stamps }} }}
nodes:
  rx: {{ kind: rx, interface: net, to: tx }}
  tx: {{ kind: tx, interface: look }}
",
        api.display()
    )
}

/// The three hosts, and the sockets of those that are asked.
struct Hosts {
    net: Net,
    engine: PathBuf,
    sink: PathBuf,
    _place: Place,
}

/// What was offered, and what has come of it.
#[derive(Default)]
struct Outcome {
    offered: u64,
    arrived: u64,
    rate: f64,
    /// Lost in receive rings of the kernel: one of the programs was late.
    rings: u64,
    /// By the engine, by reason.
    dropped: BTreeMap<String, u64>,
    /// By worker.
    swaps: Vec<u64>,
    pauses: Vec<f64>,
    spreads: Vec<f64>,
}

fn count(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {report:#}"))
}

impl Hosts {
    fn new() -> Option<Hosts> {
        let net = Net::new(&["g", "r", "s"])?;
        net.cable("g", "eth0", "02:00:00:00:01:02", "r", "r-in");
        net.cable("s", "eth0", "02:00:00:00:02:02", "r", "r-out");
        for (name, device) in [("g", "eth0"), ("r", "r-in"), ("r", "r-out"), ("s", "eth0")] {
            net.ip(name, &format!("link set {device} multicast off"));
        }
        let place = Place::new();
        Some(Hosts { net, engine: place.path("r.sock"), sink: place.path("s.sock"), _place: place })
    }

    /// Offers so many packets a second while something is done. Every packet is accounted for.
    fn offer(&self, workers: u16, rate: u64, meanwhile: impl FnOnce(&[String; 5], &mut Outcome)) -> Outcome {
        let graphs = ways(workers, &self.engine);
        let sink = self.net.swath("s", &sink(&self.sink));
        let engine = self.net.swath("r", &graphs[0]);
        let generator = self.net.swath("g", &generator(rate));
        let mut outcome = Outcome::default();
        let start = Instant::now();
        meanwhile(&graphs, &mut outcome);
        let (made, _) = generator.end();
        let took = start.elapsed();
        let (engine, sink) = self.end(engine, sink);
        outcome.offered = count(&made, "/sent");
        outcome.rate = outcome.offered as f64 / took.as_secs_f64();
        outcome.arrived = count(&sink, "/received");
        outcome.rings = count(&engine, "/interfaces/in/kernel-drops") + count(&sink, "/interfaces/net/kernel-drops");
        for reasons in engine["dropped"].as_object().unwrap().values() {
            for (reason, count) in reasons.as_object().unwrap() {
                *outcome.dropped.entry(reason.clone()).or_default() += count.as_u64().unwrap();
            }
        }
        outcome.check(&sink["interfaces"]["look"], &engine);
        outcome
    }

    /// Ends both when nothing is on its way any more.
    fn end(&self, engine: Swath, sink: Swath) -> (Value, Value) {
        // Until nothing has come out for a moment.
        let out = || self.net.packets("r", "r-out").1;
        let mut before = 0;
        while std::mem::replace(&mut before, out()) != before {
            std::thread::sleep(Duration::from_millis(300));
        }
        let (engine, _) = engine.end();
        let arrived = || {
            let net: Value = Client::connect(&self.sink).unwrap().get("/v1/interfaces/net").unwrap();
            count(&net, "/received/packets") + count(&net, "/received/missed")
        };
        let start = Instant::now();
        while arrived() < self.net.packets("s", "eth0").0 && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        (engine, sink.end().0)
    }

    /// The most of some rates at which nothing is lost while nothing is applied.
    fn capacity(&self, workers: u16) -> u64 {
        let fits = |rate: u64| {
            let outcome = self.offer(workers, rate, |_, _| std::thread::sleep(TRY));
            // More than the generator can make is not offered.
            outcome.lost() == 0 && outcome.rate > 0.8 * rate as f64
        };
        let mut rate = FIRST_RATE;
        while rate < LAST_RATE && fits(2 * rate) {
            rate *= 2;
        }
        if fits(rate / 2 * 3) { rate / 2 * 3 } else { rate }
    }

    fn storm(&self, workers: u16, rate: u64) -> Outcome {
        self.offer(workers, rate, |graphs, outcome| {
            let mut client = Client::connect(&self.engine).unwrap();
            for n in 1..=changes() {
                let body = json!({ "graph": { "files": [{ "name": "graph.yaml", "text": graphs[n % graphs.len()] }] } });
                let applied: Value = client.change("/v1/apply", body.to_string(), None).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(applied["revision"], n + 1);
                let micros = |value: &Value| value.as_f64().unwrap() * 1e6;
                let report = &applied["report"];
                outcome.pauses.extend(report["workers"].as_array().unwrap().iter().map(|worker| micros(&worker["pause"])));
                outcome.spreads.push(micros(&report["spread"]));
                // What makes graphs is to take no core from those that forward.
                std::thread::sleep(Duration::from_millis(2));
            }
            let runtime: Value = client.get("/v1/runtime").unwrap();
            outcome.swaps = runtime["workers"].as_array().unwrap().iter().map(|worker| count(worker, "/swaps")).collect();
        })
    }
}

impl Outcome {
    /// All of it is where a ring was full, and the sink agrees.
    fn check(&self, look: &Value, engine: &Value) {
        let of_rings = |reason: &String| reason == "handoff-full" || reason == "ring-full";
        assert!(self.dropped.keys().all(of_rings), "{engine:#}");
        assert_eq!(self.arrived + self.lost(), self.offered, "{engine:#}");
        let wrong = ["duplicated", "reordered", "unstamped"].map(|what| look[what].as_u64().unwrap());
        assert_eq!(wrong, [0, 0, 0], "{look}");
        // The last ones of a flow nobody misses.
        assert!(look["missing"].as_u64().unwrap() <= self.lost(), "{look}");
    }

    fn lost(&self) -> u64 {
        self.rings + self.dropped.values().sum::<u64>()
    }

    fn print(&mut self, what: &str) {
        let Outcome { offered, arrived, rate, rings, dropped, swaps, .. } = self;
        println!(
            "{what}: swaps observed by each worker {swaps:?}
  offered {offered} ({rate:.0} per second), arrived {arrived}, lost in rings of the kernel {rings}, dropped {dropped:?}
  pauses {}
  spread between workers {}",
            quantiles(&mut self.pauses),
            quantiles(&mut self.spreads)
        );
    }
}

fn quantiles(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    format!("p50 {:.1} p99 {:.1} max {:.1} us", at(0.5), at(0.99), at(1.0))
}

#[test]
fn a_storm_of_graphs_at_four_fifths_of_what_can_be_forwarded() {
    let Some(hosts) = Hosts::new() else { return };
    // It takes a minute each to find out how much can be forwarded.
    let most = if changes() > 50 { 2 } else { 1 };
    for workers in 1..=most {
        let is_calm = SHARES.iter().any(|share| {
            let capacity = hosts.capacity(workers);
            let mut outcome = hosts.storm(workers, capacity * share / 100);
            outcome.print(&format!("{workers} workers, {share} % of {capacity} packets per second without reloads"));
            assert_eq!(outcome.swaps, vec![changes() as u64; workers.into()]);
            outcome.lost() == 0
        });
        assert!(is_calm, "packets were lost each time, where rings were full, with {workers} workers");
    }
}
