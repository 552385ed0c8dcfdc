//! The frames of [`SCAPY`] were made by scapy 2.8, an independent implementation.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::vocabulary::{Protocol, WORDS};
use super::{Mac, TextError, TextPacket, describe, describe_with};

fn parse(text: &str) -> TextPacket {
    TextPacket::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> TextError {
    TextPacket::parse(text).expect_err(text)
}

const SCAPY: &[(&str, &str)] = &[
    (
        "udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 3 via lan",
        "02000000000202000000000108004500001c0000000003119dbd0a000005080808080fa000350008d5f4",
    ),
    (
        r#"udp 10.0.0.5:4000 > 8.8.8.8:53 payload "hello" df id 0x1234 tos 0xb8"#,
        "020000000002020000000001080045b800211234400040110dcc0a000005080808080fa00035000d921868656c6c6f",
    ),
    (
        "udp 10.0.0.5:4000 > 8.8.8.8:53 dscp 46 len 60",
        "020000000002020000000001080045b8002e0000000040115ff30a000005080808080fa00035001ad5d0000000000000000000000000000000000000",
    ),
    (
        "udp 10.0.0.5:4000 > 8.8.8.8:53 no-checksum",
        "02000000000202000000000108004500001c00000000401160bd0a000005080808080fa0003500080000",
    ),
    (
        "udp [2001:db8::1]:1 > [2001:db8::2]:2 ttl 9 tos 4 flow-label 0x12345 payload hex 00ff7f",
        "02000000000202000000000186dd60412345000b110920010db800000000000000000000000120010db800000000000000000000000200010002000b246100ff7f",
    ),
    (
        "tcp 10.0.0.1:80 > 10.0.0.2:4000 flags syn,ack seq 7 ack 8 win 1000 mss 1400",
        "02000000000202000000000108004500002c00000000400666ca0a0000010a00000200500fa00000000700000008601203e87069000002040578",
    ),
    (
        "tcp 10.0.0.1:80 > 10.0.0.2:4000 flags fin,rst,psh,urg,ece,cwr,ns options 0101080a0000000100000002",
        "02000000000202000000000108004500003400000000400666c20a0000010a00000200500fa0000000000000000081edffff50eb00000101080a0000000100000002",
    ),
    (
        r#"tcp [fe80::1]:80 > [fe80::2]:81 flags ack payload "x""#,
        "02000000000202000000000186dd6000000000150640fe800000000000000000000000000001fe8000000000000000000000000000020050005100000000000000005010ffff3a2e000078",
    ),
    (
        r#"icmp 10.0.0.1 > 10.0.0.2 echo-request id 5 seq 1 payload "ping""#,
        "02000000000202000000000108004500002000000000400166db0a0000010a000002080019290005000170696e67",
    ),
    (
        "icmp 10.0.0.1 > 10.0.0.2 echo-reply id 5 seq 1 ip-id 77",
        "02000000000202000000000108004500001c004d0000400166920a0000010a0000020000fff900050001",
    ),
    (
        "icmp 10.0.0.1 > 10.0.0.2 unreachable code 4 mtu 1280 payload hex 4500",
        "02000000000202000000000108004500001e00000000400166dd0a0000010a0000020304b2fb000005004500",
    ),
    (
        "icmp 10.0.0.1 > 10.0.0.2 type 11 code 1",
        "02000000000202000000000108004500001c00000000400166df0a0000010a0000020b01f4fe00000000",
    ),
    (
        r#"icmp6 2001:db8::1 > 2001:db8::2 echo-request id 5 seq 1 payload "ping""#,
        "02000000000202000000000186dd60000000000c3a4020010db800000000000000000000000120010db80000000000000000000000028000456d0005000170696e67",
    ),
    (
        "icmp6 2001:db8::1 > 2001:db8::2 packet-too-big mtu 1280",
        "02000000000202000000000186dd6000000000083a4020010db800000000000000000000000120010db800000000000000000000000202009d4800000500",
    ),
    (
        "ip 10.0.0.1 > 10.0.0.2 proto 47 payload hex 00000800",
        "02000000000202000000000108004500001800000000402f66b50a0000010a00000200000800",
    ),
    (
        "ip 2001:db8::1 > 2001:db8::2 proto 59",
        "02000000000202000000000186dd6000000000003b4020010db800000000000000000000000120010db8000000000000000000000002",
    ),
    (
        r#"udp 10.0.0.1 > 10.0.0.2 frag 1480 id 9 payload "tail""#,
        "020000000002020000000001080045000018000900b9401166110a0000010a0000027461696c",
    ),
    (
        "udp 2001:db8::1 > 2001:db8::2 frag 1448 mf id 70000 payload hex 0102030405060708",
        "02000000000202000000000186dd6000000000102c4020010db800000000000000000000000120010db8000000000000000000000002110005a9000111700102030405060708",
    ),
    (
        "arp who-has 10.0.0.1 tell 10.0.0.2 pad 18",
        "ffffffffffff020000000001080600010800060400010200000000010a0000020000000000000a000001000000000000000000000000000000000000",
    ),
    (
        "arp reply 10.0.0.1 is-at 02:00:00:00:00:0a to 10.0.0.2",
        "02000000000202000000000a0806000108000604000202000000000a0a0000010200000000020a000002",
    ),
    (
        "udp 10.0.0.5:4000 > 8.8.8.8:53 src-mac 02:11:22:33:44:55 dst-mac 02:66:77:88:99:aa svlan 100 pcp 3 vlan 7 dei",
        "0266778899aa02112233445588a860648100100708004500001c00000000401160bd0a000005080808080fa000350008d5f4",
    ),
    (
        "eth 02:00:00:00:00:01 > 01:80:c2:00:00:0e type 0x88cc payload hex 0201ff len 60",
        "0180c200000e02000000000188cc0201ff00000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    ),
];

#[test]
fn frames_are_what_scapy_makes_of_the_same_packets() {
    for (text, expected) in SCAPY {
        assert_eq!(super::describe::Hex(&parse(text).frame()).to_string(), *expected, "{text}");
    }
}

#[test]
fn descriptions_of_scapys_frames_give_the_same_frames() {
    for (text, frame) in SCAPY {
        let frame = super::lex::hex(frame).unwrap();
        let described = describe(&frame);
        assert!(!described.contains('#'), "{text}: {described}");
        assert_eq!(parse(&described).frame(), frame, "{text}: {described}");
    }
}

#[test]
fn addresses_that_are_as_usual_are_not_named() {
    let (a, b) = (Mac([0xa; 6]), Mac([0xb; 6]));
    for (text, frame) in SCAPY {
        let frame = super::lex::hex(frame).unwrap();
        for (source, destination) in [(a, b), (Mac::DESTINATION, Mac::SOURCE), (Mac::SOURCE, Mac::BROADCAST)] {
            let described = describe_with(&frame, source, destination);
            assert_eq!(parse(&described).frame_with(source, destination), frame, "{text}: {described}");
        }
    }
    let udp = parse("udp 10.0.0.1:1 > 10.0.0.2:2").frame_with(a, b);
    assert_eq!(describe_with(&udp, a, b), "udp 10.0.0.1:1 > 10.0.0.2:2");
    assert_eq!(describe_with(&udp, b, b), "udp 10.0.0.1:1 > 10.0.0.2:2 src-mac 0a:0a:0a:0a:0a:0a");
    let reply = parse("arp reply 10.0.0.1 is-at 0a:0a:0a:0a:0a:0a to 10.0.0.2").frame_with(b, b);
    assert_eq!(describe_with(&reply, b, b), "arp reply 10.0.0.1 is-at 0a:0a:0a:0a:0a:0a to 10.0.0.2");
}

#[test]
fn descriptions_use_the_words_of_the_text() {
    let texts = [
        "udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 3",
        "udp [2001:db8::1]:1 > [2001:db8::2]:2 flow-label 7 no-checksum len 100",
        "tcp 10.0.0.1:80 > 10.0.0.2:4000 flags syn,ack seq 7 ack 8 mss 1400 bad-checksum",
        "icmp 10.0.0.1 > 10.0.0.2 time-exceeded code 1 ip-id 9 bad-ip-checksum",
        "icmp 10.0.0.1 > 10.0.0.2 unreachable code 4 mtu 1280",
        "icmp6 fe80::1 > fe80::2 echo-reply id 5 seq 6",
        "icmp6 fe80::1 > fe80::2 type 200 code 7",
        "ip 10.0.0.1 > 10.0.0.2 proto 47 df",
        "udp 10.0.0.1 > 10.0.0.2 id 9 mf frag 1480 len 1514",
        r#"udp 10.0.0.1:1 > 10.0.0.2:2 payload "a \"b\" \\ 'c'" len 64 pad 4"#,
        "arp who-has 10.0.0.1 tell 10.0.0.2 pad 18 vlan 10 pcp 3",
        "arp reply 10.0.0.1 is-at 02:00:00:00:00:0a to 10.0.0.2 src-mac 02:00:00:00:00:0b",
        "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 type 0x88cc len 60 svlan 5 dei vlan 6",
        "hex 0011",
        "hex \"\"",
    ];
    for text in texts {
        assert_eq!(describe(&parse(text).frame()), text);
    }
}

#[test]
fn what_the_text_form_cannot_say_is_marked() {
    // An IPv4 header with a router alert option (RFC 2113), from scapy.
    let options = "020000000002020000000001080046000024000000004011d1c20a0000010a000002\
                   94040000000100020\
                   00c16fb68656c70";
    let frame = super::lex::hex(options).unwrap();
    assert_eq!(describe(&frame), r#"udp 10.0.0.1:1 > 10.0.0.2:2 payload "help" # inexact"#);
    let long = parse(&format!("udp 10.0.0.1:1 > 10.0.0.2:2 payload hex {}", "5a".repeat(65)));
    assert_eq!(describe(&long.frame()), "udp 10.0.0.1:1 > 10.0.0.2:2 len 107 # inexact");
    let cut = &parse("udp 10.0.0.1:1 > 10.0.0.2:2 len 100").frame()[..80];
    assert_eq!(describe(cut), "udp 10.0.0.1:1 > 10.0.0.2:2 len 80 # inexact");
}

#[test]
fn wrong_checksums_are_wrong_and_only_they() {
    let sliced = |text: &str| {
        let frame = parse(text).frame();
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("{text}") };
        let header = ip.header().to_header();
        let Some(TransportSlice::Udp(udp)) = &packet.transport else { panic!("{text}") };
        let right = udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap();
        (header.header_checksum == header.calc_header_checksum(), udp.checksum() == right)
    };
    let packet = "udp 10.0.0.1:1 > 10.0.0.2:2";
    assert_eq!(sliced(packet), (true, true));
    assert_eq!(sliced(&format!("{packet} bad-checksum")), (true, false));
    assert_eq!(sliced(&format!("{packet} bad-ip-checksum")), (false, true));
    let ip = parse("ip 10.0.0.1 > 10.0.0.2 bad-checksum").frame();
    assert_eq!(ip, parse("ip 10.0.0.1 > 10.0.0.2 bad-ip-checksum").frame());
}

#[test]
fn words_come_in_any_order_and_comments_end_the_text() {
    let packet = parse("udp 10.0.0.5:4000>8.8.8.8:53 via lan ttl 3 # and nothing more");
    assert_eq!(packet, parse("udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 3 via lan"));
    assert_eq!(packet.via(), Some("lan"));
    assert_eq!(parse("hex 00 via wan").via(), Some("wan"));
}

#[test]
fn only_addresses_that_the_text_leaves_open_can_be_chosen() {
    let (a, b) = (Mac([0xa; 6]), Mac([0xb; 6]));
    let macs = |text: &str| {
        let frame = parse(text).frame_with(a, b);
        (Mac(frame[6..12].try_into().unwrap()), Mac(frame[..6].try_into().unwrap()))
    };
    assert_eq!(macs("ip 10.0.0.1 > 10.0.0.2"), (a, b));
    assert_eq!(macs("ip 10.0.0.1 > 10.0.0.2 src-mac 02:00:00:00:00:01"), (Mac::SOURCE, b));
    assert_eq!(macs("arp who-has 10.0.0.1 tell 10.0.0.2"), (a, Mac::BROADCAST));
    let reply = "arp reply 10.0.0.1 is-at 02:00:00:00:00:02 to 10.0.0.2";
    assert_eq!(macs(reply), (Mac::DESTINATION, b));
    assert_eq!(parse("arp who-has 10.0.0.1 tell 10.0.0.2").frame_with(a, b)[22..28], a.0);
}

#[test]
fn errors_tell_the_column_what_was_expected_and_what_was_meant() {
    let cases = [
        ("", "column 1: expected a protocol (udp, tcp, icmp, icmp6, ip, arp, eth or hex), found the end"),
        (
            "upd 10.0.0.1:1",
            "column 1: expected a protocol (udp, tcp, icmp, icmp6, ip, arp, eth or hex), found `upd`; \
             did you mean `udp`?",
        ),
        ("udp 10.0.0.1:1 > 10.0.0.2:2 tll 3", "column 29: expected a word that applies to udp, found `tll`; did you mean `ttl`?"),
        (
            "icmp 10.0.0.1 > 10.0.0.2 echo-requets",
            "column 26: expected a word that applies to icmp, found `echo-requets`; \
             did you mean `echo-request`?",
        ),
        ("udp 10.0.0.1:1 > 10.0.0.2:2 ttl 256", "column 33: expected a TTL, a number up to 255, found `256`"),
        ("udp 10.0.0.1:1 > 10.0.0.2:2 ttl", "column 32: expected a TTL, a number up to 255, found the end"),
        ("udp 10.0.0.1:1 > 10.0.0.2:2 ttl 1 ttl 1", "column 35: `ttl` sets what an earlier word has set"),
        ("udp 10.0.0.1:1 > 10.0.0.2:2 tos 1 dscp 1", "column 35: `dscp` sets what an earlier word has set"),
        ("udp 10.0.0.1:1 > 10.0.0.2:2 flags syn", "column 29: `flags` does not apply to udp"),
        (
            "udp 10.0.0.300:1 > 10.0.0.2:2",
            "column 5: expected an address and port such as 10.0.0.1:53 or [2001:db8::1]:53, \
             found `10.0.0.300:1`",
        ),
        ("udp 10.0.0.1:1 10.0.0.2:2", "column 16: expected `>`, found `10.0.0.2:2`"),
        ("udp 10.0.0.1:1 > 10.0.0.2", "column 18: expected a port after this address, as udp has them"),
        ("icmp 10.0.0.1:1 > 10.0.0.2", "column 6: icmp has no ports"),
        ("icmp 10.0.0.1 > fe80::1", "column 17: fe80::1 is not of the same family as 10.0.0.1"),
        ("icmp fe80::1 > fe80::2", "column 6: icmp needs IPv4 addresses; over IPv6 it is icmp6"),
        ("udp 10.0.0.1:1 > 10.0.0.2:2 frag 8", "column 5: a fragment with an offset has no ports"),
        ("udp 10.0.0.1 > 10.0.0.2 frag 8 bad-checksum", "column 32: `bad-checksum`: a fragment with an offset has no udp header"),
        ("ip 10.0.0.1 > 10.0.0.2 frag 9", "column 29: expected a fragment offset, a multiple of 8 up to 65528, found `9`"),
        ("ip fe80::1 > fe80::2 id 9", "column 22: in IPv6 only a fragment has an identification: add `mf` or `frag`"),
        (
            "tcp 10.0.0.1:1 > 10.0.0.2:2 flags syn,akc",
            "column 39: expected TCP flags such as `syn,ack`, found `akc`; did you mean `ack`?",
        ),
        ("udp 10.0.0.1:1 > 10.0.0.2:2 len 41", "column 29: `len 41` is less than the 42 bytes of this frame"),
        (
            "ip fe80::1 > fe80::2 len 65535 payload hex 00 frag 65536",
            "column 52: expected a fragment offset, a multiple of 8 up to 65528, found `65536`",
        ),
        ("ip 10.0.0.1 > 10.0.0.2 payload \"ä", "column 32: this quote is not closed"),
        ("ip 10.0.0.1 > 10.0.0.2 payload \"ä\" payload", "column 36: `payload` sets what an earlier word has set"),
        (
            "ip 10.0.0.1 > 10.0.0.2 payload hex 012",
            "column 36: expected the payload in hexadecimal digits, two for each byte, found `012`",
        ),
        ("arp who-hsa 10.0.0.1", "column 5: expected `who-has` or `reply`, found `who-hsa`; did you mean `who-has`?"),
        ("arp who-has 10.0.0.1 tell", "column 26: expected an IPv4 address, found the end"),
        (
            "eth 02:00:00:00:00:01 > 2:00:00:00:00:02 type 1",
            "column 25: expected a MAC address such as 02:00:00:00:00:01, found `2:00:00:00:00:02`",
        ),
        ("eth 02:00:00:00:00:01 > 02:00:00:00:00:02", "column 42: expected `type` with an EtherType"),
        ("hex 00 ttl 3", "column 8: `ttl` does not apply to hex"),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text).to_string(), expected, "{text}");
    }
}

