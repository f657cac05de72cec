//! The store made anew from the journal.
//!
//! ```text
//! old store, if it opens ──outbox──▶ journal ──records, class by class──▶ fold ──batches──▶ new store
//!                                                                            what was open is given up ──▶ its outbox
//! new store ──one rename──▶ store.redb        the old one stays as store.before-rebuild-N/
//! ```
//!
//! - `fold` says which rows a record changes: what the transaction that wrote it did.
//! - [`TABLES`] says of each table what a rebuilt store has of it.
//! - [`rebuild`] does it to a state folder that no process uses; [`rebuild_into`] to parts, as tests have them.
//!
//! Until the rename, the old store is what counts: a rebuild that was broken off is begun again.

mod end;
mod fold;
mod switch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ingam_journal::folders::Folders;
use ingam_journal::{Journal, JournalConfig, SegmentKeys};
use ingam_protocol::Timestamp;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::Random;
use serde::Serialize;
use serde_json::json;

use crate::backup::refuse_half_restored;
use crate::contact::SubjectKeys;
use crate::engine::{Batch, Durability, Engine, Table};
use crate::error::Error;
use crate::open::{Config, counter, files_of, open_engine};
use crate::status::StatusRow;
use crate::subject::erasures_keep;
use crate::table::{
    CERTIFICATES, EXTERNAL_SECRETS, FORMAT_VERSION, META, META_CRL_NUMBERS, META_FORMAT, META_GENERATION,
    META_SWEPT, OUTBOX, REVOKED, REVOKED_BY_GENERATION, SEGMENTS_GOING, STATUSES, end_of,
};
use crate::transaction::{Transaction, decode_counter, read_range};

pub(crate) use end::give_up_open;
pub use end::{Given, Margins};
pub(crate) use fold::BlockedSaid;
use fold::Unfolded;

/// So many records are one batch.
const RECORDS_PER_BATCH: usize = 2000;

/// A batch with more changes is written at once.
const CHANGES_PER_BATCH: usize = 50_000;

/// So many rows are copied in one batch.
const ROWS_PER_BATCH: usize = 1000;

/// The classes whose records tell of rows, in the order in which they are read. Wishes and receipts of erasures, and what is
/// known of contacts, come after the records that gave and took contacts; the receipts after the wishes.
const CLASSES: [Class; 5] =
    [Class::Issuance, Class::CaLifecycle, Class::AccessLog, Class::PermissionChange, Class::Retention];

/// What a rebuilt store has of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Every row, as it was.
    Same,
    /// Every row; what may differ, and why.
    But(&'static str),
    /// Nothing; why that does no harm.
    Nothing(&'static str),
}

/// What a rebuilt store has of each table. A table that is missing here fails a test.
///
/// What was still in force when the segment of its record went was carried over, and is there (crates/store/src/in_force); what went
/// before there was that, and certificates whose segments have had their time, are not. Rows whose time was over, and whose
/// records are still there, come again, and go with the next sweep.
pub const TABLES: &[(&str, Kept)] = &[
    (
        "meta",
        Kept::But(
            "counters of CRLs and the generation are as high or higher: nothing is numbered twice; the last sweep was when the \
             old store or, without it, the newest record says; what was packed is packed again",
        ),
    ),
    ("accounts", Kept::But("a binding is empty where its subject's key is gone")),
    ("accounts_by_key", Kept::Same),
    ("contacts", Kept::But("sealed anew; none where the subject's key is gone")),
    ("subjects", Kept::But("also of contacts that an earlier version took, and knew nothing about")),
    (
        "erasures_open",
        Kept::But(
            "also subjects with a receipt whose key is there all the same: it goes once more; without the old store, what an \
             operator was about to erase and had no answer to is asked for again",
        ),
    ),
    ("external_keys", Kept::Same),
    (
        "external_secrets",
        Kept::But("they are on no record: taken from the old store, and none where it does not open"),
    ),
    (
        "orders",
        Kept::But(
            "those that had not ended are failed: their clients make new ones; leases are as they began",
        ),
    ),
    ("orders_by_account", Kept::Same),
    ("replacements", Kept::Same),
    ("authorizations", Kept::Nothing("control of names is shown again")),
    ("authorizations_by_identifier", Kept::Nothing("with the authorizations")),
    ("challenges_open", Kept::Nothing("with the authorizations")),
    ("issuances_open", Kept::Nothing("what was open is given up")),
    ("certificates", Kept::Same),
    ("certificate_dictionaries", Kept::But("none that no certificate needs")),
    ("statuses", Kept::But("what may have been signed and has no end on record is revoked")),
    ("revoked", Kept::But("as the statuses")),
    ("revoked_by_generation", Kept::But("as the statuses")),
    ("keys_blocked", Kept::Same),
    ("certificates_by_time", Kept::Same),
    ("certificates_by_account", Kept::Same),
    ("certificates_by_key", Kept::Same),
    ("certificates_by_name", Kept::Same),
    ("roles", Kept::Same),
    ("approvals", Kept::Same),
    ("name_rules", Kept::Same),
    ("names_blocked_below", Kept::Same),
    ("incidents", Kept::Same),
    ("incident_certificates", Kept::Same),
    ("incidents_by_certificate", Kept::Same),
    (
        "revocation_jobs",
        Kept::But("their counts are on no record; those that were open are given up, and begun anew by hand"),
    ),
    ("revocation_jobs_open", Kept::Nothing("with the jobs")),
    ("revocation_items", Kept::Nothing("with the jobs")),
    ("limit_buckets", Kept::Nothing("limits begin with nothing spent")),
    ("limit_overrides", Kept::Same),
    ("limit_spends", Kept::Nothing("with the limits")),
    ("pauses", Kept::Nothing("accounts are paused again when their checks fail again")),
    ("cases", Kept::Same),
    ("case_subjects", Kept::Same),
    ("privacy_versions", Kept::Same),
    ("holds", Kept::Same),
    ("holds_open", Kept::Same),
    (
        "segments_going",
        Kept::But(
            "taken from the old store; without it, the next sweep decides anew on what is there, and what went in the last moment \
             has no receipt",
        ),
    ),
    ("outbox", Kept::Nothing("it was moved into the journal first")),
];

/// What a rebuild did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Records that were read.
    pub records: u64,
    /// Records that this version cannot read: what they told is missing. The first of them by name.
    pub unreadable: u64,
    /// Records that were destroyed when their time was over, by class: what they told is missing, but for what was still in
    /// force and carried over.
    pub destroyed: BTreeMap<Class, u64>,
    /// Records about what is not there in the end, as the record of its making has gone by its age.
    pub orphans: u64,
    /// The first records that could not be used.
    pub examples: Vec<String>,
    /// Rows of certificates.
    pub certificates: u64,
    /// Whether the old store could be opened, so that nothing is missing that was ever answered.
    pub outbox_moved: bool,
    /// What was open.
    pub given_up: Given,
}

