//! What a node is.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::edges::{Edges, layer};
use crate::frame::{Emit, Frame};
use crate::offload::ROLES;
use crate::owner::{Owner, Ownership};
use crate::packet::{Packet, SlotInfo};
use crate::setup::{ConfigError, Context, Setup};
use crate::text::{List, Str};
use crate::words::{Decided, Words};

/// A kind of node: the code decides for each packet, and only the engine moves packets.
///
/// An instance belongs to one worker: `&mut self`, no locks, no atomics. What nodes share lives in a [`Table`](crate::Table).
/// `process` and `tick` run on the worker: they must not block, log, allocate, read a clock or print. A panic is contained: the node
/// is out of service, its packets drop as `fault`, and all else goes on.
///
/// ```
/// use swath_api::prelude::*;
///
/// /// Drops IPv4 packets that are longer than a limit.
/// pub struct Limit {
///     bytes: usize,
/// }
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// #[schemars(crate = "swath_api::schemars")]
/// pub struct Config {
///     /// Longest packet that passes, in bytes.
///     bytes: usize,
/// }
///
/// edges! {
///     /// Where packets go.
///     pub enum Next {
///         /// Packets within the limit.
///         Ok = required("ok", layer::IP4),
///         /// The packet is longer than the limit.
///         TooLong = drop("too-long"),
///     }
/// }
///
/// impl Node for Limit {
///     const INFO: Info = Info::new("limit", "Drops packets that are too long.").input(layer::IP4);
///     type Config = Config;
///     type Next = Next;
///
///     fn new(config: Config, _: &mut Setup<'_>) -> Result<Limit, ConfigError> {
///         Ok(Limit { bytes: config.bytes })
///     }
///
///     fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
///         frame.for_each(|packet| if packet.len() > self.bytes { Next::TooLong } else { Next::Ok });
///     }
/// }
/// ```
pub trait Node: Sized + Send + 'static {
    /// Kind, summary, layer in, slots read and written, an example.
    const INFO: Info;
    /// The settings that stand beside `kind` and `to` in YAML. Unknown keys are load errors: derive with `deny_unknown_fields`.
    type Config: DeserializeOwned + JsonSchema;
    /// Edges and drop reasons together, by [`edges!`](crate::edges).
    type Next: Edges;

    /// The version of what [`Node::save`] writes; 0 for a kind that another build of a plugin cannot go on from. Raise it when that changes,
    /// and let [`Node::restore`] read the older ones, too.
    const STATE_VERSION: u32 = 0;

    /// Makes the instance of one worker, on the control thread.
    ///
    /// # Errors
    /// What is wrong with the settings, and where ([`ConfigError::at`]).
    fn new(config: Self::Config, setup: &mut Setup<'_>) -> Result<Self, ConfigError>;

    /// Decides a `Next` for each packet of the frame.
    fn process(&mut self, frame: &mut Frame<'_, Self::Next>, cx: &mut Context<'_>);

    /// Says for each packet of the frame which worker owns it: the one whose shard has its state. Asked for a kind whose [`Info`] is
    /// [`owned`](Info::owned) or [`hands_off`](Info::hands_off), of packets on their way to the node, on whichever worker they are;
    /// and never while there is one worker. Packets that belong elsewhere are moved there, and `process` sees only what is the worker's
    /// own.
    ///
    /// All walks over a frame are there, with an [`Owner`] in the place of a `Next`. The answer has to be the same on every worker: it
    /// may use the packet, its lane and the shared part of tables. It must not change packets, nor make or keep any.
    fn owner(&self, frame: &mut Frame<'_, Owner>, cx: &Context<'_>) {
        let _ = cx;
        frame.all(Owner::ANY);
    }

    /// As [`Node::owner`], of packets that are not real: for a kind whose `owner` leaves something in the shared part of a table. Kinds of plugins
    /// are asked by `owner`.
    fn would_own(&self, frame: &mut Frame<'_, Owner>, cx: &Context<'_>) {
        self.owner(frame, cx);
    }

    /// Called when the time asked for with [`Setup::every`] has passed.
    fn tick(&mut self, out: &mut Emit<'_, Self::Next>, cx: &mut Context<'_>) {
        let _ = (out, cx);
    }

    /// Told of packets that a driver has dropped in the place of the node ([`Setup::offload`]), by role. The engine has counted them as
    /// packets of the node: what remains is what the node counts elsewhere.
    fn offloaded(&mut self, packets: [u64; ROLES], cx: &mut Context<'_>) {
        let _ = (packets, cx);
    }

    /// Says why it has decided so for a packet, as it leaves: the route, the rule, the session. Called of packets that somebody follows through
    /// the graph, after `process` and on the worker. It must change nothing; what it says is a few words, such as `route 10.0.0.0/8`.
    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        let _ = (packet, decided, cx, words);
    }

    /// What it would decide for a packet that is not real, which it changes as it would a real one, and nothing else but scratch space: no shard,
    /// no counter, no limit of rates, and nothing is made or kept. `None` if it cannot promise that, with what is to be said all the same. Not asked of kinds
    /// whose [`Info`] is [`pure`](Info::pure): of those the engine calls `process`.
    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Self::Next> {
        let _ = (packet, cx, words);
        None
    }

    /// Takes over the state of the instance that this one replaces, in O(1), on the worker: swap the fields that hold state, and never
    /// handles, which belong to the graph that they were made for. What is left in `old` a control thread drops.
    fn adopt(&mut self, old: &mut Self) {
        let _ = old;
    }

    /// Writes its state for an instance of another build of the plugin, which takes its place: a piece, from position `at` on, which is 0 at
    /// first. Returns where the next piece begins, which is above 0; `None` after the last. A worker waits for it: for 4096 pieces and 16 MiB at
    /// most; more is not carried.
    /// Within a build it is [`Node::adopt`] that is called.
    fn save(&mut self, at: u64, piece: &mut Vec<u8>) -> Option<u64> {
        let _ = (at, piece);
        None
    }

    /// Takes over a piece that [`Node::save`] of another build has written, which is of this state version.
    ///
    /// # Errors
    /// It cannot be read: the node goes on with what it has.
    fn restore(&mut self, version: u32, piece: &[u8]) -> Result<(), ConfigError> {
        let _ = (version, piece);
        Ok(())
    }
}

