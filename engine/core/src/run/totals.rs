//! What all workers together have counted.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use swath_api::{EdgeClass, reserved};

use super::counters::{NodeCounters, WorkerCounters};
use super::engine::Engine;
use super::figures::WorkerFigures;
use super::ledger::{Buffers, Ledger};
use crate::plan::NodePlan;

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
    /// What all workers together have counted of each node, in the plan's order.
    pub fn nodes(&self) -> Vec<NodeTotals> {
        let nodes = self.plan().nodes.iter().enumerate();
        nodes
            .map(|(index, node)| {
                let sum =
                    |pick: &dyn Fn(&NodeCounters) -> u64| self.counters().iter().map(|worker| pick(&worker.nodes[index])).sum();
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

    /// What each worker has counted of itself: all there is to say of workers one by one.
    pub fn workers(&self) -> Vec<WorkerFigures> {
        let cpus = |worker| self.placement().get(worker).cloned().unwrap_or_default();
        self.counters().iter().enumerate().map(|(worker, counters)| WorkerFigures::new(worker, cpus(worker), counters)).collect()
    }

    /// Both ledgers, over all graphs that the process has had. Exact when no thread runs.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = self.generation.book.ledger();
        ledger.buffers = self.buffers(ledger.held);
        ledger.in_transit = ledger.buffers.frames + ledger.buffers.handoff;
        ledger
    }

    fn buffers(&self, held: u64) -> Buffers {
        let gauges = |pick: fn(&WorkerCounters) -> u64| self.counters().iter().map(pick).sum();
        Buffers {
            capacity: self.pool().capacity() as u64,
            free: self.pool().free() as u64,
            cached: self.pool().cached() as u64,
            rings: super::counters::in_rings(self.counters()),
            frames: gauges(|worker| worker.buffers.frames.load(Ordering::Relaxed)),
            handoff: self.between_workers(),
            held,
        }
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
