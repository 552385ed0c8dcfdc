//! Defects that were found by review, each with the test that would have caught it.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock};

use common::{Next, Worker, instance, numbered, pool, run, walker};
use swath_api::prelude::*;
use swath_api::testkit::TestKit;
use swath_api::wire::{EtherType, MacAddr};
use swath_api::{NodeInstance, Vector};

macro_rules! table {
    ($name:ident, $kind:literal, $value:expr) => {
        struct $name(u64);
        impl Table for $name {
            const INFO: TableInfo = TableInfo::new($kind, "A table.");
            type Config = NoConfig;
            type Shard = ();
            type Command = String;
            type Reply = String;
            fn new(_: NoConfig, _: &mut TableSetup<'_>) -> Result<$name, ConfigError> {
                Ok($name($value))
            }
            fn shard(&self, _: u32) {}
            fn command(&self, command: String) -> Result<String, ConfigError> {
                Ok(format!("{command} {}", self.0))
            }
        }
    };
}
table!(One, "one", 1);
table!(Two, "two", 2);

static STASH: OnceLock<Handle<One>> = OnceLock::new();

struct Stasher;
impl Node for Stasher {
    const INFO: Info = Info::new("stasher", "Uses the handle of another graph while it is made.");
    type Config = NoConfig;
    type Next = Next;
    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Stasher, ConfigError> {
        match STASH.get() {
            None => _ = STASH.set(setup.table("table", None)?),
            Some(handle) => {
                return Err(ConfigError::new(format!("read {} through a handle of another kind", setup.shared(*handle).0)));
            }
        }
        Ok(Stasher)
    }
    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::A);
    }
}

#[test]
fn setup_shared_checks_the_kind() {
    drop(TestKit::new().table::<One>("t", "{}").node::<Stasher>("{}").unwrap());
    let error = TestKit::new().table::<Two>("t", "{}").node::<Stasher>("{}").unwrap_err();
    assert!(error.message().contains("panicked"), "{error}");
}

/// Keeps all packets, in a place that all of its instances share.
struct Smuggler(Option<Held<()>>);
static SMUGGLED: Mutex<Option<Held<()>>> = Mutex::new(None);
impl Node for Smuggler {
    const INFO: Info = Info::new("smuggler", "Moves packets between two engines.");
    type Config = NoConfig;
    type Next = Next;
    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Smuggler, ConfigError> {
        Ok(Smuggler(Some(setup.held(256))))
    }
    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        if let Some(mut held) = self.0.take() {
            frame.for_each_hold(&mut held, Next::Kept, Next::Full, |_| Verdict::Hold(()));
            *SMUGGLED.lock().unwrap() = Some(held);
        }
    }
    fn tick(&mut self, out: &mut Emit<'_, Next>, _: &mut Context<'_>) {
        if let Some(held) = &mut *SMUGGLED.lock().unwrap() {
            out.release(held, |()| Some(Next::A));
        }
    }
}

#[test]
fn held_packets_stay_in_their_pool() {
    let (a, b) = (pool(), pool());
    let make = |pool| instance::<Smuggler>(pool, "{}", &[], (0, 1)).unwrap().0;
    let (mut one, mut two): (NodeInstance, NodeInstance) = (make(&a), make(&b));
    let (mut worker_a, mut worker_b) = (Worker::new(&a, 0, &[]), Worker::new(&b, 0, &[]));
    worker_a.process(&mut one, 100);
    worker_b.tick(&mut two);
    // Poisoned by the panic that is asked for.
    SMUGGLED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    drop((one, two, worker_a, worker_b));
    assert_eq!((a.free(), b.free()), (a.capacity(), b.capacity()), "free chunks of the two pools");
}

/// The same without a trick of the node: an instance that is called with packets of another pool than it was made with.
struct Keeps(Held<()>);
impl Node for Keeps {
    const INFO: Info = Info::new("keeps", "Keeps packets.");
    type Config = NoConfig;
    type Next = Next;
    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Keeps, ConfigError> {
        Ok(Keeps(setup.held(256)))
    }
    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each_hold(&mut self.0, Next::Kept, Next::Full, |_| Verdict::Hold(()));
    }
    fn tick(&mut self, out: &mut Emit<'_, Next>, _: &mut Context<'_>) {
        out.release(&mut self.0, |()| panic!("in choose"));
    }
}

