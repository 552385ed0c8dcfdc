//! Where a graph has chains of nodes that can be gone through in one step.

use swath_api::{EdgeClass, Shortcut};

use super::Plan;

/// A chain of nodes of a graph that is one of a [`Shortcut`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Its nodes, and the edge of each that packets take.
    pub steps: Vec<(usize, u16)>,
    /// The node that they come to.
    pub to: usize,
}

impl Plan {
    /// The chain of a shortcut that begins with a node, if there is one.
    pub(crate) fn chain(&self, first: usize, shortcut: &Shortcut) -> Option<Chain> {
        let (mut steps, mut at) = (Vec::new(), first);
        for (kind, edge) in shortcut.steps {
            let node = &self.nodes[at];
            // One of a library may be called as one of the program's is elsewhere.
            if node.kind.info().kind.as_str() != *kind || node.kind.library().is_some() {
                return None;
            }
            let id = node.edges.iter().position(|known| known.name == *edge && known.class != EdgeClass::Transmit)?;
            steps.push((at, id as u16));
            at = node.targets[id]?;
        }
        Some(Chain { steps, to: at })
    }
}
