//! DNS questions of one validation, and what can be said about the answers.
//!
//! Each validation has a resolver of its own, so that no answer is handed on to another; no hosts file, no search list, no
//! other server. A question ends in records, in a proof that there are none ([`Missing::is_absence`]), or in nothing known;
//! the last is never taken for the second.
//!
//! From the network up: `connection` opens sockets, counts questions and takes notes of what comes (`notes`, `extended`);
//! `upstream` asks recursive servers, or the name servers themselves from the root on, and takes aliases apart; the library's
//! validator adds DNSSEC's proofs; `answer` reads what is proven, and `diagnosis` says what is wrong where nothing is. Here
//! aliases are followed, link by link. `setup` is what all of it is made of.
//!
//! Signatures are held against the machine's own time, which the library's validator reads by itself.

mod answer;
mod connection;
mod diagnosis;
mod extended;
#[cfg(any(test, feature = "zones"))]
pub(crate) mod feed;
mod missing;
mod notes;
mod setup;
mod silence;
mod upstream;
mod wildcard;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use trust_dns_resolver::net::dnssec::DnssecDnsHandle;
use trust_dns_resolver::net::runtime::{Time as _, TokioTime};
use trust_dns_resolver::net::xfer::{DnsHandle as _, FirstAnswer as _};
use trust_dns_resolver::net::{DnsError, NetError};
use trust_dns_resolver::proto::dnssec::TrustAnchors;
use trust_dns_resolver::proto::op::{DnsRequestOptions, DnsResponse, Message, Query, ResponseCode};
use trust_dns_resolver::proto::rr::rdata::{A, AAAA};
use trust_dns_resolver::proto::rr::{Name, RData, RecordType};

use crate::evidence::{Evidence, ExtendedError, Lookup, Proof, TEXT_MAX, VALUES_MAX};
use crate::quote::printable;

use answer::{Answer, Judge, Unread, weakest};
use diagnosis::diagnose;
use missing::Cause;
pub(crate) use missing::Missing;
use notes::Notes;
pub(crate) use setup::Setup;
use upstream::Upstream;

/// The most aliases that are followed from one name.
const ALIASES_MAX: usize = 16;

/// The most sets of records whose proof one validation remembers.
const PROOFS_MAX: usize = 256;

/// One validation's resolver.
pub(crate) struct Resolver {
    upstream: Upstream,
    notes: Arc<Notes>,
    anchors: Option<Arc<TrustAnchors>>,
    validator: Mutex<Option<DnssecDnsHandle<Upstream>>>,

    judge: Judge,
    lookup_timeout: Duration,
}

/// How far a lookup got, kept outside of the work that a time limit can end.
#[derive(Default)]
struct Course {
    asked: Vec<Query>,
    aliases: Vec<String>,
    proof: Option<Proof>,
    own_error: Option<ExtendedError>,
}

impl Resolver {
    fn new(
        upstream: Upstream,
        notes: Arc<Notes>,
        anchors: Option<Arc<TrustAnchors>>,
        judge: Judge,
        lookup_timeout: Duration,
    ) -> Self {
        let this = Self { upstream, notes, anchors, validator: Mutex::new(None), judge, lookup_timeout };
        this.renew();
        this
    }

    /// Whether whoever is asked knows keys of the root. That there are none is said by an answer without them, and by whoever
    /// does not serve such questions; silence and every other failure are no word on that: then they should be there.
    async fn has_signed_root(&self) -> bool {
        let query = Query::query(Name::root(), RecordType::DNSKEY);
        self.upstream.begin();
        let mut options = DnsRequestOptions::default();
        options.edns_set_dnssec_ok = true;
        let asking = async { self.upstream.lookup(query, options).first_answer().await };
        match tokio::time::timeout(self.lookup_timeout, asking).await {
            Ok(Ok(answer)) => {
                let has_keys = answer.answers.iter().any(|record| record.record_type() == RecordType::DNSKEY);
                has_keys || answer.truncation || !is_denial(answer.response_code)
            }
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => !is_denial(none.response_code),
            Ok(Err(NetError::Dns(DnsError::ResponseCode(code)))) => {
                !matches!(code, ResponseCode::Refused | ResponseCode::NotImp)
            }
            Ok(Err(_)) | Err(_) => true,
        }
    }

