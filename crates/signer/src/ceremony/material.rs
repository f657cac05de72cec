//! What a ceremony works on: certificates, requests, CRLs and keys that are there, read and held against each other.

use std::path::Path;

use ingam_protocol::crl::Entry;
use ingam_protocol::key::PublicKey;
use ingam_protocol::{Findings, Reason, Serial, Timestamp};
use rcgen::PublicKeyData as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::keys::{Guard, KeyPlace, Opened, Passphrases};
use super::plan::{DAY, IssuerPlan};
use crate::Error;
use crate::ca::LoadedCertificate;
use crate::key::{Key, key_identifier, public_key_of};
use crate::lint::authority::Above;
use crate::storage::{self, broken};

/// A CA's certificate, and what a ceremony has to know of it.
pub(super) struct Authority {
    pub(super) facts: LoadedCertificate,
    pub(super) not_before: Timestamp,
    pub(super) above: Above,
    /// DER of its SubjectPublicKeyInfo.
    pub(super) public_key_info: Vec<u8>,
}

impl Authority {
    /// Reads a file with one CA certificate.
    ///
    /// # Errors
    /// [`Error::Load`] names the file and what is wrong.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let der = storage::read_certificate(path)?;
        let facts = LoadedCertificate::read_ca(&der).map_err(|why| broken(path, why))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| broken(path, error))?;
        let constraints = parsed.basic_constraints().map_err(|error| broken(path, error))?;
        let not_before = u64::try_from(parsed.validity().not_before.timestamp()).unwrap_or_default();
        // Whoever signed itself has shown that it holds its key.
        if parsed.issuer().as_raw() == parsed.subject().as_raw() && parsed.verify_signature(None).is_err() {
            return Err(broken(path, "did not sign itself, though it says so: take it from a trusted place"));
        }
        Ok(Self {
            not_before: Timestamp::from_unix_s(not_before),
            above: Above {
                not_after: facts.not_after,
                path_length: constraints.and_then(|constraints| constraints.value.path_len_constraint),
            },
            public_key_info: parsed.public_key().raw.to_vec(),
            facts,
        })
    }
}

/// The key of the file that names the issuer's certificate.
pub(super) const ISSUER: &str = "issuer.certificate";

impl Authority {
    /// Reads the certificate that `key` names; what is wrong goes into `found`.
    pub(super) fn noted(found: &mut Findings, key: &str, path: &Path) -> Option<Self> {
        noted(found, (key, "name the PEM file of the CA's certificate, and no other"), Self::read(path))
    }

    /// As an issuer: it has not ended.
    pub(super) fn is_valid(&self, now: Timestamp, found: &mut Findings) {
        found.require(
            now <= self.facts.not_after,
            ISSUER,
            format!("is of a CA that ended at {}", self.facts.not_after),
            "sign with a CA that is valid",
        );
    }

    /// As an issuer: it ends after what it signs.
    pub(super) fn outlives(&self, not_before: Timestamp, not_after: Timestamp, found: &mut Findings) {
        let end = self.facts.not_after;
        found.require(
            not_after <= end,
            "certificate.validity_days",
            format!("lets it end at {not_after}, after its issuer, which ends at {end}"),
            format!("set it to {} at most", end.since(not_before).as_secs() / DAY.as_secs()),
        );
    }

    /// As an issuer: a CA with this path length fits below it.
    pub(super) fn has_room(&self, path_length: Option<u8>, found: &mut Findings) {
        let fits = match (self.above.path_length, path_length) {
            (None, _) => true,
            (Some(room), Some(wanted)) => u32::from(wanted) < room,
            (Some(room), None) => room > 0,
        };
        let room = self.above.path_length.unwrap_or_default();
        found.require(
            fits,
            "certificate.path_length",
            format!("does not fit below the issuer, whose own is {room}"),
            "set it lower than the issuer's, or sign with a CA that may have CAs below it",
        );
    }
}

/// Who signs, with the key at hand.
pub(super) struct Signer {
    pub(super) authority: Authority,
    pub(super) key: Key,
    pub(super) guard: Guard,
}

impl Signer {
    /// Reads certificate and key of an issuer, which must belong together. What is wrong goes into `found`.
    pub(super) fn gather(
        plan: &IssuerPlan,
        passphrases: &mut dyn Passphrases,
        now: Timestamp,
        found: &mut Findings,
    ) -> Option<Self> {
        let authority = Authority::noted(found, ISSUER, &plan.certificate)?;
        authority.is_valid(now, found);
        let Opened { key, guard } = open("issuer.key", &plan.key, passphrases, found)?;
        let fits = key.public_key() == authority.facts.public_key;
        found.require(
            fits,
            "issuer.key",
            format!("is {}, whose key does not belong to {}", plan.key, plan.certificate.display()),
            "give certificate and key of one CA",
        );
        fits.then_some(Self { authority, key, guard })
    }
}

/// Opens a key that is there.
pub(super) fn open(
    name: &str,
    place: &KeyPlace,
    passphrases: &mut dyn Passphrases,
    found: &mut Findings,
) -> Option<Opened> {
    let fix = "name the key that belongs here, and give its passphrase, or its token's PIN";
    noted(found, (name, fix), place.open(passphrases))
}

/// What a request asks by.
pub(super) struct Asked {
    /// DER of its SubjectPublicKeyInfo.
    pub(super) public_key_info: Vec<u8>,
}

