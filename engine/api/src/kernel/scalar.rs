//! The kernels one packet at a time: the definition that the vector ones are tested against.

use super::route::{arrive, depart, read_ip4};
use super::types::{ETHER_LEN, ETHER_STEP, FORWARD_OFFSET_MIN, IP4_LEN, MAC_MASK};
use super::{EthCheck, EthRewrite, ForwardIds, Ip4Class, Kernels, Mask, WINDOW};

pub(super) static KERNELS: Kernels = Kernels {
    name: "scalar",
    match_mask,
    compress,
    eth_check,
    ip4_check,
    gather_be32,
    ip4_forward,
    arrive,
    read: read_ip4,
    depart,
};

/// Where the packet of `desc` starts, from the region's base.
#[inline(always)]
pub(super) fn start(desc: u64) -> usize {
    (desc >> 32) as usize * 64 + (desc >> 16) as u16 as usize
}

unsafe fn match_mask(next: *const u16, n: usize, id: u16) -> Mask {
    let mut mask = [0; 4];
    for i in 0..n {
        // SAFETY: i < n, the array's length.
        let hit = unsafe { *next.add(i) } == id;
        mask[i / 64] |= u64::from(hit) << (i % 64);
    }
    mask
}

unsafe fn compress(words: *mut u64, n: usize, keep: &Mask) -> usize {
    let mut kept = 0;
    for i in 0..n {
        if keep[i / 64] >> (i % 64) & 1 == 1 {
            // SAFETY: kept <= i < n, the array's length.
            unsafe { *words.add(kept) = *words.add(i) };
            kept += 1;
        }
    }
    kept
}

unsafe fn eth_check(base: *const u8, descs: *mut u64, next: *mut u16, n: usize, check: &EthCheck) {
    for i in 0..n {
        // SAFETY: i < n, the length of both arrays, which nothing else refers to.
        let (desc, next) = unsafe { (&mut *descs.add(i), &mut *next.add(i)) };
        // SAFETY: the window of every packet is inside its chunk and initialised, and is not
        // written during the call.
        let window = unsafe { &*base.add(start(*desc)).cast::<[u8; WINDOW]>() };
        *next = eth_one(window, desc, check);
    }
}

fn eth_one(window: &[u8; WINDOW], desc: &mut u64, check: &EthCheck) -> u16 {
    let [a, b, c, d, e, f, g, h, _, _, _, _, t0, t1, ..] = *window;
    let destination = u64::from_le_bytes([a, b, c, d, e, f, g, h]) & MAC_MASK;
    if usize::from(*desc as u16) < ETHER_LEN {
        return check.too_short;
    }
    if destination != check.mac && destination & 1 == 0 {
        return check.not_ours;
    }
    if (*desc >> 16) as u16 > check.max_offset {
        return check.other;
    }
    let ether_type = u16::from_le_bytes([t0, t1]);
    match check.types().iter().find(|(t, _)| *t == ether_type) {
        Some(&(_, id)) => {
            *desc += ETHER_STEP;
            if destination & 1 == 1 && ether_type == check.group.0 { check.group.1 } else { id }
        }
        None => check.other,
    }
}

unsafe fn ip4_check(base: *const u8, descs: *mut u64, next: *mut u16, n: usize, ids: &[u16; 8]) {
    for i in 0..n {
        // SAFETY: i < n, the length of both arrays; the rest is the caller's promise.
        unsafe { ip4_check_one(base, descs.add(i), next.add(i), ids) };
    }
}

/// `ip4_check` for one packet; the vector kernels leave headers with options to it.
///
/// # Safety
///
/// The contract of [`super`], for frames of one packet.
pub(super) unsafe fn ip4_check_one(base: *const u8, desc: *mut u64, next: *mut u16, ids: &[u16; 8]) {
    // SAFETY: both are valid and referred to by nothing else.
    let (desc, next) = unsafe { (&mut *desc, &mut *next) };
    // SAFETY: the window is inside the chunk and initialised, and not written during the call.
    let window = unsafe { &*base.add(start(*desc)).cast::<[u8; WINDOW]>() };
    let class = ip4_class(window, *desc as u16);
    if matches!(class, Ip4Class::Ok | Ip4Class::Options | Ip4Class::BadSource) {
        let total = u16::from_be_bytes([window[2], window[3]]);
        *desc = *desc & !0xffff | u64::from(total);
    }
    *next = ids[class as usize];
}

