//! What one answer says about one question, and what DNSSEC proves of that.

use trust_dns_resolver::proto::dnssec::Proof as RecordProof;
use trust_dns_resolver::proto::dnssec::rdata::DNSSECRData;
use trust_dns_resolver::proto::op::{Message, Query, ResponseCode};
use trust_dns_resolver::proto::rr::rdata::CNAME;
use trust_dns_resolver::proto::rr::{Name, RData, Record, RecordType};
use trust_dns_resolver::proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::missing::{Cause, mnemonic};
use super::wildcard;
use crate::evidence::Proof;

/// What an answer has for a question.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// Records of the type that was asked for, at least one.
    Records(Vec<RData>),
    /// An alias.
    Alias(Name),
    /// Nothing has the name.
    NoName,
    /// The name has records of other types.
    NoRecords,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unread {
    /// It says nothing about the question, or contradicts itself.
    Useless(Cause),
    /// What it says is not proven.
    Unproven,
}

/// How much proof is asked for.
#[derive(Clone, Debug)]
pub(super) enum Judge {
    /// None.
    Credulous,
    /// That of DNSSEC; below each of these names, a zone that is not signed is no excuse.
    Strict { signed_below: Vec<Name> },
}

impl Judge {
    /// What a record's proof is worth for `name`; nothing if it is not enough.
    fn weigh(&self, proof: RecordProof, name: &Name) -> Result<Option<Proof>, Unread> {
        let Self::Strict { signed_below } = self else { return Ok(None) };
        match proof {
            RecordProof::Secure => Ok(Some(Proof::Secure)),
            RecordProof::Insecure if !signed_below.iter().any(|above| above.zone_of(name)) => {
                Ok(Some(Proof::Insecure))
            }
            _ => Err(Unread::Unproven),
        }
    }
}

/// Reads a validated answer. `denial` is what the validator made of the absence, where it said so beside the records.
pub(super) fn read(
    response: &Message,
    query: &Query,
    denial: Option<RecordProof>,
    judge: &Judge,
) -> Result<(Answer, Option<Proof>), Unread> {
    let useless = |words: &str| Unread::Useless(Cause::unusable(words));
    let code = response.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(Unread::Useless(Cause::Code(mnemonic(code))));
    }
    let name = query.name();
    // What the validator did not settle for is no better for one good record in it.
    let denial = denial.filter(|proof| proof.is_secure() || !wildcard::is_proven(response, query));
    let ceiling = denial.map(|proof| judge.weigh(proof, name)).transpose()?.flatten();
    let (answer, proof) = match positive(&response.answers, query, judge)? {
        Some(_) if code == ResponseCode::NXDomain => {
            return Err(useless("the answer has records, and says that there is no such name"));
        }
        Some(found) => found,
        // Whatever this is, it proves no absence.
        None if !response.answers.is_empty() => {
            return Err(useless("the answer has records of other names alone"));
        }
        None => {
            let proof = match (judge, denial) {
                (Judge::Credulous, _) => None,
                (_, Some(denial)) => {
                    check_denial_zone(response, name)?;
                    judge.weigh(denial, name)?
                }
                (_, None) => absence(response, name, judge)?,
            };
            let absent = if code == ResponseCode::NXDomain { Answer::NoName } else { Answer::NoRecords };
            (absent, proof)
        }
    };
    Ok((answer, weakest(proof, ceiling)))
}

/// The records or the alias of the question's own name, if there are any.
fn positive(
    answers: &[Record],
    query: &Query,
    judge: &Judge,
) -> Result<Option<(Answer, Option<Proof>)>, Unread> {
    let own = || answers.iter().filter(|record| record.name == *query.name());
    let mut found = Vec::new();
    let mut proof = None;
    for record in own().filter(|record| record.record_type() == query.query_type()) {
        proof = weakest(proof, judge.weigh(record.proof, query.name())?);
        found.push(record.data.clone());
    }
    if !found.is_empty() {
        return Ok(Some((Answer::Records(found), proof)));
    }
    let mut alias: Option<(&Name, Option<Proof>)> = None;
    for record in own() {
        let RData::CNAME(CNAME(target)) = &record.data else { continue };
        if alias.is_some_and(|(other, _)| other != target) {
            return Err(Unread::Useless(Cause::unusable("the name is an alias of two names at once")));
        }
        let proof = match judge.weigh(record.proof, query.name()) {
            Ok(proof) => proof,
            // An alias made up for a DNAME has no signature; the DNAME has (RFC 6672, section 5.3.1).
            Err(unproven) => {
                let above = answers.iter().find(|above| follows(query.name(), target, above));
                judge.weigh(above.ok_or(unproven)?.proof, query.name())?
            }
        };
        alias = Some((target, proof));
    }
    Ok(alias.map(|(target, proof)| (Answer::Alias(target.clone()), proof)))
}

/// Whether it follows from the DNAME that `name` is an alias of `target` (RFC 6672, section 2.2).
fn follows(name: &Name, target: &Name, record: &Record) -> bool {
    let RData::Unknown { code: RecordType::DNAME, rdata } = &record.data else { return false };
    if !record.name.zone_of(name) || record.name == *name {
        return false;
    }
    let mut decoder = BinDecoder::new(&rdata.anything);
    let Ok(base) = Name::read(&mut decoder) else { return false };
    let labels = name.iter().take(usize::from(name.num_labels().saturating_sub(record.name.num_labels())));
    let below = Name::from_labels(labels.map(<[u8]>::to_vec));
    decoder.is_empty() && below.and_then(|below| below.append_name(&base)).is_ok_and(|made| made == *target)
}

/// What the validator's records prove of an absence that it let through.
///
/// It lets one through if denials cover it, or if every record beside it is of an unsigned zone: the latter need not be the
/// question's own, so that is looked at here.
fn absence(response: &Message, name: &Name, judge: &Judge) -> Result<Option<Proof>, Unread> {
    let authorities = &response.authorities;
    let denies = |record: &&Record| is_denial(record) && record.proof == RecordProof::Secure;
    if authorities.iter().any(|record| denies(&record)) {
        check_denial_zone(response, name)?;
        return judge.weigh(RecordProof::Secure, name);
    }
    let is_of_zone = |record: &Record| record.proof == RecordProof::Insecure && record.name.zone_of(name);
    if authorities.is_empty() || authorities.iter().any(is_of_zone) {
        return judge.weigh(RecordProof::Insecure, name);
    }
    Err(Unread::Unproven)
}

fn is_denial(record: &Record) -> bool {
    matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3)
}

/// Nobody but a zone above the name denies anything of it: whoever signed a denial has to be one.
fn check_denial_zone(response: &Message, name: &Name) -> Result<(), Unread> {
    for denial in response.authorities.iter().filter(|record| is_denial(record)) {
        if denial.proof != RecordProof::Secure {
            continue;
        }
        let mut signers = response.authorities.iter().filter_map(|record| match &record.data {
            RData::DNSSEC(DNSSECRData::RRSIG(signature))
                if record.name == denial.name
                    && signature.input().type_covered == denial.record_type()
                    && record.proof == RecordProof::Secure =>
            {
                Some(&signature.input().signer_name)
            }
            _ => None,
        });
        if !signers.all(|signer| signer.zone_of(name)) {
            return Err(Unread::Unproven);
        }
    }
    Ok(())
}

/// The weaker of two proofs.
pub(super) fn weakest(one: Option<Proof>, other: Option<Proof>) -> Option<Proof> {
    match (one, other) {
        (Some(Proof::Secure) | None, other) if other.is_some() => other,
        (one, _) => one,
    }
}
