//! Sets are let go, so that what has to be gone by a date goes from backups, too.
//!
//! ```text
//! which sets are gone (signed) ──▶ their lists removed ──▶ objects removed that no other list names
//! ```
//!
//! Once the first is on disk, nobody counts those sets any more; a crash behind it leaves files for the next time to remove. As
//! each list names all files of its set, no younger set needs one that is gone. The newest set always stays.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use ingam_journal::folders::{Folders, Kind};
use ingam_protocol::Timestamp;
use serde::Serialize;

use super::manifest::{FORMAT, Gone, Manifest, SigningKey, gone_path, object_path, read_sets, write_signed};
use crate::error::Error;

/// What was let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Sets.
    pub sets: u64,
    /// Objects that no set needs any more.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Lets go all sets that show a moment before `oldest`, but for the newest of all. Nobody may write a set meanwhile. Blocks.
///
/// # Errors
/// [`Error`] if a list or an object of what stays is not as it was written, and then nothing is let go; or if a file cannot be
/// removed: the next call goes on.
pub fn prune(
    disk: &dyn Folders,
    folder: &Path,
    key: &SigningKey,
    oldest: Timestamp,
    now: Timestamp,
) -> Result<Pruned, Error> {
    let sets = read_sets(disk, folder)?;
    if sets.key.as_ref().is_none_or(|signed_by| *signed_by != key.public()) {
        return Err(Error::Row("a backup", "the folder has no backups of this CA".into()));
    }
    let older = sets.manifests.iter().take_while(|set| set.made < oldest).count();
    let going = older.min(sets.manifests.len().saturating_sub(1));
    let (gone, staying) = sets.manifests.split_at(going);
    staying.iter().try_for_each(|set| is_whole(disk, folder, set))?;
    if let (Some(last), Some(first)) = (gone.last(), staying.first()) {
        let head = first.previous.clone();
        let gone = Gone { format: FORMAT, number: last.number, head, at: now };
        write_signed(disk, &gone_path(folder), &gone, key)?;
    }
    let first = staying.first().map_or(0, |set| set.number);
    let lists = folder.join("sets");
    let number_of = |name: &str| name.strip_suffix(".json")?.parse::<u64>().ok();
    remove(disk, &lists, |name| number_of(name).is_some_and(|number| number < first))?;
    let needed: BTreeSet<String> = staying
        .iter()
        .flat_map(|set| &set.files)
        .filter_map(|file| {
            Some(object_path(folder, &file.sha256).file_name()?.to_string_lossy().into_owned())
        })
        .collect();
    let (objects, bytes) = remove(disk, &folder.join("objects"), |name| !needed.contains(name))?;
    Ok(Pruned { sets: gone.len() as u64, objects, bytes })
}

/// Whether all objects of a set are there, as long as they were.
fn is_whole(disk: &dyn Folders, folder: &Path, set: &Manifest) -> Result<(), Error> {
    for file in &set.files {
        let path = object_path(folder, &file.sha256);
        let there = disk.read(&path).and_then(|object| object.length());
        if !there.is_ok_and(|bytes| bytes == file.object_bytes) {
            let why = format!("{} of set {} is missing: no set is let go", path.display(), set.number);
            return Err(Error::Row("a backup", why.into()));
        }
    }
    Ok(())
}

/// Removes files of a folder, and gives how many, and their bytes.
fn remove(disk: &dyn Folders, folder: &Path, goes: impl Fn(&str) -> bool) -> Result<(u64, u64), Error> {
    let failed = |cause: io::Error| Error::File(format!("clearing {}", folder.display()), cause);
    let (mut count, mut bytes) = (0, 0);
    for name in disk.list(folder).map_err(failed)? {
        let path = folder.join(&name);
        let is_file = disk.kind(&path).map_err(failed)? == Some(Kind::File);
        if is_file && name.to_str().is_some_and(&goes) {
            bytes += disk.read(&path).and_then(|file| file.length()).map_err(failed)?;
            disk.remove_file(&path).map_err(failed)?;
            count += 1;
        }
    }
    disk.sync_folder(folder).map_err(failed)?;
    Ok((count, bytes))
}
