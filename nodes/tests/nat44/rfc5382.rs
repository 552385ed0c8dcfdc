//! RFC 5382: TCP.

use crate::packets::{as_seen, error, quote_of, source, tcp};
use crate::{A, B, Net, R, S, SECOND, X};

/// A connection of `A`, established.
fn connect(net: &mut Net) {
    net.leaves(&tcp((A, 5000), (R, 80), "s"));
    net.enters(&tcp((R, 80), (X, 5000), "sa"));
    net.leaves(&tcp((A, 5000), (R, 80), "a"));
}

#[test]
fn req_1_endpoint_independent_mapping() {
    let mut net = Net::new("");
    net.leaves(&tcp((B, 5000), (R, 80), "s"));
    let outside = source(&net.leaves(&tcp((A, 5000), (R, 80), "s")));
    assert_ne!(outside, (X, 5000));
    for peer in [(R, 81), (S, 80)] {
        let packet = tcp((A, 5000), peer, "s");
        assert_eq!(net.leaves(&packet), as_seen(&packet, Some(outside), None));
    }
}

#[test]
fn req_2_all_ways_to_open() {
    // Both sides, each with a SYN (RFC 9293 §3.5).
    let mut net = Net::new("");
    net.leaves(&tcp((A, 5000), (R, 80), "s"));
    let packet = tcp((R, 80), (X, 5000), "s");
    assert_eq!(net.enters(&packet), as_seen(&packet, None, Some((A, 5000))));
    net.leaves(&tcp((A, 5000), (R, 80), "sa"));
    net.enters(&tcp((R, 80), (X, 5000), "sa"));
    net.leaves(&tcp((A, 5000), (R, 80), "a"));
    net.wait(7000 * SECOND);
    net.enters(&tcp((R, 80), (X, 5000), "a"));
    // From outside, to a mapping that lets it in: the mapping is there by another connection.
    let mut net = Net::new("filtering: endpoint-independent");
    connect(&mut net);
    net.enters(&tcp((S, 90), (X, 5000), "s"));
    net.leaves(&tcp((A, 5000), (S, 90), "sa"));
    net.enters(&tcp((S, 90), (X, 5000), "a"));
    net.wait(7000 * SECOND);
    net.leaves(&tcp((A, 5000), (S, 90), "a"));
}

#[test]
fn req_3_filtering() {
    for (filtering, enters) in [("endpoint-independent", true), ("address-dependent", false)] {
        let mut net = Net::new(&format!("filtering: {filtering}"));
        connect(&mut net);
        let packet = tcp((S, 90), (X, 5000), "s");
        if enters {
            net.enters(&packet);
        } else {
            net.kept_out(&[packet], "dnat.filtered");
        }
    }
}

#[test]
fn req_4_unsolicited_syns_are_not_answered() {
    let mut net = Net::new("");
    net.kept_out(&[tcp((R, 80), (X, 5000), "s"), tcp((R, 80), (X, 6000), "s")], "dnat.no-session");
    net.wait(10 * SECOND);
    assert_eq!(net.sent(), [Vec::<Vec<u8>>::new(), vec![]]);
    // The SYN of the other side makes it a simultaneous open.
    net.leaves(&tcp((A, 5000), (R, 80), "s"));
    net.enters(&tcp((R, 80), (X, 5000), "s"));
}

#[test]
fn req_5_timers() {
    // Established: two hours and four minutes.
    let mut net = Net::new("");
    connect(&mut net);
    net.wait(7439 * SECOND);
    net.enters(&tcp((R, 80), (X, 5000), "a"));
    net.wait(7441 * SECOND);
    net.kept_out(&[tcp((R, 80), (X, 5000), "a")], "dnat.no-session");
    // Partly open: four minutes.
    let mut net = Net::new("");
    net.leaves(&tcp((A, 5000), (R, 80), "s"));
    net.wait(239 * SECOND);
    net.enters(&tcp((R, 80), (X, 5000), "sa"));
    net.wait(241 * SECOND);
    net.kept_out(&[tcp((R, 80), (X, 5000), "sa")], "dnat.no-session");
    // Closing: four minutes.
    let mut net = Net::new("");
    connect(&mut net);
    net.leaves(&tcp((A, 5000), (R, 80), "fa"));
    net.enters(&tcp((R, 80), (X, 5000), "fa"));
    net.wait(239 * SECOND);
    net.leaves(&tcp((A, 5000), (R, 80), "a"));
    net.wait(2 * SECOND);
    net.kept_in(&[tcp((A, 5000), (R, 80), "a")], "snat.no-session");
    assert_eq!(net.sessions(), 0);
}

#[test]
fn req_5a_timers_are_configurable() {
    let mut net = Net::new("sessions: { timeouts: { tcp-established: 60s } }");
    connect(&mut net);
    net.wait(61 * SECOND);
    net.kept_out(&[tcp((R, 80), (X, 5000), "a")], "dnat.no-session");
}

#[test]
fn req_7_no_port_overloading() {
    let mut net = Net::new("pool: ['203.0.113.2:2000-2009']");
    let packets: Vec<Vec<u8>> = (0..11).map(|host| tcp(([10, 0, 0, host], 2000), ([198, 51, 100, host], 80), "s")).collect();
    let [told, left] = net.inside(&packets);
    let mut ports: Vec<u16> = left.iter().map(|packet| source(packet).1).collect();
    ports.sort_unstable();
    assert_eq!((ports, told.len()), (Vec::from_iter(2000..2010), 1));
}

#[test]
fn req_8_hairpinning_with_the_external_source() {
    let mut net = Net::new("static: [{ inside: 192.168.1.11, protocol: tcp, port: 443, inside-port: 8443 }]");
    let packet = tcp((A, 5000), (X, 443), "s");
    assert_eq!(net.turns(&packet), as_seen(&packet, Some((X, 5000)), Some((B, 8443))));
    let packet = tcp((B, 8443), (X, 5000), "sa");
    assert_eq!(net.turns(&packet), as_seen(&packet, Some((X, 443)), Some((A, 5000))));
    let packet = tcp((A, 5000), (X, 443), "a");
    assert_eq!(net.turns(&packet), as_seen(&packet, Some((X, 5000)), Some((B, 8443))));
}

#[test]
fn req_9_and_10_icmp_errors_are_translated_and_end_nothing() {
    let mut net = Net::new("");
    connect(&mut net);
    let outside = net.leaves(&tcp((A, 5000), (R, 80), "a"));
    for quoted in [28, 40, 44] {
        let message = error(S, X, [3, 1], &outside, quoted);
        let seen = error(S, A, [3, 1], &quote_of(&outside, Some((A, 5000)), None, quoted), quoted);
        assert_eq!(net.enters(&message), as_seen(&seen, None, None));
    }
    net.wait(7000 * SECOND);
    net.enters(&tcp((R, 80), (X, 5000), "a"));
}

#[test]
fn flags_that_no_host_sends() {
    let mut net = Net::new("");
    net.kept_in(&[tcp((A, 5000), (R, 80), "sf")], "snat.malformed");
    net.kept_in(&[tcp((A, 5000), (R, 80), "a"), tcp((A, 5000), (R, 80), "r"), tcp((A, 5000), (R, 80), "fa")], "snat.no-session");
    connect(&mut net);
    net.kept_in(&[tcp((A, 5000), (R, 80), "sf")], "snat.malformed");
    // An end before the beginning.
    net.leaves(&tcp((A, 5001), (R, 80), "s"));
    net.kept_in(&[tcp((A, 5001), (R, 80), "fa")], "snat.invalid");
}