/// Reads a certification request: its signature shows that whoever asks holds the key (RFC 2986). A subject that it has
/// must be the one that is going to be certified.
pub(super) fn request_in(path: &Path, subject: &[u8]) -> Result<Asked, Error> {
    let text = storage::read(path)?;
    let der = storage::request_from_pem(path, &text)?;
    let parsed = match X509CertificationRequest::from_der(&der) {
        Ok(([], parsed)) => parsed,
        Ok(_) => return Err(broken(path, "has bytes after the request")),
        Err(error) => return Err(broken(path, format!("is no certification request ({error})"))),
    };
    parsed
        .verify_signature()
        .map_err(|_| broken(path, "its signature does not hold: make the request anew"))?;
    let info = &parsed.certification_request_info;
    if info.subject.iter().next().is_some() && info.subject.as_raw() != subject {
        return Err(broken(
            path,
            format!(
                "asks for the subject '{}', which is not that of [subject]: make them the same",
                info.subject
            ),
        ));
    }
    Ok(Asked { public_key_info: info.subject_pki.raw.to_vec() })
}

/// A key that is certified: its own facts, whatever it came from.
pub(super) struct Certified {
    /// DER of its SubjectPublicKeyInfo.
    pub(super) public_key_info: Vec<u8>,
    pub(super) key_identifier: Vec<u8>,
}

impl Certified {
    pub(super) fn of_key(key: &Key) -> Self {
        Self {
            public_key_info: key.subject_public_key_info(),
            key_identifier: key_identifier(key.public_key()).to_vec(),
        }
    }

    /// A key that came from outside.
    ///
    /// # Errors
    /// A text for the operator, if it is none that a CA may have (BR 6.1.1.3, 6.1.5, 6.1.6).
    pub(super) fn of_info(public_key_info: Vec<u8>) -> Result<Self, String> {
        PublicKey::from_spki(&public_key_info)
            .map_err(|bad| format!("holds a key that is refused: {bad}"))?;
        let public_key = public_key_of(&public_key_info).ok_or("holds no SubjectPublicKeyInfo")?;
        Ok(Self { key_identifier: key_identifier(&public_key).to_vec(), public_key_info })
    }

    /// What kind of key it is, in words.
    pub(super) fn kind(&self) -> String {
        PublicKey::from_spki(&self.public_key_info)
            .map_or_else(|_| "unknown".to_owned(), |key| key.kind_name())
    }
}

/// The CRL before: its number and its entries.
pub(super) struct Previous {
    pub(super) number: u64,
    pub(super) entries: Vec<Entry>,
}

impl Previous {
    /// Reads a CRL, PEM or DER, which this CA must have signed.
    ///
    /// # Errors
    /// [`Error::Load`] names the file and what is wrong.
    pub(super) fn read(path: &Path, issuer: &Authority) -> Result<Self, Error> {
        let der = storage::revocation_list(path)?;
        let failed = |why: &str| broken(path, why);
        let parsed = match CertificateRevocationList::from_der(&der) {
            Ok(([], parsed)) => parsed,
            _ => return Err(failed("is no CRL: name the one before, in PEM or DER")),
        };
        let (_, certificate) =
            X509Certificate::from_der(&issuer.facts.der).map_err(|_| failed("has no issuer"))?;
        let is_own = parsed.issuer().as_raw() == issuer.facts.subject
            && parsed.verify_signature(certificate.public_key()).is_ok();
        if !is_own {
            return Err(failed("is not a CRL of this issuer: name its own last one"));
        }
        let number = parsed.crl_number().and_then(|number| u64::try_from(number.clone()).ok());
        let number = number.ok_or_else(|| failed("has no number that can be counted on (cRLNumber)"))?;
        let mut entries = Vec::new();
        for entry in parsed.iter_revoked_certificates() {
            let serial = Serial::from_be_bytes(entry.raw_serial());
            let reason = entry.reason_code().and_then(|(_, code)| Reason::from_number(code.0));
            let revoked_at =
                u64::try_from(entry.revocation_date.timestamp()).ok().map(Timestamp::from_unix_s);
            match (serial, reason.filter(|reason| *reason != Reason::Unspecified), revoked_at) {
                (Some(serial), Some(reason), Some(revoked_at)) => {
                    entries.push(Entry { serial, revoked_at, reason });
                }
                _ => {
                    return Err(failed(
                        "has an entry without a reason that a CA's entry may have (BR 7.2.2): write number and all \
                         entries into this file instead",
                    ));
                }
            }
        }
        Ok(Self { number, entries })
    }
}

/// What to do about a request that is none.
pub(super) const REQUEST: &str =
    "have it made by whoever has the key, as config/ceremony/request.toml shows, and name its PEM file";
/// What to do about what should not be.
pub(super) const OURS: &str = "report this";

/// The value, or its error as a finding about `key`, with what to do about it.
pub(super) fn noted<T>(
    found: &mut Findings,
    (key, fix): (&str, &str),
    outcome: Result<T, Error>,
) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            found.error(key, format!("cannot be used: {}", in_full(&error)), fix);
            None
        }
    }
}

/// An error with all its causes.
pub(super) fn in_full(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        sentence.push_str(&format!(": {deeper}"));
        cause = deeper.source();
    }
    sentence
}
