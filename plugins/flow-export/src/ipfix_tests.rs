use std::io;

use super::*;
use crate::flow::{End, Seen};
use swath_api::Lane;
use swath_api::prelude::*;
use swath_api::testkit::TestKit;

/// What is seen of a packet, by a node that keeps what it sees.
fn seen(packet: &[u8], lane: Lane) -> Seen {
    thread_local! { static SEEN: std::cell::Cell<Seen> = const { std::cell::Cell::new(Seen::NONE) } }
    edges! { enum Next { /// All.
    Ok = required("ok", layer::SAME) } }
    struct Look;
    impl Node for Look {
        const INFO: Info = Info::new("look", "Looks.");
        type Config = NoConfig;
        type Next = Next;
        fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Look, ConfigError> {
            Ok(Look)
        }
        fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
            frame.for_each(|packet| {
                SEEN.set(Seen::of(packet, 1));
                Next::Ok
            });
        }
    }
    TestKit::new().node::<Look>("{}").unwrap().one(packet, lane);
    SEEN.get()
}

fn lane(rx: u16, tx: u16) -> Lane {
    Lane { rx, tx, ..Lane::default() }
}

/// TCP 192.0.2.1:4000 > 198.51.100.2:443, DSCP 46, ECN 1, SYN and ACK.
fn tcp() -> Vec<u8> {
    let mut packet = vec![0x45, 0xb9, 0, 44, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];
    packet.extend([0x0f, 0xa0, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 1, 0, 0, 0, 0, 0]);
    packet.extend([0; 4]);
    packet
}

/// An echo request, with options in its IPv4 header.
fn echo() -> Vec<u8> {
    let mut packet = vec![0x46, 0, 0, 32, 0, 1, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2, 1, 1, 1, 0];
    packet.extend([8, 3, 0, 0, 0, 0, 0, 0]);
    packet
}

fn flow(packet: &[u8], first: u64) -> Flow {
    Flow { end: End::Idle, ..Flow::new(&seen(packet, lane(0, 3)), first) }
}

const TIMES: Times = Times { now: 1_700_000_000_123, start: 1_700_000_000_000 };

