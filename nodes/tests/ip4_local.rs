//! `ip4-local` clause by clause of RFC 1122 §3.2.2.6 and RFC 1812 §4.3.3.6. Requests and what is made of them are read by etherparse.

mod common;

use common::frames::{header, packet};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, IpNumber, Ipv4Header, Ipv4HeaderSlice};
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::wire::IcmpCause;
use swath_api::{Lane, NO_INTERFACE};
use swath_nodes::ip4_local::Ip4Local;

const OWN: [u8; 4] = [192, 168, 1, 1];
/// As `ip4-lookup` leaves it.
const LOCAL: Lane = Lane { adj: 0, tx: NO_INTERFACE, rx: 1 };

fn surroundings() -> TestKit {
    let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &["192.168.1.1/24"]);
    kit.interface("wan", "02:00:00:00:00:02", 1400, &["203.0.113.2/30"])
}

fn kit(settings: &str) -> NodeKit {
    surroundings().node::<Ip4Local>(settings).unwrap()
}

/// An ICMP message in a packet whose header is then changed.
fn icmp(icmp_type: Icmpv4Type, data: &[u8], options: &[u8], change: impl Fn(&mut Ipv4Header)) -> Vec<u8> {
    let message = [&Icmpv4Header::with_checksum(icmp_type, data).to_bytes()[..], data].concat();
    let mut header = header(OWN, 1, message.len());
    header.protocol = IpNumber::ICMP;
    change(&mut header);
    let mut bytes = packet(header, options);
    bytes.truncate(20 + options.len());
    bytes.extend(message);
    bytes
}

fn request(data: &[u8], options: &[u8], change: impl Fn(&mut Ipv4Header)) -> Vec<u8> {
    icmp(Icmpv4Type::EchoRequest(IcmpEchoHeader { id: 0x1234, seq: 0xfffe }), data, options, change)
}

/// The reply that etherparse makes, with options as given.
fn reply(request: &[u8], ttl: u8, options: &[u8]) -> Vec<u8> {
    let mut header = Ipv4HeaderSlice::from_slice(request).unwrap().to_header();
    let data = &request[header.header_len() + 8..usize::from(header.total_len)];
    (header.source, header.destination) = (header.destination, header.source);
    header.time_to_live = ttl;
    header.options = options.try_into().unwrap();
    header.header_checksum = header.calc_header_checksum();
    let echo = Icmpv4Type::EchoReply(IcmpEchoHeader { id: 0x1234, seq: 0xfffe });
    [&header.to_bytes()[..], &Icmpv4Header::with_checksum(echo, data).to_bytes(), data].concat()
}

