//! The admin API's place in the process: its sockets, who is at the other end, and what it asks of the process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use ingam_authority::operator::Act;
use ingam_operator::api::{BackupMade, Reload};
use ingam_operator::{Host, LastError, NotTaken, Operator, PublishedFile, PublishedPaths};
use ingam_protocol::operator::Principal;
use ingam_responder::Responder;
use ring::digest::{SHA256, digest};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::backup::Backups;
use crate::config::Config;
use crate::health::Health;
use crate::listener::{Peer, PeerAddress, Socket, bind_unix, stopped};
use crate::record_log::Checkpoints;
use crate::reload::Reloader;
use crate::serve::StartError;
use crate::telemetry;
use crate::unread::read_on;

/// The socket of the admin API on this machine.
pub(crate) struct AdminSocket {
    pub(crate) unix: Socket,
    /// Takes its file away at the end.
    pub(crate) file: SocketFile,
}

/// The file of a Unix socket, for as long as somebody listens there.
pub(crate) struct SocketFile(PathBuf);

impl SocketFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

/// Where the admin API's Unix socket is.
pub(crate) fn socket_path(config: &Config) -> PathBuf {
    config.operator.socket.clone().unwrap_or_else(|| config.state.join("admin.sock"))
}

impl AdminSocket {
    pub(crate) async fn bind(config: &Config) -> Result<Self, StartError> {
        let path = socket_path(config);
        let unix = bind_unix("operator.socket", &path).await.map_err(StartError::new)?;
        Ok(Self { unix, file: SocketFile(path) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A process that was killed leaves it behind; the next start takes it away then.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Who somebody at a listener of the admin API or the signer is; `None` where TLS asked for no certificate.
pub(crate) fn principal(peer: &Peer) -> Option<ingam_operator::Peer> {
    match (peer.address, &peer.certificate) {
        (PeerAddress::Unix { uid }, _) => {
            Some(ingam_operator::Peer { principal: Principal::User(uid), from: "unix".to_owned() })
        }
        (PeerAddress::Tcp(address), Some(certificate)) => {
            let fingerprint = digest(&SHA256, certificate).as_ref().try_into().ok()?;
            let principal = Principal::Certificate(fingerprint);
            Some(ingam_operator::Peer { principal, from: address.ip().to_canonical().to_string() })
        }
        (PeerAddress::Tcp(_), None) => None,
    }
}

/// The admin API as a service for connections.
pub(crate) fn service(
    operator: Arc<Operator>,
) -> impl Fn(Request<Incoming>, Peer) -> Answer + Clone + Send + Sync + 'static {
    let router = operator.router();
    move |request, peer| {
        let mut request = read_on(request);
        if let Some(principal) = principal(&peer) {
            request.extensions_mut().insert(principal);
        }
        let router = router.clone();
        Box::pin(async move {
            // A router never fails.
            router.oneshot(request).await.unwrap_or_else(|never| match never {})
        })
    }
}

/// An answer on its way.
pub(crate) type Answer = std::pin::Pin<Box<dyn Future<Output = http::Response<axum::body::Body>> + Send>>;

/// What the admin API asks of the process.
pub(crate) struct Process {
    pub(crate) health: Health,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) responder: Arc<Responder>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    /// `urls.publication`.
    pub(crate) publication: String,
    /// What makes backups.
    pub(crate) backups: Backups,
}

impl Process {
    /// A file of the responder's, by its own way through HTTP, without a socket.
    async fn file(&self, path: &str) -> Option<http::Response<Full<Bytes>>> {
        let request = Request::get(path).body(Full::<Bytes>::default()).ok()?;
        let reply = self.responder.handle(request).await;
        reply.status().is_success().then_some(reply)
    }
}

#[async_trait]
impl Host for Process {
    async fn status(&self) -> serde_json::Value {
        serde_json::to_value(self.health.report().await).unwrap_or_default()
    }

    async fn is_ready(&self) -> bool {
        self.health.report().await.ready()
    }

    fn last_errors(&self) -> Vec<LastError> {
        telemetry::last_errors()
    }

    async fn reload(&self, act: &Act) -> Result<Reload, Vec<String>> {
        self.reloader.reload(Some(act)).await
    }

    async fn backup(&self, act: &Act, to: &str, keep_days: Option<u32>) -> Result<BackupMade, String> {
        let config = self.reloader.current.lock().await.clone();
        let made = self.backups.make(&config, Path::new(to), keep_days).await?;
        let told = serde_json::json!({ "to": to, "made": made });
        let recorded = self.reloader.authority.backup_made(act, &told).await;
        recorded.map_err(|error| format!("the backup is there, and could not be put on record: {error}"))?;
        Ok(made)
    }

    async fn ocsp_answer(&self, request: &[u8]) -> Bytes {
        self.responder.ocsp().answer(request).await.body()
    }

    async fn published_paths(&self) -> PublishedPaths {
        let base = self.publication.trim_end_matches('/');
        let mut paths = vec!["/roots.pem".to_owned()];
        for issuer in &self.reloader.issuers {
            let urls_path = format!("/crl/{issuer}.json");
            let urls: Vec<String> = match self.published(&urls_path).await {
                Some(file) => serde_json::from_slice(&file.body).unwrap_or_default(),
                None => Vec::new(),
            };
            paths.extend([format!("/issuer/{issuer}.crt"), urls_path]);
            paths.extend(urls.iter().filter_map(|url| url.strip_prefix(base)).map(str::to_owned));
        }
        let offline = self.responder.offline();
        paths.extend(offline.certificate_names().map(|name| format!("/issuer/{name}.crt")));
        paths.extend(offline.lists().into_iter().map(|(name, _)| format!("/crl/{name}.crl")));
        // What stands behind scheme and host.
        let host = base.split_once("://").map_or(base, |(_, rest)| rest);
        let base = host.find('/').and_then(|at| host.get(at..)).unwrap_or_default().to_owned();
        PublishedPaths { base, paths }
    }

    async fn published(&self, path: &str) -> Option<PublishedFile> {
        let reply = self.file(path).await?;
        let content_type = reply.headers().get(http::header::CONTENT_TYPE)?.to_str().ok()?.to_owned();
        // A body that is whole in memory already.
        let body = reply.into_body().collect().await.ok()?.to_bytes();
        Some(PublishedFile { body, content_type })
    }

    async fn checkpoint_cosign(&self, note: &str) -> Result<Vec<String>, NotTaken> {
        self.checkpoints.cosign(note).await
    }

    async fn stopped(&self) {
        stopped(self.stopping.clone()).await;
    }
}
