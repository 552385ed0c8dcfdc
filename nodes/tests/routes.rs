//! Kinds of routes, metrics, groups of next hops, interfaces that go up and down, and the check of sources, beside a model that walks a list.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use common::frames::packet;
use common::random::Rng;
use common::scaled;
use etherparse::{IpNumber, Ipv4Header, PacketBuilder};
use serde_json::{Value, json};
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::wire::IcmpCause;
use swath_api::{Lane, NO_INTERFACE, VECTOR};
use swath_nodes::fib4::Prefix4;
use swath_nodes::ip4_lookup::Ip4Lookup;
use swath_nodes::ip4_urpf::Ip4Urpf;
use swath_nodes::neighbours::Neighbours;
use swath_nodes::routes4::Routes4;

const INTERFACES: usize = 4;

/// Interface n has 10.n.0.1/16, and next hops from 10.n.0.2 on.
fn kit(routes: &Value) -> TestKit {
    let interface = |kit: TestKit, n: usize| {
        kit.interface(&format!("if{n}"), &format!("02:00:00:00:00:0{n}"), 1500, &[&format!("10.{n}.0.1/16")])
    };
    let kit = (0..INTERFACES).fold(TestKit::new(), interface);
    kit.table::<Neighbours>("arp", "{}").table::<Routes4>("routes", &json!({ "routes": routes }).to_string())
}

fn command(kit: &NodeKit, command: &Value) -> Value {
    let answer = kit.command("routes", &command.to_string()).unwrap_or_else(|error| panic!("{command}: {error}"));
    serde_json::from_str(&answer).expect("JSON")
}

fn refusal(kit: &NodeKit, command: &Value) -> (String, String) {
    let error = kit.command("routes", &command.to_string()).expect_err("refused");
    (error.path().into(), error.message().into())
}

type Flow = ([u8; 4], u16, [u8; 4], u16);

fn udp((source, from, destination, to): Flow) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(source, destination, 64).udp(from, to).write(&mut bytes, b"payload").expect("a packet");
    bytes
}

fn flows(rng: &mut Rng, count: usize) -> Vec<Vec<u8>> {
    let flow = |_| {
        let [a, b, c, d, e, f, g, h] = rng.bits().to_be_bytes();
        udp(([172, 16, a, b], u16::from_be_bytes([c, d]), [20, 0, e, f], u16::from_be_bytes([g, h])))
    };
    (0..count).map(flow).collect()
}

/// Edge, interface and adjacency of each packet.
fn ways(kit: &mut NodeKit, packets: &[Vec<u8>]) -> Vec<(&'static str, u16, u32)> {
    let run = |chunk: &[Vec<u8>]| {
        let packets: Vec<(&[u8], Lane)> = chunk.iter().map(|packet| (&packet[..], Lane::received(0))).collect();
        kit.run(&packets).iter().map(|out| (out.edge, out.lane.tx, out.lane.adj)).collect::<Vec<_>>()
    };
    packets.chunks(VECTOR).flat_map(run).collect()
}

fn to(destination: &str) -> Vec<u8> {
    let destination: Ipv4Addr = destination.parse().expect("an address");
    packet(common::frames::header(destination.octets(), 64, 8), &[])
}

#[test]
fn routes_to_nowhere_say_why() {
    let mut kit = kit(&json!([
        { "prefix": "20.0.0.0/16", "blackhole": true },
        { "prefix": "20.1.0.0/16", "unreachable": true },
        { "prefix": "20.2.0.0/16", "prohibit": true },
    ]))
    .node::<Ip4Lookup>("{}")
    .unwrap();
    // RFC 1812 §5.2.7.1, and what `ip route add unreachable` and `prohibit` of Linux answer with: type 3, codes 1 and 13.
    for (destination, edge, word) in [
        ("20.0.0.1", "blackhole", 0),
        ("20.1.0.1", "unreachable", 0x0301_0000),
        ("20.2.0.1", "prohibit", 0x030d_0000),
        ("20.3.0.1", "no-route", 0x0300_0000),
    ] {
        let out = kit.one(&to(destination), Lane::received(0));
        assert_eq!((out.edge, out.lane.tx, out.lane.adj), (edge, NO_INTERFACE, word), "{destination}");
        let cause = IcmpCause::from_word(word);
        assert_eq!(cause.map(IcmpCause::word), (word != 0).then_some(word));
        let lookup = command(&kit, &json!({ "lookup": { "address": destination } }));
        assert_eq!(lookup["route"]["meaning"], edge);
    }
}

