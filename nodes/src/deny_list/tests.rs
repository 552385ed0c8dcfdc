use swath_api::testkit::{NodeKit, TestKit};
use swath_api::{ConfigError, Lane};

use super::{DenyList, Entry};
use crate::deny::Deny;

fn prefixes(text: &str) -> Vec<String> {
    let entry: Entry = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    entry.prefixes().map(|prefix| prefix.to_string()).collect()
}

#[test]
fn entries_are_addresses_prefixes_and_ranges() {
    for (text, expected) in [
        ("192.0.2.7", &["192.0.2.7/32"][..]),
        ("192.0.2.0/24", &["192.0.2.0/24"]),
        ("0.0.0.0/0", &["0.0.0.0/0"]),
        ("255.255.255.255", &["255.255.255.255/32"]),
        ("2001:db8::/32", &["2001:db8::/32"]),
        ("2001:db8::1", &["2001:db8::1/128"]),
        ("::/0", &["::/0"]),
        ("192.0.2.0-192.0.2.255", &["192.0.2.0/24"]),
        ("192.0.2.7 - 192.0.2.7", &["192.0.2.7/32"]),
        ("192.0.2.1-192.0.2.9", &["192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/30", "192.0.2.8/31"]),
        ("0.0.0.0-255.255.255.255", &["0.0.0.0/0"]),
        ("255.255.255.254-255.255.255.255", &["255.255.255.254/31"]),
        ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["::/0"]),
        ("2001:db8::1-2001:db8::4", &["2001:db8::1/128", "2001:db8::2/127", "2001:db8::4/128"]),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"]),
    ] {
        assert_eq!(prefixes(text), expected, "{text}");
    }
    // The most that a range can take.
    assert_eq!(prefixes("0.0.0.1-255.255.255.254").len(), 62);
    assert_eq!(prefixes("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe").len(), 254);
    for (text, message) in [
        ("192.0.2.9-192.0.2.1", "the range `192.0.2.9-192.0.2.1` ends before it begins: write `192.0.2.1-192.0.2.9`"),
        ("192.0.2.1-::1", "the range `192.0.2.1-::1` begins with one version of IP and ends with the other"),
        ("192.0.2.1/24", "`192.0.2.1/24` has bits set beyond its length; the prefix is `192.0.2.0/24`"),
        ("2001:db8::1/32", "`2001:db8::1/32` has bits set beyond its length; the prefix is `2001:db8::/32`"),
        ("192.0.2.0/33", "the prefix length must be a number from 0 to 32"),
        (
            "example.net",
            "`example.net` is not an IP address: write an address, a prefix such as `192.0.2.0/24`, or a range such as \
             `192.0.2.1-192.0.2.9`",
        ),
        (
            "010.0.0.1",
            "`010.0.0.1` is not an IP address: write an address, a prefix such as `192.0.2.0/24`, or a range such as \
             `192.0.2.1-192.0.2.9`",
        ),
    ] {
        assert_eq!(text.parse::<Entry>().unwrap_err(), message);
    }
}

fn table(config: &str) -> Result<TestKit, ConfigError> {
    TestKit::new().try_table::<DenyList>("listed", config)
}