pub(super) fn ip4_class(window: &[u8], length: u16) -> Ip4Class {
    let (version, header_len) = (window[0] >> 4, u16::from(window[0] & 15) * 4);
    let total = u16::from_be_bytes([window[2], window[3]]);
    if usize::from(length) < IP4_LEN {
        return Ip4Class::TooShort;
    }
    if version != 4 {
        return Ip4Class::BadVersion;
    }
    if usize::from(header_len) < IP4_LEN {
        return Ip4Class::BadHeaderLength;
    }
    if total < header_len {
        return Ip4Class::BadLength;
    }
    if total > length {
        return Ip4Class::TooShort;
    }
    // RFC 1071: the one's complement sum does not depend on the byte order, and is 0xffff over a
    // header with a right checksum. At most 30 words: one fold is exact.
    let words = window[..usize::from(header_len)].as_chunks::<2>().0;
    let sum: u32 = words.iter().map(|w| u32::from(u16::from_le_bytes(*w))).sum();
    if (sum & 0xffff) + (sum >> 16) != 0xffff {
        return Ip4Class::BadChecksum;
    }
    let (source, destination) = (&window[12..16], &window[16..20]);
    if matches!(source[0], 0 | 127 | 224..) && !(source == [0; 4] && destination == [0xff; 4]) {
        return Ip4Class::BadSource;
    }
    if usize::from(header_len) > IP4_LEN {
        return Ip4Class::Options;
    }
    Ip4Class::Ok
}

unsafe fn gather_be32(base: *const u8, descs: *mut u64, n: usize, at: usize, out: *mut u32) {
    for i in 0..n {
        // SAFETY: i < n, the length of both arrays; at + 4 is inside the packet's window.
        unsafe {
            let word = base.add(start(*descs.add(i)) + at).cast::<[u8; 4]>();
            *out.add(i) = u32::from_be_bytes(*word);
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "the signature of the kernel")]
unsafe fn ip4_forward(
    base: *mut u8,
    descs: *mut u64,
    lanes: *mut u64,
    next: *mut u16,
    n: usize,
    rewrites: *const EthRewrite,
    count: usize,
    ids: &ForwardIds,
) {
    let rewrites = match count {
        0 => &[],
        // SAFETY: `rewrites[..count]` is initialised and not written during the call.
        _ => unsafe { std::slice::from_raw_parts(rewrites, count) },
    };
    for i in 0..n {
        // SAFETY: i < n, the length of the three arrays, which nothing else refers to.
        let (desc, lane, next) = unsafe { (&mut *descs.add(i), &mut *lanes.add(i), &mut *next.add(i)) };
        let (offset, length) = (*desc >> 16 & 0xffff, *desc as u16);
        // SAFETY: the window is inside the chunk; its bytes are read before any is written.
        let ttl = unsafe { *base.add(start(*desc) + 8) };
        *next = match rewrites.get(*lane as u32 as usize) {
            _ if usize::from(length) < IP4_LEN => ids.bad,
            None => ids.bad,
            _ if ttl <= 1 => ids.ttl_expired,
            Some(rewrite) if length > rewrite.mtu => ids.too_big,
            Some(rewrite) if rewrite.ready == 0 => ids.unresolved,
            _ if offset < FORWARD_OFFSET_MIN => ids.bad,
            Some(rewrite) => {
                *desc -= ETHER_STEP;
                *lane = *lane & !(0xffff << 32) | u64::from(rewrite.tx) << 32;
                // SAFETY: offset >= HEAD_MIN + 14 leaves 14 bytes of the chunk before the packet,
                // and the packet has a header's 20; the caller alone uses the chunk.
                depart_one(unsafe { &mut *base.add(start(*desc)).cast::<Departure>() }, rewrite);
                ids.ok
            }
        };
    }
}

/// An Ethernet header and the IPv4 header behind it.
pub(super) type Departure = [u8; ETHER_LEN + IP4_LEN];

/// Puts the header of an adjacency in its place, and takes one from a TTL that is at least 2.
#[inline(always)]
pub(super) fn depart_one(head: &mut Departure, rewrite: &EthRewrite) {
    head[..ETHER_LEN].copy_from_slice(&rewrite.header);
    head[ETHER_LEN + 8] -= 1;
    let sum = u16::from_le_bytes([head[ETHER_LEN + 10], head[ETHER_LEN + 11]]);
    let [low, high] = checksum_after_ttl_step(sum).to_le_bytes();
    (head[ETHER_LEN + 10], head[ETHER_LEN + 11]) = (low, high);
}

/// The checksum field, loaded as a little-endian word, of a header whose TTL went down by one.
///
/// The TTL is the high byte of its 16-bit word in network order, the low byte of the little-endian
/// one, so in little-endian words, which give the same one's complement sum (RFC 1071, 2B), the sum
/// of the header drops by 1 and the checksum, its complement, rises by 1 with end-around carry
/// (RFC 1141). RFC 1624 warns that this may give 0xffff where a recomputation gives 0, both being
/// zero. A valid header's other words never sum to zero (its version is 4), so a recomputation never
/// gives 0xffff: taking the carry from 0xfffe on (0xfffe -> 0, 0xffff -> 1) reads an arriving 0xffff
/// as the 0 that it stands for, and gives what a recomputation does in every case.
#[inline(always)]
fn checksum_after_ttl_step(sum: u16) -> u16 {
    sum.wrapping_add(1 + u16::from(sum >= 0xfffe))
}
