//! Graphs that are applied while devices of the kernel come and go.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::hosts::Net;
use common::{Place, said_by, swath};
use serde_json::{Value, json};
use swath_ctl::Client;

/// A graph with an interface on a device, or without.
fn graph(api: &str, with: bool) -> String {
    let (interface, nodes) = match with {
        true => ("  a: { driver: af-packet, device: r-a }\n", "  a-rx: { kind: rx, interface: a, to: sink }\n"),
        false => ("", ""),
    };
    format!(
        "version: 1
engine: {{ api: {api} }}
interfaces:
  m: {{ driver: memory, generate: {{ rate: 1kpps, packets: [udp 10.0.0.1:1 > 10.0.0.2:2] }} }}
{interface}nodes:
  m-rx: {{ kind: rx, interface: m, to: sink }}
{nodes}  sink: {{ kind: drop }}
"
    )
}

#[test]
fn an_interface_whose_device_is_gone_is_detached_and_comes_back() {
    let Some(net) = Net::new(&["r", "a"]) else { return };
    let place = Place::new();
    let socket = place.path("control.sock");
    let api = socket.to_str().unwrap();
    let (with, without) = (place.text("with.yaml", &graph(api, true)), place.text("without.yaml", &graph(api, false)));
    let cable = || net.cable("a", "eth0", "02:00:00:00:01:02", "r", "r-a");
    let apply = |graph: &std::path::Path| said_by(swath(["apply"]).arg(graph).arg("--socket").arg(&socket));
    cable();
    let engine = net.swath("r", &graph(api, true));
    for round in 0..3 {
        net.ip("r", "link del r-a");
        let gone = apply(&without);
        assert_eq!(gone.code, 0, "{round}: {}", gone.err);
        assert!(gone.out.contains("gone   a  af-packet: detached"), "{}", gone.out);
        // Without its device it cannot be attached, and nothing changes.
        let refused = apply(&with);
        assert!(refused.code == 78 && refused.err.contains("r-a"), "{}", refused.err);
        assert_eq!(apply(&without).err, format!("nothing to do: these files run as revision {}\n", 2 + 2 * round));
        cable();
        let back = apply(&with);
        assert_eq!(back.code, 0, "{}", back.err);
        assert!(back.out.contains("fresh  a  af-packet: attached"), "{}", back.out);
    }
    engine.end();
}

/// Packets of the storm, and graphs that are applied meanwhile.
const PACKETS: u64 = 150_000;
const GRAPHS: usize = 300;

