//! Tables find what was put into them, whatever the serial numbers are like, and put together what was signed.

use std::collections::BTreeMap;
use std::time::Duration;

use ingam_protocol::ocsp::{CertIdForm, CertStatus, HashAlgorithm, SingleResponse, parse_request};
use ingam_protocol::{Reason, Serial, Timestamp};
use ingam_signer::{OcspAnswer, Signer};
use proptest::prelude::*;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::*;
use crate::Config;
use crate::tests::world::{DAY, SHA1_OID, World, issuer_name, request, serial, start};

fn owner() -> Arc<Owner> {
    let form = CertIdForm::new(HashAlgorithm::Sha1.identifier(), &[1; 20], &[2; 20]);
    Arc::new(Owner { issuer: issuer_name("e1"), hash: HashAlgorithm::Sha1, form })
}

fn signer(number: u8) -> AnswerSigner {
    AnswerSigner {
        responder_key_hash: [number; 20],
        certificate: (number > 0).then(|| vec![0x30, 1, number]),
        not_after: start().plus(30 * DAY),
        validity: 7 * DAY,
    }
}

fn entry(number: &[u8], told: Told, this_update: Timestamp) -> Entry {
    let serial = Serial::from_be_bytes(number).unwrap();
    Entry { serial, told, this_update, signer: 0, signature: [7; 64] }
}

fn table(entries: &BTreeMap<Vec<u8>, (Told, Timestamp)>) -> Table {
    let mut builder = TableBuilder::new(&owner());
    for (number, (told, at)) in entries {
        assert!(builder.push(&entry(number, *told, *at), &signer(number[0] % 3)));
    }
    builder.finish()
}

/// Serial numbers as CAs have them: random ones of one length, those of a shard, and in a row. Keys sort as numbers do.
fn numbers() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let random = proptest::collection::vec(proptest::array::uniform20(1_u8..0x80), 0..60)
        .prop_map(|all| all.into_iter().map(Vec::from).collect());
    let in_a_row = (1_u32..1000, 0_u32..60).prop_map(|(first, count)| {
        (first..first + count).map(|number| [&[1_u8; 16][..], &number.to_be_bytes()].concat()).collect()
    });
    let clustered = proptest::collection::vec((0_u8..3, any::<u8>()), 0..60).prop_map(|all| {
        all.into_iter().map(|(high, low)| [&[1 + high; 10][..], &[0; 9], &[low]].concat()).collect()
    });
    prop_oneof![random, in_a_row, clustered]
}

proptest! {
    #[test]
    fn everything_is_found_and_nothing_else(kept in numbers(), others in numbers()) {
        let entries: BTreeMap<_, _> =
            kept.iter().map(|number| (number.clone(), (Told::Status(CertStatus::Good), start()))).collect();
        let made = table(&entries);
        prop_assert_eq!(made.len(), entries.len());
        for number in kept.iter().chain(&others) {
            let found = made.find(&Serial::from_be_bytes(number).unwrap());
            prop_assert_eq!(found.is_some(), entries.contains_key(number));
            prop_assert!(found.is_none_or(|found| found.serial == Serial::from_be_bytes(number).unwrap()));
        }
        let again = Table::from_file(&owner(), made.file().clone()).unwrap();
        prop_assert_eq!(&again.signers, &made.signers);
        prop_assert!(again.iter().eq(made.iter()));
    }

    #[test]
    fn the_newest_entry_counts(layers in proptest::collection::vec((numbers(), any::<bool>()), 1..8), kept in 0_usize..3) {
        let mut expected = BTreeMap::new();
        let mut shelf = Shelf::default();
        for (at, (numbers, is_withdrawn)) in (0_u64..).zip(layers) {
            let told = if is_withdrawn { Told::Withdrawn } else { Told::Status(CertStatus::Good) };
            let this_update = start().plus(Duration::from_secs(at));
            let layer: BTreeMap<_, _> = numbers.into_iter().map(|number| (number, (told, this_update))).collect();
            shelf = shelf.with_newer(table(&layer), kept);
            expected.extend(layer);
        }
        for (number, (told, this_update)) in expected {
            let (_, found) = shelf.find(&Serial::from_be_bytes(&number).unwrap()).unwrap();
            prop_assert_eq!((found.told, found.this_update), (told, this_update));
        }
    }

    #[test]
    fn no_bytes_are_a_table_by_chance(records in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Some(table) = Table::new(owner(), vec![signer(0)], records.into(), 0) {
            prop_assert!(table.iter().count() == table.len());
        }
    }
}

