//! An entry with everything that a log shows of it.

use ingam_protocol::bytes::hex;
use ring::digest::{SHA256, digest};

/// What of a MerkleTreeLeaf stands before its TimestampedEntry: version and type (RFC 6962, section 3.4).
const LEAF_HEAD: usize = 2;

/// One entry.
pub(super) struct Kept {
    /// The MerkleTreeLeaf.
    pub(super) leaf: Vec<u8>,
    /// What was submitted (DER) and everything above it, the root included.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) is_precertificate: bool,
}

impl Kept {
    /// `extra_data` of get-entries: `certificate_chain`, or PrecertChainEntry (RFC 6962, section 4.6).
    pub(super) fn extra_data(&self) -> Result<Vec<u8>, String> {
        let (mut data, mut above) = (Vec::new(), Vec::new());
        if self.is_precertificate {
            put(&mut data, self.submitted()?)?;
        }
        for issuer in self.issuers() {
            put(&mut above, issuer)?;
        }
        put(&mut data, &above)?;
        Ok(data)
    }

    /// TileLeaf (static-ct-api, "Log entries").
    pub(super) fn tile_leaf(&self) -> Result<Vec<u8>, String> {
        let mut data = self.leaf.get(LEAF_HEAD..).ok_or("the leaf is none")?.to_vec();
        if self.is_precertificate {
            put(&mut data, self.submitted()?)?;
        }
        let fingerprints: Vec<u8> = self.issuers().flat_map(|issuer| fingerprint(issuer)).collect();
        let length = u16::try_from(fingerprints.len()).map_err(|_| "the chain is too long")?;
        data.extend(length.to_be_bytes());
        data.extend(fingerprints);
        Ok(data)
    }

    /// The CA certificate of its chain with this SHA-256, in hexadecimal digits.
    pub(super) fn issuer(&self, name: &str) -> Option<&Vec<u8>> {
        self.issuers().find(|issuer| hex(&fingerprint(issuer)) == name)
    }

    fn submitted(&self) -> Result<&[u8], String> {
        self.chain.first().map(Vec::as_slice).ok_or_else(|| "the chain is empty".to_owned())
    }

    fn issuers(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.chain.iter().skip(1)
    }
}

fn fingerprint(certificate: &[u8]) -> Vec<u8> {
    digest(&SHA256, certificate).as_ref().to_vec()
}

/// Bytes behind their length in three octets.
fn put(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    let length = u32::try_from(bytes.len()).map_err(|_| "the chain is too long")?.to_be_bytes();
    let [0, length @ ..] = length else { return Err("the chain is too long".to_owned()) };
    to.extend(length);
    to.extend(bytes);
    Ok(())
}
