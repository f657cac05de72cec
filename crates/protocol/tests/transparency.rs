//! Certificate transparency against certificates and SCTs of others (testdata/transparency), and the surgery on certificates
//! that are made up: what is taken out and put in leaves every other byte where it was.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::bytes::hex;
use ingam_protocol::certificate::Validity;
use ingam_protocol::der::{Writer, tag};
use ingam_protocol::transparency::policy::{Needed, needed};
use ingam_protocol::transparency::{
    Entry, Error, LogId, LogKey, POISON, SCT_LIST, Sct, SctList, has_scts, is_precertificate,
    issuer_key_hash, leaf_index_extension, poison_extension, scts_of, tbs_of, with_scts, without_poison,
    without_scts,
};
use proptest::prelude::*;

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/transparency");
    std::fs::read(folder.join(name)).unwrap()
}

fn certificate(name: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(&file(name)).unwrap().1.contents
}

/// The keys of OpenSSL's list of logs.
fn log_keys() -> Vec<LogKey> {
    use base64::Engine as _;
    let text = String::from_utf8(file("logs.cnf")).unwrap();
    let keys = text.lines().filter_map(|line| line.strip_prefix("key = "));
    let keys = keys.map(|key| base64::engine::general_purpose::STANDARD.decode(key).unwrap());
    keys.map(|spki| LogKey::from_spki(&spki).unwrap()).collect()
}

#[test]
fn scts_in_certificates_of_others_are_good() {
    let keys = log_keys();
    assert_eq!(keys.len(), 9, "eight of P-256, one of RSA");
    for (name, count) in [("embedded-one", 1), ("embedded-three", 3)] {
        let der = certificate(&format!("{name}.pem"));
        let hash = issuer_key_hash(&certificate(&format!("{name}-issuer.pem"))).unwrap();
        let list = scts_of(tbs_of(&der).unwrap()).unwrap();
        assert_eq!(list.scts().len(), count, "{name}");
        let entry = Entry::embedded(&der, hash).unwrap();
        let other = Entry::embedded(&der, [7; 32]).unwrap();
        for sct in list.scts() {
            let key = keys.iter().find(|key| key.id() == sct.log).unwrap();
            assert_eq!(key.verify(sct, &entry), Ok(()), "{name} {sct:?}");
            assert_eq!(key.verify(sct, &other), Err(Error::Signature));
            assert_eq!(key.verify(sct, &Entry::Certificate(der.clone())), Err(Error::Signature));
            let later = Sct { timestamp: sct.timestamp.plus(Duration::from_millis(1)), ..sct.clone() };
            assert_eq!(key.verify(&later, &entry), Err(Error::Signature));
            let longer = Sct { extensions: leaf_index_extension(1), ..sct.clone() };
            assert_eq!(key.verify(&longer, &entry), Err(Error::Signature));
            let rsa = Sct { algorithm: [4, 1], ..sct.clone() };
            assert_eq!(key.verify(&rsa, &entry), Err(Error::Signature));
            for wrong in keys.iter().filter(|other| other.id() != key.id()) {
                assert_eq!(wrong.verify(sct, &entry), Err(Error::OtherLog));
            }
        }
        assert_eq!(
            SctList::parse(&list.encode().unwrap()).unwrap(),
            list,
            "what others wrote is written as they did"
        );
    }
}

#[test]
fn what_another_implementation_says_scts_are_about_is_what_we_say() {
    let der = certificate("embedded-two.pem");
    let tbs = tbs_of(&der).unwrap();
    assert_eq!(hex(&without_scts(tbs).unwrap()), hex(&file("embedded-two.tbs")));
    let list = scts_of(tbs).unwrap();
    assert_eq!(list.scts().len(), 2);
    assert_eq!(is_precertificate(tbs), Ok(false));
    assert_eq!(without_poison(tbs), Err(Error::NotOnce("the poison extension")));
}

