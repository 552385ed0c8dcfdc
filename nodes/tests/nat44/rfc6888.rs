//! RFC 6888: NATs of providers; and RFC 7422, deterministic ports.

use std::collections::BTreeMap;

use crate::common::random::Rng;
use crate::packets::{Address, End, as_seen, ends, ping, pong, source, tcp, udp};
use crate::{A, B, Net, R, S, SECOND, X, graph};

/// A gateway for 192.168.1.0/24 alone: 256 inside addresses.
fn provider(workers: usize, nat: &str) -> String {
    graph(workers, nat).replace("inside-prefixes: [192.168.1.0/24, 10.0.0.0/8]", "inside-prefixes: [192.168.1.0/24]")
}

/// 128 ports for each of them, of four addresses with room for 64 each.
const FIXED: &str = "pool: ['203.0.113.16/30:8192-16383']\n    deterministic: { ports: 128 }";

/// The address and the first of the ports of an inside address with [`FIXED`].
fn block(host: u8) -> End {
    ([203, 0, 113, 16 + host / 64], 8192 + u16::from(host % 64) * 128)
}

fn is_of(host: u8, end: End) -> bool {
    let (address, first) = block(host);
    end.0 == address && (first..first + 128).contains(&end.1)
}

#[test]
fn req_2_paired_pooling_is_the_default() {
    let mut net = Net::new("pool: [203.0.113.8/29]");
    let mut seen = BTreeMap::<Address, Address>::new();
    for port in 0..40 {
        for host in [A, B] {
            let packets = [udp((host, 4000 + port), (R, 53)), tcp((host, 4000 + port), (S, 80), "s"), ping(host, R, 4000 + port)];
            for packet in packets {
                let outside = source(&net.leaves(&packet)).0;
                assert_eq!(*seen.entry(host).or_insert(outside), outside);
            }
        }
    }
}

/// Addresses here and there, with ranges of ports of their own: all are used.
#[test]
fn req_3_any_pool() {
    let mut net = Net::new("pool: ['203.0.113.9:2000-2001', '198.18.0.0/31:7-7', '192.0.2.77:65535']\n    pooling: arbitrary");
    let mut all: Vec<End> = (0..5).map(|port| source(&net.leaves(&udp((A, 4000 + port), (R, 53))))).collect();
    all.sort_unstable();
    assert_eq!(
        all,
        [([192, 0, 2, 77], 65535), ([198, 18, 0, 0], 7), ([198, 18, 0, 1], 7), ([203, 0, 113, 9], 2000), ([203, 0, 113, 9], 2001)]
    );
}

#[test]
fn req_4_and_5_limits_of_a_subscriber() {
    let mut net = Net::new("per-user: { ports: 10, sessions: 15 }");
    let packets: Vec<Vec<u8>> = (0..30).map(|port| udp((A, 4000 + port), (R, 53))).collect();
    let [told, left] = net.inside(&packets);
    assert_eq!((told.len(), left.len()), (20, 10));
    let packets: Vec<Vec<u8>> = (0..30).map(|port| udp((A, 4000), (S, 53 + port))).collect();
    let [told, left] = net.inside(&packets);
    assert_eq!((told.len(), left.len(), net.rig.count("snat.user-limit")), (25, 5, 45));
    // Others have theirs.
    net.leaves(&udp((B, 4000), (R, 53)));
}

