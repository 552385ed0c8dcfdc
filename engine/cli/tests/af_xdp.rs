//! `swath run` on AF_XDP between hosts that are kernels: network namespaces, veth pairs, default offloads.

mod common;

use common::hosts::Net;
use serde_json::{Value, json};

/// A router between the hosts `a` and `b`, with the engine's settings and what its interfaces have beside their devices.
fn router(engine: &str, a: &str, b: &str) -> String {
    format!(
        "version: 1
engine: {{ {engine} }}
interfaces:
  a: {{ driver: af-xdp, device: r-a, {a}, mac: '02:00:00:00:00:01', addresses: [10.0.1.1/24] }}
  b: {{ driver: af-xdp, device: r-b, {b}, mac: '02:00:00:00:00:02', addresses: [10.0.2.1/24] }}
tables:
  neighbours:
    kind: neighbours
    static:
      - {{ address: 10.0.1.2, mac: '02:00:00:00:01:02' }}
      - {{ address: 10.0.2.2, mac: '02:00:00:00:02:02' }}
  routes: {{ kind: fib4 }}
nodes:
  a-rx:     {{ kind: rx, interface: a, to: ethernet }}
  b-rx:     {{ kind: rx, interface: b, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
  ip4:      {{ kind: ip4-input, to: lookup }}
  lookup:   {{ kind: ip4-lookup, to: rewrite }}
  rewrite:  {{ kind: ip4-rewrite, to: tx }}
  tx:       {{ kind: tx }}
"
    )
}

const DEFAULT: &str = "promiscuous: true";

/// Two hosts at a router.
fn two_hosts() -> Option<Net> {
    let net = Net::new(&["a", "b", "r"])?;
    net.host("a", 1);
    net.host("b", 2);
    Some(net)
}

fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// The figures of an interface at which nothing was wrong.
fn quiet(device: &str, mode: &str, copied: u64) -> Value {
    json!({
        "device": device, "mode": mode, "link-changes": 0, "transmit-errors": 0, "kernel-drops": 0, "fill-ring-empty": 0,
        "receive-ring-full": 0, "invalid": 0, "checksums-completed": 0, "copied": copied,
    })
}

#[test]
fn every_ping_is_answered_and_counted() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router("", DEFAULT, DEFAULT));
    assert_eq!(net.ping("a", 20, "10.0.2.2"), 20);
    assert_eq!(net.ping("b", 20, "10.0.1.2"), 20);
    // As long as the MTU says, and no packet longer.
    assert_eq!(net.ping("a", 5, "-s 1472 -M do 10.0.2.2"), 5);
    let (report, log) = swath.end();
    println!("{log}");
    assert_eq!((count(&report, "/received"), count(&report, "/sent")), (90, 90), "{log}");
    assert_eq!(report["dropped"], json!({}));
    let mode = "native, copied by the kernel";
    assert_eq!(report["interfaces"], json!({ "a": quiet("r-a", mode, 0), "b": quiet("r-b", mode, 0) }));
    assert!(log.contains("a: `r-a` by AF_XDP: native, copied by the kernel, 1 queue\n"), "{log}");
}
