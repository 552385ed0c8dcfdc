//! NAT44 requirement by requirement, through a whole gateway and in virtual time: what comes in, and what must leave, rebuilt by etherparse
//! with all checksums computed anew. `docs/nat44-rfcs.md` lists the requirements and names these tests.

#[path = "../common/mod.rs"]
mod common;

mod blocks;
mod churn;
mod collisions;
mod document;
mod forwards;
mod fragments;
mod hostile;
mod packets;
mod reload;
mod rfc4787;
mod rfc5382;
mod rfc5508;
mod rfc6888;
mod rfc7857;
mod saved;
mod table;
mod workers;

use common::Rig;
use common::frames::{ethernet, mac};
use packets::{Address, verify};

const SECOND: u64 = 1_000_000_000;

/// Hosts inside, the gateway outside, and hosts there.
const A: Address = [192, 168, 1, 10];
const B: Address = [192, 168, 1, 11];
const GATE: Address = [192, 168, 1, 1];
const X: Address = [203, 0, 113, 2];
const R: Address = [198, 51, 100, 3];
const S: Address = [198, 51, 100, 4];

/// A gateway as `graphs/nat-gateway.yaml`, with this table.
fn graph(workers: usize, nat: &str) -> String {
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces:
  lan: {{ driver: test, mac: 02:00:00:00:00:01, addresses: [192.168.1.1/24] }}
  wan: {{ driver: test, mac: 02:00:00:00:00:02, addresses: [203.0.113.2/24], mtu: 1400 }}
tables:
  neighbours:
    kind: neighbours
    static: [{{ address: 192.168.1.10, mac: 02:00:00:00:00:10 }}, {{ address: 192.168.1.11, mac: 02:00:00:00:00:11 }},
             {{ address: 203.0.113.1, mac: 02:00:00:00:00:99 }}]
  routes:
    kind: fib4
    routes: [{{ prefix: 0.0.0.0/0, via: 203.0.113.1 }}, {{ prefix: 10.0.0.0/8, via: 192.168.1.11 }}]
  nat:
    kind: nat44
    inside: [lan]
    outside: [wan]
    inside-prefixes: [192.168.1.0/24, 10.0.0.0/8]
    port-seed: 1
    {nat}
nodes:
  lan-rx:   {{ kind: rx, interface: lan, to: lan-eth }}
  lan-eth:  {{ kind: ethernet-input, to: lan-ip4 }}
  lan-ip4:  {{ kind: ip4-input, to: hairpin }}
  hairpin:  {{ kind: nat44-in2out, hairpin: true, to: {{ ok: dnat, other: lookup, exhausted: error, user-limit: error }} }}
  wan-rx:   {{ kind: rx, interface: wan, to: wan-eth }}
  wan-eth:  {{ kind: ethernet-input, to: wan-ip4 }}
  wan-ip4:  {{ kind: ip4-input, to: dnat }}
  dnat:     {{ kind: nat44-out2in, to: {{ ok: lookup, other: lookup }} }}
  lookup:   {{ kind: ip4-lookup, to: {{ forward: by-port, local: local, no-route: error }} }}
  by-port:  {{ kind: switch, by: tx-interface, to: {{ wan: snat, default: rewrite }} }}
  snat:     {{ kind: nat44-in2out, to: {{ ok: rewrite, exhausted: error, user-limit: error }} }}
  rewrite:  {{ kind: ip4-rewrite, to: {{ ok: tx, unresolved: error, ttl-expired: error, too-big: fragment }} }}
  fragment: {{ kind: ip4-fragment, to: {{ ok: own, dont-fragment: error }} }}
  local:    {{ kind: ip4-local, to: {{ reply: own-dnat, unreachable: error }} }}
  error:    {{ kind: icmp-error, host-rate: 1Mpps, host-burst: 100000, rate: 1Mpps, burst: 100000, to: own-snat }}
  own-snat: {{ kind: nat44-in2out, to: {{ ok: own-dnat, other: own-dnat }} }}
  own-dnat: {{ kind: nat44-out2in, to: {{ ok: own, other: own }} }}
  own:      {{ kind: ip4-lookup, to: own-rewrite }}
  own-rewrite: {{ kind: ip4-rewrite, to: tx }}
  tx:       {{ kind: tx }}
"
    )
}

