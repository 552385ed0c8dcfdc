//! Rules of the node `acl-filter`.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use super::common::{Place, said};
use super::random::Rng;
use super::{Address, BATCH, Bench, Sent, address, apply, arrive, end, figures, random_frame, received, settle, start};
use swath_core::run::Engine;

const DRIVER: &str = "driver: af-xdp, checksum: trust, queues: 2";

/// A rule, as whoever reads it without a table would have it.
#[derive(Debug, Clone)]
struct Rule {
    name: String,
    action: &'static str,
    is_ip6: bool,
    /// The first address, and how many of its bits count; 0: any.
    sides: [(u128, u32); 2],
    /// Words that ask for more, and whether they hold for UDP from port 1 to port 2.
    more: (&'static str, bool),
    rx: Option<usize>,
}

impl Rule {
    fn random(rng: &mut Rng, name: String) -> Rule {
        let is_ip6 = rng.below(2) == 0;
        let (_, source) = address(rng, is_ip6);
        let (_, destination) = address(rng, is_ip6);
        let mut side = |address: u128| {
            let length = if is_ip6 { [0, 64, 122, 128] } else { [0, 24, 26, 32] }[rng.below(4)];
            let width = if is_ip6 { 128 } else { 32 };
            (if length == 0 { 0 } else { address >> (width - length) << (width - length) }, length)
        };
        let sides = [side(source), side(destination)];
        // Most are plain.
        let action = ["deny", "deny", "deny", "deny", "permit", "reject", "count"][rng.below(7)];
        let more = match rng.below(8) {
            0 => (", protocol: udp, destination-port: 2", true),
            1 => (", protocol: tcp, destination-port: 2", false),
            2 => (", dscp: 9", false),
            _ => ("", true),
        };
        Rule { name, action, is_ip6, sides, more, rx: rng.one_in(4).then(|| rng.below(2)) }
    }

    fn text(&self) -> String {
        let Rule { name, action, is_ip6, sides, more, rx } = self;
        let family = if *is_ip6 { "ip6" } else { "ip4" };
        let mut text = format!("{{ name: {name}, action: {action}, family: {family}");
        for (key, (bits, length)) in ["source", "destination"].into_iter().zip(sides).filter(|(_, (_, length))| *length > 0) {
            let octets = std::net::Ipv4Addr::from(*bits as u32).to_string();
            let address = if *is_ip6 { std::net::Ipv6Addr::from(*bits).to_string() } else { octets };
            text += &format!(", {key}: '{address}/{length}'");
        }
        if let Some(rx) = rx {
            text += &format!(", rx: {}", ["a", "b"][*rx]);
        }
        format!("{text}{} }}", more.0)
    }

    /// In the words of a command.
    fn json(&self) -> String {
        let value: serde_json::Value = yaml(&self.text());
        value.to_string()
    }

    fn holds(&self, sent: &Sent, pair: [Address; 2]) -> bool {
        let width = if self.is_ip6 { 128 } else { 32 };
        let is_in = |(first, length): (u128, u32), (six, address): Address| {
            six == self.is_ip6 && (first ^ address).checked_shr(width - length).unwrap_or(0) == 0
        };
        self.more.1
            && self.rx.is_none_or(|rx| rx == sent.interface)
            && self.sides.into_iter().zip(pair).all(|(side, address)| is_in(side, address))
    }
}

/// A mapping of plain words in braces.
fn yaml(text: &str) -> serde_json::Value {
    let inside = text.trim_start_matches("{ ").trim_end_matches(" }");
    let value = |text: &str| text.parse::<u64>().map_or_else(|_| text.trim_matches('\'').into(), serde_json::Value::from);
    let word = |(key, text): (&str, &str)| (key.to_string(), if key == "destination-port" { text.into() } else { value(text) });
    inside.split(", ").map(|pair| word(pair.split_once(": ").unwrap())).collect::<serde_json::Map<_, _>>().into()
}

/// What becomes of a frame: the edge, and the rules that count it, the one that decides last.
fn judge<'a>(rules: &'a [Rule], sent: &Sent) -> (&'static str, Vec<&'a str>) {
    let Some(pair) = sent.pair else { return (if sent.is_ip { "bad-header" } else { "not-ip" }, Vec::new()) };
    let mut counted = Vec::new();
    for rule in rules.iter().filter(|rule| rule.holds(sent, pair)) {
        counted.push(&*rule.name);
        match rule.action {
            "deny" => return ("denied", counted),
            "permit" => return ("permitted", counted),
            "reject" => return ("rejected", counted),
            _ => {}
        }
    }
    ("permitted", counted)
}

