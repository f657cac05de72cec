//! A hierarchy: issuing CAs with their chains to one root or several, made at once or taken over from files that the
//! operator has, kept in files.
//!
//! The root's key, where it was made here, is written beside the others, but never loaded again: it belongs offline, and
//! the CA works on without it.
//!
//! In a folder:
//! - `hierarchy.json`: which files belong to it; written last, so that without it there is no hierarchy;
//! - `roots/NAME.pem`, `issuers/NAME.pem`: certificates;
//! - `published/NAME.crt`, `published/NAME.crl`: what roots publish, DER. Their CRLs are put there by hand, but for the first;
//! - `keys/NAME.pem`: private keys (PKCS #8, mode 0600), each encrypted if [`Protection`] says so; an issuing CA whose key is
//!   on a token has none, but a PKCS #11 URI in `hierarchy.json`.
//!
//! [`Hierarchy::key_files`] looks at the keys without a passphrase; `existing` takes a CA over; `change` takes issuing CAs
//! and chains in and out.

mod chain;
mod change;
mod existing;
mod key_files;
mod make;
mod manifest;
mod written;

use std::path::{Path, PathBuf};

use ingam_protocol::Random;
use ingam_protocol::profile::IssuerName;

pub use chain::{CaCertificate, Chain};
pub use change::{Joining, ListedIssuer};
pub use existing::{Existing, ExistingIssuer};
pub use key_files::{KeyFile, KeyOwner};
pub use make::{IssuerPlan, Plan};
pub use written::Written;

use self::manifest::{Listed, Manifest};
use crate::ca::{LoadedCertificate, certified_key};
use crate::key::Key;
use crate::sealing::Cost;
use crate::storage::{self, Secrecy, Unlocking, broken};
use crate::{CaKey, Error, KeyKind, KeyLocation, Passphrase, PrivateKey};

/// How a passphrase that is missing or wrong can be given, for the words of an error.
const PASSPHRASE_GIVEN_BY: &str =
    "[hierarchy] passphrase_file, or the service's credential issuer-passphrase";
/// As many issuing CAs as one hierarchy may have.
pub(crate) const ISSUERS_MAX: usize = 16;

const MANIFEST: &str = "hierarchy.json";

/// The folder with what CAs publish whose keys are offline: `NAME.crl` and `NAME.crt`.
pub const PUBLISHED: &str = "published";

/// Under what the keys of a hierarchy are encrypted when they are written; `None`: they lie open, for their owner alone.
#[derive(Clone, Debug, Default)]
pub struct Protection {
    /// For the root's key. It should be another than the issuers': their machine has that one at hand.
    pub root: Option<Passphrase>,
    /// For the keys of all issuing CAs.
    pub issuers: Option<Passphrase>,
}

/// A root.
#[derive(Clone, Debug)]
pub struct Root {
    /// Its name inside the CA.
    pub name: IssuerName,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its key: there when it was just made, never when it was loaded.
    pub key: Option<PrivateKey>,
    /// Its first CRL, DER, with nothing on it: likewise.
    pub crl: Option<Vec<u8>>,
}

/// An issuing CA with its key.
#[derive(Clone, Debug)]
pub struct Intermediate {
    /// Its name inside the CA.
    pub name: IssuerName,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: CaKey,
    /// Its chains to roots, the usual one first, which begins with its certificate. The others begin with that, or with
    /// another for the same name and key.
    pub chains: Vec<Chain>,
}

impl Intermediate {
    /// The kind of its key; RSA keys of other lengths count as the next shorter kind.
    ///
    /// # Errors
    /// [`Error::Load`] if it is no key that an issuing CA can have.
    pub fn key_kind(&self) -> Result<KeyKind, Error> {
        Key::of(&self.key).map(|key| key.kind())
    }
}

/// Roots and the issuing CAs below them. Each chain holds, and each key belongs to its certificate.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// The root; where there are several, the one at the end of most usual chains.
    pub root: Root,
    /// Further roots, at the end of other chains.
    pub more_roots: Vec<Root>,
    /// The issuing CAs, in the plan's order.
    pub intermediates: Vec<Intermediate>,
}

