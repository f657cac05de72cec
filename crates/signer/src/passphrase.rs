//! What keys are encrypted under.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::Error;
use crate::storage::broken;

/// openssl reads no more from a file.
const BYTES_MAX: usize = 1000;

/// What private keys are encrypted under: 1 to 1000 bytes in one line. Its bytes are wiped when it is dropped, and
/// `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes what was typed, or what a file holds; one newline at its end is cut off.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is empty, longer than 1000 bytes, or has a second line: other programs would read
    /// another passphrase from the same file.
    pub fn new(text: Vec<u8>) -> Result<Self, Error> {
        let mut text = Zeroizing::new(text);
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        let refuse = |why: &str| Err(Error::Refused(format!("the passphrase {why}")));
        if text.is_empty() {
            return refuse("is empty");
        }
        if text.len() > BYTES_MAX {
            return refuse("is longer than 1000 bytes");
        }
        if text.contains(&b'\n') {
            return refuse("has more than one line");
        }
        Ok(Self(text))
    }

    /// Reads a file that its owner alone may read and write, or a pipe (`/dev/fd/N`).
    ///
    /// # Errors
    /// [`Error::Load`] names the file and says what is wrong: it cannot be read, others may read it, or it holds no
    /// passphrase.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        Self::read(path, 0o077)
    }

    /// Reads what the starting process left open under this number, 3 or more: the end of a pipe, or a file that its owner
    /// alone may read. What comes through a pipe is there once.
    ///
    /// # Errors
    /// As [`Passphrase::from_file`], with `/dev/fd/NUMBER` as the file.
    pub fn from_descriptor(number: u32) -> Result<Self, Error> {
        Self::from_file(Path::new(&format!("/dev/fd/{number}")))
    }

    /// Reads a file of the folder that systemd made for this service alone (`$CREDENTIALS_DIRECTORY`). It may be
    /// readable by its group: where systemd gives access by an access control list, that is how its mask shows.
    ///
    /// # Errors
    /// As [`Passphrase::from_file`].
    pub fn from_credential(path: &Path) -> Result<Self, Error> {
        Self::read(path, 0o037)
    }

    /// `forbidden`: the bits of the mode that must not be set.
    fn read(path: &Path, forbidden: u32) -> Result<Self, Error> {
        let failed = |cause| {
            let what = format!("{}: the file with the passphrase could not be read", path.display());
            Error::Load(what, Some(Box::new(cause)))
        };
        let file = File::open(path).map_err(failed)?;
        // Of the open file, so that it is the one that is read.
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & forbidden != 0 {
            return Err(broken(
                path,
                format!(
                    "others than its owner may use this passphrase (mode {mode:04o}): `chmod 600` it, and change it if others have had it"
                ),
            ));
        }
        let mut text = Vec::with_capacity(BYTES_MAX + 2);
        // Two more than a passphrase may have: its newline, and one by which it shows that it is too long.
        let limit = u64::try_from(BYTES_MAX + 2).unwrap_or(u64::MAX);
        let read = file.take(limit).read_to_end(&mut text);
        // Taken first, so that what was read is wiped in any case.
        let passphrase = Self::new(text);
        read.map_err(failed)?;
        passphrase.map_err(|error| broken(path, error))
    }

    /// As text, for a token's PIN; whoever takes it has to wipe it. `None` if it is no UTF-8.
    pub(crate) fn text(&self) -> Option<String> {
        std::str::from_utf8(&self.0).ok().map(str::to_owned)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn file(contents: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), contents).unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn one_newline_at_the_end_does_not_count() {
        for text in [&b"a b"[..], b"a b\n"] {
            assert_eq!(Passphrase::from_file(file(text, 0o600).path()).unwrap().bytes(), b"a b");
        }
        let longest = [b'x'; BYTES_MAX];
        let with_newline = [&longest[..], b"\n"].concat();
        assert_eq!(Passphrase::from_file(file(&with_newline, 0o400).path()).unwrap().bytes(), longest);
    }

    #[test]
    fn what_is_no_passphrase_is_refused_with_the_files_name() {
        for (text, complaint) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"a\n\n", "more than one line"),
            (b"a\nb\n", "more than one line"),
            (&[b'x'; BYTES_MAX + 1], "longer"),
            (&[b'x'; 5000], "longer"),
        ] {
            let file = file(text, 0o600);
            let error = Passphrase::from_file(file.path()).unwrap_err().to_string();
            assert!(error.contains(complaint) && error.contains(file.path().to_str().unwrap()), "{error}");
        }
        let error = Passphrase::from_file(Path::new("/nowhere/passphrase")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/passphrase"), "{error}");
    }

    #[test]
    fn what_others_may_read_is_refused() {
        for (mode, as_file, as_credential) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o440, false, true),
            (0o640, false, true),
            (0o460, false, false),
            (0o604, false, false),
            (0o644, false, false),
            (0o602, false, false),
        ] {
            let file = file(b"secret", mode);
            assert_eq!(Passphrase::from_file(file.path()).is_ok(), as_file, "{mode:o}");
            assert_eq!(Passphrase::from_credential(file.path()).is_ok(), as_credential, "{mode:o}");
        }
    }

    #[test]
    fn a_descriptor_is_read() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"secret\n").unwrap();
        drop(writer);
        let number = u32::try_from(reader.as_raw_fd()).unwrap();
        assert_eq!(Passphrase::from_descriptor(number).unwrap().bytes(), b"secret");
        let error = Passphrase::from_descriptor(number).unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
        let open = file(b"secret", 0o644);
        let number = u32::try_from(open.as_raw_fd()).unwrap();
        let error = Passphrase::from_descriptor(number).unwrap_err().to_string();
        assert!(error.contains("/dev/fd/") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn it_is_never_shown() {
        assert!(!format!("{:?}", Passphrase::new(b"secret".to_vec()).unwrap()).contains("secret"));
    }
}
