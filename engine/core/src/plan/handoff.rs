//! Handoffs that nobody has written: before each node whose packets have owners, where there is more than one worker.

use std::collections::HashSet;

use swath_api::{Context, Frame, Info, NoConfig, Node as Kind, NodeKind, Ownership, Setup, edges, layer};

use super::{BUFFERS_PER_WORKER, EdgePlan, NodePlan, Plan, handoff_ring};
use crate::spec::{Code, Diagnostic, Diagnostics, EngineSpec, Node, NodeSpec, Span, Spanned, Value};

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

/// Warns if full rings between workers would leave too few buffers to receive into.
pub(super) fn warn_few_buffers(engine: &EngineSpec, span: Option<Span>, kinds: &[NodeKind], diagnostics: &mut Diagnostics) {
    let workers = usize::from(engine.workers);
    let (rings, own) = (workers * (workers - 1) * handoff_ring(engine), workers * BUFFERS_PER_WORKER);
    let moves = |kind: &NodeKind| kind.info().ownership != Ownership::Any;
    // Fewer than the workers need by themselves are an error.
    if engine.buffers < own || engine.buffers >= rings + own || !kinds.iter().any(moves) {
        return;
    }
    let few =
        format!("{} buffers may run out under overload: the rings between {workers} workers hold up to {rings}", engine.buffers);
    let mut warning = Diagnostic::warning(Code::FewBuffers, few)
        .help(format!("raise `buffers` to {} or more, or have fewer `workers`", rings + own));
    if let Some(span) = span {
        warning = warning.primary(span, "for so many workers");
    }
    diagnostics.push(warning);
}

impl Plan {
    /// Puts a node `handoff-to-NAME` of kind `handoff` before each node that is `owned` and that others send to, if there is more than
    /// one worker. Says for each node of the plan as it is now whether it is one of those that were put in.
    ///
    /// All edges to such a node lead to its handoff. A packet that is where it belongs stays, at the cost of asking; so a second node
    /// behind that has the same owners moves nothing.
    pub(crate) fn insert_handoffs(&mut self, owned: impl Fn(usize) -> bool) -> Vec<bool> {
        if self.engine.workers < 2 {
            return vec![false; self.nodes.len()];
        }
        let mut names: HashSet<String> = self.nodes.iter().map(|node| node.spec.name.value.clone()).collect();
        let mut is_target = vec![false; self.nodes.len()];
        self.nodes.iter().flat_map(|node| node.targets.iter().flatten()).for_each(|to| is_target[*to] = true);
        let needs: Vec<bool> = is_target.iter().enumerate().map(|(at, is_target)| *is_target && owned(at)).collect();
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
        self.nodes.iter().map(|node| node.inserted).collect()
    }

    /// Takes those away that are there.
    pub(crate) fn remove_handoffs(&mut self) {
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
        restart: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Owned;

    impl Kind for Owned {
        const INFO: Info = Info::new("owned", "For tests.").owned();
        type Config = NoConfig;
        type Next = Next;

        fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Owned, swath_api::ConfigError> {
            Ok(Owned)
        }

        fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
            frame.all(Next::Out);
        }
    }

    #[test]
    fn few_buffers_for_many_rings_are_worth_a_word() {
        let said = |workers, buffers, kinds: &[NodeKind]| {
            let mut diagnostics = Diagnostics::new();
            warn_few_buffers(&EngineSpec { workers, buffers, ..EngineSpec::default() }, None, kinds, &mut diagnostics);
            assert_eq!(diagnostics.errors(), 0);
            diagnostics
                .sorted()
                .iter()
                .map(|one| format!("{}; {}", one.message, one.help.clone().unwrap_or_default()))
                .collect::<Vec<_>>()
        };
        let (any, owned) = (NodeKind::of::<Handoff>(), NodeKind::of::<Owned>());
        // 5 * 4 rings and 5 workers, 1024 each.
        assert_eq!(
            said(5, 25_599, &[any, owned]),
            ["25599 buffers may run out under overload: the rings between 5 workers hold up to 20480; \
              raise `buffers` to 25600 or more, or have fewer `workers`"]
        );
        for (workers, buffers, kind) in
            [(5, 25_600, owned), (5, 25_599, any), (4, 16_384, owned), (1, 1024, owned), (5, 5119, owned)]
        {
            assert_eq!(said(workers, buffers, &[kind]), Vec::<String>::new(), "{workers} workers, {buffers} buffers");
        }
    }

    #[test]
    fn rings_take_up_to_half_of_the_buffers() {
        let ring = |workers, buffers| handoff_ring(&EngineSpec { workers, buffers, ..EngineSpec::default() });
        // As many as there are by default.
        assert_eq!([1, 2, 3, 4, 8].map(|workers| ring(workers, 16_384)), [4096, 4096, 1024, 1024, 1024]);
        assert_eq!([2, 3, 4, 8].map(|workers| ring(workers, 65_536)), [4096, 4096, 2048, 1024]);
        // 2 * 2048 is half of 8192; and never less than a replay needs.
        assert_eq!([8192, 8191, 2048].map(|buffers| ring(2, buffers)), [2048, 1024, 1024]);
    }
}