/// Of at most so many records it is looked at once more whether what they are about is there in the end.
const ORPHANS_MAX: usize = 100_000;

/// At most so many records are named.
const EXAMPLES_MAX: usize = 20;

/// What a rebuild works with.
pub struct RebuildParts<'a> {
    /// The journal, which has everything that could be moved into it.
    pub journal: &'a Journal,
    /// An empty engine.
    pub new: &'a dyn Engine,
    /// The store as it was, if it opens.
    pub old: Option<&'a dyn Engine>,
    /// The keys of personal data.
    pub keys: Option<&'a SubjectKeys>,
    /// Why, for the record.
    pub reason: &'a str,
    /// What time it is.
    pub now: Timestamp,
    /// Names of records.
    pub random: &'a dyn Random,
}

/// Makes the store of a state folder anew from its journal. Nobody else may use the folder. Blocks, for long with many
/// certificates; memory does not grow with them.
///
/// # Errors
/// [`Error`]; the old store is in its place then, as it was. Only where the error says that the new one may not stay, that is
/// there.
pub fn rebuild(
    disk: &dyn Folders,
    directory: &Path,
    config: &Config,
    reason: &str,
    now: Timestamp,
    random: Arc<dyn Random>,
) -> Result<Rebuilt, Error> {
    refuse_half_restored(disk, directory)?;
    let files = |name: &str| files_of(disk, &directory.join(name));
    let segment_keys = SegmentKeys::open(files("journal-keys")?.as_ref(), random.clone())
        .map_err(|cause| Error::Journal("opening the keys of the journal", cause))?;
    let journal = Journal::open(files("journal")?, Arc::new(segment_keys), JournalConfig::default())
        .map_err(|cause| Error::Journal("opening the journal", cause))?;
    let keys = SubjectKeys::open(files("contacts")?, random.clone())?;
    let old = switch::old_engine(disk, directory, config)?;
    if let Some(old) = &old {
        move_outbox(old.as_ref(), &journal)?;
    }
    let fresh = switch::fresh_folder(disk, directory)?;
    let rebuilt = {
        let new = open_engine(disk, &fresh, config)?;
        let rebuilt = rebuild_into(&RebuildParts {
            journal: &journal,
            new: new.as_ref(),
            old: old.as_deref(),
            keys: Some(&keys),
            reason,
            now,
            random: random.as_ref(),
        })?;
        // Only this file is put in its place, so all of it has to be there.
        new.end().map_err(|cause| Error::Engine("closing the new store", cause))?;
        rebuilt
    };
    drop(old);
    switch::put_in_place(disk, directory, &fresh, config)?;
    Ok(rebuilt)
}

