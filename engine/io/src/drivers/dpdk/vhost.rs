//! `vhost-user`: the network card of a virtual machine, or of a container with a driver of virtio (`virtio-user`).
//!
//! ```yaml
//! interfaces:
//!   vm1: { driver: vhost-user, socket: /run/swath/vm1.sock }
//! ```
//!
//! QEMU: `-chardev socket,id=c,path=/run/swath/vm1.sock -netdev vhost-user,id=n,chardev=c -device virtio-net-pci,netdev=n`, with memory that is shared
//! (`-object memory-backend-memfd,share=on,...`). The guest may come, go and come back: the link is up while its driver is.
//! It is the device `eth_vhost` of [`dpdk`](super), and needs what that needs.

use std::num::NonZeroU16;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use swath_api::ConfigError;
use swath_core::driver::{DriverKind, PortConfig};

use super::{Device, socket};

/// The driver.
pub const KIND: DriverKind = DriverKind {
    name: "vhost-user",
    summary: "The network card of a virtual machine, or of whatever else speaks virtio.",
    schema: crate::drivers::schema::<Settings>,
    example: include_str!("../../../examples/vhost-user.yaml"),
    paths: &["socket"],
    check: |config| crate::drivers::settings::<Settings>(config.settings)?.arguments(config).map(drop),
    open: |config| {
        let settings: Settings = crate::drivers::settings(config.settings)?;
        let socket = socket(&settings.socket, config.directory)?;
        let device = Device {
            setting: "socket",
            claim: format!("the socket `{socket}`"),
            arguments: settings.arguments(config)?,
            queues: Some(settings.queues()),
            descriptors: [None; 2],
            promiscuous: true,
            eal: &settings.eal,
            completes: true,
            revives: false,
        };
        super::open(config, &device)
    },
};

/// The network card of a virtual machine, by shared memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// The path of the unix socket, relative to the file of the graph: up to 107 bytes.
    socket: PathBuf,
    /// Which side this is: the server makes the socket, and QEMU connects to it. Default: `server`.
    #[serde(default)]
    role: Role,
    /// Queues each way, 1 to 64. Default: 1.
    #[schemars(range(min = 1, max = 64))]
    queues: Option<NonZeroU16>,
    /// Arguments of DPDK's environment, as of driver `dpdk`.
    #[serde(default)]
    eal: Vec<String>,
}

/// A side.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Role {
    /// Makes the socket, and waits.
    #[default]
    Server,
    /// Connects to the socket, which QEMU makes with `server=on`, again and again.
    Client,
}

impl Settings {
    fn queues(&self) -> NonZeroU16 {
        self.queues.unwrap_or(NonZeroU16::MIN)
    }

    /// The arguments of DPDK's device, whose name is that of the interface.
    fn arguments(&self, config: &PortConfig<'_>) -> Result<String, ConfigError> {
        let socket = socket(&self.socket, config.directory)?;
        if self.queues().get() > 64 {
            return Err(ConfigError::at("queues", "there are at most 64"));
        }
        let client = match self.role {
            Role::Server => 0,
            Role::Client => 1,
        };
        // Without segmentation: a packet of swath is one of the wire.
        Ok(format!("eth_vhost{},iface={socket},queues={},client={client},tso=0", config.index, self.queues()))
    }
}