/// Whether counts are what weights make likely: Pearson's test, at 1 in a million.
fn assert_fair(counts: &[usize], weights: &[usize]) {
    let (all, sum) = (counts.iter().sum::<usize>() as f64, weights.iter().sum::<usize>() as f64);
    let squares = counts.iter().zip(weights).map(|(count, weight)| {
        let expected = all * *weight as f64 / sum;
        (*count as f64 - expected).powi(2) / expected
    });
    // The quantile by Wilson and Hilferty's approximation (1931), z = 4.75.
    let freedom = (counts.len() - 1) as f64;
    let limit = freedom * (1.0 - 2.0 / (9.0 * freedom) + 4.75 * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
    let square: f64 = squares.sum();
    assert!(square < limit, "{counts:?} for {weights:?}: {square} is above {limit}");
}

fn hop(interface: usize, host: usize) -> String {
    format!("10.{interface}.0.{host}")
}

#[test]
fn flows_are_shared_by_weight() {
    let packets = flows(&mut Rng::fixed(1), scaled(40_000));
    for weights in [&[1, 1][..], &[3, 1], &[1, 2, 3, 10], &[100, 1], &[7; 8]] {
        let via: Vec<Value> =
            (0..weights.len()).map(|n| json!({ "to": hop(n % INTERFACES, 2 + n), "weight": weights[n] })).collect();
        let mut kit = kit(&json!([{ "prefix": "20.0.0.0/8", "via": via }])).node::<Ip4Lookup>("{}").unwrap();
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for (edge, _, adjacency) in ways(&mut kit, &packets) {
            assert_eq!(edge, "forward");
            *counts.entry(adjacency).or_default() += 1;
        }
        // Adjacencies are given out in order.
        let counts: Vec<usize> = counts.into_values().collect();
        // What buckets say is exact, to a bucket.
        let shown = command(&kit, &json!({ "lookup": { "address": "20.0.0.1" } }))["route"]["via"].clone();
        let mut shown: Vec<(String, usize)> = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|hop| (hop["to"].as_str().unwrap().into(), hop["buckets"].as_u64().unwrap() as usize))
            .collect();
        shown.sort_by_key(|(to, _)| (0..weights.len()).position(|n| *to == hop(n % INTERFACES, 2 + n)));
        let buckets: Vec<usize> = shown.into_iter().map(|(_, buckets)| buckets).collect();
        assert_fair(&counts, &buckets);
        let (size, sum) = (buckets.iter().sum::<usize>(), weights.iter().sum::<usize>());
        assert!(size.is_power_of_two() && size >= 256, "{size}");
        for (count, weight) in buckets.iter().zip(weights) {
            assert!((*count as f64 - (size * weight) as f64 / sum as f64).abs() <= 1.0, "{buckets:?} for {weights:?}");
        }
    }
}

