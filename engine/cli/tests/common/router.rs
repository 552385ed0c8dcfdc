//! A graph with tests of its own.

use super::{Place, Said, said_by, swath};

/// A router from lan to wan, with its tests.
pub const ROUTER: &str = "version: 1
interfaces:
  lan: { driver: pcap, read: none.pcap, mac: 02:00:00:00:01:01, addresses: [192.168.1.1/24] }
  wan: { driver: pcap, write: out.pcap, mac: 02:00:00:00:02:01, addresses: [203.0.113.2/30] }
tables:
  neighbours:
    kind: neighbours
    static:
      - { address: 192.168.1.10, mac: 02:00:00:00:01:10 }
      - { address: 203.0.113.1, mac: 02:00:00:00:02:02 }
  routes: { kind: fib4, routes: [{ prefix: 8.0.0.0/8, via: 203.0.113.1 }] }
nodes:
  lan-rx:   { kind: rx, interface: lan, to: ethernet }
  ethernet: { kind: ethernet-input, to: { ip4: ip4 } }
  ip4:      { kind: ip4-input, to: lookup }
  lookup:   { kind: ip4-lookup, to: rewrite }
  rewrite:  { kind: ip4-rewrite, to: tx }
  tx:       { kind: tx }
tests:
";

/// Writes a graph with these tests.
pub fn router(place: &Place, tests: &str) {
    place.text("router.yaml", &format!("{ROUTER}{tests}"));
}

/// Runs `swath test` where the graph is.
pub fn run_in(place: &Place, arguments: &[&str]) -> Said {
    said_by(swath(["test"].iter().chain(arguments)).current_dir(place.path("")))
}
