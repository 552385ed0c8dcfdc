//! An engine as those see it who only watch: names and counters, while its workers run, from any thread.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use swath_api::{EdgeClass, HandoffGauge, Pool, TableInstance, reserved};

use super::counters::WorkerCounters;
use super::engine::Engine;
use super::ledger::Buffers;
use crate::driver::PortStatus;

/// What there is to watch of one engine. It keeps the counters and the tables alive, and nothing that touches a packet or a device.
pub struct Observer {
    /// By the plan's order, as in [`WorkerCounters::nodes`].
    pub nodes: Vec<ObservedNode>,
    /// By index, as in [`WorkerCounters::interfaces`].
    pub interfaces: Vec<ObservedInterface>,
    /// What each worker counts.
    pub workers: Vec<WorkerCounters>,
    /// The tables.
    pub tables: Vec<Arc<TableInstance>>,
    pool: Arc<Pool>,
    rings: Arc<[HandoffGauge]>,
}

/// A node by its words.
#[derive(Debug)]
pub struct ObservedNode {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// By counter slot: its edges and drop reasons, then the engine's own.
    pub edges: Vec<ObservedEdge>,
}

/// An edge or a drop reason.
#[derive(Debug)]
pub struct ObservedEdge {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Whether packets are lost there.
    pub drops: bool,
    /// Whether it is one of the [`reserved`] reasons that any node has.
    pub reserved: bool,
    /// What is kept there.
    held: bool,
}

/// An interface by its words, and how it stands.
pub struct ObservedInterface {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: &'static str,
    /// How it stands, if that changes.
    pub status: Option<Arc<dyn PortStatus>>,
}

impl ObservedInterface {
    /// Whether packets can come and go.
    pub fn is_up(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.is_up())
    }
}

impl Observer {
    pub(super) fn new(
        engine: &Engine,
        pool: &Arc<Pool>,
        tables: &[Arc<TableInstance>],
        statuses: Vec<Option<Arc<dyn PortStatus>>>,
    ) -> Observer {
        let nodes = engine.plan().nodes.iter().map(|node| {
            let own = node.edges.iter().zip(&node.targets).map(|(edge, target)| ObservedEdge {
                name: edge.name.clone(),
                drops: target.is_none() && matches!(edge.class, EdgeClass::Drop | EdgeClass::Edge | EdgeClass::Required),
                reserved: false,
                held: edge.class == EdgeClass::Held,
            });
            let reserved = reserved::REASONS.iter().map(|(name, _)| ObservedEdge {
                name: Cow::Borrowed(*name),
                drops: true,
                reserved: true,
                held: false,
            });
            ObservedNode {
                name: node.spec.name.value.clone(),
                kind: node.kind.info().kind.as_str(),
                edges: own.chain(reserved).collect(),
            }
        });
        let interfaces = engine.plan().interfaces.iter().zip(statuses).map(|(interface, status)| ObservedInterface {
            name: interface.spec.name.value.clone(),
            driver: interface.driver.name,
            status,
        });
        Observer {
            nodes: nodes.collect(),
            interfaces: interfaces.collect(),
            workers: engine.counters().to_vec(),
            tables: tables.to_vec(),
            pool: Arc::clone(pool),
            rings: Arc::clone(&engine.rings),
        }
    }

    /// Where the buffers are, and how many there are. While workers run the parts are of slightly different moments.
    pub fn buffers(&self) -> Buffers {
        let gauges = |pick: fn(&WorkerCounters) -> u64| self.workers.iter().map(pick).sum();
        let (mut kept, mut released) = (0, 0);
        for worker in &self.workers {
            for (node, counters) in self.nodes.iter().zip(worker.nodes.iter()) {
                released += counters.released.get();
                let held = node.edges.iter().zip(counters.edges()).filter(|(edge, _)| edge.held);
                kept += held.map(|(_, counter)| counter.get()).sum::<u64>();
            }
        }
        Buffers {
            capacity: self.pool.capacity() as u64,
            free: self.pool.free() as u64,
            cached: self.pool.cached() as u64,
            rings: super::counters::in_rings(&self.workers),
            frames: gauges(|worker| worker.buffers.frames.load(Ordering::Relaxed)),
            handoff: self.rings.iter().map(|ring| ring.len() as u64).sum(),
            // A packet may have been released between the two readings.
            held: u64::saturating_sub(kept, released),
        }
    }

    /// Sweeps that each worker has made: a number that stands still is a worker that does.
    pub fn sweeps(&self) -> impl Iterator<Item = u64> {
        self.workers.iter().map(|worker| worker.time.sweeps.get())
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Observer({} nodes, {} workers)", self.nodes.len(), self.workers.len())
    }
}
