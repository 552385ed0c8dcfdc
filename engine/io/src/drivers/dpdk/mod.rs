//! `dpdk`: a device of [DPDK](https://doc.dpdk.org/), a network card that was handed over by its PCI address or a virtual device.
//!
//! ```yaml
//! interfaces:
//!   wan: { driver: dpdk, device: '0000:03:00.0' }
//!   lan: { driver: dpdk, device: 'net_af_packet0,iface=eth1' }
//! ```
//!
//! It needs DPDK 22.11 or later (`apt install dpdk`), and the library `libswath_dpdk.so` beside swath: it is opened when a graph first names a driver
//! of DPDK, and neither is needed before.
//!
//! DPDK uses the packet memory that all drivers use: a packet that came in by AF_XDP goes out by DPDK, and the other way round, without being
//! copied. Huge pages are used if the machine has some free, for DPDK's own memory too; it runs without.
//!
//! The devices of a process share one environment of DPDK (EAL), which is started with the first of them and stays. `eal` adds to its arguments;
//! they cannot change before swath is started again. There are no secondary processes: chunks of a thread's own cache are not theirs.
//!
//! [`memif`] and [`vhost-user`](vhost) are devices of DPDK with settings of their own.
//!
//! At the end they say `{device, driver, link-changes, missed, transmit-errors}`.

pub mod doctor;
mod library;
pub mod memif;
mod queue;
mod settings;
pub mod vhost;
mod watch;

use std::ffi::CString;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;

use swath_api::ConfigError;
use swath_api::wire::MacAddr;
use swath_core::driver::{Claim, DriverKind, Port, PortConfig, PortStatus, RxQueue, TxQueue};

use library::{Attached, Wanted};
use queue::{ReceiveQueue, TransmitQueue};
use settings::Settings;
use watch::{Behind, Status, Watcher};

/// The driver.
pub const KIND: DriverKind = DriverKind {
    name: "dpdk",
    summary: "A device of DPDK: a network card that was handed over, or a virtual one.",
    schema: super::schema::<Settings>,
    example: include_str!("../../../examples/dpdk.yaml"),
    paths: &[],
    check: |config| super::settings::<Settings>(config.settings)?.device().map(drop),
    open: |config| {
        let settings: Settings = super::settings(config.settings)?;
        let device = Device {
            setting: "device",
            claim: format!("the device `{}`", settings.name()),
            arguments: settings.device()?,
            queues: settings.queues,
            descriptors: [settings.receive_descriptors, settings.transmit_descriptors],
            promiscuous: settings.promiscuous,
            eal: &settings.eal,
            completes: settings.completes(),
            revives: false,
        };
        open(config, &device)
    },
};

/// What all kinds of devices come down to.
struct Device<'a> {
    /// The setting that is to blame if it cannot be had.
    setting: &'static str,
    /// What nobody else may use.
    claim: String,
    /// What DPDK probes.
    arguments: String,
    queues: Option<NonZeroU16>,
    descriptors: [Option<NonZeroU16>; 2],
    promiscuous: bool,
    eal: &'a [String],
    /// Whether senders in the same kernel leave checksums to the device.
    completes: bool,
    /// Whether it cannot be started before its other end is there, nor comes back by itself.
    revives: bool,
}

fn open(config: &PortConfig<'_>, device: &Device<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let refused = |what: String| ConfigError::at(device.setting, what);
    let arguments = CString::new(device.arguments.as_str()).map_err(|_| refused("a zero byte is in no name".into()))?;
    let library = library::start(device.eal).map_err(|(setting, what)| ConfigError::at(setting.unwrap_or(device.setting), what))?;
    let count = |asked: Option<NonZeroU16>| asked.map_or(0, NonZeroU16::get);
    let [receive_descriptors, transmit_descriptors] = device.descriptors.map(count);
    let wanted = Wanted {
        device: &arguments,
        receive_queues: device.queues.map_or(config.workers.min(u32::from(u16::MAX)) as u16, NonZeroU16::get),
        transmit_queues: config.workers.min(u32::from(u16::MAX)) as u16,
        receive_descriptors,
        transmit_descriptors,
        mtu: config.mtu.unwrap_or(0),
        promiscuous: device.promiscuous,
        revives: device.revives,
    };
    let attached = library.open(config.pool, &wanted).map_err(|what| refused(format!("`{}`: {what}", device.arguments)))?;
    let attached = Arc::new(attached);
    let opened = *attached.opened();
    let own_mac = MacAddr::from(opened.mac);
    let mac = config.mac.unwrap_or(own_mac);
    if mac != own_mac && !device.promiscuous {
        let what = format!("packets for {mac} are received in promiscuous mode only: the address of the device is {own_mac}");
        return Err(ConfigError::at("promiscuous", what));
    }
    let status = Status::new(&device.claim, attached.link());
    let receive = (0..opened.receive_queues)
        .map(|number| Box::new(ReceiveQueue::new(&attached, number, config, device.completes)) as Box<dyn RxQueue>);
    let transmit = (0..config.workers)
        .map(|worker| Box::new(TransmitQueue::new(&attached, worker as u16, &status, config.pool)) as Box<dyn TxQueue>);
    let (receive, transmit) = (receive.collect(), transmit.collect());
    let watcher = Watcher::start(&status, &attached, Behind::of(&device.arguments), device.revives)
        .map_err(|error| refused(format!("its link cannot be watched: {error}")))?;
    Ok(Box::new(DpdkPort {
        claim: device.claim.clone(),
        device: device.arguments.clone(),
        mac,
        mtu: config.mtu.unwrap_or(opened.mtu),
        receive,
        transmit,
        status,
        _watcher: watcher,
        attached,
    }))
}

struct DpdkPort {
    claim: String,
    device: String,
    mac: MacAddr,
    mtu: u16,
    receive: Vec<Box<dyn RxQueue>>,
    transmit: Vec<Box<dyn TxQueue>>,
    status: Arc<Status>,
    _watcher: Watcher,
    attached: Arc<Attached>,
}

impl Port for DpdkPort {
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
        vec![Claim { resource: self.claim.clone(), exclusive: true }]
    }

    fn news(&self) -> Vec<String> {
        self.status.news()
    }

    fn status(&self) -> Option<Arc<dyn PortStatus>> {
        Some(Arc::clone(&self.status) as Arc<dyn PortStatus>)
    }

    fn finish(&mut self) -> Result<serde_json::Value, String> {
        let counts = self.attached.counts();
        Ok(serde_json::json!({
            "device": self.device,
            "driver": self.attached.driver(),
            "link-changes": self.status.link_changes(),
            "missed": counts.missed,
            "transmit-errors": counts.transmit_errors,
        }))
    }
}

/// The name of a socket for settings: an absolute path, without what DPDK takes for the next argument.
fn socket(path: &Path, directory: &Path) -> Result<String, ConfigError> {
    let path = directory.join(path);
    match path.to_str() {
        // `sun_path` of unix(7), with its final zero.
        Some(text) if text.len() < 108 && !text.contains([',', ' ', '"', '[', ']']) => Ok(text.to_owned()),
        _ => Err(ConfigError::at(
            "socket",
            format!("`{}`: 1 to 107 bytes without commas, white space, quotes and brackets", path.display()),
        )),
    }
}
