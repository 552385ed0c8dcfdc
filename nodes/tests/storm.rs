//! A storm of reloads while packets pass, by threads: nothing is lost, doubled or overtaken, and no session ends.
//!
//! The generator goes by the clock and waits for nobody: what does not fit into a receive ring is lost, and counted. Each packet says its flow
//! and its number in the flow, which the sink looks at. Packets that one worker has for another may find no room while that one has no core:
//! those are counted by the engine, and must be all that is missing.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::frames::{ethernet, header, mac, packet};
use common::scaled;
use swath_api::memory::{Geometry, Region};
use swath_api::sync::{Receiver, Sender, ring};
use swath_api::wire::MacAddr;
use swath_api::{Lane, Pool, Vector};
use swath_core::Registry;
use swath_core::driver::{DriverKind, Due, Io, Opener, Port, Received, RxQueue, TxQueue};
use swath_core::plan::Plan;
use swath_core::run::{BuildOptions, Engine};
use swath_core::spec::{Diagnostics, Nothing, SourceMap, Spec};

const FLOWS: u32 = 512;
/// Packets of a receive ring: those of seconds.
const RING: usize = 1 << 20;
/// Packets a second, of all workers.
const RATE: u64 = 200_000;
const RELOADS: usize = 1000;

const NEVER: DriverKind = DriverKind {
    name: "storm",
    summary: "Attached by the test.",
    schema: || "{}".into(),
    example: "",
    paths: &[],
    check: |_| Ok(()),
    open: |_| Err(swath_api::ConfigError::new("the test attaches it")),
};

/// What the packets of a flow are, and what the sink has seen.
#[derive(Default)]
struct Seen {
    next: Vec<u64>,
    missing: u64,
    late: u64,
    packets: u64,
}

/// What generator, queues and sink share.
#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    received: AtomicU64,
    // Has a receive queue lose a packet.
    lose: AtomicBool,
}

struct Source {
    packets: Receiver<(u32, u64)>,
    frames: Arc<Vec<Vec<u8>>>,
    shared: Arc<Shared>,
    interface: u16,
}

impl RxQueue for Source {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let mut received = Received::default();
        let Self { packets: ring, frames, shared, interface } = self;
        ring.pop_all(max, |(flow, number)| {
            if shared.lose.load(Ordering::Relaxed) && shared.lose.swap(false, Ordering::Relaxed) {
                return;
            }
            let Some(mut buffer) = io.cache.take() else {
                received.no_buffer += 1;
                return;
            };
            let mut frame = frames[flow as usize].clone();
            let end = frame.len();
            frame[end - 8..].copy_from_slice(&number.to_be_bytes());
            assert!(buffer.fill(&frame) && buffer.push(packets, Lane::received(*interface)));
            received.packets += 1;
        });
        shared.received.fetch_add(u64::from(received.packets), Ordering::Relaxed);
        received
    }

    fn due(&self) -> Due {
        Due::Unknown
    }
}

struct Sink(Arc<Shared>);

impl TxQueue for Sink {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let seen = &mut *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in (0..packets.len()).filter_map(|index| packets.bytes(index)) {
            let flow = u32::from_be_bytes(frame[frame.len() - 12..frame.len() - 8].try_into().expect("four bytes"));
            let number = u64::from_be_bytes(*frame.last_chunk().expect("eight bytes"));
            let next = &mut seen.next[flow as usize];
            if number < *next {
                seen.late += 1;
            } else {
                seen.missing += number - *next;
                *next = number + 1;
            }
            seen.packets += 1;
        }
        io.cache.free(packets);
    }
}

struct StormPort(Vec<Box<dyn RxQueue>>, Vec<Box<dyn TxQueue>>);

impl Port for StormPort {
    fn mac(&self) -> MacAddr {
        MacAddr::from(mac(1))
    }

    fn mtu(&self) -> u16 {
        1500
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        std::mem::take(&mut self.0)
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        std::mem::take(&mut self.1)
    }
}

/// The frame of a flow; its last 12 bytes are the flow and the number.
fn frame(flow: u32) -> Vec<u8> {
    let mut ip = header([10, 1, 2, 3], 64, 20);
    ip.source = [192, 168, (flow >> 8) as u8, flow as u8];
    let mut bytes = packet(ip, &[]);
    bytes.truncate(20);
    bytes.extend([&[0x20, 0, 0, 9, 0, 20, 0, 0][..], &flow.to_be_bytes(), &[0; 8]].concat());
    ethernet(mac(1), 0x0800, &bytes)
}