#[test]
fn req_4c_and_5b_rate_of_a_subscriber() {
    let mut net = Net::new("per-user: { rate: 10, burst: 5 }");
    let mut next = 1000;
    // How many of twenty new sessions are opened, where the tenth of a second is that of a session.
    let mut opened = |net: &mut Net, host| {
        let packets: Vec<Vec<u8>> = (0..20).map(|port| udp((host, next + port), (R, 53))).collect();
        next += 20;
        let before = net.rig.count("snat.user-rate");
        let [told, left] = net.inside(&packets);
        assert_eq!((told.len(), left.len() as u64 + net.rig.count("snat.user-rate") - before), (0, 20));
        left.len()
    };
    assert_eq!(opened(&mut net, A), 5);
    // Others have their own, and what is open goes on.
    assert_eq!(opened(&mut net, B), 5);
    let outside = source(&net.leaves(&udp((A, 1000), (R, 53))));
    net.wait(SECOND / 10);
    assert_eq!((opened(&mut net, A), opened(&mut net, A)), (1, 0));
    net.wait(SECOND * 3 / 10);
    assert_eq!(opened(&mut net, A), 3);
    // It saves no more than the burst.
    net.wait(SECOND * 60);
    assert_eq!(opened(&mut net, A), 5);
    // What comes from outside to what it has open is no session of its own making.
    let answers: Vec<Vec<u8>> = (0..20).map(|port| udp((R, 100 + port), outside)).collect();
    assert_eq!(net.outside(&answers)[0].len(), 20);
    // Wired, it tells.
    let wired = graph(1, "per-user: { rate: 10, burst: 5 }")
        .replace("user-limit: error } }\n  rewrite", "user-limit: error, user-rate: error } }\n  rewrite");
    let mut net = Net::of(&wired);
    let [told, left] = net.inside(&(0..20).map(|port| udp((A, 4000 + port), (R, 53))).collect::<Vec<_>>());
    assert_eq!((told.len(), left.len()), (15, 5));
    assert!(told.iter().all(|packet| packet[9] == 1 && packet[20..22] == [3, 13]));
}

#[test]
fn req_8_ports_of_a_subscriber_stay_its_own() {
    let mut net = Net::of(&provider(1, FIXED));
    let outside = source(&net.leaves(&udp((A, 4000), (R, 53))));
    assert!(is_of(10, outside), "{outside:?}");
    net.wait(SECOND * 400);
    // Nobody else gets it; and in another run, after the loss of all state, it is the same host's.
    let packets: Vec<Vec<u8>> = (0..1000).map(|port| udp((B, 5000 + port), (R, 53))).collect();
    let [_, left] = net.inside(&packets);
    assert_eq!(left.len(), 128);
    assert!(left.iter().all(|packet| is_of(11, source(packet))));
    assert!(is_of(10, source(&Net::of(&provider(1, FIXED)).leaves(&udp((A, 4000), (R, 53))))));
}

/// Without room, a packet is dropped, its sender told that the host is unreachable, and what there is stays.
#[test]
fn req_11_nothing_gives_way() {
    for (nat, refused) in [
        ("sessions: { capacity: 8, make-room: false }", "snat.exhausted"),
        ("pool: ['203.0.113.2:2000-2007']", "snat.exhausted"),
        ("per-user: { sessions: 8 }", "snat.user-limit"),
    ] {
        for (refusal, code) in [("", 13), ("refusal: host-unreachable", 1)] {
            let mut net = Net::new(&format!("{nat}\n    {refusal}"));
            let first: Vec<Vec<u8>> = (0..8).map(|port| udp((A, 4000 + port), (R, 53))).collect();
            let [_, outside] = net.inside(&first);
            assert_eq!(outside.len(), 8, "{nat}");
            let [told, left] = net.inside(&(0..20).map(|port| udp((A, 5000 + port), (R, 53))).collect::<Vec<_>>());
            assert_eq!((told.len(), left.len(), net.rig.count(refused)), (20, 0, 20), "{nat}");
            assert!(told.iter().all(|packet| packet[9] == 1 && packet[20..22] == [3, code]), "{nat}");
            for (packet, seen) in first.iter().zip(&outside) {
                let (inside, outside) = (source(packet), source(seen));
                let answer = udp((R, 53), outside);
                assert_eq!(net.enters(&answer), as_seen(&answer, None, Some(inside)), "{nat}");
            }
        }
    }
}

/// A port cannot be guessed from those before, also among the few of a host.
#[test]
fn req_15_ports_nobody_can_guess() {
    let mut net = Net::of(&provider(1, FIXED));
    let ports: Vec<u16> = (0..64).map(|port| source(&net.leaves(&udp((A, 2 * port), (R, 53)))).1).collect();
    let in_order = ports.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) <= 2).count();
    assert!(in_order < 32, "{ports:?}");
}

