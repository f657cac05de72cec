//! Reading back an answer that this CA wrote. Nothing else is read: another form than ours is refused.

use crate::der::{Error, Reader, tag};
use crate::ocsp::response::BASIC;
use crate::ocsp::{CertStatus, ErrorStatus, SingleResponse};
use crate::revocation::Reason;
use crate::time::Timestamp;

/// A response, taken apart as far as the one who asked needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// An answer. Its signature was not verified.
    Answer(SignedAnswer<'a>),
    /// What was said in place of one.
    Error(ErrorStatus),
}

/// An answer as [`crate::ocsp::successful`] writes it, taken apart. The signature was not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAnswer<'a> {
    /// DER of the ResponseData: what is signed.
    pub tbs: &'a [u8],
    /// DER of the AlgorithmIdentifier.
    pub signature_algorithm: &'a [u8],
    /// The signature's octets.
    pub signature: &'a [u8],
    /// DER of the certificate that the signing key belongs to; `None` if it is the issuer's own.
    pub certificate: Option<&'a [u8]>,
    /// SHA-1 over the signing key, by which the responder names itself.
    pub responder_key_hash: &'a [u8],
    /// When it was signed.
    pub produced_at: Timestamp,
    /// What is said, of each certificate once.
    pub responses: Vec<SingleResponse>,
}

impl<'a> Response<'a> {
    /// Takes the DER of an OCSPResponse apart (RFC 6960, section 4.2.1).
    ///
    /// # Errors
    /// [`Error`] if it is not in the form in which this CA writes them.
    pub fn read(der: &'a [u8]) -> Result<Self, Error> {
        let mut outer = Reader::new(der);
        let mut response = outer.sequence()?;
        outer.finish()?;
        let status = match response.expect(tag::ENUMERATED)? {
            [status] => *status,
            _ => return Err(Error::BadContents),
        };
        if status != 0 {
            response.finish()?;
            return error_status(status).map(Self::Error).ok_or(Error::BadContents);
        }
        let mut explicit = Reader::new(response.expect(tag::context(0))?);
        response.finish()?;
        let mut response_bytes = explicit.sequence()?;
        explicit.finish()?;
        if response_bytes.object_identifier()? != BASIC {
            return Err(Error::BadContents);
        }
        let mut octets = Reader::new(response_bytes.expect(tag::OCTET_STRING)?);
        response_bytes.finish()?;
        let basic = octets.sequence()?;
        octets.finish()?;
        answer(basic).map(Self::Answer)
    }
}

fn error_status(number: u8) -> Option<ErrorStatus> {
    use ErrorStatus::{InternalError, MalformedRequest, SigRequired, TryLater, Unauthorized};
    let all = [MalformedRequest, InternalError, TryLater, SigRequired, Unauthorized];
    all.into_iter().find(|status| *status as u8 == number)
}

/// A `BasicOCSPResponse`.
fn answer(mut basic: Reader<'_>) -> Result<SignedAnswer<'_>, Error> {
    let tbs = basic.any()?;
    let algorithm = basic.any()?;
    if tbs.tag != tag::SEQUENCE || algorithm.tag != tag::SEQUENCE {
        return Err(Error::UnexpectedTag);
    }
    let [0, signature @ ..] = basic.expect(tag::BIT_STRING)? else { return Err(Error::BadContents) };
    let certificate = match basic.optional(tag::context(0))? {
        None => None,
        Some(certificates) => {
            let mut certificates = Reader::new(certificates);
            let mut list = certificates.sequence()?;
            certificates.finish()?;
            let certificate = list.any()?.der;
            list.finish()?;
            Some(certificate)
        }
    };
    basic.finish()?;
    let mut data = Reader::new(tbs.contents);
    let mut by_key = Reader::new(data.expect(tag::context(2))?);
    let responder_key_hash = by_key.expect(tag::OCTET_STRING)?;
    by_key.finish()?;
    let produced_at = data.generalized_time()?;
    let mut list = data.sequence()?;
    let mut responses = Vec::with_capacity(1);
    while !list.is_empty() {
        responses.push(single_response(list.sequence()?)?);
    }
    // The nonce of an answer that was signed for one request alone.
    data.optional(tag::context(1))?;
    data.finish()?;
    Ok(SignedAnswer {
        tbs: tbs.der,
        signature_algorithm: algorithm.der,
        signature,
        certificate,
        responder_key_hash,
        produced_at,
        responses,
    })
}

fn single_response(mut single: Reader<'_>) -> Result<SingleResponse, Error> {
    let cert_id = single.any()?.der.to_vec();
    let status = match single.optional(tag::context_primitive(0))? {
        Some([]) => CertStatus::Good,
        Some(_) => return Err(Error::BadContents),
        None => revoked(Reader::new(single.expect(tag::context(1))?))?,
    };
    let this_update = single.generalized_time()?;
    let mut explicit = Reader::new(single.expect(tag::context(0))?);
    let next_update = explicit.generalized_time()?;
    explicit.finish()?;
    single.finish()?;
    Ok(SingleResponse { cert_id, status, this_update, next_update })
}

/// `RevokedInfo`.
fn revoked(mut info: Reader<'_>) -> Result<CertStatus, Error> {
    let at = info.generalized_time()?;
    let reason = match info.optional(tag::context(0))? {
        None => Reason::Unspecified,
        Some(explicit) => {
            let mut explicit = Reader::new(explicit);
            let number = explicit.expect(tag::ENUMERATED)?;
            explicit.finish()?;
            let [number] = number else { return Err(Error::BadContents) };
            Reason::from_number(*number)
                .filter(|reason| *reason != Reason::Unspecified)
                .ok_or(Error::BadContents)?
        }
    };
    info.finish()?;
    Ok(CertStatus::Revoked { at, reason })
}