#[test]
fn a_packet_longer_than_ip_can_say_is_refused() {
    let digits = "00".repeat(65_536 - 20);
    let text = format!("ip 10.0.0.1 > 10.0.0.2 payload hex {digits}");
    assert_eq!(error(&text).to_string(), "column 24: the packet is longer than IP can say");
    assert_eq!(parse(&text[..text.len() - 2]).frame().len(), 14 + 65_535);
}

/// A valid use of `word` after `protocol`, or a value for it in an IP packet.
fn used(word: &str) -> &'static str {
    match word {
        "via" => "lan",
        "src-mac" | "dst-mac" => "02:00:00:00:00:09",
        "vlan" | "svlan" => "5 pcp 1",
        "payload" => "hex 07",
        "len" => "100",
        "flags" => "psh",
        "options" => "01010101",
        "frag" => "16",
        "df" | "mf" | "bad-checksum" | "bad-ip-checksum" | "no-checksum" => "",
        _ => "7",
    }
}

#[test]
fn every_word_changes_the_packet_that_it_applies_to() {
    for (word, protocols) in WORDS {
        for protocol in *protocols {
            let text = match (protocol, *word) {
                (Protocol::Udp | Protocol::Tcp, "frag") => "udp 10.0.0.1 > 10.0.0.2",
                (Protocol::Udp, "flow-label") => "udp [fe80::1]:1 > [fe80::2]:2",
                (Protocol::Tcp, "flow-label") => "tcp [fe80::1]:1 > [fe80::2]:2",
                (Protocol::Icmp, "flow-label") => continue,
                (Protocol::Ip, "flow-label") => "ip fe80::1 > fe80::2",
                (Protocol::Icmp6, "df" | "bad-ip-checksum") => continue,
                (Protocol::Icmp6, "ip-id") => "icmp6 fe80::1 > fe80::2 mf",
                (Protocol::Udp, _) => "udp 10.0.0.1:1 > 10.0.0.2:2",
                (Protocol::Tcp, _) => "tcp 10.0.0.1:1 > 10.0.0.2:2",
                (Protocol::Icmp, _) => "icmp 10.0.0.1 > 10.0.0.2",
                (Protocol::Icmp6, _) => "icmp6 fe80::1 > fe80::2",
                (Protocol::Ip, _) => "ip 10.0.0.1 > 10.0.0.2",
                (Protocol::Arp, _) => "arp who-has 10.0.0.1 tell 10.0.0.2",
                (Protocol::Eth, "type") => "eth 02:00:00:00:00:01 > 02:00:00:00:00:02",
                (Protocol::Eth, _) => "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 type 1",
                (Protocol::Hex, _) => "hex 00",
            };
            let with = parse(&format!("{text} {word} {}", used(word)));
            assert_ne!(TextPacket::parse(text), Ok(with), "{text} {word}");
        }
    }
}
