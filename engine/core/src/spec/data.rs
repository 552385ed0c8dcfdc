//! Settings that stand in files of their own: `routes-from: routes.csv`, or `[static.csv, learnt.csv]`.
//!
//! What a setting `NAME-from` names is put behind what the setting `NAME` lists, file by file. A CSV file has a
//! header whose columns are the keys of the entries; a YAML or JSON file is a list of them; a text file
//! has an entry in each line, which is a string.

use std::path::{Path, PathBuf};

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::load::beside;
use super::records;
use super::rows::{self, Part};
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
            let Some(parts) = self.read_all(&value, diagnostics) else { continue };
            match entries.iter_mut().find(|entry| &*entry.key == name).map(|entry| &mut entry.value.node) {
                Some(node @ Node::Seq(_)) => {
                    if let Node::Seq(values) = std::mem::replace(node, Node::Null) {
                        *node = rows::joined(std::iter::once(Part::Values(values)).chain(parts).collect());
                    }
                }
                // What is no list is reported by whoever reads the setting.
                Some(_) => {}
                None => {
                    let value = Value { span: value.span, node: rows::joined(parts) };
                    entries.push(Entry { key: name.into(), key_span, value });
                }
            }
        }
    }

    /// What a file holds, or several of them one after the other. `None` if there is a mistake in any.
    fn read_all(&mut self, value: &Value, diagnostics: &mut Diagnostics) -> Option<Vec<Part>> {
        let files = match &value.node {
            Node::Seq(files) => &files[..],
            Node::Str(_) => std::slice::from_ref(value),
            _ => {
                diagnostics.push(value.wrong_type("the name of a file, or a list of them"));
                return None;
            }
        };
        // Each is looked at, whatever is wrong with those before it.
        let read: Vec<Option<Part>> = files.iter().map(|file| self.read(file, diagnostics)).collect();
        read.into_iter().collect()
    }

    fn read(&mut self, value: &Value, diagnostics: &mut Diagnostics) -> Option<Part> {
        let written = diagnostics.ok(value.expect_str())?;
        let path = beside(self.sources, value.span.file, written);
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
        let reader = match extension.as_str() {
            "csv" => records::read,
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
        let source = self.sources.get(file)?;
        check_size(source, diagnostics)?;
        reader(source, diagnostics)
    }

    fn open(&mut self, path: PathBuf, place: Span, diagnostics: &mut Diagnostics) -> Option<FileId> {
        let shown = path.display().to_string();
        match self.world.read(Path::new(&path)) {
            Ok(content) => diagnostics.ok(self.sources.add_content(shown, content)),
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

fn read_yaml(source: &Source, diagnostics: &mut Diagnostics) -> Option<Part> {
    let value = yaml::read(source, diagnostics)?;
    match value.node {
        Node::Seq(values) => Some(Part::Values(values)),
        _ => {
            diagnostics.push(value.wrong_type("a list"));
            None
        }
    }
}

/// An entry in each line, behind which `#` or `;` begins a comment.
fn read_lines(source: &Source, _: &mut Diagnostics) -> Option<Part> {
    let text = source.text();
    let entry = |line: &str| {
        let shown = line.split(['#', ';']).next().unwrap_or_default();
        // Lines are parts of the text.
        let start = shown.as_ptr().addr() - text.as_ptr().addr() + (shown.len() - shown.trim_start().len());
        let shown = shown.trim();
        let span = source.span(start..start + shown.len());
        (!shown.is_empty()).then(|| Value { span, node: Node::Str(shown.into()) })
    };
    Some(Part::Values(text.lines().filter_map(entry).collect()))
}

fn check_size(source: &Source, diagnostics: &mut Diagnostics) -> Option<()> {
    if source.text().len() > yaml::MAX_TEXT {
        let message = format!("the file has more than {} bytes", yaml::MAX_TEXT);
        diagnostics.push(Diagnostic::error(Code::TooLarge, message).primary(source.span(0..0), ""));
        return None;
    }
    Some(())
}