#[test]
fn a_precertificate_of_others_becomes_a_certificate() {
    let der = certificate("precertificate.pem");
    let tbs = tbs_of(&der).unwrap();
    assert_eq!(is_precertificate(tbs), Ok(true));
    let clean = without_poison(tbs).unwrap();
    // Extensions, their list, the tag around it and the whole have lengths of two octets: only the poison is gone.
    assert_eq!(clean.len() + poison_extension().len(), tbs.len());
    assert!(Entry::submitted(&der, [0; 32]).is_ok_and(|entry| matches!(entry, Entry::Precertificate { .. })));
    assert_eq!(without_scts(tbs), Err(Error::NotOnce("the SCT list extension")));
    assert_eq!(scts_of(tbs), Err(Error::NotOnce("the SCT list extension")));
}

/// An extension: its identifier's contents, whether it is critical, and the contents of its value.
fn extension(identifier: &[u8], is_critical: bool, value: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |fields| {
        fields.octet_string(value);
        if is_critical {
            fields.boolean_true();
        }
        fields.object_identifier(identifier);
    });
    writer.finish()
}

/// A TBSCertificate with these extensions, and next to nothing else.
fn tbs(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |fields| {
        fields.wrap(tag::context(3), |explicit| {
            explicit.wrap(tag::SEQUENCE, |list| extensions.iter().rev().for_each(|one| list.raw(one)));
        });
        for _ in 0..5 {
            fields.value(tag::SEQUENCE, &[]);
        }
        fields.unsigned_integer(&[5]);
        fields.wrap(tag::context(0), |version| version.unsigned_integer(&[2]));
    });
    writer.finish()
}

fn sct(log: u8) -> Sct {
    Sct {
        log: LogId([log; 32]),
        timestamp: Timestamp::from_unix_ms(1_795_255_200_123),
        extensions: leaf_index_extension(u64::from(log)),
        algorithm: [4, 3],
        signature: vec![log; 70],
    }
}

#[test]
fn the_poison_has_to_be_there_once_and_as_it_is_defined() {
    let (poison, other) = (poison_extension(), extension(&[0x55, 0x1d, 0x0f], true, &[1]));
    let scts = extension(SCT_LIST, false, &[4, 0]);
    let list = SctList::new(vec![sct(1)]).unwrap();
    let once = Error::NotOnce("the poison extension");
    let form = Error::Malformed("the poison extension");
    for (extensions, expected) in [
        (vec![other.clone()], once),
        (vec![poison.clone(), other.clone(), poison.clone()], once),
        (vec![extension(POISON, false, &[5, 0]), other.clone()], form),
        (vec![extension(POISON, true, &[5, 0, 0]), other.clone()], form),
        (vec![extension(POISON, true, &[]), other.clone()], form),
        (vec![poison.clone(), other.clone(), scts.clone()], Error::Unexpected("the SCT list extension")),
    ] {
        let made = tbs(&extensions);
        assert_eq!(without_poison(&made), Err(expected), "{extensions:?}");
        assert_eq!(with_scts(&made, &list), Err(expected), "{extensions:?}");
    }
    assert_eq!(without_poison(&tbs(std::slice::from_ref(&poison))), Err(Error::NothingLeft));
    assert!(with_scts(&tbs(std::slice::from_ref(&poison)), &list).is_ok());
    let both = tbs(&[scts.clone(), poison]);
    assert_eq!(without_scts(&both), Err(Error::Unexpected("the poison extension")));
    assert_eq!(
        without_scts(&tbs(&[scts.clone(), other, scts])),
        Err(Error::NotOnce("the SCT list extension"))
    );
}

#[test]
fn only_whole_lists_are_read() {
    let list = SctList::new(vec![sct(1), sct(2), sct(3)]).unwrap();
    let bytes = list.encode().unwrap();
    assert_eq!(SctList::parse(&bytes).unwrap(), list);
    for length in 0..bytes.len() {
        assert!(SctList::parse(&bytes[..length]).is_err(), "cut to {length}");
    }
    assert!(SctList::parse(&[&bytes[..], &[0]].concat()).is_err());
    assert!(SctList::new(Vec::new()).is_err());
    assert!(SctList::new(vec![sct(1), sct(2), sct(1)]).is_err(), "two of one log");
    assert!(SctList::new((0..17).map(sct).collect()).is_err());
    let mut version_two = sct(1).encode().unwrap();
    version_two[0] = 1;
    assert_eq!(Sct::parse(&version_two), Err(Error::Sct("it is not of version 1")));
    let endless = Sct { extensions: vec![1; 65_536], ..sct(1) };
    assert!(endless.encode().is_err());
}

