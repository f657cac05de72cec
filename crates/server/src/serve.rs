//! The CA as a process: everything is built here, in the order in which it depends on each other, and ends here.

mod publication;
mod settings;
mod taken;
mod upkeep;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ingam_authority::Authority;
use ingam_frontend::Frontend;
use ingam_journal::Journal;
use ingam_journal::files::Disk;
use ingam_operator::Operator;
use ingam_privacy::PrivacyPage;
use ingam_protocol::certificate::Validity;
use ingam_protocol::key::PublicKey;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::proxy::Front;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{Clock, Random};
use ingam_responder::request_log::RequestLog;
use ingam_responder::{OfflineFiles, Publication, Responder, StoredStatuses};
use ingam_retention::Retention;
use ingam_signer::hierarchy::PUBLISHED;
use ingam_signer::{Hierarchy, Issuer, Ledger, LocalSigner, Signer, memory};
use ingam_store::{Store, StoreProcess};
use ingam_validation::{LocalPerspective, MultiPerspective, Reporter};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::acme::{self, Transport};
use crate::admin::{self, AdminSocket};
use crate::backup::Backups;
use crate::certificate_keeper::CertificateKeeper;
use crate::config::Config;
use crate::delegates::{self, Delegates};
use crate::health::{self, Health};
use crate::listener::{Listener, Peer, SharedLimits, stopped};
use crate::management::Management;
use crate::monitor::Monitor;
use crate::observation::{Observation, Observed};
use crate::own_certificate::OwnCertificate;
use crate::privacy::Privacy;
use crate::production::{chain_of, key_of};
use crate::record_log::Checkpoints;
use crate::reload::{CertificateSource, Read, Reloader};
use crate::served_certificate::ServedCertificate;
use crate::signer::remote_signer;
use crate::system::{SystemClock, SystemRandomness};
use crate::transparency::Transparency;
use crate::{telemetry, test_ct, test_dns, wire};

use publication::{Logging, request_log, sweep};
pub(crate) use settings::{connection_limits, frontend_config, policy};
use upkeep::{
    keep_configuration, keep_delegates, keep_erasures, keep_issuances, keep_jobs, keep_limits, keep_logged,
    keep_perspectives, keep_waiting,
};

pub(crate) use taken::{Ports, StateLock};
pub(crate) use upkeep::{hangups, keep_metrics, until};

/// Why the process does not start; one sentence for the operator, or a line for each mistake.
#[derive(Debug)]
pub(crate) struct StartError(String);

impl StartError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// What was being done, and every cause below it.
    pub(crate) fn caused(doing: &str, error: &dyn std::error::Error) -> Self {
        Self(format!("{doing}: {}", sentence(error)))
    }
}

/// An error and its causes in one line.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        sentence.push_str(&format!(": {deeper}"));
        cause = deeper.source();
    }
    sentence
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

impl From<ingam_protocol::Finding> for StartError {
    fn from(finding: ingam_protocol::Finding) -> Self {
        Self(finding.to_string())
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
    authority: Arc<Authority>,
    limits: Arc<SharedLimits>,
    health: Health,
    observed: Option<Observed>,
    logging: Option<Logging>,
    checkpoints: Arc<Checkpoints>,
    store: StoreProcess,
    /// Held for as long as the state is in use.
    _lock: StateLock,
}

/// Where the keys of the issuing CAs are.
pub(crate) enum Keys {
    /// In this process.
    Here(Hierarchy),
    /// In the signer's, at `signer.at`.
    Apart,
}

/// What a CA is started with.
pub(crate) struct Start {
    pub(crate) config: Config,
    /// The state folder is this process's.
    pub(crate) lock: StateLock,
    /// Bound already: a port that is taken is found before anything is changed.
    pub(crate) ports: Ports,
    pub(crate) keys: Keys,
    /// CA certificates that were made just now and have to go on record.
    pub(crate) made: Vec<Vec<u8>>,
    /// What the https listeners show, and where the next one comes from.
    pub(crate) certificate: Arc<ServedCertificate>,
    pub(crate) certificate_source: CertificateSource,
    /// How the configuration is read again.
    pub(crate) read: Read,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) sources: Sources,
}

