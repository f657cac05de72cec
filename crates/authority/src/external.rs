//! External account binding (RFC 8555, section 7.3.4): which key an account is bound to, and what that permits.
//!
//! A binding is checked in two steps: [`Authority::read_binding`] looks at its form, at the MAC and at what has become of
//! the key; the store binds account and key in the transaction that makes the account, so that a key has one account
//! however many ask at once. What the key permits counts at newOrder and again at finalize.

use std::sync::Arc;

use ingam_protocol::Id;
use ingam_protocol::acme::{Account, ErrorType, ExternalAccount, Order};
use ingam_protocol::external::{Binding, MacKey};
use ingam_protocol::identifier::Identifier;
use ingam_protocol::jws::JwsError;
use ingam_protocol::key::PublicKey;
use ingam_protocol::profile::Profile;
use ingam_store::{ExternalKey, KeyUnusable, Unbound};
use serde_json::Value;

use crate::Authority;
use crate::error::{Error, Refusal, Subproblem};
use crate::policy::Catalog;

impl Authority {
    /// Reads the binding of the account with this key, sent to `url`, and says what the account is to be bound to.
    ///
    /// # Errors
    /// Refusals: `malformed` for its form, `unauthorized` if it does not verify or its key cannot be used.
    pub(crate) fn read_binding(
        &self,
        sent: &Value,
        key: &PublicKey,
        url: &str,
    ) -> Result<ExternalAccount, Error> {
        let binding = Binding::parse(sent.to_string().as_bytes()).map_err(|why| unreadable(&why))?;
        if binding.url != url {
            let why = format!("its \"url\" is not the URL that the request was sent to, which is {url}");
            return Err(bad_binding(&why));
        }
        if binding.account_key != *key {
            return Err(bad_binding("its payload is another key than the one that signed the request"));
        }
        // One answer for a key that is unknown and for a MAC that is wrong: nobody learns which keys there are.
        let known = self.verified_key(&binding)?.ok_or_else(|| {
            Error::refusal(
                ErrorType::Unauthorized,
                "the external account binding does not verify: give your client the key id and the MAC key exactly as \
                 this CA gave them to you",
            )
        })?;
        match known.unusable(self.clock.now()) {
            None => {}
            // The same request, sent twice, may have made the account in this moment: the store finds it.
            Some(KeyUnusable::Bound) if self.store.account_by_key(key)?.is_some() => {}
            Some(why) => return Err(unusable(Unbound { key: known.id, why })),
        }
        Ok(ExternalAccount { key: known.id, binding: binding.text })
    }

    /// The key that a binding was made with, if it was made with the one that it names.
    fn verified_key(&self, binding: &Binding) -> Result<Option<ExternalKey>, Error> {
        let found = match binding.key_id.parse::<Id>() {
            Ok(id) => self.store.external_key_by_id(id)?.zip(self.store.external_mac_key(id)?),
            Err(_) => None,
        };
        // An unknown key costs a MAC, too.
        let (key, secret) = match found {
            Some((key, secret)) => (Some(key), secret),
            None => (None, MacKey::new(self.random.as_ref())),
        };
        Ok(key.filter(|_| binding.verify(&secret)))
    }

    /// The key that an account is bound to; `None` if it is bound to none.
    ///
    /// # Errors
    /// `unauthorized` if the key was withdrawn.
    pub(crate) fn key_in_force(&self, account: &Account) -> Result<Option<ExternalKey>, Error> {
        let Some(external) = &account.external else { return Ok(None) };
        let key = self.store.external_key_by_id(external.key)?.filter(|key| key.withdrawn.is_none());
        key.map(Some).ok_or_else(|| withdrawn(external.key))
    }

