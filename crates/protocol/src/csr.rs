//! Certificate signing requests (RFC 2986), read for the two things ACME needs of them: a key and a set of names.

mod form;

use std::collections::BTreeSet;
use std::fmt;

use ring::digest::{SHA256, SHA384, SHA512, digest};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::identifier::Identifier;
use crate::key::{BadKey, Curve, KeyParts, MlDsa, PublicKey, p521};

/// At most this many bytes are a request: a hundred names of full length and a 4096-bit key need less than half.
pub const CSR_BYTES_MAX: usize = 64 * 1024;

/// At most this many names are in a request: what the largest order may have. Reading a name costs, and more so if it
/// has A-labels.
pub const CSR_NAMES_MAX: usize = 100;

/// id-pe-tlsfeature (RFC 7633), and its one value that certificates here can have: `status_request`, known as must-staple.
const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";
const STATUS_REQUEST: &[u8] = b"\x30\x03\x02\x01\x05";

/// A request whose signature verified, whose key passed every check, and which asks for names and addresses,
/// and perhaps for must-staple, alone.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    key: PublicKey,
    public_key_info: Vec<u8>,
    identifiers: BTreeSet<Identifier>,
    asks_must_staple: bool,
}

/// Why a request is refused; the words go to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CsrError {
    /// Something in the request is not allowed.
    Bad(String),
    /// The request's key fails a check.
    Key(BadKey),
}

impl CsrError {
    fn bad(why: impl Into<String>) -> Self {
        Self::Bad(why.into())
    }
}

impl fmt::Display for CsrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(why) => f.write_str(why),
            Self::Key(bad) => write!(f, "the CSR's key is refused: {bad}"),
        }
    }
}

impl std::error::Error for CsrError {}

impl SigningRequest {
    /// Reads the DER of a CSR (RFC 8555, section 7.4) and checks form, signature, key, and names.
    ///
    /// # Errors
    /// [`CsrError`], which says what to change.
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > CSR_BYTES_MAX {
            return Err(CsrError::bad(format!("the CSR has more than {CSR_BYTES_MAX} bytes")));
        }
        form::check(der)?;
        let (_, request) = X509CertificationRequest::from_der(der)
            .map_err(|_| CsrError::bad("the CSR is not valid DER of PKCS #10"))?;
        check_signature_algorithm(&request)?;
        let info = &request.certification_request_info;
        let key = PublicKey::from_spki(info.subject_pki.raw).map_err(CsrError::Key)?;
        if matches!(key.parts(), KeyParts::Ed25519(_)) {
            return Err(CsrError::bad(
                "Ed25519 keys are for accounts: use ECDSA on P-256, P-384 or P-521, or RSA in a certificate",
            ));
        }
        if !is_signed_by(&request, &key) {
            return Err(CsrError::bad("the CSR's signature does not verify under its own key"));
        }
        let alternative = alternative_names(&request)?;
        let common = common_name(&request)?;
        let identifiers = match (alternative, common) {
            (Some(names), Some(common)) if !names.contains(&common) => {
                return Err(CsrError::bad(
                    "the CSR's common name is not among its subjectAltNames: leave it out",
                ));
            }
            (Some(names), _) => names,
            (None, Some(common)) => BTreeSet::from([common]),
            (None, None) => BTreeSet::new(),
        };
        if identifiers.is_empty() {
            return Err(CsrError::bad(
                "the CSR has no names: put the order's names and addresses into its subjectAltName",
            ));
        }
        let asks_must_staple = asks_must_staple(&request)?;
        Ok(Self { key, public_key_info: info.subject_pki.raw.to_vec(), identifiers, asks_must_staple })
    }

    /// The key that the certificate will be for.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key's SubjectPublicKeyInfo, byte for byte as it came.
    pub fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    /// The names asked for.
    pub fn identifiers(&self) -> &BTreeSet<Identifier> {
        &self.identifiers
    }

    /// Whether it asks for must-staple (RFC 7633).
    pub fn asks_must_staple(&self) -> bool {
        self.asks_must_staple
    }
}

