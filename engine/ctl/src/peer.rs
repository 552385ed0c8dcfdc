//! Who is at the other end of a connection to the control API.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::serve::{IncomingStream, Listener};
use tokio::net::unix::UCred;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A process of this machine, as the kernel knows it (unix(7), SO_PEERCRED): its user, and its number unless that is of another namespace.
    Process {
        /// The user.
        uid: u32,
        /// The process.
        pid: Option<i32>,
    },
    /// Somebody who has come by TCP, and has the token.
    Remote(SocketAddr),
    /// The kernel does not say.
    Unknown,
}

impl Peer {
    fn of(stream: &UnixStream) -> Peer {
        let process = |cred: UCred| Peer::Process { uid: cred.uid(), pid: cred.pid().filter(|pid| *pid > 0) };
        stream.peer_cred().map_or(Peer::Unknown, process)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Process { uid, pid: Some(pid) } => write!(f, "uid {uid}, pid {pid}"),
            Peer::Process { uid, pid: None } => write!(f, "uid {uid}"),
            Peer::Remote(address) => write!(f, "{address}"),
            Peer::Unknown => f.write_str("unknown"),
        }
    }
}

/// A unix socket that tells who connects.
pub(crate) struct Door(pub UnixListener);

impl Listener for Door {
    type Io = UnixStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (UnixStream, Peer) {
        let (stream, _) = Listener::accept(&mut self.0).await;
        let peer = Peer::of(&stream);
        (stream, peer)
    }

    fn local_addr(&self) -> std::io::Result<Peer> {
        Ok(Peer::Unknown)
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Peer {
        *stream.remote_addr()
    }
}

/// The same by TCP.
pub(crate) struct TcpDoor(pub TcpListener);

impl Listener for TcpDoor {
    type Io = TcpStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (TcpStream, Peer) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (stream, Peer::Remote(address))
    }

    fn local_addr(&self) -> std::io::Result<Peer> {
        self.0.local_addr().map(Peer::Remote)
    }
}

impl Connected<IncomingStream<'_, TcpDoor>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpDoor>) -> Peer {
        *stream.remote_addr()
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Peer, Infallible> {
        let known = parts.extensions.get::<ConnectInfo<Peer>>();
        Ok(known.map_or(Peer::Unknown, |ConnectInfo(peer)| *peer))
    }
}
