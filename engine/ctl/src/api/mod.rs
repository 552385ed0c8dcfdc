//! The control API, version 1: what runs, and commands to it, by HTTP on a unix socket, or by TCP with a token.
//!
//! `router` is the list of all resources. The OpenAPI document is made of the same list.

mod changes;
mod commands;
mod look;
mod problem;
mod revisions;
mod seen;
mod types;
mod views;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use swath_core::Registry;
use swath_core::run::Engine;
use swath_core::spec::Code;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::control::Control;
use crate::http::{Http, Serving, Stop};
use crate::live::Live;
use crate::peer::{Door, Peer, TcpDoor};
use crate::socket::Socket;
use crate::token::Token;

pub use problem::{Diagnostic, Label, PROBLEM, Problem};
pub use seen::{Becomes, ExplainOrder, Explained, Look, LookLine, Seen, TraceOrder, from_hex, to_hex};
pub use types::*;

/// The longest body of a request, in bytes: a million routes.
const LONGEST_BODY: usize = 128 << 20;

/// Serves the control API until it is dropped.
#[derive(Debug)]
pub struct ApiServer {
    // Before the socket: nobody connects to a server that does not answer any more.
    _http: Http,
    socket: Socket,
}

impl ApiServer {
    /// Answers at a socket, on a thread of its own.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(socket: Socket, control: Control, registry: Registry, live: Arc<Live>) -> io::Result<ApiServer> {
        let listener = socket.listener()?;
        let router = router().0.with_state(Api::new(control, registry, live));
        let serve = |stop: Stop| -> io::Result<Serving> {
            let door = Door(tokio::net::UnixListener::from_std(listener)?);
            let service = router.into_make_service_with_connect_info::<Peer>();
            Ok(Box::pin(axum::serve(door, service).with_graceful_shutdown(stop).into_future()))
        };
        let http = Http::start("api", serve)?;
        Ok(ApiServer { _http: http, socket })
    }

    /// Where it listens.
    pub fn path(&self) -> &std::path::Path {
        self.socket.path()
    }
}

/// Serves the control API by TCP until it is dropped, to who has the token.
#[derive(Debug)]
pub struct TcpApiServer {
    _http: Http,
    address: SocketAddr,
}

