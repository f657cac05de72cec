//! Accounts (RFC 8555, section 7.1.2).

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::bytes::base64url;
use crate::id::Id;
use crate::jws::JwsText;
use crate::key::PublicKey;
use crate::time::Timestamp;

/// An account, without its contacts: those are kept apart, under a key that can be destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name; part of its URL.
    pub id: Id,
    /// The key that signs its requests.
    pub key: PublicKey,
    /// When it was made.
    pub created: Timestamp,
    /// When its holder agreed to the terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_agreed: Option<Timestamp>,
    /// When its holder deactivated it; nothing brings it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivated: Option<Timestamp>,
    /// To which key of the operators' making it was bound when it was made; nothing changes that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalAccount>,
    /// The thumbprints (RFC 7638; base64url) of keys that it had before, the oldest first: records of dns-persist-01 may name
    /// it by these, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_keys: Vec<String>,
}

/// What an account is bound to outside ACME (RFC 8555, section 7.3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalAccount {
    /// The id of the key.
    pub key: Id,
    /// The binding as it was sent, which the account resource shows (section 7.1.2).
    pub binding: JwsText,
}

/// The states of an account (RFC 8555, section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// May do everything.
    Valid,
    /// Deactivated by its holder.
    Deactivated,
}

/// The most earlier keys that are remembered of an account.
const EARLIER_KEYS_MAX: usize = 100;

impl Account {
    /// Puts another key in place of the one that it has, which is remembered; the oldest is forgotten where there are too
    /// many.
    pub fn key_replace(&mut self, new: PublicKey) {
        let old = std::mem::replace(&mut self.key, new);
        self.earlier_keys.push(base64url(&old.thumbprint()));
        let too_many = self.earlier_keys.len().saturating_sub(EARLIER_KEYS_MAX);
        self.earlier_keys.drain(..too_many);
    }

    /// Its status.
    pub fn status(&self) -> AccountStatus {
        match self.deactivated {
            None => AccountStatus::Valid,
            Some(_) => AccountStatus::Deactivated,
        }
    }
}

/// A `mailto:` URL: personal data, so `Debug` does not show it, and its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact(Zeroizing<String>);

/// Why a contact is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadContact {
    /// A scheme other than `mailto` (`unsupportedContact`).
    Unsupported,
    /// Not one plain address (`invalidContact`); the words say why.
    Invalid(&'static str),
}

impl fmt::Display for BadContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("only mailto: contacts are supported"),
            Self::Invalid(why) => f.write_str(why),
        }
    }
}

impl Contact {
    /// Reads a contact URL: `mailto:`, one address, no hfields (RFC 8555, section 7.3).
    ///
    /// # Errors
    /// [`BadContact`]; it does not repeat the address.
    pub fn parse(url: &str) -> Result<Self, BadContact> {
        let scheme_ends = url.find(':').ok_or(BadContact::Unsupported)?;
        let (scheme, address) = url.split_at_checked(scheme_ends).ok_or(BadContact::Unsupported)?;
        let address = address.strip_prefix(':').ok_or(BadContact::Unsupported)?;
        if !scheme.eq_ignore_ascii_case("mailto") {
            return Err(BadContact::Unsupported);
        }
        if url.len() > 320 {
            return Err(BadContact::Invalid("a contact is longer than 320 characters"));
        }
        if address.contains('?') {
            return Err(BadContact::Invalid("a mailto: contact has header fields after '?': leave them out"));
        }
        if address.contains(',') || address.contains("%2C") || address.contains("%2c") {
            return Err(BadContact::Invalid(
                "a mailto: contact has several addresses: send one contact for each",
            ));
        }
        let plain = |text: &str| text.chars().all(|c| !c.is_whitespace() && !c.is_control());
        match address.rsplit_once('@') {
            Some((local, domain))
                if !local.is_empty()
                    && plain(local)
                    && domain.is_ascii()
                    && crate::identifier::DnsName::parse(domain).is_ok() =>
            {
                Ok(Self(Zeroizing::new(format!("mailto:{address}"))))
            }
            _ => Err(BadContact::Invalid("a mailto: contact is no address of the form name@example.org")),
        }
    }

    /// The URL, for the holder's own eyes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_address_is_a_contact() {
        assert_eq!(Contact::parse("mailto:cert@example.org").unwrap().expose(), "mailto:cert@example.org");
        assert!(Contact::parse("MAILTO:a+b@example.org").is_ok());
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        for bad in [
            "mailto:",
            "mailto:a",
            "mailto:a@",
            "mailto:@example.org",
            "mailto:a@b",
            "mailto:a@example.org,b@example.org",
            "mailto:a@example.org?subject=x",
            "mailto:a b@example.org",
            "mailto:a@exämple.org",
        ] {
            assert!(matches!(Contact::parse(bad), Err(BadContact::Invalid(_))), "{bad}");
        }
        for unsupported in ["tel:+12025551212", "a@example.org", "https://example.org/"] {
            assert_eq!(Contact::parse(unsupported), Err(BadContact::Unsupported));
        }
        assert_eq!(format!("{:?}", Contact::parse("mailto:a@example.org").unwrap()), "Contact(hidden)");
    }
}
