//! Every URL of the front end, in one place: made here, and read back here.

use ingam_protocol::acme::ChallengeType;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Id, Serial};

/// URLs below the public URL.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    base: String,
}

impl Urls {
    pub(crate) fn new(public_url: &str) -> Self {
        Self { base: public_url.trim_end_matches('/').to_owned() }
    }

    /// The URL of a request for this path and query: what its JWS must name (RFC 8555, section 6.4).
    pub(crate) fn of_request(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.base)
    }

    pub(crate) fn directory(&self) -> String {
        format!("{}/dir", self.base)
    }

    pub(crate) fn unpause(&self) -> String {
        format!("{}/unpause", self.base)
    }

    pub(crate) fn privacy_report(&self) -> String {
        format!("{}/privacy/report", self.base)
    }

    pub(crate) fn privacy_section(&self, section: &str, after: Option<&str>) -> String {
        match after {
            None => format!("{}/privacy/report/{section}", self.base),
            Some(after) => format!("{}/privacy/report/{section}?after={after}", self.base),
        }
    }

    pub(crate) fn privacy_erase(&self) -> String {
        format!("{}/privacy/erase", self.base)
    }

    pub(crate) fn account_prefix(&self) -> String {
        format!("{}/account/", self.base)
    }

    /// What hashed URIs of accounts begin with; nothing is served below it.
    pub(crate) fn account_hash_prefix(&self) -> String {
        format!("{}/account-hash/", self.base)
    }

    pub(crate) fn account(&self, id: Id) -> String {
        format!("{}/account/{id}", self.base)
    }

    /// The account that a `kid` names.
    pub(crate) fn account_id(&self, kid: &str) -> Option<Id> {
        kid.strip_prefix(&self.base)?.strip_prefix("/account/")?.parse().ok()
    }

    pub(crate) fn orders(&self, account: Id, after: Option<Id>) -> String {
        match after {
            None => format!("{}/account/{account}/orders", self.base),
            Some(after) => format!("{}/account/{account}/orders?after={after}", self.base),
        }
    }

    pub(crate) fn order(&self, id: Id) -> String {
        format!("{}/order/{id}", self.base)
    }

    pub(crate) fn finalize(&self, id: Id) -> String {
        format!("{}/order/{id}/finalize", self.base)
    }

    pub(crate) fn authorization(&self, id: Id) -> String {
        format!("{}/authorization/{id}", self.base)
    }

    pub(crate) fn challenge(&self, authorization: Id, kind: ChallengeType) -> String {
        format!("{}/challenge/{authorization}/{kind}", self.base)
    }

    pub(crate) fn issuer(&self, issuer: &IssuerName) -> String {
        format!("{}/issuer/{issuer}", self.base)
    }

    pub(crate) fn certificate(&self, issuer: &IssuerName, serial: &Serial) -> String {
        format!("{}/certificate/{issuer}/{serial}", self.base)
    }

    /// The same certificate with a further chain, by the chain's number.
    pub(crate) fn alternate(&self, issuer: &IssuerName, serial: &Serial, number: usize) -> String {
        format!("{}/{number}", self.certificate(issuer, serial))
    }
}
