//! Packets in fragments, in any order (RFC 4787 REQ-14), both ways.

use crate::common::random::Rng;
use crate::packets::{as_seen, fragmented, udp, udp_of, with_ends};
use crate::{A, B, Net, R, SECOND, X};

/// A packet as the other side sees its fragments: those of the packet that it would be whole.
fn seen(
    packet: &[u8],
    from: Option<(crate::Address, u16)>,
    to: Option<(crate::Address, u16)>,
    id: u16,
    size: usize,
) -> Vec<Vec<u8>> {
    fragmented(&with_ends(packet, from, to), id, size).iter().map(|fragment| as_seen(fragment, None, None)).collect()
}

fn sorted(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    packets.sort_unstable();
    packets
}

#[test]
fn req_14_fragments_in_any_order() {
    let mut rng = Rng::new();
    for workers in [1, 2, 4] {
        let mut net = Net::with(workers, "");
        net.leaves(&udp((A, 4000), (R, 53)));
        let payload: Vec<u8> = rng.bytes(3000);
        let (leaving, coming) = (udp_of((A, 4000), (R, 53), &payload), udp_of((R, 53), (X, 4000), &payload));
        for id in 0..30 {
            let in_order = id < 5;
            let mut parts = fragmented(&leaving, id, 600);
            if !in_order {
                rng.shuffle(&mut parts);
            }
            let [_, mut left] = net.inside(&parts);
            net.wait(SECOND / 50);
            left.extend(net.sent()[1].clone());
            assert_eq!(sorted(left), sorted(seen(&leaving, Some((X, 4000)), None, id, 600)), "{workers} workers");
            let mut parts = fragmented(&coming, id, 600);
            if !in_order {
                rng.shuffle(&mut parts);
            }
            let [mut entered, _] = net.outside(&parts);
            if in_order {
                // Nothing waits.
                assert_eq!(entered, seen(&coming, None, Some((A, 4000)), id, 600), "{workers} workers");
            }
            net.wait(SECOND / 50);
            entered.extend(net.sent()[0].clone());
            assert_eq!(sorted(entered), sorted(seen(&coming, None, Some((A, 4000)), id, 600)), "{workers} workers");
        }
        assert_eq!(net.rig.check().held, 0);
    }
}

#[test]
fn a_first_fragment_opens_a_session() {
    let mut net = Net::new("");
    let packet = udp_of((A, 4000), (R, 53), &[7; 1000]);
    let parts = fragmented(&packet, 9, 600);
    let [_, left] = net.inside(&parts);
    assert_eq!(left, seen(&packet, Some((X, 4000)), None, 9, 600));
    net.enters(&udp((R, 53), (X, 4000)));
}

#[test]
fn fragments_without_their_first_one_wait_for_so_long_and_no_more_than_so_many() {
    let mut net = Net::new("waiting-fragments: 3");
    net.leaves(&udp((A, 4000), (R, 53)));
    let last = |id: u16| fragmented(&udp_of((R, 53), (X, 4000), &[7; 1000]), id, 600).remove(1);
    net.outside(&[last(1), last(2), last(3), last(4), last(5)]);
    assert_eq!((net.rig.count("dnat.waiting"), net.rig.count("dnat.fragments-full")), (3, 2));
    net.wait(2 * SECOND + SECOND / 50);
    assert_eq!(net.rig.count("dnat.first-fragment-missing"), 3);
    // The same from inside.
    let last = |id: u16| fragmented(&udp_of((A, 4000), (R, 53), &[7; 1000]), id, 600).remove(1);
    net.inside(&[last(1), last(2), last(3), last(4)]);
    assert_eq!((net.rig.count("snat.waiting"), net.rig.count("snat.fragments-full")), (3, 1));
    net.wait(2 * SECOND + SECOND / 50);
    assert_eq!(net.rig.count("snat.first-fragment-missing"), 3);
    // Whole packets were never in the way of that (REQ-14 a).
    net.enters(&udp((R, 53), (X, 4000)));
    net.rig.check();
}

#[test]
fn fragments_of_what_is_dropped_are_dropped() {
    let mut net = Net::new("");
    net.outside(&fragmented(&udp_of((R, 53), (X, 4000), &[7; 1000]), 3, 600));
    net.wait(3 * SECOND);
    assert_eq!(net.sent(), [Vec::<Vec<u8>>::new(), vec![]]);
    assert_eq!((net.rig.count("dnat.no-session"), net.rig.count("dnat.first-fragment-missing")), (1, 1));
}

#[test]
fn fragments_for_the_router_itself_pass() {
    let mut net = Net::new("");
    let parts = fragmented(&udp_of((R, 53), (X, 99), &[7; 1000]), 3, 600);
    net.outside(&[parts[1].clone(), parts[0].clone()]);
    net.wait(SECOND / 50);
    assert_eq!(net.rig.count("dnat.other"), 2);
}

#[test]
fn hairpins_in_fragments() {
    for workers in [1, 4] {
        let mut net = Net::with(workers, "static: [{ inside: 192.168.1.11, protocol: udp, port: 2049 }]");
        let packet = udp_of((A, 4000), (X, 2049), &[7; 1000]);
        let [mut turned, _] = net.inside(&fragmented(&packet, 3, 600));
        net.wait(SECOND / 50);
        turned.extend(net.sent()[0].clone());
        let outside = crate::packets::source(&turned[0]);
        assert_eq!(turned, seen(&packet, Some(outside), Some((B, 2049)), 3, 600), "{workers} workers");
        assert_eq!(outside.0, X);
    }
}
