//! Every kind of certificate, CRL and OCSP answer that a running CA makes, before judges that nobody here wrote: pkilint, openssl, GnuTLS
//! and rustls-webpki. A CA with a key of each kind issues by each profile, revokes for each reason, and is asked in each way: once with
//! these keys in files, and once with them on a token.
//!
//! Nothing that pkilint calls more than a notice may be found, but what [`LET_THROUGH`] says aloud. What ceremonies make is judged in
//! `ceremonies`, and profiles with every setting in the server's own tests. Not a failure: whether the issuer or a delegate signs
//! OCSP answers (a delegate's certificate is judged, too), and on which list a certificate is.

mod programs;
mod webpki;
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;

use ingam_tests::ocsp::{self, Status};
use ingam_tests::pkilint::{Kind, LetThrough, Questions};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::world::{
    Answered, FURTHER_PROFILES, ISSUERS, KEYS, Keys, LOGGED, Leaf, List, PRIVATE, REASONS, World,
};

/// What pkilint finds, and why it stays.
const LET_THROUGH: &[LetThrough] = &[
    loopback(Kind::Subscriber, "cRLDistributionPoints"),
    loopback(Kind::Subscriber, "authorityInfoAccessSyntax"),
    loopback(Kind::Precertificate, "cRLDistributionPoints"),
    loopback(Kind::Precertificate, "authorityInfoAccessSyntax"),
    loopback(Kind::IssuingCa, "cRLDistributionPoints"),
    loopback(Kind::IssuingCa, "authorityInfoAccessSyntax"),
    LetThrough {
        kind: Kind::Listener,
        code: "pkix.invalid_domain_name_syntax",
        at: "subjectAltName.0.dNSName",
        why: "the name is localhost, which RFC 5280 allows, and pkilint wants a dot in each",
    },
];

const fn loopback(kind: Kind, at: &'static str) -> LetThrough {
    let why = "the CA of a test publishes on 127.0.0.1, which is no public name";
    LetThrough { kind, code: "cabf.internal_domain_name", at, why }
}

/// All that was made.
struct Made {
    leaves: Vec<Leaf>,
    /// Those that are revoked, each with its reason.
    revoked: Vec<(Leaf, u8)>,
    answers: Vec<Answered>,
    /// Answers that nobody signs.
    refusals: Vec<Vec<u8>>,
    /// Each issuing CA's, while they were empty, and once there was something to tell.
    empty_lists: Vec<List>,
    lists: Vec<List>,
    /// The root's list with nothing on it, and one with the issuing CA of the first leaf.
    root_list: PathBuf,
    root_list_with: PathBuf,
}

async fn make(world: &mut World) -> Made {
    let (mut leaves, mut revoked, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut empty_lists, mut lists, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
    for profile in ISSUERS.iter().map(|(_, profile)| *profile).chain(FURTHER_PROFILES) {
        for (key, _) in KEYS {
            leaves.push(world.issue(profile, key).await);
        }
    }
    leaves.push(world.issue(LOGGED, "p256").await);
    for (issuer, profile) in ISSUERS {
        let good = world.issue(profile, "p256").await;
        empty_lists.extend(world.lists(issuer, &good).await);
        answers.extend(world.ask(&good).await);
        refusals.extend(world.refusals(&good).await);
        let mut asked = vec![good];
        for reason in REASONS {
            let leaf = world.issue(profile, "p256").await;
            world.revoke(&leaf, reason).await;
            let told = world.ask(&leaf).await;
            assert!(told.iter().all(|answer| is_revoked(&ocsp::status(&answer.body), reason)), "{reason}");
            answers.extend(told);
            asked.push(leaf);
        }
        answers.push(world.ask_about_all(&asked).await);
        lists.extend(world.lists(issuer, &asked[0]).await);
        leaves.push(asked.remove(0));
        revoked.extend(asked.into_iter().zip(REASONS));
    }
    let root_list = world.root_list(&leaves[0]).await;
    let root_list_with = world.next_root_list(&leaves[0], &root_list).await;
    Made { leaves, revoked, answers, refusals, empty_lists, lists, root_list, root_list_with }
}

fn is_revoked(status: &Status, by: u8) -> bool {
    let expected = (by != 0).then_some(by);
    matches!(status, Status::Revoked { reason, .. } if *reason == expected)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_running_ca_makes_is_found_wanting() {
    all_stand(World::start(Keys::InFiles).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_ca_makes_with_keys_on_a_token_is_found_wanting() {
    all_stand(World::start(Keys::OnToken).await).await;
}

/// Everything is made, and all judges have their say.
async fn all_stand(mut world: World) {
    let made = make(&mut world).await;
    let questions = questions(&mut world, &made).await;
    tokio::join!(questions.are_answered_with_nothing_but(LET_THROUGH), programs::judge(&world.root, &made));
    webpki::judge(&world.root, &made);
    world.server.stop().await;
}

/// What pkilint is asked.
async fn questions(world: &mut World, made: &Made) -> Questions {
    let mut questions = Questions::default();
    questions.add(Kind::Root, &world.root);
    for list in [&made.root_list, &made.root_list_with] {
        questions.add(Kind::AuthorityCrl, list);
    }
    for leaf in &made.leaves {
        let kind = if leaf.profile == PRIVATE { Kind::Private } else { Kind::Subscriber };
        questions.add(kind, &leaf.files.leaf);
    }
    for (_, profile) in ISSUERS {
        let leaf = made.leaves.iter().find(|leaf| leaf.profile == profile).expect("one of each");
        questions.add(Kind::IssuingCa, &leaf.files.issuer);
        questions.add_pair(Kind::IssuingCa, &world.root, &leaf.files.issuer);
        questions.add_pair(Kind::Subscriber, &leaf.files.issuer, &leaf.files.leaf);
    }
    for list in made.empty_lists.iter().chain(&made.lists) {
        questions.add(Kind::Crl, &list.file);
    }
    for answer in &made.answers {
        questions.add(Kind::OcspAnswer, &answer.response);
    }
    for refusal in &made.refusals {
        questions.add(Kind::OcspAnswer, &world.write("response", refusal));
    }
    let responders: BTreeSet<Vec<u8>> =
        made.answers.iter().flat_map(|answer| ocsp::certificates(&answer.body)).collect();
    assert_eq!(
        responders.len(),
        ISSUERS.len() - 1,
        "each issuer but that with a key on P-256 has a delegate, which openssl says is on P-256"
    );
    for responder in responders {
        let file = world.write("der", &responder);
        programs::is_on_p256(&file).await;
        questions.add(Kind::OcspResponder, &file);
    }
    let precertificates = world.precertificates().await;
    assert_eq!(precertificates.len(), 1);
    for precertificate in precertificates {
        questions.add(Kind::Precertificate, &world.write("der", &precertificate));
    }
    // What `ingam dev` shows to its https clients.
    for file in ["tls-ca.pem", "tls-server.pem"] {
        let certificate =
            CertificateDer::from_pem_file(world.server.state().join(file)).expect("a certificate");
        questions.add(Kind::Listener, &world.write("der", &certificate));
    }
    questions
}
