//! Lists of the node `deny`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::common::Place;
use super::random::Rng;
use super::{Address, BATCH, Bench, Sent, address, apply, arrive, end, figures, random_frame, received, settle, start};
use swath::{Graph, registry};
use swath_core::run::Engine;

/// A prefix of addresses of [`address`], as bits and as text.
fn random_prefix(rng: &mut Rng) -> ((Address, u8), String) {
    let six = rng.below(2) == 0;
    let (_, bits) = address(rng, six);
    let length = if six { [128, 128, 127, 122, 64, 63, 0][rng.below(7)] } else { [32, 32, 31, 27, 24, 23, 8][rng.below(7)] };
    let length = if length < 16 && rng.below(4) != 0 { if six { 128 } else { 32 } } else { length };
    let width = if six { 128 } else { 32 };
    let free = if length == width { 0 } else { u128::MAX >> (128 - (width - length)) };
    let first = bits & !free;
    let text = if six { std::net::Ipv6Addr::from(first).to_string() } else { std::net::Ipv4Addr::from(first as u32).to_string() };
    (((six, first), length as u8), format!("\"{text}/{length}\""))
}

/// A list, as whoever reads it without a table would have it.
#[derive(Debug, Default, Clone)]
struct List(BTreeMap<(Address, u8), String>);

impl List {
    fn has(&self, (six, address): Address) -> bool {
        let width = if six { 128 } else { 32 };
        let is_in = |((of, first), length): &(Address, u8)| {
            *of == six && (u32::from(*length) == 0 || (address ^ first).checked_shr(width - u32::from(*length)).unwrap_or(0) == 0)
        };
        self.0.keys().any(is_in)
    }

    /// What becomes of a frame at a node that looks at both addresses.
    fn edge(&self, sent: &Sent) -> &'static str {
        match sent.pair {
            Some([source, _]) if self.has(source) => "source-listed",
            Some([_, destination]) if self.has(destination) => "destination-listed",
            Some(_) => "ok",
            None if sent.is_ip => "bad-header",
            None => "not-ip",
        }
    }
}

fn graph(driver: &str, workers: usize, offload: &str, prefixes: &List) -> String {
    let list: Vec<&str> = prefixes.0.values().map(String::as_str).collect();
    format!(
        "version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces:
  a: {{ device: in0, {driver} }}
  b: {{ device: in1, {driver} }}
  out: {{ driver: pcap, write: out.pcap }}
tables:
  listed: {{ kind: deny-list, prefixes: [{}] }}
nodes:
  a-rx: {{ kind: rx, interface: a, to: deny }}
  b-rx: {{ kind: rx, interface: b, to: deny }}
  deny: {{ kind: deny, layer: ethernet, match: both, {offload} to: {{ ok: tx, not-ip: tx }} }}
  tx:   {{ kind: tx, interface: out }}
",
        list.join(", ")
    )
}

