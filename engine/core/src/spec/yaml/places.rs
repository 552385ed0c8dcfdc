//! The places of values, from the scanner's marks and the text.

use saphyr_parser::Span as Marks;

use super::alias::Anchor;
use super::{Open, Reader, syntax};
use crate::spec::code::Code;
use crate::spec::diagnostic::Diagnostic;
use crate::spec::source::Span;

impl Reader<'_> {
    /// The bytes of an event, without blanks at their end.
    pub(super) fn span(&self, marks: Marks) -> Span {
        let start = self.offsets.byte(marks.start.index());
        let end = self.offsets.byte(marks.end.index()).max(start);
        let shown = self.source.text()[start..end].trim_end();
        self.source.span(start..start + shown.len())
    }

    /// The span of a value from its first event, without an anchor before it, which is noted.
    pub(super) fn start(&mut self, marks: Marks, anchor: usize, has_tag: bool) -> Span {
        let text = self.source.text();
        let span = self.span(marks);
        let (mut at, end) = (span.start as usize, self.offsets.byte(marks.end.index()));
        if has_tag {
            let tag = syntax::word(text, at);
            self.diagnostics.push(
                Diagnostic::error(Code::Tag, "tags are not supported")
                    .primary(self.source.span(at..at + tag.len().max(1)), "a tag")
                    .help("remove the tag; put a text that starts with `!` in quotes"),
            );
        } else if anchor > 0 {
            let name = syntax::word(text, at + 1);
            let span = self.source.span(at..at + 1 + name.len());
            if self.wants_key() {
                self.diagnostics.push(
                    Diagnostic::error(Code::AnchorOnKey, "an anchor stands before a key")
                        .primary(span, "names the key, not its value")
                        .help("put the anchor behind the colon"),
                );
            }
            let path = self.open.iter().map(Open::len).collect();
            self.anchors.insert(anchor, Anchor { name: name.into(), span, path });
            at = skip_blanks(text, span.end as usize).min(end);
        }
        self.behind = self.behind.max(at);
        self.source.span(at..(span.end as usize).max(at))
    }

    /// The place of a value without a text: behind the `:` or `-` that announced it.
    pub(super) fn nowhere(&self) -> Span {
        let text = self.source.text();
        let next = skip_blanks(text, self.behind);
        let announced = text[next..].starts_with([':', '-', '?']);
        let at = if announced { next + 1 } else { self.behind };
        self.source.span(at..at)
    }

    /// The next `-`, if nothing else comes first. For a list that is indented no deeper than its key,
    /// the scanner gives the place behind it.
    pub(super) fn dash(&self) -> Option<Span> {
        let text = self.source.text();
        let at = skip_blanks(text, self.nowhere().end as usize);
        let is_dash = text[at..].starts_with('-');
        is_dash.then(|| self.source.span(at..at))
    }
}

/// The byte behind the bracket that closes a list or mapping whose last entry ends at a byte. (The
/// scanner's own place for it is wrong behind a trailing comma.)
pub(super) fn behind_bracket(text: &str, at: usize) -> usize {
    let mut next = skip_blanks(text, at);
    if text[next..].starts_with(',') {
        next = skip_blanks(text, next + 1);
    }
    if text[next..].starts_with([']', '}']) { next + 1 } else { at }
}

/// The first byte from `at` on that is no blank, line break or comment.
pub(super) fn skip_blanks(text: &str, at: usize) -> usize {
    let mut rest = text.get(at..).unwrap_or("");
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        // A `#` starts a comment only behind a blank.
        if trimmed.starts_with('#') && trimmed.len() < rest.len() {
            rest = trimmed.trim_start_matches(|c| c != '\n' && c != '\r');
        } else {
            return text.len() - trimmed.len();
        }
    }
}
