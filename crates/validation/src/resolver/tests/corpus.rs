//! Answers made by hand and found by the fuzzer: those of `testdata/corpus/dns-answer` whose names begin with `ok-` are used,
//! `bad-` are no messages, `unused-` prove nothing; the rest must only do no harm.

use std::path::Path;

use trust_dns_resolver::proto::dnssec::Proof as RecordProof;
use trust_dns_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC};
use trust_dns_resolver::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use trust_dns_resolver::proto::rr::rdata::{A, CNAME, SOA};
use trust_dns_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::super::answer::{Answer, Judge, Unread, read};
use super::super::feed::{Fed, feed};
use super::super::missing::Cause;
use crate::evidence::Proof;

#[test]
fn the_corpus_is_read_as_its_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus/dns-answer");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let fed = feed(&std::fs::read(&path).unwrap());
        match name.split('-').next().unwrap() {
            "ok" => assert_eq!(fed, Fed::Used, "{name}"),
            "bad" => assert_eq!(fed, Fed::NoMessage, "{name}"),
            "unused" => assert_eq!(fed, Fed::Unused, "{name}"),
            _ => {}
        }
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, data: RData, proof: RecordProof) -> Record {
    let mut record = Record::from_rdata(name(owner), 60, data);
    record.proof = proof;
    record
}

fn start(owner: &str, proof: RecordProof) -> Record {
    record(owner, RData::SOA(SOA::new(name("ns."), name("ns."), 1, 1, 1, 1, 1)), proof)
}

fn message(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>) -> Message {
    let mut message = Message::new(1, MessageType::Response, OpCode::Query);
    message.metadata.response_code = code;
    message.add_answers(answers).add_authorities(authorities);
    message
}

fn strict() -> Judge {
    Judge::Strict { signed_below: vec![name("corp.example.")] }
}

#[test]
fn an_unsigned_zone_elsewhere_excuses_nothing() {
    let query = Query::query(name("www.victim.example."), RecordType::CAA);
    for (owner, proof, holds) in [
        ("victim.example.", RecordProof::Insecure, true),
        ("example.", RecordProof::Insecure, true),
        // Whoever is on the way can add a record of an unsigned zone of their own.
        ("attacker.example.", RecordProof::Insecure, false),
        ("below.www.victim.example.", RecordProof::Insecure, false),
        ("victim.example.", RecordProof::Bogus, false),
        ("victim.example.", RecordProof::Indeterminate, false),
        // Signed, and no denial.
        ("victim.example.", RecordProof::Secure, false),
    ] {
        for code in [ResponseCode::NoError, ResponseCode::NXDomain] {
            let answer = read(&message(code, Vec::new(), vec![start(owner, proof)]), &query, None, &strict());
            let absent = if code == ResponseCode::NoError { Answer::NoRecords } else { Answer::NoName };
            let expected = if holds { Ok((absent, Some(Proof::Insecure))) } else { Err(Unread::Unproven) };
            assert_eq!(answer, expected, "{owner} {proof}");
        }
    }
}

#[test]
fn a_zone_that_has_to_be_signed_is_not_excused() {
    let query = Query::query(name("www.corp.example."), RecordType::A);
    let address = RData::A(A::new(192, 0, 2, 1));
    let found = |proof| {
        message(ResponseCode::NoError, vec![record("www.corp.example.", address.clone(), proof)], vec![])
    };
    assert_eq!(read(&found(RecordProof::Insecure), &query, None, &strict()), Err(Unread::Unproven));
    assert!(read(&found(RecordProof::Secure), &query, None, &strict()).is_ok());
    let none = message(ResponseCode::NoError, vec![], vec![start("example.", RecordProof::Insecure)]);
    assert_eq!(read(&none, &query, None, &strict()), Err(Unread::Unproven));
}

#[test]
fn one_bad_record_spoils_the_set() {
    let query = Query::query(name("a.example."), RecordType::A);
    let address = |last, proof| record("a.example.", RData::A(A::new(192, 0, 2, last)), proof);
    for (second, expected) in [
        (RecordProof::Secure, Some(Proof::Secure)),
        (RecordProof::Insecure, Some(Proof::Insecure)),
        (RecordProof::Bogus, None),
        (RecordProof::Indeterminate, None),
    ] {
        let answers = vec![address(1, RecordProof::Secure), address(2, second)];
        let read = read(&message(ResponseCode::NoError, answers, vec![]), &query, None, &strict());
        assert_eq!(read.ok().and_then(|(_, proof)| proof), expected, "{second}");
    }
    // What the validator says of the whole is no better for its records.
    let whole = message(ResponseCode::NoError, vec![address(1, RecordProof::Secure)], vec![]);
    assert_eq!(read(&whole, &query, Some(RecordProof::Bogus), &strict()), Err(Unread::Unproven));
    let (_, proof) = read(&whole, &query, Some(RecordProof::Insecure), &strict()).unwrap();
    assert_eq!(proof, Some(Proof::Insecure));
}

#[test]
fn contradictions_are_no_answers() {
    let query = Query::query(name("a.example."), RecordType::A);
    let alias = |target: &str| record("a.example.", RData::CNAME(CNAME(name(target))), RecordProof::Secure);
    let address = |owner| record(owner, RData::A(A::new(192, 0, 2, 1)), RecordProof::Secure);
    for (code, answers) in [
        (ResponseCode::NXDomain, vec![address("a.example.")]),
        (ResponseCode::NoError, vec![address("b.example.")]),
        (ResponseCode::NXDomain, vec![address("b.example.")]),
        (ResponseCode::NoError, vec![alias("b.example."), alias("c.example.")]),
    ] {
        for judge in [Judge::Credulous, strict()] {
            let read = read(&message(code, answers.clone(), vec![]), &query, None, &judge);
            assert!(matches!(read, Err(Unread::Useless(Cause::Unusable(_)))), "{read:?}");
        }
    }
    let failed = message(ResponseCode::ServFail, vec![address("a.example.")], vec![]);
    assert_eq!(
        read(&failed, &query, None, &Judge::Credulous),
        Err(Unread::Useless(Cause::Code("SERVFAIL".into())))
    );
}

#[test]
fn a_denial_needs_its_own_zones_signature() {
    use trust_dns_resolver::proto::dnssec::Algorithm;
    use trust_dns_resolver::proto::dnssec::rdata::RRSIG;
    use trust_dns_resolver::proto::dnssec::rdata::sig::SigInput;
    use trust_dns_resolver::proto::rr::SerialNumber;

    let query = Query::query(name("www.victim.example."), RecordType::CAA);
    for (signer, holds) in [("victim.example.", true), ("example.", true), ("attacker.example.", false)] {
        let owner = "a.attacker.example.";
        let denial = NSEC::new(name("zzz.example."), [RecordType::A]);
        let input = SigInput {
            type_covered: RecordType::NSEC,
            algorithm: Algorithm::ECDSAP256SHA256,
            num_labels: 3,
            original_ttl: 60,
            sig_expiration: SerialNumber::new(2),
            sig_inception: SerialNumber::new(1),
            key_tag: 1,
            signer_name: name(signer),
        };
        let authorities = vec![
            record(owner, RData::DNSSEC(DNSSECRData::NSEC(denial)), RecordProof::Secure),
            record(
                owner,
                RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![]))),
                RecordProof::Secure,
            ),
        ];
        let read = read(&message(ResponseCode::NoError, vec![], authorities), &query, None, &strict());
        assert_eq!(read.is_ok(), holds, "{signer}");
    }
}