/// What stands once keys and store are open, before anything listens.
struct Built {
    authority: Arc<Authority>,
    responder: Arc<Responder>,
    request_log: Arc<RequestLog>,
    retention: Arc<Retention>,
    signer: Arc<dyn Signer>,
    store: Store,
    health: Health,
    corroboration: Option<Arc<MultiPerspective>>,
    transparency: Transparency,
    /// None where nothing is compared.
    monitor: Option<Arc<Monitor>>,
    /// Where answers that are signed in advance go.
    answers: Box<Publication>,
    /// Responders apart that may sign answers.
    delegates: Arc<Delegates>,
    /// The log of records.
    checkpoints: Arc<Checkpoints>,
}

impl Running {
    /// Opens everything in `config.state` and listens.
    pub(crate) async fn start(start: Start) -> Result<Self, StartError> {
        let Start {
            config,
            lock,
            ports,
            keys,
            made,
            certificate,
            certificate_source,
            read,
            metrics,
            sources,
        } = start;
        let admin = AdminSocket::bind(&config).await?;
        let signer: Arc<dyn Signer> = match keys {
            Keys::Here(hierarchy) => Arc::new(local_signer(&config, hierarchy, &sources)?),
            Keys::Apart => match remote_signer(&config).await? {
                Some(signer) => Arc::new(signer),
                None => return Err(StartError::new("signer.at is missing: say where the signer is")),
            },
        };
        let (store, process) = Store::open(&config.state, &config.store, sources.random.clone())
            .map_err(|error| StartError::caused("the store cannot be opened", &error))?;
        let publication = ports.publication_address();
        let began = async {
            let privacy = Privacy::begin(&config, store.clone(), &sources).await?;
            let parts = (store, process.journal(), privacy.page());
            Ok((build(&config, signer, parts, publication, &sources)?, Arc::new(privacy)))
        };
        let (built, privacy) = match began.await {
            Ok(began) => began,
            Err(error) => {
                close(process).await;
                return Err(error);
            }
        };
        let (shutdown, stopping) = watch::channel(false);
        let authority = built.authority.clone();
        let limits = SharedLimits::new(connection_limits(&config));
        let frontend = Frontend::new(
            authority.clone(),
            sources.random.clone(),
            frontend_config(&config, privacy.page()),
        );
        let reloader = Arc::new(Reloader {
            read,
            certificate_source,
            authority: authority.clone(),
            frontend,
            limits: limits.clone(),
            certificate,
            issuers: built.signer.issuers().iter().map(|issuer| issuer.name.clone()).collect(),
            health: built.health.clone(),
            transparency: built.transparency.clone(),
            responder: built.responder.clone(),
            delegates: built.delegates.clone(),
            privacy,
            current: tokio::sync::Mutex::new(config.clone()),
        });
        reloader.watch_certificate();
        let mut running = Self {
            shutdown,
            tasks: JoinSet::new(),
            authority,
            limits,
            health: built.health.clone(),
            observed: None,
            logging: None,
            checkpoints: built.checkpoints.clone(),
            store: process,
            _lock: lock,
        };
        let going = Going { config: &config, sources: &sources, stopping, reloader };
        // On the heap, as it is large.
        let set_going = Box::pin(running.set_going(going, built, made, (ports, admin), metrics));
        if let Err(error) = set_going.await {
            running.stop().await;
            return Err(error);
        }
        Ok(running)
    }

