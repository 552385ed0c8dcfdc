//! Any number of workers: one mapping for each inside end, whichever worker it comes to, and the same ends of all flows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::common::driver::Sent;
use crate::common::frames::{ethernet, mac};
use crate::common::random::Rng;
use crate::common::scaled;
use crate::packets::{
    Address, End, as_seen, ends, error, fragmented, label, labelled, ping, pong, source, tcp, udp, udp_of, verify, with_ends,
};
use crate::{Net, X};

/// A packet from inside of any of a few hosts and peers.
fn question(rng: &mut Rng) -> Vec<u8> {
    let host = ([10, 0, 0, rng.below(40) as u8], 3000 + rng.below(5) as u16);
    let peer = ([198, 51, 100, rng.below(6) as u8], 50 + rng.below(3) as u16);
    match rng.below(3) {
        0 => tcp(host, peer, "s"),
        1 => udp(host, peer),
        _ => ping(host.0, peer.0, host.1),
    }
}

/// What the peer answers.
fn answer(question: &[u8], kind: usize) -> Vec<u8> {
    let (from, to) = ends(question);
    match (kind, question[9]) {
        (0, _) => error([198, 51, 100, 200], from.0, [3, 1], question, 28),
        (_, 6) => tcp(to, from, "sa"),
        (_, 17) => udp(to, from),
        _ => pong(to.0, from.0, from.1),
    }
}

/// What an inside end is outside, by protocol.
type Mappings = BTreeMap<(u8, End), End>;

/// Sends frames to queues at random, and says what leaves, with the worker that has sent it.
fn send(net: &mut Net, workers: usize, wire: &str, packets: &[Vec<u8>], to: &str, rng: &mut Rng) -> Vec<Sent> {
    let at = if wire == "lan" { 1 } else { 2 };
    for packet in packets {
        net.rig.wire(wire).feed(rng.below(workers), [ethernet(mac(at), 0x0800, packet)]);
    }
    net.rig.engine().step_until(net.now);
    net.rig.check();
    net.rig.wire(to).take_sent()
}

#[test]
fn one_mapping_for_each_end_and_equal_ends() {
    let mut rng = Rng::new();
    let questions: Vec<Vec<u8>> = (0..scaled(3_000)).map(|number| labelled(question(&mut rng), number % 60_000)).collect();
    let mut seen = Vec::new();
    for workers in [1, 2, 4] {
        let mut net = Net::with(workers, "");
        let (mut mappings, mut used) = (Mappings::new(), BTreeMap::new());
        let mut entered = Vec::new();
        for some in questions.chunks(100) {
            let sent = send(&mut net, workers, "lan", some, "wan", &mut rng);
            assert_eq!(sent.len(), some.len(), "{:?}", net.rig.counts());
            for packet in sent.into_iter().map(|sent| sent.bytes[14..].to_vec()) {
                let question = &questions[label(&packet)];
                let (inside, outside) = ((question[9], source(question)), source(&packet));
                assert_eq!(packet, as_seen(question, Some(outside), None));
                assert_eq!((outside.0, *mappings.entry(inside).or_insert(outside)), (X, outside), "an end has two mappings");
                assert_eq!(*used.entry((question[9], outside)).or_insert(inside), inside, "two ends share a port");
                let kind = label(&packet) % 4;
                let back = answer(&packet, kind);
                let sent = send(&mut net, workers, "wan", std::slice::from_ref(&back), "lan", &mut rng);
                assert_eq!(sent.len(), 1, "{:?}", net.rig.counts());
                let got = &sent[0].bytes[14..];
                match kind {
                    0 => {
                        let quote = with_ends(&packet, Some(inside.1), None);
                        assert_eq!((&got[16..20], &got[28..]), (&inside.1.0[..], &quote[..28]));
                        verify(got);
                    }
                    _ => assert_eq!(got, as_seen(&back, None, Some(inside.1))),
                }
                entered.push((inside, ends(&back).0.0, kind));
            }
        }
        entered.sort_unstable();
        seen.push((mappings.keys().copied().collect::<Vec<_>>(), entered));
    }
    assert!(seen.iter().all(|other| *other == seen[0]), "the ends depend on the number of workers");
}