    /// Asks for the records of one type at `name` (without a trailing dot), following aliases, and notes the answer.
    ///
    /// `Ok` has at least one record, and every record is of that type.
    pub(crate) async fn lookup(
        &self,
        name: &str,
        record_type: RecordType,
        evidence: &mut Evidence,
    ) -> Result<Vec<RData>, Missing> {
        let (result, seen) = self.ask(name, record_type).await;
        evidence.lookups.push(seen);
        result
    }

    /// The addresses of `name`: IPv6 first, each kind in the order of the answer.
    ///
    /// One kind's failure is hidden by the other kind's records.
    pub(crate) async fn addresses(
        &self,
        name: &str,
        evidence: &mut Evidence,
    ) -> Result<Vec<IpAddr>, Missing> {
        let ((v6, v6_seen), (v4, v4_seen)) =
            tokio::join!(self.ask(name, RecordType::AAAA), self.ask(name, RecordType::A));
        evidence.lookups.extend([v6_seen, v4_seen]);
        match (v6, v4) {
            (Err(missing), Err(other)) => Err(if missing.is_absence() { other } else { missing }),
            (v6, v4) => Ok(v6
                .into_iter()
                .chain(v4)
                .flatten()
                .filter_map(|data| match data {
                    RData::A(A(address)) => Some(IpAddr::V4(address)),
                    RData::AAAA(AAAA(address)) => Some(IpAddr::V6(address)),
                    _ => None,
                })
                .collect()),
        }
    }

    async fn ask(&self, name: &str, record_type: RecordType) -> (Result<Vec<RData>, Missing>, Lookup) {
        let mut course = Course::default();
        self.upstream.begin();
        let result = match Name::from_ascii(format!("{name}.")) {
            Ok(question) => {
                let answer = Box::pin(self.follow(question, record_type, &mut course));
                tokio::time::timeout(self.lookup_timeout, answer).await.unwrap_or(Err(Cause::Timeout))
            }
            Err(_) => Err(Cause::unusable("the name is too long for DNS")),
        };
        tracing::debug!(name, %record_type, found = result.as_ref().map_or(0, Vec::len), "DNS lookup");
        let failed = result.as_ref().is_err_and(|cause| !matches!(cause, Cause::NoName | Cause::NoRecords));
        let mut errors = self.notes.errors(&course.asked, failed);
        if let Some(own) = course.own_error {
            errors.retain(|error| error.code != own.code);
            errors.truncate(extended::ERRORS_MAX.saturating_sub(1));
            errors.push(own);
        }
        let records = result.as_deref().unwrap_or_default();
        let seen = Lookup {
            name: name.to_owned(),
            record_type: record_type.to_string(),
            response: result.as_ref().err().map_or_else(|| "NOERROR".into(), Cause::response),
            values: records.iter().take(VALUES_MAX).map(|data| printable(&value(data), TEXT_MAX)).collect(),
            values_left_out: records.len().saturating_sub(VALUES_MAX),
            aliases: course.aliases,
            proof: match &result {
                Err(Cause::Bogus(_)) => Some(Proof::Bogus),
                Err(Cause::Indeterminate(_)) => Some(Proof::Indeterminate),
                Err(Cause::Code(_) | Cause::Timeout | Cause::Unusable(_)) => None,
                Ok(_) | Err(Cause::NoName | Cause::NoRecords) => course.proof,
            },
            extended_errors: errors.clone(),
        };
        (result.map_err(|cause| Missing { name: name.to_owned(), record_type, cause, errors }), seen)
    }

    /// Asks for `question`, and for the target of its alias where the answer is one: each link is proven by itself.
    async fn follow(
        &self,
        mut question: Name,
        record_type: RecordType,
        course: &mut Course,
    ) -> Result<Vec<RData>, Cause> {
        while course.asked.len() <= ALIASES_MAX {
            let query = Query::query(question, record_type);
            if course.asked.contains(&query) {
                break;
            }
            course.asked.push(query.clone());
            self.notes.begin(&query);
            let (answer, proof) = self.question(&query, course).await?;
            course.proof = weakest(course.proof, proof);
            match answer {
                Answer::Records(records) => return Ok(records),
                Answer::NoName => return Err(Cause::NoName),
                Answer::NoRecords => return Err(Cause::NoRecords),
                Answer::Alias(target) => {
                    course.aliases.push(shown(&target));
                    self.upstream.expect_alias(&target);
                    question = target;
                }
            }
        }
        Err(Cause::unusable("the name is an alias of an alias of an alias, and so on without end"))
    }