#[test]
fn rfc_1812_4_3_3_6_echo_requests_are_answered() {
    // RFC 791 §3.1: the timestamp option is returned as it is, the recorded route with the router, unless it is full.
    let timestamp = [68, 8, 5, 0, 1, 2, 3, 4];
    let route = [7, 11, 8, 9, 9, 9, 9, 0, 0, 0, 0, 0];
    let route_and_we = [7, 11, 12, 9, 9, 9, 9, 192, 168, 1, 1, 0];
    let full = [7, 7, 8, 9, 9, 9, 9, 1];
    let after_nop = [1, 7, 7, 4, 0, 0, 0, 0];
    let after_nop_we = [1, 7, 7, 8, 192, 168, 1, 1];
    let odd: Vec<u8> = (0..1371).map(|at| at as u8).collect();
    let of_tos = |ip: &mut Ipv4Header| (ip.dscp, ip.ecn) = (46.try_into().unwrap(), 1.try_into().unwrap());
    let plain = |_: &mut Ipv4Header| {};
    for (name, request, options) in [
        ("without data", request(&[], &[], plain), &[][..]),
        ("the data is returned whole", request(b"hello, router", &[], plain), &[]),
        ("of odd length", request(&odd, &[], plain), &[]),
        ("the type of service is that of the request (RFC 1349 §5.1)", request(b"tos", &[], of_tos), &[]),
        ("RFC 6864 §4: DF", request(b"df", &[], |ip| (ip.dont_fragment, ip.identification) = (true, 0)), &[]),
        ("RFC 6864 §4: identification", request(b"id", &[], |ip| (ip.dont_fragment, ip.identification) = (false, 77)), &[]),
        ("at another address of the router", request(b"wan", &[], |ip| ip.destination = [203, 0, 113, 2]), &[]),
        ("RFC 1812 §4.2.2.9: its TTL does not count", request(b"ttl", &[], |ip| ip.time_to_live = 0), &[]),
        ("from afar", request(b"far", &[], |ip| ip.source = [8, 8, 8, 8]), &[]),
        ("no operation", request(b"nop", &[1, 1, 1, 0], plain), &[1, 1, 1, 0]),
        ("a timestamp", request(b"time", &timestamp, plain), &timestamp),
        ("RFC 1122 §3.2.2.6: a recorded route", request(b"route", &route, plain), &route_and_we),
        ("a recorded route that is full", request(b"full", &full, plain), &full),
        ("a recorded route that is empty", request(b"nop", &after_nop, plain), &after_nop_we),
    ] {
        let out = kit("{}").one(&request, LOCAL);
        assert_eq!(out.edge, "reply", "{name}");
        assert_eq!(out.bytes, reply(&request, 65, options), "{name}");
        assert_eq!(out.lane, Lane::received(1), "{name}");
    }
    let mut padded = request(b"pad", &[], plain);
    let whole = padded.clone();
    padded.extend([0xaa; 15]);
    assert_eq!(kit("{}").one(&padded, LOCAL).bytes, reply(&whole, 65, &[]), "padding stays behind");
}

