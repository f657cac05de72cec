//! Records, read back by operators.

use ingam_protocol::Timestamp;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_store::{RecordQuery, RecordsFound, RecordsPlace};
use serde_json::Value;

use super::{Act, ActError};
use crate::Authority;
use crate::error::Fault;

impl Authority {
    /// The newest records that fit, oldest first; on record before they are given out, as they hold addresses.
    ///
    /// # Errors
    /// [`ActError::Fault`] if journal or store fail.
    pub async fn log_search(
        &self,
        act: &Act,
        query: RecordQuery,
        limit: usize,
    ) -> Result<RecordsFound, ActError> {
        let subject = query.subject;
        let store = self.store.clone();
        let found = read_files(move || store.records_find(&query, limit)).await?;
        self.personal_data_read(act, subject).await?;
        Ok(found)
    }

    /// What the newest records tell that count OCSP requests without people, oldest first: at most `limit` hours.
    ///
    /// # Errors
    /// [`ActError::Fault`] if journal or store fail.
    pub async fn requests_counted(
        &self,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Value>, ActError> {
        let query = RecordQuery {
            classes: [Class::Aggregate].into(),
            kinds: [RecordType::OcspRequestsCounted].into(),
            from,
            until,
            ..RecordQuery::default()
        };
        let store = self.store.clone();
        let found = read_files(move || store.records_find(&query, limit)).await?;
        let payloads = found.records.iter().filter_map(|record| record.parts.first());
        Ok(payloads.filter_map(|part| serde_json::from_slice(&part.bytes).ok()).collect())
    }

    /// The place behind everything that is on record now: where somebody begins to follow the log, which is on record
    /// once.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub async fn log_end(&self) -> Result<RecordsPlace, ActError> {
        let store = self.store.clone();
        read_files(move || store.records_end()).await
    }

    /// Records that fit and came since the place, each once, at most `limit`, and the place behind them.
    ///
    /// # Errors
    /// [`ActError::Fault`] if journal or store fail.
    pub async fn log_since(
        &self,
        mut place: RecordsPlace,
        query: RecordQuery,
        limit: usize,
    ) -> Result<(RecordsPlace, Vec<Record>), ActError> {
        let store = self.store.clone();
        read_files(move || {
            let records = store.records_since(&mut place, &query, limit)?;
            Ok((place, records))
        })
        .await
    }
}

/// Files are read from their beginning: not on a thread of the runtime.
pub(crate) async fn read_files<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ingam_store::Error> + Send + 'static,
) -> Result<T, ActError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(read) => Ok(read?),
        Err(cause) => Err(ActError::Fault(Fault {
            code: "log_read",
            doing: "reading records",
            passing: false,
            source: Box::new(cause),
        })),
    }
}
