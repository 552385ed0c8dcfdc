//! Sessions that come and go by the ten thousand on one address, and a checker outside the engine that reads what leaves: it keeps who has
//! which (address, port, protocol), over time, and nobody ever has what another still has.
//!
//! `make test-long CASE=nat-1m` opens a million.

use std::collections::HashMap;

use crate::common::random::Rng;
use crate::common::scaled;
use crate::packets::{End, as_seen, ends, mend, tcp, udp};
use crate::{Address, Net, SECOND};

/// Flows at the same time, on the 64,512 ports of one address.
const FLOWS: usize = 60_000;
/// Nanoseconds without a packet after which a session is over.
const TIMEOUT: u64 = 32 * SECOND;
const PEER: End = ([198, 51, 100, 3], 53);

/// Who has what outside, by what is seen to leave.
#[derive(Default)]
struct Checker {
    owners: HashMap<(u8, End), Owner>,
    created: u64,
    reused: u64,
    peak: usize,
}

#[derive(Clone, Copy)]
struct Owner {
    flow: u32,
    seen: u64,
}

impl Checker {
    /// A packet has left. Its payload says of which flow it is.
    fn left(&mut self, packet: &[u8], now: u64) {
        let key = (packet[9], ends(packet).0);
        let owner = Owner { flow: flow_of(packet), seen: now };
        match self.owners.insert(key, owner) {
            Some(before) if before.flow == owner.flow => assert!(now - before.seen < TIMEOUT, "flow {} was over", owner.flow),
            Some(before) => {
                let age = now - before.seen;
                // Times are kept to 4 ms.
                assert!(
                    age >= TIMEOUT - SECOND / 100,
                    "{key:?} is of flow {} and {} ms after of {}",
                    before.flow,
                    age / 1_000_000,
                    owner.flow
                );
                self.created += 1;
                self.reused += 1;
            }
            None => self.created += 1,
        }
    }

    /// How many have sent something for long enough ago to be there still.
    fn live(&mut self, now: u64) -> usize {
        let live = self.owners.values().filter(|owner| now - owner.seen < TIMEOUT).count();
        self.peak = self.peak.max(live);
        live
    }
}

/// The inside end of a flow: 16 of each host, so that most hosts want ports that others have.
fn inside(flow: u32) -> End {
    let [_, a, b, c] = (flow / 16).to_be_bytes();
    ([10, a, b, c], 2000 + (flow % 16) as u16)
}

fn packet(protocol: u8, flow: u32) -> Vec<u8> {
    let mut packet = if protocol == 6 { tcp(inside(flow), PEER, "s") } else { udp(inside(flow), PEER) };
    let at = packet.len() - 4;
    packet[at..].copy_from_slice(&flow.to_be_bytes());
    mend(&mut packet);
    packet
}

fn flow_of(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[packet.len() - 4..].try_into().expect("four bytes"))
}

/// Packets of flows, all of which leave.
fn send(net: &mut Net, checker: &mut Checker, protocol: u8, flows: &[u32], answered: Option<&mut Rng>) {
    let mut rng = answered;
    for flows in flows.chunks(1000) {
        let packets: Vec<Vec<u8>> = flows.iter().map(|flow| packet(protocol, *flow)).collect();
        let [told, left] = net.inside(&packets);
        assert_eq!((told.len(), left.len()), (0, flows.len()), "{:?}", net.rig.counts());
        left.iter().for_each(|packet| checker.left(packet, net.now));
        // Some are answered, and the answer comes to who has sent.
        let Some(rng) = &mut rng else { continue };
        let sent = &left[rng.below(left.len())];
        let (outside, peer) = ends(sent);
        let answer = if protocol == 6 { tcp(peer, outside, "sa") } else { udp(peer, outside) };
        let owner: (Address, u16) = inside(flow_of(sent));
        assert_eq!(net.enters(&answer), as_seen(&answer, None, Some(owner)));
    }
}

fn churn(protocol: u8, workers: usize, sessions: u64, rng: &mut Rng) {
    let seconds = TIMEOUT / SECOND;
    let timeouts = ["tcp-opening", "udp-unreplied", "udp"].map(|name| format!("{name}: {seconds}s")).join(", ");
    let mut net = Net::with(workers, &format!("filtering: endpoint-independent\n    sessions: {{ timeouts: {{ {timeouts} }} }}"));
    // Workers have parts of the ports, and of hosts as many as chance gives them.
    let flows = if workers == 1 { FLOWS } else { FLOWS * 9 / 10 };
    let (mut checker, mut live, mut next) = (Checker::default(), Vec::<u32>::new(), 0_u32);
    while checker.created < sessions {
        let new: Vec<u32> = (next..next + (flows - live.len()) as u32).collect();
        next += new.len() as u32;
        send(&mut net, &mut checker, protocol, &new, Some(rng));
        live.extend(new);
        assert_eq!(checker.live(net.now), flows);
        assert_eq!(net.sessions(), flows as u64);
        // A quarter goes on, and the others fall silent until they are over.
        live.retain(|_| rng.one_in(4));
        for _ in 0..3 {
            net.wait(TIMEOUT / 2);
            net.sent();
            send(&mut net, &mut checker, protocol, &live, None);
        }
        assert_eq!(net.sessions(), live.len() as u64);
    }
    let Checker { created, reused, peak, .. } = checker;
    println!(
        "protocol {protocol}, {workers} workers: {created} sessions created, {} live, {peak} at once, {reused} ports reused, no collision",
        live.len()
    );
    assert!(reused > created / 8, "{reused} of {created}");
}

#[test]
fn sixty_thousand_at_once_on_one_address_and_no_collision_ever() {
    let mut rng = Rng::new();
    for (protocol, workers) in [(17, 1), (6, 1), (17, 2)] {
        churn(protocol, workers, scaled(100_000) as u64 / 3 + 60_000, &mut rng);
    }
}
