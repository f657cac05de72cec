//! A responder apart from its CA that has a key which the CA certified: it answers what nobody signed in advance, says nothing that the
//! CA has not said, and stops when the CA says so.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ingam_journal::files::Files;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::ocsp::{ErrorStatus, Response};
use ingam_protocol::{Reason, Serial, Timestamp};
use ingam_signer::{AnswerKey, CaKey, DelegateCertificate, PrivateKey, Signer};
use rcgen::ExtendedKeyUsagePurpose::{OcspSigning, ServerAuth};
use rcgen::KeyPair;
use tempfile::TempDir;

use super::following::{Origin, copies};
use super::presign::{until, with_publication};
use super::world::*;
use crate::{Answer, Config, FollowingCondition, Nonces, Publication, Responder};

const SECOND: Duration = Duration::from_secs(1);
const NONCE: &[u8] = &[7; 16];

/// A CA that lists certificates, and a responder's key.
struct World {
    origin: Origin,
    pair: KeyPair,
    /// What the CA lists.
    listed: Arc<Mutex<Vec<DelegateCertificate>>>,
    /// For how long its manifest may be believed.
    lasts: Duration,
    /// Where the responder puts down what it signs.
    signed: Arc<SimulatedDisk>,
}

/// A responder that follows.
struct Apart<'a> {
    world: &'a World,
    responder: Responder,
    condition: Arc<Mutex<FollowingCondition>>,
    running: tokio::task::JoinHandle<()>,
    _copies: TempDir,
}

fn config() -> Config {
    Config { nonces: Nonces::Answer, ..Config::default() }
}

fn listed(certificate: Vec<u8>) -> DelegateCertificate {
    DelegateCertificate {
        issuer: issuer_name("e1"),
        serial: serial(200),
        not_after: start().plus(30 * DAY),
        certificate,
        responder: Some("tokyo".to_owned()),
    }
}

impl World {
    fn new() -> Self {
        let (origin, pair) = (Origin::new(), KeyPair::generate().unwrap());
        let world = Self { origin, pair, listed: Arc::default(), lasts: HOUR, signed: Arc::default() };
        for number in 1..=3 {
            world.origin.world.statuses.issue(number);
        }
        world.list(world.certificate(start().plus(30 * DAY)));
        world
    }

    fn certificate(&self, not_after: Timestamp) -> Vec<u8> {
        self.origin.world.certify(0, &self.pair, &[OcspSigning], not_after)
    }

    fn list(&self, certificate: Vec<u8>) {
        *self.listed.lock().unwrap() = vec![listed(certificate)];
    }

    fn key(&self) -> AnswerKey {
        AnswerKey::new(&CaKey::Held(PrivateKey::from_pkcs8(self.pair.serialize_der()))).unwrap()
    }

    fn publication(&self) -> Publication {
        let listed = self.listed.clone();
        self.origin.publication_for(self.lasts).listing(move || listed.lock().unwrap().clone())
    }

    /// Runs `story` while the CA publishes what it has signed.
    async fn publishing(&self, story: impl Future<Output = ()>) {
        with_publication(&self.origin.world, self.publication(), async {
            until("the pass", || self.origin.world.signed() == 6).await;
            until("the manifest", || self.origin.folder().join("manifest").exists()).await;
            tokio::time::sleep(SECOND).await;
            story.await;
        })
        .await;
    }

    async fn follow(&self) -> Apart<'_> {
        let copies = copies();
        let signed: Arc<dyn Files> = self.signed.clone();
        let (folder, own) = (self.origin.folder(), Some((self.key(), signed)));
        let begun = Box::pin(self.origin.follow_with(copies.path(), &folder, &config(), own)).await;
        let (responder, following) = begun.unwrap();
        let condition = following.condition();
        let running = tokio::spawn(following.run(SECOND / 2, std::future::pending()));
        Apart { world: self, responder, condition, running, _copies: copies }
    }

    fn now(&self) -> u64 {
        ingam_protocol::Clock::now(self.origin.world.clock.as_ref()).unix_s()
    }

    fn set(&self, moment: Timestamp) {
        self.origin.world.clock.set(moment);
    }

    fn cert_id(&self, hash: &[u8], with_null: bool, serial: &Serial) -> Vec<u8> {
        self.origin.world.cert_id_of(0, hash, with_null, serial)
    }
}

