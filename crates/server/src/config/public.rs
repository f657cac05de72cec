//! What profiles for the public do not keep of the rules with dates, as of a moment or within a year of it.

use std::collections::BTreeSet;
use std::time::Duration;

use ingam_authority::{PublicRules, Remotes};
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::baseline::{
    CERTIFICATE_VALIDITY, DNSSEC, Dated, OTHER_PURPOSES, PERSISTENT_REUSE, REGISTRIES, REMOTES, Rule,
    RuleValue, VALIDATION_REUSE,
};
use ingam_protocol::finding::dotted;
use ingam_protocol::profile::{CommonName, Purpose, Transparency};
use ingam_protocol::{Findings, Timestamp};
use ingam_validation::Dnssec;

use super::{Config, DAY_S, Environment, ProfileConfig};

/// How long before a rule comes into force it is told.
const NOTICE: Duration = Duration::from_secs(365 * DAY_S);

/// Holds all public profiles, and what all of them stand on, against the rules.
pub(crate) fn check(config: &Config, now: Timestamp, found: &mut Findings) {
    let told = match config.environment {
        Environment::Production => Told::Errors,
        _ => Told::Warnings,
    };
    let mut check = Check { told, now, found };
    let mut is_any_public = false;
    for (name, profile) in config.profiles.iter().filter(|(_, profile)| profile.public) {
        is_any_public = true;
        check.profile(name, profile);
        check.contents(name, profile);
    }
    if is_any_public {
        check.remotes(config.remotes());
        check.dnssec(config.dnssec_may_be_off());
    }
}

/// What private profiles do not keep of the rules for the public, and need not.
pub(crate) fn differences(config: &Config, now: Timestamp, found: &mut Findings) {
    let mut check = Check { told: Told::Notes, now, found };
    for (name, profile) in config.profiles.iter().filter(|(_, profile)| !profile.public) {
        check.profile(name, profile);
    }
}

/// What becomes of a rule that is broken by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Errors,
    Warnings,
    /// Of one that is to come, too.
    Notes,
}

struct Check<'a> {
    told: Told,
    now: Timestamp,
    found: &'a mut Findings,
}

