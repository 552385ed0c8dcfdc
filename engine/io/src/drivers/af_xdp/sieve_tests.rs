//! What the program drops by a list, against a list that is gone through from its end: what was last said of an address holds.

use std::os::fd::OwnedFd;
use std::sync::Weak;

use etherparse::PacketBuilder;
use swath_api::wire::MacAddr;
use swath_api::{AddressSet, NO_EDGE, Offload, Str};

use super::capture::Capture;
use super::program::Loaded;
use super::random::Rng;
use super::sieve::{Counts, Shape, Sieve};
use super::socket::unbound;

/// Of `enum xdp_action` in linux/bpf.h.
const XDP_DROP: u32 = 1;
const XDP_REDIRECT: u32 = 4;

struct Filter {
    program: Loaded,
    sieve: Sieve,
    counts: Counts,
    _socket: OwnedFd,
}

/// A program with an empty list of the addresses that are looked up. `None` without root.
fn filter(edges: [u16; 2], keeps_icmpv6: bool) -> Option<Filter> {
    if !rustix::process::geteuid().is_root() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "it needs root");
        println!("not run: it needs root");
        return None;
    }
    let offload = Offload { work: Str::new(Offload::DENY), table: 0, edges, prefixes: [0, 0] };
    let shape = Shape::of(&offload, 1, keeps_icmpv6);
    let mut program = Loaded::with_list(&Capture::default(), MacAddr::from([2, 0, 0, 0, 0, 1]), shape).unwrap();
    let sieve = Sieve::of(program.object(), shape, Weak::new(), "one").unwrap();
    let counts = Counts::of(program.object(), 1).unwrap();
    // The map has it as long as it is open.
    let socket = unbound().unwrap();
    program.give(0, &socket).unwrap();
    Some(Filter { program, sieve, counts, _socket: socket })
}

/// Both addresses of an IPv4 or an IPv6 packet.
#[derive(Debug, Clone, Copy)]
enum Pair {
    Four([u32; 2]),
    Six([u128; 2]),
}

fn frame(pair: Pair) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let mut frame = Vec::new();
    match pair {
        Pair::Four([from, to]) => builder.ipv4(from.to_be_bytes(), to.to_be_bytes(), 64).udp(1, 2).write(&mut frame, b"data"),
        Pair::Six([from, to]) => builder.ipv6(from.to_be_bytes(), to.to_be_bytes(), 64).udp(1, 2).write(&mut frame, b"data"),
    }
    .unwrap();
    frame
}

/// A frame with tags before its type.
fn tagged(frame: &[u8], tags: &[[u8; 2]]) -> Vec<u8> {
    let tags = tags.iter().flat_map(|tpid| [tpid[0], tpid[1], 0x20, 7]);
    frame[..12].iter().copied().chain(tags).chain(frame[12..].iter().copied()).collect()
}

/// What was said of IPv4: prefixes, in the list or not. Addresses lie near each other, so that prefixes do.
#[derive(Default)]
struct Said(Vec<(u32, u8, bool)>);

impl Said {
    fn has(&self, address: u32) -> bool {
        let last = self.0.iter().rev().find(|(first, length, _)| *length == 0 || (address ^ first) >> (32 - length) == 0);
        last.is_some_and(|(_, _, listed)| *listed)
    }

    fn more(&mut self, rng: &mut Rng, sieve: &Sieve) {
        let length = if rng.one_in(40) { rng.below(9) } else { 33 - [1, 1, 1, 2, 4, 8, 9, 10, 12][rng.below(9)] } as u8;
        let address = near4(rng) & if length == 0 { 0 } else { u32::MAX << (32 - length) };
        let listed = rng.below(2) == 0;
        self.0.push((address, length, listed));
        if listed { sieve.add4(address, length) } else { sieve.remove4(address, length) }
    }
}

fn near4(rng: &mut Rng) -> u32 {
    match rng.below(8) {
        0 => rng.pick(&[0, u32::MAX, 0x0a00_00ff]),
        _ => 0x0a00_0000 + rng.below(4) as u32 * 0x100 + rng.below(36) as u32 * 7,
    }
}

fn near6(rng: &mut Rng) -> u128 {
    match rng.below(10) {
        0 => rng.pick(&[0, u128::MAX, 1 << 63, 1 << 64, (1 << 64) - 1]),
        // Where either half is what tells.
        part => (0x2001_0db8 << 96 | (rng.below(5) as u128) << 64) + rng.below(if part < 5 { 1 << 30 } else { 5 }) as u128,
    }
}

