//! The engine between a source that writes packets and a sink that stops the clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use swath_api::kernel::tsc;
use swath_api::memory::{Geometry, Region};
use swath_api::wire::MacAddr;
use swath_api::{ConfigError, Lane, Pool, VECTOR, Vector};
use swath_core::Registry;
use swath_core::driver::{DriverKind, Io, Port, PortConfig, Received, RxQueue, TxQueue};
use swath_core::plan::Plan;
use swath_core::run::{BuildOptions, Engine, Observer, Order, Sightings};
use swath_core::spec::{Diagnostics, Nothing, SourceMap, Spec};

use crate::cases::Case;

/// What the drivers of a rig share with it. One rig exists at a time, since a driver is opened by name and knows no rig.
static SHARED: Mutex<Option<Arc<Shared>>> = Mutex::new(None);

/// What drivers and rig tell each other.
#[derive(Debug, Default)]
pub struct Shared {
    packets: Vec<Vec<u8>>,
    /// When the sink was first called after it was reset to 0.
    transmit: AtomicU64,
    /// Whether the sink keeps copies.
    keep: AtomicBool,
    kept: Mutex<Vec<Vec<u8>>>,
}

/// A built graph with its traffic.
pub struct Rig {
    engine: Engine,
    shared: Arc<Shared>,
}

impl Rig {
    /// Builds the case's graph.
    pub fn new(case: &Case) -> Rig {
        let count = case.vectors() * VECTOR;
        let packets = (0..count as u64).map(|number| case.packet(number)).collect();
        let shared = Arc::new(Shared { packets, ..Shared::default() });
        *SHARED.lock().expect("no other rig") = Some(Arc::clone(&shared));
        let engine = build(case.name, case.graph(), DRIVERS, false);
        Rig { engine, shared }
    }

    /// One vector through the graph: TSC cycles from the end of receive to the start of transmit.
    pub fn sample(&mut self) -> u64 {
        let graph = &mut self.engine.graphs_mut()[0];
        self.shared.transmit.store(0, Ordering::Relaxed);
        assert_eq!(graph.receive(0), VECTOR);
        let start = tsc();
        graph_pass(graph);
        let end = self.shared.transmit.load(Ordering::Relaxed);
        end.saturating_sub(start)
    }

    /// So many vectors, for who counts instructions.
    pub fn run(&mut self, vectors: usize) {
        for _ in 0..vectors {
            self.sample();
        }
    }

    /// What others need to watch it.
    pub fn observer(&self) -> Observer {
        self.engine.observer()
    }

    /// Has packets looked at.
    pub fn probe(&mut self, order: Order) -> Result<Sightings, String> {
        self.engine.probe(order).map_err(|error| error.to_string())
    }

    /// TSC cycles that the nodes have counted since the start, by name, `tx` left out: its time is the driver's as well.
    pub fn node_cycles(&self) -> Vec<(String, u64)> {
        let nodes = self.engine.nodes().into_iter();
        nodes.filter(|node| node.kind != "tx").map(|node| (node.name, node.cycles)).collect()
    }

    /// What a table answers.
    pub fn command(&self, table: &str, command: &str) -> Result<serde_json::Value, String> {
        let answer = self.engine.command(table, command).map_err(|error| error.to_string())?;
        serde_json::from_str(&answer).map_err(|error| error.to_string())
    }

    /// What comes in and what leaves, over one round of the traffic.
    pub fn observe(&mut self, vectors: usize) -> Vec<Vec<u8>> {
        self.shared.keep.store(true, Ordering::Relaxed);
        self.run(vectors);
        self.shared.keep.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.shared.kept.lock().expect("the sink is done"))
    }

    /// What does not add up at the end.
    pub fn discrepancies(&mut self) -> Vec<String> {
        self.engine.graphs_mut()[0].flush(0);
        self.engine.ledger().discrepancies()
    }
}

/// Named, so that callgrind can be told to count here.
#[inline(never)]
fn graph_pass(graph: &mut swath_core::run::WorkerGraph) {
    graph.pass(0);
}

/// Builds a graph of the product's kinds on interfaces of these drivers.
pub fn build(name: &str, graph: String, drivers: &[DriverKind], virtual_time: bool) -> Engine {
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let file = sources.add(name, graph);
    let spec = Spec::read(file, &mut sources, &Nothing, &mut diagnostics);
    let geometry = Geometry::new(spec.engine.buffers as u32, spec.engine.buffer_size);
    let pool = Pool::new(region(geometry));
    let registry = Registry::new(swath_nodes::NODES, swath_nodes::TABLES, drivers).shortcuts(swath_nodes::SHORTCUTS);
    let options = BuildOptions { pool: &pool, virtual_time };
    let plan = Plan::new(spec, &registry, &mut diagnostics);
    let engine = plan.and_then(|plan| Engine::build(plan, &options, &mut diagnostics));
    engine.unwrap_or_else(|| panic!("{}", diagnostics.render(&sources, false)))
}

/// Packet memory on huge pages if the kernel gives them for the asking.
fn region(geometry: Geometry) -> Region {
    Region::anonymous_huge(geometry).expect("memory for packets")
}

/// The drivers of this program.
const DRIVERS: &[DriverKind] = &[
    DriverKind {
        name: "bench-source",
        summary: "Writes the packets of a case.",
        schema: || "{}".into(),
        example: "",
        paths: &[],
        check: |_| Ok(()),
        open: open_port,
    },
    DriverKind {
        name: "bench-sink",
        summary: "Stops the clock.",
        schema: || "{}".into(),
        example: "",
        paths: &[],
        check: |_| Ok(()),
        open: open_port,
    },
];

struct BenchPort {
    mac: MacAddr,
    index: u16,
    shared: Arc<Shared>,
}

fn open_port(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let shared = SHARED.lock().ok().and_then(|shared| shared.clone());
    let shared = shared.ok_or_else(|| ConfigError::new("there is no rig"))?;
    Ok(Box::new(BenchPort { mac: config.mac.unwrap_or_else(|| config.default_mac()), index: config.index, shared }))
}

impl Port for BenchPort {
    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u16 {
        1500
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        vec![Box::new(SourceQueue { index: self.index, shared: Arc::clone(&self.shared), next: 0 })]
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        vec![Box::new(SinkQueue { shared: Arc::clone(&self.shared) })]
    }
}

struct SourceQueue {
    index: u16,
    shared: Arc<Shared>,
    next: usize,
}

impl RxQueue for SourceQueue {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let mut received = Received::default();
        for _ in 0..max {
            let Some(mut buffer) = io.cache.take() else {
                received.no_buffer += 1;
                break;
            };
            buffer.fill(&self.shared.packets[self.next]);
            buffer.push(packets, Lane::received(self.index));
            self.next = (self.next + 1) % self.shared.packets.len();
            received.packets += 1;
        }
        received
    }
}

struct SinkQueue {
    shared: Arc<Shared>,
}

impl TxQueue for SinkQueue {
    #[inline(never)]
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let now = tsc();
        if self.shared.transmit.load(Ordering::Relaxed) == 0 {
            self.shared.transmit.store(now, Ordering::Relaxed);
        }
        if self.shared.keep.load(Ordering::Relaxed) {
            let bytes = (0..packets.len()).filter_map(|index| packets.bytes(index)).map(<[u8]>::to_vec);
            self.shared.kept.lock().expect("nobody else").extend(bytes);
        }
        io.cache.free(packets);
    }
}
