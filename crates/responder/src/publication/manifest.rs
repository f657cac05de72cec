//! Which files of answers belong together, signed: a responder elsewhere believes nothing else.
//!
//! ```text
//! signature, base64url, or nothing | "\n" | JSON
//! ```

use ingam_protocol::bytes::{base64url, from_base64url, hex};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Bytes, Timestamp};
use ingam_signer::{DelegateCertificate, Issuer, IssuerUrls, KeyKind};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::corpus::Hash;

/// What is signed begins with this, so that the key signs nothing that could be taken for something else.
const CONTEXT: &[u8] = b"ingam answers manifest 1\n";
/// As long as a manifest may be: some hundred thousand tables.
pub(super) const MANIFEST_BYTES_MAX: usize = 16 << 20;
/// As long as a table's file may be.
pub(super) const TABLE_BYTES_MAX: u64 = 512 << 20;

/// Everything that a responder has to know beside the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Rises with each one.
    pub(crate) sequence: u64,
    pub(crate) made_at: Timestamp,
    /// Every change of a status up to this moment is in its tables; the epoch if that is not known.
    #[serde(default)]
    pub(crate) known_at: Timestamp,
    /// Until when there is another, if all is well.
    pub(crate) expires_at: Timestamp,
    pub(crate) issuers: Vec<ListedIssuer>,
    pub(crate) series: Vec<ListedSeries>,
    /// The certificates of responders apart from the CA that have a key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) delegates: Vec<ListedDelegate>,
}

/// An issuing CA that is answered for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListedIssuer {
    pub(crate) name: IssuerName,
    /// DER of its certificate.
    pub(crate) certificate: Bytes,
    /// DER of the root at the end of its usual chain.
    pub(crate) root: Bytes,
    /// DER of its subject, and the contents of its public key's BIT STRING: CertIDs have hashes of both.
    pub(crate) subject: Bytes,
    pub(crate) public_key: Bytes,
    pub(crate) key_identifier: Bytes,
    pub(crate) key: KeyKind,
    pub(crate) not_after: Timestamp,
    /// Where its certificates say that things are.
    pub(crate) ocsp_url: String,
    pub(crate) issuer_url: String,
    pub(crate) crl_url: String,
}

impl ListedIssuer {
    pub(super) fn of(issuer: &Issuer) -> Self {
        Self {
            name: issuer.name.clone(),
            certificate: issuer.certificate.clone().into(),
            root: issuer.root.clone().into(),
            subject: issuer.subject.clone().into(),
            public_key: issuer.public_key.clone().into(),
            key_identifier: issuer.key_identifier.clone().into(),
            key: issuer.key,
            not_after: issuer.not_after,
            ocsp_url: issuer.urls.ocsp.clone(),
            issuer_url: issuer.urls.issuer.clone(),
            crl_url: issuer.urls.crl.clone(),
        }
    }

    pub(super) fn issuer(&self) -> Issuer {
        let bytes = |bytes: &Bytes| bytes.clone().into_vec();
        Issuer {
            name: self.name.clone(),
            certificate: bytes(&self.certificate),
            chain: vec![bytes(&self.certificate)],
            root: bytes(&self.root),
            alternates: Vec::new(),
            subject: bytes(&self.subject),
            public_key: bytes(&self.public_key),
            key_identifier: bytes(&self.key_identifier),
            not_after: self.not_after,
            key: self.key,
            urls: IssuerUrls {
                ocsp: self.ocsp_url.clone(),
                issuer: self.issuer_url.clone(),
                crl: self.crl_url.clone(),
            },
        }
    }
}

/// What one issuer certified of one responder's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListedDelegate {
    pub(crate) issuer: IssuerName,
    /// What the CA's operator calls the key.
    pub(crate) responder: String,
    /// DER of the certificate.
    pub(crate) certificate: Bytes,
}

impl From<DelegateCertificate> for ListedDelegate {
    fn from(delegate: DelegateCertificate) -> Self {
        let DelegateCertificate { issuer, responder, certificate, .. } = delegate;
        Self { issuer, responder: responder.unwrap_or_default(), certificate: certificate.into() }
    }
}

