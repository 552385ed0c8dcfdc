//! What the program drops by rules, against rules that are gone through from the first one.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use swath_api::wire::MacAddr;
use swath_api::{Denial, DenialSet, NO_EDGE, Offload, Parts, Str};

use super::capture::Capture;
use super::denials::Denials;
use super::program::Loaded;
use super::random::Rng;
use super::sieve::{Counts, Shape};
use super::socket::unbound;

/// Of `enum xdp_action` in linux/bpf.h.
const XDP_DROP: u32 = 1;
const XDP_REDIRECT: u32 = 4;

struct Filter {
    program: Loaded,
    denials: Denials,
    counts: Counts,
    _socket: OwnedFd,
}

/// A program without rules. `None` without root.
fn filter(keeps_icmpv6: bool) -> Option<Filter> {
    if !rustix::process::geteuid().is_root() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "it needs root");
        println!("not run: it needs root");
        return None;
    }
    let offload = Offload { work: Str::new(Offload::RULES), table: 0, edges: [0, NO_EDGE], prefixes: [0, 0] };
    let shape = Shape::of(&offload, 1, keeps_icmpv6);
    let mut program = Loaded::with_list(&Capture::default(), MacAddr::from([2, 0, 0, 0, 0, 1]), shape).unwrap();
    let denials = Denials::of(program.object(), shape, Weak::new(), "one").unwrap();
    let counts = Counts::of(program.object(), 1).unwrap();
    // The map has it as long as it is open.
    let socket = unbound().unwrap();
    program.give(0, &socket).unwrap();
    Some(Filter { program, denials, counts, _socket: socket })
}

/// A frame with so many bytes behind the header of IP.
fn frame(is_ip6: bool, [from, to]: [u128; 2], protocol: u8, payload: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if is_ip6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, payload, protocol, 64]);
        frame.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    } else {
        frame.extend([8, 0, 0x45, 0, 0, 20 + payload, 0, 0, 0, 0, 64, protocol, 0, 0]);
        frame.extend([(from as u32).to_be_bytes(), (to as u32).to_be_bytes()].concat());
    }
    frame.extend(vec![0; payload.into()]);
    frame
}

/// Near each other, at the ends of what there is, and where bits of both halves differ.
fn address(rng: &mut Rng, is_ip6: bool) -> u128 {
    let low = rng.below(64) as u128;
    match (rng.below(4), is_ip6) {
        (0, false) => u128::from(u32::MAX) - low,
        (0, true) => u128::MAX - low,
        (1, true) => (0x2001_0db8 << 96) + (1 << 64) - 32 + low,
        (_, false) => 0x0a00_0000 + low,
        (_, true) => low << 64 | rng.below(4) as u128,
    }
}

fn prefix(rng: &mut Rng, is_ip6: bool) -> (u128, u8) {
    let bits = if is_ip6 { 128 } else { 32 };
    let length = bits - [0, 1, 2, 4, 6, 31, bits][rng.below(7)].min(bits);
    let free = u32::from(bits - length);
    (if length == 0 { 0 } else { address(rng, is_ip6) >> free << free }, length)
}

fn holds(denial: &Denial, is_ip6: bool, pair: [u128; 2]) -> bool {
    let bits = if is_ip6 { 128 } else { 32 };
    let is_in =
        |(first, length): (u128, u8), address: u128| (first ^ address).checked_shr(bits - u32::from(length)).unwrap_or(0) == 0;
    denial.is_ip6 == is_ip6 && is_in(denial.source, pair[0]) && is_in(denial.destination, pair[1])
}

#[test]
fn the_first_rule_that_holds_counts() {
    let mut rng = Rng::new();
    let Some(Filter { program, denials, counts, _socket }) = filter(false) else { return };
    let mut all = 0;
    for round in 0..80 {
        let rules: Vec<Denial> = (0..[0, 1, 3, 20, 400][rng.below(5)])
            .map(|_| {
                let is_ip6 = rng.below(2) == 0;
                let (mut source, mut destination) = (prefix(&mut rng, is_ip6), prefix(&mut rng, is_ip6));
                // Of many, most ask for one address.
                match rng.below(4) {
                    0 => source = (0, 0),
                    1 => destination = (0, 0),
                    _ => {}
                }
                Denial { is_ip6, source, destination, counter: Arc::default() }
            })
            .collect();
        let paired = |six: bool, upto: usize| {
            let both = |rule: &&Denial| rule.is_ip6 == six && rule.source.1 > 0 && rule.destination.1 > 0;
            rules[..upto].iter().filter(both).count()
        };
        // As many as there is room for.
        let taken = (0..=rules.len()).rev().find(|upto| paired(false, *upto) <= 128 && paired(true, *upto) <= 128).unwrap();
        denials.replace(&rules, Parts::All);
        let mut expected = vec![0; rules.len()];
        for _ in 0..200 {
            let is_ip6 = rng.below(2) == 0;
            let pair = [address(&mut rng, is_ip6), address(&mut rng, is_ip6)];
            let frame = frame(is_ip6, pair, 17, 8);
            let rule = rules[..taken].iter().position(|rule| holds(rule, is_ip6, pair));
            let verdict = if rule.is_some() { XDP_DROP } else { XDP_REDIRECT };
            assert_eq!(program.verdict(&frame), verdict, "round {round}, {pair:x?}, {rules:x?}");
            if let Some(rule) = rule {
                expected[rule] += 1;
                all += 1;
            }
        }
        // Counted when asked, or at the latest when others come.
        if rng.below(2) == 0 {
            denials.settle();
        } else {
            denials.replace(&[], Parts::All);
        }
        let counted: Vec<u64> = rules.iter().map(|rule: &Denial| rule.counter.load(Ordering::Relaxed)).collect();
        assert_eq!(counted, expected, "round {round}");
    }
    assert_eq!(counts.of_queue(0).packets, [all, 0]);
}

