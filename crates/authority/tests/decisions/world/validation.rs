//! The scripted network, whose answers can be held back.

use std::sync::Mutex;

use async_trait::async_trait;
use ingam_protocol::acme::{ChallengeType, ErrorType};
use ingam_protocol::identifier::DnsName;
use ingam_validation::scripted::Scripted;
use ingam_validation::{Attempt, CaaOutcome, CaaQuery, Failure, Outcome, Report, Reports, Validation};
use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct TestValidation {
    pub(crate) script: Scripted,
    held: Mutex<Vec<ChallengeType>>,
    released: Notify,
}

impl TestValidation {
    /// Checks of challenges of this type wait from now on.
    pub(crate) fn hold(&self, challenge: ChallengeType) {
        self.held.lock().unwrap().push(challenge);
    }

    /// Nothing waits any more.
    pub(crate) fn release(&self) {
        self.held.lock().unwrap().clear();
        self.released.notify_waiters();
    }

    pub(crate) fn fail(&self, name: &str) {
        self.script.fail(&dns(name), Some(failure(ErrorType::Connection, "connection refused")));
    }

    pub(crate) fn succeed(&self, name: &str) {
        self.script.fail(&dns(name), None);
        self.script.fail_caa(&dns(name), None);
    }

    pub(crate) fn fail_caa(&self, name: &str) {
        self.script.fail_caa(&dns(name), Some(failure(ErrorType::Caa, "CAA names another CA")));
    }

    fn is_held(&self, challenge: ChallengeType) -> bool {
        self.held.lock().unwrap().contains(&challenge)
    }
}

fn dns(name: &str) -> DnsName {
    DnsName::parse(name).unwrap()
}

fn failure(error: ErrorType, detail: &str) -> Failure {
    Failure { error, detail: detail.to_owned() }
}

impl Reports for TestValidation {
    fn submit(&self, report: Report) {
        self.script.submit(report);
    }
}

#[async_trait]
impl Validation for TestValidation {
    async fn validate(&self, attempt: Attempt) -> Outcome {
        loop {
            // Made before the look, so that a release between the two is not missed.
            let released = self.released.notified();
            if !self.is_held(attempt.challenge) {
                break;
            }
            released.await;
        }
        self.script.validate(attempt).await
    }

    async fn check_caa(&self, query: CaaQuery) -> CaaOutcome {
        self.script.check_caa(query).await
    }
}
