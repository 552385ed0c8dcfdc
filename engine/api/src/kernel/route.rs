//! What the kernels that carry packets through several steps of a router in one go tell each other, and these kernels one packet at a time.
//!
//! `arrive` or `read` looks at each header once, and keeps of it what the later steps want. Somebody looks the destinations up. `depart` sends
//! on what can leave by the adjacency that was found. What is out of the ordinary is in none of the masks, and stays as it is: the kernels
//! that do one step each know what becomes of it.

use super::scalar::{Departure, depart_one, ip4_class, start};
use super::types::{ETHER_LEN, ETHER_STEP, FORWARD_OFFSET_MIN, IP4_LEN, MAC_MASK, max_offset};
use super::{EthRewrite, Ip4Class, WINDOW, low_bits};

/// Packets that go together: so few that their headers are still in the nearest cache when they leave.
pub const ROUTE_MAX: usize = 64;

/// The EtherType of IPv4, as loaded.
pub(super) const TYPE_IP4: u16 = 0x0800_u16.to_be();

/// Longer than any link carries: what a packet is said to be that must not leave.
pub(super) const NEVER: u32 = i32::MAX as u32;

/// What is known of up to [`ROUTE_MAX`] packets on their way through a router. Kept by who calls the kernels, so that it need not be zeroed
/// each time.
#[repr(C, align(64))]
pub struct Routing {
    /// Where the Ethernet header starts, or is to start: exposed addresses.
    pub(super) frames: [u64; ROUTE_MAX],
    /// The descriptors that they are to leave with.
    pub(super) leaving: [u64; ROUTE_MAX],
    /// For each what a look-up has found: `meaning:16 | interface:16 | adjacency:32`. Only those of meaning 0 are to leave.
    pub(super) leaves: [u64; ROUTE_MAX],
    /// The adjacency of each: exposed addresses.
    pub(super) entries: [u64; ROUTE_MAX],
    /// The four bytes of the IPv4 header from the TTL on, as loaded.
    pub(super) heads: [u32; ROUTE_MAX],
    /// Bytes of the IPv4 packet; [`NEVER`] of those that must not leave.
    pub(super) lengths: [u32; ROUTE_MAX],
    /// Destinations, in native order.
    pub(super) destinations: [u32; ROUTE_MAX],
}

impl Routing {
    /// Of no packets.
    pub fn new() -> Box<Routing> {
        Box::new(Routing {
            frames: [0; ROUTE_MAX],
            leaving: [0; ROUTE_MAX],
            leaves: [0; ROUTE_MAX],
            entries: [0; ROUTE_MAX],
            heads: [0; ROUTE_MAX],
            lengths: [0; ROUTE_MAX],
            destinations: [0; ROUTE_MAX],
        })
    }

    /// The destinations of the first `n` packets, at most [`ROUTE_MAX`], and the places for what is found. Those of packets that are in no mask
    /// are junk.
    #[inline(always)]
    pub(crate) fn found(&mut self, n: usize) -> (&[u32], &mut [u64]) {
        let n = n.min(ROUTE_MAX);
        (&self.destinations[..n], &mut self.leaves[..n])
    }

    /// The bytes of a packet that is in the mask, from its IPv4 header on: to be read as long as the packets are the caller's that this was filled of.
    #[inline]
    pub(crate) fn packet(&self, index: usize) -> *const [u8] {
        let frame = std::ptr::with_exposed_provenance::<u8>(self.frames[index] as usize);
        std::ptr::slice_from_raw_parts(frame.wrapping_add(ETHER_LEN), self.lengths[index] as usize)
    }

    /// Those that are not in the mask must not leave, and neither must what is behind the last. They are looked up as another packet, so that a
    /// vector of which all others go one way does.
    pub(super) fn keep_back(&mut self, n: usize, plain: u64) {
        let another = self.destinations[plain.trailing_zeros() as usize % ROUTE_MAX];
        let mut others = !plain & low_bits(n.next_multiple_of(super::ROUND));
        while others != 0 {
            let index = others.trailing_zeros() as usize;
            (self.lengths[index], self.destinations[index]) = (NEVER, another);
            others &= others - 1;
        }
    }

    /// Takes the Ethernet header off the packets of the mask, and what Ethernet padded.
    ///
    /// # Safety
    ///
    /// The contract of [`super`]; `arrive` has filled this of these packets, which have not changed since.
    #[inline]
    pub(crate) unsafe fn enter(&self, descs: *mut u64, n: usize, plain: u64) {
        for (index, leaving) in self.leaving.iter().enumerate().take(n) {
            // SAFETY: index < n, the array's length.
            let desc = unsafe { &mut *descs.add(index) };
            *desc = if plain >> index & 1 == 1 { leaving + ETHER_STEP } else { *desc };
        }
    }
}

impl std::fmt::Debug for Routing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Routing")
    }
}

