use swath_api::testkit::{NodeKit, TestKit};
use swath_api::{ConfigError, Lane, NO_INTERFACE};

use super::Acl;
use crate::acl_filter::AclFilter;

fn table(config: &str) -> Result<TestKit, ConfigError> {
    let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &[]);
    kit.interface("wan", "02:00:00:00:00:02", 1500, &[]).try_table::<Acl>("rules", config)
}

fn with(config: &str) -> NodeKit {
    table(config).unwrap().node::<AclFilter>("{}").unwrap()
}

fn rules(rules: &str) -> NodeKit {
    with(&format!(r#"{{"rules": [{rules}]}}"#))
}

/// An IPv4 packet, by etherparse; `fragment` is the word with the flags.
fn ip4(protocol: u8, source: [u8; 4], destination: [u8; 4], fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut header =
        etherparse::Ipv4Header::new(payload.len() as u16, 64, etherparse::IpNumber(protocol), source, destination).unwrap();
    header.identification = 77;
    header.more_fragments = fragment & 0x2000 != 0;
    header.dont_fragment = false;
    header.fragment_offset = etherparse::IpFragOffset::try_new(fragment & 0x1fff).unwrap();
    header.dscp = etherparse::IpDscp::try_new(10).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], payload].concat()
}

fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let header = etherparse::Ipv6Header {
        payload_length: payload.len() as u16,
        next_header: etherparse::IpNumber(next),
        hop_limit: 64,
        source: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets(),
        destination: std::net::Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2).octets(),
        ..Default::default()
    };
    [&header.to_bytes()[..], payload].concat()
}

fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut header = vec![0; 20];
    header[..2].copy_from_slice(&source.to_be_bytes());
    header[2..4].copy_from_slice(&destination.to_be_bytes());
    (header[12], header[13]) = (0x50, flags);
    header
}

fn udp(source: u16, destination: u16) -> Vec<u8> {
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &[0, 8, 0, 0]].concat()
}

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [192, 0, 2, 9];
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