/// The gateway, with its hosts.
struct Net {
    rig: Rig,
    now: u64,
}

impl Net {
    fn new(nat: &str) -> Net {
        Net::with(1, nat)
    }

    fn with(workers: usize, nat: &str) -> Net {
        Net::of(&graph(workers, nat))
    }

    fn of(graph: &str) -> Net {
        Net { rig: Rig::new(graph), now: 0 }
    }

    /// Packets of hosts inside: what leaves on both sides, inside first.
    fn inside(&mut self, packets: &[Vec<u8>]) -> [Vec<Vec<u8>>; 2] {
        self.feed("lan", mac(1), packets)
    }

    /// Packets of hosts outside.
    fn outside(&mut self, packets: &[Vec<u8>]) -> [Vec<Vec<u8>>; 2] {
        self.feed("wan", mac(2), packets)
    }

    fn feed(&mut self, wire: &str, to: common::frames::Mac, packets: &[Vec<u8>]) -> [Vec<Vec<u8>>; 2] {
        self.rig.feed(wire, packets.iter().map(|packet| ethernet(to, 0x0800, packet)));
        self.rig.engine().step_until(self.now);
        self.sent()
    }

    fn sent(&mut self) -> [Vec<Vec<u8>>; 2] {
        self.rig.check();
        ["lan", "wan"].map(|wire| {
            let packets: Vec<Vec<u8>> = self.rig.sent(wire).iter().map(|frame| frame[14..].to_vec()).collect();
            packets.iter().for_each(|packet| verify(packet));
            packets
        })
    }

    /// One packet from inside, which leaves outside as this one.
    fn leaves(&mut self, packet: &[u8]) -> Vec<u8> {
        let [inside, mut outside] = self.inside(&[packet.to_vec()]);
        assert_eq!((inside.len(), outside.len()), (0, 1), "{:?}", self.rig.counts());
        outside.remove(0)
    }

    /// One packet from outside, which arrives inside as this one.
    fn enters(&mut self, packet: &[u8]) -> Vec<u8> {
        let [mut inside, outside] = self.outside(&[packet.to_vec()]);
        assert_eq!((inside.len(), outside.len()), (1, 0), "{:?}", self.rig.counts());
        inside.remove(0)
    }

    /// One packet from inside that reaches another host inside as this one.
    fn turns(&mut self, packet: &[u8]) -> Vec<u8> {
        let [mut inside, outside] = self.inside(&[packet.to_vec()]);
        assert_eq!((inside.len(), outside.len()), (1, 0), "{:?}", self.rig.counts());
        inside.remove(0)
    }

    /// Packets from outside that are dropped for a reason.
    fn kept_out(&mut self, packets: &[Vec<u8>], reason: &str) {
        let before = self.rig.count(reason);
        assert_eq!(self.outside(packets), [Vec::<Vec<u8>>::new(), vec![]]);
        assert_eq!(self.rig.count(reason) - before, packets.len() as u64, "{:?}", self.rig.counts());
    }

    /// Packets from inside that are dropped for a reason.
    fn kept_in(&mut self, packets: &[Vec<u8>], reason: &str) {
        let before = self.rig.count(reason);
        assert_eq!(self.inside(packets), [Vec::<Vec<u8>>::new(), vec![]]);
        assert_eq!(self.rig.count(reason) - before, packets.len() as u64, "{:?}", self.rig.counts());
    }

    fn wait(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
        self.rig.engine().step_until(self.now);
    }

    fn ask(&mut self, command: &str) -> serde_json::Value {
        // What it tells is that of the last tick.
        self.wait(SECOND / 100);
        serde_json::from_str(&self.rig.engine().command("nat", command).expect("an answer")).expect("JSON")
    }

    fn sessions(&mut self) -> u64 {
        self.ask(r#"{"sessions": {}}"#)["sessions"]["found"].as_u64().expect("a number")
    }
}
