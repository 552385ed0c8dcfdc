//! The incremental checksum against a full recomputation, for every value of the field.

use super::super::*;
use super::Random;
use super::frame::Frame;
use super::oracle::checksum;

/// A header whose checksum field is `sum`, right by construction, with the given TTL: the
/// identification makes up the difference. None exists for 0xffff, which is 0 written differently.
fn header(sum: u16, ttl: u8) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 20, 0, 0, 0, 0, ttl, 17, 0, 0, 10, 1, 2, 3, 10, 4, 5, 6];
    // The one's complement sum of the rest, of the identification and of the field is 0xffff.
    let rest = u32::from(!checksum(&bytes));
    let identification = (2 * 0xffff - rest - u32::from(sum)) % 0xffff;
    bytes[4..6].copy_from_slice(&(identification as u16).to_be_bytes());
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn every_checksum_and_ttl_step_is_what_a_recomputation_gives() {
    let ids = ForwardIds { ok: 1, ttl_expired: 2, too_big: 3, unresolved: 4, bad: 5 };
    let rewrites = [EthRewrite::new([0xee; 14], 1500, 1, true)];
    let mut random = Random(7);
    let mut frame = Frame::new(&mut random);
    for kernels in all_supported() {
        for high in 0..=255u16 {
            let ttl = 2 + (high as u8).wrapping_mul(3) % 254;
            let mut low = 0;
            frame.fill(&mut random, FRAME_MAX, |_| {
                let bytes = header(high << 8 | low, ttl);
                low += 1;
                (HEAD_MIN + 14, 20, bytes)
            });
            frame.lanes.fill(0);
            frame.ip4_check(kernels, &[0, 1, 2, 3, 4, 5, 6, 7]);
            assert!(frame.next[..FRAME_MAX].iter().all(|next| *next == 0));
            frame.ip4_forward(kernels, &rewrites, &ids);
            for i in 0..FRAME_MAX {
                let packet = &frame.window(i).0[14..34];
                let mut zeroed = packet.to_vec();
                zeroed[10..12].fill(0);
                let sum = u16::from_be_bytes([packet[10], packet[11]]);
                assert_eq!(packet[8], ttl - 1);
                assert_eq!(sum, checksum(&zeroed), "{} {high:02x}{i:02x}", kernels.name);
            }
        }
    }
}
