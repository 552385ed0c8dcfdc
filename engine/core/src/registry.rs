//! The kinds that a graph file can name.

use swath_api::{NodeKind, TableKind};

use crate::driver::DriverKind;

/// All kinds of nodes, tables and drivers of a process, in reading order.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    nodes: Vec<NodeKind>,
    tables: Vec<TableKind>,
    drivers: Vec<DriverKind>,
}

impl Registry {
    /// A registry of these kinds.
    pub fn new(nodes: &[NodeKind], tables: &[TableKind], drivers: &[DriverKind]) -> Registry {
        Registry { nodes: nodes.to_vec(), tables: tables.to_vec(), drivers: drivers.to_vec() }
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
}