#[test]
fn a_flow_and_all_pieces_of_a_datagram_go_one_way() {
    let via: Vec<Value> = (0..8).map(|n| json!({ "to": hop(n % INTERFACES, 2 + n) })).collect();
    let routes = json!([{ "prefix": "20.0.0.0/8", "via": via }, { "prefix": "172.16.0.0/12", "via": via }]);
    let mut kit = kit(&routes).node::<Ip4Lookup>("{}").unwrap();
    let rng = &mut Rng::fixed(2);
    let mut used = BTreeSet::new();
    for _ in 0..500 {
        let [a, b, c, d, e, f, g, h] = rng.bits().to_be_bytes();
        let (source, destination) = ([172, 16, a, b], [20, 0, c, d]);
        let (from, dst) = (u16::from_be_bytes([e, f]), u16::from_be_bytes([g, h]));
        let way = ways(&mut kit, &[udp((source, from, destination, dst))])[0];
        assert_eq!(ways(&mut kit, &[udp((destination, dst, source, from))])[0], way, "the other direction");
        used.insert(way.2);
        let fragment = |rng: &mut Rng, id: u16, offset: u16, more: bool| {
            let mut header = Ipv4Header::new(64, 64, IpNumber::UDP, source, destination).unwrap();
            header.identification = id;
            header.fragment_offset = offset.try_into().unwrap();
            header.more_fragments = more;
            let mut bytes = packet(header, &[]);
            // Whatever stands where ports would be.
            bytes[20..24].copy_from_slice(&rng.bytes(4));
            bytes
        };
        let pieces: Vec<Vec<u8>> = [(0, true), (8, true), (16, false)]
            .map(|(offset, more)| fragment(rng, u16::from_be_bytes([a, h]), offset, more))
            .into();
        let pieces = ways(&mut kit, &pieces);
        assert!(pieces.iter().all(|piece| *piece == pieces[0]), "{pieces:?}");
    }
    assert_eq!(used.len(), 8);
}

/// Of which next hops the flows may move to which, if these were `before` and these are `after`, each with its weight if it is up. A group
/// that `grew` has smaller buckets: those that rounding gave to somebody else may move, too.
fn check_moves(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>, grew: bool, ways: &[(u32, u32)]) {
    let total: u64 = after.values().sum();
    let mut moved = 0;
    for (old, new) in ways {
        assert!(after.contains_key(new), "a flow goes where no next hop is");
        if old != new {
            moved += 1;
            let lost = before.get(old) > after.get(old);
            let gained = before.get(new) < after.get(new);
            assert!(lost || gained || grew, "a flow of {old} has moved to {new}: {before:?}, {after:?}");
        }
    }
    // Not more than the change of shares, with room for chance: six standard deviations.
    let was: u64 = before.values().sum();
    let share = |of: &BTreeMap<u32, u64>, total: u64, hop: &u32| of.get(hop).map_or(0.0, |weight| *weight as f64 / total as f64);
    let due: f64 = after.keys().map(|hop| (share(after, total, hop) - share(before, was, hop)).max(0.0)).sum();
    let expected = due * ways.len() as f64;
    // A bucket more for each next hop, because shares are whole buckets.
    let rounding = (after.len() + before.len()) as f64 / 256.0 * ways.len() as f64;
    assert!(f64::from(moved) <= expected + 6.0 * expected.sqrt() + rounding, "{moved} moved, and {expected} were due");
}

