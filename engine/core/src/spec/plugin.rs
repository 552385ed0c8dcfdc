//! The section `plugins`: libraries whose kinds the graph uses.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::entry::{Declared, word};
use super::source::{Span, Spanned};
use super::value::{Entry, Node};

/// A plugin as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSpec {
    /// Its name in this file.
    pub name: Spanned<String>,
    /// The file of the library, without its directory.
    pub file: Spanned<String>,
    /// What the file has to be: its SHA-256, in hexadecimal digits.
    pub sha256: Option<Spanned<String>>,
}

impl PluginSpec {
    pub(super) fn read(entry: Entry, diagnostics: &mut Diagnostics) -> Option<Self> {
        if let Node::Str(_) = entry.value.node {
            let file = diagnostics.ok(word(&entry.value))?;
            let name = Declared::name(&entry, "a plugin", diagnostics);
            return Some(Self { name, file, sha256: None });
        }
        let mut declared = Declared::read(entry, "a plugin", &["file", "sha256"], diagnostics)?;
        if let Node::Map(others) = &declared.settings.node {
            others
                .iter()
                .for_each(|other| diagnostics.push(Diagnostic::unknown_key(&other.key, other.key_span, &["file", "sha256"])));
        }
        let sha256 = match declared.take("sha256") {
            Some(value) => Some(diagnostics.ok(word(&value))?),
            None => None,
        };
        Some(Self { file: declared.word("file", diagnostics)?, name: declared.name, sha256 })
    }

    /// Where a setting of it stands.
    #[must_use]
    pub fn span(&self, setting: &str) -> Span {
        match &self.sha256 {
            Some(sha256) if setting == "sha256" => sha256.span,
            _ => self.file.span,
        }
    }
}
