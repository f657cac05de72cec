//! What is logged.

use ring::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::wire::put_short;
use super::{Error, Sct, is_precertificate, tbs_of, without_poison, without_scts};
use crate::der;

/// version v1 and signature_type certificate_timestamp, in front of what an SCT's signature covers (RFC 6962, section 3.2).
const V1_TIMESTAMP: [u8; 2] = [0, 0];

/// version v1 and leaf_type timestamped_entry, in front of a leaf (RFC 6962, section 3.4).
const V1_LEAF: [u8; 2] = [0, 0];

/// What a log's promise is about (RFC 6962, section 3.1). Two entries are equal if one SCT is good for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// x509_entry: a certificate, DER.
    Certificate(Vec<u8>),
    /// precert_entry: what a precertificate and its certificate have in common.
    Precertificate {
        /// SHA-256 of the issuer's SubjectPublicKeyInfo.
        issuer_key_hash: [u8; 32],
        /// DER of the TBSCertificate with neither poison nor SCTs.
        tbs: Vec<u8>,
    },
}

impl Entry {
    /// What is logged when this precertificate or certificate (DER) is submitted.
    ///
    /// # Errors
    /// As [`without_poison`], and if it is no certificate.
    pub fn submitted(certificate: &[u8], issuer_key_hash: [u8; 32]) -> Result<Self, Error> {
        let tbs = tbs_of(certificate)?;
        if is_precertificate(tbs)? {
            return Ok(Self::Precertificate { issuer_key_hash, tbs: without_poison(tbs)? });
        }
        Ok(Self::Certificate(certificate.to_vec()))
    }

    /// What the SCTs that this certificate (DER) carries are about.
    ///
    /// # Errors
    /// As [`without_scts`], and if it is no certificate.
    pub fn embedded(certificate: &[u8], issuer_key_hash: [u8; 32]) -> Result<Self, Error> {
        let tbs = without_scts(tbs_of(certificate)?)?;
        Ok(Self::Precertificate { issuer_key_hash, tbs })
    }

    /// What an SCT's signature covers if it is about this entry (RFC 6962, section 3.2).
    ///
    /// # Errors
    /// [`Error::Sct`] if the entry or the SCT's extensions are longer than their lengths can say.
    pub fn signed(&self, sct: &Sct) -> Result<Vec<u8>, Error> {
        let mut bytes = V1_TIMESTAMP.to_vec();
        self.put(&mut bytes, sct)?;
        Ok(bytes)
    }

    /// The MerkleTreeLeaf (RFC 6962, section 3.4).
    ///
    /// # Errors
    /// As [`Entry::signed`].
    pub fn leaf(&self, sct: &Sct) -> Result<Vec<u8>, Error> {
        let mut bytes = V1_LEAF.to_vec();
        self.put(&mut bytes, sct)?;
        Ok(bytes)
    }

    /// The TimestampedEntry, which a leaf and what is signed have in common.
    fn put(&self, bytes: &mut Vec<u8>, sct: &Sct) -> Result<(), Error> {
        bytes.extend(sct.timestamp.unix_ms().to_be_bytes());
        match self {
            Self::Certificate(certificate) => {
                bytes.extend([0, 0]);
                put_long(bytes, certificate)?;
            }
            Self::Precertificate { issuer_key_hash, tbs } => {
                bytes.extend([0, 1]);
                bytes.extend(issuer_key_hash);
                put_long(bytes, tbs)?;
            }
        }
        put_short(bytes, &sct.extensions)
    }

    /// The hash of the leaf in the log's tree (RFC 6962, section 2.1).
    ///
    /// # Errors
    /// As [`Entry::signed`].
    pub fn leaf_hash(&self, sct: &Sct) -> Result<[u8; 32], Error> {
        let mut bytes = vec![0];
        bytes.extend(self.leaf(sct)?);
        hash(&bytes)
    }
}

/// Bytes behind their length in three octets.
fn put_long(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Error> {
    let too_long = Error::Sct("the certificate has more than 16,777,215 bytes");
    let [0, length @ ..] = u32::try_from(bytes.len()).map_err(|_| too_long)?.to_be_bytes() else {
        return Err(too_long);
    };
    to.extend(length);
    to.extend(bytes);
    Ok(())
}

/// SHA-256 of the SubjectPublicKeyInfo of a CA certificate (DER): which issuer an entry is of.
///
/// # Errors
/// [`Error::Der`] if it is no certificate.
pub fn issuer_key_hash(certificate: &[u8]) -> Result<[u8; 32], Error> {
    let unread = Error::Der(der::Error::BadContents);
    let (rest, certificate) = X509Certificate::from_der(certificate).map_err(|_| unread)?;
    if !rest.is_empty() {
        return Err(Error::Der(der::Error::Trailing));
    }
    hash(certificate.public_key().raw)
}

fn hash(bytes: &[u8]) -> Result<[u8; 32], Error> {
    // Unwrap safety: SHA-256 has 32 bytes; the type of the digest does not say so.
    digest(&SHA256, bytes).as_ref().try_into().map_err(|_| Error::Key)
}
