//! Vectors: the only owners of packets in flight. Packets move between them, and cannot be copied or lost on the way.

use std::sync::Arc;

use super::{Desc, INBOX, Lane, PAD, VECTOR, differing};
use crate::kernel::{Kernels, kernels};
use crate::memory::{HEAD, Pool, WINDOW};

#[repr(C, align(64))]
struct Words {
    descs: [Desc; INBOX + PAD],
    // So that the words of one packet, which are used together, do not agree in the low 12 bits of their addresses: the processor
    // takes a load for one that must wait for a store if they do.
    _apart: [u64; APART],
    lanes: [Lane; INBOX + PAD],
}

/// Half a page and a line, less what `descs` is longer than a page.
const APART: usize = (4096 / 2 + 64) / 8 - PAD;

/// Up to 512 packets of one pool.
///
/// Every descriptor in it names a chunk of its pool that nothing else names, with `HEAD <= offset`, `offset + length <= stride` and
/// `offset + WINDOW <= stride`. A vector that is dropped with packets in it gives their chunks back.
pub struct Vector {
    words: Box<Words>,
    len: usize,
    pool: Arc<Pool>,
}

impl Vector {
    /// An empty vector for packets of this pool.
    pub fn new(pool: &Arc<Pool>) -> Vector {
        let words = Words { descs: [Desc::NONE; INBOX + PAD], _apart: [0; APART], lanes: [Lane::received(0); INBOX + PAD] };
        Vector { words: Box::new(words), len: 0, pool: Arc::clone(pool) }
    }

    /// Packets in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many more it takes.
    #[inline]
    pub fn room(&self) -> usize {
        INBOX - self.len
    }

    /// The pool that its packets belong to.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Where its packets are.
    #[inline]
    pub fn descs(&self) -> &[Desc] {
        &self.words.descs[..self.len]
    }

    /// What travels with its packets.
    #[inline]
    pub fn lanes(&self) -> &[Lane] {
        &self.words.lanes[..self.len]
    }

    /// What travels with its packets, to be changed.
    #[inline]
    pub fn lanes_mut(&mut self) -> &mut [Lane] {
        &mut self.words.lanes[..self.len]
    }

    /// Whether all packets are to leave by the same interface.
    #[inline]
    pub fn same_tx(&self) -> bool {
        (differing(self.lanes()) >> 32) as u16 == 0
    }

    /// The bytes of one packet.
    #[inline]
    pub fn bytes(&self, index: usize) -> Option<&[u8]> {
        let desc = *self.descs().get(index)?;
        // SAFETY: the vector's invariant: the bytes lie in a chunk of this pool's region that this vector alone names, so nobody
        // writes them while `self` is borrowed.
        Some(unsafe { std::slice::from_raw_parts(self.base().add(desc.start()), usize::from(desc.length())) })
    }

    /// The bytes of its packets, from an index on, in order.
    #[inline]
    pub fn bytes_from(&self, first: usize) -> impl Iterator<Item = &[u8]> {
        let base = self.base();
        let descs = self.descs().get(first..).unwrap_or_default();
        // SAFETY: as in `bytes`.
        descs.iter().map(move |desc| unsafe { std::slice::from_raw_parts(base.add(desc.start()), usize::from(desc.length())) })
    }

    /// Moves all packets of `other` to the end of this one, as far as they fit; returns how many were moved. Into an empty vector
    /// they move as a whole, by swapping two pointers.
    #[inline]
    pub fn append(&mut self, other: &mut Vector) -> usize {
        self.assert_pool(&other.pool);
        if self.len == 0 {
            std::mem::swap(&mut self.words, &mut other.words);
            std::mem::swap(&mut self.len, &mut other.len);
            return self.len;
        }
        let count = other.len.min(self.room());
        let rest = count..other.len;
        self.words.descs[self.len..self.len + count].copy_from_slice(&other.words.descs[..count]);
        self.words.lanes[self.len..self.len + count].copy_from_slice(&other.words.lanes[..count]);
        self.len += count;
        other.len = rest.len();
        other.words.descs.copy_within(rest.clone(), 0);
        other.words.lanes.copy_within(rest, 0);
        count
    }

