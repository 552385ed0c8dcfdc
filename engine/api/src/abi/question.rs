//! A question to the shards of a table, on both sides of the vtable.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::raw::{Bytes, Sink};
use super::raw_table::QuestionVTable;
use super::table_kind::QuestionEntries;
use super::table_shims::answered;
use super::{DONE, TableInstance, WorkerTables, contain, into_raw, outcome, settings};
use crate::setup::ConfigError;
use crate::sharded::{Rows, Sharded};

/// A question on its way through one shard.
struct Asked<T: Sharded> {
    question: T::Question,
    at: Option<u64>,
    rows: Rows<T::Row>,
    collected: Vec<T::Row>,
}

pub(super) struct QuestionShims<T>(PhantomData<T>);

impl<T: Sharded> QuestionShims<T> {
    pub const VTABLE: QuestionVTable = QuestionVTable {
        size: size_of::<QuestionVTable>() as u32,
        read: Some(Self::read),
        visit: Some(Self::visit),
        collect: Some(Self::collect),
        answer: Some(Self::answer),
        destroy: Some(Self::destroy),
    };

    pub const ENTRIES: QuestionEntries = QuestionEntries {
        read: Self::read,
        visit: Self::visit,
        collect: Self::collect,
        answer: Self::answer,
        destroy: Self::destroy,
    };

    unsafe extern "C" fn read(question: Bytes, error: *const Sink) -> *mut c_void {
        let read = contain(|| {
            // SAFETY: the host's bytes are good during this call.
            let question = settings(unsafe { question.as_slice() })?;
            Ok(Asked::<T> { question, at: Some(0), rows: Rows::new(), collected: Vec::new() })
        });
        // SAFETY: the host's sink is good during this call.
        into_raw(read, unsafe { &*error })
    }

    unsafe extern "C" fn visit(table: *const c_void, shard: *mut c_void, asked: *mut c_void) -> i32 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: made by `create`, `shard` and `read` of this vtable and alive; shard and question are this thread's.
            let (table, shard, asked) =
                unsafe { (&*table.cast::<T>(), &mut *shard.cast::<T::Shard>(), &mut *asked.cast::<Asked<T>>()) };
            if let Some(at) = asked.at {
                asked.at = table.visit(shard, &asked.question, at, &mut asked.rows);
            }
        }));
        outcome(done)
    }

    unsafe extern "C" fn collect(asked: *mut c_void) -> i32 {
        let collected = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: made by `read` of this vtable, and this thread's.
            let asked = unsafe { &mut *asked.cast::<Asked<T>>() };
            asked.rows.move_to(&mut asked.collected);
            asked.at.is_none()
        }));
        collected.map_or_else(|payload| -outcome(Err(payload)), i32::from)
    }

    unsafe extern "C" fn answer(
        table: *const c_void,
        asked: *const *mut c_void,
        count: usize,
        reply: *const Sink,
        error: *const Sink,
    ) -> i32 {
        let answer = contain(|| {
            // SAFETY: the table is of this vtable and alive; the host passes so many questions made by `read`, each once.
            let (table, asked) = unsafe { (&*table.cast::<T>(), std::slice::from_raw_parts(asked, count)) };
            let mut question = None;
            let mut rows = Vec::with_capacity(count);
            for &asked in asked {
                // SAFETY: as above.
                let asked = unsafe { &mut *asked.cast::<Asked<T>>() };
                question.get_or_insert_with(|| asked.question.clone());
                rows.push(std::mem::take(&mut asked.collected));
            }
            let question = question.ok_or_else(|| ConfigError::new("nobody was asked"))?;
            serde_json::to_string(&table.answer(question, rows)?).map_err(|error| ConfigError::new(error.to_string()))
        });
        // SAFETY: the host's sinks are good during this call.
        answered(answer, unsafe { (&*reply, &*error) })
    }

    unsafe extern "C" fn destroy(asked: *mut c_void) {
        // SAFETY: made by `read` of this vtable, and destroyed once.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(asked.cast::<Asked<T>>()) })));
        outcome(dropped);
    }
}

/// A question for the shard of one worker.
pub struct Question {
    table: Arc<TableInstance>,
    entries: &'static QuestionEntries,
    asked: *mut c_void,
    failed: bool,
}

// SAFETY: the question and the rows are `Send` by `Sharded`.
unsafe impl Send for Question {}

impl Question {
    /// Reads a question. `None` if tables of this kind answer none.
    ///
    /// # Errors
    /// It is none of those that the kind answers.
    pub fn read(table: &Arc<TableInstance>, question: &str) -> Option<Result<Question, ConfigError>> {
        let entries = table.questions()?;
        let mut error = ConfigError::new("");
        let sink = Sink::collect(&mut error);
        // SAFETY: the bytes and the sink are alive during the call.
        let asked = table.within(|| unsafe { (entries.read)(Bytes::new(question.as_bytes()), &raw const sink) });
        Some(if asked.is_null() { Err(error) } else { Ok(Question { table: Arc::clone(table), entries, asked, failed: false }) })
    }

    /// On a worker: one slice of its shard.
    pub fn visit(&mut self, tables: &mut WorkerTables) {
        // SAFETY: the entry is that of the question's own table: shared part, shard and question are of one vtable; the shard is the
        // worker's, which calls this.
        let visit = |(shared, shard)| self.table.within(|| unsafe { (self.entries.visit)(shared, shard, self.asked) });
        let code = tables.shard_of(&self.table).map(visit);
        self.failed = code != Some(DONE);
    }

    /// On a control thread, after each slice: keeps what was found. `true` if that was the last.
    ///
    /// # Errors
    /// The table failed: a defect of it, which the panic hook has described.
    pub fn collect(&mut self) -> Result<bool, ConfigError> {
        if !self.failed {
            // SAFETY: made by `read` of this vtable.
            match self.table.within(|| unsafe { (self.entries.collect)(self.asked) }) {
                0 => return Ok(false),
                1 => return Ok(true),
                _ => self.failed = true,
            }
        }
        Err(ConfigError::new(format!("`{}` has a defect: it panicked at this question", self.table.name())))
    }

    /// The answer to what all workers were asked.
    ///
    /// # Errors
    /// The table refuses.
    pub fn answer(questions: &[Question]) -> Result<String, ConfigError> {
        let Some(first) = questions.first() else { return Err(ConfigError::new("nobody was asked")) };
        assert!(questions.iter().all(|other| Arc::ptr_eq(&other.table, &first.table)), "one table is asked");
        let asked: Vec<*mut c_void> = questions.iter().map(|question| question.asked).collect();
        let (mut reply, mut error) = (ConfigError::new(""), ConfigError::new(""));
        let (reply_sink, error_sink) = (Sink::collect(&mut reply), Sink::collect(&mut error));
        // SAFETY: all are of this vtable, and of this thread; the table is alive.
        let code = first.table.within(|| unsafe {
            let (reply, error) = (&raw const reply_sink, &raw const error_sink);
            (first.entries.answer)(first.table.shared(), asked.as_ptr(), asked.len(), reply, error)
        });
        if code == DONE { Ok(reply.message().to_string()) } else { Err(error) }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // SAFETY: made by `read` of this vtable, and dropped once.
        self.table.within(|| unsafe { (self.entries.destroy)(self.asked) });
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Question(to {})", self.table.name())
    }
}