impl Apart<'_> {
    /// What it says of these certificates by a signature of its own; an error, or `None` if the CA signed the answer.
    async fn ask(&self, ids: &[Vec<u8>], nonce: Option<&[u8]>) -> Result<Option<Read>, ErrorStatus> {
        let body = self.responder.ocsp().answer(&request(ids, nonce)).await.body();
        let origin = &self.world.origin.world;
        let issuer = &origin.signer.issuers()[0];
        match Response::read(&body).unwrap() {
            Response::Error(error) => Err(error),
            Response::Answer(read) if read.certificate.is_none() => {
                assert_eq!(origin.read(&body).unwrap().nonce, None, "nobody signed for this request");
                Ok(None)
            }
            Response::Answer(read) => {
                assert!(issuer.has_answered(&read, ingam_protocol::Clock::now(origin.clock.as_ref())));
                let answer = read_by(self.world.pair.public_key_raw(), &body)?;
                assert_eq!(answer.produced_at, self.world.now());
                Ok(Some(answer))
            }
        }
    }

    async fn live(&self, hash: &[u8], number: u8) -> Result<ReadSingle, ErrorStatus> {
        let id = self.world.cert_id(hash, true, &serial(number));
        let answer = self.ask(std::slice::from_ref(&id), None).await?;
        let single = answer.expect("a signature of its own").single.remove(0);
        assert_eq!(single.cert_id, id);
        Ok(single)
    }

    /// Lets it look for what is new.
    async fn look(&self) {
        tokio::time::sleep(2 * SECOND).await;
    }

    fn until(&self) -> Option<Timestamp> {
        self.condition.lock().unwrap().delegates[&issuer_name("e1")]
    }
}