impl TcpApiServer {
    /// Answers at an address of this machine itself, on a thread of its own. What goes to others is not encrypted here, so that a token would not be
    /// one for long.
    ///
    /// # Errors
    /// The address is not of the loopback interface, or in use; or the system has no thread left.
    pub fn start(
        address: SocketAddr,
        token: Token,
        control: Control,
        registry: Registry,
        live: Arc<Live>,
    ) -> io::Result<TcpApiServer> {
        if !address.ip().is_loopback() {
            let why = "only addresses of this machine itself (127.0.0.1, ::1), since the token is not encrypted: \
                       others come by ssh, or by a proxy that speaks TLS";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let router = router().0.with_state(Api::new(control, registry, live));
        let router = router.layer(from_fn_with_state(token, only_with_token));
        let serve = |stop: Stop| -> io::Result<Serving> {
            let door = TcpDoor(tokio::net::TcpListener::from_std(listener)?);
            let service = router.into_make_service_with_connect_info::<Peer>();
            Ok(Box::pin(axum::serve(door, service).with_graceful_shutdown(stop).into_future()))
        };
        Ok(TcpApiServer { _http: Http::start("api-tcp", serve)?, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Refuses requests without the token (RFC 6750 §3), before anything of them is looked at.
async fn only_with_token(State(token): State<Token>, peer: Peer, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION);
    if header.is_some_and(|header| token.is_in(header.as_bytes())) {
        return next.run(request).await;
    }
    let (why, challenge) = match header {
        None => ("a token is needed: `Authorization: Bearer TOKEN`", "Bearer"),
        Some(_) => ("this is not the token", "Bearer error=\"invalid_token\""),
    };
    tracing::warn!(target: "swath::api", %peer, "refused: {why}");
    ([(WWW_AUTHENTICATE, challenge)], Problem::plain(StatusCode::UNAUTHORIZED, why)).into_response()
}

/// What requests are answered from.
#[derive(Debug, Clone)]
struct Api {
    control: Control,
    registry: Registry,
    live: Arc<Live>,
    started: (SystemTime, Instant),
}

impl Api {
    fn new(control: Control, registry: Registry, live: Arc<Live>) -> Api {
        Api { control, registry, live, started: (SystemTime::now(), Instant::now()) }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Swath",
        description = "What a running `swath` does, and commands to it. Every change is one transaction, done between others by one \
            thread. Refusals are problem details (RFC 9457). New members may come with any version of swath; what is there stays as it is."
    ),
    servers(
        (url = "http://localhost", description = "The unix socket of an engine"),
        (url = "http://127.0.0.1:{port}", description = "By TCP, with a token", variables(("port" = (default = "9475"))))
    ),
    components(schemas(Problem, seen::LookLine))
)]
struct Document;

/// All resources, and the document that describes them.
fn router() -> (Router<Api>, utoipa::openapi::OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(process))
        .routes(routes!(openapi))
        .routes(routes!(config))
        .routes(routes!(changes::plan))
        .routes(routes!(changes::apply))
        .routes(routes!(changes::confirm))
        .routes(routes!(changes::rollback))
        .routes(routes!(revisions::list))
        .routes(routes!(revisions::one))
        .routes(routes!(revisions::changes))
        .routes(routes!(interfaces))
        .routes(routes!(interface, change_interface))
        .routes(routes!(tables))
        .routes(routes!(table))
        .routes(routes!(commands::commands))
        .routes(routes!(nodes))
        .routes(routes!(node))
        .routes(routes!(runtime))
        .routes(routes!(drops))
        .routes(routes!(drop_samples))
        .routes(routes!(look::dropped))
        .routes(routes!(look::tap))
        .routes(routes!(look::trace))
        .routes(routes!(look::explain))
        .split_for_parts();
    describe(&mut document);
    let router = router.fallback(nothing_there).method_not_allowed_fallback(not_so).layer(DefaultBodyLimit::max(LONGEST_BODY));
    (router, document)
}

/// Every response has a description: where there is nothing to add, that of its status.
fn describe(document: &mut utoipa::openapi::OpenApi) {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("By TCP; the socket needs none.")).build();
    document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    document.security = Some(vec![SecurityRequirement::default(), SecurityRequirement::new("token", Vec::<String>::new())]);
    let operations = document.paths.paths.values_mut().flat_map(|path| [&mut path.get, &mut path.patch, &mut path.post]);
    for (status, response) in operations.flatten().flat_map(|operation| &mut operation.responses.responses) {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let status = StatusCode::from_bytes(status.as_bytes()).ok();
            response.description = status.and_then(|status| status.canonical_reason()).unwrap_or_default().into();
        }
    }
}

/// The OpenAPI document of the control API, as JSON.
pub fn document() -> String {
    router().1.to_pretty_json().unwrap_or_default() + "\n"
}

async fn nothing_there(uri: Uri) -> Problem {
    Problem::plain(StatusCode::NOT_FOUND, format!("there is no `{}`; /v1/openapi.json lists what there is", uri.path()))
}

async fn not_so(method: Method, uri: Uri) -> Problem {
    Problem::plain(StatusCode::METHOD_NOT_ALLOWED, format!("`{}` does not take {method}", uri.path()))
}

impl Api {
    /// What a function sees in the engine.
    async fn look<T: Send + 'static>(&self, look: impl FnOnce(&Engine) -> T + Send + 'static) -> Result<Json<T>, Problem> {
        Ok(Json(self.control.ask(move |desk| look(&desk.running.engine)).await?))
    }
}

/// The body of a request.
struct Text(String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Text, Problem> {
        let body = String::from_request(request, state).await;
        body.map(Text).map_err(|refused| Problem::plain(refused.status(), refused.body_text()))
    }
}

/// The revisions that a client allows to be changed; `None` for any.
struct Allowed(Option<String>);

