//! The monitor: holds what is given out of certificates against what is on record of them.
//!
//! ```text
//! choose: issued and revoked since the last round, some by chance, all that disagreed the last time
//!    └─▶ for each: record ─ OCSP by SHA-1 and SHA-256 ─ CRL ─ renewal window ─ record again ─▶ compare (pure)
//!           └─▶ open: since when, and whether for longer than its budget ─▶ log, metrics, health
//! ```
//!
//! A certificate whose record changed while it was looked at is passed over: it is among the next round's. An age counts
//! from the look that found the disagreement first, so that every alarm is about something that was seen twice, or has no
//! budget at all.

mod choose;
mod compare;
mod config;
mod metrics;
mod open;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ingam_authority::Authority;
use ingam_protocol::ocsp::{AskedIssuer, HashAlgorithm, encode_cert_id};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::renewal::CertificateId;
use ingam_protocol::time::{Clock, Random};
use ingam_protocol::{Serial, Shard, Timestamp};
use ingam_signer::Issuer;
use ingam_store::Store;
use tokio::time::Instant;

use crate::serve::{Sources as TimeAndChance, StartError};

use choose::{Cursor, by_chance};
use compare::{Entries, Found};
use metrics::{Chosen, Metrics};
use open::Open;
use sources::{Certificate, Running, Sources, Way};

pub(crate) use compare::Kind;
pub(crate) use config::Config;
pub(crate) use open::Overdue;

/// A round takes no longer: what it had no time for comes first in the next.
const ROUND_MAX: Duration = Duration::from_secs(60);
/// How often as long as a round the pause after it is at least.
const PAUSE_FACTOR: u32 = 19;
/// No pause is shorter.
const PAUSE_MIN: Duration = Duration::from_millis(200);

/// The CertIDs that clients send, each asked for in one of the two ways.
const ASKED: [(HashAlgorithm, Way); 2] =
    [(HashAlgorithm::Sha1, Way::Get), (HashAlgorithm::Sha256, Way::Post)];

/// What the monitor knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// When a round was last at its end; before the first, when the monitor was made.
    pub(crate) last_round: Timestamp,
    /// Disagreements that outlived their budgets.
    pub(crate) overdue: Overdue,
}

/// Compares.
pub(crate) struct Monitor {
    sources: Arc<dyn Sources>,
    issuers: Vec<Issuer>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,

    config: Config,
    /// `responder.crl_interval_s`.
    crl_interval: Duration,

    metrics: Metrics,
    condition: Mutex<Condition>,
}

/// What one round leaves to the next.
struct Progress {
    cursor: Cursor,
    open: Open,
    /// What the last round had no time for.
    left: BTreeSet<Certificate>,
}

/// The lists that a round has fetched, as far as it needs them, or why there are none.
type Lists = BTreeMap<(IssuerName, Option<Shard>), Result<Entries, String>>;

impl Monitor {
    /// For a CA with these issuers that publishes at `publication`. Install the recorder of metrics before.
    ///
    /// # Errors
    /// [`StartError`] if there can be no client for HTTP.
    pub(crate) fn new(
        config: &Config,
        crl_interval: Duration,
        (store, authority): (Store, Arc<Authority>),
        publication: SocketAddr,
        issuers: &[Issuer],
        TimeAndChance { clock, random }: &TimeAndChance,
    ) -> Result<Self, StartError> {
        let sources = Arc::new(Running::new(store, authority, publication)?);
        Ok(Self::over(sources, issuers, (config.clone(), crl_interval), clock.clone(), random.clone()))
    }

    fn over(
        sources: Arc<dyn Sources>,
        issuers: &[Issuer],
        (config, crl_interval): (Config, Duration),
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let condition = Condition { last_round: clock.now(), overdue: Overdue::default() };
        Self {
            sources,
            issuers: issuers.to_vec(),
            clock,
            random,
            config,
            crl_interval,
            metrics: Metrics::new(),
            condition: Mutex::new(condition),
        }
    }

    /// What is known so far.
    pub(crate) fn condition(&self) -> Condition {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Compares again and again.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut progress = self.progress();
        loop {
            let begun = Instant::now();
            self.round(&mut progress).await;
            tokio::time::sleep(self.pause(&progress, begun.elapsed())).await;
        }
    }

    fn progress(&self) -> Progress {
        let recent = usize::from(self.config.recent_per_round);
        Progress {
            cursor: Cursor::new(self.sources.as_ref(), self.clock.now(), recent),
            open: Open::new(self.config.budgets(self.crl_interval)),
            left: BTreeSet::new(),
        }
    }

    /// Until the next round: the interval, or less if a disagreement outlives its budget before that or changes wait to be
    /// looked at; longer after a round that took long.
    fn pause(&self, progress: &Progress, worked: Duration) -> Duration {
        let interval = match progress.cursor.is_behind {
            true => Duration::ZERO,
            false => Duration::from_secs(self.config.interval_s),
        };
        let due = progress.open.next_due().map_or(interval, |due| due.since(self.clock.now()));
        interval.min(due).max(PAUSE_MIN).max(worked.saturating_mul(PAUSE_FACTOR))
    }

