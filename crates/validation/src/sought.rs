//! What has to be found for control to be shown, with everything of accounts worked out: all that a look at the network
//! needs to know, whoever asks for it.

use ingam_protocol::acme::{ChallengeType, ErrorType};
use ingam_protocol::bytes::base64url;
use ingam_protocol::identifier::Host;
use ring::digest;

use crate::label;
use crate::outcome::{Attempt, Failure};

/// The most characters of a token; RFC 8555, section 8.1, asks for 22 at least, and nobody makes much more.
const TOKEN_MAX: usize = 128;

/// What has to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sought {
    /// A file at a web server (RFC 8555, section 8.3).
    File(File),
    /// A TXT record.
    Text(Text),
    /// A certificate with the hash of the key authorization (RFC 8737, section 3).
    Certificate([u8; 32]),
    /// A TXT record that stays (draft-ietf-acme-dns-persist).
    Persistent(Persistent),
}

/// A file with the key authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Part of a URL's path: base64url, looked at.
    pub(crate) token: String,
    /// What has to be in it.
    pub(crate) key_authorization: String,
}

/// A TXT record with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// Where it is.
    pub(crate) name: String,
    /// What it says.
    pub(crate) value: String,
    /// How it says so.
    pub(crate) comparison: Comparison,
}

/// When a TXT record says what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// To the byte, as every challenge of ACME wants it.
    Equal,
    /// As Open MPIC's `dns-change` may have it: somewhere in it, or in any case of letters.
    Loose { somewhere: bool, any_case: bool },
}

/// A TXT record that names this CA and an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Persistent {
    /// Where it is.
    pub(crate) name: String,
    /// The names of this CA.
    pub(crate) issuers: Vec<String>,
    /// The ways to name the account; the one to recommend first.
    pub(crate) accounts: Vec<String>,
    /// Whether it has to be for more than the name itself.
    pub(crate) beyond_the_name: bool,
}

impl Sought {
    /// What an attempt asks for; `issuers` are the CA's names.
    ///
    /// # Errors
    /// [`Failure`] of the type `malformed` if there can be no such thing.
    pub(crate) fn of(attempt: &Attempt, issuers: &[String]) -> Result<Self, Failure> {
        let file = File::new(&attempt.token, &attempt.key_authorization)?;
        let hash = sha256(&attempt.key_authorization);
        let text = |name| Self::Text(Text { name, value: base64url(&hash), comparison: Comparison::Equal });
        Ok(match attempt.challenge {
            ChallengeType::Http01 => Self::File(file),
            ChallengeType::TlsAlpn01 => Self::Certificate(hash),
            ChallengeType::Dns01 => text(label::dns_01(attempt.name()?)),
            ChallengeType::DnsAccount01 => text(label::dns_account_01(attempt.name()?, &attempt.account_uri)),
            ChallengeType::DnsPersist01 => Self::Persistent(Persistent::of(attempt, issuers)?),
        })
    }
}

impl File {
    /// # Errors
    /// [`Failure`] of the type `malformed` if the token is none.
    pub(crate) fn new(token: &str, key_authorization: &str) -> Result<Self, Failure> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if token.is_empty() || token.len() > TOKEN_MAX || !token.bytes().all(is_token) {
            return Err(Failure::new(ErrorType::Malformed, "the challenge's token is not base64url"));
        }
        Ok(Self { token: token.to_owned(), key_authorization: key_authorization.to_owned() })
    }
}

impl Text {
    /// Whether a record with this value will do.
    pub(crate) fn is_met(&self, found: &[u8]) -> bool {
        let Comparison::Loose { somewhere, any_case } = self.comparison else {
            return found == self.value.as_bytes();
        };
        let fold = |bytes: &[u8]| if any_case { bytes.to_ascii_lowercase() } else { bytes.to_vec() };
        let (found, wanted) = (fold(found), fold(self.value.as_bytes()));
        // Nothing is everywhere.
        !wanted.is_empty()
            && (found == wanted || somewhere && found.windows(wanted.len()).any(|part| part == wanted))
    }
}

impl Persistent {
    /// What an attempt asks for.
    ///
    /// # Errors
    /// [`Failure`] of the type `malformed` for an address.
    pub(crate) fn of(attempt: &Attempt, issuers: &[String]) -> Result<Self, Failure> {
        let Attempt { account_uri, account_hash_prefix, beyond_the_name, .. } = attempt;
        let domain = attempt.name()?;
        let hashed = |thumbprint: &String| {
            [label::BoundTo::Domain(domain), label::BoundTo::Any]
                .map(|bound| label::hashed_account_uri(account_hash_prefix, bound, thumbprint, account_uri))
        };
        let mut accounts: Vec<String> = attempt.thumbprints.iter().flat_map(hashed).collect();
        accounts.push(account_uri.clone());
        Ok(Self {
            name: label::dns_persist_01(domain),
            issuers: issuers.to_vec(),
            accounts,
            beyond_the_name: *beyond_the_name,
        })
    }
}

/// One look at the network.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// What control is to be shown of.
    pub(crate) host: Host,
    /// The challenge that this belongs to, for the record.
    pub(crate) challenge: ChallengeType,
    /// What has to be found, or why there can be no such thing.
    pub(crate) sought: Result<Sought, Failure>,
}

/// The hash of a key authorization.
pub(crate) fn sha256(key_authorization: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    // SHA-256 gives 32 bytes.
    hash.copy_from_slice(digest::digest(&digest::SHA256, key_authorization.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TOKEN, attempt};

    #[test]
    fn text_is_compared_as_it_was_asked_for() {
        let text = |comparison| Text { name: "a.example".into(), value: "Proof".into(), comparison };
        let loose = |somewhere, any_case| text(Comparison::Loose { somewhere, any_case });
        assert!(text(Comparison::Equal).is_met(b"Proof"));
        for (found, equal, within, folded, both) in [
            ("Proof", true, true, true, true),
            ("my Proof!", false, true, false, true),
            ("PROOF", false, false, true, true),
            ("my PROOF", false, false, false, true),
            ("other", false, false, false, false),
        ] {
            let met = [(false, false), (true, false), (false, true), (true, true)]
                .map(|(somewhere, any_case)| loose(somewhere, any_case).is_met(found.as_bytes()));
            assert_eq!(met, [equal, within, folded, both], "{found}");
        }
        assert!(!Text { value: String::new(), ..loose(true, true) }.is_met(b"anything"));
    }

    #[test]
    fn tokens_become_parts_of_paths() {
        assert!(File::new(TOKEN, "x").is_ok());
        for token in ["", "../../secret", "a b", "a/b", &"a".repeat(129)] {
            assert_eq!(File::new(token, "x").unwrap_err().error, ErrorType::Malformed, "{token:?}");
        }
        let broken = Attempt { token: "a b".into(), ..attempt("www.example.org", ChallengeType::Dns01) };
        assert!(Sought::of(&broken, &[]).is_err());
    }
}
