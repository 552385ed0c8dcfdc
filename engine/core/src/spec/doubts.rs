//! Parts of a graph in which a mistake was found.
//!
//! What refers to such a part is not mistaken for that: nobody is told twice of one mistake.

use std::collections::BTreeSet;

/// The parts in doubt, by section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doubts {
    /// Plugins: any kind may be one of theirs.
    pub plugins: Doubt,
    /// Interfaces.
    pub interfaces: Doubt,
    /// Tables.
    pub tables: Doubt,
    /// Nodes.
    pub nodes: Doubt,
}

/// The parts of one section that are in doubt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doubt {
    all: bool,
    names: BTreeSet<String>,
}

impl Doubts {
    /// A file could not be read: any part may have been meant.
    pub fn doubt_all(&mut self) {
        self.plugins.doubt_all();
        self.interfaces.doubt_all();
        self.tables.doubt_all();
        self.nodes.doubt_all();
    }
}

impl Doubt {
    /// The section could not be read, or its own name is misspelt: any part may have been meant.
    pub fn doubt_all(&mut self) {
        self.all = true;
    }

    /// A part has a mistake in it.
    pub fn doubt(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Whether the whole section is in doubt.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// Whether any part is in doubt.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.all || !self.names.is_empty()
    }

    /// Whether a part of this name is in doubt, or the instance of a template that it stands in.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let mut around = name.match_indices('/').map(|(at, _)| &name[..at]);
        self.all || self.names.contains(name) || around.any(|name| self.names.contains(name))
    }

    /// The names in doubt that are not among these: parts that are not there at all.
    #[must_use]
    pub fn without<'a>(&self, known: impl Iterator<Item = &'a String>) -> Vec<String> {
        let known: BTreeSet<&String> = known.collect();
        self.names.iter().filter(|name| !known.contains(name)).cloned().collect()
    }
}
