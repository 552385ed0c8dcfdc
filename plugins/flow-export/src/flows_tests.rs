use std::collections::HashMap;

use swath_api::flow::mix;

use super::*;
use crate::flow::Seen;

/// A packet of the flow with this number.
fn packet(number: u64, bytes: u32, seed: u64) -> Seen {
    let mut seen = Seen { bytes, ..Seen::NONE };
    seen.key = crate::flow::numbered(number);
    seen.hash = mix(number ^ seed);
    seen
}

/// Packets and bytes, by flow.
type Counts = HashMap<u64, (u64, u64)>;

const NEVER: (u64, u64) = (u64::MAX, u64::MAX);

/// Everything that comes in goes out, or stays: by flow, against a plain map. Now and then nobody takes what is exported.
#[test]
fn nothing_is_lost_or_counted_twice() {
    for seed in 0..8_u64 {
        let mut random = seed;
        let mut next = |below: u64| {
            random = mix(random);
            random % below
        };
        let mut flows = Flows::new(64, seed);
        let (mut sent, mut out) = (Counts::new(), Counts::new());
        let (mut ignored, mut ended, mut evicted, mut live) = ((0, 0), 0, 0, 0_i64);
        for now in 0..20_000 {
            let taken = next(10) > 0;
            let mut export = |flow: &Flow| {
                if taken {
                    let count = out.entry(crate::flow::number(&flow.key)).or_default();
                    *count = (count.0 + flow.packets, count.1 + flow.bytes);
                    ended += 1;
                }
                taken
            };
            if next(16) == 0 {
                flows.look(2, now, (5000, 200), &mut export);
                continue;
            }
            // Some flows are in a hurry.
            let number = if next(2) == 0 { next(8) } else { next(120) };
            let bytes = 20 + next(1480) as u32;
            match flows.count(&packet(number, bytes, seed), now, &mut export) {
                Counted::Not => {
                    ignored = (ignored.0 + 1, ignored.1 + u64::from(bytes));
                    continue;
                }
                Counted::New => live += 1,
                Counted::Evicted => (live, evicted) = (live + 1, evicted + 1),
                Counted::Known => (),
            }
            let count = sent.entry(number).or_default();
            *count = (count.0 + 1, count.1 + u64::from(bytes));
        }
        let left: Vec<Flow> = flows.iter().collect();
        assert_eq!(left.len() as i64, live - ended, "seed {seed}");
        let mut keys: Vec<u64> = left.iter().map(|flow| crate::flow::number(&flow.key)).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), left.len(), "seed {seed}: a flow is there twice");
        for flow in &left {
            let count = out.entry(crate::flow::number(&flow.key)).or_default();
            *count = (count.0 + flow.packets, count.1 + flow.bytes);
        }
        assert_eq!(out, sent, "seed {seed}");
        assert!(evicted > 100 && ignored.0 > 10 && ignored.1 > ignored.0, "seed {seed}: {evicted} evicted, {ignored:?} ignored");
    }
}

#[test]
fn flows_end_by_their_timeouts_and_say_why() {
    let mut flows = Flows::new(1024, 0);
    let mut ended = Vec::new();
    let mut look = |flows: &mut Flows, now: u64| {
        ended.clear();
        flows.look(128, now, (1000, 100), |flow| {
            ended.push((crate::flow::number(&flow.key), flow.packets, flow.end));
            true
        });
        ended.sort_unstable_by_key(|(number, ..)| *number);
        ended.clone()
    };
    for number in 0..3 {
        assert_eq!(flows.count(&packet(number, 100, 0), 0, |_| false), Counted::New);
    }
    for now in (50..=950).step_by(50) {
        assert_eq!(flows.count(&packet(0, 100, 0), now, |_| false), Counted::Known);
        flows.count(&packet(1, 100, 0), now.min(900), |_| false);
        let expected = if now == 100 { vec![(2, 1, End::Idle)] } else { vec![] };
        assert_eq!(look(&mut flows, now), expected, "at {now}");
    }
    assert_eq!(look(&mut flows, 999), []);
    // The one had a packet 50 ago and has lasted long; the other is idle, which is what is said of it though it has lasted long, too.
    assert_eq!(look(&mut flows, 1000), [(0, 20, End::Active), (1, 20, End::Idle)]);
    // It goes on as another record.
    assert_eq!(flows.count(&packet(0, 100, 0), 1001, |_| false), Counted::New);
    assert_eq!(look(&mut flows, 1101), [(0, 1, End::Idle)]);
    assert_eq!(flows.iter().count(), 0);
}

#[test]
fn without_room_the_one_that_was_idle_longest_goes() {
    let mut flows = Flows::new(8, 0);
    for number in 0..8 {
        assert_eq!(flows.count(&packet(number, 20, 0), number, |_| panic!("there is room")), Counted::New);
    }
    assert_eq!(flows.count(&packet(0, 20, 0), 8, |_| false), Counted::Known);
    assert_eq!(flows.count(&packet(8, 20, 0), 9, |_| false), Counted::Not);
    let mut gone = None;
    let counted = flows.count(&packet(8, 20, 0), 10, |flow| {
        gone = Some((crate::flow::number(&flow.key), flow.end));
        true
    });
    assert_eq!((counted, gone), (Counted::Evicted, Some((1, End::Evicted))));
    // What is not taken stays, and is asked of again.
    let mut asked = Vec::new();
    flows.look(1, u64::MAX, (1, 1), |flow| {
        asked.push(crate::flow::number(&flow.key));
        asked.len() < 3
    });
    assert_eq!((asked.len(), flows.iter().count()), (3, 6));
    flows.look(9, u64::MAX, NEVER, |_| panic!("all timeouts are over"));
}

#[test]
fn most_of_the_room_is_used_before_a_flow_has_to_go() {
    let mut flows = Flows::new(65536, 1);
    let mut evicted = 0;
    for number in 0..65536 * 9 / 10 {
        evicted += u32::from(flows.count(&packet(number, 20, 1), number, |_| true) == Counted::Evicted);
    }
    // Of 58,982 less than one in a hundred.
    assert!(evicted < 590, "{evicted}");
}
