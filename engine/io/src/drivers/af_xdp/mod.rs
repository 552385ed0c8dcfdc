//! `af-xdp`: an interface on a device of the Linux kernel, by AF_XDP sockets (`Documentation/networking/af_xdp.rst`).
//!
//! ```yaml
//! interfaces:
//!   lan: { driver: af-xdp, device: eth1, addresses: [192.168.1.1/24] }
//! ```
//!
//! A program in the kernel takes packets before its network stack sees them, and hands them to swath; `capture` says which, and the rest
//! goes on to the kernel. It needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON, and Linux 5.9. Nothing is changed on the device but what ends
//! with the process: program, sockets and promiscuous mode hang on descriptors, so that a SIGKILL gives everything back to the kernel.
//!
//! Packet memory is shared with the kernel: a packet that is received by one such interface and sent by another is copied by the kernel,
//! once in and once out, and by swath not at all; a device that can reads and writes the memory itself, if it lies on huge pages. What is
//! not as good as it can be is said at the start, with the reason: a driver that takes no program (`generic`: behind the driver, and then
//! `ethtool -K DEVICE gro off`, since a packet that was merged is longer than a buffer and lost), buffers of a length that the kernel does
//! not take (packets are copied to and from other memory, and counted).
//!
//! AF_XDP tells nothing of a frame but its bytes. A checksum that the sender has left to a network card is completed on devices that are
//! made of software (`checksum`): that of TCP and UDP, not of packets within a tunnel. A VLAN tag that the device has taken off is lost:
//! `ethtool -K DEVICE rxvlan off`, and of a veth `ethtool -K PEER txvlan off`.
//!
//! Fragments beyond the first have no ports: of a `capture` by `protocols` with ports they stay with the kernel, and of one with `except`
//! those of the excepted protocol. With `except`, user space takes ARP and neighbour discovery; what a neighbour answers is told to the
//! kernel, too. Give the interface the device's address then, and the kernel and the graph are one host.
//!
//! When the device goes down or vanishes, packets for it are dropped as `link-down`; when it is back, they flow again. A program that
//! somebody has taken off is put back within a second.
//!
//! At the end it says `{device, mode, link-changes, transmit-errors, kernel-drops, fill-ring-empty, receive-ring-full, invalid,
//! checksums-completed, copied}`, and `offloaded`, packets that the program has dropped for a node, if one asks for that. `kernel-drops`
//! are packets that came while no buffer waited for them (`fill-ring-empty` says how often) or that are longer than one;
//! `receive-ring-full` are packets for which swath was too slow. What the device itself drops it counts itself (`ip -s link show`).

mod attach;
mod capture;
pub(super) mod checksum;
mod chunks;
mod denials;
#[cfg(test)]
mod denials_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod kernel_tests;
pub(super) mod lifeline;
mod neighbours;
#[cfg(test)]
mod object_tests;
mod program;
mod promiscuous;
#[cfg(test)]
#[expect(dead_code, reason = "what other tests use")]
#[path = "../../../../../nodes/tests/common/random.rs"]
mod random;
mod receive;
mod ring;
mod settings;
mod sieve;
#[cfg(test)]
mod sieve_tests;
mod socket;
mod totals;
mod transmit;
pub(super) mod trial;

use std::io;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use swath_api::wire::MacAddr;
use swath_api::{ConfigError, Copied, Offload};
use swath_core::driver::{Claim, DriverKind, Port, PortConfig, PortStatus, RxQueue, TxQueue};

use super::kernel::ethtool::Ethtool;
use super::kernel::netlink::{Link, Netlink};
use super::kernel::watch::{Mailbox, Status, Watcher};
use super::kernel::{Totals, check_name, mtu, no_device};
use attach::{Opened, Plan, Reattach, Shared};
use capture::Capture;
use denials::Denials;
use program::Loaded;
use receive::ReceiveQueue;
use settings::{Checksum, Settings};
use sieve::{Counts, Shape, Sieve};
use socket::{CHUNK, FRAME};
use totals::Figures;
use transmit::TransmitQueue;

/// The driver.
pub const KIND: DriverKind = DriverKind {
    name: "af-xdp",
    summary: "A device of the Linux kernel, past its network stack, which keeps what is not captured.",
    schema: super::schema::<Settings>,
    example: include_str!("../../../examples/af-xdp.yaml"),
    paths: &[],
    check: super::check::<Settings>,
    open,
};

