//! The kinds that a graph file can name.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use swath_api::{Library, NodeKind, Shortcut, TableKind};

use crate::driver::DriverKind;
use crate::spec::{Code, Diagnostic, Diagnostics, PluginSpec};

/// All kinds of nodes, tables and drivers of a process, in reading order.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    nodes: Vec<NodeKind>,
    tables: Vec<TableKind>,
    drivers: Vec<DriverKind>,
    shortcuts: &'static [Shortcut],
    plugins: Option<Arc<dyn Plugins>>,
    /// Libraries whose nodes are made anew when they are out of service, and after how long.
    restarts: Vec<(&'static Library, Duration)>,
}

/// Where the libraries are that graphs name.
pub trait Plugins: Send + Sync + fmt::Debug {
    /// Loads the library in a file, if it has not been loaded.
    ///
    /// # Errors
    /// It cannot be used.
    fn load(&self, file: &str, sha256: Option<&str>) -> Result<&'static Library, PluginRefusal>;
}

/// Why a library is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRefusal {
    /// What kind of mistake it is.
    pub code: Code,
    /// The setting that is to blame: `file` or `sha256`.
    pub setting: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Registry {
    /// A registry of these kinds.
    pub fn new(nodes: &[NodeKind], tables: &[TableKind], drivers: &[DriverKind]) -> Registry {
        Registry { nodes: nodes.to_vec(), tables: tables.to_vec(), drivers: drivers.to_vec(), ..Registry::default() }
    }

    /// The same, for engines that go through these chains in one step. Those before others are tried before them.
    #[must_use]
    pub fn shortcuts(self, shortcuts: &'static [Shortcut]) -> Registry {
        Registry { shortcuts, ..self }
    }

    /// The same, for graphs that may name plugins.
    #[must_use]
    pub fn plugins(self, plugins: Arc<dyn Plugins>) -> Registry {
        Registry { plugins: Some(plugins), ..self }
    }

    /// All kinds of nodes.
    pub fn nodes(&self) -> &[NodeKind] {
        &self.nodes
    }

    /// All kinds of tables.
    pub fn tables(&self) -> &[TableKind] {
        &self.tables
    }

    /// All drivers.
    pub fn drivers(&self) -> &[DriverKind] {
        &self.drivers
    }

    /// Chains that are gone through in one step.
    pub(crate) fn known_shortcuts(&self) -> &'static [Shortcut] {
        self.shortcuts
    }

    /// A kind of node by name.
    pub fn node(&self, kind: &str) -> Option<NodeKind> {
        self.nodes.iter().copied().find(|known| known.info().kind.as_str() == kind)
    }

    /// A kind of table by name.
    pub fn table(&self, kind: &str) -> Option<TableKind> {
        self.tables.iter().copied().find(|known| known.info().kind.as_str() == kind)
    }

    /// A driver by name.
    pub fn driver(&self, name: &str) -> Option<DriverKind> {
        self.drivers.iter().copied().find(|known| known.name == name)
    }

    /// After how long a node of this kind is made anew that is out of service, if the graph says so of its library.
    pub fn restart(&self, kind: &NodeKind) -> Option<Duration> {
        let library = kind.library()?;
        self.restarts.iter().find(|(known, _)| std::ptr::eq(*known, library)).map(|(_, after)| *after)
    }

    /// The same with the kinds of a library.
    ///
    /// # Errors
    /// One of its kinds is there already: which, and whose that is.
    pub fn with(mut self, library: &'static Library) -> Result<Registry, String> {
        let whose = |other: Option<&Library>| match other {
            Some(other) => format!("of `{}`", other.file()),
            None => "of swath itself".into(),
        };
        let twice = |kind: &str, what: &str, other: Option<&Library>| {
            Err(format!("the {what} `{kind}` of `{}` is also one {}", library.file(), whose(other)))
        };
        for kind in library.nodes() {
            match self.node(kind.info().kind.as_str()) {
                Some(other) => return twice(kind.info().kind.as_str(), "kind", other.library()),
                None => self.nodes.push(*kind),
            }
        }
        for kind in library.tables() {
            match self.table(kind.info().kind.as_str()) {
                Some(other) => return twice(kind.info().kind.as_str(), "kind of table", other.library()),
                None => self.tables.push(*kind),
            }
        }
        Ok(self)
    }

    /// The same with the kinds of the plugins of a graph. What is wrong with one is reported, and its kinds are missing.
    pub fn of_graph(&self, plugins: &[PluginSpec], diagnostics: &mut Diagnostics) -> Registry {
        let mut registry = self.clone();
        let mut loaded: Vec<(&'static Library, &PluginSpec)> = Vec::new();
        for plugin in plugins {
            let Some(loader) = &self.plugins else {
                let none = Diagnostic::error(Code::PluginFile, "this program loads no plugins").primary(plugin.file.span, "");
                diagnostics.push(none);
                continue;
            };
            match loader.load(&plugin.file.value, plugin.sha256.as_ref().map(|sha256| sha256.value.as_str())) {
                Ok(library) if loaded.iter().any(|(known, _)| std::ptr::eq(*known, library)) => {}
                Ok(library) => match registry.clone().with(library) {
                    Ok(more) => {
                        registry = more;
                        registry.restarts.extend(plugin.restart.map(|after| (library, after)));
                        loaded.push((library, plugin));
                    }
                    Err(message) => {
                        let mut twice = Diagnostic::error(Code::PluginKind, message).primary(plugin.file.span, "");
                        let has = |other: &&(&'static Library, &PluginSpec)| {
                            Registry::default().with(other.0).is_ok_and(|alone| alone.with(library).is_err())
                        };
                        if let Some((_, other)) = loaded.iter().find(has) {
                            twice = twice.secondary(other.file.span, "the other library");
                        }
                        diagnostics.push(twice.help("leave one of the plugins out, or take a build whose kind has another name"));
                    }
                },
                Err(PluginRefusal { code, setting, message, help }) => {
                    let refused = Diagnostic::error(code, message).primary(plugin.span(setting), "");
                    diagnostics.push(match help {
                        Some(help) => refused.help(help),
                        None => refused,
                    });
                }
            }
        }
        registry
    }
}
