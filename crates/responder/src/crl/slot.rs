//! Where one list is kept, and what is known of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use http::HeaderValue;
use ingam_protocol::Timestamp;
use ingam_protocol::crl::{Entry, Scope};
use ingam_signer::Issuer;
use ring::digest::{Context, Digest, SHA256};

use crate::ocsp::{date_value, etag};

/// The list of one scope of an issuer.
pub(super) struct Slot {
    pub(super) issuer: Arc<Issuer>,
    pub(super) scope: Scope,
    /// Whether it is told where all lists are told.
    pub(super) is_announced: bool,
    current: RwLock<Option<Arc<PublishedCrl>>>,
    /// Held by the one who makes a list; whether what the last start left was taken up.
    pub(super) making: Arc<tokio::sync::Mutex<bool>>,
    /// The number of a list of this scope that is out, and is not there to be given out any more.
    pub(super) number_out: AtomicU64,
    /// Until when nobody tries after a failure, milliseconds since the epoch.
    pub(super) retry_at_ms: AtomicU64,
    /// Whether the last try failed.
    pub(super) failed: AtomicBool,
}

impl Slot {
    pub(super) fn new(issuer: Arc<Issuer>, scope: Scope, is_announced: bool) -> Self {
        Self {
            issuer,
            scope,
            is_announced,
            current: RwLock::default(),
            making: Arc::default(),
            number_out: AtomicU64::new(0),
            retry_at_ms: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Whether it is about some of its issuer's certificates alone.
    pub(super) fn is_partial(&self) -> bool {
        self.scope != Scope::Complete
    }

    /// Where certificates point to.
    pub(super) fn url(&self) -> String {
        self.issuer.urls.crl_of(self.scope.shard())
    }

    /// Its file in the folder of all lists, called as in its URL. An issuer's name is letters, digits and hyphens.
    pub(super) fn file(&self) -> PathBuf {
        let issuer = &self.issuer.name;
        PathBuf::from(match self.scope.shard() {
            Some(shard) => format!("{issuer}/{shard}.crl"),
            None => format!("{issuer}.crl"),
        })
    }

    pub(super) fn current(&self) -> Option<Arc<PublishedCrl>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, list: Arc<PublishedCrl>) {
        self.number_out.fetch_max(list.number, Ordering::AcqRel);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(list);
    }
}

/// A look at what is revoked that a list was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Checked {
    /// The generation of all statuses before the look.
    pub(super) generation: u64,
    /// When it was taken.
    pub(super) at: Timestamp,
}

/// A CRL as it is given out: everything but its bytes, which are in its file.
#[derive(Debug)]
pub struct PublishedCrl {
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
    pub(crate) expires: HeaderValue,

    /// Its file in the folder of all lists.
    pub(super) file: PathBuf,
    /// Of what it lists.
    pub(super) entries_digest: Digest,
    /// Its bytes, if somebody has them: those in memory, and those that are being sent.
    pub(super) body: Mutex<Weak<Vec<u8>>>,
    /// Held by the one who reads them from the file.
    pub(super) reading: tokio::sync::Mutex<()>,
    /// Whether its file is gone, or holds something else.
    pub(super) is_lost: AtomicBool,
    /// When it was last known to list all that is revoked; never yet, if it comes from an earlier start.
    checked: Mutex<Option<Checked>>,
}

/// What [`PublishedCrl`] is made from.
pub(super) struct Signed<'a> {
    pub(super) body: &'a [u8],
    pub(super) number: u64,
    pub(super) this_update: Timestamp,
    pub(super) next_update: Timestamp,
    pub(super) entries: Counted,
}

impl PublishedCrl {
    pub(super) fn new(signed: Signed<'_>, file: PathBuf, checked: Option<Checked>) -> Self {
        let Signed { body, number, this_update, next_update, entries } = signed;
        Self {
            number,
            this_update,
            next_update,
            entries: entries.count,
            content_length: HeaderValue::from(body.len()),
            etag: etag(body),
            last_modified: date_value(this_update),
            expires: date_value(next_update),
            file,
            entries_digest: entries.digest,
            body: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            is_lost: AtomicBool::new(false),
            checked: Mutex::new(checked),
        }
    }

    pub(super) fn checked(&self) -> Option<Checked> {
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn confirm(&self, checked: Checked) {
        let mut last = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(Some(checked));
    }

    pub(super) fn half(&self) -> Timestamp {
        self.this_update.plus(self.next_update.since(self.this_update) / 2)
    }
}

/// How many entries, and a digest of all of them, in their order.
pub(super) struct Counted {
    pub(super) count: usize,
    pub(super) digest: Digest,
}

/// Counts entries as they come.
pub(super) struct Counting {
    count: usize,
    digest: Context,
}

impl Counting {
    pub(super) fn new() -> Self {
        Self { count: 0, digest: Context::new(&SHA256) }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        let serial = entry.serial.as_bytes();
        self.digest.update(&[serial.len().to_le_bytes()[0], entry.reason.number()]);
        self.digest.update(serial);
        // What a list can say: whole seconds.
        self.digest.update(&entry.revoked_at.unix_s().to_be_bytes());
        self.count += 1;
    }

    pub(super) fn finish(self) -> Counted {
        Counted { count: self.count, digest: self.digest.finish() }
    }
}
