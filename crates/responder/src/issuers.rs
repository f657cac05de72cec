//! Whose certificates are asked for: CertIDs name issuers by hashes (RFC 6960, section 4.1.1).

use ingam_protocol::ocsp::{CertId, CertIdForm, HashAlgorithm};
use ingam_protocol::profile::IssuerName;
use ingam_signer::Issuer;
use ring::digest::{self, Algorithm, Digest};

/// The hashes of one issuer's name and key under one algorithm.
struct Hashes {
    algorithm: HashAlgorithm,
    name: Digest,
    key: Digest,
}

/// An issuer, as far as answers need it.
pub(crate) struct KnownIssuer {
    /// Its name inside the CA.
    pub(crate) name: IssuerName,
    hashes: [Hashes; 3],
}

impl KnownIssuer {
    fn new(issuer: &Issuer) -> Self {
        let hashes = |algorithm, function: &'static Algorithm| Hashes {
            algorithm,
            name: digest::digest(function, &issuer.subject),
            key: digest::digest(function, &issuer.public_key),
        };
        Self {
            name: issuer.name.clone(),
            hashes: [
                hashes(HashAlgorithm::Sha1, &digest::SHA1_FOR_LEGACY_USE_ONLY),
                hashes(HashAlgorithm::Sha256, &digest::SHA256),
                hashes(HashAlgorithm::Sha384, &digest::SHA384),
            ],
        }
    }

    /// How its CertIDs begin under a hash algorithm, as most clients write them.
    pub(crate) fn form(&self, algorithm: HashAlgorithm) -> Option<CertIdForm> {
        let hashes = self.hashes.iter().find(|hashes| hashes.algorithm == algorithm)?;
        Some(CertIdForm::new(algorithm.identifier(), hashes.name.as_ref(), hashes.key.as_ref()))
    }

    fn is_meant_by(&self, cert_id: &CertId) -> bool {
        self.hashes.iter().any(|hashes| {
            hashes.algorithm == cert_id.hash
                && hashes.key.as_ref() == cert_id.issuer_key_hash
                && hashes.name.as_ref() == cert_id.issuer_name_hash
        })
    }
}

/// All issuers that are answered for.
pub(crate) struct Issuers(Vec<KnownIssuer>);

impl Issuers {
    /// From what the signer can sign for.
    pub(crate) fn new(issuers: &[Issuer]) -> Self {
        Self(issuers.iter().map(KnownIssuer::new).collect())
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &KnownIssuer> {
        self.0.iter()
    }

    /// The issuer that a CertID means: both hashes must be its.
    pub(crate) fn find(&self, cert_id: &CertId) -> Option<&KnownIssuer> {
        self.0.iter().find(|issuer| issuer.is_meant_by(cert_id))
    }

    /// Its place among those that the signer can sign for.
    pub(crate) fn place(&self, cert_id: &CertId) -> Option<u16> {
        let place = self.0.iter().position(|issuer| issuer.is_meant_by(cert_id))?;
        u16::try_from(place).ok()
    }
}
