//! Listeners: sockets, TLS, connections. Connections are limited in number, and in how long they may be silent, shake
//! hands, or send headers.

mod idle;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use idle::IdleTimeout;

/// How long open connections may take to end once the process is told to stop.
const GRACE: Duration = Duration::from_millis(1000);

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a connection may take up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) connections_max: usize,
    pub(crate) idle: Duration,
    pub(crate) header: Duration,
}

/// Sockets of one kind, and how their connections are treated.
pub(crate) struct Listener {
    /// Its name in metrics.
    pub(crate) name: &'static str,
    pub(crate) sockets: Vec<TcpListener>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) limits: ConnectionLimits,
}

/// Binds every address of a listener.
///
/// An IPv6 address on a machine without IPv6 is passed over as long as another address of the list could be bound.
pub(crate) async fn bind(key: &str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, String> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(socket) => sockets.push(socket),
            Err(error) if address.is_ipv6() && error.kind() == io::ErrorKind::AddrNotAvailable => {
                tracing::warn!(%address, "this machine has no such IPv6 address: not listening there");
            }
            Err(error) => return Err(bind_failure(key, *address, &error)),
        }
    }
    if sockets.is_empty() && !addresses.is_empty() {
        return Err(format!(
            "none of the addresses in listen.{key} can be listened on: give one of this machine's"
        ));
    }
    Ok(sockets)
}

/// What to tell an operator whose address cannot be bound.
pub(crate) fn bind_failure(key: &str, address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is used by another process: stop that one, or set listen.{key} to a free port in a file for --config"
        ),
        io::ErrorKind::PermissionDenied => {
            format!(
                "{address} may not be listened on by this user: choose a port above 1023 for listen.{key}"
            )
        }
        _ => format!("{address} (listen.{key}) cannot be listened on: {error}"),
    }
}

impl Listener {
    /// Serves `answer` on all sockets until `shutdown` says so, then lets open requests end for a short while.
    pub(crate) async fn serve<H, F, B>(self, answer: H, shutdown: watch::Receiver<bool>)
    where
        H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        let max = u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX);
        metrics::gauge!("ingam_connections_max", "listener" => self.name).set(f64::from(max));
        let shared = Arc::new(Connections { name: self.name, tls: self.tls, limits: self.limits });
        let mut accepting = JoinSet::new();
        for socket in self.sockets {
            let (shared, places) = (shared.clone(), places.clone());
            accepting.spawn(accept(socket, shared, places, answer.clone(), shutdown.clone()));
        }
        stopped(shutdown).await;
        accepting.shutdown().await;
        // Every connection holds a place: with all places back, all connections have ended.
        let _ = tokio::time::timeout(GRACE, places.acquire_many(max)).await;
    }
}

/// Comes back once the process is told to stop, or whoever would tell is gone.
pub(crate) async fn stopped(mut shutdown: watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

struct Connections {
    name: &'static str,
    tls: Option<TlsAcceptor>,
    limits: ConnectionLimits,
}

async fn accept<H, F, B>(
    socket: TcpListener,
    connections: Arc<Connections>,
    places: Arc<Semaphore>,
    answer: H,
    shutdown: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let waits = metrics::counter!("ingam_accept_waits_total", "listener" => connections.name);
    let failures = metrics::counter!("ingam_accept_failures_total", "listener" => connections.name);
    loop {
        // Above the limit, connections wait in the kernel's queue.
        if places.available_permits() == 0 {
            waits.increment(1);
        }
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match socket.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(connections.clone().connection(
                    stream,
                    peer,
                    place,
                    answer.clone(),
                    shutdown.clone(),
                ));
            }
            Err(error) => {
                failures.increment(1);
                tracing::debug!(listener = connections.name, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Connections {
    async fn connection<H, F, B>(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        _place: OwnedSemaphorePermit,
        answer: H,
        shutdown: watch::Receiver<bool>,
    ) where
        H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let open = metrics::gauge!("ingam_connections", "listener" => self.name);
        open.increment(1.0);
        // Answers are small: waiting to fill a packet only makes them late.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.requests(stream, peer, answer, shutdown).await,
            Some(acceptor) => {
                let handshake = tokio::time::timeout(self.limits.header, acceptor.accept(stream)).await;
                // A failed handshake is the client's affair, and no more than noise in a log.
                if let Ok(Ok(stream)) = handshake {
                    self.requests(stream, peer, answer, shutdown).await;
                }
            }
        }
        open.decrement(1.0);
    }

    async fn requests<S, H, F, B>(
        &self,
        stream: S,
        peer: SocketAddr,
        answer: H,
        shutdown: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let service = service_fn(move |request| {
            let response = answer(request, peer);
            async move { Ok::<_, std::convert::Infallible>(response.await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .max_buf_size(64 * 1024)
            .half_close(true)
            .pipeline_flush(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(64)
            .max_header_list_size(32 * 1024)
            .max_pending_accept_reset_streams(32);
        let stream = TokioIo::new(IdleTimeout::new(stream, self.limits.idle));
        let connection = builder.serve_connection(stream, service);
        tokio::pin!(connection);
        tokio::select! {
            // What a peer does to its connection is not worth a line in the log.
            _ = connection.as_mut() => {}
            () = stopped(shutdown) => {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(GRACE, connection).await;
            }
        }
    }
}