/// What `arrive` lets pass: frames to exactly this station.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Six bytes as a little-endian load.
    pub(super) mac: u64,
    /// The largest offset of a frame whose window stays in its chunk when the header is off.
    pub(super) max_offset: u16,
}

impl Arrival {
    /// Frames to `mac` (six bytes as a little-endian load) in chunks of `chunk` bytes.
    pub fn new(mac: u64, chunk: usize) -> Arrival {
        Arrival { mac: mac & MAC_MASK, max_offset: max_offset(chunk) }
    }
}

pub(super) unsafe fn arrive(base: *mut u8, descs: *mut u64, n: usize, arrival: &Arrival, routing: &mut Routing) -> u64 {
    let mut plain = 0;
    for index in 0..n {
        // SAFETY: index < n, the array's length.
        let desc = unsafe { *descs.add(index) };
        let at = base.wrapping_add(start(desc));
        // SAFETY: the window of every packet is inside its chunk and initialised, and is not written during the call.
        let window = unsafe { &*at.cast::<[u8; WINDOW]>() };
        let [a, b, c, d, e, f, g, h, _, _, _, _, t0, t1, ..] = *window;
        let ours = u64::from_le_bytes([a, b, c, d, e, f, g, h]) & MAC_MASK == arrival.mac;
        let ip4 = u16::from_le_bytes([t0, t1]) == TYPE_IP4 && (desc >> 16) as u16 <= arrival.max_offset;
        let (_, header) = window.split_at(ETHER_LEN);
        let total = read(header, 2).to_be() >> 16;
        let good = ip4_class(header, (desc as u16).saturating_sub(ETHER_LEN as u16)) == Ip4Class::Ok;
        // From 0.0.0.0 may speak who asks for an address: nothing to be sent on.
        let odd = matches!(header[12], 0 | 127 | 224..);
        plain |= u64::from(ours && ip4 && good && !odd) << index;
        routing.frames[index] = at.expose_provenance() as u64;
        routing.leaving[index] = desc & !0xffff | (u64::from(total) + ETHER_LEN as u64);
        routing.heads[index] = read(header, 8);
        routing.lengths[index] = total;
        routing.destinations[index] = read(header, 16).to_be();
    }
    routing.keep_back(n, plain);
    plain
}

pub(super) unsafe fn read_ip4(base: *mut u8, descs: *mut u64, n: usize, routing: &mut Routing) -> u64 {
    let mut whole = 0;
    for index in 0..n {
        // SAFETY: index < n, the array's length.
        let desc = unsafe { *descs.add(index) };
        let at = base.wrapping_add(start(desc));
        // SAFETY: as in `arrive`.
        let window = unsafe { &*at.cast::<[u8; WINDOW]>() };
        let fits = desc as u16 >= IP4_LEN as u16 && desc >> 16 & 0xffff >= FORWARD_OFFSET_MIN;
        whole |= u64::from(fits) << index;
        routing.frames[index] = at.wrapping_sub(ETHER_LEN).expose_provenance() as u64;
        routing.leaving[index] = desc.wrapping_sub(ETHER_STEP);
        routing.heads[index] = read(window, 8);
        routing.lengths[index] = u32::from(desc as u16);
        routing.destinations[index] = read(window, 16).to_be();
    }
    routing.keep_back(n, whole);
    whole
}

pub(super) unsafe fn depart(
    descs: *mut u64,
    lanes: *mut u64,
    n: usize,
    rewrites: *const EthRewrite,
    count: usize,
    routing: &mut Routing,
) -> u64 {
    let rewrites = match count {
        0 => &[],
        // SAFETY: `rewrites[..count]` is initialised and not written during the call.
        _ => unsafe { std::slice::from_raw_parts(rewrites, count) },
    };
    let mut done = 0;
    for index in 0..n {
        let leaf = routing.leaves[index];
        let Some(rewrite) = rewrites.get(leaf as u32 as usize).filter(|_| leaf >> 48 == 0) else { continue };
        let ttl = routing.heads[index] as u8;
        if ttl <= 1 || routing.lengths[index] > u32::from(rewrite.mtu) || rewrite.ready == 0 {
            continue;
        }
        done |= 1 << index;
        // SAFETY: index < n, the length of both arrays, which nothing else refers to.
        let (desc, lane) = unsafe { (&mut *descs.add(index), &mut *lanes.add(index)) };
        *desc = routing.leaving[index];
        *lane = *lane & 0xffff << 48 | u64::from(rewrite.tx) << 32 | leaf & 0xffff_ffff;
        let frame = std::ptr::with_exposed_provenance_mut::<u8>(routing.frames[index] as usize);
        // SAFETY: a packet that is not kept back has 14 bytes of its chunk where its Ethernet header is or is to be, and behind them at least 20 of
        // its own; the caller alone uses the chunk.
        depart_one(unsafe { &mut *frame.cast::<Departure>() }, rewrite);
    }
    done
}

/// A little-endian load.
#[inline(always)]
fn read(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
