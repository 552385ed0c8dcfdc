//! Everything that is open on a device, and how it is opened: at the start, and again when the device has come back.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use swath_api::Pool;
use swath_core::privileges::CapabilitySet;

use super::program::{Loaded, Mode};
use super::promiscuous::Promiscuous;
use super::receive::Receiving;
use super::settings::Xdp;
use super::socket::{Bound, Lost, Memory, Queue, Socket};
use super::totals::Figures;
use super::transmit::Sending;
use crate::drivers::kernel::netlink::{Link, Netlink};
use crate::drivers::kernel::watch::{Attach, Mailbox};

/// How a device is opened.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub device: String,
    pub pool: Arc<Pool>,
    /// Whether the pool's chunks go to the kernel.
    pub shares_pool: bool,
    /// Bytes of a page of the pool.
    pub page: usize,
    /// Receive queues.
    pub queues: usize,
    /// Entries of a ring.
    pub ring: u32,
    /// Chunks that wait for packets in each queue.
    pub wanted: usize,
    pub xdp: Xdp,
    pub zero_copy: bool,
    pub promiscuous: bool,
}

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// What is open on a device.
pub(super) struct Opened {
    pub receiving: Vec<Receiving>,
    pub sending: Vec<Sending>,
    pub sockets: Vec<Arc<Socket>>,
    pub promiscuous: Option<Promiscuous>,
    pub how: How,
}

/// In which way packets come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct How {
    mode: Mode,
    zero_copy: bool,
    shares_pool: bool,
    /// Why it is not a better one.
    pub reasons: Vec<String>,
}

impl How {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match (self.mode, self.zero_copy, self.shares_pool) {
            (Mode::Generic, _, true) => "generic",
            (Mode::Generic, _, false) => "generic-aligned",
            (Mode::Native, true, _) => "zero-copy",
            (Mode::Native, false, true) => "copy",
            (Mode::Native, false, false) => "copy-aligned",
        }
    }
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.mode == Mode::Native { "native" } else { "generic" })?;
        f.write_str(if self.zero_copy { ", zero-copy" } else { ", copied by the kernel" })?;
        f.write_str(if self.shares_pool { "" } else { ", copied by swath" })
    }
}

impl Plan {
    /// Opens a device, each of whose queues has a gauge. A program stays on it as long as `program` lives.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(&self, link: &Link, program: &mut Loaded, gauges: &[Arc<AtomicUsize>]) -> io::Result<Opened> {
        let promiscuous = self.promiscuous.then(|| Promiscuous::new(link.index)).transpose()?;
        // Without sockets it hands everything to the kernel.
        let (mode, refused) = program.attach(link.index, self.xdp)?;
        let mut reasons = Vec::new();
        if let Some(error) = refused {
            reasons.push(format!("native XDP: {error}"));
        }
        if !self.shares_pool {
            let stride = self.pool.region().geometry().stride;
            reasons.push(format!("buffers of {stride} bytes: the kernel takes 2048 to 4096, as `engine.buffer-size` says"));
        }
        let memory =
            || if self.shares_pool { Ok(Memory::Pool(Arc::clone(&self.pool))) } else { Memory::frames(2 * self.ring as usize) };
        let mut zero_copy = self.zero_copy && mode == Mode::Native;
        if zero_copy && self.shares_pool && self.page < HUGE {
            reasons.push("zero-copy: packet memory is not on huge pages".into());
            zero_copy = false;
        }
        let mut bound = Vec::new();
        for (number, gauge) in gauges.iter().enumerate() {
            let (queue, memory) = (Queue { device: link.index, number: number as u32 }, memory()?);
            if zero_copy {
                match Bound::open(queue, &memory, self.ring, true, gauge) {
                    Ok(opened) => {
                        bound.push(opened);
                        continue;
                    }
                    // One that has some queues with and some without has a queue too few: those that follow are copied.
                    Err(error) if !is_final(&error) => {
                        reasons.push(format!("zero-copy: {error}"));
                        zero_copy = false;
                    }
                    Err(error) => return Err(error),
                }
            }
            bound.push(Bound::open(queue, &memory, self.ring, false, gauge)?);
        }
        let how = How { mode, zero_copy, shares_pool: self.shares_pool, reasons };
        let mut opened = Opened { receiving: Vec::new(), sending: Vec::new(), sockets: Vec::new(), promiscuous, how };
        for (number, Bound { socket, rx, fill, tx, completion }) in bound.into_iter().enumerate() {
            let page = (socket.zero_copy && self.shares_pool).then_some(self.page as u64);
            let (ring, wanted) = (self.ring as usize, if self.shares_pool { self.wanted } else { self.ring as usize });
            opened.receiving.push(Receiving::new(&socket, rx, fill, wanted, page, &self.pool));
            opened.sending.push(Sending::new(&socket, tx, completion, ring..2 * ring, page, &self.pool));
            program.give(number as u32, &*socket)?;
            opened.sockets.push(socket);
        }
        Ok(opened)
    }
}