impl Drop for Apart<'_> {
    fn drop(&mut self) {
        self.running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn it_signs_what_nobody_signed_in_advance() {
    let world = World::new();
    world
        .publishing(async {
            let apart = world.follow().await;
            assert_eq!(apart.until(), Some(start().plus(30 * DAY)));
            let by = |hash, number| world.cert_id(hash, true, &serial(number));
            // What was signed in advance comes from the CA, as without a key.
            assert!(apart.ask(&[by(SHA1_OID, 1)], None).await.unwrap().is_none());
            assert!(apart.ask(&[by(SHA256_OID, 1)], None).await.unwrap().is_none());

            world.set(start().plus(HOUR / 2));
            let answer =
                apart.ask(&[by(SHA1_OID, 1)], Some(NONCE)).await.unwrap().expect("an answer to the nonce");
            assert_eq!(answer.nonce.as_deref(), Some(NONCE));
            let single = &answer.single[0];
            let ends = start().plus(7 * DAY).minus(SECOND).unix_s();
            assert_eq!(
                (single.revoked, single.this_update, single.next_update),
                (None, start().unix_s(), ends)
            );

            // Other ways of writing a CertID; several at once, each with its own status.
            assert_eq!(apart.live(SHA384_OID, 1).await.unwrap().revoked, None);
            let bare = world.cert_id(SHA1_OID, false, &serial(1));
            assert_eq!(
                apart.ask(std::slice::from_ref(&bare), None).await.unwrap().unwrap().single[0].cert_id,
                bare
            );
            let both = apart.ask(&[by(SHA1_OID, 1), by(SHA384_OID, 2)], None).await.unwrap().unwrap();
            assert_eq!((both.nonce, both.single.len()), (None, 2));

            // What the tables do not have is nothing that it knows of.
            for hash in [SHA1_OID, SHA256_OID, SHA384_OID] {
                assert_eq!(apart.ask(&[by(hash, 9)], None).await.unwrap_err(), ErrorStatus::Unauthorized);
                assert_eq!(
                    apart.ask(&[by(hash, 9)], Some(NONCE)).await.unwrap_err(),
                    ErrorStatus::Unauthorized
                );
                let both = [by(hash, 1), by(hash, 9)];
                assert_eq!(apart.ask(&both, None).await.unwrap_err(), ErrorStatus::Unauthorized);
            }
            // Another issuer of the CA that gave no certificate.
            let other = world.origin.world.cert_id_of(1, SHA384_OID, true, &serial(1));
            assert_eq!(apart.ask(&[other], Some(NONCE)).await.unwrap_err(), ErrorStatus::Unauthorized);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_revocation_ends_what_it_has_signed() {
    let world = World::new();
    world
        .publishing(async {
            let apart = world.follow().await;
            let ids = [1, 2].map(|number| world.cert_id(SHA1_OID, true, &serial(number)));
            assert_eq!(apart.live(SHA384_OID, 2).await.unwrap().revoked, None);
            world.set(start().plus(60 * SECOND));
            world.origin.world.statuses.revoke(2, start().plus(59 * SECOND), Reason::KeyCompromise);
            apart.look().await;
            let revoked = Some((start().plus(59 * SECOND).unix_s(), 1));
            let single = apart.live(SHA384_OID, 2).await.unwrap();
            assert_eq!(single.revoked, revoked);
            assert!(single.this_update >= start().plus(59 * SECOND).unix_s());
            let both = apart.ask(&ids, Some(NONCE)).await.unwrap().unwrap();
            assert_eq!(both.single.iter().map(|single| single.revoked).collect::<Vec<_>>(), [None, revoked]);
            // The other's answer is still the one that was signed first.
            assert_eq!(apart.live(SHA384_OID, 1).await.unwrap().revoked, None);
            let again = [world.cert_id(SHA384_OID, true, &serial(1))];
            let Answer::Kept(first) = apart.responder.ocsp().answer(&request(&again, None)).await else {
                panic!("an answer for all who ask")
            };
            world.origin.world.statuses.issue(4);
            apart.look().await;
            let Answer::Kept(second) = apart.responder.ocsp().answer(&request(&again, None)).await else {
                panic!("an answer for all who ask")
            };
            assert!(Arc::ptr_eq(&first, &second), "nothing is signed twice for what did not change");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn it_stops_once_its_certificate_is_not_listed_and_goes_on_with_another() {
    let world = World::new();
    world
        .publishing(async {
            let apart = world.follow().await;
            assert!(apart.live(SHA384_OID, 1).await.is_ok());
            world.listed.lock().unwrap().clear();
            apart.look().await;
            assert_eq!(apart.until(), None);
            // Also what it had signed before is given out no more.
            assert_eq!(apart.live(SHA384_OID, 1).await.unwrap_err(), ErrorStatus::TryLater);
            let id = world.cert_id(SHA1_OID, true, &serial(1));
            assert!(
                apart.ask(std::slice::from_ref(&id), Some(NONCE)).await.unwrap().is_none(),
                "as without a key"
            );
            let two = [id, world.cert_id(SHA1_OID, true, &serial(2))];
            assert_eq!(apart.ask(&two, None).await.unwrap_err(), ErrorStatus::TryLater);
            let end = start().plus(2 * DAY);
            world.list(world.certificate(end));
            apart.look().await;
            assert_eq!(apart.until(), Some(end));
            assert_eq!(
                apart.live(SHA384_OID, 1).await.unwrap().next_update,
                end.unix_s(),
                "not longer than its signer"
            );
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_signed_by_an_old_manifest_nor_beyond_what_the_ca_has_said() {
    let world = World::new();
    let mut apart = None;
    world
        .publishing(async {
            let begun = world.follow().await;
            assert!(begun.live(SHA384_OID, 2).await.is_ok());
            apart = Some(begun);
        })
        .await;
    let apart = apart.unwrap();
    let nonced = |number| [world.cert_id(SHA1_OID, true, &serial(number))];
    // The CA is away. The manifest lasts an hour.
    world.set(start().plus(HOUR));
    let answer = apart.ask(&nonced(1), Some(NONCE)).await.unwrap().unwrap();
    assert_eq!(answer.single[0].this_update, start().unix_s(), "not later than the CA knew");
    world.set(start().plus(HOUR + SECOND));
    assert!(apart.ask(&nonced(1), Some(NONCE)).await.unwrap().is_none());
    assert_eq!(apart.live(SHA384_OID, 1).await.unwrap_err(), ErrorStatus::TryLater);
    let two = [nonced(1)[0].clone(), nonced(2)[0].clone()];
    assert_eq!(apart.ask(&two, Some(NONCE)).await.unwrap_err(), ErrorStatus::TryLater);
    // What was signed before is given as long as it is valid, and so is what the CA signed.
    let kept = request(&[world.cert_id(SHA384_OID, true, &serial(2))], None);
    for (after, is_there) in [(6 * DAY, true), (7 * DAY, false)] {
        world.set(start().plus(after));
        let is_kept = |answer| matches!(answer, Answer::Kept(_));
        assert_eq!(is_kept(apart.responder.ocsp().answer(&kept).await), is_there, "{after:?}");
        assert_eq!(apart.ask(&nonced(1), None).await.is_ok(), is_there);
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_last_minute_of_the_cas_answer_that_one_is_given_to_a_nonce() {
    // The manifest is good for longer than what was signed in advance, and so is the responder's certificate.
    let world = World { lasts: 8 * DAY, ..World::new() };
    let mut apart = None;
    world.publishing(async { apart = Some(world.follow().await) }).await;
    let apart = apart.unwrap();
    let id = |number| world.cert_id(SHA1_OID, true, &serial(number));
    let ends = start().plus(7 * DAY).minus(SECOND);
    world.set(ends.minus(61 * SECOND));
    assert!(apart.ask(&[id(1)], Some(NONCE)).await.unwrap().is_some());
    world.set(ends.minus(59 * SECOND));
    assert!(apart.ask(&[id(1)], None).await.unwrap().is_none(), "the CA's");
    assert!(apart.ask(&[id(1)], Some(NONCE)).await.unwrap().is_none(), "the same to a nonce");
    // Nobody has said anything about both at once.
    assert_eq!(apart.ask(&[id(1), id(2)], Some(NONCE)).await.unwrap_err(), ErrorStatus::TryLater);
    let other = world.cert_id(SHA384_OID, true, &serial(1));
    assert_eq!(apart.ask(&[other], Some(NONCE)).await.unwrap_err(), ErrorStatus::TryLater);
}

#[tokio::test(start_paused = true)]
async fn certificates_that_are_none_of_its_own_are_not_taken() {
    let world = World::new();
    let ca = &world.origin.world;
    let (end, somebody) = (start().plus(30 * DAY), KeyPair::generate().unwrap());
    let wrong = [
        ca.certify(0, &somebody, &[OcspSigning], end),
        ca.certify(1, &world.pair, &[OcspSigning], end),
        ca.certify(0, &world.pair, &[ServerAuth], end),
        ca.certify(0, &world.pair, &[OcspSigning, ServerAuth], end),
        vec![0x30, 0x00],
    ];
    *world.listed.lock().unwrap() = wrong.map(listed).to_vec();
    world
        .publishing(async {
            let apart = world.follow().await;
            assert_eq!(apart.until(), None);
            assert_eq!(apart.live(SHA384_OID, 1).await.unwrap_err(), ErrorStatus::TryLater);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn signatures_are_put_down_in_files_of_its_own() {
    let world = World::new();
    let lines = || {
        let name = format!("{}.jsonl", &start().to_rfc3339()[..10]);
        let contents = world.signed.contents(&name).unwrap_or_default();
        contents.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
    };
    world
        .publishing(async {
            let apart = world.follow().await;
            assert!(apart.live(SHA384_OID, 1).await.is_ok());
            assert_eq!((apart.responder.queues()[1].waiting, lines()), (1, 0));
            let recorder = apart.responder.clone();
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let recording = tokio::spawn(async move {
                recorder.run_recorder(async { drop(stopped.await) }).await;
            });
            until("a line", || lines() == 1).await;
            assert_eq!(apart.responder.queues()[1].waiting, 0);
            // Without room on the disk it waits, and is there once there is some.
            world.signed.set_room(Some(0));
            assert!(apart.live(SHA384_OID, 2).await.is_ok());
            tokio::time::sleep(5 * SECOND).await;
            assert_eq!(lines(), 1);
            world.signed.set_room(None);
            until("another line", || lines() == 2).await;
            stop.send(()).unwrap();
            recording.await.unwrap();
            // A process that ends signs nothing more.
            assert_eq!(apart.live(SHA384_OID, 3).await.unwrap_err(), ErrorStatus::TryLater);
        })
        .await;
}
