//! Delegated OCSP signing (RFC 6960, section 4.2.2.2): a key on P-256 that answers for an issuer with an RSA key, as
//! an RSA signature costs thirty times as much and makes an answer larger.
//!
//! Key and certificate live in memory alone. A new start makes new ones: nothing secret is left on a disk, and answers
//! that were given before stay valid, as each carries the certificate it was signed under.

use std::time::Duration;

use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Random, Serial, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyUsagePurpose, SerialNumber,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{FromDer, X509Name};

use crate::ca::SigningCa;
use crate::key::{Key, key_identifier, responder_key_hash};
use crate::{Error, KeyKind, OCSP_DELEGATE_VALIDITY, PrivateKey, encode};

/// How far a delegate's notBefore lies back, for clients whose clocks are late.
const BACKDATE: Duration = Duration::from_secs(60 * 60);

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
}

/// A delegate with its key.
pub(crate) struct Delegate {
    pub(crate) key: Key,
    pub(crate) certificate: Vec<u8>,
    pub(crate) responder_key_hash: [u8; 20],
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    serial: Serial,
}

impl Delegate {
    /// Makes a key and a certificate for it, valid from an hour ago for [`OCSP_DELEGATE_VALIDITY`], at most until the
    /// issuer's own end.
    ///
    /// # Errors
    /// [`Error::Refused`] if the issuer has ended; [`Error::Unavailable`] if a key could not be used.
    pub(crate) fn create(ca: &SigningCa, now: Timestamp, random: &dyn Random) -> Result<Self, Error> {
        let key = Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, random)?)?;
        let not_before = now.minus(BACKDATE).whole_second();
        let last = OCSP_DELEGATE_VALIDITY.saturating_sub(Duration::from_secs(1));
        let not_after = not_before.plus(last).min(ca.issuer.not_after).whole_second();
        if not_after <= now {
            return Err(Error::Refused(format!("the issuer '{}' has ended", ca.issuer.name)));
        }
        let serial = Serial::new(random);
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        params.not_before = not_before.to_date_time();
        params.not_after = not_after.to_date_time();
        params.distinguished_name = subject(ca, &serial)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(key.public_key()).to_vec());
        params.custom_extensions = vec![encode::ocsp_no_check()];
        let failed =
            |error: rcgen::Error| Error::Unavailable(format!("no OCSP delegate could be made ({error})"));
        let issuer_certificate = ca.issuer.certificate.as_slice().into();
        let issuer = rcgen::Issuer::from_ca_cert_der(&issuer_certificate, &ca.key).map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?.der().to_vec();
        check(&certificate, ca)?;
        Ok(Self {
            responder_key_hash: responder_key_hash(key.public_key()),
            key,
            certificate,
            not_before,
            not_after,
            serial,
        })
    }

    /// Whether less than a third of its validity is left.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.not_after.since(now) < OCSP_DELEGATE_VALIDITY / 3
    }

    /// What the outside has to know of it.
    pub(crate) fn describe(&self, issuer: &IssuerName) -> DelegateCertificate {
        DelegateCertificate {
            issuer: issuer.clone(),
            serial: self.serial.clone(),
            not_after: self.not_after,
            certificate: self.certificate.clone(),
        }
    }
}

/// The issuer's country and organization (BR 7.1.2.8.2), and a common name that keeps two delegates apart.
fn subject(ca: &SigningCa, serial: &Serial) -> Result<DistinguishedName, Error> {
    let failed =
        |what: &str| Error::Unavailable(format!("no subject for an OCSP delegate could be made: {what}"));
    let (_, issuer) =
        X509Name::from_der(&ca.issuer.subject).map_err(|_| failed("the issuer's is no name"))?;
    let mut name = DistinguishedName::new();
    if let Some(country) = issuer.iter_country().next().and_then(|country| country.as_str().ok()) {
        let country = country.try_into().map_err(|_| failed("the issuer's country is no PrintableString"))?;
        name.push(DnType::CountryName, DnValue::PrintableString(country));
    }
    if let Some(organization) = issuer.iter_organization().next().and_then(|name| name.as_str().ok()) {
        name.push(DnType::OrganizationName, organization);
    }
    let short: String = serial.to_string().chars().take(8).collect();
    name.push(DnType::CommonName, format!("OCSP {short}"));
    Ok(name)
}

/// Looks at the finished certificate: it is used right away, and an error here is a fault of ours.
fn check(certificate: &[u8], ca: &SigningCa) -> Result<(), Error> {
    let broken = |what: &str| Error::Unavailable(format!("the OCSP delegate's certificate is wrong: {what}"));
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| broken("it is none"))?;
    if parsed.issuer().as_raw() != ca.issuer.subject {
        return Err(broken("its issuer's name"));
    }
    ca.key
        .algorithm()
        .verify(&ca.issuer.public_key, parsed.tbs_certificate.as_ref(), &parsed.signature_value.data)
        .map_err(|_| broken("its signature"))
}
