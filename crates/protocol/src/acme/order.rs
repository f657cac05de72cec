//! Orders (RFC 8555, section 7.1.3).

use serde::{Deserialize, Serialize};

use super::{AuthorizationStatus, Failure};
use crate::bytes::Bytes;
use crate::corroboration::Quorum;
use crate::id::Id;
use crate::identifier::Identifier;
use crate::profile::{IssuerName, ProfileName};
use crate::serial::Serial;
use crate::time::Timestamp;

/// A wish for a certificate, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Its name; part of its URL.
    pub id: Id,
    /// Whose it is.
    pub account: Id,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it can be finalized.
    pub expires: Timestamp,
    /// What the certificate is to be for: sorted, each once.
    pub identifiers: Vec<Identifier>,
    /// The kind of certificate.
    pub profile: ProfileName,
    /// One for each identifier, in their order; one that is for a whole domain can stand there more than once.
    pub authorizations: Vec<Id>,
    /// The wished first second of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The wished last second of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// The certificate that the new one is to take the place of (RFC 9773, section 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
    /// Set while it is finalized and the signer was not there to prepare its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Set once finalized: the bytes to be signed are fixed from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Set when the signer was about to be asked: from here on the serial number may be on a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Timestamp>,
    /// Set when the signed precertificate is on record: from here on the serial number counts as issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precertificate: Option<Precertificate>,
    /// Set when the signed certificate is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Serial>,
    /// Set when it failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A finalized order without a claim: its CSR, and since when it waits for the signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Since when.
    pub since: Timestamp,
    /// The CSR, DER.
    pub csr: Bytes,
}

/// A signed precertificate (RFC 6962, section 3.1), and how far the certificate is that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precertificate {
    /// DER of the precertificate; empty once the certificate is on record ([`Order::complete`]).
    pub der: Bytes,
    /// Set when the signer was about to be asked for the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<FinalBytes>,
}

/// The bytes that become the certificate: those of the precertificate with SCTs in place of the poison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalBytes {
    /// The exact TBSCertificate, DER; empty once the certificate is on record ([`Order::complete`]).
    pub tbs: Bytes,
    /// When the signer was about to be asked.
    pub asked: Timestamp,
}

/// A certificate that another one takes the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Who signed it.
    pub issuer: IssuerName,
    /// Its serial number.
    pub serial: Serial,
    /// Whether the order is the first to replace it, and is for nothing that it was not for: then it takes nothing of limits.
    #[serde(default)]
    pub renews: bool,
}

/// Who works on a finalized order, until when, and on which bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The lease's token: a step with an older one is refused.
    pub token: Id,
    /// When the lease runs out.
    pub lease_until: Timestamp,
    /// The certificate's serial number.
    pub serial: Serial,
    /// Who is to sign.
    pub issuer: IssuerName,
    /// Its last valid second.
    pub not_after: Timestamp,
    /// Thumbprint of its key.
    pub key_thumbprint: Bytes,
    /// SHA-256 of its key's SubjectPublicKeyInfo; none in claims of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_spki_hash: Option<Bytes>,
    /// The exact TBSCertificate, DER; empty once the certificate is on record ([`Order::complete`]).
    pub tbs: Bytes,
    /// When the looks at CAA began; none if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// The least that any of these had of perspectives that agree; none if only one perspective looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    /// The record of all that was looked at before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Id>,
}

impl Claim {
    /// What its key can be blocked by.
    pub fn key_names(&self) -> impl Iterator<Item = &[u8]> {
        [Some(&self.key_thumbprint), self.key_spki_hash.as_ref()].into_iter().flatten().map(|name| &**name)
    }
}

/// The states of an order (RFC 8555, section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Some authorization is still pending.
    Pending,
    /// Can be finalized.
    Ready,
    /// Finalized; the certificate is being made.
    Processing,
    /// The certificate is there.
    Valid,
    /// Failed, or out of time.
    Invalid,
}

