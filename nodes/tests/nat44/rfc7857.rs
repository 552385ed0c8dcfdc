//! RFC 7857, which updates the others.

use crate::packets::{as_seen, ping, source, tcp, udp};
use crate::{A, B, Net, R, S, SECOND, X};

#[test]
fn section_2_1_transitory_timeouts() {
    // Partly open and closing are told apart.
    let timeouts = "sessions: { timeouts: { tcp-opening: 300s, tcp-closing: 240s } }";
    let mut net = Net::new(timeouts);
    net.leaves(&tcp((A, 5000), (R, 80), "s"));
    net.wait(299 * SECOND);
    net.enters(&tcp((R, 80), (X, 5000), "sa"));
    let mut net = Net::new(timeouts);
    for (flags, back) in [("s", "sa"), ("a", "a"), ("fa", "fa")] {
        net.leaves(&tcp((A, 5000), (R, 80), flags));
        net.enters(&tcp((R, 80), (X, 5000), back));
    }
    net.wait(241 * SECOND);
    net.kept_out(&[tcp((R, 80), (X, 5000), "a")], "dnat.no-session");
}

#[test]
fn section_2_2_a_reset_ends_a_connection_after_four_minutes() {
    let connect = |net: &mut Net| {
        net.leaves(&tcp((A, 5000), (R, 80), "s"));
        net.enters(&tcp((R, 80), (X, 5000), "sa"));
        net.leaves(&tcp((A, 5000), (R, 80), "a"));
    };
    let mut net = Net::new("");
    connect(&mut net);
    net.enters(&tcp((R, 80), (X, 5000), "r"));
    net.wait(241 * SECOND);
    net.kept_in(&[tcp((A, 5000), (R, 80), "a")], "snat.no-session");
    // It may be forged: who seems to have sent it goes on within that time, and so does the connection.
    let mut net = Net::new("");
    connect(&mut net);
    net.enters(&tcp((R, 80), (X, 5000), "r"));
    net.wait(200 * SECOND);
    net.enters(&tcp((R, 80), (X, 5000), "a"));
    net.wait(7000 * SECOND);
    net.leaves(&tcp((A, 5000), (R, 80), "a"));
}

#[test]
fn section_3_port_overlapping_if_configured() {
    // One port serves many hosts, as long as they speak to different peers; and each flow is its own.
    let mut net = Net::new("pool: ['203.0.113.2:2000']\n    mapping: endpoint-dependent");
    for host in 0..100 {
        let packet = udp(([10, 0, 0, host], 4000), ([198, 51, 100, host], 53));
        assert_eq!(net.leaves(&packet), as_seen(&packet, Some((X, 2000)), None));
    }
    for host in 0..100 {
        let packet = udp(([198, 51, 100, host], 53), (X, 2000));
        assert_eq!(net.enters(&packet), as_seen(&packet, None, Some(([10, 0, 0, host], 4000))));
    }
    // No two to the same peer.
    let [told, left] = net.inside(&[udp((A, 4000), ([198, 51, 100, 7], 53))]);
    assert_eq!((told.len(), left.len()), (1, 0));
    net.kept_out(&[udp((S, 53), (X, 2000))][..0], "dnat.no-session");
    net.kept_out(&[udp((S, 54), (X, 2000))], "dnat.no-session");
}

#[test]
fn section_4_all_sessions_of_a_host_have_one_address() {
    let mut net = Net::new("pool: ['203.0.113.8-203.0.113.15']");
    for host in 0..16 {
        let host = [10, 0, 0, host];
        let of_udp = source(&net.leaves(&udp((host, 4000), (R, 53)))).0;
        let of_tcp = source(&net.leaves(&tcp((host, 4001), (R, 80), "s"))).0;
        let of_icmp = source(&net.leaves(&ping(host, R, 4002))).0;
        assert_eq!([of_udp, of_udp], [of_tcp, of_icmp]);
    }
}

#[test]
fn section_5_mappings_of_each_protocol_are_their_own() {
    let mut net = Net::new("");
    // The other host has the port with UDP only.
    net.leaves(&udp((B, 5000), (R, 53)));
    assert_ne!(source(&net.leaves(&udp((A, 5000), (R, 53)))), (X, 5000));
    assert_eq!(source(&net.leaves(&tcp((A, 5000), (R, 80), "s"))), (X, 5000));
    assert_eq!(source(&net.leaves(&ping(A, R, 5000))), (X, 5000));
}

#[test]
fn section_6_filtering_of_each_protocol_is_its_own() {
    let mut net = Net::new("filtering: endpoint-independent");
    net.leaves(&udp((A, 5000), (R, 53)));
    net.enters(&udp((S, 9), (X, 5000)));
    net.kept_out(&[tcp((S, 9), (X, 5000), "s")], "dnat.no-session");
}

#[test]
fn section_7_1_what_is_dropped_refreshes_nothing() {
    let mut net = Net::new("");
    net.leaves(&udp((A, 4000), (R, 53)));
    net.wait(100 * SECOND);
    net.kept_out(&[udp((S, 53), (X, 4000))], "dnat.filtered");
    net.wait(21 * SECOND);
    net.kept_out(&[udp((R, 53), (X, 4000))], "dnat.no-session");
}

#[test]
fn section_9_ports_nobody_can_guess() {
    // Where the own port is not free, the next one says nothing of the one after.
    let mut net = Net::new("");
    let ports: Vec<u16> = (0..65).map(|host| source(&net.leaves(&tcp(([10, 0, 0, host], 4000), (R, 80), "s"))).1).skip(1).collect();
    let mut steps: Vec<i32> = ports.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect();
    steps.sort_unstable();
    steps.dedup();
    assert!(steps.len() > 50, "{ports:?}");
    // They lie all over the range.
    assert!(ports.iter().any(|port| *port < 20_000) && ports.iter().any(|port| *port > 45_000), "{ports:?}");
}
