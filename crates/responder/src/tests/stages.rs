//! What is said of a serial number at each stage of its certificate, from the real store: good or revoked once there is a
//! signature on record or could be one, and before that nothing.

use std::time::Duration;

use ingam_protocol::Reason;
use ingam_protocol::ocsp::ErrorStatus;
use ingam_protocol::time::Clock;

use super::store::{Begun, Deed, StoreOfTests};
use super::world::*;
use crate::config::Config;
use crate::http::Responder;

struct Stages {
    world: World,
    store: StoreOfTests,
}

impl Stages {
    async fn new() -> Self {
        let (mut world, store) = (World::new(&Config::default()), StoreOfTests::new(1).await);
        let World { signer, clock, folder, .. } = &world;
        let statuses = store.statuses(clock);
        world.responder =
            Responder::new(&Config::default(), folder.path(), statuses, signer.clone(), clock.clone())
                .unwrap();
        Self { world, store }
    }

    async fn begin(&self) -> Begun {
        self.store.begin("e1", start(), 90 * DAY).await
    }

    async fn go_on(&self, begun: &Begun, deed: Deed) {
        self.store.go_on(begun, deed, self.world.clock.now()).await.unwrap();
    }

    /// When and why it is revoked, if it is; or what is said instead of an answer.
    async fn told(&self, begun: &Begun) -> Result<Option<(u64, u8)>, ErrorStatus> {
        let (_, body) = self.world.ask(&request(&[self.world.cert_id(&begun.serial)], None)).await;
        self.world.read(&body).map(|read| read.single[0].revoked)
    }
}

const NOTHING: Result<Option<(u64, u8)>, ErrorStatus> = Err(ErrorStatus::Unauthorized);

#[tokio::test]
async fn nothing_is_said_before_there_is_a_signature() {
    let stages = Stages::new().await;
    let begun = stages.begin().await;
    assert_eq!(stages.told(&begun).await, NOTHING, "its serial number is set aside");
    stages.go_on(&begun, Deed::Ask).await;
    assert_eq!(stages.told(&begun).await, NOTHING, "the signer has it, and may say no");
    stages.go_on(&begun, Deed::Complete).await;
    assert_eq!(stages.told(&begun).await, Ok(None), "there is a certificate");
}

#[tokio::test]
async fn a_precertificate_alone_has_a_status() {
    let stages = Stages::new().await;
    let begun = stages.begin().await;
    stages.go_on(&begun, Deed::Ask).await;
    stages.go_on(&begun, Deed::Precertify).await;
    assert_eq!(stages.told(&begun).await, Ok(None));
    stages.store.revoke(&begun, start(), Reason::CessationOfOperation).await;
    assert_eq!(stages.told(&begun).await, Ok(Some((start().unix_s(), 5))));
}

#[tokio::test]
async fn what_was_given_up_is_revoked_if_it_may_have_been_signed_and_else_unknown() {
    let stages = Stages::new().await;
    let (unasked, asked) = (stages.begin().await, stages.begin().await);
    stages.go_on(&unasked, Deed::GiveUp).await;
    assert_eq!(stages.told(&unasked).await, NOTHING, "nobody was asked to sign it");
    stages.go_on(&asked, Deed::Ask).await;
    stages.go_on(&asked, Deed::GiveUp).await;
    assert_eq!(stages.told(&asked).await, Ok(Some((start().unix_s(), 0))), "it may have been signed");
    assert!(stages.store.go_on(&asked, Deed::Complete, start()).await.is_err(), "it comes too late");
    assert_eq!(stages.told(&asked).await, Ok(Some((start().unix_s(), 0))));
}

#[tokio::test]
async fn what_is_revoked_stays_so_until_it_ends_and_is_then_as_the_last_answer_says() {
    let stages = Stages::new().await;
    let begun = stages.begin().await;
    stages.go_on(&begun, Deed::Ask).await;
    stages.go_on(&begun, Deed::Complete).await;
    stages.store.revoke(&begun, start(), Reason::KeyCompromise).await;
    let revoked = Ok(Some((start().unix_s(), 1)));
    for _ in 0..90 {
        assert_eq!(stages.told(&begun).await, revoked);
        stages.world.clock.advance(DAY);
    }
    assert_eq!(stages.told(&begun).await, revoked, "its last second");
    stages.world.clock.advance(7 * DAY - Duration::from_secs(1));
    assert_eq!(stages.told(&begun).await, revoked, "its last answer is valid");
    stages.world.clock.advance(Duration::from_secs(1));
    assert_eq!(stages.told(&begun).await, NOTHING);
}
