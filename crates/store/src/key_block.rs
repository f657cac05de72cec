//! Public keys that may never be used again: not in a certificate, not for an account.

use ingam_protocol::operator::Principal;
use ingam_protocol::record::Record;
use ingam_protocol::{Bytes, Reason, Serial, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::open::Store;
use crate::table::KEYS_BLOCKED;
use crate::transaction::{read_range, read_row};

/// A blocked key: why, since when, and who said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyBlock {
    /// The key's thumbprint; the row's key.
    #[serde(skip)]
    pub thumbprint: Bytes,
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
}

impl Store {
    /// Whether the key of this thumbprint may never be used again.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn key_blocked(&self, thumbprint: &[u8; 32]) -> Result<bool, Error> {
        self.engine()
            .get(KEYS_BLOCKED, thumbprint)
            .map(|row| row.is_some())
            .map_err(|cause| Error::Engine("reading a blocked key", cause))
    }

    /// Why the key of this thumbprint is blocked.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn key_block(&self, thumbprint: &[u8; 32]) -> Result<Option<KeyBlock>, Error> {
        let row: Option<KeyBlock> = read_row(self.engine(), KEYS_BLOCKED, thumbprint)?;
        Ok(row.map(|row| KeyBlock { thumbprint: thumbprint.as_slice().into(), ..row }))
    }

    /// Blocked keys by thumbprint, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn key_blocks(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<KeyBlock>, Error> {
        let from = after.map_or(Vec::new(), |key| [key, &[0]].concat());
        let rows = read_range(self.engine(), KEYS_BLOCKED, &from, None, limit)?;
        let bad = |cause| Error::Row("a blocked key", Box::new(cause));
        let read = |(key, row): &(Vec<u8>, Vec<u8>)| {
            let block: KeyBlock = serde_json::from_slice(row).map_err(bad)?;
            Ok(KeyBlock { thumbprint: key.as_slice().into(), ..block })
        };
        rows.iter().map(read).collect()
    }

    /// Blocks a key. `false`, and no record, if it is blocked already.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn key_block_insert(&self, block: KeyBlock, records: Vec<Record>) -> Result<bool, Error> {
        self.run(move |transaction| {
            if transaction.get(KEYS_BLOCKED, &block.thumbprint)?.is_some() {
                return Ok(false);
            }
            transaction.put_row(KEYS_BLOCKED, block.thumbprint.to_vec(), &block)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }

    /// Lets a key be used again. `false`, and no record, if it is not blocked.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn key_block_delete(&self, thumbprint: [u8; 32], records: Vec<Record>) -> Result<bool, Error> {
        self.run(move |transaction| {
            if transaction.get(KEYS_BLOCKED, &thumbprint)?.is_none() {
                return Ok(false);
            }
            transaction.delete(KEYS_BLOCKED, thumbprint);
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }
}
