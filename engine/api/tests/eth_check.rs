//! `Frame::eth_check`, against etherparse's view of the same bytes.

mod common;

use common::{Next, SIZES, edges_of, random, walker};
use etherparse::{EtherType as Parsed, Ethernet2HeaderSlice};
use proptest::prelude::*;
use swath_api::prelude::*;
use swath_api::testkit::{NodeKit, Outcome, TestKit};
use swath_api::wire::{EtherType, MacAddr};

const OURS: [[u8; 6]; 3] = [[2, 0, 0, 0, 0, 1], [0x52, 0x54, 0, 0xab, 0xcd, 0xef], [0, 0x1b, 0x21, 0, 0, 0xff]];

fn frame(dst: [u8; 6], ether_type: u16, len: usize) -> Vec<u8> {
    let mut bytes = [&dst[..], &[2, 9, 9, 9, 9, 9], &ether_type.to_be_bytes(), &[0x77; 60]].concat();
    bytes.truncate(len);
    bytes
}

fn eth_kit(interfaces: usize) -> NodeKit {
    let macs = OURS.map(MacAddr::new);
    walker(TestKit::new(), move |frame, _| {
        let types = [(EtherType::IPV4, Next::A), (EtherType::ARP, Next::B)];
        frame.eth_check(&macs[..interfaces], &types, Next::C, Next::Bad, Next::Full);
    })
}

/// What [`eth_kit`] is to do with a frame to the interface of address `mac`.
fn eth_expected(bytes: &[u8], mac: [u8; 6]) -> (&'static str, &[u8]) {
    let Ok(header) = Ethernet2HeaderSlice::from_slice(bytes) else { return ("full", bytes) };
    let group = header.destination()[0] & 1 == 1;
    match header.ether_type() {
        _ if header.destination() != mac && !group => ("bad", bytes),
        Parsed::IPV4 => ("a", &bytes[14..]),
        Parsed::ARP => ("b", &bytes[14..]),
        _ => ("c", bytes),
    }
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let close = [2, 0, 0, 0, 0, 0];
    let dst =
        prop::sample::select(vec![OURS[0], OURS[1], OURS[2], close, [0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1], [3, 0, 0, 0, 0, 1]]);
    let ether_type = prop::sample::select(vec![0x0800, 0x0806, 0x86dd, 0x8100, 0x0008, 0x0608, 0, 0xffff]);
    let len = prop::sample::select(vec![0, 1, 6, 13, 14, 15, 33, 60, 74]);
    (dst, ether_type, len).prop_map(|(dst, ether_type, len)| frame(dst, ether_type, len))
}

fn size() -> impl Strategy<Value = usize> {
    prop::sample::select(SIZES.to_vec())
}

