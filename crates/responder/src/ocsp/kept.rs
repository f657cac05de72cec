//! Answers in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use ingam_protocol::Timestamp;
use ingam_protocol::profile::IssuerName;
use moka::sync::Cache;
use ring::digest::{SHA256, digest};

use crate::date::imf_fixdate;
use crate::ocsp::Observed;
use crate::statuses::Status;

/// What a kept answer takes beside its key and its body, about: itself, its headers, its place in the cache.
const OVERHEAD_BYTES: usize = 1200;

/// The times of an answer, in rising order but for the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    /// From when it holds; also when it is signed.
    pub(crate) this_update: Timestamp,
    /// From when on a new one is signed in its place.
    pub(crate) refresh_at: Timestamp,
    /// From when on it is not given out any more, even if no new one can be signed.
    pub(crate) old_at: Timestamp,
    /// Its last second.
    pub(crate) next_update: Timestamp,
}

impl Period {
    /// Of an answer in whose place there is no other before its end: its last second but one is its last, here.
    pub(crate) fn whole(this_update: Timestamp, next_update: Timestamp) -> Self {
        Self { this_update, next_update, refresh_at: next_update, old_at: next_update }
    }

    /// Of an answer that is signed anew after `refresh`, or half of its validity.
    pub(crate) fn new(this_update: Timestamp, next_update: Timestamp, refresh: Duration) -> Self {
        let half = this_update.plus(next_update.since(this_update) / 2);
        Self { this_update, next_update, refresh_at: this_update.plus(refresh).min(half), old_at: half }
    }
}

/// An answer that is the same for all who ask, with its headers ready.
#[derive(Debug)]
pub struct KeptAnswer {
    /// DER of the OCSPResponse.
    pub body: Bytes,
    /// From when it holds.
    pub this_update: Timestamp,
    /// Its last second.
    pub next_update: Timestamp,
    /// The status that it tells, as it was on record.
    pub status: Status,

    pub(crate) issuer: IssuerName,
    pub(crate) refresh_at: Timestamp,
    pub(crate) old_at: Timestamp,
    pub(crate) content_length: HeaderValue,
    pub(crate) etag: HeaderValue,
    pub(crate) last_modified: HeaderValue,
    pub(crate) expires: HeaderValue,

    /// At this generation of all statuses, this answer's was still the one on record.
    checked: AtomicU64,
    /// Whether somebody asked for it when it should have been replaced, and it could not be.
    missed: AtomicBool,
}

impl KeptAnswer {
    pub(super) fn new(issuer: IssuerName, body: Bytes, period: Period, observed: Observed) -> Self {
        Self {
            issuer,
            missed: AtomicBool::new(false),
            content_length: HeaderValue::from(body.len()),
            etag: etag(&body),
            last_modified: date_value(period.this_update),
            expires: date_value(period.next_update),
            this_update: period.this_update,
            next_update: period.next_update,
            refresh_at: period.refresh_at,
            old_at: period.old_at,
            status: observed.status,
            checked: AtomicU64::new(observed.generation),
            body,
        }
    }

    /// Whether its status is known to have been on record at this generation or later.
    pub(super) fn is_checked_at(&self, generation: u64) -> bool {
        self.checked.load(Ordering::Acquire) >= generation
    }

    /// Notes that it should have been replaced, and could not be.
    pub(super) fn miss(&self) {
        self.missed.store(true, Ordering::Release);
    }

    /// Whether it should have been replaced, and could not be.
    pub(super) fn is_missed(&self) -> bool {
        self.missed.load(Ordering::Acquire)
    }

    /// Notes that its status was on record at this generation.
    pub(super) fn confirm(&self, generation: u64) {
        self.checked.fetch_max(generation, Ordering::AcqRel);
    }
}

/// A strong validator: half of the body's SHA-256 (RFC 9110, section 8.8.3).
pub(crate) fn etag(body: &[u8]) -> HeaderValue {
    let mut text = String::with_capacity(34);
    text.push('"');
    for byte in digest(&SHA256, body).as_ref().iter().take(16) {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('"');
    // Hexadecimal digits are always a header's value.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// A date as the value of a header.
pub(crate) fn date_value(moment: Timestamp) -> HeaderValue {
    // Letters, digits and spaces are always a header's value.
    HeaderValue::try_from(imf_fixdate(moment)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The kept answers, by the DER of their CertIDs: bounded by bytes, those asked for least go first.
pub(super) struct Memory(Cache<Bytes, Arc<KeptAnswer>>);

impl Memory {
    pub(super) fn new(bytes_max: u64) -> Self {
        let weigher = |cert_id: &Bytes, kept: &Arc<KeptAnswer>| {
            u32::try_from(cert_id.len() + kept.body.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes_max).weigher(weigher).build())
    }

    pub(super) fn find(&self, cert_id: &[u8]) -> Option<Arc<KeptAnswer>> {
        self.0.get(cert_id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Arc<KeptAnswer>> {
        self.0.iter().map(|(_, kept)| kept)
    }

    pub(super) fn keep(&self, cert_id: Bytes, kept: Arc<KeptAnswer>) {
        self.0.insert(cert_id, kept);
    }

    pub(super) fn forget(&self, cert_id: &[u8]) {
        self.0.invalidate(cert_id);
    }
}
