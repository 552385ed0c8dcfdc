//! Source texts, and places in them.
//!
//! Everything that is read from a graph file carries a [`Span`]: twelve bytes that say which bytes of
//! which file it was. Lines and columns are worked out only when somebody looks.

use std::ops::{Deref, Range};
use std::sync::OnceLock;

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::text::Text;
use super::world::Content;

/// Which text of a [`SourceMap`] a span lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A range of bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte behind the last one.
    pub end: u32,
}

impl Span {
    /// Whether another one lies in it.
    #[must_use]
    pub fn covers(self, inner: Span) -> bool {
        self.file == inner.file && self.start <= inner.start && inner.end <= self.end
    }

    /// The bytes as a range.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Something that was read, with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What was read.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value that was read at a place.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A place as people and editors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
}

/// One text that was read, with the name under which messages show it.
#[derive(Debug)]
pub struct Source {
    id: FileId,
    name: String,
    text: Text,
    line_starts: OnceLock<Vec<usize>>,
}

impl Source {
    /// The number by which spans refer to this text.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }

    /// The name that messages show, in general a path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text, without a byte order mark.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, to hold it.
    #[must_use]
    pub fn shared(&self) -> Text {
        self.text.clone()
    }

    /// A span in this text: of whole characters, cut off at the end of the text.
    #[must_use]
    pub fn span(&self, range: Range<usize>) -> Span {
        let byte = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let end = range.end.max(range.start).min(self.text.len());
        Span {
            file: self.id,
            start: byte(self.text.floor_char_boundary(range.start)),
            end: byte(self.text.ceil_char_boundary(end)),
        }
    }

    /// The text that a span covers; empty where the span is not one of this text.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// The line and column of a byte.
    #[must_use]
    pub fn position(&self, byte: usize) -> Position {
        let byte = self.text.floor_char_boundary(byte);
        let starts = self.line_starts();
        let line = starts.partition_point(|&start| start <= byte);
        let start = starts[..line].last().copied().unwrap_or(0);
        Position { line, column: self.text[start..byte].chars().count() + 1 }
    }

    /// The bytes of a line (counted from 1), without its line break.
    #[must_use]
    pub fn line(&self, line: usize) -> Range<usize> {
        let starts = self.line_starts();
        let start = line.checked_sub(1).and_then(|index| starts.get(index));
        let start = start.copied().unwrap_or(self.text.len());
        let end = starts.get(line).copied().unwrap_or(self.text.len()).max(start);
        let line = &self.text[start..end];
        let line = line.strip_suffix('\n').unwrap_or(line);
        start..start + line.strip_suffix('\r').unwrap_or(line).len()
    }

    fn line_starts(&self) -> &[usize] {
        self.line_starts.get_or_init(|| {
            let breaks = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(breaks).collect()
        })
    }
}

/// All texts that one graph was read from.
#[derive(Debug, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
}

impl SourceMap {
    /// A map without any text.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a text in. A byte order mark at its start is no part of it.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Text>) -> FileId {
        let id = FileId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        let text = text.into().without_mark();
        self.sources.push(Source { id, name: name.into(), text, line_starts: OnceLock::new() });
        id
    }

    /// Takes in what a file holds, which must be UTF-8.
    ///
    /// # Errors
    /// As [`SourceMap::add_bytes`].
    pub fn add_content(&mut self, name: impl Into<String>, content: Content) -> Result<FileId, Diagnostic> {
        match content {
            Content::Bytes(bytes) => self.add_bytes(name, bytes),
            Content::Text(text) => Ok(self.add(name, text)),
        }
    }

    /// Takes in the bytes of a file, which must be UTF-8.
    ///
    /// # Errors
    /// They are not: the file is taken in all the same, so that the diagnostic can show the place.
    pub fn add_bytes(&mut self, name: impl Into<String>, bytes: Vec<u8>) -> Result<FileId, Diagnostic> {
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Ok(self.add(name, text)),
            Err(error) => error,
        };
        let (bytes, at) = (error.as_bytes(), error.utf8_error().valid_up_to());
        let byte = bytes.get(at).copied().unwrap_or_default();
        let help = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the file is UTF-16: save it as UTF-8",
            _ => "save the file as UTF-8",
        };
        let bom = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let id = self.add(name, String::from_utf8_lossy(bytes).into_owned());
        let span = Span {
            file: id,
            start: u32::try_from(at - bom).unwrap_or(u32::MAX),
            end: u32::try_from(at - bom + '\u{fffd}'.len_utf8()).unwrap_or(u32::MAX),
        };
        Err(Diagnostic::error(Code::NotUtf8, "the file is not UTF-8 text")
            .primary(span, format!("the byte 0x{byte:02x} is not UTF-8"))
            .help(help))
    }

    /// The text that a span's file number means.
    #[must_use]
    pub fn get(&self, id: FileId) -> Option<&Source> {
        self.sources.get(id.0 as usize)
    }

    /// All texts, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str, needle: &str) -> (usize, usize) {
        let mut sources = SourceMap::new();
        let id = sources.add("a.yaml", text);
        let source = sources.get(id).unwrap();
        let Position { line, column } = source.position(source.text().find(needle).unwrap());
        (line, column)
    }

    #[test]
    fn columns_are_characters_counted_from_one() {
        assert_eq!(position("a: b\nc: X", "X"), (2, 4));
        assert_eq!(position("X", "X"), (1, 1));
        assert_eq!(position("a: b\r\nc: X\r\n", "X"), (2, 4));
        assert_eq!(position("größe: 𝔘X", "X"), (1, 9));
        assert_eq!(position("\u{feff}a: X", "X"), (1, 4));
    }

    #[test]
    fn lines_come_without_their_break() {
        let mut sources = SourceMap::new();
        let id = sources.add("a.yaml", "one\r\ntwo\n\nlast");
        let source = sources.get(id).unwrap();
        let lines: Vec<_> = (0..=5).map(|n| &source.text()[source.line(n)]).collect();
        assert_eq!(lines, ["", "one", "two", "", "last", ""]);
    }

    #[test]
    fn the_end_of_the_text_has_a_position() {
        let mut sources = SourceMap::new();
        let id = sources.add("a.yaml", "a: é\n");
        let source = sources.get(id).unwrap();
        assert_eq!(source.position(6), Position { line: 2, column: 1 });
        assert_eq!(source.position(999), Position { line: 2, column: 1 });
        // Inside of a character: the place is the character's.
        assert_eq!(source.position(4), Position { line: 1, column: 4 });
    }

    #[test]
    fn spans_are_of_whole_characters() {
        let mut sources = SourceMap::new();
        let id = sources.add("a.yaml", "aéb");
        let source = sources.get(id).unwrap();
        assert_eq!(source.slice(source.span(2..2)), "é");
        assert_eq!(source.slice(source.span(0..2)), "aé");
        assert_eq!(source.slice(source.span(3..99)), "b");
        assert_eq!(source.slice(source.span(99..120)), "");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_in_place() {
        let mut sources = SourceMap::new();
        let error = sources.add_bytes("a.yaml", b"\xef\xbb\xbfa: b\nc: \xff\xff".to_vec());
        let error = error.unwrap_err();
        let source = sources.iter().next().unwrap();
        let at = source.position(error.labels[0].span.start as usize);
        assert_eq!(at, Position { line: 2, column: 4 });
        assert_eq!(error.labels[0].text, "the byte 0xff is not UTF-8");
    }
}