fn compare(outcomes: &[Outcome], expected: impl Iterator<Item = (&'static str, Vec<u8>)>) -> Result<(), TestCaseError> {
    let found: Vec<_> = outcomes.iter().map(|outcome| (outcome.edge, outcome.bytes.clone())).collect();
    let expected: Vec<_> = expected.collect();
    prop_assert_eq!(found, expected);
    Ok(())
}

#[test]
fn eth_check_sorts_the_frames_of_one_interface() {
    let frames = size().prop_flat_map(|size| prop::collection::vec(any_frame(), size));
    random(256)
        .run(&(frames, 0..3_u16), |(frames, rx)| {
            let packets: Vec<_> = frames.iter().map(|bytes| (bytes.as_slice(), Lane::received(rx))).collect();
            let outcomes = eth_kit(3).run(&packets);
            prop_assert!(outcomes.iter().all(|outcome| outcome.lane == Lane::received(rx)));
            compare(
                &outcomes,
                frames.iter().map(|bytes| eth_expected(bytes, OURS[usize::from(rx)])).map(|(edge, bytes)| (edge, bytes.to_vec())),
            )
        })
        .unwrap();
}

#[test]
fn eth_check_takes_each_frame_by_the_interface_that_received_it() {
    // From runs of 1 to runs longer than the frame.
    let rx = prop::sample::select(vec![1_usize, 2, 3, 7, 16, 17, 100, 300])
        .prop_map(|run| (0..256).map(|i| (i / run % 3) as u16).collect());
    let rx = prop_oneof![rx, prop::collection::vec(0..3_u16, 256)];
    let frames = size().prop_flat_map(|size| prop::collection::vec(any_frame(), size));
    random(256)
        .run(&(frames, rx), |(frames, rx)| {
            let packets: Vec<_> = frames.iter().zip(&rx).map(|(bytes, rx)| (bytes.as_slice(), Lane::received(*rx))).collect();
            let outcomes = eth_kit(3).run(&packets);
            let expected = frames.iter().zip(&rx).map(|(bytes, rx)| eth_expected(bytes, OURS[usize::from(*rx)]));
            compare(&outcomes, expected.map(|(edge, bytes)| (edge, bytes.to_vec())))
        })
        .unwrap();
}

#[test]
fn frames_of_an_unknown_interface_are_to_nobody() {
    for rx in [1, 2, NO_INTERFACE] {
        for size in SIZES {
            let mut kit = eth_kit(1);
            let bytes = frame(OURS[0], 0x0800, 60);
            let outcomes = kit.run(&vec![(bytes.as_slice(), Lane::received(rx)); size]);
            assert_eq!(edges_of(&outcomes), vec!["bad"; size]);
        }
    }
}

#[test]
fn eth_check_knows_eight_types_and_refuses_a_ninth() {
    const TYPES: [u16; 9] = [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x8847, 0x8864, 0x88cc, 0x88f7];
    for count in [0, 1, 8, 9] {
        let mut kit = walker(TestKit::new(), move |frame, _| {
            let types: Vec<_> =
                TYPES[..count].iter().map(|t| (EtherType(*t), if *t == 0x88cc { Next::B } else { Next::A })).collect();
            frame.eth_check(&[MacAddr::new(OURS[0])], &types, Next::C, Next::Bad, Next::Full);
        });
        let frames = TYPES.map(|ether_type| frame(OURS[0], ether_type, 60));
        let outcomes = kit.run(&frames.each_ref().map(|bytes| (bytes.as_slice(), Lane::received(0))));
        let expected = (0..9).map(|i| {
            if count == 9 {
                "fault"
            } else if i >= count {
                "c"
            } else if i == 7 {
                "b"
            } else {
                "a"
            }
        });
        assert_eq!(edges_of(&outcomes), expected.collect::<Vec<_>>(), "{count} types");
        assert_eq!(kit.called().panicked, count == 9);
    }
}

#[test]
fn a_frame_too_deep_in_its_chunk_to_be_advanced_is_other() {
    // 2496 bytes of chunk, less 128 of window and 14 of header: the last start is 2354, which is 1970 behind the first.
    for (at, edge) in [(1970, "a"), (1971, "c")] {
        let mut kit = walker(TestKit::new(), move |frame, _| {
            frame.for_each(|packet| if packet.advance(at) { Next::Full } else { Next::Bad });
            frame.eth_check(&[MacAddr::new(OURS[0])], &[(EtherType::IPV4, Next::A)], Next::C, Next::Bad, Next::Full);
        });
        let bytes = [vec![0; usize::from(at)], frame(OURS[0], 0x0800, 60)].concat();
        assert_eq!(kit.one(&bytes, Lane::received(0)).edge, edge);
    }
}

#[test]
fn frames_to_groups_have_a_decision_of_their_own_which_can_be_revised() {
    let macs = OURS.map(MacAddr::new);
    let frames = size().prop_flat_map(|size| prop::collection::vec(any_frame(), size));
    random(256)
        .run(&(frames, 0..3_u16), |(frames, rx)| {
            let mut visited = Vec::new();
            let mut kit = walker(TestKit::new(), move |frame, _| {
                let types = [(EtherType::IPV4, Next::A), (EtherType::ARP, Next::B)];
                frame.eth_check_group(&macs, &types, (EtherType::IPV4, Next::Full), Next::C, Next::Bad, Next::Bad);
                // Every second one as if it had not been to a group.
                let mut odd = false;
                frame.revise(Next::Full, |packet| {
                    odd = !odd;
                    packet.lane().adj = 7;
                    if odd { Next::A } else { Next::Full }
                });
            });
            let packets: Vec<_> = frames.iter().map(|bytes| (bytes.as_slice(), Lane::received(rx))).collect();
            let outcomes = kit.run(&packets);
            for (bytes, outcome) in frames.iter().zip(&outcomes) {
                let group = bytes.len() >= 14 && bytes[0] & 1 == 1 && bytes[12..14] == [8, 0];
                let (edge, rest) = match eth_expected(bytes, OURS[usize::from(rx)]) {
                    ("full", rest) => ("bad", rest),
                    ("a", rest) if group => {
                        visited.push(());
                        (if visited.len() % 2 == 1 { "a" } else { "full" }, rest)
                    }
                    expected => expected,
                };
                prop_assert_eq!((outcome.edge, &outcome.bytes[..]), (edge, rest));
                prop_assert_eq!(outcome.lane.adj, if group { 7 } else { 0 });
            }
            Ok(())
        })
        .unwrap();
}
