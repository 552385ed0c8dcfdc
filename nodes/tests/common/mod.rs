//! What the tests share: an engine between interfaces that the test feeds and reads.
#![allow(dead_code, reason = "each test uses its part")]

pub mod driver;
pub mod frames;
pub mod kinds;
pub mod random;
pub mod sessions;
pub mod sieve;

use std::collections::BTreeMap;
use std::sync::Arc;

use swath_api::memory::{Geometry, Region};
use swath_api::{EdgeClass, NodeKind, Pool, Shortcut};
use swath_core::Registry;
use swath_core::plan::Plan;
use swath_core::run::{BuildOptions, Engine, Ledger, Report};
use swath_core::spec::{Diagnostics, Machine, Nothing, SourceMap, Spec, World};

use driver::Wire;

/// How many times as many packets as usual a random test shall take, from `SWATH_TEST_SCALE`.
pub fn scaled(count: usize) -> usize {
    let scale = std::env::var("SWATH_TEST_SCALE").ok().and_then(|scale| scale.parse::<f64>().ok()).unwrap_or(1.0);
    ((count as f64 * scale) as usize).max(1)
}

/// A built graph whose interfaces are wires of the test. When it is dropped it checks that all buffers came back.
pub struct Rig {
    // Dropped before its pool is looked at.
    engine: Option<Engine>,
    wires: Vec<Arc<Wire>>,
    pool: Arc<Pool>,
    registry: Registry,
}

impl Rig {
    /// Builds a graph of the product's kinds and those of [`kinds`].
    pub fn new(graph: &str) -> Rig {
        Rig::with(graph, None, &[])
    }

    /// Builds a graph of these kinds too, in a pool of that size.
    pub fn with(graph: &str, buffers: Option<u32>, more: &[NodeKind]) -> Rig {
        Rig::build(graph, buffers, more).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// The same; what is wrong with the graph as the user sees it.
    pub fn build(graph: &str, buffers: Option<u32>, more: &[NodeKind]) -> Result<Rig, String> {
        Rig::build_with(("test.yaml", graph), &Nothing, buffers, more, swath_nodes::SHORTCUTS)
    }

    /// A graph that is shipped, between wires, whose chains are gone through by these shortcuts.
    pub fn shipped(name: &str, shortcuts: &'static [Shortcut]) -> Rig {
        let path = format!("{}/../graphs/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("a graph that is shipped");
        let text = text.replace("driver: memory", "driver: test");
        Rig::build_with((&path, &text), &Machine, None, &[], shortcuts).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    fn build_with(
        (path, graph): (&str, &str),
        world: &dyn World,
        buffers: Option<u32>,
        more: &[NodeKind],
        shortcuts: &'static [Shortcut],
    ) -> Result<Rig, String> {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        let file = sources.add(path, graph);
        let spec = Spec::read(file, &mut sources, world, &mut diagnostics);
        let geometry = Geometry::new(buffers.unwrap_or(spec.engine.buffers as u32), spec.engine.buffer_size);
        let pool = Pool::new(Region::anonymous(geometry).expect("memory for packets"));
        let nodes = [swath_nodes::NODES, kinds::KINDS, sessions::KINDS, more].concat();
        let tables = [swath_nodes::TABLES, sessions::TABLES].concat();
        let registry = Registry::new(&nodes, &tables, &[driver::DRIVER]).shortcuts(shortcuts);
        let options = BuildOptions { pool: &pool, virtual_time: true };
        let plan = Plan::new(spec, &registry, &mut diagnostics);
        let engine = plan.and_then(|plan| Engine::build(plan, &options, &mut diagnostics));
        let wires = driver::opened();
        match engine {
            Some(engine) => Ok(Rig { engine: Some(engine), wires, pool, registry }),
            None => Err(diagnostics.render(&sources, false)),
        }
    }

    /// Has the engine run another graph. What is wrong with it as the user sees it, or why it is refused.
    pub fn apply(&mut self, graph: &str) -> Result<Report, String> {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        let file = sources.add("test.yaml", graph);
        let spec = Spec::read(file, &mut sources, &Nothing, &mut diagnostics);
        let plan = Plan::new(spec, &self.registry, &mut diagnostics).ok_or_else(|| diagnostics.render(&sources, false))?;
        let applied = self.engine().apply(plan, &mut diagnostics);
        let opened = driver::opened();
        let report = applied.map_err(|refusal| format!("{}{refusal}", diagnostics.render(&sources, false)))?;
        // Those that were attached before are looked for by their names, too.
        self.wires.retain(|wire| !opened.iter().any(|other| other.name == wire.name));
        self.wires.extend(opened);
        Ok(report)
    }

    /// The engine.
    pub fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("it is there until drop")
    }

    fn shown(&self) -> &Engine {
        self.engine.as_ref().expect("it is there until drop")
    }

    /// An interface by name.
    pub fn wire(&self, name: &str) -> &Arc<Wire> {
        self.wires.iter().find(|wire| wire.name == name).expect("an interface of this name")
    }

    /// Lets frames arrive at the first queue of an interface.
    pub fn feed(&self, interface: &str, frames: impl IntoIterator<Item = Vec<u8>>) {
        self.wire(interface).feed(0, frames);
    }

    /// Runs in this thread until all that arrived has been taken and processed.
    pub fn run(&mut self) {
        self.engine().step_until(u64::MAX);
        assert_eq!(self.wires.iter().map(|wire| wire.waiting()).sum::<usize>(), 0, "frames that the engine did not fetch");
    }

    /// The frames that an interface has sent since it was asked last.
    pub fn sent(&self, interface: &str) -> Vec<Vec<u8>> {
        self.wire(interface).take_sent().into_iter().map(|sent| sent.bytes).collect()
    }

    /// What has been counted and is not 0: `node` for what came in, `node.edge`, `node+made`, `node+released`.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for node in self.shown().nodes() {
            let name = &node.name;
            counts.insert(name.clone(), node.packets);
            counts.insert(format!("{name}+made"), node.made);
            counts.insert(format!("{name}+released"), node.released);
            counts.extend(node.edges.iter().map(|(edge, _, _, count)| (format!("{name}.{edge}"), *count)));
        }
        counts.retain(|_, count| *count > 0);
        counts
    }

