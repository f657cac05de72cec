//! What an order or a newAuthz asks for, held against its profile and the CA's policy: nothing is changed here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::acme::{Account, ErrorType, NewOrder, Order, UnreadIdentifier};
use ingam_protocol::identifier::{DnsName, Identifier};
use ingam_protocol::profile::{Accounts, Profile};
use ingam_store::ExternalKey;

use crate::Authority;
use crate::error::{Error, Refusal, Subproblem};
use crate::external::{outside_names, permitted_profile};

/// How far from the signing the first second of a certificate may lie (BR 7.1.2.7).
const NEAR_MAX: Duration = Duration::from_secs(48 * 60 * 60);

/// An identifier that passed every check, and where control of it is to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) identifier: Identifier,
    /// A domain that the name is in; control of all of it is shown at once (RFC 9444).
    pub(crate) ancestor: Option<DnsName>,
}

/// The first and the last second that an order wishes for its certificate (RFC 8555, section 7.4).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dates {
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) not_after: Option<Timestamp>,
}

impl Dates {
    /// Reads the wish and holds it against what the profile allows as of now.
    ///
    /// # Errors
    /// A refusal as `malformed` that names the bounds.
    pub(crate) fn wished(request: &NewOrder, profile: &Profile, now: Timestamp) -> Result<Self, Error> {
        if request.not_before.is_none() && request.not_after.is_none() {
            return Ok(Self::default());
        }
        let refuse = |why: String| Error::refusal(ErrorType::Malformed, why);
        let Some(shortest) = profile.validity_min else {
            return Err(refuse(format!(
                "the profile \"{}\" fixes the validity: leave \"notBefore\" and \"notAfter\" out",
                profile.name
            )));
        };
        let read = |member: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => {
                Timestamp::from_rfc3339(text).map(|time| Some(time.whole_second())).ok_or_else(|| {
                    refuse(format!("\"{member}\" is no time as in 2026-11-21T10:00:00Z (RFC 3339)"))
                })
            }
        };
        let dates = Self {
            not_before: read("notBefore", &request.not_before)?,
            not_after: read("notAfter", &request.not_after)?,
        };
        let earliest = now.minus(profile.backdate).whole_second();
        let (from, latest) = (dates.not_before.unwrap_or(earliest), now.plus(NEAR_MAX));
        if from < earliest || from > latest {
            return Err(refuse(format!(
                "\"notBefore\" has to lie between {} and {}",
                earliest.to_rfc3339(),
                latest.to_rfc3339()
            )));
        }
        // Both ends are inclusive (RFC 5280, section 4.1.2.5).
        let ends = |lasts: Duration| from.plus(lasts.saturating_sub(Duration::from_secs(1)));
        let (first, last) = (ends(shortest), ends(profile.validity));
        if dates.not_after.is_some_and(|until| until < first || until > last) {
            return Err(refuse(format!(
                "\"notAfter\" has to lie between {} and {} for the profile \"{}\"",
                first.to_rfc3339(),
                last.to_rfc3339(),
                profile.name
            )));
        }
        Ok(dates)
    }
}

/// Whether what an order wished can still be had: time has gone by since it was made, and the profile may have changed.
///
/// # Errors
/// A refusal as `malformed`.
pub(crate) fn check_dates(order: &Order, profile: &Profile, now: Timestamp) -> Result<(), Error> {
    let from = order.not_before.unwrap_or_else(|| now.minus(profile.backdate)).whole_second();
    let lasts = |until: Timestamp| until.since(from) + Duration::from_secs(1);
    let shortest = profile.validity_min.unwrap_or(profile.validity);
    let member = match (order.not_before, order.not_after) {
        (Some(from), _) if from < now.minus(NEAR_MAX) => "notBefore",
        (_, Some(until)) if lasts(until) < shortest || lasts(until) > profile.validity => "notAfter",
        _ => return Ok(()),
    };
    let why = format!("the order's \"{member}\" cannot be had any more: make a new order");
    Err(Error::refusal(ErrorType::Malformed, why))
}

/// Whether an account may ask for a profile.
///
/// # Errors
/// A refusal as `unauthorized`.
pub(crate) fn check_account(profile: &Profile, account: &Account) -> Result<(), Error> {
    let (may, who) = match &profile.accounts {
        Accounts::All => return Ok(()),
        Accounts::Bound => (account.external.is_some(), "accounts that are bound to an external account"),
        Accounts::Listed(ids) => (ids.contains(&account.id), "accounts that the CA's operators listed"),
    };
    if may {
        return Ok(());
    }
    let why = format!("the profile \"{}\" is for {who}: ask for another one, or ask the CA", profile.name);
    Err(Error::refusal(ErrorType::Unauthorized, why))
}

impl Authority {
    /// Whether the account agreed to the terms as they are now (RFC 8555, section 7.3.3).
    ///
    /// # Errors
    /// A refusal as `userActionRequired`.
    pub(crate) fn check_terms(&self, account: &Account) -> Result<(), Error> {
        let policy = self.policy();
        let (Some(terms), Some(since)) = (&policy.terms_of_service, policy.terms_since) else {
            return Ok(());
        };
        // What comes into force later does not count yet.
        if self.clock.now() < since || account.terms_agreed.is_some_and(|agreed| agreed >= since) {
            return Ok(());
        }
        let why = format!(
            "the terms of service have changed: read them at {terms}, and agree by an update of the account with \
             \"termsOfServiceAgreed\": true"
        );
        Err(Error::refusal(ErrorType::UserActionRequired, why))
    }

