//! The files of lists, and their bytes in memory.
//!
//! Kept in memory is as much as was allowed, those asked for most. Beside that, a list that is being sent to somebody is
//! there once, however many it is sent to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::crl::memory::Memory;
use crate::crl::slot::PublishedCrl;
use crate::ocsp::etag;

/// At most so many files are read at once for those who ask.
const READS_AT_ONCE: usize = 4;
/// No list is longer: [`crate::Config`] allows 50 million entries of some 51 bytes.
const LIST_BYTES_MAX: u64 = 4 << 30;

/// A list's bytes, which many can share.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Where lists are kept.
pub(super) struct Shelf {
    folder: PathBuf,
    memory: Mutex<Memory>,
    reads: Semaphore,
}

impl Shelf {
    pub(super) fn new(folder: PathBuf, memory_bytes: u64) -> Self {
        Self { folder, memory: Mutex::new(Memory::new(memory_bytes)), reads: Semaphore::new(READS_AT_ONCE) }
    }

    /// Puts a list into its file, and into memory. Back when it is durable.
    pub(super) async fn keep(&self, list: &PublishedCrl, body: Vec<u8>) -> io::Result<()> {
        let path = self.folder.join(&list.file);
        let body = Arc::new(body);
        let written = Arc::clone(&body);
        spawn_blocking(move || write_whole(&path, &written)).await.map_err(io::Error::other)??;
        *list.body.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&body);
        self.remember(list, &body);
        Ok(())
    }

    /// The bytes of a file that an earlier start left; `None` if there is none. Not for threads of the runtime.
    pub(super) fn left(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        read_whole(&self.folder.join(file))
    }

    /// The bytes of a list, from memory or from its file.
    ///
    /// # Errors
    /// If the file cannot be read, or is another one by now.
    pub(super) async fn body(&self, list: &PublishedCrl) -> io::Result<Bytes> {
        if let Some(body) = self.in_memory(list) {
            return Ok(body);
        }
        let _turn = list.reading.lock().await;
        if let Some(body) = self.in_memory(list) {
            return Ok(body);
        }
        // Closed by nobody.
        let _one_of_a_few = self.reads.acquire().await;
        let (path, wanted) = (self.folder.join(&list.file), list.etag.clone());
        let read = move || {
            let missing = || io::Error::new(io::ErrorKind::NotFound, path.display().to_string());
            let body = read_whole(&path)?.ok_or_else(missing)?;
            let other =
                || io::Error::new(io::ErrorKind::InvalidData, "the file holds another list, or is damaged");
            if etag(&body) == wanted { Ok(body) } else { Err(other()) }
        };
        let body = Arc::new(spawn_blocking(read).await.map_err(io::Error::other)??);
        *list.body.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&body);
        self.remember(list, &body);
        Ok(Bytes::from_owner(Shared(body)))
    }

    fn in_memory(&self, list: &PublishedCrl) -> Option<Bytes> {
        let body = list.body.lock().unwrap_or_else(PoisonError::into_inner).upgrade()?;
        // It was asked for, so it is worth keeping: also one that is only there because it is being sent.
        self.remember(list, &body);
        Some(Bytes::from_owner(Shared(body)))
    }

    fn remember(&self, list: &PublishedCrl, body: &Arc<Vec<u8>>) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).keep(&list.file, body);
    }
}

/// Writes a file so that it is there whole or not at all: under another name, synced, renamed, and the folder synced.
fn write_whole(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

fn read_whole(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() <= LIST_BYTES_MAX => fs::read(path).map(Some),
        Ok(_) => Err(io::Error::other("the file is too large to be a CRL")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
