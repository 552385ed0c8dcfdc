//! `icmp-error` clause by clause of RFC 1812 §4.3.2 and RFC 1122 §3.2.2: what is sent, and what is not. Messages are read by etherparse.

mod common;

use common::frames::{header, packet};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Slice, Icmpv4Type, IpNumber, Ipv4Header, Ipv4Slice};
use swath_api::testkit::{NodeKit, Outcome, TestKit};
use swath_api::wire::IcmpCause;
use swath_api::{Lane, NO_INTERFACE};
use swath_nodes::icmp_error::IcmpError;

const SECOND: u64 = 1_000_000_000;

fn surroundings() -> TestKit {
    let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &["192.168.1.1/24", "10.0.0.1/8"]);
    kit.interface("wan", "02:00:00:00:00:02", 1400, &["203.0.113.2/30"]).interface("bare", "02:00:00:00:00:03", 1500, &[])
}

fn kit(settings: &str) -> NodeKit {
    surroundings().node::<IcmpError>(settings).unwrap()
}

fn refused(cause: IcmpCause) -> Lane {
    Lane { adj: cause.word(), tx: NO_INTERFACE, rx: 0 }
}

/// From 192.168.1.10, with `payload` bytes.
fn udp(destination: [u8; 4], payload: usize) -> Vec<u8> {
    packet(header(destination, 64, payload), &[])
}

/// What any error must be (RFC 1812 §4.3.2): its addresses, type, code, the word behind the checksum, and the quote.
fn assert_error(out: &Outcome, (from, to): ([u8; 4], [u8; 4]), message: [u8; 6], quoted: &[u8]) {
    assert_eq!(out.edge, "ok");
    let ip = Ipv4Slice::from_slice(&out.bytes).unwrap();
    let fields = ip.header().to_header();
    assert_eq!((fields.source, fields.destination), (from, to));
    assert_eq!(fields.header_checksum, fields.calc_header_checksum());
    assert_eq!(
        (fields.dscp.value() << 2 | fields.ecn.value(), fields.dont_fragment, fields.is_fragmenting_payload()),
        (0xc0, false, false)
    );
    assert_eq!((fields.protocol, fields.options.len(), usize::from(fields.total_len)), (IpNumber::ICMP, 0, out.bytes.len()));
    let icmp = Icmpv4Slice::from_slice(ip.payload().payload).unwrap();
    assert_eq!(icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()), "{icmp:?}");
    let [a, b, c, d] = icmp.bytes5to8();
    assert_eq!([icmp.type_u8(), icmp.code_u8(), a, b, c, d], message);
    assert_eq!(icmp.payload(), quoted);
    assert_eq!(out.lane, Lane::received(out.lane.rx), "its way is not that of the packet that it was");
}

#[test]
fn each_cause_has_its_message() {
    // With DF set.
    let ip = udp([8, 8, 8, 8], 8);
    // RFC 792, RFC 1191 §4, RFC 1812 §5.2.7.
    for (cause, message) in [
        (IcmpCause::NET_UNREACHABLE, [3, 0, 0, 0, 0, 0]),
        (IcmpCause::HOST_UNREACHABLE, [3, 1, 0, 0, 0, 0]),
        (IcmpCause::PROTOCOL_UNREACHABLE, [3, 2, 0, 0, 0, 0]),
        (IcmpCause::PORT_UNREACHABLE, [3, 3, 0, 0, 0, 0]),
        (IcmpCause::fragmentation_needed(1400), [3, 4, 0, 0, 0x05, 0x78]),
        (IcmpCause::PROHIBITED, [3, 13, 0, 0, 0, 0]),
        (IcmpCause::TTL_EXCEEDED, [11, 0, 0, 0, 0, 0]),
        (IcmpCause::parameter_problem(20), [12, 0, 20, 0, 0, 0]),
    ] {
        let out = kit("{}").one(&ip, refused(cause));
        assert_error(&out, ([192, 168, 1, 1], [192, 168, 1, 10]), message, &ip);
        let parsed = Icmpv4Header::from_slice(&out.bytes[20..]).unwrap().0.icmp_type;
        assert!(!matches!(parsed, Icmpv4Type::Unknown { .. }), "{parsed:?}");
    }
}