#[test]
fn only_the_flows_of_what_has_changed_move() {
    let rng = &mut Rng::new();
    let packets = flows(rng, 4_000);
    let plain: Vec<Value> =
        (0..8).map(|n| json!({ "prefix": format!("30.0.0.{n}/32"), "via": hop(n % INTERFACES, 2 + n) })).collect();
    let mut kit = kit(&json!(plain)).node::<Ip4Lookup>("{}").unwrap();
    let names: Vec<Vec<u8>> = (0..8).map(|n| to(&format!("30.0.0.{n}"))).collect();
    let adjacencies: Vec<u32> = ways(&mut kit, &names).iter().map(|way| way.2).collect();
    let mut members: BTreeMap<usize, u64> = BTreeMap::from([(0, 1), (1, 1)]);
    let mut up = [true; INTERFACES];
    let live = |members: &BTreeMap<usize, u64>, up: &[bool]| -> BTreeMap<u32, u64> {
        members.iter().filter(|(n, _)| up[*n % INTERFACES]).map(|(n, weight)| (adjacencies[*n], *weight)).collect()
    };
    let put = |kit: &NodeKit, members: &BTreeMap<usize, u64>, verb: &str| {
        let via: Vec<Value> =
            members.iter().map(|(n, weight)| json!({ "to": hop(n % INTERFACES, 2 + n), "weight": weight })).collect();
        let route = |prefix: &str| json!({ verb: { "prefix": prefix, "via": via } });
        // Both prefixes stay together: they share their buckets.
        command(kit, &route("20.0.0.0/9"));
        command(kit, &route("20.0.128.0/17"));
    };
    put(&kit, &members, "add");
    // The group's buckets; none with all next hops down.
    let size = |kit: &NodeKit| -> u64 {
        let shown = command(kit, &json!({ "lookup": { "address": "20.0.0.1" } }))["route"]["via"].clone();
        shown.as_array().map_or(0, |hops| hops.iter().filter_map(|hop| hop["buckets"].as_u64()).sum())
    };
    let (mut before, mut buckets) = (ways(&mut kit, &packets), size(&kit));
    for _ in 0..scaled(60) {
        let was = live(&members, &up);
        if rng.one_in(2) {
            let interface = rng.below(INTERFACES);
            up[interface] = !up[interface];
            kit.link(interface as u16, up[interface]);
        } else {
            let member = rng.below(8);
            if members.len() > 2 && rng.one_in(2) && members.remove(&member).is_some() {
            } else {
                members.insert(member, 1 + rng.below(4) as u64);
            }
            put(&kit, &members, "replace");
        }
        let is = live(&members, &up);
        let after = ways(&mut kit, &packets);
        if is.is_empty() {
            assert!(after.iter().all(|way| way.0 == "no-route"));
            continue;
        }
        assert!(after.iter().all(|way| way.0 == "forward" && up[usize::from(way.1)]));
        if !was.is_empty() {
            let moves: Vec<(u32, u32)> = before.iter().zip(&after).map(|(old, new)| (old.2, new.2)).collect();
            let now = size(&kit);
            assert!(now >= buckets, "a group of {buckets} buckets has shrunk to {now}");
            check_moves(&was, &is, now > buckets, &moves);
            buckets = now;
        }
        before = after;
    }
}

/// A route of the model: prefix, metric, and where it leads: next hops, or an edge.
#[derive(Debug, Clone)]
struct Known {
    metric: u32,
    hops: Vec<(usize, usize)>,
    edge: &'static str,
}

#[derive(Default)]
struct Model {
    routes: BTreeMap<Prefix4, Vec<Known>>,
    down: BTreeSet<usize>,
}

impl Model {
    /// The longest prefix with a route that counts, that route, and all of the prefix.
    fn find(&self, address: u32) -> Option<(Prefix4, &Known, &[Known])> {
        let mut best: Option<(Prefix4, &Known, &[Known])> = None;
        for (prefix, routes) in &self.routes {
            let live = |route: &&Known| route.hops.is_empty() || route.hops.iter().any(|hop| !self.down.contains(&hop.0));
            let route = routes.iter().filter(live).min_by_key(|route| route.metric);
            if let Some(route) = route.filter(|_| prefix.contains(address) && best.is_none_or(|best| best.0.len() < prefix.len())) {
                best = Some((*prefix, route, routes));
            }
        }
        best
    }
}

/// A prefix of many lengths that covers and is covered by others.
fn random_prefix(rng: &mut Rng) -> Prefix4 {
    let len = rng.pick(&[0, 3, 6, 9, 12, 13, 16, 20, 24, 25, 28, 31, 32]);
    let address =
        0x1400_0000 | rng.below(4) as u32 | (rng.below(2) as u32) << 7 | (rng.below(2) as u32) << 15 | (rng.below(2) as u32) << 21;
    Prefix4::containing(address, len)
}

