//! Edges: from names to indexes, and the order in which a pass visits the nodes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use swath_api::{EdgeClass, EdgeInfo};

use super::{NodePlan, unknown};
use crate::registry::Registry;
use crate::spec::{Code, Diagnostic, Diagnostics, EdgeSpec, NodeSpec, Unreadable, suggestion};

/// Nodes of a cycle that are all named.
const LONGEST: usize = 64;
/// Of a longer cycle, nodes that are named at both ends.
const SHOWN: usize = 8;

/// Finds kinds and edges. Targets are indexes in the order of the file. That one of the `unreadable` nodes is meant is no mistake.
pub(super) fn resolve(
    nodes: Vec<NodeSpec>,
    unreadable: &Unreadable,
    registry: &Registry,
    diagnostics: &mut Diagnostics,
) -> Vec<NodePlan> {
    let kinds: Vec<&str> = registry.nodes().iter().map(|kind| kind.info().kind.as_str()).collect();
    let names: Vec<String> = nodes.iter().map(|node| node.name.value.clone()).collect();
    let names = Names {
        list: names.iter().map(String::as_str).collect(),
        index: names.iter().zip(0..).map(|(name, at)| (name.as_str(), at)).collect(),
        unreadable,
    };
    let mut plans = Vec::with_capacity(nodes.len());
    for spec in nodes {
        let kind = registry.node(&spec.kind.value);
        let kind = kind.or_else(|| unknown(&spec.kind, Code::UnknownKind, "kind of node", &kinds, diagnostics));
        let Some(kind) = kind else {
            // Its targets can be checked all the same.
            for wire in &spec.to {
                target(wire, &names, diagnostics);
            }
            continue;
        };
        let edges = kind.edges();
        let mut targets = vec![None; edges.len()];
        let mut wired: Vec<Option<&EdgeSpec>> = vec![None; edges.len()];
        let mut complete = true;
        for wire in &spec.to {
            let to = target(wire, &names, diagnostics);
            match edge(wire, &spec, edges, diagnostics) {
                Some(edge) => {
                    if let Some(first) = wired[edge].replace(wire) {
                        diagnostics.push(wired_twice(&spec, edges[edge].name.as_str(), first, wire));
                    }
                    targets[edge] = to;
                }
                None => complete = false,
            }
            complete &= to.is_some();
        }
        for (id, edge) in edges.iter().enumerate() {
            if edge.class == EdgeClass::Required && targets[id].is_none() && complete {
                diagnostics.push(not_wired(&spec, id, edge));
            }
        }
        plans.push(NodePlan { spec, kind, targets });
    }
    plans
}

fn not_wired(spec: &NodeSpec, id: usize, edge: &EdgeInfo) -> Diagnostic {
    let name = edge.name.as_str();
    let why = format!("its packets would have nowhere to go: {}", edge.doc.as_str().trim());
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
    unreadable: &'a Unreadable,
}

fn target(wire: &EdgeSpec, names: &Names<'_>, diagnostics: &mut Diagnostics) -> Option<usize> {
    let found = names.index.get(wire.to.value.as_str()).copied();
    if found.is_none() && !names.unreadable.node(&wire.to.value) {
        let mut diagnostic =
            Diagnostic::error(Code::UnknownNode, format!("unknown node `{}`", wire.to.value)).primary(wire.to.span, "");
        if let Some(help) = suggestion(&wire.to.value, "a node is one of", &names.list) {
            diagnostic = diagnostic.help(help);
        }
        diagnostics.push(diagnostic);
    }
    found
}

/// The id of the edge that is wired.
fn edge(wire: &EdgeSpec, spec: &NodeSpec, edges: &[EdgeInfo], diagnostics: &mut Diagnostics) -> Option<usize> {
    let can_be_wired = |edge: &EdgeInfo| matches!(edge.class, EdgeClass::Edge | EdgeClass::Required | EdgeClass::Drop);
    let names: Vec<&str> = edges.iter().filter(|edge| can_be_wired(edge)).map(|edge| edge.name.as_str()).collect();
    let kind = &spec.kind.value;
    let Some(name) = &wire.edge else {
        let main = edges.first().is_some_and(|edge| matches!(edge.class, EdgeClass::Edge | EdgeClass::Required));
        if !main {
            let what = format!("a node of kind `{kind}` has no main edge");
            let mut diagnostic = Diagnostic::error(Code::UnknownEdge, what).primary(wire.to.span, "");
            if !names.is_empty() {
                diagnostic = diagnostic.help(format!("name the edge: `to: {{ {}: {} }}`", names[0], wire.to.value));
            }
            diagnostics.push(diagnostic);
        }
        return main.then_some(0);
    };
    let found = edges.iter().position(|edge| edge.name.as_str() == name.value);
    let refused = match found {
        Some(id) if can_be_wired(&edges[id]) => return Some(id),
        Some(_) => format!("`{}` of kind `{kind}` cannot be wired: its packets do not leave the node", name.value),
        None => format!("a node of kind `{kind}` has no edge `{}`", name.value),
    };
    let mut diagnostic = Diagnostic::error(Code::UnknownEdge, refused).primary(name.span, "");
    if let Some(help) = suggestion(&name.value, "its edges are", &names) {
        diagnostic = diagnostic.help(help);
    }
    diagnostics.push(diagnostic);
    None
}

