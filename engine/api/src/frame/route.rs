//! Packets on their way through several steps of a router in one go.

use super::Frame;
use crate::abi::RawFrame;
use crate::edges::Edges;
use crate::kernel::{Arrival, EthRewrite, ROUTE_MAX, Routing, kernels, low_bits};
use crate::packet::{Packet, differing};
use crate::wire::MacAddr;

/// Up to 64 packets of a frame that are to pass several steps of a router at once: see [`Frame::arrive`] and [`Frame::read_ip4`].
///
/// The headers have been read, and nothing has changed. Of those packets that are [plain](Route::all_plain) the destinations are looked up
/// ([`Route::look_up`]), and those leave that can ([`Route::depart`]). All others stay as they are.
pub struct Route<'r, N> {
    // The packets of the batch: `first .. first + n` of the frame. Nobody else has the frame meanwhile, so what `routing` says of them holds.
    raw: &'r mut RawFrame,
    routing: &'r mut Routing,
    first: usize,
    n: usize,
    plain: u64,
    edges: std::marker::PhantomData<N>,
}

impl<N: Edges> Frame<'_, N> {
    /// The interface that received all packets of the frame; `None` if they came by several.
    #[inline]
    pub fn received_by_one(&mut self) -> Option<u16> {
        let lanes = self.lanes();
        let rx = lanes.first()?.rx;
        (differing(lanes) >> 48 == 0).then_some(rx)
    }

    /// The batch of packets from `first` on, which are Ethernet frames. Plain are those to `mac` itself that carry a good IPv4 packet without
    /// options, from a source that may be a host's.
    ///
    /// # Panics
    /// If there is no packet at `first`.
    #[inline]
    pub fn arrive<'r>(&'r mut self, first: usize, mac: MacAddr, routing: &'r mut Routing) -> Route<'r, N> {
        let [a, b, c, d, e, f] = mac.octets();
        let arrival = Arrival::new(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]), self.raw().stride as usize);
        self.route(first, routing, |raw, descs, n, routing| {
            // SAFETY: the arrays are as the kernels want them, `n` is at most ROUTE_MAX, and only the last batch of a frame is shorter: what is behind it is
            // padding.
            unsafe { (kernels().arrive)(raw.base, descs, n, &arrival, routing) }
        })
    }

    /// The batch of packets from `first` on, which are IPv4 packets that were checked. Plain are all that have a whole header and room for an
    /// Ethernet header.
    ///
    /// # Panics
    /// If there is no packet at `first`.
    #[inline]
    pub fn read_ip4<'r>(&'r mut self, first: usize, routing: &'r mut Routing) -> Route<'r, N> {
        self.route(first, routing, |raw, descs, n, routing| {
            // SAFETY: as in `arrive`.
            unsafe { (kernels().read)(raw.base, descs, n, routing) }
        })
    }

    #[inline(always)]
    fn route<'r>(
        &'r mut self,
        first: usize,
        routing: &'r mut Routing,
        read: impl FnOnce(&RawFrame, *mut u64, usize, &mut Routing) -> u64,
    ) -> Route<'r, N> {
        self.assert_whole();
        assert!(first < self.len(), "there is no such packet");
        let n = (self.len() - first).min(ROUTE_MAX);
        let raw = self.raw();
        raw.decided = 1;
        // SAFETY: first < len.
        let descs = unsafe { raw.descs.add(first) }.cast();
        let plain = read(raw, descs, n, routing);
        Route { raw, routing, first, n, plain, edges: std::marker::PhantomData }
    }

    /// The same decision for all packets from `first` on.
    #[inline]
    pub fn rest(&mut self, first: usize, next: N) {
        self.nexts()[first..].fill(next.id());
        self.raw().decided = 1;
    }
}

