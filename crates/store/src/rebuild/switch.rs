//! The files of a store that takes the place of another.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingam_journal::folders::Folders;

use crate::engine::{Engine, EngineError};
use crate::error::Error;
use crate::migration::copy;
use crate::open::{Config, EngineChoice, counter, open_engine};
use crate::table::{FORMAT_VERSION, META_FORMAT};

/// Where the new store is made, beside the old one.
const FRESH: &str = "store.rebuild";

/// What is said of an old store that the system does not read.
const UNREAD: &str = "opening the old store (try again; move its files away if their disk cannot read them any more: what had not \
                      reached the journal is lost then)";

/// At most so many old stores lie beside the one in use.
const KEPT_MAX: u32 = 100;

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let doing = format!("{doing} {}", path.display());
    move |cause| Error::File(doing, cause)
}

fn is_there(disk: &dyn Folders, path: &Path) -> Result<bool, Error> {
    disk.kind(path).map(|kind| kind.is_some()).map_err(failed("looking at", path))
}

/// The store that is there, if it opens and is of this version's format: one that does not is what a rebuild is for.
pub(super) fn old_engine(
    disk: &dyn Folders,
    directory: &Path,
    config: &Config,
) -> Result<Option<Arc<dyn Engine>>, Error> {
    let name = match config.engine {
        EngineChoice::Redb => "store.redb",
        EngineChoice::Sled => "store.sled",
    };
    if !is_there(disk, &directory.join(name))? {
        return Ok(None);
    }
    let opened = open_engine(disk, directory, config);
    match opened.and_then(|engine| Ok((counter(engine.as_ref(), META_FORMAT)?, engine))) {
        Ok((format, engine)) => Ok(Some(engine).filter(|_| format == FORMAT_VERSION)),
        Err(Error::Engine(_, cause)) if !is_damage(&cause) => Err(Error::Engine(UNREAD, cause)),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the store does not open: what had not reached the journal is lost");
            Ok(None)
        }
    }
}

/// Whether the store is what is wrong. Where the system fails, another try may find all of it.
fn is_damage(error: &EngineError) -> bool {
    match error {
        EngineError::Corrupt { .. } | EngineError::TooLarge { .. } => true,
        EngineError::Busy { .. } | EngineError::Full { .. } => false,
        // As redb says of a file that is none of its own, or cut off.
        EngineError::Io { source, .. } => source.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }),
    }
}

/// An empty folder for the new store; what an earlier rebuild left there goes.
pub(super) fn fresh_folder(disk: &dyn Folders, directory: &Path) -> Result<PathBuf, Error> {
    let fresh = directory.join(FRESH);
    disk.remove_all(&fresh).map_err(failed("removing", &fresh))?;
    disk.make_folder(&fresh).map_err(failed("making", &fresh))?;
    Ok(fresh)
}

/// Keeps the old store aside and gives the new one its name. Both are closed.
pub(super) fn put_in_place(
    disk: &dyn Folders,
    directory: &Path,
    fresh: &Path,
    config: &Config,
) -> Result<(), Error> {
    let aside = free_name(disk, directory)?;
    let name = match config.engine {
        EngineChoice::Redb => {
            if let Err(error) = keep(disk, directory, &aside) {
                // Nothing was switched: what was to be kept is in its place still, and a part of it here is of no use.
                if let Err(error) = disk.remove_all(&aside) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, directory = %aside.display(), "it is of no use, and cannot be removed");
                }
                return Err(error);
            }
            // After an orderly end everything is in this one file, and a log beside it is not looked at.
            "store.redb"
        }
        EngineChoice::Sled => {
            // Two renames: a crash between them leaves no store, and a rebuild makes it again.
            let folder = directory.join("store.sled");
            disk.make_folder(&aside).map_err(failed("making", &aside))?;
            if is_there(disk, &folder)? {
                disk.rename(&folder, &aside.join("store.sled")).map_err(failed("keeping", &folder))?;
            }
            "store.sled"
        }
    };
    let target = directory.join(name);
    disk.rename(&fresh.join(name), &target).map_err(failed("naming", &target))?;
    let synced = disk.sync_folder(directory);
    synced.map_err(failed("making it certain that the new store, which is whole, stays in", directory))?;
    // It is done, whatever becomes of an empty folder: the next rebuild removes it.
    if let Err(error) = disk.remove_all(fresh) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, directory = %fresh.display(), "it is not used any more, and cannot be removed");
    }
    Ok(())
}

fn free_name(disk: &dyn Folders, directory: &Path) -> Result<PathBuf, Error> {
    for number in 1..=KEPT_MAX {
        let path = directory.join(format!("store.before-rebuild-{number}"));
        if !is_there(disk, &path)? {
            return Ok(path);
        }
    }
    let doing = "keeping the old store aside: move store.before-rebuild-1 and the like away";
    Err(Error::File(doing.to_owned(), io::ErrorKind::AlreadyExists.into()))
}

/// Keeps redb's files aside. Until the new one has its name, the old store is whole and in its place: here is a second name of
/// it, and a copy of its log, which the new store will write anew.
fn keep(disk: &dyn Folders, directory: &Path, aside: &Path) -> Result<(), Error> {
    let (file, log) = (directory.join("store.redb"), directory.join("store.redb.log"));
    disk.make_folder(aside).map_err(failed("making", aside))?;
    if is_there(disk, &file)? {
        disk.link(&file, &aside.join("store.redb")).map_err(failed("keeping", &file))?;
    }
    if is_there(disk, &log)? {
        copy(disk, &log, &aside.join("store.redb.log")).map_err(failed("keeping", &log))?;
    }
    disk.sync_folder(aside).map_err(failed("syncing", aside))?;
    // It has to be there for certain before the old store loses its first name.
    disk.sync_folder(directory).map_err(failed("syncing", directory))
}
