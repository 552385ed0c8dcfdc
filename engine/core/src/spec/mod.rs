//! The graph file as read: from its text to a [`Spec`], in which every word knows its place.
//!
//! ```text
//! text ──yaml──► Value ──load──► Sections ──► Spec { engine, interfaces, tables, nodes, tests }
//!                  │   (included files) │        with settings left as Values for the kinds to read
//!                  │                    └─ variables, data files, templates
//!                  └──────────► Diagnostics: all mistakes at once, each with a code and a place
//! ```
//!
//! Here the words are checked, not what they mean: whether a kind, an edge or a node of a name exists
//! is decided when the graph is planned.

use std::collections::HashSet;

mod cases;
mod code;
mod data;
mod diagnostic;
mod engine;
mod entry;
mod graph;
mod instances;
mod interface;
mod load;
mod locate;
mod render;
mod source;
mod suggest;
mod template;
mod typed;
mod value;
mod variables;
mod world;
pub mod yaml;

#[cfg(test)]
mod language_tests;
#[cfg(test)]
mod tests;

pub use cases::{DropSpec, PacketSpec, StepSpec, TestSpec, TrafficSpec};
pub use code::Code;
pub use data::FROM;
pub use diagnostic::{Diagnostic, Diagnostics, Label, MAX_SHOWN, Severity};
pub use engine::{BUFFER_SIZE, BUFFERS, EngineSpec, Hugepages, WORKERS};
pub use entry::MAX_NAME;
pub use graph::{EdgeSpec, ExitSpec, NodeSpec, TableSpec};
pub use interface::{InterfaceAddress, InterfaceSpec, MAX_MTU, MIN_MTU, MacAddress};
pub use locate::Place;
pub use source::{FileId, Position, Source, SourceMap, Span, Spanned};
pub use suggest::{did_you_mean, suggestion};
pub use typed::{deserialize, deserialize_all};
pub use value::{Entry, Node, Value};
pub use world::{Machine, Nothing, World};

use data::Files;
use instances::Expander;
use load::{Loader, Sections};
use template::Template;

/// The version of the language that is read here.
pub const VERSION: i64 = 1;

/// The sections of a graph file.
const SECTIONS: [&str; 8] = ["version", "include", "engine", "interfaces", "tables", "templates", "nodes", "tests"];

/// A graph file as written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// The settings of the process.
    pub engine: EngineSpec,
    /// Where they stand, if they are written.
    pub engine_span: Option<Span>,
    /// The attachments to the world outside.
    pub interfaces: Vec<InterfaceSpec>,
    /// The shared state.
    pub tables: Vec<TableSpec>,
    /// The graph itself.
    pub nodes: Vec<NodeSpec>,
    /// What it is to do, by example: the tests of the root file.
    pub tests: Vec<TestSpec>,
    /// What is left out because of a mistake in it.
    pub unreadable: Unreadable,
}

/// Names that are left out of a [`Spec`] because of a mistake in what they stand for: who refers to one is not mistaken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unreadable {
    /// Of interfaces.
    pub interfaces: HashSet<String>,
    /// Of tables.
    pub tables: HashSet<String>,
    /// Of nodes, and of instances of templates.
    pub nodes: HashSet<String>,
}

impl Unreadable {
    /// Whether a node is left out, or the instance of a template that it stands in.
    #[must_use]
    pub fn node(&self, name: &str) -> bool {
        let around = name.match_indices('/').map(|(at, _)| &name[..at]);
        around.chain([name]).any(|name| self.nodes.contains(name))
    }
}

impl Spec {
    /// Reads a graph with the files that it includes, and reports all mistakes in them.
    ///
    /// What has a mistake is left out of the result, so it may only be used if the diagnostics hold no
    /// errors; to look for more mistakes it serves all the same.
    pub fn read(root: FileId, sources: &mut SourceMap, world: &dyn World, diagnostics: &mut Diagnostics) -> Self {
        let Some(sections) = Loader::new(root, world, sources, diagnostics).read() else { return Self::default() };
        let Sections { engine, interfaces, tables, templates, nodes, tests } = sections;
        let mut spec = Self::default();
        let mut expander = Expander::new(Files { world, sources });
        if let Some((span, mut settings)) = engine {
            let errors = diagnostics.errors();
            expander.files.scope(None).substitute(&mut settings, diagnostics);
            spec.engine_span = Some(span);
            if diagnostics.errors() == errors {
                spec.engine = EngineSpec::read(settings, diagnostics);
            }
        }
        expander.interfaces = names(&interfaces);
        expander.tables = names(&tables);
        let Unreadable { interfaces: bad_interfaces, tables: bad_tables, .. } = &mut spec.unreadable;
        spec.interfaces = read_all(interfaces, &mut expander.files, bad_interfaces, diagnostics, |entry, _, diagnostics| {
            InterfaceSpec::read(entry, diagnostics)
        });
        spec.tables = read_all(tables, &mut expander.files, bad_tables, diagnostics, |entry, files, diagnostics| {
            let mut table = TableSpec::read(entry, diagnostics)?;
            files.attach(&mut table.settings, diagnostics);
            Some(table)
        });
        for entry in templates {
            let name = entry.key.to_string();
            match Template::read(entry, &expander.files.scope(None), diagnostics) {
                Some(template) => expander.declare(template),
                None => drop(expander.bad_templates.insert(name)),
            }
        }
        expander.expand(nodes, diagnostics);
        if let Some(mut tests) = tests {
            let errors = diagnostics.errors();
            expander.files.scope(None).substitute(&mut tests, diagnostics);
            if diagnostics.errors() == errors {
                spec.tests = TestSpec::read_all(tests, diagnostics);
            }
        }
        spec.nodes = expander.nodes;
        spec.unreadable.nodes = expander.unreadable;
        spec
    }
}

fn names(entries: &[Entry]) -> HashSet<String> {
    entries.iter().map(|entry| entry.key.to_string()).collect()
}

/// Reads all entries of a section; what has a mistake is left out, or good enough to look for more in it.
fn read_all<T>(
    entries: Vec<Entry>,
    files: &mut Files<'_>,
    unreadable: &mut HashSet<String>,
    diagnostics: &mut Diagnostics,
    read: impl Fn(Entry, &mut Files<'_>, &mut Diagnostics) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let errors = diagnostics.errors();
        let name = entry.key.to_string();
        files.scope(None).substitute(&mut entry.value, diagnostics);
        let read = if diagnostics.errors() == errors { read(entry, files, diagnostics) } else { None };
        match read {
            Some(read) => all.push(read),
            None => drop(unreadable.insert(name)),
        }
    }
    all
}
