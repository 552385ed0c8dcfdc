//! What a service manager wants to know (sd_notify(3)): that the engine is up, what it does, that it is alive, that it ends. Without a
//! manager nothing is said.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

/// How long a manager that does not read may hold who tells it something: there is more to do.
const PATIENCE: Duration = Duration::from_millis(20);

/// The service manager that has started this process, if one has.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// How often it wants to hear that all is well.
    beats_each: Option<Duration>,
}

impl Service {
    /// As the environment says.
    pub fn of_environment() -> Service {
        // sd_watchdog_enabled(3) recommends every half of the time that systemd waits; a third is twice in it, even if one comes late.
        Service { beats_each: sd_notify::watchdog_enabled().map(|limit| limit / 3) }
    }

    /// The engine is up: interfaces are attached, and workers run.
    pub fn ready(&self) {
        say(&[NotifyState::Ready]);
    }

    /// What it does, in a line.
    pub fn status(&self, line: &str) {
        say(&[NotifyState::Status(line)]);
    }

    /// It has been asked to end.
    pub fn stopping(&self) {
        say(&[NotifyState::Stopping]);
    }

    /// How often it wants to hear that all is well; `None` if it does not ask.
    pub fn beats_each(&self) -> Option<Duration> {
        self.beats_each
    }

    /// All is well.
    pub fn beat(&self) {
        say(&[NotifyState::Watchdog]);
    }
}

/// A manager that does not listen is not a reason to stop.
fn say(state: &[NotifyState<'_>]) {
    let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else { return };
    let mut message = String::new();
    state.iter().for_each(|state| _ = writeln!(message, "{state}"));
    if let Err(error) = send(&address, &message) {
        tracing::warn!(target: "swath::service", %error, "the service manager cannot be told");
    }
}

/// `sd_notify::notify` knows no abstract names, which begin with `@`, and waits for as long as the manager does not read.
fn send(address: &OsStr, message: &str) -> io::Result<()> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}
