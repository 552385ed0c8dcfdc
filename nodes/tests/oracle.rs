//! The whole router against a slow one: random routes and packets, valid, changed and cut; the same frames must leave in the same
//! order, and each other packet must be dropped at the same node for the same reason.

mod common;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use common::frames::{Mac, checksum, ethernet, header, mac, mend, mutate, packet};
use common::random::Rng;
use common::{Rig, scaled};
use etherparse::err::ipv4::{HeaderError, HeaderSliceError};
use etherparse::{EtherType, Ethernet2HeaderSlice, Ipv4HeaderSlice};

const INTERFACES: [(&str, Mac, [u8; 4], u8, u16); 3] =
    [("a", mac(1), [10, 0, 0, 1], 24, 1500), ("b", mac(2), [172, 16, 4, 2], 30, 900), ("c", mac(3), [192, 168, 0, 129], 25, 300)];

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Via(usize, u32),
    /// The destination is a neighbour on the interface.
    OnLink(usize),
    /// Dropped at the look-up, or kept there, under this name.
    End(&'static str),
}

struct Router {
    routes: Vec<(u32, u8, Way)>,
    neighbours: BTreeMap<(usize, u32), Mac>,
}

fn covers(prefix: u32, len: u8, address: u32) -> bool {
    len == 0 || (prefix ^ address) >> (32 - u32::from(len)) == 0
}

fn network(address: u32, len: u8) -> u32 {
    if len == 0 { 0 } else { address >> (32 - u32::from(len)) << (32 - u32::from(len)) }
}

impl Router {
    fn random(rng: &mut Rng) -> Router {
        let ip = |a: [u8; 4]| u32::from_be_bytes(a);
        let mut routes = vec![
            (ip([0, 0, 0, 0]), 8, Way::End("lookup.martian")),
            (ip([127, 0, 0, 0]), 8, Way::End("lookup.martian")),
            (ip([240, 0, 0, 0]), 4, Way::End("lookup.martian")),
            (ip([224, 0, 0, 0]), 4, Way::End("lookup.multicast")),
            (u32::MAX, 32, Way::End("lookup.local")),
        ];
        let (mut hops, mut neighbours) = (Vec::new(), BTreeMap::new());
        for (index, (_, _, own, len, _)) in INTERFACES.into_iter().enumerate() {
            let subnet = network(ip(own), len);
            let last = subnet | u32::MAX >> len;
            routes.push((subnet, len, Way::OnLink(index)));
            routes.push((ip(own), 32, Way::End("lookup.local")));
            routes.push((last, 32, Way::End("lookup.local")));
            // Hosts of the subnet; most of them known.
            for host in (subnet + 1..last).filter(|host| *host != ip(own)).take(20) {
                hops.push((index, host));
                if !rng.one_in(3) {
                    neighbours.insert((index, host), [2, 1, index as u8, 0, (host >> 8) as u8, host as u8]);
                }
            }
        }
        let standing = routes.len();
        // Every other router has routes that are so short that they leave few destinations without one.
        let shortest = rng.pick(&[0, 8]);
        for _ in 0..rng.below(400) {
            // Half of them inside another one.
            let inside = rng.pick(&routes[..]);
            let base = if rng.one_in(2) { inside } else { (0, shortest, Way::OnLink(0)) };
            let len = base.1 + rng.below(33 - usize::from(base.1)) as u8;
            let free = if base.0 == 0 { u32::MAX } else { u32::MAX.checked_shr(base.1.into()).unwrap_or(0) };
            let prefix = network(base.0 | rng.bits() as u32 & free, len);
            let way = match rng.below(8) {
                0 => Way::End("lookup.blackhole"),
                1 => Way::OnLink(rng.below(3)),
                _ => {
                    let (interface, hop) = rng.pick(&hops);
                    Way::Via(interface, hop)
                }
            };
            if !routes.iter().any(|(known, known_len, _)| (*known, *known_len) == (prefix, len)) {
                routes.push((prefix, len, way));
            }
        }
        // Hosts behind on-link routes, too.
        for (prefix, _, way) in &routes[standing..] {
            let is_own = INTERFACES.into_iter().any(|(_, _, own, _, _)| ip(own) == *prefix);
            if let Way::OnLink(interface) = way
                && rng.one_in(2)
                && !is_own
            {
                neighbours.insert((*interface, *prefix), [2, 2, 0, 0, 0, *interface as u8]);
            }
        }
        Router { routes, neighbours }
    }

