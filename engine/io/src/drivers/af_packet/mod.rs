//! `af-packet`: an interface on a device of the Linux kernel, by packet sockets (packet(7)).
//!
//! ```yaml
//! interfaces:
//!   lan: { driver: af-packet, device: eth1, addresses: [192.168.1.1/24] }
//! ```
//!
//! It needs CAP_NET_RAW and nothing else: no driver to unbind, no huge pages. It costs a system call for each 64 packets sent, and a copy of
//! each packet on the way in and on the way out, about a microsecond each way.
//!
//! Hosts keep their offloads: checksums that their kernels leave to the network card are completed, and what they leave to be cut into
//! packets is cut (TCP and UDP over IPv4 and IPv6). VLAN tags that the kernel has taken off are put back. Packets that are sent are not
//! received.
//!
//! The kernel sees the packets, too: leave the device without addresses, lest it answer them as well. The interface has the MAC address and
//! the MTU that the device has, unless the graph says otherwise. When the device goes down or vanishes, packets for it are dropped as
//! `link-down`; when it is back, they flow again.
//!
//! At the end it says `{device, kernel-drops, link-changes, transmit-errors}`: packets for which the receive ring had no room, how often the
//! link has gone down, come up or changed otherwise, and errors of sending that are none of those that the ledger knows, of which
//! `last-error` is the last.

#[cfg(test)]
mod kernel_tests;
mod receive;
mod ring;
mod settings;
mod socket;
mod transmit;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use swath_api::ConfigError;
use swath_api::wire::MacAddr;
use swath_core::driver::{Claim, DriverKind, Port, PortConfig, PortStatus, RxQueue, TxQueue};
use swath_core::privileges::CapabilitySet;

use super::kernel::netlink::{Link, Netlink};
use super::kernel::watch::{Attach, Mailbox, Status, Watcher};
use super::kernel::{Totals, check_name, mtu, no_device, queues};
use receive::ReceiveQueue;
use ring::{Ring, RingSettings};
use settings::Settings;
use socket::Socket;
use transmit::TransmitQueue;

/// The driver.
pub const KIND: DriverKind = DriverKind {
    name: "af-packet",
    summary: "A device of the Linux kernel, such as eth0 or a veth, which the kernel goes on using.",
    schema: super::schema::<Settings>,
    example: include_str!("../../../examples/af-packet.yaml"),
    paths: &[],
    check: super::check::<Settings>,
    open,
};

struct PacketPort {
    device: String,
    mac: MacAddr,
    mtu: u16,
    receive: Vec<Box<dyn RxQueue>>,
    transmit: Vec<Box<dyn TxQueue>>,
    status: Arc<Status>,
    totals: Arc<Totals>,
    lost: Arc<AtomicU64>,
    sockets: Sockets,
    _watcher: Watcher,
}

/// The sockets of the receive queues, to ask what the kernel has dropped.
type Sockets = Arc<Mutex<Vec<Arc<Socket>>>>;

fn open(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let settings: Settings = super::settings(config.settings)?;
    let device = settings.device.as_str();
    check_name(device)?;
    if !(16..=8192).contains(&settings.ring) {
        return Err(ConfigError::at("ring", format!("{} packets, but a ring has 16 to 8192", settings.ring)));
    }
    let queues = queues(settings.queues, config.workers)?;
    let system = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| ConfigError::at("device", format!("{what}: {error}"))
    };
    let mut netlink = Netlink::open().map_err(system("cannot ask the kernel for its devices"))?;
    let found = netlink.link(device).map_err(system("cannot ask the kernel for the device"))?;
    let link = found.ok_or_else(|| no_device(device, &mut netlink))?;
    let own_mac = link.mac.ok_or_else(|| ConfigError::at("device", format!("`{device}` is not an Ethernet device")))?;
    let mac = config.mac.unwrap_or(own_mac);
    if mac != own_mac && !settings.promiscuous {
        let what = format!("packets for {mac} are received in promiscuous mode only: the address of `{device}` is {own_mac}");
        return Err(ConfigError::at("promiscuous", what));
    }
    let mtu = mtu(config.mtu, &link)?;
    let ring = RingSettings { slots: settings.ring, promiscuous: settings.promiscuous, fanout: settings.fanout };
    let mut opened = Opened::of(&link, queues, config.workers as usize, ring).map_err(|error| refused(device, &error))?;
    let status = Status::new(&link);
    let (totals, lost) = (Arc::new(Totals::default()), Arc::new(AtomicU64::new(0)));
    let sockets: Sockets = Arc::new(Mutex::new(opened.sockets()));
    let mut receive: Vec<Box<dyn RxQueue>> = Vec::new();
    let mut transmit: Vec<Box<dyn TxQueue>> = Vec::new();
    let (mut rings, mut senders) = (Vec::new(), Vec::new());
    for ring in opened.rings.drain(..) {
        let mailbox = Mailbox::new();
        receive.push(Box::new(ReceiveQueue::new(ring, config.index, &status, &mailbox)));
        rings.push(mailbox);
    }
    for socket in opened.senders.drain(..) {
        let mailbox = Mailbox::new();
        transmit.push(Box::new(TransmitQueue::new(socket, &status, &mailbox, &totals, config.pool)));
        senders.push(mailbox);
    }
    let attach = Reattach { device: device.into(), ring, rings, senders, sockets: Arc::clone(&sockets), lost: Arc::clone(&lost) };
    let watcher = Watcher::start(&status, link, attach).map_err(system("cannot watch the device"))?;
    Ok(Box::new(PacketPort {
        device: device.into(),
        mac,
        mtu,
        receive,
        transmit,
        status,
        totals,
        lost,
        sockets,
        _watcher: watcher,
    }))
}

