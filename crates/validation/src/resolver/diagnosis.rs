//! What is wrong with an answer that DNSSEC does not prove, in words for whoever can mend it.

use ingam_protocol::Timestamp;
use trust_dns_resolver::proto::dnssec::Proof as RecordProof;
use trust_dns_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, RRSIG};
use trust_dns_resolver::proto::op::{Message, Query};
use trust_dns_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::extended;
use super::shown;
use super::upstream::Upstream;

/// What is wrong, by its code in the registry of extended DNS errors (RFC 8914).
pub(super) struct Diagnosis {
    pub(super) code: u16,
    pub(super) words: String,
}

fn diagnosis(code: u16, words: String) -> Diagnosis {
    Diagnosis { code, words }
}

/// Looks for what is wrong, as far as the answers at hand show it. `now_s` is what the validator takes for the time.
pub(super) fn diagnose(response: &Message, query: &Query, upstream: &Upstream, now_s: u32) -> Diagnosis {
    let unproven = |record: &&Record| {
        record.record_type() != RecordType::RRSIG
            && !matches!(record.proof, RecordProof::Secure | RecordProof::Insecure)
    };
    let own = response.answers.iter().filter(unproven).find(|record| record.name == *query.name());
    let beside = || response.authorities.iter().filter(unproven);
    let denial =
        || beside().find(|record| matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3));
    if let Some(record) = own.or_else(denial).or_else(|| beside().next()) {
        let section = if own.is_some() { &response.answers } else { &response.authorities };
        return of_records(section, record, upstream, now_s);
    }
    let (name, record_type) = (shown(query.name()), query.query_type());
    let has_denial = response
        .authorities
        .iter()
        .any(|record| matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3));
    if has_denial {
        let words =
            format!("the zone's NSEC records do not prove what the answer says of {record_type} at {name}");
        diagnosis(extended::BOGUS, words)
    } else {
        let words = format!("no NSEC record proves what the answer says of {record_type} at {name}");
        diagnosis(extended::NO_DENIAL, words)
    }
}

/// Why the signatures over one set of records do not hold.
fn of_records(section: &[Record], record: &Record, upstream: &Upstream, now_s: u32) -> Diagnosis {
    let what = format!("{} of {}", record.record_type(), shown(&record.name));
    let signatures = covering(section, &record.name, record.record_type());
    let Some(first) = signatures.first() else {
        return diagnosis(
            extended::NO_SIGNATURE,
            format!("{what} came without a signature, and the zone is signed"),
        );
    };
    if let Some(found) = of_times(&signatures, &what, now_s) {
        return found;
    }
    let signer = &first.input().signer_name;
    of_keys(signer, first, upstream, now_s)
        .unwrap_or_else(|| diagnosis(extended::BOGUS, format!("the signature over {what} does not hold")))
}

/// Why the keys of the zone that signed cannot be relied on.
fn of_keys(signer: &Name, signature: &RRSIG, upstream: &Upstream, now_s: u32) -> Option<Diagnosis> {
    let name = shown(signer);
    let Some(response) = upstream.remembered(&Query::query(signer.clone(), RecordType::DNSKEY)) else {
        return Some(diagnosis(extended::NO_KEY, format!("there are no keys (DNSKEY) of {name}")));
    };
    let keys: Vec<&DNSKEY> = response.answers.iter().filter_map(key).collect();
    let tag = signature.input().key_tag;
    let tags: Vec<u16> = keys.iter().filter_map(|key| key.calculate_key_tag().ok()).collect();
    if !tags.contains(&tag) {
        return Some(diagnosis(
            extended::NO_KEY,
            format!("{name} has no key (DNSKEY) with the tag {tag}, by which the signature is"),
        ));
    }
    let signatures = covering(&response.answers, signer, RecordType::DNSKEY);
    if let Some(found) = of_times(&signatures, &format!("DNSKEY of {name}"), now_s) {
        return Some(found);
    }
    let delegation_query = Query::query(signer.clone(), RecordType::DS);
    let Some(parent) = upstream.remembered(&delegation_query) else {
        let words = format!("the parent of {name} neither names its keys (DS) nor proves that it names none");
        return upstream.is_denied(&delegation_query).then(|| diagnosis(extended::NO_DENIAL, words));
    };
    let mut named = parent.answers.iter().filter_map(delegation).peekable();
    named.peek()?;
    let is_there = |ds: &DS| keys.iter().any(|key| ds.covers(signer, key).unwrap_or(false));
    if named.any(is_there) {
        return None;
    }
    let words = format!("no key (DNSKEY) of {name} is one that its parent names (DS)");
    Some(diagnosis(extended::NO_KEY, words))
}

/// Whether all signatures are out of their time.
fn of_times(signatures: &[&RRSIG], what: &str, now_s: u32) -> Option<Diagnosis> {
    let at = |seconds: u32| Timestamp::from_unix_s(u64::from(seconds)).to_rfc3339();
    // Times are compared by serial number arithmetic (RFC 4034, section 3.1.5), so that they outlive the year 2106.
    let is_past = |time: u32| now_s.wrapping_sub(time) < 1 << 31 && now_s != time;
    let is_future = |time: u32| time.wrapping_sub(now_s) < 1 << 31 && now_s != time;
    let expired = |signature: &RRSIG| is_past(signature.input().sig_expiration.get());
    let early = |signature: &RRSIG| is_future(signature.input().sig_inception.get());
    let first = signatures.first()?.input();
    if signatures.iter().all(|signature| expired(signature)) {
        let words = format!("the signature over {what} ended at {}", at(first.sig_expiration.get()));
        return Some(diagnosis(extended::EXPIRED, words));
    }
    if signatures.iter().all(|signature| early(signature)) {
        let words = format!("the signature over {what} begins at {}", at(first.sig_inception.get()));
        return Some(diagnosis(extended::NOT_YET_VALID, words));
    }
    None
}

fn covering<'a>(section: &'a [Record], owner: &Name, record_type: RecordType) -> Vec<&'a RRSIG> {
    let of_owner = section.iter().filter(|record| record.name == *owner);
    let signatures = of_owner.filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature),
        _ => None,
    });
    signatures.filter(|signature| signature.input().type_covered == record_type).collect()
}

fn key(record: &Record) -> Option<&DNSKEY> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) => Some(key),
        _ => None,
    }
}

fn delegation(record: &Record) -> Option<&DS> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::DS(ds)) => Some(ds),
        _ => None,
    }
}
