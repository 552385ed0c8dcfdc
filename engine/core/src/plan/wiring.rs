//! Edges: from names to indexes.

use std::collections::HashMap;

use swath_api::{EdgeClass, Info, MAX_EDGES, NodeKind, layer};

use super::EdgePlan;
use super::draft::{NodeDraft, unknown};
use crate::registry::Registry;
use crate::spec::{Code, Diagnostic, Diagnostics, Doubt, EdgeSpec, NodeSpec, Span, did_you_mean, suggestion};

impl NodeDraft {
    pub(super) fn info(&self) -> Option<&'static Info> {
        self.kind.map(|kind| kind.info())
    }

    pub(super) fn edge_name(&self, edge: usize) -> &str {
        self.edges.get(edge).map_or("", |edge| &edge.name)
    }

    /// The place where an edge is wired; that of the node if it is not.
    pub(super) fn wire_span(&self, edge: usize) -> Span {
        let name = self.edge_name(edge);
        let is_wire = |wire: &&EdgeSpec| wire.edge.as_ref().map_or(edge == 0, |known| known.value == name);
        self.spec.to.iter().find(is_wire).map_or(self.spec.name.span, |wire| wire.to.span)
    }
}

/// Finds kinds and edges. Targets are indexes in the order of the file. That a node is meant which could not be read is no mistake.
/// Nor is a kind that is not known, while it is `doubtful` which there are.
pub(super) fn resolve(
    nodes: Vec<NodeSpec>,
    (doubt, doubtful): (&Doubt, bool),
    registry: &Registry,
    diagnostics: &mut Diagnostics,
) -> Vec<NodeDraft> {
    let kinds: Vec<&str> = registry.nodes().iter().map(|kind| kind.info().kind.as_str()).collect();
    let names: Vec<String> = nodes.iter().map(|node| node.name.value.clone()).collect();
    let names = Names {
        list: names.iter().map(String::as_str).collect(),
        index: names.iter().zip(0..).map(|(name, at)| (name.as_str(), at)).collect(),
        doubt,
    };
    let mut drafts = Vec::with_capacity(nodes.len());
    for spec in nodes {
        let kind = registry.node(&spec.kind.value);
        let kind = kind.or_else(|| match doubtful {
            true => None,
            false => unknown(&spec.kind, Code::UnknownKind, "kind of node", &kinds, diagnostics),
        });
        let Some(kind) = kind else {
            // Its targets can be checked all the same.
            let targets = spec.to.iter().map(|wire| target(wire, &names, diagnostics)).collect();
            drafts.push(NodeDraft { spec, kind, edges: Vec::new(), targets, complete: false });
            continue;
        };
        let edges = edges_of(&spec, kind);
        let mut targets = vec![None; edges.len()];
        let mut wired: Vec<Option<&EdgeSpec>> = vec![None; edges.len()];
        let mut complete = !doubt.has(&spec.name.value);
        for wire in &spec.to {
            let to = target(wire, &names, diagnostics);
            match edge(wire, &spec, kind, &edges, diagnostics) {
                Some(edge) => {
                    if let Some(first) = wired[edge].replace(wire) {
                        diagnostics.push_error(|| wired_twice(&spec, &edges[edge].name, first, wire));
                    }
                    targets[edge] = to;
                }
                None => complete = false,
            }
            complete &= to.is_some();
        }
        for (id, edge) in edges.iter().enumerate() {
            if edge.class == EdgeClass::Required && targets[id].is_none() && complete {
                diagnostics.push_error(|| unwired(&spec, id, edge));
            }
        }
        if edges.len() > MAX_EDGES {
            diagnostics.push_error(|| too_many(&spec, &edges));
        }
        drafts.push(NodeDraft { spec, kind: Some(kind), edges, targets, complete });
    }
    drafts
}

/// The edges of a node by id: those of its kind, and what else is wired, if a graph may name edges of the kind. The order of keys in a
/// file means nothing, so these are in the order of their names.
fn edges_of(spec: &NodeSpec, kind: NodeKind) -> Vec<EdgePlan> {
    let mut edges: Vec<EdgePlan> = kind.edges().iter().map(EdgePlan::fixed).collect();
    if let Some(info) = kind.named() {
        let own = |name: &str| kind.edges().iter().any(|edge| edge.name.as_str() == name);
        let wired = spec.to.iter().filter_map(|wire| wire.edge.as_ref()).map(|name| name.value.as_str());
        let mut names: Vec<&str> = wired.filter(|name| !own(name)).collect();
        names.sort_unstable();
        names.dedup();
        edges.extend(names.into_iter().map(|name| EdgePlan::named(name, info)));
    }
    edges
}

fn too_many(spec: &NodeSpec, edges: &[EdgePlan]) -> Diagnostic {
    let own = edges.iter().filter(|edge| !edge.named).count();
    let message = format!(
        "`{}` has {} named edges, a node of kind `{}` has {} at most",
        spec.name.value,
        edges.len() - own,
        spec.kind.value,
        MAX_EDGES - own
    );
    let over = spec.to.get(MAX_EDGES - own).map_or(spec.name.span, EdgeSpec::span);
    Diagnostic::error(Code::Refused, message).primary(over, "").help("lead the rest to a second node of the kind by another edge")
}