    fn graph(&self) -> String {
        let mut graph = "version: 1\ninterfaces:\n".to_string();
        for (name, mac, own, len, mtu) in INTERFACES {
            let (mac, own) = (mac.map(|byte| format!("{byte:02x}")).join(":"), Ipv4Addr::from(own));
            graph += &format!("  {name}: {{ driver: test, mac: '{mac}', addresses: [{own}/{len}], mtu: {mtu} }}\n");
        }
        graph += "tables:\n  neighbours:\n    kind: neighbours\n    static:\n";
        for ((interface, host), mac) in &self.neighbours {
            let (name, host) = (INTERFACES[*interface].0, Ipv4Addr::from(*host));
            let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
            graph += &format!("      - {{ address: {host}, mac: '{mac}', interface: {name} }}\n");
        }
        graph += "  routes:\n    kind: fib4\n    routes:\n      - { prefix: 198.51.100.0/24, blackhole: true }\n";
        for (prefix, len, way) in &self.routes {
            let to = match way {
                Way::Via(_, hop) => format!("via: {}", Ipv4Addr::from(*hop)),
                Way::OnLink(interface) => format!("interface: {}", INTERFACES[*interface].0),
                Way::End("lookup.blackhole") => "blackhole: true".into(),
                Way::End(_) => continue,
            };
            let standing = matches!(way, Way::OnLink(at) if network(u32::from_be_bytes(INTERFACES[*at].2), *len) == *prefix && INTERFACES[*at].3 == *len);
            if !standing {
                graph += &format!("      - {{ prefix: {}/{len}, {to} }}\n", Ipv4Addr::from(*prefix));
            }
        }
        graph += "nodes:\n  a-rx: { kind: rx, interface: a, to: eth }\n  b-rx: { kind: rx, interface: b, to: eth }\n";
        graph += "  c-rx: { kind: rx, interface: c, to: eth }\n  eth: { kind: ethernet-input, to: ip4 }\n";
        graph += "  ip4: { kind: ip4-input, to: lookup }\n  lookup: { kind: ip4-lookup, to: rewrite }\n";
        graph + "  rewrite: { kind: ip4-rewrite, to: tx }\n  tx: { kind: tx }\n"
    }

    /// An address that is worth a packet: at the edge of a route, or any.
    fn destination(&self, rng: &mut Rng) -> u32 {
        let (prefix, len, _) = rng.pick(&self.routes);
        let last = prefix | u32::MAX.checked_shr(len.into()).unwrap_or(0);
        let any = rng.bits() as u32;
        let neighbours: Vec<u32> = self.neighbours.keys().map(|(_, host)| *host).collect();
        rng.pick(&[
            prefix,
            last,
            prefix.wrapping_sub(1),
            last.wrapping_add(1),
            prefix | any & (last ^ prefix),
            any,
            rng.clone().pick(&neighbours),
        ])
    }