    /// Asks one question, and once more where the answer is not proven: another server may have a better one.
    async fn question(&self, query: &Query, course: &mut Course) -> Result<(Answer, Option<Proof>), Cause> {
        let mut is_last = self.anchors.is_none();
        loop {
            let (response, denial) = match self.send(query).await {
                Ok(response) => (response, None),
                Err(NetError::Dns(DnsError::Nsec { response, proof, .. })) => {
                    (response.into_message(), Some(proof))
                }
                Err(error) => return self.failed(query, &error),
            };
            match answer::read(&response, query, denial, &self.judge) {
                Ok(found) => return Ok(found),
                Err(Unread::Useless(cause)) => return Err(cause),
                Err(Unread::Unproven) if is_last => return Err(self.unproven(&response, query, course)),
                Err(Unread::Unproven) => {
                    is_last = true;
                    self.upstream.forget();
                    self.renew();
                }
            }
        }
    }

    async fn send(&self, query: &Query) -> Result<Message, NetError> {
        let mut options = DnsRequestOptions::default();
        options.edns_set_dnssec_ok = true;
        let validator = self.validator.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = match validator {
            Some(validator) => validator.lookup(query.clone(), options).first_answer().await,
            None => self.upstream.lookup(query.clone(), options).first_answer().await,
        };
        answer.map(DnsResponse::into_message)
    }

    fn failed(&self, query: &Query, error: &NetError) -> Result<(Answer, Option<Proof>), Cause> {
        let cause = self.upstream.failure(query).unwrap_or_else(|| error.into());
        match cause {
            // Without a validator a denial comes as an error.
            Cause::NoName if self.anchors.is_none() => Ok((Answer::NoName, None)),
            Cause::NoRecords if self.anchors.is_none() => Ok((Answer::NoRecords, None)),
            Cause::NoName | Cause::NoRecords => {
                Err(Cause::unusable("the validator gave no word on a denial"))
            }
            cause => Err(cause),
        }
    }

    /// What to say of an answer without proof.
    fn unproven(&self, response: &Message, query: &Query, course: &mut Course) -> Cause {
        let (code, cause) = match self.upstream.failure_above(query) {
            Some((above, why)) => {
                let words = format!(
                    "DNSSEC cannot be looked at, as {} of {} could not be had ({})",
                    above.query_type(),
                    shown(above.name()),
                    why.shortly()
                );
                (extended::INDETERMINATE, Cause::Indeterminate(words))
            }
            None => {
                // The validator's own time, truncated as signatures have it (RFC 4034, section 3.1.5).
                let now_s =
                    u32::try_from(TokioTime::current_time() & u64::from(u32::MAX)).unwrap_or_default();
                let found = diagnose(response, query, &self.upstream, now_s);
                (found.code, Cause::Bogus(found.words))
            }
        };
        course.own_error = Some(extended::new(code, b""));
        cause
    }

    /// Forgets what was proven.
    fn renew(&self) {
        let fresh = self.anchors.as_ref().map(|anchors| {
            DnssecDnsHandle::with_trust_anchor(self.upstream.clone(), anchors.clone())
                .validation_cache_size(PROOFS_MAX)
        });
        *self.validator.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

/// Whether a response code goes with an answer, be it that there is nothing.
fn is_denial(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// A name for the eye, as it was before the case of its letters was mixed.
fn shown(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    let text = if name.is_root() { text.as_str() } else { text.trim_end_matches('.') };
    printable(text.as_bytes(), TEXT_MAX)
}

/// A record's data for the eye: TXT's strings joined, CAA as flags, tag and value.
fn value(data: &RData) -> Vec<u8> {
    match data {
        RData::TXT(text) => text.txt_data.concat(),
        RData::CAA(record) => {
            let mut bytes = format!("{} {} ", record.flags(), record.tag).into_bytes();
            bytes.extend_from_slice(&record.value);
            bytes
        }
        other => other.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests;