/// One graph of several: with the filter or without, with a handoff or without, and with other settings.
fn graph(workers: usize, which: usize) -> String {
    let middle = [
        "  first: { kind: acl-filter, layer: ethernet, to: { permitted: tx } }",
        "  first: { kind: counter, to: acl }\n  acl: { kind: acl-filter, layer: ethernet, to: { permitted: tx } }",
        "  first: { kind: counter, to: tx }",
        "  first: { kind: handoff, to: acl }\n  acl: { kind: acl-filter, layer: ethernet, to: { permitted: count } }\n  count: { kind: counter, to: tx }",
        "  first: { kind: meter, packets: 100Mpps, burst-packets: 1000000, to: tx }",
    ];
    let rules = if which.is_multiple_of(2) { "" } else { ", { action: deny, protocol: tcp }" };
    format!(
        "
version: 1
engine: {{ workers: {workers}, buffers: 16384, idle: adaptive }}
interfaces: {{ in: {{ driver: storm }}, out: {{ driver: storm }} }}
tables:
  rules: {{ kind: acl, sessions: {{ capacity: 4096 }}, rules: [{{ action: permit+reflect, protocol: udp }}{rules}] }}
nodes:
  rx: {{ kind: rx, interface: in, to: first }}
{}
  tx: {{ kind: tx, interface: out }}
",
        middle[which % middle.len()]
    )
}

fn plan(graph: &str, registry: &Registry) -> Plan {
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let file = sources.add("storm.yaml", graph);
    let spec = Spec::read(file, &mut sources, &Nothing, &mut diagnostics);
    Plan::new(spec, registry, &mut diagnostics).unwrap_or_else(|| panic!("{}", diagnostics.render(&sources, false)))
}

/// Sends at the rate until it is told to stop. By flow how many packets there were; and how many found no room.
fn generate(mut rings: Vec<Sender<(u32, u64)>>, stop: &AtomicBool) -> (Vec<u64>, u64) {
    let (start, mut sent, mut lost) = (Instant::now(), 0u64, 0);
    let mut next = vec![0; FLOWS as usize];
    while !stop.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_nanos() * u128::from(RATE) / 1_000_000_000) as u64;
        while sent < due {
            let flow = (sent % u64::from(FLOWS)) as usize;
            let at = flow % rings.len();
            lost += u64::from(rings[at].push((flow as u32, next[flow])).is_err());
            next[flow] += 1;
            sent += 1;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    (next, lost)
}

/// What has come of a storm.
struct Outcome {
    offered: u64,
    overflows: u64,
    missing: u64,
    late: u64,
    handoff_full: u64,
    dropped: u64,
    discrepancies: Vec<String>,
    swaps: Vec<u64>,
    reloads: u64,
    opened: u64,
}

impl Outcome {
    fn check(&self) -> Result<(), String> {
        let wrong = [
            ("receive rings have overflown", self.overflows, 0),
            ("missing, but for those that found no room between workers", self.missing, self.handoff_full),
            ("doubled or overtaken", self.late, 0),
            ("dropped for another reason", self.dropped, self.handoff_full),
            ("sessions opened", self.opened, u64::from(FLOWS)),
        ];
        let wrong = wrong.into_iter().find(|(_, found, expected)| found != expected);
        if let Some((what, found, expected)) = wrong {
            return Err(format!("{what}: {found} instead of {expected}"));
        }
        match self.discrepancies.first() {
            Some(wrong) => Err(wrong.clone()),
            None if self.swaps.iter().any(|swaps| *swaps != self.reloads) => Err(format!("swaps: {:?}", self.swaps)),
            None => Ok(()),
        }
    }
}

