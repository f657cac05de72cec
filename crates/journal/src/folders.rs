//! Folders in folders: what a backup, a restore and a store that takes the place of another ask of an operating system.
//!
//! [`FileSystem`] is the system's own. [`SimulatedDisk`](crate::simulated::SimulatedDisk) is one in memory whose power can
//! be cut, so that tests can see what is left.

use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use crate::files::{Disk, DiskFile, File, Files, sync_directory_at};

/// What a path leads to. Links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A link, a socket, or the like.
    Other,
}

/// Files and folders by their paths. What is made, named or removed outlives a power cut only once each folder that it is
/// named in was synced with [`Folders::sync_folder`].
///
/// Every method fails with whatever the system says, and with [`io::ErrorKind::NotFound`] for a path that leads nowhere.
pub trait Folders: Send + Sync {
    /// What the path leads to; `None` if to nothing.
    ///
    /// # Errors
    /// As all of them.
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>>;

    /// The names of everything in a folder, sorted.
    ///
    /// # Errors
    /// As all of them.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Opens a file to read it.
    ///
    /// # Errors
    /// As all of them.
    fn read(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Makes a file for the owner alone, or empties the one that is there.
    ///
    /// # Errors
    /// As all of them.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading and writing, as nobody else then can, and makes it for the owner alone if it is not there.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] if somebody else has it, else as all of them.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// The files of one folder, which is made with those above if it is not there, so that it outlives a power cut.
    ///
    /// # Errors
    /// As all of them.
    fn files(&self, folder: &Path) -> io::Result<Arc<dyn Files>>;

    /// Makes a folder for the owner alone.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], else as all of them.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or folder another name, in the place of a file that has it.
    ///
    /// # Errors
    /// As all of them.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, which nothing has yet.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], else as all of them.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// As all of them.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder, which is empty.
    ///
    /// # Errors
    /// [`io::ErrorKind::DirectoryNotEmpty`], else as all of them.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes what was made, named and removed in a folder so far outlive a power cut.
    ///
    /// # Errors
    /// As all of them; what was done may then be undone by a power cut.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Removes what is there, with everything in it; where nothing is, that is enough.
    ///
    /// # Errors
    /// As all of them; a part may be gone then.
    fn remove_all(&self, path: &Path) -> io::Result<()> {
        match self.kind(path)? {
            None => Ok(()),
            Some(Kind::Folder) => {
                for name in self.list(path)? {
                    self.remove_all(&path.join(name))?;
                }
                self.remove_folder(path)
            }
            Some(Kind::File | Kind::Other) => self.remove_file(path),
        }
    }
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

impl Folders for FileSystem {
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(Kind::File)),
            Ok(metadata) if metadata.is_dir() => Ok(Some(Kind::Folder)),
            Ok(_) => Ok(Some(Kind::Other)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(DiskFile(std::fs::File::open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Arc::new(DiskFile(file))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn files(&self, folder: &Path) -> io::Result<Arc<dyn Files>> {
        Ok(Arc::new(Disk::open(folder)?))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        sync_directory_at(folder)
    }
}

/// A file from its front to its end, or to be written from its front on.
pub struct InOrder {
    file: Arc<dyn File>,
    position: u64,
}

impl InOrder {
    /// At the front.
    pub fn new(file: Arc<dyn File>) -> Self {
        Self { file, position: 0 }
    }

    /// Makes what was written outlive a power cut.
    ///
    /// # Errors
    /// As [`File::sync`].
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl Read for InOrder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.length()?.saturating_sub(self.position);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let (wanted, _) = buffer.split_at_mut(count);
        self.file.read_at(self.position, wanted)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for InOrder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.position, bytes)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
