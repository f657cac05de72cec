//! Where RSA moduli come from: the journal's records of certificates, and files.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use ingam_protocol::bytes::{Bytes, from_hex};
use ingam_protocol::record::{Class, RecordType, Seal};
use ingam_protocol::{Serial, Timestamp};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Found, Holder};
use crate::journal::open_to_read;
use crate::serve::StartError;

/// At most this many bytes of a file.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// At most this many bytes of a modulus.
const MODULUS_BYTES_MAX: usize = 2048;

/// What records have of a certificate.
#[derive(Deserialize)]
struct Issued {
    #[serde(default)]
    certificate: Option<Bytes>,
    #[serde(default)]
    serial: Option<Serial>,
}

/// Reads every certificate on record: those of subscribers, and the CA's own.
pub(super) fn journal(folder: &Path, now: Timestamp, found: &mut Found) -> Result<(), StartError> {
    let doing = format!("the journal in {} cannot be read", folder.display());
    let journal = open_to_read(folder)?;
    for class in [Class::Issuance, Class::CaLifecycle] {
        for record in journal.records(class) {
            let record = record.map_err(|error| StartError::caused(&doing, &error))?;
            let is_certificate = matches!(
                record.kind,
                RecordType::CertificateIssued
                    | RecordType::IssuanceAbandoned
                    | RecordType::AuthorityCertificateCreated
            );
            let open = record.parts.iter().find(|part| part.seal == Seal::Open).filter(|_| is_certificate);
            let issued = open.and_then(|part| serde_json::from_slice::<Issued>(&part.bytes).ok());
            let Some(Issued { certificate: Some(der), serial }) = issued else { continue };
            certificate(&der, serial.as_ref(), now, found)?;
        }
    }
    Ok(())
}

fn certificate(
    der: &[u8],
    serial: Option<&Serial>,
    now: Timestamp,
    found: &mut Found,
) -> Result<(), StartError> {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return Ok(()) };
    let Some(modulus) = modulus_of(parsed.public_key()) else { return Ok(()) };
    let not_after = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    let ended = Timestamp::from_unix_s(not_after) < now;
    let shown = serial.map_or_else(|| parsed.raw_serial_as_string().replace(':', ""), ToString::to_string);
    let words =
        format!("serial {shown}, issued by {}{}", parsed.issuer(), if ended { ", ended" } else { "" });
    let revocable = serial.filter(|_| !ended).map(ToString::to_string);
    found.add(modulus, Holder { words, revocable })
}

fn modulus_of(info: &SubjectPublicKeyInfo<'_>) -> Option<Vec<u8>> {
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => trimmed(key.modulus),
        _ => None,
    }
}

/// Without leading zeros; `None` for what is no modulus of any key.
fn trimmed(modulus: &[u8]) -> Option<Vec<u8>> {
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = modulus.get(zeros..)?;
    (modulus.len() > 1 && modulus.len() <= MODULUS_BYTES_MAX).then(|| modulus.to_vec())
}

/// Reads a file of PEM, or of moduli.
pub(super) fn file(path: &Path, found: &mut Found) -> Result<(), StartError> {
    let failed = |what: &dyn std::fmt::Display| StartError::new(format!("{}: {what}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error))?;
    let holder = |what: String| Holder { words: format!("{what} of {}", path.display()), revocable: None };
    if !text.contains("-----BEGIN ") {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let digits = line.trim();
            let digits = digits.strip_prefix("Modulus=").unwrap_or(digits);
            let modulus = from_hex(digits).and_then(|bytes| trimmed(&bytes));
            let why = format!("line {} is no modulus in hexadecimal digits, nor is the file PEM", index + 1);
            found.add(modulus.ok_or_else(|| failed(&why))?, holder(format!("line {}", index + 1)))?;
        }
        return Ok(());
    }
    for (index, der) in CertificateDer::pem_slice_iter(text.as_bytes()).enumerate() {
        let der = der.map_err(|error| failed(&error))?;
        let parsed = X509Certificate::from_der(&der).map_err(|error| failed(&error))?.1;
        if let Some(modulus) = modulus_of(parsed.public_key()) {
            found.add(modulus, holder(format!("certificate {}", index + 1)))?;
        }
    }
    for (index, der) in SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()).enumerate() {
        let der = der.map_err(|error| failed(&error))?;
        let parsed = SubjectPublicKeyInfo::from_der(&der).map_err(|error| failed(&error))?.1;
        if let Some(modulus) = modulus_of(&parsed) {
            found.add(modulus, holder(format!("public key {}", index + 1)))?;
        }
    }
    Ok(())
}
