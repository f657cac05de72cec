//! Taking over a CA that the operator already has: its files are read, held against everything that a hierarchy made
//! here would pass, and tried out on a certificate that is never signed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ingam_protocol::{Clock, Identifier, Random, Serial, Timestamp};
use rcgen::PublicKeyData as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::chain::{self, CaCertificate, Chain};
use super::{Hierarchy, ISSUERS_MAX, Intermediate, Root};
use crate::ca::{LoadedCertificate, SigningCa};
use crate::key::Key;
use crate::storage::{self, Unlocking, broken};
use crate::{
    CaKey, CertificateRequest, Error, IssuerUrls, KeyKind, KeyLocation, Passphrase, PrivateKey, leaf, lint,
};

/// As many further CA certificates as one file may have.
const FURTHER_MAX: usize = 8;
/// As long as a name made of a file's may be.
const NAME_CHARACTERS_MAX: usize = 40;
/// How the passphrase of existing keys can be given, for the words of an error.
const PASSPHRASE_GIVEN_BY: &str = "--existing-passphrase-file";

/// A CA that the operator already has, in files of the operator's own, all PEM.
#[derive(Clone, Debug)]
pub struct Existing {
    /// The root's name inside the CA from now on.
    pub root: IssuerName,
    /// The root's certificate. Its key is not asked for.
    pub root_certificate: PathBuf,
    /// The issuing CAs, 1 to 16.
    pub issuers: Vec<ExistingIssuer>,
    /// Files with further CA certificates, one or more in each: CAs between root and issuing CAs, cross-certificates, further
    /// roots. What leads from an issuing CA to a root becomes its chains.
    pub further: Vec<PathBuf>,
    /// The passphrase of those keys that are encrypted.
    pub passphrase: Option<Passphrase>,
    /// The PIN of those tokens whose URI names no file with one.
    pub pin: Option<Passphrase>,
}

/// An issuing CA that the operator already has.
#[derive(Clone, Debug)]
pub struct ExistingIssuer {
    /// Its name inside the CA from now on.
    pub name: IssuerName,
    /// Its certificate alone, without the rest of a chain.
    pub certificate: PathBuf,
    /// Its key: PKCS #8, plain or encrypted by PBES2; or on a token.
    pub key: KeyLocation,
}

impl Hierarchy {
    /// Reads an existing CA. It passes what [`Hierarchy::load`] asks for, and more that only shows when the CA works:
    /// certificates have not ended, issuing CAs may issue for TLS servers, and a certificate can be built that names them as they are.
    ///
    /// # Errors
    /// [`Error::Refused`] for no issuer, too many, or a name or certificate that is there twice; [`Error::Load`] names
    /// the file and what is wrong with it.
    pub fn take_over(existing: &Existing, clock: &dyn Clock, random: &dyn Random) -> Result<Self, Error> {
        existing.check_names()?;
        let unlocking = Unlocking { passphrase: existing.passphrase.as_ref(), given_by: PASSPHRASE_GIVEN_BY };
        let mut files = Files::default();
        let root = files.read_root(&existing.root, &existing.root_certificate)?;
        let more_roots = files.read_further(&existing.further, &root)?;
        let mut intermediates: Vec<Intermediate> = Vec::with_capacity(existing.issuers.len());
        for ExistingIssuer { name, certificate: path, key } in &existing.issuers {
            let key = match key {
                KeyLocation::File(path) => {
                    CaKey::Held(storage::unlock_key(path, &storage::read(path)?, unlocking)?)
                }
                KeyLocation::Token(location) => {
                    CaKey::OnToken(location.open(location.pin()?.as_ref().or(existing.pin.as_ref()))?)
                }
            };
            let certificate = storage::read_certificate(path)?;
            if intermediates.iter().any(|other| other.certificate == certificate) {
                return Err(broken(path, "this certificate is given for two issuers"));
            }
            intermediates.push(files.issuer(name, certificate, key, path)?);
        }
        let taken = Self { root, more_roots, intermediates };
        taken.check(&|file| files.path_of(file), &|name| existing.key_of(name))?;
        let now = clock.now();
        for certificate in taken.certificates() {
            check_not_ended(&certificate.der, now)
                .map_err(|why| broken(&files.path_of(&certificate.file), why))?;
        }
        for intermediate in &taken.intermediates {
            intermediate
                .fits(now, random)
                .map_err(|why| broken(&existing.certificate_of(&intermediate.name), why))?;
        }
        Ok(taken)
    }
}

