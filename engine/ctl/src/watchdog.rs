//! Who looks whether the engine is alive: a thread that does nothing else, so that a graph which takes long to make, or a client's request, is
//! not in the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use swath_core::privileges::{self, CapabilitySet};

use crate::live::Live;
use crate::service::Service;

/// How often it looks at least.
const LOOK: Duration = Duration::from_millis(100);
/// How often it looks before the service manager is to hear of it again.
const LOOKS: u32 = 5;

/// Looks until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Sees each worker turn, for whoever asks [`Live`], and tells the service manager that all is well: each third of the time that it waits,
    /// if every worker has turned since and the control thread does not [hang](Live::hangs). Once one stands still the manager hears nothing
    /// more, and does as its unit file says.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn start(live: Arc<Live>, service: Service) -> std::io::Result<Watchdog> {
        let stop = Arc::new(AtomicBool::new(false));
        let watch = {
            let stop = Arc::clone(&stop);
            move || {
                if let Err(error) = privileges::keep(CapabilitySet::empty()) {
                    tracing::warn!(target: "swath::service", %error, "the watchdog has privileges");
                }
                watch(&live, &service, &stop);
            }
        };
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(watch)?;
        Ok(Watchdog { stop, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot panic, and if it could there were nothing to be done here.
            let _ = thread.join();
        }
    }
}

fn watch(live: &Live, service: &Service, stop: &AtomicBool) {
    let every = service.beats_each();
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        live.look(now);
        if let Some(every) = every
            && now.saturating_duration_since(last) >= every
            && live.stalled(now, every).is_empty()
            && !live.hangs(now)
        {
            service.beat();
            last = now;
        }
        std::thread::park_timeout(every.map_or(LOOK, |every| LOOK.min(every / LOOKS)));
    }
}