impl Check<'_> {
    /// What a profile alone can break.
    fn profile(&mut self, name: &str, profile: &ProfileConfig) {
        let key = |key: &str| format!("{}.{key}", dotted("profiles", name));
        self.length(key("validity_s"), profile.validity_s, "be valid", &CERTIFICATE_VALIDITY);
        let (reuse, key) = (profile.valid_authorization_lifetime_s, key("valid_authorization_lifetime_s"));
        self.length(key.clone(), reuse, "rest on a validation", &VALIDATION_REUSE);
        if profile.challenges.contains(&ChallengeType::DnsPersist01) {
            let what = "rest on a validation by dns-persist-01, which the profile offers,";
            self.length(key, reuse, what, &PERSISTENT_REUSE);
        }
        self.purposes(name, &profile.extended_key_usages);
    }

    /// A length that is not allowed.
    fn length(&mut self, key: String, length_s: u64, what: &str, rule: &Rule) {
        let length = Duration::from_secs(length_s);
        let is_broken = |value: RuleValue| value.longest().is_some_and(|longest| longest < length);
        let (broken, source) = (self.broken(rule, is_broken), rule.source);
        let Some(longest) = broken.last().and_then(|dated| dated.value.longest()) else { return };
        let reason = format!(
            "is {length_s}: a certificate for the public may {what} for {} ({source})",
            self.values(&broken)
        );
        let fix =
            format!("set it to {} at most; the CA of a private network may leave it", longest.as_secs());
        self.tell(&broken, key, reason, fix);
    }

    /// Purposes that certificates for the public lose. Which there are at all is for the rules of a start.
    fn purposes(&mut self, profile: &str, purposes: &[String]) {
        let is_other =
            |text: &&String| text.parse::<Purpose>().is_ok_and(|purpose| purpose != Purpose::ServerAuth);
        let Some(other) = purposes.iter().find(is_other) else { return };
        let broken = self.broken(&OTHER_PURPOSES, |value| value == RuleValue::Forbidden);
        if broken.is_empty() {
            return;
        }
        let reason = format!(
            "has {other:?}, and for the public every purpose beside \"server-auth\" is {} ({})",
            self.values(&broken),
            OTHER_PURPOSES.source
        );
        let key = format!("{}.extended_key_usages", dotted("profiles", profile));
        let fix = "take it out, and issue to clients from a private CA".to_owned();
        self.tell(&broken, key, reason, fix);
    }

    /// What is allowed, and not recommended.
    fn contents(&mut self, name: &str, profile: &ProfileConfig) {
        let key = |key: &str| format!("{}.{key}", dotted("profiles", name));
        if profile.common_name != CommonName::None {
            let reason =
                "puts a name into the subject, too, which is not recommended for the public (BR 7.1.2.7.2)";
            self.found.warning(key("common_name"), reason, "set it to \"none\"");
        }
        if !profile.issuer_pointer {
            let reason =
                "is false: certificates for the public should say where their issuer's is (BR 7.1.2.7.7)";
            self.found.warning(key("issuer_pointer"), reason, "set it to true");
        }
        let is_logged = profile.transparency(Environment::Production) == Transparency::Required;
        if self.told == Told::Errors && !is_logged {
            let reason =
                "is \"none\": without SCTs, browsers trust no certificate for the public (Chrome CT policy)";
            self.found.warning(key("transparency"), reason, "set it to \"required\"");
        }
    }

    /// Too few places to look from.
    fn remotes(&mut self, remotes: Remotes) {
        for (count, rule, what, fix) in [
            (
                remotes.count,
                &REMOTES,
                "remote network perspectives",
                "run perspectives in other networks, and name them there; or set public = false for a private CA",
            ),
            (
                remotes.registries,
                &REGISTRIES,
                "regional Internet registries' regions",
                "add perspectives that lie in other regions, or set the registry of each",
            ),
        ] {
            let broken = self.broken(rule, |value| count < value.least());
            if broken.is_empty() {
                continue;
            }
            let reason = format!(
                "has {count} {what}, and certificates for the public need {} ({})",
                self.values(&broken),
                rule.source
            );
            let alone = match remotes.count {
                0 => {
                    "; until there is one, a single perspective looks, and whoever deceives it gets certificates"
                }
                _ => "",
            };
            self.tell(&broken, "validation.remotes".to_owned(), reason + alone, fix.to_owned());
            // One mistake, one finding: where there are too few, they lie in too few regions, too.
            break;
        }
    }

    /// Answers of the DNS that nothing proves.
    fn dnssec(&mut self, may_be_off: bool) {
        let broken = self.broken(&DNSSEC, |value| may_be_off && value == RuleValue::Asked);
        if broken.is_empty() {
            return;
        }
        let (values, source) = (self.values(&broken), DNSSEC.source);
        let reason = format!(
            "is not \"validate\", and for the public the validation of DNSSEC is {values} ({source})"
        );
        let fix = "use \"validate\", or set public = false for a private CA".to_owned();
        self.tell(&broken, "validation.dnssec".to_owned(), reason, fix);
    }

    fn broken(&self, rule: &Rule, is_broken: impl Fn(RuleValue) -> bool) -> Vec<Dated> {
        rule.broken(self.now, self.now.plus(NOTICE), is_broken)
    }

    /// What is asked, and since when or from when on: `at most 200 days since 2026-03-15, at most 100 days from 2027-03-15`.
    fn values(&self, dated: &[Dated]) -> String {
        let one = |dated: &Dated| match dated.from {
            None => dated.value.to_string(),
            Some(from) if from <= self.now => format!("{} since {}", dated.value, dated.day()),
            Some(_) => format!("{} from {} on", dated.value, dated.day()),
        };
        dated.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// In production, what is broken by now is an error.
    fn tell(&mut self, broken: &[Dated], key: String, reason: String, fix: String) {
        let is_by_now = broken.first().is_some_and(|dated| dated.from.is_none_or(|from| from <= self.now));
        match self.told {
            Told::Errors if is_by_now => self.found.error(key, reason, fix),
            Told::Errors | Told::Warnings => self.found.warning(key, reason, fix),
            Told::Notes => {
                self.found.note(key, reason, "leave it, unless the public is to trust these certificates")
            }
        }
    }
}

impl Config {
    /// The remote perspectives that are configured.
    pub(crate) fn remotes(&self) -> Remotes {
        let remotes = &self.validation.remotes;
        let regions: BTreeSet<_> = remotes.iter().filter_map(|remote| remote.registry).collect();
        // There are 32 at most.
        let count = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        Remotes { count: count(remotes.len()), registries: count(regions.len()) }
    }

    /// Whether what the DNS answers may be used without DNSSEC's proofs. Tests have networks of their own, without a root.
    pub(crate) fn dnssec_may_be_off(&self) -> bool {
        match self.validation.dnssec {
            Dnssec::Off => true,
            Dnssec::WhenSigned => self.environment == Environment::Production,
            Dnssec::Validate => false,
        }
    }

    /// Which rules with dates are held while the CA runs.
    pub(crate) fn dated_rules(&self) -> PublicRules {
        let is_development = self.environment == Environment::Development;
        let remotes = self.remotes();
        let is_asked = remotes.count > 0 || self.environment == Environment::Production;
        PublicRules {
            lengths: self.issuance.public_rules.unwrap_or(!is_development),
            corroboration: is_asked.then_some(remotes),
        }
    }
}

#[cfg(test)]
mod tests;
