//! What the resolvers of all validations are made of: checked configuration, TLS, trust anchors. No answer is here.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use trust_dns_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverOpts, ServerOrderingStrategy,
};
use trust_dns_resolver::net::runtime::TokioRuntimeProvider;
use trust_dns_resolver::net::xfer::RetryDnsHandle;
use trust_dns_resolver::proto::dnssec::TrustAnchors;
use trust_dns_resolver::proto::op::DnsRequestOptions;
use trust_dns_resolver::proto::rr::Name;
use trust_dns_resolver::proto::serialize::txt::trust_anchor::{Entry, Parser};
use trust_dns_resolver::recursor::{DnssecPolicy, QNameMinimization, Recursor, RecursorOptions};
use trust_dns_resolver::{NameServerPool, PoolContext, TlsConfig};

use super::Resolver;
use super::answer::Judge;
use super::connection::{Connections, Recursion};
use super::notes::Notes;
use super::silence::Silences;
use super::upstream::{Source, Upstream};
use crate::config::{Config, ConfigError, Dnssec, Server, Transport};

/// The EDNS buffer size that does not fragment on today's paths.
const EDNS_PAYLOAD_BYTES: u16 = 1232;

/// Into how many parts recursion's time is cut, so that one dead name server does not use it up.
const RECURSION_DIVISOR: u32 = 8;

/// The most delegations that one validation's recursion remembers.
const DELEGATIONS_MAX: usize = 128;

/// The parts of resolvers. Each validation has one of its own, which nothing is handed on from.
pub(crate) struct Setup {
    servers: Vec<(SocketAddr, NameServerConfig)>,
    silences: Arc<Silences>,
    recursion: Option<Arc<Recursion>>,
    tls: ClientConfig,
    trust: Trust,
    /// Whether it has to be asked first if there is anything to be proven.
    asks_for_root: bool,

    tries: u8,
    lookup_timeout: Duration,
}

/// What answers are held against.
struct Trust {
    anchors: Option<Arc<TrustAnchors>>,
    judge: Judge,
}

impl Trust {
    const BLIND: Self = Self { anchors: None, judge: Judge::Credulous };
}

impl Setup {
    /// Reads what the configuration names.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let trust = match config.dnssec {
            Dnssec::Off => Trust::BLIND,
            Dnssec::Validate | Dnssec::WhenSigned => {
                let (anchors, signed_below) = match &config.trust_anchors {
                    Some(path) => trust_anchors(path)?,
                    None => (TrustAnchors::default(), Vec::new()),
                };
                Trust { anchors: Some(Arc::new(anchors)), judge: Judge::Strict { signed_below } }
            }
        };
        let recursion = Recursion {
            port: config.dns_port,
            roots: config.root_hints.iter().flat_map(|hint| hint.addresses()).collect(),
            addresses: config.connectable(),
        };
        Ok(Self {
            servers: config.resolvers.iter().map(|server| (server.address(), name_server(server))).collect(),
            silences: Arc::new(Silences::new(config.resolvers.iter().map(Server::address))),
            recursion: (!recursion.roots.is_empty()).then(|| Arc::new(recursion)),
            tls: tls(config)?,
            trust,
            // Whoever names anchors knows what is signed.
            asks_for_root: config.dnssec == Dnssec::WhenSigned && config.trust_anchors.is_none(),
            tries: config.lookup_tries.max(1),
            lookup_timeout: config.lookup_timeout(),
        })
    }

    /// A resolver for one validation: one that wants proofs, but with `when-signed` where nobody could give any.
    pub(crate) async fn resolver(&self) -> Resolver {
        let resolver = self.make(&self.trust);
        if self.asks_for_root && !resolver.has_signed_root().await {
            return self.make(&Trust::BLIND);
        }
        resolver
    }

    fn make(&self, trust: &Trust) -> Resolver {
        let notes = Arc::new(Notes::default());
        let mut request = DnsRequestOptions::default();
        request.use_edns = true;
        request.edns_payload_len = EDNS_PAYLOAD_BYTES;
        request.edns_set_dnssec_ok = trust.anchors.is_some();
        request.recursion_desired = true;
        // 0x20: the case of the question's letters must come back, which makes answers harder to forge.
        request.case_randomization = true;
        let source = match &self.recursion {
            None => self.pool(&notes),
            Some(recursion) => self.recursor(recursion, trust, &notes),
        };
        let upstream = Upstream::new(source, notes.clone(), request);
        Resolver::new(upstream, notes, trust.anchors.clone(), trust.judge.clone(), self.lookup_timeout)
    }

    fn pool(&self, notes: &Arc<Notes>) -> Source {
        let patience = self.lookup_timeout / u32::from(self.tries);
        let mut options = ResolverOpts::default();
        options.timeout = patience;
        options.try_tcp_on_error = true;
        // A try after a failure goes to the next server; in a fixed order it would go to the same one.
        options.server_ordering_strategy = ServerOrderingStrategy::RoundRobin;
        options.num_concurrent_reqs = 1;
        options.case_randomization = true;
        let context = PoolContext::new(options, TlsConfig { config: self.tls.clone() });
        let connections = self.connections(notes, None, patience);
        let pool = NameServerPool::from_config(self.awake(), Arc::new(context), connections);
        Source::Servers(RetryDnsHandle::new(pool, usize::from(self.tries.saturating_sub(1))))
    }

    /// The servers without those that kept silent a moment ago; all of them if that leaves none.
    fn awake(&self) -> Vec<NameServerConfig> {
        let all = || self.servers.iter();
        let awake: Vec<_> = all().filter(|(address, _)| !self.silences.is_resting(*address)).collect();
        let asked = if awake.is_empty() { all().collect() } else { awake };
        asked.into_iter().map(|(_, server)| server.clone()).collect()
    }

    fn recursor(&self, recursion: &Arc<Recursion>, trust: &Trust, notes: &Arc<Notes>) -> Source {
        let options = RecursorOptions {
            ns_cache_size: DELEGATIONS_MAX,
            // Each lookup asks anew; delegations alone are remembered.
            response_cache_size: 0,
            // Connections look at every address themselves.
            deny_server: Vec::new(),
            case_randomization: true,
            edns_payload_len: EDNS_PAYLOAD_BYTES,
            // Some servers say that there is no such name where there is nothing but names below.
            qname_minimization: QNameMinimization::Relaxed,
            ..RecursorOptions::default()
        };
        let policy = match trust.anchors {
            Some(_) => DnssecPolicy::ValidationDisabled,
            None => DnssecPolicy::SecurityUnaware,
        };
        let connections =
            self.connections(notes, Some(recursion.clone()), self.lookup_timeout / RECURSION_DIVISOR);
        match Recursor::new(&recursion.roots, policy, None, options, connections) {
            Ok(recursor) => Source::Roots { recursor: Box::new(recursor), tries: self.tries },
            Err(error) => {
                tracing::error!(%error, "recursion cannot be set up");
                Source::Nobody
            }
        }
    }

    fn connections(
        &self,
        notes: &Arc<Notes>,
        recursion: Option<Arc<Recursion>>,
        patience: Duration,
    ) -> Connections {
        Connections {
            runtime: TokioRuntimeProvider::default(),
            notes: notes.clone(),
            recursion,
            silences: self.silences.clone(),
            patience,
        }
    }
}

