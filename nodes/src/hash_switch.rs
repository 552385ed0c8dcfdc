//! `hash-switch`: a way for each flow.

use swath_api::flow::{ethernet_hash, ip_hash, mix};
use swath_api::prelude::*;

/// A flow's hash chooses a bucket, and each bucket has a way: of 16,384, so that 255 ways have 64 each, give or take 12 %.
const BUCKETS: usize = 1 << 14;

/// Sends packets by a hash of their flow.
pub struct HashSwitch {
    layer: Layer,
    seed: u64,
    // The way of each bucket; one byte is enough for 256 edges.
    ways: Box<[u8; BUCKETS]>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What packets start with at this node: `ethernet`, VLAN tags included, or `ip` behind `ip4-input` and its like. Default: `ethernet`.
    #[serde(default)]
    layer: Layer,
    /// Another seed is another distribution: routers in a row need different ones, or the second has only flows of one way. Default: 0.
    #[serde(default)]
    seed: u64,
}

/// What packets start with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Layer {
    /// An Ethernet header.
    #[default]
    Ethernet,
    /// An IPv4 or an IPv6 header.
    Ip,
}

edges! {
    /// What becomes of packets that have no flow.
    pub enum Next {
        /// Neither IPv4 nor IPv6, or cut off within the header. Wire it to send ARP and the like a way of its own.
        NotIp = drop("not-ip"),
    }
}

impl NamedEdges for Next {
    const NAMED: EdgeInfo = EdgeInfo::named("NAME", layer::SAME).doc("The flows whose hash chooses this edge.");
}

impl Node for HashSwitch {
    const INFO: Info = Info::new("hash-switch", "Spreads flows over its edges.").about(
        "Both directions of a flow (addresses, protocol, and ports of TCP, UDP, UDP-Lite, SCTP and DCCP) go the same way, and so do all \
         fragments of a datagram, for which ports do not count. The edges have any names: `to: { a: server-a, b: server-b }`. A name keeps \
         its flows: when another is removed only the flows of that one move, and they move to all others alike (rendezvous hashing, Thaler \
         and Ravishankar 1998).",
    )
        .pure()
        .example(include_str!("../examples/hash-switch.yaml"));
    type Config = Config;
    type Next = Branch<Next>;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<HashSwitch, ConfigError> {
        let names: Vec<u64> = setup.edges().map(|name| name.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)))).collect();
        if names.is_empty() {
            return Err(ConfigError::at("to", "flows need a way to go: `to: { a: NODE, b: NODE }`"));
        }
        let mut ways = Box::new([0; BUCKETS]);
        for (bucket, way) in ways.iter_mut().enumerate() {
            let score = |name: u64| mix(mix(bucket as u64 ^ config.seed) ^ name);
            let best = names.iter().enumerate().max_by_key(|(_, name)| score(**name));
            *way = best.map_or(0, |(at, _)| at as u8);
        }
        Ok(HashSwitch { layer: config.layer, seed: mix(config.seed), ways })
    }

    fn reason(&self, packet: &Packet<'_>, _: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        if let Some(bucket) = self.bucket(packet) {
            words.say(format_args!("hash bucket {bucket} of {BUCKETS}"));
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Branch<Next>>, _: &mut Context<'_>) {
        frame.for_each(|packet| match self.bucket(packet) {
            Some(bucket) => Branch::Named(self.ways[bucket].into()),
            None => Branch::Fixed(Next::NotIp),
        });
    }
}

