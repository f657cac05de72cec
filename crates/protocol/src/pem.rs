//! PEM (RFC 7468): certificates and keys as text, and public keys out of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use zeroize::{Zeroize as _, Zeroizing};

use crate::der::tag;

/// The textual encoding of a certificate (RFC 7468, section 5), with a line end behind it.
pub fn certificate(der: &[u8]) -> String {
    block("CERTIFICATE", der)
}

/// The same of a private key, PKCS #8 (RFC 7468, section 10).
pub fn private_key(der: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(block("PRIVATE KEY", der))
}

fn block(label: &str, der: &[u8]) -> String {
    let mut encoded = STANDARD.encode(der);
    let mut text = String::with_capacity(encoded.len() + encoded.len() / 64 + 2 * label.len() + 64);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII: every index is a boundary.
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    // Of a private key nothing is left behind.
    encoded.zeroize();
    text
}

/// The DER in a file that holds it as it is, or in a PEM block with this label (RFC 7468); `None` if neither is there. That it is
/// of that kind is not looked at.
pub fn der(file: &[u8], label: &str) -> Option<Vec<u8>> {
    // Certificates and CRLs begin with a SEQUENCE, and no text does.
    if file.first() == Some(&tag::SEQUENCE) {
        return Some(file.to_vec());
    }
    let (_, block) = parse_x509_pem(file).ok()?;
    (block.label == label).then_some(block.contents)
}

/// The SubjectPublicKeyInfo (DER) in the first PEM block of the text: of a certificate, a certificate request, or a public
/// key by itself. `None` for anything else, a private key above all.
pub fn public_key_info(text: &[u8]) -> Option<Vec<u8>> {
    let (_, block) = parse_x509_pem(text).ok()?;
    match block.label.as_str() {
        "PUBLIC KEY" => Some(block.contents),
        "CERTIFICATE" => {
            let (_, certificate) = X509Certificate::from_der(&block.contents).ok()?;
            Some(certificate.public_key().raw.to_vec())
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            let (_, request) = X509CertificationRequest::from_der(&block.contents).ok()?;
            Some(request.certification_request_info.subject_pki.raw.to_vec())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::PublicKeyData;

    use super::*;

    #[test]
    fn der_is_found_as_it_is_and_below_its_label() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let known = made.cert.der().to_vec();
        assert_eq!(der(&known, "CERTIFICATE").as_ref(), Some(&known));
        assert_eq!(der(made.cert.pem().as_bytes(), "CERTIFICATE").as_ref(), Some(&known));
        for nothing in [made.signing_key.serialize_pem().as_bytes(), b"", b"-----BEGIN CERTIFICATE-----"] {
            assert_eq!(der(nothing, "CERTIFICATE"), None);
        }
    }

    #[test]
    fn public_keys_are_found_in_whatever_carries_them() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let spki = made.signing_key.subject_public_key_info();
        let request = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        let request = request.serialize_request(&made.signing_key).unwrap().pem().unwrap();
        for text in [made.cert.pem(), request, made.signing_key.public_key_pem()] {
            assert_eq!(public_key_info(text.as_bytes()), Some(spki.clone()), "{text}");
        }
        assert_eq!(public_key_info(made.signing_key.serialize_pem().as_bytes()), None);
        assert_eq!(public_key_info(b"nothing"), None);
    }

    #[test]
    fn lines_have_64_characters() {
        let text = certificate(&[0; 49]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1].len(), 64);
        assert_eq!(lines[2].len(), 4);
        assert!(text.ends_with("-----END CERTIFICATE-----\n"));
    }

    #[test]
    fn another_reader_reads_it() {
        let der = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.der().to_vec();
        let (_, read) = parse_x509_pem(certificate(&der).as_bytes()).unwrap();
        assert_eq!(read.contents, der);
    }
}
