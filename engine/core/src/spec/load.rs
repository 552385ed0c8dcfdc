//! A graph and the files that it includes: read, and merged by section.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::doubts::Doubts;
use super::source::{FileId, SourceMap, Span};
use super::suggest::{did_you_mean, suggestion};
use super::value::{Entry, Node, Value};
use super::variables::Scope;
use super::world::World;
use super::{SECTIONS, VERSION, yaml};

/// How many files a graph may be made of.
const MAX_FILES: usize = 1024;

/// The sections of a graph, with what all of its files say.
#[derive(Default)]
pub(super) struct Sections {
    /// The key `engine`, where one of the files has it, and its settings.
    pub(super) engine: Option<(Span, Value)>,
    pub(super) plugins: Vec<Entry>,
    pub(super) interfaces: Vec<Entry>,
    pub(super) tables: Vec<Entry>,
    pub(super) templates: Vec<Entry>,
    pub(super) nodes: Vec<Entry>,
    /// Those of the root file.
    pub(super) tests: Option<Value>,
    /// Sections that could not be read.
    pub(super) doubts: Doubts,
}

/// Reads files.
pub(super) struct Loader<'a> {
    world: &'a dyn World,
    sources: &'a mut SourceMap,
    diagnostics: &'a mut Diagnostics,
    sections: Sections,
    /// Where each name of a section was defined first.
    names: HashMap<(&'static str, Arc<str>), Span>,
    /// The files around the current one, from the root inwards, each with the place that includes the next.
    chain: Vec<(PathBuf, FileId)>,
    /// All files that were read, by identity.
    seen: Vec<PathBuf>,
    /// Where the root file begins.
    start: Span,
    has_nodes: bool,
}

impl<'a> Loader<'a> {
    pub(super) fn new(root: FileId, world: &'a dyn World, sources: &'a mut SourceMap, diagnostics: &'a mut Diagnostics) -> Self {
        Self {
            world,
            sources,
            diagnostics,
            sections: Sections::default(),
            names: HashMap::new(),
            chain: Vec::new(),
            seen: Vec::new(),
            start: Span { file: root, start: 0, end: 0 },
            has_nodes: false,
        }
    }

    /// Reads a graph from its root file on. `None` if it is not to be looked at any further.
    pub(super) fn read(mut self) -> Option<Sections> {
        let root = self.start.file;
        let path = PathBuf::from(self.sources.get(root)?.name());
        let identity = self.world.identity(&path);
        self.seen.push(identity.clone());
        self.chain.push((identity, root));
        self.file(root)?;
        if !self.has_nodes {
            self.diagnostics.push(
                Diagnostic::error(Code::NoNodes, "the graph has no nodes").primary(self.start, "").help("add the section `nodes:`"),
            );
        }
        Some(self.sections)
    }

    /// Reads one file. `None` if nothing can be said of the graph.
    fn file(&mut self, file: FileId) -> Option<()> {
        let is_root = self.chain.len() == 1;
        let Value { span, node } = yaml::read(self.sources.get(file)?, self.diagnostics)?;
        let start = Span { end: span.start, ..span };
        let sections = match node {
            Node::Null => return None,
            Node::Map(sections) => sections,
            node => {
                let wrong = Value { span, node }.wrong_type("a mapping of sections");
                self.diagnostics.push(wrong.help("a graph starts with `version: 1`, followed by `nodes:`"));
                return None;
            }
        };
        if is_root {
            self.start = start;
        }
        self.version(&sections, start, is_root)?;
        // A misspelt section is reported by itself; an included file may be one that was refused.
        let gives_nodes = |section: &Entry| &*section.key == "include" || did_you_mean(&section.key, ["nodes"]).is_some();
        self.has_nodes |= sections.iter().any(gives_nodes);
        for section in sections {
            self.section(section, file);
        }
        Some(())
    }

    /// `None` if the file is of another version, which has other words.
    fn version(&mut self, sections: &[Entry], start: Span, is_root: bool) -> Option<()> {
        let version = sections.iter().find(|section| &*section.key == "version");
        match version.map(|section| &section.value) {
            None if !is_root => {}
            None => self.diagnostics.push(
                Diagnostic::error(Code::Version, "the version is missing")
                    .primary(start, "")
                    .help(format!("start the file with `version: {VERSION}`")),
            ),
            Some(version) if version.node == Node::Int(VERSION) => {}
            Some(version) => {
                let wrong = version.mismatch(Code::Version, &format!("version {VERSION}"));
                self.diagnostics.push(wrong.help(format!("this program reads `version: {VERSION}`")));
                return (!matches!(version.node, Node::Int(_))).then_some(());
            }
        }
        Some(())
    }