#[test]
fn an_instance_is_called_with_packets_of_its_pool() {
    let (a, b) = (pool(), pool());
    let (mut node, _) = instance::<Keeps>(&a, "{}", &[], (0, 1)).unwrap();
    let mut worker = Worker::new(&b, 0, &[]);
    _ = catch_unwind(AssertUnwindSafe(|| worker.process(&mut node, 100)));
    drop((node, worker));
    assert_eq!((a.free(), b.free()), (a.capacity(), b.capacity()), "free chunks of the two pools");
}

#[test]
fn a_panic_in_choose_loses_no_buffer() {
    let mut kit = TestKit::new().node::<Keeps>("{}").unwrap();
    run(&mut kit, &numbered(3));
    kit.tick(1);
    assert!(kit.called().panicked);
}

fn split(len: usize, target: impl FnMut(usize) -> usize) {
    let pool = pool();
    let mut cache = pool.cache();
    let mut vector = Vector::new(&pool);
    for _ in 0..len {
        assert!(cache.take().unwrap().push(&mut vector, Lane::default()));
    }
    let keep = swath_api::Nexts::default().matching(0);
    let mut targets = [Vector::new(&pool)];
    _ = catch_unwind(AssertUnwindSafe(|| vector.split(&keep, &mut targets, target)));
    drop((vector, targets, cache));
    assert!(pool.free() <= pool.capacity(), "{} of {} chunks are free", pool.free(), pool.capacity());
}

#[test]
fn a_panic_in_split_doubles_no_packet() {
    split(2, |index| index);
}

#[test]
fn split_of_more_than_a_vector_doubles_no_packet() {
    split(300, |_| 0);
}

#[test]
fn settings_and_commands_end_where_the_json_does() {
    let kit = TestKit::new().table::<One>("t", "{}").node::<Keeps>("{}").unwrap();
    assert!(kit.command("t", r#""show" and more"#).is_err());
    assert!(TestKit::new().node::<Keeps>("{} and more").is_err());
}

#[test]
fn a_message_is_cut_only_where_serde_json_appended_to_it() {
    let error = TestKit::new().node::<Keeps>(r#"{"look at line 3": 1}"#).unwrap_err();
    assert!(error.message().contains("look at line 3`"), "{error}");
}

struct Fragile;
impl Node for Fragile {
    const INFO: Info = Info::new("fragile", "Panics on a packet.");
    type Config = NoConfig;
    type Next = Next;
    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Fragile, ConfigError> {
        Ok(Fragile)
    }
    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|_| panic!("as ever"));
    }
}

#[test]
fn a_node_at_fault_stays_so_when_it_adopts() {
    let pool = pool();
    let make = || instance::<Fragile>(&pool, "{}", &[], (0, 1)).unwrap().0;
    let (mut new, mut old) = (make(), make());
    assert!(Worker::new(&pool, 0, &[]).process(&mut new, 1).panicked);
    new.adopt(&mut old);
    assert!(new.is_faulty());
}

/// A copy that goes on by an edge of which the slot is promised has a slot of its own.
#[test]
fn a_copy_keeps_what_nodes_before_it_wrote() {
    const CLASS: SlotName<u32> = SlotName::new("class");
    struct Marker(Slot<u32>);
    impl Node for Marker {
        const INFO: Info = Info::new("marker", "Marks, then floods, then reads: three nodes in one.").writes(&[CLASS.info()]);
        type Config = NoConfig;
        type Next = Next;
        fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Marker, ConfigError> {
            Ok(Marker(setup.slot(&CLASS)?))
        }
        fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
            let slot = self.0;
            frame.for_each_emit(|packet, emit| {
                packet.meta().set(slot, 7);
                emit.copy(packet, Next::B);
                Next::A
            });
        }
    }
    struct Reader(Slot<u32>);
    impl Node for Reader {
        const INFO: Info = Info::new("reader", "Reads the mark.").reads(&[CLASS.info()]);
        type Config = NoConfig;
        type Next = Next;
        fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Reader, ConfigError> {
            Ok(Reader(setup.slot(&CLASS)?))
        }
        fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
            let slot = self.0;
            frame.for_each(|packet| if packet.meta().get(slot) == 7 { Next::A } else { Next::Bad });
        }
    }
    let pool = pool();
    let slots = [(CLASS.info(), 16)];
    let make = |kind: swath_api::NodeKind| {
        let (interfaces, tables) = (&swath_api::Interfaces::new(Vec::new()), &swath_api::Tables::new());
        let host = swath_api::NodeHost {
            name: "node",
            worker: 0,
            workers: 1,
            interfaces,
            tables,
            slots: &slots,
            edges: &[],
            pool: &pool,
            keeper: None,
        };
        kind.create(b"{}", &host).unwrap().0
    };
    let (mut marker, mut reader) = (make(swath_api::NodeKind::of::<Marker>()), make(swath_api::NodeKind::of::<Reader>()));
    let mut worker = Worker::new(&pool, 0, &[]);
    let mut packets = Vector::new(&pool);
    assert!(worker.cache.take().unwrap().push(&mut packets, Lane::default()));
    worker.cache.ensure(VECTOR);
    let mut second = swath_api::Outbox::new(&pool);
    let Worker { cache, tables, nexts, outbox } = &mut worker;
    marker.process(&mut packets, nexts, swath_api::Call { outbox, room: VECTOR, cache, tables, now: 0 });
    reader.process(&mut outbox.packets, nexts, swath_api::Call { outbox: &mut second, room: VECTOR, cache, tables, now: 0 });
    assert_eq!(nexts.ids(), [Next::A.id()]);
}

