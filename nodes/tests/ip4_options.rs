//! `ip4-options` against RFC 791 §3.1, RFC 1812 §5.3.13 and RFC 7126: each option, in every state of its pointer.

mod common;

use common::frames::{checksum, header, packet};
use etherparse::Ipv4Header;
use swath_api::testkit::{NodeKit, Outcome, TestKit};
use swath_api::wire::IcmpCause;
use swath_api::{ConfigError, Lane};
use swath_nodes::ip4_options::Ip4Options;
use swath_nodes::neighbours::Neighbours;
use swath_nodes::routes4::Routes4;

const FAR: [u8; 4] = [8, 8, 8, 8];
const NEAR: [u8; 4] = [192, 168, 1, 10];
const OWN: [u8; 4] = [192, 168, 1, 1];
/// 5 seconds in milliseconds, not since midnight (RFC 791: the high bit).
const TIME: [u8; 4] = [0x80, 0, 0x13, 0x88];

fn try_kit(settings: &str) -> Result<NodeKit, ConfigError> {
    let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &["192.168.1.1/24"]);
    let kit = kit.interface("wan", "02:00:00:00:00:02", 1500, &["203.0.113.2/30"]);
    let kit = kit.table::<Neighbours>("neighbours", "{}");
    let kit = kit.table::<Routes4>("routes", r#"{"routes": [{"prefix": "8.0.0.0/8", "via": "203.0.113.1"}]}"#);
    kit.node::<Ip4Options>(settings)
}

fn kit(settings: &str) -> NodeKit {
    let mut kit = try_kit(settings).unwrap();
    kit.tick(5_000_000_000);
    kit
}

fn with(destination: [u8; 4], ttl: u8, options: &[u8]) -> Vec<u8> {
    let mut padded = options.to_vec();
    padded.resize(options.len().next_multiple_of(4), 0);
    packet(header(destination, ttl, 8), &padded)
}

fn take(settings: &str, bytes: &[u8]) -> Outcome {
    kit(settings).one(bytes, Lane::received(0))
}

/// The destination and the options of a packet that has passed.
fn passed(out: &Outcome) -> ([u8; 4], Vec<u8>) {
    assert_eq!(out.edge, "ok");
    assert_eq!(out.lane, Lane::received(0));
    let (ip, payload) = Ipv4Header::from_slice(&out.bytes).unwrap();
    assert_eq!(ip.header_checksum, checksum(&out.bytes[..ip.header_len()]));
    assert_eq!(payload, [0, 1, 2, 3, 4, 5, 6, 7]);
    (ip.destination, ip.options.to_vec())
}

const PROCESS: &str = r#"{"source-route": "process"}"#;

/// A name, the destination, and the options before and after.
type Processed<'a> = (&'a str, [u8; 4], &'a [u8], &'a [u8]);
/// A name, settings, the destination, the options, the edge, and what the lane says.
type Refused = (&'static str, &'static str, [u8; 4], &'static [u8], &'static str, u32);

