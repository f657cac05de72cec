//! Sets: what is in each, in which order they were made, and who says so.
//!
//! A set's list is signed by the CA's own key for that, and names the list before by its hash: a set that was changed, put in,
//! or taken out before the last is found. It says nothing that is secret: names of files, sizes, hashes of what has random
//! bytes in it.
//!
//! Where sets were let go ([`super::prune`]), a list of its own says which, signed in the same way, and the chain begins behind
//! them.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ingam_journal::folders::{Folders, InOrder};
use ingam_protocol::Timestamp;
use ingam_protocol::bytes::{from_hex, hex};
use ingam_protocol::time::{Random, random_array};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Error;

pub(super) const FORMAT: u32 = 1;

/// At most so many sets are in a folder.
const SETS_MAX: u64 = 1_000_000;

/// A list is read whole.
const LIST_BYTES_MAX: u64 = 256 << 20;

/// A file that holds more is no key.
const SEED_BYTES_MAX: u64 = 1 << 10;

/// What is in a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) number: u64,
    /// The moment that it shows.
    pub(super) made: Timestamp,
    /// SHA-256 of the list of the set before.
    pub(super) previous: Option<String>,
    pub(super) files: Vec<FileEntry>,
}

/// Which sets were let go: all up to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gone {
    pub(super) format: u32,
    /// The number of the last of them.
    pub(super) number: u64,
    /// SHA-256 of its list.
    pub(super) head: Option<String>,
    pub(super) at: Timestamp,
}

/// A file of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    /// Where it was, from the state folder on.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// Of what is in it; the object's name.
    pub(super) sha256: String,
    /// Of the object, as it lies there.
    pub(super) object_sha256: String,
    pub(super) object_bytes: u64,
}

/// A list with its signature, as a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    manifest: String,
    key: String,
    signature: String,
}

/// What the CA signs lists of backups with.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads `backup.key` in the state folder, or makes it.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Seal`] if it is none.
    pub fn open(disk: &dyn Folders, state: &Path, random: &dyn Random) -> Result<Self, Error> {
        let path = state.join("backup.key");
        let failed = |cause| Error::File(format!("opening {}", path.display()), cause);
        let seed = match read(disk, &path, SEED_BYTES_MAX).map_err(failed)? {
            Some(seed) => Zeroizing::new(seed),
            None => {
                let seed = Zeroizing::new(random_array::<32>(random).to_vec());
                write_whole(disk, &path, &seed).map_err(failed)?;
                seed
            }
        };
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed);
        pair.map(Self).map_err(|_| Error::Seal("reading backup.key: it has not 32 bytes"))
    }

    /// Its public half, in hexadecimal digits: what a restore can be told to insist on.
    pub fn public(&self) -> String {
        hex(self.0.public_key().as_ref())
    }
}

/// What is in a file; `None` if there is none.
fn read(disk: &dyn Folders, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.length()? > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    InOrder::new(file).take(bytes_max).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a file for the owner alone, whole or not at all.
fn write_whole(disk: &dyn Folders, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = InOrder::new(disk.create(&unfinished)?);
        file.write_all(bytes)?;
        file.sync()?;
        disk.rename(&unfinished, path)
    };
    if let Err(error) = write() {
        // On a full disk it would be in the way. If it stays, the next one is written over it.
        let _ = disk.remove_all(&unfinished);
        return Err(error);
    }
    disk.sync_folder(path.parent().unwrap_or(Path::new("")))
}

/// The list of the set of this number.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join("sets").join(format!("{number:06}.json"))
}

pub(super) fn object_path(folder: &Path, sha256: &str) -> PathBuf {
    folder.join("objects").join(format!("{sha256}.age"))
}

/// All sets of a folder that were not let go, in order, each verified: its signature, that one key signed all of them, and the chain.
pub(super) struct Sets {
    pub(super) manifests: Vec<Manifest>,
    /// The number of the last set, let go or not.
    pub(super) last: u64,
    /// The hash of the last list.
    pub(super) head: Option<String>,
    /// The key that signed them.
    pub(super) key: Option<String>,
}

fn wrong(what: String) -> Error {
    Error::Row("a backup", what.into())
}

