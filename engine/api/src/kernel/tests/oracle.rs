//! What the scalar kernels must do, written down again from the RFCs and the contract.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use etherparse::{Ipv4Header, Ipv4HeaderSlice};

use super::super::*;
use super::frame::{self, Frame, MAC, STRIDE, place};
use super::{Random, frames};

/// RFC 1071, word by word.
pub fn checksum(header: &[u8]) -> u16 {
    let mut sum = 0u32;
    for word in header.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(word[1]);
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    !sum as u16
}

/// RFC 1812, 5.2.2.
fn class(window: &[u8], length: usize) -> Ip4Class {
    let header = usize::from(window[0] % 16) * 4;
    let total = usize::from(window[2]) * 256 + usize::from(window[3]);
    if length < 20 {
        Ip4Class::TooShort
    } else if window[0] / 16 != 4 {
        Ip4Class::BadVersion
    } else if header < 20 {
        Ip4Class::BadHeaderLength
    } else if total < header {
        Ip4Class::BadLength
    } else if length < total {
        Ip4Class::TooShort
    } else if checksum(&window[..header]) != 0 {
        Ip4Class::BadChecksum
    } else if martian(window) {
        Ip4Class::BadSource
    } else if header > 20 {
        Ip4Class::Options
    } else {
        Ip4Class::Ok
    }
}

/// RFC 1812, 5.3.7 and 4.2.2.11.
pub fn martian(window: &[u8]) -> bool {
    let of = |at: usize| Ipv4Addr::new(window[at], window[at + 1], window[at + 2], window[at + 3]);
    let (source, destination) = (of(12), of(16));
    let no_host = source.octets()[0] == 0 || source.is_loopback() || source.is_multicast() || source.octets()[0] >= 240;
    no_host && !(source.is_unspecified() && destination.is_broadcast())
}

fn scalar() -> &'static Kernels {
    all_supported().into_iter().find(|k| k.name == "scalar").expect("scalar is always there")
}

#[test]
fn ip4_check_finds_every_class_as_the_rfc_orders_them() {
    let (mut random, mut seen) = (Random(1), HashSet::new());
    let mut frame = Frame::new(&mut random);
    for _ in 0..frames() / 4 {
        frame.fill(&mut random, FRAME_MAX, frame::ip4);
        let before = frame.clone();
        frame.ip4_check(scalar(), &[10, 11, 12, 13, 14, 15, 16, 17]);
        for i in 0..frame.n {
            let (window, length) = before.window(i);
            let class = class(window, length);
            seen.insert(class);
            assert_eq!(frame.next[i], 10 + class as u16, "{class:?} {length} {window:02x?}");
            let total = usize::from(u16::from_be_bytes([window[2], window[3]]));
            let good = matches!(class, Ip4Class::Ok | Ip4Class::Options | Ip4Class::BadSource);
            let length = if good { total } else { length };
            assert_eq!(frame.descs[i], before.descs[i] & !0xffff | length as u64);
        }
        assert!(frame.region == before.region);
    }
    assert_eq!(seen, HashSet::from(Ip4Class::ALL));
}

