//! The classifier of `acl` against a search through all rules, for sets of rules of several shapes and sizes.
//!
//! `SWATH_TEST_SCALE` says how many times as many packets.

#[path = "common/classbench.rs"]
mod classbench;
mod common;

use classbench::{Dice, Random, Shape, packet, rules};
use common::random::Rng;
use common::scaled;
use swath_api::VECTOR;
use swath_nodes::acl::{Classifier, Criteria, Key, NO_PORT, NO_RULE, Others, Part, Prefix, Scratch};

/// What the documentation of rules says, word by word.
fn holds<A: Random>(rule: &Criteria<A>, key: &Key<A>, lenient: bool) -> bool {
    let inside = |address: A, first: A, len: u8| first.without(A::low_bits(len)) == address.without(A::low_bits(len));
    let port = |(first, last): (u16, u16), port: u32| {
        (first, last) == (0, u16::MAX) || port != NO_PORT && u32::from(first) <= port && port <= u32::from(last)
    };
    let others = &rule.others;
    let (mask, value) = others.tcp_flags;
    let layer4 = port(others.source_ports, key.source_port)
        && port(others.destination_ports, key.destination_port)
        && (mask == 0 || key.part != Part::Later && key.tcp_flags & mask == value);
    inside(key.source, rule.source.address, rule.source.len)
        && inside(key.destination, rule.destination.address, rule.destination.len)
        && others.protocol.is_none_or(|protocol| protocol == key.protocol)
        && (layer4 || lenient && key.part == Part::Later)
        && others.parts & 1 << key.part as u8 != 0
        && others.dscp.is_none_or(|dscp| dscp == key.dscp)
        && others.vlan.is_none_or(|vlan| vlan == key.vlan)
        && others.rx.is_none_or(|rx| rx == key.rx)
        && others.tx.is_none_or(|tx| tx == key.tx)
}

/// Classifies so many packets, and searches for each of them.
fn compare<A: Random>(what: &str, rules: &[Criteria<A>], packets: usize, lenient: bool, dice: &mut Dice) {
    let counts: Vec<bool> = rules.iter().map(|_| dice.below(50) == 0).collect();
    let classifier = Classifier::new(rules.to_vec(), &counts, 4, lenient);
    let (mut scratch, mut found) = (Scratch::default(), [0; VECTOR]);
    let mut hits = 0;
    for _ in 0..packets.div_ceil(VECTOR) {
        let mut keys: Vec<Key<A>> = (0..VECTOR - dice.below(3)).map(|_| packet(rules, dice)).collect();
        for key in &mut keys {
            (key.rx, key.tx) = ([0, 1, 2, 3, u16::MAX][dice.below(5)], [0, 1, 2, 3, u16::MAX][dice.below(5)]);
            (key.dscp, key.vlan) = (dice.below(4) as u8, dice.below(4) as u16);
        }
        classifier.classify(&keys, &mut found, &mut scratch);
        let mut counted: Vec<Vec<u32>> = vec![Vec::new(); keys.len()];
        classifier.count(&keys, &found, &mut scratch, |packet, rule| counted[packet].push(rule));
        for ((key, found), counted) in keys.iter().zip(&found).zip(&counted) {
            let all = (0u32..).zip(rules).filter(|(_, rule)| holds(rule, key, lenient)).map(|(index, _)| index);
            let mut expected = NO_RULE;
            let mut before = Vec::new();
            for rule in all {
                if !counts[rule as usize] {
                    expected = rule;
                    break;
                }
                before.push(rule);
            }
            assert_eq!((*found, counted), (expected, &before), "{what}: {key:?}");
            hits += usize::from(expected != NO_RULE);
        }
    }
    eprintln!("{what}: {packets} packets, {hits} of them hit a rule; {} KiB", classifier.memory() >> 10);
}

fn shapes<A: Random>(family: &str) {
    let mut dice = Dice(Rng::new().bits());
    for shape in [Shape::Acl, Shape::Fw, Shape::Ipc] {
        for (count, packets) in [(10, 10_000), (100, 10_000), (1_000, 6_000), (10_000, 1_000)] {
            let mut rules: Vec<Criteria<A>> = rules(shape, count, &mut dice);
            compare(&format!("{family} {shape:?} {count}"), &rules, scaled(packets), false, &mut dice);
            // All ask for ports.
            let with_ports: Vec<Criteria<A>> =
                rules.iter().filter(|rule| rule.others.destination_ports != (0, u16::MAX)).copied().collect();
            compare(&format!("{family} {shape:?} {count}, with ports"), &with_ports, scaled(packets / 4), false, &mut dice);
            // The fields that ClassBench does not know.
            for rule in &mut rules {
                let others = &mut rule.others;
                match dice.below(12) {
                    0 => others.rx = Some(dice.below(4) as u16),
                    1 => others.tx = Some(dice.below(4) as u16),
                    2 => others.dscp = Some(dice.below(4) as u8),
                    3 => others.vlan = Some(dice.below(4) as u16),
                    4 => others.parts = 1 + dice.below(7) as u8,
                    _ => {}
                }
            }
            compare(&format!("{family} {shape:?} {count}, all fields"), &rules, scaled(packets / 4), dice.below(2) == 0, &mut dice);
        }
    }
}

