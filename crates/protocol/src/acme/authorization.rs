//! Authorizations and their challenges (RFC 8555, sections 7.1.4 and 7.1.5).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ChallengeType, ErrorType, Failure};
use crate::corroboration::Quorum;
use crate::id::Id;
use crate::identifier::{Host, Identifier};
use crate::time::Timestamp;

/// An account's right to a name or an address, shown or still to be shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authorization {
    /// Its name; part of its URL.
    pub id: Id,
    /// Whose right it is.
    pub account: Id,
    /// What it is a right to; of a wildcard, the base name.
    #[serde(rename = "name")]
    pub host: Host,
    /// Whether it is for the names one label below.
    #[serde(default)]
    pub wildcard: bool,
    /// Whether it is for all names below, too: `subdomainAuthAllowed` of RFC 9444, section 4.
    #[serde(default, skip_serializing_if = "is_false")]
    pub subdomains: bool,
    /// Whether it was made for certificates that the public is to trust.
    #[serde(default, skip_serializing_if = "is_false")]
    pub public: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Until when its challenges can be answered.
    pub pending_until: Timestamp,
    /// How long it is valid once a challenge is, in milliseconds.
    pub valid_for_ms: u64,
    /// The ways to show control; one is enough.
    pub challenges: Vec<Challenge>,
    /// When its holder gave it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivated: Option<Timestamp>,
}

/// The states of an authorization (RFC 8555, section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// No challenge has been checked yet.
    Pending,
    /// A challenge succeeded.
    Valid,
    /// A challenge failed, or none was answered in time.
    Invalid,
    /// Given up by its holder.
    Deactivated,
    /// Was valid, and its time is over.
    Expired,
}

/// One way to show control.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// Which way.
    #[serde(rename = "type")]
    pub kind: ChallengeType,
    /// 128 unpredictable bits and more, base64url (RFC 8555, section 8.1).
    pub token: String,
    /// When the client said that its answer is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Timestamp>,
    /// What came of checking it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Finished>,
}

/// What came of checking a challenge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// When.
    pub at: Timestamp,
    /// What.
    pub verdict: Verdict,
    /// The `validationRecord` that clients see: a JSON array.
    pub validation_record: Box<RawValue>,
    /// Until when its owner lets it be relied on (`persistUntil` of dns-persist-01).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many remote perspectives agreed; none if only one perspective looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    /// The record of everything that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Id>,
}

/// Whether control was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was.
    Valid,
    /// It was not.
    Invalid(Failure),
}

impl Verdict {
    /// Whether it tells nothing of the client, as something failed here.
    pub fn is_our_failure(&self) -> bool {
        matches!(self, Self::Invalid(Failure { error: ErrorType::ServerInternal, .. }))
    }
}

/// The states of a challenge (RFC 8555, section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeStatus {
    /// Not answered yet.
    Pending,
    /// Answered, being checked.
    Processing,
    /// Control was shown.
    Valid,
    /// Control was not shown.
    Invalid,
}

impl Challenge {
    /// Its status.
    pub fn status(&self) -> ChallengeStatus {
        match (&self.finished, self.answered) {
            (Some(Finished { verdict: Verdict::Valid, .. }), _) => ChallengeStatus::Valid,
            (Some(_), _) => ChallengeStatus::Invalid,
            (None, Some(_)) => ChallengeStatus::Processing,
            (None, None) => ChallengeStatus::Pending,
        }
    }
}

impl Authorization {
    /// Its status at `now`:
    ///
    /// ```text
    /// pending ──challenge valid──▶ valid ──time over──▶ expired
    ///    │  └──challenge failed, or time over──▶ invalid
    ///    └──────given up──▶ deactivated ◀──given up── valid
    /// ```
    pub fn status(&self, now: Timestamp) -> AuthorizationStatus {
        if self.deactivated.is_some() {
            return AuthorizationStatus::Deactivated;
        }
        if let Some(until) = self.valid_until() {
            return if now < until { AuthorizationStatus::Valid } else { AuthorizationStatus::Expired };
        }
        if self.challenges.iter().any(|challenge| challenge.status() == ChallengeStatus::Invalid) {
            return AuthorizationStatus::Invalid;
        }
        let processing =
            self.challenges.iter().any(|challenge| challenge.status() == ChallengeStatus::Processing);
        // A challenge answered in time is checked to its end, which its own time limit bounds.
        if now < self.pending_until || processing {
            AuthorizationStatus::Pending
        } else {
            AuthorizationStatus::Invalid
        }
    }