pub(super) fn read_sets(disk: &dyn Folders, folder: &Path) -> Result<Sets, Error> {
    let mut sets = Sets { manifests: Vec::new(), last: 0, head: None, key: None };
    if let Some((gone, key)) = read_gone(disk, folder)? {
        (sets.last, sets.head, sets.key) = (gone.number, gone.head, Some(key));
    }
    for number in sets.last.saturating_add(1)..=SETS_MAX {
        let path = path_of(folder, number);
        let failed = |cause| Error::File(format!("reading {}", path.display()), cause);
        let Some(bytes) = read(disk, &path, LIST_BYTES_MAX).map_err(failed)? else { break };
        let unreadable = || wrong(format!("the list of set {number} cannot be read: it was changed"));
        let signed: Signed = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
        let key = from_hex(&signed.key).ok_or_else(unreadable)?;
        let signature = from_hex(&signed.signature).ok_or_else(unreadable)?;
        UnparsedPublicKey::new(&ED25519, &key).verify(signed.manifest.as_bytes(), &signature).map_err(
            |_| wrong(format!("the list of set {number} was changed: its signature does not hold")),
        )?;
        if sets.key.get_or_insert_with(|| signed.key.clone()) != &signed.key {
            return Err(wrong(format!("set {number} was signed by another key than those before it")));
        }
        let manifest: Manifest = serde_json::from_str(&signed.manifest).map_err(|_| unreadable())?;
        if manifest.format > FORMAT {
            return Err(wrong(format!("set {number} is of a newer program: use that one")));
        }
        if manifest.number != number || manifest.previous != sets.head {
            return Err(wrong(format!(
                "set {number} does not follow the one before it: one was changed, or put in"
            )));
        }
        sets.head = Some(hex(digest(&SHA256, signed.manifest.as_bytes()).as_ref()));
        sets.manifests.push(manifest);
        sets.last = number;
    }
    Ok(sets)
}

/// The list of sets that were let go.
pub(super) fn gone_path(folder: &Path) -> PathBuf {
    folder.join("sets").join("gone.json")
}

/// Which sets were let go, and the key that signed that; `None` if none were.
fn read_gone(disk: &dyn Folders, folder: &Path) -> Result<Option<(Gone, String)>, Error> {
    let path = gone_path(folder);
    let failed = |cause| Error::File(format!("reading {}", path.display()), cause);
    let Some(bytes) = read(disk, &path, LIST_BYTES_MAX).map_err(failed)? else { return Ok(None) };
    let verified = || {
        let signed: Signed = serde_json::from_slice(&bytes).ok()?;
        let (key, signature) = (from_hex(&signed.key)?, from_hex(&signed.signature)?);
        UnparsedPublicKey::new(&ED25519, key).verify(signed.manifest.as_bytes(), &signature).ok()?;
        let gone: Gone = serde_json::from_str(&signed.manifest).ok()?;
        (gone.format <= FORMAT).then_some((gone, signed.key))
    };
    let changed = || wrong("the list of sets that are gone was changed, or is of a newer program".to_owned());
    verified().map(Some).ok_or_else(changed)
}

pub(super) fn write_set(
    disk: &dyn Folders,
    folder: &Path,
    manifest: &Manifest,
    key: &SigningKey,
) -> Result<(), Error> {
    write_signed(disk, &path_of(folder, manifest.number), manifest, key)
}

/// Writes a list with its signature, whole or not at all.
pub(super) fn write_signed<T: Serialize>(
    disk: &dyn Folders,
    path: &Path,
    list: &T,
    key: &SigningKey,
) -> Result<(), Error> {
    let text = serde_json::to_string(list).map_err(|cause| Error::Row("a backup's list", Box::new(cause)))?;
    let signature = hex(key.0.sign(text.as_bytes()).as_ref());
    let signed = Signed { manifest: text, key: key.public(), signature };
    let bytes =
        serde_json::to_vec(&signed).map_err(|cause| Error::Row("a backup's list", Box::new(cause)))?;
    write_whole(disk, path, &bytes).map_err(|cause| Error::File(format!("writing {}", path.display()), cause))
}
