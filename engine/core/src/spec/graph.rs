//! The sections `tables` and `nodes`: the shared state, and the graph itself.

use super::diagnostic::Diagnostics;
use super::entry::{Declared, word};
use super::source::{Span, Spanned};
use super::value::{Entry, Node, Value};

/// A table as written.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    /// Its name in this file.
    pub name: Spanned<String>,
    /// Which kind of table.
    pub kind: Spanned<String>,
    /// The settings of the kind.
    pub settings: Value,
}

/// A node as written.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSpec {
    /// Its name in this file.
    pub name: Spanned<String>,
    /// Which kind of node.
    pub kind: Spanned<String>,
    /// Where its packets go.
    pub to: Vec<EdgeSpec>,
    /// Edges of it that the instance of a template around it could have wired, and has not.
    pub open: Vec<ExitSpec>,
    /// The settings of the kind.
    pub settings: Value,
}

/// An edge of an instance of a template that is not wired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitSpec {
    /// The edge of the node; `None` is its main edge.
    pub edge: Option<String>,
    /// What the template calls it.
    pub exit: String,
    /// The instance.
    pub instance: Spanned<String>,
}

/// An edge as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeSpec {
    /// The edge of the node; `None` is its main edge, written as `to: NODE`.
    pub edge: Option<Spanned<String>>,
    /// The name of the node that it leads to.
    pub to: Spanned<String>,
}

impl EdgeSpec {
    /// The place where the edge is named.
    #[must_use]
    pub fn span(&self) -> Span {
        self.edge.as_ref().map_or(self.to.span, |edge| edge.span)
    }
}

impl TableSpec {
    pub(super) fn read(entry: Entry, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut declared = Declared::read(entry, "a table", &["kind"], diagnostics)?;
        Some(Self { kind: declared.word("kind", diagnostics)?, name: declared.name, settings: declared.settings })
    }
}

impl NodeSpec {
    pub(super) fn read(entry: Entry, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut declared = Declared::read(entry, "a node", &["kind", "to"], diagnostics)?;
        let to = declared.take("to").map(|to| read_edges(to, diagnostics));
        Some(Self {
            kind: declared.word("kind", diagnostics)?,
            name: declared.name,
            to: to.unwrap_or_default(),
            open: Vec::new(),
            settings: declared.settings,
        })
    }
}

pub(super) fn read_edges(to: Value, diagnostics: &mut Diagnostics) -> Vec<EdgeSpec> {
    let edges = match to.node {
        Node::Map(edges) => edges,
        Node::Str(_) => {
            let to = diagnostics.ok(word(&to));
            return to.map(|to| EdgeSpec { edge: None, to }).into_iter().collect();
        }
        _ => {
            let wrong = to.wrong_type("the name of a node, or a mapping from edges to nodes");
            diagnostics.push(wrong.help("write `to: NODE` for the main edge, or `to: { EDGE: NODE }`"));
            return Vec::new();
        }
    };
    let edges = edges.into_iter().filter_map(|entry| {
        let to = diagnostics.ok(word(&entry.value))?;
        let edge = Some(Spanned::new(entry.key.to_string(), entry.key_span));
        Some(EdgeSpec { edge, to })
    });
    edges.collect()
}
