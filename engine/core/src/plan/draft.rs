//! A graph whose words were looked up: sound or not.

use swath_api::{NodeKind, SlotInfo, TableKind};

use super::{
    BUFFERS_PER_WORKER, EdgePlan, InterfacePlan, MAX_INDEX, NodePlan, Plan, TablePlan, handoff, layers, order, slots, wiring,
};
use crate::driver::DriverKind;
use crate::parts::{self, NodeView, View};
use crate::registry::Registry;
use crate::spec::{
    Code, Diagnostic, Diagnostics, Doubts, EngineSpec, InterfaceSpec, NodeSpec, Spanned, Spec, TableSpec, suggestion,
};

/// A graph whose words were looked up. What has no mistake in it becomes a [`Plan`]; of what has one, the settings can be checked all
/// the same.
#[derive(Debug)]
pub struct Draft {
    engine: EngineSpec,
    interfaces: Vec<(InterfaceSpec, Option<DriverKind>)>,
    tables: Vec<TableDraft>,
    nodes: Vec<NodeDraft>,
    slots: Vec<(SlotInfo, u16)>,
    doubts: Doubts,
    sound: bool,
    /// With what libraries may do.
    registry: Registry,
}

/// A table, with its kind if there is such a kind.
#[derive(Debug)]
pub(super) struct TableDraft {
    pub spec: TableSpec,
    pub kind: Option<TableKind>,
}

/// A node, with its kind if there is such a kind.
#[derive(Debug)]
pub(super) struct NodeDraft {
    pub spec: NodeSpec,
    pub kind: Option<NodeKind>,
    /// Its edges, by id; none if there is no such kind.
    pub edges: Vec<EdgePlan>,
    /// For each edge the node that it is wired to, if there is one. Of an unknown kind those that are written.
    pub targets: Vec<Option<usize>>,
    /// Whether all that is written of its edges has been understood.
    pub complete: bool,
}

impl Draft {
    /// Looks up all words of a graph and checks how it is wired. It is sound if neither this nor reading it has found an error.
    pub fn new(spec: Spec, registry: &Registry, diagnostics: &mut Diagnostics) -> Draft {
        let Spec { engine, engine_span, plugins, interfaces, tables, nodes, tests: _, doubts } = spec;
        let mut draft = Draft {
            engine,
            interfaces: Vec::new(),
            tables: Vec::new(),
            nodes: Vec::new(),
            slots: Vec::new(),
            doubts,
            sound: false,
            registry: Registry::default(),
        };
        let errors = diagnostics.errors();
        let registry = &registry.of_graph(&plugins, diagnostics);
        // A kind that is not known may be one of a library that was refused.
        let doubtful = draft.doubts.plugins.is_any() || diagnostics.errors() > errors;
        let needed = usize::from(draft.engine.workers) * BUFFERS_PER_WORKER;
        if draft.engine.buffers < needed {
            let few = format!("{} buffers are too few for {} workers", draft.engine.buffers, draft.engine.workers);
            let mut diagnostic = Diagnostic::error(Code::Refused, few).help(format!("raise `buffers` to {needed} or more"));
            if let Some(span) = engine_span {
                diagnostic = diagnostic.primary(span, format!("each worker needs {BUFFERS_PER_WORKER} at least"));
            }
            diagnostics.push(diagnostic);
        }
        for (what, count) in [("nodes", nodes.len()), ("interfaces", interfaces.len())] {
            if count > MAX_INDEX {
                let many = format!("{count} {what} are too many: a graph has {MAX_INDEX} at most");
                diagnostics.push(Diagnostic::error(Code::Refused, many));
                return draft;
            }
        }
        let known: Vec<&str> = registry.drivers().iter().map(|driver| driver.name).collect();
        let interfaces = interfaces.into_iter().map(|spec| {
            let driver = registry.driver(&spec.driver.value);
            let driver = driver.or_else(|| unknown(&spec.driver, Code::UnknownDriver, "driver", &known, diagnostics));
            (spec, driver)
        });
        draft.interfaces = interfaces.collect();
        let known: Vec<&str> = registry.tables().iter().map(|kind| kind.info().kind.as_str()).collect();
        let tables = tables.into_iter().map(|spec| {
            let kind = registry.table(&spec.kind.value);
            let kind = kind.or_else(|| match doubtful {
                true => None,
                false => unknown(&spec.kind, Code::UnknownKind, "kind of table", &known, diagnostics),
            });
            TableDraft { spec, kind }
        });
        draft.tables = order::tables(tables.collect());
        let nodes = wiring::resolve(nodes, (&draft.doubts.nodes, doubtful), registry, diagnostics);
        // What the whole has to say is said of the parts that are sound; where that may change when others are mended, it is left.
        let broken = diagnostics.errors() > 0;
        let (nodes, sorted) = order::nodes(nodes, diagnostics);
        draft.nodes = nodes;
        if !draft.doubts.nodes.is_any() {
            wiring::warn_unreachable(&draft.nodes, diagnostics);
        }
        let kinds: Vec<NodeKind> = draft.nodes.iter().filter_map(|node| node.kind).collect();
        handoff::warn_few_buffers(&draft.engine, engine_span, &kinds, diagnostics);
        layers::check(&draft.nodes, diagnostics);
        draft.slots = slots::place(&draft.nodes, diagnostics);
        slots::check_written(&draft.nodes[..sorted], broken, diagnostics);
        draft.sound = diagnostics.errors() == 0;
        draft.registry = registry.clone();
        draft
    }

