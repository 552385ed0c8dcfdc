//! Which receive queue a packet comes in on: what a network card does in its RSS unit.
//!
//! Both directions of a flow have the same hash, so a flow stays with one worker however many there are. A fragment has no ports but
//! in the first piece, so that all pieces of a datagram are hashed by their addresses and protocol only.

use swath_api::flow::ethernet_hash;
use swath_api::wire::{Eth, EtherType, Header, Vlan};

/// The hash of a frame's flow: addresses, protocol and ports of IPv4 and IPv6, behind any VLAN tags; 0 for everything else. A frame
/// that was captured in part has the same hash as long as its headers are there.
pub fn flow_hash(frame: &[u8]) -> u32 {
    ethernet_hash(frame, 0).map_or(0, |hash| (hash >> 32) as u32)
}

/// The receive queue, of so many, for a hash.
pub fn queue_of(hash: u32, queues: usize) -> usize {
    ((u64::from(hash) * queues as u64) >> 32) as usize
}

/// What a frame carries behind its VLAN tags, and where that begins.
pub(crate) fn network(frame: &[u8]) -> Option<(EtherType, usize)> {
    let (eth, _) = Eth::parse(frame).ok()?;
    let (mut ether_type, mut at) = (eth.ether_type(), size_of::<Eth>());
    while ether_type.is_vlan() {
        let (tag, _) = Vlan::parse(frame.get(at..)?).ok()?;
        ether_type = tag.ether_type();
        at += size_of::<Vlan>();
    }
    Some((ether_type, at))
}

/// A bijection that makes every bit of its result depend on every bit of `word` (the finalizer of splitmix64; Steele, Lea, Flood:
/// Fast Splittable Pseudorandom Number Generators, 2014).
pub(crate) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::TextPacket;

    fn of(text: &str) -> u32 {
        flow_hash(&TextPacket::parse(text).unwrap().frame())
    }

    #[test]
    fn both_directions_are_one_flow() {
        for (there, back) in [
            ("udp 10.0.0.1:1000 > 10.1.0.1:53", "udp 10.1.0.1:53 > 10.0.0.1:1000"),
            ("tcp 10.0.0.1:1000 > 10.1.0.1:53 vlan 7", "tcp 10.1.0.1:53 > 10.0.0.1:1000 flags syn ttl 3 svlan 9 vlan 8"),
            ("udp [2001:db8::1]:7 > [2001:db8::2]:8", "udp [2001:db8::2]:8 > [2001:db8::1]:7"),
            ("icmp 10.0.0.1 > 10.1.0.1 id 5", "icmp 10.1.0.1 > 10.0.0.1 echo-reply id 6"),
        ] {
            assert_eq!(of(there), of(back), "{there}");
            assert_ne!(of(there), 0);
        }
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let mut hashes = [
            "udp 10.0.0.1:1000 > 10.1.0.1:53",
            "tcp 10.0.0.1:1000 > 10.1.0.1:53",
            "udp 10.0.0.1:53 > 10.1.0.1:1000",
            "udp 10.0.0.1:1001 > 10.1.0.1:53",
            "udp 10.0.0.2:1000 > 10.1.0.1:53",
            "udp 10.0.0.1:1000 > 10.1.0.2:53",
            "udp [2001:db8::1]:1000 > [2001:db8::2]:53",
            "udp [2001:db9::1]:1000 > [2001:db8::2]:53",
        ]
        .map(of);
        hashes.sort_unstable();
        assert!(hashes.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn the_pieces_of_a_datagram_stay_together() {
        let pieces = [
            "udp 10.0.0.1:1000 > 10.1.0.1:53 mf len 60",
            "udp 10.0.0.1 > 10.1.0.1 frag 24 mf len 60",
            "udp 10.0.0.1 > 10.1.0.1 frag 48 len 60",
        ]
        .map(of);
        assert_eq!(pieces, [pieces[0]; 3]);
        let pieces = ["udp [2001:db8::1]:7 > [2001:db8::2]:8 mf len 100", "udp 2001:db8::1 > 2001:db8::2 frag 24 len 100"].map(of);
        assert_eq!(pieces, [pieces[0]; 2]);
    }

    #[test]
    fn what_is_not_ip_or_is_cut_short_has_no_flow() {
        assert_eq!(of("arp who-has 10.0.0.1 tell 10.0.0.2"), 0);
        let frame = TextPacket::parse("tcp 10.0.0.1:1000 > 10.1.0.1:53 payload \"hello\"").unwrap().frame();
        for len in 0..34 {
            assert_eq!(flow_hash(&frame[..len]), 0, "{len}");
        }
        for len in 38..frame.len() {
            assert_eq!(flow_hash(&frame[..len]), flow_hash(&frame), "{len}");
        }
    }

    #[test]
    fn flows_spread_evenly() {
        for queues in [1, 2, 3, 4] {
            let mut counts = vec![0; queues];
            for port in 0..4000 {
                counts[queue_of(of(&format!("udp 10.0.0.1:{port} > 10.1.0.1:53")), queues)] += 1;
            }
            // Four standard deviations of a binomial distribution.
            let mean = 4000.0 / queues as f64;
            assert!(counts.iter().all(|count| (f64::from(*count) - mean).abs() < 4.0 * mean.sqrt()), "{counts:?}");
        }
    }
}
