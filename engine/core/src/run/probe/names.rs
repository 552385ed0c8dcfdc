//! The words of a graph by the indexes that workers know: for those who look at packets that pass.

use std::borrow::Cow;
use std::collections::BTreeSet;

use swath_api::{EdgeClass, Interface, layer, reserved};

use crate::plan::{NodePlan, Plan};

/// All names of one graph.
#[derive(Debug, Default)]
pub(in crate::run) struct Names {
    pub nodes: Vec<NodeNames>,
    /// By place; empty where there is none.
    pub interfaces: Vec<String>,
}

#[derive(Debug)]
pub(in crate::run) struct NodeNames {
    pub name: String,
    pub kind: &'static str,
    /// By counter slot: edges and drop reasons, then the engine's own.
    pub edges: Vec<EdgeNames>,
}

impl NodeNames {
    /// Whether the node may keep packets.
    pub fn keeps(&self) -> bool {
        self.edges.iter().any(|edge| edge.fate == Fate::Held)
    }
}

#[derive(Debug)]
pub(in crate::run) struct EdgeNames {
    pub name: Cow<'static, str>,
    pub doc: &'static str,
    /// What its packets start with; empty if that is not known.
    pub layer: &'static str,
    pub fate: Fate,
    /// The node that it leads to.
    pub to: Option<usize>,
}

/// What becomes of packets on an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They go on to another node.
    Goes,
    /// They are handed to a driver.
    Sent,
    /// They are lost.
    Dropped,
    /// The node keeps them for later.
    Held,
    /// They have done their work.
    Consumed,
    /// Of a packet that is not real: the node cannot say what it would do without doing it.
    NotSimulated,
}

impl Names {
    /// Of a graph, with what is at each place of interfaces.
    pub fn new(plan: &Plan, interfaces: &[Interface]) -> Names {
        let given = given(&plan.nodes);
        let nodes = plan.nodes.iter().zip(&given).map(|(node, given)| NodeNames {
            name: node.spec.name.value.clone(),
            kind: node.kind.info().kind.as_str(),
            edges: edges(node, given),
        });
        Names { nodes: nodes.collect(), interfaces: interfaces.iter().map(|interface| interface.name.clone()).collect() }
    }

    pub fn interface(&self, place: u16) -> Option<&str> {
        self.interfaces.get(usize::from(place)).map(String::as_str).filter(|name| !name.is_empty())
    }
}

fn edges(node: &NodePlan, given: &BTreeSet<&'static str>) -> Vec<EdgeNames> {
    let own = node.edges.iter().zip(&node.targets).map(|(edge, to)| EdgeNames {
        name: edge.name.clone(),
        doc: edge.doc,
        layer: carried(node, edge.class, edge.layer, given),
        fate: match (to, edge.class) {
            (Some(_), _) => Fate::Goes,
            (None, EdgeClass::Transmit) => Fate::Sent,
            (None, EdgeClass::Held) => Fate::Held,
            (None, EdgeClass::Consumed) => Fate::Consumed,
            (None, EdgeClass::Drop | EdgeClass::Edge | EdgeClass::Required) => Fate::Dropped,
        },
        to: *to,
    });
    let transmits = node.edges.iter().any(|edge| edge.class == EdgeClass::Transmit);
    let reserved = reserved::REASONS.iter().map(|(name, doc)| EdgeNames {
        name: Cow::Borrowed(*name),
        doc,
        layer: if transmits { layer::ETHERNET } else { carried(node, EdgeClass::Drop, layer::ANY, given) },
        fate: Fate::Dropped,
        to: None,
    });
    own.chain(reserved).collect()
}

/// What a node is given by the edges that lead to it, in topological order.
fn given(nodes: &[NodePlan]) -> Vec<BTreeSet<&'static str>> {
    let mut given: Vec<BTreeSet<&'static str>> = vec![BTreeSet::new(); nodes.len()];
    for (from, node) in nodes.iter().enumerate() {
        for (edge, to) in node.edges.iter().zip(&node.targets) {
            if let Some(to) = *to {
                let layer = carried(node, edge.class, edge.layer, &given[from]);
                given[to].insert(layer);
            }
        }
    }
    given
}

/// What the packets of an edge start with. What a node drops or keeps it has not changed.
fn carried(node: &NodePlan, class: EdgeClass, edge: &'static str, given: &BTreeSet<&'static str>) -> &'static str {
    let as_given =
        edge == layer::SAME || edge == layer::ANY && matches!(class, EdgeClass::Drop | EdgeClass::Held | EdgeClass::Consumed);
    match (as_given, node.kind.info().input.as_str()) {
        (false, _) => edge,
        (true, layer::ANY) if given.len() == 1 => given.first().copied().unwrap_or(layer::ANY),
        (true, layer::NONE) => source_layer(node),
        (true, input) => input,
    }
}

/// What a source lets in: what its first edge carries.
fn source_layer(node: &NodePlan) -> &'static str {
    node.edges.first().map_or(layer::ANY, |edge| if edge.layer == layer::SAME { layer::ANY } else { edge.layer })
}
