//! Specimens: the exact bytes of a certificate, signed by a key that is worth nothing, for those who judge certificates
//! before they are issued.
//!
//! A specimen names the real issuer and has a signature of the right kind, which does not verify under the issuer's key.
//! The keys are made when they are first needed, live in this process alone, and are never written down.

use std::sync::OnceLock;

use ingam_protocol::Random;
use ingam_protocol::der::{self, Reader, tag};

use crate::Error;
use crate::encode;
use crate::key::{Algorithm, Key};

/// Each process has one key for each algorithm, in the order of [`Algorithm::ALL`].
static KEYS: [OnceLock<Key>; Algorithm::ALL.len()] = [const { OnceLock::new() }; Algorithm::ALL.len()];

/// A Certificate (DER) of this TBSCertificate, under a signature that anybody could have made. The first with RSA in a process
/// takes about a second, so this is not for a thread that may not block.
///
/// # Errors
/// [`Error::Refused`] if the TBSCertificate names an algorithm that no issuer has; [`Error::Unavailable`] without a key.
pub fn specimen(tbs: &[u8], random: &dyn Random) -> Result<Vec<u8>, Error> {
    let (algorithm, place) = place_of(tbs)
        .ok_or_else(|| Error::Refused("the bytes name no algorithm that issuers sign with".to_owned()))?;
    let key = match place.get() {
        Some(key) => key,
        None => {
            let made = Key::throwaway(algorithm, random)?;
            // Two at once make two keys, of which one stays.
            place.get_or_init(|| made)
        }
    };
    let signature = key.sign_blocking(tbs)?;
    Ok(encode::certificate(tbs, algorithm.identifier(), &signature))
}

/// What the TBSCertificate says that it is signed with (RFC 5280, section 4.1.2.3), and where the key for that is.
fn place_of(tbs: &[u8]) -> Option<(Algorithm, &'static OnceLock<Key>)> {
    let named = signature_field(tbs).ok()?;
    let mut places = Algorithm::ALL.iter().copied().zip(&KEYS);
    places.find(|(algorithm, _)| algorithm.identifier() == named)
}

fn signature_field(tbs: &[u8]) -> Result<&[u8], der::Error> {
    let mut fields = Reader::new(tbs).sequence()?;
    // Of version 3, as all certificates that are made here.
    fields.expect(tag::context(0))?;
    fields.integer()?;
    Ok(fields.any()?.der)
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::SeededRandom;
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    fn tbs(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec!["www.example.org".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        parsed.tbs_certificate.as_ref().to_vec()
    }

    #[test]
    fn a_specimen_has_the_exact_bytes_and_a_signature_that_is_not_the_issuers() {
        let random = SeededRandom::new(1);
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
            let tbs = tbs(algorithm);
            let made = specimen(&tbs, &random).unwrap();
            let (rest, parsed) = X509Certificate::from_der(&made).unwrap();
            assert!(rest.is_empty());
            assert_eq!(parsed.tbs_certificate.as_ref(), tbs);
            assert_eq!(parsed.signature_algorithm, parsed.tbs_certificate.signature);
            assert!(parsed.verify_signature(None).is_err(), "it must not verify under the key it names");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused() {
        let random = SeededRandom::new(1);
        for bytes in [&b""[..], &[0x30, 0x00], &[0x30, 0x03, 0x02, 0x01, 0x01]] {
            assert!(matches!(specimen(bytes, &random), Err(Error::Refused(_))));
        }
    }
}
