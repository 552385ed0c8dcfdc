//! Sending packets that did not come in with the frame: copies, replies, releases.

use std::marker::PhantomData;

use super::Held;
use crate::abi::RawOutbox;
use crate::edges::Edges;
use crate::memory::{DATA, LINE, META_AT};
use crate::packet::{Desc, Lane, Packet};

/// The power to send on a node's edges, given to [`Node::tick`](crate::Node::tick) and to
/// [`Frame::for_each_emit`](super::Frame::for_each_emit).
///
/// A pass of the engine takes 256 made packets in all, so that an inbox never overflows for received ones. What does not fit, and what
/// finds no buffer, is counted as made and dropped (`inbox-full`, `out-of-buffers`), never lost silently. A node that would rather
/// wait asks [`Emit::room`] and continues in its next call.
pub struct Emit<'a, N> {
    raw: &'a mut RawOutbox,
    edges: PhantomData<N>,
}

impl<'a, N: Edges> Emit<'a, N> {
    /// # Safety
    /// The outbox is as the engine made it: its arrays have `room` entries, `spare` holds `spares` chunks of the region at `base`
    /// which belong to the outbox.
    pub(crate) unsafe fn new(raw: &'a mut RawOutbox) -> Emit<'a, N> {
        Emit { raw, edges: PhantomData }
    }

    /// How many more packets this pass takes, and could have buffers.
    #[inline]
    pub fn room(&self) -> usize {
        (self.raw.room - self.raw.len).min(self.raw.spares) as usize
    }

    /// Makes a packet and sends it. `fill` finds it empty, with the default headroom, and appends and prepends. `false` if it could
    /// not be made, which has been counted.
    pub fn make(&mut self, next: N, lane: Lane, fill: impl FnOnce(&mut Packet<'_>)) -> bool {
        let Some(position) = self.reserve() else { return false };
        let desc = Desc::new(position, DATA as u16, 0);
        let mut lane = lane;
        // SAFETY: the chunk is a spare one, ours alone, and DATA + WINDOW <= stride.
        let mut packet = unsafe { Packet::open(self.raw.base, self.raw.stride, desc, &mut lane) };
        fill(&mut packet);
        let desc = packet.close(desc);
        self.raw.spares -= 1;
        self.raw.made += 1;
        self.put(desc, lane, next);
        true
    }

    /// Makes a copy of a packet, with its lane and its cold line, and sends it. `false` if it could not be made, which has been
    /// counted.
    pub fn copy(&mut self, packet: &Packet<'_>, next: N) -> bool {
        let Some(position) = self.reserve() else { return false };
        let (data, offset, meta) = packet.parts();
        // SAFETY: the chunk at `position` is a spare one and thus another than the packet's; offset + data.len() <= stride is the
        // packet's own invariant, all chunks have the same stride, and the cold line lies before HEAD in each.
        unsafe {
            let chunk = self.raw.base.add(position as usize * LINE);
            std::ptr::copy_nonoverlapping(data.as_ptr(), chunk.add(offset), data.len());
            std::ptr::copy_nonoverlapping(meta, chunk.add(META_AT), LINE);
        }
        self.raw.spares -= 1;
        self.raw.made += 1;
        self.put(Desc::new(position, offset as u16, data.len() as u16), *packet.lane_ref(), next);
        true
    }

    /// Sends held packets on, oldest first: those for which `choose` names an edge, as far as there is room; the others stay.
    /// Returns how many went.
    pub fn release<K>(&mut self, held: &mut Held<K>, mut choose: impl FnMut(&K) -> Option<N>) -> usize {
        self.release_with(held, |key, _| choose(key))
    }

    /// As [`Emit::release`], where `choose` may change the packet, too: what it waited for is often a header. A packet that stays
    /// stays as `choose` left it.
    pub fn release_with<K>(&mut self, held: &mut Held<K>, mut choose: impl FnMut(&K, &mut Packet<'_>) -> Option<N>) -> usize {
        self.release_emit(held, |key, packet, _| choose(key, packet))
    }

    /// As [`Emit::release_with`], where `choose` may send more packets, which leave before the one that it decides for: a packet is
    /// taken to pieces so. There is always room left for that one.
    pub fn release_emit<K>(
        &mut self,
        held: &mut Held<K>,
        mut choose: impl FnMut(&K, &mut Packet<'_>, &mut Emit<'a, N>) -> Option<N>,
    ) -> usize {
        held.assert_pool(self.raw.pool);
        let before = self.raw.released;
        held.take_if(|key, desc, lane| {
            if self.raw.len >= self.raw.room {
                return false;
            }
            // SAFETY: the descriptor came out of a frame of this very pool, as `assert_pool` has checked, and keeps the invariant of
            // `Vector`: it is as `for_each_hold` found it or as `Packet::close` left it. The chunk is in the `Held` and nowhere else.
            let mut packet = unsafe { Packet::open(self.raw.base, self.raw.stride, *desc, lane) };
            self.raw.room -= 1;
            let chosen = choose(key, &mut packet, self);
            self.raw.room += 1;
            *desc = packet.close(*desc);
            let Some(next) = chosen else { return false };
            self.raw.released += 1;
            self.put(*desc, *lane, next);
            true
        });
        (self.raw.released - before) as usize
    }

    /// A spare chunk, which stays spare until the packet is made: `fill` may panic.
    fn reserve(&mut self) -> Option<u32> {
        if self.raw.len >= self.raw.room {
            self.raw.no_room += 1;
            return None;
        }
        if self.raw.spares == 0 {
            self.raw.no_buffer += 1;
            return None;
        }
        // SAFETY: `spare` has `spares` entries.
        Some(unsafe { *self.raw.spare.add(self.raw.spares as usize - 1) })
    }

    fn put(&mut self, desc: Desc, lane: Lane, next: N) {
        let at = self.raw.len as usize;
        // SAFETY: `reserve` and `release` have checked len < room, and the arrays have `room` entries.
        unsafe {
            *self.raw.descs.add(at) = desc;
            *self.raw.lanes.add(at) = lane;
            *self.raw.next.add(at) = next.id();
        }
        self.raw.len += 1;
    }
}