    fn frame(&self, rx: usize, rng: &mut Rng) -> Vec<u8> {
        let destination = self.destination(rng);
        let mtu = usize::from(INTERFACES[rng.below(3)].4);
        let length = rng.pick(&[20, 21, 28, 46, 60, 64, 100, mtu - 1, mtu, mtu + 1]);
        let mut ip = header(destination.to_be_bytes(), rng.pick(&[0, 1, 2, 3, 64, 255, rng.clone().bits() as u8]), length - 20);
        (ip.identification, ip.source) = (rng.bits() as u16, (rng.bits() as u32).to_be_bytes());
        let words = if rng.one_in(6) { rng.below(11).min((length - 20) / 4) } else { 0 };
        let total = length - words * 4;
        ip.total_len = total as u16;
        let packet = packet(ip, &vec![1; words * 4]);
        let station = match rng.below(60) {
            0 | 1 => mac(9),
            2 => [0xff; 6],
            3 => [0x01, 0, 0x5e, 0, 0, 1],
            _ => INTERFACES[rx].1,
        };
        let ethertype = if rng.one_in(20) { rng.pick(&[0x0806, 0x86dd, 0x8100, 0x88a8, 0x88cc, 0x0026, 0x0008]) } else { 0x0800 };
        let mut frame = ethernet(station, ethertype, &packet);
        if rng.one_in(4) {
            frame.resize(frame.len() + rng.below(20), 0xaa);
        }
        if rng.one_in(3) {
            mutate(&mut frame, rng);
            if rng.one_in(2) {
                mend(&mut frame);
            }
        }
        // Of zero's two representations the one that no sender should use (RFC 1624).
        if rng.one_in(50)
            && let Some(field) = frame.get_mut(24..26)
            && *field == [0, 0]
        {
            field.fill(0xff);
        }
        frame
    }

    /// What a router does with a frame: it leaves by an interface, or is counted under a name.
    fn decide(&self, rx: usize, frame: &[u8]) -> Result<(usize, Vec<u8>), &'static str> {
        let Ok(ethernet) = Ethernet2HeaderSlice::from_slice(frame) else { return Err("eth.too-short") };
        let to = ethernet.destination();
        // IEEE 802.3: the lowest bit of the first octet says that it is a group's.
        if to != INTERFACES[rx].1 && to[0] & 1 == 0 {
            return Err("eth.not-ours");
        }
        match ethernet.ether_type() {
            EtherType::IPV4 => {}
            EtherType::IPV6 => return Err("eth.ip6"),
            EtherType::ARP => return Err("eth.arp"),
            EtherType::VLAN_TAGGED_FRAME | EtherType::PROVIDER_BRIDGING => return Err("eth.vlan"),
            _ => return Err("eth.other"),
        }
        let packet = &frame[14..];
        // RFC 1812 §5.3.4. What has no whole header is named below.
        if to[0] & 1 == 1
            && let Some(octets) = packet.get(16..20)
        {
            let address = u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]);
            let (_, _, own, len, _) = INTERFACES[rx];
            let subnet_broadcast = network(u32::from_be_bytes(own), len) | u32::MAX >> len;
            if octets[0] >> 4 != 14 && address != u32::MAX && address != subnet_broadcast {
                return Err("eth.unicast-in-group-frame");
            }
        }
        let ip = match Ipv4HeaderSlice::from_slice(packet) {
            Ok(ip) => ip,
            Err(HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. })) => return Err("ip4.bad-version"),
            Err(HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { .. })) => {
                return Err("ip4.bad-header-length");
            }
            Err(HeaderSliceError::Len(_)) if packet.len() < 20 => return Err("ip4.too-short"),
            Err(HeaderSliceError::Len(error)) => {
                // The header goes on behind the frame's end.
                let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
                return Err(if total < error.required_len { "ip4.bad-length" } else { "ip4.too-short" });
            }
        };
        let total = usize::from(ip.total_len());
        if total < ip.slice().len() {
            return Err("ip4.bad-length");
        }
        if total > packet.len() {
            return Err("ip4.too-short");
        }
        let right = checksum(ip.slice());
        if right != ip.header_checksum() && (right, ip.header_checksum()) != (0, 0xffff) {
            return Err("ip4.bad-checksum");
        }
        // RFC 1812 §5.3.7; RFC 2131 §4.1 for who does not know its address.
        let (source, destination) = (ip.source_addr(), ip.destination_addr());
        let no_host = matches!(source.octets()[0], 0 | 127) || source.octets()[0] >= 224;
        if no_host && !(source.is_unspecified() && destination.is_broadcast()) {
            return Err("ip4.martian-source");
        }
        let destination = u32::from_be_bytes(ip.destination());
        let found = self.routes.iter().filter(|(prefix, len, _)| covers(*prefix, *len, destination)).max_by_key(|(_, len, _)| *len);
        let (tx, hop) = match found {
            None => return Err("lookup.no-route"),
            Some((_, _, Way::End(name))) => return Err(name),
            Some((_, _, Way::OnLink(interface))) => (*interface, destination),
            Some((_, _, Way::Via(interface, hop))) => (*interface, *hop),
        };
        if ip.ttl() <= 1 {
            return Err("rewrite.ttl-expired");
        }
        // Of a next hop that nobody knows, the interface is known, and its MTU: but for hosts, whose adjacency is made when they are.
        let known = self.neighbours.get(&(tx, hop));
        let has_adjacency = known.is_some() || self.routes.iter().any(|(_, _, way)| *way == Way::Via(tx, hop));
        if has_adjacency && total > usize::from(INTERFACES[tx].4) {
            return Err("rewrite.too-big");
        }
        let Some(neighbour) = known else { return Err("rewrite.unresolved") };
        let mut out = [&neighbour[..], &INTERFACES[tx].1, &[8, 0], &packet[..total]].concat();
        out[14 + 8] -= 1;
        mend(&mut out);
        Ok((tx, out))
    }
}

