//! Why a certificate was revoked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A CRLReason (RFC 5280, section 5.3.1), of those that this CA uses for certificates of subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Reason {
    /// None was given. Never written into a CRL or an OCSP answer (RFC 5280, section 5.3.1).
    Unspecified = 0,
    /// The certificate's private key is known to others.
    KeyCompromise = 1,
    /// The subject's affiliation changed.
    AffiliationChanged = 3,
    /// There is a newer certificate.
    Superseded = 4,
    /// The name is no longer used.
    CessationOfOperation = 5,
    /// The CA withdrew it; no subscriber may ask for this one.
    PrivilegeWithdrawn = 9,
}

impl Reason {
    /// The reason with this CRLReason number.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::Unspecified,
            Self::KeyCompromise,
            Self::AffiliationChanged,
            Self::Superseded,
            Self::CessationOfOperation,
            Self::PrivilegeWithdrawn,
        ]
        .into_iter()
        .find(|reason| reason.number() == number)
    }

    /// Its CRLReason number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether a subscriber may give it when revoking by ACME (RFC 8555, section 7.6).
    pub fn subscriber_may_ask(self) -> bool {
        self != Self::PrivilegeWithdrawn
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        })
    }
}
