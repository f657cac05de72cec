//! Building the bytes of a subscriber's certificate, without any key.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;

use ingam_protocol::profile::{Contents, Profile, Purpose, Transparency};
use ingam_protocol::{Identifier, Timestamp};
use rcgen::{
    CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};

use crate::ca::SigningCa;
use crate::encode::{AccessUrls, DOMAIN_VALIDATED};
use crate::key::{Key, RSA_ENCRYPTION, key_identifier, public_key_of};
use crate::{CertificateRequest, Error, encode};

/// From when to when a certificate is valid, both inclusive and whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Validity {
    /// What the order asked for; else as the profile has it.
    pub(crate) fn of(request: &CertificateRequest) -> Self {
        let CertificateRequest { profile, not_before, not_after, now, .. } = request;
        let (not_before, not_after) = profile.dates(*not_before, *not_after, *now);
        Self { not_before, not_after }
    }
}

/// Builds the TBSCertificate of a request.
///
/// # Errors
/// [`Error::Refused`] if rcgen cannot express it. Whether the result is right is for [`crate::lint`] to say.
pub(crate) fn build(request: &CertificateRequest, ca: &SigningCa) -> Result<Vec<u8>, Error> {
    encode_tbs(&params(request, ca)?, &request.public_key_info, ca)
}

/// The TBSCertificate that rcgen writes for these parameters and this key.
pub(crate) fn encode_tbs(
    params: &CertificateParams,
    public_key_info: &[u8],
    ca: &SigningCa,
) -> Result<Vec<u8>, Error> {
    let refused =
        |error: rcgen::Error| Error::Refused(format!("the certificate could not be built ({error})"));
    let capture = Capture { key: &ca.key, tbs: RefCell::new(Vec::new()) };
    let certificate = ca.issuer.certificate.as_slice().into();
    let issuer = rcgen::Issuer::from_ca_cert_der(&certificate, &capture).map_err(refused)?;
    match rcgen::SubjectPublicKeyInfo::from_der(public_key_info) {
        Ok(key) => {
            params.signed_by(&key, &issuer).map_err(refused)?;
            Ok(capture.tbs.take())
        }
        // With ring beneath, rcgen cannot name P-521 keys: a placeholder stands in, and gives way to the key.
        Err(_) => {
            params.signed_by(&Placeholder, &issuer).map_err(refused)?;
            replace_placeholder(&capture.tbs.take(), public_key_info)
        }
    }
}

/// What rcgen is told about a request.
pub(crate) fn params(request: &CertificateRequest, ca: &SigningCa) -> Result<CertificateParams, Error> {
    let public_key = public_key_of(&request.public_key_info)
        .ok_or_else(|| Error::Refused("the subject's key is no SubjectPublicKeyInfo".to_owned()))?;
    let validity = Validity::of(request);
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(request.serial.as_bytes()));
    params.not_before = validity.not_before.to_date_time();
    params.not_after = validity.not_after.to_date_time();
    params.distinguished_name = subject(request);
    params.subject_alt_names = subject_alt_names(&request.identifiers)?;
    let contents = &request.profile.contents;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if contents.key_encipherment && is_rsa(&request.public_key_info) {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.extended_key_usages = contents.purposes.iter().map(purpose).collect();
    if contents.crl_pointer {
        params.crl_distribution_points =
            vec![CrlDistributionPoint { uris: vec![ca.issuer.urls.crl_of(request.serial.shard())] }];
    }
    params.use_authority_key_identifier_extension = true;
    if contents.subject_key_identifier {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(&public_key).to_vec());
    } else {
        // rcgen writes both or none.
        params.is_ca = IsCa::NoCa;
        params.custom_extensions.push(encode::no_ca());
    }
    params.custom_extensions.extend(custom_extensions(contents, request, ca));
    if request.profile.transparency == Transparency::Required {
        // The last one, as the SCTs will be.
        params.custom_extensions.push(encode::poison());
    }
    Ok(params)
}

/// Those that rcgen has no word for.
fn custom_extensions(
    contents: &Contents,
    request: &CertificateRequest,
    ca: &SigningCa,
) -> impl Iterator<Item = CustomExtension> {
    let ocsp = contents.ocsp_pointer.then_some(ca.issuer.urls.ocsp.as_str());
    let issuer = contents.issuer_pointer.then_some(ca.issuer.urls.issuer.as_str());
    let access = (ocsp.is_some() || issuer.is_some())
        .then(|| encode::authority_information_access(AccessUrls { ocsp, issuer }));
    let policies = policies(&request.profile);
    let policies = (!policies.is_empty()).then(|| encode::policy_extension(&policies));
    let must_staple = request.must_staple.then(encode::must_staple);
    access.into_iter().chain(policies).chain(must_staple)
}

