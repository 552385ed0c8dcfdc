//! Chains of nodes that most packets pass from the first to the last, as one step.

use crate::{NodeKind, edges};

/// What does for most packets of a chain of nodes what the chain would do, in one step and for less.
///
/// Where a graph has such a chain, the engine calls an instance of `kind` before the first node of it. Packets that it decides as
/// [`Passed::Done`] are where the last node would have sent them by its edge; they must be as they would have been, and count as if they had
/// passed each node. Those that it decides as [`Passed::Rest`] it must not have changed: the nodes themselves see to them, in their order. Packets
/// behind one that may yet leave the chain at its end must not be done, or they would overtake it. Nobody who looks at the graph sees it.
///
/// Its settings are those of the nodes in a list. If it refuses them, as it may, the chain is as it was.
#[derive(Debug, Clone, Copy)]
pub struct Shortcut {
    /// Kinds of the nodes, and the edge of each that leads to the next; that of the last is where packets come out.
    pub steps: &'static [(&'static str, &'static str)],
    /// What is called in their place.
    pub kind: NodeKind,
}

edges! {
    /// What a [`Shortcut`] says of packets.
    pub enum Passed {
        /// They are through.
        Done = edge("done", ""),
        /// They take the long way.
        Rest = edge("rest", ""),
    }
}
