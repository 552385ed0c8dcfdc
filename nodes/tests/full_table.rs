//! The prefixes of the real Internet (Debian's `libloc-database`, a million of IPv4): loaded, looked up, and updated while packets are
//! forwarded. A twentieth of them as a rule, all with `SWATH_TEST_SCALE=20`.

mod common;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use common::frames::{ip4, mac, packet};
use common::random::Rng;
use common::{Rig, scaled};
use serde_json::{Value, json};
use swath_api::testkit::TestKit;
use swath_api::{Lane, VECTOR};
use swath_nodes::fib4::Prefix4;
use swath_nodes::ip4_lookup::Ip4Lookup;
use swath_nodes::neighbours::Neighbours;
use swath_nodes::routes4::Routes4;

/// How many there are, so that a twentieth is known before they are read.
const ALL: usize = 1_070_000;
const NEXT_HOPS: usize = 16;
/// The library is for the Python of the system.
const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = "
import location
for network in location.Database('/var/lib/location/database.db').networks:
    if ':' not in str(network):
        print(network)
";

/// The prefixes; `None` if the database is not installed.
fn prefixes() -> Option<Vec<Prefix4>> {
    let cache = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("libloc-prefixes.txt");
    let text = std::fs::read_to_string(&cache).ok().or_else(|| {
        let output = Command::new(PYTHON).args(["-c", SCRIPT]).output().ok().filter(|output| output.status.success())?;
        let text = String::from_utf8(output.stdout).expect("prefixes");
        // Two tests may write it at once: whole or not at all.
        let own = cache.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::write(&own, &text).and_then(|()| std::fs::rename(&own, &cache)).expect("the target directory");
        Some(text)
    });
    let Some(text) = text else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "libloc-database and python3-location are missing: run .ci/deps");
        eprintln!("skipped: libloc-database or python3-location is not installed");
        return None;
    };
    let mut all: Vec<Prefix4> = text.lines().map(|line| line.parse().expect("a prefix")).collect();
    // Of those that stand by themselves there are none.
    all.retain(|prefix| !matches!(prefix.addr() >> 24, 0 | 127 | 224..));
    all.sort_unstable();
    all.dedup();
    assert!(all.len() > 1_000_000, "{} prefixes", all.len());
    let step = ALL.div_ceil(scaled(ALL / 20)).max(1);
    Some(all.into_iter().step_by(step).collect())
}

fn next_hop(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 255, 0, 2 + number as u8)
}

/// Every length of every address is looked up.
struct Oracle(HashMap<Prefix4, usize>);

impl Oracle {
    fn find(&self, address: u32) -> Option<usize> {
        (0..=32).rev().find_map(|len| self.0.get(&Prefix4::containing(address, len)).copied())
    }
}

