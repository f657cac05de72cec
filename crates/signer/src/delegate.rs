//! Delegated OCSP signing (RFC 6960, section 4.2.2.2): a key on P-256 that answers for an issuer with an RSA key, as
//! an RSA signature costs thirty times as much and makes an answer larger.
//!
//! Key and certificate live in memory alone. A new start makes new ones: nothing secret is left on a disk, and answers
//! that were given before stay valid, as each carries the certificate it was signed under.
//!
//! A responder apart from the CA has a key of its own, of which only the public half is known here ([`DelegateKey`]): it gets
//! certificates as these delegates do.
//!
//! A certificate is held against every rule ([`Draft::new`]) and put into the ledger before the issuer's key is used for it.

use std::time::Duration;

use ingam_protocol::key::{KeyType, PublicKey};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Random, Serial, Timestamp};
use rcgen::PublicKeyData;
use x509_parser::prelude::{FromDer, X509Name};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::ca::{SigningCa, certified_key};
use crate::ceremony::contents::{self, Contents, Role};
use crate::key::{Key, key_identifier, responder_key_hash};
use crate::lint::authority::{Above, ExpectedAuthority};
use crate::{Error, Issuer, OCSP_DELEGATE_VALIDITY, lint};

/// How far a delegate's notBefore lies back, for clients whose clocks are late.
const BACKDATE: Duration = Duration::from_secs(60 * 60);

/// As many responders apart from the CA may have a key that it certifies.
pub const RESPONDERS_MAX: usize = 32;

/// A delegated OCSP certificate that was just made: the CA signed it, so it belongs on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegateCertificate {
    /// Which issuer signed it, and is answered for.
    pub issuer: IssuerName,
    /// Its serial number.
    pub serial: Serial,
    /// Its last valid second.
    pub not_after: Timestamp,
    /// All of it, DER.
    pub certificate: Vec<u8>,
    /// The name of the key that it is for, if that is a responder's apart from the CA.
    pub responder: Option<String>,
}

/// The key of a responder apart from the CA, which is to answer for the CA's issuers: its public half, by a name for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegateKey {
    name: String,
    key: PublicKey,
    /// Contents of its BIT STRING.
    public_key: Vec<u8>,
}

impl DelegateKey {
    /// A key of that name. Whether it is weak or blocked is for the caller to see to.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not on P-256: each answer is signed with it, and carries its certificate.
    pub fn new(name: String, key: PublicKey) -> Result<Self, Error> {
        let info = key.to_spki();
        let public_key = SubjectPublicKeyInfo::from_der(&info)
            .ok()
            .filter(|_| key.key_type() == Some(KeyType::EcdsaP256))
            .map(|(_, parsed)| parsed.subject_public_key.data.to_vec());
        let public_key = public_key.ok_or_else(|| {
            Error::Refused(format!("it is of the kind {}, and not on P-256", key.kind_name()))
        })?;
        Ok(Self { name, key, public_key })
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key itself.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether it is the key with these contents of its BIT STRING.
    fn is(&self, public_key: &[u8]) -> bool {
        self.public_key == public_key
    }

    /// One key has one purpose: it must be neither an issuer's nor that of a root above.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is one of those.
    pub fn check_purpose(&self, issuers: &[Issuer]) -> Result<(), Error> {
        let is_own = |issuer: &&Issuer| {
            let mut roots = issuer.roots().filter_map(certified_key);
            self.is(&issuer.public_key) || roots.any(|root| self.is(&root))
        };
        match issuers.iter().find(is_own) {
            None => Ok(()),
            Some(issuer) => Err(Error::Refused(format!(
                "the key of the responder '{}' is that of the CA '{}', or of its root, and signs certificates",
                self.name, issuer.name
            ))),
        }
    }

    /// Whether a certificate (DER) is for this key.
    pub fn is_certified_by(&self, certificate: &[u8]) -> bool {
        certified_key(certificate).is_some_and(|key| self.is(&key))
    }

    pub(crate) fn holder(&self) -> Holder<'_> {
        Holder { info: self.key.to_spki(), public_key: &self.public_key }
    }
}

/// Whom a delegate's certificate is for.
pub(crate) struct Holder<'a> {
    /// DER of the SubjectPublicKeyInfo.
    info: Vec<u8>,
    /// Contents of its BIT STRING.
    public_key: &'a [u8],
}

