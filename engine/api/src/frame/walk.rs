//! The ways to walk a frame.

use std::marker::PhantomData;

use super::{Emit, Held, Verdict};
use crate::abi::RawFrame;
use crate::edges::{EdgeClass, Edges};
use crate::kernel::{self, EthCheck, EthRewrite, ForwardIds, Ip4Class, kernels};
use crate::packet::{Desc, Lane, PAD, Packet, VECTOR, differing};
use crate::wire::{EtherType, MacAddr};

/// How many packets ahead of the one at hand the scalar walks fetch a header.
const AHEAD: usize = 4;

/// Up to 256 packets, for each of which a node decides a `Next`. Only the engine moves packets.
///
/// - [`for_each`](Frame::for_each): one decision per packet; the way to begin with.
/// - [`gather`](Frame::gather), a batch look-up, [`decide`](Frame::decide): for tables whose look-up is worth batching;
///   [`decide_lanes`](Frame::decide_lanes) where the decision needs no packet bytes.
/// - [`eth_check`](Frame::eth_check), [`ip4_check`](Frame::ip4_check), [`ip4_forward`](Frame::ip4_forward): whole vectors at once,
///   with SIMD; the author only maps classes to `Next`, and may look at the few with
///   [`exceptions`](Frame::exceptions) or [`revise`](Frame::revise).
///
/// Each of them decides for all packets of the frame; the last one called counts.
pub struct Frame<'a, N> {
    raw: &'a mut RawFrame,
    edges: PhantomData<N>,
}

