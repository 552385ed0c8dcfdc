//! Random traffic, random times, and a checker outside the engine: at no time does an (address, port, protocol) outside belong to two inside
//! ends; with endpoint-dependent mapping, to two for the same peer.

use std::collections::BTreeMap;

use crate::common::random::Rng;
use crate::common::scaled;
use crate::packets::{End, ends, label, labelled, ping, pong, tcp, udp};
use crate::{Net, SECOND};

/// Who has what outside, by the protocol and (where that makes a difference) the peer; and when it was seen last.
type Owners = BTreeMap<(u8, End, Option<End>), (End, u64)>;

/// Seconds without a packet after which nothing lasts here.
const TIMEOUT: u64 = 30;

struct Checker {
    owners: Owners,
    by_peer: bool,
    reused: usize,
}

impl Checker {
    /// A packet has left: its number says who has sent it.
    fn left(&mut self, packet: &[u8], inside: End, now: u64) {
        let (outside, peer) = ends(packet);
        let key = (packet[9], outside, self.by_peer.then_some(peer));
        let owner = self.owners.entry(key).or_insert((inside, now));
        if owner.0 != inside {
            let age = now - owner.1;
            // Times are kept to 4 ms. A TCP connection that both sides have closed is over while its last packets still leave.
            let least = if packet[9] == 6 { 1 } else { TIMEOUT * SECOND - SECOND / 100 };
            assert!(age >= least, "{outside:?} is of {:?} and of {inside:?}, {} ms after", owner.0, age / 1_000_000);
            self.reused += 1;
        }
        *owner = (inside, now);
    }
}

fn run(workers: usize, nat: &str, by_peer: bool, rng: &mut Rng) -> usize {
    let timeouts = ["tcp-opening", "tcp-established", "tcp-closing", "tcp-reset", "udp-unreplied", "udp", "icmp"];
    let timeouts = timeouts.map(|name| format!("{name}: {TIMEOUT}s")).join(", ");
    let mut net = Net::with(workers, &format!("{nat}\n    sessions: {{ timeouts: {{ {timeouts} }}, pick-up: true }}"));
    let mut checker = Checker { owners: Owners::new(), by_peer, reused: 0 };
    let hosts: Vec<End> =
        (0..200).map(|_| ([10, 0, rng.below(4) as u8, rng.below(20) as u8], 1500 + rng.below(20) as u16)).collect();
    for _ in 0..scaled(120) {
        // Some hosts at a time, so that others fall silent for long enough.
        let (first, count) = (rng.below(hosts.len()), 1 + rng.below(40));
        let packets: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                let host = (first + rng.below(30)) % hosts.len();
                let peer = ([198, 51, 100, rng.below(3) as u8], 80 + rng.below(2) as u16);
                let packet = match rng.below(3) {
                    0 => tcp(hosts[host], peer, rng.pick(&["s", "a", "fa", "r"])),
                    1 => udp(hosts[host], peer),
                    _ => ping(hosts[host].0, peer.0, hosts[host].1),
                };
                labelled(packet, host)
            })
            .collect();
        let [_, left] = net.inside(&packets);
        let mut answers = Vec::new();
        for packet in &left {
            checker.left(packet, hosts[label(packet)], net.now);
            let (from, to) = ends(packet);
            let answer = match packet[9] {
                6 => tcp(to, from, rng.pick(&["sa", "a", "fa", "r"])),
                17 => udp(to, from),
                _ => pong(to.0, from.0, from.1),
            };
            answers.push((hosts[label(packet)], labelled(answer, label(packet))));
        }
        // An answer arrives at whom the checker knows for the owner.
        for (owner, answer) in answers.iter().filter(|_| rng.one_in(2)) {
            let [entered, _] = net.outside(std::slice::from_ref(answer));
            for packet in entered {
                assert_eq!((ends(&packet).1, label(&packet)), (*owner, label(answer)));
                let (peer, outside) = ends(answer);
                if let Some(known) = checker.owners.get_mut(&(answer[9], outside, by_peer.then_some(peer))) {
                    known.1 = net.now;
                }
            }
        }
        net.wait(rng.below(5_000) as u64 * (SECOND / 1000));
        net.sent();
    }
    checker.reused
}

#[test]
fn no_end_outside_is_ever_of_two_inside() {
    let mut rng = Rng::new();
    let mut reused = 0;
    for workers in [1, 2, 4] {
        for filtering in ["endpoint-independent", "address-dependent", "address-and-port-dependent"] {
            // Few enough ports that they are used again, and run out.
            reused += run(workers, &format!("pool: ['203.0.113.2:1500-1563']\n    filtering: {filtering}"), false, &mut rng);
        }
        reused += run(workers, "pool: ['203.0.113.2:1500-1507']\n    mapping: endpoint-dependent", true, &mut rng);
    }
    assert!(reused > 0, "no port was ever used again");
}
