//! The comparison itself: pure, over what was read and fetched.

use std::collections::{BTreeMap, BTreeSet};

use ingam_protocol::crl::{Entry, SignedList};
use ingam_protocol::ocsp::{CertStatus, ErrorStatus, Response, SingleResponse};
use ingam_protocol::renewal::Window;
use ingam_protocol::{Serial, Timestamp};
use ingam_signer::Issuer;

use crate::monitor::sources::{Recorded, Renewal};

/// In what something that is given out differs from the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// There is no OCSP answer, or none that is signed by its issuer and in force.
    OcspAnswer,
    /// An OCSP answer tells another status, date or reason.
    OcspStatus,
    /// There is no CRL, or none that is signed by its issuer and in force.
    CrlList,
    /// A CRL lacks a certificate, has one too many, or tells another date or reason.
    CrlEntry,
    /// The suggested renewal window is not where it should be.
    RenewalWindow,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::OcspAnswer, Self::OcspStatus, Self::CrlList, Self::CrlEntry, Self::RenewalWindow];

    /// Its name in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OcspAnswer => "ocsp_answer",
            Self::OcspStatus => "ocsp_status",
            Self::CrlList => "crl_list",
            Self::CrlEntry => "crl_entry",
            Self::RenewalWindow => "renewal_window",
        }
    }
}

/// A disagreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    /// What was seen, in words.
    pub(super) detail: String,
}

impl Found {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// What the response to a request for one certificate, by this CertID, has wrong.
pub(super) fn ocsp(
    issuer: &Issuer,
    cert_id: &[u8],
    recorded: &Recorded,
    response: Result<Vec<u8>, String>,
    now: Timestamp,
) -> Option<Found> {
    let none = |why: &str| Some(Found::new(Kind::OcspAnswer, why));
    let der = match response {
        Ok(der) => der,
        Err(why) => return none(&why),
    };
    let answer = match (Response::read(&der), recorded.status) {
        (Err(error), _) => return none(&error.to_string()),
        (Ok(Response::Error(ErrorStatus::Unauthorized)), None) => return None,
        (Ok(Response::Error(ErrorStatus::Unauthorized)), Some(_)) => {
            return Some(Found::new(
                Kind::OcspStatus,
                "the answer is unauthorized, as if it were not issued",
            ));
        }
        (Ok(Response::Error(status)), _) => return none(&format!("the answer is the error {status:?}")),
        (Ok(Response::Answer(answer)), _) => answer,
    };
    let [SingleResponse { cert_id: told, status, this_update, next_update }] = answer.responses.as_slice()
    else {
        return none("the answer is not about one certificate");
    };
    if told != cert_id {
        return none("the answer is about another certificate");
    }
    if !issuer.has_answered(&answer, now) {
        return none("the answer is not signed by its issuer, or by nobody whom that appointed");
    }
    if !(*this_update..=*next_update).contains(&now) {
        return none(&format!("the answer is in force from {this_update} to {next_update}"));
    }
    (Some(*status) != recorded.status).then(|| {
        Found::new(
            Kind::OcspStatus,
            format!("told: {}, on record: {}", words(Some(*status)), words(recorded.status)),
        )
    })
}

/// What of a list was asked for.
pub(super) type Entries = BTreeMap<Serial, Entry>;

/// The entries of these serial numbers on a list (DER), if it is the issuer's and in force.
///
/// # Errors
/// Why it is of no use.
pub(super) fn entries(
    issuer: &Issuer,
    der: &[u8],
    wanted: &BTreeSet<Serial>,
    now: Timestamp,
) -> Result<Entries, String> {
    let list = SignedList::read(der).map_err(|error| error.to_string())?;
    if !issuer.has_signed(&list) {
        return Err("the CRL is not signed by its issuer".to_owned());
    }
    if !(list.this_update..=list.next_update).contains(&now) {
        return Err(format!("the CRL is in force from {} to {}", list.this_update, list.next_update));
    }
    let mut found = Entries::new();
    for entry in list.entries() {
        let entry = entry.map_err(|error| error.to_string())?;
        if wanted.contains(&entry.serial) {
            found.insert(entry.serial.clone(), entry);
        }
    }
    Ok(found)
}

/// What a certificate's entry has wrong; `None` if all is well.
pub(super) fn crl(recorded: &Recorded, entry: Option<&Entry>) -> Option<Found> {
    let listed = entry.map(|entry| CertStatus::Revoked { at: entry.revoked_at, reason: entry.reason });
    let due = recorded.status.filter(|status| *status != CertStatus::Good);
    let told =
        |status: Option<CertStatus>| status.map_or("not listed".to_owned(), |status| words(Some(status)));
    (listed != due).then(|| {
        Found::new(Kind::CrlEntry, format!("on the CRL: {}, on record: {}", told(listed), told(due)))
    })
}

/// What the suggested window has wrong: it is over if the certificate should be replaced at once, and lies within the
/// validity otherwise (RFC 9773, sections 4.1 and 4.2).
pub(super) fn window(
    recorded: &Recorded,
    told: Result<Option<Window>, String>,
    now: Timestamp,
) -> Option<Found> {
    let wrong = |detail: String| Some(Found::new(Kind::RenewalWindow, detail));
    match (told, recorded.renewal) {
        (Err(why), _) => wrong(why),
        (Ok(None), None) => None,
        (Ok(Some(_)), None) => wrong("there is a window, and no certificate on record".to_owned()),
        (Ok(None), Some(_)) => wrong("there is no window".to_owned()),
        (Ok(Some(Window { start, end })), Some(Renewal { validity, ends_early })) => {
            let is_right = match ends_early {
                true => end <= now,
                false => validity.not_before <= start && start < end && end <= validity.not_after,
            };
            let should = if ends_early { "should be over" } else { "should lie within the validity" };
            if is_right { None } else { wrong(format!("the window from {start} to {end} {should}")) }
        }
    }
}

fn words(status: Option<CertStatus>) -> String {
    match status {
        None => "not issued".to_owned(),
        Some(CertStatus::Good) => "good".to_owned(),
        Some(CertStatus::Revoked { at, reason }) => format!("revoked at {at} ({reason})"),
    }
}