/// Everything that is open on a device.
struct Opened {
    rings: Vec<Ring>,
    senders: Vec<Socket>,
}

impl Opened {
    fn of(link: &Link, queues: usize, workers: usize, ring: RingSettings) -> io::Result<Opened> {
        let senders = (0..workers).map(|_| Socket::sender(link.index)).collect::<io::Result<_>>()?;
        Ok(Opened { rings: Ring::open_all(link.index, queues, ring)?, senders })
    }

    fn sockets(&self) -> Vec<Arc<Socket>> {
        self.rings.iter().map(|ring| Arc::clone(ring.socket())).collect()
    }
}

/// Opens everything again on a device that has come back.
struct Reattach {
    device: String,
    ring: RingSettings,
    rings: Vec<Arc<Mailbox<Ring>>>,
    senders: Vec<Arc<Mailbox<Socket>>>,
    sockets: Sockets,
    // Packets for which rings that are gone had no room.
    lost: Arc<AtomicU64>,
}

impl Attach for Reattach {
    // Sockets; and that more may wait to be sent than the system's limit.
    const NEEDS: CapabilitySet = CapabilitySet::NET_RAW.union(CapabilitySet::NET_ADMIN);

    fn find(&mut self, netlink: &mut Netlink) -> io::Result<Option<Link>> {
        netlink.link(&self.device)
    }

    fn attach(&mut self, link: &Link) -> io::Result<()> {
        let opened = Opened::of(link, self.rings.len(), self.senders.len(), self.ring)?;
        let old = std::mem::replace(&mut *self.sockets.lock().unwrap_or_else(PoisonError::into_inner), opened.sockets());
        self.lost.fetch_add(lost(&old), Ordering::Relaxed);
        self.rings.iter().zip(opened.rings).for_each(|(mailbox, ring)| mailbox.post(ring));
        self.senders.iter().zip(opened.senders).for_each(|(mailbox, socket)| mailbox.post(socket));
        Ok(())
    }

    fn tidy(&mut self) {
        self.rings.iter().for_each(|mailbox| mailbox.tidy());
        self.senders.iter().for_each(|mailbox| mailbox.tidy());
    }
}

fn lost(sockets: &[Arc<Socket>]) -> u64 {
    sockets.iter().map(|socket| socket.lost()).sum()
}

/// Why a device cannot be attached to, and what to do.
fn refused(device: &str, error: &io::Error) -> ConfigError {
    let what = match error.raw_os_error() {
        Some(libc::EPERM) => {
            "packet sockets need CAP_NET_RAW: run swath as root, or once `setcap cap_net_raw+ep` on its file".into()
        }
        Some(libc::ENOMEM) => format!("no memory for the receive rings of `{device}`: lower `ring`"),
        _ => format!("cannot attach to `{device}`: {error}"),
    };
    ConfigError::at("device", what)
}

struct PacketStatus {
    status: Arc<Status>,
    totals: Arc<Totals>,
    lost: Arc<AtomicU64>,
    // Who watches does not keep them open.
    sockets: Weak<Mutex<Vec<Arc<Socket>>>>,
}

impl PortStatus for PacketStatus {
    fn is_up(&self) -> bool {
        self.status.is_up()
    }

    fn link_changes(&self) -> u64 {
        self.status.changes()
    }

    fn missed(&self) -> u64 {
        self.sockets.upgrade().map_or_else(|| self.lost.load(Ordering::Relaxed), |sockets| missed(&self.lost, &sockets))
    }

    fn transmit_errors(&self) -> u64 {
        self.totals.errors()
    }
}

/// Packets for which no ring had room, so far. The kernel counts from zero each time that it is asked.
fn missed(before: &AtomicU64, sockets: &Sockets) -> u64 {
    let now = lost(&sockets.lock().unwrap_or_else(PoisonError::into_inner));
    before.fetch_add(now, Ordering::Relaxed) + now
}

impl Port for PacketPort {
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

    fn claims(&self) -> Vec<Claim> {
        vec![Claim { resource: format!("the device `{}`", self.device), exclusive: true }]
    }

    fn news(&self) -> Vec<String> {
        self.status.news()
    }

    fn status(&self) -> Option<Arc<dyn PortStatus>> {
        Some(Arc::new(PacketStatus {
            status: Arc::clone(&self.status),
            totals: Arc::clone(&self.totals),
            lost: Arc::clone(&self.lost),
            sockets: Arc::downgrade(&self.sockets),
        }))
    }

    fn finish(&mut self) -> Result<serde_json::Value, String> {
        let mut report = self.totals.report(&self.device, self.status.changes());
        report["kernel-drops"] = missed(&self.lost, &self.sockets).into();
        Ok(report)
    }
}