/// Moves what waits in a store into the journal, as the archiver does.
pub(crate) fn move_outbox(old: &dyn Engine, journal: &Journal) -> Result<(), Error> {
    loop {
        let waiting = read_range(old, OUTBOX, &[], None, ROWS_PER_BATCH)?;
        if waiting.is_empty() {
            return Ok(());
        }
        let records = waiting.iter().map(|(_, bytes)| Record::decode(bytes)).collect::<Result<Vec<_>, _>>();
        let records = records.map_err(|cause| Error::Row("a record of the outbox", Box::new(cause)))?;
        journal
            .append(&records)
            .map_err(|cause| Error::Journal("appending records to the journal", cause))?;
        let mut batch = Batch::new();
        waiting.into_iter().for_each(|(key, _)| batch.delete(OUTBOX, key));
        commit(old, &batch)?;
    }
}

/// Fills an empty engine from the journal. Blocks.
///
/// # Errors
/// [`Error`] if the journal cannot be read or the engine not be written.
pub fn rebuild_into(parts: &RebuildParts<'_>) -> Result<Rebuilt, Error> {
    let destroyed = destroyed(parts.journal);
    let mut rebuilt = Rebuilt { destroyed, outbox_moved: parts.old.is_some(), ..Rebuilt::default() };
    let mut orphans = Vec::new();
    for class in CLASSES {
        fold_class(parts, class, &mut rebuilt, &mut orphans)?;
    }
    rebuilt.count_orphans(parts, orphans)?;
    if let Some(old) = parts.old {
        copy_table(old, parts.new, EXTERNAL_SECRETS)?;
        copy_table(old, parts.new, SEGMENTS_GOING)?;
        erasures_keep(old, parts.new)?;
        keep_counters(old, parts.new)?;
    }
    keep_swept(parts)?;
    // What the last records before a loss were, nobody knows: numbers go on well behind those that are known.
    let margins = if rebuilt.outbox_moved { Margins::NONE } else { Margins::LOSS };
    margins.apply(parts.new)?;
    rebuilt.given_up = give_up_open(parts.new, !rebuilt.outbox_moved, parts.now, parts.random)?;
    let told = json!({ "from": "journal", "reason": parts.reason, "done": rebuilt });
    finish(parts.new, &told, parts.now, parts.random)?;
    Ok(rebuilt)
}

/// How many records each class had that are not in the journal any more.
fn destroyed(journal: &Journal) -> BTreeMap<Class, u64> {
    let (mut there, mut ever) = (BTreeMap::<Class, u64>::new(), BTreeMap::<Class, u64>::new());
    for info in journal.segments().into_iter().filter(|info| CLASSES.contains(&info.class)) {
        *there.entry(info.class).or_default() += info.records;
        let end = ever.entry(info.class).or_default();
        *end = (*end).max(info.first_index.saturating_add(info.records));
    }
    let missing =
        |(class, end): (Class, u64)| (class, end.saturating_sub(there.get(&class).copied().unwrap_or(0)));
    ever.into_iter().map(missing).filter(|(_, missing)| *missing > 0).collect()
}

/// A record about what was not there when it was read: its name, and where that would be.
type Orphan = (String, Table, Vec<u8>);

impl Rebuilt {
    fn example(&mut self, of: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(of);
        }
    }

    /// Counts those that are about what is not there in the end, either.
    fn count_orphans(&mut self, parts: &RebuildParts<'_>, orphans: Vec<Orphan>) -> Result<(), Error> {
        for (record, table, key) in orphans {
            let row = parts.new.get(table, &key);
            if row.map_err(|cause| Error::Engine("reading the new store", cause))?.is_none() {
                self.orphans += 1;
                self.example(format!("{record}: Orphan"));
                if table == CERTIFICATES {
                    forget_status(parts.new, &key, parts.now)?;
                }
            }
        }
        Ok(())
    }
}

/// What is said of a certificate that is gone and has ended went with it.
fn forget_status(new: &dyn Engine, certificate: &[u8], now: Timestamp) -> Result<(), Error> {
    let status = new.get(STATUSES, certificate);
    let status = status.map_err(|cause| Error::Engine("reading the new store", cause))?;
    let Some(status) = status.map(|row| StatusRow::decode(&row)).transpose()? else { return Ok(()) };
    if status.not_after >= now {
        return Ok(());
    }
    let mut batch = Batch::new();
    batch.delete(STATUSES, certificate);
    batch.delete(REVOKED, certificate);
    if status.state.is_revoked() {
        batch.delete(REVOKED_BY_GENERATION, status.generation.to_be_bytes());
    }
    write(new, &batch, Durability::Relaxed)
}

