//! From words to a plan: kinds found, edges resolved, nodes numbered in topological order, and everything checked that can be checked
//! before a node exists. All mistakes are reported, not the first.

mod diff;
mod layers;
mod slots;
mod wiring;

use swath_api::{NodeKind, SlotInfo, TableKind};

pub use diff::{Cause, Change, Diff, EdgeChange, Element, Fate, SettingChange, What};

use crate::driver::{DriverKind, Opener};
use crate::registry::Registry;
use crate::spec::{Code, Diagnostic, Diagnostics, EngineSpec, InterfaceSpec, NodeSpec, Spanned, Spec, TableSpec, suggestion};

/// Buffers for each worker, at least: its cache alone may keep 768 that no other worker can have.
pub const BUFFERS_PER_WORKER: usize = 1024;

/// Nodes, or interfaces, that a graph may have: their indexes have 16 bits, of which some values are taken.
const MAX_INDEX: usize = 60_000;

/// A graph that is sound as far as can be told without making its parts.
#[derive(Debug)]
pub struct Plan {
    /// The settings of the process.
    pub engine: EngineSpec,
    /// By interface index.
    pub interfaces: Vec<InterfacePlan>,
    /// In an order in which each table comes after those that it refers to.
    pub tables: Vec<TablePlan>,
    /// In topological order: an edge leads to a higher index.
    pub nodes: Vec<NodePlan>,
    /// Slots of the cold line, with their places.
    pub slots: Vec<(SlotInfo, u16)>,
}

/// An interface with its driver.
#[derive(Debug)]
pub struct InterfacePlan {
    /// As written.
    pub spec: InterfaceSpec,
    /// Its driver.
    pub driver: DriverKind,
    /// What attaches it in the place of its driver, for replays and tests.
    pub opener: Option<Opener>,
}

/// A table with its kind.
#[derive(Debug)]
pub struct TablePlan {
    /// As written.
    pub spec: TableSpec,
    /// Its kind.
    pub kind: TableKind,
}

/// A node with its kind and its edges.
#[derive(Debug)]
pub struct NodePlan {
    /// As written.
    pub spec: NodeSpec,
    /// Its kind.
    pub kind: NodeKind,
    /// For each edge of the kind the index of the node that it leads to, if it is wired.
    pub targets: Vec<Option<usize>>,
}

impl Plan {
    /// Plans a graph. `None`, with diagnostics, if it is not sound.
    pub fn new(spec: Spec, registry: &Registry, diagnostics: &mut Diagnostics) -> Option<Plan> {
        let mut errors = diagnostics.errors();
        let Spec { engine, engine_span, interfaces, tables, nodes, unreadable, tests: _ } = spec;
        let needed = usize::from(engine.workers) * BUFFERS_PER_WORKER;
        if engine.buffers < needed {
            let few = format!("{} buffers are too few for {} workers", engine.buffers, engine.workers);
            let mut diagnostic = Diagnostic::error(Code::Refused, few).help(format!("raise `buffers` to {needed} or more"));
            if let Some(span) = engine_span {
                diagnostic = diagnostic.primary(span, format!("each worker needs {BUFFERS_PER_WORKER} at least"));
            }
            diagnostics.push(diagnostic);
        }
        for (what, count) in [("nodes", nodes.len()), ("interfaces", interfaces.len())] {
            if count > MAX_INDEX {
                diagnostics.push(Diagnostic::error(
                    Code::Refused,
                    format!("{count} {what} are too many: a graph has {MAX_INDEX} at most"),
                ));
                return None;
            }
        }
        let interfaces = interfaces.into_iter().filter_map(|spec| {
            let known: Vec<&str> = registry.drivers().iter().map(|driver| driver.name).collect();
            let driver = registry.driver(&spec.driver.value);
            let driver = driver.or_else(|| unknown(&spec.driver, Code::UnknownDriver, "driver", &known, diagnostics))?;
            Some(InterfacePlan { spec, driver, opener: None })
        });
        let interfaces: Vec<InterfacePlan> = interfaces.collect();
        let tables = tables.into_iter().filter_map(|spec| {
            let known: Vec<&str> = registry.tables().iter().map(|kind| kind.info().kind.as_str()).collect();
            let kind = registry.table(&spec.kind.value);
            let kind = kind.or_else(|| unknown(&spec.kind, Code::UnknownKind, "kind of table", &known, diagnostics))?;
            Some(TablePlan { spec, kind })
        });
        let tables = in_order(tables.collect());
        let nodes = wiring::resolve(nodes, &unreadable, registry, diagnostics);
        // What follows looks at the graph as a whole, and would report what is only the consequence of an error above.
        if diagnostics.errors() > errors {
            return None;
        }
        let nodes = wiring::sort(nodes, diagnostics)?;
        errors = diagnostics.errors();
        layers::check(&nodes, diagnostics);
        let slots = slots::place(&nodes, diagnostics);
        (diagnostics.errors() == errors).then_some(Plan { engine, interfaces, tables, nodes, slots })
    }
}

/// Reports a word that names nothing.
fn unknown<T>(word: &Spanned<String>, code: Code, what: &str, known: &[&str], diagnostics: &mut Diagnostics) -> Option<T> {
    let mut diagnostic = Diagnostic::error(code, format!("unknown {what} `{}`", word.value)).primary(word.span, "");
    if let Some(help) = suggestion(&word.value, &format!("a {what} is one of"), known) {
        diagnostic = diagnostic.help(help);
    }
    diagnostics.push(diagnostic);
    None
}

/// Tables after those whose kinds they refer to. Kinds that refer to each other in a circle would be a defect of the kinds; their
/// tables keep the order of the file, and say themselves what they miss.
fn in_order(mut tables: Vec<TablePlan>) -> Vec<TablePlan> {
    let mut ordered: Vec<TablePlan> = Vec::with_capacity(tables.len());
    while !tables.is_empty() {
        let waits = |table: &TablePlan| {
            let uses = table.kind.info().uses.as_slice();
            tables.iter().any(|other| other.spec.name != table.spec.name && uses.contains(&other.kind.info().kind))
        };
        let next = tables.iter().position(|table| !waits(table)).unwrap_or(0);
        ordered.push(tables.remove(next));
    }
    ordered
}
