//! What is different about the graph that a step of a test goes over to.

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::load::Sections;
use super::source::Span;
use super::suggest::suggestion;
use super::value::{Entry, Node, Value};

/// The sections that may differ. The others are the process's, or serve these.
const SECTIONS: [&str; 3] = ["interfaces", "tables", "nodes"];

/// Parts of the graph that are others, new or, with nothing as their value, gone. All else is as the file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    span: Span,
    /// By index of [`SECTIONS`].
    sections: [Vec<Entry>; 3],
}

impl Changes {
    pub(super) fn read(value: Value, diagnostics: &mut Diagnostics) -> Option<Changes> {
        let Value { span, node: Node::Map(entries) } = value else {
            let wrong = value.wrong_type("a mapping of sections");
            diagnostics
                .push(wrong.help("write `reload: { tables: { NAME: { kind: ... } } }`; `{}` is the graph as the file says it"));
            return None;
        };
        let mut changes = Changes { span, sections: Default::default() };
        for Entry { key, key_span, value } in entries {
            match (SECTIONS.iter().position(|section| *section == &*key), value.node) {
                (None, _) => diagnostics.push(Diagnostic::unknown_key(&key, key_span, &SECTIONS)),
                (Some(section), Node::Map(parts)) => changes.sections[section] = parts,
                (Some(_), node) => {
                    let wrong = Value { span: value.span, node }.wrong_type("a mapping");
                    diagnostics.push(wrong.help("each entry is written as `name: { ... }`, and one that is to go as `name: null`"));
                }
            }
        }
        Some(changes)
    }

    /// Where they are written.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Makes the sections of a graph those of the other one.
    pub(super) fn apply(&self, sections: &mut Sections, diagnostics: &mut Diagnostics) {
        let parts = [&mut sections.interfaces, &mut sections.tables, &mut sections.nodes];
        for ((changed, parts), section) in self.sections.iter().zip(parts).zip(SECTIONS) {
            for entry in changed {
                let at = parts.iter().position(|part| part.key == entry.key);
                match (at, &entry.value.node) {
                    (Some(at), Node::Null) => drop(parts.remove(at)),
                    (Some(at), _) => parts[at] = entry.clone(),
                    (None, Node::Null) => diagnostics.push(not_there(entry, section, parts)),
                    (None, _) => parts.push(entry.clone()),
                }
            }
        }
    }
}

fn not_there(entry: &Entry, section: &str, parts: &[Entry]) -> Diagnostic {
    let known: Vec<&str> = parts.iter().map(|part| &*part.key).collect();
    let missing = Diagnostic::error(Code::BadValue, format!("there is no `{}` in `{section}` that could go", entry.key));
    let missing = missing.primary(entry.key_span, "not in the graph");
    match suggestion(&entry.key, "it has", &known) {
        Some(help) => missing.help(help),
        None => missing,
    }
}