impl HashSwitch {
    /// The bucket of a packet's flow.
    #[inline(always)]
    fn bucket(&self, packet: &Packet<'_>) -> Option<usize> {
        let hash = match self.layer {
            Layer::Ethernet => ethernet_hash(packet.data(), self.seed),
            Layer::Ip => ip_hash(packet.data(), self.seed),
        };
        hash.map(|hash| hash as usize % BUCKETS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;
    use proptest::prelude::*;
    use swath_api::testkit::{NodeKit, TestKit};

    fn kit(edges: &'static [&'static str], config: &str) -> NodeKit {
        TestKit::new().edges(edges).node::<HashSwitch>(config).unwrap()
    }

    type Flow = ([u8; 4], u16, [u8; 4], u16);

    fn udp(builder: etherparse::PacketBuilderStep<etherparse::IpHeaders>, from: u16, to: u16) -> Vec<u8> {
        let mut packet = Vec::new();
        builder.udp(from, to).write(&mut packet, b"payload").unwrap();
        packet
    }

    fn flow4((src, from, dst, to): Flow) -> Vec<u8> {
        udp(PacketBuilder::ipv4(src, dst, 64), from, to)
    }

    /// Many flows between two networks.
    fn flows(count: u32) -> impl Iterator<Item = Flow> {
        (0..count).map(|at| {
            let [_, b, c, d] = at.to_be_bytes();
            ([10, b, c, d], 1024 + (at * 7) as u16, [192, 0, 2, d], 53)
        })
    }

    const IP: &str = r#"{"layer": "ip"}"#;

    proptest! {
        #[test]
        fn both_directions_go_one_way(
            src: [u8; 16], dst: [u8; 16], from: u16, to: u16, id: u16, seed: u64, vlan in 0..4096u16, size in 1..100usize,
        ) {
            const WAYS: &[&str] = &["a", "b", "c", "d", "e", "f", "g"];
            let mut ip = kit(WAYS, &format!(r#"{{"layer": "ip", "seed": {seed}}}"#));
            let mut ethernet = kit(WAYS, &format!(r#"{{"seed": {seed}}}"#));
            let v4 = |address: [u8; 16]| <[u8; 4]>::try_from(&address[..4]).unwrap();
            let (src4, dst4) = (v4(src), v4(dst));
            let way = ip.edge(&flow4((src4, from, dst4, to)));
            prop_assert_eq!(way, ip.edge(&flow4((dst4, to, src4, from))));
            let six = udp(PacketBuilder::ipv6(src, dst, 64), from, to);
            prop_assert_eq!(ip.edge(&six), ip.edge(&udp(PacketBuilder::ipv6(dst, src, 64), to, from)));
            // Framed, and behind a tag, it is the same flow.
            let tagged = PacketBuilder::ethernet2([2; 6], [4; 6]).single_vlan(vlan.try_into().unwrap()).ipv4(src4, dst4, 64);
            prop_assert_eq!(ethernet.edge(&udp(tagged, from, to)), way);
            // A fragment of it, with any bytes where ports would be.
            let fragment = |offset: u16, more: bool, ports: [u8; 4]| {
                let mut packet = flow4((src4, from, dst4, to));
                packet[4..6].copy_from_slice(&id.to_be_bytes());
                packet[6..8].copy_from_slice(&(offset | u16::from(more) << 13).to_be_bytes());
                packet[20..24].copy_from_slice(&ports);
                packet
            };
            let first = ip.edge(&fragment(0, true, [1, 2, 3, 4]));
            prop_assert_eq!(first, ip.edge(&fragment(185, true, [9; 4])));
            prop_assert_eq!(first, ip.edge(&fragment(370, false, src4)));
            // Cut off anywhere it has a way or none, and is no reason to panic.
            ip.edge(&six[..size.min(six.len())]);
        }
    }

    #[test]
    fn each_way_has_its_share() {
        let mut kit = kit(&["a", "b", "c"], IP);
        let mut counts = std::collections::BTreeMap::new();
        flows(9000).for_each(|flow| *counts.entry(kit.edge(&flow4(flow))).or_insert(0u32) += 1);
        // Five standard deviations of a fair choice, and two of the buckets' own.
        assert!(counts.len() == 3 && counts.values().all(|count| (2700..3300).contains(count)), "{counts:?}");
    }

    #[test]
    fn only_flows_of_a_way_that_is_gone_move() {
        let mut four = kit(&["a", "b", "c", "d"], IP);
        let mut three = kit(&["a", "b", "d"], IP);
        let mut moved = std::collections::BTreeMap::new();
        for flow in flows(4000) {
            let (before, after) = (four.edge(&flow4(flow)), three.edge(&flow4(flow)));
            if before == "c" {
                *moved.entry(after).or_insert(0u32) += 1;
            } else {
                assert_eq!(before, after, "{flow:?}");
            }
        }
        assert!(moved.len() == 3 && moved.values().all(|count| (230..440).contains(count)), "{moved:?}");
    }

    #[test]
    fn another_seed_is_another_distribution() {
        let mut kits = [0, 1].map(|seed| kit(&["a", "b"], &format!(r#"{{"layer": "ip", "seed": {seed}}}"#)));
        let same = flows(1000).filter(|flow| kits[0].edge(&flow4(*flow)) == kits[1].edge(&flow4(*flow))).count();
        assert!((400..600).contains(&same), "{same}");
    }

    #[test]
    fn what_has_no_flow_is_not_ip() {
        let mut kit = kit(&["a"], "{}");
        let arp = [&[0xff; 6][..], &[2; 6], &[0x08, 0x06], &[0; 28]].concat();
        let other_version = [&[2; 12][..], &[0x08, 0x00], &[0x55; 20]].concat();
        for packet in [&arp[..], &other_version, &[], &[2; 13], &[&[2; 12][..], &[0x81, 0, 0]].concat()] {
            assert_eq!(kit.edge(packet), "not-ip", "{packet:x?}");
        }
        assert_eq!(TestKit::new().node::<HashSwitch>("{}").unwrap_err().path(), "to");
    }
}