/// CA certificates that were read, with where each came from.
#[derive(Default)]
pub(super) struct Files {
    roots: Vec<CaCertificate>,
    pool: Vec<CaCertificate>,
    /// What the file in a state folder is called, and what it was read from.
    sources: Vec<(String, PathBuf)>,
}

impl Files {
    /// What is there already, in its own folder.
    pub(super) fn of(hierarchy: &Hierarchy, folder: &Path) -> Self {
        let mut files = Self::default();
        for certificate in hierarchy.certificates() {
            files.sources.push((certificate.file.clone(), folder.join(&certificate.file)));
            let is_root = hierarchy.roots().any(|root| root.certificate == certificate.der);
            if is_root { &mut files.roots } else { &mut files.pool }.push(certificate);
        }
        files
    }

    /// Where a certificate came from.
    pub(super) fn path_of(&self, file: &str) -> PathBuf {
        let known = self.sources.iter().find(|(name, _)| name == file);
        known.map_or_else(|| PathBuf::from(file), |(_, path)| path.clone())
    }

    fn read_root(&mut self, name: &IssuerName, path: &Path) -> Result<Root, Error> {
        let certificate = storage::read_certificate(path)?;
        let facts = LoadedCertificate::read_ca(&certificate).map_err(|why| broken(path, why))?;
        facts.check_signed_by(&facts).map_err(|why| broken(path, format!("this is no root: {why}")))?;
        let file = format!("roots/{name}.pem");
        self.sources.push((file.clone(), path.to_owned()));
        self.roots.push(CaCertificate { file, der: certificate.clone() });
        Ok(Root { name: name.clone(), certificate, key: None, crl: None })
    }

    /// Reads further CA certificates, and gives those that are roots. Each gets its file's name, made fit.
    pub(super) fn read_further(&mut self, paths: &[PathBuf], first: &Root) -> Result<Vec<Root>, Error> {
        let mut more_roots = Vec::new();
        for path in paths {
            let text = storage::read(path)?;
            let blocks = storage::split_pem(&text);
            if blocks.is_empty() || blocks.len() > FURTHER_MAX {
                return Err(broken(path, format!("holds no certificate, or more than {FURTHER_MAX}")));
            }
            for block in blocks {
                let der = storage::certificate_from_pem(path, block)?;
                let facts = LoadedCertificate::read_ca(&der).map_err(|why| broken(path, why))?;
                let is_known = der == first.certificate
                    || self.roots.iter().chain(&self.pool).any(|known| known.der == der);
                if is_known {
                    continue;
                }
                let is_root = facts.check_signed_by(&facts).is_ok();
                let folder = if is_root { "roots" } else { "authorities" };
                let name = self.free_name(folder, path).map_err(|why| broken(path, why))?;
                let file = format!("{folder}/{name}.pem");
                self.sources.push((file.clone(), path.clone()));
                let certificate = CaCertificate { file, der: der.clone() };
                if is_root {
                    self.roots.push(certificate);
                    more_roots.push(Root { name, certificate: der, key: None, crl: None });
                } else {
                    self.pool.push(certificate);
                }
            }
        }
        Ok(more_roots)
    }

    /// The file's own name in lower-case letters, digits and hyphens, with a number if that is taken.
    fn free_name(&self, folder: &str, path: &Path) -> Result<IssuerName, String> {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        let fit: String = stem
            .chars()
            .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
            .take(NAME_CHARACTERS_MAX)
            .collect();
        let fit = fit.trim_matches('-');
        let fit = if fit.is_empty() { "ca" } else { fit };
        let numbered = (2..100).map(|number| format!("{fit}-{number}"));
        let free = std::iter::once(fit.to_owned()).chain(numbered).find(|name| {
            let file = format!("{folder}/{name}.pem");
            self.sources.iter().all(|(known, _)| *known != file)
        });
        IssuerName::try_from(free.ok_or("there are too many certificates of this name")?)
    }

    /// An issuing CA with all chains that lead from it to a root.
    pub(super) fn issuer(
        &mut self,
        name: &IssuerName,
        certificate: Vec<u8>,
        key: CaKey,
        path: &Path,
    ) -> Result<Intermediate, Error> {
        let file = format!("issuers/{name}.pem");
        self.sources.push((file.clone(), path.to_owned()));
        let own = CaCertificate { file, der: certificate.clone() };
        let chains = self.chains(&own).map_err(|why| broken(path, why))?;
        Ok(Intermediate { name: name.clone(), certificate, key, chains })
    }

