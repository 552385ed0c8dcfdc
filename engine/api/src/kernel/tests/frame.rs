//! Frames of packets in a region, and what generates them.

use super::super::*;
use super::Random;

/// An odd number of cache lines, as packet pools have.
pub const STRIDE: usize = 576;
/// Twice as many as packets in a frame.
const CHUNKS: usize = 2 * FRAME_MAX;
pub const MAC: u64 = 0x0605_0403_0202;
pub const PADDING: u64 = 0xdead_dead_dead_dead;

/// The arrays of a frame and the region behind them.
#[derive(Clone, PartialEq)]
pub struct Frame {
    pub region: Vec<u8>,
    pub descs: Vec<u64>,
    pub lanes: Vec<u64>,
    pub next: Vec<u16>,
    pub out: Vec<u32>,
    pub n: usize,
}

impl Frame {
    /// A frame of no packets in random chunks; the region ends with the last of them.
    pub fn new(random: &mut Random) -> Frame {
        let region = (0..STRIDE * CHUNKS / 8).flat_map(|_| random.bits().to_le_bytes()).collect();
        Frame {
            region,
            descs: vec![PADDING; FRAME_MAX + 16],
            lanes: vec![PADDING; FRAME_MAX + 16],
            next: vec![0xdead; FRAME_MAX + 32],
            out: vec![0xdead; FRAME_MAX + 16],
            n: 0,
        }
    }

    /// Fills the frame with `n` packets in distinct chunks: `length` bytes are at the packet's
    /// start, `bytes` overwrite the first of them.
    pub fn fill(&mut self, random: &mut Random, n: usize, mut packet: impl FnMut(&mut Random) -> (usize, usize, Vec<u8>)) {
        let mut chunks: Vec<usize> = (0..CHUNKS).collect();
        self.n = n;
        self.descs.fill(PADDING);
        self.lanes.fill(PADDING);
        for i in 0..n {
            let other = i + random.below(CHUNKS - i);
            chunks.swap(i, other);
            let (offset, length, bytes) = packet(random);
            let position = chunks[i] * STRIDE / 64;
            let start = chunks[i] * STRIDE + offset;
            self.region[start..start + bytes.len()].copy_from_slice(&bytes);
            self.descs[i] = (position << 32 | offset << 16 | length) as u64;
            self.lanes[i] = random.bits();
        }
    }

    /// The window of packet `i`, and its length.
    pub fn window(&self, i: usize) -> (&[u8], usize) {
        let (start, _, length) = place(self.descs[i]);
        (&self.region[start..start + WINDOW], length)
    }

    /// Everything that a kernel may be judged by: not the padding.
    #[allow(clippy::type_complexity, reason = "a tuple to compare")]
    pub fn visible(&self) -> (&[u8], &[u64], &[u64], &[u16], &[u32]) {
        let n = self.n;
        (&self.region, &self.descs[..n], &self.lanes[..n], &self.next[..n], &self.out[..n])
    }

    pub fn match_mask(&self, kernels: &Kernels, id: u16) -> Mask {
        // SAFETY: 32 elements of padding.
        unsafe { (kernels.match_mask)(self.next.as_ptr(), self.n, id) }
    }

    pub fn compress(&mut self, kernels: &Kernels, keep: &Mask) -> usize {
        // SAFETY: 16 words of padding.
        unsafe { (kernels.compress)(self.lanes.as_mut_ptr(), self.n, keep) }
    }

    pub fn eth_check(&mut self, kernels: &Kernels, check: &EthCheck) {
        let (base, descs, next) = (self.region.as_ptr(), self.descs.as_mut_ptr(), self.next.as_mut_ptr());
        // SAFETY: `fill` keeps the contract; the arrays have their padding.
        unsafe { (kernels.eth_check)(base, descs, next, self.n, check) };
    }

    pub fn ip4_check(&mut self, kernels: &Kernels, ids: &[u16; 8]) {
        let (base, descs, next) = (self.region.as_ptr(), self.descs.as_mut_ptr(), self.next.as_mut_ptr());
        // SAFETY: as above.
        unsafe { (kernels.ip4_check)(base, descs, next, self.n, ids) };
    }