fn random_command(rng: &mut Rng, model: &mut Model) -> Value {
    let prefix = random_prefix(rng);
    let metric = rng.pick(&[0, 0, 5, 10]);
    let known = model.routes.entry(prefix).or_default();
    let place = known.iter().position(|route| route.metric == metric);
    if let Some(place) = place.filter(|_| rng.one_in(2)) {
        let all = rng.one_in(3);
        if all {
            known.clear()
        } else {
            drop(known.remove(place))
        }
        model.routes.retain(|_, routes| !routes.is_empty());
        return if all {
            json!({ "remove": { "prefix": prefix } })
        } else {
            json!({ "remove": { "prefix": prefix, "metric": metric } })
        };
    }
    let (edge, key) = rng.pick(&[
        ("forward", "via"),
        ("forward", "via"),
        ("forward", "via"),
        ("blackhole", "blackhole"),
        ("unreachable", "unreachable"),
        ("prohibit", "prohibit"),
    ]);
    let mut hops = BTreeSet::new();
    if edge == "forward" {
        for _ in 0..rng.pick(&[1, 1, 2, 3]) {
            hops.insert((rng.below(INTERFACES), 2 + rng.below(2)));
        }
    }
    let hops: Vec<(usize, usize)> = hops.into_iter().collect();
    let via = match &hops[..] {
        [] => json!(true),
        [(interface, host)] => json!(hop(*interface, *host)),
        several => {
            several.iter().map(|(interface, host)| json!({ "to": hop(*interface, *host), "weight": 1 + rng.below(3) })).collect()
        }
    };
    known.retain(|route| route.metric != metric);
    known.push(Known { metric, hops, edge });
    let verb = if place.is_some() && rng.one_in(2) { "replace" } else { "add" };
    json!({ verb: { "prefix": prefix, "metric": metric, key: via } })
}

#[test]
fn routes_metrics_links_and_sources_as_a_list_has_them() {
    let rng = &mut Rng::new();
    let mut lookup = kit(&json!([])).node::<Ip4Lookup>("{}").unwrap();
    let modes = [("strict", false), ("strict", true), ("feasible", true), ("loose", false)];
    let mut urpf = modes.map(|(mode, allow)| {
        kit(&json!([])).node::<Ip4Urpf>(&json!({ "mode": mode, "allow-default": allow }).to_string()).unwrap()
    });
    // The adjacency of each next hop.
    let mut adjacencies = BTreeMap::new();
    for interface in 0..INTERFACES {
        for host in 2..4 {
            command(&lookup, &json!({ "add": { "prefix": "30.0.0.1/32", "via": hop(interface, host) } }));
            adjacencies.insert((interface, host), lookup.one(&to("30.0.0.1"), Lane::received(0)).lane.adj);
        }
    }
    command(&lookup, &json!({ "remove": { "prefix": "30.0.0.1/32" } }));
    let mut model = Model::default();
    for interface in 0..INTERFACES {
        let subnet = Prefix4::containing(0x0a00_0000 | (interface as u32) << 16, 16);
        model.routes.insert(subnet, vec![Known { metric: 0, hops: vec![(interface, 0)], edge: "forward" }]);
    }
    for step in 0..scaled(400) {
        if rng.one_in(3) {
            let interface = rng.below(INTERFACES);
            let up = model.down.remove(&interface) || !model.down.insert(interface);
            lookup.link(interface as u16, up);
            urpf.iter().for_each(|kit| kit.link(interface as u16, up));
        } else {
            let change = random_command(rng, &mut model);
            command(&lookup, &change);
            urpf.iter().for_each(|kit| drop(command(kit, &change)));
        }
        for _ in 0..20 {
            let address = match rng.one_in(5) {
                true => 0x0a00_0005 | (rng.below(INTERFACES) as u32) << 16,
                false => random_prefix(rng).last() ^ rng.pick(&[0, 0, 1, 0x80, 0x8000]),
            };
            // What never changes is tested elsewhere.
            if matches!(address >> 24, 0 | 127 | 224..) {
                continue;
            }
            let destination = Ipv4Addr::from_bits(address);
            let out = lookup.one(&to(&destination.to_string()), Lane::received(0));
            let found = model.find(address);
            let edge = found.map_or("no-route", |(_, route, _)| route.edge);
            assert_eq!(out.edge, edge, "step {step}, {destination}: {found:?}, down {:?}", model.down);
            if edge == "forward" {
                let (_, route, _) = found.unwrap();
                let hop = route.hops.iter().find(|hop| hop.0 == usize::from(out.lane.tx)).expect("one of the next hops");
                assert!(!model.down.contains(&hop.0));
                let known = |hop: &&(usize, usize)| hop.1 == 0 || adjacencies[hop] == out.lane.adj;
                let here = route.hops.iter().filter(|hop| hop.0 == usize::from(out.lane.tx));
                assert!(here.clone().any(|hop| known(&hop)), "step {step}");
            }
            let rx = rng.below(INTERFACES);
            let mut header = Ipv4Header::new(8, 64, IpNumber::UDP, destination.octets(), [20, 0, 0, 9]).unwrap();
            header.header_checksum = header.calc_header_checksum();
            let bytes = packet(header, &[]);
            for ((mode, allow), kit) in modes.iter().zip(&mut urpf) {
                let expected = match found {
                    Some((prefix, route, all)) if route.edge == "forward" => {
                        let by = |route: &Known| route.hops.iter().any(|hop| hop.0 == rx);
                        let here = match *mode {
                            "strict" => by(route),
                            "feasible" => all.iter().any(by),
                            _ => true,
                        };
                        match here {
                            false => "wrong-interface",
                            true if prefix.len() == 0 && !allow => "only-default",
                            true => "ok",
                        }
                    }
                    _ => "no-way-back",
                };
                let out = kit.one(&bytes, Lane::received(rx as u16));
                assert_eq!(out.edge, expected, "step {step}, {mode}, {destination} by {rx}: {found:?}");
                assert_eq!((out.lane, &out.bytes), (Lane::received(rx as u16), &bytes), "nothing changes");
            }
        }
    }
    // All of it is listed.
    let list = command(&lookup, &json!({ "list": { "within": "20.0.0.0/6", "limit": 100_000 } }));
    let listed = list["routes"].as_array().unwrap().len();
    let within: Prefix4 = "20.0.0.0/6".parse().unwrap();
    let known = model.routes.iter().filter(|(prefix, _)| within.contains(prefix.addr()) && prefix.len() >= 6);
    assert_eq!(listed, known.map(|(_, routes)| routes.len()).sum::<usize>());
}