    fn section(&mut self, section: Entry, file: FileId) {
        let Entry { key, key_span, value } = section;
        match &*key {
            "version" => {}
            "include" => self.include(value, file),
            "engine" => self.engine(key_span, value),
            "plugins" => {
                let merged = self.merge("plugin", value, |sections| &mut sections.plugins);
                merged.unwrap_or_else(|_| self.sections.doubts.plugins.doubt_all());
            }
            "interfaces" => {
                let merged = self.merge("interface", value, |sections| &mut sections.interfaces);
                merged.unwrap_or_else(|_| self.sections.doubts.interfaces.doubt_all());
            }
            "tables" => {
                let merged = self.merge("table", value, |sections| &mut sections.tables);
                merged.unwrap_or_else(|_| self.sections.doubts.tables.doubt_all());
            }
            "templates" => {
                let merged = self.merge("template", value, |sections| &mut sections.templates);
                merged.unwrap_or_else(|_| self.sections.doubts.nodes.doubt_all());
            }
            "nodes" => {
                let is_empty = matches!(&value.node, Node::Map(nodes) if nodes.is_empty());
                if is_empty || value.node == Node::Null {
                    self.diagnostics.push(
                        Diagnostic::error(Code::NoNodes, "the graph has no nodes")
                            .primary(key_span, "this section is empty")
                            .help("add a node: `name: { kind: ... }`"),
                    );
                }
                let merged = self.merge("node", value, |sections| &mut sections.nodes);
                merged.unwrap_or_else(|_| self.sections.doubts.nodes.doubt_all());
            }
            "tests" if self.chain.len() == 1 => self.sections.tests = Some(value),
            // Those of an included file are run when it is tested itself.
            "tests" => {}
            _ => {
                let unknown =
                    Diagnostic::error(Code::UnknownSection, format!("unknown section `{key}`")).primary(key_span, "not known");
                match did_you_mean(&key, SECTIONS) {
                    Some("include") => self.sections.doubts.doubt_all(),
                    Some("plugins") => self.sections.doubts.plugins.doubt_all(),
                    Some("interfaces") => self.sections.doubts.interfaces.doubt_all(),
                    Some("tables") => self.sections.doubts.tables.doubt_all(),
                    Some("templates" | "nodes") => self.sections.doubts.nodes.doubt_all(),
                    _ => {}
                }
                let help = suggestion(&key, "the sections are", &SECTIONS);
                self.diagnostics.push(unknown.help(help.unwrap_or_default()));
            }
        }
    }

    /// Settings of the process may stand in any file, each of them in one.
    fn engine(&mut self, key: Span, section: Value) {
        match (&mut self.sections.engine, section) {
            (Some((_, Value { node: Node::Map(known), .. })), Value { node: Node::Map(new), .. }) => {
                for entry in new {
                    match known.iter().find(|before| before.key == entry.key) {
                        Some(before) => {
                            let twice = defined_twice(&format!("the setting `{}`", entry.key), entry.key_span, before.key_span);
                            self.diagnostics.push(twice);
                        }
                        None => known.push(entry),
                    }
                }
            }
            (_, Value { node: Node::Null, .. }) => {}
            (engine, section) => *engine = Some((key, section)),
        }
    }

    /// Takes the entries of a section.
    ///
    /// # Errors
    /// It is no mapping, which has been said.
    fn merge(&mut self, what: &'static str, section: Value, into: impl Fn(&mut Sections) -> &mut Vec<Entry>) -> Result<(), ()> {
        match section.node {
            Node::Map(entries) => {
                for entry in entries {
                    match self.names.insert((what, entry.key.clone()), entry.key_span) {
                        Some(before) => {
                            self.names.insert((what, entry.key.clone()), before);
                            self.diagnostics.push(defined_twice(&format!("the {what} `{}`", entry.key), entry.key_span, before));
                        }
                        None => into(&mut self.sections).push(entry),
                    }
                }
            }
            Node::Null => {}
            _ => {
                let wrong = section.wrong_type("a mapping");
                self.diagnostics.push(wrong.help("each entry is written as `name: { ... }`"));
                return Err(());
            }
        }
        Ok(())
    }

