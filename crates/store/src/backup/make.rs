//! A set is written: what is new, encrypted, then the list of it.

use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingam_journal::files::File;
use ingam_journal::folders::{Folders, InOrder, Kind};
use ingam_protocol::Timestamp;
use ingam_protocol::bytes::hex;
use ingam_protocol::time::Random;
use ring::digest::{Context, SHA256};
use serde::Serialize;

use super::age::{Encrypting, Recipient};
use super::manifest::{
    FORMAT, FileEntry, Manifest, Sets, SigningKey, object_path, path_of, read_sets, write_set,
};
use super::{EXPORT, EXPORT_MAGIC, Snapshot};
use crate::error::Error;
use crate::table::CLASSES;

/// So many rows are read at once.
const ROWS_PER_READ: usize = 1000;

const BUFFER_BYTES: usize = 64 << 10;

/// Folders in folders, at most.
const DEPTH_MAX: usize = 8;

/// What a set is to have.
pub struct BackupPlan<'a> {
    /// Where both folders are.
    pub disk: &'a dyn Folders,
    /// The state folder.
    pub state: &'a Path,
    /// Its files and folders that go along, beside store and journal.
    pub parts: &'a [String],
    /// Where sets lie; it is there.
    pub folder: &'a Path,
    /// Who can open it.
    pub recipient: Recipient,
    /// Who says what is in it.
    pub key: &'a SigningKey,
    /// The moment of the snapshot.
    pub now: Timestamp,
    /// Keys of files.
    pub random: &'a dyn Random,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The set's number in its folder.
    pub number: u64,
    /// Files in it.
    pub files: u64,
    /// Files of which an earlier set had the contents already.
    pub known: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
    /// Rows of the store.
    pub rows: u64,
    /// The key that signed it, in hexadecimal digits.
    pub signed_by: String,
}

/// Writes a set. Blocks.
///
/// # Errors
/// [`Error`]; what was written until then is no set and goes again, or is written over by the next one.
pub fn make(plan: &BackupPlan<'_>, snapshot: &Snapshot) -> Result<Made, Error> {
    let BackupPlan { disk, folder, key, .. } = *plan;
    let sets = read_sets(disk, folder)?;
    if sets.key.as_ref().is_some_and(|signed_by| *signed_by != key.public()) {
        let why =
            "the folder has backups of another CA, or of another life of this one: give a folder of its own";
        return Err(Error::Row("a backup", why.into()));
    }
    for name in ["sets", "objects"] {
        let path = folder.join(name);
        let failed = |cause| Error::File(format!("making {}", path.display()), cause);
        if disk.kind(&path).map_err(failed)?.is_none() {
            disk.make_folder(&path).map_err(failed)?;
        }
    }
    // Without this the two could go with the power, with everything in them. They may be there and not certain.
    disk.sync_folder(folder).map_err(|cause| Error::File(format!("syncing {}", folder.display()), cause))?;
    let mut writer =
        Writer { plan, known: known(&sets), files: Vec::new(), new: Vec::new(), made: Made::default() };
    if let Err(error) = writer.put_everything(snapshot) {
        writer.take_back();
        return Err(error);
    }
    let number = sets.last + 1;
    let files = std::mem::take(&mut writer.files);
    let count = files.len() as u64;
    let manifest = Manifest { format: FORMAT, number, made: plan.now, previous: sets.head, files };
    if let Err(error) = write_set(disk, folder, &manifest, key) {
        // One that has its name already may stay, and then needs what is in it.
        if disk.kind(&path_of(folder, number)).is_ok_and(|kind| kind.is_none()) {
            writer.take_back();
        }
        return Err(error);
    }
    Ok(Made { number, files: count, signed_by: key.public(), ..writer.made })
}

fn known(sets: &Sets) -> BTreeMap<String, FileEntry> {
    let all = sets.manifests.iter().flat_map(|set| &set.files);
    all.map(|file| (file.sha256.clone(), file.clone())).collect()
}

