//! Diagnostics as text for people, in the manner of rustc.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};

use super::diagnostic::{Diagnostic, Diagnostics, Label, Severity};
use super::source::{Source, SourceMap};

/// Labels at most so many lines apart are shown in one piece of source, others in two.
const NEAR: usize = 20;

/// Of a line longer than this only the part around a label is handed to the renderer, whose work is
/// linear in the source: a graph file may be one line of 64 MiB.
const LONG_LINE: usize = 2048;

/// How much of a long line is shown before and behind a label, in bytes.
const AROUND: usize = 60;

impl Diagnostics {
    /// All diagnostics by file and place, each with its source, with ANSI colours or without.
    #[must_use]
    pub fn render(&self, sources: &SourceMap, colour: bool) -> String {
        let mut text = String::new();
        for diagnostic in self.sorted() {
            text.push_str(&diagnostic.render(sources, colour));
            text.push_str("\n\n");
        }
        if self.omitted() > 0 {
            let _ = writeln!(text, "... and {} more", self.omitted());
        }
        text
    }
}

impl Diagnostic {
    /// The diagnostic with its source, with ANSI colours or without.
    #[must_use]
    pub fn render(&self, sources: &SourceMap, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(normalize_untrusted_str(&self.message)).id(self.code.text());
        let mut group = Group::with_title(title);
        for piece in pieces(sources, &self.labels) {
            group = piece.show(group);
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        if self.repeated > 0 {
            let note = format!("the same in {} more of the template's instances", self.repeated);
            group = group.element(Level::NOTE.message(note));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let text = renderer.render(&[group]);
        let lines: Vec<_> = text.lines().filter(|line| !is_bare_arrow(line)).collect();
        lines.join("\n")
    }
}

/// Whether a line is nothing but the arrow to a file without a name, which the renderer draws above
/// a source whose place was given apart.
fn is_bare_arrow(line: &str) -> bool {
    let mut is_escape = false;
    let visible = line.chars().filter(|&c| {
        let is_visible = c != '\u{1b}' && !is_escape;
        is_escape = c == '\u{1b}' || is_escape && c != 'm';
        is_visible && c != ' '
    });
    visible.eq(":::".chars())
}

/// Labels that are shown in one piece of source.
struct Piece<'a> {
    source: &'a Source,
    lines: Range<usize>,
    labels: Vec<&'a Label>,
}

/// Groups labels by nearness; the piece with the primary label comes first.
fn pieces<'a>(sources: &'a SourceMap, labels: &'a [Label]) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    for label in labels {
        let Some(source) = sources.get(label.span.file) else {
            continue;
        };
        let line = source.position(label.span.start as usize).line;
        let long = source.line(line).len() > LONG_LINE;
        let near = pieces.iter_mut().find(|piece| {
            let reach = piece.lines.start.saturating_sub(NEAR)..piece.lines.end + NEAR;
            !long && piece.source.id() == source.id() && reach.contains(&line)
        });
        if let Some(piece) = near {
            piece.lines = piece.lines.start.min(line)..piece.lines.end.max(line + 1);
            piece.labels.push(label);
        } else {
            pieces.push(Piece { source, lines: line..line + 1, labels: vec![label] });
        }
    }
    pieces
}

impl<'a> Piece<'a> {
    fn show(self, group: Group<'a>) -> Group<'a> {
        let (source, text) = (self.source, self.source.text());
        let first = source.line(self.lines.start);
        let last = source.line(self.lines.end - 1);
        let whole = first.start..last.end;
        let long = (self.lines.clone()).any(|line| source.line(line).len() > LONG_LINE);
        if !long {
            return group.element(
                Snippet::source(&text[whole.clone()])
                    .line_start(self.lines.start)
                    .path(source.name())
                    .annotations(self.labels.iter().map(|label| annotate(source, label, &whole))),
            );
        }
        // The columns of a part of a line are not those of the line: the place is given apart.
        self.labels.into_iter().fold(group, |group, label| {
            let position = source.position(label.span.start as usize);
            let line = source.line(position.line);
            let start = label.span.start as usize;
            let from = start.saturating_sub(AROUND).max(line.start);
            let to = (label.span.end as usize).min(start + AROUND) + AROUND;
            let part = text.ceil_char_boundary(from)..text.floor_char_boundary(to.min(line.end));
            group
                .element(Origin::path(source.name()).line(position.line).char_column(position.column))
                .element(Snippet::source(&text[part.clone()]).line_start(position.line).annotation(annotate(source, label, &part)))
        })
    }
}

/// A label as the renderer wants it. A span of several lines is shown by its first.
fn annotate<'a>(source: &Source, label: &'a Label, shown: &Range<usize>) -> Annotation<'a> {
    let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    let line = source.line(source.position(label.span.start as usize).line);
    let Range { start, end } = label.span.range();
    let end = end.min(line.end).min(shown.end).max(start);
    let text = (!label.text.is_empty()).then(|| normalize_untrusted_str(&label.text));
    kind.span(start - shown.start..end - shown.start).label(text)
}

