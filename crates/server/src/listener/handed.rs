//! Connections that the responder's own threads hand over.

use std::io;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use ingam_responder::Handed;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::{Connections, Listener, Peer, PeerAddress};

impl Listener {
    /// Serves `answer` on connections that somebody else accepted and began to read, until nobody hands any over any more; `shutdown`
    /// ends those that are open. Each of HTTP/1 for one request, so that whoever hands them over has read the head of each.
    pub(crate) async fn serve_handed<H, F, B>(
        self,
        mut arriving: mpsc::Receiver<Handed>,
        answer: H,
        shutdown: watch::Receiver<bool>,
    ) where
        H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let shared = Arc::new(Connections {
            name: self.name,
            tls: None,
            front: self.front,
            limits: self.limits,
            is_kept: false,
        });
        while let Some(handed) = arriving.recv().await {
            let Handed { stream, peer, read, place } = handed;
            // Where the runtime cannot take it, it ends.
            let Ok(stream) = TcpStream::from_std(stream) else { continue };
            let (receiving, sending) = stream.into_split();
            let stream = tokio::io::join(io::Cursor::new(read).chain(receiving), sending);
            let peer = Peer { address: PeerAddress::Tcp(peer), opener: Some(peer), certificate: None };
            let (shared, answer, shutdown) = (shared.clone(), answer.clone(), shutdown.clone());
            tokio::spawn(async move {
                shared.requests(stream, peer, answer, shutdown).await;
                drop(place);
            });
        }
    }
}
