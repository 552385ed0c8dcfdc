//! What `explain` says is what happens: each packet is explained first, which must change nothing, and then comes in.

mod common;

use std::collections::BTreeMap;

use common::Place;
use swath::{Graph, Time, packet_memory, registry};
use swath_core::run::{Engine, Fate};
use swath_io::text::{Mac, TextPacket};

/// A router with a list, a filter and answers, of which one `%PACKET%` asks something.
const ROUTER: &str = "version: 1
engine: { buffers: 1024, hugepages: never }
interfaces:
  lan:
    driver: memory
    mac: '02:00:00:00:01:01'
    addresses: [192.168.1.1/24]
    generate: { limit: 1, packets: ['%PACKET%'] }
  wan: { driver: memory, mac: '02:00:00:00:02:01', addresses: [203.0.113.2/30], mtu: 1400 }
tables:
  neighbours:
    kind: neighbours
    static: [{ address: 203.0.113.1, mac: '02:00:00:00:00:fe' }, { address: 192.168.1.2, mac: '02:00:00:00:00:01' }]
  routes:
    kind: fib4
    routes: [{ prefix: 10.0.0.0/8, via: 203.0.113.1 }, { prefix: 10.9.0.0/16, blackhole: true }, { prefix: 10.8.0.0/16, unreachable: true }]
  rules:
    kind: acl
    default: permit
    rules: [{ action: deny, protocol: tcp, destination-port: 25 }, { action: permit, protocol: udp }]
  bad: { kind: deny-list, prefixes: [192.168.1.66/32] }
nodes:
  rx:       { kind: rx, interface: lan, to: ethernet }
  ethernet: { kind: ethernet-input, to: { ip4: ip4 } }
  ip4:      { kind: ip4-input, to: listed }
  listed:   { kind: deny, to: filter }
  filter:   { kind: acl-filter, to: lookup }
  lookup:   { kind: ip4-lookup, to: { forward: rewrite, no-route: error, unreachable: error } }
  rewrite:  { kind: ip4-rewrite, to: { ok: tx, ttl-expired: error, too-big: error } }
  error:    { kind: icmp-error, to: own }
  own:      { kind: ip4-lookup, to: own-rewrite }
  own-rewrite: { kind: ip4-rewrite, to: tx }
  tx:       { kind: tx }
";

/// Where a packet ended: the interface that it left by, or the node and the reason.
type End = Result<String, (String, String)>;

/// What is said of a packet, and what becomes of it.
fn said_and_done(packet: &str) -> (Option<End>, End) {
    let mut graph = Graph::from_text("router.yaml", &ROUTER.replace("%PACKET%", packet));
    let plan = graph.plan(&registry()).unwrap_or_else(|error| panic!("{packet}: {error}"));
    let (pool, _) = packet_memory(&plan.engine).unwrap();
    let mut engine = graph.build(plan, &pool, Time::Virtual).unwrap_or_else(|error| panic!("{packet}: {error}"));
    let before = (engine.ledger(), engine.nodes());
    let frame = TextPacket::parse(packet).unwrap().frame_with(Mac::SOURCE, Mac([2, 0, 0, 0, 1, 1]));
    let steps = engine.explain("lan", &frame).unwrap();
    assert_eq!((engine.ledger(), engine.nodes()), before, "{packet}: nothing has changed");
    let last = steps.last().unwrap();
    let said = match last.fate {
        Fate::Sent => Some(Ok(last.leaves.clone().unwrap())),
        Fate::Dropped => Some(Err((last.node.clone(), last.edge.clone()))),
        Fate::NotSimulated => None,
        other => panic!("{packet}: {other:?} at {}", last.node),
    };
    engine.step_until(u64::MAX);
    let ledger = engine.ledger();
    assert_eq!(ledger.discrepancies(), Vec::<String>::new());
    let dropped: Vec<(String, BTreeMap<String, u64>)> = ledger.dropped.into_iter().collect();
    let done = match &dropped[..] {
        [] => {
            let sent = |(_, interface): &(usize, &swath_core::plan::InterfacePlan)| interface.spec.name.value.clone();
            let counted = &engine.counters()[0].interfaces;
            let by = engine.plan().interfaces.iter().enumerate().find(|(at, _)| counted[*at].sent.get() == 1);
            Ok(sent(&by.unwrap_or_else(|| panic!("{packet}: nothing was sent"))))
        }
        [(node, reasons)] => Err((node.clone(), reasons.keys().next().unwrap().clone())),
        several => panic!("{packet}: {several:?}"),
    };
    (said, done)
}

