//! dns-persist-01: a TXT record that stays, and names this CA and the account (draft-ietf-acme-dns-persist-02).
//!
//! The record has no token: whoever may change the zone lets an account in until the record goes. It is looked at anew for
//! each validation. An account may be named by its hashed URI, as the draft says now, or by its URL, as earlier versions of it
//! said and clients do.

use ingam_protocol::Timestamp;

use crate::caa::property::{self, IssueValue};
use crate::dial::Network;
use crate::dns_01;
use crate::evidence::Evidence;
use crate::outcome::Failure;
use crate::quote::quote;
use crate::sought::Persistent;

/// The most records that a failure tells of.
const TOLD_MAX: usize = 3;

/// Gives until when the validation may be relied on, if the record has a `persistUntil`.
pub(crate) async fn validate(
    network: &Network,
    sought: &Persistent,
    now: Timestamp,
    evidence: &mut Evidence,
) -> Result<Option<Timestamp>, Failure> {
    let advice = format!("add {}", Wanted { sought, now }.record());
    let values = dns_01::texts(network, &sought.name, &advice, evidence).await?;
    decide(values.iter().map(Vec::as_slice), sought, now)
}

/// Decides by the values of all records at the name; gives until when the validation may be relied on.
pub(crate) fn decide<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    sought: &Persistent,
    now: Timestamp,
) -> Result<Option<Timestamp>, Failure> {
    let wanted = Wanted { sought, now };
    let (name, advice) = (&sought.name, format!("add {}", wanted.record()));
    let mut found: Option<Option<Timestamp>> = None;
    let mut told = Vec::new();
    for value in values {
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

/// What a record has to say, as of now.
struct Wanted<'a> {
    sought: &'a Persistent,
    now: Timestamp,
}

impl Wanted<'_> {
    /// A record that would do, in quotation marks.
    fn record(&self) -> String {
        let issuer = self.sought.issuers.first().map_or("", String::as_str);
        let account = self.sought.accounts.first().map_or("", String::as_str);
        let policy = if self.sought.beyond_the_name { "; policy=wildcard" } else { "" };
        format!("\"{issuer}; accounturi={account}{policy}\"")
    }

    /// Whether a record's value permits what is asked for; gives its `persistUntil`.
    fn permits(&self, value: &[u8]) -> Result<Option<Timestamp>, Refusal> {
        let parsed = std::str::from_utf8(value).ok().and_then(property::parse).ok_or(Refusal::Malformed)?;
        if !self.sought.issuers.iter().any(|issuer| issuer.eq_ignore_ascii_case(parsed.issuer_domain)) {
            return Err(Refusal::OtherIssuer);
        }
        let account = once(&parsed, "accounturi")?.ok_or(Refusal::NoAccount)?;
        if !self.sought.accounts.iter().any(|known| known == account) {
            return Err(Refusal::OtherAccount);
        }
        let policy = once(&parsed, "policy")?;
        if self.sought.beyond_the_name
            && !policy.is_some_and(|policy| policy.eq_ignore_ascii_case("wildcard"))
        {
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
