//! How to test a node without an engine: packets in, (edge, packet) out.
//!
//! ```
//! use swath_api::prelude::*;
//! use swath_api::testkit::TestKit;
//! # struct Short; edges! { pub enum Next { /// Long enough.
//! # Ok = required("ok", layer::ANY), /// Too short.
//! # TooShort = drop("too-short") } }
//! # impl Node for Short {
//! #     const INFO: Info = Info::new("short", "Drops what is short.");
//! #     type Config = NoConfig; type Next = Next;
//! #     fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Self, ConfigError> { Ok(Short) }
//! #     fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
//! #         frame.for_each(|packet| if packet.len() < 4 { Next::TooShort } else { Next::Ok });
//! #     }
//! # }
//! let mut kit = TestKit::new().node::<Short>("{}").unwrap();
//! assert_eq!(kit.edge(b"abcdef"), "ok");
//! assert_eq!(kit.edge(b"abc"), "too-short");
//! ```

use std::sync::Arc;

use crate::abi::{
    Call, Called, Interfaces, NodeHost, NodeInstance, NodeKind, Outbox, TableHost, TableInstance, TableKind, Tables, WorkerTables,
};
use crate::edges::reserved;
use crate::memory::{Cache, Geometry, Pool, Region};
use crate::node::Node;
use crate::packet::{Lane, Meta, Nexts, SlotInfo, VECTOR, Vector};
use crate::setup::{ConfigError, Interface};
use crate::table::Table;

/// What a node did with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The name of the edge or drop reason.
    pub edge: &'static str,
    /// The packet as it leaves the node.
    pub bytes: Vec<u8>,
    /// What travels with it.
    pub lane: Lane,
}

/// The surroundings of a node under test: interfaces, tables, packet memory.
#[derive(Debug)]
pub struct TestKit {
    pool: Arc<Pool>,
    interfaces: Vec<Interface>,
    tables: Tables,
    edges: &'static [&'static str],
}

impl Default for TestKit {
    fn default() -> TestKit {
        TestKit::new()
    }
}

impl TestKit {
    /// No interfaces, no tables, 1,024 buffers.
    pub fn new() -> TestKit {
        TestKit::with_buffers(1024)
    }

    /// As [`TestKit::new`], with as many buffers: few of them to see what a node does without.
    ///
    /// # Panics
    /// If the memory cannot be had; so does everything here when a test is wrong.
    pub fn with_buffers(chunks: u32) -> TestKit {
        let region = Region::anonymous(Geometry::new(chunks, 2048)).expect("memory for the test's packets");
        TestKit { pool: Pool::new(region), interfaces: Vec::new(), tables: Tables::new(), edges: &[] }
    }

    /// Adds an interface; the first one has index 0. Addresses are `a.b.c.d/len`.
    ///
    /// # Panics
    /// If an address is not one.
    #[must_use]
    pub fn interface(mut self, name: &str, mac: &str, mtu: u16, addresses: &[&str]) -> TestKit {
        let parse = |text: &&str| {
            let (address, len) = text.split_once('/').expect("an address with a prefix length");
            (address.parse().expect("an IP address"), len.parse().expect("a prefix length"))
        };
        let addresses = addresses.iter().map(parse).collect();
        self.interfaces.push(Interface { name: name.into(), mac: mac.parse().expect("a MAC address"), mtu, addresses });
        self
    }

    /// Wires edges of these names, for a kind whose edges a graph names.
    #[must_use]
    pub fn edges(mut self, names: &'static [&'static str]) -> TestKit {
        self.edges = names;
        self
    }

    /// Adds a table, after those that it refers to. `config` is JSON.
    ///
    /// # Panics
    /// If the table refuses its settings; for a test of that see [`TestKit::try_table`].
    #[must_use]
    pub fn table<T: Table>(self, name: &str, config: &str) -> TestKit {
        self.try_table::<T>(name, config).expect("settings that the table takes")
    }

    /// Adds a table.
    ///
    /// # Errors
    /// What the table says of its settings.
    pub fn try_table<T: Table>(mut self, name: &str, config: &str) -> Result<TestKit, ConfigError> {
        let siblings = 1 + self.tables.instances().iter().flatten().filter(|table| table.info().kind == T::INFO.kind).count();
        let (interfaces, tables) = (&Interfaces::new(self.interfaces.clone()), &self.tables);
        let host = TableHost { name, interfaces, tables, siblings, workers: 1, in_use: true, virtual_time: true, old: None };
        let (table, _) = TableKind::of::<T>().create(config.as_bytes(), &host)?;
        self.tables.push(table);
        Ok(self)
    }

    /// Makes the node. `config` is its settings as JSON.
    ///
    /// # Errors
    /// What the node says of its settings.
    pub fn node<T: Node>(self, config: &str) -> Result<NodeKit, ConfigError> {
        let mut slots: Vec<(SlotInfo, u16)> = Vec::new();
        for slot in T::INFO.reads.as_slice().iter().chain(T::INFO.writes.as_slice()) {
            if !slots.iter().any(|(known, _)| known == slot) {
                let used: Vec<(u16, u16)> = slots.iter().map(|(slot, at)| (*at, slot.size)).collect();
                let at = Meta::place(&used, slot).ok_or_else(|| ConfigError::new("no room for the node's slots"))?;
                slots.push((*slot, at));
            }
        }
        let kind = NodeKind::of::<T>();
        let TestKit { pool, interfaces, tables, edges: named } = &self;
        let interfaces = &Interfaces::new(interfaces.clone());
        let host =
            NodeHost { name: "node", worker: 0, workers: 1, interfaces, tables, slots: &slots, edges: named, pool, keeper: None };
        let (instance, _) = kind.create(config.as_bytes(), &host)?;
        let shared: Vec<_> = self.tables.instances().iter().flatten().cloned().collect();
        Ok(NodeKit {
            instance: Some(instance),
            edges: kind.edges().iter().map(|edge| edge.name.as_str()).chain(named.iter().copied()).collect(),
            tables: WorkerTables::new(0, &shared)?,
            shared,
            cache: self.pool.cache(),
            nexts: Nexts::default(),
            outbox: Outbox::new(&self.pool),
            called: Called::default(),
            emitted: Vec::new(),
            now: 0,
            pool: self.pool,
        })
    }
}

