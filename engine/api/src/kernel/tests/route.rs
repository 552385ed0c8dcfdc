//! `arrive`, `read` and `depart`: each set of kernels against the scalar one, and all of them against the kernels that do one step each.

use super::super::*;
use super::frame::{self, Frame, MAC, STRIDE};
use super::twins::rewrites;
use super::{Random, frames};

/// An Ethernet frame, mostly to us and with an IPv4 packet, mostly good.
fn arriving(random: &mut Random) -> (usize, usize, Vec<u8>) {
    let (_, length, packet) = frame::ip4(random);
    let (_, _, mut bytes) = frame::eth(random);
    if !random.one_in(8) {
        bytes[..6].copy_from_slice(&MAC.to_le_bytes()[..6]);
        bytes[12..14].copy_from_slice(&[8, 0]);
    }
    bytes.extend(packet);
    // Addresses of hosts, as a rule; those that are not begin with any byte.
    if bytes.len() > 26 && !random.one_in(10) {
        let source = 1 + random.below(100) as u8;
        let before = u16::from_be_bytes([bytes[26], bytes[27]]);
        bytes[26] = source;
        let after = u16::from_be_bytes([bytes[26], bytes[27]]);
        // RFC 1624, equation 3.
        let sum = u32::from(!u16::from_be_bytes([bytes[24], bytes[25]])) + u32::from(!before) + u32::from(after);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    let length = if random.one_in(6) { random.below(60) } else { length + 14 };
    (frame::offset(random, length), length, bytes)
}

/// What a table of routes says of destinations: of each something else, or of all the same.
#[derive(Clone, Copy)]
struct Table {
    count: usize,
    same: Option<u32>,
}

impl Table {
    fn new(count: usize, random: &mut Random) -> Table {
        Table { count, same: random.one_in(3).then(|| random.bits() as u32) }
    }

    fn leaf(self, destination: u32) -> u64 {
        leaf(self.same.unwrap_or(destination), self.count)
    }
}

/// A function of the destination, so that all kernels hear the same.
fn leaf(destination: u32, count: usize) -> u64 {
    let mut random = Random(destination.into());
    let meaning = if random.one_in(6) { random.below(8) as u64 } else { 0 };
    let adj = match random.below(12) {
        0 => random.bits() as u32,
        1 => count as u32,
        _ => random.below(count.max(1)) as u32,
    };
    meaning << 48 | (random.bits() & 0xffff) << 32 | u64::from(adj)
}

/// How packets come: with their Ethernet header, or without.
#[derive(Clone, Copy)]
enum From {
    Ethernet(Arrival),
    Ip4,
}

/// What is in the masks of a batch, and what the routing says of packets that are in the first.
type Seen = (u64, u64, Vec<[u64; 4]>);

fn through(frame: &mut Frame, kernels: &Kernels, from: From, rewrites: &[EthRewrite], table: Table) -> Vec<Seen> {
    let mut routing = Routing::new();
    let mut seen = Vec::new();
    for first in (0..frame.n).step_by(ROUTE_MAX) {
        let n = (frame.n - first).min(ROUTE_MAX);
        let base = frame.region.as_mut_ptr();
        // SAFETY: first < n, the length of both arrays.
        let (descs, lanes) = unsafe { (frame.descs.as_mut_ptr().add(first), frame.lanes.as_mut_ptr().add(first)) };
        // SAFETY: `fill` keeps the contract; the arrays have their padding.
        let arrived = unsafe {
            match from {
                From::Ethernet(arrival) => (kernels.arrive)(base, descs, n, &arrival, &mut routing),
                From::Ip4 => (kernels.read)(base, descs, n, &mut routing),
            }
        };
        let (destinations, found) = routing.found(n);
        destinations.iter().zip(found).for_each(|(destination, found)| *found = table.leaf(*destination));
        let known = (0..n).filter(|index| arrived >> index & 1 == 1).map(|index| {
            let routing = &*routing;
            [routing.leaving[index], routing.heads[index].into(), routing.lengths[index].into(), routing.destinations[index].into()]
        });
        let known = known.collect();
        // SAFETY: as above; nothing has changed since.
        let done = unsafe { (kernels.depart)(descs, lanes, n, rewrites.as_ptr(), rewrites.len(), &mut routing) };
        seen.push((arrived, done, known));
    }
    seen
}

fn twins(seed: u64, packet: fn(&mut Random) -> (usize, usize, Vec<u8>), from: impl Fn(&mut Random) -> From) {
    let mut random = Random(seed);
    let mut frame = Frame::new(&mut random);
    let all = all_supported();
    let (scalar, vector) = all.split_last().expect("scalar is always there");
    for round in 0..frames() {
        let state = random.0;
        let n = if round <= FRAME_MAX { round } else { FRAME_MAX };
        frame.fill(&mut random, n, packet);
        let count = random.below(9);
        let (rewrites, from, table) = (rewrites(&mut random, count), from(&mut random), Table::new(count, &mut random));
        let mut expected = frame.clone();
        let said = through(&mut expected, scalar, from, &rewrites, table);
        for kernels in vector {
            let mut found = frame.clone();
            assert_eq!(through(&mut found, kernels, from, &rewrites, table), said, "{}, state {state:#x}", kernels.name);
            assert!(found.visible() == expected.visible(), "{}, state {state:#x}: {n} packets", kernels.name);
        }
    }
}

#[test]
fn frames_twins() {
    twins(21, arriving, |random| {
        let mac = if random.one_in(9) { !0 } else { MAC };
        From::Ethernet(Arrival::new(mac, if random.one_in(9) { 400 } else { STRIDE }))
    });
}

#[test]
fn packets_twins() {
    twins(22, frame::ip4, |_| From::Ip4);
}

/// What has departed is what comes of all steps one by one, and nothing else has changed.
#[test]
fn all_at_once_is_step_by_step() {
    const OK: u16 = 1;
    let ids = ForwardIds { ok: OK, ttl_expired: 2, too_big: 3, unresolved: 4, bad: 5 };
    let mut random = Random(23);
    let mut frame = Frame::new(&mut random);
    let mut departed = 0;
    for round in 0..frames() {
        let state = random.0;
        let from_ethernet = round % 2 == 0;
        let n = random.below(FRAME_MAX + 1);
        frame.fill(&mut random, n, if from_ethernet { arriving } else { frame::ip4 });
        let count = random.below(9);
        let (rewrites, table) = (rewrites(&mut random, count), Table::new(count, &mut random));
        for kernels in all_supported() {
            let mut steps = frame.clone();
            let mut alive = vec![true; n];
            if from_ethernet {
                let check = EthCheck::new(MAC, &[(0x0008, OK)], 6, 7, 8, STRIDE).expect("one type");
                steps.eth_check(kernels, &check);
                (0..n).for_each(|index| alive[index] &= steps.next[index] == OK);
                // A group address is not this station's alone.
                (0..n).for_each(|index| alive[index] &= frame.window(index).0[0] & 1 == 0);
                steps.ip4_check(kernels, &[OK, 2, 3, 4, 5, 6, 7, 8]);
                (0..n).for_each(|index| alive[index] &= steps.next[index] == OK);
                // From 0.0.0.0 to all.
                (0..n).for_each(|index| alive[index] &= steps.window(index).0[12] != 0);
            }
            steps.gather_be32(kernels, 16);
            for (index, alive) in alive.iter_mut().enumerate() {
                let leaf = table.leaf(steps.out[index]);
                *alive &= leaf >> 48 == 0;
                steps.lanes[index] = steps.lanes[index] & 0xffff << 48 | leaf & 0xffff_ffff_ffff;
            }
            steps.ip4_forward(kernels, &rewrites, &ids);
            (0..n).for_each(|index| alive[index] &= steps.next[index] == OK);

            let mut found = frame.clone();
            let from = if from_ethernet { From::Ethernet(Arrival::new(MAC, STRIDE)) } else { From::Ip4 };
            let seen = through(&mut found, kernels, from, &rewrites, table);
            for (index, alive) in alive.into_iter().enumerate() {
                let name = format!("{}, state {state:#x}, packet {index} of {n}", kernels.name);
                assert_eq!(seen[index / ROUTE_MAX].1 >> (index % ROUTE_MAX) & 1 == 1, alive, "{name}");
                let expected = if alive { &steps } else { &frame };
                assert_eq!((found.descs[index], found.lanes[index]), (expected.descs[index], expected.lanes[index]), "{name}");
                assert_eq!(found.window(index), expected.window(index), "{name}");
                departed += u32::from(alive);
            }
        }
    }
    assert!(departed > 1000, "{departed} packets were departed with");
}
