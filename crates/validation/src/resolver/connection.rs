//! Connections to DNS servers: which may be asked, at which port, for how long, and how often.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use tokio::time::timeout;
use trust_dns_resolver::config::ConnectionConfig;
use trust_dns_resolver::net::NetError;
use trust_dns_resolver::net::runtime::TokioRuntimeProvider;
use trust_dns_resolver::net::xfer::{DnsExchange, DnsHandle, FirstAnswer as _};
use trust_dns_resolver::proto::op::{DnsRequest, DnsResponse};
use trust_dns_resolver::{ConnectionProvider, PoolContext};

use super::notes::Notes;
use super::silence::Silences;
use crate::address::Addresses;

/// An answer, as every part of the library gives it.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;

/// Opens connections for one validation.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) runtime: TokioRuntimeProvider,
    pub(super) notes: Arc<Notes>,
    pub(super) recursion: Option<Arc<Recursion>>,
    /// What is known of the configured servers from before.
    pub(super) silences: Arc<Silences>,
    /// How long one server is waited for.
    pub(super) patience: Duration,
}

/// Where recursion may go.
pub(super) struct Recursion {
    /// Whatever the delegations say, the port is this one.
    pub(super) port: u16,
    /// The operator's own word on where it begins, which needs no permission.
    pub(super) roots: Vec<IpAddr>,
    pub(super) addresses: Addresses,
}

impl ConnectionProvider for Connections {
    type Conn = Connection;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Connection, NetError>> + Send>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        cx: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let mut config = config.clone();
        if let Some(recursion) = &self.recursion {
            if !recursion.roots.contains(&ip)
                && let Err(forbidden) = recursion.addresses.check(ip)
            {
                tracing::debug!(%ip, %forbidden, "a name server that may not be asked");
                self.notes.refused(ip, forbidden.to_string());
                return Err(unreachable());
            }
            config.port = recursion.port;
        }
        let opening = self.runtime.new_connection(ip, &config, cx)?;
        let server = SocketAddr::new(ip, config.port);
        let (notes, silences, patience) = (self.notes.clone(), self.silences.clone(), self.patience);
        Ok(Box::pin(async move {
            match timeout(patience, opening).await {
                Ok(Ok(exchange)) => Ok(Connection { exchange, server, notes, silences, patience }),
                Ok(Err(error)) => {
                    tracing::warn!(%ip, port = config.port, %error, "no connection to a DNS server");
                    Err(unreachable())
                }
                Err(_) => {
                    notes.silent();
                    silences.silent(server);
                    Err(NetError::Timeout)
                }
            }
        }))
    }

    fn runtime_provider(&self) -> &TokioRuntimeProvider {
        &self.runtime
    }
}

/// The error after which another server is asked.
fn unreachable() -> NetError {
    io::Error::from(io::ErrorKind::NotConnected).into()
}

/// A connection that notes what comes, and has no more questions than there may be.
#[derive(Clone)]
pub(super) struct Connection {
    exchange: DnsExchange<TokioRuntimeProvider>,
    server: SocketAddr,
    notes: Arc<Notes>,
    silences: Arc<Silences>,
    patience: Duration,
}

impl DnsHandle for Connection {
    type Response = Answers;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Answers {
        let Self { exchange, server, notes, silences, patience } = self.clone();
        Box::pin(stream::once(async move {
            let query = request.original_query().or_else(|| request.queries.first()).cloned();
            if !notes.charge() {
                return Err(NetError::Message("too many questions"));
            }
            match timeout(patience, exchange.send(request).first_answer()).await {
                Ok(Ok(response)) => {
                    silences.heard(server);
                    if let Some(query) = query {
                        notes.saw(&query, &response);
                    }
                    Ok(response)
                }
                Ok(Err(NetError::Timeout)) | Err(_) => {
                    notes.silent();
                    silences.silent(server);
                    Err(NetError::Timeout)
                }
                Ok(Err(error)) => Err(error),
            }
        }))
    }
}
