//! What the drivers share that attach to devices of the Linux kernel: where a device is, what becomes of it, and what its packets need.

pub(super) mod ethtool;
pub(super) mod intake;
pub(super) mod netlink;
pub(super) mod watch;

use std::io;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use swath_api::ConfigError;
use swath_core::spec::suggestion;

use netlink::{Link, Netlink};

/// The longest name of a device (`IFNAMSIZ` with its final zero).
const NAME: usize = 15;
/// The most receive queues of an interface.
const MOST_QUEUES: usize = 64;
/// How many names an error lists at most.
const LISTED: usize = 12;

/// Whether a device can have this name (`dev_valid_name` of Linux).
pub(super) fn check_name(name: &str) -> Result<(), ConfigError> {
    let wrong = name.is_empty()
        || name.len() > NAME
        || name == "."
        || name == ".."
        || name.bytes().any(|byte| matches!(byte, b'/' | b':' | b'%') || byte.is_ascii_whitespace());
    if wrong {
        let what = format!("`{name}` cannot be the name of a device: 1 to {NAME} bytes without `/`, `:`, `%` and white space");
        return Err(ConfigError::at("device", what));
    }
    Ok(())
}

/// Why there is no such device, with the name that was meant.
pub(super) fn no_device(name: &str, netlink: &mut Netlink) -> ConfigError {
    let mut known = netlink.names().unwrap_or_default();
    known.sort();
    let known: Vec<&str> = known.iter().map(String::as_str).take(LISTED).collect();
    let help = suggestion(name, "there are", &known).map_or(String::new(), |help| format!("; {help}"));
    ConfigError::at("device", format!("there is no device `{name}`{help}"))
}

/// The MTU of an interface: the graph's, if its device carries packets of that length, or the device's.
pub(super) fn mtu(asked: Option<u16>, link: &Link) -> Result<u16, ConfigError> {
    let own = u16::try_from(link.mtu).unwrap_or(u16::MAX);
    match asked {
        Some(asked) if asked > own => Err(ConfigError::at(
            "device",
            format!("`{0}` has an MTU of {own} bytes, and the graph says {asked}: `ip link set {0} mtu {asked}`", link.name),
        )),
        asked => Ok(asked.unwrap_or(own)),
    }
}

/// How many receive queues there are.
pub(super) fn queues(asked: Option<NonZeroU16>, workers: u32) -> Result<usize, ConfigError> {
    let queues = asked.map_or(workers as usize, |asked| usize::from(asked.get()));
    if asked.is_some() && queues > MOST_QUEUES {
        return Err(ConfigError::at("queues", format!("{queues} queues, but there are at most {MOST_QUEUES}")));
    }
    Ok(queues.min(MOST_QUEUES))
}

/// What went wrong beside the ledger.
#[derive(Debug, Default)]
pub(super) struct Totals {
    errors: AtomicU64,
    last: Mutex<Option<String>>,
}

impl Totals {
    /// Counts an error of sending that nobody has foreseen.
    #[cold]
    pub fn failed(&self, error: &io::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    /// Errors so far.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// What the driver reports of them.
    pub fn report(&self, device: &str, link_changes: u64) -> serde_json::Value {
        let errors = self.errors.load(Ordering::Relaxed);
        let mut report = serde_json::json!({ "device": device, "link-changes": link_changes, "transmit-errors": errors });
        if let Some(error) = &*self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            report["last-error"] = error.as_str().into();
        }
        report
    }
}
