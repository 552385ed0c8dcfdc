//! What threads of the engine tell each other with: a queue from one to another, a way to sleep that misses nothing, something new for
//! all of them at once, and the moment when nothing is on its way between them. None of these ever waits. Nodes have no use for it.
//!
//! With `--cfg loom` they are made of loom's types, and `tests/loom.rs` tries every order in which two threads can get in each other's
//! way.

mod ebb;
mod post;
mod ring;
mod sleeper;

pub use ebb::{Ebb, Tide, ebbs};
pub use post::{Publisher, Subscriber, post};
pub use ring::{Gauge, Receiver, Sender, ring, ring_with};
pub use sleeper::Sleeper;

#[cfg(loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, fence},
};

#[cfg(not(loom))]
pub(crate) use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, fence},
};

/// The standard cell with the face of loom's.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub fn new(value: T) -> UnsafeCell<T> {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline(always)]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
