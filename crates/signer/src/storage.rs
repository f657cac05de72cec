//! Files of keys and certificates: PEM, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ingam_protocol::Random;
use pem_rfc7468::LineEnding;
use zeroize::Zeroizing;

use crate::sealing::{self, Cost, Failure};
use crate::{Error, Passphrase, PrivateKey};

/// PEM labels (RFC 7468, sections 5, 6, 7, 10 and 11).
const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";
const ENCRYPTED_PRIVATE_KEY: &str = "ENCRYPTED PRIVATE KEY";
const REQUEST: &str = "CERTIFICATE REQUEST";
const REVOCATION_LIST: &str = "X509 CRL";

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
    let temporary = write_beside(folder, name, contents, secrecy)?;
    fs::rename(&temporary, &path).map_err(|cause| failed(&path, "put the new file in place", cause))?;
    sync_folder(folder)
}

/// Writes a file under the name that it has before it is in its place, and gives its path.
fn write_beside(folder: &Path, name: &str, contents: &[u8], secrecy: Secrecy) -> Result<PathBuf, Error> {
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
    Ok(temporary)
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

/// Refuses a file that others than its owner may read or write.
pub(crate) fn check_owners_alone(path: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(|cause| failed(path, "open the file", cause))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(broken(
            path,
            format!(
                "others than its owner may use this key (mode {mode:04o}): `chmod 600` it, and make another if others have had it"
            ),
        ));
    }
    Ok(())
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

/// A private key under a passphrase as PEM text.
///
/// # Errors
/// [`Error::Unavailable`] if it could not be encrypted.
pub(crate) fn sealed_key_to_pem(
    key: &PrivateKey,
    passphrase: &Passphrase,
    cost: Cost,
    random: &dyn Random,
) -> Result<String, Error> {
    let sealed = sealing::seal(key, passphrase, cost, random)?;
    pem_rfc7468::encode_string(ENCRYPTED_PRIVATE_KEY, LineEnding::LF, &sealed)
        .map_err(|error| Error::Unavailable(format!("a key could not be written as PEM ({error})")))
}

/// How keys that are encrypted can be read.
#[derive(Clone, Copy)]
pub(crate) struct Unlocking<'a> {
    /// What they are encrypted under, if anybody said so.
    pub(crate) passphrase: Option<&'a Passphrase>,
    /// How the operator can say so.
    pub(crate) given_by: &'static str,
}

/// Reads PEM text that holds exactly one certificate, and gives its DER. `path` is for the words of an error.
pub(crate) fn certificate_from_pem(path: &Path, text: &[u8]) -> Result<Vec<u8>, Error> {
    decode(path, text, CERTIFICATE)
}

/// A certification request as PEM text.
pub(crate) fn request_to_pem(der: &[u8]) -> Result<String, Error> {
    pem_rfc7468::encode_string(REQUEST, LineEnding::LF, der)
        .map_err(|error| Error::Unavailable(format!("a request could not be written as PEM ({error})")))
}

/// Reads PEM text that holds exactly one certification request, and gives its DER. `path` is for the words of an error.
pub(crate) fn request_from_pem(path: &Path, text: &[u8]) -> Result<Vec<u8>, Error> {
    decode(path, text, REQUEST)
}

/// Reads a file with one CRL, PEM or DER, and gives its DER.
pub(crate) fn revocation_list(path: &Path) -> Result<Vec<u8>, Error> {
    let text = read(path)?;
    // DER of a CRL begins with a SEQUENCE.
    if text.first() == Some(&0x30) { Ok(text.to_vec()) } else { decode(path, &text, REVOCATION_LIST) }
}

/// Writes a file as [`write`] does, but never over another.
///
/// # Errors
/// [`Error::Load`] names the file; if one of that name is there, it stays as it is.
pub(crate) fn write_new(path: &Path, contents: &[u8], secrecy: Secrecy) -> Result<(), Error> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(broken(path, "is no path of a file"));
    };
    let taken = || broken(path, "is there already, and is never written over: name another, or move it away");
    if path.symlink_metadata().is_ok() {
        return Err(taken());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    make_folder(folder, secrecy)?;
    let temporary = write_beside(folder, name, contents, secrecy)?;
    // A link is never made over what somebody else has put there meanwhile.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).map_err(|cause| failed(&temporary, "remove", cause))?;
    linked.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => taken(),
        _ => failed(path, "put the new file in place", cause),
    })?;
    sync_folder(folder)
}

/// Reads PEM text that holds exactly one PKCS #8 key, which is not encrypted. `path` is for the words of an error.
pub(crate) fn key_from_pem(path: &Path, text: &[u8]) -> Result<PrivateKey, Error> {
    decode(path, text, PRIVATE_KEY).map(PrivateKey::from_pkcs8)
}

