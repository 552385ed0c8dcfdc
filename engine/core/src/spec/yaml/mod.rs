//! The text of a file becomes a tree of [`Value`]s.
//!
//! YAML 1.2 with the core schema, read once by events. What is dangerous or silently misread
//! elsewhere is an error here: duplicate keys, keys that are no strings, merge keys, tags, several
//! documents. Everything is bounded: the text, the values, the depth, and what aliases copy.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::source::{Source, Span};
use super::suggest::did_you_mean;
use super::value::{Entry, Node, Value};

mod alias;
mod keys;
mod offsets;
mod places;
mod scalar;
mod syntax;
#[cfg(test)]
mod tests;

use alias::{Anchor, Weight};
pub use alias::{MAX_COPIED_TEXT, MAX_COPIED_VALUES};
use keys::{Key, RECENT_KEYS, prune};
use offsets::Offsets;
use places::behind_bracket;
use syntax::Around;

/// The largest text that is read, in bytes.
pub const MAX_TEXT: usize = 64 << 20;
/// The most values that a file may hold: two million routes of three keys each.
pub const MAX_VALUES: usize = 8 << 20;
/// How deep lists and mappings may be nested.
pub const MAX_DEPTH: usize = 64;

/// Reads a text. What could be read is returned even if there are errors, so that more can be found
/// in it; `None` if reading had to stop.
pub fn read(source: &Source, diagnostics: &mut Diagnostics) -> Option<Value> {
    let mut reader = Reader {
        source,
        offsets: Offsets::new(source.text()),
        open: Vec::new(),
        root: None,
        recent_keys: std::array::from_fn(|_| Arc::from("")),
        spare_seqs: Vec::new(),
        spare_maps: Vec::new(),
        values: 0,
        anchors: HashMap::new(),
        copied: Weight::default(),
        refused: HashSet::new(),
        behind: 0,
        diagnostics,
    };
    match reader.document() {
        Ok(root) => root,
        Err(stop) => {
            diagnostics.push(*stop);
            None
        }
    }
}

/// What a text means as a value that stands in a file without quotes; `None` if it is a number that
/// cannot be represented.
#[must_use]
pub fn plain(text: &str) -> Option<Node> {
    scalar::resolve(text)
}

/// A mistake behind which nothing can be read.
type Stop = Box<Diagnostic>;

struct Reader<'a> {
    source: &'a Source,
    offsets: Offsets<'a>,
    /// The collections around the current place, from the root inwards.
    open: Vec<Open>,
    root: Option<Value>,
    /// Keys that were read lately.
    recent_keys: [Arc<str>; RECENT_KEYS],
    /// Empty buffers for the collections to come.
    spare_seqs: Vec<Vec<Value>>,
    spare_maps: Vec<Vec<Entry>>,
    values: usize,
    anchors: HashMap<usize, Anchor>,
    copied: Weight,
    /// Where the keys of entries stand that were refused and are taken out in the end. Until then
    /// they keep their positions, which anchors refer to.
    refused: HashSet<u32>,
    /// The byte behind what was read last.
    behind: usize,
    diagnostics: &'a mut Diagnostics,
}

struct Open {
    span: Span,
    is_flow: bool,
    items: Items,
}

