//! Metrics and health by HTTP, on a thread of their own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::http::{Http, Serving, Stop};
use crate::live::Live;
use crate::sheet::Format;
use crate::{clock, events};

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
    _http: Http,
}

impl Server {
    /// Listens, and answers on a thread of its own.
    ///
    /// # Errors
    /// The address is not one of this machine, or in use; or the system has no thread left.
    pub fn start(address: SocketAddr, live: Arc<Live>) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let serve = move |stop: Stop| -> io::Result<Serving> {
            // Before the first scrape: it takes a moment.
            clock::tsc_per_second();
            events::handle();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            Ok(Box::pin(axum::serve(listener, router(live)).with_graceful_shutdown(stop).into_future()))
        };
        Ok(Server { address, _http: Http::start("metrics", serve)? })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn router(live: Arc<Live>) -> Router {
    Router::new()
        .route("/", get(async || INDEX))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(live)
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
