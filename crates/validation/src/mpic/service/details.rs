//! `details` of an answer, as open-mpic-core's types want them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::acme::ErrorType;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::evidence::{Evidence, Lookup, Proof};
use crate::outcome::{CaaPermitted, Failure};
use crate::quote::printable;

/// So much of a page goes back, as much as open-mpic-core gives.
const PAGE_BYTES: usize = 100;

/// What was seen of control, by the method that was asked for.
pub(super) fn dcv(method: &'static str, evidence: &Evidence) -> Value {
    match method {
        "acme-http-01" => http(method, evidence),
        "acme-tls-alpn-01" => json!({ "validation_method": method, "common_name": common_name(evidence) }),
        _ => dns(method, evidence),
    }
}

fn http(method: &str, evidence: &Evidence) -> Value {
    let next = evidence.hops.iter().skip(1);
    let history: Vec<Value> = evidence
        .hops
        .iter()
        .zip(next)
        .map(|(hop, next)| json!({ "status_code": hop.status.unwrap_or(0), "url": next.url }))
        .collect();
    let last = evidence.hops.last();
    let page = last.and_then(|hop| hop.body_start.as_deref()).map(|page| {
        let bytes = page.as_bytes();
        STANDARD.encode(bytes.get(..PAGE_BYTES).unwrap_or(bytes))
    });
    json!({
        "validation_method": method,
        "response_history": (!history.is_empty()).then_some(history),
        "response_url": evidence.hops.first().and_then(|hop| hop.url.as_deref()),
        "response_status_code": last.and_then(|hop| hop.status),
        "response_page": page,
    })
}

fn common_name(evidence: &Evidence) -> Option<String> {
    let facts = evidence.hops.last()?.tls.as_ref()?;
    let (_, certificate) = X509Certificate::from_der(facts.certificate.as_ref()?).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    Some(printable(name.as_str().ok()?.as_bytes(), 128))
}

fn dns(method: &str, evidence: &Evidence) -> Value {
    let lookup = evidence.lookups.last();
    json!({
        "validation_method": method,
        "records_seen": lookup.map(|lookup| &lookup.values),
        "response_code": lookup.and_then(response_code),
        "ad_flag": lookup.and_then(|lookup| lookup.proof).map(|proof| proof == Proof::Secure),
        "found_at": lookup.filter(|lookup| !lookup.values.is_empty()).map(|lookup| &lookup.name),
        "cname_chain": lookup.map(|lookup| &lookup.aliases),
    })
}

fn response_code(lookup: &Lookup) -> Option<u16> {
    match lookup.response.as_str() {
        "NOERROR" => Some(0),
        "FORMERR" => Some(1),
        "SERVFAIL" => Some(2),
        "NXDOMAIN" => Some(3),
        "NOTIMP" => Some(4),
        "REFUSED" => Some(5),
        "NOTAUTH" => Some(9),
        _ => None,
    }
}

/// What was seen of CAA.
pub(super) fn caa(evidence: &Evidence, result: &Result<CaaPermitted, Failure>) -> Value {
    let decided = match result {
        Ok(_) => true,
        Err(failure) => failure.error == ErrorType::Caa,
    };
    let found = evidence.lookups.last().filter(|lookup| !lookup.values.is_empty());
    let quoted: Option<Vec<String>> =
        found.map(|lookup| lookup.values.iter().map(|value| in_zone_form(value)).collect());
    json!({
        "caa_record_present": decided.then_some(found.is_some()),
        "found_at": found.map(|lookup| &lookup.name),
        "records_seen": quoted,
    })
}

/// A CAA record of the evidence with its value in quotation marks, as zone files have it.
fn in_zone_form(record: &str) -> String {
    let mut parts = record.splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(flags), Some(tag), Some(value)) => {
            format!("{flags} {tag} \"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        }
        _ => record.to_owned(),
    }
}
