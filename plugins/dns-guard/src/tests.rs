use swath_api::testkit::{NodeKit, TestKit};

use super::*;

/// A query for `example.org`, as RFC 1035 has it.
fn query(of_type: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x07example\x03org\0");
    message.extend(of_type.to_be_bytes());
    message.extend(1_u16.to_be_bytes());
    message
}

fn packet(message: &[u8], ports: (u16, u16)) -> Vec<u8> {
    let length = message.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend((28 + length).to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, UDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend([ports.0.to_be_bytes(), ports.1.to_be_bytes(), (8 + length).to_be_bytes(), [0, 0]].concat());
    packet.extend(message);
    packet
}

fn kit(config: &str) -> NodeKit {
    TestKit::new().table::<Counts>("counts", "{}").node::<DnsGuard>(config).unwrap()
}

fn edge(message: &[u8]) -> &'static str {
    kit("{}").edge(&packet(message, (4000, PORT)))
}

#[test]
fn sound_messages_pass_and_are_counted() {
    let mut kit = kit("{}");
    for of_type in [1, 1, 28, 255, 4711] {
        assert_eq!(kit.edge(&packet(&query(of_type), (4000, PORT))), "ok");
    }
    let mut answer = query(1);
    answer[2] |= 0x80;
    assert_eq!(kit.edge(&packet(&answer, (PORT, 4000))), "ok");
    assert_eq!(kit.command("counts", r#"{"show": {}}"#).unwrap(), r#"{"A":2,"AAAA":1,"ANY":1,"other":1}"#);
}

#[test]
fn what_is_no_message_is_dropped() {
    let whole = query(1);
    for length in 0..whole.len() {
        assert_eq!(edge(&whole[..length]), "malformed", "{length} bytes");
    }
    let with = |at: usize, byte: u8| {
        let mut message = query(1);
        message[at] = byte;
        message
    };
    assert_eq!(edge(&with(5, 0)), "malformed", "a query without a question");
    assert_eq!(edge(&with(5, 2)), "malformed", "two questions, of which one is there");
    assert_eq!(edge(&with(12, 64)), "malformed", "a label of 64 bytes");
    assert_eq!(edge(&with(12, 0xc0)), "malformed", "a pointer");
    assert_eq!(edge(&with(12, 63)), "malformed", "a label that is longer than the message");
    let name = |labels: usize| {
        let mut message = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        (0..labels).for_each(|_| message.extend(b"\x01a"));
        message.extend([0, 0, 1, 0, 1]);
        message
    };
    assert_eq!((edge(&name(127)), edge(&name(128))), ("ok", "malformed"), "names of 255 and 257 bytes");
}

#[test]
fn what_is_too_long_is_dropped() {
    let mut message = query(1);
    message.resize(1232, 0);
    assert_eq!(edge(&message), "ok");
    message.push(0);
    assert_eq!(edge(&message), "oversized");
    assert_eq!(kit(r#"{"longest": 1233}"#).edge(&packet(&message, (4000, PORT))), "ok");
    let refused = TestKit::new().table::<Counts>("counts", "{}").node::<DnsGuard>(r#"{"longest": 11}"#).unwrap_err();
    assert_eq!(refused.to_string(), "longest: a message has 12 to 65507 bytes");
}

#[test]
fn what_is_not_dns_passes() {
    let mut kit = kit("{}");
    assert_eq!(kit.edge(&packet(b"?", (4000, 5000))), "ok");
    let mut tcp = packet(b"?", (4000, PORT));
    tcp[9] = 6;
    assert_eq!(kit.edge(&tcp), "ok");
    let mut fragment = packet(b"?", (4000, PORT));
    fragment[6] = 0x20;
    assert_eq!(kit.edge(&fragment), "ok");
    assert_eq!(kit.edge(&packet(b"?", (4000, PORT))[..20]), "ok", "no UDP header");
}
