//! All threads that answer, as the process sees them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ingam_protocol::proxy::Front;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::http::Responder;
use crate::wire::WireLimits;
use crate::wire::letters::Letterbox;
use crate::wire::places::{Place, Places};
use crate::wire::worker::Worker;

/// A connection that somebody else goes on with.
pub struct Handed {
    /// The connection, which does not block.
    pub stream: TcpStream,
    /// Who opened it, by the word of a proxy that is trusted; else who is at the other end.
    pub peer: SocketAddr,
    /// What was read from it and not answered.
    pub read: Vec<u8>,
    /// To be kept for as long as it is open.
    pub place: Place,
}

/// Threads that serve OCSP, CRLs and CA certificates over HTTP/1.
pub struct Wire {
    places: Places,
    threads: Vec<(Arc<Letterbox>, JoinHandle<()>)>,
}

/// How the threads serve.
pub struct WireSetup {
    /// Of the connections of all threads together.
    pub places: Places,
    /// Asked for now and then: new limits count for open connections, too.
    pub limits: Arc<dyn Fn() -> WireLimits + Send + Sync>,
    /// The proxies before the sockets.
    pub front: Front,
    /// Where connections go that the threads do not serve; when it is full, they end.
    pub handed: mpsc::Sender<Handed>,
}

impl Wire {
    /// Starts a thread for each set of sockets, which listen already and do not block: the sockets of one address share it by
    /// `SO_REUSEPORT`. What is not answered at once is asked on this runtime.
    ///
    /// # Errors
    /// If the system gives no thread, or nothing to wait with.
    pub fn start(
        responder: &Responder,
        sockets: Vec<Vec<TcpListener>>,
        setup: &WireSetup,
    ) -> io::Result<Self> {
        let mut threads = Vec::with_capacity(sockets.len());
        for (number, sockets) in sockets.into_iter().enumerate() {
            let worker = Worker::new(responder.clone(), sockets, setup, Handle::current())?;
            let letterbox = worker.letterbox();
            let thread = thread::Builder::new().name(format!("wire-{number}"));
            threads.push((letterbox, thread.spawn(move || worker.run())?));
        }
        Ok(Self { places: setup.places.clone(), threads })
    }

    /// Stops listening, lets what was asked be answered for at most `grace`, and ends the threads.
    pub async fn stop(self, grace: Duration) {
        for (letterbox, _) in &self.threads {
            letterbox.stop();
        }
        let _ = tokio::time::timeout(grace, self.places.until_empty()).await;
        for (letterbox, _) in &self.threads {
            letterbox.abandon();
        }
        let joined = tokio::task::spawn_blocking(move || {
            let results: Vec<_> = self.threads.into_iter().map(|(_, thread)| thread.join()).collect();
            results.iter().all(Result::is_ok)
        });
        if !matches!(joined.await, Ok(true)) {
            tracing::error!("a thread that answers OCSP requests had ended before its time");
        }
    }
}
