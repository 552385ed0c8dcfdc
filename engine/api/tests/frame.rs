//! The ways to walk a frame that decide packet by packet, and those that send more packets.

mod common;

use common::{Next, SIZES, edges_of, lane, numbered, run, walker};
use swath_api::prelude::*;
use swath_api::testkit::{Outcome, TestKit};
use swath_api::{Called, reserved};

fn by_number(number: usize) -> Next {
    [Next::A, Next::B, Next::C][number % 3]
}

fn name(next: Next) -> &'static str {
    Next::EDGES[usize::from(next.id())].name.as_str()
}

fn number_of(packet: &mut Packet<'_>) -> usize {
    packet.head::<4>().map_or(usize::MAX, |head| u32::from_be_bytes(*head) as usize)
}

/// What becomes of packet `number` if it is not changed.
fn untouched(number: usize, bytes: &[u8], next: Next) -> Outcome {
    Outcome { edge: name(next), bytes: bytes.to_vec(), lane: lane(number) }
}

#[test]
fn for_each_decides_and_keeps_what_it_changed() {
    for size in SIZES {
        let mut kit = walker(TestKit::new(), |frame, _| {
            frame.for_each(|packet| {
                let number = number_of(packet);
                packet.lane().tx = number as u16;
                assert!(packet.advance(3));
                if let Some([last]) = packet.head() {
                    *last ^= 0xff;
                }
                by_number(number)
            });
        });
        let packets = numbered(size);
        let expected = packets.iter().enumerate().map(|(number, bytes)| {
            let mut outcome = untouched(number, &bytes[3..], by_number(number));
            outcome.bytes[0] ^= 0xff;
            outcome.lane.tx = number as u16;
            outcome
        });
        assert_eq!(run(&mut kit, &packets), expected.collect::<Vec<_>>(), "{size} packets");
        assert_eq!(kit.called(), Called::default());
    }
}

#[test]
fn all_and_lanes_reach_every_packet_and_no_byte() {
    for size in SIZES {
        let mut kit = walker(TestKit::new(), move |frame, _| {
            assert_eq!((frame.len(), frame.is_empty()), (size, false));
            for (index, lane) in frame.lanes().iter_mut().enumerate() {
                lane.tx = index as u16;
            }
            frame.all(Next::B);
        });
        let packets = numbered(size);
        let outcomes = run(&mut kit, &packets);
        assert_eq!(outcomes.len(), size);
        for (number, outcome) in outcomes.into_iter().enumerate() {
            let mut expected = untouched(number, &packets[number], Next::B);
            expected.lane.tx = number as u16;
            assert_eq!(outcome, expected);
        }
    }
}

#[test]
fn gathered_keys_meet_their_packets_in_decide() {
    for size in SIZES {
        let mut kit = walker(TestKit::new(), move |frame, _| {
            let mut keys = [usize::MAX; VECTOR];
            let keys = frame.gather(&mut keys, number_of);
            assert_eq!(*keys, *(0..size).collect::<Vec<_>>());
            frame.decide(keys, |packet, key| if number_of(packet) == *key { by_number(*key) } else { Next::Bad });
        });
        let packets = numbered(size);
        let expected: Vec<_> = packets.iter().enumerate().map(|(i, bytes)| untouched(i, bytes, by_number(i))).collect();
        assert_eq!(run(&mut kit, &packets), expected);
    }
}

#[test]
fn what_is_read_is_as_it_was() {
    for size in SIZES {
        let mut kit = walker(TestKit::new(), move |frame, _| {
            let mut keys = [(0, 0, [0; 2]); VECTOR];
            let keys = frame.read(&mut keys, |packet| (packet.len(), packet.lane_ref().adj, *packet.peek()));
            let keys: Vec<_> = keys.iter().map(|(length, adj, bytes)| (*length, *adj, bytes[..2.min(*length)].to_vec())).collect();
            let mut expected = Vec::new();
            frame.for_each(|packet| {
                expected.push((packet.len(), packet.lane().adj, packet.data()[..2.min(packet.len())].to_vec()));
                Next::B
            });
            assert_eq!(keys, expected);
        });
        let packets = numbered(size);
        let expected: Vec<_> = packets.iter().enumerate().map(|(i, bytes)| untouched(i, bytes, Next::B)).collect();
        assert_eq!(run(&mut kit, &packets), expected);
    }
}

