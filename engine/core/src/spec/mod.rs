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
use std::sync::Arc;

mod cases;
mod changes;
mod code;
mod data;
mod diagnostic;
mod doubts;
mod engine;
mod entry;
mod files;
mod graph;
mod instances;
mod interface;
mod load;
mod locate;
mod plugin;
mod records;
mod render;
mod rows;
mod source;
mod suggest;
mod template;
mod text;
mod typed;
mod value;
mod variables;
mod world;
pub mod yaml;

#[cfg(test)]
mod language_tests;
#[cfg(test)]
pub(crate) mod rows_tests;
#[cfg(test)]
mod tests;

pub use cases::{DropSpec, LinkSpec, PacketSpec, StepSpec, TestSpec, TrafficSpec};
pub use changes::Changes;
pub use code::Code;
pub use data::FROM;
pub use diagnostic::{Diagnostic, Diagnostics, Label, MAX_SHOWN, Severity};
pub use doubts::{Doubt, Doubts};
pub use engine::{BUFFER_SIZE, BUFFERS, EngineSpec, Hugepages, Idle, WORKERS, Whereabouts};
pub use entry::MAX_NAME;
pub use files::{GraphFile, GraphFiles};
pub use graph::{EdgeSpec, ExitSpec, NodeSpec, TableSpec};
pub use interface::{InterfaceAddress, InterfaceSpec, MAX_MTU, MIN_MTU, MacAddress};
pub use locate::Place;
pub use plugin::PluginSpec;
pub use records::Record;
pub use rows::{List, Row, Rows};
pub use source::{FileId, Position, Source, SourceMap, Span, Spanned};
pub use suggest::{did_you_mean, suggestion};
pub use text::Text;
pub use typed::{deserialize, deserialize_all};
pub use value::{Entry, Node, Value};
pub use world::{Content, Machine, Nothing, World};

use data::Files;
use instances::Expander;
use load::{Loader, Sections};
use template::Template;

/// The version of the language that is read here.
pub const VERSION: i64 = 1;

/// The sections of a graph file.
const SECTIONS: [&str; 9] = ["version", "include", "engine", "plugins", "interfaces", "tables", "templates", "nodes", "tests"];

/// A graph file as written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// The settings of the process.
    pub engine: EngineSpec,
    /// Where they stand, if they are written.
    pub engine_span: Option<Span>,
    /// The libraries that have kinds of it.
    pub plugins: Vec<PluginSpec>,
    /// The attachments to the world outside.
    pub interfaces: Vec<InterfaceSpec>,
    /// The shared state.
    pub tables: Vec<TableSpec>,
    /// The graph itself.
    pub nodes: Vec<NodeSpec>,
    /// What it is to do, by example: the tests of the root file.
    pub tests: Vec<TestSpec>,
    /// Which parts have a mistake in them: what would only follow from it is not reported as another.
    pub doubts: Doubts,
}

impl Spec {
    /// Reads a graph with the files that it includes, and reports all mistakes in them.
    ///
    /// What has a mistake is left out of the result, so it may only be used if the diagnostics hold no
    /// errors; to look for more mistakes it serves all the same.
    pub fn read(root: FileId, sources: &mut SourceMap, world: &dyn World, diagnostics: &mut Diagnostics) -> Self {
        match Loader::new(root, world, sources, diagnostics).read() {
            Some(sections) => Self::of(sections, sources, world, diagnostics),
            None => Self::default(),
        }
    }

    /// As [`Spec::read`], of the graph that a step of a test goes over to: the same, but for what is changed. The files are read again.
    pub fn read_changed(
        root: FileId,
        changes: &Changes,
        sources: &mut SourceMap,
        world: &dyn World,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let Some(mut sections) = Loader::new(root, world, sources, diagnostics).read() else { return Self::default() };
        changes.apply(&mut sections, diagnostics);
        sections.tests = None;
        Self::of(sections, sources, world, diagnostics)
    }

    fn of(sections: Sections, sources: &mut SourceMap, world: &dyn World, diagnostics: &mut Diagnostics) -> Self {
        let Sections { engine, plugins, interfaces, tables, templates, nodes, tests, doubts } = sections;
        let mut spec = Self { doubts, ..Self::default() };
        let mut expander = Expander::new(Files { world, sources });
        if let Some((span, mut settings)) = engine {
            let errors = diagnostics.errors();
            expander.files.scope(None).substitute(&mut settings, diagnostics);
            spec.engine_span = Some(span);
            if diagnostics.errors() == errors {
                spec.engine = EngineSpec::read(settings, diagnostics);
            }
        }
        let Doubts { plugins: doubt, .. } = &mut spec.doubts;
        spec.plugins = read_all(plugins, &mut expander.files, doubt, diagnostics, |entry, _, diagnostics| {
            PluginSpec::read(entry, diagnostics)
        });
        expander.interfaces = names(&interfaces);
        expander.tables = names(&tables);
        let Doubts { interfaces: doubt, .. } = &mut spec.doubts;
        spec.interfaces = read_all(interfaces, &mut expander.files, doubt, diagnostics, |entry, files, diagnostics| {
            let mut interface = InterfaceSpec::read(entry, diagnostics)?;
            interface.directory = load::beside(files.sources, interface.name.span.file, "");
            Some(interface)
        });
        let Doubts { tables: doubt, .. } = &mut spec.doubts;
        spec.tables = read_all(tables, &mut expander.files, doubt, diagnostics, |entry, files, diagnostics| {
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
        expander.expand(nodes, &mut spec.doubts, diagnostics);
        if let Some(mut tests) = tests {
            let errors = diagnostics.errors();
            expander.files.scope(None).substitute(&mut tests, diagnostics);
            if diagnostics.errors() == errors {
                spec.tests = TestSpec::read_all(tests, diagnostics);
            }
        }
        spec.nodes = expander.nodes;
        spec
    }
}

fn names(entries: &[Entry]) -> HashSet<String> {
    entries.iter().map(|entry| entry.key.to_string()).collect()
}

/// Reads all entries of a section, and notes those with mistakes.
fn read_all<T>(
    entries: Vec<Entry>,
    files: &mut Files<'_>,
    doubt: &mut Doubt,
    diagnostics: &mut Diagnostics,
    read: impl Fn(Entry, &mut Files<'_>, &mut Diagnostics) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let (name, errors) = (Arc::clone(&entry.key), diagnostics.errors());
        files.scope(None).substitute(&mut entry.value, diagnostics);
        if diagnostics.errors() == errors {
            all.extend(read(entry, files, diagnostics));
        }
        if diagnostics.errors() > errors {
            doubt.doubt(&name);
        }
    }
    all
}
