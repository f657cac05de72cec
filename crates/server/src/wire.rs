//! OCSP, CRLs and CA certificates over HTTP: the responder's own threads, and hyper for what they do not serve.

use std::sync::Arc;

use ingam_responder::{Places, Responder, Wire, WireLimits, WireSetup};
use tokio::sync::{mpsc, watch};

use crate::listener::{Front, Listener, Peer, SharedLimits, Sockets, stopped};
use crate::serve::StartError;

const NAME: &str = "publication";
/// How many connections may wait for hyper to take them.
const HANDED_MAX: usize = 1024;

/// The same sockets for a listener on the runtime.
///
/// # Errors
/// [`StartError`] if the runtime cannot have them.
pub(crate) fn on_runtime(
    sockets: Vec<Vec<std::net::TcpListener>>,
) -> Result<Vec<tokio::net::TcpListener>, StartError> {
    let all = sockets.into_iter().flatten().map(tokio::net::TcpListener::from_std);
    all.collect::<std::io::Result<_>>().map_err(|error| StartError::caused("listen.publication", &error))
}

/// Starts the threads, one for each set of sockets, and gives what has to be waited for at the end.
///
/// # Errors
/// If the system gives no threads.
pub(crate) fn start(
    responder: &Responder,
    sockets: Vec<Vec<std::net::TcpListener>>,
    connections_max: usize,
    limits: Arc<SharedLimits>,
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
        handed,
    };
    let wire = Wire::start(responder, sockets, &setup)?;
    let listener = Listener {
        name: NAME,
        sockets: Sockets::from(Vec::new()),
        tls: None,
        front: Front::default(),
        connections_max,
        limits: limits.clone(),
    };
    let responder = responder.clone();
    let answer = move |request, peer: Peer| {
        let responder = responder.clone();
        async move { responder.handle_from(peer.opener.map(|opener| opener.ip()), request).await }
    };
    let handed = tokio::spawn(listener.serve_handed(arriving, answer, stopping.clone()));
    Ok(async move {
        stopped(stopping).await;
        // It waits for handed connections too: they have their places from the threads.
        wire.stop(limits.now().grace).await;
        handed.abort();
    })
}