    async fn set_going(
        &mut self,
        going: Going<'_>,
        built: Built,
        made: Vec<Vec<u8>>,
        (sockets, local): (Ports, AdminSocket),
        metrics: PrometheusHandle,
    ) -> Result<(), StartError> {
        let Going { config, sources, ref stopping, ref reloader } = going;
        let Built {
            authority,
            responder,
            request_log,
            retention,
            signer,
            store,
            health,
            corroboration,
            transparency,
            monitor,
            answers,
            delegates,
            checkpoints,
        } = built;
        sweep(&request_log).await?;
        record_start(config, (signer.as_ref(), &delegates), &store, made, sources).await?;
        // The DNS server of tests first: what is taken up again may need it.
        self.tasks.spawn(test_dns::run(
            Arc::new(test_dns::Records::new()),
            sockets.dns_udp,
            sockets.dns_tcp,
            sockets.dns_management,
            stopping.clone(),
        ));
        // And its logs.
        if let Some(logs) = transparency.logs {
            self.tasks.spawn(test_ct::run(logs, sockets.ct_log, stopping.clone()));
        }
        take_up(config, &authority).await?;
        let keeper = keeper(config, sources, reloader, &authority);
        keeper.begin().await?;
        let limits = self.limits.clone();
        let connections_max = config.limits.connections_max;
        let listener = |name, sockets, tls| Listener {
            name,
            sockets,
            tls,
            front: Front::default(),
            connections_max,
            limits: limits.clone(),
        };
        let acceptor = TlsAcceptor::from(reloader.certificate.for_everybody()?);
        let router = reloader.frontend.clone().router();
        let [front, plain_front, publication_front, publication_tls_front] = fronts(config);
        let plain = acme::service(router.clone(), plain_front.clone(), Transport::Plain);
        let acme = acme::service(router, front.clone(), Transport::Tls);
        let management = Arc::new(Management::new(signer.issuers()));
        let managed = move |request: http::Request<hyper::body::Incoming>, _| {
            std::future::ready(management.answer(request.method(), request.uri().path()))
        };
        let metrics = Arc::new(metrics);
        let upkeep = metrics.clone();
        let observation = Observation::new(Arc::new(health), metrics);
        self.observed = Some(Observed::serve(listener("metrics", sockets.metrics.into(), None), observation));
        self.logging = Some(Logging::begin(request_log.clone()));
        let backups = Backups::new(store.clone(), sources.clone());
        let admin = self.admin(&going, request_log, retention.clone(), backups);
        let tasks = &mut self.tasks;
        let stop = || stopping.clone();
        let tls = listener("acme", sockets.acme.into(), Some(acceptor.clone()));
        tasks.spawn(Listener { front, ..tls }.serve(acme, stop()));
        let open = listener("acme_plain", sockets.acme_plain.into(), None);
        tasks.spawn(Listener { front: plain_front, ..open }.serve(plain, stop()));
        let managing = listener("management", sockets.management.into(), Some(acceptor.clone()));
        tasks.spawn(managing.serve(managed, stop()));
        let open = wire::Open { front: publication_front, connections_max, limits: limits.clone() };
        let threads = wire::start(&responder, sockets.publication, open, stop());
        let failed = |error| StartError::caused("OCSP has no threads to be answered by", &error);
        tasks.spawn(threads.map_err(failed)?);
        let tls = listener("publication_tls", sockets.publication_tls.into(), Some(acceptor));
        let tls = Listener { front: publication_tls_front, ..tls };
        tasks.spawn(wire::publish(tls, Responder::clone(&responder), stop()));
        if let Some(client_ca) = config.operator.client_ca.as_ref().filter(|_| !sockets.admin.is_empty()) {
            let tls = Some(TlsAcceptor::from(reloader.certificate.for_operators(client_ca)?));
            tasks.spawn(listener("admin", sockets.admin.into(), tls).serve(admin.clone(), stop()));
        }
        let (local, file) = (listener("admin", local.unix.into(), None), local.file);
        let local = local.serve(admin, stop());
        tasks.spawn(async move {
            local.await;
            drop(file);
        });
        let (recorder, presigner, crls) = (responder.clone(), responder.clone(), responder);
        let (record_stop, presign_stop, crl_stop) = (stopped(stop()), stopped(stop()), stopped(stop()));
        tasks.spawn(async move { recorder.run_recorder(record_stop).await });
        tasks.spawn(async move { presigner.run_presigning(*answers, presign_stop).await });
        tasks.spawn(async move { crls.run_crls(crl_stop).await });
        tasks.spawn(until(stop(), keeper.run()));
        tasks.spawn(until(stop(), retention.run()));
        tasks.spawn(until(stop(), keep_metrics(upkeep)));
        if let Some(service) = transparency.service {
            tasks.spawn(until(stop(), async move { service.run_publisher().await }));
        }
        if let Some(all) = corroboration {
            tasks.spawn(until(stop(), keep_perspectives(all)));
        }
        tasks.spawn(until(stop(), keep_delegates(delegates, store, sources.clone())));
        tasks.spawn(checkpoints.run(stop()));
        self.keep(authority, monitor, reloader, stopping)
    }

