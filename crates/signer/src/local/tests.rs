//! The signer through its trait: what it gives is consistent with itself, and what it must not sign it refuses.
//! Whether other programs can read it is for `tests/openssl`.

mod answering;

use ingam_protocol::ocsp::{CertStatus, Response, SignedAnswer, SingleResponse};
use ingam_protocol::profile::Issuers;
use ingam_protocol::profile::Transparency;
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::transparency::{LogId, Sct, SctList};
use ingam_protocol::{Reason, Serial, Shard};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::*;
use crate::testing::{hierarchy, ledger, name, now, profile, request, signer, urls};
use crate::{KeyKind, OCSP_DELEGATE_VALIDITY};

const DAY: Duration = Duration::from_secs(86400);
const HOUR: Duration = Duration::from_secs(3600);

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new(now()))
}

fn answer(next_update: Timestamp) -> OcspAnswer {
    OcspAnswer {
        responses: vec![SingleResponse {
            cert_id: vec![0x30, 0x00],
            status: CertStatus::Good,
            this_update: now(),
            next_update,
        }],
        produced_at: now(),
        nonce: None,
    }
}

#[tokio::test]
async fn the_prepared_bytes_are_the_signed_ones() {
    for issuer in ["ecdsa", "rsa"] {
        let signer = signer(clock());
        let request = request(issuer, &["a.example"]);
        let prepared = signer.prepare(request.clone()).await.unwrap();
        assert_eq!(prepared.serial(), &request.serial);
        assert_eq!(prepared.not_before(), now().minus(Duration::from_secs(3600)));
        assert_eq!(prepared.not_after(), prepared.not_before().plus(90 * DAY).minus(Duration::from_secs(1)));
        let tbs = prepared.tbs().to_vec();
        let adopted = signer.adopt(Arc::clone(&request.profile), tbs.clone()).await.unwrap();
        assert_eq!((adopted.serial(), adopted.not_after()), (prepared.serial(), prepared.not_after()));
        assert_eq!((adopted.issuer(), adopted.tbs()), (prepared.issuer(), prepared.tbs()));
        let certificate = signer.issue(adopted).await.unwrap();
        let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
        assert_eq!(parsed.tbs_certificate.as_ref(), tbs);
        let issuer = signer.issuers().iter().find(|known| known.name == name(issuer)).unwrap();
        let (_, above) = X509Certificate::from_der(&issuer.certificate).unwrap();
        parsed.verify_signature(Some(above.public_key())).unwrap();
    }
}

#[tokio::test]
async fn recorded_bytes_that_were_changed_are_not_adopted() {
    let signer = signer(clock());
    let prepared = signer.prepare(request("ecdsa", &["a.example"])).await.unwrap();
    let mut tbs = prepared.tbs().to_vec();
    let at = tbs.windows(9).position(|window| window == b"a.example").unwrap();
    tbs[at] = b'A';
    let refused = signer.adopt(Arc::new(profile("ecdsa")), tbs).await.unwrap_err();
    assert!(refused.to_string().contains("lint subject_alt_names"), "{refused}");
    let refused = signer.adopt(Arc::new(profile("rsa")), prepared.tbs().to_vec()).await.unwrap_err();
    assert!(refused.to_string().contains("lint signature_algorithm"), "{refused}");
}