impl<N: Edges> Route<'_, N> {
    /// How many packets there are: 64, or what is left of the frame.
    #[inline]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is none: never.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Whether all packets are plain.
    #[inline]
    pub fn all_plain(&self) -> bool {
        self.plain == low_bits(self.n)
    }

    /// Whether this is true of any packet that is not plain.
    #[inline]
    pub fn any_other(&mut self, mut is: impl FnMut(&Packet<'_>) -> bool) -> bool {
        let mut others = !self.plain & low_bits(self.n);
        while others != 0 {
            let index = self.first + others.trailing_zeros() as usize;
            others &= others - 1;
            let RawFrame { base, stride, descs, lanes, .. } = *self.raw;
            // SAFETY: index < len of the frame, whose packets are ours; the descriptor keeps its invariant, as in `Frame::visit_unchecked`.
            if is(&unsafe { Packet::open(base, stride, *descs.add(index), &mut *lanes.add(index)) }) {
                return true;
            }
        }
        false
    }

    /// Lends the destinations of all packets, and a place for what is found of each: `meaning:16 | interface:16 | adjacency:32`. Only with the
    /// meaning 0 can a packet leave. Those of packets that are not plain do not matter.
    #[inline(always)]
    pub fn look_up(&mut self, look_up: impl FnOnce(&[u32], &mut [u64])) {
        let (destinations, found) = self.routing.found(self.n);
        look_up(destinations, found);
    }

    /// Visits what was found of each plain packet, with its destination and its bytes from the IPv4 header on, for who has to look closer.
    #[inline]
    pub fn look_closer(&mut self, mut visit: impl FnMut(u32, &[u8], &mut u64)) {
        let mut plain = self.plain;
        while plain != 0 {
            let index = plain.trailing_zeros() as usize;
            plain &= plain - 1;
            let packet = self.routing.packet(index);
            let (destinations, found) = self.routing.found(self.n);
            // SAFETY: the packet is plain, so that its IPv4 part of that length lies in its chunk, and nobody writes to it while the frame is lent to
            // this.
            visit(destinations[index], unsafe { &*packet }, &mut found[index]);
        }
    }

    /// Has those plain packets leave that can, by what was found and these adjacencies: they become Ethernet frames with a TTL one less, their
    /// lanes name adjacency and interface, and they are decided as `done`. All others are as they were, and decided as `rest`.
    #[inline]
    pub fn depart(self, adjacencies: &[EthRewrite], done: N, rest: N) {
        // SAFETY: first + n <= len of the frame.
        let (descs, lanes) = unsafe { (self.raw.descs.add(self.first).cast(), self.raw.lanes.add(self.first).cast()) };
        let (first, count) = (adjacencies.as_ptr(), adjacencies.len());
        // SAFETY: the arrays are as the kernels want them, as in `Frame::arrive`; `routing` was filled of these packets, which have been lent to this
        // ever since; and the slice has the number of entries that it has.
        let gone = unsafe { (kernels().depart)(descs, lanes, self.n, first, count, self.routing) };
        self.decide(gone, done, rest);
    }

    /// Takes the Ethernet header off the plain packets of a frame that has [arrived](Frame::arrive), and what Ethernet padded: they are decided as
    /// `done`. All others are as they were, and decided as `rest`.
    #[inline]
    pub fn enter(self, done: N, rest: N) {
        // SAFETY: first + n <= len of the frame.
        let descs = unsafe { self.raw.descs.add(self.first).cast() };
        // SAFETY: as in `depart`.
        unsafe { self.routing.enter(descs, self.n, self.plain) };
        let plain = self.plain;
        self.decide(plain, done, rest);
    }

    #[inline(always)]
    fn decide(self, mask: u64, done: N, rest: N) {
        // SAFETY: first + n <= len of the frame, whose decisions are ours.
        let nexts = unsafe { std::slice::from_raw_parts_mut(self.raw.next.add(self.first), self.n) };
        if mask == low_bits(self.n) {
            nexts.fill(done.id());
            return;
        }
        for (index, next) in nexts.iter_mut().enumerate() {
            *next = if mask >> index & 1 == 1 { done.id() } else { rest.id() };
        }
    }
}

impl<N> std::fmt::Debug for Route<'_, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Route({} packets, {} plain)", self.n, self.plain.count_ones())
    }
}
