//! State that several nodes share.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::journal::Records;
use crate::offload::Copied;
use crate::setup::ConfigError;
use crate::table_setup::TableSetup;
use crate::text::{List, Str};

/// A kind of table, in two parts: what all workers read (`&self`), and a *shard* per worker which that worker alone changes.
///
/// The shared part is written by control commands and read by workers at the same time: publish snapshots, or use atomics. Workers
/// never wait for it. A worker calls [`Table::sync`] at the top of each sweep: the place to refresh a cached snapshot in its shard.
pub trait Table: Sized + Send + Sync + 'static {
    /// Kind and summary.
    const INFO: TableInfo;
    /// The settings that stand beside `kind` in YAML.
    type Config: DeserializeOwned + JsonSchema;
    /// The part of one worker.
    type Shard: Send + 'static;
    /// What the control side may ask; externally tagged, as `{"add": {...}}`.
    type Command: DeserializeOwned;
    /// The answer.
    type Reply: Serialize;

    /// The version of what [`Table::save`] writes; 0 for a kind that another build of a plugin cannot go on from. Raise it when that changes,
    /// and let [`Table::restore`] read the older ones, too.
    const STATE_VERSION: u32 = 0;

    /// Makes the table, on the control thread.
    ///
    /// # Errors
    /// What is wrong with the settings, and where ([`ConfigError::at`]).
    fn new(config: Self::Config, setup: &mut TableSetup<'_>) -> Result<Self, ConfigError>;

    /// Makes the part of one worker, on the control thread.
    fn shard(&self, worker: u32) -> Self::Shard;

    /// Called by each worker with its shard, at the top of each sweep.
    fn sync(&self, shard: &mut Self::Shard) {
        let _ = shard;
    }

    /// Called on a control thread of a table that was made in the place of another one, when the graph with it begins to run: nothing
    /// can go wrong any more, and no worker uses it yet. Workers still use the old one. Here belongs what must not have happened if the
    /// graph had been refused. What it goes on with it has taken when it was made, from [`TableSetup::old`].
    fn succeed(&self, old: &Self) {
        let _ = old;
    }

    /// Called by each worker when it goes over to this table: its shard takes over the state of the old one in O(1). Swap what holds state,
    /// and leave in `old` what is not needed any more: a control thread drops it.
    fn adopt(&self, shard: &mut Self::Shard, old: &mut Self::Shard) {
        let _ = (shard, old);
    }

    /// Writes its state for a table of another build of the plugin, which takes its place: a piece, from position `at` on, which is 0 at first.
    /// Returns where the next piece begins, which is above 0; `None` after the last. Asked twice: without a shard, on a control thread and while
    /// workers still use the table, for what they share; and on each worker with its shard, when it goes over: for 4096 pieces and 16 MiB of
    /// each shard at most; more is not carried. Within a build it is
    /// [`Table::succeed`] and [`Table::adopt`] that are called.
    fn save(&self, shard: Option<&mut Self::Shard>, at: u64, piece: &mut Vec<u8>) -> Option<u64> {
        let _ = (shard, at, piece);
        None
    }

    /// Takes over a piece that [`Table::save`] of another build has written, which is of this state version; with a shard if that was written of
    /// one.
    ///
    /// # Errors
    /// It cannot be read: the table goes on with what it has.
    fn restore(&self, shard: Option<&mut Self::Shard>, version: u32, piece: &[u8]) -> Result<(), ConfigError> {
        let _ = (shard, version, piece);
        Ok(())
    }

    /// Called with the shard of a worker that will not look at the table until its next [`Table::sync`], because it is stopped.
    fn rest(&self, shard: &mut Self::Shard) {
        let _ = shard;
    }

    /// Called on a control thread, while workers read, when packets can no longer leave by an interface, or can again. All interfaces are
    /// up when the table is made, unless it has an [`old`](crate::TableSetup::old) one that knows otherwise; it is told of each before it is used.
    fn link(&self, interface: u16, up: bool) {
        let _ = (interface, up);
    }

    /// Has the driver of an interface keep a copy of what is in the table: gives all that is there, and from then on what changes. On a
    /// control thread, for a table that nodes name in [`Setup::offload`](crate::Setup::offload).
    fn follow(&self, interface: u16, copy: Copied) {
        let _ = (interface, copy);
    }

    /// Carries a command out, on a control thread, while workers read.
    ///
    /// # Errors
    /// Why it could not be carried out; nothing has changed then.
    fn command(&self, command: Self::Command) -> Result<Self::Reply, ConfigError>;

    /// What there is to see of it in numbers, asked on a control thread every few seconds while workers run: counts that are kept, and
    /// not made by going through a million entries.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }

    /// The file that what it knows is to be kept in while no engine runs, as the graph says it: relative to the graph file. Such a table answers
    /// the questions `save` and `restore`.
    fn state_file(&self) -> Option<&str> {
        None
    }

    /// What there is to tell for good since this was last asked, of what workers have noted in their [`Journal`](crate::Journal)s. Asked
    /// on a control thread many times a second while workers run; `max` bounds the records of one answer.
    fn records(&self, max: usize) -> Records {
        let _ = max;
        Records::default()
    }
}

