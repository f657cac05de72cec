//! The key of the log of records: Ed25519, in a file of its own, made at the first start.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ingam_journal::files::sync_directory_at;
use ingam_protocol::pem;
use ingam_protocol::time::{Random, random_array};
use ring::signature::Ed25519KeyPair;
use zeroize::Zeroizing;

use crate::serve::StartError;

/// Its file in the log's folder.
pub(crate) const KEY: &str = "key";

/// What is in front of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Reads the key, or makes one.
pub(super) fn key(folder: &Path, random: &dyn Random) -> Result<Ed25519KeyPair, StartError> {
    let path = folder.join(KEY);
    if !path.exists() {
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(random_array(random));
        let der = Zeroizing::new([&PKCS8_PREFIX[..], &seed[..]].concat());
        write(&path, pem::private_key(&der).as_bytes()).map_err(|error| {
            let doing = format!("the key of the log of records cannot be written to {}", path.display());
            StartError::caused(&doing, &error)
        })?;
    }
    read(&path)
}

/// Reads the key in this file.
pub(crate) fn read(path: &Path) -> Result<Ed25519KeyPair, StartError> {
    let doing = format!("the key of the log of records, {}, cannot be used", path.display());
    let file = std::fs::read(path).map(Zeroizing::new);
    let file = file.map_err(|error| StartError::caused(&doing, &error))?;
    let der = pem::der(&file, "PRIVATE KEY").map(Zeroizing::new);
    let pair = der.and_then(|der| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok());
    pair.ok_or_else(|| StartError::new(format!("{doing}: it is no Ed25519 key, PKCS #8 in PEM")))
}

/// Writes a file whole or not at all; durable when it returns.
pub(super) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    sync_directory_at(path.parent().unwrap_or(Path::new("")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use ingam_protocol::time::SeededRandom;
    use ring::signature::KeyPair as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = key(folder.path(), &SeededRandom::new(1)).unwrap();
        let again = key(folder.path(), &SeededRandom::new(2)).unwrap();
        assert_eq!(first.public_key().as_ref(), again.public_key().as_ref());
        let path = folder.path().join(KEY);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "nothing").unwrap();
        assert!(
            key(folder.path(), &SeededRandom::new(1))
                .is_err_and(|error| error.to_string().contains("no Ed25519 key"))
        );
    }
}
