//! Slots of the cold line: each has one place, and none is read before it is written.

use std::collections::BTreeSet;

use swath_api::{Meta, SlotInfo};

use super::NodePlan;
use crate::spec::{Code, Diagnostic, Diagnostics};

/// Gives each slot a place, and checks that on every path to a node that reads it there is one that writes it.
pub(super) fn place(nodes: &[NodePlan], diagnostics: &mut Diagnostics) -> Vec<(SlotInfo, u16)> {
    let mut placed: Vec<(SlotInfo, u16)> = Vec::new();
    for node in nodes {
        let info = node.kind.info();
        for slot in info.writes.as_slice().iter().chain(info.reads.as_slice()) {
            if placed.iter().any(|(known, _)| known == slot) {
                continue;
            }
            let used: Vec<(u16, u16)> = placed.iter().map(|(slot, at)| (*at, slot.size)).collect();
            let clash = placed.iter().any(|(known, _)| known.name == slot.name);
            match Meta::place(&used, slot) {
                Some(at) if !clash => placed.push((*slot, at)),
                _ => diagnostics.push(refused(node, slot, clash)),
            }
        }
    }
    check_written(nodes, diagnostics);
    placed
}

fn refused(node: &NodePlan, slot: &SlotInfo, clash: bool) -> Diagnostic {
    let message = if clash {
        format!("the slot `{}` has another type in another kind", slot.name)
    } else {
        format!("no room for the slot `{}`: all slots of a graph together have {} bytes", slot.name, Meta::CAPACITY)
    };
    Diagnostic::error(Code::SlotSpace, message)
        .primary(node.spec.kind.span, format!("this kind declares it, with {} bytes", slot.size))
}

fn check_written(nodes: &[NodePlan], diagnostics: &mut Diagnostics) {
    // What is written on every path to a node; `None` while no path is known. In topological order one round is enough.
    let mut written: Vec<Option<BTreeSet<&'static str>>> = vec![None; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        let info = node.kind.info();
        let at_entry = written[index].clone().unwrap_or_default();
        for slot in info.reads.as_slice().iter().filter(|slot| !at_entry.contains(slot.name.as_str())) {
            let path = path_without(nodes, &written, index, slot.name.as_str()).join(" → ");
            diagnostics.push(
                Diagnostic::error(
                    Code::UnwrittenSlot,
                    format!("`{}` reads the slot `{}`, which is not written", node.spec.name.value, slot.name),
                )
                .primary(node.spec.kind.span, format!("on the path {path}"))
                .help(format!("put a node that writes `{}` on this path", slot.name)),
            );
        }
        let mut at_exit = at_entry;
        at_exit.extend(info.writes.as_slice().iter().map(|slot| slot.name.as_str()));
        for to in node.targets.iter().flatten() {
            written[*to] = Some(match written[*to].take() {
                None => at_exit.clone(),
                Some(others) => others.intersection(&at_exit).copied().collect(),
            });
        }
    }
}

/// A path to the node on which nothing writes the slot, as names.
fn path_without<'a>(nodes: &'a [NodePlan], written: &[Option<BTreeSet<&str>>], to: usize, slot: &str) -> Vec<&'a str> {
    let mut path = vec![nodes[to].spec.name.value.as_str()];
    let mut at = to;
    let writes = |node: &NodePlan| node.kind.info().writes.as_slice().iter().any(|written| written.name.as_str() == slot);
    let lacks = |from: usize| !writes(&nodes[from]) && !written[from].as_ref().is_some_and(|slots| slots.contains(slot));
    // Backwards over predecessors that send it on unwritten: where one path does, there is such a predecessor.
    while let Some(before) = (0..at).rev().find(|from| nodes[*from].targets.contains(&Some(at)) && lacks(*from)) {
        path.push(&nodes[before].spec.name.value);
        at = before;
    }
    path.reverse();
    path
}
