//! Challenges: answered by the client, checked by us (RFC 8555, section 7.5.1).
//!
//! An answered challenge is on record before it is checked, so a restart checks it again: the check takes nothing but
//! what is on record, may run twice, and its first end counts.

use std::sync::Arc;

use ingam_protocol::Id;
use ingam_protocol::acme::{
    Account, Authorization, Challenge, ChallengeType, ErrorType, Failure, Finished, Verdict,
};
use ingam_protocol::bytes::base64url;
use ingam_protocol::identifier::Identifier;
use ingam_protocol::record::RecordType;
use ingam_store::{Answered, OpenChallenge};
use ingam_validation::{Attempt, CaaQuery};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument, debug_span};

use crate::Authority;
use crate::error::{Error, Refusal};
use crate::evidence::{CaaEvidence, Caller, ChallengeEvidence, ValidationEvidence};

/// At most this many challenges are taken up again at a start; later ones follow as their clients come back.
const RESUMED_MAX: usize = 10_000;

impl Authority {
    /// The client says that its answer is in place: the challenge is checked from now on, in the background.
    /// Gives the authorization as it is then; `None` if this account has no such challenge.
    ///
    /// # Errors
    /// A refusal with `Retry-After` if too many checks wait already, or too many of this name failed;
    /// [`Error::Fault`] if the store fails.
    pub async fn challenge_answer(
        self: &Arc<Self>,
        account: &Account,
        id: Id,
        challenge: ChallengeType,
        caller: &Caller,
    ) -> Result<Option<Authorization>, Error> {
        let Some(authorization) = self.authorization_of(account, id)? else { return Ok(None) };
        let Some(found) = authorization.challenges.iter().find(|known| known.kind == challenge) else {
            return Ok(None);
        };
        if found.answered.is_some() {
            return Ok(Some(authorization));
        }
        let place = Semaphore::try_acquire_owned(self.checks_queue.clone()).map_err(|_| {
            let refusal = Refusal::new(
                ErrorType::RateLimited,
                "too many challenges wait to be checked: try again soon",
            );
            Refusal { retry_after: Some(std::time::Duration::from_secs(5)), ..refusal }
        })?;
        let open = OpenChallenge { authorization: id, challenge };
        let evidence = ChallengeEvidence { authorization: id, challenge };
        let record = self.record(RecordType::ChallengeAnswered, Some(account.id), Some(caller), &evidence)?;
        let demands = self.check_demands(account, &authorization);
        match self.store.challenge_answer(open, self.clock.now(), record, demands).await? {
            Answered::Check(authorization) => {
                self.check_in_background(authorization.clone(), challenge, place);
                Ok(Some(authorization))
            }
            Answered::Nothing(authorization) => Ok(Some(authorization)),
            Answered::Missing => Ok(None),
            Answered::Limited(limited) => Err(self.limited(limited)),
        }
    }

