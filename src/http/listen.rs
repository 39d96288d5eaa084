//! The accept loop: every connection has deadlines before it has a request.
//!
//! `axum::serve` installs no timer, so a half-sent request stays open for ever there; here a silent peer, a lone byte and a
//! slow header all end within `FIRST_REQUEST_WITHIN`. HTTP/1.1 only: a WebSocket needs no more.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower::ServiceExt;

use super::address::{ClientAddress, client_address};
use super::linger::Lingering;
use super::meter::Metered;
use super::stall::Impatient;
use crate::cidr::Cidr;
use crate::limits::ByteRate;
use crate::shutdown::Tasks;

/// How long a peer may take from its connection to the end of its first request's header.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(8);

/// How long each request's header may take.
const HEADER_WITHIN: Duration = Duration::from_secs(8);

/// How long to wait after a failed accept: most often too many open files, which only time mends.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// What the kernel may hold for a peer that reads slowly, in bytes (Linux doubles it). Its default grows to megabytes: a
/// slow reader would be noticed minutes too late, and its memory is not counted anywhere.
const SEND_BUFFER_BYTES: u32 = 32 * 1024;

/// What it may hold of what a client sends and we do not read, in bytes (doubled likewise): at its rate a client needs no
/// more, and a flood stays with who makes it.
const RECEIVE_BUFFER_BYTES: u32 = 64 * 1024;

/// The longest head of a request, in bytes: a token of 8 KiB in two places, cookies, and what proxies add.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Peers that may wait to be accepted: a restart makes all of them come back together.
const BACKLOG: u32 = 4096;

/// Opens an address to be served.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit them.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What holds for every peer.
#[derive(Clone, Debug)]
pub struct Peers {
    /// Proxies that are believed when they say who asks.
    pub trusted: Arc<[Cidr]>,
    /// How fast a connection is read.
    pub inbound: Option<ByteRate>,
}

/// Serves a router until the server drains; what is open then ends by itself.
pub async fn serve(listener: TcpListener, router: Router, peers: Peers, tasks: Tasks) {
    loop {
        let accepted = tokio::select! {
            () = tasks.drain().cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, router.clone(), peers.clone(), tasks.clone());
                tasks.spawn("http", connection);
            }
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, peers: Peers, tasks: Tasks) {
    let _ = stream.set_nodelay(true);
    let stream = Impatient::new(Lingering::new(stream, tasks.clone()));
    let stream = Metered::new(stream, peers.inbound);
    let inbound = stream.inbound();
    let asked = Arc::new(AtomicBool::new(false));
    let noticed = Arc::clone(&asked);
    let service = service_fn(move |mut request: Request<Incoming>| {
        noticed.store(true, Ordering::Relaxed);
        let address = client_address(peer.ip(), request.headers(), &peers.trusted);
        request.extensions_mut().insert(ClientAddress(address));
        request.extensions_mut().insert(inbound.clone());
        respond(router.clone(), request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(served);
    let first_request = tokio::time::sleep(FIRST_REQUEST_WITHIN);
    tokio::pin!(first_request);
    let mut draining = false;
    loop {
        tokio::select! {
            _ = served.as_mut() => return,
            () = &mut first_request, if !asked.load(Ordering::Relaxed) => return,
            () = tasks.drain().cancelled(), if !draining => {
                draining = true;
                served.as_mut().graceful_shutdown();
            }
            () = tasks.stop().cancelled() => return,
        }
    }
}

async fn respond(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    router.oneshot(request.map(Body::new)).await
}