/// Sorts topologically, as near to the order of the file as can be. `None`, with every cycle reported, if there are any.
pub(super) fn sort(nodes: Vec<NodePlan>, diagnostics: &mut Diagnostics) -> Option<Vec<NodePlan>> {
    let mut graph: DiGraph<usize, u16> = DiGraph::new();
    let indexes: Vec<NodeIndex> = (0..nodes.len()).map(|node| graph.add_node(node)).collect();
    for (from, node) in nodes.iter().enumerate() {
        for (edge, to) in node.targets.iter().enumerate().filter_map(|(edge, to)| Some((edge, (*to)?))) {
            graph.add_edge(indexes[from], indexes[to], edge as u16);
        }
    }
    let order = in_file_order(&nodes);
    if order.len() < nodes.len() {
        for members in kosaraju_scc(&graph) {
            let start = members[0];
            if members.len() > 1 || graph.contains_edge(start, start) {
                diagnostics.push(cycle(&graph, &members, &nodes));
            }
        }
        return None;
    }
    let mut rank = vec![0; nodes.len()];
    for (at, node) in order.into_iter().enumerate() {
        rank[node] = at;
    }
    let mut sorted: Vec<(usize, NodePlan)> = nodes.into_iter().enumerate().map(|(at, node)| (rank[at], node)).collect();
    sorted.sort_by_key(|(rank, _)| *rank);
    let mut sorted: Vec<NodePlan> = sorted.into_iter().map(|(_, node)| node).collect();
    for target in sorted.iter_mut().flat_map(|node| &mut node.targets) {
        *target = target.map(|file| rank[file]);
    }
    warn_unreachable(&sorted, diagnostics);
    Some(sorted)
}

/// A topological order in which a node comes as soon as it can, of several the one that stands first in the file (Kahn 1962). Nodes on a
/// cycle, and those behind one, are left out.
fn in_file_order(nodes: &[NodePlan]) -> Vec<usize> {
    let mut waits_for = vec![0; nodes.len()];
    nodes.iter().flat_map(|node| node.targets.iter().flatten()).for_each(|to| waits_for[*to] += 1);
    let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len()).filter(|node| waits_for[*node] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(node)) = ready.pop() {
        order.push(node);
        for to in nodes[node].targets.iter().flatten() {
            waits_for[*to] -= 1;
            if waits_for[*to] == 0 {
                ready.push(Reverse(*to));
            }
        }
    }
    order
}

/// Names one whole way round a strongly connected set of nodes.
fn cycle(graph: &DiGraph<usize, u16>, members: &[NodeIndex], nodes: &[NodePlan]) -> Diagnostic {
    let edge_name = |node: usize, edge: u16| nodes[node].kind.edges()[usize::from(edge)].name.as_str();
    // Follow edges inside the set until a node comes again: what lies between is a cycle.
    let inside: HashSet<NodeIndex> = members.iter().copied().collect();
    let mut seen: HashMap<NodeIndex, usize> = HashMap::new();
    let mut way: Vec<(NodeIndex, u16)> = Vec::new();
    let mut at = *members.iter().min().unwrap_or(&members[0]);
    let start = loop {
        if let Some(start) = seen.insert(at, way.len()) {
            break start;
        }
        let inside = graph.edges(at).filter(|edge| inside.contains(&edge.target())).min_by_key(|edge| *edge.weight());
        let Some(edge) = inside else { break 0 };
        way.push((at, *edge.weight()));
        at = edge.target();
    };
    let way = &way[start..];
    let mut text = String::new();
    // A sentence has an end: of a very long way the beginning and the end are named.
    let skipped = if way.len() > LONGEST { SHOWN..way.len() - SHOWN } else { 0..0 };
    for (at, (node, edge)) in way.iter().enumerate() {
        if skipped.contains(&at) {
            if at == skipped.start {
                text += &format!("({} more) → ", skipped.len());
            }
            continue;
        }
        let node = graph[*node];
        text += &format!("{}.{} → ", nodes[node].spec.name.value, edge_name(node, *edge));
    }
    text += &nodes[graph[at]].spec.name.value;
    let mut diagnostic = Diagnostic::error(Code::Cycle, format!("packets could go round in a circle: {text}"));
    for (place, (node, edge)) in way.iter().enumerate().filter(|(place, _)| !skipped.contains(place)) {
        let node = graph[*node];
        let name = edge_name(node, *edge);
        let wire = nodes[node].spec.to.iter().find(|wire| wire.edge.as_ref().map_or(*edge == 0, |known| known.value == name));
        let Some(wire) = wire else { continue };
        diagnostic = if place + 1 == way.len() {
            diagnostic.primary(wire.to.span, "this edge closes the circle")
        } else {
            diagnostic.secondary(wire.to.span, "")
        };
    }
    diagnostic.help(
        "what must be looked at again goes to another instance of the node on the same tables: add a second node of the same kind \
         with the same settings and wire this edge to it",
    )
}

fn warn_unreachable(nodes: &[NodePlan], diagnostics: &mut Diagnostics) {
    let mut reached = vec![false; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        if node.kind.info().input.as_str() == swath_api::layer::NONE {
            reached[index] = true;
        }
        if reached[index] {
            node.targets.iter().flatten().for_each(|to| reached[*to] = true);
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