/// The same frames by the driver and by the node alone, in both modes of the driver and by another one that cannot: everything is equal, and as
/// somebody says it is who goes through the list.
#[test]
fn a_driver_and_the_node_drop_the_same() {
    let Some(mut bench) = Bench::new() else { return };
    let mut rng = Rng::new();
    let mut list = List::default();
    (0..14).for_each(|_| list.0.extend([random_prefix(&mut rng)]));
    let frames: Vec<Sent> = (0..6 * BATCH).map(|_| random_frame(&mut rng)).collect();
    // Frames with more tags than two are the node's.
    let by_driver = frames.iter().filter(|frame| frame.tags < 3 && list.edge(frame).ends_with("-listed")).count();
    let mut first = None;
    let ways = [
        ("driver: af-xdp, checksum: trust, queues: 2", 1, "", 0),
        ("driver: af-xdp, checksum: trust, queues: 2", 1, "offload: xdp,", by_driver),
        ("driver: af-xdp, checksum: trust, queues: 2", 2, "offload: xdp,", by_driver),
        ("driver: af-xdp, checksum: trust, queues: 2, xdp: generic", 1, "offload: xdp,", by_driver),
        ("driver: af-xdp, checksum: trust, queues: 2, capture: all-but-ssh", 1, "offload: xdp,", by_driver),
        ("driver: af-packet", 1, "offload: xdp,", 0),
    ];
    for (driver, workers, offload, dropped) in ways {
        let place = Place::new();
        let mut engine = start(&place, &graph(driver, workers, offload, &list));
        // The kernel itself drops some frames that are not sound before a packet socket has them.
        let is_sent = |frame: &&Sent| driver.contains("af-xdp") || frame.pair.is_some() && frame.tags == 0;
        let frames: Vec<Sent> = frames.iter().filter(is_sent).cloned().collect();
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        frames.iter().for_each(|frame| *expected.entry(list.edge(frame)).or_default() += 1);
        let passes = |frame: &&Sent| matches!(list.edge(frame), "ok" | "not-ip");
        let mut out: Vec<Vec<u8>> = frames.iter().filter(passes).map(|frame| frame.frame.clone()).collect();
        out.sort();
        frames.chunks(BATCH).for_each(|batch| bench.send(&engine, batch));
        let news: Vec<String> = engine.news().into_iter().map(|(interface, news)| format!("{interface}: {news}")).collect();
        for interface in ["a", "b"] {
            let said = match (offload, driver) {
                ("", _) => continue,
                (_, "driver: af-packet") => {
                    "`deny` does all of its work itself, in spite of `offload`: its driver can do nothing for a node"
                }
                _ => "what `deny` drops of what comes in is dropped in the kernel, before it is copied",
            };
            assert!(news.contains(&format!("{interface}: {said}")), "{news:?}");
        }
        let (got, counters, offloaded) = end(&place, &mut engine);
        let drops = engine.ledger().dropped.remove("deny").unwrap_or_default();
        for reason in ["source-listed", "destination-listed", "bad-header"] {
            assert_eq!(drops.get(reason), expected.get(reason), "{driver} {offload} {reason}");
        }
        assert!(got == out, "{driver} {offload}: {} and {}", got.len(), out.len());
        assert_eq!(offloaded, dropped as f64, "{driver} {offload}");
        let first = first.get_or_insert(counters.clone());
        if driver.contains("af-xdp") {
            assert_eq!(&counters, first, "{driver} {offload}");
        }
    }
}

/// Entries come and go, between packets and while they pass.
#[test]
fn a_list_changes_while_packets_pass() {
    let Some(mut bench) = Bench::new() else { return };
    let mut rng = Rng::new();
    let (place, mut list) = (Place::new(), List::default());
    let driver = "driver: af-xdp, checksum: trust, queues: 2";
    let mut engine = start(&place, &graph(driver, 2, "offload: xdp,", &list));
    let (mut expected, mut sent) = (BTreeMap::from([("ok", 0), ("not-ip", 0)]), 0);
    for _ in 0..40 {
        let verb = ["add", "add", "remove", "replace"][rng.below(4)];
        let mut some: BTreeMap<(Address, u8), String> = (0..rng.below(5)).map(|_| random_prefix(&mut rng)).collect();
        if verb == "remove" {
            some.extend(list.0.iter().filter(|_| rng.below(2) == 0).map(|(prefix, text)| (*prefix, text.clone())));
        }
        let texts: Vec<&str> = some.values().map(String::as_str).collect();
        let command = format!(r#"{{"{verb}": {{"prefixes": [{}]}}}}"#, texts.join(", "));
        let before = list.clone();
        match verb {
            "add" => list.0.extend(some.clone()),
            "remove" => list.0.retain(|prefix, _| !some.contains_key(prefix)),
            _ => list.0 = some.clone(),
        }
        // On their way while the list changes: those that are in both lists, or in neither, are dropped, or pass.
        let frames: Vec<Sent> = (0..BATCH).map(|_| random_frame(&mut rng)).collect();
        // One of which both addresses are listed may count by its destination while the source is away from a driver's copy for a moment.
        let is_sure = |frame: &Sent| {
            let both = |list: &List| frame.pair.is_some_and(|pair| pair.into_iter().all(|address| list.has(address)));
            list.edge(frame) == before.edge(frame) && !both(&list) && !both(&before)
        };
        let frames: Vec<Sent> = frames.into_iter().filter(is_sure).collect();
        let all = received(&engine) + frames.len() as u64;
        bench.post(&frames);
        engine.command("listed", &command).unwrap();
        arrive(&engine, all);
        // And when it has changed.
        settle(&engine);
        let others: Vec<Sent> = (0..BATCH / 2).map(|_| random_frame(&mut rng)).collect();
        bench.send(&engine, &others);
        sent += frames.len() + others.len();
        frames.iter().chain(&others).for_each(|frame| *expected.entry(list.edge(frame)).or_default() += 1);
    }
    let (got, counters, offloaded) = end(&place, &mut engine);
    let ledger = engine.ledger();
    let drops = &ledger.dropped["deny"];
    for reason in ["source-listed", "destination-listed", "bad-header"] {
        assert_eq!(drops.get(reason), expected.get(reason), "{reason}");
    }
    assert_eq!((ledger.received, ledger.sent), (sent as u64, expected["ok"] + expected["not-ip"]));
    assert_eq!(got.len() as u64, ledger.sent);
    let listed = expected.get("source-listed").unwrap_or(&0) + expected.get("destination-listed").unwrap_or(&0);
    let counted =
        counters.iter().filter(|(name, _)| name.starts_with("swath_deny_list_packets")).map(|(_, count)| count).sum::<f64>();
    assert_eq!(counted, listed as f64);
    assert!(offloaded > 0.0 && offloaded <= listed as f64, "{offloaded} of {listed}");
}

/// A graph of those that take each other's place.
#[derive(Debug, Clone)]
struct Phase {
    what: &'static str,
    list: List,
    /// Whether the node is there, whether it asks drivers, and whether it looks at destinations, too.
    node: Option<(bool, bool)>,
    /// What `b` has for settings, if it is there.
    b: Option<&'static str>,
    /// Whether the drivers of `a` and `b` do the work of the node.
    drivers: [bool; 2],
}

const RING: &str = "driver: af-xdp, checksum: trust, queues: 2, ring: 1024";
const OTHER_RING: &str = "driver: af-xdp, checksum: trust, queues: 2, ring: 512";

impl Phase {
    fn text(&self) -> String {
        let mut text = graph(RING, 2, "", &self.list);
        match self.b {
            Some(driver) => text = text.replace(&format!("device: in1, {RING}"), &format!("device: in1, {driver}")),
            None => text = text.lines().filter(|line| !line.starts_with("  b")).map(|line| format!("{line}\n")).collect(),
        }
        let start = text.find("  deny: {").unwrap();
        match self.node {
            None => {
                let end = start + text[start..].find('\n').unwrap() + 1;
                text.replace_range(start..end, "");
                text.replace("to: deny", "to: tx")
            }
            Some((offloads, both)) => {
                let text = if offloads { text.replace("match: both,", "match: both, offload: xdp,") } else { text };
                if both { text } else { text.replace("match: both", "match: source") }
            }
        }
    }

    /// What becomes of a frame: a reason to drop it, or none.
    fn drops(&self, sent: &Sent) -> Option<&'static str> {
        let (_, both) = self.node?;
        let edge = self.list.edge(sent);
        let edge = if !both && edge == "destination-listed" { "ok" } else { edge };
        (edge != "ok" && edge != "not-ip").then_some(edge)
    }
}