    /// Until when it is valid, if a challenge succeeded.
    pub fn valid_until(&self) -> Option<Timestamp> {
        let lifetime = std::time::Duration::from_millis(self.valid_for_ms);
        let finished = self.challenges.iter().filter_map(|challenge| challenge.finished.as_ref());
        finished
            .filter(|finished| finished.verdict == Verdict::Valid)
            .map(|finished| {
                let end = finished.at.plus(lifetime);
                finished.until.map_or(end, |until| end.min(until))
            })
            .min()
    }

    /// What `expires` shows (RFC 8555, section 7.1.4).
    pub fn expires(&self) -> Timestamp {
        self.valid_until().unwrap_or(self.pending_until)
    }

    /// The challenge that succeeded.
    pub fn valid_challenge(&self) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.status() == ChallengeStatus::Valid)
    }

    /// What it is for; with `subdomains`, the topmost of what it is for.
    pub fn identifier(&self) -> Identifier {
        match &self.host {
            Host::Name(name) if self.wildcard => Identifier::Wildcard(name.clone()),
            Host::Name(name) => Identifier::Dns(name.clone()),
            Host::Address(address) => Identifier::Ip(*address),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identifier::DnsName;
    use crate::time::SeededRandom;

    const START: u64 = 1_795_255_200;

    fn authorization() -> Authorization {
        let now = Timestamp::from_unix_s(START);
        let challenge = |kind| Challenge { kind, token: "token".to_owned(), answered: None, finished: None };
        Authorization {
            id: Id::new(now, &SeededRandom::new(1)),
            account: Id::new(now, &SeededRandom::new(2)),
            host: DnsName::parse("example.org").unwrap().into(),
            wildcard: false,
            subdomains: false,
            public: false,
            created: now,
            pending_until: now.plus(Duration::from_secs(100)),
            valid_for_ms: 1_000_000,
            challenges: vec![challenge(ChallengeType::Http01), challenge(ChallengeType::Dns01)],
            deactivated: None,
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_s(START + seconds)
    }

    fn finish(verdict: Verdict) -> Finished {
        let validation_record = RawValue::from_string("[]".to_owned()).unwrap();
        Finished { at: at(50), verdict, validation_record, until: None, quorum: None, record: None }
    }

    #[test]
    fn time_alone_ends_a_pending_one_unless_it_is_being_checked() {
        let mut authorization = authorization();
        assert_eq!(authorization.status(at(99)), AuthorizationStatus::Pending);
        assert_eq!(authorization.status(at(100)), AuthorizationStatus::Invalid);
        authorization.challenges[0].answered = Some(at(99));
        assert_eq!(authorization.status(at(100)), AuthorizationStatus::Pending);
    }

    #[test]
    fn one_valid_challenge_is_enough_until_its_time_is_over() {
        let mut authorization = authorization();
        authorization.challenges[1].finished = Some(finish(Verdict::Valid));
        assert_eq!(authorization.status(at(1049)), AuthorizationStatus::Valid);
        assert_eq!(authorization.expires(), at(1050));
        assert_eq!(authorization.status(at(1050)), AuthorizationStatus::Expired);
        authorization.deactivated = Some(at(60));
        assert_eq!(authorization.status(at(61)), AuthorizationStatus::Deactivated);
    }

    #[test]
    fn its_owner_may_let_it_end_sooner() {
        for (until, end) in [(at(60), at(60)), (at(2000), at(1050))] {
            let mut authorization = authorization();
            authorization.challenges[1].finished =
                Some(Finished { until: Some(until), ..finish(Verdict::Valid) });
            assert_eq!(authorization.expires(), end);
            assert_eq!(authorization.status(end), AuthorizationStatus::Expired);
        }
    }

    #[test]
    fn one_failed_challenge_ends_it() {
        let mut authorization = authorization();
        let failure = Failure { error: ErrorType::Dns, detail: "no TXT record".to_owned() };
        authorization.challenges[0].finished = Some(finish(Verdict::Invalid(failure)));
        assert_eq!(authorization.status(at(51)), AuthorizationStatus::Invalid);
    }
}
