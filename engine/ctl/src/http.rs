//! A thread that serves HTTP, by an executor of one thread: it competes with workers for a core, and never takes more than one.

use std::io;
use std::pin::Pin;
use std::thread::JoinHandle;
use std::time::Duration;

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

/// What ends when it is to be served no more.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Answers requests until [`Stop`].
pub type Serving = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

impl Http {
    /// Serves on a thread of this name what `serve` says, which is called there.
    pub fn start(name: &str, serve: impl FnOnce(Stop) -> io::Result<Serving> + Send + 'static) -> io::Result<Http> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = watch::channel(false);
        let body = move || {
            // Strangers talk to it.
            if let Err(error) = privileges::keep(CapabilitySet::empty()) {
                tracing::warn!(target: "swath::http", %error, "HTTP is served with privileges");
            }
            runtime.block_on(answer(serve, stopped));
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

async fn answer(serve: impl FnOnce(Stop) -> io::Result<Serving>, stopped: watch::Receiver<bool>) {
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let serving = match serve(Box::pin(until(stopped.clone()))) {
        Ok(serving) => tokio::spawn(serving),
        Err(error) => return tracing::error!(target: "swath::http", %error, "HTTP cannot be served"),
    };
    until(stopped).await;
    // Who reads slowly is left.
    let _ = tokio::time::timeout(PATIENCE, serving).await;
}