fn check_signature_algorithm(request: &X509CertificationRequest<'_>) -> Result<(), CsrError> {
    match request.signature_algorithm.algorithm.to_id_string().as_str() {
        // sha256/384/512WithRSAEncryption, ecdsa-with-SHA256/384/512, Ed25519 (refused later, by its key).
        "1.2.840.113549.1.1.11"
        | "1.2.840.113549.1.1.12"
        | "1.2.840.113549.1.1.13"
        | "1.2.840.10045.4.3.2"
        | "1.2.840.10045.4.3.3"
        | "1.2.840.10045.4.3.4"
        | "1.3.101.112" => Ok(()),
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => {
            Err(CsrError::bad("the CSR is signed with SHA-1: use SHA-256"))
        }
        _ => check_ml_dsa(request).unwrap_or_else(|| {
            Err(CsrError::bad(
                "the CSR's signature algorithm is not supported: use SHA-256 with RSA or ECDSA",
            ))
        }),
    }
}

/// `None` if the signature algorithm is not one of ML-DSA, or this build cannot verify it.
fn check_ml_dsa(request: &X509CertificationRequest<'_>) -> Option<Result<(), CsrError>> {
    let algorithm = &request.signature_algorithm;
    MlDsa::of_identifier(algorithm.algorithm.as_bytes()).filter(|set| set.key_type().is_available())?;
    // RFC 9881, section 2.
    let is_plain = algorithm.parameters.is_none();
    Some(is_plain.then_some(()).ok_or_else(|| {
        CsrError::bad("the CSR's signature algorithm has parameters, and ML-DSA has none: leave them out")
    }))
}

fn is_signed_by(request: &X509CertificationRequest<'_>, key: &PublicKey) -> bool {
    match key.parts() {
        KeyParts::Ec { curve: Curve::P521, point } => is_signed_on_p521(request, &point),
        KeyParts::MlDsa { set, key } => {
            MlDsa::of_identifier(request.signature_algorithm.algorithm.as_bytes()) == Some(set)
                && set.is_signed(key, request.certification_request_info.raw, &request.signature_value.data)
        }
        _ => request.verify_signature().is_ok(),
    }
}

fn is_signed_on_p521(request: &X509CertificationRequest<'_>, point: &[u8]) -> bool {
    let hash = match request.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.4.3.2" => &SHA256,
        "1.2.840.10045.4.3.3" => &SHA384,
        "1.2.840.10045.4.3.4" => &SHA512,
        _ => return false,
    };
    let digest = digest(hash, request.certification_request_info.raw);
    p521::is_signed_der(point, digest.as_ref(), &request.signature_value.data)
}

fn alternative_names(
    request: &X509CertificationRequest<'_>,
) -> Result<Option<BTreeSet<Identifier>>, CsrError> {
    let mut names = None;
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::SubjectAlternativeName(san) => {
                if san.general_names.len() > CSR_NAMES_MAX {
                    return Err(CsrError::bad(format!("the CSR has more than {CSR_NAMES_MAX} names")));
                }
                let set = san.general_names.iter().map(identifier).collect::<Result<BTreeSet<_>, _>>()?;
                if names.replace(set).is_some() {
                    return Err(CsrError::bad("the CSR has two subjectAltName extensions"));
                }
            }
            ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                return Err(CsrError::bad("the CSR asks for a CA certificate"));
            }
            ParsedExtension::ParseError { .. } => {
                return Err(CsrError::bad("an extension that the CSR asks for is not valid DER"));
            }
            // Key usages and the rest follow from the profile, whatever the request says.
            _ => {}
        }
    }
    Ok(names)
}

/// Whether the request asks for must-staple; it can ask for no other TLS feature.
fn asks_must_staple(request: &X509CertificationRequest<'_>) -> Result<bool, CsrError> {
    let mut is_asked = false;
    for attribute in request.certification_request_info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(requested) = attribute.parsed_attribute() else { continue };
        for extension in requested.extensions.iter().filter(|one| one.oid.to_id_string() == TLS_FEATURE) {
            if extension.value != STATUS_REQUEST || is_asked {
                return Err(CsrError::bad(
                    "the CSR asks for a TLS feature (RFC 7633) other than status_request, once: leave it out",
                ));
            }
            is_asked = true;
        }
    }
    Ok(is_asked)
}

fn identifier(name: &GeneralName<'_>) -> Result<Identifier, CsrError> {
    match name {
        GeneralName::DNSName(text) => parse_name(text),
        GeneralName::IPAddress(octets) => Identifier::from_octets(octets)
            .ok_or_else(|| CsrError::bad("the CSR has an iPAddress that has neither 4 nor 16 octets")),
        _ => Err(CsrError::bad(
            "the CSR has a subjectAltName that is neither a DNS name nor an IP address: leave it out",
        )),
    }
}

