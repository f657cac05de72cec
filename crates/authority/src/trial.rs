//! Trials: would this name validate now? Looked at as a challenge is, from every perspective, with CAA, and counting for
//! nothing: no order, no authorization, no report to whoever wrote the CAA records.
//!
//! A trial knocks at doors that its requester names, so accounts have a limit of their own for it, and it takes one of the
//! places that checks of challenges have.

use std::time::Duration;

use ingam_protocol::Id;
use ingam_protocol::acme::{Account, ChallengeType, ErrorType, Failure, ValidationTrial};
use ingam_protocol::bytes::base64url;
use ingam_protocol::corroboration::Quorum;
use ingam_protocol::identifier::Identifier;
use ingam_protocol::record::{Record, RecordType};
use ingam_store::Demand;
use ingam_validation::{Attempt, Corroboration};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tracing::{Instrument, debug_span};

use crate::Authority;
use crate::admission::check_account;
use crate::challenge::thumbprints;
use crate::error::{Error, Refusal};
use crate::evidence::Caller;

/// The fewest characters of a token: 128 bits in base64url (RFC 8555, section 8.1).
const TOKEN_MIN: usize = 22;

/// What was seen, and what was looked for.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What control was looked at of.
    pub identifier: Identifier,
    /// By which challenge.
    pub challenge: ChallengeType,
    /// The token that was looked for.
    pub token: String,
    /// Token, dot, thumbprint of the account's key (RFC 8555, section 8.1).
    pub key_authorization: String,
    /// Whether control was seen.
    pub control: Look,
    /// Whether CAA permits; none for an address, which has no CAA.
    pub caa: Option<Look>,
    /// What a challenge's `validationRecord` would be.
    pub validation_record: Value,
}

impl Trial {
    /// Whether a challenge would have been valid.
    pub fn would_validate(&self) -> bool {
        let looks = std::iter::once(&self.control).chain(&self.caa);
        looks.into_iter().all(|look| look.failure.is_none())
    }
}

/// What looking at something from everywhere came to.
#[derive(Clone, Debug)]
pub struct Look {
    /// Why it does not count, if it does not.
    pub failure: Option<Failure>,
    /// How many remote perspectives agreed, if there are any.
    pub quorum: Option<Quorum>,
    /// Each remote perspective by its name, and why it does not agree, if it does not.
    pub remotes: Vec<(String, Option<Failure>)>,
}

impl Look {
    fn new<T>(result: Result<T, ingam_validation::Failure>, corroboration: Option<Corroboration>) -> Self {
        let told =
            |failure: ingam_validation::Failure| Failure { error: failure.error, detail: failure.detail };
        let quorum = corroboration.as_ref().map(|corroboration| corroboration.quorum);
        let answers = corroboration.into_iter().flat_map(|corroboration| corroboration.answers);
        let remotes = answers.map(|answer| (answer.perspective, answer.failure.map(told))).collect();
        Self { failure: result.err().map(told), quorum, remotes }
    }
}

#[derive(Serialize)]
struct TrialEvidence<'a> {
    account: Id,
    identifier: String,
    challenge: ChallengeType,
    token: &'a str,
}

/// Something that may be tried, and how.
pub(crate) struct Try {
    account: Id,
    identifier: Identifier,
    attempt: Attempt,
    /// Whether it would be for a certificate for the public.
    is_public: bool,
}

impl Authority {
    /// A trial by an account's holder, within the account's limit.
    ///
    /// # Errors
    /// Refusals: as newOrder for the identifier and the profile; `malformed` for a challenge or a token that does not fit;
    /// `rateLimited`. [`Error::Fault`] if the store fails.
    pub async fn validation_try(
        &self,
        account: &Account,
        wish: ValidationTrial,
        caller: &Caller,
    ) -> Result<Trial, Error> {
        let wanted = self.try_wished(account, wish)?;
        let demands = self.policy().rate_limits.of_trial(account.id);
        let record = self.try_record(&wanted, Some(caller))?;
        self.try_now(wanted, demands, vec![record]).await
    }

    /// Looks, once limits and records are dealt with.
    pub(crate) async fn try_now(
        &self,
        wanted: Try,
        demands: Vec<Demand>,
        records: Vec<Record>,
    ) -> Result<Trial, Error> {
        let _place = Semaphore::try_acquire(&self.checks_queue).map_err(|_| busy())?;
        if let Err(limited) = self.store.limits_spend(demands, self.clock.now(), records).await? {
            return Err(self.limited(limited));
        }
        let _running = self.checks.acquire().await.map_err(|_| busy())?;
        let Try { account, identifier, attempt, is_public } = wanted;
        let Attempt { challenge, token, key_authorization, .. } = attempt.clone();
        let looking =
            self.validation.validate(attempt).instrument(debug_span!("validation", doing = "trial"));
        let control = looking.await;
        let caa = match self.caa_query(&identifier, challenge, account) {
            None => None,
            Some(query) => {
                let asking = self.validation.check_caa(query);
                Some(asking.instrument(debug_span!("validation", doing = "caa")).await)
            }
        };
        Ok(Trial {
            identifier,
            challenge,
            token,
            key_authorization,
            validation_record: control.evidence.validation_record(),
            control: self.for_whom(is_public, Look::new(control.result, control.corroboration)),
            caa: caa.map(|caa| self.for_whom(is_public, Look::new(caa.result, caa.corroboration))),
        })
    }

