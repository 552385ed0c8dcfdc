//! Handoffs that nobody has written: before each node whose packets have owners, where there is more than one worker.

use std::collections::HashSet;

use swath_api::{Context, Frame, Info, NoConfig, Node as Kind, NodeKind, Ownership, Setup, edges, layer};

use super::{EdgePlan, NodePlan, Plan};
use crate::spec::{Node, NodeSpec, Spanned, Value};

/// What moves packets to their owners. The engine does it itself, by what the node behind it says.
struct Handoff;

edges! {
    /// Where packets go.
    enum Next {
        /// To the node that asked for it, on the worker that owns the packet.
        Out = required("out", layer::SAME),
    }
}

impl Kind for Handoff {
    const INFO: Info = Info::new("handoff", "Moves packets to the worker that owns them.");
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Handoff, swath_api::ConfigError> {
        Ok(Handoff)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::Out);
    }
}

impl Plan {
    /// Puts a node `handoff-to-NAME` of kind `handoff` before each node whose packets have owners and that others send to, if there is
    /// more than one worker; and takes those away that are there, if there is one.
    ///
    /// All edges to such a node lead to its handoff. A packet that is where it belongs stays, at the cost of asking; so a second node
    /// behind that has the same owners moves nothing.
    pub fn insert_handoffs(&mut self) {
        self.remove_handoffs();
        if self.engine.workers < 2 {
            return;
        }
        let mut names: HashSet<String> = self.nodes.iter().map(|node| node.spec.name.value.clone()).collect();
        let mut is_target = vec![false; self.nodes.len()];
        self.nodes.iter().flat_map(|node| node.targets.iter().flatten()).for_each(|to| is_target[*to] = true);
        let needs = |(at, node): (usize, &NodePlan)| is_target[at] && node.kind.info().ownership == Ownership::Owned;
        let needs: Vec<bool> = self.nodes.iter().enumerate().map(needs).collect();
        // A handoff stands where its node stood, and all that follows moves up.
        let moved = |to: usize| to + needs[..to].iter().filter(|needs| **needs).count();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (at, mut node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            node.targets.iter_mut().flatten().for_each(|to| *to = moved(*to));
            if needs[at] {
                nodes.push(handoff(&node, moved(at) + 1, &mut names));
            }
            nodes.push(node);
        }
        self.nodes = nodes;
    }

    fn remove_handoffs(&mut self) {
        let inserted: Vec<bool> = self.nodes.iter().map(|node| node.inserted).collect();
        let moved = |to: usize| to - inserted[..to].iter().filter(|inserted| **inserted).count();
        self.nodes.retain(|node| !node.inserted);
        // What led to a handoff has the index of the node behind it.
        self.nodes.iter_mut().flat_map(|node| node.targets.iter_mut().flatten()).for_each(|to| *to = moved(*to));
    }
}

/// The handoff before a node, which will be at index `to`.
fn handoff(node: &NodePlan, to: usize, names: &mut HashSet<String>) -> NodePlan {
    let kind = NodeKind::of::<Handoff>();
    let (group, own) = node.spec.name.value.rsplit_once('/').map_or(("", &*node.spec.name.value), |(group, own)| (group, own));
    let slash = if group.is_empty() { "" } else { "/" };
    let mut name = format!("{group}{slash}handoff-to-{own}");
    while !names.insert(name.clone()) {
        name.push('+');
    }
    let span = node.spec.name.span;
    NodePlan {
        spec: NodeSpec {
            name: Spanned::new(name, span),
            kind: Spanned::new(kind.info().kind.as_str().into(), span),
            to: Vec::new(),
            open: Vec::new(),
            settings: Value { span, node: Node::Map(Vec::new()) },
        },
        kind,
        edges: kind.edges().iter().map(EdgePlan::fixed).collect(),
        targets: vec![Some(to)],
        inserted: true,
    }
}
