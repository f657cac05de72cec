//! Files of keys and certificates: PEM, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use pem_rfc7468::LineEnding;
use zeroize::Zeroizing;

use crate::{Error, PrivateKey};

/// PEM labels (RFC 7468, sections 5 and 10).
const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// No file that is read here is larger: a CA's certificate or key has some thousand bytes.
const FILE_SIZE_MAX: u64 = 64 * 1024;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Everyone.
    Public,
    /// The owner alone (mode 0600).
    Secret,
}

/// An [`Error::Load`] that names the file or folder and what to do about it.
pub(crate) fn broken(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::Load(format!("{}: {what}", path.display()), None)
}

fn failed(path: &Path, doing: &str, cause: io::Error) -> Error {
    Error::Load(format!("{}: could not {doing}", path.display()), Some(Box::new(cause)))
}

/// Makes a folder and those above it, if they are missing; a secret one only its owner may enter.
pub(crate) fn make_folder(path: &Path, secrecy: Secrecy) -> Result<(), Error> {
    let mode = match secrecy {
        Secrecy::Public => 0o755,
        Secrecy::Secret => 0o700,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|cause| failed(path, "make the folder", cause))
}

/// Writes a file so that it is there whole or not at all, whenever the process or the power ends: under another name,
/// synced, renamed, and the folder synced.
pub(crate) fn write(folder: &Path, name: &str, contents: &[u8], secrecy: Secrecy) -> Result<(), Error> {
    let path = folder.join(name);
    let temporary = folder.join(format!(".{name}.new"));
    let mode = match secrecy {
        Secrecy::Public => 0o644,
        Secrecy::Secret => 0o600,
    };
    // What an earlier attempt left behind goes first, as its mode might be another.
    match fs::remove_file(&temporary) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&temporary, "remove", cause));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(|cause| failed(&temporary, "create the file", cause))?;
    file.write_all(contents)
        .and_then(|()| file.sync_all())
        .map_err(|cause| failed(&temporary, "write the file", cause))?;
    fs::rename(&temporary, &path).map_err(|cause| failed(&path, "put the new file in place", cause))?;
    sync_folder(folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|cause| failed(folder, "sync the folder", cause))
}

/// Reads a whole file of at most 64 KiB; its bytes are wiped when dropped.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let size = fs::metadata(path).map_err(|cause| failed(path, "open the file", cause))?.len();
    if size > FILE_SIZE_MAX {
        return Err(broken(path, "the file is too large to be a key or a certificate"));
    }
    fs::read(path).map(Zeroizing::new).map_err(|cause| failed(path, "read the file", cause))
}

/// A certificate as PEM text.
pub(crate) fn certificate_to_pem(der: &[u8]) -> Result<String, Error> {
    pem_rfc7468::encode_string(CERTIFICATE, LineEnding::LF, der)
        .map_err(|error| Error::Unavailable(format!("a certificate could not be written as PEM ({error})")))
}

/// A private key as PEM text, wiped when dropped.
pub(crate) fn key_to_pem(key: &PrivateKey) -> Result<Zeroizing<String>, Error> {
    pem_rfc7468::encode_string(PRIVATE_KEY, LineEnding::LF, key.pkcs8())
        .map(Zeroizing::new)
        .map_err(|error| Error::Unavailable(format!("a key could not be written as PEM ({error})")))
}

/// Reads PEM text that holds exactly one certificate, and gives its DER. `path` is for the words of an error.
pub(crate) fn certificate_from_pem(path: &Path, text: &[u8]) -> Result<Vec<u8>, Error> {
    decode(path, text, CERTIFICATE)
}

/// Reads PEM text that holds exactly one PKCS #8 key. `path` is for the words of an error.
pub(crate) fn key_from_pem(path: &Path, text: &[u8]) -> Result<PrivateKey, Error> {
    decode(path, text, PRIVATE_KEY).map(PrivateKey::from_pkcs8)
}

/// The blocks of a PEM text, each from its first to its last line; what stands between them is dropped.
pub(crate) fn split_pem(text: &[u8]) -> Vec<&[u8]> {
    let mut blocks = Vec::new();
    let mut block = None;
    let mut offset = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let start = offset;
        offset += line.len();
        if line.starts_with(b"-----BEGIN ") {
            block = Some(start);
        } else if line.starts_with(b"-----END ") {
            blocks.extend(block.take().and_then(|start| text.get(start..offset)));
        }
    }
    blocks
}

fn decode(path: &Path, text: &[u8], wanted: &str) -> Result<Vec<u8>, Error> {
    match pem_rfc7468::decode_vec(text) {
        Ok((label, der)) if label == wanted => Ok(der),
        Ok((label, _)) => {
            Err(broken(path, format!("holds '{label}' where '{wanted}' should be; put the right file there")))
        }
        Err(error) => Err(broken(
            path,
            format!("is no PEM file with one '{wanted}' ({error}); restore it from a backup"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secret_files_are_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "key.pem", b"one", Secrecy::Secret).unwrap();
        write(folder.path(), "key.pem", b"two", Secrecy::Secret).unwrap();
        let path = folder.path().join("key.pem");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().as_slice(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_an_earlier_attempt_left_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".key.pem.new"), b"half").unwrap();
        write(folder.path(), "key.pem", b"whole", Secrecy::Secret).unwrap();
        let path = folder.path().join("key.pem");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().as_slice(), b"whole");
    }

    #[test]
    fn damaged_pem_names_the_file() {
        let path = Path::new("issuers/example.pem");
        let good = certificate_to_pem(b"not looked into here").unwrap();
        for bad in ["", "-----BEGIN CERTIFICATE-----\n", &good[..40], &good.replace("CERTIFICATE", "NOTHING")]
        {
            let error = certificate_from_pem(path, bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("issuers/example.pem"), "{error}");
        }
        assert_eq!(certificate_from_pem(path, good.as_bytes()).unwrap(), b"not looked into here");
    }
}
