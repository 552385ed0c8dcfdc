//! Packets that a node keeps: taken in `for_each_hold`, released in `tick` and in `process`, and never lost.

mod common;

use common::{Next, ROOM, SIZES, edges_of, lane, numbered, run};
use swath_api::Called;
use swath_api::prelude::*;
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::wire::EtherType;

/// Keeps packets by their number, and releases by parity of the time.
struct Keeper {
    held: Held<u32>,
    config: Config,
}

#[derive(Default, Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Most packets that are kept.
    capacity: usize,
    /// Packets of which number are kept: its multiples; 0 for none.
    every: u32,
    /// Release before the walk.
    in_process: bool,
    /// Panic at the packet of this number.
    panic_at: Option<u32>,
    /// Under which variant they are kept.
    under: Option<String>,
    /// What follows the walk.
    second: Option<String>,
}

impl Keeper {
    fn release(&mut self, emit: &mut Emit<'_, Next>, now: u64) {
        let (room, before) = (emit.room(), self.held.len());
        let released = emit.release(&mut self.held, |key| match now {
            0 => Some(Next::B),
            _ => u64::from(*key).is_multiple_of(now).then_some(Next::B),
        });
        assert_eq!(self.held.len(), before - released);
        assert!(released <= VECTOR && emit.room() <= room);
    }
}

impl Node for Keeper {
    const INFO: Info = Info::new("keeper", "Keeps packets for a while.");
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Keeper, ConfigError> {
        let held = setup.held(config.capacity);
        assert_eq!((held.len(), held.room(), held.is_empty()), (0, config.capacity, true));
        Ok(Keeper { held, config })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        if self.config.in_process {
            self.release(&mut frame.emit(), cx.now());
        }
        let Config { every, panic_at, .. } = self.config;
        let under = if self.config.under.as_deref() == Some("b") { Next::B } else { Next::Kept };
        frame.for_each_hold(&mut self.held, under, Next::Full, |packet| {
            let number = packet.lane().adj - 1000;
            assert_ne!(Some(number), panic_at, "as asked");
            packet.lane().tx = 5;
            packet.truncate(4);
            if every > 0 && number.is_multiple_of(every) { Verdict::Hold(number) } else { Verdict::Go(Next::A) }
        });
        let mut words = [0; VECTOR];
        match self.config.second.as_deref() {
            Some("for_each") => frame.for_each(|_| Next::Bad),
            Some("for_each_emit") => frame.for_each_emit(|_, _| Next::Bad),
            Some("for_each_hold") => {
                frame.for_each_hold(&mut self.held, Next::Kept, Next::Full, |_| Verdict::Hold(0));
            }
            Some("gather") => drop(frame.gather(&mut words, |_| 0).len()),
            Some("read") => drop(frame.read(&mut words, |_| 0).len()),
            Some("decide") => frame.decide(&words, |_, _| Next::Bad),
            Some("decide_in_place") => frame.decide_in_place(&words, &mut (), |_, _, _| None, |_, _, _| Next::Bad),
            Some("gather_be32") => drop(frame.gather_be32::<0>(&mut words).len()),
            Some("eth_check") => frame.eth_check(&[], &[(EtherType::IPV4, Next::A)], Next::Bad, Next::Bad, Next::Bad),
            Some("ip4_check") => frame.ip4_check(|_| Next::Bad),
            Some("ip4_forward") => frame.ip4_forward(&[], Next::A, Next::Bad, Next::Bad, Next::Bad, Next::Bad),
            Some("all") => frame.all(Next::C),
            Some("decide_lanes") => frame.decide_lanes(&words, |_, _| Next::C),
            _ => (),
        }
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        self.release(out, cx.now());
    }
}

fn keeper(config: &str) -> NodeKit {
    TestKit::with_buffers(2048).node::<Keeper>(config).unwrap()
}

fn numbers<'a>(lanes: impl Iterator<Item = &'a swath_api::testkit::Outcome>) -> Vec<usize> {
    lanes.map(|outcome| outcome.lane.adj as usize - 1000).collect()
}

const KEPT: u16 = 3;

