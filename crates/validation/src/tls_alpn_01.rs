//! tls-alpn-01: a self-signed certificate behind the application protocol `acme-tls/1` (RFC 8737, section 3; RFC 8738,
//! section 6).

use std::net::IpAddr;

use ingam_protocol::identifier::Host;
use x509_parser::error::X509Error;
use x509_parser::oid_registry::{OID_X509_EXT_SUBJECT_ALT_NAME, Oid, asn1_rs::oid};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate, X509Extension};

use crate::dial::Network;
use crate::evidence::{Evidence, Hop};
use crate::outcome::Failure;
use crate::quote::quote;
use crate::tls::{self, ACME_TLS};

/// acmeIdentifier (RFC 8737, section 6.1).
const ACME_IDENTIFIER: Oid<'static> = oid!(1.3.6.1.5.5.7.1.31);

pub(crate) async fn validate(
    network: &Network,
    host: &Host,
    hash: &[u8; 32],
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let port = network.config.tls_alpn_port;
    evidence.hops.push(Hop::new(None, host, port));
    let stream = network.dial(host, port, evidence).await?;
    let stream = network.tls.connect_acme_tls(host, stream, &network.config).await?;
    if let Some(hop) = evidence.hop() {
        hop.tls = Some(tls::facts(&stream, true));
    }
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() != Some(ACME_TLS) {
        return Err(refusal(host, "the server did not choose the application protocol acme-tls/1"));
    }
    let certificate = connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or_else(|| refusal(host, "the server sent no certificate"))?;
    look_at(certificate, host, hash)
}

/// Looks at the certificate of a server that has its key.
pub(crate) fn look_at(der: &[u8], host: &Host, hash: &[u8; 32]) -> Result<(), Failure> {
    check_certificate(der, host, hash).map_err(|words| refusal(host, &words))
}

fn refusal(host: &Host, words: &str) -> Failure {
    Failure::unauthorized(format!("TLS: the tls-alpn-01 server of {host} is not ready: {words}"))
}

/// Looks whether `der` is the certificate that RFC 8737, section 3, asks for; the words say what it is not.
fn check_certificate(der: &[u8], host: &Host, hash: &[u8; 32]) -> Result<(), String> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|_| "its certificate cannot be read".to_owned())?;
    if !rest.is_empty() {
        return Err("its certificate has bytes after the end".into());
    }
    check_self_signed(&certificate)?;
    check_names(&certificate, host)?;
    check_identifier(&certificate, hash)
}

fn check_self_signed(certificate: &X509Certificate<'_>) -> Result<(), String> {
    let names_differ = certificate.issuer().as_raw() != certificate.subject().as_raw();
    // The handshake showed who owns the key. An algorithm that we do not know does not make it anybody else's.
    let is_forged = matches!(certificate.verify_signature(None), Err(X509Error::SignatureVerificationError));
    if names_differ || is_forged {
        return Err("its certificate is not self-signed; is this the site's usual certificate?".into());
    }
    Ok(())
}

fn check_names(certificate: &X509Certificate<'_>, wanted: &Host) -> Result<(), String> {
    let extension = the_only(certificate, &OID_X509_EXT_SUBJECT_ALT_NAME, "subjectAlternativeName")?;
    let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
        return Err("its certificate's names cannot be read".into());
    };
    match (names.general_names.as_slice(), wanted) {
        ([GeneralName::DNSName(name)], Host::Name(wanted)) if name.eq_ignore_ascii_case(wanted.as_str()) => {
            Ok(())
        }
        ([GeneralName::IPAddress(octets)], Host::Address(wanted)) if is_address(octets, *wanted) => Ok(()),
        ([GeneralName::DNSName(name)], Host::Name(_)) => {
            Err(format!("its certificate is for {}", quote(name.as_bytes())))
        }
        ([GeneralName::IPAddress(_)], Host::Address(_)) => {
            Err("its certificate is for another address".into())
        }
        (names, wanted) => {
            let kind = if wanted.name().is_some() { "dNSName" } else { "iPAddress" };
            Err(format!("its certificate has {} names, and must have one {kind} alone", names.len()))
        }
    }
}

/// Whether the octets of an iPAddress are those of the address (RFC 5280, section 4.2.1.6).
fn is_address(octets: &[u8], address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets() == *octets,
        IpAddr::V6(address) => address.octets() == *octets,
    }
}

fn check_identifier(certificate: &X509Certificate<'_>, hash: &[u8; 32]) -> Result<(), String> {
    let extension = the_only(certificate, &ACME_IDENTIFIER, "acmeIdentifier")?;
    if !extension.critical {
        return Err("its certificate's acmeIdentifier extension is not critical".into());
    }
    // An OCTET STRING of 32 bytes has exactly one form in DER.
    match extension.value.split_first_chunk() {
        Some(([0x04, 0x20], found)) if found == hash => Ok(()),
        Some(([0x04, 0x20], found)) if found.len() == 32 => {
            Err("its certificate's acmeIdentifier is for another key authorization (an older challenge?)"
                .into())
        }
        _ => Err("its certificate's acmeIdentifier is not an OCTET STRING of 32 bytes".into()),
    }
}

fn the_only<'a>(
    certificate: &'a X509Certificate<'_>,
    oid: &Oid<'_>,
    name: &str,
) -> Result<&'a X509Extension<'a>, String> {
    let mut found = certificate.extensions().iter().filter(|extension| extension.oid == *oid);
    match (found.next(), found.next()) {
        (Some(extension), None) => Ok(extension),
        (None, _) => Err(format!("its certificate has no {name} extension")),
        (Some(_), Some(_)) => Err(format!("its certificate has more than one {name} extension")),
    }
}

#[cfg(test)]
mod tests;
