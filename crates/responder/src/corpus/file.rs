//! A table as a file: a line that says what it is, a head in JSON, and the entries as they are in memory.
//!
//! ```text
//! "ingam answers 1\n" | length of the head u32 | head | entries, 94 bytes each
//! ```
//!
//! A file is read into memory as a whole, and held against its digest there: what was verified is what is given out,
//! whatever becomes of the file.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ingam_protocol::Timestamp;
use ingam_protocol::ocsp::HashAlgorithm;
use ingam_protocol::profile::IssuerName;
use serde::{Deserialize, Serialize};

use super::entry::ENTRY_BYTES;
use super::table::{AnswerSigner, Owner, Table};

const MAGIC: &[u8] = b"ingam answers 1\n";
/// As long as a head may be: 256 signers with a certificate each.
const HEAD_BYTES_MAX: usize = 2 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    issuer: IssuerName,
    hash: Hash,
    signers: Vec<SignerHead>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerHead {
    key_hash: ingam_protocol::Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<ingam_protocol::Bytes>,
    not_after: Timestamp,
    validity_s: u64,
}

/// A hash algorithm's name in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
}

impl Hash {
    /// The algorithm of this name.
    pub(crate) fn algorithm(self) -> HashAlgorithm {
        match self {
            Self::Sha1 => HashAlgorithm::Sha1,
            Self::Sha256 => HashAlgorithm::Sha256,
            Self::Sha384 => HashAlgorithm::Sha384,
        }
    }
}

impl From<HashAlgorithm> for Hash {
    fn from(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Sha1 => Self::Sha1,
            HashAlgorithm::Sha256 => Self::Sha256,
            HashAlgorithm::Sha384 => Self::Sha384,
        }
    }
}

/// Everything of a file that comes before its entries.
pub(super) fn head(owner: &Owner, signers: &[AnswerSigner]) -> Vec<u8> {
    let signers = signers.iter().map(|signer| SignerHead {
        key_hash: signer.responder_key_hash.to_vec().into(),
        certificate: signer.certificate.clone().map(Into::into),
        not_after: signer.not_after,
        validity_s: signer.validity.as_secs(),
    });
    let head = Head { issuer: owner.issuer.clone(), hash: owner.hash.into(), signers: signers.collect() };
    // Text, numbers and bytes are always JSON.
    let head = serde_json::to_vec(&head).unwrap_or_default();
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes();
    [MAGIC, &length, &head].concat()
}

impl Table {
    /// Reads a table of this owner. `None` if the file is none, or of another issuer or hash.
    pub(crate) fn from_file(owner: &Arc<Owner>, file: Bytes) -> Option<Self> {
        let (length, rest) = file.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
        let length =
            usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= HEAD_BYTES_MAX)?;
        let (head, records) = rest.split_at_checked(length)?;
        let start = file.len() - records.len();
        let head: Head = serde_json::from_slice(head).ok()?;
        if head.issuer != owner.issuer
            || head.hash != owner.hash.into()
            || !records.len().is_multiple_of(ENTRY_BYTES)
        {
            return None;
        }
        let signer = |signer: SignerHead| {
            Some(AnswerSigner {
                responder_key_hash: signer.key_hash.into_vec().try_into().ok()?,
                certificate: signer.certificate.map(ingam_protocol::Bytes::into_vec),
                not_after: signer.not_after,
                validity: Duration::from_secs(signer.validity_s),
            })
        };
        let signers = head.signers.into_iter().map(signer).collect::<Option<Vec<_>>>()?;
        Self::new(Arc::clone(owner), signers, file, start)
    }
}
