//! A thread that serves HTTP, by an executor of one thread: it competes with workers for a core, and never takes more than one.

use std::fmt::Debug;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use swath_core::privileges::{self, CapabilitySet};
use tokio::runtime;
use tokio::sync::watch;

/// How long answers that are under way may take in the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers requests until it is dropped.
#[derive(Debug)]
pub struct Http {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    /// Serves what comes by a listener, which is made on the thread of this name.
    pub fn start<L>(name: &str, listener: impl FnOnce() -> io::Result<L> + Send + 'static, router: Router) -> io::Result<Http>
    where
        L: Listener,
        L::Addr: Debug,
    {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = watch::channel(false);
        let body = move || {
            // Strangers talk to it.
            if let Err(error) = privileges::keep(CapabilitySet::empty()) {
                tracing::warn!(target: "swath::http", %error, "HTTP is served with privileges");
            }
            runtime.block_on(serve(listener, router, stopped));
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(body)?;
        Ok(Http { stop, thread: Some(thread) })
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve<L>(listener: impl FnOnce() -> io::Result<L>, router: Router, stopped: watch::Receiver<bool>)
where
    L: Listener,
    L::Addr: Debug,
{
    let listener = match listener() {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(target: "swath::http", %error, "HTTP cannot be served"),
    };
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(until(stopped.clone()));
    let serving = tokio::spawn(serving.into_future());
    until(stopped).await;
    // Who reads slowly is left.
    let _ = tokio::time::timeout(PATIENCE, serving).await;
}
