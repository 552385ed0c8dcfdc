//! What panics of nodes and tables lead to: wherever they are, they are contained. And how a node takes over from another.

mod common;

use std::cell::Cell;
use std::panic::panic_any;

use common::{Next, Worker, edges_of, instance, numbered, pool, run};
use swath_api::prelude::*;
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::{Called, reserved};

/// A payload that panics when it is dropped, with another one that does.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
#[serde(rename_all = "kebab-case")]
enum Payload {
    Text,
    Formatted,
    Number,
    Bomb,
}

fn explode(payload: Payload) {
    match payload {
        Payload::Text => panic!("as asked"),
        Payload::Formatted => panic!("{} asked", "as"),
        Payload::Number => panic_any(7_u8),
        Payload::Bomb => panic_any(Bomb(2)),
    }
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
#[serde(rename_all = "kebab-case")]
enum Place {
    New,
    Process,
    Make,
    Tick,
    Adopt,
    Drop,
    Shard,
    Sync,
    Command,
    DropShard,
    Nowhere,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where to panic.
    at: Place,
    /// With what.
    payload: Payload,
    /// At which packet of the frame.
    #[serde(default)]
    packet: usize,
}

impl Config {
    fn reach(&self, place: Place) {
        if self.at == place {
            explode(self.payload);
        }
    }
}

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// Panics where it is told to; holds every second packet and makes a copy of each.
struct Mine {
    config: Config,
    held: Held<()>,
}

impl Node for Mine {
    const INFO: Info = Info::new("mine", "Panics where it is told to.");
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Mine, ConfigError> {
        config.reach(Place::New);
        Ok(Mine { config, held: setup.held(4) })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        CALLS.set(CALLS.get() + 1);
        let (config, mut index) = (self.config, 0);
        frame.for_each_emit(|packet, emit| {
            packet.truncate(3);
            if index == config.packet {
                config.reach(Place::Process);
                emit.make(Next::B, Lane::default(), |_| config.reach(Place::Make));
            }
            index += 1;
            emit.copy(packet, Next::B);
            Next::A
        });
        let mut index = 0;
        frame.for_each_hold(&mut self.held, Next::Kept, Next::Full, |_| {
            index += 1;
            if index % 2 == 0 { Verdict::Hold(()) } else { Verdict::Go(Next::A) }
        });
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, _: &mut Context<'_>) {
        CALLS.set(CALLS.get() + 1);
        out.make(Next::C, Lane::default(), |_| ());
        out.release(&mut self.held, |()| Some(Next::A));
        self.config.reach(Place::Tick);
    }

    fn adopt(&mut self, old: &mut Mine) {
        std::mem::swap(&mut self.held, &mut old.held);
        self.config.reach(Place::Adopt);
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        self.config.reach(Place::Drop);
    }
}

fn config(at: &str, payload: &str) -> String {
    format!(r#"{{"at": "{at}", "payload": "{payload}", "packet": 5}}"#)
}

fn mine(at: &str, payload: &str) -> Result<NodeKit, ConfigError> {
    TestKit::new().node::<Mine>(&config(at, payload))
}

const PAYLOADS: [(&str, &str); 4] =
    [("text", "as asked"), ("formatted", "as asked"), ("number", "no message"), ("bomb", "no message")];

#[test]
fn a_panic_in_new_is_an_error_that_says_so() {
    for (payload, text) in PAYLOADS {
        let error = mine("new", payload).unwrap_err();
        assert_eq!((error.path(), error.message()), ("", &*format!("this kind has a defect: it panicked ({text})")));
    }
}

#[test]
fn a_panic_amid_a_frame_faults_all_of_it_and_the_node_for_good() {
    for (payload, _) in PAYLOADS {
        for (at, made) in [("process", 5), ("make", 5)] {
            let mut kit = mine(at, payload).unwrap();
            CALLS.set(0);
            let packets = numbered(17);
            let outcomes = run(&mut kit, &packets);
            assert_eq!(edges_of(&outcomes), ["fault"; 17]);
            assert_eq!(kit.called(), Called { made, panicked: true, ..Called::default() });
            // Those before it are as the node left them, it and those behind as they came.
            for (number, outcome) in outcomes.iter().enumerate() {
                assert_eq!(outcome.bytes, packets[number][..if number < 5 { 3 } else { packets[number].len() }]);
            }
            // What was made before it is whole.
            assert_eq!(edges_of(kit.emitted()), ["b"; 5]);
            for round in 0..3 {
                assert_eq!(edges_of(&run(&mut kit, &numbered(round))), vec!["fault"; round]);
                kit.tick(1);
                assert_eq!((kit.called(), kit.emitted().len()), (Called::default(), 0));
            }
            assert_eq!(CALLS.get(), 1, "a node at fault is not called");
        }
    }
}

#[test]
fn a_panic_in_tick_is_a_fault_and_keeps_what_was_sent() {
    for (payload, _) in PAYLOADS {
        let mut kit = mine("tick", payload).unwrap();
        assert_eq!(run(&mut kit, &numbered(6)).len(), 3);
        kit.tick(1);
        assert_eq!(kit.called(), Called { made: 1, released: 3, panicked: true, ..Called::default() });
        assert_eq!(edges_of(kit.emitted()), ["c", "a", "a", "a"]);
        assert_eq!(edges_of(&run(&mut kit, &numbered(2))), ["fault"; 2]);
    }
}

#[test]
fn a_panic_in_drop_is_contained_and_what_was_held_is_free() {
    for (payload, _) in PAYLOADS {
        let mut kit = mine("drop", payload).unwrap();
        assert_eq!(run(&mut kit, &numbered(6)).len(), 3);
        // The kit counts the buffers.
        drop(kit);
    }
}

#[test]
fn a_panic_in_adopt_is_a_fault_of_the_new_one_alone() {
    for (payload, _) in PAYLOADS {
        let pool = pool();
        let make = |at| instance::<Mine>(&pool, &config(at, payload), &[], (0, 1)).unwrap().0;
        let (mut old, mut new) = (make("nowhere"), make("adopt"));
        let mut worker = Worker::new(&pool, 0, &[]);
        assert_eq!(worker.process(&mut old, 8).taken, 4);
        assert!(!new.adopt(&mut old) && new.is_faulty() && !old.is_faulty());
        worker.process(&mut new, 3);
        assert_eq!(worker.nexts.ids(), [reserved::FAULT; 3]);
        drop((new, old, worker));
        assert_eq!(pool.free(), pool.capacity());
    }
}

#[test]
fn adopted_state_moves_by_swap() {
    let pool = pool();
    let make = || instance::<Mine>(&pool, &config("nowhere", "text"), &[], (0, 1)).unwrap().0;
    let (mut old, mut new) = (make(), make());
    let mut worker = Worker::new(&pool, 0, &[]);
    assert_eq!(worker.process(&mut old, 6).taken, 3);
    assert!(new.adopt(&mut old));
    assert_eq!(worker.tick(&mut old), Called { made: 1, ..Called::default() });
    drop(old);
    assert_eq!(worker.tick(&mut new), Called { made: 1, released: 3, ..Called::default() });
}

/// Another kind, with no mistakes.
struct Other;

impl Node for Other {
    const INFO: Info = Info::new("other", "Sends all on.");
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Other, ConfigError> {
        Ok(Other)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::A);
    }
}

#[test]
fn another_kind_and_a_node_at_fault_are_not_adopted() {
    let pool = pool();
    let make = |at| instance::<Mine>(&pool, &config(at, "text"), &[], (0, 1)).unwrap().0;
    let mut worker = Worker::new(&pool, 0, &[]);
    let (mut other, _) = instance::<Other>(&pool, "{}", &[], (0, 1)).unwrap();
    let (mut new, mut faulty) = (make("nowhere"), make("process"));
    assert!(!new.adopt(&mut other) && !other.adopt(&mut new));
    assert!(worker.process(&mut faulty, 8).panicked && faulty.is_faulty());
    assert!(!new.adopt(&mut faulty));
    assert!(!new.is_faulty() && !other.is_faulty());
    assert!(!worker.process(&mut new, 8).panicked && worker.nexts.ids().iter().all(|id| *id == Next::A.id()));
}

/// A table that panics where it is told to.
struct Minefield(Config);

struct Shard(Config);

impl Table for Minefield {
    const INFO: TableInfo = TableInfo::new("minefield", "Panics where it is told to.");
    type Config = Config;
    type Shard = Shard;
    type Command = u32;
    type Reply = u32;

    fn new(config: Config, _: &mut TableSetup<'_>) -> Result<Minefield, ConfigError> {
        config.reach(Place::New);
        Ok(Minefield(config))
    }

    fn shard(&self, _: u32) -> Shard {
        self.0.reach(Place::Shard);
        Shard(self.0)
    }

    fn sync(&self, _: &mut Shard) {
        self.0.reach(Place::Sync);
    }

    fn command(&self, command: u32) -> Result<u32, ConfigError> {
        if command == 13 {
            self.0.reach(Place::Command);
        }
        Ok(command + 1)
    }
}

impl Drop for Minefield {
    fn drop(&mut self) {
        self.0.reach(Place::Drop);
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.0.reach(Place::DropShard);
    }
}

#[test]
fn a_table_that_panics_when_it_or_its_shard_is_made_says_so() {
    for (payload, text) in PAYLOADS {
        let message = format!("this kind has a defect: it panicked ({text})");
        let error = TestKit::new().try_table::<Minefield>("m", &config("new", payload)).unwrap_err();
        assert_eq!((error.path(), error.message()), ("", &*message));
        let kit = TestKit::new().table::<Minefield>("good", &config("nowhere", payload));
        let kit = kit.table::<Minefield>("m", &config("shard", payload));
        assert_eq!(kit.node::<Mine>(&config("nowhere", payload)).unwrap_err().message(), message);
    }
}

#[test]
fn a_table_that_panics_later_serves_on() {
    for (payload, text) in PAYLOADS {
        for at in ["sync", "command", "drop", "drop-shard"] {
            let kit = TestKit::new().table::<Minefield>("m", &config(at, payload));
            let mut kit = kit.node::<Mine>(&config("nowhere", payload)).unwrap();
            for _ in 0..2 {
                assert_eq!(edges_of(&run(&mut kit, &numbered(1))), ["a"]);
                let answer = kit.command("m", "13").map_err(|error| error.to_string());
                let defect = format!("this kind has a defect: it panicked ({text})");
                assert_eq!(answer, if at == "command" { Err(defect) } else { Ok("14".into()) });
                assert_eq!(kit.command("m", "1").as_deref(), Ok("2"));
            }
        }
    }
}
