//! A state folder is made of a set. Everything is verified before anything is in its place.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use ingam_journal::folders::{Folders, InOrder, Kind};
use ingam_protocol::Timestamp;
use ingam_protocol::bytes::hex;
use ingam_protocol::time::Random;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::json;

use super::age::{Decrypting, Identity};
use super::manifest::{FileEntry, Manifest, object_path, read_sets};
use super::{EXPORT, EXPORT_MAGIC};
use crate::engine::{Batch, Durability, Engine, KEY_BYTES_MAX, Table, VALUE_BYTES_MAX};
use crate::error::Error;
use crate::open::{Config, files_of, open_engine};
use crate::rebuild::{Given, Margins, finish, give_up_open};
use crate::table::{CLASSES, FORMAT_VERSION, META, META_FORMAT};
use crate::transaction::decode_counter;

/// What a log of records is called that a restore has set aside, in front of the second in which it did, since the epoch.
pub const LOG_BEFORE_RESTORE: &str = "log.before-restore-";

/// Where a folder is made before it is in its place.
const UNFINISHED: &str = "restoring.new";

const BUFFER_BYTES: usize = 64 << 10;

/// So many rows, or bytes, are one batch.
const ROWS_PER_BATCH: usize = 1000;
const BYTES_PER_BATCH: usize = 16 << 20;

/// What is to be restored, and where.
pub struct RestorePlan<'a> {
    /// Where both folders are.
    pub disk: &'a dyn Folders,
    /// Where sets lie.
    pub from: &'a Path,
    /// What opens them.
    pub identity: &'a Identity,
    /// The key that has to have signed them, in hexadecimal digits, if one is insisted on.
    pub signer: Option<&'a str>,
    /// The state folder, which is empty or not there.
    pub to: &'a Path,
    /// The newest set that shows this second or an earlier one, instead of the newest of all.
    pub at: Option<Timestamp>,
    /// The set of this number.
    pub set: Option<u64>,
    /// The engine of the new store.
    pub config: &'a Config,
    /// What time it is.
    pub now: Timestamp,
    /// Names of records.
    pub random: &'a dyn Random,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The set.
    pub number: u64,
    /// The moment that it shows: what came after is not there.
    pub made: Timestamp,
    /// How many sets there are behind it.
    pub newer: u64,
    /// The key that signed it.
    pub signed_by: String,
    /// Files, the store's rows among them.
    pub files: u64,
    /// Rows of the store.
    pub rows: u64,
    /// What was open in it, and may have been signed since.
    pub given_up: Given,
}

fn wrong(what: impl Into<String>) -> Error {
    Error::Row("a backup", what.into().into())
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let doing = format!("{doing} {}", path.display());
    move |cause| Error::File(doing, cause)
}

/// Makes a state folder of a set. Blocks.
///
/// # Errors
/// [`Error`]; nothing that is there then starts. It can be run again, or says what to do before.
pub fn restore(plan: &RestorePlan<'_>) -> Result<Restored, Error> {
    let disk = plan.disk;
    let sets = read_sets(disk, plan.from)?;
    let signed_by = sets.key.clone().unwrap_or_default();
    if let Some(signer) = plan.signer.filter(|signer| *signer != signed_by) {
        return Err(wrong(format!("the sets were signed by {signed_by}, not by {signer}")));
    }
    let fits = |set: &&Manifest| {
        plan.at.is_none_or(|at| set.made.unix_s() <= at.unix_s())
            && plan.set.is_none_or(|number| set.number == number)
    };
    let set = sets.manifests.iter().rev().find(fits);
    let set = set.ok_or_else(|| wrong("the folder has no set, or none of that number or as old as that"))?;
    files_of(disk, plan.to)?;
    let unfinished = plan.to.join(UNFINISHED);
    empty(disk, plan.to, &unfinished)?;
    let mut folders = BTreeSet::new();
    make_folders(disk, plan.to, &unfinished, &mut folders)?;
    for file in &set.files {
        bring(plan, file, &unfinished, &mut folders)?;
    }
    let export = unfinished.join(EXPORT);
    let (rows, given_up) = {
        let engine = open_engine(disk, &unfinished, plan.config)?;
        let rows = import(disk, &export, engine.as_ref())?;
        Margins::LOSS.apply(engine.as_ref())?;
        let given_up = give_up_open(engine.as_ref(), true, plan.now, plan.random)?;
        let told = json!({
            "from": "backup", "set": set.number, "made": set.made, "signed_by": signed_by, "given_up": given_up,
        });
        finish(engine.as_ref(), &told, plan.now, plan.random)?;
        engine.end().map_err(|cause| Error::Engine("closing the restored store", cause))?;
        (rows, given_up)
    };
    disk.remove_file(&export).map_err(failed("removing", &export))?;
    for folder in &folders {
        disk.sync_folder(folder).map_err(failed("syncing", folder))?;
    }
    set_log_aside(disk, &unfinished, plan.now)?;
    put_in_place(disk, plan.to, &unfinished)?;
    let newer = sets.last - set.number;
    let files = set.files.len() as u64;
    Ok(Restored { number: set.number, made: set.made, newer, signed_by, files, rows, given_up })
}

