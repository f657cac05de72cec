//! Issuing CAs join and leave a hierarchy that is in a folder, and chains are added to it. Everything is found out before
//! anything is written; certificates and keys are written before `hierarchy.json`, so that what broke off in between is
//! nothing but files that nobody names.

use std::path::{Path, PathBuf};

use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Clock, Random};

use super::existing::Files;
use super::manifest::Manifest;
use super::{Hierarchy, ISSUERS_MAX, MANIFEST, Written, key_path, write_certificate, write_key};
use crate::sealing::Cost;
use crate::storage::{self, Secrecy, Unlocking, broken};
use crate::{CaKey, Error, KeyLocation, Passphrase};

/// How the passphrase of a new issuing CA's key can be given, for the words of an error.
const PASSPHRASE_GIVEN_BY: &str = "--key-passphrase-file";

/// An issuing CA that is going to join.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Its name inside the CA.
    pub name: IssuerName,
    /// The file of its certificate, PEM.
    pub certificate: PathBuf,
    /// Where its key is: a file's key is copied into the folder, one on a token stays there.
    pub key: KeyLocation,
    /// What its key is encrypted under, or its token's PIN where the URI names no file with one.
    pub secret: Option<Passphrase>,
    /// Files with further CA certificates: those between it and a root, cross-certificates, further roots.
    pub further: Vec<PathBuf>,
}