#[test]
fn what_is_said_happens() {
    let destinations = [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "192.168.1.77",
        "192.168.1.2",
        "192.168.1.255",
        "224.0.0.1",
        "127.0.0.1",
        "10.9.0.1",
        "10.8.0.1",
        "203.0.113.1",
        "255.255.255.255",
    ];
    let extras = [
        "",
        "ttl 1",
        "ttl 0",
        "df len 1500",
        "len 1500",
        "bad-ip-checksum",
        "dst-mac 02:00:00:00:09:09",
        "dst-mac ff:ff:ff:ff:ff:ff",
        "vlan 7",
        "frag 1480",
        "mf len 100",
        "dscp 46 pad 18",
    ];
    let mut ends = std::collections::BTreeSet::new();
    for destination in destinations {
        for extra in extras {
            let ports = if extra.starts_with("frag") { ["", ""] } else { [":4000", ":25"] };
            for (protocol, source) in [("udp", "192.168.1.2"), ("tcp", "192.168.1.2"), ("udp", "192.168.1.66"), ("udp", "0.0.0.0")]
            {
                let packet = format!("{protocol} {source}{} > {destination}{} {extra}", ports[0], ports[1]);
                let (said, done) = said_and_done(&packet);
                assert_eq!(said.as_ref(), Some(&done), "{packet}");
                ends.insert(done);
            }
        }
    }
    for frame in ["hex 0102", "eth 02:00:00:00:00:01 > 02:00:00:00:01:01 type 0x88cc", "arp who-has 192.168.1.1 tell 192.168.1.2"] {
        let (said, done) = said_and_done(frame);
        assert_eq!(said, Some(done), "{frame}");
    }
    // Enough of them that the walk is no accident.
    assert!(ends.len() >= 15, "{ends:?}");
}

/// What is kept of a graph that is run for a while: counters, ledgers, and all that tables tell.
fn dump(engine: &Engine) -> String {
    let mut text = format!("{:?} {:?}", engine.ledger(), engine.nodes());
    for table in engine.plan().tables.iter().map(|table| &*table.spec.name.value) {
        for question in [r#"{"show": {}}"#, r#"{"sessions": {}}"#, r#"{"blocks": {}}"#, r#"{"rules": {}}"#] {
            let answer = engine.ask(table, question).map(|answer| answer.reply);
            text += &format!("\n{table} {question} {:?}", answer.ok());
        }
    }
    text
}

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[(self.next() % words.len() as u64) as usize]
    }
}

/// An IPv4 packet between a few hosts, of which sessions can be made, and what disturbs them.
fn packet(random: &mut Random, from: &[&str], to: &[&str]) -> String {
    let (from, to) = (random.of(from), random.of(to));
    let (sport, dport) =
        (random.of(&["4000", "4001", "20000", "20001"]), random.of(&["53", "443", "25", "4000", "20000", "20001"]));
    let extra =
        random.of(&["", "", "", "", "ttl 1", "len 1800", "df len 1800", "bad-checksum", "id 7 mf len 100", "bad-ip-checksum"]);
    match random.next() % 10 {
        0..4 => format!("udp {from}:{sport} > {to}:{dport} {extra}"),
        4..7 => {
            let flags = random.of(&["syn", "syn", "syn,ack", "ack", "ack", "fin,ack", "rst", "syn,fin"]);
            format!("tcp {from}:{sport} > {to}:{dport} flags {flags} {extra}")
        }
        7 => format!(
            "icmp {from} > {to} {} id {}",
            random.of(&["echo-request", "echo-request", "echo-reply"]),
            random.of(&["1", "2"])
        ),
        8 => {
            let inner = format!("udp {to}:{dport} > {from}:{sport}");
            let quoted: String =
                TextPacket::parse(&inner).unwrap().frame()[14..42].iter().map(|byte| format!("{byte:02x}")).collect();
            format!("icmp {from} > {to} {} payload hex {quoted}", random.of(&["unreachable", "time-exceeded"]))
        }
        _ => format!("udp {from} > {to} id 7 frag {} len 134 {}", random.of(&["48", "80", "160"]), random.of(&["", "mf"])),
    }
}

