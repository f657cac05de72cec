//! dns-persist-01: a TXT record that stays, and names this CA and the account (draft-ietf-acme-dns-persist-02).
//!
//! The record has no token: whoever may change the zone lets an account in until the record goes. It is looked at anew for
//! each validation. An account may be named by its hashed URI, as the draft says now, or by its URL, as earlier versions of it
//! said and clients do.

use ingam_protocol::Timestamp;

use crate::caa::property::{self, IssueValue};
use crate::dial::Network;
use crate::evidence::Evidence;
use crate::label::BoundTo;
use crate::outcome::{Attempt, Failure};
use crate::quote::quote;
use crate::{dns_01, label};

/// The most records that a failure tells of.
const TOLD_MAX: usize = 3;

/// Gives until when the validation may be relied on, if the record has a `persistUntil`.
pub(crate) async fn validate(
    network: &Network,
    attempt: &Attempt,
    now: Timestamp,
    evidence: &mut Evidence,
) -> Result<Option<Timestamp>, Failure> {
    let wanted = Wanted::new(attempt, &network.config.caa_issuer_domains, now)?;
    let name = label::dns_persist_01(attempt.name()?);
    let advice = format!("add {}", wanted.record());
    let values = dns_01::texts(network, &name, &advice, evidence).await?;
    let mut found: Option<Option<Timestamp>> = None;
    let mut told = Vec::new();
    for value in &values {
        match wanted.permits(value) {
            // Of several the one counts that lasts longest.
            Ok(until) => {
                found = Some(found.map_or(until, |other| until.zip(other).map(|(one, two)| one.max(two))))
            }
            Err(Refusal::OtherIssuer) => {}
            Err(refusal) => told.push(format!("{} {}", quote(value), refusal.words())),
        }
    }
    if let Some(until) = found {
        return Ok(until);
    }
    if told.is_empty() {
        return Err(Failure::unauthorized(format!("DNS: no TXT record at {name} is for this CA: {advice}")));
    }
    let more = match told.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    told.truncate(TOLD_MAX);
    let told = told.join(", ");
    Err(Failure::unauthorized(format!("DNS: no TXT record at {name} permits this: {told}{more}; {advice}")))
}

/// Why a record does not permit.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It names another CA, and is no concern of this one.
    OtherIssuer,
    /// It does not follow the grammar of CAA's `issue` (RFC 8659, section 4.2).
    Malformed,
    /// A parameter that may stand once stands more often.
    Repeated,
    /// It names no account.
    NoAccount,
    /// It names another account, or this one at another domain or with a key that it never had.
    OtherAccount,
    /// It is for the name alone.
    NameAlone,
    /// `persistUntil` is no whole number of seconds.
    BadTime,
    /// `persistUntil` has gone by.
    Ended(Timestamp),
}

impl Refusal {
    fn words(&self) -> String {
        match self {
            Self::OtherIssuer => "is for another CA".to_owned(),
            Self::Malformed => {
                "is malformed (a domain name, then \"; tag=value\" for each parameter, and nothing after the last)"
                    .to_owned()
            }
            Self::Repeated => "has the same parameter twice".to_owned(),
            Self::NoAccount => "has no accounturi".to_owned(),
            Self::OtherAccount => "has an accounturi that is not this account's at this name".to_owned(),
            Self::NameAlone => "is for the name alone, as it has no policy=wildcard".to_owned(),
            Self::BadTime => "has a persistUntil that is no UNIX time in whole seconds".to_owned(),
            Self::Ended(until) => format!("ended at {}", until.to_rfc3339()),
        }
    }
}

/// What a record has to say.
struct Wanted<'a> {
    issuers: &'a [String],
    /// The ways to name the account; the one to recommend first.
    accounts: Vec<String>,
    beyond_the_name: bool,
    now: Timestamp,
}

impl<'a> Wanted<'a> {
    fn new(attempt: &Attempt, issuers: &'a [String], now: Timestamp) -> Result<Self, Failure> {
        let Attempt { account_uri, account_hash_prefix, beyond_the_name, .. } = attempt;
        let domain = attempt.name()?;
        let hashed = |thumbprint: &String| {
            [BoundTo::Domain(domain), BoundTo::Any]
                .map(|bound| label::hashed_account_uri(account_hash_prefix, bound, thumbprint, account_uri))
        };
        let mut accounts: Vec<String> = attempt.thumbprints.iter().flat_map(hashed).collect();
        accounts.push(account_uri.clone());
        Ok(Self { issuers, accounts, beyond_the_name: *beyond_the_name, now })
    }

    /// A record that would do, in quotation marks.
    fn record(&self) -> String {
        let issuer = self.issuers.first().map_or("", String::as_str);
        let account = self.accounts.first().map_or("", String::as_str);
        let policy = if self.beyond_the_name { "; policy=wildcard" } else { "" };
        format!("\"{issuer}; accounturi={account}{policy}\"")
    }

    /// Whether a record's value permits what is asked for; gives its `persistUntil`.
    fn permits(&self, value: &[u8]) -> Result<Option<Timestamp>, Refusal> {
        let parsed = std::str::from_utf8(value).ok().and_then(property::parse).ok_or(Refusal::Malformed)?;
        if !self.issuers.iter().any(|issuer| issuer.eq_ignore_ascii_case(parsed.issuer_domain)) {
            return Err(Refusal::OtherIssuer);
        }
        let account = once(&parsed, "accounturi")?.ok_or(Refusal::NoAccount)?;
        if !self.accounts.iter().any(|known| known == account) {
            return Err(Refusal::OtherAccount);
        }
        let policy = once(&parsed, "policy")?;
        if self.beyond_the_name && !policy.is_some_and(|policy| policy.eq_ignore_ascii_case("wildcard")) {
            return Err(Refusal::NameAlone);
        }
        let Some(until) = once(&parsed, "persistUntil")? else { return Ok(None) };
        let is_number = until.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = until.parse().ok().filter(|_| is_number).ok_or(Refusal::BadTime)?;
        let until = Timestamp::from_unix_s(seconds);
        if until <= self.now { Err(Refusal::Ended(until)) } else { Ok(Some(until)) }
    }
}

fn once<'a>(parsed: &'a IssueValue<'_>, tag: &str) -> Result<Option<&'a str>, Refusal> {
    parsed.once(tag).map_err(|_| Refusal::Repeated)
}

#[cfg(test)]
mod tests;
