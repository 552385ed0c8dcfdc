//! What is drawn: the one form that all formats are made of, and that `--format json` writes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use swath_api::{EdgeClass, NodeKind, Wishes, layer};
use swath_core::plan::{EdgePlan, InterfacePlan, NodePlan};
use swath_core::run::Engine;

use crate::nodes::class_word;
use crate::schema::one_line;

/// The version of the JSON form. Fields may be added to it; what changes otherwise has another number.
pub const VERSION: u32 = 1;

/// A graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// [`VERSION`].
    pub version: u32,
    /// The name of the file, without its directory.
    pub graph: String,
    /// In the order of the file.
    pub interfaces: Vec<Interface>,
    /// In an order in which each table comes after those that it refers to.
    pub tables: Vec<Table>,
    /// The layers that nodes take and edges carry, in the order in which packets meet them.
    pub layers: Vec<String>,
    /// In topological order: edges lead to later nodes.
    pub nodes: Vec<Node>,
    /// The wired edges, by node, each node's in the order of its kind.
    pub edges: Vec<Edge>,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    pub name: String,
    pub driver: String,
    /// With the lengths of their prefixes.
    pub addresses: Vec<String>,
    /// If the graph says so; else the driver's.
    pub mac: Option<String>,
    /// In bytes, if the graph says so; else the driver's.
    pub mtu: Option<u16>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub kind: String,
    /// What the kind says of itself.
    pub summary: String,
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Packets enter the graph here.
    Receive,
    /// Packets go on from here.
    Process,
    /// Packets leave by an interface.
    Transmit,
    /// Packets end here.
    Drop,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// That of a template's node is `instance/node`.
    pub name: String,
    pub kind: String,
    /// What the kind says of itself.
    pub summary: String,
    pub role: Role,
    /// What its packets start with: `any`, `none` for a source, or the name of a layer.
    pub layer: String,
    /// The interface that it receives from.
    pub receives: Option<String>,
    /// The interfaces that its packets may leave by.
    pub transmits: Vec<String>,
    /// The tables that it uses.
    pub tables: Vec<String>,
    /// As written.
    pub settings: Map<String, Value>,
    /// Why it may drop packets: drop reasons, and edges that are not wired.
    pub drops: Vec<Drop>,
}

/// A wired edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The node that it leaves.
    pub from: String,
    /// Its name there.
    pub name: String,
    /// The node that it leads to.
    pub to: String,
    /// `edge`, `required`, or `drop` for a drop reason that is wired.
    pub class: String,
    /// Whether `to: NODE` wires it.
    pub main: bool,
    /// What it carries: `any`, or the name of a layer.
    pub layer: String,
    /// What it means.
    pub doc: String,
    /// Of a graph that runs: packets that take it in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Its name with the rate, as it is drawn.
    #[serde(skip)]
    pub shown: Option<String>,
}

/// Why a node drops packets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drop {
    pub name: String,
    /// `drop`, or `edge` for one that is not wired.
    pub class: String,
    /// What it means, and what to do.
    pub doc: String,
    /// Of a graph that runs: packets that are dropped for it in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Its name with the rate, as it is drawn.
    #[serde(skip)]
    pub shown: Option<String>,
}

impl Drop {
    /// Its name, with the rate if there is one.
    pub fn label(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.name)
    }
}

impl Interface {
    /// An interface as the graph has it.
    pub fn new(plan: &InterfacePlan) -> Interface {
        let spec = &plan.spec;
        Interface {
            name: spec.name.value.clone(),
            driver: spec.driver.value.clone(),
            addresses: spec.addresses.iter().map(|one| format!("{}/{}", one.value.address, one.value.prefix_len)).collect(),
            mac: spec.mac.as_ref().map(|mac| swath_api::wire::MacAddr::from(mac.value.0).to_string()),
            mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
        }
    }
}