#[test]
fn who_has_no_address_yet_may_ask_for_one() {
    let mut kit = kit(&json!([])).node::<Ip4Urpf>("{}").unwrap();
    let from =
        |source: [u8; 4], destination: [u8; 4]| packet(Ipv4Header::new(8, 64, IpNumber::UDP, source, destination).unwrap(), &[]);
    assert_eq!(kit.edge(&from([0; 4], [255; 4])), "ok");
    assert_eq!(kit.edge(&from([0; 4], [10, 0, 0, 1])), "no-way-back");
    assert_eq!(kit.edge(&from([0, 0, 0, 1], [255; 4])), "no-way-back");
    assert_eq!(kit.edge(&from([10, 0, 0, 9], [255; 4])), "ok");
    let made = kit.one(&from([9, 9, 9, 9], [10, 0, 0, 9]), Lane::received(NO_INTERFACE));
    assert_eq!(made.edge, "ok");
    for edge in [kit.edge(b""), kit.edge(&[0; 19])] {
        assert!(["ok", "no-way-back", "wrong-interface"].contains(&edge));
    }
}

#[test]
fn numbers_and_buckets_are_used_again() {
    let mut kit = kit(&json!([])).node::<Ip4Lookup>("{}").unwrap();
    // More groups than there are buckets for, and more kinds of routes than there are numbers, one after the other.
    for n in 0..70_000u32 {
        let via = json!([{ "to": hop(0, 2), "weight": 1 + n % 200 }, { "to": hop(1, 2), "weight": 1 + n / 200 % 200 }]);
        command(&kit, &json!({ "add": { "prefix": "20.0.0.0/8", "via": via, "metric": n % 3 } }));
        if n % 16 == 0 {
            // A look-up is also the sign that the worker is past all others.
            assert_eq!(kit.edge(&to("20.0.0.1")), "forward");
        }
    }
    let table = command(&kit, &json!({ "show": {} }))["table"].clone();
    assert_eq!((table["groups"].as_u64(), table["waiting"].as_u64()), (Some(3), Some(0)));
}

