//! The settings of the driver.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::Deserialize;

use super::capture::Capture;

/// An interface on a device of the Linux kernel, by AF_XDP sockets. It needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON. What it does not
/// capture, the kernel keeps; when swath ends, however it ends, the kernel has everything again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    /// The name of the device, as `ip link` shows it, in the network namespace of swath. It may be down, and it may vanish and return.
    pub device: String,
    /// Receive queues of the device to take packets from, 1 to 64, beginning with the first; what arrives on others stays with the
    /// kernel. Default: all of them.
    #[schemars(range(min = 1, max = 64))]
    pub queues: Option<NonZeroU16>,
    /// What is taken from the kernel. Default: `all`.
    #[serde(default)]
    pub capture: Capture,
    /// Takes a device by which this machine is reached: the one of the default route, or of the SSH session that swath is started in.
    /// Default: false.
    #[serde(default)]
    pub force: bool,
    /// Where packets are taken: in the device's driver, or behind it. Default: `auto`.
    #[serde(default)]
    pub xdp: Xdp,
    /// Whether the device may read and write packet memory itself, where it can and the memory is on huge pages. Default: true.
    #[serde(default = "yes")]
    pub zero_copy: bool,
    /// What is done about checksums that the sender has left to a network card, of which AF_XDP does not tell. Default: `complete` on
    /// devices that are made of software, such as a veth or a tap; `trust` on others.
    pub checksum: Option<Checksum>,
    /// Whether packets for other MAC addresses are received, as a bridge needs them. The device is set back when swath ends, however it
    /// ends. Default: true.
    #[serde(default = "yes")]
    pub promiscuous: bool,
    /// Packets that each ring of a queue has room for: a power of two from 64 to 8192. As many buffers of the pool wait for packets of
    /// each queue, but of all queues of the interface no more than a quarter of the pool. Default: 2048.
    #[serde(default = "ring")]
    #[schemars(range(min = 64, max = 8192))]
    pub ring: u32,
}

/// Where packets are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Xdp {
    /// In the device's driver if it can, else behind it.
    #[default]
    Auto,
    /// In the device's driver; refused if it cannot.
    Native,
    /// Behind the driver, from the kernel's own packet buffers: any driver can, and it is slower.
    Generic,
}

/// What is done about checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Checksum {
    /// A TCP or UDP checksum that is no more than the sum of the pseudo header is completed.
    Complete,
    /// Packets are taken as they are.
    Trust,
}

fn yes() -> bool {
    true
}

fn ring() -> u32 {
    2048
}
