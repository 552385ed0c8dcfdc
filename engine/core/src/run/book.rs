//! What was counted of all nodes and interfaces that the process has had: counters outlive the graphs, so that no series is ever reset
//! and the ledgers are exact over all of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use swath_api::{EdgeClass, Keeper, reserved};

use super::counters::{InterfaceCounters, NodeCounters, slot};
use super::ledger::Ledger;
use crate::plan::NodePlan;

/// All accounts. A copy has the same counters.
#[derive(Clone, Default)]
pub(super) struct Book {
    nodes: BTreeMap<Key, Account>,
    // By place.
    interfaces: Vec<Vec<Arc<InterfaceCounters>>>,
    places: HashMap<String, usize>,
}

/// The name of a node, and its kind.
type Key = (String, &'static str);

/// What is counted of a node, from its first graph on.
#[derive(Clone)]
struct Account {
    edges: Vec<AccountEdge>,
    // By worker.
    blocks: Vec<Arc<NodeCounters>>,
    // By worker: where it is told what the node throws away.
    keepers: Vec<Arc<Keeper>>,
}

#[derive(Clone)]
struct AccountEdge {
    name: Cow<'static, str>,
    class: EdgeClass,
    wired: bool,
}

/// Edge ids of one block of counters with those of another.
pub(super) type EdgePairs = Vec<(usize, usize)>;

/// How the counters of a node go on in another graph.
#[derive(Default)]
pub(super) struct Carried {
    /// Edges that are wired otherwise, each with whether it was.
    pub rewired: Vec<(usize, bool)>,
    /// If its edges are others: the block that each worker had, and which edges of it are which.
    pub before: Option<(Vec<Arc<NodeCounters>>, EdgePairs)>,
}

impl Book {
    /// Goes on with a node as it is in a graph of so many workers. Workers have to do the rest.
    pub fn go_on(&mut self, node: &NodePlan, workers: usize) -> Carried {
        let wired = node.edges.iter().zip(&node.targets);
        let edges: Vec<AccountEdge> = wired
            .map(|(edge, target)| AccountEdge { name: edge.name.clone(), class: edge.class, wired: target.is_some() })
            .collect();
        let fresh = || (0..workers).map(|_| Arc::new(NodeCounters::new(edges.len()))).collect();
        let Some(account) = self.nodes.get_mut(&key(node)) else {
            let blocks = fresh();
            self.nodes.insert(key(node), Account { edges, blocks, keepers: Vec::new() });
            return Carried::default();
        };
        let old = std::mem::take(&mut account.edges);
        let place = |edge: &AccountEdge| edges.iter().position(|other| other.name == edge.name && other.class == edge.class);
        let pairs: Vec<(usize, usize)> = old.iter().enumerate().filter_map(|(from, edge)| Some((from, place(edge)?))).collect();
        let rewired = pairs.iter().filter(|(from, to)| old[*from].wired != edges[*to].wired);
        let rewired = rewired.map(|(from, to)| (*to, old[*from].wired)).collect();
        let same = old.len() == edges.len() && pairs.len() == edges.len() && pairs.iter().all(|(from, to)| from == to);
        let before = (!same).then(|| (std::mem::replace(&mut account.blocks, fresh()), pairs));
        account.edges = edges;
        Carried { rewired, before }
    }

    /// The counters of a node, by worker.
    pub fn blocks(&self, node: &NodePlan) -> &[Arc<NodeCounters>] {
        self.nodes.get(&key(node)).map_or(&[], |account| &account.blocks)
    }

    /// Where a node tells, on a worker, what it throws away; the same for all its instances, one after the other.
    pub fn keeper(&self, node: &NodePlan, worker: usize) -> Option<&Arc<Keeper>> {
        self.nodes.get(&key(node))?.keepers.get(worker)
    }

    /// Takes the keeper of the next worker down, of a node that was made for the first time.
    pub fn keep(&mut self, node: &NodePlan, worker: usize, keeper: &Arc<Keeper>) {
        if let Some(account) = self.nodes.get_mut(&key(node)).filter(|account| account.keepers.len() == worker) {
            account.keepers.push(Arc::clone(keeper));
        }
    }

    /// The place of an interface: a name keeps its place as long as the process lives.
    pub fn place(&mut self, name: &str, workers: usize) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.interfaces.push((0..workers).map(|_| Arc::default()).collect());
        self.places.insert(name.to_owned(), self.interfaces.len() - 1);
        self.interfaces.len() - 1
    }

    /// How many places interfaces have.
    pub fn places(&self) -> usize {
        self.interfaces.len()
    }

    /// What a worker counts of the interface at a place.
    pub fn interface(&self, place: usize, worker: usize) -> &Arc<InterfaceCounters> {
        &self.interfaces[place][worker]
    }

    /// The ledger of packets, but for those in transit.
    pub fn ledger(&self) -> Ledger {
        let (mut ledger, mut released) = (Ledger::default(), 0);
        for interface in self.interfaces.iter().flatten() {
            ledger.received += interface.received.get();
            ledger.sent += interface.sent.get();
        }
        for ((name, _), account) in &self.nodes {
            let mut drop = |reason: &str, count: u64| {
                if count > 0 {
                    *ledger.dropped.entry(name.clone()).or_default().entry(reason.to_owned()).or_default() += count;
                }
            };
            for block in &account.blocks {
                ledger.made += block.made.get();
                released += block.released.get();
                for (id, edge) in account.edges.iter().enumerate() {
                    match edge.class {
                        EdgeClass::Held => ledger.held += block.edges()[id].get(),
                        EdgeClass::Consumed => ledger.consumed += block.unwired(id, edge.wired),
                        EdgeClass::Drop | EdgeClass::Edge | EdgeClass::Required => drop(&edge.name, block.unwired(id, edge.wired)),
                        EdgeClass::Transmit => {}
                    }
                }
                for (index, (reason, _)) in reserved::REASONS.iter().enumerate() {
                    drop(reason, block.edges()[account.edges.len() + index].get());
                }
            }
            // What instances have thrown away that are not called any more.
            let unreported = account.keepers.iter().map(|keeper| u64::from(keeper.unreported())).sum();
            released += unreported;
            drop(reserved::REASONS[slot(reserved::HELD_DROPPED, 0)].0, unreported);
        }
        // Over all nodes: what one has kept another may have let go. Not held at zero, which would hide a defect.
        ledger.held = ledger.held.wrapping_sub(released);
        ledger
    }
}

fn key(node: &NodePlan) -> Key {
    (node.spec.name.value.clone(), node.kind.info().kind.as_str())
}
