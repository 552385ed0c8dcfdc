//! Settings that stand in files of their own: `routes-from: routes.csv`, or `[static.csv, learnt.csv]`.
//!
//! What a setting `NAME-from` names is put behind what the setting `NAME` lists, file by file. A CSV file has a
//! header whose columns are the keys of the entries; a YAML or JSON file is a list of them; a text file
//! has an entry in each line, which is a string.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::load::beside;
use super::source::{FileId, Source, SourceMap, Span};
use super::value::{Entry, Node, Value};
use super::variables::Scope;
use super::world::World;
use super::yaml;

/// What the name of a setting ends with that names a file.
pub const FROM: &str = "-from";

/// Files of data, and what else the words of a graph refer to outside of it.
pub(super) struct Files<'a> {
    pub(super) world: &'a dyn World,
    pub(super) sources: &'a mut SourceMap,
}

impl Files<'_> {
    pub(super) fn scope<'s>(&'s self, arguments: Option<&'s [(String, Value)]>) -> Scope<'s> {
        Scope { world: self.world, sources: self.sources, arguments }
    }

    /// Reads the files that settings name, and puts what they hold in place.
    pub(super) fn attach(&mut self, settings: &mut Value, diagnostics: &mut Diagnostics) {
        let Node::Map(entries) = &mut settings.node else { return };
        while let Some(at) = entries.iter().position(|entry| entry.key.strip_suffix(FROM).is_some_and(|name| !name.is_empty())) {
            let Entry { key, key_span, value } = entries.remove(at);
            let name = key.strip_suffix(FROM).unwrap_or(&key);
            let Some(mut rows) = self.read_all(&value, diagnostics) else { continue };
            match entries.iter_mut().find(|entry| &*entry.key == name).map(|entry| &mut entry.value.node) {
                Some(Node::Seq(values)) => values.append(&mut rows),
                // What is no list is reported by whoever reads the setting.
                Some(_) => {}
                None => {
                    let value = Value { span: value.span, node: Node::Seq(rows) };
                    entries.push(Entry { key: name.into(), key_span, value });
                }
            }
        }
    }

    /// What a file holds, or several of them one after the other. `None` if there is a mistake in any.
    fn read_all(&mut self, value: &Value, diagnostics: &mut Diagnostics) -> Option<Vec<Value>> {
        let files = match &value.node {
            Node::Seq(files) => &files[..],
            Node::Str(_) => std::slice::from_ref(value),
            _ => {
                diagnostics.push(value.wrong_type("the name of a file, or a list of them"));
                return None;
            }
        };
        // Each is looked at, whatever is wrong with those before it.
        let read: Vec<Option<Vec<Value>>> = files.iter().map(|file| self.read(file, diagnostics)).collect();
        read.into_iter().try_fold(Vec::new(), |mut all, rows| {
            all.append(&mut rows?);
            Some(all)
        })
    }

    fn read(&mut self, value: &Value, diagnostics: &mut Diagnostics) -> Option<Vec<Value>> {
        let written = diagnostics.ok(value.expect_str())?;
        let path = beside(self.sources, value.span.file, written);
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
        let reader = match extension.as_str() {
            "csv" => read_csv,
            "yaml" | "yml" | "json" => read_yaml,
            "txt" | "list" | "netset" | "ipset" => read_lines,
            _ => {
                let message = format!("the format of `{written}` is not known");
                diagnostics.push(Diagnostic::error(Code::DataFile, message).primary(value.span, "").help(
                    "the name of the file ends with `.csv`, `.yaml`, `.yml` or `.json`, or of lines with `.txt`, `.list`, \
                     `.netset` or `.ipset`",
                ));
                return None;
            }
        };
        let file = self.open(path, value.span, diagnostics)?;
        reader(self.sources.get(file)?, diagnostics)
    }

    fn open(&mut self, path: PathBuf, place: Span, diagnostics: &mut Diagnostics) -> Option<FileId> {
        let shown = path.display().to_string();
        match self.world.read(Path::new(&path)) {
            Ok(bytes) => diagnostics.ok(self.sources.add_bytes(shown, bytes)),
            Err(error) => {
                diagnostics.push(
                    Diagnostic::error(Code::DataFile, format!("`{shown}` cannot be read: {error}"))
                        .primary(place, "")
                        .help("paths are relative to the file in which they stand"),
                );
                None
            }
        }
    }
}

fn read_yaml(source: &Source, diagnostics: &mut Diagnostics) -> Option<Vec<Value>> {
    let value = yaml::read(source, diagnostics)?;
    match value.node {
        Node::Seq(values) => Some(values),
        _ => {
            diagnostics.push(value.wrong_type("a list"));
            None
        }
    }
}