impl<S: Sync> FromRequestParts<S> for Allowed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Allowed, Problem> {
        let Some(value) = parts.headers.get(IF_MATCH) else { return Ok(Allowed(None)) };
        let tags = value.to_str().map_err(|_| Problem::malformed("`If-Match` is not text"))?;
        Ok(Allowed(Some(tags.into()).filter(|tags| tags != "*")))
    }
}

impl Allowed {
    /// Refuses another revision.
    fn check(&self, revision: u64) -> Result<(), Problem> {
        let is_allowed = self.0.as_ref().is_none_or(|tags| lists(tags, revision));
        if is_allowed { Ok(()) } else { Err(Problem::changed(revision)) }
    }
}

/// The entity tag of a revision (RFC 9110 §8.8.3).
fn tag(revision: u64) -> String {
    format!("\"{revision}\"")
}

fn lists(tags: &str, revision: u64) -> bool {
    tags.split(',').any(|listed| listed.trim() == tag(revision))
}

/// The process, and whether it is well.
#[utoipa::path(get, path = "/v1", responses((status = 200, body = Process), (status = 503, body = Problem, content_type = PROBLEM)))]
async fn process(State(api): State<Api>) -> Result<Json<Process>, Problem> {
    let Api { control, live, started: (started, start), .. } = api;
    let ready = live.ready();
    let process = control.ask(move |desk| {
        let (engine, plan) = (&desk.running.engine, desk.running.engine.plan());
        Process {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started: started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            uptime: start.elapsed().as_secs_f64(),
            graph: desk.running.graph.clone(),
            revision: desk.running.revision(),
            ready: ready.is_ok(),
            not_ready: ready.err(),
            workers: engine.counters().len() as u32,
            nodes: plan.nodes.len(),
            interfaces: plan.interfaces.len(),
            tables: plan.tables.len(),
        }
    });
    Ok(Json(process.await?))
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document())
}

/// The text of the graph that runs. Its entity tag is the revision, which other requests may name in `If-Match`.
#[utoipa::path(
    get,
    path = "/v1/config",
    responses(
        (status = 200, body = Config, headers(("ETag" = String, description = "The revision, in quotation marks"))),
        (status = 304, description = "The client has it, as `If-None-Match` says"),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
async fn config(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
    let found = api.control.ask(move |desk| {
        let revision = desk.running.revision();
        if known == "*" || lists(&known, revision) { Err(revision) } else { Ok(desk.running.config()) }
    });
    let mut response = match found.await? {
        Ok(config) => (tag(config.revision), Json(config).into_response()),
        Err(revision) => (tag(revision), StatusCode::NOT_MODIFIED.into_response()),
    };
    if let Ok(value) = HeaderValue::from_str(&response.0) {
        response.1.headers_mut().insert(ETAG, value);
    }
    Ok(response.1)
}

/// All interfaces.
#[utoipa::path(
    get,
    path = "/v1/interfaces",
    responses((status = 200, body = Vec<Interface>), (status = 503, body = Problem, content_type = PROBLEM))
)]
async fn interfaces(State(api): State<Api>) -> Result<Json<Vec<Interface>>, Problem> {
    api.look(views::interfaces).await
}

/// One of several things, by its name.
fn named<T>(all: Vec<T>, what: &str, name: &str, of: impl Fn(&T) -> &str, code: Code) -> Result<T, Problem> {
    match all.iter().position(|one| of(one) == name) {
        Some(index) => Ok(all.into_iter().nth(index).unwrap_or_else(|| unreachable!("it was found there"))),
        None => Err(Problem::unknown(what, name, &all.iter().map(of).collect::<Vec<_>>(), code)),
    }
}

