//! A responder without keys: it answers as the CA would, learns of revocations, and believes nobody else.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ingam_journal::files::Files;
use ingam_protocol::Reason;
use ingam_protocol::ocsp::ErrorStatus;
use ingam_signer::AnswerKey;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tempfile::TempDir;

use super::presign::{config, until, with_publication};
use super::world::*;
use crate::{AnswerSource, Config, Following, Publication, Responder};

/// A CA that publishes, and the key by which it is known.
pub(super) struct Origin {
    pub(super) world: World,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl Origin {
    #[allow(clippy::disallowed_methods, reason = "a key of its own for each run is as good as any")]
    pub(super) fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let public = key.public_key().as_ref().to_vec();
        Self { world: World::new(&config()), pkcs8: pkcs8.as_ref().to_vec(), public }
    }

    fn restarted(self) -> Self {
        Self { world: self.world.restart(&config()), ..self }
    }

    pub(super) fn folder(&self) -> std::path::PathBuf {
        self.world.folder.path().join("answers")
    }

    pub(super) fn publication(&self) -> Publication {
        self.publication_for(HOUR)
    }

    /// The same, whose manifests may be believed for so long.
    pub(super) fn publication_for(&self, lasts: Duration) -> Publication {
        Publication::new(self.folder(), Some(&self.pkcs8), lasts).unwrap()
    }

    async fn follow(&self, copies: &Path, source: &Path) -> Result<(Responder, Following), String> {
        self.follow_with(copies, source, &Config::default(), None).await
    }

    /// The same with these settings, and a key of its own.
    pub(super) async fn follow_with(
        &self,
        copies: &Path,
        source: &Path,
        config: &Config,
        own: Option<(AnswerKey, Arc<dyn Files>)>,
    ) -> Result<(Responder, Following), String> {
        let source = AnswerSource::Folder(source.to_owned());
        let clock = self.world.clock.clone();
        Following::begin(config, source, self.public.clone(), copies.to_owned(), own, clock).await
    }

    /// What a responder says of a certificate, by a hash.
    async fn ask(&self, responder: &Responder, hash: &[u8], number: u8) -> Result<ReadSingle, ErrorStatus> {
        let id = self.world.cert_id_of(0, hash, true, &serial(number));
        let answer = responder.ocsp().answer(&request(&[id], None)).await;
        let body: Bytes = answer.body();
        self.world.read(&body).map(|mut read| read.single.remove(0))
    }
}

pub(super) fn copies() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

#[tokio::test(start_paused = true)]
async fn it_answers_as_the_ca_does_and_goes_on_without_it() {
    let origin = Origin::new();
    let own = copies();
    for number in 1..=3 {
        origin.world.statuses.issue(number);
    }
    with_publication(&origin.world, origin.publication(), async {
        until("the manifest", || origin.folder().join("manifest").exists()).await;
        until("the pass", || origin.world.signed() == 6).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (responder, following) = origin.follow(own.path(), &origin.folder()).await.unwrap();
        let condition = following.condition();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(following.run(Duration::from_millis(500), async {
            let _ = stopped.await;
        }));
        for hash in [SHA1_OID, SHA256_OID] {
            assert_eq!(origin.ask(&responder, hash, 1).await.unwrap().revoked, None);
            assert_eq!(origin.ask(&responder, hash, 9).await, Err(ErrorStatus::Unauthorized));
        }
        assert_eq!(
            origin.ask(&responder, SHA384_OID, 1).await,
            Err(ErrorStatus::TryLater),
            "nobody signs here"
        );
        assert_eq!(origin.ask(&responder, SHA384_OID, 9).await, Err(ErrorStatus::Unauthorized));
        let before = condition.lock().unwrap().clone();
        assert!(before.sequence > 0 && before.trouble.is_none());
        origin.world.statuses.revoke(2, start(), Reason::KeyCompromise);
        origin.world.statuses.issue(4);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(origin.ask(&responder, SHA1_OID, 2).await.unwrap().revoked, Some((start().unix_s(), 1)));
        assert_eq!(origin.ask(&responder, SHA256_OID, 4).await.unwrap().revoked, None);
        assert!(condition.lock().unwrap().sequence > before.sequence);
        stop.send(()).unwrap();
        running.await.unwrap();
    })
    .await;
    // The CA is gone; a new process begins with the copy.
    let nowhere = own.path().join("nowhere");
    let (responder, following) = origin.follow(own.path(), &nowhere).await.unwrap();
    assert!(following.condition().lock().unwrap().trouble.as_ref().unwrap().contains("cannot be taken"));
    assert_eq!(origin.ask(&responder, SHA1_OID, 2).await.unwrap().revoked, Some((start().unix_s(), 1)));
    // Each answer as long as it says, and then none.
    origin.world.clock.set(start().plus(6 * DAY));
    assert_eq!(origin.ask(&responder, SHA1_OID, 1).await.unwrap().revoked, None);
    origin.world.clock.set(start().plus(7 * DAY));
    assert_eq!(origin.ask(&responder, SHA1_OID, 1).await, Err(ErrorStatus::TryLater));
}

