//! The code of a kind of table behind its vtable.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::node::Origin;
use super::question::QuestionShims;
use super::raw::{Bytes, RawTexts, Sink, TypeKey};
use super::raw_table::{RawTableInfo, RawTableSetup, TableVTable};
use super::table_kind::{TableEntries, TableParts};
use super::{DONE, PANICKED, check, contain, into_raw, outcome, schema, settings};
use crate::offload::Copied;
use crate::setup::ConfigError;
use crate::sharded::Sharded;
use crate::table::{Table, TableInfo};
use crate::table_setup::TableSetup;

/// The calls of the author's code.
pub(super) struct TableShims<T>(std::marker::PhantomData<T>);

impl<T: Table> TableShims<T> {
    pub const VTABLE: TableVTable = TableVTable {
        size: size_of::<TableVTable>() as u32,
        state_version: T::STATE_VERSION,
        info: RawTableInfo::of(&T::INFO),
        key: Some(Self::key),
        schema: Some(schema::<T::Config>),
        check: Some(check::<T::Config>),
        create: Some(Self::create),
        shard: Some(Self::shard),
        sync: Some(Self::sync),
        succeed: Some(Self::succeed),
        adopt: Some(Self::adopt),
        rest: Some(Self::rest),
        link: Some(Self::link),
        command: Some(Self::command),
        figures: Some(Self::figures),
        state_file: Some(Self::state_file),
        records: Some(Self::records),
        save: Some(Self::save),
        restore: Some(Self::restore),
        destroy_shard: Some(Self::destroy_shard),
        destroy: Some(Self::destroy),
        questions: std::ptr::null(),
    };

    pub const PARTS: TableParts = TableParts {
        info: T::INFO,
        state_version: T::STATE_VERSION,
        entries: TableEntries {
            key: Self::key,
            schema: Some(schema::<T::Config>),
            check: Some(check::<T::Config>),
            create: Self::create,
            shard: Self::shard,
            sync: Some(Self::sync),
            succeed: Some(Self::succeed),
            adopt: Some(Self::adopt),
            rest: Some(Self::rest),
            link: Some(Self::link),
            command: Self::command,
            figures: Some(Self::figures),
            state_file: Some(Self::state_file),
            records: Some(Self::records),
            save: Some(Self::save),
            restore: Some(Self::restore),
            destroy_shard: Self::destroy_shard,
            destroy: Self::destroy,
        },
        questions: None,
        origin: Origin::BuiltIn { own: Self::follow },
    };

    unsafe extern "C" fn key() -> TypeKey {
        TypeKey::of::<T>()
    }

    unsafe extern "C" fn create(config: Bytes, setup: *mut RawTableSetup, error: *const Sink) -> *mut c_void {
        let made = contain(|| {
            // SAFETY: the host's bytes and setup are good during this call.
            let (config, mut setup) = unsafe { (config.as_slice(), TableSetup::new(&mut *setup)) };
            T::new(settings(config)?, &mut setup)
        });
        // SAFETY: the host's sink is good during this call.
        into_raw(made, unsafe { &*error })
    }

    unsafe extern "C" fn shard(table: *const c_void, worker: u32, error: *const Sink) -> *mut c_void {
        // SAFETY: made by `create` of this vtable, and alive; the sink is good during this call.
        unsafe { into_raw(contain(|| Ok((*table.cast::<T>()).shard(worker))), &*error) }
    }

    unsafe extern "C" fn sync(table: *const c_void, shard: *mut c_void) -> i32 {
        // SAFETY: made by `create` and `shard` of this vtable; the shard is this thread's.
        let done = catch_unwind(AssertUnwindSafe(|| unsafe { (*table.cast::<T>()).sync(&mut *shard.cast::<T::Shard>()) }));
        outcome(done)
    }

    unsafe extern "C" fn succeed(table: *const c_void, old: *const c_void) -> i32 {
        // SAFETY: both were made by `create` of T (the host has compared the keys), and are alive.
        outcome(catch_unwind(AssertUnwindSafe(|| unsafe { (*table.cast::<T>()).succeed(&*old.cast::<T>()) })))
    }