    /// All chains of a certificate; the first begins with it.
    pub(super) fn chains(&self, own: &CaCertificate) -> Result<Vec<Chain>, String> {
        let chains = chain::build(own, &self.pool, &self.roots);
        let leads =
            chains.first().and_then(|usual| usual.certificates().first()).is_some_and(|first| first == own);
        if leads {
            return Ok(chains);
        }
        LoadedCertificate::read_ca(&own.der)?;
        Err("no chain leads from it to a root: give the certificates of all CAs between, and the root that signed the last"
            .to_owned())
    }
}

impl Intermediate {
    /// What only shows when the CA works: it has not ended, may issue for TLS servers, and a certificate can be built that
    /// names it as it is.
    pub(super) fn fits(&self, now: Timestamp, random: &dyn Random) -> Result<(), String> {
        check_not_ended(&self.certificate, now)?;
        check_purpose(&self.certificate)?;
        self.try_out(now, random).map_err(|error| error.to_string())
    }

    /// Builds a certificate of an issuing CA and holds it against every rule, without signing it: what cannot work, as
    /// a name in an encoding that we would not repeat byte for byte, shows now and not with the first order.
    fn try_out(&self, now: Timestamp, random: &dyn Random) -> Result<(), Error> {
        let url = || "http://ca.invalid".to_owned();
        let urls = IssuerUrls { ocsp: url(), issuer: url(), crl: url() };
        let ca = SigningCa::load(self.clone(), urls)?;
        let subject = Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, random)?)?;
        let lifetime = Duration::from_secs(60);
        let broken = |why: &dyn std::fmt::Display| Error::Refused(why.to_string());
        let profile = Profile {
            validity: lifetime,
            backdate: Duration::ZERO,
            order_lifetime: lifetime,
            pending_authorization_lifetime: lifetime,
            valid_authorization_lifetime: lifetime,
            names_max: 1,
            ..Profile::usual(
                ProfileName::try_from("trial".to_owned()).map_err(|why| broken(&why))?,
                self.name.clone(),
            )
        };
        let request = CertificateRequest {
            not_before: None,
            not_after: None,
            profile: Arc::new(profile),
            issuer: self.name.clone(),
            must_staple: false,
            serial: Serial::new(random),
            identifiers: vec![Identifier::parse_dns("trial.invalid").map_err(|why| broken(&why))?],
            public_key_info: subject.subject_public_key_info(),
            now,
        };
        let tbs = leaf::build(&request, &ca)?;
        let expected = lint::Expected {
            profile: &request.profile,
            ca: &ca,
            request: Some(&request),
            stage: lint::Stage::Unlogged,
        };
        lint::certificate(tbs, &expected).map(drop)
    }
}

impl Existing {
    fn check_names(&self) -> Result<(), Error> {
        let refuse = |why: &str| Err(Error::Refused(format!("this CA cannot be taken over: {why}")));
        if self.issuers.is_empty() || self.issuers.len() > ISSUERS_MAX {
            return refuse("it needs 1 to 16 issuers");
        }
        let mut names: Vec<_> = self.issuers.iter().map(|issuer| &issuer.name).collect();
        names.push(&self.root);
        names.sort();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return refuse("a name is there twice");
        }
        Ok(())
    }

    fn of(&self, name: &IssuerName) -> Option<&ExistingIssuer> {
        self.issuers.iter().find(|issuer| issuer.name == *name)
    }

    fn certificate_of(&self, name: &IssuerName) -> PathBuf {
        self.of(name).map(|issuer| issuer.certificate.clone()).unwrap_or_default()
    }

    fn key_of(&self, name: &IssuerName) -> PathBuf {
        self.of(name).map(|issuer| PathBuf::from(issuer.key.to_string())).unwrap_or_default()
    }
}

fn check_not_ended(certificate: &[u8], now: Timestamp) -> Result<(), String> {
    let not_after = LoadedCertificate::read(certificate)?.not_after;
    if not_after < now { Err(format!("this certificate ended at {not_after}")) } else { Ok(()) }
}

/// Whether what this CA signs would be accepted for TLS servers. An error is a text for the operator.
fn check_purpose(certificate: &[u8]) -> Result<(), String> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| format!("is no certificate ({error})"))?;
    let readable = |error| format!("has an extension that cannot be read ({error})");
    if let Some(purposes) = parsed.extended_key_usage().map_err(readable)?
        && !purposes.value.server_auth
        && !purposes.value.any
    {
        return Err("may not issue for TLS servers (extKeyUsage)".to_owned());
    }
    if parsed.name_constraints().map_err(readable)?.is_some() {
        return Err("has nameConstraints, which this version does not hold names against".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
