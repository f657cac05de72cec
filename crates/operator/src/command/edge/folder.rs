//! The folder of an export: files as they are asked for, an index, and nothing that is not whole.
//!
//! The path of a file is that of its URL. Base64 has slashes of its own, so an answer lies in folders as deep as it has them;
//! where two come together, there is one folder less, as a file system sees no difference. A request is never the beginning
//! of another one, as both are DER, so that no name has to be a file and a folder at once; what would be all the same, or has
//! a name that no file can have, is passed over and told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use ingam_protocol::Timestamp;
use ingam_protocol::bytes::hex;
use ring::digest::{SHA256, digest};
use serde::{Serialize, Serializer};

use super::nginx;

/// The list of all files.
pub(super) const INDEX: &str = "index.json";
/// How an index begins.
const INDEX_BEGINS: &[u8; 21] = b"{\"version\":1,\"made\":\"";
/// The folder of files that have not taken their places yet.
const NEW: &str = ".new";
/// Held by the one who exports.
const LOCK: &str = ".lock";
/// The folders that are the export's, whatever is in them.
const OWN: [&str; 3] = ["ocsp", "crl", "issuer"];
/// So many files are written before they are synced and take their places.
const PENDING_MAX: usize = 256;
/// So many of them are synced at once: a disk makes them durable together.
const SYNCS_AT_ONCE: usize = 16;
/// The form of the index.
const VERSION: u32 = 1;
/// File systems have no longer names.
const NAME_BYTES_MAX: usize = 255;
/// How deep folders are gone through: an answer has fewer slashes than its base64 has characters.
const DEPTH_MAX: usize = 512;
/// At most so many bytes of a file are read to see whether it is the same: longer ones are CRLs of their own kind.
const SAME_BYTES_MAX: u64 = 4 << 30;

/// From when until when something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) this_update: Timestamp,
    pub(super) next_update: Timestamp,
}

impl Validity {
    /// The middle: from then on, a newer one should be there.
    pub(super) fn half(self) -> Timestamp {
        self.this_update.plus(self.next_update.since(self.this_update) / 2)
    }
}

/// A file to be there.
pub(super) struct New<'a> {
    pub(super) content_type: &'a str,
    pub(super) validity: Option<Validity>,
    /// The certificate that it is about.
    pub(super) serial: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// A file in the index.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    /// The path of its URL below the base, once percent-encoding is taken off.
    pub(super) path: String,
    /// Where it is in the folder.
    pub(super) file: String,
    /// Its media type.
    pub(super) content_type: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub(super) sha256: String,
    /// From when it holds; also when it was last modified.
    #[serde(serialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(super) this_update: Option<Timestamp>,
    /// Its last second.
    #[serde(serialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(super) next_update: Option<Timestamp>,
    /// The certificate that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) serial: Option<String>,
}

/// The list of all files.
#[derive(Debug, Serialize)]
struct Index {
    version: u32,
    /// When it was made.
    made: String,
    /// The path of the base of all URLs.
    base: String,
    /// When the first file that ends is halfway to its end.
    #[serde(serialize_with = "text", skip_serializing_if = "Option::is_none")]
    renew_before: Option<Timestamp>,
    files: Vec<Listed>,
}

/// Times are text for those who read them.
fn text<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    moment.map(Timestamp::to_rfc3339).serialize(serializer)
}

/// What an export did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    pub(super) written: u64,
    pub(super) kept: u64,
    pub(super) removed: u64,
    /// When the first file that ends is halfway to its end.
    #[serde(serialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(super) renew_before: Option<Timestamp>,
    /// Paths that no file could have.
    pub(super) passed_over: Vec<String>,
}

/// The folder, for as long as it is written to.
pub(super) struct Folder {
    root: PathBuf,
    now: Timestamp,
    /// By their places in the folder.
    files: BTreeMap<PathBuf, Listed>,
    summary: Summary,
    pending: Vec<Pending>,
    _lock: File,
}

/// A file that is written, and has to be synced before it takes its place.
struct Pending {
    file: File,
    new: PathBuf,
    path: PathBuf,
}

/// Whether a file is the index of an export, by how those begin.
fn is_index(path: &Path) -> bool {
    let mut beginning = [0; INDEX_BEGINS.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut beginning));
    read.is_ok() && beginning == *INDEX_BEGINS
}

