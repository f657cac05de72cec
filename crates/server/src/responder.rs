//! `ingam serve --role responder`: a process that answers OCSP from what a CA has signed in advance. No store, no account, and no key but
//! perhaps one for answers, which the CA certified.
//!
//! ```text
//! the CA's /answers, or a folder ──▶ Following: verified, kept ──▶ tables in memory ──▶ Responder ──▶ whoever asks
//! ```

mod health;
mod https;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingam_journal::files::{Disk, Files};
use ingam_protocol::time::Clock;
use ingam_protocol::{Finding, pem};
use ingam_responder::Following;
use ingam_signer::AnswerKey;
use metrics_exporter_prometheus::PrometheusHandle;
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::config::Config;
use crate::hierarchy;
use crate::listener::{bind, bind_shared, stopped};
use crate::production::protect_memory;
use crate::role::RoleProcess;
use crate::serve::{StartError, StateLock};
use crate::system::SystemClock;

use health::ResponderHealth;
use https::Https;

/// How many bytes an Ed25519 public key has (RFC 8032, section 5.1.5).
const KEY_BYTES: usize = 32;

/// Runs the responder until it is told to end.
pub(crate) async fn serve(file: &Path, metrics: PrometheusHandle) -> Result<(), StartError> {
    let config = Config::read_responder(file, SystemClock.now())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let answers = &config.answers;
    let source = answers.source().ok_or_else(|| StartError::new("answers.url is missing"))?;
    let key = answers.key.as_deref().ok_or_else(|| StartError::new("answers.key is missing"))?;
    let key = answers_key(key)?;
    let https = Https::read(&config)?;
    let folder = config.state.join("answers");
    std::fs::create_dir_all(&folder).map_err(|error| {
        StartError::caused(&format!("the folder {} cannot be made", folder.display()), &error)
    })?;
    let _lock = StateLock::take(&config.state)?;
    let own = match delegate_key(&config)? {
        Some(key) => Some((key, signed_files(&config.state.join("signed"))?)),
        None => None,
    };
    let asked = bind_shared("publication", &config.listen.publication, config.responder.threads());
    let asked = asked.map_err(StartError::new)?;
    let hidden = bind("publication_tls", &config.listen.publication_tls).map_err(StartError::new)?;
    let watched = bind("metrics", &config.listen.metrics).map_err(StartError::new)?;
    let begun = Following::begin(&config.responder, source, key, folder, own, clock.clone()).await;
    let (responder, following) = begun.map_err(StartError::new)?;
    let condition = following.condition();
    let health = ResponderHealth::new(&config, clock, condition, responder.clone(), https.clone());
    let mut process = RoleProcess::new(&config, Arc::new(health), metrics, watched);
    let served = process.serve_ocsp(&responder, asked);
    served.map_err(|error| StartError::caused("OCSP has no threads to be answered by", &error))?;
    let recorder = responder.clone();
    process.finish(|stopping| async move { recorder.run_recorder(stopped(stopping)).await });
    if let Some(https) = &https {
        process.serve_ocsp_tls(&responder, hidden.into(), https.acceptor()?);
        process.keep(https.clone().keep());
    }
    let period = Duration::from_millis(answers.poll_ms);
    process.keep(following.run(period, std::future::pending()));
    tracing::info!(listen = ?config.listen.publication, tls = ?config.listen.publication_tls, "listening");
    process.run(async || read_again(https.as_deref()).await).await
}

/// Of all that the process goes by, the https certificate alone can be another without a restart.
async fn read_again(https: Option<&Https>) {
    match https {
        Some(https) => https.look().await,
        None => tracing::info!("there is nothing to be read again: restart this process"),
    }
}

/// The responder's own key, if it has one.
fn delegate_key(config: &Config) -> Result<Option<AnswerKey>, StartError> {
    let Some(location) = &config.answers.delegate_key else { return Ok(None) };
    protect_memory();
    let pin = hierarchy::pin(config)?;
    AnswerKey::open(location, pin.as_ref())
        .map(Some)
        .map_err(|error| StartError::caused("answers.delegate_key cannot be used", &error))
}

/// The folder for the record of what is signed here.
fn signed_files(folder: &Path) -> Result<Arc<dyn Files>, StartError> {
    let failed =
        |error| StartError::caused(&format!("the folder {} cannot be made", folder.display()), &error);
    Ok(Arc::new(Disk::open(folder).map_err(failed)?))
}

/// The key by which the CA's answers are known, its 32 bytes, from its PEM file.
///
/// # Errors
/// [`Finding`] if that cannot be read, or has no public key for Ed25519.
pub(crate) fn answers_key(path: &Path) -> Result<Vec<u8>, Finding> {
    let wrong = |why: &str| {
        let fix = "give what `openssl pkey -in answers.key -pubout` writes of the CA's responder.publish_key";
        Finding::error("answers.key", format!("cannot be used: {}: {why}", path.display()), fix)
    };
    let file = std::fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    let info = pem::public_key_info(&file).ok_or_else(|| wrong("it has no public key in PEM"))?;
    let key = SubjectPublicKeyInfo::from_der(&info).ok().map(|(_, info)| info);
    let key = key.filter(|info| info.algorithm.algorithm == OID_SIG_ED25519);
    key.map(|info| info.subject_public_key.data.to_vec())
        .filter(|key| key.len() == KEY_BYTES)
        .ok_or_else(|| wrong("its key is not for Ed25519"))
}