#[tokio::test(start_paused = true)]
async fn it_believes_nothing_that_is_old_changed_or_of_somebody_else() {
    let origin = Origin::new();
    origin.world.statuses.issue(1);
    let story = async {
        until("the pass", || origin.world.signed() == 2).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    with_publication(&origin.world, origin.publication(), story).await;
    let old = copy_of(&origin.folder());
    // Another process goes on with what is in the folder: nothing but the revocation is signed.
    let origin = origin.restarted();
    let story = async {
        origin.world.statuses.revoke(1, start(), Reason::KeyCompromise);
        until("the revocation", || origin.world.signed() == 4).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    with_publication(&origin.world, origin.publication(), story).await;

    // Once the revocation was known, what is older is refused, whoever hands it over.
    let own = copies();
    let (responder, _) = origin.follow(own.path(), &origin.folder()).await.unwrap();
    assert!(origin.ask(&responder, SHA1_OID, 1).await.unwrap().revoked.is_some());
    let (responder, following) = origin.follow(own.path(), old.path()).await.unwrap();
    assert!(origin.ask(&responder, SHA1_OID, 1).await.unwrap().revoked.is_some());
    let condition = following.condition();
    let running = tokio::spawn(following.run(Duration::from_millis(500), std::future::pending()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(condition.lock().unwrap().trouble.as_ref().unwrap().contains("what is older is never taken"));
    running.abort();

    let changed = copy_of(&origin.folder());
    for entry in fs::read_dir(changed.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "answers") {
            let mut file = fs::read(&path).unwrap();
            *file.last_mut().unwrap() ^= 1;
            fs::write(&path, file).unwrap();
        }
    }
    // A copy whose tables are gone does not make the old ones believed; the newest source mends it.
    for entry in fs::read_dir(own.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "answers") {
            fs::remove_file(&path).unwrap();
        }
    }
    assert!(origin.follow(own.path(), old.path()).await.is_err());
    let (responder, _) = origin.follow(own.path(), &origin.folder()).await.unwrap();
    assert!(origin.ask(&responder, SHA1_OID, 1).await.unwrap().revoked.is_some());
    let refused = origin.follow(copies().path(), changed.path()).await.err().unwrap();
    assert!(refused.contains("is not what the manifest says"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn it_does_not_begin_with_what_nobody_or_somebody_else_signed() {
    let (mut origin, other) = (Origin::new(), Origin::new());
    origin.world.statuses.issue(1);
    for publication in [
        Publication::new(origin.folder(), None, HOUR).unwrap(),
        Publication::new(origin.folder(), Some(&other.pkcs8), HOUR).unwrap(),
    ] {
        let _ = fs::remove_dir_all(origin.folder());
        let story = async { until("the manifest", || origin.folder().join("manifest").exists()).await };
        with_publication(&origin.world, publication, story).await;
        let own = copies();
        let refused = origin.follow(own.path(), &origin.folder()).await.err().unwrap();
        assert!(refused.contains("is not signed by the key"), "{refused}");
        assert_eq!(fs::read_dir(own.path()).unwrap().count(), 0, "nothing of it is kept");
        origin = origin.restarted();
    }
    assert!(Publication::new(origin.folder(), Some(&[1, 2, 3]), HOUR).is_err());
}