    /// Sets going what the CA does without being asked.
    fn keep(
        &mut self,
        authority: Arc<Authority>,
        monitor: Option<Arc<Monitor>>,
        reloader: &Arc<Reloader>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let stop = || stopping.clone();
        if let Some(monitor) = monitor {
            self.tasks.spawn(until(stop(), monitor.run()));
        }
        self.tasks.spawn(until(stop(), keep_issuances(authority.clone())));
        self.tasks.spawn(until(stop(), keep_waiting(authority.clone())));
        self.tasks.spawn(until(stop(), keep_logged(authority.clone())));
        self.tasks.spawn(until(stop(), keep_limits(authority.clone())));
        self.tasks.spawn(until(stop(), keep_erasures(authority.clone())));
        self.tasks.spawn(until(stop(), keep_jobs(authority)));
        self.tasks.spawn(until(stop(), keep_configuration(hangups()?, reloader.clone())));
        Ok(())
    }

    /// The admin API, for all of its listeners.
    fn admin(
        &self,
        going: &Going<'_>,
        request_log: Arc<RequestLog>,
        retention: Arc<Retention>,
        backups: Backups,
    ) -> impl Fn(http::Request<hyper::body::Incoming>, Peer) -> admin::Answer + Clone + Send + Sync + 'static
    {
        let process = Arc::new(admin::Process {
            health: self.health.clone(),
            reloader: going.reloader.clone(),
            stopping: going.stopping.clone(),
            responder: going.reloader.responder.clone(),
            checkpoints: self.checkpoints.clone(),
            publication: going.config.urls.publication.clone(),
            backups,
        });
        let two_people = going.config.operator.two_people.clone();
        let parts = ingam_operator::Parts {
            authority: self.authority.clone(),
            request_log,
            retention,
            host: process,
            random: going.sources.random.clone(),
        };
        let operator = Operator::new(parts, two_people);
        admin::service(operator)
    }

    /// Stops listening, lets open requests and issuances in hand end for a while, and closes the store. What had no time
    /// is taken up by the next start. Those who watch are told first, and served to the last.
    pub(crate) async fn stop(mut self) {
        self.health.stop();
        if self.observed.is_some() {
            tokio::time::sleep(self.health.stop_notice()).await;
        }
        // Nobody listens any more if this fails.
        let _ = self.shutdown.send(true);
        while self.tasks.join_next().await.is_some() {}
        let grace = self.limits.now().grace;
        if let Some(logging) = self.logging.take()
            && tokio::time::timeout(grace, logging.end()).await.is_err()
        {
            tracing::warn!("the request log had no time to end: its last seconds are not in it");
        }
        if tokio::time::timeout(grace, self.authority.issuances_in_hand_ended()).await.is_err() {
            tracing::warn!("issuances in hand had no time to end: the next start takes them up");
        }
        close(self.store).await;
        // What the journal was given at last is in a checkpoint.
        self.checkpoints.sign().await;
        if let Some(observed) = self.observed {
            observed.stop().await;
        }
    }
}

/// What everything that is set going has in common.
struct Going<'a> {
    config: &'a Config,
    sources: &'a Sources,
    stopping: watch::Receiver<bool>,
    reloader: Arc<Reloader>,
}

/// The proxies before the listeners: of ACME with TLS, of ACME without, and of OCSP and CRLs without and with it.
fn fronts(config: &Config) -> [Front; 4] {
    let (trusted, proxies) = (Arc::new(config.proxies.trusted()), &config.proxies);
    let words = [proxies.acme, proxies.acme_plain, proxies.publication, proxies.publication_tls];
    words.map(|word| Front { trusted: trusted.clone(), word })
}

fn keeper(
    config: &Config,
    sources: &Sources,
    reloader: &Arc<Reloader>,
    authority: &Arc<Authority>,
) -> CertificateKeeper {
    let own = OwnCertificate::new(authority.clone(), sources.clone(), config.clone());
    let interval = Duration::from_secs(config.tls.look_interval_s);
    CertificateKeeper::new(reloader.clone(), authority.clone(), own, interval)
}