fn name_server(server: &Server) -> NameServerConfig {
    let address = server.address();
    let named = |name: &str| name.into();
    let connections = match server.transport() {
        Transport::Datagrams => vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
        Transport::Tcp => vec![ConnectionConfig::tcp()],
        Transport::Tls { name } => vec![ConnectionConfig::tls(named(name.as_str()))],
        Transport::Https { name, path } => {
            let mut connection = ConnectionConfig::tcp();
            connection.protocol =
                ProtocolConfig::Https { server_name: named(name.as_str()), path: path.as_str().into() };
            vec![connection]
        }
    };
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    NameServerConfig::new(address.ip(), true, connections.into_iter().map(at_port).collect())
}

/// TLS towards resolvers: with the CAs of the configuration or of the system, if any resolver is spoken to over TLS.
fn tls(config: &Config) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    let has_tls = config.resolvers.iter().any(Server::is_authenticated);
    match &config.resolver_roots {
        _ if !has_tls => {}
        Some(path) => {
            let unread = |error: &dyn std::fmt::Display| {
                ConfigError::new(format!("resolver_roots: {} cannot be read: {error}", path.display()))
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unread(&error))? {
                let certificate = certificate.map_err(|error| unread(&error))?;
                roots.add(certificate).map_err(|error| unread(&error))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    if has_tls && roots.is_empty() {
        return Err(ConfigError::new(
            "resolver_roots: there is no CA certificate by which to know a tls or https resolver; name a PEM file",
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new(format!("resolvers: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(client)
}

/// The keys of a file, and the names other than the root that they are of.
fn trust_anchors(path: &Path) -> Result<(TrustAnchors, Vec<Name>), ConfigError> {
    let wrong = |words: &str| ConfigError::new(format!("trust_anchors: {}: {words}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
    let entries = Parser::new(&text).parse().map_err(|error| wrong(&error.to_string()))?;
    let (mut anchors, mut names) = (TrustAnchors::empty(), Vec::new());
    for entry in entries {
        let Entry::DNSKEY(record) = entry else { return Err(wrong("it has records other than DNSKEY")) };
        anchors.insert_with_name(record.data().public_key(), record.name().into());
        names.push(record.name().clone());
    }
    if names.is_empty() {
        return Err(wrong("it has no DNSKEY record"));
    }
    names.retain(|name| !name.is_root());
    Ok((anchors, names))
}
