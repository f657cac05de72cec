//! What an answer comes to. Whatever is kept of it is printable and has a limit; an answer that claims evidence is kept as its
//! claim.

use ingam_protocol::Timestamp;
use ingam_protocol::acme::{ChallengeType, ErrorType};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::wire::{CheckResponse, Seen};
use super::{Heard, Unreached};
use crate::caa::{self, Property};
use crate::dns_persist_01;
use crate::evidence::Evidence;
use crate::outcome::{Attempt, CaaQuery, Failure};
use crate::quote::{printable, quote};
use crate::sought::Persistent;

/// The most characters of an answer's own words.
pub(crate) const WORDS_MAX: usize = 512;

/// The most bytes that are kept of `details`.
const DETAILS_BYTES_MAX: usize = 16 * 1024;

/// The most errors whose words are kept.
const ERRORS_MAX: usize = 4;

/// An answer about a challenge.
///
/// # Errors
/// [`Unreached`] if it is none.
pub(crate) fn dcv(
    body: &[u8],
    attempt: &Attempt,
    issuers: &[String],
    now: Timestamp,
) -> Result<Heard, Unreached> {
    let response = read(body)?;
    if let Some(seen) = response.ingam.clone() {
        let is_asked =
            |evidence: &Evidence| evidence.host == attempt.host && evidence.challenge == attempt.challenge;
        return Ok(ours(&response, seen, is_asked, attempt.challenge));
    }
    let mut result = foreign(&response, incomplete(attempt.challenge), ErrorType::Unauthorized);
    if result.is_ok() && attempt.challenge == ChallengeType::DnsPersist01 {
        // It knows nothing of `policy` and hashed accounts: what it saw is held against our own rules, too.
        result = records_seen(&response.details).ok_or_else(unshown).and_then(|records| {
            let sought = Persistent::of(attempt, issuers)?;
            dns_persist_01::decide(records.iter().map(String::as_bytes), &sought, now)
        });
    }
    Ok(Heard { result, evidence: None, details: Some(details(response.details)) })
}

/// An answer about CAA.
///
/// # Errors
/// [`Unreached`] if it is none.
pub(crate) fn caa(body: &[u8], query: &CaaQuery, issuers: &[String]) -> Result<Heard, Unreached> {
    let response = read(body)?;
    if let Some(seen) = response.ingam.clone() {
        let is_asked = |evidence: &Evidence| {
            evidence.host.name() == Some(&query.name)
                && evidence.wildcard == query.wildcard
                && evidence.challenge == query.challenge
        };
        return Ok(ours(&response, seen, is_asked, query.challenge));
    }
    let mut result = foreign(&response, ErrorType::Dns, ErrorType::Caa);
    let saw_none = response.details.get("caa_record_present") == Some(&Value::Bool(false));
    match records_seen(&response.details) {
        _ if result.is_err() => {}
        Some(records) => {
            // It passes over `accounturi` and `validationmethods` (RFC 8657).
            let at = response.details.get("found_at").and_then(Value::as_str).unwrap_or(query.name.as_str());
            let permitted = permits(&records, issuers, query);
            result = permitted.map(|()| None).map_err(|words| caa::forbidden(at, &words));
        }
        None if saw_none => {}
        None => result = Err(unshown()),
    }
    Ok(Heard { result, evidence: None, details: Some(details(response.details)) })
}

fn read(body: &[u8]) -> Result<CheckResponse, Unreached> {
    let none =
        |error: serde_json::Error| Unreached::new(&format!("its answer is none of Open MPIC: {error}"));
    let mut value: Value = serde_json::from_slice(body).map_err(none)?;
    if value.get("check_passed").is_none_or(|passed| !passed.is_boolean()) {
        return Err(Unreached::new("its answer is none of Open MPIC: it has no check_passed"));
    }
    make_printable(&mut value);
    // What is not as ours is no claim of evidence, and no reason to pass over the answer itself.
    let seen = value.as_object_mut().and_then(|answer| answer.remove("ingam"));
    let mut response = CheckResponse::deserialize(value).map_err(none)?;
    response.ingam = seen.and_then(|seen| Seen::deserialize(seen).ok()).filter(Seen::is_told);
    Ok(response)
}

/// Every text in it, names of members included. How deep it goes is limited by the parser.
fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) if !is_printable(text) => *text = printable(text.as_bytes(), text.len()),
        Value::Array(values) => values.iter_mut().for_each(make_printable),
        Value::Object(members) => {
            members.values_mut().for_each(make_printable);
            if !members.keys().all(|name| is_printable(name)) {
                let made = |(name, value): (String, Value)| (printable(name.as_bytes(), name.len()), value);
                *members = std::mem::take(members).into_iter().map(made).collect();
            }
        }
        _ => {}
    }
}