/// Takes up what an earlier process had left, and makes those administrators whom the configuration names.
async fn take_up(config: &Config, authority: &Arc<Authority>) -> Result<(), StartError> {
    let fault = |error: ingam_authority::Error| StartError::caused("open work cannot be taken up", &error);
    // They are taken up once listeners are there, as that can take long: status is given out meanwhile.
    authority.issuances_release().await.map_err(fault)?;
    let challenges = authority.challenges_resume().map_err(fault)?;
    if challenges > 0 {
        tracing::info!(challenges, "took up checks that an earlier process had left");
    }
    let settled = authority.revocation_jobs_settle().await;
    settled.map_err(|error| StartError::caused("revocation jobs cannot be taken up", &error))?;
    authority.administrators_ensure(&config.operator.principals()).await.map_err(fault)?;
    Ok(())
}

/// Joins threads that wait for the disk, so not on one of the runtime's.
pub(crate) async fn close(store: StoreProcess) {
    // It fails only if closing panicked, and then there is nothing left to close.
    let _ = tokio::task::spawn_blocking(move || store.close()).await;
}

fn build(
    config: &Config,
    signer: Arc<dyn Signer>,
    (store, journal, privacy): (Store, &Arc<Journal>, &Arc<PrivacyPage>),
    publication: Option<SocketAddr>,
    sources: &Sources,
) -> Result<Built, StartError> {
    let Sources { clock, random } = sources;
    let (answers, delegate_keys) = (publication_of(config)?, delegates::keys(config)?);
    for (profile, settings) in &config.profiles {
        let is_there = |name: &str| signer.issuers().iter().any(|issuer| issuer.name.as_str() == name);
        if let Some(missing) = settings.weights().into_keys().find(|name| !is_there(name)) {
            return Err(StartError(format!(
                "profiles.{profile}.{} is \"{missing}\", which is not in {}/hierarchy.json: issuers are made once, by \
                 `ingam init`",
                settings.issuers_key(),
                config.state.display()
            )));
        }
    }
    let is_known = |issuer: &&IssuerName| signer.issuers().iter().any(|known| known.name == **issuer);
    if let Some(issuer) = config.responder.crl_shards_of.keys().find(|issuer| !is_known(issuer)) {
        return Err(StartError(format!(
            "responder.crl_shards_of.{issuer} is for an issuer that is not in {}/hierarchy.json: write the name of one \
             that is, or remove it",
            config.state.display()
        )));
    }
    let validation = LocalPerspective::new(config.validation.clone(), clock.clone())
        .map_err(|error| StartError(format!("validation: {error}")))?;
    let validation = Arc::new(validation);
    let reports = Reporter::new(config.validation.clone(), clock.clone())
        .map_err(|error| StartError(format!("validation: {error}")))?;
    let corroboration = corroboration(config, &validation, clock)?;
    let statuses = StoredStatuses::new(store.statuses(), clock.clone(), random.clone());
    let (folder, statuses) = (config.state.join("crls"), Arc::new(statuses));
    let responder = Responder::new(&config.responder, &folder, statuses, signer.clone(), clock.clone())
        .map_err(|error| StartError::caused("responder", &error))?;
    let issuers: Vec<IssuerName> = signer.issuers().iter().map(|issuer| issuer.name.clone()).collect();
    let offline = OfflineFiles::read(&config.state.join(PUBLISHED), &issuers);
    responder.replace_offline(offline.map_err(|error| StartError::new(error.to_string()))?);
    let request_log = request_log(config, signer.as_ref(), &store, sources)?;
    let checkpoints = Checkpoints::open(config, journal.clone(), sources)?;
    let responder = responder
        .logging_to(request_log.clone())
        .telling(privacy.clone())
        .publishing(checkpoints.given_out());
    let transparency = Transparency::build(config, signer.issuers(), sources)?;
    let parts = ingam_authority::Parts {
        store: store.clone(),
        validation: match &corroboration {
            Some(all) => all.clone(),
            None => validation.clone(),
        },
        reports: Arc::new(reports),
        signer: signer.clone(),
        transparency: transparency
            .service
            .clone()
            .map(|service| service as Arc<dyn ingam_transparency::Transparency>),
        clock: clock.clone(),
        random: random.clone(),
    };
    let (authority, responder) = (Authority::new(parts, policy(config)?), Arc::new(responder));
    telemetry::know_issuers(signer.issuers());
    let blocks = authority.clone();
    let is_blocked = move |key: &PublicKey| blocks.key_is_blocked(key);
    let delegates = Delegates::new(is_blocked, signer.clone(), delegate_keys)?;
    let monitor =
        monitor(config, (store.clone(), authority.clone()), publication, signer.issuers(), sources)?;
    let retention = retention(config, (store.clone(), journal.clone()), signer.issuers(), sources)?;
    let health = Health::new(health::Parts {
        clock: clock.clone(),
        authority: authority.clone(),
        validation,
        corroboration: corroboration.clone(),
        signer: signer.clone(),
        transparency: transparency.service.clone(),
        responder: responder.clone(),
        request_log: request_log.clone(),
        retention: retention.clone(),
        monitor: monitor.clone(),
        delegates: delegates.clone(),
        store: store.clone(),
        journal: journal.clone(),
        config: config.health.clone(),
        environment: config.environment.name().to_owned(),
        state: config.state.clone(),
        answer_age_max: Duration::from_secs(config.responder.ocsp_validity_s) / 2,
    });
    let health = health.map_err(|error| StartError::caused("the store cannot be read", &error))?;
    watch_coordinator(config, &health)?;
    Ok(Built {
        authority,
        responder,
        request_log,
        retention,
        signer,
        store,
        health,
        corroboration,
        transparency,
        monitor,
        answers: Box::new(listing(answers, &delegates)),
        delegates,
        checkpoints,
    })
}

