//! `Frame::ip4_check` and `Frame::ip4_forward`, against etherparse's view of the same bytes and the checksums that it computes.

mod common;

use std::net::Ipv4Addr;

use common::{Next, SIZES, edges_of, lane, random, run_one, walker};
use etherparse::checksum::Sum16BitWords;
use etherparse::{EtherType, Ethernet2HeaderSlice, IpNumber, Ipv4Header, Ipv4Options};
use proptest::prelude::*;
use swath_api::EthRewrite;
use swath_api::prelude::*;
use swath_api::testkit::{NodeKit, TestKit};

edges! {
    /// One edge for each class of the check, in the order of the classes.
    pub enum Class {
        /// A good header without options.
        Ok = edge("ok", layer::IP4),
        /// A good header with options.
        Options = edge("options", layer::IP4),
        /// Fewer bytes than it says.
        TooShort = drop("too-short"),
        /// Not version 4.
        BadVersion = drop("bad-version"),
        /// A header length below 20.
        BadHeaderLength = drop("bad-header-length"),
        /// A total length below the header's.
        BadLength = drop("bad-length"),
        /// A wrong checksum.
        BadChecksum = drop("bad-checksum"),
        /// A source that is no host's.
        BadSource = drop("bad-source"),
    }
}

struct Check;

impl Node for Check {
    const INFO: Info = Info::new("check", "Checks IPv4 headers.").input(layer::IP4);
    type Config = NoConfig;
    type Next = Class;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Check, ConfigError> {
        Ok(Check)
    }

    fn process(&mut self, frame: &mut Frame<'_, Class>, _: &mut Context<'_>) {
        frame.ip4_check(|class| match class {
            Ip4Class::Ok => Class::Ok,
            Ip4Class::Options => Class::Options,
            Ip4Class::TooShort => Class::TooShort,
            Ip4Class::BadVersion => Class::BadVersion,
            Ip4Class::BadHeaderLength => Class::BadHeaderLength,
            Ip4Class::BadLength => Class::BadLength,
            Ip4Class::BadChecksum => Class::BadChecksum,
            Ip4Class::BadSource => Class::BadSource,
        });
    }
}

fn checker() -> NodeKit {
    TestKit::new().node::<Check>("{}").unwrap()
}

/// An IPv4 packet as etherparse writes it.
fn ip4(ttl: u8, id: u16, options: usize, payload: usize) -> Vec<u8> {
    ip4_from([192, 0, 2, 1], ttl, id, options, payload)
}

fn ip4_from(source: [u8; 4], ttl: u8, id: u16, options: usize, payload: usize) -> Vec<u8> {
    let mut header = Ipv4Header::new(payload as u16, ttl, IpNumber::UDP, source, [198, 51, 100, 7]).unwrap();
    header.identification = id;
    header.options = Ipv4Options::try_from(&[1; 40][..options]).unwrap();
    header.set_payload_len(payload).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], &vec![0xd7; payload]].concat()
}

/// The edge of a packet and its length behind the check. The order is that of RFC 1812 §5.2.2, but for the checksum, which is last
/// since it is of as many bytes as the other fields say.
fn checked(bytes: &[u8]) -> (&'static str, usize) {
    let len = bytes.len();
    if len < 20 {
        return ("too-short", len);
    }
    let (version, header_len) = (bytes[0] >> 4, usize::from(bytes[0] & 15) * 4);
    let total = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    match version {
        4 if header_len < 20 => return ("bad-header-length", len),
        4 if total < header_len => return ("bad-length", len),
        4 if total > len => return ("too-short", len),
        4 => (),
        _ => return ("bad-version", len),
    }
    if Sum16BitWords::new().add_slice(&bytes[..header_len]).ones_complement() != 0 {
        return ("bad-checksum", len);
    }
    // RFC 1812 §5.3.7, and §4.2.2.11.
    let source = Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15]);
    let no_host = source.octets()[0] == 0 || source.is_loopback() || source.is_multicast() || source.octets()[0] >= 240;
    if no_host && !(source.is_unspecified() && bytes[16..20] == [255; 4]) {
        return ("bad-source", total);
    }
    (if header_len > 20 { "options" } else { "ok" }, total)
}

fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let options = prop::sample::select(vec![0, 0, 0, 4, 20, 40]);
    let good =
        (any::<u8>(), any::<u16>(), options, 0..90_usize).prop_map(|(ttl, id, options, payload)| ip4(ttl, id, options, payload));
    let padded = (good.clone(), 0..40_usize).prop_map(|(packet, padding)| [packet, vec![0; padding]].concat());
    let cut = (good.clone(), 0..61_usize).prop_map(|(mut packet, len)| {
        packet.truncate(len);
        packet
    });
    // One byte of the fixed header is another; for some of them the checksum is right again.
    let broken = (good.clone(), 0..20_usize, any::<u8>(), any::<bool>()).prop_map(|(mut packet, at, byte, repair)| {
        packet[at] = byte;
        let header_len = usize::from(packet[0] & 15) * 4;
        if repair && (12..=packet.len()).contains(&header_len) {
            packet[10..12].fill(0);
            let sum = Sum16BitWords::new().add_slice(&packet[..header_len]).ones_complement();
            // The sum is in memory order.
            packet[10..12].copy_from_slice(&sum.to_ne_bytes());
        }
        packet
    });
    let first = (good.clone(), any::<u8>(), any::<u16>()).prop_map(|(mut packet, first, total)| {
        packet[0] = first;
        packet[2..4].copy_from_slice(&(total % 80).to_be_bytes());
        packet
    });
    prop_oneof![good, padded, cut, broken, first, prop::collection::vec(any::<u8>(), 0..70)]
}

fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::sample::select(SIZES.to_vec()).prop_flat_map(|size| prop::collection::vec(any_packet(), size))
}

#[test]
fn ip4_check_classifies_and_cuts() {
    random(256)
        .run(&frames(), |packets| {
            let outcomes = common::run(&mut checker(), &packets);
            prop_assert_eq!(outcomes.len(), packets.len());
            for (number, (bytes, outcome)) in packets.iter().zip(outcomes).enumerate() {
                let (edge, len) = checked(bytes);
                prop_assert_eq!((outcome.edge, outcome.bytes, outcome.lane), (edge, bytes[..len].to_vec(), lane(number)));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn each_class_is_found_at_each_place_of_a_frame() {
    let good = ip4(64, 1, 0, 8);
    let broken = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        packet
    };
    let packets = [
        good.clone(),
        ip4(64, 1, 4, 8),
        good[..27].to_vec(),
        broken(0, 0x65),
        broken(0, 0x44),
        broken(3, 19),
        broken(8, 63),
        ip4_from([127, 0, 0, 1], 64, 1, 0, 8),
    ];
    let names: Vec<_> = Class::EDGES.iter().map(|edge| edge.name.as_str()).collect();
    assert_eq!(Ip4Class::ALL.len(), names.len());
    let mut kit = checker();
    for size in SIZES {
        for turn in 0..packets.len() {
            let frame: Vec<_> = (0..size).map(|i| packets[(i + turn) % packets.len()].clone()).collect();
            let expected: Vec<_> = (0..size).map(|i| names[(i + turn) % packets.len()]).collect();
            assert_eq!(edges_of(&common::run(&mut kit, &frame)), expected);
        }
    }
}

/// Adjacencies: the first one leads to interface 7, the second over a small MTU, the third is not resolved.
fn adjacencies() -> [EthRewrite; 3] {
    let header = |last: u8| [0x52, 0x54, 0, 1, 2, last, 2, 0, 0, 0, 0, last, 8, 0];
    [EthRewrite::new(header(1), 1500, 7, true), EthRewrite::new(header(2), 60, 8, true), EthRewrite::new(header(3), 1500, 9, false)]
}

fn forwarder() -> NodeKit {
    walker(TestKit::new(), |frame, _| {
        frame.ip4_forward(&adjacencies(), Next::A, Next::B, Next::C, Next::Full, Next::Bad);
    })
}

fn forward_edge(bytes: &[u8], adj: u32) -> &'static str {
    match adjacencies().get(adj as usize) {
        _ if bytes.len() < 20 => "bad",
        None => "bad",
        _ if bytes[8] <= 1 => "b",
        Some(to) if bytes.len() > usize::from(to.mtu) => "c",
        Some(to) if to.ready == 0 => "full",
        Some(_) => "a",
    }
}

/// That `sent` is `bytes` as they go out by the adjacency, by etherparse's account.
fn assert_forwarded(bytes: &[u8], sent: &[u8], by: &EthRewrite) {
    let eth = Ethernet2HeaderSlice::from_slice(sent).unwrap();
    assert_eq!((eth.destination(), eth.source()), (by.header[..6].try_into().unwrap(), by.header[6..12].try_into().unwrap()));
    assert_eq!(eth.ether_type(), EtherType::IPV4);
    let (before, rest) = Ipv4Header::from_slice(bytes).unwrap();
    let (after, sent_rest) = Ipv4Header::from_slice(&sent[14..]).unwrap();
    let mut expected = before.clone();
    expected.time_to_live -= 1;
    expected.header_checksum = expected.calc_header_checksum();
    assert_eq!((after, sent_rest), (expected, rest));
}

#[test]
fn ip4_forward_sends_on_or_leaves_as_it_is() {
    let packet = (prop::sample::select(vec![0, 1, 2, 3, 64, 255]), any::<u16>(), prop::sample::select(vec![0, 4, 40]), 0..60_usize);
    let good = packet.prop_map(|(ttl, id, options, payload)| ip4(ttl, id, options, payload));
    let short = prop::collection::vec(any::<u8>(), 0..20);
    let adj = prop::sample::select(vec![0, 0, 0, 1, 2, 3, u32::MAX]);
    let packets = (prop_oneof![9 => good, 1 => short], adj);
    let frames = prop::sample::select(SIZES.to_vec()).prop_flat_map(move |size| prop::collection::vec(packets.clone(), size));
    random(256)
        .run(&frames, |packets| {
            let lanes = packets.iter().map(|(_, adj)| Lane { adj: *adj, ..Lane::received(2) });
            let frame: Vec<_> = packets.iter().map(|(bytes, _)| bytes.as_slice()).zip(lanes).collect();
            let outcomes = forwarder().run(&frame);
            prop_assert_eq!(outcomes.len(), frame.len());
            for ((bytes, lane), outcome) in frame.into_iter().zip(outcomes) {
                prop_assert_eq!(outcome.edge, forward_edge(bytes, lane.adj));
                if outcome.edge == "a" {
                    let by = adjacencies()[lane.adj as usize];
                    assert_forwarded(bytes, &outcome.bytes, &by);
                    prop_assert_eq!(outcome.lane, Lane { tx: by.tx, ..lane });
                } else {
                    prop_assert_eq!((&outcome.bytes[..], outcome.lane), (bytes, lane));
                }
            }
            Ok(())
        })
        .unwrap();
}

/// All checksums that a header can have: the ones at which the carry goes round are among them (RFC 1624 §4).
#[test]
fn the_checksum_is_right_whatever_it_was() {
    let mut kit = forwarder();
    let lane = Lane { adj: 0, ..Lane::received(2) };
    for first in (0..=u16::MAX).step_by(VECTOR) {
        let packets: Vec<_> = (first..=first + 255).map(|id| ip4(2 + (id % 254) as u8, id, 0, 4)).collect();
        let outcomes = kit.run(&packets.iter().map(|bytes| (bytes.as_slice(), lane)).collect::<Vec<_>>());
        for (bytes, outcome) in packets.iter().zip(outcomes) {
            assert_eq!(outcome.edge, "a");
            assert_forwarded(bytes, &outcome.bytes, &adjacencies()[0]);
        }
    }
}

#[test]
fn the_mtu_is_met_exactly() {
    for (payload, edge) in [(1480, "a"), (1481, "c")] {
        let bytes = ip4(9, 1, 0, payload);
        assert_eq!(forwarder().one(&bytes, Lane::default()).edge, edge);
    }
}

/// 14 bytes of headroom are needed; 128 are there, and `prepended` of them are used up.
fn forward_behind<const PREPENDED: usize>() -> &'static str {
    let mut kit = walker(TestKit::new(), |frame, _| {
        frame.for_each(|packet| {
            let Some(header) = packet.head::<20>().copied() else { return Next::Bad };
            let Some(start) = packet.prepend::<PREPENDED>() else { return Next::Bad };
            start[..20].copy_from_slice(&header);
            Next::Kept
        });
        frame.ip4_forward(&adjacencies(), Next::A, Next::B, Next::C, Next::Full, Next::Bad);
    });
    let outcome = kit.one(&ip4(9, 1, 0, 40), Lane::default());
    assert_eq!(outcome.bytes.len(), 60 + PREPENDED + if outcome.edge == "a" { 14 } else { 0 });
    outcome.edge
}

#[test]
fn a_packet_without_headroom_is_bad_and_stays_as_it_is() {
    assert_eq!((forward_behind::<114>(), forward_behind::<115>(), forward_behind::<128>()), ("a", "bad", "bad"));
}

#[test]
fn no_adjacencies_at_all_is_bad() {
    let mut kit = walker(TestKit::new(), |frame, _| {
        frame.ip4_forward(&[], Next::A, Next::B, Next::C, Next::Full, Next::Bad);
    });
    let bytes = ip4(9, 1, 0, 40);
    for size in SIZES {
        let outcomes = kit.run(&vec![(bytes.as_slice(), Lane::default()); size]);
        assert!(outcomes.iter().all(|outcome| outcome.edge == "bad" && outcome.bytes == bytes));
    }
}

/// The views of one packet give what the frame-wide check and etherparse give.
#[test]
fn views_agree_with_the_check() {
    random(256)
        .run(&any_packet(), |bytes| {
            let outcome = run_one(&bytes, |packet| {
                let bare = packet.ip4().map(|ip| (ip.version(), ip.header_len(), ip.total_len()));
                let good = packet.header::<swath_api::wire::Ipv4>().map(|(ip, rest)| ip.checksum_ok(rest));
                match (bare, good) {
                    (Some((4, 20, _)), Ok(true)) => Next::A,
                    (Some((4, 24.., _)), Ok(true)) => Next::B,
                    _ => Next::Bad,
                }
            });
            let expected = match checked(&bytes).0 {
                // The views know nothing of sources.
                "bad-source" if bytes[0] & 15 == 5 => "a",
                "bad-source" => "b",
                "ok" => "a",
                "options" => "b",
                _ => "bad",
            };
            prop_assert_eq!(outcome.edge, expected);
            Ok(())
        })
        .unwrap();
}
