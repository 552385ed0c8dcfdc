//! `tap`: an interface whose other end is a device of the Linux kernel, as if a cable went from one to the other.
//!
//! ```yaml
//! interfaces:
//!   host: { driver: tap, device: swath0, kernel-addresses: [192.168.7.2/24], addresses: [192.168.7.1/24] }
//! ```
//!
//! It needs /dev/net/tun and CAP_NET_ADMIN. It costs a system call for each packet: it is for hosts, virtual machines and what is for the
//! router itself, not for speed.
//!
//! The device is made if there is none of that name, and is gone with swath. It has an address of its own; the interface has another, which
//! follows from the device's unless the graph says one. The kernel keeps its offloads: what it leaves to the interface, checksums and the
//! cutting of TCP and UDP, is done. A device that was made and is deleted is made again within a second.
//!
//! At the end it says `{device, link-changes, transmit-errors}` as `af-packet` does. What the kernel drops it counts itself, with the device
//! (`ip -s link show`).

mod device;
mod queue;
mod settings;

use std::fs::File;
use std::io;
use std::sync::Arc;

use swath_api::ConfigError;
use swath_api::wire::MacAddr;
use swath_core::driver::{Claim, DriverKind, Port, PortConfig, PortStatus, RxQueue, TxQueue};
use swath_core::privileges::CapabilitySet;

use super::kernel::netlink::{Link, Netlink};
use super::kernel::watch::{Attach, Mailbox, Status, Watcher};
use super::kernel::{Totals, check_name, mtu, queues};
use device::Refused;
use queue::{ReceiveQueue, TransmitQueue};
use settings::Settings;

/// The driver.
pub const KIND: DriverKind = DriverKind {
    name: "tap",
    summary: "A cable to the Linux kernel: a device of its own, made and removed with the interface.",
    schema: super::schema::<Settings>,
    example: include_str!("../../../examples/tap.yaml"),
    paths: &[],
    check: super::check::<Settings>,
    open,
};

struct TapPort {
    device: String,
    mac: MacAddr,
    mtu: u16,
    receive: Vec<Box<dyn RxQueue>>,
    transmit: Vec<Box<dyn TxQueue>>,
    status: Arc<Status>,
    totals: Arc<Totals>,
    _watcher: Watcher,
}

fn open(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let settings: Settings = super::settings(config.settings)?;
    let device = settings.device.clone();
    check_name(&device)?;
    let queues = queues(settings.queues, config.workers)?;
    let system = |what: &'static str| move |error: io::Error| ConfigError::at("device", format!("{what}: {error}"));
    let mut netlink = Netlink::open().map_err(system("cannot ask the kernel for its devices"))?;
    let exists = netlink.link(&device).map_err(system("cannot ask the kernel for the device"))?.is_some();
    if let Some(setting) = settings.for_a_new_device().filter(|_| exists) {
        let what =
            format!("`{device}` exists already, and is left as it is: delete it for swath to make it, or leave out this setting");
        return Err(ConfigError::at(setting, what));
    }
    let mut tap = Tap { settings, is_ours: !exists, queues, mtu: config.mtu, opened: Vec::new() };
    let link = tap.make(&mut netlink).map_err(|error| refused(&device, exists, error))?;
    let kernel_mac = link.mac.ok_or_else(|| ConfigError::at("device", format!("`{device}` is not an Ethernet device")))?;
    let mac = config.mac.unwrap_or_else(|| other_end(kernel_mac));
    if mac == kernel_mac {
        return Err(ConfigError::at("device", format!("the kernel's end has the MAC address {mac}, too: say another as `mac`")));
    }
    let mtu = mtu(config.mtu, &link)?;
    let (status, totals) = (Status::new(&link), Arc::new(Totals::default()));
    let files = std::mem::take(&mut tap.opened);
    let mut receive: Vec<Box<dyn RxQueue>> = Vec::new();
    let mut transmit: Vec<Box<dyn TxQueue>> = Vec::new();
    // Each queue has two ends, and there may be more workers than queues.
    let (mut receivers, mut senders) = (Vec::new(), Vec::new());
    for file in &files {
        let mailbox = Mailbox::new();
        receive.push(Box::new(ReceiveQueue::new(file, config.index, &status, &mailbox)));
        receivers.push(mailbox);
    }
    for file in files.iter().cycle().take(config.workers as usize) {
        let mailbox = Mailbox::new();
        transmit.push(Box::new(TransmitQueue::new(file, &status, &mailbox, &totals, config.pool)));
        senders.push(mailbox);
    }
    drop(files);
    let watcher = Watcher::start(&status, link, Reattach { tap, receivers, senders });
    let watcher = watcher.map_err(system("cannot watch the device"))?;
    Ok(Box::new(TapPort { device, mac, mtu, receive, transmit, status, totals, _watcher: watcher }))
}