#[test]
fn the_first_rule_that_holds_is_found_for_ip4() {
    shapes::<u32>("IPv4");
}

#[test]
fn the_first_rule_that_holds_is_found_for_ip6() {
    shapes::<u128>("IPv6");
}

/// A rule of addresses as numbers with lengths, and a port.
fn box_of(source: (u32, u8), destination: (u32, u8), port: u16) -> Criteria<u32> {
    let prefix = |(address, len): (u32, u8)| Prefix { address: address.without(u32::low_bits(len)), len };
    let mut others = Others { protocol: Some(17), ..Others::default() };
    others.destination_ports = (port, port.saturating_add(port % 7));
    Criteria { source: prefix(source), destination: prefix(destination), others }
}

/// Many rules that name the same addresses, networks around many, or many kinds of all else: what does not fit into lists is found all the
/// same, and in its order.
#[test]
fn rules_that_do_not_fit_into_lists() {
    let mut dice = Dice(Rng::new().bits());
    let mut any = |below: usize| dice.below(below) as u32;
    let one = (0x0a01_0203, 32);
    type Make<'a> = &'a mut dyn FnMut(u32) -> Criteria<u32>;
    let shapes: [(&str, Make<'_>); 6] = [
        ("one pair of addresses", &mut |n| box_of(one, one, n as u16)),
        ("one destination", &mut |n| box_of((n * 7, 32), one, n as u16 % 50)),
        ("one destination, any source", &mut |n| box_of((0, 0), one, n as u16)),
        ("networks in networks", &mut |n| box_of((n << 20, (n % 33) as u8), (n << 13, (n / 33 % 33) as u8), n as u16 % 9)),
        ("networks around many", &mut |n| {
            box_of((n << 8, if n % 3 == 0 { 8 } else { 32 }), (n << 6, if n % 4 == 0 { 4 } else { 30 }), 5)
        }),
        ("no addresses", &mut |n| box_of((0, 0), (0, 0), n as u16)),
    ];
    let sets: Vec<(&str, Vec<Criteria<u32>>)> =
        shapes.into_iter().map(|(what, make)| (what, (0..2_500 + any(2_000)).map(make).collect())).collect();
    let mut dice = Dice(Rng::new().bits() ^ 1);
    for (what, mut rules) in sets {
        compare(what, &rules, scaled(2_000), false, &mut dice);
        for rule in &mut rules {
            let others = &mut rule.others;
            (others.rx, others.dscp) = ([None, Some(1), Some(3)][dice.below(3)], [None, Some(2)][dice.below(2)]);
            (others.vlan, others.parts) = ([None, Some(1), Some(2)][dice.below(3)], 1 + dice.below(7) as u8);
            others.tx = [None, Some(0)][dice.below(2)];
        }
        compare(&format!("{what}, of many kinds"), &rules, scaled(2_000), dice.below(2) == 0, &mut dice);
    }
}

/// More sources and destinations than 16 bits can count.
#[test]
fn more_addresses_than_16_bits_tell_apart() {
    let mut dice = Dice(Rng::new().bits());
    let rules: Vec<Criteria<u32>> = (0..100_000)
        .map(|n: u32| {
            let (source, destination) = (n.wrapping_mul(0x9e37_79b1), n.wrapping_mul(0x85eb_ca6b));
            let len = |dice: &mut Dice| [0, 24, 31, 32, 32, 32, 32, 32][dice.below(8)];
            box_of((source, len(&mut dice)), (destination, len(&mut dice)), n as u16 % 100)
        })
        .collect();
    compare("100,000 addresses", &rules, scaled(512), false, &mut dice);
}

/// All 65,536 ports told apart, which is as many numbers as there are.
#[test]
fn every_port_has_a_rule() {
    let mut dice = Dice(Rng::new().bits());
    let mut rules: Vec<Criteria<u32>> = Vec::new();
    for port in 0..=u16::MAX {
        let mut rule = Criteria { source: Default::default(), destination: Default::default(), others: Default::default() };
        (rule.others.protocol, rule.others.destination_ports) = (Some(17), (port, port));
        rules.push(rule);
    }
    let classifier = Classifier::new(rules, &[], 0, false);
    let (mut scratch, mut found) = (Scratch::default(), [0; VECTOR]);
    for _ in 0..200 {
        let port = |dice: &mut Dice| match dice.below(8) {
            0 => NO_PORT,
            1 => u32::from(u16::MAX),
            _ => dice.below(1 << 16) as u32,
        };
        let key = |dice: &mut Dice| Key::<u32> { protocol: 17, destination_port: port(dice), source_port: 9, ..Key::default() };
        let keys: Vec<Key<u32>> = (0..VECTOR)
            .map(|_| key(&mut dice))
            .map(|key| Key { part: if key.destination_port == NO_PORT { Part::Later } else { Part::Whole }, ..key })
            .collect();
        classifier.classify(&keys, &mut found, &mut scratch);
        for (key, found) in keys.iter().zip(found) {
            assert_eq!(found, if key.destination_port == NO_PORT { NO_RULE } else { key.destination_port });
        }
    }
}
