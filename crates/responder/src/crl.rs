//! The current CRLs of each issuer (RFC 5280, section 5): one for all of its certificates, or one for each shard of them.
//!
//! ```text
//! asked for, or the job ─▶ still current? ── yes ─────────────────────────────────────────────▶ given out
//!                                └─ no: what is revoked, read anew ── the same, and young ─────▶ given out
//!                                                                  └─ another: signed, in its file ─▶ given out
//! ```
//!
//! - A list is current for half of its time, while nothing is revoked that it is about: the store says when something
//!   last was. [`CrlService::run`] looks each second, whoever asks looks too; who asks meanwhile waits for a while.
//! - `slot`: where one list is kept, and what is known of it. `make`: reading, signing, keeping. `shelf`: the files, and
//!   with `memory` their bytes. A list's bytes are in its file before anybody gets it, so that the next start goes on with it.
//! - Entries are read on threads that may block, one page after the other, of a few lists at once.

mod error;
mod make;
mod memory;
mod shelf;
mod slot;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ingam_protocol::crl::{Scope, ShardCounts};
use ingam_protocol::health::CrlReport;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Clock, Shard, Timestamp};
use ingam_signer::{Issuer, Signer};
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::audit::Audit;
use crate::condition::CrlCondition;
use crate::config::Settings;
use crate::counters::Counters;
use crate::seldom::Seldom;
use crate::statuses::{StatusError, Statuses};

pub use slot::PublishedCrl;

use shelf::Shelf;
use slot::{Checked, Slot};

/// At most so many lists are read and signed at once: each has all of its entries in memory for that time.
const LISTS_AT_ONCE: usize = 2;
/// How long somebody who asks waits for a new list before the last one is given out, if it is still valid.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// After a failure, how long the signer and the store are left alone.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often the job looks whether a list is due.
const JOB_PERIOD: Duration = Duration::from_secs(1);
/// After a failure, how much longer the job leaves a list alone than somebody who asks for it: reading may take long.
const JOB_PAUSE_FURTHER: Duration = Duration::from_secs(9);

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoList {
    /// There is no such issuer, or no such shard of it.
    Unknown,
    /// It could not be made, and the last one is not valid any more.
    Unavailable,
}

/// What lists are made with.
pub(crate) struct Parts {
    pub(crate) statuses: Arc<dyn Statuses>,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) counters: Arc<Counters>,
}

/// Makes and keeps CRLs.
pub struct CrlService {
    parts: Parts,
    shelf: Shelf,

    settings: Settings,
    slots: BTreeMap<(IssuerName, Option<Shard>), Arc<Slot>>,

    at_once: Semaphore,
    complaints: Seldom,
}

impl CrlService {
    /// A service for every issuer that the signer has now, with its files in this folder. Reads from the store which shards
    /// are in use: beside those that new certificates are spread over, all that ever had one.
    ///
    /// # Errors
    /// [`StatusError`] if that cannot be read.
    pub(crate) fn new(parts: Parts, settings: Settings, folder: &Path) -> Result<Self, StatusError> {
        let mut slots = BTreeMap::new();
        for issuer in parts.signer.issuers() {
            let issuer = Arc::new(issuer.clone());
            for (scope, is_announced) in scopes(&settings.crl_shards, parts.statuses.as_ref(), &issuer)? {
                let slot = Slot::new(Arc::clone(&issuer), scope, is_announced);
                slots.insert((issuer.name.clone(), scope.shard()), Arc::new(slot));
            }
        }
        Ok(Self {
            shelf: Shelf::new(folder.to_owned(), settings.crl_memory_bytes),
            parts,
            settings,
            slots,
            at_once: Semaphore::new(LISTS_AT_ONCE),
            complaints: Seldom::default(),
        })
    }

