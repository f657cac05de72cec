//! `ingam serve`: a CA from a configuration file; and what production asks of one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingam_protocol::Finding;
use ingam_protocol::time::Clock;
use ingam_signer::Hierarchy;
use ingam_signer::hierarchy::{KeyFile, KeyOwner};
use ingam_signer::memory::{self, Locked, Protected};
use metrics_exporter_prometheus::PrometheusHandle;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::config::{Config, Environment, Role};
use crate::notify::{self, State};
use crate::reload::CertificateSource;
use crate::serve::{Keys, Ports, Running, Sources, Start, StartError, StateLock};
use crate::served_certificate::{ServedCertificate, ServerIdentity};
use crate::system::SystemClock;
use crate::{End, hierarchy, perspective, responder, signer};

/// What the command line of `serve` says.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What the process is
    #[arg(long, value_enum, default_value_t)]
    role: Role,
}

/// Runs the CA until it is told to end.
pub(crate) async fn serve(options: &Serve, metrics: PrometheusHandle) -> Result<(), StartError> {
    if options.role == Role::Perspective {
        return perspective::serve(&options.config, metrics).await;
    }
    if options.role == Role::Responder {
        return responder::serve(&options.config, metrics).await;
    }
    if options.role == Role::Signer {
        return signer::serve(&options.config, metrics).await;
    }
    let config = Config::read(&options.config, SystemClock.now())?;
    protect_memory();
    let is_apart = config.signer.at.is_some();
    if !is_apart && !Hierarchy::is_in(&config.state) {
        return Err(StartError::new(format!(
            "{} has no hierarchy.json: if this is to be a new CA, make one with `ingam init --config {}`",
            config.state.display(),
            options.config.display()
        )));
    }
    let sources = Sources::of_the_system();
    let lock = StateLock::take(&config.state)?;
    let keys = match is_apart {
        true => Keys::Apart,
        false => {
            check_keys(&config)?;
            Keys::Here(hierarchy::load(&config)?)
        }
    };
    let (certificate, certificate_source) = https(&config, &keys)?;
    let end = End::listen()?;
    let file = options.config.clone();
    let start = Start {
        config: config.clone(),
        lock,
        ports: Ports::bind(&config).await?,
        keys,
        made: Vec::new(),
        certificate,
        certificate_source,
        read: Box::new(move || Config::read(&file, SystemClock.now())),
        metrics,
        sources,
    };
    let running = Running::start(start).await?;
    tracing::info!(directory = format!("{}/dir", config.urls.public_url.trim_end_matches('/')), "listening");
    let told = writeln!(std::io::stdout(), "ready");
    if told.is_ok() {
        notify::tell(State::Ready);
        end.come().await;
    }
    notify::tell(State::Stopping);
    running.stop().await;
    told.map_err(|error| StartError::new(format!("standard output: {error}")))
}

/// What the https listeners show at first, and where the next one comes from.
fn https(config: &Config, keys: &Keys) -> Result<(Arc<ServedCertificate>, CertificateSource), StartError> {
    if !config.listen.has_https() {
        return Ok((ServedCertificate::none(), CertificateSource::Nowhere));
    }
    if config.tls.issue.is_some() {
        // It can be issued once the CA stands, which is before anything listens.
        return Ok((ServedCertificate::none(), CertificateSource::Issued));
    }
    let identity = ServerIdentity::read(config)?;
    if let Keys::Here(hierarchy) = keys
        && let Some(owner) = identity.chain.first().and_then(|leaf| hierarchy.owner_of_key(leaf))
    {
        return Err(StartError::new(format!(
            "tls.certificate is for the key of '{owner}', which signs for the CA and must serve nothing else: make a key and a \
             certificate of its own for https"
        )));
    }
    Ok((ServedCertificate::new(&identity)?, CertificateSource::Files))
}

/// Before the first key is in memory.
pub(crate) fn protect_memory() {
    let Protected { locked, undumpable } = memory::protect();
    if locked == Locked::All && undumpable {
        tracing::info!("all memory is kept out of swap and core dumps");
    } else {
        tracing::warn!(
            locked = locked.name(),
            undumpable,
            "not all memory is kept out of swap and core dumps: let RLIMIT_MEMLOCK be unlimited (LimitMEMLOCK=infinity in a \
             unit), and see docs/operations/keys-and-backups.md"
        );
    }
}