/// Two rules that go on with one counter, as one that has moved: nothing is lost or counted twice.
#[test]
fn a_counter_outlives_its_rules() {
    let Some(Filter { program, denials, _socket, .. }) = filter(false) else { return };
    let counter: Arc<AtomicU64> = Arc::default();
    let rule =
        |counter: &Arc<AtomicU64>| Denial { is_ip6: false, source: (0, 0), destination: (0, 0), counter: Arc::clone(counter) };
    let frame = frame(false, [1, 2], 17, 8);
    for round in 1..=4 {
        denials.replace(&[rule(&Arc::default()), rule(&counter)][(round % 2)..], Parts::All);
        (0..3).for_each(|_| assert_eq!(program.verdict(&frame), XDP_DROP));
    }
    denials.replace(&[], Parts::All);
    assert_eq!(program.verdict(&frame), XDP_REDIRECT);
    // When it was the first one.
    assert_eq!(counter.load(Ordering::Relaxed), 6);
}

/// What the node drops for another reason, or may, is left to it.
#[test]
fn what_is_not_plain_is_left_to_the_node() {
    let Some(Filter { program, denials, _socket, .. }) = filter(true) else { return };
    let rule = |is_ip6: bool| Denial { is_ip6, source: (0, 0), destination: (0, 0), counter: Arc::default() };
    let verdict = |frame: &[u8], drops: bool| {
        assert_eq!(program.verdict(frame), if drops { XDP_DROP } else { XDP_REDIRECT }, "{frame:x?}");
    };
    for (parts, with_fragments) in [(Parts::All, true), (Parts::Whole, false)] {
        denials.replace(&[rule(false), rule(true)], parts);
        // The least that a header has, of protocols whose headers rules may ask for.
        for (protocol, least) in [(6, 20), (17, 8), (136, 8), (33, 12), (132, 12), (1, 4), (47, 0), (4, 0), (41, 0)] {
            for is_ip6 in [false, true] {
                verdict(&frame(is_ip6, [1, 2], protocol, least), true);
                if least > 0 {
                    verdict(&frame(is_ip6, [1, 2], protocol, least - 1), false);
                }
            }
        }
        verdict(&frame(false, [1, 2], 58, 4), true);
        // ICMPv6 is kept here; extension headers, and protocols of which the program knows nothing.
        for protocol in [58, 0, 43, 44, 60, 51, 135, 59, 253] {
            verdict(&frame(true, [1, 2], protocol, 40), false);
        }
        verdict(&frame(false, [1, 2], 253, 40), false);
        // Fragments: the first one with its header, and others, but for one that would overwrite flags of TCP.
        for (offset, protocol, payload, drops) in [
            ([0x20, 0], 17, 8, true),
            ([0x20, 0], 17, 7, false),
            ([0x20, 1], 17, 0, true),
            ([0, 2], 6, 8, true),
            ([0, 1], 6, 8, false),
        ] {
            let mut frame = frame(false, [1, 2], protocol, payload);
            frame[20..22].copy_from_slice(&offset);
            verdict(&frame, drops && with_fragments);
        }
        // Options, a header too short, a packet shorter than its header, another version than the type's, and one that is cut off.
        let mut options = frame(false, [1, 2], 17, 16);
        options[14] = 0x46;
        verdict(&options, true);
        for (at, byte) in [(14, 0x44), (14, 0x65), (17, 19), (17, 60)] {
            let mut frame = frame(false, [1, 2], 17, 8);
            frame[at] = byte;
            verdict(&frame, false);
        }
        let whole = frame(true, [1, 2], 17, 8);
        (14..whole.len()).for_each(|len| verdict(&whole[..len], false));
    }
}
