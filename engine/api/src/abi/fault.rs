//! Which node of a library a thread is in: for who has to say so when the process dies.

use std::cell::Cell;

/// A node or table whose code is a library's.
#[derive(Debug)]
pub struct Running {
    /// `node` or `table`.
    pub class: &'static str,
    /// Its name in the graph.
    pub name: Box<str>,
    /// Its kind.
    pub kind: &'static str,
    /// The file of the library.
    pub library: &'static str,
}

thread_local! {
    static RUNNING: Cell<*const Running> = const { Cell::new(std::ptr::null()) };
}

/// Calls something of a library; `what` is null for what is built in, of which nothing is noted.
#[inline(always)]
pub(super) fn within<R>(what: &Option<Box<Running>>, call: impl FnOnce() -> R) -> R {
    let Some(what) = what else { return call() };
    // One may be in the other: a node that is made looks at a table.
    let before = RUNNING.replace(&raw const **what);
    let done = call();
    RUNNING.set(before);
    done
}

/// What this thread is in, if that is a library's. May be called by a signal handler, which ends before the thread goes on.
pub fn running() -> Option<&'static Running> {
    let running = RUNNING.try_with(Cell::get).unwrap_or(std::ptr::null());
    // SAFETY: it was set by `within`, which has not ended: what it was called with is alive.
    unsafe { running.as_ref() }
}
