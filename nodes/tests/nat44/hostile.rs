//! What hosts send that do not know of each other, or mean no good.

use crate::packets::{as_seen, ends, error, fragmented, mend, ping, pong, quote_of, tcp, udp, udp_of};
use crate::{A, B, Net, R, S, SECOND, X};

/// Two hosts with the same identifier ask the same host: who gets which answer, and which error.
#[test]
fn identifiers_of_two_hosts_that_are_the_same() {
    let mut net = Net::new("");
    let left = [A, B].map(|host| net.leaves(&ping(host, R, 4000)));
    let ids = left.each_ref().map(|packet| ends(packet).0.1);
    assert_ne!(ids[0], ids[1]);
    for (host, (id, packet)) in [A, B].into_iter().zip(ids.into_iter().zip(&left)) {
        let answer = pong(R, X, id);
        assert_eq!(net.enters(&answer), as_seen(&answer, None, Some((host, 4000))));
        let told = net.enters(&error(S, X, [11, 0], packet, 28));
        let seen = error(S, host, [11, 0], &quote_of(packet, Some((host, 4000)), None, 28), 28);
        assert_eq!(told, as_seen(&seen, None, None));
    }
}

/// One port: whoever has it keeps others out, until its sessions are over; then nothing is left of it.
#[test]
fn a_port_goes_from_host_to_host() {
    let mut net = Net::new("pool: ['203.0.113.2:2000']");
    for round in 0..6_u16 {
        let (owner, other) = if round % 2 == 0 { (A, B) } else { (B, A) };
        let packet = udp((owner, 4000 + round), (R, 53));
        assert_eq!(net.leaves(&packet), as_seen(&packet, Some((X, 2000)), None), "{round}");
        let [told, left] = net.inside(&[udp((other, 4000 + round), (R, 53))]);
        assert_eq!((told.len(), left.len()), (1, 0), "{round}");
        // Whoever had it is not answered any more.
        let answer = udp((R, 53), (X, 2000));
        assert_eq!(net.enters(&answer), as_seen(&answer, None, Some((owner, 4000 + round))));
        net.wait(310 * SECOND);
        net.kept_out(&[answer], "dnat.no-session");
    }
    assert_eq!(net.sessions(), 0);
}

/// What opens nothing takes nothing: segments and answers that nobody has asked for.
#[test]
fn what_opens_nothing_takes_no_port() {
    let mut net = Net::new("per-user: { ports: 2, sessions: 2 }");
    for port in 5000..5100 {
        let stray = ["a", "fa", "sa", "r"].map(|flags| tcp((A, port), (R, 80), flags));
        net.kept_in(&stray, "snat.no-session");
        net.kept_in(&[pong(A, R, port)], "snat.no-session");
    }
    let shown = net.ask(r#"{"show": {}}"#)["table"].clone();
    assert_eq!((&shown["sessions"], &shown["mappings"]), (&0.into(), &0.into()));
    assert_eq!(shown["ports-free"], shown["ports"]);
    net.leaves(&tcp((A, 5000), (R, 80), "s"));
    net.leaves(&tcp((A, 5001), (R, 80), "s"));
    assert_eq!(net.rig.count("snat.user-limit"), 0);
}

/// RFC 1858 §3, RFC 3128: a fragment that would write over ports or flags; and first fragments that have none.
#[test]
fn fragments_that_overlap_the_header_of_tcp() {
    let mut net = Net::new("static: [{ inside: 192.168.1.11, protocol: tcp, port: 443 }]");
    let segment = tcp((R, 5000), (X, 443), "s");
    let parts = fragmented(&[&segment[..], &[7; 40]].concat(), 5, 8);
    net.kept_out(&parts[..1], "dnat.malformed");
    net.kept_out(&parts[1..2], "dnat.malformed");
    net.kept_out(&parts[2..3], "dnat.malformed");
    assert_eq!(net.sessions(), 0);
    // The same from inside.
    let parts = fragmented(&[&tcp((A, 5000), (R, 443), "s")[..], &[7; 40]].concat(), 5, 8);
    net.kept_in(&parts[..3], "snat.malformed");
    assert_eq!(net.sessions(), 0);
}

/// Two first fragments of one packet, of different flows: what follows has the address of the last one, and nothing is lost or made.
#[test]
fn two_first_fragments_of_one_packet() {
    let mut net = Net::new("");
    for (host, port) in [(A, 4000), (B, 4001)] {
        net.leaves(&udp((host, port), (R, 53)));
    }
    let of = |port: u16| fragmented(&udp_of((R, 53), (X, port), &[7; 1000]), 77, 600);
    let [entered, _] = net.outside(&[of(4000).remove(0), of(4001).remove(0), of(4000).remove(1)]);
    assert_eq!(entered.iter().map(|packet| &packet[16..20]).collect::<Vec<_>>(), [&A[..], &B[..], &B[..]]);
}

/// UDP-Lite without ports of its own: all of a host with an address of its own. Its checksum is never zero (RFC 3828 §3.1).
#[test]
fn a_checksum_of_udp_lite_is_never_zero() {
    let own = [203, 0, 113, 9];
    let mut net = Net::new("static: [{ inside: 192.168.1.11, outside: 203.0.113.9 }]");
    // Whatever the address changes in the sum, one of these becomes 0.
    let mut zeros = 0;
    let header = udp((B, 4000), (R, 53))[..20].to_vec();
    let packets: Vec<Vec<u8>> = (1..=u16::MAX)
        .map(|check| {
            let mut packet = header.clone();
            packet[9] = 136;
            packet[3] = 28;
            mend(&mut packet);
            packet.extend([15, 160, 0, 53, 0, 8]);
            packet.extend(check.to_be_bytes());
            packet
        })
        .collect();
    for some in packets.chunks(128) {
        let [_, left] = net.inside(some);
        assert_eq!(left.len(), some.len(), "{:?}", net.rig.counts());
        for packet in left {
            assert_eq!(packet[12..16], own);
            zeros += usize::from(packet[26..28] == [0, 0]);
        }
    }
    assert_eq!(zeros, 0);
}