fn common_name(request: &X509CertificationRequest<'_>) -> Result<Option<Identifier>, CsrError> {
    let mut names = request.certification_request_info.subject.iter_common_name();
    let Some(first) = names.next() else { return Ok(None) };
    if names.next().is_some() {
        return Err(CsrError::bad("the CSR's subject has two common names"));
    }
    let text = first.as_str().map_err(|_| CsrError::bad("the CSR's common name is no text"))?;
    // RFC 8738 has no word on addresses here; clients that put one into the subject mean the address.
    match Identifier::parse_ip(text) {
        Ok(address) => Ok(Some(address)),
        Err(_) => parse_name(text).map(Some),
    }
}

fn parse_name(text: &str) -> Result<Identifier, CsrError> {
    Identifier::parse_dns(text).map_err(|bad| {
        let shown: String = text.chars().take(80).filter(|c| c.is_ascii_graphic()).collect();
        CsrError::bad(format!("the CSR has the name \"{shown}\": {bad}"))
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, KeyPair, SanType};

    use super::*;

    fn request(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params =
            CertificateParams::new(["b.example.org".to_owned(), "*.Example.org".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn refusal(der: &[u8]) -> String {
        SigningRequest::parse(der).unwrap_err().to_string()
    }

    #[test]
    fn names_are_a_folded_set() {
        let parsed = SigningRequest::parse(&request(|_| {})).unwrap();
        let names: Vec<String> = parsed.identifiers().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["b.example.org", "*.example.org"]);
    }

    #[test]
    fn addresses_are_names_too() {
        let address =
            request(|params| params.subject_alt_names = vec![SanType::IpAddress([192, 0, 2, 1].into())]);
        let parsed = SigningRequest::parse(&address).unwrap();
        assert_eq!(parsed.identifiers().iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.1"]);
    }

    #[test]
    fn a_common_name_counts_when_it_is_one_of_the_names_or_the_only_one() {
        let among = request(|params| params.distinguished_name.push(DnType::CommonName, "b.example.org"));
        assert!(SigningRequest::parse(&among).is_ok());
        let beside = request(|params| params.distinguished_name.push(DnType::CommonName, "c.example.org"));
        assert!(refusal(&beside).contains("common name"));
        let alone = request(|params| {
            params.subject_alt_names.clear();
            params.distinguished_name.push(DnType::CommonName, "c.example.org");
        });
        assert_eq!(SigningRequest::parse(&alone).unwrap().identifiers().len(), 1);
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        let none = request(|params| params.subject_alt_names.clear());
        assert!(refusal(&none).contains("no names"));
        let mail = SanType::Rfc822Name("a@example.org".to_owned().try_into().unwrap());
        let mail = request(|params| params.subject_alt_names.push(mail));
        assert!(refusal(&mail).contains("neither a DNS name nor an IP address"));
        let authority = request(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        assert!(refusal(&authority).contains("CA certificate"));
    }

    #[test]
    fn must_staple_is_told_and_other_tls_features_are_refused() {
        let features = |values: &[&[u8]]| {
            request(|params| {
                let feature = |value: &&[u8]| {
                    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], value.to_vec())
                };
                params.custom_extensions.extend(values.iter().map(feature));
            })
        };
        assert!(!SigningRequest::parse(&features(&[])).unwrap().asks_must_staple());
        assert!(SigningRequest::parse(&features(&[STATUS_REQUEST])).unwrap().asks_must_staple());
        let version_2: &[u8] = b"\x30\x03\x02\x01\x11";
        let both: &[u8] = b"\x30\x06\x02\x01\x05\x02\x01\x11";
        for bad in [&[version_2][..], &[both], &[b"\x30\x00"], &[b""], &[STATUS_REQUEST, STATUS_REQUEST]] {
            assert!(SigningRequest::parse(&features(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_changed_or_cut_request_is_refused() {
        let good = request(|_| {});
        for length in 0..good.len() {
            assert!(SigningRequest::parse(&good[..length]).is_err());
        }
        let mut changed = good.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        assert!(refusal(&changed).contains("signature"));
        let mut longer = good;
        longer.push(0);
        assert!(refusal(&longer).contains("follow"));
    }

    #[test]
    fn keys_that_are_not_for_certificates_are_refused() {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let params = CertificateParams::new(["a.example.org".to_owned()]).unwrap();
        assert!(refusal(params.serialize_request(&pair).unwrap().der()).contains("Ed25519"));
    }

    #[test]
    fn other_curves_and_hashes_verify() {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let mut params = CertificateParams::new(["a.example.org".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        assert!(SigningRequest::parse(params.serialize_request(&pair).unwrap().der()).is_ok());
    }
}
