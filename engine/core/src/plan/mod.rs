//! From words to a plan: kinds found, edges resolved, nodes numbered in topological order, and everything checked that can be checked
//! before a node exists. All mistakes are reported, not the first.
//!
//! ```text
//! Spec ──► Draft ──► Plan, if there is no mistake
//!            └─────► check: what is wrong with the settings, whatever is wrong with the wiring
//! ```

mod diff;
mod draft;
mod handoff;
mod layers;
mod order;
mod shortcuts;
mod slots;
mod wiring;

use std::borrow::Cow;
use std::time::Duration;

use swath_api::{EdgeClass, EdgeInfo, NodeKind, Shortcut, SlotInfo, TableKind};

use crate::driver::{DriverKind, Opener};
use crate::parts::{self, NodeView, View};
use crate::registry::Registry;
use crate::spec::{Diagnostics, Doubts, EngineSpec, InterfaceSpec, NodeSpec, Spec, TableSpec};

pub use diff::{Cause, Change, Diff, EdgeChange, Element, Fate, SettingChange, What};
pub use draft::Draft;

/// Buffers for each worker, at least: its cache alone may keep 768 that no other worker can have.
pub const BUFFERS_PER_WORKER: usize = 1024;

/// Packets that the ring from one worker to another takes at least: what the ticks and the pass of a worker can send, twice over.
pub const HANDOFF_RING: usize = 1024;
/// And at most: more would let packets wait for longer than is good for them, where a worker has more to do than it can.
const LONGEST_HANDOFF_RING: usize = 4096;

/// Nodes, or interfaces, that a graph may have: their indexes have 16 bits, of which some values are taken.
const MAX_INDEX: usize = 60_000;

/// A graph that is sound as far as can be told without making its parts.
#[derive(Debug)]
pub struct Plan {
    /// The settings of the process.
    pub engine: EngineSpec,
    /// By interface index.
    pub interfaces: Vec<InterfacePlan>,
    /// In an order in which each table comes after those that it refers to.
    pub tables: Vec<TablePlan>,
    /// In topological order: an edge leads to a higher index.
    pub nodes: Vec<NodePlan>,
    /// Slots of the cold line, with their places.
    pub slots: Vec<(SlotInfo, u16)>,
    /// Chains that are gone through in one step, if it has any of them.
    pub(crate) shortcuts: &'static [Shortcut],
}

/// An interface with its driver.
#[derive(Debug)]
pub struct InterfacePlan {
    /// As written.
    pub spec: InterfaceSpec,
    /// Its driver.
    pub driver: DriverKind,
    /// What attaches it in the place of its driver, for replays and tests.
    pub opener: Option<Opener>,
}

/// A table with its kind.
#[derive(Debug)]
pub struct TablePlan {
    /// As written.
    pub spec: TableSpec,
    /// Its kind.
    pub kind: TableKind,
}

/// A node with its kind and its edges.
#[derive(Debug)]
pub struct NodePlan {
    /// As written.
    pub spec: NodeSpec,
    /// Its kind.
    pub kind: NodeKind,
    /// Its edges and drop reasons, by id: those of the kind, then those that the graph names, by name.
    pub edges: Vec<EdgePlan>,
    /// For each of these the index of the node that it leads to, if it is wired.
    pub targets: Vec<Option<usize>>,
    /// Whether the planner has put it in: a handoff to the owner of each packet of the node behind it.
    pub inserted: bool,
    /// After how long it is made anew when it is out of service; never if nothing is said.
    pub restart: Option<Duration>,
}

/// An edge or drop reason of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgePlan {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it means.
    pub doc: &'static str,
    /// What the packets start with.
    pub layer: &'static str,
    /// What becomes of them.
    pub class: EdgeClass,
    /// Whether it is one that the graph has named.
    pub named: bool,
}

impl EdgePlan {
    fn fixed(info: &EdgeInfo) -> EdgePlan {
        let name = Cow::Borrowed(info.name.as_str());
        EdgePlan { name, doc: info.doc.as_str(), layer: info.layer.as_str(), class: info.class, named: false }
    }

    fn named(name: &str, info: &EdgeInfo) -> EdgePlan {
        EdgePlan { name: Cow::Owned(name.to_owned()), named: true, ..EdgePlan::fixed(info) }
    }

    /// Whether a graph can lead it to a node.
    pub(crate) fn can_be_wired(&self) -> bool {
        matches!(self.class, EdgeClass::Edge | EdgeClass::Required | EdgeClass::Drop)
    }

    /// The names that the graph has given, of the edges of one node.
    pub(crate) fn names(edges: &[EdgePlan]) -> Vec<&str> {
        edges.iter().filter(|edge| edge.named).map(|edge| &*edge.name).collect()
    }
}

/// Packets that the ring from one worker to another takes: as many as half of the buffers allow for all rings together. The longer a ring,
/// the longer the other worker may stand still, on a core that it shares with others, before packets for it are lost.
pub(crate) fn handoff_ring(engine: &EngineSpec) -> usize {
    let workers = usize::from(engine.workers);
    let share = engine.buffers / 2 / (workers * workers.saturating_sub(1)).max(1);
    // A power of two, as rings are.
    share.checked_ilog2().map_or(0, |exponent| 1 << exponent).clamp(HANDOFF_RING, LONGEST_HANDOFF_RING)
}

impl Plan {
    /// Plans a graph. `None`, with diagnostics, if it is not sound; [`Draft`] finds out what else is wrong with it.
    pub fn new(spec: Spec, registry: &Registry, diagnostics: &mut Diagnostics) -> Option<Plan> {
        Draft::new(spec, registry, diagnostics).plan().ok()
    }

    /// Looks for mistakes in the settings of all parts: makes its tables, and its nodes for one worker, from what the file says of the
    /// interfaces. Nothing is attached.
    pub fn check(&self, diagnostics: &mut Diagnostics) {
        let doubts = Doubts::default();
        parts::check(&self.view(&doubts), diagnostics);
    }

    /// Looks for mistakes in the settings of its interfaces alone, as [`Plan::check`] does.
    pub fn check_interfaces(&self, diagnostics: &mut Diagnostics) {
        let doubts = Doubts::default();
        parts::check_interfaces(&self.view(&doubts), diagnostics);
    }

    pub(crate) fn view<'a>(&'a self, doubts: &'a Doubts) -> View<'a> {
        View {
            engine: &self.engine,
            interfaces: self.interfaces.iter().map(|interface| (&interface.spec, Some(interface.driver))).collect(),
            tables: self.tables.iter().map(|table| (&table.spec, Some(table.kind))).collect(),
            nodes: self
                .nodes
                .iter()
                .map(|node| NodeView { spec: &node.spec, kind: Some(node.kind), edges: &node.edges, targets: &node.targets })
                .collect(),
            slots: &self.slots,
            doubts,
        }
    }
}