/// Forwards from one device to the other, by these nodes in between.
fn way(workers: u16, api: &Path, tables: &str, first: &str, between: &str) -> String {
    format!(
        "version: 1
engine: {{ workers: {workers}, api: {} }}
interfaces:
  in:  {{ driver: af-packet, device: r-in }}
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

/// Numbered packets from one process through a network of the kernel, an engine that always has another graph, and a network again, to a process
/// that looks at the numbers. Nobody waits for anybody: what a ring of the kernel has no room for is lost, and counted by it.
#[test]
fn a_storm_of_graphs_between_hosts() {
    for workers in [1, 2] {
        let Some(net) = Net::new(&["g", "r", "s"]) else { return };
        net.cable("g", "eth0", "02:00:00:00:01:02", "r", "r-in");
        net.cable("s", "eth0", "02:00:00:00:02:02", "r", "r-out");
        for (name, device) in [("g", "eth0"), ("r", "r-in"), ("r", "r-out"), ("s", "eth0")] {
            net.ip(name, &format!("link set {device} multicast off"));
        }
        let place = Place::new();
        let (r_api, s_api) = (place.path("r.sock"), place.path("s.sock"));
        let graphs = [
            way(workers, &r_api, "", "tx", ""),
            way(workers, &r_api, "", "count", "  count: { kind: counter, to: tx }\n"),
            way(workers, &r_api, "", "spread", "  spread: { kind: handoff, to: count }\n  count: { kind: counter, to: tx }\n"),
            way(
                workers,
                &r_api,
                "tables: { more: { kind: deny-list, prefixes: [192.0.2.0/24] } }\n",
                "spread",
                "  spread: { kind: handoff, to: tx }\n",
            ),
            way(
                workers,
                &r_api,
                "tables: { more: { kind: deny-list, prefixes: [198.51.100.0/24] } }\n",
                "fan",
                "  fan: { kind: hash-switch, to: { a: one, b: tx } }\n  one: { kind: counter, to: tx }\n",
            ),
        ];
        let sink = format!(
            "version: 1
engine: {{ api: {} }}
interfaces:
  net:  {{ driver: af-packet, device: eth0 }}
  look: {{ driver: memory, sink: {{ check: stamps }} }}
nodes:
  rx: {{ kind: rx, interface: net, to: tx }}
  tx: {{ kind: tx, interface: look }}
",
            s_api.display()
        );
        let generator = format!(
            "version: 1
engine: {{ api: off }}
interfaces:
  make: {{ driver: memory, generate: {{ flows: {{ sources: [10.0.0.0/24], destinations: [10.1.0.0/24], count: 100 }}, stamp: true, rate: 25kpps, limit: {PACKETS} }} }}
  net:  {{ driver: af-packet, device: eth0 }}
nodes:
  rx: {{ kind: rx, interface: make, to: tx }}
  tx: {{ kind: tx, interface: net }}
"
        );
        let sink = net.swath("s", &sink);
        let engine = net.swath("r", &graphs[0]);
        let generator = net.swath("g", &generator);
        let mut client = Client::connect(&r_api).unwrap();
        let mut swaps = vec![0; usize::from(workers)];
        for n in 1..=GRAPHS {
            let body = json!({ "graph": { "files": [{ "name": "graph.yaml", "text": graphs[n % graphs.len()] }] } });
            let applied: Value = client.change("/v1/apply", body.to_string(), None).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(applied["revision"], n + 1);
            for worker in applied["report"]["workers"].as_array().unwrap() {
                swaps[worker["worker"].as_u64().unwrap() as usize] += 1;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(swaps, vec![GRAPHS; usize::from(workers)], "observed by each worker");
        let (made, _) = generator.ends();
        // What is on its way to the sink.
        let start = Instant::now();
        let arrived = || {
            let net: Value = Client::connect(&s_api).unwrap().get("/v1/interfaces/net").unwrap();
            net["received"]["packets"].as_u64().unwrap() + net["received"]["missed"].as_u64().unwrap()
        };
        let (engine, log) = {
            // Until nothing has come out for a moment.
            let mut before = 0;
            while std::mem::replace(&mut before, net.packets("r", "r-out").1) != net.packets("r", "r-out").1 {
                std::thread::sleep(Duration::from_millis(300));
            }
            engine.end()
        };
        while arrived() < net.packets("s", "eth0").0 && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let (sink, _) = sink.end();
        let count = |report: &Value, pointer: &str| {
            report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {report:#}"))
        };
        assert_eq!(made["sent"], PACKETS, "{made}");
        // By reason: rings of the kernel, and rings between workers while a core is somebody else's.
        let dropped: u64 = engine["dropped"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|reasons| reasons.as_object().unwrap().values())
            .map(|count| count.as_u64().unwrap())
            .sum();
        for (_, reasons) in engine["dropped"].as_object().unwrap() {
            assert!(
                reasons.as_object().unwrap().keys().all(|reason| reason == "handoff-full" || reason == "ring-full"),
                "{engine:#}"
            );
        }
        let rings = count(&engine, "/interfaces/in/kernel-drops") + count(&sink, "/interfaces/net/kernel-drops");
        let seen = count(&sink, "/received");
        assert_eq!(seen + rings + dropped, PACKETS, "{log}");
        let look = &sink["interfaces"]["look"];
        let wrong = ["duplicated", "reordered", "unstamped"].map(|what| look[what].as_u64().unwrap());
        assert_eq!(wrong, [0, 0, 0], "{look}");
        // The last ones of a flow nobody misses.
        assert!(look["missing"].as_u64().unwrap() <= rings + dropped, "{look}");
        println!("{workers} workers: offered {PACKETS}, arrived {seen}, lost in rings of the kernel {rings}, dropped {dropped}");
    }
}
