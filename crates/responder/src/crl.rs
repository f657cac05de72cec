//! The current CRL of each issuer (RFC 5280, section 5).
//!
//! A list is signed when it is asked for, or by [`CrlService::run`], if something was revoked since the last one or half
//! of that one's time has passed. Who asks meanwhile waits; if it fails, the last list serves until its nextUpdate.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use ingam_protocol::crl;
use ingam_protocol::health::CrlReport;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Clock, Timestamp};
use ingam_signer::{CrlContents, Signer};
use ring::digest::{Context, Digest, SHA256};
use tokio::time::sleep;

use crate::audit::Audit;
use crate::condition::CrlCondition;
use crate::config::Settings;
use crate::counters::Counters;
use crate::issuers::{Issuers, KnownIssuer};
use crate::ocsp::{date_value, etag};
use crate::statuses::{Signed, SigningEvent, StatusError, Statuses};

/// How many revoked certificates are read at once.
const PAGE: usize = 1000;
/// How long the signer may take for a list, which can be long.
const SIGNING_TIME_MAX: Duration = Duration::from_secs(60);
/// After a failure, how long the signer and the store are left alone.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often the job looks whether a list is due.
const JOB_PERIOD: Duration = Duration::from_secs(10);

/// A CRL as it is given out.
#[derive(Debug)]
pub struct PublishedCrl {
    /// DER of the CertificateList.
    pub body: Bytes,
    /// Its number.
    pub number: u64,
    /// From when it holds.
    pub this_update: Timestamp,
    /// When the next one is there at the latest.
    pub next_update: Timestamp,
    /// How many certificates it lists.
    pub entries: usize,

    pub(crate) content_length: HeaderValue,
    pub(crate) etag: HeaderValue,
    pub(crate) last_modified: HeaderValue,

    /// Of what it lists.
    entries_digest: Digest,
    /// At this generation of all statuses, this was what was revoked.
    checked: AtomicU64,
    /// When that was looked at, milliseconds since the epoch.
    checked_at_ms: AtomicU64,
}

impl PublishedCrl {
    fn confirm(&self, generation: u64, now: Timestamp) {
        self.checked.fetch_max(generation, Ordering::AcqRel);
        self.checked_at_ms.fetch_max(now.unix_ms(), Ordering::AcqRel);
    }

    fn half(&self) -> Timestamp {
        self.this_update.plus(self.next_update.since(self.this_update) / 2)
    }
}

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoList {
    /// There is no such issuer.
    UnknownIssuer,
    /// It could not be made, and the last one is not valid any more.
    Unavailable,
}

/// Why a list could not be made.
#[derive(Debug)]
enum BuildError {
    Store(StatusError),
    Signer(ingam_signer::Error),
    TooSlow,
    TooLong,
    Repeated,
    AuditFull,
    IssuerEnded,
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Store(_) => "what is revoked could not be read, or no number taken",
            Self::Signer(_) => "the CRL could not be signed",
            Self::TooSlow => "the CRL was not signed in time",
            Self::TooLong => "more certificates are revoked than crl_entries_max allows",
            Self::Repeated => "the store gave the same revoked certificate twice",
            Self::AuditFull => "signatures cannot be recorded, so none is made",
            Self::IssuerEnded => "the issuer's certificate has ended",
        })
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Signer(error) => Some(error),
            _ => None,
        }
    }
}

/// The list of one issuer.
struct Slot {
    issuer: IssuerName,
    issuer_not_after: Timestamp,
    current: RwLock<Option<Arc<PublishedCrl>>>,
    /// Held by the one who makes a list.
    making: tokio::sync::Mutex<()>,
    /// Until when nobody tries after a failure, milliseconds since the epoch.
    retry_at_ms: AtomicU64,
    /// Whether the last try failed.
    failed: AtomicBool,
}

impl Slot {
    fn new(issuer: &KnownIssuer) -> Self {
        Self {
            issuer: issuer.name.clone(),
            issuer_not_after: issuer.not_after,
            current: RwLock::default(),
            making: tokio::sync::Mutex::default(),
            retry_at_ms: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    fn current(&self) -> Option<Arc<PublishedCrl>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, list: Arc<PublishedCrl>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(list);
    }
}

/// Makes and keeps CRLs.
pub struct CrlService {
    statuses: Arc<dyn Statuses>,
    signer: Arc<dyn Signer>,
    clock: Arc<dyn Clock>,
    audit: Arc<Audit>,

    settings: Settings,
    slots: Vec<Slot>,

    counters: Arc<Counters>,
}

impl CrlService {
    pub(crate) fn new(
        statuses: Arc<dyn Statuses>,
        signer: Arc<dyn Signer>,
        clock: Arc<dyn Clock>,
        audit: Arc<Audit>,
        settings: Settings,
        counters: Arc<Counters>,
    ) -> Self {
        let slots = Issuers::new(signer.issuers()).iter().map(Slot::new).collect();
        Self { statuses, signer, clock, audit, settings, slots, counters }
    }

    /// The current list of the issuer with this name.
    pub(crate) async fn list(&self, issuer: &str) -> Result<Arc<PublishedCrl>, NoList> {
        let slot =
            self.slots.iter().find(|slot| slot.issuer.as_str() == issuer).ok_or(NoList::UnknownIssuer)?;
        self.list_of(slot).await
    }

