//! Blocks of ports on demand, and their log: what is told of blocks is checked against the packets that are seen outside.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::common::random::Rng;
use crate::packets::{Address, End, ping, source, tcp, udp};
use crate::{A, B, Net, R, SECOND, X, graph};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    at: u64,
    given: bool,
    inside: Address,
    outside: Address,
    ports: (u16, u16),
}

impl Net {
    /// What is to be logged since this was last asked.
    fn log(&mut self) -> Vec<Line> {
        self.log_of(usize::MAX).0
    }

    fn log_of(&mut self, max: usize) -> (Vec<Line>, u64) {
        let told = self.rig.engine().records(max);
        let Some((table, records)) = told.into_iter().next() else { return (vec![], 0) };
        assert_eq!((table, &*records.subject), ("nat", "nat"));
        let lines = records.records.iter().map(|record| {
            let field = |name: &str| &record.fields.iter().find(|(known, _)| known == name).expect("a field").1;
            let address = |name| field(name).as_str().expect("text").parse::<Ipv4Addr>().expect("an address").octets();
            let port = |name| field(name).as_u64().expect("a number") as u16;
            assert_eq!(record.fields.len(), 4);
            Line {
                at: record.at,
                given: ["port-block-released", "port-block-allocated"].iter().position(|event| *event == record.event) == Some(1),
                inside: address("inside"),
                outside: address("outside"),
                ports: (port("first-port"), port("last-port")),
            }
        });
        (lines.collect(), records.lost)
    }

    fn figure(&mut self, name: &str) -> u64 {
        self.wait(SECOND / 100);
        let figures = self.rig.engine().table("nat").expect("the table").figures();
        figures.iter().find(|figure| figure.name == name).expect("a figure").value
    }
}

fn has(line: &Line, end: End) -> bool {
    line.outside == end.0 && (line.ports.0..=line.ports.1).contains(&end.1)
}

/// RFC 6888 REQ-14, REQ-12: one line for each block, nothing of flows and their destinations; REQ-4: up to the quota.
#[test]
fn req_14_blocks_are_logged_and_not_flows() {
    let mut net = Net::new("port-blocks: { size: 64, per-user: 2 }");
    let packets: Vec<Vec<u8>> = (0..64).map(|port| udp((A, 4000 + port), (R, 53 + port))).collect();
    let [_, left] = net.inside(&packets);
    let log = net.log();
    let [first] = &log[..] else { panic!("{log:?}") };
    assert!(first.given && first.inside == A && first.outside == X && first.ports.1 - first.ports.0 == 63, "{first:?}");
    assert_eq!((first.ports.0 - 1024) % 64, 0);
    let mut ports: Vec<u16> = left.iter().map(|packet| source(packet).1).collect();
    ports.sort_unstable();
    assert_eq!(ports, Vec::from_iter(first.ports.0..=first.ports.1));
    // Of other protocols it has those, too; for more of UDP it gets another block, and then no more.
    assert!(has(first, source(&net.leaves(&tcp((A, 9000), (R, 80), "s")))));
    assert!(has(first, source(&net.leaves(&ping(A, R, 9000)))));
    assert_eq!(net.log(), []);
    let [told, left] = net.inside(&(0..70).map(|port| udp((A, 5000 + port), (R, 53))).collect::<Vec<_>>());
    let log = net.log();
    let [second] = &log[..] else { panic!("{log:?}") };
    assert_eq!((told.len(), left.len(), net.rig.count("snat.user-limit")), (6, 64, 6));
    assert!(left.iter().all(|packet| has(second, source(packet))));
    assert!(second.ports.0 > first.ports.1 || second.ports.1 < first.ports.0);
    // Others have theirs.
    assert_eq!(source(&net.leaves(&udp((B, 4000), (R, 53)))).0, X);
    assert_eq!((net.log().len(), net.figure("nat44_port_blocks_given"), net.figure("nat44_port_blocks")), (1, 3, 1008));
}

