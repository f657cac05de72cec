//! The CA as a process: everything is built here, in the order in which it depends on each other, and ends here.

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingam_authority::{Authority, Policy};
use ingam_frontend::{ClientAddress, Frontend};
use ingam_journal::Journal;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{Clock, Random};
use ingam_responder::{Responder, StoredStatuses};
use ingam_signer::{Hierarchy, LocalSigner, Signer};
use ingam_store::{Store, StoreProcess};
use ingam_validation::LocalPerspective;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls::ServerConfig;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::config::Config;
use crate::health::{self, Health};
use crate::listener::{ConnectionLimits, Listener, bind, bind_failure, stopped};
use crate::management::Management;
use crate::observation::{Observation, Observed};
use crate::system::{SystemClock, SystemRandomness};
use crate::{telemetry, test_dns};

/// How often delegated OCSP certificates are looked at.
const DELEGATES_PERIOD: Duration = Duration::from_secs(3600);

/// Why the process does not start; one sentence for the operator.
#[derive(Debug)]
pub(crate) struct StartError(String);

impl StartError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// What was being done, and every cause below it.
    pub(crate) fn caused(doing: &str, error: &dyn std::error::Error) -> Self {
        let mut sentence = format!("{doing}: {error}");
        let mut cause = error.source();
        while let Some(deeper) = cause {
            sentence.push_str(&format!(": {deeper}"));
            cause = deeper.source();
        }
        Self(sentence)
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<crate::config::ConfigError> for StartError {
    fn from(error: crate::config::ConfigError) -> Self {
        Self(error.to_string())
    }
}

/// Time and chance of this process.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

impl Sources {
    pub(crate) fn of_the_system() -> Self {
        Self { clock: Arc::new(SystemClock), random: Arc::new(SystemRandomness::new()) }
    }
}

/// A CA that listens.
pub(crate) struct Running {
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<()>,
    store: StoreProcess,
    health: Health,
    observed: Option<Observed>,
    /// Held for as long as the state is in use.
    _lock: StateLock,
}

/// What stands once keys and store are open, before anything listens.
struct Built {
    authority: Arc<Authority>,
    responder: Arc<Responder>,
    signer: Arc<LocalSigner>,
    store: Store,
    health: Health,
}

impl Running {
    /// Opens everything in `config.state` and listens. `made` are CA certificates that were made just now and have to
    /// go on record.
    pub(crate) async fn start(
        config: &Config,
        lock: StateLock,
        hierarchy: Hierarchy,
        made: Vec<Vec<u8>>,
        tls: Arc<ServerConfig>,
        metrics: PrometheusHandle,
        sources: &Sources,
    ) -> Result<Self, StartError> {
        // Sockets first: a port that is taken is found before anything is changed.
        let sockets = Sockets::bind(config).await?;
        let (store, process) = Store::open(&config.state, &config.store, sources.random.clone())
            .map_err(|error| StartError::caused("the store cannot be opened", &error))?;
        let built = match build(config, hierarchy, store, process.journal(), sources) {
            Ok(built) => built,
            Err(error) => {
                close(process).await;
                return Err(error);
            }
        };
        let (shutdown, stopping) = watch::channel(false);
        let (tasks, health) = (JoinSet::new(), built.health.clone());
        let mut running = Self { shutdown, tasks, store: process, health, observed: None, _lock: lock };
        if let Err(error) =
            running.set_going(config, built, made, sockets, tls, metrics, sources, stopping).await
        {
            running.stop().await;
            return Err(error);
        }
        Ok(running)
    }

    #[allow(clippy::too_many_arguments, reason = "called once, by `start`, which explains each")]
    async fn set_going(
        &mut self,
        config: &Config,
        built: Built,
        made: Vec<Vec<u8>>,
        sockets: Sockets,
        tls: Arc<ServerConfig>,
        metrics: PrometheusHandle,
        sources: &Sources,
        stopping: watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let Built { authority, responder, signer, store, health } = built;
        record_start(config, &signer, &store, made, sources).await?;
        // The DNS server of tests first: what is taken up again may need it.
        self.tasks.spawn(test_dns::run(
            Arc::new(test_dns::Records::new()),
            sockets.dns_udp,
            sockets.dns_tcp,
            sockets.dns_management,
            stopping.clone(),
        ));
        let fault =
            |error: ingam_authority::Error| StartError::caused("open work cannot be taken up", &error);
        let (resumed, abandoned) = authority.issuances_resume(true).await.map_err(fault)?;
        let challenges = authority.challenges_resume().map_err(fault)?;
        if resumed + abandoned + challenges > 0 {
            tracing::info!(resumed, abandoned, challenges, "took up what an earlier process had left");
        }
        let limits = ConnectionLimits {
            connections_max: config.limits.connections_max,
            idle: Duration::from_secs(config.limits.idle_timeout_s),
            header: Duration::from_secs(config.limits.header_timeout_s),
        };
        let acceptor = TlsAcceptor::from(tls);
        let listener = |name, sockets, tls| Listener { name, sockets, tls, limits };
        let router = frontend(config, authority.clone(), sources).router();
        let acme = move |request: http::Request<hyper::body::Incoming>, peer| {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(ClientAddress(peer));
            let router = router.clone();
            // A router never fails.
            async move { router.oneshot(request).await.unwrap_or_else(|never| match never {}) }
        };
        let management = Arc::new(Management::new(signer.issuers()));
        let managed = move |request: http::Request<hyper::body::Incoming>, _| {
            std::future::ready(management.answer(request.method(), request.uri().path()))
        };
        let published = responder.clone();
        let publication = move |request, _| {
            let responder = published.clone();
            async move { responder.handle(request).await }
        };
        let metrics = Arc::new(metrics);
        let upkeep = metrics.clone();
        self.observed = Some(Observed::serve(
            listener("metrics", sockets.metrics, None),
            Observation::new(health, metrics),
        ));
        let tasks = &mut self.tasks;
        tasks.spawn(listener("acme", sockets.acme, Some(acceptor.clone())).serve(acme, stopping.clone()));
        tasks.spawn(
            listener("management", sockets.management, Some(acceptor)).serve(managed, stopping.clone()),
        );
        tasks.spawn(listener("publication", sockets.publication, None).serve(publication, stopping.clone()));
        let (recorder, crls) = (responder.clone(), responder);
        let (record_stop, crl_stop) = (stopped(stopping.clone()), stopped(stopping.clone()));
        tasks.spawn(async move { recorder.run_recorder(record_stop).await });
        tasks.spawn(async move { crls.run_crls(crl_stop).await });
        tasks.spawn(until(stopping.clone(), keep_issuances(authority)));
        tasks.spawn(until(stopping.clone(), keep_delegates(signer, store, sources.clone())));
        tasks.spawn(until(stopping, keep_metrics(upkeep)));
        Ok(())
    }

    /// How the CA fares.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Stops listening, lets open requests end for a moment, and closes the store. Those who watch are told first, and
    /// served to the last.
    pub(crate) async fn stop(mut self) {
        self.health.stop();
        if self.observed.is_some() {
            tokio::time::sleep(self.health.stop_notice()).await;
        }
        // Nobody listens any more if this fails.
        let _ = self.shutdown.send(true);
        while self.tasks.join_next().await.is_some() {}
        close(self.store).await;
        if let Some(observed) = self.observed {
            observed.stop().await;
        }
    }
}

/// Joins threads that wait for the disk, so not on one of the runtime's.
async fn close(store: StoreProcess) {
    // It fails only if closing panicked, and then there is nothing left to close.
    let _ = tokio::task::spawn_blocking(move || store.close()).await;
}

/// Every socket of the process, bound and not yet served.
struct Sockets {
    acme: Vec<tokio::net::TcpListener>,
    management: Vec<tokio::net::TcpListener>,
    publication: Vec<tokio::net::TcpListener>,
    metrics: Vec<tokio::net::TcpListener>,
    dns_udp: Vec<UdpSocket>,
    dns_tcp: Vec<tokio::net::TcpListener>,
    dns_management: Vec<tokio::net::TcpListener>,
}

impl Sockets {
    async fn bind(config: &Config) -> Result<Self, StartError> {
        let listen = &config.listen;
        let mut dns_udp = Vec::with_capacity(listen.dns.len());
        for address in &listen.dns {
            let socket = UdpSocket::bind(address).await;
            dns_udp.push(socket.map_err(|error| StartError(bind_failure("dns", *address, &error)))?);
        }
        Ok(Self {
            acme: bind("acme", &listen.acme).await.map_err(StartError)?,
            management: bind("management", &listen.management).await.map_err(StartError)?,
            publication: bind("publication", &listen.publication).await.map_err(StartError)?,
            metrics: bind("metrics", &listen.metrics).await.map_err(StartError)?,
            dns_udp,
            dns_tcp: bind("dns", &listen.dns).await.map_err(StartError)?,
            dns_management: bind("dns_management", &listen.dns_management).await.map_err(StartError)?,
        })
    }
}

/// One process to a state folder: whoever has this has the folder.
pub(crate) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the folder, which is there.
    pub(crate) fn take(state: &Path) -> Result<Self, StartError> {
        let path = state.join("lock");
        let unwritable = |error: io::Error| {
            StartError(format!(
                "the state folder {} cannot be written to: {error}; choose another",
                state.display()
            ))
        };
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(StartError(format!(
                "the state folder {} is in use by another ingam: stop that one, or choose another folder",
                state.display()
            ))),
            Err(std::fs::TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }
}

fn build(
    config: &Config,
    hierarchy: Hierarchy,
    store: Store,
    journal: &Arc<Journal>,
    sources: &Sources,
) -> Result<Built, StartError> {
    let Sources { clock, random } = sources;
    let signer = LocalSigner::new(hierarchy, config.issuer_urls()?, clock.clone(), random.clone())
        .map_err(|error| StartError::caused("the CA's keys cannot be used", &error))?;
    for (profile, settings) in &config.profiles {
        if !signer.issuers().iter().any(|issuer| issuer.name.as_str() == settings.issuer) {
            return Err(StartError(format!(
                "profiles.{profile}.issuer is \"{}\", which is not in {}/hierarchy.json: issuers are made once, by \
                 `ingam init`",
                settings.issuer,
                config.state.display()
            )));
        }
    }
    let signer = Arc::new(signer);
    let validation = LocalPerspective::new(config.validation.clone(), clock.clone())
        .map_err(|error| StartError(format!("validation: {error}")))?;
    let validation = Arc::new(validation);
    let statuses = StoredStatuses::new(store.statuses(), clock.clone(), random.clone());
    let responder = Responder::new(&config.responder, Arc::new(statuses), signer.clone(), clock.clone())
        .map_err(|error| StartError(format!("responder: {error}")))?;
    let issuance = &config.issuance;
    let policy = Policy {
        catalog: config.catalog()?,
        account_url_prefix: ingam_frontend::account_url_prefix(&config.urls.acme),
        terms_of_service: config.urls.terms_of_service.clone(),
        names_refused: config.names_refused(),
        finalize_wait: Duration::from_millis(issuance.finalize_wait_ms),
        lease: Duration::from_secs(issuance.lease_s.max(1)),
        checks_max: issuance.checks_max,
        checks_waiting_max: issuance.checks_waiting_max,
        contacts_max: issuance.contacts_max,
    };
    let parts = ingam_authority::Parts {
        store: store.clone(),
        validation: validation.clone(),
        signer: signer.clone(),
        clock: clock.clone(),
        random: random.clone(),
    };
    let (authority, responder) = (Authority::new(parts, policy), Arc::new(responder));
    telemetry::know_issuers(signer.issuers());
    let health = Health::new(health::Parts {
        clock: clock.clone(),
        authority: authority.clone(),
        validation,
        signer: signer.clone(),
        responder: responder.clone(),
        store: store.clone(),
        journal: journal.clone(),
        config: config.health.clone(),
        environment: config.environment.name().to_owned(),
        state: config.state.clone(),
        answer_age_max: Duration::from_secs(config.responder.ocsp_validity_s) / 2,
    });
    let health = health.map_err(|error| StartError::caused("the store cannot be read", &error))?;
    Ok(Built { authority, responder, signer, store, health })
}

fn frontend(config: &Config, authority: Arc<Authority>, sources: &Sources) -> Arc<Frontend> {
    let frontend = ingam_frontend::Config {
        public_url: config.urls.acme.trim_end_matches('/').to_owned(),
        publication_url: config.urls.publication.trim_end_matches('/').to_owned(),
        website: config.urls.website.clone(),
        caa_identities: config.validation.caa_issuer_domains.clone(),
        body_bytes_max: config.limits.body_bytes_max,
        body_timeout: Duration::from_secs(config.limits.body_timeout_s),
        hsts_max_age_s: config.tls.hsts_max_age_s,
    };
    Frontend::new(authority, sources.random.clone(), frontend)
}

/// Puts on record which CA certificates were made, and that the process starts with which keys and profiles.
async fn record_start(
    config: &Config,
    signer: &LocalSigner,
    store: &Store,
    made: Vec<Vec<u8>>,
    sources: &Sources,
) -> Result<(), StartError> {
    let now = sources.clock.now();
    let delegates = signer
        .renew_delegates(now)
        .map_err(|error| StartError::caused("delegated OCSP certificates cannot be made", &error))?;
    let certificates = made.into_iter().chain(delegates.into_iter().map(|delegate| delegate.certificate));
    let mut records: Vec<Record> = certificates.map(|der| certificate_record(&der, sources)).collect();
    let started = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "environment": config.environment.name(),
        "issuers": signer.issuers().iter().map(|issuer| &issuer.name).collect::<Vec<_>>(),
        "profiles": config.profiles.keys().collect::<Vec<_>>(),
    });
    records.push(Record::new(
        RecordType::Started,
        now,
        started.to_string().into_bytes(),
        sources.random.as_ref(),
    ));
    let written = store.statuses().records_append(records).await;
    written.map_err(|error| StartError::caused("the start cannot be put on record", &error))
}

