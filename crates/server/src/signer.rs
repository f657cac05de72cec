//! `ingam serve --role signer`: a process that holds the CA's keys and its ledger, and nothing else. No store, no accounts, no
//! network but the doors at which it is asked.
//!
//! ```text
//! CA ──▶ Unix socket or TLS with a client certificate ──▶ requests (who may ask for what) ──▶ Service ──▶ LocalSigner
//! ```
//!
//! `dial` is the way there from the CA's side.

mod dial;
mod health;
mod requests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::time::Clock;
use ingam_signer::remote::Service;
use ingam_signer::{Hierarchy, LocalSigner, Signer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_rustls::TlsAcceptor;

use crate::admin::SocketFile;
use crate::config::Config;
use crate::listener::{bind, bind_unix};
use crate::production::{chain_of, check_keys, key_of, protect_memory};
use crate::role::RoleProcess;
use crate::serve::{Sources, StartError, StateLock, local_signer};
use crate::served_certificate::{ServedCertificate, ServerIdentity};
use crate::system::SystemClock;
use crate::{delegates, hierarchy, telemetry};

use health::SignerHealth;
use requests::Requests;

pub(crate) use dial::remote_signer;

/// How often it is looked whether an OCSP certificate has to be renewed.
const RENEWAL_PERIOD: Duration = Duration::from_secs(60);

/// Runs the signer until it is told to end.
pub(crate) async fn serve(file: &Path, metrics: PrometheusHandle) -> Result<(), StartError> {
    let config = Config::read_signer(file, SystemClock.now())?;
    protect_memory();
    if !Hierarchy::is_in(&config.state) {
        return Err(StartError::new(format!(
            "signer.state {} has no hierarchy.json: move it there from the CA's state folder, with roots/, issuers/, keys/ and \
             ledger/, as docs/operations/signer.md says",
            config.state.display()
        )));
    }
    let sources = Sources::of_the_system();
    let _lock = StateLock::take(&config.state)?;
    check_keys(&config)?;
    let signer = Arc::new(local_signer(&config, hierarchy::load(&config)?, &sources)?);
    telemetry::know_issuers(signer.issuers());
    read_delegates(&signer, &config)?;
    let service = Arc::new(Service::new(signer.clone(), config.catalog()?.iter().cloned()));
    service.renew().await;
    let (unix, _file) = match &config.signer.socket {
        Some(path) => {
            let socket = bind_unix("signer.socket", path).await.map_err(StartError::new)?;
            (Some(socket), Some(SocketFile::new(path.clone())))
        }
        None => (None, None),
    };
    let tcp = bind("signer", &config.listen.signer).map_err(StartError::new)?;
    let watched = bind("metrics", &config.listen.metrics).map_err(StartError::new)?;
    let health = Arc::new(SignerHealth::new(&config, sources.clock.clone(), signer.clone()));
    let mut process = RoleProcess::new(&config, health, metrics, watched);
    let requests = Arc::new(Requests::new(&config, service.clone()));
    let answer = move |request, peer| {
        let requests = requests.clone();
        async move { requests.answer(request, peer).await }
    };
    if let Some(unix) = unix {
        process.serve("signer", unix.into(), None, answer.clone());
    }
    if !tcp.is_empty() {
        process.serve("signer", tcp.into(), Some(acceptor(&config)?), answer);
    }
    process.keep(keep_renewed(service.clone()));
    tracing::info!(socket = ?config.signer.socket, listen = ?config.listen.signer, "listening");
    process.run(async || read_again(&service, &signer, file)).await
}

/// Puts the profiles and the responders apart in force that the file has now; with a mistake in it nothing is changed.
fn read_again(service: &Service, signer: &LocalSigner, file: &Path) {
    let read = || {
        let config = Config::read_signer(file, SystemClock.now())?;
        let catalog = config.catalog()?;
        read_delegates(signer, &config)?;
        Ok::<_, StartError>(catalog)
    };
    match read() {
        Ok(catalog) => {
            service.replace_profiles(catalog.iter().cloned());
            tracing::info!("profiles and responders were read again");
        }
        Err(error) => {
            tracing::error!(%error, "profiles and responders were not read again: nothing was changed")
        }
    }
}

/// Has the keys of responders apart certified that the file has.
fn read_delegates(signer: &LocalSigner, config: &Config) -> Result<(), StartError> {
    let keys = delegates::keys(config)?;
    Ok(signer.delegate_to(&keys).map_err(|refused| delegates::refusal(refused.to_string()))?)
}

/// TLS for those who hold a client certificate.
fn acceptor(config: &Config) -> Result<TlsAcceptor, StartError> {
    let missing = |key: &str| StartError::new(format!("{key} is missing: name a PEM file"));
    let signer = &config.signer;
    let (certificate, key) = ("signer.certificate", "signer.key");
    let chain = chain_of(certificate, signer.certificate.as_deref().ok_or_else(|| missing(certificate))?)?;
    let pkcs8 = key_of(key, signer.key.as_deref().ok_or_else(|| missing(key))?)?.into();
    let shown = ServedCertificate::new(&ServerIdentity { chain, pkcs8 })?;
    let client_ca = signer.client_ca.as_deref().ok_or_else(|| missing("signer.client_ca"))?;
    Ok(TlsAcceptor::from(shown.for_callers(client_ca)?))
}

/// Renews what the signer needs of its own before it ends, and makes what could not be made before.
async fn keep_renewed(service: Arc<Service>) {
    loop {
        tokio::time::sleep(RENEWAL_PERIOD).await;
        service.renew().await;
    }
}
