//! Diagnostics: what is wrong, where, and what to do about it.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::json;

use super::code::Code;
use super::source::{Position, SourceMap, Span};

/// How many errors, and how many warnings, are kept and shown; the rest is counted. Somebody who
/// sees a hundred errors mends the first and looks again.
pub const MAX_SHOWN: usize = 100;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The graph is refused.
    Error,
    /// The graph is accepted, but somebody should look.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A place that a diagnostic points at, and what is to be said there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What stands beside the caret; may be empty.
    pub text: String,
    /// Whether this is the place of the mistake, or one that explains it.
    pub primary: bool,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of mistake.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// The mistake in one line, complete without the source beside it.
    pub message: String,
    /// The places, the primary one first.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
    /// In how many further instances of a template there is the same mistake.
    pub repeated: usize,
}

impl Diagnostic {
    /// An error without places.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None, repeated: 0 }
    }

    /// A warning without places.
    #[must_use]
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds the place of the mistake.
    #[must_use]
    pub fn primary(self, span: Span, text: impl Into<String>) -> Self {
        self.label(span, text.into(), true)
    }

    /// Adds a place that explains the mistake.
    #[must_use]
    pub fn secondary(self, span: Span, text: impl Into<String>) -> Self {
        self.label(span, text.into(), false)
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn label(mut self, span: Span, text: String, primary: bool) -> Self {
        self.labels.push(Label { span, text, primary });
        self.labels.sort_by_key(|label| !label.primary);
        self
    }

    /// The place of the mistake.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }

    /// The diagnostic as data, for editors and CI.
    #[must_use]
    pub fn to_json(&self, sources: &SourceMap) -> serde_json::Value {
        let mut json = match self.span() {
            Some(span) => place_to_json(sources, span),
            None => json!({}),
        };
        let labels = self.labels.iter().map(|label| {
            let mut json = place_to_json(sources, label.span);
            json["text"] = label.text.as_str().into();
            json["primary"] = label.primary.into();
            json
        });
        json["labels"] = labels.collect();
        json["code"] = self.code.text().into();
        json["severity"] = self.severity.text().into();
        json["message"] = self.message.as_str().into();
        json["help"] = self.help.as_deref().into();
        if self.repeated > 0 {
            json["repeated"] = self.repeated.into();
        }
        json
    }
}

fn place_to_json(sources: &SourceMap, span: Span) -> serde_json::Value {
    let Some(source) = sources.get(span.file) else {
        return json!({});
    };
    let Range { start, end } = span.range();
    let (start, end): (Position, Position) = (source.position(start), source.position(end));
    json!({
        "file": source.name(),
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    })
}

/// All diagnostics of a graph.
#[derive(Debug, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    /// Those that say the same as one that is kept, of another instance of a template.
    repeated: usize,
    instances: HashSet<String>,
}

impl Diagnostics {
    /// No diagnostics yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; of each severity, the first [`MAX_SHOWN`] are kept.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        let is_full = *count - self.repeated.min(*count) > MAX_SHOWN;
        if !self.instances.is_empty() {
            let words = self.without_instances(&diagnostic.message);
            let same = |kept: &Diagnostic| kept.code == diagnostic.code && kept.span() == diagnostic.span();
            let known = self.kept.iter().position(|kept| same(kept) && self.without_instances(&kept.message) == words);
            if let Some(known) = known {
                self.kept[known].repeated += 1;
                self.repeated += 1;
                return;
            }
        }
        if !is_full {
            self.kept.push(diagnostic);
        }
    }

    /// Takes the names of the instances of templates: what is wrong in several in the same place of the template is told once.
    pub(super) fn know_instances(&mut self, names: impl IntoIterator<Item = String>) {
        self.instances.extend(names);
    }

    /// A message without the names of instances before those of nodes.
    fn without_instances(&self, message: &str) -> String {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/');
        let word = |word: &str| match word.rsplit_once('/') {
            Some((instance, node)) if self.instances.contains(instance) => node.to_owned(),
            _ => word.to_owned(),
        };
        let mut words = String::with_capacity(message.len());
        let mut rest = message;
        while let Some(start) = rest.find(is_name) {
            let end = rest[start..].find(|c| !is_name(c)).map_or(rest.len(), |length| start + length);
            words += &rest[..start];
            words += &word(&rest[start..end]);
            rest = &rest[end..];
        }
        words + rest
    }

    /// Whether a further error would only be counted: there is no need to word it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.errors - self.repeated.min(self.errors) >= MAX_SHOWN
    }

    /// Adds an error that is worded only if it will be shown.
    pub fn push_error(&mut self, word: impl FnOnce() -> Diagnostic) {
        if self.is_full() {
            self.errors += 1;
        } else {
            self.push(word());
        }
    }

    /// The value of a result; its error is added.
    pub fn ok<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|diagnostic| self.push(diagnostic)).ok()
    }

    /// How many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings there are.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// How many were only counted.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.errors + self.warnings - self.kept.len() - self.repeated
    }

    /// Those that were kept, by file and place.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<_> = self.kept.iter().collect();
        all.sort_by_key(|diagnostic| diagnostic.span());
        all
    }

    /// The diagnostics as data, for editors and CI: a list, by file and place.
    #[must_use]
    pub fn to_json(&self, sources: &SourceMap) -> serde_json::Value {
        let all = self.sorted();
        all.iter().map(|one| one.to_json(sources)).collect()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        let mut all = Self::new();
        all.push(diagnostic);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_counts_all() {
        let mut sources = SourceMap::new();
        let id = sources.add("a.yaml", "x");
        let span = sources.get(id).unwrap().span(0..1);
        let mut all = Diagnostics::new();
        for _ in 0..MAX_SHOWN + 5 {
            all.push(Diagnostic::warning(Code::Setting, "w"));
        }
        all.push(Diagnostic::error(Code::Syntax, "e").primary(span, ""));
        assert_eq!((all.errors(), all.warnings(), all.omitted()), (1, 105, 5));
        assert_eq!(all.sorted().len(), MAX_SHOWN + 1);
    }

    #[test]
    fn json_has_everything_that_an_editor_needs() {
        let mut sources = SourceMap::new();
        let id = sources.add("a.yaml", "ä: 1\nä: 2\n");
        let source = sources.get(id).unwrap();
        let diagnostic = Diagnostic::error(Code::DuplicateKey, "twice")
            .secondary(source.span(0..2), "first")
            .primary(source.span(6..8), "again")
            .help("rename");
        assert_eq!(
            Diagnostics::from(diagnostic).to_json(&sources),
            json!([{
                "code": "SW0006", "severity": "error", "message": "twice", "file": "a.yaml",
                "line": 2, "column": 1, "end_line": 2, "end_column": 2, "help": "rename",
                "labels": [
                    {"file": "a.yaml", "line": 2, "column": 1, "end_line": 2, "end_column": 2,
                     "text": "again", "primary": true},
                    {"file": "a.yaml", "line": 1, "column": 1, "end_line": 1, "end_column": 2,
                     "text": "first", "primary": false},
                ],
            }])
        );
    }
}