#[test]
fn each_criterion_holds_for_what_it_says() {
    let syn = ip4(6, A, B, 0, &tcp(4000, 443, SYN));
    let dns = ip4(17, A, B, 0, &udp(4000, 53));
    let ping = ip4(1, A, B, 0, &[8, 0, 0, 0, 0, 1, 0, 1]);
    let gre = ip4(47, A, B, 0, &[0; 4]);
    let web6 = ip6(6, &tcp(4000, 443, SYN));
    // Behind 8 bytes of hop-by-hop options and 8 of destination options (RFC 8200 §4.3, §4.6).
    let hidden6 = ip6(0, &[&[60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0][..], &tcp(4000, 443, SYN)].concat());
    let unreachable6 = ip6(58, &[1, 4, 0, 0, 0, 0, 0, 0]);
    let packets = [&syn, &dns, &ping, &gre, &web6, &hidden6, &unreachable6];
    for (criteria, holds) in [
        ("", [1, 1, 1, 1, 1, 1, 1]),
        (r#", "family": "ip4""#, [1, 1, 1, 1, 0, 0, 0]),
        (r#", "family": "ip6""#, [0, 0, 0, 0, 1, 1, 1]),
        (r#", "source": "10.0.0.0/8""#, [1, 1, 1, 1, 0, 0, 0]),
        (r#", "source": "10.0.0.0/32""#, [0; 7]),
        (r#", "source": "0.0.0.0/0""#, [1, 1, 1, 1, 0, 0, 0]),
        (r#", "destination": "192.0.2.8/31""#, [1, 1, 1, 1, 0, 0, 0]),
        (r#", "destination": "2001:db8:1::/48""#, [0, 0, 0, 0, 1, 1, 1]),
        (r#", "source": "2001:db8::1/128""#, [0, 0, 0, 0, 1, 1, 1]),
        (r#", "protocol": "tcp""#, [1, 0, 0, 0, 1, 1, 0]),
        (r#", "protocol": 47"#, [0, 0, 0, 1, 0, 0, 0]),
        (r#", "protocol": "tcp", "destination-port": 443"#, [1, 0, 0, 0, 1, 1, 0]),
        (r#", "protocol": "tcp", "destination-port": "442-443""#, [1, 0, 0, 0, 1, 1, 0]),
        (r#", "protocol": "tcp", "destination-port": "444-65535""#, [0; 7]),
        (r#", "protocol": "udp", "source-port": "1024-65535""#, [0, 1, 0, 0, 0, 0, 0]),
        (r#", "protocol": "udp", "source-port": 53"#, [0; 7]),
        (r#", "protocol": "icmp""#, [0, 0, 1, 0, 0, 0, 0]),
        (r#", "protocol": "icmp", "icmp-type": 8, "icmp-code": 0"#, [0, 0, 1, 0, 0, 0, 0]),
        (r#", "protocol": "icmp", "icmp-type": "0-7""#, [0; 7]),
        (r#", "protocol": "icmp6", "icmp-type": "1-4", "icmp-code": 4"#, [0, 0, 0, 0, 0, 0, 1]),
        (r#", "protocol": "tcp", "tcp-flags": "syn !ack""#, [1, 0, 0, 0, 1, 1, 0]),
        (r#", "protocol": "tcp", "tcp-flags": "syn ack""#, [0; 7]),
        (r#", "dscp": 10"#, [1, 1, 1, 1, 0, 0, 0]),
        (r#", "dscp": 0"#, [0, 0, 0, 0, 1, 1, 1]),
        (r#", "fragment": "none""#, [1; 7]),
        (r#", "fragment": "any""#, [0; 7]),
        (r#", "rx": "wan""#, [1; 7]),
        (r#", "rx": "lan""#, [0; 7]),
        (r#", "tx": "lan""#, [0; 7]),
    ] {
        let mut kit = rules(&format!(r#"{{"action": "permit"{criteria}}}"#));
        let lane = Lane { rx: 1, tx: NO_INTERFACE, adj: 0 };
        let packets: Vec<(&[u8], Lane)> = packets.iter().map(|packet| (&packet[..], lane)).collect();
        let permitted: Vec<u8> = kit.run(&packets).iter().map(|out| u8::from(out.edge == "permitted")).collect();
        assert_eq!(permitted, holds, "{criteria}");
    }
}

#[test]
fn the_first_rule_decides_and_is_counted() {
    let mut kit = rules(
        r#"{"name": "all", "action": "count"}, {"name": "web", "action": "permit", "protocol": "tcp", "destination-port": 80},
           {"action": "reject", "protocol": "tcp"}, {"action": "deny", "source": "10.0.0.0/8"}, {"name": "late", "action": "count"}"#,
    );
    let web = ip4(6, A, B, 0, &tcp(4000, 80, ACK));
    let ssh = ip4(6, A, B, 0, &tcp(4000, 22, SYN));
    let dns = ip4(17, A, B, 0, &udp(4000, 53));
    let other = ip4(17, B, A, 0, &udp(4000, 53));
    assert_eq!(kit.edge(&web), "permitted");
    let rejected = kit.one(&ssh, Lane::received(0));
    // ICMP destination unreachable, communication administratively prohibited (RFC 1812 §5.2.7.1).
    assert_eq!((rejected.edge, rejected.lane.adj), ("rejected", 0x030d_0000));
    assert_eq!((kit.edge(&dns), kit.edge(&other)), ("denied", "denied-by-default"));
    let hits = kit.command("rules", r#"{"hits": {}}"#).unwrap();
    let packets: Vec<&str> = hits.split(r#""packets":"#).skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!((packets, hits.ends_with(r#""default":1}}"#)), (vec!["4", "1", "1", "1", "1"], true), "{hits}");
}

#[test]
fn fragments_go_by_the_policy() {
    let first = ip4(17, A, B, 0x2000, &udp(4000, 53));
    let later = ip4(17, A, B, 0x0001, &[0; 8]);
    let whole = ip4(17, A, B, 0, &udp(4000, 53));
    let run = |policy: &str, order: &[&[u8]]| {
        let rules = r#"{"action": "permit", "protocol": "udp", "destination-port": 53}, {"action": "deny", "protocol": "udp"}"#;
        let mut kit = with(&format!(r#"{{"fragments": "{policy}", "rules": [{rules}]}}"#));
        order.iter().map(|packet| kit.edge(packet)).collect::<Vec<_>>()
    };
    let order: [&[u8]; 4] = [&later, &first, &later, &whole];
    assert_eq!(run("skip-l4-rules", &order), ["denied", "permitted", "denied", "permitted"]);
    assert_eq!(run("l3-only", &order), ["permitted"; 4]);
    assert_eq!(run("follow-first", &order), ["first-fragment-unknown", "permitted", "permitted", "permitted"]);
    assert_eq!(run("drop", &order), ["fragment", "fragment", "fragment", "permitted"]);
}

#[test]
fn first_fragments_are_forgotten_after_half_a_minute() {
    let mut kit = with(r#"{"fragments": "follow-first", "default": "permit"}"#);
    let (first, later) = (ip4(17, A, B, 0x2000, &udp(4000, 53)), ip4(17, A, B, 0x0001, &[0; 8]));
    assert_eq!((kit.edge(&first), kit.edge(&later)), ("permitted", "permitted"));
    // IPv6 fragments of the same number are others.
    let later6 = ip6(44, &[17, 0, 0, 8, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(kit.edge(&later6), "first-fragment-unknown");
    let first6 = ip6(44, &[&[17, 0, 0, 1, 0, 0, 0, 77][..], &udp(4000, 53)].concat());
    assert_eq!((kit.edge(&first6), kit.edge(&later6)), ("permitted", "permitted"));
    kit.tick(29_999_999_999);
    assert_eq!(kit.edge(&later), "permitted");
    kit.tick(30_000_000_000);
    assert_eq!(kit.edge(&later), "first-fragment-unknown");
}

#[test]
fn headers_that_are_not_whole_pass_no_rule() {
    let mut kit = with(r#"{"default": "permit"}"#);
    let short = ip4(6, A, B, 0, &tcp(4000, 80, ACK)[..19]);
    // A fragment that would overwrite flags (RFC 1858 §3.2.2), and one that would not.
    let overlap = ip4(6, A, B, 0x0001, &[0; 16]);
    let harmless = ip4(6, A, B, 0x0002, &[0; 16]);
    let chain: Vec<u8> = (0..9).flat_map(|_| [60, 0, 1, 4, 0, 0, 0, 0]).collect();
    let long6 = ip6(60, &chain);
    let edges: Vec<&str> = [&short[..], &overlap, &harmless, &long6, &[0x60; 39], &[0x45; 19], &[0x70; 40], &[]]
        .iter()
        .map(|packet| kit.edge(packet))
        .collect();
    let bad = "bad-header";
    assert_eq!(edges, [bad, bad, "permitted", bad, bad, bad, "not-ip", "not-ip"]);
}

#[test]
fn ethernet_frames_have_vlans() {
    let mut kit = table(r#"{"default": "permit", "rules": [{"action": "deny", "vlan": 7}]}"#)
        .unwrap()
        .node::<AclFilter>(r#"{"layer": "ethernet"}"#)
        .unwrap();
    let frame = |tags: &[u8], ether_type: [u8; 2], packet: &[u8]| [&[2; 12][..], tags, &ether_type, packet].concat();
    let (packet, packet6) = (ip4(17, A, B, 0, &udp(4000, 53)), ip6(17, &udp(4000, 53)));
    assert_eq!(kit.edge(&frame(&[], [8, 0], &packet)), "permitted");
    assert_eq!(kit.edge(&frame(&[0x81, 0, 0, 7], [8, 0], &packet)), "denied");
    assert_eq!(kit.edge(&frame(&[0x88, 0xa8, 0, 8, 0x81, 0, 0, 7], [8, 0], &packet)), "permitted");
    assert_eq!(kit.edge(&frame(&[0x81, 0, 0x20, 7], [0x86, 0xdd], &packet6)), "denied");
    assert_eq!(kit.edge(&frame(&[0x81, 0, 0, 7], [8, 6], &[0; 28])), "not-ip");
}

#[test]
fn commands_change_rules_while_counters_go_on() {
    let mut kit = rules(r#"{"name": "dns", "action": "permit", "protocol": "udp"}"#);
    let dns = ip4(17, A, B, 0, &udp(4000, 53));
    assert_eq!(kit.edge(&dns), "permitted");
    let command = |kit: &NodeKit, text: &str| kit.command("rules", text).map_err(|error| error.to_string());
    let done = Ok(r#"{"done":{}}"#.to_string());
    assert_eq!(command(&kit, r#"{"add": {"at": 0, "rule": {"name": "not-a", "action": "deny", "source": "10.0.0.1/32"}}}"#), done);
    assert_eq!(kit.edge(&dns), "denied");
    assert_eq!(command(&kit, r#"{"remove": {"at": 0}}"#), done);
    assert_eq!(kit.edge(&dns), "permitted");
    assert_eq!(command(&kit, r#"{"replace": {"rules": [{"name": "dns", "action": "deny"}]}}"#), done);
    assert_eq!(kit.edge(&dns), "denied");
    let hits = r#"{"hits":{"rules":[{"packets":3,"rule":{"name":"dns","action":"deny"}}],"default":0}}"#;
    assert_eq!(command(&kit, r#"{"hits": {}}"#), Ok(hits.to_string()));
    // The worker has let go of all sets but the last.
    assert!(command(&kit, r#"{"show": {}}"#).unwrap().ends_with(r#""old":0}}"#));
    let error = |text: &str| Err(text.to_string());
    assert_eq!(
        command(&kit, r#"{"add": {"rule": {"name": "dns", "action": "deny"}}}"#),
        error("rule.name: there is a rule of this name")
    );
    assert_eq!(
        command(&kit, r#"{"add": {"at": 2, "rule": {"action": "deny"}}}"#),
        error("at: there are 1 rules, so a new one gets place 0 to 1")
    );
    assert_eq!(command(&kit, r#"{"remove": {"name": "web"}}"#), error("there is no such rule"));
    assert!(command(&kit, r#"{"add": {"rule": {"action": "deny", "vlan": 7}}}"#).unwrap_err().contains("layer: ethernet"));
}

#[test]
fn mistakes_are_said_where_they_are() {
    let ports = "ports are of `tcp`, `udp`, `sctp`, `dccp` or `udplite`: say which as `protocol`";
    for (rule, path, message) in [
        (r#""destination-port": 80"#, "destination-port", ports),
        (r#""protocol": "gre", "source-port": 80"#, "source-port", ports),
        (r#""protocol": "tcp", "source-port": "90-80""#, "source-port", "`90-80` is empty: write `80-90`"),
        (
            r#""protocol": "tcp", "source-port": 65536"#,
            "source-port",
            "`65536` is not a port such as `443`, or a range such as `1024-65535`, up to 65535",
        ),
        (
            r#""protocol": "icmp", "icmp-type": "-1""#,
            "icmp-type",
            "`-1` is not a number such as `8`, or a range such as `0-3`, up to 255",
        ),
        (r#""icmp-type": 8"#, "icmp-type", "types and codes are of `icmp` or `icmp6`: say which as `protocol`"),
        (r#""tcp-flags": "syn""#, "tcp-flags", "these are flags of TCP: say `protocol: tcp`"),
        (
            r#""protocol": "tcp", "tcp-flags": "sny""#,
            "tcp-flags",
            "unknown flag `sny`, expected some of `fin`, `syn`, `rst`, `psh`, `ack`, `urg`, `ece`, `cwr`",
        ),
        (r#""protocol": "tcp", "tcp-flags": "syn !syn""#, "tcp-flags", "the flag `syn` is given twice"),
        (
            r#""source": "10.0.0.0/8", "destination": "2001:db8::/32""#,
            "destination",
            "this is of the other version of IP than the rest of the rule",
        ),
        (
            r#""source": "10.0.0.0/8", "protocol": "icmp6""#,
            "protocol",
            "this is of the other version of IP than the rest of the rule",
        ),
        (r#""source": "10.0.0.1""#, "source", "no prefix length; write `10.0.0.1/32` for this one address"),
        (
            r#""source": "2001:db8::1/32""#,
            "source",
            "`2001:db8::1/32` has bits set beyond its length; the prefix is `2001:db8::/32`",
        ),
        (r#""source": "2001:db8::1""#, "source", "no prefix length; write `2001:db8::1/128` for this one address"),
        (r#""source": "2001:db8::/129""#, "source", "the prefix length must be a number from 0 to 128"),
        (r#""source": "lan""#, "source", "`lan` is not an IP address; write a prefix such as `10.0.0.0/8` or `2001:db8::/32`"),
        (r#""rx": "wam""#, "rx", "unknown interface `wam`, expected one of `lan`, `wan`"),
        (r#""dscp": 64"#, "dscp", "a code point is 0 to 63, and not 64"),
        (r#""vlan": 4095"#, "vlan", "a VLAN is 1 to 4094, or 0 for frames without a tag, and not 4095"),
    ] {
        let refused = table(&format!(r#"{{"rules": [{{"action": "deny", {rule}}}]}}"#)).unwrap_err();
        let said = refused.message().split(" at line ").next().unwrap_or_default();
        assert_eq!((refused.path(), said), (&*format!("rules[0].{path}"), message), "{rule}");
    }
    let twice = table(r#"{"rules": [{"name": "a", "action": "deny"}, {"name": "a", "action": "permit"}]}"#).unwrap_err();
    assert_eq!(twice.to_string(), "rules[1].name: `a` is given twice, first in `rules[0].name`");
    let unused = table(r#"{"fragmented-packets": 100}"#).unwrap_err();
    assert_eq!(
        unused.to_string(),
        "fragmented-packets: first fragments are remembered only with `fragments: follow-first`, and with sessions"
    );
    let blind = table(r#"{"rules": [{"action": "deny", "vlan": 7}]}"#).unwrap().node::<AclFilter>("{}").unwrap_err();
    assert!(blind.to_string().starts_with("table: a rule asks for a `vlan`"), "{blind}");
}
