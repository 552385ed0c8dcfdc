//! Other settings while there are sessions: those that they allow go on with their ports, the others end with their next packet.

use crate::packets::{as_seen, source, udp};
use crate::{A, Address, B, Net, R, S, SECOND, X, graph};

const Y: Address = [203, 0, 113, 8];
const BOTH: &str = "pool: [203.0.113.2, 203.0.113.8]";

impl Net {
    fn reload(&mut self, workers: usize, nat: &str) {
        let report = self.rig.apply(&graph(workers, nat)).unwrap();
        assert_eq!(report.not_carried, [""; 0]);
    }
}

#[test]
fn sessions_go_on_with_other_settings() {
    for workers in [1, 3] {
        let mut net = Net::with(workers, "");
        let hosts: Vec<(Address, u16)> = (0..40).map(|at| ([10, 0, at / 8, at], 4000)).collect();
        let outside: Vec<(Address, u16)> = hosts.iter().map(|host| source(&net.leaves(&udp(*host, (R, 53))))).collect();
        for nat in [
            BOTH,
            "static: [{ inside: 10.0.0.9, protocol: udp, port: 1 }]",
            "pooling: arbitrary",
            "fragment-timeout: 5s",
            "pool: ['203.0.113.2:1024-60000']",
            "pool: [203.0.113.2, 203.0.113.9]",
            "sessions: { timeouts: { udp-unreplied: 10s, udp: 20s }, pick-up: true, make-room: false }",
            "per-user: { rate: 100, burst: 1000 }",
            "per-user: { rate: 1000 }",
        ] {
            net.reload(workers, nat);
            let allowed = |end: &(Address, u16)| workers == 1 && (1024..=60000).contains(&end.1) || !nat.contains("60000");
            for (host, end) in hosts.iter().zip(&outside).filter(|(_, end)| allowed(end)) {
                let answer = udp((R, 53), *end);
                assert_eq!(net.enters(&answer), as_seen(&answer, None, Some(*host)), "{nat}");
                assert_eq!(source(&net.leaves(&udp(*host, (R, 53)))), *end, "{nat}");
            }
            if !nat.contains("60000") {
                assert_eq!(net.sessions(), 40, "{nat}");
            } else {
                // Which ports are whose is another with several workers.
                net.reload(workers, "");
            }
        }
    }
}

#[test]
fn sessions_end_that_are_not_allowed_any_more() {
    let mut net = Net::new(BOTH);
    let hosts: Vec<(Address, u16)> = (0..40).map(|at| ([10, 0, 0, at], 4000)).collect();
    let outside: Vec<(Address, u16)> = hosts.iter().map(|host| source(&net.leaves(&udp(*host, (R, 53))))).collect();
    // A second session on the mapping of each.
    hosts.iter().zip(&outside).for_each(|(host, end)| assert_eq!(source(&net.leaves(&udp(*host, (R, 54)))), *end));
    assert!([X, Y].iter().all(|address| outside.iter().any(|end| end.0 == *address)));
    net.reload(1, "pool: [203.0.113.8]");
    for (host, end) in hosts.iter().zip(&outside) {
        let now = source(&net.leaves(&udp(*host, (R, 53))));
        assert_eq!(now.0, Y);
        assert!(end.0 == X || now == *end, "{end:?} is {now:?}");
    }
    // No port was given away twice.
    let mut ends: Vec<(Address, u16)> = hosts.iter().map(|host| source(&net.leaves(&udp(*host, (S, 53))))).collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends.len(), 40);
    // Of the second sessions those with the address that is gone end when they are asked for.
    for (host, end) in hosts.iter().zip(&outside) {
        let now = source(&net.leaves(&udp(*host, (R, 54))));
        assert!(now.0 == Y && (end.0 == X || now == *end));
    }
    assert_eq!(net.sessions(), 120);
    assert_eq!(net.ask(r#"{"show": {}}"#)["table"]["mappings"], 40);
}

#[test]
fn a_port_that_is_forwarded_from_now_on_is_taken_from_who_had_it() {
    let mut net = Net::new("");
    assert_eq!(source(&net.leaves(&udp((A, 4000), (R, 53)))), (X, 4000));
    let forward = "static: [{ inside: 192.168.1.11, protocol: udp, port: 4000 }]";
    net.reload(1, forward);
    let moved = source(&net.leaves(&udp((A, 4000), (R, 53))));
    assert!(moved.0 == X && moved.1 != 4000, "{moved:?}");
    let packet = udp((S, 9), (X, 4000));
    assert_eq!(net.enters(&packet), as_seen(&packet, None, Some((B, 4000))));
    // And is free again when it is not.
    net.reload(1, "");
    net.kept_out(&[packet], "dnat.no-session");
    assert_eq!(source(&net.leaves(&udp((A, 4000), (R, 53)))), moved);
    assert_eq!(source(&net.leaves(&udp((B, 4000), (R, 53)))), (X, 4000));
}

#[test]
fn other_limits_and_timeouts_hold_for_the_sessions_that_are_there() {
    let limit =
        |sessions: &str| format!("per-user: {{ {sessions} }}\n    sessions: {{ timeouts: {{ udp-unreplied: 60s, udp: 60s }} }}");
    let mut net = Net::new(&limit("sessions: 3"));
    let to = |port: u16| udp((A, 4000), (R, port));
    (1..=3).for_each(|port| _ = net.leaves(&to(port)));
    // The sender is told, which is all that leaves.
    let refused = |net: &mut Net, port: u16| {
        let before = net.rig.count("snat.user-limit");
        assert!(net.inside(&[to(port)])[1].is_empty());
        assert_eq!(net.rig.count("snat.user-limit"), before + 1);
    };
    refused(&mut net, 4);
    net.reload(1, &limit("sessions: 4"));
    assert_eq!(net.sessions(), 3);
    let _ = net.leaves(&to(4));
    net.reload(1, &limit("sessions: 2"));
    refused(&mut net, 5);
    // Those that are there stay.
    (1..=4).for_each(|port| _ = net.leaves(&to(port)));
    net.reload(1, &limit(""));
    let _ = net.leaves(&to(5));
    assert_eq!(net.sessions(), 5);
    net.wait(30 * SECOND);
    let answer = udp((R, 5), source(&net.leaves(&to(5))));
    net.reload(1, &limit("").replace("60s", "20s"));
    // 30 s without a packet are too long now, but not for the one that had some.
    assert_eq!(net.enters(&answer), as_seen(&answer, None, Some((A, 4000))));
    net.wait(5 * SECOND);
    assert_eq!(net.sessions(), 1);
}

#[test]
fn what_is_remembered_of_sessions_keeps_its_form() {
    let mut net = Net::new("");
    let inside = udp((A, 4000), (R, 53));
    let left = net.leaves(&inside);
    for (nat, path) in [
        ("mapping: endpoint-dependent", "mapping"),
        ("filtering: endpoint-independent", "filtering"),
        ("per-user: { sessions: 9 }", "sessions: 9"),
        ("per-user: { ports: 9 }", "ports: 9"),
        ("sessions: { capacity: 9 }", "capacity: 9"),
    ] {
        let said = net.rig.apply(&graph(1, nat)).unwrap_err();
        assert!(said.contains("cannot change while the table keeps sessions") && said.contains(path), "{said}");
        assert_eq!(net.leaves(&inside), left);
    }
}
