//! What certificates for the public have to keep to by the clock: a rule that comes into force on a day comes into force in
//! a running process. The rules themselves are data ([`ingam_protocol::baseline`]).
//!
//! Nothing is cut to what is allowed: what would break a rule is refused, to the client as our failure that may pass, and in
//! the log with what the operator has to do.

use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::acme::{Challenge, ChallengeType, ErrorType, Order};
use ingam_protocol::baseline::{
    CERTIFICATE_VALIDITY, OTHER_PURPOSES, PERSISTENT_REUSE, REGISTRIES, REMOTES, Rule, VALIDATION_REUSE,
};
use ingam_protocol::corroboration::Quorum;
use ingam_protocol::profile::{Profile, Purpose};

use crate::Authority;
use crate::admission::Dates;
use crate::error::{Error, Refusal};

/// What to tell clients when to come back: only an operator can help.
const RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Which of the rules with dates are held for profiles that are for the public.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublicRules {
    /// How long certificates are valid, and how long shown control is used again.
    pub lengths: bool,
    /// From how many places the network is looked at, and what there is for it; with none, one place is enough.
    pub corroboration: Option<Remotes>,
}

/// The remote network perspectives that are configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remotes {
    /// How many.
    pub count: u8,
    /// In how many registries' regions they lie.
    pub registries: u8,
}

impl Remotes {
    /// What the rules of that time ask for and these do not have, in words; nothing if they have it all.
    pub fn lack(self, at: Timestamp) -> Option<String> {
        less(self.count, &REMOTES, at)
            .map(|(least, since)| {
                format!("{} remote perspectives are configured, {least} {since}", self.count)
            })
            .or_else(|| {
                less(self.registries, &REGISTRIES, at).map(|(least, since)| {
                    format!("they lie in {} registries' regions, {least} {since}", self.registries)
                })
            })
    }
}

/// The number that is asked for at that time, and since when, if there are fewer.
fn less(count: u8, rule: &Rule, at: Timestamp) -> Option<(u8, String)> {
    let dated = rule.at(at).filter(|dated| count < dated.value.least())?;
    Some((dated.value.least(), format!("are needed since {} ({})", dated.day(), rule.source)))
}

/// What the rules of that time ask of a quorum and this one does not have, in words; nothing if it has it all.
fn quorum_lack(quorum: Option<Quorum>, at: Timestamp) -> Option<String> {
    let quorum = quorum.unwrap_or_default();
    let registries = REGISTRIES.least_at(at);
    if let Some((least, since)) = less(quorum.remotes, &REMOTES, at) {
        return Some(format!("{} remote perspectives looked, {least} {since}", quorum.remotes));
    }
    if quorum.stands(registries) {
        return None;
    }
    Some(format!(
        "{quorum} remote perspectives agree, in {} registries' regions: at most {} of them may fail, and {registries} regions \
         are needed ({})",
        quorum.registries,
        Quorum::failures_allowed(quorum.remotes),
        REMOTES.source,
    ))
}

impl Authority {
    /// Whether orders of this profile, which last as wished, can come to a certificate at all as of now.
    ///
    /// # Errors
    /// A refusal as `serverInternal`.
    pub(crate) fn refuse_unfit(&self, profile: &Profile, dates: Dates, now: Timestamp) -> Result<(), Error> {
        self.refuse_alone(profile.is_public, now)?;
        self.refuse_purposes(profile, now)?;
        let from = dates.not_before.unwrap_or_else(|| now.minus(profile.backdate)).whole_second();
        let length = dates.not_after.map_or(profile.validity, |last| length(from, last));
        self.refuse_length(profile, length, now)
    }

    /// Whether enough places are there to look from, for the public.
    ///
    /// # Errors
    /// A refusal as `serverInternal`.
    pub(crate) fn refuse_alone(&self, is_public: bool, now: Timestamp) -> Result<(), Error> {
        let asked = self.policy().public_rules.corroboration.filter(|_| is_public);
        let Some(lack) = asked.and_then(|remotes| remotes.lack(now)) else { return Ok(()) };
        tracing::error!(
            lack,
            "certificates for the public are refused: add perspectives to validation.remotes, or set public = false"
        );
        Err(ours(format!("this CA cannot issue certificates for the public at the moment: {lack}")))
    }

