//! The private keys that lie in a folder, as their files show without a passphrase.

use std::fs;
use std::path::{Path, PathBuf};

use ingam_protocol::profile::IssuerName;

use super::manifest::{Listed, Manifest};
use super::{Hierarchy, key_path};
use crate::Error;
use crate::storage::{self, broken};

/// No folder of keys has more files.
const FILES_MAX: usize = 1000;

/// A private key's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whose key it should hold, by its name.
    pub owner: KeyOwner,
    /// Whether it is encrypted, by its PEM label.
    pub is_encrypted: bool,
}

/// Whose key a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// The root: its key belongs offline.
    Root,
    /// An issuing CA of the hierarchy.
    Issuer(IssuerName),
    /// Nobody in the hierarchy: a copy, or what an earlier attempt left.
    Nobody,
}

impl Hierarchy {
    /// Looks at every file in the folder's `keys/`: the issuing CAs' first, in the hierarchy's order; the root's, if it
    /// is there; then all others that hold a private key in PEM. Nothing is decrypted, and no passphrase is needed.
    ///
    /// # Errors
    /// [`Error::Load`] names the file that is missing or cannot be read, or the issuing CA's that holds no key.
    pub fn key_files(folder: &Path) -> Result<Vec<KeyFile>, Error> {
        let manifest = Manifest::read(folder)?;
        let mut files = Vec::with_capacity(manifest.issuers.len() + 1);
        for listed in manifest.issuers {
            // A key on a token has no file.
            let Listed { name, key: None, .. } = listed else { continue };
            let path = key_path(folder, &name);
            let is_encrypted = storage::is_encrypted(&storage::read(&path)?)
                .ok_or_else(|| broken(&path, "holds no private key; restore it from a backup"))?;
            files.push(KeyFile { path, owner: KeyOwner::Issuer(name), is_encrypted });
        }
        let root = manifest.roots.first().map(|root| key_path(folder, root)).unwrap_or_default();
        let mut others = others(&folder.join("keys"), &files)?;
        // The root's before those that nobody has.
        others.sort_by_key(|path| (*path != root, path.clone()));
        for path in others {
            if let Some(is_encrypted) = storage::is_encrypted(&storage::read(&path)?) {
                let owner = if path == root { KeyOwner::Root } else { KeyOwner::Nobody };
                files.push(KeyFile { path, owner, is_encrypted });
            }
        }
        Ok(files)
    }
}

/// The files in a folder that are not among `known`.
fn others(folder: &Path, known: &[KeyFile]) -> Result<Vec<PathBuf>, Error> {
    let failed = |cause| {
        let what = format!("{}: the folder of keys could not be read", folder.display());
        Error::Load(what, Some(Box::new(cause)))
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)?.take(FILES_MAX) {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && !known.iter().any(|file| file.path == path) {
            found.push(path);
        }
    }
    Ok(found)
}