#[cfg(test)]
mod tests {
    use super::super::code::Code;
    use super::*;
    use insta::assert_snapshot;

    fn sources(text: &str) -> SourceMap {
        let mut sources = SourceMap::new();
        sources.add("router.yaml", text);
        sources
    }

    fn diagnostic(sources: &SourceMap, primary: &str, secondary: &str) -> Diagnostic {
        let source = sources.iter().next().unwrap();
        let span = |needle: &str| {
            let at = source.text().find(needle).unwrap();
            source.span(at..at + needle.len())
        };
        Diagnostic::error(Code::Conflict, "the two do not fit together")
            .primary(span(primary), "this one")
            .secondary(span(secondary), "the other")
            .help("change one")
    }

    #[test]
    fn near_places_share_a_piece_of_source() {
        let sources = sources("größe: FIRST\n\tx: 1\ny: 2\nz: 3\nlast: 𝔘 SECOND\r\n");
        let shown = diagnostic(&sources, "SECOND", "FIRST").render(&sources, false);
        assert_snapshot!(shown, @r"
        error[SW0109]: the two do not fit together
         --> router.yaml:5:9
          |
        1 | größe: FIRST
          |        ----- the other
        ...
        5 | last: 𝔘 SECOND
          |         ^^^^^^ this one
          |
          = help: change one
        ");
    }

    #[test]
    fn far_places_are_shown_apart() {
        let sources = sources(&format!("a: FIRST\n{}b: SECOND\n", "#\n".repeat(700_000)));
        let shown = diagnostic(&sources, "SECOND", "FIRST").render(&sources, false);
        assert_snapshot!(shown, @r"
        error[SW0109]: the two do not fit together
              --> router.yaml:700002:4
               |
        700002 | b: SECOND
               |    ^^^^^^ this one
               |
              ::: router.yaml:1:4
               |
             1 | a: FIRST
               |    ----- the other
               |
               = help: change one
        ");
    }

    #[test]
    fn of_a_long_line_only_a_part_is_shown() {
        let filler = "ä".repeat(1_000_000);
        let sources = sources(&format!("a: FIRST {filler} SECOND {filler}"));
        let shown = diagnostic(&sources, "SECOND", "FIRST").render(&sources, false);
        assert_snapshot!(shown, @r"
        error[SW0109]: the two do not fit together
         --> router.yaml:1:1000011
          |
        1 | äääääääääääääääääääääääääääää SECOND äääääääääääääääääääääääääääää
          |                               ^^^^^^ this one
         ::: router.yaml:1:4
          |
        1 | a: FIRST äääääääääääääääääääääääääääää
          |    ----- the other
          |
          = help: change one
        ");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let sources = sources("a: FIRST \u{1b}[31m SECOND");
        let mut diagnostic = diagnostic(&sources, "SECOND", "FIRST");
        diagnostic.message.push_str(" \u{1b}[31m");
        diagnostic.labels[0].text.push_str(" \u{1b}[31m");
        assert!(!diagnostic.render(&sources, false).contains('\u{1b}'));
    }

    #[test]
    fn colours_are_optional() {
        let sources = sources("a: FIRST SECOND");
        let diagnostic = diagnostic(&sources, "SECOND", "FIRST");
        assert!(diagnostic.render(&sources, true).contains("\u{1b}["));
        assert!(!diagnostic.render(&sources, false).contains("\u{1b}["));
    }
}