#[test]
fn gather_may_change_packets() {
    let mut kit = walker(TestKit::new(), |frame, _| {
        let mut keys = [false; VECTOR];
        let keys = frame.gather(&mut keys, |packet| packet.advance(4));
        frame.decide(keys, |_, advanced| if *advanced { Next::A } else { Next::Bad });
    });
    let outcomes = run(&mut kit, &numbered(17));
    assert!(outcomes.iter().enumerate().all(|(i, outcome)| outcome.edge == "a" && outcome.bytes.len() == i), "{outcomes:?}");
}

#[test]
fn decide_lanes_sees_lanes_and_values() {
    for size in SIZES {
        let mut kit = walker(TestKit::new(), move |frame, _| {
            let values: Vec<u32> = (0..size as u32).collect();
            frame.decide_lanes(&values, |lane, value| {
                let right = lane.adj == 1000 + value;
                lane.adj = *value;
                if right { by_number(*value as usize) } else { Next::Bad }
            });
        });
        let packets = numbered(size);
        for (number, outcome) in run(&mut kit, &packets).into_iter().enumerate() {
            let mut expected = untouched(number, &packets[number], by_number(number));
            expected.lane.adj = number as u32;
            assert_eq!(outcome, expected);
        }
    }
}

#[test]
fn decide_in_place_changes_bytes_and_lanes() {
    for size in SIZES {
        let mut kit = walker(TestKit::new(), move |frame, _| {
            let values: Vec<u32> = (0..VECTOR as u32).collect();
            let change = |packet: &mut Packet<'_>, value: &u32| {
                packet.data_mut().iter_mut().for_each(|byte| *byte = !*byte);
                packet.lane().adj = *value;
                by_number(*value as usize)
            };
            frame.decide_in_place(
                &values,
                &mut 0,
                |calls, packet, value| {
                    *calls += 1;
                    (value % 3 > 0).then(|| change(packet, value))
                },
                // At once: before any that follows.
                |calls, packet, value| if value % 3 == 0 && *calls == value + 1 { change(packet, value) } else { Next::Bad },
            );
        });
        let packets = numbered(size);
        for (number, outcome) in run(&mut kit, &packets).into_iter().enumerate() {
            let inverted: Vec<u8> = packets[number].iter().map(|byte| !byte).collect();
            let mut expected = untouched(number, &inverted, by_number(number));
            expected.lane.adj = number as u32;
            assert_eq!(outcome, expected);
        }
    }
}