struct Writer<'a> {
    plan: &'a BackupPlan<'a>,
    known: BTreeMap<String, FileEntry>,
    files: Vec<FileEntry>,
    /// Objects that no set has yet.
    new: Vec<PathBuf>,
    made: Made,
}

/// Counts and hashes what goes through.
struct Hashing<T> {
    inner: T,
    context: Context,
    bytes: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, context: Context::new(&SHA256), bytes: 0 }
    }

    fn end(self) -> (T, String, u64) {
        (self.inner, hex(self.context.finish().as_ref()), self.bytes)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.context.update(bytes.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Something that is read into a set, and may know how many rows it was.
trait Source: Read {
    fn rows(&self) -> u64 {
        0
    }
}

impl<R: Read> Source for io::Take<R> {}

struct Put {
    rows: u64,
}

impl Writer<'_> {
    fn put_everything(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let plan = self.plan;
        self.made.rows = self.put(EXPORT, RowsReader::new(snapshot))?.rows;
        for segment in &snapshot.segments {
            let path = plan.state.join("journal").join(segment.file_name());
            let failed = |cause| Error::File(format!("reading {}", path.display()), cause);
            let name = format!("journal/{}", segment.file_name());
            // A closed segment's file never changes: of that name and length, it is the one that an earlier set has.
            if segment.closed && self.put_again(&name, segment.file_bytes)? {
                continue;
            }
            let file = plan.disk.read(&path).map_err(failed)?;
            self.put(&name, buffered(file).take(segment.file_bytes))?;
            if self.files.last().is_some_and(|file| file.bytes != segment.file_bytes) {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        for part in plan.parts {
            self.put_all(part, 0)?;
        }
        let synced = plan.disk.sync_folder(&plan.folder.join("objects"));
        synced.map_err(|cause| Error::File("syncing the backup".to_owned(), cause))
    }

    /// Removes what was written for a set that does not come about: on a full disk it would be in the next one's way.
    fn take_back(&self) {
        for path in self.new.iter().chain([&self.unfinished()]) {
            if let Err(error) = self.plan.disk.remove_all(path) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, path = %path.display(), "it is in no backup, and cannot be removed");
            }
        }
    }

    fn unfinished(&self) -> PathBuf {
        self.plan.folder.join("objects").join("unfinished.new")
    }

    /// Puts a file in that an earlier set has under the same name and with the same length. Whether one has.
    fn put_again(&mut self, path: &str, bytes: u64) -> Result<bool, Error> {
        let earlier = self.known.values().find(|file| file.path == path && file.bytes == bytes);
        let Some(sha256) = earlier.map(|file| file.sha256.clone()) else { return Ok(false) };
        self.refer(path, &sha256)
            .map_err(|cause| Error::File(format!("looking for {path} in the backup"), cause))
    }

    fn refer(&mut self, path: &str, sha256: &str) -> io::Result<bool> {
        let Some(entry) = self.known.get(sha256) else { return Ok(false) };
        match self.plan.disk.read(&object_path(self.plan.folder, sha256)) {
            Ok(there) if there.length()? == entry.object_bytes => {
                self.files.push(FileEntry { path: path.to_owned(), ..entry.clone() });
                self.made.known += 1;
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Encrypts a file into an object, which has its name once it is whole.
    fn put(&mut self, path: &str, mut source: impl Source) -> Result<Put, Error> {
        let plan = self.plan;
        let unfinished = self.unfinished();
        let failed = |cause| Error::File(format!("putting {path} into the backup"), cause);
        let mut write = || -> io::Result<(String, u64, String, u64)> {
            let file = InOrder::new(plan.disk.create(&unfinished)?);
            let out = Hashing::new(BufWriter::with_capacity(BUFFER_BYTES, file));
            let mut plain = Hashing::new(Encrypting::new(out, plan.recipient, plan.random)?);
            io::copy(&mut source, &mut plain)?;
            let (encrypting, sha256, bytes) = plain.end();
            let (file, object_sha256, object_bytes) = encrypting.finish()?.end();
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync()?;
            Ok((sha256, bytes, object_sha256, object_bytes))
        };
        let (sha256, bytes, object_sha256, object_bytes) = write().map_err(failed)?;
        if self.refer(path, &sha256).map_err(failed)? {
            plan.disk.remove_file(&unfinished).map_err(failed)?;
        } else {
            let object = object_path(plan.folder, &sha256);
            plan.disk.rename(&unfinished, &object).map_err(failed)?;
            self.new.push(object);
            self.made.bytes_written += object_bytes;
            let entry = FileEntry { path: path.to_owned(), bytes, sha256, object_sha256, object_bytes };
            self.known.insert(entry.sha256.clone(), entry.clone());
            self.files.push(entry);
        }
        Ok(Put { rows: source.rows() })
    }

    /// Puts a file in, or a folder with everything in it. What goes meanwhile was on its way to another name.
    fn put_all(&mut self, part: &str, depth: usize) -> Result<(), Error> {
        let disk = self.plan.disk;
        let path: PathBuf = self.plan.state.join(part);
        let failed = |cause| Error::File(format!("reading {}", path.display()), cause);
        match disk.kind(&path).map_err(failed)? {
            Some(Kind::Folder) if depth < DEPTH_MAX => {
                let names = disk.list(&path).map_err(failed)?;
                let names = names.into_iter().filter_map(|name| name.into_string().ok());
                names.map(|name| format!("{part}/{name}")).try_for_each(|part| self.put_all(&part, depth + 1))
            }
            Some(Kind::File) if path.extension().is_none_or(|ending| ending != "new") => {
                match disk.read(&path) {
                    Ok(file) => self.put(part, buffered(file).take(u64::MAX)).map(drop),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(failed(error)),
                }
            }
            _ => Ok(()),
        }
    }
}

fn buffered(file: Arc<dyn File>) -> BufReader<InOrder> {
    BufReader::with_capacity(BUFFER_BYTES, InOrder::new(file))
}

/// The rows of a snapshot as bytes: `table u8 + bytes | key u32 + bytes | value u32 + bytes`, all big-endian, and a zero byte
/// behind the last.
struct RowsReader<'a> {
    snapshot: &'a Snapshot,
    tables: std::slice::Iter<'static, (crate::engine::Table, ingam_protocol::record::Class)>,
    table: Option<crate::engine::Table>,
    from: Vec<u8>,
    buffer: Vec<u8>,
    taken: usize,
    rows: u64,
    is_over: bool,
}

impl<'a> RowsReader<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let buffer = EXPORT_MAGIC.to_vec();
        let mut tables = CLASSES.iter();
        let table = tables.next().map(|(table, _)| *table);
        Self { snapshot, tables, table, from: Vec::new(), buffer, taken: 0, rows: 0, is_over: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        (self.buffer, self.taken) = (Vec::new(), 0);
        let Some(table) = self.table else {
            (self.buffer, self.is_over) = (vec![0], true);
            return Ok(());
        };
        let rows = self.snapshot.rows.range(table, &self.from, ROWS_PER_READ).map_err(io::Error::other)?;
        let Some((last, _)) = rows.last() else {
            self.table = self.tables.next().map(|(table, _)| *table);
            self.from.clear();
            return Ok(());
        };
        self.from = [last.as_slice(), &[0]].concat();
        let too_long = |_| io::Error::other("a row is too long");
        for (key, value) in &rows {
            self.buffer.push(u8::try_from(table.name().len()).map_err(too_long)?);
            self.buffer.extend_from_slice(table.name().as_bytes());
            for part in [key, value] {
                self.buffer.extend_from_slice(&u32::try_from(part.len()).map_err(too_long)?.to_be_bytes());
                self.buffer.extend_from_slice(part);
            }
        }
        self.rows += rows.len() as u64;
        Ok(())
    }
}

impl Read for RowsReader<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.buffer.len() {
            if self.is_over {
                return Ok(0);
            }
            self.fill()?;
        }
        let mut left = self.buffer.get(self.taken..).unwrap_or_default();
        let count = left.read(to)?;
        self.taken += count;
        Ok(count)
    }
}

impl Source for RowsReader<'_> {
    fn rows(&self) -> u64 {
        self.rows
    }
}
