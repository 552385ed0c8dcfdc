//! The settings of the driver.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::Deserialize;

/// An interface on a device of the Linux kernel, by packet sockets. It needs CAP_NET_RAW, and leaves the device to the kernel: other
/// programs go on using it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    /// The name of the device, as `ip link` shows it, in the network namespace of swath. It may be down, and it may vanish and return.
    pub device: String,
    /// Receive queues, 1 to 64, to which the kernel deals the packets. Default: one for each worker.
    #[schemars(range(min = 1, max = 64))]
    pub queues: Option<NonZeroU16>,
    /// How the kernel deals packets to several queues. Default: `hash`.
    #[serde(default)]
    pub fanout: Fanout,
    /// Whether packets for other MAC addresses are received, as a bridge needs them. The device is set back when swath ends, however it
    /// ends. Default: true.
    #[serde(default = "yes")]
    pub promiscuous: bool,
    /// Packets that a receive queue has room for, 16 to 8192, before the kernel drops them. Each takes 66 KiB of memory, since a host
    /// may send 64 KiB at once for the driver to cut into packets. Default: 512, which is 34 MiB a queue.
    #[serde(default = "ring")]
    #[schemars(range(min = 16, max = 8192))]
    pub ring: u32,
}

/// How the kernel deals packets to several queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fanout {
    /// By addresses and ports, both directions of a flow to the same queue.
    #[default]
    Hash,
    /// By the processor on which the packet has arrived: for devices with several hardware queues, whose interrupts are spread.
    Cpu,
}

fn yes() -> bool {
    true
}

fn ring() -> u32 {
    512
}
