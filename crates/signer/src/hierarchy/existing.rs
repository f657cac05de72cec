//! Taking over a CA that the operator already has: its files are read, held against everything that a hierarchy made
//! here would pass, and tried out on a certificate that is never signed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ingam_protocol::{Clock, Identifier, Random, Serial, Timestamp};
use rcgen::PublicKeyData as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{FilePair, Hierarchy, ISSUERS_MAX, Intermediate, Root};
use crate::ca::{LoadedCertificate, SigningCa};
use crate::key::Key;
use crate::storage::{self, Unlocking, broken};
use crate::{CertificateRequest, Error, IssuerUrls, KeyKind, Passphrase, PrivateKey, leaf, lint};

/// How the passphrase of existing keys can be given, for the words of an error.
const PASSPHRASE_GIVEN_BY: &str = "--existing-passphrase-file";

/// A CA that the operator already has, in files of the operator's own, all PEM.
#[derive(Clone, Debug)]
pub struct Existing {
    /// The root's name inside the CA from now on.
    pub root: IssuerName,
    /// The root's certificate. Its key is not asked for.
    pub root_certificate: PathBuf,
    /// The issuing CAs, 1 to 16, each directly below the root.
    pub issuers: Vec<ExistingIssuer>,
    /// The passphrase of those keys that are encrypted.
    pub passphrase: Option<Passphrase>,
}

/// An issuing CA that the operator already has.
#[derive(Clone, Debug)]
pub struct ExistingIssuer {
    /// Its name inside the CA from now on.
    pub name: IssuerName,
    /// Its certificate alone, without the rest of a chain.
    pub certificate: PathBuf,
    /// Its key: PKCS #8, plain or encrypted by PBES2.
    pub key: PathBuf,
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
        let certificate = read_certificate(&existing.root_certificate)?;
        let root = Root { name: existing.root.clone(), certificate, key: None };
        let mut intermediates: Vec<Intermediate> = Vec::with_capacity(existing.issuers.len());
        for ExistingIssuer { name, certificate: path, key } in &existing.issuers {
            let key = storage::unlock_key(key, &storage::read(key)?, unlocking)?;
            let certificate = read_certificate(path)?;
            if intermediates.iter().any(|other| other.certificate == certificate) {
                return Err(broken(path, "this certificate is given for two issuers"));
            }
            intermediates.push(Intermediate { name: name.clone(), certificate, key: key.into() });
        }
        let taken = Self { root, intermediates };
        taken.check(&existing.root_certificate, &|name| existing.files_of(name))?;
        let now = clock.now();
        check_not_ended(&taken.root.certificate, now)
            .map_err(|why| broken(&existing.root_certificate, why))?;
        for intermediate in &taken.intermediates {
            let path = existing.files_of(&intermediate.name).certificate;
            check_not_ended(&intermediate.certificate, now)
                .and_then(|()| check_purpose(&intermediate.certificate))
                .map_err(|why| broken(&path, why))?;
            taken.try_out(intermediate, now, random).map_err(|why| broken(&path, why))?;
        }
        Ok(taken)
    }

    /// Builds a certificate of an issuing CA and holds it against every rule, without signing it: what cannot work, as
    /// a name in an encoding that we would not repeat byte for byte, shows now and not with the first order.
    fn try_out(&self, intermediate: &Intermediate, now: Timestamp, random: &dyn Random) -> Result<(), Error> {
        let url = || "http://ca.invalid".to_owned();
        let urls = IssuerUrls { ocsp: url(), issuer: url(), crl: url() };
        let ca = SigningCa::load(intermediate.clone(), &self.root, urls)?;
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
                intermediate.name.clone(),
            )
        };
        let request = CertificateRequest {
            not_before: None,
            not_after: None,
            profile: Arc::new(profile),
            serial: Serial::new(random),
            identifiers: vec![Identifier::parse_dns("trial.invalid").map_err(|why| broken(&why))?],
            public_key_info: subject.subject_public_key_info(),
            now,
        };
        let tbs = leaf::build(&request, &ca)?;
        let expected = lint::Expected { profile: &request.profile, ca: &ca, request: Some(&request) };
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

    fn files_of(&self, name: &IssuerName) -> FilePair {
        let own = self.issuers.iter().find(|issuer| issuer.name == *name);
        own.map_or(FilePair { certificate: PathBuf::new(), key: PathBuf::new() }, |issuer| FilePair {
            certificate: issuer.certificate.clone(),
            key: issuer.key.clone(),
        })
    }
}

/// A file with one certificate; text around it does not matter.
fn read_certificate(path: &std::path::Path) -> Result<Vec<u8>, Error> {
    let text = storage::read(path)?;
    match storage::split_pem(&text).as_slice() {
        [one] => storage::certificate_from_pem(path, one),
        blocks => Err(broken(
            path,
            format!("holds {} PEM blocks where one certificate should be: leave out the rest", blocks.len()),
        )),
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
