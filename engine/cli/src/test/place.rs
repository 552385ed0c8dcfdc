//! From a place in a string to the place in the graph file where it stands.

use swath_core::spec::{Source, Span};

/// The place of a part of a string that was read at `span`: `length` characters from the one of this column on, counted from 1.
/// Where the text of the file cannot be followed, it is the place of the whole.
pub fn within(source: &Source, span: Span, value: &str, column: usize, length: usize) -> Span {
    let Some(bytes) = bytes(source.slice(span), value) else { return span };
    let byte = |at: usize| bytes.get(at).or(bytes.last()).copied().unwrap_or_default();
    let start = column.saturating_sub(1);
    source.span(span.range().start + byte(start)..span.range().start + byte(start + length))
}

/// For each character of a value, and for its end, the byte of the YAML scalar that it was read from.
fn bytes(raw: &str, value: &str) -> Option<Vec<usize>> {
    let quote = raw.chars().next().filter(|c| matches!(c, '"' | '\''));
    let mut at = match quote {
        Some(_) => 1,
        // A block scalar: its text starts in the next line.
        None if raw.starts_with(['|', '>']) => {
            let start = raw.find('\n')?;
            start + raw[start..].find(|c: char| !c.is_whitespace())?
        }
        None => 0,
    };
    let mut bytes = Vec::with_capacity(value.len() + 1);
    for c in value.chars() {
        bytes.push(at);
        let rest = raw.get(at..)?;
        at += match c {
            // A line break and the indentation behind it are one blank (YAML 1.2.2 §6.5).
            ' ' if rest.starts_with(char::is_whitespace) => {
                let blanks = rest.len() - rest.trim_start().len();
                if rest[..blanks].contains('\n') { blanks } else { 1 }
            }
            // That of a block scalar may stand behind what is taken for its end.
            '\n' if quote.is_none() => rest.len() - rest.trim_start().len(),
            '\'' if quote == Some('\'') => rest.strip_prefix("''").map(|_| 2)?,
            _ if quote == Some('"') && rest.starts_with('\\') => escape(rest)?,
            c => rest.strip_prefix(c).map(|_| c.len_utf8())?,
        };
    }
    bytes.push(at);
    Some(bytes)
}

/// The length of an escape sequence (YAML 1.2.2 §5.7) that stands for one character.
fn escape(rest: &str) -> Option<usize> {
    match rest[1..].chars().next()? {
        '\n' | '\r' => None,
        'x' => Some(4),
        'u' => Some(6),
        'U' => Some(10),
        c => Some(1 + c.len_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_core::spec::{Diagnostics, Node, SourceMap, yaml};

    /// What stands in the file at the column of `needle` in the value.
    fn found(text: &str, needle: &str) -> String {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        let id = sources.add("a.yaml", text);
        let source = sources.get(id).unwrap();
        let root = yaml::read(source, &mut diagnostics).unwrap();
        let value = root.get("a").unwrap();
        let Node::Str(string) = &value.node else { panic!("{value}") };
        let column = string[..string.find(needle).unwrap()].chars().count() + 1;
        source.slice(within(source, value.span, string, column, needle.chars().count())).to_owned()
    }

    #[test]
    fn words_are_found_however_they_are_quoted() {
        assert_eq!(found("a: one two three", "two"), "two");
        assert_eq!(found("a: 'it''s né two'", "two"), "two");
        assert_eq!(found(r#"a: "\"x\" \u00e9 \\ two""#, "two"), "two");
        assert_eq!(found("a: one\n   \n   x\n", "x"), "x");
        assert_eq!(found("a: one\n    two  three\n", "three"), "three");
        assert_eq!(found("a: \"one\n    two\"\n", "two"), "two");
        assert_eq!(found("a: >\n  one two\n  three\n", "three"), "three");
        assert_eq!(found("a: |-\n    one\n    two\n", "two"), "two");
        assert_eq!(found("a: |\n    one\n    two\n", "one"), "one");
    }

    #[test]
    fn the_end_has_a_place() {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        let id = sources.add("a.yaml", "a: 'one'");
        let source = sources.get(id).unwrap();
        let root = yaml::read(source, &mut diagnostics).unwrap();
        let span = within(source, root.get("a").unwrap().span, "one", 4, 1);
        assert_eq!((span.start, span.end), (7, 7));
    }
}
