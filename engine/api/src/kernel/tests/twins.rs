//! Every kernel against its scalar twin: same packets, same words, same bytes of the whole region.

use super::super::*;
use super::frame::{self, Frame, MAC, STRIDE};
use super::{Random, frames};

/// `count` entries, some with a small MTU, some not ready.
pub fn rewrites(random: &mut Random, count: usize) -> Vec<EthRewrite> {
    (0..count)
        .map(|_| {
            let (a, b) = (random.bits().to_le_bytes(), random.bits().to_le_bytes());
            let mut header = [0; 14];
            header[..8].copy_from_slice(&a);
            header[8..].copy_from_slice(&b[..6]);
            let mtu = if random.one_in(4) { random.below(256) as u16 } else { 1500 };
            let ready = if random.one_in(5) { 0 } else { 1 << random.below(16) };
            let mut entry = EthRewrite::new(header, mtu, random.bits() as u16, true);
            entry.ready = ready;
            entry
        })
        .collect()
}

/// Gives lanes an adjacency, now and then one that does not exist.
pub fn point_lanes(frame: &mut Frame, random: &mut Random, count: usize) {
    for lane in &mut frame.lanes[..frame.n] {
        let adj = match random.below(20) {
            0 => random.bits() as u32,
            1 => count as u32,
            _ => random.below(count.max(1)) as u32,
        };
        *lane = *lane & !0xffff_ffff | u64::from(adj);
    }
}

/// Sizes of frames: each from 0 to 256, then random ones and full ones.
fn size(round: usize, random: &mut Random) -> usize {
    match round {
        0..=FRAME_MAX => round,
        _ if round.is_multiple_of(2) => FRAME_MAX,
        _ => random.below(FRAME_MAX + 1),
    }
}

/// Runs `act` by every kernel set on the same frames, which `fill` makes.
fn compare(seed: u64, fill: impl Fn(&mut Random) -> (usize, usize, Vec<u8>), act: impl Fn(&mut Frame, &Kernels, &mut Random)) {
    let mut random = Random(seed);
    let mut frame = Frame::new(&mut random);
    let all = all_supported();
    let (scalar, vector) = all.split_last().expect("scalar is always there");
    for round in 0..frames() {
        let state = random.0;
        let n = size(round, &mut random);
        frame.fill(&mut random, n, &fill);
        let choices = random.clone();
        let mut expected = frame.clone();
        act(&mut expected, scalar, &mut choices.clone());
        for kernels in vector {
            let mut found = frame.clone();
            act(&mut found, kernels, &mut choices.clone());
            if found.visible() == expected.visible() {
                continue;
            }
            let name = kernels.name;
            for i in 0..n {
                let (before, length) = frame.window(i);
                assert_eq!(
                    (found.next[i], found.descs[i], found.lanes[i], found.out[i]),
                    (expected.next[i], expected.descs[i], expected.lanes[i], expected.out[i]),
                    "{name}, state {state:#x}, packet {i} of {n}: {length} {before:02x?}",
                );
            }
            panic!("{name}, state {state:#x}: the regions differ");
        }
    }
}

#[test]
fn eth_check() {
    let all_types = [(0x0008, 1), (0x0608, 2), (0xdd86, 3), (0x0081, 7), (0x0608, 8), (0, 9), (!0, 10)];
    compare(11, frame::eth, |frame, kernels, random| {
        let types = &all_types[..random.below(all_types.len() + 1)];
        let mac = if random.one_in(9) { !0 } else { MAC };
        let chunk = if random.one_in(9) { 400 } else { STRIDE };
        let check = EthCheck::new(mac, types, 4, 5, 0xffff, chunk).expect("few types");
        let check = if random.one_in(3) { check } else { check.group(all_types[random.below(all_types.len())].0, 0x8001) };
        frame.eth_check(kernels, &check);
    });
}

#[test]
fn ip4_check() {
    compare(12, frame::ip4, |frame, kernels, _| {
        frame.ip4_check(kernels, &[0xffff, 11, 0x8000, 13, 14, 0, 16, 17]);
    });
}

#[test]
fn ip4_check_of_good_packets_alone() {
    let good = |random: &mut Random| {
        loop {
            let (offset, length, bytes) = frame::ip4(random);
            if bytes[0] == 0x45 && length >= 20 && super::oracle::checksum(&bytes) == 0 && !super::oracle::martian(&bytes) {
                return (offset, length, bytes);
            }
        }
    };
    compare(13, good, |frame, kernels, _| {
        frame.ip4_check(kernels, &[1, 2, 3, 4, 5, 6, 7, 8]);
    });
}

