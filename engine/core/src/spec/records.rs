//! The records of a CSV file. They are taken out of its text when somebody wants them: of a million routes there are the text, and where
//! each begins. A quote makes a text of more than lines and commas: a file that has one is read as a whole, and at once.

use std::sync::Arc;

use memchr::{memchr, memchr_iter, memchr2, memmem};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::rows::Part;
use super::source::{FileId, Source, Span};
use super::text::Text;
use super::value::{Entry, Node, Value};
use super::yaml;

/// The records of a file without quotes, and without comments and empty lines.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Records {
    file: FileId,
    text: Text,
    /// The names of the columns.
    header: Arc<[Arc<str>]>,
    /// Where each begins: at no end of a line.
    starts: Vec<u32>,
}

/// One of them: a mapping from the names of the columns to what stands there, if something does.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    of: &'a Records,
    start: u32,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<Record<'_>> {
        self.starts.get(index).map(|start| Record { of: self, start: *start })
    }

    /// Which of them a place lies in.
    pub(super) fn position(&self, place: Span) -> Option<usize> {
        let index = self.starts.partition_point(|start| *start <= place.start).checked_sub(1)?;
        self.get(index).filter(|record| record.span().covers(place)).map(|_| index)
    }

    /// Those before one, and those behind it.
    pub(super) fn without(mut self, index: usize) -> (Records, Records) {
        let behind = self.starts.split_off(index + 1);
        self.starts.truncate(index);
        let behind = Records { file: self.file, text: self.text.clone(), header: Arc::clone(&self.header), starts: behind };
        (self, behind)
    }

    /// Whether one of them has this text in a column.
    pub(super) fn says(&self, word: &str) -> bool {
        let has = |index| self.get(index).is_some_and(|record: Record<'_>| record.fields().any(|(_, text)| text == word));
        let is_text = || matches!(node(word), Node::Str(_));
        // In general no line has it, which is soon known.
        memmem::find(self.text.as_bytes(), word.as_bytes()).is_some() && is_text() && (0..self.len()).any(has)
    }
}

impl<'a> Record<'a> {
    fn line(self) -> &'a str {
        line(&self.of.text[self.start as usize..])
    }

    /// The columns that are not empty, each with its text.
    fn fields(self) -> impl Iterator<Item = (usize, &'a str)> {
        self.line().split(',').map(str::trim).enumerate().filter(|(_, text)| !text.is_empty())
    }

    /// The names of the columns that are not empty.
    pub fn keys(self) -> impl Iterator<Item = &'a str> {
        self.fields().map(move |(column, _)| &*self.of.header[column])
    }

    /// What stands in a column: as text, and what it means.
    pub fn get(self, key: &str) -> Option<(&'a str, Node)> {
        let column = self.of.header.iter().position(|name| **name == *key)?;
        let text = self.line().split(',').nth(column)?.trim();
        (!text.is_empty()).then(|| (text, node(text)))
    }

    /// Where it stands.
    pub fn span(self) -> Span {
        self.place(self.line().trim())
    }

    /// The place of a part of it.
    fn place(self, part: &str) -> Span {
        place_in(&self.of.text, self.of.file, part)
    }

    /// The mapping.
    pub fn value(self) -> Value {
        let entries = self.fields().map(|(column, text)| entry(&self.of.header[column], self.place(text), text));
        Value { span: self.span(), node: Node::Map(entries.collect()) }
    }

    /// Whether both are the same mapping in the same words: then they are equal, and if not, they may be all the same.
    pub fn is_copy_of(self, other: Record<'_>) -> bool {
        self.line() == other.line() && (Arc::ptr_eq(&self.of.header, &other.of.header) || self.of.header == other.of.header)
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (column, text) in self.fields() {
            map.serialize_entry(&*self.of.header[column], &node(text))?;
        }
        map.end()
    }
}

/// The text up to the end of a line.
fn line(text: &str) -> &str {
    &text[..memchr2(b'\n', b'\r', text.as_bytes()).unwrap_or(text.len())]
}

/// What a field means, as if it stood in a graph without quotes.
fn node(text: &str) -> Node {
    yaml::plain(text).unwrap_or_else(|| Node::Str(text.into()))
}

fn entry(key: &Arc<str>, span: Span, text: &str) -> Entry {
    Entry { key: Arc::clone(key), key_span: span, value: Value { span, node: node(text) } }
}

/// The place of a part of a text.
fn place_in(text: &str, file: FileId, part: &str) -> Span {
    let start = (part.as_ptr().addr() - text.as_ptr().addr()) as u32;
    Span { file, start, end: start + part.len() as u32 }
}

