//! Whether CAA records permit issuing (RFC 8659, RFC 8657).

pub(crate) mod property;

use ingam_protocol::acme::ErrorType;
use trust_dns_resolver::proto::rr::rdata::CAA;
use trust_dns_resolver::proto::rr::{RData, RecordType};

use crate::evidence::Evidence;
use crate::iodef::{Destination, Report};
use crate::outcome::{CaaPermitted, CaaQuery, Failure};
use crate::quote::quote;
use crate::resolver::Resolver;

pub(crate) use property::is_issuer_domain;

/// The most places that one set of records can send a report to.
const DESTINATIONS_MAX: usize = 4;

/// What the records of a name come to.
pub(crate) enum Decision {
    Permitted(CaaPermitted),
    /// They forbid, and may want that to be told.
    Forbidden {
        failure: Failure,
        report: Option<Report>,
    },
}

/// One CAA record, as far as a decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) critical: bool,
    pub(crate) tag: String,
    pub(crate) value: Vec<u8>,
}

impl From<&CAA> for Property {
    fn from(record: &CAA) -> Self {
        Self {
            critical: record.issuer_critical,
            tag: record.tag.to_ascii_lowercase(),
            value: record.value.clone(),
        }
    }
}

/// Climbs from the name towards the root until a name has CAA records, and decides by these (RFC 8659, section 3).
///
/// Aliases are followed by the resolver, and the climb goes on from the name that was asked for, never from the
/// alias's target. A lookup that failed ends the climb: it could have hidden a record that forbids.
pub(crate) async fn check(
    resolver: &Resolver,
    issuers: &[String],
    query: &CaaQuery,
    evidence: &mut Evidence,
) -> Result<Decision, Failure> {
    let mut rest = Some(query.name.as_str());
    // A name has at most 127 labels, and each turn takes one off.
    while let Some(name) = rest {
        match resolver.lookup(name, RecordType::CAA, evidence).await {
            Ok(records) => {
                let properties: Vec<Property> = records
                    .iter()
                    .filter_map(|data| if let RData::CAA(record) = data { Some(record.into()) } else { None })
                    .collect();
                return Ok(match decide(&properties, issuers, query) {
                    Ok(()) => Decision::Permitted(CaaPermitted::new(query, Some(name.to_owned()))),
                    Err(words) => {
                        let failure = forbidden(name, &words);
                        let report = report(name, &properties, issuers, query, &failure);
                        Decision::Forbidden { failure, report }
                    }
                });
            }
            Err(missing) if missing.is_absence() => {}
            Err(missing) => {
                return Err(missing.failure("a CAA record could forbid issuing, so an answer is needed"));
            }
        }
        rest = name.split_once('.').map(|(_, parent)| parent);
    }
    Ok(Decision::Permitted(CaaPermitted::new(query, None)))
}

pub(crate) fn forbidden(name: &str, words: &str) -> Failure {
    Failure::new(ErrorType::Caa, format!("CAA: the records at {name} forbid issuing: {words}"))
}

/// What `iodef` properties beside those that forbid want to be told (RFC 8659, section 4.4).
fn report(
    domain: &str,
    properties: &[Property],
    issuers: &[String],
    query: &CaaQuery,
    failure: &Failure,
) -> Option<Report> {
    let wanted = properties.iter().filter(|property| property.tag == "iodef");
    let read = wanted.filter_map(|property| Destination::parse(&property.value));
    let destinations: Vec<Destination> = read.take(DESTINATIONS_MAX).collect();
    let identifier = if query.wildcard { format!("*.{}", query.name) } else { query.name.to_string() };
    let report = Report {
        domain: domain.to_owned(),
        identifier,
        reason: failure.detail.clone(),
        issuer: issuers.first().cloned().unwrap_or_else(|| "this CA".to_owned()),
        destinations,
    };
    (!report.destinations.is_empty()).then_some(report)
}

/// Decides by the relevant record set (RFC 8659, section 4); the words say what forbids.
pub(crate) fn decide(properties: &[Property], issuers: &[String], query: &CaaQuery) -> Result<(), String> {
    let is_known = |tag: &str| matches!(tag, "issue" | "issuewild" | "iodef");
    if let Some(unknown) = properties.iter().find(|property| property.critical && !is_known(&property.tag)) {
        return Err(format!("the critical property {} is unknown here", quote(unknown.tag.as_bytes())));
    }
    let with_tag = |tag: &str| properties.iter().filter(|property| property.tag == tag).collect::<Vec<_>>();
    // `issuewild` replaces `issue` for wildcards, and says nothing of other names (RFC 8659, section 4.3).
    let mut tag = "issuewild";
    let mut relevant = if query.wildcard { with_tag(tag) } else { Vec::new() };
    if relevant.is_empty() {
        tag = "issue";
        relevant = with_tag(tag);
    }
    let mut words = Vec::new();
    for property in &relevant {
        match property::permits(&property.value, issuers, query) {
            Ok(()) => return Ok(()),
            Err(refusal) if words.len() < 4 => {
                words.push(format!("{tag} {} {refusal}", quote(&property.value)))
            }
            Err(_) => {}
        }
    }
    if relevant.is_empty() {
        return Ok(());
    }
    let wanted = issuers.first().map_or("", String::as_str);
    Err(format!("{}; to permit this CA add 0 {tag} \"{wanted}\"", words.join(", ")))
}

#[cfg(test)]
mod tests;
