//! `ingam dev`: a whole CA in one process, for people who write or test ACME clients.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingam_signer::hierarchy::{IssuerPlan, Plan};
use ingam_signer::tls::DevTls;
use ingam_signer::{Hierarchy, KeyKind as SignerKey};
use metrics_exporter_prometheus::PrometheusHandle;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::End;
use crate::config::{Config, KeyKind, issuer_name};
use crate::serve::{Running, Sources, StartError, StateLock, call_own_doors};

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(crate) struct Dev {
    /// Keeps all state in this folder, and goes on from what is in it; without it, state goes with the process
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Lays this TOML file over the built-in configuration (config/development.toml)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Asks this resolver instead of the test DNS server, which is then not started
    #[arg(long, value_name = "HOST:PORT")]
    dns: Option<String>,
}

/// Runs until it is told to end.
pub(crate) async fn run(options: Dev, metrics: PrometheusHandle) -> Result<(), StartError> {
    let mut config = Config::read_development(options.config.as_deref())?;
    let resolver = options.dns.as_deref().map(resolve).transpose()?;
    match resolver {
        Some(address) => {
            config.validation.resolvers = vec![address];
            config.listen.dns.clear();
            config.listen.dns_management.clear();
        }
        None if !config.listen.dns.is_empty() => config.validation.resolvers = config.listen.dns.clone(),
        None => {}
    }
    config.check()?;
    // Removed when this function ends.
    let throwaway = match options.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("ingam-dev-").tempdir().map_err(|error| {
            StartError::new(format!("no temporary folder can be made: {error}; give one with --dir"))
        })?),
    };
    config.state = match (&options.dir, &throwaway) {
        (Some(dir), _) => make_folder(dir)?,
        (None, Some(folder)) => folder.path().to_owned(),
        (None, None) => return Err(StartError::new("there is no folder for state")),
    };
    let sources = Sources::of_the_system();
    let lock = StateLock::take(&config.state)?;
    let (hierarchy, made) = hierarchy(&config, &sources)?;
    let tls = DevTls::load_or_create(&config.state, sources.clock.as_ref(), sources.random.as_ref())
        .map_err(|error| StartError::caused("the certificate of the https endpoints", &error))?;
    let server = server_config(vec![tls.certificate.clone()], tls.key.pkcs8().to_vec())?;
    let end = End::listen()?;
    let running = Running::start(&config, lock, hierarchy, made, server, metrics, &sources).await?;
    running.health().watch_certificate("https", "acme", &tls.certificate);
    let greeted = match call_own_doors(&config, &tls.ca_certificate).await {
        Ok(()) => greet(&config).map_err(|error| StartError::new(format!("standard output: {error}"))),
        Err(error) => Err(error),
    };
    if greeted.is_ok() {
        end.come().await;
    }
    running.stop().await;
    greeted
}

fn resolve(text: &str) -> Result<std::net::SocketAddr, StartError> {
    use std::net::ToSocketAddrs;
    let mut addresses = text.to_socket_addrs().map_err(|error| {
        StartError::new(format!("--dns {text} is no address and port, as in 127.0.0.1:53 ({error})"))
    })?;
    addresses.next().ok_or_else(|| StartError::new(format!("--dns {text} has no address")))
}

fn make_folder(dir: &Path) -> Result<PathBuf, StartError> {
    let unwritable = |error: std::io::Error| {
        StartError::new(format!(
            "the folder {} cannot be used: {error}; choose another with --dir",
            dir.display()
        ))
    };
    std::fs::create_dir_all(dir).map_err(unwritable)?;
    dir.canonicalize().map_err(unwritable)
}

/// The hierarchy in the state folder; a new one where there is none, with the certificates that were made for it.
pub(crate) fn hierarchy(config: &Config, sources: &Sources) -> Result<(Hierarchy, Vec<Vec<u8>>), StartError> {
    if Hierarchy::is_in(&config.state) {
        let loaded = Hierarchy::load(&config.state)
            .map_err(|error| StartError::caused("the CA's hierarchy cannot be loaded", &error))?;
        return Ok((loaded, Vec::new()));
    }
    refuse_second_life(&config.state)?;
    let issuers = config.hierarchy.issuers.iter().map(|(name, key)| {
        let key = match key {
            KeyKind::EcdsaP256 => SignerKey::EcdsaP256,
            KeyKind::Rsa2048 => SignerKey::Rsa2048,
        };
        Ok(IssuerPlan { name: issuer_name(name)?, key })
    });
    let plan = Plan {
        country: config.hierarchy.country.clone(),
        organization: config.hierarchy.organization.clone(),
        root: issuer_name(&config.hierarchy.root)?,
        issuers: issuers.collect::<Result<_, crate::config::ConfigError>>()?,
    };
    let failed = |error| StartError::caused("the CA's hierarchy cannot be made", &error);
    let hierarchy =
        Hierarchy::create(&plan, sources.clock.as_ref(), sources.random.as_ref()).map_err(failed)?;
    hierarchy.save(&config.state).map_err(failed)?;
    let root = hierarchy.root.certificate.clone();
    let made = hierarchy.intermediates.iter().map(|intermediate| intermediate.certificate.clone());
    let made = std::iter::once(root).chain(made).collect();
    // Loaded again, as any later start does: what was saved is what is used.
    let loaded = Hierarchy::load(&config.state).map_err(failed)?;
    Ok((loaded, made))
}

