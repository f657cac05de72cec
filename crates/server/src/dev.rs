//! `ingam dev`: a whole CA in one process, for people who write or test ACME clients.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ingam_protocol::operator::Principal;
use ingam_protocol::time::Clock;
use ingam_signer::tls::DevTls;
use ingam_validation::Server;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::End;
use crate::admin::socket_path;
use crate::config::{Config, ConfigError, RateLimits, Reading};
use crate::hierarchy::load_or_make;
use crate::reload::CertificateSource;
use crate::serve::{Keys, Ports, Running, Sources, Start, StartError, StateLock, call_own_doors};
use crate::served_certificate::{ServedCertificate, ServerIdentity};
use crate::system::SystemClock;

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
    /// Has rate limits like those of public CAs (as config/server.toml shows them), where --config sets no others
    #[arg(long)]
    limits: bool,
    /// Holds names to the rules of the public web: none of special use (as .test), no public suffixes, none of the CA itself
    #[arg(long)]
    public_rules: bool,
}

/// Runs until it is told to end.
pub(crate) async fn run(options: Dev, metrics: PrometheusHandle) -> Result<(), StartError> {
    let resolver = options.dns.as_deref().map(resolve).transpose()?;
    let file = options.config.clone();
    let over = Over { resolver, limits: options.limits, public_rules: options.public_rules };
    let mut config = configuration(file.as_deref(), over)?;
    if config.tls.issue.is_some() {
        return Err(StartError::new(
            "tls.issue is not for `ingam dev`, which makes its own certificate: remove it",
        ));
    }
    if config.signer.at.is_some() {
        return Err(StartError::new(
            "signer.at is for `ingam serve`: `ingam dev` has its keys in its own process, so leave it out",
        ));
    }
    // A folder that is there may be another process's, which says more than ports do. One that is not is not made in vain.
    let known = options.dir.as_deref().filter(|dir| dir.is_dir());
    let lock = known.map(StateLock::take).transpose()?;
    let ports = Ports::bind(&config).await?;
    // Removed when this function ends.
    let throwaway = match options.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("ingam-dev-").tempdir().map_err(|error| {
            StartError::new(format!("no temporary folder can be made: {error}; give one with --dir"))
        })?),
    };
    let state = match (&options.dir, &throwaway) {
        (Some(dir), _) => make_folder(dir)?,
        (None, Some(folder)) => folder.path().to_owned(),
        (None, None) => return Err(StartError::new("there is no folder for state")),
    };
    config.state = state.clone();
    let sources = Sources::of_the_system();
    let lock = lock.map_or_else(|| StateLock::take(&config.state), Ok)?;
    let (hierarchy, made) = load_or_make(&config, &sources)?;
    let tls = DevTls::load_or_create(&config.state, sources.clock.as_ref(), sources.random.as_ref())
        .map_err(|error| StartError::caused("the certificate of the https endpoints", &error))?;
    let pkcs8 = tls.key.pkcs8().to_vec().into();
    let certificate =
        ServedCertificate::new(&ServerIdentity { chain: vec![tls.certificate.clone()], pkcs8 })?;
    let end = End::listen()?;
    let read = move || Ok(Config { state: state.clone(), ..configuration(file.as_deref(), over)? });
    let start = Start {
        config: config.clone(),
        lock,
        ports,
        keys: Keys::Here(hierarchy),
        made,
        certificate,
        certificate_source: CertificateSource::Made,
        read: Box::new(read),
        metrics,
        sources,
    };
    let running = Running::start(start).await?;
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

/// What the command line lays over the configuration.
#[derive(Clone, Copy)]
struct Over {
    resolver: Option<SocketAddr>,
    limits: bool,
    public_rules: bool,
}

/// The built-in configuration with the file, if there is one, and the command line's wishes over it. Whoever runs it is its
/// administrator.
fn configuration(file: Option<&Path>, over: Over) -> Result<Config, ConfigError> {
    let Over { resolver, limits, public_rules } = over;
    let mut reading = Reading::of_development(file)?;
    let config = &mut reading.config;
    if limits {
        config.rate_limits = config.rate_limits.or(RateLimits::USUAL);
    }
    if public_rules {
        config.issuance.public_rules = Some(true);
    }
    match resolver {
        Some(address) => {
            config.validation.resolvers = vec![address.into()];
            config.listen.dns.clear();
            config.listen.dns_management.clear();
        }
        None if !config.listen.dns.is_empty() => {
            config.validation.resolvers = config.listen.dns.iter().copied().map(Server::from).collect();
        }
        None => {}
    }
    config.operator.administrators.push(Principal::User(rustix::process::getuid().as_raw()).to_string());
    reading.checked(SystemClock.now())
}

fn resolve(text: &str) -> Result<SocketAddr, StartError> {
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

/// Tells a newcomer everything that is needed, then `ready`.
fn greet(config: &Config) -> std::io::Result<()> {
    let acme = config.urls.public_url.trim_end_matches('/');
    let publication = config.urls.publication.trim_end_matches('/');
    let state = config.state.display();
    let ca = config.state.join("tls-ca.pem");
    let ca = ca.display();
    let http_port = config.validation.http_port;
    let port = |addresses: &[SocketAddr]| addresses.first().map_or(0, SocketAddr::port);
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
    if let Some(address) = config.listen.ct_log.first() {
        writeln!(out, "  Test CT logs     http://{address}/log-list.json, made to behave at /set-manner")?;
    }
    writeln!(
        out,
        "  Challenges       http-01 on port {http_port}, tls-alpn-01 on port {}",
        config.validation.tls_alpn_port
    )?;
    writeln!(out, "  Admin API        ingam admin --socket {} whoami", socket_path(config).display())?;
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
