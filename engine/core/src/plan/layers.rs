//! Layers: whether what an edge carries is what its target takes. The words are the kinds' own; here they are only compared.

use std::collections::BTreeSet;

use swath_api::layer;

use super::NodePlan;
use crate::spec::{Code, Diagnostic, Diagnostics, Span};

/// Checks every wired edge. `nodes` are in topological order.
pub(super) fn check(nodes: &[NodePlan], diagnostics: &mut Diagnostics) {
    // What each node may be given, with the place where it was first wired so.
    let mut given: Vec<BTreeSet<&'static str>> = vec![BTreeSet::new(); nodes.len()];
    for (from, node) in nodes.iter().enumerate() {
        let input = node.kind.info().input.as_str();
        for (id, to) in node.targets.iter().enumerate().filter_map(|(id, to)| Some((id, (*to)?))) {
            let edge = &node.kind.edges()[id];
            let carried: BTreeSet<&'static str> = match edge.layer.as_str() {
                layer::SAME if input == layer::ANY => given[from].clone(),
                layer::SAME => BTreeSet::from([input]),
                one => BTreeSet::from([one]),
            };
            let takes = nodes[to].kind.info().input.as_str();
            let fits = |carried: &str| takes != layer::NONE && (carried == layer::ANY || takes == layer::ANY || carried == takes);
            for carried in carried.iter().filter(|carried| !fits(carried)) {
                diagnostics.push(mismatch(node, id, carried, &nodes[to], takes));
            }
            given[to].extend(carried);
        }
    }
}

fn mismatch(node: &NodePlan, id: usize, carried: &str, to: &NodePlan, takes: &str) -> Diagnostic {
    let (edge, from, target) = (node.kind.edges()[id].name.as_str(), &node.spec.name.value, &to.spec.name.value);
    let is_wire = |wire: &&crate::spec::EdgeSpec| wire.edge.as_ref().map_or(id == 0, |name| name.value == edge);
    let span: Span = node.spec.to.iter().find(is_wire).map_or(node.spec.name.span, |wire| wire.to.span);
    let carried = if carried == layer::ANY { "any" } else { carried };
    let message = format!("`{from}.{edge}` carries {carried} packets, `{target}` takes {}", words(takes));
    Diagnostic::error(Code::Layer, message)
        .primary(span, format!("{carried} packets go here"))
        .secondary(to.spec.kind.span, format!("this kind takes {}", words(takes)))
}

fn words(takes: &str) -> String {
    if takes == layer::NONE { "no packets of other nodes".into() } else { format!("{takes} packets") }
}
