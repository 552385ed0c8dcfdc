//! The files of a graph, apart from the machine on which they lie: what a client sends to an engine, and what an engine keeps to go back to.
//!
//! Who reads a graph where its files are notes what was looked for beside them: what patterns matched, what could not be read, and which
//! file is known by several names. Read again from that it is the same graph, with the same diagnostics. Variables are those of the process
//! that reads it again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::diagnostic::Diagnostics;
use super::source::{FileId, SourceMap};
use super::text::Text;
use super::world::{Content, World};
use super::{Spec, load};

/// The files of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GraphFiles {
    /// What relative names are relative to, as an absolute path; empty for the working directory of whoever reads them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// The graph first, then what it includes and the files of data that it names.
    pub files: Vec<GraphFile>,
    /// The names that each pattern of `include` matches.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub patterns: BTreeMap<String, Vec<String>>,
    /// By name, what could not be read: the number of the system's error.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable: BTreeMap<String, i32>,
}

/// A file of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GraphFile {
    /// Its name, by which messages speak of it.
    pub name: String,
    /// What stands in it.
    #[schema(value_type = String)]
    pub text: Text,
    /// Its path without links, by which it is known if it has several names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl GraphFiles {
    /// Reads a graph, and notes what it was read from.
    pub fn read(root: FileId, sources: &mut SourceMap, world: &dyn World, diagnostics: &mut Diagnostics) -> (Spec, GraphFiles) {
        let recorder = Recorder { world, seen: RefCell::default() };
        let spec = Spec::read(root, sources, &recorder, diagnostics);
        let mut seen = recorder.seen.into_inner();
        let files = sources.iter().map(|source| {
            let path = seen.paths.remove(source.name());
            GraphFile { name: source.name().into(), text: source.shared(), path }
        });
        let files = files.collect();
        let directory = std::env::current_dir().map(|path| shown(&path)).unwrap_or_default();
        (spec, GraphFiles { directory, files, patterns: seen.patterns, unreadable: seen.unreadable })
    }

    /// Reads the graph again, with the variables of `world`; nothing else is asked of that.
    pub fn spec(&self, sources: &mut SourceMap, world: &dyn World, diagnostics: &mut Diagnostics) -> Spec {
        let Some(root) = self.files.first() else { return Spec::default() };
        let root = sources.add(&root.name, root.text.clone());
        let mut spec = Spec::read(root, sources, &Given { files: self, world }, diagnostics);
        // What drivers open beside the graph lies where the graph does.
        for interface in &mut spec.interfaces {
            interface.directory = Path::new(&self.directory).join(&interface.directory);
        }
        spec
    }

    /// The name of the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        self.files.first().map_or("", |root| &root.name)
    }

    /// Every path that a change of the graph may come by: its files, what could not be read, and the directories in which patterns look.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let patterns = self.patterns.keys().map(|pattern| load::directory_of_pattern(pattern));
        let names = self.files.iter().map(|file| PathBuf::from(&file.name)).chain(self.unreadable.keys().map(PathBuf::from));
        names.chain(patterns).map(|path| Path::new(&self.directory).join(path)).collect()
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A machine, and what it was asked for.
struct Recorder<'a> {
    world: &'a dyn World,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    paths: BTreeMap<String, String>,
    patterns: BTreeMap<String, Vec<String>>,
    unreadable: BTreeMap<String, i32>,
}

impl World for Recorder<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.world.variable(name)
    }

    fn read(&self, path: &Path) -> io::Result<Content> {
        let read = self.world.read(path);
        if let Err(error) = &read {
            self.seen.borrow_mut().unreadable.insert(shown(path), error.raw_os_error().unwrap_or_default());
        }
        read
    }

    fn matches(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let found = self.world.matches(pattern)?;
        self.seen.borrow_mut().patterns.insert(pattern.into(), found.iter().map(|path| shown(path)).collect());
        Ok(found)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        let identity = self.world.identity(path);
        self.seen.borrow_mut().paths.insert(shown(path), shown(&identity));
        identity
    }
}

/// A machine that has these files alone, and the variables of another one.
struct Given<'a> {
    files: &'a GraphFiles,
    world: &'a dyn World,
}

impl Given<'_> {
    fn file(&self, name: &str) -> Option<&GraphFile> {
        self.files.files.iter().find(|file| file.name == name)
    }
}