/// The sweep, by what the operator set and by how long profiles and CAs last.
fn retention(
    config: &Config,
    (store, journal): (Store, Arc<Journal>),
    issuers: &[Issuer],
    sources: &Sources,
) -> Result<Arc<Retention>, StartError> {
    let catalog = config.catalog()?;
    let reliance = ingam_retention::Reliance {
        reuse: catalog.iter().map(|profile| profile.valid_authorization_lifetime).max().unwrap_or_default(),
        lifetime: catalog.iter().map(|profile| profile.validity).max().unwrap_or_default(),
        // A root ends no sooner than what it has signed.
        authorities_end: issuers
            .iter()
            .map(|issuer| Validity::read(&issuer.root).map_or(issuer.not_after, |root| root.not_after))
            .max(),
    };
    let schedule = ingam_retention::Schedule::new(config.retention.clone(), reliance);
    let (clock, random) = (sources.clock.clone(), sources.random.clone());
    Ok(Retention::new(ingam_retention::Parts { store, journal, clock, random }, schedule))
}

/// The same, with the certificates of responders apart.
fn listing(answers: Publication, delegates: &Arc<Delegates>) -> Publication {
    let delegates = delegates.clone();
    answers.listing(move || delegates.certificates())
}

/// Where answers that were signed in advance are kept, and how they are published.
pub(crate) fn publication_of(config: &Config) -> Result<Publication, StartError> {
    let settings = &config.responder;
    let key =
        settings.publish_key.as_deref().map(|path| key_of("responder.publish_key", path)).transpose()?;
    let lasts = Duration::from_secs(settings.publish_lasts_s);
    Publication::new(config.state.join("answers"), key.as_deref(), lasts)
        .map_err(|finding| StartError::new(format!("responder.{finding}")))
}

/// What compares; none where that is off, or nothing is published from here.
fn monitor(
    config: &Config,
    parts: (Store, Arc<Authority>),
    publication: Option<SocketAddr>,
    issuers: &[Issuer],
    sources: &Sources,
) -> Result<Option<Arc<Monitor>>, StartError> {
    let Some(publication) = publication.filter(|_| config.monitor.interval_s > 0) else { return Ok(None) };
    let crl_interval = Duration::from_secs(config.responder.crl_interval_s);
    let monitor = Monitor::new(&config.monitor, crl_interval, parts, publication, issuers, sources)?;
    Ok(Some(Arc::new(monitor)))
}

