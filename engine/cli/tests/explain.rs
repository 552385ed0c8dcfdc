//! What `explain` says is what happens: each packet is explained first, which must change nothing, and then comes in.

use std::collections::BTreeMap;

use swath::{Graph, Time, packet_memory, registry};
use swath_core::run::Fate;
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