fn graph(driver: &str, workers: usize, filter: &str, table: &str, rules: &[Rule]) -> String {
    let rules: String = rules.iter().map(|rule| format!("      - {}\n", rule.text())).collect();
    let rules = if rules.is_empty() { " []\n".into() } else { format!("\n{rules}") };
    format!(
        "version: 1
engine: {{ workers: {workers}, buffers: 8192 }}
interfaces:
  a: {{ device: in0, {driver} }}
  b: {{ device: in1, {driver} }}
  out: {{ driver: pcap, write: out.pcap }}
tables:
  rules:
    kind: acl
    default: permit
    {table}
    rules:{rules}nodes:
  a-rx:   {{ kind: rx, interface: a, to: filter }}
  b-rx:   {{ kind: rx, interface: b, to: filter }}
  filter: {{ kind: acl-filter, layer: ethernet, {filter} to: {{ permitted: tx, rejected: tx, not-ip: tx }} }}
  tx:     {{ kind: tx, interface: out }}
"
    )
}

/// What each rule has counted, and the default, when what was received is through.
fn hits(engine: &Engine) -> (BTreeMap<String, u64>, u64) {
    settle(engine);
    let reply: serde_json::Value = serde_json::from_str(&engine.command("rules", r#"{"hits": {}}"#).unwrap()).unwrap();
    let of =
        |counted: &serde_json::Value| (counted["rule"]["name"].as_str().unwrap().to_string(), counted["packets"].as_u64().unwrap());
    (reply["hits"]["rules"].as_array().unwrap().iter().map(of).collect(), reply["hits"]["default"].as_u64().unwrap())
}

/// Of any protocol, whole or not, a fragment or not: the node and the program have to agree on all.
fn any_frame(rng: &mut Rng) -> Sent {
    let mut sent = random_frame(rng);
    if sent.tags > 0 || sent.pair.is_none() {
        return sent;
    }
    let six = sent.frame[12] == 0x86;
    let protocols = [6, 17, 1, 58, 132, 33, 136, 47, 4, 253, 0, 44, 60, 51];
    sent.frame[if six { 20 } else { 23 }] = rng.pick(&protocols);
    if !six && rng.one_in(3) {
        let fragment: [u8; 2] = rng.pick(&[[0x20, 0], [0x20, 1], [0, 1], [0, 2], [0x40, 0], [0x1f, 0xff]]);
        sent.frame[20..22].copy_from_slice(&fragment);
    }
    if rng.one_in(4) {
        let length = 12 + 2 + if six { 40 } else { 20 } + rng.below(24);
        sent.frame.truncate(length.max(sent.frame.len().min(length)));
        let (at, fixed) = if six { (18, 54) } else { (16, 14) };
        let length = (sent.frame.len().saturating_sub(fixed)) as u16;
        sent.frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
    sent
}

/// The same frames by the driver and by the node alone: everything is equal, what each rule has counted, too.
#[test]
fn a_driver_and_the_node_deny_the_same() {
    let Some(mut bench) = Bench::new() else { return };
    let mut rng = Rng::new();
    for table in ["fragments: skip-l4-rules", "fragments: l3-only", "fragments: drop"] {
        // The first one is always the driver's.
        let first = Rule {
            name: "first".into(),
            action: "deny",
            is_ip6: false,
            sides: [(0x0a00_0100, 24), (0, 0)],
            more: ("", true),
            rx: None,
        };
        let rules: Vec<Rule> = [first].into_iter().chain((0..12).map(|at| Rule::random(&mut rng, format!("r{at}")))).collect();
        let frames: Vec<Sent> = (0..5 * BATCH).map(|_| any_frame(&mut rng)).collect();
        let mut seen = None;
        for (driver, workers, filter) in [
            (DRIVER, 1, ""),
            (DRIVER, 1, "offload: xdp,"),
            (DRIVER, 2, "offload: xdp,"),
            ("driver: af-xdp, checksum: trust, queues: 2, xdp: generic", 1, "offload: xdp,"),
        ] {
            let place = Place::new();
            let mut engine = start(&place, &graph(driver, workers, filter, table, &rules));
            frames.chunks(BATCH).for_each(|batch| bench.send(&engine, batch));
            let news: Vec<String> = engine.news().into_iter().map(|(interface, news)| format!("{interface}: {news}")).collect();
            for interface in ["a", "b"].into_iter().filter(|_| !filter.is_empty()) {
                let said = "what plain rules of `filter` deny of what comes in is dropped in the kernel, before it is copied";
                assert!(news.contains(&format!("{interface}: {said}")), "{news:?}");
            }
            let counted = hits(&engine);
            let (out, counters, offloaded) = end(&place, &mut engine);
            assert_eq!(offloaded > 0.0, !filter.is_empty(), "{driver} {filter}");
            let (first_out, first_counters, first_counted) = seen.get_or_insert((out.clone(), counters.clone(), counted.clone()));
            assert_eq!(&counted, first_counted, "{driver} {filter} {table} {rules:?}");
            assert_eq!(&counters, first_counters, "{driver} {filter} {table} {rules:?}");
            assert!(&out == first_out, "{driver} {filter} {table}: {} and {}", out.len(), first_out.len());
        }
    }
}

/// What should have come of all that was sent.
#[derive(Default)]
struct Expected {
    edges: BTreeMap<&'static str, u64>,
    /// Of the rules that are there.
    rules: BTreeMap<String, u64>,
    sent: u64,
}

impl Expected {
    fn note(&mut self, rules: &[Rule], frames: &[Sent]) {
        for frame in frames {
            let (edge, counted) = judge(rules, frame);
            *self.edges.entry(edge).or_default() += 1;
            counted.into_iter().for_each(|rule| *self.rules.get_mut(rule).unwrap() += 1);
            self.sent += 1;
        }
    }

    /// Other rules: those of the same name go on, if they do.
    fn replace(&mut self, rules: &[Rule]) {
        let before = std::mem::take(&mut self.rules);
        let goes_on = |rule: &Rule| before.get(&rule.name).copied().unwrap_or(0);
        self.rules = rules.iter().map(|rule| (rule.name.clone(), goes_on(rule))).collect();
    }

    fn check(&self, engine: &Engine) {
        assert_eq!(hits(engine).0, self.rules);
    }

    fn check_end(&self, place: &Place, engine: &mut Engine) {
        let (got, _, _) = end(place, engine);
        let ledger = engine.ledger();
        let drops = |reason: &str| ledger.dropped.get("filter").and_then(|drops| drops.get(reason)).copied();
        for reason in ["denied", "bad-header"] {
            assert_eq!(drops(reason), self.edges.get(reason).copied(), "{reason}");
        }
        let passed: u64 = ["permitted", "rejected", "not-ip"].iter().filter_map(|edge| self.edges.get(edge)).sum();
        assert_eq!((ledger.received, ledger.sent, got.len() as u64), (self.sent, passed, passed));
    }
}

/// A rule is added, removed, or all are replaced. Returns the command.
fn change(rng: &mut Rng, rules: &mut Vec<Rule>) -> String {
    let free = (0..).map(|at| format!("r{at}")).find(|name| rules.iter().all(|rule| rule.name != *name)).unwrap();
    match rng.below(5) {
        0 if !rules.is_empty() => {
            let gone = rules.remove(rng.below(rules.len()));
            format!(r#"{{"remove": {{"name": "{}"}}}}"#, gone.name)
        }
        1 => {
            let mut names: Vec<usize> = (0..12).collect();
            rng.shuffle(&mut names);
            *rules = names[..rng.below(8)].iter().map(|name| Rule::random(rng, format!("r{name}"))).collect();
            let all: Vec<String> = rules.iter().map(Rule::json).collect();
            format!(r#"{{"replace": {{"rules": [{}]}}}}"#, all.join(", "))
        }
        _ => {
            let (at, rule) = (rng.below(rules.len() + 1), Rule::random(rng, free));
            rules.insert(at, rule.clone());
            format!(r#"{{"add": {{"at": {at}, "rule": {}}}}}"#, rule.json())
        }
    }
}

/// Rules come and go, between packets and while they pass.
#[test]
fn rules_change_while_packets_pass() {
    let Some(mut bench) = Bench::new() else { return };
    let mut rng = Rng::new();
    let (place, mut rules) = (Place::new(), Vec::new());
    let mut engine = start(&place, &graph(DRIVER, 2, "offload: xdp,", "fragments: skip-l4-rules", &rules));
    let mut expected = Expected::default();
    for _ in 0..40 {
        let before = rules.clone();
        let command = change(&mut rng, &mut rules);
        // On their way while rules change: those of which both say the same.
        let frames: Vec<Sent> = (0..BATCH).map(|_| random_frame(&mut rng)).collect();
        let frames: Vec<Sent> = frames.into_iter().filter(|frame| judge(&rules, frame) == judge(&before, frame)).collect();
        let all = received(&engine) + frames.len() as u64;
        bench.post(&frames);
        engine.command("rules", &command).unwrap_or_else(|error| panic!("{command}: {error}"));
        arrive(&engine, all);
        expected.replace(&rules);
        expected.note(&rules, &frames);
        // And when they have changed.
        settle(&engine);
        let others: Vec<Sent> = (0..BATCH / 2).map(|_| random_frame(&mut rng)).collect();
        bench.send(&engine, &others);
        expected.note(&rules, &others);
        expected.check(&engine);
    }
    expected.check_end(&place, &mut engine);
}

/// Graphs take each other's place while packets pass: none that is denied passes, none other is dropped, and rules go on with what they have
/// counted, whoever has dropped.
#[test]
fn graphs_change_while_packets_pass() {
    let Some(mut bench) = Bench::new() else { return };
    let mut rng = Rng::new();
    let first = Rule {
        name: "first".into(),
        action: "deny",
        is_ip6: false,
        sides: [(0x0a00_0100, 24), (0, 0)],
        more: ("", true),
        rx: None,
    };
    let mut some =
        || -> Vec<Rule> { [first.clone()].into_iter().chain((0..6).map(|at| Rule::random(&mut rng, format!("r{at}")))).collect() };
    let lists = [some(), some(), some()];
    let skip = "fragments: skip-l4-rules";
    // What is asked for, the rules, settings of the table, and whether the driver does it.
    let phases = [
        ("offload: xdp,", 0, skip, true),
        ("offload: xdp,", 1, skip, true),
        ("offload: xdp,", 1, "fragments: drop", true),
        ("offload: xdp,", 2, "fragments: l3-only", true),
        ("", 2, skip, false),
        // It is asked when it is attached.
        ("offload: xdp,", 0, skip, false),
    ];
    let place = Place::new();
    let mut engine = start(&place, &graph(DRIVER, 2, phases[0].0, phases[0].2, &lists[0]));
    let mut expected = Expected::default();
    expected.replace(&lists[0]);
    for (number, (filter, rules, table, by_driver)) in phases.into_iter().enumerate() {
        let rules = &lists[rules];
        if number > 0 {
            let before = &lists[phases[number - 1].1];
            let frames: Vec<Sent> = (0..BATCH).map(|_| random_frame(&mut Rng::fixed(number as u64 * 1000))).collect();
            let frames: Vec<Sent> = frames.into_iter().filter(|frame| judge(rules, frame) == judge(before, frame)).collect();
            let all = received(&engine) + frames.len() as u64;
            bench.post(&frames);
            let report = apply(&place, &mut engine, &graph(DRIVER, 2, filter, table, rules));
            assert_eq!((report.incomplete, report.not_carried), (vec![], Vec::<String>::new()), "{number}");
            arrive(&engine, all);
            expected.replace(rules);
            expected.note(rules, &frames);
        }
        settle(&engine);
        let before = [0, 1].map(|at| figures(&engine, at)[1]);
        let mut frames = Rng::fixed(number as u64);
        let frames: Vec<Sent> = (0..BATCH).map(|_| random_frame(&mut frames)).collect();
        bench.send(&engine, &frames);
        expected.note(rules, &frames);
        expected.check(&engine);
        let dropped: u64 = [0, 1].map(|at| figures(&engine, at)[1] - before[at]).iter().sum();
        assert_eq!(dropped > 0, by_driver, "{number}: {dropped}");
    }
    expected.check_end(&place, &mut engine);
}

/// A driver would decide otherwise than the node: the graph is refused.
#[test]
fn where_a_driver_would_decide_otherwise_it_is_refused() {
    for (filter, table, error) in [
        ("offload: xdp,", "sessions: {}", "the table keeps sessions, and a driver would drop what belongs to one"),
        ("offload: xdp,", "fragments: follow-first", "the table follows first fragments"),
        ("layer: ip, offload: xdp,", "fragments: drop", "a driver drops frames as they arrive"),
    ] {
        let text = graph("driver: af-packet", 1, filter, table, &[]).replacen("layer: ethernet, layer", "layer", 1);
        let refused = validated(&text);
        assert!(refused.contains(error), "{refused}");
    }
    let text = graph("driver: af-packet", 1, "offload: xdp,", "fragments: drop", &[])
        .replace("permitted: tx,", "permitted: tx, denied: tx,");
    let refused = validated(&text);
    assert!(refused.contains("the packets of `denied` go on"), "{refused}");
}

/// What is said of a graph that is refused.
fn validated(text: &str) -> String {
    let place = Place::new();
    let said = said([OsStr::new("validate"), place.text("graph.yaml", text).as_os_str()]);
    assert_eq!(said.code, 78, "{}{}", said.out, said.err);
    said.out + &said.err
}