#[test]
fn held_packets_leave_the_frame_and_come_out_as_they_went_in() {
    assert_eq!(Next::EDGES[usize::from(KEPT)].name.as_str(), "kept");
    for size in SIZES {
        for every in [1, 2, 3, 300] {
            let mut kit = keeper(&format!(r#"{{"capacity": 256, "every": {every}}}"#));
            let packets = numbered(size);
            let outcomes = run(&mut kit, &packets);
            let (held, gone): (Vec<usize>, Vec<usize>) = (0..size).partition(|number| number.is_multiple_of(every));
            assert_eq!(kit.called(), Called { taken: held.len() as u32, taken_id: KEPT, ..Called::default() });
            assert_eq!(numbers(outcomes.iter()), gone);
            assert!(outcomes.iter().all(|outcome| outcome.edge == "a"));
            kit.tick(0);
            assert_eq!(kit.called(), Called { released: held.len() as u32, ..Called::default() });
            assert_eq!(numbers(kit.emitted().iter()), held);
            for outcome in kit.emitted() {
                let number = outcome.lane.adj as usize - 1000;
                assert_eq!((outcome.edge, &outcome.bytes[..]), ("b", &packets[number][..4]));
                assert_eq!(outcome.lane, Lane { tx: 5, ..lane(number) });
            }
            kit.tick(0);
            assert_eq!((kit.called(), kit.emitted().len()), (Called::default(), 0));
        }
    }
}

#[test]
fn what_finds_no_room_goes_by_full() {
    for size in SIZES {
        for capacity in [0, 1, 16, 100] {
            let mut kit = keeper(&format!(r#"{{"capacity": {capacity}, "every": 1}}"#));
            let outcomes = run(&mut kit, &numbered(size));
            let taken = size.min(capacity);
            assert_eq!(kit.called().taken as usize, taken);
            assert_eq!(numbers(outcomes.iter()), (taken..size).collect::<Vec<_>>());
            assert_eq!(edges_of(&outcomes), vec!["full"; size - taken]);
        }
    }
}

#[test]
fn a_tick_releases_a_vector_at_most_and_the_oldest_first() {
    let mut kit = keeper(r#"{"capacity": 600, "every": 1}"#);
    for first in [0, 256, 512] {
        let packets: Vec<(&[u8], Lane)> = (first..first + 256).map(|number| (&[0_u8; 60][..], lane(number))).collect();
        assert_eq!(kit.run(&packets).len(), if first == 512 { 168 } else { 0 });
    }
    for released in [0..256, 256..512, 512..600, 600..600] {
        kit.tick(0);
        assert_eq!(kit.called(), Called { released: released.len() as u32, ..Called::default() });
        assert_eq!(numbers(kit.emitted().iter()), released.collect::<Vec<_>>());
    }
}

#[test]
fn packets_that_are_not_chosen_stay_in_their_order() {
    let mut kit = keeper(r#"{"capacity": 100, "every": 1}"#);
    run(&mut kit, &numbered(100));
    let mut left: Vec<usize> = (0..100).collect();
    for now in [7, 5, 2, 1] {
        kit.tick(now);
        let (gone, stay): (Vec<usize>, Vec<usize>) = left.iter().partition(|number| number.is_multiple_of(now as usize));
        assert_eq!(numbers(kit.emitted().iter()), gone, "every {now}");
        left = stay;
    }
    assert!(left.is_empty());
}

#[test]
fn a_walk_can_release_what_an_earlier_one_held() {
    let mut kit = keeper(r#"{"capacity": 256, "every": 2, "in_process": true}"#);
    let packets = numbered(100);
    for round in 0..4 {
        let outcomes = run(&mut kit, &packets);
        let released = if round == 0 { 0 } else { 50 };
        assert_eq!(kit.called(), Called { taken: 50, taken_id: KEPT, released, ..Called::default() });
        assert_eq!(numbers(outcomes.iter()), (1..100).step_by(2).collect::<Vec<_>>());
        assert_eq!(kit.emitted().len(), released as usize);
    }
}

#[test]
fn packets_left_when_the_node_is_dropped_are_free_again() {
    // As many as there are: each round needs those that the last one kept. The kit checks the count.
    for _ in 0..2 {
        let mut kit = TestKit::with_buffers(256).node::<Keeper>(r#"{"capacity": 256, "every": 1}"#).unwrap();
        assert!(run(&mut kit, &numbered(256)).is_empty());
        assert_eq!(kit.called().taken, 256);
    }
}

#[test]
fn a_variant_of_another_class_is_a_fault() {
    let mut kit = keeper(r#"{"capacity": 9, "every": 1, "under": "b"}"#);
    for panicked in [true, false] {
        assert_eq!(edges_of(&run(&mut kit, &numbered(17))), ["fault"; 17]);
        assert_eq!(kit.called(), Called { panicked, ..Called::default() });
    }
}

#[test]
fn a_walk_over_packets_after_holding_some_is_a_fault_and_loses_none() {
    let walks = ["for_each", "for_each_emit", "for_each_hold", "gather", "read", "decide", "gather_be32", "eth_check", "ip4_check"];
    for second in walks.into_iter().chain(["ip4_forward", "decide_in_place"]) {
        let mut kit = keeper(&format!(r#"{{"capacity": 9, "every": 2, "second": "{second}"}}"#));
        assert_eq!(edges_of(&run(&mut kit, &numbered(17))), ["fault"; 8], "{second}");
        assert_eq!(kit.called(), Called { taken: 9, taken_id: KEPT, panicked: true, ..Called::default() });
        // What it holds is held until it is dropped: a node at fault is not called.
        kit.tick(0);
        assert_eq!(kit.called(), Called::default());
        // A walk that has taken nothing does not stand in the way.
        let mut kit = keeper(&format!(r#"{{"capacity": 9, "every": 0, "second": "{second}"}}"#));
        run(&mut kit, &numbered(17));
        assert!(!kit.called().panicked, "{second}");
    }
}

#[test]
fn a_walk_that_reads_no_packet_may_follow() {
    for second in ["all", "decide_lanes"] {
        let mut kit = keeper(&format!(r#"{{"capacity": 9, "every": 2, "second": "{second}"}}"#));
        assert_eq!(edges_of(&run(&mut kit, &numbered(17))), ["c"; 8], "{second}");
        assert_eq!(kit.called(), Called { taken: 9, taken_id: KEPT, ..Called::default() });
        kit.tick(0);
        assert_eq!(numbers(kit.emitted().iter()), (0..17).step_by(2).collect::<Vec<_>>());
    }
}

#[test]
fn a_panic_amid_the_walk_keeps_what_is_held_and_faults_the_rest() {
    for size in SIZES {
        let at = size / 2;
        let mut kit = keeper(&format!(r#"{{"capacity": 256, "every": 2, "panic_at": {at}}}"#));
        let outcomes = run(&mut kit, &numbered(size));
        let taken = at.div_ceil(2);
        assert_eq!(
            kit.called(),
            Called { taken: taken as u32, taken_id: if taken > 0 { KEPT } else { 0 }, panicked: true, ..Called::default() }
        );
        assert_eq!(edges_of(&outcomes), vec!["fault"; size - taken]);
    }
}

/// Released packets of a full-size chunk keep every byte, whatever became of the frame that they came in.
#[test]
fn held_bytes_are_not_used_again() {
    let mut kit = keeps_one();
    let kept = vec![0xee; ROOM];
    assert!(kit.run(&[(&kept, lane(0))]).is_empty());
    for _ in 0..20 {
        run(&mut kit, &numbered(VECTOR));
    }
    kit.tick(0);
    assert_eq!(kit.emitted().len(), 1);
    assert_eq!(kit.emitted()[0].bytes, kept);
}

struct KeepsOne(Held<()>);

impl Node for KeepsOne {
    const INFO: Info = Info::new("keeps-one", "Keeps the first packet.");
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<KeepsOne, ConfigError> {
        Ok(KeepsOne(setup.held(1)))
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each_hold(&mut self.0, Next::Kept, Next::Full, |_| Verdict::Hold(()));
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, _: &mut Context<'_>) {
        out.release(&mut self.0, |()| Some(Next::A));
    }
}

fn keeps_one() -> NodeKit {
    TestKit::with_buffers(600).node::<KeepsOne>("{}").unwrap()
}

#[test]
fn a_vector_is_held_when_room_is_made_in_the_same_call() {
    // The kit's room is 256: 256 released, 256 held, in one call.
    let mut kit = keeper(r#"{"capacity": 256, "every": 1, "in_process": true}"#);
    for round in 0..3 {
        assert!(run(&mut kit, &numbered(256)).is_empty());
        let released = if round == 0 { 0 } else { 256 };
        assert_eq!(kit.called(), Called { taken: 256, taken_id: KEPT, released, ..Called::default() });
    }
}

/// Keeps all packets, and at a tick takes a byte off those whose first byte is odd, and puts two before the others, which go.
struct Changes(Held<()>);

impl Node for Changes {
    const INFO: Info = Info::new("changes", "Changes packets that it has kept.");
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Changes, ConfigError> {
        Ok(Changes(setup.held(VECTOR)))
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each_hold(&mut self.0, Next::Kept, Next::Full, |_| Verdict::Hold(()));
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, _: &mut Context<'_>) {
        out.release_with(&mut self.0, |(), packet| {
            packet.lane().adj += 1;
            if packet.data().first().is_some_and(|byte| byte % 2 == 1) {
                packet.advance(1);
                return None;
            }
            *packet.prepend()? = *b"hi";
            Some(Next::A)
        });
    }
}

#[test]
fn packets_change_when_they_are_let_go_and_when_they_stay() {
    let mut kit = TestKit::new().node::<Changes>("{}").unwrap();
    assert!(kit.run(&[(&[1, 3, 4], lane(10)), (&[2], lane(20)), (&[5, 6], lane(30))]).is_empty());
    let out = |kit: &NodeKit| kit.emitted().iter().map(|out| (out.bytes.clone(), out.lane.adj)).collect::<Vec<_>>();
    kit.tick(1);
    assert_eq!(out(&kit), [(b"hi\x02".to_vec(), lane(20).adj + 1)]);
    kit.tick(2);
    assert_eq!(out(&kit), [(b"hi\x06".to_vec(), lane(30).adj + 2)]);
    kit.tick(3);
    assert_eq!(out(&kit), [(b"hi\x04".to_vec(), lane(10).adj + 3)]);
}
