//! Chains of nodes that packets go through in one step. Who looks at the graph does not see it: the nodes count what would have passed them,
//! their edges too, and share the time that it took; and where somebody looks at packets, each node sees them.

use swath_api::kernel::tsc;
use swath_api::{Call, Edges, NodeInstance, Passed, VECTOR, Vector, reserved};

use super::pass::WorkerGraph;

/// What goes through a chain in the place of its nodes, kept at the first of them.
pub(super) struct Through {
    instance: NodeInstance,
    /// The nodes of the chain, the first included.
    nodes: Box<[usize]>,
    /// The counter slot of the first one's edge.
    edge: usize,
    /// Of the vectors: where those that are through wait until the last node's turn comes, so that none overtakes another.
    wait: usize,
}

/// What a node would have had to do in this pass, and has not.
#[derive(Default)]
pub(super) struct Spared {
    /// Packets.
    pub packets: u32,
    /// What they took all the same: its share.
    pub cycles: u64,
    /// The counter slot of the edge that they took.
    edge: usize,
    /// If it is the last of a chain: the vector in which they wait, and the node that they go to.
    out: Option<(usize, usize)>,
}

impl WorkerGraph {
    /// Has packets go by `instance` through a chain of nodes, by the counter slots of their edges, and on to a node. `false` if it crosses
    /// another chain, so that it cannot be.
    pub(super) fn open_shortcut(&mut self, instance: NodeInstance, steps: &[(usize, usize)], to: usize) -> bool {
        let (Some((first, edge)), Some((last, _))) = (steps.first().copied(), steps.last().copied()) else { return false };
        let crosses = |(node, edge): &(usize, usize)| self.nodes[*node].spared.as_ref().is_some_and(|known| known.edge != *edge);
        if self.nodes[first].through.is_some() || steps.iter().any(crosses) {
            return false;
        }
        for (node, edge) in steps {
            self.nodes[*node].spared.get_or_insert_with(Box::default).edge = *edge;
        }
        let next = self.vectors.len();
        let spared = self.nodes[last].spared.get_or_insert_with(Box::default);
        let (wait, _) = *spared.out.get_or_insert((next, to));
        if wait == next {
            self.vectors.push(Vector::new(self.cache.pool()));
        }
        let nodes = steps.iter().map(|(node, _)| *node).collect();
        self.nodes[first].through = Some(Box::new(Through { instance, nodes, edge, wait }));
        true
    }

    /// How many chains of nodes packets can go through in one step.
    pub fn shortcuts(&self) -> usize {
        self.nodes.iter().filter(|node| node.through.is_some()).count()
    }

    /// What a node has been spared in this pass is counted; and if it is the last of a chain, what is through goes on. Returns how many
    /// packets there were.
    pub(super) fn settle_spared(&mut self, index: usize) -> usize {
        let Some(spared) = &mut self.nodes[index].spared else { return 0 };
        let packets = std::mem::take(&mut spared.packets);
        if packets == 0 {
            return 0;
        }
        self.counters.nodes[index].edges()[spared.edge].add(u64::from(packets));
        if let Some((wait, to)) = spared.out {
            if let Ok([through, inbox]) = self.vectors.get_disjoint_mut([wait, to]) {
                inbox.append(through);
                debug_assert!(through.is_empty(), "an inbox has room for a vector received and one made");
            }
            self.pending[to / 64] |= 1 << (to % 64);
        }
        packets as usize
    }

    /// Sends those of the current packets, which are a node's, through the chain that begins there that can go. The others are left.
    #[inline]
    pub(super) fn go_through(&mut self, index: usize, now: u64) {
        if self.nodes[index].through.is_some() && self.current.len() <= VECTOR && self.probes.is_empty() {
            self.try_shortcut(index, now);
        }
    }

    fn try_shortcut(&mut self, index: usize, now: u64) {
        let Self { nodes, current, rest, vectors, pending, nexts, outbox, cache, tables, counters, .. } = self;
        let Some(mut through) = nodes[index].through.take() else { return };
        if through.nodes.iter().any(|node| nodes[*node].instance.is_faulty()) {
            nodes[index].through = Some(through);
            return;
        }
        let before = tsc();
        let called = through.instance.process(current, nexts, Call { outbox, room: 0, cache, tables, now });
        if called.panicked {
            // What it has done to the packets nobody knows: they are dropped, and it is not called again.
            self.dispatch(index, reserved::FAULT, now);
            return;
        }
        let keep = nexts.matching(Passed::Done.id());
        let count = keep.count();
        if count > 0 {
            if count < current.len() {
                current.split(&keep, std::slice::from_mut(rest), |_| 0);
            }
            vectors[through.wait].append(current);
            debug_assert!(current.is_empty(), "there is room for a vector received and one made");
            std::mem::swap(current, rest);
            counters.nodes[index].edges()[through.edge].add(count as u64);
            let share = tsc().wrapping_sub(before) / through.nodes.len() as u64;
            for node in through.nodes.iter().filter(|node| **node != index) {
                pending[node / 64] |= 1 << (node % 64);
                if let Some(spared) = &mut nodes[*node].spared {
                    spared.packets += count as u32;
                    spared.cycles += share;
                    self.lent += share;
                }
            }
        }
        self.nodes[index].through = Some(through);
    }
}
