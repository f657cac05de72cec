//! Connections to a name's own addresses, or to the one that is asked about, and to nothing else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ingam_protocol::acme::ErrorType;
use ingam_protocol::identifier::{DnsName, Host};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::Addresses;
use crate::config::{Config, ConfigError};
use crate::evidence::{ADDRESSES_MAX, Evidence};
use crate::outcome::Failure;
use crate::resolver::{Resolver, Setup};
use crate::tls::Tls;

/// The most addresses of one name that are tried: two of each kind.
const TRIES_MAX: usize = 4;

/// What every challenge needs to look at the network.
///
/// Each validation has one of its own: what its resolver remembers ends with it.
pub(crate) struct Network {
    pub(crate) resolver: Resolver,
    pub(crate) tls: Arc<Tls>,

    pub(crate) config: Arc<Config>,
    pub(crate) addresses: Arc<Addresses>,
}

/// What networks are made of: everything that validations may share.
pub(crate) struct Networks {
    resolvers: Setup,
    tls: Arc<Tls>,

    pub(crate) config: Arc<Config>,
    addresses: Arc<Addresses>,
}

impl Networks {
    /// For a configuration that was checked. Opens no socket.
    ///
    /// # Errors
    /// [`ConfigError`] names the key that cannot be worked with.
    pub(crate) fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self {
            resolvers: Setup::new(&config)?,
            tls: Arc::new(Tls::new()?),
            addresses: Arc::new(config.connectable()),
            config: Arc::new(config),
        })
    }

    /// The network as one validation sees it: no answer of an earlier one is in it.
    pub(crate) async fn fresh(&self) -> Network {
        Network {
            resolver: self.resolvers.resolver().await,
            tls: self.tls.clone(),
            config: self.config.clone(),
            addresses: self.addresses.clone(),
        }
    }
}

impl Network {
    /// Connects to an address, or resolves a name anew and connects to one of its addresses: IPv6 first, then IPv4, two of
    /// each at most. Only addresses that the policy allows are tried, and the connected socket's own word on its peer is
    /// checked again.
    ///
    /// What comes to be known is noted in the last hop of `evidence`.
    pub(crate) async fn dial(
        &self,
        host: &Host,
        port: u16,
        evidence: &mut Evidence,
    ) -> Result<TcpStream, Failure> {
        let candidates = match host {
            Host::Name(name) => {
                let addresses =
                    self.resolver.addresses(name.as_str(), evidence).await.map_err(|missing| {
                        missing.failure("the name needs an A or AAAA record that points to your server")
                    })?;
                if let Some(hop) = evidence.hop() {
                    hop.addresses_resolved = addresses.iter().copied().take(ADDRESSES_MAX).collect();
                }
                self.candidates(name, &addresses)?
            }
            Host::Address(address) => {
                if let Some(hop) = evidence.hop() {
                    hop.addresses_resolved = vec![*address];
                }
                self.addresses.check(*address).map_err(|forbidden| {
                    let detail =
                        format!("{address} may not be connected to, as {forbidden}; use a public address");
                    Failure::new(ErrorType::RejectedIdentifier, detail)
                })?;
                vec![*address]
            }
        };
        let mut failure = None;
        for address in candidates {
            let target = SocketAddr::new(address, port);
            match self.connect(target).await {
                Ok(stream) => {
                    if let Some(hop) = evidence.hop() {
                        hop.connected(target);
                    }
                    return Ok(stream);
                }
                Err(words) => {
                    tracing::debug!(%host, %target, words, "no connection");
                    if let Some(hop) = evidence.hop() {
                        hop.addresses_tried.push(address);
                    }
                    failure.get_or_insert_with(|| {
                        Failure::connection(format!(
                            "connection to {host} at {target} failed: {words}; the port must be open to the whole Internet"
                        ))
                    });
                }
            }
        }
        Err(failure.unwrap_or_else(|| Failure::connection(format!("{host} has no address to connect to"))))
    }

    /// Which of the addresses are tried, in order. The first of each kind, then the second of each.
    fn candidates(&self, name: &DnsName, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, Failure> {
        let mut refused = None;
        let mut allowed = Vec::new();
        for &address in addresses {
            match self.addresses.check(address) {
                Ok(()) => allowed.push(address),
                Err(forbidden) => {
                    refused.get_or_insert((address, forbidden));
                }
            }
        }
        if let (true, Some((address, forbidden))) = (allowed.is_empty(), refused) {
            return Err(Failure::new(
                ErrorType::Dns,
                format!(
                    "DNS: no address of {name} may be connected to: {address} is refused, as {forbidden}; point the name to a public address"
                ),
            ));
        }
        let mut v6 = allowed.iter().copied().filter(IpAddr::is_ipv6);
        let mut v4 = allowed.iter().copied().filter(IpAddr::is_ipv4);
        Ok([v6.next(), v4.next(), v6.next(), v4.next()].into_iter().flatten().take(TRIES_MAX).collect())
    }

    /// Connects; the words say why not.
    async fn connect(&self, target: SocketAddr) -> Result<TcpStream, &'static str> {
        let stream = match timeout(self.config.connect_timeout(), TcpStream::connect(target)).await {
            Err(_) => return Err("no answer in time (a firewall?)"),
            Ok(Err(error)) => return Err(words(&error)),
            Ok(Ok(stream)) => stream,
        };
        // The kernel's word on who is at the other end, in case anything between here and there thinks otherwise.
        let peer = stream.peer_addr().map_err(|error| words(&error))?;
        if peer != target || self.addresses.check(peer.ip()).is_err() {
            return Err("the connection went to another address");
        }
        Ok(stream)
    }
}

/// An error of the operating system, in words that the other side may read.
pub(crate) fn words(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::ConnectionAborted => "connection aborted",
        io::ErrorKind::BrokenPipe => "connection closed",
        io::ErrorKind::UnexpectedEof => "connection closed too early",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::AddrNotAvailable => "no address here to connect from",
        io::ErrorKind::TimedOut => "no answer in time",
        _ => "the connection failed",
    }
}