    /// Looks every ten seconds whether a list is due, and makes it, until `shutdown` is done: so that there is a fresh
    /// one even when nobody asks.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let look = async {
                for slot in &self.slots {
                    // A failure was logged and counted, and the next round tries again.
                    let _ = self.list_of(slot).await;
                }
                sleep(JOB_PERIOD).await;
            };
            tokio::select! {
                biased;
                () = shutdown.as_mut() => return,
                () = look => {}
            }
        }
    }

    /// Each issuer, its current list, and whether the last try to make one failed.
    pub(crate) fn condition(&self) -> Vec<CrlCondition> {
        let condition = |slot: &Slot| CrlCondition {
            issuer: slot.issuer.clone(),
            current: slot.current().map(|list| CrlReport {
                number: list.number,
                this_update: list.this_update,
                next_update: list.next_update,
                entries: u64::try_from(list.entries).unwrap_or(u64::MAX),
            }),
            failed: slot.failed.load(Ordering::Acquire),
        };
        self.slots.iter().map(condition).collect()
    }

    async fn list_of(&self, slot: &Slot) -> Result<Arc<PublishedCrl>, NoList> {
        if let Some(list) = slot.current().filter(|list| self.is_current(list)) {
            return Ok(list);
        }
        let _turn = slot.making.lock().await;
        let last = slot.current();
        if let Some(list) = last.clone().filter(|list| self.is_current(list)) {
            return Ok(list);
        }
        let now = self.clock.now();
        if now.unix_ms() >= slot.retry_at_ms.load(Ordering::Acquire) {
            match self.make(slot, last.as_ref(), now).await {
                Ok(list) => {
                    slot.failed.store(false, Ordering::Release);
                    slot.publish(Arc::clone(&list));
                    return Ok(list);
                }
                Err(error) => {
                    slot.failed.store(true, Ordering::Release);
                    slot.retry_at_ms.store(now.plus(PAUSE_AFTER_FAILURE).unix_ms(), Ordering::Release);
                    self.counters.crl_failed.increment(1);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        issuer = slot.issuer.as_str(),
                        "no new CRL could be made"
                    );
                }
            }
        }
        last.filter(|list| now <= list.next_update).ok_or(NoList::Unavailable)
    }

    /// Whether a list may be given out without a look at what is revoked.
    fn is_current(&self, list: &PublishedCrl) -> bool {
        let now = self.clock.now();
        let checked_at = Timestamp::from_unix_ms(list.checked_at_ms.load(Ordering::Acquire));
        let is_unchanged = list.checked.load(Ordering::Acquire) >= self.statuses.generation();
        now < list.half() && (is_unchanged || now < checked_at.plus(self.settings.crl_interval))
    }

    /// A new list, or the last one if it lists the same and has time left.
    async fn make(
        &self,
        slot: &Slot,
        last: Option<&Arc<PublishedCrl>>,
        now: Timestamp,
    ) -> Result<Arc<PublishedCrl>, BuildError> {
        // Before the entries, as with every status: a change in between must be seen the next time.
        let generation = self.statuses.generation();
        let (entries, entries_digest) = self.entries(slot).await?;
        if let Some(last) = last
            && last.entries_digest.as_ref() == entries_digest.as_ref()
            && now < last.half()
        {
            last.confirm(generation, now);
            return Ok(Arc::clone(last));
        }
        let room = self.audit.room(1).ok_or(BuildError::AuditFull)?;
        let this_update = now.whole_second();
        let next_update =
            this_update.plus(self.settings.crl_validity).min(slot.issuer_not_after.whole_second());
        if next_update <= this_update {
            return Err(BuildError::IssuerEnded);
        }
        let number = self.statuses.crl_number(&slot.issuer).await.map_err(BuildError::Store)?;
        let count = entries.len();
        let contents = CrlContents { number, this_update, next_update, entries };
        let body = tokio::time::timeout(SIGNING_TIME_MAX, self.signer.sign_crl(&slot.issuer, contents))
            .await
            .map_err(|_| BuildError::TooSlow)?
            .map_err(BuildError::Signer)?;
        room.fill([SigningEvent {
            issuer: slot.issuer.clone(),
            at: this_update,
            next_update,
            signed: Signed::Crl { number, entries: count },
        }]);
        self.counters.crl_signed.increment(1);
        tracing::info!(issuer = slot.issuer.as_str(), number, entries = count, "a CRL was signed");
        Ok(Arc::new(PublishedCrl {
            content_length: HeaderValue::from(body.len()),
            etag: etag(&body),
            last_modified: date_value(this_update),
            body: Bytes::from(body),
            number,
            this_update,
            next_update,
            entries: count,
            entries_digest,
            checked: AtomicU64::new(generation),
            checked_at_ms: AtomicU64::new(now.unix_ms()),
        }))
    }

    /// All that is revoked, and a digest of it.
    async fn entries(&self, slot: &Slot) -> Result<(Vec<crl::Entry>, Digest), BuildError> {
        let mut entries: Vec<crl::Entry> = Vec::new();
        let mut digest = Context::new(&SHA256);
        loop {
            let after = entries.last().map(|entry| entry.serial.clone());
            let page =
                self.statuses.revoked(&slot.issuer, after.as_ref(), PAGE).map_err(BuildError::Store)?;
            let is_last = page.len() < PAGE;
            for entry in page {
                if entries.last().is_some_and(|before| before.serial == entry.serial) {
                    return Err(BuildError::Repeated);
                }
                if entries.len() >= self.settings.crl_entries_max {
                    return Err(BuildError::TooLong);
                }
                let serial = entry.serial.as_bytes();
                digest.update(&[serial.len().to_le_bytes()[0], entry.reason.number()]);
                digest.update(serial);
                digest.update(&entry.revoked_at.unix_ms().to_be_bytes());
                entries.push(entry);
            }
            if is_last {
                return Ok((entries, digest.finish()));
            }
            tokio::task::yield_now().await;
        }
    }
}
