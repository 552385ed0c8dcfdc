//! The engine: what was built, its threads, and what it has counted.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use swath_api::{ConfigError, EdgeClass, Interface, Pool, TableInstance, Wishes, reserved};

use super::build::{self, BuildOptions};
use super::counters::{NodeCounters, WorkerCounters};
use super::ledger::{Buffers, Ledger};
use super::observer::Observer;
use super::pass::WorkerGraph;
use super::worker::{self, Worker};
use crate::driver::{Due, Port};
use crate::plan::{NodePlan, Plan};
use crate::spec::Diagnostics;

/// A graph that is built, and runs when it is told to.
pub struct Engine {
    plan: Plan,
    pool: Arc<Pool>,
    interfaces: Vec<Interface>,
    tables: Vec<Arc<TableInstance>>,
    // Before the ports: queues refer to what the ports own.
    graphs: Vec<WorkerGraph>,
    workers: Vec<Worker>,
    ports: Vec<Box<dyn Port>>,
    counters: Vec<WorkerCounters>,
    stop: Arc<AtomicBool>,
    // Nanoseconds of the graphs' clock: as far as `step_until` has come, and where the next start goes on.
    now: u64,
    started: Option<Instant>,
    pub(super) wishes: Vec<Wishes>,
}

/// What all workers together have counted of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTotals {
    /// The node's name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Calls of it.
    pub calls: u64,
    /// Packets that came in.
    pub packets: u64,
    /// TSC cycles spent in it.
    pub cycles: u64,
    /// Packets that it made.
    pub made: u64,
    /// Packets that it let go.
    pub released: u64,
    /// Packets by edge: name, class, whether it is wired, count. Then the engine's own drop reasons, as far as they occurred.
    pub edges: Vec<(Cow<'static, str>, EdgeClass, bool, u64)>,
}

impl Engine {
    /// Builds a plan: opens its interfaces, makes its tables, and its nodes for each worker. `None`, with diagnostics, if any part
    /// refuses; nothing is left open then.
    pub fn build(plan: Plan, options: &BuildOptions<'_>, diagnostics: &mut Diagnostics) -> Option<Engine> {
        build::build(plan, options, diagnostics)
    }

    pub(super) fn new(
        plan: Plan,
        pool: Arc<Pool>,
        interfaces: Vec<Interface>,
        tables: Vec<Arc<TableInstance>>,
        ports: Vec<Box<dyn Port>>,
        graphs: Vec<WorkerGraph>,
        counters: Vec<WorkerCounters>,
    ) -> Engine {
        let stop = Arc::new(AtomicBool::new(false));
        Engine {
            plan,
            pool,
            interfaces,
            tables,
            graphs,
            workers: Vec::new(),
            ports,
            counters,
            stop,
            now: 0,
            started: None,
            wishes: Vec::new(),
        }
    }

    /// Starts one thread for each worker, pinned if the graph says where to.
    ///
    /// # Errors
    /// A thread could not be started or pinned; none runs then.
    pub fn start(&mut self) -> std::io::Result<()> {
        self.stop.store(false, Ordering::Relaxed);
        // The clock goes on where it stood: ticks and drivers remember times of it.
        let clock = Instant::now();
        self.started = Some(clock);
        let mut failed = None;
        let mut left = Vec::new();
        for (index, graph) in std::mem::take(&mut self.graphs).into_iter().enumerate() {
            if failed.is_some() {
                left.push(graph);
                continue;
            }
            let core = self.plan.engine.cores.as_ref().and_then(|cores| cores.get(index).copied());
            match worker::start(index, core, graph, Arc::clone(&self.stop), clock, self.now) {
                Ok(worker) => self.workers.push(worker),
                Err(refused) => {
                    let (error, graph) = *refused;
                    failed = Some(error);
                    left.extend(graph);
                }
            }
        }
        let Some(error) = failed else { return Ok(()) };
        self.stop();
        self.graphs.extend(left);
        Err(error)
    }