/// The tables of one issuer under one hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListedSeries {
    pub(crate) issuer: IssuerName,
    pub(crate) hash: Hash,
    /// The thisUpdate of the oldest answer about a certificate that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) oldest: Option<Timestamp>,
    /// Side by side, in the order of their serial numbers.
    pub(crate) base: Vec<ListedTable>,
    /// On top of those and of each other, the newest first.
    pub(crate) newer: Vec<ListedTable>,
}

/// A table's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListedTable {
    /// SHA-256 of the file, hexadecimal: its name, too.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

impl ListedTable {
    pub(super) fn of(file: &[u8]) -> Self {
        Self {
            sha256: hex(digest(&SHA256, file).as_ref()),
            bytes: u64::try_from(file.len()).unwrap_or(u64::MAX),
        }
    }

    /// Whether these bytes are the file.
    pub(super) fn is(&self, file: &[u8]) -> bool {
        *self == Self::of(file)
    }

    /// The file's name: nothing but the digest's digits, whoever wrote the manifest.
    pub(super) fn file(&self) -> Option<String> {
        let is_digest = self.sha256.len() == 64 && self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_digest && self.bytes <= TABLE_BYTES_MAX).then(|| format!("{}.answers", self.sha256))
    }
}

impl Manifest {
    /// All files that it names.
    pub(super) fn tables(&self) -> impl Iterator<Item = &ListedTable> {
        self.series.iter().flat_map(|series| series.base.iter().chain(&series.newer))
    }

    /// Its file, signed if there is a key.
    pub(super) fn to_file(&self, key: Option<&Ed25519KeyPair>) -> Vec<u8> {
        // Text, numbers and bytes are always JSON.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let signature =
            key.map(|key| base64url(key.sign(&[CONTEXT, &json].concat()).as_ref())).unwrap_or_default();
        [signature.as_bytes(), b"\n", &json].concat()
    }

    /// Reads one. With a public key, its signature must be right; without, it is one's own, and needs none.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn from_file(file: &[u8], key: Option<&[u8]>) -> Result<Self, String> {
        let end = file.iter().position(|byte| *byte == b'\n').ok_or("is no manifest of answers")?;
        let (signature, json) =
            (file.get(..end).unwrap_or_default(), file.get(end + 1..).unwrap_or_default());
        if let Some(key) = key {
            let signature = std::str::from_utf8(signature).ok().and_then(from_base64url).unwrap_or_default();
            let signed = [CONTEXT, json].concat();
            UnparsedPublicKey::new(&ED25519, key)
                .verify(&signed, &signature)
                .map_err(|_| "is not signed by the key that the configuration names")?;
        }
        serde_json::from_slice(json).map_err(|error| format!("is no manifest of this version: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::KeyPair;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a key of its own for each run is as good as any")]
    fn key() -> Ed25519KeyPair {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()
    }

    #[test]
    fn a_manifest_is_believed_as_it_was_signed_and_not_otherwise() {
        let manifest = Manifest {
            sequence: 7,
            made_at: Timestamp::from_unix_s(1_795_255_200),
            known_at: Timestamp::from_unix_s(1_795_255_200),
            expires_at: Timestamp::from_unix_s(1_795_258_800),
            issuers: Vec::new(),
            series: Vec::new(),
            delegates: Vec::new(),
        };
        let (own, other) = (key(), key());
        let file = manifest.to_file(Some(&own));
        let public = own.public_key().as_ref();
        assert_eq!(Manifest::from_file(&file, Some(public)), Ok(manifest.clone()));
        assert_eq!(Manifest::from_file(&manifest.to_file(None), None), Ok(manifest.clone()));
        for wrong in [manifest.to_file(None), manifest.to_file(Some(&other)), file[1..].to_vec(), Vec::new()]
        {
            assert!(Manifest::from_file(&wrong, Some(public)).is_err());
        }
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(Manifest::from_file(&changed, Some(public)).is_err(), "at {at}");
        }
    }

    #[test]
    fn the_name_of_a_file_leads_nowhere_else() {
        let listed = |sha256: &str, bytes| ListedTable { sha256: sha256.to_owned(), bytes }.file();
        assert_eq!(listed(&"a".repeat(64), 1), Some(format!("{}.answers", "a".repeat(64))));
        assert_eq!(listed(&"../".repeat(21), 1), None);
        assert_eq!(listed(&"a".repeat(63), 1), None);
        assert_eq!(listed(&"a".repeat(64), TABLE_BYTES_MAX + 1), None);
    }
}
