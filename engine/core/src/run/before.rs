//! The graph that runs, as the one sees it that is made in its place: what stays, and where it stands.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use swath_api::wire::MacAddr;

use super::book::{Book, Carried};
use super::engine::Engine;
use super::succeed::{Heir, Moves, Recount};
use crate::driver::{Claim, Port};
use crate::parts::{Ground, NodeGround, TableGround};
use crate::plan::{Change, Diff, Fate, Plan};

/// What runs, and what becomes of it.
pub(super) struct Before<'a> {
    engine: &'a Engine,
    tables: HashMap<&'a str, Fate>,
    nodes: HashMap<&'a str, Fate>,
    /// By name: where it stands in the plan.
    indexes: HashMap<&'a str, usize>,
    /// Places of interfaces that stay attached.
    stay: BTreeSet<usize>,
}

impl<'a> Before<'a> {
    pub fn new(engine: &'a Engine, diff: &'a Diff) -> Before<'a> {
        fn fates(changes: &[Change]) -> HashMap<&str, Fate> {
            changes.iter().map(|change| (change.name.as_str(), change.fate)).collect()
        }
        let interfaces = fates(&diff.interfaces);
        let stays = |name: &str| matches!(interfaces.get(name), Some(Fate::Keep | Fate::Adopt));
        let places = engine.generation.interfaces.iter().enumerate();
        let stay = places.filter(|(_, known)| !known.is_vacant() && stays(&known.name));
        let indexes = engine.plan().nodes.iter().enumerate().map(|(at, node)| (node.spec.name.value.as_str(), at));
        Before {
            engine,
            tables: fates(&diff.tables),
            nodes: fates(&diff.nodes),
            indexes: indexes.collect(),
            stay: stay.map(|(place, _)| place).collect(),
        }
    }

    /// Whether the interface at a place stays attached.
    pub fn stays(&self, place: usize) -> bool {
        self.stay.contains(&place)
    }

    /// The attachment at a place.
    pub fn port(&self, place: usize) -> Option<&'a dyn Port> {
        self.engine.ports.get(place)?.as_deref()
    }

    /// Address and MTU of an interface that stays attached.
    pub fn attached(&self, place: usize) -> Option<(MacAddr, u16)> {
        let interface = self.engine.generation.interfaces.get(place)?;
        self.stays(place).then_some((interface.mac, interface.mtu))
    }

    /// Which interface that does not stay uses a resource in a way that nobody else can.
    pub fn leaving_user(&self, resource: &str, exclusive: bool) -> Option<&'a str> {
        let clash = |claim: Claim| claim.resource == resource && (claim.exclusive || exclusive);
        let interfaces = self.engine.generation.interfaces.iter().zip(&self.engine.ports).enumerate();
        let mut leaving = interfaces.filter(|(place, _)| !self.stays(*place));
        let found = leaving.find(|(_, (_, port))| port.as_ref().is_some_and(|port| port.claims().into_iter().any(clash)));
        found.map(|(_, (interface, _))| interface.name.as_str())
    }

    /// What interfaces use that do not stay, and which.
    pub fn leaving(&self) -> Vec<(String, String)> {
        let interfaces = self.engine.generation.interfaces.iter().zip(&self.engine.ports).enumerate();
        let leaving = interfaces.filter(|(place, _)| !self.stays(*place));
        let claims = leaving.filter_map(|(_, (interface, port))| {
            let claims = port.as_ref()?.claims().into_iter();
            Some(claims.map(|claim| (claim.resource, interface.name.clone())))
        });
        claims.flatten().collect()
    }

    /// By worker: the receive queues that it has.
    pub fn queues(&self) -> &'a [Vec<(usize, usize)>] {
        &self.engine.generation.queues
    }

    /// Where the parts of a plan are made.
    pub fn ground(&self, plan: &Plan, interfaces: &[usize], book: &Book) -> Ground {
        let generation = &self.engine.generation;
        let find = |name: &str| {
            let at = generation.tables.iter().position(|table| table.as_ref().is_some_and(|table| table.name() == name))?;
            Some((at, Arc::clone(generation.tables[at].as_ref()?)))
        };
        let stands = |name: &str| {
            matches!(self.tables.get(name), Some(Fate::Keep | Fate::Adopt | Fate::Convert)).then(|| find(name)).flatten()
        };
        let taken: Vec<usize> = plan.tables.iter().filter_map(|table| stands(&table.spec.name.value)).map(|(at, _)| at).collect();
        // Whoever referred to a table that is gone is made anew, so others may have its place.
        let mut free = (0..).filter(|place| !taken.contains(place));
        let tables = plan.tables.iter().map(|table| {
            let name = table.spec.name.value.as_str();
            let Some((place, old)) = stands(name) else {
                return TableGround { place: free.next().unwrap_or(0), old: None, kept: None };
            };
            let kept = generation.ties.get(name).filter(|_| self.tables.get(name) == Some(&Fate::Keep)).cloned();
            TableGround { place, old: Some(old), kept }
        });
        let tables: Vec<TableGround> = tables.collect();
        let workers = generation.counters.len();
        let nodes = plan.nodes.iter().map(|node| {
            let kept = self.nodes.get(node.spec.name.value.as_str()) == Some(&Fate::Keep);
            let kept = self.old_node(&node.spec.name.value).filter(|_| kept).map(|at| generation.wishes[at].clone());
            NodeGround { kept, keepers: (0..workers).filter_map(|worker| book.keeper(node, worker).cloned()).collect() }
        });
        Ground {
            interfaces: interfaces.to_vec(),
            table_places: tables.iter().map(|table| table.place + 1).max().unwrap_or(0),
            tables,
            nodes: nodes.collect(),
        }
    }

    /// What a worker has to move to the graph of this plan.
    pub fn moves(&self, plan: &Plan, ground: &Ground, carried: &[Carried], worker: usize) -> Moves {
        let tables = ground.tables.iter().filter(|table| table.old.is_some());
        let tables = tables.map(|table| Heir { old: table.place, new: table.place, keep: table.kept.is_some(), done: false });
        let nodes = plan.nodes.iter().enumerate().filter_map(|(new, node)| {
            let name = node.spec.name.value.as_str();
            let keep = match self.nodes.get(name)? {
                Fate::Keep => true,
                Fate::Adopt | Fate::Convert => false,
                Fate::Fresh | Fate::Gone => return None,
            };
            Some(Heir { old: self.old_node(name)?, new, keep, done: false })
        });
        let counts = carried.iter().enumerate().filter(|(_, carried)| carried.before.is_some() || !carried.rewired.is_empty());
        let counts = counts.map(|(node, Carried { rewired, before })| Recount {
            node,
            before: before.as_ref().map(|(blocks, edges)| (Arc::clone(&blocks[worker]), edges.clone())),
            rewired: rewired.clone(),
        });
        Moves {
            nodes: nodes.collect(),
            tables: tables.collect(),
            ports: self.stay.iter().copied().collect(),
            counts: counts.collect(),
        }
    }

    fn old_node(&self, name: &str) -> Option<usize> {
        self.indexes.get(name).copied()
    }
}
