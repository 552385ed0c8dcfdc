//! How a worker graph takes the place of another one: what stays moves over, the rest goes with the old one. All of it is swaps of what a
//! control thread has made ready: nothing is made here, and nothing dropped.

use std::sync::Arc;

use swath_api::Vector;

use super::book::EdgePairs;
use super::counters::NodeCounters;
use super::pass::{Source, WorkerGraph};
use crate::driver::{Due, Io, Received, Refused, RxQueue, TxQueue};

/// What a worker has to move.
#[derive(Default)]
pub(super) struct Moves {
    /// Nodes that go on, or whose state does.
    pub nodes: Vec<Heir>,
    /// Tables likewise: both at the same place.
    pub tables: Vec<Heir>,
    /// Places of interfaces that stay attached.
    pub ports: Vec<usize>,
    /// Counters that do not simply go on.
    pub counts: Vec<Recount>,
}

/// One that goes on, or takes over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heir {
    pub old: usize,
    pub new: usize,
    /// The instance itself moves.
    pub keep: bool,
    /// Set by the worker: whether it has worked.
    pub done: bool,
}

/// What has to be done to the counters of a node.
pub(super) struct Recount {
    pub node: usize,
    /// If it has other counters than before: those that it had, and which edges of theirs are which.
    pub before: Option<(Arc<NodeCounters>, EdgePairs)>,
    /// Edges that are wired otherwise than before, each with whether it was.
    pub rewired: Vec<(usize, bool)>,
}

impl WorkerGraph {
    /// Takes the place of `old`, between two sweeps.
    pub(super) fn succeed(&mut self, old: &mut WorkerGraph, moves: &mut Moves) {
        std::mem::swap(&mut self.cache, &mut old.cache);
        std::mem::swap(&mut self.handoffs, &mut old.handoffs);
        self.sampler.succeed(&mut old.sampler);
        std::mem::swap(&mut self.probes, &mut old.probes);
        for probe in &mut self.probes {
            let of = self.selections.iter_mut().find(|(id, _)| *id == probe.id);
            of.into_iter().for_each(|(_, selection)| std::mem::swap(&mut probe.selection, selection));
        }
        for heir in &mut moves.tables {
            heir.done = match heir.keep {
                true => self.tables.keep(heir.new, &mut old.tables),
                false => self.tables.adopt(heir.new, &mut old.tables),
            };
        }
        for heir in &mut moves.nodes {
            let (node, before) = (&mut self.nodes[heir.new], &mut old.nodes[heir.old]);
            node.majority = before.majority;
            heir.done = if heir.keep {
                std::mem::swap(&mut node.instance, &mut before.instance);
                node.tick = before.tick;
                true
            } else {
                node.instance.adopt(&mut before.instance)
            };
        }
        for recount in &moves.counts {
            let counters = &self.counters.nodes[recount.node];
            if let Some((before, edges)) = &recount.before {
                counters.go_on_from(before, edges);
            }
            recount.rewired.iter().for_each(|(edge, was_wired)| counters.rewire(*edge, *was_wired));
        }
        for place in &moves.ports {
            std::mem::swap(&mut self.ports[*place], &mut old.ports[*place]);
        }
        for source in self.sources.iter_mut().chain(&mut self.parked) {
            let same = |other: &&mut Source| (other.interface, other.number) == (source.interface, source.number);
            let stays = moves.ports.contains(&source.interface);
            if let Some(before) = old.sources.iter_mut().chain(&mut old.parked).find(same).filter(|_| stays) {
                std::mem::swap(&mut source.queue, &mut before.queue);
            }
        }
        self.parked_chunks = self.parked.iter().map(|source| source.queue.in_ring()).sum();
    }
}

/// What stands in the place of a queue that is to come, or of an interface that there is not.
pub(super) struct Absent {
    refused: u32,
}

impl Absent {
    pub fn receive() -> Box<dyn RxQueue> {
        Box::new(Absent { refused: 0 })
    }

    pub fn transmit() -> Box<dyn TxQueue> {
        Box::new(Absent { refused: 0 })
    }
}

impl RxQueue for Absent {
    fn receive(&mut self, _: &mut Vector, _: usize, _: &mut Io<'_>) -> Received {
        Received::default()
    }

    fn due(&self) -> Due {
        Due::Ended
    }
}

impl TxQueue for Absent {
    fn transmit(&mut self, packets: &mut Vector, _: &mut Io<'_>) {
        self.refused = packets.len() as u32;
    }

    fn refused(&self) -> Refused {
        Refused { link_down: self.refused, ..Refused::default() }
    }
}
