//! Who signs an issuer's OCSP answers: the issuer on P-256, and for every other kind of key a delegate on P-256, without a word
//! in any configuration. ring verifies what they sign.

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use super::*;
use crate::hierarchy::{IssuerPlan, Plan};
use crate::testing::{plan, signing_ca};

/// DER of the AlgorithmIdentifier of a key on P-256 (RFC 5480, section 2.1.1).
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];

/// An issuer of each kind of key that CAs for the public have, as far as one is made quickly.
const ISSUERS: [(&str, KeyKind); 3] =
    [("ecdsa", KeyKind::EcdsaP256), ("p384", KeyKind::EcdsaP384), ("rsa", KeyKind::Rsa2048)];

fn signer_of_all_kinds(clock: &Arc<FixedClock>) -> LocalSigner {
    let issuers = ISSUERS.map(|(issuer, key)| IssuerPlan { name: name(issuer), key });
    let plan = Plan { issuers: issuers.to_vec(), ..plan() };
    let made = Hierarchy::create(&plan, clock.as_ref(), &SeededRandom::new(1)).unwrap();
    let urls = BTreeMap::from(ISSUERS.map(|(issuer, _)| (name(issuer), urls(issuer))));
    let random = Arc::new(SeededRandom::new(2));
    LocalSigner::new(made, urls, ledger(clock), clock.clone(), random).unwrap()
}

/// The answer that an issuer gives now, and the key that verifies it: the delegate's, if the answer brings one along.
async fn answered(signer: &LocalSigner, issuer: &str) -> (Option<Vec<u8>>, Vec<u8>) {
    let next_update = signer.clock.now().plus(7 * DAY);
    let mut wanted = answer(next_update);
    wanted.produced_at = signer.clock.now();
    wanted.responses[0].this_update = signer.clock.now();
    let signed = signer.sign_ocsp(&name(issuer), wanted).await.unwrap();
    let Ok(Response::Answer(read)) = Response::read(&signed) else { panic!("no answer") };
    let certificate = read.certificate.map(<[u8]>::to_vec);
    let of = |der: &[u8]| crate::ca::certified_key(der).unwrap();
    let known = signer.issuers().iter().find(|known| known.name == name(issuer)).unwrap();
    let key = certificate.as_deref().map_or_else(|| of(&known.certificate), of);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key).verify(read.tbs, read.signature).unwrap();
    (certificate, known.certificate.clone())
}

#[tokio::test]
async fn every_issuer_but_one_on_p256_has_a_delegate_on_p256_and_gets_the_next_in_time() {
    let clock = clock();
    let signer = signer_of_all_kinds(&clock);
    let made = signer.renew_delegates(now()).await;
    let issuers: Vec<_> = made.iter().map(|delegate| delegate.issuer.clone()).collect();
    assert_eq!(issuers, [name("p384"), name("rsa")]);
    assert_eq!(
        answered(&signer, "ecdsa").await.0,
        None,
        "its own signature is as cheap, and the answer smaller"
    );
    // Two thirds of its thirty days.
    for later in [0, 20, 40] {
        clock.set(now().plus(later * DAY + HOUR));
        let renewed = signer.renew_delegates(clock.now()).await;
        assert_eq!(renewed.len(), if later == 0 { 0 } else { 2 }, "day {later}");
        for (at, issuer) in ["p384", "rsa"].into_iter().enumerate() {
            let (certificate, above) = answered(&signer, issuer).await;
            let certificate = certificate.expect("a delegate signed it");
            assert_eq!(
                certificate,
                renewed.get(at).unwrap_or(&made[at]).certificate,
                "{issuer}, day {later}"
            );
            let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
            assert!(parsed.public_key().raw.windows(P256.len()).any(|window| window == P256), "{issuer}");
            let (_, above) = X509Certificate::from_der(&above).unwrap();
            parsed.verify_signature(Some(above.public_key())).unwrap();
        }
        assert_eq!(
            signer.renew_delegates(clock.now().plus(19 * DAY)).await,
            [],
            "day {later}: it is not time yet"
        );
    }
}

#[test]
fn an_issuer_on_p256_that_may_not_sign_data_has_a_delegate_too() {
    let mut ca = signing_ca("ecdsa");
    assert!(answers_itself(&ca));
    ca.may_answer = false;
    assert!(!answers_itself(&ca), "its certificate has no digitalSignature");
    assert!(
        signing_ca("rsa").may_answer && !answers_itself(&signing_ca("rsa")),
        "its signature costs thirty times more"
    );
}
