//! The structures of the ABI for tables.

use std::ffi::c_void;

use super::layout::abi;
use super::raw::{Bytes, RawInterfaces, RawTable, RawTexts, Sink, TypeKey};

abi! {
    /// What a kind of table says of itself.
    #[derive(Clone, Copy)]
    pub(crate) struct RawTableInfo as "swath_table_info" {
        /// The `kind:` in YAML.
        pub kind: Bytes,
        /// One sentence.
        pub summary: Bytes,
        /// More, if there is more to say.
        pub about: Bytes,
        /// Kinds of tables that it refers to, which are made before it.
        pub uses: RawTexts,
        /// What it knows beside its settings, and takes over when these change.
        pub carries: Bytes,
        /// What it loses when its settings change.
        pub loses: Bytes,
        /// Commands and questions that change nothing.
        pub reads: RawTexts,
        /// A complete graph with it and with tests, in YAML.
        pub example: Bytes,
        /// 1 if it looks at no interface, neither when it is made nor later.
        pub ignores_interfaces: u32,
    }

    /// What a table finds when it is made. Good during `create`.
    pub(crate) struct RawTableSetup as "swath_table_setup" {
        /// Bytes of this structure as the engine knows it.
        pub size: u32,
        /// How many workers there are.
        pub workers: u32,
        /// How many tables of its kind the graph has, itself included.
        pub siblings: u32,
        /// 0 if it is made only to see whether it can be made; 1 if it is made to be used, and 2 if by a virtual clock: then it does nothing that anybody
        /// outside of the engine would notice.
        pub in_use: u32,
        /// Its name.
        pub name: Bytes,
        /// Its kind.
        pub kind: Bytes,
        pub interfaces: RawInterfaces,
        /// Those that it may refer to.
        pub tables: *const RawTable,
        pub table_count: usize,
        /// To be set to 1 at the index of each table that it refers to.
        pub used: *mut u8,
        /// The table whose place it will take; `shared` is null if there is none of its key.
        pub old: RawTable,
        /// What the functions below are called with.
        pub to: *mut c_void,
        /// `serves(to, path, interfaces, count, by_address)`: it serves these interfaces, which the setting at `path` names; with `by_address` 1
        /// it lives on their addresses.
        pub serves: Option<unsafe extern "C" fn(*mut c_void, Bytes, *const u16, usize, u32)>,
        /// `warn(to, path, message)`: something in the settings is allowed and hardly meant.
        pub warn: Option<unsafe extern "C" fn(*mut c_void, Bytes, Bytes)>,
    }

    /// A question to the shards of a table. `visit` is called by the worker of the shard, the others by a control thread.
    pub(crate) struct QuestionVTable as "swath_questions" {
        /// Bytes of this structure as the library knows it.
        pub size: u32,
        /// `read(question, error)`: a question for one shard; or null.
        pub read: Option<unsafe extern "C" fn(Bytes, *const Sink) -> *mut c_void>,
        /// `visit(table, shard, question)`: looks at up to 256 entries.
        pub visit: Option<unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void) -> i32>,
        /// `collect(question)`: keeps what the last visit has found. 1 if that was the last, 0 if there is more, -1 if it failed.
        pub collect: Option<unsafe extern "C" fn(*mut c_void) -> i32>,
        /// `answer(table, questions, count, reply, error)`.
        pub answer: Option<unsafe extern "C" fn(*const c_void, *const *mut c_void, usize, *const Sink, *const Sink) -> i32>,
        /// Ends a question.
        pub destroy: Option<unsafe extern "C" fn(*mut c_void)>,
    }

    /// A kind of table: what its library exports. The shared part is called by several threads at once; a shard by one at a time. Entries that return a number
    /// return `SWATH_DONE` or `SWATH_FAILED`. `sync`, `adopt` and `rest` are called on workers, all others on control threads.
    pub(crate) struct TableVTable as "swath_table" {
        /// Bytes of this structure as the library knows it.
        pub size: u32,
        /// The version of what `save` writes and `restore` reads; 0 if there is no state that another build could go on with.
        pub state_version: u32,
        pub info: RawTableInfo,
        /// The same for all tables of this build, and for no others.
        pub key: Option<unsafe extern "C" fn() -> TypeKey>,
        /// Optional: puts the JSON Schema of the settings.
        pub schema: Option<unsafe extern "C" fn(*const Sink)>,
        /// Optional: `check(settings, error)`: whether settings, as JSON, have the right form.
        pub check: Option<unsafe extern "C" fn(Bytes, *const Sink) -> i32>,
        /// `create(settings, setup, error)`: the shared part; or null, with the reason put into `error`.
        pub create: Option<unsafe extern "C" fn(Bytes, *mut RawTableSetup, *const Sink) -> *mut c_void>,
        /// `shard(table, worker, error)`: the part of one worker; or null.
        pub shard: Option<unsafe extern "C" fn(*const c_void, u32, *const Sink) -> *mut c_void>,
        /// Optional: `sync(table, shard)`: at the top of each sweep.
        pub sync: Option<unsafe extern "C" fn(*const c_void, *mut c_void) -> i32>,
        /// Optional: `succeed(table, old)`: it takes the place of a table of the same key.
        pub succeed: Option<unsafe extern "C" fn(*const c_void, *const c_void) -> i32>,
        /// Optional: `adopt(table, shard, old)`: a shard takes over the state of one of a table of the same key.
        pub adopt: Option<unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void) -> i32>,
        /// Optional: `rest(table, shard)`: the worker does not look at it until the next `sync`.
        pub rest: Option<unsafe extern "C" fn(*const c_void, *mut c_void) -> i32>,
        /// Optional: `link(table, interface, up)`.
        pub link: Option<unsafe extern "C" fn(*const c_void, u16, u32) -> i32>,
        /// `command(table, command, reply, error)`: JSON in, JSON out.
        pub command: Option<unsafe extern "C" fn(*const c_void, Bytes, *const Sink, *const Sink) -> i32>,
        /// Optional: puts what there is to see of it in numbers, as a JSON list of `{name, help, total, of, value}`.
        pub figures: Option<unsafe extern "C" fn(*const c_void, *const Sink)>,
        /// Optional: puts the file that what it knows is kept in while no engine runs.
        pub state_file: Option<unsafe extern "C" fn(*const c_void, *const Sink)>,
        /// Optional: `records(table, max, sink)`: puts what it has to tell for good, as JSON.
        pub records: Option<unsafe extern "C" fn(*const c_void, usize, *const Sink)>,
        /// Optional: `save(table, shard, at, pieces, next)`: puts a piece of the state of a shard, from position `at` on, which is 0 at first, and writes
        /// where the next one begins; 0 if that was the last. With no shard, of the state that all share.
        pub save: Option<unsafe extern "C" fn(*const c_void, *mut c_void, u64, *const Sink, *mut u64) -> i32>,
        /// Optional: `restore(table, shard, version, piece, error)`: takes over a piece that `save` of another build has put, whose state version this is.
        pub restore: Option<unsafe extern "C" fn(*const c_void, *mut c_void, u32, Bytes, *const Sink) -> i32>,
        /// Ends a shard, on a control thread, before its table.
        pub destroy_shard: Option<unsafe extern "C" fn(*mut c_void)>,
        /// Ends the shared part, on a control thread.
        pub destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        /// Null if the kind answers no questions to its shards.
        pub questions: *const QuestionVTable,
    }
}

// SAFETY: what they point to is constant data of their library.
unsafe impl Sync for QuestionVTable {}
// SAFETY: as above.
unsafe impl Sync for TableVTable {}