fn kit(prefixes: &str, settings: &str) -> NodeKit {
    table(&format!(r#"{{"prefixes": [{prefixes}]}}"#)).unwrap().node::<Deny>(settings).unwrap()
}

fn ip4(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let mut bytes = Vec::new();
    etherparse::PacketBuilder::ipv4(source, destination, 64).udp(1, 2).write(&mut bytes, &[]).unwrap();
    bytes
}

fn ip6(source: &str, destination: &str) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut bytes = Vec::new();
    etherparse::PacketBuilder::ipv6(octets(source), octets(destination), 64).udp(1, 2).write(&mut bytes, &[]).unwrap();
    bytes
}

const BAD: [u8; 4] = [198, 51, 100, 7];
const GOOD: [u8; 4] = [10, 0, 0, 1];

#[test]
fn packets_are_denied_by_the_side_that_is_asked_for() {
    let (ok, source, destination) = ("ok", "source-listed", "destination-listed");
    let packets = [ip4(BAD, GOOD), ip4(GOOD, BAD), ip4(BAD, BAD), ip4(GOOD, GOOD)];
    let packets6 = [("2001:db8::1", "::1"), ("::1", "2001:db8::1"), ("2001:db8::1", "2001:db8::1"), ("::1", "::1")];
    let packets6 = packets6.map(|(source, destination)| ip6(source, destination));
    for (settings, expected, counts) in [
        (r"{}", [source, ok, source, ok], (4, 0)),
        (r#"{"match": "source"}"#, [source, ok, source, ok], (4, 0)),
        (r#"{"match": "destination"}"#, [ok, destination, destination, ok], (0, 4)),
        (r#"{"match": "both"}"#, [source, destination, source, ok], (4, 2)),
    ] {
        let mut kit = kit(r#""198.51.100.0/24", "2001:db8::/32""#, settings);
        // All at once.
        let all: Vec<(&[u8], Lane)> = packets.iter().chain(&packets6).map(|bytes| (&bytes[..], Lane::default())).collect();
        let edges: Vec<&str> = kit.run(&all).iter().map(|out| out.edge).collect();
        assert_eq!(edges, [expected, expected].concat(), "{settings}");
        let shown = kit.command("listed", r#"{"show": {}}"#).unwrap();
        let (sources, destinations) = counts;
        assert!(shown.ends_with(&format!(r#""sources":{sources},"destinations":{destinations}}}}}"#)), "{shown}");
        assert!(shown.starts_with(r#"{"list":{"ip4":1,"ip6":1,"#), "{shown}");
    }
}

#[test]
fn what_is_no_ip_and_what_is_cut_off() {
    let mut ip = kit(r#""0.0.0.0/0""#, "{}");
    assert_eq!(ip.edge(&ip4(BAD, GOOD)[..19]), "bad-header");
    assert_eq!(ip.edge(&ip6("::1", "::1")[..39]), "bad-header");
    assert_eq!((ip.edge(&[0x55; 40]), ip.edge(&[])), ("not-ip", "not-ip"));
    let mut frames = kit(r#""198.51.100.7""#, r#"{"layer": "ethernet"}"#);
    let frame = |ether_type: &[u8], packet: &[u8]| [&[2; 12][..], ether_type, packet].concat();
    assert_eq!(frames.edge(&frame(&[8, 0], &ip4(BAD, GOOD))), "source-listed");
    // Behind two tags (IEEE 802.1ad).
    assert_eq!(frames.edge(&frame(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 8, 0], &ip4(BAD, GOOD))), "source-listed");
    assert_eq!(frames.edge(&frame(&[8, 0], &ip4(GOOD, BAD))), "ok");
    assert_eq!(frames.edge(&frame(&[8, 6], &ip4(BAD, GOOD))), "not-ip");
    assert_eq!(frames.edge(&frame(&[8, 0], &[0x45])), "bad-header");
    assert_eq!(frames.edge(&[2; 13]), "not-ip");
}

#[test]
fn commands_change_the_list_while_it_is_asked() {
    let mut kit = kit(r#""198.51.100.0/24", "198.51.100.0/24", "2001:db8::/33""#, "{}");
    let command = |kit: &NodeKit, text: &str| kit.command("listed", text).unwrap();
    let bad6 = ip6("2001:db8:8000::1", "::1");
    assert_eq!((kit.edge(&ip4(BAD, GOOD)), kit.edge(&bad6)), ("source-listed", "ok"));
    let added = command(&kit, r#"{"add": {"prefixes": ["198.51.100.7", "198.51.100.0/24", "2001:db8:8000::/33"]}}"#);
    assert_eq!(added, r#"{"changed":{"added":2,"removed":0}}"#);
    assert_eq!(command(&kit, r#"{"lookup": {"address": "198.51.100.7"}}"#), r#"{"listed":{"prefix":"198.51.100.7/32"}}"#);
    assert_eq!(command(&kit, r#"{"lookup": {"address": "198.51.100.8"}}"#), r#"{"listed":{"prefix":"198.51.100.0/24"}}"#);
    assert_eq!(command(&kit, r#"{"lookup": {"address": "2001:db8::"}}"#), r#"{"listed":{"prefix":"2001:db8::/33"}}"#);
    assert_eq!(command(&kit, r#"{"lookup": {"address": "::1"}}"#), r#"{"listed":{"prefix":null}}"#);
    assert_eq!(kit.edge(&bad6), "source-listed");
    // A longer prefix goes, and a shorter one still has the address.
    let removed = command(&kit, r#"{"remove": {"prefixes": ["198.51.100.7", "10.0.0.0/8", "2001:db8:8000::/33"]}}"#);
    assert_eq!(removed, r#"{"changed":{"added":0,"removed":2}}"#);
    assert_eq!((kit.edge(&ip4(BAD, GOOD)), kit.edge(&bad6)), ("source-listed", "ok"));
    let replaced = command(&kit, r#"{"replace": {"prefixes": ["10.0.0.0-10.0.0.1", "2001:db8::/33", "::/64"]}}"#);
    assert_eq!(replaced, r#"{"changed":{"added":2,"removed":1}}"#);
    assert_eq!((kit.edge(&ip4(BAD, GOOD)), kit.edge(&ip4(GOOD, BAD)), kit.edge(&bad6)), ("ok", "source-listed", "ok"));
    assert_eq!(kit.edge(&ip6("::5", "::1")), "source-listed");
    let refused = kit.command("listed", r#"{"add": {"prefixes": ["10.0.0.1", "10.0.0.1/8"]}}"#).unwrap_err();
    assert_eq!(refused.to_string(), "add.prefixes[1]: `10.0.0.1/8` has bits set beyond its length; the prefix is `10.0.0.0/8`");
    assert_eq!(kit.edge(&ip4([10, 0, 0, 9], GOOD)), "ok");
}

#[test]
fn a_list_has_a_bound() {
    let many =
        |count: u32| (0..count).map(|n| format!(r#""{}""#, std::net::Ipv4Addr::from_bits(n << 4))).collect::<Vec<_>>().join(",");
    let full = kit(&many(1 << 20), "{}");
    let refused = full.command("listed", r#"{"add": {"prefixes": ["255.0.0.1"]}}"#).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "prefixes: a list has 1048576 prefixes of each version of IP at most, and this one is too many"
    );
    assert!(full.command("listed", r#"{"add": {"prefixes": ["0.0.0.16", "::1"]}}"#).is_ok());
    let refused = table(&format!(r#"{{"prefixes": [{}]}}"#, many((1 << 20) + 1))).map(drop).unwrap_err();
    assert_eq!(refused.path(), "prefixes[1048576]");
}