/// Reads PEM text that holds exactly one PKCS #8 key, encrypted or not. `path` is for the words of an error.
pub(crate) fn unlock_key(path: &Path, text: &[u8], unlocking: Unlocking<'_>) -> Result<PrivateKey, Error> {
    if is_encrypted(text) != Some(true) {
        return key_from_pem(path, text);
    }
    let sealed = decode(path, text, ENCRYPTED_PRIVATE_KEY)?;
    let Unlocking { passphrase, given_by } = unlocking;
    let Some(passphrase) = passphrase else {
        return Err(broken(
            path,
            format!("the key is encrypted, and there is no passphrase for it: give one by {given_by}"),
        ));
    };
    sealing::open(&sealed, passphrase).map_err(|failure| match failure {
        Failure::Passphrase => broken(
            path,
            format!(
                "the passphrase does not open this key: give the one that it was encrypted under, by {given_by}; \
                 or the file is damaged, then restore it from a backup"
            ),
        ),
        Failure::Form(what) => broken(path, format!("the key cannot be decrypted: {what}")),
    })
}

/// Whether PEM text holds an encrypted key (`true`) or a plain one (`false`), by its first label alone. `None` if it
/// holds something else.
pub(crate) fn is_encrypted(text: &[u8]) -> Option<bool> {
    match label(text)? {
        ENCRYPTED_PRIVATE_KEY => Some(true),
        // PKCS #1 and SEC 1 too: whatever the form, the key lies open. With `Proc-Type: 4,ENCRYPTED` it does not, but
        // that is no protection by today's measure, and not read here.
        label if label.ends_with("PRIVATE KEY") => Some(false),
        _ => None,
    }
}

/// The label of the first block of a PEM text.
fn label(text: &[u8]) -> Option<&str> {
    let begin = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"-----BEGIN "))?;
    std::str::from_utf8(begin).ok()?.trim_end().strip_suffix("-----")
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

/// A file with one certificate, and its DER; text around it does not matter.
pub(crate) fn read_certificate(path: &Path) -> Result<Vec<u8>, Error> {
    let text = read(path)?;
    match split_pem(&text).as_slice() {
        [one] => certificate_from_pem(path, one),
        blocks => Err(broken(
            path,
            format!("holds {} PEM blocks where one certificate should be: leave out the rest", blocks.len()),
        )),
    }
}

fn decode(path: &Path, text: &[u8], wanted: &str) -> Result<Vec<u8>, Error> {
    match pem_rfc7468::decode_vec(text) {
        Ok((label, der)) if label == wanted => Ok(der),
        Ok((found, _)) => Err(misplaced(path, found, wanted)),
        Err(_) if label(text).is_some_and(|found| found != wanted) => {
            Err(misplaced(path, label(text).unwrap_or_default(), wanted))
        }
        Err(error) => Err(broken(
            path,
            format!("is no PEM file with one '{wanted}' ({error}); restore it from a backup"),
        )),
    }
}

fn misplaced(path: &Path, found: &str, wanted: &str) -> Error {
    let remedy =
        if wanted == PRIVATE_KEY && matches!(found, "EC PARAMETERS" | "EC PRIVATE KEY" | "RSA PRIVATE KEY") {
            "write it as PKCS #8 with `openssl pkcs8 -topk8 -in OLD -out NEW`, and give that file"
        } else {
            "put the right file there"
        };
    broken(path, format!("holds '{found}' where '{wanted}' should be; {remedy}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ingam_protocol::time::SeededRandom;

    use super::*;
    use crate::KeyKind;

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

    #[test]
    fn keys_under_a_passphrase_need_it() {
        let (path, random) = (Path::new("keys/example.pem"), SeededRandom::new(1));
        let [right, wrong] = ["right", "wrong"].map(|text| Passphrase::new(text.into()).unwrap());
        let key = PrivateKey::generate(KeyKind::EcdsaP256, &random).unwrap();
        let sealed = sealed_key_to_pem(&key, &right, Cost::NONE, &random).unwrap();
        assert!(sealed.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let unlock = |text: &str, passphrase| {
            unlock_key(path, text.as_bytes(), Unlocking { passphrase, given_by: "--this-way" })
                .map_err(|error| error.to_string())
        };
        assert!(unlock(&sealed, Some(&right)).unwrap() == key);
        for (passphrase, complaint) in [(None, "there is no passphrase"), (Some(&wrong), "does not open")] {
            let error = unlock(&sealed, passphrase).unwrap_err();
            for part in ["keys/example.pem", "--this-way", complaint] {
                assert!(error.contains(part), "{error}");
            }
        }
        let open = key_to_pem(&key).unwrap();
        assert!(unlock(&open, None).unwrap() == key && unlock(&open, Some(&wrong)).unwrap() == key);
        assert_eq!(
            [&sealed, open.as_str()].map(|text| is_encrypted(text.as_bytes())),
            [Some(true), Some(false)]
        );
        assert_eq!(is_encrypted(certificate_to_pem(b"a").unwrap().as_bytes()), None);
    }

    #[test]
    fn other_forms_of_keys_are_told_how_to_become_pkcs8() {
        for text in [
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
             -----END RSA PRIVATE KEY-----\n",
            "-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n",
        ] {
            let error = key_from_pem(Path::new("a.pem"), text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("a.pem") && error.contains("openssl pkcs8 -topk8"), "{error}");
        }
    }
}
