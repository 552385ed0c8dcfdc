//! What becomes of a device while it is attached: a thread of its own looks, and attaches again when the device has come back, so that
//! no worker ever waits for the kernel's configuration.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use swath_core::privileges::{CapabilitySet, keep};

use super::netlink::{Changes, Link, Netlink};

/// How often the device is looked at though nothing was said of it: an attempt to attach may have failed.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What a device is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    Up,
    Down,
    Gone,
}

impl State {
    fn of(link: &Link) -> State {
        if link.is_up && link.has_carrier { State::Up } else { State::Down }
    }
}

/// What the watcher tells queues and port.
#[derive(Debug)]
pub struct Status {
    device: String,
    state: AtomicU8,
    // Counts what may be of interest to a queue.
    events: AtomicU32,
    changes: AtomicU64,
    news: Mutex<Vec<String>>,
}

impl Status {
    /// Of a device as it was found.
    pub fn new(link: &Link) -> Arc<Status> {
        let state = State::of(link);
        let status = Status {
            device: link.name.clone(),
            state: AtomicU8::new(state as u8),
            events: AtomicU32::new(0),
            changes: AtomicU64::new(0),
            news: Mutex::default(),
        };
        if state != State::Up {
            status.say(down(link));
        }
        Arc::new(status)
    }

    /// Whether packets can come and go.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.state.load(Ordering::Relaxed) == State::Up as u8
    }

    /// A number that is another one when something has happened.
    #[inline]
    pub fn events(&self) -> u32 {
        self.events.load(Ordering::Acquire)
    }

    /// How often the link has changed.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// What has happened since it was last asked.
    pub fn news(&self) -> Vec<String> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn say(&self, news: String) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }

    fn set(&self, state: State) {
        if self.state.swap(state as u8, Ordering::Relaxed) != state as u8 {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn touch(&self) {
        self.events.fetch_add(1, Ordering::Release);
    }
}

/// Where a queue gets its new socket from, and leaves the old one: closing it may take milliseconds.
#[derive(Debug)]
pub struct Mailbox<T>(Mutex<Parcels<T>>);

#[derive(Debug)]
struct Parcels<T> {
    fresh: Option<T>,
    old: Option<T>,
}

impl<T> Mailbox<T> {
    pub fn new() -> Arc<Mailbox<T>> {
        Arc::new(Mailbox(Mutex::new(Parcels { fresh: None, old: None })))
    }

    /// Leaves something for the queue.
    pub fn post(&self, fresh: T) {
        let old = {
            let mut parcels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (parcels.fresh.replace(fresh), parcels.old.take())
        };
        drop(old);
    }

    /// Takes what is there in exchange for `current`. `false` if it cannot be looked at now.
    pub fn fetch(&self, current: &mut T) -> bool {
        let Ok(mut parcels) = self.0.try_lock() else { return false };
        if let Some(fresh) = parcels.fresh.take() {
            parcels.old = Some(std::mem::replace(current, fresh));
        }
        true
    }

    /// Drops what the queue has given back.
    pub fn tidy(&self) {
        let old = self.0.lock().unwrap_or_else(PoisonError::into_inner).old.take();
        drop(old);
    }
}

/// How a driver attaches to its device again.
pub trait Attach: Send + 'static {
    /// The capabilities that it takes to do so: the thread that watches keeps these alone.
    const NEEDS: CapabilitySet;

    /// Looks for the device; makes it, if that is the driver's business.
    ///
    /// # Errors
    /// What the kernel says.
    fn find(&mut self, netlink: &mut Netlink) -> io::Result<Option<Link>>;

    /// Opens the device, and leaves the result in the mailboxes of the queues.
    ///
    /// # Errors
    /// What the kernel says.
    fn attach(&mut self, link: &Link) -> io::Result<()>;

    /// Drops what the queues have given back.
    fn tidy(&mut self);
}

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Watches a device that was found, and attached to, as `link`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start<A: Attach>(status: &Arc<Status>, link: Link, mut attach: A) -> io::Result<Watcher> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let (changes, mut netlink) = (Changes::open()?, Netlink::open()?);
        let (status, end) = (Arc::clone(status), stop.try_clone()?);
        let body = move || {
            if let Err(error) = keep(A::NEEDS) {
                status.say(format!("`{}` is watched with more privileges than it takes: {error}", status.device));
            }
            let mut watch = Watch { status, known: Some(link), failed: None };
            loop {
                let mut wanted = [PollFd::new(&changes, PollFlags::IN), PollFd::new(&end, PollFlags::IN)];
                let _ = poll(&mut wanted, Some(&LOOK));
                let [changed, ended] = wanted.map(|wanted| !wanted.revents().is_empty());
                if ended {
                    return;
                }
                changes.clear();
                watch.look(&mut netlink, &mut attach);
                if changed {
                    // A socket whose device was down for a moment has an error to be cleared.
                    watch.status.touch();
                }
                attach.tidy();
            }
        };
        let thread = std::thread::Builder::new().name("links".into()).spawn(body)?;
        Ok(Watcher { stop, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = rustix::io::write(self.stop.as_fd(), &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watch {
    status: Arc<Status>,
    known: Option<Link>,
    // What was last said of a failure: not to be said each second.
    failed: Option<String>,
}

impl Watch {
    fn look(&mut self, netlink: &mut Netlink, attach: &mut impl Attach) {
        let device = self.status.device.clone();
        let found = match attach.find(netlink) {
            Ok(found) => found,
            Err(error) => {
                self.fail(format!("`{device}` cannot be looked at: {error}"));
                return;
            }
        };
        match (self.known.take(), found) {
            (None, None) => {}
            (Some(_), None) => {
                self.status.set(State::Gone);
                self.status.touch();
                self.status.say(format!("`{device}` is gone; waiting for it to return"));
            }
            (Some(known), Some(link)) if known.index == link.index => {
                if State::of(&known) != State::of(&link) {
                    self.status.set(State::of(&link));
                    self.status.touch();
                    self.status.say(if State::of(&link) == State::Up { format!("`{device}` is up") } else { down(&link) });
                }
                if known.mtu != link.mtu {
                    self.status.say(format!(
                        "the MTU of `{device}` is {} bytes now, was {}: the graph goes by what it was at the start",
                        link.mtu, known.mtu
                    ));
                }
                self.known = Some(link);
            }
            (known, Some(link)) => {
                if known.is_some() {
                    // Another device of the same name.
                    self.status.set(State::Gone);
                }
                if let Err(error) = attach.attach(&link) {
                    self.fail(format!("`{device}` is back, and cannot be attached: {error}"));
                    return;
                }
                self.failed = None;
                self.status.set(State::of(&link));
                self.status.touch();
                self.status.say(format!("`{device}` is back"));
                if State::of(&link) != State::Up {
                    self.status.say(down(&link));
                }
                self.known = Some(link);
            }
        }
    }

    fn fail(&mut self, news: String) {
        if self.failed.as_ref() != Some(&news) {
            self.status.say(news.clone());
            self.failed = Some(news);
        }
    }
}

/// What is wrong with a link that does not carry packets.
fn down(link: &Link) -> String {
    if link.is_up {
        format!("`{}` has no carrier: nothing is connected, or the other end is down", link.name)
    } else {
        format!("`{0}` is down: `ip link set {0} up`", link.name)
    }
}
