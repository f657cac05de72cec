//! What a transaction sees and does: the engine, the batch so far, and its own changes on top.

use std::collections::BTreeMap;

use ingam_protocol::record::Record;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::{Batch, Engine, Pair, Table};
use crate::error::Error;
use crate::status::StatusChange;
use crate::table::{META, META_GENERATION, OUTBOX};

/// One transaction while it runs. Transactions run one after another, so what one reads is still so when it writes.
pub(crate) struct Transaction<'a> {
    engine: &'a dyn Engine,
    /// What earlier transactions of the same sync changed.
    before: &'a Batch,
    changes: Batch,
    outbox_next: u64,
    generation: Option<u64>,
    statuses: Vec<StatusChange>,
}

/// What a transaction leaves behind once its body succeeded.
pub(crate) struct Changes {
    pub(crate) batch: Batch,
    pub(crate) outbox_next: u64,
    pub(crate) generation: Option<u64>,
    pub(crate) statuses: Vec<StatusChange>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(engine: &'a dyn Engine, before: &'a Batch, outbox_next: u64) -> Self {
        Self { engine, before, changes: Batch::new(), outbox_next, generation: None, statuses: Vec::new() }
    }

    pub(crate) fn finish(self) -> Changes {
        Changes {
            batch: self.changes,
            outbox_next: self.outbox_next,
            generation: self.generation,
            statuses: self.statuses,
        }
    }

    /// On how many keys it has a word.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Notes what the world may know of a serial number once this is committed.
    pub(crate) fn status_changed(&mut self, change: StatusChange) {
        self.statuses.push(change);
    }

    /// The value under a key, as of this point of the transaction.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.changes.change(table, key).or_else(|| self.before.change(table, key)) {
            Some(changed) => Ok(changed.map(<[u8]>::to_vec)),
            None => read_value(self.engine, table, key),
        }
    }

    /// The row under a key.
    pub(crate) fn row<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, Error> {
        decode(table, self.get(table, key)?)
    }

    /// The first `limit` pairs with keys from `from` up to but without `to`, as of this point of the transaction.
    pub(crate) fn range(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, Error> {
        let changed = [self.before, &self.changes];
        let changes = || changed.into_iter().flat_map(|batch| batch.changes_of(table, from, to));
        // What was deleted since must not shorten the page.
        let deleted = changes().filter(|(_, value)| value.is_none()).count();
        let read = read_range(self.engine, table, from, to, limit.saturating_add(deleted))?;
        let mut pairs: BTreeMap<Vec<u8>, Vec<u8>> = read.into_iter().collect();
        for (key, value) in changes() {
            match value {
                Some(value) => pairs.insert(key.to_vec(), value.to_vec()),
                None => pairs.remove(key),
            };
        }
        Ok(pairs.into_iter().take(limit).collect())
    }

    pub(crate) fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.put(table, key, value);
    }

    pub(crate) fn put_row<T: Serialize>(
        &mut self,
        table: Table,
        key: impl Into<Vec<u8>>,
        row: &T,
    ) -> Result<(), Error> {
        self.changes.put(table, key, encode(table, row)?);
        Ok(())
    }

    pub(crate) fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.delete(table, key);
    }

    /// Puts a record into the outbox: it is as durable as the change it tells of.
    pub(crate) fn record(&mut self, record: &Record) {
        self.changes.put(OUTBOX, self.outbox_next.to_be_bytes(), record.encode());
        self.outbox_next += 1;
    }

    /// The counter of this name and its next value, which it has from now on.
    pub(crate) fn count(&mut self, counter: &[u8]) -> Result<u64, Error> {
        self.count_above(counter, 0)
    }

    /// The same, and the next value is above `floor`, too.
    pub(crate) fn count_above(&mut self, counter: &[u8], floor: u64) -> Result<u64, Error> {
        let last = decode_counter(self.get(META, counter)?)?.max(floor);
        let full = || Error::Row("a counter", "it has come to its end".into());
        let next = last.checked_add(1).ok_or_else(full)?;
        self.put(META, counter, next.to_be_bytes());
        Ok(next)
    }

    /// The generation of statuses as of this point of the transaction.
    pub(crate) fn generation(&self) -> Result<u64, Error> {
        decode_counter(self.get(META, META_GENERATION)?)
    }

    /// Raises the generation of statuses: whatever was answered under an older one is checked again.
    pub(crate) fn raise_generation(&mut self) -> Result<u64, Error> {
        let raised = self.count(META_GENERATION)?;
        self.generation = Some(raised);
        Ok(raised)
    }
}

/// Reads outside a transaction: the value under a key, as of the last commit.
pub(crate) fn read_value(engine: &dyn Engine, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    engine.get(table, key).map_err(|cause| Error::Engine("reading a row", cause))
}

/// Reads outside a transaction: whole rows, as of the last commit.
pub(crate) fn read_row<T: DeserializeOwned>(
    engine: &dyn Engine,
    table: Table,
    key: &[u8],
) -> Result<Option<T>, Error> {
    decode(table, read_value(engine, table, key)?)
}

/// Reads pairs of a table in order, outside a transaction.
pub(crate) fn read_range(
    engine: &dyn Engine,
    table: Table,
    from: &[u8],
    to: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Pair>, Error> {
    engine.range(table, from, to, limit).map_err(|cause| Error::Engine("reading a range of rows", cause))
}

/// Reads the last pairs of a range, the last one first, outside a transaction.
pub(crate) fn read_range_last(
    engine: &dyn Engine,
    table: Table,
    from: &[u8],
    to: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Pair>, Error> {
    engine
        .range_last(table, from, to, limit)
        .map_err(|cause| Error::Engine("reading the end of a range", cause))
}

pub(crate) fn decode_counter(value: Option<Vec<u8>>) -> Result<u64, Error> {
    match value.map(<[u8; 8]>::try_from) {
        None => Ok(0),
        Some(Ok(bytes)) => Ok(u64::from_be_bytes(bytes)),
        Some(Err(_)) => Err(Error::Row("a counter", "it has not eight bytes".into())),
    }
}

pub(crate) fn decode<T: DeserializeOwned>(table: Table, value: Option<Vec<u8>>) -> Result<Option<T>, Error> {
    match value {
        None => Ok(None),
        Some(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|cause| Error::Row(table.name(), Box::new(cause))),
    }
}

fn encode<T: Serialize>(table: Table, row: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(row).map_err(|cause| Error::Row(table.name(), Box::new(cause)))
}
