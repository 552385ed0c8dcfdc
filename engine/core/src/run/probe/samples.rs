//! What is dropped, sampled: of each node and reason a packet now and then, taken where dropped packets are freed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use swath_api::{Nexts, Vector};

use super::LOOKS;
use super::names::{Fate, Names};
use super::slip::{Pen, Reader, Seen, slips};
use crate::run::counters::NodeCounters;
use crate::run::pass::Running;

/// Time between two samples of a reason on one worker, in nanoseconds: what is dropped by the million is not slowed by it.
const EVERY: u64 = 10_000_000;
/// Slips of a worker: more than reasons occur at once, and few enough to be kept.
const SLIPS: usize = 64;
/// Bytes that are kept of a packet: all headers.
const HEADERS: usize = 128;
/// Samples that are kept of a reason.
const KEPT: usize = 16;

/// The worker's side.
pub(in crate::run) struct Sampler {
    // None in a graph that has not begun: it takes over that of the graph before.
    pen: Option<Pen>,
    /// By node and slot: when it is sampled next. `u64::MAX` for what is no drop.
    due: Box<[Box<[u64]>]>,
}

impl Sampler {
    pub fn new(names: &Names, pen: Option<Pen>) -> Sampler {
        let of = |fate: Fate| if fate == Fate::Dropped { 0 } else { u64::MAX };
        let due = names.nodes.iter().map(|node| node.edges.iter().map(|edge| of(edge.fate)).collect());
        Sampler { pen, due: due.collect() }
    }

    /// Takes over what goes on.
    pub fn succeed(&mut self, old: &mut Sampler) {
        std::mem::swap(&mut self.pen, &mut old.pen);
    }

    /// Packets of a node have gone to this slot, to be freed. Returns whether one of them is to be sampled.
    #[inline]
    pub fn note(&self, counters: &NodeCounters, node: usize, slot: usize, now: u64) -> bool {
        counters.seen(slot, now);
        LOOKS && self.due[node][slot] <= now
    }

    /// Samples of what was freed: first those of `nexts` that did not take the edge that most took, then these, as dispatch has put them.
    #[cold]
    #[inline(never)]
    pub fn sample(
        &mut self,
        (index, node): (usize, &Running),
        (freed, free): (&Vector, usize),
        (nexts, majority): (&Nexts, u16),
        (names, now): (&Arc<Names>, u64),
    ) {
        let others = nexts.ids().iter().filter(|id| **id != majority).map(|id| node.slot(*id));
        let others = others.filter(|slot| usize::from(node.to[*slot]) == free);
        let slots = others.chain(std::iter::repeat(node.slot(majority)));
        for (at, slot) in (0..freed.len()).zip(slots) {
            self.take(names, (index, slot), Some((freed, at)), now);
        }
    }

    /// A sample, if it is due: of a packet, or of one that there was no buffer for.
    pub fn take(&mut self, names: &Arc<Names>, (node, slot): (usize, usize), packet: Option<(&Vector, usize)>, now: u64) {
        let (Some(pen), due) = (&mut self.pen, &mut self.due[node][slot]) else { return };
        if !LOOKS || *due > now {
            return;
        }
        let written = pen.write(|slip| {
            slip.names = Some(Arc::clone(names));
            (slip.node, slip.slot, slip.at) = (node as u16, slot as u16, now);
            slip.no_packet = packet.is_none();
            if let Some((packets, at)) = packet {
                slip.write(packets.descs()[at], packets.lanes()[at], packets.bytes(at).unwrap_or_default());
            }
        });
        if written {
            *due = now.saturating_add(EVERY);
        }
    }
}

/// The control side: the last samples of each reason, whatever graphs there have been.
#[derive(Default)]
pub(in crate::run) struct DropLog {
    readers: Vec<Reader>,
    /// By node, kind and reason.
    kept: BTreeMap<(String, &'static str, String), VecDeque<Seen>>,
}

impl DropLog {
    /// For so many workers; with what each of them needs.
    pub fn new(workers: usize) -> (Vec<Pen>, DropLog) {
        let (pens, readers) = (0..workers).map(|worker| slips(worker, SLIPS, HEADERS)).unzip();
        (pens, DropLog { readers, kept: BTreeMap::new() })
    }

    /// Takes what workers have sampled.
    pub fn keep(&mut self) {
        let DropLog { readers, kept } = self;
        for reader in readers {
            reader.read(SLIPS, |seen| {
                let of = kept.entry((seen.node.clone(), seen.kind, seen.edge.clone())).or_default();
                // Workers are read one after the other.
                let at = of.partition_point(|other| other.at <= seen.at);
                of.insert(at, seen);
                if of.len() > KEPT {
                    of.pop_front();
                }
            });
        }
    }

    /// The last samples of a reason, the oldest first.
    pub fn of(&self, node: &str, kind: &'static str, reason: &str) -> Vec<Seen> {
        let key = (node.to_owned(), kind, reason.to_owned());
        self.kept.get(&key).map(|samples| samples.iter().cloned().collect()).unwrap_or_default()
    }
}
