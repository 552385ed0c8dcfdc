//! The table `deny-list` against a search through all of its entries, while it changes; and at its full size.
//!
//! `SWATH_TEST_SCALE` says how many times as many packets.

mod common;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use common::random::Rng;
use common::scaled;
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::{Lane, VECTOR};
use swath_nodes::deny::Deny;
use swath_nodes::deny_list::DenyList;

/// Addresses from the first to the last, of IPv6 or not; ordered as the table lists prefixes.
type Range = (bool, u128, u128);

/// An address near others, so that prefixes lie in each other and beside each other.
fn address(six: bool, rng: &mut Rng) -> u128 {
    let near = |rng: &mut Rng| rng.bits() & rng.bits() & rng.bits();
    match (six, rng.below(8)) {
        (false, 0) => rng.pick(&[0, 1, u128::from(u32::MAX), u128::from(u32::MAX) - 1]),
        (false, _) => u128::from(near(rng) as u32),
        (true, 0) => rng.pick(&[0, 1, u128::MAX, u128::MAX - 1]),
        (true, _) => u128::from(near(rng)) << 64 | u128::from(near(rng)),
    }
}

fn show(six: bool, address: u128) -> String {
    if six { Ipv6Addr::from_bits(address).to_string() } else { Ipv4Addr::from_bits(address as u32).to_string() }
}

/// A prefix, with how it is written: as a prefix, as an address, or as a range.
fn prefix(rng: &mut Rng) -> (Range, String) {
    let six = rng.below(2) == 1;
    let bits = if six { 128 } else { 32 };
    // Few that have nearly everything.
    let len = if rng.one_in(50) { rng.below(bits + 1) } else { bits - rng.below(bits * 3 / 4) };
    let free = if bits == len { 0 } else { u128::MAX >> (128 - (bits - len)) };
    let first = address(six, rng) & !free;
    let last = first | free;
    let text = match rng.below(3) {
        0 if len == bits => show(six, first),
        1 => format!("{}-{}", show(six, first), show(six, last)),
        _ => format!("{}/{len}", show(six, first)),
    };
    ((six, first, last), text)
}

fn packet((six, source): (bool, u128), destination: u128) -> Vec<u8> {
    let mut bytes = Vec::new();
    if six {
        let builder = etherparse::PacketBuilder::ipv6(source.to_be_bytes(), destination.to_be_bytes(), 64);
        builder.udp(1, 2).write(&mut bytes, &[]).expect("bytes grow");
    } else {
        let octets = |address: u128| (address as u32).to_be_bytes();
        let builder = etherparse::PacketBuilder::ipv4(octets(source), octets(destination), 64);
        builder.udp(1, 2).write(&mut bytes, &[]).expect("bytes grow");
    }
    bytes
}

/// Sends a vector of packets, most of them at the borders of ranges, and searches for each of them. How many were denied by their source,
/// and by their destination.
fn compare(kit: &mut NodeKit, ranges: &BTreeSet<Range>, rng: &mut Rng) -> (u64, u64) {
    let all: Vec<Range> = ranges.iter().copied().collect();
    let near = |six: bool, rng: &mut Rng| {
        let max = if six { u128::MAX } else { u32::MAX.into() };
        match all.get(rng.below(all.len() + 3)).filter(|range| range.0 == six) {
            Some((_, first, last)) => match rng.below(5) {
                0 => *first,
                1 => *last,
                2 => first.saturating_sub(1),
                3 => last.saturating_add(1).min(max),
                _ => first + (last - first) / 2,
            },
            None => address(six, rng),
        }
    };
    let addresses: Vec<(bool, u128, u128)> = (0..VECTOR - rng.below(3))
        .map(|_| {
            let six = rng.below(2) == 1;
            (six, near(six, rng), near(six, rng))
        })
        .collect();
    let packets: Vec<Vec<u8>> = addresses.iter().map(|(six, source, to)| packet((*six, *source), *to)).collect();
    let lanes: Vec<(&[u8], Lane)> = packets.iter().map(|bytes| (&bytes[..], Lane::default())).collect();
    let found = kit.run(&lanes);
    let (mut sources, mut destinations) = (0, 0);
    for ((six, source, destination), found) in addresses.iter().zip(&found) {
        let listed = |address: u128| all.iter().any(|(of, first, last)| of == six && (*first..=*last).contains(&address));
        let expected = match (listed(*source), listed(*destination)) {
            (true, _) => "source-listed",
            (_, true) => "destination-listed",
            _ => "ok",
        };
        assert_eq!(found.edge, expected, "{} to {}", show(*six, *source), show(*six, *destination));
        sources += u64::from(expected == "source-listed");
        destinations += u64::from(expected == "destination-listed");
    }
    (sources, destinations)
}

