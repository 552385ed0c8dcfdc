//! A client of the control API: HTTP over a unix socket, or over TCP with a token, for programs that wait for each answer.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, IF_MATCH};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{self, Runtime};

use crate::api::Problem;
use crate::token::Token;

/// Longer than any answer takes, but those to graphs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than it takes to make a graph of the largest tables, and to wait for a worker that does not go over to it.
const PATIENCE_WITH_GRAPHS: Duration = Duration::from_secs(600);
/// How often who takes lines is called while there are none.
const LINES: Duration = Duration::from_millis(100);

/// A connection to an engine.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
    path: PathBuf,
    host: String,
    token: Option<Token>,
}

/// Where a control API is served by TCP: `http://127.0.0.1:9475`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerUrl, String> {
        let authority = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let parts = authority.and_then(|authority| authority.rsplit_once(':'));
        match parts {
            Some((host, port)) if !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok() => {
                Ok(ServerUrl(format!("{host}:{port}")))
            }
            _ => Err("expected `http://HOST:PORT`".into()),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// Why there is no answer, or none to use.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens there, or nobody who may be asked.
    Connect(PathBuf, io::Error),
    /// The connection has failed.
    Lost(PathBuf, String),
    /// The engine has refused.
    Refused(Box<Problem>),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Connect(path, error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "there is no such socket: is `swath run` running?".to_string(),
                    io::ErrorKind::ConnectionRefused => "nobody listens there: `swath run` has ended".to_string(),
                    io::ErrorKind::PermissionDenied => "permission denied: only the user that runs it, and root, may".to_string(),
                    _ => error.to_string(),
                };
                write!(f, "{}: {why}", path.display())
            }
            ClientError::Lost(path, why) => write!(f, "{}: {why}", path.display()),
            ClientError::Refused(problem) => {
                f.write_str(problem.detail.as_deref().unwrap_or(&problem.title))?;
                for diagnostic in &problem.diagnostics {
                    if let Some(path) = &diagnostic.path {
                        write!(f, " (at `{path}`)")?;
                    }
                    if let Some(help) = &diagnostic.help {
                        write!(f, "; {help}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ClientError {}

impl Client {
    /// Connects to a socket.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(path: &Path) -> Result<Client, ClientError> {
        let failed = |error| ClientError::Connect(path.into(), error);
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
        let stream = runtime.block_on(UnixStream::connect(path)).map_err(failed)?;
        let sender = shake_hands(&runtime, stream).map_err(failed)?;
        Ok(Client { runtime, sender, path: path.into(), host: "localhost".into(), token: None })
    }

    /// Connects by TCP.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect_to(server: &ServerUrl, token: Token) -> Result<Client, ClientError> {
        let path = PathBuf::from(server.to_string());
        let failed = |error| ClientError::Connect(path.clone(), error);
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
        // Names are looked up by the system, without the threads that the runtime would need for it.
        let addresses: Vec<_> = server.0.to_socket_addrs().map_err(failed)?.collect();
        let stream = runtime.block_on(TcpStream::connect(&*addresses)).map_err(failed)?;
        let sender = shake_hands(&runtime, stream).map_err(failed)?;
        Ok(Client { runtime, sender, path, host: server.0.clone(), token: Some(token) })
    }

    /// What a resource is.
    ///
    /// # Errors
    /// There is no such resource, or no answer.
    pub fn get<T: DeserializeOwned>(&mut self, resource: &str) -> Result<T, ClientError> {
        self.send(Method::GET, resource, Vec::new(), None, PATIENCE)
    }

    /// Sends a command or several, as JSON.
    ///
    /// # Errors
    /// The engine refuses, or there is no answer.
    pub fn post<T: DeserializeOwned>(&mut self, resource: &str, body: impl Into<Vec<u8>>) -> Result<T, ClientError> {
        self.send(Method::POST, resource, body.into(), None, PATIENCE)
    }

    /// Changes a resource; the change is JSON.
    ///
    /// # Errors
    /// The engine refuses, or there is no answer.
    pub fn patch<T: DeserializeOwned>(&mut self, resource: &str, body: impl Into<Vec<u8>>) -> Result<T, ClientError> {
        self.send(Method::PATCH, resource, body.into(), None, PATIENCE)
    }

    /// Sends what is about a graph, which may take a while; the engine refuses if another revision runs than the one that is allowed.
    ///
    /// # Errors
    /// The engine refuses, or there is no answer.
    pub fn change<T: DeserializeOwned>(
        &mut self,
        resource: &str,
        body: impl Into<Vec<u8>>,
        allowed: Option<u64>,
    ) -> Result<T, ClientError> {
        self.send(Method::POST, resource, body.into(), allowed, PATIENCE_WITH_GRAPHS)
    }

    /// Asks for lines, and has `take` called with those that came together, which may be none, several times a second. It ends when the engine has no more, or
    /// when `take` breaks.
    ///
    /// # Errors
    /// The engine refuses, or the connection has failed.
    pub fn lines(
        &mut self,
        resource: &str,
        body: impl Into<Vec<u8>>,
        take: &mut dyn FnMut(&[&str]) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let path = self.path.clone();
        let lost = |why: String| ClientError::Lost(path.clone(), why);
        let request = self.request(Method::POST, resource, body.into(), None)?;
        let sender = &mut self.sender;
        let response = self.runtime.block_on(sender.send_request(request));
        let mut response = response.map_err(|error| lost(format!("the connection has failed: {error}")))?;
        if !response.status().is_success() {
            let body = self.runtime.block_on(response.into_body().collect());
            let body = body.map_err(|error| lost(format!("the connection has failed: {error}")))?.to_bytes();
            let problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem::plain(StatusCode::BAD_GATEWAY, "no words"));
            return Err(ClientError::Refused(Box::new(problem)));
        }
        let mut begun = String::new();
        loop {
            let frame = async { tokio::time::timeout(LINES, response.body_mut().frame()).await };
            let frame = match self.runtime.block_on(frame) {
                Err(_) => None,
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => Some(frame.map_err(|error| lost(format!("the engine has ended: {error}")))?),
            };
            if let Some(data) = frame.as_ref().and_then(|frame| frame.data_ref()) {
                begun += &String::from_utf8_lossy(data);
            }
            let whole = begun.rfind('\n').map_or(0, |at| at + 1);
            let lines: Vec<&str> = begun[..whole].lines().collect();
            if take(&lines).is_break() {
                return Ok(());
            }
            begun.drain(..whole);
        }
    }

    fn request(
        &self,
        method: Method,
        resource: &str,
        body: Vec<u8>,
        allowed: Option<u64>,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder().method(method).uri(resource).header(HOST, &self.host);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        if let Some(revision) = allowed {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::from(body));
        request.map_err(|error| ClientError::Lost(self.path.clone(), error.to_string()))
    }

    fn send<T: DeserializeOwned>(
        &mut self,
        method: Method,
        resource: &str,
        body: Vec<u8>,
        allowed: Option<u64>,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let request = self.request(method, resource, body, allowed)?;
        let path = &self.path;
        let lost = |why: String| ClientError::Lost(path.clone(), why);
        let sender = &mut self.sender;
        let exchange = async {
            let answered = async {
                let response = sender.send_request(request).await?;
                let status = response.status();
                Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
            };
            tokio::time::timeout(patience, answered).await
        };
        let (status, body) = match self.runtime.block_on(exchange) {
            Ok(answered) => answered.map_err(|error| lost(format!("the connection has failed: {error}")))?,
            Err(_) => return Err(lost(format!("no answer for {} s", patience.as_secs()))),
        };
        let unreadable = |error: serde_json::Error| lost(format!("an answer that cannot be read: {error}"));
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(unreadable);
        }
        let problem = serde_json::from_slice(&body);
        let other = || Problem::plain(StatusCode::BAD_GATEWAY, format!("status {status}"));
        Err(ClientError::Refused(Box::new(problem.unwrap_or_else(|_| other()))))
    }
}

fn shake_hands<S>(runtime: &Runtime, stream: S) -> io::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = runtime.block_on(http1::handshake(TokioIo::new(stream))).map_err(io::Error::other)?;
    // Requests say what has become of the connection.
    runtime.spawn(async move { _ = connection.await });
    Ok(sender)
}