/// The signer in this process, with its ledger in the state folder.
pub(crate) fn local_signer(
    config: &Config,
    hierarchy: Hierarchy,
    sources: &Sources,
) -> Result<LocalSigner, StartError> {
    let failed = |error| StartError::caused("the CA's keys cannot be used", &error);
    let Sources { clock, random } = sources;
    let folder = config.state.join("ledger");
    let files = Disk::open(&folder).map_err(|error| {
        StartError::caused(&format!("the signer's ledger {} cannot be opened", folder.display()), &error)
    })?;
    let ledger = Ledger::open(Arc::new(files), clock.clone()).map_err(failed)?;
    let urls = config.issuer_urls()?;
    if let Some(unlisted) = hierarchy.intermediates.iter().find(|issuer| !urls.contains_key(&issuer.name)) {
        let (name, kind) = (&unlisted.name, unlisted.key_kind().map_err(failed)?);
        return Err(StartError(format!(
            "the issuing CA '{name}' is in {}/hierarchy.json, and not in the configuration: add a line below \
             [hierarchy.issuers], as {name} = \"{}\"",
            config.state.display(),
            kind.name()
        )));
    }
    let signer = LocalSigner::new(hierarchy, urls, ledger, clock.clone(), random.clone());
    Ok(signer.map_err(failed)?.holding_lengths(config.dated_rules().lengths))
}

/// The primary perspective together with the remote ones; none where there are no others.
fn corroboration(
    config: &Config,
    primary: &Arc<LocalPerspective>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<MultiPerspective>>, StartError> {
    if config.validation.remotes.is_empty() {
        return Ok(None);
    }
    let all = MultiPerspective::new(&config.validation, primary.clone(), clock.clone());
    all.map(|all| Some(Arc::new(all))).map_err(|error| StartError(format!("validation.{error}")))
}

/// Has the end of the certificate watched that remote perspectives are shown; it was read a moment ago.
fn watch_coordinator(config: &Config, health: &Health) -> Result<(), StartError> {
    let shown = config.validation.corroboration.certificate.as_deref();
    if let Some(path) = shown.filter(|_| !config.validation.remotes.is_empty()) {
        let chain = chain_of("validation.corroboration.certificate", path)?;
        chain.first().inspect(|leaf| health.watch_certificate("coordinator", "perspectives", leaf));
    }
    Ok(())
}

/// Puts on record which CA certificates were made, and that the process starts with which keys and profiles.
async fn record_start(
    config: &Config,
    (signer, delegates): (&dyn Signer, &Delegates),
    store: &Store,
    made: Vec<Vec<u8>>,
    sources: &Sources,
) -> Result<(), StartError> {
    let now = sources.clock.now();
    let delegated = delegates.renew().await?;
    let certificates = made.iter().chain(delegated.iter().map(|delegate| &delegate.certificate));
    let mut records: Vec<Record> = certificates.map(|der| certificate_record(der, sources)).collect();
    let started = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "environment": config.environment.name(),
        "memory_locked": memory::protected().map(|protected| protected.locked.name()),
        "issuers": signer.issuers().iter().map(|issuer| &issuer.name).collect::<Vec<_>>(),
        "issuer_certificates": signer
            .issuers()
            .iter()
            .map(|issuer| ingam_protocol::Bytes::from(issuer.certificate.as_slice()))
            .collect::<Vec<_>>(),
        "profiles": config.profiles.keys().collect::<Vec<_>>(),
    });
    records.push(Record::new(
        RecordType::Started,
        now,
        started.to_string().into_bytes(),
        sources.random.as_ref(),
    ));
    let written = store.statuses().records_append(records).await;
    written.map_err(|error| StartError::caused("the start cannot be put on record", &error))?;
    delegates.are_recorded(&delegated);
    Ok(())
}

fn certificate_record(der: &[u8], sources: &Sources) -> Record {
    let payload = serde_json::json!({ "certificate": ingam_protocol::Bytes::from(der) }).to_string();
    let kind = RecordType::AuthorityCertificateCreated;
    let record = Record::new(kind, sources.clock.now(), payload.into_bytes(), sources.random.as_ref());
    match Validity::read(der) {
        Some(validity) => record.ending(validity.not_after),
        None => record,
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
        format!("{}/dir", config.urls.public_url.trim_end_matches('/')),
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
