//! RFC 4787: UDP, and what holds for all.

use crate::packets::{as_seen, error, quote_of, source, udp, udp_of};
use crate::{A, B, GATE, Net, R, S, SECOND, X};

#[test]
fn req_1_endpoint_independent_mapping() {
    let mut net = Net::new("");
    // The second host cannot keep the port of the first.
    let (first, second) = ((A, 4000), (B, 4000));
    let outside = [first, second].map(|host| source(&net.leaves(&udp(host, (R, 53)))));
    assert_eq!(outside[0], (X, 4000));
    assert_ne!(outside[0], outside[1]);
    for (host, outside) in [first, second].into_iter().zip(outside) {
        for peer in [(R, 54), (S, 53), (S, 7)] {
            let packet = udp(host, peer);
            assert_eq!(net.leaves(&packet), as_seen(&packet, Some(outside), None));
        }
    }
    assert_eq!(net.ask(r#"{"show": {}}"#)["table"]["mappings"], 2);
}

#[test]
fn req_2_paired_pooling() {
    let mut net = Net::new("pool: ['203.0.113.8-203.0.113.15']");
    let mut used = std::collections::BTreeSet::new();
    for host in 0..32 {
        let host = [10, 0, 0, host];
        let addresses = [4000, 4001, 5000].map(|port| source(&net.leaves(&udp((host, port), (R, 53)))).0);
        assert!(addresses.iter().all(|address| *address == addresses[0]), "{host:?}: {addresses:?}");
        used.insert(addresses[0]);
    }
    assert!(used.len() > 1, "all hosts share {used:?}");
    assert!(used.iter().all(|address| (8..16).contains(&address[3])));
}

#[test]
fn req_2_arbitrary_pooling_goes_on_to_the_next_address() {
    let counts = ["paired", "arbitrary"].map(|pooling| {
        let mut net = Net::new(&format!("pool: ['203.0.113.8:2000-2001', '203.0.113.9:2000-2001']\n    pooling: {pooling}"));
        let packets: Vec<Vec<u8>> = (0..5).map(|port| udp((A, 2000 + port), (R, 53))).collect();
        let [told, left] = net.inside(&packets);
        (left.len(), told.len())
    });
    assert_eq!(counts, [(2, 3), (4, 1)]);
}

#[test]
fn req_3_no_port_overloading() {
    // As many hosts as there are ports, all with the same one.
    let mut net = Net::new("pool: ['203.0.113.2:2000-2099']");
    let packets: Vec<Vec<u8>> = (0..101).map(|host| udp(([10, 0, 0, host], 2000), (R, 53))).collect();
    let [told, left] = net.inside(&packets);
    let mut ports: Vec<u16> = left.iter().map(|packet| source(packet).1).collect();
    ports.sort_unstable();
    assert_eq!(ports, Vec::from_iter(2000..2100));
    assert_eq!(told.len(), 1);
}

#[test]
fn req_3a_port_range() {
    let mut net = Net::new("pool: ['203.0.113.2:1-65535']");
    for port in [1, 123, 1023, 1024, 5000, 65535] {
        for host in 0..20 {
            let (_, outside) = source(&net.leaves(&udp(([10, 0, 0, host], port), (R, 53))));
            assert_eq!(outside < 1024, port < 1024, "{outside} for {port}");
            assert!(host > 0 || outside == port);
        }
    }
}

#[test]
fn req_4_port_parity() {
    let mut net = Net::new("");
    for host in 0..40 {
        for port in [4000, 4001] {
            let (_, outside) = source(&net.leaves(&udp(([10, 0, 0, host], port), (R, 53))));
            assert_eq!(outside % 2, port % 2);
        }
    }
}

#[test]
fn req_5_udp_timer() {
    let mut net = Net::new("");
    let (query, answer) = (udp((A, 4000), (R, 53)), udp((R, 53), (X, 4000)));
    net.leaves(&query);
    // Two minutes without an answer.
    net.wait(119 * SECOND);
    net.enters(&answer);
    // Five minutes from then on: what is recommended (REQ-5 c).
    net.wait(299 * SECOND);
    net.enters(&answer);
    net.wait(301 * SECOND);
    net.kept_out(std::slice::from_ref(&answer), "dnat.no-session");
    assert_eq!(net.ask(r#"{"show": {}}"#)["table"]["mappings"], 0);
}

#[test]
fn req_5b_udp_timer_is_configurable() {
    let mut net = Net::new("sessions: { timeouts: { udp-unreplied: 10s, udp: 20s } }");
    let (query, answer) = (udp((A, 4000), (R, 53)), udp((R, 53), (X, 4000)));
    net.leaves(&query);
    net.wait(9 * SECOND);
    net.enters(&answer);
    net.wait(19 * SECOND);
    net.enters(&answer);
    net.wait(21 * SECOND);
    net.kept_out(&[answer], "dnat.no-session");
}

#[test]
fn req_6_outbound_packets_refresh() {
    let mut net = Net::new("");
    let query = udp((A, 4000), (R, 53));
    for _ in 0..10 {
        net.leaves(&query);
        net.wait(100 * SECOND);
    }
    net.enters(&udp((R, 53), (X, 4000)));
}

#[test]
fn req_8_filtering() {
    let strangers = [udp((S, 53), (X, 4000)), udp((R, 54), (X, 4000))];
    for (filtering, enter) in [
        ("endpoint-independent", [true, true]),
        ("address-dependent", [false, true]),
        ("address-and-port-dependent", [false, false]),
    ] {
        let mut net = Net::new(&format!("filtering: {filtering}"));
        net.leaves(&udp((A, 4000), (R, 53)));
        for (packet, enters) in strangers.iter().zip(enter) {
            match enters {
                true => assert_eq!(net.enters(packet), as_seen(packet, None, Some((A, 4000))), "{filtering}"),
                false => net.kept_out(std::slice::from_ref(packet), "dnat.filtered"),
            }
        }
        net.enters(&udp((R, 53), (X, 4000)));
    }
}

#[test]
fn req_9_hairpinning_with_the_external_source() {
    for filtering in ["endpoint-independent", "address-dependent"] {
        let mut net = Net::new(&format!("filtering: {filtering}"));
        // Both ask a server outside, which tells each the other's address.
        let first = source(&net.leaves(&udp((A, 4000), (R, 53))));
        let second = source(&net.leaves(&udp((B, 4000), (R, 53))));
        let packet = udp((A, 4000), second);
        if filtering == "endpoint-independent" {
            assert_eq!(net.turns(&packet), as_seen(&packet, Some(first), Some((B, 4000))));
        } else {
            net.kept_in(&[packet], "dnat.filtered");
        }
        // Whoever was spoken to may answer.
        let packet = udp((B, 4000), first);
        assert_eq!(net.turns(&packet), as_seen(&packet, Some(second), Some((A, 4000))), "{filtering}");
        let packet = udp((A, 4000), second);
        assert_eq!(net.turns(&packet), as_seen(&packet, Some(first), Some((B, 4000))));
    }
}

#[test]
fn req_11_the_same_in_the_same_situation() {
    let run = || {
        let mut net = Net::new("");
        (0..50).map(|host| net.leaves(&udp(([10, 0, 0, host % 10], 4000 + u16::from(host)), (R, 53)))).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn req_12_icmp_does_not_end_a_mapping() {
    let mut net = Net::new("");
    let query = udp((A, 4000), (R, 53));
    let outside = net.leaves(&query);
    for kind in [[3, 3], [3, 1], [11, 0], [12, 0]] {
        let message = error(R, X, kind, &outside, 28);
        let seen = error(R, A, kind, &quote_of(&outside, Some((A, 4000)), None, 28), 28);
        assert_eq!(net.enters(&message), as_seen(&seen, None, None));
    }
    net.enters(&udp((R, 53), (X, 4000)));
    assert_eq!(net.leaves(&query), outside);
}

#[test]
fn req_13_too_big_and_not_to_be_fragmented() {
    let mut net = Net::new("");
    let mut big = udp_of((A, 4000), (R, 53), &[7; 1390]);
    big[6] = 0x40;
    crate::packets::mend(&mut big);
    let [told, left] = net.inside(std::slice::from_ref(&big));
    assert_eq!((told.len(), left.len()), (1, 0));
    // Destination unreachable, fragmentation needed, an MTU of 1400, from the router; about the packet as its sender knows it.
    assert_eq!((&told[0][12..16], &told[0][16..20]), (&GATE[..], &A[..]));
    assert_eq!(told[0][20..22], [3, 4]);
    assert_eq!(told[0][24..28], [0, 0, 1400_u16.to_be_bytes()[0], 1400_u16.to_be_bytes()[1]]);
    assert_eq!(told[0][28..], big[..548]);
    // Without DF it leaves in fragments, in order (REQ-13 a).
    big[6] = 0;
    crate::packets::mend(&mut big);
    let [_, left] = net.inside(&[big]);
    let offsets: Vec<u16> = left.iter().map(|packet| u16::from_be_bytes([packet[6], packet[7]])).collect();
    assert_eq!(offsets, [0x2000, (1376 / 8) as u16]);
    assert!(left.iter().all(|packet| packet[12..16] == X));
}

#[test]
fn a_zero_checksum_stays_zero() {
    let mut net = Net::new("");
    let mut query = udp((A, 4000), (R, 53));
    query[26..28].fill(0);
    let left = net.leaves(&query);
    assert_eq!(left, as_seen(&query, Some((X, 4000)), None));
    assert_eq!(left[26..28], [0, 0]);
    let mut answer = udp((R, 53), (X, 4000));
    answer[26..28].fill(0);
    assert_eq!(net.enters(&answer), as_seen(&answer, None, Some((A, 4000))));
}
