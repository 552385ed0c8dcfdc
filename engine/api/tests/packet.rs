//! A packet's views at their limits, and random sequences of operations against a vector of bytes.

mod common;

use std::sync::{Arc, Mutex};

use common::{Next, ROOM, random, run, run_one, walker};
use proptest::prelude::*;
use swath_api::prelude::*;
use swath_api::testkit::TestKit;
use swath_api::wire::{Eth, EtherType, Ipv4, Udp, WireError};

/// Bytes before a received packet that may be used: the headroom.
const HEADROOM: usize = 128;
/// What is left behind the start of any packet.
const WINDOW: usize = 128;

/// Runs `check` on one packet of these bytes: it answers whether all is as it should be.
fn check(bytes: &[u8], check: impl Fn(&mut Packet<'_>) + Send + 'static) -> Vec<u8> {
    let outcome = run_one(bytes, move |packet| {
        check(packet);
        Next::A
    });
    assert_eq!(outcome.edge, "a", "the panic above says what is wrong");
    outcome.bytes
}

#[test]
fn head_is_there_if_the_bytes_are() {
    check(b"abc", |packet| {
        assert_eq!((packet.len(), packet.is_empty()), (3, false));
        assert!(packet.head::<0>().is_some());
        assert_eq!(packet.head::<3>().copied(), Some(*b"abc"));
        assert_eq!(packet.head::<4>(), None);
        assert!(packet.eth().is_none() && packet.ip4().is_none());
        assert_eq!(packet.data(), b"abc");
    });
    let bytes = vec![1; ROOM];
    check(&bytes, |packet| {
        assert_eq!(packet.len(), ROOM);
        assert!(packet.head::<ROOM>().is_some() && packet.head::<{ ROOM + 1 }>().is_none());
    });
}

#[test]
fn a_window_is_there_whatever_the_length() {
    for len in [0, 1, 127, 128, 129] {
        let sent = check(&vec![0xaa; len], move |packet| {
            assert!(packet.window::<0>().is_empty());
            let window = packet.window::<WINDOW>();
            assert!(window.iter().take(len).all(|byte| *byte == 0xaa));
            window.fill(0xbb);
        });
        // What is written behind the end is not sent.
        assert_eq!(sent, [vec![0xbb; len.min(128)], vec![0xaa; len.saturating_sub(128)]].concat());
    }
}

#[test]
fn advance_stops_at_the_end_of_the_packet() {
    let sent = check(b"abcd", |packet| {
        assert!(!packet.advance(5) && !packet.advance(u16::MAX));
        assert!(packet.advance(0) && packet.advance(3));
        assert_eq!(packet.data(), b"d");
        assert!(!packet.advance(2));
        assert!(packet.advance(1) && packet.is_empty() && packet.advance(0) && !packet.advance(1));
        assert_eq!((packet.head::<0>().is_some(), packet.head::<1>().is_some()), (true, false));
    });
    assert!(sent.is_empty());
}

#[test]
fn advance_leaves_a_window_of_chunk() {
    let furthest = (ROOM - WINDOW) as u16;
    check(&[7; ROOM], move |packet| {
        assert!(!packet.advance(furthest + 1));
        assert!(packet.advance(furthest));
        assert_eq!(packet.len(), WINDOW);
        assert!(!packet.advance(1));
        assert_eq!(packet.window::<WINDOW>(), &[7; WINDOW]);
        // Neither does a cut packet go deeper: the rule is about the chunk.
        packet.truncate(1);
        assert!(!packet.advance(1));
    });
}

#[test]
fn prepend_ends_where_the_headroom_does() {
    let sent = check(b"tail", |packet| {
        assert!(packet.prepend::<{ HEADROOM + 1 }>().is_none());
        assert!(packet.prepend::<0>().is_some());
        packet.prepend::<HEADROOM>().unwrap().fill(0x11);
        assert!(packet.prepend::<1>().is_none());
        assert_eq!(packet.len(), HEADROOM + 4);
        // What is taken off can be put back.
        assert!(packet.advance(1) && packet.prepend::<2>().is_none());
        *packet.prepend().unwrap() = [0x22];
        assert!(packet.prepend::<1>().is_none());
    });
    assert_eq!(sent, [&[0x22][..], &[0x11; HEADROOM - 1], b"tail"].concat());
}

#[test]
fn a_chunk_can_be_filled_from_end_to_end() {
    let sent = check(&[3; ROOM], |packet| {
        packet.prepend::<HEADROOM>().unwrap().fill(4);
        assert!(packet.prepend::<1>().is_none() && packet.append(1).is_none());
        assert_eq!(packet.data().len(), HEADROOM + ROOM);
    });
    assert_eq!(sent, [vec![4; HEADROOM], vec![3; ROOM]].concat());
}

#[test]
fn truncate_only_shortens() {
    let sent = check(b"abcdef", |packet| {
        for (length, left) in [(7, 6), (usize::MAX, 6), (6, 6), (4, 4), (5, 4), (2, 2)] {
            packet.truncate(length);
            assert_eq!(packet.len(), left);
        }
        packet.truncate(0);
        assert!(packet.is_empty());
        // The bytes behind the end are still those of before.
        assert_eq!(packet.append(3).unwrap(), b"abc");
    });
    assert_eq!(sent, b"abc");
}

#[test]
fn append_ends_where_the_chunk_does() {
    let sent = check(b"head", |packet| {
        let room = ROOM - 4;
        assert!(packet.append(room + 1).is_none() && packet.append(usize::MAX).is_none());
        assert_eq!(packet.len(), 4);
        packet.append(room).unwrap().fill(0x33);
        assert!(packet.append(1).is_none());
        assert!(packet.append(0).unwrap().is_empty());
        // Taking off the front makes no room behind.
        assert!(packet.advance(4) && packet.append(1).is_none());
        packet.truncate(2);
        packet.append(1).unwrap().fill(0x44);
    });
    assert_eq!(sent, [0x33, 0x33, 0x44]);
}

#[test]
fn a_header_is_checked_and_what_follows_it_is_the_rest() {
    let mut bytes = [0_u8; 14 + 20 + 8 + 5];
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14..18].copy_from_slice(&[0x45, 0, 0, 33]);
    bytes[34 + 4..34 + 6].copy_from_slice(&[0, 13]);
    let sent = check(&bytes, |packet| {
        let (eth, rest) = packet.header::<Eth>().unwrap();
        assert_eq!((eth.ether_type(), rest.len()), (EtherType::IPV4, 33));
        rest[0] |= 0x0f;
        assert!(packet.advance(14));
        let (header, least) = ("IPv4", 60);
        assert_eq!(packet.header::<Ipv4>().err(), Some(WireError::BadLength { header, length: 33, least }));
        packet.ip4().unwrap().set_header_len(20);
        assert_eq!(packet.header::<Ipv4>().unwrap().0.total_len(), 33);
        assert!(packet.advance(20));
        packet.header::<Udp>().unwrap().0.set_dst_port(0x3500);
        packet.truncate(7);
        assert_eq!(packet.header::<Udp>().err(), Some(WireError::Truncated { header: "UDP", need: 8, have: 7 }));
        assert!(packet.prepend::<34>().is_some());
    });
    let mut expected = bytes[..41].to_vec();
    expected[36] = 0x35;
    assert_eq!(sent, expected);
}

