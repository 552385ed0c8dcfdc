//! Work of nodes that drivers do before packets come in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use swath_api::{
    AddressSet, Copied, Denial, DenialSet, NO_EDGE, NodeInstance, Offload, Parts, ROLES, TableInstance, Tables, Wishes,
};

use super::before::Before;
use super::counters::slot;
use crate::driver::{Offloaded, Port};
use crate::plan::Plan;

/// Where it is counted what the queues of an interface have dropped in the place of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stead {
    /// The edge of the node that receives by which they would have gone on.
    pub edge: usize,
    /// The node that would have dropped them.
    pub node: usize,
    /// By role the counter slot of the edge that it would have dropped them by.
    pub slots: [usize; ROLES],
}

/// A copy of a table that a driver keeps, for a node.
#[derive(Clone)]
pub(super) struct Lent {
    copy: Copied,
    /// What the table has of it.
    gated: Copied,
    gate: Arc<Gate>,
    /// Of the interface.
    place: u16,
    table: Arc<TableInstance>,
    /// The node, what it has asked for, and by role its edges.
    node: String,
    work: String,
    edges: [u16; ROLES],
}

/// Whether a table and the copy of it know each other: a table changes its copies for as long as it lives.
#[derive(Default)]
struct Gate {
    begun: AtomicBool,
    closed: AtomicBool,
}

/// What stands between a table and its copy.
struct Gated<T: ?Sized> {
    gate: Arc<Gate>,
    copy: Arc<T>,
}

/// What drivers were asked.
#[derive(Default)]
pub(super) struct Asked {
    /// By place of the interface.
    pub steads: BTreeMap<usize, Stead>,
    /// By place of the interface: the copies that drivers keep.
    pub lent: BTreeMap<usize, Lent>,
    /// Of which interface there is something to say, by place, and what.
    pub news: Vec<(usize, String)>,
}

impl Asked {
    /// Asks the driver of each interface to do the work of the node behind it that wants that. An interface that stays attached drops for
    /// its node what it dropped before, or what its next one wants, once the workers have gone over.
    pub fn of(
        plan: &Plan,
        nodes: &[(NodeInstance, Wishes)],
        ports: &mut BTreeMap<usize, Box<dyn Port>>,
        (running, before): (Option<&BTreeMap<usize, Lent>>, Option<&Before<'_>>),
        tables: &Tables,
    ) -> Asked {
        let mut asked = Asked::default();
        for (receiver, node) in plan.nodes.iter().enumerate() {
            let Some(place) = nodes[receiver].1.receive.map(usize::from) else { continue };
            for (edge, to) in node.targets.iter().enumerate().filter_map(|(edge, to)| Some((edge, (*to)?))) {
                let Some(offload) = nodes[to].1.offload else { continue };
                let Some(table) = &tables.instances()[usize::from(offload.table)] else { continue };
                let name = &plan.nodes[to].spec.name.value;
                let known = running.and_then(|lent| lent.get(&place));
                let copy = match ports.get_mut(&place) {
                    Some(port) => port.accept(&offload),
                    None if before.is_some_and(|before| before.stays(place)) => match known {
                        Some(lent) if lent.does(&offload) => Ok(lent.copy.clone()),
                        // What it does it was told once.
                        Some(lent) if lent.work == offload.work.as_str() => {
                            Err("its driver looks at other addresses as long as it is attached".into())
                        }
                        Some(_) => Err("its driver does something else as long as it is attached".into()),
                        None => Err("its driver is asked when it is attached".into()),
                    },
                    None => continue,
                };
                match copy {
                    Ok(copy) => {
                        let same = known.filter(|lent| lent.copy.is(&copy) && lent.is_for(name, table, &offload));
                        let lent = same.cloned().unwrap_or_else(|| Lent::new(copy, place as u16, (name, table), &offload));
                        asked.steads.insert(place, stead(edge, to, &offload, plan));
                        asked.lent.insert(place, lent);
                        let what = if offload.work.as_str() == Offload::RULES { "what plain rules of" } else { "what" };
                        let drops = if offload.work.as_str() == Offload::RULES { "deny" } else { "drops" };
                        let news =
                            format!("{what} `{name}` {drops} of what comes in is dropped in the kernel, before it is copied");
                        asked.news.push((place, news));
                    }
                    Err(why) => {
                        asked.news.push((place, format!("`{name}` does all of its work itself, in spite of `offload`: {why}")));
                    }
                }
            }
        }
        asked
    }
}

impl Lent {
    fn new(copy: Copied, place: u16, (node, table): (&str, &Arc<TableInstance>), offload: &Offload) -> Lent {
        let gate = Arc::new(Gate::default());
        let gated = match &copy {
            Copied::Addresses(copy) => Copied::Addresses(Arc::new(Gated { gate: Arc::clone(&gate), copy: Arc::clone(copy) })),
            Copied::Denials(copy) => Copied::Denials(Arc::new(Gated { gate: Arc::clone(&gate), copy: Arc::clone(copy) })),
        };
        let (node, work, table) = (node.into(), offload.work.as_str().into(), Arc::clone(table));
        Lent { copy, gated, gate, place, table, node, work, edges: offload.edges }
    }