/// What opens the keys of a hierarchy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Secrets<'a> {
    /// Under which files are encrypted.
    pub passphrase: Option<&'a Passphrase>,
    /// The PIN of those tokens whose URI names no file with one.
    pub pin: Option<&'a Passphrase>,
}

impl<'a> From<Option<&'a Passphrase>> for Secrets<'a> {
    fn from(passphrase: Option<&'a Passphrase>) -> Self {
        Self { passphrase, pin: None }
    }
}

impl Hierarchy {
    /// Whether a folder holds a hierarchy, whole or damaged.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(MANIFEST).exists()
    }

    /// Writes the hierarchy into a folder, which is made if it is missing; keys are encrypted as `protection` says, which
    /// takes half a second for each. If the process ends in between, the folder has no hierarchy, and another may be
    /// written over what is left.
    ///
    /// # Errors
    /// [`Error::Refused`] if the folder already has a hierarchy, as keys are never written over; [`Error::Load`] names
    /// a file that could not be written.
    pub fn save(&self, folder: &Path, protection: &Protection, random: &dyn Random) -> Result<(), Error> {
        self.write(folder, protection, random)?.take_up().map(drop)
    }

    /// [`Hierarchy::save`] but for its last step, before which the hierarchy can go on record.
    ///
    /// # Errors
    /// As [`Hierarchy::save`].
    pub fn write(
        &self,
        folder: &Path,
        protection: &Protection,
        random: &dyn Random,
    ) -> Result<Written, Error> {
        self.write_at(Cost::FULL, folder, protection, random)
    }

    fn write_at(
        &self,
        cost: Cost,
        folder: &Path,
        protection: &Protection,
        random: &dyn Random,
    ) -> Result<Written, Error> {
        if Self::is_in(folder) {
            return Err(Error::Refused(format!(
                "{} already holds a hierarchy: choose another folder, or move it away",
                folder.display()
            )));
        }
        for certificates in ["roots", "issuers"] {
            storage::make_folder(&folder.join(certificates), Secrecy::Public)?;
        }
        let keys = folder.join("keys");
        storage::make_folder(&keys, Secrecy::Secret)?;
        let write_key = |name: &IssuerName, key: &PrivateKey, passphrase: &Option<Passphrase>| {
            write_key(&keys, name, key, passphrase.as_ref(), cost, random)
        };
        if let Some(key) = &self.root.key {
            write_key(&self.root.name, key, &protection.root)?;
        }
        for intermediate in &self.intermediates {
            if let Some(key) = intermediate.key.held() {
                write_key(&intermediate.name, key, &protection.issuers)?;
            }
        }
        for certificate in self.certificates() {
            write_certificate(folder, &certificate)?;
        }
        for root in self.roots() {
            publish(folder, root)?;
        }
        storage::sync_folder(folder)?;
        Ok(Written::new(self.clone(), folder))
    }

    /// Reads the hierarchy that a folder holds, with the passphrase of the issuing CAs' keys if there is one. It is used
    /// for those keys alone that are encrypted. Keys on tokens are opened, and each signs once. The root's key is left
    /// alone.
    ///
    /// # Errors
    /// [`Error::Load`] names the file that is missing, damaged, of a newer version, encrypted under another passphrase
    /// or without one being given, or does not belong to the rest.
    pub fn load<'a>(folder: &Path, secrets: impl Into<Secrets<'a>>) -> Result<Self, Error> {
        let Secrets { passphrase, pin } = secrets.into();
        let unlocking = Unlocking { passphrase, given_by: PASSPHRASE_GIVEN_BY };
        let manifest = Manifest::read(folder)?;
        let read_certificate = |file: &str| {
            let path = folder.join(file);
            storage::certificate_from_pem(&path, &storage::read(&path)?)
        };
        let mut roots = Vec::with_capacity(manifest.roots.len());
        for name in manifest.roots {
            let certificate = read_certificate(&format!("roots/{name}.pem"))?;
            roots.push(Root { name, certificate, key: None, crl: None });
        }
        let mut intermediates = Vec::with_capacity(manifest.issuers.len());
        for Listed { name, key, chains } in manifest.issuers {
            let key = match key {
                Some(KeyLocation::Token(location)) => {
                    CaKey::OnToken(location.open(location.pin()?.as_ref().or(pin))?)
                }
                _ => {
                    let path = key_path(folder, &name);
                    CaKey::Held(storage::unlock_key(&path, &storage::read(&path)?, unlocking)?)
                }
            };
            let certificate = read_certificate(&format!("issuers/{name}.pem"))?;
            let mut read = Vec::with_capacity(chains.len());
            for files in chains {
                let certificates = files.into_iter().map(|file| {
                    let der = read_certificate(&file)?;
                    Ok(CaCertificate { file, der })
                });
                read.push(Chain::new(certificates.collect::<Result<_, Error>>()?));
            }
            intermediates.push(Intermediate { name, certificate, key, chains: read });
        }
        let root = roots.remove(0);
        let hierarchy = Self { root, more_roots: roots, intermediates };
        hierarchy.check_in(folder)?;
        Ok(hierarchy)
    }

    /// Every CA certificate, each once, the first root's first, then further roots', then by the chains of the issuing CAs.
    pub fn certificates(&self) -> Vec<CaCertificate> {
        let roots = self.roots().map(|root| CaCertificate {
            file: format!("roots/{}.pem", root.name),
            der: root.certificate.clone(),
        });
        let chains = self.intermediates.iter().flat_map(|intermediate| &intermediate.chains);
        let mut all: Vec<CaCertificate> = roots.collect();
        for certificate in chains.flat_map(|chain| chain.certificates()) {
            if !all.contains(certificate) {
                all.push(certificate.clone());
            }
        }
        all
    }

    /// Which CA of this hierarchy has the key that a certificate is for. One key has one purpose, so that for any other
    /// certificate there must be none.
    pub fn owner_of_key(&self, certificate: &[u8]) -> Option<&IssuerName> {
        let key = certified_key(certificate)?;
        let issuers = self.intermediates.iter().map(|issuer| (&issuer.name, &issuer.certificate));
        let all = self.roots().map(|root| (&root.name, &root.certificate)).chain(issuers);
        all.filter(|(_, own)| certified_key(own).is_some_and(|own| own == key)).map(|(name, _)| name).next()
    }

    fn manifest(&self) -> Manifest {
        let roots = self.roots().map(|root| root.name.clone());
        let listed = self.intermediates.iter().map(|intermediate| Listed {
            name: intermediate.name.clone(),
            key: intermediate.key.on_token().map(|key| KeyLocation::Token(key.clone())),
            chains: intermediate.chains.iter().map(files_of).collect(),
        });
        Manifest::new(roots.collect(), listed.collect())
    }

    /// [`Hierarchy::check`], with the names that the files have in a folder.
    fn check_in(&self, folder: &Path) -> Result<(), Error> {
        self.check(&chain::in_folder(folder), &|name| key_path(folder, name))
    }

    /// Checks that every chain ends with a root of this hierarchy and holds link by link, that all chains of an issuing CA
    /// are its own, that keys and certificates belong together, and that no two CAs have one key. `path_of` (by a
    /// certificate's file in the folder) and `key_of` are for the words of an error.
    fn check(
        &self,
        path_of: &dyn Fn(&str) -> PathBuf,
        key_of: &dyn Fn(&IssuerName) -> PathBuf,
    ) -> Result<(), Error> {
        let mut seen = Vec::new();
        for root in self.roots() {
            let path = path_of(&format!("roots/{}.pem", root.name));
            let facts = LoadedCertificate::read_ca(&root.certificate).map_err(|why| broken(&path, why))?;
            facts.check_signed_by(&facts).map_err(|why| broken(&path, format!("this is no root: {why}")))?;
            seen.push((&root.name, facts.public_key));
        }
        for intermediate in &self.intermediates {
            let path = &path_of(&format!("issuers/{}.pem", intermediate.name));
            let certificate =
                LoadedCertificate::read_ca(&intermediate.certificate).map_err(|why| broken(path, why))?;
            self.check_chains(intermediate, &certificate, path_of)?;
            let place = match intermediate.key.on_token() {
                Some(key) => PathBuf::from(key.to_string()),
                None => key_of(&intermediate.name),
            };
            let key = Key::of(&intermediate.key).map_err(|error| broken(&place, error))?;
            if key.public_key() != certificate.public_key {
                let what =
                    format!("the key does not belong to {}: take both from one backup or CA", path.display());
                return Err(broken(&place, what));
            }
            // One key, one purpose: who holds two certificates of one key can pass one off as the other.
            if let Some((other, _)) = seen.iter().find(|(_, key)| *key == certificate.public_key) {
                let what =
                    format!("has the key of '{other}': make a key and a certificate of its own for it");
                return Err(broken(path, what));
            }
            seen.push((&intermediate.name, certificate.public_key));
        }
        Ok(())
    }

    fn check_chains(
        &self,
        intermediate: &Intermediate,
        own: &LoadedCertificate,
        path_of: &dyn Fn(&str) -> PathBuf,
    ) -> Result<(), Error> {
        for (number, chain) in intermediate.chains.iter().enumerate() {
            chain.check(number == 0, path_of)?;
            let Some(first) = chain.certificates().first() else { continue };
            let facts =
                LoadedCertificate::read_ca(&first.der).map_err(|why| broken(&path_of(&first.file), why))?;
            let is_own = if number == 0 {
                first.der == intermediate.certificate
            } else {
                (&facts.subject, &facts.public_key, &facts.key_identifier)
                    == (&own.subject, &own.public_key, &own.key_identifier)
            };
            if !is_own {
                let what = format!(
                    "begins a chain of '{}', and is not of that CA's name, key and key identifier: take it out of the chain",
                    intermediate.name
                );
                return Err(broken(&path_of(&first.file), what));
            }
            if !self.roots().any(|root| root.certificate == chain.root()) {
                let what =
                    format!("a chain of '{}' ends at none of the roots in {MANIFEST}", intermediate.name);
                return Err(Error::Load(what, None));
            }
        }
        Ok(())
    }

    /// All roots, the first of them first.
    pub fn roots(&self) -> impl Iterator<Item = &Root> {
        std::iter::once(&self.root).chain(&self.more_roots)
    }
}

