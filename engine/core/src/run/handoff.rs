//! Packets that another worker owns: a ring for each pair of workers, which belongs to the process and not to a graph.

use std::sync::Arc;

use swath_api::{Call, Edges, HandoffGauge, HandoffReceiver, HandoffSender, Nexts, Owner, Pool, Vector, handoff, reserved};

use super::bed::Bed;
use super::counters::{Counter, slot};
use super::pass::WorkerGraph;
use super::probe::{LOOKS, Leaving, look_at_handed, look_at_refused};

/// The ends of the rings that are one worker's.
pub(super) struct Handoffs {
    worker: u16,
    // By worker; none to itself.
    outgoing: Vec<Option<Outgoing>>,
    incoming: Vec<HandoffReceiver>,
    first: usize,
    owners: Nexts,
    // By worker, then those of nobody.
    staged: Vec<Vector>,
    handed: Arc<[Counter]>,
    /// Packets that it has ever put into rings, and taken out of them.
    pub sent: usize,
    pub taken: usize,
}

struct Outgoing {
    ring: HandoffSender,
    bed: Arc<Bed>,
    /// Whether it was put in since the other worker was last looked after.
    used: bool,
}

impl Handoffs {
    /// The rings between so many workers, for so many packets, one set of ends for each, and what tells how full they are. `beds` and
    /// `handed` are those of the workers.
    pub fn all(
        beds: &[Arc<Bed>],
        handed: &[Arc<[Counter]>],
        packets: usize,
        pool: &Arc<Pool>,
    ) -> (Vec<Handoffs>, Vec<HandoffGauge>) {
        let workers = beds.len();
        let mut gauges = Vec::new();
        let new = |(worker, handed): (usize, &Arc<[Counter]>)| Handoffs {
            worker: worker as u16,
            outgoing: (0..workers).map(|_| None).collect(),
            incoming: Vec::new(),
            first: 0,
            owners: Nexts::default(),
            staged: (0..=workers).map(|_| Vector::new(pool)).collect(),
            handed: Arc::clone(handed),
            sent: 0,
            taken: 0,
        };
        let mut all: Vec<Handoffs> = handed.iter().enumerate().map(new).collect();
        for from in 0..workers {
            for to in (0..workers).filter(|to| *to != from) {
                let (sender, receiver) = handoff(pool, packets);
                gauges.push(sender.gauge());
                all[from].outgoing[to] = Some(Outgoing { ring: sender, bed: Arc::clone(&beds[to]), used: false });
                all[to].incoming.push(receiver);
            }
        }
        (all, gauges)
    }

    fn workers(&self) -> usize {
        self.outgoing.len()
    }
}

impl WorkerGraph {
    /// Moves up to `max` packets that other workers have handed over to the inboxes of their nodes; returns how many. Of the rings that
    /// have packets each in turn is the first.
    pub(super) fn take_over(&mut self, max: usize) -> usize {
        let Self { handoffs: Some(handoffs), vectors, pending, nodes, targets, .. } = self else { return 0 };
        let (count, mut taken, mut next) = (handoffs.incoming.len(), 0, None);
        for turn in 0..count {
            let (at, before) = ((handoffs.first + turn) % count, taken);
            // Nodes only: what lies behind their inboxes is not for others.
            let lost = handoffs.incoming[at].pop(max - taken, targets, &mut vectors[..nodes.len()], |to| {
                pending[to / 64] |= 1 << (to % 64);
                taken += 1;
            });
            // An inbox has room for what a pass takes, and both ends are of one graph.
            debug_assert_eq!(lost, 0, "packets that were handed over have a place");
            if taken > before {
                next.get_or_insert((at + 1) % count);
            }
            if taken == max {
                break;
            }
        }
        handoffs.first = next.unwrap_or(handoffs.first);
        handoffs.taken += taken;
        taken
    }