    fn is_for(&self, node: &str, table: &Arc<TableInstance>, offload: &Offload) -> bool {
        self.node == node && Arc::ptr_eq(&self.table, table) && self.work == offload.work.as_str() && self.edges == offload.edges
    }

    /// Whether the driver was asked for the work that this asks for, to drop packets in the same roles and in no other.
    fn does(&self, offload: &Offload) -> bool {
        let same_roles = self.edges.map(|edge| edge == NO_EDGE) == offload.edges.map(|edge| edge == NO_EDGE);
        self.work == offload.work.as_str() && same_roles
    }

    /// From now on the driver drops what is in the table; does nothing if it does already.
    pub fn begin(&self) {
        if !self.gate.begun.swap(true, Ordering::Relaxed) {
            self.table.follow(self.place, self.gated.clone());
        }
    }

    /// From now on the driver drops nothing, unless `successor` is the same.
    pub fn end(&self, successor: Option<&Lent>) {
        if successor.is_some_and(|successor| Arc::ptr_eq(&successor.gate, &self.gate)) {
            return;
        }
        self.gate.closed.store(true, Ordering::Relaxed);
        self.copy.clear();
    }
}

impl<T: ?Sized> Gated<T> {
    // One thread calls all of what follows, the control thread.
    fn open(&self) -> Option<&T> {
        (!self.gate.closed.load(Ordering::Relaxed)).then_some(&self.copy)
    }
}

impl AddressSet for Gated<dyn AddressSet> {
    fn add4(&self, address: u32, length: u8) {
        self.open().into_iter().for_each(|copy| copy.add4(address, length));
    }

    fn remove4(&self, address: u32, length: u8) {
        self.open().into_iter().for_each(|copy| copy.remove4(address, length));
    }

    fn replace6(&self, borders: &[u128]) {
        self.open().into_iter().for_each(|copy| copy.replace6(borders));
    }

    fn clear(&self) {
        self.open().into_iter().for_each(AddressSet::clear);
    }
}

impl DenialSet for Gated<dyn DenialSet> {
    fn replace(&self, denials: &[Denial], parts: Parts) {
        self.open().into_iter().for_each(|copy| copy.replace(denials, parts));
    }

    fn settle(&self) {
        self.open().into_iter().for_each(DenialSet::settle);
    }
}

fn stead(edge: usize, node: usize, offload: &Offload, plan: &Plan) -> Stead {
    let edges = plan.nodes[node].edges.len();
    // Of a role that the node has not, nothing is dropped.
    Stead { edge, node, slots: offload.edges.map(|edge| if edge == NO_EDGE { 0 } else { slot(edge, edges) }) }
}

impl super::pass::WorkerGraph {
    /// Counts what queues have dropped in the place of nodes since this was last called, as if the nodes had.
    pub(super) fn count_offloaded(&mut self, now: u64) {
        let Self { offloading, sources, counters, interfaces, nodes, tables, .. } = self;
        for at in offloading {
            let source = &mut sources[*at];
            let Some(stead) = source.stead else { continue };
            let Offloaded { packets, bytes } = source.queue.offloaded();
            let all = packets.iter().sum();
            // The bytes of a packet may be told apart from it.
            if all == 0 && bytes == 0 {
                continue;
            }
            let interface = &interfaces[source.interface];
            interface.received.add(all);
            interface.received_bytes.add(bytes);
            interface.offloaded.add(all);
            counters.nodes[source.node].packets.add(all);
            counters.nodes[source.node].edges()[stead.edge].add(all);
            let node = &counters.nodes[stead.node];
            node.packets.add(all);
            for (slot, count) in stead.slots.iter().zip(packets).filter(|(_, count)| *count > 0) {
                node.edges()[*slot].add(count);
                node.seen(*slot, now);
            }
            nodes[stead.node].instance.offloaded(packets, tables, now);
        }
    }
}
