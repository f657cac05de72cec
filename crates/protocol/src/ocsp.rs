//! OCSP requests and answers (RFC 6960, RFC 9919, RFC 9654), read and written byte by byte.
//!
//! [`parse_request`] reads what a relying party asks, strictly: whatever it accepts is DER to the last byte.
//! [`ResponseData`] is what gets signed, [`successful`] puts the signature around it, [`ErrorStatus`] is what is said
//! instead. [`decode_get`] takes a request out of the path of a URL. [`encode_request`] asks as clients do, and [`Response`] takes apart
//! what this CA answered.

mod ask;
mod compact;
mod get;
mod read;
mod request;
mod response;

pub use ask::{AskedIssuer, encode_cert_id, encode_request, get_path, get_text};
pub use compact::{CertIdForm, ECDSA_SHA256, p256_numbers, p256_signature};
pub use get::{GetDecoder, decode_get};
pub use read::{Response, SignedAnswer};
pub use request::{
    CertId, HashAlgorithm, NONCE_BYTES_MAX, REQUEST_BYTES_MAX, Request, RequestError, lone_cert_id,
    parse_request,
};
pub use response::{ErrorStatus, ResponseData, successful};

use crate::revocation::Reason;
use crate::time::Timestamp;

/// What an answer says of a certificate (RFC 6960, section 4.2.1). There is no `unknown`: a serial that the CA never
/// issued gets the error `unauthorized` instead (RFC 9919, section 3.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertStatus {
    /// Issued and not revoked.
    Good,
    /// Revoked at this time, for this reason.
    Revoked {
        /// When.
        at: Timestamp,
        /// Why; `Unspecified` is left out of the encoding.
        reason: Reason,
    },
}

/// What is said of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleResponse {
    /// DER of the CertID, exactly as the request had it.
    pub cert_id: Vec<u8>,
    /// The certificate's status.
    pub status: CertStatus,
    /// From when this is known to be so.
    pub this_update: Timestamp,
    /// Until when this may be relied on, inclusive.
    pub next_update: Timestamp,
}

/// Contents of id-pkix-ocsp-nonce, 1.3.6.1.5.5.7.48.1.2 (RFC 9654, section 2.1).
const NONCE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];

#[cfg(test)]
mod tests;
