//! From an older format of the store to this version's, after a copy of what was there.
//!
//! A migration is a run of bounded durable batches that may be broken off and run again; the format's number is written
//! last. The journal is not touched by any: it only grows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingam_journal::files::sync_directory_at;
use ingam_protocol::acme::Order;

use crate::certificate::{certificate_find, certificate_put};
use crate::engine::{Batch, Durability, Engine, Table};
use crate::error::Error;
use crate::search;
use crate::table::{CERTIFICATES, FORMAT_VERSION, META, META_FORMAT, META_MIGRATION, ORDERS, certificate_of};
use crate::transaction::{Transaction, decode, read_range};

/// How many rows one batch of a migration looks at.
const ROWS_PER_BATCH: usize = 1000;

/// At most this many copies lie beside a store before another one is refused.
const COPIES_MAX: u32 = 10;

/// Brings tables of format `from` to [`FORMAT_VERSION`]. Blocks.
pub(crate) fn migrate(engine: &Arc<dyn Engine>, from: u64) -> Result<(), Error> {
    tracing::info!(from, to = FORMAT_VERSION, "the store is brought to this version's format");
    let mut batch = Batch::new();
    batch.put(META, META_MIGRATION, from.to_be_bytes());
    commit(engine.as_ref(), &batch)?;
    if from < 2 {
        index_certificates(engine.as_ref())?;
    }
    if from < 3 {
        pack_certificates(engine.as_ref())?;
        complete_orders(engine.as_ref())?;
    }
    let mut batch = Batch::new();
    batch.delete(META, META_MIGRATION);
    batch.put(META, META_FORMAT, FORMAT_VERSION.to_be_bytes());
    commit(engine.as_ref(), &batch)
}

/// Format 2: the indexes by which certificates are found.
fn index_certificates(engine: &dyn Engine) -> Result<(), Error> {
    each(engine, CERTIFICATES, |transaction, key, _| {
        let Some(row) = certificate_find(transaction, &key)? else { return Ok(()) };
        let bad = || Error::Row("a certificate", "its key names none".into());
        let (issuer, serial) = certificate_of(&key).ok_or_else(bad)?;
        // The names stand in the order; it is kept for as long as its certificate.
        let order: Option<Order> = transaction.row(ORDERS, row.order.as_bytes())?;
        let identifiers = order.map(|order| order.identifiers).unwrap_or_default();
        search::index(transaction, &issuer, &serial, &row, &identifiers);
        Ok(())
    })
}

/// Format 3: rows of certificates are packed.
fn pack_certificates(engine: &dyn Engine) -> Result<(), Error> {
    each(engine, CERTIFICATES, |transaction, key, _| match certificate_find(transaction, &key)? {
        Some(row) => certificate_put(transaction, key, &row),
        None => Ok(()),
    })
}

/// Format 3: orders whose certificate is on record have no bytes that were to be signed.
fn complete_orders(engine: &dyn Engine) -> Result<(), Error> {
    each(engine, ORDERS, |transaction, key, value| {
        let Some(mut order) = decode::<Order>(ORDERS, Some(value))? else { return Ok(()) };
        let Some(serial) = order.certificate.take() else { return Ok(()) };
        order.complete(serial);
        transaction.put_row(ORDERS, key, &order)
    })
}

/// Does something about each row of a table, in bounded batches.
fn each(
    engine: &dyn Engine,
    table: Table,
    change: impl Fn(&mut Transaction<'_>, Vec<u8>, Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut from = Vec::new();
    loop {
        let rows = read_range(engine, table, &from, None, ROWS_PER_BATCH)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = [last.as_slice(), &[0]].concat();
        let nothing = Batch::new();
        let mut transaction = Transaction::new(engine, &nothing, 0);
        for (key, value) in rows {
            change(&mut transaction, key, value)?;
        }
        commit(engine, &transaction.finish().batch)?;
    }
}

fn commit(engine: &dyn Engine, batch: &Batch) -> Result<(), Error> {
    let committed = engine.commit(batch, Durability::Durable);
    committed.map_err(|cause| Error::Engine("bringing the store to this version's format", cause))
}

/// Copies the store's files, into a folder that is there whole or not at all. The keys of contacts stay where they are: a copy
/// of them would outlive an erasure. A copy
/// that is there already is of an earlier life of the store, and stays: the new one gets a number behind its name. Gives
/// its path.
pub(crate) fn copy_before(directory: &Path, format: u64) -> Result<PathBuf, Error> {
    let name = format!("before-format-{}", format + 1);
    let names = std::iter::once(name.clone()).chain((1..COPIES_MAX).map(|number| format!("{name}.{number}")));
    let free = names.map(|name| directory.join(name)).find(|path| !path.exists());
    let target = free.ok_or_else(|| {
        let doing = format!(
            "copying the store before it is brought to this version's format: move {name} and the like away"
        );
        Error::File(doing, io::ErrorKind::AlreadyExists.into())
    })?;
    let failed = |doing: &str, path: &Path| {
        let doing = format!(
            "copying the store before it is brought to this version's format: {doing} {} (make room, or use the older \
             program)",
            path.display()
        );
        move |cause: io::Error| Error::File(doing, cause)
    };
    let unfinished = directory.join(format!("{name}.new"));
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("removing", &unfinished)(error));
        }
        _ => {}
    }
    make_folder(&unfinished).map_err(failed("making", &unfinished))?;
    for name in ["store.redb", "store.redb.log", "store.sled"] {
        let path = directory.join(name);
        if path.exists() {
            copy(&path, &unfinished.join(name)).map_err(failed("copying", &path))?;
        }
    }
    sync_directory_at(&unfinished).map_err(failed("syncing", &unfinished))?;
    fs::rename(&unfinished, &target).map_err(failed("naming", &target))?;
    sync_directory_at(directory).map_err(failed("syncing", directory))?;
    Ok(target)
}

/// Makes a folder for the owner alone.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    // What is copied is for the owner alone.
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// Copies a file, or a folder with everything in it, and syncs it. Modes go along.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        make_folder(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return sync_directory_at(to);
    }
    fs::copy(from, to)?;
    fs::File::open(to)?.sync_all()
}