/// Reads a file whose first line names the columns.
pub(super) fn read(source: &Source, diagnostics: &mut Diagnostics) -> Option<Part> {
    let (header, rows) = match memchr(b'"', source.text().as_bytes()) {
        None => {
            let mut reader = Reader { source, header: None, rows: Vec::new(), diagnostics };
            reader.rows.reserve_exact(memchr_iter(b'\n', source.text().as_bytes()).count() + 1);
            reader.lines()?;
            let Reader { header, rows, .. } = reader;
            let records = |header| Records { file: source.id(), text: source.shared(), header, starts: rows };
            (header.is_some(), header.map(records).map(Part::Records))
        }
        Some(_) => {
            let mut reader = Reader { source, header: None, rows: Vec::new(), diagnostics };
            reader.quoted()?;
            (reader.header.is_some(), Some(Part::Values(reader.rows)))
        }
    };
    if !header {
        diagnostics.push(empty(source));
    }
    rows.filter(|_| header)
}

fn empty(source: &Source) -> Diagnostic {
    let empty = Diagnostic::error(Code::DataFile, "the file is empty").primary(source.span(0..0), "");
    empty.help("the first line names the columns")
}

struct Reader<'a, T> {
    source: &'a Source,
    header: Option<Arc<[Arc<str>]>>,
    rows: Vec<T>,
    diagnostics: &'a mut Diagnostics,
}

impl<T> Reader<'_, T> {
    /// Takes the header, or a row if it is right. `None` if nothing can be read without the header.
    fn take(
        &mut self,
        line: &str,
        fields: usize,
        names: impl Iterator<Item = impl AsRef<str>>,
        row: impl FnOnce(&[Arc<str>]) -> T,
    ) -> Option<()> {
        match &self.header {
            Some(header) if fields <= header.len() => self.rows.push(row(header)),
            Some(header) => {
                let message = format!("the line has {fields} fields, the header {}", header.len());
                let many = Diagnostic::error(Code::DataFile, message).primary(self.place(line, header.len()), "one too many");
                self.diagnostics.push(many.help("put a field with a comma in quotes"));
            }
            None => self.header = Some(self.read_header(line, names.map(|name| name.as_ref().into()).collect())?),
        }
        Some(())
    }

    fn read_header(&mut self, line: &str, names: Vec<Arc<str>>) -> Option<Arc<[Arc<str>]>> {
        for (at, name) in names.iter().enumerate() {
            let wrong = match names[..at].contains(name) {
                _ if name.is_empty() => "a column has no name".to_owned(),
                true => format!("the column `{name}` is there twice"),
                false => continue,
            };
            let diagnostic = Diagnostic::error(Code::DataFile, wrong).primary(self.place(line, at), "");
            self.diagnostics.push(diagnostic.help("the first line of the file names the columns: the keys of the entries"));
            return None;
        }
        Some(names.into())
    }

    /// The place of a field; of the line, if a quote stands in it, for then a comma may be part of a field.
    fn place(&self, line: &str, field: usize) -> Span {
        let part = if line.contains('"') { None } else { line.split(',').nth(field) };
        place_in(self.source.text(), self.source.id(), part.unwrap_or(line).trim())
    }
}

impl Reader<'_, Value> {
    /// Reads a file in which a quote stands.
    fn quoted(&mut self) -> Option<()> {
        let source = self.source;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(source.text().as_bytes());
        let mut record = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(false) => return Some(()),
                Ok(true) => {}
                Err(error) => {
                    self.diagnostics.push(Diagnostic::error(Code::DataFile, format!("the file cannot be read: {error}")));
                    return None;
                }
            }
            let start = record.position().map_or(0, |position| position.byte() as usize);
            let text = source.text().get(start..reader.position().byte() as usize).unwrap_or("");
            let text = &text[skipped(text)..];
            let line = text.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                // For `csv` a comment at the end of the file is a field.
                continue;
            }
            let fields = record.iter().enumerate().filter(|(_, text)| !text.is_empty());
            let span = place_in(source.text(), source.id(), line.trim());
            let entries: Vec<(usize, Span, &str)> = fields.map(|(at, text)| (at, self.place(line, at), text)).collect();
            let map = |header: &[Arc<str>]| entries.iter().map(|(at, span, text)| entry(&header[*at], *span, text)).collect();
            self.take(line, record.len(), record.iter(), |header| Value { span, node: Node::Map(map(header)) })?;
        }
    }
}

