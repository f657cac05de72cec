//! Issuing CAs: what their certificates say, and those of them whose key is here.

use ingam_protocol::{Serial, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::hierarchy::{Chain, Intermediate};
use crate::key::{Key, responder_key_hash};
use crate::ledger::{Kind, Subject, issuer_digest};
use crate::{Alternate, Error, Issuer, IssuerUrls};

/// What matters of a certificate when it is loaded.
#[derive(Debug)]
pub(crate) struct LoadedCertificate {
    /// All of it, DER.
    pub(crate) der: Vec<u8>,
    /// DER of its subject.
    pub(crate) subject: Vec<u8>,
    /// Contents of its public key's BIT STRING.
    pub(crate) public_key: Vec<u8>,
    /// Its subjectKeyIdentifier.
    pub(crate) key_identifier: Vec<u8>,
    /// Its last valid second.
    pub(crate) not_after: Timestamp,
    /// Whether its key may sign more than certificates and CRLs (keyUsage digitalSignature).
    pub(crate) may_sign_data: bool,
    /// How many CAs may follow below it (basicConstraints pathLenConstraint); `None`: any number.
    pub(crate) path_length: Option<u32>,
}

impl LoadedCertificate {
    /// Reads a CA's certificate and checks that it may sign certificates and CRLs. An error is a text for the operator.
    pub(crate) fn read_ca(der: &[u8]) -> Result<Self, String> {
        let certificate = parse(der)?;
        match certificate.basic_constraints() {
            Ok(Some(constraints)) if constraints.value.ca => {}
            _ => return Err("is not a CA's certificate (basicConstraints)".to_owned()),
        }
        match certificate.key_usage() {
            Ok(Some(usage)) if usage.value.key_cert_sign() && usage.value.crl_sign() => {}
            _ => return Err("may not sign certificates and CRLs (keyUsage)".to_owned()),
        }
        Self::read(der)
    }

    /// Reads any certificate. An error is a text for the operator.
    pub(crate) fn read(der: &[u8]) -> Result<Self, String> {
        let certificate = parse(der)?;
        let key_identifier = certificate
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
                _ => None,
            })
            .ok_or_else(|| "has no subjectKeyIdentifier".to_owned())?;
        let not_after = u64::try_from(certificate.validity().not_after.timestamp())
            .map_err(|_| "ended before 1970".to_owned())?;
        let may_sign_data =
            matches!(certificate.key_usage(), Ok(Some(usage)) if usage.value.digital_signature());
        let path_length = match certificate.basic_constraints() {
            Ok(Some(constraints)) => constraints.value.path_len_constraint,
            _ => None,
        };
        Ok(Self {
            may_sign_data,
            path_length,
            der: der.to_vec(),
            subject: certificate.subject().as_raw().to_vec(),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
            key_identifier,
            not_after: Timestamp::from_unix_s(not_after),
        })
    }

    /// Checks that `issuer` signed this certificate, and does not end before it. An error is a text for the operator.
    pub(crate) fn check_issued_by(&self, issuer: &Self) -> Result<(), String> {
        self.check_signed_by(issuer)?;
        self.check_ends_within(issuer)
    }

    /// Checks that this certificate does not end after `issuer`. An error is a text for the operator.
    pub(crate) fn check_ends_within(&self, issuer: &Self) -> Result<(), String> {
        if self.not_after > issuer.not_after { Err("ends after its issuer".to_owned()) } else { Ok(()) }
    }

    /// Checks that `issuer` signed this certificate. An error is a text for the operator.
    pub(crate) fn check_signed_by(&self, issuer: &Self) -> Result<(), String> {
        let (own, issuers) = (parse(&self.der)?, parse(&issuer.der)?);
        if own.issuer().as_raw() != issuer.subject {
            return Err("names another issuer".to_owned());
        }
        own.verify_signature(Some(issuers.public_key()))
            .map_err(|_| "was not signed by the issuer that it names".to_owned())
    }
}

/// Contents of the BIT STRING of a certificate's public key; `None` if it is no certificate.
pub(crate) fn certified_key(der: &[u8]) -> Option<Vec<u8>> {
    parse(der).ok().map(|certificate| certificate.public_key().subject_public_key.data.to_vec())
}

pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("has bytes after the certificate".to_owned()),
        Err(error) => Err(format!("is no certificate ({error})")),
    }
}

/// An issuing CA whose key is here.
pub(crate) struct SigningCa {
    /// What the world may know about it.
    pub(crate) issuer: Issuer,
    /// Its key.
    pub(crate) key: Key,
    /// Its subjectKeyIdentifier: the authorityKeyIdentifier of all it signs.
    pub(crate) key_identifier: Vec<u8>,
    /// Whether it may sign OCSP answers itself: its certificate has digitalSignature (RFC 5280, section 4.2.1.3).
    pub(crate) may_answer: bool,
    /// By what the ledger knows it: SHA-256 of its public key.
    pub(crate) ledger_name: [u8; 32],
    /// SHA-1 of its public key, by which it calls itself in OCSP answers.
    pub(crate) responder_key_hash: [u8; 20],
}

impl SigningCa {
    /// Loads an issuing CA.
    ///
    /// # Errors
    /// [`Error::Load`] if certificate, key, chains and URLs do not fit together; its words name the issuer.
    pub(crate) fn load(intermediate: Intermediate, urls: IssuerUrls) -> Result<Self, Error> {
        let Intermediate { name, certificate, key, chains } = intermediate;
        let broken = |what: String| Error::Load(format!("the issuer '{name}' cannot be used: {what}"), None);
        check_urls(&urls).map_err(broken)?;
        let facts = LoadedCertificate::read_ca(&certificate).map_err(broken)?;
        let (usual, others) =
            chains.split_first().ok_or_else(|| broken("it has no chain to a root".to_owned()))?;
        let alternates = others.iter().map(Alternate::of).collect::<Result<_, _>>().map_err(broken)?;
        let on_token = key.on_token().map(ToString::to_string);
        let key = Key::of(&key)?;
        if key.public_key() != facts.public_key {
            let place = match on_token {
                Some(token) => token,
                None => format!("keys/{name}.pem"),
            };
            return Err(broken(format!(
                "its key, {place}, does not belong to its certificate, issuers/{name}.pem"
            )));
        }
        let issuer = Issuer {
            name: name.clone(),
            chain: usual.without_root(),
            root: usual.root().to_vec(),
            alternates,
            certificate,
            subject: facts.subject,
            public_key: facts.public_key,
            key_identifier: facts.key_identifier.clone(),
            not_after: facts.not_after,
            key: key.kind(),
            urls,
        };
        Ok(Self {
            ledger_name: issuer_digest(&issuer.public_key),
            responder_key_hash: responder_key_hash(&issuer.public_key),
            issuer,
            key,
            may_answer: facts.may_sign_data,
            key_identifier: facts.key_identifier,
        })
    }
}

impl SigningCa {
    /// What the ledger is told of bytes that this CA is to sign.
    pub(crate) fn subject<'a>(&'a self, kind: Kind, serial: &'a Serial, tbs: &'a [u8]) -> Subject<'a> {
        Subject { issuer: &self.ledger_name, kind, serial, tbs }
    }
}

impl Alternate {
    /// What the world may know of a chain. An error is a text for the operator.
    fn of(chain: &Chain) -> Result<Self, String> {
        let certificates = chain.without_root();
        let mut not_after = LoadedCertificate::read(chain.root())?.not_after;
        for certificate in &certificates {
            not_after = not_after.min(LoadedCertificate::read(certificate)?.not_after);
        }
        Ok(Self { chain: certificates, root: chain.root().to_vec(), not_after })
    }
}

/// Certificates point to plain http only (BR 7.1.2.7.7, 7.1.2.11.2): whoever fetches a CRL to verify a TLS
/// certificate must not need a TLS certificate for it.
pub(crate) fn check_urls(urls: &IssuerUrls) -> Result<(), String> {
    for url in [&urls.ocsp, &urls.issuer, &urls.crl] {
        let host = url.strip_prefix("http://").unwrap_or_default();
        if host.is_empty() || url.len() > 512 || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("'{url}' must start with http:// and have only visible ASCII characters"));
        }
    }
    Ok(())
}
