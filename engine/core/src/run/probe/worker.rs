//! Probes as a worker has them: which packets they take, of those that leave a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use swath_api::filter::Filter;
use swath_api::{Called, Nexts, Vector, WorkerTables};

use super::names::Names;
use super::slip::{Pen, Slip};
use super::trace::{Followed, Kept, miss};
use crate::run::counters::slot;
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
    /// Packets that come in, and then all their ways.
    Trace(Followed),
}

/// Which of the edges of a graph a probe is about: by node, if there is any of it, by slot.
#[derive(Default)]
pub(in crate::run) struct Selection(pub Box<[Option<Box<[bool]>>]>);

impl Selection {
    fn of(&self, node: usize) -> Option<&[bool]> {
        self.0.get(node).and_then(Option::as_deref)
    }

    fn has(&self, node: usize, slot: usize) -> bool {
        self.of(node).is_some_and(|slots| slots[slot])
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
    /// Whether more packets are wanted.
    pub fn wants_more(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    /// Whether one more packet is wanted; it is the caller's then.
    pub fn claim(&self) -> bool {
        // A look first: of a probe that has enough, workers do not fight for the line.
        self.wants_more() && self.left.fetch_sub(1, Ordering::Relaxed) > 0
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
    /// Which of the graphs of the process this is: the last bits of its number.
    pub graph: u16,
    /// On which worker.
    pub worker: u16,
    pub now: u64,
    /// The interface that its packets come from, if they do.
    pub receives: Option<u16>,
}

impl Leaving<'_> {
    /// The slot that the packet of an index goes to.
    pub fn slot(&self, at: usize) -> usize {
        self.node.slot(self.nexts.ids()[at])
    }

    /// What packets that go to a slot start with.
    fn layer(&self, slot: usize) -> &'static str {
        self.names.nodes[self.index].edges[slot].layer
    }

    /// The first packet, from an index on, that goes to a slot that is wanted, and for which a filter holds.
    #[inline]
    pub fn find(&self, first: usize, filter: Option<&Filter>, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let ids = self.nexts.ids().get(first..)?;
        let way = |id: u16| (id, self.node.slot(id), filter.map(|filter| filter.of(self.layer(self.node.slot(id)))));
        let mut last = way(*ids.first()?);
        let mut packets = self.packets.bytes_from(first);
        let found = if self.nexts.matching(last.0).count() == self.packets.len() {
            match last {
                (_, slot, _) if !wanted(slot) => None,
                (.., Some(filter)) => filter.position(packets),
                (.., None) => Some(0),
            }
        } else {
            ids.iter().position(|id| {
                let bytes = packets.next().unwrap_or_default();
                if *id != last.0 {
                    last = way(*id);
                }
                wanted(last.1) && last.2.is_none_or(|filter| filter.matches(bytes))
            })
        };
        found.map(|at| first + at)
    }

    /// Writes a packet down.
    pub fn write(&self, slip: &mut Slip, at: usize, slot: usize) {
        slip.names = Some(Arc::clone(self.names));
        (slip.node, slip.slot, slip.at) = (self.index as u16, slot as u16, self.now);
        slip.write(self.packets.descs()[at], self.packets.lanes()[at], self.packets.bytes(at).unwrap_or_default());
    }

    /// Has the node say why it has decided so for a packet.
    pub fn say_why(&mut self, at: usize, decided: u16, slip: &mut Slip) {
        self.node.instance.reason(self.packets, at, decided, self.tables, self.now, &mut slip.note);
    }
}

impl Probe {
    fn look(&mut self, leaving: &mut Leaving<'_>) {
        let Probe { kind, filter, selection, pen, shared, .. } = self;
        match (kind, selection.of(leaving.index)) {
            (Kind::Trace(followed), _) => followed.look(leaving, filter.as_ref(), (pen, shared)),
            (Kind::Edges, Some(slots)) => {
                // That all go one way, and not this one, is known by a few instructions.
                let most = leaving.node.majority;
                if slots[leaving.node.slot(most)] || leaving.nexts.matching(most).count() < leaving.packets.len() {
                    take_all(leaving, filter.as_ref(), slots, (pen, shared));
                }
            }
            (Kind::Edges, None) => {}
        }
    }
}
/// Takes the packets that are on edges that are wanted.
fn take_all(leaving: &Leaving<'_>, filter: Option<&Filter>, slots: &[bool], (pen, shared): (&mut Pen, &Shared)) {
    let mut first = 0;
    loop {
        // Where the reader cannot follow, packets are not compared either: a probe costs no more than it can give.
        let is_full = pen.is_empty();
        let filter = filter.filter(|_| !is_full);
        let Some(at) = leaving.find(first, filter, |slot| slots[slot]) else { return };
        if !shared.wants_more() {
            return;
        }
        if is_full {
            shared.missed.fetch_add(1, Ordering::Relaxed);
        } else if shared.claim() {
            pen.write(|slip| leaving.write(slip, at, leaving.slot(at)));
        }
        first = at + 1;
    }
}

/// Takes a packet that goes to a slot, if a filter holds for it.
fn take(leaving: &Leaving<'_>, filter: Option<&Filter>, (pen, shared): (&mut Pen, &Shared), at: usize, slot: usize) {
    if pen.is_empty() {
        if shared.wants_more() {
            shared.missed.fetch_add(1, Ordering::Relaxed);
        }
        return;
    }
    let holds = |filter: &Filter| filter.matches(leaving.layer(slot), leaving.packets.bytes(at).unwrap_or_default());
    if filter.is_none_or(holds) && shared.claim() {
        pen.write(|slip| leaving.write(slip, at, slot));
    }
}

impl WorkerGraph {
    /// Has those who follow packets look who comes to a node that may keep them: in what it leaves, they would not be found.
    #[inline]
    pub(in crate::run) fn look_before(&mut self, index: usize) {
        if self.names.nodes[index].keeps() {
            let Self { probes, current, number, .. } = self;
            traces(probes).for_each(|(followed, ..)| followed.arrive(index, *number as u16, current));
        }
    }