impl Reader<'_, u32> {
    /// Reads a file without quotes.
    fn lines(&mut self) -> Option<()> {
        let text = self.source.text();
        let mut at = 0;
        loop {
            at += skipped(&text[at..]);
            if at == text.len() {
                return Some(());
            }
            let line = line(&text[at..]);
            let fields = 1 + memchr_iter(b',', line.as_bytes()).count();
            self.take(line, fields, line.split(',').map(str::trim), |_| at as u32)?;
            at += line.len();
        }
    }
}

/// How many bytes there are before a record: ends of lines, and comments, which begin where a line does.
fn skipped(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(b'\r' | b'\n') => at += 1,
            Some(b'#') => at = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end),
            _ => return at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rows::joined;
    use super::super::rows_tests::csv_text;
    use super::super::source::SourceMap;
    use super::*;

    /// What is read by lines, and by the crate `csv`, which knows no better; and what is said.
    fn both(text: &str) -> [(Option<Vec<Value>>, String); 2] {
        let mut sources = SourceMap::new();
        let file = sources.add("a.csv", text);
        let source = sources.get(file).unwrap();
        let mut said = Diagnostics::new();
        let lines = read(source, &mut said).map(|part| {
            let list = Value { span: source.span(0..0), node: joined(vec![part]) };
            list.list().unwrap().iter().map(|row| row.value().into_owned()).collect()
        });
        let lines = (lines, said.render(&sources, false));
        let mut said = Diagnostics::new();
        let mut reader = Reader { source, header: None, rows: Vec::new(), diagnostics: &mut said };
        let values = reader.quoted().and(reader.header).map(|_| reader.rows);
        if values.is_none() && said.errors() == 0 {
            said.push(empty(source));
        }
        [lines, (values, said.render(&sources, false))]
    }

    proptest! {
        #[test]
        fn lines_are_what_csv_says(text in csv_text()) {
            let [lines, values] = both(&text);
            prop_assert_eq!(lines, values);
        }

        /// Whatever is in quotes; the rest is as before.
        #[test]
        fn quotes_change_no_other_line(text in csv_text()) {
            let plain = both(&format!("p,q,r\n{text}"));
            let quoted = both(&format!("p,q,r\n\"a, b\",1\n{text}"));
            let length = "\"a, b\",1\n".len() as u32;
            let moved = |value: Value| {
                let back = |span: Span| Span { start: span.start - length, end: span.end - length, ..span };
                let Node::Map(entries) = value.node else { panic!("a mapping") };
                let entry = |mut entry: Entry| {
                    (entry.key_span, entry.value.span) = (back(entry.key_span), back(entry.value.span));
                    entry
                };
                Value { span: back(value.span), node: Node::Map(entries.into_iter().map(entry).collect()) }
            };
            let rest = quoted[0].0.clone().map(|rows| rows.into_iter().skip(1).map(moved).collect::<Vec<_>>());
            prop_assert_eq!(&rest, &plain[0].0);
        }
    }

    #[test]
    fn comments_before_a_line_are_no_part_of_it() {
        for text in ["a,b\n# x, y\n\n 1 , 2\n", "a,b\n# x, \"y\n\n 1 , 2\n"] {
            let mut sources = SourceMap::new();
            let file = sources.add("a.csv", text);
            let source = sources.get(file).unwrap();
            let part = read(source, &mut Diagnostics::new()).unwrap();
            let list = Value { span: source.span(0..0), node: joined(vec![part]) };
            let shown = |path: &str| source.slice(list.locate(path).value.span);
            assert_eq!([shown("[0]"), shown("[0].a"), shown("[0].b")], ["1 , 2", "1", "2"], "{text}");
        }
    }

    #[test]
    fn a_line_is_found_by_a_place_in_it() {
        let mut sources = SourceMap::new();
        let file = sources.add("a.csv", "a,b\n# x\n1,2\n\n 3,4 \n");
        let source = sources.get(file).unwrap();
        let Some(Part::Records(records)) = read(source, &mut Diagnostics::new()) else { panic!("lines") };
        let at = |range: std::ops::Range<usize>| records.position(source.span(range));
        assert_eq!([at(0..1), at(4..5), at(8..9), at(8..11), at(8..12), at(13..16)], [None, None, Some(0), Some(0), None, None]);
        assert_eq!([at(14..15), at(14..17), at(16..17)], [Some(1), Some(1), Some(1)]);
        let mut sources = SourceMap::new();
        sources.add("b.csv", "");
        let elsewhere = sources.add("c.csv", "0123456789");
        assert_eq!(records.position(sources.get(elsewhere).unwrap().span(8..9)), None);
    }
}
