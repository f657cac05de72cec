//! ACME's place in the process: who a client is behind proxies, and who may come without TLS.

use std::convert::Infallible;
use std::future::Future;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use ingam_frontend::{ClientAddress, InTheClear};
use ingam_protocol::proxy::Front;
use tower::ServiceExt;

use crate::listener::{self, Peer, PeerAddress};

/// Whether a listener has TLS of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tls,
    Plain,
}

/// The front end as a service for connections.
pub(crate) fn service(
    router: Router,
    front: Front,
    transport: Transport,
) -> impl Fn(Request<Incoming>, Peer) -> Answer + Clone + Send + Sync + 'static {
    move |request, peer| {
        let mut request = request.map(Body::new);
        if let PeerAddress::Tcp(address) = peer.address {
            let opener = peer.opener.unwrap_or(address);
            let client = listener::client(&front, opener, request.headers());
            request.extensions_mut().insert(ClientAddress(client));
            let may_be_plain =
                address.ip().to_canonical().is_loopback() || front.trusted.contains(address.ip());
            if transport == Transport::Plain && !may_be_plain {
                request.extensions_mut().insert(InTheClear);
            }
        }
        let answer = router.clone().oneshot(request);
        Box::pin(async move { answer.await.unwrap_or_else(|never: Infallible| match never {}) })
    }
}

/// An answer on its way.
pub(crate) type Answer = std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