#[tokio::test]
async fn nothing_is_signed_long_after_it_was_prepared() {
    let clock = clock();
    let signer = signer(Arc::clone(&clock));
    let prepared = signer.prepare(request("ecdsa", &["a.example"])).await.unwrap();
    let tbs = prepared.tbs().to_vec();
    clock.advance(2 * DAY);
    assert!(matches!(signer.issue(prepared).await, Err(Error::Refused(_))));
    assert!(matches!(signer.adopt(Arc::new(profile("ecdsa")), tbs).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn a_certificate_never_ends_after_its_issuer() {
    let clock = clock();
    clock.advance(5 * 365 * DAY - 80 * DAY);
    let signer = signer(Arc::clone(&clock));
    let mut late = request("ecdsa", &["a.example"]);
    late.now = clock.now();
    let refused = signer.prepare(late).await.unwrap_err();
    assert!(refused.to_string().contains("lint validity_issuer"), "{refused}");
}

#[tokio::test]
async fn what_names_no_issuer_of_ours_is_refused() {
    let signer = signer(clock());
    let mut other = request("ecdsa", &["a.example"]);
    other.issuer = name("another");
    assert!(matches!(signer.prepare(other.clone()).await, Err(Error::Refused(_))));
    Arc::make_mut(&mut other.profile).issuers = Issuers::one(name("another"));
    assert!(matches!(signer.prepare(other).await, Err(Error::UnknownIssuer(_))));
    assert!(matches!(signer.sign_ocsp(&name("another"), answer(now())).await, Err(Error::UnknownIssuer(_))));
    assert!(matches!(signer.ocsp_signer_not_after(&name("another")), Err(Error::UnknownIssuer(_))));
}

#[tokio::test]
async fn one_of_several_issuers_signs_and_goes_on_once_it_stands_by() {
    let signer = signer(clock());
    let weighted =
        |ecdsa, rsa| Issuers::weighted([(name("ecdsa"), ecdsa), (name("rsa"), rsa)].into()).unwrap();
    let mut request = request("rsa", &["a.example"]);
    Arc::make_mut(&mut request.profile).issuers = weighted(1, 1);
    let prepared = signer.prepare(request.clone()).await.unwrap();
    assert_eq!(prepared.issuer(), &name("rsa"));
    // A reload takes its weight away: nothing new, but what was recorded before.
    Arc::make_mut(&mut request.profile).issuers = weighted(1, 0);
    let adopted = signer.adopt(Arc::clone(&request.profile), prepared.tbs().to_vec()).await.unwrap();
    assert_eq!(adopted.issuer(), &name("rsa"));
    signer.issue(adopted).await.unwrap();
    assert!(matches!(signer.prepare(request).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn requests_that_must_not_become_certificates_are_refused() {
    let signer = signer(clock());
    let mut none = request("ecdsa", &["a.example"]);
    none.identifiers.clear();
    assert!(matches!(signer.prepare(none).await, Err(Error::Refused(_))));
    let mut many = request("ecdsa", &["a.example", "b.example"]);
    Arc::make_mut(&mut many.profile).names_max = 1;
    assert!(matches!(signer.prepare(many).await, Err(Error::Refused(_))));
    for key in [&b""[..], b"\x30\x00", &[0x30; 64]] {
        let mut keyless = request("ecdsa", &["a.example"]);
        keyless.public_key_info = key.to_vec();
        assert!(matches!(signer.prepare(keyless).await, Err(Error::Refused(_))));
    }
}

#[tokio::test]
async fn a_hundred_long_names_fit() {
    let signer = signer(clock());
    let label = "a".repeat(63);
    let names: Vec<String> =
        (0..100).map(|number| format!("n{number:02}.{label}.{label}.{label}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let prepared = signer.prepare(request("rsa", &names)).await.unwrap();
    signer.issue(prepared).await.unwrap();
}

#[tokio::test]
async fn prepared_bytes_are_signed_once_whoever_holds_them() {
    let signer = signer(clock());
    signer.ready(&name("ecdsa")).await.unwrap();
    let prepared = signer.prepare(request("ecdsa", &["a.example"])).await.unwrap();
    let again = signer.adopt(Arc::new(profile("ecdsa")), prepared.tbs().to_vec()).await.unwrap();
    assert_eq!(prepared.id(), again.id());
    let tbs = prepared.tbs().to_vec();
    signer.issue(again).await.unwrap();
    let refusals = [
        signer.issue(prepared).await.map(drop).unwrap_err(),
        signer.adopt(Arc::new(profile("ecdsa")), tbs).await.map(drop).unwrap_err(),
    ];
    for refusal in refusals {
        assert!(matches!(&refusal, Error::Refused(why) if why.contains("never signed again")), "{refusal}");
    }
}

/// The day counts at the signer, too, whatever a caller's profile says.
#[tokio::test]
async fn public_certificates_last_no_longer_than_they_may_by_the_day() {
    let day = |text: &str| Timestamp::from_rfc3339(text).unwrap();
    let (before, change) = (day("2029-03-14T23:59:59Z"), day("2029-03-15T00:00:00Z"));
    for (at, is_public, holds, is_fit) in [
        (before, true, true, true),
        (change, true, true, false),
        (change, false, true, true),
        (change, true, false, true),
    ] {
        let clock = Arc::new(FixedClock::new(at));
        let signer = signer(clock).holding_lengths(holds);
        let mut wanted = CertificateRequest { now: at, ..request("ecdsa", &["a.example"]) };
        Arc::make_mut(&mut wanted.profile).is_public = is_public;
        let outcome = signer.prepare(wanted).await.map(drop);
        let words = outcome.as_ref().map_err(ToString::to_string);
        assert_eq!(outcome.is_ok(), is_fit, "{at} {is_public} {holds}: {words:?}");
        if !is_fit {
            assert!(words.unwrap_err().contains("47 days"));
        }
    }
}

/// What logs might promise: their signatures are not looked at here.
fn scts(logs: &[u8]) -> SctList {
    let sct = |log: &u8| Sct {
        log: LogId([*log; 32]),
        timestamp: now(),
        extensions: Vec::new(),
        algorithm: [4, 3],
        signature: vec![7; 70],
    };
    SctList::new(logs.iter().map(sct).collect()).unwrap()
}

fn logged() -> Arc<Profile> {
    Arc::new(Profile { transparency: Transparency::Required, ..profile("ecdsa") })
}

fn of_precertificate(tbs: &[u8], logs: &[u8]) -> FinalRequest {
    FinalRequest { issuer: name("ecdsa"), precertificate: tbs.to_vec(), scts: scts(logs) }
}

#[tokio::test]
async fn a_certificate_is_its_precertificate_with_scts() {
    let signer = signer(clock());
    let wanted = CertificateRequest { profile: logged(), ..request("ecdsa", &["a.example"]) };
    let prepared = signer.prepare(wanted).await.unwrap();
    assert_eq!(prepared.kind(), Kind::Precertificate);
    let tbs = prepared.tbs().to_vec();
    let early = signer.finish(of_precertificate(&tbs, &[1, 2])).await.map(drop).unwrap_err();
    assert!(early.to_string().contains("no signed precertificate"), "{early}");
    let precertificate = signer.issue(prepared).await.unwrap();
    assert!(transparency::is_precertificate(transparency::tbs_of(&precertificate).unwrap()).unwrap());
    let few = signer.finish(of_precertificate(&tbs, &[1])).await.map(drop).unwrap_err();
    assert!(few.to_string().contains("lint scts"), "{few}");
    let last = signer.finish(of_precertificate(&tbs, &[1, 2])).await.unwrap();
    assert_eq!(last.kind(), Kind::Certificate);
    let certificate = signer.issue(last).await.unwrap();
    // There is one certificate for one precertificate, whatever logs say later.
    let other = signer.finish(of_precertificate(&tbs, &[1, 3])).await.map(drop).unwrap_err();
    assert!(other.to_string().contains("never signed again"), "{other}");
    let made = transparency::tbs_of(&certificate).unwrap();
    assert_eq!(transparency::scts_of(made).unwrap(), scts(&[1, 2]));
    assert_eq!(transparency::without_scts(made).unwrap(), transparency::without_poison(&tbs).unwrap());
}

#[tokio::test]
async fn a_profile_without_logs_has_no_precertificates() {
    let signer = signer(clock());
    let wanted = CertificateRequest { profile: logged(), ..request("ecdsa", &["a.example"]) };
    let prepared = signer.prepare(wanted).await.unwrap();
    let refused =
        signer.adopt(Arc::new(profile("ecdsa")), prepared.tbs().to_vec()).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("lint poison"), "{refused}");
    let serial = Serial::new(&SeededRandom::new(77));
    let plain = CertificateRequest { serial, ..request("ecdsa", &["a.example"]) };
    let plain = signer.prepare(plain).await.unwrap();
    let refused = signer.adopt(logged(), plain.tbs().to_vec()).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("extension_missing"), "{refused}");
}

#[tokio::test]
async fn issuers_with_rsa_keys_answer_by_delegates() {
    let signer = signer(clock());
    let (ecdsa, rsa) = (name("ecdsa"), name("rsa"));
    let early = signer.sign_ocsp(&rsa, answer(now())).await;
    assert!(matches!(early, Err(Error::Unavailable(_))), "there is no delegate yet");
    assert_eq!(signer.delegates_not_after(), [(name("rsa"), None)]);
    let made = signer.renew_delegates(now()).await;
    assert_eq!(signer.delegates_not_after(), [(name("rsa"), Some(made[0].not_after))]);
    let kinds: Vec<_> = signer.issuers().iter().map(|issuer| issuer.key).collect();
    assert_eq!(kinds, [KeyKind::EcdsaP256, KeyKind::Rsa2048]);
    assert_eq!(made.len(), 1);
    assert_eq!(signer.renew_delegates(now().plus(19 * DAY)).await, []);
    let delegate = &made[0];
    assert_eq!((&delegate.issuer, delegate.not_after), (&rsa, signer.ocsp_signer_not_after(&rsa).unwrap()));
    assert_eq!(signer.ocsp_signer_not_after(&ecdsa).unwrap(), signer.issuers()[0].not_after);
    let signed = signer.sign_ocsp(&rsa, answer(now().plus(7 * DAY))).await.unwrap();
    let carried = signed.windows(delegate.certificate.len()).any(|window| window == delegate.certificate);
    assert!(carried, "the answer carries the delegate's certificate");
    let renewed = signer.renew_delegates(now().plus(21 * DAY)).await;
    assert_eq!(renewed.len(), 1);
    assert_ne!(renewed[0].serial, delegate.serial);
    assert!(signer.ocsp_signer_not_after(&rsa).unwrap() > delegate.not_after);
}

/// An issuer that has ended, or whose key cannot be used, leaves the others what they need.
#[tokio::test]
async fn each_issuer_gets_its_delegate_for_itself() {
    let clock = clock();
    let long = signer(clock.clone());
    let end = long.ca(&name("rsa")).unwrap().issuer.not_after;
    assert_eq!(long.renew_delegates(end).await, [], "it has ended, and nothing fails");
    let near = end.minus(5 * DAY);
    clock.set(near);
    let made = long.renew_delegates(near).await;
    assert_eq!(made[0].not_after, end.whole_second());
    assert_eq!(long.renew_delegates(near.plus(DAY)).await, [], "another one would not last longer");
    let subject = long.ca(&name("rsa")).unwrap().subject(Kind::Certificate, &made[0].serial, b"other bytes");
    let refused = long.ledger.prepare(subject, None).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("never signed again"), "it is in the ledger: {refused}");
}

#[tokio::test]
async fn a_delegates_certificate_says_what_it_is_for_and_no_more() {
    let signer = signer(clock());
    let made = signer.renew_delegates(now()).await;
    let (_, parsed) = X509Certificate::from_der(&made[0].certificate).unwrap();
    let lasts = parsed.validity().not_after.timestamp() - parsed.validity().not_before.timestamp() + 1;
    assert_eq!(u64::try_from(lasts).unwrap(), OCSP_DELEGATE_VALIDITY.as_secs());
    let mut kinds = Vec::new();
    for extension in parsed.extensions() {
        kinds.push(extension.oid.to_id_string());
        match extension.parsed_extension() {
            ParsedExtension::KeyUsage(_) => {
                assert_eq!((extension.value, extension.critical), (&b"\x03\x02\x07\x80"[..], true))
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                assert!(usage.ocsp_signing && !usage.server_auth && !usage.any && usage.other.is_empty());
            }
            _ => {}
        }
    }
    kinds.sort();
    // keyIdentifiers, keyUsage, extKeyUsage; ocsp-nocheck. No names, no pointers.
    let wanted = ["1.3.6.1.5.5.7.48.1.5", "2.5.29.14", "2.5.29.15", "2.5.29.35", "2.5.29.37"];
    assert_eq!(kinds, wanted);
    let no_check =
        parsed.extensions().iter().find(|extension| extension.oid.to_id_string() == wanted[0]).unwrap();
    assert_eq!((no_check.value, no_check.critical), (&b"\x05\x00"[..], false));
}

#[tokio::test]
async fn answers_that_outlive_their_signer_are_refused() {
    let clock = clock();
    let signer = signer(clock.clone());
    signer.renew_delegates(now()).await;
    for issuer in ["rsa", "ecdsa"].map(name) {
        let end = signer.ocsp_signer_not_after(&issuer).unwrap();
        clock.set(end.minus(DAY));
        let answer = |next_update| {
            let mut answer = answer(next_update);
            answer.produced_at = end.minus(DAY);
            answer.responses[0].this_update = end.minus(DAY);
            answer
        };
        signer.sign_ocsp(&issuer, answer(end)).await.unwrap();
        let late = signer.sign_ocsp(&issuer, answer(end.plus(Duration::from_secs(1)))).await;
        assert!(matches!(late, Err(Error::Refused(_))));
        let backwards = signer.sign_ocsp(&issuer, answer(end.minus(2 * DAY))).await;
        assert!(matches!(backwards, Err(Error::Refused(_))));
        let empty = OcspAnswer { responses: vec![], ..answer(end) };
        assert!(matches!(signer.sign_ocsp(&issuer, empty).await, Err(Error::Refused(_))));
    }
}

#[tokio::test]
async fn an_answer_is_its_issuers_or_a_delegates_and_nobody_elses() {
    let signer = signer(clock());
    signer.renew_delegates(now()).await;
    let end = now().plus(DAY);
    let (own, delegated) = (&signer.issuers()[0], &signer.issuers()[1]);
    for issuer in [own, delegated] {
        let der = signer.sign_ocsp(&issuer.name, answer(end)).await.unwrap();
        let Ok(Response::Answer(read)) = Response::read(&der) else { panic!("{der:02x?}") };
        assert!(issuer.has_answered(&read, now()), "{}", issuer.name);
        assert!(signer.issuers().iter().filter(|other| other.has_answered(&read, now())).count() == 1);
        let forged = SignedAnswer { tbs: &der, ..read.clone() };
        assert!(!issuer.has_answered(&forged, now()));
        let renamed = SignedAnswer { responder_key_hash: &[0; 20], ..read.clone() };
        assert!(!issuer.has_answered(&renamed, now()));
        if read.certificate.is_some() {
            let late = now().plus(OCSP_DELEGATE_VALIDITY);
            assert!(!issuer.has_answered(&read, late), "its certificate has ended");
            let other = SignedAnswer { certificate: Some(&own.certificate), ..read };
            assert!(!issuer.has_answered(&other, now()), "a CA is no responder of another");
        }
    }
}

#[tokio::test]
async fn nothing_is_said_of_the_time_to_come() {
    let signer = signer(clock());
    let issuer = name("ecdsa");
    let second = Duration::from_secs(1);
    let crl = |this_update: Timestamp, lasts| CrlContents {
        scope: crl::Scope::Complete,
        number: 1,
        this_update,
        next_update: this_update.plus(lasts),
        entries: Vec::new(),
    };
    let ahead = now().plus(crate::answering::CLOCK_DIFFERENCE_MAX);
    let said = |from: Timestamp, lasts: Duration| {
        let mut answer = answer(from.plus(lasts));
        answer.responses[0].this_update = from;
        answer
    };
    for (from, lasts, is_fit) in [
        (ahead, DAY, true),
        (ahead.plus(second), DAY, false),
        (now(), 10 * DAY, true),
        (now(), 10 * DAY + second, false),
    ] {
        assert_eq!(signer.sign_crl(&issuer, crl(from, lasts)).await.is_ok(), is_fit, "CRL {from} {lasts:?}");
        let answered = signer.sign_ocsp(&issuer, said(from, lasts)).await;
        assert_eq!(answered.is_ok(), is_fit, "OCSP {from} {lasts:?}");
    }
    let late = OcspAnswer { produced_at: ahead.plus(second), ..said(now(), DAY) };
    assert!(signer.sign_ocsp(&issuer, late).await.unwrap_err().to_string().contains("set the clocks"));
}

#[tokio::test]
async fn crls_that_contradict_themselves_are_refused() {
    let signer = signer(clock());
    let issuer = name("ecdsa");
    let entry = |seed| crl::Entry {
        serial: Serial::new(&SeededRandom::new(seed)),
        revoked_at: now(),
        reason: Reason::Superseded,
    };
    let contents = |entries: Vec<crl::Entry>, next_update| CrlContents {
        scope: crl::Scope::Complete,
        number: 1,
        this_update: now(),
        next_update,
        entries,
    };
    let signed = signer.sign_crl(&issuer, contents((0..1000).map(entry).collect(), now().plus(DAY))).await;
    assert!(signed.unwrap().len() > 30_000);
    let end = signer.issuers()[0].not_after;
    for bad in [
        contents(vec![entry(1), entry(2), entry(1)], now().plus(DAY)),
        contents(vec![], now()),
        contents(vec![], end.plus(Duration::from_secs(1))),
    ] {
        assert!(matches!(signer.sign_crl(&issuer, bad).await, Err(Error::Refused(_))));
    }
}

#[tokio::test]
async fn a_list_holds_what_belongs_to_it_and_says_where_it_is() {
    let signer = signer(clock());
    let issuer = name("ecdsa");
    let random = SeededRandom::new(6);
    let [first, second, none] =
        [Serial::in_shard(&random, Shard(1)), Serial::in_shard(&random, Shard(2)), Serial::new(&random)];
    let signed = async |scope, serials: &[&Serial]| {
        let entry = |serial: &&Serial| crl::Entry {
            serial: (*serial).clone(),
            revoked_at: now(),
            reason: Reason::Superseded,
        };
        let entries = serials.iter().map(entry).collect();
        let (this_update, next_update) = (now(), now().plus(DAY));
        signer.sign_crl(&issuer, CrlContents { scope, number: 1, this_update, next_update, entries }).await
    };
    let url = |list: Result<Vec<u8>, Error>| {
        let list = list.unwrap();
        let read = crl::SignedList::read(&list).unwrap();
        assert!(signer.issuers()[0].has_signed(&read));
        assert!(!signer.issuers()[1].has_signed(&read));
        let mut other = read.clone();
        other.tbs = &list;
        assert!(!signer.issuers()[0].has_signed(&other));
        read.distribution_point.map(str::to_owned)
    };
    let of_first = crl::Scope::Shard(Shard(1));
    assert_eq!(url(signed(crl::Scope::Complete, &[&none, &second, &first]).await), None);
    let base = "http://localhost:14080/crl/ecdsa";
    assert_eq!(url(signed(of_first, &[&first]).await).unwrap(), format!("{base}/1.crl"));
    assert_eq!(url(signed(crl::Scope::Unsharded, &[&none]).await).unwrap(), base);
    for (scope, serial) in [(of_first, &second), (of_first, &none), (crl::Scope::Unsharded, &first)] {
        assert!(matches!(signed(scope, &[serial]).await, Err(Error::Refused(_))), "{scope:?}");
    }
}

#[test]
fn a_signer_without_urls_or_with_strange_ones_does_not_start() {
    let start = |urls: BTreeMap<IssuerName, IssuerUrls>| {
        LocalSigner::new(hierarchy(), urls, ledger(&clock()), clock(), Arc::new(SeededRandom::new(1)))
            .err()
            .map(|error| error.to_string())
    };
    let complete = || BTreeMap::from(["ecdsa", "rsa"].map(|issuer| (name(issuer), urls(issuer))));
    assert_eq!(start(complete()), None);
    let mut missing = complete();
    missing.remove(&name("rsa"));
    assert!(start(missing).unwrap().contains("'rsa'"));
    for bad in
        ["", "http://", "https://localhost/", "ldap://localhost/", "http://local host/", "http://exämple/"]
    {
        let mut strange = complete();
        strange.get_mut(&name("ecdsa")).unwrap().crl = bad.to_owned();
        assert!(start(strange).unwrap().contains("'ecdsa'"), "{bad}");
    }
}

/// Issuers whose keys the public web does not know.
#[cfg(feature = "aws-lc-rs")]
const PRIVATE: [(&str, KeyKind); 4] = [
    ("p521", KeyKind::EcdsaP521),
    ("ml44", KeyKind::MlDsa44),
    ("ml65", KeyKind::MlDsa65),
    ("ml87", KeyKind::MlDsa87),
];

/// A signer with those.
#[cfg(feature = "aws-lc-rs")]
fn private_signer() -> LocalSigner {
    let clock = Arc::new(FixedClock::new(now()));
    let issuers = PRIVATE.map(|(issuer, key)| crate::hierarchy::IssuerPlan { name: name(issuer), key });
    let plan = crate::hierarchy::Plan { issuers: issuers.into(), ..crate::testing::plan() };
    let made = Hierarchy::create(&plan, clock.as_ref(), &SeededRandom::new(7)).unwrap();
    let all = PRIVATE.map(|(issuer, _)| (name(issuer), urls(issuer))).into();
    LocalSigner::new(made, all, ledger(&clock), clock, Arc::new(SeededRandom::new(8))).unwrap()
}

#[cfg(feature = "aws-lc-rs")]
#[tokio::test]
async fn keys_that_the_public_web_does_not_know_sign_for_private_profiles_alone() {
    let signer = private_signer();
    assert_eq!(signer.renew_delegates(now()).await.len(), 4);
    for (issuer, kind) in PRIVATE {
        assert_eq!(signer.ca(&name(issuer)).unwrap().key.kind(), kind);
        let mut asked = request(issuer, &["www.example.org"]);
        let refused = signer.prepare(asked.clone()).await.unwrap_err().to_string();
        assert!(refused.contains(kind.name()) && refused.contains("BR 6.1.5"), "{refused}");
        Arc::make_mut(&mut asked.profile).is_public = false;
        // The signature is verified before it is given out.
        signer.issue(signer.prepare(asked).await.unwrap()).await.unwrap();
    }
}

/// From a request that another implementation made to a certificate whose signature is verified with the issuer's key as its
/// certificate has it.
#[cfg(feature = "aws-lc-rs")]
#[tokio::test]
async fn ml_dsa_issuers_sign_for_ml_dsa_keys() {
    use ingam_protocol::csr::SigningRequest;
    use ingam_protocol::key::KeyType;

    let made: [&[u8]; 3] = [
        include_bytes!("../../../../testdata/ml-dsa/request-44.der"),
        include_bytes!("../../../../testdata/ml-dsa/request-65.der"),
        include_bytes!("../../../../testdata/ml-dsa/request-87.der"),
    ];
    let signer = private_signer();
    for (issuer, kind) in PRIVATE {
        let above = signer.issuers().iter().find(|known| known.name == name(issuer)).unwrap();
        let (_, above) = X509Certificate::from_der(&above.certificate).unwrap();
        for (number, csr) in (0..).zip(made) {
            let csr = SigningRequest::parse(csr).unwrap();
            let mut asked = request(issuer, &["a.example.org"]);
            asked.serial = Serial::new(&SeededRandom::new(number));
            asked.public_key_info = csr.public_key_info().to_vec();
            let profile = Arc::make_mut(&mut asked.profile);
            (profile.is_public, profile.key_types) =
                (false, [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87].into());
            let leaf = signer.issue(signer.prepare(asked).await.unwrap()).await.unwrap();
            let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
            assert_eq!(leaf.public_key().raw, csr.public_key_info());
            assert_eq!(leaf.key_usage().unwrap().unwrap().value.flags, 1, "digitalSignature alone");
            let (key, tbs) = (&above.public_key().subject_public_key.data, leaf.tbs_certificate.as_ref());
            let own = &signer.ca(&name(issuer)).unwrap().key;
            assert_eq!(own.kind(), kind);
            let algorithm = own.algorithm();
            algorithm.verify(key, tbs, &leaf.signature_value.data).unwrap();
            let mut turned = leaf.signature_value.data.to_vec();
            turned[20] ^= 1;
            algorithm.verify(key, tbs, &turned).unwrap_err();
        }
    }
}