/// The most queues (`QUEUES` in ebpf/capture.bpf.c).
const MOST_QUEUES: usize = 64;
/// Bytes of an Ethernet header with two tags, which an MTU does not count.
const ETHERNET: usize = 22;
/// The part of the pool that may wait for packets in one interface.
const PART: usize = 4;

struct XdpPort {
    device: String,
    mac: MacAddr,
    mtu: u16,
    receive: Vec<Box<dyn RxQueue>>,
    transmit: Vec<Box<dyn TxQueue>>,
    status: Arc<Status>,
    totals: Arc<Totals>,
    shared: Arc<Shared>,
    program: Arc<Mutex<Loaded>>,
    capture: Capture,
    counts: Arc<OnceLock<Counts>>,
    queues: usize,
    _watcher: Watcher,
}

fn system(what: &str) -> impl Fn(io::Error) -> ConfigError {
    let what = what.to_owned();
    move |error| ConfigError::at("device", format!("{what}: {error}"))
}

fn open(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let settings: Settings = super::settings(config.settings)?;
    let device = settings.device.as_str();
    check_name(device)?;
    if !(64..=8192).contains(&settings.ring) || !settings.ring.is_power_of_two() {
        return Err(ConfigError::at("ring", format!("{} packets, but a ring has a power of two from 64 to 8192", settings.ring)));
    }
    if let Some(holder) = config.holder(&resource(device)) {
        let what = format!(
            "the running `{holder}` has `{device}` until it is detached: take it away with one reload, and bring it back with the next"
        );
        return Err(ConfigError::at("device", what));
    }
    let mut netlink = Netlink::open().map_err(system("cannot ask the kernel for its devices"))?;
    let found = netlink.link(device).map_err(system("cannot ask the kernel for the device"))?;
    let link = found.ok_or_else(|| no_device(device, &mut netlink))?;
    let own_mac = link.mac.ok_or_else(|| ConfigError::at("device", format!("`{device}` is not an Ethernet device")))?;
    let mac = config.mac.unwrap_or(own_mac);
    if mac != own_mac && !settings.promiscuous {
        let what = format!("packets for {mac} are received in promiscuous mode only: the address of `{device}` is {own_mac}");
        return Err(ConfigError::at("promiscuous", what));
    }
    if !settings.force
        && let Some(reason) = lifeline::reason(&link, &mut netlink)
    {
        let what = format!("{reason}: say `force: true` to take it all the same, with `capture: all-but-ssh` if in doubt");
        return Err(ConfigError::at("device", what));
    }
    let ethtool = Ethtool::open().map_err(system("cannot ask for the driver of the device"))?;
    let plan = plan(config, &settings, &ethtool)?;
    let mtu = mtu(config.mtu, &link)?;
    check_mtu(&plan, &link)?;
    let is_software = ethtool.driver(device).is_ok_and(|driver| driver.bus.is_empty());
    let completes = settings.checksum.map_or(is_software, |checksum| checksum == Checksum::Complete);
    let gauges: Vec<Arc<AtomicUsize>> = (0..plan.queues).map(|_| Arc::default()).collect();
    let mut program = Loaded::new(&settings.capture, mac).map_err(|error| refused(device, &error))?;
    let opened = plan.open(&link, &mut program, &gauges).map_err(|error| refused(device, &error))?;
    let Opened { receiving, sending, sockets, promiscuous, how } = opened;
    let (status, totals) = (Status::new(&link), Arc::new(Totals::default()));
    let shared = Arc::new(Shared {
        sockets: Mutex::new(sockets),
        lost: Mutex::default(),
        how: Mutex::new(how),
        news: Mutex::default(),
        device: Arc::new(AtomicU32::new(link.index)),
        figures: Arc::new(Figures::default()),
    });
    shared.figures.set_mtu(link.mtu);
    shared.say_how(device, plan.queues);
    let answers = settings.capture.takes_answers_of_the_kernel().then(|| neighbours::tell_kernel(&shared.device));
    let answers = answers.transpose().map_err(system("cannot tell the kernel of neighbours"))?;
    let mailboxes: Vec<_> = receiving.iter().map(|_| Mailbox::new()).collect();
    let sending: Vec<_> = sending.into_iter().map(|side| Arc::new(Mutex::new(side))).collect();
    let mut receive: Vec<Box<dyn RxQueue>> = Vec::new();
    let counts = Arc::default();
    for (number, (side, mailbox)) in receiving.into_iter().zip(&mailboxes).enumerate() {
        let answers = answers.clone();
        let queue = ReceiveQueue::new(side, config.index, completes, answers, &status, mailbox, &shared.figures);
        receive.push(Box::new(queue.counted(number, &counts)));
    }
    let mut transmit: Vec<Box<dyn TxQueue>> = Vec::new();
    let workers = config.workers as usize;
    for worker in 0..workers {
        let side = Arc::clone(&sending[worker % sending.len()]);
        let own = gauges.iter().skip(worker).step_by(workers).map(Arc::clone).collect();
        transmit.push(Box::new(TransmitQueue::new(side, own, &status, &totals, &shared.figures, config.pool)));
    }
    let (program, queues) = (Arc::new(Mutex::new(program)), mailboxes.len());
    let reattach = Reattach {
        plan,
        program: Arc::clone(&program),
        promiscuous,
        receiving: mailboxes,
        sending,
        gauges,
        shared: Arc::clone(&shared),
        failed: None,
    };
    let watcher = Watcher::start(&status, link, reattach).map_err(system("cannot watch the device"))?;
    Ok(Box::new(XdpPort {
        device: device.into(),
        mac,
        mtu,
        receive,
        transmit,
        status,
        totals,
        shared,
        program,
        capture: settings.capture,
        counts,
        queues,
        _watcher: watcher,
    }))
}