/// A node under test. When it is dropped it checks that no buffer was lost.
#[derive(Debug)]
pub struct NodeKit {
    instance: Option<NodeInstance>,
    edges: Vec<&'static str>,
    tables: WorkerTables,
    shared: Vec<Arc<TableInstance>>,
    cache: Cache,
    nexts: Nexts,
    outbox: Outbox,
    called: Called,
    emitted: Vec<Outcome>,
    now: u64,
    pool: Arc<Pool>,
}

impl NodeKit {
    /// The edge that one packet takes.
    ///
    /// # Panics
    /// If the node keeps it.
    pub fn edge(&mut self, bytes: &[u8]) -> &'static str {
        self.one(bytes, Lane::received(0)).edge
    }

    /// What the node does with one packet.
    ///
    /// # Panics
    /// If the node keeps it.
    pub fn one(&mut self, bytes: &[u8], lane: Lane) -> Outcome {
        self.run(&[(bytes, lane)]).pop().expect("a packet that the node did not keep")
    }

    /// What the node does with up to 256 packets at once; in their order, without those that it keeps.
    ///
    /// # Panics
    /// If there are more, or more than there are buffers.
    pub fn run(&mut self, packets: &[(&[u8], Lane)]) -> Vec<Outcome> {
        assert!(packets.len() <= VECTOR, "a node sees at most 256 packets at once");
        let mut vector = Vector::new(&self.pool);
        for (bytes, lane) in packets {
            let mut buffer = self.cache.take().expect("a buffer for each packet");
            assert!(buffer.fill(bytes), "packets fit into a buffer");
            buffer.push(&mut vector, *lane);
        }
        self.tables.sync();
        self.cache.ensure(VECTOR);
        let instance = self.instance.as_mut().expect("it is there until drop");
        let NodeKit { nexts, outbox, cache, tables, now, .. } = self;
        self.called = instance.process(&mut vector, nexts, Call { outbox, room: VECTOR, cache, tables, now: *now });
        self.collect_emitted();
        let outcomes = outcomes(&self.edges, &vector, &self.nexts);
        self.cache.free(&mut vector);
        outcomes
    }

    /// Moves the clock and calls the node's `tick`.
    pub fn tick(&mut self, now: u64) {
        self.now = now;
        self.cache.ensure(VECTOR);
        let instance = self.instance.as_mut().expect("it is there until drop");
        let NodeKit { outbox, cache, tables, .. } = self;
        self.called = instance.tick(Call { outbox, room: VECTOR, cache, tables, now });
        self.collect_emitted();
    }

    /// What the last call made or released.
    pub fn emitted(&self) -> &[Outcome] {
        &self.emitted
    }

    /// What the last call did beside deciding.
    pub fn called(&self) -> Called {
        self.called
    }

    /// Sends a command to a table: JSON in, JSON out.
    ///
    /// # Errors
    /// Why the table refused.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn command(&self, table: &str, command: &str) -> Result<String, ConfigError> {
        self.table(table).command(command)
    }

    /// A table.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn table(&self, name: &str) -> &Arc<TableInstance> {
        self.shared.iter().find(|instance| instance.name() == name).expect("a table of the kit")
    }

    /// Tells all tables that an interface is up or down.
    pub fn link(&self, interface: u16, up: bool) {
        self.shared.iter().for_each(|table| table.link(interface, up));
    }

    fn collect_emitted(&mut self) {
        self.emitted = outcomes(&self.edges, &self.outbox.packets, &self.outbox.nexts);
        self.cache.free(&mut self.outbox.packets);
    }
}

impl Drop for NodeKit {
    fn drop(&mut self) {
        // First, so that what the node holds comes back.
        self.instance = None;
        self.cache.publish();
        if !std::thread::panicking() {
            assert_eq!(self.pool.free() + self.pool.cached(), self.pool.capacity(), "a buffer was lost");
        }
    }
}

fn outcomes(edges: &[&'static str], vector: &Vector, nexts: &Nexts) -> Vec<Outcome> {
    let name = |id: u16| match edges.get(usize::from(id)) {
        Some(edge) => edge,
        None => reserved::REASONS.get(usize::from(u16::MAX - id)).map_or("no such edge", |(name, _)| name),
    };
    let ids = nexts.ids().iter().enumerate();
    ids.map(|(index, id)| Outcome {
        edge: name(*id),
        bytes: vector.bytes(index).unwrap_or_default().to_vec(),
        lane: vector.lanes()[index],
    })
    .collect()
}