#[test]
fn the_last_walk_counts_and_each_packet_needs_a_value() {
    for size in SIZES {
        let mut kit = walker(TestKit::new(), move |frame, _| {
            frame.for_each(|_| Next::Bad);
            frame.all(Next::C);
            frame.decide(&[(); 2 * VECTOR], |_, ()| Next::A);
        });
        assert_eq!(edges_of(&run(&mut kit, &numbered(size))), vec!["a"; size]);
        let few: [fn(&mut Frame<'_, Next>); 3] = [
            |frame| frame.decide(&vec![(); frame.len() - 1], |_, ()| Next::A),
            |frame| frame.decide_in_place(&vec![(); frame.len() - 1], &mut (), |_, _, ()| Some(Next::A), |_, _, ()| Next::Bad),
            |frame| frame.decide_lanes(&vec![(); frame.len() - 1], |_, ()| Next::A),
        ];
        for walk in few {
            let mut kit = walker(TestKit::new(), move |frame, _| walk(frame));
            assert_eq!(edges_of(&run(&mut kit, &numbered(size))), vec!["fault"; size]);
        }
    }
}

#[test]
fn gather_be32_reads_the_word_at_its_place() {
    fn word<const AT: usize>(frame: &mut Frame<'_, Next>) -> Vec<u32> {
        let mut keys = [0; VECTOR];
        frame.gather_be32::<AT>(&mut keys).to_vec()
    }
    for size in SIZES {
        let mut kit = walker(TestKit::new(), move |frame, _| {
            let words = [word::<0>(frame), word::<1>(frame), word::<17>(frame), word::<124>(frame)];
            frame.for_each(|packet| {
                let number = number_of(packet);
                let right = [0, 1, 17, 124].into_iter().zip(&words).all(|(at, words)| {
                    let bytes = packet.data().get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                    words.len() == size && bytes.is_some_and(|bytes| words[number] == u32::from_be_bytes(bytes))
                });
                if right { Next::A } else { Next::Bad }
            });
        });
        let packets = numbered(size).into_iter().enumerate().map(|(i, mut bytes)| {
            bytes.extend((0..128).map(|at: usize| (at * 7 + i * 31) as u8));
            bytes
        });
        assert_eq!(edges_of(&run(&mut kit, &packets.collect::<Vec<_>>())), vec!["a"; size]);
    }
}

#[test]
fn copies_are_of_the_moment_and_of_their_own() {
    for size in SIZES {
        let mut kit = walker(TestKit::new(), |frame, _| {
            frame.for_each_emit(|packet, emit| {
                let number = number_of(packet);
                packet.lane().tx = 7;
                if let Some(tag) = packet.prepend() {
                    *tag = *b"in";
                }
                assert!(emit.copy(packet, by_number(number)));
                packet.lane().tx = 9;
                packet.window::<2>().copy_from_slice(b"by");
                packet.truncate(4);
                Next::Full
            });
        });
        let packets = numbered(size);
        let outcomes = run(&mut kit, &packets);
        assert_eq!(kit.called(), Called { made: size as u32, ..Called::default() });
        assert_eq!((outcomes.len(), kit.emitted().len()), (size, size));
        for (number, bytes) in packets.iter().enumerate() {
            let sent = Lane { tx: 7, ..lane(number) };
            let copy = Outcome { edge: name(by_number(number)), bytes: [b"in", &bytes[..]].concat(), lane: sent };
            assert_eq!(kit.emitted()[number], copy);
            let original = Outcome { edge: "full", bytes: [b"by", &bytes[..2]].concat(), lane: Lane { tx: 9, ..sent } };
            assert_eq!(outcomes[number], original);
        }
    }
}

#[test]
fn made_packets_are_what_fill_left() {
    let mut kit = walker(TestKit::new(), |frame, _| {
        frame.all(Next::A);
        let mut emit = frame.emit();
        assert_eq!(emit.room(), VECTOR);
        for number in 0..200_u32 {
            let made = emit.make(Next::B, Lane { adj: number, ..Lane::default() }, |packet| {
                assert!(packet.is_empty());
                packet.append(number as usize).unwrap().fill(number as u8);
                *packet.prepend().unwrap() = number.to_be_bytes();
                packet.lane().tx = 3;
            });
            assert!(made);
        }
        assert_eq!(emit.room(), VECTOR - 200);
    });
    assert_eq!(edges_of(&run(&mut kit, &numbered(17))), ["a"; 17]);
    assert_eq!(kit.called(), Called { made: 200, ..Called::default() });
    for (number, made) in kit.emitted().iter().enumerate() {
        let number = number as u32;
        let bytes = [&number.to_be_bytes()[..], &vec![number as u8; number as usize]].concat();
        let lane = Lane { adj: number, tx: 3, rx: NO_INTERFACE };
        assert_eq!(*made, Outcome { edge: "b", bytes, lane });
    }
}

/// Wants `copies` copies of each packet; returns how many it was told were made.
fn flood(buffers: u32, size: usize, copies: usize) -> Called {
    let told = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&told);
    let mut kit = walker(TestKit::with_buffers(buffers), move |frame, _| {
        frame.for_each_emit(|packet, emit| {
            for _ in 0..copies {
                let room = emit.room();
                let made = emit.copy(packet, Next::B);
                assert_eq!(made, room > 0);
                assert_eq!(emit.room(), room.saturating_sub(1));
                count.fetch_add(usize::from(made), std::sync::atomic::Ordering::Relaxed);
            }
            Next::A
        });
    });
    let packets = numbered(size);
    let outcomes = run(&mut kit, &packets);
    let called = kit.called();
    assert_eq!(edges_of(&outcomes), vec!["a"; size]);
    assert_eq!(kit.emitted().len(), called.made as usize);
    assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed), called.made as usize);
    for (index, copy) in kit.emitted().iter().enumerate() {
        assert_eq!(*copy, untouched(index / copies, &packets[index / copies], Next::B));
    }
    called
}

