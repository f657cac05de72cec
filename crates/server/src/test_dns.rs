//! The DNS server of `ingam dev`: every name exists and points to this machine, until its management API is told
//! otherwise.
//!
//! The API has the paths and bodies of pebble-challtestsrv, which tests of ACME clients already speak.
//!
//! - [`Records`]: what was told, and what was asked.
//! - `answer`: one DNS message in, one out, by the records.
//! - `management`: one API request in, one change out.
//! - [`run`]: the sockets.
//!
//! For development alone: anybody who reaches the API decides what names resolve to.

mod answer;
mod management;
mod records;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(crate) use records::Records;

/// The most connections that one listener serves at once; more wait in the kernel.
const CONNECTIONS_MAX: usize = 256;

/// The most messages over one DNS connection.
const MESSAGES_MAX: usize = 1000;

/// How long a connection may stand idle, and how long a request's headers or one DNS message may take.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// How long one management connection may last.
const MANAGEMENT_MAX: Duration = Duration::from_secs(300);

/// The largest management body.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// How long to wait after an error of a socket, so that a lasting one does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Serves `records` on all of the sockets until `shutdown` is true or its sender is gone. Requests under way are cut
/// off then: nothing here outlives the process.
pub(crate) async fn run(
    records: Arc<Records>,
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    management: Vec<TcpListener>,
    mut shutdown: watch::Receiver<bool>,
) {
    // Dropping the set ends every task in it.
    let mut tasks = JoinSet::new();
    for socket in udp {
        tasks.spawn(serve_udp(Arc::clone(&records), socket));
    }
    for listener in tcp {
        let records = Arc::clone(&records);
        tasks.spawn(accept(listener, move |stream| serve_tcp(Arc::clone(&records), stream)));
    }
    for listener in management {
        let records = Arc::clone(&records);
        tasks.spawn(accept(listener, move |stream| serve_management(Arc::clone(&records), stream)));
    }
    // An error means that the sender is gone, which ends the server just the same.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

async fn serve_udp(records: Arc<Records>, socket: UdpSocket) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let request = buffer.get(..length).unwrap_or_default();
                if let Some(response) = answer::udp(&records, request) {
                    send(&socket, &response, from).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "reading a DNS message");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

async fn send(socket: &UdpSocket, response: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(response, to).await {
        tracing::debug!(%error, %to, "sending a DNS answer");
    }
}

/// Accepts connections and serves a bounded number of them at once.
pub(crate) async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let work = serve(stream);
                connections.spawn(async move {
                    work.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accepting a connection");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
        // Takes away what has ended, so that the set stays as small as the number of places.
        while connections.try_join_next().is_some() {}
    }
}

/// DNS over TCP: messages with a length of two bytes in front (RFC 1035, section 4.2.2).
async fn serve_tcp(records: Arc<Records>, mut stream: TcpStream) {
    for _ in 0..MESSAGES_MAX {
        match timeout(IDLE_MAX, serve_message(&records, &mut stream)).await {
            Ok(Ok(true)) => {}
            _ => return,
        }
    }
}

/// Serves one message; false when the message was none or its answer does not fit, which ends the connection.
async fn serve_message(records: &Records, stream: &mut TcpStream) -> io::Result<bool> {
    let length = stream.read_u16().await?;
    let mut request = vec![0; usize::from(length)];
    stream.read_exact(&mut request).await?;
    let Some(response) = answer::tcp(records, &request) else { return Ok(false) };
    let Ok(length) = u16::try_from(response.len()) else { return Ok(false) };
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(&response);
    stream.write_all(&framed).await?;
    Ok(true)
}

async fn serve_management(records: Arc<Records>, stream: TcpStream) {
    let service = service_fn(move |request: Request<Incoming>| {
        let records = Arc::clone(&records);
        async move { Ok::<Response<Full<Bytes>>, std::convert::Infallible>(manage(&records, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(MANAGEMENT_MAX, connection).await {
        tracing::debug!(%error, "serving the management API");
    }
}

async fn manage(records: &Records, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = http_body_util::BodyExt::collect(Limited::new(body, BODY_MAX_BYTES));
    let body = match timeout(IDLE_MAX, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => return management::body_refused(BODY_MAX_BYTES),
    };
    management::respond(records, &head.method, head.uri.path(), &body)
}

#[cfg(test)]
mod tests;
