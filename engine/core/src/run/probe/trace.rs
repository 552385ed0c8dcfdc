//! Packets that are followed: which chunk has which of them, for all workers to see, so that a packet is known again at each node.

use std::sync::atomic::{AtomicU32, Ordering};

use swath_api::filter::Filter;
use swath_api::{Desc, Pool};

use super::names::Fate;
use super::slip::Pen;
use super::worker::{Leaving, Shared};

/// A chunk's tag: `sent:1 | packet:23 | hops:8`; 0 if it has no packet that is followed.
const HOPS: u32 = 0xff;
const SENT: u32 = 1 << 31;
/// Packets that one trace follows, at most.
pub(super) const MOST: u64 = 1 << 20;

/// Who is followed.
pub(in crate::run) struct Trace {
    /// By chunk. The worker that has the packet writes; with it, the tag goes from one to the other.
    tags: Box<[AtomicU32]>,
    /// 64-byte lines of a chunk.
    lines: u32,
    /// The packets that were chosen.
    chosen: AtomicU32,
}

/// Where a trace writes.
type Ends<'a> = (&'a mut Pen, &'a Shared);

impl Trace {
    pub fn new(pool: &Pool) -> Trace {
        let lines = (pool.region().geometry().stride / 64).max(1);
        Trace { tags: (0..pool.capacity()).map(|_| AtomicU32::new(0)).collect(), lines, chosen: AtomicU32::new(0) }
    }

    fn tag(&self, desc: Desc) -> Option<&AtomicU32> {
        self.tags.get((desc.position() / self.lines) as usize)
    }

    /// Follows packets on their way, and chooses among those that come in, by one interface or by any.
    pub fn look(&self, leaving: &mut Leaving<'_>, filter: Option<&Filter>, receives: Option<u16>, (pen, shared): Ends<'_>) {
        for at in 0..leaving.packets.len() {
            let Some(tag) = self.tag(leaving.packets.descs()[at]) else { continue };
            let slot = leaving.slot(at);
            let mut is = tag.load(Ordering::Relaxed);
            if leaving.is_source {
                // Whatever the chunk had before has gone, seen or not.
                is = 0;
                if receives.is_none_or(|place| leaving.packets.lanes()[at].rx == place)
                    && shared.left.load(Ordering::Relaxed) > 0
                    && leaving.matches(filter, at, slot)
                    && shared.claim()
                {
                    is = (self.chosen.fetch_add(1, Ordering::Relaxed) + 1) << 8;
                }
            }
            if is == 0 || is & SENT != 0 {
                tag.store(0, Ordering::Relaxed);
                continue;
            }
            let fate = leaving.names.nodes[leaving.index].edges[slot].fate;
            write(leaving, (at, slot), is, (&mut *pen, shared));
            let next = match fate {
                Fate::Goes | Fate::Held => following(is),
                // Unless the driver refuses it.
                Fate::Sent => following(is) | SENT,
                Fate::Dropped | Fate::Consumed | Fate::NotSimulated => 0,
            };
            tag.store(next, Ordering::Relaxed);
        }
    }

    /// Packets that a driver has refused, or a ring between workers.
    pub fn look_at_refused(&self, leaving: &Leaving<'_>, slot: usize, (pen, shared): Ends<'_>) {
        // Cold, and of few packets: the walk is over those that are followed.
        for at in 0..leaving.packets.len() {
            let Some(tag) = self.tag(leaving.packets.descs()[at]) else { continue };
            let is = tag.swap(0, Ordering::Relaxed) & !SENT;
            if is != 0 {
                write_refused(leaving, (at, slot), is, (&mut *pen, shared));
            }
        }
    }

    /// A packet that goes to another worker.
    pub fn look_at_handed(&self, leaving: &Leaving<'_>, at: usize, worker: u16, (pen, shared): Ends<'_>) {
        let Some(tag) = self.tag(leaving.packets.descs()[at]) else { return };
        let is = tag.load(Ordering::Relaxed);
        if is != 0 && is & SENT == 0 {
            let written = pen.write(|slip| {
                leaving.write(slip, at, 0);
                (slip.packet, slip.hop) = (is >> 8, is & HOPS);
                slip.note.say(format_args!("worker {worker} owns it"));
            });
            miss(written, shared);
            tag.store(following(is), Ordering::Relaxed);
        }
    }
}

/// The tag behind a node.
fn following(tag: u32) -> u32 {
    if tag & HOPS == HOPS { tag } else { tag + 1 }
}

fn miss(written: bool, shared: &Shared) {
    if !written {
        shared.missed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes down where a packet goes, and why if the node says so.
fn write(leaving: &mut Leaving<'_>, (at, slot): (usize, usize), tag: u32, (pen, shared): Ends<'_>) {
    let written = pen.write(|slip| {
        leaving.write(slip, at, slot);
        (slip.packet, slip.hop) = (tag >> 8, tag & HOPS);
        let decided = leaving.nexts.ids()[at];
        let Leaving { node, packets, tables, now, .. } = leaving;
        node.instance.reason(packets, at, decided, tables, *now, &mut slip.note);
    });
    miss(written, shared);
}

fn write_refused(leaving: &Leaving<'_>, (at, slot): (usize, usize), tag: u32, (pen, shared): Ends<'_>) {
    let written = pen.write(|slip| {
        leaving.write(slip, at, slot);
        (slip.packet, slip.hop) = (tag >> 8 & 0x7f_ffff, tag & HOPS);
    });
    miss(written, shared);
}