fn certificate_record(der: &[u8], sources: &Sources) -> Record {
    let payload = serde_json::json!({ "certificate": ingam_protocol::Bytes::from(der) }).to_string();
    let kind = RecordType::AuthorityCertificateCreated;
    Record::new(kind, sources.clock.now(), payload.into_bytes(), sources.random.as_ref())
}

/// Takes up orders whose holder was not heard of.
async fn keep_issuances(authority: Arc<Authority>) {
    loop {
        tokio::time::sleep(authority.lease()).await;
        if let Err(error) = authority.issuances_resume(false).await {
            tracing::error!(error = &error as &dyn std::error::Error, "open issuances could not be taken up");
        }
    }
}

/// Renews delegated OCSP certificates before they end.
async fn keep_delegates(signer: Arc<LocalSigner>, store: Store, sources: Sources) {
    loop {
        tokio::time::sleep(DELEGATES_PERIOD).await;
        let outcome = signer.renew_delegates(sources.clock.now());
        let records = match outcome {
            Ok(made) => {
                made.iter().map(|delegate| certificate_record(&delegate.certificate, &sources)).collect()
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "OCSP certificates could not be renewed"
                );
                continue;
            }
        };
        if let Err(error) = store.statuses().records_append(records).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "new OCSP certificates could not be recorded"
            );
        }
    }
}

/// Folds what histograms collected, so that nobody who never asks for metrics pays for them in memory.
async fn keep_metrics(metrics: Arc<PrometheusHandle>) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        metrics.run_upkeep();
    }
}

async fn until(stopping: watch::Receiver<bool>, job: impl Future<Output = ()>) {
    tokio::select! {
        () = stopped(stopping) => {}
        () = job => {}
    }
}

/// Calls the CA's own front doors, as any client would, before anybody is told that they are open.
pub(crate) async fn call_own_doors(config: &Config, tls_ca: &[u8]) -> Result<(), StartError> {
    let failed =
        |error: reqwest::Error| StartError::caused("the CA does not answer on its own address", &error);
    let ca = reqwest::Certificate::from_der(tls_ca).map_err(failed)?;
    let client = reqwest::Client::builder()
        .tls_certs_only([ca])
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()
        .map_err(failed)?;
    let doors = [
        format!("{}/dir", config.urls.acme.trim_end_matches('/')),
        format!("{}/roots.pem", config.urls.publication.trim_end_matches('/')),
    ];
    for door in doors {
        let answer = client.get(&door).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(StartError(format!("{door} answers {}: is another server there?", answer.status())));
        }
    }
    Ok(())
}