impl World for Given<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.world.variable(name)
    }

    fn read(&self, path: &Path) -> io::Result<Content> {
        let name = shown(path);
        match (self.file(&name), self.files.unreadable.get(&name)) {
            (Some(file), _) => Ok(Content::Text(file.text.clone())),
            (None, Some(error)) => Err(io::Error::from_raw_os_error(*error)),
            (None, None) => Err(io::Error::other("it is not among the files of the graph, which another variable may name")),
        }
    }

    fn matches(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        match self.files.patterns.get(pattern) {
            Some(names) => Ok(names.iter().map(PathBuf::from).collect()),
            // Who has read the graph has left out what is no pattern, and so it is told what is wrong with it.
            None => glob::Pattern::new(pattern)
                .map_err(|error| error.msg.to_owned())
                .and_then(|_| Err("what it matches is not known here, since a variable in it has another value".into())),
        }
    }

    fn identity(&self, path: &Path) -> PathBuf {
        let known = self.file(&shown(path)).and_then(|file| file.path.as_deref());
        known.map_or_else(|| path.to_owned(), PathBuf::from)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::world::{Machine, Nothing};
    use super::*;

    /// Reads a graph where it lies, and again from its files; both must say the same. Returns those files.
    fn both(path: &Path) -> (GraphFiles, String) {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        let root = sources.add(shown(path), fs::read_to_string(path).unwrap());
        let (spec, files) = GraphFiles::read(root, &mut sources, &Machine, &mut diagnostics);
        let (mut again, mut found) = (SourceMap::new(), Diagnostics::new());
        // As it comes by a wire.
        let sent: GraphFiles = serde_json::from_str(&serde_json::to_string(&files).unwrap()).unwrap();
        assert_eq!(sent, files);
        let read = sent.spec(&mut again, &Nothing, &mut found);
        assert_eq!(diagnostics.render(&sources, false), found.render(&again, false));
        assert_eq!(read, spec);
        (files, found.render(&again, false))
    }

    #[test]
    fn a_graph_is_the_same_without_its_machine() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        file("ports/a.yaml", "include: ../common.yaml\ninterfaces: { a: { driver: memory } }\n");
        file("ports/b.yaml", "include: ../common.yaml\ninterfaces: { b: { driver: pcap, read: b.pcap } }\n");
        file("common.yaml", "tables: { routes: { kind: fib4, routes-from: routes.csv } }\n");
        file("routes.csv", "prefix,via\n10.0.0.0/8,192.0.2.1\n");
        let text = "version: 1\ninclude: [ports/*.yaml, none/*.yaml]\nnodes:\n  in: { kind: rx, interface: a, to: end }\n  end: { kind: drop }\n";
        let root = file("graph.yaml", text);
        let (files, said) = both(&root);
        let names: Vec<String> = files.files.iter().map(|file| file.name.replace(&shown(place.path()), "")).collect();
        assert_eq!(names, ["/graph.yaml", "/ports/a.yaml", "/ports/../common.yaml", "/ports/b.yaml", "/ports/../routes.csv"]);
        assert!(said.starts_with("warning[SW0305]: no file matches `none/*.yaml`"), "{said}");
        let paths: Vec<String> = files.paths().iter().map(|path| shown(path).replace(&shown(place.path()), "")).collect();
        assert_eq!(paths[5..], ["/none", "/ports"]);
        // What is wrong with files is the same, too.
        file("graph.yaml", &text.replace("none/*.yaml", "missing.yaml, ports, 'a[.yaml', graph.yaml"));
        let (files, said) = both(&root);
        assert_eq!(files.unreadable.values().copied().collect::<Vec<_>>(), [2, 21], "{said}");
        assert!(
            said.contains("No such file or directory") && said.contains("in a circle") && said.contains("range pattern"),
            "{said}"
        );
    }

    #[test]
    fn what_was_not_sent_is_said() {
        let file = GraphFile { name: "a.yaml".into(), text: "version: 1\ninclude: [b.yaml, '*.yaml']\n".into(), path: None };
        let files = GraphFiles { files: vec![file], ..GraphFiles::default() };
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        files.spec(&mut sources, &Nothing, &mut diagnostics);
        let said = diagnostics.render(&sources, false);
        assert!(said.contains("`b.yaml` cannot be read: it is not among the files of the graph"), "{said}");
        assert!(said.contains("`*.yaml` cannot be matched: what it matches is not known here"), "{said}");
    }
}