    /// What could not be included may hold anything.
    fn include(&mut self, list: Value, file: FileId) {
        let errors = self.diagnostics.errors();
        self.include_all(list, file);
        if self.diagnostics.errors() > errors {
            self.sections.doubts.doubt_all();
        }
    }

    fn include_all(&mut self, list: Value, file: FileId) {
        let paths = match list.node {
            Node::Str(_) => vec![list],
            Node::Seq(paths) => paths,
            _ => {
                let wrong = list.wrong_type("a list of paths");
                self.diagnostics.push(wrong.help("write `include: [ports/*.yaml]`"));
                return;
            }
        };
        for mut path in paths {
            let errors = self.diagnostics.errors();
            let scope = Scope { world: self.world, sources: self.sources, arguments: None };
            scope.substitute(&mut path, self.diagnostics);
            if self.diagnostics.errors() == errors
                && let Some(text) = self.diagnostics.ok(path.expect_str().map(str::to_owned))
            {
                self.include_path(&text, path.span, file);
            }
        }
    }

    fn include_path(&mut self, text: &str, place: Span, file: FileId) {
        let path = beside(self.sources, file, text);
        if !text.contains(['*', '?', '[']) {
            return self.include_file(path, place);
        }
        match self.world.matches(&path.to_string_lossy()) {
            Ok(found) if found.is_empty() => self.diagnostics.push(
                Diagnostic::warning(Code::NothingIncluded, format!("no file matches `{text}`"))
                    .primary(place, "nothing is included here")
                    .help("paths are relative to the file in which they stand"),
            ),
            Ok(found) => found.into_iter().for_each(|path| self.include_file(path, place)),
            Err(why) => {
                let message = format!("`{text}` cannot be matched: {why}");
                self.diagnostics.push(Diagnostic::error(Code::Include, message).primary(place, ""));
            }
        }
    }

    fn include_file(&mut self, path: PathBuf, place: Span) {
        let shown = path.display().to_string();
        let identity = self.world.identity(&path);
        if let Some(at) = self.chain.iter().position(|(known, _)| *known == identity) {
            return self.circle(at, &shown, place);
        }
        // Two files may include a third: its definitions are there once.
        if self.seen.contains(&identity) {
            return;
        }
        if self.seen.len() == MAX_FILES {
            let message = format!("the graph is made of more than {MAX_FILES} files");
            return self.diagnostics.push(Diagnostic::error(Code::Include, message).primary(place, "one too many"));
        }
        let content = match self.world.read(&path) {
            Ok(content) => content,
            Err(error) => {
                let mut refused = Diagnostic::error(Code::Include, format!("`{shown}` cannot be read: {error}")).primary(place, "");
                if error.kind() == std::io::ErrorKind::NotFound {
                    refused = refused.help("paths are relative to the file in which they stand");
                }
                return self.diagnostics.push(refused);
            }
        };
        self.seen.push(identity.clone());
        if let Some(file) = self.diagnostics.ok(self.sources.add_content(shown, content)) {
            self.chain.push((identity, file));
            self.file(file);
            self.chain.pop();
        }
    }

    fn circle(&mut self, at: usize, shown: &str, place: Span) {
        let names = self.chain[at..].iter().filter_map(|(_, file)| Some(self.sources.get(*file)?.name()));
        let way: Vec<&str> = names.chain([shown]).collect();
        self.diagnostics.push(
            Diagnostic::error(Code::IncludeCycle, format!("files include each other in a circle: {}", way.join(" → ")))
                .primary(place, "this one closes the circle")
                .help("move what both need to a file of its own, and include that in both"),
        );
    }
}

/// A path that is relative to the file in which it stands.
pub(super) fn beside(sources: &SourceMap, file: FileId, path: &str) -> PathBuf {
    let name = sources.get(file).map_or("", |source| source.name());
    Path::new(name).parent().unwrap_or(Path::new("")).join(path)
}

/// Where a pattern looks: what it begins with, up to the first part that is no plain name.
pub(super) fn directory_of_pattern(pattern: &str) -> PathBuf {
    let plain = Path::new(pattern).components().take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']));
    plain.collect()
}

fn defined_twice(what: &str, again: Span, first: Span) -> Diagnostic {
    Diagnostic::error(Code::DefinedTwice, format!("{what} is defined twice"))
        .primary(again, "defined again")
        .secondary(first, "first defined here")
        .help("rename or remove one of the two")
}