    /// One look at all that is due.
    async fn round(&self, progress: &mut Progress) {
        let begun = Instant::now();
        let chosen = match self.choose(progress).await {
            Ok(chosen) => chosen,
            Err(error) => {
                tracing::error!(error, "the monitor cannot read the store: it is tried again");
                return;
            }
        };
        let mut wanted: BTreeMap<(IssuerName, Option<Shard>), BTreeSet<Serial>> = BTreeMap::new();
        for certificate in chosen.keys() {
            let list = (certificate.issuer.clone(), certificate.serial.shard());
            wanted.entry(list).or_default().insert(certificate.serial.clone());
        }
        let mut lists = Lists::new();
        for (certificate, why) in chosen {
            // Those that are looked at again are kept elsewhere, and chance finds others.
            let mut leave = || {
                if why == Chosen::Recent {
                    progress.left.insert(certificate.clone());
                }
            };
            if begun.elapsed() > ROUND_MAX {
                leave();
                continue;
            }
            let Some(issuer) = self.issuers.iter().find(|issuer| issuer.name == certificate.issuer) else {
                continue;
            };
            match self.look(issuer, &certificate, &wanted, &mut lists).await {
                Ok(Some(found)) => {
                    self.metrics.compared(why);
                    self.tell(progress, &certificate, found);
                }
                // It changes just now.
                Ok(None) => leave(),
                Err(error) => {
                    leave();
                    tracing::error!(error, "the monitor cannot read the store: it is tried again");
                }
            }
        }
        let condition = Condition { last_round: self.clock.now(), overdue: progress.open.overdue() };
        self.metrics.round(&condition);
        *self.condition.lock().unwrap_or_else(PoisonError::into_inner) = condition;
    }

    /// What this round looks at, and why. After an error nothing is lost: the next round begins where this one did.
    async fn choose(&self, progress: &mut Progress) -> Result<BTreeMap<Certificate, Chosen>, String> {
        let limit = usize::from(self.config.recent_per_round);
        let room = limit.saturating_sub(progress.left.len());
        let (sources, chance, now) = (Arc::clone(&self.sources), Arc::clone(&self.random), self.clock.now());
        let issuers: Vec<IssuerName> = self.issuers.iter().map(|issuer| issuer.name.clone()).collect();
        let count = usize::from(self.config.random_per_round);
        let mut cursor = progress.cursor.clone();
        // Which shards are in use takes a read for each.
        let read = move || {
            let recent = cursor.recent(sources.as_ref(), now, room)?;
            let random = by_chance(sources.as_ref(), &issuers, chance.as_ref(), count)?;
            Ok::<_, String>((cursor, recent, random))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let (cursor, mut recent, random) = read.map_err(|_| "the reading was broken off".to_owned())??;
        progress.cursor = cursor;
        recent.append(&mut progress.left);
        let again = progress.open.again(limit);
        // The last word counts: what disagreed is kept in mind anyway.
        let all = [(random, Chosen::Random), (recent, Chosen::Recent), (again, Chosen::Again)];
        Ok(all.into_iter().flat_map(|(set, why)| set.into_iter().map(move |one| (one, why))).collect())
    }

    /// All that is wrong with a certificate; `None` if its record changed meanwhile.
    async fn look(
        &self,
        issuer: &Issuer,
        certificate: &Certificate,
        wanted: &BTreeMap<(IssuerName, Option<Shard>), BTreeSet<Serial>>,
        lists: &mut Lists,
    ) -> Result<Option<Vec<Found>>, String> {
        let Certificate { issuer: name, serial } = certificate;
        let before = self.sources.recorded(certificate)?;
        let Some(recorded) = before.filter(|recorded| self.clock.now() <= recorded.not_after) else {
            // Of what has ended, no more is told than what was told last.
            return Ok(Some(Vec::new()));
        };
        let mut found = Vec::new();
        let asked = AskedIssuer { subject: &issuer.subject, public_key: &issuer.public_key };
        for (hash, way) in ASKED {
            let cert_id = encode_cert_id(hash, asked, serial);
            let response = self.sources.answer(&cert_id, way).await;
            found.extend(compare::ocsp(issuer, &cert_id, &recorded, response, self.clock.now()));
        }
        let place = (name.clone(), serial.shard());
        if !lists.contains_key(&place) {
            let list = self.list(issuer, serial.shard(), wanted.get(&place)).await;
            lists.insert(place.clone(), list);
        }
        match lists.get(&place) {
            Some(Ok(entries)) => found.extend(compare::crl(&recorded, entries.get(serial))),
            Some(Err(why)) => found.push(Found::new(Kind::CrlList, why)),
            None => {}
        }
        let id = CertificateId { key_identifier: issuer.key_identifier.clone(), serial: serial.clone() };
        found.extend(compare::window(&recorded, self.sources.window(&id), self.clock.now()));
        // Two answers can be wrong in the same way.
        found.dedup_by_key(|found| found.kind);
        Ok((self.sources.recorded(certificate)? == Some(recorded)).then_some(found))
    }

    /// What a list says of these certificates. It is fetched once in a round, and may be older than the record of some of
    /// them by what the round has taken so far.
    async fn list(
        &self,
        issuer: &Issuer,
        shard: Option<Shard>,
        wanted: Option<&BTreeSet<Serial>>,
    ) -> Result<Entries, String> {
        let der = self.sources.list(&issuer.name, shard).await?;
        let (issuer, now) = (issuer.clone(), self.clock.now());
        let wanted = wanted.cloned().unwrap_or_default();
        // Hashing and reading a long list takes a while.
        let read = move || compare::entries(&issuer, &der, &wanted, now);
        tokio::task::spawn_blocking(read).await.map_err(|_| "reading the CRL was broken off".to_owned())?
    }

    /// Notes what was found, and tells what has outlived its budget.
    fn tell(&self, progress: &mut Progress, certificate: &Certificate, found: Vec<Found>) {
        let now = self.clock.now();
        for Found { kind, detail } in progress.open.note(certificate, found, now) {
            self.metrics.disagreed(kind);
            tracing::error!(
                kind = kind.name(),
                issuer = certificate.issuer.as_str(),
                serial = %certificate.serial,
                detail,
                "what is given out of a certificate disagrees with its record"
            );
        }
    }
}

#[cfg(test)]
mod tests;