fn storm(workers: usize, reloads: usize, lose: bool) -> Outcome {
    let registry = Registry::new(swath_nodes::NODES, swath_nodes::TABLES, &[NEVER]);
    let pool = Pool::new(Region::anonymous(Geometry::new(16384, 2048)).expect("memory"));
    let shared = Arc::new(Shared::default());
    shared.seen.lock().expect("nobody has panicked").next = vec![0; FLOWS as usize];
    let frames: Arc<Vec<Vec<u8>>> = Arc::new((0..FLOWS).map(frame).collect());
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| ring(RING)).unzip();
    let mut first = plan(&graph(workers, 0), &registry);
    let queues: Vec<Box<dyn RxQueue>> = receivers
        .into_iter()
        .map(|packets| {
            let (frames, shared) = (Arc::clone(&frames), Arc::clone(&shared));
            Box::new(Source { packets, frames, shared, interface: 0 }) as Box<dyn RxQueue>
        })
        .collect();
    let sinks = || (0..workers).map(|_| Box::new(Sink(Arc::clone(&shared))) as Box<dyn TxQueue>).collect();
    for (interface, port) in first.interfaces.iter_mut().zip([StormPort(queues, sinks()), StormPort(Vec::new(), sinks())]) {
        interface.opener = Some(Opener::new(move |_| Ok(Box::new(port))));
    }
    let mut diagnostics = Diagnostics::new();
    let options = BuildOptions { pool: &pool, virtual_time: false };
    let mut engine = Engine::build(first, &options, &mut diagnostics).expect("a graph");
    engine.start().expect("threads");
    let stop = Arc::new(AtomicBool::new(false));
    let generator = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || generate(senders, &stop)
    });
    // Every flow has its session before the first reload.
    let deadline = Instant::now() + Duration::from_secs(60);
    while shared.seen.lock().expect("nobody has panicked").next.contains(&0) {
        assert!(Instant::now() < deadline, "packets come through");
        std::thread::sleep(Duration::from_millis(1));
    }
    let (mut pauses, mut spreads, mut ebbs) = (Vec::new(), Vec::new(), Vec::new());
    for reload in 1..=reloads {
        if lose && reload == reloads / 2 {
            shared.lose.store(true, Ordering::Relaxed);
        }
        let report = engine.apply(plan(&graph(workers, reload), &registry), &mut diagnostics).expect("it is applied");
        assert_eq!((report.workers.len(), report.not_carried.len()), (workers, 0));
        pauses.extend(report.workers.iter().map(|worker| worker.pause * 1e6));
        ebbs.extend(report.workers.iter().map(|worker| worker.ebb * 1e6));
        spreads.push(report.spread * 1e6);
    }
    stop.store(true, Ordering::Relaxed);
    let (next, overflows) = generator.join().expect("it has counted");
    let offered: u64 = next.iter().sum();
    let deadline = Instant::now() + Duration::from_secs(60);
    let arrived = || shared.received.load(Ordering::Relaxed) + overflows + u64::from(lose);
    while arrived() < offered || engine.ledger().in_transit > 0 {
        assert!(Instant::now() < deadline, "{} of {offered}", arrived());
        std::thread::sleep(Duration::from_millis(1));
    }
    engine.stop();
    let ledger = engine.ledger();
    let seen = shared.seen.lock().expect("nobody has panicked");
    // Those at the end of a flow, behind which nothing came.
    let behind: u64 = next.iter().zip(&seen.next).map(|(sent, seen)| sent - seen).sum();
    let handoff_full = ledger.dropped.values().filter_map(|reasons| reasons.get("handoff-full")).sum();
    let figures = engine.table("rules").expect("it is there").figures();
    let figure = |name: &str| figures.iter().find(|figure| figure.name == name).map_or(0, |figure| figure.value);
    let outcome = Outcome {
        offered,
        overflows,
        missing: seen.missing + behind,
        late: seen.late,
        handoff_full,
        dropped: ledger.dropped_total(),
        discrepancies: ledger.discrepancies(),
        swaps: engine.workers().iter().map(|worker| worker.swaps).collect(),
        reloads: reloads as u64,
        opened: figure("acl_opened_sessions_total"),
    };
    let quantiles = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
        format!("p50 {:.1} p99 {:.1} max {:.1} us", at(0.5), at(0.99), at(1.0))
    };
    println!(
        "{workers} workers, {reloads} reloads: offered {}, received {}, sent {}, dropped {:?}, swaps {:?}\n  pauses {}\n  of these ebb {}\n  spread {}",
        outcome.offered,
        ledger.received,
        seen.packets,
        ledger.dropped,
        outcome.swaps,
        quantiles(&mut pauses),
        quantiles(&mut ebbs),
        quantiles(&mut spreads)
    );
    outcome
}

#[test]
fn reloads_at_full_load_lose_nothing() {
    for workers in [1, 2] {
        let outcome = storm(workers, scaled(RELOADS), false);
        assert_eq!(outcome.check(), Ok(()));
    }
}

#[test]
fn one_packet_that_is_lost_is_found() {
    let outcome = storm(1, 10, true);
    let said = outcome.check().expect_err("a packet is missing");
    assert_eq!(said, "missing, but for those that found no room between workers: 1 instead of 0");
}