impl Hierarchy {
    /// Takes an issuing CA in: by the checks of [`Hierarchy::take_over`], beside those that are there. Its key is encrypted
    /// under `passphrase`, if there is one. Gives the hierarchy as it is once that is taken up.
    ///
    /// # Errors
    /// [`Error::Refused`] if its name is taken, or there are too many; [`Error::Load`] names the file and what is wrong.
    pub fn add_issuer(
        self,
        folder: &Path,
        joining: &Joining,
        passphrase: Option<&Passphrase>,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<Written, Error> {
        let Joining { name, certificate: path, key, secret, further } = joining;
        let refuse = |why: String| Err(Error::Refused(why));
        if self.intermediates.iter().any(|other| other.name == *name)
            || self.roots().any(|root| root.name == *name)
        {
            let roots = self.roots().map(|root| root.name.as_str());
            let taken = roots.chain(self.intermediates.iter().map(|other| other.name.as_str()));
            let taken = taken.collect::<Vec<_>>().join(", ");
            return refuse(format!("the name '{name}' is taken, as there are {taken}: give it another"));
        }
        if self.intermediates.len() >= ISSUERS_MAX {
            return refuse(format!("there are {ISSUERS_MAX} issuing CAs already; remove one that has ended"));
        }
        let key_file = key_path(folder, name);
        let own_file = folder.join(format!("issuers/{name}.pem"));
        let is_file = matches!(key, KeyLocation::File(_));
        let is_there = [(own_file.exists(), &own_file), (is_file && key_file.exists(), &key_file)];
        if let Some((_, taken)) = is_there.into_iter().find(|(exists, _)| *exists) {
            return refuse(format!(
                "{} is there already, from an issuing CA that has left or an attempt that broke off, and is never written over: \
                 move it away",
                taken.display()
            ));
        }
        let ca_key = match key {
            KeyLocation::Token(token) => {
                CaKey::OnToken(token.open(token.pin()?.as_ref().or(secret.as_ref()))?)
            }
            KeyLocation::File(path) => {
                let unlocking = Unlocking { passphrase: secret.as_ref(), given_by: PASSPHRASE_GIVEN_BY };
                CaKey::Held(storage::unlock_key(path, &storage::read(path)?, unlocking)?)
            }
        };
        let mut grown = self;
        let mut files = Files::of(&grown, folder);
        grown.more_roots.extend(files.read_further(further, &grown.root)?);
        let issuer = files.issuer(name, storage::read_certificate(path)?, ca_key, path)?;
        grown.intermediates.push(issuer.clone());
        grown.check(&|file| files.path_of(file), &|other| match key {
            KeyLocation::File(path) if other == name => path.clone(),
            _ => key_path(folder, other),
        })?;
        issuer.fits(clock.now(), random).map_err(|why| broken(path, why))?;
        if let Some(key) = grown.intermediates.last().and_then(|issuer| issuer.key.held()) {
            storage::make_folder(&folder.join("keys"), Secrecy::Secret)?;
            write_key(&folder.join("keys"), name, key, passphrase, Cost::FULL, random)?;
        }
        grown.write_certificates(folder)
    }

    /// Takes further CA certificates in, and makes anew the chains of all issuing CAs, of which the usual ones stay first.
    /// Gives the hierarchy as it is once that is taken up.
    ///
    /// # Errors
    /// [`Error::Refused`] if no chain comes of them; [`Error::Load`] names the file and what is wrong.
    pub fn add_chains(mut self, folder: &Path, further: &[PathBuf]) -> Result<Written, Error> {
        let mut files = Files::of(&self, folder);
        self.more_roots.extend(files.read_further(further, &self.root)?);
        let mut added = 0;
        for issuer in &mut self.intermediates {
            let Some(own) = issuer.chains.first().and_then(|usual| usual.certificates().first()) else {
                continue;
            };
            let path = files.path_of(&own.file);
            for chain in files.chains(own).map_err(|why| broken(&path, why))? {
                let is_known = issuer.chains.contains(&chain);
                if !is_known && issuer.chains.len() < super::manifest::CHAINS_MAX {
                    issuer.chains.push(chain);
                    added += 1;
                }
            }
        }
        if added == 0 {
            return Err(Error::Refused(
                "these certificates lead from no issuing CA to a root in a way that is not there already: give all that are \
                 between, and the root"
                    .to_owned(),
            ));
        }
        self.check(&|file| files.path_of(file), &|name| key_path(folder, name))?;
        self.write_certificates(folder)
    }

    /// Takes an issuing CA out. Its key's file and its certificate's stay where they are.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is none of this name, or no other.
    pub fn remove_issuer(folder: &Path, name: &IssuerName) -> Result<(), Error> {
        let mut manifest = Manifest::read(folder)?;
        let before: Vec<IssuerName> = manifest.issuers.iter().map(|listed| listed.name.clone()).collect();
        manifest.issuers.retain(|listed| listed.name != *name);
        if manifest.issuers.len() == before.len() {
            let there = before.iter().map(IssuerName::as_str).collect::<Vec<_>>().join(", ");
            return Err(Error::Refused(format!(
                "there is no issuing CA '{name}' in {}; there are: {there}",
                folder.join(MANIFEST).display()
            )));
        }
        if manifest.issuers.is_empty() {
            return Err(Error::Refused(format!("'{name}' is the only issuing CA: add another first")));
        }
        manifest.write(folder)
    }

    /// Reads an issuing CAs' certificates and chains without any key: what is written of them in `hierarchy.json`.
    ///
    /// # Errors
    /// As [`Hierarchy::load`], but for keys.
    pub fn listed(folder: &Path) -> Result<Vec<ListedIssuer>, Error> {
        let manifest = Manifest::read(folder)?;
        let listed = manifest.issuers.into_iter().map(|listed| {
            let path = folder.join(format!("issuers/{}.pem", listed.name));
            let certificate = storage::certificate_from_pem(&path, &storage::read(&path)?)?;
            let key = listed.key.map_or_else(|| format!("keys/{}.pem", listed.name), |key| key.to_string());
            Ok(ListedIssuer { name: listed.name, certificate, key, chains: listed.chains })
        });
        listed.collect()
    }

    fn write_certificates(self, folder: &Path) -> Result<Written, Error> {
        for certificate in self.certificates() {
            // What an issuing CA that was taken out has left under that name belongs to nothing any more.
            let path = folder.join(&certificate.file);
            let there = path.exists().then(|| storage::certificate_from_pem(&path, &storage::read(&path)?));
            if there.and_then(Result::ok).as_ref() != Some(&certificate.der) {
                write_certificate(folder, &certificate)?;
            }
        }
        storage::sync_folder(folder)?;
        Ok(Written::new(self, folder))
    }
}

/// An issuing CA as `hierarchy.json` has it.
#[derive(Clone, Debug)]
pub struct ListedIssuer {
    /// Its name inside the CA.
    pub name: IssuerName,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Where its key is: a file in the folder, or the URI of a token's.
    pub key: String,
    /// Its chains, the usual one first: files in the folder.
    pub chains: Vec<Vec<String>>,
}
