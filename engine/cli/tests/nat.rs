//! `swath run` with a table `nat44`, by its control API, its logs and its files.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::Place;
use common::running::Running;
use serde_json::Value;

/// Hosts that each send a packet a few times, and what becomes of it.
fn graph(hosts: u32, nat: &str) -> String {
    format!(
        "version: 1
engine: {{ workers: 2 }}
interfaces:
  inside: {{ driver: memory, addresses: [10.0.0.1/16], generate: {{ flows: {{ sources: [10.0.0.0/16], destinations: [198.51.100.0/24], count: {} }}, limit: {} }} }}
  slow: {{ driver: memory, generate: {{ packets: [udp 10.1.0.1:1 > 10.0.0.2:2], rate: 5 }} }}
  outside: {{ driver: memory, addresses: [203.0.113.1/24] }}
tables:
  nat: {{ kind: nat44, inside: [inside], inside-prefixes: [10.0.0.0/16], outside: [outside], pool: [203.0.113.8/29], {nat} }}
nodes:
  rx:   {{ kind: rx, interface: inside, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: snat }} }}
  snat: {{ kind: nat44-in2out, to: out }}
  out:  {{ kind: drop }}
  slow-rx: {{ kind: rx, interface: slow, to: nowhere }}
  nowhere: {{ kind: drop }}
",
        hosts.max(1),
        hosts * 3
    )
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

fn read(path: &Path) -> Vec<Value> {
    lines(&std::fs::read_to_string(path).unwrap())
}

fn events(lines: &[Value], event: &str) -> usize {
    lines.iter().filter(|line| line["event"] == event).count()
}

/// Blocks that are given and taken back are events and lines, each once; a file that is moved away is made anew; and who has a block is told.
#[test]
fn blocks_are_logged() {
    let place = Place::new();
    let (path, old) = (place.path("nat.log"), place.path("nat.log.1"));
    let running = Running::with(&place, &graph(100, "port-blocks: { size: 64, per-user: 1, hold-off: 0s, log: nat.log }"), &[]);
    running.until("/v1/tables/nat", |table| figure(table, "nat44_port_blocks_given") == 100);
    wait_for(|| events(&read(&path), "port-block-allocated") == 100);
    let told = running.told(["nat", "blocks"]);
    let first = read(&path);
    let listed: BTreeMap<&str, String> = first[1..]
        .iter()
        .map(|line| (line["inside"].as_str().unwrap(), format!("{}:{}-{}", line["outside"], line["first-port"], line["last-port"])))
        .collect();
    assert_eq!((first[0]["event"].as_str(), listed.len(), told.lines().count()), (Some("begins"), 100, 100));
    for line in told.lines() {
        let [inside, outside, "1", "mappings"] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!(listed[inside].replace('"', ""), outside);
        let port = outside.split_once('-').unwrap().0;
        assert_eq!(running.told(["nat", "blocks", "--outside", port]), format!("{line}\n"));
        assert_eq!(running.told(["nat", "blocks", "--inside", inside]), format!("{line}\n"));
    }
    std::fs::rename(&path, &old).unwrap();
    assert_eq!(running.ask(["nat", "sessions", "remove", "--protocol", "udp"]).code, 0);
    wait_for(|| path.exists() && events(&read(&path), "port-block-released") == 100);
    assert_eq!(read(&old), first);
    assert_eq!(running.told(["nat", "blocks"]), "");
    let log = running.end();
    let second = read(&path);
    assert_eq!((second.len(), second[100]["event"].as_str(), second[100]["table"].as_str()), (101, Some("ends"), Some("nat")));
    let key = |line: &Value| ["inside", "outside", "first-port", "last-port"].map(|name| line[name].to_string());
    let sorted = |lines: &[Value]| {
        let mut keys: Vec<_> = lines.iter().map(key).collect();
        keys.sort();
        keys
    };
    assert_eq!(sorted(&first[1..]), sorted(&second[..100]));
    // Those of the log are the same, but that `at` is when it was, and `ts` when it was written.
    let mut logged: Vec<Value> = lines(&log).into_iter().filter(|line| line["target"] == "swath::records").collect();
    assert!(logged.iter().all(|line| line["level"] == "info" && line["subject"] == "nat" && line["at"].is_string()));
    logged.retain(|line| line["msg"] == "port-block-released");
    assert_eq!(sorted(&logged), sorted(&second[..100]));
}

