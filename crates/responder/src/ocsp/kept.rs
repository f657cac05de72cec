//! Answers in memory.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED};
use http::{HeaderName, HeaderValue};
use ingam_protocol::Timestamp;
use ingam_protocol::profile::IssuerName;
use memchr::memmem;
use ring::digest::{SHA256, digest};

use crate::date::imf_fixdate;
use crate::ocsp::Observed;
use crate::statuses::Status;

/// What a kept answer takes beside its bytes, about: itself, its headers once more, its place in memory.
const OVERHEAD_BYTES: usize = 1000;

/// What the headers of an answer take, about.
const HEADERS_BYTES: usize = 300;

/// The media type of every answer (RFC 6960, appendix A.2).
pub(crate) const OCSP_RESPONSE: HeaderValue = HeaderValue::from_static("application/ocsp-response");

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
///
/// Among a million, each line of memory that a request has to look at is one that nobody has looked at for long: what the threads near
/// the socket need is together, the rest apart.
#[derive(Debug)]
pub struct KeptAnswer {
    /// The answer behind its headers, as HTTP/1 writes them for as long as it may be cached for the usual time.
    pub(crate) wire: Bytes,
    /// Where in it the CertID is that it is about.
    cert_id: Range<usize>,
    /// From when it holds.
    pub this_update: Timestamp,
    /// Its last second.
    pub next_update: Timestamp,
    pub(crate) refresh_at: Timestamp,
    /// The status that it tells, as it was on record.
    pub status: Status,
    /// At this generation of all statuses, this answer's was still the one on record.
    checked: AtomicU64,
    /// Whether somebody asked for it since memory was cleared up.
    asked: AtomicBool,
    pub(crate) rest: Box<Rest>,
}

/// What answers over hyper, and whoever looks after memory, need of it.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) body: Bytes,
    pub(crate) issuer: IssuerName,
    pub(crate) old_at: Timestamp,
    pub(crate) content_length: HeaderValue,
    pub(crate) etag: HeaderValue,
    pub(crate) last_modified: HeaderValue,
    pub(crate) expires: HeaderValue,
    /// Whether somebody asked for it when it should have been replaced, and it could not be.
    missed: AtomicBool,
}

impl KeptAnswer {
    /// `cert_id` is in the body; `cache_control` is that of an answer which may be cached for the usual time.
    pub(super) fn new(
        issuer: IssuerName,
        cert_id: &[u8],
        body: &[u8],
        cache_control: &HeaderValue,
        period: Period,
        observed: Observed,
    ) -> Self {
        let content_length = HeaderValue::from(body.len());
        let etag = etag(body);
        let last_modified = date_value(period.this_update);
        let expires = date_value(period.next_update);
        let values = [&content_length, cache_control, &etag, &last_modified, &expires];
        let mut wire = Vec::with_capacity(HEADERS_BYTES + body.len());
        write_fields(&mut wire, values.map(HeaderValue::as_bytes));
        let begin = wire.len();
        wire.extend_from_slice(body);
        let wire = Bytes::from(wire);
        let place = memmem::find(&wire, cert_id).unwrap_or_default();
        Self {
            cert_id: place..place + cert_id.len(),
            this_update: period.this_update,
            next_update: period.next_update,
            refresh_at: period.refresh_at,
            status: observed.status,
            checked: AtomicU64::new(observed.generation),
            asked: AtomicBool::new(false),
            rest: Box::new(Rest {
                body: wire.slice(begin..),
                issuer,
                old_at: period.old_at,
                content_length,
                etag,
                last_modified,
                expires,
                missed: AtomicBool::new(false),
            }),
            wire,
        }
    }

    /// DER of the OCSPResponse.
    pub fn body(&self) -> &Bytes {
        &self.rest.body
    }

    /// DER of the CertID that it is about.
    pub(super) fn cert_id(&self) -> &[u8] {
        self.wire.get(self.cert_id.clone()).unwrap_or_default()
    }

    /// Whether another one is to be signed in its place; also if it has not begun, as the clock was put back.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.refresh_at || now < self.this_update
    }

    /// Whether its status is known to have been on record at this generation or later.
    pub(super) fn is_checked_at(&self, generation: u64) -> bool {
        self.checked.load(Ordering::Acquire) >= generation
    }

    /// Notes that it should have been replaced, and could not be.
    pub(super) fn miss(&self) {
        self.rest.missed.store(true, Ordering::Release);
    }

    /// Whether it should have been replaced, and could not be.
    pub(super) fn is_missed(&self) -> bool {
        self.rest.missed.load(Ordering::Acquire)
    }

    /// Notes that somebody asked for it. Written seldom: threads that only read it do not get into each other's way.
    pub(super) fn note_asked(&self) {
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody asked for it since this was asked last.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }

    /// What it takes of memory, about.
    pub(super) fn weight(&self) -> u64 {
        (self.wire.len() + OVERHEAD_BYTES) as u64
    }

    /// Notes that its status was on record at this generation.
    pub(super) fn confirm(&self, generation: u64) {
        self.checked.fetch_max(generation, Ordering::AcqRel);
    }
}

/// Writes an answer that is the same for all who ask, behind its headers, as HTTP/1 has them.
pub(super) fn write_whole(out: &mut Vec<u8>, body: &[u8], cache_control: &HeaderValue, period: Period) {
    let length = body.len().to_string();
    let tag = tag(body);
    let dates = [period.this_update, period.next_update].map(imf_fixdate);
    let [last_modified, expires] = &dates;
    let values =
        [length.as_bytes(), cache_control.as_bytes(), &tag, last_modified.as_bytes(), expires.as_bytes()];
    write_fields(out, values);
    out.extend_from_slice(body);
}

/// Writes the headers of such an answer and the empty line behind them, with these values: length, how long it may be cached, entity tag,
/// from when it holds, and its last second.
fn write_fields(out: &mut Vec<u8>, values: [&[u8]; 5]) {
    write_field(out, &CONTENT_TYPE, &OCSP_RESPONSE);
    for (name, value) in [CONTENT_LENGTH, CACHE_CONTROL, ETAG, LAST_MODIFIED, EXPIRES].iter().zip(values) {
        write_line(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a header field as HTTP/1 has it (RFC 9112, section 5).
pub(crate) fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    write_line(out, name, value.as_bytes());
}

fn write_line(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A strong validator: half of the body's SHA-256 (RFC 9110, section 8.8.3).
pub(crate) fn etag(body: &[u8]) -> HeaderValue {
    // Hexadecimal digits are always a header's value.
    HeaderValue::from_bytes(&tag(body)).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The same, as bytes.
fn tag(body: &[u8]) -> [u8; 34] {
    let digits = b"0123456789abcdef";
    let mut text = [b'"'; 34];
    let hash = digest(&SHA256, body);
    let halves = hash.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (place, half) in text.iter_mut().skip(1).zip(halves.take(32)) {
        *place = digits.get(usize::from(half)).copied().unwrap_or_default();
    }
    text
}

/// A date as the value of a header.
pub(crate) fn date_value(moment: Timestamp) -> HeaderValue {
    // Letters, digits and spaces are always a header's value.
    HeaderValue::try_from(imf_fixdate(moment)).unwrap_or_else(|_| HeaderValue::from_static(""))
}