#[test]
fn what_is_listed_is_dropped_by_the_program_and_nothing_else() {
    let mut rng = Rng::new();
    for edges in [[0, NO_EDGE], [NO_EDGE, 0], [0, 1]] {
        let Some(Filter { program, sieve, counts, _socket }) = filter(edges, false) else { return };
        let (mut said, mut borders, mut expected) = (Said::default(), Vec::new(), [0; 3]);
        for round in 0..60 {
            for _ in 0..rng.below(8) {
                said.more(&mut rng, &sieve);
            }
            if round % 4 == 0 {
                borders = (0..[0, 1, 2, 3, 50, 3000][rng.below(6)]).map(|_| near6(&mut rng)).collect();
                borders.sort_unstable();
                borders.dedup();
                sieve.replace6(&borders);
            }
            let has6 = |address: u128| borders.partition_point(|border| *border <= address) % 2 == 1;
            let border = |rng: &mut Rng| match borders.get(rng.below(borders.len() + 1)) {
                Some(border) => border.wrapping_sub(rng.below(2) as u128),
                None => near6(rng),
            };
            for _ in 0..20 {
                let pair = if rng.below(2) == 0 {
                    Pair::Four([near4(&mut rng), near4(&mut rng)])
                } else {
                    Pair::Six([border(&mut rng), border(&mut rng)])
                };
                let listed = match pair {
                    Pair::Four(pair) => pair.map(|address| said.has(address)),
                    Pair::Six(pair) => pair.map(has6),
                };
                let by = (0..2).find(|side| edges[*side] != NO_EDGE && listed[*side]);
                let tags = [[0x81, 0], [0x88, 0xa8]].map(|tag| if rng.below(2) == 0 { tag } else { [0x81, 0] });
                let frame = tagged(&frame(pair), &tags[..rng.below(3)]);
                let verdict = if by.is_some() { XDP_DROP } else { XDP_REDIRECT };
                assert_eq!(program.verdict(&frame), verdict, "{edges:?} {pair:x?} {frame:x?}");
                if let Some(side) = by {
                    expected[side] += 1;
                    expected[2] += frame.len() as u64;
                }
            }
        }
        let counted = counts.of_queue(0);
        assert_eq!([counted.packets[0], counted.packets[1], counted.bytes], expected);
    }
}

/// What is not sound, and what has more tags than two, is left to the node, though the bytes of a listed address are there.
#[test]
fn what_is_not_sound_is_left_to_the_node() {
    let Some(Filter { program, sieve, counts, _socket }) = filter([0, 1], true) else { return };
    sieve.add4(0, 0);
    sieve.replace6(&[0]);
    let (four, six) = (frame(Pair::Four([1, 2])), frame(Pair::Six([1, 2])));
    let mut dropped = 0;
    for whole in [&four, &six] {
        for len in 14..=whole.len() {
            let is_whole = len == whole.len();
            assert_eq!(program.verdict(&whole[..len]), if is_whole { XDP_DROP } else { XDP_REDIRECT }, "{len}");
            dropped += u64::from(is_whole);
        }
        // Bytes behind the packet, as of Ethernet's padding, are not in its way.
        assert_eq!(program.verdict(&[whole, &[0; 9][..]].concat()), XDP_DROP);
        assert_eq!(program.verdict(&tagged(whole, &[[0x81, 0]; 2])), XDP_DROP);
        assert_eq!(program.verdict(&tagged(whole, &[[0x81, 0]; 3])), XDP_REDIRECT);
        dropped += 2;
    }
    // A version that is not that of the type, a header too short, a packet shorter than its header, ARP, ICMPv6 (which is kept here).
    for (of, at, byte) in [(&four, 14, 0x65), (&four, 14, 0x44), (&four, 17, 19), (&six, 14, 0x40), (&four, 13, 6), (&six, 20, 58)]
    {
        let mut frame = of.clone();
        frame[at] = byte;
        assert_eq!(program.verdict(&frame), XDP_REDIRECT, "{at} {byte}");
    }
    assert_eq!(counts.of_queue(0).packets, [dropped, 0]);
}

/// Blocks of 256 addresses come back when they are empty or full, also when all have been used; where there is none, nothing is listed.
#[test]
fn blocks_are_used_again_and_what_has_no_room_is_not_listed() {
    let Some(Filter { program, sieve, _socket, .. }) = filter([0, 1], false) else { return };
    let verdict = |address: u32| program.verdict(&frame(Pair::Four([address, 0])));
    let network = |number: u32| 0x0100_0000 + number * 256;
    // There are 65,536.
    for turn in 0..3 {
        (0..1 << 16).for_each(|number| sieve.add4(network(number) + turn, 32));
        for number in [0, 1, 77, 65_535] {
            assert_eq!(
                (verdict(network(number) + turn), verdict(network(number) + turn + 1)),
                (XDP_DROP, XDP_REDIRECT),
                "{number}"
            );
        }
        sieve.add4(network(1 << 16) + 1, 32);
        assert_eq!(verdict(network(1 << 16) + 1), XDP_REDIRECT, "there is no room");
        sieve.remove4(network(0), 8);
        assert_eq!(verdict(network(77) + turn), XDP_REDIRECT);
    }
    sieve.add4(network(1 << 16) + 1, 32);
    assert_eq!(verdict(network(1 << 16) + 1), XDP_DROP);
    // More borders than there is room for: none.
    sieve.replace6(&(0..1 << 14).collect::<Vec<u128>>());
    assert_eq!(program.verdict(&frame(Pair::Six([2, 1 << 100]))), XDP_DROP);
    sieve.replace6(&(0..(1 << 14) + 1).collect::<Vec<u128>>());
    assert_eq!(program.verdict(&frame(Pair::Six([2, 1 << 100]))), XDP_REDIRECT);
}