    /// One of these counts.
    pub fn count(&self, name: &str) -> u64 {
        self.counts().get(name).copied().unwrap_or_default()
    }

    /// Checks all that must hold while no worker runs: both ledgers; that they agree with what the wires have counted; that each node
    /// passes on what it gets; and that what an edge carries arrives at its target.
    pub fn check(&self) -> Ledger {
        let engine = self.shown();
        let ledger = engine.ledger();
        assert_eq!(ledger.discrepancies(), Vec::<String>::new());
        let sum = |count: fn(&Wire) -> u64| self.wires.iter().map(|wire| count(wire)).sum::<u64>();
        assert_eq!((ledger.received, ledger.sent), (sum(Wire::arrived), sum(Wire::left)));
        assert_eq!(ledger.buffers.rings, sum(Wire::in_ring));
        let (nodes, plan) = (engine.nodes(), &engine.plan().nodes);
        let mut arrived = vec![0; nodes.len()];
        for (node, plan) in nodes.iter().zip(plan) {
            let out: u64 = node.edges.iter().map(|(_, _, _, count)| count).sum();
            assert_eq!(node.packets + node.made + node.released, out, "{node:?}");
            for ((_, class, wired, count), to) in node.edges.iter().zip(&plan.targets) {
                assert_eq!(*wired, to.is_some());
                assert!(!wired || !matches!(class, EdgeClass::Held | EdgeClass::Consumed | EdgeClass::Transmit), "{node:?}");
                arrived[to.unwrap_or_default()] += if *wired { *count } else { 0 };
            }
        }
        let mut received = 0;
        for (node, arrived) in nodes.iter().zip(arrived) {
            // What its targets do not account for, a node has received.
            received += node.packets.checked_sub(arrived).unwrap_or_else(|| panic!("{node:?} got {arrived}"));
        }
        assert_eq!(received, ledger.received);
        ledger
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.engine = None;
        if !std::thread::panicking() {
            assert_eq!((self.pool.free(), self.pool.cached()), (self.pool.capacity(), 0), "a buffer was lost");
        }
    }
}