fn files_of(chain: &Chain) -> Vec<String> {
    chain.certificates().iter().map(|certificate| certificate.file.clone()).collect()
}

fn write_certificate(folder: &Path, certificate: &CaCertificate) -> Result<(), Error> {
    let path = folder.join(&certificate.file);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(broken(&path, "is no path of a file"));
    };
    storage::make_folder(folder, Secrecy::Public)?;
    let pem = storage::certificate_to_pem(&certificate.der)?;
    storage::write(folder, name, pem.as_bytes(), Secrecy::Public)
}

/// Puts a root's certificate, and its CRL if it has just been made, where they are given out from.
fn publish(folder: &Path, root: &Root) -> Result<(), Error> {
    let published = folder.join(PUBLISHED);
    storage::make_folder(&published, Secrecy::Public)?;
    let files = [("crt", Some(&root.certificate)), ("crl", root.crl.as_ref())];
    for (ending, der) in files.into_iter().filter_map(|(ending, der)| Some((ending, der?))) {
        storage::write(&published, &format!("{}.{ending}", root.name), der, Secrecy::Public)?;
    }
    Ok(())
}

fn write_key(
    keys: &Path,
    name: &IssuerName,
    key: &PrivateKey,
    passphrase: Option<&Passphrase>,
    cost: Cost,
    random: &dyn Random,
) -> Result<(), Error> {
    let pem = match passphrase {
        Some(passphrase) => storage::sealed_key_to_pem(key, passphrase, cost, random)?.into(),
        None => storage::key_to_pem(key)?,
    };
    storage::write(keys, &file_name(name), pem.as_bytes(), Secrecy::Secret)
}

fn key_path(folder: &Path, name: &IssuerName) -> PathBuf {
    folder.join("keys").join(file_name(name))
}

fn file_name(name: &IssuerName) -> String {
    format!("{name}.pem")
}

#[cfg(test)]
mod tests;
