use super::*;
use etherparse::PacketBuilder;
use proptest::prelude::*;
use swath_api::testkit::{NodeKit, TestKit};

const EDGES: &[&str] = &["a"];

fn kit(layer: &str, expression: &str) -> Result<NodeKit, ConfigError> {
    let config = format!(r#"{{"layer": "{layer}", "rules": [{{"match": "{expression}", "edge": "a"}}]}}"#);
    TestKit::new().edges(EDGES).node::<Classify>(&config)
}

fn holds(expression: &str, frame: &[u8]) -> bool {
    kit("ethernet", expression).unwrap_or_else(|error| panic!("{expression}: {error}")).edge(frame) == "a"
}

fn syn(builder: etherparse::PacketBuilderStep<etherparse::IpHeaders>) -> Vec<u8> {
    let mut packet = Vec::new();
    builder.tcp(1000, 443, 7, 100).syn().write(&mut packet, b"").unwrap();
    packet
}

fn frame() -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
}

#[test]
fn what_the_oracle_does_not_know() {
    let tagged = syn(frame().single_vlan(100.try_into().unwrap()).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64));
    for (expression, expected) in
        [("vlan", true), ("vlan 100", true), ("vlan 7", false), ("tcp port 443 and vlan", true), ("ip", true)]
    {
        assert_eq!(holds(expression, &tagged), expected, "{expression}");
    }
    let six = syn(frame().ipv6([1; 16], [2; 16], 64));
    assert!(holds("tcp[tcpflags] & (tcp-syn | tcp-ack) == tcp-syn", &six) && !holds("vlan", &six));
    let mut later = syn(frame().ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64));
    assert!(holds("dst port 443", &later));
    later[20..22].copy_from_slice(&185u16.to_be_bytes());
    assert!(holds("tcp and not port 443 and not tcp[tcpflags] & tcp-syn != 0", &later), "a fragment has no ports");
    for len in 0..14 {
        assert!(holds("not ip", &later[..len]), "{len}");
    }
    assert_eq!(
        kit("ip", "src host 10.0.0.1 and tcp").unwrap().edge(&syn(frame().ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64))[14..]),
        "a"
    );
}

#[test]
fn the_first_rule_that_holds_chooses() {
    let rules = r#"{"rules": [{"match": "src port 443", "edge": "default"}, {"match": "port 443", "edge": "web"},
                              {"match": "ip", "edge": "rest"}, {"match": "tcp", "edge": "web"}]}"#;
    let mut kit = TestKit::new().edges(&["rest", "web"]).node::<Classify>(rules).unwrap();
    let tcp = |from, to| {
        let mut packet = Vec::new();
        frame().ipv4([1; 4], [2; 4], 64).tcp(from, to, 0, 0).write(&mut packet, b"").unwrap();
        packet
    };
    for (from, to, edge) in [(443, 443, "default"), (1, 443, "web"), (1, 2, "rest")] {
        assert_eq!(kit.edge(&tcp(from, to)), edge);
    }
    assert_eq!(kit.edge(&syn(frame().ipv6([1; 16], [2; 16], 64))), "web");
    assert_eq!(kit.edge(b""), "default");
}

#[test]
fn mistakes_are_told_in_words() {
    for (expression, message) in [
        ("", "an expression is missing, such as `udp port 53`"),
        ("tcp prot 80", "`and` or `or` is missing before `prot`"),
        ("hots 10.0.0.1", "`hots` is no beginning of a test: these are `host`, `net`, `port`, `tcp` and others"),
        ("tcp port", "a port, 0 to 65535 is missing at the end"),
        ("port 65536", "`65536` is not a port, 0 to 65535"),
        ("portrange 9-8", "`9-8` is not a range of ports such as `1000-2000`"),
        ("icmp port 1", "`1` cannot follow `port`"),
        ("net 10.0.0.1/8", "`10.0.0.1/8` has bits behind its prefix"),
        ("net 10.0.0.0/33", "`10.0.0.0/33` is not a prefix such as 10.0.0.0/8"),
        ("ip host ::1", "`::1` is no address of `ip`"),
        ("tcp and udp or icmp", "`and` and `or` stand side by side: put what belongs together in parentheses"),
        ("(tcp", "`)` is missing at the end"),
        ("tcp)", "`and` or `or` is missing before `)`"),
        ("not", "something is missing after `not`"),
        ("tcp[0]", "`==`, `!=`, `<`, `<=`, `>` or `>=` is missing behind what is compared"),
        ("tcp[1:3] = 0", "`3` is not 1, 2 or 4 bytes"),
        ("ip[x] = 0", "`x` is not a number, `len` or bytes such as `ip[9]`"),
        ("ip[0 = 0", "`]` is expected, and not `=`"),
        ("dscp 64", "`64` is not a code point, 0 to 63"),
        ("vlan 4096", "`4096` is not the id of a VLAN, 0 to 4095"),
        ("src", "an IP address is missing at the end"),
        ("tcp; udp", "`;` means nothing here"),
    ] {
        let refused = kit("ethernet", expression).err();
        let refused = refused.map(|error| (error.path().to_owned(), error.message().to_owned()));
        let (path, found) = refused.unwrap_or_default();
        assert_eq!((&*path, &*found), ("rules[0].match", message), "{expression}");
    }
    assert!(kit("ip", "ether proto 8").unwrap_err().message().contains("no Ethernet header"));
    assert!(kit("ip", "vlan").unwrap_err().message().contains("no Ethernet header"));
    assert!(kit("ethernet", &format!("{}tcp", "not ".repeat(10_000))).unwrap_err().message().contains("more than 32"));
    let refused = |edges, rules: &str| TestKit::new().edges(edges).node::<Classify>(rules).unwrap_err();
    assert_eq!(refused(&["a"], r#"{"rules": []}"#).path(), "to.a");
    assert_eq!(refused(&[], r#"{"rules": [{"match": "ip", "edge": "a"}]}"#).path(), "rules[0].edge");
}

proptest! {
    #[test]
    fn no_text_and_no_packet_panics(text in r"((src|dst|host|net|port|tcp|\[|\]|\(|\)|and|or|not|10\.0\.0\.0/8|::1|len|<|80|&|tcp-syn|==|vlan|.) ?){0,12}",
                                    bytes in prop::collection::vec(any::<u8>(), 0..120), cut in 0..80usize) {
        let _ = Expression::parse(&text, true);
        let framed = syn(frame().ipv6([1; 16], [2; 16], 64));
        for packet in [&bytes[..], &framed[..cut.min(framed.len())], &[&framed[..14], &bytes].concat()] {
            View::of_frame(packet);
            View::of_ip(packet);
        }
    }
}
