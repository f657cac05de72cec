//! Why a list could not be made.

use std::fmt;
use std::io;

use crate::statuses::StatusError;

/// Why a list could not be made.
#[derive(Debug)]
pub(super) enum BuildError {
    Store(StatusError),
    Signer(ingam_signer::Error),
    File(io::Error),
    TooSlow,
    TooLong,
    Repeated,
    AuditFull,
    IssuerEnded,
    BrokenOff,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store(_) => "what is revoked could not be read, or no number taken",
            Self::Signer(_) => "the CRL could not be signed",
            Self::File(_) => "the CRL could not be written into its file in the folder crls",
            Self::TooSlow => "the CRL was not signed in time",
            Self::TooLong => "more certificates are revoked than crl_entries_max allows",
            Self::Repeated => "the store gave the same revoked certificate twice",
            Self::AuditFull => "signatures cannot be recorded, so none is made",
            Self::IssuerEnded => "the issuer's certificate has ended",
            Self::BrokenOff => "reading or writing was broken off",
        })
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Signer(error) => Some(error),
            Self::File(error) => Some(error),
            _ => None,
        }
    }
}