/// RFC 7422: the ports of each host are those that the formula says, with any number of workers, and answers come back.
#[test]
fn ports_follow_from_inside_addresses() {
    let mut rng = Rng::new();
    for workers in [1, 2, 4] {
        for mapping in ["endpoint-independent", "endpoint-dependent"] {
            let mut net = Net::of(&provider(workers, &format!("{FIXED}\n    mapping: {mapping}")));
            for _ in 0..200 {
                let host = rng.below(256) as u8;
                let (inside, port) = ([192, 168, 1, host], 1 + rng.below(60_000) as u16);
                let sent = match rng.below(3) {
                    0 => udp((inside, port), (R, 53)),
                    1 => tcp((inside, port), (R, 80), "s"),
                    _ => ping(inside, R, port),
                };
                let [told, left] = net.inside(std::slice::from_ref(&sent));
                assert_eq!((told.len(), left.len()), (0, 1), "{:?}", net.rig.counts());
                let (outside, peer) = ends(&left[0]);
                assert!(is_of(host, outside), "{inside:?} {outside:?}");
                // The two hosts that the gateway knows where to find.
                if ![A, B].contains(&inside) {
                    continue;
                }
                let answer = match sent[9] {
                    17 => udp(peer, outside),
                    6 => tcp(peer, outside, "sa"),
                    _ => pong(peer.0, outside.0, outside.1),
                };
                assert_eq!(net.enters(&answer), as_seen(&answer, None, Some((inside, port))));
            }
        }
    }
}

/// Who asks finds a host's ports, and whose a port is.
#[test]
fn the_formula_is_told_both_ways() {
    let mut net = Net::of(&provider(2, FIXED));
    for host in 0..=255 {
        let (address, first) = block(host);
        let text = |address: Address| std::net::Ipv4Addr::from(address).to_string();
        let expected = serde_json::json!({
            "ports": { "inside": format!("192.168.1.{host}"), "outside": text(address), "first-port": first, "last-port": first + 127 }
        });
        assert_eq!(net.ask(&format!(r#"{{"outside-of": {{"inside": "192.168.1.{host}"}}}}"#)), expected);
        for port in [first, first + 64, first + 127] {
            assert_eq!(net.ask(&format!(r#"{{"inside-of": {{"outside": "{}:{port}"}}}}"#, text(address))), expected);
        }
    }
    for (question, said) in [
        (r#"{"outside-of": {"inside": "10.0.0.1"}}"#, "`10.0.0.1` is not inside"),
        (r#"{"inside-of": {"outside": "203.0.113.16:8191"}}"#, "`203.0.113.16:8191` is nobody's"),
        (r#"{"inside-of": {"outside": "203.0.113.20:9000"}}"#, "`203.0.113.20:9000` is nobody's"),
    ] {
        let error = net.rig.engine().command("nat", question).expect_err("nobody").to_string();
        assert!(error.contains(said), "{error}");
    }
    let error =
        Net::new("").rig.engine().command("nat", r#"{"outside-of": {"inside": "10.0.0.1"}}"#).expect_err("none").to_string();
    assert!(error.contains("only with `deterministic`"), "{error}");
}

/// Free ports are those of hosts, each of one worker; a port that is forwarded is nobody else's.
#[test]
fn books_of_deterministic_ports() {
    let forward = "static: [{ inside: 192.168.1.11, outside: 203.0.113.16, protocol: udp, port: 9472, inside-port: 53 }]";
    for workers in [1, 3] {
        let mut net = Net::of(&provider(workers, &format!("{FIXED}\n    {forward}")));
        let shown = net.ask(r#"{"show": {}}"#)["table"].clone();
        let all = 256 * 128 * 3;
        assert_eq!(
            (&shown["ports"], &shown["ports-free"], &shown["deterministic"]),
            (&all.into(), &(all - 1).into(), &true.into())
        );
        // Of 192.168.1.10 are 9472 to 9599, of which the first is not to be had for UDP.
        let [told, left] = net.inside(&(0..128).map(|port| udp((A, 9472 + port), (R, 53))).collect::<Vec<_>>());
        assert_eq!((told.len(), left.len()), (1, 127));
        assert!(left.iter().all(|packet| is_of(10, source(packet)) && source(packet).1 != 9472));
        let shown = net.ask(r#"{"show": {}}"#)["table"].clone();
        assert_eq!(shown["ports-free"], all - 1 - 127);
        net.wait(SECOND * 121);
        assert_eq!(net.ask(r#"{"show": {}}"#)["table"]["ports-free"], all - 1);
    }
    // The pool's own is not touched by this.
    assert_eq!(source(&Net::new("").leaves(&udp((A, 4000), (R, 53)))), (X, 4000));
}
