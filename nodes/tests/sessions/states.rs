//! Every transition of TCP, UDP and ICMP, and every time-out, with the clause that wants it.

use swath_api::wire::TcpFlags;

use super::*;
use Direction::{Forward as F, Reverse as R};
use Event::*;
use State::*;
use Tracked::{Invalid, Pass};

const TCP: &str = "10.0.0.5:4000 > 192.0.2.1:80 tcp";
const UDP: &str = "10.0.0.5:4000 > 192.0.2.1:53 udp";
const ECHO: &str = "10.0.0.5:7 > 192.0.2.1:7 icmp";
const GRE: &str = "10.0.0.5:0 > 192.0.2.1:0 gre";

/// How a session gets into a state.
fn way(state: State) -> (&'static str, &'static [(Direction, Event)]) {
    match state {
        TcpSyn => (TCP, &[(F, Syn)]),
        TcpAnswered => (TCP, &[(F, Syn), (R, SynAck)]),
        TcpPickedUp => (TCP, &[(F, Ack)]),
        TcpEstablished => (TCP, &[(F, Syn), (R, SynAck), (F, Ack)]),
        TcpFinForward => (TCP, &[(F, Syn), (R, SynAck), (F, Ack), (F, Fin)]),
        TcpFinReverse => (TCP, &[(F, Syn), (R, SynAck), (F, Ack), (R, Fin)]),
        TcpClosing => (TCP, &[(F, Syn), (R, SynAck), (F, Ack), (F, Fin), (R, Fin)]),
        TcpResetForward => (TCP, &[(F, Syn), (R, SynAck), (F, Ack), (F, Rst)]),
        TcpResetReverse => (TCP, &[(F, Syn), (R, SynAck), (F, Ack), (R, Rst)]),
        TcpRefused => (TCP, &[(F, Syn), (R, Rst)]),
        UdpUnreplied => (UDP, &[(F, Datagram)]),
        Udp => (UDP, &[(F, Datagram), (R, Datagram)]),
        IcmpQuery => (ECHO, &[(F, Query)]),
        Other => (GRE, &[(F, Datagram)]),
    }
}

fn in_state(state: State) -> (Sessions<Key4>, Probe<Key4>) {
    let (flow, events) = way(state);
    let mut store = store(|settings| settings.pickup = true);
    let first = probe(flow, events[0].1);
    open(&mut store, &first, START).unwrap();
    for (direction, event) in &events[1..] {
        assert_eq!(packet(&mut store, &first, *direction, *event, START), Pass);
    }
    assert_eq!(state_of(&store, &first), Some(state));
    (store, first)
}

fn packet(store: &mut Sessions<Key4>, first: &Probe<Key4>, direction: Direction, event: Event, now: u64) -> Tracked {
    let key = if direction == F { first.key } else { first.key.reversed() };
    let found = store.find(&key);
    assert!(!found.is_some() || found.direction() == direction);
    store.track(found, event, now)
}

fn state_of(store: &Sessions<Key4>, first: &Probe<Key4>) -> Option<State> {
    store.get(store.find(&first.key)).map(Session::state)
}

/// Seconds that a session lasts by default.
fn timeout(state: State) -> u64 {
    match state {
        // RFC 5382 REQ-5: transitory connections at least 4 minutes.
        TcpSyn | TcpAnswered | TcpPickedUp => 240,
        // RFC 5382 REQ-5: established ones at least 2 hours and 4 minutes; RFC 6146 §3.5.2.2: also after one FIN.
        TcpEstablished | TcpFinForward | TcpFinReverse => 7440,
        // RFC 5382 REQ-5: 4 minutes for TIME-WAIT.
        TcpClosing => 240,
        // RFC 7857 §2.2: 4 minutes after a reset.
        TcpResetForward | TcpResetReverse | TcpRefused => 240,
        // RFC 4787 REQ-5: at least 2 minutes, 5 recommended.
        UdpUnreplied => 120,
        Udp => 300,
        // RFC 5508 REQ-2: at least 60 s.
        IcmpQuery => 60,
        // The Linux kernel: nf_conntrack_generic_timeout.
        Other => 600,
    }
}

