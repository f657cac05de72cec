//! What things are called, and which names a power cut leaves.
//!
//! A name that was given or taken away since its folder was synced may be there or not, each by itself. Only a renaming is
//! there as a whole or not at all, as every file system with a journal has it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use ingam_protocol::time::{Random, random_array};

/// The number of a file or folder, whatever it is called.
pub(super) type Node = u64;

/// The folder in which all others are.
pub(super) const ROOT: Node = 0;

/// What is in each folder.
type Folders = BTreeMap<Node, BTreeMap<String, Node>>;

pub(super) struct Names {
    now: Folders,
    /// What outlives a power cut for certain, before `changes`.
    synced: Folders,
    changes: Vec<(Change, bool)>,
}

/// A place for a name.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) folder: Node,
    pub(super) name: String,
}

enum Change {
    Put(Place, Node),
    Remove(Place, Node),
    Move { from: Place, to: Place, node: Node },
}

impl Change {
    fn is_in(&self, folder: Node) -> bool {
        match self {
            Self::Put(place, _) | Self::Remove(place, _) => place.folder == folder,
            Self::Move { from, to, .. } => from.folder == folder || to.folder == folder,
        }
    }

    fn apply(&self, folders: &mut Folders) {
        match self {
            Self::Put(place, node) => put(folders, place, *node),
            Self::Remove(place, node) => remove(folders, place, *node),
            Self::Move { from, to, node } => {
                remove(folders, from, *node);
                put(folders, to, *node);
            }
        }
    }
}

fn put(folders: &mut Folders, place: &Place, node: Node) {
    folders.entry(place.folder).or_default().insert(place.name.clone(), node);
}

/// Takes the name from this node; another one of that name keeps it.
fn remove(folders: &mut Folders, place: &Place, node: Node) {
    if let Some(names) = folders.get_mut(&place.folder)
        && names.get(&place.name) == Some(&node)
    {
        names.remove(&place.name);
    }
}

impl Default for Names {
    fn default() -> Self {
        let root: Folders = BTreeMap::from([(ROOT, BTreeMap::new())]);
        Self { now: root.clone(), synced: root, changes: Vec::new() }
    }
}

impl Names {
    /// Where the path leads; the folder it begins in is the root.
    pub(super) fn node(&self, path: &Path) -> io::Result<Node> {
        let mut node = ROOT;
        for name in parts(path)? {
            node = self.find(&Place { folder: node, name })?;
        }
        Ok(node)
    }

    /// The last name of a path, in its folder, which has to be there.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let mut parts = parts(path)?;
        let name = parts.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let mut folder = ROOT;
        for name in parts {
            folder = self.find(&Place { folder, name })?;
        }
        if self.is_folder(folder) {
            Ok(Place { folder, name })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    pub(super) fn find(&self, place: &Place) -> io::Result<Node> {
        self.list(place.folder)?.get(&place.name).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    pub(super) fn list(&self, folder: Node) -> io::Result<&BTreeMap<String, Node>> {
        self.now.get(&folder).ok_or(io::ErrorKind::NotADirectory.into())
    }

    pub(super) fn is_folder(&self, node: Node) -> bool {
        self.now.contains_key(&node)
    }

    /// Everything that has a name.
    pub(super) fn named(&self) -> BTreeSet<Node> {
        self.now.values().flat_map(BTreeMap::values).copied().collect()
    }

    pub(super) fn put(&mut self, place: Place, node: Node) {
        self.change(Change::Put(place, node));
    }

    /// As [`Names::put`]; a folder, which is empty.
    pub(super) fn put_folder(&mut self, place: Place, node: Node) {
        self.now.insert(node, BTreeMap::new());
        self.synced.insert(node, BTreeMap::new());
        self.put(place, node);
    }

    pub(super) fn remove(&mut self, place: Place, node: Node) {
        self.change(Change::Remove(place, node));
    }

    pub(super) fn rename(&mut self, from: Place, to: Place, node: Node) {
        // Two names of one file: nothing is to be done, as POSIX has it.
        if self.find(&to).is_ok_and(|there| there == node) {
            return;
        }
        self.change(Change::Move { from, to, node });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.changes.push((change, false));
    }

    pub(super) fn sync(&mut self, folder: Node) {
        for (change, is_certain) in &mut self.changes {
            *is_certain |= change.is_in(folder);
        }
        let certain = self.changes.iter().take_while(|(_, is_certain)| *is_certain).count();
        for (change, _) in self.changes.drain(..certain) {
            change.apply(&mut self.synced);
        }
    }

    /// Everything there is outlives a power cut.
    pub(super) fn sync_all(&mut self) {
        self.changes.clear();
        self.synced = self.now.clone();
    }

    /// Decides what is left after a power cut, and says which files and folders still have a name.
    pub(super) fn settle(
        &mut self,
        random: &dyn Random,
        survives: &dyn Fn(&dyn Random) -> bool,
    ) -> BTreeSet<Node> {
        // Some file systems lose nothing of which something later is there.
        let [order] = random_array(random);
        let (in_order, mut is_over) = (order < 128, false);
        for (change, is_certain) in self.changes.drain(..) {
            let survived = survives(random) && !is_over;
            if is_certain || survived {
                change.apply(&mut self.synced);
            }
            is_over |= in_order && !is_certain && !survived;
        }
        let mut reached = BTreeSet::from([ROOT]);
        let mut next = vec![ROOT];
        while let Some(folder) = next.pop() {
            let names = self.synced.get(&folder).into_iter().flat_map(BTreeMap::values);
            next.extend(names.filter(|node| reached.insert(**node)).copied());
        }
        self.synced.retain(|folder, _| reached.contains(folder));
        self.now = self.synced.clone();
        reached
    }
}

/// The names of a path, from the root on.
pub(super) fn parts(path: &Path) -> io::Result<Vec<String>> {
    let names = path.components().filter_map(|part| match part {
        Component::RootDir | Component::CurDir => None,
        Component::Normal(name) => Some(name.to_str().map(str::to_owned)),
        Component::ParentDir | Component::Prefix(_) => Some(None),
    });
    names.collect::<Option<_>>().ok_or(io::ErrorKind::InvalidInput.into())
}