pub(super) fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn ours(
    response: &CheckResponse,
    seen: Seen,
    is_asked: impl Fn(&Evidence) -> bool,
    challenge: ChallengeType,
) -> Heard {
    let has_passed = response.check_passed && response.check_completed;
    let other = seen.evidence.as_ref().is_some_and(|evidence| !is_asked(evidence));
    let result = match seen.failure {
        Some(failure) => Err(Failure { detail: printable(failure.detail.as_bytes(), WORDS_MAX), ..failure }),
        None if other => Err(Failure::new(ErrorType::ServerInternal, "it answered another question")),
        None if has_passed => Ok(seen.until),
        None => Err(Failure::new(incomplete(challenge), words(response))),
    };
    let details = (seen.left_out && seen.evidence.is_none()).then(|| json!({ "left_out": true }));
    Heard { result, evidence: seen.evidence.filter(|_| !other), details }
}

/// It agrees, and keeps to itself what our own rules have to be held against.
fn unshown() -> Failure {
    let detail = "it does not say which records it saw (records_seen), and does not count without them";
    Failure::new(ErrorType::ServerInternal, detail)
}

fn foreign(
    response: &CheckResponse,
    incomplete: ErrorType,
    failed: ErrorType,
) -> Result<Option<Timestamp>, Failure> {
    match (response.check_completed, response.check_passed) {
        (true, true) => Ok(None),
        (true, false) => Err(Failure::new(failed, words(response))),
        (false, _) => Err(Failure::new(incomplete, words(response))),
    }
}

/// What it is if a look did not come to an end.
fn incomplete(challenge: ChallengeType) -> ErrorType {
    match challenge {
        ChallengeType::Http01 | ChallengeType::TlsAlpn01 => ErrorType::Connection,
        ChallengeType::Dns01 | ChallengeType::DnsAccount01 | ChallengeType::DnsPersist01 => ErrorType::Dns,
    }
}

/// Its own words about why, or what it saw.
fn words(response: &CheckResponse) -> String {
    let errors = response.errors.as_deref().unwrap_or_default().iter().take(ERRORS_MAX);
    let said: Vec<&str> = errors.map(|error| error.error_message.as_str()).collect();
    if !said.is_empty() {
        return printable(said.join("; ").as_bytes(), WORDS_MAX);
    }
    let shown = |name: &str| response.details.get(name).filter(|value| !value.is_null());
    let seen = shown("records_seen").or_else(|| shown("response_status_code"));
    match seen {
        Some(seen) => {
            format!("it did not find what was asked for, but {}", quote(seen.to_string().as_bytes()))
        }
        None => "it did not find what was asked for".to_owned(),
    }
}

fn records_seen(details: &Value) -> Option<Vec<String>> {
    let records = details.get("records_seen")?.as_array()?;
    Some(records.iter().map(|record| record.as_str().unwrap_or_default().to_owned()).collect())
}

/// Our own rules, applied to what another maker's perspective saw.
fn permits(records: &[String], issuers: &[String], query: &CaaQuery) -> Result<(), String> {
    let mut properties = Vec::with_capacity(records.len());
    for record in records {
        let unreadable = || format!("{} is no CAA record that can be read", quote(record.as_bytes()));
        properties.push(property(record).ok_or_else(unreadable)?);
    }
    caa::decide(&properties, issuers, query)
}

/// A CAA record as zone files have it: flags, tag, and the value in quotation marks (RFC 8659, section 4.1.1; RFC 1035,
/// section 5.1).
fn property(record: &str) -> Option<Property> {
    let (flags, rest) = record.trim().split_once(' ')?;
    let (tag, value) = rest.trim_start().split_once(' ')?;
    let flags: u8 = flags.parse().ok()?;
    let value = value.trim_start().strip_prefix('"')?.strip_suffix('"')?;
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            // Within the marks, only after a backslash.
            b'"' => return None,
            b'\\' => match bytes.next()? {
                first @ b'0'..=b'9' => {
                    let digits = [first, bytes.next()?, bytes.next()?];
                    plain.push(std::str::from_utf8(&digits).ok()?.parse().ok()?);
                }
                other => plain.push(other),
            },
            byte => plain.push(byte),
        }
    }
    Some(Property { critical: flags & 0x80 != 0, tag: tag.to_ascii_lowercase(), value: plain })
}

/// `details` as they are kept.
fn details(details: Value) -> Value {
    let bytes = details.to_string().len();
    if bytes > DETAILS_BYTES_MAX { json!({ "left_out_bytes": bytes }) } else { details }
}