/// Empty, unless the profile has a common name: a domain's control is all that was validated, and BR 7.1.2.7.2 recommends
/// none. With an empty subject, subjectAltName is critical (RFC 5280, section 4.2.1.6); rcgen sees to that, and the lint
/// that it did.
fn subject(request: &CertificateRequest) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(name) = request.profile.contents.common_name.of(&request.identifiers) {
        subject.push(DnType::CommonName, name);
    }
    subject
}

fn purpose(purpose: &Purpose) -> ExtendedKeyUsagePurpose {
    match purpose {
        Purpose::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
        Purpose::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
        Purpose::Other(oid) => ExtendedKeyUsagePurpose::Other(oid.arcs().to_vec()),
    }
}

/// The contents of the policies' OBJECT IDENTIFIERs: those that claim to follow the Baseline Requirements say so first
/// (BR 7.1.2.7.9).
pub(crate) fn policies(profile: &Profile) -> Vec<Vec<u8>> {
    let claim = profile.is_public.then(|| DOMAIN_VALIDATED.to_vec());
    claim.into_iter().chain(profile.contents.policies.iter().map(|policy| policy.contents())).collect()
}

/// All names, each once, sorted as text, and behind them all addresses, sorted as numbers.
fn subject_alt_names(identifiers: &[Identifier]) -> Result<Vec<SanType>, Error> {
    let (names, addresses) = names_and_addresses(identifiers);
    let dns_name = |name: String| {
        let refused = |_| Error::Refused("a name has characters outside ASCII".to_owned());
        name.try_into().map(SanType::DnsName).map_err(refused)
    };
    let addresses = addresses.into_iter().map(|address| Ok(SanType::IpAddress(address)));
    names.into_iter().map(dns_name).chain(addresses).collect()
}

/// The two kinds of subjectAltNames, in the order in which they stand there.
pub(crate) fn names_and_addresses(identifiers: &[Identifier]) -> (BTreeSet<String>, BTreeSet<IpAddr>) {
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for identifier in identifiers {
        match identifier {
            Identifier::Dns(_) | Identifier::Wildcard(_) => drop(names.insert(identifier.to_string())),
            Identifier::Ip(address) => drop(addresses.insert(*address)),
        }
    }
    (names, addresses)
}

/// Whether a SubjectPublicKeyInfo is that of an RSA key.
fn is_rsa(public_key_info: &[u8]) -> bool {
    public_key_info.windows(RSA_ENCRYPTION.len()).take(8).any(|window| window == RSA_ENCRYPTION)
}

/// Stands where rcgen expects the issuer's key: it keeps what it is asked to sign, and signs nothing.
struct Capture<'a> {
    key: &'a Key,
    tbs: RefCell<Vec<u8>>,
}

impl PublicKeyData for Capture<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.public_key()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        PublicKeyData::algorithm(self.key)
    }
}

impl rcgen::SigningKey for Capture<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.tbs.replace(message.to_vec());
        Ok(Vec::new())
    }
}

/// Stands where rcgen expects the subject's key: a point on P-256 in form alone.
struct Placeholder;

impl Placeholder {
    /// 0xff is in no name and no URL, so that this sequence is nowhere else in a TBSCertificate.
    const POINT: [u8; 65] = [0xff; 65];
}

impl PublicKeyData for Placeholder {
    fn der_bytes(&self) -> &[u8] {
        &Self::POINT
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// Puts the key where the placeholder is, and the lengths right.
fn replace_placeholder(tbs: &[u8], public_key_info: &[u8]) -> Result<Vec<u8>, Error> {
    let placeholder = Placeholder.subject_public_key_info();
    let start = tbs.windows(placeholder.len()).position(|window| window == placeholder);
    let around = start.and_then(|start| {
        let before = tbs.get(header_length(tbs)?..start)?;
        Some((before, tbs.get(start + placeholder.len()..)?))
    });
    match around {
        Some((before, after)) => Ok(encode::sequence(&[before, public_key_info, after])),
        None => Err(Error::Refused("the subject's key could not be put in place".to_owned())),
    }
}

/// How many octets the tag and the length of a DER element take.
fn header_length(element: &[u8]) -> Option<usize> {
    let first = *element.get(1)?;
    Some(if first < 0x80 { 2 } else { 2 + usize::from(first & 0x7f) })
}