    /// Moves what lies behind the first `keep` packets to the end of `rest`, as far as it fits.
    pub fn split_off(&mut self, keep: usize, rest: &mut Vector) {
        self.assert_pool(&rest.pool);
        let first = keep.min(self.len).max(self.len.saturating_sub(rest.room()));
        let count = self.len - first;
        rest.words.descs[rest.len..rest.len + count].copy_from_slice(&self.words.descs[first..self.len]);
        rest.words.lanes[rest.len..rest.len + count].copy_from_slice(&self.words.lanes[first..self.len]);
        rest.len += count;
        self.len = first;
    }

    /// Keeps the packets of the mask, in order, and moves every other to the end of that vector of `targets` whose index `target`
    /// gives for the packet's index. Returns how many did not fit: they are freed.
    ///
    /// # Panics
    /// If there is no such target.
    pub fn split(&mut self, keep: &Mask, targets: &mut [Vector], mut target: impl FnMut(usize) -> usize) -> usize {
        assert!(self.len <= VECTOR, "a mask names the packets of one vector");
        let mut lost = 0;
        // Out of reach until all have moved: a panic in `target` leaks packets and never leaves two owners.
        let len = std::mem::take(&mut self.len);
        for index in keep.complement(len) {
            let to = &mut targets[target(index)];
            self.assert_pool(&to.pool);
            if to.len < INBOX {
                to.words.descs[to.len] = self.words.descs[index];
                to.words.lanes[to.len] = self.words.lanes[index];
                to.len += 1;
            } else {
                self.pool.give_back(&[self.words.descs[index].position()]);
                lost += 1;
            }
        }
        self.len = len;
        self.retain(keep);
        lost
    }

    /// Closes the gaps that a node left by taking packets into a [`Held`](crate::Held), in the decisions too. To be called right
    /// after the node: until then the vector's invariant does not hold.
    pub(crate) fn close_gaps(&mut self, nexts: &mut Nexts) {
        let mut kept = 0;
        for index in 0..self.len {
            if self.words.descs[index] != Desc::NONE {
                self.words.descs[kept] = self.words.descs[index];
                self.words.lanes[kept] = self.words.lanes[index];
                nexts.ids[kept] = nexts.ids[index];
                kept += 1;
            }
        }
        self.len = kept;
        nexts.len = kept;
    }

    fn retain(&mut self, keep: &Mask) {
        let kernels = kernels();
        // SAFETY: both arrays have `len` words (Desc and Lane are 8 bytes each), at most 256 by `Mask`, and PAD entries behind them.
        self.len = unsafe {
            (kernels.compress)(self.words.lanes.as_mut_ptr().cast(), self.len, &keep.words);
            (kernels.compress)(self.words.descs.as_mut_ptr().cast(), self.len, &keep.words)
        };
    }

    /// Appends a packet. `false` if there is no room.
    ///
    /// # Safety
    /// The descriptor must keep the invariant of [`Vector`], and its chunk belongs to the vector from now on.
    #[inline]
    pub unsafe fn push_raw(&mut self, desc: Desc, lane: Lane) -> bool {
        if self.len >= INBOX {
            return false;
        }
        let stride = self.pool.region().geometry().stride as usize;
        debug_assert!(desc.position() != u32::MAX && usize::from(desc.offset()) >= HEAD);
        debug_assert!(usize::from(desc.offset()) + usize::from(desc.length()).max(WINDOW) <= stride);
        self.words.descs[self.len] = desc;
        self.words.lanes[self.len] = lane;
        self.len += 1;
        true
    }

    /// Places behind its packets, `most` at most, for a driver that writes there where its packets are: [`Vector::accept_raw`] makes packets of
    /// them. Until then they mean nothing.
    #[inline]
    pub fn spare(&mut self, most: usize) -> &mut [Desc] {
        let end = self.len + most.min(self.room());
        &mut self.words.descs[self.len..end]
    }

