//! `hierarchy.json`: which certificates belong together, and where keys are. Version 1 has one root and the issuing CAs
//! directly below it; version 2 has chains, each from the issuing CA's own certificate to a root's, by the names of their
//! files. Version 1 is read and stays as it is until something is added; version 2 is written.

use std::path::Path;

use ingam_protocol::profile::IssuerName;
use serde::{Deserialize, Serialize};

use super::{ISSUERS_MAX, MANIFEST};
use crate::storage::{self, Secrecy, broken};
use crate::{Error, KeyLocation};

const VERSION: u32 = 2;

/// As many roots as one hierarchy may have.
const ROOTS_MAX: usize = 8;
/// As many chains as an issuing CA may have.
pub(super) const CHAINS_MAX: usize = 8;
/// As many certificates as a chain may have, its root's included.
pub(super) const CHAIN_LENGTH_MAX: usize = 6;

/// Folders of certificates: roots; CAs between, and further certificates of all; the issuing CAs' own.
const FOLDERS: [&str; 3] = ["roots", "authorities", "issuers"];

/// What belongs together.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u32,
    /// Names of roots, whose certificates are `roots/NAME.pem`; the first is the one whose key was made here, if any was.
    pub(super) roots: Vec<IssuerName>,
    pub(super) issuers: Vec<Listed>,
}

/// An issuing CA.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) name: IssuerName,
    /// The URI of its key, if that is on a token; left out, it is `keys/NAME.pem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<KeyLocation>,
    /// Its chains, the usual one first: files, from its own certificate to a root's.
    pub(super) chains: Vec<Vec<String>>,
}

/// Version 1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    #[serde(rename = "version")]
    _version: u32,
    root: IssuerName,
    issuers: Vec<FirstListed>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum FirstListed {
    InFile(IssuerName),
    OnToken(Box<FirstOnToken>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstOnToken {
    name: IssuerName,
    key: KeyLocation,
}

/// What every version has.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

impl From<First> for Manifest {
    fn from(first: First) -> Self {
        let First { root, issuers, .. } = first;
        let listed = issuers.into_iter().map(|listed| {
            let (name, key) = match listed {
                FirstListed::InFile(name) => (name, None),
                FirstListed::OnToken(listed) => (listed.name, Some(listed.key)),
            };
            let chains = vec![vec![format!("issuers/{name}.pem"), format!("roots/{root}.pem")]];
            Listed { name, key, chains }
        });
        let issuers = listed.collect();
        Self { version: VERSION, roots: vec![root], issuers }
    }
}

impl Manifest {
    pub(super) fn new(roots: Vec<IssuerName>, issuers: Vec<Listed>) -> Self {
        Self { version: VERSION, roots, issuers }
    }

    /// Reads what a folder's hierarchy is.
    ///
    /// # Errors
    /// [`Error::Load`] if it is missing, damaged, of a newer version, or names what no hierarchy has.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let path = &folder.join(MANIFEST);
        if !path.exists() {
            return Err(broken(path, "there is no hierarchy here; make one with `ingam init`"));
        }
        let text = storage::read(path)?;
        let damaged = |error| broken(path, format!("is damaged ({error}); restore it from a backup"));
        let manifest: Self = match serde_json::from_slice(&text).map_err(damaged)? {
            Versioned { version: 1 } => serde_json::from_slice::<First>(&text).map_err(damaged)?.into(),
            Versioned { version: VERSION } => serde_json::from_slice(&text).map_err(damaged)?,
            Versioned { version } => {
                let what = format!("has version {version}, this program knows versions 1 and {VERSION}");
                return Err(broken(path, what));
            }
        };
        manifest.check().map_err(|why| broken(path, why))?;
        Ok(manifest)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Load`] if it could not be written.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|cause| Error::Load("could not write the manifest".to_owned(), Some(Box::new(cause))))?;
        storage::write(folder, MANIFEST, &text, Secrecy::Public)
    }

    fn check(&self) -> Result<(), String> {
        if self.issuers.is_empty() || self.issuers.len() > ISSUERS_MAX {
            return Err(format!("must name 1 to {ISSUERS_MAX} issuers"));
        }
        if self.roots.is_empty() || self.roots.len() > ROOTS_MAX {
            return Err(format!("must name 1 to {ROOTS_MAX} roots"));
        }
        for listed in &self.issuers {
            let name = &listed.name;
            if self.issuers.iter().filter(|other| other.name == *name).count() > 1 {
                return Err(format!("names the issuer '{name}' twice"));
            }
            if let Some(KeyLocation::File(_)) = listed.key {
                return Err(format!(
                    "gives '{name}' a key in a file: leave `key` out, and put the file to keys/{name}.pem"
                ));
            }
            if listed.chains.is_empty() || listed.chains.len() > CHAINS_MAX {
                return Err(format!("must give '{name}' 1 to {CHAINS_MAX} chains"));
            }
            for chain in &listed.chains {
                if !(2..=CHAIN_LENGTH_MAX).contains(&chain.len()) {
                    return Err(format!(
                        "gives '{name}' a chain that has not 2 to {CHAIN_LENGTH_MAX} certificates"
                    ));
                }
                if let Some(stranger) = chain.iter().find(|file| !is_file(file)) {
                    return Err(format!(
                        "names {stranger:?}: certificates are roots/NAME.pem, authorities/NAME.pem and issuers/NAME.pem"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Whether a file is one that certificates have here: nothing else is ever read.
fn is_file(file: &str) -> bool {
    let parts = file.split_once('/').and_then(|(folder, name)| Some((folder, name.strip_suffix(".pem")?)));
    parts.is_some_and(|(folder, name)| {
        FOLDERS.contains(&folder) && IssuerName::try_from(name.to_owned()).is_ok()
    })
}
