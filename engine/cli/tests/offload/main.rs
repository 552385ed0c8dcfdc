//! `offload: xdp`: the program in the kernel drops what a node would have dropped, and counters, ledgers and what goes out are the same. Engines run in this process, in network namespaces of its own, between cables whose other ends a script sends from. Needs root.

#[path = "../common/mod.rs"]
mod common;
mod lists;
#[path = "../../../../nodes/tests/common/random.rs"]
mod random;
mod rules;

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

/// Until all workers have seen what has changed: they look at the beginning of a sweep.
fn settle(engine: &Engine) {
    let sweeps = || engine.counters().iter().map(|worker| worker.time.sweeps.get()).collect::<Vec<u64>>();
    let (before, start) = (sweeps(), Instant::now());
    while sweeps().iter().zip(&before).any(|(now, before)| now == before) {
        assert!(start.elapsed() < Duration::from_secs(20), "a worker stands still");
        std::thread::sleep(Duration::from_millis(1));
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