#[test]
fn a_record_has_what_was_counted() {
    let mut counted = flow(&tcp(), 5_000_000);
    counted.count(&Seen { tcp_flags: 1, ..seen(&tcp(), lane(0, 9)) }, 7_999_999);
    let (template, bytes) = record(&counted, TIMES);
    let mut expected = vec![192, 0, 2, 1, 198, 51, 100, 2, 0x0f, 0xa0, 0x01, 0xbb, 6, 46, 0xb9, 0x13, 1, 0, 0, 0, 1, 0, 0, 0, 4];
    for word in [2_u64, 88, 1_700_000_000_005, 1_700_000_000_007] {
        expected.extend(word.to_be_bytes());
    }
    assert_eq!((template, bytes), (256, expected));

    let (template, bytes) = record(&Flow { egress: NO_INTERFACE, ..flow(&echo(), 0) }, TIMES);
    let mut expected = vec![192, 0, 2, 1, 198, 51, 100, 2, 8, 3, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
    for word in [1_u64, 32, 1_700_000_000_000, 1_700_000_000_000] {
        expected.extend(word.to_be_bytes());
    }
    assert_eq!((template, bytes), (257, expected));
}

#[test]
fn what_tells_flows_apart() {
    let one = seen(&tcp(), lane(0, 3)).key;
    let with = |at: usize, byte: u8| {
        let mut packet = tcp();
        packet[at] = byte;
        seen(&packet, lane(0, 3)).key
    };
    for (at, byte) in [(1, 0xb5), (9, 17), (12, 1), (19, 1), (20, 1), (23, 1)] {
        assert_ne!(with(at, byte), one, "byte {at}");
    }
    // ECN, time to live, identification, sequence number, and where it leaves.
    for (at, byte) in [(1, 0xb8), (8, 1), (5, 9), (27, 9)] {
        assert_eq!(with(at, byte), one, "byte {at}");
    }
    assert_eq!(seen(&tcp(), lane(0, 4)).key, one);
    assert_ne!(seen(&tcp(), lane(1, 3)).key, one);
    // A fragment behind the first has no ports, nor flags.
    let mut fragment = tcp();
    fragment[7] = 1;
    let fragment = seen(&fragment, lane(0, 3));
    assert_eq!((fragment.key.ports(), fragment.tcp_flags, fragment.bytes), ([0, 0], 0, 44));
    // What ends early has what is there.
    for length in 0..20 {
        assert_eq!(seen(&tcp()[..length], lane(0, 3)).bytes, 0, "{length} bytes");
    }
    assert_eq!(seen(&tcp()[..23], lane(0, 3)).key.ports(), [4000, 0]);
    for first in [0x44, 0x65] {
        let mut packet = tcp();
        packet[0] = first;
        assert_eq!(seen(&packet, lane(0, 3)).bytes, 0, "{first:#x}");
    }
}

/// What a collector reads: of each message its length and sequence number, and of each set its id and how many records it has.
fn read(message: &[u8]) -> (usize, u32, Vec<(u16, usize)>) {
    let be16 = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    assert_eq!((be16(0), usize::from(be16(2))), (10, message.len()));
    let (mut at, mut sets) = (HEADER, Vec::new());
    while at < message.len() {
        let (id, length) = (be16(at), usize::from(be16(at + 2)));
        let record = match id {
            256 => 57,
            257 => 54,
            _ => length - SET,
        };
        assert_eq!((length - SET) % record, 0, "set {id} of {length} bytes");
        sets.push((id, (length - SET) / record));
        at += length;
    }
    assert_eq!(at, message.len());
    (message.len(), u32::from_be_bytes([message[8], message[9], message[10], message[11]]), sets)
}

#[test]
fn sequence_numbers_count_records_and_messages_fit() {
    let mut stream = Stream::new(7, 512);
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut send = |message: &[u8]| {
        messages.push(message.to_vec());
        Ok(())
    };
    stream.tell(&[(1, "lan".into()), (2, "wan".into())]);
    let (tcp, echo) = (flow(&tcp(), 0), flow(&echo(), 0));
    for index in 0..20 {
        stream.push(if index % 5 == 4 { &echo } else { &tcp }, TIMES, &mut send).unwrap();
    }
    assert_eq!(stream.take_sent(), (2, 20 - u64::from(stream.waiting())));
    stream.age(500, Times { now: TIMES.now + 499, ..TIMES }, &mut send).unwrap();
    stream.age(500, Times { now: TIMES.now + 500, ..TIMES }, &mut send).unwrap();
    // Templates again, and a flow.
    stream.tell(&[(1, "lan".into())]);
    stream.push(&tcp, TIMES, &mut send).unwrap();
    stream.age(0, TIMES, &mut send).unwrap();
    stream.age(0, TIMES, &mut send).unwrap();
    let read: Vec<_> = messages.iter().map(|message| read(message)).collect();
    assert!(read.iter().all(|(length, ..)| *length <= 512), "{read:?}");
    let mut next = 0;
    for (_, sequence, sets) in &read {
        assert_eq!(*sequence, next);
        // Names are records, too: two interfaces in one set, and one later.
        let names = |count: usize| if count > 0 { if next == 0 { 2 } else { 1 } } else { 0 };
        next += sets
            .iter()
            .map(|(id, count)| match id {
                256 | 257 => *count as u32,
                258 => names(*count),
                _ => 0,
            })
            .sum::<u32>();
    }
    assert_eq!((next, messages.len()), (20 + 2 + 21 - 20 + 1, 4));
    let flows =
        |id: u16| read.iter().flat_map(|(.., sets)| sets).filter(|(set, _)| *set == id).map(|(_, count)| count).sum::<usize>();
    assert_eq!((flows(256), flows(257)), (17, 4));
    let templates = |(.., sets): &&(usize, u32, Vec<(u16, usize)>)| sets.iter().any(|(id, _)| *id == 2);
    assert_eq!(read.iter().map(|message| templates(&message)).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(messages[0][12..16], [0, 0, 0, 7]);
    // 2023-11-14T22:13:20Z.
    assert_eq!(messages[0][4..8], 1_700_000_000_u32.to_be_bytes());
}

#[test]
fn what_cannot_be_sent_is_sent_later_and_once() {
    let mut stream = Stream::new(1, 512);
    stream.tell(&[]);
    let mut left = 0;
    let mut flows: Vec<Vec<u8>> = Vec::new();
    let (mut pushed, mut failed) = (0_u64, 0);
    while pushed < 100 {
        let mut attempts = 0;
        let mut send = |message: &[u8]| {
            attempts += 1;
            // Each message is refused twice.
            left = if left == 0 { 2 } else { left - 1 };
            if left > 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            flows.push(message.to_vec());
            Ok(())
        };
        let mut flow = flow(&tcp(), 0);
        flow.packets = pushed;
        match stream.push(&flow, TIMES, &mut send) {
            Ok(()) => pushed += 1,
            Err(_) => failed += 1,
        }
    }
    stream
        .age(0, TIMES, &mut |message| {
            flows.push(message.to_vec());
            Ok(())
        })
        .unwrap();
    let mut packets = Vec::new();
    for message in &flows {
        let (_, sequence, sets) = read(message);
        assert_eq!(sequence as usize, packets.len());
        let count = sets.iter().filter(|(id, _)| *id == 256).map(|(_, count)| count).sum::<usize>();
        let start = message.len() - count * 57;
        packets.extend(message[start..].chunks(57).map(|record| u64::from_be_bytes(record[25..33].try_into().unwrap())));
    }
    assert_eq!(packets, (0..100).collect::<Vec<u64>>());
    assert_eq!((stream.take_sent(), stream.waiting()), ((flows.len() as u64, 100), 0));
    assert!(failed >= 2 * (flows.len() - 1) - 1, "{failed}");
}
