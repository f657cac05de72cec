//! What a log takes (RFC 6962, section 3.1): chains that end below a root of it, whole, of the right kind and time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::Timestamp;
use ingam_protocol::certificate::Validity;
use ingam_protocol::transparency::{Entry, issuer_key_hash};
use serde::Deserialize;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// The longest chain.
const CHAIN_MAX: usize = 10;

#[derive(Deserialize)]
struct Body {
    chain: Vec<String>,
}

/// What was taken.
pub(super) struct Accepted {
    pub(super) entry: Entry,
    /// What was submitted (DER) and everything above it, the root included.
    pub(super) chain: Vec<Vec<u8>>,
}

/// Reads and checks a submission.
pub(super) fn read(
    body: &[u8],
    is_precertificate: bool,
    roots: &[Vec<u8>],
    interval: [Timestamp; 2],
) -> Result<Accepted, String> {
    let body: Body =
        serde_json::from_slice(body).map_err(|error| format!("the body is no chain: {error}"))?;
    if body.chain.len() > CHAIN_MAX {
        return Err(format!("the chain has more than {CHAIN_MAX} certificates"));
    }
    let decoded: Result<Vec<Vec<u8>>, _> = body.chain.iter().map(|text| STANDARD.decode(text)).collect();
    let mut chain = decoded.map_err(|_| "a certificate of the chain is no base64".to_owned())?;
    complete(&mut chain, roots)?;
    for pair in chain.windows(2) {
        if let [certificate, issuer] = pair {
            is_issued(certificate, issuer)?;
        }
    }
    let [certificate, issuer, ..] = chain.as_slice() else {
        return Err("a root by itself is not logged".to_owned());
    };
    let validity = Validity::read(certificate).ok_or("the certificate has no validity")?;
    let [first, end] = interval;
    if validity.not_after < first || end <= validity.not_after {
        return Err(format!("this log takes certificates that end from {first} to before {end}"));
    }
    let hash = issuer_key_hash(issuer).map_err(|error| error.to_string())?;
    let entry = Entry::submitted(certificate, hash).map_err(|error| error.to_string())?;
    match (is_precertificate, &entry) {
        (true, Entry::Certificate(_)) => {
            Err("a precertificate has the poison, and this one has not".to_owned())
        }
        (false, Entry::Precertificate { .. }) => {
            Err("this is a precertificate: use add-pre-chain".to_owned())
        }
        _ => Ok(Accepted { chain, entry }),
    }
}

/// Makes the chain end with a root, which may be left out of it (RFC 6962, section 4.1).
fn complete(chain: &mut Vec<Vec<u8>>, roots: &[Vec<u8>]) -> Result<(), String> {
    let last = chain.last().ok_or("the chain is empty")?;
    if roots.contains(last) {
        return Ok(());
    }
    let root = roots.iter().find(|root| is_issued(last, root).is_ok());
    chain.push(root.ok_or("the chain ends below no root of this log")?.clone());
    Ok(())
}

fn is_issued(certificate: &[u8], issuer: &[u8]) -> Result<(), String> {
    let (certificate, issuer) = (parse(certificate)?, parse(issuer)?);
    let is_named = certificate.issuer().as_raw() == issuer.subject().as_raw();
    let is_signed = certificate.verify_signature(Some(issuer.public_key())).is_ok();
    if is_named && is_signed && issuer.is_ca() {
        return Ok(());
    }
    Err(format!("the certificate of {} is not issued by that of {}", certificate.subject(), issuer.subject()))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err("a certificate of the chain is none".to_owned()),
    }
}
