//! Any bytes as an answer, for fuzzing: what the resolver does with a message once it is off the wire.

use std::sync::Arc;

use trust_dns_resolver::proto::dnssec::Proof as RecordProof;
use trust_dns_resolver::proto::op::{DnsRequestOptions, Message, Query};
use trust_dns_resolver::proto::rr::{Name, RecordType};

use super::answer::{self, Answer, Judge, Unread};
use super::diagnosis::diagnose;
use super::notes::Notes;
use super::upstream::{self, Source, Upstream};
use super::{shown, value};

/// What became of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// They are no DNS message.
    NoMessage,
    /// They say nothing about the question, or nothing that is proven.
    Unused,
    /// They have records, an alias, or the word that there are none.
    Used,
}

/// Feeds bytes to the resolver: the first says what was asked and what a validator makes of each record, the rest is the
/// message. Its own question, if it has one, is the one that was asked.
///
/// # Panics
/// If the resolver makes more of them than it may.
pub fn feed(bytes: &[u8]) -> Fed {
    let Some((first, bytes)) = bytes.split_first() else { return Fed::NoMessage };
    let Ok(mut message) = Message::from_vec(bytes) else { return Fed::NoMessage };
    let types = [RecordType::CAA, RecordType::TXT, RecordType::A, RecordType::AAAA];
    let record_type = types.get(usize::from(first & 3)).copied().unwrap_or(RecordType::CAA);
    let name = message.queries.first().map_or_else(Name::root, |query| query.name().clone());
    let query = Query::query(name, record_type);
    let proofs = [RecordProof::Secure, RecordProof::Insecure, RecordProof::Bogus, RecordProof::Indeterminate];
    let proof_at =
        |at: usize| proofs.get((usize::from(first >> 2) + at * usize::from(first >> 4)) & 3).copied();
    for (at, record) in message.answers.iter_mut().chain(message.authorities.iter_mut()).enumerate() {
        record.proof = proof_at(at).unwrap_or_default();
    }
    let notes = Arc::new(Notes::default());
    notes.saw(&query, &message);
    assert!(notes.errors(std::slice::from_ref(&query), true).iter().all(|error| error.text.len() <= 128));
    let _ = (upstream::is_expanded(&message.answers, &query), shown(query.name()));
    if upstream::is_alias(&message.answers, &query) {
        upstream::cut_to_first_link(&mut message, &query);
    }
    let denial = (first & 0x40 != 0).then(|| proof_at(1).unwrap_or_default());
    let strict = Judge::Strict { signed_below: Vec::new() };
    let proven = answer::read(&message, &query, denial, &strict);
    match &proven {
        Ok((Answer::Records(records), proof)) => {
            assert!(proof.is_some() && !records.is_empty());
            assert!(
                records.iter().all(|data| data.record_type() == record_type && value(data).len() <= 1 << 20)
            );
        }
        Ok((_, proof)) => assert!(proof.is_some()),
        Err(Unread::Unproven) => {
            let nowhere = Upstream::new(Source::Nobody, notes, DnsRequestOptions::default());
            let _ = diagnose(&message, &query, &nowhere, 1_795_255_200);
        }
        Err(Unread::Useless(_)) => {}
    }
    let believed = answer::read(&message, &query, None, &Judge::Credulous);
    // Proof is asked for beside everything else, never instead of it.
    assert!(believed.is_ok() || proven.is_err());
    if proven.is_ok() { Fed::Used } else { Fed::Unused }
}