    /// Shows those of the packets in `current` that the node has kept, and has the packets that it has made be followed by nobody.
    #[inline]
    pub(in crate::run) fn look_behind(&mut self, index: usize, called: Called, now: u64) {
        if called.taken == 0 && called.made == 0 {
            return;
        }
        let worker = self.worker();
        let Self { probes, nodes, current, nexts, outbox, names, tables, number, cache, .. } = self;
        let (node, graph) = (&nodes[index], *number as u16);
        let slot = slot(called.taken_id, node.edges);
        for (followed, pen, shared) in traces(probes) {
            followed.forget_made(outbox.made());
            if called.taken == 0 {
                continue;
            }
            while let Some(Kept { packet, hop, length, copy }) =
                followed.next_kept([current, &outbox.packets], (graph, index), cache)
            {
                let is_copied = !copy.is_empty();
                let mut leaving = Leaving { index, node, packets: copy, nexts, names, tables, graph, worker, now, receives: None };
                let written = is_copied
                    && pen.write(|slip| {
                        leaving.write(slip, 0, slot);
                        (slip.packet, slip.hop, slip.length) = (packet, hop, length);
                        leaving.say_why(0, called.taken_id, slip);
                    });
                miss(written, shared);
            }
        }
    }

    /// Shows the packets of `current`, for which has been decided, to who looks.
    #[cold]
    #[inline(never)]
    pub(in crate::run) fn look(&mut self, index: usize, now: u64) {
        let worker = self.worker();
        let Self { probes, nodes, sources, current, nexts, names, tables, number, .. } = self;
        let receives = sources.iter().find(|source| source.node == index).map(|source| source.interface as u16);
        let (node, graph) = (&nodes[index], *number as u16);
        let mut leaving = Leaving { index, node, packets: current, nexts, names, tables, graph, worker, now, receives };
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
            Kind::Trace(followed) => followed.look_at_refused(leaving, slot, (pen, shared)),
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
pub(in crate::run) fn look_at_handed(probes: &mut [Probe], leaving: &mut Leaving<'_>, to: impl Fn(usize) -> Option<u16>) {
    for probe in open(probes) {
        let Probe { kind, filter, selection, pen, shared, .. } = probe;
        for at in 0..leaving.packets.len() {
            let Some(worker) = to(at) else { continue };
            match kind {
                Kind::Trace(followed) => followed.look_at_handed(leaving, at, worker, (pen, shared)),
                Kind::Edges if selection.has(leaving.index, 0) => take(leaving, filter.as_ref(), (pen, shared), at, 0),
                Kind::Edges => {}
            }
        }
    }
}

fn traces(probes: &mut [Probe]) -> impl Iterator<Item = (&mut Followed, &mut Pen, &Shared)> {
    open(probes).filter_map(|probe| match &mut probe.kind {
        Kind::Trace(followed) => Some((followed, &mut probe.pen, &*probe.shared)),
        Kind::Edges => None,
    })
}

fn open(probes: &mut [Probe]) -> impl Iterator<Item = &mut Probe> {
    probes.iter_mut().filter(|probe| !probe.shared.closed.load(Ordering::Relaxed))
}
