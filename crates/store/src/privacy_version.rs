//! The states of the privacy page that were in force: what it said, since when, and what that changed.

use ingam_protocol::Timestamp;
use ingam_protocol::record::Record;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::open::Store;
use crate::table::PRIVACY_VERSIONS;
use crate::transaction::{decode, read_range_last};

/// A state of the privacy page. What it said and changed is JSON of those who make the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PrivacyVersion {
    /// Its number, from 1.
    pub number: u64,
    /// Since when it is in force.
    pub at: Timestamp,
    /// The digest of what it says, hexadecimal.
    pub digest: String,
    /// What it says.
    pub facts: Box<RawValue>,
    /// What it changed.
    pub changes: Box<RawValue>,
    /// Whether those who agreed to something before have to be asked again.
    pub asks_consent: bool,
}

/// What the record of a new state says.
#[derive(Serialize)]
struct PageRecord<'a> {
    privacy_page: PageTold<'a>,
}

#[derive(Serialize)]
struct PageTold<'a> {
    version: VersionTold<'a>,
    digest: &'a str,
    facts: &'a RawValue,
}

#[derive(Serialize)]
struct VersionTold<'a> {
    number: u64,
    at: Timestamp,
    changes: &'a RawValue,
    asks_consent: bool,
}

impl PrivacyVersion {
    /// The payload of the record that says of it.
    ///
    /// # Errors
    /// [`Error::Row`] if it is no JSON.
    pub fn told(&self) -> Result<Vec<u8>, Error> {
        let Self { number, at, digest, facts, changes, asks_consent } = self;
        let (number, at, asks_consent) = (*number, *at, *asks_consent);
        let version = VersionTold { number, at, changes, asks_consent };
        let told = PageRecord { privacy_page: PageTold { version, digest, facts } };
        serde_json::to_vec(&told)
            .map_err(|cause| Error::Row("a version of the privacy page", Box::new(cause)))
    }
}

/// The state that a change of the configuration tells of: `Ok(None)` if it tells of something else.
pub(crate) fn told_of(payload: &[u8]) -> serde_json::Result<Option<PrivacyVersion>> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        privacy_page: Option<Page>,
    }
    #[derive(Deserialize)]
    struct Page {
        version: Version,
        digest: String,
        facts: Box<RawValue>,
    }
    #[derive(Deserialize)]
    struct Version {
        number: u64,
        at: Timestamp,
        changes: Box<RawValue>,
        asks_consent: bool,
    }
    let said: Said = serde_json::from_slice(payload)?;
    Ok(said.privacy_page.map(|Page { version, digest, facts }| {
        let Version { number, at, changes, asks_consent } = version;
        PrivacyVersion { number, at, digest, facts, changes, asks_consent }
    }))
}

impl Store {
    /// Puts a state of the page into force, behind all others. `false`, and no record, if there is one of this number.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn privacy_version_insert(
        &self,
        version: PrivacyVersion,
        records: Vec<Record>,
    ) -> Result<bool, Error> {
        self.run(move |transaction| {
            let key = version.number.to_be_bytes();
            if transaction.get(PRIVACY_VERSIONS, &key)?.is_some() {
                return Ok(false);
            }
            transaction.put_row(PRIVACY_VERSIONS, key, &version)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }

    /// The states of the page, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn privacy_versions_latest(&self, limit: usize) -> Result<Vec<PrivacyVersion>, Error> {
        let rows = read_range_last(self.engine(), PRIVACY_VERSIONS, &[], None, limit)?;
        let read = |(_, row)| decode::<PrivacyVersion>(PRIVACY_VERSIONS, Some(row)).transpose();
        rows.into_iter().filter_map(read).collect()
    }
}
