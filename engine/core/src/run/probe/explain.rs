//! A packet that is not real, on its way through the graph that runs: what each node would do with it, and nothing is done.
//!
//! The worker that owns the packet walks between two sweeps, when nothing of the graph is on its way. Nodes are asked by
//! [`NodeInstance::simulate`](swath_api::NodeInstance::simulate), which changes the packet alone; nothing is counted, moved or sent. The packet
//! has a buffer of the pool, which is given back at the end. It goes with the question, from worker to worker where it has to.

use std::sync::Arc;

use swath_api::{Call, ConfigError, Edges, Lane, Note, Owner, Simulated, Vector, reserved};

use super::names::Fate;
use super::slip::{Seen, Slip};
use crate::run::counters::slot;
use crate::run::engine::Engine;
use crate::run::mail::Task;
use crate::run::pass::WorkerGraph;

/// Bytes that are told of the packet at each node.
const HEADERS: usize = 256;

/// A walk, on its way to a worker and back.
pub(in crate::run) struct Walk {
    packet: Vector,
    worker: usize,
    at: At,
    now: u64,
    /// Room for what is seen, made by the control side.
    free: Vec<Slip>,
    written: Vec<(usize, Slip)>,
}

/// Where it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Node(usize),
    /// At a node of another worker.
    Handed {
        worker: usize,
        node: usize,
    },
    Ended,
}

impl WorkerGraph {
    /// Walks as far as the packet stays on this worker.
    pub(in crate::run) fn walk(&mut self, walk: &mut Walk) {
        // What a sweep begins with, too: nodes see the tables as they are.
        self.tables.sync();
        while let At::Node(index) = walk.at {
            walk.at = self.step(index, walk);
        }
    }

    /// What one node would do. Returns where the packet would go.
    fn step(&mut self, index: usize, walk: &mut Walk) -> At {
        let Some(mut slip) = walk.free.pop() else { return At::Ended };
        slip.note.clear();
        let worker = walk.worker;
        if let Some(owner) = self.owner_of(index, walk) {
            say_worker(owner as u16, worker as u16, &mut slip.note);
            let Self { nodes, tables, .. } = self;
            nodes[index].instance.reason(&mut walk.packet, 0, 0, tables, walk.now, &mut slip.note);
            let node = usize::from(nodes[index].to[0]);
            self.write(slip, (index, 0), walk);
            return if owner == worker { At::Node(node) } else { At::Handed { worker: owner, node } };
        }
        let Self { nodes, nexts, outbox, cache, tables, names, .. } = self;
        let node = &mut nodes[index];
        let call = Call { outbox, room: 0, cache, tables, now: walk.now };
        let slot = match node.instance.simulate(&mut walk.packet, nexts, call, &mut slip.note) {
            // What a real packet is taken by is no decision, and a node that makes it one is faulty.
            Simulated::Next(id) => match slot(id, node.edges) {
                taken if names.nodes[index].edges[taken].fate == Fate::Held => taken,
                _ => node.slot(id),
            },
            Simulated::Panicked => slot(reserved::FAULT, node.edges),
            Simulated::NotSimulated => usize::from(Slip::NOT_SIMULATED),
        };
        let to = node.to.get(slot).map(|to| usize::from(*to));
        self.write(slip, (index, slot), walk);
        match to {
            Some(to) if to < self.nodes.len() => At::Node(to),
            _ => At::Ended,
        }
    }

    /// For a handoff: the worker that owns the packet.
    fn owner_of(&mut self, index: usize, walk: &mut Walk) -> Option<usize> {
        let asks = self.nodes[index].asks?;
        let Self { nodes, nexts, outbox, cache, tables, .. } = self;
        nodes[asks].instance.would_own(&mut walk.packet, nexts, Call { outbox, room: 0, cache, tables, now: walk.now });
        let owner = nexts.ids().first().copied().filter(|id| *id != Owner::ANY.id());
        Some(owner.map_or(walk.worker, usize::from))
    }

    fn write(&self, mut slip: Slip, (index, slot): (usize, usize), walk: &mut Walk) {
        slip.names = Some(Arc::clone(&self.names));
        (slip.node, slip.slot, slip.at, slip.hop) = (index as u16, slot as u16, walk.now, walk.written.len() as u32);
        slip.write(walk.packet.descs()[0], walk.packet.lanes()[0], walk.packet.bytes(0).unwrap_or_default());
        walk.written.push((walk.worker, slip));
    }
}

/// Says on which worker a packet goes on that one worker had.
pub(super) fn say_worker(owner: u16, worker: u16, note: &mut Note) {
    if owner == worker {
        note.say(format_args!("it stays on worker {worker}"));
    } else {
        note.say(format_args!("worker {owner} owns it"));
    }
}

impl Engine {
    /// What would become of a frame that comes in by an interface: what each node would do with it, in order, while workers run or not. Nothing is
    /// changed, counted or sent. It ends where the packet would, or at a node that cannot say without doing it: [`Fate::NotSimulated`](super::Fate::NotSimulated).
    ///
    /// # Errors
    /// There is no such interface, nobody receives its packets, no buffer is free, or a worker does not answer.
    pub fn explain(&self, interface: &str, frame: &[u8]) -> Result<Vec<Seen>, ConfigError> {
        let names = &self.generation.names;
        let place = super::control::place(names, interface)?;
        let receives = |wishes: &swath_api::Wishes| wishes.receive == Some(place);
        let node = self.wishes().iter().position(receives);
        let node = node.ok_or_else(|| {
            ConfigError::new(format!("no node receives the packets of `{interface}`: the graph has no `rx` for it"))
        })?;
        let owns = |own: &Vec<(usize, usize)>| own.iter().any(|(at, _)| *at == usize::from(place));
        let worker = self.queues().iter().position(owns).unwrap_or(0);
        // Nodes that a packet passes at most: an edge leads to a later one.
        let steps = names.nodes.len();
        let mut walk = Walk {
            packet: self.packet(frame, place)?,
            worker,
            at: At::Node(node),
            now: self.clock(),
            free: (0..steps).map(|_| Slip::new(HEADERS)).collect(),
            written: Vec::with_capacity(steps),
        };
        loop {
            let Task::Walk(back) = self.one_worker(walk.worker, Task::Walk(Box::new(walk)))? else {
                return Err(ConfigError::new("a worker has given back something else"));
            };
            walk = *back;
            match walk.at {
                At::Handed { worker: other, node } if other < self.counters().len() => {
                    (walk.worker, walk.at) = (other, At::Node(node));
                }
                _ => break,
            }
        }
        Ok(walk.written.iter_mut().filter_map(|(worker, slip)| slip.read(*worker)).collect())
    }

    /// A frame in a buffer of its own, as an interface would have received it.
    fn packet(&self, frame: &[u8], place: u16) -> Result<Vector, ConfigError> {
        let mut cache = self.pool().cache();
        cache.ensure(1);
        let no_buffer = || {
            ConfigError::new(
                "no buffer is free, so that what is received now is dropped as out-of-buffers: raise `engine.buffers`, or find who holds \
                 packets by `swath show runtime`",
            )
        };
        let mut buffer = cache.take().ok_or_else(no_buffer)?;
        if !buffer.fill(frame) {
            let length = frame.len();
            return Err(ConfigError::new(format!(
                "a frame of {length} bytes is longer than a buffer: it would be dropped as too-big"
            )));
        }
        let mut packet = Vector::new(self.pool());
        buffer.push(&mut packet, Lane::received(place));
        Ok(packet)
    }
}