#[test]
fn the_ttl() {
    // One more than leaves: the router's own rewrite takes it.
    let request = request(b"x", &[], |_| {});
    for (settings, ttl) in [("{}", 65), (r#"{"ttl": 1}"#, 2), (r#"{"ttl": 254}"#, 255)] {
        assert_eq!(kit(settings).one(&request, LOCAL).bytes, reply(&request, ttl, &[]));
    }
}

#[test]
fn a_reply_of_nothing_but_zeros_has_a_checksum() {
    // RFC 1624 §5: an update by difference would give 0 here.
    let request = icmp(Icmpv4Type::EchoRequest(IcmpEchoHeader { id: 0, seq: 0 }), &[0; 4], &[], |_| {});
    assert_eq!(kit("{}").one(&request, LOCAL).bytes[20..], [0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn what_gets_no_reply() {
    let plain = |_: &mut Ipv4Header| {};
    let to = |destination: [u8; 4]| request(b"x", &[], move |ip| ip.destination = destination);
    let from = |source: [u8; 4]| request(b"x", &[], move |ip| ip.source = source);
    let options = |options: &[u8]| request(b"x", options, plain);
    let damaged = |at: usize| {
        let mut bytes = request(b"data", &[], plain);
        bytes[at] ^= 0x10;
        bytes
    };
    let other = |type_u8: u8| icmp(Icmpv4Type::Unknown { type_u8, code_u8: 0, bytes5to8: [0; 4] }, &[], &[], plain);
    let udp = || packet(header(OWN, 64, 8), &[]);
    let short = || {
        let mut header = header(OWN, 64, 7);
        header.protocol = IpNumber::ICMP;
        packet(header, &[])
    };
    for (name, packet, edge) in [
        ("RFC 792: the checksum, of the data", damaged(30), "bad-checksum"),
        ("RFC 792: the checksum, of the header", damaged(24), "bad-checksum"),
        ("RFC 1812 §4.3.3.6: to the broadcast of a subnet", to([192, 168, 1, 255]), "echo-to-group"),
        ("RFC 1812 §4.3.3.6: to the limited broadcast", to([255; 4]), "echo-to-group"),
        ("RFC 1812 §4.3.3.6: to a multicast group", to([224, 0, 0, 1]), "echo-to-group"),
        ("from a broadcast", from([192, 168, 1, 255]), "not-from-host"),
        ("from the limited broadcast", from([255; 4]), "not-from-host"),
        ("from a group", from([224, 0, 0, 1]), "not-from-host"),
        ("from nobody", from([0; 4]), "not-from-host"),
        ("from a loopback address", from([127, 0, 0, 1]), "not-from-host"),
        ("RFC 7126 §4.3: loose source route", options(&[131, 7, 8, 9, 9, 9, 9, 0]), "source-route"),
        ("RFC 7126 §4.4: strict source route", options(&[137, 7, 8, 9, 9, 9, 9, 0]), "source-route"),
        ("an option beyond the header", options(&[7, 11, 4, 0]), "bad-options"),
        ("an option of no length", options(&[9, 0, 0, 0]), "bad-options"),
        ("a recorded route without a pointer", options(&[7, 2, 0, 0]), "bad-options"),
        ("a recorded route that points before itself", options(&[7, 7, 3, 0, 0, 0, 0, 0]), "bad-options"),
        ("an echo reply", other(0), "icmp"),
        ("RFC 1122 §3.2.2: a message of an unknown type", other(99), "icmp"),
        ("ICMP without a header", short(), "malformed"),
        ("cut off", udp()[..27].to_vec(), "malformed"),
        ("a first fragment", request(b"x", &[], |ip| ip.more_fragments = true), "fragment"),
        ("a later fragment", request(b"x", &[], |ip| ip.fragment_offset = 1.try_into().unwrap()), "fragment"),
    ] {
        let out = kit("{}").one(&packet, LOCAL);
        assert_eq!((out.edge, &out.bytes, out.lane), (edge, &packet, LOCAL), "{name}");
    }
}

#[test]
fn rfc_1122_3_2_2_1_what_nobody_takes() {
    let of = |protocol: u8| {
        let mut header = header(OWN, 64, 20);
        header.protocol = protocol.into();
        let mut bytes = packet(header, &[]);
        // Of a datagram the length, and that there is no checksum (RFC 768).
        bytes[24..28].copy_from_slice(&[0, 20, 0, 0]);
        bytes
    };
    for (protocol, cause) in [
        (17, IcmpCause::PORT_UNREACHABLE),
        (6, IcmpCause::PROTOCOL_UNREACHABLE),
        (89, IcmpCause::PROTOCOL_UNREACHABLE),
        (253, IcmpCause::PROTOCOL_UNREACHABLE),
    ] {
        let out = kit("{}").one(&of(protocol), LOCAL);
        assert_eq!((out.edge, out.bytes, out.lane), ("unreachable", of(protocol), Lane { adj: cause.word(), ..LOCAL }));
    }
    let settings = r#"{"punt": ["tcp", "ospf", 253, "icmp"]}"#;
    for (protocol, edge) in [(6, "punt"), (89, "punt"), (253, "punt"), (17, "unreachable"), (2, "unreachable")] {
        let out = kit(settings).one(&of(protocol), LOCAL);
        assert_eq!((out.edge, out.bytes), (edge, of(protocol)), "{protocol}");
    }
    let reply = icmp(Icmpv4Type::EchoReply(IcmpEchoHeader { id: 1, seq: 1 }), b"x", &[], |_| {});
    assert_eq!(kit(settings).one(&reply, LOCAL).edge, "punt");
    assert_eq!(kit(settings).one(&request(b"x", &[], |_| {}), LOCAL).edge, "reply");
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (settings, path) in [(r#"{"ttl": 0}"#, "ttl"), (r#"{"punt": ["ospff"]}"#, "punt[0]"), (r#"{"punt": [256]}"#, "punt[0]")] {
        let error = surroundings().node::<Ip4Local>(settings).map(drop).unwrap_err();
        assert_eq!(error.path(), path, "{error}");
        assert!(
            path == "ttl" || error.message().contains("the number of a protocol, 0 to 255, or one of `icmp`, `igmp`, `tcp`"),
            "{error}"
        );
    }
}
