//! Rows that have come to rest are packed: tables whose keys begin with a time grow at their end, and their rows are longer while
//! they are worked on, so that their pages are left half empty or worse.

use ingam_protocol::{Id, Timestamp};

use crate::engine::Table;
use crate::error::Error;
use crate::open::Store;
use crate::table::{AUTHORIZATIONS, CERTIFICATES_BY_TIME, META, ORDERS, meta_packed};
use crate::transaction::read_value;

/// So much at a time, while commits wait: some milliseconds.
const BYTES_PER_BATCH: usize = 1 << 20;

/// At most this many times in one go.
const BATCHES_MAX: usize = 1000;

/// Where in a table the rows of a time begin.
type Beginning = fn(Timestamp) -> Vec<u8>;

/// The tables whose keys begin with a time.
const TABLES: [(Table, Beginning); 3] = [
    (ORDERS, by_id),
    (AUTHORIZATIONS, by_id),
    (CERTIFICATES_BY_TIME, |time| time.unix_ms().to_be_bytes().to_vec()),
];

fn by_id(time: Timestamp) -> Vec<u8> {
    Id::first_of(time).as_bytes().to_vec()
}

impl Store {
    /// Packs the rows of before `until` that were not packed before, at most some gigabytes of them. Whether that was all.
    ///
    /// # Errors
    /// [`Error`] if the engine fails; the next one goes on where this one ended.
    pub async fn rows_pack(&self, until: Timestamp) -> Result<bool, Error> {
        let mut is_all = true;
        for (table, at) in TABLES {
            let mark = meta_packed(table);
            let from = read_value(self.engine(), META, &mark)?.unwrap_or_default();
            let (store, to) = (self.clone(), at(until));
            let packed = tokio::task::spawn_blocking(move || store.pack_batches(table, from, to)).await;
            let (reached, is_done) = packed.map_err(|_| Error::Unavailable("the runtime is ending"))??;
            is_all &= is_done;
            self.run(move |transaction| {
                transaction.put(META, mark, reached);
                Ok(())
            })
            .await?;
        }
        Ok(is_all)
    }

    /// Gives how far it came, and whether that is the end.
    fn pack_batches(&self, table: Table, mut from: Vec<u8>, to: Vec<u8>) -> Result<(Vec<u8>, bool), Error> {
        for _ in 0..BATCHES_MAX {
            let next = self.engine().pack(table, &from, Some(&to), BYTES_PER_BATCH);
            match next.map_err(|cause| Error::Engine("packing rows that have come to rest", cause))? {
                Some(next) => from = next,
                // A clock that was ahead, once, is no reason to pack twice.
                None => return Ok((to.max(from), true)),
            }
        }
        Ok((from, false))
    }
}