    /// Its number.
    pub(super) fn worker(&self) -> u16 {
        self.handoffs.as_ref().map_or(0, |handoffs| handoffs.worker)
    }

    /// Packets that it has ever handed to other workers, and taken over.
    pub(super) fn handed(&self) -> (usize, usize) {
        self.handoffs.as_ref().map_or((0, 0), |handoffs| (handoffs.sent, handoffs.taken))
    }

    /// Whether packets from other workers wait.
    pub(super) fn has_incoming(&self) -> bool {
        self.handoffs.as_ref().is_some_and(|handoffs| handoffs.incoming.iter().any(|ring| !ring.is_empty()))
    }

    /// Moves the packets of `current` on by the first edge of the node at `index`: here, or on the worker that owns them, as the node at
    /// `asks` says.
    #[inline(never)]
    pub(super) fn hand_off(&mut self, index: usize, asks: usize, now: u64) {
        let Self { nodes, current, nexts, outbox, cache, tables, counters, handoffs: Some(handoffs), .. } = self else { return };
        let (sampler, names, probes, graph) = (&mut self.sampler, &self.names, &mut self.probes, self.number as u16);
        let Handoffs { worker, outgoing, owners, staged, handed, sent, .. } = handoffs;
        nodes[asks].instance.owner(current, owners, Call { outbox, room: 0, cache, tables, now });
        let node = &nodes[index];
        let (to, edges) = (node.target, counters.nodes[index].edges());
        let mine = owners.matching(*worker).union(&owners.matching(Owner::ANY.id()));
        if LOOKS && !probes.is_empty() {
            let (ids, workers) = (owners.ids(), outgoing.len());
            let worker = *worker;
            let mut leaving = Leaving { index, node, packets: current, nexts, names, tables, graph, worker, now, receives: None };
            look_at_handed(probes, &mut leaving, |at| Some(ids[at]).filter(|id| *id != worker && usize::from(*id) < workers));
        }
        if mine.count() < current.len() {
            let (ids, workers) = (owners.ids(), outgoing.len());
            let lost = current.split(&mine, staged, |at| usize::from(ids[at]).min(workers));
            debug_assert_eq!(lost, 0, "what is staged is one vector at most");
            for (other, packets) in staged.iter_mut().enumerate().filter(|(_, packets)| !packets.is_empty()) {
                let mut refused = reserved::FAULT;
                if let Some(Some(outgoing)) = outgoing.get_mut(other) {
                    let moved = outgoing.ring.push(packets, to) as u64;
                    *sent += moved as usize;
                    outgoing.used = true;
                    edges[0].add(moved);
                    handed[other].add(moved);
                    refused = reserved::HANDOFF_FULL;
                }
                if !packets.is_empty() {
                    let slot = slot(refused, node.edges);
                    edges[slot].add(packets.len() as u64);
                    counters.nodes[index].seen(slot, now);
                    sampler.take(names, (index, slot), Some((packets, 0)), now);
                    if LOOKS && !probes.is_empty() {
                        let worker = *worker;
                        let leaving = Leaving { index, node, packets, nexts, names, tables, graph, worker, now, receives: None };
                        look_at_refused(probes, &leaving, slot);
                    }
                    cache.free(packets);
                }
            }
        }
        nexts.fill(current.len(), 0);
        self.dispatch(index, 0, now);
    }

    /// Whether it may hand packets over.
    pub(super) fn hands_off(&self) -> bool {
        self.nodes.iter().any(|node| node.asks.is_some())
    }

    /// Wakes those who sleep over what they were handed in this pass.
    pub(super) fn wake_others(&mut self) {
        let Some(handoffs) = &mut self.handoffs else { return };
        for outgoing in handoffs.outgoing.iter_mut().flatten() {
            if std::mem::take(&mut outgoing.used) {
                outgoing.bed.wake();
            }
        }
    }
}

impl std::fmt::Debug for Handoffs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handoffs(worker {} of {})", self.worker, self.workers())
    }
}
