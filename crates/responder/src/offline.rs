//! What CAs publish whose keys are offline, a root above all: certificates and CRLs that somebody put into a folder.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderValue;
use ingam_protocol::certificate::Validity;
use ingam_protocol::crl::ForeignList;
use ingam_protocol::pem;
use ingam_protocol::profile::IssuerName;

use crate::ocsp::{date_value, etag};

/// As many files as the folder may have, and as large as each may be.
const FILES_MAX: usize = 64;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A CRL as it is given out.
#[derive(Clone, Debug)]
pub(crate) struct OfflineList {
    pub(crate) body: Bytes,
    pub(crate) dates: ForeignList,
    pub(crate) etag: HeaderValue,
    pub(crate) last_modified: HeaderValue,
    pub(crate) expires: HeaderValue,
}

/// The files of CAs whose keys are offline, by the CAs' names.
#[derive(Clone, Debug, Default)]
pub struct OfflineFiles {
    pub(crate) certificates: BTreeMap<String, Bytes>,
    pub(crate) lists: BTreeMap<String, OfflineList>,
}

/// A file that cannot be given out.
#[derive(Debug)]
pub struct OfflineError {
    path: PathBuf,
    what: String,
}

impl fmt::Display for OfflineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.what)
    }
}

impl std::error::Error for OfflineError {}

impl OfflineFiles {
    /// Reads `NAME.crt` and `NAME.crl`, DER or PEM, in a folder that need not be there; names that begin with a dot are
    /// passed over. `taken` are the issuing CAs, whose certificates and CRLs come from elsewhere. Blocks.
    ///
    /// # Errors
    /// [`OfflineError`] names a file that is not what it is called, belongs to an issuing CA, or is no CRL of the CA in the
    /// certificate beside it.
    pub fn read(folder: &Path, taken: &[IssuerName]) -> Result<Self, OfflineError> {
        let mut files = Self::default();
        let mut paths = Vec::new();
        match fs::read_dir(folder) {
            Ok(entries) => {
                for entry in entries.take(FILES_MAX + 1) {
                    paths.push(entry.map_err(|cause| unreadable(folder, &cause))?.path());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
            Err(cause) => return Err(unreadable(folder, &cause)),
        }
        if paths.len() > FILES_MAX {
            return Err(broken(
                folder,
                format!("has more than {FILES_MAX} files: take out what nobody needs"),
            ));
        }
        // In the order of their names, so that the same mistake is told each time.
        paths.sort_unstable();
        for path in &paths {
            files.take(path, taken)?;
        }
        for (name, list) in &files.lists {
            let issuer = files.certificates.get(name);
            if issuer.is_some_and(|issuer| !ForeignList::is_of(&list.body, issuer)) {
                let path = folder.join(format!("{name}.crl"));
                return Err(broken(
                    &path,
                    format!("is not signed by the CA in {name}.crt: put its own there"),
                ));
            }
        }
        Ok(files)
    }

    fn take(&mut self, path: &Path, taken: &[IssuerName]) -> Result<(), OfflineError> {
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if file_name.starts_with('.') {
            return Ok(());
        }
        let parts = file_name.rsplit_once('.').filter(|(_, ending)| ["crt", "crl"].contains(ending));
        let named = parts
            .and_then(|(name, ending)| Some((IssuerName::try_from(name.to_owned()).ok()?, ending == "crt")));
        let Some((name, is_certificate)) = named else {
            let what = "is neither NAME.crt nor NAME.crl, with lower-case letters, digits and hyphens: rename it or take it out";
            return Err(broken(path, what));
        };
        if taken.contains(&name) {
            let what =
                format!("is for the issuing CA {name}, which publishes its own: rename it or take it out");
            return Err(broken(path, what));
        }
        let file = contents(path)?;
        if is_certificate {
            let der = pem::der(&file, "CERTIFICATE").filter(|der| Validity::read(der).is_some());
            let der = der.ok_or_else(|| broken(path, "is no certificate: put one there, DER or PEM"))?;
            self.certificates.insert(name.to_string(), der.into());
        } else {
            let der = pem::der(&file, "X509 CRL");
            let list = der.and_then(|der| Some((ForeignList::read(&der)?, der)));
            let (dates, der) =
                list.ok_or_else(|| broken(path, "is no CRL with a nextUpdate: put one there, DER or PEM"))?;
            self.lists.insert(name.to_string(), OfflineList::new(der, dates));
        }
        Ok(())
    }

    /// The names of the CAs with a certificate here.
    pub fn certificate_names(&self) -> impl Iterator<Item = &str> {
        self.certificates.keys().map(String::as_str)
    }

    /// The CRLs, by the names of their CAs.
    pub fn lists(&self) -> Vec<(String, ForeignList)> {
        self.lists.iter().map(|(name, list)| (name.clone(), list.dates)).collect()
    }

    /// Whether both sets of files are given out alike.
    pub fn is_same(&self, other: &Self) -> bool {
        let bodies = |files: &Self| -> Vec<(String, Bytes)> {
            files.lists.iter().map(|(name, list)| (name.clone(), list.body.clone())).collect()
        };
        self.certificates == other.certificates && bodies(self) == bodies(other)
    }
}

impl OfflineList {
    fn new(der: Vec<u8>, dates: ForeignList) -> Self {
        Self {
            etag: etag(&der),
            last_modified: date_value(dates.this_update),
            expires: date_value(dates.next_update),
            body: der.into(),
            dates,
        }
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, OfflineError> {
    let metadata = fs::metadata(path).map_err(|cause| unreadable(path, &cause))?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(broken(path, format!("is no file of at most {FILE_BYTES_MAX} bytes: take it out")));
    }
    fs::read(path).map_err(|cause| unreadable(path, &cause))
}

fn unreadable(path: &Path, cause: &std::io::Error) -> OfflineError {
    broken(path, format!("cannot be read ({cause}): give it to the user of the CA"))
}

fn broken(path: &Path, what: impl Into<String>) -> OfflineError {
    OfflineError { path: path.to_owned(), what: what.into() }
}