/// `None`: the packet passes and nothing is prolonged. `Some`: the state from now on.
type Row = (State, Direction, Event, Tracked, Option<State>, &'static str);

const ROWS: &[Row] = &[
    // The handshake.
    (TcpSyn, F, Syn, Pass, Some(TcpSyn), "RFC 9293 §3.8.1: sent again"),
    (TcpSyn, R, SynAck, Pass, Some(TcpAnswered), "RFC 9293 §3.5, figure 6"),
    (TcpSyn, R, Syn, Pass, Some(TcpAnswered), "RFC 5382 REQ-2: simultaneous open"),
    (TcpSyn, R, Ack, Pass, None, "RFC 9293 §3.5.1, figure 9: to an old connection"),
    (TcpSyn, R, Rst, Pass, Some(TcpRefused), "RFC 9293 §3.5.2: refused"),
    (TcpSyn, F, Rst, Pass, Some(TcpRefused), "RFC 9293 §3.9.1.6: abort"),
    (TcpSyn, F, Ack, Invalid, None, "nothing to acknowledge"),
    (TcpSyn, F, SynAck, Invalid, None, "nothing to acknowledge"),
    (TcpSyn, F, Fin, Invalid, None, "nothing to close"),
    (TcpSyn, R, Fin, Invalid, None, "nothing to close"),
    (TcpAnswered, F, Ack, Pass, Some(TcpEstablished), "RFC 9293 §3.5, figure 6"),
    (TcpAnswered, F, SynAck, Pass, Some(TcpEstablished), "RFC 9293 §3.5, figure 7: simultaneous open"),
    (TcpAnswered, F, Syn, Pass, Some(TcpAnswered), "sent again"),
    (TcpAnswered, R, SynAck, Pass, Some(TcpAnswered), "sent again"),
    (TcpAnswered, R, Syn, Pass, Some(TcpAnswered), "sent again"),
    (TcpAnswered, R, Ack, Pass, Some(TcpAnswered), "RFC 5382 §5: the initiator has not answered"),
    (TcpAnswered, F, Fin, Pass, Some(TcpFinForward), "RFC 9293 §3.10.4: CLOSE in SYN-RECEIVED"),
    (TcpAnswered, R, Fin, Pass, Some(TcpFinReverse), "RFC 9293 §3.10.4: CLOSE in SYN-RECEIVED"),
    (TcpAnswered, F, Rst, Pass, Some(TcpRefused), "RFC 9293 §3.5.2"),
    (TcpAnswered, R, Rst, Pass, Some(TcpRefused), "RFC 9293 §3.5.2"),
    // Picked up.
    (TcpPickedUp, F, Ack, Pass, Some(TcpPickedUp), "only one side was seen"),
    (TcpPickedUp, F, Fin, Pass, Some(TcpPickedUp), "only one side was seen"),
    (TcpPickedUp, R, Ack, Pass, Some(TcpEstablished), "both sides were seen"),
    (TcpPickedUp, R, Fin, Pass, Some(TcpFinReverse), "both sides were seen"),
    (TcpPickedUp, F, Syn, Pass, Some(TcpSyn), "a connection anew"),
    (TcpPickedUp, R, Syn, Invalid, None, "one that nobody has permitted"),
    (TcpPickedUp, F, SynAck, Invalid, None, "no handshake"),
    (TcpPickedUp, R, SynAck, Invalid, None, "no handshake"),
    (TcpPickedUp, F, Rst, Pass, Some(TcpRefused), "RFC 9293 §3.5.2"),
    (TcpPickedUp, R, Rst, Pass, Some(TcpRefused), "RFC 9293 §3.5.2"),
    // Established.
    (TcpEstablished, F, Ack, Pass, Some(TcpEstablished), "RFC 6146 §3.5.2.2, ESTABLISHED"),
    (TcpEstablished, R, Ack, Pass, Some(TcpEstablished), "RFC 6146 §3.5.2.2, ESTABLISHED"),
    (TcpEstablished, F, Syn, Pass, None, "RFC 5961 §4: challenged"),
    (TcpEstablished, R, Syn, Pass, None, "RFC 5961 §4: challenged"),
    (TcpEstablished, F, SynAck, Pass, None, "RFC 5961 §4: challenged"),
    (TcpEstablished, R, SynAck, Pass, None, "sent again"),
    (TcpEstablished, F, Fin, Pass, Some(TcpFinForward), "RFC 6146 §3.5.2.2, V6 FIN RCV"),
    (TcpEstablished, R, Fin, Pass, Some(TcpFinReverse), "RFC 6146 §3.5.2.2, V4 FIN RCV"),
    (TcpEstablished, F, Rst, Pass, Some(TcpResetForward), "RFC 6146 §3.5.2.2, TRANS"),
    (TcpEstablished, R, Rst, Pass, Some(TcpResetReverse), "RFC 6146 §3.5.2.2, TRANS"),
    // Half closed.
    (TcpFinForward, F, Ack, Pass, Some(TcpFinForward), "acknowledges what still comes"),
    (TcpFinForward, R, Ack, Pass, Some(TcpFinForward), "RFC 9293 §3.6: a half-closed connection goes on"),
    (TcpFinForward, F, Fin, Pass, Some(TcpFinForward), "sent again"),
    (TcpFinForward, R, Fin, Pass, Some(TcpClosing), "RFC 6146 §3.5.2.2, V6 FIN + V4 FIN RCV"),
    (TcpFinForward, F, Syn, Pass, None, "RFC 5961 §4: challenged"),
    (TcpFinForward, R, Syn, Pass, None, "RFC 5961 §4: challenged"),
    (TcpFinForward, F, SynAck, Pass, None, "RFC 5961 §4: challenged"),
    (TcpFinForward, R, SynAck, Pass, None, "RFC 5961 §4: challenged"),
    (TcpFinForward, F, Rst, Pass, Some(TcpResetForward), "RFC 6146 §3.5.2.2, TRANS"),
    (TcpFinForward, R, Rst, Pass, Some(TcpResetReverse), "RFC 6146 §3.5.2.2, TRANS"),
    (TcpFinReverse, F, Ack, Pass, Some(TcpFinReverse), "RFC 9293 §3.6: a half-closed connection goes on"),
    (TcpFinReverse, R, Ack, Pass, Some(TcpFinReverse), "acknowledges what still comes"),
    (TcpFinReverse, R, Fin, Pass, Some(TcpFinReverse), "sent again"),
    (TcpFinReverse, F, Fin, Pass, Some(TcpClosing), "RFC 6146 §3.5.2.2, V6 FIN + V4 FIN RCV"),
    (TcpFinReverse, F, Syn, Pass, None, "RFC 5961 §4: challenged"),
    (TcpFinReverse, R, Syn, Pass, None, "RFC 5961 §4: challenged"),
    (TcpFinReverse, F, SynAck, Pass, None, "RFC 5961 §4: challenged"),
    (TcpFinReverse, R, SynAck, Pass, None, "RFC 5961 §4: challenged"),
    (TcpFinReverse, F, Rst, Pass, Some(TcpResetForward), "RFC 6146 §3.5.2.2, TRANS"),
    (TcpFinReverse, R, Rst, Pass, Some(TcpResetReverse), "RFC 6146 §3.5.2.2, TRANS"),
    // Closed: the last ACK and what comes late pass, and prolong nothing.
    (TcpClosing, F, Syn, Pass, Some(TcpSyn), "RFC 9293 §3.10.7.4: a SYN in TIME-WAIT"),
    (TcpClosing, R, Syn, Invalid, None, "one that nobody has permitted"),
    (TcpClosing, F, SynAck, Pass, None, "late"),
    (TcpClosing, R, SynAck, Pass, None, "late"),
    (TcpClosing, F, Ack, Pass, None, "RFC 9293 §3.6, figure 12: the last ACK"),
    (TcpClosing, R, Ack, Pass, None, "RFC 9293 §3.6, figure 13: the last ACK"),
    (TcpClosing, F, Fin, Pass, None, "sent again"),
    (TcpClosing, R, Fin, Pass, None, "sent again"),
    (TcpClosing, F, Rst, Pass, None, "RFC 9293 §3.10.7.1"),
    (TcpClosing, R, Rst, Pass, None, "RFC 9293 §3.10.7.1"),
    // Reset: revived by whom the reset seemed to be from.
    (TcpResetForward, F, Ack, Pass, Some(TcpEstablished), "RFC 6146 §3.5.2.2, TRANS: a forged reset"),
    (TcpResetForward, F, Fin, Pass, Some(TcpEstablished), "RFC 6146 §3.5.2.2, TRANS: a forged reset"),
    (TcpResetForward, R, Ack, Pass, None, "sent before the reset came"),
    (TcpResetForward, R, Fin, Pass, None, "sent before the reset came"),
    (TcpResetForward, F, Rst, Pass, None, "RFC 6146 §3.5.2.2, TRANS"),
    (TcpResetForward, R, Rst, Pass, None, "RFC 6146 §3.5.2.2, TRANS"),
    (TcpResetForward, F, SynAck, Pass, None, "late"),
    (TcpResetForward, R, SynAck, Pass, None, "late"),
    (TcpResetForward, F, Syn, Pass, Some(TcpSyn), "a connection anew"),
    (TcpResetForward, R, Syn, Invalid, None, "one that nobody has permitted"),
    (TcpResetReverse, R, Ack, Pass, Some(TcpEstablished), "RFC 6146 §3.5.2.2, TRANS: a forged reset"),
    (TcpResetReverse, R, Fin, Pass, Some(TcpEstablished), "RFC 6146 §3.5.2.2, TRANS: a forged reset"),
    (TcpResetReverse, F, Ack, Pass, None, "sent before the reset came"),
    (TcpResetReverse, F, Fin, Pass, None, "sent before the reset came"),
    (TcpResetReverse, F, Rst, Pass, None, "RFC 6146 §3.5.2.2, TRANS"),
    (TcpResetReverse, R, Rst, Pass, None, "RFC 6146 §3.5.2.2, TRANS"),
    (TcpResetReverse, F, SynAck, Pass, None, "late"),
    (TcpResetReverse, R, SynAck, Pass, None, "late"),
    (TcpResetReverse, F, Syn, Pass, Some(TcpSyn), "a connection anew"),
    (TcpResetReverse, R, Syn, Invalid, None, "one that nobody has permitted"),
    (TcpRefused, F, Syn, Pass, Some(TcpSyn), "tried again"),
    (TcpRefused, R, Syn, Invalid, None, "one that nobody has permitted"),
    (TcpRefused, F, SynAck, Pass, None, "late"),
    (TcpRefused, R, SynAck, Pass, None, "late"),
    (TcpRefused, F, Ack, Pass, None, "late"),
    (TcpRefused, R, Ack, Pass, None, "late"),
    (TcpRefused, F, Fin, Pass, None, "late"),
    (TcpRefused, R, Fin, Pass, None, "late"),
    (TcpRefused, F, Rst, Pass, None, "late"),
    (TcpRefused, R, Rst, Pass, None, "late"),
    // All else.
    (UdpUnreplied, F, Datagram, Pass, Some(UdpUnreplied), "RFC 4787 REQ-6: outbound refresh"),
    (UdpUnreplied, R, Datagram, Pass, Some(Udp), "answered"),
    (Udp, F, Datagram, Pass, Some(Udp), "RFC 4787 REQ-6: outbound refresh"),
    (Udp, R, Datagram, Pass, Some(Udp), "RFC 4787 REQ-6: inbound refresh"),
    (IcmpQuery, F, Query, Pass, Some(IcmpQuery), "RFC 5508 §3.2"),
    (IcmpQuery, R, Answer, Pass, Some(IcmpQuery), "RFC 5508 §3.2"),
    (IcmpQuery, R, Query, Invalid, None, "a query that nobody has permitted"),
    (IcmpQuery, F, Answer, Invalid, None, "an answer to no query"),
    (Other, F, Datagram, Pass, Some(Other), "any packet"),
    (Other, R, Datagram, Pass, Some(Other), "any packet"),
];

#[test]
fn every_transition() {
    let mut done = std::collections::HashSet::new();
    for (state, direction, event, tracked, next, why) in ROWS {
        let (mut store, first) = in_state(*state);
        let now = START + SECOND;
        assert_eq!(packet(&mut store, &first, *direction, *event, now), *tracked, "{state:?} {direction:?} {event:?}: {why}");
        let after = next.unwrap_or(*state);
        assert_eq!(state_of(&store, &first), Some(after), "{state:?} {direction:?} {event:?}: {why}");
        let since = if next.is_some() { now } else { START };
        lasts(&mut store, &first, since, timeout(after));
        assert!(done.insert((*state, *direction, *event)), "twice: {state:?} {direction:?} {event:?}");
    }
    let is_tcp = |state: State| way(state).0 == TCP;
    for state in State::ALL.into_iter().filter(|state| is_tcp(*state)) {
        for direction in [F, R] {
            assert!([Syn, SynAck, Ack, Fin, Rst].iter().all(|event| done.contains(&(state, direction, *event))), "{state:?}");
        }
    }
}

/// The session is over between the time-out and 9 ms later, but for a unit of its clock that has begun.
fn lasts(store: &mut Sessions<Key4>, first: &Probe<Key4>, since: u64, seconds: u64) {
    let end = since + seconds * SECOND;
    // A fragment belongs to each session, and prolongs none.
    assert_eq!(packet(store, first, F, Fragment, end), Pass);
    assert_eq!(packet(store, first, F, Fragment, end + 9_000_000), Tracked::Unknown);
}

#[test]
fn every_timeout_has_a_setting() {
    let timeouts = Timeouts {
        tcp_opening: seconds(2),
        tcp_established: seconds(3),
        tcp_closing: seconds(5),
        tcp_reset: seconds(7),
        udp_unreplied: seconds(11),
        udp: seconds(13),
        icmp: seconds(17),
        other: seconds(19),
    };
    for state in State::ALL {
        let (flow, events) = way(state);
        let first = probe(flow, events[0].1);
        let mut store = store(|settings| (settings.pickup, settings.timeouts) = (true, timeouts));
        open(&mut store, &first, START).unwrap();
        events[1..].iter().for_each(|(direction, event)| {
            packet(&mut store, &first, *direction, *event, START);
        });
        let expected = match timeout(state) {
            7440 => 3,
            240 if [TcpSyn, TcpAnswered, TcpPickedUp].contains(&state) => 2,
            240 if state == TcpClosing => 5,
            240 => 7,
            120 => 11,
            300 => 13,
            60 => 17,
            _ => 19,
        };
        lasts(&mut store, &first, START, expected);
    }
    assert!(timeouts.check("timeouts").is_ok());
    let error = Timeouts { udp: Duration::from_nanoseconds(5), ..timeouts }.check("timeouts").unwrap_err();
    assert_eq!((error.path(), error.message()), ("timeouts.udp", "`5ns` is not between `1s` and `30d`"));
}

#[test]
fn what_opens_a_session() {
    let opened = |flow: &str, event: Event, pickup: bool| {
        let mut store = store(|settings| settings.pickup = pickup);
        open(&mut store, &probe(flow, event), START).ok().and_then(|found| store.get(found).map(Session::state))
    };
    for pickup in [false, true] {
        assert_eq!(opened(TCP, Syn, pickup), Some(TcpSyn));
        assert_eq!(opened(TCP, Ack, pickup), pickup.then_some(TcpPickedUp));
        assert_eq!(opened(UDP, Datagram, pickup), Some(UdpUnreplied));
        assert_eq!(opened(ECHO, Query, pickup), Some(IcmpQuery));
        assert_eq!(opened(GRE, Datagram, pickup), Some(Other));
        for event in [SynAck, Fin, Rst, Answer, IcmpError, Fragment, Malformed] {
            assert!([TCP, UDP, ECHO, GRE].iter().all(|flow| opened(flow, event, pickup).is_none()), "{event:?}");
        }
        // A message of routers.
        assert_eq!(opened(ECHO, Datagram, pickup), None);
    }
}

#[test]
fn flags_that_exclude_each_other() {
    // As in tcp_valid_flags of the Linux kernel, nf_conntrack_proto_tcp.c, without ECE, CWR, PSH and URG.
    let valid = |flags: u8| [0x02, 0x12, 0x04, 0x14, 0x11, 0x10].contains(&flags);
    for flags in 0..=255_u8 {
        let event = Event::of_tcp(TcpFlags(flags));
        // The kernel takes no FIN with RST either; we take FIN, ACK and RST for the reset that it is to a host (RFC 9293 §3.10.7.4).
        if flags & 0x17 != 0x15 {
            assert_eq!(event != Malformed, valid(flags & 0x17), "{}", TcpFlags(flags));
        }
    }
    assert_eq!(Event::of_tcp(TcpFlags(0x15)), Rst);
}
