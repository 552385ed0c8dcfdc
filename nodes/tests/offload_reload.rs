//! `offload: xdp` of `deny` while graphs take each other's place: what is denied never passes, what is not is never dropped, whoever drops, and
//! all is counted where it was dropped. The driver is one of the test, whose list is written and looked at as the product's is.

mod common;

use std::collections::BTreeMap;

use common::random::Rng;
use common::{Rig, scaled};
use etherparse::PacketBuilder;
use swath_core::plan::Fate;

const INTERFACES: [&str; 2] = ["a", "b"];
const LISTS: [&str; 2] = ["l0", "l1"];
const REASONS: [&str; 2] = ["source-listed", "destination-listed"];

/// Of a version of IP, the bits.
type Address = (bool, u128);

/// An address, or 16 of them in a row.
type Prefix = (Address, bool);

fn address(rng: &mut Rng) -> Address {
    let low = rng.below(64) as u128;
    if rng.below(2) == 0 { (true, 0x2001_0db8 << 96 | low) } else { (false, 0x0a00_0000 | low) }
}

fn prefix(rng: &mut Rng) -> Prefix {
    let ((six, bits), is_row) = (address(rng), rng.one_in(3));
    ((six, if is_row { bits & !15 } else { bits }), is_row)
}

fn text(((six, bits), is_row): &Prefix) -> String {
    let text = if *six { std::net::Ipv6Addr::from(*bits).to_string() } else { std::net::Ipv4Addr::from(*bits as u32).to_string() };
    format!("\"{text}/{}\"", if *six { 128 } else { 32 } - if *is_row { 4 } else { 0 })
}

