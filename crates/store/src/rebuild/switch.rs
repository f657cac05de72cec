//! The files of a store that takes the place of another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingam_journal::files::sync_directory_at;

use crate::engine::Engine;
use crate::error::Error;
use crate::migration::make_folder;
use crate::open::{Config, EngineChoice, counter, open_engine};
use crate::table::{FORMAT_VERSION, META_FORMAT};

/// Where the new store is made, beside the old one.
const FRESH: &str = "store.rebuild";

/// At most so many old stores lie beside the one in use.
const KEPT_MAX: u32 = 100;

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let doing = format!("{doing} {}", path.display());
    move |cause| Error::File(doing, cause)
}

/// The store that is there, if it opens and is of this version's format: one that does not is what a rebuild is for.
pub(super) fn old_engine(directory: &Path, config: &Config) -> Option<Arc<dyn Engine>> {
    let name = match config.engine {
        EngineChoice::Redb => "store.redb",
        EngineChoice::Sled => "store.sled",
    };
    if !directory.join(name).exists() {
        return None;
    }
    let engine = open_engine(directory, config);
    match engine {
        Ok(engine) if counter(engine.as_ref(), META_FORMAT).is_ok_and(|format| format == FORMAT_VERSION) => {
            Some(engine)
        }
        Ok(_) => None,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the store does not open: what had not reached the journal is lost");
            None
        }
    }
}

/// An empty folder for the new store; what an earlier rebuild left there goes.
pub(super) fn fresh_folder(directory: &Path) -> Result<PathBuf, Error> {
    let fresh = directory.join(FRESH);
    match fs::remove_dir_all(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("removing", &fresh)(error));
        }
        _ => {}
    }
    make_folder(&fresh).map_err(failed("making", &fresh))?;
    Ok(fresh)
}

/// Keeps the old store aside and gives the new one its name. Both are closed.
pub(super) fn put_in_place(directory: &Path, fresh: &Path, config: &Config) -> Result<(), Error> {
    let names = (1..=KEPT_MAX).map(|number| directory.join(format!("store.before-rebuild-{number}")));
    let aside = names.into_iter().find(|path| !path.exists()).ok_or_else(|| {
        let doing = "keeping the old store aside: move store.before-rebuild-1 and the like away";
        Error::File(doing.to_owned(), io::ErrorKind::AlreadyExists.into())
    })?;
    make_folder(&aside).map_err(failed("making", &aside))?;
    match config.engine {
        EngineChoice::Redb => {
            let (file, log) = (directory.join("store.redb"), directory.join("store.redb.log"));
            if file.exists() {
                // Until the rename below, the old store is whole and in its place: here is a second name of it, and a copy
                // of its log, which the new store will write anew.
                fs::hard_link(&file, aside.join("store.redb")).map_err(failed("keeping", &file))?;
            }
            if log.exists() {
                fs::copy(&log, aside.join("store.redb.log")).map_err(failed("keeping", &log))?;
            }
            sync_directory_at(&aside).map_err(failed("syncing", &aside))?;
            // After an orderly end everything is in this one file, and a log beside it is not looked at.
            let new = fresh.join("store.redb");
            fs::rename(&new, &file).map_err(failed("naming", &file))?;
        }
        EngineChoice::Sled => {
            // Two renames: a crash between them leaves no store, and a rebuild makes it again.
            let folder = directory.join("store.sled");
            if folder.exists() {
                fs::rename(&folder, aside.join("store.sled")).map_err(failed("keeping", &folder))?;
            }
            fs::rename(fresh.join("store.sled"), &folder).map_err(failed("naming", &folder))?;
        }
    }
    sync_directory_at(directory).map_err(failed("syncing", directory))?;
    fs::remove_dir_all(fresh).map_err(failed("removing", fresh))
}