#[test]
fn etherparse_headers_pass_and_forwarded_ones_have_its_checksum() {
    let mut random = Random(2);
    let mut frame = Frame::new(&mut random);
    for _ in 0..frames() / 20 {
        frame.fill(&mut random, FRAME_MAX, |random| {
            let payload = random.below(100) as u16;
            let source = [1 + random.below(126) as u8, random.bits() as u8, random.bits() as u8, random.bits() as u8];
            let destination = (random.bits() as u32).to_be_bytes();
            let ttl = 2 + random.below(254) as u8;
            let mut header = Ipv4Header::new(payload, ttl, 17.into(), source, destination).expect("the payload is short");
            header.identification = random.bits() as u16;
            header.header_checksum = header.calc_header_checksum();
            let mut bytes = Vec::new();
            header.write(&mut bytes).expect("a vector takes all");
            (HEAD_MIN + 14, usize::from(header.total_len), bytes)
        });
        frame.ip4_check(scalar(), &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(frame.next[..frame.n].iter().all(|next| *next == 0));
        let before = frame.clone();
        frame.lanes.fill(0);
        let entry = EthRewrite::new([7; 14], 1500, 3, true);
        let ids = ForwardIds { ok: 9, ttl_expired: 1, too_big: 2, unresolved: 3, bad: 4 };
        frame.ip4_forward(scalar(), &[entry], &ids);
        for i in 0..frame.n {
            let old = Ipv4HeaderSlice::from_slice(before.window(i).0).expect("a good header");
            let new = Ipv4HeaderSlice::from_slice(&frame.window(i).0[14..]).expect("a good header");
            let mut expected = old.to_header();
            expected.time_to_live -= 1;
            expected.header_checksum = expected.calc_header_checksum();
            assert_eq!((frame.next[i], new.to_header()), (9, expected));
        }
    }
}

#[test]
fn eth_check_sorts_and_advances() {
    let types = [(0x0008, 1), (0x0608, 2), (0xdd86, 3), (0x0008, 99)];
    let check = EthCheck::new(MAC, &types, 4, 5, 6, STRIDE).expect("few types").group(0x0008, 7).group(0x0081, 8);
    let (mut random, mut seen) = (Random(3), HashSet::new());
    let mut frame = Frame::new(&mut random);
    for _ in 0..frames() / 4 {
        frame.fill(&mut random, FRAME_MAX, frame::eth);
        let before = frame.clone();
        frame.eth_check(scalar(), &check);
        for i in 0..frame.n {
            let (window, length) = before.window(i);
            let (start, offset, _) = place(before.descs[i]);
            let ours = window[..6] == MAC.to_le_bytes()[..6] || window[0] % 2 == 1;
            let fits = offset + 14 + WINDOW <= STRIDE;
            let expected = match (window[12], window[13]) {
                _ if length < 14 => 6,
                _ if !ours => 5,
                _ if !fits => 4,
                (0x08, 0x00) if window[0] % 2 == 1 => 7,
                (0x08, 0x00) => 1,
                (0x08, 0x06) => 2,
                (0x86, 0xdd) => 3,
                _ => 4,
            };
            seen.insert(expected);
            let step = if expected < 4 || expected == 7 { 14 } else { 0 };
            let place = place(frame.descs[i]);
            assert_eq!(frame.next[i], expected, "{length} {offset} {window:02x?}");
            assert_eq!(place, (start + step, offset + step, length - step));
        }
        assert!(frame.region == before.region);
    }
    assert_eq!(seen, HashSet::from([1, 2, 3, 4, 5, 6, 7]));
}

#[test]
fn eth_check_takes_at_most_eight_types() {
    assert!(EthCheck::new(MAC, &[(1, 1); 8], 0, 0, 0, STRIDE).is_some());
    assert!(EthCheck::new(MAC, &[(1, 1); 9], 0, 0, 0, STRIDE).is_none());
}

#[test]
fn ip4_forward_decides_in_order_and_touches_nothing_else() {
    let ids = ForwardIds { ok: 1, ttl_expired: 2, too_big: 3, unresolved: 4, bad: 5 };
    let (mut random, mut seen) = (Random(4), HashSet::new());
    let mut frame = Frame::new(&mut random);
    for round in 0..frames() / 4 {
        let rewrites = super::twins::rewrites(&mut random, round % 6);
        frame.fill(&mut random, FRAME_MAX, frame::ip4);
        super::twins::point_lanes(&mut frame, &mut random, rewrites.len());
        let before = frame.clone();
        let mut expected = frame.clone();
        frame.ip4_forward(scalar(), &rewrites, &ids);
        for i in 0..frame.n {
            let (window, length) = before.window(i);
            let (start, offset, _) = place(before.descs[i]);
            let rewrite = rewrites.get((before.lanes[i] & 0xffff_ffff) as usize);
            let id = match rewrite {
                None => 5,
                _ if length < 20 => 5,
                _ if window[8] <= 1 => 2,
                Some(r) if length > usize::from(r.mtu) => 3,
                Some(r) if r.ready == 0 => 4,
                _ if offset < 270 => 5,
                Some(_) => 1,
            };
            seen.insert(id);
            expected.next[i] = id;
            if let (1, Some(rewrite)) = (id, rewrite) {
                let bytes = &mut expected.region[start - 14..start + 20];
                bytes[..14].copy_from_slice(&rewrite.header);
                bytes[22] -= 1;
                let old = u32::from(window[10]) << 8 | u32::from(window[11]);
                // RFC 1624, equation 3, in one's complement arithmetic on 0..=0xfffe.
                let new = (old + 0x100) % 0xffff;
                bytes[24..26].copy_from_slice(&(new as u16).to_be_bytes());
                expected.descs[i] = before.descs[i] - (14 << 16) + 14;
                let lane = before.lanes[i].to_le_bytes();
                let tx = rewrite.tx.to_le_bytes();
                expected.lanes[i] = u64::from_le_bytes([lane[0], lane[1], lane[2], lane[3], tx[0], tx[1], lane[6], lane[7]]);
            }
        }
        assert!(frame.visible() == expected.visible(), "round {round}");
    }
    assert_eq!(seen, HashSet::from([1, 2, 3, 4, 5]));
}

#[test]
fn gather_be32_reads_in_network_order() {
    let mut random = Random(5);
    let mut frame = Frame::new(&mut random);
    for at in 0..=WINDOW - 4 {
        frame.fill(&mut random, 40, frame::ip4);
        frame.gather_be32(scalar(), at);
        for i in 0..frame.n {
            let bytes = &frame.window(i).0[at..at + 4];
            let word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
            assert_eq!(frame.out[i], word);
        }
    }
}

#[test]
fn match_mask_and_compress_keep_order() {
    let mut random = Random(6);
    let mut frame = Frame::new(&mut random);
    for n in 0..=FRAME_MAX {
        frame.fill(&mut random, n, frame::ip4);
        frame.next.iter_mut().for_each(|next| *next = random.below(3) as u16);
        let mask = frame.match_mask(scalar(), 1);
        let chosen: Vec<usize> = (0..n).filter(|i| frame.next[*i] == 1).collect();
        let bits: Vec<usize> = (0..256).filter(|i| mask[i / 64] >> (i % 64) & 1 == 1).collect();
        assert_eq!(bits, chosen);
        let words: Vec<u64> = chosen.iter().map(|i| frame.lanes[*i]).collect();
        let kept = frame.compress(scalar(), &mask);
        assert_eq!(frame.lanes[..kept], words);
    }
}