fn texts(prefixes: &[Prefix]) -> String {
    prefixes.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// What is to run.
#[derive(Debug, Clone, PartialEq)]
struct Graph {
    /// By interface: its settings; none if it is not there. The first one is always there.
    interfaces: [Option<usize>; 2],
    /// By list: its prefixes by settings; none if it is not there.
    lists: [Option<Vec<Prefix>>; 2],
    /// Name, list, sides that it looks at, and whether it asks drivers.
    node: Option<(&'static str, usize, usize, bool)>,
}

impl Graph {
    /// Changed in some way or other, if not in none.
    fn next(&self, rng: &mut Rng) -> Graph {
        let mut next = self.clone();
        for _ in 0..1 + rng.below(2) {
            match rng.below(9) {
                0 => next.interfaces[1] = [None, Some(50), Some(60)][rng.below(3)],
                1 => next.interfaces[0] = Some(50 + 10 * rng.below(2)),
                2 => next.lists[rng.below(2)] = Some((0..rng.below(8)).map(|_| prefix(rng)).collect()),
                3 => next.node = None,
                4 | 5 => {
                    next.node = Some((rng.pick(&["deny", "other"]), rng.below(2), rng.below(3), rng.below(4) > 0));
                }
                6 => next.node = next.node.map(|(name, _, sides, offload)| (name, rng.below(2), sides, offload)),
                7 => next.node = next.node.map(|(name, list, sides, offload)| (name, list, sides, !offload)),
                _ => {}
            }
        }
        // One that nobody asks may be there or not.
        for at in 0..2 {
            let is_used = next.node.is_some_and(|(_, list, ..)| list == at);
            if is_used {
                next.lists[at].get_or_insert_default();
            } else if rng.one_in(8) {
                next.lists[at] = None;
            }
        }
        next
    }

    fn text(&self, workers: usize) -> String {
        let mut text =
            format!("version: 1\nengine: {{ workers: {workers}, buffers: 8192 }}\ninterfaces:\n  out: {{ driver: test }}\n");
        let there = || INTERFACES.iter().zip(&self.interfaces).filter_map(|(name, batch)| Some((name, (*batch)?)));
        for (name, batch) in there() {
            text += &format!("  {name}: {{ driver: test, sieve: true, batch: {batch} }}\n");
        }
        text += "tables: {";
        for (name, prefixes) in LISTS.iter().zip(&self.lists).filter_map(|(name, list)| Some((name, list.as_ref()?))) {
            text += &format!("{name}: {{ kind: deny-list, prefixes: [{}] }}, ", texts(prefixes));
        }
        text += "}\nnodes:\n";
        for (name, _) in there() {
            text += &format!("  {name}-rx: {{ kind: rx, interface: {name}, to: {} }}\n", self.node.map_or("tx", |(name, ..)| name));
        }
        if let Some((name, list, sides, offload)) = self.node {
            let offload = if offload { "offload: xdp, " } else { "" };
            let sides = ["source", "destination", "both"][sides];
            text +=
                &format!("  {name}: {{ kind: deny, table: {}, layer: ethernet, match: {sides}, {offload}to: tx }}\n", LISTS[list]);
        }
        text + "  tx: { kind: tx, interface: out }\n"
    }
}

/// A frame whose last bytes are its number.
fn frame(from: Address, (_, to): Address, number: u64) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let mut frame = Vec::new();
    let data = number.to_be_bytes();
    if from.0 {
        builder.ipv6(from.1.to_be_bytes(), to.to_be_bytes(), 64).udp(1, 2).write(&mut frame, &data).unwrap();
    } else {
        let octets = |address: u128| (address as u32).to_be_bytes();
        builder.ipv4(octets(from.1), octets(to), 64).udp(1, 2).write(&mut frame, &data).unwrap();
    }
    frame
}

/// What should have come of all that has happened.
struct Model {
    graph: Graph,
    /// What is in the lists, commands included; what they have counted.
    lists: [Vec<Prefix>; 2],
    hits: [[u64; 2]; 2],
    /// By interface the sides by which its driver drops.
    drivers: [Option<usize>; 2],
    dropped: BTreeMap<(&'static str, &'static str), u64>,
    received: u64,
    /// By interface.
    offloaded: [u64; 2],
}

impl Model {
    /// The side by which a node drops a frame.
    fn side(&self, from: Address, to: Address) -> Option<usize> {
        let (_, list, sides, _) = self.graph.node?;
        let has = |(six, address): Address| {
            let is_in = |((of, first), is_row): &Prefix| *of == six && (address ^ first) >> if *is_row { 4 } else { 0 } == 0;
            self.lists[list].iter().any(is_in)
        };
        [from, to]
            .into_iter()
            .enumerate()
            .find(|(side, address)| (sides == 2 || sides == *side) && has(*address))
            .map(|(side, _)| side)
    }

    fn drop(&mut self, side: usize) {
        let (name, list, ..) = self.graph.node.expect("it drops");
        *self.dropped.entry((name, REASONS[side])).or_default() += 1;
        self.hits[list][side] += 1;
    }

    /// Another graph runs, and these tables are those that ran before.
    fn apply(&mut self, next: Graph, kept: &[&str]) {
        for (at, name) in LISTS.iter().enumerate() {
            let then = &next.lists[at];
            if !kept.contains(name) {
                // What commands have added and removed is lost; what was counted is not.
                self.lists[at] = then.clone().unwrap_or_default();
            }
            if then.is_none() {
                self.hits[at] = [0; 2];
            }
            let wanted = next.node.and_then(|(_, _, sides, offload)| offload.then_some(sides));
            let is_new = next.interfaces[at] != self.graph.interfaces[at];
            // One that stays drops what it dropped, or nothing any more.
            self.drivers[at] = if is_new { wanted } else { self.drivers[at].filter(|sides| wanted == Some(*sides)) };
            self.drivers[at] = self.drivers[at].filter(|_| next.interfaces[at].is_some());
        }
        self.graph = next;
    }
}

/// Of an interface that is there.
fn offloaded(rig: &mut Rig, name: &str) -> u64 {
    let place = rig.engine().interfaces().iter().position(|interface| interface.name == name).expect("it is there");
    rig.engine().counters().iter().map(|worker| worker.interfaces[place].offloaded.get()).sum()
}

/// Frames at the interfaces: those that their drivers drop, and those that wait to be received.
fn feed(rig: &Rig, model: &mut Model, rng: &mut Rng, workers: usize, number: &mut u64) -> Vec<(Address, Address, Vec<u8>)> {
    let mut waiting = Vec::new();
    for _ in 0..rng.below(120) {
        let from = address(rng);
        let to = std::iter::repeat_with(|| address(rng)).find(|to| to.0 == from.0).expect("one in two is");
        let at = rng.below(2);
        if model.graph.interfaces[at].is_none() {
            continue;
        }
        *number += 1;
        let bytes = frame(from, to, *number);
        let wire = rig.wire(INTERFACES[at]);
        let before = wire.waiting();
        wire.feed(rng.below(workers), [bytes.clone()]);
        let (is_dropped, side) = (wire.waiting() == before, model.side(from, to));
        assert_eq!(is_dropped, model.drivers[at].is_some() && side.is_some(), "{from:x?} {to:x?} {:?}", model.graph);
        model.received += 1;
        if let Some(side) = side.filter(|_| is_dropped) {
            model.offloaded[at] += 1;
            model.drop(side);
        } else {
            waiting.push((from, to, bytes));
        }
    }
    waiting
}

/// Those that waited have gone through the graph that runs now.
fn pass(rig: &mut Rig, model: &mut Model, waiting: Vec<(Address, Address, Vec<u8>)>) {
    rig.run();
    let mut expected = Vec::new();
    for (from, to, bytes) in waiting {
        match model.side(from, to) {
            Some(side) => model.drop(side),
            None => expected.push(bytes),
        }
    }
    let mut sent = rig.sent("out");
    sent.sort();
    expected.sort();
    assert!(sent == expected, "{} and {}: {:?}", sent.len(), expected.len(), model.graph);
    let ledger = rig.engine().ledger();
    assert_eq!(ledger.discrepancies(), Vec::<String>::new());
    let dropped = ledger.dropped.iter().flat_map(|(node, reasons)| {
        reasons.iter().filter(|(_, count)| **count > 0).map(|(reason, count)| ((node.as_str(), reason.as_str()), *count))
    });
    assert_eq!(dropped.collect::<BTreeMap<(&str, &str), u64>>(), model.dropped);
    let all: u64 = model.dropped.values().sum();
    assert_eq!((ledger.received, ledger.sent), (model.received, model.received - all));
    for at in (0..2).filter(|at| model.graph.interfaces[*at].is_some()) {
        assert_eq!(offloaded(rig, INTERFACES[at]), model.offloaded[at]);
    }
    for (at, name) in LISTS.iter().enumerate().filter(|(at, _)| model.graph.lists[*at].is_some()) {
        let shown = rig.engine().command(name, r#"{"show": {}}"#).unwrap();
        let [sources, destinations] = model.hits[at];
        assert!(shown.contains(&format!(r#""sources":{sources},"destinations":{destinations}"#)), "{shown} {:?}", model.hits);
    }
}

fn change_list(rig: &mut Rig, model: &mut Model, rng: &mut Rng) {
    let at = rng.below(2);
    if model.graph.lists[at].is_none() {
        return;
    }
    let some: Vec<Prefix> = (0..1 + rng.below(3)).map(|_| prefix(rng)).chain(model.lists[at].first().copied()).collect();
    let list = &mut model.lists[at];
    let verb = rng.pick(&["add", "remove", "replace"]);
    match verb {
        "add" => list.extend(&some),
        "remove" => list.retain(|prefix| !some.contains(prefix)),
        _ => list.clone_from(&some),
    }
    rig.engine().command(LISTS[at], &format!(r#"{{"{verb}": {{"prefixes": [{}]}}}}"#, texts(&some))).unwrap();
}

#[test]
fn what_is_denied_is_denied_by_whoever_has_it_and_counted_once() {
    let mut rng = Rng::new();
    let (mut by_drivers, mut by_nodes) = (0, 0);
    for _ in 0..scaled(40) {
        let rng = &mut rng;
        let workers = 1 + rng.below(3);
        let none = Graph { interfaces: [None; 2], lists: [None, None], node: None };
        let first =
            Graph { interfaces: [Some(50), None], lists: [Some(vec![prefix(rng)]), None], node: Some(("deny", 0, 2, true)) };
        let (dropped, lists) = (BTreeMap::new(), Default::default());
        let mut model =
            Model { graph: none, lists, hits: [[0; 2]; 2], drivers: [None; 2], dropped, received: 0, offloaded: [0; 2] };
        let mut rig = Rig::new(&first.text(workers));
        model.apply(first, &[]);
        let mut number = 0;
        for _ in 0..25 {
            let waiting = feed(&rig, &mut model, rng, workers, &mut number);
            pass(&mut rig, &mut model, waiting);
            if rng.one_in(2) {
                change_list(&mut rig, &mut model, rng);
            }
            let next = model.graph.next(rng);
            // What waits at an interface that goes goes with it: so nothing does.
            let waiting = feed(&rig, &mut model, rng, workers, &mut number);
            let goes = (0..2).any(|at| model.graph.interfaces[at] != next.interfaces[at]);
            let waiting = if goes {
                pass(&mut rig, &mut model, waiting);
                Vec::new()
            } else {
                waiting
            };
            let report = rig.apply(&next.text(workers)).unwrap_or_else(|error| panic!("{error}\n{}", next.text(workers)));
            assert_eq!((report.incomplete, report.not_carried), (vec![], Vec::<String>::new()));
            let kept = report.diff.tables.iter().filter(|change| change.fate == Fate::Keep);
            model.apply(next, &kept.map(|change| change.name.as_str()).collect::<Vec<_>>());
            pass(&mut rig, &mut model, waiting);
        }
        let offloaded: u64 = model.offloaded.iter().sum();
        by_drivers += offloaded;
        by_nodes += model.dropped.values().sum::<u64>() - offloaded;
    }
    assert!(by_drivers > 100 && by_nodes > 100, "{by_drivers} and {by_nodes}");
}