/// Whether copying would meet the same.
fn is_final(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EBUSY | libc::ENODEV | libc::ENOBUFS))
}

/// What the port and its watcher both look at.
pub(super) struct Shared {
    pub sockets: Mutex<Vec<Arc<Socket>>>,
    /// Of sockets that are gone.
    pub lost: Mutex<Lost>,
    pub how: Mutex<How>,
    /// What has happened, in words.
    pub news: Mutex<Vec<String>>,
    /// The index of the device.
    pub device: Arc<AtomicU32>,
    pub figures: Arc<Figures>,
}

impl Shared {
    /// What the kernel has dropped.
    pub fn lost(&self) -> Lost {
        let mut lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.iter().for_each(|socket| lost.add(socket.lost()));
        lost
    }

    pub fn say(&self, news: String) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }

    /// Says how packets come and go, and why not better.
    pub fn say_how(&self, device: &str, queues: usize) {
        let how = self.how.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queues = if queues == 1 { "1 queue".into() } else { format!("{queues} queues") };
        self.say(format!("`{device}` by AF_XDP: {how}, {queues}"));
        how.reasons.iter().for_each(|reason| self.say(format!("`{device}` has no {reason}")));
    }
}

/// Opens everything again on a device that has come back.
pub(super) struct Reattach {
    pub plan: Plan,
    pub program: Arc<Mutex<Loaded>>,
    pub promiscuous: Option<Promiscuous>,
    pub receiving: Vec<Arc<Mailbox<Box<Receiving>>>>,
    pub sending: Vec<Arc<Mutex<Sending>>>,
    pub gauges: Vec<Arc<AtomicUsize>>,
    pub shared: Arc<Shared>,
    /// What was last said of a program that cannot be put back: not to be said each second.
    pub failed: Option<String>,
}

impl Reattach {
    /// Puts the program back if somebody has taken it off.
    fn hold_on(&mut self, link: &Link) {
        let mut program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        if link.index != self.shared.device.load(Ordering::Relaxed) || program.is_attached() {
            return;
        }
        let device = &self.plan.device;
        let news = match program.attach(link.index, self.plan.xdp) {
            Ok(_) => format!("somebody has taken the program off `{device}`; it is attached again"),
            Err(error) => format!("somebody has taken the program off `{device}`, and it cannot be attached again: {error}"),
        };
        let failed = (!program.is_attached()).then(|| news.clone());
        if failed.is_none() || failed != self.failed {
            self.shared.say(news);
        }
        self.failed = failed;
    }
}

impl Attach for Reattach {
    // Sockets; that more may wait to be sent than the system's limit; memory beyond the limit of what may be locked. The program is in the
    // kernel by now: what it takes to load one, CAP_BPF and CAP_PERFMON, it does not take to attach it.
    const NEEDS: CapabilitySet = CapabilitySet::NET_RAW.union(CapabilitySet::NET_ADMIN).union(CapabilitySet::IPC_LOCK);

    fn find(&mut self, netlink: &mut Netlink) -> io::Result<Option<Link>> {
        let link = netlink.link(&self.plan.device)?;
        if let Some(link) = &link {
            self.shared.figures.set_mtu(link.mtu);
            self.hold_on(link);
        }
        Ok(link)
    }

    fn attach(&mut self, link: &Link) -> io::Result<()> {
        // Until it is known which sockets it has: another program may take its place.
        let mut program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = self.plan.open(link, &mut program, &self.gauges)?;
        let Opened { receiving, sending, sockets, promiscuous, how } = opened;
        self.promiscuous = promiscuous;
        self.shared.device.store(link.index, Ordering::Relaxed);
        {
            let mut current = self.shared.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            let mut lost = self.shared.lost.lock().unwrap_or_else(PoisonError::into_inner);
            current.iter().for_each(|socket| lost.add(socket.lost()));
            *current = sockets;
        }
        drop(program);
        self.receiving.iter().zip(receiving).for_each(|(mailbox, fresh)| mailbox.post(Box::new(fresh)));
        for (side, fresh) in self.sending.iter().zip(sending) {
            let old = std::mem::replace(&mut *side.lock().unwrap_or_else(PoisonError::into_inner), fresh);
            // Not under the lock: it may be the last that keeps a socket open.
            drop(old);
        }
        let before = std::mem::replace(&mut *self.shared.how.lock().unwrap_or_else(PoisonError::into_inner), how.clone());
        if before != how {
            self.shared.say_how(&self.plan.device, self.plan.queues);
        }
        Ok(())
    }

    fn tidy(&mut self) {
        self.receiving.iter().for_each(|mailbox| mailbox.tidy());
    }
}
