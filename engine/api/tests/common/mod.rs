//! What the tests share: frame sizes, packets, and a node made of a closure.
#![allow(dead_code, reason = "each test uses its part")]

use std::cell::Cell;
use std::sync::Arc;

use proptest::test_runner::{Config, TestRunner};
use swath_api::memory::{Geometry, Region};
use swath_api::prelude::*;
use swath_api::testkit::{NodeKit, Outcome, TestKit};
use swath_api::{
    Cache, Call, Called, Interfaces, Nexts, NodeHost, NodeInstance, NodeKind, Outbox, Pool, TableInstance, Vector, Wishes,
    WorkerTables,
};

/// Frame sizes around the limits of SIMD groups.
pub const SIZES: [usize; 6] = [1, 15, 16, 17, 255, 256];

/// Bytes of packet data behind the headroom in a chunk of the test kit.
pub const ROOM: usize = 2112;

edges! {
    /// Where the packets of a test go.
    #[allow(dead_code)]
    pub enum Next {
        /// The main edge.
        A = edge("a", layer::ANY),
        /// Another one.
        B = edge("b", layer::ANY),
        /// A third one.
        C = edge("c", layer::ANY),
        /// Kept.
        Kept = held("kept"),
        /// There was no room to keep it.
        Full = drop("full"),
        /// Anything that is not right.
        Bad = drop("bad"),
    }
}

type Walk = Box<dyn FnMut(&mut Frame<'_, Next>, &mut Context<'_>) + Send>;

thread_local! {
    static WALK: Cell<Option<Walk>> = const { Cell::new(None) };
}

/// A node that does what a closure does.
struct Walker(Walk);

impl Node for Walker {
    const INFO: Info = Info::new("walker", "Does what a closure does.");
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Walker, ConfigError> {
        WALK.take().map(Walker).ok_or_else(|| ConfigError::new("no closure"))
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        (self.0)(frame, cx);
    }
}

/// A node whose `process` is the closure.
pub fn walker(kit: TestKit, walk: impl FnMut(&mut Frame<'_, Next>, &mut Context<'_>) + Send + 'static) -> NodeKit {
    WALK.set(Some(Box::new(walk)));
    kit.node::<Walker>("{}").unwrap()
}

/// `count` packets of different lengths: the number of the packet in its first four bytes, then bytes that depend on it.
pub fn numbered(count: usize) -> Vec<Vec<u8>> {
    let tail = |number: usize| std::iter::repeat_n(number as u8 ^ 0x5a, number % 61);
    (0..count).map(|number| (number as u32).to_be_bytes().into_iter().chain(tail(number)).collect()).collect()
}

/// The lane that [`run`] gives to a packet.
pub fn lane(number: usize) -> Lane {
    Lane { adj: 1000 + number as u32, ..Lane::received(0) }
}

/// Runs the packets as one frame, each with its [`lane`].
pub fn run(kit: &mut NodeKit, packets: &[Vec<u8>]) -> Vec<Outcome> {
    let packets: Vec<(&[u8], Lane)> = packets.iter().enumerate().map(|(i, bytes)| (bytes.as_slice(), lane(i))).collect();
    kit.run(&packets)
}

/// Runs one packet, whose node is `walk`.
pub fn run_one(bytes: &[u8], walk: impl FnMut(&mut Packet<'_>) -> Next + Send + 'static) -> Outcome {
    let mut walk = walk;
    walker(TestKit::with_buffers(4), move |frame, _| frame.for_each(&mut walk)).one(bytes, lane(0))
}

/// The edges of outcomes.
pub fn edges_of(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(|outcome| outcome.edge).collect()
}

/// Runs `cases` random cases; a failure prints its smallest input.
pub fn random(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// A pool that is enough for four workers: a worker's cache keeps 768 chunks for itself.
pub fn pool() -> Arc<Pool> {
    Pool::new(Region::anonymous(Geometry::new(4096, 2048)).unwrap())
}

/// An instance of a node, for one of `workers`.
pub fn instance<T: Node>(
    pool: &Arc<Pool>,
    config: &str,
    tables: &[Arc<TableInstance>],
    (worker, workers): (u32, u32),
) -> Result<(NodeInstance, Wishes), ConfigError> {
    let (interfaces, tables) = (&Interfaces::new(Vec::new()), &tables.iter().cloned().collect());
    let host = NodeHost { name: "node", worker, workers, interfaces, tables, slots: &[], edges: &[], pool, keeper: None };
    NodeKind::of::<T>().create(config.as_bytes(), &host)
}

/// What a worker of the engine has: its tables, a cache of chunks, room for decisions and for what nodes make.
pub struct Worker {
    pub cache: Cache,
    pub tables: WorkerTables,
    pub nexts: Nexts,
    pub outbox: Outbox,
}

impl Worker {
    pub fn new(pool: &Arc<Pool>, number: u32, tables: &[Arc<TableInstance>]) -> Worker {
        let tables = WorkerTables::new(number, tables).unwrap();
        Worker { cache: pool.cache(), tables, nexts: Nexts::default(), outbox: Outbox::new(pool) }
    }

    /// Has the node decide for `count` packets, and frees them and what it made. The decisions are in `nexts`.
    pub fn process(&mut self, node: &mut NodeInstance, count: usize) -> Called {
        let mut packets = Vector::new(self.cache.pool());
        for bytes in numbered(count) {
            let mut buffer = self.cache.take().expect("a buffer for each packet");
            assert!(buffer.fill(&bytes) && buffer.push(&mut packets, Lane::received(0)));
        }
        self.cache.ensure(VECTOR);
        let Worker { cache, tables, nexts, outbox } = self;
        let called = node.process(&mut packets, nexts, Call { outbox, room: VECTOR, cache, tables, now: 0 });
        assert_eq!(packets.len() + called.taken as usize, count);
        cache.free(&mut packets);
        cache.free(&mut outbox.packets);
        called
    }

    /// Has the node act on the time, and frees what it made.
    pub fn tick(&mut self, node: &mut NodeInstance) -> Called {
        self.cache.ensure(VECTOR);
        let Worker { cache, tables, outbox, .. } = self;
        let called = node.tick(Call { outbox, room: VECTOR, cache, tables, now: 0 });
        cache.free(&mut outbox.packets);
        called
    }
}
