//! Random vectors through a node that does random things: nothing is lost, doubled or mixed up.

mod common;

use common::{Next, random};
use proptest::prelude::*;
use swath_api::prelude::*;
use swath_api::testkit::{NodeKit, Outcome, TestKit};

/// What the node does with a packet, besides keeping or sending it.
#[derive(Debug, Clone, Copy)]
enum Op {
    Advance(u16),
    Prepend,
    Truncate(usize),
    Append(usize),
    Copy,
    Make,
}

/// The id of a packet is in its lane, every byte of it is the id's lowest, and its length is free: what two packets wrote into one
/// chunk is seen.
#[derive(Debug, Clone)]
struct Step {
    packet: Vec<(usize, Vec<Op>, Fate)>,
    /// Held packets of an id that this divides are released.
    release: u32,
    tick: bool,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Send,
    Drop,
    Hold,
}

const IDS: u32 = 1 << 16;
/// The id of a packet that the node made.
const MADE: u32 = 1 << 31;
const FILL: u8 = 0xfd;

fn op() -> impl Strategy<Value = Op> + Clone {
    prop_oneof![
        (0..200_u16).prop_map(Op::Advance),
        Just(Op::Prepend),
        (0..200_usize).prop_map(Op::Truncate),
        (0..2200_usize).prop_map(Op::Append),
        Just(Op::Copy),
        Just(Op::Make),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![3 => Just(Fate::Send), 1 => Just(Fate::Drop), 2 => Just(Fate::Hold)];
    let len = prop_oneof![4 => 0..200_usize, 1 => 0..2113_usize];
    let packet = (len, prop::collection::vec(op(), 0..4), fate);
    let count = prop_oneof![Just(0_usize), Just(1), 2..40_usize, 250..257_usize];
    let packets = count.prop_flat_map(move |count| prop::collection::vec(packet.clone(), count));
    (packets, 1..6_u32, any::<bool>()).prop_map(|(packet, release, tick)| Step { packet, release, tick })
}

thread_local! {
    static STEPS: std::cell::RefCell<Vec<Step>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Does what the steps say.
struct Chaos {
    held: Held<u32>,
    steps: std::vec::IntoIter<Step>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
struct Config {
    /// Most packets that are held.
    capacity: usize,
}

impl Node for Chaos {
    const INFO: Info = Info::new("chaos", "Does random things.");
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Chaos, ConfigError> {
        Ok(Chaos { held: setup.held(config.capacity), steps: STEPS.take().into_iter() })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        let Some(step) = self.steps.next() else { return frame.all(Next::Bad) };
        frame.emit().release(&mut self.held, |id| id.is_multiple_of(step.release).then_some(Next::B));
        let mut ops = step.packet.iter();
        frame.for_each_emit(|packet, emit| {
            let byte = packet.lane().adj as u8;
            for op in ops.next().into_iter().flat_map(|(_, ops, _)| ops) {
                act(packet, emit, *op, byte);
            }
            Next::Bad
        });
        let mut fates = step.packet.iter();
        frame.for_each_hold(&mut self.held, Next::Kept, Next::Full, |packet| match fates.next() {
            Some((_, _, Fate::Send)) => Verdict::Go(Next::A),
            Some((_, _, Fate::Drop)) | None => Verdict::Go(Next::Bad),
            Some((_, _, Fate::Hold)) => Verdict::Hold(packet.lane().adj),
        });
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        let now = cx.now() as u32;
        out.make(Next::C, Lane { adj: MADE, ..Lane::default() }, |packet| fill(packet, FILL));
        out.release(&mut self.held, |id| id.is_multiple_of(now).then_some(Next::B));
    }
}

fn fill(packet: &mut Packet<'_>, byte: u8) {
    if let Some(new) = packet.append(70) {
        new.fill(byte);
    }
}

fn act(packet: &mut Packet<'_>, emit: &mut Emit<'_, Next>, op: Op, byte: u8) {
    match op {
        Op::Advance(n) => _ = packet.advance(n),
        Op::Prepend => _ = packet.prepend::<18>().map(|new| new.fill(byte)),
        Op::Truncate(n) => packet.truncate(n),
        Op::Append(n) => _ = packet.append(n).map(|new| new.fill(byte)),
        Op::Copy => _ = emit.copy(packet, Next::C),
        Op::Make => _ = emit.make(Next::C, Lane { adj: MADE, ..Lane::default() }, |packet| fill(packet, FILL)),
    }
}

/// The accounts of a run.
#[derive(Default)]
struct Ledger {
    received: Vec<u32>,
    left: Vec<u32>,
    held: u64,
}

impl Ledger {
    fn book(&mut self, kit: &NodeKit, entered: usize, outcomes: &[Outcome]) -> Result<(), TestCaseError> {
        let called = kit.called();
        prop_assert!(!called.panicked);
        let entered = entered as u64 + u64::from(called.made) + u64::from(called.released);
        prop_assert_eq!(entered, (outcomes.len() + kit.emitted().len()) as u64 + u64::from(called.taken));
        self.held = self.held + u64::from(called.taken) - u64::from(called.released);
        let (released, made): (Vec<&Outcome>, Vec<_>) = kit.emitted().iter().partition(|outcome| outcome.edge == "b");
        prop_assert_eq!((released.len(), made.len()), (called.released as usize, called.made as usize));
        prop_assert!(made.iter().all(|outcome| outcome.edge == "c"));
        prop_assert!(outcomes.iter().all(|outcome| ["a", "bad", "full"].contains(&outcome.edge)));
        for outcome in outcomes.iter().chain(kit.emitted()) {
            let byte = if outcome.lane.adj == MADE { FILL } else { outcome.lane.adj as u8 };
            prop_assert!(outcome.bytes.iter().all(|b| *b == byte), "{:?}", outcome);
        }
        self.left.extend(outcomes.iter().chain(released).map(|outcome| outcome.lane.adj));
        Ok(())
    }
}

fn play(steps: Vec<Step>, buffers: u32, capacity: usize) -> Result<(), TestCaseError> {
    STEPS.set(steps.clone());
    let mut kit = TestKit::with_buffers(buffers).node::<Chaos>(&format!(r#"{{"capacity": {capacity}}}"#)).unwrap();
    let mut ledger = Ledger::default();
    for step in steps {
        let first = ledger.received.len() as u32;
        let ids = first..first + step.packet.len() as u32;
        prop_assert!(ids.end < IDS);
        ledger.received.extend(ids.clone());
        let packets: Vec<_> =
            ids.zip(&step.packet).map(|(id, (len, _, _))| (vec![id as u8; *len], Lane { adj: id, ..Lane::received(1) })).collect();
        let packets: Vec<_> = packets.iter().map(|(bytes, lane)| (bytes.as_slice(), *lane)).collect();
        let outcomes = kit.run(&packets);
        ledger.book(&kit, packets.len(), &outcomes)?;
        if step.tick {
            kit.tick(u64::from(step.release) + 1);
            ledger.book(&kit, 0, &[])?;
        }
        prop_assert!(ledger.held <= capacity as u64);
    }
    while ledger.held > 0 {
        let before = ledger.held;
        kit.tick(1);
        ledger.book(&kit, 0, &[])?;
        prop_assert!(ledger.held < before);
    }
    ledger.left.sort_unstable();
    prop_assert_eq!(ledger.left, ledger.received);
    Ok(())
}

#[test]
fn nothing_is_lost_doubled_or_mixed_up() {
    let capacity = prop::sample::select(vec![0, 1, 60, 400]);
    random(300).run(&(prop::collection::vec(step(), 1..12), capacity), |(steps, capacity)| play(steps, 1024, capacity)).unwrap();
}

#[test]
fn nor_when_buffers_are_scarce() {
    // 256 in the frame and at most 60 held: 4 are left to make packets of.
    random(300).run(&prop::collection::vec(step(), 1..12), |steps| play(steps, 320, 60)).unwrap();
}