/// Keeps the log of records as it was, for whoever holds one of its checkpoints. More may have been signed of it than this set
/// knows, so it is never gone on with: the next start begins another one, under a name that ends with this second.
fn set_log_aside(disk: &dyn Folders, folder: &Path, now: Timestamp) -> Result<(), Error> {
    let log = folder.join("log");
    if disk.kind(&log).map_err(failed("looking at", &log))? != Some(Kind::Folder) {
        return Ok(());
    }
    let aside = folder.join(format!("{LOG_BEFORE_RESTORE}{}", now.unix_s()));
    disk.rename(&log, &aside).map_err(failed("setting aside", &log))?;
    disk.sync_folder(folder).map_err(failed("syncing", folder))
}

/// Refuses a folder that holds something; what an earlier restore left unfinished goes.
fn empty(disk: &dyn Folders, folder: &Path, unfinished: &Path) -> Result<(), Error> {
    let names = disk.list(folder).map_err(failed("reading", folder))?;
    // The lock is the caller's own.
    let other = names.iter().find(|name| *name != "lock" && *name != UNFINISHED);
    match other {
        None => disk.remove_all(unfinished).map_err(failed("removing", unfinished)),
        // As long as it is there, nothing starts here: it goes last, by the operator's hand.
        Some(_) if names.iter().any(|name| name == UNFINISHED) => Err(Error::HalfRestored(folder.to_owned())),
        Some(name) => Err(wrong(format!(
            "{} is not empty: {} is in it; give a new folder",
            folder.display(),
            name.to_string_lossy()
        ))),
    }
}

/// Refuses a state folder in which a restore was broken off.
///
/// # Errors
/// [`Error::HalfRestored`], which says what to do; [`Error::File`].
pub fn refuse_half_restored(disk: &dyn Folders, state: &Path) -> Result<(), Error> {
    let unfinished = state.join(UNFINISHED);
    match disk.kind(&unfinished).map_err(failed("looking at", &unfinished))? {
        None => Ok(()),
        Some(_) => Err(Error::HalfRestored(state.to_owned())),
    }
}

/// Makes the folders between these two, and the second.
fn make_folders(
    disk: &dyn Folders,
    above: &Path,
    folder: &Path,
    made: &mut BTreeSet<PathBuf>,
) -> Result<(), Error> {
    for folder in folder.ancestors().take_while(|folder| *folder != above).collect::<Vec<_>>().iter().rev() {
        if !made.contains(*folder) {
            disk.make_folder(folder).map_err(failed("making", folder))?;
            made.insert(folder.to_path_buf());
        }
    }
    Ok(())
}

