//! The order of things: tables after those that they refer to, nodes after those that send to them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::draft::{NodeDraft, TableDraft};
use crate::spec::{Code, Diagnostic, Diagnostics};

/// Nodes of a cycle that are all named.
const LONGEST: usize = 64;
/// Of a longer cycle, nodes that are named at both ends.
const SHOWN: usize = 8;

/// Tables after those whose kinds they refer to, as near to the order of the file as can be. Kinds that refer to each other in a circle
/// would be a defect of the kinds; their tables keep the order of the file, and say themselves what they miss.
pub(super) fn tables(tables: Vec<TableDraft>) -> Vec<TableDraft> {
    // By kind, the places in the file of those that are not in order yet.
    let mut left: Vec<(Option<&'static str>, VecDeque<usize>)> = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let kind = table.kind.map(|kind| kind.info().kind.as_str());
        match left.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, places)) => places.push_back(at),
            None => left.push((kind, VecDeque::from([at]))),
        }
    }
    let uses: Vec<Vec<usize>> = left
        .iter()
        .map(|(_, places)| {
            let kind = tables[places[0]].kind;
            let uses = kind.map(|kind| kind.info().uses.as_slice()).unwrap_or_default();
            (0..left.len()).filter(|other| uses.iter().any(|used| Some(used.as_str()) == left[*other].0)).collect()
        })
        .collect();
    let mut order = Vec::with_capacity(tables.len());
    while order.len() < tables.len() {
        let waits = |kind: usize| uses[kind].iter().any(|used| left[*used].1.len() > usize::from(*used == kind));
        let there = || (0..left.len()).filter(|kind| !left[*kind].1.is_empty());
        let first = |kind: &usize| left[*kind].1.front().copied();
        let Some(next) = there().filter(|kind| !waits(*kind)).min_by_key(first).or_else(|| there().min_by_key(first)) else {
            break;
        };
        order.extend(left[next].1.pop_front());
    }
    let mut tables: Vec<Option<TableDraft>> = tables.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| tables[at].take()).collect()
}

/// Nodes in topological order, as near to the order of the file as can be, and how many are in it: those on a cycle, and those behind
/// one, come last. Reports every cycle.
pub(super) fn nodes(nodes: Vec<NodeDraft>, diagnostics: &mut Diagnostics) -> (Vec<NodeDraft>, usize) {
    let mut order = in_file_order(&nodes);
    let sorted = order.len();
    if sorted < nodes.len() {
        report_cycles(&nodes, diagnostics);
        let mut rest: Vec<bool> = vec![true; nodes.len()];
        order.iter().for_each(|node| rest[*node] = false);
        order.extend((0..nodes.len()).filter(|node| rest[*node]));
    }
    let mut rank = vec![0; nodes.len()];
    order.iter().enumerate().for_each(|(at, node)| rank[*node] = at);
    let mut nodes: Vec<Option<NodeDraft>> = nodes.into_iter().map(Some).collect();
    let mut ordered: Vec<NodeDraft> = order.into_iter().filter_map(|node| nodes[node].take()).collect();
    for target in ordered.iter_mut().flat_map(|node| &mut node.targets) {
        *target = target.map(|file| rank[file]);
    }
    (ordered, sorted)
}

/// A topological order in which a node comes as soon as it can, of several the one that stands first in the file (Kahn 1962). Nodes on a
/// cycle, and those behind one, are left out.
fn in_file_order(nodes: &[NodeDraft]) -> Vec<usize> {
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

fn report_cycles(nodes: &[NodeDraft], diagnostics: &mut Diagnostics) {
    let mut graph: DiGraph<usize, u16> = DiGraph::new();
    let indexes: Vec<NodeIndex> = (0..nodes.len()).map(|node| graph.add_node(node)).collect();
    for (from, node) in nodes.iter().enumerate() {
        for (edge, to) in node.targets.iter().enumerate().filter_map(|(edge, to)| Some((edge, (*to)?))) {
            graph.add_edge(indexes[from], indexes[to], edge as u16);
        }
    }
    for members in kosaraju_scc(&graph) {
        let start = members[0];
        if members.len() > 1 || graph.contains_edge(start, start) {
            diagnostics.push_error(|| cycle(&graph, &members, nodes));
        }
    }
}

/// Names one whole way round a strongly connected set of nodes.
fn cycle(graph: &DiGraph<usize, u16>, members: &[NodeIndex], nodes: &[NodeDraft]) -> Diagnostic {
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
        let node = &nodes[graph[*node]];
        text += &format!("{}.{} → ", node.spec.name.value, node.edge_name(usize::from(*edge)));
    }
    text += &nodes[graph[at]].spec.name.value;
    let mut diagnostic = Diagnostic::error(Code::Cycle, format!("packets could go round in a circle: {text}"));
    for (place, (node, edge)) in way.iter().enumerate().filter(|(place, _)| !skipped.contains(place)) {
        let span = nodes[graph[*node]].wire_span(usize::from(*edge));
        diagnostic = if place + 1 == way.len() {
            diagnostic.primary(span, "this edge closes the circle")
        } else {
            diagnostic.secondary(span, "")
        };
    }
    diagnostic.help(
        "what must be looked at again goes to another instance of the node on the same tables: add a second node of the same kind \
         with the same settings and wire this edge to it",
    )
}
