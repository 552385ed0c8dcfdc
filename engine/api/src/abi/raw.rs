//! The structures of the ABI for nodes: what a library and the engine say to each other about kinds of nodes and packets.

use std::ffi::c_void;

use super::layout::{Abi, abi, known, mix, of};
use crate::packet::{Desc, Lane};

impl Abi for Desc {
    const HASH: u64 = mix(of("swath_desc"), size_of::<Desc>() as u64);

    fn declare(name: &str) -> String {
        format!("swath_desc {name}")
    }
}

known! { Lane as "swath_lane" {
        /// The adjacency that a look-up found, or a word that the nodes of a flow agree on.
        adj: u32,
        /// Index of the interface to leave by, or `SWATH_NO_INTERFACE`.
        tx: u16,
        /// Index of the interface that it was received by, or `SWATH_NO_INTERFACE`.
        rx: u16,
    }
    /// What travels with a packet beside its place.
}

abi! {
    /// Borrowed bytes: good during the call that they are an argument of, or as long as the library where they are in a table of it. Text is
    /// UTF-8. `first` may be null if there are none.
    #[derive(Clone, Copy)]
    pub(crate) struct Bytes as "swath_bytes" {
        pub first: *const u8,
        pub len: usize,
    }

    /// Where a callee leaves what it has to say: `put(to, path, text)`. The path is a place in the settings, as `routes[3].via`, where there is one;
    /// the text an error, a schema, an answer, or a piece of state, of which all pieces count in their order.
    #[derive(Clone, Copy)]
    pub(crate) struct Sink as "swath_sink" {
        pub to: *mut c_void,
        pub put: Option<unsafe extern "C" fn(*mut c_void, Bytes, Bytes)>,
    }

    /// Which type of which build of a library something is: what is compared before a pointer is believed. `library` is the address of anything
    /// that only this library has.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct TypeKey as "swath_key" {
        pub(crate) id: [u64; 2],
        pub(crate) library: usize,
    }

    /// A list of texts.
    #[derive(Clone, Copy)]
    pub(crate) struct RawTexts as "swath_texts" {
        pub first: *const Bytes,
        pub len: usize,
    }

    /// A value that nodes leave with a packet in its cold line.
    #[derive(Clone, Copy)]
    pub(crate) struct RawSlotInfo as "swath_slot" {
        pub name: Bytes,
        /// Bytes of its type.
        pub bytes: u16,
        /// Alignment of its type.
        pub align: u16,
    }

    /// A list of slots.
    #[derive(Clone, Copy)]
    pub(crate) struct RawSlots as "swath_slots" {
        pub first: *const RawSlotInfo,
        pub len: usize,
    }

    /// A slot with its place in the cold line.
    #[derive(Clone, Copy)]
    pub(crate) struct RawSlot as "swath_placed_slot" {
        pub info: RawSlotInfo,
        pub at: u16,
    }

    /// An edge or drop reason of a kind.
    #[derive(Clone, Copy)]
    pub(crate) struct RawEdge as "swath_edge" {
        /// The key in YAML, the label of metrics, the word in tests.
        pub name: Bytes,
        /// What it means; for a drop also what to do.
        pub doc: Bytes,
        /// What its packets start with: `ethernet`, `ip4`, `=` for what the node was given, or nothing for anything.
        pub layer: Bytes,
        /// What becomes of its packets: one of `SWATH_EDGE`, `SWATH_REQUIRED`, `SWATH_DROP`, `SWATH_HELD`, `SWATH_CONSUMED`, `SWATH_TRANSMIT`.
        pub class_id: u8,
    }

    /// Edges by id.
    #[derive(Clone, Copy)]
    pub(crate) struct RawEdges as "swath_edges" {
        pub first: *const RawEdge,
        pub len: usize,
    }

    /// What a kind of node says of itself.
    #[derive(Clone, Copy)]
    pub(crate) struct RawInfo as "swath_node_info" {
        /// The `kind:` in YAML.
        pub kind: Bytes,
        /// One sentence.
        pub summary: Bytes,
        /// More, if there is more to say.
        pub about: Bytes,
        /// What its packets start with.
        pub input: Bytes,
        /// What it remembers, and its successor takes over.
        pub carries: Bytes,
        /// A complete graph with it and with tests, in YAML.
        pub example: Bytes,
        /// Slots that it expects to be written.
        pub reads: RawSlots,
        /// Slots that it writes in every packet that it sends on.
        pub writes: RawSlots,
        /// Kinds of tables that it refers to.
        pub uses: RawTexts,
        /// Whether it matters which worker its packets are on: `SWATH_ANY_WORKER`, or `SWATH_OWNED`.
        pub ownership: u32,
        /// 1 if `process` changes nothing but the packets that it is called with: what it would do with one, the engine finds out by having it do
        /// that.
        pub pure: u32,
    }

    /// An address of an interface with the length of its subnet's prefix.
    #[derive(Clone, Copy)]
    pub(crate) struct RawAddress as "swath_address" {
        /// In network order; of IPv4 the first four.
        pub octets: [u8; 16],
        /// 4 or 6.
        pub version: u8,
        pub prefix_len: u8,
    }

    /// An interface.
    #[derive(Clone, Copy)]
    pub(crate) struct RawInterface as "swath_interface" {
        /// Its name in the graph; empty where there is none at this index.
        pub name: Bytes,
        pub mac: [u8; 6],
        /// The longest layer 3 packet that it carries, in bytes.
        pub mtu: u16,
        pub addresses: *const RawAddress,
        pub address_count: usize,
    }

    /// All interfaces of a graph, by index.
    #[derive(Clone, Copy)]
    pub(crate) struct RawInterfaces as "swath_interfaces" {
        /// Different for each list of a process, so that a library knows one that it has read.
        pub id: u64,
        pub first: *const RawInterface,
        pub count: usize,
    }

    /// What a table is to the nodes and tables that are made after it.
    #[derive(Clone, Copy)]
    pub(crate) struct RawTable as "swath_table_reference" {
        pub name: Bytes,
        /// Its kind; empty if nobody knows it.
        pub kind: Bytes,
        pub key: TypeKey,
        /// What `create` of its kind has made; null for a table that was refused.
        pub shared: *const c_void,
        /// What `retain` and `release` are called with.
        pub instance: *const c_void,
        /// Keeps the table alive until it is released.
        pub retain: Option<unsafe extern "C" fn(*const c_void)>,
        pub release: Option<unsafe extern "C" fn(*const c_void)>,
    }

    /// A counted reference to the pool of packets, for who keeps some.
    pub(crate) struct RawPool as "swath_pool" {
        pub host: *const c_void,
        /// Which pool it is; what the frames and outboxes of its packets say, too.
        pub pool: *const c_void,
        /// Chunks of the pool.
        pub capacity: u32,
        pub retain: Option<unsafe extern "C" fn(*const c_void)>,
        pub release: Option<unsafe extern "C" fn(*const c_void)>,
        /// Gives chunks back, by their positions, that were taken out of frames.
        pub give_back: Option<unsafe extern "C" fn(*const c_void, *const u32, usize)>,
    }

    /// What a node finds when it is made, and its wishes. Good during `create`.
    pub(crate) struct RawSetup as "swath_setup" {
        /// Bytes of this structure as the engine knows it.
        pub size: u32,
        /// The worker that the instance is for, from 0.
        pub worker: u32,
        /// How many workers there are.
        pub workers: u32,
        /// To be set to 1 by a node of an owned kind whose packets any worker may have.
        pub any_worker: u32,
        /// Its name in the graph.
        pub name: Bytes,
        pub interfaces: RawInterfaces,
        pub tables: *const RawTable,
        pub table_count: usize,
        pub slots: *const RawSlot,
        pub slot_count: usize,
        /// The names of the named edges.
        pub edges: RawTexts,
        /// A reference that belongs to the engine: who keeps it retains it.
        pub pool: RawPool,
        /// To be set to 1 at the index of each table that the node has found.
        pub found_tables: *mut u8,
        /// To be set to 1 at the index of each interface that the node has found by name.
        pub found_interfaces: *mut u8,
        /// To be set to the interface whose packets the node wants; `SWATH_NO_INTERFACE` if it wants none.
        pub receive: u16,
        /// To be set to the nanoseconds between calls of `tick`; 0 for none.
        pub tick_every: u64,
        /// Null for kinds of libraries.
        pub native: *mut c_void,
    }

    /// A table as one worker sees it.
    #[derive(Clone, Copy)]
    pub(crate) struct RawEntry as "swath_entry" {
        pub key: TypeKey,
        /// Both are null, and the key that of no type, where nothing is.
        pub shared: *const c_void,
        pub shard: *mut c_void,
    }

    /// What a node finds when it is called.
    #[derive(Clone, Copy)]
    pub(crate) struct RawContext as "swath_context" {
        /// Nanoseconds of the engine's monotonic clock, read once per sweep.
        pub now: u64,
        /// By the index that the table has in `swath_setup`.
        pub tables: *const RawEntry,
        pub table_count: u32,
    }

    /// The packets of a call, at most 256. The arrays have `len` entries and 32 more that may be read and written.
    #[derive(Debug)]
    pub(crate) struct RawFrame as "swath_frame" {
        /// The pool that the packets belong to.
        pub pool: *const c_void,
        /// The start of the memory that descriptors count from.
        pub base: *mut u8,
        /// Bytes of a chunk: `offset + length` and `offset + SWATH_WINDOW` never exceed it.
        pub stride: u32,
        pub len: u32,
        pub descs: *mut Desc,
        pub lanes: *mut Lane,
        /// Where each packet goes: the id of an edge.
        pub next: *mut u16,
        pub outbox: *mut RawOutbox,
        /// To be set to 1 when `next` is written for all packets.
        pub decided: u32,
        /// To be set to the number of packets that the node has kept; their descriptors are `SWATH_NONE` then.
        pub taken: u32,
        /// The id that they are counted by, which is of class `SWATH_HELD`.
        pub taken_id: u16,
    }

    /// Where packets go that a node makes or releases, with the chunks to make them of.
    #[derive(Debug)]
    pub(crate) struct RawOutbox as "swath_outbox" {
        /// The pool that the packets belong to.
        pub pool: *const c_void,
        /// The start of the memory that descriptors count from.
        pub base: *mut u8,
        /// Bytes of a chunk.
        pub stride: u32,
        /// Packets in it.
        pub len: u32,
        /// Packets that it takes in all.
        pub room: u32,
        /// Chunks left in `spare`; to be taken from the end, and counted down.
        pub spares: u32,
        pub spare: *const u32,
        pub descs: *mut Desc,
        pub lanes: *mut Lane,
        pub next: *mut u16,
        /// Packets in it that came into being.
        pub made: u32,
        /// Packets in it that the node had kept.
        pub released: u32,
        /// Packets that would have been made, had there been room.
        pub no_room: u32,
        /// Packets that would have been made, had there been a chunk.
        pub no_buffer: u32,
    }

    /// Where a node says a few words about a packet: behind `len` bytes that are there, up to `room`.
    #[derive(Debug)]
    pub(crate) struct RawWords as "swath_words" {
        pub first: *mut u8,
        pub room: u32,
        pub len: u32,
    }

    /// A kind of node: what its library exports. Entries return `SWATH_DONE`, or else `SWATH_FAILED`, upon which the instance is out of service.
    /// Those marked optional may be null. All entries of one instance are called by one thread at a time; `process`, `owner`, `tick` and `adopt` on a
    /// worker, where they must not block, allocate or log.
    pub(crate) struct NodeVTable as "swath_node" {
        /// Bytes of this structure as the library knows it.
        pub size: u32,
        /// The version of what `save` writes and `restore` reads; 0 if there is no state that another build could go on with.
        pub state_version: u32,
        pub info: RawInfo,
        pub edges: RawEdges,
        /// What the edges are like that a graph names; null if it may not.
        pub named: *const RawEdge,
        /// The same for all instances of this build, and for no others.
        pub key: Option<unsafe extern "C" fn() -> TypeKey>,
        /// Optional: puts the JSON Schema of the settings.
        pub schema: Option<unsafe extern "C" fn(*const Sink)>,
        /// Optional: `check(settings, error)`: whether settings, as JSON, have the right form.
        pub check: Option<unsafe extern "C" fn(Bytes, *const Sink) -> i32>,
        /// `create(settings, setup, error)`: an instance; or null, with the reason put into `error`.
        pub create: Option<unsafe extern "C" fn(Bytes, *mut RawSetup, *const Sink) -> *mut c_void>,
        /// `process(node, frame, context)`: decides for each packet.
        pub process: Option<unsafe extern "C" fn(*mut c_void, *mut RawFrame, *const RawContext) -> i32>,
        /// Optional unless the kind is owned: `owner(node, frame, context)` puts the worker that owns each packet into `next`, or 65535.
        pub owner: Option<unsafe extern "C" fn(*const c_void, *mut RawFrame, *const RawContext) -> i32>,
        /// Optional: `tick(node, outbox, context)`.
        pub tick: Option<unsafe extern "C" fn(*mut c_void, *mut RawOutbox, *const RawContext) -> i32>,
        /// Optional: `adopt(node, old)`: takes over the state of an instance of the same key.
        pub adopt: Option<unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32>,
        /// Optional: `save(node, at, pieces, next)`: puts a piece of the state, from position `at` on, which is 0 at first, and writes where the next one
        /// begins; 0 if that was the last.
        pub save: Option<unsafe extern "C" fn(*mut c_void, u64, *const Sink, *mut u64) -> i32>,
        /// Optional: `restore(node, version, piece, error)`: takes over a piece that `save` of another build has put, whose state version this is.
        pub restore: Option<unsafe extern "C" fn(*mut c_void, u32, Bytes, *const Sink) -> i32>,
        /// Ends an instance, on a control thread.
        pub destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        /// Optional: `reason(node, frame, decided, context, words)`: why it has decided so for the one packet of a frame, as it leaves; nothing is
        /// changed.
        pub reason: Option<unsafe extern "C" fn(*const c_void, *mut RawFrame, u16, *const RawContext, *mut RawWords) -> i32>,
        /// Optional: `simulate(node, frame, context, words)`: what it would decide for the one packet of a frame, which it changes as it would a real
        /// one, and nothing else: the id of an edge; `SWATH_NOT_SIMULATED` if it cannot say, and another number below 0 if it failed.
        pub simulate: Option<unsafe extern "C" fn(*mut c_void, *mut RawFrame, *const RawContext, *mut RawWords) -> i32>,
    }
}

// SAFETY: what it points to is constant data of its library.
unsafe impl Sync for NodeVTable {}

impl Bytes {
    pub const fn new(bytes: &[u8]) -> Bytes {
        Bytes { first: bytes.as_ptr(), len: bytes.len() }
    }

    /// # Safety
    /// What it was made of must be alive during `'a`.
    pub unsafe fn as_slice<'a>(&self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: made of a slice in `new`, or so by a library's promise; alive by the caller's contract.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}
