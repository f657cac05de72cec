//! Records, read back by operators.

use std::sync::Arc;

use ingam_store::{RecordQuery, RecordsFound};

use super::{Act, ActError};
use crate::Authority;
use crate::error::Fault;

impl Authority {
    /// The newest records that fit, oldest first; on record before they are given out, as they hold addresses.
    ///
    /// # Errors
    /// [`ActError::Fault`] if journal or store fail.
    pub async fn log_search(
        self: &Arc<Self>,
        act: &Act,
        query: RecordQuery,
        limit: usize,
    ) -> Result<RecordsFound, ActError> {
        let subject = query.subject;
        let found = self.log_read(query, limit).await?;
        self.personal_data_read(act, subject).await?;
        Ok(found)
    }

    /// The same without a record: for those who follow the log, which is on record once.
    ///
    /// # Errors
    /// [`ActError::Fault`] if journal or store fail.
    pub async fn log_read(
        self: &Arc<Self>,
        query: RecordQuery,
        limit: usize,
    ) -> Result<RecordsFound, ActError> {
        let store = self.store.clone();
        // Files are read from their beginning: not on a thread of the runtime.
        let read = tokio::task::spawn_blocking(move || store.records_find(&query, limit));
        match read.await {
            Ok(found) => Ok(found?),
            Err(cause) => Err(ActError::Fault(Fault {
                code: "log_read",
                doing: "reading records",
                passing: false,
                source: Box::new(cause),
            })),
        }
    }
}