    /// Takes up the checks that an earlier process left open. To be called once, before anything listens.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn challenges_resume(self: &Arc<Self>) -> Result<usize, Error> {
        let open = self.store.challenges_open(RESUMED_MAX)?;
        let mut resumed = 0;
        for OpenChallenge { authorization, challenge } in open {
            let Some(authorization) = self.store.authorization_by_id(authorization)? else { continue };
            let Ok(place) = Semaphore::try_acquire_owned(self.checks_queue.clone()) else { break };
            self.check_in_background(authorization, challenge, place);
            resumed += 1;
        }
        Ok(resumed)
    }

    fn check_in_background(
        self: &Arc<Self>,
        authorization: Authorization,
        challenge: ChallengeType,
        place: OwnedSemaphorePermit,
    ) {
        let authority = self.clone();
        let work = async move {
            // Closed semaphores belong to a process that ends: the check stays on record for the next one.
            let Ok(_running) = authority.checks.acquire().await else { return };
            if let Err(error) = authority.check(&authorization, challenge).await {
                tracing::error!(
                    authorization = %authorization.id,
                    error = &error as &dyn std::error::Error,
                    "the end of a check could not be recorded: it is checked again after the next start"
                );
            }
            drop(place);
        };
        tokio::spawn(work.in_current_span());
    }

    async fn check(&self, authorization: &Authorization, kind: ChallengeType) -> Result<(), Error> {
        let Some(account) = self.store.account_by_id(authorization.account)? else { return Ok(()) };
        let Some(challenge) = authorization.challenges.iter().find(|challenge| challenge.kind == kind) else {
            return Ok(());
        };
        let key_authorization = key_authorization(challenge, &account);
        let attempt = Attempt {
            host: authorization.host.clone(),
            beyond_the_name: authorization.wildcard || authorization.subdomains,
            challenge: kind,
            token: challenge.token.clone(),
            key_authorization: key_authorization.clone(),
            account_uri: self.account_uri(account.id),
            account_hash_prefix: self.policy().account_hash_prefix.clone(),
            thumbprints: thumbprints(&account),
        };
        let looking = self.validation.validate(attempt);
        let outcome = looking.instrument(debug_span!("validation", doing = kind.name())).await;
        let (mut caa, mut until) = (None, None);
        let result = match outcome.result {
            Err(failure) => Err(failure),
            Ok(validated) => {
                until = validated.until();
                let identifier = authorization.identifier();
                match self.caa_query(&identifier, validated.challenge(), account.id) {
                    None => Ok(()),
                    Some(query) => {
                        let asking = self.validation.check_caa(query);
                        let asked = asking.instrument(debug_span!("validation", doing = "caa")).await;
                        caa = Some(CaaEvidence { seen: asked.evidence, corroboration: asked.corroboration });
                        asked.result.map(|_| ())
                    }
                }
            }
        };
        let verdict = match result {
            Ok(()) => Verdict::Valid,
            Err(failure) => Verdict::Invalid(Failure { error: failure.error, detail: failure.detail }),
        };
        let failure = match &verdict {
            Verdict::Valid => None,
            Verdict::Invalid(failure) => Some(failure),
        };
        if let Some(failure) = failure {
            let (error, challenge) = (failure.error.name(), kind.name());
            tracing::info!(authorization = %authorization.id, challenge, error, "a challenge failed");
        }
        let evidence = ValidationEvidence {
            authorization: authorization.id,
            account: account.id,
            identifier: authorization.identifier().to_string(),
            challenge: kind,
            key_authorization: &key_authorization,
            seen: &outcome.evidence,
            corroboration: outcome.corroboration.as_ref(),
            caa: caa.as_ref(),
            failure,
        };
        let record = self.record(RecordType::ValidationFinished, Some(account.id), None, &evidence)?;
        let validation_record = RawValue::from_string(outcome.evidence.validation_record().to_string())
            .unwrap_or_else(|_| RawValue::NULL.to_owned());
        let finished = Finished {
            at: self.clock.now(),
            verdict,
            validation_record,
            until,
            quorum: outcome.corroboration.as_ref().map(|corroboration| corroboration.quorum),
            record: Some(record.id),
        };
        let open = OpenChallenge { authorization: authorization.id, challenge: kind };
        self.store.challenge_finish(open, finished, record, self.policy().rate_limits.pauses).await?;
        Ok(())
    }

    /// What CAA is to be asked about an identifier; nothing about an address, which has no CAA (RFC 8738, section 7).
    pub(crate) fn caa_query(
        &self,
        identifier: &Identifier,
        challenge: ChallengeType,
        account: Id,
    ) -> Option<CaaQuery> {
        let name = identifier.name()?.clone();
        let account_uri = self.account_uri(account);
        Some(CaaQuery { name, wildcard: identifier.is_wildcard(), challenge, account_uri })
    }

    /// An account's URL, as records in the DNS name it.
    fn account_uri(&self, account: Id) -> String {
        format!("{}{account}", self.policy().account_url_prefix)
    }
}

/// The thumbprints of all keys of an account, the one in force first, then the newest.
fn thumbprints(account: &Account) -> Vec<String> {
    let now = base64url(&account.key.thumbprint());
    std::iter::once(now).chain(account.earlier_keys.iter().rev().cloned()).collect()
}

/// Token, dot, thumbprint of the account's key as it is now (RFC 8555, section 8.1).
fn key_authorization(challenge: &Challenge, account: &Account) -> String {
    format!("{}.{}", challenge.token, base64url(&account.key.thumbprint()))
}