/// An entry in each line, behind which `#` or `;` begins a comment.
fn read_lines(source: &Source, diagnostics: &mut Diagnostics) -> Option<Vec<Value>> {
    check_size(source, diagnostics)?;
    let text = source.text();
    let entry = |line: &str| {
        let shown = line.split(['#', ';']).next().unwrap_or_default();
        // Lines are parts of the text.
        let start = shown.as_ptr().addr() - text.as_ptr().addr() + (shown.len() - shown.trim_start().len());
        let shown = shown.trim();
        let span = source.span(start..start + shown.len());
        (!shown.is_empty()).then(|| Value { span, node: Node::Str(shown.into()) })
    };
    Some(text.lines().filter_map(entry).collect())
}

fn check_size(source: &Source, diagnostics: &mut Diagnostics) -> Option<()> {
    if source.text().len() > yaml::MAX_TEXT {
        let message = format!("the file has more than {} bytes", yaml::MAX_TEXT);
        diagnostics.push(Diagnostic::error(Code::TooLarge, message).primary(source.span(0..0), ""));
        return None;
    }
    Some(())
}

fn read_csv(source: &Source, diagnostics: &mut Diagnostics) -> Option<Vec<Value>> {
    check_size(source, diagnostics)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(source.text().as_bytes());
    let mut record = csv::StringRecord::new();
    let mut header: Vec<Arc<str>> = Vec::new();
    let mut rows = Vec::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                diagnostics.push(Diagnostic::error(Code::DataFile, format!("the file cannot be read: {error}")));
                return None;
            }
        }
        let start = record.position().map_or(0, |position| position.byte() as usize);
        let line = Line::new(source, start, reader.position().byte() as usize);
        if header.is_empty() {
            header = read_header(&record, &line, diagnostics)?;
            continue;
        }
        if record.len() > header.len() {
            let message = format!("the line has {} fields, the header {}", record.len(), header.len());
            diagnostics.push(
                Diagnostic::error(Code::DataFile, message)
                    .primary(line.field(header.len()), "one too many")
                    .help("put a field with a comma in quotes"),
            );
            continue;
        }
        let fields = record.iter().enumerate().filter(|(_, text)| !text.is_empty());
        let entry = |(at, text): (usize, &str)| {
            let span = line.field(at);
            let node = yaml::plain(text).unwrap_or_else(|| Node::Str(text.into()));
            Entry { key: header[at].clone(), key_span: span, value: Value { span, node } }
        };
        rows.push(Value { span: line.span, node: Node::Map(fields.map(entry).collect()) });
    }
    if header.is_empty() {
        diagnostics.push(
            Diagnostic::error(Code::DataFile, "the file is empty")
                .primary(source.span(0..0), "")
                .help("the first line names the columns"),
        );
        return None;
    }
    Some(rows)
}

fn read_header(record: &csv::StringRecord, line: &Line<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<Arc<str>>> {
    let names: Vec<&str> = record.iter().collect();
    for (at, name) in names.iter().enumerate() {
        let wrong = match names[..at].contains(name) {
            _ if name.is_empty() => "a column has no name".to_owned(),
            true => format!("the column `{name}` is there twice"),
            false => continue,
        };
        let diagnostic = Diagnostic::error(Code::DataFile, wrong).primary(line.field(at), "");
        diagnostics.push(diagnostic.help("the first line of the file names the columns: the keys of the entries"));
        return None;
    }
    Some(names.into_iter().map(Arc::from).collect())
}

/// A line of a CSV file.
struct Line<'a> {
    source: &'a Source,
    span: Span,
    /// The byte where each field begins; none if a quote stands in the line, for then a comma may be
    /// part of a field.
    commas: Vec<u32>,
}

impl<'a> Line<'a> {
    fn new(source: &'a Source, start: usize, end: usize) -> Self {
        let text = source.text().get(start..end).unwrap_or("");
        let before = text.len() - text.trim_start().len();
        let shown = text.trim();
        let span = source.span(start + before..start + before + shown.len());
        let commas = if shown.contains('"') {
            Vec::new()
        } else {
            shown.bytes().zip(span.start..).filter(|(byte, _)| *byte == b',').map(|(_, at)| at).collect()
        };
        Self { source, span, commas }
    }

    /// The place of a field.
    fn field(&self, at: usize) -> Span {
        if self.commas.is_empty() && at > 0 {
            return self.span;
        }
        let start = if at == 0 { self.span.start } else { self.commas.get(at - 1).map_or(self.span.start, |comma| comma + 1) };
        let end = self.commas.get(at).copied().unwrap_or(self.span.end);
        let text = self.source.text().get(start as usize..end as usize).unwrap_or("");
        let before = (text.len() - text.trim_start().len()) as u32;
        let length = text.trim().len() as u32;
        Span { start: start + before, end: start + before + length, ..self.span }
    }
}
