//! `ingam serve --role perspective`: a process that looks at the network for CAs elsewhere. No state, no keys of a CA, no store.
//!
//! ```text
//! coordinator ──▶ TLS with a client certificate ──▶ requests ──▶ Service ──▶ LocalPerspective ──▶ the network
//! ```

mod health;
mod requests;

use std::path::Path;
use std::sync::Arc;

use ingam_protocol::time::Clock;
use ingam_validation::LocalPerspective;
use ingam_validation::mpic::Service;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, Perspective};
use crate::listener::bind;
use crate::production::{chain_of, key_of};
use crate::role::RoleProcess;
use crate::serve::StartError;
use crate::served_certificate::{Presentable, ServedCertificate, ServerIdentity};
use crate::system::SystemClock;

use health::PerspectiveHealth;
use requests::Requests;

/// Runs the perspective until it is told to end.
pub(crate) async fn serve(file: &Path, metrics: PrometheusHandle) -> Result<(), StartError> {
    let config = Config::read_perspective(file, SystemClock.now())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let certificate = ServedCertificate::new(&identity(&config.perspective)?)?;
    let client_ca = config.perspective.client_ca.as_deref();
    let client_ca = client_ca.ok_or_else(|| StartError::new("perspective.client_ca is missing"))?;
    let tls = TlsAcceptor::from(certificate.for_coordinators(client_ca)?);
    let local = LocalPerspective::new(config.validation.clone(), clock.clone())
        .map_err(|error| StartError::new(format!("validation: {error}")))?;
    let local = Arc::new(local);
    let asked = bind("perspective", &config.listen.perspective).map_err(StartError::new)?;
    let watched = bind("metrics", &config.listen.metrics).map_err(StartError::new)?;
    let health = Arc::new(PerspectiveHealth::new(&config, clock, local.clone(), certificate.clone()));
    let mut process = RoleProcess::new(&config, health, metrics, watched);
    let requests = Arc::new(Requests::new(&config, Service::new(local)));
    let answer = move |request, peer| {
        let requests = requests.clone();
        async move { requests.answer(request, peer).await }
    };
    process.serve("perspective", asked.into(), Some(tls), answer);
    tracing::info!(listen = ?config.listen.perspective, name = config.validation.perspective, "listening");
    process.run(async || read_certificate(&certificate, &config.perspective).await).await
}

/// Shows a newer certificate to every connection that comes after; what cannot be used changes nothing.
async fn read_certificate(certificate: &ServedCertificate, config: &Perspective) {
    let config = config.clone();
    let read = tokio::task::spawn_blocking(move || -> Result<Presentable, StartError> {
        Presentable::new(&identity(&config)?)
    });
    match read.await {
        Ok(Ok(new)) => {
            certificate.replace(new);
            tracing::info!("the certificate was read again");
        }
        Ok(Err(error)) => tracing::error!(%error, "the certificate was not read again: nothing was changed"),
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the certificate"),
    }
}

fn identity(config: &Perspective) -> Result<ServerIdentity, StartError> {
    let missing = |key: &str| StartError::new(format!("{key} is missing: name a PEM file"));
    let (certificate, key) = ("perspective.certificate", "perspective.key");
    let chain = chain_of(certificate, config.certificate.as_deref().ok_or_else(|| missing(certificate))?)?;
    let pkcs8 = key_of(key, config.key.as_deref().ok_or_else(|| missing(key))?)?.into();
    Ok(ServerIdentity { chain, pkcs8 })
}
