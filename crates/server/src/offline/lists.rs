//! CRLs that outlived a machine, wherever they lie.
//!
//! Nobody's signature is looked at: what a list names is told to whoever restores, and is revoked by nobody else.

use std::path::Path;
use std::time::Duration;

use ingam_protocol::Serial;
use ingam_store::backup::Revocation;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::serve::StartError;

/// At most so many bytes of a list.
const LIST_BYTES_MAX: u64 = 1 << 30;

/// A server that gives out a list says something so soon, each time.
const SILENCE: Duration = Duration::from_secs(30);

/// The CRLs at a path or a URL, each with where it was.
pub(super) async fn lists_of(place: &str) -> Result<Vec<(String, Vec<u8>)>, StartError> {
    if !place.starts_with("http://") && !place.starts_with("https://") {
        return lists_at(Path::new(place));
    }
    let bytes = fetch(place).await;
    let bytes = bytes.map_err(|error| {
        let doing =
            format!("{place} cannot be fetched (give the list as a file, or leave it out and compare later)");
        StartError::caused(&doing, &error)
    })?;
    Ok(as_list(place.to_owned(), bytes.unwrap_or_default()).into_iter().collect())
}

/// What a URL leads to; nothing if it is longer than any list.
async fn fetch(url: &str) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let client = reqwest::Client::builder().user_agent("ingam-restore").read_timeout(SILENCE).build()?;
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if (body.len() + chunk.len()) as u64 > LIST_BYTES_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The CRLs at a path: a file, or files of a folder and the folders in it.
fn lists_at(path: &Path) -> Result<Vec<(String, Vec<u8>)>, StartError> {
    let failed = |error| StartError::new(format!("{} cannot be read: {error}", path.display()));
    let mut lists = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(failed)? {
            lists.extend(lists_at(&entry.map_err(failed)?.path())?);
        }
        return Ok(lists);
    }
    if std::fs::metadata(path).map_err(failed)?.len() > LIST_BYTES_MAX {
        return Ok(lists);
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    lists.extend(as_list(path.display().to_string(), bytes));
    Ok(lists)
}

fn as_list(name: String, bytes: Vec<u8>) -> Option<(String, Vec<u8>)> {
    let pem = CertificateRevocationListDer::from_pem_slice(&bytes).ok().map(|list| list.to_vec());
    let der = pem.unwrap_or(bytes);
    CertificateRevocationList::from_der(&der).is_ok().then_some((name, der))
}

/// What a CRL says is revoked.
pub(super) fn revoked_in(name: &str, der: &[u8]) -> Vec<Revocation> {
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else { return Vec::new() };
    let serials =
        list.iter_revoked_certificates().filter_map(|entry| Serial::from_be_bytes(entry.raw_serial()));
    serials.map(|serial| Revocation { serial, source: name.to_owned() }).collect()
}
