//! The disk as the layers that the program uses.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, MutexGuard};

use super::contents::{Change, Contents};
use super::names::{Node, Place, ROOT, parts};
use super::{SimulatedDisk, State};
use crate::files::{File, Files, check_name};
use crate::folders::{Folders, Kind};

impl SimulatedDisk {
    /// The disk, for one operation.
    fn operation(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        state.operation()?;
        Ok(state)
    }

    fn handle(&self, state: &State, node: Node) -> Arc<dyn File> {
        Arc::new(SimulatedFile { disk: self.clone(), node, generation: state.generation })
    }

    /// The one directory that the disk is as [`Files`].
    fn root(&self) -> SimulatedFolder {
        SimulatedFolder { disk: self.clone(), folder: ROOT, generation: None }
    }
}

impl Files for SimulatedDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.root().open(name)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.root().create(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.root().list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.root().remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.root().sync_directory()
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.root().free_bytes()
    }
}

/// The files of one folder.
struct SimulatedFolder {
    disk: SimulatedDisk,
    folder: Node,
    /// When it was given out, unless it outlives power cuts.
    generation: Option<u64>,
}

impl SimulatedFolder {
    fn operation(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.operation()?;
        match self.generation {
            Some(generation) if generation != state.generation => Err(dead()),
            _ => Ok(state),
        }
    }

    fn place(&self, name: &str) -> io::Result<Place> {
        check_name(name)?;
        Ok(Place { folder: self.folder, name: name.to_owned() })
    }
}

fn dead() -> io::Error {
    io::Error::other("the handle is from before the power cut")
}

impl State {
    /// A file's node; a folder is none.
    fn file(&self, node: Node) -> io::Result<Node> {
        if self.names.is_folder(node) { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(node) }
    }

    fn file_or_new(&mut self, place: Place) -> io::Result<Node> {
        match self.names.find(&place) {
            Ok(node) => self.file(node),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.add(place)),
            Err(error) => Err(error),
        }
    }

    /// A place that nothing has.
    fn free_place(&self, path: &Path) -> io::Result<Place> {
        let place = self.names.place(path)?;
        if self.names.find(&place).is_ok() { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(place) }
    }
}

impl Files for SimulatedFolder {
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let place = self.place(name)?;
        let state = self.operation()?;
        let node = state.file(state.names.find(&place)?)?;
        Ok(self.disk.handle(&state, node))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let place = self.place(name)?;
        let mut state = self.operation()?;
        let node = state.file_or_new(place)?;
        Ok(self.disk.handle(&state, node))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.operation()?;
        let names = state.names.list(self.folder)?;
        let files = names.iter().filter(|(_, node)| !state.names.is_folder(**node));
        Ok(files.map(|(name, _)| name.clone()).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let place = self.place(name)?;
        let mut state = self.operation()?;
        let node = state.file(state.names.find(&place)?)?;
        state.names.remove(place, node);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.operation()?.names.sync(self.folder);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(self.disk.lock().free)
    }
}

impl Folders for SimulatedDisk {
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        let state = self.operation()?;
        match state.names.node(path) {
            Ok(node) if state.names.is_folder(node) => Ok(Some(Kind::Folder)),
            Ok(_) => Ok(Some(Kind::File)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let state = self.operation()?;
        let names = state.names.list(state.names.node(folder)?)?;
        Ok(names.keys().map(OsString::from).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let state = self.operation()?;
        let node = state.file(state.names.node(path)?)?;
        Ok(self.handle(&state, node))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.operation()?;
        let place = state.names.place(path)?;
        let node = state.file_or_new(place)?;
        if let Some(contents) = state.contents.get_mut(&node) {
            contents.change(Change::SetLength(0));
        }
        Ok(self.handle(&state, node))
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.operation()?;
        let place = state.names.place(path)?;
        let node = state.file_or_new(place)?;
        Ok(self.handle(&state, node))
    }

    fn files(&self, folder: &Path) -> io::Result<Arc<dyn Files>> {
        let mut state = self.operation()?;
        let mut node = ROOT;
        for name in parts(folder)? {
            let place = Place { folder: node, name };
            node = match state.names.find(&place) {
                Ok(node) => node,
                Err(_) => {
                    let made = state.add_folder(place);
                    state.operation()?;
                    state.names.sync(node);
                    made
                }
            };
        }
        Ok(Arc::new(SimulatedFolder { disk: self.clone(), folder: node, generation: Some(state.generation) }))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.operation()?;
        let place = state.free_place(path)?;
        state.add_folder(place);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.operation()?;
        let (from, to) = (state.names.place(from)?, state.names.place(to)?);
        let node = state.names.find(&from)?;
        if state.names.find(&to).is_ok_and(|there| state.names.is_folder(there)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.names.rename(from, to, node);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.operation()?;
        let node = state.file(state.names.node(from)?)?;
        let to = state.free_place(to)?;
        state.names.put(to, node);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.operation()?;
        let place = state.names.place(path)?;
        let node = state.file(state.names.find(&place)?)?;
        state.names.remove(place, node);
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.operation()?;
        let place = state.names.place(path)?;
        let node = state.names.find(&place)?;
        if !state.names.list(node)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.names.remove(place, node);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.operation()?;
        let node = state.names.node(folder)?;
        state.names.sync(node);
        Ok(())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    node: Node,
    generation: u64,
}

impl SimulatedFile {
    /// Runs `work` on the file's contents; on a fault that was asked for, `failed` first.
    fn with<T>(
        &self,
        failed: impl FnOnce(&mut Contents),
        work: impl FnOnce(&mut Contents) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.disk.lock();
        if self.generation != state.generation {
            return Err(dead());
        }
        let verdict = state.operation();
        let contents = state.contents.get_mut(&self.node).ok_or(io::ErrorKind::NotFound)?;
        if let Err(fault) = verdict {
            failed(contents);
            return Err(fault);
        }
        work(contents)
    }

    fn check_room(&self, length: usize) -> io::Result<()> {
        let state = self.disk.lock();
        let now = state.contents.get(&self.node).map_or(0, |contents| contents.now.len());
        if length > now && !state.has_room(self.node, length) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl File for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        self.with(|_| (), |contents| u64::try_from(contents.now.len()).map_err(io::Error::other))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = position(offset)?;
        self.with(
            |_| (),
            |contents| {
                let end = start.checked_add(buffer.len()).ok_or(io::ErrorKind::InvalidInput)?;
                let bytes = contents.now.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(bytes);
                Ok(())
            },
        )
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = position(offset)?;
        let half = bytes.split_at(bytes.len() / 2).0.to_vec();
        let room = self.check_room(offset + bytes.len());
        self.with(
            |contents| contents.change(Change::Write { offset, bytes: half }),
            |contents| {
                room?;
                contents.change(Change::Write { offset, bytes: bytes.to_vec() });
                Ok(())
            },
        )
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let length = position(length)?;
        let room = self.check_room(length);
        self.with(
            |_| (),
            |contents| {
                room?;
                contents.change(Change::SetLength(length));
                Ok(())
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.with(Contents::doubt, |contents| {
            contents.sync();
            Ok(())
        })
    }
}