    /// Whether the profile's certificates may be for what they are for if they are signed now.
    ///
    /// # Errors
    /// A refusal as `serverInternal`.
    pub(crate) fn refuse_purposes(&self, profile: &Profile, now: Timestamp) -> Result<(), Error> {
        let is_held = profile.is_public && self.policy().public_rules.lengths;
        let Some(dated) = OTHER_PURPOSES.at(now).filter(|_| is_held) else { return Ok(()) };
        let Some(other) = profile.contents.purposes.iter().find(|one| **one != Purpose::ServerAuth) else {
            return Ok(());
        };
        let (since, source) = (dated.day(), OTHER_PURPOSES.source);
        tracing::error!(
            profile = %profile.name,
            "certificates for {other} are forbidden for the public since {since} ({source}): take it out of extended_key_usages"
        );
        let name = &profile.name;
        Err(ours(format!(
            "this CA cannot issue certificates of the profile \"{name}\" at the moment: they are for {other}, which is forbidden \
             since {since} ({source})"
        )))
    }

    /// Whether a certificate of the profile may be valid for so long if it is signed now.
    ///
    /// # Errors
    /// A refusal as `serverInternal`.
    pub(crate) fn refuse_length(
        &self,
        profile: &Profile,
        length: Duration,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !self.is_too_long(profile, length, now) {
            return Ok(());
        }
        let (rule, profile) = (&CERTIFICATE_VALIDITY, &profile.name);
        let (limit, since) = rule
            .at(now)
            .map_or((String::new(), String::new()), |dated| (dated.value.to_string(), dated.day()));
        let (source, length_s) = (rule.source, length.as_secs());
        tracing::error!(
            %profile, length_s, limit, since, source,
            "certificates of a profile for the public are refused: set its validity_s to what is allowed"
        );
        Err(ours(format!(
            "a certificate of the profile \"{profile}\" would be valid for {length_s} seconds, which is not allowed any \
             more: {limit} since {since} ({source}); the CA's operators have to change the profile, then make a new order"
        )))
    }

    /// Whether the rules of the day do not allow a certificate of the profile to be valid for so long.
    pub(crate) fn is_too_long(&self, profile: &Profile, length: Duration, now: Timestamp) -> bool {
        profile.is_public
            && self.policy().public_rules.lengths
            && CERTIFICATE_VALIDITY.longest_at(now).is_some_and(|longest| longest < length)
    }

    /// Why what was seen at `at` with this quorum does not count for the public; nothing if it does.
    pub(crate) fn corroboration_lack(
        &self,
        is_public: bool,
        quorum: Option<Quorum>,
        at: Timestamp,
    ) -> Option<String> {
        let is_asked = is_public && self.policy().public_rules.corroboration.is_some();
        is_asked.then(|| quorum_lack(quorum, at)).flatten()
    }

    /// Until when a challenge counts that succeeded, for certificates of this profile; nothing if it never does.
    pub(crate) fn shown_until(&self, shown: &Challenge, profile: &Profile) -> Option<Timestamp> {
        let finished = shown.finished.as_ref()?;
        if self.corroboration_lack(profile.is_public, finished.quorum, finished.at).is_some() {
            return None;
        }
        let until = finished.at.plus(profile.valid_authorization_lifetime);
        if !(profile.is_public && self.policy().public_rules.lengths) {
            return Some(until);
        }
        let persistent = (shown.kind == ChallengeType::DnsPersist01).then_some(&PERSISTENT_REUSE);
        let rules = std::iter::once(&VALIDATION_REUSE).chain(persistent);
        Some(rules.filter_map(|rule| rule.ends(finished.at)).fold(until, Timestamp::min))
    }

    /// CAA was looked at for this order from too few places to count.
    pub(crate) fn caa_alone(order: &Order, lack: &str) -> Refusal {
        tracing::error!(order = %order.id, lack, "CAA was seen by too few perspectives for a certificate for the public");
        passing(format!("CAA cannot be relied on: {lack}; finalize again later"))
    }
}

/// From the first second to the last, both of which count (RFC 5280, section 4.1.2.5).
pub(crate) fn length(first: Timestamp, last: Timestamp) -> Duration {
    last.since(first) + Duration::from_secs(1)
}

fn ours(detail: String) -> Error {
    passing(detail).into()
}

/// The client did nothing wrong, and may come back.
fn passing(detail: String) -> Refusal {
    let refusal = Refusal::new(ErrorType::ServerInternal, detail);
    Refusal { retry_after: Some(RETRY_AFTER), ..refusal }
}
