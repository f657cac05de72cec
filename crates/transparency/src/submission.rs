//! What is submitted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ingam_protocol::certificate::Validity;
use ingam_protocol::transparency::{self, Entry, LogId, issuer_key_hash, scts_of, tbs_of};

use crate::Error;

/// The most CA certificates above a certificate.
const CHAIN_MAX: usize = 8;

/// The most bytes of a chain: logs take little more.
const BYTES_MAX: usize = 128 * 1024;

/// A precertificate or certificate with its chain.
#[derive(Clone, Debug)]
pub struct Submission {
    certificate: Vec<u8>,
    chain: Vec<Vec<u8>>,
    entry: Entry,
    validity: Validity,
}

impl Submission {
    /// Reads what is to be submitted: the DER of a precertificate or certificate, and of the CA certificates above it, its
    /// issuer first and the root last. Whether it is a precertificate is seen by its poison.
    ///
    /// # Errors
    /// [`Error::Submission`] if it is no such thing.
    pub fn new(certificate: Vec<u8>, chain: Vec<Vec<u8>>) -> Result<Self, Error> {
        let unread = transparency::Error::Der(ingam_protocol::der::Error::BadContents);
        let bytes = chain.iter().map(Vec::len).sum::<usize>() + certificate.len();
        if chain.len() > CHAIN_MAX || bytes > BYTES_MAX {
            return Err(Error::Submission(unread));
        }
        let issuer = chain.first().ok_or(Error::Submission(unread))?;
        let hash = issuer_key_hash(issuer).map_err(Error::Submission)?;
        let entry = Entry::submitted(&certificate, hash).map_err(Error::Submission)?;
        let validity = Validity::read(&certificate).ok_or(Error::Submission(unread))?;
        Ok(Self { certificate, chain, entry, validity })
    }

    /// What the logs' promises are about.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// From when to when the certificate is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether it is a precertificate.
    pub fn is_precertificate(&self) -> bool {
        matches!(self.entry, Entry::Precertificate { .. })
    }

    /// The logs whose promises the certificate carries; none for a precertificate.
    pub(crate) fn promised_by(&self) -> Vec<LogId> {
        let scts = tbs_of(&self.certificate).and_then(scts_of);
        scts.map(|list| list.scts().iter().map(|sct| sct.log).collect()).unwrap_or_default()
    }

    /// Where it is posted to at a log (RFC 6962, sections 4.1 and 4.2).
    pub(crate) fn path(&self) -> &'static str {
        if self.is_precertificate() { "/ct/v1/add-pre-chain" } else { "/ct/v1/add-chain" }
    }

    /// The body that is posted.
    pub(crate) fn body(&self) -> Bytes {
        let ders = std::iter::once(&self.certificate).chain(&self.chain);
        let chain: Vec<String> = ders.map(|der| STANDARD.encode(der)).collect();
        Bytes::from(serde_json::json!({ "chain": chain }).to_string())
    }
}