    /// The plan.
    ///
    /// # Errors
    /// It is not sound.
    pub fn plan(self) -> Result<Plan, Box<Draft>> {
        let known = self.interfaces.iter().all(|(_, driver)| driver.is_some())
            && self.tables.iter().all(|table| table.kind.is_some())
            && self.nodes.iter().all(|node| node.kind.is_some());
        if !self.sound || !known {
            return Err(Box::new(self));
        }
        let interfaces =
            self.interfaces.into_iter().filter_map(|(spec, driver)| Some(InterfacePlan { spec, driver: driver?, opener: None }));
        let tables = self.tables.into_iter().filter_map(|table| Some(TablePlan { spec: table.spec, kind: table.kind? }));
        let registry = &self.registry;
        let nodes = self.nodes.into_iter().filter_map(|NodeDraft { spec, kind, edges, targets, .. }| {
            let kind = kind?;
            Some(NodePlan { spec, kind, edges, targets, inserted: false, restart: registry.restart(&kind) })
        });
        Ok(Plan {
            engine: self.engine,
            interfaces: interfaces.collect(),
            tables: tables.collect(),
            nodes: nodes.collect(),
            slots: self.slots,
            shortcuts: registry.known_shortcuts(),
        })
    }

    /// As [`Plan::check`], for a graph that is not sound.
    pub fn check(&self, diagnostics: &mut Diagnostics) {
        let view = View {
            engine: &self.engine,
            interfaces: self.interfaces.iter().map(|(spec, driver)| (spec, *driver)).collect(),
            tables: self.tables.iter().map(|table| (&table.spec, table.kind)).collect(),
            nodes: self
                .nodes
                .iter()
                .map(|node| NodeView { spec: &node.spec, kind: node.kind, edges: &node.edges, targets: &node.targets })
                .collect(),
            slots: &self.slots,
            doubts: &self.doubts,
        };
        parts::check(&view, diagnostics);
    }
}

/// Reports a word that names nothing.
pub(super) fn unknown<T>(
    word: &Spanned<String>,
    code: Code,
    what: &str,
    known: &[&str],
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    diagnostics.push_error(|| {
        let diagnostic = Diagnostic::error(code, format!("unknown {what} `{}`", word.value)).primary(word.span, "");
        match suggestion(&word.value, &format!("a {what} is one of"), known) {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    });
    None
}