/// A device as drivers claim it.
fn resource(device: &str) -> String {
    format!("the device `{device}`")
}

/// How the device is opened.
fn plan(config: &PortConfig<'_>, settings: &Settings, ethtool: &Ethtool) -> Result<Plan, ConfigError> {
    let device = settings.device.as_str();
    // A driver that does not say it has one.
    let there = ethtool.receive_queues(device).unwrap_or(1).max(1) as usize;
    let queues = settings.queues.map_or(there.min(MOST_QUEUES), |queues| usize::from(queues.get()));
    if queues > there {
        let what =
            format!("{queues} queues, but `{device}` has {there}: `ethtool -L {device} combined {queues}`, if it can have more");
        return Err(ConfigError::at("queues", what));
    }
    let pool = config.pool;
    let ring = settings.ring as usize;
    Ok(Plan {
        device: device.into(),
        pool: Arc::clone(pool),
        shares_pool: CHUNK.contains(&pool.region().geometry().stride),
        page: crate::region::page_size(pool.region().base() as usize),
        queues,
        ring: settings.ring,
        wanted: ring.min(pool.capacity() / PART / queues).max(1),
        xdp: settings.xdp,
        zero_copy: settings.zero_copy,
        promiscuous: settings.promiscuous,
    })
}

/// Packets that do not fit into a buffer would be lost.
fn check_mtu(plan: &Plan, link: &Link) -> Result<(), ConfigError> {
    let room = plan.pool.region().geometry().data();
    let room = if plan.shares_pool { room } else { room.min(FRAME - 256) };
    let most = room - ETHERNET;
    if link.mtu as usize <= most {
        return Ok(());
    }
    let largest = *CHUNK.end() as usize - 64 - swath_api::memory::DATA;
    let larger = if plan.shares_pool && link.mtu as usize + ETHERNET <= largest {
        format!(", or set `engine.buffer-size` to {}", link.mtu as usize + ETHERNET)
    } else {
        format!("; by AF_XDP no buffers carry more than {}", largest - ETHERNET)
    };
    let what = format!(
        "`{0}` has an MTU of {1} bytes, and a buffer carries {most}: `ip link set {0} mtu {most}`{larger}",
        link.name, link.mtu
    );
    Err(ConfigError::at("device", what))
}

/// Why a device cannot be attached to, and what to do.
fn refused(device: &str, error: &io::Error) -> ConfigError {
    let what = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "AF_XDP needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON: run swath as root, or once \
             `setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon,cap_ipc_lock+ep` on its file"
                .into()
        }
        Some(libc::EBUSY | libc::EEXIST) => {
            format!(
                "another program has `{device}`, or one of its queues, by XDP: `ip -d link show {device}` and `bpftool net` say which"
            )
        }
        Some(libc::ENOBUFS) => {
            "packet memory is more than may be locked: `ulimit -l unlimited`, or CAP_IPC_LOCK, or fewer `engine.buffers`".into()
        }
        _ => format!("cannot attach to `{device}`: {error}"),
    };
    ConfigError::at("device", what)
}

