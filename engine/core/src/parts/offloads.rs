//! Whether a driver may do the work of a node: only if it sees all packets that the node would, and if what the node drops ends there.

use swath_api::{NO_EDGE, NodeInstance, Wishes};

use super::{NodeView, View};
use crate::spec::{Code, Diagnostic, Diagnostics};

/// Checks how nodes are wired that ask drivers to do some of their work.
pub(super) fn check(view: &View<'_>, made: &[Option<(NodeInstance, Wishes)>], diagnostics: &mut Diagnostics) {
    for (index, (node, wishes)) in view.nodes.iter().zip(made).enumerate() {
        let Some(offload) = wishes.as_ref().and_then(|(_, wishes)| wishes.offload) else { continue };
        let mut before = view.nodes.iter().zip(made).filter(|(node, _)| node.targets.contains(&Some(index)));
        // What could not be made has been told of. Who receives sends all on to the node.
        let sends_elsewhere = |before: &NodeView<'_>| before.targets.iter().flatten().any(|to| *to != index);
        let between = before
            .find(|(before, made)| made.as_ref().is_some_and(|(_, wishes)| wishes.receive.is_none() || sends_elsewhere(before)));
        if let Some((between, _)) = between {
            diagnostics.push_error(|| comes_between(node, between));
        }
        let drops = offload.edges.iter().filter(|edge| **edge != NO_EDGE).map(|edge| usize::from(*edge));
        for edge in drops.filter(|edge| node.targets.get(*edge).is_some_and(Option::is_some)) {
            diagnostics.push_error(|| is_wired(node, edge));
        }
    }
}

fn comes_between(node: &NodeView<'_>, between: &NodeView<'_>) -> Diagnostic {
    let (name, between) = (&node.spec.name.value, &between.spec.name);
    Diagnostic::error(Code::Offload, format!("no driver can do the work of `{name}`: `{}` comes before it", between.value))
        .primary(node.spec.settings.locate("offload").value.span, "asked for here")
        .secondary(between.span, "this changes packets, or chooses among them, before the node has them")
        .help(format!("lead the edge of each node that receives to `{name}`, and from there on, or leave `offload` out"))
}

fn is_wired(node: &NodeView<'_>, edge: usize) -> Diagnostic {
    let (name, edge) = (&node.spec.name.value, &node.edges[edge].name);
    let wire = node.spec.to.iter().find(|wire| wire.edge.as_ref().is_some_and(|known| known.value == **edge));
    Diagnostic::error(Code::Offload, format!("no driver can do the work of `{name}`: the packets of `{edge}` go on"))
        .primary(node.spec.settings.locate("offload").value.span, "asked for here")
        .secondary(wire.map_or(node.spec.name.span, |wire| wire.to.span), "what a driver drops does not come here")
        .help(format!("take `{edge}` away from `to`, or leave `offload` out"))
}
