//! A journal that is only read: that of a CA that may run, or a copy.

use std::path::Path;
use std::sync::Arc;

use ingam_journal::files::ReadOnlyDisk;
use ingam_journal::{Journal, JournalConfig, SegmentKeys};

use crate::serve::StartError;
use crate::system::SystemRandomness;

/// Opens the journal in a folder, with its keys in `journal-keys` beside it.
///
/// # Errors
/// [`StartError`], which names the folder.
pub(crate) fn open_to_read(folder: &Path) -> Result<Journal, StartError> {
    let doing = format!("the journal in {} cannot be read", folder.display());
    let disk = ReadOnlyDisk::open(folder).map_err(|error| {
        StartError::new(format!("{doing}: {error}; name the CA's journal, or a copy of it"))
    })?;
    let keys = folder.with_file_name("journal-keys");
    let keys = ReadOnlyDisk::open(&keys).map_err(|error| {
        StartError::new(format!("{doing}: {}: {error}; the keys of a journal lie beside it", keys.display()))
    })?;
    let keys = SegmentKeys::open(&keys, Arc::new(SystemRandomness::new()))
        .map_err(|error| StartError::caused(&doing, &error))?;
    Journal::open(Arc::new(disk), Arc::new(keys), JournalConfig::default())
        .map_err(|error| StartError::caused(&doing, &error))
}