/// What is not decided must not go by what another node decided for another packet.
#[test]
fn a_packet_that_is_not_decided_does_not_inherit_a_decision() {
    let mut first = true;
    let mut kit = walker(TestKit::new(), move |frame, _| {
        if std::mem::take(&mut first) {
            frame.all(Next::C);
        }
    });
    run(&mut kit, &numbered(2));
    assert_ne!(run(&mut kit, &numbered(1))[0].edge, "c");
}

#[test]
fn group_addresses_and_zeroes_of_an_unknown_interface_are_to_nobody() {
    let mut kit = walker(TestKit::new(), |frame, _| {
        frame.eth_check(&[MacAddr::new([2, 0, 0, 0, 0, 1])], &[(EtherType::IPV4, Next::A)], Next::B, Next::Bad, Next::Full);
    });
    for dst in [[0_u8; 6], [0xff; 6]] {
        let bytes = [&dst[..], &[2; 6], &[8, 0], &[0; 40]].concat();
        assert_eq!(kit.one(&bytes, Lane::received(9)).edge, "bad", "{dst:?}");
    }
}

/// Two aborts of the whole process; run each alone.
mod aborts {
    use super::*;

    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("again");
        }
    }

    #[derive(Deserialize)]
    struct BadSchema {}
    impl JsonSchema for BadSchema {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "bad".into()
        }
        fn json_schema(_: &mut swath_api::schemars::SchemaGenerator) -> swath_api::schemars::Schema {
            std::panic::panic_any(Bomb)
        }
    }

    struct Undocumented;
    impl Node for Undocumented {
        const INFO: Info = Info::new("undocumented", "Panics in its schema.");
        type Config = BadSchema;
        type Next = Next;
        fn new(_: BadSchema, _: &mut Setup<'_>) -> Result<Undocumented, ConfigError> {
            Ok(Undocumented)
        }
        fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
            frame.all(Next::A);
        }
    }

    #[test]
    fn a_schema_whose_payload_panics_is_contained() {
        assert_eq!(swath_api::NodeKind::of::<Undocumented>().schema(), "");
    }

    struct Hungry;
    impl Node for Hungry {
        const INFO: Info = Info::new("hungry", "Wants to hold more packets than there is memory.");
        type Config = NoConfig;
        type Next = Next;
        fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Hungry, ConfigError> {
            let _: Held<[u8; 64]> = setup.held(1 << 42);
            Ok(Hungry)
        }
        fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
            frame.all(Next::A);
        }
    }

    #[test]
    fn a_capacity_that_memory_does_not_have_is_an_error() {
        let _ = TestKit::new().node::<Hungry>("{}");
    }
}
