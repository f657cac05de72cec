//! Public keys that may never be used again: not in a certificate, not for an account.
//!
//! A key is blocked by its thumbprint, or by the SHA-256 of its SubjectPublicKeyInfo where nobody here has the key itself; who
//! asks about a key asks by both. Either is the row's key: two SHA-256 over different things never meet.

use ingam_protocol::key::PublicKey;
use ingam_protocol::operator::Principal;
use ingam_protocol::record::Record;
use ingam_protocol::{Bytes, Reason, Serial, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::open::Store;
use crate::table::KEYS_BLOCKED;
use crate::transaction::{Transaction, read_range, read_row};

/// What a blocked key is named by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyName {
    /// Its thumbprint (RFC 7638).
    #[default]
    Thumbprint,
    /// SHA-256 of its SubjectPublicKeyInfo.
    SpkiSha256,
}

impl KeyName {
    fn is_thumbprint(&self) -> bool {
        *self == Self::Thumbprint
    }
}

/// A blocked key: why, since when, and who said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyBlock {
    /// The key's thumbprint, or the hash of its SubjectPublicKeyInfo; the row's key.
    #[serde(skip)]
    pub hash: Bytes,
    /// Which of them.
    #[serde(default, skip_serializing_if = "KeyName::is_thumbprint")]
    pub named_by: KeyName,
    /// When.
    pub at: Timestamp,
    /// Why, in a CRL's words.
    pub reason: Reason,
    /// The certificate by which its holder revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// The operator who blocked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Principal>,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Where it was learned that the key is bad, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Store {
    /// Whether a key may never be used again, by either of its names.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn key_is_blocked(&self, key: &PublicKey) -> Result<bool, Error> {
        Ok(self.key_blocked(&key.thumbprint())? || self.key_blocked(&key.spki_hash())?)
    }

    /// Whether a key may never be used again, by this one of its names.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn key_blocked(&self, hash: &[u8]) -> Result<bool, Error> {
        self.engine()
            .get(KEYS_BLOCKED, hash)
            .map(|row| row.is_some())
            .map_err(|cause| Error::Engine("reading a blocked key", cause))
    }

    /// Why the key of this name is blocked.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn key_block(&self, hash: &[u8; 32]) -> Result<Option<KeyBlock>, Error> {
        let row: Option<KeyBlock> = read_row(self.engine(), KEYS_BLOCKED, hash)?;
        Ok(row.map(|row| KeyBlock { hash: hash.as_slice().into(), ..row }))
    }

    /// Blocked keys by the bytes of their names, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn key_blocks(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<KeyBlock>, Error> {
        let from = after.map_or(Vec::new(), |key| [key, &[0]].concat());
        let rows = read_range(self.engine(), KEYS_BLOCKED, &from, None, limit)?;
        let bad = |cause| Error::Row("a blocked key", Box::new(cause));
        let read = |(key, row): &(Vec<u8>, Vec<u8>)| {
            let block: KeyBlock = serde_json::from_slice(row).map_err(bad)?;
            Ok(KeyBlock { hash: key.as_slice().into(), ..block })
        };
        rows.iter().map(read).collect()
    }

    /// Blocks a key. `false`, and no record, if it is blocked already.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn key_block_insert(&self, block: KeyBlock, records: Vec<Record>) -> Result<bool, Error> {
        self.run(move |transaction| {
            if transaction.get(KEYS_BLOCKED, &block.hash)?.is_some() {
                return Ok(false);
            }
            transaction.put_row(KEYS_BLOCKED, block.hash.to_vec(), &block)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }

    /// Blocks many keys at once; those that are blocked already stay as they are. How many are new.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn key_blocks_insert(
        &self,
        blocks: Vec<KeyBlock>,
        records: Vec<Record>,
    ) -> Result<usize, Error> {
        self.run(move |transaction| {
            let mut new = 0;
            for block in &blocks {
                if transaction.get(KEYS_BLOCKED, &block.hash)?.is_none() {
                    transaction.put_row(KEYS_BLOCKED, block.hash.to_vec(), block)?;
                    new += 1;
                }
            }
            records.iter().for_each(|record| transaction.record(record));
            Ok(new)
        })
        .await
    }

    /// Lets a key be used again. `false`, and no record, if it is not blocked.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn key_block_delete(&self, hash: [u8; 32], records: Vec<Record>) -> Result<bool, Error> {
        self.run(move |transaction| {
            if transaction.get(KEYS_BLOCKED, &hash)?.is_none() {
                return Ok(false);
            }
            transaction.delete(KEYS_BLOCKED, hash);
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }
}

/// Whether a key is blocked as of this point of the transaction, by either of its names.
pub(crate) fn is_blocked(transaction: &Transaction<'_>, key: &PublicKey) -> Result<bool, Error> {
    Ok(transaction.get(KEYS_BLOCKED, &key.thumbprint())?.is_some()
        || transaction.get(KEYS_BLOCKED, &key.spki_hash())?.is_some())
}
