//! `offload: xdp` of `deny`: the program in the kernel drops what the node would have dropped, and counters, ledgers and what goes out are the
//! same. Engines run in this process, in network namespaces of its own, between cables whose other ends a script sends from. Needs root.

mod common;
#[path = "../../../nodes/tests/common/random.rs"]
#[expect(dead_code, reason = "what other tests use")]
mod random;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::scrape::{engine_of, metrics_of, samples};
use common::{Place, records};
use etherparse::PacketBuilder;
use random::Rng;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use swath::{Graph, Time, registry};
use swath_core::run::{Engine, Report};
use swath_ctl::Format;

/// Frames that are under way at once: fewer than any queue between the script and the engine takes.
const BATCH: usize = 100;

/// Sends what it reads, a device, a processor and a frame in a line.
const SENDER: &str = "
import os, socket, sys
wires = {}
for line in sys.stdin:
    device, cpu, frame = line.split()
    if device not in wires:
        wires[device] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        wires[device].bind((device, 0))
    cpus = sorted(os.sched_getaffinity(0)) if not wires.get('cpus') else wires['cpus']
    wires['cpus'] = cpus
    os.sched_setaffinity(0, {cpus[int(cpu) % len(cpus)]})
    wires[device].send(bytes.fromhex(frame))
";

/// A network namespace in which this thread is, with two cables of two queues each, from `out0` to `in0` and from `out1` to `in1`.
struct Bench {
    name: String,
    sender: Child,
}

impl Bench {
    fn new() -> Option<Bench> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() || !common::has("ip") || !common::has("python3") {
            let needs = "it needs root, iproute2 and python3";
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{needs}");
            println!("not run: {needs}");
            return None;
        }
        let name = format!("swath-{}-offload{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ip(&format!("netns add {name}"));
        let file = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
        // Of this thread, and of those and the processes that it starts.
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        for pair in 0..2 {
            let queues = "numrxqueues 2 numtxqueues 2";
            ip(&format!("link add out{pair} {queues} type veth peer name in{pair} {queues}"));
            ip(&format!("link set out{pair} up"));
            ip(&format!("link set in{pair} up"));
        }
        let sender = Command::new("python3").args(["-c", SENDER]).stdin(Stdio::piped()).spawn().unwrap();
        Some(Bench { name, sender })
    }

    /// Sends a batch, each frame to one of the interfaces by one of the processors. Returns when the engine has counted all.
    fn send(&mut self, engine: &Engine, batch: &[Sent]) {
        assert!(batch.len() <= BATCH);
        let before = received(engine);
        self.post(batch);
        arrive(engine, before + batch.len() as u64);
    }

