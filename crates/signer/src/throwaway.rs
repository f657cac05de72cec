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
use crate::key::{Algorithm, Key, KeyKind, PrivateKey};

/// Each process has one key of each kind.
static P256: OnceLock<Key> = OnceLock::new();
static P384: OnceLock<Key> = OnceLock::new();
static RSA: OnceLock<Key> = OnceLock::new();

/// A Certificate (DER) of this TBSCertificate, under a signature that anybody could have made. The first with RSA in a process
/// takes about a second, so this is not for a thread that may not block.
///
/// # Errors
/// [`Error::Refused`] if the TBSCertificate names an algorithm that no issuer has; [`Error::Unavailable`] without a key.
pub fn specimen(tbs: &[u8], random: &dyn Random) -> Result<Vec<u8>, Error> {
    let algorithm = algorithm_of(tbs)
        .ok_or_else(|| Error::Refused("the bytes name no algorithm that issuers sign with".to_owned()))?;
    let key = key(algorithm, random)?;
    let signature = key.sign_blocking(tbs)?;
    Ok(encode::certificate(tbs, algorithm.identifier(), &signature))
}

/// What the TBSCertificate says that it is signed with (RFC 5280, section 4.1.2.3).
fn algorithm_of(tbs: &[u8]) -> Option<Algorithm> {
    let named = signature_field(tbs).ok()?;
    let kinds = [Algorithm::EcdsaP256Sha256, Algorithm::EcdsaP384Sha384, Algorithm::RsaSha256];
    kinds.into_iter().find(|kind| kind.identifier() == named)
}

fn signature_field(tbs: &[u8]) -> Result<&[u8], der::Error> {
    let mut fields = Reader::new(tbs).sequence()?;
    // Of version 3, as all certificates that are made here.
    fields.expect(tag::context(0))?;
    fields.integer()?;
    Ok(fields.any()?.der)
}

fn key(algorithm: Algorithm, random: &dyn Random) -> Result<&'static Key, Error> {
    let place = match algorithm {
        Algorithm::EcdsaP256Sha256 => &P256,
        Algorithm::EcdsaP384Sha384 => &P384,
        Algorithm::RsaSha256 => &RSA,
    };
    if let Some(key) = place.get() {
        return Ok(key);
    }
    let made = match algorithm {
        Algorithm::EcdsaP256Sha256 => PrivateKey::generate(KeyKind::EcdsaP256, random)?,
        Algorithm::EcdsaP384Sha384 => PrivateKey::generate(KeyKind::EcdsaP384, random)?,
        Algorithm::RsaSha256 => PrivateKey::generate(KeyKind::Rsa2048, random)?,
    };
    let loaded = Key::load(&made)?;
    // Two at once make two keys, of which one stays.
    Ok(place.get_or_init(|| loaded))
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