/// Graphs take each other's place while packets pass: none that is denied passes, and none other is dropped, whoever drops.
#[test]
fn graphs_change_while_packets_pass() {
    let Some(mut bench) = Bench::new() else { return };
    let mut rng = Rng::new();
    let lists: Vec<List> = (0..3).map(|_| List((0..10).map(|_| random_prefix(&mut rng)).collect())).collect();
    let list = |at: usize| lists[at].clone();
    let phase = |what, list, node, b, drivers| Phase { what, list, node, b, drivers };
    let all = Some((true, true));
    let phases = [
        phase("from the start", list(0), all, Some(RING), [true, true]),
        phase("another list", list(1), all, Some(RING), [true, true]),
        phase("an interface less", list(1), all, None, [true, false]),
        phase("an interface more", list(1), all, Some(OTHER_RING), [true, true]),
        phase("other sides", list(1), Some((true, false)), Some(OTHER_RING), [false, false]),
        phase("one of them goes", list(1), Some((true, false)), None, [false, false]),
        phase("and is asked anew", list(1), Some((true, false)), Some(RING), [false, true]),
        phase("nobody is asked", list(2), Some((false, false)), Some(RING), [false, false]),
        phase("both are asked, too late", list(2), all, Some(RING), [false, false]),
        phase("no node", list(2), None, Some(RING), [false, false]),
        phase("a node", list(0), all, None, [false, false]),
        phase("and an interface", list(0), all, Some(RING), [false, true]),
    ];
    let place = Place::new();
    let mut engine = start(&place, &phases[0].text());
    let (mut expected, mut out, mut sent): (BTreeMap<&str, u64>, Vec<Vec<u8>>, [u64; 2]) = Default::default();
    let mut note = |phase: &Phase, frames: &[Sent]| {
        for frame in frames {
            match phase.drops(frame) {
                Some(reason) => *expected.entry(reason).or_default() += 1,
                None => out.push(frame.frame.clone()),
            }
        }
    };
    let arrive = |engine: &Engine, sent: [u64; 2], what: &str| {
        let start = Instant::now();
        for (at, sent) in sent
            .into_iter()
            .enumerate()
            .filter(|(at, _)| *at == 0 || engine.interfaces().iter().any(|it| it.name == "b" && *at == 1))
        {
            while figures(engine, at)[0] < sent {
                assert!(
                    start.elapsed() < Duration::from_secs(20),
                    "{what}: {:?} of {sent}, {:?}",
                    figures(engine, at),
                    engine.news()
                );
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    };
    for (number, phase) in phases.iter().enumerate() {
        if number > 0 {
            // Under way while the graph changes: those of which both say the same, where the interface stays.
            let before = &phases[number - 1];
            let frames: Vec<Sent> = (0..BATCH).map(|_| random_frame(&mut rng)).collect();
            // While a driver gets another list, it may have the destination of a packet before it has the source.
            let both = |list: &List, frame: &Sent| frame.pair.is_some_and(|pair| pair.into_iter().all(|address| list.has(address)));
            let same = |frame: &Sent| {
                let is_sure = !both(&before.list, frame) && !both(&phase.list, frame);
                is_sure && before.drops(frame) == phase.drops(frame) && (frame.interface == 0 || before.b == phase.b)
            };
            let frames: Vec<Sent> =
                frames.into_iter().filter(|frame| same(frame) && (frame.interface == 0 || phase.b.is_some())).collect();
            frames.iter().for_each(|frame| sent[frame.interface] += 1);
            note(phase, &frames);
            bench.post(&frames);
            let report = apply(&place, &mut engine, &phase.text());
            assert_eq!((report.incomplete, report.not_carried), (vec![], Vec::<String>::new()), "{}", phase.what);
            arrive(&engine, sent, phase.what);
        }
        settle(&engine);
        let frames: Vec<Sent> =
            (0..BATCH).map(|_| random_frame(&mut rng)).filter(|frame| frame.interface == 0 || phase.b.is_some()).collect();
        let before = [0, 1].map(|at| figures(&engine, at)[1]);
        frames.iter().for_each(|frame| sent[frame.interface] += 1);
        note(phase, &frames);
        bench.post(&frames);
        arrive(&engine, sent, phase.what);
        for (at, drops) in phase.drivers.into_iter().enumerate() {
            // Frames with more tags than two are the node's, and so is what is not sound.
            let is_its = |frame: &&Sent| {
                frame.interface == at && frame.tags < 3 && phase.drops(frame).is_some_and(|reason| reason.ends_with("-listed"))
            };
            let wanted = if drops { frames.iter().filter(is_its).count() as u64 } else { 0 };
            assert_eq!(figures(&engine, at)[1] - before[at], wanted, "{} {at}", phase.what);
        }
    }
    let (got, _, _) = end(&place, &mut engine);
    out.sort();
    assert!(got == out, "{} and {}", got.len(), out.len());
    let ledger = engine.ledger();
    let dropped: BTreeMap<&str, u64> = ledger.dropped["deny"].iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(dropped, expected);
    assert_eq!((ledger.received, ledger.sent), (sent.iter().sum(), out.len() as u64));
}

/// A device that is to be attached in another way is one that this engine has itself: nobody else is to be looked for.
#[test]
fn another_way_for_the_same_device_is_refused() {
    let Some(mut bench) = Bench::new() else { return };
    let place = Place::new();
    let text = |driver: &str| graph(RING, 1, "", &List::default()).replace(&format!("in1, {RING}"), &format!("in1, {driver}"));
    let mut engine = start(&place, &text(RING));
    let mut graph = Graph::from_text("graph.yaml", &text(OTHER_RING).replace("out.pcap", place.path("out.pcap").to_str().unwrap()));
    let plan = graph.plan(&registry()).unwrap();
    assert!(engine.apply(plan, graph.diagnostics_mut()).is_err());
    let said = graph.render();
    let expected = "the running `b` has `in1` until it is detached: take it away with one reload, and bring it back with the next";
    assert!(said.contains(expected) && !said.contains("another program"), "{said}");
    // And goes on.
    let mut rng = Rng::new();
    let frames: Vec<Sent> = (0..BATCH).map(|_| random_frame(&mut rng)).collect();
    bench.send(&engine, &frames);
    end(&place, &mut engine);
    assert_eq!(engine.ledger().received, BATCH as u64);
}