/// RFC 6888 REQ-8: for two minutes after its last mapping nobody else gets a block, by default; who has it may use it again.
#[test]
fn req_8_a_block_is_kept_back() {
    let mut net = Net::new("port-blocks: { size: 64, per-user: 1 }\n    pool: ['203.0.113.2:2000-2063']");
    let outside = source(&net.leaves(&udp((A, 4000), (R, 53))));
    let none = |net: &mut Net| {
        let [told, left] = net.inside(&[udp((B, 4000), (R, 53))]);
        assert_eq!((told.len(), left.len()), (1, 0));
    };
    none(&mut net);
    // Two minutes without an answer, and a wheel's slot.
    net.wait(SECOND * 125);
    assert_eq!(net.sessions(), 0);
    none(&mut net);
    net.wait(SECOND * 100);
    none(&mut net);
    assert_eq!(source(&net.leaves(&udp((A, 4000), (R, 53)))).0, outside.0);
    net.wait(SECOND * 225);
    none(&mut net);
    assert_eq!(net.log().len(), 1);
    net.wait(SECOND * 25);
    let log = net.log();
    assert!(matches!(&log[..], [line] if !line.given && line.inside == A && has(line, outside)), "{log:?}");
    net.leaves(&udp((B, 4000), (R, 53)));
    assert!(matches!(&net.log()[..], [line] if line.given && line.inside == B));
    assert_eq!((net.figure("nat44_port_blocks_allocated_total"), net.figure("nat44_port_blocks_released_total")), (2, 1));
}

