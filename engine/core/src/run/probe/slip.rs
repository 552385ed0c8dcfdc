//! What a worker writes down of a packet, on slips that go round between it and the control side.

use std::sync::Arc;

use swath_api::sync::{Receiver, Sender, ring};
use swath_api::{Desc, Lane, Note};

use super::names::{EdgeNames, Fate, Names};

/// What was seen of a packet at a node.
pub(in crate::run) struct Slip {
    /// The graph that it was in. Taken by the control side, which alone drops it.
    pub names: Option<Arc<Names>>,
    pub node: u16,
    /// By counter slot, where it went.
    pub slot: u16,
    pub at: u64,
    pub lane: Lane,
    /// Of a packet that is followed: which it is, and how many nodes it had passed before.
    pub packet: u32,
    pub hop: u32,
    pub length: u16,
    /// Whether there was no packet: one that was lost for want of a buffer.
    pub no_packet: bool,
    kept: usize,
    bytes: Box<[u8]>,
    pub note: Note,
}

impl Slip {
    /// The slot of a packet that is not real, at a node that cannot say where it would go.
    pub const NOT_SIMULATED: u16 = u16::MAX;

    pub fn new(room: usize) -> Slip {
        Slip {
            names: None,
            node: 0,
            slot: 0,
            at: 0,
            lane: Lane::default(),
            packet: 0,
            hop: 0,
            length: 0,
            no_packet: false,
            kept: 0,
            bytes: vec![0; room].into(),
            note: Note::default(),
        }
    }

    /// Writes down what a packet is: as many bytes as there is room for.
    pub fn write(&mut self, desc: Desc, lane: Lane, bytes: &[u8]) {
        self.kept = bytes.len().min(self.bytes.len());
        self.bytes[..self.kept].copy_from_slice(&bytes[..self.kept]);
        (self.length, self.lane) = (desc.length(), lane);
    }

    /// What it says, in words.
    pub fn read(&mut self, worker: usize) -> Option<Seen> {
        let names = self.names.take()?;
        let node = names.nodes.get(usize::from(self.node))?;
        let unknown = EdgeNames { name: "".into(), doc: "", layer: "", fate: Fate::NotSimulated, to: None };
        let edge = if self.slot == Slip::NOT_SIMULATED { &unknown } else { node.edges.get(usize::from(self.slot))? };
        let bytes = if self.no_packet { &[][..] } else { &self.bytes[..self.kept] };
        Some(Seen {
            node: node.name.clone(),
            kind: node.kind,
            edge: edge.name.clone().into_owned(),
            meaning: edge.doc,
            fate: edge.fate,
            to: edge.to.map(|to| names.nodes[to].name.clone()),
            layer: edge.layer,
            received: names.interface(self.lane.rx).map(Into::into),
            leaves: names.interface(self.lane.tx).map(Into::into),
            worker,
            at: self.at,
            packet: self.packet,
            hop: self.hop,
            length: if self.no_packet { 0 } else { self.length },
            bytes: bytes.into(),
            note: self.note.as_str().into(),
        })
    }
}

/// What was seen of a packet where it left a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The node.
    pub node: String,
    /// Its kind.
    pub kind: &'static str,
    /// The edge or the drop reason.
    pub edge: String,
    /// What that means.
    pub meaning: &'static str,
    /// What becomes of it there.
    pub fate: Fate,
    /// The node that it goes to.
    pub to: Option<String>,
    /// What its bytes start with, of [`swath_api::layer`]; empty if that is not known.
    pub layer: &'static str,
    /// The interface that it came by.
    pub received: Option<String>,
    /// The interface that it is to leave by, if that is known already.
    pub leaves: Option<String>,
    /// The worker.
    pub worker: usize,
    /// When, in nanoseconds of the engine's clock.
    pub at: u64,
    /// Of a packet that is followed: which it is, from 1.
    pub packet: u32,
    /// And how many nodes it had passed before.
    pub hop: u32,
    /// Its length in bytes; 0 if there was no buffer for it.
    pub length: u16,
    /// Its bytes, the first of them.
    pub bytes: Box<[u8]>,
    /// What the node says of its decision.
    pub note: String,
}

/// The worker's side: where it takes slips from, and puts them.
pub(in crate::run) struct Pen {
    free: Receiver<Box<Slip>>,
    written: Sender<Box<Slip>>,
}

/// The control side of one worker.
pub(in crate::run) struct Reader {
    written: Receiver<Box<Slip>>,
    free: Sender<Box<Slip>>,
    worker: usize,
}

/// So many slips for a worker, with room for so many bytes of a packet.
pub(in crate::run) fn slips(worker: usize, count: usize, room: usize) -> (Pen, Reader) {
    let (mut give, free) = ring(count);
    let (written, read) = ring(count);
    for _ in 0..count {
        // There is room for all of them.
        let _ = give.push(Box::new(Slip::new(room)));
    }
    (Pen { free, written }, Reader { written: read, free: give, worker })
}

impl Pen {
    /// A free slip, filled by `write` and given to the control side; `false` if there is none.
    pub fn write(&mut self, write: impl FnOnce(&mut Slip)) -> bool {
        let Some(mut slip) = self.free.pop() else { return false };
        slip.note.clear();
        (slip.no_packet, slip.packet, slip.hop) = (false, 0, 0);
        write(&mut slip);
        // There is room for as many as there are.
        let _ = self.written.push(slip);
        true
    }

    /// Whether there is a free one.
    pub fn is_empty(&self) -> bool {
        self.free.is_empty()
    }
}

impl Reader {
    /// What was written since this was last asked, at most so much.
    pub fn read(&mut self, max: usize, mut take: impl FnMut(Seen)) {
        for _ in 0..max {
            let Some(mut slip) = self.written.pop() else { return };
            let seen = slip.read(self.worker);
            // There is room for as many as there are; where the worker is gone, nobody needs it.
            let _ = self.free.push(slip);
            seen.into_iter().for_each(&mut take);
        }
    }
}
