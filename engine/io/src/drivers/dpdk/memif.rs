//! `memif`: packets through memory that two processes share, as VPP has it: to another swath, to VPP, to a container.
//!
//! ```yaml
//! interfaces:
//!   peer: { driver: memif, socket: /run/swath/peer.sock, role: server }
//! ```
//!
//! One side is the server, which makes the socket, the other the client. Either may come first, and come back: the link is up while both are there.
//! It is the device `net_memif` of [`dpdk`](super), and needs what that needs.

use std::num::{NonZeroU8, NonZeroU16};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use swath_api::ConfigError;
use swath_core::driver::{DriverKind, PortConfig};

use super::{Device, socket};

/// The driver.
pub const KIND: DriverKind = DriverKind {
    name: "memif",
    summary: "Shared memory to another process on this machine: another swath, VPP, a container.",
    schema: crate::drivers::schema::<Settings>,
    example: include_str!("../../../examples/memif.yaml"),
    paths: &["socket"],
    check: |config| crate::drivers::settings::<Settings>(config.settings)?.arguments(config).map(drop),
    open: |config| {
        let settings: Settings = crate::drivers::settings(config.settings)?;
        let socket = socket(&settings.socket, config.directory)?;
        let device = Device {
            setting: "socket",
            claim: format!("the memif {} at `{socket}`", settings.id),
            arguments: settings.arguments(config)?,
            queues: Some(settings.queues()),
            descriptors: [None; 2],
            promiscuous: true,
            eal: &settings.eal,
            completes: false,
            revives: matches!(settings.role, Role::Client),
        };
        super::open(config, &device)
    },
};

/// An interface to another process, by shared memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// The path of the unix socket at which both find each other, relative to the file of the graph: up to 107 bytes.
    socket: PathBuf,
    /// Which side this is: the server makes the socket. Default: `server`.
    #[serde(default)]
    role: Role,
    /// The number of the interface, of several at one socket: the same on both sides. Default: 0.
    #[serde(default)]
    id: u32,
    /// Queues each way, 1 to 64: the same on both sides. Default: 1.
    #[schemars(range(min = 1, max = 64))]
    queues: Option<NonZeroU16>,
    /// Packets that a ring has room for, as a power of two, 1 to 14. Default: 10, which is 1024.
    #[schemars(range(min = 1, max = 14))]
    ring_size: Option<NonZeroU8>,
    /// What both sides have to know. Default: nothing.
    secret: Option<String>,
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
    /// Connects to the socket, again and again.
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
        let ring = self.ring_size.map_or(10, NonZeroU8::get);
        if ring > 14 {
            return Err(ConfigError::at("ring-size", format!("2^{ring} packets, but a ring has room for 2^14 at most")));
        }
        let role = match self.role {
            Role::Server => "server",
            Role::Client => "client",
        };
        let mut arguments =
            format!("net_memif{},role={role},id={},socket={socket},socket-abstract=no,rsize={ring}", config.index, self.id);
        if let Some(secret) = &self.secret {
            if secret.is_empty() || secret.len() > 23 || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(ConfigError::at("secret", "1 to 23 letters and digits"));
            }
            arguments += &format!(",secret={secret}");
        }
        Ok(arguments)
    }
}
