//! Layers: whether what an edge carries is what its target takes. The words are the kinds' own; here they are only compared.

use std::collections::BTreeSet;

use swath_api::layer;

use super::draft::NodeDraft;
use crate::spec::{Code, Diagnostic, Diagnostics};

/// Checks every wired edge. `nodes` are in topological order, but for those at the end that are on a cycle or behind one: what such a
/// node passes on as it came is then not known, and not judged.
pub(super) fn check(nodes: &[NodeDraft], diagnostics: &mut Diagnostics) {
    // What each node may be given.
    let mut given: Vec<BTreeSet<&'static str>> = vec![BTreeSet::new(); nodes.len()];
    for (from, node) in nodes.iter().enumerate() {
        let Some(kind) = node.kind else { continue };
        let input = kind.info().input.as_str();
        for (id, to) in node.targets.iter().enumerate().filter_map(|(id, to)| Some((id, (*to)?))) {
            let carried: BTreeSet<&'static str> = match node.edges[id].layer {
                layer::SAME if input == layer::ANY => given[from].clone(),
                layer::SAME => BTreeSet::from([input]),
                one => BTreeSet::from([one]),
            };
            if let Some(target) = nodes[to].kind {
                let takes = target.info().input.as_str();
                let fits =
                    |carried: &str| takes != layer::NONE && (carried == layer::ANY || takes == layer::ANY || carried == takes);
                for carried in carried.iter().filter(|carried| !fits(carried)) {
                    diagnostics.push_error(|| mismatch(node, id, carried, &nodes[to], takes));
                }
            }
            given[to].extend(carried);
        }
    }
}

fn mismatch(node: &NodeDraft, id: usize, carried: &str, to: &NodeDraft, takes: &str) -> Diagnostic {
    let (edge, from, target) = (node.edge_name(id), &node.spec.name.value, &to.spec.name.value);
    let carried = if carried == layer::ANY { "any" } else { carried };
    let message = format!("`{from}.{edge}` carries {carried} packets, `{target}` takes {}", words(takes));
    let help = if takes == layer::NONE {
        "packets enter the graph there: wire this edge to the node behind it".into()
    } else {
        format!("wire this edge to a node that takes {carried} packets")
    };
    Diagnostic::error(Code::Layer, message)
        .primary(node.wire_span(id), format!("{carried} packets go here"))
        .secondary(to.spec.kind.span, format!("this kind takes {}", words(takes)))
        .help(help)
}

fn words(takes: &str) -> String {
    if takes == layer::NONE { "no packets of other nodes".into() } else { format!("{takes} packets") }
}
