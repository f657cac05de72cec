//! Writing requests, as relying parties do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, digest};

use crate::der::{Writer, tag};
use crate::ocsp::{CertIdForm, HashAlgorithm, NONCE};
use crate::serial::Serial;

impl HashAlgorithm {
    fn function(self) -> &'static Algorithm {
        match self {
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
        }
    }
}

/// Whose certificate is asked for.
#[derive(Clone, Copy, Debug)]
pub struct AskedIssuer<'a> {
    /// DER of the issuer's name.
    pub subject: &'a [u8],
    /// Contents of its subjectPublicKey BIT STRING, without the unused-bits octet.
    pub public_key: &'a [u8],
}

/// DER of the CertID of a certificate (RFC 6960, section 4.1.1), with NULL as the parameters of the hash, as nearly all
/// clients write it.
pub fn encode_cert_id(hash: HashAlgorithm, issuer: AskedIssuer<'_>, serial: &Serial) -> Vec<u8> {
    let of = |bytes: &[u8]| digest(hash.function(), bytes);
    let (name, key) = (of(issuer.subject), of(issuer.public_key));
    CertIdForm::new(hash.identifier(), name.as_ref(), key.as_ref()).cert_id(serial)
}

/// DER of a request about one certificate (RFC 6960, section 4.1.1), with a nonce (RFC 9654) or without any extension: then it can
/// be answered from what is kept.
pub fn encode_request(cert_id: &[u8], nonce: Option<&[u8]>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |request| {
        request.wrap(tag::SEQUENCE, |tbs| {
            if let Some(nonce) = nonce {
                tbs.wrap(tag::context(2), |explicit| {
                    explicit.wrap(tag::SEQUENCE, |extensions| {
                        extensions.extension(NONCE, |value| value.octet_string(nonce));
                    });
                });
            }
            tbs.wrap(tag::SEQUENCE, |list| list.wrap(tag::SEQUENCE, |single| single.raw(cert_id)));
        });
    });
    writer.finish()
}

/// Base64 of a request about one certificate, by its CertID (DER): what follows the responder's URL and a slash in a GET, once
/// percent-encoding is taken off (RFC 6960, appendix A.1).
pub fn get_text(cert_id: &[u8]) -> String {
    STANDARD.encode(encode_request(cert_id, None))
}

/// The same as clients send it: with what a path may not hold, or what others might change on the way, percent-encoded.
pub fn get_path(cert_id: &[u8]) -> String {
    get_text(cert_id).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}
