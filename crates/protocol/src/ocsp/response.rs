//! Writing answers.

use crate::der::{Writer, tag};
use crate::ocsp::{CertStatus, NONCE, SingleResponse};
use crate::revocation::Reason;
use crate::time::Timestamp;

/// Contents of id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1 (RFC 6960, section 4.2.1).
pub(super) const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];

/// What is signed of an answer (RFC 6960, section 4.2.1, `ResponseData`), version 1, with the responder named by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseData {
    /// SHA-1 over the contents of the signing key's BIT STRING, without the unused-bits octet.
    pub responder_key_hash: [u8; 20],
    /// When the answer is signed.
    pub produced_at: Timestamp,
    /// What is said, of each certificate once.
    pub responses: Vec<SingleResponse>,
    /// The request's nonce, 1 to 128 bytes (RFC 9654, section 2.1).
    pub nonce: Option<Vec<u8>>,
}

impl ResponseData {
    /// Its DER: the bytes to be signed. Times are cut to whole seconds.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(128 + 192 * self.responses.len());
        writer.wrap(tag::SEQUENCE, |data| {
            if let Some(nonce) = &self.nonce {
                data.wrap(tag::context(1), |explicit| {
                    explicit.wrap(tag::SEQUENCE, |extensions| {
                        extensions.extension(NONCE, |value| value.octet_string(nonce));
                    });
                });
            }
            data.wrap(tag::SEQUENCE, |list| {
                for response in self.responses.iter().rev() {
                    single_response(list, response);
                }
            });
            data.generalized_time(self.produced_at);
            data.wrap(tag::context(2), |by_key| by_key.octet_string(&self.responder_key_hash));
        });
        writer.finish()
    }
}

/// RFC 6960, section 4.2.1, `SingleResponse`. The CertID is put in as it came.
fn single_response(writer: &mut Writer, response: &SingleResponse) {
    writer.wrap(tag::SEQUENCE, |single| {
        single.wrap(tag::context(0), |explicit| explicit.generalized_time(response.next_update));
        single.generalized_time(response.this_update);
        match response.status {
            CertStatus::Good => single.value(tag::context_primitive(0), &[]),
            CertStatus::Revoked { at, reason } => single.wrap(tag::context(1), |revoked| {
                if reason != Reason::Unspecified {
                    revoked.wrap(tag::context(0), |explicit| explicit.enumerated(reason.number()));
                }
                revoked.generalized_time(at);
            }),
        }
        single.raw(&response.cert_id);
    });
}

/// The whole OCSPResponse with status `successful` (RFC 6960, section 4.2.1).
///
/// - `tbs`: DER of the ResponseData, as [`ResponseData::encode`] gave it.
/// - `signature_algorithm`: DER of the AlgorithmIdentifier.
/// - `signature`: the signature's octets over `tbs`.
/// - `certificate`: DER of the certificate that the signing key belongs to, unless it is the issuer's own.
pub fn successful(
    tbs: &[u8],
    signature_algorithm: &[u8],
    signature: &[u8],
    certificate: Option<&[u8]>,
) -> Vec<u8> {
    let carried =
        tbs.len() + signature_algorithm.len() + signature.len() + certificate.map_or(0, <[u8]>::len);
    let mut writer = Writer::with_capacity(carried + 80);
    writer.wrap(tag::SEQUENCE, |response| {
        response.wrap(tag::context(0), |explicit| {
            explicit.wrap(tag::SEQUENCE, |response_bytes| {
                response_bytes.wrap(tag::OCTET_STRING, |octets| {
                    octets.wrap(tag::SEQUENCE, |basic| {
                        if let Some(certificate) = certificate {
                            basic.wrap(tag::context(0), |certificates| {
                                certificates.wrap(tag::SEQUENCE, |list| list.raw(certificate));
                            });
                        }
                        basic.bit_string(signature);
                        basic.raw(signature_algorithm);
                        basic.raw(tbs);
                    });
                });
                response_bytes.object_identifier(BASIC);
            });
        });
        response.enumerated(0);
    });
    writer.finish()
}

/// What is said in place of an answer, unsigned (RFC 6960, section 4.2.1, `OCSPResponseStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ErrorStatus {
    /// The request is not one.
    MalformedRequest = 1,
    /// Something is broken here.
    InternalError = 2,
    /// There is no answer right now.
    TryLater = 3,
    /// Only signed requests are answered; this CA never says so.
    SigRequired = 5,
    /// Nothing authoritative can be said of what was asked (RFC 9919, section 3.2.3).
    Unauthorized = 6,
}

impl ErrorStatus {
    /// The whole OCSPResponse.
    pub const fn encode(self) -> [u8; 5] {
        [tag::SEQUENCE, 3, tag::ENUMERATED, 1, self as u8]
    }
}