impl Picture {
    /// A graph that was built, perhaps on other drivers than those of its interfaces.
    pub fn new(graph: String, interfaces: Vec<Interface>, engine: &Engine) -> Picture {
        let plan = engine.plan();
        let tables = plan.tables.iter().map(|table| Table {
            name: table.spec.name.value.clone(),
            kind: table.spec.kind.value.clone(),
            summary: table.kind.info().summary.as_str().into(),
        });
        let tables: Vec<Table> = tables.collect();
        let nodes = plan.nodes.iter().zip(engine.wishes());
        let nodes: Vec<Node> = nodes.map(|(plan, wishes)| Node::new(plan, wishes, &interfaces, &tables)).collect();
        let mut edges = Vec::new();
        for node in &plan.nodes {
            for (id, (edge, to)) in node.edges.iter().zip(&node.targets).enumerate() {
                if let Some(to) = to {
                    edges.push(Edge {
                        from: node.spec.name.value.clone(),
                        name: edge.name.clone().into_owned(),
                        to: plan.nodes[*to].spec.name.value.clone(),
                        class: class_word(edge.class).into(),
                        main: id == 0 && !edge.named && matches!(edge.class, EdgeClass::Edge | EdgeClass::Required),
                        layer: carried(node.kind, edge),
                        doc: one_line(edge.doc),
                        rate: None,
                        shown: None,
                    });
                }
            }
        }
        let mut layers: Vec<String> = Vec::new();
        for layer in nodes.iter().map(|node| &node.layer).chain(edges.iter().map(|edge| &edge.layer)) {
            if !matches!(&**layer, "any" | layer::NONE) && !layers.contains(layer) {
                layers.push(layer.clone());
            }
        }
        Picture { version: VERSION, graph, interfaces, tables, layers, nodes, edges }
    }

    /// The wired edges of a node.
    pub fn edges_of<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Edge> {
        self.edges.iter().filter(move |edge| edge.from == node)
    }

    /// The name of an edge where it should be shown: a node's only edge says nothing by its name if it is the main one.
    pub fn label<'a>(&self, edge: &'a Edge) -> Option<&'a str> {
        let named = (!edge.main || self.edges_of(&edge.from).nth(1).is_some()).then_some(&*edge.name);
        edge.shown.as_deref().or(named)
    }
}

impl Node {
    fn new(plan: &NodePlan, wishes: &Wishes, interfaces: &[Interface], tables: &[Table]) -> Node {
        let (info, edges) = (plan.kind.info(), &plan.edges);
        let transmits = edges.iter().any(|edge| edge.class == EdgeClass::Transmit);
        let interface = |index: &u16| interfaces.get(usize::from(*index)).map(|interface| interface.name.clone());
        let may_leave_by = match (transmits, &wishes.interfaces[..]) {
            (false, _) => Vec::new(),
            // Whatever an earlier node has chosen.
            (true, []) => interfaces.iter().map(|interface| interface.name.clone()).collect(),
            (true, some) => some.iter().filter_map(interface).collect(),
        };
        let ends = |edge: &EdgePlan| matches!(edge.class, EdgeClass::Drop | EdgeClass::Consumed);
        let role = match info.input.as_str() {
            _ if transmits => Role::Transmit,
            layer::NONE => Role::Receive,
            _ if edges.iter().all(ends) => Role::Drop,
            _ => Role::Process,
        };
        let unwired = edges
            .iter()
            .zip(&plan.targets)
            .filter(|(edge, to)| to.is_none() && matches!(edge.class, EdgeClass::Edge | EdgeClass::Drop));
        Node {
            name: plan.spec.name.value.clone(),
            kind: plan.spec.kind.value.clone(),
            summary: info.summary.as_str().into(),
            role,
            layer: word(info.input.as_str()).into(),
            receives: wishes.receive.as_ref().and_then(interface),
            transmits: may_leave_by,
            tables: wishes.tables.iter().filter_map(|at| tables.get(usize::from(*at))).map(|table| table.name.clone()).collect(),
            settings: match plan.spec.settings.to_json() {
                Value::Object(settings) => settings,
                _ => Map::new(),
            },
            drops: unwired
                .map(|(edge, _)| Drop {
                    name: edge.name.clone().into_owned(),
                    class: class_word(edge.class).into(),
                    doc: one_line(edge.doc),
                    rate: None,
                    shown: None,
                })
                .collect(),
        }
    }

    /// The group that it is in, as `outer/inner`, and its name in there.
    pub fn split(&self) -> (Option<&str>, &str) {
        self.name.rsplit_once('/').map_or((None, &*self.name), |(group, name)| (Some(group), name))
    }
}

/// The groups of all nodes, outer ones before those in them.
pub fn groups(nodes: &[Node]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for node in nodes {
        let (Some(group), _) = node.split() else { continue };
        let slashes = group.match_indices('/').map(|(at, _)| at);
        for end in slashes.chain([group.len()]) {
            if !found.iter().any(|known| known == &group[..end]) {
                found.push(group[..end].into());
            }
        }
    }
    found
}

fn carried(kind: NodeKind, edge: &EdgePlan) -> String {
    word(if edge.layer == layer::SAME { kind.info().input.as_str() } else { edge.layer }).into()
}

fn word(layer: &str) -> &str {
    if layer == layer::ANY { "any" } else { layer }
}
