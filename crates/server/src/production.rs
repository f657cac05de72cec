//! `ingam init` and `ingam serve`: a CA from a configuration file.

use std::io::Write;
use std::path::PathBuf;

use ingam_protocol::Finding;
use ingam_protocol::time::Clock;
use ingam_signer::Hierarchy;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::End;
use crate::config::Config;
use crate::dev::hierarchy;
use crate::reload::CertificateSource;
use crate::serve::{Running, Sources, Start, StartError, StateLock};
use crate::served_certificate::{ServedCertificate, ServerIdentity};
use crate::system::SystemClock;

/// What the command line of `init` says.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What the command line of `serve` says.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Makes the hierarchy of the configuration in its state folder, once.
pub(crate) fn init(options: &Init) -> Result<(), StartError> {
    let config = Config::read(&options.config, SystemClock.now())?;
    let state = &config.state;
    std::fs::create_dir_all(state).map_err(|error| {
        StartError::new(format!("the state folder {} cannot be made: {error}", state.display()))
    })?;
    let _lock = StateLock::take(state)?;
    if Hierarchy::is_in(state) {
        return Err(StartError::new(format!(
            "{} already has a hierarchy: a CA's keys are made once; start it with `ingam serve`",
            state.display()
        )));
    }
    if state.join("keys").exists() {
        return Err(StartError::new(format!(
            "{0} has keys, but no hierarchy.json: restore that from a backup; or, if an earlier `ingam init` was broken \
             off, remove {0}/keys, {0}/issuers and {0}/roots, and try again",
            state.display()
        )));
    }
    hierarchy(&config, &Sources::of_the_system())?;
    let told = writeln!(
        std::io::stdout(),
        "The hierarchy is in {0}: {0}/roots/{1}.pem is what clients trust, {0}/keys holds the keys.",
        state.display(),
        config.hierarchy.root
    );
    told.map_err(|error| StartError::new(format!("standard output: {error}")))
}

/// Runs the CA until it is told to end.
pub(crate) async fn serve(options: &Serve, metrics: PrometheusHandle) -> Result<(), StartError> {
    let config = Config::read(&options.config, SystemClock.now())?;
    if !Hierarchy::is_in(&config.state) {
        return Err(StartError::new(format!(
            "{} has no hierarchy.json: if this is to be a new CA, make one with `ingam init --config {}`",
            config.state.display(),
            options.config.display()
        )));
    }
    let sources = Sources::of_the_system();
    let lock = StateLock::take(&config.state)?;
    let (loaded, made) = hierarchy(&config, &sources)?;
    let certificate = ServedCertificate::new(&ServerIdentity::read(&config)?)?;
    let end = End::listen()?;
    let file = options.config.clone();
    let start = Start {
        config: config.clone(),
        lock,
        hierarchy: loaded,
        made,
        certificate,
        certificate_source: CertificateSource::Files,
        read: Box::new(move || Config::read(&file, SystemClock.now())),
        metrics,
        sources,
    };
    let running = Running::start(start).await?;
    tracing::info!(directory = format!("{}/dir", config.urls.acme.trim_end_matches('/')), "listening");
    let told = writeln!(std::io::stdout(), "ready");
    if told.is_ok() {
        end.come().await;
    }
    running.stop().await;
    told.map_err(|error| StartError::new(format!("standard output: {error}")))
}

fn missing(key: &str) -> Finding {
    Finding::error(key, "is missing: ACME is served over https alone", "name a PEM file")
}

/// The chain of the https listeners, leaf first.
///
/// # Errors
/// [`Finding`] about `tls.certificate`.
pub(crate) fn chain(config: &Config) -> Result<Vec<Vec<u8>>, Finding> {
    let key = "tls.certificate";
    let path = config.tls.certificate.as_ref().ok_or_else(|| missing(key))?;
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
    let key = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| {
        let reason = format!("is {}, which cannot be read: {}", path.display(), pem_words(&error));
        Finding::error("tls.key", reason, "give a PEM file with a PKCS #8 key (BEGIN PRIVATE KEY)")
    })?;
    Ok(key.secret_pkcs8_der().to_vec())
}

fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