    fn post(&mut self, batch: &[Sent]) {
        let mut text = String::new();
        for Sent { interface, cpu, frame, .. } in batch {
            let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
            text += &format!("out{interface} {cpu} {hex}\n");
        }
        let input = self.sender.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.sender.kill();
        let _ = self.sender.wait();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn ip(args: &str) {
    let output = Command::new("ip").args(args.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Packets that the engine has received from the cables.
fn received(engine: &Engine) -> u64 {
    engine.counters().iter().flat_map(|worker| worker.interfaces.iter()).map(|interface| interface.received.get()).sum()
}

fn arrive(engine: &Engine, all: u64) {
    let start = Instant::now();
    while received(engine) < all {
        assert!(start.elapsed() < Duration::from_secs(20), "{} of {all}, {:?}", received(engine), engine.news());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A frame, and the addresses in it that a list would be asked for; none where there is no sound IP packet.
#[derive(Debug, Clone)]
struct Sent {
    interface: usize,
    cpu: usize,
    frame: Vec<u8>,
    pair: Option<[Address; 2]>,
    /// Whether it is of a type that is IP.
    is_ip: bool,
    tags: usize,
}

/// The version is 6, and the bits.
type Address = (bool, u128);

/// The first bits of those that matter.
fn address(rng: &mut Rng, six: bool) -> Address {
    let low = rng.below(6) as u128 * 37;
    if six {
        (true, 0x2001_0db8 << 96 | (rng.below(4) as u128) << 64 | low)
    } else {
        (false, 0x0a00_0000 | (rng.below(4) as u128) << 8 | low)
    }
}

fn random_frame(rng: &mut Rng) -> Sent {
    let six = rng.below(2) == 0;
    let pair @ [(_, from), (_, to)] = [address(rng, six), address(rng, six)];
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let length = rng.pick(&[0, 1, 18, 400]);
    let (mut bytes, data) = (Vec::new(), rng.bytes(length));
    if six {
        builder.ipv6(from.to_be_bytes(), to.to_be_bytes(), 64).udp(1, 2).write(&mut bytes, &data).unwrap();
    } else {
        let octets = |address: u128| (address as u32).to_be_bytes();
        builder.ipv4(octets(from), octets(to), 64).udp(1, 2).write(&mut bytes, &data).unwrap();
    }
    let mut sent = Sent {
        interface: rng.below(2),
        cpu: rng.below(2),
        frame: Vec::new(),
        pair: Some(pair),
        is_ip: true,
        tags: [0, 0, 1, 2, 3][rng.below(5)],
    };
    match rng.below(12) {
        // ARP by its type.
        0 => (sent.pair, sent.is_ip, bytes[13], bytes[12]) = (None, false, 6, 8),
        // Cut off somewhere behind the Ethernet header.
        1 => {
            bytes.truncate(14 + rng.below(bytes.len() - 14));
            sent.pair = None;
        }
        // Another version than the type's; an IPv4 header too short.
        2 => (sent.pair, bytes[14]) = (None, bytes[14] ^ 0x20),
        3 if !six => (sent.pair, bytes[14]) = (None, 0x44),
        // Padding.
        4 => bytes.extend([0; 20]),
        _ => {}
    }
    // More tags than the program follows, too.
    let tags: Vec<u8> = (0..sent.tags).flat_map(|_| [rng.pick(&[[0x81, 0], [0x88, 0xa8]]), [0, 7]].concat()).collect();
    sent.frame = [&bytes[..12], &tags, &bytes[12..]].concat();
    sent
}

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

/// A graph that runs, whose captures are written to the place.
fn start(place: &Place, graph: &str) -> Engine {
    let graph = graph.replace("out.pcap", place.path("out.pcap").to_str().unwrap());
    let mut engine = engine_of(&graph, Time::Real);
    engine.start().unwrap();
    engine
}

/// What there is to compare: packets that went out, in the order of their bytes; and counters of nodes, interfaces and lists, but for those
/// of work that was not done.
fn end(place: &Place, engine: &mut Engine) -> (Vec<Vec<u8>>, BTreeMap<String, f64>, f64) {
    engine.stop();
    let ledger = engine.ledger();
    assert_eq!(ledger.discrepancies(), Vec::<String>::new());
    let all = samples(&metrics_of(engine, swath_ctl::Settings::default(), Format::Text));
    engine.finish();
    let mut out: Vec<Vec<u8>> = records(&place.path("out.pcap")).into_iter().map(|(_, frame)| frame).collect();
    out.sort();
    let names = [
        "swath_node_packets_total",
        "swath_node_drops_total",
        "swath_edge_packets_total",
        "swath_interface_",
        "swath_deny_list_packets",
    ];
    let offloaded =
        all.iter().filter(|(name, _)| name.starts_with("swath_interface_receive_offloaded_total")).map(|(_, count)| count).sum();
    let all = all.into_iter().filter(|(name, _)| names.iter().any(|start| name.starts_with(start)) && !name.contains("offloaded"));
    // What says how an interface is attached.
    (out, all.filter(|(name, _)| !name.contains("_info") && !name.contains("up{")).collect(), offloaded)
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

/// Until all workers have seen what has changed: they look at the beginning of a sweep.
fn settle(engine: &Engine) {
    let sweeps = || engine.counters().iter().map(|worker| worker.time.sweeps.get()).collect::<Vec<u64>>();
    let (before, start) = (sweeps(), Instant::now());
    while sweeps().iter().zip(&before).any(|(now, before)| now == before) {
        assert!(start.elapsed() < Duration::from_secs(20), "a worker stands still");
        std::thread::sleep(Duration::from_millis(1));
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
        let frames: Vec<Sent> = frames.into_iter().filter(|frame| list.edge(frame) == before.edge(frame)).collect();
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

fn apply(place: &Place, engine: &mut Engine, text: &str) -> Report {
    let text = text.replace("out.pcap", place.path("out.pcap").to_str().unwrap());
    let mut graph = Graph::from_text("graph.yaml", &text);
    let plan = graph.plan(&registry()).unwrap_or_else(|failure| panic!("{failure}"));
    let applied = engine.apply(plan, graph.diagnostics_mut());
    applied.unwrap_or_else(|refusal| panic!("{refusal}: {}", graph.render()))
}

/// Of an interface that is there: packets received, and of them those that its driver has dropped.
fn figures(engine: &Engine, interface: usize) -> [u64; 2] {
    let name = ["a", "b"][interface];
    let Some(place) = engine.interfaces().iter().position(|interface| interface.name == name) else { return [0; 2] };
    let of = |count: fn(&swath_core::run::InterfaceCounters) -> u64| {
        engine.counters().iter().map(|worker| count(&worker.interfaces[place])).sum::<u64>()
    };
    [of(|interface| interface.received.get()), of(|interface| interface.offloaded.get())]
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
            let same = |frame: &Sent| before.drops(frame) == phase.drops(frame) && (frame.interface == 0 || before.b == phase.b);
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
