//! The settings of the driver.

use std::net::IpAddr;
use std::num::NonZeroU16;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use swath_api::wire::MacAddr;

/// An interface whose other end is a device of the Linux kernel (tap). It needs /dev/net/tun and CAP_NET_ADMIN.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    /// The name of the kernel's device. One that does not exist is made, and is gone when swath ends, however it ends. One that exists
    /// must be a tap that nobody is attached to, and is left as it is.
    pub device: String,
    /// Queues, 1 to 64, to which the kernel deals the flows. Default: one for each worker.
    #[schemars(range(min = 1, max = 64))]
    pub queues: Option<NonZeroU16>,
    /// Whether a device that is made is set up. Default: true.
    #[serde(default = "yes")]
    pub up: bool,
    /// Addresses of a device that is made, such as `192.168.1.10/24`: those of the host, not of the interface. Default: none.
    #[serde(default)]
    pub kernel_addresses: Vec<Address>,
    /// The MAC address of a device that is made: that of the host, not of the interface. Default: the kernel chooses one by chance.
    #[schemars(with = "Option<String>")]
    pub kernel_mac: Option<MacAddr>,
}

impl Settings {
    /// A setting that is only for a device that is made, if there is one.
    pub fn for_a_new_device(&self) -> Option<&'static str> {
        if !self.kernel_addresses.is_empty() {
            return Some("kernel-addresses");
        }
        self.kernel_mac.map(|_| "kernel-mac")
    }
}

fn yes() -> bool {
    true
}

/// An address with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Address {
    pub address: IpAddr,
    pub prefix_len: u8,
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        let parsed = text.split_once('/').and_then(|(address, len)| Some((address.parse().ok()?, len.parse().ok()?)));
        match parsed {
            Some((address @ IpAddr::V4(_), prefix_len @ 0..=32)) | Some((address @ IpAddr::V6(_), prefix_len @ 0..=128)) => {
                Ok(Address { address, prefix_len })
            }
            _ => Err(format!("`{text}` is not an address with the length of its prefix, such as `192.168.1.10/24`")),
        }
    }
}

impl JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "An address with the length of its prefix, such as `192.168.1.10/24`." })
    }
}
