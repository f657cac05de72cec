//! Listeners: sockets, TLS, connections, and who is at the other end. Connections are limited in number, and in how
//! long they may be silent, shake hands, or send headers.

mod front;
mod handed;
mod idle;
mod shared;
mod unix;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ingam_protocol::proxy::{Front, UNSAID};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use front::{Silent, opener};
use idle::IdleTimeout;

pub(crate) use front::client;
pub(crate) use shared::bind_shared;
pub(crate) use unix::bind_unix;

/// How many connections may wait in the kernel to be accepted.
const BACKLOG: u32 = 1024;

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a connection may take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    pub(crate) idle: Duration,
    pub(crate) header: Duration,
    /// How long open connections may take to end once the process is told to stop.
    pub(crate) grace: Duration,
}

/// Limits that can be changed while the process runs: new ones count for connections that come after.
#[derive(Debug)]
pub(crate) struct SharedLimits(RwLock<ConnectionLimits>);

impl SharedLimits {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self(RwLock::new(limits)))
    }

    pub(crate) fn now(&self) -> ConnectionLimits {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn replace(&self, limits: ConnectionLimits) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }
}

/// Where connections come from.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// All sockets of a listener.
pub(crate) struct Sockets(Vec<Socket>);

impl From<Socket> for Sockets {
    fn from(socket: Socket) -> Self {
        Self(vec![socket])
    }
}

/// Who is at the other end of a connection: what the kernel and the TLS library know of it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: PeerAddress,
    /// Who opened the connection by the word of a trusted proxy; for TCP alone, and the peer itself without a proxy.
    pub(crate) opener: Option<SocketAddr>,
    /// DER of the certificate that it showed and proved to hold, where one was asked for.
    pub(crate) certificate: Option<Arc<[u8]>>,
}

/// Where the other end is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PeerAddress {
    Tcp(SocketAddr),
    /// On this machine, as this user.
    Unix {
        uid: u32,
    },
}

/// Sockets of one kind, and how their connections are treated.
pub(crate) struct Listener {
    /// Its name in metrics.
    pub(crate) name: &'static str,
    pub(crate) sockets: Sockets,
    pub(crate) tls: Option<TlsAcceptor>,
    /// The proxies before it.
    pub(crate) front: Front,
    /// Connections at once; more wait.
    pub(crate) connections_max: usize,
    pub(crate) limits: Arc<SharedLimits>,
}

/// Binds every address of a listener.
///
/// An IPv6 address on a machine without IPv6 is passed over as long as another address of the list could be bound.
///
/// # Errors
/// A line for each address that cannot be listened on.
pub(crate) fn bind(key: &str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, String> {
    bind_each(key, addresses, listen_on)
}

fn bind_each<T>(
    key: &str,
    addresses: &[SocketAddr],
    listen_on: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<Vec<T>, String> {
    let mut sockets = Vec::with_capacity(addresses.len());
    let mut failures = Vec::new();
    for address in addresses {
        match listen_on(*address) {
            Ok(socket) => sockets.push(socket),
            Err(error) if address.is_ipv6() && is_without_ipv6(&error) => {
                tracing::warn!(%address, "this machine has no such IPv6 address: not listening there");
            }
            Err(error) => failures.push(bind_failure(key, *address, &error)),
        }
    }
    if !failures.is_empty() {
        return Err(failures.join("\n"));
    }
    if sockets.is_empty() && !addresses.is_empty() {
        return Err(format!(
            "none of the addresses in listen.{key} can be listened on: give one of this machine's"
        ));
    }
    Ok(sockets)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket_for(address)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// An IPv6 listener takes no IPv4 connections: `0.0.0.0` and `[::]` can both be listed, and no peer has two kinds of
/// address.
fn socket_for(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
            socket
        }
    };
    // A restart must not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

/// Whether this is how a machine without IPv6, or without this address, answers.
fn is_without_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
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
        H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let places = Arc::new(Semaphore::new(self.connections_max));
        let all = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        metrics::gauge!("ingam_connections_max", "listener" => self.name).set(f64::from(all));
        let limits = self.limits.clone();
        let shared = Arc::new(Connections {
            name: self.name,
            tls: self.tls,
            front: self.front,
            limits: self.limits,
            is_kept: true,
        });
        let mut accepting = JoinSet::new();
        for socket in self.sockets.0 {
            let (shared, places) = (shared.clone(), places.clone());
            accepting.spawn(accept(socket, shared, places, answer.clone(), shutdown.clone()));
        }
        stopped(shutdown).await;
        accepting.shutdown().await;
        // Every connection holds a place: with all places back, all connections have ended.
        let _ = tokio::time::timeout(limits.now().grace, places.acquire_many(all)).await;
    }
}

