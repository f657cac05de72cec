//! A hierarchy between its files and its use: what is written goes on record before anybody signs with it.

use std::path::{Path, PathBuf};

use super::Hierarchy;
use crate::{Error, storage};

/// A hierarchy, new or grown, whose certificates and keys are in its folder. `hierarchy.json` does not name them yet, so that
/// what breaks off here leaves files that nobody uses.
#[derive(Debug)]
#[must_use = "nobody uses what was written before it is taken up"]
pub struct Written {
    hierarchy: Hierarchy,
    folder: PathBuf,
}

impl Written {
    /// With files that are durable.
    pub(super) fn new(hierarchy: Hierarchy, folder: &Path) -> Self {
        Self { hierarchy, folder: folder.to_owned() }
    }

    /// What it will be.
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Writes `hierarchy.json`, whole or not at all: this is the folder's hierarchy from now on.
    ///
    /// # Errors
    /// [`Error::Load`] if it could not be written: the folder has the hierarchy that it had, or none.
    pub fn take_up(self) -> Result<Hierarchy, Error> {
        let Self { hierarchy, folder } = self;
        hierarchy.manifest().write(&folder)?;
        // The folder itself may be new.
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => storage::sync_folder(parent)?,
            _ => {}
        }
        Ok(hierarchy)
    }
}
