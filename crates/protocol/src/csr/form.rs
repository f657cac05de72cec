//! The frame of a CSR, read as DER to the last byte (RFC 2986, section 4).
//!
//! x509-parser takes lengths that are not the shortest, skips what is left at the end of a structure, and looks at the
//! first extensionRequest alone. What it would pass over is refused here, before it sees the request.

use std::collections::BTreeSet;

use super::CsrError;
use crate::der::{Error, Reader, tag};

/// Contents of sha256WithRSAEncryption to sha512WithRSAEncryption, but for the last octet.
const RSA_SIGNATURES: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// Contents of ecdsa-with-SHA256 to ecdsa-with-SHA512, but for the last octet.
const ECDSA_SIGNATURES: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
/// Contents of extensionRequest, 1.2.840.113549.1.9.14 (RFC 2985, section 5.4.2).
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// Contents of id-ce-subjectAltName, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// At most this many attributes, parts of a subject, or extensions are in a request.
const PARTS_MAX: usize = 64;
/// At most this many octets name an attribute, an extension or an algorithm.
const IDENTIFIER_BYTES_MAX: usize = 32;

/// Checks the frame of a request: shortest lengths, nothing left over, version 1, one extensionRequest with one value,
/// each extension once, and no more of anything than a certificate needs.
pub(super) fn check(der: &[u8]) -> Result<(), CsrError> {
    let no_request = |_| CsrError::bad("the CSR is not valid DER of PKCS #10");
    let mut outer = Reader::new(der);
    let request = outer.sequence().map_err(no_request)?;
    outer.finish().map_err(|_| CsrError::bad("bytes follow the CSR"))?;
    let extensions = frame(request).map_err(no_request)?;
    let Some(extensions) = extensions else { return Ok(()) };
    check_extensions(extensions).map_err(|_| {
        CsrError::bad("the CSR's extensionRequest is not valid DER, has an extension twice, or is too long")
    })
}

/// The extensions asked for, if any are.
fn frame(mut request: Reader<'_>) -> Result<Option<Reader<'_>>, Error> {
    let mut info = request.sequence()?;
    signature_algorithm(request.sequence()?)?;
    request.expect(tag::BIT_STRING)?;
    request.finish()?;
    if info.integer()? != [0] {
        return Err(Error::BadContents);
    }
    subject(info.sequence()?)?;
    // The key is read strictly where it becomes a key.
    info.sequence()?;
    let attributes = Reader::new(info.expect(tag::context(0))?);
    info.finish()?;
    attribute_values(attributes)
}

/// RSA has NULL for parameters, ECDSA has none (RFC 8017, appendix A.2.4; RFC 5758, section 3.2). What is neither is
/// refused by name later.
fn signature_algorithm(mut algorithm: Reader<'_>) -> Result<(), Error> {
    let identifier = identifier(&mut algorithm)?;
    match identifier.split_last() {
        Some((11..=13, arcs)) if arcs == RSA_SIGNATURES => {
            if !algorithm.expect(tag::NULL)?.is_empty() {
                return Err(Error::BadContents);
            }
        }
        Some((_, arcs)) if arcs == ECDSA_SIGNATURES => {}
        _ if algorithm.is_empty() => {}
        _ => algorithm.any().map(drop)?,
    }
    algorithm.finish()
}

fn subject(mut names: Reader<'_>) -> Result<(), Error> {
    let mut parts = 0;
    while !names.is_empty() {
        let mut set = Reader::new(names.expect(SET)?);
        // A SET of none is no RDN (RFC 5280, section 4.1.2.4).
        loop {
            parts = counted(parts, PARTS_MAX)?;
            let mut pair = set.sequence()?;
            identifier(&mut pair)?;
            pair.any()?;
            pair.finish()?;
            if set.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

fn attribute_values<'a>(mut attributes: Reader<'a>) -> Result<Option<Reader<'a>>, Error> {
    let mut extensions = None;
    let mut parts = 0;
    while !attributes.is_empty() {
        parts = counted(parts, PARTS_MAX)?;
        let mut attribute = attributes.sequence()?;
        let identifier = identifier(&mut attribute)?;
        let mut values = Reader::new(attribute.expect(SET)?);
        attribute.finish()?;
        if identifier == EXTENSION_REQUEST {
            let value = values.sequence()?;
            values.finish()?;
            if extensions.replace(value).is_some() {
                return Err(Error::BadContents);
            }
        }
    }
    Ok(extensions)
}

fn check_extensions(mut extensions: Reader<'_>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    while !extensions.is_empty() {
        counted(seen.len(), PARTS_MAX)?;
        let mut extension = extensions.sequence()?;
        let identifier = identifier(&mut extension)?;
        extension.default_false()?;
        let mut value = Reader::new(extension.expect(tag::OCTET_STRING)?);
        extension.finish()?;
        let names = value.any()?;
        value.finish()?;
        if !seen.insert(identifier) {
            return Err(Error::BadContents);
        }
        if identifier == SUBJECT_ALT_NAME {
            check_names(Reader::new(names.contents))?;
        }
    }
    Ok(())
}

/// What stands in a subjectAltName is judged later; here a dNSName must be primitive.
fn check_names(mut names: Reader<'_>) -> Result<(), Error> {
    while !names.is_empty() {
        if names.any()?.tag == tag::context(2) {
            return Err(Error::UnexpectedTag);
        }
    }
    Ok(())
}

fn identifier<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    reader.object_identifier().and_then(|identifier| {
        if identifier.len() > IDENTIFIER_BYTES_MAX { Err(Error::BadContents) } else { Ok(identifier) }
    })
}

/// One more, if that is not too many.
fn counted(count: usize, most: usize) -> Result<usize, Error> {
    if count < most { Ok(count + 1) } else { Err(Error::BadContents) }
}

/// SET and SET OF.
const SET: u8 = 0x31;