/// An interface.
#[utoipa::path(
    get,
    path = "/v1/interfaces/{name}",
    params(("name" = String, Path, description = "Its name in the graph")),
    responses(
        (status = 200, body = Interface),
        (status = 404, body = Problem, content_type = PROBLEM),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
async fn interface(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Interface>, Problem> {
    let Json(all) = api.look(views::interfaces).await?;
    named(all, "interface", &name, |interface| &interface.name, Code::UnknownInterface).map(Json)
}

/// Switches an interface on or off. While it is off, no route leads there; what it receives is processed as before.
#[utoipa::path(
    patch,
    path = "/v1/interfaces/{name}",
    params(
        ("name" = String, Path, description = "Its name in the graph"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision runs: the entity tag of `/v1/config`"),
    ),
    request_body = InterfaceChange,
    responses(
        (status = 200, body = Interface),
        (status = 400, body = Problem, content_type = PROBLEM),
        (status = 404, body = Problem, content_type = PROBLEM),
        (status = 412, body = Problem, content_type = PROBLEM),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
async fn change_interface(
    State(api): State<Api>,
    Path(name): Path<String>,
    peer: Peer,
    allowed: Allowed,
    Text(body): Text,
) -> Result<Json<Interface>, Problem> {
    let change: InterfaceChange = serde_json::from_str(&body).map_err(|error| Problem::malformed(error.to_string()))?;
    let changed = api.control.ask(move |desk| {
        allowed.check(desk.running.revision())?;
        let before =
            named(views::interfaces(&desk.running.engine), "interface", &name, |known| &known.name, Code::UnknownInterface)?;
        let up = change.admin == Admin::Up;
        desk.running.engine.set_admin(&name, up).map_err(|error| Problem::refused(&error, None))?;
        tracing::info!(target: "swath::interface", interface = name, up, %peer, "switched by the control API");
        Ok(Interface { admin: change.admin, ..before })
    });
    changed.await?.map(Json)
}

/// All tables.
#[utoipa::path(
    get,
    path = "/v1/tables",
    responses((status = 200, body = Vec<Table>), (status = 503, body = Problem, content_type = PROBLEM))
)]
async fn tables(State(api): State<Api>) -> Result<Json<Vec<Table>>, Problem> {
    api.look(views::tables).await
}

/// A table.
#[utoipa::path(
    get,
    path = "/v1/tables/{name}",
    params(("name" = String, Path, description = "Its name in the graph")),
    responses(
        (status = 200, body = Table),
        (status = 404, body = Problem, content_type = PROBLEM),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
async fn table(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Table>, Problem> {
    let Json(all) = api.look(views::tables).await?;
    named(all, "table", &name, |table| &table.name, Code::UnknownTable).map(Json)
}

/// All nodes, in the order in which packets meet them.
#[utoipa::path(
    get,
    path = "/v1/nodes",
    responses((status = 200, body = Vec<Node>), (status = 503, body = Problem, content_type = PROBLEM))
)]
async fn nodes(State(api): State<Api>) -> Result<Json<Vec<Node>>, Problem> {
    api.look(views::nodes).await
}

/// A node. A `/` in its name is written as `%2F`.
#[utoipa::path(
    get,
    path = "/v1/nodes/{name}",
    params(("name" = String, Path, description = "Its name in the graph")),
    responses(
        (status = 200, body = Node),
        (status = 404, body = Problem, content_type = PROBLEM),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
async fn node(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Node>, Problem> {
    let Json(all) = api.look(views::nodes).await?;
    named(all, "node", &name, |node| &node.name, Code::UnknownNode).map(Json)
}

/// How the workers spend their time, and where packets and buffers are.
#[utoipa::path(
    get,
    path = "/v1/runtime",
    responses((status = 200, body = Runtime), (status = 503, body = Problem, content_type = PROBLEM))
)]
async fn runtime(State(api): State<Api>) -> Result<Json<Runtime>, Problem> {
    api.look(views::runtime).await
}

/// Why packets were dropped: each node and reason that has occurred.
#[utoipa::path(
    get,
    path = "/v1/drops",
    responses((status = 200, body = Vec<Drops>), (status = 503, body = Problem, content_type = PROBLEM))
)]
async fn drops(State(api): State<Api>) -> Result<Json<Vec<Drops>>, Problem> {
    api.look(views::drops).await
}

/// The last packets that were dropped, of each node and reason: at most 16, sampled at most a hundred times a second on each worker.
#[utoipa::path(
    get,
    path = "/v1/drops/samples",
    responses((status = 200, body = Vec<Seen>), (status = 503, body = Problem, content_type = PROBLEM))
)]
async fn drop_samples(State(api): State<Api>) -> Result<Json<Vec<Seen>>, Problem> {
    api.look(views::drop_samples).await
}