#[derive(Debug, Clone)]
enum Op {
    Advance(u16),
    Prepend(usize),
    Truncate(usize),
    Append(usize),
    Window(u8),
    Data(u8),
}

/// What a packet should be: its bytes, and where in the chunk they start.
#[derive(Debug, Clone)]
struct Model {
    bytes: Vec<u8>,
    start: usize,
}

impl Model {
    /// Where data may start and end, in bytes of the chunk.
    const RANGE: std::ops::Range<usize> = 256..256 + HEADROOM + ROOM;

    fn apply(&mut self, op: &Op) -> bool {
        let (len, end) = (self.bytes.len(), self.start + self.bytes.len());
        match *op {
            Op::Advance(n) => {
                let n = usize::from(n);
                if n > len || self.start + n + WINDOW > Self::RANGE.end {
                    return false;
                }
                self.bytes.drain(..n);
                self.start += n;
            }
            Op::Prepend(n) => {
                if self.start < Self::RANGE.start + n {
                    return false;
                }
                self.bytes.splice(0..0, std::iter::repeat_n(n as u8, n));
                self.start -= n;
            }
            Op::Append(n) => {
                if end + n > Self::RANGE.end {
                    return false;
                }
                self.bytes.extend(std::iter::repeat_n(n as u8, n));
            }
            Op::Truncate(n) => self.bytes.truncate(n),
            Op::Window(byte) => self.bytes.iter_mut().take(WINDOW).for_each(|b| *b = byte),
            Op::Data(byte) => self.bytes.fill(byte),
        }
        true
    }
}

