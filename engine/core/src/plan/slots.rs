//! Slots of the cold line: each has one place, and none is read before it is written.

use std::collections::BTreeSet;

use swath_api::{Info, Meta, SlotInfo, layer};

use super::draft::NodeDraft;
use crate::spec::{Code, Diagnostic, Diagnostics};

/// Gives each slot a place. One that has none is reported, and put where others are: nothing runs, but what needs it can be made.
pub(super) fn place(nodes: &[NodeDraft], diagnostics: &mut Diagnostics) -> Vec<(SlotInfo, u16)> {
    let mut placed: Vec<(SlotInfo, u16)> = Vec::new();
    let mut used: Vec<(u16, u16)> = Vec::new();
    for (node, info) in nodes.iter().filter_map(|node| Some((node, node.info()?))) {
        for slot in info.writes.as_slice().iter().chain(info.reads.as_slice()) {
            if placed.iter().any(|(known, _)| known == slot) {
                continue;
            }
            let clash = placed.iter().any(|(known, _)| known.name == slot.name);
            match Meta::place(&used, slot) {
                Some(at) if !clash => {
                    used.push((at, slot.size));
                    placed.push((*slot, at));
                }
                _ => {
                    diagnostics.push_error(|| refused(node, slot, clash));
                    placed.push((*slot, 0));
                }
            }
        }
    }
    placed
}

fn refused(node: &NodeDraft, slot: &SlotInfo, clash: bool) -> Diagnostic {
    let message = if clash {
        format!("the slot `{}` has another type in another kind", slot.name)
    } else {
        format!("no room for the slot `{}`: all slots of a graph together have {} bytes", slot.name, Meta::CAPACITY)
    };
    let bytes = if slot.size == 1 { "1 byte".into() } else { format!("{} bytes", slot.size) };
    Diagnostic::error(Code::SlotSpace, message).primary(node.spec.kind.span, format!("this kind declares it, with {bytes}"))
}

/// Checks that on every path to a node that reads a slot there is one that writes it. `nodes` are in topological order. Of a graph that
/// is `broken` only paths from where packets enter it are judged: others may have a beginning that is missing now.
pub(super) fn check_written(nodes: &[NodeDraft], broken: bool, diagnostics: &mut Diagnostics) {
    if !nodes.iter().filter_map(NodeDraft::info).any(|info| !info.reads.as_slice().is_empty()) {
        return;
    }
    // What is written on every path to a node; `None` while no path is known. In topological order one round is enough.
    let mut written: Vec<Option<BTreeSet<&'static str>>> = vec![None; nodes.len()];
    let mut before = None;
    for (index, node) in nodes.iter().enumerate() {
        let Some(info) = node.info() else { continue };
        if broken && written[index].is_none() && info.input.as_str() != layer::NONE {
            continue;
        }
        let mut at_exit = written[index].clone().unwrap_or_default();
        for slot in info.reads.as_slice().iter().filter(|slot| !at_exit.contains(slot.name.as_str())) {
            let name = slot.name.as_str();
            diagnostics.push_error(|| {
                let before = before.get_or_insert_with(|| predecessors(nodes));
                let path = path_without(nodes, before, &written, index, name).join(" → ");
                let reads = &node.spec.name.value;
                Diagnostic::error(Code::UnwrittenSlot, format!("`{reads}` reads the slot `{name}`, which is not written"))
                    .primary(node.spec.kind.span, format!("on the path {path}"))
                    .help(format!("put a node that writes `{name}` on this path"))
            });
        }
        at_exit.extend(names(info));
        for to in node.targets.iter().flatten().filter(|to| **to < nodes.len()) {
            written[*to] = Some(match written[*to].take() {
                None => at_exit.clone(),
                Some(others) => others.intersection(&at_exit).copied().collect(),
            });
        }
    }
}

fn names(info: &'static Info) -> impl Iterator<Item = &'static str> {
    info.writes.as_slice().iter().map(|slot| slot.name.as_str())
}

/// For each node those that send to it.
fn predecessors(nodes: &[NodeDraft]) -> Vec<Vec<usize>> {
    let mut before = vec![Vec::new(); nodes.len()];
    for (from, node) in nodes.iter().enumerate() {
        node.targets.iter().flatten().filter(|to| **to < nodes.len()).for_each(|to| before[*to].push(from));
    }
    before
}

/// A path to the node on which nothing writes the slot, as names.
fn path_without<'a>(
    nodes: &'a [NodeDraft],
    before: &[Vec<usize>],
    written: &[Option<BTreeSet<&str>>],
    to: usize,
    slot: &str,
) -> Vec<&'a str> {
    let mut path = vec![nodes[to].spec.name.value.as_str()];
    let mut at = to;
    let writes = |node: &NodeDraft| node.info().is_some_and(|info| names(info).any(|written| written == slot));
    let is_source = |node: &NodeDraft| node.info().is_some_and(|info| info.input.as_str() == layer::NONE);
    let lacks = |from: usize| !writes(&nodes[from]) && !written[from].as_ref().is_some_and(|slots| slots.contains(slot));
    // Backwards over predecessors that send it on unwritten: where one path does, there is such a predecessor.
    loop {
        let known = |from: &usize| written[*from].is_some() || is_source(&nodes[*from]);
        let lacking = || before[at].iter().copied().rev().filter(|from| lacks(*from));
        let Some(from) = lacking().find(known).or_else(|| lacking().next()) else { break };
        path.push(&nodes[from].spec.name.value);
        at = from;
    }
    path.reverse();
    path
}
