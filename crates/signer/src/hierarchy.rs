//! A hierarchy: a root and the issuing CAs below it, made at once or taken over from files that the operator has, kept
//! in files.
//!
//! The root's key, where it was made here, is written beside the others, but never loaded again: it belongs offline, and
//! the CA works on without it.
//!
//! In a folder:
//! - `hierarchy.json`: which files belong to it; written last, so that without it there is no hierarchy;
//! - `roots/NAME.pem`, `issuers/NAME.pem`: certificates;
//! - `keys/NAME.pem`: private keys (PKCS #8, mode 0600), each encrypted if [`Protection`] says so; an issuing CA whose key is
//!   on a token has none, but a PKCS #11 URI in `hierarchy.json`.
//!
//! [`Hierarchy::key_files`] looks at the keys without a passphrase; `existing` takes a CA over.

mod existing;
mod key_files;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_protocol::bytes::hex;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::random_array;
use ingam_protocol::{Clock, Findings, Random, Serial, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyUsagePurpose, SerialNumber,
};
use serde::{Deserialize, Serialize};

pub use existing::{Existing, ExistingIssuer};
pub use key_files::{KeyFile, KeyOwner};

use crate::ca::LoadedCertificate;
use crate::key::{Key, key_identifier};
use crate::sealing::Cost;
use crate::storage::{self, Secrecy, Unlocking, broken};
use crate::{CaKey, Error, KeyKind, KeyLocation, Passphrase, PrivateKey, encode};

/// How long a root is valid.
const ROOT_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How long an issuing CA is valid.
const ISSUER_VALIDITY: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);
/// How far the CAs' notBefore lies back: as far as a leaf's may, so that a CA is never younger than what it signed.
const BACKDATE: Duration = Duration::from_secs(48 * 60 * 60);
/// How a passphrase that is missing or wrong can be given, for the words of an error.
const PASSPHRASE_GIVEN_BY: &str =
    "[hierarchy] passphrase_file, or the service's credential issuer-passphrase";
/// As many issuing CAs as one hierarchy may have.
const ISSUERS_MAX: usize = 16;

/// As long as an issuer's name may be, so that it fits into a common name with the random suffix.
const ISSUER_NAME_MAX: usize = 32;

const MANIFEST: &str = "hierarchy.json";
const MANIFEST_VERSION: u32 = 1;

/// What a hierarchy is to look like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The countryName of all subjects: two upper-case letters (ISO 3166-1).
    pub country: String,
    /// The organizationName of all subjects, at most 64 characters.
    pub organization: String,
    /// The root's name inside the CA. Its key is on P-384.
    pub root: IssuerName,
    /// Whether it issues for the public web: its issuing CAs then carry the policy that its certificates claim.
    pub is_public: bool,
    /// The issuing CAs, 1 to 16; names have at most 32 characters and differ from each other and from the root's.
    pub issuers: Vec<IssuerPlan>,
}

/// What an issuing CA is to look like.
#[derive(Clone, Debug)]
pub struct IssuerPlan {
    /// Its name inside the CA.
    pub name: IssuerName,
    /// What kind of key it gets.
    pub key: KeyKind,
}

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

/// A root and the issuing CAs below it. Each chain holds, and each key belongs to its certificate.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// The root.
    pub root: Root,
    /// The issuing CAs, in the plan's order.
    pub intermediates: Vec<Intermediate>,
}

/// What `hierarchy.json` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    root: IssuerName,
    issuers: Vec<Listed>,
}

/// An issuing CA in `hierarchy.json`: its name, or with it the URI of its key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Listed {
    /// With its key in `keys/NAME.pem`.
    InFile(IssuerName),
    /// With its key on a token.
    OnToken(ListedOnToken),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedOnToken {
    name: IssuerName,
    key: KeyLocation,
}

