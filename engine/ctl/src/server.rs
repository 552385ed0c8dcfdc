//! Metrics and health by HTTP, on a thread of their own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use swath_core::privileges::{self, CapabilitySet};
use tokio::runtime;
use tokio::sync::watch;

use crate::live::Live;
use crate::sheet::Format;
use crate::{clock, events};

/// How long answers that are under way may take in the end.
const PATIENCE: Duration = Duration::from_secs(1);

const INDEX: &str = "\
swath
  /metrics  what there is to see, for Prometheus
  /readyz   200 if packets should be sent here, else 503 and why not
  /livez    200 while the process lives; as /healthz
";

/// Answers requests until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, and answers on a thread of its own, by an executor of one thread: it competes with workers for a core, and never
    /// takes more than one.
    ///
    /// # Errors
    /// The address is not one of this machine, or in use; or the system has no thread left.
    pub fn start(address: SocketAddr, live: Arc<Live>) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = watch::channel(false);
        let body = move || {
            // Strangers talk to it.
            if let Err(error) = privileges::keep(CapabilitySet::empty()) {
                tracing::warn!(target: "swath::http", %error, "metrics are served with privileges");
            }
            // Before the first scrape: it takes a moment.
            clock::tsc_per_second();
            events::handle();
            runtime.block_on(serve(listener, live, stopped));
        };
        let thread = std::thread::Builder::new().name("control".into()).spawn(body)?;
        Ok(Server { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, live: Arc<Live>, stopped: watch::Receiver<bool>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(target: "swath::http", %error, "metrics cannot be served"),
    };
    let router = Router::new()
        .route("/", get(async || INDEX))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(live);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(until(stopped.clone()));
    let serving = tokio::spawn(serving.into_future());
    until(stopped).await;
    // Who reads slowly is left.
    let _ = tokio::time::timeout(PATIENCE, serving).await;
}

async fn metrics(State(live): State<Arc<Live>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
    let format = Format::of(&accept);
    ([(CONTENT_TYPE, format.content_type())], live.metrics(format))
}

async fn ready(State(live): State<Arc<Live>>) -> impl IntoResponse {
    match live.ready() {
        Ok(()) => (StatusCode::OK, "ready\n".to_string()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}