#[test]
fn what_is_over_still_covers_what_is_below() {
    let revoked = Told::Status(CertStatus::Revoked { at: start(), reason: Reason::KeyCompromise });
    let good = Told::Status(CertStatus::Good);
    let base = table(&[(vec![1], (good, start())), (vec![2], (good, start()))].into());
    let shelf = Shelf::new(vec![Arc::new(base)], Vec::new());
    // Long over by now, and of a certificate that the base has as good.
    let old = table(&[(vec![1], (revoked, start().minus(30 * DAY)))].into());
    let shelf = shelf.with_newer(old, 0);
    let shelf = shelf.with_newer(table(&[(vec![2], (Told::Withdrawn, start()))].into()), 0);
    assert_eq!(shelf.newer().len(), 1, "both became one");
    let found =
        |number: u8| shelf.find(&Serial::from_be_bytes(&[number]).unwrap()).map(|(_, entry)| entry.told);
    assert_eq!([1, 2].map(found), [Some(revoked), Some(Told::Withdrawn)]);
}

#[test]
fn tables_in_disorder_are_none() {
    let entries = [&[1][..], &[2]].map(|number| entry(number, Told::Withdrawn, start()).encode().unwrap());
    let records = |order: &[usize]| order.iter().flat_map(|at| entries[*at]).collect::<Vec<u8>>();
    let made = |records: Vec<u8>, signers| Table::new(owner(), signers, records.into(), 0).is_some();
    assert!(made(records(&[0, 1]), vec![signer(0)]));
    assert!(!made(records(&[1, 0]), vec![signer(0)]) && !made(records(&[0, 0]), vec![signer(0)]));
    assert!(!made(records(&[0]), vec![]) && !made(records(&[0])[1..].to_vec(), vec![signer(0)]));
    let mut builder = TableBuilder::new(&owner());
    assert!(builder.push(&entry(&[2], Told::Withdrawn, start()), &signer(0)));
    assert!(!builder.push(&entry(&[2], Told::Withdrawn, start()), &signer(0)));
    assert!(!builder.push(&entry(&[1], Told::Withdrawn, start()), &signer(0)));
}

#[tokio::test]
async fn answers_are_put_together_as_they_were_signed() {
    let world = World::new(&Config::default());
    let issuer = &world.signer.issuers()[0];
    let hash = |bytes: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let form = CertIdForm::new(
        HashAlgorithm::Sha1.identifier(),
        hash(&issuer.subject).as_ref(),
        hash(&issuer.public_key).as_ref(),
    );
    let owner = Arc::new(Owner { issuer: issuer.name.clone(), hash: HashAlgorithm::Sha1, form });
    let corpus = Corpus::new([owner.as_ref().clone()]);
    let statuses = [
        CertStatus::Good,
        CertStatus::Revoked { at: start(), reason: Reason::Unspecified },
        CertStatus::Revoked { at: start(), reason: Reason::KeyCompromise },
    ];
    let signed = SignedBy { not_after: issuer.not_after, validity: 7 * DAY };
    let mut builder = TableBuilder::new(&owner);
    let mut bodies = Vec::new();
    for (number, status) in (1_u8..).zip(statuses) {
        let single = SingleResponse {
            cert_id: owner.form.cert_id(&serial(number)),
            status,
            this_update: start(),
            next_update: start().plus(7 * DAY),
        };
        let answer = OcspAnswer { responses: vec![single], produced_at: start(), nonce: None };
        let body = world.signer.sign_ocsp(&issuer.name, answer).await.unwrap();
        let made = |status, signed| entry_of(&owner, &serial(number), status, start(), signed, &body);
        // What it says is held against it.
        assert!(made(CertStatus::Revoked { at: start(), reason: Reason::Superseded }, signed).is_none());
        assert!(made(status, SignedBy { validity: DAY, ..signed }).is_none());
        let (entry, by) = made(status, signed).unwrap();
        assert!(builder.push(&entry, &by));
        bodies.push(body);
    }
    corpus.series()[0].replace(Shelf::new(vec![Arc::new(builder.finish())], Vec::new()));
    for (number, body) in (1_u8..).zip(&bodies) {
        let id = world.cert_id_of(0, SHA1_OID, true, &serial(number));
        let asked = parse_request(&request(&[id], None)).unwrap();
        let found = corpus.find(&asked.cert_ids[0]).unwrap();
        assert_eq!((&found.body, found.status), (body, statuses[usize::from(number) - 1]));
        assert_eq!((found.this_update, found.next_update), (start(), start().plus(7 * DAY)));
        for (index, with_null) in [(1, true), (0, false)] {
            let id = world.cert_id_of(index, SHA1_OID, with_null, &serial(number));
            let asked = parse_request(&request(&[id], None)).unwrap();
            assert_eq!(corpus.find(&asked.cert_ids[0]), None, "of another issuer, or written in another way");
        }
    }
}