    /// Stops the threads after the sweep that each is in. Their graphs are as they left them.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for Worker { thread, .. } in self.workers.drain(..) {
            // A worker that panicked outside of a node has taken its graph with it; the panic hook has said why.
            self.graphs.extend(thread.join().ok());
        }
        self.graphs.iter_mut().for_each(WorkerGraph::rest);
        if let Some(started) = self.started.take() {
            self.now += started.elapsed().as_nanos() as u64;
        }
    }

    /// Lets every worker in turn, in this thread and by one virtual clock, do what is due next, until nothing is due any more or it is
    /// later than `until` nanoseconds. The same input gives the same output, to the byte.
    pub fn step_until(&mut self, until: u64) {
        loop {
            let mut busy = false;
            for graph in &mut self.graphs {
                busy |= graph.sweep(self.now);
            }
            if busy {
                continue;
            }
            let all_ended = self.graphs.iter().all(WorkerGraph::ended);
            let due = self.graphs.iter().map(WorkerGraph::due).min().unwrap_or(Due::Ended);
            match due {
                // Ticks go on for ever; with the last packet in, only `until` asks for them.
                Due::At(at) if at <= until && at > self.now && !(all_ended && until == u64::MAX) => self.now = at,
                _ => break,
            }
        }
        if until != u64::MAX {
            self.now = self.now.max(until);
        }
    }

    /// The worker graphs that no thread runs, for benchmarks and tests that drive them step by step.
    pub fn graphs_mut(&mut self) -> &mut [WorkerGraph] {
        &mut self.graphs
    }

    /// Whether every receive queue has come to its end. While threads run: as each of them has last said.
    pub fn ended(&self) -> bool {
        self.graphs.iter().all(WorkerGraph::ended) && self.workers.iter().all(|worker| worker.ended.load(Ordering::Relaxed))
    }

    /// Workers whose thread has ended though nobody has stopped it: a defect of the engine, which the panic hook has described.
    pub fn dead_workers(&self) -> Vec<usize> {
        let stopped = self.stop.load(Ordering::Relaxed);
        let dead = self.workers.iter().enumerate().filter(|(_, worker)| !stopped && worker.thread.is_finished());
        dead.map(|(index, _)| index).collect()
    }

    /// What it was built from.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What each node of the plan asked for and found when it was made: the same for all workers.
    pub fn wishes(&self) -> &[Wishes] {
        &self.wishes
    }

    /// Its interfaces, by index.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The pool of its packets.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// What each worker counts.
    pub fn counters(&self) -> &[WorkerCounters] {
        &self.counters
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&Arc<TableInstance>> {
        self.tables.iter().find(|table| table.name() == name)
    }

    /// Sends a command to a table, while workers run or not: JSON in, JSON out.
    ///
    /// # Errors
    /// There is no such table, or it refuses; nothing has changed then.
    pub fn command(&self, table: &str, command: &str) -> Result<String, ConfigError> {
        let found = self.table(table).ok_or_else(|| ConfigError::new(format!("there is no table '{table}'")))?;
        found.command(command)
    }

    /// What others need to watch it while it runs.
    pub fn observer(&self) -> Observer {
        Observer::new(self, &self.pool, &self.tables, self.ports.iter().map(|port| port.status()).collect())
    }

    /// What has happened to interfaces since this was last asked: names, and what their drivers say.
    pub fn news(&self) -> Vec<(&str, String)> {
        let ports = self.interfaces.iter().zip(&self.ports);
        ports.flat_map(|(interface, port)| port.news().into_iter().map(|news| (interface.name.as_str(), news))).collect()
    }

    /// Lets the drivers finish: files are complete, sinks have said what they saw. For each interface by name what its driver says, or
    /// which output could not be written.
    pub fn finish(&mut self) -> Vec<(String, Result<serde_json::Value, String>)> {
        let ports = self.interfaces.iter().zip(&mut self.ports);
        ports.map(|(interface, port)| (interface.name.clone(), port.finish())).collect()
    }

    /// What all workers together have counted of each node, in the plan's order.
    pub fn nodes(&self) -> Vec<NodeTotals> {
        let nodes = self.plan.nodes.iter().enumerate();
        nodes
            .map(|(index, node)| {
                let sum = |pick: &dyn Fn(&NodeCounters) -> u64| self.counters.iter().map(|worker| pick(&worker.nodes[index])).sum();
                NodeTotals {
                    name: node.spec.name.value.clone(),
                    kind: node.kind.info().kind.as_str(),
                    calls: sum(&NodeCounters::calls),
                    packets: sum(&|node| node.packets.get()),
                    cycles: sum(&|node| node.cycles.get()),
                    made: sum(&|node| node.made.get()),
                    released: sum(&|node| node.released.get()),
                    edges: edges(node, |slot| sum(&|node| node.edges()[slot].get())),
                }
            })
            .collect()
    }

    /// Both ledgers. Exact when no thread runs.
    pub fn ledger(&self) -> Ledger {
        let (mut ledger, mut released) = (Ledger::default(), 0);
        for interface in self.counters.iter().flat_map(|worker| worker.interfaces.iter()) {
            ledger.received += interface.received.get();
            ledger.sent += interface.sent.get();
        }
        for node in self.nodes() {
            ledger.made += node.made;
            for (name, class, wired, count) in node.edges {
                match class {
                    EdgeClass::Held => ledger.held += count,
                    EdgeClass::Consumed if !wired => ledger.consumed += count,
                    EdgeClass::Drop | EdgeClass::Edge | EdgeClass::Required if !wired && count > 0 => {
                        *ledger.dropped.entry(node.name.clone()).or_default().entry(name.into_owned()).or_default() += count;
                    }
                    _ => {}
                }
            }
            released += node.released;
        }
        // Over all nodes: what one has kept another may have let go. Not held at zero, which would hide a defect.
        ledger.held = ledger.held.wrapping_sub(released);
        ledger.buffers = self.buffers(ledger.held);
        ledger.in_transit = ledger.buffers.frames;
        ledger
    }

    fn buffers(&self, held: u64) -> Buffers {
        let gauges = |pick: fn(&WorkerCounters) -> u64| self.counters.iter().map(pick).sum();
        Buffers {
            capacity: self.pool.capacity() as u64,
            free: self.pool.free() as u64,
            cached: self.pool.cached() as u64,
            rings: gauges(|worker| worker.buffers.rings.load(Ordering::Relaxed)),
            frames: gauges(|worker| worker.buffers.frames.load(Ordering::Relaxed)),
            held,
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({} nodes, {} workers)", self.plan.nodes.len(), self.counters.len())
    }
}

fn edges(node: &NodePlan, count: impl Fn(usize) -> u64) -> Vec<(Cow<'static, str>, EdgeClass, bool, u64)> {
    let own = node.edges.iter().zip(&node.targets).enumerate();
    let own = own.map(|(id, (edge, target))| (edge.name.clone(), edge.class, target.is_some(), count(id)));
    let reserved = reserved::REASONS.iter().enumerate();
    let reserved =
        reserved.map(|(reason, (name, _))| (Cow::Borrowed(*name), EdgeClass::Drop, false, count(node.edges.len() + reason)));
    own.chain(reserved.filter(|(_, _, _, count)| *count > 0)).collect()
}