impl Listed {
    fn of(intermediate: &Intermediate) -> Self {
        let name = intermediate.name.clone();
        match intermediate.key.on_token() {
            None => Self::InFile(name),
            Some(key) => Self::OnToken(ListedOnToken { name, key: KeyLocation::Token(key.clone()) }),
        }
    }
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
    /// Makes keys and certificates. All subjects end with the same eight random characters, so that two hierarchies
    /// are never taken for each other. RSA keys take about a second each. Elliptic keys come from ring, which has its
    /// own source of randomness; all else comes from `random`.
    ///
    /// # Errors
    /// [`Error::Refused`] for a plan without issuers, with too many, or with a name twice; [`Error::Unavailable`] if a
    /// key could not be made.
    pub fn create(plan: &Plan, clock: &dyn Clock, random: &dyn Random) -> Result<Self, Error> {
        plan.check()
            .into_result()
            .map_err(|finding| Error::Refused(format!("this hierarchy cannot be made: {finding}")))?;
        let not_before = clock.now().minus(BACKDATE).whole_second();
        let suffix = hex(&random_array::<4>(random));
        let key = PrivateKey::generate(KeyKind::EcdsaP384, random)?;
        let signing = Key::load(&key)?;
        let mut params = plan.ca_params(&format!("Root {suffix}"), &signing)?;
        set_validity(&mut params, not_before, ROOT_VALIDITY);
        params.serial_number = Some(serial_number(random));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&signing).map_err(not_built)?.der().to_vec();
        let issuer = rcgen::Issuer::new(params, signing);
        let mut intermediates = Vec::with_capacity(plan.issuers.len());
        for wanted in &plan.issuers {
            let key = PrivateKey::generate(wanted.key, random)?;
            let loaded = Key::load(&key)?;
            let mut params = plan.ca_params(&format!("{} {suffix}", wanted.name), &loaded)?;
            set_validity(&mut params, not_before, ISSUER_VALIDITY);
            params.serial_number = Some(serial_number(random));
            restrict_to_leaves(&mut params, plan.is_public);
            let certificate = params.signed_by(&loaded, &issuer).map_err(not_built)?.der().to_vec();
            intermediates.push(Intermediate { name: wanted.name.clone(), certificate, key: key.into() });
        }
        let root = Root { name: plan.root.clone(), certificate, key: Some(key) };
        let made = Self { root, intermediates };
        made.check_in(Path::new("the new hierarchy"))?;
        Ok(made)
    }

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
        self.save_at(Cost::FULL, folder, protection, random)
    }

    fn save_at(
        &self,
        cost: Cost,
        folder: &Path,
        protection: &Protection,
        random: &dyn Random,
    ) -> Result<(), Error> {
        if Self::is_in(folder) {
            return Err(Error::Refused(format!(
                "{} already holds a hierarchy: choose another folder, or move it away",
                folder.display()
            )));
        }
        let [roots, issuers, keys] = ["roots", "issuers", "keys"].map(|name| folder.join(name));
        storage::make_folder(&roots, Secrecy::Public)?;
        storage::make_folder(&issuers, Secrecy::Public)?;
        storage::make_folder(&keys, Secrecy::Secret)?;
        let write_certificate = |folder: &Path, name: &IssuerName, certificate: &[u8]| {
            let pem = storage::certificate_to_pem(certificate)?;
            storage::write(folder, &file_name(name), pem.as_bytes(), Secrecy::Public)
        };
        let write_key = |name: &IssuerName, key: &PrivateKey, passphrase: &Option<Passphrase>| {
            let pem = match passphrase {
                Some(passphrase) => storage::sealed_key_to_pem(key, passphrase, cost, random)?.into(),
                None => storage::key_to_pem(key)?,
            };
            storage::write(&keys, &file_name(name), pem.as_bytes(), Secrecy::Secret)
        };
        if let Some(key) = &self.root.key {
            write_key(&self.root.name, key, &protection.root)?;
        }
        write_certificate(&roots, &self.root.name, &self.root.certificate)?;
        for intermediate in &self.intermediates {
            if let Some(key) = intermediate.key.held() {
                write_key(&intermediate.name, key, &protection.issuers)?;
            }
            write_certificate(&issuers, &intermediate.name, &intermediate.certificate)?;
        }
        storage::sync_folder(folder)?;
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            root: self.root.name.clone(),
            issuers: self.intermediates.iter().map(Listed::of).collect(),
        };
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|cause| Error::Load("could not write the manifest".to_owned(), Some(Box::new(cause))))?;
        storage::write(folder, MANIFEST, &text, Secrecy::Public)?;
        // The folder itself may be new.
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => storage::sync_folder(parent),
            _ => Ok(()),
        }
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
        let manifest = read_manifest(&folder.join(MANIFEST))?;
        let read_certificate = |below: &str, name: &IssuerName| {
            let path = folder.join(below).join(file_name(name));
            storage::certificate_from_pem(&path, &storage::read(&path)?)
        };
        let certificate = read_certificate("roots", &manifest.root)?;
        let root = Root { name: manifest.root, certificate, key: None };
        let mut intermediates = Vec::with_capacity(manifest.issuers.len());
        for listed in manifest.issuers {
            let (name, key) = match listed {
                Listed::InFile(name) => {
                    let path = key_path(folder, &name);
                    let key = storage::unlock_key(&path, &storage::read(&path)?, unlocking)?;
                    (name, CaKey::Held(key))
                }
                Listed::OnToken(ListedOnToken { name, key: KeyLocation::Token(location) }) => {
                    let key = location.open(location.pin()?.as_ref().or(pin))?;
                    (name, CaKey::OnToken(key))
                }
                Listed::OnToken(ListedOnToken { name, .. }) => {
                    let what = format!(
                        "gives '{name}' a key in a file: leave `key` out, and put the file to keys/{name}.pem"
                    );
                    return Err(broken(&folder.join(MANIFEST), what));
                }
            };
            let certificate = read_certificate("issuers", &name)?;
            intermediates.push(Intermediate { name, certificate, key });
        }
        let hierarchy = Self { root, intermediates };
        hierarchy.check_in(folder)?;
        Ok(hierarchy)
    }

    /// [`Hierarchy::check`], with the names that the files have in a folder.
    fn check_in(&self, folder: &Path) -> Result<(), Error> {
        let root = folder.join("roots").join(file_name(&self.root.name));
        self.check(&root, &|name| FilePair {
            certificate: folder.join("issuers").join(file_name(name)),
            key: key_path(folder, name),
        })
    }

    /// Checks that the root signed itself and the issuing CAs, that keys and certificates belong together.
    /// `root_path` and `files_of` are for the words of an error.
    fn check(&self, root_path: &Path, files_of: &dyn Fn(&IssuerName) -> FilePair) -> Result<(), Error> {
        let root =
            LoadedCertificate::read_ca(&self.root.certificate).map_err(|why| broken(root_path, why))?;
        root.check_issued_by(&root).map_err(|why| broken(root_path, format!("this is no root: {why}")))?;
        let mut seen = vec![(&self.root.name, root.public_key.clone())];
        for intermediate in &self.intermediates {
            let files = files_of(&intermediate.name);
            let path = &files.certificate;
            let certificate =
                LoadedCertificate::read_ca(&intermediate.certificate).map_err(|why| broken(path, why))?;
            certificate.check_issued_by(&root).map_err(|why| {
                broken(
                    path,
                    format!("{why}; the root is {}: take both from one backup or CA", root_path.display()),
                )
            })?;
            let place = intermediate.key.on_token().map_or(files.key, |key| PathBuf::from(key.to_string()));
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
}

/// Where an issuing CA's files are.
struct FilePair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Plan {
    /// Looks at every part of the plan, by the names of its fields, before anything is made.
    pub fn check(&self) -> Findings {
        let mut found = Findings::new();
        found.require(
            self.country.len() == 2 && self.country.bytes().all(|byte| byte.is_ascii_uppercase()),
            "country",
            format!("is {:?}", self.country),
            "give two upper-case letters, as in \"KR\"",
        );
        let length = self.organization.chars().count();
        found.require(
            (1..=64).contains(&length),
            "organization",
            format!("has {length} characters"),
            "give 1 to 64 characters",
        );
        let count = self.issuers.len();
        found.require(
            (1..=ISSUERS_MAX).contains(&count),
            "issuers",
            format!("has {count} issuing CAs"),
            "give 1 to 16",
        );
        for issuer in &self.issuers {
            let name = issuer.name.as_str();
            let same = self.issuers.iter().filter(|other| other.name == issuer.name).count();
            found.require(
                name.len() <= ISSUER_NAME_MAX,
                format!("issuers.{name}"),
                "has a name of more than 32 characters, which leaves no room in its subject",
                "choose a shorter one",
            );
            found.require(
                same == 1 && issuer.name != self.root,
                format!("issuers.{name}"),
                "has a name that is there twice",
                "give the root and each issuing CA a name of its own",
            );
        }
        found
    }

    /// What roots and issuing CAs have in common: how subjects begin, and key identifiers.
    fn ca_params(&self, subject: &str, key: &Key) -> Result<CertificateParams, Error> {
        let mut name = DistinguishedName::new();
        // X.520 has the country as PrintableString, and nothing else.
        let country = self.country.as_str().try_into().map_err(not_built)?;
        name.push(DnType::CountryName, DnValue::PrintableString(country));
        name.push(DnType::OrganizationName, self.organization.as_str());
        name.push(DnType::CommonName, common_name(&self.organization, subject));
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(key.public_key()).to_vec());
        Ok(params)
    }
}