    pub fn gather_be32(&mut self, kernels: &Kernels, at: usize) {
        let (base, descs, out) = (self.region.as_ptr(), self.descs.as_mut_ptr(), self.out.as_mut_ptr());
        // SAFETY: as above; `at` is at most WINDOW - 4.
        unsafe { (kernels.gather_be32)(base, descs, self.n, at, out) };
    }

    pub fn ip4_forward(&mut self, kernels: &Kernels, rewrites: &[EthRewrite], ids: &ForwardIds) {
        // SAFETY: as above.
        unsafe {
            (kernels.ip4_forward)(
                self.region.as_mut_ptr(),
                self.descs.as_mut_ptr(),
                self.lanes.as_mut_ptr(),
                self.next.as_mut_ptr(),
                self.n,
                rewrites.as_ptr(),
                rewrites.len(),
                ids,
            );
        }
    }
}

/// Where a descriptor's packet starts in the region, its offset and its length.
pub fn place(desc: u64) -> (usize, usize, usize) {
    let (position, offset) = ((desc >> 32) as usize, (desc >> 16 & 0xffff) as usize);
    (position * 64 + offset, offset, (desc & 0xffff) as usize)
}

/// An offset at which a packet of `length` fits into a chunk with its window: often the least, now
/// and then the last.
pub fn offset(random: &mut Random, length: usize) -> usize {
    let last = STRIDE - length.max(WINDOW);
    match random.below(4) {
        0 => HEAD_MIN,
        1 => (HEAD_MIN + 14).min(last),
        2 => last,
        _ => HEAD_MIN + random.below(last - HEAD_MIN + 1),
    }
}

/// An IPv4 packet, mostly good, and the length that its frame claims.
pub fn ip4(random: &mut Random) -> (usize, usize, Vec<u8>) {
    let words = if random.one_in(8) { 5 + random.below(11) } else { 5 };
    let total = words * 4 + random.below(200 - words * 4);
    let mut bytes: Vec<u8> = (0..words * 4).map(|_| random.bits() as u8).collect();
    bytes[0] = 0x40 | words as u8;
    bytes[2..4].copy_from_slice(&(total as u16).to_be_bytes());
    if random.one_in(4) {
        bytes[8] = random.below(3) as u8;
    }
    bytes[10..12].fill(0);
    let sum = super::oracle::checksum(&bytes);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    if sum == 0 && random.one_in(2) {
        bytes[10..12].fill(0xff);
    }
    if random.one_in(6) {
        let (at, bit) = (random.below(bytes.len()), random.below(8));
        bytes[at] ^= 1 << bit;
    }
    if random.one_in(12) {
        bytes[0] = random.bits() as u8;
    }
    if random.one_in(12) {
        let wrong = if random.one_in(2) { random.below(64) } else { random.below(65536) };
        bytes[2..4].copy_from_slice(&(wrong as u16).to_be_bytes());
    }
    let length = match random.below(6) {
        0 => random.below(257),
        1 => total + random.below(47),
        _ => total,
    };
    (offset(random, length), length, bytes)
}

/// An Ethernet frame to us, a group or someone else, of one of the usual types or any.
pub fn eth(random: &mut Random) -> (usize, usize, Vec<u8>) {
    let destination = match random.below(8) {
        0 => random.bits(),
        1 => random.bits() | 1,
        2 => MAC ^ 1 << random.below(48),
        3 => !0,
        _ => MAC,
    };
    let ether_type = match random.below(6) {
        0 => 0x0806,
        1 => 0x86dd,
        2 => random.bits() as u16,
        _ => 0x0800_u16,
    };
    let mut bytes = destination.to_le_bytes()[..6].to_vec();
    bytes.extend(&random.bits().to_le_bytes()[..6]);
    bytes.extend(ether_type.to_be_bytes());
    let length = if random.one_in(6) { random.below(20) } else { random.below(257) };
    (offset(random, length), length, bytes)
}
