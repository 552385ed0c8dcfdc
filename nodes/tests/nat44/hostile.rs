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
    // Nor does it ask for one: there is none left, and a host has as many as it may.
    let mut net = Net::new("pool: ['203.0.113.2:2000']\n    per-user: { ports: 1, sessions: 1 }");
    net.leaves(&tcp((A, 5000), (R, 80), "s"));
    for host in [A, B] {
        net.kept_in(&["a", "fa", "sa", "r"].map(|flags| tcp((host, 6000), (R, 80), flags)), "snat.no-session");
        net.kept_in(&[pong(host, R, 6000)], "snat.no-session");
    }
}

/// Flags that exclude each other are malformed, in a session as without one.
#[test]
fn flags_that_exclude_each_other() {
    let mut net = Net::new("");
    for _ in 0..2 {
        net.kept_in(&[tcp((A, 5000), (R, 80), "sf"), tcp((A, 5000), (R, 80), "")], "snat.malformed");
        net.kept_out(&[tcp((R, 80), (X, 5000), "sf"), tcp((R, 80), (X, 5000), "sr")], "dnat.malformed");
        net.leaves(&tcp((A, 5000), (R, 80), "s"));
    }
    assert_eq!(net.sessions(), 1);
}

/// Who lies outside takes nothing: not even a session of a port that is forwarded.
#[test]
fn nobody_outside_speaks_in_the_name_of_a_host_inside() {
    let mut net = Net::new(
        "static: [{ inside: 192.168.1.11, protocol: tcp, port: 443 }, { inside: 192.168.1.10, outside: 203.0.113.9 }]\n    \
         filtering: endpoint-independent",
    );
    net.leaves(&udp((B, 4000), (R, 53)));
    for liar in [A, [192, 168, 1, 77], [10, 0, 0, 1]] {
        net.kept_out(&[tcp((liar, 5000), (X, 443), "s")], "dnat.spoofed");
        net.kept_out(&[udp((liar, 5000), ([203, 0, 113, 9], 5000)), ping(liar, [203, 0, 113, 9], 7)], "dnat.spoofed");
        net.kept_out(&[udp((liar, 5000), (X, 4000))], "dnat.spoofed");
    }
    assert_eq!(net.sessions(), 1);
}

/// Two ports outside lead to one inside, and a host outside uses one port of its own for both: inside they would be one flow.
#[test]
fn two_ports_outside_that_lead_to_one_inside() {
    let forward = |port| format!("{{ inside: 192.168.1.11, protocol: tcp, port: {port}, inside-port: 80 }}");
    let mut net = Net::new(&format!("static: [{}, {}]", forward(80), forward(8080)));
    for (own, port) in [(5000, 80), (5001, 8080)] {
        let syn = tcp((R, own), (X, port), "s");
        assert_eq!(net.enters(&syn), as_seen(&syn, None, Some((B, 80))));
        let answer = tcp((B, 80), (R, own), "sa");
        assert_eq!(net.leaves(&answer), as_seen(&answer, Some((X, port)), None));
    }
    net.kept_out(&[tcp((R, 5000), (X, 8080), "s"), tcp((R, 5001), (X, 80), "s")], "dnat.taken");
    assert_eq!(net.sessions(), 2);
    // The first ones are as they were; when one is over, its ports are anybody's.
    let answer = tcp((B, 80), (R, 5001), "sa");
    assert_eq!(net.leaves(&answer), as_seen(&answer, Some((X, 8080)), None));
    net.wait(250 * SECOND);
    let syn = tcp((R, 5000), (X, 8080), "s");
    assert_eq!(net.enters(&syn), as_seen(&syn, None, Some((B, 80))));
    let answer = tcp((B, 80), (R, 5000), "sa");
    assert_eq!(net.leaves(&answer), as_seen(&answer, Some((X, 8080)), None));
}

/// A host that has an address of its own and one outside ask each other with the same identifier at the same time (RFC 5508 §3.2), also
/// hosts inside by their addresses outside; and what routers say of each query and answer.
#[test]
fn both_ask_each_other_with_the_same_identifier() {
    let own = [203, 0, 113, 9];
    for first_inside in [true, false] {
        let mut net = Net::new("static: [{ inside: 192.168.1.11, outside: 203.0.113.9 }]");
        let (out, back) = (ping(B, R, 7), ping(R, own, 7));
        for inside in [first_inside, !first_inside] {
            match inside {
                true => assert_eq!(net.leaves(&out), as_seen(&out, Some((own, 7)), None)),
                false => assert_eq!(net.enters(&back), as_seen(&back, None, Some((B, 7)))),
            }
        }
        let (from_inside, from_outside) = (pong(B, R, 7), pong(R, own, 7));
        assert_eq!(net.leaves(&from_inside), as_seen(&from_inside, Some((own, 7)), None));
        assert_eq!(net.enters(&from_outside), as_seen(&from_outside, None, Some((B, 7))));
        assert_eq!(net.sessions(), 2);
        // Only the two queries last on; each by packets of its own.
        for (sent, seen) in [(&out, ping(own, R, 7)), (&from_inside, pong(own, R, 7))] {
            let told = net.enters(&error(S, own, [11, 0], &seen, 28));
            let meant = error(S, B, [11, 0], &quote_of(sent, None, None, 28), 28);
            assert_eq!(told, as_seen(&meant, None, None));
        }
        for (sent, seen) in [(&back, ping(R, B, 7)), (&from_outside, pong(R, B, 7))] {
            let told = net.leaves(&error(B, R, [3, 1], &seen, 28));
            let meant = error(own, R, [3, 1], &quote_of(sent, None, None, 28), 28);
            assert_eq!(told, as_seen(&meant, None, None));
        }
        // Hosts inside, one behind the pool's address.
        let turned = net.turns(&ping(A, own, 7));
        let id = ends(&turned).0.1;
        assert_eq!(turned, as_seen(&ping(A, own, 7), Some((X, id)), Some((B, id))));
        let answer = pong(B, X, id);
        assert_eq!(net.turns(&answer), as_seen(&answer, Some((own, 7)), Some((A, 7))));
    }
}

/// What a side has not asked, it is not answered, though the other has asked the same.
#[test]
fn an_answer_is_for_who_has_asked() {
    let own = [203, 0, 113, 9];
    let mut net = Net::new("static: [{ inside: 192.168.1.11, outside: 203.0.113.9 }]");
    net.leaves(&ping(B, R, 7));
    net.kept_in(&[pong(B, R, 7)], "snat.no-session");
    let mut net = Net::new("static: [{ inside: 192.168.1.11, outside: 203.0.113.9 }]");
    net.enters(&ping(R, own, 7));
    net.kept_out(&[pong(R, own, 7)], "dnat.no-session");
    let quoted = ping(own, R, 7);
    net.kept_out(&[error(S, own, [11, 0], &quoted, 28)], "dnat.no-session");
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