    /// Whether the first `count` places behind its packets are sound, so far as can be seen of each by itself: the packet, and the window at its
    /// start, lie in a chunk behind what comes before a packet in it.
    #[inline]
    pub fn is_sound(&self, count: usize) -> bool {
        let stride = self.pool.region().geometry().stride;
        let places = &self.words.descs[self.len..][..count];
        // No early end, and numbers of one size, so that the compiler makes SIMD of it. Whatever is out of bounds sets the highest bit.
        let wrong = places.iter().fold(0, |wrong: u32, desc| {
            let (offset, length) = (u32::from(desc.offset()), u32::from(desc.length()));
            wrong | offset.wrapping_sub(HEAD as u32) | stride.wrapping_sub(offset + length.max(WINDOW as u32))
        });
        wrong >> 31 == 0
    }

    /// Makes packets of the first `count` places behind its packets, all with the same lane: as many calls of [`Vector::push_raw`].
    ///
    /// # Safety
    /// As of [`Vector::push_raw`], of each of them.
    #[inline]
    pub unsafe fn accept_raw(&mut self, count: usize, lane: Lane) {
        debug_assert!(self.is_sound(count));
        self.words.lanes[self.len..][..count].fill(lane);
        self.len = INBOX.min(self.len + count);
    }

    /// Takes the first `count` packets out without freeing them, for a driver that has handed their chunks to the kernel or to a
    /// device. They come back by [`Vector::push_raw`].
    pub fn take_first(&mut self, count: usize) {
        let rest = count.min(self.len)..self.len;
        self.len = rest.len();
        self.words.descs.copy_within(rest.clone(), 0);
        self.words.lanes.copy_within(rest, 0);
    }

    /// Empties the vector without freeing: the packets are somebody else's now.
    pub(crate) fn forget(&mut self) {
        self.len = 0;
    }

    /// As [`Vector::forget`], of the first `count` packets.
    pub(crate) fn forget_first(&mut self, count: usize) {
        self.words.descs.copy_within(count..self.len, 0);
        self.words.lanes.copy_within(count..self.len, 0);
        self.len -= count;
    }

    #[inline]
    pub(crate) fn base(&self) -> *mut u8 {
        self.pool.region().base()
    }

    pub(crate) fn raw(&mut self) -> (*mut Desc, *mut Lane) {
        (self.words.descs.as_mut_ptr(), self.words.lanes.as_mut_ptr())
    }

    /// # Safety
    /// The first `len` descriptors must keep the invariant of [`Vector`], and their chunks belong to the vector.
    pub(crate) unsafe fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    #[inline]
    pub(crate) fn assert_pool(&self, pool: &Arc<Pool>) {
        assert!(Arc::ptr_eq(&self.pool, pool), "packets of one pool only");
    }
}

impl Drop for Vector {
    fn drop(&mut self) {
        let positions: Vec<u32> = self.descs().iter().map(|desc| desc.position()).collect();
        if !positions.is_empty() {
            self.pool.give_back(&positions);
        }
    }
}

impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.descs().iter().zip(self.lanes())).finish()
    }
}

/// A set of packets of one vector of up to 256, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask {
    words: [u64; VECTOR / 64],
}

impl Mask {
    /// Those of the first `len` packets (at most 256) for which `f` is true.
    #[inline]
    pub fn from_fn(len: usize, mut f: impl FnMut(usize) -> bool) -> Mask {
        let mut words = [0; VECTOR / 64];
        for index in 0..len.min(VECTOR) {
            words[index / 64] |= u64::from(f(index)) << (index % 64);
        }
        Mask { words }
    }

    /// The packets of either.
    #[must_use]
    pub fn union(&self, other: &Mask) -> Mask {
        Mask { words: std::array::from_fn(|at| self.words[at] | other.words[at]) }
    }

    /// How many packets it names.
    #[inline]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The indexes below `len` that are not in it, ascending.
    fn complement(&self, len: usize) -> impl Iterator<Item = usize> {
        let words = self.words;
        let len = len.min(VECTOR);
        (0..len.div_ceil(64)).flat_map(move |word| {
            let valid = if len - word * 64 < 64 { (1 << (len - word * 64)) - 1 } else { u64::MAX };
            let mut bits = !words[word] & valid;
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits.wrapping_sub(1);
                (bit < 64).then_some(word * 64 + bit)
            })
        })
    }
}

