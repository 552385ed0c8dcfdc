//! A router that is offered far more than it can forward: it answers for its addresses, and to those who watch it, and nothing is lost
//! without being counted.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::scrape::{engine_of, get, samples};
use swath::Time;
use swath_core::run::Engine;
use swath_ctl::{Live, Server, Settings};

const LIMIT: Duration = Duration::from_secs(30);
/// Of so many packets the last is a request for the router's address.
const ROUND: u64 = 16;

/// Ten times what any processor can forward, of which a sixteenth is ARP.
fn router(workers: usize, handoff: bool) -> Engine {
    let udp: Vec<String> = (1..ROUND).map(|flow| format!("udp 10.0.1.2:{flow} > 10.0.2.9:9")).collect();
    let (first, spread) = if handoff { ("spread", "  spread:   { kind: handoff, to: ethernet }\n") } else { ("ethernet", "") };
    engine_of(
        &format!(
            "version: 1
engine: {{ workers: {workers} }}
interfaces:
  a:
    driver: memory
    mac: '02:00:00:00:01:01'
    addresses: [10.0.1.1/24]
    generate: {{ packets: [{}, arp who-has 10.0.1.1 tell 10.0.1.2], rate: 1000Mpps, burst: 64 }}
  b: {{ driver: memory, mac: '02:00:00:00:02:01', addresses: [10.0.2.1/24] }}
tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 10.0.2.9, mac: '02:00:00:00:02:09' }}] }}
  routes: {{ kind: fib4 }}
nodes:
  rx:       {{ kind: rx, interface: a, to: {first} }}
{spread}  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4, arp: arp }} }}
  arp:      {{ kind: arp-input, to: {{ reply: tx }} }}
  ip4:      {{ kind: ip4-input, to: lookup }}
  lookup:   {{ kind: ip4-lookup, to: rewrite }}
  rewrite:  {{ kind: ip4-rewrite, to: tx }}
  tx:       {{ kind: tx }}
",
            udp.join(", ")
        ),
        Time::Real,
    )
}

/// How many packets have left a node by an edge.
fn by(engine: &Engine, node: &str, edge: &str) -> u64 {
    let nodes = engine.nodes();
    let node = nodes.iter().find(|found| found.name == node).unwrap();
    node.edges.iter().find(|(name, ..)| name == edge).map_or(0, |(.., count)| *count)
}

/// Runs it until it has been scraped some times and has answered some requests.
fn run(engine: &mut Engine) {
    let live = Live::new(Settings { by_worker: true });
    let server = Server::start("127.0.0.1:0".parse().unwrap(), Arc::clone(&live)).unwrap();
    engine.start().unwrap();
    live.attach(engine.observer());
    let start = Instant::now();
    let (mut scrapes, mut sent) = (0, 0.0);
    while scrapes < 10 || sent == 0.0 {
        assert!(start.elapsed() < LIMIT, "{scrapes} scrapes, {sent} sent");
        let (code, _, text) = get(server.address(), "/metrics", "*/*");
        assert_eq!(code, 200);
        sent = samples(&text)["swath_interface_transmit_packets_total{interface=\"a\"}"];
        scrapes += 1;
    }
    drop(server);
    engine.stop();
    assert_eq!(engine.ledger().discrepancies(), Vec::<String>::new());
}

#[test]
fn every_request_that_is_taken_in_is_answered() {
    let mut engine = router(1, false);
    run(&mut engine);
    let ledger = engine.ledger();
    let requests = ledger.received / ROUND;
    assert!(requests > 0);
    assert_eq!((by(&engine, "ethernet", "arp"), by(&engine, "arp", "reply")), (requests, requests));
    // What is offered beyond what is taken in was never an engine's.
    assert_eq!((ledger.sent, ledger.dropped_total()), (ledger.received, 0));
}

#[test]
fn workers_that_hand_over_answer_too() {
    let mut engine = router(4, true);
    run(&mut engine);
    let (ledger, requests) = (engine.ledger(), by(&engine, "ethernet", "arp"));
    // Requests have no flow, so that they stay where they came in, whether rings to others are full or not.
    assert!(requests > 0);
    assert_eq!(by(&engine, "arp", "reply"), requests);
    let lost = by(&engine, "spread", "handoff-full");
    assert_eq!((ledger.sent, ledger.dropped_total()), (ledger.received - lost, lost));
}