#[test]
fn all_prefixes_are_found() {
    let Some(prefixes) = prefixes() else { return };
    let rng = &mut Rng::new();
    let oracle = Oracle(prefixes.iter().map(|prefix| (*prefix, rng.below(NEXT_HOPS))).collect());
    let route = |(prefix, hop): (&Prefix4, &usize)| json!({ "prefix": prefix, "via": next_hop(*hop) });
    let settings = json!({ "routes": oracle.0.iter().map(route).collect::<Vec<Value>>() }).to_string();
    let kit = TestKit::new().interface("out", "02:00:00:00:00:01", 1500, &["10.255.0.1/24"]).table::<Neighbours>("arp", "{}");
    let start = Instant::now();
    let kit = kit.table::<Routes4>("routes", &settings);
    let loaded = start.elapsed();
    let mut kit = kit.node::<Ip4Lookup>("{}").unwrap();
    let to = |address: u32| packet(common::frames::header(address.to_be_bytes(), 64, 8), &[]);
    // The adjacency of each next hop, by routes that say it.
    let adjacencies: Vec<u32> = (0..NEXT_HOPS)
        .map(|hop| {
            kit.command("routes", &json!({ "add": { "prefix": "223.255.255.255/32", "via": next_hop(hop) } }).to_string()).unwrap();
            kit.one(&to(0xdfff_ffff), Lane::received(0)).lane.adj
        })
        .collect();
    kit.command("routes", r#"{"remove": {"prefix": "223.255.255.255/32"}}"#).unwrap();
    // The ends of each prefix, and what is beside them.
    let addresses = prefixes.iter().flat_map(|prefix| {
        let (first, last) = (prefix.addr(), prefix.last());
        [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
    });
    let addresses: Vec<u32> = addresses
        .filter(|address| !matches!(address >> 24, 0 | 127 | 224..) && address >> 8 != 0x0a_ff00 && *address != 0xdfff_ffff)
        .collect();
    for chunk in addresses.chunks(VECTOR) {
        let packets: Vec<Vec<u8>> = chunk.iter().map(|address| to(*address)).collect();
        let packets: Vec<(&[u8], Lane)> = packets.iter().map(|packet| (&packet[..], Lane::received(0))).collect();
        for (address, out) in chunk.iter().zip(kit.run(&packets)) {
            let found = (out.edge == "forward").then_some(out.lane.adj);
            assert_eq!(found, oracle.find(*address).map(|hop| adjacencies[hop]), "{}", Ipv4Addr::from_bits(*address));
        }
    }
    let shown: Value = serde_json::from_str(&kit.command("routes", r#"{"show": {}}"#).unwrap()).unwrap();
    let memory = shown["table"]["memory"].as_u64().unwrap();
    // 64 MiB for a word per /24, 16 bytes per route and as many to grow, and a few huge pages.
    assert!(memory < (80 << 20) + 32 * prefixes.len() as u64, "{memory} bytes");
    eprintln!("{} prefixes: loaded in {loaded:.2?}, {} MiB", prefixes.len(), memory >> 20);
}

#[test]
fn updates_lose_nothing_and_mislead_nothing() {
    const FLAPPING: usize = 4;
    let Some(prefixes) = prefixes() else { return };
    let neighbours: Vec<String> =
        (0..NEXT_HOPS).map(|hop| format!("{{ address: {}, mac: '02:00:00:00:01:{hop:02x}' }}", next_hop(hop))).collect();
    let graph = format!(
        "version: 1
interfaces:
  in: {{ driver: test, mac: '02:00:00:00:00:01', addresses: [10.254.0.1/24] }}
  out: {{ driver: test, mac: '02:00:00:00:00:02', addresses: [10.255.0.1/24] }}
tables:
  neighbours: {{ kind: neighbours, static: [{}] }}
  routes: {{ kind: fib4 }}
nodes:
  rx: {{ kind: rx, interface: in, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
  ip4: {{ kind: ip4-input, to: lookup }}
  lookup: {{ kind: ip4-lookup, to: rewrite }}
  rewrite: {{ kind: ip4-rewrite, to: tx }}
  tx: {{ kind: tx }}
",
        neighbours.join(", ")
    );
    let rng = &mut Rng::new();
    let mut rig = Rig::new(&graph);
    let table = Arc::clone(rig.engine().table("routes").expect("the table of the graph"));
    let add = |prefix: Prefix4, hop: usize| {
        table.command(&json!({ "add": { "prefix": prefix, "via": next_hop(hop) } }).to_string()).map(drop)
    };
    // A default route for what is withdrawn. Of each prefix the first four next hops are stable ones, the others come and go.
    add(Prefix4::DEFAULT, 0).unwrap();
    let start = Instant::now();
    let mut routes: HashMap<Prefix4, usize> = HashMap::new();
    for prefix in &prefixes {
        let hop = FLAPPING + rng.below(NEXT_HOPS - FLAPPING);
        add(*prefix, hop).unwrap();
        routes.insert(*prefix, hop);
    }
    eprintln!("{} routes added one by one in {:.2?}", prefixes.len(), start.elapsed());
    let flapping: Vec<Prefix4> = prefixes.iter().copied().step_by(7).collect();
    let oracle = Oracle(routes);
    let stable = Oracle(
        oracle
            .0
            .iter()
            .filter(|(prefix, _)| flapping.binary_search(prefix).is_err())
            .map(|(prefix, hop)| (*prefix, *hop))
            .collect(),
    );
    let addresses: Vec<u32> = (0..2048)
        .map(|_| rng.pick(&prefixes).last() ^ 1)
        .filter(|address| address >> 16 != 0x0aff && address >> 16 != 0x0afe)
        .collect();
    let updates = scaled(100_000);
    rig.engine().start().expect("threads");
    let mut fed = 0;
    let took = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let rng = &mut Rng::fixed(3);
            let mut present = vec![true; flapping.len()];
            let start = Instant::now();
            for _ in 0..updates {
                let at = rng.below(flapping.len());
                // To a next hop of those that come and go, or away.
                let removes = present[at] && rng.one_in(2);
                present[at] = !removes;
                match removes {
                    true => drop(table.command(&json!({ "remove": { "prefix": flapping[at] } }).to_string()).unwrap()),
                    false => add(flapping[at], rng.below(FLAPPING)).unwrap(),
                }
            }
            start.elapsed()
        });
        while !writer.is_finished() {
            if rig.wire("in").waiting() < 1024 {
                rig.feed("in", addresses.iter().take(512).map(|address| ip4(mac(1), address.to_be_bytes(), 64, 8)));
                fed += addresses.len().min(512);
            }
            std::thread::yield_now();
        }
        writer.join().expect("updates")
    });
    while rig.wire("in").waiting() > 0 {
        std::thread::yield_now();
    }
    rig.engine().stop();
    assert_eq!(rig.check().sent, fed as u64, "every packet has left");
    eprintln!("{updates} updates in {took:.2?}, {:.0} a second, beside {fed} packets", updates as f64 / took.as_secs_f64());
    for frame in rig.sent("out") {
        let address = u32::from_be_bytes(frame[30..34].try_into().unwrap());
        let hop = usize::from(frame[5]);
        // By the longest route that is stable; or, if others over it come and go, by what these are or were.
        let rest = stable.find(address).unwrap_or(0);
        let flaps = (0..=32).any(|len| flapping.binary_search(&Prefix4::containing(address, len)).is_ok());
        let right = hop == rest || flaps && (hop < FLAPPING || covers(&oracle, address, hop));
        assert!(right, "{} went to next hop {hop}, and not to {rest}", Ipv4Addr::from_bits(address));
    }
}

/// Whether any prefix over an address has had this next hop.
fn covers(oracle: &Oracle, address: u32, hop: usize) -> bool {
    (0..=32).any(|len| oracle.0.get(&Prefix4::containing(address, len)) == Some(&hop))
}
