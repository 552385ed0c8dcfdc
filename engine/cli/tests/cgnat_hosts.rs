//! The provider's gateway that is shipped, `graphs/cgnat.yaml`, between hosts that are kernels: who has which port is computed from the inside
//! addresses, or found in the log, and compared with what a host outside has seen.
//!
//! ```text
//!   a  100.64.0.10 .0.64 .1.10 .3.254 ──┐
//!                                       s ── r-in   the gateway   r-out ── eth0   b .1   b-c ── c 198.51.100.2
//!   w  100.64.0.11 .0.127 .2.5 .3.1 ────┘                    203.0.113.0/29
//! ```

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::process::Stdio;

use common::hosts::Net;
use serde_json::{Value, json};

const C: &str = "198.51.100.2";
const USERS: [(&str, [&str; 4]); 2] = [
    ("a", ["100.64.0.10", "100.64.0.64", "100.64.1.10", "100.64.3.254"]),
    ("w", ["100.64.0.11", "100.64.0.127", "100.64.2.5", "100.64.3.1"]),
];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cgnat_hosts.py");

/// The shipped gateway on `r-in` and `r-out`, its neighbours to be found, and with other changes.
fn gateway(workers: usize, changes: &[(&str, &str)]) -> String {
    let path = common::graph("cgnat.yaml");
    let mut graph = std::fs::read_to_string(&path).unwrap();
    let template = path.parent().unwrap().join("templates/ip4-origin.yaml");
    let first = graph.find("kind: neighbours\n").unwrap() + "kind: neighbours\n".len();
    let last = first + graph[first..].find("\n\n").unwrap() + 1;
    graph.replace_range(first..last, "");
    let (include, engine) = (format!("include: {}", template.display()), format!("version: 1\nengine: {{ workers: {workers} }}\n"));
    let ours = [
        ("include: templates/ip4-origin.yaml", include.as_str()),
        ("inside:  { driver: memory,", "inside:  { driver: af-packet, device: r-in,"),
        ("outside: { driver: memory,", "outside: { driver: af-packet, device: r-out,"),
        ("version: 1\n", engine.as_str()),
    ];
    for (from, to) in ours.iter().chain(changes) {
        assert!(graph.contains(from), "{from}\n{graph}");
        graph = graph.replacen(from, to, 1);
    }
    graph
}

fn hosts() -> Option<Net> {
    let net = Net::new(&["a", "w", "s", "r", "b", "c"])?;
    net.ip("s", "link add switch type bridge mcast_snooping 0");
    net.cable("a", "eth0", "02:00:00:00:01:10", "s", "s-a");
    net.cable("w", "eth0", "02:00:00:00:01:11", "s", "s-w");
    net.cable("s", "s-r", "02:00:00:00:01:99", "r", "r-in");
    net.cable("b", "eth0", "02:00:00:00:02:02", "r", "r-out");
    net.cable("c", "eth0", "02:00:00:00:03:02", "b", "b-c");
    for port in ["s-a", "s-w", "s-r"] {
        net.ip("s", &format!("link set {port} master switch multicast off"));
    }
    net.ip("s", "link set switch up multicast off");
    for (name, [first, others @ ..]) in USERS {
        net.configure(name, &format!("{first}/22"), "100.64.0.1");
        others.iter().for_each(|address| _ = net.ip(name, &format!("address add {address}/22 dev eth0")));
    }
    net.ip("b", "link set eth0 multicast off");
    net.ip("b", "address add 203.0.113.1/29 dev eth0");
    net.ip("b", "route add 203.0.113.16/28 via 203.0.113.2");
    net.configure("c", &format!("{C}/24"), "198.51.100.1");
    net.ip("b", "link set b-c multicast off");
    net.ip("b", "address add 198.51.100.1/24 dev b-c");
    net.sh("b", "sysctl -qw net.ipv4.ip_forward=1");
    Some(net)
}

/// Who was seen outside.
struct Seen {
    protocol: String,
    inside: Ipv4Addr,
    outside: Ipv4Addr,
    port: u16,
}