/// A folder that was once a CA is never made a new one: its keys would be lost, and its certificates without a status.
fn refuse_second_life(state: &Path) -> Result<(), StartError> {
    let traces = ["store.redb", "store.redb.log", "store.sled", "journal"];
    match traces.iter().find(|name| state.join(name).exists()) {
        None => Ok(()),
        Some(trace) => Err(StartError::new(format!(
            "{0} has no hierarchy.json, but {trace} of a CA that has lived: restore hierarchy.json, keys/, issuers/ and \
             roots/ from a backup, or choose another folder",
            state.display()
        ))),
    }
}

/// TLS for the https listeners: a chain, leaf first, and its key as PKCS #8.
pub(crate) fn server_config(chain: Vec<Vec<u8>>, pkcs8: Vec<u8>) -> Result<Arc<ServerConfig>, StartError> {
    let failed = |error: rustls::Error| StartError::caused("the certificate of the https endpoints", &error);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(failed)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Tells a newcomer everything that is needed, then `ready`.
fn greet(config: &Config) -> std::io::Result<()> {
    let acme = config.urls.acme.trim_end_matches('/');
    let publication = config.urls.publication.trim_end_matches('/');
    let state = config.state.display();
    let ca = config.state.join("tls-ca.pem");
    let ca = ca.display();
    let http_port = config.validation.http_port;
    let port = |addresses: &[std::net::SocketAddr]| addresses.first().map_or(0, std::net::SocketAddr::port);
    let mut out = std::io::stdout().lock();
    writeln!(out, "A CA for development: nobody trusts it, and nobody should.\n")?;
    writeln!(out, "  ACME directory   {acme}/dir")?;
    writeln!(out, "  OCSP             {publication}/ocsp")?;
    for name in config.hierarchy.issuers.keys() {
        writeln!(out, "  CRL, issuer      {publication}/crl/{name}.crl  {publication}/issuer/{name}.crt")?;
    }
    writeln!(out, "  Roots            {publication}/roots.pem")?;
    if !config.listen.management.is_empty() {
        let management = port(&config.listen.management);
        writeln!(
            out,
            "  Management       https://localhost:{management}/roots/0  https://localhost:{management}/intermediates/0"
        )?;
    }
    if !config.listen.metrics.is_empty() {
        let metrics = port(&config.listen.metrics);
        writeln!(
            out,
            "  Metrics, health  http://localhost:{metrics}/metrics  http://localhost:{metrics}/readyz"
        )?;
    }
    if let Some(address) = config.listen.dns.first() {
        let management = config.listen.dns_management.first();
        let api =
            management.map_or(String::new(), |address| format!(", told what to say at http://{address}"));
        writeln!(out, "  Test DNS         {address}{api}; every name resolves to 127.0.0.1")?;
    }
    writeln!(
        out,
        "  Challenges       http-01 on port {http_port}, tls-alpn-01 on port {}",
        config.validation.tls_alpn_port
    )?;
    writeln!(out, "  State            {state}")?;
    writeln!(out, "  Root             {state}/roots/{}.pem", config.hierarchy.root)?;
    writeln!(out, "  https CA         {ca}\n")?;
    writeln!(out, "Try it with certbot:\n")?;
    writeln!(
        out,
        "  REQUESTS_CA_BUNDLE={ca} certbot certonly --server {acme}/dir --standalone --http-01-port {http_port} \
         -d www.example.test --register-unsafely-without-email --agree-tos -n \
         --config-dir certbot --work-dir certbot --logs-dir certbot\n"
    )?;
    writeln!(out, "or with lego:\n")?;
    writeln!(
        out,
        "  LEGO_CA_CERTIFICATES={ca} lego --server {acme}/dir --accept-tos --email you@example.org \
         --http --http.port :{http_port} --domains www.example.test --path lego run\n"
    )?;
    writeln!(out, "ready")?;
    out.flush()
}