impl Folder {
    /// Takes a folder: a new or empty one, or one that has an index. An error is a sentence.
    pub(super) fn open(root: &Path, now: Timestamp) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{} cannot be written to: {error}", root.display());
        fs::create_dir_all(root).map_err(failed)?;
        let root = fs::canonicalize(root).map_err(failed)?;
        let failed = |error: io::Error| format!("{} cannot be written to: {error}", root.display());
        if !nginx::can_name(&root) {
            let what = "has characters in its path that nginx takes for something else: name another folder";
            return Err(format!("{} {what}", super::clean(&root.to_string_lossy())));
        }
        let is_known = is_index(&root.join(INDEX));
        let is_ours = |name: &std::ffi::OsStr| name == LOCK || name == NEW;
        let mut entries = fs::read_dir(&root).map_err(failed)?;
        if !is_known && entries.any(|entry| entry.is_ok_and(|entry| !is_ours(&entry.file_name()))) {
            return Err(format!(
                "{} has files of somebody else: name an empty folder, as what does not belong to an export is taken out of it",
                root.display()
            ));
        }
        let lock = File::options().create(true).truncate(false).write(true).open(root.join(LOCK));
        let lock = lock.map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(format!("another export writes to {}: wait for its end", root.display()));
        }
        // What one that was broken off has left.
        match fs::remove_dir_all(root.join(NEW)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fs::create_dir(root.join(NEW)).map_err(failed)?;
        let (files, summary) = (BTreeMap::new(), Summary::default());
        let mut folder = Self { root, now, files, summary, pending: Vec::new(), _lock: lock };
        if !is_known {
            // From now on it is known for what it is, even if this one is broken off.
            folder.write_index("", &BTreeMap::new())?;
        }
        Ok(folder)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The bytes that are there for a path, if there are some.
    pub(super) fn body(&self, path: &str) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        let file = File::open(self.root.join(place(path)?)).ok()?;
        file.take(SAME_BYTES_MAX).read_to_end(&mut body).ok()?;
        Some(body)
    }

    /// Has a file be there, and writes it if it is not. An error is a sentence.
    pub(super) fn put(&mut self, path: &str, new: &New<'_>) -> Result<(), String> {
        let taken = |place: &PathBuf| {
            let is_below = place.ancestors().skip(1).any(|above| self.files.contains_key(above));
            let behind = self.files.range(place.clone()..).nth(usize::from(self.files.contains_key(place)));
            is_below || behind.is_some_and(|(next, _)| next.starts_with(place))
        };
        let free = place(path)
            .filter(|place| !taken(place) && self.files.get(place).is_none_or(|known| known.path == path));
        let Some(place) = free else {
            self.summary.passed_over.push(super::clean(path).into_owned());
            return Ok(());
        };
        if self.body(path).as_deref() == Some(new.body) {
            self.summary.kept += 1;
        } else {
            let written = self.write(&place, new.body, new.validity.map(|validity| validity.this_update));
            let file = self.root.join(&place);
            written.map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
            self.summary.written += 1;
        }
        let listed = Listed {
            path: path.to_owned(),
            file: place.to_string_lossy().into_owned(),
            content_type: super::clean(new.content_type).into_owned(),
            sha256: hex(digest(&SHA256, new.body).as_ref()),
            this_update: new.validity.map(|validity| validity.this_update),
            next_update: new.validity.map(|validity| validity.next_update),
            serial: new.serial.map(str::to_owned),
        };
        if let Some(validity) = new.validity {
            let half = validity.half();
            self.summary.renew_before = Some(self.summary.renew_before.map_or(half, |first| first.min(half)));
        }
        self.files.insert(place, listed);
        Ok(())
    }

    /// Takes out what does not belong here any more, and writes the index and what nginx needs to know. `base` is the path
    /// in front of all. An error is a sentence.
    pub(super) fn finish(mut self, base: &str) -> Result<Summary, String> {
        if !nginx::can_name(Path::new(base)) || base.contains(char::is_whitespace) {
            return Err(format!(
                "{} is no path of a URL: look at urls.publication of the CA",
                super::clean(base)
            ));
        }
        let root = self.root.clone();
        let failed = |error: io::Error| format!("{} cannot be tidied up: {error}", root.display());
        self.settle().map_err(failed)?;
        let known: BTreeSet<&Path> = self.files.keys().map(PathBuf::as_path).collect();
        let mut removed = 0;
        for own in OWN {
            sweep(&self.root, Path::new(own), &known, &mut removed, DEPTH_MAX).map_err(failed)?;
        }
        self.summary.removed = removed;
        let snippet = nginx::snippet(&self.root, base, self.now, self.files.values());
        let place = Path::new(nginx::FILE);
        if self.body(nginx::FILE).as_deref() != Some(snippet.as_bytes()) {
            self.write(place, snippet.as_bytes(), None).map_err(failed)?;
        }
        let files = std::mem::take(&mut self.files);
        self.write_index(base, &files)?;
        fs::remove_dir(self.root.join(NEW)).map_err(failed)?;
        Ok(self.summary)
    }

    fn write_index(&mut self, base: &str, files: &BTreeMap<PathBuf, Listed>) -> Result<(), String> {
        let index = Index {
            version: VERSION,
            made: self.now.to_rfc3339(),
            base: base.to_owned(),
            renew_before: self.summary.renew_before,
            files: Vec::new(),
        };
        let mut text = serde_json::to_string(&index).unwrap_or_default();
        // A file on a line, for those who compare two of them.
        text.truncate(text.len().saturating_sub("]}".len()));
        for (number, listed) in files.values().enumerate() {
            text.push_str(if number == 0 { "\n" } else { ",\n" });
            text.push_str(&serde_json::to_string(listed).unwrap_or_default());
        }
        text.push_str("\n]}\n");
        let written = self.write(Path::new(INDEX), text.as_bytes(), None).and_then(|()| self.settle());
        written.map_err(|error| format!("{} cannot be written: {error}", self.root.join(INDEX).display()))
    }

    /// Writes a file beside the others. It takes its place once it is whole and on the disk.
    fn write(&mut self, place: &Path, body: &[u8], modified: Option<Timestamp>) -> io::Result<()> {
        let new = self.root.join(NEW).join(self.pending.len().to_string());
        let mut file = File::create(&new)?;
        file.write_all(body)?;
        if let Some(modified) = modified {
            // Web servers make Last-Modified of it.
            file.set_modified(UNIX_EPOCH + Duration::from_secs(modified.unix_s()))?;
        }
        self.pending.push(Pending { file, new, path: self.root.join(place) });
        if self.pending.len() >= PENDING_MAX { self.settle() } else { Ok(()) }
    }

    /// Syncs what was written and puts it in its place.
    fn settle(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let sync = |some: &[Pending]| some.iter().try_for_each(|one| one.file.sync_all());
        std::thread::scope(|scope| {
            let parts = pending.chunks(PENDING_MAX.div_ceil(SYNCS_AT_ONCE));
            let threads: Vec<_> = parts.map(|part| scope.spawn(move || sync(part))).collect();
            let broken_off = |_| io::Error::other("a sync was broken off");
            threads.into_iter().try_for_each(|thread| thread.join().map_err(broken_off)?)
        })?;
        for Pending { new, path, .. } in &pending {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(new, path)?;
        }
        Ok(())
    }
}

/// Where the file for a path is; `None` if no file can have that name.
fn place(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix('/').unwrap_or(path);
    // A URL that ends with a slash asks for a folder.
    if path.is_empty() || path.ends_with('/') {
        return None;
    }
    let mut place = PathBuf::new();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=-_.".contains(&byte);
        if name.len() > NAME_BYTES_MAX || name.starts_with('.') || !name.bytes().all(is_allowed) {
            return None;
        }
        place.push(name);
    }
    place.components().all(|component| matches!(component, Component::Normal(_))).then_some(place)
}

/// Takes all files out of a folder that are not known, and every folder that is empty then.
fn sweep(
    root: &Path,
    folder: &Path,
    known: &BTreeSet<&Path>,
    removed: &mut u64,
    depth: usize,
) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let place = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                sweep(root, &place, known, removed, depth - 1)?;
            }
            // It fails where something is in it.
            let _ = fs::remove_dir(root.join(&place));
        } else if !known.contains(place.as_path()) {
            fs::remove_file(root.join(&place))?;
            *removed += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
