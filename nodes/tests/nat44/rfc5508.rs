//! RFC 5508: ICMP.

use crate::packets::{as_seen, error, mend, ping, pong, quote_of, source, tcp, udp};
use crate::{A, B, GATE, Net, R, S, SECOND, X};

#[test]
fn req_1_queries() {
    let mut net = Net::new("");
    let outside = [A, B].map(|host| source(&net.leaves(&ping(host, R, 4000))));
    assert_eq!(outside[0], (X, 4000));
    assert_ne!(outside[0], outside[1]);
    for (host, outside) in [A, B].into_iter().zip(outside) {
        let answer = pong(R, X, outside.1);
        assert_eq!(net.enters(&answer), as_seen(&answer, None, Some((host, 4000))));
        // REQ-1 a: the same identifier for all.
        assert_eq!(source(&net.leaves(&ping(host, S, 4000))), outside);
    }
    // Nobody has asked this one.
    net.kept_out(&[pong(S, X, 7000)], "dnat.no-session");
}

#[test]
fn req_2_query_timer() {
    let mut net = Net::new("");
    net.leaves(&ping(A, R, 4000));
    net.wait(59 * SECOND);
    net.enters(&pong(R, X, 4000));
    net.wait(61 * SECOND);
    net.kept_out(&[pong(R, X, 4000)], "dnat.no-session");
    // REQ-2 a.
    let mut net = Net::new("sessions: { timeouts: { icmp: 90s } }");
    net.leaves(&ping(A, R, 4000));
    net.wait(89 * SECOND);
    net.enters(&pong(R, X, 4000));
}

#[test]
fn req_3_errors_that_are_wrong() {
    let mut net = Net::new("");
    let outside = net.leaves(&udp((A, 4000), (R, 53)));
    let good = error(S, X, [3, 1], &outside, 38);
    // Its own checksum.
    let mut bad = good.clone();
    bad[23] ^= 1;
    net.kept_out(&[bad], "dnat.malformed");
    // a: that of the header that it quotes.
    let mut bad = good.clone();
    bad[28 + 11] ^= 1;
    mend(&mut bad);
    net.kept_out(&[bad], "dnat.malformed");
    // c: not that of what is behind it, which stays as wrong as it was.
    let mut wrong = outside.clone();
    wrong[27] ^= 0x55;
    let seen = net.enters(&error(S, X, [3, 1], &wrong, 38));
    let quote = &seen[28..];
    assert_eq!((&quote[12..16], residue(quote)), (&A[..], residue(&wrong)));
    assert_ne!(residue(quote), residue(&outside));
}

/// What the one's complement sum of a UDP datagram and its pseudo header is, checksum included.
fn residue(packet: &[u8]) -> [u8; 2] {
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&packet[12..]).add_2bytes([0, 17]);
    sum.add_slice(&packet[24..26]).ones_complement().to_ne_bytes()
}

#[test]
fn req_3b_options_in_the_quote() {
    let mut net = Net::new("");
    let left = net.leaves(&udp((A, 4000), (R, 53)));
    // As a router on the way would have it that has added a record of the route.
    let mut with_options = left.clone();
    with_options[0] = 0x47;
    with_options.splice(20..20, [7, 7, 4, 0, 0, 0, 0, 0]);
    let length = with_options.len() as u16;
    with_options[2..4].copy_from_slice(&length.to_be_bytes());
    mend(&mut with_options);
    let message = error(S, X, [11, 0], &with_options, 36);
    let seen = error(S, A, [11, 0], &quote_of(&with_options, Some((A, 4000)), None, 36), 36);
    assert_eq!(net.enters(&message), as_seen(&seen, None, None));
}

#[test]
fn req_3d_extensions_behind_the_quote() {
    let mut net = Net::new("");
    let outside = net.leaves(&udp((A, 4000), (R, 53)));
    // RFC 4884: the quote padded to 128 bytes, and an extension structure.
    let mut quote = quote_of(&outside, None, None, 128);
    quote.resize(128, 0);
    let extension = [0x20, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0x10, 1];
    let both = |quote: &[u8]| [quote, &extension].concat();
    let mut message = error(S, X, [11, 0], &both(&quote), 1000);
    message[20 + 5] = 32;
    mend(&mut message);
    let mut inner = quote_of(&outside, Some((A, 4000)), None, 128);
    inner.resize(128, 0);
    let mut seen = error(S, A, [11, 0], &both(&inner), 1000);
    seen[20 + 5] = 32;
    mend(&mut seen);
    assert_eq!(net.enters(&message), as_seen(&seen, None, None));
}