/// All users open so many connections and send so many datagrams, all of which are answered: as they were seen outside.
fn speak(net: &Net, count: usize) -> Vec<Seen> {
    for (name, addresses) in USERS {
        addresses.iter().for_each(|address| net.pings(name, 1, &format!("-I {address} {C}")));
    }
    let mut server =
        net.command("c", &format!("python3 {SCRIPT} note 7000")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap());
    let mut text = String::new();
    said.read_line(&mut text).unwrap();
    assert_eq!(text, "ready\n");
    let clients = USERS.map(|(name, addresses)| {
        let line = format!("python3 {SCRIPT} users {C} 7000 {count} {}", addresses.join(" "));
        net.command(name, &line).stdout(Stdio::piped()).spawn().unwrap()
    });
    for client in clients {
        let output = client.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), (4 * count * 2).to_string());
    }
    drop(server.stdin.take());
    text.clear();
    said.read_to_string(&mut text).unwrap();
    assert!(server.wait().unwrap().success());
    let all: Vec<(String, Ipv4Addr, Ipv4Addr, u16)> = serde_json::from_str(&text).unwrap();
    assert_eq!(all.len(), 8 * count * 2);
    let ends: BTreeSet<_> = all.iter().map(|(protocol, _, outside, port)| (protocol, outside, port)).collect();
    assert_eq!(ends.len(), all.len(), "two at one end outside");
    all.into_iter().map(|(protocol, inside, outside, port)| Seen { protocol, inside, outside, port }).collect()
}

/// As the head of the graph file says it.
#[test]
fn ports_are_those_that_follow_from_addresses() {
    for workers in [1, 2] {
        let Some(net) = hosts() else { return };
        let swath = net.swath("r", &gateway(workers, &[]));
        for Seen { inside, outside, port, .. } in speak(&net, 20) {
            let place = inside.to_bits() - Ipv4Addr::new(100, 64, 0, 0).to_bits();
            let first = 1024 + (place % 64) * 1008;
            assert_eq!(outside.to_bits(), Ipv4Addr::new(203, 0, 113, 16).to_bits() + place / 64, "{inside}");
            assert!((first..=first + 1007).contains(&port.into()), "{inside}: {port}");
        }
        let (report, log) = swath.end();
        assert_eq!(report["dropped"], json!({}), "{log}");
    }
}

/// With blocks on demand: the file alone says whose each connection was.
#[test]
fn the_log_says_whose_a_connection_was() {
    for workers in [1, 2] {
        let Some(net) = hosts() else { return };
        let place = common::Place::new();
        let path = place.path("nat.log");
        let blocks = format!("port-blocks: {{ size: 16, per-user: 4, log: {} }}", path.display());
        let swath = net.swath("r", &gateway(workers, &[("deterministic: { ports: 1008 }", &blocks)]));
        let seen = speak(&net, 24);
        let (report, log) = swath.end();
        assert_eq!(report["dropped"], json!({}), "{log}");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!((events[0], events[events.len() - 1]), ("begins", "ends"), "{text}");
        assert!(events[1..events.len() - 1].iter().all(|event| *event == "port-block-allocated"), "{text}");
        // By address outside and block: its user, and how many ports of each protocol were seen.
        let address = |line: &Value, name: &str| line[name].as_str().unwrap().parse::<Ipv4Addr>().unwrap();
        let mut given = BTreeMap::<(Ipv4Addr, u64), (Ipv4Addr, BTreeMap<String, u32>)>::new();
        for line in &lines[1..lines.len() - 1] {
            let first = line["first-port"].as_u64().unwrap();
            assert_eq!(line["last-port"], first + 15);
            assert!(
                given.insert((address(line, "outside"), first), (address(line, "inside"), BTreeMap::new())).is_none(),
                "{line}"
            );
        }
        for Seen { protocol, inside, outside, port } in seen {
            let ((_, first), (user, used)) = given.range_mut(..=(outside, u64::from(port))).next_back().expect("a block");
            assert!(*user == inside && u64::from(port) <= first + 15, "{inside} as {outside}:{port}: {text}");
            *used.entry(protocol).or_default() += 1;
        }
        // 24 ports of each protocol are two blocks of 16, and both are used.
        assert_eq!(given.len(), 8 * 2, "{text}");
        assert!(given.values().all(|(_, used)| used.values().all(|count| [16, 8].contains(count)) && used.len() == 2), "{given:?}");
        // Each user has one address (paired pooling).
        let addresses: BTreeSet<_> = given.iter().map(|((outside, _), (inside, _))| (inside, outside)).collect();
        assert_eq!(addresses.len(), 8);
    }
}
