//! The file layer: everything that this crate asks of an operating system, as two small traits.
//!
//! [`Disk`] is a real directory. [`SimulatedDisk`](crate::simulated::SimulatedDisk) is one in memory whose power can
//! be cut, so that tests can see what is left.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One flat directory of named files.
pub trait Files: Send + Sync {
    /// Opens the file for reading and writing; it must be there.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if it is not, [`io::ErrorKind::InvalidInput`] for a name with a slash in it, else
    /// whatever the system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens the file for reading and writing and makes it first, empty, if it is not there. The new name outlives
    /// a power cut only after [`Files::sync_directory`].
    ///
    /// # Errors
    /// As [`Files::open`].
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// The names of all files, sorted.
    ///
    /// # Errors
    /// Whatever the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Takes the name out of the directory; whoever has the file open goes on using it. The removal outlives a power
    /// cut only after [`Files::sync_directory`].
    ///
    /// # Errors
    /// As [`Files::open`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every creation and removal so far outlive a power cut.
    ///
    /// # Errors
    /// Whatever the system says; what was created or removed may then be undone by a power cut.
    fn sync_directory(&self) -> io::Result<()>;

    /// How many bytes are free where the directory is; none where that is not known.
    ///
    /// # Errors
    /// Whatever the system says.
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

/// One open file. All calls say where, so that one handle serves any number of threads.
pub trait File: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// Whatever the system says.
    fn length(&self) -> io::Result<u64>;

    /// Fills the whole buffer with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before the buffer does, else whatever the system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all bytes from `offset` on; the file grows where needed, and what it skips reads as zeros.
    ///
    /// # Errors
    /// Whatever the system says; any part of the bytes may then have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `length` bytes, or fills it up with zeros.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes contents and length outlive a power cut.
    ///
    /// # Errors
    /// Whatever the system says. After a failure nothing written since the last success may be relied on, even if a
    /// later sync succeeds: the system may have dropped what it could not write.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug, Clone)]
pub struct Disk {
    directory: PathBuf,
}

impl Disk {
    /// The directory at `directory`, which is made (with mode 0700, and the parents it needs) if it is not there.
    /// Takes no lock: that only one process writes is for the caller to see to.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        let missing: Vec<_> = directory.ancestors().take_while(|folder| !is_directory(folder)).collect();
        if !missing.is_empty() {
            DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        }
        // Without this the directory itself, with everything in it, could go with the power.
        for parent in missing.into_iter().filter_map(Path::parent) {
            sync_directory_at(parent)?;
        }
        Ok(Self { directory })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        check_name(name)?;
        Ok(self.directory.join(name))
    }

    fn open_with(&self, name: &str, create: bool) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .mode(0o600)
            .open(self.path(name)?)?;
        Ok(Arc::new(DiskFile(file)))
    }
}

/// A directory that is only read, and may be written to by another process meanwhile. What opening a journal would cut off as
/// unfinished stays where it is and is passed over.
#[derive(Debug, Clone)]
pub struct ReadOnlyDisk(Disk);

impl ReadOnlyDisk {
    /// The directory, which has to be there.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if it is not.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        match directory.is_dir() {
            true => Ok(Self(Disk { directory })),
            false => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such folder")),
        }
    }
}

impl Files for ReadOnlyDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = std::fs::File::open(self.0.path(name)?)?;
        Ok(Arc::new(ReadOnlyFile(DiskFile(file))))
    }

    fn create(&self, _: &str) -> io::Result<Arc<dyn File>> {
        Err(read_only())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }
}

struct ReadOnlyFile(DiskFile);

impl File for ReadOnlyFile {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "this directory is only read")
}

/// Makes creations and removals in the directory at `path` outlive a power cut; an empty path is the current one.
///
/// # Errors
/// Whatever the system says.
pub fn sync_directory_at(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::fs::File::open(path)?.sync_all()
}

/// Whether a directory is there; an empty path is the current one.
fn is_directory(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.is_dir()
}

/// Refuses what would lead out of the directory.
pub(crate) fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file in one directory"));
    }
    Ok(())
}

impl Files for Disk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.open_with(name, false)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.open_with(name, true)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours, and a directory is no file.
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name)?)
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync_directory_at(&self.directory)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let disk = rustix::fs::statvfs(&self.directory)?;
        Ok(Some(disk.f_bavail.saturating_mul(disk.f_frsize)))
    }
}

pub(crate) struct DiskFile(pub(crate) std::fs::File);

impl File for DiskFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: the length goes along, as it is needed to read the contents; the times do not matter.
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_private_and_reads_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path().join("journal")).unwrap();
        assert_eq!(disk.open("a").err().unwrap().kind(), io::ErrorKind::NotFound);
        let file = disk.create("a").unwrap();
        file.write_at(2, b"xyz").unwrap();
        file.sync().unwrap();
        disk.sync_directory().unwrap();
        assert_eq!(file.length().unwrap(), 5);
        let mut bytes = [1; 5];
        disk.create("a").unwrap().read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0xyz");
        assert_eq!(file.read_at(3, &mut bytes).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        file.set_length(1).unwrap();
        assert_eq!(file.length().unwrap(), 1);
        assert_eq!(disk.list().unwrap(), ["a"]);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(disk.directory()), 0o700);
        assert_eq!(mode(&disk.directory().join("a")), 0o600);
        disk.remove("a").unwrap();
        assert!(disk.list().unwrap().is_empty());
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        for name in ["", ".", "..", "../a", "/a", "a/b", "a\0b"] {
            assert_eq!(disk.create(name).err().unwrap().kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }
}
