//! The graph file as read: from its text to a [`Spec`], in which every word knows its place.
//!
//! ```text
//! text ──yaml──► Value ──► Spec { engine, interfaces, tables, nodes }
//!                  │            with settings left as Values for the kinds to read
//!                  └──────────► Diagnostics: all mistakes at once, each with a code and a place
//! ```
//!
//! Here the words are checked, not what they mean: whether a kind, an edge or a node of a name exists
//! is decided when the graph is planned.

mod code;
mod diagnostic;
mod engine;
mod entry;
mod graph;
mod interface;
mod locate;
mod render;
mod source;
mod suggest;
mod typed;
mod value;
pub mod yaml;

#[cfg(test)]
mod tests;

pub use code::Code;
pub use diagnostic::{Diagnostic, Diagnostics, Label, MAX_SHOWN, Severity};
pub use engine::{BUFFER_SIZE, BUFFERS, EngineSpec, Hugepages, WORKERS};
pub use entry::MAX_NAME;
pub use graph::{EdgeSpec, NodeSpec, TableSpec};
pub use interface::{InterfaceAddress, InterfaceSpec, MAX_MTU, MIN_MTU, MacAddress};
pub use locate::Place;
pub use source::{FileId, Position, Source, SourceMap, Span, Spanned};
pub use suggest::{did_you_mean, suggestion};
pub use typed::{deserialize, deserialize_all};
pub use value::{Entry, Node, Value};

/// The version of the language that is read here.
pub const VERSION: i64 = 1;

/// The sections of a graph file.
const SECTIONS: [&str; 5] = ["version", "engine", "interfaces", "tables", "nodes"];

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
    /// Names of nodes that are left out because of a mistake in them: who refers to one is not mistaken.
    pub unreadable: Vec<String>,
}

impl Spec {
    /// Reads a graph file and reports all mistakes in it.
    ///
    /// What has a mistake is left out of the result, so it may only be used if the diagnostics hold no
    /// errors; to look for more mistakes it serves all the same.
    pub fn read(source: &Source, diagnostics: &mut Diagnostics) -> Self {
        let mut spec = Self::default();
        let Some(root) = yaml::read(source, diagnostics) else {
            return spec;
        };
        if root.node == Node::Null {
            return spec;
        }
        let start = source.span(root.span.start as usize..root.span.start as usize);
        let Value { span, node } = root;
        let Node::Map(sections) = node else {
            let wrong = Value { span, node }.wrong_type("a mapping of sections");
            diagnostics.push(wrong.help("a graph starts with `version: 1`, followed by `nodes:`"));
            return spec;
        };
        let version = sections.iter().find(|section| &*section.key == "version");
        match version.map(|section| &section.value) {
            None => diagnostics.push(
                Diagnostic::error(Code::Version, "the version is missing")
                    .primary(start, "")
                    .help(format!("start the file with `version: {VERSION}`")),
            ),
            Some(version) if version.node == Node::Int(VERSION) => {}
            Some(version) => {
                diagnostics.push(
                    version
                        .mismatch(Code::Version, &format!("version {VERSION}"))
                        .help(format!("this program reads `version: {VERSION}`")),
                );
                // Another version has other words.
                if matches!(version.node, Node::Int(_)) {
                    return spec;
                }
            }
        }
        // A misspelt section is reported by itself.
        let has_nodes = sections.iter().any(|section| did_you_mean(&section.key, ["nodes"]).is_some());
        for section in sections {
            spec.read_section(section, diagnostics);
        }
        if !has_nodes {
            diagnostics.push(
                Diagnostic::error(Code::NoNodes, "the graph has no nodes").primary(start, "").help("add the section `nodes:`"),
            );
        }
        spec
    }

    fn read_section(&mut self, section: Entry, diagnostics: &mut Diagnostics) {
        let Entry { key, key_span, value } = section;
        match &*key {
            "version" => {}
            "engine" => {
                self.engine_span = Some(key_span);
                self.engine = EngineSpec::read(value, diagnostics);
            }
            "interfaces" => self.interfaces = read_all(value, diagnostics, InterfaceSpec::read),
            "tables" => self.tables = read_all(value, diagnostics, TableSpec::read),
            "nodes" => {
                let is_empty = matches!(&value.node, Node::Map(nodes) if nodes.is_empty());
                if is_empty || value.node == Node::Null {
                    diagnostics.push(
                        Diagnostic::error(Code::NoNodes, "the graph has no nodes")
                            .primary(key_span, "this section is empty")
                            .help("add a node: `name: { kind: ... }`"),
                    );
                }
                let names = match &value.node {
                    Node::Map(nodes) => nodes.iter().map(|entry| entry.key.to_string()).collect(),
                    _ => Vec::new(),
                };
                self.nodes = read_all(value, diagnostics, NodeSpec::read);
                self.unreadable = names;
                self.unreadable.retain(|name| !self.nodes.iter().any(|node| node.name.value == *name));
            }
            _ => {
                let unknown =
                    Diagnostic::error(Code::UnknownSection, format!("unknown section `{key}`")).primary(key_span, "not known");
                let help = suggestion(&key, "the sections are", &SECTIONS);
                diagnostics.push(unknown.help(help.unwrap_or_default()));
            }
        }
    }
}

/// Reads all entries of a section.
fn read_all<T>(section: Value, diagnostics: &mut Diagnostics, read: impl Fn(Entry, &mut Diagnostics) -> Option<T>) -> Vec<T> {
    match section.node {
        Node::Map(entries) => entries.into_iter().filter_map(|entry| read(entry, diagnostics)).collect(),
        Node::Null => Vec::new(),
        _ => {
            let wrong = section.wrong_type("a mapping");
            diagnostics.push(wrong.help("each entry is written as `name: { ... }`"));
            Vec::new()
        }
    }
}