#[test]
fn what_does_not_fit_is_counted_exactly() {
    let called = |made, no_room, no_buffer| Called { made, no_room, no_buffer, ..Called::default() };
    for size in SIZES {
        for copies in [1, 2, 17] {
            let wanted = (size * copies) as u32;
            assert_eq!(flood(1024, size, copies), called(wanted.min(256), wanted.saturating_sub(256), 0), "{size} x {copies}");
        }
    }
    // 300 buffers, 256 of them in the frame: 44 are left.
    assert_eq!(flood(300, 256, 1), called(44, 0, 212));
    assert_eq!(flood(300, 256, 2), called(44, 0, 468));
    // All buffers are in the frame.
    assert_eq!(flood(256, 256, 1), called(0, 0, 256));
    assert_eq!(flood(17, 17, 3), called(0, 0, 51));
    // Room and buffers end with the same packet: the room is what is missing then.
    assert_eq!(flood(512, 256, 3), called(256, 512, 0));
}

#[test]
fn a_node_without_buffers_works_again_when_there_are_some() {
    let mut kit = walker(TestKit::with_buffers(20), |frame, _| {
        frame.for_each_emit(|packet, emit| if emit.copy(packet, Next::B) { Next::A } else { Next::Full });
    });
    for _ in 0..3 {
        let edges = edges_of(&run(&mut kit, &numbered(17)));
        assert_eq!(edges, [vec!["a"; 3], vec!["full"; 14]].concat());
        assert_eq!(edges_of(&run(&mut kit, &numbered(10))), ["a"; 10]);
    }
}

#[test]
fn an_empty_frame_is_walked_by_all_and_does_nothing() {
    let mut kit = walker(TestKit::new(), |frame, _| {
        assert!(frame.is_empty());
        frame.for_each(|_| Next::Bad);
        frame.all(Next::Bad);
        frame.for_each_emit(|_, _| Next::Bad);
        assert!(frame.gather(&mut [0; VECTOR], |_| 1).is_empty());
        assert!(frame.gather_be32::<0>(&mut [0; VECTOR]).is_empty());
        frame.eth_check(&[], &[], Next::Bad, Next::Bad, Next::Bad);
        frame.ip4_check(|_| Next::Bad);
        frame.ip4_forward(&[], Next::Bad, Next::Bad, Next::Bad, Next::Bad, Next::Bad);
        assert!(frame.emit().make(Next::A, Lane::default(), |_| ()));
    });
    assert!(kit.run(&[]).is_empty());
    assert_eq!(kit.called(), Called { made: 1, ..Called::default() });
    assert!(kit.emitted()[0].bytes.is_empty());
}

#[test]
fn reserved_names_are_in_the_order_of_their_ids() {
    let names: Vec<_> = reserved::REASONS.iter().map(|(name, _)| *name).collect();
    let ids = [
        reserved::FAULT,
        reserved::INBOX_FULL,
        reserved::OUT_OF_BUFFERS,
        reserved::RING_FULL,
        reserved::NO_INTERFACE,
        reserved::HELD_DROPPED,
        reserved::LINK_DOWN,
        reserved::TOO_BIG,
        reserved::BAD_OFFLOAD,
        reserved::HANDOFF_FULL,
    ];
    assert_eq!(
        ids.map(|id| names[usize::from(u16::MAX - id)]),
        [
            "fault",
            "inbox-full",
            "out-of-buffers",
            "ring-full",
            "no-interface",
            "held-dropped",
            "link-down",
            "too-big",
            "bad-offload",
            "handoff-full"
        ]
    );
    assert_eq!(names.len(), ids.len());
}
