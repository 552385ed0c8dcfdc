//! What a service manager wants to know (sd_notify(3)): that the engine is up, what it does, that it is alive, that it ends. Without a
//! manager nothing is said.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::live::Live;

/// The service manager that has started this process, if one has.
#[derive(Debug)]
pub struct Service {
    /// How often it wants to hear that all is well, and when it has heard so last.
    watchdog: Option<(Duration, Instant)>,
}

impl Service {
    /// As the environment says.
    pub fn of_environment() -> Service {
        // Twice in the time that systemd waits, as sd_watchdog_enabled(3) recommends.
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Service { watchdog: every.map(|every| (every, Instant::now())) }
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

    /// Says that all is well, if it is time to and every worker has turned since. A worker that stands still for twice as long has the
    /// manager do as its unit file says. To be called often, after [`Live::look`].
    pub fn beat(&mut self, live: &Live, now: Instant) {
        let Some((every, last)) = &mut self.watchdog else { return };
        if now.saturating_duration_since(*last) >= *every && live.stalled(now, *every).is_empty() {
            say(&[NotifyState::Watchdog]);
            *last = now;
        }
    }
}

/// A manager that does not listen is not a reason to stop.
fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(target: "swath::service", %error, "the service manager cannot be told");
    }
}