#[test]
fn an_address_is_denied_if_an_entry_has_it() {
    let mut rng = Rng::new();
    for _ in 0..scaled(20) {
        let mut ranges: BTreeSet<Range> = BTreeSet::new();
        let mut kit = TestKit::new().table::<DenyList>("listed", "{}").node::<Deny>(r#"{"match": "both"}"#).expect("settings");
        let mut totals = (0, 0);
        for _ in 0..scaled(40) {
            let count = [0, 1, 3, 30][rng.below(4)];
            let mut some: Vec<(Range, String)> = (0..count).map(|_| prefix(&mut rng)).collect();
            let verb = ["add", "add", "remove", "replace"][rng.below(4)];
            if verb == "remove" {
                let known = ranges.iter().filter(|_| rng.below(2) == 0);
                some.extend(known.map(|range| (*range, format!("{}-{}", show(range.0, range.1), show(range.0, range.2)))));
            }
            let before = ranges.clone();
            match verb {
                "remove" => some.iter().for_each(|(range, _)| _ = ranges.remove(range)),
                "add" => ranges.extend(some.iter().map(|(range, _)| range)),
                _ => ranges = some.iter().map(|(range, _)| *range).collect(),
            }
            let texts: Vec<String> = some.iter().map(|(_, text)| format!("\"{text}\"")).collect();
            let reply =
                kit.command("listed", &format!(r#"{{"{verb}": {{"prefixes": [{}]}}}}"#, texts.join(", "))).expect("an answer");
            let (added, removed) = (ranges.difference(&before).count(), before.difference(&ranges).count());
            assert_eq!(reply, format!(r#"{{"changed":{{"added":{added},"removed":{removed}}}}}"#));
            let denied = compare(&mut kit, &ranges, &mut rng);
            totals = (totals.0 + denied.0, totals.1 + denied.1);
        }
        let shown = kit.command("listed", r#"{"show": {}}"#).expect("an answer");
        let count = |six: bool| ranges.iter().filter(|range| range.0 == six).count();
        assert!(shown.starts_with(&format!(r#"{{"list":{{"ip4":{},"ip6":{},"#, count(false), count(true))), "{shown}");
        assert!(shown.ends_with(&format!(r#""sources":{},"destinations":{}}}}}"#, totals.0, totals.1)), "{shown}");
    }
}

/// A million prefixes of each version of IP, of the lengths that lists have: most are single addresses or /24, and /48 or /64.
#[test]
fn a_million_prefixes_fit() {
    let mut rng = Rng::new();
    let mut ranges: BTreeSet<Range> = BTreeSet::new();
    let mut texts = Vec::new();
    while ranges.len() < 2_000_000 {
        let six = ranges.len() >= 1_000_000;
        let (bits, len) =
            if six { (128, rng.pick(&[32, 48, 48, 64, 64, 128])) } else { (32, rng.pick(&[32, 32, 32, 32, 24, 24, 22, 29])) };
        let free = if bits == len { 0 } else { u128::MAX >> (128 - (bits - len)) };
        let random = u128::from(rng.bits()) << 64 | u128::from(rng.bits());
        // IPv6 as far as it is given out.
        let first = if six { 0x2 << 124 | random >> 4 } else { random >> 96 } & !free;
        if ranges.insert((six, first, first | free)) {
            texts.push(format!("\"{}/{len}\"", show(six, first)));
        }
    }
    rng.shuffle(&mut texts);
    let list = format!(r#"{{"prefixes": [{}]}}"#, texts.join(", "));
    let kit = TestKit::new().table::<DenyList>("listed", &list);
    let mut kit = kit.node::<Deny>(r#"{"match": "both"}"#).expect("settings");
    let shown = kit.command("listed", r#"{"show": {}}"#).expect("an answer");
    eprintln!("{shown}");
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["list"]["ip4"], &shown["list"]["ip6"]), (&1_000_000.into(), &1_000_000.into()));
    // Level 1 is 64 MiB; of IPv4 a line for each prefix longer than /24 and 18 bytes for control, of IPv6 two borders and a node of a tree.
    assert!(shown["list"]["memory"].as_u64().is_some_and(|bytes| bytes < 288 << 20), "{shown}");
    // Against a search that knows where to look: the last range before an address, of those that overlap.
    let mut outer: Vec<Range> = Vec::new();
    for range in ranges {
        match outer.last_mut().filter(|last| last.0 == range.0 && range.1 <= last.2) {
            Some(last) => last.2 = last.2.max(range.2),
            None => outer.push(range),
        }
    }
    let listed = |six: bool, address: u128| {
        let before = outer.partition_point(|(of, first, _)| (*of, *first) <= (six, address));
        before.checked_sub(1).is_some_and(|at| outer[at].0 == six && address <= outer[at].2)
    };
    for _ in 0..scaled(200) {
        let sources: Vec<(bool, u128)> = (0..VECTOR)
            .map(|_| {
                let (six, first, last) = outer[rng.below(outer.len())];
                (
                    six,
                    [first, last, last.wrapping_add(1) & if six { u128::MAX } else { u32::MAX.into() }, first.saturating_sub(1)]
                        [rng.below(4)],
                )
            })
            .collect();
        let packets: Vec<Vec<u8>> = sources.iter().map(|source| packet(*source, source.1)).collect();
        let lanes: Vec<(&[u8], Lane)> = packets.iter().map(|bytes| (&bytes[..], Lane::default())).collect();
        for ((six, source), found) in sources.iter().zip(kit.run(&lanes)) {
            assert_eq!(found.edge == "source-listed", listed(*six, *source), "{}", show(*six, *source));
        }
    }
}