/// What a node decided: one edge id for each packet of the vector that it was given.
#[derive(Debug)]
pub struct Nexts {
    ids: Box<[u16; VECTOR + PAD]>,
    len: usize,
    kernels: &'static Kernels,
}

impl Default for Nexts {
    fn default() -> Nexts {
        Nexts { ids: Box::new([0; VECTOR + PAD]), len: 0, kernels: kernels() }
    }
}

impl Nexts {
    /// The ids, one for each packet.
    #[inline]
    pub fn ids(&self) -> &[u16] {
        &self.ids[..self.len]
    }

    /// The packets that were given this id.
    #[inline]
    pub fn matching(&self, id: u16) -> Mask {
        // SAFETY: `ids` has `len` <= 256 entries and PAD behind them.
        Mask { words: unsafe { (self.kernels.match_mask)(self.ids.as_ptr(), self.len, id) } }
    }

    /// Gives all packets of a vector of this length the same id.
    pub fn fill(&mut self, len: usize, id: u16) {
        self.len = len.min(VECTOR);
        self.ids[..self.len].fill(id);
    }

    #[cfg(test)]
    fn set(&mut self, index: usize, id: u16) {
        self.ids[index] = id;
    }

    pub(crate) fn raw(&mut self, len: usize) -> *mut u16 {
        self.len = len;
        self.ids.as_mut_ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Geometry, Region};

    fn numbered(pool: &Arc<Pool>, numbers: std::ops::Range<u32>) -> Vector {
        let mut cache = pool.cache();
        let mut vector = Vector::new(pool);
        for number in numbers {
            let mut buffer = cache.take().unwrap();
            buffer.fill(&number.to_be_bytes());
            assert!(buffer.push(&mut vector, Lane { adj: number, ..Lane::default() }));
        }
        vector
    }

    fn numbers(vector: &Vector) -> Vec<u32> {
        let bytes: Vec<u32> = (0..vector.len()).map(|i| u32::from_be_bytes(vector.bytes(i).unwrap().try_into().unwrap())).collect();
        let last: Vec<&[u8]> = vector.bytes_from(2).collect();
        assert_eq!(last, (2..vector.len()).map(|i| vector.bytes(i).unwrap()).collect::<Vec<_>>());
        assert_eq!(bytes, vector.lanes().iter().map(|lane| lane.adj).collect::<Vec<_>>());
        bytes
    }

    fn pool() -> Arc<Pool> {
        Pool::new(Region::anonymous(Geometry::new(2048, 128)).unwrap())
    }

    #[test]
    fn packets_move_and_keep_their_order() {
        let pool = pool();
        let (mut a, mut b) = (numbered(&pool, 0..300), numbered(&pool, 300..600));
        assert_eq!(a.append(&mut b), 212);
        assert_eq!(numbers(&a), (0..512).collect::<Vec<_>>());
        assert_eq!(numbers(&b), (512..600).collect::<Vec<_>>());
        let mut rest = Vector::new(&pool);
        a.split_off(256, &mut rest);
        assert_eq!(numbers(&a), (0..256).collect::<Vec<_>>());
        assert_eq!(numbers(&rest), (256..512).collect::<Vec<_>>());
        let mut empty = Vector::new(&pool);
        assert_eq!(empty.append(&mut rest), 256);
        assert!(rest.is_empty());
        drop((a, b, empty, rest));
        assert_eq!(pool.free() + pool.cached(), 2048);
    }