#[test]
fn what_is_refused_says_where() {
    let kit = kit(&json!([{ "prefix": "20.0.0.0/8", "via": "10.0.0.2", "metric": 5 }])).node::<Ip4Lookup>("{}").unwrap();
    let add = |mut route: Value| {
        route["prefix"] = json!("21.0.0.0/8");
        json!({ "add": route })
    };
    let hops = |count: usize| -> Vec<Value> { (0..count).map(|n| json!({ "to": hop(0, 2 + n) })).collect() };
    for (refused, path, message) in [
        (add(json!({ "via": [] })), "via", "1 to 64 next hops, and not 0"),
        (add(json!({ "via": hops(65) })), "via", "1 to 64 next hops, and not 65"),
        (add(json!({ "via": [{ "to": "10.0.0.2", "weight": 0 }] })), "via[0].weight", "`0` is not in 1 to 256"),
        (add(json!({ "via": [{ "to": "10.0.0.2", "weight": 257 }] })), "via[0].weight", "`257` is not in 1 to 256"),
        (
            add(json!({ "via": [{ "to": "10.0.0.2" }, { "to": "10.0.0.2" }] })),
            "via[1]",
            "`10.0.0.2` is given twice, first in `via[0]`",
        ),
        (
            add(json!({ "via": [{ "interface": "if1" }, { "interface": "if1" }] })),
            "via[1]",
            "`if1` is given twice, first in `via[0]`",
        ),
        (add(json!({ "via": [{ "to": "10.0.0.2" }, {}] })), "via[1]", "a next hop has an address in `to`, or an `interface`"),
        (add(json!({ "via": [{ "to": "20.0.0.1" }] })), "via[0].to", "`20.0.0.1` is on no interface's subnet"),
        (add(json!({ "via": [{ "to": "10.0.0.1" }] })), "via[0].to", "the next hop `10.0.0.1` is the router's own address"),
        (add(json!({ "via": [{ "to": "10.0.0.2", "interface": "if9" }] })), "via[0].interface", "unknown interface `if9`"),
        (add(json!({ "via": [{ "to": "10.0.0.2", "wieght": 3 }] })), "add.via[0].wieght", "unknown field `wieght`"),
        (add(json!({ "via": 3 })), "add.via", "expected the address of a next hop, or a list of next hops"),
        (add(json!({ "via": [{ "to": "10.0.0.2" }], "interface": "if0" })), "interface", "each names its own"),
        (add(json!({ "prohibit": true, "via": "10.0.0.2" })), "prohibit", "neither next hop nor interface"),
        (add(json!({ "prohibit": true, "unreachable": true })), "prohibit", "`unreachable` or `prohibit`: a route has one meaning"),
        (json!({ "replace": { "prefix": "21.0.0.0/8", "via": "10.0.0.2" } }), "prefix", "there is no route 21.0.0.0/8"),
        (json!({ "replace": { "prefix": "20.0.0.0/8", "via": "10.0.0.2" } }), "metric", "there is no route 20.0.0.0/8 of metric 0"),
        (json!({ "remove": { "prefix": "20.0.0.0/8", "metric": 6 } }), "metric", "there is no route 20.0.0.0/8 of metric 6"),
    ] {
        let (at, text) = refusal(&kit, &refused);
        assert_eq!(at, path, "{refused}: {text}");
        assert!(text.contains(message), "{refused}: {text}");
    }
    let list = command(&kit, &json!({ "list": { "within": "20.0.0.0/7" } }));
    let via = json!([{ "to": "10.0.0.2", "interface": "if0", "weight": 1, "up": true }]);
    assert_eq!(
        list,
        json!({ "routes": [{ "prefix": "20.0.0.0/8", "meaning": "forward", "metric": 5, "active": true, "via": via }] })
    );
}