/// A number that a table shows: a metric of the engine, with the table's name as a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name in lower case with underscores, the kind of the table first: `fib_routes`. The same wherever it comes from.
    pub name: Cow<'static, str>,
    /// What it means, in a sentence.
    pub help: Cow<'static, str>,
    /// Whether it only grows, from the start of the table: its name ends in `_total`.
    pub total: bool,
    /// What it is of, if a figure of this name is of several things: a label and its value. No addresses, and few values.
    pub of: Option<(Cow<'static, str>, Cow<'static, str>)>,
    /// Its value now.
    pub value: u64,
}

impl Figure {
    /// A number that rises and falls.
    pub const fn gauge(name: &'static str, help: &'static str, value: u64) -> Figure {
        Figure { name: Cow::Borrowed(name), help: Cow::Borrowed(help), total: false, of: None, value }
    }

    /// A number that only grows; its name ends in `_total`.
    pub const fn total(name: &'static str, help: &'static str, value: u64) -> Figure {
        Figure { name: Cow::Borrowed(name), help: Cow::Borrowed(help), total: true, of: None, value }
    }

    /// Of one thing out of several.
    #[must_use]
    pub fn of(mut self, label: &'static str, value: &'static str) -> Figure {
        self.of = Some((label.into(), value.into()));
        self
    }
}

/// What a kind of table says of itself.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct TableInfo {
    /// The `kind:` in YAML.
    pub kind: Str,
    /// One sentence.
    pub summary: Str,
    /// More, if there is more to say.
    pub about: Str,
    /// Kinds of tables that it refers to, which are made before it.
    pub uses: List<Str>,
    /// What it knows beside its settings, and takes over when these change.
    pub carries: Str,
    /// What it loses when its settings change.
    pub loses: Str,
    /// Whether it looks at no interface, neither when it is made nor later: then it is kept whatever becomes of these.
    pub ignores_interfaces: bool,
    /// Commands and questions that change nothing.
    pub reads: List<Str>,
    /// A complete graph with it and with tests, in YAML: what its page shows.
    pub example: Str,
}

impl TableInfo {
    /// A kind that refers to no other.
    pub const fn new(kind: &'static str, summary: &'static str) -> TableInfo {
        TableInfo {
            kind: Str::new(kind),
            summary: Str::new(summary),
            about: Str::new(""),
            uses: List::new(&[]),
            carries: Str::new(""),
            loses: Str::new(""),
            ignores_interfaces: false,
            reads: List::new(&[]),
            example: Str::new(""),
        }
    }

    /// With what it knows beside its settings, and takes over when these change ([`Table::adopt`]): `learnt stations`.
    pub const fn carries(mut self, state: &'static str) -> TableInfo {
        self.carries = Str::new(state);
        self
    }

    /// With its commands and questions that change nothing: whoever sends another one is logged.
    pub const fn reads(mut self, commands: &'static [Str]) -> TableInfo {
        self.reads = List::new(commands);
        self
    }

    /// With what it loses when its settings change: `routes added by commands`.
    pub const fn loses(mut self, state: &'static str) -> TableInfo {
        self.loses = Str::new(state);
        self
    }

    /// The same, looking at no interface.
    #[must_use]
    pub const fn ignores_interfaces(mut self) -> TableInfo {
        self.ignores_interfaces = true;
        self
    }

    /// With more to say.
    pub const fn about(mut self, about: &'static str) -> TableInfo {
        self.about = Str::new(about);
        self
    }

    /// With a complete graph that shows it.
    pub const fn example(mut self, graph: &'static str) -> TableInfo {
        self.example = Str::new(graph);
        self
    }

    /// With the kinds that it refers to.
    pub const fn uses(mut self, kinds: &'static [Str]) -> TableInfo {
        self.uses = List::new(kinds);
        self
    }
}
