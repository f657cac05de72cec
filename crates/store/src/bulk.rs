//! Finished issuances past the committer, many in a batch: how a store gets millions of certificates within minutes, for benchmarks.

use ingam_protocol::acme::Order;

use crate::certificate::{CertificateRow, certificate_put};
use crate::engine::{Batch, Engine};
use crate::error::Error;
use crate::order;
use crate::search;
use crate::status::{StatusState, status_put};
use crate::table::{ORDERS_BY_ACCOUNT, certificate_key, pair_key};
use crate::transaction::Transaction;

/// Rows that nobody has committed yet.
pub struct Bulk<'a> {
    engine: &'a dyn Engine,
    batch: Batch,
}

impl<'a> Bulk<'a> {
    /// Nothing yet. What is in the engine is seen; nobody else may write to it meanwhile.
    pub fn new(engine: &'a dyn Engine) -> Self {
        Self { engine, batch: Batch::new() }
    }

    /// All rows that a claimed order leaves once its certificate is on record: its own, the certificate's, its status, and
    /// where they are found. No record: the journal knows nothing of it.
    ///
    /// # Errors
    /// [`Error`] if the engine fails, or for an order without a claim.
    pub fn issued(&mut self, mut order: Order, row: &CertificateRow) -> Result<(), Error> {
        let claim = order.claim.clone().ok_or_else(|| Error::Row("an order", "it has no claim".into()))?;
        let mut transaction = Transaction::new(self.engine, &self.batch, 0);
        certificate_put(&mut transaction, certificate_key(&claim.issuer, &claim.serial), row)?;
        search::index(&mut transaction, &claim.issuer, &claim.serial, row, &order.identifiers);
        status_put(&mut transaction, &claim.issuer, &claim.serial, StatusState::Good, claim.not_after)?;
        transaction.put(ORDERS_BY_ACCOUNT, pair_key(order.account, order.id), Vec::new());
        order.complete(claim.serial);
        order::put(&mut transaction, &order)?;
        let changes = transaction.finish().batch;
        self.batch.append(changes);
        Ok(())
    }

    /// What is to be committed.
    pub fn into_batch(self) -> Batch {
        self.batch
    }
}