/// A frame between stations, or a message of ARP.
fn frame(random: &mut Random, own: &str) -> String {
    let station = |random: &mut Random| random.of(&["02:00:00:00:09:01", "02:00:00:00:09:02", "02:00:00:00:09:03"]);
    let (from, to) = (station(random), if random.next().is_multiple_of(4) { "ff:ff:ff:ff:ff:ff" } else { station(random) });
    match random.next() % 6 {
        0 => format!(
            "arp who-has {own} tell {}",
            random.of(&["192.168.1.10", "192.168.1.77", "192.168.1.78", "203.0.113.1", "0.0.0.0"])
        ),
        1 => format!("arp reply {} is-at {from} to {own}", random.of(&["192.168.1.77", "192.168.1.78", "203.0.113.1", own])),
        2 => format!("eth {from} > 01:80:c2:00:00:0e type 0x88cc payload hex 0207"),
        _ => format!("eth {from} > {to} type 0x88b5 payload hex 0207 {}", random.of(&["", "vlan 7", "len 1600"])),
    }
}

/// An interface: its name, its hardware address, and the addresses that packets come from there and are for; none if they are frames alone.
type Side<'a> = (&'a str, [u8; 6], &'a [&'a str], &'a [&'a str]);

/// How packets are explained that come one after the other, of a graph whose state they change: each is explained, which changes nothing, and
/// then comes in, and passes the nodes by the edges that were said.
fn explained_in_turn(name: &str, changes: &[(&str, &str)], ports: [Side<'_>; 2], seed: u64, workers: usize) -> Vec<String> {
    const COUNT: u64 = 150;
    let mut random = Random(seed);
    let place = Place::new();
    let mut text = std::fs::read_to_string(common::graph(name)).unwrap();
    text = text.replace("include: templates/", &format!("include: {}/", common::graph("templates").display()));
    text = text
        .replace("\nversion: 1\n", &format!("\nversion: 1\nengine: {{ workers: {workers}, buffers: 2048, hugepages: never }}\n"));
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    // Of both interfaces one has a packet that counts; that of the other is too short.
    let hex = |frame: &[u8]| format!("hex {}", frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let mut come: Vec<(usize, String, Vec<u8>)> = Vec::new();
    for _ in 0..COUNT {
        let at = (random.next() % 2) as usize;
        let (_, mac, from, to) = ports[at];
        let own = if at == 0 { "192.168.1.1" } else { "203.0.113.2" };
        let packet = if from.is_empty() || random.next().is_multiple_of(8) {
            frame(&mut random, own)
        } else {
            packet(&mut random, from, to)
        };
        let read = TextPacket::parse(&packet).unwrap_or_else(|error| panic!("{packet}: {error}"));
        come.push((at, packet, read.frame_with(Mac::SOURCE, Mac(mac))));
    }
    for (at, (interface, ..)) in ports.iter().enumerate() {
        let packets: Vec<String> =
            come.iter().map(|(of, _, frame)| if *of == at { format!("'{}'", hex(frame)) } else { "hex 0102".into() }).collect();
        let generate = format!("generate: {{ rate: 997pps, limit: {COUNT}, packets: [{}] }}", packets.join(", "));
        let place = [1, 2].map(|spaces| format!("  {interface}:{:spaces$}{{ driver: memory, ", ""));
        let driver = place.iter().find(|driver| text.contains(&***driver)).unwrap_or_else(|| panic!("{interface}"));
        text = text.replace(driver, &format!("{driver}{generate}, "));
    }
    // Without its tests, which expect other interfaces.
    let text = text.split("\ntests:").next().unwrap();
    let path = place.text("graph.yaml", text);
    let mut graph = Graph::open(&path).unwrap_or_else(|_| panic!("{name}"));
    let plan = graph.plan(&registry()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (pool, _) = packet_memory(&plan.engine).unwrap();
    let mut engine = graph.build(plan, &pool, Time::Virtual).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut told = Vec::new();
    for (number, (at, packet, frame)) in (0_u64..).zip(&come) {
        // At no time at which a node has a tick, which would come between the question and the packet.
        let now = number * 1_000_000_000 / 997;
        if let Some(before) = now.checked_sub(1000) {
            engine.step_until(before);
        }
        let before = dump(&engine);
        let steps = engine.explain(ports[*at].0, frame).unwrap();
        assert_eq!(dump(&engine), before, "{name} {seed}: {packet}");
        let counted = edges(&engine);
        engine.step_until(now + 1000);
        let counts = edges(&engine);
        let line = |step: &swath_core::run::Seen| format!("{}.{} {}", step.node, step.edge, step.note);
        let said: Vec<String> = steps.iter().map(line).collect();
        // What the packet itself opens at one node, another one behind it on the same table does not know of.
        let opens = steps.iter().position(|step| step.note.contains("a new session")).unwrap_or(steps.len());
        let asks = steps.iter().skip(opens + 1).position(|step| step.kind.starts_with("nat44-"));
        // Of several workers another one may receive it, which keeps other packets, and has sent other errors.
        let is_own = |step: &swath_core::run::Seen| {
            workers > 1 && ["ip4-resolve", "ip4-reassembly", "ip4-fragment", "icmp-error"].contains(&step.kind)
        };
        let is_own = steps.iter().position(is_own).unwrap_or(steps.len());
        for step in &steps[..asks.map_or(steps.len(), |asks| opens + 1 + asks).min(is_own)] {
            assert_ne!(step.fate, Fate::NotSimulated, "{name} {seed}: {packet}: {}", step.node);
            let edge = (step.node.clone(), step.edge.clone());
            let more = counts.get(&edge).copied().unwrap_or(0) - counted.get(&edge).copied().unwrap_or(0);
            assert!(more >= 1, "{name} {workers} {seed} {number}: {packet} by {}: {edge:?} of {said:#?}", ports[*at].0);
        }
        told.extend(said);
    }
    assert_eq!(engine.ledger().discrepancies(), Vec::<String>::new());
    told
}

fn edges(engine: &Engine) -> BTreeMap<(String, String), u64> {
    let of = |node: swath_core::run::NodeTotals| {
        let name = node.name;
        node.edges.into_iter().map(move |(edge, _, _, count)| ((name.clone(), edge.into_owned()), count))
    };
    engine.nodes().into_iter().flat_map(of).collect()
}

const INSIDE: &[&str] = &["192.168.1.10", "192.168.1.11", "192.168.1.77"];
const OUTSIDE: &[&str] = &["203.0.113.1", "8.8.8.8"];
const FROM_INSIDE: &[&str] = &["203.0.113.1", "8.8.8.8", "8.8.8.8", "192.168.1.1", "203.0.113.2", "192.168.1.77", "192.168.1.79"];
const FROM_OUTSIDE: &[&str] =
    &["203.0.113.2", "203.0.113.2", "203.0.113.2", "192.168.1.10", "192.168.1.11", "192.168.1.1", "8.8.4.4"];

#[test]
fn what_is_said_happens_in_graphs_that_keep_state() {
    let router = |names: [&'static str; 2]| {
        let mac = |last| [2, 0, 0, 0, last, 1];
        [(names[0], mac(1), INSIDE, FROM_INSIDE), (names[1], mac(2), OUTSIDE, FROM_OUTSIDE)]
    };
    let bridge = [("a", [0xff; 6], &[][..], &[][..]), ("b", [0xff; 6], &[][..], &[][..])];
    let little = [
        ("pool: [203.0.113.2]", "pool: ['203.0.113.2:20000-20005']"),
        ("per-user: { ports: 8192, sessions: 16384 }", "per-user: { ports: 4, sessions: 6 }"),
    ];
    let mut told = std::collections::BTreeSet::new();
    for seed in 0..4 {
        for workers in [1, 2] {
            let mut run = |name: &str, changes: &[_], ports| told.extend(explained_in_turn(name, changes, ports, seed, workers));
            if workers == 1 {
                // What it puts together and keeps is each worker's own: a packet is explained as of the first queue.
                run("ip4-router.yaml", &[], router(["lan", "wan"]));
            }
            run("nat-gateway.yaml", &little, router(["inside", "outside"]));
            let few = [("capacity: 262144, per-source: 16384", "capacity: 16, per-source: 4")];
            run("firewall.yaml", &few, router(["inside", "outside"]));
            run("bridge.yaml", &[], bridge);
        }
    }
    // Each node that keeps something had something to say, and each kind of end.
    for word in [
        "snat.ok session ",
        "snat.ok a new session, as ",
        "snat.exhausted no ",
        "dnat.ok session ",
        "dnat.filtered by the mapping ",
        "filter.permitted session ",
        "filter.permitted rule 2 `out` permits it and what answers it, a new session",
        "filter.source-limit ",
        "resolve.held neighbour ",
        "arp.reply ",
        "arp.learnt ",
        "fragment.ok ",
        "reassembly.collected ",
        "local.reply echo reply from ",
        "icmp-error.ok ",
        "bridge.forward ",
        "flood.ok a copy to ",
    ] {
        assert!(told.iter().any(|line| line.starts_with(word)), "{word}: {told:#?}");
    }
}