/// Comes back once the process is told to stop, or whoever would tell is gone.
pub(crate) async fn stopped(mut shutdown: watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

struct Connections {
    name: &'static str,
    tls: Option<TlsAcceptor>,
    front: Front,
    limits: Arc<SharedLimits>,
    /// Whether a connection of HTTP/1 stays open for another request.
    is_kept: bool,
}

impl From<Vec<TcpListener>> for Sockets {
    fn from(sockets: Vec<TcpListener>) -> Self {
        Self(sockets.into_iter().map(Socket::Tcp).collect())
    }
}

/// A connection before anything was read from it.
enum Arrived {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream, u32),
}

impl Socket {
    async fn accept(&self) -> io::Result<Arrived> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are small: waiting to fill a packet only makes them late.
                let _ = stream.set_nodelay(true);
                Ok(Arrived::Tcp(stream, address))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                // Fixed when the other end connected: later changes of its user do not count.
                let uid = stream.peer_cred()?.uid();
                Ok(Arrived::Unix(stream, uid))
            }
        }
    }
}

async fn accept<H, F, B>(
    socket: Socket,
    connections: Arc<Connections>,
    places: Arc<Semaphore>,
    answer: H,
    shutdown: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
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
            Ok(arrived) => {
                let connections = connections.clone();
                tokio::spawn(connections.connection(arrived, place, answer.clone(), shutdown.clone()));
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
        arrived: Arrived,
        _place: OwnedSemaphorePermit,
        answer: H,
        shutdown: watch::Receiver<bool>,
    ) where
        H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let open = metrics::gauge!("ingam_connections", "listener" => self.name);
        open.increment(1.0);
        match arrived {
            Arrived::Unix(stream, uid) => {
                let peer = Peer { address: PeerAddress::Unix { uid }, opener: None, certificate: None };
                self.requests(stream, peer, answer, shutdown).await;
            }
            Arrived::Tcp(stream, address) => self.tcp(stream, address, answer, shutdown).await,
        }
        open.decrement(1.0);
    }

    async fn tcp<H, F, B>(
        &self,
        mut stream: TcpStream,
        address: SocketAddr,
        answer: H,
        shutdown: watch::Receiver<bool>,
    ) where
        H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = self.limits.now().header;
        let opener = match opener(&self.front, &mut stream, address, limit).await {
            Ok(opener) => opener,
            Err(Silent::Gone) => return,
            Err(Silent::Unsaid(why)) => {
                metrics::counter!("ingam_proxy_refusals_total", "listener" => self.name).increment(1);
                tracing::warn!(
                    listener = self.name,
                    proxy = %address.ip(),
                    why,
                    "{UNSAID}"
                );
                return;
            }
        };
        let mut peer = Peer { address: PeerAddress::Tcp(address), opener: Some(opener), certificate: None };
        let Some(acceptor) = &self.tls else {
            return self.requests(stream, peer, answer, shutdown).await;
        };
        // A failed handshake is the client's affair, and no more than noise in a log.
        if let Ok(Ok(stream)) = tokio::time::timeout(limit, acceptor.accept(stream)).await {
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            peer.certificate = shown.map(|certificate| Arc::from(certificate.as_ref()));
            self.requests(stream, peer, answer, shutdown).await;
        }
    }

    async fn requests<S, H, F, B>(&self, stream: S, peer: Peer, answer: H, shutdown: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limits = self.limits.now();
        let service = service_fn(move |request| {
            let response = answer(request, peer.clone());
            async move { Ok::<_, std::convert::Infallible>(response.await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .keep_alive(self.is_kept)
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header)
            .max_buf_size(64 * 1024)
            .half_close(true)
            .pipeline_flush(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(64)
            .max_header_list_size(32 * 1024)
            .max_pending_accept_reset_streams(32);
        let stream = TokioIo::new(IdleTimeout::new(stream, limits.idle));
        let connection = builder.serve_connection(stream, service);
        tokio::pin!(connection);
        tokio::select! {
            // What a peer does to its connection is not worth a line in the log.
            _ = connection.as_mut() => {}
            () = stopped(shutdown) => {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(self.limits.now().grace, connection).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_of_both_kinds_can_be_listed() {
        let any = |port| [SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0_u16; 8], port))];
        // Whether a port is free for both shows when it is tried.
        for _ in 0..20 {
            let port = TcpListener::bind("0.0.0.0:0").await.unwrap().local_addr().unwrap().port();
            if let Ok(sockets) = bind("acme", &any(port)) {
                assert!((1..=2).contains(&sockets.len()), "one, where there is no IPv6");
                return;
            }
        }
        panic!("0.0.0.0 and [::] cannot be listened on together");
    }
}
