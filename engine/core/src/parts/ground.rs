//! Where the parts of a graph are made: at which places, and in the place of what.

use std::sync::Arc;

use swath_api::{Keeper, TableInstance, TableTies, Wishes};

use super::View;

/// The places of a graph's parts, by index in its view, and what there is of them already.
pub(crate) struct Ground {
    /// Places of interfaces.
    pub interfaces: Vec<usize>,
    pub tables: Vec<TableGround>,
    /// How many places tables have.
    pub table_places: usize,
    pub nodes: Vec<NodeGround>,
}

/// Of a table.
pub(crate) struct TableGround {
    pub place: usize,
    /// The one that has its name and is of its kind.
    pub old: Option<Arc<TableInstance>>,
    /// If that goes on: what it is bound to.
    pub kept: Option<TableTies>,
}

/// Of a node.
#[derive(Default)]
pub(crate) struct NodeGround {
    /// If there is one that goes on: what it asked for and found.
    pub kept: Option<Wishes>,
    /// By worker, if the process has had a node of its name and kind.
    pub keepers: Vec<Arc<Keeper>>,
}

impl Ground {
    /// Where nothing is: each part stands at its index.
    pub fn empty(view: &View<'_>) -> Ground {
        let tables = (0..view.tables.len()).map(|place| TableGround { place, old: None, kept: None });
        Ground {
            interfaces: (0..view.interfaces.len()).collect(),
            tables: tables.collect(),
            table_places: view.tables.len(),
            nodes: view.nodes.iter().map(|_| NodeGround::default()).collect(),
        }
    }
}