/// What a kind says of itself.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Info {
    /// The `kind:` in YAML, the name of its page and of its file.
    pub kind: Str,
    /// One sentence.
    pub summary: Str,
    /// More, if there is more to say: behaviour, sources, what to combine it with.
    pub about: Str,
    /// What its packets start with: see [`layer`].
    pub input: Str,
    /// Slots that it expects to be written.
    pub reads: List<SlotInfo>,
    /// Slots that it writes in every packet that it sends on.
    pub writes: List<SlotInfo>,
    /// Kinds of tables that it refers to.
    pub uses: List<Str>,
    /// What it remembers, and its successor takes over.
    pub carries: Str,
    /// A complete graph with it and with tests, in YAML: what its page shows.
    pub example: Str,
    /// Whether it matters which worker its packets are on.
    pub ownership: Ownership,
    /// Whether `process` changes nothing but the packets that it is called with.
    pub pure: bool,
}

impl Info {
    /// A kind that takes any layer and no slots.
    pub const fn new(kind: &'static str, summary: &'static str) -> Info {
        Info {
            kind: Str::new(kind),
            summary: Str::new(summary),
            about: Str::new(""),
            input: Str::new(layer::ANY),
            reads: List::new(&[]),
            writes: List::new(&[]),
            uses: List::new(&[]),
            carries: Str::new(""),
            example: Str::new(""),
            ownership: Ownership::Any,
            pure: false,
        }
    }

    /// Whose `process` changes nothing but the packets that it is called with, scratch space of its own aside: it keeps and makes none, counts
    /// nothing, and leaves shards as they are. So the engine can say what it would do with a packet by having it do that.
    pub const fn pure(mut self) -> Info {
        self.pure = true;
        self
    }

    /// Of which each packet has an owner, by [`Node::owner`]: the engine puts a `handoff` before the node wherever there is more than one
    /// worker. A node that needs none, as it is set, says so with [`Setup::any_worker`].
    pub const fn owned(mut self) -> Info {
        self.ownership = Ownership::Owned;
        self
    }

    /// Which is a handoff itself: packets leave it by its first edge on the worker that [`Node::owner`] names.
    pub const fn hands_off(mut self) -> Info {
        self.ownership = Ownership::HandsOff;
        self
    }

    /// With more to say.
    pub const fn about(mut self, about: &'static str) -> Info {
        self.about = Str::new(about);
        self
    }

    /// With the layer that its packets start with.
    pub const fn input(mut self, layer: &'static str) -> Info {
        self.input = Str::new(layer);
        self
    }

    /// With the slots that it reads.
    pub const fn reads(mut self, slots: &'static [SlotInfo]) -> Info {
        self.reads = List::new(slots);
        self
    }

    /// With the slots that it writes.
    pub const fn writes(mut self, slots: &'static [SlotInfo]) -> Info {
        self.writes = List::new(slots);
        self
    }

    /// With what it remembers, and takes over from the instance that it replaces ([`Node::adopt`]): `packets that wait`.
    pub const fn carries(mut self, state: &'static str) -> Info {
        self.carries = Str::new(state);
        self
    }

    /// With the kinds of tables that it refers to.
    pub const fn uses(mut self, kinds: &'static [Str]) -> Info {
        self.uses = List::new(kinds);
        self
    }

    /// With a complete graph that shows it: `.example(include_str!("../examples/limit.yaml"))`.
    pub const fn example(mut self, graph: &'static str) -> Info {
        self.example = Str::new(graph);
        self
    }
}

/// Settings of a kind that has none: `{}`.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
