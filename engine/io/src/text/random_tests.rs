//! Random packets, texts and frames.

use proptest::prelude::*;

use super::vocabulary::WORDS;
use super::{Mac, TextPacket, describe};

fn parse(text: &str) -> TextPacket {
    TextPacket::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn maybe(word: &'static str, value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    proptest::option::of(value).prop_map(move |value| value.map_or(String::new(), |value| format!(" {word} {value}"))).boxed()
}

fn flag(word: &'static str) -> BoxedStrategy<String> {
    maybe(word, Just(String::new()))
}

fn upto(max: u32) -> impl Strategy<Value = String> {
    (0..=max).prop_map(|number| number.to_string())
}

/// Packets with default payloads: all zeros.
fn texts() -> impl Strategy<Value = String> {
    let v4 = any::<[u8; 4]>().prop_map(std::net::Ipv4Addr::from);
    let v6 = any::<[u8; 16]>().prop_map(std::net::Ipv6Addr::from);
    let mac = any::<[u8; 6]>().prop_map(|mac| Mac(mac).to_string());
    let ports = || (any::<u16>(), any::<u16>());
    let common = (
        maybe("len", (140_u32..1600).prop_map(|len| len.to_string())),
        maybe("pad", upto(20)),
        maybe("vlan", (upto(4095), 0_u8..8).prop_map(|(id, pcp)| format!("{id} pcp {pcp}"))),
        maybe("svlan", upto(4095).prop_map(|id| format!("{id} dei"))),
    )
        .prop_map(|(a, b, c, d)| a + &b + &c + &d);
    let ip = (
        maybe("ttl", upto(255)),
        maybe("tos", upto(255)),
        maybe("src-mac", mac.clone()),
        maybe("dst-mac", mac.clone()),
        flag("mf"),
        flag("bad-checksum"),
        common.clone(),
    )
        .prop_map(|(a, b, c, d, e, f, g)| a + &b + &c + &d + &e + &f + &g);
    let ip4_only = (flag("df"), flag("bad-ip-checksum")).prop_map(|(a, b)| a + &b);
    let tcp = (
        maybe("flags", proptest::sample::subsequence(vec!["fin", "syn", "ack", "ns"], 1..4).prop_map(|flags| flags.join(","))),
        maybe("seq", upto(u32::MAX)),
        maybe("ack", upto(u32::MAX)),
        maybe("win", upto(65535)),
        maybe("mss", upto(65535)),
    )
        .prop_map(|(a, b, c, d, e)| a + &b + &c + &d + &e);
    let icmp = (maybe("type", upto(255)), maybe("code", upto(255)), maybe("id", upto(65535))).prop_map(|(a, b, c)| a + &b + &c);
    prop_oneof![
        (v4.clone(), v4.clone(), ports(), ip.clone(), ip4_only.clone(), maybe("id", upto(65535)))
            .prop_map(|(a, b, (p, q), ip, only, id)| format!("udp {a}:{p} > {b}:{q}{ip}{only}{id}")),
        (v6.clone(), v6.clone(), ports(), ip.clone(), maybe("flow-label", upto(0xfffff)))
            .prop_map(|(a, b, (p, q), ip, label)| format!("udp [{a}]:{p} > [{b}]:{q}{ip}{label}")),
        (v4.clone(), v4.clone(), ports(), ip.clone(), tcp.clone())
            .prop_map(|(a, b, (p, q), ip, tcp)| format!("tcp {a}:{p} > {b}:{q}{ip}{tcp}")),
        (v6.clone(), v6.clone(), ports(), ip.clone(), tcp)
            .prop_map(|(a, b, (p, q), ip, tcp)| format!("tcp [{a}]:{p} > [{b}]:{q}{ip}{tcp}")),
        (v4.clone(), v4.clone(), ip.clone(), ip4_only, icmp.clone())
            .prop_map(|(a, b, ip, only, icmp)| format!("icmp {a} > {b}{ip}{only}{icmp}")),
        (v6.clone(), v6.clone(), ip.clone(), icmp).prop_map(|(a, b, ip, icmp)| format!("icmp6 {a} > {b}{ip}{icmp}")),
        (v6.clone(), v6.clone(), upto(255), 1_u32..8000, common.clone())
            .prop_map(|(a, b, n, at, w)| format!("ip {a} > {b} proto {n} frag {}{w}", at * 8)),
        (v4.clone(), v4.clone(), upto(255), common.clone())
            .prop_map(|(a, b, number, common)| format!("ip {a} > {b} proto {number}{common}")),
        (v6.clone(), v6, upto(255), common.clone())
            .prop_map(|(a, b, number, common)| format!("ip {a} > {b} proto {number}{common}")),
        (v4.clone(), v4.clone(), maybe("src-mac", mac.clone()), maybe("pad", upto(20)))
            .prop_map(|(a, b, mac, pad)| format!("arp who-has {a} tell {b}{mac}{pad}")),
        (v4.clone(), v4, mac.clone(), maybe("vlan", upto(4095)))
            .prop_map(|(a, b, mac, vlan)| format!("arp reply {a} is-at {mac} to {b}{vlan}")),
        (
            mac.clone(),
            mac,
            prop_oneof![
                upto(65535),
                Just("0x800".to_owned()),
                Just("0x8100".to_owned()),
                Just("0x88a8".to_owned()),
                Just("0x806".to_owned()),
                Just("0x86dd".to_owned())
            ],
            common
        )
            .prop_map(|(a, b, number, common)| format!("eth {a} > {b} type {number}{common}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn descriptions_give_back_the_frame(text in texts()) {
        let frame = parse(&text).frame();
        let described = describe(&frame);
        prop_assert!(!described.contains('#'), "{} became {}", text, described);
        prop_assert_eq!(parse(&described).frame(), frame, "{} became {}", text, described);
    }

    #[test]
    fn any_text_gives_a_packet_or_an_error_inside_it(text in "[a-z0-9.:> \"\\\\#\\[\\]é-]{0,60}") {
        if let Err(error) = TextPacket::parse(&text) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column));
        }
    }

    #[test]
    fn any_word_after_endpoints_gives_a_packet_or_an_error(
        protocol in proptest::sample::select(vec![
            "udp 10.0.0.1:1 > 10.0.0.2:2", "tcp [fe80::1]:1 > [fe80::2]:2", "icmp 10.0.0.1 > 10.0.0.2",
            "icmp6 fe80::1 > fe80::2", "ip 10.0.0.1 > 10.0.0.2", "udp fe80::1 > fe80::2",
        ]),
        words in proptest::collection::vec(
            (proptest::sample::select(WORDS), prop_oneof![upto(u32::MAX), upto(70_000), Just(String::new())]),
            0..5,
        ),
    ) {
        let words: String = words.iter().map(|((word, _), value)| format!(" {word} {value}")).collect();
        if let Ok(packet) = TextPacket::parse(&format!("{protocol}{words}")) {
            prop_assert!(packet.frame().len() >= 34);
        }
    }

    #[test]
    fn any_frame_has_a_description(
        text in texts(),
        cut in 0_usize..200,
        flips in proptest::collection::vec((0_usize..120, any::<u8>()), 0..4),
    ) {
        let mut frame = parse(&text).frame();
        frame.truncate(cut);
        for (index, value) in flips {
            if let Some(byte) = frame.get_mut(index) {
                *byte = value;
            }
        }
        let described = describe(&frame);
        let packet = parse(&described);
        prop_assert!(described.ends_with(" # inexact") || packet.frame() == frame, "{}", described);
    }
}