impl<'a, N: Edges> Frame<'a, N> {
    /// # Safety
    /// The raw frame is as the engine made it: its arrays as documented, its descriptors keep the invariant of
    /// [`Vector`](crate::Vector) for the region at `base`, and nobody else touches these chunks during `'a`.
    pub(crate) unsafe fn new(raw: &'a mut RawFrame) -> Frame<'a, N> {
        Frame { raw, edges: PhantomData }
    }

    /// Number of packets: 1 to 256.
    #[inline]
    pub fn len(&self) -> usize {
        self.raw.len as usize
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw.len == 0
    }

    /// What travels with the packets.
    #[inline]
    pub fn lanes(&mut self) -> &mut [Lane] {
        // SAFETY: `lanes` has `len` entries, ours during 'a.
        unsafe { std::slice::from_raw_parts_mut(self.raw.lanes, self.len()) }
    }

    fn lanes_ref(&self) -> &[Lane] {
        // SAFETY: as in `lanes`.
        unsafe { std::slice::from_raw_parts(self.raw.lanes, self.len()) }
    }

    /// The same decision for all packets.
    #[inline]
    pub fn all(&mut self, next: N) {
        self.nexts().fill(next.id());
        self.raw.decided = 1;
    }

    /// Decides packet by packet.
    #[inline(always)]
    pub fn for_each(&mut self, mut decide: impl FnMut(&mut Packet<'_>) -> N) {
        for index in 0..self.len() {
            let next = self.visit(index, &mut decide);
            // SAFETY: index < len.
            unsafe { *self.raw.next.add(index) = next.id() };
        }
        self.raw.decided = 1;
    }

    /// Decides packet by packet, with the power to send more packets.
    #[inline(always)]
    pub fn for_each_emit(&mut self, mut decide: impl FnMut(&mut Packet<'_>, &mut Emit<'_, N>) -> N) {
        // SAFETY: the engine gave a sound outbox with the frame; it is borrowed for this call only, and packets of the frame are
        // never in it.
        let mut emit = unsafe { Emit::new(&mut *self.raw.outbox) };
        for index in 0..self.len() {
            let next = self.visit(index, |packet| decide(packet, &mut emit));
            // SAFETY: index < len.
            unsafe { *self.raw.next.add(index) = next.id() };
        }
        self.raw.decided = 1;
    }

    /// Decides packet by packet, and keeps some: they go into `held` and count as `taken`, which must be a variant of class *held*;
    /// or as `full` if there is no room.
    ///
    /// # Panics
    /// If `taken` is of another class: a mistake in the node, which the engine contains as a fault.
    pub fn for_each_hold<K>(
        &mut self,
        held: &mut Held<K>,
        taken: N,
        full: N,
        mut decide: impl FnMut(&mut Packet<'_>) -> Verdict<N, K>,
    ) {
        let taken = taken.id();
        let class = N::EDGES.get(usize::from(taken)).map(|edge| edge.class);
        assert_eq!(class, Some(EdgeClass::Held), "packets are held under a variant of class held");
        self.assert_whole();
        held.assert_pool(self.raw.pool);
        for index in 0..self.len() {
            let id = match self.visit_unchecked(index, &mut decide) {
                Verdict::Go(next) => next.id(),
                Verdict::Hold(key) => {
                    // SAFETY: index < len. Once the entry is in `held`, its place in the frame is NONE: one owner.
                    unsafe {
                        let desc = self.raw.descs.add(index);
                        if held.put(*desc, *self.raw.lanes.add(index), key) {
                            *desc = Desc::NONE;
                            self.raw.taken += 1;
                            self.raw.taken_id = taken;
                            taken
                        } else {
                            full.id()
                        }
                    }
                }
            };
            // SAFETY: index < len.
            unsafe { *self.raw.next.add(index) = id };
        }
        self.raw.decided = 1;
    }

    /// Sends more packets, and decides nothing.
    pub fn emit(&mut self) -> Emit<'_, N> {
        // SAFETY: as in `for_each_emit`.
        unsafe { Emit::new(&mut *self.raw.outbox) }
    }

    /// Takes one key from each packet. Returns as many keys as there are packets.
    #[inline(always)]
    pub fn gather<'k, K>(&mut self, keys: &'k mut [K; VECTOR], mut key: impl FnMut(&mut Packet<'_>) -> K) -> &'k mut [K] {
        let keys = &mut keys[..self.len()];
        for (index, slot) in keys.iter_mut().enumerate() {
            *slot = self.visit(index, &mut key);
        }
        keys
    }

    /// As [`Frame::gather`], of packets that stay as they are: cheaper, as nothing is written back.
    #[inline(always)]
    pub fn read<'k, K>(&mut self, keys: &'k mut [K; VECTOR], mut key: impl FnMut(&Packet<'_>) -> K) -> &'k mut [K] {
        self.assert_whole();
        let keys = &mut keys[..self.raw.len as usize];
        let RawFrame { base, stride, descs, lanes, .. } = *self.raw;
        for (index, slot) in keys.iter_mut().enumerate() {
            // SAFETY: as in `visit_unchecked`: index < len.
            let packet = unsafe {
                kernel::prefetch_at(base.wrapping_add((*descs.add(index + AHEAD)).start()));
                Packet::open(base, stride, *descs.add(index), &mut *lanes.add(index))
            };
            *slot = key(&packet);
        }
        keys
    }

    /// Reads one packet: for the few of a frame that a walk over all of them leaves.
    ///
    /// # Panics
    /// If there are no more than `index` packets.
    #[inline(always)]
    pub fn read_one<R>(&mut self, index: usize, read: impl FnOnce(&Packet<'_>) -> R) -> R {
        self.assert_whole();
        assert!(index < self.len(), "there is no such packet");
        let RawFrame { base, stride, descs, lanes, .. } = *self.raw;
        // SAFETY: as in `visit_unchecked`: index < len.
        read(&unsafe { Packet::open(base, stride, *descs.add(index), &mut *lanes.add(index)) })
    }

    /// Takes the 32-bit number in network byte order at byte `AT` (at most 124) of each packet. Behind a packet's end it is what it
    /// is.
    #[inline]
    pub fn gather_be32<'k, const AT: usize>(&mut self, keys: &'k mut [u32; VECTOR]) -> &'k mut [u32] {
        const { assert!(AT + 4 <= crate::memory::WINDOW) };
        self.assert_whole();
        // SAFETY: the frame's arrays are as the kernels want them; AT + 4 <= WINDOW. Kernels work in groups that divide 256, so what
        // they write behind `len` is still in `keys`.
        unsafe { (kernels().gather_be32)(self.raw.base, self.raw.descs.cast(), self.len(), AT, keys.as_mut_ptr()) };
        &mut keys[..self.raw.len as usize]
    }

    /// Decides with a value for each packet.
    ///
    /// # Panics
    /// If there are fewer values than packets.
    #[inline(always)]
    pub fn decide<K>(&mut self, values: &[K], mut decide: impl FnMut(&mut Packet<'_>, &K) -> N) {
        assert!(values.len() >= self.len(), "a value for each packet");
        for (index, value) in values.iter().enumerate().take(self.len()) {
            let next = self.visit(index, |packet| decide(packet, value));
            // SAFETY: index < len.
            unsafe { *self.raw.next.add(index) = next.id() };
        }
        self.raw.decided = 1;
    }

    /// As [`Frame::decide`], of packets that begin and end where they did, and whose headers an earlier walk has read: cheaper, as nothing is
    /// fetched ahead, and no descriptor written back. What is done to begin or end one elsewhere is lost. `most` decides what it can, in few
    /// steps; of which it decides nothing, and has changed nothing, `others` is asked at once. Both have `state`.
    ///
    /// # Panics
    /// If there are fewer values than packets.
    #[inline(always)]
    pub fn decide_in_place<K, S>(
        &mut self,
        values: &[K],
        state: &mut S,
        mut most: impl FnMut(&mut S, &mut Packet<'_>, &K) -> Option<N>,
        mut others: impl FnMut(&mut S, &mut Packet<'_>, &K) -> N,
    ) {
        self.assert_whole();
        let values = &values[..self.len()];
        let RawFrame { base, stride, descs, lanes, next, .. } = *self.raw;
        for (index, value) in values.iter().enumerate() {
            // SAFETY: as in `visit_unchecked`: index < len. The descriptor stays as it is, so it keeps its invariant. The first view of the packet
            // is gone when the second is made: that one may lie in memory, for whoever is called with it, and the first in registers.
            unsafe {
                let desc = *descs.add(index);
                let decided = most(state, &mut Packet::open(base, stride, desc, &mut *lanes.add(index)), value);
                let decided = decided.unwrap_or_else(|| {
                    let mut packet = Packet::open(base, stride, desc, &mut *lanes.add(index));
                    let decided = others(state, &mut packet, value);
                    debug_assert_eq!(packet.close(desc), desc, "a packet begins or ends elsewhere");
                    decided
                });
                *next.add(index) = decided.id();
            }
        }
        self.raw.decided = 1;
    }

    /// As [`Frame::decide`], without a look at the packets: no byte of them is loaded.
    ///
    /// # Panics
    /// If there are fewer values than packets.
    #[inline(always)]
    pub fn decide_lanes<K>(&mut self, values: &[K], mut decide: impl FnMut(&mut Lane, &K) -> N) {
        let len = self.len();
        assert!(values.len() >= len, "a value for each packet");
        self.raw.decided = 1;
        // SAFETY: both arrays have `len` entries, ours during 'a, and they are not the same memory.
        let (lanes, nexts) =
            unsafe { (std::slice::from_raw_parts_mut(self.raw.lanes, len), std::slice::from_raw_parts_mut(self.raw.next, len)) };
        for ((lane, next), value) in lanes.iter_mut().zip(nexts).zip(values) {
            *next = decide(lane, value).id();
        }
    }

    /// Checks Ethernet headers (IEEE 802.3): which frames are for the interface that received them, and what they carry.
    ///
    /// `macs` has the address of each interface, by index; a frame for another unicast address is `not_ours`. At most eight `types`
    /// are known; their packets lose the Ethernet header. All else is `other`, whole.
    ///
    /// # Panics
    /// If there are more than eight types.
    pub fn eth_check(&mut self, macs: &[MacAddr], types: &[(EtherType, N)], other: N, not_ours: N, too_short: N) {
        self.sort_eth(macs, types, None, other, not_ours, too_short);
    }

    /// As [`Frame::eth_check`], with a decision of its own for frames of one of the types that went to a group address, broadcast
    /// included.
    ///
    /// # Panics
    /// If there are more than eight types.
    pub fn eth_check_group(
        &mut self,
        macs: &[MacAddr],
        types: &[(EtherType, N)],
        group: (EtherType, N),
        other: N,
        not_ours: N,
        too_short: N,
    ) {
        self.sort_eth(macs, types, Some(group), other, not_ours, too_short);
    }

    fn sort_eth(
        &mut self,
        macs: &[MacAddr],
        types: &[(EtherType, N)],
        group: Option<(EtherType, N)>,
        other: N,
        not_ours: N,
        too_short: N,
    ) {
        self.assert_whole();
        let mut known = [(0, 0); kernel::ETHER_TYPES_MAX];
        for (slot, (ethertype, next)) in known[..types.len()].iter_mut().zip(types) {
            *slot = (ethertype.0.to_be(), next.id());
        }
        self.raw.decided = 1;
        let (base, chunk, len) = (self.raw.base, self.raw.stride as usize, self.len());
        let check = |mac: &MacAddr| {
            let [a, b, c, d, e, f] = mac.octets();
            let mac = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
            let check = EthCheck::new(mac, &known[..types.len()], other.id(), not_ours.id(), too_short.id(), chunk)
                .expect("at most eight types");
            match group {
                Some((ethertype, next)) => check.group(ethertype.0.to_be(), next.id()),
                None => check,
            }
        };
        let Some(&Lane { rx, .. }) = self.lanes_ref().first() else { return };
        if differing(self.lanes_ref()) >> 48 == 0
            && let Some(mac) = macs.get(usize::from(rx))
        {
            // SAFETY: the frame's arrays are as the kernels want them.
            unsafe { (kernels().eth_check)(base, self.raw.descs.cast(), self.raw.next, len, &check(mac)) };
            return;
        }
        // Frames of several interfaces come in runs of each. A run has no padding behind it that a kernel may overwrite, so each is
        // checked in a copy.
        let mut first = 0;
        while first < len {
            let rx = self.lanes_ref()[first].rx;
            let run = self.lanes_ref()[first..].iter().position(|lane| lane.rx != rx).unwrap_or(len - first);
            let Some(mac) = macs.get(usize::from(rx)) else {
                // A packet of no interface is nobody's, not even if it is a broadcast.
                self.nexts()[first..first + run].fill(not_ours.id());
                first += run;
                continue;
            };
            let mut descs = [Desc::NONE; VECTOR + PAD];
            let mut next = [0u16; VECTOR + PAD];
            // SAFETY: first + run <= len, so the entries exist; the copies have padding as the kernels want it, and name the frame's
            // own packets, which nobody else touches meanwhile.
            unsafe {
                let (frame_descs, frame_next) = (self.raw.descs.add(first), self.raw.next.add(first));
                std::ptr::copy_nonoverlapping(frame_descs, descs.as_mut_ptr(), run);
                (kernels().eth_check)(base, descs.as_mut_ptr().cast(), next.as_mut_ptr(), run, &check(mac));
                std::ptr::copy_nonoverlapping(descs.as_ptr(), frame_descs, run);
                std::ptr::copy_nonoverlapping(next.as_ptr(), frame_next, run);
            }
            first += run;
        }
    }

    /// Checks IPv4 headers as RFC 1812 §5.2.2 asks, checksum included, and cuts what Ethernet padded. `map` is called once per
    /// class and not per packet.
    pub fn ip4_check(&mut self, map: impl Fn(Ip4Class) -> N) {
        self.assert_whole();
        let mut ids = [0; 8];
        for class in Ip4Class::ALL {
            ids[class as usize] = map(class).id();
        }
        self.raw.decided = 1;
        // SAFETY: the frame's arrays are as the kernels want them.
        unsafe { (kernels().ip4_check)(self.raw.base, self.raw.descs.cast(), self.raw.next, self.len(), &ids) };
    }

    /// Forwards IPv4 packets: time to live, checksum, MTU, Ethernet header and transmit interface, by the adjacency in each lane.
    /// A packet that gets another outcome than `ok` is unchanged.
    pub fn ip4_forward(&mut self, adjacencies: &[EthRewrite], ok: N, ttl_expired: N, too_big: N, unresolved: N, bad: N) {
        self.assert_whole();
        let ids = ForwardIds {
            ok: ok.id(),
            ttl_expired: ttl_expired.id(),
            too_big: too_big.id(),
            unresolved: unresolved.id(),
            bad: bad.id(),
        };
        self.raw.decided = 1;
        // SAFETY: the frame's arrays are as the kernels want them, and the slice has the number of entries that it has.
        unsafe {
            let (descs, lanes) = (self.raw.descs.cast(), self.raw.lanes.cast());
            let (first, count) = (adjacencies.as_ptr(), adjacencies.len());
            (kernels().ip4_forward)(self.raw.base, descs, lanes, self.raw.next, self.len(), first, count, &ids);
        }
    }

    /// Visits the lanes of packets that were decided otherwise than `main`, each with the id of its decision: where a walk over the
    /// whole vector leaves it to say more of the few. As long as there are none it costs one look at the decisions.
    #[inline]
    pub fn exceptions(&mut self, main: N, mut visit: impl FnMut(u16, &mut Lane)) {
        let len = self.len();
        // SAFETY: `next` has `len` <= 256 entries and padding as the kernels want it.
        let main = unsafe { (kernels().match_mask)(self.raw.next, len, main.id()) };
        for (word, main) in main.into_iter().enumerate() {
            let first = word * 64;
            let mut others = !main & kernel::low_bits(len.saturating_sub(first));
            while others != 0 {
                let index = first + others.trailing_zeros() as usize;
                others &= others - 1;
                // SAFETY: index < len: bits from there on are clear. Both arrays have `len` entries, ours during 'a.
                unsafe { visit(*self.raw.next.add(index), &mut *self.raw.lanes.add(index)) };
            }
        }
    }

    /// Decides anew for the packets that were decided as `of`: where a walk over the whole vector leaves it to look closer at the few.
    /// As long as there are none it costs one look at the decisions.
    #[inline]
    pub fn revise(&mut self, of: N, mut decide: impl FnMut(&mut Packet<'_>) -> N) {
        let len = self.len();
        // SAFETY: `next` has `len` <= 256 entries and padding as the kernels want it.
        let mask = unsafe { (kernels().match_mask)(self.raw.next, len, of.id()) };
        for (word, mut bits) in mask.into_iter().enumerate() {
            while bits != 0 {
                let index = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let next = self.visit(index, &mut decide);
                // SAFETY: index < len: bits from there on are clear.
                unsafe { *self.raw.next.add(index) = next.id() };
            }
        }
    }

    /// A packet that is in a `Held` is nobody else's: no walk may follow `for_each_hold`.
    #[inline(always)]
    pub(super) fn assert_whole(&self) {
        assert_eq!(self.raw.taken, 0, "for_each_hold must be the last walk over a frame");
    }

    #[inline(always)]
    fn visit<R>(&mut self, index: usize, f: impl FnOnce(&mut Packet<'_>) -> R) -> R {
        self.assert_whole();
        self.visit_unchecked(index, f)
    }

    /// Opens the packet at `index`, which must be below `len` and not taken, and writes back what becomes of it.
    #[inline(always)]
    fn visit_unchecked<R>(&mut self, index: usize, f: impl FnOnce(&mut Packet<'_>) -> R) -> R {
        debug_assert!(index < self.len());
        // SAFETY: index < len, so the entries exist and the descriptor keeps its invariant; AHEAD entries more may be read, and
        // a prefetch of any address is harmless, so junk behind the end does no harm.
        unsafe {
            let ahead = *self.raw.descs.add(index + AHEAD);
            kernel::prefetch_at(self.raw.base.wrapping_add(ahead.start()));
            let desc = *self.raw.descs.add(index);
            let mut packet = Packet::open(self.raw.base, self.raw.stride, desc, &mut *self.raw.lanes.add(index));
            let result = f(&mut packet);
            *self.raw.descs.add(index) = packet.close(desc);
            result
        }
    }

    /// As the engine made it.
    #[inline(always)]
    pub(super) fn raw(&mut self) -> &mut RawFrame {
        self.raw
    }

    pub(super) fn nexts(&mut self) -> &mut [u16] {
        // SAFETY: `next` has `len` entries, ours during 'a.
        unsafe { std::slice::from_raw_parts_mut(self.raw.next, self.len()) }
    }
}

impl<N> std::fmt::Debug for Frame<'_, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} packets)", self.raw.len)
    }
}