fn figure(table: &Value, name: &str) -> u64 {
    let figures = table["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["name"] == name).and_then(|figure| figure["value"].as_u64()).unwrap_or_default()
}

fn wait_for(so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !so() {
        assert!(start.elapsed() < common::running::LIMIT);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Where a file cannot be written, it runs, and says so.
#[test]
fn a_log_that_cannot_be_written_is_told() {
    let place = Place::new();
    let running = Running::with(&place, &graph(10, "port-blocks: { size: 64, log: nowhere/nat.log }"), &[]);
    running.until("/v1/tables/nat", |table| figure(table, "nat44_port_blocks_given") == 10);
    let log = lines(&running.end());
    let error = log.iter().find(|line| line["msg"].as_str().unwrap().starts_with("records are not kept: ")).expect("an error");
    assert!(error["file"].as_str().unwrap().ends_with("nowhere/nat.log") && error["level"] == "error", "{error}");
}

fn sessions(running: &Running) -> u64 {
    let answer: Value = serde_json::from_str(&running.told(["nat", "sessions", "count", "--format", "json"])).unwrap();
    answer["found"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

/// What was saved by hand comes back in an engine that runs, and what is kept comes back when the next one starts; a file that is damaged
/// changes nothing.
#[test]
fn sessions_outlive_the_engine() {
    let place = Place::new();
    let (kept, by_hand) = (place.path("nat.state"), place.path("by-hand"));
    let graph = |hosts| graph(hosts, "persist: nat.state");
    let count = |wanted: u64| move |table: &Value| figure(table, "nat44_mappings") == wanted;
    let first = Running::start(&place, &graph(3000));
    first.until("/v1/tables/nat", count(3000));
    let said = first.ask(["nat".as_ref(), "save".as_ref(), by_hand.as_os_str()]);
    assert_eq!((said.code, &*said.out, &*said.err), (0, "", &*format!("3000 sessions saved in {}\n", by_hand.display())));
    assert!(!kept.exists());
    let log = first.end();
    assert!(log.contains(&format!("3000 sessions saved in {}", kept.display())), "{log}");
    // The two are the same but for the time.
    let key = |line: &Value| (line["forward"].to_string(), line["reverse"].to_string(), line["state"].to_string());
    let saved = |path: &Path| {
        let all = read(path);
        all[1..all.len() - 1].iter().map(key).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((saved(&kept).len(), saved(&kept)), (3000, saved(&by_hand)));
    // Nobody sends anything: what there is has come from the file.
    let second = Running::start(&place, &graph(0));
    second.until("/v1/tables/nat", count(3000));
    let listed = second.told(["nat", "sessions", "list", "--address", "10.0.0.77"]);
    assert!(
        saved(&kept).iter().any(|(forward, ..)| forward.contains("\"10.0.0.77\"")) && listed.contains("10.0.0.77:"),
        "{listed}"
    );
    // By hand: into one that has them, into one that has not, and what is damaged.
    let restore = |path: &Path| second.ask(["nat".as_ref(), "restore".as_ref(), path.as_os_str()]);
    assert_eq!(restore(&by_hand).err, "0 sessions restored, 3000 not taken (taken 3000) in `nat`\n");
    assert_eq!(second.ask(["nat", "sessions", "remove", "--protocol", "udp"]).code, 0);
    let good = std::fs::read(&by_hand).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    std::fs::write(&by_hand, &bad).unwrap();
    let said = restore(&by_hand);
    assert_eq!(said.code, 1);
    let error = format!("{}: it is damaged: its checksum is another; nothing is restored\n", by_hand.display());
    assert!(said.err.ends_with(&error), "{}", said.err);
    assert_eq!(sessions(&second), 0);
    std::fs::write(&by_hand, &good).unwrap();
    assert_eq!(restore(&by_hand).err, "3000 sessions restored in `nat`\n");
    assert_eq!(sessions(&second), 3000);
    second.end();
    assert_eq!(saved(&kept), saved(&by_hand));
    // Damaged while nothing ran: it starts with nothing, and nothing is lost.
    std::fs::write(&kept, &bad).unwrap();
    let third = Running::start(&place, &graph(0));
    assert_eq!(sessions(&third), 0);
    assert_eq!(std::fs::read(place.path("nat.state.refused")).unwrap(), bad);
    third.end();
    assert_eq!(read(&kept).len(), 2);
}

/// What the documentation shows of forwards, on the shipped gateway.
#[test]
fn forwards_come_and_go() {
    let path = common::graph("nat-gateway.yaml");
    let template = path.parent().unwrap().join("templates/ip4-origin.yaml");
    let include = format!("include: {}", template.display());
    let graph = std::fs::read_to_string(&path).unwrap().replacen("include: templates/ip4-origin.yaml", &include, 1);
    // An engine without anything to receive would end.
    let traffic = "inside:  { driver: memory, generate: { packets: [udp 192.168.1.10:1 > 198.51.100.2:9], rate: 5 },";
    let graph = graph.replacen("inside:  { driver: memory,", traffic, 1);
    let document = std::fs::read_to_string(path.parent().unwrap().join("../docs/nat44-rfcs.md")).unwrap();
    let shown: Vec<Vec<&str>> =
        document.lines().filter_map(|line| line.strip_prefix("$ swath ")).map(|line| line.split(' ').collect()).collect();
    let [add, list, del] = &shown[..] else { panic!("{shown:?}") };
    let place = Place::new();
    let running = Running::start(&place, &graph);
    let of_settings = "tcp  203.0.113.2:443        192.168.1.11:443\nall  203.0.113.3            192.168.1.12\n";
    assert_eq!(running.told(list), of_settings);
    let said = running.ask(add);
    assert_eq!((said.code, &*said.err), (0, "1 forward added to `nat`\n"));
    assert_eq!(running.told(list), format!("{of_settings}tcp  203.0.113.2:8443       192.168.1.20:443\n"));
    let json: Value = serde_json::from_str(&running.told(list.iter().chain(&["--format", "json"]))).unwrap();
    let ours = serde_json::json!({
        "inside": "192.168.1.20", "inside-port": 443, "outside": "203.0.113.2", "protocol": "tcp", "port": 8443,
    });
    assert_eq!((json["forwards"].as_array().unwrap().len(), &json["forwards"][2]), (3, &ours));
    let again = running.ask(add);
    assert!(again.code == 1 && again.err.contains("another `static` has it already"), "{}", again.err);
    let said = running.ask(del);
    assert_eq!((said.code, &*said.err), (0, "1 forward removed from `nat`\n"));
    assert_eq!(running.told(list), of_settings);
    let said = running.ask(del);
    assert!(said.code == 1 && said.err.contains("there is no such forward"), "{}", said.err);
    // What is half said is not sent.
    for half in [&["nat", "forward", "del", "--port", "443"][..], &["nat", "forward", "add", "--protocol", "tcp", "--port", "443"]]
    {
        assert_eq!(running.ask(half).code, 64, "{half:?}");
    }
    running.end();
}