fn fold_class(
    parts: &RebuildParts<'_>,
    class: Class,
    rebuilt: &mut Rebuilt,
    orphans: &mut Vec<Orphan>,
) -> Result<(), Error> {
    let nothing = Batch::new();
    let mut transaction = Transaction::new(parts.new, &nothing, 0);
    let mut pending = 0;
    for record in parts.journal.records(class) {
        let record = record.map_err(|cause| Error::Journal("reading the journal", cause))?;
        rebuilt.records += 1;
        rebuilt.certificates += u64::from(record.kind == RecordType::CertificateIssued);
        let outcome = fold::fold(&mut transaction, &record, parts.keys)?;
        if let Err(unfolded) = outcome {
            let name = format!("{} {}", record.kind.name(), record.id);
            match unfolded {
                Unfolded::Orphan(table, key) if orphans.len() < ORPHANS_MAX => {
                    orphans.push((name, table, key));
                }
                Unfolded::Orphan(..) => rebuilt.orphans += 1,
                Unfolded::Unreadable => {
                    rebuilt.unreadable += 1;
                    rebuilt.example(format!("{name}: Unreadable"));
                }
            }
        }
        pending += 1;
        if pending >= RECORDS_PER_BATCH || transaction.len() >= CHANGES_PER_BATCH {
            let done = std::mem::replace(&mut transaction, Transaction::new(parts.new, &nothing, 0));
            write(parts.new, &done.finish().batch, Durability::Relaxed)?;
            pending = 0;
        }
    }
    commit(parts.new, &transaction.finish().batch)
}

fn copy_table(old: &dyn Engine, new: &dyn Engine, table: Table) -> Result<(), Error> {
    let mut from = Vec::new();
    loop {
        let rows = read_range(old, table, &from, None, ROWS_PER_BATCH)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = [last.as_slice(), &[0]].concat();
        let mut batch = Batch::new();
        rows.into_iter().for_each(|(key, value)| batch.put(table, key, value));
        commit(new, &batch)?;
    }
}

/// Counters never fall: the higher one of both stores counts.
fn keep_counters(old: &dyn Engine, new: &dyn Engine) -> Result<(), Error> {
    let mut batch = Batch::new();
    let lists = read_range(old, META, META_CRL_NUMBERS, end_of(META_CRL_NUMBERS).as_deref(), ROWS_PER_BATCH)?;
    let generation = (META_GENERATION.to_vec(), counter(old, META_GENERATION)?.to_be_bytes().to_vec());
    for (key, value) in lists.into_iter().chain([generation]) {
        let highest = decode_counter(Some(value))?.max(counter(new, &key)?);
        batch.put(META, key, highest.to_be_bytes());
    }
    commit(new, &batch)
}

/// When the last sweep was whose clock was believed. The records of the rebuild are as wrong as its clock: without the old store,
/// what was there before them counts, as before a first sweep.
fn keep_swept(parts: &RebuildParts<'_>) -> Result<(), Error> {
    let value = parts.old.map(|old| old.get(META, META_SWEPT)).transpose();
    let value = value.map_err(|cause| Error::Engine("reading when the last sweep was", cause))?.flatten();
    let newest = || {
        let told = parts.journal.segments().into_iter().filter(|info| info.class != Class::CaLifecycle);
        told.filter_map(|info| info.latest).max()
    };
    let Some(value) = value.or_else(|| newest().map(|at| at.unix_ms().to_be_bytes().to_vec())) else {
        return Ok(());
    };
    let mut batch = Batch::new();
    batch.put(META, META_SWEPT, value);
    commit(parts.new, &batch)
}

/// The end of a store that was made anew: the record of it, and the format, without which it is none.
pub(crate) fn finish(
    engine: &dyn Engine,
    told: &serde_json::Value,
    now: Timestamp,
    random: &dyn Random,
) -> Result<(), Error> {
    let nothing = Batch::new();
    let mut transaction = Transaction::new(engine, &nothing, crate::open::outbox_next(engine)?);
    transaction.record(&Record::new(RecordType::StoreRestored, now, told.to_string().into_bytes(), random));
    transaction.put(META, META_FORMAT, FORMAT_VERSION.to_be_bytes());
    commit(engine, &transaction.finish().batch)
}

pub(crate) fn commit(engine: &dyn Engine, batch: &Batch) -> Result<(), Error> {
    write(engine, batch, Durability::Durable)
}

fn write(engine: &dyn Engine, batch: &Batch, durability: Durability) -> Result<(), Error> {
    engine.commit(batch, durability).map_err(|cause| Error::Engine("writing the new store", cause))
}
