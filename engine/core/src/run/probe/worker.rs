//! Probes as a worker has them: which packets they take, of those that leave a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use swath_api::filter::Filter;
use swath_api::{Nexts, Vector, WorkerTables};

use super::names::Names;
use super::slip::{Pen, Slip};
use super::trace::Trace;
use crate::run::pass::{Running, WorkerGraph};

/// Somebody who looks at packets.
pub(in crate::run) struct Probe {
    pub id: u64,
    pub kind: Kind,
    pub filter: Option<Filter>,
    /// In the graph that the worker has.
    pub selection: Selection,
    pub pen: Pen,
    pub shared: Arc<Shared>,
}

/// What it looks at.
pub(in crate::run) enum Kind {
    /// Packets on edges.
    Edges,
    /// Packets that come in, by the interface at a place or by any, and then all their ways.
    Trace(Arc<Trace>, Option<u16>),
}

/// Which of the edges of a graph a probe is about, by node and slot.
#[derive(Default)]
pub(in crate::run) struct Selection(pub Box<[Box<[bool]>]>);

impl Selection {
    pub fn has(&self, node: usize, slot: usize) -> bool {
        self.0.get(node).and_then(|slots| slots.get(slot)).is_some_and(|wanted| *wanted)
    }

    fn has_any(&self, node: usize) -> bool {
        self.0.get(node).is_some_and(|slots| slots.contains(&true))
    }
}

/// What the workers of a probe and its reader share.
pub(in crate::run) struct Shared {
    /// Packets that are still wanted.
    pub left: AtomicI64,
    /// Packets that nobody saw, because the reader is slower than they are.
    pub missed: AtomicU64,
    /// Nobody reads any more.
    pub closed: AtomicBool,
}

impl Shared {
    /// Whether one more packet is wanted; it is the caller's then.
    pub fn claim(&self) -> bool {
        // A look first: of a probe that has enough, workers do not fight for the line.
        self.left.load(Ordering::Relaxed) > 0 && self.left.fetch_sub(1, Ordering::Relaxed) > 0
    }
}

/// Packets as they leave a node.
pub(in crate::run) struct Leaving<'a> {
    pub index: usize,
    pub node: &'a Running,
    pub packets: &'a mut Vector,
    pub nexts: &'a Nexts,
    pub names: &'a Arc<Names>,
    pub tables: &'a WorkerTables,
    pub now: u64,
    /// Whether its packets come from an interface.
    pub is_source: bool,
}

impl Leaving<'_> {
    /// The slot that the packet of an index goes to.
    pub fn slot(&self, at: usize) -> usize {
        self.node.slot(self.nexts.ids()[at])
    }

    /// Whether a filter holds for the packet of an index, as it goes to a slot.
    pub fn matches(&self, filter: Option<&Filter>, at: usize, slot: usize) -> bool {
        let layer = || self.names.nodes[self.index].edges[slot].layer;
        filter.is_none_or(|filter| filter.matches(layer(), self.packets.bytes(at).unwrap_or_default()))
    }

    /// Writes a packet down.
    pub fn write(&self, slip: &mut Slip, at: usize, slot: usize) {
        slip.names = Some(Arc::clone(self.names));
        (slip.node, slip.slot, slip.at) = (self.index as u16, slot as u16, self.now);
        slip.write(self.packets.descs()[at], self.packets.lanes()[at], self.packets.bytes(at).unwrap_or_default());
    }
}

impl Probe {
    fn look(&mut self, leaving: &mut Leaving<'_>) {
        let Probe { kind, filter, selection, pen, shared, .. } = self;
        match kind {
            Kind::Trace(trace, receives) => trace.look(leaving, filter.as_ref(), *receives, (pen, shared)),
            Kind::Edges if selection.has_any(leaving.index) => {
                for at in 0..leaving.packets.len() {
                    let slot = leaving.slot(at);
                    if selection.has(leaving.index, slot) {
                        take(leaving, filter.as_ref(), (pen, shared), at, slot);
                    }
                }
            }
            Kind::Edges => {}
        }
    }
}

/// Takes a packet that is on an edge that is wanted.
fn take(leaving: &Leaving<'_>, filter: Option<&Filter>, (pen, shared): (&mut Pen, &Shared), at: usize, slot: usize) {
    // Where the reader cannot follow, packets are not compared either: a probe costs no more than it can give.
    if pen.is_empty() {
        if shared.left.load(Ordering::Relaxed) > 0 {
            shared.missed.fetch_add(1, Ordering::Relaxed);
        }
        return;
    }
    if leaving.matches(filter, at, slot) && shared.claim() {
        pen.write(|slip| leaving.write(slip, at, slot));
    }
}

impl WorkerGraph {
    /// Shows the packets of `current`, for which has been decided, to who looks.
    #[cold]
    #[inline(never)]
    pub(in crate::run) fn look(&mut self, index: usize, now: u64) {
        let Self { probes, nodes, sources, current, nexts, names, tables, .. } = self;
        let is_source = sources.iter().any(|source| source.node == index);
        let mut leaving = Leaving { index, node: &nodes[index], packets: current, nexts, names, tables, now, is_source };
        open(probes).for_each(|probe| probe.look(&mut leaving));
    }
}

/// Shows packets that were to leave this worker, and are dropped by a slot.
#[cold]
#[inline(never)]
pub(in crate::run) fn look_at_refused(probes: &mut [Probe], leaving: &Leaving<'_>, slot: usize) {
    for probe in open(probes) {
        let Probe { kind, filter, selection, pen, shared, .. } = probe;
        match kind {
            Kind::Trace(trace, _) => trace.look_at_refused(leaving, slot, (pen, shared)),
            Kind::Edges if selection.has(leaving.index, slot) => {
                for at in 0..leaving.packets.len() {
                    take(leaving, filter.as_ref(), (pen, shared), at, slot);
                }
            }
            Kind::Edges => {}
        }
    }
}

/// Shows packets that go to another worker, by the first edge of a handoff: those of whom `to` says to which.
#[cold]
#[inline(never)]
pub(in crate::run) fn look_at_handed(probes: &mut [Probe], leaving: &Leaving<'_>, to: impl Fn(usize) -> Option<u16>) {
    for probe in open(probes) {
        let Probe { kind, filter, selection, pen, shared, .. } = probe;
        for at in 0..leaving.packets.len() {
            let Some(worker) = to(at) else { continue };
            match kind {
                Kind::Trace(trace, _) => trace.look_at_handed(leaving, at, worker, (pen, shared)),
                Kind::Edges if selection.has(leaving.index, 0) => take(leaving, filter.as_ref(), (pen, shared), at, 0),
                Kind::Edges => {}
            }
        }
    }
}

fn open(probes: &mut [Probe]) -> impl Iterator<Item = &mut Probe> {
    probes.iter_mut().filter(|probe| !probe.shared.closed.load(Ordering::Relaxed))
}
