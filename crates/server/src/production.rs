//! `ingam serve`: a CA from a configuration file; and what production asks of one.

use std::io::Write;
use std::path::{Path, PathBuf};

use ingam_signer::Hierarchy;
use ingam_signer::hierarchy::{KeyFile, KeyOwner};
use metrics_exporter_prometheus::PrometheusHandle;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::config::{Config, Environment};
use crate::dev::server_config;
use crate::notify::{self, State};
use crate::serve::{Running, Sources, StartError, StateLock};
use crate::{End, hierarchy};

/// What the command line of `serve` says.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
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
    check_keys(&config)?;
    let loaded = hierarchy::load(&config)?;
    let tls = server_config(chain(&config)?, key(&config)?)?;
    let end = End::listen()?;
    let running = Running::start(&config, lock, loaded, Vec::new(), tls, metrics, &sources).await?;
    let directory = format!("{}/dir", config.urls.public_url.trim_end_matches('/'));
    tracing::info!(directory, "listening");
    let told = writeln!(std::io::stdout(), "ready");
    if told.is_ok() {
        notify::tell(State::Ready);
        end.come().await;
    }
    notify::tell(State::Stopping);
    running.stop().await;
    told.map_err(|error| StartError::new(format!("standard output: {error}")))
}

/// Reads a configuration, and refuses one that could not be served.
pub(crate) fn read(path: &Path) -> Result<Config, StartError> {
    let config = Config::read(path)?;
    check(&config)?;
    Ok(config)
}

/// Refuses a configuration that could not be served.
pub(crate) fn check(config: &Config) -> Result<(), StartError> {
    config.check()?;
    match refusals(config).into_iter().next() {
        None => Ok(()),
        Some(refusal) => Err(StartError::new(refusal)),
    }
}

/// Everything in a configuration that production does not allow, each a sentence with its remedy; nothing in other
/// environments. What every environment refuses is in [`Config::check`].
pub(crate) fn refusals(config: &Config) -> Vec<String> {
    if config.environment != Environment::Production {
        return Vec::new();
    }
    let public = config.profiles.iter().filter(|(_, profile)| profile.public);
    let refusal = |name: &String| {
        format!(
            "profiles.{name}.public is true, the default: the Baseline Requirements want several network perspectives and \
             Certificate Transparency, which this version does not have. In environment = \"production\", set public = \
             false in [profiles.{name}] for a private CA; for a public one, use environment = \"staging\""
        )
    };
    public.map(|(name, _)| refusal(name)).collect()
}

/// In production, refuses keys that lie open, and warns of a root's key that is still here.
fn check_keys(config: &Config) -> Result<(), StartError> {
    if config.environment != Environment::Production {
        return Ok(());
    }
    let files = Hierarchy::key_files(&config.state)
        .map_err(|error| StartError::caused("the CA's keys cannot be looked at", &error))?;
    if let Some(refusal) = key_refusals(&files).into_iter().next() {
        return Err(StartError::new(refusal));
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

/// Every key of the state folder that production does not allow, each a sentence with its remedy.
pub(crate) fn key_refusals(files: &[KeyFile]) -> Vec<String> {
    let open = files.iter().filter(|file| !file.is_encrypted);
    let refusal = |file: &KeyFile| {
        let path = file.path.display();
        match &file.owner {
            KeyOwner::Issuer(name) => format!(
                "{path}, the key of the issuer \"{name}\", is not encrypted, which environment = \"production\" asks \
                 for: encrypt it as docs/operations/keys-and-backups.md says"
            ),
            KeyOwner::Root => format!(
                "{path}, the root's key, lies here unencrypted, which environment = \"production\" does not allow: \
                 encrypt it, take it offline, and delete it here (docs/operations/keys-and-backups.md)"
            ),
            KeyOwner::Nobody => format!(
                "{path} is an unencrypted key that belongs to no issuer, which environment = \"production\" does not \
                 allow: take it away from here"
            ),
        }
    };
    open.map(refusal).collect()
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
