//! OCSP, CRLs and CA certificates over HTTP: the responder's own threads, and hyper for what they do not serve.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use ingam_protocol::proxy::Front;
use ingam_responder::{Places, Responder, Wire, WireLimits, WireSetup};
use tokio::sync::{mpsc, watch};

use crate::listener::{self, Listener, Peer, SharedLimits, Sockets, stopped};

const NAME: &str = "publication";
/// How many connections may wait for hyper to take them.
const HANDED_MAX: usize = 1024;

/// How connections are served.
pub(crate) struct Open {
    /// The proxies before the sockets.
    pub(crate) front: Front,
    /// Connections at once; more wait.
    pub(crate) connections_max: usize,
    pub(crate) limits: Arc<SharedLimits>,
}

/// Starts the threads, one for each set of sockets, and gives what has to be waited for at the end.
///
/// # Errors
/// If the system gives no threads.
pub(crate) fn start(
    responder: &Responder,
    sockets: Vec<Vec<std::net::TcpListener>>,
    Open { front, connections_max, limits }: Open,
    stopping: watch::Receiver<bool>,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let (handed, arriving) = mpsc::channel(HANDED_MAX);
    let told = limits.clone();
    let setup = WireSetup {
        places: Places::new(NAME, connections_max),
        limits: Arc::new(move || {
            let now = told.now();
            WireLimits { idle: now.idle, header: now.header }
        }),
        front: front.clone(),
        handed,
    };
    let wire = Wire::start(responder, sockets, &setup)?;
    let listener = Listener {
        name: NAME,
        sockets: Sockets::from(Vec::new()),
        tls: None,
        // Whoever opened a connection was told before it was handed over.
        front: Front::default(),
        connections_max,
        limits: limits.clone(),
    };
    let answer = answering(responder.clone(), front);
    let handed = tokio::spawn(listener.serve_handed(arriving, answer, stopping.clone()));
    Ok(async move {
        stopped(stopping).await;
        // It waits for handed connections too: they have their places from the threads.
        wire.stop(limits.now().grace).await;
        handed.abort();
    })
}

/// The same over a listener of the runtime, for TLS.
pub(crate) async fn publish(listener: Listener, responder: Responder, stopping: watch::Receiver<bool>) {
    let answer = answering(responder, listener.front.clone());
    listener.serve(answer, stopping).await;
}

type Replying = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;

/// The responder as a service for connections. A client's address goes no further than to the request log.
fn answering(responder: Responder, front: Front) -> impl Fn(Request<Incoming>, Peer) -> Replying + Clone {
    move |request, peer| {
        let responder = responder.clone();
        let client = peer.opener.map(|opener| listener::client(&front, opener, request.headers()).ip());
        Box::pin(async move { responder.handle_from(client, request).await })
    }
}
