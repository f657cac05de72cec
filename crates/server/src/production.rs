//! `ingam init` and `ingam serve`: a CA from a configuration file.

use std::io::Write;
use std::path::{Path, PathBuf};

use ingam_signer::Hierarchy;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::End;
use crate::config::{Config, Environment};
use crate::dev::{hierarchy, server_config};
use crate::serve::{Running, Sources, StartError, StateLock};

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
    let config = read(&options.config)?;
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
    let config = read(&options.config)?;
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
    let chain = chain(&config)?;
    let leaf = chain.first().cloned().unwrap_or_default();
    let tls = server_config(chain, key(&config)?)?;
    let end = End::listen()?;
    let running = Running::start(&config, lock, loaded, made, tls, metrics, &sources).await?;
    running.health().watch_certificate("https", "acme", &leaf);
    tracing::info!(directory = format!("{}/dir", config.urls.acme.trim_end_matches('/')), "listening");
    let told = writeln!(std::io::stdout(), "ready");
    if told.is_ok() {
        end.come().await;
    }
    running.stop().await;
    told.map_err(|error| StartError::new(format!("standard output: {error}")))
}

fn read(path: &Path) -> Result<Config, StartError> {
    let config = Config::read(path)?;
    config.check()?;
    if config.environment == Environment::Production {
        return Err(StartError::new(
            "environment = \"production\" needs encrypted keys, several perspectives and CT, which this version does \
             not have: use \"staging\"",
        ));
    }
    Ok(config)
}

fn named<'a>(file: Option<&'a PathBuf>, key: &str) -> Result<&'a PathBuf, StartError> {
    file.ok_or_else(|| StartError::new(format!("tls.{key} is missing: ACME is served over https alone")))
}

fn chain(config: &Config) -> Result<Vec<Vec<u8>>, StartError> {
    let path = named(config.tls.certificate.as_ref(), "certificate")?;
    let failed = |error| StartError::new(format!("tls.certificate {}: {error}", path.display()));
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .map(|certificate| certificate.map(|der| der.as_ref().to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if chain.is_empty() {
        return Err(StartError::new(format!("tls.certificate {} holds no certificate", path.display())));
    }
    Ok(chain)
}

fn key(config: &Config) -> Result<Vec<u8>, StartError> {
    let path = named(config.tls.key.as_ref(), "key")?;
    let key = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| {
        StartError::new(format!(
            "tls.key {} holds no PKCS #8 key (BEGIN PRIVATE KEY): {error}",
            path.display()
        ))
    })?;
    Ok(key.secret_pkcs8_der().to_vec())
}