const PREPENDS: [usize; 6] = [0, 1, 14, 20, 64, 128];

fn prepend(packet: &mut Packet<'_>, n: usize) -> bool {
    fn fill<const N: usize>(packet: &mut Packet<'_>) -> bool {
        packet.prepend::<N>().map(|new| new.fill(N as u8)).is_some()
    }
    match n {
        0 => fill::<0>(packet),
        1 => fill::<1>(packet),
        14 => fill::<14>(packet),
        20 => fill::<20>(packet),
        64 => fill::<64>(packet),
        _ => fill::<128>(packet),
    }
}

fn apply(packet: &mut Packet<'_>, op: &Op) -> bool {
    match op {
        Op::Advance(n) => return packet.advance(*n),
        Op::Prepend(n) => return prepend(packet, *n),
        Op::Append(n) => return packet.append(*n).map(|new| new.fill(*n as u8)).is_some(),
        Op::Truncate(n) => packet.truncate(*n),
        Op::Window(byte) => packet.window::<WINDOW>().fill(*byte),
        Op::Data(byte) => packet.data_mut().fill(*byte),
    }
    true
}

fn op() -> impl Strategy<Value = Op> {
    let small = 0..150_usize;
    let count = prop_oneof![4 => small, 1 => 0..ROOM + 200];
    prop_oneof![
        count.clone().prop_map(|n| Op::Advance(n as u16)),
        prop::sample::select(PREPENDS.to_vec()).prop_map(Op::Prepend),
        count.clone().prop_map(Op::Truncate),
        count.prop_map(Op::Append),
        any::<u8>().prop_map(Op::Window),
        any::<u8>().prop_map(Op::Data),
    ]
}

#[test]
fn random_operations_do_to_a_packet_what_they_do_to_a_vector() {
    let packets = prop::collection::vec((prop_oneof![0..100_usize, 0..ROOM + 1], prop::collection::vec(op(), 0..40)), 1..5);
    random(400)
        .run(&packets, |packets| {
            let bytes: Vec<Vec<u8>> = packets.iter().map(|(len, _)| (0..*len).map(|at| at as u8).collect()).collect();
            let mut ops = packets.iter().map(|(_, ops)| ops.clone()).collect::<Vec<_>>().into_iter();
            let seen = Arc::new(Mutex::new(Vec::new()));
            let log = Arc::clone(&seen);
            let mut kit = walker(TestKit::with_buffers(8), move |frame, _| {
                frame.for_each(|packet| {
                    let log = &mut *log.lock().unwrap();
                    for op in ops.next().unwrap_or_default() {
                        let done = apply(packet, &op);
                        log.push((done, packet.data().to_vec()));
                    }
                    Next::A
                });
            });
            let outcomes = run(&mut kit, &bytes);
            let mut seen = seen.lock().unwrap().clone().into_iter();
            for ((bytes, (_, ops)), outcome) in bytes.into_iter().zip(packets).zip(outcomes) {
                let mut model = Model { bytes, start: Model::RANGE.start + HEADROOM };
                for op in ops {
                    let done = model.apply(&op);
                    prop_assert_eq!(seen.next(), Some((done, model.bytes.clone())), "{:?}", op);
                }
                prop_assert_eq!((outcome.edge, outcome.bytes), ("a", model.bytes));
            }
            Ok(())
        })
        .unwrap();
}