#[test]
fn req_4_errors_from_outside() {
    let mut net = Net::new("");
    for packet in [udp((A, 4000), (R, 53)), tcp((A, 4001), (R, 80), "s"), ping(A, R, 4002)] {
        let outside = net.leaves(&packet);
        let inside = (A, source(&packet).1);
        for kind in [[3, 0], [3, 1], [3, 3], [3, 4], [3, 13], [11, 0], [11, 1], [12, 0]] {
            for quoted in [28, 36, 200] {
                let message = error(S, X, kind, &outside, quoted);
                let seen = error(S, A, kind, &quote_of(&outside, Some(inside), None, quoted), quoted);
                assert_eq!(net.enters(&message), as_seen(&seen, None, None), "{kind:?} {quoted}");
            }
        }
    }
    // About nothing: silently dropped. So are those that tell somebody else than the sender, and those that must not be heard.
    net.kept_out(&[error(S, X, [3, 1], &udp((X, 5000), (R, 53)), 28)], "dnat.no-session");
    let outside = net.leaves(&udp((A, 4000), (R, 53)));
    net.kept_out(&[error(S, X, [4, 0], &outside, 28), error(S, X, [5, 1], &outside, 28)], "dnat.malformed");
    net.kept_out(&[error(S, X, [3, 1], &outside, 27), error(S, X, [3, 1], &outside, 20)][1..], "dnat.malformed");
}

#[test]
fn req_5_errors_from_inside() {
    let mut net = Net::new("filtering: endpoint-independent");
    net.leaves(&udp((B, 4000), (R, 53)));
    net.leaves(&udp((A, 4000), (R, 53)));
    let outside = source(&net.leaves(&udp((A, 4000), (R, 54))));
    let arrived = net.enters(&udp((S, 9), outside));
    // From the host itself, and from a router before it: with the address of the mapping.
    for sender in [A, [10, 0, 0, 1]] {
        let message = error(sender, S, [3, 3], &arrived, 38);
        let seen = error(X, S, [3, 3], &quote_of(&arrived, None, Some(outside), 38), 38);
        assert_eq!(net.leaves(&message), as_seen(&seen, None, None));
    }
    net.kept_in(&[error(A, S, [3, 3], &udp((S, 9), (A, 4999)), 28)], "snat.no-session");
}

#[test]
fn req_6_errors_do_not_refresh() {
    let mut net = Net::new("");
    let outside = net.leaves(&ping(A, R, 4000));
    net.wait(40 * SECOND);
    net.enters(&error(S, X, [11, 0], &outside, 28));
    net.wait(21 * SECOND);
    net.kept_out(&[error(S, X, [11, 0], &outside, 28)], "dnat.no-session");
}

#[test]
fn req_7_hairpinning_of_queries_and_errors() {
    // A query to a host with an address of its own.
    let mut net = Net::new("static: [{ inside: 192.168.1.11, outside: 203.0.113.9 }]");
    let own = [203, 0, 113, 9];
    let question = ping(A, own, 4000);
    assert_eq!(net.turns(&question), as_seen(&question, Some((X, 4000)), Some((B, 4000))));
    let answer = pong(B, X, 4000);
    assert_eq!(net.turns(&answer), as_seen(&answer, Some((own, 4000)), Some((A, 4000))));
    // An error of that host about a packet that came so: each of both knows only the addresses outside.
    let packet = udp((A, 4001), (own, 99));
    let arrived = net.turns(&packet);
    let told = net.turns(&error(B, X, [3, 3], &arrived, 38));
    let quote = quote_of(&arrived, Some((A, 4001)), Some((own, 99)), 38);
    assert_eq!(told, as_seen(&error(own, A, [3, 3], &quote, 38), None, None));
}

