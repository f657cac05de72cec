//! Proves that a row is read as it was written whatever its certificate is, that what is packed is small and tells nothing
//! of one certificate to another, and that no bytes that were written by nobody are taken for a row.

use std::sync::Arc;

use ingam_protocol::time::{Random, SeededRandom};
use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, Issuer, KeyPair};

use super::*;
use crate::engine::Batch;
use crate::engine::Engine;
use crate::engine::redb::{RedbConfig, RedbEngine};

fn row(der: Vec<u8>, random: &SeededRandom) -> CertificateRow {
    let issued = Timestamp::from_unix_ms(1_795_255_200_123);
    let mut thumbprint = [0; 32];
    random.fill(&mut thumbprint);
    CertificateRow {
        der: der.into(),
        order: Id::new(issued, random),
        account: Id::new(issued, random),
        issued,
        not_before: Timestamp::from_unix_s(1_795_251_600),
        not_after: Timestamp::from_unix_s(1_803_027_599),
        key_thumbprint: thumbprint.as_slice().into(),
    }
}

/// Certificates for these names, of one issuer, with an extension of SCTs that are noise.
fn certificates(names: &[&str]) -> Vec<Vec<u8>> {
    let random = SeededRandom::new(1);
    let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
    let make = |name: &&str| {
        let mut params = CertificateParams::new(vec![(*name).to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, *name);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.crl_distribution_points = vec![rcgen::CrlDistributionPoint {
            uris: vec!["http://pki.example.org/some/long/path/to/the/list/of/shard/17.crl".to_owned()],
        }];
        let mut scts = [0; 240];
        random.fill(&mut scts);
        let sct_list = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&sct_list, scts.to_vec())];
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
    };
    names.iter().map(make).collect()
}

struct Tables {
    _folder: tempfile::TempDir,
    engine: Arc<dyn Engine>,
}

fn tables() -> Tables {
    let folder = tempfile::tempdir().unwrap();
    let engine = RedbEngine::open(&folder.path().join("store.redb"), RedbConfig::default()).unwrap();
    Tables { _folder: folder, engine: Arc::new(engine) }
}

impl Tables {
    fn transact<T>(&self, work: impl FnOnce(&mut Transaction<'_>) -> T) -> (T, Batch) {
        let nothing = Batch::new();
        let mut transaction = Transaction::new(self.engine.as_ref(), &nothing, 0);
        let done = work(&mut transaction);
        (done, transaction.finish().batch)
    }
}

#[test]
fn what_one_issuer_signs_shares_a_dictionary_that_tells_of_none() {
    let names = ["first.example.org", "second.example.net"];
    let ders = certificates(&names);
    let random = SeededRandom::new(2);
    let rows: Vec<_> = ders.iter().map(|der| row(der.clone(), &random)).collect();
    let (read, batch) = tables().transact(|transaction| {
        for (number, row) in (0..).zip(&rows) {
            certificate_put(transaction, vec![number], row).unwrap();
        }
        [0, 1].map(|key| certificate_find(transaction, &[key]).unwrap())
    });
    assert_eq!(read.map(Option::unwrap).as_slice(), rows);
    let dictionaries: Vec<_> = batch.changes_of(CERTIFICATE_DICTIONARIES, &[], None).collect();
    let [(_, Some(dictionary))] = dictionaries.as_slice() else { panic!("{} of them", dictionaries.len()) };
    for (der, name) in ders.iter().zip(names) {
        let contains = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(contains(der, name.as_bytes()) && !contains(dictionary, name.as_bytes()));
        // Serial number, key, SCTs and signature: no run of bytes of the kind is in it.
        let parsed = x509_parser::parse_x509_certificate(der).unwrap().1;
        let key = &parsed.public_key().subject_public_key.data;
        for part in [parsed.raw_serial(), key, &parsed.signature_value.data] {
            assert!(contains(der, part) && !part.windows(8).any(|some| contains(dictionary, some)));
        }
    }
    for (_, packed) in batch.changes_of(CERTIFICATES, &[], None) {
        let (packed, der) = (packed.unwrap().len(), ders[0].len());
        assert!(packed + 100 < der, "{packed} bytes of a certificate of {der}");
    }
}

#[test]
fn a_row_without_its_dictionary_or_with_another_is_no_row() {
    let der = certificates(&["a.example.org"]).remove(0);
    let tables = tables();
    let ((), batch) = tables.transact(|transaction| {
        certificate_put(transaction, vec![1], &row(der, &SeededRandom::new(3))).unwrap();
    });
    let packed = batch.change(CERTIFICATES, &[1]).unwrap().unwrap().to_vec();
    assert!(unpack(&packed, |_| Ok(None)).unwrap_err().to_string().contains("a certificate"));
    assert!(unpack(&packed, |_| Ok(Some(Vec::new()))).is_err());
}

#[test]
fn rows_of_earlier_versions_are_read() {
    let old = serde_json::json!({
        "der": "MDAw", "order": "AQEBAQEBAQEBAQEBAQEBAQ", "account": "AgICAgICAgICAgICAgICAg",
        "issued": 1_795_255_200_123_u64, "not_before": 1_795_251_600_000_u64, "not_after": 1_803_027_599_000_u64,
        "key_thumbprint": "AwMD",
    });
    let value = old.to_string().into_bytes();
    let read = certificate_get(&[1], |_, _| Ok(Some(value.clone()))).unwrap().unwrap();
    assert_eq!((&*read.der, &*read.key_thumbprint), (b"000".as_slice(), [3; 3].as_slice()));
    assert_eq!(read.issued.unix_ms(), 1_795_255_200_123);
}

#[test]
fn any_bytes_come_back_as_they_were() {
    let tables = tables();
    proptest!(|(der in proptest::collection::vec(any::<u8>(), 0..2000), seed in any::<u64>())| {
        let made = row(der, &SeededRandom::new(seed));
        let (read, _) = tables.transact(|transaction| {
            certificate_put(transaction, vec![1], &made).unwrap();
            certificate_find(transaction, &[1]).unwrap()
        });
        prop_assert_eq!(read, Some(made));
    });
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(value in proptest::collection::vec(any::<u8>(), 0..300), form in 0_u8..4) {
        let value = [&[form], value.as_slice()].concat();
        let _ = unpack(&value, |_| Ok(Some(b"a dictionary".to_vec())));
        let _ = in_common(&value);
    }
}