impl Order {
    /// Its status at `now`, given the statuses of its authorizations:
    ///
    /// ```text
    /// pending ──all authorizations valid──▶ ready ──finalize──▶ processing ──signed, on record──▶ valid
    ///    └───────── failure, time over, or an authorization ended ─────────┴──failure──▶ invalid
    /// ```
    ///
    /// Once finalized, only a failure or the certificate ends it: time no longer does.
    pub fn status(
        &self,
        now: Timestamp,
        authorizations: impl IntoIterator<Item = AuthorizationStatus>,
    ) -> OrderStatus {
        if self.failure.is_some() {
            return OrderStatus::Invalid;
        }
        if self.certificate.is_some() {
            return OrderStatus::Valid;
        }
        if self.claim.is_some() || self.waiting.is_some() {
            return OrderStatus::Processing;
        }
        if now >= self.expires {
            return OrderStatus::Invalid;
        }
        let mut status = OrderStatus::Ready;
        for authorization in authorizations {
            match authorization {
                AuthorizationStatus::Valid => {}
                AuthorizationStatus::Pending => status = OrderStatus::Pending,
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Deactivated
                | AuthorizationStatus::Expired => {
                    return OrderStatus::Invalid;
                }
            }
        }
        status
    }

    /// Ends it with its certificate, which is on record. What was to be signed goes from it: the certificate's own row has the
    /// bytes, and the records of the steps before have theirs.
    pub fn complete(&mut self, certificate: Serial) {
        if let Some(claim) = &mut self.claim {
            claim.tbs = Bytes::default();
        }
        if let Some(precertificate) = &mut self.precertificate {
            precertificate.der = Bytes::default();
            if let Some(bytes) = &mut precertificate.certificate {
                bytes.tbs = Bytes::default();
            }
        }
        self.certificate = Some(certificate);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::acme::ErrorType;
    use crate::time::SeededRandom;

    fn order() -> Order {
        let now = Timestamp::from_unix_s(1_795_255_200);
        let id = Id::new(now, &SeededRandom::new(1));
        Order {
            id,
            account: id,
            created: now,
            expires: now.plus(Duration::from_secs(100)),
            identifiers: vec![Identifier::parse_dns("example.org").unwrap()],
            profile: "classic".to_owned().try_into().unwrap(),
            authorizations: vec![id],
            not_before: None,
            not_after: None,
            replaces: None,
            waiting: None,
            claim: None,
            asked: None,
            precertificate: None,
            certificate: None,
            failure: None,
        }
    }

    fn claim(order: &Order) -> Claim {
        Claim {
            token: order.id,
            lease_until: order.expires,
            serial: Serial::new(&SeededRandom::new(2)),
            issuer: "ecdsa".to_owned().try_into().unwrap(),
            not_after: order.expires,
            key_thumbprint: Bytes::default(),
            key_spki_hash: None,
            tbs: Bytes::default(),
            looked_at: None,
            quorum: None,
            record: None,
        }
    }

    #[test]
    fn authorizations_decide_until_it_is_claimed() {
        use AuthorizationStatus as A;
        let order = order();
        let now = order.created;
        assert_eq!(order.status(now, [A::Valid, A::Valid]), OrderStatus::Ready);
        assert_eq!(order.status(now, [A::Valid, A::Pending]), OrderStatus::Pending);
        for ended in [A::Invalid, A::Deactivated, A::Expired] {
            assert_eq!(order.status(now, [A::Pending, ended]), OrderStatus::Invalid);
        }
        assert_eq!(order.status(order.expires, [A::Valid]), OrderStatus::Invalid);
    }

    #[test]
    fn a_claimed_order_ends_by_certificate_or_failure_alone() {
        let mut order = order();
        order.claim = Some(claim(&order));
        let late = order.expires.plus(Duration::from_secs(1));
        assert_eq!(order.status(late, [AuthorizationStatus::Expired]), OrderStatus::Processing);
        order.certificate = order.claim.as_ref().map(|claim| claim.serial.clone());
        assert_eq!(order.status(late, []), OrderStatus::Valid);
        order.failure = Some(Failure { error: ErrorType::ServerInternal, detail: String::new() });
        assert_eq!(order.status(late, []), OrderStatus::Invalid);
    }
}
