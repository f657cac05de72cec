//! Reading requests.

use std::fmt;

use crate::der::{self, Reader, tag};
use crate::ocsp::NONCE;
use crate::serial::Serial;

/// At most this many bytes are a request, by GET or by POST.
pub const REQUEST_BYTES_MAX: usize = 10_000;

/// At most this many octets are a nonce; at least one is (RFC 9654, section 2.1).
pub const NONCE_BYTES_MAX: usize = 128;

/// The hash by which a CertID names the issuer (RFC 6960, section 4.1.1; RFC 9919, section 3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// What most clients still send. It names the issuer and protects nothing, so its weakness does no harm.
    Sha1,
    /// What RFC 9919 recommends.
    Sha256,
    /// Seen where P-384 is the rule.
    Sha384,
}

impl HashAlgorithm {
    const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha384];

    /// The contents of its object identifier.
    pub fn identifier(self) -> &'static [u8] {
        match self {
            // 1.3.14.3.2.26
            Self::Sha1 => &[0x2b, 0x0e, 0x03, 0x02, 0x1a],
            // 2.16.840.1.101.3.4.2.1 and .2
            Self::Sha256 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01],
            Self::Sha384 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02],
        }
    }

    /// From the contents of its object identifier.
    fn from_identifier(contents: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.identifier() == contents)
    }
}

/// Which certificate is asked for (RFC 6960, section 4.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertId {
    /// How the two hashes were made.
    pub hash: HashAlgorithm,
    /// Hash over DER of the issuer's name. Its length is the asker's word.
    pub issuer_name_hash: Vec<u8>,
    /// Hash over the issuer's public key, without the unused-bits octet. Its length is the asker's word.
    pub issuer_key_hash: Vec<u8>,
    /// The certificate's serial number; `None` if the number is zero, negative or longer than 20 octets: a certificate
    /// with such a number was never issued.
    pub serial: Option<Serial>,
    /// All its bytes, to be echoed as they came.
    pub der: Vec<u8>,
}

/// A request, as far as it matters here. Who asks and any signature of the asker are not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for: at least one, each once, in the order of the request.
    pub cert_ids: Vec<CertId>,
    /// The nonce, 1 to 128 octets (RFC 9654).
    pub nonce: Option<Vec<u8>>,
}

/// Why bytes are no request. All of these are answered with `malformedRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// More than [`REQUEST_BYTES_MAX`] bytes.
    TooLong,
    /// Not DER, or not the structure of RFC 6960, section 4.1.1.
    Der(der::Error),
    /// Not version 1.
    Version,
    /// Nothing is asked for.
    Empty,
    /// A hash algorithm other than SHA-1, SHA-256 and SHA-384, or with parameters.
    HashAlgorithm,
    /// A critical extension that is not known here.
    CriticalExtension,
    /// A nonce that is empty, longer than 128 octets, no OCTET STRING, or given twice.
    Nonce,
}

impl From<der::Error> for RequestError {
    fn from(error: der::Error) -> Self {
        Self::Der(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the OCSP request is longer than 10,000 bytes",
            Self::Der(_) => "the OCSP request is not well-formed",
            Self::Version => "the OCSP request has an unknown version",
            Self::Empty => "the OCSP request asks for nothing",
            Self::HashAlgorithm => "the OCSP request uses an unknown hash algorithm",
            Self::CriticalExtension => "the OCSP request has an unknown critical extension",
            Self::Nonce => "the OCSP request's nonce is not one",
        })
    }
}

impl std::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Der(error) => Some(error),
            _ => None,
        }
    }
}

/// Reads an OCSPRequest (RFC 6960, section 4.1.1).
///
/// Unknown extensions that are not critical, the requestor's name and signatures are skipped; version 1 may be given
/// explicitly. How many certificates can be asked for is bounded by [`REQUEST_BYTES_MAX`]: some 150.
///
/// # Errors
/// See [`RequestError`].
pub fn parse_request(der: &[u8]) -> Result<Request, RequestError> {
    if der.len() > REQUEST_BYTES_MAX {
        return Err(RequestError::TooLong);
    }
    let mut outer = Reader::new(der);
    let mut ocsp_request = outer.sequence()?;
    outer.finish()?;
    let mut tbs = ocsp_request.sequence()?;
    if let Some(signature) = ocsp_request.optional(tag::context(0))? {
        let mut signature = Reader::new(signature);
        signature.sequence()?;
        signature.finish()?;
    }
    ocsp_request.finish()?;

    if let Some(version) = tbs.optional(tag::context(0))? {
        let mut version = Reader::new(version);
        let number = version.integer()?;
        version.finish()?;
        if number != [0] {
            return Err(RequestError::Version);
        }
    }
    if let Some(requestor) = tbs.optional(tag::context(1))? {
        let mut requestor = Reader::new(requestor);
        requestor.any()?;
        requestor.finish()?;
    }
    let cert_ids = request_list(tbs.sequence()?)?;
    let nonce = match tbs.optional(tag::context(2))? {
        Some(explicit) => request_extensions(explicit)?,
        None => None,
    };
    tbs.finish()?;
    Ok(Request { cert_ids, nonce })
}