    /// The URLs of all lists that an issuer's certificates can be on, as a JSON array of strings.
    pub(crate) fn urls(&self, issuer: &Issuer) -> Vec<String> {
        let own = self.slots.values().filter(|slot| slot.issuer.name == issuer.name && slot.is_announced);
        own.map(|slot| slot.url()).collect()
    }

    /// The current list of a shard of the issuer with this name, or of what belongs to none.
    pub(crate) async fn list(
        self: &Arc<Self>,
        issuer: &str,
        shard: Option<Shard>,
    ) -> Result<Arc<PublishedCrl>, NoList> {
        let name = IssuerName::try_from(issuer.to_owned()).map_err(|_| NoList::Unknown)?;
        let slot = self.slots.get(&(name, shard)).ok_or(NoList::Unknown)?;
        match timeout(WAIT_MAX, self.fresh(slot)).await {
            Ok(list) => list,
            Err(_) => self.last_valid(slot),
        }
    }

    /// The bytes of a list. If they are not in its file any more, a new list is made for the next one who asks.
    pub(crate) async fn body(&self, list: &PublishedCrl) -> Result<Bytes, NoList> {
        self.shelf.body(list).await.map_err(|error| {
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) {
                list.is_lost.store(true, Ordering::Release);
            }
            if self.complaints.may_speak(self.parts.clock.now()) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a CRL could not be read from its file"
                );
            }
            NoList::Unavailable
        })
    }

    /// Looks each second whether lists are due, and makes them, a few at once, until `shutdown` is done: so that there are
    /// fresh ones even when nobody asks.
    pub async fn run(self: &Arc<Self>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let look = async {
                self.look_at_all().await;
                sleep(JOB_PERIOD).await;
            };
            tokio::select! {
                biased;
                () = shutdown.as_mut() => return,
                () = look => {}
            }
        }
    }

    async fn look_at_all(self: &Arc<Self>) {
        let mut looking = JoinSet::new();
        for slot in self.slots.values() {
            let now = self.parts.clock.now();
            let retry_at = Timestamp::from_unix_ms(slot.retry_at_ms.load(Ordering::Acquire));
            let has_pause = slot.failed.load(Ordering::Acquire) && now < retry_at.plus(JOB_PAUSE_FURTHER);
            if has_pause || now >= slot.issuer.not_after || self.current(slot).is_some() {
                continue;
            }
            // One more than are made at once, so that one waits and none of them has a pause.
            while looking.len() > LISTS_AT_ONCE {
                looking.join_next().await;
            }
            let (service, slot) = (Arc::clone(self), Arc::clone(slot));
            // A failure was logged and counted, and the next round tries again.
            looking.spawn(async move { service.fresh(&slot).await.is_ok() });
        }
        while looking.join_next().await.is_some() {}
    }

    /// Each issuer, what its lists have in common, and whether the last try to make one of them failed.
    pub(crate) fn condition(&self) -> Vec<CrlCondition> {
        let issuers = self.parts.signer.issuers().iter();
        issuers.map(|issuer| self.condition_of(&issuer.name)).collect()
    }

    fn condition_of(&self, issuer: &IssuerName) -> CrlCondition {
        let slots = || self.slots.values().filter(|slot| slot.issuer.name == *issuer);
        let lists: Option<Vec<_>> = slots().map(|slot| slot.current()).collect();
        let summary = |lists: Vec<Arc<PublishedCrl>>| {
            let counts = lists.iter().map(|list| u64::try_from(list.entries).unwrap_or(u64::MAX));
            Some(CrlReport {
                number: lists.iter().map(|list| list.number).max()?,
                this_update: lists.iter().map(|list| list.this_update).min()?,
                next_update: lists.iter().map(|list| list.next_update).min()?,
                entries: counts.fold(0, u64::saturating_add),
            })
        };
        CrlCondition {
            issuer: issuer.clone(),
            current: lists.and_then(summary),
            failed: slots().any(|slot| slot.failed.load(Ordering::Acquire)),
        }
    }

    /// The current list, made now if there is none.
    async fn fresh(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<Arc<PublishedCrl>, NoList> {
        if let Some(list) = self.current(slot) {
            return Ok(list);
        }
        let turn = Arc::clone(&slot.making).lock_owned().await;
        if let Some(list) = self.current(slot) {
            return Ok(list);
        }
        let may_try = self.parts.clock.now().unix_ms() >= slot.retry_at_ms.load(Ordering::Acquire);
        if may_try {
            // In a task of its own: it goes on when whoever waits for it leaves.
            let task = tokio::spawn(Arc::clone(self).renew(Arc::clone(slot), turn));
            if task.await.is_err() {
                tracing::error!(issuer = slot.issuer.name.as_str(), "the making of a CRL was broken off");
            }
        }
        self.last_valid(slot)
    }

    /// The last list, for as long as it is valid.
    fn last_valid(&self, slot: &Slot) -> Result<Arc<PublishedCrl>, NoList> {
        let now = self.parts.clock.now();
        slot.current().filter(|list| now <= list.next_update).ok_or(NoList::Unavailable)
    }

    /// The list of this slot if it may be given out without a look at what is revoked.
    fn current(&self, slot: &Slot) -> Option<Arc<PublishedCrl>> {
        let list = slot.current().filter(|list| !list.is_lost.load(Ordering::Acquire))?;
        let now = self.parts.clock.now();
        let Checked { generation: checked, at } = list.checked()?;
        if now >= list.half() {
            return None;
        }
        let generation = self.parts.statuses.generation();
        if checked >= generation || now < at.plus(self.settings.crl_interval) {
            return Some(list);
        }
        // Something was revoked since; if it is on another list, that is all there is to it.
        let last = self.parts.statuses.revoked_generation(&slot.issuer.name, slot.scope.shard()).ok()?;
        (last <= checked).then(|| {
            list.confirm(Checked { generation, at: now });
            list
        })
    }

    /// Takes up what the last start left, and makes a new list if that is not enough.
    async fn renew(self: Arc<Self>, slot: Arc<Slot>, mut turn: OwnedMutexGuard<bool>) {
        // Closed by nobody.
        let _one_of_a_few = self.at_once.acquire().await;
        if !*turn {
            self.take_up(&slot).await;
            *turn = true;
        }
        match self.make(&slot, slot.current().as_ref()).await {
            Ok(list) => {
                slot.failed.store(false, Ordering::Release);
                slot.publish(list);
            }
            Err(error) => {
                let now = self.parts.clock.now();
                slot.failed.store(true, Ordering::Release);
                slot.retry_at_ms.store(now.plus(PAUSE_AFTER_FAILURE).unix_ms(), Ordering::Release);
                self.parts.counters.crl_failed.increment(1);
                if self.complaints.may_speak(now) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        issuer = slot.issuer.name.as_str(),
                        shard = slot.scope.shard().map(|shard| shard.0),
                        "no new CRL could be made"
                    );
                }
            }
        }
    }
}

/// The lists of an issuer, and whether each of them belongs into the array of all: one for what has no shard does only
/// where there is such a certificate, or could be.
fn scopes(
    counts: &ShardCounts,
    statuses: &dyn Statuses,
    issuer: &Issuer,
) -> Result<Vec<(Scope, bool)>, StatusError> {
    let count = counts.of(&issuer.name);
    let in_use = statuses.shards(&issuer.name)?;
    if count == 0 && in_use.shards.is_empty() {
        return Ok(vec![(Scope::Complete, true)]);
    }
    let mut shards: Vec<Shard> = (0..count).map(Shard).chain(in_use.shards).collect();
    shards.sort_unstable();
    shards.dedup();
    let unsharded = (Scope::Unsharded, count == 0 || in_use.has_unsharded);
    Ok(std::iter::once(unsharded)
        .chain(shards.into_iter().map(|shard| (Scope::Shard(shard), true)))
        .collect())
}