#[test]
fn options_are_processed() {
    let [t0, t1, t2, t3] = TIME;
    let table: [Processed<'_>; 27] = [
        ("record route", FAR, &[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0], &[7, 11, 8, 203, 0, 113, 2, 0, 0, 0, 0]),
        ("record route, behind another", FAR, &[7, 11, 8, 1, 2, 3, 4, 0, 0, 0, 0], &[7, 11, 12, 1, 2, 3, 4, 203, 0, 113, 2]),
        ("record route, to the other side", NEAR, &[1, 7, 7, 4, 0, 0, 0, 0], &[1, 7, 7, 8, 192, 168, 1, 1]),
        ("record route, full", FAR, &[7, 7, 8, 1, 2, 3, 4], &[7, 7, 8, 1, 2, 3, 4]),
        ("record route, for the router: who answers does it", OWN, &[7, 7, 4, 0, 0, 0, 0], &[7, 7, 4, 0, 0, 0, 0]),
        ("record route, no route", [9; 4], &[7, 7, 4, 0, 0, 0, 0], &[7, 7, 4, 0, 0, 0, 0]),
        ("timestamps", FAR, &[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[68, 12, 9, 0, t0, t1, t2, t3, 0, 0, 0, 0]),
        ("with addresses", FAR, &[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0], &[68, 12, 13, 1, 203, 0, 113, 2, t0, t1, t2, t3]),
        ("for the router", OWN, &[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0], &[68, 12, 13, 1, 192, 168, 1, 1, t0, t1, t2, t3]),
        ("of the router", FAR, &[68, 12, 5, 3, 192, 168, 1, 1, 0, 0, 0, 0], &[68, 12, 13, 3, 192, 168, 1, 1, t0, t1, t2, t3]),
        ("of another one", FAR, &[68, 12, 5, 3, 10, 0, 0, 1, 0, 0, 0, 0], &[68, 12, 5, 3, 10, 0, 0, 1, 0, 0, 0, 0]),
        ("of nobody any more", FAR, &[68, 12, 13, 3, 10, 0, 0, 1, 1, 1, 1, 1], &[68, 12, 13, 3, 10, 0, 0, 1, 1, 1, 1, 1]),
        ("overflow", FAR, &[68, 8, 9, 0, 1, 1, 1, 1], &[68, 8, 9, 0x10, 1, 1, 1, 1]),
        ("overflow with addresses", FAR, &[68, 12, 13, 0xe1, 1, 1, 1, 1, 1, 1, 1, 1], &[68, 12, 13, 0xf1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("router alert", FAR, &[148, 4, 0, 0], &[148, 4, 0, 0]),
        ("security (RFC 7126 §4.12)", FAR, &[130, 3, 0xab, 0], &[130, 3, 0xab, 0]),
        ("unknown (RFC 1812 §5.3.13.1)", FAR, &[99, 4, 1, 2], &[99, 4, 1, 2]),
        ("behind the end", FAR, &[1, 1, 0, 7], &[1, 1, 0, 7]),
        ("loose route, next", OWN, &[131, 7, 4, 8, 8, 8, 8], &[131, 7, 8, 203, 0, 113, 2]),
        ("loose route, at its end", OWN, &[131, 7, 8, 8, 8, 8, 8], &[131, 7, 8, 8, 8, 8, 8]),
        ("loose route, on its way", FAR, &[131, 7, 4, 1, 2, 3, 4], &[131, 7, 4, 1, 2, 3, 4]),
        (
            "loose route, two of the router",
            OWN,
            &[131, 11, 4, 203, 0, 113, 2, 8, 8, 8, 8],
            &[131, 11, 12, 203, 0, 113, 2, 203, 0, 113, 2],
        ),
        ("strict route, to a neighbour", OWN, &[137, 7, 4, 203, 0, 113, 1], &[137, 7, 8, 203, 0, 113, 2]),
        ("strict route, at its end", OWN, &[137, 7, 8, 8, 8, 8, 8], &[137, 7, 8, 8, 8, 8, 8]),
        ("strict route, the last step", NEAR, &[137, 7, 8, 8, 8, 8, 8], &[137, 7, 8, 8, 8, 8, 8]),
        (
            "loose route with record route",
            OWN,
            &[131, 7, 4, 8, 8, 8, 8, 7, 7, 4, 0, 0, 0, 0],
            &[131, 7, 8, 203, 0, 113, 2, 7, 7, 8, 203, 0, 113, 2],
        ),
        ("nothing", FAR, &[], &[]),
    ];
    for (name, destination, options, expected) in table {
        let out = passed(&take(PROCESS, &with(destination, 64, options)));
        let mut padded = expected.to_vec();
        padded.resize(expected.len().next_multiple_of(4), 0);
        assert_eq!(out.1, padded, "{name}");
        let to = match name {
            "loose route, next" | "loose route, two of the router" | "loose route with record route" => FAR,
            "strict route, to a neighbour" => [203, 0, 113, 1],
            _ => destination,
        };
        assert_eq!(out.0, to, "{name}");
    }
}

#[test]
fn what_cannot_be_understood_is_answered_with_its_place() {
    // RFC 792: the pointer counts the octets of the header, from 0; options begin at 20.
    let table: [(&str, &[u8], u8); 17] = [
        ("a type without length", &[1, 1, 1, 7], 23),
        ("length 0", &[7, 0, 4, 0], 21),
        ("length 1", &[99, 1, 4, 0], 21),
        ("length past the header", &[1, 99, 4, 0], 22),
        ("no pointer", &[7, 2, 0, 0], 21),
        ("record route, no whole addresses", &[7, 6, 4, 0, 0, 0, 0, 0], 21),
        ("record route, pointer before the route", &[7, 7, 3, 0, 0, 0, 0, 0], 22),
        ("record route, pointer into an address", &[7, 7, 5, 0, 0, 0, 0, 0], 22),
        ("record route twice", &[7, 3, 4, 7, 3, 4, 0, 0], 23),
        ("loose and strict route", &[131, 3, 4, 137, 3, 4, 0, 0], 23),
        ("source route, pointer 0", &[131, 7, 0, 8, 8, 8, 8, 0], 22),
        ("timestamp, too short", &[68, 3, 5, 0], 21),
        ("timestamp, no whole entries", &[68, 10, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0], 21),
        ("timestamp, pointer before the entries", &[68, 8, 4, 0, 0, 0, 0, 0], 22),
        ("timestamp, unknown flag", &[68, 8, 5, 2, 0, 0, 0, 0], 23),
        ("timestamp, the overflow overflows", &[68, 8, 9, 0xf0, 1, 1, 1, 1], 23),
        ("router alert, too long", &[148, 5, 0, 0, 0, 0, 0, 0], 21),
    ];
    for (name, options, pointer) in table {
        let bytes = with(FAR, 64, options);
        let out = take(PROCESS, &bytes);
        assert_eq!((out.edge, &out.bytes), ("parameter-problem", &bytes), "{name}");
        assert_eq!(out.lane.adj, IcmpCause::parameter_problem(pointer).word(), "{name}");
    }
}

#[test]
fn what_is_refused_is_unchanged() {
    let failed = IcmpCause::SOURCE_ROUTE_FAILED.word();
    let table: [Refused; 13] = [
        ("by default (RFC 7126 §4.3)", "{}", OWN, &[131, 7, 4, 8, 8, 8, 8], "source-route", failed),
        ("even at its end", "{}", OWN, &[137, 7, 8, 8, 8, 8, 8], "source-route", failed),
        ("no route", PROCESS, OWN, &[131, 7, 4, 9, 9, 9, 9], "source-route-failed", failed),
        ("a group", PROCESS, OWN, &[131, 7, 4, 224, 0, 0, 1], "source-route-failed", failed),
        ("strict, to no neighbour", PROCESS, OWN, &[137, 7, 4, 8, 8, 8, 8], "source-route-failed", failed),
        ("strict, not to be forwarded by a gateway", PROCESS, FAR, &[137, 7, 4, 8, 8, 8, 8], "source-route-failed", failed),
        ("stream identifier (RFC 7126)", "{}", FAR, &[136, 4, 0, 1], "filtered", 0),
        ("an experiment (RFC 7126)", "{}", FAR, &[1, 158, 3, 1], "filtered", 0),
        ("asked for", r#"{"drop": [148]}"#, FAR, &[148, 4, 0, 0], "filtered", 0),
        ("instead of the default", r#"{"drop": []}"#, FAR, &[136, 4, 0, 1], "ok", 0),
        ("record route, dropped", r#"{"record-route": "drop"}"#, FAR, &[7, 7, 4, 0, 0, 0, 0], "filtered", 0),
        ("record route, not looked at", r#"{"record-route": "pass"}"#, FAR, &[7, 7, 4, 0, 0, 0, 0], "ok", 0),
        ("timestamp, not looked at", r#"{"timestamp": "pass"}"#, FAR, &[68, 8, 5, 0, 0, 0, 0, 0], "ok", 0),
    ];
    for (name, settings, destination, options, edge, adj) in table {
        let bytes = with(destination, 64, options);
        let out = take(settings, &bytes);
        assert_eq!((out.edge, &out.bytes, out.lane.adj), (edge, &bytes, adj), "{name}");
    }
    // What is about to expire is quoted as it came (RFC 1812 §4.3.2.3).
    let bytes = with(FAR, 1, &[7, 7, 4, 0, 0, 0, 0]);
    assert_eq!(take("{}", &bytes).bytes, bytes);
    assert_eq!(take("{}", &bytes[..23]).edge, "malformed");
    let error = try_kit(r#"{"drop": [1]}"#).err().unwrap();
    assert_eq!((error.path(), error.message()), ("drop", "`1` is padding, and no option"));
}