#[test]
fn what_is_static_belongs_to_the_worker_of_its_host() {
    for workers in [1, 2, 4] {
        let mut rng = Rng::new();
        let statics: Vec<String> = (0..20)
            .map(|host| format!("{{ inside: 10.0.0.{host}, protocol: tcp, port: {}, inside-port: 80 }}", 9000 + host))
            .chain((0..20).map(|host| format!("{{ inside: 10.0.1.{host}, outside: 203.0.113.{} }}", 100 + host)))
            .collect();
        let mut net = Net::with(workers, &format!("static: [{}]", statics.join(", ")));
        let peer: End = ([198, 51, 100, 3], 77);
        for host in 0..20 {
            let own: Address = [203, 0, 113, 100 + host];
            for (outside, inside) in
                [((X, 9000 + u16::from(host)), ([10, 0, 0, host], 80)), ((own, 5000), ([10, 0, 1, host], 5000))]
            {
                let call = tcp(peer, outside, "s");
                let sent = send(&mut net, workers, "wan", std::slice::from_ref(&call), "lan", &mut rng);
                assert_eq!(sent.iter().map(|sent| &sent.bytes[14..]).collect::<Vec<_>>(), [as_seen(&call, None, Some(inside))]);
                let back = tcp(inside, peer, "sa");
                let sent = send(&mut net, workers, "lan", std::slice::from_ref(&back), "wan", &mut rng);
                assert_eq!(sent.iter().map(|sent| &sent.bytes[14..]).collect::<Vec<_>>(), [as_seen(&back, Some(outside), None)]);
            }
        }
    }
}

/// With threads, handoffs and fragments that overtake each other: everything arrives, and once.
#[test]
fn in_threads() {
    let mut rng = Rng::new();
    for workers in [2, 4] {
        let mut net = Net::with(workers, "filtering: endpoint-independent");
        let payload = rng.bytes(1000);
        let hosts: Vec<End> = (0..20).map(|host| ([10, 0, 0, host], 3000)).collect();
        let peer: End = ([198, 51, 100, 3], 53);
        let outside: Vec<End> = hosts.iter().map(|host| source(&net.leaves(&udp(*host, peer)))).collect();
        net.rig.engine().start().expect("threads");
        let mut expected = [Vec::new(), Vec::new()];
        for round in 0..scaled(100) as u16 {
            let at = rng.below(hosts.len());
            let (leaving, coming) = (udp_of(hosts[at], peer, &payload), udp_of(peer, outside[at], &payload));
            for (wire, mac_at, packet, from, to) in
                [("lan", 1, leaving, Some(outside[at]), None), ("wan", 2, coming, None, Some(hosts[at]))]
            {
                for part in fragmented(&packet, round, 600) {
                    net.rig.wire(wire).feed(rng.below(workers), [ethernet(mac(mac_at), 0x0800, &part)]);
                }
                let seen = fragmented(&with_ends(&packet, from, to), round, 600);
                expected[usize::from(wire == "lan")].extend(seen.iter().map(|part| as_seen(part, None, None)));
            }
            // Not so many at once that rings overflow.
            let deadline = Instant::now() + Duration::from_secs(30);
            while ["lan", "wan"].iter().any(|wire| net.rig.wire(wire).waiting() > 0) {
                assert!(Instant::now() < deadline, "{:?}", net.rig.engine().ledger());
                std::thread::yield_now();
            }
        }
        // What waits for its first fragment is looked at every 5 ms.
        let deadline = Instant::now() + Duration::from_secs(30);
        let all = expected.iter().map(Vec::len).sum::<usize>() as u64 + hosts.len() as u64;
        let left = |net: &Net| net.rig.wire("lan").left() + net.rig.wire("wan").left();
        while left(&net) < all && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        net.rig.engine().stop();
        for (packets, mut expected) in net.sent().into_iter().zip(expected) {
            let mut packets = packets;
            packets.sort_unstable();
            expected.sort_unstable();
            assert!(packets == expected, "{workers} workers: {:?}", net.rig.counts());
        }
    }
}