    unsafe extern "C" fn adopt(table: *const c_void, shard: *mut c_void, old: *mut c_void) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: made by `create` and `shard` of T (the host has compared the keys); the shards are two, and this thread's.
            unsafe { (*table.cast::<T>()).adopt(&mut *shard.cast::<T::Shard>(), &mut *old.cast::<T::Shard>()) }
        }));
        outcome(done)
    }

    unsafe extern "C" fn rest(table: *const c_void, shard: *mut c_void) -> i32 {
        // SAFETY: as in `sync`.
        let done = catch_unwind(AssertUnwindSafe(|| unsafe { (*table.cast::<T>()).rest(&mut *shard.cast::<T::Shard>()) }));
        outcome(done)
    }

    unsafe extern "C" fn link(table: *const c_void, interface: u16, up: u32) -> i32 {
        // SAFETY: made by `create` of this vtable, and alive.
        outcome(catch_unwind(AssertUnwindSafe(|| unsafe { &*table.cast::<T>() }.link(interface, up != 0))))
    }

    /// Not for libraries: copies are the drivers'.
    unsafe fn follow(table: *const c_void, interface: u16, copy: Copied) {
        // SAFETY: as in `link`.
        let table = unsafe { &*table.cast::<T>() };
        outcome(catch_unwind(AssertUnwindSafe(|| table.follow(interface, copy))));
    }

    unsafe extern "C" fn command(table: *const c_void, command: Bytes, reply: *const Sink, error: *const Sink) -> i32 {
        let answer = contain(|| {
            // SAFETY: as in `shard`; the bytes are good during this call.
            let (table, command) = unsafe { (&*table.cast::<T>(), command.as_slice()) };
            let answer = table.command(settings(command)?)?;
            serde_json::to_string(&answer).map_err(|error| ConfigError::new(error.to_string()))
        });
        // SAFETY: the host's sinks are good during this call.
        answered(answer, unsafe { (&*reply, &*error) })
    }

    unsafe extern "C" fn figures(table: *const c_void, sink: *const Sink) {
        // SAFETY: as in `shard`.
        let figures = contain(|| Ok(unsafe { &*table.cast::<T>() }.figures()));
        if let Some(json) = figures.ok().and_then(|figures| serde_json::to_string(&figures).ok()) {
            // SAFETY: the host's sink is good during this call.
            unsafe { &*sink }.put("", &json);
        }
    }

    unsafe extern "C" fn state_file(table: *const c_void, sink: *const Sink) {
        // SAFETY: as in `shard`.
        let file = contain(|| Ok(unsafe { &*table.cast::<T>() }.state_file().map(String::from)));
        if let Ok(Some(file)) = file {
            // SAFETY: the host's sink is good during this call.
            unsafe { &*sink }.put("", &file);
        }
    }

    unsafe extern "C" fn records(table: *const c_void, max: usize, sink: *const Sink) {
        // SAFETY: as in `shard`.
        let records = contain(|| Ok(unsafe { &*table.cast::<T>() }.records(max)));
        // Most have none, ever.
        let told = records.ok().filter(|records| !records.records.is_empty() || records.lost > 0 || records.file.is_some());
        if let Some(json) = told.and_then(|records| serde_json::to_string(&records).ok()) {
            // SAFETY: the host's sink is good during this call.
            unsafe { &*sink }.put("", &json);
        }
    }

    unsafe extern "C" fn save(table: *const c_void, shard: *mut c_void, at: u64, pieces: *const Sink, next: *mut u64) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            let mut piece = Vec::new();
            // SAFETY: as in `sync`, but that the shard may be null; the sink and the number are good during this call.
            unsafe {
                *next = (*table.cast::<T>()).save(shard.cast::<T::Shard>().as_mut(), at, &mut piece).unwrap_or(0);
                (*pieces).put_bytes("", &piece);
            }
        }));
        outcome(done)
    }

    unsafe extern "C" fn restore(table: *const c_void, shard: *mut c_void, version: u32, piece: Bytes, error: *const Sink) -> i32 {
        // SAFETY: as in `save`; the bytes are good during this call.
        let done =
            contain(|| unsafe { (*table.cast::<T>()).restore(shard.cast::<T::Shard>().as_mut(), version, piece.as_slice()) });
        let Err(refusal) = done else { return DONE };
        // SAFETY: the host's sink is good during this call.
        unsafe { &*error }.put(refusal.path(), refusal.message());
        PANICKED
    }

    unsafe extern "C" fn destroy_shard(shard: *mut c_void) {
        // SAFETY: made by `shard` of this vtable, and destroyed once.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(shard.cast::<T::Shard>()) })));
        outcome(dropped);
    }

    unsafe extern "C" fn destroy(table: *mut c_void) {
        // SAFETY: made by `create` of this vtable, and destroyed once.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(table.cast::<T>()) })));
        outcome(dropped);
    }
}

impl<T: Sharded> TableShims<T> {
    pub const SHARDED: TableVTable = TableVTable { questions: &QuestionShims::<T>::VTABLE, ..Self::VTABLE };

    pub const SHARDED_PARTS: TableParts = TableParts { questions: Some(&QuestionShims::<T>::ENTRIES), ..Self::PARTS };
}

impl RawTableInfo {
    const fn of(info: &TableInfo) -> RawTableInfo {
        RawTableInfo {
            kind: Bytes::text(info.kind),
            summary: Bytes::text(info.summary),
            about: Bytes::text(info.about),
            uses: RawTexts::of(info.uses),
            carries: Bytes::text(info.carries),
            loses: Bytes::text(info.loses),
            reads: RawTexts::of(info.reads),
            example: Bytes::text(info.example),
            ignores_interfaces: info.ignores_interfaces as u32,
        }
    }
}

/// What a table has answered, or why not.
pub(super) fn answered(answer: Result<String, ConfigError>, (reply, error): (&Sink, &Sink)) -> i32 {
    match answer {
        Ok(answer) => {
            reply.put("", &answer);
            DONE
        }
        Err(refusal) => {
            error.put(refusal.path(), refusal.message());
            PANICKED
        }
    }
}
