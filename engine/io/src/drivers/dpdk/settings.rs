//! The settings of the driver.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::Deserialize;
use swath_api::ConfigError;

/// Drivers of DPDK for devices of the same kernel, whose hosts leave checksums to the receiver.
const LOCAL: [&str; 3] = ["net_af_packet", "net_af_xdp", "net_tap"];

/// An interface on a device of DPDK.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    /// A PCI address (`0000:03:00.0`), which must be bound to vfio-pci unless its driver shares it with the kernel; or a virtual device with its
    /// arguments, as DPDK's `--vdev` takes them: `net_af_packet0,iface=eth1`, `net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap`, `net_tap0`.
    pub device: String,
    /// Receive queues, 1 to 64, to which the device deals packets by flow, both directions alike. Default: one for each worker, or as many as the
    /// device has.
    #[schemars(range(min = 1, max = 64))]
    pub queues: Option<NonZeroU16>,
    /// Descriptors of each receive queue. Default: what the device's driver likes.
    pub receive_descriptors: Option<NonZeroU16>,
    /// Descriptors of each transmit queue. Default: what the device's driver likes.
    pub transmit_descriptors: Option<NonZeroU16>,
    /// Whether packets for other MAC addresses are received, as a bridge needs them. Default: true.
    #[serde(default = "yes")]
    pub promiscuous: bool,
    /// Whether checksums that the sender has left to the device are completed. Default: `complete` for devices of the same kernel (`net_af_packet`,
    /// `net_af_xdp`, `net_tap`), `trust` for others.
    pub checksum: Option<Checksum>,
    /// Arguments of DPDK's environment, beside those that swath gives it: `[--log-level=debug]`. They are those of the process: all interfaces
    /// have the same, and they change with the next start only. Default: none.
    #[serde(default)]
    pub eal: Vec<String>,
}

/// What is done about checksums of packets that come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Checksum {
    /// A checksum of TCP or UDP that is that of the pseudo-header alone is completed.
    Complete,
    /// They are what they are.
    Trust,
}

impl Settings {
    /// The name of the device, without its arguments.
    pub fn name(&self) -> &str {
        self.device.split(',').next().unwrap_or_default()
    }

    /// What DPDK is to probe.
    pub fn device(&self) -> Result<String, ConfigError> {
        let name = self.name();
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte));
        if !is_name || self.device.contains('\0') {
            let what = format!("`{name}` is no device of DPDK: a PCI address, or the name of a virtual device and its arguments");
            return Err(ConfigError::at("device", what));
        }
        if name.starts_with("net_virtio_user") || name.starts_with("virtio_user") {
            let what = "virtio_user can send packets from DPDK's own memory alone: let the other end be `virtio_user`, and this `vhost-user`";
            return Err(ConfigError::at("device", what));
        }
        if self.queues.is_some_and(|queues| queues.get() > 64) {
            return Err(ConfigError::at("queues", "there are at most 64"));
        }
        Ok(self.device.clone())
    }

    /// Whether checksums are completed.
    pub fn completes(&self) -> bool {
        match self.checksum {
            Some(checksum) => checksum == Checksum::Complete,
            None => LOCAL.iter().any(|driver| self.name().starts_with(driver)),
        }
    }
}

fn yes() -> bool {
    true
}