/// RFC 6888 REQ-13: all ports of all blocks are used before anybody is refused.
#[test]
fn req_13_all_ports_are_used() {
    let mut net = Net::new("port-blocks: { size: 16, per-user: 1 }\n    pool: ['203.0.113.2:2000-2169']");
    for host in 0..10 {
        let [told, left] = net.inside(&(0..16).map(|port| udp(([10, 0, 0, host], 4000 + port), (R, 53))).collect::<Vec<_>>());
        assert_eq!((told.len(), left.len()), (0, 16));
    }
    let shown = net.ask(r#"{"show": {}}"#)["table"].clone();
    // Ten ports are left over at the end.
    assert_eq!((&shown["port-blocks"], &shown["ports"], &shown["ports-free"]), (&[10, 10].into(), &480.into(), &320.into()));
    let [told, left] = net.inside(&[udp(([10, 0, 0, 99], 4000), (R, 53))]);
    assert_eq!((told.len(), left.len(), net.rig.count("snat.exhausted")), (1, 0, 1));
}

/// Whoever has only the log, and the time, finds who has sent what was seen outside; with any number of workers.
#[test]
fn the_log_says_who_had_a_port() {
    let mut rng = Rng::new();
    for workers in [1, 2, 4] {
        let blocks =
            "port-blocks: { size: 16, per-user: 3, hold-off: 30s }\n    sessions: { timeouts: { udp-unreplied: 5s, udp: 20s } }";
        let pool = "pool: ['203.0.113.8/31:2000-2999', '198.18.0.0:1-999']";
        let pooling = ["paired", "arbitrary"][rng.below(2)];
        let mut net = Net::with(workers, &format!("{blocks}\n    {pool}\n    pooling: {pooling}"));
        let (mut log, mut seen) = (Vec::new(), Vec::<(u64, Address, End)>::new());
        for _ in 0..120 {
            let packets: Vec<Vec<u8>> = (0..20)
                .map(|_| {
                    let host = [10, 0, 0, rng.below(40) as u8];
                    udp((host, 3000 + rng.below(60) as u16), (R, 53))
                })
                .collect();
            for packet in &packets {
                let [_, left] = net.inside(std::slice::from_ref(packet));
                seen.extend(left.iter().map(|left| (net.now, source(packet).0, source(left))));
            }
            net.wait(SECOND * rng.below(8) as u64);
            log.extend(net.log());
        }
        net.wait(SECOND * 90);
        log.extend(net.log());
        assert!(seen.len() > 500);
        // No two have the same at the same time, and what was given is taken back.
        let mut given = BTreeMap::<(Address, u16), Line>::new();
        let mut spans = Vec::new();
        log.sort_by_key(|line| (line.at, line.given));
        for line in &log {
            let key = (line.outside, line.ports.0);
            if line.given {
                assert!(given.insert(key, line.clone()).is_none(), "{line:?}");
            } else {
                let begin = given.remove(&key).expect("it was given");
                assert_eq!((begin.inside, begin.ports), (line.inside, line.ports));
                spans.push((begin, line.at));
            }
        }
        assert_eq!(given, BTreeMap::new());
        for (at, inside, outside) in &seen {
            let mut whose = spans.iter().filter(|(line, end)| has(line, *outside) && line.at <= *at && *at <= *end);
            let (line, end) = whose.next().expect("a line");
            assert!(line.inside == *inside && whose.next().is_none(), "{inside:?} {outside:?} {at}");
            assert!(*end >= at + 35 * SECOND, "taken back {end}, used {at}");
        }
        // And nothing else is logged.
        let used = spans
            .iter()
            .filter(|(line, end)| seen.iter().any(|(at, _, outside)| has(line, *outside) && (line.at..=*end).contains(at)));
        assert_eq!((used.count(), net.figure("nat44_port_blocks_given")), (spans.len(), 0));
        assert_eq!(net.figure("nat44_port_blocks_allocated_total"), spans.len() as u64);
    }
}

#[test]
fn blocks_are_listed() {
    for workers in [1, 3] {
        let mut net = Net::with(workers, "port-blocks: { size: 64 }");
        for host in 0..20 {
            for port in 0..u16::from(host) + 1 {
                net.leaves(&udp(([10, 0, 0, host], 4000 + port), (R, 53)));
            }
        }
        let outside = source(&net.leaves(&udp(([10, 0, 0, 7], 4000), (R, 54))));
        let all = net.ask(r#"{"blocks": {}}"#)["blocks"]["blocks"].clone();
        let all: Vec<(String, u64)> = all
            .as_array()
            .expect("a list")
            .iter()
            .map(|block| (block["inside"].as_str().expect("text").to_string(), block["mappings"].as_u64().expect("a number")))
            .collect();
        assert_eq!(all, (0..20).map(|host| (format!("10.0.0.{host}"), host + 1)).collect::<Vec<_>>());
        let of_port = net.ask(&format!(r#"{{"blocks": {{"outside": "203.0.113.2:{}"}}}}"#, outside.1));
        let of_host = net.ask(r#"{"blocks": {"inside": "10.0.0.7"}}"#);
        assert_eq!(of_port["blocks"]["blocks"][0]["inside"], "10.0.0.7");
        assert_eq!(of_port, of_host);
    }
    let error = Net::new("").rig.engine().command("nat", r#"{"blocks": {}}"#).expect_err("none").to_string();
    assert!(error.contains("only with `port-blocks`"), "{error}");
}

/// Blocks, and what is to be logged of them, go on with other settings; the pool stays.
#[test]
fn blocks_go_on_with_other_settings() {
    let blocks = "port-blocks: { size: 64, per-user: 1 }";
    let mut net = Net::new(blocks);
    let outside = source(&net.leaves(&udp((A, 4000), (R, 53))));
    net.rig
        .apply(&graph(1, &format!("{blocks}\n    static: [{{ inside: 192.168.1.11, protocol: udp, port: 53 }}]")))
        .expect("a graph");
    let next = source(&net.leaves(&udp((A, 4001), (R, 53))));
    let log = net.log();
    assert!(matches!(&log[..], [line] if line.given && has(line, outside) && has(line, next)), "{log:?}");
    net.wait(SECOND * 250);
    assert!(matches!(&net.log()[..], [line] if !line.given));
    for (other, said) in [("port-blocks: { size: 32 }", "port-blocks"), (&format!("{blocks}\n    pool: [203.0.113.8]"), "pool")] {
        let refusal = net.rig.apply(&graph(1, other)).expect_err("refused");
        assert!(refusal.contains("cannot change while the table keeps sessions") && refusal.contains(said), "{refusal}");
    }
}

/// Who gives the table another name with another pool, as the refusal of the one without says, goes on with all sessions of the addresses that
/// are still there, with their ports and blocks.
#[test]
fn another_pool_has_another_name() {
    let blocks = |pool: &str| format!("port-blocks: {{ size: 64, per-user: 1 }}\n    pool: [{pool}]");
    for workers in [1, 3] {
        let mut net = Net::with(workers, &blocks("203.0.113.2, 203.0.113.8"));
        let hosts: Vec<Address> = (0..60).map(|host| [10, 0, 0, host]).collect();
        let outside: Vec<_> = hosts.iter().map(|host| source(&net.leaves(&udp((*host, 4000), (R, 53))))).collect();
        let saved = net.saved();
        let refusal = net.rig.apply(&graph(workers, &blocks("203.0.113.8, 203.0.113.9"))).expect_err("refused");
        assert!(refusal.contains("with `port-blocks` the pool cannot change") && refusal.contains("another name"), "{refusal}");
        let other = graph(workers, &blocks("203.0.113.8, 203.0.113.9")).replace("\n  nat:\n", "\n  nat2:\n");
        net.rig.apply(&other).expect("a graph");
        let ask = |net: &mut Net, command: String| -> serde_json::Value {
            net.wait(SECOND / 100);
            serde_json::from_str(&net.rig.engine().command("nat2", &command).expect("an answer")).expect("JSON")
        };
        let answer = ask(&mut net, serde_json::json!({ "restore": { "sessions": saved, "elapsed": "1s" } }).to_string());
        let kept: Vec<usize> = (0..60).filter(|host| outside[*host].0 == [203, 0, 113, 8]).collect();
        assert!(kept.len() > 5 && kept.len() < 55, "{}", kept.len());
        let expected = serde_json::json!({ "restored": kept.len(), "not-taken": { "not-allowed": 60 - kept.len() } });
        assert_eq!(answer["restored"], expected);
        let given = ask(&mut net, r#"{"blocks": {}}"#.into())["blocks"]["blocks"].as_array().map(Vec::len);
        assert_eq!(given, Some(kept.len()));
        for host in 0..60 {
            let now = source(&net.leaves(&udp((hosts[host], 4000), (R, 53))));
            assert!(!kept.contains(&host) || now == outside[host], "{host}: {:?} is {now:?}", outside[host]);
            assert!([[203, 0, 113, 8], [203, 0, 113, 9]].contains(&now.0));
        }
    }
}

/// Nobody reads for long: what is not told is counted.
#[test]
fn what_is_not_read_in_time_is_counted() {
    let mut net = Net::new(
        "port-blocks: { size: 8, per-user: 1, hold-off: 0s }\n    pool: [203.0.113.8/30]\n    sessions: { capacity: 65536, timeouts: { udp-unreplied: 1s } }",
    );
    let mut given = 0;
    for round in 0..3_u8 {
        for part in 0..80_u8 {
            let packets: Vec<Vec<u8>> = (0..100).map(|host| udp(([10, round, part, host], 4000), (R, 53))).collect();
            given += net.inside(&packets)[1].len() as u64;
        }
        net.wait(SECOND * 2);
    }
    assert_eq!(given, 24_000);
    let (first, lost) = net.log_of(100);
    assert_eq!((first.len(), lost), (100, 48_000 - 16_384));
    let (rest, lost) = net.log_of(usize::MAX);
    assert_eq!((rest.len(), lost, net.log_of(9)), (16_384 - 100, 0, (vec![], 0)));
    assert_eq!(net.figure("nat44_log_lost_total"), 48_000 - 16_384);
}