fn unwired(spec: &NodeSpec, id: usize, edge: &EdgePlan) -> Diagnostic {
    let name = &*edge.name;
    let why = format!("its packets would have nowhere to go: {}", edge.doc.trim());
    let open = spec.open.iter().find(|open| open.edge.as_ref().map_or(id == 0, |edge| edge == name));
    if let Some(open) = open {
        let message = format!("the edge `{}` of `{}` is not wired", open.exit, open.instance.value);
        return Diagnostic::error(Code::RequiredEdge, message)
            .primary(open.instance.span, why)
            .secondary(spec.name.span, format!("it is the edge `{name}` of this node"))
            .help(format!("add `to: {{ {}: NODE }}`", open.exit));
    }
    Diagnostic::error(Code::RequiredEdge, format!("the edge `{name}` of `{}` is not wired", spec.name.value))
        .primary(spec.name.span, why)
        .help(format!("add `to: {{ {name}: NODE }}`"))
}

fn wired_twice(spec: &NodeSpec, edge: &str, first: &EdgeSpec, second: &EdgeSpec) -> Diagnostic {
    Diagnostic::error(Code::WiredTwice, format!("the edge `{edge}` of `{}` is wired twice", spec.name.value))
        .primary(second.span(), "wired again")
        .secondary(first.span(), "first wired here")
        .help("an edge leads to one node: remove one of the two")
}

/// The nodes of the file.
struct Names<'a> {
    list: Vec<&'a str>,
    index: HashMap<&'a str, usize>,
    doubt: &'a Doubt,
}

fn target(wire: &EdgeSpec, names: &Names<'_>, diagnostics: &mut Diagnostics) -> Option<usize> {
    let found = names.index.get(wire.to.value.as_str()).copied();
    if found.is_none() && !names.doubt.has(&wire.to.value) {
        diagnostics.push_error(|| {
            let unknown = Diagnostic::error(Code::UnknownNode, format!("unknown node `{}`", wire.to.value));
            let unknown = unknown.primary(wire.to.span, "");
            match suggestion(&wire.to.value, "a node is one of", &names.list) {
                Some(help) => unknown.help(help),
                None => unknown,
            }
        });
    }
    found
}

/// The id of the edge that is wired.
fn edge(wire: &EdgeSpec, spec: &NodeSpec, kind: NodeKind, edges: &[EdgePlan], diagnostics: &mut Diagnostics) -> Option<usize> {
    let names = || -> Vec<&str> { edges.iter().filter(|edge| edge.can_be_wired()).map(|edge| &*edge.name).collect() };
    let named = kind.named().map(|named| named.name.as_str());
    let kind = &spec.kind.value;
    let Some(name) = &wire.edge else {
        let main = edges.first().is_some_and(|edge| !edge.named && matches!(edge.class, EdgeClass::Edge | EdgeClass::Required));
        if !main {
            diagnostics.push_error(|| {
                let what = format!("a node of kind `{kind}` has no main edge");
                let diagnostic = Diagnostic::error(Code::UnknownEdge, what).primary(wire.to.span, "");
                diagnostic.help(match names().first().copied().or(named) {
                    Some(first) => format!("name the edge: `to: {{ {first}: {} }}`", wire.to.value),
                    None => NO_EDGES.into(),
                })
            });
        }
        return main.then_some(0);
    };
    let found = edges.iter().position(|edge| edge.name == name.value);
    if let Some(id) = found
        && edges[id].can_be_wired()
    {
        return Some(id);
    }
    diagnostics.push_error(|| {
        let refused = match found {
            Some(_) => format!("`{}` of kind `{kind}` cannot be wired: its packets do not leave the node", name.value),
            None => format!("a node of kind `{kind}` has no edge `{}`", name.value),
        };
        let help = suggestion(&name.value, "its edges are", &names()).unwrap_or_else(|| NO_EDGES.into());
        Diagnostic::error(Code::UnknownEdge, refused).primary(name.span, "").help(help)
    });
    None
}

const NO_EDGES: &str = "no packet leaves this kind for another node: remove `to`";

/// Warns of nodes that no packet reaches, as far as that does not hang on what is still to be mended: packets may come from a node of
/// unknown kind, and by an edge to a node that there is not.
pub(super) fn warn_unreachable(nodes: &[NodeDraft], diagnostics: &mut Diagnostics) {
    let index: HashMap<&str, usize> = nodes.iter().zip(0..).map(|(node, at)| (node.spec.name.value.as_str(), at)).collect();
    let mut reached = vec![false; nodes.len()];
    let mut waiting: Vec<usize> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        if node.info().is_none_or(|info| info.input.as_str() == layer::NONE) {
            waiting.push(at);
        }
        if node.complete {
            continue;
        }
        for wire in &node.spec.to {
            let name = wire.to.value.as_str();
            let meant = index.get(name).copied().or_else(|| {
                let near = if diagnostics.is_full() {
                    None
                } else {
                    did_you_mean(name, nodes.iter().map(|node| node.spec.name.value.as_str()))
                };
                near.and_then(|near| index.get(near).copied())
            });
            match meant {
                Some(meant) => waiting.push(meant),
                // It could be any of them.
                None => return,
            }
        }
    }
    while let Some(at) = waiting.pop() {
        if !std::mem::replace(&mut reached[at], true) {
            waiting.extend(nodes[at].targets.iter().flatten());
        }
    }
    for (node, _) in nodes.iter().zip(reached).filter(|(_, reached)| !reached) {
        diagnostics.push(
            Diagnostic::warning(Code::Unreachable, format!("no packet can reach the node `{}`", node.spec.name.value))
                .primary(node.spec.name.span, "")
                .help("wire an edge of another node to it, or remove it"),
        );
    }
}