/// In production, refuses keys that lie open, and warns of a root's key that is still here.
pub(crate) fn check_keys(config: &Config) -> Result<(), StartError> {
    if config.environment != Environment::Production {
        return Ok(());
    }
    let files = Hierarchy::key_files(&config.state)
        .map_err(|error| StartError::caused("the CA's keys cannot be looked at", &error))?;
    let refusals = key_refusals(&files);
    if !refusals.is_empty() {
        let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        return Err(StartError::new(lines.join("\n")));
    }
    if let Some(root) = files.iter().find(|file| file.owner == KeyOwner::Root) {
        tracing::warn!(
            file = %root.path.display(),
            "the root's key is on this machine: it belongs offline. Copy the file to two media, try the copies, and \
             delete it here (docs/operations/keys-and-backups.md)"
        );
    }
    Ok(())
}

/// Every key of the state folder that production does not allow.
pub(crate) fn key_refusals(files: &[KeyFile]) -> Vec<Finding> {
    let open = files.iter().filter(|file| !file.is_encrypted);
    let refusal = |file: &KeyFile| {
        let path = file.path.display();
        let (what, fix) = match &file.owner {
            KeyOwner::Issuer(name) => (
                format!("has {path}, the key of the issuer {name}, unencrypted"),
                "encrypt it as docs/operations/keys-and-backups.md says",
            ),
            KeyOwner::Root => (
                format!("has {path}, the root's key, unencrypted"),
                "encrypt it, take it offline, and delete it here (docs/operations/keys-and-backups.md)",
            ),
            KeyOwner::Nobody => (
                format!("has {path}, an unencrypted key that belongs to no issuer"),
                "take it away from here",
            ),
        };
        Finding::error("state", format!("{what}: environment = \"production\" does not allow that"), fix)
    };
    open.map(refusal).collect()
}

fn missing(key: &str) -> Finding {
    Finding::error(
        key,
        "is missing: https needs a certificate",
        "name a PEM file, or let the CA issue it by tls.issue",
    )
}

/// The chain of the https listeners, leaf first.
///
/// # Errors
/// [`Finding`] about `tls.certificate`.
pub(crate) fn chain(config: &Config) -> Result<Vec<Vec<u8>>, Finding> {
    let key = "tls.certificate";
    let path = config.tls.certificate.as_ref().ok_or_else(|| missing(key))?;
    chain_of(key, path)
}

/// The certificates of a PEM file, at least one; `key` is what names it.
///
/// # Errors
/// [`Finding`] about `key`.
pub(crate) fn chain_of(key: &str, path: &Path) -> Result<Vec<Vec<u8>>, Finding> {
    let unusable = |why: String| {
        let fix = "give a PEM file with the certificate and its chain, the certificate first";
        Finding::error(key, format!("is {}, {why}", path.display()), fix)
    };
    let failed = |error: pem::Error| unusable(format!("which cannot be read: {}", pem_words(&error)));
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .map(|certificate| certificate.map(|der| der.as_ref().to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if chain.is_empty() { Err(unusable("which holds no certificate".to_owned())) } else { Ok(chain) }
}

/// The key of the https listeners, PKCS #8.
///
/// # Errors
/// [`Finding`] about `tls.key`.
pub(crate) fn key(config: &Config) -> Result<Vec<u8>, Finding> {
    let path = config.tls.key.as_ref().ok_or_else(|| missing("tls.key"))?;
    key_of("tls.key", path)
}

/// The key of a PEM file, PKCS #8; `name` is what names it.
///
/// # Errors
/// [`Finding`] about `name`.
pub(crate) fn key_of(name: &str, path: &Path) -> Result<Vec<u8>, Finding> {
    let key = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| {
        let reason = format!("is {}, which cannot be read: {}", path.display(), pem_words(&error));
        Finding::error(name, reason, "give a PEM file with a PKCS #8 key (BEGIN PRIVATE KEY)")
    })?;
    Ok(key.secret_pkcs8_der().to_vec())
}

fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