    /// Refuses an order that the key of its account does not permit, as of now.
    ///
    /// # Errors
    /// `unauthorized` if the key was withdrawn, `invalidProfile`, `rejectedIdentifier`.
    pub(crate) fn refuse_beyond_key(&self, account: &Account, order: &Order) -> Result<(), Error> {
        let Some(key) = self.key_in_force(account)? else { return Ok(()) };
        if !key.profiles.is_empty() && !key.profiles.contains(&order.profile) {
            return Err(beyond_profiles(&key));
        }
        let outside: Vec<Subproblem> = order
            .identifiers
            .iter()
            .filter_map(|identifier| {
                let why = outside_names(Some(&key), identifier)?;
                Some(Subproblem::of(identifier, ErrorType::RejectedIdentifier, why))
            })
            .collect();
        let Some(first) = outside.first() else { return Ok(()) };
        let refusal =
            Refusal::new(ErrorType::RejectedIdentifier, format!("{}: {}", first.identifier, first.detail));
        Err(Refusal { subproblems: outside, ..refusal }.into())
    }
}

/// The profile of an order by an account with this key: the wished one if the key permits it; where none is wished, the
/// default one, or the first on offer that the key permits.
pub(crate) fn permitted_profile(
    key: &ExternalKey,
    catalog: &Catalog,
    profile: Arc<Profile>,
    is_wished: bool,
) -> Result<Arc<Profile>, Error> {
    if key.profiles.is_empty() || key.profiles.contains(&profile.name) {
        return Ok(profile);
    }
    let other = key.profiles.iter().find_map(|name| catalog.by_name(name.as_str()));
    other.filter(|_| !is_wished).cloned().ok_or_else(|| beyond_profiles(key))
}

/// Why an account with this key gets no certificate for the identifier.
pub(crate) fn outside_names(key: Option<&ExternalKey>, identifier: &Identifier) -> Option<String> {
    let key = key.filter(|key| !key.names.is_empty())?;
    if identifier.name().is_some_and(|name| key.names.iter().any(|above| above.covers(name))) {
        return None;
    }
    let names: Vec<&str> = key.names.iter().map(|name| name.as_str()).collect();
    Some(format!(
        "the key {} to which this account is bound permits only {} and names below: ask this CA's operators for another \
         key",
        key.id,
        names.join(", ")
    ))
}

/// An account without a binding, where each needs one.
pub(crate) fn required() -> Error {
    Error::refusal(
        ErrorType::ExternalAccountRequired,
        "this CA makes accounts for holders of its keys alone: ask its operators for a key id and a MAC key, and give \
         them to your client, which sends them as \"externalAccountBinding\"",
    )
}

/// A binding to a key that no account can be bound to.
pub(crate) fn unusable(unbound: Unbound) -> Error {
    let key = unbound.key;
    let why = match unbound.why {
        KeyUnusable::Withdrawn | KeyUnusable::Missing => return withdrawn(key),
        KeyUnusable::Bound => {
            "has an account already: use that account, by the account key that it was made with, or ask this CA's \
             operators for another key"
        }
        KeyUnusable::Expired => {
            "can make no account any more, as its time is over: ask this CA's operators for another"
        }
    };
    Error::refusal(ErrorType::Unauthorized, format!("the key {key} of the external account binding {why}"))
}

/// A key that was withdrawn, whoever comes with it.
pub(crate) fn withdrawn(key: Id) -> Error {
    Error::refusal(
        ErrorType::Unauthorized,
        format!(
            "the key {key} was withdrawn: ask this CA's operators for another one, and make a new account with it"
        ),
    )
}

fn beyond_profiles(key: &ExternalKey) -> Error {
    let names: Vec<&str> = key.profiles.iter().map(|name| name.as_str()).collect();
    Error::refusal(
        ErrorType::InvalidProfile,
        format!(
            "the key {} to which this account is bound permits only the profile {}: name it in the order",
            key.id,
            names.join(" or ")
        ),
    )
}

fn bad_binding(why: &str) -> Error {
    Error::refusal(ErrorType::Malformed, format!("\"externalAccountBinding\" is refused: {why}"))
}

/// `badSignatureAlgorithm` and `badPublicKey` are for the request itself, whose algorithms the first of them lists.
fn unreadable(why: &JwsError) -> Error {
    bad_binding(&why.to_string())
}