    /// The profile of this name, or the default one, within what the account's `key` permits.
    ///
    /// # Errors
    /// A refusal as `invalidProfile` (draft-ietf-acme-profiles, section 5).
    pub(crate) fn profile_wished(
        &self,
        wished: Option<&str>,
        key: Option<&ExternalKey>,
    ) -> Result<Arc<Profile>, Error> {
        let catalog = &self.policy().catalog;
        let profile = match wished {
            None => catalog.default_profile().clone(),
            Some(name) => catalog.by_name(name).cloned().ok_or_else(|| {
                let names: Vec<&str> = catalog.iter().map(|profile| profile.name.as_str()).collect();
                Error::refusal(
                    ErrorType::InvalidProfile,
                    format!("there is no such profile: use one of {}", names.join(", ")),
                )
            })?,
        };
        match key {
            None => Ok(profile),
            Some(key) => permitted_profile(key, catalog, profile, wished.is_some()),
        }
    }

    /// Sorted, each once (RFC 8555, section 7.1.3 asks for no order, and for no identifier twice).
    ///
    /// # Errors
    /// A refusal with one subproblem for each identifier that is none or may not be in a certificate.
    pub(crate) fn identifiers_wanted(
        &self,
        unread: &[UnreadIdentifier],
        profile: &Profile,
        key: Option<&ExternalKey>,
    ) -> Result<Vec<Wanted>, Error> {
        if unread.is_empty() {
            return Err(Error::refusal(ErrorType::Malformed, "the order has no identifiers"));
        }
        if unread.len() > profile.names_max {
            return Err(Error::refusal(
                ErrorType::Malformed,
                format!(
                    "the order has {} identifiers: at most {} go into one",
                    unread.len(),
                    profile.names_max
                ),
            ));
        }
        let mut wanted = BTreeMap::new();
        let mut bad = Vec::new();
        for one in unread {
            match self.identifier_wanted(one, profile, key)? {
                Ok(one) => drop(wanted.insert(one.identifier.to_string(), one)),
                Err(subproblem) => bad.push(subproblem),
            }
        }
        match bad.as_slice() {
            [] => Ok(wanted.into_values().collect()),
            [only] => {
                let refusal = Refusal::new(only.error, format!("{}: {}", only.identifier, only.detail));
                Err(Refusal { subproblems: bad, ..refusal }.into())
            }
            [first, ..] => {
                let same = bad.iter().all(|other| other.error == first.error);
                let error = if same { first.error } else { ErrorType::Compound };
                let refusal =
                    Refusal::new(error, format!("{} identifiers are refused: see subproblems", bad.len()));
                Err(Refusal { subproblems: bad, ..refusal }.into())
            }
        }
    }

    fn identifier_wanted(
        &self,
        unread: &UnreadIdentifier,
        profile: &Profile,
        key: Option<&ExternalKey>,
    ) -> Result<Result<Wanted, Subproblem>, Error> {
        let cut = |text: &str, length| text.chars().take(length).collect::<String>();
        let refused = |error, detail: String| Subproblem {
            error,
            detail,
            kind: cut(&unread.kind, 32),
            identifier: cut(&unread.value, 260),
        };
        let parsed = match unread.kind.as_str() {
            "dns" => Identifier::parse_dns(&unread.value),
            "ip" => Identifier::parse_ip(&unread.value),
            _ => {
                let detail = "identifiers are of type \"dns\" or \"ip\"".to_owned();
                return Ok(Err(refused(ErrorType::UnsupportedIdentifier, detail)));
            }
        };
        let rejected = |why: String| Ok(Err(refused(ErrorType::RejectedIdentifier, why)));
        let identifier = match parsed {
            Ok(identifier) => identifier,
            Err(bad) => return rejected(bad.to_string()),
        };
        if let Some(why) = profile.identifiers.refuses(&identifier) {
            return rejected(why.to_owned());
        }
        let restricted = self.identifier_refused(&identifier, profile)?;
        if let Some(why) = restricted.or_else(|| outside_names(key, &identifier)) {
            return rejected(why);
        }
        let ancestor = match &unread.ancestor_domain {
            // Whoever does not offer it goes by the name itself.
            Some(text) if profile.identifiers.ancestors => match ancestor(text, &identifier) {
                Ok(ancestor) => match self.ancestor_refused(&ancestor, profile) {
                    Some(why) => return rejected(why),
                    None => Some(ancestor),
                },
                Err(why) => return Ok(Err(refused(ErrorType::Malformed, why))),
            },
            _ => None,
        };
        Ok(Ok(Wanted { identifier, ancestor }))
    }
}

/// The domain above an identifier that a client names (RFC 9444, section 4.2).
fn ancestor(text: &str, identifier: &Identifier) -> Result<DnsName, String> {
    let ancestor = DnsName::parse(text).map_err(|bad| format!("\"ancestorDomain\": {bad}"))?;
    match identifier.name() {
        Some(name) if *name == ancestor || name.is_below(&ancestor) => Ok(ancestor),
        _ => Err("\"ancestorDomain\" is not a domain that this name is in".to_owned()),
    }
}
