//! Certificate transparency (RFC 6962): what logs promise, how it is signed, and how it gets into certificates.
//!
//! - [`Sct`], [`SctList`]: a log's promise (section 3.2), and several as certificates carry them (section 3.3).
//! - [`Entry`]: what is logged, and what its signature covers; [`Entry::leaf_hash`] is its place in the log's tree.
//! - [`LogKey`], [`LogId`]: whose promise it is.
//! - [`without_poison`], [`with_scts`]: from a precertificate to the certificate, byte for byte (section 3.1).
//! - [`policy`]: how many promises browsers ask for.

mod entry;
mod key;
pub mod policy;
mod sct;
mod tbs;
mod wire;

use std::fmt;

pub use entry::{Entry, issuer_key_hash};
pub use key::{LogId, LogKey};
pub use sct::{EXTENSIONS_BYTES_MAX, SCTS_MAX, Sct, SctList, leaf_index_extension};
pub use tbs::{
    POISON, SCT_LIST, has_scts, is_precertificate, poison_extension, scts_of, tbs_of, with_scts,
    without_poison, without_scts,
};

use crate::der;

/// Why something of certificate transparency could not be read, or was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is no certificate, or no TBSCertificate of version 3, in DER.
    Der(der::Error),
    /// The extension is not there, or there more than once.
    NotOnce(&'static str),
    /// The extension is there, and may not be.
    Unexpected(&'static str),
    /// The extension is there, in a form that RFC 6962 does not give it.
    Malformed(&'static str),
    /// No extension would be left, which X.509 cannot say.
    NothingLeft,
    /// An SCT, or a list of them, is cut short, too long, or has something left over.
    Sct(&'static str),
    /// The key of a log is of no kind that logs have: P-256, or RSA from 2048 bits.
    Key,
    /// The SCT names another log than the one with this key.
    OtherLog,
    /// The signature is not one of this log over this entry.
    Signature,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Der(_) => f.write_str("these bytes are no certificate of version 3 in DER"),
            Self::NotOnce(what) => write!(f, "{what} is not in the certificate exactly once"),
            Self::Unexpected(what) => write!(f, "{what} is in a certificate that may not have it"),
            Self::Malformed(what) => write!(f, "{what} is not in the form of RFC 6962"),
            Self::NothingLeft => f.write_str("the certificate has no other extension"),
            Self::Sct(what) => write!(f, "the SCT cannot be read: {what}"),
            Self::Key => f.write_str("the log's key is neither P-256 nor RSA of 2048 bits or more"),
            Self::OtherLog => f.write_str("the SCT names another log"),
            Self::Signature => {
                f.write_str("the SCT's signature is not one of this log over this certificate")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Der(error) => Some(error),
            _ => None,
        }
    }
}