/// The CertID of a request that asks for one certificate and says nothing else, as nearly all do; `None` for every other.
///
/// It costs no memory. The CertID itself is not looked into: whoever has an answer for these bytes has read them before.
pub fn lone_cert_id(der: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(der);
    // OCSPRequest, TBSRequest, requestList, Request.
    for _ in 0..4 {
        let inner = reader.sequence().ok()?;
        reader.finish().ok()?;
        reader = inner;
    }
    let element = reader.any().ok()?;
    reader.finish().ok()?;
    Some(element.der)
}

/// `requestList`, each CertID once.
fn request_list(mut list: Reader<'_>) -> Result<Vec<CertId>, RequestError> {
    let mut cert_ids: Vec<CertId> = Vec::with_capacity(1);
    while !list.is_empty() {
        let mut request = list.sequence()?;
        let cert_id = cert_id(&mut request)?;
        if let Some(explicit) = request.optional(tag::context(0))? {
            for_each_extension(explicit, |_, critical, _| {
                if critical { Err(RequestError::CriticalExtension) } else { Ok(()) }
            })?;
        }
        request.finish()?;
        if !cert_ids.iter().any(|known| known.der == cert_id.der) {
            cert_ids.push(cert_id);
        }
    }
    if cert_ids.is_empty() { Err(RequestError::Empty) } else { Ok(cert_ids) }
}

/// One `CertID`.
fn cert_id(request: &mut Reader<'_>) -> Result<CertId, RequestError> {
    let element = request.any()?;
    if element.tag != tag::SEQUENCE {
        return Err(der::Error::UnexpectedTag.into());
    }
    let mut fields = Reader::new(element.contents);
    let mut algorithm = fields.sequence()?;
    let hash = HashAlgorithm::from_identifier(algorithm.object_identifier()?);
    let parameters = algorithm.optional(tag::NULL)?;
    let hash = hash.ok_or(RequestError::HashAlgorithm)?;
    if !algorithm.is_empty() || parameters.is_some_and(|null| !null.is_empty()) {
        return Err(RequestError::HashAlgorithm);
    }
    let issuer_name_hash = fields.expect(tag::OCTET_STRING)?.to_vec();
    let issuer_key_hash = fields.expect(tag::OCTET_STRING)?.to_vec();
    let number = fields.integer()?;
    fields.finish()?;
    let is_negative = number.first().is_some_and(|first| *first >= 0x80);
    let serial = if is_negative { None } else { Serial::from_be_bytes(number) };
    Ok(CertId { hash, issuer_name_hash, issuer_key_hash, serial, der: element.der.to_vec() })
}

/// `requestExtensions`: the nonce, if there is one.
fn request_extensions(explicit: &[u8]) -> Result<Option<Vec<u8>>, RequestError> {
    let mut nonce = None;
    for_each_extension(explicit, |identifier, critical, value| {
        if identifier != NONCE {
            return if critical { Err(RequestError::CriticalExtension) } else { Ok(()) };
        }
        let mut reader = Reader::new(value);
        let octets = reader.expect(tag::OCTET_STRING).map_err(|_| RequestError::Nonce)?;
        reader.finish().map_err(|_| RequestError::Nonce)?;
        let fits = (1..=NONCE_BYTES_MAX).contains(&octets.len());
        if !fits || nonce.replace(octets.to_vec()).is_some() {
            return Err(RequestError::Nonce);
        }
        Ok(())
    })?;
    Ok(nonce)
}

/// Calls `visit` with the identifier, the criticality and the value of each of the `Extensions` (RFC 5280, section
/// 4.1), of which there is at least one.
fn for_each_extension<'a>(
    explicit: &'a [u8],
    mut visit: impl FnMut(&'a [u8], bool, &'a [u8]) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    let mut explicit = Reader::new(explicit);
    let mut extensions = explicit.sequence()?;
    explicit.finish()?;
    while !extensions.is_empty() {
        let mut extension = extensions.sequence()?;
        let identifier = extension.object_identifier()?;
        let critical = extension.default_false()?;
        let value = extension.expect(tag::OCTET_STRING)?;
        extension.finish()?;
        visit(identifier, critical, value)?;
    }
    Ok(())
}
