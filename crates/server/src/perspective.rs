//! `ingam serve --role perspective`: a process that looks at the network for CAs elsewhere. No state, no keys of a CA, no store.
//!
//! ```text
//! coordinator ──▶ TLS with a client certificate ──▶ requests ──▶ Service ──▶ LocalPerspective ──▶ the network
//! ```

mod health;
mod requests;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ingam_protocol::time::Clock;
use ingam_validation::LocalPerspective;
use ingam_validation::mpic::Service;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::End;
use crate::config::{Config, Perspective};
use crate::listener::{Front, Listener, SharedLimits, bind};
use crate::notify::{self, State};
use crate::observation::{Observation, Observed};
use crate::production::{chain_of, key_of};
use crate::serve::{StartError, connection_limits, hangups, keep_metrics, until};
use crate::served_certificate::{Presentable, ServedCertificate, ServerIdentity};
use crate::system::SystemClock;

use health::PerspectiveHealth;
use requests::Requests;

/// Runs the perspective until it is told to end.
pub(crate) async fn serve(file: &Path, metrics: PrometheusHandle) -> Result<(), StartError> {
    let config = Config::read_perspective(file, SystemClock.now())?;
    let running = Running::start(&config, metrics).await?;
    let end = End::listen()?;
    let mut hangups = hangups()?;
    tracing::info!(listen = ?config.listen.perspective, name = config.validation.perspective, "listening");
    let told = writeln!(std::io::stdout(), "ready");
    if told.is_ok() {
        notify::tell(State::Ready);
        let mut ended = std::pin::pin!(end.come());
        loop {
            tokio::select! {
                () = &mut ended => break,
                Some(()) = hangups.recv() => running.read_certificate(&config.perspective).await,
            }
        }
    }
    notify::tell(State::Stopping);
    running.stop().await;
    told.map_err(|error| StartError::new(format!("standard output: {error}")))
}

/// A perspective that listens.
struct Running {
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<()>,
    health: Arc<PerspectiveHealth>,
    observed: Observed,
    certificate: Arc<ServedCertificate>,
}

impl Running {
    async fn start(config: &Config, metrics: PrometheusHandle) -> Result<Self, StartError> {
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
        let health = Arc::new(PerspectiveHealth::new(config, clock, local.clone(), certificate.clone()));
        let (shutdown, stopping) = watch::channel(false);
        let limits = SharedLimits::new(connection_limits(config));
        let listener = |name, sockets, tls| Listener {
            name,
            sockets,
            tls,
            front: Front::default(),
            connections_max: config.limits.connections_max,
            limits: limits.clone(),
        };
        let metrics = Arc::new(metrics);
        let observation = Observation::new(health.clone(), metrics.clone());
        let observed = Observed::serve(listener("metrics", watched.into(), None), observation);
        let requests = Arc::new(Requests::new(config, Service::new(local)));
        let answer = move |request, peer| {
            let requests = requests.clone();
            async move { requests.answer(request, peer).await }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(listener("perspective", asked.into(), Some(tls)).serve(answer, stopping.clone()));
        tasks.spawn(until(stopping, keep_metrics(metrics)));
        Ok(Self { shutdown, tasks, health, observed, certificate })
    }

    /// Shows a newer certificate to every connection that comes after; what cannot be used changes nothing.
    async fn read_certificate(&self, config: &Perspective) {
        let config = config.clone();
        let read = tokio::task::spawn_blocking(move || -> Result<Presentable, StartError> {
            Presentable::new(&identity(&config)?)
        });
        match read.await {
            Ok(Ok(new)) => {
                self.certificate.replace(new);
                tracing::info!("the certificate was read again");
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the certificate was not read again: nothing was changed")
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the certificate"),
        }
    }

    /// Stops listening and lets open requests end for a while. Those who watch are told first, and served to the last.
    async fn stop(mut self) {
        self.health.stop();
        // Nobody listens any more if this fails.
        let _ = self.shutdown.send(true);
        while self.tasks.join_next().await.is_some() {}
        self.observed.stop().await;
    }
}

fn identity(config: &Perspective) -> Result<ServerIdentity, StartError> {
    let missing = |key: &str| StartError::new(format!("{key} is missing: name a PEM file"));
    let (certificate, key) = ("perspective.certificate", "perspective.key");
    let chain = chain_of(certificate, config.certificate.as_deref().ok_or_else(|| missing(certificate))?)?;
    let pkcs8 = key_of(key, config.key.as_deref().ok_or_else(|| missing(key))?)?.into();
    Ok(ServerIdentity { chain, pkcs8 })
}