#[test]
fn req_8_exhaustion_is_told() {
    for (nat, packet) in [
        ("pool: ['203.0.113.2:2000']", udp((A, 2001), (R, 53))),
        ("per-user: { ports: 1 }", udp((A, 2001), (R, 53))),
        ("per-user: { sessions: 1 }", udp((A, 2000), (S, 53))),
    ] {
        let mut net = Net::new(nat);
        net.leaves(&udp((A, 2000), (R, 53)));
        let [told, left] = net.inside(std::slice::from_ref(&packet));
        assert_eq!((told.len(), left.len()), (1, 0), "{nat}");
        let mut expected = error(GATE, A, [3, 13], &packet, 548);
        // Precedence 6, and the identification of what is answered (RFC 1812 §4.3.2.5).
        expected[1] = 0xc0;
        expected[4..6].copy_from_slice(&packet[4..6]);
        expected[6..8].copy_from_slice(&told[0][6..8]);
        mend(&mut expected);
        assert_eq!(told[0], expected, "{nat}");
    }
}

#[test]
fn req_10_the_router_itself() {
    let mut net = Net::new("");
    // From outside, and by its address outside from inside.
    let [_, answers] = net.outside(&[ping(R, X, 9)]);
    assert_eq!(answers.len(), 1);
    assert_eq!((&answers[0][12..16], &answers[0][16..20], answers[0][20]), (&X[..], &R[..], 0));
    // Also where a host inside has the identifier.
    let mut open = Net::new("filtering: endpoint-independent");
    open.leaves(&ping(A, R, 4000));
    for peer in [R, S] {
        let [entered, answers] = open.outside(&[ping(peer, X, 4000)]);
        assert_eq!((entered.len(), answers.len()), (0, 1));
    }
    let [answers, _] = net.inside(&[ping(A, X, 2000)]);
    assert_eq!(answers.len(), 1);
    assert_eq!((&answers[0][12..16], &answers[0][16..20], &answers[0][20..26]), (&X[..], &A[..], &pong(X, A, 2000)[20..26]));
    // Time exceeded and unreachable hosts, about packets of both directions: as their senders know them.
    let mut short = udp((A, 4000), (R, 53));
    short[8] = 1;
    mend(&mut short);
    let [told, _] = net.inside(std::slice::from_ref(&short));
    assert_eq!((told.len(), &told[0][20..22], &told[0][28..]), (1, &[11, 0][..], &short[..]));
    let mut net = Net::new("static: [{ inside: 192.168.1.77, protocol: udp, port: 2000 }]");
    let packet = udp((R, 9), (X, 2000));
    let [_, told] = net.outside(std::slice::from_ref(&packet));
    assert_eq!((told.len(), &told[0][16..22]), (1, &[R[0], R[1], R[2], R[3], 3, 1][..]), "{:?}", net.rig.counts());
    assert_eq!(told[0][28..], packet[..]);
    // The same between two inside: the sender is told of the address that it has asked for.
    let packet = udp((A, 4000), (X, 2000));
    let [told, _] = net.inside(std::slice::from_ref(&packet));
    assert_eq!((told.len(), &told[0][16..22]), (1, &[A[0], A[1], A[2], A[3], 3, 1][..]), "{:?}", net.rig.counts());
    assert_eq!(told[0][28..], packet[..]);
}

#[test]
fn an_echo_reply_of_zeros() {
    let mut net = Net::new("static: [{ inside: 192.168.1.11, outside: 203.0.113.9 }]");
    // Identifier, sequence number and data are 0: its checksum is 0xffff.
    let mut question = ping(R, [203, 0, 113, 9], 0);
    question.truncate(28);
    question[3] = 28;
    question[26..28].fill(0);
    mend(&mut question);
    net.enters(&question);
    let mut answer = pong(B, R, 0);
    answer.truncate(28);
    answer[3] = 28;
    answer[26..28].fill(0);
    mend(&mut answer);
    assert_eq!(answer[22..24], [0xff, 0xff]);
    assert_eq!(net.leaves(&answer), as_seen(&answer, Some(([203, 0, 113, 9], 0)), None));
}