#[test]
fn the_place_in_the_log_is_read_as_static_ct_api_writes_it() {
    let index = |extensions: &[u8]| Sct { extensions: extensions.to_vec(), ..sct(1) }.leaf_index();
    assert_eq!(leaf_index_extension(0x01_0203_0405), [0, 0, 5, 1, 2, 3, 4, 5]);
    assert_eq!(index(&leaf_index_extension(0xff_ffff_ffff)), Some(0xff_ffff_ffff));
    assert_eq!(index(&[7, 0, 1, 9, 0, 0, 5, 0, 0, 0, 1, 0]), Some(256), "others are passed over");
    for bad in [
        &[][..],
        &[0, 0, 4, 1, 2, 3, 4],
        &[0, 0, 5, 1, 2, 3, 4],
        &[0, 0, 5, 0, 0, 0, 0, 1, 0, 0, 5, 0, 0, 0, 0, 1],
        &[0, 0, 5, 0, 0, 0, 0, 1, 9],
    ] {
        assert_eq!(index(bad), None, "{bad:?}");
    }
}

#[test]
fn keys_that_logs_do_not_have_are_refused() {
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(LogKey::from_spki(&spki), Err(Error::Key));
    }
    let spki = log_keys()[0].spki().to_vec();
    assert_eq!(LogKey::from_spki(&[&spki[..], &[0]].concat()), Err(Error::Key));
    assert_eq!(LogKey::from_spki(&spki[..spki.len() - 1]), Err(Error::Key));
}

#[test]
fn two_scts_are_enough_for_180_days() {
    let first = Timestamp::from_unix_s(1_795_255_200);
    let of =
        |seconds| needed(Validity { not_before: first, not_after: first.plus(Duration::from_secs(seconds)) });
    let days = |count: u64| count * 86_400;
    assert_eq!(of(days(180) - 1), Needed { scts: 2, operators: 2 });
    assert_eq!(of(days(180)), Needed { scts: 3, operators: 2 });
    assert_eq!(of(days(398)), Needed { scts: 3, operators: 2 });
    assert_eq!(of(0), Needed { scts: 2, operators: 2 });
}

fn any_extension() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        proptest::collection::vec(any::<u8>(), 65_000..66_000)
    ];
    (0_u8..100, any::<bool>(), value)
        .prop_map(|(number, critical, value)| extension(&[0x55, 0x1d, number], critical, &value))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_precertificate_and_its_certificate_are_about_the_same(
        extensions in proptest::collection::vec(any_extension(), 1..12),
        at in any::<prop::sample::Index>(),
        count in 1_u8..5,
    ) {
        let at = at.index(extensions.len() + 1);
        let list = SctList::new((0..count).map(sct).collect()).unwrap();
        let with = |one: Vec<u8>| {
            let mut all = extensions.clone();
            all.insert(at, one);
            tbs(&all)
        };
        let (clean, poisoned) = (tbs(&extensions), with(poison_extension()));
        let promised = with(extension(SCT_LIST, false, &list.encode_extension_value().unwrap()));
        prop_assert_eq!(is_precertificate(&poisoned), Ok(true));
        prop_assert_eq!(without_poison(&poisoned), Ok(clean.clone()));
        prop_assert_eq!(with_scts(&poisoned, &list), Ok(promised.clone()));
        prop_assert_eq!(is_precertificate(&promised), Ok(false));
        prop_assert_eq!(has_scts(&promised), Ok(true));
        prop_assert_eq!(scts_of(&promised), Ok(list));
        prop_assert_eq!(without_scts(&promised), Ok(clean));
    }

    #[test]
    fn damage_is_refused_or_means_the_same(
        extensions in proptest::collection::vec((0_u8..100).prop_map(|n| extension(&[0x55, 0x1d, n], false, &[n])), 1..4),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let mut made = tbs(&[extensions, vec![poison_extension()]].concat());
        let at = at.index(made.len());
        made[at] = to;
        if let Ok(clean) = without_poison(&made) {
            prop_assert_eq!(clean.len() + poison_extension().len(), made.len());
        }
        prop_assert!(without_poison(&made[..at]).is_err());
        let _ = SctList::parse(&made);
    }
}