enum Items {
    Seq(Vec<Value>),
    Map(Vec<Entry>, Option<Key>),
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Option<Value>, Stop> {
        let text = self.source.text();
        if text.len() > MAX_TEXT {
            let message = format!("the file has {} bytes, more than {MAX_TEXT}", text.len());
            return Err(Box::new(
                Diagnostic::error(Code::TooLarge, message)
                    .primary(self.source.span(0..0), "")
                    .help("keep large data, such as routes or rules, in files of their own"),
            ));
        }
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, marks) = event.map_err(|error| self.syntax_error(&error))?;
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let span = self.span(marks);
                        self.diagnostics.push(
                            Diagnostic::error(Code::SeveralDocuments, "a second document starts here")
                                .primary(span, "one file is one document")
                                .help("remove the line `---`, or move what follows to a file of its own"),
                        );
                        break;
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let is_bare = text.is_empty() && anchor == 0 && tag.is_none();
                    let span = if is_bare && style == ScalarStyle::Plain {
                        self.nowhere()
                    } else {
                        self.start(marks, anchor, tag.is_some())
                    };
                    self.scalar(&text, style, span)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    let dash = self.dash();
                    let mut span = self.start(marks, anchor, tag.is_some());
                    if anchor == 0 && tag.is_none() {
                        span.start = span.start.min(dash.unwrap_or(span).start);
                    }
                    let values = self.spare_seqs.pop().unwrap_or_default();
                    self.enter(span, Items::Seq(values))?;
                }
                Event::MappingStart(anchor, tag) => {
                    let span = self.start(marks, anchor, tag.is_some());
                    let entries = self.spare_maps.pop().unwrap_or_default();
                    self.enter(span, Items::Map(entries, None))?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.leave()?,
                Event::Alias(anchor) => self.alias(anchor, marks)?,
                Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {}
            }
        }
        let mut root = self.root.take();
        if root.as_ref().is_none_or(|root| root.node == Node::Null) {
            self.diagnostics.push(
                Diagnostic::error(Code::Empty, "the file is empty")
                    .primary(self.source.span(0..0), "")
                    .help("a graph starts with `version: 1`, followed by `nodes:`"),
            );
        }
        if let Some(root) = root.as_mut().filter(|_| !self.refused.is_empty()) {
            prune(root, &self.refused);
        }
        Ok(root)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Result<(), Stop> {
        self.behind = self.behind.max(span.end as usize);
        let is_plain = style == ScalarStyle::Plain;
        if self.wants_key() {
            self.key(text, is_plain, span);
            return Ok(());
        }
        let node = if is_plain { scalar::resolve(text) } else { Some(Node::Str(text.into())) };
        let node = node.unwrap_or_else(|| {
            self.diagnostics.push(
                Diagnostic::error(Code::Number, format!("the number {text} cannot be represented"))
                    .primary(span, "not a finite number of 64 bits")
                    .help("put the value in quotes if it is meant as a text"),
            );
            Node::Null
        });
        self.put(Value { span, node })
    }

    fn enter(&mut self, span: Span, items: Items) -> Result<(), Stop> {
        self.behind = self.behind.max(span.end as usize);
        if self.open.len() >= MAX_DEPTH {
            return Err(Box::new(
                Diagnostic::error(Code::TooDeep, format!("values are nested more than {MAX_DEPTH} deep"))
                    .primary(span, "one too deep")
                    .help("look for a bracket that is never closed"),
            ));
        }
        let is_flow = self.source.slice(span).starts_with(['[', '{']);
        self.open.push(Open { span, is_flow, items });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        if open.is_flow {
            self.behind = behind_bracket(self.source.text(), self.behind);
        }
        let span = self.source.span(open.span.start as usize..self.behind);
        let node = match open.items {
            Items::Seq(values) => Node::Seq(exact(values, &mut self.spare_seqs)),
            Items::Map(entries, _) => {
                self.check_duplicates(&entries);
                Node::Map(exact(entries, &mut self.spare_maps))
            }
        };
        self.put(Value { span, node })
    }

    /// Puts a complete value where it belongs.
    fn put(&mut self, value: Value) -> Result<(), Stop> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Box::new(
                Diagnostic::error(Code::TooLarge, format!("the file holds more than {MAX_VALUES} values"))
                    .primary(value.span, "")
                    .help("keep large data, such as routes or rules, in files of their own"),
            ));
        }
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open { items: Items::Seq(values), .. }) => values.push(value),
            Some(Open { items: Items::Map(entries, key), .. }) => match (key.take(), value.node) {
                (Some(Key { text, span }), node) => {
                    entries.push(Entry { key: text, key_span: span, value: Value { span: value.span, node } })
                }
                (None, Node::Str(text)) => self.set_key(text.as_str().into(), value.span),
                (None, _) => {
                    self.refuse(
                        Diagnostic::error(Code::KeyNotString, "a key is not a string")
                            .primary(value.span, "expected a string")
                            .help("put a text that starts with `[` or `{` in quotes"),
                        value.span,
                    );
                    self.set_key("".into(), value.span);
                }
            },
        }
        Ok(())
    }

    fn syntax_error(&self, error: &ScanError) -> Stop {
        let at = self.offsets.byte(error.marker().index());
        let around = self.open.last().map(|open| Around {
            start: open.span,
            is_flow: open.is_flow,
            is_seq: matches!(open.items, Items::Seq(_)),
        });
        let mut diagnostic = syntax::diagnose(self.source, error.info(), at, around);
        if diagnostic.code == Code::UnknownAnchor {
            let name = syntax::word(self.source.text(), at + 1);
            let known = self.anchors.values().map(|anchor| &*anchor.name);
            if let Some(near) = did_you_mean(name, known) {
                diagnostic = diagnostic.help(format!("did you mean `*{near}`?"));
            }
        }
        Box::new(diagnostic)
    }
}

impl Open {
    fn len(&self) -> usize {
        match &self.items {
            Items::Seq(values) => values.len(),
            Items::Map(entries, _) => entries.len(),
        }
    }

    fn child(&self, index: usize) -> Option<&Value> {
        match &self.items {
            Items::Seq(values) => values.get(index),
            Items::Map(entries, _) => entries.get(index).map(|entry| &entry.value),
        }
    }
}

/// What a buffer holds, without room for more; the buffer of a small collection is kept as spare.
fn exact<T>(mut buffer: Vec<T>, spare: &mut Vec<Vec<T>>) -> Vec<T> {
    if buffer.len() > 64 {
        buffer.shrink_to_fit();
        return buffer;
    }
    let items = Vec::from_iter(buffer.drain(..));
    spare.push(buffer);
    items
}
