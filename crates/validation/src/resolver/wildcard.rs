//! Whether a wildcard may stand for a name (RFC 4035, section 5.3.4).
//!
//! The library's validator asks for more than the rule does: where the wildcard itself is the last name before the
//! question's, it takes the proof for none. So a positive answer that it refuses is looked at once more here.

use trust_dns_resolver::proto::dnssec::Proof as RecordProof;
use trust_dns_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC, RRSIG};
use trust_dns_resolver::proto::op::{Message, Query};
use trust_dns_resolver::proto::rr::{Name, RData, Record};

/// Whether the answer's records are those of a wildcard, signed, and an NSEC record of the same zone proves that there is
/// nothing closer to the question's name.
pub(super) fn is_proven(response: &Message, query: &Query) -> bool {
    let name = query.name();
    let signatures =
        response.answers.iter().filter(|record| record.name == *name).filter_map(secure_signature);
    let mut expanded =
        signatures.filter(|signature| signature.input().num_labels < name.num_labels()).peekable();
    expanded.peek().is_some()
        && expanded.all(|signature| {
            let input = signature.input();
            let denials = response.authorities.iter().filter(|record| record.proof == RecordProof::Secure);
            denials.filter_map(|record| Some((&record.name, denial(record)?))).any(|(owner, denial)| {
                let is_own = || {
                    let of_denial = response.authorities.iter().filter(|record| record.name == *owner);
                    of_denial
                        .filter_map(secure_signature)
                        .any(|other| other.input().signer_name == input.signer_name)
                };
                nothing_closer(name, usize::from(input.num_labels), owner, denial) && is_own()
            })
        })
}

/// Whether there is no name between the wildcard's parent, which has `labels`, and `name`, nor `name` itself.
fn nothing_closer(name: &Name, labels: usize, owner: &Name, denial: &NSEC) -> bool {
    let next = denial.next_domain_name();
    // The parent's word at a delegation says nothing of what is below (RFC 6840, section 4.1).
    if denial.is_ancestor_delegation() && owner.zone_of(name) {
        return false;
    }
    // The last record of a zone leads back to its apex.
    let covers = owner < name && (name < next || (next <= owner && next.zone_of(name)));
    let shared = |other: &Name| {
        (1..=usize::from(name.num_labels())).filter(|count| name.trim_to(*count).zone_of(other)).max()
    };
    covers && shared(owner).unwrap_or(0) <= labels && shared(next).unwrap_or(0) <= labels
}

fn secure_signature(record: &Record) -> Option<&RRSIG> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) if record.proof == RecordProof::Secure => {
            Some(signature)
        }
        _ => None,
    }
}

fn denial(record: &Record) -> Option<&NSEC> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(denial)) => Some(denial),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use trust_dns_resolver::proto::rr::RecordType;

    use super::*;

    #[test]
    fn a_closer_name_is_no_excuse() {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        for (asked, labels, owner, next, holds) in [
            ("x.w.example.", 2, "*.w.example.", "y.w.example.", true),
            ("x.w.example.", 2, "*.w.example.", "example.", true),
            ("a.x.w.example.", 2, "*.w.example.", "y.w.example.", true),
            // The name itself, or one below it, is there.
            ("x.w.example.", 2, "x.w.example.", "y.w.example.", false),
            ("x.w.example.", 2, "*.w.example.", "x.w.example.", false),
            ("x.w.example.", 2, "*.w.example.", "a.x.w.example.", false),
            // Something closer is there, for which another wildcard would stand.
            ("b.x.w.example.", 2, "a.x.w.example.", "y.w.example.", false),
            ("b.x.w.example.", 2, "*.w.example.", "c.x.w.example.", false),
            // It covers other names.
            ("x.w.example.", 2, "y.w.example.", "z.w.example.", false),
            ("x.w.example.", 2, "y.w.example.", "example.", false),
            ("x.w.example.", 2, "a.other.", "other.", false),
        ] {
            let denial = NSEC::new(name(next), [RecordType::TXT]);
            let held = nothing_closer(&name(asked), labels, &name(owner), &denial);
            assert_eq!(held, holds, "{asked} between {owner} and {next}");
        }
        let delegation = NSEC::new(name("z.example."), [RecordType::NS]);
        assert!(!nothing_closer(&name("x.w.example."), 2, &name("w.example."), &delegation));
    }
}