    /// A look, and that it does not count for the public if too few saw the same.
    fn for_whom(&self, is_public: bool, mut look: Look) -> Look {
        if look.failure.is_none() {
            let lack = self.corroboration_lack(is_public, look.quorum, self.clock.now());
            look.failure = lack.map(|detail| Failure { error: ErrorType::ServerInternal, detail });
        }
        look
    }

    /// What is to be tried, if an order could be for it.
    pub(crate) fn try_wished(&self, account: &Account, wish: ValidationTrial) -> Result<Try, Error> {
        let key = self.key_in_force(account)?;
        let profile = self.profile_wished(wish.profile.as_deref(), key.as_ref())?;
        check_account(&profile, account)?;
        self.refuse_alone(profile.is_public, self.clock.now())?;
        let [wanted] = self
            .identifiers_wanted(&[wish.identifier], &profile, key.as_ref())?
            .try_into()
            .map_err(|_| Error::refusal(ErrorType::Malformed, "a trial takes one identifier"))?;
        let identifier = wanted.identifier;
        let host = identifier.host();
        let challenge = ChallengeType::from_name(&wish.challenge).ok_or_else(|| {
            let names: Vec<&str> = ChallengeType::ALL.iter().map(|kind| kind.name()).collect();
            let why = format!("there is no such challenge: use one of {}", names.join(", "));
            Error::refusal(ErrorType::Malformed, why)
        })?;
        if !profile.challenges.contains(&challenge) || !challenge.fits(&host, identifier.is_wildcard()) {
            let fitting = profile.challenges.iter().filter(|kind| kind.fits(&host, identifier.is_wildcard()));
            let names: Vec<&str> = fitting.map(|kind| kind.name()).collect();
            let why = match names.as_slice() {
                [] => format!("the profile \"{}\" has no challenge for {identifier}", profile.name),
                names => format!(
                    "{challenge} cannot show control of {identifier}: use one of {}",
                    names.join(", ")
                ),
            };
            return Err(Error::refusal(ErrorType::Malformed, why));
        }
        let token = match wish.token {
            Some(token) => checked_token(token)?,
            None => usual_token(account.id, &identifier),
        };
        let thumbprints = thumbprints(account);
        let own = thumbprints.first().map_or("", String::as_str);
        let attempt = Attempt {
            host,
            beyond_the_name: identifier.is_wildcard(),
            challenge,
            key_authorization: format!("{token}.{own}"),
            token,
            account_uri: self.account_uri(account.id),
            account_hash_prefix: self.policy().account_hash_prefix.clone(),
            thumbprints,
        };
        Ok(Try { account: account.id, identifier, attempt, is_public: profile.is_public })
    }

    /// The record of a trial, made before it is looked.
    pub(crate) fn try_record(&self, wanted: &Try, caller: Option<&Caller>) -> Result<Record, Error> {
        let evidence = TrialEvidence {
            account: wanted.account,
            identifier: wanted.identifier.to_string(),
            challenge: wanted.attempt.challenge,
            token: &wanted.attempt.token,
        };
        self.record(RecordType::ValidationTried, Some(wanted.account), caller, &evidence)
    }
}

fn busy() -> Error {
    let refusal =
        Refusal::new(ErrorType::RateLimited, "too many challenges wait to be checked: try again soon");
    Refusal { retry_after: Some(Duration::from_secs(5)), ..refusal }.into()
}

fn checked_token(token: String) -> Result<String, Error> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (TOKEN_MIN..=128).contains(&token.len()) && token.bytes().all(is_token) {
        return Ok(token);
    }
    let why =
        "\"token\" has to be base64url without padding, 22 to 128 characters: that of a challenge, or none";
    Err(Error::refusal(ErrorType::Malformed, why))
}

/// A token that is the same each time, so that an answer can be put in place and tried again. It opens nothing, as a trial
/// counts for nothing.
fn usual_token(account: Id, identifier: &Identifier) -> String {
    let named = format!("trial of {identifier} by {account}");
    base64url(digest(&SHA256, named.as_bytes()).as_ref())
}
