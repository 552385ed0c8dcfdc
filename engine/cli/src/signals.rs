//! Signals that ask the program to end, or to read its graph again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether somebody has asked.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on SIGINT and SIGTERM ask. Who asks twice does not want to wait: that ends the program at once.
    ///
    /// # Errors
    /// The system refuses.
    pub fn on_signals() -> io::Result<Stop> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down, and raises it. A shell reports 128 + signal likewise.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Stop(asked))
    }

    /// Whether somebody has.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether somebody has asked to read the graph again.
#[derive(Debug)]
pub struct Hangup(Arc<AtomicBool>);

impl Hangup {
    /// From now on SIGHUP asks.
    ///
    /// # Errors
    /// The system refuses.
    pub fn on_signal() -> io::Result<Hangup> {
        let asked = Arc::new(AtomicBool::new(false));
        flag::register(SIGHUP, Arc::clone(&asked))?;
        Ok(Hangup(asked))
    }

    /// Whether somebody has since this was last asked.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}
