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

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::time::Clock;
use ingam_signer::Hierarchy;
use ingam_signer::remote::Service;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::admin::SocketFile;
use crate::config::Config;
use crate::listener::{Front, Listener, SharedLimits, Sockets, bind, bind_unix};
use crate::notify::{self, State};
use crate::observation::{Observation, Observed};
use crate::production::{chain_of, check_keys, key_of, protect_memory};
use crate::serve::{
    Sources, StartError, StateLock, connection_limits, hangups, keep_metrics, local_signer, until,
};
use crate::served_certificate::{ServedCertificate, ServerIdentity};
use crate::system::SystemClock;
use crate::{End, hierarchy, telemetry};

use health::SignerHealth;
use requests::Requests;

pub(crate) use dial::remote_signer;

/// How often it is looked whether an OCSP certificate has to be renewed.
const RENEWAL_PERIOD: Duration = Duration::from_secs(3600);

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
    let running = Running::start(&config, metrics).await?;
    let end = End::listen()?;
    let mut hangups = hangups()?;
    tracing::info!(socket = ?config.signer.socket, listen = ?config.listen.signer, "listening");
    let told = writeln!(std::io::stdout(), "ready");
    if told.is_ok() {
        notify::tell(State::Ready);
        let mut ended = std::pin::pin!(end.come());
        loop {
            tokio::select! {
                () = &mut ended => break,
                Some(()) = hangups.recv() => running.read_profiles(file),
            }
        }
    }
    notify::tell(State::Stopping);
    running.stop().await;
    told.map_err(|error| StartError::new(format!("standard output: {error}")))
}

/// A signer that listens.
struct Running {
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<()>,
    service: Arc<Service>,
    health: Arc<SignerHealth>,
    observed: Observed,
    _file: Option<SocketFile>,
    _lock: StateLock,
}

impl Running {
    async fn start(config: &Config, metrics: PrometheusHandle) -> Result<Self, StartError> {
        let sources = Sources::of_the_system();
        let lock = StateLock::take(&config.state)?;
        check_keys(config)?;
        let signer = Arc::new(local_signer(config, hierarchy::load(config)?, &sources)?);
        telemetry::know_issuers(ingam_signer::Signer::issuers(signer.as_ref()));
        let catalog = config.catalog()?;
        let service = Arc::new(Service::new(signer.clone(), catalog.iter().cloned()));
        service
            .renew()
            .await
            .map_err(|error| StartError::caused("OCSP certificates cannot be made", &error))?;
        let (unix, file) = match &config.signer.socket {
            Some(path) => {
                let socket = bind_unix("signer.socket", path).await.map_err(StartError::new)?;
                (Some(socket), Some(SocketFile::new(path.clone())))
            }
            None => (None, None),
        };
        let tcp = bind("signer", &config.listen.signer).map_err(StartError::new)?;
        let watched = bind("metrics", &config.listen.metrics).map_err(StartError::new)?;
        let health = Arc::new(SignerHealth::new(config, sources.clock.clone(), signer));
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
        let requests = Arc::new(Requests::new(config, service.clone()));
        let answer = move |request, peer| {
            let requests = requests.clone();
            async move { requests.answer(request, peer).await }
        };
        let mut tasks = JoinSet::new();
        if let Some(unix) = unix {
            tasks.spawn(listener("signer", unix.into(), None).serve(answer.clone(), stopping.clone()));
        }
        if !tcp.is_empty() {
            let tls = Some(acceptor(config)?);
            tasks.spawn(listener("signer", Sockets::from(tcp), tls).serve(answer, stopping.clone()));
        }
        tasks.spawn(until(stopping.clone(), keep_metrics(metrics)));
        tasks.spawn(until(stopping, keep_renewed(service.clone())));
        Ok(Self { shutdown, tasks, service, health, observed, _file: file, _lock: lock })
    }

    /// Puts the profiles in force that the file has now; with a mistake in it nothing is changed.
    fn read_profiles(&self, file: &Path) {
        notify::tell(State::Reloading);
        let read = Config::read_signer(file, SystemClock.now());
        match read.and_then(|config| config.catalog()) {
            Ok(catalog) => {
                self.service.replace_profiles(catalog.iter().cloned());
                tracing::info!("the profiles were read again");
            }
            Err(error) => tracing::error!(%error, "the profiles were not read again: nothing was changed"),
        }
        notify::tell(State::Ready);
    }

    /// Stops listening and lets what is being signed end. Those who watch are told first, and served to the last.
    async fn stop(mut self) {
        self.health.stop();
        // Nobody listens any more if this fails.
        let _ = self.shutdown.send(true);
        while self.tasks.join_next().await.is_some() {}
        self.observed.stop().await;
    }
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

/// Renews what the signer needs of its own before it ends.
async fn keep_renewed(service: Arc<Service>) {
    loop {
        tokio::time::sleep(RENEWAL_PERIOD).await;
        if let Err(error) = service.renew().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "OCSP certificates could not be renewed: it is tried again"
            );
        }
    }
}
