//! The small interface over an embedded engine: sorted tables of bytes, and batches that go in whole or not at all.
//!
//! - [`Engine`] is the interface, [`Batch`] what is written through it.
//! - [`redb`] stands behind it by default, with a log in front of it that makes commits cheap; [`sled`] where loss on
//!   power failure is accepted.
//!
//! Both pass one suite of tests, in `contract`. What the bytes mean, and which format they have, is no concern of
//! this module.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::ops::Bound;

#[cfg(test)]
mod contract;
mod error;
mod log;
pub mod redb;
pub mod sled;

pub use error::EngineError;

/// A table, which is nothing but a name: it need not be made, and reads as empty before anything was put into it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Table(pub(crate) &'static str);

impl Table {
    /// The table of this name, of 1 to 255 bytes. Meant for constants, where a wrong length stops the compiler.
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= 255, "a table's name has 1 to 255 bytes");
        Self(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// What a commit promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Outlives a power cut from the moment that the commit returns.
    Durable,
    /// May be lost by a power cut or a crash of the process, together with everything relaxed that came after it, but
    /// never in part. The next durable commit makes it durable too.
    Relaxed,
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// At most this many bytes are one key.
pub const KEY_BYTES_MAX: usize = 1 << 10;

/// At most this many bytes are one value.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

// A record that the journal does not take would stay in the outbox for ever, and hold up all that come after it.
const _: () = assert!(VALUE_BYTES_MAX <= ingam_protocol::record::RECORD_BYTES_MAX);

/// At most this many bytes are the values of one batch.
pub const BATCH_BYTES_MAX: usize = 256 << 20;

/// Puts and deletes over any number of tables, which go in together. The last word on a key wins.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Batch {
    // Sorted: an engine opens each table once and walks its tree from left to right.
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl Batch {
    /// A batch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the value under the key, in place of any that is there.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.tables.entry(table).or_default().insert(key.into(), Some(value.into()));
    }

    /// Takes the key out, if it is there.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.tables.entry(table).or_default().insert(key.into(), None);
    }

    /// Adds everything of `later` behind what is here: where both have a word on a key, `later` has the last one.
    pub fn append(&mut self, later: Self) {
        for (table, changes) in later.tables {
            match self.tables.entry(table) {
                Entry::Vacant(vacant) => {
                    vacant.insert(changes);
                }
                Entry::Occupied(mut occupied) => occupied.get_mut().extend(changes),
            }
        }
    }

    /// What the batch says of a key: nothing (`None`), that it goes (`Some(None)`), or its value.
    pub fn change(&self, table: Table, key: &[u8]) -> Option<Option<&[u8]>> {
        self.tables.get(&table)?.get(key).map(Option::as_deref)
    }

    /// What the batch says of the keys of a table from `from` up to but without `to`: a value, or `None` for a key that
    /// goes. A range that ends before it begins is empty.
    pub(crate) fn changes_of(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let end = to.map_or(Bound::Unbounded, Bound::Excluded);
        let changes = self.tables.get(&table).filter(|_| to.is_none_or(|to| from < to));
        let range = changes.map(|changes| changes.range::<[u8], _>((Bound::Included(from), end)));
        range.into_iter().flatten().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(BTreeMap::is_empty)
    }

    /// How many keys it has a word on.
    pub fn len(&self) -> usize {
        self.tables.values().map(BTreeMap::len).sum()
    }

    /// Every change, by table and key: a value, or `None` for a key that goes.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.tables().flat_map(|(table, changes)| changes.map(move |(key, value)| (table, key, value)))
    }

    /// The same, table by table.
    pub(crate) fn tables(
        &self,
    ) -> impl Iterator<Item = (Table, impl Iterator<Item = (&[u8], Option<&[u8]>)>)> {
        self.tables.iter().map(|(table, changes)| {
            (*table, changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref())))
        })
    }

    /// Refuses keys, values and batches that are longer than any engine is asked to take.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let mut bytes = 0_usize;
        for (table, key, value) in self.iter() {
            let value = value.map_or(0, <[u8]>::len);
            bytes = bytes.saturating_add(value);
            if key.len() > KEY_BYTES_MAX || value > VALUE_BYTES_MAX || bytes > BATCH_BYTES_MAX {
                return Err(EngineError::TooLarge { table: table.name() });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Batch {
    // Keys and values may be personal or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.tables.iter().map(|(table, changes)| (table.name(), changes.len())))
            .finish()
    }
}

/// An embedded engine. Reads see everything that was committed before they began, durable or not, and nothing of a
/// commit in hand. Calls block on the disk: not for the threads of an async runtime.
pub trait Engine: Send + Sync {
    /// The value under the key, if there is one.
    ///
    /// # Errors
    /// [`EngineError`], which is never about what was asked for.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The pairs with keys from `from` up to but without `to` (`None`: to the end of the table), in ascending order
    /// and at most `limit` of them. A range that ends before it begins is empty.
    ///
    /// # Errors
    /// [`EngineError`], which is never about what was asked for.
    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, EngineError>;

    /// The last `limit` pairs of the same range, in descending order.
    ///
    /// # Errors
    /// [`EngineError`], which is never about what was asked for.
    fn range_last(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, EngineError>;

    /// Does everything in the batch, over all its tables, or nothing of it. An empty batch does nothing to the data;
    /// durable, it still makes durable what was relaxed before it.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] before anything was done. Any other error leaves it open whether the batch is in,
    /// until the engine was opened again; it may refuse everything until then.
    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError>;

    /// Writes rows anew that have come to rest, one close behind the other: those with keys from `from` up to but without `to`
    /// (`None`: to the end of the table), until `bytes` bytes are done. Nothing is another to whoever reads, and commits wait meanwhile.
    /// Gives where to go on; `None` at the end, and from an engine whose files would gain nothing.
    ///
    /// # Errors
    /// [`EngineError`]; nothing is lost, but the engine may refuse commits until it was opened again.
    fn pack(
        &self,
        _table: Table,
        _from: &[u8],
        _to: Option<&[u8]>,
        _bytes: usize,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(None)
    }

    /// Everything as it is now, for reading while commits go on.
    ///
    /// # Errors
    /// [`EngineError`], also from an engine that has none.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, EngineError> {
        Err(EngineError::Io {
            doing: "taking a snapshot",
            source: "this engine has none: a CA with backups needs store.engine = \"redb\"".into(),
        })
    }
}

/// What an engine held at one moment, whatever is committed afterwards.
pub trait Snapshot: Send + Sync {
    /// The pairs with keys from `from` on, in ascending order and at most `limit` of them.
    ///
    /// # Errors
    /// [`EngineError`], which is never about what was asked for.
    fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError>;
}

/// Whether the range cannot hold anything; engines differ in what they make of one that is upside down.
pub(crate) fn is_empty_range(from: &[u8], to: Option<&[u8]>, limit: usize) -> bool {
    limit == 0 || to.is_some_and(|to| to <= from)
}

/// Runs an engine's code that may panic over a damaged file, and makes an error of the panic.
pub(crate) fn catch_damage<T>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    // Unwind safety: what the closure was building is dropped with the panic, and nobody else has seen it.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("the engine panicked")
                .to_owned();
            Err(EngineError::Corrupt { doing, source: io::Error::other(said).into() })
        }
    }
}