#[test]
fn the_router_does_what_a_slow_one_does() {
    let mut rng = Rng::new();
    let (mut left, mut seen) = (scaled(200_000), BTreeMap::<String, u64>::new());
    while left > 0 {
        let router = Router::random(&mut rng);
        let mut rig = Rig::new(&router.graph());
        let mut before = BTreeMap::new();
        for _ in 0..30 {
            let rx = rng.below(3);
            let count = if rng.one_in(4) { 1 + rng.below(4) } else { 1 + rng.below(900) };
            let frames: Vec<Vec<u8>> = (0..count).map(|_| router.frame(rx, &mut rng)).collect();
            let (mut sent, mut dropped) = (vec![Vec::new(); 3], BTreeMap::<String, u64>::new());
            for frame in &frames {
                match router.decide(rx, frame) {
                    Ok((tx, out)) => sent[tx].push(out),
                    Err(name) => *dropped.entry(name.into()).or_default() += 1,
                }
            }
            rig.feed(INTERFACES[rx].0, frames);
            rig.run();
            for (tx, expected) in sent.iter().enumerate() {
                let out = rig.sent(INTERFACES[tx].0);
                let at = out.iter().zip(expected).position(|(out, expected)| out != expected);
                assert_eq!((out.len(), at), (expected.len(), None), "{}", router.graph());
            }
            let ledger = rig.check();
            let named = ledger
                .dropped
                .iter()
                .flat_map(|(node, reasons)| reasons.iter().map(move |(reason, n)| (format!("{node}.{reason}"), *n)));
            let now: BTreeMap<String, u64> = named.collect();
            dropped.iter().for_each(|(name, count)| *before.entry(name.clone()).or_default() += count);
            assert_eq!(now, before, "{}", router.graph());
            left = left.saturating_sub(count);
        }
        *seen.entry("sent".into()).or_default() += rig.check().sent;
        before.into_iter().for_each(|(name, count)| *seen.entry(name).or_default() += count);
    }
    // The packets are such that every outcome occurs, and often. A run that was made shorter may miss some.
    if scaled(100) < 100 {
        return;
    }
    let outcomes = [
        "sent",
        "eth.arp",
        "eth.ip6",
        "eth.not-ours",
        "eth.other",
        "eth.unicast-in-group-frame",
        "eth.too-short",
        "eth.vlan",
        "ip4.bad-checksum",
        "ip4.bad-header-length",
        "ip4.bad-length",
        "ip4.bad-version",
        "ip4.martian-source",
        "ip4.too-short",
        "lookup.blackhole",
        "lookup.local",
        "lookup.martian",
        "lookup.multicast",
        "lookup.no-route",
        "rewrite.too-big",
        "rewrite.ttl-expired",
        "rewrite.unresolved",
    ];
    assert_eq!(seen.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), outcomes.into());
    assert!(seen.values().all(|count| *count > 50), "{seen:?}");
    assert!(seen["sent"] > 20_000 * seen.values().sum::<u64>() / 200_000, "{seen:?}");
}
