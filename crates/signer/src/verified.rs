//! Whether an issuer signed what is given out in its name.

use ingam_protocol::crl::SignedList;
use ingam_protocol::der::{Reader, tag};
use ingam_protocol::ocsp::SignedAnswer;
use ingam_protocol::{Serial, Timestamp};
use x509_parser::oid_registry::OID_X509_EXT_EXTENDED_KEY_USAGE;

use crate::Issuer;
use crate::ca::parse;
use crate::key::{Algorithm, responder_key_hash};

/// DER of an extended key usage that is id-kp-OCSPSigning and nothing else (RFC 6960, section 4.2.2.2; BR 7.1.2.8.5).
const OCSP_SIGNING_ALONE: &[u8] = b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x09";

/// Bytes with a signature on them.
struct Signed<'a> {
    message: &'a [u8],
    /// DER of the AlgorithmIdentifier.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl Signed<'_> {
    /// Whether the key with these contents of its BIT STRING signed them, in a way that this build knows.
    fn is_by(&self, public_key: &[u8]) -> bool {
        let algorithm = Algorithm::ALL.iter().find(|algorithm| algorithm.identifier() == self.algorithm);
        algorithm.is_some_and(|algorithm| algorithm.verify(public_key, self.message, self.signature).is_ok())
    }
}

impl Issuer {
    /// Whether it signed this list, by its name and key.
    pub fn has_signed(&self, list: &SignedList<'_>) -> bool {
        let signed =
            Signed { message: list.tbs, algorithm: list.signature_algorithm, signature: list.signature };
        list.issuer == self.subject && signed.is_by(&self.public_key)
    }

    /// Whether this answer is signed by its key, or by that of a responder whose certificate it signed for that and which
    /// is valid at `now` (RFC 6960, section 4.2.2.2).
    pub fn has_answered(&self, answer: &SignedAnswer<'_>, now: Timestamp) -> bool {
        let delegated = answer.certificate.map(|certificate| self.delegated(certificate));
        let key = match &delegated {
            None => self.public_key.as_slice(),
            Some(Some(delegated)) if delegated.is_valid_at(now) => &delegated.public_key,
            Some(_) => return false,
        };
        let signed = Signed {
            message: answer.tbs,
            algorithm: answer.signature_algorithm,
            signature: answer.signature,
        };
        responder_key_hash(key) == answer.responder_key_hash && signed.is_by(key)
    }

    /// What a certificate (DER) says that this issuer signed for OCSP alone; `None` if it did not.
    pub(crate) fn delegated(&self, certificate: &[u8]) -> Option<Delegated> {
        let parsed = parse(certificate).ok()?;
        let mut fields = Reader::new(certificate).sequence().ok()?;
        let (message, algorithm) = (fields.any().ok()?.der, fields.any().ok()?.der);
        let [0, signature @ ..] = fields.expect(tag::BIT_STRING).ok()? else { return None };
        let is_ours = parsed.issuer().as_raw() == self.subject
            && Signed { message, algorithm, signature }.is_by(&self.public_key);
        let usages =
            parsed.extensions().iter().filter(|extension| extension.oid == OID_X509_EXT_EXTENDED_KEY_USAGE);
        let is_for_ocsp = usages.map(|extension| extension.value).eq([OCSP_SIGNING_ALONE]);
        let moment = |unix_s: i64| u64::try_from(unix_s).ok().map(Timestamp::from_unix_s);
        let validity = parsed.validity();
        (is_ours && is_for_ocsp).then_some(Delegated {
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            serial: Serial::from_be_bytes(parsed.raw_serial())?,
            not_before: moment(validity.not_before.timestamp())?,
            not_after: moment(validity.not_after.timestamp())?,
        })
    }
}

/// The certificate of a responder, as far as answers need it (RFC 6960, section 4.2.2.2).
pub(crate) struct Delegated {
    /// Contents of its key's BIT STRING.
    pub(crate) public_key: Vec<u8>,
    pub(crate) serial: Serial,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Delegated {
    fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now.whole_second())
    }
}