impl<'a> Holder<'a> {
    /// A key that is in this process.
    pub(crate) fn of(key: &'a Key) -> Self {
        Self { info: key.subject_public_key_info(), public_key: key.public_key() }
    }
}

/// A delegate with its key.
pub(crate) struct Delegate {
    pub(crate) key: Key,
    pub(crate) certificate: Vec<u8>,
    pub(crate) responder_key_hash: [u8; 20],
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) serial: Serial,
}

impl Delegate {
    /// With the certificate that was signed for it.
    pub(crate) fn new(key: Key, draft: Draft, certificate: Vec<u8>) -> Self {
        let Draft { serial, not_before, not_after, .. } = draft;
        Self {
            responder_key_hash: responder_key_hash(key.public_key()),
            key,
            certificate,
            not_before,
            not_after,
            serial,
        }
    }

    /// What the outside has to know of it.
    pub(crate) fn describe(&self, issuer: &IssuerName) -> DelegateCertificate {
        DelegateCertificate {
            issuer: issuer.clone(),
            serial: self.serial.clone(),
            not_after: self.not_after,
            certificate: self.certificate.clone(),
            responder: None,
        }
    }
}

/// Whether less than a third of a delegate's validity is left, and another one could last longer.
pub(crate) fn is_due(not_after: Timestamp, ca: &SigningCa, now: Timestamp) -> bool {
    not_after < ca.issuer.not_after.whole_second() && not_after.since(now) < OCSP_DELEGATE_VALIDITY / 3
}

/// A delegate whose certificate has yet to be signed; its bytes passed every rule.
pub(crate) struct Draft {
    pub(crate) serial: Serial,
    not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// DER of the TBSCertificate.
    pub(crate) tbs: Vec<u8>,
}

impl Draft {
    /// What a certificate for a key says: valid from an hour ago for [`OCSP_DELEGATE_VALIDITY`], at most until the issuer's own end.
    ///
    /// # Errors
    /// [`Error::Refused`] if the issuer has ended; [`Error::Unavailable`] if the lint finds a fault of ours.
    pub(crate) fn new(
        ca: &SigningCa,
        holder: Holder<'_>,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Self, Error> {
        let not_before = now.minus(BACKDATE).whole_second();
        let last = OCSP_DELEGATE_VALIDITY.saturating_sub(Duration::from_secs(1));
        let not_after = not_before.plus(last).min(ca.issuer.not_after).whole_second();
        if not_after <= now {
            return Err(Error::Refused(format!("the issuer '{}' has ended", ca.issuer.name)));
        }
        let serial = Serial::new(random);
        let wanted = Contents {
            serial: serial.clone(),
            signature_algorithm: ca.key.algorithm().identifier().to_vec(),
            issuer: ca.issuer.subject.clone(),
            not_before,
            not_after,
            subject: subject(ca, &serial)?,
            public_key_info: holder.info,
            subject_key_identifier: key_identifier(holder.public_key).to_vec(),
            authority_key_identifier: ca.key_identifier.clone(),
            role: Role::Responder,
        };
        let tbs = contents::certificate(&wanted);
        let expected = ExpectedAuthority {
            contents: &wanted,
            // A name without a country is its issuer's way, which is told where that one is loaded.
            is_public: false,
            now,
            issuer: Some(Above { not_after: ca.issuer.not_after, path_length: None }),
            not_before_min: not_before,
        };
        lint::authority::unsigned(&tbs, ca, &expected)
            .map_err(|why| Error::Unavailable(format!("the OCSP delegate's certificate is wrong: {why}")))?;
        Ok(Self { serial, not_before, not_after, tbs })
    }
}

/// The issuer's country and organization (BR 7.1.2.8.2), and a common name that keeps two delegates apart.
fn subject(ca: &SigningCa, serial: &Serial) -> Result<Vec<u8>, Error> {
    let (_, issuer) = X509Name::from_der(&ca.issuer.subject).map_err(|_| {
        Error::Unavailable("no OCSP delegate could be made: its issuer's name is none".to_owned())
    })?;
    let country = issuer.iter_country().next().and_then(|country| country.as_str().ok());
    let organization = issuer.iter_organization().next().and_then(|name| name.as_str().ok());
    let short: String = serial.to_string().chars().take(8).collect();
    Ok(contents::name_of(country, organization, &format!("OCSP {short}")))
}