    #[test]
    fn split_keeps_the_mask_and_moves_the_others() {
        let pool = pool();
        for len in [0u32, 1, 63, 64, 65, 255, 256] {
            for modulus in [1u32, 2, 3, 20, 300] {
                let mut vector = numbered(&pool, 0..len);
                let mut nexts = Nexts::default();
                nexts.fill(len as usize, 0);
                for index in 0..len {
                    nexts.set(index as usize, (index % modulus == 0) as u16);
                }
                let mut targets = [Vector::new(&pool), numbered(&pool, 0..512)];
                let keep = nexts.matching(1);
                let mut asked = Vec::new();
                // The last of the others meets a full vector.
                let lost = vector.split(&keep, &mut targets, |index| {
                    asked.push(index as u32);
                    usize::from(index as u32 + 2 > len)
                });
                let (kept, moved): (Vec<u32>, Vec<u32>) = (0..len).partition(|i| i % modulus == 0);
                assert_eq!(numbers(&vector), kept);
                assert_eq!(asked, moved);
                assert_eq!(targets[0].len() + lost, moved.len());
                assert_eq!(numbers(&targets[0]), moved[..targets[0].len()]);
            }
        }
        assert_eq!(pool.free() + pool.cached(), 2048);
    }

    #[test]
    fn what_is_taken_out_is_not_freed_and_comes_back() {
        let pool = pool();
        let mut cache = pool.cache();
        let mut vector = numbered(&pool, 0..10);
        let taken = vector.descs()[..7].to_vec();
        vector.take_first(7);
        assert_eq!(numbers(&vector), [7, 8, 9]);
        vector.take_first(99);
        assert!(vector.is_empty());
        cache.publish();
        assert_eq!(pool.free() + pool.cached(), 2048 - 10);
        for desc in taken {
            // SAFETY: the descriptor was one of a vector, which has let its chunk go.
            assert!(unsafe { vector.push_raw(desc, Lane::default()) });
        }
        cache.free(&mut vector);
        let position = cache.take().unwrap().into_position();
        // SAFETY: the chunk has just been taken out of the pool, and DATA and WINDOW lie within each.
        assert!(unsafe { vector.push_raw(Desc::new(position, 384, 0), Lane::default()) });
        drop(vector);
        cache.publish();
        assert_eq!(pool.free() + pool.cached(), 2048 - 3);
    }

    #[test]
    fn places_that_are_accepted_are_packets() {
        let pool = pool();
        let mut cache = pool.cache();
        let mut vector = numbered(&pool, 0..3);
        let mut places = [(); 2].map(|()| Desc::new(cache.take().unwrap().into_position(), 384, 60));
        places[1] = Desc::new(places[1].position(), 400, 100);
        vector.spare(2).copy_from_slice(&places);
        assert_eq!(vector.len(), 3, "not yet");
        assert!(vector.is_sound(2));
        // SAFETY: both chunks have just been taken out of the pool, and the packets lie in them.
        unsafe { vector.accept_raw(2, Lane::received(7)) };
        assert_eq!(vector.descs()[3..], places);
        assert_eq!(vector.lanes()[3..], [Lane::received(7); 2]);
        assert_eq!(vector.bytes(4).unwrap().len(), 100);
        cache.free(&mut vector);
        cache.publish();
        assert_eq!(pool.free() + pool.cached(), 2048);
        assert_eq!(numbered(&pool, 0..500).spare(256).len(), INBOX - 500);
    }

    #[test]
    fn places_out_of_bounds_are_seen_wherever_they_stand() {
        let pool = pool();
        let stride = pool.region().geometry().stride as usize;
        let mut vector = numbered(&pool, 0..1);
        let bounds = [0, 1, HEAD - 1, HEAD, HEAD + 1, stride - WINDOW - 1, stride - WINDOW, stride - WINDOW + 1, stride, 65_535];
        for offset in bounds {
            for length in [0, 1, WINDOW, WINDOW + 1, stride - HEAD, stride - HEAD + 1, 65_535] {
                let sound = offset >= HEAD && offset + length <= stride && offset + WINDOW <= stride;
                for at in [0, 1, 7, 8, 254, 255] {
                    vector.spare(256).fill(Desc::new(0, HEAD as u16, 0));
                    vector.spare(256)[at] = Desc::new(3, offset as u16, length as u16);
                    assert_eq!(vector.is_sound(256), sound, "{length} bytes at {offset}, the {at}th");
                    assert!(vector.is_sound(at), "those before it are");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "packets of one pool only")]
    fn vectors_of_two_pools_do_not_mix() {
        let (mut a, mut b) = (numbered(&pool(), 0..1), Vector::new(&pool()));
        b.append(&mut a);
    }
}
