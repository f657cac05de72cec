//! Asks logs, and remembers how they fared.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex as StdMutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ingam_protocol::Timestamp;
use ingam_protocol::time::{Clock, Random, random_array};
use ingam_protocol::transparency::policy;
use ingam_protocol::transparency::{Error as TransparencyError, Sct, SctList};
use metrics::{counter, gauge, histogram};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::suffices;
use crate::list::{Log, LogList};
use crate::network::{Https, Network};
use crate::race::Race;
use crate::standing::Standings;
use crate::{Config, Error, Failure, Submission, Transparency, answer};

/// That logs give no SCTs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// How many times in a row.
    pub failures: u64,
    /// When the last of them was.
    pub last: Timestamp,
    /// Why, the last time.
    pub why: Error,
}

/// Gets SCTs of logs on a list over the network.
pub struct TransparencyService {
    network: Arc<dyn Network>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,

    config: Config,
    list: RwLock<Arc<LogList>>,
    standings: Standings,
    trouble: StdMutex<Option<Trouble>>,

    queue: mpsc::Sender<Submission>,
    /// The other end, taken by whoever publishes.
    pub(crate) queued: Mutex<mpsc::Receiver<Submission>>,
}

impl TransparencyService {
    /// A service that asks the logs of the configured list over HTTPS. Reads the list, so it blocks.
    ///
    /// # Errors
    /// [`Error::Config`] if the list cannot be read, or none is configured.
    pub fn new(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Arc<Self>, Error> {
        let path = config.log_list.as_deref();
        let missing =
            || Error::Config("transparency.log_list is missing: name Chrome's list of logs".to_owned());
        let list = LogList::read(path.ok_or_else(missing)?)?;
        Self::with_list(config, list, clock, random)
    }

    /// The same with a list that was read already.
    ///
    /// # Errors
    /// [`Error::Config`] if there can be no client for HTTPS.
    pub fn with_list(
        config: Config,
        list: LogList,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Arc<Self>, Error> {
        Ok(Self::with_network(config, list, Arc::new(Https::new()?), clock, random))
    }

    /// The same over any network, as tests have one without sockets.
    pub fn with_network(
        config: Config,
        list: LogList,
        network: Arc<dyn Network>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Arc<Self> {
        let (queue, queued) = mpsc::channel(config.publications_waiting_max.max(1));
        let queued = Mutex::new(queued);
        let service = Self {
            network,
            clock,
            random,
            config,
            list: RwLock::default(),
            standings: Standings::default(),
            trouble: StdMutex::default(),
            queue,
            queued,
        };
        service.replace_list(list);
        Arc::new(service)
    }

    /// Takes another list for everything that begins after this.
    pub fn replace_list(&self, list: LogList) {
        #[allow(
            clippy::cast_precision_loss,
            reason = "a gauge: seconds since 1970 fit into 53 bits for long"
        )]
        gauge!("ingam_transparency_list_timestamp_seconds").set(list.made_at.unix_s() as f64);
        self.standings.keep(|log| list.by_id(log).is_some());
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
    }

    /// The list that is asked.
    pub fn list(&self) -> Arc<LogList> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the last certificate lacked that was to get SCTs; none if it got them.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, result: &Result<SctList, Error>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = result.as_ref().err().map(|why| Trouble {
            failures: trouble.as_ref().map_or(0, |trouble| trouble.failures).saturating_add(1),
            last: self.clock.now(),
            why: why.clone(),
        });
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The logs for this certificate in the order of chance, with those that rest behind all others.
    pub(crate) fn candidates(&self, submission: &Submission) -> Result<VecDeque<Log>, Error> {
        let list = self.list();
        let needed = policy::needed(submission.validity());
        let fitting = self.config.fitting(&list, submission.validity().not_after);
        if !suffices(&fitting, needed) {
            return Err(Error::NoLogs { needed, found: fitting.len() });
        }
        let now = self.clock.now();
        let order = |log: &&Log| {
            let chance: [u8; 8] = random_array(self.random.as_ref());
            (self.standings.rests(log.key.id(), now), chance)
        };
        let mut logs: Vec<((bool, [u8; 8]), &Log)> = fitting.iter().map(|log| (order(log), *log)).collect();
        logs.sort_by_key(|(order, _)| *order);
        Ok(logs.into_iter().map(|(_, log)| log.clone()).collect())
    }

    /// Submits a precertificate to one log, and notes how that went for the next ones.
    async fn ask(&self, log: &Log, submission: &Submission, body: Bytes) -> Result<Sct, Failure> {
        let result = self.submit(log, submission, body).await;
        match &result {
            Ok(_) => self.standings.succeeded(log.key.id()),
            Err(_) => {
                let rest = Duration::from_secs(self.config.rest_s);
                self.standings.failed(log.key.id(), self.clock.now(), rest);
            }
        }
        result
    }

    /// Submits to one log.
    pub(crate) async fn submit(
        &self,
        log: &Log,
        submission: &Submission,
        body: Bytes,
    ) -> Result<Sct, Failure> {
        let begun = Instant::now();
        let url = format!("{}{}", log.url, submission.path());
        let limit = Duration::from_millis(self.config.log_timeout_ms);
        let result = match timeout(limit, self.network.post(&url, body)).await {
            Err(_) => Err(Failure::Late),
            Ok(Err(why)) => Err(Failure::Unreached(why)),
            Ok(Ok(answer)) => answer::sct(&answer, log, submission, self.clock.now()),
        };
        let outcome = result.as_ref().map_or_else(Failure::outcome, |_| "given");
        let name = log.description.clone();
        counter!("ingam_transparency_submissions_total", "log" => name.clone(), "outcome" => outcome)
            .increment(1);
        histogram!("ingam_transparency_submission_seconds", "log" => name).record(begun.elapsed());
        if let Err(failure) = &result {
            tracing::warn!(log = log.description, code = failure.outcome(), %failure, "a transparency log failed");
        }
        result
    }

    /// Asks as many logs as there have to be SCTs at once, one more for each that fails, and one more whenever it takes long.
    async fn gather(
        &self,
        submission: &Submission,
        mut race: Race,
        at_once: usize,
    ) -> Result<SctList, Error> {
        let body = submission.body();
        let ask = async |log: Log| {
            let answer = self.ask(&log, submission, body.clone()).await;
            (log, answer)
        };
        let stagger = Duration::from_millis(self.config.stagger_ms);
        let mut over = pin!(sleep(Duration::from_millis(self.config.total_timeout_ms)));
        let mut next_at = Instant::now() + stagger;
        let mut underway = FuturesUnordered::new();
        let mut to_ask = at_once;
        loop {
            for _ in 0..to_ask {
                underway.extend(race.next().map(&ask));
            }
            if underway.is_empty() {
                return Err(race.too_few());
            }
            to_ask = tokio::select! {
                biased;
                Some((log, answer)) = underway.next() => {
                    let has_failed = answer.is_err();
                    race.answered(log, answer);
                    if let Some(chosen) = race.chosen() {
                        return chosen;
                    }
                    // One that gave an SCT too many of an operator has to be replaced as well.
                    usize::from(has_failed || underway.is_empty())
                }
                () = &mut over => return Err(race.too_few()),
                () = sleep_until(next_at), if race.has_next() => {
                    next_at = Instant::now() + stagger;
                    1
                }
            };
        }
    }
}

#[async_trait]
impl Transparency for TransparencyService {
    async fn scts(&self, precertificate: &Submission) -> Result<SctList, Error> {
        if !precertificate.is_precertificate() {
            return Err(Error::Submission(TransparencyError::NotOnce("the poison extension")));
        }
        let begun = Instant::now();
        let needed = policy::needed(precertificate.validity());
        let result = match self.candidates(precertificate) {
            Ok(candidates) => {
                let race = Race::new(needed, candidates, self.config.logs_max);
                self.gather(precertificate, race, needed.scts).await
            }
            Err(error) => Err(error),
        };
        self.note(&result);
        let outcome = match &result {
            Ok(_) => "enough",
            Err(Error::NoLogs { .. }) => "no_logs",
            Err(_) => "too_few",
        };
        counter!("ingam_transparency_certificates_total", "outcome" => outcome).increment(1);
        histogram!("ingam_transparency_seconds").record(begun.elapsed());
        result
    }

    fn publish(&self, certificate: Submission) {
        if self.queue.try_send(certificate).is_err() {
            counter!("ingam_transparency_publications_total", "outcome" => "dropped").increment(1);
            tracing::warn!(
                "a certificate is not shown to logs, as too many wait: its precertificate is in them"
            );
        }
    }
}