/// The address of the interface: the device's with another last bit, and administered locally.
fn other_end(kernel: MacAddr) -> MacAddr {
    let mut octets = kernel.octets();
    octets[0] = octets[0] & !1 | 2;
    octets[5] ^= 1;
    MacAddr::from(octets)
}

/// A tap, to be opened again and again.
struct Tap {
    settings: Settings,
    is_ours: bool,
    queues: usize,
    mtu: Option<u16>,
    // Until the queues have them.
    opened: Vec<Arc<File>>,
}

impl Tap {
    /// Attaches to the device. If it is ours, makes it and gives it what the settings say.
    fn make(&mut self, netlink: &mut Netlink) -> Result<Link, Refused> {
        let name = &self.settings.device;
        let files = device::open(name, self.queues)?;
        let gone = || Refused::Device(io::Error::from_raw_os_error(libc::ENODEV));
        let mut link = netlink.link(name).map_err(Refused::Device)?.ok_or_else(gone)?;
        if self.is_ours {
            let Settings { up, kernel_mac, .. } = self.settings;
            netlink.set(link.index, kernel_mac, self.mtu, up).map_err(Refused::Device)?;
            for address in &self.settings.kernel_addresses {
                netlink.add_address(link.index, address.address, address.prefix_len).map_err(Refused::Device)?;
            }
            link = netlink.link(name).map_err(Refused::Device)?.ok_or_else(gone)?;
        }
        self.opened = files.into_iter().map(Arc::new).collect();
        Ok(link)
    }
}

/// Attaches again to a device that has come back, or makes it anew.
struct Reattach {
    tap: Tap,
    receivers: Vec<Arc<Mailbox<Arc<File>>>>,
    senders: Vec<Arc<Mailbox<Arc<File>>>>,
}

impl Attach for Reattach {
    const NEEDS: CapabilitySet = CapabilitySet::NET_ADMIN;

    fn find(&mut self, netlink: &mut Netlink) -> io::Result<Option<Link>> {
        match netlink.link(&self.tap.settings.device)? {
            None if self.tap.is_ours => Ok(Some(self.tap.make(netlink)?)),
            found => Ok(found),
        }
    }

    fn attach(&mut self, _: &Link) -> io::Result<()> {
        if self.tap.opened.is_empty() {
            self.tap.opened = device::open(&self.tap.settings.device, self.tap.queues)?.into_iter().map(Arc::new).collect();
        }
        let files = std::mem::take(&mut self.tap.opened);
        self.receivers.iter().zip(&files).for_each(|(mailbox, file)| mailbox.post(Arc::clone(file)));
        self.senders.iter().zip(files.iter().cycle()).for_each(|(mailbox, file)| mailbox.post(Arc::clone(file)));
        Ok(())
    }

    fn tidy(&mut self) {
        self.receivers.iter().chain(&self.senders).for_each(|mailbox| mailbox.tidy());
    }
}

/// Why a tap cannot be had, and what to do.
fn refused(device: &str, exists: bool, refused: Refused) -> ConfigError {
    let privilege = "a tap needs CAP_NET_ADMIN: run swath as root, or once `setcap cap_net_admin+ep` on its file";
    let what = match refused {
        Refused::Control(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
                "there is no /dev/net/tun: `modprobe tun`, or give it to the container (`--device /dev/net/tun`)".into()
            }
            Some(libc::EACCES | libc::EPERM) => format!("/dev/net/tun cannot be opened ({error}): {privilege}"),
            _ => format!("/dev/net/tun: {error}"),
        },
        Refused::Device(error) => match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => privilege.into(),
            Some(libc::EBUSY) => format!("`{device}` is in use by another program"),
            Some(libc::EINVAL) if exists => {
                format!("`{device}` is not a tap, or was not made with `multi_queue` for several queues, or with it for one")
            }
            _ => format!("cannot attach to `{device}`: {error}"),
        },
    };
    ConfigError::at("device", what)
}

struct TapStatus {
    status: Arc<Status>,
    totals: Arc<Totals>,
}

impl PortStatus for TapStatus {
    fn is_up(&self) -> bool {
        self.status.is_up()
    }

    fn link_changes(&self) -> u64 {
        self.status.changes()
    }

    fn transmit_errors(&self) -> u64 {
        self.totals.errors()
    }
}

impl Port for TapPort {
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
        Some(Arc::new(TapStatus { status: Arc::clone(&self.status), totals: Arc::clone(&self.totals) }))
    }

    fn finish(&mut self) -> Result<serde_json::Value, String> {
        Ok(self.totals.report(&self.device, self.status.changes()))
    }
}
