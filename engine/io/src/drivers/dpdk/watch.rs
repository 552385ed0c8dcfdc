//! Whether links are up: a thread asks.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use swath_core::driver::PortStatus;
use swath_core::privileges::{CapabilitySet, keep};
use swath_dpdk_abi::{Counts, Link};

use super::library::Attached;

/// How often a link is looked at: of most devices nobody says when it changes.
const LOOK: Duration = Duration::from_millis(100);
/// Looks between two at what the device has counted under names of its own: a card may have hundreds of those.
const FIGURES: u32 = 10;

/// How a device stands.
#[derive(Debug)]
pub(super) struct Status {
    // In words.
    device: String,
    is_up: AtomicBool,
    changes: AtomicU64,
    missed: AtomicU64,
    errors: AtomicU64,
    figures: Mutex<Vec<(String, u64)>>,
    news: Mutex<Vec<String>>,
}

impl Status {
    /// Of a device as it was found.
    pub fn new(device: &str, link: Link) -> Arc<Status> {
        let status = Status {
            device: device.into(),
            is_up: AtomicBool::new(link.is_up),
            changes: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            figures: Mutex::default(),
            news: Mutex::default(),
        };
        if !link.is_up {
            status.say(link);
        }
        Arc::new(status)
    }

    /// Whether packets can come and go.
    #[inline]
    pub fn link_is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// What has happened since it was last asked.
    pub fn news(&self) -> Vec<String> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn look(&self, attached: &Attached, behind: Option<&Behind>) {
        let (mut link, counts) = (attached.link(), attached.counts());
        if behind.is_some_and(Behind::is_gone) {
            link = Link { is_up: false, speed: 0, is_gone: true };
        }
        self.tell(&counts);
        if self.is_up.swap(link.is_up, Ordering::Relaxed) != link.is_up {
            self.changes.fetch_add(1, Ordering::Relaxed);
            self.say(link);
        }
    }

    fn look_closely(&self, attached: &Attached) {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = attached.figures();
    }

    fn tell(&self, counts: &Counts) {
        self.missed.store(counts.missed, Ordering::Relaxed);
        self.errors.store(counts.transmit_errors, Ordering::Relaxed);
    }

    fn say(&self, link: Link) {
        let device = &self.device;
        let news = match link {
            Link { is_gone: true, .. } => format!("{device} is gone"),
            Link { is_up: false, .. } => format!("{device} is down: nothing is connected, or the other end is down"),
            Link { speed: 0, .. } => format!("{device} is up"),
            Link { speed, .. } => format!("{device} is up, at {speed} Mbit/s"),
        };
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }
}

impl PortStatus for Status {
    fn is_up(&self) -> bool {
        self.link_is_up()
    }

    fn link_changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn transmit_errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn counted(&self) -> Vec<(String, u64)> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The device of the kernel behind one of DPDK whose driver does not notice when it goes.
#[derive(Debug)]
pub(super) struct Behind {
    name: String,
    index: u32,
    socket: OwnedFd,
}

impl Behind {
    /// That of a device as DPDK takes it, `net_af_packet0,iface=eth1`, if it has one.
    pub fn of(device: &str) -> Option<Behind> {
        let mut arguments = device.split(',');
        let driver = arguments.next()?;
        let name = arguments.find_map(|argument| argument.strip_prefix("iface="))?;
        if !["net_af_packet", "net_af_xdp"].iter().any(|known| driver.starts_with(known)) {
            return None;
        }
        let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
        let index = name_to_index(&socket, name).ok()?;
        Some(Behind { name: name.into(), index, socket })
    }

    /// Whether it has gone. Another one by its name is another one.
    fn is_gone(&self) -> bool {
        name_to_index(&self.socket, &self.name) != Ok(self.index)
    }
}

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    // Dropped first, which ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    pub fn start(status: &Arc<Status>, attached: &Arc<Attached>, behind: Option<Behind>, revives: bool) -> io::Result<Watcher> {
        let (stop, stopped) = channel::<()>();
        let (status, attached): (Arc<Status>, Weak<Attached>) = (Arc::clone(status), Arc::downgrade(attached));
        let look = move || {
            // Devices of the kernel are asked by ioctl, which takes no privilege.
            let _ = keep(CapabilitySet::empty());
            let mut looks = 0;
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let Some(attached) = attached.upgrade() else { return };
                status.look(&attached, behind.as_ref());
                if looks == 0 {
                    status.look_closely(&attached);
                }
                looks = (looks + 1) % FIGURES;
                if revives && !status.link_is_up() {
                    attached.revive();
                }
            }
        };
        let thread = std::thread::Builder::new().name("dpdk-links".into()).spawn(look)?;
        Ok(Watcher { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