fn read_manifest(path: &Path) -> Result<Manifest, Error> {
    if !path.exists() {
        return Err(broken(path, "there is no hierarchy here; make one with `ingam init`"));
    }
    let text = storage::read(path)?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| broken(path, format!("is damaged ({error}); restore it from a backup")))?;
    if manifest.version != MANIFEST_VERSION {
        let what = format!("has version {}, this program knows version {MANIFEST_VERSION}", manifest.version);
        return Err(broken(path, what));
    }
    if manifest.issuers.is_empty() || manifest.issuers.len() > ISSUERS_MAX {
        return Err(broken(path, "must name 1 to 16 issuers"));
    }
    Ok(manifest)
}

fn key_path(folder: &Path, name: &IssuerName) -> PathBuf {
    folder.join("keys").join(file_name(name))
}

fn file_name(name: &IssuerName) -> String {
    format!("{name}.pem")
}

fn not_built(error: rcgen::Error) -> Error {
    Error::Unavailable(format!("a CA certificate could not be made ({error})"))
}

/// The organization and what tells this CA from its siblings, within the 64 characters of a common name (RFC 5280,
/// appendix A.1); where both do not fit, the organization is cut.
fn common_name(organization: &str, subject: &str) -> String {
    let room = 63_usize.saturating_sub(subject.chars().count());
    let cut: String = organization.chars().take(room).collect();
    format!("{} {subject}", cut.trim_end())
}

fn set_validity(params: &mut CertificateParams, not_before: Timestamp, validity: Duration) {
    params.not_before = not_before.to_date_time();
    params.not_after = not_before.plus(validity.saturating_sub(Duration::from_secs(1))).to_date_time();
}

fn serial_number(random: &dyn Random) -> SerialNumber {
    SerialNumber::from_slice(Serial::new(random).as_bytes())
}

/// What an issuing CA may do: sign leaves, CRLs, and OCSP answers itself (RFC 6960, section 4.2.2.2), which is what
/// digitalSignature is for.
fn restrict_to_leaves(params: &mut CertificateParams, is_public: bool) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if is_public {
        params.custom_extensions = vec![encode::certificate_policies()];
    }
}

#[cfg(test)]
mod tests;