#[test]
fn ip4_check_of_every_length_and_first_byte() {
    let packet = |random: &mut Random| {
        let (_, _, mut bytes) = frame::ip4(random);
        bytes[0] = random.bits() as u8;
        let total = random.below(80) as u16;
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        let header = (usize::from(bytes[0] & 15) * 4).clamp(20, bytes.len());
        bytes[10..12].fill(0);
        let sum = super::oracle::checksum(&bytes[..header]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        let length = random.below(257);
        (frame::offset(random, length), length, bytes)
    };
    compare(14, packet, |frame, kernels, _| {
        frame.ip4_check(kernels, &[1, 2, 3, 4, 5, 6, 7, 8]);
    });
}

#[test]
fn gather_be32() {
    compare(15, frame::ip4, |frame, kernels, random| {
        frame.gather_be32(kernels, random.below(WINDOW - 3));
    });
}

#[test]
fn ip4_forward() {
    let ids = ForwardIds { ok: 1, ttl_expired: 0xffff, too_big: 3, unresolved: 0x8000, bad: 0 };
    compare(16, frame::ip4, |frame, kernels, random| {
        let count = random.below(9);
        let rewrites = rewrites(random, count);
        point_lanes(frame, random, count);
        frame.ip4_forward(kernels, &rewrites, &ids);
    });
}

#[test]
fn ip4_forward_of_good_packets_by_one_adjacency() {
    let ids = ForwardIds { ok: 1, ttl_expired: 2, too_big: 3, unresolved: 4, bad: 5 };
    let good = |random: &mut Random| {
        let (_, _, mut bytes) = frame::ip4(random);
        bytes[8] = bytes[8].max(2);
        if random.one_in(3) {
            let sum = 0xfffd + random.below(3) as u16;
            bytes[10..12].copy_from_slice(&sum.to_le_bytes());
        }
        (HEAD_MIN + 14 + random.below(40), 20 + random.below(200), bytes)
    };
    compare(17, good, |frame, kernels, _| {
        frame.lanes.iter_mut().for_each(|lane| *lane = *lane & !0xffff_ffff | 1);
        let entry = EthRewrite::new([0xaa; 14], 1500, 0x1234, true);
        frame.ip4_forward(kernels, &[EthRewrite::default(), entry], &ids);
    });
}

#[test]
fn ip4_forward_of_any_packets_by_one_adjacency() {
    let ids = ForwardIds { ok: 1, ttl_expired: 0xffff, too_big: 3, unresolved: 0x8000, bad: 0 };
    compare(19, frame::ip4, |frame, kernels, random| {
        let count = 1 + random.below(8);
        let rewrites = rewrites(random, count);
        // Most often one that there is.
        let adj = random.below(count + 1) as u64;
        frame.lanes.iter_mut().for_each(|lane| *lane = *lane & !0xffff_ffff | adj);
        if random.one_in(4) {
            let other = random.below(frame.lanes.len().max(1));
            frame.lanes.iter_mut().skip(other).take(1).for_each(|lane| *lane ^= 1);
        }
        frame.ip4_forward(kernels, &rewrites, &ids);
    });
}

#[test]
fn match_mask_and_compress() {
    compare(18, frame::ip4, |frame, kernels, random| {
        let first = random.below(FRAME_MAX);
        let edges = 1 + random.below(6);
        for (i, next) in frame.next.iter_mut().enumerate() {
            *next = if i < first { 0 } else { random.below(edges) as u16 };
        }
        let mask = frame.match_mask(kernels, 0);
        let kept = frame.compress(kernels, &mask);
        frame.out.fill(0);
        frame.out[..4].copy_from_slice(&mask.map(|word| word as u32));
        frame.out[4..8].copy_from_slice(&mask.map(|word| (word >> 32) as u32));
        assert_eq!(kept as u32, mask.iter().map(|word| word.count_ones()).sum::<u32>());
        // What is behind the kept words is junk.
        frame.lanes[kept..].fill(0);
    });
}

#[test]
fn compress_ignores_bits_past_the_end() {
    for kernels in all_supported() {
        for n in 0..=FRAME_MAX {
            let mut words: Vec<u64> = (0..FRAME_MAX as u64 + 16).collect();
            // SAFETY: 16 words of padding.
            let kept = unsafe { (kernels.compress)(words.as_mut_ptr(), n, &[!0; 4]) };
            assert_eq!(kept, n, "{}", kernels.name);
            // SAFETY: as above.
            let kept = unsafe { (kernels.compress)(words.as_mut_ptr(), n, &[!1, !0, !0, !0]) };
            assert_eq!(kept, n.saturating_sub(1), "{}", kernels.name);
            assert!(words[..kept].iter().copied().eq(1..=kept as u64), "{}", kernels.name);
        }
    }
}