/// Decrypts an object to where its file belongs, and holds both against the list.
fn bring(
    plan: &RestorePlan<'_>,
    file: &FileEntry,
    root: &Path,
    folders: &mut BTreeSet<PathBuf>,
) -> Result<(), Error> {
    let relative = Path::new(&file.path);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(wrong(format!("{} lies outside of the folder", file.path)));
    }
    let object = object_path(plan.from, &file.sha256);
    let target = root.join(relative);
    if let Some(parent) = target.parent() {
        make_folders(plan.disk, plan.to, parent, folders)?;
    }
    let opened = plan.disk.read(&object).map_err(failed("opening", &object))?;
    let mut source = Hashed::new(BufReader::with_capacity(BUFFER_BYTES, InOrder::new(opened)));
    let bring = |source: &mut Hashed<_>| -> io::Result<(String, u64)> {
        let mut plain = Hashed::new(Decrypting::new(source, plan.identity)?);
        let mut to = InOrder::new(plan.disk.create(&target)?);
        io::copy(&mut plain, &mut to)?;
        to.sync()?;
        Ok(plain.end())
    };
    let (sha256, bytes) = bring(&mut source).map_err(failed("restoring from", &object))?;
    let (object_sha256, object_bytes) = source.end();
    if (&sha256, bytes, &object_sha256, object_bytes)
        != (&file.sha256, file.bytes, &file.object_sha256, file.object_bytes)
    {
        return Err(wrong(format!(
            "the object of {} is not the one that is on the list: it was changed",
            file.path
        )));
    }
    Ok(())
}

struct Hashed<R> {
    inner: R,
    context: Context,
    bytes: u64,
}

impl<R> Hashed<R> {
    fn new(inner: R) -> Self {
        Self { inner, context: Context::new(&SHA256), bytes: 0 }
    }

    fn end(self) -> (String, u64) {
        (hex(self.context.finish().as_ref()), self.bytes)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.context.update(buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Puts exported rows into an empty engine. The format is not among them: it is written last, by [`finish`].
fn import(disk: &dyn Folders, export: &Path, engine: &dyn Engine) -> Result<u64, Error> {
    let file = disk.read(export).map_err(failed("opening", export))?;
    let mut source = BufReader::with_capacity(BUFFER_BYTES, InOrder::new(file));
    let cut = || failed("reading", export);
    let mut magic = [0; EXPORT_MAGIC.len()];
    source.read_exact(&mut magic).map_err(cut())?;
    if magic != *EXPORT_MAGIC {
        return Err(wrong("the rows of the store are of another version: use that program"));
    }
    let (mut batch, mut bytes, mut rows) = (Batch::new(), 0, 0);
    loop {
        let mut length = [0];
        source.read_exact(&mut length).map_err(cut())?;
        if length == [0] {
            break;
        }
        let name = take(&mut source, usize::from(length[0])).map_err(cut())?;
        let table = CLASSES.iter().map(|(table, _)| *table).find(|table| table.name().as_bytes() == name);
        let table: Table =
            table.ok_or_else(|| wrong("it has a table that this program does not know: use a newer one"))?;
        let key = part(&mut source, KEY_BYTES_MAX).map_err(cut())?;
        let value = part(&mut source, VALUE_BYTES_MAX).map_err(cut())?;
        rows += 1;
        if table == META && key == META_FORMAT {
            if decode_counter(Some(value))? != FORMAT_VERSION {
                return Err(wrong("its store is of another format: restore with the program that made it"));
            }
            continue;
        }
        bytes += key.len() + value.len();
        batch.put(table, key, value);
        if batch.len() >= ROWS_PER_BATCH || bytes >= BYTES_PER_BATCH {
            commit(engine, &std::mem::take(&mut batch), Durability::Relaxed)?;
            bytes = 0;
        }
    }
    commit(engine, &batch, Durability::Durable)?;
    Ok(rows)
}

fn commit(engine: &dyn Engine, batch: &Batch, durability: Durability) -> Result<(), Error> {
    engine.commit(batch, durability).map_err(|cause| Error::Engine("writing the restored store", cause))
}

fn take(source: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn part(source: &mut impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    source.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    take(source, length)
}

/// Moves everything up to where it belongs. The folder that it comes from, in which everything is certain, goes last and for
/// certain only when everything has come: where it is, nothing starts.
fn put_in_place(disk: &dyn Folders, folder: &Path, unfinished: &Path) -> Result<(), Error> {
    let sync = || disk.sync_folder(folder).map_err(failed("syncing", folder));
    sync()?;
    for name in disk.list(unfinished).map_err(failed("reading", unfinished))? {
        let (from, to) = (unfinished.join(&name), folder.join(&name));
        disk.rename(&from, &to).map_err(failed("naming", &to))?;
    }
    sync()?;
    disk.remove_folder(unfinished).map_err(failed("removing", unfinished))?;
    sync()
}