impl XdpPort {
    /// Puts a program on the device that drops packets for a node.
    fn drop_for(&self, offload: &Offload) -> io::Result<Copied> {
        // Who has to tell the kernel of its neighbours hears all of them.
        let shape = Shape::of(offload, self.queues, self.capture.takes_answers_of_the_kernel());
        let mut program = Loaded::with_list(&self.capture, self.mac, shape)?;
        let shared = Arc::downgrade(&self.shared);
        let copied = if offload.work.as_str() == Offload::RULES {
            Copied::Denials(Arc::new(Denials::of(program.object(), shape, shared, &self.device)?))
        } else {
            Copied::Addresses(Arc::new(Sieve::of(program.object(), shape, shared, &self.device)?))
        };
        let counts = Counts::of(program.object(), self.queues)?;
        let mut current = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, socket) in self.shared.sockets.lock().unwrap_or_else(PoisonError::into_inner).iter().enumerate() {
            program.give(number as u32, &**socket)?;
        }
        program.succeed(&mut current)?;
        *current = program;
        // Asked once at most.
        let _ = self.counts.set(counts);
        Ok(copied)
    }
}

struct XdpStatus {
    status: Arc<Status>,
    totals: Arc<Totals>,
    // Who watches does not keep sockets open.
    shared: Weak<Shared>,
}

impl PortStatus for XdpStatus {
    fn is_up(&self) -> bool {
        self.status.is_up()
    }

    fn link_changes(&self) -> u64 {
        self.status.changes()
    }

    fn mode(&self) -> &'static str {
        self.shared.upgrade().map_or("", |shared| shared.how.lock().unwrap_or_else(PoisonError::into_inner).word())
    }

    fn fallbacks(&self) -> Vec<String> {
        let how = |shared: Arc<Shared>| shared.how.lock().unwrap_or_else(PoisonError::into_inner).reasons.clone();
        self.shared.upgrade().map(how).unwrap_or_default()
    }

    fn missed(&self) -> u64 {
        self.shared.upgrade().map_or(0, |shared| {
            let lost = shared.lost();
            lost.dropped + lost.ring_full
        })
    }

    fn transmit_errors(&self) -> u64 {
        self.totals.errors()
    }
}

impl Port for XdpPort {
    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        std::mem::take(&mut self.receive)
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        std::mem::take(&mut self.transmit)
    }

    fn accept(&mut self, offload: &Offload) -> Result<Copied, String> {
        if ![Offload::DENY, Offload::RULES].contains(&offload.work.as_str()) {
            return Err("its driver knows no such work".into());
        }
        self.drop_for(offload).map_err(|error| format!("the kernel does not take the program: {error}"))
    }

    fn claims(&self) -> Vec<Claim> {
        vec![Claim { resource: resource(&self.device), exclusive: true }]
    }

    fn status(&self) -> Option<Arc<dyn PortStatus>> {
        let (status, totals) = (Arc::clone(&self.status), Arc::clone(&self.totals));
        Some(Arc::new(XdpStatus { status, totals, shared: Arc::downgrade(&self.shared) }))
    }

    fn news(&self) -> Vec<String> {
        let mut news = std::mem::take(&mut *self.shared.news.lock().unwrap_or_else(PoisonError::into_inner));
        news.extend(self.status.news());
        news
    }

    fn finish(&mut self) -> Result<serde_json::Value, String> {
        let mut report = self.totals.report(&self.device, self.status.changes());
        let (lost, (completed, copied)) = (self.shared.lost(), self.shared.figures.counts());
        report["mode"] = self.shared.how.lock().unwrap_or_else(PoisonError::into_inner).to_string().into();
        report["kernel-drops"] = lost.dropped.into();
        report["fill-ring-empty"] = lost.fill_empty.into();
        report["receive-ring-full"] = lost.ring_full.into();
        report["invalid"] = lost.invalid.into();
        report["checksums-completed"] = completed.into();
        report["copied"] = copied.into();
        if self.counts.get().is_some() {
            report["offloaded"] = self.shared.figures.offloaded().into();
        }
        Ok(report)
    }
}