#[test]
fn an_adjacency_is_an_unreachable_host_and_nothing_is_no_cause() {
    let ip = udp([8, 8, 8, 8], 8);
    for adj in [0, 1, 0x00ff_ffff] {
        let out = kit("{}").one(&ip, Lane { adj, tx: 1, rx: 0 });
        assert_error(&out, ([192, 168, 1, 1], [192, 168, 1, 10]), [3, 1, 0, 0, 0, 0], &ip);
        let out = kit("{}").one(&ip, Lane { adj, tx: NO_INTERFACE, rx: 0 });
        assert_eq!((out.edge, out.bytes), ("no-cause", ip.clone()));
    }
    let out = kit(r#"{"cause": "prohibited"}"#).one(&ip, Lane { adj: 1, tx: 1, rx: 0 });
    assert_error(&out, ([192, 168, 1, 1], [192, 168, 1, 10]), [3, 13, 0, 0, 0, 0], &ip);
    let all = ["net-unreachable", "host-unreachable", "protocol-unreachable", "port-unreachable", "prohibited", "ttl-exceeded"];
    let codes = all.map(|cause| {
        let out = kit(&format!(r#"{{"cause": "{cause}"}}"#)).one(&ip, Lane::received(0));
        (out.bytes[20], out.bytes[21])
    });
    assert_eq!(codes, [(3, 0), (3, 1), (3, 2), (3, 3), (3, 13), (11, 0)]);
}

#[test]
fn rfc_1812_4_3_2_3_the_quote_makes_576_bytes() {
    for (length, quoted) in [(20, 20), (28, 28), (547, 547), (548, 548), (549, 548), (1500, 548)] {
        let ip = udp([8, 8, 8, 8], length - 20);
        let out = kit("{}").one(&ip, refused(IcmpCause::TTL_EXCEEDED));
        assert_error(&out, ([192, 168, 1, 1], [192, 168, 1, 10]), [11, 0, 0, 0, 0, 0], &ip[..quoted]);
        assert!(out.bytes.len() <= 576);
    }
    // Options are quoted, and what Ethernet has padded is not.
    let mut ip = packet(header([8, 8, 8, 8], 1, 8), &[1; 40]);
    let whole = ip.clone();
    ip.extend([0xee; 18]);
    let out = kit("{}").one(&ip, refused(IcmpCause::TTL_EXCEEDED));
    assert_error(&out, ([192, 168, 1, 1], [192, 168, 1, 10]), [11, 0, 0, 0, 0, 0], &whole);
}

#[test]
fn rfc_1812_4_3_2_4_the_source() {
    let from = |source: [u8; 4]| {
        let mut header = header([8, 8, 8, 8], 1, 8);
        header.source = source;
        packet(header, &[])
    };
    for (rx, source, from_own) in [
        (0, [192, 168, 1, 10], [192, 168, 1, 1]),
        (0, [10, 9, 9, 9], [10, 0, 0, 1]),
        (0, [172, 16, 0, 1], [192, 168, 1, 1]),
        (1, [172, 16, 0, 1], [203, 0, 113, 2]),
        (1, [192, 168, 1, 10], [203, 0, 113, 2]),
        (2, [172, 16, 0, 1], [192, 168, 1, 1]),
        (NO_INTERFACE, [172, 16, 0, 1], [192, 168, 1, 1]),
    ] {
        let ip = from(source);
        let out = kit("{}").one(&ip, Lane { rx, ..refused(IcmpCause::TTL_EXCEEDED) });
        assert_error(&out, (from_own, source), [11, 0, 0, 0, 0, 0], &ip);
        let out = kit(r#"{"source": "203.0.113.2"}"#).one(&ip, Lane { rx, ..refused(IcmpCause::TTL_EXCEEDED) });
        assert_error(&out, ([203, 0, 113, 2], source), [11, 0, 0, 0, 0, 0], &ip);
    }
    let nobody = TestKit::new().interface("bare", "02:00:00:00:00:03", 1500, &[]).node::<IcmpError>("{}").map(drop);
    assert!(nobody.unwrap_err().message().contains("no IPv4 address to speak from"));
}

/// The ICMP message of a type, from an independent implementation.
fn icmp(icmp_type: u8, length: usize) -> Vec<u8> {
    let icmp = Icmpv4Header::new(Icmpv4Type::Unknown { type_u8: icmp_type, code_u8: 0, bytes5to8: [0; 4] });
    let mut header = header([8, 8, 8, 8], 1, length);
    header.protocol = IpNumber::ICMP;
    let mut bytes = packet(header, &[]);
    bytes.truncate(20);
    bytes.extend(&icmp.to_bytes()[..length.min(8)]);
    bytes
}

#[test]
fn rfc_1812_4_3_2_7_when_not_to_send() {
    let with = |change: fn(&mut Ipv4Header)| {
        let mut header = header([8, 8, 8, 8], 1, 8);
        change(&mut header);
        packet(header, &[])
    };
    let mut table = vec![
        ("a first fragment", with(|ip| ip.more_fragments = true), "ok"),
        ("a later fragment", with(|ip| ip.fragment_offset = 1.try_into().unwrap()), "fragment"),
        ("the last fragment", with(|ip| (ip.more_fragments, ip.fragment_offset) = (false, 185.try_into().unwrap())), "fragment"),
        ("to a multicast group", with(|ip| ip.destination = [224, 0, 0, 5]), "to-group"),
        ("to the limited broadcast", with(|ip| ip.destination = [255; 4]), "to-group"),
        ("to the broadcast of an own subnet", with(|ip| ip.destination = [203, 0, 113, 3]), "to-group"),
        ("from network 0", with(|ip| ip.source = [0, 1, 2, 3]), "not-from-host"),
        ("from nobody", with(|ip| ip.source = [0; 4]), "not-from-host"),
        ("from a loopback address", with(|ip| ip.source = [127, 0, 0, 1]), "not-from-host"),
        ("from a multicast group", with(|ip| ip.source = [239, 1, 1, 1]), "not-from-host"),
        ("from class E", with(|ip| ip.source = [240, 1, 1, 1]), "not-from-host"),
        ("from the limited broadcast", with(|ip| ip.source = [255; 4]), "not-from-host"),
        ("from the broadcast of an own subnet", with(|ip| ip.source = [192, 168, 1, 255]), "not-from-host"),
        ("ICMP without a type", icmp(8, 0), "icmp-error"),
        ("ICMP of one byte", icmp(8, 1), "ok"),
        ("cut off", udp([8, 8, 8, 8], 8)[..27].to_vec(), "malformed"),
        ("empty", Vec::new(), "malformed"),
        ("version 6", vec![0x60; 40], "malformed"),
    ];
    // RFC 792, RFC 1122 §3.2.2: errors are 3, 4, 5, 11 and 12; echo, timestamp, information and address mask are not, nor those of
    // RFC 1256. What nobody knows may be an error: Linux is silent, too.
    for (silent, types) in [(true, &[3, 4, 5, 11, 12, 19, 40, 255][..]), (false, &[0, 8, 9, 10, 13, 14, 15, 16, 17, 18])] {
        table.extend(types.iter().map(|icmp_type| ("ICMP", icmp(*icmp_type, 8), if silent { "icmp-error" } else { "ok" })));
    }
    for (name, ip, edge) in table {
        let out = kit("{}").one(&ip, refused(IcmpCause::TTL_EXCEEDED));
        assert_eq!(out.edge, edge, "{name}: {ip:02x?}");
        if edge == "ok" {
            assert_error(&out, ([192, 168, 1, 1], [192, 168, 1, 10]), [11, 0, 0, 0, 0, 0], &ip);
        } else {
            assert_eq!(out.bytes, ip, "{name}");
        }
    }
}

#[test]
fn rfc_1191_only_who_forbids_fragments_is_told() {
    let mut header = header([8, 8, 8, 8], 64, 1400);
    header.dont_fragment = false;
    let out = kit("{}").one(&packet(header, &[]), refused(IcmpCause::fragmentation_needed(1400)));
    assert_eq!(out.edge, "may-fragment");
}

#[test]
fn rfc_1812_4_3_2_8_rates() {
    let lane = refused(IcmpCause::TTL_EXCEEDED);
    let from = |host: u8| {
        let mut header = header([8, 8, 8, 8], 1, 8);
        header.source = [172, 16, 0, host];
        packet(header, &[])
    };
    let count = |kit: &mut NodeKit, hosts: &[u8]| {
        let packets: Vec<Vec<u8>> = hosts.iter().map(|host| from(*host)).collect();
        let out = kit.run(&packets.iter().map(|ip| (&ip[..], lane)).collect::<Vec<_>>());
        ["ok", "rate-limited", "host-rate-limited"].map(|edge| out.iter().filter(|out| out.edge == edge).count())
    };
    // As by default: 200 at once and 1000 a second, 50 at once and 100 a second for each host.
    let mut default = kit("{}");
    assert_eq!(count(&mut default, &[1; 100]), [50, 0, 50]);
    assert_eq!(count(&mut default, &(2..=170).collect::<Vec<_>>()), [150, 19, 0]);
    default.tick(SECOND / 1000 - 1);
    assert_eq!(count(&mut default, &[200]), [0, 1, 0]);
    default.tick(SECOND / 1000);
    assert_eq!(count(&mut default, &[200, 201]), [1, 1, 0]);
    default.tick(SECOND / 100);
    assert_eq!(count(&mut default, &[1, 1]), [1, 0, 1]);
    default.tick(SECOND / 10);
    assert_eq!(count(&mut default, &[1; 10]), [9, 0, 1]);
    let mut narrow = kit(r#"{"rate": 2, "burst": 3, "host-rate": "1kpps", "host-burst": 200}"#);
    assert_eq!(count(&mut narrow, &[1; 100]), [3, 97, 0]);
    narrow.tick(SECOND / 2);
    assert_eq!(count(&mut narrow, &[1; 100]), [1, 99, 0]);
}

/// As Linux (`icmpv4_mask_allow`: "Don't limit PMTU discovery"), but not without any limit.
#[test]
fn the_mtu_is_told_whatever_else_a_host_has_been_told() {
    let ip = packet(header([8, 8, 8, 8], 64, 1400), &[]);
    let mut kit = kit(r#"{"host-burst": 1, "burst": 4}"#);
    let [expired, too_big] = [IcmpCause::TTL_EXCEEDED, IcmpCause::fragmentation_needed(1400)].map(refused);
    let out = kit.run(&[expired, expired, too_big, too_big, too_big, too_big].map(|lane| (&ip[..], lane)));
    let edges: Vec<&str> = out.iter().map(|out| out.edge).collect();
    assert_eq!(edges, ["ok", "host-rate-limited", "ok", "ok", "ok", "rate-limited"]);
}

#[test]
fn the_ttl_and_the_identification() {
    let mut header = header([8, 8, 8, 8], 1, 8);
    header.identification = 0x1234;
    let ip = packet(header, &[]);
    // One more than leaves: the router's own rewrite takes it.
    for (settings, ttl) in [("{}", 65), (r#"{"ttl": 1}"#, 2), (r#"{"ttl": 254}"#, 255)] {
        let out = kit(settings).one(&ip, refused(IcmpCause::TTL_EXCEEDED));
        assert_eq!((out.bytes[8], &out.bytes[4..6]), (ttl, &[0x12, 0x34][..]));
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (settings, path, message) in [
        (r#"{"source": "8.8.8.8"}"#, "source", "not an address of this router's interfaces"),
        (r#"{"ttl": 0}"#, "ttl", "1 to 254, and not 0"),
        (r#"{"ttl": 255}"#, "ttl", "1 to 254, and not 255"),
        (r#"{"rate": 0}"#, "rate", "at least `1pps`"),
        (r#"{"burst": 0}"#, "burst", "at least 1"),
        (r#"{"host-rate": "0pps"}"#, "host-rate", "at least `1pps`"),
        (r#"{"host-burst": 0}"#, "host-burst", "at least 1"),
        (r#"{"cause": "too-big"}"#, "cause", "unknown variant `too-big`"),
    ] {
        let error = surroundings().node::<IcmpError>(settings).map(drop).unwrap_err();
        assert_eq!(error.path(), path, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
}

#[test]
fn an_echo_request_is_answered_like_anything_else() {
    let echo = Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(IcmpEchoHeader { id: 7, seq: 9 }), b"data");
    let mut header = header([8, 8, 8, 8], 1, 12);
    header.protocol = IpNumber::ICMP;
    let mut ip = packet(header, &[]);
    ip.splice(20.., [&echo.to_bytes()[..], b"data"].concat());
    let out = kit("{}").one(&ip, refused(IcmpCause::TTL_EXCEEDED));
    assert_error(&out, ([192, 168, 1, 1], [192, 168, 1, 10]), [11, 0, 0, 0, 0, 0], &ip);
}
